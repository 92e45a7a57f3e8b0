//! Decides whether a plan may be trusted: every hard rule of Kubernetes and of the NodePools, checked again from the start.
//!
//! It knows the pods, the NodePools, the catalog and the plan, and nothing of how the plan came about: it shares no code with
//! the program builder or the solver and names only `domain`. Where planning reasons about *sets* of possible nodes (Karpenter's
//! requirement algebra), this file looks at one *concrete* node with its labels, as kube-scheduler will, so that a mistake in
//! the one is not repeated in the other. A label that the plan leaves open counts as satisfied only if every value that it may
//! take satisfies the pod.
//!
//! Not checked: what a preference is worth, the rules that the program does not contain (`domain::pod::UnmodelledRule`), and whether an unplaced pod could
//! have been placed.

mod collective;
mod commitments;
mod concrete;
mod existing;
mod interruptions;
mod preferences;
mod reservations;
mod topology;
mod violation;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::Catalog;
use crate::domain::cluster::ClusterView;
use crate::domain::interruption::InterruptionCosts;
use crate::domain::money::UsdPerHour;
use crate::domain::node_pool::NodePool;
use crate::domain::plan::{Candidate, Plan, PlannedNode};
use crate::domain::pod::{Pod, PodSpec};
use crate::domain::resources::{ResourceName, Resources};
use crate::domain::taint;
use crate::domain::topology::HostPort;
use concrete::{Concrete, Site, satisfies};
pub use violation::Violation;

/// What a node of a NodePool costs besides its instance: root volume and fee.
pub type Overhead<'a> = &'a dyn Fn(&NodePool) -> UsdPerHour;

/// What the verifier found.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Every broken rule: pods, then nodes in the plan's order, NodePools, sums. Empty for a sound plan.
    pub violations: Vec<Violation>,
    /// The cost of the plan's nodes, re-added from the catalog's prices where the offering is known.
    pub cost: UsdPerHour,
}

