//! The plan as JSON: `docs/plan-json.md` describes the schema.
//!
//! The document is for other programs, so it has types of its own: the domain may change without it. Money is in dollars with
//! at most six decimals, which `f64` carries exactly enough to be read back to the same micro-dollar; amounts of resources are
//! Kubernetes quantities. Fields may be added within a version; a field that changes or goes raises [`VERSION`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::summary::CommitmentUse;
use super::{Report, summary};
use crate::domain::catalog::{CapacityType, PriceKind};
use crate::domain::commitment::{Cover, Pool};
use crate::domain::interruption::RestartCost;
use crate::domain::money::UsdPerHour;
use crate::domain::node_overlay::evaluation::Overlays;
use crate::domain::plan::{Candidate, MeetingCost, PlannedNode, UnmetPreference};
use crate::domain::pod::Pod;
use crate::domain::resources::{Resources, quantity_text};

mod reading;

pub use reading::ReadError;

/// The version of the schema.
pub const VERSION: u32 = 1;

/// A plan as a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanDocument {
    /// [`VERSION`].
    pub version: u32,
    /// `us-east-1`.
    pub region: String,
    /// Nodes to buy.
    pub nodes: Vec<NodeDocument>,
    /// Nodes that exist and take pods.
    #[serde(default)]
    pub existing: Vec<ExistingDocument>,
    /// Pods that stay pending.
    pub unplaced: Vec<UnplacedDocument>,
    /// Preferences that placed pods do not have their way in.
    #[serde(default)]
    pub unmet: Vec<UnmetDocument>,
    /// Reserved Instances and Savings Plans.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commitments: Vec<CommitmentDocument>,
    /// Dollars per hour of all nodes.
    pub cost: f64,
    /// Dollars per hour that interruptions are expected to cost beyond that.
    #[serde(default)]
    pub interruptions: f64,
    /// Dollars per hour that the unmet preferences are worth.
    #[serde(default)]
    pub forgone: f64,
    /// Dollars per hour that no plan's `cost`, `interruptions` and `forgone` together can beat.
    pub bound: f64,
    /// `(value - bound) / value` where `value` is that sum, 0 for an empty plan.
    pub gap: f64,
    /// `optimal`, `gapReached`, `workLimit` or `deadline`.
    pub stopped_by: String,
    /// How long planning took.
    pub seconds: f64,
    /// What first-fit would have bought.
    pub first_fit: FirstFitDocument,
    /// What the cost of a node consists of besides its instance.
    pub cost_model: CostModelDocument,
    /// Where the prices come from.
    pub prices: PricesDocument,
    /// What a reader should know about the input.
    pub notices: Vec<String>,
}

/// A node to buy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeDocument {
    /// Position in `nodes`, from 0: what `explain node` takes.
    pub index: usize,
    /// NodePool.
    pub nodepool: String,
    /// Instance type.
    pub instance_type: String,
    /// Zone.
    pub zone: String,
    /// `on-demand`, `spot` or `reserved`.
    pub capacity_type: String,
    /// Id of the capacity reservation; only with `reserved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
    /// Dollars per hour of the instance; 0 for a reserved one, which is paid for anyway.
    pub price: f64,
    /// `listed`, `estimate`, `overlay` (what a NodeOverlay says, or makes of a listed price) or `overlaidEstimate`.
    pub price_kind: String,
    /// Name of the NodeOverlay that decides the price; only with `overlay` and `overlaidEstimate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_overlay: Option<String>,
    /// Dollars per hour of root volume and fee.
    pub overhead: f64,
    /// What commitments pay of the price.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<CoverDocument>,
    /// `price` + `overhead`, less what commitments pay.
    pub cost: f64,
    /// Dollars per hour that interruptions are expected to cost beyond that.
    #[serde(default)]
    pub interruptions: f64,
    /// `namespace/name`.
    pub pods: Vec<String>,
    /// Labels that the plan fixes because the NodePool leaves them open.
    pub labels: BTreeMap<String, String>,
    /// Sum of the pods' requests.
    pub requests: BTreeMap<String, String>,
    /// Sum of the DaemonSet pods' requests.
    pub daemons: BTreeMap<String, String>,
    /// What the node offers to pods.
    pub allocatable: BTreeMap<String, String>,
    /// Offerings that hold the same pods; the chosen one first, then the others, cheapest first.
    pub candidates: Vec<CandidateDocument>,
}

/// What a commitment pays of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CoverDocument {
    /// The `name` of one of `commitments`.
    pub commitment: String,
    /// What the node draws, in the unit of the commitment.
    pub drawn: i64,
    /// Dollars per hour that the node costs less.
    pub saved: f64,
}

