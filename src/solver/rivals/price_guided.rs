//! A greedy rule that prices guide: what a node is worth is what its pods' requests are worth, and the node of least cost per worth is
//! bought again and again, each filled with the largest pods first.
//!
//! Prices of the resources are the duals of covering the total demand by whole capacities. CvxCluster (arXiv 2605.01614, 2026) has its
//! prices from a convex relaxation of the same kind and then places greedily; its code was not at hand, so this is a reading of its idea,
//! not its algorithm.

use crate::solver::diving::{Guide, finish};
use crate::solver::engine::{guide, scarcity_of};
use crate::solver::packing::{Order, Packing};
use crate::solver::presolve::Reduced;

/// The packing of the rule.
pub(super) fn packing(reduced: &Reduced) -> Packing {
    let scarcity = scarcity_of(reduced);
    let worth = |class: usize| -> f64 { reduced.request_of(class).iter().zip(&scarcity).map(|(&r, s)| r as f64 * s).sum() };
    let values: Vec<f64> = (0..reduced.classes()).map(worth).collect();
    let mut largest_first: Vec<usize> = (0..reduced.classes()).collect();
    largest_first.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
    let all = (0..reduced.shapes.len()).collect();
    let guide = Guide { orders: vec![Order(largest_first)], ..guide(reduced, values, scarcity, all, reduced.start()) };
    let mut packing = Packing::empty(reduced, reduced.start());
    finish(reduced, &mut packing, &guide);
    packing
}
