//! Why a plan is as it is: for a node, why this offering; for a pod, why this node, or why none.
//!
//! Everything here is recomputed from the plan and the supply, not recorded while solving: the chosen offering against the next
//! best one, what a cheaper one lacks, and which constraint closes the door to it.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::cluster::ClusterView;
use crate::domain::commitment::Cover;
use crate::domain::money::{HOURS_PER_MONTH, UsdPerHour};
use crate::domain::plan::{Candidate, PlannedNode, UnplacedPod};
use crate::domain::pod::PodSpec;
use crate::domain::resources::ResourceName;
use crate::planning::candidates::{Holders, Load};
use crate::planning::limits::{LimitsLeft, Row, limits_left};
use crate::planning::obstacles::{Obstacle, kept_from};
use crate::planning::plan::{NodeOrigin, Planned};
use crate::planning::supply::Template;
use crate::planning::wording::amount;

/// An offering against the one that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The offering.
    pub offering: Candidate,
    /// How much more a node of it costs per hour; negative when it is cheaper.
    pub per_hour: UsdPerHour,
}

impl Difference {
    /// How much more it costs per month of 730 hours.
    #[must_use]
    pub fn per_month(&self) -> UsdPerHour {
        self.per_hour * HOURS_PER_MONTH
    }
}

/// How full a node is in one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utilisation {
    /// Name of the resource; amounts are in its unit.
    pub resource: String,
    /// Requests of the pods.
    pub pods: i64,
    /// Requests of the DaemonSets.
    pub daemons: i64,
    /// What the kubelet offers.
    pub allocatable: i64,
}

impl Utilisation {
    /// Pods and DaemonSets as a share of what is offered, 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.allocatable <= 0 { 1.0 } else { (self.pods + self.daemons) as f64 / self.allocatable as f64 }
    }
}

/// Why a node is as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeExplanation {
    /// Index into the plan's nodes.
    pub node: usize,
    /// Resources that the node's pods ask for, fullest first.
    pub utilisation: Vec<Utilisation>,
    /// The next best offering for the same pods: another type, zone or capacity type.
    pub next_best: Option<Difference>,
    /// The next best offering of another instance type.
    pub next_best_type: Option<Difference>,
    /// The candidates of its launch request, in their order.
    pub candidates: Vec<Difference>,
    /// What binds: the fullest resource, what the nearest cheaper offering lacks, and which rules close cheaper ones. Sentences
    /// without a full stop, at least one.
    pub binding: Vec<String>,
}

/// Why a pod is where it is.
#[derive(Clone, Debug, PartialEq)]
pub enum PodExplanation {
    /// It is on a node.
    Placed {
        /// Why the node is as it is; `binding` is about all its pods.
        node: Box<NodeExplanation>,
        /// What one more pod like it would cost, in dollars per hour: the marginal price of its class in the linear relaxation.
        /// `None` when the engine has no price for it.
        marginal_price: Option<f64>,
    },
    /// It goes to a node that exists, where it costs nothing.
    OnExisting {
        /// Index into `ClusterView::nodes`.
        node: usize,
    },
    /// It is on no node; why, as in the plan.
    Unplaced(UnplacedPod),
}

/// Why the pod of index `pod` in `cluster` is where it is; `None` when there is no such pod.
#[must_use]
pub fn explain_pod(cluster: &ClusterView, planned: &Planned, pod: usize) -> Option<PodExplanation> {
    cluster.pods.get(pod)?;
    if let Some(unplaced) = planned.plan.unplaced.iter().find(|unplaced| unplaced.pod == pod) {
        return Some(PodExplanation::Unplaced(unplaced.clone()));
    }
    if let Some(used) = planned.plan.existing.iter().find(|used| used.pods.binary_search(&pod).is_ok()) {
        return Some(PodExplanation::OnExisting { node: used.node });
    }
    let node = planned.plan.nodes.iter().position(|node| node.pods.binary_search(&pod).is_ok())?;
    let tier = planned.tiers.get(planned.origins.get(node)?.tier)?;
    let class = tier.demand.class_of[tier.pods.binary_search(&pod).ok()?];
    let in_tier = tier.program.class_of(class, &planned.origins[node], &tier.demand);
    let dual = in_tier.and_then(|class| tier.solution.duals.get(class)).copied();
    let marginal_price = dual.filter(|dual| *dual > 0.0).map(|dual| dual / 1e6);
    Some(PodExplanation::Placed { node: Box::new(explain_node(cluster, planned, node)?), marginal_price })
}

