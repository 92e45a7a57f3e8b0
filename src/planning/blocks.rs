//! Blocks as choices of the program, and values of choices as numbers of pods.
//!
//! ```text
//! even        n pods of a class over Z domains with skew k; G blocks of equal classes and numbers are one:
//!             level l in [lo, hi] adds G pods to every domain, extra e_z in [0, G k] adds one pod to domain z,
//!             G Z l + sum_z e_z = G n.
//!             Any such values can be divided among the G blocks again: each takes its rest from the domains with most left.
//! one domain  b_z in [0, G] blocks stand whole in domain z,  sum_z b_z = G
//! free        q_u pods of unit u, y_c pods of class c left out at the class's penalty,  sum_u q_u + y_c = n_c
//!   atomic    classes that are placed whole or not at all have one g in {0, 1} at the penalty of all their pods,  sum_u q_u + n_c g = n_c
//!   spread    m <= T_z in every domain z of the universe (m = 0 where it is grounded), T_z the pods counted in z, running or not;
//!             T_z - m <= k where owners stand: everywhere if every counted pod is an owner, otherwise with u_z in {0, 1}:
//!             owners_z <= N u_z  and  T_z - m + B u_z <= k + B
//!   near      owners_z <= N t_z, t_z in {0, 1}, t_z <= counted_z that are no owners; where there are none at all: sum_z t_z <= 1
//!             and t_z <= T_z
//!   apart     counted owners: T_z <= 1 where they stand;  owners that are not counted: T_z = 0 where they stand
//!   most      T_z <= m
//!   soft      s_z owners are too many in domain z, at the worth of the rule each: the rows above with s_z to spare;
//!             what a unit's pods forgo wherever they stand is the cost of q_u
//! ```
//! The last rule for affinities is stricter than the final state needs: owners may not be each other's only company in two domains.
//! With it the plan holds in whatever order the pods are bound.

use std::collections::{BTreeMap, BTreeSet};

use crate::planning::arrangement::{Arrangement, Block, FreeClass, FreeDomain, FreeTerm};
use crate::planning::terms::TermKind;
use crate::solver::problem::LARGEST_AMOUNT;
use crate::solver::{Choice, ChoiceRow};

/// Where the choices of blocks stand in the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// Equal even blocks: the level, where there is one, and one extra per domain.
    Even { blocks: Vec<usize>, level: Option<usize>, extras: Vec<usize> },
    /// Equal blocks of one domain: one choice per option.
    OneDomain { blocks: Vec<usize>, options: Vec<usize> },
    /// A free block: one choice per unit of each class, and those that leave pods.
    Free { block: usize, counts: Vec<Vec<usize>>, left_out: Vec<usize> },
}

/// The choices of an arrangement.
#[derive(Clone, Debug, Default)]
pub(super) struct Choices {
    pub(super) choices: Vec<Choice>,
    pub(super) rows: Vec<ChoiceRow>,
    pub(super) chosen: Vec<Chosen>,
}

/// The pods of units as terms of a row.
type Terms<'a> = &'a dyn Fn(&mut dyn Iterator<Item = usize>) -> Vec<(usize, i64)>;

/// Of some units: their pods as terms of a row, the most that they can be, and what they are at the start.
struct Counting<'a> {
    rows: Terms<'a>,
    all: &'a dyn Fn(&mut dyn Iterator<Item = usize>) -> i64,
    now: &'a dyn Fn(&mut dyn Iterator<Item = usize>) -> i64,
}

/// Equal blocks have equal keys.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Even { classes: Vec<usize>, skew: u32, level: (u32, u32), pods: u32 },
    OneDomain(Vec<Vec<(usize, u32)>>),
    Free(usize),
}

