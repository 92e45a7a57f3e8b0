//! Presolve: the same program with smaller numbers and fewer shapes.
//!
//! 1. Classes that no shape holds and no choice fills leave the program (their pods stay unplaced).
//! 2. Every dimension is divided by the greatest common divisor of its requests (capacity rounds down).
//! 3. Capacities are cut to what eligible pods can use: their total demand, and what the other dimensions leave room for.
//! 4. A shape goes when a cheaper one holds at least as much for at least the same classes and takes no more of any side row.
//!
//! Each step keeps the set of optimal solutions (up to exchanging a shape for one that dominates it). `bound_capacity` takes the
//! place of `capacity` wherever a cut must be valid for the bound.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;

use crate::solver::problem::{Choice, ChoiceRow, NodeRule, Problem};

/// A shape of the reduced program.
#[derive(Clone, Debug)]
pub(super) struct ReducedShape {
    /// Room for patterns.
    pub(super) capacity: Vec<i64>,
    /// Room for the bound.
    pub(super) bound_capacity: Vec<i64>,
    /// Micro-dollars per hour.
    pub(super) cost: i64,
    /// Index into `Reduced::eligible`.
    pub(super) eligible: usize,
    /// As in the problem.
    pub(super) usage: Vec<(usize, i64)>,
    /// Index of the shape in the problem.
    pub(super) origin: usize,
    /// What a base and its variants have in common: the index of the base in the problem.
    pub(super) kin: usize,
}

/// The reduced program. Class `c` here is class `class_origin[c]` of the problem.
#[derive(Clone, Debug)]
pub(super) struct Reduced {
    pub(super) dimensions: usize,
    /// Whatever the choices.
    pub(super) demand: Vec<u32>,
    /// The same at its largest over all choices.
    pub(super) most_demand: Vec<u32>,
    /// The most pods of each class on one node.
    pub(super) most_per_node: Vec<u32>,
    /// As in the problem.
    pub(super) family: Vec<usize>,
    /// `request[c * dimensions + d]`.
    pub(super) request: Vec<i64>,
    pub(super) penalty: Vec<i64>,
    /// Sorted by cost, then origin.
    pub(super) shapes: Vec<ReducedShape>,
    /// Eligibility sets as ascending lists of classes.
    pub(super) eligible: Vec<Vec<usize>>,
    /// The same as bit sets.
    pub(super) eligible_bits: Vec<FixedBitSet>,
    /// Limits of the side rows.
    pub(super) limits: Vec<i64>,
    pub(super) node_rules: Vec<NodeRule>,
    /// Whether some rule asks for pods beside others.
    pub(super) has_needs: bool,
    /// The rules of `node_rules` that each class is in.
    pub(super) rules_of: Vec<Vec<usize>>,
    pub(super) choices: Vec<Choice>,
    pub(super) choice_rows: Vec<ChoiceRow>,
    pub(super) class_origin: Vec<usize>,
    /// The variants of each base that has some, shapes here, by the base's index in the problem.
    pub(super) variants: BTreeMap<usize, Vec<usize>>,
}

impl Reduced {
    /// What a node of `variant` takes of side rows beyond one of `base`.
    pub(super) fn drawn(&self, base: usize, variant: usize) -> impl Iterator<Item = (usize, i64)> {
        let of_base = &self.shapes[base].usage;
        self.shapes[variant].usage.iter().filter(|used| !of_base.contains(used)).copied()
    }

    /// Whether `shape` is a variant of another one.
    pub(super) fn is_variant(&self, shape: usize) -> bool {
        self.variants.get(&self.shapes[shape].kin).is_some_and(|family| family.contains(&shape))
    }

    /// The variants of `shape`; none where it is one itself.
    pub(super) fn variants_of(&self, shape: usize) -> &[usize] {
        if self.is_variant(shape) { &[] } else { self.variants.get(&self.shapes[shape].kin).map_or(&[], Vec::as_slice) }
    }

    /// Which part of a node of `base` could be `variant`, by what is left of the side rows.
    pub(super) fn share_left(&self, base: usize, variant: usize, limits: &[i64]) -> f64 {
        self.drawn(base, variant).map(|(row, amount)| limits[row] as f64 / amount as f64).fold(1.0, f64::min)
    }

    /// Sets [`Self::variants`] by the shapes.
    pub(super) fn find_variants(&mut self) {
        let varied = self.shapes.iter().enumerate().filter(|(_, shape)| shape.kin != shape.origin);
        let mut variants: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        varied.for_each(|(at, shape)| variants.entry(shape.kin).or_default().push(at));
        self.variants = variants;
    }

    pub(super) fn classes(&self) -> usize {
        self.demand.len()
    }

    pub(super) fn request_of(&self, class: usize) -> &[i64] {
        &self.request[class * self.dimensions..(class + 1) * self.dimensions]
    }

