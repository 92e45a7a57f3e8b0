//! The rules that tie pods to one another, collected from the pods: which pods own a rule, which pods it counts, and over which
//! domains.
//!
//! A *term* is a spread constraint, an affinity or an anti-affinity with everything resolved that it depends on: two pods own the same
//! term when it means the same for both. A term that no placement of the pods at hand can break is left out; that spares most services
//! of one replica any special treatment. A soft rule is a term with a worth: under `kubernetes.io/hostname` the pods that keep it are
//! a kind of their own, beside those that give it up; under other labels the program counts the pods that are too many.
//!
//! Under `kubernetes.io/hostname` every node is a domain of its own, and a term becomes a rule about what stands together on one node.
//! Under any other label the domains are known before a node is bought: they are the values that the label has on offerings.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::CapacityType;
use crate::domain::collective::WorkloadRules;
use crate::domain::labels;
use crate::domain::pod::PodSpec;
use crate::domain::preference::SoftRule;
use crate::domain::selector::{Labels, Match, PodSelector};
use crate::domain::topology::{HostPort, PodAffinityTerm, TopologySpread};
use crate::planning::spot::{self, Named};

/// What a term asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TermKind {
    /// The owner's domain holds at most so many selected pods more than the least filled one of the universe.
    Spread {
        /// `maxSkew`.
        max_skew: u32,
        /// Values of the key on nodes that the owner's filter admits, whether the owner fits there or not; empty under
        /// `kubernetes.io/hostname`, where the least filled node counts as empty.
        universe: BTreeSet<String>,
        /// Whether the least filled domain counts as empty, because there are fewer than `minDomains`.
        grounded: bool,
        /// Nodes that exist and that the owner's filter admits, by index: only pods there count. Empty under
        /// `kubernetes.io/hostname`.
        admitted: BTreeSet<usize>,
    },
    /// The owner's domain holds a selected pod.
    Near,
    /// The owner's domain holds no selected pod but perhaps the owner.
    Apart,
    /// The owner's domain holds at most so many selected pods.
    Most {
        /// How many.
        most: u32,
        /// The domains that it is about; all of them where none are named.
        named: Option<Named>,
    },
}

impl TermKind {
    /// Whether a pod that owns it needs a node with its label.
    #[must_use]
    pub fn needs_label(&self) -> bool {
        matches!(self, Self::Spread { .. } | Self::Near)
    }

    /// The domain of a node whose label has this value; `None` where the term says nothing about it.
    #[must_use]
    pub(super) fn domain_of(&self, value: String) -> Option<String> {
        match self {
            Self::Most { named: Some(named), .. } => named.domain_of(value),
            _ => Some(value),
        }
    }
}

/// The pods that a term counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counts {
    /// Those that a selector selects.
    Selected(PodSelector),
    /// Those that use a claim (`namespace/name`) whose volume is made for the first of them: they own the term as well.
    OfClaim(String),
    /// Those of a workload that has such rules: they own the term as well.
    OfWorkload(WorkloadRules),
}

/// A rule with the pods that own it in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term {
    /// What it asks for.
    pub kind: TermKind,
    /// Topology key.
    pub key: String,
    /// The pods that it counts.
    pub counts: Counts,
    /// What it is worth to each owner, micro-dollars per hour, where it is soft.
    pub worth: Option<i64>,
    /// How many pods that run already it counts, by domain; domains without any are left out.
    pub base: BTreeMap<String, u32>,
}

impl Term {
    /// Whether the domains are the nodes themselves.
    #[must_use]
    pub fn is_per_node(&self) -> bool {
        self.key == labels::HOSTNAME
    }

    /// A term of pod affinity or anti-affinity, before running pods are counted.
    pub(super) fn affinity(kind: TermKind, term: PodAffinityTerm) -> Self {
        Self::new(kind, term.topology_key, Counts::Selected(term.selector))
    }

    fn new(kind: TermKind, key: String, counts: Counts) -> Self {
        Self { kind, key, counts, worth: None, base: BTreeMap::new() }
    }

    /// All pods of a claim whose volume is still to be made have to be where it is made.
    fn of_claim(claim: &str, key: &str) -> Self {
        Self::new(TermKind::Near, key.to_owned(), Counts::OfClaim(claim.to_owned()))
    }

