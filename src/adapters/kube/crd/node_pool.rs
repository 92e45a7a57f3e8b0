//! `karpenter.sh/v1 NodePool`: which nodes may be bought.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Taint;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::adapters::kube::crd::schema::{
    DURATION, DURATION_OR_NEVER, OPERATORS, REQUIREMENT_RULES, Rule, budget_reasons, conditions, merged_by_type, one_of,
    quantities, requirement_key, requirement_values, rules, taints, template_labels, without_format, without_node_pool,
};

const SPEC_RULES: &[Rule] = &[
    ("has(self.replicas) == has(oldSelf.replicas)", "`replicas` can be neither added to a NodePool nor taken from it"),
    (
        "!has(self.replicas) || (!has(self.limits) || size(self.limits) == 0 || (size(self.limits) == 1 && 'nodes' in self.limits))",
        "with `replicas`, `nodes` is the only limit that is allowed",
    ),
    ("!has(self.replicas) || !has(self.weight)", "`weight` and `replicas` exclude each other"),
];
const REFERENCE_RULES: &[Rule] = &[
    ("self.group == oldSelf.group", "`nodeClassRef.group` cannot be changed"),
    ("self.kind == oldSelf.kind", "`nodeClassRef.kind` cannot be changed"),
];
const BUDGET_RULES: &[Rule] = &[("self.all(x, has(x.schedule) == has(x.duration))", "`schedule` and `duration` need each other")];
/// A macro, or five fields of cron. (As in Karpenter the alternatives are not grouped: text may follow a macro.)
const BUDGET_SCHEDULE: &str = r"^(@(annually|yearly|monthly|weekly|daily|midnight|hourly))|((.+)\s(.+)\s(.+)\s(.+)\s(.+))$";

/// What a NodePool asks for.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "karpenter.sh", version = "v1", kind = "NodePool", plural = "nodepools", category = "karpenter")]
#[kube(status = "NodePoolStatus", derive = "PartialEq", doc = "Which nodes may be bought.")]
#[kube(scale(spec_replicas_path = ".spec.replicas", status_replicas_path = ".status.nodes"))]
#[kube(printcolumn = r#"{"name": "NodeClass", "type": "string", "jsonPath": ".spec.template.spec.nodeClassRef.name"}"#)]
#[kube(printcolumn = r#"{"name": "Nodes", "type": "string", "jsonPath": ".status.nodes"}"#)]
#[kube(printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#)]
#[kube(printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#)]
#[kube(printcolumn = r#"{"name": "Weight", "type": "integer", "jsonPath": ".spec.weight", "priority": 1}"#)]
#[kube(printcolumn = r#"{"name": "CPU", "type": "string", "jsonPath": ".status.resources.cpu", "priority": 1}"#)]
#[kube(printcolumn = r#"{"name": "Memory", "type": "string", "jsonPath": ".status.resources.memory", "priority": 1}"#)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules(SPEC_RULES))]
pub struct NodePoolSpec {
    /// The shape of the pool's NodeClaims.
    pub template: NodeTemplate,
    /// When nodes may be replaced or removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = { "consolidateAfter": "0s" }))]
    pub disruption: Option<DisruptionSpec>,
    /// Ceilings on the sum of the nodes' capacity, and on their number (`nodes`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = quantities)]
    pub limits: Option<BTreeMap<String, Quantity>>,
    /// 1 to 100; pods go to the heaviest pool that can hold them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub weight: Option<i32>,
    /// Makes the pool static: exactly this many nodes, whatever the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i64>,
}

/// The shape of a pool's NodeClaims.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeTemplate {
    /// Labels and annotations of NodeClaims and nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<NodeTemplateMetadata>,
    /// The rest.
    pub spec: NodeTemplateSpec,
}

