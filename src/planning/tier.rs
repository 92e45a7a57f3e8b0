//! One tier solved: its share of time and work, the engine's answer, and a bound for the pods that it places.
//!
//! Where pods are left, the rounds of [`crate::planning::priority`] decide which. The engine's bound is then about pods, not
//! dollars, so the tier is solved once more for exactly the pods that are placed: that bound is about dollars alone, and the nodes may
//! become cheaper.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::money::UsdPerHour;
use crate::planning::dealing;
use crate::planning::demand::Demand;
use crate::planning::interim::Interim;
use crate::planning::plan::Engine;
use crate::planning::priority::{Aim, Weights};
use crate::planning::program::{Leftover, TierProgram, cost_of};
use crate::planning::supply::Supply;
use crate::solver::{Clock, PatternUse, Progress, Solution, SolveConfig, SolveError};

/// Thousandths of its share that a tier with limits spends on its first plan; the rest is for choosing the pods, if it leaves any, and
/// for their bound.
const FIRST_PER_MILLE: u32 = 700;

/// Thousandths of what is left then that each round takes.
const ROUND_PER_MILLE: u32 = 400;

/// A tier that was solved.
#[derive(Clone, Debug)]
pub struct SolvedTier {
    /// Its program.
    pub program: TierProgram,
    /// The engine's answer to it.
    pub solution: Solution,
    /// Micro-dollars per hour that the tier's nodes cost at least, given the pods that it places.
    pub bound: i64,
    /// Whether the choice of the pods that it places is proven: no plan places more of one priority and as many of each above it.
    pub complete: bool,
    /// Work units of everything that was solved for it.
    pub work: u64,
    /// The pods that were left to it.
    pub demand: Arc<Demand>,
    /// Index into `ClusterView::pods` of each of them, ascending.
    pub pods: Arc<Vec<usize>>,
}

/// What solving takes besides the program.
pub(super) struct Effort<'a> {
    pub(super) config: &'a SolveConfig,
    pub(super) clock: Clock<'a>,
    pub(super) engine: Engine<'a>,
    pub(super) observer: &'a mut dyn FnMut(Progress),
    /// Cost and bound of the tiers that are solved already, in micro-dollars per hour, and the work that they took.
    pub(super) cost: i64,
    pub(super) bound: i64,
    pub(super) work: u64,
}

impl Effort<'_> {
    /// Solves to a gap of `gap` with `per_mille` thousandths of what is left of time and work.
    fn spend(&mut self, program: &TierProgram, per_mille: u32, gap: f64) -> Result<Solution, SolveError> {
        let started = (self.clock)();
        let budget = SolveConfig {
            gap,
            deadline: self.config.deadline.map(|deadline| deadline.saturating_sub(started) * per_mille / 1_000),
            work_limit: self.config.work_limit.map(|limit| {
                let left = u128::from(limit.saturating_sub(self.work)) * u128::from(per_mille) / 1_000;
                u64::try_from(left).unwrap_or(u64::MAX)
            }),
            ..self.config.clone()
        };
        let (clock, observer, cost, bound) = (self.clock, &mut *self.observer, self.cost, self.bound);
        let since: &(dyn Fn() -> Duration + Sync) = &|| clock().saturating_sub(started);
        let solution = (self.engine)(&program.problem, &budget, since, &mut |progress| {
            // What a round counts is no dollars.
            if program.arrangement.scarce {
                return;
            }
            observer(Progress {
                incumbent: progress.incumbent.saturating_add(cost),
                bound: progress.bound.saturating_add(bound),
                elapsed: progress.elapsed + started,
                ..progress
            });
        })?;
        self.work = self.work.saturating_add(solution.statistics.work);
        Ok(solution)
    }
}

/// Solves the tier of `program` for what is `left`.
pub(super) fn solve(
    Interim { supply, demand, pods, .. }: &Interim,
    left: &Leftover,
    program: TierProgram,
    effort: &mut Effort<'_>,
) -> Result<SolvedTier, SolveError> {
    let work = effort.work;
    let share = if left.last { 1_000 } else { share(&program, &left.pods) };
    let first = if program.is_limited() { share * FIRST_PER_MILLE / 1_000 } else { share };
    let solution = effort.spend(&program, first, effort.config.gap)?;
    let bound = without_penalties(&program, &solution);
    let complete = !program.arrangement.partial;
    let (of, pods) = (Arc::clone(demand), Arc::clone(pods));
    let mut solved = SolvedTier { program, solution, bound, complete, work: effort.work - work, demand: of, pods };
    if leaves(&solved, demand, &solved.program.pods).values().all(|&pods| pods == 0) {
        return Ok(solved);
    }
    solved.complete &= place_most(supply, demand, left, &mut solved, effort)?;
    let placed = Leftover { pods: placed(&solved, demand), ..left.clone() };
    if let Some(program) = TierProgram::new(supply, demand, &placed, solved.program.weight) {
        let solution = effort.spend(&program, share, effort.config.gap)?;
        let last = SolvedTier { bound: without_penalties(&program, &solution), program, solution, ..solved.clone() };
        solved.bound = if solved.program.arrangement.scarce { last.bound } else { solved.bound.max(last.bound) };
        let as_many = self::placed(&last, demand) == placed.pods;
        if as_many && cost(supply, &last) <= cost(supply, &solved) {
            (solved.program, solved.solution) = (last.program, last.solution);
        }
    }
    solved.work = effort.work - work;
    Ok(solved)
}

