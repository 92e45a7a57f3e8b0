//! Nodes that exist, as templates of the supply: what is free on them costs nothing and is there once.
//!
//! Nodes with equal labels but for their names, equal taints, equal room and equal pods are one template that stands for all of them.
//! The room is what is allocatable less what runs there, and less what DaemonSets have yet to bring: the requests of those that would
//! run there beyond the requests of the DaemonSet pods that do (Karpenter core v1.15.0,
//! `pkg/controllers/provisioning/scheduling/existingnode.go`). A node that exists is held to its labels strictly: a label that it
//! lacks is absent, not open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::allocatable::offered_by;
use crate::domain::catalog::{CapacityType, Catalog, PriceKind};
use crate::domain::cluster::ClusterView;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::node::Node;
use crate::domain::node_overlay::evaluation::PoolOverlays;
use crate::domain::node_pool::NodePool;
use crate::domain::pod::PodSpec;
use crate::domain::requirement::Requirements;
use crate::domain::resources::{ResourceName, Resources};
use crate::domain::selector::Labels;
use crate::domain::taint::{Taint, first_untolerated};
use crate::planning::attachments;
use crate::planning::cost::CostModel;
use crate::planning::market::{Cell, Market};
use crate::planning::supply::{Room, Standing, Template, TemplateOffer, TemplateType, limit_usage};

/// Whether a node with exactly `labels` meets `terms`.
pub(super) fn meets(labels: &Labels, terms: &Requirements) -> bool {
    terms.iter().all(|(key, wanted)| match labels.get(key) {
        Some(value) => wanted.has(value),
        None => wanted.accepts_absence(),
    })
}

/// `pool` with the limits that its nodes leave. A node costs what one like it would cost now; nothing is known of others.
pub(super) fn without_standing(
    pool: &NodePool,
    cluster: &ClusterView,
    catalog: &Catalog,
    costs: &CostModel,
    overlays: &PoolOverlays<'_>,
) -> NodePool {
    let mut left = pool.clone();
    let own = || cluster.nodes.iter().filter(|node| node.node_pool.as_ref() == Some(&pool.name));
    let class = cluster.node_classes.get(&pool.node_class_ref.name);
    let overhead = class.map_or(UsdPerHour::ZERO, |class| costs.overhead(class, catalog));
    let cost = |node: &Node| instance_price(node, catalog, overlays).map_or(UsdPerHour::ZERO, |price| price + overhead);
    for (resource, limit) in &mut left.limits {
        let used = own().map(|node| limit_usage(&node.capacity, cost(node), resource)).fold(0, i64::saturating_add);
        *limit = limit.saturating_sub(used).max(0);
    }
    left
}

/// The price of an instance like that of `node`, a node of the NodePool of `overlays`.
fn instance_price(node: &Node, catalog: &Catalog, overlays: &PoolOverlays<'_>) -> Option<UsdPerHour> {
    let capacity_type = CapacityType::parse(node.labels.get(labels::CAPACITY_TYPE)?)?;
    if capacity_type == CapacityType::Reserved {
        return Some(UsdPerHour::ZERO);
    }
    let zone = node.labels.get(labels::ZONE)?;
    let sold = overlays.of_type(catalog.get(node.labels.get(labels::INSTANCE_TYPE)?)?).offerings();
    let own = sold.iter().find(|offering| offering.zone == *zone && offering.capacity_type == capacity_type);
    own.map(|offering| offering.price)
}

/// What makes nodes alike.
type Alike<'a> = (Labels, &'a [Taint], Option<&'a str>, Resources, Vec<(&'a str, &'a Labels, &'a PodSpec)>);

/// The templates of the nodes, by the first node of each.
pub(super) fn templates(cluster: &ClusterView, catalog: &Catalog) -> Vec<Template> {
    // Nodes have names of their own, which matter only where a pod asks for one by name.
    let named = cluster.pods.iter().any(|pod| {
        let mut alternatives = pod.spec.node_alternatives.iter().chain(pod.spec.volume_places());
        alternatives.any(|terms| terms.get(labels::HOSTNAME).is_some())
    });
    let attachments = attachments::asked_for(cluster);
    let mut rooms: Vec<Room> = cluster.nodes.iter().map(|node| room(cluster, catalog, &attachments, node)).collect();
    let mut alike: BTreeMap<Alike<'_>, Vec<usize>> = BTreeMap::new();
    for (number, node) in cluster.nodes.iter().enumerate() {
        let mut own = node.labels.clone();
        if !named {
            own.remove(labels::HOSTNAME);
        }
        let mut pods: Vec<_> = node.pods.iter().map(|pod| (pod.namespace.as_str(), &*pod.labels, &*pod.spec)).collect();
        pods.sort_unstable();
        let key = (own, node.taints.as_slice(), node.node_pool.as_deref(), rooms[number].for_pods.clone(), pods);
        alike.entry(key).or_default().push(number);
    }
    let mut groups: Vec<Vec<usize>> = alike.into_values().collect();
    groups.sort_unstable();
    groups
        .into_iter()
        .map(|nodes| {
            let room = std::mem::take(&mut rooms[nodes[0]]);
            template(cluster, nodes, room)
        })
        .collect()
}

