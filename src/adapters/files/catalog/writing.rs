//! A catalog as the texts of its files: the same catalog gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use csv::Writer;

use crate::adapters::files::catalog::instance_types::{ALL_COLUMNS, cells};
use crate::adapters::files::catalog::{EBS, INSTANCE_TYPES, OFFERINGS, PROPERTIES, SPOT, VOLUME_TYPES};
use crate::domain::catalog::{CapacityType, Catalog};
use crate::domain::instance_type::InstanceType;
use crate::domain::money::UsdPerHour;

/// Name and text of every file, in the order of [`super::FILES`].
///
/// # Errors
/// None in practice: the CSV writer writes to memory, and every line has as many cells as its header.
pub(super) fn texts(catalog: &Catalog) -> Result<[(&'static str, String); 5], csv::Error> {
    let zones: BTreeSet<&str> = catalog.zones();
    let types = || catalog.instance_types.iter();

    let volume_types: BTreeSet<&str> = catalog.ebs_prices.keys().map(String::as_str).chain(VOLUME_TYPES).collect();
    let ebs = volume_types.into_iter().map(|name| {
        let price = catalog.ebs_prices.get(name).map(|micros| UsdPerHour::from_micros(*micros));
        vec![name.to_owned(), optional(price)]
    });
    let offerings = types().map(|instance_type| {
        let zones: Vec<&str> = instance_type.zones.iter().map(String::as_str).collect();
        let price = prices(instance_type, CapacityType::OnDemand).into_values().next();
        vec![instance_type.name.clone(), optional(price), zones.join(" ")]
    });
    let spot = types().filter(|instance_type| instance_type.spot).map(|instance_type| {
        let prices = prices(instance_type, CapacityType::Spot);
        let by_zone = zones.iter().map(|zone| optional(prices.get(zone).copied()));
        std::iter::once(instance_type.name.clone()).chain(by_zone).collect()
    });
    let spot_header: Vec<&str> = std::iter::once("instance_type").chain(zones.iter().copied()).collect();
    Ok([
        (PROPERTIES, properties(catalog)),
        (EBS, table(&["volume_type", "usd_per_gib_month"], ebs)?),
        (INSTANCE_TYPES, table(&ALL_COLUMNS, types().map(cells))?),
        (OFFERINGS, table(&["instance_type", "usd_per_hour", "zones"], offerings)?),
        (SPOT, table(&spot_header, spot)?),
    ])
}

fn properties(catalog: &Catalog) -> String {
    let from = &catalog.provenance;
    let kind = |capacity_type| if catalog.has_estimates(capacity_type) { "estimate" } else { "listed" };
    let mut lines = vec![format!("region = {}", catalog.region)];
    let parts = [
        ("instance_types", &from.instance_types, None),
        ("zones", &from.zones, None),
        // Reading takes On-Demand prices for listed ones where nothing is said.
        ("on_demand", &from.on_demand, Some(CapacityType::OnDemand).filter(|one| catalog.has_estimates(*one))),
        ("spot", &from.spot, Some(CapacityType::Spot)),
        ("ebs", &from.ebs, None),
    ];
    for (part, source, capacity_type) in parts {
        lines.extend(capacity_type.map(|capacity_type| format!("{part}.kind = {}", kind(capacity_type))));
        lines.push(format!("{part}.origin = {}", source.origin));
        lines.push(format!("{part}.as_of = {}", source.as_of));
    }
    lines.join("\n") + "\n"
}

/// Prices of one capacity type by zone.
fn prices(instance_type: &InstanceType, capacity_type: CapacityType) -> BTreeMap<&str, UsdPerHour> {
    let offerings = instance_type.offerings.iter().filter(|offering| offering.capacity_type == capacity_type);
    offerings.map(|offering| (offering.zone.as_str(), offering.price)).collect()
}

fn optional(price: Option<UsdPerHour>) -> String {
    price.map(|price| price.to_string()).unwrap_or_default()
}

fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<String, csv::Error> {
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record(header)?;
    for row in rows {
        writer.write_record(row)?;
    }
    let bytes = writer.into_inner().map_err(|problem| csv::Error::from(problem.into_error()))?;
    // Only text was written.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
