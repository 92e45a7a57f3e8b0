//! How the pods of one tier are divided into *units*, and what ties the units together.
//!
//! A unit is a number of pods of one class in one cell (or, where pods must share a node, a whole bundle of them). Classes without
//! terms over topology labels have one unit. The others are divided by domain, and *blocks* say which numbers are allowed:
//!
//! * *Even*: one class under one spread constraint of its own. With `Z` domains and skew `k` its counts are `level + extra_z`,
//!   `0 <= extra_z <= k`, in all `n`; where some domain of the universe cannot hold the pods, the level is 0.
//! * *One domain*: classes that must all be near one another; one domain takes them all.
//! * *Free*: whatever else classes share terms over. The counts are free, and each term is a set of rows over them (see `blocks`).
//!
//! Terms over `kubernetes.io/hostname`, and host ports, are rules about single nodes. A rule that concerns one class alone is a limit
//! per node (a *cap*).

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::labels;
use crate::planning::demand::{Demand, Group};
use crate::planning::terms::{Term, TermKind};

/// A limit on the pods of one class on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cap {
    /// How many.
    pub most: u32,
    /// Units of equal kin may be joined into one class of the program: their number where it is fixed, something unique where not.
    ///
    /// Units of one number `n` each and cap `k` may be joined under the cap `G k`: with `t_j <= G k` of them on node `j`, giving each
    /// unit `t_j / G` there keeps `n` and `k`, and by the integrality of flows there is a whole division as well.
    pub kin: (bool, u32),
}

/// The part that a unit has in a node rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The rule holds where it stands.
    Guard,
    /// The rule counts it.
    Member,
    /// Both.
    GuardAndMember,
}

/// Pods that stand in one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Classes of the demand and how many pods of each make one: `[(class, 1)]` but for bundles.
    pub pods: Vec<(usize, u32)>,
    /// Index into `Demand::scopes`.
    pub scope: usize,
    /// How many there are whatever is decided.
    pub fixed: u32,
    /// Limit per node.
    pub cap: Option<Cap>,
    /// Its parts in the node rules, ascending.
    pub roles: Vec<(usize, Role)>,
}

/// A rule about what stands together on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleLimits {
    /// Fewest pods of the members.
    pub least: u32,
    /// Most pods of the members.
    pub most: u32,
}

/// Units whose numbers are decided together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// One class, evenly over domains.
    Even {
        /// One unit per domain.
        units: Vec<usize>,
        /// How many pods in all; each unit has the lower end of `level` of them already, and nothing is to be decided where that is all.
        pods: u32,
        /// Largest extra of a domain.
        skew: u32,
        /// Range of the level.
        level: (u32, u32),
    },
    /// All in one domain: per domain the units with their numbers.
    OneDomain {
        /// At least one.
        options: Vec<Vec<(usize, u32)>>,
    },
    /// Classes with shared terms.
    Free {
        /// Per class: how many pods, and its units.
        classes: Vec<FreeClass>,
        /// The terms.
        terms: Vec<FreeTerm>,
    },
}

/// The pods of a class of a free block, or of all classes of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeClass {
    /// Class of the demand; the first of the group.
    pub class: usize,
    /// How many, in units of `each` pods.
    pub pods: u32,
    /// 1, or all pods of a bundle.
    pub each: u32,
    /// See `Demand::ranks`.
    pub rank: u32,
    /// One unit per class and cell.
    pub units: Vec<usize>,
    /// What a pod of each unit forgoes, micro-dollars per hour.
    pub forgone: Vec<i64>,
    /// Index into [`Demand::atomic_groups`] of the group that is placed whole or not at all.
    pub atomic: Option<usize>,
}

/// A term of a free block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeTerm {
    /// What it asks for.
    pub kind: TermKind,
    /// What it is worth to each owner where it may be broken, micro-dollars per hour.
    pub worth: Option<i64>,
    /// Whether the owners of an affinity start by themselves, in one domain.
    pub founders: bool,
    /// The domains, by name.
    pub domains: Vec<FreeDomain>,
}

/// A domain of a term.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FreeDomain {
    /// Units in it that own the term and are counted by it.
    pub both: Vec<usize>,
    /// Units that own it only.
    pub owners: Vec<usize>,
    /// Units that are counted only; under an affinity those that are bound before the owners.
    pub counted: Vec<usize>,
    /// Whether the least filled domain is sought here too.
    pub in_universe: bool,
    /// Pods that run here and that the term counts. Where they alone decide, the units are not in the domain.
    pub base: u32,
}

