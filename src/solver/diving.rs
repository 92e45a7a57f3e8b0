//! Diving: round the master's solution column by column, in slot space.
//!
//! A fixed pattern gives *slots* to its classes and lowers what the rows still ask for, below zero where it gives too many; the
//! exchange columns pass a surplus on to smaller classes. After each step the master is solved again and a few rounds of pattern
//! generation look for columns that suit what is left. In the end slots become pods: each class takes its own, what is left over
//! goes into free room, and the last pods get nodes by the greedy rule.

use crate::solver::column_generation::Master;
use crate::solver::control::Control;
use crate::solver::packing::{Order, Packing};
use crate::solver::pattern_generation::{Effort, Generator, Pattern};
use crate::solver::presolve::Reduced;

/// Pattern generation rounds after a step.
const ROUNDS: usize = 2;
/// Fractions from here on are rounded up along with the largest one.
const ROUND_UP: f64 = 0.6;
/// At most this share of the remaining nodes is rounded up in one step.
const STEP_SHARE: f64 = 0.05;

/// Nodes may cost this many times what is left by the linear relaxation.
const DEAREST: f64 = 1.05;
/// The greedy completion is tried once less than this share of the root's objective is left, and each time that has halved.
const COMPLETE_FROM: f64 = 0.1;

/// Values by which greedy rules judge pods, and the shapes they may use.
#[derive(Clone)]
pub(super) struct Guide {
    /// Value of one pod of each class (duals).
    pub(super) values: Vec<f64>,
    /// Weight of each dimension.
    pub(super) scarcity: Vec<f64>,
    /// `scarcity` applied to each class.
    pub(super) sizes: Vec<f64>,
    /// Orders in which nodes are filled.
    pub(super) orders: Vec<Order>,
    /// Shapes worth buying, cheapest first.
    pub(super) candidates: Vec<usize>,
    /// Micro-dollars of every shape with what it takes of side rows.
    pub(super) costs: Vec<f64>,
    /// Values of the choices that greedy rules start from.
    pub(super) choices: Vec<i64>,
}

/// One dive from the root; `None` when the budget ends first or the master fails.
pub(super) fn dive(
    reduced: &Reduced,
    master: &mut Master<'_>,
    generator: &mut Generator<'_>,
    guide: &Guide,
    until: f64,
    control: &mut Control<'_>,
) -> Option<Packing> {
    let wanted: Vec<u32> = reduced.demand_at(&guide.choices);
    let mut slots: Vec<i64> = wanted.iter().map(|&n| i64::from(n)).collect();
    master.fix_choices(Some(&guide.choices));
    let mut limits = reduced.limits.clone();
    let mut fixed: Vec<(Pattern, u32)> = Vec::new();
    let mut best: Option<(i64, Packing)> = None;
    let mut root = None;
    let mut complete_below = f64::INFINITY;
    while let Some((residual, values)) = step_solution(reduced, master, generator, &wanted, &slots, control) {
        let root = *root.get_or_insert(residual);
        let last = residual < 1e-6 || control.used() >= until || control.stop().is_some();
        // Near the end the greedy rule may finish better than more rounding does.
        if last || residual < complete_below.min(COMPLETE_FROM * root) {
            complete_below = residual / 2.0;
            let packing = deal(reduced, fixed.clone(), guide);
            let objective = packing.objective(reduced);
            if best.as_ref().is_none_or(|(least, _)| objective < *least) {
                best = Some((objective, packing));
            }
        }
        if last || !fix(reduced, master, &values, &mut slots, &mut limits, &mut fixed) {
            break;
        }
        master.set_demand(&slots);
        master.set_limits(&limits);
    }
    master.fix_choices(None);
    master.set_limits(&reduced.limits);
    master.cap(i64::MAX);
    generator.set_most(&reduced.most_demand);
    best.map(|(_, packing)| packing)
}

/// Fixes whole nodes, and rounds up where that wastes least; whether anything was fixed.
fn fix(
    reduced: &Reduced,
    master: &Master<'_>,
    values: &[f64],
    slots: &mut [i64],
    limits: &mut [i64],
    fixed: &mut Vec<(Pattern, u32)>,
) -> bool {
    let mut chosen: Vec<(usize, u32)> = Vec::new();
    let mut fractions: Vec<(f64, f64, usize)> = Vec::new();
    for (at, &value) in values.iter().enumerate() {
        let floor = (value + 1e-6).floor();
        if floor >= 1.0 {
            chosen.push((at, floor as u32));
        }
        let fraction = value - floor;
        if fraction > 1e-6 {
            // What rounding up buys without need, per unit of what is needed.
            let waste = reduced.shapes[master.patterns[at].shape].cost as f64 * (1.0 - fraction) / fraction;
            fractions.push((waste, fraction, at));
        }
    }
    fractions.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.2.cmp(&b.2)));
    let share = (values.iter().sum::<f64>() * STEP_SHARE).ceil() as usize;
    let rounding = chosen.is_empty();
    let mut rounded = 0;
    for &(_, fraction, at) in &fractions {
        if (rounding && rounded == 0) || (rounded < share && fraction >= ROUND_UP) {
            chosen.push((at, 1));
            rounded += 1;
        }
    }
    let mut moved = false;
    for (at, times) in chosen {
        let pattern = master.patterns[at].clone();
        let usage = &reduced.shapes[pattern.shape].usage;
        let most = usage.iter().filter(|used| used.1 > 0).map(|&(row, amount)| limits[row] / amount).min().unwrap_or(i64::MAX);
        let times = times.min(u32::try_from(most.max(0)).unwrap_or(u32::MAX));
        if times == 0 {
            continue;
        }
        moved = true;
        for &(row, amount) in usage {
            limits[row] -= amount * i64::from(times);
        }
        for &(class, count) in &pattern.counts {
            slots[class] -= i64::from(count) * i64::from(times);
        }
        fixed.push((pattern, times));
    }
    moved
}

