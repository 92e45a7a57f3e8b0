//! A mirror of the cluster, kept up to date by watches.
//!
//! One watch per kind fills one store; a watch that breaks lists everything again, with growing pauses, and the store keeps what it had
//! until then. Whoever wants to hear of changes gets a stream of [`Change`]s; each names an object and says no more, so that hearing of it
//! twice or late does no harm.
//!
//! Watches lag behind what this process writes itself. A NodeClaim that was just created must count at once, or its pods would be bought
//! for again: [`Mirror::remember`] keeps it until the watch has it.

mod fresh;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt as _, future::BoxFuture};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt as _, reflector::reflector};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::adapters::kube::crd::{EC2NodeClass, NodeClaim, NodeOverlay, NodePool};
use fresh::FreshClaims;

/// An object that is new, different or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A pod.
    Pod(ObjectRef<Pod>),
    /// A node.
    Node(ObjectRef<Node>),
    /// A NodeClaim.
    NodeClaim(ObjectRef<NodeClaim>),
    /// A NodePool.
    NodePool(ObjectRef<NodePool>),
    /// An EC2NodeClass.
    NodeClass(ObjectRef<EC2NodeClass>),
}

/// The objects of the cluster that decide about nodes.
#[derive(Clone)]
pub struct Mirror {
    /// Pods, without those that have finished.
    pub pods: Store<Pod>,
    /// Nodes.
    pub nodes: Store<Node>,
    /// NodePools.
    pub node_pools: Store<NodePool>,
    /// EC2NodeClasses.
    pub node_classes: Store<EC2NodeClass>,
    /// NodeOverlays.
    pub node_overlays: Store<NodeOverlay>,
    /// DaemonSets.
    pub daemon_sets: Store<DaemonSet>,
    /// PersistentVolumeClaims.
    pub volume_claims: Store<PersistentVolumeClaim>,
    /// PersistentVolumes.
    pub volumes: Store<PersistentVolume>,
    /// StorageClasses.
    pub storage_classes: Store<StorageClass>,
    /// CSINodes.
    pub csi_nodes: Store<CSINode>,
    /// Namespaces.
    pub namespaces: Store<Namespace>,
    node_claims: Store<NodeClaim>,
    fresh: Arc<Mutex<FreshClaims>>,
    hub: Arc<Hub>,
}

/// Everybody who wants to hear of changes.
#[derive(Default)]
struct Hub(Mutex<Vec<UnboundedSender<Change>>>);

impl Hub {
    fn tell(&self, change: &Change) {
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener.send(change.clone()).is_ok());
    }
}

/// The watches, for the program to run; each ends only when it is dropped.
pub type Watches = Vec<BoxFuture<'static, ()>>;

impl Mirror {
    /// A mirror, empty until the watches that come with it are run.
    #[must_use]
    pub fn new(client: &Client) -> (Self, Watches) {
        let hub = Arc::new(Hub::default());
        let fresh = Arc::new(Mutex::new(FreshClaims::default()));
        let mut watches = Watches::new();
        let (pods, watch) = {
            // Finished pods hold nothing; the API server leaves them out.
            let config = watcher::Config::default().fields("status.phase!=Succeeded,status.phase!=Failed");
            let hub = Arc::clone(&hub);
            follow::<Pod>(client, config, move |event| named(event, |pod| hub.tell(&Change::Pod(ObjectRef::from_obj(pod)))))
        };
        watches.push(watch);
        let (nodes, watch) = {
            let hub = Arc::clone(&hub);
            follow_all::<Node>(client, move |event| named(event, |node| hub.tell(&Change::Node(ObjectRef::from_obj(node)))))
        };
        watches.push(watch);
        let (node_claims, watch) = {
            let (hub, fresh) = (Arc::clone(&hub), Arc::clone(&fresh));
            follow_all::<NodeClaim>(client, move |event| {
                fresh.lock().unwrap_or_else(PoisonError::into_inner).saw(event);
                named(event, |claim| hub.tell(&Change::NodeClaim(ObjectRef::from_obj(claim))));
            })
        };
        watches.push(watch);
        let (node_pools, watch) = {
            let hub = Arc::clone(&hub);
            follow_all::<NodePool>(client, move |event| {
                named(event, |pool| hub.tell(&Change::NodePool(ObjectRef::from_obj(pool))));
            })
        };
        watches.push(watch);
        let (node_classes, watch) = {
            let hub = Arc::clone(&hub);
            follow_all::<EC2NodeClass>(client, move |event| {
                named(event, |class| hub.tell(&Change::NodeClass(ObjectRef::from_obj(class))));
            })
        };
        watches.push(watch);
        let mut quiet = Silent { client, watches: &mut watches };
        let node_overlays = quiet.kind();
        let daemon_sets = quiet.kind();
        let volume_claims = quiet.kind();
        let volumes = quiet.kind();
        let storage_classes = quiet.kind();
        let csi_nodes = quiet.kind();
        let namespaces = quiet.kind();
        let mirror = Self {
            pods,
            nodes,
            node_pools,
            node_classes,
            node_overlays,
            daemon_sets,
            volume_claims,
            volumes,
            storage_classes,
            csi_nodes,
            namespaces,
            node_claims,
            fresh,
            hub,
        };
        (mirror, watches)
    }

