//! A registered node becomes one that takes pods: when it is ready, when what it starts with is gone, when it has what was bought. Then the
//! pods that it was bought for come to it, and the hold goes.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::launch::provider_id;
use super::{Error, LATER, SOON, Step, is_held, is_ready, mates, placement, waits, write_status};
use crate::adapters::kube::conditions::Conditioned as _;
use crate::adapters::kube::crd::NodeClaim;
use crate::controllers::offers::requests;
use crate::controllers::world::World;
use crate::domain::labels;
use crate::domain::quantity::Quantity;
use crate::domain::taint::{HOLD, UNREGISTERED};

/// The condition of this step.
const INITIALIZED: &str = "Initialized";
/// Taints that a node loses by itself while it starts, by key and effect (Karpenter core v1.15.0, `pkg/scheduling/taints.go`).
const EPHEMERAL: [(&str, &str); 5] = [
    ("node.kubernetes.io/not-ready", "NoSchedule"),
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoSchedule"),
    ("node.cloudprovider.kubernetes.io/uninitialized", "NoSchedule"),
    (UNREGISTERED, "NoExecute"),
];
/// The key of taints of the Node Readiness Controller begins so.
const READINESS: &str = "readiness.k8s.io/";
/// How long a node that is registered is held at most: what it waits for may be a DaemonSet's pod that does not tolerate the hold.
const LONGEST_HOLD: Duration = Duration::from_mins(2);

pub(super) async fn initialize(world: &World, claim: NodeClaim) -> Result<Duration, Error> {
    let Some(id) = provider_id(&claim) else { return Ok(LATER) };
    let nodes = world.mirror.nodes_of(id);
    let Some(node) = nodes.first() else {
        if claim.is_true(INITIALIZED) {
            return Ok(LATER);
        }
        return time(&waits(world, &claim, (INITIALIZED, "NodeNotFound", "Node not found"), LATER).await?);
    };
    if claim.is_true(INITIALIZED) && !is_held(node) {
        return Ok(LATER);
    }
    if let Some((reason, message)) = lacking(&claim, node) {
        if is_held(node) && held_for(&claim) >= LONGEST_HOLD {
            let note = format!(
                "Node {} was held for its planned pods for {} s and is still not initialized ({message}): the hold is lifted, kube-scheduler \
                 decides",
                node.name_any(),
                LONGEST_HOLD.as_secs()
            );
            world.events.warning(&claim, "HoldLifted", &note);
            placement::nominate(world, &claim, node).await;
            release(world, node, false).await?;
        }
        return time(&waits(world, &claim, (INITIALIZED, reason, &message), SOON * 5).await?);
    }
    if is_held(node) {
        let may_wait = held_for(&claim) < LONGEST_HOLD;
        if placement::place(world, &claim, node).await {
            world.arrivals.note(claim.metadata.uid.as_deref().unwrap_or_default());
        } else if may_wait {
            return Ok(SOON);
        }
        if may_wait && mates::are_on_their_way(world, &claim) {
            let why = "Pods of the same plan are on their way to other nodes, and have rules about where each other are";
            return time(&waits(world, &claim, (INITIALIZED, "PlanNotInPlace", why), SOON).await?);
        }
        world.metrics.plans.held(held_for(&claim));
    }
    if !release(world, node, true).await? {
        return Ok(SOON);
    }
    let now = Timestamp::now();
    let mut conditions = claim.conditions(now);
    conditions.set_true(INITIALIZED, now);
    write_status(world, &claim, conditions, |_| {}).await?;
    tracing::info!(claim = claim.name_any(), node = node.name_any(), "initialized nodeclaim");
    Ok(LATER)
}

fn time(step: &Step) -> Result<Duration, Error> {
    Ok(match step {
        Step::Wait(time) => *time,
        Step::Next(_) => SOON,
    })
}