impl Verdict {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Checks `plan` against the cluster, the catalog and the costs beside its prices that it was made for.
#[must_use]
pub fn verify(
    cluster: &ClusterView,
    catalog: &Catalog,
    plan: &Plan,
    overhead: Overhead<'_>,
    interruptions: &InterruptionCosts,
) -> Verdict {
    let site = Site::new(cluster, catalog);
    let mut found = Vec::new();
    check_placements(cluster, plan, &mut found);
    let mut capacities: BTreeMap<&str, Resources> = BTreeMap::new();
    let mut cost = UsdPerHour::ZERO;
    for (index, node) in plan.nodes.iter().enumerate() {
        let Some(pool) = site.pool(&node.node_pool) else {
            cost += node.cost();
            found.push(Violation::UnknownNodePool { node: index, node_pool: node.node_pool.clone() });
            continue;
        };
        let extra = overhead(pool);
        if node.overhead != extra {
            found.push(Violation::OverheadMisstated { node: index, stated: node.overhead, expected: extra });
        }
        let listed = check_price(&site, pool, index, &node.offering, &mut found);
        let price = listed.unwrap_or(node.offering.price) + extra;
        cost += price - node.saved();
        if let Some(capacity) = check_node(&site, pool, index, node, &mut found) {
            count_one(capacities.entry(&pool.name).or_default(), &capacity, price);
        }
    }
    existing::check(&site, plan, &mut found);
    let state = topology::State::new(&site, plan);
    topology::check(&site, &state, plan, &mut found);
    volumes::check(&state, &mut found);
    preferences::check(&site, plan, &preferences::unmet(&site, &state), &mut found);
    check_ports(&site, plan, &mut found);
    for node in &cluster.nodes {
        // A NodePool that is over its limits already is no fault of a plan that buys nothing in it.
        if let Some(used) = node.node_pool.as_deref().and_then(|name| capacities.get_mut(name)) {
            let pool = node.node_pool.as_deref().and_then(|name| site.pool(name));
            let price = pool.and_then(|pool| Some(existing::price(&site, pool, node)? + overhead(pool)));
            let price = price.unwrap_or(UsdPerHour::ZERO);
            count_one(used, &node.capacity, price);
        }
    }
    reservations::check(cluster, plan, &mut found);
    commitments::check(&site, plan, &mut found);
    collective::check(&site, plan, &mut found);
    check_limits(cluster, &capacities, &mut found);
    check_weights(&site, plan, &mut found);
    if plan.cost != cost {
        found.push(Violation::CostMisstated { stated: plan.cost, sum: cost });
    }
    let value = cost + interruptions::check(&site, plan, interruptions, &mut found) + plan.forgone;
    if plan.bound > value {
        found.push(Violation::BoundAboveCost { bound: plan.bound, cost: value });
    }
    Verdict { violations: found, cost }
}

/// Adds a node to what its NodePool uses.
fn count_one(used: &mut Resources, capacity: &Resources, price: UsdPerHour) {
    used.add(capacity);
    used.set(ResourceName::NODES, used.get(ResourceName::NODES) + 1);
    used.set(ResourceName::COST, used.get(ResourceName::COST) + price.micros());
}

/// Which soft rules of its pods the plan leaves unmet: `(first pod of the kind, rule)` to the number of pods.
#[must_use]
pub fn unmet_preferences(cluster: &ClusterView, catalog: &Catalog, plan: &Plan) -> BTreeMap<(usize, usize), u32> {
    let site = Site::new(cluster, catalog);
    let state = topology::State::new(&site, plan);
    preferences::unmet(&site, &state)
}

/// Every pod is on exactly one node or listed as unplaced, with a reason.
fn check_placements(cluster: &ClusterView, plan: &Plan, found: &mut Vec<Violation>) {
    let mut mentions = vec![0_usize; cluster.pods.len()];
    let on_existing = plan.existing.iter().flat_map(|used| used.pods.iter().copied());
    let placed = plan.nodes.iter().flat_map(|node| node.pods.iter().copied()).chain(on_existing);
    for pod in placed.chain(plan.unplaced.iter().map(|left| left.pod)) {
        match mentions.get_mut(pod) {
            Some(count) => *count += 1,
            None => found.push(Violation::UnknownPod { index: pod }),
        }
    }
    for (pod, count) in cluster.pods.iter().zip(mentions) {
        match count {
            0 => found.push(Violation::PodMissing { pod: pod.full_name() }),
            1 => {}
            times => found.push(Violation::PodRepeated { pod: pod.full_name(), times }),
        }
    }
    for left in &plan.unplaced {
        if let (true, Some(pod)) = (left.reasons.is_empty(), cluster.pods.get(left.pod)) {
            found.push(Violation::ReasonMissing { pod: pod.full_name() });
        }
    }
}

/// The price of an offering for nodes of `pool`; a violation when the offering is not sold, or at another price.
fn check_price(
    site: &Site<'_>,
    pool: &NodePool,
    node: usize,
    stated: &Candidate,
    found: &mut Vec<Violation>,
) -> Option<UsdPerHour> {
    let Some((listed, kind)) = site.price(pool, stated) else {
        found.push(Violation::UnknownOffering { node, offering: violation::describe(stated) });
        return None;
    };
    if !site.is_available(stated) {
        found.push(Violation::Unavailable { node, offering: violation::describe(stated) });
    }
    if (listed, kind) != (stated.price, stated.price_kind) {
        let offering = violation::describe(stated);
        found.push(Violation::PriceMisstated { node, offering, stated: stated.price, listed });
    }
    Some(listed)
}

/// Checks one node; returns its capacity when the instance type is known.
fn check_node(
    site: &Site<'_>,
    pool: &NodePool,
    index: usize,
    node: &PlannedNode,
    found: &mut Vec<Violation>,
) -> Option<Resources> {
    if node.pods.is_empty() {
        found.push(Violation::EmptyNode { node: index });
    }
    for (key, value) in &node.labels {
        if !concrete::may_fix(pool, key, value) {
            found.push(Violation::LabelNotAllowed { node: index, key: key.clone(), value: value.clone() });
        }
    }
    let mut requests = Resources::new();
    for &pod in &node.pods {
        if let Some(pod) = site.cluster.pods.get(pod) {
            requests.add(&pod.spec.requests);
        }
    }
    if requests != node.requests {
        found.push(Violation::RequestsMisstated { node: index });
    }
    if node.candidates.first() != Some(&node.offering) {
        found.push(Violation::ChosenNotFirst { node: index });
    }
    let Some(chosen) = site.concrete(pool, &node.offering, &node.labels) else {
        // An unknown type is reported with its offering; what is left is a NodePool whose NodeClass does not exist.
        if site.price(pool, &node.offering).is_some() {
            let instance_type = node.offering.instance_type.clone();
            found.push(Violation::NodeClassIncompatible { node: index, instance_type });
        }
        return None;
    };
    if chosen.allocatable != node.allocatable {
        found.push(Violation::AllocatableMisstated { node: index });
    }
    for &pod in &node.pods {
        if let Some(pod) = site.cluster.pods.get(pod)
            && let Some(taint) = taint::first_untolerated(&pool.taints, &pod.spec.tolerations)
        {
            found.push(Violation::TaintNotTolerated { node: index, pod: pod.full_name(), taint: taint.to_string() });
        }
    }
    check_offering(site, pool, index, node, &chosen, &requests, found);
    for candidate in node.candidates.iter().filter(|candidate| **candidate != node.offering) {
        let mut problems = Vec::new();
        if check_price(site, pool, index, candidate, &mut problems).is_some()
            && let Some(other) = site.concrete(pool, candidate, &node.labels)
        {
            check_offering(site, pool, index, node, &other, &requests, &mut problems);
            if let Some(port) = volumes::taken_by_daemons(pods_of(site, node), &other) {
                problems.push(Violation::HostPort { node: format!("node {index}"), port: port.to_string() });
            }
        }
        found.extend(problems.into_iter().map(|problem| Violation::CandidateUnfit {
            node: index,
            offering: violation::describe(candidate),
            problem: Box::new(problem),
        }));
    }
    check_min_values(site, pool, index, node, found);
    Some(chosen.capacity.clone())
}

/// What depends on the offering: the NodePool and NodeClass allow it, and it holds the pods.
fn check_offering(
    site: &Site<'_>,
    pool: &NodePool,
    index: usize,
    node: &PlannedNode,
    concrete: &Concrete,
    requests: &Resources,
    found: &mut Vec<Violation>,
) {
    found.extend(concrete.faults(index, pool));
    let mut met: BTreeMap<*const PodSpec, bool> = BTreeMap::new();
    for pod in pods_of(site, node) {
        let meets = met
            .entry(std::sync::Arc::as_ptr(&pod.spec))
            .or_insert_with(|| pod.spec.node_alternatives.iter().any(|wanted| satisfies(&concrete.labels, wanted)));
        if !*meets {
            found.push(Violation::NodeAffinity { node: index, pod: pod.full_name() });
        }
        if let Some(volume) = volumes::first_detached(&pod.spec, &concrete.labels) {
            found.push(Violation::Volume { node: index, pod: pod.full_name(), volume: volume.name.clone() });
        }
    }
    let mut wanted = volumes::attached_once(requests, pods_of(site, node).map(|pod| &*pod.spec));
    wanted.add(&concrete.daemons);
    for (resource, wanted, allocatable) in volumes::excess(&wanted, &concrete.allocatable) {
        found.push(Violation::Overcommitted { node: index, resource, wanted, allocatable });
    }
}

fn pods_of<'a>(site: &Site<'a>, node: &'a PlannedNode) -> impl Iterator<Item = &'a Pod> + use<'a> {
    let cluster = site.cluster;
    node.pods.iter().filter_map(|&pod| cluster.pods.get(pod))
}

