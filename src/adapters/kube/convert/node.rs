//! `Node` and `NodeClaim`: what exists and what is on its way, as one list.
//!
//! As Karpenter core v1.15.0 does (`pkg/controllers/state/statenode.go`): a NodeClaim and its Node are one; until the node is
//! initialized, what the NodeClaim's status promises stands in for what the node does not report yet, and taints that go away by
//! themselves do not count; what is being deleted is no place for pods.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Node as ApiNode;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use crate::adapters::kube::convert::node_pool::taints;
use crate::adapters::kube::convert::{FieldError, amount, entry};
use crate::adapters::kube::crd;
use crate::domain::labels;
use crate::domain::node::{Node, NodeState};
use crate::domain::node_class::NodeClass;
use crate::domain::resources::{ResourceName, Resources};
use crate::domain::selector::Labels;
use crate::domain::taint::{DISRUPTED, Effect, HOLD, Taint, UNREGISTERED};

/// Put on a node that is cordoned.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// A `Node`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    name: String,
    provider_id: Option<String>,
    labels: Labels,
    taints: Vec<Taint>,
    capacity: Resources,
    allocatable: Resources,
    deleting: bool,
}

/// A `NodeClaim`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeClaimFacts {
    name: String,
    node_name: Option<String>,
    provider_id: Option<String>,
    image: Option<String>,
    labels: Labels,
    taints: Vec<Taint>,
    startup_taints: Vec<Taint>,
    capacity: Resources,
    allocatable: Resources,
    deleting: bool,
}

/// What a Node says about its memory, and what that may be told of other nodes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryReading {
    /// Instance type.
    pub instance_type: String,
    /// Identity of the images of its NodeClass.
    pub images: String,
    /// `status.capacity.memory`, in bytes; above 0.
    pub bytes: i64,
}

/// The nodes of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Those that stay, by name, without pods.
    pub staying: Vec<Node>,
    /// Names of Nodes that are being deleted: their pods need another place.
    pub leaving: BTreeSet<String>,
    /// Sentences about NodeClaims that cannot be counted.
    pub notices: Vec<String>,
}

/// The facts of `node`.
///
/// # Errors
/// A taint or a quantity that is none.
pub fn from_api(name: &str, node: &ApiNode) -> Result<NodeFacts, FieldError> {
    let spec = node.spec.clone().unwrap_or_default();
    let status = node.status.clone().unwrap_or_default();
    let mut taints = taints(spec.taints.as_deref(), "taints").map_err(|error| error.inside("spec"))?;
    let cordoned = spec.unschedulable == Some(true);
    if cordoned && !taints.iter().any(|taint| taint.key == UNSCHEDULABLE) {
        taints.push(Taint { key: UNSCHEDULABLE.to_owned(), value: String::new(), effect: Effect::NoSchedule });
    }
    let mut labels = node.metadata.labels.clone().unwrap_or_default();
    labels.entry(labels::HOSTNAME.to_owned()).or_insert_with(|| name.to_owned());
    Ok(NodeFacts {
        name: name.to_owned(),
        provider_id: spec.provider_id.filter(|id| !id.is_empty()),
        deleting: node.metadata.deletion_timestamp.is_some() || taints.iter().any(|taint| taint.key == DISRUPTED),
        labels,
        taints,
        capacity: resources(status.capacity.as_ref(), "status.capacity")?,
        allocatable: resources(status.allocatable.as_ref(), "status.allocatable")?,
    })
}

/// The facts of `claim`.
///
/// # Errors
/// A taint or a quantity that is none.
pub fn claim_from_api(name: &str, claim: &crd::NodeClaim) -> Result<NodeClaimFacts, FieldError> {
    let status = claim.status.clone().unwrap_or_default();
    let inside = |error: FieldError| error.inside("spec");
    let mut labels = claim.metadata.labels.clone().unwrap_or_default();
    for requirement in &claim.spec.requirements {
        if let (true, Some([value])) = (requirement.operator == "In", requirement.values.as_deref()) {
            labels.entry(requirement.key.clone()).or_insert_with(|| value.clone());
        }
    }
    labels.insert(labels::HOSTNAME.to_owned(), name.to_owned());
    Ok(NodeClaimFacts {
        name: name.to_owned(),
        node_name: status.node_name.filter(|name| !name.is_empty()),
        provider_id: status.provider_id.filter(|id| !id.is_empty()),
        image: status.image_id.filter(|id| !id.is_empty()),
        labels,
        taints: taints(claim.spec.taints.as_deref(), "taints").map_err(inside)?,
        startup_taints: taints(claim.spec.startup_taints.as_deref(), "startupTaints").map_err(inside)?,
        capacity: resources(status.capacity.as_ref(), "status.capacity")?,
        allocatable: resources(status.allocatable.as_ref(), "status.allocatable")?,
        deleting: claim.metadata.deletion_timestamp.is_some(),
    })
}