/// The master's objective and values for what is left, after a few rounds of pattern generation.
///
/// Shapes that cost more than all that is left are out: a fraction of such a node is worth nothing.
fn step_solution(
    reduced: &Reduced,
    master: &mut Master<'_>,
    generator: &mut Generator<'_>,
    wanted: &[u32],
    slots: &[i64],
    control: &mut Control<'_>,
) -> Option<(f64, Vec<f64>)> {
    // A class that only receives surplus slots may still appear in patterns: one at a time.
    let most = slots.iter().zip(wanted).map(|(&left, &demand)| left.clamp(1, i64::from(demand.max(1))) as u32);
    generator.set_most(&most.collect::<Vec<u32>>());
    let mut solution = master.solve_changed(control)?;
    let dearest = (solution.objective * master.unit * DEAREST) as i64;
    if master.cap(dearest) {
        solution = master.solve_changed(control)?;
    }
    for _ in 0..ROUNDS {
        let mut allowance = master.allowances(&solution.side_duals);
        for (allowed, shape) in allowance.iter_mut().zip(&reduced.shapes) {
            if shape.cost > dearest {
                *allowed = f64::INFINITY;
            }
        }
        let effort = Effort { width: 0, core: 0, threshold: 0.0, keep: 1, through_classes: false };
        let generated = control.pricing(|| generator.generate(&solution.duals, &allowance, effort));
        let fresh = generated.patterns.into_iter().take(60).map(|(_, pattern)| pattern);
        let Some((better, gained)) = master.take_in(fresh, solution.objective, control) else { break };
        solution = better?;
        if !gained {
            break;
        }
    }
    Some((solution.objective, solution.values))
}

/// Slots become pods.
pub(super) fn deal(reduced: &Reduced, mut fixed: Vec<(Pattern, u32)>, guide: &Guide) -> Packing {
    // Nodes that give most for their money are filled first, so that what stays empty is in the others.
    let worth = |pattern: &Pattern| -> f64 {
        let value: f64 = pattern.counts.iter().map(|&(class, n)| guide.values[class] * f64::from(n)).sum();
        value / reduced.shapes[pattern.shape].cost as f64
    };
    // Before them come nodes with pods that need others beside them, or those others would be gone.
    let is_needy = |class: usize| {
        let needs = |rule: &usize| reduced.node_rules[*rule].least > 0 && reduced.node_rules[*rule].guards.contains(&class);
        reduced.rules_of[class].iter().any(needs)
    };
    let needy = |pattern: &Pattern| reduced.has_needs && pattern.counts.iter().any(|entry| is_needy(entry.0));
    fixed.sort_by(|a, b| {
        let by_need = needy(&b.0).cmp(&needy(&a.0));
        by_need.then_with(|| worth(&b.0).total_cmp(&worth(&a.0))).then_with(|| a.0.cmp(&b.0))
    });
    let mut packing = Packing::empty(reduced, guide.choices.clone());
    let mut slots = vec![0_u64; reduced.classes()];
    for (pattern, times) in &fixed {
        for &(class, count) in &pattern.counts {
            slots[class] += u64::from(count) * u64::from(*times);
        }
    }
    for (pattern, times) in fixed {
        for _ in 0..times {
            let mut counts = pattern.counts.clone();
            for (class, count) in &mut counts {
                let (own, left) = (u64::from(*count), u64::from(packing.unplaced[*class]));
                // Where pods need others beside them, every node gets its share of those.
                let share = if reduced.has_needs { (own * left).div_ceil(slots[*class].max(1)) } else { left };
                slots[*class] -= own;
                *count = own.min(left).min(share) as u32;
            }
            counts.retain(|&(_, count)| count > 0);
            // A node that loses pods may lose what others on it need.
            reduced.make_legal(&mut counts, &guide.values);
            packing.push(reduced, Pattern { shape: pattern.shape, counts });
        }
    }
    packing.absorb(reduced, &guide.sizes, &guide.scarcity);
    finish(reduced, &mut packing, guide);
    packing
}

/// Empty nodes go, unplaced pods get nodes, nodes get the cheapest shape.
pub(super) fn finish(reduced: &Reduced, packing: &mut Packing, guide: &Guide) {
    for at in (0..packing.nodes.len()).rev() {
        if packing.nodes[at].counts.is_empty() {
            packing.remove(reduced, at);
        }
    }
    packing.complete(reduced, &guide.values, &guide.orders, &guide.candidates, &guide.costs, i64::MAX);
    if packing.unplaced.iter().any(|&n| n > 0) {
        let all: Vec<usize> = (0..reduced.shapes.len()).collect();
        packing.complete(reduced, &guide.values, &guide.orders, &all, &guide.costs, i64::MAX);
    }
    packing.right_size(reduced);
}
