//! What a plan starts from.

use std::collections::BTreeMap;

use crate::domain::commitment::Commitments;
use crate::domain::node::Node;
use crate::domain::node_class::NodeClass;
use crate::domain::node_pool::NodePool;
use crate::domain::pod::{DaemonSet, Pod};
use crate::domain::resources::ResourceName;

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
    /// How much CPU nodes in one Spot pool may have together: so many thousandths of what all pods ask for that run or wait, those of
    /// DaemonSets apart.
    pub max_spot_pool_share: Option<u32>,
    /// What is paid for whether it is used or not.
    pub commitments: Commitments,
}

impl ClusterView {
    /// How much CPU nodes in one Spot pool may have together, in milli-cores.
    #[must_use]
    pub fn most_in_spot_pool(&self) -> Option<i64> {
        let running = self.nodes.iter().flat_map(|node| &node.pods).filter(|pod| !pod.of_daemon_set);
        let specs = self.pods.iter().map(|pod| &pod.spec).chain(running.map(|pod| &pod.spec));
        let asked: i64 = specs.map(|spec| spec.requests.get(ResourceName::CPU)).fold(0, i64::saturating_add);
        let share = i128::from(asked) * i128::from(self.max_spot_pool_share?) / 1_000;
        Some(i64::try_from(share).unwrap_or(i64::MAX))
    }
}