/// What registered nodes say about their memory, by instance type, images and amount, each once.
///
/// As in the AWS provider v1.15.1 (`pkg/controllers/providers/instancetype/capacity`), a node whose image is none of its NodeClass's any
/// more says nothing about nodes to come; a node whose image nobody tells is believed. The NodeClass is the one that the label names.
#[must_use]
pub fn memory_readings(
    nodes: &[NodeFacts],
    claims: &[NodeClaimFacts],
    classes: &BTreeMap<String, NodeClass>,
) -> Vec<MemoryReading> {
    let by_id: BTreeMap<&str, &NodeClaimFacts> =
        claims.iter().filter_map(|claim| Some((claim.provider_id.as_deref()?, claim))).collect();
    let by_name: BTreeMap<&str, &NodeClaimFacts> =
        claims.iter().filter_map(|claim| Some((claim.node_name.as_deref()?, claim))).collect();
    let reading = |node: &NodeFacts| {
        let label = |key: &str| node.labels.get(key).map(String::as_str);
        let class = classes.get(label(labels::NODE_CLASS)?)?;
        let claim = node.provider_id.as_deref().and_then(|id| by_id.get(id)).or_else(|| by_name.get(node.name.as_str()));
        let image = claim.and_then(|claim| claim.image.as_ref());
        let outdated = image.is_some_and(|image| !class.images.ids.is_empty() && !class.images.ids.contains(image));
        let bytes = node.capacity.get(ResourceName::MEMORY);
        let counts = label(labels::REGISTERED) == Some("true") && bytes > 0 && !outdated;
        let instance_type = label(labels::INSTANCE_TYPE)?.to_owned();
        counts.then(|| MemoryReading { instance_type, images: class.images.identity.clone(), bytes })
    };
    let mut made: Vec<MemoryReading> = nodes.iter().filter_map(reading).collect();
    made.sort_by(|a, b| (&a.instance_type, &a.images, a.bytes).cmp(&(&b.instance_type, &b.images, b.bytes)));
    made.dedup();
    made
}

/// Joins NodeClaims with their Nodes.
#[must_use]
pub fn join(nodes: &[NodeFacts], claims: &[NodeClaimFacts]) -> Nodes {
    let mut made = Nodes::default();
    let by_name: BTreeMap<&str, usize> = nodes.iter().enumerate().map(|(at, node)| (node.name.as_str(), at)).collect();
    let by_id: BTreeMap<&str, usize> =
        nodes.iter().enumerate().filter_map(|(at, node)| Some((node.provider_id.as_deref()?, at))).collect();
    let mut claim_of: BTreeMap<usize, &NodeClaimFacts> = BTreeMap::new();
    for claim in claims {
        let by_id = claim.provider_id.as_deref().and_then(|id| by_id.get(id));
        let found = by_id.or_else(|| by_name.get(claim.node_name.as_deref()?));
        match found {
            Some(&at) => drop(claim_of.insert(at, claim)),
            None if claim.deleting => {}
            None if claim.allocatable.is_empty() => made.notices.push(format!(
                "NodeClaim `{}` does not say yet what its node offers: it is not counted, and its pods are planned anew",
                claim.name
            )),
            None => made.staying.push(Node {
                name: claim.name.clone(),
                node_pool: claim.labels.get(labels::NODE_POOL).cloned(),
                labels: claim.labels.clone(),
                taints: claim.taints.clone(),
                capacity: claim.capacity.clone(),
                allocatable: claim.allocatable.clone(),
                state: NodeState::InFlight,
                pods: Vec::new(),
            }),
        }
    }
    for (at, node) in nodes.iter().enumerate() {
        let claim = claim_of.get(&at).copied();
        if node.deleting || claim.is_some_and(|claim| claim.deleting) {
            made.leaving.insert(node.name.clone());
        } else {
            made.staying.push(joined(node, claim));
        }
    }
    made.staying.sort_by(|a, b| a.name.cmp(&b.name));
    made
}

fn joined(node: &NodeFacts, claim: Option<&NodeClaimFacts>) -> Node {
    let node_pool = node.labels.get(labels::NODE_POOL).cloned();
    let starting = node_pool.is_some() && node.labels.get(labels::INITIALIZED).is_none_or(|value| value != "true");
    let mut made = Node {
        name: node.name.clone(),
        node_pool,
        labels: node.labels.clone(),
        taints: node.taints.clone(),
        capacity: node.capacity.clone(),
        allocatable: node.allocatable.clone(),
        state: if starting { NodeState::InFlight } else { NodeState::Ready },
        pods: Vec::new(),
    };
    if starting {
        let startup: &[Taint] = claim.map_or(&[], |claim| &claim.startup_taints);
        made.taints.retain(|taint| !goes_away(taint) && !startup.contains(taint));
        if let Some(claim) = claim {
            made.capacity = Resources::max(&node.capacity, &claim.capacity);
            made.allocatable = reported(&node.allocatable, &claim.allocatable);
        }
    }
    made
}

