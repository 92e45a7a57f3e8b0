//! Types with their prices, cheapest first.

use serde::Serialize;

use super::{GAP, to_text};
use crate::domain::catalog::Catalog;
use crate::domain::catalog::selection::Selected;
use crate::domain::money::UsdPerHour;
use crate::report::columns::{Style, aligned};

const TITLES: [&str; 11] =
    ["INSTANCE TYPE", "ARCH", "VCPU", "GIB", "GPU", "CAPACITY", "ZONES", "CHEAPEST IN", "$/H", "$/H VCPU", "$/H GIB"];
const WORDS: [&str; 4] = ["INSTANCE TYPE", "ARCH", "CAPACITY", "CHEAPEST IN"];

/// One line for each type and capacity type, with the price where it is cheapest. Ends with a line feed.
#[must_use]
pub fn listing_table(selected: &[Selected<'_>], style: Style) -> String {
    let rows = selected.iter().map(row).collect();
    format!("{}\n", aligned(&TITLES, rows, &WORDS, GAP, style).trim_fmt())
}

fn row(one: &Selected<'_>) -> Vec<String> {
    let of = one.instance_type;
    let gpus: i64 = of.gpus.iter().map(|device| device.count).sum();
    let estimated = one.offerings.first().is_some_and(|offering| offering.price_kind.is_estimate());
    let mark = |price: UsdPerHour| format!("{}{price}", if estimated { "~" } else { "" });
    vec![
        of.name.clone(),
        of.architecture.as_str().to_owned(),
        of.vcpus.to_string(),
        gib(of.memory_mib).to_string(),
        if gpus == 0 { "-".to_owned() } else { gpus.to_string() },
        one.capacity_type.as_str().to_owned(),
        one.offerings.len().to_string(),
        one.offerings.first().map(|offering| offering.zone.clone()).unwrap_or_default(),
        mark(one.price()),
        mark(one.price_per_vcpu()),
        mark(one.price_per_gib()),
    ]
}

/// MiB in GiB; memory is below 2^53 MiB, and its fractions are halves and the like.
fn gib(mib: i64) -> f64 {
    mib as f64 / 1024.0
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    region: &'a str,
    prices_as_of: Dates<'a>,
    instance_types: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dates<'a> {
    on_demand: &'a str,
    spot: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    instance_type: &'a str,
    architecture: &'a str,
    vcpus: i64,
    memory_mib: i64,
    gpus: Vec<Gpu<'a>>,
    capacity_type: &'a str,
    offerings: Vec<Price<'a>>,
    price: f64,
    price_per_vcpu: f64,
    price_per_gib: f64,
}

#[derive(Serialize)]
struct Gpu<'a> {
    name: &'a str,
    manufacturer: &'a str,
    count: i64,
}

#[derive(Serialize)]
struct Price<'a> {
    zone: &'a str,
    price: f64,
    estimate: bool,
}

/// The same with the price in every zone.
///
/// # Errors
/// None: the document has only text and finite numbers.
pub fn listing_json(catalog: &Catalog, selected: &[Selected<'_>]) -> Result<String, serde_json::Error> {
    let dates = Dates { on_demand: &catalog.prices_as_of, spot: &catalog.provenance.spot.as_of };
    to_text(&Document { region: &catalog.region, prices_as_of: dates, instance_types: selected.iter().map(Entry::new).collect() })
}

impl<'a> Entry<'a> {
    fn new(one: &Selected<'a>) -> Self {
        let of = one.instance_type;
        let gpus = of.gpus.iter().map(|gpu| Gpu { name: &gpu.name, manufacturer: &gpu.manufacturer, count: gpu.count });
        let prices = one.offerings.iter().map(|offering| Price {
            zone: &offering.zone,
            price: offering.price.dollars(),
            estimate: offering.price_kind.is_estimate(),
        });
        Self {
            instance_type: &of.name,
            architecture: of.architecture.as_str(),
            vcpus: of.vcpus,
            memory_mib: of.memory_mib,
            gpus: gpus.collect(),
            capacity_type: one.capacity_type.as_str(),
            offerings: prices.collect(),
            price: one.price().dollars(),
            price_per_vcpu: one.price_per_vcpu().dollars(),
            price_per_gib: one.price_per_gib().dollars(),
        }
    }
}