impl Choices {
    /// The choices of the blocks. `class_of[unit]` is the class of the program that a unit belongs to, `penalty(class)` what an
    /// unplaced pod of a class of the demand costs.
    pub(super) fn new(arrangement: &Arrangement, class_of: &[usize], penalty: &dyn Fn(usize) -> i64) -> Self {
        let mut grouped: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
        let open = |block: &&Block| match block {
            Block::Even { units, pods, level, .. } => level.0 as usize * units.len() < *pods as usize,
            _ => true,
        };
        for (number, block) in arrangement.blocks.iter().enumerate().filter(|(_, block)| open(block)) {
            let key = match block {
                Block::Even { units, pods, skew, level } => {
                    // With a fixed level only what is left above it matters.
                    let zones = u32::try_from(units.len()).unwrap_or(u32::MAX);
                    let fixed = level.0 == level.1;
                    let (pods, level) = if fixed { (pods - level.0 * zones, (0, 0)) } else { (*pods, *level) };
                    Key::Even { classes: units.iter().map(|&unit| class_of[unit]).collect(), skew: *skew, level, pods }
                }
                Block::OneDomain { options } => {
                    let option = |option: &Vec<(usize, u32)>| {
                        let mut classes: Vec<(usize, u32)> = option.iter().map(|&(unit, n)| (class_of[unit], n)).collect();
                        classes.sort_unstable();
                        classes
                    };
                    Key::OneDomain(options.iter().map(option).collect())
                }
                Block::Free { .. } => Key::Free(number),
            };
            grouped.entry(key).or_default().push(number);
        }
        let mut made = Self::default();
        for (key, blocks) in grouped {
            let chosen = match key {
                Key::Even { classes, skew, level, pods } => made.even(blocks, &classes, skew, level, pods),
                Key::OneDomain(options) => made.one_domain(blocks, &options),
                Key::Free(block) => match &arrangement.blocks[block] {
                    Block::Free { classes, terms } => made.free(block, classes, terms, class_of, penalty),
                    _ => continue,
                },
            };
            made.chosen.push(chosen);
        }
        made
    }

    fn add(&mut self, lower: i64, upper: i64, start: i64, cost: i64, demand: Vec<(usize, u32)>) -> usize {
        self.choices.push(Choice { lower, upper, start, cost, demand: by_class(demand) });
        self.choices.len() - 1
    }

    fn row(&mut self, terms: impl IntoIterator<Item = (usize, i64)>, least: i64, most: i64) {
        let mut joined: BTreeMap<usize, i64> = BTreeMap::new();
        for (choice, amount) in terms {
            *joined.entry(choice).or_default() += amount;
        }
        let terms: Vec<(usize, i64)> = joined.into_iter().filter(|term| term.1 != 0).collect();
        if !terms.is_empty() {
            self.rows.push(ChoiceRow { terms, least, most });
        }
    }

    fn even(&mut self, blocks: Vec<usize>, classes: &[usize], skew: u32, (low, high): (u32, u32), pods: u32) -> Chosen {
        let groups = u32::try_from(blocks.len()).unwrap_or(u32::MAX);
        let zones = classes.len() as i64;
        // The units have the lower end of the level already.
        let range = i64::from(high - low);
        let level = (range > 0).then(|| {
            let everywhere = classes.iter().map(|&class| (class, groups)).collect();
            self.add(0, range, range, 0, everywhere)
        });
        let rest = i64::from(groups) * (i64::from(pods) - i64::from(low) * zones);
        let most = i64::from(groups) * i64::from(skew);
        let mut left = rest - level.map_or(0, |_| range * i64::from(groups) * zones);
        let extras: Vec<usize> = classes
            .iter()
            .map(|&class| {
                let start = left.min(most);
                left -= start;
                self.add(0, most, start, 0, vec![(class, 1)])
            })
            .collect();
        let of_level = level.map(|level| (level, i64::from(groups) * zones));
        self.row(extras.iter().map(|&extra| (extra, 1)).chain(of_level), rest, rest);
        Chosen::Even { blocks, level, extras }
    }

