//! Rules between pods, checked in the state that the cluster has once every pod of the plan runs.
//!
//! The pods that already run and those that the plan places count alike; the plan answers only for rules that one of its own pods is a
//! part of. The domains of a spread constraint are those of Karpenter's scheduler: of the nodes that there are and of those that the
//! NodePools could buy, and under `kubernetes.io/hostname` the least filled node counts as empty. kube-scheduler is laxer, because it
//! looks at the nodes that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Violation;
use super::concrete::{Concrete, Site, satisfies};
use super::violation::describe;
use super::volumes;
use crate::domain::labels;
use crate::domain::node::Node;
use crate::domain::plan::{Plan, PlannedNode};
use crate::domain::pod::PodSpec;
use crate::domain::requirement::Requirements;
use crate::domain::selector::{Labels, PodSelector};
use crate::domain::taint;
use crate::domain::taint::{Taint, Toleration};
use crate::domain::topology::TopologySpread;

/// A node of the final state.
pub(super) struct Place<'a> {
    /// What violations call it.
    name: String,
    pub(super) labels: Requirements,
    pub(super) taints: &'a [Taint],
}

impl Place<'_> {
    /// The domain of `key` that it is in; `None` without the label, or where the plan leaves its value open.
    pub(super) fn domain(&self, key: &str) -> Option<String> {
        if key == labels::HOSTNAME {
            return Some(self.name.clone());
        }
        let values = self.labels.get(key)?.finite()?;
        values.first().filter(|_| values.len() == 1).cloned()
    }
}

/// Pods that no rule tells apart, with where they stand.
pub(super) struct Kind<'a> {
    pub(super) namespace: &'a str,
    pub(super) labels: &'a Labels,
    pub(super) spec: &'a PodSpec,
    /// Name of one of them.
    example: String,
    /// `(place, pods of the plan, pods that ran before)`.
    pub(super) standing: Vec<(usize, u32, u32)>,
}

/// Pods of a selector by domain: all of them, and those that the plan places.
#[derive(Clone, Copy, Default)]
pub(super) struct Count {
    pub(super) all: u32,
    placed: u32,
}

/// Every broken rule between pods.
pub(super) fn check(site: &Site<'_>, state: &State<'_>, plan: &Plan, found: &mut Vec<Violation>) {
    for owner in 0..state.kinds.len() {
        let spec = state.kinds[owner].spec;
        for spread in spec.spreads.iter().filter(|spread| spread.required) {
            state.check_spread(site, owner, spread, found);
        }
        for term in spec.joint_near() {
            state.check_near(owner, &term.topology_key, &term.selector, found);
        }
        for term in &spec.apart {
            state.check_apart(owner, &term.topology_key, &term.selector, found);
        }
    }
    state.check_candidates(site, plan, found);
}

/// The cluster once every pod of the plan runs.
pub(super) struct State<'a> {
    pub(super) places: Vec<Place<'a>>,
    pub(super) kinds: Vec<Kind<'a>>,
}

impl<'a> State<'a> {
    pub(super) fn new(site: &Site<'a>, plan: &'a Plan) -> Self {
        let cluster = site.cluster;
        let mut made = Self { places: Vec::new(), kinds: Vec::new() };
        let mut known: BTreeMap<(&str, *const Labels, *const PodSpec), usize> = BTreeMap::new();
        let mut stand = |kinds: &mut Vec<Kind<'a>>, pod: StandingPod<'a>, place: usize| {
            let key = (pod.namespace, Arc::as_ptr(pod.labels), Arc::as_ptr(pod.spec));
            let kind = *known.entry(key).or_insert_with(|| {
                let example = format!("{}/{}", pod.namespace, pod.name);
                kinds.push(Kind { namespace: pod.namespace, labels: pod.labels, spec: pod.spec, example, standing: Vec::new() });
                kinds.len() - 1
            });
            let standing = &mut kinds[kind].standing;
            if standing.last().is_none_or(|last| last.0 != place) {
                standing.push((place, 0, 0));
            }
            if let Some((_, placed, before)) = standing.last_mut() {
                *(if pod.placed { placed } else { before }) += 1;
            }
        };
        let planned = |pod: usize| {
            let pod = cluster.pods.get(pod)?;
            Some(StandingPod { namespace: &pod.namespace, name: &pod.name, labels: &pod.labels, spec: &pod.spec, placed: true })
        };
        for (index, node) in cluster.nodes.iter().enumerate() {
            let place = made.places.len();
            made.places.push(place_of(node));
            for pod in &node.pods {
                let (namespace, name) = (pod.namespace.as_str(), pod.name.as_str());
                let standing = StandingPod { namespace, name, labels: &pod.labels, spec: &pod.spec, placed: false };
                stand(&mut made.kinds, standing, place);
            }
            let uses = plan.existing.iter().filter(|used| used.node == index).flat_map(|used| &used.pods);
            uses.filter_map(|&pod| planned(pod)).for_each(|pod| stand(&mut made.kinds, pod, place));
        }
        for (index, node) in plan.nodes.iter().enumerate() {
            let place = made.places.len();
            let concrete =
                site.pool(&node.node_pool).and_then(|pool| Some((pool, site.concrete(pool, &node.offering, &node.labels)?)));
            let (taints, labels) = match concrete {
                Some((pool, concrete)) => (pool.taints.as_slice(), concrete.labels.clone()),
                None => (&[][..], Requirements::new()),
            };
            made.places.push(Place { name: format!("node {index}"), labels, taints });
            node.pods.iter().filter_map(|&pod| planned(pod)).for_each(|pod| stand(&mut made.kinds, pod, place));
        }
        made
    }

