//! The provisioner: pending pods → program → NodeClaims.
//!
//! Pods gather for a moment (`batch`), the cluster is looked at once (`view`), the program is solved on a thread of its own within its
//! budget while new pods gather already, and the NodeClaims of the plan are written, all at the same time. What was decided about each pod
//! is told as an event of it.

mod batch;
pub(crate) mod eligibility;
mod view;
mod writing;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::adapters::kube::conditions::{Conditioned as _, READY};
use crate::adapters::kube::crd::NodePool;
use crate::adapters::kube::mirror::Change;
use crate::controllers::operations::options::Acting;
use crate::controllers::world::World;
use crate::domain::catalog::Catalog;
use crate::domain::plan::Plan;
use crate::planning::verifier::verify;
use crate::planning::{CostModel, PlanError, Planned, plan};
use crate::solver::SolveConfig;
use view::View;

/// How long a pod is not told again that it cannot be placed (Karpenter core v1.15.0, `scheduling/events.go`).
const REPEAT_FAILURE: Duration = Duration::from_secs(300);

/// Plans whenever pods ask for it, until nobody can ask any more.
pub(crate) async fn run(world: Arc<World>, mut asked: UnboundedReceiver<String>) {
    let mut round: u64 = 0;
    while let Some(batch) = batch::gather(&mut asked, world.settings.batch).await {
        if !world.fence.leads() {
            continue;
        }
        round += 1;
        tracing::debug!(round, new = batch, "batch complete");
        provision(&world, round).await;
    }
}

/// Asks for a round whenever a pod wants one.
pub(crate) async fn watch_pods(world: Arc<World>) {
    let mut changes = world.mirror.changes();
    let mut usable = BTreeSet::new();
    let wants = |pod: &Pod| eligibility::is_provisionable(pod);
    for pod in world.mirror.pods.state_filter(wants) {
        world.plan_again(pod.metadata.uid.as_deref().unwrap_or_default());
    }
    while let Some(change) = changes.recv().await {
        match change {
            Change::Pod(named) => {
                if let Some(pod) = world.mirror.pods.get(&named).filter(|pod| wants(pod)) {
                    world.plan_again(pod.metadata.uid.as_deref().unwrap_or_default());
                }
            }
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

async fn provision(world: &Arc<World>, round: u64) {
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
    let name = format!("{round}");
    world.metrics.scheduling.planning_began(&name, view.cluster.pods.len(), view.ignored);
    tracing::info!(pods = view.cluster.pods.len(), "found provisionable pod(s)");
    let (view, planned, took) = match solve(world, view, catalog).await {
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
    tell_unplaced(world, &view, plan);
    match world.settings.acting {
        Acting::CarryOut => writing::carry_out(world, &view, plan).await,
        Acting::Recommend => writing::recommend(world, &view, plan),
    }
}

/// Solves on a thread of its own; also gives the time that it took.
async fn solve(world: &Arc<World>, view: View, catalog: Arc<Catalog>) -> Result<(View, Planned, Duration), String> {
    let model = CostModel { preferences: world.settings.preferences, ..CostModel::volumes_only() };
    let config = SolveConfig { gap: 0.0, work_limit: None, deadline: Some(world.settings.solve_budget), seed: 0 };
    let solving = tokio::task::spawn_blocking(move || {
        let start = Instant::now();
        let made = plan(&view.cluster, &catalog, &model, &config, &|| start.elapsed(), &mut |_| {})?;
        let overhead = |pool: &crate::domain::node_pool::NodePool| {
            let class = view.cluster.node_classes.get(&pool.node_class_ref.name);
            class.map_or(model.fee_per_node, |class| model.overhead(class, &catalog))
        };
        let verdict = verify(&view.cluster, &catalog, &made.plan, &overhead, &model.interruptions);
        let broken = verdict.violations.first().map(|first| format!("{first} (and {} more)", verdict.violations.len() - 1));
        Ok::<_, PlanError>((view, made, broken, start.elapsed()))
    });
    match solving.await {
        Ok(Ok((view, made, None, took))) => Ok((view, made, took)),
        Ok(Ok((.., Some(broken), _))) => {
            Err(format!("the plan breaks a rule, so it is not carried out; this is a defect of supercargo: {broken}"))
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(format!("the solver came to an end; this is a defect of supercargo: {error}")),
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
