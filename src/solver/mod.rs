//! The engine: [`Problem`] → [`Solution`]. Numbers only: no Kubernetes, no AWS, no I/O, and no clock but the one it is handed.
//!
//! The formulation is in `models/README.md`; the names here are those of that page.

mod config;
mod first_fit;
pub mod problem;
pub mod solution;

use std::time::Duration;

pub use config::{SolveConfig, SolveError};
pub use problem::{Class, Problem, ProblemError, Shape, SideRow};
pub use solution::{FirstFit, PatternUse, Progress, Solution, Stage, Statistics, Stop};

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
    let patterns = first_fit::first_fit(problem);
    let (mut cost, mut nodes) = (0, 0);
    let mut unplaced: Vec<u32> = problem.classes.iter().map(|class| class.demand).collect();
    for pattern in &patterns {
        cost += problem.shapes[pattern.shape].cost * i64::from(pattern.nodes);
        nodes += u64::from(pattern.nodes);
        for &(class, count) in &pattern.counts {
            unplaced[class] -= count * pattern.nodes;
        }
    }
    let penalties: i64 = unplaced.iter().zip(&problem.classes).map(|(&n, class)| i64::from(n) * class.penalty).sum();
    let first_fit = FirstFit { cost, nodes, unplaced: unplaced.iter().map(|&n| u64::from(n)).sum() };
    let objective = cost + penalties;
    observer(Progress { stage: Stage::FirstFit, incumbent: objective, bound: 0, elapsed: clock() });
    let _ = config;
    Ok(Solution {
        patterns,
        unplaced,
        cost,
        objective,
        bound: 0,
        duals: vec![0.0; problem.classes.len()],
        first_fit,
        stop: Stop::WorkLimit,
        statistics: Statistics::default(),
    })
}