/// Since the claim was registered.
fn held_for(claim: &NodeClaim) -> Duration {
    let now = Timestamp::now();
    let conditions = claim.conditions(now);
    let registered = conditions.get(super::registration::REGISTERED).filter(|condition| condition.status == "True");
    let since = registered.map_or(now, |condition| condition.last_transition_time.0);
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// Why the node does not take pods yet: a reason and a sentence.
fn lacking(claim: &NodeClaim, node: &Node) -> Option<(&'static str, String)> {
    if !is_ready(node) {
        return Some(("NodeNotReady", "Node status is not Ready".to_owned()));
    }
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let is = |taint: &Taint, key: &str, effect: &str| taint.key == key && taint.effect == effect;
    let mut startup = claim.spec.startup_taints.iter().flatten();
    if let Some(taint) = startup.find(|wanted| taints.iter().any(|taint| is(taint, &wanted.key, &wanted.effect))) {
        return Some(("StartupTaintsExist", format!("StartupTaint \"{}:{}\" still exists", taint.key, taint.effect)));
    }
    let ephemeral =
        |taint: &&Taint| EPHEMERAL.iter().any(|(key, effect)| is(taint, key, effect)) || taint.key.starts_with(READINESS);
    if let Some(taint) = taints.iter().find(ephemeral) {
        return Some((
            "KnownEphemeralTaintsExist",
            format!("KnownEphemeralTaint \"{}:{}\" still exists", taint.key, taint.effect),
        ));
    }
    let reported = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let has = |name: &str| {
        let amount = reported.and_then(|all| all.get(name)).and_then(|quantity| Quantity::parse(&quantity.0).ok());
        amount.is_some_and(|amount| amount.amount(name) > 0)
    };
    let missing: BTreeSet<String> = requests(claim)
        .iter()
        .filter(|(name, amount)| *amount > 0 && !has(name.as_str()))
        .map(|(name, _)| name.to_string())
        .collect();
    missing.first().map(|name| ("ResourceNotRegistered", format!("Resource \"{name}\" was requested but not registered")))
}

/// Takes the hold off, and says that the node is initialized where it is; whether the API server took it.
async fn release(world: &World, node: &Node, initialized: bool) -> Result<bool, Error> {
    let taints: Vec<&Taint> =
        node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).filter(|of| of.key != HOLD).collect();
    let mut patch = json!({"metadata": {"resourceVersion": node.resource_version()}, "spec": {"taints": taints}});
    if initialized {
        patch["metadata"]["labels"] = json!({labels::INITIALIZED: "true"});
    }
    match Api::<Node>::all(world.kube.clone()).patch(&node.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => Ok(false),
        Err(source) => Err(Error::kube("initializing a Node")(source)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn claim() -> NodeClaim {
        serde_json::from_value(json!({
            "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": {"name": "a"},
            "spec": {
                "requirements": [], "nodeClassRef": {"group": "g", "kind": "k", "name": "n"},
                "startupTaints": [{"key": "agent", "effect": "NoSchedule"}],
                "resources": {"requests": {"cpu": "1", "nvidia.com/gpu": "1"}},
            },
        }))
        .expect("a NodeClaim")
    }

    fn reason(ready: &str, taints: &Value, allocatable: &Value) -> Option<&'static str> {
        let node = serde_json::from_value(json!({
            "metadata": {"name": "n"}, "spec": {"taints": taints},
            "status": {"conditions": [{"type": "Ready", "status": ready}], "allocatable": allocatable},
        }))
        .expect("a Node");
        lacking(&claim(), &node).map(|(reason, _)| reason)
    }

    #[test]
    fn a_node_takes_pods_when_nothing_is_lacking() {
        let all = json!({"cpu": "4", "nvidia.com/gpu": "1"});
        assert_eq!(reason("False", &json!([]), &all), Some("NodeNotReady"));
        assert_eq!(reason("True", &json!([{"key": "agent", "effect": "NoSchedule"}]), &all), Some("StartupTaintsExist"));
        let starting = json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]);
        assert_eq!(reason("True", &starting, &all), Some("KnownEphemeralTaintsExist"));
        assert_eq!(
            reason("True", &json!([{"key": "readiness.k8s.io/x", "effect": "NoSchedule"}]), &all),
            Some("KnownEphemeralTaintsExist")
        );
        assert_eq!(reason("True", &json!([]), &json!({"cpu": "4", "nvidia.com/gpu": "0"})), Some("ResourceNotRegistered"));
        assert_eq!(reason("True", &json!([{"key": HOLD, "effect": "NoSchedule"}]), &all), None);
    }
}
