//! NodeClaims and their nodes: made, ended, and why.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::domain::catalog::CapacityType;

/// Why a NodeClaim is ended. The words are Karpenter's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisruptionReason {
    /// The instance is gone, or no NodeClaim owns it.
    GarbageCollected,
    /// EC2 has none of the offerings.
    InsufficientCapacity,
    /// The EC2NodeClass is not ready.
    NodeClassNotReady,
    /// The node did not join in time.
    RegistrationTimeout,
    /// The instance did not start in time.
    LaunchTimeout,
}

impl DisruptionReason {
    fn as_str(self) -> &'static str {
        match self {
            Self::GarbageCollected => "garbage_collected",
            Self::InsufficientCapacity => "insufficient_capacity",
            Self::NodeClassNotReady => "nodeclass_not_ready",
            Self::RegistrationTimeout => "registration_timeout",
            Self::LaunchTimeout => "launch_timeout",
        }
    }
}

/// How much time a NodeClaim gives its pods when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminationMode {
    /// As much as they need: it has no `terminationGracePeriod`.
    Graceful,
    /// None: the period is zero.
    Forceful,
    /// As much as the period says.
    Eventual,
}

impl TerminationMode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Graceful => "graceful",
            Self::Forceful => "forceful",
            Self::Eventual => "eventual",
        }
    }
}

/// Where a NodeClaim came from and where it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceOfClaim<'a> {
    /// Its NodePool.
    pub node_pool: &'a str,
    /// Unknown before it is launched.
    pub capacity_type: Option<CapacityType>,
    /// Unknown before it is launched.
    pub zone: Option<&'a str>,
}

/// The end of a NodeClaim, decided by us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disruption<'a> {
    /// Why.
    pub reason: DisruptionReason,
    /// Its NodePool.
    pub node_pool: &'a str,
    /// Unknown before it is launched.
    pub capacity_type: Option<CapacityType>,
    /// How much time its pods have.
    pub mode: TerminationMode,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CreatedLabels {
    reason: &'static str,
    nodepool: String,
    min_values_relaxed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TerminatedLabels {
    nodepool: String,
    capacity_type: &'static str,
    zone: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DisruptedLabels {
    reason: &'static str,
    nodepool: String,
    capacity_type: &'static str,
    consolidation_policy: &'static str,
    termination_mode: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabels {
    nodepool: String,
    zone: String,
}

/// NodeClaims and their nodes.
#[derive(Debug, Default)]
pub struct ClaimMetrics {
    created: Family<CreatedLabels, Counter>,
    terminated: Family<TerminatedLabels, Counter>,
    disrupted: Family<DisruptedLabels, Counter>,
    nodes_created: Family<NodeLabels, Counter>,
    nodes_terminated: Family<NodeLabels, Counter>,
}

impl ClaimMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let made = Self::default();
        registry.register("nodeclaims_created", "NodeClaims written, by reason and NodePool", made.created.clone());
        registry.register("nodeclaims_terminated", "NodeClaims whose finalizer was removed", made.terminated.clone());
        registry.register("nodeclaims_disrupted", "NodeClaims ended by decision, by reason", made.disrupted.clone());
        registry.register("nodes_created", "Nodes that joined for a NodeClaim", made.nodes_created.clone());
        registry.register("nodes_terminated", "Nodes of NodeClaims that are gone", made.nodes_terminated.clone());
        made
    }

    /// A NodeClaim was written for pending pods.
    pub fn provisioned(&self, node_pool: &str) {
        let labels = CreatedLabels { reason: "provisioned", nodepool: node_pool.to_owned(), min_values_relaxed: false };
        self.created.get_or_create(&labels).inc();
    }

    /// The finalizer of a NodeClaim was removed.
    pub fn terminated(&self, claim: &PlaceOfClaim<'_>) {
        let labels = TerminatedLabels {
            nodepool: claim.node_pool.to_owned(),
            capacity_type: capacity_type(claim.capacity_type),
            zone: claim.zone.unwrap_or_default().to_owned(),
        };
        self.terminated.get_or_create(&labels).inc();
    }

    /// We decided to end a NodeClaim.
    pub fn disrupted(&self, disruption: &Disruption<'_>) {
        let labels = DisruptedLabels {
            reason: disruption.reason.as_str(),
            nodepool: disruption.node_pool.to_owned(),
            capacity_type: capacity_type(disruption.capacity_type),
            consolidation_policy: "",
            termination_mode: disruption.mode.as_str(),
        };
        self.disrupted.get_or_create(&labels).inc();
    }

    /// The node of a NodeClaim joined.
    pub fn node_registered(&self, node_pool: &str, zone: &str) {
        self.nodes_created.get_or_create(&node(node_pool, zone)).inc();
    }

    /// The node of a NodeClaim is gone.
    pub fn node_terminated(&self, node_pool: &str, zone: &str) {
        self.nodes_terminated.get_or_create(&node(node_pool, zone)).inc();
    }
}

fn node(node_pool: &str, zone: &str) -> NodeLabels {
    NodeLabels { nodepool: node_pool.to_owned(), zone: zone.to_owned() }
}

fn capacity_type(known: Option<CapacityType>) -> &'static str {
    known.map_or("", CapacityType::as_str)
}
