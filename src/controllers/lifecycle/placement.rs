//! The plan survives the scheduler: the pods that a node was bought for come to it while nobody else can.
//!
//! A pod is bound here only if the program contains every rule that its place depends on; the others are nominated, and kube-scheduler
//! decides. One that kube-scheduler has placed elsewhere meanwhile, or that was replaced, is left where it is: the Binding names the UID.

use std::sync::Arc;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{
    Affinity, Binding, Node, ObjectReference, PersistentVolumeClaim, Pod, TopologySpreadConstraint, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::adapters::kube::convert::requests::effective_requests;
use crate::adapters::kube::crd::NodeClaim;
use crate::controllers::offers::amounts;
use crate::controllers::operations::metrics::Placed;
use crate::controllers::operations::options::Placement;
use crate::controllers::planned_pods::{self, PodKey};
use crate::controllers::provisioner::{self, eligibility};
use crate::controllers::world::World;
use crate::domain::resources::Resources;

/// Requests under way at the same time for one node.
const AT_ONCE: usize = 16;

/// Brings the claim's planned pods to its node; whether all that can come have come.
pub(super) async fn place(world: &World, claim: &NodeClaim, node: &Node) -> bool {
    match world.settings.placement {
        Placement::Off => return true,
        Placement::Nominate => {
            nominate(world, claim, node).await;
            return true;
        }
        Placement::Bind => {}
    }
    if node.metadata.deletion_timestamp.is_some() || node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true)) {
        return true;
    }
    let name = node.name_any();
    let (pods, crowded_out) = fitting(waiting(world, claim), room(world, node));
    for pod in &crowded_out {
        let note = format!(
            "Node {name} has no room left for it, though it was planned there: kube-scheduler decides, or it is planned again"
        );
        world.events.warning(&**pod, "PlannedNodeFull", &note);
    }
    let mut attempts = Vec::with_capacity(pods.len());
    for pod in &pods {
        attempts.push(bring(world, pod, &name));
    }
    let outcomes: Vec<bool> = futures_util::stream::iter(attempts).buffer_unordered(AT_ONCE).collect().await;
    outcomes.into_iter().all(|done| done)
}

/// Tells kube-scheduler which node the claim's planned pods are meant for.
pub(super) async fn nominate(world: &World, claim: &NodeClaim, node: &Node) {
    let name = node.name_any();
    let pods = waiting(world, claim);
    let mut attempts = Vec::with_capacity(pods.len());
    for pod in &pods {
        attempts.push(nominate_one(world, pod, &name));
    }
    futures_util::stream::iter(attempts).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

/// Binds the pod, or nominates it where its place depends on more than the program contains; `false` where it is worth another try.
async fn bring(world: &World, pod: &Pod, node: &str) -> bool {
    if is_bindable(world, pod) {
        return bind(world, pod, node).await;
    }
    nominate_one(world, pod, node).await;
    true
}

/// What the node has left beside the pods that are on it: nobody but the kubelet, which refuses the pod, looks after a Binding.
fn room(world: &World, node: &Node) -> Resources {
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let name = node.name_any();
    let on_it = |pod: &Pod| eligibility::node_of(pod) == Some(name.as_str()) && !eligibility::is_finished(pod);
    let taken = world.mirror.pods.state_filter(on_it);
    taken.iter().fold(amounts(allocatable.into_iter().flatten()), |left, pod| left.minus(&requests(pod)))
}

/// Effective requests; nothing for what the API server lets nobody write.
fn requests(pod: &Pod) -> Resources {
    pod.spec.as_ref().and_then(|spec| effective_requests(spec).ok()).unwrap_or_default()
}

/// The pods for which there is room one after the other, and those for which there is none.
fn fitting(pods: Vec<Arc<Pod>>, mut room: Resources) -> (Vec<Arc<Pod>>, Vec<Arc<Pod>>) {
    pods.into_iter().partition(|pod| {
        let wanted = requests(pod);
        let fits = wanted.fits_in(&room);
        if fits {
            room = room.minus(&wanted);
        }
        fits
    })
}

/// Whether a pod that waits for the claim's node is bound there when it comes, and has rules about where others are.
pub(super) fn brings_rules_between_pods(world: &World, claim: &NodeClaim) -> bool {
    waiting(world, claim).iter().any(|pod| has_rules_between_pods(pod) && is_bindable(world, pod))
}

fn has_rules_between_pods(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let strict = |spread: &TopologySpreadConstraint| spread.when_unsatisfiable == "DoNotSchedule";
    let near = |affinity: &Affinity| {
        let to =
            affinity.pod_affinity.as_ref().and_then(|rules| rules.required_during_scheduling_ignored_during_execution.as_ref());
        let from = affinity
            .pod_anti_affinity
            .as_ref()
            .and_then(|rules| rules.required_during_scheduling_ignored_during_execution.as_ref());
        to.is_some_and(|terms| !terms.is_empty()) || from.is_some_and(|terms| !terms.is_empty())
    };
    spec.topology_spread_constraints.iter().flatten().any(strict) || spec.affinity.as_ref().is_some_and(near)
}

/// The planned pods that are still there and wait.
fn waiting(world: &World, claim: &NodeClaim) -> Vec<Arc<Pod>> {
    let find = |key: &PodKey| {
        let pod = world.mirror.pods.get(&ObjectRef::new(&key.name).within(&key.namespace))?;
        (pod.metadata.uid.as_deref() == Some(key.uid.as_str())).then_some(pod)
    };
    let pods = planned_pods::of(claim).iter().filter_map(find).collect::<Vec<_>>();
    pods.into_iter().filter(|pod| eligibility::is_active(pod) && !eligibility::is_bound(pod)).collect()
}

/// Whether nothing but what the program contains decides where the pod may go.
fn is_bindable(world: &World, pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let ours = spec.scheduler_name.as_deref().is_none_or(|name| name == "default-scheduler");
    let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
    let claims = spec.resource_claims.as_ref().is_some_and(|claims| !claims.is_empty());
    let to_be_bound = |volume: &Volume| {
        let given = volume.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.clone());
        let own = volume.ephemeral.as_ref().map(|_| format!("{}-{}", pod.name_any(), volume.name));
        given.or(own).is_some_and(|name| !is_volume_bound(world, &pod.namespace().unwrap_or_default(), &name))
    };
    ours && !gated && !claims && !spec.volumes.iter().flatten().any(to_be_bound)
}

