//! What pods that stand somewhere ask of one that is left: every rule between pods as the domains that it closes.
//!
//! The same rules are asked at two *stages*. `Ever`: only pods that run count, and those that wait are given the benefit of the doubt
//! (they may stand wherever their scopes reach, or nowhere), so that what is closed here is closed in every plan. `Now`: the pods that
//! the plan places count as well, where they stand; what is closed here is closed beside this plan, in which nobody moves.
//!
//! Unlike [`Demand::terms`], which leaves out what cannot bind and folds running pods into scopes, every rule keeps its name here,
//! because it is to be said. A pod counts in its domain whatever the owner's `nodeAffinityPolicy` says of the node that it is planned
//! on, as in the program.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::domain::cluster::ClusterView;
use crate::domain::labels;
use crate::domain::pod::PodSpec;
use crate::domain::resources::Resources;
use crate::domain::topology::HostPort;
use crate::planning::demand::{self, Demand, Reach};
use crate::planning::market::is_offering_label;
use crate::planning::obstacles::Obstacle;
use crate::planning::plan::Planned;
use crate::planning::supply::Supply;
use crate::planning::terms::{self, Kind, Term, TermKind};

/// Which pods count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Those that run: what holds in every plan.
    Ever,
    /// Those that the plan places as well: what holds beside it.
    Now,
}

/// The domain, under `kubernetes.io/hostname`, of a node that nobody is on yet.
pub(super) const NEW_NODE: &str = "";

/// A rule, by the domains of its label that it closes to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// How it is called.
    pub(super) obstacle: Obstacle,
    /// Its label.
    pub(super) key: String,
    /// Domains that are not treated like all others.
    named: BTreeSet<String>,
    /// Whether the named domains are the open ones.
    only_named: bool,
    /// Whether nodes without the label are closed.
    needs_label: bool,
}

impl Rule {
    fn closing(obstacle: Obstacle, key: &str, named: BTreeSet<String>) -> Self {
        Self { obstacle, key: key.to_owned(), named, only_named: false, needs_label: false }
    }

    fn opening(obstacle: Obstacle, key: &str, named: BTreeSet<String>) -> Self {
        Self { obstacle, key: key.to_owned(), named, only_named: true, needs_label: false }
    }

    /// Closes every node.
    pub(super) fn everywhere(obstacle: Obstacle) -> Self {
        Self::opening(obstacle, labels::HOSTNAME, BTreeSet::new())
    }

    /// Whether it closes a node in this domain; `None` for one without the label.
    pub(super) fn closes(&self, domain: Option<&str>) -> bool {
        domain.map_or(self.needs_label, |domain| self.named.contains(domain) != self.only_named)
    }

    fn closes_something(&self) -> bool {
        self.only_named || self.needs_label || !self.named.is_empty()
    }
}

/// A rule between pods with everyone who stands under it, by domain.
pub(super) struct Tally {
    /// The rule; its `base` are the running pods that it counts.
    pub(super) term: Term,
    /// Planned pods that it counts.
    pub(super) placed: BTreeMap<String, u32>,
    /// Of these, those that do not own it.
    friends: BTreeMap<String, u32>,
    /// Where running pods own it; anti-affinity only, since nothing else is asked on behalf of a pod that runs.
    running_owners: BTreeSet<String>,
    /// Where planned pods own it.
    placed_owners: BTreeSet<String>,
}

impl Tally {
    /// How many pods it counts in `domain`.
    pub(super) fn count(&self, domain: &str, stage: Stage) -> u32 {
        let placed = if stage == Stage::Now { self.placed.get(domain).copied().unwrap_or(0) } else { 0 };
        self.term.base(domain) + placed
    }

    /// The domains where it counts someone.
    pub(super) fn filled(&self, stage: Stage) -> BTreeSet<String> {
        let placed = self.placed.keys().filter(|_| stage == Stage::Now);
        self.term.base.keys().chain(placed).cloned().collect()
    }

    /// The domains where someone owns it.
    pub(super) fn owners(&self, stage: Stage) -> BTreeSet<String> {
        let placed = self.placed_owners.iter().filter(|_| stage == Stage::Now);
        self.running_owners.iter().chain(placed).cloned().collect()
    }

