//! Pods on their way to a node.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::labels::ByController;
use super::{Durations, durations, durations_by};

/// The controller that plans for pending pods, as Karpenter calls it.
const PROVISIONER: ByController = ByController { controller: "provisioner" };

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoundLabels {
    controller: &'static str,
    scheduling_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BoundLabels {
    dynamic_resources: bool,
}

/// Pods on their way to a node.
#[derive(Debug)]
pub struct SchedulingMetrics {
    rounds: Durations<ByController>,
    queue: Family<RoundLabels, Gauge>,
    ignored: Gauge,
    unschedulable: Family<ByController, Gauge>,
    startup: Histogram,
    bound: Durations<BoundLabels>,
}

impl SchedulingMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let made = Self {
            rounds: durations_by(),
            queue: Family::default(),
            ignored: Gauge::default(),
            unschedulable: Family::default(),
            startup: durations(),
            bound: durations_by(),
        };
        registry.register("scheduler_scheduling_duration_seconds", "Seconds that planning took", made.rounds.clone());
        registry.register("scheduler_queue_depth", "Pods that are being planned for", made.queue.clone());
        registry.register("scheduler_ignored_pods_count", "Pending pods that no plan can be made for", made.ignored.clone());
        registry.register("scheduler_unschedulable_pods_count", "Pods that the last plan left", made.unschedulable.clone());
        registry.register(
            "pods_startup_duration_seconds",
            "Seconds from the creation of pods until they run",
            made.startup.clone(),
        );
        registry.register(
            "pods_bound_duration_seconds",
            "Seconds from the creation of pods until they have a node",
            made.bound.clone(),
        );
        made
    }

    /// Planning began for so many pods, without those that are ignored; `round` names it in the logs.
    pub fn planning_began(&self, round: &str, pods: usize, ignored: usize) {
        self.queue.get_or_create(&round_of(round)).set(count(pods));
        self.ignored.set(count(ignored));
    }

    /// Planning ended, and left so many pods.
    pub fn planning_ended(&self, round: &str, took: Duration, unschedulable: usize) {
        self.queue.remove(&round_of(round));
        self.rounds.get_or_create(&PROVISIONER).observe(took.as_secs_f64());
        self.unschedulable.get_or_create(&PROVISIONER).set(count(unschedulable));
    }

    /// A pod got a node so long after it was made.
    pub fn pod_bound(&self, after: Duration) {
        self.bound.get_or_create(&BoundLabels { dynamic_resources: false }).observe(after.as_secs_f64());
    }

    /// A pod runs, so long after it was made.
    pub fn pod_started(&self, after: Duration) {
        self.startup.observe(after.as_secs_f64());
    }
}

fn round_of(id: &str) -> RoundLabels {
    RoundLabels { controller: PROVISIONER.controller, scheduling_id: id.to_owned() }
}

fn count(pods: usize) -> i64 {
    i64::try_from(pods).unwrap_or(i64::MAX)
}