    fn one_domain(&mut self, blocks: Vec<usize>, options: &[Vec<(usize, u32)>]) -> Chosen {
        let groups = blocks.len() as i64;
        let first = self.choices.len();
        for (number, option) in options.iter().enumerate() {
            self.add(0, groups, if number == 0 { groups } else { 0 }, 0, option.clone());
        }
        let options: Vec<usize> = (first..self.choices.len()).collect();
        self.row(options.iter().map(|&option| (option, 1)), groups, groups);
        Chosen::OneDomain { blocks, options }
    }

    fn free(
        &mut self,
        block: usize,
        classes: &[FreeClass],
        terms: &[FreeTerm],
        class_of: &[usize],
        penalty: &dyn Fn(usize) -> i64,
    ) -> Chosen {
        let start = start(classes, terms);
        let mut whole: BTreeMap<usize, usize> = BTreeMap::new();
        let mut room: BTreeMap<usize, i64> = BTreeMap::new();
        for term in terms {
            let TermKind::Most { most, .. } = &term.kind else { continue };
            for (domain, unit) in term.domains.iter().flat_map(|domain| counted(domain).map(move |unit| (domain, unit))) {
                let left = i64::from(most.saturating_sub(domain.base));
                room.entry(unit).and_modify(|room| *room = left.min(*room)).or_insert(left);
            }
        }
        let mut choice_of: BTreeMap<usize, usize> = BTreeMap::new();
        let (mut counts, mut outs) = (Vec::with_capacity(classes.len()), Vec::with_capacity(classes.len()));
        for class in classes {
            let pods = i64::from(class.pods);
            let placed = |unit: &usize| start.get(unit).copied().unwrap_or(0);
            let first = self.choices.len();
            for (unit, &forgone) in class.units.iter().zip(&class.forgone) {
                choice_of.insert(*unit, self.choices.len());
                // A class that is no more than this anywhere is no more than this on a node either.
                let most = room.get(unit).map_or(pods, |room| pods.min(room / i64::from(class.each)).max(1));
                self.add(0, most, placed(unit), forgone, vec![(class_of[*unit], 1)]);
            }
            let out = pods - class.units.iter().map(placed).sum::<i64>();
            let units: Vec<usize> = (first..self.choices.len()).collect();
            let cost = penalty(class.class).saturating_mul(i64::from(class.each));
            let (left_out, each) = match class.atomic {
                None => (self.add(0, pods, out, cost, Vec::new()), 1),
                Some(atomic) => {
                    let left_out = *whole.entry(atomic).or_insert_with(|| self.add(0, 1, i64::from(out > 0), 0, Vec::new()));
                    let sum = self.choices[left_out].cost.saturating_add(cost.saturating_mul(pods));
                    self.choices[left_out].cost = sum.min(LARGEST_AMOUNT - 1);
                    (left_out, pods)
                }
            };
            self.row(units.iter().map(|&choice| (choice, 1)).chain([(left_out, each)]), pods, pods);
            counts.push(units);
            if !outs.contains(&left_out) {
                outs.push(left_out);
            }
        }
        for term in terms {
            self.term(term, &choice_of, &start, classes);
        }
        Chosen::Free { block, counts, left_out: outs }
    }

