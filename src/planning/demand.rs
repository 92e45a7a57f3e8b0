//! Which pods the program can tell apart.
//!
//! Pods of one *class* ask for the same resources, may use the same offers of every template, have the same priority and are tied to
//! other pods by the same rules. Pods are grouped by the identity of their spec first and by its value second, so that the time
//! follows the number of distinct specs. Where a spec may run depends on its alternatives, its volumes and its tolerations alone;
//! specs that agree in these are answered once, and those with equal answers share a *scope*.
//!
//! A class that a rule over a topology label concerns has *cells*: one for every combination of values that those labels have on the
//! offers of its scope, each with a scope of its own. How many of its pods stand in which cell is decided by the program.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fixedbitset::FixedBitSet;
use rustc_hash::FxHashMap;

use crate::domain::cluster::ClusterView;
use crate::domain::collective::WorkloadRules;
use crate::domain::labels;
use crate::domain::node::BoundPod;
use crate::domain::pod::PodSpec;
use crate::domain::requirement::Requirements;
use crate::domain::resources::{ResourceName, Resources};
use crate::domain::selector::Labels;
use crate::domain::taint::Toleration;
use crate::domain::topology::{HostPort, TopologySpread, Wish};
use crate::domain::volume::PodVolume;
use crate::planning::PreferencePolicy;
use crate::planning::preferences::{NodeWishes, Priced};
use crate::planning::spot::Pools;
use crate::planning::supply::{Supply, Template};
use crate::planning::terms::{Collected, Kind, Restriction, Settled, SettledKind, Term, TermKind, Ties};
use crate::planning::{attachments, standing, terms};

/// Pods that the program cannot tell apart, placed in one way.
///
/// Pods with soft rules may be placed in several ways, a class for each: those classes are one *group* and share their pods.
#[derive(Clone, Debug)]
pub struct PodClass {
    /// What one pod asks for.
    pub requests: Resources,
    /// The same, by [`Demand::dimensions`].
    pub request: Vec<i64>,
    /// Index into [`Demand::scopes`].
    pub scope: usize,
    /// Priority.
    pub priority: i32,
    /// Rules that tie it to other pods; indices into [`Demand::terms`] and [`Demand::ports`].
    pub ties: Ties,
    /// Where its pods may stand, as far as its terms tell places apart; empty where they do not.
    pub cells: Vec<PodCell>,
    /// Index into [`Demand::groups`].
    pub group: usize,
    /// What each of its pods forgoes, micro-dollars per hour.
    pub forgone: i64,
    /// Index into [`Demand::atomic_groups`].
    pub atomic: Option<usize>,
}

/// Pods of which the program decides how many belong to which class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Indices into `ClusterView::pods`, ascending.
    pub pods: Vec<usize>,
    /// Classes, ascending; the last gives up every soft rule that can be given up.
    pub classes: Vec<usize>,
}

/// Classes whose pods have to stand on one node, all of them: the owners of an affinity under `kubernetes.io/hostname` that nobody
/// else satisfies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Classes, ascending.
    pub classes: Vec<usize>,
    /// Index into [`Demand::scopes`]: the offers that all of them may use.
    pub scope: usize,
}

impl PodClass {
    /// The scopes in which its pods may stand.
    pub fn scopes(&self) -> impl Iterator<Item = usize> + '_ {
        let whole = self.cells.is_empty().then_some(self.scope);
        whole.into_iter().chain(self.cells.iter().map(|cell| cell.scope))
    }
}

/// One combination of domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodCell {
    /// Value of each topology label that a term of the class is about; a label that the offers lack is left out.
    pub domains: BTreeMap<String, String>,
    /// Index into [`Demand::scopes`]: the offers of the class in these domains.
    pub scope: usize,
    /// What a pod forgoes there, micro-dollars per hour.
    pub forgone: i64,
}

/// Where pods may run, whatever their size.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// Per template of the supply, which of its offers; `None` where none is.
    pub offers: Vec<Option<FixedBitSet>>,
}

