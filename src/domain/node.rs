//! Nodes that exist: running, or bought and on their way.

use std::sync::Arc;

use crate::domain::pod::PodSpec;
use crate::domain::resources::Resources;
use crate::domain::selector::Labels;
use crate::domain::taint::Taint;

/// Whether a node takes pods now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeState {
    /// Registered and initialised.
    Ready,
    /// Bought but not up yet; known by its NodeClaim, or by a Node that is still starting.
    InFlight,
}

/// A pod that runs on a node and stays there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundPod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Labels; pods of one workload share one value.
    pub labels: Arc<Labels>,
    /// What it asks for.
    pub spec: Arc<PodSpec>,
    /// Whether a DaemonSet made it.
    pub of_daemon_set: bool,
}

/// A node that pods may use. Nodes that are being deleted are none of these: their pods are demand, and they count for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Name of the Node; of the NodeClaim while there is no Node.
    pub name: String,
    /// Its NodePool, if it is managed.
    pub node_pool: Option<String>,
    /// Labels; always with `kubernetes.io/hostname`.
    pub labels: Labels,
    /// Taints that pods have to tolerate: those that go away once the node is up are not among them.
    pub taints: Vec<Taint>,
    /// What counts against the limits of its NodePool.
    pub capacity: Resources,
    /// What the kubelet offers; volume attachments appear as `attachable-volumes-csi-<driver>`.
    pub allocatable: Resources,
    /// Whether it is up.
    pub state: NodeState,
    /// Pods that run on it, by namespace and name.
    pub pods: Vec<BoundPod>,
}
