//! A scenario: groups of equal pods, DaemonSets and NodePools in numbers, and the cluster that they make.
//!
//! One value per group is shared by its pods, as the manifest reader does it, so that what is measured is what users get.

use std::collections::BTreeMap;
use std::sync::Arc;

use supercargo::domain::cluster::ClusterView;
use supercargo::domain::node_class::NodeClass;
use supercargo::domain::node_pool::{NodeClassRef, NodePool};
use supercargo::domain::pod::{DaemonSet, Pod, PodSpec, Workload};
use supercargo::domain::requirement::{Requirement, Requirements};
use supercargo::domain::resources::{ResourceName, Resources};
use supercargo::domain::taint::Taint;

/// Bytes of a MiB.
const MIB: i64 = 1 << 20;
/// Name of the only NodeClass.
const NODE_CLASS: &str = "default";

/// Pods that are alike.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Name of the workload.
    pub(crate) name: String,
    /// How many pods.
    pub(crate) count: usize,
    /// What one asks for.
    pub(crate) requests: Resources,
    /// Its `nodeSelector`.
    pub(crate) node_selector: BTreeMap<String, String>,
}

/// A NodePool.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    /// Name.
    pub(crate) name: String,
    /// Weight.
    pub(crate) weight: i32,
    /// Requirements.
    pub(crate) requirements: Requirements,
    /// Taints.
    pub(crate) taints: Vec<Taint>,
    /// Limits, in the units of [`Resources`].
    pub(crate) limits: BTreeMap<String, i64>,
}

/// A workload to plan for.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// Name.
    pub(crate) name: String,
    /// Pods.
    pub(crate) groups: Vec<Group>,
    /// NodePools, by name.
    pub(crate) pools: Vec<Pool>,
    /// Requests of one pod of each DaemonSet.
    pub(crate) daemons: Vec<Resources>,
    /// Topology terms that were left out: the program does not contain them.
    pub(crate) left_out: usize,
}

/// What a pod asks for, in milli-cores, MiB and GPUs of NVIDIA.
pub(crate) fn requests(cpu_m: i64, mem_mib: i64, gpus: i64) -> Resources {
    Resources::new()
        .with(ResourceName::CPU, cpu_m)
        .with(ResourceName::MEMORY, mem_mib.saturating_mul(MIB))
        .with(ResourceName::PODS, 1)
        .with("nvidia.com/gpu", gpus)
}

impl Scenario {
    /// The cluster with every group `scale` times as large.
    pub(crate) fn cluster(&self, scale: usize) -> ClusterView {
        let mut pods = Vec::new();
        for group in &self.groups {
            let workload = Arc::new(Workload { kind: "Deployment".to_owned(), name: group.name.clone() });
            let mut selector = Requirements::new();
            for (key, value) in &group.node_selector {
                selector.add(key, Requirement::one_of([value.as_str()]));
            }
            let spec =
                Arc::new(PodSpec { requests: group.requests.clone(), node_alternatives: vec![selector], ..PodSpec::default() });
            pods.extend((0..group.count.saturating_mul(scale)).map(|number| Pod {
                namespace: "default".to_owned(),
                name: format!("{}-{number}", group.name),
                workload: Arc::clone(&workload),
                labels: Arc::default(),
                spec: Arc::clone(&spec),
            }));
        }
        let daemon_sets = self.daemons.iter().enumerate().map(|(number, requests)| DaemonSet {
            namespace: "kube-system".to_owned(),
            name: format!("daemon-{number}"),
            spec: Arc::new(PodSpec {
                requests: requests.clone(),
                node_alternatives: vec![Requirements::new()],
                ..PodSpec::default()
            }),
        });
        ClusterView {
            pods,
            daemon_sets: daemon_sets.collect(),
            nodes: Vec::new(),
            node_pools: self.pools.iter().map(node_pool).collect(),
            node_classes: BTreeMap::from([(NODE_CLASS.to_owned(), NodeClass::al2023(NODE_CLASS))]),
        }
    }
}

fn node_pool(pool: &Pool) -> NodePool {
    NodePool {
        name: pool.name.clone(),
        weight: pool.weight,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        taints: pool.taints.clone(),
        startup_taints: Vec::new(),
        requirements: pool.requirements.clone(),
        node_class_ref: NodeClassRef {
            group: "karpenter.k8s.aws".to_owned(),
            kind: "EC2NodeClass".to_owned(),
            name: NODE_CLASS.to_owned(),
        },
        expire_after: None,
        termination_grace_period: None,
        limits: pool.limits.clone(),
    }
}