impl FreeTerm {
    /// Takes pods of owners out of the first domain where the term does not hold; whether there was one.
    fn mend(&self, units: &[Unit], quantities: &mut [u32]) -> bool {
        let each = |unit: usize| units[unit].pods.iter().map(|entry| entry.1).sum::<u32>();
        let sum = |units: &[usize], quantities: &[u32]| units.iter().map(|&unit| quantities[unit] * each(unit)).sum::<u32>();
        let counted = |domain: &FreeDomain, quantities: &[u32]| {
            domain.base + sum(&domain.both, quantities) + sum(&domain.counted, quantities)
        };
        let in_universe = self.domains.iter().filter(|domain| domain.in_universe);
        let least = in_universe.map(|domain| counted(domain, quantities)).min().unwrap_or(0);
        for domain in &self.domains {
            let owners = || domain.both.iter().chain(&domain.owners).copied();
            let Some(owner) = owners().find(|&unit| quantities[unit] > 0) else { continue };
            let broken = match &self.kind {
                TermKind::Spread { max_skew, grounded, .. } => {
                    counted(domain, quantities) > max_skew.saturating_add(if *grounded { 0 } else { least })
                }
                TermKind::Near => {
                    domain.base == 0 && sum(if self.founders { &domain.both } else { &domain.counted }, quantities) == 0
                }
                TermKind::Apart | TermKind::Most { .. } => false,
            };
            if broken {
                quantities[owner] -= 1;
                return true;
            }
        }
        false
    }
}

/// Units, node rules and blocks of a tier.
#[derive(Clone, Debug, Default)]
pub struct Arrangement {
    /// Units.
    pub units: Vec<Unit>,
    /// Node rules.
    pub rules: Vec<RuleLimits>,
    /// Blocks.
    pub blocks: Vec<Block>,
    /// Whether pods are left out that some node might hold: those that have to share one with pods of another class and that further
    /// rules tie.
    pub partial: bool,
    /// Whether choices say which tied pods are left.
    pub scarce: bool,
}

/// Whether some node of the tier in a scope holds such pods: `(pods, scope)`.
pub(super) type Holds<'a> = &'a mut dyn FnMut(&[(usize, u32)], usize) -> bool;

/// Where the pods of a class stand in the rules about single nodes.
#[derive(Clone, Default)]
struct NodeTies {
    /// Limits that concern the class alone.
    cap: Option<u32>,
    roles: Vec<(usize, Role)>,
}

/// The same for every class.
struct AllTies {
    /// On nodes without pods that rules count.
    anywhere: Vec<NodeTies>,
    /// On nodes that exist, by name, where pods run that a rule counts.
    on_node: BTreeMap<String, Vec<NodeTies>>,
}

impl AllTies {
    /// Those of `class` in a cell.
    fn at(&self, class: usize, domains: &BTreeMap<String, String>) -> &NodeTies {
        let here = domains.get(labels::HOSTNAME).and_then(|node| self.on_node.get(node));
        &here.unwrap_or(&self.anywhere)[class]
    }
}

/// The node rules as they are found. Equal rules are one: classes that pods on a node concern are in its version of a rule, and in the
/// common ones with everybody else.
#[derive(Default)]
struct Rules {
    limits: Vec<RuleLimits>,
    /// By guards, members, least and most.
    known: BTreeMap<(Vec<usize>, Vec<usize>, u32, u32), usize>,
}

