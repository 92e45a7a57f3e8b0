//! What a pod asks of a node.

use std::sync::Arc;

use crate::domain::collective::WorkloadRules;
use crate::domain::requirement::Requirements;
use crate::domain::resources::Resources;
use crate::domain::selector::Labels;
use crate::domain::taint::Toleration;
use crate::domain::topology::{HostPort, PodAffinityTerm, Preference, TopologySpread};
use crate::domain::volume::PodVolume;

/// A scheduling rule of a pod that the program does not contain; the plan says how many pods carry each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnmodelledRule {
    /// Volumes that kube-scheduler has yet to choose among those made by hand, and cloud disks that a pod names without a claim.
    Volume,
    /// `resourceClaims` (dynamic resource allocation).
    ResourceClaim,
}

impl UnmodelledRule {
    /// How a person calls it, in the plural.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Volume => "volumes made by hand",
            Self::ResourceClaim => "resource claims",
        }
    }
}

/// What a pod asks of a node. Pods of one workload share one value; equal values are one class to the program.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodSpec {
    /// Effective requests: the larger of the running containers' sum and the init containers' peak, with sidecars, overhead
    /// and pod-level resources; includes `pods: 1`, and one of `attachable-volumes-csi-<driver>` for each claim whose driver has
    /// limits. Never negative.
    pub requests: Resources,
    /// Alternatives (the nodeSelector joined to each required node-affinity term): a node must meet at least one. Never empty;
    /// a pod without node constraints has one empty alternative. A pod whose terms can all never match has alternatives that
    /// no node meets.
    pub node_alternatives: Vec<Requirements>,
    /// Taints that the pod accepts.
    pub tolerations: Vec<Toleration>,
    /// Resolved priority; higher is placed first when not all fit.
    pub priority: i32,
    /// How evenly its like must stand, hard and soft constraints.
    pub spreads: Vec<TopologySpread>,
    /// Pods that its domain must hold (required pod affinity); with several terms, pods that all of them count.
    pub near: Vec<PodAffinityTerm>,
    /// Pods that its domain must not hold (required pod anti-affinity).
    pub apart: Vec<PodAffinityTerm>,
    /// What it would rather have.
    pub preferences: Vec<Preference>,
    /// Ports of the node that it takes, sorted.
    pub host_ports: Vec<HostPort>,
    /// Those of its volumes that other pods use too, or that cannot be attached everywhere, by name.
    pub volumes: Vec<PodVolume>,
    /// What its workload asks of all its pods together.
    pub workload_rules: Option<WorkloadRules>,
    /// The group (`namespace/name`) of which all pods that wait are placed, or none.
    pub atomic_group: Option<String>,
    /// Rules that the program does not contain, sorted, each once.
    pub unmodelled: Vec<UnmodelledRule>,
}

impl PodSpec {
    /// The alternatives of its volumes, those of all volumes in a row.
    pub fn volume_places(&self) -> impl Iterator<Item = &Requirements> {
        self.volumes.iter().flat_map(|volume| &volume.places)
    }

    /// The terms of [`Self::near`] as kube-scheduler reads them: under each topology key the pods that *all* terms count
    /// (v1.33, `interpodaffinity`, `podMatchesAllAffinityTerms`).
    #[must_use]
    pub fn joint_near(&self) -> Vec<PodAffinityTerm> {
        let Some(all) = self.near.iter().map(|term| term.selector.clone()).reduce(|a, b| a.and(&b)) else { return Vec::new() };
        let keys = self.near.iter().map(|term| term.topology_key.clone());
        keys.map(|topology_key| PodAffinityTerm { topology_key, selector: all.clone() }).collect()
    }
}

/// The object that makes a pod: `apps/v1 Deployment web`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workload {
    /// `Deployment`, `StatefulSet`, `Job`, ...; `Pod` for a bare pod.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A pod to place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace.
    pub namespace: String,
    /// Name; pods of a workload template are numbered `name-0`, `name-1`, ...
    pub name: String,
    /// What made it.
    pub workload: Arc<Workload>,
    /// Labels; pods of one workload share one value.
    pub labels: Arc<Labels>,
    /// What it asks for.
    pub spec: Arc<PodSpec>,
}

impl Pod {
    /// `namespace/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// A DaemonSet: its pod runs on every node that it is compatible with and takes room there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSet {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// What its pod asks for.
    pub spec: Arc<PodSpec>,
}
