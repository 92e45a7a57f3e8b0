//! The figures that many runs are told by. Pure arithmetic: which runs count is for the callers to say.
//!
//! | figure | source |
//! |---|---|
//! | shifted geometric mean of times | Achterberg, *Constraint Integer Programming* (2007), appendix A; Mittelmann's benchmarks take a shift of 10 s |
//! | geometric mean of ratios | Fleming and Wallace, *How not to lie with statistics*, CACM 29 (1986) |
//! | performance profile | Dolan and Moré, *Benchmarking optimization software with performance profiles*, Math. Prog. 91 (2002) |
//! | primal gap, primal integral | Berthold, *Measuring the impact of primal heuristics*, OR Letters 41 (2013) |

use crate::benchmark::protocol::Point;

/// Points of a mean curve; more than a screen can tell apart.
const CURVE_POINTS: usize = 100;
/// The share of the budget at which a curve begins.
const CURVE_START: f64 = 1e-3;

/// `(prod (v + shift))^(1/n) - shift`: a mean in which neither the tiny nor the huge values decide. In the unit of the values, which are at
/// least 0; `None` of nothing.
#[must_use]
pub fn shifted_geometric_mean(values: &[f64], shift: f64) -> Option<f64> {
    let logarithms: f64 = values.iter().map(|value| (value + shift).ln()).sum();
    (!values.is_empty()).then(|| (logarithms / values.len() as f64).exp() - shift)
}

/// `(prod r)^(1/n)`: the mean of ratios that does not depend on which of the two is the divisor. `None` of nothing.
#[must_use]
pub fn geometric_mean(ratios: &[f64]) -> Option<f64> {
    shifted_geometric_mean(ratios, 0.0)
}

/// The arithmetic mean; `None` of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The value in the middle, the lower one of two; `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

/// A performance profile: for each ratio at which it rises, the share of all cases whose ratio to the best solver is at most that.
///
/// `ratios` has one entry a case, at least 1; `None` for a case that the solver did not solve, which it never gets to. Ascending, beginning
/// at ratio 1.
#[must_use]
pub fn performance_profile(ratios: &[Option<f64>]) -> Vec<(f64, f64)> {
    let mut solved: Vec<f64> = ratios.iter().copied().flatten().collect();
    solved.sort_by(f64::total_cmp);
    let mut steps: Vec<(f64, f64)> = vec![(1.0, 0.0)];
    for (place, ratio) in solved.iter().enumerate() {
        let share = (place + 1) as f64 / ratios.len() as f64;
        match steps.last_mut() {
            Some(last) if last.0.total_cmp(ratio).is_ge() => last.1 = share,
            _ => steps.push((*ratio, share)),
        }
    }
    steps
}

/// Berthold's primal gap of a cost to the best one, from 0 to 1: `|cost - best| / max(cost, best)`. Amounts are at least 0.
///
/// The absolute value matters: a plan on the way that leaves pods may cost less than the best one.
#[must_use]
pub fn primal_gap(cost: f64, best: f64) -> f64 {
    let larger = cost.max(best);
    if larger > 0.0 { (cost - best).abs() / larger } else { 0.0 }
}

/// The cost of the best plan that there was after `seconds`; `None` before the first. `points` are ordered by time.
#[must_use]
pub fn cost_at(points: &[Point], seconds: f64) -> Option<f64> {
    points.iter().take_while(|point| point.seconds <= seconds).filter_map(|point| point.cost).last()
}

/// Moments from a thousandth of the budget to the budget, in seconds, evenly spaced in their logarithm.
#[must_use]
pub fn moments(budget: f64) -> Vec<f64> {
    (0..=CURVE_POINTS).map(|step| budget * CURVE_START.powf(1.0 - step as f64 / CURVE_POINTS as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: Option<f64>, expected: f64) {
        let found = found.expect("there are values");
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn means_agree_with_hand_computed_ones() {
        // sqrt(10 * 40) - 10 = 10.
        near(shifted_geometric_mean(&[0.0, 30.0], 10.0), 10.0);
        // sqrt(0.1 * 0.4) - 0.1 = 0.1.
        near(shifted_geometric_mean(&[0.0, 0.3], 0.1), 0.1);
        near(geometric_mean(&[0.5, 2.0]), 1.0);
        // 1.1 * 1.1 * 1.21 = 1.1^4; the third root is 1.1^(4/3).
        near(geometric_mean(&[1.1, 1.1, 1.21]), 1.1_f64.powf(4.0 / 3.0));
        near(mean(&[1.0, 2.0, 6.0]), 3.0);
        near(median(&[9.0, 1.0, 2.0]), 2.0);
        near(median(&[4.0, 3.0, 2.0, 1.0]), 2.0);
        for empty in [shifted_geometric_mean(&[], 10.0), geometric_mean(&[]), mean(&[]), median(&[])] {
            assert_eq!(empty, None);
        }
    }

    #[test]
    fn a_profile_rises_at_each_ratio_and_never_counts_the_unsolved() {
        let steps = performance_profile(&[Some(1.0), Some(1.5), None, Some(1.0)]);
        assert_eq!(steps, [(1.0, 0.5), (1.5, 0.75)]);
        assert_eq!(performance_profile(&[None, Some(2.0)]), [(1.0, 0.0), (2.0, 0.5)]);
        assert_eq!(performance_profile(&[]), [(1.0, 0.0)]);
    }

    #[test]
    fn the_primal_gap_is_a_share_of_the_larger_cost() {
        for (cost, best, expected) in [(10.0, 8.0, 0.2), (8.0, 10.0, 0.2), (3.0, 3.0, 0.0), (0.0, 0.0, 0.0)] {
            near(Some(primal_gap(cost, best)), expected);
        }
    }

    #[test]
    fn a_cost_lasts_until_the_next_one() {
        let point = |seconds, cost| Point { seconds, cost, bound: None };
        let points = [point(0.5, None), point(1.0, Some(9.0)), point(2.0, None), point(3.0, Some(7.0))];
        for (seconds, expected) in [(0.4, None), (0.9, None), (1.0, Some(9.0)), (2.5, Some(9.0)), (60.0, Some(7.0))] {
            assert_eq!(cost_at(&points, seconds), expected, "at {seconds}");
        }
    }

    #[test]
    fn moments_run_from_a_thousandth_to_the_budget() {
        let all = moments(60.0);
        near(all.first().copied(), 0.06);
        near(all.last().copied(), 60.0);
        // Half way in logarithms: 60 * sqrt(0.001).
        near(all.get(50).copied(), 60.0 * 0.001_f64.sqrt());
    }
}