impl Rules {
    /// Node rules of the active classes, and the part of each class in them: on `node`, where pods run that rules count, or anywhere
    /// else.
    fn node_ties(
        &mut self,
        demand: &Demand,
        active: &[bool],
        in_bundle: &BTreeSet<usize>,
        node: Option<&String>,
    ) -> Vec<NodeTies> {
        let mut ties = vec![NodeTies::default(); demand.classes.len()];
        let own = Members::new(demand, active);
        for (number, term) in demand.terms.iter().enumerate().filter(|(_, term)| term.is_per_node()) {
            let (owners, counted) = (&own.owners[number], &own.counted[number]);
            if owners.is_empty() {
                continue;
            }
            let both: Vec<usize> = owners.iter().filter(|class| counted.contains(class)).copied().collect();
            let only: Vec<usize> = owners.iter().filter(|class| !counted.contains(class)).copied().collect();
            let base = node.map_or(0, |node| term.base(node));
            match &term.kind {
                TermKind::Spread { max_skew: most, .. } | TermKind::Most { most, .. } => {
                    self.rule(&mut ties, owners, counted, 0, most.saturating_sub(base));
                }
                TermKind::Near if base > 0 => {}
                TermKind::Apart => {
                    self.rule(&mut ties, &both, counted, 0, 1);
                    self.rule(&mut ties, &only, counted, 0, 0);
                }
                TermKind::Near => {
                    if !owners.iter().all(|class| in_bundle.contains(class)) {
                        let active: Vec<usize> = demand.supporters(number).unwrap_or_default();
                        let targets: Vec<usize> = active.into_iter().filter(|class| counted.contains(class)).collect();
                        self.rule(&mut ties, owners, &targets, 1, u32::MAX);
                    }
                }
            }
        }
        let takers = |port: usize| -> Vec<usize> {
            (0..demand.classes.len()).filter(|&class| active[class] && demand.classes[class].ties.ports.contains(&port)).collect()
        };
        let takers: Vec<Vec<usize>> = (0..demand.ports.len()).map(takers).collect();
        let mut known = BTreeSet::new();
        for (port, guards) in takers.iter().enumerate() {
            let rivals = (0..demand.ports.len()).filter(|&other| demand.ports[other].conflicts(&demand.ports[port]));
            let members: BTreeSet<usize> = rivals.flat_map(|other| takers[other].iter().copied()).collect();
            let members: Vec<usize> = members.into_iter().collect();
            if known.insert((guards.clone(), members.clone())) {
                self.rule(&mut ties, guards, &members, 0, 1);
            }
        }
        ties
    }

    /// Adds a rule, or a cap where it concerns one class alone.
    fn rule(&mut self, ties: &mut [NodeTies], guards: &[usize], members: &[usize], least: u32, most: u32) {
        if guards.is_empty() {
            return;
        }
        if let (&[class], &[same], 1..) = (guards, members, most)
            && class == same
        {
            ties[class].cap = Some(ties[class].cap.map_or(most, |cap| cap.min(most)));
            return;
        }
        let next = self.limits.len();
        let number = *self.known.entry((guards.to_vec(), members.to_vec(), least, most)).or_insert(next);
        if number == next {
            self.limits.push(RuleLimits { least, most });
        }
        let classes: BTreeSet<usize> = guards.iter().chain(members).copied().collect();
        for class in classes {
            let role = match (guards.contains(&class), members.contains(&class)) {
                (true, true) => Role::GuardAndMember,
                (true, false) => Role::Guard,
                _ => Role::Member,
            };
            if !ties[class].roles.contains(&(number, role)) {
                ties[class].roles.push((number, role));
            }
        }
    }
}

