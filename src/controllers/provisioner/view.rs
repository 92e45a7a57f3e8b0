//! The cluster as the program sees it: what stands, what is on its way with the pods that it was bought for, and what waits.
//!
//! A NodeClaim counts from the moment at which it is written. Until it is launched it offers what the least of its types offers, and
//! weighs on limits like the largest; its planned pods stand on it already. So there is nothing to wait for: a launch that hangs keeps
//! nobody from planning, and nobody's pods are bought for twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt as _;

use crate::adapters::kube::cluster_view::{InputError, LiveObjects, LivePod};
use crate::adapters::kube::conditions::{Conditioned as _, READY};
use crate::adapters::kube::crd::{NodeClaim, NodeClaimStatus, NodePool};
use crate::controllers::lifecycle::{has_taint, is_settled, provider_id};
use crate::controllers::offers::{Markets, narrow, quantities};
use crate::controllers::operations::options::Acting;
use crate::controllers::planned_pods::{self, PodKey};
use crate::controllers::provisioner::eligibility;
use crate::controllers::world::World;
use crate::domain::catalog::Catalog;
use crate::domain::cluster::ClusterView;
use crate::domain::taint::DISRUPTED;

/// The cluster, and who is who in it.
pub(super) struct View {
    pub(super) cluster: ClusterView,
    /// The pods of the cluster view, in its order.
    pub(super) pods: Vec<Arc<Pod>>,
    /// Objects that are left out, with what is wrong with them.
    pub(super) faults: Vec<InputError>,
    /// Pods that wait, and that nothing can be planned for.
    pub(super) ignored: usize,
    /// NodeClaims whose node is still on its way, by the name of their node in the view.
    pub(super) in_flight: BTreeMap<String, Arc<NodeClaim>>,
}

/// The view of this moment.
///
/// # Errors
/// When there are more pods than a plan can hold.
pub(super) fn view(world: &World, catalog: &Arc<Catalog>) -> Result<View, InputError> {
    let mirror = &world.mirror;
    // Nodes first, then pods: what changes in between makes room look smaller, never larger.
    let nodes = sorted(mirror.nodes.state());
    let claims = mirror.node_claims();
    let ending: BTreeSet<&str> = claims
        .iter()
        .filter(|claim| claim.metadata.deletion_timestamp.is_some())
        .filter_map(|claim| provider_id(claim))
        .collect();
    let leaving: BTreeSet<String> = nodes.iter().filter(|node| is_leaving(node, &ending)).map(|node| node.name_any()).collect();
    let known: BTreeSet<String> = nodes.iter().map(|node| node.name_any()).collect();
    let mut meant: BTreeMap<PodKey, String> = BTreeMap::new();
    let mut in_flight = BTreeMap::new();
    let markets = Markets::of(world, catalog);
    let mut counted = Vec::with_capacity(claims.len());
    for claim in &claims {
        let claim_nodes = node_names(world, claim);
        let place = claim_nodes.first().cloned().unwrap_or_else(|| claim.name_any());
        if claim.metadata.deletion_timestamp.is_none() && !is_settled(world, claim) {
            meant.extend(planned_pods::of(claim).into_iter().map(|pod| (pod, place.clone())));
            in_flight.insert(place, Arc::clone(claim));
        }
        counted.push(completed(claim, &markets));
    }
    let mut pods = Vec::new();
    let mut ignored = 0;
    for pod in sorted(mirror.pods.state()) {
        if eligibility::is_finished(&pod) {
            continue;
        }
        let planned = || meant.get(&key(&pod)).cloned();
        let place = match eligibility::node_of(&pod) {
            Some(node) if leaving.contains(node) => {
                if !eligibility::is_reschedulable(&pod) {
                    continue;
                }
                planned()
            }
            Some(node) if known.contains(node) => Some(node.to_owned()),
            Some(_) => continue,
            None if eligibility::is_of_node(&pod) => continue,
            None => match planned() {
                Some(place) if eligibility::is_active(&pod) => Some(place),
                _ if eligibility::is_provisionable(&pod, |node| known.contains(node)) => None,
                _ => {
                    ignored += usize::from(eligibility::is_unschedulable(&pod));
                    continue;
                }
            },
        };
        pods.push(LivePod { pod, place });
    }
    let by_name: BTreeMap<(String, String), Arc<Pod>> = pods
        .iter()
        .map(|live| ((live.pod.namespace().unwrap_or_default(), live.pod.name_any()), Arc::clone(&live.pod)))
        .collect();
    // Where nobody keeps the conditions of NodePools, a recommendation does without them.
    let unkept = |pool: &NodePool| world.settings.acting == Acting::Recommend && pool.stored_conditions().is_empty();
    let usable = |pool: &NodePool| pool.is_true(READY) || unkept(pool);
    let objects = LiveObjects {
        pods,
        nodes,
        node_claims: counted,
        node_pools: mirror.node_pools.state().into_iter().filter(|pool| usable(pool)).collect(),
        node_classes: mirror.node_classes.state(),
        node_overlays: if world.settings.features.node_overlay { mirror.node_overlays.state() } else { Vec::new() },
        daemon_sets: sorted(mirror.daemon_sets.state()),
        volume_claims: mirror.volume_claims.state(),
        volumes: mirror.volumes.state(),
        storage_classes: mirror.storage_classes.state(),
        csi_nodes: mirror.csi_nodes.state(),
        namespaces: mirror.namespaces.state(),
    };
    let (loaded, faults) = objects.load()?;
    let mut cluster = ClusterView { instance_settings: world.prices.settings.clone(), ..loaded.cluster };
    narrow(world, &mut cluster);
    let pods = cluster.pods.iter().filter_map(|pod| by_name.get(&(pod.namespace.clone(), pod.name.clone())).cloned()).collect();
    Ok(View { cluster, pods, faults, ignored, in_flight })
}

