//! From a cluster to a plan: tier by tier, program, solution, pods dealt to nodes.
//!
//! A tier sees the pods that the heavier ones left over, and its own share of the limits on time and work. The plan's cost is
//! added up again from its nodes; its bound is the sum of the tiers' bounds for the pods that they place.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::catalog::Catalog;
use crate::domain::cluster::ClusterView;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::{FirstFitOutcome, Plan, PlannedNode, StopReason};
use crate::planning::assembly;
use crate::planning::candidates::Holders;
use crate::planning::cost::CostModel;
use crate::planning::demand::Demand;
use crate::planning::program::TierProgram;
use crate::planning::reasons;
use crate::planning::supply::Supply;
use crate::solver::{self, Clock, Progress, Solution, SolveConfig, SolveError, Stop};

/// Why there is no plan at all. A pod that fits nowhere is not an error: [`Plan::unplaced`] lists it with its reasons.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A NodePool refers to a NodeClass that is not among the cluster's.
    #[error("NodePool {node_pool}: there is no EC2NodeClass {node_class}")]
    MissingNodeClass {
        /// The NodePool.
        node_pool: String,
        /// The name that it refers to.
        node_class: String,
    },
    /// The open labels of a NodePool have more combinations than a plan can tell apart.
    #[error("NodePool {node_pool}: its open labels have {variants} combinations that pods tell apart, more than a plan can hold")]
    TooManyVariants {
        /// The NodePool.
        node_pool: String,
        /// How many combinations, at least.
        variants: usize,
    },
    /// The engine refused the program: a bug, since the program is made here.
    #[error(transparent)]
    Solve(#[from] SolveError),
}

/// A tier that was solved.
#[derive(Clone, Debug)]
pub struct SolvedTier {
    /// Its program.
    pub program: TierProgram,
    /// The engine's answer.
    pub solution: Solution,
}

/// Where a node of the plan comes from; `Planned::origins` has one per node of the plan, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeOrigin {
    /// Index into [`Planned::tiers`].
    pub tier: usize,
    /// Index into [`Supply::templates`].
    pub template: usize,
    /// Index of the offer that is bought, in the template's offers.
    pub offer: usize,
}

/// A plan, and everything that explanations, exports and statistics need.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The tiers that were solved, heaviest first.
    pub tiers: Vec<SolvedTier>,
    /// What could be bought.
    pub supply: Supply,
    /// What was to be placed.
    pub demand: Demand,
    /// Per node of the plan.
    pub origins: Vec<NodeOrigin>,
}

/// The cheapest nodes for the pods of `cluster`.
///
/// `observer` hears of improvements; what it hears counts the tiers that are already solved.
///
/// # Errors
/// When the NodePools make no sense together with their NodeClasses, or the engine refuses the program.
pub fn plan(
    cluster: &ClusterView,
    catalog: &Catalog,
    costs: &CostModel,
    config: &SolveConfig,
    clock: Clock<'_>,
    observer: &mut dyn FnMut(Progress),
) -> Result<Planned, PlanError> {
    let supply = Supply::new(cluster, catalog, costs)?;
    let demand = Demand::new(&cluster.pods, &supply);
    let mut waiting: Vec<VecDeque<usize>> = demand.classes.iter().map(|class| class.pods.iter().copied().collect()).collect();
    let mut weights: Vec<i32> = supply.templates.iter().map(|template| template.weight).collect();
    weights.dedup();
    let mut tiers = Vec::new();
    let mut nodes = Vec::new();
    let (mut cost_so_far, mut bound_so_far, mut work_so_far) = (0_i64, 0_i64, 0_u64);
    let mut holders = Holders::new(&supply, &demand);
    for (at, &weight) in weights.iter().enumerate() {
        let left: Vec<u32> = waiting.iter().map(|pods| u32::try_from(pods.len()).unwrap_or(u32::MAX)).collect();
        let Some(program) = TierProgram::new(&supply, &demand, &left, weight) else { continue };
        let share = Share::of_tier(&program, &left, at + 1 == weights.len());
        let started = clock();
        let budget = share.of(config, started, work_so_far);
        let tier_clock = || clock().saturating_sub(started);
        let solution = solver::solve(&program.problem, &budget, &tier_clock, &mut |progress| {
            observer(Progress {
                incumbent: progress.incumbent.saturating_add(cost_so_far),
                bound: progress.bound.saturating_add(bound_so_far),
                elapsed: progress.elapsed + started,
                ..progress
            });
        })?;
        let dealt = assembly::deal(&program, &solution, tiers.len(), &mut waiting, &mut holders);
        let costs = dealt.iter().map(|node| supply.templates[node.origin.template].cost(node.origin.offer).micros());
        cost_so_far += costs.sum::<i64>();
        bound_so_far += placed_bound(&program, &solution);
        work_so_far = work_so_far.saturating_add(solution.statistics.work);
        nodes.extend(dealt);
        tiers.push(SolvedTier { program, solution });
    }
    let (nodes, origins) = assembly::finish(cluster, &mut holders, nodes);

    let mut left: Vec<usize> = waiting.into_iter().flatten().collect();
    left.sort_unstable();
    let cost: UsdPerHour = nodes.iter().map(PlannedNode::cost).sum();
    let bound = UsdPerHour::from_micros(bound_so_far).min(cost);
    // Sizing a node down may close the gap after the engine stopped.
    let stopped_by = if bound == cost { StopReason::Optimal } else { stop_reason(&tiers) };
    let first_fit = first_fit(&tiers, left.len());
    let plan = Plan { nodes, unplaced: Vec::new(), cost, bound, first_fit, stopped_by };
    let mut planned = Planned { plan, tiers, supply, demand, origins };
    planned.plan.unplaced = reasons::unplaced(cluster, &planned, left);
    Ok(planned)
}

