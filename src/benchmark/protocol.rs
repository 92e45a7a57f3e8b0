//! How a solver that is another program is asked, and how it answers: one JSON document in, one out, a process for each instance.
//!
//! The runner starts the command, writes a [`Request`] to its standard input, closes it, and reads an [`Answer`] from its standard output
//! until it ends. What the program writes to standard error is kept for the report of a failure. It is ended when it has had twice its budget
//! and half a minute.

use serde::{Deserialize, Serialize};

use crate::benchmark::instance::InstanceDocument;

/// The version of this protocol, in every document of it.
pub const FORMAT: &str = "supercargo-peer/1";

/// What a peer is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// [`FORMAT`].
    pub format: String,
    /// Seconds that it has, from the moment at which it has read the request.
    pub budget_seconds: f64,
    /// Seed of its random choices.
    pub seed: u64,
    /// What to plan for. The catalog is in it, and every pod has a name: see `pods`.
    pub instance: InstanceDocument,
    /// Every pod to place, as `namespace/name`, in the order of the workloads that they belong to.
    pub pods: Vec<RequestedPods>,
}

/// The pods of one workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestedPods {
    /// `Deployment`, `StatefulSet`, `Job`, `ReplicaSet` or `Pod`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Names of the pods to place, without the namespace.
    pub pods: Vec<String>,
}

/// What a peer answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// [`FORMAT`].
    pub format: String,
    /// Name and version of what solved it: `karpenter 1.15.0`.
    pub version: String,
    /// What came of it.
    pub status: Status,
    /// Why there is no plan, in a sentence; empty where there is one.
    #[serde(default)]
    pub reason: String,
    /// Nodes to buy.
    #[serde(default)]
    pub nodes: Vec<BoughtNode>,
    /// Pods on nodes that exist.
    #[serde(default)]
    pub existing: Vec<UsedNode>,
    /// No plan that places the same pods costs less, in dollars per hour; where the peer knows such a figure.
    #[serde(default)]
    pub bound: Option<f64>,
    /// When it had its first plan, in seconds; where it knows.
    #[serde(default)]
    pub first_plan_seconds: Option<f64>,
    /// Plans and bounds as they got better; may be empty.
    #[serde(default)]
    pub trajectory: Vec<Point>,
    /// Seconds that it took, without reading the request and writing the answer.
    pub solve_seconds: f64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// There is a plan.
    Solved,
    /// The instance has something that the peer cannot state: `reason` says what.
    CannotState,
    /// The peer found nothing within its budget.
    NothingFound,
    /// Something went wrong: `reason` says what.
    Failed,
}

/// A node to buy.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BoughtNode {
    /// NodePool.
    pub node_pool: String,
    /// Instance type.
    pub instance_type: String,
    /// Zone.
    pub zone: String,
    /// `on-demand`, `spot` or `reserved`.
    pub capacity_type: String,
    /// Labels with several allowed values that the peer has fixed.
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, String>,
    /// `namespace/name` of its pods.
    pub pods: Vec<String>,
}

/// Pods on a node that exists.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UsedNode {
    /// Its name.
    pub node: String,
    /// `namespace/name` of the pods that wait and go there.
    pub pods: Vec<String>,
}

/// How far a solver was at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Point {
    /// Seconds since it began.
    pub seconds: f64,
    /// Cost of its best plan, in dollars per hour; none before there is one.
    pub cost: Option<f64>,
    /// Its lower bound, in dollars per hour; none for a solver that has none.
    pub bound: Option<f64>,
}