    /// What a workload of so many pods, running or not, asks of all of them.
    fn of_workload(rules: &WorkloadRules, pods: u32, pools: Option<&Named>) -> impl Iterator<Item = Self> {
        let counts = || Counts::OfWorkload(rules.clone());
        let on_spot = rules.most_on_spot(pods).map(|most| {
            let spot = Named { names: BTreeSet::from([CapacityType::Spot.as_str().to_owned()]), joined: false };
            Self::new(TermKind::Most { most, named: Some(spot) }, labels::CAPACITY_TYPE.to_owned(), counts())
        });
        let in_pool = rules
            .most_in_spot_pool(pods)
            .filter(|most| *most > 0)
            .map(|most| Self::new(TermKind::Most { most, named: pools.cloned() }, labels::SPOT_POOL.to_owned(), counts()));
        on_spot.into_iter().chain(in_pool)
    }

    /// Whether owners may break it in the program, at its worth each.
    #[must_use]
    pub fn may_break(&self) -> bool {
        self.worth.is_some() && !self.is_per_node()
    }

    /// How many pods that it counts run in `domain`.
    #[must_use]
    pub fn base(&self, domain: &str) -> u32 {
        self.base.get(domain).copied().unwrap_or(0)
    }

    /// Whether it asks something else of nodes that exist, where pods that it counts run, than of others; what rules a pod out there
    /// altogether is left to [`Restriction`].
    #[must_use]
    pub fn tells_nodes_apart(&self) -> bool {
        self.is_per_node() && !self.base.is_empty() && self.kind != TermKind::Apart
    }
}

/// Where pods that run already forbid pods of a kind to stand, by label and value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Restriction {
    /// Domains that they may not use.
    pub(super) out: BTreeSet<(String, String)>,
    /// Labels of which only these values will do.
    pub(super) within: BTreeSet<(String, BTreeSet<String>)>,
}

/// How pods of one kind are tied: terms and ports by index, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ties {
    /// Terms that they own.
    pub owns: Vec<usize>,
    /// Terms that count them.
    pub counted_by: Vec<usize>,
    /// Ports that they take.
    pub ports: Vec<usize>,
}

/// Pods that no rule tells apart: one spec, namespace and set of labels.
#[derive(Clone, Copy)]
pub(super) struct Kind<'a> {
    pub(super) spec: &'a PodSpec,
    pub(super) namespace: &'a str,
    pub(super) labels: &'a Labels,
    pub(super) pods: usize,
    /// How many pods, running or not, have its workload's rules; 0 where there are none.
    pub(super) of_workload: u32,
    /// The Spot pools that its workload tells apart, where not all.
    pub(super) pools: Option<&'a Named>,
    /// Soft rules between pods that have a price.
    pub(super) soft: &'a [Soft<'a>],
}

/// A soft rule of a kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Soft<'a> {
    pub(super) rule: SoftRule<'a>,
    /// Micro-dollars per hour and pod.
    pub(super) worth: i64,
    /// Whether pods of the kind hold to it. Those that do not are not counted by it either, unless its domains are not nodes.
    pub(super) kept: bool,
}

/// Pods of one kind that run, and where.
pub(super) struct SettledKind<'a> {
    pub(super) kind: Kind<'a>,
    /// Index of the node, once for every pod.
    pub(super) on: Vec<usize>,
    /// Whether they are placed there and not bound yet: what they ask of their domain has to stay true.
    pub(super) placed: bool,
}

/// What runs already.
#[derive(Default)]
pub(super) struct Settled<'a> {
    pub(super) kinds: Vec<SettledKind<'a>>,
    /// Labels of the nodes that exist.
    pub(super) nodes: Vec<&'a Labels>,
}

/// The values that a spread constraint's domains can have, and the nodes that exist and count.
pub(super) type UniverseOf<'f, 'a> = &'f mut dyn FnMut(&'a PodSpec, &'a TopologySpread) -> (BTreeSet<String>, BTreeSet<usize>);

/// What ties pods to one another.
pub(super) struct Collected {
    /// The terms that a placement could break.
    pub(super) terms: Vec<Term>,
    /// The ports that pods want.
    pub(super) ports: Vec<HostPort>,
    /// Per kind.
    pub(super) ties: Vec<Ties>,
    /// Per kind.
    pub(super) restrictions: Vec<Restriction>,
}