/// The pods to place, as the program sees them.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    /// Resources that some pod asks for, by name.
    pub dimensions: Vec<ResourceName>,
    /// Dimensions in which pods of one node may be counted for more than they take; the lower bound leaves them out.
    pub overcounted: FixedBitSet,
    /// Classes in an order that does not depend on that of the pods.
    pub classes: Vec<PodClass>,
    /// Groups of classes.
    pub groups: Vec<Group>,
    /// The groups (`namespace/name`) of which all pods are placed, or none, ascending.
    pub atomic_groups: Vec<String>,
    /// Scopes; no two are equal.
    pub scopes: Vec<Scope>,
    /// Rules between pods.
    pub terms: Vec<Term>,
    /// Ports of nodes that pods take.
    pub ports: Vec<HostPort>,
    /// Pods that have to share a node, by class.
    pub bundles: Vec<Bundle>,
    /// Per class after how many others its pods can be bound: 0 for pods that need nobody, one more than those that they need to be
    /// near to; `None` for pods that only wait for one another.
    pub ranks: Vec<Option<u32>>,
    /// Class of each pod, by its index: the last of its group.
    pub class_of: Vec<usize>,
    /// What each soft rule of a pod is worth, micro-dollars per hour, by the kind of pods; empty where no rule has a price.
    pub worth: Vec<PricedKind>,
}

/// Pods of one spec, namespace and set of labels, and what their preferences are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricedKind {
    /// Index into `ClusterView::pods` of the first.
    pub pod: usize,
    /// By soft rule, see `PodSpec::soft_rules`; zero where one has no price.
    pub worth: Vec<i64>,
}

/// A scope, the labels that divide it, the names of nodes that count, what is asked of Spot pools, and what pods prefer.
type Division<'a> = (usize, Vec<&'a str>, BTreeSet<&'a str>, Option<&'a TermKind>, &'a NodeWishes<'a>);

/// What makes kinds of pods one group: priority, atomic group, requests, wishes, and scope, ties and forgone worth of each way to place them.
type GroupKey<'a> = (i32, Option<&'a String>, &'a Resources, &'a NodeWishes<'a>, Vec<(usize, &'a Ties, i64)>);

/// What decides where a pod may run.
type Signature<'a> = (&'a [Requirements], &'a [PodVolume], &'a [Toleration], &'a [HostPort]);

impl Demand {
    /// The classes of the pods of `cluster` with respect to `supply`.
    #[must_use]
    pub fn new(cluster: &ClusterView, supply: &Supply, policy: PreferencePolicy) -> Self {
        Self::beside(cluster, supply, policy, &Pools::default(), &[])
    }

