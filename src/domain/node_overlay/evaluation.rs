//! Which NodeOverlays count, and what they make of an instance type for nodes of a NodePool.
//!
//! As in Karpenter core v1.15.0 (`pkg/controllers/nodeoverlay`):
//!
//! - Overlays are taken by weight, the heaviest first, and then by name, the last of the alphabet first.
//! - An overlay is about an offering when its requirements are compatible with what the NodePool requires of its nodes' labels, with
//!   the labels of the instance type, and with those of the offering. A label of the user's own must be one that the NodePool defines.
//! - The price of an offering is changed by the first overlay that is about it and has a price; others do not add to that.
//! - A resource of an instance type is set by the first overlay that is about any of its offerings and names the resource.
//! - Two overlays of one weight that are about one price, or set one resource of one type, in any NodePool, conflict: the second one is
//!   ignored as a whole, in every NodePool.
//!
//! An offering without a price can be bought where an overlay gives the price and requires nothing but `In` on the instance type (AWS
//! provider v1.15.1): what such an overlay says then stands in for the catalog's price. Instances of capacity reservations are
//! offerings like others, at a price of zero before overlays.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::domain::catalog::{CapacityType, Catalog, Offering, PriceKind};
use crate::domain::cluster::ClusterView;
use crate::domain::instance_type::InstanceType;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::node_class::{CapacityReservation, NodeClass};
use crate::domain::node_overlay::{NodeOverlay, PriceChange};
use crate::domain::node_pool::NodePool;
use crate::domain::requirement::Requirements;
use crate::domain::resources::{ResourceName, Resources};

/// What the names of resources that are taken off the memory begin with (Karpenter core v1.15.0, `pkg/cloudprovider/types.go`).
const HUGE_PAGES: &str = "hugepages-";

/// Why an overlay changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Another one of its weight comes first.
    Conflict {
        /// The other one.
        with: String,
        /// A NodePool in which they meet.
        node_pool: String,
        /// An instance type there.
        instance_type: String,
        /// The resource that both set; `None` for the price.
        resource: Option<String>,
    },
    /// No NodePool could buy anything that it is about.
    Matchless,
    /// It says neither a price nor a resource.
    Empty,
}

impl fmt::Display for Idle {
    /// The reason as the end of a sentence, with the mend.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { with, node_pool, instance_type, resource } => {
                let what = resource.as_deref().unwrap_or("the price");
                write!(
                    f,
                    "NodeOverlay `{with}` of the same weight sets {what} of {instance_type} in NodePool `{node_pool}` as well"
                )?;
                f.write_str("; give one of them a higher weight")
            }
            Self::Matchless => f.write_str("no NodePool has an offering that meets its requirements"),
            Self::Empty => f.write_str("it has neither `price`, nor `priceAdjustment`, nor `capacity`"),
        }
    }
}

/// The overlays that count.
#[derive(Clone, Debug)]
pub struct Overlays<'a> {
    cluster: &'a ClusterView,
    catalog: &'a Catalog,
    /// The first that is about something counts.
    in_order: Vec<&'a NodeOverlay>,
    /// Overlays that change nothing, in order, and why.
    pub idle: Vec<(&'a NodeOverlay, Idle)>,
}

impl<'a> Overlays<'a> {
    /// Weighs the overlays of `cluster` against each other on everything in `catalog`.
    #[must_use]
    pub fn new(cluster: &'a ClusterView, catalog: &'a Catalog) -> Self {
        let mut sorted: Vec<&NodeOverlay> = cluster.node_overlays.iter().collect();
        sorted.sort_by(|a, b| (b.weight, &b.name).cmp(&(a.weight, &a.name)));
        let mut made = Self { cluster, catalog, in_order: Vec::new(), idle: Vec::new() };
        let labels = if sorted.is_empty() { BTreeMap::new() } else { made.labels() };
        // Only overlays of one weight conflict: what each of those that count is about.
        let mut of_weight: Vec<(&NodeOverlay, BTreeSet<Touch<'_>>)> = Vec::new();
        for overlay in sorted {
            of_weight.retain(|(other, _)| other.weight == overlay.weight);
            let touched = made.touched_by(overlay, &labels);
            let conflict = of_weight.iter().find_map(|(other, taken)| Some((other, touched.intersection(taken).next()?)));
            let idle = match conflict {
                _ if overlay.price.is_none() && overlay.capacity.is_empty() => Some(Idle::Empty),
                _ if touched.is_empty() => Some(Idle::Matchless),
                Some((other, touch)) => Some(touch.conflict(other)),
                None => None,
            };
            match idle {
                Some(why) => made.idle.push((overlay, why)),
                None => {
                    made.in_order.push(overlay);
                    of_weight.push((overlay, touched));
                }
            }
        }
        made
    }

    /// The labels of every instance type, in the catalog's order, by NodeClass.
    fn labels(&self) -> BTreeMap<&'a str, Vec<Requirements>> {
        let types = &self.catalog.instance_types;
        let of = |class: &NodeClass| types.iter().map(|one| one.requirements(class, &self.catalog.region)).collect();
        self.cluster.node_classes.iter().map(|(name, class)| (name.as_str(), of(class))).collect()
    }

