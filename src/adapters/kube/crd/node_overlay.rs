//! `karpenter.sh/v1alpha1 NodeOverlay`: prices and resources that differ from what the catalog says.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a NodeOverlay changes, and where.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "karpenter.sh", version = "v1alpha1", kind = "NodeOverlay", plural = "nodeoverlays", category = "karpenter")]
#[kube(status = "NodeOverlayStatus", derive = "PartialEq")]
#[serde(rename_all = "camelCase")]
pub struct NodeOverlaySpec {
    /// Which offerings it is about; may be empty.
    pub requirements: Vec<NodeOverlayRequirement>,
    /// Dollars per hour in place of the catalog's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// What is added to the catalog's price: dollars or a percentage of it, with a sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_adjustment: Option<String>,
    /// Resources of the instance types.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<BTreeMap<String, Quantity>>,
    /// 1 to 10,000; where several are about one thing, the heaviest counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
}

/// A constraint on one label of an offering.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeOverlayRequirement {
    /// Label key.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`, `Gte` or `Lte`.
    pub operator: String,
    /// What the operator compares with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<String>>,
}

/// What the controllers report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeOverlayStatus {
    /// `ValidationSucceeded`, `Ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<Condition>>,
}
