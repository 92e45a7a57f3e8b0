//! Nodes that exist: what the plan puts on them keeps their labels, taints and room.

use std::collections::BTreeSet;

use super::concrete::{Site, satisfies};
use super::{Violation, volumes};
use crate::domain::allocatable;
use crate::domain::catalog::{CapacityType, PriceKind};
use crate::domain::cluster::ClusterView;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::node::Node;
use crate::domain::node_pool::NodePool;
use crate::domain::plan::{Candidate, Plan};
use crate::domain::pod::{DaemonSet, Pod};
use crate::domain::requirement::Requirements;
use crate::domain::resources::Resources;
use crate::domain::taint;

/// Checks every use of an existing node.
pub(super) fn check(site: &Site<'_>, plan: &Plan, found: &mut Vec<Violation>) {
    let cluster = site.cluster;
    let mut seen = BTreeSet::new();
    for used in &plan.existing {
        let Some(node) = cluster.nodes.get(used.node) else {
            found.push(Violation::UnknownNode { index: used.node });
            continue;
        };
        if !seen.insert(used.node) || used.pods.is_empty() {
            found.push(Violation::NodeRepeated { node: node.name.clone() });
        }
        let pods: Vec<&Pod> = used.pods.iter().filter_map(|&pod| cluster.pods.get(pod)).collect();
        check_node(site, node, &pods, found);
    }
}

/// What an instance like `node`, a node of `pool`, costs now; `None` where nothing tells.
pub(super) fn price(site: &Site<'_>, pool: &NodePool, node: &Node) -> Option<UsdPerHour> {
    let label = |key: &str| node.labels.get(key).cloned();
    let alike = Candidate {
        instance_type: label(labels::INSTANCE_TYPE)?,
        zone: label(labels::ZONE)?,
        capacity_type: CapacityType::parse(&label(labels::CAPACITY_TYPE)?)?,
        price: UsdPerHour::ZERO,
        price_kind: PriceKind::Listed,
        interruptions: UsdPerHour::ZERO,
        reservation: None,
    };
    site.price(pool, &alike).map(|(price, _)| price)
}

fn check_node(site: &Site<'_>, node: &Node, pods: &[&Pod], found: &mut Vec<Violation>) {
    let labels = Requirements::from_labels(&node.labels);
    let mut wanted = taken(site.cluster, node);
    for pod in pods {
        wanted.add(&pod.spec.requests);
        if !pod.spec.node_alternatives.iter().any(|terms| satisfies(&labels, terms)) {
            found.push(Violation::ExistingNodeAffinity { node: node.name.clone(), pod: pod.full_name() });
        }
        if let Some(volume) = volumes::first_detached(&pod.spec, &labels) {
            let (node, pod, volume) = (node.name.clone(), pod.full_name(), volume.name.clone());
            found.push(Violation::ExistingNodeVolume { node, pod, volume });
        }
        if let Some(taint) = taint::first_untolerated(&node.taints, &pod.spec.tolerations) {
            let (node, pod, taint) = (node.name.clone(), pod.full_name(), taint.to_string());
            found.push(Violation::ExistingNodeTaint { node, pod, taint });
        }
    }
    let running = node.pods.iter().map(|pod| &*pod.spec);
    let wanted = volumes::attached_once(&wanted, running.chain(pods.iter().map(|pod| &*pod.spec)));
    let pool = node.node_pool.as_deref().and_then(|name| site.pool(name));
    let class = pool.and_then(|pool| site.cluster.node_classes.get(&pool.node_class_ref.name));
    let offered = allocatable::offered_by(node, site.catalog, class);
    for (resource, wanted, allocatable) in volumes::excess(&wanted, &offered) {
        if pods.iter().any(|pod| pod.spec.requests.get(&resource) > 0) {
            let node = node.name.clone();
            found.push(Violation::ExistingNodeOvercommitted { node, resource, wanted, allocatable });
        }
    }
}

/// What is taken before the plan adds anything: the pods that run there, and DaemonSets that have yet to come.
fn taken(cluster: &ClusterView, node: &Node) -> Resources {
    let mut running = Resources::new();
    let mut of_daemons = Resources::new();
    for pod in &node.pods {
        running.add(&pod.spec.requests);
        if pod.of_daemon_set {
            of_daemons.add(&pod.spec.requests);
        }
    }
    let mut due = Resources::new();
    daemons_of(cluster, node).for_each(|daemon| due.add(&daemon.spec.requests));
    let missing = due.minus(&of_daemons);
    for (resource, amount) in missing.iter().filter(|(_, amount)| *amount > 0) {
        running.set(resource.as_str(), running.get(resource.as_str()) + amount);
    }
    running
}

/// The DaemonSets that run on `node`.
pub(super) fn daemons_of<'a>(cluster: &'a ClusterView, node: &'a Node) -> impl Iterator<Item = &'a DaemonSet> {
    let labels = Requirements::from_labels(&node.labels);
    cluster.daemon_sets.iter().filter(move |daemon| {
        taint::first_untolerated(&node.taints, &daemon.spec.tolerations).is_none()
            && daemon.spec.node_alternatives.iter().any(|terms| satisfies(&labels, terms))
    })
}
