//! A Node of ours that is deleted is drained before its instance ends: no new pods, then evictions, which the API server grants as far as
//! PodDisruptionBudgets allow, then the instance, then the finalizer.
//!
//! After Karpenter core v1.15.0 (`pkg/controllers/node/termination`), in its simplest form: all pods in one group, without a deadline.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use k8s_openapi::jiff::Timestamp;
use kube::api::{EvictParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::controllers::lifecycle::{Error, TERMINATION, has_taint, instance_id, is_ready};
use crate::controllers::patches;
use crate::controllers::provisioner::eligibility;
use crate::controllers::world::World;
use crate::domain::labels;
use crate::domain::taint::DISRUPTED;

/// Takes the node out of load balancers.
const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
/// Between looks at what is left on the node.
const SOON: Duration = Duration::from_secs(1);
/// Between questions whether the instance is gone.
const POLL: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_mins(5);
/// A pod that is so long past its end is not waited for.
const STUCK: Duration = Duration::from_mins(1);

/// Brings the end of one Node as far as it gets; says after which time it is worth another look.
pub(crate) async fn reconcile(world: &World, node: Arc<Node>) -> Result<Duration, Error> {
    let ours = node.finalizers().iter().any(|finalizer| finalizer == TERMINATION);
    if !world.may_act() || !ours || node.metadata.deletion_timestamp.is_none() {
        return Ok(LATER);
    }
    let instance = node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref()).and_then(instance_id);
    if let Some(claim) = claim_of(world, &node).filter(|claim| claim.metadata.deletion_timestamp.is_none()) {
        let api: Api<crate::adapters::kube::crd::NodeClaim> = Api::all(world.kube.clone());
        match api.delete(&claim.name_any(), &kube::api::DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            outcome => drop(outcome.map_err(Error::kube("deleting a NodeClaim"))?),
        }
    }
    let exists = match instance {
        Some(id) if !is_ready(&node) => world.cloud.get(id).await?.is_some_and(|instance| instance.state != "terminated"),
        _ => true,
    };
    if exists {
        if !has_taint(&node, |key| key == DISRUPTED) {
            close(world, &node).await?;
        }
        let left = drain(world, &node).await?;
        if left.pods > 0 {
            let note = format!("Failed to drain node, {} pods are waiting to be evicted", left.pods);
            world.events.warning(&*node, "FailedDraining", &note);
            return Ok(if left.blocked { POLL } else { SOON });
        }
        if let Some(id) = instance
            && let Some(found) = world.cloud.get(id).await?.filter(|instance| instance.state != "terminated")
        {
            if found.state != "shutting-down" {
                world.cloud.terminate(id).await?;
            }
            return Ok(POLL);
        }
    }
    let rest: Vec<&String> = node.finalizers().iter().filter(|finalizer| *finalizer != TERMINATION).collect();
    patches::metadata(&Api::all(world.kube.clone()), &*node, "finalizers", json!(rest)).await?;
    let label = |key: &str| node.labels().get(key).map(String::as_str).unwrap_or_default();
    world.metrics.claims.node_terminated(label(labels::NODE_POOL), label(labels::ZONE));
    tracing::info!(node = node.name_any(), "deleted node");
    Ok(LATER)
}

fn claim_of(world: &World, node: &Node) -> Option<Arc<crate::adapters::kube::crd::NodeClaim>> {
    let owner = node.owner_references().iter().find(|owner| owner.kind == "NodeClaim")?;
    world.mirror.node_claim(&owner.name).filter(|claim| claim.metadata.uid.as_deref() == Some(owner.uid.as_str()))
}

async fn close(world: &World, node: &Node) -> Result<(), Error> {
    let mut taints: Vec<Taint> = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    taints.push(Taint { key: DISRUPTED.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() });
    let patch = json!({
        "metadata": {"resourceVersion": node.resource_version(), "labels": {EXCLUDE: "karpenter"}},
        "spec": {"taints": taints},
    });
    match Api::<Node>::all(world.kube.clone()).patch(&node.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await {
        Ok(_) => {
            tracing::info!(node = node.name_any(), "tainted node");
            Ok(())
        }
        // It changed or is gone: the next look sees.
        Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => Ok(()),
        Err(source) => Err(Error::kube("tainting a Node")(source)),
    }
}

/// What is still on a node.
struct Left {
    pods: usize,
    /// Whether one of them may not go now.
    blocked: bool,
}

/// Asks for the eviction of everything that is to be evicted. Pods that ask not to be disrupted are waited for; those that should have ended
/// a minute ago are not: their kubelet is gone.
async fn drain(world: &World, node: &Node) -> Result<Left, Error> {
    let name = node.name_any();
    let on_it = world.mirror.pods.state_filter(|pod| eligibility::node_of(pod) == Some(name.as_str()));
    let counts = |pod: &Pod| {
        !eligibility::is_mirror(pod)
            && !tolerates_the_end(pod)
            && !eligibility::is_finished(pod)
            && !is_stuck(pod, Timestamp::now())
    };
    let waiting: Vec<Arc<Pod>> = on_it.into_iter().filter(|pod| counts(pod)).collect();
    let mut left = Left { pods: waiting.len(), blocked: false };
    let mut failure = None;
    for pod in waiting.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        if eligibility::is_undisturbed(pod) {
            left.blocked = true;
            continue;
        }
        let api: Api<Pod> = Api::namespaced(world.kube.clone(), &pod.namespace().unwrap_or_default());
        match api.evict(&pod.name_any(), &EvictParams::default()).await {
            Ok(_) => world.events.normal(&**pod, "Evicted", &format!("Evicted pod: node {name} is being deleted")),
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            // A budget does not allow it now.
            Err(kube::Error::Api(status)) if status.code == 429 || status.code == 500 => {
                left.blocked = true;
                let note = format!("Failed to evict pod {}: {}", pod.name_any(), status.message);
                world.events.warning(node, "FailedDraining", &note);
            }
            // The others may go all the same.
            Err(source) => failure = Some(Error::kube("evicting a pod")(source)),
        }
    }
    failure.map_or(Ok(left), Err)
}

/// Whether the pod should have ended long ago.
fn is_stuck(pod: &Pod, now: Timestamp) -> bool {
    let due = pod.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    due.is_some_and(|due| Duration::try_from(now.duration_since(due)).is_ok_and(|late| late > STUCK))
}

/// Whether the pod stays until the end of the node.
fn tolerates_the_end(pod: &Pod) -> bool {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let covers = |of: &Toleration| {
        let key = of.key.as_deref().unwrap_or_default();
        let operator = of.operator.as_deref().unwrap_or("Equal");
        let effect = of.effect.as_deref().unwrap_or_default();
        (effect.is_empty() || effect == "NoSchedule")
            && match operator {
                "Exists" => key.is_empty() || key == DISRUPTED,
                _ => key == DISRUPTED && of.value.as_deref().unwrap_or_default().is_empty(),
            }
    };
    tolerations.iter().any(covers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_that_tolerate_everything_are_not_evicted() {
        let pod = |tolerations: serde_json::Value| -> Pod {
            serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": {"containers": [], "tolerations": tolerations}}))
                .expect("a pod")
        };
        assert!(tolerates_the_end(&pod(json!([{"operator": "Exists"}]))));
        assert!(tolerates_the_end(&pod(json!([{"key": DISRUPTED, "operator": "Exists", "effect": "NoSchedule"}]))));
        assert!(!tolerates_the_end(&pod(json!([{"operator": "Exists", "effect": "NoExecute"}]))));
        assert!(!tolerates_the_end(&pod(json!([]))));
    }
}