    /// The same where these Spot pools are told apart, and from pod `placed_from[node]` on the pods of a node are placed there and not
    /// bound yet.
    pub(super) fn beside(
        cluster: &ClusterView,
        supply: &Supply,
        policy: PreferencePolicy,
        pools: &Pools,
        placed_from: &[usize],
    ) -> Self {
        let (kinds, members, settled) = kinds(cluster, placed_from, Some(pools));
        let mut reach = Reach::default();
        let mut scopes = Scopes::default();
        let mut by_signature: BTreeMap<Signature<'_>, usize> = kinds.iter().map(|kind| (signature(kind.spec), 0)).collect();
        for (&(alternatives, volumes, tolerations, ports), scope) in &mut by_signature {
            let mut found = reach.scope(supply, alternatives, tolerations);
            for volume in volumes.iter().filter(|volume| !volume.places.is_empty()) {
                found = found.within(&reach.scope(supply, &volume.places, tolerations));
            }
            found.leave_ports(supply, ports);
            *scope = scopes.number(found);
        }
        let mut worth = Vec::new();
        let priced: Vec<Priced<'_>> = kinds
            .iter()
            .zip(&members)
            .map(|(kind, pods)| {
                let scope = &scopes.list[by_signature[&signature(kind.spec)]];
                let priced = Priced::new(kind, policy, supply, scope, &mut reach);
                if let (Some(&pod), true) = (pods.first(), priced.worth.iter().any(|&worth| worth > 0)) {
                    worth.push(PricedKind { pod, worth: priced.worth.clone() });
                }
                priced
            })
            .collect();
        worth.sort_by_key(|of| of.pod);
        // A kind for each way in which pods may be placed, those of one kind in a row.
        let ways = kinds
            .iter()
            .zip(&priced)
            .flat_map(|(kind, priced)| priced.variants.iter().map(|variant| Kind { soft: variant.soft.as_slice(), ..*kind }));
        let ways: Vec<Kind<'_>> = ways.collect();
        let Collected { terms, ports, ties, restrictions } =
            terms::collect(&ways, &settled, &mut |spec, spread| reach.universe(supply, spec, spread));

        let mut grouped: BTreeMap<GroupKey<'_>, Vec<usize>> = BTreeMap::new();
        let mut restricted: BTreeMap<(usize, &Restriction), usize> = BTreeMap::new();
        let mut way = 0;
        for ((kind, priced), found) in kinds.iter().zip(&priced).zip(members) {
            let whole = by_signature[&signature(kind.spec)];
            let mut placed = Vec::with_capacity(priced.variants.len());
            for variant in &priced.variants {
                let restriction = &restrictions[way];
                let scope = *restricted.entry((whole, restriction)).or_insert_with(|| {
                    if *restriction == Restriction::default() {
                        return whole;
                    }
                    let part = scopes.list[whole].restricted(supply, restriction);
                    scopes.number(part)
                });
                placed.push((scope, &ties[way], variant.forgone));
                way += 1;
            }
            // A rule that no placement can break asks for nothing: of two ways that are alike the first forgoes less.
            let mut known = BTreeSet::new();
            placed.retain(|&(scope, ties, _)| known.insert((scope, ties)));
            let spec = kind.spec;
            let key = (spec.priority, spec.atomic_group.as_ref(), &spec.requests, &priced.wishes, placed);
            grouped.entry(key).or_default().extend(found);
        }
        let names: BTreeSet<&ResourceName> =
            kinds.iter().flat_map(|kind| kind.spec.requests.iter().map(|(name, _)| name)).collect();
        let dimensions: Vec<ResourceName> = names.into_iter().cloned().collect();
        let repeats = |name: &ResourceName| kinds.iter().any(|kind| attachments::may_repeat(kind.spec, name));
        let overcounted = (0..).zip(&dimensions).filter(|(_, name)| repeats(name)).map(|(number, _)| number).collect();
        let mut class_of = vec![0; cluster.pods.len()];
        let (mut classes, mut groups): (Vec<PodClass>, Vec<Group>) = (Vec::new(), Vec::new());
        let mut divisions = Divisions { supply, known: FxHashMap::default(), forgone: BTreeMap::new() };
        let atomic_groups: BTreeSet<&String> = kinds.iter().filter_map(|kind| kind.spec.atomic_group.as_ref()).collect();
        let atomic_groups: Vec<String> = atomic_groups.into_iter().cloned().collect();
        for ((priority, atomic, requests, wishes, ways), mut pods) in grouped {
            pods.sort_unstable();
            let first = classes.len();
            for (scope, ties, forgone) in ways {
                let cells = divisions.cells(scope, ties, &terms, wishes, &mut reach, &mut scopes);
                let request = amounts(requests, &dimensions);
                let (requests, ties, group) = (requests.clone(), ties.clone(), groups.len());
                let atomic = atomic.and_then(|name| atomic_groups.binary_search(name).ok());
                classes.push(PodClass { requests, request, scope, priority, ties, cells, group, forgone, atomic });
            }
            pods.iter().for_each(|&pod| class_of[pod] = classes.len() - 1);
            groups.push(Group { pods, classes: (first..classes.len()).collect() });
        }
        let bundles = bundles(&terms, &classes, &mut scopes);
        let ranks = ranks(&terms, &classes);
        let scopes = scopes.list;
        Self { dimensions, overcounted, classes, groups, atomic_groups, scopes, terms, ports, bundles, ranks, class_of, worth }
    }

