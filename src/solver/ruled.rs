//! The best pattern of a shape under rules about what stands together on a node.
//!
//! A table knows nothing of node rules, so its best pattern may break one, and then its value is more than any node is worth. Where a
//! rule is broken the patterns are divided: those without the rule's guards, and those with no more members than it allows. Each part
//! is a knapsack with smaller counts again.

use crate::solver::core_table::Core;
use crate::solver::knapsack::{Items, LinearOptimum, lagrangian, linear_optimum};
use crate::solver::pattern_generation::{Generator, Pattern};
use crate::solver::problem::NodeRule;

/// Knapsacks that one shape may take; what is open then keeps its bound.
const MOST_PARTS: usize = 40;
/// Prices of a dimension outside the table that are tried.
const PRICE_STEPS: usize = 6;

/// What is sought.
pub(super) struct Ruled<'g, 'a> {
    pub(super) generator: &'g Generator<'a>,
    pub(super) shape: usize,
    pub(super) duals: &'g [f64],
    /// Values up to this are all the same.
    pub(super) floor: f64,
    /// Patterns up to this value are not of interest.
    pub(super) worthless: f64,
    /// Largest table, cells times pieces.
    pub(super) most_work: u64,
}

/// What was found.
pub(super) struct RuledBest {
    /// No pattern that keeps the rules is worth more.
    pub(super) bound: f64,
    /// Patterns that keep the rules, with their values.
    pub(super) patterns: Vec<(f64, Pattern)>,
    /// Cells times pieces of all tables.
    pub(super) work: u64,
    /// Knapsacks that were solved.
    pub(super) parts: usize,
}

impl Ruled<'_, '_> {
    /// Searches the knapsack of `items`; `None` where its table would be too large.
    pub(super) fn solve(&self, items: &Items, room: &[f64], linear: &LinearOptimum) -> Option<RuledBest> {
        let pair = self.generator.dense_dimensions()?;
        let root = Core::new(items, room, linear, self.floor, pair, self.most_work)?;
        let mut best = RuledBest { bound: self.floor, patterns: Vec::new(), work: 0, parts: 1 };
        let mut open: Vec<(Items, f64)> = Vec::new();
        self.part(&root, items, room, linear, &mut best, &mut open);
        while let Some((items, bound)) = open.pop() {
            if bound <= best.bound {
                continue;
            }
            best.parts += 1;
            let linear = if best.parts > MOST_PARTS { None } else { Some(linear_optimum(&items, room)) };
            let Some(linear) = linear.filter(|linear| linear.bound > best.bound) else {
                best.bound = if best.parts > MOST_PARTS { bound } else { best.bound };
                continue;
            };
            match Core::new(&items, room, &linear, self.floor, pair, self.most_work) {
                Some(core) => self.part(&core, &items, room, &linear, &mut best, &mut open),
                None => best.bound = best.bound.max(linear.bound.min(bound)),
            }
        }
        Some(best)
    }

