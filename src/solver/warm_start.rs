//! First duals, columns and packings from programs that are easier than the whole one.
//!
//! 1. The program without places (`relaxation`): a fraction of the rows, and a bound that is a few percent too low.
//! 2. The whole program with few rows in the master (`aggregation`): patterns of every place, a bound that counts what places cost.
//! 3. Its relaxation divides the pods among the places, which are packed side by side (`places`).
//!
//! What the relaxations of the places use is a good first basis for the master with a row for every class.
//!
//! Where it is not places that divide the pods but selectors that many classes share, the second and the third step are one: the whole is
//! packed at the choices of the first plan.

use crate::solver::aggregation::Rows;
use crate::solver::choices::rounded;
use crate::solver::column_generation::{Master, MasterSolution, Place, column_generation, exchanges};
use crate::solver::control::Control;
use crate::solver::dual_bound::DualPoint;
use crate::solver::engine::{Incumbent, weights};
use crate::solver::pattern_generation::{Generator, Pattern};
use crate::solver::places;
use crate::solver::places::Places;
use crate::solver::presolve::Reduced;
use crate::solver::relaxation::relax;
use crate::solver::solution::Stage;

/// Share of the budget for the program without places.
const RELAXED_SHARE: f64 = 0.15;
/// The same above [`MANY_CLASSES`], where the whole program will hardly get any further.
const RELAXED_SHARE_OF_MANY: f64 = 0.35;
/// The gap at which the program without places is good enough.
const RELAXED_GAP: f64 = 0.015;
/// The same where the places follow, which raise the bound themselves.
const RELAXED_GAP_BEFORE_PLACES: f64 = 0.03;
/// From so many classes on the steps by place pay: below, the master of the whole program is quick enough.
const MANY_CLASSES: usize = 200;
/// The program with few rows is solved until this share of the budget is used, or to this gap.
const FEW_ROWS_UNTIL: f64 = 0.68;
/// See [`FEW_ROWS_UNTIL`].
const FEW_ROWS_GAP: f64 = 0.009;
/// Share of the budget for packing at the choices of the first plan.
const AT_CHOICES_SHARE: f64 = 0.8;
/// Share of the budget for packing the places, and when they have to be packed.
const PLACES_SHARE: f64 = 0.28;
/// See [`PLACES_SHARE`].
const PLACES_UNTIL: f64 = 0.96;

/// What a warm start gives besides the columns that it adds to the master.
pub(super) struct Warm {
    /// Where to begin; its bound is one of the whole program.
    pub(super) point: DualPoint,
    /// Whether the places were solved: then the master's columns are nearly all that its optimum needs.
    pub(super) by_place: bool,
}