    /// How many pods `class` has to itself or shares with the classes of its group.
    #[must_use]
    pub fn pods_of(&self, class: usize) -> &[usize] {
        &self.groups[self.classes[class].group].pods
    }

    /// Whether the pods of `class` may be placed in other ways too, or forgo something in some places.
    #[must_use]
    pub fn has_preferences(&self, class: usize) -> bool {
        let of = &self.classes[class];
        self.groups[of.group].classes.len() > 1 || of.cells.iter().any(|cell| cell.forgone > 0)
    }

    /// The classes whose pods can be waited for by the owners of `term`, an affinity: they are counted by it, do not own it, and are
    /// bound before any owner. `None` where the owners start by themselves, because it counts nobody else, running or not.
    #[must_use]
    pub fn supporters(&self, term: usize) -> Option<Vec<usize>> {
        let classes = || 0..self.classes.len();
        let owns = |class: &usize| self.classes[*class].ties.owns.contains(&term);
        let counted: Vec<usize> = classes().filter(|&class| self.classes[class].ties.counted_by.contains(&term)).collect();
        if !counted.is_empty() && counted.iter().all(owns) && self.terms[term].base.is_empty() {
            return None;
        }
        if self.terms[term].worth.is_some() {
            // Whoever gives the rule up needs to wait for nobody.
            return Some(counted.into_iter().filter(|class| !owns(class)).collect());
        }
        let first = classes().filter(owns).filter_map(|class| self.ranks[class]).min().unwrap_or(0);
        let before = |class: &usize| self.ranks[*class].is_some_and(|rank| rank < first);
        Some(counted.into_iter().filter(|class| !owns(class) && before(class)).collect())
    }

    /// The scope of a pod of `class` on a node of `offer` of `template`.
    #[must_use]
    pub fn scope_at(&self, class: usize, template: usize, offer: usize) -> usize {
        let class = &self.classes[class];
        let holds = |scope: &usize| self.scopes[*scope].offers[template].as_ref().is_some_and(|offers| offers.contains(offer));
        class.scopes().find(holds).unwrap_or(class.scope)
    }
}

impl Scope {
    /// The offers that a restriction leaves.
    fn restricted(&self, supply: &Supply, restriction: &Restriction) -> Self {
        let mut left = self.clone();
        for (template, offers) in supply.templates.iter().zip(&mut left.offers) {
            let Some(found) = offers else { continue };
            for (key, value) in &restriction.out {
                let labels = template.labels_of_offers(key);
                let gone: Vec<usize> = found.ones().filter(|&offer| labels[offer].as_ref() == Some(value)).collect();
                gone.into_iter().for_each(|offer| found.set(offer, false));
            }
            for (key, values) in &restriction.within {
                let labels = template.labels_of_offers(key);
                let outside = |offer: &usize| labels[*offer].as_ref().is_none_or(|value| !values.contains(value));
                let gone: Vec<usize> = found.ones().filter(outside).collect();
                gone.into_iter().for_each(|offer| found.set(offer, false));
            }
            if found.is_clear() {
                *offers = None;
            }
        }
        left
    }

    /// Takes out the offers where DaemonSets take one of `ports`.
    fn leave_ports(&mut self, supply: &Supply, ports: &[HostPort]) {
        for (template, offers) in supply.templates.iter().zip(&mut self.offers).filter(|_| !ports.is_empty()) {
            let Some(found) = offers else { continue };
            let taken: Vec<bool> = template.types.iter().map(|of| of.room.taken(ports).next().is_some()).collect();
            let gone: Vec<usize> = found.ones().filter(|&offer| taken[template.offers[offer].of_type]).collect();
            gone.into_iter().for_each(|offer| found.set(offer, false));
            if found.is_clear() {
                *offers = None;
            }
        }
    }

    /// The offers that both have.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        let both = self.offers.iter().zip(&other.offers).map(|(a, b)| {
            let mut both = a.clone()?;
            both.intersect_with(b.as_ref()?);
            (!both.is_clear()).then_some(both)
        });
        Self { offers: both.collect() }
    }
}

