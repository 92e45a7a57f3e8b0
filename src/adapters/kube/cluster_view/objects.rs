//! Typed objects, and what of each is kept.
//!
//! Pods are the many, so of them only what planning needs is kept, and equal templates are kept once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::adapters::kube::cluster_view::error::{InputError, MAX_ERRORS};
use crate::adapters::kube::cluster_view::storage::Storage;
use crate::adapters::kube::cluster_view::workload::{self, Owner, WorkloadKind, WorkloadObject};
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
pub(in crate::adapters) const NAME_OF_NAMESPACE: &str = "kubernetes.io/metadata.name";

/// What a pod that is on a node is to that node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::adapters) enum Standing {
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
pub(in crate::adapters) struct PodObject {
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
pub(in crate::adapters) struct DaemonSetObject {
    pub namespace: String,
    pub name: String,
    pub template: Arc<PodTemplate>,
    /// Claimed volumes.
    pub mounts: Vec<Mount>,
}

/// Everything that was read.
#[derive(Default)]
pub(in crate::adapters) struct Objects {
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
    /// The objects that count as they were read, in input order, where somebody wants them.
    pub kept: Option<Vec<serde_json::Value>>,
    templates: BTreeSet<Arc<PodTemplate>>,
    /// How often each object occurs, and the file of the last.
    pub seen: BTreeMap<String, (usize, String)>,
    /// How many objects of a `generateName` there are, by kind, namespace and prefix.
    pub generated: BTreeMap<String, usize>,
}

/// How many pods are not planned for, or planned differently, by reason.
#[derive(Clone, Debug, Default)]
pub(in crate::adapters) struct LeftOut {
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
pub(in crate::adapters) struct Identity<'f> {
    /// The file; `cluster` for an object of a live one.
    pub file: &'f str,
    /// `Deployment shop/cart`.
    pub label: String,
    /// Empty where the kind has none.
    pub namespace: String,
    pub name: String,
}

impl Objects {
    /// Takes in a pod.
    pub(in crate::adapters) fn pod(&mut self, identity: Identity<'_>, pod: &Pod) -> Result<(), Box<InputError>> {
        let Pod { metadata, spec, status } = pod;
        let owners = metadata.owner_references.as_deref().unwrap_or_default();
        let daemon_set = owners.iter().find(|owner| owner.kind == "DaemonSet" && owner.api_version.starts_with("apps/"));
        if let Some(owner) = daemon_set {
            let key = (identity.namespace.clone(), owner.name.clone());
            *self.left_out.of_daemon_sets.entry(key).or_default() += 1;
        }
        let phase = status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
        let spec = identity.spec(spec.as_ref())?;
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
        let template = self.template(&identity, "", Some(spec), Some(metadata))?;
        let mounts = storage::mounts(spec).map_err(|error| identity.error(error.inside("spec")))?;
        self.pods.push(PodObject {
            node,
            owner: workload::controller(metadata),
            template_hash: template_hash(metadata),
            namespace: identity.namespace,
            name: identity.name,
            template,
            mounts,
        });
        Ok(())
    }

    /// Takes in a NodePool.
    pub(in crate::adapters) fn node_pool(&mut self, identity: Identity<'_>, pool: &crd::NodePool) -> Result<(), Box<InputError>> {
        self.saw_node_pool = true;
        let converted = node_pool::from_api(&identity.name, pool).map_err(|error| identity.error(error))?;
        match node_pool::exclusion(pool) {
            Some(reason) => self.notices.push(format!("NodePool `{}` is not used: {reason}", identity.name)),
            None => {
                self.node_pools.insert(identity.name, converted);
            }
        }
        Ok(())
    }

    /// Takes in a NodeOverlay.
    pub(in crate::adapters) fn node_overlay(
        &mut self,
        identity: Identity<'_>,
        overlay: &crd::NodeOverlay,
    ) -> Result<(), Box<InputError>> {
        let converted = node_overlay::from_api(&identity.name, overlay).map_err(|error| identity.error(error))?;
        if overlay.metadata.deletion_timestamp.is_some() {
            self.notices.push(format!("NodeOverlay `{}` is not used: it is being deleted", identity.name));
        } else {
            self.node_overlays.insert(identity.name, converted);
        }
        Ok(())
    }