    /// The rows of a term of a free block.
    fn term(&mut self, term: &FreeTerm, choice_of: &BTreeMap<usize, usize>, start: &BTreeMap<usize, i64>, classes: &[FreeClass]) {
        let each: BTreeMap<usize, i64> =
            classes.iter().flat_map(|class| class.units.iter().map(|&unit| (unit, i64::from(class.each)))).collect();
        let rows = |units: &mut dyn Iterator<Item = usize>| -> Vec<(usize, i64)> {
            units.map(|unit| (choice_of[&unit], each[&unit])).collect()
        };
        // The most pods that the units can have together: those of their classes, each counted once.
        let all = |units: &mut dyn Iterator<Item = usize>| -> i64 {
            let units: Vec<usize> = units.collect();
            classes.iter().filter(|class| class.units.iter().any(|unit| units.contains(unit))).map(FreeClass::all_pods).sum()
        };
        let now = |units: &mut dyn Iterator<Item = usize>| -> i64 {
            units.filter_map(|unit| Some(start.get(&unit)? * each[&unit])).sum()
        };
        // A switch that is on where any of `units` has pods.
        let mut switches: Vec<(usize, usize)> = Vec::new();
        if let Some(worth) = term.worth {
            return self.soft_term(term, worth, &Counting { rows: &rows, all: &all, now: &now });
        }
        match &term.kind {
            TermKind::Spread { max_skew, .. } => {
                let skew = i64::from(*max_skew);
                let below = self.level(term, &Counting { rows: &rows, all: &all, now: &now }).map(|level| (level, -1));
                for domain in &term.domains {
                    let here = rows(&mut counted(domain));
                    let base = i64::from(domain.base);
                    if owners(domain).next().is_none() {
                        continue;
                    }
                    // Pods that run may exceed the skew already, which matters only where owners come.
                    if domain.counted.is_empty() && domain.owners.is_empty() && base == 0 {
                        self.row(here.into_iter().chain(below), -LARGEST_AMOUNT, skew);
                        continue;
                    }
                    let switch = self.switch(&mut owners(domain), &rows, &all, &now);
                    let total = all(&mut counted(domain)) + base;
                    self.row(here.into_iter().chain(below).chain([(switch, total)]), -LARGEST_AMOUNT, skew + total - base);
                }
            }
            TermKind::Near => {
                for (number, domain) in term.domains.iter().enumerate() {
                    if owners(domain).next().is_none() || domain.base > 0 {
                        continue;
                    }
                    let switch = self.switch(&mut owners(domain), &rows, &all, &now);
                    let targets = if term.founders {
                        rows(&mut domain.both.iter().copied())
                    } else {
                        rows(&mut domain.counted.iter().copied())
                    };
                    self.row(targets.into_iter().chain([(switch, -1)]), 0, LARGEST_AMOUNT);
                    switches.push((number, switch));
                }
                if term.founders {
                    self.row(switches.iter().map(|&(_, switch)| (switch, 1)), 0, 1);
                }
            }
            TermKind::Apart => {
                for domain in &term.domains {
                    let here = rows(&mut counted(domain));
                    let total = all(&mut counted(domain));
                    if here.is_empty() {
                        continue;
                    }
                    if !domain.both.is_empty() {
                        if domain.counted.is_empty() && domain.owners.is_empty() {
                            self.row(here.iter().copied(), -LARGEST_AMOUNT, 1);
                        } else {
                            let switch = self.switch(&mut domain.both.iter().copied(), &rows, &all, &now);
                            self.row(here.iter().copied().chain([(switch, total - 1)]), -LARGEST_AMOUNT, total);
                        }
                    }
                    if !domain.owners.is_empty() {
                        let switch = self.switch(&mut domain.owners.iter().copied(), &rows, &all, &now);
                        self.row(here.into_iter().chain([(switch, total)]), -LARGEST_AMOUNT, total);
                    }
                }
            }
            TermKind::Most { most, .. } => {
                for domain in &term.domains {
                    let room = i64::from(most.saturating_sub(domain.base));
                    self.row(rows(&mut counted(domain)), -LARGEST_AMOUNT, room);
                }
            }
        }
    }

    /// A choice that is at most the number of pods in the least filled domain of a spread's universe; `None` where that counts as
    /// empty, and for other terms.
    fn level(&mut self, term: &FreeTerm, of: &Counting<'_>) -> Option<usize> {
        let TermKind::Spread { grounded: false, .. } = &term.kind else { return None };
        let universe = || term.domains.iter().filter(|domain| domain.in_universe);
        let least = universe().map(|domain| i64::from(domain.base) + (of.now)(&mut counted(domain))).min()?;
        let upper = universe().map(|domain| i64::from(domain.base) + (of.all)(&mut counted(domain))).min()?;
        let level = self.add(0, upper, least, 0, Vec::new());
        for domain in universe() {
            let here = (of.rows)(&mut counted(domain));
            self.row(here.into_iter().chain([(level, -1)]), -i64::from(domain.base), LARGEST_AMOUNT);
        }
        Some(level)
    }

