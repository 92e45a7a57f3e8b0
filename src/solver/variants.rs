//! Nodes that are a variant in part: how far what side rows leave is used, what it saves, and what the best use would save.
//!
//! A packing has every node as one shape as a whole. What is left of the side rows then is less than what one more node would take as
//! a variant, so it goes to a part of one; [`parts`] hands it out where it saves most per unit (the greedy rule is the optimum of
//! a continuous knapsack, Dantzig 1957; with several rows it need not be). [`least_cost`] is the optimum of the linear program.

use std::collections::BTreeMap;

use crate::solver::lp_backend::{Lp, LpColumn, LpStatus};
use crate::solver::packing::Packing;
use crate::solver::presolve::Reduced;

/// A node that is bought as a base and is one of its variants in part.
#[derive(Clone, Debug)]
pub(super) struct PartVariant {
    /// Index into the packing's nodes.
    pub(super) node: usize,
    /// The variant's shape.
    pub(super) variant: usize,
    /// Which part of the node, above 0 and at most 1.
    share: f64,
    /// Micro-dollars that it saves, rounded down; above 0.
    pub(super) gain: i64,
}

/// The nodes of `packing` that are variants in part, by what its nodes leave of the side rows; the most gainful first.
pub(super) fn parts(packing: &Packing, reduced: &Reduced) -> Vec<PartVariant> {
    let mut made: Vec<PartVariant> = Vec::new();
    if reduced.variants.is_empty() {
        return made;
    }
    let mut limits = packing.limits.clone();
    let mut options: Vec<(f64, usize, usize)> = Vec::new();
    for (node, pattern) in packing.nodes.iter().enumerate() {
        let variants = reduced.variants_of(pattern.shape).iter();
        for &variant in variants.filter(|&&variant| reduced.share_left(pattern.shape, variant, &limits) > 0.0) {
            let drawn: i64 = reduced.drawn(pattern.shape, variant).map(|(_, amount)| amount).sum();
            options.push((gain(reduced, pattern.shape, variant) as f64 / drawn.max(1) as f64, node, variant));
        }
    }
    options.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    for (_, node, variant) in options {
        let base = packing.nodes[node].shape;
        let used: f64 = made.iter().filter(|part| part.node == node).map(|part| part.share).sum();
        let share = reduced.share_left(base, variant, &limits).min(1.0 - used);
        let saved = (gain(reduced, base, variant) as f64 * share).floor() as i64;
        if saved > 0 {
            reduced.drawn(base, variant).for_each(|(row, amount)| limits[row] -= (amount as f64 * share).ceil() as i64);
            made.push(PartVariant { node, variant, share, gain: saved });
        }
    }
    made
}

/// Micro-dollars that a node saves as `variant` of `base`.
fn gain(reduced: &Reduced, base: usize, variant: usize) -> i64 {
    reduced.shapes[base].cost - reduced.shapes[variant].cost
}

/// Nodes as cheap as they can be.
pub(super) struct LeastCost {
    /// Micro-dollars of the nodes, rounded down.
    pub(super) cost: i64,
    /// The nodes, those that are variants as a whole as such.
    pub(super) shapes: Vec<usize>,
}

/// What nodes of these `bases` cost at least, side rows used in the best way; `None` when the linear program fails.
pub(super) fn least_cost(reduced: &Reduced, bases: &[usize]) -> Option<LeastCost> {
    let cost: i64 = bases.iter().map(|&shape| reduced.shapes[shape].cost).sum();
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    let mut limits = reduced.limits.clone();
    for &base in bases {
        *counts.entry(base).or_default() += 1;
        reduced.shapes[base].usage.iter().for_each(|&(row, amount)| limits[row] -= amount);
    }
    let options: Vec<(usize, usize, usize)> = (counts.iter().enumerate())
        .flat_map(|(at, (&base, _))| reduced.variants_of(base).iter().map(move |&variant| (at, base, variant)))
        .collect();
    if options.is_empty() {
        return Some(LeastCost { cost, shapes: bases.to_vec() });
    }
    let of_rows = limits.iter().map(|&limit| (f64::NEG_INFINITY, limit as f64));
    let of_bases = counts.values().map(|&count| (f64::NEG_INFINITY, count as f64));
    let columns: Vec<LpColumn> = options
        .iter()
        .map(|&(at, base, variant)| {
            let mut entries: Vec<(usize, f64)> = reduced.drawn(base, variant).map(|(row, amount)| (row, amount as f64)).collect();
            entries.push((limits.len() + at, 1.0));
            LpColumn { cost: -gain(reduced, base, variant) as f64, upper: counts[&base] as f64, entries }
        })
        .collect();
    let mut program = Lp::new(&of_rows.chain(of_bases).collect::<Vec<_>>());
    program.add_columns(&columns);
    if program.solve() != LpStatus::Optimal {
        return None;
    }
    let (values, _) = program.solution();
    let saved: f64 = columns.iter().zip(&values).map(|(column, value)| -column.cost * value).sum();
    let mut shapes = Vec::with_capacity(bases.len());
    for (&(_, base, variant), value) in options.iter().zip(&values) {
        let whole = ((value + 1e-9).floor() as usize).min(counts[&base]);
        shapes.extend(std::iter::repeat_n(variant, whole));
        counts.entry(base).and_modify(|left| *left -= whole);
    }
    shapes.extend(counts.into_iter().flat_map(|(base, left)| std::iter::repeat_n(base, left)));
    Some(LeastCost { cost: cost - (saved + 1e-6).floor() as i64, shapes })
}

/// Duals of the side rows at which no variant costs less than its capacity is worth at these prices of the dimensions; at most 0,
/// micro-dollars per unit.
pub(super) fn side_duals(reduced: &Reduced, scarcity: &[f64]) -> Vec<f64> {
    let mut duals = vec![0.0_f64; reduced.limits.len()];
    for base in 0..reduced.shapes.len() {
        for &variant in reduced.variants_of(base) {
            let shape = &reduced.shapes[variant];
            let worth: f64 = scarcity.iter().zip(&shape.bound_capacity).map(|(price, &room)| price * room as f64).sum();
            let Some((row, amount)) = reduced.drawn(base, variant).next() else { continue };
            duals[row] = duals[row].min((shape.cost as f64 - worth).min(0.0) / amount as f64);
        }
    }
    duals
}
