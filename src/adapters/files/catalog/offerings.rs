//! `offerings.csv` and `spot.csv`: where each type is sold, and for how much.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::adapters::files::catalog::faults::Faults;
use crate::adapters::files::catalog::properties::PriceKinds;
use crate::adapters::files::catalog::table::{Row, Table};
use crate::adapters::files::catalog::{CatalogError, INSTANCE_TYPES, OFFERINGS, SPOT};
use crate::domain::catalog::{CapacityType, Offering};
use crate::domain::instance_type::InstanceType;
use crate::domain::money::UsdPerHour;

/// `spot.csv`: a price by type and zone. Its header says which zones there are.
pub(super) struct SpotPrices<'a> {
    file: &'a str,
    zones: BTreeSet<String>,
    by_type: BTreeMap<String, BTreeMap<String, UsdPerHour>>,
}

impl<'a> SpotPrices<'a> {
    pub(super) fn parse((file, text): (&'a str, &str), region: &str, faults: &mut Faults) -> Result<Self, CatalogError> {
        let table = Table::parse(file, text)?;
        let columns = table.columns(&["instance_type"])?;
        let zones: BTreeSet<String> = table.names_after_the_first().iter().cloned().collect();
        if let Some(zone) = zones.iter().find(|zone| !zone.starts_with(region)) {
            let mend = format!("name the columns after the zones of {region}");
            return Err(CatalogError::cell(file, 1, zone, "the column is no zone of the region", &mend));
        }
        let mut by_type = BTreeMap::new();
        for row in table.rows(&columns) {
            let name = row.text("instance_type")?;
            let mut prices = BTreeMap::new();
            for zone in &zones {
                if let Some(price) = faults.or_without(row.price_if_given(zone))? {
                    prices.insert(zone.clone(), price);
                }
            }
            if by_type.insert(name.to_owned(), prices).is_some() {
                return Err(row.wrong("instance_type", &format!("`{name}` is there twice"), "remove one of the lines"));
            }
        }
        Ok(Self { file, zones, by_type })
    }
}

/// Gives every type of `types` its offerings.
pub(super) fn add(
    (file, text): (&str, &str),
    spot: &SpotPrices<'_>,
    kinds: PriceKinds,
    types: &mut BTreeMap<String, InstanceType>,
    faults: &mut Faults,
) -> Result<(), CatalogError> {
    if let Some(name) = spot.by_type.keys().find(|name| !types.contains_key(*name)) {
        let problem = format!("`{name}` is not in {INSTANCE_TYPES}");
        return Err(CatalogError::file(spot.file, &problem, "remove its line, or restore the other file if it was cut off"));
    }
    let table = Table::parse(file, text)?;
    let columns = table.columns(&["instance_type", "usd_per_hour", "zones"])?;
    let mut seen = BTreeSet::new();
    for row in table.rows(&columns) {
        let name = row.text("instance_type")?;
        let Some(instance_type) = types.get_mut(name) else {
            let mend = "remove the line, or restore the other file if it was cut off";
            return Err(row.wrong("instance_type", &format!("`{name}` is not in {INSTANCE_TYPES}"), mend));
        };
        if !seen.insert(name) {
            return Err(row.wrong("instance_type", &format!("`{name}` is there twice"), "remove one of the lines"));
        }
        let on_demand = faults.or_without(row.price_if_given("usd_per_hour"))?;
        let sold_in = zones_of(&row, spot)?;
        let spot_prices = spot_prices_of(instance_type, spot, &sold_in)?;
        instance_type.zones = sold_in.iter().map(|zone| (*zone).to_owned()).collect();
        for zone in sold_in {
            let mut offer = |capacity_type, price, price_kind| {
                instance_type.offerings.push(Offering {
                    zone: zone.to_owned(),
                    capacity_type,
                    price,
                    price_kind,
                    available: true,
                });
            };
            if let Some(price) = on_demand.filter(|_| instance_type.on_demand) {
                offer(CapacityType::OnDemand, price, kinds.on_demand);
            }
            if let Some(price) = spot_prices.and_then(|prices| prices.get(zone)) {
                offer(CapacityType::Spot, *price, kinds.spot);
            }
        }
    }
    match types.keys().find(|name| !seen.contains(name.as_str())) {
        Some(name) => {
            let problem = format!("`{name}` has no line, but {INSTANCE_TYPES} has it");
            Err(CatalogError::file(file, &problem, "restore the file if it was cut off, or remove the type there"))
        }
        None => Ok(()),
    }
}

/// The zones in a line of `offerings.csv`, sorted.
fn zones_of<'t>(row: &Row<'t>, spot: &SpotPrices<'_>) -> Result<BTreeSet<&'t str>, CatalogError> {
    let mut zones = BTreeSet::new();
    for zone in row.text("zones")?.split(' ') {
        if !spot.zones.contains(zone) {
            let known = spot.zones.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let mend = format!("write some of {known} with one space between, or add a column to {SPOT}");
            return Err(row.wrong("zones", &format!("unknown zone `{zone}`"), &mend));
        }
        if !zones.insert(zone) {
            return Err(row.wrong("zones", &format!("`{zone}` is there twice"), "name it once"));
        }
    }
    Ok(zones)
}

/// Spot prices of a type by zone; `None` when it is not sold as Spot.
fn spot_prices_of<'s>(
    instance_type: &InstanceType,
    spot: &'s SpotPrices<'_>,
    sold_in: &BTreeSet<&str>,
) -> Result<Option<&'s BTreeMap<String, UsdPerHour>>, CatalogError> {
    let name = &instance_type.name;
    let fail = |problem: &str, mend: &str| Err(CatalogError::file(spot.file, problem, mend));
    match (spot.by_type.get(name), instance_type.spot) {
        (Some(_), false) => fail(
            &format!("`{name}` has a line, but {INSTANCE_TYPES} says it is not sold as Spot"),
            "remove the line, or set `spot` there to true",
        ),
        (None, true) => fail(
            &format!("`{name}` has no line, but {INSTANCE_TYPES} says it is sold as Spot"),
            "restore the file if it was cut off, or add a line, with empty cells where there is no price",
        ),
        (Some(prices), true) => match prices.keys().find(|zone| !sold_in.contains(zone.as_str())) {
            Some(zone) => fail(
                &format!("`{name}` has a price in {zone}, where {OFFERINGS} does not sell it"),
                "empty the cell, or add the zone there",
            ),
            None => Ok(Some(prices)),
        },
        (None, false) => Ok(None),
    }
}