    /// Every price and resource that `overlay` is about.
    fn touched_by(&self, overlay: &'a NodeOverlay, labels: &BTreeMap<&str, Vec<Requirements>>) -> BTreeSet<Touch<'a>> {
        let mut touched = BTreeSet::new();
        for pool in &self.cluster.node_pools {
            let Some(of_pool) = self.among(pool, &[overlay]).filter(|of_pool| !of_pool.overlays.is_empty()) else { continue };
            let labels = labels.get(pool.node_class_ref.name.as_str()).into_iter().flatten();
            for (instance_type, labels) in self.catalog.instance_types.iter().zip(labels) {
                let of_type = of_pool.of_type_with(instance_type, labels);
                let touch =
                    |place, resource| Touch { node_pool: &pool.name, instance_type: &instance_type.name, place, resource };
                let places = places(instance_type, of_pool.node_class);
                let about: Vec<Place<'a>> = places.filter(|place| of_type.about(place).next().is_some()).collect();
                if !about.is_empty() {
                    touched.extend(overlay.capacity.keys().map(|name| touch(None, Some(name.as_str()))));
                }
                if overlay.price.is_some() {
                    touched.extend(about.into_iter().map(|place| touch(Some(place), None)));
                }
            }
        }
        touched
    }

    /// Those that may be about nodes of `pool`; `None` where the cluster does not have its NodeClass.
    #[must_use]
    pub fn of_pool(&self, pool: &NodePool) -> Option<PoolOverlays<'a>> {
        self.among(pool, &self.in_order)
    }

    fn among(&self, pool: &NodePool, overlays: &[&'a NodeOverlay]) -> Option<PoolOverlays<'a>> {
        let node_class = self.cluster.node_classes.get(&pool.node_class_ref.name)?;
        let overlays = if overlays.is_empty() {
            Vec::new()
        } else {
            let required = pool.label_requirements();
            overlays.iter().copied().filter(|overlay| required.compatible(&overlay.requirements)).collect()
        };
        Some(PoolOverlays { overlays, node_class, region: &self.catalog.region })
    }
}

/// A price or a resource that an overlay is about; two overlays that touch one thing conflict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Touch<'a> {
    node_pool: &'a str,
    instance_type: &'a str,
    /// The offering, for a price.
    place: Option<Place<'a>>,
    resource: Option<&'a str>,
}

impl Touch<'_> {
    fn conflict(&self, other: &NodeOverlay) -> Idle {
        Idle::Conflict {
            with: other.name.clone(),
            node_pool: self.node_pool.to_owned(),
            instance_type: self.instance_type.to_owned(),
            resource: self.resource.map(str::to_owned),
        }
    }
}

/// The overlays that may be about nodes of one NodePool.
#[derive(Clone, Debug)]
pub struct PoolOverlays<'a> {
    overlays: Vec<&'a NodeOverlay>,
    node_class: &'a NodeClass,
    region: &'a str,
}

