//! The primal integral: how soon a solver had how good a plan, in one figure.
//!
//! The area under the primal gap over the budget (T. Berthold, *Measuring the impact of primal heuristics*, Operations Research Letters 41,
//! 2013): the gap is 1 before there is a plan, then `|cost - best| / max(cost, best)` with the best known cost.

use crate::benchmark::instance::manifest::BestKnown;
use crate::benchmark::protocol::Point;
use crate::benchmark::record::Solved;
use crate::benchmark::telling::statistics::primal_gap;

/// The primal integral of a run with `budget` seconds, in seconds. A run that leaves more pods than the best known plan has none of the
/// plans that count, so its gap is 1 all along; `None` for one that leaves fewer: what is known says nothing about it.
#[must_use]
pub fn primal_integral(solved: &Solved, best: &BestKnown, budget: f64) -> Option<f64> {
    if solved.unplaced < best.unplaced {
        return None;
    }
    if solved.unplaced > best.unplaced || !solved.verified {
        return Some(budget);
    }
    Some(area(&solved.trajectory, best.cost, budget))
}

fn area(points: &[Point], best: f64, budget: f64) -> f64 {
    let (mut sum, mut gap, mut since) = (0.0, 1.0, 0.0);
    for point in points.iter().take_while(|point| point.seconds < budget) {
        if let Some(cost) = point.cost {
            sum += gap * (point.seconds - since);
            (gap, since) = (primal_gap(cost, best), point.seconds);
        }
    }
    sum + gap * (budget - since)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(seconds: f64, cost: f64) -> Point {
        Point { seconds, cost: Some(cost), bound: None }
    }

    #[test]
    fn the_area_agrees_with_one_worked_out_by_hand() {
        // A second without a plan, two at a gap of a half, two at none.
        assert!((area(&[on(1.0, 20.0), on(3.0, 10.0)], 10.0, 5.0) - 2.0).abs() < 1e-12);
        assert!((area(&[], 10.0, 5.0) - 5.0).abs() < 1e-12);
        // What comes after the budget does not count.
        assert!((area(&[on(6.0, 10.0)], 10.0, 5.0) - 5.0).abs() < 1e-12);
        assert!(area(&[on(0.0, 0.0)], 0.0, 5.0).abs() < 1e-12);
    }
}