/// Why the node of index `node` in the plan is as it is; `None` when there is no such node.
#[must_use]
pub fn explain_node(cluster: &ClusterView, planned: &Planned, node: usize) -> Option<NodeExplanation> {
    let (made, origin) = (planned.plan.nodes.get(node)?, *planned.origins.get(node)?);
    let template = &planned.supply.templates[origin.template];
    let mut holders = Holders::new(&planned.supply, &planned.demand);
    let mut counts: BTreeMap<usize, u32> = BTreeMap::new();
    for &pod in &made.pods {
        *counts.entry(planned.demand.class_of[pod]).or_default() += 1;
    }
    let load = holders.load(origin.template, origin.offer, counts.into_iter());
    let chosen_cost = made.expected();
    let difference =
        |offer: usize| Difference { offering: template.candidate(offer), per_hour: template.cost(offer) - chosen_cost };
    let chosen_type = template.offers[origin.offer].of_type;
    let others: Vec<usize> =
        holders.of(&load).filter(|&offer| offer != origin.offer && template.cost(offer) >= chosen_cost).collect();
    let next_best = others.first().map(|&offer| difference(offer));
    let next_best_type =
        others.iter().find(|&&offer| template.offers[offer].of_type != chosen_type).map(|&offer| difference(offer));
    let utilisation = utilisation(made);
    let candidates = made
        .candidates
        .iter()
        .map(|offering| Difference { offering: offering.clone(), per_hour: offering.expected() - made.offering.expected() })
        .collect();
    let mut binding: Vec<String> = utilisation.first().map(fullest).into_iter().collect();
    binding.extend(paid_by(cluster, made));
    binding.extend(nearest_cheaper(planned, made, &load, origin, &mut holders));
    binding.extend(closed_doors(cluster, planned, made, &load, origin));
    Some(NodeExplanation { node, utilisation, next_best, next_best_type, candidates, binding })
}

/// What commitments pay of the node, a sentence each.
fn paid_by(cluster: &ClusterView, node: &PlannedNode) -> Vec<String> {
    let sentence = |cover: &Cover| {
        let pool = cluster.commitments.pools.get(cover.pool)?;
        Some(format!("{} {} pays ${} of its ${} per hour", pool.covers.kind(), pool.name(), cover.saved, node.offering.price))
    };
    node.covers.iter().filter_map(sentence).collect()
}

fn utilisation(node: &PlannedNode) -> Vec<Utilisation> {
    let of = |name: &str| Utilisation {
        resource: name.to_owned(),
        pods: node.requests.get(name),
        daemons: node.daemons.get(name),
        allocatable: node.allocatable.get(name),
    };
    let mut found: Vec<Utilisation> = node.requests.iter().map(|(name, _)| of(name.as_str())).collect();
    found.sort_by(|a, b| b.share().total_cmp(&a.share()).then_with(|| a.resource.cmp(&b.resource)));
    found
}

fn fullest(utilisation: &Utilisation) -> String {
    let Utilisation { resource, pods, daemons, allocatable } = utilisation;
    format!(
        "{resource} is the fullest: {} for pods and {} for DaemonSets of {}, {:.1} %",
        amount(resource, *pods),
        amount(resource, *daemons),
        amount(resource, *allocatable),
        utilisation.share() * 100.0
    )
}

/// The cheaper offering that is open to all the pods and comes nearest to holding them, and what it lacks.
fn nearest_cheaper(
    planned: &Planned,
    node: &PlannedNode,
    load: &Load,
    origin: NodeOrigin,
    holders: &mut Holders<'_>,
) -> Option<String> {
    let template = &planned.supply.templates[origin.template];
    let chosen_cost = node.expected();
    let dimensions = &planned.demand.dimensions;
    // The worst resource of an offer: its lack in millionths of what the pods ask for, its lack, its dimension.
    let lacks = |offer: usize| {
        let room = &template.types[template.offers[offer].of_type].room.for_pods;
        let short = dimensions.iter().zip(&load.total).enumerate().map(|(dimension, (name, total))| {
            let lack = total - room.get(name.as_str());
            (i128::from(lack) * 1_000_000 / i128::from((*total).max(1)), lack, dimension)
        });
        short.filter(|(_, lack, _)| *lack > 0).max()
    };
    let empty = Load { total: vec![0; load.total.len()], ..load.clone() };
    let cheaper = holders.of(&empty).take_while(|&offer| template.cost(offer) < chosen_cost);
    let (offer, (_, lack, dimension)) =
        cheaper.filter_map(|offer| Some((offer, lacks(offer)?))).min_by_key(|(offer, (share, _, _))| (*share, *offer))?;
    Some(format!(
        "the nearest cheaper offering, {}, saves ${} per hour but lacks {}",
        described(template, offer),
        chosen_cost - template.cost(offer),
        amount(dimensions[dimension].as_str(), lack)
    ))
}