/// The part of the limits that one tier may use.
struct Share {
    /// Thousandths of what is left.
    per_mille: u32,
}

impl Share {
    /// All of it for the last tier; otherwise in proportion to the pods that the tier can hold, and no more than half where its
    /// limits may leave pods to the tiers below.
    fn of_tier(program: &TierProgram, left: &[u32], last: bool) -> Self {
        if last {
            return Self { per_mille: 1_000 };
        }
        let all: u64 = left.iter().map(|&pods| u64::from(pods)).sum();
        let here: u64 = program.problem.classes.iter().map(|class| u64::from(class.demand)).sum();
        let most = if program.rows.is_empty() { 1_000 } else { 500 };
        let proportion = (here * 1_000).checked_div(all).unwrap_or(1_000).clamp(100, most);
        Self { per_mille: u32::try_from(proportion).unwrap_or(1_000) }
    }

    fn of(&self, config: &SolveConfig, elapsed: Duration, work: u64) -> SolveConfig {
        SolveConfig {
            deadline: config.deadline.map(|deadline| deadline.saturating_sub(elapsed) * self.per_mille / 1_000),
            work_limit: config.work_limit.map(|limit| {
                let left = u128::from(limit.saturating_sub(work)) * u128::from(self.per_mille) / 1_000;
                u64::try_from(left).unwrap_or(u64::MAX)
            }),
            ..config.clone()
        }
    }
}

/// The tier's bound for the pods that it places. The engine's bound counts the penalties of those it leaves: whatever places
/// the same pods pays the same penalties, so they come off.
fn placed_bound(program: &TierProgram, solution: &Solution) -> i64 {
    let penalties: i128 = solution
        .unplaced
        .iter()
        .zip(&program.problem.classes)
        .map(|(&pods, class)| i128::from(pods) * i128::from(class.penalty))
        .sum();
    i64::try_from((i128::from(solution.bound) - penalties).max(0)).unwrap_or(i64::MAX)
}

/// First-fit over all tiers. What it leaves in a tier beyond what the plan leaves there is counted as left for good.
fn first_fit(tiers: &[SolvedTier], unplaced: usize) -> FirstFitOutcome {
    let mut outcome = FirstFitOutcome { cost: UsdPerHour::ZERO, nodes: 0, unplaced };
    for tier in tiers {
        let (first_fit, left) = (&tier.solution.first_fit, tier.solution.unplaced.iter().map(|&pods| u64::from(pods)).sum());
        outcome.cost += UsdPerHour::from_micros(first_fit.cost);
        outcome.nodes += usize::try_from(first_fit.nodes).unwrap_or(usize::MAX);
        outcome.unplaced += usize::try_from(first_fit.unplaced.saturating_sub(left)).unwrap_or(usize::MAX);
    }
    outcome
}

/// The least certain of the tiers' reasons.
fn stop_reason(tiers: &[SolvedTier]) -> StopReason {
    let of = |tier: &SolvedTier| match tier.solution.stop {
        Stop::Optimal => StopReason::Optimal,
        Stop::GapReached => StopReason::GapReached,
        Stop::WorkLimit => StopReason::WorkLimit,
        Stop::Deadline => StopReason::Deadline,
    };
    tiers.iter().map(of).max().unwrap_or(StopReason::Optimal)
}
