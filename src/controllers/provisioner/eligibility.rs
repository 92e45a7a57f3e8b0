//! Which pods want a node of ours: the predicates of Karpenter core v1.15.0 (`pkg/utils/pod/scheduling.go`).

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;

/// Blocks voluntary disruption of a pod.
const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";

/// Whether kube-scheduler has said that there is no place for the pod, and a new node could be one. A pod that is nominated has a place to
/// come, unless its node is gone: nobody else would ever look after it then.
pub(crate) fn is_provisionable(pod: &Pod, is_there: impl Fn(&str) -> bool) -> bool {
    let nominated = pod.status.as_ref().and_then(|status| status.nominated_node_name.as_deref()).unwrap_or_default();
    let may_come = nominated.is_empty() || !is_there(nominated);
    is_unschedulable(pod) && !is_bound(pod) && may_come && is_active(pod) && !is_of_node(pod)
}

/// Whether kube-scheduler has said that there is no place for the pod.
pub(crate) fn is_unschedulable(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| {
        condition.type_ == "PodScheduled" && condition.status == "False" && condition.reason.as_deref() == Some("Unschedulable")
    })
}

/// Whether the pod has a node.
pub(crate) fn is_bound(pod: &Pod) -> bool {
    node_of(pod).is_some()
}

/// The node of the pod.
pub(crate) fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).filter(|node| !node.is_empty())
}

/// Whether the pod runs or is going to, and is not being deleted.
pub(crate) fn is_active(pod: &Pod) -> bool {
    !is_finished(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// Whether the pod has run to its end.
pub(crate) fn is_finished(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether the pod belongs to one node: a DaemonSet's, or a static one.
pub(crate) fn is_of_node(pod: &Pod) -> bool {
    is_owned(pod, "apps/v1", "DaemonSet") || is_mirror(pod)
}

/// Whether the pod is a static one, which the kubelet made by itself.
pub(crate) fn is_mirror(pod: &Pod) -> bool {
    is_owned(pod, "v1", "Node")
}

/// Whether the pod of a node that goes needs another place.
pub(crate) fn is_reschedulable(pod: &Pod) -> bool {
    let comes_back = is_owned(pod, "apps/v1", "StatefulSet") && !is_finished(pod);
    (is_active(pod) || comes_back) && !is_of_node(pod) && !is_undisturbed(pod)
}

/// Whether the pod asks not to be disrupted now: for good, or for so long since it started.
pub(crate) fn is_undisturbed(pod: &Pod) -> bool {
    let Some(value) = pod.metadata.annotations.as_ref().and_then(|all| all.get(DO_NOT_DISRUPT)) else { return false };
    if value == "true" {
        return true;
    }
    let Some(grace) = value.parse::<kube::core::Duration>().ok().map(Duration::from).filter(|grace| !grace.is_zero()) else {
        return false;
    };
    let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
    started.is_none_or(|started| Duration::try_from(Timestamp::now().duration_since(started)).is_ok_and(|age| age < grace))
}

fn is_owned(pod: &Pod, version: &str, kind: &str) -> bool {
    let is_it = |owner: &OwnerReference| owner.api_version == version && owner.kind == kind;
    pod.metadata.owner_references.iter().flatten().any(is_it)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: &Value, conditions: &Value, owner: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "a", "ownerReferences": owner},
            "spec": spec,
            "status": {"phase": "Pending", "conditions": conditions},
        }))
        .expect("a pod")
    }

    #[test]
    fn pods_that_kube_scheduler_gave_up_are_provisionable() {
        let spec = json!({"containers": []});
        let refused = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]);
        let gated = json!([{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]);
        let nobody = json!([]);
        let daemon = json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "u"}]);
        let there = |name: &str| name == "n";
        assert!(is_provisionable(&pod(&spec, &refused, &nobody), there));
        assert!(!is_provisionable(&pod(&spec, &gated, &nobody), there));
        assert!(!is_provisionable(&pod(&spec, &json!([]), &nobody), there));
        assert!(!is_provisionable(&pod(&spec, &refused, &daemon), there));
        assert!(!is_provisionable(&pod(&json!({"containers": [], "nodeName": "n"}), &refused, &nobody), there));
        let mut nominated = pod(&spec, &refused, &nobody);
        if let Some(status) = &mut nominated.status {
            status.nominated_node_name = Some("n".to_owned());
        }
        assert!(!is_provisionable(&nominated, there));
        assert!(is_provisionable(&nominated, |_| false));
    }

    #[test]
    fn pods_of_a_node_that_goes_need_a_place_unless_they_hold_it() {
        let (spec, none) = (json!({"containers": [], "nodeName": "n"}), json!([]));
        let mut running = pod(&spec, &none, &none);
        assert!(is_reschedulable(&running));
        running.metadata.annotations = Some([(DO_NOT_DISRUPT.to_owned(), "true".to_owned())].into());
        assert!(!is_reschedulable(&running));
        // It has not said when it started, so its ten minutes are not over.
        running.metadata.annotations = Some([(DO_NOT_DISRUPT.to_owned(), "10m".to_owned())].into());
        assert!(is_undisturbed(&running));
        running.metadata.annotations = Some([(DO_NOT_DISRUPT.to_owned(), "no".to_owned())].into());
        assert!(!is_undisturbed(&running));
        assert!(!is_reschedulable(&pod(&spec, &none, &json!([{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}]))));
    }
}
