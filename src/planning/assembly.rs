//! From the engine's patterns to nodes with names: pods dealt out, offerings chosen, candidates filled in.
//!
//! Pods of one class are interchangeable, so the program says only how many of each go on a node; they are dealt out in input
//! order, those of higher priority first. Every node is then given the cheapest offering that holds it and the offerings that
//! could stand in for it. Nodes of one pattern are alike, so all this is computed once per pattern.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::domain::cluster::ClusterView;
use crate::domain::plan::{Candidate, PlannedNode};
use crate::domain::resources::Resources;
use crate::planning::candidates::{Holders, Load};
use crate::planning::limits::{LimitsLeft, limits_left};
use crate::planning::plan::NodeOrigin;
use crate::planning::supply::Template;
use crate::planning::tier::SolvedTier;

/// A node before its candidates are known.
pub(super) struct DealtNode {
    pub(super) origin: NodeOrigin,
    load: Arc<Load>,
    pods: Vec<usize>,
}

/// Takes the pods of the tier's patterns out of `waiting` (per class of the demand), and sizes each node down to the cheapest
/// offering that holds it.
pub(super) fn deal(
    solved: &SolvedTier,
    tier: usize,
    waiting: &mut [VecDeque<usize>],
    holders: &mut Holders<'_>,
) -> Vec<DealtNode> {
    let mut made = Vec::new();
    let SolvedTier { program, solution, .. } = solved;
    for pattern in &solution.patterns {
        let shape = program.origins[pattern.shape];
        let counts = pattern.counts.iter().map(|&(class, count)| (program.members[class][0], count));
        let load = Arc::new(holders.load(shape.template, counts));
        let offer = holders.right_size(&load, shape.offer);
        for _ in 0..pattern.nodes {
            let mut pods = Vec::new();
            for &(class, count) in &pattern.counts {
                let mut wanted = count as usize;
                for &member in &program.members[class] {
                    let taken = wanted.min(waiting[member].len());
                    pods.extend(waiting[member].drain(..taken));
                    wanted -= taken;
                }
            }
            pods.sort_unstable();
            let origin = NodeOrigin { tier, template: shape.template, offer };
            made.push(DealtNode { origin, load: Arc::clone(&load), pods });
        }
    }
    made
}

/// The nodes of the plan, sorted, and where each comes from.
pub(super) fn finish(
    cluster: &ClusterView,
    holders: &mut Holders<'_>,
    nodes: Vec<DealtNode>,
) -> (Vec<PlannedNode>, Vec<NodeOrigin>) {
    let supply = holders.supply();
    let slack = limits_left(supply, nodes.iter().map(|node| node.origin));
    let mut known: FxHashMap<(Arc<Load>, usize), Vec<Candidate>> = FxHashMap::default();
    let mut made: Vec<(PlannedNode, NodeOrigin)> = nodes
        .into_iter()
        .map(|DealtNode { origin, load, pods }| {
            let template = &supply.templates[origin.template];
            let candidates = known
                .entry((load, origin.offer))
                .or_insert_with_key(|(load, chosen)| {
                    let admits = |of_type: usize| stays_within(template, *chosen, of_type, &slack);
                    let offers = holders.candidates(load, *chosen, &admits);
                    offers.into_iter().map(|offer| template.candidate(offer)).collect()
                })
                .clone();
            let of_type = template.offers[origin.offer].of_type;
            let mut requests = Resources::new();
            for &pod in &pods {
                requests.add(&cluster.pods[pod].spec.requests);
            }
            let node = PlannedNode {
                node_pool: template.name.clone(),
                offering: template.candidate(origin.offer),
                overhead: template.overhead,
                labels: template.labels.clone(),
                pods,
                requests,
                daemons: template.types[of_type].room.daemons.as_ref().clone(),
                allocatable: template.allocatable(of_type).clone(),
                candidates,
            };
            (node, origin)
        })
        .collect();
    made.sort_by(|(a, _), (b, _)| sort_key(a).cmp(&sort_key(b)));
    made.into_iter().unzip()
}

/// Whether the limits leave room for a node of `of_type` in place of one of the offer `chosen`.
fn stays_within(template: &Template, chosen: usize, of_type: usize, slack: &LimitsLeft) -> bool {
    let chosen = template.offers[chosen].of_type;
    template.limits.keys().all(|resource| {
        let more = template.limit_usage(of_type, resource) - template.limit_usage(chosen, resource);
        let left = slack.get(&(template.node_pool, resource.clone())).copied().unwrap_or(0);
        more <= left.max(0)
    })
}

/// NodePool, type, zone, capacity type, pods.
fn sort_key(node: &PlannedNode) -> impl Ord + '_ {
    let offering = &node.offering;
    (&node.node_pool, &offering.instance_type, &offering.zone, offering.capacity_type, &node.pods)
}
