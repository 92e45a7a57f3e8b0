//! Packings: whole nodes with whole pods, and the simple moves on them: fill, complete, right-size.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::solver::pattern_generation::Pattern;
use crate::solver::presolve::Reduced;
use crate::solver::variants::parts;

/// Nodes with their pods; node by node, not by pattern.
#[derive(Clone, Debug, Default)]
pub(super) struct Packing {
    pub(super) nodes: Vec<Pattern>,
    /// Pods of each class that no node holds.
    pub(super) unplaced: Vec<u32>,
    /// What is left of each side row.
    pub(super) limits: Vec<i64>,
    /// Values of the choices, which made the demand.
    pub(super) choices: Vec<i64>,
}

/// How a node is filled: classes in order of preference.
#[derive(Clone, Debug)]
pub(super) struct Order(pub(super) Vec<usize>);

impl Packing {
    /// No nodes: every pod that the choices ask for is unplaced.
    pub(super) fn empty(reduced: &Reduced, choices: Vec<i64>) -> Self {
        Self { nodes: Vec::new(), unplaced: reduced.demand_at(&choices), limits: reduced.limits.clone(), choices }
    }

    /// Micro-dollars of the nodes, of the choices and of the unplaced pods' penalties; nodes may be variants in part.
    pub(super) fn objective(&self, reduced: &Reduced) -> i64 {
        self.objective_of_whole(reduced) - parts(self, reduced).iter().map(|part| part.gain).sum::<i64>()
    }

    /// [`Self::objective`] where every node is one shape as a whole.
    pub(super) fn objective_of_whole(&self, reduced: &Reduced) -> i64 {
        let nodes: i64 = self.nodes.iter().map(|node| reduced.shapes[node.shape].cost).sum();
        let penalties: i64 = self.unplaced.iter().zip(&reduced.penalty).map(|(&n, penalty)| i64::from(n) * penalty).sum();
        nodes + penalties + reduced.cost_of_choices(&self.choices)
    }

    /// Whether the side rows have room for a node of `shape`; a row with a negative amount (a branch's lower limit) always has.
    pub(super) fn admits(&self, reduced: &Reduced, shape: usize) -> bool {
        reduced.shapes[shape].usage.iter().all(|&(row, amount)| amount <= 0 || self.limits[row] >= amount)
    }

    /// Adds a node whose pods are among the unplaced.
    pub(super) fn push(&mut self, reduced: &Reduced, node: Pattern) {
        for &(row, amount) in &reduced.shapes[node.shape].usage {
            self.limits[row] -= amount;
        }
        for &(class, count) in &node.counts {
            self.unplaced[class] -= count;
        }
        self.nodes.push(node);
    }

    /// Takes the node at `at` out; its pods are unplaced again. The last node takes its position.
    pub(super) fn remove(&mut self, reduced: &Reduced, at: usize) -> Pattern {
        let node = self.nodes.swap_remove(at);
        for &(row, amount) in &reduced.shapes[node.shape].usage {
            self.limits[row] += amount;
        }
        for &(class, count) in &node.counts {
            self.unplaced[class] += count;
        }
        node
    }

    /// Puts every node on the cheapest shape that holds its pods.
    pub(super) fn right_size(&mut self, reduced: &Reduced) {
        for at in 0..self.nodes.len() {
            self.right_size_at(reduced, at);
        }
    }

    /// Puts the node at `at` on the cheapest shape that holds its pods.
    pub(super) fn right_size_at(&mut self, reduced: &Reduced, at: usize) {
        let old = self.nodes[at].shape;
        let load = load(reduced, &self.nodes[at].counts);
        for &(row, amount) in &reduced.shapes[old].usage {
            self.limits[row] += amount;
        }
        let cheaper = (0..old).find(|&shape| {
            reduced.shapes[shape].cost < reduced.shapes[old].cost
                && holds(reduced, shape, &load, &self.nodes[at].counts)
                && self.admits(reduced, shape)
        });
        let new = cheaper.unwrap_or(old);
        for &(row, amount) in &reduced.shapes[new].usage {
            self.limits[row] -= amount;
        }
        self.nodes[at].shape = new;
    }

    /// Puts unplaced pods into room that nodes have left, largest first, each where it leaves least.
    pub(super) fn absorb(&mut self, reduced: &Reduced, size: &[f64], scarcity: &[f64]) {
        if self.unplaced.iter().all(|&n| n == 0) {
            return;
        }
        let mut rooms: Vec<Vec<i64>> = self.nodes.iter().map(|node| room(reduced, node)).collect();
        let mut classes: Vec<usize> = (0..reduced.classes()).filter(|&c| self.unplaced[c] > 0).collect();
        classes.sort_by(|&a, &b| size[b].total_cmp(&size[a]).then(a.cmp(&b)));
        for class in classes {
            while self.unplaced[class] > 0 {
                let best = (0..self.nodes.len())
                    .filter(|&at| {
                        reduced.eligible_bits[reduced.shapes[self.nodes[at].shape].eligible].contains(class)
                            && reduced.copies_beside(class, &rooms[at], &self.nodes[at].counts) > 0
                    })
                    .min_by(|&a, &b| {
                        let left = |at: usize| rooms[at].iter().zip(scarcity).map(|(&r, s)| r as f64 * s).sum::<f64>();
                        left(a).total_cmp(&left(b)).then(a.cmp(&b))
                    });
                let Some(at) = best else { break };
                let count = reduced.copies_beside(class, &rooms[at], &self.nodes[at].counts).min(self.unplaced[class]);
                reduced.take(class, i64::from(count), &mut rooms[at]);
                self.unplaced[class] -= count;
                add_count(&mut self.nodes[at].counts, class, count);
            }
        }
    }

