//! What a plan starts from.

use std::collections::BTreeMap;

use crate::domain::node::Node;
use crate::domain::node_class::NodeClass;
use crate::domain::node_pool::NodePool;
use crate::domain::pod::{DaemonSet, Pod};

/// The part of a cluster that decides which nodes it needs.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    /// Pods to place, in input order; a plan names them by their index here. `namespace/name` is unique.
    pub pods: Vec<Pod>,
    /// DaemonSets, by namespace and name.
    pub daemon_sets: Vec<DaemonSet>,
    /// NodePools, by name.
    pub node_pools: Vec<NodePool>,
    /// Nodes that exist and stay, by name.
    pub nodes: Vec<Node>,
    /// EC2NodeClasses by name. Every NodePool's reference is found here.
    pub node_classes: BTreeMap<String, NodeClass>,
}
