//! NodePools: which nodes may be bought, and how many.

use std::collections::BTreeMap;

use crate::domain::labels;
use crate::domain::requirement::{Requirement, Requirements};
use crate::domain::resources::{ResourceName, Resources};
use crate::domain::taint::Taint;

/// Which NodeClass a NodePool uses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeClassRef {
    /// API group, `karpenter.k8s.aws`.
    pub group: String,
    /// Kind, `EC2NodeClass`.
    pub kind: String,
    /// Name of the object.
    pub name: String,
}

/// A NodePool (`karpenter.sh/v1`), as far as it decides what is bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePool {
    /// Name.
    pub name: String,
    /// 0 (none given) to 100: pods go to the heaviest pool that can hold them.
    pub weight: i32,
    /// `spec.template.metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `spec.template.metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// Taints that pods must tolerate.
    pub taints: Vec<Taint>,
    /// Taints that go away while the node starts; ignored when packing.
    pub startup_taints: Vec<Taint>,
    /// `spec.template.spec.requirements`, with `minValues`; several for one key are intersected.
    pub requirements: Requirements,
    /// The NodeClass.
    pub node_class_ref: NodeClassRef,
    /// Go duration or `Never`, as written.
    pub expire_after: Option<String>,
    /// Go duration, as written.
    pub termination_grace_period: Option<String>,
    /// Ceilings on the sum of the nodes' *capacity*, on their number (`nodes`) and on what they cost ([`ResourceName::COST`]). A
    /// resource that is absent has no limit; because [`Resources`] does not store zeros, limits have a map of their own.
    pub limits: BTreeMap<String, i64>,
}

impl NodePool {
    /// What is required of the labels of its nodes: its requirements, its labels, and the labels that say which NodePool and NodeClass a
    /// node belongs to.
    #[must_use]
    pub fn label_requirements(&self) -> Requirements {
        let mut made = self.requirements.clone();
        made.add_all(&Requirements::from_labels(&self.labels));
        made.add(labels::NODE_POOL, Requirement::one_of([self.name.as_str()]));
        made.add(labels::NODE_CLASS, Requirement::one_of([self.node_class_ref.name.as_str()]));
        made
    }

    /// Whether a node of capacity `capacity` fits under every limit by itself, but for what it costs.
    #[must_use]
    pub fn admits(&self, capacity: &Resources) -> bool {
        self.limits.iter().all(|(name, limit)| {
            let used = if name == ResourceName::NODES { 1 } else { capacity.get(name) };
            used <= *limit
        })
    }
}
