//! The compact model, presolved and handed to HiGHS, and what it answers as a packing.

use crate::solver::compact::{compact_columns, solve_compact};
use crate::solver::config::SolveError;
use crate::solver::control::Control;
use crate::solver::first_fit::first_fit;
use crate::solver::packing::{Packing, holds, load};
use crate::solver::pattern_generation::Pattern;
use crate::solver::presolve::Reduced;
use crate::solver::problem::{Class, Problem, Shape, SideRow};

/// HiGHS gets nowhere in a minute with more.
const MOST_COLUMNS: usize = 200_000;

/// What HiGHS found.
pub(super) struct Solved {
    pub(super) packing: Packing,
    /// The objective of the packing, where it is proven to be the least of the whole program.
    pub(super) bound: Option<i64>,
}

/// The packing of the compact model.
///
/// A shape has as many slots as there are pods, which is exact; where that is too large, as many as first-fit buys nodes in all, which may
/// leave out the optimum and proves nothing.
pub(super) fn packing(reduced: &Reduced, control: &Control<'_>) -> Result<Solved, SolveError> {
    let problem = presolved(reduced);
    let pods = reduced.most_demand.iter().fold(0_usize, |sum, &pods| sum.saturating_add(pods as usize));
    let (mut most_nodes, mut exact) = (pods, true);
    if compact_columns(&problem, most_nodes) > MOST_COLUMNS {
        (most_nodes, exact) = (first_fit(reduced, &reduced.start()).nodes.len(), false);
        let columns = compact_columns(&problem, most_nodes);
        if columns > MOST_COLUMNS {
            return Err(SolveError::TooLarge { columns, most: MOST_COLUMNS });
        }
    }
    let solved = solve_compact(&problem, most_nodes, control.seconds(1.0)).ok_or(SolveError::NothingFound)?;
    let mut packing = Packing::empty(reduced, solved.choices);
    for pattern in &solved.patterns {
        for _ in 0..pattern.nodes {
            let load = load(reduced, &pattern.counts);
            // HiGHS keeps rows to a tolerance, and without an incumbent its values mean nothing.
            let is_sound = holds(reduced, pattern.shape, &load, &pattern.counts)
                && packing.admits(reduced, pattern.shape)
                && pattern.counts.iter().all(|&(class, count)| packing.unplaced[class] >= count)
                && reduced.node_rules.iter().all(|rule| rule.holds(&pattern.counts));
            if !is_sound {
                return Err(SolveError::NothingFound);
            }
            if !pattern.counts.is_empty() {
                packing.push(reduced, Pattern { shape: pattern.shape, counts: pattern.counts.clone() });
            }
        }
    }
    let keeps_choices = reduced.choice_rows.iter().all(|row| row.holds(&packing.choices));
    // What variants save in part is shared out by a rule of thumb here.
    let costs_more = packing.objective(reduced) > solved.objective && (reduced.variants.is_empty() || packing.nodes.is_empty());
    if !keeps_choices || costs_more {
        return Err(SolveError::NothingFound);
    }
    let whole = reduced.shapes.iter().all(|shape| shape.capacity == shape.bound_capacity);
    let bound = (solved.proven && exact && whole).then_some(solved.objective);
    Ok(Solved { packing, bound })
}

/// The reduced program as one of its own; shape and class numbers stay.
fn presolved(reduced: &Reduced) -> Problem {
    let class = |class: usize| Class {
        demand: reduced.demand[class],
        request: reduced.request_of(class).to_vec(),
        penalty: reduced.penalty[class],
        most_per_node: reduced.most_per_node[class],
        family: reduced.family[class],
    };
    let base_of = |at: usize| reduced.shapes.iter().position(|shape| shape.origin == reduced.shapes[at].kin);
    let shape = |at: usize| {
        let shape = &reduced.shapes[at];
        Shape {
            capacity: shape.capacity.clone(),
            bound_capacity: shape.bound_capacity.clone(),
            cost: shape.cost,
            eligible: shape.eligible,
            usage: shape.usage.clone(),
            base: if reduced.is_variant(at) { base_of(at) } else { None },
        }
    };
    Problem {
        dimensions: reduced.dimensions,
        classes: (0..reduced.classes()).map(class).collect(),
        shapes: (0..reduced.shapes.len()).map(shape).collect(),
        eligibility: reduced.eligible_bits.clone(),
        side_rows: reduced.limits.iter().map(|&limit| SideRow { limit }).collect(),
        node_rules: reduced.node_rules.clone(),
        choices: reduced.choices.clone(),
        choice_rows: reduced.choice_rows.clone(),
    }
}