    /// The rows of a term that owners may break at its `worth` each. Their cost is never more than what the broken rule is worth, so
    /// the bound holds.
    fn soft_term(&mut self, term: &FreeTerm, worth: i64, of: &Counting<'_>) {
        let now = |units: &[usize]| (of.now)(&mut units.iter().copied());
        let all = |units: &[usize]| (of.all)(&mut units.iter().copied());
        let level = self.level(term, of);
        for domain in &term.domains {
            let (owners, counted): (Vec<usize>, Vec<usize>) = (owners(domain).collect(), counted(domain).collect());
            if owners.is_empty() {
                continue;
            }
            let (most, base) = (all(&owners), i64::from(domain.base));
            let here = (of.rows)(&mut owners.iter().copied());
            let alike = domain.counted.is_empty() && domain.owners.is_empty() && base == 0;
            match &term.kind {
                TermKind::Spread { max_skew, .. } => {
                    let skew = i64::from(*max_skew);
                    let least = level.map_or(0, |level| self.choices[level].start);
                    let over = (now(&counted) + base - least - skew).max(0);
                    let below = level.map(|level| (level, -1));
                    let rows = (of.rows)(&mut counted.iter().copied());
                    if alike {
                        let spare = self.add(0, most, over, worth, Vec::new());
                        self.row(rows.into_iter().chain(below).chain([(spare, -1)]), -LARGEST_AMOUNT, skew);
                        continue;
                    }
                    // Either the domain keeps to the skew but for the spare owners, or all owners are too many.
                    let keeps = over <= now(&owners);
                    let spare = self.add(0, most, over.min(now(&owners)), worth, Vec::new());
                    let keep = self.add(0, 1, i64::from(keeps), 0, Vec::new());
                    self.row(here.into_iter().chain([(spare, -1), (keep, -most)]), -LARGEST_AMOUNT, 0);
                    let total = all(&counted) + base;
                    let rows = rows.into_iter().chain(below).chain([(spare, -1), (keep, total)]);
                    self.row(rows, -LARGEST_AMOUNT, skew + total - base);
                }
                TermKind::Near if base > 0 => {}
                TermKind::Near => {
                    let met = now(&counted) > 0;
                    let spare = self.add(0, most, if met { 0 } else { now(&owners) }, worth, Vec::new());
                    let meets = self.add(0, 1, i64::from(met), 0, Vec::new());
                    self.row(here.into_iter().chain([(spare, -1), (meets, -most)]), -LARGEST_AMOUNT, 0);
                    let company = (of.rows)(&mut counted.iter().copied());
                    self.row(company.into_iter().chain([(meets, -1)]), 0, LARGEST_AMOUNT);
                }
                TermKind::Apart => {
                    let strangers = now(&domain.counted) > 0;
                    let alone = (now(&domain.both) - 1).max(0);
                    let start = if strangers || base > 0 { now(&owners) } else { alone };
                    let spare = self.add(0, most, start, worth, Vec::new());
                    if base > 0 {
                        self.row(here.into_iter().chain([(spare, -1)]), -LARGEST_AMOUNT, 0);
                        continue;
                    }
                    let both = (of.rows)(&mut domain.both.iter().copied());
                    self.row(both.into_iter().chain([(spare, -1)]), -LARGEST_AMOUNT, 1);
                    if !domain.counted.is_empty() {
                        let switch = self.switch(&mut domain.counted.iter().copied(), of.rows, of.all, of.now);
                        self.row(here.into_iter().chain([(spare, -1), (switch, most)]), -LARGEST_AMOUNT, most);
                    }
                }
                // No preference says that.
                TermKind::Most { .. } => {}
            }
        }
    }

