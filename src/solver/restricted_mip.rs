//! The restricted master as a mixed-integer program: the best combination of patterns that are known already.
//!
//! Only patterns whose reduced cost is below the gap between incumbent and bound can be part of a better solution, so the others are
//! left out. Exchange columns stay in, as integers: the answer is in slots and is dealt out like a dive's.

use crate::solver::choices::keeps_rows;
use crate::solver::column_generation::Master;
use crate::solver::control::Control;
use crate::solver::diving::{Guide, deal};
use crate::solver::dual_bound::DualPoint;
use crate::solver::lp_backend::LpStatus;
use crate::solver::packing::Packing;
use crate::solver::pattern_generation::Pattern;
use crate::solver::presolve::Reduced;

/// Columns that the program takes at most; the cheapest by reduced cost.
const MOST_COLUMNS: usize = 1500;
/// Work of a solve besides its simplex iterations: building, cuts and heuristics.
const SOLVE_WORK: u64 = 200_000;
/// Branch-and-bound nodes, the deterministic limit.
const MOST_NODES: i32 = 3000;

/// A packing from the best combination of `extra` and the master's patterns; `None` when no better one was found in time.
pub(super) fn restricted_mip(
    reduced: &Reduced,
    master: &Master<'_>,
    point: &DualPoint,
    incumbent: &Packing,
    extra: &[Pattern],
    guide: &Guide,
    share: f64,
    control: &mut Control<'_>,
) -> Option<Packing> {
    let objective = incumbent.objective(reduced) as f64 / master.unit;
    let allowance = master.allowances(&point.side_duals);
    let gap = objective - point.bound;
    let mut chosen: Vec<(f64, Pattern)> = master
        .patterns
        .iter()
        .chain(extra)
        .map(|pattern| (master.reduced_cost(pattern, &allowance, &point.duals), pattern.clone()))
        .filter(|(cost, _)| *cost < gap)
        .collect();
    chosen.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    chosen.dedup_by(|a, b| a.1 == b.1);
    chosen.truncate(MOST_COLUMNS);
    let mut patterns: Vec<Pattern> = incumbent.nodes.clone();
    patterns.extend(chosen.into_iter().map(|(_, pattern)| pattern));
    patterns.sort();
    patterns.dedup();
    let start: Vec<f64> =
        patterns.iter().map(|pattern| incumbent.nodes.iter().filter(|node| *node == pattern).count() as f64).collect();
    let mut program = master.integer_program(&patterns, &start, &incumbent.unplaced, &incumbent.choices);
    program.set_node_limit(MOST_NODES);
    program.set_mip_gap((control.target_gap() * 0.5).max(1e-6));
    if let Some(seconds) = control.seconds(share) {
        program.set_time_limit(seconds);
    }
    let status = program.solve();
    control.spend(program.iterations() * (2 * reduced.classes() as u64 + 50) + SOLVE_WORK);
    if !matches!(status, LpStatus::Optimal | LpStatus::Limit) {
        return None;
    }
    let (values, _) = program.solution();
    let first = reduced.classes();
    let choices: Vec<i64> = values[first..first + reduced.choices.len()].iter().map(|value| value.round() as i64).collect();
    if !keeps_rows(reduced, &choices) {
        return None;
    }
    let values = &values[values.len() - patterns.len()..];
    let fixed: Vec<(Pattern, u32)> = patterns
        .into_iter()
        .zip(values)
        .filter(|(_, value)| **value > 0.5)
        .map(|(pattern, value)| (pattern, value.round() as u32))
        .collect();
    let mut limits = reduced.limits.clone();
    for (pattern, times) in &fixed {
        for &(row, amount) in &reduced.shapes[pattern.shape].usage {
            limits[row] -= amount * i64::from(*times);
        }
    }
    if fixed.is_empty() || limits.iter().any(|&left| left < 0) {
        return None;
    }
    Some(deal(reduced, fixed, &Guide { choices, ..guide.clone() }))
}