/// The easier programs of `reduced`, one after the other; `None` where no two classes are of one family.
pub(super) fn warm_start(
    reduced: &Reduced,
    master: &mut Master<'_>,
    scarcity: &[f64],
    weights_of_all: &[f64],
    start: &DualPoint,
    incumbent: &mut Incumbent,
    control: &mut Control<'_>,
) -> Option<Warm> {
    let relaxation = relax(reduced)?;
    let smaller = &relaxation.reduced;
    let many = reduced.classes() > MANY_CLASSES;
    let mut of_classes = vec![0.0; smaller.classes()];
    for (class, &merged) in relaxation.class_of.iter().enumerate() {
        of_classes[merged] = start.duals[class];
    }
    let point = DualPoint { duals: of_classes, ..start.clone() };
    let mut generator = Generator::new(smaller, &weights(smaller, scarcity));
    let mut easier = Master::new(smaller, scarcity);
    // With more classes than that it is not places that divide the pods.
    let by_place = |places: &Places| reduced.classes() <= places.count() * smaller.classes();
    let places = if many { Places::new(reduced).filter(by_place) } else { None };
    let share = if many { RELAXED_SHARE_OF_MANY } else { RELAXED_SHARE };
    let gap = if places.is_some() { RELAXED_GAP_BEFORE_PLACES } else { RELAXED_GAP };
    let until = control.used() + share;
    let found = column_generation(&mut easier, &mut generator, point, gap, until, control, Place::Root)?;
    let used = easier.patterns.iter().zip(&found.solution.values).filter(|(_, value)| **value > 1e-6);
    let moved: Vec<Pattern> = used.flat_map(|(pattern, _)| relaxation.moved(reduced, pattern)).collect();
    let point = DualPoint { duals: relaxation.spread(&found.best.duals), ..found.best };
    let Some(places) = places else {
        master.add(moved);
        if many && reduced.limits.is_empty() {
            let until = control.used() + AT_CHOICES_SHARE;
            let found = pack_at_choices(
                reduced,
                master,
                scarcity,
                weights_of_all,
                &relaxation.class_of,
                &point,
                incumbent,
                until,
                control,
            );
            master.add(found);
        }
        return Some(Warm { point, by_place: false });
    };

    let rows = Rows::of_places(reduced, &relaxation.class_of);
    let mut few_rows = Master::with_rows(reduced, rows, exchanges(smaller, scarcity));
    few_rows.add(moved);
    let mut generator = Generator::new(reduced, weights_of_all);
    let found = column_generation(&mut few_rows, &mut generator, point, FEW_ROWS_GAP, FEW_ROWS_UNTIL, control, Place::Root)?;
    let choices = rounded(reduced, &found.solution.choices, control).unwrap_or_else(|| incumbent.packing.choices.clone());
    let setting = places::Setting {
        reduced,
        scarcity,
        weights: weights_of_all,
        merged: &relaxation.class_of,
        patterns: &few_rows.patterns,
        unit: few_rows.unit,
        solution: &found.solution,
    };
    let until = (control.used() + PLACES_SHARE).min(PLACES_UNTIL);
    let packed = places::pack(&setting, &places, &choices, until, control);
    incumbent.offer(reduced, &packed.packing, Stage::Diving, control);
    master.add(packed.used);
    Some(Warm { point: found.best, by_place: true })
}

