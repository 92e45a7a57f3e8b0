//! Plans: what they cost, how near to the optimum they are, and whether the cluster became what they said.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Durations, durations, durations_by};
use crate::domain::plan::Plan;
use crate::solver::Stage;

/// Where a planned pod ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// On the node that the plan meant.
    AsPlanned,
    /// On another node.
    Elsewhere,
}

impl Placed {
    fn as_str(self) -> &'static str {
        match self {
            Self::AsPlanned => "as_planned",
            Self::Elsewhere => "elsewhere",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StopLabels {
    stopped_by: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlacedLabels {
    placed: &'static str,
}

/// Plans and what became of them.
#[derive(Debug)]
pub struct PlanMetrics {
    plans: Family<StopLabels, Counter>,
    gap: Gauge<f64, AtomicU64>,
    bound: Gauge<f64, AtomicU64>,
    cost: Gauge<f64, AtomicU64>,
    first_fit_saving: Gauge<f64, AtomicU64>,
    stages: Durations<StageLabels>,
    placed: Family<PlacedLabels, Counter>,
    beyond: Counter,
    holds: Histogram,
}

impl PlanMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let made = Self {
            plans: Family::default(),
            gap: Gauge::default(),
            bound: Gauge::default(),
            cost: Gauge::default(),
            first_fit_saving: Gauge::default(),
            stages: durations_by(),
            placed: Family::default(),
            beyond: Counter::default(),
            holds: durations(),
        };
        registry.register("plans", "Plans made, by what made the solver stop", made.plans.clone());
        registry.register("plan_gap_ratio", "Share of the last plan's cost that could at most still be saved", made.gap.clone());
        registry.register(
            "plan_bound_dollars_per_hour",
            "What no plan in place of the last one could cost less than, expected interruptions and unmet preferences included",
            made.bound.clone(),
        );
        registry.register("plan_cost_dollars_per_hour", "What the nodes of the last plan cost", made.cost.clone());
        registry.register(
            "plan_first_fit_saving_dollars_per_hour",
            "What first-fit would have cost more than the last plan; NaN where it leaves more or fewer pods",
            made.first_fit_saving.clone(),
        );
        registry.register("solve_duration_seconds", "Seconds that the stages of solves took", made.stages.clone());
        registry.register("planned_pods", "Planned pods that got a node, by whether it was the planned one", made.placed.clone());
        registry.register("launches_beyond_plan", "NodeClaims for pods that an earlier plan had a node for", made.beyond.clone());
        registry.register(
            "node_hold_duration_seconds",
            "Seconds that nodes were held for their planned pods",
            made.holds.clone(),
        );
        made
    }

    /// A plan was made.
    pub fn planned(&self, plan: &Plan) {
        self.plans.get_or_create(&StopLabels { stopped_by: plan.stopped_by.as_str() }).inc();
        self.gap.set(plan.gap());
        self.bound.set(plan.bound.dollars());
        self.cost.set(plan.cost.dollars());
        // Costs compare only where as many pods have a place.
        let saving = if plan.first_fit.unplaced == plan.unplaced.len() {
            (plan.first_fit.cost - plan.cost - plan.interruptions).dollars()
        } else {
            f64::NAN
        };
        self.first_fit_saving.set(saving);
    }

    /// A solve spent so much time in a stage.
    pub fn solved(&self, stage: Stage, took: Duration) {
        let stage = match stage {
            Stage::FirstFit => "first_fit",
            Stage::ColumnGeneration => "column_generation",
            Stage::Diving => "diving",
            Stage::LocalSearch => "local_search",
            Stage::Branching => "branching",
        };
        self.stages.get_or_create(&StageLabels { stage }).observe(took.as_secs_f64());
    }

    /// A planned pod got a node.
    pub fn placed(&self, placed: Placed) {
        self.placed.get_or_create(&PlacedLabels { placed: placed.as_str() }).inc();
    }

    /// A NodeClaim was written for pods that an earlier plan had a node for.
    pub fn launched_beyond_plan(&self) {
        self.beyond.inc();
    }

    /// A node was held for its planned pods.
    pub fn held(&self, took: Duration) {
        self.holds.observe(took.as_secs_f64());
    }
}
