//! The solvers that are built in, and how one of them answers a question in the words of the protocol.
//!
//! All of them read the same program (`models/README.md`) and answer through the same way from program to plan: whatever the method, a node is
//! sized down to the cheapest offering that holds its pods, as a launch would be. So all of them know every rule that the
//! program knows; those that are rules of thumb leave the choice of zones at an even division, where ours moves it.
//!
//! A built-in solver runs in a process of its own, like a peer (`supercargo bench solve`): so its memory is its own, and it is timed
//! and ended in the same way.

use std::time::{Duration, Instant};

use crate::benchmark::instance::{COSTS, Loaded};
use crate::benchmark::machine;
use crate::benchmark::protocol::{Answer, FORMAT, Point, Status};
use crate::domain::money::UsdPerHour;
use crate::domain::plan::StopReason;
use crate::planning::{PlanError, plan_by};
use crate::solver::{self, Clock, Problem, Progress, Rival, Solution, SolveConfig, SolveError};

/// A solver of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltIn {
    /// The engine that plans.
    Supercargo,
    /// First-fit decreasing as Karpenter packs (core v1.15.0): pods by CPU, then memory, largest first; each to the open node with the fewest
    /// pods that still takes it; an open node stands for every offering that holds its pods, and the cheapest of them is bought in the end.
    FirstFit,
    /// The compact mixed-integer program, handed to HiGHS through good_lp. Cannot state what has too many columns.
    CompactMip,
    /// A covering program over offerings for the mean pod, as KubePACS does it, then first-fit into its nodes.
    MeanPod,
    /// Nodes by least cost per value of what they hold, at prices of resources that a small linear program gives.
    PriceGuided,
}

impl BuiltIn {
    /// Every one of them, ours first.
    pub const ALL: [Self; 5] = [Self::Supercargo, Self::FirstFit, Self::CompactMip, Self::MeanPod, Self::PriceGuided];

    /// How records and the command line call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Supercargo => "supercargo",
            Self::FirstFit => "first-fit",
            Self::CompactMip => "compact-mip",
            Self::MeanPod => "mean-pod",
            Self::PriceGuided => "price-guided",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|solver| solver.name() == name)
    }

    /// Whether it uses every budget to get better; the compact model does too, but gets nowhere in a second.
    #[must_use]
    pub fn is_anytime(self) -> bool {
        self == Self::Supercargo
    }

    /// Its version: that of this program, of which all of them are parts.
    #[must_use]
    pub fn version() -> String {
        format!("supercargo {}", env!("CARGO_PKG_VERSION"))
    }

    fn solve(
        self,
        problem: &Problem,
        config: &SolveConfig,
        clock: Clock<'_>,
        observer: &mut dyn FnMut(Progress),
    ) -> Result<Solution, SolveError> {
        let rival = match self {
            Self::Supercargo => return solver::solve(problem, config, clock, observer),
            Self::FirstFit => Rival::FirstFit,
            Self::CompactMip => Rival::Compact,
            Self::MeanPod => Rival::MeanPod,
            Self::PriceGuided => Rival::PriceGuided,
        };
        solver::solve_as(rival, problem, config, clock, observer)
    }

    /// Plans for what `loaded` describes within `budget`. Times count from here, so that what comes before the solver counts too.
    #[must_use]
    pub fn answer(self, loaded: &Loaded, budget: Duration, seed: u64) -> Answer {
        let Loaded { cluster, catalog } = loaded;
        let config = SolveConfig { gap: 0.0, work_limit: None, deadline: Some(budget), seed };
        let mut heard: Vec<Progress> = Vec::new();
        machine::forget_peak();
        let start = Instant::now();
        let engine = |problem: &Problem, config: &SolveConfig, clock: Clock<'_>, observer: &mut dyn FnMut(Progress)| {
            self.solve(problem, config, clock, observer)
        };
        let planned =
            plan_by(&engine, cluster, catalog, &COSTS, &config, &|| start.elapsed(), &mut |progress| heard.push(progress));
        let solve_seconds = start.elapsed().as_secs_f64();
        let peak_bytes = machine::peak();
        let without =
            |status, reason: &PlanError| Answer::without_plan(Self::version(), status, reason.to_string(), solve_seconds);
        let plan = match planned {
            Ok(planned) => planned.plan,
            Err(problem @ PlanError::Solve(SolveError::TooLarge { .. })) => return without(Status::CannotState, &problem),
            Err(problem @ PlanError::Solve(SolveError::NothingFound)) => return without(Status::NothingFound, &problem),
            Err(problem) => return without(Status::Failed, &problem),
        };
        let has_bound = plan.bound > UsdPerHour::ZERO || plan.stopped_by == StopReason::Optimal;
        let bound = has_bound.then(|| plan.bound.dollars());
        let stopped_by = match plan.stopped_by {
            // A rule of thumb ends when it is through.
            StopReason::WorkLimit => "ended",
            other => other.as_str(),
        };
        let last = Point { seconds: solve_seconds, cost: Some(plan.value().dollars()), bound };
        let (nodes, existing) = Answer::choices(&plan, cluster);
        // The way to a plan that leaves pods was measured in their penalties.
        let way = if plan.unplaced.is_empty() { heard.as_slice() } else { &[] };
        Answer {
            format: FORMAT.to_owned(),
            version: Self::version(),
            status: Status::Solved,
            reason: String::new(),
            nodes,
            existing,
            bound,
            first_plan_seconds: Some(heard.first().map_or(solve_seconds, |progress| progress.elapsed.as_secs_f64())),
            trajectory: trajectory(way, last),
            solve_seconds,
            stopped_by: Some(stopped_by.to_owned()),
            peak_bytes,
        }
    }
}

