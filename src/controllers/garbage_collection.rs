//! What nobody owns is ended: instances without a NodeClaim, and NodeClaims whose instance is gone.
//!
//! Times and rules of Karpenter's `instance.garbagecollection` and `nodeclaim.garbagecollection` (core v1.15.0, AWS provider v1.15.1).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::jiff::Timestamp;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};

use crate::adapters::aws::cloud::{CallError, Instance};
use crate::adapters::kube::conditions::Conditioned as _;
use crate::adapters::kube::crd::NodeClaim;
use crate::controllers::lifecycle::{give_up, is_ready, provider_id};
use crate::controllers::operations::metrics::DisruptionReason;
use crate::controllers::world::World;

/// At first often: instances of a process that was killed are found soon.
const FIRST_PERIOD: Duration = Duration::from_secs(10);
const FIRST_ROUNDS: u32 = 20;
const PERIOD: Duration = Duration::from_mins(2);
/// An instance younger than this may belong to a claim that is just being written.
const YOUNG: Duration = Duration::from_secs(30);

/// Sweeps until the program ends.
pub(crate) async fn run(world: Arc<World>) {
    for round in 0.. {
        tokio::time::sleep(if round < FIRST_ROUNDS { FIRST_PERIOD } else { PERIOD }).await;
        if !world.may_act() {
            continue;
        }
        if let Err(error) = sweep(&world).await {
            tracing::warn!(%error, "garbage collection failed");
        }
        let there: BTreeSet<String> = world.mirror.node_claims().iter().filter_map(|claim| claim.uid()).collect();
        world.launches.retain(|uid| there.contains(uid));
        world.arrivals.retain(|uid| there.contains(uid));
    }
}

async fn sweep(world: &World) -> Result<(), CallError> {
    // Claims first: one that is written while EC2 answers cannot be missed then.
    let before = world.mirror.node_claims();
    let instances = world.cloud.list_owned(&world.settings.cluster.name).await?;
    let claims: Vec<Arc<NodeClaim>> = world.mirror.node_claims();
    for instance in instances.iter().filter(|instance| is_orphan(instance, &claims, Timestamp::now())) {
        if !world.may_act() {
            return Ok(());
        }
        tracing::info!(instance = instance.id, "ending an instance that no NodeClaim owns");
        if let Err(error) = world.cloud.terminate(&instance.id).await {
            // The others are ended all the same.
            tracing::warn!(%error, instance = instance.id, "cannot end an instance that no NodeClaim owns");
            continue;
        }
        for node in world.mirror.nodes_of(&instance.provider_id) {
            delete_node(world, &node).await;
        }
    }
    let known: BTreeMap<&str, &Instance> = instances.iter().map(|instance| (instance.provider_id.as_str(), instance)).collect();
    for claim in before.iter().filter(|claim| has_lost_its_instance(claim, &known, world)) {
        if let Err(error) = give_up(world, claim, DisruptionReason::GarbageCollected).await {
            tracing::warn!(%error, claim = claim.name_any(), "cannot delete a NodeClaim whose instance is gone");
        } else {
            world.plan_again(&claim.name_any());
        }
    }
    Ok(())
}

/// Whether the instance runs for nobody.
fn is_orphan(instance: &Instance, claims: &[Arc<NodeClaim>], now: Timestamp) -> bool {
    let runs = matches!(instance.state.as_str(), "pending" | "running");
    let age = Duration::try_from(now.duration_since(instance.launched)).unwrap_or_default();
    let owned = claims.iter().any(|claim| match provider_id(claim) {
        Some(id) => id == instance.provider_id,
        // It is about to find its instance by the tag.
        None => claim.uid().is_some() && claim.uid().as_deref() == instance.claim_uid(),
    });
    runs && age > YOUNG && !owned
}

/// Whether the claim's instance is gone. A node that is ready outweighs a list that may lag.
fn has_lost_its_instance(claim: &NodeClaim, known: &BTreeMap<&str, &Instance>, world: &World) -> bool {
    let Some(id) = provider_id(claim) else { return false };
    let nodes = world.mirror.nodes_of(id);
    claim.metadata.deletion_timestamp.is_none()
        && claim.is_true("Registered")
        && known.get(id).is_none_or(|instance| instance.state == "terminated")
        && !nodes.iter().any(|node| is_ready(node))
}

async fn delete_node(world: &World, node: &Node) {
    let outcome = Api::<Node>::all(world.kube.clone()).delete(&node.name_any(), &DeleteParams::default()).await;
    if let Err(error) = outcome {
        tracing::debug!(%error, node = node.name_any(), "cannot delete the Node of an instance that is ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::CapacityType;

    fn instance(uid: &str, launched: i64) -> Instance {
        Instance {
            id: "i-1".to_owned(),
            provider_id: "aws:///us-east-1a/i-1".to_owned(),
            instance_type: "m5.large".to_owned(),
            zone: "us-east-1a".to_owned(),
            capacity_type: CapacityType::Spot,
            state: "running".to_owned(),
            launched: Timestamp::from_second(launched).expect("a second of our time"),
            tags: BTreeMap::from([("supercargo.io/nodeclaim-uid".to_owned(), uid.to_owned())]),
            image_id: String::new(),
            private_dns_name: String::new(),
            subnet_id: String::new(),
            security_groups: Vec::new(),
            reservation: None,
        }
    }

    fn claim(uid: &str, id: Option<&str>) -> Arc<NodeClaim> {
        Arc::new(
            serde_json::from_value(serde_json::json!({
                "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": {"name": "a", "uid": uid},
                "spec": {"requirements": [], "nodeClassRef": {"group": "g", "kind": "k", "name": "n"}},
                "status": {"providerID": id},
            }))
            .expect("a NodeClaim"),
        )
    }

    #[test]
    fn an_instance_is_an_orphan_when_no_claim_has_it_or_will_find_it() {
        let now = Timestamp::from_second(1_000).expect("a second of our time");
        let orphan = |claims: &[Arc<NodeClaim>], launched: i64| is_orphan(&instance("u", launched), claims, now);
        assert!(orphan(&[], 900));
        assert!(!orphan(&[], 980));
        assert!(!orphan(&[claim("u", None)], 900));
        assert!(orphan(&[claim("other", None)], 900));
        assert!(!orphan(&[claim("other", Some("aws:///us-east-1a/i-1"))], 900));
        // The claim has another instance: this one was bought beside it.
        assert!(orphan(&[claim("u", Some("aws:///us-east-1a/i-2"))], 900));
    }
}