/// No two pods of a node take one port; DaemonSets that run on a planned node count.
fn check_ports(site: &Site<'_>, plan: &Plan, found: &mut Vec<Violation>) {
    let ports_of = |pods: &[usize]| -> Vec<&HostPort> {
        pods.iter().filter_map(|&pod| site.cluster.pods.get(pod)).flat_map(|pod| &pod.spec.host_ports).collect()
    };
    for (index, node) in plan.nodes.iter().enumerate() {
        let own = ports_of(&node.pods);
        let concrete = site.pool(&node.node_pool).and_then(|pool| site.concrete(pool, &node.offering, &node.labels));
        let daemons: Vec<HostPort> = concrete.map(|concrete| concrete.daemon_ports.clone()).unwrap_or_default();
        report_ports(&format!("node {index}"), &own, &daemons.iter().collect::<Vec<_>>(), found);
    }
    for used in &plan.existing {
        let Some(node) = site.cluster.nodes.get(used.node) else { continue };
        let mut running: Vec<&HostPort> = node.pods.iter().flat_map(|pod| &pod.spec.host_ports).collect();
        running.extend(existing::daemons_of(site.cluster, node).flat_map(|daemon| &daemon.spec.host_ports));
        report_ports(&node.name, &ports_of(&used.pods), &running, found);
    }
}