    /// Whether one pod of `class` fits into `room`.
    pub(super) fn fits(&self, class: usize, room: &[i64]) -> bool {
        self.request_of(class).iter().zip(room).all(|(request, left)| request <= left)
    }

    /// How many pods of `class` fit into `room`.
    pub(super) fn copies(&self, class: usize, room: &[i64]) -> u32 {
        let mut most = i64::from(u32::MAX);
        for (&request, &left) in self.request_of(class).iter().zip(room) {
            if left < 0 {
                return 0;
            }
            if request > 0 {
                most = most.min(left / request);
            }
        }
        most as u32
    }

    /// How many more pods of `class` may stand on a node with `room` left beside `counts`, each class at most once among them.
    pub(super) fn copies_beside(&self, class: usize, room: &[i64], counts: &[(usize, u32)]) -> u32 {
        let most = self.copies(class, room);
        if most == 0 { 0 } else { most.min(self.beside(class, counts)) }
    }

    /// The same as far as node rules go.
    pub(super) fn beside(&self, class: usize, counts: &[(usize, u32)]) -> u32 {
        if self.most_per_node[class] == u32::MAX && self.rules_of[class].is_empty() {
            return u32::MAX;
        }
        let present = counts.iter().find(|entry| entry.0 == class).map_or(0, |entry| entry.1);
        let mut most = self.most_per_node[class].saturating_sub(present);
        for &rule in &self.rules_of[class] {
            if most == 0 {
                break;
            }
            most = most.min(self.node_rules[rule].admits(class, counts));
        }
        most
    }

    /// Takes pods out of `counts` until every node rule holds: of what stands in the way of one another, the less valuable side.
    /// Whether anything had to go.
    pub(super) fn make_legal(&self, counts: &mut Vec<(usize, u32)>, values: &[f64]) -> bool {
        let mut changed = false;
        for (class, count) in counts.iter_mut() {
            changed |= *count > self.most_per_node[*class];
            *count = (*count).min(self.most_per_node[*class]);
        }
        let mut rules: Vec<usize> = counts.iter().flat_map(|&(class, _)| self.rules_of[class].iter().copied()).collect();
        rules.sort_unstable();
        rules.dedup();
        while let Some(&broken) = rules.iter().find(|&&rule| !self.node_rules[rule].holds(counts)) {
            let rule = &self.node_rules[broken];
            changed = true;
            let worth = |classes: &[usize], counts: &[(usize, u32)]| -> f64 {
                let of = counts.iter().filter(|entry| classes.binary_search(&entry.0).is_ok());
                of.map(|&(class, n)| values[class] * f64::from(n)).sum()
            };
            let surplus = rule.count(counts).saturating_sub(rule.most);
            // Guards that are members cannot all go when some member may stay.
            let guards_alone = rule.guards.iter().all(|guard| rule.members.binary_search(guard).is_err());
            if surplus == 0 || (guards_alone && worth(&rule.guards, counts) < worth(&rule.members, counts)) {
                counts.retain(|entry| rule.guards.binary_search(&entry.0).is_err());
                continue;
            }
            let mut left = surplus;
            let mut order: Vec<usize> =
                (0..counts.len()).filter(|&at| rule.members.binary_search(&counts[at].0).is_ok()).collect();
            order.sort_by(|&a, &b| values[counts[a].0].total_cmp(&values[counts[b].0]).then(a.cmp(&b)));
            for at in order {
                let gone = counts[at].1.min(left);
                counts[at].1 -= gone;
                left -= gone;
            }
            counts.retain(|entry| entry.1 > 0);
        }
        changed
    }

    /// What each class asks for at these values of the choices.
    pub(super) fn demand_at(&self, choices: &[i64]) -> Vec<u32> {
        let mut demand = self.demand.clone();
        for (choice, &value) in self.choices.iter().zip(choices) {
            let value = u32::try_from(value).unwrap_or(0);
            for &(class, pods) in &choice.demand {
                demand[class] = demand[class].saturating_add(value.saturating_mul(pods));
            }
        }
        demand
    }

    /// The starts of the choices.
    pub(super) fn start(&self) -> Vec<i64> {
        self.choices.iter().map(|choice| choice.start).collect()
    }

    /// Micro-dollars of these choices.
    pub(super) fn cost_of_choices(&self, choices: &[i64]) -> i64 {
        self.choices.iter().zip(choices).map(|(choice, value)| choice.cost * value).sum()
    }

