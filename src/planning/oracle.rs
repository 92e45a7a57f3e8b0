//! The cheapest plan of a tiny cluster by brute force: every division of the pods among nodes, every offering for each node.
//!
//! The verifier and the replay of kube-scheduler are the judges; nothing of the program or the engine is used.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::domain::allocatable;
use crate::domain::catalog::{CapacityType, Catalog, PriceKind};
use crate::domain::cluster::ClusterView;
use crate::domain::commitment::Usage;
use crate::domain::interruption::InterruptionCosts;
use crate::domain::money::UsdPerHour;
use crate::domain::node_class::NodeClass;
use crate::domain::plan::{
    Candidate, ExistingUse, FirstFitOutcome, Plan, PlannedNode, StopReason, UnmetPreference, UnplacedPod, WhyLeft,
};
use crate::domain::resources::Resources;
use crate::planning::replay::replay;
use crate::planning::verifier::{unmet_preferences, verify};

/// The least sum of cost and forgone worth at which all pods are placed on new nodes and on those that exist, so that they can be bound in every order; `None` where that is impossible.
///
/// NodePools are taken without open labels, DaemonSets and `minValues`.
pub(super) fn cheapest(
    cluster: &ClusterView,
    catalog: &Catalog,
    class: &NodeClass,
    worth: &dyn Fn(usize, usize) -> UsdPerHour,
) -> Option<UsdPerHour> {
    cheapest_for(&(0..cluster.pods.len()).collect::<Vec<_>>(), cluster, catalog, class, worth)
}

/// The same where just these pods are placed.
fn cheapest_for(
    pods: &[usize],
    cluster: &ClusterView,
    catalog: &Catalog,
    class: &NodeClass,
    worth: &dyn Fn(usize, usize) -> UsdPerHour,
) -> Option<UsdPerHour> {
    let pools = cluster.node_pools.iter().map(|pool| pool.name.clone());
    let each = |pool: String| for_sale(cluster, catalog).into_iter().map(move |offer| (pool.clone(), offer));
    // What no single pod could use anyway is not tried again and again.
    let mut offers: Vec<Site> = pools.flat_map(each).map(Site::Bought).collect();
    offers.retain(|offer| {
        let alone = |pod| judged(cluster, catalog, plan(cluster, catalog, class, &[(vec![pod], offer)]), None).is_some();
        pods.iter().copied().any(alone)
    });
    offers.extend((0..cluster.nodes.len()).map(Site::Existing));
    let free = !cluster.commitments.is_empty();
    offers.sort_by_key(|site| site.least(free));
    let mut search = Search { pods, cluster, catalog, class, worth, offers, best: None };
    search.divide(0, &mut Vec::new());
    search.best
}

/// How many pods of each priority, the highest first, a plan can place at most, in lexicographic order, and the least value at which
/// it places so many.
pub(super) fn most_by_priority(
    cluster: &ClusterView,
    catalog: &Catalog,
    class: &NodeClass,
    worth: &dyn Fn(usize, usize) -> UsdPerHour,
) -> (Vec<usize>, UsdPerHour) {
    let mut sets: Vec<Vec<usize>> = (0..1_usize << cluster.pods.len())
        .map(|bits| (0..cluster.pods.len()).filter(|pod| bits >> pod & 1 == 1).collect())
        .collect();
    sets.retain(|set| keeps_groups(cluster, set));
    sets.sort_by_key(|set| Reverse(placed_by_priority(cluster, set)));
    let mut best: Option<(Vec<usize>, UsdPerHour)> = None;
    for set in sets {
        let counts = placed_by_priority(cluster, &set);
        if best.as_ref().is_some_and(|(most, _)| *most > counts) {
            break;
        }
        let Some(value) = cheapest_for(&set, cluster, catalog, class, worth) else { continue };
        if best.as_ref().is_none_or(|(_, least)| value < *least) {
            best = Some((counts, value));
        }
    }
    best.unwrap_or_default()
}

/// Whether no group that is placed whole or not at all has some of its pods in `set`.
fn keeps_groups(cluster: &ClusterView, set: &[usize]) -> bool {
    let group = |pod: usize| cluster.pods[pod].spec.atomic_group.as_ref();
    let kin = |a: usize, b: usize| group(a).is_some() && group(a) == group(b);
    set.iter().all(|&pod| (0..cluster.pods.len()).all(|other| !kin(pod, other) || set.contains(&other)))
}

