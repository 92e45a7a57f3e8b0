//! Which preferences a plan leaves unmet, counted in the final state: pods that run and pods that the plan places.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::domain::cluster::ClusterView;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::{ExistingUse, PlannedNode, UnmetPreference};
use crate::domain::pod::PodSpec;
use crate::domain::preference::SoftRule;
use crate::domain::requirement::Requirements;
use crate::domain::selector::{Labels, PodSelector};
use crate::domain::taint::{Effect, Taint};
use crate::planning::demand::{Demand, Reach};
use crate::planning::plan::NodeOrigin;
use crate::planning::supply::Supply;

/// Pods of one spec, namespace and set of labels.
struct Kind<'a> {
    spec: &'a PodSpec,
    namespace: &'a str,
    labels: &'a Labels,
    /// The first of them that is to be placed.
    pod: Option<usize>,
}

/// A node of the final state.
struct Place<'a> {
    /// A node that exists, and its index, or what a new one comes from.
    site: Result<(usize, &'a Labels), NodeOrigin>,
    taints: &'a [Taint],
    /// Per kind: pods that the plan places, and those that run.
    pods: BTreeMap<usize, (u32, u32)>,
}

/// Kinds by their spec, namespace and labels.
#[derive(Default)]
struct Kinds<'a> {
    list: Vec<Kind<'a>>,
    by_pointer: FxHashMap<(*const PodSpec, &'a str, *const Labels), usize>,
    known: BTreeMap<(&'a PodSpec, &'a str, &'a Labels), usize>,
}

impl<'a> Kinds<'a> {
    fn number(&mut self, spec: &'a Arc<PodSpec>, namespace: &'a str, labels: &'a Arc<Labels>) -> usize {
        let list = &mut self.list;
        *self.by_pointer.entry((Arc::as_ptr(spec), namespace, Arc::as_ptr(labels))).or_insert_with(|| {
            *self.known.entry((spec, namespace, labels)).or_insert_with(|| {
                list.push(Kind { spec, namespace, labels, pod: None });
                list.len() - 1
            })
        })
    }
}

/// The preferences that `nodes` and `existing` leave unmet, by pod and rule.
pub(super) fn preferences(
    cluster: &ClusterView,
    supply: &Supply,
    demand: &Demand,
    (nodes, origins): (&[PlannedNode], &[NodeOrigin]),
    existing: &[ExistingUse],
) -> Vec<UnmetPreference> {
    let mut kinds = Kinds::default();
    let kind_of: Vec<usize> = cluster.pods.iter().map(|pod| kinds.number(&pod.spec, &pod.namespace, &pod.labels)).collect();
    for (pod, &kind) in kind_of.iter().enumerate() {
        kinds.list[kind].pod.get_or_insert(pod);
    }
    let mut places: Vec<Place<'_>> = Vec::with_capacity(cluster.nodes.len() + nodes.len());
    for (number, node) in cluster.nodes.iter().enumerate() {
        let mut pods: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
        for pod in &node.pods {
            pods.entry(kinds.number(&pod.spec, &pod.namespace, &pod.labels)).or_default().1 += 1;
        }
        places.push(Place { site: Ok((number, &node.labels)), taints: &node.taints, pods });
    }
    for of in existing {
        of.pods.iter().for_each(|&pod| places[of.node].pods.entry(kind_of[pod]).or_default().0 += 1);
    }
    for (node, &origin) in nodes.iter().zip(origins) {
        let mut pods: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
        node.pods.iter().for_each(|&pod| pods.entry(kind_of[pod]).or_default().0 += 1);
        places.push(Place { site: Err(origin), taints: &supply.templates[origin.template].taints, pods });
    }
    let mut state = State { supply, kinds: kinds.list, places, labels: FxHashMap::default(), reach: Reach::default() };
    let mut found = Vec::new();
    for kind in 0..state.kinds.len() {
        let Kind { spec, pod: Some(pod), .. } = state.kinds[kind] else { continue };
        for (rule, (_, soft)) in spec.soft_rules().into_iter().enumerate() {
            let pods = state.unmet(kind, soft);
            if pods > 0 {
                let priced = demand.worth.binary_search_by_key(&pod, |of| of.pod);
                let worth = priced.map_or(0, |at| demand.worth[at].worth[rule]);
                found.push(UnmetPreference { pod, rule, pods, worth: UsdPerHour::from_micros(worth), meeting: None });
            }
        }
    }
    found.sort_by_key(|of| (of.pod, of.rule));
    found
}

struct State<'a> {
    supply: &'a Supply,
    kinds: Vec<Kind<'a>>,
    places: Vec<Place<'a>>,
    /// Per template and label: its value on each offer.
    labels: FxHashMap<(usize, String), Vec<Option<String>>>,
    reach: Reach<'a>,
}

/// Pods of a domain.
#[derive(Default)]
struct Count {
    /// All that the rule counts.
    counted: u32,
    /// Owners that the plan places.
    owners: u32,
    /// Owners that run.
    running: u32,
}

