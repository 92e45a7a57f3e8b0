//! What choices add to the bound, and how a fractional optimum of theirs becomes whole.
//!
//! *Bound.* With the class rows dualised, the choices stand alone: at duals `pi` they contribute
//!
//! ```text
//! C(pi) = min sum_v (cost_v + sum_c demand_cv pi_c) v   over the choice rows and bounds
//! ```
//!
//! and `pi demand + mu limit + C(pi)` is a lower bound for every `pi` that is feasible for the patterns. C is a linear program that is
//! kept hot, because only its costs change; what counts is the value that its row duals prove, so that no tolerance of the simplex
//! method gets into the bound.
//!
//! *Rounding.* The nearest whole values that keep the rows, by a mixed-integer program; first among the two whole neighbours of every
//! value, then among all.

use crate::solver::control::Control;
use crate::solver::lp_backend::{Lp, LpColumn, LpStatus};
use crate::solver::presolve::Reduced;
use crate::solver::problem::LARGEST_AMOUNT;

/// Work units of a solve besides its simplex iterations.
const SOLVE_WORK: u64 = 50;
/// Branch-and-bound nodes of a rounding, the deterministic limit.
const MOST_NODES: i32 = 200;
/// Share of the budget that a rounding may take.
const ROUNDING_SHARE: f64 = 0.05;
/// A value this near to a whole number is one.
const WHOLE: f64 = 1e-6;

/// The function C.
pub(super) struct ChoiceBound {
    lp: Lp,
    unit: f64,
}

/// Bounds of the choice rows.
pub(super) fn rows(reduced: &Reduced) -> impl Iterator<Item = (f64, f64)> {
    reduced.choice_rows.iter().map(|row| (finite(row.least), finite(row.most)))
}

fn finite(limit: i64) -> f64 {
    match limit {
        LARGEST_AMOUNT.. => f64::INFINITY,
        limit if limit <= -LARGEST_AMOUNT => f64::NEG_INFINITY,
        limit => limit as f64,
    }
}

/// The entries of each choice in the choice rows, the first of which is row `first`.
pub(super) fn entries(reduced: &Reduced, first: usize) -> Vec<Vec<(usize, f64)>> {
    let mut entries = vec![Vec::new(); reduced.choices.len()];
    for (row, terms) in reduced.choice_rows.iter().enumerate() {
        for &(choice, amount) in &terms.terms {
            entries[choice].push((first + row, amount as f64));
        }
    }
    entries
}

impl ChoiceBound {
    /// `unit` is how many micro-dollars the duals count as one.
    pub(super) fn new(reduced: &Reduced, unit: f64) -> Self {
        let mut lp = Lp::new(&rows(reduced).collect::<Vec<_>>());
        lp.use_primal_simplex();
        let columns: Vec<LpColumn> = reduced
            .choices
            .iter()
            .zip(entries(reduced, 0))
            .map(|(choice, entries)| LpColumn { cost: 0.0, upper: choice.upper as f64, entries })
            .collect();
        lp.add_columns(&columns);
        for (column, choice) in reduced.choices.iter().enumerate() {
            lp.set_column(column, choice.lower as f64, choice.upper as f64);
        }
        Self { lp, unit }
    }

    /// `C(pi)`, or something below it where the simplex method fails.
    pub(super) fn least(&mut self, reduced: &Reduced, duals: &[f64], control: &mut Control<'_>) -> f64 {
        if reduced.choices.is_empty() {
            return 0.0;
        }
        let costs: Vec<f64> = reduced
            .choices
            .iter()
            .map(|choice| {
                let pods: f64 = choice.demand.iter().map(|&(class, pods)| duals[class] * f64::from(pods)).sum();
                choice.cost as f64 / self.unit + pods
            })
            .collect();
        self.lp.set_costs(&costs);
        let mut row_duals = vec![0.0; reduced.choice_rows.len()];
        if self.lp.solve() == LpStatus::Optimal {
            row_duals = self.lp.solution().1;
        }
        control.spend(self.lp.iterations() * (reduced.choice_rows.len() as u64 / 4 + 10) + SOLVE_WORK);
        let mut rest = costs;
        let mut proven = 0.0;
        for (row, dual) in reduced.choice_rows.iter().zip(row_duals) {
            let limit = finite(if dual > 0.0 { row.least } else { row.most });
            if dual != 0.0 && limit.is_finite() {
                proven += dual * limit;
                for &(choice, amount) in &row.terms {
                    rest[choice] -= dual * amount as f64;
                }
            }
        }
        let at_bounds = |(cost, choice): (&f64, &crate::solver::problem::Choice)| {
            cost * if *cost > 0.0 { choice.lower as f64 } else { choice.upper as f64 }
        };
        proven + rest.iter().zip(&reduced.choices).map(at_bounds).sum::<f64>()
    }
}

