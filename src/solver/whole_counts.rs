//! Packing into given nodes: where the number of nodes of every shape is fixed, what is the best that they can hold?
//!
//! A branch whose counts are whole says what would be bought, not that the pods fit. This asks the question as a small mixed-integer
//! program (a count per node and class, capacity rows, the least sum of penalties and of what choices cost): either the best packing comes out, or the
//! combination of nodes is proven to be no better than the incumbent. Rules about single nodes are left out of the program, which
//! proves no less by it; a packing that breaks one decides nothing.

use crate::solver::choices;
use crate::solver::control::Control;
use crate::solver::lp_backend::{Lp, LpColumn, LpStatus};
use crate::solver::packing::Packing;
use crate::solver::pattern_generation::Pattern;
use crate::solver::presolve::Reduced;
use crate::solver::variants::{LeastCost, least_cost, parts};

/// More nodes than this are not tried: the program has as many copies of every class.
const MOST_NODES: usize = 16;
/// Branch-and-bound nodes, the deterministic limit.
const SEARCH_NODES: i32 = 3000;
/// How many times the least penalty the largest may be.
const LARGEST_RATIO: i64 = 1_000_000;
/// Work of a solve besides its simplex iterations.
const SOLVE_WORK: u64 = 100_000;

/// What is known about a combination of nodes.
pub(super) enum Verdict {
    /// Nothing better fits than this.
    Best(Packing),
    /// No packing of it is better than the incumbent.
    Worse,
    /// Not decided within the limits.
    Open,
}

/// Decides what fits on `nodes` (one base per node, which may be a variant of it, also in part).
pub(super) fn packs(reduced: &Reduced, nodes: &[usize], control: &mut Control<'_>) -> Verdict {
    let Some(LeastCost { cost: bought, shapes: nodes }) = least_cost(reduced, nodes) else { return Verdict::Open };
    let nodes = nodes.as_slice();
    let exact = nodes.iter().all(|&shape| reduced.shapes[shape].capacity == reduced.shapes[shape].bound_capacity);
    let of_choices = reduced.choices.iter().map(|choice| choice.cost).filter(|&cost| cost > 0);
    let prices = reduced.penalty.iter().copied().chain(of_choices);
    let (least, largest) = prices.fold((i64::MAX, 1), |(a, b), price| (a.min(price), b.max(price)));
    // Prices that are further apart drown in the tolerances.
    let comparable = largest / least.max(1) <= LARGEST_RATIO;
    if nodes.is_empty() || nodes.len() > MOST_NODES || !exact || !comparable {
        return Verdict::Open;
    }
    let (classes, dims) = (reduced.classes(), reduced.dimensions);
    let mut rows: Vec<(f64, f64)> = reduced.demand.iter().map(|&n| (f64::from(n), f64::from(n))).collect();
    let first_choice_row = rows.len() + nodes.len() * dims;
    for &shape in nodes {
        rows.extend(reduced.shapes[shape].capacity.iter().map(|&room| (f64::NEG_INFINITY, room as f64)));
    }
    let mut columns: Vec<LpColumn> = (0..classes)
        .map(|class| LpColumn {
            cost: reduced.penalty[class] as f64 / least as f64,
            upper: f64::from(reduced.most_demand[class]),
            entries: vec![(class, 1.0)],
        })
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
        columns.push(LpColumn { cost: choice.cost as f64 / least as f64, upper: choice.upper as f64, entries });
    }
    let mut program = Lp::new(&rows);
    program.add_columns(&columns);
    for (at, choice) in reduced.choices.iter().enumerate() {
        program.set_column(integer + at, choice.lower as f64, choice.upper as f64);
    }
    program.make_integer(columns.len());
    program.set_mip_gap(0.0);
    program.set_node_limit(SEARCH_NODES);
    if let Some(seconds) = control.seconds(0.1) {
        program.set_time_limit(seconds);
    }
    let status = program.solve();
    control.spend(program.iterations() * (2 * rows.len() as u64 + 50) + SOLVE_WORK);
    let (values, _) = program.solution();
    if !matches!(status, LpStatus::Optimal | LpStatus::Limit) {
        return Verdict::Open;
    }
    let left = values.iter().take(classes).map(|value| value.round() as i64);
    let penalties = left.zip(&reduced.penalty).map(|(pods, &penalty)| pods.saturating_mul(penalty));
    let chosen: Vec<i64> = values[integer..].iter().map(|value| value.round() as i64).collect();
    let of_choices = chosen.iter().zip(&reduced.choices).map(|(value, choice)| value.saturating_mul(choice.cost));
    let penalties = penalties.chain(of_choices).fold(0, i64::saturating_add);
    if status == LpStatus::Optimal && bought.saturating_add(penalties) >= control.incumbent() {
        return Verdict::Worse;
    }
    // A search that was cut off proves nothing but that everything fits.
    if status == LpStatus::Limit && penalties > 0 {
        return Verdict::Open;
    }
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
    // Each part of a node is rounded down to a micro-dollar.
    let rounding = parts(&packing, reduced).len() as i64;
    let sound = packing.objective(reduced) <= bought + penalties + rounding && packing.limits.iter().all(|&left| left >= 0);
    if sound { Verdict::Best(packing) } else { Verdict::Open }
}