    /// Which kinds a selector counts.
    fn selected(&self, selector: &PodSelector) -> Vec<usize> {
        (0..self.kinds.len()).filter(|&kind| selector.selects(self.kinds[kind].namespace, self.kinds[kind].labels)).collect()
    }

    /// The selected pods by domain, on the places that `counts` admits.
    pub(super) fn by_domain(&self, key: &str, selector: &PodSelector, counts: &dyn Fn(usize) -> bool) -> BTreeMap<String, Count> {
        let mut made: BTreeMap<String, Count> = BTreeMap::new();
        for kind in self.selected(selector) {
            for &(place, placed, before) in self.kinds[kind].standing.iter().filter(|standing| counts(standing.0)) {
                if let Some(domain) = self.places[place].domain(key) {
                    let count = made.entry(domain).or_default();
                    count.all += placed + before;
                    count.placed += placed;
                }
            }
        }
        made
    }

    /// Which places a spread constraint of `spec` looks at.
    pub(super) fn passing(&self, spec: &PodSpec, spread: &TopologySpread) -> Vec<bool> {
        let filter = |place: &Place<'_>| {
            let met = |wanted: &Requirements| satisfies(&place.labels, wanted);
            let tolerations: &[Toleration] = &spec.tolerations;
            (!spread.honors_affinity || spec.node_alternatives.iter().any(met))
                && (!spread.honors_taints || taint::first_untolerated(place.taints, tolerations).is_none())
        };
        self.places.iter().map(filter).collect()
    }

    fn check_spread(&self, site: &Site<'_>, owner: usize, spread: &TopologySpread, found: &mut Vec<Violation>) {
        let kind = &self.kinds[owner];
        let key = spread.topology_key.as_str();
        if kind.standing.iter().all(|standing| standing.1 == 0) {
            return;
        }
        let passes = self.passing(kind.spec, spread);
        let counts = self.by_domain(key, &spread.selector, &|place| passes[place]);
        let standing = self.places.iter().zip(&passes).filter(|(_, passes)| **passes).filter_map(|(place, _)| place.domain(key));
        let mut domains: BTreeSet<String> = standing.collect();
        if key != labels::HOSTNAME {
            domains.extend(site.domains(
                key,
                spread.honors_affinity.then_some(&kind.spec.node_alternatives),
                spread.honors_taints.then_some(&kind.spec.tolerations),
            ));
        }
        let in_domain = |domain: &str| counts.get(domain).map_or(0, |count| count.all);
        let grounded = key == labels::HOSTNAME || domains.len() < spread.min_domains as usize;
        let least = if grounded { 0 } else { domains.iter().map(|domain| in_domain(domain)).min().unwrap_or(0) };
        for &(place, ..) in kind.standing.iter().filter(|standing| standing.1 > 0) {
            let Some(domain) = self.places[place].domain(key) else {
                found.push(self.without_domain(owner, place, key));
                continue;
            };
            let here = in_domain(&domain);
            if here > least.saturating_add(spread.max_skew) {
                let (pod, key) = (kind.example.clone(), key.to_owned());
                found.push(Violation::TopologySpread { pod, key, domain, pods: here, least, max_skew: spread.max_skew });
            }
        }
    }

    fn check_near(&self, owner: usize, key: &str, selector: &PodSelector, found: &mut Vec<Violation>) {
        let kind = &self.kinds[owner];
        let counts = self.by_domain(key, selector, &|_| true);
        let all: u32 = counts.values().map(|count| count.all).sum();
        let itself = u32::from(selector.selects(kind.namespace, kind.labels));
        for &(place, ..) in kind.standing.iter().filter(|standing| standing.1 > 0) {
            let Some(domain) = self.places[place].domain(key) else {
                found.push(self.without_domain(owner, place, key));
                continue;
            };
            let here = counts.get(&domain).map_or(0, |count| count.all);
            // The first of its kind needs no company, as long as there is none anywhere.
            let founds = itself == 1 && all == 1;
            if here <= itself && !founds {
                found.push(Violation::PodAffinity { pod: kind.example.clone(), key: key.to_owned(), domain });
            }
        }
    }

    fn check_apart(&self, owner: usize, key: &str, selector: &PodSelector, found: &mut Vec<Violation>) {
        let kind = &self.kinds[owner];
        let counts = self.by_domain(key, selector, &|_| true);
        let itself = u32::from(selector.selects(kind.namespace, kind.labels));
        for &(place, placed, before) in &kind.standing {
            let Some(domain) = self.places[place].domain(key) else { continue };
            let here = counts.get(&domain).copied().unwrap_or_default();
            let kept_by_placed = placed > 0 && here.all > itself;
            // A pod that ran before keeps the plan's pods out.
            let kept_by_running = before > 0 && here.placed > 0;
            if kept_by_placed || kept_by_running {
                found.push(Violation::PodAntiAffinity { pod: kind.example.clone(), key: key.to_owned(), domain });
            }
        }
    }

    fn without_domain(&self, owner: usize, place: usize, key: &str) -> Violation {
        let (pod, place) = (self.kinds[owner].example.clone(), self.places[place].name.clone());
        Violation::NoDomain { pod, place, key: key.to_owned() }
    }

    /// A candidate must not move a node into another domain of a rule that the node's pods are a part of.
    fn check_candidates(&self, site: &Site<'_>, plan: &Plan, found: &mut Vec<Violation>) {
        let (keys, settled) = (self.keys_that_matter(), self.settled_rules());
        let first = self.places.len() - plan.nodes.len();
        let mut of_place: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); self.places.len()];
        let mut settled_of: Vec<Vec<&SettledRule<'_>>> = vec![Vec::new(); self.places.len()];
        for (kind, (keys, settled)) in self.kinds.iter().zip(keys.iter().zip(&settled)) {
            for standing in kind.standing.iter().filter(|standing| standing.1 > 0) {
                of_place[standing.0].extend(keys);
                settled_of[standing.0].extend(settled);
            }
        }
        for (index, node) in plan.nodes.iter().enumerate() {
            let (place, keys, settled) = (&self.places[first + index], &of_place[first + index], &settled_of[first + index]);
            let tied = !keys.is_empty() || !settled.is_empty();
            for candidate in node.candidates.iter().filter(|candidate| **candidate != node.offering && tied) {
                let Some(other) = concrete(site, node, candidate) else { continue };
                let other = Place { name: place.name.clone(), labels: other.labels.clone(), taints: place.taints };
                let moved = keys.iter().copied().find(|key| other.domain(key) != place.domain(key));
                let refused = || settled.iter().find(|rule| !rule.admits(other.domain(rule.key))).map(|rule| rule.key);
                if let Some(key) = moved.or_else(refused) {
                    let (offering, key) = (describe(candidate), key.to_owned());
                    found.push(Violation::CandidateInOtherDomain { node: index, offering, key });
                }
            }
        }
    }

    /// Per kind what pods that ran before ask of its domains, or it of theirs; they do not move, so any domain that meets it will do.
    fn settled_rules(&self) -> Vec<Vec<SettledRule<'a>>> {
        let domains = |kinds: &[usize], key: &str| -> BTreeSet<String> {
            let standing = kinds.iter().flat_map(|&kind| &self.kinds[kind].standing).filter(|standing| standing.2 > 0);
            standing.filter_map(|standing| self.places[standing.0].domain(key)).collect()
        };
        let mut made: Vec<Vec<SettledRule<'a>>> = vec![Vec::new(); self.kinds.len()];
        for owner in 0..self.kinds.len() {
            let spec = self.kinds[owner].spec;
            for term in spec.apart.iter().filter(|term| term.topology_key != labels::HOSTNAME) {
                let (key, selected) = (term.topology_key.as_str(), self.selected(&term.selector));
                made[owner].push(SettledRule { key, domains: domains(&selected, key), inside: false });
                let own = domains(&[owner], key);
                selected.into_iter().for_each(|kind| made[kind].push(SettledRule { key, domains: own.clone(), inside: false }));
            }
            for (term, joint) in spec.near.iter().zip(spec.joint_near()) {
                let key = term.topology_key.as_str();
                let found = domains(&self.selected(&joint.selector), key);
                if key != labels::HOSTNAME && !found.is_empty() {
                    made[owner].push(SettledRule { key, domains: found, inside: true });
                }
            }
        }
        made.iter_mut().for_each(|rules| rules.retain(|rule| !rule.domains.is_empty()));
        made
    }

    /// Per kind the topology labels of rules that the kind owns or is counted by, and that the number of pods could break.
    fn keys_that_matter(&self) -> Vec<BTreeSet<&'a str>> {
        let mut keys: Vec<BTreeSet<&'a str>> = vec![BTreeSet::new(); self.kinds.len()];
        let placed = |kind: usize| self.kinds[kind].standing.iter().map(|standing| standing.1).sum::<u32>();
        for owner in (0..self.kinds.len()).filter(|&owner| placed(owner) > 0) {
            let spec = self.kinds[owner].spec;
            let spreads = spec.spreads.iter().filter(|spread| spread.required);
            let spreads = spreads.map(|spread| (&spread.topology_key, spread.selector.clone(), Rule::Spread(spread)));
            let near =
                spec.near.iter().zip(spec.joint_near()).map(|(term, joint)| (&term.topology_key, joint.selector, Rule::Near));
            let apart = spec.apart.iter().map(|term| (&term.topology_key, term.selector.clone(), Rule::Apart));
            let all = spreads.chain(near).chain(apart);
            for (key, selector, rule) in all.filter(|(key, ..)| key.as_str() != labels::HOSTNAME) {
                let selected = self.selected(&selector);
                let new: u32 = selected.iter().map(|&kind| placed(kind)).sum();
                let passes = match rule {
                    Rule::Spread(spread) => self.passing(spec, spread),
                    Rule::Near | Rule::Apart => vec![true; self.places.len()],
                };
                let ran = |kind: usize| {
                    let there = self.kinds[kind].standing.iter().filter(|standing| passes[standing.0]);
                    there.map(|standing| standing.2).sum::<u32>()
                };
                let old: u32 = selected.iter().map(|&kind| ran(kind)).sum();
                // One pod by itself is neither near to nor apart from another.
                let alone = new == 0 || (selected == [owner] && new == 1);
                let matters = match rule {
                    Rule::Spread(spread) => new + old > spread.max_skew,
                    Rule::Near => old == 0 && !alone,
                    Rule::Apart => !alone,
                };
                if matters {
                    selected.into_iter().chain([owner]).for_each(|kind| {
                        keys[kind].insert(key);
                    });
                }
            }
        }
        for ((claim, key), places) in volumes::settled_together(self) {
            // A pod by itself takes its claim wherever it goes.
            let uses = |kind: &Kind<'_>| kind.spec.volumes.iter().filter_map(|of| of.shared.as_ref()).any(|of| of.claim == claim);
            let pods = |kind: &Kind<'_>| kind.standing.iter().map(|standing| standing.1 + standing.2).sum::<u32>();
            let users: Vec<usize> = (0..self.kinds.len()).filter(|&kind| uses(&self.kinds[kind])).collect();
            if places.len() > 1 || users.iter().map(|&kind| pods(&self.kinds[kind])).sum::<u32>() > 1 {
                users.into_iter().for_each(|kind| {
                    keys[kind].insert(key);
                });
            }
        }
        keys
    }
}

/// Kinds of rules between pods.
enum Rule<'a> {
    Spread(&'a TopologySpread),
    Near,
    Apart,
}

/// Domains of pods that ran before, which a pod has to be in or to stay out of.
#[derive(Clone)]
struct SettledRule<'a> {
    key: &'a str,
    domains: BTreeSet<String>,
    inside: bool,
}

impl SettledRule<'_> {
    fn admits(&self, domain: Option<String>) -> bool {
        domain.is_some_and(|domain| self.domains.contains(&domain)) == self.inside
    }
}

struct StandingPod<'a> {
    namespace: &'a str,
    name: &'a str,
    labels: &'a Arc<Labels>,
    spec: &'a Arc<PodSpec>,
    placed: bool,
}

fn place_of(node: &Node) -> Place<'_> {
    Place { name: node.name.clone(), labels: Requirements::from_labels(&node.labels), taints: &node.taints }
}

fn concrete(site: &Site<'_>, node: &PlannedNode, candidate: &crate::domain::plan::Candidate) -> Option<std::rc::Rc<Concrete>> {
    site.concrete(site.pool(&node.node_pool)?, candidate, &node.labels)
}
