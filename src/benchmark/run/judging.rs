//! From an answer to figures that count: the plan that it means, and what the verifier says of it.

use crate::benchmark::instance::{COSTS, Loaded};
use crate::benchmark::protocol::{Answer, Point, Status};
use crate::benchmark::record::{Outcome, Solved};
use crate::domain::interruption::InterruptionCosts;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::Plan;
use crate::planning::plan_of;
use crate::planning::verifier;

/// Broken rules that a record lists.
const MOST_VIOLATIONS: usize = 5;
/// Points of a trajectory that a record has; more is not seen in a curve.
const MOST_POINTS: usize = 1_000;
/// By so much, in dollars per hour, may a figure lie above another one that it must not exceed: half a micro-dollar.
const SLACK: f64 = 5e-7;

/// An outcome and the plan that it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// What came of the run; the primal integral, the certificate and what the process took are not in it.
    pub outcome: Outcome,
    /// The plan.
    pub plan: Option<Plan>,
}

impl Judged {
    fn failed(reason: String) -> Self {
        Self { outcome: Outcome::Failed { reason }, plan: None }
    }
}

/// What `answer` comes to on the instance `loaded`.
#[must_use]
pub fn judged(loaded: &Loaded, answer: &Answer) -> Judged {
    let without = |outcome| Judged { outcome, plan: None };
    let reason = answer.reason.clone();
    match answer.status {
        Status::Solved => {}
        Status::CannotState => return without(Outcome::CannotState { reason }),
        Status::NothingFound => return without(Outcome::NothingFound { reason }),
        Status::Failed => return without(Outcome::Failed { reason }),
    }
    if let Err(problem) = check_times(answer) {
        return Judged::failed(format!("no answer: {problem}"));
    }
    let stated = match answer.stated(&loaded.cluster) {
        Ok(stated) => stated,
        Err(problem) => return Judged::failed(format!("no answer: {problem}")),
    };
    let plan = match plan_of(&stated, &loaded.cluster, &loaded.catalog, &COSTS) {
        Ok(planned) => planned.plan,
        Err(problem) => return Judged::failed(format!("no answer: {problem}")),
    };
    let verdict = verifier::verify(&loaded.cluster, &loaded.catalog, &plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE);
    let mut violations: Vec<String> = verdict.violations.iter().take(MOST_VIOLATIONS).map(ToString::to_string).collect();
    let cost = plan.value().dollars();
    // The plan's own bound was cut to its value, so that a false claim does not spoil the plan; the claim is judged here.
    if stated.bound > plan.value() {
        violations.push(format!("the bound ${} lies above the plan's value ${cost}", stated.bound));
    }
    let bound = answer.bound.map(|_| stated.bound.dollars());
    let gap = bound.map(|bound| if cost > 0.0 { (cost - bound) / cost } else { 0.0 });
    let solved = Solved {
        cost,
        bound,
        gap,
        nodes: plan.nodes.len(),
        unplaced: plan.unplaced.len(),
        stopped_by: answer.stopped_by.clone().unwrap_or_else(|| "ended".to_owned()),
        seconds: answer.solve_seconds,
        process_seconds: None,
        first_plan_seconds: answer.first_plan_seconds,
        trajectory: trajectory(answer, cost, bound),
        primal_integral: None,
        peak_bytes: answer.peak_bytes,
        verified: violations.is_empty(),
        violations,
        certificate: None,
    };
    Judged { outcome: Outcome::Solved(Box::new(solved)), plan: Some(plan) }
}

/// Times are finite, at least 0, and ascend.
fn check_times(answer: &Answer) -> Result<(), String> {
    let is_time = |seconds: f64| seconds.is_finite() && seconds >= 0.0;
    if !is_time(answer.solve_seconds) {
        return Err(format!("solveSeconds: is {}; give seconds of at least 0", answer.solve_seconds));
    }
    if answer.first_plan_seconds.is_some_and(|seconds| !is_time(seconds)) {
        return Err("firstPlanSeconds: give seconds of at least 0".to_owned());
    }
    let mut before = 0.0;
    for (at, point) in answer.trajectory.iter().enumerate() {
        let sound = [point.cost, point.bound].into_iter().flatten().all(|amount| amount.is_finite() && amount >= 0.0);
        if !is_time(point.seconds) || point.seconds < before || !sound {
            return Err(format!("trajectory[{at}]: give seconds in ascending order, and dollars per hour of at least 0"));
        }
        before = point.seconds;
    }
    Ok(())
}

/// What the solver says of its way, thinned out where it says much, and what it came to by the verifier's figures. A point cheaper than the
/// plan that came out was no plan for all of its pods.
fn trajectory(answer: &Answer, cost: f64, bound: Option<f64>) -> Vec<Point> {
    let step = answer.trajectory.len().div_ceil(MOST_POINTS).max(1);
    let mut points: Vec<Point> = answer.trajectory.iter().copied().step_by(step).collect();
    points.retain(|point| point.cost.is_none_or(|of| of >= cost - SLACK) && point.seconds <= answer.solve_seconds);
    let last = Point { seconds: answer.solve_seconds, cost: Some(cost), bound };
    if points.last() != Some(&last) {
        points.push(last);
    }
    points
}