/// The terms of `kinds` that a placement could break and the ports that two kinds could both want, with the ties of each kind.
pub(super) fn collect<'a>(kinds: &[Kind<'a>], settled: &Settled<'a>, universe: UniverseOf<'_, 'a>) -> Collected {
    let (mut terms, owns, given_up) = all_terms(kinds, universe);
    let mut counted = counted_by(&terms, kinds);
    for (counted, given_up) in counted.iter_mut().zip(&given_up) {
        counted.retain(|term| !given_up.contains(term));
    }
    count_settled(&mut terms, settled);
    let mut restrictions = restrictions(kinds, settled, &terms, &owns, &counted);
    keep_spreads(kinds, settled, universe, &mut restrictions);
    let kept: Vec<usize> = (0..terms.len()).filter(|&term| can_break(&terms[term], term, kinds, &owns, &counted)).collect();
    let position = |term: &usize| kept.binary_search(term).ok();

    let ports: BTreeSet<&HostPort> = kinds.iter().flat_map(|kind| &kind.spec.host_ports).collect();
    let ports: Vec<HostPort> = ports.into_iter().cloned().collect();
    let ties = kinds
        .iter()
        .zip(owns.iter().zip(&counted))
        .map(|(kind, (owns, counted))| Ties {
            owns: owns.iter().filter_map(position).collect(),
            counted_by: counted.iter().filter_map(position).collect(),
            ports: kind.spec.host_ports.iter().filter_map(|port| ports.binary_search(port).ok()).collect(),
        })
        .collect();
    Collected { terms: kept.iter().map(|&term| terms[term].clone()).collect(), ports, ties, restrictions }
}

/// Every rule of `kinds`, each once; which of them each kind owns, and which soft ones it gives up, ascending.
pub(super) fn all_terms<'a>(kinds: &[Kind<'a>], universe: UniverseOf<'_, 'a>) -> (Vec<Term>, Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let mut numbers: BTreeMap<Term, usize> = BTreeMap::new();
    let mut owns: Vec<Vec<usize>> = Vec::with_capacity(kinds.len());
    let mut given_up: Vec<Vec<usize>> = Vec::with_capacity(kinds.len());
    for kind in kinds {
        let (mut own, mut without) = (Vec::new(), Vec::new());
        let mut number = |term: Term| {
            let next = numbers.len();
            *numbers.entry(term).or_insert(next)
        };
        own.extend(terms_of(kind, universe).into_iter().map(&mut number));
        for soft in kind.soft {
            let Some(term) = soft_term(kind.spec, soft, universe) else { continue };
            (if soft.kept { &mut own } else { &mut without }).push(number(term));
        }
        own.sort_unstable();
        own.dedup();
        owns.push(own);
        given_up.push(without);
    }
    let mut terms: Vec<Option<Term>> = vec![None; numbers.len()];
    for (term, number) in numbers {
        terms[number] = Some(term);
    }
    (terms.into_iter().flatten().collect(), owns, given_up)
}

/// Fills in [`Term::base`].
pub(super) fn count_settled(terms: &mut [Term], settled: &Settled<'_>) {
    let kinds: Vec<Kind<'_>> = settled.kinds.iter().map(|of| of.kind).collect();
    for (of, counted) in settled.kinds.iter().zip(counted_by(terms, &kinds)) {
        for number in counted {
            let term = &mut terms[number];
            for &node in &of.on {
                let admitted = match &term.kind {
                    TermKind::Spread { admitted, .. } => term.key == labels::HOSTNAME || admitted.contains(&node),
                    _ => true,
                };
                let domain = spot::label_on(settled.nodes[node], &term.key).and_then(|value| term.kind.domain_of(value));
                if let (true, Some(domain)) = (admitted, domain) {
                    *term.base.entry(domain).or_default() += 1;
                }
            }
        }
    }
}

