//! From untyped objects to typed ones: which kinds matter, and how those that do not parse are told.

use std::fmt;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::adapters::kube::cluster_view::error::{InputError, MAX_ERRORS};
use crate::adapters::kube::cluster_view::objects::{Identity, Objects};
use crate::adapters::kube::cluster_view::workload::{self, WorkloadKind};
use crate::adapters::kube::convert::{FieldError, storage};
use crate::adapters::kube::crd;

/// Where an object was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'f> {
    /// Name of the file.
    pub file: &'f str,
    /// Which document of it, from 1.
    pub document: usize,
    /// The line that the document begins on, where known.
    pub line: Option<usize>,
}

impl fmt::Display for Place<'_> {
    /// `document 3 (line 40)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "document {}", self.document)?;
        self.line.map_or(Ok(()), |line| write!(f, " (line {line})"))
    }
}

impl Objects {
    /// Takes in one object, of whatever kind.
    pub(super) fn accept(&mut self, object: Value, place: Place<'_>) {
        if self.errors.len() >= MAX_ERRORS {
            return;
        }
        if let Err(error) = self.try_accept(object, place) {
            self.errors.push(*error);
        }
    }

    /// Takes in the items of `list` that leave out their kind: that of a `PodList` is `Pod`.
    pub(super) fn accept_kindless(&mut self, items: Vec<Value>, list: &Map<String, Value>, place: Place<'_>) {
        let kind = list.get("kind").and_then(Value::as_str).unwrap_or_default();
        let Some(item_kind) = kind.strip_suffix("List") else {
            let mend = "add `kind: List`, or give the objects as documents of their own";
            let problem = format!("`items` belong to a list, but the kind is `{kind}`");
            self.errors.push(InputError { object: Some(place.to_string()), ..InputError::of_file(place.file, problem, mend) });
            return;
        };
        for mut item in items {
            if let Some(map) = item.as_object_mut().filter(|_| !item_kind.is_empty()) {
                map.insert("kind".to_owned(), Value::from(item_kind));
                if let Some(version) = list.get("apiVersion") {
                    map.insert("apiVersion".to_owned(), version.clone());
                }
            }
            self.accept(item, place);
        }
    }

