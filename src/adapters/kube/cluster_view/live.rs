//! The objects of a live cluster as one [`ClusterView`](crate::domain::cluster::ClusterView).
//!
//! Unlike manifests, a cluster is never refused for one bad object: it is left out, and the fault is told.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use kube::{Resource, ResourceExt as _};

use crate::adapters::kube::cluster_view::assemble::assemble;
use crate::adapters::kube::cluster_view::objects::{Identity, Objects};
use crate::adapters::kube::cluster_view::{InputError, Loaded};
use crate::adapters::kube::crd::{EC2NodeClass, NodeClaim, NodeOverlay, NodePool};

/// What errors about objects of a live cluster name in place of a file.
const CLUSTER: &str = "cluster";

/// A pod, and where it counts.
#[derive(Clone, Debug)]
pub struct LivePod {
    /// The pod.
    pub pod: Arc<Pod>,
    /// The node, or the NodeClaim that has no node yet, that it is bound to or meant for; `None` for one that waits for a place.
    pub place: Option<String>,
}

/// What a plan for a live cluster starts from.
#[derive(Clone, Debug, Default)]
pub struct LiveObjects {
    /// Pods that wait for a place or have one.
    pub pods: Vec<LivePod>,
    /// Nodes.
    pub nodes: Vec<Arc<Node>>,
    /// NodeClaims; those that do not say what their node offers are not counted.
    pub node_claims: Vec<Arc<NodeClaim>>,
    /// NodePools that may be used.
    pub node_pools: Vec<Arc<NodePool>>,
    /// EC2NodeClasses, at least those of the NodePools.
    pub node_classes: Vec<Arc<EC2NodeClass>>,
    /// NodeOverlays.
    pub node_overlays: Vec<Arc<NodeOverlay>>,
    /// DaemonSets.
    pub daemon_sets: Vec<Arc<DaemonSet>>,
    /// PersistentVolumeClaims.
    pub volume_claims: Vec<Arc<PersistentVolumeClaim>>,
    /// PersistentVolumes.
    pub volumes: Vec<Arc<PersistentVolume>>,
    /// StorageClasses.
    pub storage_classes: Vec<Arc<StorageClass>>,
    /// CSINodes.
    pub csi_nodes: Vec<Arc<CSINode>>,
    /// Namespaces.
    pub namespaces: Vec<Arc<Namespace>>,
}

impl LiveObjects {
    /// The cluster, and what is wrong with the objects that are left out of it.
    ///
    /// # Errors
    /// When there are more pods than a plan can hold.
    pub fn load(&self) -> Result<(Loaded, Vec<InputError>), InputError> {
        let mut objects = Objects::default();
        // Without a NodePool nothing is to be bought, with an assumed one no more than without.
        objects.saw_node_pool = true;
        let mut faults = Vec::new();
        let mut note = |made: Result<(), Box<InputError>>| faults.extend(made.err().map(|fault| *fault));
        for namespace in &self.namespaces {
            objects.namespace(identity(&**namespace), namespace);
        }
        for LivePod { pod, place } in &self.pods {
            let bound = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
            if bound == place.as_ref() {
                note(objects.pod(identity(&**pod), pod));
            } else {
                let mut moved = Pod::clone(pod);
                if let Some(spec) = &mut moved.spec {
                    spec.node_name.clone_from(place);
                }
                note(objects.pod(identity(&moved), &moved));
            }
        }
        for set in &self.daemon_sets {
            note(objects.daemon_set(identity(&**set), set));
        }
        for node in &self.nodes {
            note(objects.node(&identity(&**node), node));
        }
        for claim in &self.node_claims {
            note(objects.node_claim(&identity(&**claim), claim));
        }
        for class in &self.node_classes {
            note(objects.node_class(identity(&**class), class));
        }
        for pool in &self.node_pools {
            note(objects.node_pool(identity(&**pool), pool));
        }
        for overlay in &self.node_overlays {
            note(objects.node_overlay(identity(&**overlay), overlay));
        }
        for claim in &self.volume_claims {
            objects.volume_claim(identity(&**claim), claim);
        }
        for volume in &self.volumes {
            note(objects.volume(identity(&**volume), volume));
        }
        for class in &self.storage_classes {
            note(objects.storage_class(identity(&**class), class));
        }
        for node in &self.csi_nodes {
            note(objects.csi_node(identity(&**node), node));
        }
        // A pool without a sound NodeClass would be planned with an assumed one.
        let classes = &objects.node_classes;
        objects.node_pools.retain(|_, pool| classes.contains_key(&pool.node_class_ref.name));
        Ok((assemble(objects)?, faults))
    }
}

fn identity<K: Resource<DynamicType = ()>>(object: &K) -> Identity<'static> {
    let (kind, name) = (K::kind(&()), object.name_any());
    let namespace = object.namespace().unwrap_or_default();
    let label = if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") };
    Identity { file: CLUSTER, label, namespace, name }
}
