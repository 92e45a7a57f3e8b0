//! Puts the answers of one region together: facts, zones and prices become a catalog, and what does not fit is named.

use std::collections::{BTreeMap, BTreeSet};

use super::instance_types::Facts;
use super::substitutes;
use super::zones::Zones;
use crate::domain::catalog::{CapacityType, Catalog, Offering, PriceKind, Provenance, Source};
use crate::domain::instance_type::InstanceType;
use crate::domain::money::UsdPerHour;

/// Names beyond this many are only counted.
const MOST_NAMES: usize = 5;

/// A catalog from AWS, and what there is to say about it.
#[derive(Debug)]
pub struct Fetched {
    /// The catalog.
    pub catalog: Catalog,
    /// Sentences without a full stop: what was left out or had to be taken from elsewhere, and why.
    pub notices: Vec<String>,
}

/// On-Demand and EBS prices with where they come from.
pub(super) struct Listed {
    /// By instance type.
    pub(super) on_demand: BTreeMap<String, UsdPerHour>,
    /// Whether they are the list prices of this region.
    pub(super) kind: PriceKind,
    pub(super) on_demand_source: Source,
    /// Micro-dollars per GiB and month by volume type.
    pub(super) ebs: BTreeMap<String, i64>,
    pub(super) ebs_source: Source,
}

/// Spot prices by zone and type.
pub(super) type SpotPrices = BTreeMap<String, BTreeMap<String, UsdPerHour>>;

/// The answers of one region, each with where it comes from.
pub(super) struct Answers {
    pub(super) region: String,
    pub(super) facts: Facts,
    pub(super) facts_source: Source,
    pub(super) zones: Zones,
    pub(super) zones_source: Source,
    pub(super) listed: Listed,
    pub(super) spot: SpotPrices,
    pub(super) spot_source: Source,
    /// What was noticed while asking.
    pub(super) notices: Vec<String>,
}

impl Answers {
    /// The answers that would make `known`, but for its Spot prices. Where a type has no On-Demand price, its zones are those in which
    /// it had a Spot price.
    pub(super) fn of_known(known: &Catalog, spot: SpotPrices, spot_source: Source) -> Self {
        let of_type = |t: &InstanceType| (t.name.clone(), t.offerings.iter().map(|offering| offering.zone.clone()).collect());
        let without_offerings = |t: &InstanceType| (t.name.clone(), InstanceType { offerings: Vec::new(), ..t.clone() });
        Self {
            region: known.region.clone(),
            facts: Facts { types: known.instance_types.iter().map(without_offerings).collect(), ..Facts::default() },
            facts_source: known.provenance.instance_types.clone(),
            zones: known.instance_types.iter().map(of_type).collect(),
            zones_source: known.provenance.zones.clone(),
            listed: substitutes::as_known(known, &known.region),
            spot,
            spot_source,
            notices: Vec::new(),
        }
    }
}

/// The catalog: a type is in it when it has facts, a zone, and a price.
pub(super) fn assemble(answers: Answers) -> Fetched {
    let Answers { region, facts, facts_source, zones, zones_source, listed, spot, spot_source, mut notices } = answers;
    let mut instance_types = Vec::new();
    let mut unpriced = Vec::new();
    for mut instance_type in facts.types.into_values() {
        let Some(sold_in) = zones.get(&instance_type.name) else { continue };
        instance_type.zones = sold_in.clone();
        instance_type.offerings = offerings(&instance_type, sold_in, &listed, &spot);
        if instance_type.offerings.is_empty() {
            unpriced.push(instance_type.name);
        } else {
            instance_types.push(instance_type);
        }
    }

    let in_catalog = |name: &String| instance_types.iter().any(|one| &one.name == name);
    let not_in_tables: Vec<String> = facts.not_in_tables.into_iter().filter(in_catalog).collect();
    let incomplete: Vec<String> = facts.incomplete.iter().map(|(name, fact)| format!("{name} ({fact})")).collect();
    let told = [
        ("left out, because EC2 does not tell all that a plan needs", incomplete),
        ("left out, because nothing says what they cost", unpriced),
        ("taken for types that cannot have branch interfaces, because this version's tables do not have them", not_in_tables),
    ];
    notices.extend(told.iter().filter_map(|(what, names)| counted(names).map(|names| format!("{what}: {names}"))));

    let provenance = Provenance {
        instance_types: facts_source,
        zones: zones_source,
        on_demand: listed.on_demand_source,
        spot: spot_source,
        ebs: listed.ebs_source,
    };
    let prices_as_of = provenance.on_demand.as_of.clone();
    Fetched { catalog: Catalog { region, instance_types, ebs_prices: listed.ebs, provenance, prices_as_of }, notices }
}

/// Sorted by zone and capacity type.
fn offerings(instance_type: &InstanceType, sold_in: &BTreeSet<String>, listed: &Listed, spot: &SpotPrices) -> Vec<Offering> {
    let on_demand = listed.on_demand.get(&instance_type.name).filter(|_| instance_type.on_demand);
    let of_zone = |zone: &String| {
        let spot = spot.get(zone).and_then(|prices| prices.get(&instance_type.name)).filter(|_| instance_type.spot);
        let offer = |capacity_type, price: &UsdPerHour, price_kind| Offering {
            zone: zone.clone(),
            capacity_type,
            price: *price,
            price_kind,
            available: true,
        };
        let on_demand = on_demand.map(|price| offer(CapacityType::OnDemand, price, listed.kind));
        on_demand.into_iter().chain(spot.map(|price| offer(CapacityType::Spot, price, PriceKind::Listed)))
    };
    sold_in.iter().flat_map(of_zone).collect()
}

/// `3 types, a, b, c`, or `None` for none.
fn counted(names: &[String]) -> Option<String> {
    let shown = names.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(MOST_NAMES);
    match (names.len(), more) {
        (0, _) => None,
        (_, 0) => Some(shown),
        (_, more) => Some(format!("{shown} and {more} more")),
    }
}
