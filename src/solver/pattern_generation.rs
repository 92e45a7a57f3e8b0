//! Pattern generation: for given duals the most valuable pattern of each shape, and an upper bound on that value.
//!
//! (Elsewhere "the pricing problem"; here "price" always means dollars.) With duals `pi >= 0` of the classes and `mu <= 0` of the
//! side rows, a pattern of shape s improves the master when `pi a > allowance_s = cost_s - mu usage_s`. The smallest ratio
//! `allowance_s / bound_s` over all shapes scales the duals into feasible ones (Farley 1990): see `dual_bound`.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::solver::dense;
use crate::solver::dense::Table;
use crate::solver::knapsack;
use crate::solver::knapsack::Items;
use crate::solver::packing::add_count;
use crate::solver::presolve::Reduced;
use crate::solver::ruled::Ruled;

/// Largest number of cells of a dense table; beyond it a shape is left to the beam search.
const DENSE_CELLS: usize = 60_000;

/// Cells of a table that one piece passes in a unit of work.
const CELLS_PER_WORK: u64 = 1_000;
/// Work units of a linear optimum per item.
const LINEAR_WORK: u64 = 2;
/// Patterns that a pass over a few shapes makes in all, and of one shape at most.
const VARIANTS_OF_FEW: usize = 40;
/// See [`VARIANTS_OF_FEW`].
const VARIANTS_PER_SHAPE: usize = 8;

/// Beam width, and patterns of one shape, when columns for the integer stages are gathered.
const NEAR_WIDTH: usize = 400;
/// See [`NEAR_WIDTH`].
const NEAR_PER_SHAPE: usize = 40;

/// A pattern of the reduced program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pattern {
    pub(super) shape: usize,
    /// `(class, count)`, classes ascending.
    pub(super) counts: Vec<(usize, u32)>,
}

/// How hard to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Beam width of the deviation search; 0 leaves the linear bound.
    pub(super) width: usize,
    /// Largest work of a table over the items whose counts are open, cells times pieces; it takes the place of the deviation search.
    pub(super) core: u64,
    /// Refine only where the bound exceeds the allowance by this relative amount.
    pub(super) threshold: f64,
    /// Patterns to return per shape.
    pub(super) keep: usize,
    /// Whether to return the best pattern through each class as well.
    pub(super) through_classes: bool,
}

/// What one pass over all shapes gives.
pub(super) struct Generated {
    /// Patterns worth more than their shape's allowance, with the excess relative to the allowance; best first.
    pub(super) patterns: Vec<(f64, Pattern)>,
    /// Smallest `allowance / bound` over the shapes (1e9 when every bound is 0).
    pub(super) ratio: f64,
    /// `allowance / bound` of each shape: near 1 where a shape is worth buying.
    pub(super) ratios: Vec<f64>,
    /// No pattern of a shape is worth more than this.
    pub(super) values: Vec<f64>,
    /// Deterministic work.
    pub(super) work: u64,
}

/// Shapes of one eligibility set that a dense table serves.
struct DenseGroup {
    eligible: usize,
    room: (usize, usize),
}

/// The state that generation keeps between passes.
pub(super) struct Generator<'a> {
    reduced: &'a Reduced,
    /// Last price of each dimension per shape.
    last_y: Vec<Vec<f64>>,
    /// Largest count of each class on each shape's pattern is bounded by this.
    most: Vec<u32>,
    dense_dimensions: Option<(usize, usize)>,
    groups: Vec<DenseGroup>,
    /// Group that serves each shape.
    group_of: Vec<Option<usize>>,
    /// Disjoint sets of classes of which a node has one pod at most, all in all.
    cliques: Vec<Vec<usize>>,
    /// Per class the clique that it is in.
    clique_of: Vec<Option<usize>>,
}

