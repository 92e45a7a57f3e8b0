//! From a cluster to a plan: tier by tier, program, solution, pods dealt to nodes.
//!
//! A tier sees the pods that the heavier ones left over, and what they placed as standing there (see `interim`), and has its own share of
//! the limits on time and work. The plan's cost is added up again from its nodes; its bound is the sum of the tiers' bounds for the pods
//! that they place.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::catalog::Catalog;
use crate::domain::cluster::ClusterView;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::{FirstFitOutcome, Plan, PlannedNode, StopReason};
use crate::planning::PreferencePolicy;
use crate::planning::assembly;
use crate::planning::candidates::Holders;
use crate::planning::cost::CostModel;
use crate::planning::demand::Demand;
use crate::planning::interim::Interim;
use crate::planning::limits::Row;
use crate::planning::program::{Leftover, TierProgram};
use crate::planning::reasons;
use crate::planning::respect::Respected;
use crate::planning::rounds;
use crate::planning::spot::Pools;
use crate::planning::supply::{self, Supply};
use crate::planning::tier::{self, Effort, SolvedTier};
use crate::planning::unmet;
use crate::solver::{self, Clock, Problem, Progress, Solution, SolveConfig, SolveError, Stop};

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
    pub demand: Arc<Demand>,
    /// Per node of the plan.
    pub origins: Vec<NodeOrigin>,
}

/// What solves the program of a tier: [`solver::solve`], or another method with the same contract.
pub type Engine<'a> = &'a dyn Fn(&Problem, &SolveConfig, Clock<'_>, &mut dyn FnMut(Progress)) -> Result<Solution, SolveError>;

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
    plan_by(&solver::solve, cluster, catalog, costs, config, clock, observer)
}

/// [`plan`] with another engine.
///
/// # Errors
/// As [`plan`]; what the engine refuses is passed on.
pub fn plan_by(
    engine: Engine<'_>,
    cluster: &ClusterView,
    catalog: &Catalog,
    costs: &CostModel,
    config: &SolveConfig,
    clock: Clock<'_>,
    observer: &mut dyn FnMut(Progress),
) -> Result<Planned, PlanError> {
    if costs.preferences != PreferencePolicy::Respect {
        return rounds::planned(&Task { cluster, catalog, costs, clock, engine }, config, observer);
    }
    let mut respected = Respected::new(cluster);
    let mut left = config.clone();
    loop {
        // Pods that are left may ask for another round, which gets half of what the rounds before it have not used.
        let round = SolveConfig {
            work_limit: left.work_limit.map(|work| work.div_ceil(2)),
            deadline: left.deadline.map(|time| clock() + time.saturating_sub(clock()) / 2),
            ..left.clone()
        };
        let mut made = rounds::planned(&Task { cluster: &respected.cluster, catalog, costs, clock, engine }, &round, observer)?;
        if !respected.relax(made.plan.unplaced.iter().map(|left| left.pod)) {
            let nodes = (made.plan.nodes.as_slice(), made.origins.as_slice());
            made.plan.unmet = unmet::preferences(cluster, &made.supply, &made.demand, nodes, &made.plan.existing);
            return Ok(made);
        }
        left.work_limit = left.work_limit.map(|limit| limit.saturating_sub(made.work()));
    }
}

impl Planned {
    /// Work units of all tiers.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.tiers.iter().map(|tier| tier.work).sum()
    }
}

/// What is to be planned.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) cluster: &'a ClusterView,
    pub(super) catalog: &'a Catalog,
    pub(super) costs: &'a CostModel,
    pub(super) clock: Clock<'a>,
    pub(super) engine: Engine<'a>,
}