/// What the node reports, and what its NodeClaim promises of resources of which it reports nothing yet.
fn reported(node: &Resources, promised: &Resources) -> Resources {
    let mut made = node.clone();
    for (resource, amount) in promised.iter().filter(|(resource, _)| node.get(resource.as_str()) == 0) {
        made.set(resource.as_str(), amount);
    }
    made
}

/// Whether the taint is one that a node loses while it starts.
fn goes_away(taint: &Taint) -> bool {
    matches!(
        taint.key.as_str(),
        "node.kubernetes.io/not-ready"
            | "node.kubernetes.io/unreachable"
            | "node.cloudprovider.kubernetes.io/uninitialized"
            | UNREGISTERED
            | HOLD
    ) || taint.key.starts_with("readiness.k8s.io/")
}

fn resources(amounts: Option<&BTreeMap<String, ApiQuantity>>, field: &str) -> Result<Resources, FieldError> {
    let mut made = Resources::new();
    for (name, quantity) in amounts.into_iter().flatten() {
        made.set(name, amount(quantity, || entry(field, name))?.amount(name));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(name: &str, changes: &Value) -> NodeFacts {
        let mut made = json!({
            "metadata": {"name": name, "labels": {"karpenter.sh/nodepool": "default", "karpenter.sh/initialized": "true"}},
            "spec": {"providerID": format!("aws:///us-east-1a/{name}")},
            "status": {"capacity": {"cpu": "4"}, "allocatable": {"cpu": "3920m", "pods": "20"}},
        });
        merge(&mut made, changes);
        from_api(name, &serde_json::from_value(made).expect("a node")).expect("sound")
    }

    fn claim(name: &str, changes: &Value) -> NodeClaimFacts {
        let mut made = json!({
            "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
            "metadata": {"name": name, "labels": {"karpenter.sh/nodepool": "default"}},
            "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"},
                "startupTaints": [{"key": "agent", "effect": "NoSchedule"}],
                "requirements": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["us-east-1a"]}],
            },
            "status": {"capacity": {"cpu": "4"}, "allocatable": {"cpu": "3920m", "nvidia.com/gpu": "1"}},
        });
        merge(&mut made, changes);
        claim_from_api(name, &serde_json::from_value(made).expect("a claim")).expect("sound")
    }

    fn merge(into: &mut Value, changes: &Value) {
        match (into, changes) {
            (Value::Object(into), Value::Object(changes)) => {
                changes.iter().for_each(|(key, value)| merge(into.entry(key.clone()).or_insert(Value::Null), value));
            }
            (into, changes) => *into = changes.clone(),
        }
    }

    #[test]
    fn a_claim_without_a_node_is_in_flight() {
        let joined = join(&[node("a", &json!({}))], &[claim("default-1", &json!({}))]);
        let names: Vec<(&str, NodeState)> = joined.staying.iter().map(|node| (node.name.as_str(), node.state)).collect();
        assert_eq!(names, [("a", NodeState::Ready), ("default-1", NodeState::InFlight)]);
        assert_eq!(joined.staying[1].labels["topology.kubernetes.io/zone"], "us-east-1a");
        let unknown = claim("default-2", &json!({"status": {"allocatable": null}}));
        assert_eq!(join(&[], &[unknown]).notices.len(), 1);
    }

    #[test]
    fn a_node_that_starts_counts_as_promised() {
        let taints = json!([
            {"key": "agent", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"},
            {"key": HOLD, "effect": "NoSchedule"},
            {"key": "team", "effect": "NoSchedule"},
        ]);
        let starting = json!({"metadata": {"labels": {"karpenter.sh/initialized": "false"}}, "spec": {"taints": taints}});
        let of_node = json!({"status": {"providerID": "aws:///us-east-1a/a"}});
        let joined = join(&[node("a", &starting)], &[claim("default-1", &of_node)]);
        let [made] = joined.staying.as_slice() else { panic!("one node: {joined:?}") };
        assert_eq!(made.taints.iter().map(|taint| taint.key.as_str()).collect::<Vec<_>>(), ["team"]);
        assert_eq!((made.allocatable.get("nvidia.com/gpu"), made.allocatable.get("pods")), (1, 20));
    }

    #[test]
    fn what_is_being_deleted_is_no_place_for_pods() {
        let gone = json!({"metadata": {"deletionTimestamp": "2026-11-24T00:00:00Z"}});
        let of_node = json!({"metadata": {"deletionTimestamp": "2026-11-24T00:00:00Z"}, "status": {"nodeName": "b"}});
        let disrupted = json!({"spec": {"taints": [{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}]}});
        let nodes = [node("a", &gone), node("b", &json!({})), node("c", &disrupted), node("d", &json!({}))];
        let joined = join(&nodes, &[claim("default-1", &of_node)]);
        assert_eq!(joined.leaving, ["a", "b", "c"].map(str::to_owned).into());
        assert_eq!(joined.staying.len(), 1);
    }

    #[test]
    fn a_cordoned_node_has_the_taint() {
        let joined = join(&[node("a", &json!({"spec": {"unschedulable": true}}))], &[]);
        assert_eq!(joined.staying[0].taints[0].key, UNSCHEDULABLE);
    }
}
