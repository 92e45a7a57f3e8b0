//! A Node that joined becomes the claim's: labels, annotations, owner, finalizer; and instead of the taint that kept everybody away it gets
//! the hold, which keeps everybody away but the pods that it was bought for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::json;

use super::launch::provider_id;
use super::{Error, LATER, SOON, Step, TERMINATION, has_taint, pool_of, waits, write_status, written};
use crate::adapters::kube::conditions::{ConditionStatus, Conditioned as _};
use crate::adapters::kube::crd::NodeClaim;
use crate::controllers::node_pool::RegistrationOutcome;
use crate::controllers::operations::options::Placement;
use crate::controllers::planned_pods;
use crate::controllers::world::World;
use crate::domain::labels;
use crate::domain::taint::{HOLD, UNREGISTERED};

/// The condition of this step.
pub(super) const REGISTERED: &str = "Registered";
/// The kubelet registers the claim's taints itself.
const DO_NOT_SYNC_TAINTS: &str = "karpenter.sh/do-not-sync-taints";

pub(super) async fn register(world: &World, claim: NodeClaim) -> Result<Step, Error> {
    if claim.is_true(REGISTERED) {
        return Ok(Step::Next(Box::new(claim)));
    }
    if claim.conditions(Timestamp::now()).is(REGISTERED, ConditionStatus::False) {
        return Ok(Step::Wait(LATER));
    }
    let Some(id) = provider_id(&claim) else { return Ok(Step::Wait(SOON)) };
    let nodes = world.mirror.nodes_of(id);
    let node = match nodes.as_slice() {
        [] => return waits(world, &claim, (REGISTERED, "NodeNotFound", "Node not registered with cluster"), LATER).await,
        [node] => node,
        several => {
            let names: Vec<String> = several.iter().map(|node| node.name_any()).collect();
            let message = format!("several Nodes say that they are {id}: {}; delete all but the one that runs", names.join(", "));
            let mut conditions = claim.conditions(Timestamp::now());
            conditions.set(REGISTERED, ConditionStatus::False, "MultipleNodesFound", &message, Timestamp::now());
            write_status(world, &claim, conditions, |_| {}).await?;
            return Ok(Step::Wait(LATER));
        }
    };
    let registered = node.labels().get(labels::REGISTERED).is_some_and(|value| value == "true");
    if !registered {
        if !has_taint(node, |key| key == UNREGISTERED) {
            let note = format!(
                "Node {} joined without the taint {UNREGISTERED}: pods may have come to it before it was set up; let its kubelet register with it",
                node.name_any()
            );
            world.events.warning(&claim, "UnregisteredTaintMissing", &note);
        }
        let hold = world.settings.placement != Placement::Off && !planned_pods::of(&claim).is_empty();
        let patch = patch(&claim, node, hold);
        match Api::<Node>::all(world.kube.clone()).patch(&node.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => return Ok(Step::Wait(SOON)),
            Err(source) => return Err(Error::kube("registering a Node")(source)),
        }
        let zone = node.labels().get(labels::ZONE).map(String::as_str).unwrap_or_default();
        world.metrics.claims.node_registered(pool_of(&claim), zone);
    }
    let now = Timestamp::now();
    let mut conditions = claim.conditions(now);
    conditions.set_true(REGISTERED, now);
    let name = node.name_any();
    let outcome = write_status(world, &claim, conditions, |status| status.node_name = Some(name.clone())).await?;
    if let Some(pool) = world.mirror.node_pool(pool_of(&claim)) {
        world.health.record(&pool.uid().unwrap_or_default(), RegistrationOutcome::Registered);
    }
    tracing::info!(claim = claim.name_any(), node = name, "registered nodeclaim");
    Ok(written(outcome))
}

/// What makes the Node the claim's.
fn patch(claim: &NodeClaim, node: &Node, hold: bool) -> serde_json::Value {
    let mut finalizers: Vec<String> = node.finalizers().to_vec();
    if !finalizers.iter().any(|finalizer| finalizer == TERMINATION) {
        finalizers.push(TERMINATION.to_owned());
    }
    let mut owners: Vec<OwnerReference> = node.owner_references().to_vec();
    if !owners.iter().any(|owner| Some(&owner.uid) == claim.metadata.uid.as_ref()) {
        owners.push(OwnerReference {
            api_version: NodeClaim::api_version(&()).into_owned(),
            kind: NodeClaim::kind(&()).into_owned(),
            name: claim.name_any(),
            uid: claim.uid().unwrap_or_default(),
            block_owner_deletion: Some(true),
            controller: None,
        });
    }
    let mut given: BTreeMap<String, String> = claim.labels().clone();
    given.insert(labels::REGISTERED.to_owned(), "true".to_owned());
    json!({
        "metadata": {
            "resourceVersion": node.resource_version(),
            "finalizers": finalizers,
            "ownerReferences": owners,
            "labels": given,
            "annotations": claim.annotations(),
        },
        "spec": {"taints": taints(claim, node, hold)},
    })
}

/// The node's taints and the claim's, without the one that it joined with.
fn taints(claim: &NodeClaim, node: &Node, hold: bool) -> Vec<Taint> {
    let mut made: Vec<Taint> = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    made.retain(|taint| taint.key != UNREGISTERED);
    let mut add = |taint: &Taint| {
        if !made.iter().any(|known| known.key == taint.key && known.effect == taint.effect) {
            made.push(taint.clone());
        }
    };
    if node.labels().get(DO_NOT_SYNC_TAINTS).is_none_or(|value| value != "true") {
        claim.spec.taints.iter().flatten().chain(claim.spec.startup_taints.iter().flatten()).for_each(&mut add);
    }
    if hold {
        add(&Taint { key: HOLD.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() });
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hold_takes_the_place_of_the_taint_of_joining() {
        let claim: NodeClaim = serde_json::from_value(json!({
            "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
            "metadata": {"name": "a", "uid": "u", "labels": {"team": "web"}},
            "spec": {
                "requirements": [], "nodeClassRef": {"group": "g", "kind": "k", "name": "n"},
                "taints": [{"key": "dedicated", "effect": "NoSchedule"}],
                "startupTaints": [{"key": "agent", "effect": "NoExecute"}],
            },
        }))
        .expect("a NodeClaim");
        let node = |synced: &str| -> Node {
            serde_json::from_value(json!({
                "metadata": {"name": "n", "labels": {"karpenter.sh/do-not-sync-taints": synced}},
                "spec": {"taints": [
                    {"key": "karpenter.sh/unregistered", "effect": "NoExecute"}, {"key": "dedicated", "effect": "NoSchedule"},
                ]},
            }))
            .expect("a Node")
        };
        let keys = |synced: &str, hold: bool| -> Vec<String> {
            taints(&claim, &node(synced), hold).into_iter().map(|taint| taint.key).collect()
        };
        assert_eq!(keys("false", true), ["dedicated", "agent", HOLD]);
        assert_eq!(keys("true", false), ["dedicated"]);
        let made = patch(&claim, &node("true"), true);
        assert_eq!(made["metadata"]["labels"], json!({"team": "web", "karpenter.sh/registered": "true"}));
        assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], "u");
        assert_eq!(made["metadata"]["finalizers"], json!([TERMINATION]));
    }
}