/// Whole values near `values` that keep every choice row; `None` when none are found within the limits.
pub(super) fn rounded(reduced: &Reduced, values: &[f64], control: &mut Control<'_>) -> Option<Vec<i64>> {
    if values.iter().all(|value| (value - value.round()).abs() <= WHOLE) {
        let whole: Vec<i64> = values.iter().map(|value| value.round() as i64).collect();
        if keeps_rows(reduced, &whole) {
            return Some(whole);
        }
    }
    nearest(reduced, values, true, control).or_else(|| nearest(reduced, values, false, control))
}

/// Whether `choices` keep every row and bound.
pub(super) fn keeps_rows(reduced: &Reduced, choices: &[i64]) -> bool {
    let within = reduced.choices.iter().zip(choices).all(|(choice, value)| (choice.lower..=choice.upper).contains(value));
    within && reduced.choice_rows.iter().all(|row| row.holds(choices))
}

/// The whole values of least total distance and cost; with `neighbours` only the two next to each value count.
fn nearest(reduced: &Reduced, values: &[f64], neighbours: bool, control: &mut Control<'_>) -> Option<Vec<i64>> {
    let count = reduced.choices.len();
    let unit = reduced.shapes.first().map_or(1.0, |shape| shape.cost as f64);
    let mut bounds: Vec<(f64, f64)> = rows(reduced).collect();
    let first = bounds.len();
    let mut columns: Vec<LpColumn> = Vec::with_capacity(count);
    for ((choice, entries), &value) in reduced.choices.iter().zip(entries(reduced, 0)).zip(values) {
        let below = value.floor();
        // What a unit costs counts besides the distance, or pods would be left out for being near to a fraction.
        let price = choice.cost as f64 / unit;
        let cost = price + if neighbours { 1.0 - 2.0 * (value - below) } else { 0.0 };
        columns.push(LpColumn { cost, upper: choice.upper as f64, entries });
    }
    if !neighbours {
        // Distance up and down: v - up + down = value.
        for (at, &value) in values.iter().enumerate() {
            bounds.push((value, value));
            columns[at].entries.push((first + at, 1.0));
            for sign in [-1.0, 1.0] {
                columns.push(LpColumn { cost: 1.0, upper: f64::INFINITY, entries: vec![(first + at, sign)] });
            }
        }
    }
    let mut program = Lp::new(&bounds);
    program.use_presolve();
    program.add_columns(&columns);
    for (column, (choice, &value)) in reduced.choices.iter().zip(values).enumerate() {
        let (mut lower, mut upper) = (choice.lower as f64, choice.upper as f64);
        if neighbours {
            lower = lower.max((value + WHOLE).floor());
            upper = upper.min((value - WHOLE).ceil()).max(lower);
        }
        program.set_column(column, lower, upper);
    }
    program.make_integer(count);
    program.set_node_limit(MOST_NODES);
    if let Some(seconds) = control.seconds(ROUNDING_SHARE) {
        program.set_time_limit(seconds);
    }
    let status = program.solve();
    control.spend(program.iterations() * (bounds.len() as u64 / 4 + 10) + SOLVE_WORK);
    if !matches!(status, LpStatus::Optimal | LpStatus::Limit) {
        return None;
    }
    let whole: Vec<i64> = program.solution().0.iter().take(count).map(|value| value.round() as i64).collect();
    keeps_rows(reduced, &whole).then_some(whole)
}
