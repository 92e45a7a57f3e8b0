//! A plan: which nodes to buy, which pod goes where, what it costs and how near that is to the optimum.

use std::collections::BTreeMap;

use crate::domain::catalog::{CapacityType, PriceKind};
use crate::domain::commitment::Cover;
use crate::domain::money::UsdPerHour;
use crate::domain::resources::Resources;

/// What made the solver stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopReason {
    /// The plan is proven optimal: cost and bound are equal up to the resolution of money.
    Optimal,
    /// The gap that was asked for is reached.
    GapReached,
    /// The deterministic work limit is used up.
    WorkLimit,
    /// The wall clock cut in; another run may give another plan.
    Deadline,
}

impl StopReason {
    /// `optimal`, `gapReached`, `workLimit` or `deadline`: the words of the JSON output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Optimal => "optimal",
            Self::GapReached => "gapReached",
            Self::WorkLimit => "workLimit",
            Self::Deadline => "deadline",
        }
    }
}

/// An offering that could stand in for a node's: it holds the same pods under the same NodePool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Instance type.
    pub instance_type: String,
    /// Zone.
    pub zone: String,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// Price of the instance alone, whatever commitments pay of it; nothing for one that is reserved, because that is paid for anyway.
    pub price: UsdPerHour,
    /// Where the price comes from.
    pub price_kind: PriceKind,
    /// What its interruptions are expected to cost ([`crate::domain::interruption`]): money that nobody charges.
    pub interruptions: UsdPerHour,
    /// Id of the capacity reservation that it is an instance of.
    pub reservation: Option<String>,
}

impl Candidate {
    /// What offerings of one NodePool are compared by: price and interruptions.
    #[must_use]
    pub fn expected(&self) -> UsdPerHour {
        self.price + self.interruptions
    }
}

/// A node to buy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedNode {
    /// The NodePool that it belongs to.
    pub node_pool: String,
    /// The offering to ask for first: type, zone, capacity type and price. The first of `candidates`.
    pub offering: Candidate,
    /// What the node costs besides its instance: root volume and fee.
    pub overhead: UsdPerHour,
    /// What commitments pay of the instance, by pool.
    pub covers: Vec<Cover>,
    /// Labels with several allowed values that this node fixes (custom labels of the NodePool, tenancy, ...).
    pub labels: BTreeMap<String, String>,
    /// Indices into `ClusterView::pods`, ascending.
    pub pods: Vec<usize>,
    /// Sum of the pods' requests, DaemonSets not counted; includes `pods`.
    pub requests: Resources,
    /// Requests of the DaemonSet pods that run on it; includes `pods`.
    pub daemons: Resources,
    /// What the kubelet of this node would offer to pods.
    pub allocatable: Resources,
    /// Offerings that hold the node's pods, cheapest first, the chosen one at the head: one fleet request survives a stock-out.
    pub candidates: Vec<Candidate>,
}

impl PlannedNode {
    /// Everything that the node adds to the bill: instance, root volume, fee, less what commitments pay.
    #[must_use]
    pub fn cost(&self) -> UsdPerHour {
        self.offering.price + self.overhead - self.saved()
    }

    /// What the node costs the plan: what it adds to the bill, and what its interruptions are expected to cost.
    #[must_use]
    pub fn expected(&self) -> UsdPerHour {
        self.cost() + self.offering.interruptions
    }

    /// What commitments pay of the instance.
    #[must_use]
    pub fn saved(&self) -> UsdPerHour {
        self.covers.iter().map(|cover| cover.saved).sum()
    }
}

/// Pods that the plan places on a node that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingUse {
    /// Index into `ClusterView::nodes`.
    pub node: usize,
    /// Indices into `ClusterView::pods`, ascending; at least one.
    pub pods: Vec<usize>,
}

/// How a pod's reasons are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WhyLeft {
    /// No plan whatever places it: the reasons rule out every node that exists or could be bought, whatever becomes of the other pods
    /// that wait.
    Impossible,
    /// This plan has no place for it: where its other pods stand, and what they leave of limits and nodes, is among the reasons.
    CrowdedOut,
    /// There is a place for it beside this plan, and the solver did not use it.
    NotFound,
}