    /// Takes in a kind that makes pods.
    pub(in crate::adapters) fn workload(
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

    /// Takes in a DaemonSet.
    pub(in crate::adapters) fn daemon_set(&mut self, identity: Identity<'_>, set: &DaemonSet) -> Result<(), Box<InputError>> {
        let made = &set.spec.template;
        let template = self.template(&identity, "spec.template", made.spec.as_ref(), made.metadata.as_ref())?;
        let mounts = made.spec.as_ref().map_or(Ok(Vec::new()), storage::mounts);
        let mounts = mounts.map_err(|error| identity.error(error.inside("spec.template.spec")))?;
        self.daemon_sets.push(DaemonSetObject { namespace: identity.namespace, name: identity.name, template, mounts });
        Ok(())
    }

    /// Takes in an EC2NodeClass.
    pub(in crate::adapters) fn node_class(
        &mut self,
        identity: Identity<'_>,
        class: &crd::EC2NodeClass,
    ) -> Result<(), Box<InputError>> {
        let made = node_class::from_api(&identity.name, class).map_err(|error| identity.error(error))?;
        self.node_classes.insert(identity.name, made);
        Ok(())
    }

    /// Takes in a Node.
    pub(in crate::adapters) fn node(&mut self, identity: &Identity<'_>, node: &Node) -> Result<(), Box<InputError>> {
        self.nodes.push(node::from_api(&identity.name, node).map_err(|error| identity.error(error))?);
        Ok(())
    }

    /// Takes in a NodeClaim.
    pub(in crate::adapters) fn node_claim(
        &mut self,
        identity: &Identity<'_>,
        claim: &crd::NodeClaim,
    ) -> Result<(), Box<InputError>> {
        self.node_claims.push(node::claim_from_api(&identity.name, claim).map_err(|error| identity.error(error))?);
        Ok(())
    }

    /// Takes in a PersistentVolumeClaim.
    pub(in crate::adapters) fn volume_claim(&mut self, identity: Identity<'_>, claim: &PersistentVolumeClaim) {
        self.storage.claims.insert((identity.namespace, identity.name), storage::claim_facts(claim));
    }

    /// Takes in a PersistentVolume.
    pub(in crate::adapters) fn volume(
        &mut self,
        identity: Identity<'_>,
        volume: &PersistentVolume,
    ) -> Result<(), Box<InputError>> {
        let facts = storage::volume_facts(volume).map_err(|error| identity.error(error))?;
        self.storage.volumes.insert(identity.name, facts);
        Ok(())
    }

    /// Takes in a StorageClass.
    pub(in crate::adapters) fn storage_class(
        &mut self,
        identity: Identity<'_>,
        class: &StorageClass,
    ) -> Result<(), Box<InputError>> {
        let facts = storage::class_facts(class).map_err(|error| identity.error(error))?;
        self.storage.classes.insert(identity.name, facts);
        Ok(())
    }

    /// Takes in a CSINode.
    pub(in crate::adapters) fn csi_node(&mut self, identity: Identity<'_>, node: &CSINode) -> Result<(), Box<InputError>> {
        let limits = storage::attach_limits(node).map_err(|error| identity.error(error))?;
        self.storage.limits.insert(identity.name, limits);
        Ok(())
    }

    /// Takes in a namespace.
    pub(in crate::adapters) fn namespace(&mut self, identity: Identity<'_>, namespace: &Namespace) {
        let mut labels = labels_of(Some(&namespace.metadata));
        labels.insert(NAME_OF_NAMESPACE.to_owned(), identity.name.clone());
        self.namespaces.insert(identity.name, labels);
    }

    /// One error for each name that occurs more than once.
    pub(in crate::adapters) fn refuse_duplicates(&mut self) {
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
    pub(in crate::adapters) fn spec<T>(&self, spec: Option<T>) -> Result<T, Box<InputError>> {
        spec.ok_or_else(|| self.error(FieldError::new("spec", "there is no spec", "add the spec; is the indentation right?")))
    }

    pub(in crate::adapters) fn error(&self, error: FieldError) -> Box<InputError> {
        Box::new(InputError::of_object(self.file, &self.label, error))
    }
}

fn labels_of(metadata: Option<&ObjectMeta>) -> Labels {
    metadata.and_then(|metadata| metadata.labels.clone()).unwrap_or_default()
}

fn template_hash(metadata: &ObjectMeta) -> Option<String> {
    metadata.labels.as_ref()?.get("pod-template-hash").cloned()
}
