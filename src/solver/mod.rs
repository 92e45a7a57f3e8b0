//! The engine: [`Problem`] → [`Solution`]. Numbers only: no Kubernetes, no AWS, no I/O, and no clock but the one it is handed.
//!
//! The formulation is in `models/README.md`; the names here are those of that page.

mod aggregation;
mod branching;
mod choices;
mod column_generation;
pub mod compact;
mod config;
mod control;
mod core_table;
mod dense;
mod diving;
mod dual_bound;
mod engine;
mod first_fit;
mod knapsack;
mod local_search;
mod lp_backend;
mod mean_pod;
mod packing;
mod pattern_generation;
mod places;
mod presolve;
pub mod problem;
mod relaxation;
mod restricted_mip;
mod rivals;
mod ruled;
pub mod solution;
mod variants;
mod warm_start;
mod whole_counts;

use std::collections::BTreeMap;
use std::time::Duration;

pub use config::{SolveConfig, SolveError};
pub use problem::{Choice, ChoiceRow, Class, NodeRule, Problem, ProblemError, Shape, SideRow};
pub use rivals::{Rival, solve_as};
pub use solution::{Effort, FirstFit, PatternUse, Progress, Solution, Stage, Statistics, Stop};

/// Time since the start of the solve, as the caller measures it.
pub type Clock<'a> = &'a (dyn Fn() -> Duration + Sync);

/// Solves `problem` within the limits of `config`; `observer` hears of every improvement.
///
/// The same problem, work limit and seed give the same solution as long as the deadline does not cut in.
///
/// # Errors
/// When the parts of the problem do not fit together. A pod that fits nowhere is not an error: it is counted in
/// [`Solution::unplaced`].
pub fn solve(
    problem: &Problem,
    config: &SolveConfig,
    clock: Clock<'_>,
    observer: &mut dyn FnMut(Progress),
) -> Result<Solution, SolveError> {
    problem.check()?;
    let reduced = presolve::presolve(problem);
    let mut control = control::Control::new(config, clock, observer);
    let outcome = if reduced.classes() == 0 {
        control.lower_incumbent(0, Stage::FirstFit);
        let packing = packing::Packing::empty(&reduced, reduced.start());
        engine::Outcome { packing, first_fit: FirstFit::default(), duals: Vec::new() }
    } else {
        engine::run(&reduced, &mut control)
    };
    Ok(assemble(problem, &reduced, &outcome, &control))
}

/// The record of a solve with the penalties of the pods that no shape holds.
fn with_forced(mut statistics: Statistics, forced: i64) -> Statistics {
    for (_, value) in statistics.incumbents.iter_mut().chain(&mut statistics.bounds) {
        *value += forced;
    }
    statistics
}

/// The penalties of the pods that no shape holds.
fn forced_penalties(problem: &Problem, reduced: &presolve::Reduced) -> i64 {
    let left = problem.classes.iter().enumerate().filter(|(class, _)| reduced.class_origin.binary_search(class).is_err());
    left.map(|(_, class)| i64::from(class.demand) * class.penalty).sum()
}

/// Translates the engine's answer into the indices of the problem.
fn assemble(
    problem: &Problem,
    reduced: &presolve::Reduced,
    outcome: &engine::Outcome,
    control: &control::Control<'_>,
) -> Solution {
    let forced = forced_penalties(problem, reduced);
    let mut alike: BTreeMap<(usize, Vec<(usize, u32)>), u32> = BTreeMap::new();
    let parts = variants::parts(&outcome.packing, reduced);
    for (number, node) in outcome.packing.nodes.iter().enumerate() {
        let counts = node.counts.iter().map(|&(class, count)| (reduced.class_origin[class], count)).collect();
        let drawn = parts.iter().find(|part| part.node == number).map_or(node.shape, |part| part.variant);
        *alike.entry((reduced.shapes[drawn].origin, counts)).or_default() += 1;
    }
    let whole: i64 = outcome.packing.nodes.iter().map(|node| reduced.shapes[node.shape].cost).sum();
    let cost = whole - parts.iter().map(|part| part.gain).sum::<i64>();
    let patterns: Vec<PatternUse> =
        alike.into_iter().map(|((shape, counts), nodes)| PatternUse { shape, counts, nodes }).collect();
    let choices = outcome.packing.choices.clone();
    let mut unplaced: Vec<u32> = problem.classes.iter().map(|class| class.demand).collect();
    for (class, &left) in outcome.packing.unplaced.iter().enumerate() {
        unplaced[reduced.class_origin[class]] = left;
    }
    let penalties: i64 = unplaced.iter().zip(&problem.classes).map(|(&n, class)| i64::from(n) * class.penalty).sum();
    let mut duals: Vec<f64> = problem.classes.iter().map(|class| class.penalty as f64).collect();
    for (class, &dual) in outcome.duals.iter().enumerate() {
        duals[reduced.class_origin[class]] = dual;
    }
    let forced_pods: u64 =
        unplaced.iter().map(|&n| u64::from(n)).sum::<u64>() - outcome.packing.unplaced.iter().map(|&n| u64::from(n)).sum::<u64>();
    let first_fit = FirstFit { unplaced: outcome.first_fit.unplaced + forced_pods, ..outcome.first_fit.clone() };
    Solution {
        patterns,
        unplaced,
        cost,
        objective: cost + penalties + reduced.cost_of_choices(&choices),
        choices,
        bound: control.bound() + forced,
        duals,
        first_fit,
        stop: control.stop().unwrap_or(Stop::GapReached),
        statistics: with_forced(control.statistics.clone(), forced),
    }
}
