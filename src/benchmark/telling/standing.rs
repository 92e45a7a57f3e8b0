//! How each solver did under one limit, in figures.

use crate::benchmark::telling::results::{Field, Scored, Verdict};
use crate::benchmark::telling::statistics::{geometric_mean, mean, median, shifted_geometric_mean};

/// Distances to the bound that are counted, as shares of the cost.
pub const NEAR: [f64; 4] = [0.001, 0.005, 0.01, 0.02];

/// What the runs of one solver under one limit came to.
///
/// Shares and means count *attempts*: runs that the solver took up. What it cannot state, or is not installed for, is counted by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Cases of the field on which it was not run at all.
    pub not_run: usize,
    /// Runs that it took up.
    pub attempts: usize,
    /// Verified plans.
    pub plans: usize,
    /// Plans that the verifier refuses.
    pub refused: usize,
    /// Runs without a plan in time.
    pub nothing_found: usize,
    /// Runs that went wrong.
    pub failed: usize,
    /// Instances that it cannot state.
    pub cannot_state: usize,
    /// Runs for which it was not there.
    pub not_installed: usize,
    /// Plans that leave more pods than the best plan does; they have no part in the ratios.
    pub more_left: usize,
    /// Plans as good as the best one.
    pub at_best: usize,
    /// Geometric mean of cost over the best cost.
    pub cost_ratio: Option<f64>,
    /// The largest of these ratios.
    pub worst_ratio: Option<f64>,
    /// Plans that it has proven optimal and that leave no more pods than the best one.
    pub proven: usize,
    /// Such plans within each of [`NEAR`] of the bound.
    pub near: [usize; NEAR.len()],
    /// Shifted geometric mean of seconds; an attempt without a plan counts the whole budget.
    pub seconds: Option<f64>,
    /// Median of the seconds to the first plan, where they are known.
    pub first_plan: Option<f64>,
    /// Mean primal integral, in seconds; an attempt without a plan counts the whole budget.
    pub primal_integral: Option<f64>,
    /// Most memory of any run, in bytes.
    pub peak_bytes: Option<u64>,
}

