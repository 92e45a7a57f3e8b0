//! The engine against exhaustive search: random small programs whose optimum is known.
//!
//! The search shares no code with the engine. It settles the pods in the order of the classes: the first pod that is left either
//! stays unplaced or gets a node together with any others that fit, so every packing is met once per order of its nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use fixedbitset::FixedBitSet;
use proptest::prelude::*;
use supercargo::solver::compact::solve_compact;
use supercargo::solver::{Class, Problem, Shape, SideRow, Solution, SolveConfig, Stop, solve};

use crate::config;

/// Programs have at most so many vectors of pods left, which bounds the exhaustive search.
const MOST_STATES: usize = 400;

/// Capacity, what the bound's capacity adds, cost, eligibility set, usage of side rows.
type RandomShape = (Vec<i64>, Vec<i64>, i64, usize, Vec<i64>);

/// What a random program is made of, before its parts are cut to one number of dimensions and classes.
#[derive(Clone, Debug)]
struct Parts {
    dimensions: usize,
    classes: Vec<(u32, Vec<i64>, i64)>,
    shapes: Vec<RandomShape>,
    eligibility: Vec<Vec<bool>>,
    limits: Vec<i64>,
}

impl Parts {
    fn problem(self) -> Problem {
        let mut states = 1;
        let mut classes: Vec<Class> = Vec::new();
        for (demand, request, penalty) in self.classes {
            let room = u32::try_from(MOST_STATES / states).unwrap_or(u32::MAX).saturating_sub(1);
            let demand = demand.min(room);
            if demand == 0 {
                break;
            }
            states *= demand as usize + 1;
            classes.push(Class { demand, request: request[..self.dimensions].to_vec(), penalty });
        }
        let eligibility: Vec<FixedBitSet> = self
            .eligibility
            .iter()
            .map(|row| {
                let mut set = FixedBitSet::with_capacity(classes.len());
                set.extend((0..classes.len()).filter(|&class| row[class]));
                set
            })
            .collect();
        let shapes = self.shapes.into_iter().map(|(capacity, more, cost, eligible, usage)| Shape {
            bound_capacity: capacity.iter().zip(&more).take(self.dimensions).map(|(room, more)| room + more).collect(),
            capacity: capacity[..self.dimensions].to_vec(),
            cost,
            eligible: eligible % eligibility.len(),
            usage: usage.into_iter().enumerate().filter(|&(row, amount)| row < self.limits.len() && amount > 0).collect(),
        });
        Problem {
            dimensions: self.dimensions,
            shapes: shapes.collect(),
            classes,
            eligibility,
            side_rows: self.limits.iter().map(|&limit| SideRow { limit }).collect(),
        }
    }
}

/// A shape; `more` is the room that the bound assumes beyond the true one, in one program of four.
fn a_shape(scale: i64, more: bool) -> impl Strategy<Value = (Vec<i64>, Vec<i64>, i64, usize, Vec<i64>)> {
    let more = if more { 3_i64 } else { 1 };
    (
        proptest::collection::vec(0_i64..13, 4),
        proptest::collection::vec(0..more, 4),
        (1_i64..60).prop_map(move |cost| cost * scale),
        0_usize..3,
        proptest::collection::vec(0_i64..4, 2),
    )
}

/// A program of 1 to 5 classes, 1 to 6 shapes, 2 to 4 dimensions and up to 2 side rows.
fn a_problem() -> impl Strategy<Value = Problem> {
    (prop_oneof![Just(1_i64), Just(96_007)], proptest::bool::weighted(0.25)).prop_flat_map(|(scale, more)| {
        let penalty = prop_oneof![6 => Just(60_i64), 2 => Just(600), 1 => 1_i64..60].prop_map(move |penalty| penalty * scale);
        let class = (1_u32..7, proptest::collection::vec(0_i64..7, 4), penalty);
        (
            2_usize..5,
            proptest::collection::vec(class, 1..6),
            proptest::collection::vec(a_shape(scale, more), 1..7),
            proptest::collection::vec(proptest::collection::vec(proptest::bool::weighted(0.8), 5), 1..4),
            prop_oneof![2 => Just(Vec::new()), 1 => proptest::collection::vec(0_i64..12, 1..3)],
        )
            .prop_map(|(dimensions, classes, shapes, eligibility, limits)| {
                Parts { dimensions, classes, shapes, eligibility, limits }.problem()
            })
    })
}