    /// Solves one part: either its best pattern keeps everything, or it is divided, or its bound stays.
    fn part(
        &self,
        core: &Core,
        items: &Items,
        room: &[f64],
        linear: &LinearOptimum,
        best: &mut RuledBest,
        open: &mut Vec<(Items, f64)>,
    ) {
        let mut solved = self.table(core, items, best);
        let mut bound = solved.bound;
        // Another dimension is exceeded: its price in the relaxation is too low for whole pods.
        let exceeded = |top: &[(usize, u32)]| (0..room.len()).find(|&d| self.load(top, d) > room[d]);
        if let (Some(d), Some(pair)) = (exceeded(&solved.top).filter(|_| bound > best.bound), self.generator.dense_dimensions()) {
            let mut low = linear.y[d];
            let mut high = f64::INFINITY;
            let mut price = (2.0 * low).max(0.1 * linear.bound / room[d].max(1.0));
            for _ in 0..PRICE_STEPS {
                let mut priced = linear.clone();
                priced.y[d] = price;
                priced.bound = lagrangian(items, room, &priced.y);
                let Some(core) = Core::new(items, room, &priced, self.floor, pair, self.most_work) else { break };
                let next = self.table(&core, items, best);
                let over = self.load(&next.top, d) > room[d];
                if next.bound <= bound {
                    bound = next.bound;
                    solved = next;
                }
                if bound <= best.bound {
                    return;
                }
                if over {
                    low = price;
                } else {
                    high = price;
                }
                price = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * price };
            }
        }
        if bound <= best.bound {
            return;
        }
        let reduced = self.generator.reduced();
        let broken = reduced.node_rules.iter().find(|rule| !rule.holds(&solved.top)).filter(|_| !solved.whole);
        match broken.and_then(|rule| divide(rule, items, &solved.top)) {
            Some(parts) => open.extend(parts.into_iter().map(|part| (part, bound))),
            None => best.bound = bound,
        }
    }

    /// What pods take of a dimension.
    fn load(&self, counts: &[(usize, u32)], d: usize) -> f64 {
        let reduced = self.generator.reduced();
        counts.iter().map(|&(class, n)| reduced.request_of(class)[d] as f64 * f64::from(n)).sum()
    }

    /// Fills the table of a core and keeps its patterns.
    fn table(&self, core: &Core, items: &Items, best: &mut RuledBest) -> Filled {
        let solved = core.solve(self.worthless);
        best.work += core.work();
        let mut filled = Filled { bound: solved.bound, top: Vec::new(), whole: true };
        for (number, counts) in solved.patterns.into_iter().enumerate() {
            let mut listed: Vec<(usize, u32)> = items.class.iter().copied().zip(counts).filter(|entry| entry.1 > 0).collect();
            listed.sort_unstable();
            let (value, pattern, whole) = self.generator.clip(self.shape, &listed, self.duals);
            if value > self.worthless {
                best.patterns.push((value, pattern));
            }
            if number == 0 {
                (filled.whole, filled.top) = (whole, listed);
            }
        }
        filled
    }
}

/// A table's best.
struct Filled {
    bound: f64,
    /// The pattern of that value, by class; empty where it is not of interest.
    top: Vec<(usize, u32)>,
    /// Whether it keeps the rules and the other dimensions.
    whole: bool,
}

/// The items without the patterns that break `rule` as `counts` does; `None` where that is not a matter of smaller counts.
fn divide(rule: &NodeRule, items: &Items, counts: &[(usize, u32)]) -> Option<Vec<Items>> {
    let present = rule.count(counts);
    if present <= rule.most {
        return None;
    }
    let is_guard = |class: usize| rule.guards.binary_search(&class).is_ok();
    let is_member = |class: usize| rule.members.binary_search(&class).is_ok();
    let mut parts = Vec::new();
    if rule.guards != rule.members {
        parts.push(limited(items, &|class| if is_guard(class) { 0 } else { u32::MAX }));
    }
    if rule.most == 0 || counts.iter().any(|&(class, n)| is_member(class) && n > rule.most) {
        parts.push(limited(items, &|class| if is_member(class) { rule.most } else { u32::MAX }));
    } else {
        // Some member has fewer pods than here.
        for &(fewer, count) in counts.iter().filter(|entry| is_member(entry.0)) {
            parts.push(limited(items, &|class| if class == fewer { count - 1 } else { u32::MAX }));
        }
    }
    Some(parts)
}

