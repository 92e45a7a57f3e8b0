//! What EC2 sells to nodes of one NodeClass, indexed so that a requirement is answered once and not once per instance type.
//!
//! A requirement on a label of the instance type is tested against the distinct values of that label (some dozens) instead of
//! against every type; a requirement on zone, zone id or capacity type is tested against the *cells*, the distinct (zone,
//! capacity type) pairs. Because an instance type has one value per label, types and cells can be tested separately: a node
//! meets a set of requirements exactly when its type meets those on types and its cell those on cells.
//!
//! Karpenter core v1.15.0 tests a NodeClaim's remaining types and offerings the same way
//! (`pkg/controllers/provisioning/scheduling/nodeclaim.go`).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;

use crate::domain::allocatable;
use crate::domain::catalog::{CapacityType, Catalog, InstanceType, Offering, PriceKind};
use crate::domain::instance_settings::InstanceSettings;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::node_class::{CapacityReservation, NodeClass};
use crate::domain::node_overlay::evaluation::{PoolOverlays, TypeOverlays};
use crate::domain::requirement::{Requirement, Requirements};
use crate::domain::resources::Resources;

/// Whether a label belongs to the offering and not to the instance type.
pub(super) fn is_offering_label(key: &str) -> bool {
    matches!(key, labels::ZONE | labels::ZONE_ID | labels::CAPACITY_TYPE)
        || matches!(key, labels::RESERVATION_ID | labels::RESERVATION_TYPE | labels::RESERVATION_INTERRUPTIBLE)
}

/// A zone and a capacity type; every capacity reservation is a cell of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Zone name.
    pub zone: String,
    /// How capacity is paid for.
    pub capacity_type: CapacityType,
    /// Zone id, where the NodeClass's status says it.
    pub zone_id: Option<String>,
    /// The capacity reservation, under capacity type `reserved`.
    pub reservation: Option<CapacityReservation>,
}

impl Cell {
    /// Whether a node here satisfies `requirement` on `key`, a label of the offering. An unknown zone id satisfies only what
    /// accepts an absent label: a plan must not bet on it.
    #[must_use]
    pub fn satisfies(&self, key: &str, requirement: &Requirement) -> bool {
        match self.value(key) {
            Some(value) => requirement.has(value),
            None => !is_offering_label(key) || requirement.accepts_absence(),
        }
    }

    /// The value of an offering label here.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        match key {
            labels::ZONE => Some(&self.zone),
            labels::CAPACITY_TYPE => Some(self.capacity_type.as_str()),
            labels::ZONE_ID => self.zone_id.as_deref(),
            labels::RESERVATION_ID => self.reservation.as_ref().map(|of| of.id.as_str()),
            labels::RESERVATION_TYPE => self.reservation.as_ref().map(|of| of.reservation_type.as_str()),
            labels::RESERVATION_INTERRUPTIBLE => {
                self.reservation.as_ref().map(|of| if of.interruptible { "true" } else { "false" })
            }
            _ => None,
        }
    }
}

/// What tells cells apart: zone, capacity type, reservation.
type CellKey<'a> = (&'a str, CapacityType, Option<&'a CapacityReservation>);

/// A type, what it is sold for, and the overlays that may be about it.
type Sold<'a> = (&'a InstanceType, Cow<'a, [Offering]>, TypeOverlays<'a, 'a>);

/// A type in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketOffer {
    /// Index into [`Market::cells`].
    pub cell: usize,
    /// Price of the instance alone.
    pub price: UsdPerHour,
    /// Where the price comes from.
    pub price_kind: PriceKind,
}

/// An instance type as nodes of the NodeClass see it.
#[derive(Clone, Debug)]
pub struct MarketType {
    /// `m7i.large`.
    pub name: String,
    /// Labels of the type.
    pub requirements: Requirements,
    /// What EC2 says it has; limits count this.
    pub capacity: Resources,
    /// What the kubelet offers to pods.
    pub allocatable: Resources,
    /// Where it is sold, by cell.
    pub offers: Vec<MarketOffer>,
}

/// Everything that a NodeClass can launch.
#[derive(Clone, Debug)]
pub struct Market {
    /// By name.
    pub types: Vec<MarketType>,
    /// By zone and capacity type.
    pub cells: Vec<Cell>,
    labels: BTreeMap<String, LabelIndex>,
}

/// The types by their requirement on one label.
#[derive(Clone, Debug)]
struct LabelIndex {
    undefined: FixedBitSet,
    values: Vec<(Requirement, FixedBitSet)>,
}