fn clique_of(classes: usize, cliques: &[Vec<usize>]) -> Vec<Option<usize>> {
    let mut of = vec![None; classes];
    for (number, clique) in cliques.iter().enumerate() {
        clique.iter().for_each(|&class| of[class] = Some(number));
    }
    of
}

/// The guards of rules that count them and allow one.
fn cliques(reduced: &Reduced) -> Vec<Vec<usize>> {
    let mut taken = vec![false; reduced.classes()];
    let mut made = Vec::new();
    for rule in reduced.node_rules.iter().filter(|rule| rule.most == 1) {
        let own = rule.guards.iter().copied().filter(|class| rule.members.binary_search(class).is_ok() && !taken[*class]);
        let own: Vec<usize> = own.collect();
        if own.len() > 1 {
            own.iter().for_each(|&class| taken[class] = true);
            made.push(own);
        }
    }
    made
}

/// Gives groups of different sets one box where that stays within the limit, so that they share a first part.
fn unify(groups: &mut [DenseGroup]) {
    for at in 0..groups.len() {
        let mut room = groups[at].room;
        let mut members = vec![at];
        for other in 0..groups.len() {
            let joined = (room.0.max(groups[other].room.0), room.1.max(groups[other].room.1));
            let alike = groups[other].room.0.max(groups[at].room.0) < 2 * groups[other].room.0.min(groups[at].room.0).max(1);
            if groups[other].eligible != groups[at].eligible && alike && (joined.0 + 1) * (joined.1 + 1) <= DENSE_CELLS {
                room = joined;
                members.push(other);
            }
        }
        for member in members {
            groups[member].room = room;
        }
    }
}

struct ShapeResult {
    bound: f64,
    y: Option<Vec<f64>>,
    patterns: Vec<(f64, Pattern)>,
    work: u64,
}

impl<'a> Generator<'a> {
    /// `scarcity[d]` weighs the dimensions; the two scarcest span the dense tables.
    pub(super) fn new(reduced: &'a Reduced, scarcity: &[f64]) -> Self {
        let mut order: Vec<usize> = (0..reduced.dimensions).collect();
        order.sort_by(|&a, &b| scarcity[b].total_cmp(&scarcity[a]).then(a.cmp(&b)));
        let dense_dimensions = (order.len() >= 2).then(|| (order[0].min(order[1]), order[0].max(order[1])));
        let mut groups: Vec<DenseGroup> = Vec::new();
        let mut group_of = vec![None; reduced.shapes.len()];
        if let Some((first, second)) = dense_dimensions {
            // Smallest boxes first: a group grows while its table stays within the limit.
            let mut shapes: Vec<(u128, usize)> = reduced
                .shapes
                .iter()
                .enumerate()
                .map(|(at, shape)| ((shape.bound_capacity[first] as u128 + 1) * (shape.bound_capacity[second] as u128 + 1), at))
                .collect();
            shapes.sort_unstable();
            for (cells, at) in shapes {
                if cells > DENSE_CELLS as u128 {
                    break;
                }
                let shape = &reduced.shapes[at];
                let size = (shape.bound_capacity[first] as usize, shape.bound_capacity[second] as usize);
                let found = groups.iter().position(|group| {
                    let joined = (group.room.0.max(size.0), group.room.1.max(size.1));
                    group.eligible == shape.eligible && (joined.0 + 1) * (joined.1 + 1) <= DENSE_CELLS
                });
                let group = found.unwrap_or_else(|| {
                    groups.push(DenseGroup { eligible: shape.eligible, room: (0, 0) });
                    groups.len() - 1
                });
                let room = &mut groups[group].room;
                *room = (room.0.max(size.0), room.1.max(size.1));
                group_of[at] = Some(group);
            }
        }
        unify(&mut groups);
        let cliques = cliques(reduced);
        Self {
            reduced,
            last_y: vec![vec![0.0; reduced.dimensions]; reduced.shapes.len()],
            most: (0..reduced.classes()).map(|class| reduced.most_demand[class].min(reduced.most_per_node[class])).collect(),
            dense_dimensions,
            groups,
            group_of,
            clique_of: clique_of(reduced.classes(), &cliques),
            cliques,
        }
    }