/// Scopes, each once.
#[derive(Default)]
struct Scopes {
    list: Vec<Scope>,
    known: FxHashMap<Scope, usize>,
}

impl Scopes {
    fn number(&mut self, scope: Scope) -> usize {
        *self.known.entry(scope).or_insert_with_key(|scope| {
            self.list.push(scope.clone());
            self.list.len() - 1
        })
    }
}

/// Whether pods that own the term cannot be bound without others.
fn needs_company(term: &Term) -> bool {
    term.kind == TermKind::Near && term.worth.is_none()
}

/// See [`Demand::ranks`].
fn ranks(terms: &[Term], classes: &[PodClass]) -> Vec<Option<u32>> {
    let near = |class: usize| classes[class].ties.owns.iter().copied().filter(|&term| needs_company(&terms[term]));
    let mut counted: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for class in 0..classes.len() {
        for &term in classes[class].ties.counted_by.iter().filter(|&&term| needs_company(&terms[term])) {
            counted.entry(term).or_default().push(class);
        }
    }
    let mut ranks: Vec<Option<u32>> = (0..classes.len()).map(|class| near(class).next().is_none().then_some(0)).collect();
    // Level by level, so that the first rank that a class gets is the least.
    for level in 1.. {
        let bound_by_now: Vec<usize> = (0..classes.len())
            .filter(|&class| ranks[class].is_none())
            .filter(|&class| {
                near(class).all(|term| {
                    let counted = counted.get(&term).map_or(&[][..], Vec::as_slice);
                    let owns = |other: &usize| classes[*other].ties.owns.contains(&term);
                    // Where nobody but owners is counted, a counted owner starts and the others follow.
                    let closed = counted.iter().all(owns);
                    let founds = (closed && counted.contains(&class)) || !terms[term].base.is_empty();
                    let bound = |other: &usize| ranks[*other].is_some_and(|rank| rank < level);
                    founds || counted.iter().any(|other| (closed || !owns(other)) && bound(other))
                })
            })
            .collect();
        if bound_by_now.is_empty() {
            break;
        }
        bound_by_now.into_iter().for_each(|class| ranks[class] = Some(level));
    }
    ranks
}

/// The bundles of the classes; a class is in one at most.
fn bundles(terms: &[Term], classes: &[PodClass], scopes: &mut Scopes) -> Vec<Bundle> {
    let of = |term: usize, list: &dyn Fn(&Ties) -> &[usize]| -> Vec<usize> {
        (0..classes.len()).filter(|&class| list(&classes[class].ties).contains(&term)).collect()
    };
    let mut taken = BTreeSet::new();
    let mut made = Vec::new();
    for (number, _) in terms.iter().enumerate().filter(|(_, term)| needs_company(term) && term.is_per_node()) {
        let (owners, counted) = (of(number, &|ties| &ties.owns), of(number, &|ties| &ties.counted_by));
        let runs = !terms[number].base.is_empty();
        let closed = !runs && !counted.is_empty() && counted.iter().all(|class| owners.contains(class));
        if !closed || owners.iter().any(|class| taken.contains(class)) {
            continue;
        }
        taken.extend(owners.iter().copied());
        let common = owners.iter().map(|&class| scopes.list[classes[class].scope].clone()).reduce(|a, b| a.within(&b));
        if let Some(common) = common {
            made.push(Bundle { classes: owners, scope: scopes.number(common) });
        }
    }
    made
}

/// Scopes divided into cells, each once.
struct Divisions<'s, 'a> {
    supply: &'s Supply,
    known: FxHashMap<Division<'a>, Vec<PodCell>>,
    /// Per wishes: what is forgone on each offer of each template.
    forgone: BTreeMap<&'a NodeWishes<'a>, Vec<Vec<i64>>>,
}