    /// What unplaced pods cost that choices leave out, micro-dollars per hour.
    pub(super) fn left_out(&self, values: &[i64]) -> i64 {
        let of = |chosen: &Chosen| match chosen {
            Chosen::Free { left_out, .. } => left_out.iter().map(|&out| values[out].saturating_mul(self.choices[out].cost)).sum(),
            _ => 0,
        };
        self.chosen.iter().map(of).fold(0, i64::saturating_add)
    }

    /// The choices that leave pods, ascending.
    pub(super) fn leaving(&self) -> Vec<usize> {
        let of = |chosen: &Chosen| match chosen {
            Chosen::Free { left_out, .. } => left_out.clone(),
            _ => Vec::new(),
        };
        let mut made: Vec<usize> = self.chosen.iter().flat_map(of).collect();
        made.sort_unstable();
        made
    }

    /// A choice of 0 or 1 that is 1 where any of `units` has pods.
    fn switch(
        &mut self,
        units: &mut dyn Iterator<Item = usize>,
        rows: Terms<'_>,
        all: &dyn Fn(&mut dyn Iterator<Item = usize>) -> i64,
        now: &dyn Fn(&mut dyn Iterator<Item = usize>) -> i64,
    ) -> usize {
        let units: Vec<usize> = units.collect();
        let on = i64::from(now(&mut units.iter().copied()) > 0);
        let switch = self.add(0, 1, on, 0, Vec::new());
        let pods = all(&mut units.iter().copied());
        let terms = rows(&mut units.iter().copied());
        self.row(terms.into_iter().chain([(switch, -pods)]), -LARGEST_AMOUNT, 0);
        switch
    }

    /// How many of each unit these values ask for.
    pub(super) fn quantities(&self, arrangement: &Arrangement, values: &[i64]) -> Vec<u32> {
        let mut quantities: Vec<u32> = arrangement.units.iter().map(|unit| unit.fixed).collect();
        let value = |choice: usize| u32::try_from(values[choice]).unwrap_or(0);
        for chosen in &self.chosen {
            match chosen {
                Chosen::Even { blocks, level, extras } => {
                    let raised = level.map_or(0, value);
                    let mut left: Vec<u32> = extras.iter().map(|&extra| value(extra)).collect();
                    for &block in blocks {
                        let Block::Even { units, pods, skew, level } = &arrangement.blocks[block] else { continue };
                        units.iter().for_each(|&unit| quantities[unit] += raised);
                        let zones = u32::try_from(units.len()).unwrap_or(u32::MAX);
                        let mut rest = pods.saturating_sub((level.0 + raised) * zones);
                        let mut own = vec![0; units.len()];
                        while rest > 0 {
                            let open = (0..units.len()).filter(|&zone| own[zone] < *skew && left[zone] > 0);
                            let Some(zone) = open.max_by_key(|&zone| (left[zone], std::cmp::Reverse(zone))) else { break };
                            own[zone] += 1;
                            left[zone] -= 1;
                            quantities[units[zone]] += 1;
                            rest -= 1;
                        }
                    }
                }
                Chosen::OneDomain { blocks, options } => {
                    let mut waiting = blocks.iter();
                    for (number, &option) in options.iter().enumerate() {
                        for &block in waiting.by_ref().take(value(option) as usize) {
                            let Block::OneDomain { options } = &arrangement.blocks[block] else { continue };
                            options[number].iter().for_each(|&(unit, pods)| quantities[unit] += pods);
                        }
                    }
                }
                Chosen::Free { block, counts, .. } => {
                    let Block::Free { classes, .. } = &arrangement.blocks[*block] else { continue };
                    for (class, counts) in classes.iter().zip(counts) {
                        class.units.iter().zip(counts).for_each(|(&unit, &choice)| quantities[unit] += value(choice));
                    }
                }
            }
        }
        quantities
    }
}

