//! `karpenter.sh/v1 NodeClaim`: a node that was asked for, and what became of it.
//!
//! Absent fields are not written at all (no `null`), so that a printed NodeClaim can be applied as it is.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Taint;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::adapters::kube::crd::node_pool::{NodeClassReference, NodeRequirement};
use crate::adapters::kube::crd::schema::{
    DURATION, DURATION_OR_NEVER, REQUIREMENT_RULES, conditions_of_claims, merged_by_type, quantities, rules, taints,
};

/// What a NodeClaim asks for; it never changes.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "karpenter.sh", version = "v1", kind = "NodeClaim", plural = "nodeclaims", category = "karpenter")]
#[kube(status = "NodeClaimStatus", derive = "PartialEq", doc = "A node that was asked for, and what became of it.")]
#[kube(
    printcolumn = r#"{"name": "Type", "type": "string", "jsonPath": ".metadata.labels.node\\.kubernetes\\.io/instance-type"}"#
)]
#[kube(printcolumn = r#"{"name": "Capacity", "type": "string", "jsonPath": ".metadata.labels.karpenter\\.sh/capacity-type"}"#)]
#[kube(printcolumn = r#"{"name": "Zone", "type": "string", "jsonPath": ".metadata.labels.topology\\.kubernetes\\.io/zone"}"#)]
#[kube(printcolumn = r#"{"name": "Node", "type": "string", "jsonPath": ".status.nodeName"}"#)]
#[kube(printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#)]
#[kube(printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#)]
#[kube(printcolumn = r#"{"name": "ImageID", "type": "string", "jsonPath": ".status.imageID", "priority": 1}"#)]
#[kube(printcolumn = r#"{"name": "ID", "type": "string", "jsonPath": ".status.providerID", "priority": 1}"#)]
#[kube(
    printcolumn = r#"{"name": "NodePool", "type": "string", "jsonPath": ".metadata.labels.karpenter\\.sh/nodepool", "priority": 1}"#
)]
#[kube(printcolumn = r#"{"name": "NodeClass", "type": "string", "jsonPath": ".spec.nodeClassRef.name", "priority": 1}"#)]
#[kube(
    printcolumn = r#"{"name": "Drifted", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Drifted\")].status", "priority": 1}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules(&[("self == oldSelf", "the spec of a NodeClaim cannot be changed")]))]
pub struct NodeClaimSpec {
    /// Taints that pods must tolerate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = taints)]
    pub taints: Option<Vec<Taint>>,
    /// Taints that something removes while the node starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = taints)]
    pub startup_taints: Option<Vec<Taint>>,
    /// What the labels of the node must be; names the instance types, zones and capacity types that will do.
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "atomic"), transform = rules(REQUIREMENT_RULES))]
    pub requirements: Vec<NodeRequirement>,
    /// What the node must at least hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<NodeClaimResources>,
    /// How the instance is set up.
    pub node_class_ref: NodeClassReference,
    /// The longest that draining may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub termination_grace_period: Option<String>,
    /// How long the node lives, a duration or `Never`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION_OR_NEVER), extend("default" = "720h"))]
    pub expire_after: Option<String>,
}

/// What a node must at least hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeClaimResources {
    /// Sum of its pods' requests and of the DaemonSets'.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = quantities)]
    pub requests: Option<BTreeMap<String, Quantity>>,
}

/// What became of a NodeClaim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeClaimStatus {
    /// Name of the node, from its registration on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// `aws:///<zone>/<instance-id>`.
    #[serde(rename = "providerID", skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// The AMI.
    #[serde(rename = "imageID", skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// What the instance type has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = quantities)]
    pub capacity: Option<BTreeMap<String, Quantity>>,
    /// What is left for pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = quantities)]
    pub allocatable: Option<BTreeMap<String, Quantity>>,
    /// `Launched`, `Registered`, `Initialized`, `Consolidatable`, `Drifted`, ..., `Ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = conditions_of_claims, transform = merged_by_type)]
    pub conditions: Option<Vec<Condition>>,
    /// When a pod last came or went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_pod_event_time: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_fields_are_not_written() {
        let claim = NodeClaim::new(
            "default-1",
            NodeClaimSpec {
                taints: None,
                startup_taints: None,
                requirements: vec![NodeRequirement {
                    key: "kubernetes.io/arch".to_owned(),
                    operator: "Exists".to_owned(),
                    values: None,
                    min_values: None,
                }],
                resources: None,
                node_class_ref: NodeClassReference {
                    group: "karpenter.k8s.aws".to_owned(),
                    kind: "EC2NodeClass".to_owned(),
                    name: "default".to_owned(),
                },
                termination_grace_period: None,
                expire_after: Some("720h".to_owned()),
            },
        );
        let written = serde_json::to_string(&claim).expect("a NodeClaim is JSON");
        assert_eq!(
            written,
            r#"{"apiVersion":"karpenter.sh/v1","kind":"NodeClaim","metadata":{"name":"default-1"},"spec":{"requirements":[{"key":"kubernetes.io/arch","operator":"Exists"}],"nodeClassRef":{"group":"karpenter.k8s.aws","kind":"EC2NodeClass","name":"default"},"expireAfter":"720h"}}"#
        );
    }
}