    fn try_accept(&mut self, object: Value, place: Place<'_>) -> Result<(), Box<InputError>> {
        let unnamed = |problem: &str, mend: &str| {
            Box::new(InputError { object: Some(place.to_string()), ..InputError::of_file(place.file, problem, mend) })
        };
        if !object.is_object() {
            let mend = "each document or item is a map with apiVersion, kind, metadata and spec";
            return Err(unnamed(&format!("{} is not a Kubernetes object", describe(&object)), mend));
        }
        let text = |field: &str| object.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        let Some(kind) = text("kind") else {
            return Err(unnamed("the object has no `kind`", "add apiVersion and kind, such as `apiVersion: v1` and `kind: Pod`"));
        };
        let Some(version) = text("apiVersion") else {
            return Err(unnamed(&format!("the {kind} has no `apiVersion`"), "add it, such as `apiVersion: apps/v1`"));
        };
        let group = version.split_once('/').map_or("", |(group, _)| group);
        match (group, kind) {
            (_, list) if list.ends_with("List") && object.get("items").is_some_and(Value::is_array) => {
                self.accept_nested_list(object, place);
            }
            ("", "Pod") => {
                let (identity, pod) = self.typed::<Pod>(&object, place)?;
                self.pod(identity, &pod)?;
            }
            ("apps", "Deployment") => {
                let (identity, deployment) = self.typed::<Deployment>(&object, place)?;
                let spec = deployment.spec;
                let owner = workload::controller(&deployment.metadata);
                self.workload(
                    &identity,
                    WorkloadKind::Deployment,
                    owner,
                    workload::replicas(spec.replicas),
                    Some(spec.template),
                )?;
            }
            ("apps", "ReplicaSet") => {
                let (identity, set) = self.typed::<ReplicaSet>(&object, place)?;
                let spec = set.spec;
                let owner = workload::controller(&set.metadata);
                self.workload(&identity, WorkloadKind::ReplicaSet, owner, workload::replicas(spec.replicas), spec.template)?;
            }
            ("apps", "StatefulSet") => {
                let (identity, set) = self.typed::<StatefulSet>(&object, place)?;
                let spec = set.spec;
                let first_ordinal = spec.ordinals.and_then(|ordinals| ordinals.start).unwrap_or(0);
                let kind = WorkloadKind::StatefulSet { first_ordinal };
                let owner = workload::controller(&set.metadata);
                self.workload(&identity, kind, owner, workload::replicas(spec.replicas), Some(spec.template))?;
                let claims = spec.volume_claim_templates.unwrap_or_default().into_iter().filter_map(|claim| {
                    Some((claim.metadata.name.clone()?, storage::claim_spec(Some(&claim.metadata), claim.spec.as_ref())))
                });
                if let Some(made) = self.workloads.last_mut() {
                    made.claims = claims.collect();
                }
            }
            ("batch", "Job") => {
                let (identity, job) = self.typed::<Job>(&object, place)?;
                let wanted = workload::pods_of_job(&job);
                let spec = identity.spec(job.spec)?;
                let owner = workload::controller(&job.metadata);
                self.workload(&identity, WorkloadKind::Job, owner, wanted, Some(spec.template))?;
            }
            ("apps", "DaemonSet") => {
                let (identity, set) = self.typed::<DaemonSet>(&object, place)?;
                self.daemon_set(identity, &set)?;
            }
            ("karpenter.sh", "NodePool") => {
                let (identity, pool) = self.typed::<crd::NodePool>(&object, place)?;
                self.node_pool(identity, &pool)?;
            }
            ("karpenter.sh", "NodeOverlay") => {
                let (identity, overlay) = self.typed::<crd::NodeOverlay>(&object, place)?;
                self.node_overlay(identity, &overlay)?;
            }
            ("karpenter.k8s.aws", "EC2NodeClass") => {
                let (identity, class) = self.typed::<crd::EC2NodeClass>(&object, place)?;
                self.node_class(identity, &class)?;
            }
            ("", "Node") => {
                let (identity, node) = self.typed::<Node>(&object, place)?;
                self.node(&identity, &node)?;
            }
            ("karpenter.sh", "NodeClaim") => {
                let (identity, claim) = self.typed::<crd::NodeClaim>(&object, place)?;
                self.node_claim(&identity, &claim)?;
            }
            ("", "PersistentVolumeClaim") => {
                let (identity, claim) = self.typed::<PersistentVolumeClaim>(&object, place)?;
                self.volume_claim(identity, &claim);
            }
            ("", "PersistentVolume") => {
                let (identity, volume) = self.typed::<PersistentVolume>(&object, place)?;
                self.volume(identity, &volume)?;
            }
            ("storage.k8s.io", "StorageClass") => {
                let (identity, class) = self.typed::<StorageClass>(&object, place)?;
                self.storage_class(identity, &class)?;
            }
            ("storage.k8s.io", "CSINode") => {
                let (identity, node) = self.typed::<CSINode>(&object, place)?;
                self.csi_node(identity, &node)?;
            }
            ("scheduling.k8s.io", "PriorityClass") => {
                let (identity, class) = self.typed::<PriorityClass>(&object, place)?;
                self.priority_classes.insert(identity.name, (class.value.unwrap_or(0), class.global_default == Some(true)));
            }
            ("", "Namespace") => {
                let (identity, namespace) = self.typed::<Namespace>(&object, place)?;
                self.namespace(identity, &namespace);
            }
            _ => {
                let known = [
                    "Pod",
                    "Deployment",
                    "ReplicaSet",
                    "StatefulSet",
                    "Job",
                    "DaemonSet",
                    "Node",
                    "NodePool",
                    "NodeClaim",
                    "NodeOverlay",
                    "EC2NodeClass",
                ];
                // A known kind of another group is named in full, or the count would puzzle.
                let name = if known.contains(&kind) { format!("{kind}.{group}") } else { kind.to_owned() };
                *self.ignored.entry(name).or_default() += 1;
            }
        }
        Ok(())
    }

