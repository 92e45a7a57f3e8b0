//! Small catalogs and clusters for tests: prices and sizes that can be added up in the head.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::catalog::{Catalog, Provenance, Source};
use crate::domain::cluster::ClusterView;
use crate::domain::instance_type::tests::sold;
use crate::domain::instance_type::{Architecture, Device, InstanceType};
use crate::domain::interruption::InterruptionCosts;
use crate::domain::money::UsdPerHour;
use crate::domain::node_class::{EvictionThreshold, NodeClass};
use crate::domain::node_pool::{NodeClassRef, NodePool};
use crate::domain::pod::{DaemonSet, Pod, PodSpec, Workload};
use crate::domain::requirement::{Operator, Requirement, Requirements};
use crate::domain::resources::{ResourceName, Resources};
use crate::domain::selector::Labels;
use crate::domain::taint::{Effect, Taint, Toleration};
use crate::planning::PreferencePolicy;
use crate::planning::cost::CostModel;
use crate::planning::plan::{Planned, plan};
use crate::solver::SolveConfig;

pub(super) const GIB: i64 = 1 << 30;

/// m5 (amd64) and m7g (arm64, a tenth cheaper) with 2, 4, 8 and 16 vCPUs at 0.05 $ a vCPU, and one g5 with a GPU.
pub(super) fn catalog() -> Catalog {
    let sizes = [("large", 2), ("xlarge", 4), ("2xlarge", 8), ("4xlarge", 16)];
    let mut types: Vec<InstanceType> = sizes
        .iter()
        .flat_map(|&(size, vcpus)| {
            [
                sold(&format!("m5.{size}"), Architecture::Amd64, vcpus, vcpus * 50_000),
                sold(&format!("m7g.{size}"), Architecture::Arm64, vcpus, vcpus * 45_000),
            ]
        })
        .collect();
    let mut gpu = sold("g5.xlarge", Architecture::Amd64, 4, 1_000_000);
    gpu.gpus =
        vec![Device { name: "A10G".to_owned(), manufacturer: "NVIDIA".to_owned(), count: 1, memory_mib: 24_576, cores: 0 }];
    types.push(gpu);
    types.sort_by(|a, b| a.name.cmp(&b.name));
    let source = || Source { origin: "a test".to_owned(), as_of: "2026-01-01".to_owned() };
    Catalog {
        region: "us-east-1".to_owned(),
        instance_types: types,
        ebs_prices: BTreeMap::from([("gp3".to_owned(), 80_000)]),
        provenance: Provenance { instance_types: source(), zones: source(), on_demand: source(), spot: source(), ebs: source() },
        prices_as_of: "2026-01-01".to_owned(),
    }
}

/// A NodeClass whose kubelet keeps nothing, so that a vCPU is 1,000 milli-cores for pods.
pub(super) fn node_class() -> NodeClass {
    let mut made = NodeClass::al2023("default");
    for resource in [ResourceName::CPU, ResourceName::MEMORY, ResourceName::EPHEMERAL_STORAGE] {
        made.kubelet.kube_reserved.insert(resource.to_owned(), 0);
    }
    for signal in ["memory.available", "nodefs.available"] {
        made.kubelet.eviction_hard.insert(signal.to_owned(), EvictionThreshold::Bytes(0));
    }
    made
}

/// A NodePool of that NodeClass, with requirements as `(key, operator, values)`.
pub(super) fn pool(name: &str, requirements: &[(&str, Operator, &[&str])]) -> NodePool {
    NodePool {
        name: name.to_owned(),
        weight: 0,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        taints: Vec::new(),
        startup_taints: Vec::new(),
        requirements: required(requirements),
        node_class_ref: NodeClassRef {
            group: "karpenter.k8s.aws".to_owned(),
            kind: "EC2NodeClass".to_owned(),
            name: "default".to_owned(),
        },
        expire_after: None,
        termination_grace_period: None,
        limits: BTreeMap::new(),
    }
}

pub(super) fn required(requirements: &[(&str, Operator, &[&str])]) -> Requirements {
    let mut made = Requirements::new();
    for (key, operator, values) in requirements {
        made.add(key, Requirement::new(*operator, values).expect("the requirements of tests are valid"));
    }
    made
}

pub(super) fn taint(text: &str) -> Taint {
    Taint { key: text.to_owned(), value: String::new(), effect: Effect::NoSchedule }
}

pub(super) fn toleration(text: &str) -> Toleration {
    Toleration { key: Some(text.to_owned()), value: None, effect: None }
}

/// A pod's spec of `cores` and 1 GiB per core, without rules.
pub(super) fn spec(cores: i64) -> PodSpec {
    let requests = Resources::new()
        .with(ResourceName::CPU, cores * 1_000)
        .with(ResourceName::MEMORY, cores * GIB)
        .with(ResourceName::PODS, 1);
    PodSpec { requests, node_alternatives: vec![Requirements::new()], ..PodSpec::default() }
}

/// `spec` with each of `alternatives` as an affinity term.
pub(super) fn with_terms(spec: PodSpec, alternatives: &[&[(&str, Operator, &[&str])]]) -> PodSpec {
    PodSpec { node_alternatives: alternatives.iter().map(|term| required(term)).collect(), ..spec }
}

/// A cluster of these NodePools and, per entry, so many pods of a spec.
pub(super) fn cluster(pools: Vec<NodePool>, pods: &[(usize, PodSpec)]) -> ClusterView {
    let mut made = Vec::new();
    for (number, (count, spec)) in pods.iter().enumerate() {
        let workload = Arc::new(Workload { kind: "Deployment".to_owned(), name: format!("w{number}") });
        let spec = Arc::new(spec.clone());
        let labels = Arc::new(Labels::from([("app".to_owned(), format!("w{number}"))]));
        made.extend((0..*count).map(|pod| Pod {
            namespace: "default".to_owned(),
            name: format!("w{number}-{pod}"),
            workload: Arc::clone(&workload),
            labels: Arc::clone(&labels),
            spec: Arc::clone(&spec),
        }));
    }
    ClusterView {
        pods: made,
        daemon_sets: Vec::new(),
        node_pools: pools,
        node_classes: BTreeMap::from([("default".to_owned(), node_class())]),
        ..ClusterView::default()
    }
}

pub(super) fn daemon_set(name: &str, spec: PodSpec) -> DaemonSet {
    DaemonSet { namespace: "kube-system".to_owned(), name: name.to_owned(), spec: Arc::new(spec) }
}

/// The plan for `cluster` on the small catalog: no volumes, no fee.
pub(super) fn planned(cluster: &ClusterView) -> Planned {
    planned_within(cluster, 20_000)
}

/// The same within so many units of work.
pub(super) fn planned_within(cluster: &ClusterView, work: u64) -> Planned {
    let config = SolveConfig { gap: 0.0, work_limit: Some(work), deadline: None, seed: 1 };
    let costs = CostModel {
        volumes: false,
        fee_per_node: UsdPerHour::ZERO,
        interruptions: InterruptionCosts::NONE,
        preferences: PreferencePolicy::Priced { premium_per_mille: 500 },
    };
    plan(cluster, &catalog(), &costs, &config, &|| Duration::ZERO, &mut |_| {}).expect("the clusters of tests are sound")
}
