//! kube-scheduler's filters replayed on a plan: the pods come in a given order, each may go to its planned node only, and one that a
//! filter refuses waits for its next turn. What the plan promises is that nobody waits for ever, whatever the order.
//!
//! All nodes, those that exist first, are up from the start, and what runs on them is bound. The rules are those of kube-scheduler v1.33 (`podtopologyspread`, `interpodaffinity`),
//! written for one pod against the pods that are bound so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::catalog::Catalog;
use crate::domain::cluster::ClusterView;
use crate::domain::labels;
use crate::domain::node::BoundPod;
use crate::domain::plan::Plan;
use crate::domain::pod::{Pod, Workload};
use crate::domain::requirement::Requirements;
use crate::domain::topology::PodAffinityTerm;

/// Labels of a planned node, as far as rules of tests look at them.
type NodeLabels = BTreeMap<String, String>;

/// Binds the placed pods in `order` (indices of pods; those that the plan does not place are skipped); the pods that can never be
/// bound, by name.
pub(super) fn replay(cluster: &ClusterView, catalog: &Catalog, plan: &Plan, order: &[usize]) -> Vec<String> {
    let standing = cluster.nodes.len();
    let planned = (0..plan.nodes.len()).map(|node| labels_of(cluster, catalog, plan, node));
    let nodes: Vec<NodeLabels> = cluster.nodes.iter().map(|node| node.labels.clone()).chain(planned).collect();
    let on_new = plan.nodes.iter().enumerate().map(|(at, node)| (standing + at, &node.pods));
    let on_existing = plan.existing.iter().map(|used| (used.node, &used.pods));
    let node_of: BTreeMap<usize, usize> =
        on_existing.chain(on_new).flat_map(|(at, pods)| pods.iter().map(move |&pod| (pod, at))).collect();
    let running: Vec<(Pod, usize)> =
        cluster.nodes.iter().enumerate().flat_map(|(at, node)| node.pods.iter().map(move |pod| (as_pod(pod), at))).collect();
    let mut bound: Vec<(&Pod, usize)> = running.iter().map(|(pod, at)| (pod, *at)).collect();
    let mut waiting: Vec<usize> = order.iter().copied().filter(|pod| node_of.contains_key(pod)).collect();
    loop {
        let before = waiting.len();
        waiting.retain(|&number| {
            let (pod, node) = (&cluster.pods[number], node_of[&number]);
            let free = admits(&nodes, &bound, pod, node);
            if free {
                bound.push((pod, node));
            }
            !free
        });
        if waiting.is_empty() || waiting.len() == before {
            return waiting.iter().map(|&pod| cluster.pods[pod].full_name()).collect();
        }
    }
}

fn as_pod(bound: &BoundPod) -> Pod {
    Pod {
        namespace: bound.namespace.clone(),
        name: bound.name.clone(),
        workload: Arc::new(Workload { kind: "Pod".to_owned(), name: bound.name.clone() }),
        labels: Arc::clone(&bound.labels),
        spec: Arc::clone(&bound.spec),
    }
}

fn labels_of(cluster: &ClusterView, catalog: &Catalog, plan: &Plan, node: usize) -> NodeLabels {
    let planned = &plan.nodes[node];
    let mut made: NodeLabels = planned.labels.clone();
    let pool = cluster.node_pools.iter().find(|pool| pool.name == planned.node_pool);
    made.extend(pool.iter().flat_map(|pool| pool.labels.clone()));
    let single = pool.iter().flat_map(|pool| pool.requirements.iter()).filter_map(|(key, wanted)| {
        let values = wanted.finite().filter(|values| values.len() == 1)?;
        Some((key.to_owned(), values.first()?.clone()))
    });
    made.extend(single);
    made.insert(labels::HOSTNAME.to_owned(), format!("node-{node}"));
    made.insert(labels::ZONE.to_owned(), planned.offering.zone.clone());
    made.insert(labels::CAPACITY_TYPE.to_owned(), planned.offering.capacity_type.as_str().to_owned());
    made.insert(labels::INSTANCE_TYPE.to_owned(), planned.offering.instance_type.clone());
    let sold = catalog.get(&planned.offering.instance_type);
    made.extend(sold.map(|sold| (labels::ARCH.to_owned(), sold.architecture.as_str().to_owned())));
    made
}

fn meets(node: &NodeLabels, wanted: &Requirements) -> bool {
    wanted.iter().all(|(key, requirement)| match node.get(key) {
        Some(value) => requirement.has(value),
        None => requirement.accepts_absence(),
    })
}

