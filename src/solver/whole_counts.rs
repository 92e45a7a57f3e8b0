//! Packing into given nodes: where the number of nodes of every shape is fixed, is there room for all pods?
//!
//! A branch whose counts are whole says what would be bought, not that the pods fit. This asks the question as a small mixed-integer
//! program (a count per node and class, capacity rows, as few unplaced pods as possible): either a packing comes out, or the
//! combination of nodes is proven too small. Rules about single nodes are left out of the program, which proves no less by it; a
//! packing that breaks one decides nothing.

use crate::solver::choices;
use crate::solver::control::Control;
use crate::solver::lp_backend::{Lp, LpColumn, LpStatus};
use crate::solver::packing::Packing;
use crate::solver::pattern_generation::Pattern;
use crate::solver::presolve::Reduced;

/// More nodes than this are not tried: the program has as many copies of every class.
const MOST_NODES: usize = 16;
/// Branch-and-bound nodes, the deterministic limit.
const SEARCH_NODES: i32 = 3000;
/// Work of a solve besides its simplex iterations.
const SOLVE_WORK: u64 = 100_000;

/// What is known about a combination of nodes.
pub(super) enum Verdict {
    /// All pods fit like this.
    Fits(Packing),
    /// They do not.
    TooSmall,
    /// Not decided within the limits.
    Open,
}

/// Decides whether all pods fit on `nodes` (one shape per node).
pub(super) fn packs(reduced: &Reduced, nodes: &[usize], control: &mut Control<'_>) -> Verdict {
    // What the choices cost is not a matter of the nodes alone.
    let free = reduced.choices.iter().all(|choice| choice.cost == 0);
    let exact = free && nodes.iter().all(|&shape| reduced.shapes[shape].capacity == reduced.shapes[shape].bound_capacity);
    if nodes.is_empty() || nodes.len() > MOST_NODES || !exact {
        return Verdict::Open;
    }
    let (classes, dims) = (reduced.classes(), reduced.dimensions);
    let mut rows: Vec<(f64, f64)> = reduced.demand.iter().map(|&n| (f64::from(n), f64::from(n))).collect();
    let first_choice_row = rows.len() + nodes.len() * dims;
    for &shape in nodes {
        rows.extend(reduced.shapes[shape].capacity.iter().map(|&room| (f64::NEG_INFINITY, room as f64)));
    }
    let mut columns: Vec<LpColumn> = (0..classes)
        .map(|class| LpColumn { cost: 1.0, upper: f64::from(reduced.most_demand[class]), entries: vec![(class, 1.0)] })
        .collect();
    let mut placed: Vec<(usize, usize)> = Vec::new();
    for (node, &shape) in nodes.iter().enumerate() {
        let s = &reduced.shapes[shape];
        for &class in &reduced.eligible[s.eligible] {
            let most = reduced.copies_beside(class, &s.capacity, &[]).min(reduced.most_demand[class]);
            if most > 0 {
                let mut entries = vec![(class, 1.0)];
                let request = reduced.request_of(class).iter().enumerate().filter(|(_, amount)| **amount > 0);
                entries.extend(request.map(|(d, &amount)| (classes + node * dims + d, amount as f64)));
                columns.push(LpColumn { cost: 0.0, upper: f64::from(most), entries });
                placed.push((node, class));
            }
        }
    }
    rows.extend(choices::rows(reduced));
    let integer = columns.len();
    for (choice, mut entries) in reduced.choices.iter().zip(choices::entries(reduced, first_choice_row)) {
        entries.extend(choice.demand.iter().map(|&(class, pods)| (class, -f64::from(pods))));
        columns.push(LpColumn { cost: 0.0, upper: choice.upper as f64, entries });
    }
    let mut program = Lp::new(&rows);
    program.add_columns(&columns);
    for (at, choice) in reduced.choices.iter().enumerate() {
        program.set_column(integer + at, choice.lower as f64, choice.upper as f64);
    }
    program.make_integer(columns.len());
    program.set_node_limit(SEARCH_NODES);
    if let Some(seconds) = control.seconds(0.1) {
        program.set_time_limit(seconds);
    }
    let status = program.solve();
    control.spend(program.iterations() * (2 * rows.len() as u64 + 50) + SOLVE_WORK);
    let (values, _) = program.solution();
    let unplaced: f64 = values.iter().take(classes).sum();
    if status == LpStatus::Optimal && unplaced > 0.5 {
        return Verdict::TooSmall;
    }
    if !matches!(status, LpStatus::Optimal | LpStatus::Limit) || unplaced > 1e-6 {
        return Verdict::Open;
    }
    let chosen: Vec<i64> = values[integer..].iter().map(|value| value.round() as i64).collect();
    if !choices::keeps_rows(reduced, &chosen) {
        return Verdict::Open;
    }
    let mut counts: Vec<Vec<(usize, u32)>> = vec![Vec::new(); nodes.len()];
    for (&(node, class), value) in placed.iter().zip(&values[classes..]) {
        let count = value.round() as u32;
        if count > 0 {
            counts[node].push((class, count));
        }
    }
    let mut packing = Packing::empty(reduced, chosen);
    for (counts, &shape) in counts.into_iter().zip(nodes) {
        let mut room = reduced.shapes[shape].capacity.clone();
        for &(class, count) in &counts {
            reduced.take(class, i64::from(count), &mut room);
            if count > packing.unplaced[class] {
                return Verdict::Open;
            }
        }
        // Values of a mixed-integer solve are whole only to a tolerance; what it says is checked in whole numbers.
        if room.iter().any(|&left| left < 0) || !reduced.node_rules.iter().all(|rule| rule.holds(&counts)) {
            return Verdict::Open;
        }
        if !counts.is_empty() {
            packing.push(reduced, Pattern { shape, counts });
        }
    }
    let whole = packing.unplaced.iter().all(|&n| n == 0) && packing.limits.iter().all(|&left| left >= 0);
    if whole { Verdict::Fits(packing) } else { Verdict::Open }
}
