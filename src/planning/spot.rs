//! Spot pools as domains: the value of [`labels::SPOT_POOL`], which no node carries as a label, and which of them a program tells
//! apart.
//!
//! There are thousands of pools, and a rule about every one of them binds in a few. So a program knows some by name, and the rest
//! make no difference to it: a relaxation, whose bound holds. Where its plan breaks a rule in another pool, that one is named too, with
//! the cheapest of the others, because that is where the pods go next. After some rounds all others count as a single pool: a plan that
//! keeps the rules, without a bound of its own.

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;

use crate::domain::catalog::CapacityType;
use crate::domain::cluster::ClusterView;
use crate::domain::collective::WorkloadRules;
use crate::domain::labels;
use crate::domain::resources::ResourceName;
use crate::domain::selector::Labels;
use crate::planning::demand::Demand;
use crate::planning::plan::Planned;
use crate::planning::supply::{Supply, Template};

/// Pools that are named beyond twice as many as the pods or the nodes must be spread over, and each time one more is.
const MORE_POOLS: usize = 6;

/// The pool that all pools without a name make up, where they count as one.
const OTHERS: &str = "every other Spot pool";

/// The Spot pool of such an instance; `None` where it is not on Spot.
pub(super) fn pool(instance_type: &str, zone: &str, capacity_type: CapacityType) -> Option<String> {
    (capacity_type == CapacityType::Spot).then(|| format!("{instance_type} {zone}"))
}

/// The value of `key` on a node that exists, from its labels.
pub(super) fn label_on(of_node: &Labels, key: &str) -> Option<String> {
    if key != labels::SPOT_POOL {
        return of_node.get(key).cloned();
    }
    let capacity_type = CapacityType::parse(of_node.get(labels::CAPACITY_TYPE)?)?;
    pool(of_node.get(labels::INSTANCE_TYPE)?, of_node.get(labels::ZONE)?, capacity_type)
}

/// Domains that are told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Named {
    /// By name.
    pub(super) names: BTreeSet<String>,
    /// Whether all others make up one more.
    pub(super) joined: bool,
}

impl Named {
    /// The domain that `value` is in; `None` where it makes no difference.
    #[must_use]
    pub(super) fn domain_of(&self, value: String) -> Option<String> {
        if self.names.contains(&value) { Some(value) } else { self.joined.then(|| OTHERS.to_owned()) }
    }
}

/// The pools that a program tells apart, for everyone who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pools {
    of_workload: BTreeMap<WorkloadRules, Named>,
    /// For the cap of the whole plan.
    of_plan: Named,
}

/// What a plan has too much of in one pool: the workload, or none for the whole plan, and the pool.
type Excess = BTreeSet<(Option<WorkloadRules>, String)>;

impl Pools {
    /// The pools to begin with: where pods and nodes are already, and the cheapest.
    pub(super) fn new(cluster: &ClusterView, supply: &Supply, demand: &Demand) -> Self {
        let mut made = Self::default();
        for (number, pod) in cluster.pods.iter().enumerate() {
            let rules = pod.spec.workload_rules.as_ref().filter(|rules| rules.max_spot_pool_share.is_some());
            let Some(rules) = rules.filter(|rules| !made.of_workload.contains_key(rules)) else { continue };
            let runs =
                |node: &&crate::domain::node::Node| node.pods.iter().any(|pod| pod.spec.workload_rules.as_ref() == Some(rules));
            let nodes = cluster.nodes.iter().filter(runs);
            let mut names: BTreeSet<String> = nodes.filter_map(|node| label_on(&node.labels, labels::SPOT_POOL)).collect();
            names.extend(for_pod(supply, demand, number).into_iter().take(pools_of(cluster, rules)));
            made.of_workload.insert(rules.clone(), Named { names, joined: false });
        }
        if let Some(share) = cluster.max_spot_pool_share {
            let nodes = cluster.nodes.iter();
            made.of_plan.names.extend(nodes.filter_map(|node| label_on(&node.labels, labels::SPOT_POOL)));
            made.of_plan.names.extend(for_plan(supply).into_iter().take(parts(1_000, share)));
        }
        made
    }

    /// Those that a workload tells apart.
    pub(super) fn of(&self, rules: &WorkloadRules) -> &Named {
        static NONE: Named = Named { names: BTreeSet::new(), joined: false };
        self.of_workload.get(rules).unwrap_or(&NONE)
    }

    /// Those that the cap of the whole plan tells apart.
    pub(super) fn of_plan(&self) -> &Named {
        &self.of_plan
    }

    /// Names the pools of `excess`, and some of the next.
    pub(super) fn name(&mut self, cluster: &ClusterView, supply: &Supply, demand: &Demand, excess: Excess) {
        for (rules, pool) in excess {
            let (named, cheapest): (&mut Named, Vec<String>) = match rules {
                None => (&mut self.of_plan, for_plan(supply)),
                Some(rules) => {
                    let first = cluster.pods.iter().position(|pod| pod.spec.workload_rules.as_ref() == Some(&rules));
                    let cheapest = first.into_iter().flat_map(|pod| for_pod(supply, demand, pod)).collect();
                    (self.of_workload.entry(rules).or_default(), cheapest)
                }
            };
            named.names.insert(pool);
            let next = cheapest.into_iter().filter(|pool| !named.names.contains(pool)).take(MORE_POOLS);
            let next: Vec<String> = next.collect();
            named.names.extend(next);
        }
    }

    /// Lets all pools without a name count as one.
    pub(super) fn join(&mut self) {
        self.of_workload.values_mut().for_each(|named| named.joined = true);
        self.of_plan.joined = true;
    }
}

