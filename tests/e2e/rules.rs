//! What must hold of a cluster in which all pods run: nodes hold what is on them, and zones are in balance.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt as _;
use supercargo::adapters::kube::convert::requests::effective_requests;
use supercargo::domain::quantity::Quantity;
use supercargo::domain::resources::Resources;

use crate::Outcome;
use crate::aws::ZONES;

/// Pods on a node ask for no more than it has: kwok, unlike a kubelet, takes what it is given.
pub(crate) fn nodes_hold_their_pods(nodes: &[Node], pods: &[Pod]) -> Outcome {
    let mut taken: BTreeMap<&str, Resources> = BTreeMap::new();
    for pod in pods {
        let spec = pod.spec.as_ref().ok_or("a pod has a spec")?;
        let requests = effective_requests(spec).map_err(|error| error.problem)?;
        taken.entry(spec.node_name.as_deref().unwrap_or_default()).or_default().add(&requests);
    }
    for node in nodes {
        let name = node.name_any();
        let Some(taken) = taken.get(name.as_str()) else { continue };
        let reported = node.status.as_ref().and_then(|status| status.allocatable.as_ref()).ok_or("a node has an allocatable")?;
        let mut has = Resources::new();
        for (resource, quantity) in reported {
            has.set(resource, Quantity::parse(&quantity.0).map_err(|error| error.to_string())?.amount(resource));
        }
        assert!(taken.fits_in(&has), "{name} has {has:?} and is asked for {taken:?}");
    }
    Ok(())
}

/// The pods of one workload are spread over the zones for nodes with a skew of one at most.
pub(crate) fn zones_are_in_balance(nodes: &[Node], pods: &[Pod]) -> Outcome {
    let mut counts: BTreeMap<&str, usize> = ZONES.iter().map(|zone| (*zone, 0)).collect();
    let zone_of: BTreeMap<String, &str> = nodes
        .iter()
        .filter_map(|node| Some((node.name_any(), node.labels().get("topology.kubernetes.io/zone")?.as_str())))
        .collect();
    for pod in pods {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
        let zone = zone_of.get(node).ok_or_else(|| format!("{} runs on {node}, which has no zone", pod.name_any()))?;
        *counts.entry(zone).or_default() += 1;
    }
    let (least, most) = (counts.values().min(), counts.values().max());
    let skew = most.zip(least).map_or(0, |(most, least)| most - least);
    assert!(skew <= 1, "pods over zones: {counts:?}");
    Ok(())
}