    /// The domain in which the owners of an affinity have only one another.
    fn founded(&self) -> Option<&String> {
        let alone = |domain: &&String| self.term.base(domain) == 0 && !self.friends.contains_key(*domain);
        self.placed_owners.iter().find(alone)
    }
}

/// A node with somebody on it, or one that exists.
pub(super) struct Stand {
    /// What a person calls it.
    pub(super) name: String,
    /// Its domain under `kubernetes.io/hostname`.
    host: String,
    /// Index into the supply's templates.
    pub(super) template: usize,
    /// Index into the template's offers.
    pub(super) offer: usize,
    /// Whether it exists already.
    pub(super) exists: bool,
    /// What is free: on nodes that exist before the plan, on planned ones nothing.
    free: Resources,
    /// What the plan leaves of it.
    left: Resources,
    /// Ports that running pods and DaemonSets take, and planned pods.
    ports: [Vec<HostPort>; 2],
}

impl Stand {
    /// What pods may take.
    pub(super) fn room(&self, stage: Stage) -> &Resources {
        if stage == Stage::Ever { &self.free } else { &self.left }
    }
}

/// Who stands where.
pub(super) struct Company<'a> {
    supply: &'a Supply,
    demand: &'a Demand,
    kinds: Vec<Kind<'a>>,
    /// Kind of each pod of the cluster.
    kind_of: Vec<usize>,
    /// Per kind a pod of it.
    example: Vec<usize>,
    owns: Vec<Vec<usize>>,
    counted: Vec<Vec<usize>>,
    /// Per rule the kinds that it counts.
    counts: Vec<Vec<usize>>,
    /// Every rule between pods.
    pub(super) tallies: Vec<Tally>,
    /// Nodes that exist, then planned ones.
    pub(super) nodes: Vec<Stand>,
    /// Values of each label on the offers of a scope.
    values: RefCell<BTreeMap<(usize, String), BTreeSet<String>>>,
}

impl<'a> Company<'a> {
    /// The company of the pods that `planned` leaves.
    pub(super) fn new(cluster: &'a ClusterView, planned: &'a Planned) -> Self {
        let Planned { supply, demand, .. } = planned;
        let (kinds, members, settled) = demand::kinds(cluster, &[], None);
        let mut kind_of = vec![0; cluster.pods.len()];
        for (kind, pods) in members.iter().enumerate() {
            pods.iter().for_each(|&pod| kind_of[pod] = kind);
        }
        let mut reach = Reach::default();
        let (mut terms, owns, _) = terms::all_terms(&kinds, &mut |spec, spread| reach.universe(supply, spec, spread));
        let mut running_owners: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        let mut known: BTreeMap<Term, usize> = terms.iter().cloned().zip(0..).collect();
        for of in &settled.kinds {
            for term in &of.kind.spec.apart {
                let term = Term::affinity(TermKind::Apart, term.clone());
                let number = *known.entry(term).or_insert_with_key(|term| {
                    terms.push(term.clone());
                    terms.len() - 1
                });
                let domains = of.on.iter().filter_map(|&node| settled.nodes[node].get(&terms[number].key).cloned());
                running_owners.entry(number).or_default().extend(domains);
            }
        }
        let counted = terms::counted_by(&terms, &kinds);
        terms::count_settled(&mut terms, &settled);
        let mut counts = vec![Vec::new(); terms.len()];
        for (kind, terms) in counted.iter().enumerate() {
            terms.iter().for_each(|&term| counts[term].push(kind));
        }
        let tallies = terms.into_iter().enumerate().map(|(number, term)| Tally {
            term,
            placed: BTreeMap::new(),
            friends: BTreeMap::new(),
            running_owners: running_owners.remove(&number).unwrap_or_default(),
            placed_owners: BTreeSet::new(),
        });
        let example = members.iter().map(|pods| pods[0]).collect();
        let values = RefCell::default();
        let tallies = tallies.collect();
        let nodes = Vec::new();
        let mut made = Self { supply, demand, kinds, kind_of, example, owns, counted, counts, tallies, nodes, values };
        made.stand(cluster, planned);
        made
    }