impl Arrangement {
    /// The arrangement of `left[class]` pods of each class. Where they are `scarce`, choices say which tied pods are left, so that
    /// those that stay keep the rules by themselves.
    pub(super) fn new(demand: &Demand, left: &[u32], scarce: bool, holds: Holds<'_>) -> Self {
        let mut made = Self { scarce, ..Self::default() };
        let in_bundle: BTreeSet<usize> = demand.bundles.iter().flat_map(|bundle| bundle.classes.iter().copied()).collect();
        let mut active: Vec<bool> = (0..demand.classes.len())
            .map(|class| {
                let of = &demand.classes[class];
                let mut scopes = of.scopes();
                left[class] > 0
                    && demand.ranks[class].is_some()
                    && (in_bundle.contains(&class) || scopes.any(|scope| holds(&[(class, 1)], scope)))
            })
            .collect();
        leave_broken_groups(demand, left, &mut active);
        let nodes: BTreeSet<&String> = (0..demand.classes.len())
            .filter(|&class| active[class])
            .flat_map(|class| demand.classes[class].cells.iter().filter_map(|cell| cell.domains.get(labels::HOSTNAME)))
            .collect();
        let mut rules = Rules::default();
        let anywhere = rules.node_ties(demand, &active, &in_bundle, None);
        let on_node =
            nodes.into_iter().map(|node| (node.clone(), rules.node_ties(demand, &active, &in_bundle, Some(node)))).collect();
        made.rules = rules.limits;
        let all_ties = AllTies { anywhere, on_node };
        let ties = &all_ties.anywhere;
        // What a node rule counts it counts as one, so a bundle may be counted only by rules that admit none or any number.
        let everywhere = || all_ties.on_node.values().chain([&all_ties.anywhere]);
        let sound = |&class: &usize| {
            left[class] as usize == demand.pods_of(class).len()
                && everywhere().all(|ties| {
                    let counts =
                        |&(rule, role): &(usize, Role)| role == Role::Guard || matches!(made.rules[rule].most, 0 | u32::MAX);
                    ties[class].cap.is_none_or(|cap| left[class] <= cap) && ties[class].roles.iter().all(counts)
                })
        };
        let single: BTreeSet<usize> = demand
            .bundles
            .iter()
            .filter(|bundle| bundle.classes.len() == 1)
            .map(|bundle| bundle.classes[0])
            .filter(sound)
            .collect();
        let in_bundle: BTreeSet<usize> = in_bundle.difference(&single).copied().collect();
        let mut bundled: Vec<Unit> = Vec::new();
        let mut partial = false;
        for bundle in demand.bundles.iter().filter(|bundle| bundle.classes.len() > 1) {
            let pods: Vec<(usize, u32)> = bundle.classes.iter().map(|&class| (class, left[class])).collect();
            // One of several classes that is tied to other pods besides is not placed.
            let alone = |&class: &usize| ties[class].roles.is_empty() && demand.classes[class].cells.is_empty();
            if !holds(&pods, bundle.scope) {
                continue;
            }
            if !bundle.classes.iter().all(|class| sound(class) && alone(class)) {
                partial = true;
            } else {
                bundled.push(Unit { pods, scope: bundle.scope, fixed: 1, cap: None, roles: Vec::new() });
            }
        }
        (made.units, made.partial) = (bundled, partial);
        for members in components(demand, &active, &in_bundle) {
            match members.as_slice() {
                &[class] if is_plain(demand, class) => {
                    let scope = demand.classes[class].scope;
                    if !is_bundle(demand, class) {
                        made.add_unit(class, scope, left[class], left[class], &ties[class]);
                    } else if holds(&[(class, left[class])], scope) {
                        let unit = made.add_unit(class, scope, 1, 1, &ties[class]);
                        made.units[unit].pods = vec![(class, left[class])];
                    }
                }
                _ => made.tied(demand, left, &members, &all_ties, holds),
            }
        }
        made
    }

    /// Adds a unit of `class` with `fixed` pods at least and `most` at most; its index.
    fn add_unit(&mut self, class: usize, scope: usize, fixed: u32, most: u32, ties: &NodeTies) -> usize {
        let unique = u32::try_from(self.units.len()).unwrap_or(u32::MAX);
        let kin = if fixed == most { (true, fixed) } else { (false, unique) };
        let cap = ties.cap.filter(|&cap| most > cap).map(|cap| Cap { most: cap, kin });
        self.units.push(Unit { pods: vec![(class, 1)], scope, fixed, cap, roles: ties.roles.clone() });
        self.units.len() - 1
    }

    /// The classes of free blocks.
    pub(super) fn free_classes(&self) -> impl Iterator<Item = &FreeClass> {
        self.blocks.iter().flat_map(|block| match block {
            Block::Free { classes, .. } => classes.as_slice(),
            _ => &[],
        })
    }

    /// Takes pods off `quantities`, some of which were left unplaced, until every block keeps its terms again.
    pub(super) fn mend(&self, quantities: &mut [u32]) {
        for block in &self.blocks {
            match block {
                Block::Even { units, skew, .. } => loop {
                    let least = units.iter().map(|&unit| quantities[unit]).min().unwrap_or(0);
                    let Some(&fullest) = units.iter().max_by_key(|&&unit| quantities[unit]) else { break };
                    if quantities[fullest] <= least.saturating_add(*skew) {
                        break;
                    }
                    quantities[fullest] -= 1;
                },
                Block::OneDomain { .. } => {}
                Block::Free { classes, terms } => loop {
                    let hard = || terms.iter().filter(|term| term.worth.is_none());
                    while hard().any(|term| term.mend(&self.units, quantities)) {}
                    if !leave_parts(classes, quantities) {
                        break;
                    }
                },
            }
        }
    }