/// The exhaustive search; `known` has the least objective of every state that was met.
struct Exhaustive<'a> {
    problem: &'a Problem,
    known: BTreeMap<(Vec<u32>, Vec<i64>), i64>,
}

impl Exhaustive<'_> {
    fn optimum(problem: &Problem) -> i64 {
        let mut search = Exhaustive { problem, known: BTreeMap::new() };
        let left = problem.classes.iter().map(|class| class.demand).collect();
        search.least(left, problem.side_rows.iter().map(|row| row.limit).collect())
    }

    fn least(&mut self, left: Vec<u32>, limits: Vec<i64>) -> i64 {
        let Some(first) = left.iter().position(|&pods| pods > 0) else { return 0 };
        let key = (left, limits);
        if let Some(&known) = self.known.get(&key) {
            return known;
        }
        let (left, limits) = key.clone();
        let mut without = left.clone();
        without[first] -= 1;
        let mut least = self.problem.classes[first].penalty + self.least(without, limits.clone());
        for shape in &self.problem.shapes {
            let mut limits = limits.clone();
            shape.usage.iter().for_each(|&(row, amount)| limits[row] -= amount);
            if limits.iter().all(|&limit| limit >= 0) {
                self.fill(shape, first, first, &shape.capacity, left.clone(), &limits, &mut least);
            }
        }
        self.known.insert(key, least);
        least
    }

    /// Tries every filling of a node with pods of `class` and the classes after it, at least one of them of class `first`.
    fn fill(&mut self, shape: &Shape, first: usize, class: usize, room: &[i64], left: Vec<u32>, limits: &[i64], least: &mut i64) {
        if room.iter().any(|&room| room < 0) {
            return;
        }
        let Some(next) = self.problem.classes.get(class) else {
            *least = (*least).min(shape.cost + self.least(left, limits.to_vec()));
            return;
        };
        let fewest = u32::from(class == first);
        let most = if self.problem.eligibility[shape.eligible].contains(class) { left[class] } else { 0 };
        for count in fewest..=most {
            let room: Vec<i64> =
                room.iter().zip(&next.request).map(|(room, request)| room - request * i64::from(count)).collect();
            let mut left = left.clone();
            left[class] -= count;
            self.fill(shape, first, class + 1, &room, left, limits, least);
        }
    }
}

fn solved(problem: &Problem, work: u64, seed: u64) -> Solution {
    let limits = SolveConfig { gap: 0.0, work_limit: Some(work), deadline: None, seed };
    solve(problem, &limits, &|| Duration::ZERO, &mut |_| {}).expect("the generator makes programs whose parts fit together")
}

/// Recomputes in the terms of the problem what the solution claims.
fn check(problem: &Problem, solution: &Solution) -> Result<(), TestCaseError> {
    let mut left: Vec<i64> = problem.classes.iter().map(|class| i64::from(class.demand)).collect();
    let mut limits: Vec<i64> = problem.side_rows.iter().map(|row| row.limit).collect();
    let mut cost = 0;
    for pattern in &solution.patterns {
        let shape = &problem.shapes[pattern.shape];
        let mut room = shape.capacity.clone();
        prop_assert!(pattern.nodes >= 1);
        prop_assert!(!pattern.counts.is_empty(), "an empty node: {:?}", pattern);
        prop_assert!(pattern.counts.is_sorted_by(|a, b| a.0 < b.0));
        for &(class, count) in &pattern.counts {
            prop_assert!(count >= 1 && problem.eligibility[shape.eligible].contains(class));
            let request = &problem.classes[class].request;
            room.iter_mut().zip(request).for_each(|(room, request)| *room -= request * i64::from(count));
            left[class] -= i64::from(count) * i64::from(pattern.nodes);
        }
        prop_assert!(room.iter().all(|&room| room >= 0), "too much on {:?}", pattern);
        shape.usage.iter().for_each(|&(row, amount)| limits[row] -= amount * i64::from(pattern.nodes));
        cost += shape.cost * i64::from(pattern.nodes);
    }
    let unplaced: Vec<i64> = solution.unplaced.iter().map(|&pods| i64::from(pods)).collect();
    prop_assert_eq!(&left, &unplaced);
    prop_assert!(limits.iter().all(|&limit| limit >= 0), "a side row is broken");
    prop_assert!(unplaced.iter().all(|&pods| pods >= 0));
    prop_assert_eq!(cost, solution.cost);
    let penalties: i64 = unplaced.iter().zip(&problem.classes).map(|(pods, class)| pods * class.penalty).sum();
    prop_assert_eq!(cost + penalties, solution.objective);
    prop_assert!(solution.bound <= solution.objective);
    prop_assert!(solution.statistics.incumbents.first().is_none_or(|first| solution.objective <= first.1));
    Ok(())
}

