//! Rules about pods together that a single program does not hold, kept by solving again: caps on Spot pools, of which a program knows a
//! few (see `spot`), and atomic groups: those whose pods go to several tiers, and those for which there may be no room (see `groups`).
//!
//! A group of which some tier leaves a part is left out and everything is planned anew without it. A plan that breaks no such rule is
//! the answer, and its bound holds: it is that of a relaxation. What is left of the budget goes into the same program once more.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::domain::cluster::ClusterView;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::{Plan, StopReason};
use crate::planning::demand::Demand;
use crate::planning::groups::{self, Bisection};
use crate::planning::plan::{PlanError, Planned, Task, once};
use crate::planning::spot::{self, Pools};
use crate::planning::supply::Supply;
use crate::solver::{Progress, SolveConfig};

/// Thousandths of what is left of the budget that each round takes; after them pools without a name count as one.
const PER_MILLE: [u32; 3] = [300, 400, 600];

/// Thousandths of what is left of the budget that a trial takes of whether there is room for some atomic groups.
const TRIAL_PER_MILLE: u32 = 60;

/// Thousandths of what is left after the trials that the best of them gets, to become cheaper.
const CHOSEN_PER_MILLE: u32 = 500;

/// The cheapest nodes for the pods of `task`, where preferences are no rules.
pub(super) fn planned(task: &Task<'_>, config: &SolveConfig, observer: &mut dyn FnMut(Progress)) -> Result<Planned, PlanError> {
    let cluster = task.cluster;
    let spread =
        |pod: &crate::domain::pod::Pod| pod.spec.workload_rules.as_ref().is_some_and(|rules| rules.max_spot_pool_share.is_some());
    let by_pool = cluster.max_spot_pool_share.is_some() || cluster.pods.iter().any(spread);
    if !by_pool && cluster.pods.iter().all(|pod| pod.spec.atomic_group.is_none()) {
        return once(task, config, observer, &Pools::default(), &BTreeSet::new());
    }
    let mut pools = Pools::default();
    if by_pool {
        let supply = Supply::new(cluster, task.catalog, task.costs)?;
        pools = Pools::new(cluster, &supply, &Demand::new(cluster, &supply, task.costs.preferences));
    }
    let mut rounds = Rounds { task, left: config.clone(), pools, left_out: BTreeSet::new(), bounds: Vec::new(), joined: false };
    let weights: BTreeSet<i32> = cluster.node_pools.iter().map(|pool| pool.weight).collect();
    // A program with one tier and no caps on pools is the last one at once.
    let mut budgets = if by_pool || weights.len() > 1 { &PER_MILLE[..] } else { &[] }.iter().copied();
    let limited = cluster.node_pools.iter().any(|pool| !pool.limits.is_empty());
    let mut best = if limited && !by_pool { rounds.most_groups(observer)? } else { None };
    loop {
        let budget = budgets.next().filter(|_| best.is_none());
        let last = budget.is_none();
        if last && by_pool && best.is_none() {
            rounds.join();
        }
        let made = rounds.solve(budget.unwrap_or(1_000), observer)?;
        let split = groups::split(cluster, &made.plan);
        let excess = spot::excess(cluster, &made);
        if !split.is_empty() {
            rounds.left_out.extend(split);
            rounds.bounds.clear();
            rounds.bounds.extend(best.as_ref().map(|best| (unplaced(&best.plan), best.plan.bound)));
        } else if excess.is_empty() {
            let done = last || matches!(made.plan.stopped_by, StopReason::Optimal | StopReason::GapReached);
            let better = best.as_ref().is_none_or(|best| value(cluster, &made.plan) < value(cluster, &best.plan));
            let best = best.get_or_insert_with(|| made.clone());
            if better {
                *best = made;
            }
            if done {
                return Ok(rounds.with_bound(best.clone()));
            }
        } else if let Some(best) = best {
            return Ok(rounds.with_bound(best));
        } else if rounds.joined {
            debug_assert!(false, "a program with every pool in it breaks no rule about pools: {excess:?}");
            return Ok(rounds.with_bound(made));
        } else {
            rounds.pools.name(cluster, &made.supply, &made.demand, excess);
        }
    }
}

