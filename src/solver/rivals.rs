//! Other methods on the same program, to compare the engine with. They read the [`Problem`] that the engine reads, and what they answer takes
//! the same way to a plan, so that nothing but the method differs.
//!
//! All but the compact model leave the choices (how many pods of a workload go to which zone) at their starts, which are as even as the
//! rules ask for. None but the compact model has a bound.

mod model;
mod price_guided;

use crate::solver::config::{SolveConfig, SolveError};
use crate::solver::control::Control;
use crate::solver::engine::{self, Outcome};
use crate::solver::first_fit::first_fit;
use crate::solver::mean_pod;
use crate::solver::packing::Packing;
use crate::solver::presolve::presolve;
use crate::solver::problem::Problem;
use crate::solver::solution::{FirstFit, Progress, Solution, Stage, Stop};
use crate::solver::{Clock, assemble};

/// Share of the budget that one covering program of [`Rival::MeanPod`] may take.
const MEAN_POD_SHARE: f64 = 0.25;

/// A method besides the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// First-fit decreasing as Karpenter packs; the yardstick of every plan ([`FirstFit`]), here as a packing.
    FirstFit,
    /// The compact mixed-integer program of [`crate::solver::compact`], solved by HiGHS until the deadline.
    Compact,
    /// A covering program for the mean pod, then first-fit into the nodes that it buys.
    MeanPod,
    /// Nodes by least cost per value of what they hold, at prices of the resources.
    PriceGuided,
}

/// Solves `problem` by `rival`; `observer` hears of its packing.
///
/// # Errors
/// When the parts of the problem do not fit together; of [`Rival::Compact`] also when the model is too large, or has no packing in time.
pub fn solve_as(
    rival: Rival,
    problem: &Problem,
    config: &SolveConfig,
    clock: Clock<'_>,
    observer: &mut dyn FnMut(Progress),
) -> Result<Solution, SolveError> {
    problem.check()?;
    let reduced = presolve(problem);
    let mut control = Control::new(config, clock, observer);
    let mut bound = None;
    let packing = if reduced.classes() == 0 {
        Packing::empty(&reduced, reduced.start())
    } else {
        match rival {
            Rival::FirstFit => first_fit(&reduced, &reduced.start()),
            Rival::PriceGuided => price_guided::packing(&reduced),
            Rival::MeanPod => mean_pod::packing(&reduced, MEAN_POD_SHARE, &mut control),
            Rival::Compact => {
                let solved = model::packing(&reduced, &control)?;
                bound = solved.bound;
                solved.packing
            }
        }
    };
    control.lower_incumbent(packing.objective(&reduced), Stage::FirstFit);
    if let Some(bound) = bound {
        control.raise_bound(bound, Stage::Branching);
    }
    let yardstick = if rival == Rival::FirstFit { engine::yardstick(&reduced, &packing) } else { FirstFit::default() };
    let outcome = Outcome { packing, first_fit: yardstick, duals: Vec::new() };
    let solution = assemble(problem, &reduced, &outcome, &control);
    // A rule of thumb that is through has done all the work that it ever does.
    let stop = if solution.stop == Stop::GapReached { Stop::WorkLimit } else { solution.stop };
    Ok(Solution { stop, ..solution })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fixedbitset::FixedBitSet;

    use super::*;
    use crate::solver::problem::{Class, Shape, SideRow};

    const ALL: [Rival; 4] = [Rival::FirstFit, Rival::Compact, Rival::MeanPod, Rival::PriceGuided];

    fn class(demand: u32, request: [i64; 2]) -> Class {
        Class { demand, request: request.to_vec(), penalty: 1_000_000, most_per_node: u32::MAX, family: 0 }
    }

    fn shape(capacity: [i64; 2], cost: i64, usage: Vec<(usize, i64)>) -> Shape {
        let capacity = capacity.to_vec();
        Shape { bound_capacity: capacity.clone(), capacity, cost, eligible: 0, usage, base: None }
    }

    /// Pods of 3 and 1 on shapes of 4 for 10 and 8 for 21, which a first-fit that opens the roomiest shape prefers.
    fn problem(side_rows: Vec<SideRow>, usage: &[(usize, i64)]) -> Problem {
        let mut everything = FixedBitSet::with_capacity(2);
        everything.insert_range(..);
        Problem {
            dimensions: 2,
            classes: vec![class(4, [3, 1]), class(4, [1, 1])],
            shapes: vec![shape([4, 8], 10, usage.to_vec()), shape([8, 8], 21, usage.to_vec())],
            eligibility: vec![everything],
            side_rows,
            ..Problem::default()
        }
    }

    fn solved(rival: Rival, problem: &Problem) -> Solution {
        let config = SolveConfig { gap: 0.0, work_limit: None, deadline: Some(Duration::from_secs(20)), seed: 1 };
        solve_as(rival, problem, &config, &|| Duration::ZERO, &mut |_| {}).expect("the program is sound")
    }

    #[test]
    fn every_method_places_all_pods_within_the_room() {
        let problem = problem(Vec::new(), &[]);
        for rival in ALL {
            let solution = solved(rival, &problem);
            assert_eq!(solution.unplaced, [0, 0], "{rival:?}");
            let mut placed = [0; 2];
            for pattern in &solution.patterns {
                for d in 0..2 {
                    let load: i64 = pattern.counts.iter().map(|&(c, n)| problem.classes[c].request[d] * i64::from(n)).sum();
                    assert!(load <= problem.shapes[pattern.shape].capacity[d], "{rival:?}: {pattern:?}");
                }
                pattern.counts.iter().for_each(|&(c, n)| placed[c] += n * pattern.nodes);
            }
            assert_eq!(placed, [4, 4], "{rival:?}");
            assert!(solution.cost >= 40, "{rival:?}: four nodes of 4 are the optimum");
        }
    }

    #[test]
    fn the_compact_model_alone_proves_its_packing() {
        let problem = problem(Vec::new(), &[]);
        let compact = solved(Rival::Compact, &problem);
        assert_eq!((compact.cost, compact.bound, compact.stop), (40, 40, Stop::Optimal));
        for rival in [Rival::FirstFit, Rival::MeanPod, Rival::PriceGuided] {
            let solution = solved(rival, &problem);
            assert_eq!((solution.bound, solution.stop), (0, Stop::WorkLimit), "{rival:?}");
        }
    }

    #[test]
    fn limits_hold_for_every_method() {
        let problem = problem(vec![SideRow { limit: 1 }], &[(0, 1)]);
        for rival in ALL {
            let solution = solved(rival, &problem);
            let nodes: u32 = solution.patterns.iter().map(|pattern| pattern.nodes).sum();
            assert_eq!(nodes, 1, "{rival:?}");
            assert!(solution.unplaced.iter().sum::<u32>() >= 3, "{rival:?}: {:?}", solution.unplaced);
        }
    }

    #[test]
    fn first_fit_is_the_yardstick_of_the_engine() {
        let problem = problem(Vec::new(), &[]);
        let config = SolveConfig { gap: 0.0, work_limit: Some(1_000), deadline: None, seed: 1 };
        let engine = crate::solver::solve(&problem, &config, &|| Duration::ZERO, &mut |_| {}).expect("the program is sound");
        let own = solved(Rival::FirstFit, &problem);
        assert_eq!(own.first_fit, engine.first_fit);
        assert_eq!(own.cost, engine.first_fit.cost);
    }
}