impl<'a> PoolOverlays<'a> {
    /// Names of the overlays, the first to count first: NodePools of one NodeClass with equal names see one market.
    #[must_use]
    pub fn names(&self) -> Vec<&'a str> {
        self.overlays.iter().map(|overlay| overlay.name.as_str()).collect()
    }

    /// Those that may be about `instance_type`.
    #[must_use]
    pub fn of_type<'t>(&self, instance_type: &'t InstanceType) -> TypeOverlays<'a, 't> {
        if self.overlays.is_empty() {
            return TypeOverlays { overlays: Vec::new(), node_class: self.node_class, instance_type };
        }
        self.of_type_with(instance_type, &instance_type.requirements(self.node_class, self.region))
    }

    fn of_type_with<'t>(&self, instance_type: &'t InstanceType, labels: &Requirements) -> TypeOverlays<'a, 't> {
        let overlays = self.overlays.iter().copied().filter(|overlay| labels.intersects(&overlay.requirements)).collect();
        TypeOverlays { overlays, node_class: self.node_class, instance_type }
    }
}

/// Where and how an instance is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place<'a> {
    zone: &'a str,
    capacity_type: CapacityType,
    reservation: Option<&'a str>,
}

/// Every offering of `instance_type`, whether its price is known or not, by zone and capacity type, and its instances of capacity
/// reservations that nodes of `node_class` can be.
fn places<'a>(instance_type: &'a InstanceType, node_class: &'a NodeClass) -> impl Iterator<Item = Place<'a>> {
    let own = |reservation: &&CapacityReservation| reservation.instance_type == instance_type.name;
    let reserved = node_class.capacity_reservations.iter().filter(own).map(reserved_place);
    sold_places(instance_type).into_iter().chain(reserved)
}

fn sold_places(instance_type: &InstanceType) -> BTreeSet<Place<'_>> {
    let place = |zone, capacity_type| Place { zone, capacity_type, reservation: None };
    let mut made: BTreeSet<Place<'_>> =
        instance_type.offerings.iter().map(|sold| place(sold.zone.as_str(), sold.capacity_type)).collect();
    for zone in &instance_type.zones {
        made.extend(instance_type.on_demand.then(|| place(zone.as_str(), CapacityType::OnDemand)));
        made.extend(instance_type.spot.then(|| place(zone.as_str(), CapacityType::Spot)));
    }
    made
}

fn reserved_place(reservation: &CapacityReservation) -> Place<'_> {
    Place { zone: &reservation.zone, capacity_type: CapacityType::Reserved, reservation: Some(&reservation.id) }
}

/// The overlays that may be about one instance type for nodes of one NodePool.
#[derive(Clone, Debug)]
pub struct TypeOverlays<'a, 't> {
    overlays: Vec<&'a NodeOverlay>,
    node_class: &'a NodeClass,
    instance_type: &'t InstanceType,
}