fn template(cluster: &ClusterView, nodes: Vec<usize>, room: Room) -> Template {
    let node = &cluster.nodes[nodes[0]];
    let label = |key: &str| node.labels.get(key).cloned();
    let capacity_type = label(labels::CAPACITY_TYPE).and_then(|name| CapacityType::parse(&name));
    let cell = Cell {
        zone: label(labels::ZONE).unwrap_or_default(),
        capacity_type: capacity_type.unwrap_or(CapacityType::OnDemand),
        zone_id: label(labels::ZONE_ID),
        reservation: None,
    };
    let is_own = |pool: &NodePool| Some(&pool.name) == node.node_pool.as_ref();
    Template {
        node_pool: cluster.node_pools.iter().position(is_own).unwrap_or(cluster.node_pools.len()),
        name: node.node_pool.clone().unwrap_or_default(),
        weight: 0,
        requirements: Requirements::from_labels(&node.labels),
        labels: BTreeMap::new(),
        taints: node.taints.clone(),
        overhead: UsdPerHour::ZERO,
        limits: BTreeMap::new(),
        min_values: Vec::new(),
        market: Arc::new(Market::of_node(&node.name, cell, &node.capacity, &node.allocatable)),
        types: vec![TemplateType { in_market: 0, room: Arc::new(room), within_limits: true }],
        offers: vec![TemplateOffer {
            of_type: 0,
            cell: 0,
            price: UsdPerHour::ZERO,
            price_kind: PriceKind::Listed,
            interruptions: UsdPerHour::ZERO,
        }],
        standing: Some(Standing { nodes, labels: node.labels.clone() }),
        capped: Vec::new(),
        draws: Vec::new(),
    }
}

/// What is free on `node`.
fn room(cluster: &ClusterView, catalog: &Catalog, attachments: &BTreeSet<ResourceName>, node: &Node) -> Room {
    let (mut running, mut of_daemons, mut due) = (Resources::new(), Resources::new(), Resources::new());
    let mut ports = Vec::new();
    for pod in &node.pods {
        running.add(&pod.spec.requests);
        if pod.of_daemon_set {
            of_daemons.add(&pod.spec.requests);
        }
    }
    for daemon in &cluster.daemon_sets {
        let tolerates = first_untolerated(&node.taints, &daemon.spec.tolerations).is_none();
        if tolerates && daemon.spec.node_alternatives.iter().any(|terms| meets(&node.labels, terms)) {
            due.add(&daemon.spec.requests);
            ports.extend(daemon.spec.host_ports.iter().cloned());
        }
    }
    let pool = cluster.node_pools.iter().find(|pool| Some(&pool.name) == node.node_pool.as_ref());
    let class = pool.and_then(|pool| cluster.node_classes.get(&pool.node_class_ref.name));
    let running = running.minus(&attachments::repeated(node.pods.iter().map(|pod| &*pod.spec)));
    let mut for_pods = attachments::opened(&offered_by(node, catalog, class), attachments).minus(&running);
    for (resource, amount) in due.minus(&of_daemons).iter().filter(|(_, amount)| *amount > 0) {
        for_pods.set(resource.as_str(), for_pods.get(resource.as_str()).saturating_sub(amount));
    }
    // A node that has more volumes than it lists can still take pods without any.
    let overfull = for_pods.iter().filter(|(resource, amount)| resource.is_attachment() && *amount < 0);
    for resource in overfull.map(|(resource, _)| resource.clone()).collect::<Vec<ResourceName>>() {
        for_pods.set(resource.as_str(), 0);
    }
    Room { daemons: Arc::new(of_daemons), for_pods, ports }
}
