//! Covering by the mean pod: as if all pods asked for the same, how many nodes of each offering hold as many pods at least cost?
//!
//! KubePACS (arXiv 2604.24027, 2026) replaces the pods of a NodePool by their number and their mean request, solves an integer program
//! that covers the number with instances of the Spot offerings, and hands those nodes to the scheduler; its objective weighs price against
//! performance and availability. Ours reads it for price alone: pods that may use the same shapes and ask for the same resources are one group
//! with a mean pod of its own (a node selector, a zone or a GPU divides them), every offering takes part, and limits are rows. Real pods then go
//! first-fit, largest first, into the nodes that the program bought; for those that do not fit the cheapest node that holds them is opened.
//!
//! It is a rival of the engine, and one of its starts where nearly every pod is a class of its own.

use std::collections::BTreeMap;

use crate::solver::control::Control;
use crate::solver::lp_backend::{Lp, LpColumn, LpStatus};
use crate::solver::packing::{Packing, add_count, room};
use crate::solver::pattern_generation::Pattern;
use crate::solver::presolve::Reduced;

/// A covering program that is this near to its optimum is good enough: the mean is no better.
const GAP: f64 = 1e-4;
/// Branch-and-bound nodes of one covering program, so that it ends without a deadline too.
const SEARCH_NODES: i32 = 20_000;

/// Pods that the covering program takes for one another.
struct Group {
    /// Eligibility sets that hold its classes.
    sets: Vec<usize>,
    classes: Vec<usize>,
}

/// The packing of the method; one covering program may take so much of the budget.
pub(super) fn packing(reduced: &Reduced, share: f64, control: &mut Control<'_>) -> Packing {
    let mut packing = Packing::empty(reduced, reduced.start());
    for group in groups(reduced) {
        for (shape, nodes) in cover(reduced, &group, &packing, share, control) {
            for _ in 0..nodes {
                if packing.admits(reduced, shape) {
                    packing.push(reduced, Pattern { shape, counts: Vec::new() });
                }
            }
        }
    }
    fill(reduced, &mut packing);
    for at in (0..packing.nodes.len()).rev() {
        if packing.nodes[at].counts.is_empty() {
            packing.remove(reduced, at);
        }
    }
    packing
}

/// The groups, by what they may use and ask for.
fn groups(reduced: &Reduced) -> Vec<Group> {
    let mut found: BTreeMap<(Vec<usize>, Vec<usize>), Vec<usize>> = BTreeMap::new();
    for class in 0..reduced.classes() {
        let sets = (0..reduced.eligible_bits.len()).filter(|&set| reduced.eligible_bits[set].contains(class));
        let asked = (0..reduced.dimensions).filter(|&d| reduced.request_of(class)[d] > 0);
        found.entry((sets.collect(), asked.collect())).or_default().push(class);
    }
    found.into_iter().map(|((sets, _), classes)| Group { sets, classes }).collect()
}

