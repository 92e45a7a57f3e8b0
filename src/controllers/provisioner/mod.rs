//! The provisioner: pending pods → program → NodeClaims.
//!
//! Pods gather for a moment (`batch`), the cluster is looked at once (`view`), the program is solved on a thread of its own within its
//! budget while new pods gather already, and the NodeClaims of the plan are written, all at the same time. What was decided about each pod
//! is told as an event of it.

mod batch;
pub(crate) mod eligibility;
mod losses;
mod view;
mod writing;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::adapters::kube::conditions::{Conditioned as _, READY};
use crate::adapters::kube::crd::NodePool;
use crate::adapters::kube::mirror::Change;
use crate::controllers::operations::options::Acting;
use crate::controllers::world::World;
use crate::domain::catalog::Catalog;
use crate::domain::cluster::ClusterView;
use crate::domain::plan::Plan;
use crate::planning::verifier::verify;
use crate::planning::{CostModel, Engine, PlanError, Planned, plan, plan_by};
use crate::solver::{Clock, Progress, Rival, SolveConfig, Stage, solve_as};
pub(crate) use losses::Losses;
use view::View;

/// How long a pod is not told again that it cannot be placed (Karpenter core v1.15.0, `scheduling/events.go`).
const REPEAT_FAILURE: Duration = Duration::from_secs(300);

/// Plans whenever pods ask for it, until nobody can ask any more.
pub(crate) async fn run(world: Arc<World>, mut asked: UnboundedReceiver<String>) {
    let mut round: u64 = 0;
    let mut memory = Memory::default();
    while let Some(batch) = batch::gather(&mut asked, world.settings.batch).await {
        if !world.fence.leads() {
            continue;
        }
        round += 1;
        tracing::debug!(round, new = batch, "batch complete");
        provision(&world, round, &mut memory).await;
    }
}

/// What one round remembers for the next.
#[derive(Default)]
struct Memory {
    /// What the last round started from, if there was nothing to do about it.
    nothing_to_do: Option<(ClusterView, Arc<Catalog>)>,
    /// UIDs of pods that wait and that a NodeClaim was written for.
    bought_for: BTreeSet<String>,
}

impl Memory {
    /// Whether the round would come to the same as the last one: that there is nothing to do.
    fn knows(&self, cluster: &ClusterView, catalog: &Arc<Catalog>) -> bool {
        self.nothing_to_do.as_ref().is_some_and(|(last, prices)| {
            Arc::ptr_eq(prices, catalog)
                && last.pods == cluster.pods
                && last.nodes == cluster.nodes
                && last.daemon_sets == cluster.daemon_sets
                && last.node_pools == cluster.node_pools
                && last.node_classes == cluster.node_classes
                && last.node_overlays == cluster.node_overlays
        })
    }
}

/// Asks for a round whenever a pod wants one.
pub(crate) async fn watch_pods(world: Arc<World>) {
    let mut changes = world.mirror.changes();
    let mut usable = BTreeSet::new();
    let mut starting = HashSet::new();
    let is_there = |node: &str| world.mirror.nodes.get(&ObjectRef::new(node)).is_some();
    let wants = |pod: &Pod| eligibility::is_provisionable(pod, is_there);
    for pod in world.mirror.pods.state_filter(wants) {
        world.plan_again(pod.metadata.uid.as_deref().unwrap_or_default());
    }
    while let Some(change) = changes.recv().await {
        match change {
            Change::Pod(named) => match world.mirror.pods.get(&named) {
                Some(pod) if wants(&pod) => {
                    world.plan_again(pod.metadata.uid.as_deref().unwrap_or_default());
                    starting.insert(named);
                }
                Some(pod) if is_running(&pod) && starting.remove(&named) => {
                    world.metrics.scheduling.pod_started(age(&pod));
                }
                Some(_) => {}
                None => drop(starting.remove(&named)),
            },
            // One that has become ready may be what pods wait for.
            Change::NodePool(named) => {
                if world.mirror.node_pools.get(&named).is_some_and(|pool| pool.is_true(READY))
                    && usable.insert(named.name.clone())
                {
                    world.plan_again(&named.name);
                } else if world.mirror.node_pools.get(&named).is_none_or(|pool| !pool.is_true(READY)) {
                    usable.remove(&named.name);
                }
            }
            Change::Node(_) | Change::NodeClaim(_) | Change::NodeClass(_) => {}
        }
    }
}

fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

/// Since the pod was created.
pub(crate) fn age(pod: &Pod) -> Duration {
    let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    created.map(|created| Duration::try_from(Timestamp::now().duration_since(created)).unwrap_or_default()).unwrap_or_default()
}

async fn provision(world: &Arc<World>, round: u64, memory: &mut Memory) {
    let Some(catalog) = world.prices.catalog() else {
        tracing::warn!("there is no catalog of the region yet, so nothing is planned");
        return;
    };
    let view = match view::view(world, &catalog) {
        Ok(view) => view,
        Err(error) => {
            tracing::error!(%error, "the cluster cannot be planned for");
            return;
        }
    };
    for fault in &view.faults {
        tracing::warn!(%fault, "left out of the plan");
    }
    world.metrics.cluster.mirrored(view.cluster.nodes.len(), true);
    if view.cluster.pods.is_empty() {
        return;
    }
    if view.cluster.node_pools.is_empty() {
        tell_no_pool(world, &view);
        return;
    }
    if memory.knows(&view.cluster, &catalog) {
        return;
    }
    let waiting: BTreeSet<&str> = view.pods.iter().filter_map(|pod| pod.metadata.uid.as_deref()).collect();
    memory.bought_for.retain(|uid| waiting.contains(uid.as_str()));
    let name = format!("{round}");
    world.metrics.scheduling.planning_began(&name, view.cluster.pods.len(), view.ignored);
    tracing::info!(pods = view.cluster.pods.len(), "found provisionable pod(s)");
    let (view, planned, took) = match solve(world, view, Arc::clone(&catalog)).await {
        Ok(solved) => solved,
        Err(problem) => {
            world.metrics.scheduling.planning_ended(&name, Duration::ZERO, 0);
            tracing::error!(%problem, "no plan");
            return;
        }
    };
    let plan = &planned.plan;
    world.metrics.scheduling.planning_ended(&name, took, plan.unplaced.len());
    world.metrics.plans.planned(plan);
    tracing::info!(
        nodes = plan.nodes.len(),
        pods = view.pods.len(),
        unplaced = plan.unplaced.len(),
        usd_per_hour = plan.cost.dollars(),
        gap = plan.gap(),
        milliseconds = took.as_millis(),
        "computed new nodeclaim(s) to fit pod(s)"
    );
    match world.settings.acting {
        Acting::CarryOut => writing::carry_out(world, &view, plan, &mut memory.bought_for).await,
        Acting::Recommend => writing::recommend(world, &view, plan),
    }
    tell_unplaced(world, &view, plan);
    memory.nothing_to_do = (plan.nodes.is_empty() && plan.existing.is_empty()).then_some((view.cluster, catalog));
}

/// Time that the stages of a solve took. A report of a stage is made at its end or within it, so what went by since the last one is its own.
#[derive(Default)]
struct Stages {
    spent: Vec<(Stage, Duration)>,
    last: Duration,
}

impl Stages {
    fn heard(&mut self, stage: Stage, now: Duration) {
        let took = now.saturating_sub(self.last);
        self.last = now;
        match self.spent.iter_mut().find(|(known, _)| *known == stage) {
            Some((_, spent)) => *spent += took,
            None => self.spent.push((stage, took)),
        }
    }
}