impl<'a, 't> TypeOverlays<'a, 't> {
    /// What the type is sold for, by zone and capacity type: the catalog's offerings where no overlay changes them.
    #[must_use]
    pub fn offerings(&self) -> Cow<'t, [Offering]> {
        if self.overlays.is_empty() {
            return Cow::Borrowed(&self.instance_type.offerings);
        }
        let offering = |place: Place<'_>| {
            let (listed, kind) = self.listed(&place)?;
            let (price, price_kind) = self.changed(&place, listed, kind);
            let own = |sold: &&Offering| sold.zone == place.zone && sold.capacity_type == place.capacity_type;
            // A price does not bring back what EC2 could not deliver.
            let available = self.instance_type.offerings.iter().find(own).is_none_or(|sold| sold.available);
            Some(Offering { zone: place.zone.to_owned(), capacity_type: place.capacity_type, price, price_kind, available })
        };
        Cow::Owned(sold_places(self.instance_type).into_iter().filter_map(offering).collect())
    }

    /// What an instance of `reservation` costs: nothing more than is paid for it anyway, unless an overlay says otherwise.
    #[must_use]
    pub fn reserved(&self, reservation: &CapacityReservation) -> (UsdPerHour, PriceKind) {
        self.changed(&reserved_place(reservation), UsdPerHour::ZERO, PriceKind::Listed)
    }

    /// The overlay that decides the price there; `None` where the catalog does.
    #[must_use]
    pub fn price_of(&self, zone: &str, capacity_type: CapacityType, reservation: Option<&str>) -> Option<&'a NodeOverlay> {
        self.about(&Place { zone, capacity_type, reservation }).find(|overlay| overlay.price.is_some())
    }

    /// `capacity` of the type as overlays have it.
    #[must_use]
    pub fn capacity(&self, mut capacity: Resources) -> Resources {
        self.resources().for_each(|(name, amount)| capacity.set(name, amount));
        capacity
    }

    /// What the kubelet offers of it, of which `allocatable` without overlays. Huge pages are taken off the memory.
    #[must_use]
    pub fn allocatable(&self, mut allocatable: Resources) -> Resources {
        for (name, amount) in self.resources() {
            allocatable.set(name, amount);
            if name.starts_with(HUGE_PAGES) {
                let left = allocatable.get(ResourceName::MEMORY).saturating_sub(amount).max(0);
                allocatable.set(ResourceName::MEMORY, left);
            }
        }
        allocatable
    }

    /// Resources with the amounts that overlays give them, each once.
    fn resources(&self) -> impl Iterator<Item = (&'a str, i64)> {
        let places: Vec<Place<'_>> = match &self.overlays[..] {
            [] => Vec::new(),
            _ => places(self.instance_type, self.node_class).collect(),
        };
        let about = |overlay: &NodeOverlay| places.iter().any(|place| self.is_about(overlay, place));
        let mut named = BTreeSet::new();
        let mut made = Vec::new();
        for overlay in self.overlays.iter().filter(|overlay| !overlay.capacity.is_empty() && about(overlay)) {
            let own = overlay.capacity.iter().map(|(name, amount)| (name.as_str(), *amount));
            made.extend(own.filter(|(name, _)| named.insert(*name)));
        }
        made.into_iter()
    }

    /// The price before overlays: the catalog's, or the one that an overlay gives to what has none.
    fn listed(&self, place: &Place<'_>) -> Option<(UsdPerHour, PriceKind)> {
        let is_there = |sold: &&Offering| (sold.zone.as_str(), sold.capacity_type) == (place.zone, place.capacity_type);
        let sold = self.instance_type.offerings.iter().find(is_there);
        let known = sold.map(|sold| (sold.price, sold.price_kind));
        known
            .or_else(|| self.overlays.iter().find_map(|overlay| price_by_type(overlay)).map(|price| (price, PriceKind::Overlaid)))
    }

    fn changed(&self, place: &Place<'_>, listed: UsdPerHour, kind: PriceKind) -> (UsdPerHour, PriceKind) {
        match self.about(place).find_map(|overlay| overlay.price) {
            None => (listed, kind),
            Some(PriceChange::To(price)) => (price, PriceKind::Overlaid),
            Some(change) if kind.is_estimate() => (change.applied_to(listed), PriceKind::OverlaidEstimate),
            Some(change) => (change.applied_to(listed), PriceKind::Overlaid),
        }
    }

    /// The overlays that are about an offering, the first to count first.
    fn about(&self, place: &Place<'_>) -> impl Iterator<Item = &'a NodeOverlay> {
        self.overlays.iter().copied().filter(|overlay| self.is_about(overlay, place))
    }

    /// Whether the labels of an offering meet what `overlay` requires. A zone id that nobody has told meets only what accepts that there
    /// is none: a plan must not bet on it.
    fn is_about(&self, overlay: &NodeOverlay, place: &Place<'_>) -> bool {
        let zone_id = self.node_class.zones.as_ref().and_then(|zones| zones.get(place.zone)?.as_deref());
        let own = [
            (labels::ZONE, Some(place.zone)),
            (labels::ZONE_ID, zone_id),
            (labels::CAPACITY_TYPE, Some(place.capacity_type.as_str())),
        ];
        own.into_iter().all(|(key, value)| {
            overlay.requirements.get(key).is_none_or(|wanted| match value {
                Some(value) => wanted.has(value),
                None => wanted.accepts_absence(),
            })
        })
    }
}

/// The price of an overlay that requires nothing but `In` on the instance type.
fn price_by_type(overlay: &NodeOverlay) -> Option<UsdPerHour> {
    let by_type = overlay.requirements.get(labels::INSTANCE_TYPE).is_some_and(|wanted| wanted.finite().is_some());
    match overlay.price {
        Some(PriceChange::To(price)) if by_type && overlay.requirements.len() == 1 => Some(price),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