/// The classes in another order: class `order[c]` of the problem becomes class `c`.
fn permuted(problem: &Problem, order: &[usize]) -> Problem {
    let sets = problem.eligibility.iter().map(|set| {
        let mut moved = FixedBitSet::with_capacity(order.len());
        moved.extend((0..order.len()).filter(|&class| set.contains(order[class])));
        moved
    });
    Problem {
        classes: order.iter().map(|&class| problem.classes[class].clone()).collect(),
        eligibility: sets.collect(),
        ..problem.clone()
    }
}

proptest! {
    #![proptest_config(config(2000))]

    /// The bound is below the optimum, the answer is feasible and above it, and equal to it where the engine says so.
    #[test]
    fn answers_agree_with_exhaustive_search(problem in a_problem(), seed in 0_u64..3) {
        let solution = solved(&problem, 200_000, seed);
        check(&problem, &solution)?;
        let optimum = Exhaustive::optimum(&problem);
        prop_assert!(solution.bound <= optimum, "bound {} above the optimum {optimum}", solution.bound);
        prop_assert!(optimum <= solution.objective, "objective {} below the optimum {optimum}", solution.objective);
        if solution.stop == Stop::Optimal {
            prop_assert!(solution.objective - optimum <= optimum / 1_000_000, "{} is not {optimum}", solution.objective);
        }
    }

    /// The compact model agrees with exhaustive search, and its patterns with what it says they cost.
    #[test]
    fn the_compact_model_agrees_with_exhaustive_search(problem in a_problem()) {
        let pods: u32 = problem.classes.iter().map(|class| class.demand).sum();
        prop_assume!(pods <= 10);
        let found = solve_compact(&problem, pods as usize, None).expect("a small program");
        prop_assert!(found.proven);
        prop_assert_eq!(found.objective, Exhaustive::optimum(&problem));
        let nodes: i64 = found.patterns.iter().map(|of| problem.shapes[of.shape].cost * i64::from(of.nodes)).sum();
        prop_assert!(nodes <= found.objective);
    }

    /// Equal seed and work limit give equal answers, at any limit.
    #[test]
    fn answers_repeat(problem in a_problem(), seed in 0_u64..3, work in 0_u64..3_000) {
        let first = solved(&problem, work, seed);
        check(&problem, &first)?;
        prop_assert_eq!(first, solved(&problem, work, seed));
    }

    /// An order of the classes, or one more shape, never makes a proven answer dearer.
    #[test]
    fn proven_answers_do_not_depend_on_the_statement(problem in a_problem(), turn in 1_usize..5, shape in a_shape(97, false)) {
        let first = solved(&problem, 100_000, 0);
        prop_assume!(first.stop == Stop::Optimal);
        let classes = problem.classes.len();
        let order: Vec<usize> = (0..classes).map(|class| (class + turn) % classes).collect();
        let other = solved(&permuted(&problem, &order), 100_000, 0);
        prop_assert!(other.bound <= first.objective && other.objective >= first.bound);
        let mut richer = problem.clone();
        let (capacity, _, cost, eligible, _) = shape;
        let capacity = capacity[..problem.dimensions].to_vec();
        let eligible = eligible % problem.eligibility.len();
        richer.shapes.push(Shape { bound_capacity: capacity.clone(), capacity, cost, eligible, usage: Vec::new() });
        let richer = solved(&richer, 100_000, 0);
        prop_assert!(richer.bound <= first.objective, "one more shape makes it dearer");
    }
}