/// Where the pods that run keep each kind from standing: they own an anti-affinity that counts it, are counted by one that it owns,
/// fill a node's share of its spread, take its ports, or are the only ones that it may be near to.
fn restrictions(
    kinds: &[Kind<'_>],
    settled: &Settled<'_>,
    terms: &[Term],
    owns: &[Vec<usize>],
    counted: &[Vec<usize>],
) -> Vec<Restriction> {
    let has = |list: &[usize], number: usize| list.binary_search(&number).is_ok();
    let mut made = vec![Restriction::default(); kinds.len()];
    for (restriction, (own, counted_by)) in made.iter_mut().zip(owns.iter().zip(counted)) {
        for &number in own {
            let term = &terms[number];
            if term.may_break() {
                continue;
            }
            let closed = || owns.iter().zip(counted).all(|(owns, counted)| !has(counted, number) || has(owns, number));
            match &term.kind {
                TermKind::Near if !term.base.is_empty() && closed() => {
                    restriction.within.insert((term.key.clone(), term.base.keys().cloned().collect()));
                }
                TermKind::Near => {}
                TermKind::Spread { max_skew, .. } => {
                    let more = u32::from(has(counted_by, number));
                    let full = term.base.iter().filter(|(_, pods)| term.is_per_node() && **pods + more > *max_skew);
                    restriction.out.extend(full.map(|(domain, _)| (term.key.clone(), domain.clone())));
                }
                TermKind::Apart => {
                    restriction.out.extend(term.base.keys().map(|domain| (term.key.clone(), domain.clone())));
                }
                TermKind::Most { most, named } => {
                    let full = term.base.iter().filter(|(_, pods)| **pods >= *most).map(|(domain, _)| domain);
                    let closed = named.iter().flat_map(|named| &named.names).filter(|_| *most == 0);
                    restriction.out.extend(full.chain(closed).map(|domain| (term.key.clone(), domain.clone())));
                }
            }
        }
    }
    for of in &settled.kinds {
        let domains = |key: &str| -> BTreeSet<(String, String)> {
            let values = of.on.iter().filter_map(|&node| settled.nodes[node].get(key));
            values.map(|value| (key.to_owned(), value.clone())).collect()
        };
        let apart: Vec<Term> = of.kind.spec.apart.iter().map(|term| Term::affinity(TermKind::Apart, term.clone())).collect();
        for (restriction, counted) in made.iter_mut().zip(counted_by(&apart, kinds)) {
            counted.into_iter().for_each(|number| restriction.out.extend(domains(&apart[number].key)));
        }
        for (restriction, kind) in made.iter_mut().zip(kinds) {
            let rivals = |port: &HostPort| kind.spec.host_ports.iter().any(|own| own.conflicts(port));
            if of.kind.spec.host_ports.iter().any(rivals) {
                restriction.out.extend(domains(labels::HOSTNAME));
            }
        }
    }
    made
}

/// Keeps pods that a spread constraint of placed pods counts, and that do not have it themselves, out of the domains of those pods,
/// unless there is room for all of them whatever else happens. (Those that have it keep to it there by themselves.)
fn keep_spreads<'a>(kinds: &[Kind<'a>], settled: &Settled<'a>, universe: UniverseOf<'_, 'a>, made: &mut [Restriction]) {
    let mut domains: BTreeMap<Term, BTreeSet<String>> = BTreeMap::new();
    for of in settled.kinds.iter().filter(|of| of.placed) {
        for spread in of.kind.spec.spreads.iter().filter(|spread| spread.required) {
            let term = spread_term(of.kind.spec, spread, universe);
            let here = of.on.iter().filter_map(|&node| settled.nodes[node].get(&term.key).cloned()).collect::<Vec<String>>();
            domains.entry(term).or_default().extend(here);
        }
    }
    let (mut terms, domains): (Vec<Term>, Vec<BTreeSet<String>>) = domains.into_iter().unzip();
    let own: Vec<Vec<Term>> = if terms.is_empty() {
        return;
    } else {
        kinds.iter().map(|kind| terms_of(kind, universe)).collect()
    };
    let bare = terms.clone();
    let counted = counted_by(&terms, kinds);
    count_settled(&mut terms, settled);
    for (number, (term, domains)) in terms.iter().zip(domains).enumerate() {
        let TermKind::Spread { max_skew, universe, grounded, .. } = &term.kind else { continue };
        let counts = |kind: &usize| counted[*kind].contains(&number);
        let more: usize = (0..kinds.len()).filter(counts).map(|kind| kinds[kind].pods).sum();
        let least = if *grounded { 0 } else { universe.iter().map(|domain| term.base(domain)).min().unwrap_or(0) };
        let full = |domain: &String| term.base(domain) as usize + more > (max_skew + least) as usize;
        for domain in domains.into_iter().filter(full) {
            for kind in (0..kinds.len()).filter(counts).filter(|&kind| !own[kind].contains(&bare[number])) {
                made[kind].out.insert((term.key.clone(), domain.clone()));
            }
        }
    }
}