/// Labels and annotations of NodeClaims and nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeTemplateMetadata {
    /// Labels; they act as requirements, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = template_labels)]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "granular"))]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// What every node of the pool has in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeTemplateSpec {
    /// Taints that pods must tolerate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = taints)]
    pub taints: Option<Vec<Taint>>,
    /// Taints that something removes while the node starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = taints)]
    pub startup_taints: Option<Vec<Taint>>,
    /// What the labels of the nodes must be; may be empty.
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "atomic"))]
    #[schemars(transform = rules(REQUIREMENT_RULES), transform = without_node_pool)]
    pub requirements: Vec<NodeRequirement>,
    /// How the instances are set up.
    #[schemars(transform = rules(REFERENCE_RULES))]
    pub node_class_ref: NodeClassReference,
    /// The longest that draining may take, a duration such as `1h30m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub termination_grace_period: Option<String>,
    /// How long a node lives, a duration or `Never`; `720h` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION_OR_NEVER), extend("default" = "720h"))]
    pub expire_after: Option<String>,
}

/// A constraint on one label of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeRequirement {
    /// Label key.
    #[schemars(transform = requirement_key)]
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`, `Gte` or `Lte`.
    #[schemars(transform = one_of(OPERATORS))]
    pub operator: String,
    /// What the operator compares with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = requirement_values)]
    pub values: Option<Vec<String>>,
    /// How many distinct values the candidates of one node must cover, 1 to 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50), transform = without_format)]
    pub min_values: Option<i64>,
}

/// Names a NodeClass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeClassReference {
    /// API group, `karpenter.k8s.aws`.
    #[schemars(regex(pattern = "^[^/]*$"), transform = rules(&[("self != ''", "`group` must not be empty")]))]
    pub group: String,
    /// Kind, `EC2NodeClass`.
    #[schemars(transform = rules(&[("self != ''", "`kind` must not be empty")]))]
    pub kind: String,
    /// Name of the object.
    #[schemars(transform = rules(&[("self != ''", "`name` must not be empty")]))]
    pub name: String,
}

/// When nodes may be replaced or removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DisruptionSpec {
    /// How long after the last pod came or went a node may be consolidated; a duration or `Never`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION_OR_NEVER), extend("default" = "0s"))]
    pub consolidate_after: Option<String>,
    /// `WhenEmpty`, `WhenEmptyOrUnderutilized` or `Balanced`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "WhenEmptyOrUnderutilized"))]
    #[schemars(transform = one_of(&["WhenEmpty", "WhenEmptyOrUnderutilized", "Balanced"]))]
    pub consolidation_policy: Option<String>,
    /// How many nodes may be disrupted at once; `None` is one budget of 10 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50), extend("default" = [{ "nodes": "10%" }], "x-kubernetes-list-type" = "atomic"))]
    #[schemars(transform = rules(BUDGET_RULES))]
    pub budgets: Option<Vec<DisruptionBudget>>,
}

/// How many nodes may be disrupted at once, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DisruptionBudget {
    /// A number or a percentage of the pool's nodes.
    #[schemars(regex(pattern = "^((100|[0-9]{1,2})%|[0-9]+)$"), extend("default" = "10%"))]
    pub nodes: String,
    /// `Underutilized`, `Empty`, `Drifted`, `Unhealthy`; all when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50), extend("x-kubernetes-list-type" = "set"), transform = budget_reasons)]
    pub reasons: Option<Vec<String>>,
    /// When the budget begins to hold, as a cron line in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = BUDGET_SCHEDULE))]
    pub schedule: Option<String>,
    /// How long it holds from each start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^((([0-9]+(h|m))|([0-9]+h[0-9]+m))(0s)?)$"))]
    pub duration: Option<String>,
}

/// What the controllers report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePoolStatus {
    /// Sum of the nodes' capacity, with their number as `nodes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = quantities)]
    pub resources: Option<BTreeMap<String, Quantity>>,
    /// How many nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 0))]
    pub nodes: Option<i64>,
    /// The generation of the NodeClass that was seen last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_class_observed_generation: Option<i64>,
    /// `ValidationSucceeded`, `NodeClassReady`, `NodeRegistrationHealthy`, `Ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = conditions, transform = merged_by_type)]
    pub conditions: Option<Vec<Condition>>,
}