/// How many of `pods` there are of each priority of the cluster, the highest first.
pub(super) fn placed_by_priority(cluster: &ClusterView, pods: &[usize]) -> Vec<usize> {
    let mut counts: BTreeMap<Reverse<i32>, usize> = cluster.pods.iter().map(|pod| (Reverse(pod.spec.priority), 0)).collect();
    pods.iter().for_each(|&pod| *counts.entry(Reverse(cluster.pods[pod].spec.priority)).or_default() += 1);
    counts.into_values().collect()
}

/// All that could be bought: what the catalog has, and one instance of each reservation.
pub(super) fn for_sale(cluster: &ClusterView, catalog: &Catalog) -> Vec<Candidate> {
    let mut made = Vec::new();
    for sold in &catalog.instance_types {
        made.extend(sold.offerings.iter().map(|offering| Candidate {
            instance_type: sold.name.clone(),
            zone: offering.zone.clone(),
            capacity_type: offering.capacity_type,
            price: offering.price,
            price_kind: offering.price_kind,
            interruptions: UsdPerHour::ZERO,
            reservation: None,
        }));
    }
    made.extend(cluster.node_classes.values().flat_map(|class| &class.capacity_reservations).map(|reservation| Candidate {
        instance_type: reservation.instance_type.clone(),
        zone: reservation.zone.clone(),
        capacity_type: CapacityType::Reserved,
        price: UsdPerHour::ZERO,
        price_kind: PriceKind::Listed,
        interruptions: UsdPerHour::ZERO,
        reservation: Some(reservation.id.clone()),
    }));
    made
}

/// A node that takes pods.
enum Site {
    /// NodePool and offering.
    Bought((String, Candidate)),
    /// Index into `ClusterView::nodes`; usable once.
    Existing(usize),
}

impl Site {
    /// What it costs at least; nothing where a commitment may pay for it, which depends on the other nodes.
    fn least(&self, free: bool) -> UsdPerHour {
        match self {
            Self::Bought((_, offer)) if free && offer.capacity_type == CapacityType::OnDemand => UsdPerHour::ZERO,
            Self::Bought((_, offer)) => offer.price,
            Self::Existing(_) => UsdPerHour::ZERO,
        }
    }
}

struct Search<'a> {
    pods: &'a [usize],
    cluster: &'a ClusterView,
    catalog: &'a Catalog,
    class: &'a NodeClass,
    /// Of a soft rule: first pod of the kind, and rule.
    worth: &'a dyn Fn(usize, usize) -> UsdPerHour,
    /// Cheapest first.
    offers: Vec<Site>,
    best: Option<UsdPerHour>,
}

impl Search<'_> {
    /// Puts pod `next` and those after it into groups, each new group once.
    fn divide(&mut self, next: usize, groups: &mut Vec<Vec<usize>>) {
        if next == self.pods.len() {
            let groups = groups.clone();
            return self.buy(&groups, &mut Vec::new(), UsdPerHour::ZERO);
        }
        for at in 0..=groups.len() {
            if at == groups.len() {
                groups.push(Vec::new());
            }
            groups[at].push(self.pods[next]);
            self.divide(next + 1, groups);
            groups[at].pop();
            if groups[at].is_empty() {
                groups.pop();
            }
        }
    }

    fn buy(&mut self, groups: &[Vec<usize>], bought: &mut Vec<usize>, cost: UsdPerHour) {
        if self.best.is_some_and(|best| cost >= best) {
            return;
        }
        if bought.len() == groups.len() {
            let nodes: Vec<(Vec<usize>, &Site)> =
                groups.iter().cloned().zip(bought.iter().map(|&offer| &self.offers[offer])).collect();
            let plan = plan(self.cluster, self.catalog, self.class, &nodes);
            if let Some(value) = judged(self.cluster, self.catalog, plan, Some(self.worth))
                && self.best.is_none_or(|best| value < best)
            {
                self.best = Some(value);
            }
            return;
        }
        for offer in 0..self.offers.len() {
            if matches!(self.offers[offer], Site::Existing(_)) && bought.contains(&offer) {
                continue;
            }
            bought.push(offer);
            let price = self.offers[offer].least(!self.cluster.commitments.is_empty());
            self.buy(groups, bought, cost + price);
            bought.pop();
        }
    }
}