    /// Buys nodes for the unplaced pods: again and again the node of least cost per value of its pods.
    ///
    /// Stops without adding more once the cost of the new nodes reaches `budget`; whether all pods were placed is for the caller to
    /// see. `candidates` are the shapes to choose from, `costs` those of all shapes as the rule sees them, side rows priced. What a
    /// shape could hold only gets worse as pods find their places, so a shape
    /// is filled anew only when its last ratio is the least of all (lazy evaluation, Minoux 1978).
    pub(super) fn complete(
        &mut self,
        reduced: &Reduced,
        values: &[f64],
        orders: &[Order],
        candidates: &[usize],
        costs: &[f64],
        budget: i64,
    ) {
        let mut counts = Vec::new();
        let mut ratio = |packing: &Self, offer: &Offer| -> f64 {
            let shape = candidates[offer.candidate];
            if !packing.admits(reduced, shape) {
                return f64::INFINITY;
            }
            let value = fill(reduced, shape, &orders[offer.order].0, &packing.unplaced, values, &mut counts);
            if value > 0.0 { costs[shape] / value } else { f64::INFINITY }
        };
        let mut queue = BinaryHeap::with_capacity(candidates.len() * orders.len());
        for candidate in 0..candidates.len() {
            for order in 0..orders.len() {
                let mut offer = Offer { ratio: 0.0, candidate, order, as_of: 0 };
                offer.ratio = ratio(self, &offer);
                if offer.ratio.is_finite() {
                    queue.push(Reverse(offer));
                }
            }
        }
        let (mut spent, mut bought) = (0, 0);
        let mut best = Vec::new();
        while spent < budget {
            let Some(Reverse(mut offer)) = queue.pop() else { break };
            if offer.as_of < bought {
                offer.ratio = ratio(self, &offer);
                offer.as_of = bought;
                if offer.ratio.is_finite() {
                    queue.push(Reverse(offer));
                }
                continue;
            }
            let shape = candidates[offer.candidate];
            fill(reduced, shape, &orders[offer.order].0, &self.unplaced, values, &mut best);
            best.sort_unstable();
            let times = best.iter().map(|&(class, n)| self.unplaced[class] / n).min().unwrap_or(0);
            for _ in 0..times {
                if spent >= budget || !self.admits(reduced, shape) {
                    break;
                }
                self.push(reduced, Pattern { shape, counts: best.clone() });
                spent += reduced.shapes[shape].cost;
            }
            bought += 1;
            queue.push(Reverse(offer));
        }
    }
}

/// A node that the greedy rule could buy, as good as it was when `as_of` purchases had been made.
#[derive(Clone, Copy)]
struct Offer {
    /// Cost per value.
    ratio: f64,
    candidate: usize,
    order: usize,
    as_of: u64,
}

impl Ord for Offer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.ratio.total_cmp(&other.ratio).then_with(|| (self.candidate, self.order).cmp(&(other.candidate, other.order)))
    }
}

impl PartialOrd for Offer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Offer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Offer {}

/// Fills a node of `shape` from `available` in the given order; the value of what is in it.
fn fill(
    reduced: &Reduced,
    shape: usize,
    order: &[usize],
    available: &[u32],
    values: &[f64],
    counts: &mut Vec<(usize, u32)>,
) -> f64 {
    counts.clear();
    let s = &reduced.shapes[shape];
    let bits = &reduced.eligible_bits[s.eligible];
    let mut left = [0_i64; 16];
    let mut spill;
    let left: &mut [i64] = if s.capacity.len() <= left.len() {
        left[..s.capacity.len()].copy_from_slice(&s.capacity);
        &mut left[..s.capacity.len()]
    } else {
        spill = s.capacity.clone();
        &mut spill
    };
    let mut value = 0.0;
    // Pods that need others beside them may only fit once those are there.
    for _ in 0..if reduced.has_needs { 2 } else { 1 } {
        for &class in order {
            if available[class] == 0 || !bits.contains(class) {
                continue;
            }
            let present =
                if reduced.has_needs { counts.iter().find(|entry| entry.0 == class).map_or(0, |entry| entry.1) } else { 0 };
            let count = reduced.copies_beside(class, left, counts).min(available[class] - present);
            if count > 0 {
                reduced.take(class, i64::from(count), left);
                if present > 0 {
                    counts.retain(|entry| entry.0 != class);
                }
                counts.push((class, count + present));
                value += values[class] * f64::from(count);
            }
        }
    }
    value
}

/// What the pods take.
pub(super) fn load(reduced: &Reduced, counts: &[(usize, u32)]) -> Vec<i64> {
    let mut sum = vec![0; reduced.dimensions];
    for &(class, count) in counts {
        reduced.take(class, -i64::from(count), &mut sum);
    }
    sum
}

/// What a node has left.
pub(super) fn room(reduced: &Reduced, node: &Pattern) -> Vec<i64> {
    let mut left = reduced.shapes[node.shape].capacity.clone();
    for &(class, count) in &node.counts {
        reduced.take(class, i64::from(count), &mut left);
    }
    left
}

/// Whether `shape` holds pods of that load and those classes.
pub(super) fn holds(reduced: &Reduced, shape: usize, load: &[i64], counts: &[(usize, u32)]) -> bool {
    let s = &reduced.shapes[shape];
    let bits = &reduced.eligible_bits[s.eligible];
    load.iter().zip(&s.capacity).all(|(l, c)| l <= c) && counts.iter().all(|&(class, _)| bits.contains(class))
}

/// Adds to a sorted list of counts.
pub(super) fn add_count(counts: &mut Vec<(usize, u32)>, class: usize, count: u32) {
    match counts.binary_search_by_key(&class, |entry| entry.0) {
        Ok(at) => counts[at].1 += count,
        Err(at) => counts.insert(at, (class, count)),
    }
}
