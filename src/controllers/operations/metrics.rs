//! What is counted and timed, for Prometheus: Karpenter's names and labels for what it counts too, `supercargo_` for the rest.
//!
//! Families are private; methods are named after what happened, and labels are typed, so that no series appears that nobody meant.
//! Where Karpenter has a summary we have a histogram of the same name: its sum and count are the same, its quantiles are computed by
//! whoever asks.

mod claims;
mod cloud;
mod cluster;
mod labels;
mod plans;
mod scheduling;

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use claims::{ClaimMetrics, Disruption, DisruptionReason, PlaceOfClaim, TerminationMode};
pub use cloud::{CloudCall, CloudError, CloudMetrics, LaunchFailure, OfferingLabels};
pub use cluster::{Build, ClusterMetrics};
pub use plans::{Placed, PlanMetrics};
pub use scheduling::SchedulingMetrics;

/// Karpenter's buckets of durations, in seconds (karpenter `pkg/metrics/constants.go`, DurationBuckets).
const DURATIONS: [f64; 45] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 1.75, 2.0,
    2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0, 120.0, 150.0, 300.0, 450.0,
    600.0,
];

/// A histogram of durations in seconds.
fn durations() -> Histogram {
    Histogram::new(DURATIONS)
}

/// Histograms of durations by labels.
type Durations<L> = Family<L, Histogram>;

fn durations_by<L: Clone + std::hash::Hash + Eq + EncodeLabelSet>() -> Durations<L> {
    Family::new_with_constructor(durations)
}

/// Everything that is counted and timed.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// NodeClaims and their nodes.
    pub claims: ClaimMetrics,
    /// Calls to the cloud.
    pub cloud: CloudMetrics,
    /// The cluster as it is seen, and this replica.
    pub cluster: ClusterMetrics,
    /// Plans and what became of them.
    pub plans: PlanMetrics,
    /// Pods on their way to a node.
    pub scheduling: SchedulingMetrics,
}

impl Metrics {
    /// Everything at zero.
    #[must_use]
    pub fn new(build: &Build) -> Arc<Self> {
        let mut registry = Registry::default();
        let karpenter = registry.sub_registry_with_prefix("karpenter");
        let claims = ClaimMetrics::register(karpenter);
        let cloud = CloudMetrics::register(karpenter);
        let scheduling = SchedulingMetrics::register(karpenter);
        let cluster = ClusterMetrics::register(karpenter, build);
        cluster.register_election(&mut registry);
        let plans = PlanMetrics::register(registry.sub_registry_with_prefix("supercargo"));
        Arc::new(Self { registry, claims, cloud, cluster, plans, scheduling })
    }

    /// All series in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry).expect("a string takes every text");
        text
    }
}

#[cfg(test)]
mod tests;