/// Packs the whole at the choices of the incumbent, which leave a fraction of the classes; patterns for the master.
///
/// Where many classes share rules about labels there are more choices than pods, and a linear relaxation says little about them.
#[allow(clippy::too_many_arguments, reason = "what a stage of the engine works with")]
fn pack_at_choices(
    reduced: &Reduced,
    master: &Master<'_>,
    scarcity: &[f64],
    weights: &[f64],
    merged: &[usize],
    point: &DualPoint,
    incumbent: &mut Incumbent,
    until: f64,
    control: &mut Control<'_>,
) -> Vec<Pattern> {
    let choices = incumbent.packing.choices.clone();
    let solution = MasterSolution {
        objective: point.bound,
        values: vec![0.0; master.patterns.len()],
        duals: point.duals.clone(),
        side_duals: Vec::new(),
        choices: Vec::new(),
    };
    let patterns = &master.patterns;
    let setting = places::Setting { reduced, scarcity, weights, merged, patterns, unit: master.unit, solution: &solution };
    let packed = places::pack(&setting, &Places::one(reduced), &choices, until, control);
    incumbent.offer(reduced, &packed.packing, Stage::Diving, control);
    packed.used
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fixedbitset::FixedBitSet;
    use proptest::prelude::*;

    use super::*;
    use crate::solver::compact::solve_compact;
    use crate::solver::config::SolveConfig;
    use crate::solver::engine::scarcity_of;
    use crate::solver::presolve::presolve;
    use crate::solver::problem::{Choice, ChoiceRow, Class, Problem, Shape};

    /// A workload: what a pod asks for, its pods that have to stand in each of two places, those that stand in either as is chosen,
    /// and those that may stand anywhere.
    type Workload = ((i64, i64), u32, i64, u32);

    /// Workloads that are divided between two places, and shapes of the places: place, room, cost.
    fn problem(workloads: &[Workload], shapes: &[(usize, (i64, i64), i64)]) -> Problem {
        let mut made = Problem { dimensions: 2, ..Problem::default() };
        let mut places = [Vec::new(), Vec::new()];
        for (family, &((first, second), each, chosen, free)) in workloads.iter().enumerate() {
            let class = |demand, family| Class {
                demand,
                request: vec![first, second],
                penalty: 100_000,
                most_per_node: u32::MAX,
                family,
            };
            let choices = made.choices.len();
            for place in &mut places {
                place.push(made.classes.len());
                let demand = vec![(made.classes.len(), 1)];
                let start = if made.choices.len() == choices { chosen } else { 0 };
                made.choices.push(Choice { lower: 0, upper: chosen, start, cost: 0, demand });
                made.classes.push(class(each, family));
            }
            made.choice_rows.push(ChoiceRow { terms: vec![(choices, 1), (choices + 1, 1)], least: chosen, most: chosen });
            if free > 0 {
                places.iter_mut().for_each(|place| place.push(made.classes.len()));
                made.classes.push(class(free, workloads.len() + family));
            }
        }
        for place in places {
            let mut set = FixedBitSet::with_capacity(made.classes.len());
            set.extend(place);
            made.eligibility.push(set);
        }
        for &(eligible, (first, second), cost) in shapes {
            let capacity = vec![first, second];
            made.shapes.push(Shape { bound_capacity: capacity.clone(), capacity, cost, eligible, usage: Vec::new(), base: None });
        }
        made
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        /// A master with few rows proves nothing that is not so, and the places are packed without losing or inventing a pod.
        #[test]
        fn few_rows_and_places_are_sound(
            workloads in prop::collection::vec(((1_i64..5, 1_i64..5), 1_u32..3, 0_i64..2, 0_u32..3), 2..4),
            more in prop::collection::vec((0_usize..2, (4_i64..9, 4_i64..9), 10_i64..60), 1..4),
            costs in (20_i64..60, 20_i64..60),
        ) {
            let mut shapes = vec![(0, (6, 6), costs.0 * 1_000), (1, (6, 6), costs.1 * 1_000)];
            shapes.extend(more.into_iter().map(|(place, room, cost)| (place, room, cost * 1_000)));
            let problem = problem(&workloads, &shapes);
            problem.check().expect("the parts fit together");
            let reduced = presolve(&problem);
            let Some(relaxation) = relax(&reduced) else { return Ok(()) };
            let Some(places) = Places::new(&reduced) else { return Ok(()) };
            let config = SolveConfig { gap: 0.0, work_limit: Some(2_000_000), deadline: None, seed: 1 };
            let mut nobody = |_| {};
            let clock = || Duration::ZERO;
            let mut control = Control::new(&config, &clock, &mut nobody);
            let scarcity = scarcity_of(&reduced);
            let weights = weights(&reduced, &scarcity);
            let rows = Rows::of_places(&reduced, &relaxation.class_of);
            let mut few_rows = Master::with_rows(&reduced, rows, exchanges(&relaxation.reduced, &scarcity));
            let mut generator = Generator::new(&reduced, &weights);
            let nothing = vec![0.0; reduced.classes()];
            let start = DualPoint { duals: nothing, side_duals: Vec::new(), bound: 0.0 };
            let found = column_generation(&mut few_rows, &mut generator, start, 1e-4, 0.5, &mut control, Place::Root);
            let found = found.expect("a master with artificial columns has a solution");
            // As many slots as there are pods at most: with fewer the model is a restriction.
            let optimum = solve_compact(&problem, 21, Some(30.0)).filter(|best| best.proven);
            if let Some(best) = &optimum {
                prop_assert!(control.bound() <= best.objective, "bound {} above {}", control.bound(), best.objective);
            }
            let choices = rounded(&reduced, &found.solution.choices, &mut control).unwrap_or_else(|| reduced.start());
            let setting = places::Setting {
                reduced: &reduced,
                scarcity: &scarcity,
                weights: &weights,
                merged: &relaxation.class_of,
                patterns: &few_rows.patterns,
                unit: few_rows.unit,
                solution: &found.solution,
            };
            let packing = places::pack(&setting, &places, &choices, 0.9, &mut control).packing;
            let mut pods = packing.unplaced.clone();
            for node in &packing.nodes {
                let mut left = reduced.shapes[node.shape].capacity.clone();
                for &(class, count) in &node.counts {
                    pods[class] += count;
                    reduced.take(class, i64::from(count), &mut left);
                    prop_assert!(reduced.eligible_bits[reduced.shapes[node.shape].eligible].contains(class));
                }
                prop_assert!(left.iter().all(|&room| room >= 0), "a node is overfull");
            }
            prop_assert_eq!(pods, reduced.demand_at(&choices));
            if let Some(best) = &optimum {
                prop_assert!(packing.objective(&reduced) >= best.objective);
            }
        }
    }
}