impl<'a> Divisions<'_, 'a> {
    /// The cells of `scope` for pods with such ties and wishes; none where it makes no difference where the pods stand.
    fn cells(
        &mut self,
        scope: usize,
        ties: &Ties,
        terms: &'a [Term],
        wishes: &'a NodeWishes<'a>,
        reach: &mut Reach<'a>,
        scopes: &mut Scopes,
    ) -> Vec<PodCell> {
        let own = || ties.owns.iter().chain(&ties.counted_by).map(|&term| &terms[term]);
        let keys: BTreeSet<&str> = own().filter(|term| !term.is_per_node()).map(|term| term.key.as_str()).collect();
        let mut keys: Vec<&str> = keys.into_iter().collect();
        let apart = own().filter(|term| term.tells_nodes_apart());
        let nodes: BTreeSet<&str> = apart.flat_map(|term| term.base.keys().map(String::as_str)).collect();
        if !nodes.is_empty() {
            keys.push(labels::HOSTNAME);
        }
        if keys.is_empty() && wishes.is_empty() {
            return Vec::new();
        }
        let forgone =
            (!wishes.is_empty()).then(|| &*self.forgone.entry(wishes).or_insert_with(|| wishes.forgone(self.supply, reach)));
        // A pod has one workload, which asks for one thing.
        let pools = own().find(|term| term.key == labels::SPOT_POOL).map(|term| &term.kind);
        let divided = || divide(self.supply, &scopes.list[scope].clone(), &keys, &nodes, pools, forgone, scopes);
        self.known.entry((scope, keys.clone(), nodes.clone(), pools, wishes)).or_insert_with(divided).clone()
    }
}

/// The cells of `scope` under the labels `keys`; names of nodes count only where they are among `nodes`, and Spot pools as the term
/// `pools` tells them apart.
fn divide(
    supply: &Supply,
    scope: &Scope,
    keys: &[&str],
    nodes: &BTreeSet<&str>,
    pools: Option<&TermKind>,
    forgone: Option<&Vec<Vec<i64>>>,
    scopes: &mut Scopes,
) -> Vec<PodCell> {
    let mut found: BTreeMap<(BTreeMap<String, String>, i64), Scope> = BTreeMap::new();
    for (number, (template, offers)) in supply.templates.iter().zip(&scope.offers).enumerate() {
        let values: Vec<Vec<Option<String>>> = keys.iter().map(|key| template.labels_of_offers(key)).collect();
        for offer in offers.iter().flat_map(FixedBitSet::ones) {
            let domain = |key: &str, value: String| match key {
                labels::HOSTNAME => nodes.contains(value.as_str()).then_some(value),
                labels::SPOT_POOL => pools.and_then(|term| term.domain_of(value)),
                _ => Some(value),
            };
            let defined = keys.iter().zip(&values);
            let defined = defined.filter_map(|(key, of)| Some(((*key).to_owned(), domain(key, of[offer].clone()?)?)));
            let nowhere = || Scope { offers: vec![None; supply.templates.len()] };
            let forgone = forgone.map_or(0, |forgone| forgone[number][offer]);
            let cell = found.entry((defined.collect(), forgone)).or_insert_with(nowhere);
            cell.offers[number].get_or_insert_with(|| FixedBitSet::with_capacity(template.offers.len())).insert(offer);
        }
    }
    found.into_iter().map(|((domains, forgone), scope)| PodCell { domains, scope: scopes.number(scope), forgone }).collect()
}

/// `resources` as one amount per dimension.
pub(super) fn amounts(resources: &Resources, dimensions: &[ResourceName]) -> Vec<i64> {
    dimensions.iter().map(|name| resources.get(name.as_str())).collect()
}

fn signature(spec: &PodSpec) -> Signature<'_> {
    (&spec.node_alternatives, &spec.volumes, &spec.tolerations, &spec.host_ports)
}

/// What tells kinds of pods apart, before anything is known of rules between them.
type KindKey<'a> = (&'a PodSpec, &'a str, &'a Labels);

