//! From the engine's patterns to nodes with names: pods dealt out, offerings chosen, candidates filled in.
//!
//! Pods of one class are interchangeable, so the program says only how many of each go on a node; they are dealt out in input
//! order. Every node is then given the cheapest offering that holds it and the offerings that could stand in for it. Nodes of one
//! pattern are alike, so all this is computed once per pattern.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::domain::cluster::ClusterView;
use crate::domain::commitment::{Commitments, Usage};
use crate::domain::labels;
use crate::domain::plan::{Candidate, ExistingUse, PlannedNode};
use crate::domain::resources::Resources;
use crate::planning::candidates::{Holders, Load};
use crate::planning::dealing;
use crate::planning::demand::Group;
use crate::planning::limits::{LimitsLeft, limits_left};
use crate::planning::plan::NodeOrigin;
use crate::planning::supply::{Supply, Template};
use crate::planning::tier::SolvedTier;

/// A node before its candidates are known.
pub(super) struct DealtNode {
    pub(super) origin: NodeOrigin,
    load: Arc<Load>,
    pods: Vec<usize>,
    /// Whether a commitment is to pay for it, at least in part: then it stays what it is.
    drawn: bool,
}

impl DealtNode {
    /// A node that somebody else has dealt; `pods` are ascending.
    pub(super) fn given(origin: NodeOrigin, load: Load, pods: Vec<usize>) -> Self {
        Self { origin, load: Arc::new(load), pods, drawn: false }
    }
}

/// Deals the pods that the tier saw (by their numbers in the whole cluster) out to its patterns, and sizes each node down to the
/// cheapest offering that holds it.
pub(super) fn deal(solved: &SolvedTier, tier: usize, holders: &mut Holders<'_>) -> Vec<DealtNode> {
    let mut made = Vec::new();
    let demand = holders.demand();
    let names = |group: &Group| group.pods.iter().map(|&pod| solved.pods[pod]).collect();
    let mut waiting: Vec<VecDeque<usize>> = demand.groups.iter().map(names).collect();
    let program = &solved.program;
    let mut sized: FxHashMap<(Load, usize, bool), (Arc<Load>, usize)> = FxHashMap::default();
    for node in dealing::deal(program, &solved.solution) {
        let shape = program.origins[node.shape];
        let mut counts: Vec<(usize, u32)> = Vec::new();
        for &(unit, taken) in &node.units {
            let pods = &program.arrangement.units[unit].pods;
            counts.extend(pods.iter().map(|&(class, each)| (class, each * taken)));
        }
        let mut pods = Vec::new();
        for &(class, count) in &counts {
            let waiting = &mut waiting[demand.classes[class].group];
            let count = (count as usize).min(waiting.len());
            pods.extend(waiting.drain(..count));
        }
        if pods.is_empty() {
            continue;
        }
        pods.sort_unstable();
        let load = holders.load(shape.template, shape.offer, counts.into_iter());
        let drawn = shape.pool.is_some();
        let (load, offer) = sized.entry((load, shape.offer, drawn)).or_insert_with_key(|(load, ..)| {
            let offer = if drawn { shape.offer } else { holders.right_size(load, shape.offer) };
            (Arc::new(load.clone()), offer)
        });
        let origin = NodeOrigin { tier, template: shape.template, offer: *offer };
        made.push(DealtNode { origin, load: Arc::clone(load), pods, drawn });
    }
    made
}

/// Sets the nodes that exist apart from those to buy: the nodes of a template are used in order of their names. Each is named once.
pub(super) fn settle(supply: &Supply, nodes: Vec<DealtNode>) -> (Vec<ExistingUse>, Vec<DealtNode>) {
    let (mut existing, mut bought) = (Vec::new(), Vec::new());
    let mut used: FxHashMap<usize, usize> = FxHashMap::default();
    for node in nodes {
        let number = node.origin.template;
        let Some(standing) = &supply.templates[number].standing else {
            bought.push(node);
            continue;
        };
        let next = used.entry(number).or_default();
        // The side row of the template allows no more of them than there are.
        existing.push(ExistingUse { node: standing.nodes[*next], pods: node.pods });
        *next += 1;
    }
    existing.sort_by_key(|of| of.node);
    (existing, bought)
}

/// What tiers used of nodes that exist, each node once.
pub(super) fn joined(used: Vec<ExistingUse>) -> Vec<ExistingUse> {
    let mut by_node: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    used.into_iter().for_each(|of| by_node.entry(of.node).or_default().extend(of.pods));
    let sorted = by_node.into_iter().map(|(node, mut pods)| {
        pods.sort_unstable();
        ExistingUse { node, pods }
    });
    sorted.collect()
}

