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
const ROUNDS: usize = 3;
/// Fractions from here on are rounded up along with the largest one.
const ROUND_UP: f64 = 0.6;
/// At most this share of the remaining nodes is rounded up in one step.
const STEP_SHARE: f64 = 0.03;

/// Values by which greedy rules judge pods, and the shapes they may use.
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
    let mut slots: Vec<i64> = reduced.demand.iter().map(|&n| i64::from(n)).collect();
    let mut limits = reduced.limits.clone();
    let mut fixed: Vec<(Pattern, u32)> = Vec::new();
    let restore = |master: &mut Master<'_>, generator: &mut Generator<'_>| {
        master.set_demand(&reduced.demand.iter().map(|&n| i64::from(n)).collect::<Vec<_>>());
        master.set_limits(&reduced.limits);
        generator.set_most(reduced.demand.clone());
    };
    loop {
        let Some(solution) = step_solution(reduced, master, generator, &slots, control) else {
            restore(master, generator);
            return None;
        };
        let total: f64 = solution.iter().sum();
        if total < 1e-6 {
            break;
        }
        let mut chosen: Vec<(usize, u32)> = Vec::new();
        let mut fractions: Vec<(f64, usize)> = Vec::new();
        for (at, &value) in solution.iter().enumerate() {
            let floor = (value + 1e-6).floor();
            if floor >= 1.0 {
                chosen.push((at, floor as u32));
            }
            if value - floor > 1e-6 {
                fractions.push((value - floor, at));
            }
        }
        fractions.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let share = (total * STEP_SHARE).ceil() as usize;
        let rounding = chosen.is_empty();
        for (rank, &(fraction, at)) in fractions.iter().enumerate() {
            if (rounding && rank == 0) || (rank < share && fraction >= ROUND_UP) {
                chosen.push((at, 1));
            }
        }
        let mut moved = false;
        for (at, times) in chosen {
            let pattern = master.patterns[at].clone();
            let usage = &reduced.shapes[pattern.shape].usage;
            let most = usage.iter().map(|&(row, amount)| limits[row] / amount).min().unwrap_or(i64::MAX);
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
        if !moved || control.used() >= until || control.stop().is_some() {
            break;
        }
        master.set_demand(&slots);
        master.set_limits(&limits);
    }
    restore(master, generator);
    Some(deal(reduced, fixed, guide))
}

/// The master's values for what is left, after a few rounds of pattern generation.
fn step_solution(
    reduced: &Reduced,
    master: &mut Master<'_>,
    generator: &mut Generator<'_>,
    slots: &[i64],
    control: &mut Control<'_>,
) -> Option<Vec<f64>> {
    let most: Vec<u32> =
        slots.iter().zip(&reduced.demand).map(|(&left, &demand)| left.clamp(0, i64::from(demand)) as u32).collect();
    // A class that only receives surplus slots may still appear in patterns: one at a time.
    generator.set_most(most.iter().map(|&n| n.max(1)).collect());
    let mut solution = master.solve(control)?;
    for _ in 0..ROUNDS {
        let allowance = master.allowances(&solution.side_duals);
        let effort = Effort { width: 0, threshold: 0.0, keep: 1, through_classes: false };
        let generated = generator.generate(&solution.duals, &allowance, effort);
        control.spend(generated.work);
        control.statistics.iterations += 1;
        let added = master.add(generated.patterns.into_iter().take(60).map(|(_, pattern)| pattern));
        control.statistics.columns += added as u64;
        if added == 0 {
            break;
        }
        let before = solution.objective;
        solution = master.solve(control)?;
        if before - solution.objective < 1e-4 * before {
            break;
        }
    }
    Some(solution.values)
}

/// Slots become pods.
pub(super) fn deal(reduced: &Reduced, mut fixed: Vec<(Pattern, u32)>, guide: &Guide) -> Packing {
    // Nodes that give most for their money are filled first, so that what stays empty is in the others.
    let worth = |pattern: &Pattern| -> f64 {
        let value: f64 = pattern.counts.iter().map(|&(class, n)| guide.values[class] * f64::from(n)).sum();
        value / reduced.shapes[pattern.shape].cost as f64
    };
    fixed.sort_by(|a, b| worth(&b.0).total_cmp(&worth(&a.0)).then_with(|| a.0.cmp(&b.0)));
    let mut packing = Packing::empty(reduced);
    for (pattern, times) in fixed {
        for _ in 0..times {
            let mut counts = pattern.counts.clone();
            for (class, count) in &mut counts {
                *count = (*count).min(packing.unplaced[*class]);
            }
            counts.retain(|&(_, count)| count > 0);
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
    packing.complete(reduced, &guide.values, &guide.orders, &guide.candidates, i64::MAX);
    if packing.unplaced.iter().any(|&n| n > 0) {
        let all: Vec<usize> = (0..reduced.shapes.len()).collect();
        packing.complete(reduced, &guide.values, &guide.orders, &all, i64::MAX);
    }
    packing.right_size(reduced);
}