/// What is used of a commitment, in its unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommitmentDocument {
    /// Names of the commitments that count as one.
    pub name: String,
    /// `Reserved Instances`, `EC2 Instance Savings Plan` or `Compute Savings Plan`.
    pub kind: String,
    /// `instances`, `quarters of a normalised unit` or `micro-dollars per hour`.
    pub unit: String,
    /// How much it is.
    pub amount: i64,
    /// What nodes that exist draw.
    pub by_existing: i64,
    /// What the nodes of the plan draw.
    pub by_plan: i64,
    /// What nobody draws.
    pub unused: i64,
}

/// An offering that holds a node's pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CandidateDocument {
    /// Instance type.
    pub instance_type: String,
    /// Zone.
    pub zone: String,
    /// `on-demand`, `spot` or `reserved`.
    pub capacity_type: String,
    /// Id of the capacity reservation; only with `reserved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
    /// Dollars per hour of the instance.
    pub price: f64,
    /// `listed`, `estimate`, `overlay` (what a NodeOverlay says, or makes of a listed price) or `overlaidEstimate`.
    pub price_kind: String,
    /// Dollars per hour that interruptions are expected to cost beyond that.
    #[serde(default)]
    pub interruptions: f64,
}

/// A node that exists and takes pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExistingDocument {
    /// Name of the Node; of the NodeClaim while there is no Node.
    pub node: String,
    /// The pods that it gets, `namespace/name`.
    pub pods: Vec<String>,
}

/// A pod that stays pending.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnplacedDocument {
    /// `namespace/name`.
    pub pod: String,
    /// `impossible`, `crowdedOut` or `notFound`: how the reasons are meant.
    pub why: String,
    /// The smallest set of reasons.
    pub reasons: Vec<String>,
    /// What it would take, each by itself.
    pub remedies: Vec<String>,
}

/// A preference that pods of one kind do not have their way in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnmetDocument {
    /// The first pod of the kind, `namespace/name`.
    pub pod: String,
    /// The preference in words.
    pub preference: String,
    /// Its place among the pod's soft rules: `ScheduleAnyway` constraints, preferred terms of node affinity, pod affinity and pod
    /// anti-affinity, then the wish for nodes without `PreferNoSchedule` taints.
    pub rule: usize,
    /// How many pods.
    pub pods: u32,
    /// Dollars per hour that the plan would have paid for one of them; meeting it costs more, within the gap.
    pub worth: f64,
    /// Dollars per hour that requiring it would add at most, for nodes and in other preferences; absent where that is not worked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meeting_cost: Option<f64>,
    /// Whether requiring it would leave pods unplaced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub meeting_leaves_pods: bool,
}

/// What first-fit would have bought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FirstFitDocument {
    /// Dollars per hour.
    pub cost: f64,
    /// Number of nodes.
    pub nodes: usize,
    /// Number of pods left.
    pub unplaced: usize,
}

/// What a node costs besides its instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CostModelDocument {
    /// Whether root volumes count.
    pub root_volumes: bool,
    /// Dollars per hour.
    pub fee_per_node: f64,
    /// Dollars for each interruption of a Spot instance.
    #[serde(default)]
    pub interruption_cost: f64,
}

/// Where the prices come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PricesDocument {
    /// Who says so.
    pub source: String,
    /// The day of the On-Demand prices.
    pub as_of: String,
    /// `observed` or `estimate`.
    pub spot: String,
}

impl PlanDocument {
    /// The document of a plan.
    #[must_use]
    pub fn new(report: &Report<'_>) -> Self {
        let plan = report.plan;
        let overlays = Overlays::new(report.cluster, report.catalog);
        let name = |pod: usize| report.cluster.pods.get(pod).map_or_else(|| format!("#{pod}"), Pod::full_name);
        let node = |(index, node): (usize, &PlannedNode)| NodeDocument {
            index,
            nodepool: node.node_pool.clone(),
            instance_type: node.offering.instance_type.clone(),
            zone: node.offering.zone.clone(),
            capacity_type: node.offering.capacity_type.as_str().to_owned(),
            reservation: node.offering.reservation.clone(),
            price: node.offering.price.dollars(),
            price_kind: price_kind(node.offering.price_kind).to_owned(),
            price_overlay: summary::overlay_of(&overlays, report, node).map(|overlay| overlay.name.clone()),
            overhead: node.overhead.dollars(),
            covers: node.covers.iter().map(|of| cover(report, of)).collect(),
            cost: node.cost().dollars(),
            interruptions: node.offering.interruptions.dollars(),
            pods: node.pods.iter().map(|&pod| name(pod)).collect(),
            labels: node.labels.clone(),
            requests: quantities(&node.requests),
            daemons: quantities(&node.daemons),
            allocatable: quantities(&node.allocatable),
            candidates: node.candidates.iter().map(candidate).collect(),
        };
        Self {
            version: VERSION,
            region: report.catalog.region.clone(),
            nodes: plan.nodes.iter().enumerate().map(node).collect(),
            existing: plan
                .existing
                .iter()
                .map(|used| ExistingDocument {
                    node: report.cluster.nodes[used.node].name.clone(),
                    pods: used.pods.iter().map(|&pod| name(pod)).collect(),
                })
                .collect(),
            unplaced: plan
                .unplaced
                .iter()
                .map(|left| UnplacedDocument {
                    pod: name(left.pod),
                    why: left.why.as_str().to_owned(),
                    reasons: left.reasons.clone(),
                    remedies: left.remedies.clone(),
                })
                .collect(),
            unmet: plan.unmet.iter().map(|of| unmet(report, of, name(of.pod))).collect(),
            commitments: summary::commitment_uses(report).iter().map(commitment).collect(),
            cost: plan.cost.dollars(),
            interruptions: plan.interruptions.dollars(),
            forgone: plan.forgone.dollars(),
            bound: plan.bound.dollars(),
            gap: plan.gap(),
            stopped_by: plan.stopped_by.as_str().to_owned(),
            seconds: (report.elapsed.as_secs_f64() * 1e3).round() / 1e3,
            first_fit: FirstFitDocument {
                cost: plan.first_fit.cost.dollars(),
                nodes: plan.first_fit.nodes,
                unplaced: plan.first_fit.unplaced,
            },
            cost_model: CostModelDocument {
                root_volumes: report.root_volumes,
                fee_per_node: report.fee_per_node.dollars(),
                interruption_cost: report.restart_cost.dollars(),
            },
            prices: PricesDocument {
                source: report.catalog.provenance.on_demand.origin.clone(),
                as_of: report.catalog.prices_as_of.clone(),
                spot: if report.catalog.has_estimates(CapacityType::Spot) { "estimate" } else { "observed" }.to_owned(),
            },
            notices: report.notices.iter().cloned().chain(summary::warnings(report)).collect(),
        }
    }