/// The units of a domain that own the term.
fn owners(domain: &FreeDomain) -> impl Iterator<Item = usize> + '_ {
    domain.both.iter().chain(&domain.owners).copied()
}

/// The units of a domain that the term counts.
fn counted(domain: &FreeDomain) -> impl Iterator<Item = usize> + '_ {
    domain.both.iter().chain(&domain.counted).copied()
}

fn by_class(demand: Vec<(usize, u32)>) -> Vec<(usize, u32)> {
    let mut joined: BTreeMap<usize, u32> = BTreeMap::new();
    for (class, pods) in demand {
        *joined.entry(class).or_default() += pods;
    }
    joined.into_iter().collect()
}

/// Numbers of pods per unit that keep every term and have the groups whole that are placed whole or not at all.
fn start(classes: &[FreeClass], terms: &[FreeTerm]) -> BTreeMap<usize, i64> {
    let mut classes = classes.to_vec();
    loop {
        let made = greedy(&classes, terms);
        let placed = |class: &FreeClass| class.units.iter().filter_map(|unit| made.get(unit)).sum::<i64>();
        let broken = classes.iter().filter(|class| placed(class) < i64::from(class.pods));
        let broken: BTreeSet<usize> = broken.filter_map(|class| class.atomic).collect();
        if broken.is_empty() {
            return made;
        }
        for class in classes.iter_mut().filter(|class| class.atomic.is_some_and(|atomic| broken.contains(&atomic))) {
            (class.pods, class.atomic) = (0, None);
        }
    }
}

/// Numbers of pods per unit that keep every term: pod by pod, each in the domain where its like are fewest, as a scheduler would.
fn greedy(classes: &[FreeClass], terms: &[FreeTerm]) -> BTreeMap<usize, i64> {
    let mut state = Greedy::new(classes, terms);
    // Pods that others are counted against go first, and those that need a neighbour after those that they need.
    let owns = |class: &FreeClass| {
        let units = |domain: &FreeDomain| owners(domain).any(|unit| class.units.contains(&unit));
        terms.iter().any(|term| term.domains.iter().any(units))
    };
    let mut order: Vec<&FreeClass> = classes.iter().collect();
    order.sort_by_cached_key(|class| (class.rank, owns(class), class.units.len(), class.class));
    for class in order {
        for _ in 0..class.pods {
            let open = class.units.iter().copied().filter(|&unit| state.admits(unit));
            let Some(unit) = open.min_by_key(|&unit| (state.forgone(unit), state.crowding(unit), unit)) else { break };
            state.place(unit);
        }
    }
    state.placed
}

struct Greedy<'a> {
    terms: &'a [FreeTerm],
    /// Pods of one of each unit.
    each: BTreeMap<usize, i64>,
    /// What a pod of each unit forgoes wherever it stands.
    forgone: BTreeMap<usize, i64>,
    /// Per unit: term, domain, whether it owns the term, whether it is counted.
    places: BTreeMap<usize, Vec<(usize, usize, bool, bool)>>,
    /// Per term and domain: pods that are counted, and owners.
    counted: Vec<Vec<i64>>,
    owners: Vec<Vec<i64>>,
    placed: BTreeMap<usize, i64>,
}