    /// Lowers the largest counts, for a residual demand. Bounds of later passes are those of the residual program.
    pub(super) fn set_most(&mut self, most: &[u32]) {
        self.most = most.iter().zip(&self.reduced.most_per_node).map(|(&most, &per_node)| most.min(per_node)).collect();
    }

    /// The pattern of `counts` (classes ascending) with its value: what node rules forbid goes, and what then fits comes in. Also
    /// whether nothing had to go.
    fn pattern(&self, shape: usize, mut counts: Vec<(usize, u32)>, duals: &[f64]) -> (f64, Pattern, bool) {
        let reduced = self.reduced;
        counts.retain(|entry| entry.1 > 0);
        let illegal = !reduced.node_rules.is_empty() && reduced.make_legal(&mut counts, duals);
        if illegal {
            self.refill(shape, &mut counts, duals);
        }
        let value = counts.iter().map(|&(class, n)| duals[class] * f64::from(n)).sum();
        (value, Pattern { shape, counts }, !illegal)
    }

    /// Fills what is left of a node, by value per share of the room.
    fn refill(&self, shape: usize, counts: &mut Vec<(usize, u32)>, duals: &[f64]) {
        let reduced = self.reduced;
        let s = &reduced.shapes[shape];
        let mut left = s.capacity.clone();
        for &(class, count) in counts.iter() {
            reduced.take(class, i64::from(count), &mut left);
        }
        let share = |class: usize| -> f64 {
            let shares = reduced.request_of(class).iter().zip(&s.capacity);
            shares.filter(|(request, _)| **request > 0).map(|(&request, &room)| request as f64 / room.max(1) as f64).sum()
        };
        let mut order: Vec<(f64, usize)> = reduced.eligible[s.eligible]
            .iter()
            .filter(|&&class| duals[class] > 1e-9 && self.most[class] > 0 && reduced.fits(class, &left))
            .map(|&class| (duals[class] / share(class).max(1e-12), class))
            .collect();
        order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, class) in order {
            let present = counts.iter().find(|entry| entry.0 == class).map_or(0, |entry| entry.1);
            let more = reduced.copies_beside(class, &left, counts).min(self.most[class].saturating_sub(present));
            if more > 0 {
                reduced.take(class, i64::from(more), &mut left);
                add_count(counts, class, more);
            }
        }
    }

    /// Items of a shape: eligible classes of positive dual that fit.
    pub(super) fn items(&self, shape: usize, duals: &[f64], for_bound: bool) -> Items {
        let reduced = self.reduced;
        let shape = &reduced.shapes[shape];
        let capacity = if for_bound { &shape.bound_capacity } else { &shape.capacity };
        let mut items = Items { weight: vec![Vec::new(); reduced.dimensions], ..Items::default() };
        for &class in &reduced.eligible[shape.eligible] {
            if duals[class] <= 1e-9 || self.most[class] == 0 {
                continue;
            }
            let most = reduced.copies(class, capacity).min(self.most[class]);
            if most > 0 {
                items.class.push(class);
                items.value.push(duals[class]);
                items.most.push(most);
                items.clique.push(self.clique_of[class]);
                for (weights, &request) in items.weight.iter_mut().zip(reduced.request_of(class)) {
                    weights.push(request as f64);
                }
            }
        }
        items
    }

    /// One pass over all shapes.
    pub(super) fn generate(&mut self, duals: &[f64], allowance: &[f64], effort: Effort) -> Generated {
        let tables = self.tables(duals);
        let results: Vec<ShapeResult> = (0..self.reduced.shapes.len())
            .into_par_iter()
            .map(|shape| {
                let table = self.group_of[shape].map(|group| &tables[group]);
                self.shape(shape, duals, allowance[shape], effort, table)
            })
            .collect();
        let mut generated = Generated { patterns: Vec::new(), ratio: 1e9, ratios: Vec::new(), values: Vec::new(), work: 0 };
        for (shape, result) in results.into_iter().enumerate() {
            let ratio = if result.bound > 0.0 { allowance[shape] / result.bound } else { 1e9 };
            generated.ratio = generated.ratio.min(ratio);
            generated.ratios.push(ratio);
            generated.values.push(result.bound);
            if let Some(y) = result.y {
                self.last_y[shape] = y;
            }
            generated.patterns.extend(result.patterns);
            generated.work += result.work;
        }
        if effort.through_classes {
            self.through_classes(duals, allowance, &tables, &mut generated.patterns);
        }
        let cells: usize = self.groups.iter().map(|group| (group.room.0 + 1) * (group.room.1 + 1)).sum();
        generated.work += ((cells / 100 + self.reduced.shapes.len() / 8) * duals.len() / 2) as u64;
        generated.patterns.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        generated.patterns.dedup_by(|a, b| a.1 == b.1);
        generated
    }

    /// A pass over a few shapes without dense tables: the linear optimum of each, rounded, and again with the duals of its pods
    /// lowered, so that the patterns differ. No bound.
    pub(super) fn generate_some(&self, duals: &[f64], allowance: &[f64], shapes: &[usize]) -> Generated {
        let variants = (VARIANTS_OF_FEW / shapes.len().max(1)).clamp(2, VARIANTS_PER_SHAPE);
        let found: Vec<(Vec<(f64, Pattern)>, u64)> =
            shapes.par_iter().map(|&shape| self.variants(shape, duals, allowance[shape], variants)).collect();
        let mut generated = Generated { patterns: Vec::new(), ratio: 1e9, ratios: Vec::new(), values: Vec::new(), work: 0 };
        for (patterns, work) in found {
            generated.patterns.extend(patterns);
            generated.work += work;
        }
        generated
    }

    fn variants(&self, shape: usize, duals: &[f64], allowance: f64, variants: usize) -> (Vec<(f64, Pattern)>, u64) {
        let s = &self.reduced.shapes[shape];
        let mut items = self.items(shape, duals, false);
        let room: Vec<f64> = s.capacity.iter().map(|&b| b as f64).collect();
        let mut patterns = Vec::new();
        let work = LINEAR_WORK * (items.len() + 8) as u64 * variants as u64;
        for _ in 0..variants {
            let linear = knapsack::linear_optimum(&items, &room);
            let (_, counts) = knapsack::rounded(&items, &room, &linear);
            let value: f64 = items.class.iter().zip(&counts).map(|(&class, &n)| duals[class] * f64::from(n)).sum();
            if value <= allowance * (1.0 + 1e-9) {
                break;
            }
            for (i, &count) in counts.iter().enumerate() {
                items.value[i] *= 1.0 - 0.1 * f64::from(count) / f64::from(items.most[i]);
            }
            let (value, pattern, _) = self.pattern(shape, items.class.iter().copied().zip(counts).collect(), duals);
            patterns.push((value / allowance - 1.0, pattern));
        }
        (patterns, work)
    }

    /// Patterns of every shape that are worth at least `1 - slack` of their allowance: columns for the integer stages.
    pub(super) fn near_improving(&self, duals: &[f64], allowance: &[f64], slack: f64) -> Vec<Pattern> {
        let found: Vec<Vec<Pattern>> = (0..self.reduced.shapes.len())
            .into_par_iter()
            .map(|shape| {
                let s = &self.reduced.shapes[shape];
                let items = self.items(shape, duals, false);
                let room: Vec<f64> = s.capacity.iter().map(|&b| b as f64).collect();
                let floor = allowance[shape] * (1.0 - slack);
                let linear = knapsack::linear_optimum(&items, &room);
                if linear.bound <= floor {
                    return Vec::new();
                }
                let searched = knapsack::search(&items, &room, &linear, floor, NEAR_WIDTH, NEAR_PER_SHAPE);
                let rounded = knapsack::rounded(&items, &room, &linear);
                searched
                    .patterns
                    .into_iter()
                    .chain([rounded])
                    .map(|(_, counts)| self.pattern(shape, items.class.iter().copied().zip(counts).collect(), duals).1)
                    .collect()
            })
            .collect();
        found.into_iter().flatten().collect()
    }

    /// Whether a dense table serves the shape.
    pub(super) fn is_dense(&self, shape: usize) -> bool {
        self.group_of[shape].is_some()
    }

    /// The dense tables. Groups with boxes of one size share a first part: the classes that are eligible in all of them.
    fn tables(&self, duals: &[f64]) -> Vec<Table> {
        let Some(dimensions) = self.dense_dimensions else { return Vec::new() };
        let mut families: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        for (at, group) in self.groups.iter().enumerate() {
            families.entry(group.room).or_default().push(at);
        }
        let built: Vec<Vec<(usize, Table)>> = families
            .into_iter()
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|(room, members)| {
                let sets: Vec<usize> = members.iter().map(|&at| self.groups[at].eligible).collect();
                let everywhere = |class: usize| sets.iter().all(|&set| self.reduced.eligible_bits[set].contains(class));
                // A clique is offered at once, so all of it is shared or nothing.
                let mut shared: Vec<bool> = (0..self.reduced.classes()).map(everywhere).collect();
                let mut alone = vec![true; self.reduced.classes()];
                for clique in &self.cliques {
                    let whole = clique.iter().all(|&class| shared[class]);
                    clique.iter().for_each(|&class| (shared[class], alone[class]) = (whole, false));
                }
                let items: Vec<dense::Item> =
                    (0..self.reduced.classes()).map(|class| self.dense_item(class, dimensions, duals)).collect();
                let mut base = Table::empty(room, dense::largest(items.iter(), room));
                for class in (0..self.reduced.classes()).filter(|&class| shared[class] && alone[class]) {
                    base.offer(class, &items[class]);
                }
                for clique in self.cliques.iter().filter(|clique| shared[clique[0]]) {
                    base.offer_one_of(clique.iter().map(|&class| (class, &items[class])));
                }
                members
                    .par_iter()
                    .map(|&at| {
                        let mut table = base.clone();
                        let here = self.groups[at].eligible;
                        let own = self.reduced.eligible[here].iter().filter(|&&class| !shared[class] && alone[class]);
                        own.for_each(|&class| table.offer(class, &items[class]));
                        for clique in self.cliques.iter().filter(|clique| !shared[clique[0]]) {
                            let own = clique.iter().filter(|&&class| self.reduced.eligible_bits[here].contains(class));
                            table.offer_one_of(own.map(|&class| (class, &items[class])));
                        }
                        (at, table)
                    })
                    .collect()
            })
            .collect();
        let mut tables: Vec<(usize, Table)> = built.into_iter().flatten().collect();
        tables.sort_by_key(|(at, _)| *at);
        tables.into_iter().map(|(_, table)| table).collect()
    }

    fn dense_item(&self, class: usize, (first, second): (usize, usize), duals: &[f64]) -> dense::Item {
        let request = self.reduced.request_of(class);
        let counts = duals[class] > 1e-9 && (request[first] > 0 || request[second] > 0);
        dense::Item {
            size: (request[first] as usize, request[second] as usize),
            value: duals[class].max(0.0),
            most: if counts { self.most[class] } else { 0 },
        }
    }

    fn shape(&self, shape: usize, duals: &[f64], allowance: f64, effort: Effort, table: Option<&Table>) -> ShapeResult {
        let reduced = self.reduced;
        let s = &reduced.shapes[shape];
        let weightless: f64 = reduced.eligible[s.eligible]
            .iter()
            .filter(|&&class| self.is_weightless(class))
            .map(|&class| duals[class].max(0.0) * f64::from(self.most[class]))
            .sum();
        let target = allowance * (1.0 + effort.threshold);
        if let (Some(table), Some((first, second))) = (table, self.dense_dimensions) {
            let room = (s.bound_capacity[first] as usize, s.bound_capacity[second] as usize);
            let bound = table.best(room) + weightless;
            let mut result = ShapeResult { bound, y: None, patterns: Vec::new(), work: 1 };
            if bound <= target {
                return result;
            }
            let room = (s.capacity[first] as usize, s.capacity[second] as usize);
            let listed = table.pattern(room);
            let (value, pattern, whole) = self.clip(shape, &listed, duals);
            if value > allowance * (1.0 + 1e-9) {
                result.patterns.push((value / allowance - 1.0, pattern));
            }
            if whole && weightless == 0.0 {
                return result;
            }
            // Another dimension cut the pattern, so the table's bound may be loose: look closer.
            let mut closer = self.closer(shape, duals, allowance, effort);
            closer.bound = closer.bound.min(bound);
            closer.patterns.extend(result.patterns);
            return closer;
        }
        self.closer(shape, duals, allowance, effort)
    }

    fn is_weightless(&self, class: usize) -> bool {
        self.dense_dimensions.is_some_and(|(first, second)| {
            let request = self.reduced.request_of(class);
            request[first] == 0 && request[second] == 0
        })
    }

    /// Linear bound, rounding and deviation search of one shape.
    fn closer(&self, shape: usize, duals: &[f64], allowance: f64, effort: Effort) -> ShapeResult {
        let s = &self.reduced.shapes[shape];
        let items = self.items(shape, duals, true);
        let room: Vec<f64> = s.bound_capacity.iter().map(|&b| b as f64).collect();
        let target = allowance * (1.0 + effort.threshold);
        let quick = knapsack::lagrangian(&items, &room, &self.last_y[shape]);
        let work = items.len() as u64 / 4 + 2;
        if quick <= target.min(allowance) {
            return ShapeResult { bound: quick, y: None, patterns: Vec::new(), work };
        }
        let linear = knapsack::linear_optimum(&items, &room);
        let bound = linear.bound.min(quick);
        let work = work + LINEAR_WORK * (items.len() + 8) as u64;
        if bound <= allowance {
            return ShapeResult { bound, y: Some(linear.y), patterns: Vec::new(), work };
        }
        let y = Some(linear.y.clone());
        let same_room = s.capacity == s.bound_capacity;
        let mut patterns = Vec::new();
        let (own_items, own_room, own_linear);
        let (items_for_patterns, room_for_patterns, linear_for_patterns) = if same_room {
            (&items, &room, &linear)
        } else {
            own_items = self.items(shape, duals, false);
            own_room = s.capacity.iter().map(|&b| b as f64).collect::<Vec<f64>>();
            own_linear = knapsack::linear_optimum(&own_items, &own_room);
            (&own_items, &own_room, &own_linear)
        };
        let (value, counts) = knapsack::rounded(items_for_patterns, room_for_patterns, linear_for_patterns);
        let mut add = |value: f64, counts: &[u32], items: &Items| {
            if value > allowance * (1.0 + 1e-9) {
                let counts = items.class.iter().copied().zip(counts.iter().copied()).collect();
                let (value, pattern, _) = self.pattern(shape, counts, duals);
                patterns.push((value / allowance - 1.0, pattern));
            }
        };
        add(value, &counts, items_for_patterns);
        if bound <= target || (effort.width == 0 && effort.core == 0) {
            return ShapeResult { bound, y, patterns, work };
        }
        let floor = target.max(if same_room { value } else { 0.0 });
        let solved = Ruled { generator: self, shape, duals, floor, worthless: allowance * (1.0 + 1e-7), most_work: effort.core };
        if let Some(solved) = solved.solve(&items, &room, &linear) {
            let work = work + solved.work / CELLS_PER_WORK;
            if same_room {
                patterns.extend(solved.patterns.into_iter().map(|(value, pattern)| (value / allowance - 1.0, pattern)));
            }
            return ShapeResult { bound: solved.bound.max(floor).min(bound), y, patterns, work };
        }
        if effort.width == 0 {
            return ShapeResult { bound, y, patterns, work };
        }
        let searched = knapsack::search(&items, &room, &linear, floor, effort.width, effort.keep);
        let work = work + (effort.width * items.len()) as u64;
        if same_room {
            for (value, counts) in &searched.patterns {
                add(*value, counts, &items);
            }
        }
        ShapeResult { bound: searched.bound.max(floor).min(bound), y, patterns, work }
    }

    /// Scarcest two dimensions, where there are two.
    pub(super) fn dense_dimensions(&self) -> Option<(usize, usize)> {
        self.dense_dimensions
    }

    /// The program.
    pub(super) fn reduced(&self) -> &'a Reduced {
        self.reduced
    }

    /// Fits listed counts into a shape: its value, and whether nothing had to go.
    pub(super) fn clip(&self, shape: usize, listed: &[(usize, u32)], duals: &[f64]) -> (f64, Pattern, bool) {
        let reduced = self.reduced;
        let mut left = reduced.shapes[shape].capacity.clone();
        let mut counts = Vec::with_capacity(listed.len());
        let mut whole = true;
        let mut sorted = listed.to_vec();
        sorted.sort_unstable();
        for (class, wanted) in sorted {
            let count = reduced.copies(class, &left).min(wanted).min(self.most[class]);
            whole &= count == wanted;
            if count > 0 {
                reduced.take(class, i64::from(count), &mut left);
                counts.push((class, count));
            }
        }
        let (value, pattern, legal) = self.pattern(shape, counts, duals);
        (value, pattern, whole && legal)
    }

    /// For each class the best pattern that holds it, over the shapes with a dense table: columns that touch every row speed the
    /// master up far more than more columns for the same few rows.
    fn through_classes(&self, duals: &[f64], allowance: &[f64], tables: &[Table], patterns: &mut Vec<(f64, Pattern)>) {
        let reduced = self.reduced;
        let Some((first, second)) = self.dense_dimensions else { return };
        let found: Vec<Option<(f64, Pattern)>> = (0..reduced.classes())
            .into_par_iter()
            .map(|class| {
                let request = reduced.request_of(class);
                let mut best: Option<(f64, usize, (usize, usize))> = None;
                for (shape, s) in reduced.shapes.iter().enumerate() {
                    let Some(group) = self.group_of[shape] else { continue };
                    let table = &tables[group];
                    if !reduced.eligible_bits[s.eligible].contains(class) || !reduced.fits(class, &s.capacity) {
                        continue;
                    }
                    let rest = ((s.capacity[first] - request[first]) as usize, (s.capacity[second] - request[second]) as usize);
                    let excess = (table.best(rest) + duals[class]) / allowance[shape] - 1.0;
                    if best.is_none_or(|(most, _, _)| excess > most) {
                        best = Some((excess, shape, rest));
                    }
                }
                let (excess, shape, rest) = best?;
                if excess <= 1e-7 || self.most[class] == 0 {
                    return None;
                }
                let table = &tables[self.group_of[shape]?];
                let mut listed = table.pattern(rest);
                match listed.iter_mut().find(|(c, _)| *c == class) {
                    Some(own) => own.1 += 1,
                    None => listed.push((class, 1)),
                }
                let (value, pattern, _) = self.clip(shape, &listed, duals);
                let excess = value / allowance[shape] - 1.0;
                (excess > 1e-7).then_some((excess, pattern))
            })
            .collect();
        patterns.extend(found.into_iter().flatten());
    }
}