    /// Units and block of classes that terms over topology labels tie together.
    fn tied(&mut self, demand: &Demand, left: &[u32], members: &[usize], ties: &AllTies, holds: Holds<'_>) {
        let terms: BTreeSet<usize> = members.iter().flat_map(|&class| label_terms(demand, class)).collect();
        let own = Members::of(demand, members);
        let plain = !members.iter().any(|&class| demand.has_preferences(class) || demand.classes[class].atomic.is_some());
        if let ([number], true) = (&terms.iter().copied().collect::<Vec<usize>>()[..], plain && !self.scarce)
            && !demand.terms[*number].may_break()
        {
            let term = &demand.terms[*number];
            let (owners, counted) = (&own.owners[*number], &own.counted[*number]);
            match (&term.kind, members) {
                _ if members.iter().any(|&class| is_bundle(demand, class) || tells_nodes_apart(demand, class)) => {}
                _ if !term.base.is_empty() => {}
                (TermKind::Spread { max_skew, universe, grounded, .. }, &[class]) if owners == counted => {
                    return self.even(demand, class, left[class], term, (*max_skew, universe, *grounded), ties, holds);
                }
                (TermKind::Near, _) if owners == counted => return self.one_domain(demand, left, members, term, ties, holds),
                _ => {}
            }
        }
        self.free(demand, left, members, &terms, ties, holds);
    }

    fn even(
        &mut self,
        demand: &Demand,
        class: usize,
        pods: u32,
        term: &Term,
        (skew, universe, grounded): (u32, &BTreeSet<String>, bool),
        ties: &AllTies,
        holds: Holds<'_>,
    ) {
        let cells: Vec<(&String, usize)> = demand.classes[class]
            .cells
            .iter()
            .filter_map(|cell| Some((cell.domains.get(&term.key)?, cell.scope)))
            .filter(|&(_, scope)| holds(&[(class, 1)], scope))
            .collect();
        let zones = u32::try_from(cells.len()).unwrap_or(u32::MAX);
        if zones == 0 {
            return;
        }
        let grounded = grounded || universe.iter().any(|domain| cells.iter().all(|(cell, _)| *cell != domain));
        let (pods, level) = if grounded {
            (pods.min(zones.saturating_mul(skew)), (0, 0))
        } else if skew == 1 {
            (pods, (pods / zones, pods / zones))
        } else {
            (pods, (pods.div_ceil(zones).saturating_sub(skew), pods / zones))
        };
        let rest = pods - level.0 * zones;
        let first = self.units.len();
        for (_, scope) in cells {
            let most = if rest == 0 { level.0 } else { level.1.saturating_add(skew).min(pods) };
            self.add_unit(class, scope, level.0, most, &ties.anywhere[class]);
        }
        self.blocks.push(Block::Even { units: (first..self.units.len()).collect(), pods, skew, level });
    }

    fn one_domain(&mut self, demand: &Demand, left: &[u32], members: &[usize], term: &Term, ties: &AllTies, holds: Holds<'_>) {
        let domains: BTreeSet<&String> = members
            .iter()
            .flat_map(|&class| &demand.classes[class].cells)
            .filter_map(|cell| cell.domains.get(&term.key))
            .collect();
        let mut options = Vec::new();
        for domain in domains {
            let cell_of =
                |class: usize| demand.classes[class].cells.iter().find(|cell| cell.domains.get(&term.key) == Some(domain));
            let scopes: Option<Vec<(usize, usize)>> = members
                .iter()
                .map(|&class| {
                    cell_of(class).map(|cell| (class, cell.scope)).filter(|&(class, scope)| holds(&[(class, 1)], scope))
                })
                .collect();
            let Some(scopes) = scopes else { continue };
            let option = scopes
                .into_iter()
                .map(|(class, scope)| (self.add_unit(class, scope, 0, left[class], &ties.anywhere[class]), left[class]));
            options.push(option.collect());
        }
        if !options.is_empty() {
            self.blocks.push(Block::OneDomain { options });
        }
    }