/// [`plan`] where preferences are no rules, without the pods of the atomic groups `left_out`, in a program that tells these Spot pools
/// apart.
pub(super) fn once(
    &Task { cluster, catalog, costs, clock, engine }: &Task<'_>,
    config: &SolveConfig,
    observer: &mut dyn FnMut(Progress),
    pools: &Pools,
    left_out: &BTreeSet<String>,
) -> Result<Planned, PlanError> {
    let mut supply = Supply::new(cluster, catalog, costs)?;
    supply.cap(cluster, pools.of_plan());
    let placed_from: Vec<usize> = cluster.nodes.iter().map(|node| node.pods.len()).collect();
    let demand = Demand::beside(cluster, &supply, costs.preferences, pools, &placed_from);
    let weights = supply.weights();
    let demand = Arc::new(demand);
    let mut tiers = Vec::new();
    let (mut existing, mut nodes) = (Vec::new(), Vec::new());
    let mut effort = Effort { config, clock, engine, observer, cost: 0, bound: 0, work: 0 };
    let (tied, nobody) = (tied_keys(cluster), BTreeSet::new());
    let mut now = Interim::new(cluster, &supply, &demand, pools);
    for (at, &weight) in weights.iter().enumerate() {
        let mut left = Leftover { last: at + 1 == weights.len(), ..Leftover::new(&now.supply, &now.demand) };
        for (class, pods) in now.demand.classes.iter().zip(&mut left.pods) {
            let out = class.atomic.is_some_and(|atomic| left_out.contains(&now.demand.atomic_groups[atomic]));
            *pods = if out { 0 } else { *pods };
        }
        let Some(program) = TierProgram::new(&now.supply, &now.demand, &left, weight) else { continue };
        let mut solved = tier::solve(&now, &left, program, &mut effort)?;
        // What was not asked for is not shown to have no room.
        solved.complete &= left_out.is_empty();
        let mut holders = Holders::new(&now.supply, &now.demand);
        let dealt = assembly::deal(&solved, tiers.len(), &mut holders);
        let (used, bought) = assembly::settle(&now.supply, dealt);
        let mut made = assembly::finish(cluster, &mut holders, bought, if tiers.is_empty() { &nobody } else { &tied });
        assembly::cover(&mut now.supply, &cluster.commitments, &mut made);
        let (made, origins): (Vec<PlannedNode>, Vec<NodeOrigin>) = made.into_iter().unzip();
        effort.cost += made.iter().map(|node| node.expected().micros()).sum::<i64>();
        effort.bound += solved.bound;
        tiers.push(solved);
        now = now.after(cluster, catalog, (&made, &origins), &used, costs.preferences, left.last);
        nodes.extend(made.into_iter().zip(origins));
        existing.extend(used);
    }
    let bound = UsdPerHour::from_micros(effort.bound);
    let left = now.pods.to_vec();
    let existing = assembly::joined(existing);
    let (nodes, origins) = assembly::sorted(nodes);
    let cost: UsdPerHour = nodes.iter().map(PlannedNode::cost).sum();
    let interruptions: UsdPerHour = nodes.iter().map(|node| node.offering.interruptions).sum();
    let unmet = unmet::preferences(cluster, &supply, &demand, (&nodes, &origins), &existing);
    let forgone = unmet.iter().map(|of| of.worth * i64::from(of.pods)).sum();
    let first_fit = first_fit(&tiers, left.len());
    let stopped_by = stop_reason(&tiers);
    let mut plan =
        Plan { nodes, existing, unplaced: Vec::new(), unmet, cost, interruptions, forgone, bound, first_fit, stopped_by };
    plan.bound = bound.min(plan.value());
    // Sizing a node down may close the gap after the engine stopped.
    if plan.bound == plan.value() {
        plan.stopped_by = StopReason::Optimal;
    }
    let mut planned = Planned { plan, tiers, supply, demand, origins };
    planned.plan.unplaced = reasons::unplaced(cluster, &planned, left);
    Ok(planned)
}

/// The labels that rules between pods are about, but for the names of nodes.
pub(super) fn tied_keys(cluster: &ClusterView) -> BTreeSet<&str> {
    let keys = cluster.pods.iter().flat_map(|pod| supply::topology_keys(&pod.spec));
    keys.filter(|key| *key != labels::HOSTNAME).collect()
}

/// First-fit over all tiers. What it leaves in a tier beyond what the plan leaves there is counted as left for good.
fn first_fit(tiers: &[SolvedTier], unplaced: usize) -> FirstFitOutcome {
    let mut outcome = FirstFitOutcome { cost: UsdPerHour::ZERO, nodes: 0, unplaced };
    for tier in tiers {
        let (first_fit, left) = (&tier.solution.first_fit, tier.solution.unplaced.iter().map(|&pods| u64::from(pods)).sum());
        // Nodes that exist are used and not bought; each counts as a micro-dollar to the engine, like whatever costs nothing.
        let standing = |(row, _): &&(usize, i64)| matches!(tier.program.rows[*row], Row::Standing(_));
        let used: i64 = first_fit.usage.iter().filter(standing).map(|(_, nodes)| nodes).sum();
        outcome.cost += UsdPerHour::from_micros(first_fit.cost - tier.program.tokens(first_fit));
        outcome.nodes += usize::try_from(first_fit.nodes).unwrap_or(usize::MAX) - usize::try_from(used).unwrap_or(0);
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
