//! What may be bought for a NodeClaim: the market of its NodeClass and NodePool, narrowed by its requirements.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;

use crate::adapters::kube::cluster_view::LiveObjects;
use crate::adapters::kube::convert::node_pool::requirements_of_claim;
use crate::adapters::kube::crd::NodeClaim;
use crate::controllers::world::World;
use crate::domain::catalog::unavailable::Subnets;
use crate::domain::catalog::{CapacityType, Catalog};
use crate::domain::cluster::ClusterView;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::node_class::NodeClass;
use crate::domain::node_overlay::evaluation::Overlays;
use crate::domain::node_pool::{NodeClassRef, NodePool};
use crate::domain::quantity::Quantity as Amount;
use crate::domain::requirement::Requirements;
use crate::domain::resources::{Resources, quantity_text};
use crate::planning::{Market, MarketType};

/// What nodes of one NodePool may be.
pub(crate) struct PoolMarket {
    pub(crate) class: NodeClass,
    pub(crate) market: Market,
}

/// An offering that holds a NodeClaim's pods.
#[derive(Clone, Debug)]
pub(crate) struct Offer<'a> {
    pub(crate) instance_type: &'a MarketType,
    pub(crate) zone: &'a str,
    pub(crate) capacity_type: CapacityType,
    pub(crate) price: UsdPerHour,
    /// The capacity reservation that it is an instance of.
    pub(crate) reservation: Option<&'a str>,
}

/// The markets of the NodePools under one catalog.
pub(crate) struct Markets {
    catalog: Arc<Catalog>,
    made_of: Versions,
    cluster: ClusterView,
    known: Mutex<BTreeMap<PoolAndClass, Option<Arc<PoolMarket>>>>,
}

/// Names of a NodePool and an EC2NodeClass.
type PoolAndClass = (String, String);
/// What tells a set of NodePools, EC2NodeClasses and NodeOverlays from the same objects after a change that matters here.
pub(crate) type Versions = Vec<(String, String)>;

/// The markets that were made last: they are made again only when what they are made of has changed.
#[derive(Default)]
pub(crate) struct LastMarkets(Mutex<Option<Arc<Markets>>>);

impl Markets {
    /// The markets under `catalog`.
    pub(crate) fn of(world: &World, catalog: &Arc<Catalog>) -> Arc<Self> {
        let objects = LiveObjects {
            node_pools: world.mirror.node_pools.state(),
            node_classes: world.mirror.node_classes.state(),
            node_overlays: if world.settings.features.node_overlay { world.mirror.node_overlays.state() } else { Vec::new() },
            ..LiveObjects::default()
        };
        let made_of = versions(&objects);
        let mut last = world.markets.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = last.as_ref().filter(|known| Arc::ptr_eq(&known.catalog, catalog) && known.made_of == made_of) {
            return Arc::clone(known);
        }
        // Without pods nothing can be too many; what is wrong with a pool, its own status says.
        let cluster = objects.load().map(|(loaded, _)| loaded.cluster).unwrap_or_default();
        let mut cluster = ClusterView { instance_settings: world.prices.settings.clone(), ..cluster };
        narrow(world, &mut cluster);
        let made = Arc::new(Self { catalog: Arc::clone(catalog), made_of, cluster, known: Mutex::default() });
        *last = Some(Arc::clone(&made));
        made
    }

    /// The market of the claim's NodePool; of its NodeClass alone where it has no NodePool, or one that is not known. `None` without a sound
    /// NodeClass.
    pub(crate) fn of_claim(&self, claim: &NodeClaim) -> Option<Arc<PoolMarket>> {
        let pool = claim.labels().get(labels::NODE_POOL).cloned().unwrap_or_default();
        let class = claim.spec.node_class_ref.name.clone();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry((pool, class)).or_insert_with_key(|(pool, class)| self.market(pool, class).map(Arc::new)).clone()
    }

    fn market(&self, pool: &str, class: &str) -> Option<PoolMarket> {
        let node_class = self.cluster.node_classes.get(class)?;
        let found = self.cluster.node_pools.iter().find(|of| of.name == pool && of.node_class_ref.name == class);
        let pool = found.cloned().unwrap_or_else(|| alone(pool, class));
        let overlays = Overlays::new(&self.cluster, &self.catalog).of_pool(&pool)?;
        let market = Market::new(node_class, &self.catalog, &self.cluster.instance_settings, &overlays);
        Some(PoolMarket { class: node_class.clone(), market })
    }
}

/// Leaves out zones whose subnets are full and reservations that are used up, as far as launches have found that lately.
pub(crate) fn narrow(world: &World, cluster: &mut ClusterView) {
    let unavailable = world.prices.unavailable();
    for class in cluster.node_classes.values_mut() {
        let stored = world.mirror.node_class(&class.name);
        let mut subnets = Subnets::new();
        for subnet in stored.iter().filter_map(|class| class.status.as_ref()).flat_map(|status| status.subnets.iter().flatten()) {
            subnets.entry(subnet.zone.clone()).or_default().insert(subnet.id.clone());
        }
        *class = unavailable.narrowed(class, &subnets);
    }
}

