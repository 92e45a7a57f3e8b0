//! Workloads: how many pods each wants, and who owns whom.
//!
//! A pod of the input and the workload that made it must not both count. A workload therefore stands for the pods that are
//! missing: those that it wants less those whose chain of owners leads to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::adapters::kube::cluster_view::objects::PodObject;
use crate::adapters::kube::convert::FieldError;
use crate::adapters::kube::convert::pod_spec::PodTemplate;
use crate::adapters::kube::convert::storage::{ClaimSpec, Mount};
use crate::domain::pod::Workload;

/// The most pods of a workload, and of the whole input: ten times what the largest clusters run.
pub(in crate::adapters) const MAX_PODS: usize = 1_000_000;

/// An object's controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::adapters) struct Owner {
    pub kind: String,
    pub name: String,
}

/// The kinds that make pods, with what is special to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::adapters) enum WorkloadKind {
    Deployment,
    ReplicaSet,
    StatefulSet {
        /// `spec.ordinals.start`.
        first_ordinal: i32,
    },
    Job,
}

impl WorkloadKind {
    pub(in crate::adapters) fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::StatefulSet { .. } => "StatefulSet",
            Self::Job => "Job",
        }
    }
}

/// A workload of the input.
#[derive(Clone, Debug)]
pub(in crate::adapters) struct WorkloadObject {
    /// The file that it was read from.
    pub file: String,
    pub kind: WorkloadKind,
    pub namespace: String,
    pub name: String,
    pub owner: Option<Owner>,
    /// How many pods it wants at one time.
    pub pods: usize,
    pub template: Arc<PodTemplate>,
    /// Claimed volumes of its pods.
    pub mounts: Vec<Mount>,
    /// Claims that each pod of a StatefulSet gets, by the name of the volume.
    pub claims: Vec<(String, ClaimSpec)>,
}

/// The controller among the owners.
pub(in crate::adapters) fn controller(metadata: &ObjectMeta) -> Option<Owner> {
    let owners = metadata.owner_references.as_deref()?;
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    Some(Owner { kind: owner.kind.clone(), name: owner.name.clone() })
}

/// The pods that `spec.replicas` asks for; 1 when it is not given.
pub(in crate::adapters) fn replicas(replicas: Option<i32>) -> Result<usize, FieldError> {
    count(replicas, "spec.replicas").map(|count| count.unwrap_or(1))
}

fn count(number: Option<i32>, field: &str) -> Result<Option<usize>, FieldError> {
    let Some(number) = number else { return Ok(None) };
    match usize::try_from(number) {
        Ok(count) if count <= MAX_PODS => Ok(Some(count)),
        _ => {
            let problem = format!("{number} is not between 0 and {MAX_PODS}");
            Err(FieldError::new(field, problem, "write how many pods should run at one time"))
        }
    }
}