    /// The document as indented text that ends with a line feed.
    ///
    /// # Errors
    /// None for a document that [`Self::new`] made; a hand-made one may hold a number that JSON cannot write.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// The fixed fee per node, to the micro-dollar.
    #[must_use]
    pub fn fee_per_node(&self) -> Option<UsdPerHour> {
        UsdPerHour::from_dollars(self.cost_model.fee_per_node)
    }

    /// What one interruption costs, to the micro-dollar.
    #[must_use]
    pub fn restart_cost(&self) -> Option<RestartCost> {
        UsdPerHour::from_dollars(self.cost_model.interruption_cost).and_then(|cost| RestartCost::from_micros(cost.micros()))
    }
}

fn unmet(report: &Report<'_>, of: &UnmetPreference, pod: String) -> UnmetDocument {
    let preference = summary::preference(report, of);
    let meeting_cost = match of.meeting {
        Some(MeetingCost::AtMost(cost)) => Some(cost.dollars()),
        _ => None,
    };
    let meeting_leaves_pods = of.meeting == Some(MeetingCost::LeavesPods);
    UnmetDocument { pod, preference, rule: of.rule, pods: of.pods, worth: of.worth.dollars(), meeting_cost, meeting_leaves_pods }
}

fn cover(report: &Report<'_>, of: &Cover) -> CoverDocument {
    let commitment = report.cluster.commitments.pools.get(of.pool).map(Pool::name).unwrap_or_default();
    CoverDocument { commitment, drawn: of.drawn, saved: of.saved.dollars() }
}

fn commitment(of: &CommitmentUse<'_>) -> CommitmentDocument {
    let CommitmentUse { pool, by_existing, by_plan } = *of;
    CommitmentDocument {
        name: pool.name(),
        kind: pool.covers.kind().to_owned(),
        unit: pool.covers.unit().to_owned(),
        amount: pool.amount,
        by_existing,
        by_plan,
        unused: pool.amount - by_existing - by_plan,
    }
}

fn candidate(candidate: &Candidate) -> CandidateDocument {
    CandidateDocument {
        instance_type: candidate.instance_type.clone(),
        zone: candidate.zone.clone(),
        capacity_type: candidate.capacity_type.as_str().to_owned(),
        reservation: candidate.reservation.clone(),
        price: candidate.price.dollars(),
        price_kind: price_kind(candidate.price_kind).to_owned(),
        interruptions: candidate.interruptions.dollars(),
    }
}

fn price_kind(kind: PriceKind) -> &'static str {
    match kind {
        PriceKind::Listed => "listed",
        PriceKind::Estimated => "estimate",
        PriceKind::Overlaid => "overlay",
        PriceKind::OverlaidEstimate => "overlaidEstimate",
    }
}

fn parse_price_kind(text: &str) -> Option<PriceKind> {
    let all = [PriceKind::Listed, PriceKind::Estimated, PriceKind::Overlaid, PriceKind::OverlaidEstimate];
    all.into_iter().find(|kind| price_kind(*kind) == text)
}

fn quantities(resources: &Resources) -> BTreeMap<String, String> {
    resources.iter().map(|(name, amount)| (name.to_string(), quantity_text(name.as_str(), amount))).collect()
}
