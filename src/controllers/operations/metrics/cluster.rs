//! The cluster as it is seen, what NodePools use and cost, and this replica itself.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::{ByNodePool, ByResource};
use crate::domain::money::UsdPerHour;

/// This program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Version of Supercargo.
    pub version: &'static str,
    /// Commit that it was built from; empty where that is not known.
    pub commit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
    goversion: &'static str,
    goarch: &'static str,
    commit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeaseLabels {
    name: String,
}

/// The cluster as it is seen, and this replica.
#[derive(Debug, Default)]
pub struct ClusterMetrics {
    build: Family<BuildLabels, Gauge>,
    nodes: Gauge,
    synced: Gauge,
    limits: Family<ByResource, Gauge<f64, AtomicU64>>,
    usage: Family<ByResource, Gauge<f64, AtomicU64>>,
    cost: Family<ByNodePool, Gauge<f64, AtomicU64>>,
    leads: Family<LeaseLabels, Gauge>,
}

impl ClusterMetrics {
    pub(super) fn register(registry: &mut Registry, build: &Build) -> Self {
        let made = Self::default();
        // The labels are Karpenter's; this program is not written in Go.
        let goarch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let labels = BuildLabels { version: build.version, goversion: "", goarch, commit: build.commit };
        made.build.get_or_create(&labels).set(1);
        registry.register("build_info", "1, with version and commit of this program", made.build.clone());
        registry.register("cluster_state_node_count", "Nodes in the mirror of the cluster", made.nodes.clone());
        registry.register("cluster_state_synced", "Whether the mirror of the cluster is complete: 1 or 0", made.synced.clone());
        registry.register("nodepools_limit", "Limits of NodePools; cpu in cores, memory in bytes", made.limits.clone());
        registry.register("nodepools_usage", "What NodePools use of them; cpu in cores, memory in bytes", made.usage.clone());
        registry.register("nodepools_cost_total", "What the nodes of NodePools cost, in dollars per hour", made.cost.clone());
        made
    }

    /// client-go's metric has no prefix.
    pub(super) fn register_election(&self, registry: &mut Registry) {
        registry.register("leader_election_master_status", "Whether this replica holds the Lease: 1 or 0", self.leads.clone());
    }

    /// The mirror has so many nodes, and is complete or not.
    pub fn mirrored(&self, nodes: usize, synced: bool) {
        self.nodes.set(i64::try_from(nodes).unwrap_or(i64::MAX));
        self.synced.set(i64::from(synced));
    }

    /// A NodePool limits a resource and uses so much of it, in cores, bytes or whole units.
    pub fn pool_resource(&self, node_pool: &str, resource: &str, limit: Option<f64>, usage: f64) {
        let labels = ByResource { resource_type: resource.to_owned(), nodepool: node_pool.to_owned() };
        match limit {
            Some(limit) => {
                self.limits.get_or_create(&labels).set(limit);
            }
            None => {
                self.limits.remove(&labels);
            }
        }
        self.usage.get_or_create(&labels).set(usage);
    }

    /// The nodes of a NodePool cost so much.
    pub fn pool_cost(&self, node_pool: &str, cost: UsdPerHour) {
        self.cost.get_or_create(&ByNodePool { nodepool: node_pool.to_owned() }).set(cost.dollars());
    }

    /// Forgets what NodePools use and cost, before those that there are now are told again.
    pub fn forget_pools(&self) {
        self.limits.clear();
        self.usage.clear();
        self.cost.clear();
    }

    /// This replica holds the Lease, or does not.
    pub fn leads(&self, lease: &str, leads: bool) {
        self.leads.get_or_create(&LeaseLabels { name: lease.to_owned() }).set(i64::from(leads));
    }
}