/// Where a plan breaks a rule about pools.
pub(super) fn excess(cluster: &ClusterView, planned: &Planned) -> Excess {
    let Planned { plan, supply, origins, .. } = planned;
    let mut pods: BTreeMap<&WorkloadRules, u32> = BTreeMap::new();
    // Pods, or milli-cores, in each pool, and whether the plan has put some there.
    let mut here: BTreeMap<(Option<&WorkloadRules>, String), (i64, bool)> = BTreeMap::new();
    let rules_of = |pod: &usize| cluster.pods[*pod].spec.workload_rules.as_ref();
    (0..cluster.pods.len()).filter_map(|pod| rules_of(&pod)).for_each(|rules| *pods.entry(rules).or_default() += 1);
    for node in &cluster.nodes {
        let pool = label_on(&node.labels, labels::SPOT_POOL);
        for rules in node.pods.iter().filter_map(|pod| pod.spec.workload_rules.as_ref()) {
            *pods.entry(rules).or_default() += 1;
            pool.iter().for_each(|pool| here.entry((Some(rules), pool.clone())).or_default().0 += 1);
        }
        pool.into_iter().for_each(|pool| here.entry((None, pool)).or_default().0 += node.capacity.get(ResourceName::CPU));
    }
    let used = plan.existing.iter().map(|used| (label_on(&cluster.nodes[used.node].labels, labels::SPOT_POOL), &used.pods, 0));
    let bought = plan.nodes.iter().zip(origins).map(|(node, origin)| {
        let template = &supply.templates[origin.template];
        let cores = template.capacity(template.offers[origin.offer].of_type).get(ResourceName::CPU);
        (template.label_of_offer(labels::SPOT_POOL, origin.offer), &node.pods, cores)
    });
    for (pool, placed, cores) in used.chain(bought).filter_map(|(pool, placed, cores)| Some((pool?, placed, cores))) {
        let counted = placed.iter().filter_map(rules_of).map(|rules| (Some(rules), 1));
        for (rules, amount) in counted.chain((cores > 0).then_some((None, cores))) {
            let here = here.entry((rules, pool.clone())).or_default();
            *here = (here.0 + amount, true);
        }
    }
    let most = |rules: &Option<&WorkloadRules>| match rules {
        Some(rules) => rules.most_in_spot_pool(pods[rules]).map(i64::from),
        None => supply.spot_cap,
    };
    let over = here.into_iter().filter(|((rules, _), (here, planned))| *planned && most(rules).is_some_and(|most| *here > most));
    over.map(|((rules, pool), _)| (rules.cloned(), pool)).collect()
}

/// How many pools to name for a workload at first.
fn pools_of(cluster: &ClusterView, rules: &WorkloadRules) -> usize {
    let running = cluster.nodes.iter().flat_map(|node| &node.pods).map(|pod| &pod.spec);
    let specs = cluster.pods.iter().map(|pod| &pod.spec).chain(running);
    let pods = specs.filter(|spec| spec.workload_rules.as_ref() == Some(rules)).count();
    let pods = u32::try_from(pods).unwrap_or(u32::MAX);
    parts(pods, rules.most_in_spot_pool(pods).unwrap_or(pods))
}

/// Twice as many pools as `all` have to be spread over where one holds `most`, and a few more.
fn parts(all: u32, most: u32) -> usize {
    2 * all.div_ceil(most.max(1)) as usize + MORE_POOLS
}

/// The pools that pods like `pod` may use, the cheapest first: by the price of the part of a node that one takes.
fn for_pod(supply: &Supply, demand: &Demand, pod: usize) -> Vec<String> {
    let class = &demand.classes[demand.class_of[pod]];
    let part = |template: &Template, offer: usize| {
        let room = &template.types[template.offers[offer].of_type].room.for_pods;
        let parts = class.requests.iter().map(|(name, amount)| amount as f64 / room.get(name.as_str()).max(1) as f64);
        parts.fold(0.0, f64::max)
    };
    let offers = supply.templates.iter().zip(&demand.scopes[class.scope].offers);
    let offers = offers.flat_map(|(template, of)| of.iter().flat_map(FixedBitSet::ones).map(move |offer| (template, offer)));
    cheapest(offers.filter(|&(template, offer)| part(template, offer) <= 1.0), &part)
}

/// The pools of the supply, the cheapest first: by the price of a core.
fn for_plan(supply: &Supply) -> Vec<String> {
    let offers = supply.templates.iter().flat_map(|template| (0..template.offers.len()).map(move |offer| (template, offer)));
    let cores = |template: &Template, offer: usize| template.capacity(template.offers[offer].of_type).get(ResourceName::CPU);
    cheapest(offers, &|template, offer| 1.0 / cores(template, offer).max(1) as f64)
}

/// The pools of `offers` that are bought, each once, by their price times `part`.
fn cheapest<'a>(offers: impl Iterator<Item = (&'a Template, usize)>, part: &dyn Fn(&Template, usize) -> f64) -> Vec<String> {
    let mut ranked: BTreeMap<String, f64> = BTreeMap::new();
    for (template, offer) in offers.filter(|(template, _)| template.standing.is_none()) {
        if let Some(pool) = template.label_of_offer(labels::SPOT_POOL, offer) {
            let price = template.cost(offer).micros() as f64 * part(template, offer);
            let known = ranked.entry(pool).or_insert(price);
            *known = known.min(price);
        }
    }
    let mut ranked: Vec<(String, f64)> = ranked.into_iter().collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    ranked.into_iter().map(|(pool, _)| pool).collect()
}