/// Of pools and overlays the spec counts, of classes also what their status found.
pub(crate) fn versions(objects: &LiveObjects) -> Versions {
    let generation = |meta: &ObjectMeta| meta.generation.unwrap_or_default().to_string();
    let pools = objects.node_pools.iter().map(|pool| (format!("NodePool {}", pool.name_any()), generation(&pool.metadata)));
    let overlays = objects.node_overlays.iter().map(|of| (format!("NodeOverlay {}", of.name_any()), generation(&of.metadata)));
    let classes = objects
        .node_classes
        .iter()
        .map(|class| (format!("EC2NodeClass {}", class.name_any()), class.resource_version().unwrap_or_default()));
    let mut made: Versions = pools.chain(overlays).chain(classes).collect();
    made.sort();
    made
}

/// The NodePool of a claim that has none.
fn alone(name: &str, class: &str) -> NodePool {
    NodePool {
        name: name.to_owned(),
        weight: 0,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        taints: Vec::new(),
        startup_taints: Vec::new(),
        requirements: Requirements::new(),
        node_class_ref: NodeClassRef {
            group: labels::AWS_DOMAIN.to_owned(),
            kind: "EC2NodeClass".to_owned(),
            name: class.to_owned(),
        },
        expire_after: None,
        termination_grace_period: None,
        limits: BTreeMap::new(),
    }
}

impl PoolMarket {
    /// What holds the claim's pods and meets its requirements, cheapest first; what cannot be had now is not among it.
    pub(crate) fn offers(&self, claim: &NodeClaim) -> Vec<Offer<'_>> {
        let wanted = requirements_of_claim(claim);
        let least = requests(claim);
        let (types, cells) = self.market.satisfying(&wanted);
        let mut offers = Vec::new();
        for number in types.ones() {
            let instance_type = &self.market.types[number];
            if !least.fits_in(&instance_type.allocatable) {
                continue;
            }
            for offer in instance_type.offers.iter().filter(|offer| cells.contains(offer.cell)) {
                let cell = &self.market.cells[offer.cell];
                offers.push(Offer {
                    instance_type,
                    zone: &cell.zone,
                    capacity_type: cell.capacity_type,
                    price: offer.price,
                    reservation: cell.reservation.as_ref().map(|of| of.id.as_str()),
                });
            }
        }
        offers.sort_by(|a, b| {
            let key = |of: &Offer<'_>| (of.price, of.capacity_type);
            key(a).cmp(&key(b)).then_with(|| (&a.instance_type.name, a.zone).cmp(&(&b.instance_type.name, b.zone)))
        });
        offers
    }

    /// What a node of the claim may be before it is known which: what all its types offer at least, and what any of them has at most. A
    /// claim that is on its way counts so, whatever becomes of its launch.
    pub(crate) fn promise(&self, claim: &NodeClaim) -> Option<(Resources, Resources)> {
        let wanted = requirements_of_claim(claim);
        let least = requests(claim);
        let (types, _) = self.market.satisfying(&wanted);
        let fitting = types.ones().map(|number| &self.market.types[number]).filter(|of| least.fits_in(&of.allocatable));
        let mut made: Option<(Resources, Resources)> = None;
        for of in fitting {
            made = Some(match made {
                None => (of.capacity.clone(), of.allocatable.clone()),
                Some((most, least)) => (Resources::max(&most, &of.capacity), least_of(&least, &of.allocatable)),
            });
        }
        made
    }
}

/// The smaller of each amount.
fn least_of(a: &Resources, b: &Resources) -> Resources {
    let mut made = Resources::new();
    for (name, amount) in a.iter() {
        made.set(name.as_str(), amount.min(b.get(name.as_str())));
    }
    made
}

/// What the node of a claim must at least hold.
pub(crate) fn requests(claim: &NodeClaim) -> Resources {
    amounts(claim.spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()).into_iter().flatten())
}

/// Amounts out of the API; what is no quantity, which the API lets nobody write, counts for nothing.
pub(crate) fn amounts<'a>(given: impl Iterator<Item = (&'a String, &'a Quantity)>) -> Resources {
    let mut made = Resources::new();
    for (name, quantity) in given {
        if let Ok(amount) = Amount::parse(&quantity.0) {
            made.set(name, amount.amount(name));
        }
    }
    made
}

/// Amounts as the API writes them; nothing that is zero, and no volume attachments, which no node reports.
pub(crate) fn quantities(resources: &Resources) -> BTreeMap<String, Quantity> {
    let kept = resources.iter().filter(|(name, amount)| *amount != 0 && !name.is_attachment());
    kept.map(|(name, amount)| (name.to_string(), Quantity(quantity_text(name.as_str(), amount)))).collect()
}
