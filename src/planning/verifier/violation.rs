//! What can be wrong with a plan, each kind by name.

use std::fmt;

use crate::domain::money::UsdPerHour;
use crate::domain::plan::Candidate;
use crate::domain::resources::ResourceName;

/// A rule that a plan breaks. `node` is the index into `Plan::nodes`; amounts are in the units of `domain::resources`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields say what they are, and each kind is documented")]
pub enum Violation {
    /// A pod is neither on a node nor listed as unplaced.
    PodMissing { pod: String },
    /// A pod is listed more than once.
    PodRepeated { pod: String, times: usize },
    /// The plan speaks of a pod that the cluster does not have.
    UnknownPod { index: usize },
    /// An unplaced pod has no reason.
    ReasonMissing { pod: String },
    /// A node without pods is bought.
    EmptyNode { node: usize },
    /// The NodePool of a node does not exist.
    UnknownNodePool { node: usize, node_pool: String },
    /// The catalog does not sell this.
    UnknownOffering { node: usize, offering: String },
    /// The catalog sells it at another price, or marks the price differently (listed, estimated).
    PriceMisstated { node: usize, offering: String, stated: UsdPerHour, listed: UsdPerHour },
    /// EC2 could not deliver this lately.
    Unavailable { node: usize, offering: String },
    /// The interruptions of an offering are expected to cost something else.
    InterruptionsMisstated { node: usize, offering: String, stated: UsdPerHour, expected: UsdPerHour },
    /// Root volume and fee are not what they should be.
    OverheadMisstated { node: usize, stated: UsdPerHour, expected: UsdPerHour },
    /// The NodePool's requirement on `key` (or its label) excludes the instance type.
    TypeNotAllowed { node: usize, instance_type: String, key: String },
    /// The NodeClass cannot run on the instance type.
    NodeClassIncompatible { node: usize, instance_type: String },
    /// The NodePool or the NodeClass's subnets exclude the zone.
    ZoneNotAllowed { node: usize, zone: String },
    /// The NodePool excludes the capacity type.
    CapacityTypeNotAllowed { node: usize, capacity_type: String },
    /// The node fixes a label to a value that its NodePool does not allow.
    LabelNotAllowed { node: usize, key: String, value: String },
    /// No alternative of the pod's nodeSelector and node affinity is met by the node's labels.
    NodeAffinity { node: usize, pod: String },
    /// The pod does not tolerate a taint of the NodePool.
    TaintNotTolerated { node: usize, pod: String, taint: String },
    /// Pods and DaemonSets ask for more than the node offers.
    Overcommitted { node: usize, resource: String, wanted: i64, allocatable: i64 },
    /// The sum that the plan states for a node's pods is not theirs.
    RequestsMisstated { node: usize },
    /// The node would offer something else than the plan states.
    AllocatableMisstated { node: usize },
    /// The nodes of a NodePool together exceed one of its limits.
    LimitExceeded { node_pool: String, resource: String, used: i64, limit: i64 },
    /// A node is to be reserved but names no reservation that its NodeClass may use, or names one without being reserved.
    UnknownReservation { node: usize },
    /// More nodes use a capacity reservation than it has free instances.
    ReservationExceeded { reservation: String, nodes: u32, free: u32 },
    /// A candidate is of another capacity reservation than the chosen offering.
    CandidateInOtherReservation { node: usize, offering: String },
    /// A node says that a commitment pays for it which does not cover it, or more than what it draws is worth.
    CoverMisstated { node: usize, commitment: String },
    /// Nodes draw more of a commitment than nodes that exist leave of it.
    CommitmentExceeded { commitment: String, drawn: i64, left: i64 },
    /// The pod belongs on a heavier NodePool, which has no limits and holds it.
    HeavierPoolHasRoom { pod: String, node_pool: String, heavier: String },
    /// The candidates cover too few values of a key with `minValues`.
    MinValues { node: usize, key: String, covered: usize, wanted: u32 },
    /// The chosen offering is not the first candidate.
    ChosenNotFirst { node: usize },
    /// A candidate could not stand in for the chosen offering.
    CandidateUnfit { node: usize, offering: String, problem: Box<Violation> },
    /// A candidate is in another domain of a rule that the node's pods are a part of.
    CandidateInOtherDomain { node: usize, offering: String, key: String },
    /// A group that is placed whole or not at all is placed in part.
    GroupSplit { group: String, placed: usize, pods: usize },
    /// More pods of a workload are on Spot than its on-demand-floor allows.
    OnDemandFloor { workload: String, on_spot: u32, most: u32 },
    /// More pods of a workload are in one Spot pool than its max-spot-pool-share allows.
    SpotPoolShare { workload: String, pool: String, pods: u32, most: u32 },
    /// A Spot pool has more CPU than the cap of the whole plan, both in milli-cores.
    SpotPoolCap { pool: String, cores: i64, most: i64 },
    /// A domain holds more pods of a spread constraint than the least filled one and `max_skew` allow.
    TopologySpread { pod: String, key: String, domain: String, pods: u32, least: u32, max_skew: u32 },
    /// The domain of a pod holds no pod that it has to be near to.
    PodAffinity { pod: String, key: String, domain: String },
    /// The domain of a pod holds a pod that it has to be apart from.
    PodAntiAffinity { pod: String, key: String, domain: String },
    /// A rule needs a label that the pod's node does not have, or that the plan leaves open.
    NoDomain { pod: String, place: String, key: String },
    /// Two pods want one port of a node.
    HostPort { node: String, port: String },
    /// The plan counts other pods that do not have their way in a soft rule.
    PreferenceMisstated { pod: String, rule: usize, stated: u32, real: u32 },
    /// What the unmet preferences are worth is not the sum.
    ForgoneMisstated { stated: UsdPerHour, sum: UsdPerHour },
    /// A volume of a pod cannot be attached there.
    Volume { node: usize, pod: String, volume: String },
    /// A volume of a pod cannot be attached to an existing node.
    ExistingNodeVolume { node: String, pod: String, volume: String },
    /// Pods of a claim whose volume is still to be made are in several domains of the label that decides where it is made.
    ClaimInSeveralDomains { claim: String, key: String, domains: Vec<String> },
    /// A node with pods of such a claim does not have that label, or the plan leaves it open.
    ClaimWithoutDomain { claim: String, key: String },
    /// The plan uses a node that does not exist.
    UnknownNode { index: usize },
    /// An existing node is listed twice, or without pods.
    NodeRepeated { node: String },
    /// The labels of an existing node meet no alternative of a pod's nodeSelector and node affinity.
    ExistingNodeAffinity { node: String, pod: String },
    /// A pod does not tolerate a taint of an existing node.
    ExistingNodeTaint { node: String, pod: String, taint: String },
    /// Pods and DaemonSets ask for more than an existing node offers.
    ExistingNodeOvercommitted { node: String, resource: String, wanted: i64, allocatable: i64 },
    /// The stated cost is not the sum over the nodes.
    CostMisstated { stated: UsdPerHour, sum: UsdPerHour },
    /// What all interruptions are expected to cost is not the sum over the nodes.
    InterruptionSumMisstated { stated: UsdPerHour, sum: UsdPerHour },
    /// The lower bound is above the cost: it bounds nothing.
    BoundAboveCost { bound: UsdPerHour, cost: UsdPerHour },
}