fn is_volume_bound(world: &World, namespace: &str, name: &str) -> bool {
    let claim = world.mirror.volume_claims.get(&ObjectRef::<PersistentVolumeClaim>::new(name).within(namespace));
    claim.is_some_and(|claim| claim.spec.as_ref().and_then(|spec| spec.volume_name.as_ref()).is_some_and(|name| !name.is_empty()))
}

/// Binds the pod; `false` where it is worth another try.
async fn bind(world: &World, pod: &Pod, node: &str) -> bool {
    let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
    let binding = Binding {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace.clone()),
            uid: pod.uid(),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(node.to_owned()),
            ..ObjectReference::default()
        },
    };
    let api: Api<Pod> = Api::namespaced(world.kube.clone(), &namespace);
    match api.create_subresource::<Binding, Value>("binding", &name, &PostParams::default(), &binding).await {
        Ok(_) => {
            world.metrics.plans.placed(Placed::AsPlanned);
            world.metrics.scheduling.pod_bound(provisioner::age(pod));
            true
        }
        // It is bound already, was replaced or is gone.
        Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => {
            world.metrics.plans.placed(Placed::Elsewhere);
            true
        }
        // The API server will never take it so; kube-scheduler may know better.
        Err(kube::Error::Api(status)) if (400..500).contains(&status.code) && status.code != 429 => {
            tracing::warn!(
                pod = name,
                namespace,
                message = status.message,
                "a planned pod cannot be bound; kube-scheduler decides"
            );
            true
        }
        Err(error) => {
            tracing::warn!(pod = name, namespace, %error, "binding a planned pod failed");
            false
        }
    }
}

/// Nominates the pod. Nothing depends on it, so a failure is only told.
async fn nominate_one(world: &World, pod: &Pod, node: &str) {
    let api: Api<Pod> = Api::namespaced(world.kube.clone(), &pod.namespace().unwrap_or_default());
    let patch = json!({"metadata": {"uid": pod.uid()}, "status": {"nominatedNodeName": node}});
    if let Err(error) = api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await {
        tracing::debug!(pod = pod.name_any(), %error, "cannot nominate");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, spec: &Value) -> Arc<Pod> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).expect("a pod"))
    }

    #[test]
    fn pods_come_as_far_as_there_is_room() {
        let asking = |name: &str, cpu: &str| {
            pod(name, &json!({"containers": [{"name": "main", "resources": {"requests": {"cpu": cpu}}}]}))
        };
        let room = Resources::new().with("cpu", 1_000).with("pods", 3);
        let pods = vec![asking("a", "600m"), asking("b", "500m"), asking("c", "400m")];
        let (come, left) = fitting(pods, room);
        let names = |pods: &[Arc<Pod>]| pods.iter().map(|pod| pod.name_any()).collect::<Vec<_>>();
        assert_eq!((names(&come), names(&left)), (vec!["a".to_owned(), "c".to_owned()], vec!["b".to_owned()]));
        let (come, left) =
            fitting(vec![asking("a", "1m"), asking("b", "1m")], Resources::new().with("cpu", 1_000).with("pods", 1));
        assert_eq!((names(&come), names(&left)), (vec!["a".to_owned()], vec!["b".to_owned()]));
    }

    #[test]
    fn hard_rules_between_pods_are_seen() {
        let spread = |when: &str| {
            json!({"containers": [], "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": when},
            ]})
        };
        let affinity = |kind: &str, strength: &str| {
            json!({"containers": [], "affinity": {kind: {strength: [
                {"topologyKey": "kubernetes.io/hostname", "weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname"}},
            ]}}})
        };
        let hard = "requiredDuringSchedulingIgnoredDuringExecution";
        for (spec, expected) in [
            (json!({"containers": []}), false),
            (spread("DoNotSchedule"), true),
            (spread("ScheduleAnyway"), false),
            (affinity("podAffinity", hard), true),
            (affinity("podAntiAffinity", hard), true),
            (affinity("podAntiAffinity", "preferredDuringSchedulingIgnoredDuringExecution"), false),
        ] {
            assert_eq!(has_rules_between_pods(&pod("a", &spec)), expected, "{spec}");
        }
    }
}