impl<'a> State<'a> {
    /// How many placed pods of `kind` the rule does not have its way with.
    fn unmet(&mut self, kind: usize, rule: SoftRule<'a>) -> u32 {
        match rule {
            SoftRule::Node(wanted) => self.on_nodes(kind, &mut |state, place| state.meets(place, wanted)),
            SoftRule::Untainted => {
                let tolerations = &self.kinds[kind].spec.tolerations;
                self.on_nodes(kind, &mut |state, place| {
                    let soft = state.places[place].taints.iter().filter(|taint| taint.effect == Effect::PreferNoSchedule);
                    soft.into_iter().all(|taint| tolerations.iter().any(|toleration| toleration.tolerates(taint)))
                })
            }
            SoftRule::Spread(spread) => {
                let skew = spread.max_skew;
                if spread.topology_key == labels::HOSTNAME {
                    let counts = self.counts(kind, &spread.selector, labels::HOSTNAME, &|_| true);
                    return counts.values().map(|of| of.counted.saturating_sub(skew).min(of.owners)).sum();
                }
                let (universe, admitted) = self.reach.universe(self.supply, self.kinds[kind].spec, spread);
                let counts = self.counts(kind, &spread.selector, &spread.topology_key, &|node| admitted.contains(&node));
                let least = universe.iter().map(|domain| counts.get(domain).map_or(0, |of| of.counted)).min().unwrap_or(0);
                let grounded = universe.len() < spread.min_domains as usize;
                let most = skew + if grounded { 0 } else { least };
                counts.values().map(|of| of.counted.saturating_sub(most).min(of.owners)).sum()
            }
            SoftRule::Near(term) => {
                let own = self.counts_itself(kind, &term.selector);
                let counts = self.counts(kind, &term.selector, &term.topology_key, &|_| true);
                let placed: u32 = counts.values().map(|of| of.owners).sum();
                let alone = counts.values().filter(|of| of.counted <= u32::from(own && of.owners + of.running > 0));
                let elsewhere: u32 = self.placed(kind) - placed;
                alone.map(|of| of.owners).sum::<u32>() + elsewhere
            }
            SoftRule::Apart(term) => {
                let own = self.counts_itself(kind, &term.selector);
                let counts = self.counts(kind, &term.selector, &term.topology_key, &|_| true);
                let crowded = counts.values().map(|of| {
                    let likes = if own { of.owners } else { 0 };
                    let strangers = of.counted - likes;
                    if strangers > 0 { of.owners } else { likes.saturating_sub(1) }
                });
                crowded.sum()
            }
        }
    }

    /// How many pods of `kind` the plan places.
    fn placed(&self, kind: usize) -> u32 {
        self.places.iter().filter_map(|place| place.pods.get(&kind)).map(|pods| pods.0).sum()
    }

    fn counts_itself(&self, kind: usize, selector: &PodSelector) -> bool {
        selector.selects(self.kinds[kind].namespace, self.kinds[kind].labels)
    }

    fn on_nodes(&mut self, kind: usize, met: &mut dyn FnMut(&mut Self, usize) -> bool) -> u32 {
        let mut unmet = 0;
        for place in 0..self.places.len() {
            let placed = self.places[place].pods.get(&kind).map_or(0, |pods| pods.0);
            if placed > 0 && !met(self, place) {
                unmet += placed;
            }
        }
        unmet
    }

    fn meets(&mut self, place: usize, wanted: &'a Requirements) -> bool {
        match self.places[place].site {
            Ok((_, labels)) => crate::planning::standing::meets(labels, wanted),
            Err(NodeOrigin { template, offer, .. }) => {
                let offers = self.reach.offers(&self.supply.templates[template], std::slice::from_ref(wanted));
                offers.is_some_and(|offers| offers.contains(offer))
            }
        }
    }

    /// Pods by the domains of `key`; of those that run only the ones on `admitted` nodes.
    fn counts(
        &mut self,
        kind: usize,
        selector: &PodSelector,
        key: &str,
        admitted: &dyn Fn(usize) -> bool,
    ) -> BTreeMap<String, Count> {
        let selected: Vec<bool> = self.kinds.iter().map(|kind| selector.selects(kind.namespace, kind.labels)).collect();
        let mut counts: BTreeMap<String, Count> = BTreeMap::new();
        for place in 0..self.places.len() {
            let of = &self.places[place];
            if !of.pods.keys().any(|&here| here == kind || selected[here]) {
                continue;
            }
            let Some(domain) = self.domain(place, key) else { continue };
            let of = &self.places[place];
            let runs = of.site.is_err() || of.site.is_ok_and(|(node, _)| admitted(node));
            let count = counts.entry(domain).or_default();
            for (&here, &(placed, running)) in &of.pods {
                let running = if runs { running } else { 0 };
                count.counted += if selected[here] { placed + running } else { 0 };
                if here == kind {
                    count.owners += placed;
                    count.running += running;
                }
            }
        }
        counts
    }

    /// The domain of a place; nodes are domains of their own under `kubernetes.io/hostname`.
    fn domain(&mut self, place: usize, key: &str) -> Option<String> {
        if key == labels::HOSTNAME {
            return Some(place.to_string());
        }
        match self.places[place].site {
            Ok((_, labels)) => labels.get(key).cloned(),
            Err(NodeOrigin { template, offer, .. }) => {
                let supply = self.supply;
                let values = self
                    .labels
                    .entry((template, key.to_owned()))
                    .or_insert_with(|| supply.templates[template].labels_of_offers(key));
                values[offer].clone()
            }
        }
    }
}