/// Per NodePool, the cheapest offering that is cheaper than the chosen one and large enough, and what closes it.
fn closed_doors(cluster: &ClusterView, planned: &Planned, node: &PlannedNode, load: &Load, origin: NodeOrigin) -> Vec<String> {
    let here = &planned.supply.templates[origin.template];
    let mut cheapest: BTreeMap<&str, (UsdPerHour, usize, usize)> = BTreeMap::new();
    let bought = planned.supply.templates.iter().enumerate().filter(|(_, template)| template.standing.is_none());
    for (number, template) in bought {
        let large_enough: Vec<bool> = template
            .types
            .iter()
            .map(|t| {
                let room = |(name, total): (&ResourceName, &i64)| *total <= t.room.for_pods.get(name.as_str());
                t.is_usable() && planned.demand.dimensions.iter().zip(&load.total).all(room)
            })
            .collect();
        for (offer, sold) in template.offers.iter().enumerate() {
            let found = (template.cost(offer), number, offer);
            if large_enough[sold.of_type] && found.0 < node.expected() {
                let kept = cheapest.entry(&template.name).or_insert(found);
                *kept = found.min(*kept);
            }
        }
    }
    let left = limits_left(&planned.supply, planned.origins.iter().copied());
    let sentences = cheapest.into_values().map(|(cost, number, offer)| {
        let template = &planned.supply.templates[number];
        format!(
            "{} of NodePool {} would save ${} per hour, but {}",
            described(template, offer),
            template.name,
            node.expected() - cost,
            closed_by(cluster, node, here, template, offer, &left)
        )
    });
    sentences.collect()
}

/// What keeps the pods of `node`, now in `here`, from `offer`.
fn closed_by(
    cluster: &ClusterView,
    node: &PlannedNode,
    here: &Template,
    template: &Template,
    offer: usize,
    left: &LimitsLeft,
) -> String {
    let mut asked: BTreeSet<&PodSpec> = BTreeSet::new();
    for &pod in &node.pods {
        let spec: &PodSpec = &cluster.pods[pod].spec;
        if !asked.insert(spec) {
            continue;
        }
        if let Some(obstacle) = kept_from(template, offer, spec).first() {
            let pod = cluster.pods[pod].full_name();
            return match obstacle {
                Obstacle::Label { key, requirement } => format!("pod {pod} requires {key} {requirement}"),
                Obstacle::Taint(taint) => format!("pod {pod} does not tolerate its taint {taint}"),
                Obstacle::Volume { name } => format!("the volume of claim {name} of pod {pod} cannot be attached there"),
                Obstacle::Port(port) => format!("a DaemonSet takes port {port} there, which pod {pod} needs"),
                _ => format!("pod {pod} may not go there"),
            };
        }
    }
    if template.weight != here.weight {
        format!("its weight is {} and that of NodePool {} is {}", template.weight, here.name, here.weight)
    } else if let Some(id) = template.reservation(offer).filter(|id| left.get(&Row::Reservation((*id).to_owned())) == Some(&0)) {
        format!("the plan uses every free instance of its capacity reservation {id}")
    } else if !template.limits.is_empty() {
        "it would take more of the NodePool's limits".to_owned()
    } else if !template.min_values.is_empty() {
        "too few other offerings hold these pods (minValues)".to_owned()
    } else {
        "the plan is not proven optimal".to_owned()
    }
}

fn described(template: &Template, offer: usize) -> String {
    let cell = template.cell(offer);
    format!("{} ({}, {})", template.type_name(template.offers[offer].of_type), cell.capacity_type.as_str(), cell.zone)
}