    fn free(
        &mut self,
        demand: &Demand,
        left: &[u32],
        members: &[usize],
        terms: &BTreeSet<usize>,
        ties: &AllTies,
        holds: Holds<'_>,
    ) {
        let mut classes: BTreeMap<usize, FreeClass> = BTreeMap::new();
        let nowhere = BTreeMap::new();
        // Per unit its class and its domains.
        let mut places: BTreeMap<usize, (usize, &BTreeMap<String, String>)> = BTreeMap::new();
        for &class in members {
            let of = &demand.classes[class];
            // A pod that owns a spread or an affinity needs a node that has the label.
            let needed = of.ties.owns.iter().map(|&term| &demand.terms[term]).filter(|term| term.worth.is_none());
            let needed: Vec<&str> =
                needed.filter(|term| !term.is_per_node() && term.kind.needs_label()).map(|term| term.key.as_str()).collect();
            let (pods, each) = if is_bundle(demand, class) { (1, left[class]) } else { (left[class], 1) };
            let rank = demand.ranks[class].unwrap_or(u32::MAX);
            let of_group = || FreeClass { class, pods, each, rank, units: Vec::new(), forgone: Vec::new(), atomic: of.atomic };
            let group = classes.entry(of.group).or_insert_with(of_group);
            let whole = of.cells.is_empty().then_some((&nowhere, of.scope, 0));
            for (domains, scope, forgone) in
                whole.into_iter().chain(of.cells.iter().map(|cell| (&cell.domains, cell.scope, cell.forgone)))
            {
                if needed.iter().all(|key| domains.contains_key(*key)) && holds(&[(class, each)], scope) {
                    let unit = self.add_unit(class, scope, 0, pods, ties.at(class, domains));
                    self.units[unit].pods = vec![(class, each)];
                    places.insert(unit, (class, domains));
                    group.units.push(unit);
                    group.forgone.push(of.forgone + forgone);
                }
            }
        }
        let classes: Vec<FreeClass> = classes.into_values().collect();
        let terms = terms.iter().map(|&number| {
            let term = &demand.terms[number];
            let supporters = if term.kind == TermKind::Near && !term.may_break() { demand.supporters(number) } else { None };
            let mut domains: BTreeMap<&String, FreeDomain> = BTreeMap::new();
            for (&unit, &(class, domains_of_unit)) in &places {
                let ties = &demand.classes[class].ties;
                let supports = |of: &Vec<usize>| of.contains(&class) || ties.owns.contains(&number);
                let counts = supporters.as_ref().is_none_or(supports);
                let (owns, counted) = (ties.owns.contains(&number), counts && ties.counted_by.contains(&number));
                let Some(domain) = domains_of_unit.get(&term.key) else { continue };
                let domain = domains.entry(domain).or_default();
                match (owns, counted) {
                    (true, true) => domain.both.push(unit),
                    (true, false) => domain.owners.push(unit),
                    (false, true) => domain.counted.push(unit),
                    (false, false) => {}
                }
            }
            if let TermKind::Spread { universe, .. } = &term.kind {
                for domain in universe {
                    domains.entry(domain).or_default().in_universe = true;
                }
            }
            domains.retain(|domain, _| term.kind.domain_of((*domain).clone()).is_some());
            for (domain, &pods) in &term.base {
                if let Some(domain) = domains.get_mut(domain) {
                    domain.base = pods;
                }
            }
            let founders = term.kind == TermKind::Near && supporters.is_none();
            let worth = term.worth.filter(|_| term.may_break());
            FreeTerm { kind: term.kind.clone(), worth, founders, domains: domains.into_values().collect() }
        });
        let terms = terms.collect();
        self.blocks.push(Block::Free { classes, terms });
    }
}

/// Takes out what is there of groups that are placed whole or not at all and are not whole; whether there was any.
fn leave_parts(classes: &[FreeClass], quantities: &mut [u32]) -> bool {
    let placed = |class: &FreeClass, quantities: &[u32]| class.units.iter().map(|&unit| quantities[unit]).sum::<u32>();
    let broken = classes.iter().filter(|class| placed(class, quantities) < class.pods);
    let broken: BTreeSet<usize> = broken.filter_map(|class| class.atomic).collect();
    let mut gone = false;
    for class in classes.iter().filter(|class| class.atomic.is_some_and(|atomic| broken.contains(&atomic))) {
        gone |= placed(class, quantities) > 0;
        class.units.iter().for_each(|&unit| quantities[unit] = 0);
    }
    gone
}