/// A plan of these nodes.
fn plan(cluster: &ClusterView, catalog: &Catalog, class: &NodeClass, nodes: &[(Vec<usize>, &Site)]) -> Plan {
    let used = nodes.iter().filter_map(|(pods, site)| match site {
        Site::Existing(node) => Some(ExistingUse { node: *node, pods: pods.clone() }),
        Site::Bought(_) => None,
    });
    let mut existing: Vec<ExistingUse> = used.collect();
    existing.sort_by_key(|used| used.node);
    let bought = nodes.iter().filter_map(|(pods, site)| match site {
        Site::Bought(offer) => Some((pods, offer)),
        Site::Existing(_) => None,
    });
    let mut nodes: Vec<PlannedNode> = bought
        .map(|(pods, (node_pool, offering))| {
            let mut requests = Resources::new();
            pods.iter().for_each(|&pod| requests.add(&cluster.pods[pod].spec.requests));
            let sold = catalog.get(&offering.instance_type);
            PlannedNode {
                node_pool: node_pool.clone(),
                offering: offering.clone(),
                overhead: UsdPerHour::ZERO,
                covers: Vec::new(),
                labels: BTreeMap::new(),
                pods: pods.clone(),
                requests,
                daemons: Resources::new(),
                allocatable: sold
                    .map(|sold| allocatable::allocatable(sold, class, &cluster.instance_settings))
                    .unwrap_or_default(),
                candidates: vec![offering.clone()],
            }
        })
        .collect();
    let on_demand = |node: &&mut PlannedNode| node.offering.capacity_type == CapacityType::OnDemand;
    let mut left = cluster.commitments.left_by(&cluster.nodes, catalog);
    let offerings: Vec<Candidate> = nodes.iter_mut().filter(on_demand).map(|node| node.offering.clone()).collect();
    let usages: Vec<Usage<'_>> =
        offerings.iter().map(|of| Usage { instance_type: &of.instance_type, zone: &of.zone, price: of.price }).collect();
    let covers = cluster.commitments.apply(&usages, &mut left);
    nodes.iter_mut().filter(on_demand).zip(covers).for_each(|(node, covers)| node.covers = covers);
    let cost: UsdPerHour = nodes.iter().map(PlannedNode::cost).sum();
    let first_fit = FirstFitOutcome { cost, nodes: nodes.len(), unplaced: 0 };
    let placed =
        |pod: &usize| nodes.iter().any(|node| node.pods.contains(pod)) || existing.iter().any(|used| used.pods.contains(pod));
    let left = (0..cluster.pods.len()).filter(|pod| !placed(pod));
    let why = |pod| UnplacedPod { pod, why: WhyLeft::NotFound, reasons: vec!["it is left".to_owned()], remedies: Vec::new() };
    let unplaced = left.map(why).collect();
    Plan {
        nodes,
        existing,
        unplaced,
        unmet: Vec::new(),
        cost,
        interruptions: UsdPerHour::ZERO,
        forgone: UsdPerHour::ZERO,
        bound: UsdPerHour::ZERO,
        first_fit,
        stopped_by: StopReason::Optimal,
    }
}

/// What a plan that keeps every rule costs and forgoes. It is to place every pod, in whatever order they come, where the worth of soft
/// rules is known; otherwise it is about one pod.
fn judged(
    cluster: &ClusterView,
    catalog: &Catalog,
    mut plan: Plan,
    worth: Option<&dyn Fn(usize, usize) -> UsdPerHour>,
) -> Option<UsdPerHour> {
    use crate::planning::verifier::Violation::{GroupSplit, NoDomain, PodAffinity, PodAntiAffinity, TopologySpread};
    let of_rule = |((pod, rule), pods)| UnmetPreference {
        pod,
        rule,
        pods,
        meeting: None,
        worth: worth.map_or(UsdPerHour::ZERO, |worth| worth(pod, rule)),
    };
    plan.unmet = unmet_preferences(cluster, catalog, &plan).into_iter().map(of_rule).collect();
    plan.forgone = plan.unmet.iter().map(|of| of.worth * i64::from(of.pods)).sum();
    let value = plan.value();
    let violations = verify(cluster, catalog, &plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE).violations;
    if worth.is_none() {
        // A pod by itself cannot keep what it asks of others.
        let between_pods = |violation: &_| {
            matches!(
                violation,
                GroupSplit { .. } | TopologySpread { .. } | PodAffinity { .. } | PodAntiAffinity { .. } | NoDomain { .. }
            )
        };
        return violations.iter().all(between_pods).then_some(value);
    }
    let bound_in = |order: &Vec<usize>| replay(cluster, catalog, &plan, order).is_empty();
    (violations.is_empty() && orders(cluster.pods.len()).iter().all(bound_in)).then_some(value)
}

/// Every order of so many pods.
pub(super) fn orders(pods: usize) -> Vec<Vec<usize>> {
    let mut made = vec![Vec::new()];
    for pod in 0..pods {
        made = made
            .iter()
            .flat_map(|order: &Vec<usize>| {
                (0..=order.len()).map(move |at| {
                    let mut longer = order.clone();
                    longer.insert(at, pod);
                    longer
                })
            })
            .collect();
    }
    made
}