impl<'a> Greedy<'a> {
    fn new(classes: &[FreeClass], terms: &'a [FreeTerm]) -> Self {
        let each = classes.iter().flat_map(|class| class.units.iter().map(|&unit| (unit, i64::from(class.each)))).collect();
        let mut places: BTreeMap<usize, Vec<(usize, usize, bool, bool)>> = BTreeMap::new();
        for (term, of) in terms.iter().enumerate() {
            for (number, domain) in of.domains.iter().enumerate() {
                let parts = [(&domain.both, true, true), (&domain.owners, true, false), (&domain.counted, false, true)];
                for (units, owns, counts) in parts {
                    units.iter().for_each(|&unit| places.entry(unit).or_default().push((term, number, owns, counts)));
                }
            }
        }
        let zeros: Vec<Vec<i64>> = terms.iter().map(|term| vec![0; term.domains.len()]).collect();
        let base = |term: &FreeTerm| term.domains.iter().map(|domain| i64::from(domain.base)).collect();
        let counted = terms.iter().map(base).collect();
        let forgone = |class: &FreeClass| class.units.iter().copied().zip(class.forgone.iter().copied()).collect::<Vec<_>>();
        let forgone = classes.iter().flat_map(forgone).collect();
        Self { terms, each, forgone, places, counted, owners: zeros, placed: BTreeMap::new() }
    }

    fn places(&self, unit: usize) -> &[(usize, usize, bool, bool)] {
        self.places.get(&unit).map_or(&[], Vec::as_slice)
    }

    fn admits(&self, unit: usize) -> bool {
        let hard = |place: &&(usize, usize, bool, bool)| self.terms[place.0].worth.is_none();
        self.places(unit).iter().filter(hard).all(|&place| self.keeps(unit, place))
    }

    /// What a pod more of `unit` would forgo.
    fn forgone(&self, unit: usize) -> i64 {
        let broken = self.places(unit).iter().filter(|&&place| !self.keeps(unit, place));
        self.forgone[&unit] + broken.filter_map(|place| self.terms[place.0].worth).sum::<i64>()
    }

    /// Whether a term holds in a domain with a pod more of `unit`.
    fn keeps(&self, unit: usize, (term, domain, owns, counts): (usize, usize, bool, bool)) -> bool {
        let (of, here) = (&self.terms[term], self.counted[term][domain]);
        let more = if counts { self.each[&unit] } else { 0 };
        let after = here + more;
        let guarded = owns || self.owners[term][domain] > 0;
        match &of.kind {
            TermKind::Spread { max_skew, grounded, .. } => {
                let universe = of.domains.iter().zip(&self.counted[term]).enumerate().filter(|(_, (d, _))| d.in_universe);
                let least = universe.map(|(at, (_, &n))| if at == domain { n + more } else { n }).min().unwrap_or(0);
                !guarded || after - if *grounded { 0 } else { least } <= i64::from(*max_skew)
            }
            TermKind::Near => {
                let nobody = self.counted[term].iter().all(|&n| n == 0);
                !owns || if of.founders { here > 0 || (nobody && counts) } else { self.targets(term, domain) > 0 }
            }
            TermKind::Apart => {
                let stranger = self.strangers(term, domain) + i64::from(owns && !counts) > 0;
                !guarded || after <= i64::from(!stranger)
            }
            TermKind::Most { most, .. } => after <= i64::from(*most),
        }
    }

    /// Pods that are counted and own nothing, in a domain; those that run are such.
    fn targets(&self, term: usize, domain: usize) -> i64 {
        let domain = &self.terms[term].domains[domain];
        i64::from(domain.base) + domain.counted.iter().filter_map(|unit| self.placed.get(unit)).sum::<i64>()
    }

    /// Owners that are not counted, in a domain.
    fn strangers(&self, term: usize, domain: usize) -> i64 {
        self.terms[term].domains[domain].owners.iter().filter_map(|unit| self.placed.get(unit)).sum()
    }

    fn crowding(&self, unit: usize) -> i64 {
        self.places(unit).iter().map(|&(term, domain, _, counts)| i64::from(counts) * self.counted[term][domain]).sum()
    }

    fn place(&mut self, unit: usize) {
        for (term, domain, owns, counts) in self.places(unit).to_vec() {
            let pods = self.each[&unit];
            self.counted[term][domain] += if counts { pods } else { 0 };
            self.owners[term][domain] += if owns { pods } else { 0 };
        }
        *self.placed.entry(unit).or_default() += 1;
    }
}
