//! The life of a NodeClaim from its creation until its node takes pods: launched, registered, initialized; or given up.
//!
//! One reconcile runs these steps in order, as Karpenter core v1.15.0 does (`pkg/controllers/nodeclaim/lifecycle`), each from what the
//! objects say; so it may be cut off after any of them and run again.

mod finalization;
mod initialization;
mod launch;
mod liveness;
mod mates;
mod placement;
mod registration;
mod tagging;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::adapters::aws::cloud::CallError;
use crate::adapters::kube::conditions::{Conditioned as _, Conditions, READY};
use crate::adapters::kube::crd::{NodeClaim, NodeClaimStatus};
use crate::controllers::operations::metrics::{Disruption, DisruptionReason, TerminationMode};
use crate::controllers::patches::{self, PatchError, Written};
use crate::controllers::world::World;
use crate::domain::catalog::CapacityType;
use crate::domain::labels;
use crate::domain::taint::HOLD;
pub(crate) use launch::{Launches, instance_id, provider_id};
pub(crate) use mates::Arrivals;

/// Keeps a NodeClaim, and its Node, until the instance is gone.
pub(crate) const TERMINATION: &str = "karpenter.sh/termination";

/// How soon a claim is looked at again that waits for something that no watch tells.
const SOON: Duration = Duration::from_secs(1);
/// How soon one is looked at again that waits for something that a watch tells.
const LATER: Duration = Duration::from_mins(1);

/// What came in the way of one claim.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API server did not take a change of a claim or node.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// The API server did not take another request.
    #[error("{action} failed: {source}")]
    Kube {
        /// What was asked for.
        action: &'static str,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// EC2 could not be asked.
    #[error(transparent)]
    Cloud(#[from] CallError),
}

impl Error {
    pub(crate) fn kube(action: &'static str) -> impl Fn(kube::Error) -> Self {
        move |source| Self::Kube { action, source: Box::new(source) }
    }
}

/// How a step ended.
enum Step {
    /// The next step follows, with the claim as it is now.
    Next(Box<NodeClaim>),
    /// It waits; another look after that time.
    Wait(Duration),
}

/// Brings one claim as far as it gets; says after which time it is worth another look.
pub(crate) async fn reconcile(world: &World, claim: Arc<NodeClaim>) -> Result<Duration, Error> {
    if !world.may_act() {
        return Ok(LATER);
    }
    if claim.metadata.deletion_timestamp.is_some() {
        return finalization::finalize(world, &claim).await;
    }
    let mut claim = NodeClaim::clone(&claim);
    if !claim.finalizers().iter().any(|finalizer| finalizer == TERMINATION) {
        let all: Vec<&str> = claim.finalizers().iter().map(String::as_str).chain([TERMINATION]).collect();
        match patches::metadata(&Api::all(world.kube.clone()), &claim, "finalizers", json!(all)).await? {
            Written::Done(now) => claim = now,
            Written::Outdated => return Ok(SOON),
            Written::Gone => return Ok(LATER),
        }
    }
    let steps = async {
        let claim = match launch::launch(world, claim.clone()).await? {
            Step::Next(claim) => claim,
            Step::Wait(time) => return Ok(time),
        };
        let claim = match registration::register(world, *claim).await? {
            Step::Next(claim) => claim,
            Step::Wait(time) => return Ok(time),
        };
        let time = initialization::initialize(world, (*claim).clone()).await?;
        tagging::tag(world, &claim).await?;
        Ok(time)
    };
    let outcome = steps.await;
    // A claim whose steps fail ends in time, too.
    let left = liveness::check(world, &claim).await?;
    outcome.map(|time| left.map_or(time, |left| time.min(left)))
}

/// Whether the claim's node takes pods as kube-scheduler finds them: what was planned for it has come or will not come.
pub(crate) fn is_settled(world: &World, claim: &NodeClaim) -> bool {
    let id = provider_id(claim);
    let nodes = id.map(|id| world.mirror.nodes_of(id)).unwrap_or_default();
    nodes.iter().any(|node| node.labels().get(labels::INITIALIZED).is_some_and(|value| value == "true") && !is_held(node))
}

/// Whether the node is kept for its planned pods.
pub(crate) fn is_held(node: &Node) -> bool {
    has_taint(node, |key| key == HOLD)
}

/// Whether the node says that it is ready.
pub(crate) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == READY && condition.status == "True")
}

pub(crate) fn has_taint(node: &Node, is_it: impl Fn(&str) -> bool) -> bool {
    node.spec.as_ref().is_some_and(|spec| spec.taints.iter().flatten().any(|taint| is_it(&taint.key)))
}

/// The claim's NodePool; empty for a claim that has none.
pub(crate) fn pool_of(claim: &NodeClaim) -> &str {
    claim.labels().get(labels::NODE_POOL).map(String::as_str).unwrap_or_default()
}

/// How the claim's instance is paid for, once that is known.
pub(crate) fn capacity_type_of(claim: &NodeClaim) -> Option<CapacityType> {
    claim.labels().get(labels::CAPACITY_TYPE).and_then(|text| CapacityType::parse(text))
}

/// Writes the conditions of a claim, with whatever else `change` makes of its status.
async fn write_status(
    world: &World,
    claim: &NodeClaim,
    conditions: Conditions,
    change: impl FnOnce(&mut NodeClaimStatus),
) -> Result<Written<NodeClaim>, Error> {
    let mut status = claim.status.clone().unwrap_or_default();
    change(&mut status);
    status.conditions = Some(conditions.into_list());
    Ok(patches::status(&Api::all(world.kube.clone()), claim, claim.status.as_ref(), &status).await?)
}

/// The claim as it was written, or a wait where it has changed meanwhile.
fn written(outcome: Written<NodeClaim>) -> Step {
    match outcome {
        Written::Done(now) => Step::Next(Box::new(now)),
        Written::Outdated => Step::Wait(SOON),
        Written::Gone => Step::Wait(LATER),
    }
}

/// Says that a step waits, and why.
async fn waits(
    world: &World,
    claim: &NodeClaim,
    (condition, reason, message): (&str, &str, &str),
    time: Duration,
) -> Result<Step, Error> {
    use crate::adapters::kube::conditions::ConditionStatus;
    let now = Timestamp::now();
    let mut conditions = claim.conditions(now);
    // The API takes so many characters.
    let message: String = message.chars().take(1_024).collect();
    conditions.set(condition, ConditionStatus::Unknown, reason, &message, now);
    write_status(world, claim, conditions, |_| {}).await?;
    Ok(Step::Wait(time))
}

/// Gives a claim up: it is deleted, and its pods are planned again in the next round.
pub(crate) async fn give_up(world: &World, claim: &NodeClaim, reason: DisruptionReason) -> Result<(), Error> {
    let mode = match claim.spec.termination_grace_period.as_deref() {
        None => TerminationMode::Graceful,
        Some("0s" | "0" | "0m" | "0h") => TerminationMode::Forceful,
        Some(_) => TerminationMode::Eventual,
    };
    let api: Api<NodeClaim> = Api::all(world.kube.clone());
    let only = Preconditions { uid: claim.uid(), resource_version: None };
    match api.delete(&claim.name_any(), &DeleteParams::default().preconditions(only)).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
        Err(source) => return Err(Error::kube("deleting a NodeClaim")(source)),
    }
    let (node_pool, capacity_type) = (pool_of(claim), capacity_type_of(claim));
    world.metrics.claims.disrupted(&Disruption { reason, node_pool, capacity_type, mode });
    tracing::info!(claim = claim.name_any(), node_pool, reason = ?reason, "gave up nodeclaim");
    Ok(())
}