/// Takes the groups out that are placed whole or not at all and of which some pods have no place.
fn leave_broken_groups(demand: &Demand, left: &[u32], active: &mut [bool]) {
    let placeable = |group: &Group| group.classes.iter().any(|&class| active[class]);
    let waits = |group: &&Group| group.classes.iter().any(|&class| left[class] > 0);
    let broken = demand.groups.iter().filter(waits).filter(|group| !placeable(group));
    let broken: BTreeSet<usize> = broken.filter_map(|group| demand.classes[*group.classes.first()?].atomic).collect();
    for (class, active) in demand.classes.iter().zip(active) {
        *active &= class.atomic.is_none_or(|atomic| !broken.contains(&atomic));
    }
}

/// Whether nothing is to be decided about the class but on which nodes its pods stand.
fn is_plain(demand: &Demand, class: usize) -> bool {
    let of = &demand.classes[class];
    of.cells.is_empty() && of.atomic.is_none() && !demand.has_preferences(class)
}

/// Whether nodes that exist are domains of their own to the class.
fn tells_nodes_apart(demand: &Demand, class: usize) -> bool {
    demand.classes[class].cells.iter().any(|cell| cell.domains.contains_key(labels::HOSTNAME))
}

/// Whether all pods of the class have to stand on one node.
fn is_bundle(demand: &Demand, class: usize) -> bool {
    demand.bundles.iter().any(|bundle| bundle.classes == [class])
}

impl FreeClass {
    /// How many pods it has in all.
    pub(super) fn all_pods(&self) -> i64 {
        i64::from(self.pods) * i64::from(self.each)
    }
}

/// The terms over topology labels that a class owns or is counted by.
fn label_terms(demand: &Demand, class: usize) -> impl Iterator<Item = usize> + '_ {
    let ties = &demand.classes[class].ties;
    ties.owns.iter().chain(&ties.counted_by).copied().filter(|&term| !demand.terms[term].is_per_node())
}

/// Who owns each term, and whom it counts.
struct Members {
    owners: Vec<Vec<usize>>,
    counted: Vec<Vec<usize>>,
}

impl Members {
    fn new(demand: &Demand, active: &[bool]) -> Self {
        let classes: Vec<usize> = (0..demand.classes.len()).filter(|&class| active[class]).collect();
        Self::of(demand, &classes)
    }

    fn of(demand: &Demand, classes: &[usize]) -> Self {
        let mut made = Self { owners: vec![Vec::new(); demand.terms.len()], counted: vec![Vec::new(); demand.terms.len()] };
        for &class in classes {
            let ties = &demand.classes[class].ties;
            ties.owns.iter().for_each(|&term| made.owners[term].push(class));
            ties.counted_by.iter().for_each(|&term| made.counted[term].push(class));
        }
        made
    }
}

/// The active classes outside bundles, grouped by the terms over topology labels and the pods that they share.
fn components(demand: &Demand, active: &[bool], in_bundle: &BTreeSet<usize>) -> Vec<Vec<usize>> {
    let classes: Vec<usize> = (0..demand.classes.len()).filter(|class| active[*class] && !in_bundle.contains(class)).collect();
    let mut root: Vec<usize> = (0..demand.classes.len()).collect();
    fn find(root: &mut [usize], mut class: usize) -> usize {
        while root[class] != class {
            root[class] = root[root[class]];
            class = root[class];
        }
        class
    }
    let mut first: BTreeMap<usize, usize> = BTreeMap::new();
    let (mut of_group, mut of_atomic): (BTreeMap<usize, usize>, BTreeMap<usize, usize>) = Default::default();
    for &class in &classes {
        let of = &demand.classes[class];
        let kin = *of_group.entry(of.group).or_insert(class);
        let whole = of.atomic.map(|atomic| *of_atomic.entry(atomic).or_insert(class));
        let others = label_terms(demand, class).map(|term| *first.entry(term).or_insert(class));
        for other in others.chain([kin]).chain(whole) {
            let (a, b) = (find(&mut root, class), find(&mut root, other));
            root[a.max(b)] = a.min(b);
        }
    }
    let mut grouped: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for class in classes {
        grouped.entry(find(&mut root, class)).or_default().push(class);
    }
    grouped.into_values().collect()
}
