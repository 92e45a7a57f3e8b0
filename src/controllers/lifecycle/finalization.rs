//! A claim that is deleted ends its instance before it goes: first its Node, which is drained, then the instance, then the finalizer.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::jiff::Timestamp;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::launch::{instance_id, provider_id};
use super::registration::REGISTERED;
use super::{Error, LATER, SOON, TERMINATION, capacity_type_of, pool_of, write_status};
use crate::adapters::kube::conditions::Conditioned as _;
use crate::adapters::kube::crd::NodeClaim;
use crate::controllers::operations::metrics::PlaceOfClaim;
use crate::controllers::patches;
use crate::controllers::world::World;
use crate::domain::labels;

/// The condition of a claim whose instance is being ended.
const INSTANCE_TERMINATING: &str = "InstanceTerminating";
/// Between questions whether the instance is gone (Karpenter).
const POLL: Duration = Duration::from_secs(5);

pub(super) async fn finalize(world: &World, claim: &NodeClaim) -> Result<Duration, Error> {
    if !claim.finalizers().iter().any(|finalizer| finalizer == TERMINATION) {
        return Ok(LATER);
    }
    if let Some(id) = provider_id(claim) {
        if claim.is_true(REGISTERED) {
            let nodes = world.mirror.nodes_of(id);
            for node in &nodes {
                delete_node(world, node).await?;
            }
            if !nodes.is_empty() {
                return Ok(POLL);
            }
        }
        if let Some(instance) = instance_id(id)
            && !is_gone(world, claim, instance).await?
        {
            return Ok(POLL);
        }
    } else {
        // Nothing is known to be bought, but something may have been: an answer was lost, or this process is not the one that asked.
        for instance in world.cloud.find_by_claim(&claim.uid().unwrap_or_default()).await? {
            if instance.state != "terminated" {
                world.cloud.terminate(&instance.id).await?;
            }
        }
    }
    let rest: Vec<&String> = claim.finalizers().iter().filter(|finalizer| *finalizer != TERMINATION).collect();
    patches::metadata(&Api::all(world.kube.clone()), claim, "finalizers", json!(rest)).await?;
    world.metrics.claims.terminated(&PlaceOfClaim {
        node_pool: pool_of(claim),
        capacity_type: capacity_type_of(claim),
        zone: claim.labels().get(labels::ZONE).map(String::as_str),
    });
    tracing::info!(claim = claim.name_any(), "deleted nodeclaim");
    Ok(SOON)
}

async fn delete_node(world: &World, node: &Node) -> Result<(), Error> {
    if node.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    match Api::<Node>::all(world.kube.clone()).delete(&node.name_any(), &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(Error::kube("deleting a Node")(source)),
    }
}

/// Ends the instance; whether it is gone.
async fn is_gone(world: &World, claim: &NodeClaim, instance: &str) -> Result<bool, Error> {
    let found = world.cloud.get(instance).await?;
    let Some(found) = found.filter(|instance| instance.state != "terminated") else { return Ok(true) };
    if found.state != "shutting-down" {
        world.cloud.terminate(instance).await?;
    }
    if !claim.is_true(INSTANCE_TERMINATING) {
        let now = Timestamp::now();
        let mut conditions = claim.conditions(now);
        conditions.set_true(INSTANCE_TERMINATING, now);
        write_status(world, claim, conditions, |_| {}).await?;
    }
    Ok(false)
}
