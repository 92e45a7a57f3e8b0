//! The lower bound at a dual point.
//!
//! At any `pi >= 0`, `mu <= 0`, with `theta = min_s (cost_s - mu usage_s) / V_s` and `V_s >= max_a pi a`, the vector `theta pi` (cut to the
//! penalties) is feasible in the dual of the full program, so `theta pi demand + mu limit + C(theta pi)` is a lower bound, where C is what the
//! choices add at least (see `choices`): Farley 1990.
//!
//! That is worth nothing where a shape costs next to nothing, such as the free room of a node that exists: the least error in its `mu` puts
//! `theta` near zero. But such a shape has a *row of its own*, one that no shape with another row uses. There `theta` takes no part, and
//! `mu_r = -max_s max(0, theta V_s - cost_s) / usage_rs` is the best that is feasible: the Lagrangian value of the row. So
//!
//! ```text
//! L(theta) = theta pi demand + C(theta pi) + sum_(other rows) mu limit - sum_(own rows r) limit_r max_s max(0, theta V_s - cost_s) / usage_rs
//! ```
//!
//! for every `theta` up to the ratio of the shapes without a row of their own. But for the cut it is concave in `theta` and straight beyond
//! the prices of the free room, so it is looked at where it ends on the right, and at the ratio of all shapes.

use crate::solver::choices::ChoiceBound;
use crate::solver::control::Control;
use crate::solver::pattern_generation::Generated;
use crate::solver::presolve::{Reduced, ReducedShape};

/// Least allowance of a shape, in LP cost units.
pub(super) const LEAST_ALLOWANCE: f64 = 1e-6;
/// Shrinkage of duals that break an allowance by at most [`LEAST_ALLOWANCE`]; the cheapest shape costs one unit.
const SHRINK: f64 = 3.0 * LEAST_ALLOWANCE;
/// Beyond this ratio no shape is worth anything.
const NO_LIMIT: f64 = 1e9;

/// A dual point, in LP cost units.
#[derive(Clone, Debug)]
pub(super) struct DualPoint {
    pub(super) duals: Vec<f64>,
    pub(super) side_duals: Vec<f64>,
    /// Its bound, in LP cost units.
    pub(super) bound: f64,
}

/// What the bounds of all dual points of one program have in common.
pub(super) struct DualBound {
    /// Side rows that only shapes with no other row use, each with these shapes and their amounts.
    own_rows: Vec<(usize, Vec<(usize, f64)>)>,
    /// Whether a shape is among those.
    has_own_row: Vec<bool>,
    choice_bound: ChoiceBound,
    /// Micro-dollars per unit of LP cost.
    unit: f64,
}

impl DualBound {
    pub(super) fn new(reduced: &Reduced, unit: f64) -> Self {
        let mut users: Vec<Vec<(usize, f64)>> = vec![Vec::new(); reduced.limits.len()];
        let mut shared = vec![false; reduced.limits.len()];
        for (number, shape) in reduced.shapes.iter().enumerate() {
            for &(row, amount) in &shape.usage {
                users[row].push((number, amount as f64));
                shared[row] |= shape.usage.len() > 1 || amount <= 0;
            }
        }
        let own = |(row, of): (usize, Vec<(usize, f64)>)| (!shared[row] && !of.is_empty()).then_some((row, of));
        let own_rows: Vec<(usize, Vec<(usize, f64)>)> = users.into_iter().enumerate().filter_map(own).collect();
        let mut has_own_row = vec![false; reduced.shapes.len()];
        for &(shape, _) in own_rows.iter().flat_map(|(_, shapes)| shapes) {
            has_own_row[shape] = true;
        }
        Self { own_rows, has_own_row, choice_bound: ChoiceBound::new(reduced, unit), unit }
    }

    /// The point on the ray of the duals that `generated` was made for whose bound is the best; minus infinity where the side duals alone are
    /// infeasible.
    ///
    /// A shape that a branch asks for may be allowed nothing by the optimal side duals, and arithmetic then puts it just below zero:
    /// shrinking all duals by `SHRINK` leaves `SHRINK cost` to every shape, more than what is missing.
    pub(super) fn at(
        &mut self,
        reduced: &Reduced,
        (duals, side_duals): (&[f64], &[f64]),
        generated: &Generated,
        control: &mut Control<'_>,
    ) -> DualPoint {
        let allowances = reduced.shapes.iter().map(|shape| raw_allowance(shape, side_duals, self.unit));
        let least = allowances.fold(f64::INFINITY, f64::min);
        let shrink = if least < LEAST_ALLOWANCE { 1.0 - SHRINK } else { 1.0 };
        let side_duals: Vec<f64> = side_duals.iter().map(|mu| mu * shrink).collect();
        let mut best = self.point(reduced, (duals, &side_duals), generated.ratio * shrink, generated, control);
        if !self.own_rows.is_empty() {
            let bought = generated.ratios.iter().zip(&self.has_own_row).filter(|(_, has)| !**has);
            let ratio = bought.map(|(ratio, _)| *ratio).fold(NO_LIMIT, f64::min);
            let other = self.point(reduced, (duals, &side_duals), ratio * shrink, generated, control);
            if other.bound > best.bound {
                best = other;
            }
        }
        if least < -LEAST_ALLOWANCE {
            best.bound = f64::NEG_INFINITY;
        }
        best
    }

    /// `L(theta)`.
    fn point(
        &mut self,
        reduced: &Reduced,
        (duals, side_duals): (&[f64], &[f64]),
        theta: f64,
        generated: &Generated,
        control: &mut Control<'_>,
    ) -> DualPoint {
        let scaled: Vec<f64> =
            duals.iter().zip(&reduced.penalty).map(|(pi, &penalty)| (pi * theta).min(penalty as f64 / self.unit)).collect();
        let mut side_duals = side_duals.to_vec();
        for (row, shapes) in &self.own_rows {
            let excess = |&(shape, amount): &(usize, f64)| {
                ((theta * generated.values[shape] - reduced.shapes[shape].cost as f64 / self.unit) / amount).max(0.0)
            };
            side_duals[*row] = -shapes.iter().map(excess).fold(0.0, f64::max);
        }
        let bound = scaled.iter().zip(&reduced.demand).map(|(pi, &n)| pi * f64::from(n)).sum::<f64>()
            + side_duals.iter().zip(&reduced.limits).map(|(mu, &limit)| mu * limit as f64).sum::<f64>()
            + self.choice_bound.least(reduced, &scaled, control);
        DualPoint { duals: scaled, side_duals, bound }
    }
}

/// What a pattern of the shape may be worth, by its cost and the side duals alone.
pub(super) fn raw_allowance(shape: &ReducedShape, side_duals: &[f64], unit: f64) -> f64 {
    let rows: f64 = shape.usage.iter().map(|&(row, amount)| side_duals[row] * amount as f64).sum();
    shape.cost as f64 / unit - rows
}