/// How many nodes of which shapes cover the number of pods of `group` at least cost, within what `packing` leaves of the side rows.
fn cover(reduced: &Reduced, group: &Group, packing: &Packing, share: f64, control: &mut Control<'_>) -> Vec<(usize, usize)> {
    let pods: f64 = group.classes.iter().map(|&class| f64::from(packing.unplaced[class])).sum();
    if pods < 1.0 {
        return Vec::new();
    }
    let mean: Vec<f64> = (0..reduced.dimensions)
        .map(|d| {
            let asked = |&class: &usize| reduced.request_of(class)[d] as f64 * f64::from(packing.unplaced[class]);
            group.classes.iter().map(asked).sum::<f64>() / pods
        })
        .collect();
    let holds = |shape: usize| -> f64 {
        let rooms = reduced.shapes[shape].capacity.iter().zip(&mean).filter(|(_, mean)| **mean > 0.0);
        // A mean that divides the room exactly must not lose a pod to rounding.
        rooms.map(|(&room, mean)| (room as f64 / mean + 1e-9).floor()).fold(pods, f64::min)
    };
    let usable = |&shape: &usize| group.sets.binary_search(&reduced.shapes[shape].eligible).is_ok() && holds(shape) >= 1.0;
    let shapes: Vec<usize> = (0..reduced.shapes.len()).filter(|&shape| !reduced.is_variant(shape)).filter(usable).collect();
    let Some(dearest) = shapes.iter().map(|&shape| reduced.shapes[shape].cost).max() else { return Vec::new() };
    let rows: Vec<(f64, f64)> = std::iter::once((pods, f64::INFINITY))
        .chain(packing.limits.iter().map(|&limit| (f64::NEG_INFINITY, limit.max(0) as f64)))
        .collect();
    let unit = dearest as f64;
    let mut columns: Vec<LpColumn> = shapes
        .iter()
        .map(|&shape| {
            let of_rows = reduced.shapes[shape].usage.iter().map(|&(row, amount)| (row + 1, amount as f64));
            let entries = std::iter::once((0, holds(shape))).chain(of_rows).collect();
            LpColumn { cost: reduced.shapes[shape].cost as f64 / unit, upper: pods, entries }
        })
        .collect();
    // Limits may leave room for fewer pods.
    columns.push(LpColumn { cost: 2.0, upper: pods, entries: vec![(0, 1.0)] });
    let mut lp = Lp::new(&rows);
    lp.add_columns(&columns);
    lp.make_integer(columns.len());
    lp.use_presolve();
    lp.set_mip_gap(GAP);
    lp.set_node_limit(SEARCH_NODES);
    if let Some(seconds) = control.seconds(share) {
        lp.set_time_limit(seconds);
    }
    let status = lp.solve();
    control.spend(lp.iterations() * (2 * rows.len() as u64 + 50));
    // Without an answer the pods open nodes one by one.
    if !matches!(status, LpStatus::Optimal | LpStatus::Limit) {
        return Vec::new();
    }
    let (values, _) = lp.solution();
    shapes.into_iter().zip(values).map(|(shape, nodes)| (shape, nodes.round().max(0.0) as usize)).collect()
}

/// Puts the pods, largest first, into the nodes of `packing`, and opens the cheapest node that holds one for those that are left.
fn fill(reduced: &Reduced, packing: &mut Packing) {
    let mut order: Vec<usize> = (0..reduced.classes()).collect();
    order.sort_by(|&a, &b| reduced.request_of(b).cmp(reduced.request_of(a)).then(a.cmp(&b)));
    // Pods that need others beside them come once more when those are there.
    let again = order.iter().copied().filter(|_| reduced.has_needs).collect::<Vec<usize>>();
    let mut rooms: Vec<Vec<i64>> = packing.nodes.iter().map(|node| room(reduced, node)).collect();
    for class in order.into_iter().chain(again) {
        let mut at = 0;
        while packing.unplaced[class] > 0 {
            if at == packing.nodes.len() {
                let open = |shape: &usize| {
                    let s = &reduced.shapes[*shape];
                    reduced.eligible_bits[s.eligible].contains(class)
                        && reduced.copies_beside(class, &s.capacity, &[]) > 0
                        && !reduced.is_variant(*shape)
                        && packing.admits(reduced, *shape)
                };
                // Shapes are sorted by cost.
                let Some(shape) = (0..reduced.shapes.len()).find(open) else { break };
                packing.push(reduced, Pattern { shape, counts: Vec::new() });
                rooms.push(reduced.shapes[shape].capacity.clone());
            }
            let node = &mut packing.nodes[at];
            if reduced.eligible_bits[reduced.shapes[node.shape].eligible].contains(class) {
                let count = reduced.copies_beside(class, &rooms[at], &node.counts).min(packing.unplaced[class]);
                if count > 0 {
                    reduced.take(class, i64::from(count), &mut rooms[at]);
                    add_count(&mut node.counts, class, count);
                    packing.unplaced[class] -= count;
                }
            }
            at += 1;
        }
    }
}
