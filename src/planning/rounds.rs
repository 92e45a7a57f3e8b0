//! Rules about pods together that a single program does not hold, kept by solving again: caps on Spot pools, of which a program knows a
//! few (see `spot`), and atomic groups whose pods go to several tiers.
//!
//! A group of which some tier leaves a part is left out and everything is planned anew without it. A plan that breaks no such rule is
//! the answer, and its bound holds: it is that of a relaxation. What is left of the budget goes into the same program once more.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::cluster::ClusterView;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::{Plan, StopReason};
use crate::planning::demand::Demand;
use crate::planning::plan::{PlanError, Planned, Task, once};
use crate::planning::spot::{self, Pools};
use crate::planning::supply::Supply;
use crate::solver::{Progress, SolveConfig};

/// Thousandths of what is left of the budget that each round takes; after them pools without a name count as one.
const PER_MILLE: [u32; 3] = [300, 400, 600];

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
    let mut best: Option<Planned> = None;
    loop {
        let budget = budgets.next().filter(|_| best.is_none());
        let last = budget.is_none();
        if last && by_pool && best.is_none() {
            rounds.join();
        }
        let made = rounds.solve(budget.unwrap_or(1_000), observer)?;
        let split = split_groups(cluster, &made.plan);
        let excess = spot::excess(cluster, &made);
        if !split.is_empty() {
            rounds.left_out.extend(split);
            rounds.bounds.clear();
        } else if excess.is_empty() {
            let done = last || matches!(made.plan.stopped_by, StopReason::Optimal | StopReason::GapReached);
            let better = best.as_ref().is_none_or(|best| value(&made.plan) < value(&best.plan));
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

/// What a plan is measured by: pods left, then dollars.
fn value(plan: &Plan) -> (usize, UsdPerHour) {
    (plan.unplaced.len(), plan.value())
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

/// The atomic groups of which `plan` places some pods and not all.
fn split_groups(cluster: &ClusterView, plan: &Plan) -> BTreeSet<String> {
    let mut groups: BTreeMap<&String, (usize, usize)> = BTreeMap::new();
    for group in cluster.pods.iter().filter_map(|pod| pod.spec.atomic_group.as_ref()) {
        groups.entry(group).or_default().0 += 1;
    }
    for left in &plan.unplaced {
        if let Some(group) = &cluster.pods[left.pod].spec.atomic_group {
            groups.entry(group).or_default().1 += 1;
        }
    }
    let split = groups.into_iter().filter(|(_, (pods, left))| *left != 0 && left != pods);
    split.map(|(group, _)| group.clone()).collect()
}