    /// Waits until every kind was listed once.
    pub async fn synced(&self) {
        // A store is dropped with its watch, at the end of the program: nothing to wait for then.
        let _ = self.pods.wait_until_ready().await;
        let _ = self.nodes.wait_until_ready().await;
        let _ = self.node_claims.wait_until_ready().await;
        let _ = self.node_pools.wait_until_ready().await;
        let _ = self.node_classes.wait_until_ready().await;
        let _ = self.node_overlays.wait_until_ready().await;
        let _ = self.daemon_sets.wait_until_ready().await;
        let _ = self.volume_claims.wait_until_ready().await;
        let _ = self.volumes.wait_until_ready().await;
        let _ = self.storage_classes.wait_until_ready().await;
        let _ = self.csi_nodes.wait_until_ready().await;
        let _ = self.namespaces.wait_until_ready().await;
    }

    /// Everything that changes from now on.
    #[must_use]
    pub fn changes(&self) -> UnboundedReceiver<Change> {
        let (sender, receiver) = unbounded_channel();
        self.hub.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    /// NodeClaims, by name: those of the watch, and those that were created since.
    #[must_use]
    pub fn node_claims(&self) -> Vec<Arc<NodeClaim>> {
        // Those first: one that the watch brings meanwhile is then in both, and counted once.
        let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner).all();
        let mut claims = self.node_claims.state();
        let known: BTreeSet<String> = claims.iter().map(|claim| claim.name_any()).collect();
        claims.extend(fresh.into_iter().filter(|claim| !known.contains(&claim.name_any())));
        claims.sort_by_key(|claim| claim.name_any());
        claims
    }

    /// The NodeClaim called `name`.
    #[must_use]
    pub fn node_claim(&self, name: &str) -> Option<Arc<NodeClaim>> {
        let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner).get(name);
        self.node_claims.get(&ObjectRef::new(name)).or(fresh)
    }

    /// The store of NodeClaims that the watch fills, for queues that work on it.
    #[must_use]
    pub fn node_claim_store(&self) -> Store<NodeClaim> {
        self.node_claims.clone()
    }

    /// Counts a NodeClaim that was just created until the watch brings it.
    pub fn remember(&self, claim: NodeClaim) {
        let known = self.node_claims.get(&ObjectRef::from_obj(&claim)).is_some();
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).remember(claim, known);
    }

    /// The Nodes with this provider id; more than one is a mistake that somebody else made.
    #[must_use]
    pub fn nodes_of(&self, provider_id: &str) -> Vec<Arc<Node>> {
        let is_it = |node: &Node| node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref()) == Some(provider_id);
        let mut found = self.nodes.state_filter(is_it);
        found.sort_by_key(|node| node.name_any());
        found
    }

    /// The EC2NodeClass called `name`.
    #[must_use]
    pub fn node_class(&self, name: &str) -> Option<Arc<EC2NodeClass>> {
        self.node_classes.get(&ObjectRef::new(name))
    }

    /// The NodePool called `name`.
    #[must_use]
    pub fn node_pool(&self, name: &str) -> Option<Arc<NodePool>> {
        self.node_pools.get(&ObjectRef::new(name))
    }
}

/// Kinds whose changes nobody waits for.
struct Silent<'a> {
    client: &'a Client,
    watches: &'a mut Watches,
}

impl Silent<'_> {
    fn kind<K>(&mut self) -> Store<K>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let (store, watch) = follow_all(self.client, |_: &Event<K>| {});
        self.watches.push(watch);
        store
    }
}

fn follow_all<K>(client: &Client, told: impl FnMut(&Event<K>) + Send + 'static) -> (Store<K>, BoxFuture<'static, ()>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    follow(client, watcher::Config::default(), told)
}

/// A store and the watch that fills it; `told` hears of each event after the store has it. What a list brings the store has when the list is
/// complete: then it is all told again.
fn follow<K>(
    client: &Client,
    config: watcher::Config,
    mut told: impl FnMut(&Event<K>) + Send + 'static,
) -> (Store<K>, BoxFuture<'static, ()>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Eq + Hash,
{
    let (store, writer) = reflector::store();
    let events = watcher(Api::<K>::all(client.clone()), config).default_backoff().modify(|object| {
        // Half of the memory, and of no use here.
        object.managed_fields_mut().clear();
    });
    let listed = store.clone();
    let watch = reflector(writer, events).for_each(move |event| {
        match event {
            Ok(event) => {
                told(&event);
                if matches!(event, Event::InitDone) {
                    listed.state().iter().for_each(|object| told(&Event::Apply(K::clone(object))));
                }
            }
            Err(error) => tracing::warn!(kind = %K::kind(&()), %error, "watch failed, listing again"),
        }
        std::future::ready(())
    });
    (store, Box::pin(watch))
}

/// Calls `take` with the object that an event is about.
fn named<K>(event: &Event<K>, mut take: impl FnMut(&K)) {
    match event {
        Event::Apply(object) | Event::Delete(object) => take(object),
        Event::Init | Event::InitApply(_) | Event::InitDone => {}
    }
}