fn report_ports(node: &str, own: &[&HostPort], others: &[&HostPort], found: &mut Vec<Violation>) {
    for (at, port) in own.iter().enumerate() {
        if own[..at].iter().chain(others).any(|other| port.conflicts(other)) {
            found.push(Violation::HostPort { node: node.to_owned(), port: port.to_string() });
        }
    }
}

/// The candidates of a node cover the NodePool's `minValues`.
fn check_min_values(site: &Site<'_>, pool: &NodePool, index: usize, node: &PlannedNode, found: &mut Vec<Violation>) {
    for (key, requirement) in pool.requirements.iter() {
        let Some(wanted) = requirement.min_values else { continue };
        let mut covered = BTreeSet::new();
        for candidate in &node.candidates {
            if let Some(concrete) = site.concrete(pool, candidate, &node.labels)
                && let Some(values) = concrete.labels.get(key).and_then(|label| label.finite())
            {
                covered.extend(values.iter().filter(|value| requirement.has(value)).cloned());
            }
        }
        if covered.len() < wanted as usize {
            found.push(Violation::MinValues { node: index, key: key.to_owned(), covered: covered.len(), wanted });
        }
    }
}

/// The sum of the nodes' capacity, their number and their cost stay within each NodePool's limits.
fn check_limits(cluster: &ClusterView, capacities: &BTreeMap<&str, Resources>, found: &mut Vec<Violation>) {
    for pool in &cluster.node_pools {
        let Some(used) = capacities.get(pool.name.as_str()) else { continue };
        for (resource, &limit) in &pool.limits {
            let used = used.get(resource);
            if used > limit {
                let (node_pool, resource) = (pool.name.clone(), resource.clone());
                found.push(Violation::LimitExceeded { node_pool, resource, used, limit });
            }
        }
    }
}

/// Whether a pool has neither limits nor `minValues`.
fn is_plain(pool: &NodePool) -> bool {
    pool.limits.is_empty() && pool.requirements.iter().all(|(_, requirement)| requirement.min_values.is_none())
}

/// No pod is on a lighter NodePool while a heavier one could hold it; pools with limits may be exhausted, and `minValues` may rule out
/// what a single type could hold, so both are left out.
fn check_weights(site: &Site<'_>, plan: &Plan, found: &mut Vec<Violation>) {
    let heaviest = site.cluster.node_pools.iter().filter(|pool| is_plain(pool)).map(|pool| pool.weight).max();
    let mut known: BTreeMap<(*const PodSpec, &str), bool> = BTreeMap::new();
    for node in &plan.nodes {
        let Some(here) = site.pool(&node.node_pool).filter(|pool| heaviest.is_some_and(|most| pool.weight < most)) else {
            continue;
        };
        for pod in node.pods.iter().filter_map(|&pod| site.cluster.pods.get(pod)) {
            let heavier = site.cluster.node_pools.iter().find(|pool| {
                pool.weight > here.weight
                    && is_plain(pool)
                    && *known
                        .entry((std::sync::Arc::as_ptr(&pod.spec), pool.name.as_str()))
                        .or_insert_with(|| site.could_hold(pool, &pod.spec))
            });
            if let Some(heavier) = heavier {
                found.push(Violation::HeavierPoolHasRoom {
                    pod: pod.full_name(),
                    node_pool: here.name.clone(),
                    heavier: heavier.name.clone(),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