    fn accept_nested_list(&mut self, mut object: Value, place: Place<'_>) {
        let Some(Value::Array(items)) = object.as_object_mut().and_then(|map| map.remove("items")) else { return };
        let list = object.as_object().cloned().unwrap_or_default();
        for item in items {
            if item.get("kind").is_some() { self.accept(item, place) } else { self.accept_kindless(vec![item], &list, place) }
        }
    }

    /// The object as `T`, counted once more by its name.
    fn typed<'f, T: DeserializeOwned>(&mut self, object: &Value, place: Place<'f>) -> Result<(Identity<'f>, T), Box<InputError>> {
        let identity = self.identify(object, place)?;
        match T::deserialize(object) {
            Ok(typed) => {
                if let Some(kept) = &mut self.kept {
                    kept.push(object.clone());
                }
                Ok((identity, typed))
            }
            // Once more, slowly, for the path.
            Err(_) => match serde_path_to_error::deserialize::<_, T>(object) {
                Ok(typed) => Ok((identity, typed)),
                Err(error) => {
                    let path = error.path().to_string();
                    let problem = error.into_inner().to_string();
                    // The types check the version before they know a path.
                    let version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
                    let (field, mend) = if path == "." && problem.contains(&format!("{version:?}")) {
                        ("apiVersion".to_owned(), "give the object in the version that is expected, as the cluster serves it")
                    } else {
                        let mend = "write the type that the Kubernetes API has there; text that looks like a number needs quotes";
                        (if path == "." { String::new() } else { path }, mend)
                    };
                    Err(identity.error(FieldError::new(field, problem, mend)))
                }
            },
        }
    }

    fn identify<'f>(&mut self, object: &Value, place: Place<'f>) -> Result<Identity<'f>, Box<InputError>> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let kind = text("/kind").unwrap_or_default();
        let namespaced = !matches!(
            kind,
            "NodePool"
                | "EC2NodeClass"
                | "PriorityClass"
                | "Namespace"
                | "Node"
                | "NodeClaim"
                | "NodeOverlay"
                | "PersistentVolume"
                | "StorageClass"
                | "CSINode"
        );
        let namespace = if namespaced { text("/metadata/namespace").unwrap_or("default") } else { "" };
        let slash = if namespaced { "/" } else { "" };
        let name = match (text("/metadata/name"), text("/metadata/generateName")) {
            (Some(name), _) => name.to_owned(),
            (None, Some(prefix)) => {
                let count = self.generated.entry(format!("{kind} {namespace}/{prefix}")).or_default();
                *count += 1;
                format!("{prefix}{}", *count - 1)
            }
            (None, None) => {
                let mend = "add metadata.name";
                let problem = format!("the {kind} has no name");
                return Err(Box::new(InputError {
                    object: Some(place.to_string()),
                    field: Some("metadata.name".to_owned()),
                    ..InputError::of_file(place.file, problem, mend)
                }));
            }
        };
        let label = format!("{kind} {namespace}{slash}{name}");
        let seen = self.seen.entry(label.clone()).or_default();
        seen.0 += 1;
        if seen.0 > 1 {
            place.file.clone_into(&mut seen.1);
        }
        Ok(Identity { file: place.file, label, namespace: namespace.to_owned(), name })
    }
}

/// What a value is that should have been a map.
fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "an empty value",
        Value::Bool(_) | Value::Number(_) | Value::String(_) => "a plain value",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
