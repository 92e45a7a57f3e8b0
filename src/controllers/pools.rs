//! What NodePools hold and cost, for their status and for the metrics.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;

use crate::adapters::kube::crd::NodeClaim;
use crate::controllers::lifecycle::{capacity_type_of, pool_of, provider_id};
use crate::controllers::offers::{Markets, amounts};
use crate::controllers::operations::metrics::OfferingLabels;
use crate::controllers::world::World;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::quantity::Quantity;
use crate::domain::resources::{ResourceName, Resources};

/// Between two looks (`metrics.nodepool` of Karpenter core v1.15.0).
const PERIOD: Duration = Duration::from_secs(10);
/// Offerings are told at every sixth look: there are thousands (`cloudprovider.metrics`: every minute).
const LOOKS_PER_OFFERINGS: u32 = 6;

/// The capacities of the claims' nodes: as the nodes report them, or as the claims promise. Claims on their way out are left aside.
pub(crate) fn capacities(world: &World, claims: &[Arc<NodeClaim>]) -> Vec<Resources> {
    let staying = claims.iter().filter(|claim| claim.metadata.deletion_timestamp.is_none());
    let mut unknown: Option<Vec<Arc<NodeClaim>>> = None;
    let mut made: Vec<Resources> = Vec::new();
    for claim in staying {
        let status = claim.status.as_ref();
        let node = provider_id(claim).and_then(|id| world.mirror.nodes_of(id).into_iter().next());
        let reported = node.as_ref().and_then(|node| node.status.as_ref()).and_then(|status| status.capacity.as_ref());
        match reported.or_else(|| status.and_then(|status| status.capacity.as_ref())) {
            Some(capacity) => made.push(amounts(capacity.iter())),
            None => unknown.get_or_insert_default().push(Arc::clone(claim)),
        }
    }
    // Claims that are not launched yet weigh like the largest of what they may become.
    if let (Some(unknown), Some(catalog)) = (unknown, world.prices.catalog()) {
        let markets = Markets::of(world, &catalog);
        let promises = unknown.iter().filter_map(|claim| markets.of_claim(claim)?.promise(claim));
        made.extend(promises.map(|(capacity, _)| capacity));
    }
    made
}

/// Keeps the metrics of NodePools until the program ends.
pub(crate) async fn observe(world: Arc<World>) {
    for look in 0_u32.. {
        tell(&world);
        if look.is_multiple_of(LOOKS_PER_OFFERINGS)
            && let Some(catalog) = world.prices.catalog()
        {
            world.metrics.cloud.offered(catalog.offerings().map(|(instance_type, offering)| {
                let (zone, capacity_type) = (offering.zone.as_str(), offering.capacity_type);
                let labels = OfferingLabels { instance_type: &instance_type.name, capacity_type, zone };
                (labels, offering.price, offering.available)
            }));
        }
        tokio::time::sleep(PERIOD).await;
    }
}

fn tell(world: &World) {
    let claims = world.mirror.node_claims();
    let catalog = world.prices.catalog();
    world.metrics.cluster.forget_pools();
    for pool in world.mirror.node_pools.state() {
        let name = pool.name_any();
        let own: Vec<Arc<NodeClaim>> = claims.iter().filter(|claim| pool_of(claim) == name).cloned().collect();
        let mut used = Resources::new();
        let all = capacities(world, &own);
        all.iter().for_each(|capacity| used.add(capacity));
        let limits = pool.spec.limits.clone().unwrap_or_default();
        for (resource, amount) in used.iter() {
            let limit = limits.get(resource.as_str()).and_then(|text| Quantity::parse(&text.0).ok());
            let limit = limit.map(|limit| in_whole_units(resource.as_str(), limit.amount(resource.as_str())));
            world.metrics.cluster.pool_resource(&name, resource.as_str(), limit, in_whole_units(resource.as_str(), amount));
        }
        let nodes = limits.get("nodes").and_then(|text| Quantity::parse(&text.0).ok()).map(|limit| limit.amount("nodes"));
        world.metrics.cluster.pool_resource(
            &name,
            "nodes",
            nodes.map(|limit| in_whole_units("nodes", limit)),
            in_whole_units("nodes", i64::try_from(all.len()).unwrap_or(i64::MAX)),
        );
        if let Some(catalog) = &catalog {
            let price = |claim: &Arc<NodeClaim>| {
                let instance_type = catalog.get(claim.labels().get(labels::INSTANCE_TYPE)?)?;
                let (zone, kind) = (claim.labels().get(labels::ZONE)?, capacity_type_of(claim)?);
                let offering = instance_type.offerings.iter().find(|of| of.zone == *zone && of.capacity_type == kind)?;
                Some(offering.price)
            };
            world.metrics.cluster.pool_cost(&name, own.iter().filter_map(price).sum::<UsdPerHour>());
        }
    }
}

/// Cores, bytes, pieces.
#[allow(clippy::cast_precision_loss, reason = "a metric is a float; amounts beyond 2^53 bytes are no node pool's")]
fn in_whole_units(resource: &str, amount: i64) -> f64 {
    if resource == ResourceName::CPU { amount as f64 / 1_000.0 } else { amount as f64 }
}