/// How many bound pods a selector counts in each domain of `key`, over the nodes that `counts` admits.
fn counted<'a>(
    nodes: &'a [NodeLabels],
    bound: &[(&Pod, usize)],
    key: &str,
    selects: &dyn Fn(&Pod) -> bool,
    counts: &dyn Fn(usize) -> bool,
) -> BTreeMap<&'a str, u32> {
    let mut made = BTreeMap::new();
    for &(_, node) in bound.iter().filter(|(pod, node)| counts(*node) && selects(pod)) {
        if let Some(domain) = nodes[node].get(key) {
            *made.entry(domain.as_str()).or_default() += 1;
        }
    }
    made
}

fn admits(nodes: &[NodeLabels], bound: &[(&Pod, usize)], pod: &Pod, node: usize) -> bool {
    spreads_allow(nodes, bound, pod, node)
        && affinity_allows(nodes, bound, pod, node)
        && anti_affinity_allows(nodes, bound, pod, node)
        && claims_allow(nodes, bound, pod, node)
}

/// The volume of a claim is made for the first of its pods, and the others go where it is.
fn claims_allow(nodes: &[NodeLabels], bound: &[(&Pod, usize)], pod: &Pod, node: usize) -> bool {
    let claims = |pod: &Pod| -> Vec<(String, String)> {
        let shared = pod.spec.volumes.iter().filter_map(|volume| volume.shared.as_ref());
        shared.filter_map(|shared| Some((shared.claim.clone(), shared.settled_by.clone()?))).collect()
    };
    claims(pod).iter().all(|own| {
        let there = bound.iter().filter(|(other, _)| claims(other).contains(own));
        there.into_iter().all(|&(_, at)| nodes[node].get(&own.1) == nodes[at].get(&own.1))
    })
}

fn spreads_allow(nodes: &[NodeLabels], bound: &[(&Pod, usize)], pod: &Pod, node: usize) -> bool {
    pod.spec.spreads.iter().filter(|spread| spread.required).all(|spread| {
        let key = spread.topology_key.as_str();
        let eligible =
            |node: usize| !spread.honors_affinity || pod.spec.node_alternatives.iter().any(|terms| meets(&nodes[node], terms));
        let selects = |other: &Pod| spread.selector.selects(&other.namespace, &other.labels);
        let filled = counted(nodes, bound, key, &selects, &eligible);
        let domains: BTreeSet<&String> =
            (0..nodes.len()).filter(|&node| eligible(node)).filter_map(|node| nodes[node].get(key)).collect();
        let Some(domain) = nodes[node].get(key) else { return false };
        let of = |domain: &str| filled.get(domain).copied().unwrap_or(0);
        let least =
            if domains.len() < spread.min_domains as usize { 0 } else { domains.iter().map(|d| of(d)).min().unwrap_or(0) };
        of(domain) + u32::from(selects(pod)) <= least + spread.max_skew
    })
}

fn selects(term: &PodAffinityTerm, pod: &Pod) -> bool {
    term.selector.selects(&pod.namespace, &pod.labels)
}

fn affinity_allows(nodes: &[NodeLabels], bound: &[(&Pod, usize)], pod: &Pod, node: usize) -> bool {
    let terms = &pod.spec.near;
    let matches_all = |other: &Pod| terms.iter().all(|term| selects(term, other));
    let all = |term: &PodAffinityTerm| counted(nodes, bound, &term.topology_key, &matches_all, &|_| true);
    let here = terms
        .iter()
        .all(|term| nodes[node].get(&term.topology_key).is_some_and(|domain| all(term).contains_key(domain.as_str())));
    let has_keys = terms.iter().all(|term| nodes[node].contains_key(&term.topology_key));
    let nobody = terms.iter().all(|term| all(term).is_empty());
    terms.is_empty() || here || (has_keys && nobody && matches_all(pod))
}

fn anti_affinity_allows(nodes: &[NodeLabels], bound: &[(&Pod, usize)], pod: &Pod, node: usize) -> bool {
    let shares = |term: &PodAffinityTerm, other: usize| {
        let domain = nodes[node].get(&term.topology_key);
        domain.is_some() && domain == nodes[other].get(&term.topology_key)
    };
    bound.iter().all(|&(other, at)| {
        let mine = pod.spec.apart.iter().any(|term| selects(term, other) && shares(term, at));
        let theirs = other.spec.apart.iter().any(|term| selects(term, pod) && shares(term, at));
        !mine && !theirs
    })
}
