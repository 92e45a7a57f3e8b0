//! From untyped objects to typed ones: which kinds matter, and what of each is kept.
//!
//! Pods are the many, so of them only what planning needs is kept, and equal templates are kept once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::adapters::files::manifests::error::{InputError, MAX_ERRORS};
use crate::adapters::files::manifests::storage::Storage;
use crate::adapters::files::manifests::workload::{self, Owner, WorkloadKind, WorkloadObject};
use crate::adapters::kube::convert::annotations::PodAnnotations;
use crate::adapters::kube::convert::node::{NodeClaimFacts, NodeFacts};
use crate::adapters::kube::convert::pod_spec::{self, PodTemplate};
use crate::adapters::kube::convert::storage::{self, Mount};
use crate::adapters::kube::convert::topology::Namespaces;
use crate::adapters::kube::convert::{FieldError, node, node_class, node_overlay, node_pool};
use crate::adapters::kube::crd;
use crate::domain::node_class::NodeClass;
use crate::domain::node_overlay::NodeOverlay;
use crate::domain::node_pool::NodePool;
use crate::domain::selector::Labels;

/// The label that the API server gives to every namespace.
pub(super) const NAME_OF_NAMESPACE: &str = "kubernetes.io/metadata.name";

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

/// What a pod that is on a node is to that node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It stays with the node, and needs another place once the node goes.
    Regular,
    /// A DaemonSet's: every node has its own.
    OfDaemonSet,
    /// A static pod, which is the node's own.
    Mirror,
    /// It takes room until it is gone.
    Terminating,
}

/// A pod of the input: one to be placed, or one on a node.
#[derive(Clone, Debug)]
pub(super) struct PodObject {
    /// The node that it is on.
    pub node: Option<(String, Standing)>,
    pub namespace: String,
    pub name: String,
    /// Its controller.
    pub owner: Option<Owner>,
    /// Label `pod-template-hash`: the tail of the name of the ReplicaSet that a Deployment made.
    pub template_hash: Option<String>,
    pub template: Arc<PodTemplate>,
    /// Claimed volumes.
    pub mounts: Vec<Mount>,
}

/// A DaemonSet of the input.
#[derive(Clone, Debug)]
pub(super) struct DaemonSetObject {
    pub namespace: String,
    pub name: String,
    pub template: Arc<PodTemplate>,
    /// Claimed volumes.
    pub mounts: Vec<Mount>,
}

/// Everything that was read.
#[derive(Default)]
pub(super) struct Objects {
    pub pods: Vec<PodObject>,
    pub workloads: Vec<WorkloadObject>,
    pub daemon_sets: Vec<DaemonSetObject>,
    /// By name.
    pub node_pools: BTreeMap<String, NodePool>,
    /// By name.
    pub node_classes: BTreeMap<String, NodeClass>,
    /// By name.
    pub node_overlays: BTreeMap<String, NodeOverlay>,
    /// Value and whether it is the cluster's default, by name.
    pub priority_classes: BTreeMap<String, (i32, bool)>,
    pub nodes: Vec<NodeFacts>,
    pub node_claims: Vec<NodeClaimFacts>,
    pub storage: Storage,
    /// Labels by name.
    pub namespaces: Namespaces,
    pub ignored: BTreeMap<String, usize>,
    /// Sentences about single objects.
    pub notices: Vec<String>,
    /// Whether there was a NodePool at all, used or not.
    pub saw_node_pool: bool,
    pub left_out: LeftOut,
    /// What is wrong, in input order.
    pub errors: Vec<InputError>,
    templates: BTreeSet<Arc<PodTemplate>>,
    /// How often each object occurs, and the file of the last.
    seen: BTreeMap<String, (usize, String)>,
    /// How many objects of a `generateName` there are, by kind, namespace and prefix.
    generated: BTreeMap<String, usize>,
}

/// How many pods are not planned for, or planned differently, by reason.
#[derive(Clone, Debug, Default)]
pub(super) struct LeftOut {
    pub finished: usize,
    pub terminating: usize,
    pub gated: usize,
    pub mirror: usize,
    /// Planned all the same.
    pub bound: usize,
    /// Pods of DaemonSets, by namespace and name of the DaemonSet.
    pub of_daemon_sets: BTreeMap<(String, String), usize>,
}