fn terms_of<'a>(kind: &Kind<'a>, universe: UniverseOf<'_, 'a>) -> Vec<Term> {
    let spec = kind.spec;
    let mut made = Vec::new();
    made.extend(spec.spreads.iter().filter(|spread| spread.required).map(|spread| spread_term(spec, spread, universe)));
    made.extend(spec.joint_near().into_iter().map(|term| Term::affinity(TermKind::Near, term)));
    made.extend(spec.apart.iter().map(|term| Term::affinity(TermKind::Apart, term.clone())));
    let claims = spec.volumes.iter().filter_map(|volume| volume.shared.as_ref());
    made.extend(claims.filter_map(|shared| Some(Term::of_claim(&shared.claim, shared.settled_by.as_deref()?))));
    made.extend(spec.workload_rules.iter().flat_map(|rules| Term::of_workload(rules, kind.of_workload, kind.pools)));
    made
}

fn spread_term<'a>(spec: &'a PodSpec, spread: &'a TopologySpread, universe: UniverseOf<'_, 'a>) -> Term {
    let per_node = spread.topology_key == labels::HOSTNAME;
    let (universe, admitted) = if per_node { Default::default() } else { universe(spec, spread) };
    let grounded = per_node || universe.len() < spread.min_domains as usize;
    let kind = TermKind::Spread { max_skew: spread.max_skew, universe, grounded, admitted };
    Term::new(kind, spread.topology_key.clone(), Counts::Selected(spread.selector.clone()))
}

/// The term of a soft rule; `None` for one about the node alone.
fn soft_term<'a>(spec: &'a PodSpec, soft: &Soft<'a>, universe: UniverseOf<'_, 'a>) -> Option<Term> {
    let term = match soft.rule {
        SoftRule::Spread(spread) => spread_term(spec, spread, universe),
        SoftRule::Near(term) => Term::affinity(TermKind::Near, term.clone()),
        SoftRule::Apart(term) => Term::affinity(TermKind::Apart, term.clone()),
        SoftRule::Node(_) | SoftRule::Untainted => return None,
    };
    Some(Term { worth: Some(soft.worth), ..term })
}

