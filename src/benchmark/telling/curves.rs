//! The charts: how often a solver is how near to the best, and how its plan got better over time.

use crate::benchmark::protocol::Point;
use crate::benchmark::record::Solved;
use crate::benchmark::telling::results::{Field, Reference, Results, Scored};
use crate::benchmark::telling::statistics::{cost_at, moments, performance_profile, primal_gap};
use crate::report::html::chart::{Axis, Line, LineChart, Scale};

/// The largest ratio that a profile of costs shows: a plan that costs twice as much is of no use.
const WORST_COST: f64 = 2.0;
/// The largest ratio that a profile of times shows.
const WORST_TIME: f64 = 1_000.0;
/// How broad the lines of plans are, and those of bounds.
const WIDTH: u32 = 2;
const THIN: u32 = 1;
/// How near to the best cost a plan counts as found in a profile of times.
pub const FOUND: f64 = 1.01;

/// The profile of costs in a field; `None` where no solver has a plan to compare.
#[must_use]
pub fn cost_profile(results: &Results<'_>, field: &Field<'_>) -> Option<LineChart> {
    let entries = entries(results, field, |scored| scored.ratio);
    let caption = format!(
        "Performance profile of costs, {}: for each solver, the share of the cases (upwards) that it plans for at most so many times the \
         cost of the best plan (to the right). Higher is better; what a line never reaches has no verified plan, or one that leaves more pods.",
        field.title()
    );
    profile(entries, caption, "times the best cost", WORST_COST)
}

/// The profile of times to a plan within one per cent of the best; `None` where no solver has one. The caller sees to it that all ran on
/// one machine.
#[must_use]
pub fn time_profile(results: &Results<'_>, field: &Field<'_>) -> Option<LineChart> {
    let found = |scored: &Scored<'_>| {
        let plan = scored.verdict.plan()?;
        scored.ratio.filter(|ratio| *ratio <= FOUND).map(|_| plan.seconds.max(f64::MIN_POSITIVE))
    };
    let mut entries = entries(results, field, found);
    let cases = field.cases.len();
    for case in 0..cases {
        let fastest = entries.iter().filter_map(|(_, _, times)| times[case]).min_by(f64::total_cmp);
        for (_, _, times) in &mut entries {
            times[case] = times[case].zip(fastest).map(|(time, fastest)| time / fastest);
        }
    }
    let caption = format!(
        "Performance profile of times, {}: the share of the cases (upwards) for which a solver ends with a plan within 1 % of the best cost, \
         in at most so many times the seconds of the fastest solver that does (to the right). Higher is better.",
        field.title()
    );
    profile(entries, caption, "times the least seconds", WORST_TIME)
}

/// A solver's name, its style, and a figure for each case of a field.
type Entry<'a> = (&'a str, usize, Vec<Option<f64>>);

fn entries<'a>(results: &Results<'_>, field: &'a Field<'_>, figure: impl Fn(&Scored<'_>) -> Option<f64>) -> Vec<Entry<'a>> {
    let of = |solver: &'a String| {
        let all = field.cases.values().map(|all| all.get(solver).and_then(&figure)).collect();
        (solver.as_str(), style(results, solver), all)
    };
    field.solvers.iter().map(of).filter(|(_, _, all): &Entry<'_>| all.iter().any(Option::is_some)).collect()
}

fn profile(entries: Vec<Entry<'_>>, caption: String, title: &str, most: f64) -> Option<LineChart> {
    let worst = entries.iter().flat_map(|(_, _, ratios)| ratios.iter().copied().flatten()).max_by(f64::total_cmp)?;
    // A little room behind the last step, and an axis even where all are equal.
    let end = (worst * 1.02).clamp(1.05, most);
    let line = |(name, style, ratios): Entry<'_>| Line {
        name: name.to_owned(),
        style,
        width: WIDTH,
        steps: performance_profile(&ratios),
    };
    let lines = entries.into_iter().map(line).map(|line| within(line, end)).collect();
    Some(LineChart {
        caption,
        x: Axis { title: title.to_owned(), range: (1.0, end), scale: Scale::Logarithmic },
        y: Axis { title: "share of the cases".to_owned(), range: (0.0, 1.0), scale: Scale::Linear },
        lines,
    })
}

/// The line without the steps beyond the end of the axis, where they would pile up.
fn within(line: Line, end: f64) -> Line {
    Line { steps: line.steps.into_iter().filter(|(x, _)| *x <= end).collect(), ..line }
}

