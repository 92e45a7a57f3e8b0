//! `karpenter.sh/v1alpha1 NodeOverlay`: prices and resources that differ from what the catalog says.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::adapters::kube::crd::schema::{
    OPERATORS, OVERLAY_REQUIREMENT_RULES, Rule, conditions, merged_by_type, one_of, overlay_requirement_key, quantities,
    requirement_values, rules,
};

/// Dollars with a sign, or a percentage; nothing takes off more than 100 %.
const PRICE_ADJUSTMENT: &str = r"^(([+-]{1}(\d*\.?\d+))|(\+{1}\d*\.?\d+%)|(^(-\d{1,2}(\.\d+)?%)$)|(-100%))$";
const CAPACITY_RULES: &[Rule] = &[(
    "self.all(x, !(x in ['cpu', 'memory', 'ephemeral-storage', 'pods']))",
    "cpu, memory, ephemeral-storage and pods are what the instance type has; only other resources can be given",
)];

/// What a NodeOverlay changes, and where.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "karpenter.sh", version = "v1alpha1", kind = "NodeOverlay", plural = "nodeoverlays", category = "karpenter")]
#[kube(shortname = "overlays", status = "NodeOverlayStatus", derive = "PartialEq")]
#[kube(doc = "Prices and resources that differ from what the catalog says.")]
#[kube(printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#)]
#[kube(printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#)]
#[kube(printcolumn = r#"{"name": "Weight", "type": "integer", "jsonPath": ".spec.weight", "priority": 1}"#)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules(&[("!has(self.price) || !has(self.priceAdjustment)", "`price` and `priceAdjustment` exclude each other")]))]
pub struct NodeOverlaySpec {
    /// Which offerings it is about; may be empty.
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "atomic"), transform = rules(OVERLAY_REQUIREMENT_RULES))]
    pub requirements: Vec<NodeOverlayRequirement>,
    /// Dollars per hour in place of the catalog's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^\d+(\.\d+)?$"))]
    pub price: Option<String>,
    /// What is added to the catalog's price: dollars or a percentage of it, with a sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = PRICE_ADJUSTMENT))]
    pub price_adjustment: Option<String>,
    /// Resources of the instance types.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = quantities, transform = rules(CAPACITY_RULES))]
    pub capacity: Option<BTreeMap<String, Quantity>>,
    /// 1 to 10,000; where several are about one thing, the heaviest counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub weight: Option<i32>,
}

/// A constraint on one label of an offering.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeOverlayRequirement {
    /// Label key.
    #[schemars(transform = overlay_requirement_key)]
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`, `Gte` or `Lte`.
    #[schemars(transform = one_of(OPERATORS))]
    pub operator: String,
    /// What the operator compares with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = requirement_values)]
    pub values: Option<Vec<String>>,
}

/// What the controllers report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeOverlayStatus {
    /// `ValidationSucceeded`, `Ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = conditions, transform = merged_by_type)]
    pub conditions: Option<Vec<Condition>>,
}
