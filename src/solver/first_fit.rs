//! First-fit decreasing, as Karpenter packs: the yardstick and the first incumbent.
//!
//! Pods in order of the first dimension, then the second, largest first; each goes to the open node with the fewest pods that
//! still takes it. An open node stands for every shape that holds its pods so far; the cheapest of them is bought at the end
//! (Karpenter core v1.15.0, `pkg/controllers/provisioning/scheduling`). While a node is open it holds the largest amount of every
//! side row that its shapes might take, as Karpenter does with limits.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fixedbitset::FixedBitSet;

use crate::solver::packing::{Packing, add_count};
use crate::solver::pattern_generation::Pattern;
use crate::solver::presolve::Reduced;

struct OpenNode {
    counts: Vec<(usize, u32)>,
    load: Vec<i64>,
    /// Shapes that were possible when the node was opened, the roomiest first.
    shapes: Vec<usize>,
    /// Position in `shapes` that fitted last.
    hint: usize,
    reserved: Vec<(usize, i64)>,
}

impl OpenNode {
    /// Whether some shape still holds the node with one more pod of `class`; remembers which.
    fn accepts(&mut self, reduced: &Reduced, class: usize) -> bool {
        if reduced.beside(class, &self.counts) == 0 {
            return false;
        }
        let request = reduced.request_of(class);
        let fits = |shape: usize| {
            let s = &reduced.shapes[shape];
            let bits: &FixedBitSet = &reduced.eligible_bits[s.eligible];
            bits.contains(class)
                && self.load.iter().zip(request).zip(&s.capacity).all(|((load, more), room)| load + more <= *room)
                && self.counts.iter().all(|&(other, _)| bits.contains(other))
        };
        if fits(self.shapes[self.hint]) {
            return true;
        }
        match self.shapes.iter().position(|&shape| fits(shape)) {
            Some(found) => {
                self.hint = found;
                true
            }
            None => false,
        }
    }
}

/// The first-fit packing for the demand that `choices` make; pods that side rows leave no room for stay unplaced.
pub(super) fn first_fit(reduced: &Reduced, choices: &[i64]) -> Packing {
    let demand = reduced.demand_at(choices);
    let mut order: Vec<usize> = (0..reduced.classes()).collect();
    order.sort_by(|&a, &b| reduced.request_of(b).cmp(reduced.request_of(a)).then(a.cmp(&b)));
    let mut roomiest: Vec<usize> = (0..reduced.shapes.len()).collect();
    roomiest.sort_by(|&a, &b| reduced.shapes[b].capacity.cmp(&reduced.shapes[a].capacity).then(a.cmp(&b)));
    let mut limits = reduced.limits.clone();
    let mut open: Vec<OpenNode> = Vec::new();
    let mut pods: Vec<u64> = Vec::new();
    // Pods that need others beside them come once more when those are there.
    let again = order.iter().copied().filter(|_| reduced.has_needs).collect::<Vec<usize>>();
    let mut waiting = demand;
    for class in order.into_iter().chain(again) {
        let mut queue: BinaryHeap<Reverse<(u64, usize)>> = pods.iter().enumerate().map(|(at, &n)| Reverse((n, at))).collect();
        let mut left = std::mem::take(&mut waiting[class]);
        while left > 0 {
            let at = loop {
                let Some(Reverse((_, at))) = queue.pop() else { break None };
                if open[at].accepts(reduced, class) {
                    break Some(at);
                }
            };
            let at = match at {
                Some(at) => at,
                None => {
                    let Some(node) = open_node(reduced, class, &roomiest, &mut limits) else {
                        waiting[class] = left;
                        break;
                    };
                    open.push(node);
                    pods.push(0);
                    open.len() - 1
                }
            };
            let node = &mut open[at];
            add_count(&mut node.counts, class, 1);
            reduced.take(class, -1, &mut node.load);
            pods[at] += 1;
            left -= 1;
            queue.push(Reverse((pods[at], at)));
        }
    }
    buy(reduced, choices, open, limits)
}

fn open_node(reduced: &Reduced, class: usize, roomiest: &[usize], limits: &mut [i64]) -> Option<OpenNode> {
    let shapes: Vec<usize> = roomiest
        .iter()
        .copied()
        .filter(|&shape| {
            let s = &reduced.shapes[shape];
            reduced.eligible_bits[s.eligible].contains(class)
                && reduced.fits(class, &s.capacity)
                && s.usage.iter().all(|&(row, amount)| limits[row] >= amount)
        })
        .collect();
    if shapes.is_empty() || reduced.beside(class, &[]) == 0 {
        return None;
    }
    let mut reserved: Vec<(usize, i64)> = Vec::new();
    for &(row, amount) in shapes.iter().flat_map(|&shape| &reduced.shapes[shape].usage) {
        match reserved.iter_mut().find(|(known, _)| *known == row) {
            Some((_, most)) => *most = (*most).max(amount),
            None => reserved.push((row, amount)),
        }
    }
    for &(row, amount) in &reserved {
        limits[row] -= amount;
    }
    Some(OpenNode { counts: Vec::new(), load: vec![0; reduced.dimensions], shapes, hint: 0, reserved })
}

fn buy(reduced: &Reduced, choices: &[i64], open: Vec<OpenNode>, mut limits: Vec<i64>) -> Packing {
    let mut packing = Packing::empty(reduced, choices.to_vec());
    for node in open {
        for &(row, amount) in &node.reserved {
            limits[row] += amount;
        }
        packing.limits.copy_from_slice(&limits);
        let cheapest = node
            .shapes
            .iter()
            .copied()
            .filter(|&shape| {
                let s = &reduced.shapes[shape];
                let bits = &reduced.eligible_bits[s.eligible];
                node.load.iter().zip(&s.capacity).all(|(load, room)| load <= room)
                    && node.counts.iter().all(|&(class, _)| bits.contains(class))
                    && s.usage.iter().all(|&(row, amount)| limits[row] >= amount)
            })
            .min_by_key(|&shape| (reduced.shapes[shape].cost, shape));
        if let Some(shape) = cheapest {
            packing.push(reduced, Pattern { shape, counts: node.counts });
            limits.copy_from_slice(&packing.limits);
        }
    }
    packing.limits = limits;
    packing
}