/// The nodes of a plan, sorted, with where each comes from.
pub(super) fn sorted(mut nodes: Vec<(PlannedNode, NodeOrigin)>) -> (Vec<PlannedNode>, Vec<NodeOrigin>) {
    nodes.sort_by(|(a, _), (b, _)| sort_key(a).cmp(&sort_key(b)));
    nodes.into_iter().unzip()
}

/// The nodes that a tier buys, and where each comes from. No two tiers share a limit. Candidates have the chosen values of the labels
/// `kept`: those that rules are about which pods of other tiers have a part in. Nodes with pods whose workload has a share of a Spot pool
/// stay in theirs.
pub(super) fn finish(
    cluster: &ClusterView,
    holders: &mut Holders<'_>,
    nodes: Vec<DealtNode>,
    kept: &BTreeSet<&str>,
) -> Vec<(PlannedNode, NodeOrigin)> {
    let supply = holders.supply();
    let slack = limits_left(supply, nodes.iter().map(|node| node.origin));
    let mut known: FxHashMap<(Arc<Load>, usize, bool, bool), Vec<Candidate>> = FxHashMap::default();
    nodes
        .into_iter()
        .map(|DealtNode { origin, load, pods, drawn }| {
            let template = &supply.templates[origin.template];
            let rules = pods.iter().filter_map(|&pod| cluster.pods[pod].spec.workload_rules.as_ref());
            let in_pool = rules.into_iter().any(|rules| rules.max_spot_pool_share.is_some());
            let candidates = known
                .entry((load, origin.offer, in_pool, drawn))
                .or_insert_with_key(|(load, chosen, in_pool, drawn)| {
                    let admits = |offer: usize| stays_within(template, *chosen, offer, &slack);
                    let stays = |offer: usize| {
                        let own_pool = in_pool.then_some(&labels::SPOT_POOL);
                        let mut kept = kept.iter().chain(own_pool);
                        let draws_alike = !drawn || template.draws_of(offer) == template.draws_of(*chosen);
                        draws_alike
                            && kept.all(|key| template.label_of_offer(key, offer) == template.label_of_offer(key, *chosen))
                    };
                    let offers = holders.candidates(load, *chosen, &admits).into_iter();
                    // Where `minValues` needs them all, they stay as they are.
                    let offers = offers.filter(|&offer| !template.min_values.is_empty() || stays(offer));
                    offers.map(|offer| template.candidate(offer)).collect()
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
                covers: Vec::new(),
                labels: template.labels.clone(),
                pods,
                requests,
                daemons: template.types[of_type].room.daemons.as_ref().clone(),
                allocatable: template.allocatable(of_type).clone(),
                candidates,
            };
            (node, origin)
        })
        .collect()
}

/// Lets commitments pay for `nodes` in the order of the bill, as far as the supply has any left.
pub(super) fn cover(supply: &mut Supply, commitments: &Commitments, nodes: &mut [(PlannedNode, NodeOrigin)]) {
    let covered: Vec<usize> =
        (0..nodes.len()).filter(|&at| !supply.templates[nodes[at].1.template].draws_of(nodes[at].1.offer).is_empty()).collect();
    let usages: Vec<Usage<'_>> = covered
        .iter()
        .map(|&at| {
            let origin = nodes[at].1;
            supply.templates[origin.template].usage(origin.offer)
        })
        .collect();
    let mut left = supply.committed.clone();
    let covers = commitments.apply(&usages, &mut left);
    supply.committed = left;
    for (at, covers) in covered.into_iter().zip(covers) {
        nodes[at].0.covers = covers;
    }
}

/// Whether the limits leave room for a node of `offer` in place of one of the offer `chosen`.
fn stays_within(template: &Template, chosen: usize, offer: usize, slack: &LimitsLeft) -> bool {
    template.rows_of(offer).all(|row| {
        let more = template.taken(&row, offer) - template.taken(&row, chosen);
        more <= slack.get(&row).copied().unwrap_or(0).max(0)
    })
}

/// NodePool, type, zone, capacity type, pods.
fn sort_key(node: &PlannedNode) -> impl Ord + '_ {
    let offering = &node.offering;
    (&node.node_pool, &offering.instance_type, &offering.zone, offering.capacity_type, &node.pods)
}