/// The kinds of pods to place with the pods of each, and of those that run with their nodes. Labels and namespaces count only where
/// some pod has a rule that looks at them.
///
/// From pod `placed_from[node]` on the pods of a node are placed there and not bound yet. Where `pools` are given, no other Spot pools
/// are told apart.
pub(super) fn kinds<'a>(
    cluster: &'a ClusterView,
    placed_from: &[usize],
    pools: Option<&'a Pools>,
) -> (Vec<Kind<'a>>, Vec<Vec<usize>>, Settled<'a>) {
    static NO_LABELS: Labels = Labels::new();
    let running = || cluster.nodes.iter().enumerate().flat_map(|(node, of)| of.pods.iter().map(move |pod| (node, pod)));
    let wishes = |spec: &PodSpec| spec.preferences.iter().any(|preference| !matches!(preference.wish, Wish::Node(_)));
    let looks = |spec: &PodSpec| !spec.spreads.is_empty() || !spec.near.is_empty() || !spec.apart.is_empty() || wishes(spec);
    let tied = cluster.pods.iter().any(|pod| looks(&pod.spec))
        || running().any(|(_, pod)| !pod.spec.apart.is_empty())
        || (!placed_from.is_empty() && running().any(|(_, pod)| looks(&pod.spec)));
    let (mut kinds, members) = group(cluster.pods.iter().enumerate().map(|(number, pod)| {
        let (namespace, labels): (&str, &Labels) = if tied { (&pod.namespace, &pod.labels) } else { ("", &NO_LABELS) };
        (number, &pod.spec, namespace, labels)
    }));
    let matters = |pod: &BoundPod| {
        let spec = &pod.spec;
        tied || !spec.host_ports.is_empty() || !spec.volumes.is_empty() || spec.workload_rules.is_some()
    };
    let of = |placed: bool| {
        let nodes = cluster.nodes.iter().enumerate();
        let running = nodes.flat_map(|(node, of)| {
            let from = placed_from.get(node).copied().unwrap_or(of.pods.len());
            let (bound, waiting) = of.pods.split_at(from.min(of.pods.len()));
            (if placed { waiting } else { bound }).iter().map(move |pod| (node, pod))
        });
        let running = running.filter(|(_, pod)| matters(pod));
        let (settled, on) = group(running.map(|(node, pod)| (node, &pod.spec, pod.namespace.as_str(), &*pod.labels)));
        settled.into_iter().zip(on).map(move |(kind, on)| SettledKind { kind, on, placed })
    };
    let mut settled: Vec<SettledKind<'_>> = of(false).chain(of(true)).collect();
    let mut of_workload: BTreeMap<&WorkloadRules, u32> = BTreeMap::new();
    let specs = cluster.pods.iter().map(|pod| &pod.spec).chain(running().map(|(_, pod)| &pod.spec));
    for rules in specs.filter_map(|spec| spec.workload_rules.as_ref()) {
        *of_workload.entry(rules).or_default() += 1;
    }
    for kind in kinds.iter_mut().chain(settled.iter_mut().map(|of| &mut of.kind)) {
        if let Some(rules) = &kind.spec.workload_rules {
            (kind.of_workload, kind.pools) = (of_workload[rules], pools.map(|pools| pools.of(rules)));
        }
    }
    let nodes = cluster.nodes.iter().map(|node| &node.labels).collect();
    (kinds, members, Settled { kinds: settled, nodes })
}