/// What a plan is measured by: pods left, by falling priority, then dollars.
fn value(cluster: &ClusterView, plan: &Plan) -> (Vec<usize>, UsdPerHour) {
    let priorities: BTreeSet<Reverse<i32>> = cluster.pods.iter().map(|pod| Reverse(pod.spec.priority)).collect();
    let of = |priority| plan.unplaced.iter().filter(|left| cluster.pods[left.pod].spec.priority == priority).count();
    (priorities.into_iter().map(|Reverse(priority)| of(priority)).collect(), plan.value())
}

struct Rounds<'a> {
    task: &'a Task<'a>,
    left: SolveConfig,
    pools: Pools,
    left_out: BTreeSet<String>,
    /// Bounds of relaxations, with the pods that each leaves.
    bounds: Vec<(Vec<usize>, UsdPerHour)>,
    joined: bool,
}

impl Rounds<'_> {
    /// From here on pools without a name count as one.
    fn join(&mut self) {
        self.pools.join();
        self.joined = true;
    }

    /// The best plan for the easiest groups for which there is room; `None` where there is room for all of them, or for none.
    fn most_groups(&mut self, observer: &mut dyn FnMut(Progress)) -> Result<Option<Planned>, PlanError> {
        let cluster = self.task.cluster;
        let ease = groups::by_ease(cluster);
        let beyond = |number: usize| ease[number..].iter().cloned().collect();
        let mut search = Bisection::new(ease.len());
        let mut best: Option<(usize, Planned)> = None;
        while let Some(number) = search.next() {
            self.left_out = beyond(number);
            let made = self.solve(TRIAL_PER_MILLE, observer)?;
            let fits = groups::places(cluster, &made.plan, &ease[..number]);
            search.learn(number, fits);
            if fits && number == ease.len() {
                return Ok(None);
            }
            if fits {
                best = Some((number, made));
            }
        }
        if let Some((number, trial)) = &mut best {
            self.left_out = beyond(*number);
            let made = self.solve(CHOSEN_PER_MILLE, observer)?;
            if value(cluster, &made.plan) < value(cluster, &trial.plan) {
                *trial = made;
            }
        }
        self.left_out.clear();
        Ok(best.map(|(_, made)| made))
    }

    /// Solves with so many thousandths of what is left.
    fn solve(&mut self, per_mille: u32, observer: &mut dyn FnMut(Progress)) -> Result<Planned, PlanError> {
        let now = (self.task.clock)();
        let part = |work: u64| u64::try_from(u128::from(work) * u128::from(per_mille) / 1_000).unwrap_or(u64::MAX);
        let budget = SolveConfig {
            work_limit: self.left.work_limit.map(part),
            deadline: self.left.deadline.map(|time| now + time.saturating_sub(now) * per_mille / 1_000),
            ..self.left.clone()
        };
        let made = once(self.task, &budget, observer, &self.pools, &self.left_out)?;
        self.left.work_limit = self.left.work_limit.map(|limit| limit.saturating_sub(made.work()));
        if !self.joined {
            self.bounds.push((unplaced(&made.plan), made.plan.bound));
        }
        Ok(made)
    }

    /// `made` with the best bound that is about the pods that it places.
    fn with_bound(&self, mut made: Planned) -> Planned {
        let own = unplaced(&made.plan);
        let known = self.bounds.iter().filter(|(left, _)| *left == own).map(|(_, bound)| *bound).max();
        made.plan.bound = known.unwrap_or(UsdPerHour::ZERO).min(made.plan.value());
        if made.plan.bound == made.plan.value() {
            made.plan.stopped_by = StopReason::Optimal;
        } else if made.plan.gap() > self.left.gap && made.plan.stopped_by < StopReason::WorkLimit {
            // What was reached was reached for a program that says more than the rules do.
            made.plan.stopped_by = StopReason::WorkLimit;
        }
        made
    }
}

fn unplaced(plan: &Plan) -> Vec<usize> {
    plan.unplaced.iter().map(|left| left.pod).collect()
}