    /// Fills in who is where.
    fn stand(&mut self, cluster: &ClusterView, planned: &Planned) {
        let templates = planned.supply.templates.iter().enumerate();
        let of_node: BTreeMap<usize, usize> = templates
            .flat_map(|(number, template)| template.standing.iter().flat_map(|of| &of.nodes).map(move |&node| (node, number)))
            .collect();
        let used: BTreeMap<usize, &[usize]> =
            planned.plan.existing.iter().map(|used| (used.node, used.pods.as_slice())).collect();
        let ports = |specs: &mut dyn Iterator<Item = &PodSpec>| -> Vec<HostPort> {
            specs.flat_map(|spec| spec.host_ports.iter().cloned()).collect()
        };
        let of = |pod: &usize| -> &PodSpec { &cluster.pods[*pod].spec };
        for (&node, &template) in &of_node {
            let pods = used.get(&node).copied().unwrap_or_default();
            let free = planned.supply.templates[template].types[0].room.for_pods.clone();
            let mut left = free.clone();
            pods.iter().for_each(|pod| left = left.minus(&of(pod).requests));
            let running = cluster.nodes[node].pods.iter().map(|pod| &*pod.spec);
            let mut ports = [ports(&mut running.into_iter()), ports(&mut pods.iter().map(of))];
            ports[0].extend_from_slice(&planned.supply.templates[template].types[0].room.ports);
            let (name, host) = (cluster.nodes[node].name.clone(), cluster.nodes[node].labels.get(labels::HOSTNAME).cloned());
            let host = host.unwrap_or_else(|| name.clone());
            self.add(Stand { name, host, template, offer: 0, exists: true, free, left, ports }, pods);
        }
        for (number, (node, origin)) in planned.plan.nodes.iter().zip(&planned.origins).enumerate() {
            let name = format!("planned node {number}");
            let template = &planned.supply.templates[origin.template];
            let room = &template.types[template.offers[origin.offer].of_type].room;
            let left = room.for_pods.minus(&node.requests);
            let ports = [room.ports.clone(), ports(&mut node.pods.iter().map(of))];
            let (template, offer, free) = (origin.template, origin.offer, Resources::new());
            self.add(Stand { host: name.clone(), name, template, offer, exists: false, free, left, ports }, &node.pods);
        }
    }

    /// Counts the planned pods of `node`.
    fn add(&mut self, node: Stand, pods: &[usize]) {
        let mut kinds: BTreeMap<usize, u32> = BTreeMap::new();
        pods.iter().for_each(|&pod| *kinds.entry(self.kind_of[pod]).or_default() += 1);
        for (kind, pods) in kinds {
            for &term in &self.owns[kind] {
                if let Some(domain) = self.domain(&self.tallies[term].term.key, &node) {
                    self.tallies[term].placed_owners.insert(domain);
                }
            }
            for &term in &self.counted[kind] {
                if let Some(domain) = self.domain(&self.tallies[term].term.key, &node) {
                    let tally = &mut self.tallies[term];
                    if !self.owns[kind].contains(&term) {
                        *tally.friends.entry(domain.clone()).or_default() += pods;
                    }
                    *tally.placed.entry(domain).or_default() += pods;
                }
            }
        }
        self.nodes.push(node);
    }

    /// The value of label `key` on a node.
    pub(super) fn domain(&self, key: &str, node: &Stand) -> Option<String> {
        if key == labels::HOSTNAME {
            return Some(node.host.clone());
        }
        self.supply.templates[node.template].label_of_offer(key, node.offer)
    }

    /// What a person calls a domain.
    pub(super) fn name_of(&self, key: &str, domain: &str) -> String {
        let node = self.nodes.iter().find(|node| key == labels::HOSTNAME && node.host == domain);
        node.map_or_else(|| domain.to_owned(), |node| node.name.clone())
    }

    /// Whether `pod` is counted by a rule.
    pub(super) fn is_counted(&self, pod: usize, term: usize) -> bool {
        self.counted[self.kind_of[pod]].contains(&term)
    }