impl Market {
    /// What `node_class` can launch out of `catalog` under `overlays`. Types that it cannot launch, or that are sold in none of its
    /// zones, are not in it.
    #[must_use]
    pub fn new(node_class: &NodeClass, catalog: &Catalog, settings: &InstanceSettings, overlays: &PoolOverlays<'_>) -> Self {
        let zone_allowed = |zone: &str| node_class.zones.as_ref().is_none_or(|zones| zones.contains_key(zone));
        let sold: Vec<Sold<'_>> = catalog
            .instance_types
            .iter()
            .map(|t| (t, overlays.of_type(t)))
            .map(|(t, overlays)| (t, overlays.offerings(), overlays))
            .filter(|(t, offerings, _)| {
                offerings.iter().any(|o| zone_allowed(&o.zone)) && allocatable::is_compatible(t, node_class)
            })
            .collect();
        let offerings = sold.iter().flat_map(|(_, offerings, _)| offerings.iter());
        let listed = offerings.map(|offering| (offering.zone.as_str(), offering.capacity_type, None));
        let reserved = node_class.capacity_reservations.iter().filter(|reservation| reservation.free > 0);
        let reserved = reserved.map(|reservation| (reservation.zone.as_str(), CapacityType::Reserved, Some(reservation)));
        let pairs: BTreeSet<CellKey<'_>> = listed.chain(reserved).filter(|(zone, ..)| zone_allowed(zone)).collect();
        let number: BTreeMap<CellKey<'_>, usize> = pairs.iter().copied().zip(0..).collect();
        let cells = pairs
            .iter()
            .map(|&(zone, capacity_type, reservation)| Cell {
                zone: zone.to_owned(),
                capacity_type,
                zone_id: node_class.zones.as_ref().and_then(|zones| zones.get(zone).cloned().flatten()),
                reservation: reservation.cloned(),
            })
            .collect();
        let types: Vec<MarketType> = sold
            .iter()
            .map(|(t, offerings, overlays)| {
                let mut offers: Vec<MarketOffer> = offerings
                    .iter()
                    .filter(|o| o.available)
                    .filter_map(|o| {
                        let cell = *number.get(&(o.zone.as_str(), o.capacity_type, None))?;
                        Some(MarketOffer { cell, price: o.price, price_kind: o.price_kind })
                    })
                    .collect();
                let own = number.iter().filter(|((zone, _, of), _)| {
                    let in_zone = || offerings.iter().any(|offering| offering.zone == *zone);
                    of.is_some_and(|of| of.instance_type == t.name) && in_zone()
                });
                // What is paid for anyway costs the plan nothing; Karpenter counts a ten-millionth of the On-Demand price.
                offers.extend(own.filter_map(|((.., reservation), &cell)| {
                    let (price, price_kind) = overlays.reserved((*reservation)?);
                    Some(MarketOffer { cell, price, price_kind })
                }));
                offers.sort_by_key(|offer| offer.cell);
                MarketType {
                    name: t.name.clone(),
                    requirements: t.requirements(node_class, &catalog.region),
                    capacity: overlays.capacity(allocatable::capacity(t, node_class, settings)),
                    allocatable: overlays.allocatable(allocatable::allocatable(t, node_class, settings)),
                    offers,
                }
            })
            .collect();
        let labels = index_labels(&types);
        Self { types, cells, labels }
    }

    /// The one type and cell of a node that exists; what it costs to use it is nothing.
    #[must_use]
    pub(super) fn of_node(name: &str, cell: Cell, capacity: &Resources, allocatable: &Resources) -> Self {
        let offers = vec![MarketOffer { cell: 0, price: UsdPerHour::ZERO, price_kind: PriceKind::Listed }];
        let (name, capacity, allocatable) = (name.to_owned(), capacity.clone(), allocatable.clone());
        let only = MarketType { name, requirements: Requirements::default(), capacity, allocatable, offers };
        Self { types: vec![only], cells: vec![cell], labels: BTreeMap::new() }
    }

    /// The types that satisfy `requirement` on `key`, a label that is not the offering's. A type without the label satisfies it:
    /// the NodePool answers for such labels.
    #[must_use]
    pub fn types_with(&self, key: &str, requirement: &Requirement) -> FixedBitSet {
        let Some(index) = self.labels.get(key) else {
            return all(self.types.len());
        };
        let mut found = index.undefined.clone();
        for (value, types) in &index.values {
            if value.intersects(requirement) {
                found.union_with(types);
            }
        }
        found
    }

    /// The types and the cells that satisfy all of `requirements`, as far as they are about types and cells.
    #[must_use]
    pub fn satisfying(&self, requirements: &Requirements) -> (FixedBitSet, FixedBitSet) {
        let (mut types, mut cells) = (all(self.types.len()), all(self.cells.len()));
        for (key, requirement) in requirements.iter() {
            if is_offering_label(key) {
                for (number, cell) in self.cells.iter().enumerate() {
                    if !cell.satisfies(key, requirement) {
                        cells.set(number, false);
                    }
                }
            } else {
                types.intersect_with(&self.types_with(key, requirement));
            }
        }
        (types, cells)
    }
}

/// The set of all numbers below `len`.
pub(super) fn all(len: usize) -> FixedBitSet {
    let mut set = FixedBitSet::with_capacity(len);
    set.insert_range(..);
    set
}

fn index_labels(types: &[MarketType]) -> BTreeMap<String, LabelIndex> {
    let mut by_value: BTreeMap<&str, BTreeMap<&Requirement, FixedBitSet>> = BTreeMap::new();
    for (number, t) in types.iter().enumerate() {
        for (key, requirement) in t.requirements.iter().filter(|(key, _)| !is_offering_label(key)) {
            by_value
                .entry(key)
                .or_default()
                .entry(requirement)
                .or_insert_with(|| FixedBitSet::with_capacity(types.len()))
                .insert(number);
        }
    }
    by_value
        .into_iter()
        .map(|(key, values)| {
            let mut undefined = all(types.len());
            for types in values.values() {
                undefined.difference_with(types);
            }
            let values = values.into_iter().map(|(value, types)| (value.clone(), types)).collect();
            (key.to_owned(), LabelIndex { undefined, values })
        })
        .collect()
}