/// A pod's names and UID.
pub(super) fn key(pod: &Pod) -> PodKey {
    let uid = pod.uid().unwrap_or_default();
    PodKey { namespace: pod.namespace().unwrap_or_default(), name: pod.name_any(), uid }
}

/// By namespace and name, so that the same cluster gives the same plan.
fn sorted<K: kube::Resource<DynamicType = ()>>(mut objects: Vec<Arc<K>>) -> Vec<Arc<K>> {
    objects.sort_by_cached_key(|object| (object.namespace(), object.name_any()));
    objects
}

fn node_names(world: &World, claim: &NodeClaim) -> Vec<String> {
    let id = provider_id(claim);
    id.map(|id| world.mirror.nodes_of(id).iter().map(|node| node.name_any()).collect()).unwrap_or_default()
}

/// Whether the node goes: it is being deleted, it is tainted for that, or its claim, by its provider's id, is among those that are `ending`.
fn is_leaving(node: &Node, ending: &BTreeSet<&str>) -> bool {
    let id = node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref());
    node.metadata.deletion_timestamp.is_some()
        || has_taint(node, |key| key == DISRUPTED)
        || id.is_some_and(|id| ending.contains(id))
}

/// The claim with what its node will offer, where it does not say so yet.
fn completed(claim: &Arc<NodeClaim>, markets: &Markets) -> Arc<NodeClaim> {
    let says = claim.status.as_ref().and_then(|status| status.allocatable.as_ref()).is_some_and(|all| !all.is_empty());
    if says {
        return Arc::clone(claim);
    }
    let Some((capacity, allocatable)) = markets.of_claim(claim).and_then(|market| market.promise(claim)) else {
        return Arc::clone(claim);
    };
    let mut made = NodeClaim::clone(claim);
    let status = made.status.get_or_insert_with(NodeClaimStatus::default);
    status.capacity = Some(quantities(&capacity));
    status.allocatable = Some(quantities(&allocatable));
    Arc::new(made)
}