    /// How many pods that wait for a node, or are planned, a rule counts besides `pod`.
    pub(super) fn others_counted(&self, pod: usize, term: usize) -> usize {
        let all: usize = self.counts[term].iter().map(|&kind| self.kinds[kind].pods).sum();
        all - usize::from(self.is_counted(pod, term))
    }

    /// The affinity that makes `pod` share one node with all of its bundle.
    pub(super) fn bundling(&self, pod: usize) -> Option<usize> {
        let class = self.demand.class_of[pod];
        self.demand.bundles.iter().find(|bundle| bundle.classes.contains(&class))?;
        let near = |&&term: &&usize| {
            let term = &self.tallies[term].term;
            term.kind == TermKind::Near && term.is_per_node() && term.base.is_empty()
        };
        self.owns[self.kind_of[pod]].iter().find(near).copied()
    }

    /// Everything that pods who stand somewhere ask of `pod`, and it of them.
    pub(super) fn rules(&self, pod: usize, stage: Stage) -> Vec<Rule> {
        let kind = self.kind_of[pod];
        let own = self.owns[kind].iter().filter_map(|&term| self.own(kind, term, stage));
        let others = self.counted[kind].iter().filter_map(|&term| self.of_others(kind, term, stage));
        let ports = self.kinds[kind].spec.host_ports.iter().map(|port| {
            let rivals = |node: &&Stand| {
                let planned = node.ports[1].iter().filter(|_| stage == Stage::Now);
                node.ports[0].iter().chain(planned).any(|other| other.conflicts(port))
            };
            let taken = self.nodes.iter().filter(rivals).map(|node| node.host.clone()).collect();
            Rule::closing(Obstacle::Port(port.clone()), labels::HOSTNAME, taken)
        });
        own.chain(others).chain(ports).filter(Rule::closes_something).collect()
    }

    /// A rule that the pod has about others.
    fn own(&self, kind: usize, number: usize, stage: Stage) -> Option<Rule> {
        let tally = &self.tallies[number];
        let key = tally.term.key.as_str();
        let counted = self.counted[kind].contains(&number);
        let obstacle = Obstacle::Between { term: number, own: true };
        let needs_label = !tally.term.is_per_node();
        match &tally.term.kind {
            TermKind::Spread { max_skew, .. } => {
                let most = max_skew.saturating_add(self.least(number, stage));
                let full = |domain: &String| tally.count(domain, stage) + u32::from(counted) > most;
                let full = tally.filled(stage).into_iter().filter(full).collect();
                Some(Rule { needs_label, ..Rule::closing(obstacle, key, full) })
            }
            TermKind::Near => {
                let mut open = tally.filled(stage);
                let founds = counted && open.is_empty();
                if stage == Stage::Ever && !founds {
                    let comers = self.supporters(kind, number);
                    if needs_label {
                        comers.iter().for_each(|&other| open.extend(self.values_of(other, key)));
                    } else if !comers.is_empty() {
                        return None;
                    }
                }
                Some(if founds {
                    Rule { needs_label, ..Rule::closing(obstacle, key, BTreeSet::new()) }
                } else {
                    Rule { needs_label, ..Rule::opening(obstacle, key, open) }
                })
            }
            TermKind::Apart => {
                // Whoever owns the rule as well must be apart from this pod too, if the rule counts it.
                let owners = if counted { tally.owners(stage) } else { BTreeSet::new() };
                Some(Rule::closing(obstacle, key, tally.filled(stage).union(&owners).cloned().collect()))
            }
            TermKind::Most { most, named } => {
                let full = tally.filled(stage).into_iter().filter(|domain| tally.count(domain, stage) >= *most);
                let closed = named.iter().flat_map(|named| &named.names).filter(|_| *most == 0).cloned();
                let about = |domain: &String| tally.term.kind.domain_of(domain.clone()).is_some();
                Some(Rule::closing(obstacle, key, full.chain(closed).filter(about).collect()))
            }
        }
    }