/// Solves on a thread of its own; also gives the time that it took.
async fn solve(world: &Arc<World>, view: View, catalog: Arc<Catalog>) -> Result<(View, Planned, Duration), String> {
    let model = CostModel { preferences: world.settings.preferences, ..CostModel::volumes_only() };
    let config = SolveConfig { gap: 0.0, work_limit: None, deadline: Some(world.settings.solve_budget), seed: 0 };
    let solving = tokio::task::spawn_blocking(move || {
        let start = Instant::now();
        let mut stages = Stages::default();
        let made = verified(&view.cluster, &catalog, &model, &config, &|| start.elapsed(), &mut stages);
        (made, view, stages, start.elapsed())
    });
    match solving.await {
        Ok((Ok(made), view, stages, took)) => {
            stages.spent.iter().for_each(|(stage, spent)| world.metrics.plans.solved(*stage, *spent));
            Ok((view, made, took))
        }
        Ok((Err(problem), ..)) => Err(problem),
        Err(error) => Err(format!("the solver came to an end; this is a defect of supercargo: {error}")),
    }
}

/// A plan that the verifier accepts: the solver's, or first-fit's where that one breaks a rule, since pods that wait are not to wait for a
/// mended program.
fn verified(
    cluster: &ClusterView,
    catalog: &Catalog,
    model: &CostModel,
    config: &SolveConfig,
    clock: Clock<'_>,
    stages: &mut Stages,
) -> Result<Planned, String> {
    let overhead = |pool: &crate::domain::node_pool::NodePool| {
        let class = cluster.node_classes.get(&pool.node_class_ref.name);
        class.map_or(model.fee_per_node, |class| model.overhead(class, catalog))
    };
    let broken = |made: &Planned| {
        let verdict = verify(cluster, catalog, &made.plan, &overhead, &model.interruptions);
        verdict.violations.first().map(|first| format!("{first} (and {} more)", verdict.violations.len() - 1))
    };
    let told = |error: PlanError| error.to_string();
    let mut heard = |progress: Progress| stages.heard(progress.stage, clock());
    let made = plan(cluster, catalog, model, config, clock, &mut heard).map_err(told)?;
    let Some(rule) = broken(&made) else { return Ok(made) };
    tracing::error!(rule, "the plan breaks a rule, so first-fit's is taken; this is a defect of supercargo, please report it");
    let first_fit: Engine<'_> = &|problem, config, clock, observer| solve_as(Rival::FirstFit, problem, config, clock, observer);
    let unlimited = SolveConfig { deadline: None, ..config.clone() };
    let made = plan_by(first_fit, cluster, catalog, model, &unlimited, clock, &mut |_| {}).map_err(told)?;
    match broken(&made) {
        None => Ok(made),
        Some(rule) => {
            Err(format!("first-fit's plan breaks a rule, too, so nothing is bought; this is a defect of supercargo: {rule}"))
        }
    }
}

/// Nothing can be bought at all: pods hear why, unless NodePools are only about to be looked at.
fn tell_no_pool(world: &World, view: &View) {
    let pools = world.mirror.node_pools.state();
    let conditions = |pool: &NodePool| pool.stored_conditions().iter().find(|of| of.type_ == READY).cloned();
    let refused: Vec<String> = pools
        .iter()
        .filter_map(|pool| {
            let ready = conditions(pool).filter(|ready| ready.status == "False")?;
            Some(format!("NodePool {} is not ready ({}); its conditions say what to mend", pool.name_any(), ready.message))
        })
        .collect();
    if !pools.is_empty() && refused.is_empty() {
        return;
    }
    let why = if pools.is_empty() { "there is no NodePool; create one".to_owned() } else { refused.join("; ") };
    tracing::warn!(why, "nothing can be bought");
    for pod in &view.pods {
        world.events.rare_warning(&**pod, "FailedScheduling", &format!("Failed to schedule pod, {why}"), REPEAT_FAILURE);
    }
}

fn tell_unplaced(world: &World, view: &View, plan: &Plan) {
    for left in &plan.unplaced {
        let Some(pod) = view.pods.get(left.pod) else { continue };
        let remedy = left.remedies.first().map(|remedy| format!("; to place it: {remedy}")).unwrap_or_default();
        let note = format!("Failed to schedule pod, {}{remedy}", left.reasons.join("; "));
        world.events.rare_warning(&**pod, "FailedScheduling", &note, REPEAT_FAILURE);
    }
}
