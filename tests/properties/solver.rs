//! The engine against exhaustive search: random small programs whose optimum is known.
//!
//! The search shares no code with the engine. It settles the pods in the order of the classes: the first pod that is left either
//! stays unplaced or gets a node together with any others that fit, so every packing is met once per order of its nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use fixedbitset::FixedBitSet;
use proptest::prelude::*;
use supercargo::solver::compact::solve_compact;
use supercargo::solver::{Choice, ChoiceRow, Class, NodeRule, Problem, Shape, SideRow, Solution, SolveConfig, Stop, solve};

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
    /// The most of each class on a node.
    most_per_node: Vec<u32>,
    rules: Vec<RandomRule>,
    blocks: Vec<RandomBlock>,
    /// One side row each.
    discounts: Vec<RandomDiscount>,
}

/// Guards, members, least and most.
type RandomRule = (Vec<bool>, Vec<bool>, u32, u32);
/// The pods to share out, and per choice the class, the pods of one unit, the largest value and the cost.
type RandomBlock = (i64, Vec<(usize, u32, i64, i64)>);
/// The limit of a side row, and per shape what its variant takes of it and saves; none where it would save all that the shape costs.
type RandomDiscount = (i64, Vec<(i64, i64)>);

impl Parts {
    fn problem(self) -> Problem {
        let mut states = 1;
        let mut classes: Vec<Class> = Vec::new();
        for ((demand, request, penalty), most_per_node) in self.classes.into_iter().zip(self.most_per_node) {
            let room = u32::try_from(MOST_STATES / states).unwrap_or(u32::MAX).saturating_sub(1);
            let demand = demand.min(room);
            if demand == 0 {
                break;
            }
            states *= demand as usize + 1;
            // Whatever is called a family, the answer must be right.
            let family = classes.len() / 2;
            classes.push(Class { demand, request: request[..self.dimensions].to_vec(), penalty, most_per_node, family });
        }
        let rules = self.rules.into_iter().map(|(guards, members, least, most)| {
            let of = |row: Vec<bool>| (0..classes.len()).filter(|&class| row[class]).collect::<Vec<usize>>();
            NodeRule { guards: of(guards), members: of(members), least, most: most.max(least) }
        });
        let node_rules = rules.collect();
        let (mut choices, mut choice_rows) = (Vec::new(), Vec::new());
        for (share, block) in self.blocks {
            let first = choices.len();
            let mut left = share;
            for (class, pods, upper, cost) in block {
                let start = left.min(upper);
                left -= start;
                choices.push(Choice { lower: 0, upper, start, cost, demand: vec![(class % classes.len(), pods)] });
            }
            let terms = (first..choices.len()).map(|choice| (choice, 1)).collect();
            choice_rows.push(ChoiceRow { terms, least: share - left, most: share });
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
        let bases = self.shapes.into_iter().map(|(capacity, more, cost, eligible, usage)| Shape {
            bound_capacity: capacity.iter().zip(&more).take(self.dimensions).map(|(room, more)| room + more).collect(),
            capacity: capacity[..self.dimensions].to_vec(),
            cost,
            eligible: eligible % eligibility.len(),
            usage: usage.into_iter().enumerate().filter(|&(row, amount)| row < self.limits.len() && amount > 0).collect(),
            base: None,
        });
        let mut shapes: Vec<Shape> = bases.collect();
        let mut limits = self.limits;
        let bases = shapes.len();
        for (limit, discounts) in self.discounts {
            for (base, (amount, saved)) in (0..bases).zip(discounts) {
                let mut variant = Shape { base: Some(base), ..shapes[base].clone() };
                variant.cost -= saved;
                variant.usage.push((limits.len(), amount));
                if amount > 0 && variant.cost > 0 {
                    shapes.push(variant);
                }
            }
            limits.push(limit);
        }
        Problem {
            dimensions: self.dimensions,
            shapes,
            classes,
            eligibility,
            side_rows: limits.into_iter().map(|limit| SideRow { limit }).collect(),
            node_rules,
            choices,
            choice_rows,
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

/// Limits per node and up to two node rules; in half of the programs none.
fn rules() -> impl Strategy<Value = (Vec<u32>, Vec<RandomRule>)> {
    let most = proptest::collection::vec(prop_oneof![2 => Just(u32::MAX), 1 => 1_u32..3], 5);
    let some = |share: f64| proptest::collection::vec(proptest::bool::weighted(share), 5);
    let rule = (some(0.3), some(0.5), 0_u32..2, prop_oneof![0_u32..3, Just(u32::MAX)]);
    prop_oneof![Just((vec![u32::MAX; 5], Vec::new())), (most, proptest::collection::vec(rule, 0..3)),]
}

/// Up to two blocks of choices that share pods out among classes; in half of the programs none.
fn blocks(scale: i64) -> impl Strategy<Value = Vec<RandomBlock>> {
    let cost = prop_oneof![2 => Just(0_i64), 1 => (1_i64..20).prop_map(move |cost| cost * scale)];
    let choice = (0_usize..5, 1_u32..3, 1_i64..3, cost);
    let block = (1_i64..4, proptest::collection::vec(choice, 1..4));
    prop_oneof![Just(Vec::new()), proptest::collection::vec(block, 1..3)]
}

/// No variants, or such that save `rate` for every unit of one side row: the price of what is drawn does not depend on who draws it.
fn an_even_discount(scale: i64) -> impl Strategy<Value = Vec<RandomDiscount>> {
    let some = (0_i64..12, 1_i64..9, proptest::collection::vec(0_i64..5, 6)).prop_map(move |(limit, rate, amounts)| {
        vec![(limit, amounts.into_iter().map(|amount| (amount, amount * rate * scale)).collect())]
    });
    prop_oneof![2 => Just(Vec::new()), 1 => some]
}

/// Variants that draw on one or two side rows and save any amount.
fn discounts(scale: i64) -> impl Strategy<Value = Vec<RandomDiscount>> {
    let of_shape = (0_i64..5, 0_i64..60).prop_map(move |(amount, saved)| (amount, saved * scale));
    proptest::collection::vec((0_i64..12, proptest::collection::vec(of_shape, 6)), 1..3)
}

fn a_problem() -> impl Strategy<Value = Problem> {
    a_problem_with(an_even_discount)
}

/// A program of 1 to 5 classes, 1 to 6 shapes besides variants, 2 to 4 dimensions and up to 2 side rows besides those of `discounts`.
fn a_problem_with<S: Strategy<Value = Vec<RandomDiscount>>>(discounts: fn(i64) -> S) -> impl Strategy<Value = Problem> {
    (prop_oneof![Just(1_i64), Just(96_007)], proptest::bool::weighted(0.25)).prop_flat_map(move |(scale, more)| {
        let penalty = prop_oneof![6 => Just(60_i64), 2 => Just(600), 1 => 1_i64..60].prop_map(move |penalty| penalty * scale);
        let class = (1_u32..7, proptest::collection::vec(0_i64..7, 4), penalty);
        (
            2_usize..5,
            proptest::collection::vec(class, 1..6),
            proptest::collection::vec(a_shape(scale, more), 1..7),
            proptest::collection::vec(proptest::collection::vec(proptest::bool::weighted(0.8), 5), 1..4),
            prop_oneof![2 => Just(Vec::new()), 1 => proptest::collection::vec(0_i64..12, 1..3)],
            (rules(), blocks(scale), discounts(scale)),
        )
            .prop_map(
                |(dimensions, classes, shapes, eligibility, limits, ((most_per_node, rules), blocks, discounts))| {
                    Parts { dimensions, classes, shapes, eligibility, limits, most_per_node, rules, blocks, discounts }.problem()
                },
            )
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
        let mut least = i64::MAX;
        let mut values: Vec<i64> = problem.choices.iter().map(|choice| choice.lower).collect();
        loop {
            if problem.choice_rows.iter().all(|row| row.holds(&values)) {
                let cost: i64 = problem.choices.iter().zip(&values).map(|(choice, value)| choice.cost * value).sum();
                let demand = problem.demand_at(&values).iter().map(|&pods| u32::try_from(pods).expect("few pods")).collect();
                let limits = problem.side_rows.iter().map(|row| row.limit).collect();
                least = least.min(cost + search.least(demand, limits));
            }
            // The next values, like the digits of a number.
            let Some(at) = (0..values.len()).find(|&at| values[at] < problem.choices[at].upper) else { return least };
            values[at] += 1;
            for (value, choice) in values[..at].iter_mut().zip(&problem.choices) {
                *value = choice.lower;
            }
        }
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
        for (at, shape) in self.problem.shapes.iter().enumerate().filter(|(_, shape)| shape.base.is_none()) {
            let mut limits = limits.clone();
            let mut node = shape.clone();
            shape.usage.iter().for_each(|&(row, amount)| limits[row] -= amount);
            if limits.iter().any(|&limit| limit < 0) {
                continue;
            }
            // With one rate, whoever draws what is left saves as much.
            for variant in self.problem.shapes.iter().filter(|variant| variant.base == Some(at)) {
                let (row, amount) = variant.usage[shape.usage.len()];
                let drawn = amount.min(limits[row]);
                limits[row] -= drawn;
                node.cost -= (shape.cost - variant.cost) / amount * drawn;
            }
            self.fill(&node, (first, first), &shape.capacity, left.clone(), &limits, &mut Vec::new(), &mut least);
        }
        self.known.insert(key, least);
        least
    }

    /// Tries every filling of a node with pods of `class` and the classes after it, at least one of them of class `first`.
    fn fill(
        &mut self,
        shape: &Shape,
        (first, class): (usize, usize),
        room: &[i64],
        left: Vec<u32>,
        limits: &[i64],
        counts: &mut Vec<(usize, u32)>,
        least: &mut i64,
    ) {
        if room.iter().any(|&room| room < 0) {
            return;
        }
        let Some(next) = self.problem.classes.get(class) else {
            if keeps_rules(self.problem, counts) {
                *least = (*least).min(shape.cost + self.least(left, limits.to_vec()));
            }
            return;
        };
        let fewest = u32::from(class == first);
        let most = if self.problem.eligibility[shape.eligible].contains(class) { left[class] } else { 0 };
        for count in fewest..=most {
            let room: Vec<i64> =
                room.iter().zip(&next.request).map(|(room, request)| room - request * i64::from(count)).collect();
            let mut left = left.clone();
            left[class] -= count;
            counts.push((class, count));
            self.fill(shape, (first, class + 1), &room, left, limits, counts, least);
            counts.pop();
        }
    }
}

/// Whether a node may hold `counts` as far as its rules go, in the words of their definition.
fn keeps_rules(problem: &Problem, counts: &[(usize, u32)]) -> bool {
    let pods = |class: &usize| counts.iter().find(|entry| entry.0 == *class).map_or(0, |entry| entry.1);
    let within = counts.iter().all(|&(class, count)| count <= problem.classes[class].most_per_node);
    within
        && problem.node_rules.iter().all(|rule| {
            let members: u32 = rule.members.iter().map(pods).sum();
            rule.guards.iter().all(|guard| pods(guard) == 0) || (members >= rule.least && members <= rule.most)
        })
}

fn solved(problem: &Problem, work: u64, seed: u64) -> Solution {
    let limits = SolveConfig { gap: 0.0, work_limit: Some(work), deadline: None, seed };
    solve(problem, &limits, &|| Duration::ZERO, &mut |_| {}).expect("the generator makes programs whose parts fit together")
}

/// Recomputes in the terms of the problem what the solution claims.
fn check(problem: &Problem, solution: &Solution) -> Result<(), TestCaseError> {
    let mut left: Vec<i64> = problem.demand_at(&solution.choices);
    let mut limits: Vec<i64> = problem.side_rows.iter().map(|row| row.limit).collect();
    let (mut cost, mut dearest, mut parts) = (0, 0, false);
    for pattern in &solution.patterns {
        let shape = &problem.shapes[pattern.shape];
        let mut room = shape.capacity.clone();
        prop_assert!(pattern.nodes >= 1);
        prop_assert!(!pattern.counts.is_empty(), "an empty node: {:?}", pattern);
        prop_assert!(pattern.counts.is_sorted_by(|a, b| a.0 < b.0));
        prop_assert!(keeps_rules(problem, &pattern.counts), "a node rule is broken on {:?}", pattern);
        for &(class, count) in &pattern.counts {
            prop_assert!(count >= 1 && problem.eligibility[shape.eligible].contains(class));
            let request = &problem.classes[class].request;
            room.iter_mut().zip(request).for_each(|(room, request)| *room -= request * i64::from(count));
            left[class] -= i64::from(count) * i64::from(pattern.nodes);
        }
        prop_assert!(room.iter().all(|&room| room >= 0), "too much on {:?}", pattern);
        shape.usage.iter().for_each(|&(row, amount)| limits[row] -= amount * i64::from(pattern.nodes));
        cost += shape.cost * i64::from(pattern.nodes);
        parts |= shape.base.is_some();
        dearest += shape.base.map_or(shape.cost, |base| problem.shapes[base].cost) * i64::from(pattern.nodes);
    }
    let unplaced: Vec<i64> = solution.unplaced.iter().map(|&pods| i64::from(pods)).collect();
    prop_assert_eq!(&left, &unplaced);
    let drawn_on = |row: usize| {
        problem.shapes.iter().any(|s| {
            s.base.is_some_and(|base| s.usage.iter().any(|used| used.0 == row && !problem.shapes[base].usage.contains(used)))
        })
    };
    prop_assert!(limits.iter().enumerate().all(|(row, &limit)| limit >= 0 || drawn_on(row)), "a side row is broken");
    prop_assert!(unplaced.iter().all(|&pods| pods >= 0));
    if parts {
        // What nodes that are variants in part cost is between the two.
        prop_assert!((cost..=dearest).contains(&solution.cost), "{} is not in {cost}..={dearest}", solution.cost);
        prop_assert!(limits.iter().any(|&limit| limit < 0) || cost == solution.cost);
    } else {
        prop_assert_eq!(cost, solution.cost);
    }
    let penalties: i64 = unplaced.iter().zip(&problem.classes).map(|(pods, class)| pods * class.penalty).sum();
    prop_assert!(problem.choice_rows.iter().all(|row| row.holds(&solution.choices)), "a choice row is broken");
    let within = |(choice, value): (&Choice, &i64)| (choice.lower..=choice.upper).contains(value);
    prop_assert!(problem.choices.iter().zip(&solution.choices).all(within), "a choice is out of its bounds");
    let chosen: i64 = problem.choices.iter().zip(&solution.choices).map(|(choice, value)| choice.cost * value).sum();
    prop_assert_eq!(solution.cost + penalties + chosen, solution.objective);
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
    let at = |class: usize| order.iter().position(|&other| other == class).expect("an order has every class");
    let moved = |classes: &[usize]| {
        let mut classes: Vec<usize> = classes.iter().map(|&class| at(class)).collect();
        classes.sort_unstable();
        classes
    };
    let rule = |rule: &NodeRule| NodeRule { guards: moved(&rule.guards), members: moved(&rule.members), ..rule.clone() };
    let choice = |choice: &Choice| {
        let demand = choice.demand.iter().map(|&(class, pods)| (at(class), pods)).collect();
        Choice { demand, ..choice.clone() }
    };
    Problem {
        classes: order.iter().map(|&class| problem.classes[class].clone()).collect(),
        eligibility: sets.collect(),
        node_rules: problem.node_rules.iter().map(rule).collect(),
        choices: problem.choices.iter().map(choice).collect(),
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
        let pods: u32 = problem.largest_demand().into_iter().flatten().sum();
        prop_assume!(pods <= 10);
        let found = solve_compact(&problem, pods as usize, None).expect("a small program");
        prop_assert!(found.proven);
        prop_assert_eq!(found.objective, Exhaustive::optimum(&problem));
        let nodes: i64 = found.patterns.iter().map(|of| problem.shapes[of.shape].cost * i64::from(of.nodes)).sum();
        prop_assert!(nodes <= found.objective || problem.shapes.iter().any(|shape| shape.base.is_some()));
        prop_assert!(problem.choice_rows.iter().all(|row| row.holds(&found.choices)));
        prop_assert!(found.patterns.iter().all(|pattern| keeps_rules(&problem, &pattern.counts)));
    }

    /// Variants of any rate: the compact model has what they save as a continuous quantity, and the engine agrees with it.
    #[test]
    fn variants_agree_with_the_compact_model(problem in a_problem_with(discounts), seed in 0_u64..3) {
        let pods: u32 = problem.largest_demand().into_iter().flatten().sum();
        prop_assume!(pods <= 10);
        let solution = solved(&problem, 200_000, seed);
        check(&problem, &solution)?;
        let found = solve_compact(&problem, pods as usize, None).expect("a small program");
        prop_assert!(found.proven);
        // Each part of a node is rounded to a micro-dollar.
        let rounding = i64::try_from(problem.shapes.len()).expect("few shapes");
        prop_assert!(solution.bound <= found.objective + rounding, "bound {} above the optimum {}", solution.bound, found.objective);
        prop_assert!(found.objective <= solution.objective + rounding, "objective {} below the optimum {}", solution.objective, found.objective);
        if solution.stop == Stop::Optimal {
            let off = solution.objective - found.objective;
            prop_assert!(off <= found.objective / 1_000_000 + rounding, "{} is not {}", solution.objective, found.objective);
        }
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
        richer.shapes.push(Shape { bound_capacity: capacity.clone(), capacity, cost, eligible, usage: Vec::new(), base: None });
        let richer = solved(&richer, 100_000, 0);
        prop_assert!(richer.bound <= first.objective, "one more shape makes it dearer");
    }
}