    /// A rule that others have about the pod.
    fn of_others(&self, kind: usize, number: usize, stage: Stage) -> Option<Rule> {
        let tally = &self.tallies[number];
        let key = tally.term.key.as_str();
        let obstacle = Obstacle::Between { term: number, own: false };
        match &tally.term.kind {
            // The pod's own rule says it already.
            _ if self.owns[kind].contains(&number) => None,
            TermKind::Apart => Some(Rule::closing(obstacle, key, tally.owners(stage))),
            // Whoever is counted owns it.
            TermKind::Most { .. } => None,
            _ if stage == Stage::Ever => None,
            TermKind::Spread { max_skew, .. } => {
                let most = max_skew.saturating_add(self.least(number, stage));
                let full = |domain: &&String| tally.count(domain, stage) + 1 > most;
                Some(Rule::closing(obstacle, key, tally.placed_owners.iter().filter(full).cloned().collect()))
            }
            TermKind::Near => tally.founded().map(|domain| Rule::opening(obstacle, key, BTreeSet::from([domain.clone()]))),
        }
    }

    /// How many pods the least filled domain of a spread constraint has; at stage `Ever` the most that it could have in any plan.
    pub(super) fn least(&self, number: usize, stage: Stage) -> u32 {
        let tally = &self.tallies[number];
        let TermKind::Spread { universe, grounded: false, .. } = &tally.term.kind else { return 0 };
        let mut most: BTreeMap<&str, usize> = universe.iter().map(|domain| (domain.as_str(), 0)).collect();
        if stage == Stage::Ever {
            for &kind in &self.counts[number] {
                let reached = self.values_of(kind, &tally.term.key);
                let here = most.iter_mut().filter(|(domain, _)| reached.contains(**domain));
                here.for_each(|(_, pods)| *pods += self.kinds[kind].pods);
            }
        }
        let filled = |(domain, coming): (&str, usize)| {
            tally.count(domain, stage).saturating_add(u32::try_from(coming).unwrap_or(u32::MAX))
        };
        most.into_iter().map(filled).min().unwrap_or(0)
    }

    /// The least filled domains of a spread constraint, as far as they are known.
    pub(super) fn least_filled(&self, number: usize, stage: Stage) -> BTreeSet<String> {
        let tally = &self.tallies[number];
        let TermKind::Spread { universe, .. } = &tally.term.kind else { return BTreeSet::new() };
        let fewest = universe.iter().map(|domain| tally.count(domain, stage)).min().unwrap_or(0);
        universe.iter().filter(|domain| tally.count(domain, stage) == fewest).cloned().collect()
    }

    /// The kinds that wait for a node and could be what the pod of `kind` has to be near to.
    fn supporters(&self, kind: usize, number: usize) -> Vec<usize> {
        let empty = self.tallies[number].term.base.is_empty();
        let could = |&other: &usize| {
            let bound = self.demand.ranks[self.demand.class_of[self.example[other]]].is_some();
            // Where somebody runs, those who own the rule have to follow like the pod itself.
            bound && other != kind && (empty || !self.owns[other].contains(&number))
        };
        self.counts[number].iter().copied().filter(could).collect()
    }

    /// The values of label `key` where pods of `kind` may stand.
    fn values_of(&self, kind: usize, key: &str) -> BTreeSet<String> {
        let scope = self.demand.classes[self.demand.class_of[self.example[kind]]].scope;
        if let Some(known) = self.values.borrow().get(&(scope, key.to_owned())) {
            return known.clone();
        }
        let mut found = BTreeSet::new();
        for (template, offers) in self.supply.templates.iter().zip(&self.demand.scopes[scope].offers) {
            let offers = offers.iter().flat_map(fixedbitset::FixedBitSet::ones);
            // Offers of one cell, or of one type, agree on the label.
            let by = |offer: usize| {
                let sold = &template.offers[offer];
                match key {
                    labels::SPOT_POOL => (sold.of_type, sold.cell),
                    _ if is_offering_label(key) => (0, sold.cell),
                    _ => (sold.of_type, 0),
                }
            };
            let one_of_each: BTreeMap<(usize, usize), usize> = offers.map(|offer| (by(offer), offer)).collect();
            found.extend(one_of_each.into_values().filter_map(|offer| template.label_of_offer(key, offer)));
        }
        self.values.borrow_mut().insert((scope, key.to_owned()), found.clone());
        found
    }
}