/// The rounds of `priority` over a tier that leaves pods: takes the plans that place more. Whether it is proven that none does.
fn place_most(
    supply: &Supply,
    demand: &Demand,
    left: &Leftover,
    solved: &mut SolvedTier,
    effort: &mut Effort<'_>,
) -> Result<bool, SolveError> {
    // Pods that have to share a node are placed all or none.
    let mut proven = demand.bundles.is_empty();
    let priorities: Vec<i32> = demand.classes.iter().map(|class| class.priority).collect::<BTreeSet<i32>>().into_iter().collect();
    for &priority in priorities.iter().rev() {
        let aim = Aim::Pods { priority };
        let Some(program) = TierProgram::aiming(supply, demand, left, solved.program.weight, aim) else { return Ok(false) };
        let mut least = leaves(solved, demand, &program.pods);
        if least.get(&priority).is_none_or(|&pods| pods == 0) {
            continue;
        }
        let weights = Weights::of(&program.pods, priority);
        let mut solution = effort.spend(&program, ROUND_PER_MILLE, weights.gap(&least))?;
        let bound = solution.bound;
        // Prices of a round are no dollars.
        solution.first_fit = solved.solution.first_fit.clone();
        solution.duals.clear();
        let round = SolvedTier { program, solution, ..solved.clone() };
        let now = leaves(&round, demand, &round.program.pods);
        if now.iter().rev().lt(least.iter().rev()) {
            *solved = round;
            least = now;
        }
        proven &= weights.prove(&least, bound);
    }
    Ok(proven)
}

/// How many of `pods`, by their priorities, are not placed.
fn leaves(solved: &SolvedTier, demand: &Demand, pods: &BTreeMap<i32, i64>) -> BTreeMap<i32, u64> {
    let mut left: BTreeMap<i32, u64> = pods.iter().map(|(&priority, &pods)| (priority, pods.unsigned_abs())).collect();
    for (unit, count) in dealing::deal(&solved.program, &solved.solution).into_iter().flat_map(|node| node.units) {
        for &(class, pods) in &solved.program.arrangement.units[unit].pods {
            let of_priority = left.entry(demand.classes[class].priority).or_default();
            *of_priority = of_priority.saturating_sub(u64::from(pods) * u64::from(count));
        }
    }
    left
}

/// What the nodes cost that are bought, those that a commitment pays for in part counted as those that it pays for.
fn cost(supply: &Supply, solved: &SolvedTier) -> UsdPerHour {
    let of = |pattern: &PatternUse| cost_of(supply, &solved.program.origins[pattern.shape]) * i64::from(pattern.nodes);
    solved.solution.patterns.iter().map(of).sum()
}

/// Thousandths of what is left that a tier may use: in proportion to the pods that it can hold, and no more than half where its
/// limits may leave pods to the tiers below.
fn share(program: &TierProgram, left: &[u32]) -> u32 {
    let all: u64 = left.iter().map(|&pods| u64::from(pods)).sum();
    let here: u64 = program.problem.classes.iter().map(|class| u64::from(class.demand)).sum();
    let most = if program.is_limited() { 500 } else { 1_000 };
    let proportion = (here * 1_000).checked_div(all).unwrap_or(most).clamp(100, most);
    u32::try_from(proportion).unwrap_or(1_000)
}

/// The engine's bound without the penalties of the pods that it leaves, since whatever places the same pods pays the same penalties,
/// and without what it counts for nodes that exist.
fn without_penalties(program: &TierProgram, solution: &Solution) -> i64 {
    let left = solution.unplaced.iter().zip(&program.problem.classes);
    let penalties: i128 = left.map(|(&pods, class)| i128::from(pods) * i128::from(class.penalty)).sum();
    let penalties = penalties + i128::from(program.choices.left_out(&solution.choices));
    let tokens = i128::from(program.token_cost());
    i64::try_from((i128::from(solution.bound) - penalties - tokens).max(0)).unwrap_or(i64::MAX)
}

/// How many pods of each class of the demand, or of its group, are placed.
fn placed(solved: &SolvedTier, demand: &Demand) -> Vec<u32> {
    let mut placed = vec![0; demand.groups.len()];
    for (unit, count) in dealing::deal(&solved.program, &solved.solution).into_iter().flat_map(|node| node.units) {
        for &(class, pods) in &solved.program.arrangement.units[unit].pods {
            placed[demand.classes[class].group] += pods * count;
        }
    }
    demand.classes.iter().map(|class| placed[class.group]).collect()
}