/// The items with at most `most` of each class.
fn limited(items: &Items, most: &dyn Fn(usize) -> u32) -> Items {
    let mut made = Items { weight: vec![Vec::new(); items.weight.len()], ..Items::default() };
    for i in 0..items.len() {
        let left = items.most[i].min(most(items.class[i]));
        if left > 0 {
            made.class.push(items.class[i]);
            made.value.push(items.value[i]);
            made.most.push(left);
            made.clique.extend(items.clique.get(i));
            made.weight.iter_mut().zip(&items.weight).for_each(|(to, from)| to.push(from[i]));
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use fixedbitset::FixedBitSet;
    use proptest::prelude::*;

    use super::*;
    use crate::solver::presolve::{Reduced, presolve};
    use crate::solver::problem::{Class, Problem, Shape};

    /// The best value of a pattern of the only shape, by trying every one.
    fn brute(reduced: &Reduced, duals: &[f64], class: usize, counts: &mut Vec<(usize, u32)>, left: &mut Vec<i64>) -> f64 {
        if class == reduced.classes() {
            let legal = reduced.node_rules.iter().all(|rule| rule.holds(counts));
            let value = counts.iter().map(|&(class, n)| duals[class] * f64::from(n)).sum();
            return if legal { value } else { 0.0 };
        }
        let most = reduced.copies(class, left).min(reduced.most_per_node[class]).min(reduced.most_demand[class]);
        let mut best: f64 = 0.0;
        for count in 0..=most {
            if count > 0 {
                counts.push((class, count));
            }
            reduced.take(class, i64::from(count), left);
            best = best.max(brute(reduced, duals, class + 1, counts, left));
            reduced.take(class, -i64::from(count), left);
            if count > 0 {
                counts.pop();
            }
        }
        best
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

        /// The bound is never below the best pattern that keeps everything, and equal to it where the search went to its end and only
        /// the two dimensions of the table bind; patterns are sound.
        #[test]
        fn the_bound_holds(
            rows in prop::collection::vec((1_i64..6, 1_i64..6, 0_i64..2, 1_u32..4, 1_u32..20), 2..6),
            room in (4_i64..16, 4_i64..16, 1_i64..8),
            rules in prop::collection::vec((prop::collection::vec(any::<bool>(), 6), prop::collection::vec(any::<bool>(), 6), 0_u32..3), 0..3),
            share in 0.0_f64..1.0,
        ) {
            let of = |row: &[bool]| (0..rows.len()).filter(|&class| row[class]).collect::<Vec<usize>>();
            let mut all = FixedBitSet::with_capacity(rows.len());
            all.insert_range(..);
            let capacity = vec![room.0, room.1, room.2];
            let problem = Problem {
                dimensions: 3,
                classes: rows.iter().map(|r| Class { demand: r.3, request: vec![r.0, r.1, r.2], penalty: 1_000, most_per_node: u32::MAX, family: 0 }).collect(),
                shapes: vec![Shape { bound_capacity: capacity.clone(), capacity, cost: 100, eligible: 0, usage: Vec::new(), base: None }],
                eligibility: vec![all],
                node_rules: rules.iter().map(|(guards, members, most)| NodeRule { guards: of(guards), members: of(members), least: 0, most: *most }).collect(),
                ..Problem::default()
            };
            let reduced = presolve(&problem);
            prop_assume!(!reduced.shapes.is_empty());
            let duals: Vec<f64> = reduced.class_origin.iter().map(|&class| f64::from(rows[class].4)).collect();
            let generator = Generator::new(&reduced, &[3.0, 2.0, 0.1]);
            let shape = &reduced.shapes[0];
            let exact = brute(&reduced, &duals, 0, &mut Vec::new(), &mut shape.capacity.clone());
            let items = generator.items(0, &duals, true);
            prop_assume!(items.len() > 0);
            let room: Vec<f64> = shape.capacity.iter().map(|&b| b as f64).collect();
            let linear = linear_optimum(&items, &room);
            let floor = share * exact;
            prop_assume!(linear.bound > floor);
            let sought = Ruled { generator: &generator, shape: 0, duals: &duals, floor, worthless: floor, most_work: 1_000_000 };
            let found = sought.solve(&items, &room, &linear).expect("a small table");
            prop_assert!(found.bound >= exact - 1e-6, "bound {} below {exact}", found.bound);
            for (value, pattern) in &found.patterns {
                prop_assert!(*value <= exact + 1e-6 && reduced.node_rules.iter().all(|rule| rule.holds(&pattern.counts)));
            }
            let binds = room[2] < items.most.iter().zip(&items.weight[2]).map(|(&n, w)| f64::from(n) * w).sum::<f64>();
            // The search may end before everything is divided.
            if !binds && found.parts <= MOST_PARTS {
                prop_assert!(found.bound <= exact.max(floor) + 1e-4, "bound {} above {exact}", found.bound);
            }
        }
    }
}
