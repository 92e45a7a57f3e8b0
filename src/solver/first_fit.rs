//! First-fit decreasing, as Karpenter packs: the yardstick and the first incumbent.
//!
//! Pods in order of the first dimension, then the second, largest first; each goes to the open node with the fewest pods that
//! still takes it. An open node is the set of shapes that hold its pods so far; the cheapest of them is bought at the end
//! (Karpenter core v1.15.0, `pkg/controllers/provisioning/scheduling`). Identical nodes are kept together with a count, so the
//! time follows the number of classes and patterns, not of pods.

use crate::solver::problem::Problem;
use crate::solver::solution::PatternUse;

/// Patterns that first-fit buys, sorted; demand that no shape holds is left out.
pub(super) fn first_fit(problem: &Problem) -> Vec<PatternUse> {
    let mut made = Vec::new();
    for (class, c) in problem.classes.iter().enumerate() {
        let cheapest = (0..problem.shapes.len())
            .filter(|&shape| problem.fits_alone(class, shape) && problem.shapes[shape].usage.is_empty())
            .min_by_key(|&shape| (problem.shapes[shape].cost, shape));
        if let Some(shape) = cheapest {
            made.push(PatternUse { shape, counts: vec![(class, 1)], nodes: c.demand });
        }
    }
    made.sort();
    made
}