impl Standing {
    /// Of `solver` in `field`.
    #[must_use]
    pub fn new(field: &Field<'_>, solver: &str) -> Self {
        let all: Vec<Scored<'_>> = field.of(solver).map(|(_, scored)| scored).collect();
        let attempts: Vec<Scored<'_>> = all.iter().copied().filter(|scored| scored.verdict.is_attempt()).collect();
        let count = |wanted: fn(&Scored<'_>) -> bool| all.iter().filter(|scored| wanted(scored)).count();
        let ratios: Vec<f64> = all.iter().filter_map(|scored| scored.ratio).collect();
        let plans: Vec<_> = all.iter().filter_map(|scored| scored.verdict.plan()).collect();
        let full = all.iter().filter(|scored| scored.full);
        let seconds: Vec<f64> =
            attempts.iter().map(|scored| scored.verdict.plan().map_or(field.budget, |plan| plan.seconds)).collect();
        // A plan whose integral nobody has worked out is left out; an attempt without a plan has lost everything.
        let integrals: Vec<f64> = attempts
            .iter()
            .filter_map(|scored| scored.verdict.plan().map_or(Some(field.budget), |plan| plan.primal_integral))
            .collect();
        let measured = plans.iter().any(|plan| plan.primal_integral.is_some());
        let first: Vec<f64> = plans.iter().filter_map(|plan| plan.first_plan_seconds).collect();
        Self {
            not_run: field.cases.len() - all.len(),
            attempts: attempts.len(),
            plans: plans.len(),
            refused: count(|scored| matches!(scored.verdict, Verdict::Refused(_))),
            nothing_found: count(|scored| matches!(scored.verdict, Verdict::NothingFound(_))),
            failed: count(|scored| matches!(scored.verdict, Verdict::Failed(_))),
            cannot_state: count(|scored| matches!(scored.verdict, Verdict::CannotState(_))),
            not_installed: count(|scored| matches!(scored.verdict, Verdict::NotInstalled(_))),
            more_left: plans.len() - full.clone().count(),
            at_best: count(|scored| scored.at_best),
            cost_ratio: geometric_mean(&ratios),
            worst_ratio: ratios.iter().copied().max_by(f64::total_cmp),
            proven: full.clone().filter(|scored| scored.proven).count(),
            near: NEAR
                .map(|share| full.clone().filter(|scored| scored.distance.is_some_and(|distance| distance <= share)).count()),
            seconds: shifted_geometric_mean(&seconds, field.shift()),
            first_plan: median(&first),
            primal_integral: mean(&integrals).filter(|_| measured),
            peak_bytes: plans.iter().filter_map(|plan| plan.peak_bytes).max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::benchmark::record::{Outcome, Record, Solved};
    use crate::benchmark::telling::fixtures::{bounded, failed, kept, record, solved, two_instances_and_four_solvers};
    use crate::benchmark::telling::reading::Runs;
    use crate::benchmark::telling::results::{OURS, Results};

    fn standings(records: Vec<Record>) -> BTreeMap<String, Standing> {
        let runs = Runs::new(kept(records)).expect("one instance a name");
        let results = Results::new(&runs, &BTreeMap::new());
        let field = &results.fields[0];
        field.solvers.iter().map(|solver| (solver.clone(), Standing::new(field, solver))).collect()
    }

    fn near(found: Option<f64>, expected: f64) {
        let found = found.expect("there is a figure");
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn figures_agree_with_hand_computed_ones() {
        let all = standings(two_instances_and_four_solvers());
        let ours = &all[OURS];
        // 10/10 on the one, 20/19 on the other; one second and four.
        near(ours.cost_ratio, (20.0_f64 / 19.0).sqrt());
        near(ours.worst_ratio, 20.0 / 19.0);
        near(ours.seconds, (11.0_f64 * 14.0).sqrt() - 10.0);
        assert_eq!((ours.attempts, ours.plans, ours.at_best, ours.proven, ours.near), (2, 2, 1, 1, [1, 1, 1, 1]));
        let first_fit = &all["first-fit"];
        near(first_fit.cost_ratio, 1.25_f64.sqrt());
        // 12.5 is 20 % above the bound of 10, and 19 is 1/19 above that of 18.
        assert_eq!((first_fit.at_best, first_fit.proven, first_fit.near), (1, 0, [0; 4]));
        let refused = &all["mean-pod"];
        assert_eq!((refused.not_run, refused.attempts, refused.plans, refused.refused), (1, 1, 0, 1));
        near(refused.seconds, 60.0);
        assert_eq!((refused.cost_ratio, refused.primal_integral), (None, None));
        let vpsolver = &all["vpsolver"];
        assert_eq!((vpsolver.attempts, vpsolver.cannot_state, vpsolver.proven), (1, 1, 1));
        let karpenter = &all["karpenter"];
        assert_eq!((karpenter.attempts, karpenter.not_installed, karpenter.not_run), (0, 1, 1));
        assert_eq!((karpenter.seconds, karpenter.cost_ratio), (None, None));
    }

    #[test]
    fn leaving_every_pod_is_no_optimum() {
        let lazy = Solved { unplaced: 100, ..bounded(0.0, 0.0) };
        let all = standings(vec![record("a", "lazy", lazy), record("a", OURS, bounded(9.0, 8.5))]);
        let lazy = &all["lazy"];
        assert_eq!((lazy.plans, lazy.more_left, lazy.at_best, lazy.proven, lazy.near), (1, 1, 0, 0, [0; 4]));
        assert_eq!(lazy.cost_ratio, None);
        assert_eq!(all[OURS].at_best, 1);
    }

    #[test]
    fn an_attempt_without_a_plan_has_lost_its_budget() {
        let nothing = Outcome::NothingFound { reason: "no time".to_owned() };
        let all = standings(vec![record("a", OURS, solved(9.0)), record("b", OURS, nothing), record("c", OURS, failed("x"))]);
        let ours = &all[OURS];
        near(ours.primal_integral, (0.6 + 60.0 + 60.0) / 3.0);
        near(ours.seconds, (11.0_f64 * 70.0 * 70.0).cbrt() - 10.0);
        assert_eq!((ours.plans, ours.nothing_found, ours.failed), (1, 1, 1));
        assert_eq!(ours.first_plan, Some(0.5));
        assert_eq!(ours.peak_bytes, Some(3 << 20));
    }
}
