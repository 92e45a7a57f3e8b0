//! How a solver that is another program is asked, and how it answers: one JSON document in, one out, a process for each instance.
//!
//! The runner starts the command, writes a [`Request`] to its standard input, closes it, and reads an [`Answer`] from its standard output
//! until it ends. What the program writes to standard error is kept for the report of a failure. It is ended when it has had twice its budget
//! and half a minute.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::benchmark::instance::InstanceDocument;
use crate::domain::catalog::CapacityType;
use crate::domain::cluster::ClusterView;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::Plan;
use crate::domain::pod::Pod;
use crate::planning::{StatedNode, StatedPlan, StatedUse};

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
    /// Why it stopped: `optimal`, `gapReached`, `workLimit`, `deadline`; `ended` where it does not say.
    #[serde(default)]
    pub stopped_by: Option<String>,
    /// Most bytes of memory that it held while it solved; where it knows. Without it the runner looks at the process from outside.
    #[serde(default)]
    pub peak_bytes: Option<u64>,
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
    /// Labels with several allowed values that the peer has fixed; of a reserved one `karpenter.k8s.aws/capacity-reservation-id` too.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
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

impl Request {
    /// The question for `cluster`, which `instance` describes; its catalog has to be in it.
    #[must_use]
    pub fn new(instance: InstanceDocument, cluster: &ClusterView, budget_seconds: f64, seed: u64) -> Self {
        let mut pods: Vec<RequestedPods> = Vec::new();
        let mut known: FxHashMap<(&str, &str, &str), usize> = FxHashMap::default();
        for pod in &cluster.pods {
            let key = (pod.workload.kind.as_str(), pod.namespace.as_str(), pod.workload.name.as_str());
            let at = *known.entry(key).or_insert_with(|| {
                let (kind, namespace, name) = (key.0.to_owned(), key.1.to_owned(), key.2.to_owned());
                pods.push(RequestedPods { kind, namespace, name, pods: Vec::new() });
                pods.len() - 1
            });
            pods[at].pods.push(pod.name.clone());
        }
        Self { format: FORMAT.to_owned(), budget_seconds, seed, instance, pods }
    }
}

impl Answer {
    /// An answer without a plan, after `solve_seconds`.
    #[must_use]
    pub fn without_plan(version: String, status: Status, reason: String, solve_seconds: f64) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version,
            status,
            reason,
            nodes: Vec::new(),
            existing: Vec::new(),
            bound: None,
            first_plan_seconds: None,
            trajectory: Vec::new(),
            solve_seconds,
            stopped_by: None,
            peak_bytes: None,
        }
    }

    /// The nodes of `plan` and who goes where.
    #[must_use]
    pub fn choices(plan: &Plan, cluster: &ClusterView) -> (Vec<BoughtNode>, Vec<UsedNode>) {
        let names = |pods: &[usize]| pods.iter().map(|&pod| cluster.pods[pod].full_name()).collect();
        let nodes = plan.nodes.iter().map(|node| {
            let reservation = node.offering.reservation.iter().map(|id| (labels::RESERVATION_ID.to_owned(), id.clone()));
            BoughtNode {
                node_pool: node.node_pool.clone(),
                instance_type: node.offering.instance_type.clone(),
                zone: node.offering.zone.clone(),
                capacity_type: node.offering.capacity_type.as_str().to_owned(),
                labels: node.labels.clone().into_iter().chain(reservation).collect(),
                pods: names(&node.pods),
            }
        });
        let existing = plan.existing.iter();
        let existing = existing.map(|used| UsedNode { node: cluster.nodes[used.node].name.clone(), pods: names(&used.pods) });
        (nodes.collect(), existing.collect())
    }

    /// The choices by the numbers of the pods in `cluster`.
    ///
    /// # Errors
    /// A pod or a capacity type that does not exist, or a bound that is no amount of money.
    pub fn stated(&self, cluster: &ClusterView) -> Result<StatedPlan, String> {
        let numbers: FxHashMap<String, usize> = cluster.pods.iter().map(Pod::full_name).zip(0..).collect();
        let numbered = |pods: &[String], place: &dyn Fn() -> String| -> Result<Vec<usize>, String> {
            let number = |name: &String| {
                numbers.get(name).copied().ok_or_else(|| {
                    format!("{}.pods: there is no pod `{name}`; give `namespace/name` of a pod of the request", place())
                })
            };
            pods.iter().map(number).collect()
        };
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for (at, node) in self.nodes.iter().enumerate() {
            let capacity_type = CapacityType::parse(&node.capacity_type).ok_or_else(|| {
                format!("nodes[{at}].capacityType: is `{}`; give `on-demand`, `spot` or `reserved`", node.capacity_type)
            })?;
            nodes.push(StatedNode {
                node_pool: node.node_pool.clone(),
                instance_type: node.instance_type.clone(),
                zone: node.zone.clone(),
                capacity_type,
                labels: node.labels.clone(),
                pods: numbered(&node.pods, &|| format!("nodes[{at}]"))?,
            });
        }
        let mut existing = Vec::with_capacity(self.existing.len());
        for (at, used) in self.existing.iter().enumerate() {
            existing.push(StatedUse { node: used.node.clone(), pods: numbered(&used.pods, &|| format!("existing[{at}]"))? });
        }
        let bound = match self.bound {
            None => UsdPerHour::ZERO,
            Some(dollars) => floor(dollars).ok_or_else(|| format!("bound: is {dollars}; give dollars per hour of at least 0"))?,
        };
        Ok(StatedPlan { nodes, existing, bound })
    }
}

/// The largest amount up to `dollars`, but for what binary fractions lose of a micro-dollar.
fn floor(dollars: f64) -> Option<UsdPerHour> {
    let micros = (dollars * 1e6 + 1e-3).floor();
    (0.0..1e15).contains(&micros).then(|| UsdPerHour::from_micros(micros as i64))
}