/// The pods that run at one time until the job is done: none when it is suspended or finished.
pub(in crate::adapters) fn pods_of_job(job: &Job) -> Result<usize, FieldError> {
    let Some(spec) = &job.spec else { return Ok(0) };
    let parallelism = count(spec.parallelism, "spec.parallelism")?.unwrap_or(1);
    let completions = count(spec.completions, "spec.completions")?;
    let status = job.status.as_ref();
    let finished = status.and_then(|status| status.conditions.as_ref()).is_some_and(|conditions| {
        conditions.iter().any(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True")
    });
    if finished || spec.suspend == Some(true) {
        return Ok(0);
    }
    let succeeded = status.and_then(|status| status.succeeded).and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    // Without completions a job is a queue: all its workers run until one succeeds.
    Ok(completions.map_or(parallelism, |completions| parallelism.min(completions.saturating_sub(succeeded))))
}

/// Namespace, kind and name of a workload.
type Key = (String, String, String);

/// Who owns whom among the pods and workloads of the input.
pub(in crate::adapters) struct Ownership {
    /// The owner of each ReplicaSet of the input, if it has one.
    replica_sets: BTreeMap<(String, String), Option<Owner>>,
    deployments: BTreeSet<(String, String)>,
    /// How many pods of the input lead to a workload.
    present: BTreeMap<Key, usize>,
}

impl Ownership {
    pub(in crate::adapters) fn new(workloads: &[WorkloadObject]) -> Self {
        let (mut replica_sets, mut deployments) = (BTreeMap::new(), BTreeSet::new());
        for workload in workloads {
            let key = (workload.namespace.clone(), workload.name.clone());
            match workload.kind {
                WorkloadKind::ReplicaSet => drop(replica_sets.insert(key, workload.owner.clone())),
                WorkloadKind::Deployment => drop(deployments.insert(key)),
                WorkloadKind::StatefulSet { .. } | WorkloadKind::Job => {}
            }
        }
        Self { replica_sets, deployments, present: BTreeMap::new() }
    }

    /// The workload at the end of the pod's chain of owners; every workload on the way has one pod more.
    pub(in crate::adapters) fn claim(&mut self, pod: &PodObject) -> Workload {
        let Some(owner) = &pod.owner else { return Workload { kind: "Pod".to_owned(), name: pod.name.clone() } };
        self.count(&pod.namespace, owner);
        let end = if owner.kind == "ReplicaSet" {
            match self.replica_sets.get(&(pod.namespace.clone(), owner.name.clone())) {
                Some(known) => known.clone(),
                None => deployment_of(&owner.name, pod.template_hash.as_deref()),
            }
        } else {
            None
        };
        if let Some(end) = &end {
            self.count(&pod.namespace, end);
        }
        let end = end.unwrap_or_else(|| owner.clone());
        Workload { kind: end.kind, name: end.name }
    }

    fn count(&mut self, namespace: &str, owner: &Owner) {
        *self.present.entry((namespace.to_owned(), owner.kind.clone(), owner.name.clone())).or_default() += 1;
    }

    /// How many pods of `workload` are not in the input. None for a ReplicaSet whose Deployment is: that one counts.
    pub(in crate::adapters) fn missing(&self, workload: &WorkloadObject) -> usize {
        let owned = workload.owner.as_ref().is_some_and(|owner| {
            owner.kind == "Deployment" && self.deployments.contains(&(workload.namespace.clone(), owner.name.clone()))
        });
        if owned {
            return 0;
        }
        let key = (workload.namespace.clone(), workload.kind.as_str().to_owned(), workload.name.clone());
        workload.pods.saturating_sub(self.present.get(&key).copied().unwrap_or(0))
    }
}

/// The Deployment behind a ReplicaSet that is not in the input: its name without the hash of the template.
fn deployment_of(replica_set: &str, template_hash: Option<&str>) -> Option<Owner> {
    let name = replica_set.strip_suffix(template_hash?)?.strip_suffix('-').filter(|name| !name.is_empty())?;
    Some(Owner { kind: "Deployment".to_owned(), name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_runs_what_is_left_of_it() {
        let pods = |job: serde_json::Value| pods_of_job(&serde_json::from_value(job).expect("a job")).expect("valid");
        let spec = |spec: serde_json::Value, status: serde_json::Value| {
            let mut spec = spec;
            spec["template"] = serde_json::json!({});
            serde_json::json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": spec, "status": status})
        };
        let none = || serde_json::json!({});
        assert_eq!(pods(spec(none(), none())), 1);
        assert_eq!(pods(spec(serde_json::json!({"parallelism": 8}), none())), 8);
        assert_eq!(pods(spec(serde_json::json!({"parallelism": 8, "completions": 3}), none())), 3);
        assert_eq!(pods(spec(serde_json::json!({"parallelism": 8, "completions": 10}), serde_json::json!({"succeeded": 9}))), 1);
        assert_eq!(pods(spec(serde_json::json!({"parallelism": 8, "suspend": true}), none())), 0);
        let done = serde_json::json!({"conditions": [{"type": "Complete", "status": "True"}]});
        assert_eq!(pods(spec(serde_json::json!({"parallelism": 8}), done)), 0);
    }

    #[test]
    fn the_deployment_is_told_from_the_name_of_its_replica_set() {
        let name = |set, hash| deployment_of(set, hash).map(|owner| owner.name);
        assert_eq!(name("web-5d8f", Some("5d8f")), Some("web".to_owned()));
        assert_eq!(name("web-5d8f", Some("77")), None);
        assert_eq!(name("web-5d8f", None), None);
        assert_eq!(name("-5d8f", Some("5d8f")), None);
    }
}