    /// Takes `count` pods of `class` out of `room` (gives back when negative).
    pub(super) fn take(&self, class: usize, count: i64, room: &mut [i64]) {
        for (&request, left) in self.request_of(class).iter().zip(room) {
            *left -= request * count;
        }
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Reduces `problem`, which has been checked.
pub(super) fn presolve(problem: &Problem) -> Reduced {
    let fits = |class: usize, shape: usize| problem.fits_alone(class, shape);
    let mut chosen = FixedBitSet::with_capacity(problem.classes.len());
    chosen.extend(problem.choices.iter().flat_map(|choice| choice.demand.iter().map(|entry| entry.0)));
    let class_origin: Vec<usize> = (0..problem.classes.len())
        .filter(|&class| chosen.contains(class) || (0..problem.shapes.len()).any(|shape| fits(class, shape)))
        .collect();
    let position: Vec<Option<usize>> = (0..problem.classes.len()).map(|class| class_origin.binary_search(&class).ok()).collect();
    let kept = |classes: &[usize]| classes.iter().filter_map(|&class| position[class]).collect::<Vec<usize>>();
    let node_rules = rules_among(&problem.node_rules, &kept);
    let rules_of = rules_by_class(&node_rules, class_origin.len());
    let choices: Vec<Choice> = problem
        .choices
        .iter()
        .map(|choice| {
            let demand = choice.demand.iter().filter_map(|&(class, pods)| Some((position[class]?, pods))).collect();
            Choice { demand, ..choice.clone() }
        })
        .collect();
    let largest = problem.largest_demand();
    let dimensions = problem.dimensions;
    let divisor: Vec<i64> =
        (0..dimensions).map(|d| class_origin.iter().map(|&c| problem.classes[c].request[d]).fold(0, gcd).max(1)).collect();
    let mut reduced = Reduced {
        dimensions,
        demand: class_origin.iter().map(|&c| problem.classes[c].demand).collect(),
        most_demand: class_origin.iter().map(|&c| largest[c].unwrap_or(u32::MAX)).collect(),
        most_per_node: class_origin.iter().map(|&c| problem.classes[c].most_per_node).collect(),
        family: class_origin.iter().map(|&c| problem.classes[c].family).collect(),
        request: class_origin
            .iter()
            .flat_map(|&c| problem.classes[c].request.iter().zip(&divisor).map(|(request, by)| request / by))
            .collect(),
        penalty: class_origin.iter().map(|&c| problem.classes[c].penalty).collect(),
        shapes: Vec::new(),
        eligible: Vec::new(),
        eligible_bits: Vec::new(),
        limits: problem.side_rows.iter().map(|row| row.limit).collect(),
        has_needs: node_rules.iter().any(|rule| rule.least > 0),
        node_rules,
        rules_of,
        choices,
        choice_rows: problem.choice_rows.clone(),
        class_origin,
        variants: BTreeMap::new(),
    };
    for set in &problem.eligibility {
        let list: Vec<usize> = (0..reduced.classes()).filter(|&c| set.contains(reduced.class_origin[c])).collect();
        let mut bits = FixedBitSet::with_capacity(reduced.classes());
        bits.extend(list.iter().copied());
        reduced.eligible.push(list);
        reduced.eligible_bits.push(bits);
    }
    let ratios: Vec<Vec<Vec<f64>>> = reduced.eligible.iter().map(|list| largest_ratios(&reduced, list)).collect();
    let total: Vec<Vec<i64>> = reduced.eligible.iter().map(|list| total_demand(&reduced, list)).collect();
    let mut shapes: Vec<ReducedShape> = Vec::new();
    for (origin, shape) in problem.shapes.iter().enumerate() {
        if shape.capacity.iter().any(|&room| room < 0) || reduced.eligible[shape.eligible].is_empty() {
            continue;
        }
        let scale = |capacity: &[i64]| -> Vec<i64> {
            let mut scaled: Vec<i64> = capacity.iter().zip(&divisor).map(|(room, by)| room / by).collect();
            tighten(&mut scaled, &total[shape.eligible], &ratios[shape.eligible]);
            scaled
        };
        shapes.push(ReducedShape {
            capacity: scale(&shape.capacity),
            bound_capacity: scale(&shape.bound_capacity),
            cost: shape.cost,
            eligible: shape.eligible,
            usage: shape.usage.clone(),
            origin,
            kin: shape.base.unwrap_or(origin),
        });
    }
    shapes.sort_by_cached_key(|shape| (shape.cost, Reverse(shape.capacity.clone()), shape.origin));
    shapes.retain(|shape| reduced.eligible[shape.eligible].iter().any(|&class| reduced.fits(class, &shape.capacity)));
    reduced.shapes = undominated(shapes, &reduced.eligible_bits);
    reduced.find_variants();
    reduced
}

/// The rules as far as they are about kept classes: `kept` are the new numbers of those among some classes, ascending.
pub(super) fn rules_among(rules: &[NodeRule], kept: &dyn Fn(&[usize]) -> Vec<usize>) -> Vec<NodeRule> {
    let rules = rules.iter().map(|rule| NodeRule { guards: kept(&rule.guards), members: kept(&rule.members), ..rule.clone() });
    rules.filter(|rule| !rule.guards.is_empty() && (rule.least > 0 || !rule.members.is_empty())).collect()
}

/// Per class the rules that it is in.
pub(super) fn rules_by_class(rules: &[NodeRule], classes: usize) -> Vec<Vec<usize>> {
    let mut rules_of = vec![Vec::new(); classes];
    for (number, rule) in rules.iter().enumerate() {
        let mut of: Vec<usize> = rule.guards.iter().chain(&rule.members).copied().collect();
        of.sort_unstable();
        of.dedup();
        of.into_iter().for_each(|class| rules_of[class].push(number));
    }
    rules_of
}

/// The shapes, sorted by cost, that are kin: each list ascending with the base, the dearest, at its end; in order of the bases.
pub(super) fn kin(shapes: &[ReducedShape]) -> Vec<Vec<usize>> {
    let mut made: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    shapes.iter().enumerate().for_each(|(at, shape)| made.entry(shape.kin).or_default().push(at));
    let mut made: Vec<Vec<usize>> = made.into_values().collect();
    made.sort_by_key(|family| family.last().copied());
    made
}

/// The shapes that no cheaper one dominates, sorted by cost as `shapes` are.
///
/// A base and its variants go together, since a node may be some of each: they are dominated where each of them is, by shapes that are
/// kin again.
pub(super) fn undominated(shapes: Vec<ReducedShape>, sets: &[FixedBitSet]) -> Vec<ReducedShape> {
    let supersets: Vec<Vec<bool>> = sets.iter().map(|large| sets.iter().map(|small| small.is_subset(large)).collect()).collect();
    let dominates = |other: &ReducedShape, shape: &ReducedShape| {
        other.cost <= shape.cost
            && supersets[other.eligible][shape.eligible]
            && at_least(&other.capacity, &shape.capacity)
            && at_least(&other.bound_capacity, &shape.bound_capacity)
            && takes_no_more(&other.usage, &shape.usage)
    };
    let families = kin(&shapes);
    let mut kept: Vec<&Vec<usize>> = Vec::new();
    for family in &families {
        let by =
            |other: &&Vec<usize>| family.iter().all(|&at| other.iter().any(|&better| dominates(&shapes[better], &shapes[at])));
        if !kept.iter().any(by) {
            kept.push(family);
        }
    }
    let mut stays = FixedBitSet::with_capacity(shapes.len());
    stays.extend(kept.into_iter().flatten().copied());
    let of = |(at, shape): (usize, ReducedShape)| stays.contains(at).then_some(shape);
    shapes.into_iter().enumerate().filter_map(of).collect()
}

fn at_least(large: &[i64], small: &[i64]) -> bool {
    large.iter().zip(small).all(|(l, s)| l >= s)
}

fn takes_no_more(kept: &[(usize, i64)], other: &[(usize, i64)]) -> bool {
    kept.iter().all(|&(row, amount)| other.iter().any(|&(r, a)| r == row && a >= amount))
}

fn total_demand(reduced: &Reduced, list: &[usize]) -> Vec<i64> {
    let most = |class: usize| i64::from(reduced.most_demand[class].min(reduced.most_per_node[class]));
    (0..reduced.dimensions).map(|d| list.iter().map(|&c| reduced.request_of(c)[d].saturating_mul(most(c))).sum()).collect()
}

/// `ratios[d][e]`: the most of dimension `d` that one unit of dimension `e` can bring; infinite if some pod takes none of `e`.
fn largest_ratios(reduced: &Reduced, list: &[usize]) -> Vec<Vec<f64>> {
    let dims = reduced.dimensions;
    let mut ratios = vec![vec![0.0_f64; dims]; dims];
    for &class in list {
        let request = reduced.request_of(class);
        for d in 0..dims {
            for e in 0..dims {
                if request[d] > 0 {
                    let ratio = if request[e] == 0 { f64::INFINITY } else { request[d] as f64 / request[e] as f64 };
                    ratios[d][e] = ratios[d][e].max(ratio);
                }
            }
        }
    }
    ratios
}

fn tighten(capacity: &mut [i64], total: &[i64], ratios: &[Vec<f64>]) {
    for (room, demand) in capacity.iter_mut().zip(total) {
        *room = (*room).min(*demand);
    }
    let before = capacity.to_vec();
    for (d, room) in capacity.iter_mut().enumerate() {
        for (e, &other) in before.iter().enumerate() {
            let most = ratios[d][e] * other as f64;
            if e != d && most.is_finite() {
                // The tolerance keeps an exact ratio from being cut by one unit through rounding.
                *room = (*room).min((most + 1e-6 + most * 1e-12).floor() as i64);
            }
        }
    }
}