/// An object's identity and where it was read; errors about it start from here.
struct Identity<'f> {
    file: &'f str,
    /// `Deployment shop/cart`.
    label: String,
    namespace: String,
    name: String,
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
            ("", "Pod") => self.pod(&object, place)?,
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
                let spec = set.spec;
                let metadata = spec.template.metadata.as_ref();
                let template = self.template(&identity, "spec.template", spec.template.spec.as_ref(), metadata)?;
                let mounts = spec.template.spec.as_ref().map_or(Ok(Vec::new()), storage::mounts);
                let mounts = mounts.map_err(|error| identity.error(error.inside("spec.template.spec")))?;
                self.daemon_sets.push(DaemonSetObject { namespace: identity.namespace, name: identity.name, template, mounts });
            }
            ("karpenter.sh", "NodePool") => self.node_pool(&object, place)?,
            ("karpenter.sh", "NodeOverlay") => self.node_overlay(&object, place)?,
            ("karpenter.k8s.aws", "EC2NodeClass") => {
                let (identity, class) = self.typed::<crd::EC2NodeClass>(&object, place)?;
                let made = node_class::from_api(&identity.name, &class).map_err(|error| identity.error(error))?;
                self.node_classes.insert(identity.name, made);
            }
            ("", "Node") => {
                let (identity, node) = self.typed::<Node>(&object, place)?;
                self.nodes.push(node::from_api(&identity.name, &node).map_err(|error| identity.error(error))?);
            }
            ("karpenter.sh", "NodeClaim") => {
                let (identity, claim) = self.typed::<crd::NodeClaim>(&object, place)?;
                let facts = node::claim_from_api(&identity.name, &claim).map_err(|error| identity.error(error))?;
                self.node_claims.push(facts);
            }
            ("", "PersistentVolumeClaim") => {
                let (identity, claim) = self.typed::<PersistentVolumeClaim>(&object, place)?;
                self.storage.claims.insert((identity.namespace, identity.name), storage::claim_facts(&claim));
            }
            ("", "PersistentVolume") => {
                let (identity, volume) = self.typed::<PersistentVolume>(&object, place)?;
                let facts = storage::volume_facts(&volume).map_err(|error| identity.error(error))?;
                self.storage.volumes.insert(identity.name, facts);
            }
            ("storage.k8s.io", "StorageClass") => {
                let (identity, class) = self.typed::<StorageClass>(&object, place)?;
                let facts = storage::class_facts(&class).map_err(|error| identity.error(error))?;
                self.storage.classes.insert(identity.name, facts);
            }
            ("storage.k8s.io", "CSINode") => {
                let (identity, node) = self.typed::<CSINode>(&object, place)?;
                let limits = storage::attach_limits(&node).map_err(|error| identity.error(error))?;
                self.storage.limits.insert(identity.name, limits);
            }
            ("scheduling.k8s.io", "PriorityClass") => {
                let (identity, class) = self.typed::<PriorityClass>(&object, place)?;
                self.priority_classes.insert(identity.name, (class.value.unwrap_or(0), class.global_default == Some(true)));
            }
            ("", "Namespace") => {
                let (identity, namespace) = self.typed::<Namespace>(&object, place)?;
                let mut labels = labels_of(Some(&namespace.metadata));
                labels.insert(NAME_OF_NAMESPACE.to_owned(), identity.name.clone());
                self.namespaces.insert(identity.name, labels);
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
            Ok(typed) => Ok((identity, typed)),
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

    fn pod(&mut self, object: &Value, place: Place<'_>) -> Result<(), Box<InputError>> {
        let (identity, pod) = self.typed::<Pod>(object, place)?;
        let Pod { metadata, spec, status } = pod;
        let owners = metadata.owner_references.as_deref().unwrap_or_default();
        let daemon_set = owners.iter().find(|owner| owner.kind == "DaemonSet" && owner.api_version.starts_with("apps/"));
        if let Some(owner) = daemon_set {
            let key = (identity.namespace.clone(), owner.name.clone());
            *self.left_out.of_daemon_sets.entry(key).or_default() += 1;
        }
        let phase = status.and_then(|status| status.phase).unwrap_or_default();
        let spec = identity.spec(spec)?;
        let left_out = &mut self.left_out;
        let is_mirror = owners.iter().any(|owner| owner.kind == "Node" && owner.api_version == "v1");
        let standing = if daemon_set.is_some() {
            Standing::OfDaemonSet
        } else if is_mirror {
            Standing::Mirror
        } else if metadata.deletion_timestamp.is_some() {
            Standing::Terminating
        } else {
            Standing::Regular
        };
        let node = spec.node_name.clone().filter(|node| !node.is_empty()).map(|node| (node, standing));
        let reason = if phase == "Succeeded" || phase == "Failed" {
            Some(&mut left_out.finished)
        } else if node.is_some() {
            None
        } else if standing == Standing::OfDaemonSet {
            return Ok(());
        } else if standing == Standing::Mirror {
            Some(&mut left_out.mirror)
        } else if standing == Standing::Terminating {
            Some(&mut left_out.terminating)
        } else if spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
            Some(&mut left_out.gated)
        } else {
            None
        };
        if let Some(count) = reason {
            *count += 1;
            return Ok(());
        }
        let template = self.template(&identity, "", Some(&spec), Some(&metadata))?;
        let mounts = storage::mounts(&spec).map_err(|error| identity.error(error.inside("spec")))?;
        self.pods.push(PodObject {
            node,
            owner: workload::controller(&metadata),
            template_hash: template_hash(&metadata),
            namespace: identity.namespace,
            name: identity.name,
            template,
            mounts,
        });
        Ok(())
    }

    fn node_pool(&mut self, object: &Value, place: Place<'_>) -> Result<(), Box<InputError>> {
        let (identity, pool) = self.typed::<crd::NodePool>(object, place)?;
        self.saw_node_pool = true;
        let converted = node_pool::from_api(&identity.name, &pool).map_err(|error| identity.error(error))?;
        match node_pool::exclusion(&pool) {
            Some(reason) => self.notices.push(format!("NodePool `{}` is not used: {reason}", identity.name)),
            None => {
                self.node_pools.insert(identity.name, converted);
            }
        }
        Ok(())
    }

    fn node_overlay(&mut self, object: &Value, place: Place<'_>) -> Result<(), Box<InputError>> {
        let (identity, overlay) = self.typed::<crd::NodeOverlay>(object, place)?;
        let converted = node_overlay::from_api(&identity.name, &overlay).map_err(|error| identity.error(error))?;
        if overlay.metadata.deletion_timestamp.is_some() {
            self.notices.push(format!("NodeOverlay `{}` is not used: it is being deleted", identity.name));
        } else {
            self.node_overlays.insert(identity.name, converted);
        }
        Ok(())
    }

    fn workload(
        &mut self,
        identity: &Identity<'_>,
        kind: WorkloadKind,
        owner: Option<Owner>,
        pods: Result<usize, FieldError>,
        template: Option<PodTemplateSpec>,
    ) -> Result<(), Box<InputError>> {
        let pods = pods.map_err(|error| identity.error(error))?;
        let PodTemplateSpec { metadata, spec } = template.unwrap_or_default();
        let template = self.template(identity, "spec.template", spec.as_ref(), metadata.as_ref())?;
        let mounts = spec.as_ref().map_or(Ok(Vec::new()), storage::mounts);
        let mounts = mounts.map_err(|error| identity.error(error.inside("spec.template.spec")))?;
        let (namespace, name) = (identity.namespace.clone(), identity.name.clone());
        let file = identity.file.to_owned();
        let claims = Vec::new();
        self.workloads.push(WorkloadObject { file, kind, namespace, name, owner, pods, template, mounts, claims });
        Ok(())
    }

    /// The template that `spec` and `metadata` of a pod at `path` make, kept once for all that are equal.
    fn template(
        &mut self,
        identity: &Identity<'_>,
        path: &str,
        spec: Option<&PodSpec>,
        metadata: Option<&ObjectMeta>,
    ) -> Result<Arc<PodTemplate>, Box<InputError>> {
        let within = |error: FieldError| identity.error(if path.is_empty() { error } else { error.inside(path) });
        let spec = spec.filter(|spec| !spec.containers.is_empty()).ok_or_else(|| {
            let mend = "add at least one container; is the indentation right?";
            within(FieldError::new("spec.containers", "there are no containers", mend))
        })?;
        let annotations = metadata.and_then(|metadata| metadata.annotations.clone());
        let annotations = PodAnnotations::from_api(&annotations).map_err(within)?;
        let template = pod_spec::from_api(spec, &identity.namespace, labels_of(metadata), annotations);
        let template = template.map_err(|error| within(error.inside("spec")))?;
        if let Some(known) = self.templates.get(&template) {
            return Ok(Arc::clone(known));
        }
        let template = Arc::new(template);
        self.templates.insert(Arc::clone(&template));
        Ok(template)
    }

    /// One error for each name that occurs more than once.
    pub(super) fn refuse_duplicates(&mut self) {
        for (label, (count, file)) in &self.seen {
            if *count > 1 && self.errors.len() < MAX_ERRORS {
                let mend = "rename all but one; if the same file is given twice, give it once";
                let problem = format!("defined {count} times");
                let error = InputError::of_object(file, label, FieldError::new("metadata.name", problem, mend));
                self.errors.push(error);
            }
        }
    }
}

impl Identity<'_> {
    /// The spec, without which the object means nothing.
    fn spec<T>(&self, spec: Option<T>) -> Result<T, Box<InputError>> {
        spec.ok_or_else(|| self.error(FieldError::new("spec", "there is no spec", "add the spec; is the indentation right?")))
    }

    fn error(&self, error: FieldError) -> Box<InputError> {
        Box::new(InputError::of_object(self.file, &self.label, error))
    }
}

fn labels_of(metadata: Option<&ObjectMeta>) -> Labels {
    metadata.and_then(|metadata| metadata.labels.clone()).unwrap_or_default()
}

fn template_hash(metadata: &ObjectMeta) -> Option<String> {
    metadata.labels.as_ref()?.get("pod-template-hash").cloned()
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