/// The mean primal gap over time in a field; `None` where there is no plan.
#[must_use]
pub fn gap_over_time(results: &Results<'_>, field: &Field<'_>) -> Option<LineChart> {
    let times = moments(field.budget);
    let mut lines = Vec::new();
    for solver in &field.solvers {
        let attempts: Vec<(&Reference, Scored<'_>)> = field
            .of(solver)
            .filter(|(_, scored)| scored.verdict.is_attempt())
            .map(|((instance, _), scored)| (&results.references[instance], scored))
            .collect();
        if !attempts.iter().any(|(_, scored)| scored.full) {
            continue;
        }
        let steps = times.iter().map(|&at| {
            let gaps: f64 = attempts.iter().map(|(reference, scored)| gap_at(reference, scored, at)).sum();
            (at, gaps / attempts.len() as f64)
        });
        lines.push(Line { name: solver.clone(), style: style(results, solver), width: WIDTH, steps: steps.collect() });
    }
    let caption = format!(
        "Gap over time, {}: how far a solver's best plan is from the best known one after so many seconds, as a mean over the cases that it \
         took up. 1 before there is a plan, and throughout where there is none that counts. Lower is better.",
        field.title()
    );
    (!lines.is_empty()).then(|| LineChart {
        caption,
        x: seconds_axis(times[0], field.budget),
        y: Axis { title: "mean primal gap".to_owned(), range: (0.0, 1.0), scale: Scale::Linear },
        lines,
    })
}

fn gap_at(reference: &Reference, scored: &Scored<'_>, at: f64) -> f64 {
    let found = scored.verdict.plan().filter(|_| scored.full).and_then(|plan| cost_at(&path(plan), at));
    match (found, reference.best) {
        (Some(cost), Some(best)) => primal_gap(cost, best.cost.dollars()),
        _ => 1.0,
    }
}

/// The plans of a run on the way, and the last one when it ended.
fn path(plan: &Solved) -> Vec<Point> {
    let mut points = plan.trajectory.clone();
    points.retain(|point| point.seconds <= plan.seconds);
    points.push(Point { seconds: plan.seconds, cost: Some(plan.cost), bound: plan.bound });
    points
}

/// Cost and bound over time of all verified plans on one instance in a field; `None` where there are none.
///
/// Of a solver that ran with several seeds, the least seed is shown.
#[must_use]
pub fn instance_curve(results: &Results<'_>, field: &Field<'_>, instance: &str) -> Option<LineChart> {
    let mut lines = Vec::new();
    for solver in &field.solvers {
        let plan = field.of(solver).find_map(|((name, _), scored)| scored.verdict.plan().filter(|_| name == instance));
        let Some(plan) = plan else { continue };
        let points = path(plan);
        let style = style(results, solver);
        let steps = |value: fn(&Point) -> Option<f64>| -> Vec<(f64, f64)> {
            points.iter().filter_map(|point| Some((point.seconds, value(point)?))).collect()
        };
        lines.push(Line { name: solver.clone(), style, width: WIDTH, steps: steps(|point| point.cost) });
        let bounds = steps(|point| point.bound);
        if !bounds.is_empty() {
            lines.push(Line { name: format!("{solver}, bound"), style, width: THIN, steps: bounds });
        }
    }
    let values = || lines.iter().flat_map(|line| line.steps.iter().map(|(_, value)| *value));
    let (least, most) = (values().min_by(f64::total_cmp)?, values().max_by(f64::total_cmp)?);
    let margin = ((most - least) * 0.05).max(most * 0.005).max(1e-6);
    let start = lines.iter().flat_map(|line| line.steps.iter().map(|(at, _)| *at)).filter(|at| *at > 0.0).min_by(f64::total_cmp);
    let start = start.unwrap_or(field.budget).clamp(field.budget * 1e-6, field.budget * 0.5);
    Some(LineChart {
        caption: format!("Cost and bound over time on {instance}, {}.", field.title()),
        x: seconds_axis(start, field.budget),
        y: Axis { title: "dollars per hour".to_owned(), range: ((least - margin).max(0.0), most + margin), scale: Scale::Linear },
        lines,
    })
}

fn seconds_axis(from: f64, to: f64) -> Axis {
    Axis { title: "seconds".to_owned(), range: (from, to), scale: Scale::Logarithmic }
}

/// The place of a solver among all: the same one in every chart.
fn style(results: &Results<'_>, solver: &str) -> usize {
    results.solvers.iter().position(|known| known == solver).unwrap_or(0)
}
