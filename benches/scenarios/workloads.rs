//! A scenario: groups of equal pods, DaemonSets and NodePools in numbers, and the cluster that they make.
//!
//! One value per group is shared by its pods, as the manifest reader does it, so that what is measured is what users get.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use supercargo::domain::cluster::ClusterView;
use supercargo::domain::node_class::NodeClass;
use supercargo::domain::node_pool::{NodeClassRef, NodePool};
use supercargo::domain::pod::{DaemonSet, Pod, PodSpec, Workload};
use supercargo::domain::requirement::{Requirement, Requirements};
use supercargo::domain::resources::{ResourceName, Resources};
use supercargo::domain::selector::{LabelSelector, Labels, PodSelector};
use supercargo::domain::taint::Taint;
use supercargo::domain::topology::{PodAffinityTerm, TopologySpread};

/// Bytes of a MiB.
const MIB: i64 = 1 << 20;
/// Name of the only namespace with pods to place.
const NAMESPACE: &str = "default";
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
    /// Labels of its pods.
    pub(crate) labels: Arc<Labels>,
    /// Rules that tie them to other pods.
    pub(crate) rules: Rules,
}

/// Topology rules of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// Topology spread constraints.
    pub(crate) spreads: Vec<TopologySpread>,
    /// Required affinities.
    pub(crate) near: Vec<PodAffinityTerm>,
    /// Required anti-affinities.
    pub(crate) apart: Vec<PodAffinityTerm>,
}

/// The pods of the only namespace with these labels.
pub(crate) fn selecting(labels: &Labels) -> PodSelector {
    PodSelector { namespaces: Some(BTreeSet::from([NAMESPACE.to_owned()])), labels: Some(LabelSelector::of_labels(labels)) }
}

/// A hard spread constraint with the defaults of Kubernetes.
pub(crate) fn spread(key: String, max_skew: u32, selected: &Labels) -> TopologySpread {
    TopologySpread {
        topology_key: key,
        max_skew,
        min_domains: 1,
        selector: selecting(selected),
        honors_affinity: true,
        honors_taints: false,
        required: true,
    }
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
    /// The cluster with every group `scale` times as large; `topology` says whether the pods have their topology rules.
    pub(crate) fn cluster(&self, scale: usize, topology: bool) -> ClusterView {
        let mut pods = Vec::new();
        for group in &self.groups {
            let workload = Arc::new(Workload { kind: "Deployment".to_owned(), name: group.name.clone() });
            let mut selector = Requirements::new();
            for (key, value) in &group.node_selector {
                selector.add(key, Requirement::one_of([value.as_str()]));
            }
            let Rules { spreads, near, apart } = if topology { group.rules.clone() } else { Rules::default() };
            let (requests, node_alternatives) = (group.requests.clone(), vec![selector]);
            let spec = Arc::new(PodSpec { requests, node_alternatives, spreads, near, apart, ..PodSpec::default() });
            pods.extend((0..group.count.saturating_mul(scale)).map(|number| Pod {
                namespace: NAMESPACE.to_owned(),
                name: format!("{}-{number}", group.name),
                workload: Arc::clone(&workload),
                labels: Arc::clone(&group.labels),
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
            node_pools: self.pools.iter().map(node_pool).collect(),
            node_classes: BTreeMap::from([(NODE_CLASS.to_owned(), NodeClass::al2023(NODE_CLASS))]),
            ..ClusterView::default()
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