/// The terms that count each kind. Terms whose selector names a value of some label are looked up by it, since a cluster has about as
/// many of them as services.
pub(super) fn counted_by(terms: &[Term], kinds: &[Kind<'_>]) -> Vec<Vec<usize>> {
    let mut by_label: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    let mut by_claim: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut by_workload: BTreeMap<&WorkloadRules, Vec<usize>> = BTreeMap::new();
    let mut others = Vec::new();
    for (number, term) in terms.iter().enumerate() {
        let selector = match &term.counts {
            Counts::Selected(selector) => selector,
            Counts::OfClaim(claim) => {
                by_claim.entry(claim).or_default().push(number);
                continue;
            }
            Counts::OfWorkload(rules) => {
                by_workload.entry(rules).or_default().push(number);
                continue;
            }
        };
        let Some(selector) = &selector.labels else { continue };
        let named = selector.iter().find_map(|(key, expression)| match expression {
            Match::In(values) => Some((key, values)),
            _ => None,
        });
        match named {
            Some((key, values)) => {
                values.iter().for_each(|value| by_label.entry((key, value)).or_default().push(number));
            }
            None => others.push(number),
        }
    }
    kinds
        .iter()
        .map(|kind| {
            let named = kind.labels.iter().filter_map(|(key, value)| by_label.get(&(key.as_str(), value.as_str()))).flatten();
            let candidates = named.chain(&others).copied();
            let selects = |term: &usize| match &terms[*term].counts {
                Counts::Selected(selector) => selector.selects(kind.namespace, kind.labels),
                Counts::OfClaim(_) | Counts::OfWorkload(_) => false,
            };
            let claims = kind.spec.volumes.iter().filter_map(|volume| by_claim.get(volume.shared.as_ref()?.claim.as_str()));
            let of_workload = kind.spec.workload_rules.iter().filter_map(|rules| by_workload.get(rules));
            let others = claims.chain(of_workload).flatten().copied();
            candidates.filter(selects).chain(others).collect::<BTreeSet<usize>>().into_iter().collect()
        })
        .collect()
}

/// Whether some placement of the pods breaks the term.
fn can_break(term: &Term, number: usize, kinds: &[Kind<'_>], owns: &[Vec<usize>], counted: &[Vec<usize>]) -> bool {
    let has = |list: &[usize]| list.binary_search(&number).is_ok();
    let pods = |lists: &[Vec<usize>]| -> usize {
        kinds.iter().zip(lists).filter(|(_, list)| has(list)).map(|(kind, _)| kind.pods).sum()
    };
    let total = pods(counted);
    let alone = || {
        let own_alone = kinds.iter().zip(owns.iter().zip(counted)).all(|(_, (owns, counted))| has(owns) == has(counted));
        total == 1 && pods(owns) == 1 && own_alone
    };
    match &term.kind {
        // A node without the label cannot take the owner, so under a label that nodes may lack there is a rule even then.
        TermKind::Spread { max_skew, .. } => total > *max_skew as usize || !term.base.is_empty() || !is_on_every_node(&term.key),
        // Pods that only running ones can satisfy are kept where those are.
        TermKind::Near if !term.base.is_empty() => {
            kinds.iter().zip(owns.iter().zip(counted)).any(|(_, (owns, counted))| has(counted) && !has(owns))
        }
        TermKind::Near => !alone() || !is_on_every_node(&term.key),
        TermKind::Apart => total > 0 && !alone(),
        TermKind::Most { most, .. } => total + term.base.values().max().map_or(0, |&pods| pods as usize) > *most as usize,
    }
}

/// Labels that every node of EC2 carries.
fn is_on_every_node(key: &str) -> bool {
    matches!(
        key,
        labels::HOSTNAME
            | labels::ZONE
            | labels::REGION
            | labels::CAPACITY_TYPE
            | labels::INSTANCE_TYPE
            | labels::ARCH
            | labels::OS
            | labels::NODE_POOL
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::selector::LabelSelector;

    fn app(name: &str) -> Labels {
        Labels::from([("app".to_owned(), name.to_owned())])
    }

    fn selecting(name: &str) -> PodSelector {
        PodSelector { namespaces: Some(BTreeSet::from(["shop".to_owned()])), labels: Some(LabelSelector::of_labels(&app(name))) }
    }

    fn spread(name: &str, max_skew: u32) -> PodSpec {
        let constraint = TopologySpread {
            topology_key: labels::ZONE.to_owned(),
            max_skew,
            min_domains: 1,
            selector: selecting(name),
            honors_affinity: true,
            honors_taints: false,
            required: true,
        };
        PodSpec { spreads: vec![constraint], ..PodSpec::default() }
    }

    fn collected(kinds: &[(&PodSpec, &Labels, usize)]) -> (Vec<Term>, Vec<Ties>) {
        let kinds: Vec<Kind<'_>> = kinds
            .iter()
            .map(|&(spec, labels, pods)| Kind { spec, namespace: "shop", labels, pods, of_workload: 0, pools: None, soft: &[] })
            .collect();
        let domains = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let found = collect(&kinds, &Settled::default(), &mut |_, _| (domains.clone(), BTreeSet::new()));
        (found.terms, found.ties)
    }

    #[test]
    fn only_what_a_placement_could_break_is_a_term() {
        let (web, db) = (app("web"), app("db"));
        assert!(collected(&[(&spread("web", 2), &web, 2)]).0.is_empty());
        let (terms, ties) =
            collected(&[(&spread("web", 2), &web, 2), (&PodSpec::default(), &web, 1), (&spread("db", 1), &db, 1)]);
        assert_eq!(terms.len(), 1);
        assert_eq!((&ties[0].owns, &ties[0].counted_by), (&vec![0], &vec![0]));
        assert_eq!((&ties[1].owns, &ties[1].counted_by), (&vec![], &vec![0]));
        assert_eq!(ties[2], Ties::default());
    }

    #[test]
    fn one_pod_apart_from_its_like_is_free() {
        let web = app("web");
        let apart = PodAffinityTerm { topology_key: labels::HOSTNAME.to_owned(), selector: selecting("web") };
        let spec = PodSpec { apart: vec![apart], ..PodSpec::default() };
        assert!(collected(&[(&spec, &web, 1)]).0.is_empty());
        assert_eq!(collected(&[(&spec, &web, 2)]).0.len(), 1);
        assert_eq!(collected(&[(&spec, &web, 1), (&PodSpec::default(), &web, 1)]).0.len(), 1);
    }
}