/// What was heard on the way, each change once, and what came of it. A plan on the way counts the penalties of the pods that it leaves; where
/// that is no amount of dollars any more, it is as if there were no plan yet.
fn trajectory(heard: &[Progress], last: Point) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    let dollars = |micros: i64| UsdPerHour::from_micros(micros).dollars();
    let is_amount = |micros: i64| UsdPerHour::from_dollars(dollars(micros)).is_some();
    for progress in heard.iter().filter(|progress| is_amount(progress.incumbent)) {
        let bound = (progress.bound > 0).then(|| dollars(progress.bound));
        let point = Point { seconds: progress.elapsed.as_secs_f64(), cost: Some(dollars(progress.incumbent)), bound };
        let is_new = points.last().is_none_or(|before| (before.cost, before.bound) != (point.cost, point.bound));
        // Tiers and rounds begin again; what was there before stays there.
        let is_later = points.last().is_none_or(|before| before.seconds <= point.seconds);
        if is_new && is_later {
            points.push(point);
        }
    }
    points.push(last);
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::instance::fixtures::{small, suite};
    use crate::benchmark::record::Outcome;
    use crate::benchmark::run::judged;

    #[test]
    fn names_are_read_back() {
        for solver in BuiltIn::ALL {
            assert_eq!(BuiltIn::parse(solver.name()), Some(solver));
        }
        assert_eq!(BuiltIn::parse("karpenter"), None);
    }

    #[test]
    fn every_solver_has_a_verified_plan_for_a_small_cluster() {
        let loaded = small().load(suite()).expect("the instance is sound");
        let mut costs = Vec::new();
        for solver in BuiltIn::ALL {
            let answer = solver.answer(&loaded, Duration::from_secs(2), 1);
            let judged = judged(&loaded, &answer);
            let Outcome::Solved(solved) = &judged.outcome else { panic!("{}: {:?}", solver.name(), judged.outcome) };
            assert!(solved.verified, "{}: {:?}", solver.name(), solved.violations);
            assert_eq!((solved.unplaced, solved.cost), (0, answer.trajectory.last().and_then(|p| p.cost).unwrap_or(0.0)));
            costs.push(solved.cost);
        }
        let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
        assert!((costs[0] - least).abs() < 1e-9, "ours is the cheapest: {costs:?}");
    }

    #[test]
    fn a_plan_that_leaves_pods_tells_when_the_first_one_came_and_no_penalties() {
        let mut document = small();
        let pool = document.objects.iter_mut().find(|object| object["kind"] == "NodePool").expect("it has one");
        pool["spec"]["limits"] = serde_json::json!({ "cpu": "4" });
        let loaded = document.load(suite()).expect("the instance is sound");
        let answer = BuiltIn::Supercargo.answer(&loaded, Duration::from_secs(2), 1);
        let judged = judged(&loaded, &answer);
        let Outcome::Solved(solved) = &judged.outcome else { panic!("{:?}", judged.outcome) };
        assert_eq!((solved.verified, solved.unplaced), (true, 2));
        let costs: Vec<Option<f64>> = answer.trajectory.iter().map(|point| point.cost).collect();
        assert_eq!(costs, [Some(solved.cost)]);
        assert!(answer.first_plan_seconds.is_some_and(|first| first < answer.solve_seconds), "{answer:?}");
    }

    #[test]
    fn a_trajectory_has_each_change_once() {
        let progress = |millis, incumbent, bound| Progress {
            stage: solver::Stage::FirstFit,
            incumbent,
            bound,
            elapsed: Duration::from_millis(millis),
        };
        let penalties = 2_000_000_000_000_000;
        let heard = [
            progress(1, i64::MAX, 5),
            progress(1, penalties, 5),
            progress(2, 2_000_000, 0),
            progress(3, 2_000_000, 0),
            progress(4, 2_000_000, 1_000_000),
        ];
        let last = Point { seconds: 1.0, cost: Some(1.5), bound: Some(1.0) };
        let points: Vec<(Option<f64>, Option<f64>)> = trajectory(&heard, last).iter().map(|p| (p.cost, p.bound)).collect();
        assert_eq!(points, [(Some(2.0), None), (Some(2.0), Some(1.0)), (Some(1.5), Some(1.0))]);
    }
}