/// Groups `(number, spec, namespace, labels)` into kinds with the numbers of each.
fn group<'a>(pods: impl Iterator<Item = (usize, &'a Arc<PodSpec>, &'a str, &'a Labels)>) -> (Vec<Kind<'a>>, Vec<Vec<usize>>) {
    let mut by_pointer: FxHashMap<(*const PodSpec, &str, *const Labels), usize> = FxHashMap::default();
    let mut known: BTreeMap<KindKey<'_>, usize> = BTreeMap::new();
    let (mut kinds, mut members): (Vec<Kind<'_>>, Vec<Vec<usize>>) = (Vec::new(), Vec::new());
    for (number, spec, namespace, labels) in pods {
        let kind = *by_pointer.entry((Arc::as_ptr(spec), namespace, std::ptr::from_ref(labels))).or_insert_with(|| {
            *known.entry((spec, namespace, labels)).or_insert_with(|| {
                kinds.push(Kind { spec, namespace, labels, pods: 0, of_workload: 0, pools: None, soft: &[] });
                members.push(Vec::new());
                kinds.len() - 1
            })
        });
        kinds[kind].pods += 1;
        members[kind].push(number);
    }
    (kinds, members)
}

/// Answers where alternatives lead to, each once per market.
#[derive(Default)]
pub(super) struct Reach<'a> {
    known: BTreeMap<(usize, &'a Requirements), (FixedBitSet, FixedBitSet)>,
    universes: BTreeMap<NodeFilter<'a>, (BTreeSet<String>, BTreeSet<usize>)>,
}

/// Which nodes are domains of a spread constraint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct NodeFilter<'a> {
    alternatives: Option<&'a Vec<Requirements>>,
    tolerations: Option<&'a Vec<Toleration>>,
    key: &'a str,
}

impl<'a> Reach<'a> {
    fn scope(&mut self, supply: &Supply, alternatives: &'a [Requirements], tolerations: &[Toleration]) -> Scope {
        let offers = supply
            .templates
            .iter()
            .map(|template| if template.tolerated_by(tolerations) { self.offers(template, alternatives) } else { None });
        Scope { offers: offers.collect() }
    }

    /// The offers of `template` that meet one of the alternatives.
    pub(super) fn offers(&mut self, template: &Template, alternatives: &'a [Requirements]) -> Option<FixedBitSet> {
        let mut found = FixedBitSet::with_capacity(template.offers.len());
        if let Some(standing) = &template.standing {
            found.set(0, alternatives.iter().any(|terms| standing::meets(&standing.labels, terms)));
            return (!found.is_clear()).then_some(found);
        }
        for alternative in alternatives.iter().filter(|wanted| template.requirements.compatible(wanted)) {
            let market = Arc::as_ptr(&template.market) as usize;
            let (types, cells) =
                self.known.entry((market, alternative)).or_insert_with(|| template.market.satisfying(alternative));
            let meets = |of_type: usize| types.contains(template.types[of_type].in_market);
            let offers = template.offers.iter().enumerate();
            found.extend(offers.filter(|(_, o)| meets(o.of_type) && cells.contains(o.cell)).map(|(number, _)| number));
        }
        (!found.is_clear()).then_some(found)
    }

    /// The domains of a spread constraint: the values of its label on the offers that its node filter admits, and the nodes that
    /// exist among them.
    pub(super) fn universe(
        &mut self,
        supply: &Supply,
        spec: &'a PodSpec,
        spread: &'a TopologySpread,
    ) -> (BTreeSet<String>, BTreeSet<usize>) {
        let filter = NodeFilter {
            alternatives: spread.honors_affinity.then_some(&spec.node_alternatives),
            tolerations: spread.honors_taints.then_some(&spec.tolerations),
            key: &spread.topology_key,
        };
        if let Some(known) = self.universes.get(&filter) {
            return known.clone();
        }
        let (mut found, mut nodes) = (BTreeSet::new(), BTreeSet::new());
        for template in &supply.templates {
            if filter.tolerations.is_some_and(|tolerations| !template.tolerated_by(tolerations)) {
                continue;
            }
            let labels = template.labels_of_offers(filter.key);
            let admitted = match filter.alternatives {
                Some(alternatives) => self.offers(template, alternatives),
                None => Some(crate::planning::market::all(template.offers.len())),
            };
            if let (Some(standing), true) = (&template.standing, admitted.is_some() && labels[0].is_some()) {
                nodes.extend(&standing.nodes);
            }
            let usable =
                |offer: &usize| template.standing.is_some() || template.types[template.offers[*offer].of_type].is_usable();
            found.extend(admitted.iter().flat_map(FixedBitSet::ones).filter(usable).filter_map(|offer| labels[offer].clone()));
        }
        self.universes.insert(filter, (found.clone(), nodes.clone()));
        (found, nodes)
    }
}