/// `m7i.large us-east-1a spot`.
pub(super) fn describe(offering: &Candidate) -> String {
    let reservation = offering.reservation.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
    format!("{} {} {}{reservation}", offering.instance_type, offering.zone, offering.capacity_type.as_str())
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PodMissing { pod } => write!(f, "pod {pod} is neither placed nor listed as unplaced"),
            Self::PodRepeated { pod, times } => write!(f, "pod {pod} is listed {times} times"),
            Self::UnknownPod { index } => write!(f, "there is no pod number {index}"),
            Self::ReasonMissing { pod } => write!(f, "pod {pod} is unplaced without a reason"),
            Self::EmptyNode { node } => write!(f, "node {node}: it has no pods"),
            Self::UnknownNodePool { node, node_pool } => write!(f, "node {node}: there is no NodePool {node_pool}"),
            Self::UnknownOffering { node, offering } => write!(f, "node {node}: the catalog does not sell {offering}"),
            Self::PriceMisstated { node, offering, stated, listed } => {
                write!(
                    f,
                    "node {node}: {offering} is stated at ${stated}/h, catalog and NodeOverlays have ${listed}/h or mark it differently"
                )
            }
            Self::Unavailable { node, offering } => write!(f, "node {node}: EC2 could not deliver {offering} lately"),
            Self::InterruptionsMisstated { node, offering, stated, expected } => {
                write!(
                    f,
                    "node {node}: interruptions of {offering} are stated as ${stated}/h and are expected to cost ${expected}/h"
                )
            }
            Self::InterruptionSumMisstated { stated, sum } => {
                write!(f, "the plan states interruptions of ${stated}/h, those of its nodes are expected to cost ${sum}/h")
            }
            Self::OverheadMisstated { node, stated, expected } => {
                write!(f, "node {node}: root volume and fee are stated as ${stated}/h and are ${expected}/h")
            }
            Self::TypeNotAllowed { node, instance_type, key } => {
                write!(f, "node {node}: the NodePool's requirement on {key} excludes {instance_type}")
            }
            Self::NodeClassIncompatible { node, instance_type } => {
                write!(f, "node {node}: the EC2NodeClass cannot run on {instance_type}")
            }
            Self::ZoneNotAllowed { node, zone } => write!(f, "node {node}: the NodePool or its subnets exclude zone {zone}"),
            Self::CapacityTypeNotAllowed { node, capacity_type } => {
                write!(f, "node {node}: the NodePool excludes capacity type {capacity_type}")
            }
            Self::LabelNotAllowed { node, key, value } => {
                write!(f, "node {node}: the NodePool does not allow the label {key}={value}")
            }
            Self::NodeAffinity { node, pod } => {
                write!(f, "node {node}: its labels meet no alternative of the node affinity of pod {pod}")
            }
            Self::TaintNotTolerated { node, pod, taint } => write!(f, "node {node}: pod {pod} does not tolerate {taint}"),
            Self::Overcommitted { node, resource, wanted, allocatable } => {
                write!(f, "node {node}: {wanted} of {resource} asked for, {allocatable} allocatable")
            }
            Self::RequestsMisstated { node } => write!(f, "node {node}: the stated requests are not those of its pods"),
            Self::AllocatableMisstated { node } => write!(f, "node {node}: the stated allocatable is not that of its type"),
            Self::LimitExceeded { node_pool, resource, used, limit } if resource == ResourceName::COST => {
                let [used, limit] = [*used, *limit].map(UsdPerHour::from_micros);
                write!(f, "NodePool {node_pool}: its nodes cost ${used}/h, more than the ${limit}/h that it may spend")
            }
            Self::LimitExceeded { node_pool, resource, used, limit } => {
                write!(f, "NodePool {node_pool}: {used} of {resource} is above its limit of {limit}")
            }
            Self::UnknownReservation { node } => {
                write!(f, "node {node}: its capacity type and the capacity reservations of its EC2NodeClass do not agree")
            }
            Self::ReservationExceeded { reservation, nodes, free } => {
                write!(f, "capacity reservation {reservation}: {nodes} nodes use it, {free} instances are free")
            }
            Self::CandidateInOtherReservation { node, offering } => {
                write!(f, "node {node}: candidate {offering} is of another capacity reservation than the chosen offering")
            }
            Self::CoverMisstated { node, commitment } => {
                write!(f, "node {node}: commitment {commitment} does not pay what the plan says it pays")
            }
            Self::CommitmentExceeded { commitment, drawn, left } => {
                write!(f, "commitment {commitment}: the nodes draw {drawn} of it, {left} are left")
            }
            Self::HeavierPoolHasRoom { pod, node_pool, heavier } => {
                write!(f, "pod {pod} is on NodePool {node_pool} although the heavier {heavier} can hold it")
            }
            Self::MinValues { node, key, covered, wanted } => {
                write!(f, "node {node}: its candidates cover {covered} values of {key}, minValues asks for {wanted}")
            }
            Self::ChosenNotFirst { node } => write!(f, "node {node}: the chosen offering is not the first candidate"),
            Self::CandidateUnfit { node, offering, problem } => {
                write!(f, "node {node}: candidate {offering} cannot stand in: {problem}")
            }
            Self::CandidateInOtherDomain { node, offering, key } => {
                write!(f, "node {node}: candidate {offering} is in another domain of {key} than its pods have to be in")
            }
            Self::GroupSplit { group, placed, pods } => {
                write!(f, "atomic group {group}: {placed} of its {pods} pods are placed, neither all nor none")
            }
            Self::OnDemandFloor { workload, on_spot, most } => {
                write!(f, "{workload}: {on_spot} of its pods are on Spot, its on-demand-floor allows {most}")
            }
            Self::SpotPoolShare { workload, pool, pods, most } => {
                write!(f, "{workload}: {pods} of its pods are in the Spot pool {pool}, its max-spot-pool-share allows {most}")
            }
            Self::SpotPoolCap { pool, cores, most } => {
                write!(f, "Spot pool {pool} has {cores} milli-cores, the plan's max-spot-pool-share allows {most}")
            }
            Self::TopologySpread { pod, key, domain, pods, least, max_skew } => {
                write!(
                    f,
                    "pod {pod}: {key} {domain} holds {pods} pods of its spread constraint, the least filled {least}, maxSkew {max_skew}"
                )
            }
            Self::PodAffinity { pod, key, domain } => {
                write!(f, "pod {pod}: {key} {domain} holds no pod that its affinity asks for")
            }
            Self::PodAntiAffinity { pod, key, domain } => {
                write!(f, "pod {pod}: {key} {domain} holds a pod that its anti-affinity excludes")
            }
            Self::NoDomain { pod, place, key } => {
                write!(f, "pod {pod}: {place} has no certain value of {key}, which a rule needs")
            }
            Self::HostPort { node, port } => write!(f, "{node}: two pods take port {port}"),
            Self::PreferenceMisstated { pod, rule, stated, real } => {
                write!(f, "soft rule {rule} of pods like {pod} is stated as unmet for {stated} pods and is for {real}")
            }
            Self::ForgoneMisstated { stated, sum } => {
                write!(f, "the worth of unmet preferences is stated as ${stated}/h and the sum is ${sum}/h")
            }
            Self::Volume { node, pod, volume } => {
                write!(f, "node {node}: volume {volume} of pod {pod} cannot be attached there")
            }
            Self::ExistingNodeVolume { node, pod, volume } => {
                write!(f, "node {node}: volume {volume} of pod {pod} cannot be attached there")
            }
            Self::ClaimInSeveralDomains { claim, key, domains } => {
                let domains = domains.join(", ");
                write!(f, "claim {claim}: its volume is made in one {key}, and its pods are in {domains}")
            }
            Self::ClaimWithoutDomain { claim, key } => {
                write!(f, "claim {claim}: a node of its pods has no certain value of {key}, where its volume is made")
            }
            Self::UnknownNode { index } => write!(f, "there is no node number {index}"),
            Self::NodeRepeated { node } => write!(f, "node {node} is listed twice or without pods"),
            Self::ExistingNodeAffinity { node, pod } => {
                write!(f, "node {node}: its labels meet no alternative of pod {pod}")
            }
            Self::ExistingNodeTaint { node, pod, taint } => write!(f, "node {node}: pod {pod} does not tolerate {taint}"),
            Self::ExistingNodeOvercommitted { node, resource, wanted, allocatable } => {
                write!(f, "node {node}: {wanted} of {resource} asked for, {allocatable} allocatable")
            }
            Self::CostMisstated { stated, sum } => write!(f, "the cost is stated as ${stated}/h, the nodes add up to ${sum}/h"),
            Self::BoundAboveCost { bound, cost } => write!(f, "the bound of ${bound}/h is above the cost of ${cost}/h"),
        }
    }
}