impl WhyLeft {
    /// `impossible`, `crowdedOut` or `notFound`: the words of the JSON output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Impossible => "impossible",
            Self::CrowdedOut => "crowdedOut",
            Self::NotFound => "notFound",
        }
    }

    /// The meaning of a word of the JSON output.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Impossible, Self::CrowdedOut, Self::NotFound].into_iter().find(|why| why.as_str() == text)
    }
}

/// A pod that the plan does not place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnplacedPod {
    /// Index into `ClusterView::pods`.
    pub pod: usize,
    /// How the reasons are meant.
    pub why: WhyLeft,
    /// The smallest set of reasons, each a sentence without a full stop. Never empty. All of them together leave no place; without any
    /// one of them there would be one, as far as the others go.
    pub reasons: Vec<String>,
    /// What it would take: each by itself gives the pod a place beside this plan, and none takes fewer changes. Sentences in the
    /// imperative without a full stop; a few of them where there are many.
    pub remedies: Vec<String>,
}

/// A soft rule that placed pods of one kind do not have their way in. A kind is all pods to place of one spec, namespace and set of
/// labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmetPreference {
    /// Index into `ClusterView::pods` of the first pod of the kind.
    pub pod: usize,
    /// Index into the list of the pod's soft rules.
    pub rule: usize,
    /// How many pods of the kind; at least 1. See [`crate::domain::preference`] for who counts.
    pub pods: u32,
    /// What the plan would have paid for one of them to have its way; zero where the rule has no price.
    pub worth: UsdPerHour,
    /// What it would have cost to require it of all pods of the kind; `None` where nobody has worked that out.
    pub meeting: Option<MeetingCost>,
}

/// What it costs to require a preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeetingCost {
    /// So much more for nodes and in other preferences forgone, at most: a better plan might do it for less.
    AtMost(UsdPerHour),
    /// The plan with it leaves more pods unplaced.
    LeavesPods,
}

/// The yardstick: what first-fit would have bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstFitOutcome {
    /// Cost of its nodes, with what their interruptions are expected to cost.
    pub cost: UsdPerHour,
    /// How many nodes.
    pub nodes: usize,
    /// How many pods it left.
    pub unplaced: usize,
}

/// What to buy for the pods of a `ClusterView`.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Nodes to buy, sorted by NodePool, type, zone, capacity type, then pods.
    pub nodes: Vec<PlannedNode>,
    /// Nodes that exist and take pods, by index.
    pub existing: Vec<ExistingUse>,
    /// Pods that stay pending, by index.
    pub unplaced: Vec<UnplacedPod>,
    /// Preferences that are not met, by pod and rule.
    pub unmet: Vec<UnmetPreference>,
    /// Sum of the nodes' costs.
    pub cost: UsdPerHour,
    /// What interruptions of the nodes are expected to cost beyond that.
    pub interruptions: UsdPerHour,
    /// What the unmet preferences are worth: [`UnmetPreference::worth`] for each of their pods.
    pub forgone: UsdPerHour,
    /// No plan that places the same pods under the same rules has a smaller [`value`](Self::value); rounded down to a micro-dollar.
    pub bound: UsdPerHour,
    /// First-fit on the same input.
    pub first_fit: FirstFitOutcome,
    /// Why the solver stopped.
    pub stopped_by: StopReason,
}

impl Plan {
    /// What the plan is the least of: cost, interruptions and forgone worth together.
    #[must_use]
    pub fn value(&self) -> UsdPerHour {
        self.cost + self.interruptions + self.forgone
    }

    /// `(value - bound) / value`: the largest share of the value that a better plan could still save. 0 for an empty plan.
    #[must_use]
    pub fn gap(&self) -> f64 {
        let value = self.value();
        if value == UsdPerHour::ZERO { 0.0 } else { (value - self.bound).dollars() / value.dollars() }
    }
}
