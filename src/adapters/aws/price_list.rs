//! The Price List's GetProducts: On-Demand prices of instances, and prices of EBS volumes.
//!
//! Every product of an answer is a JSON text of its own. The filters already ask for what is wanted; each product is checked
//! again all the same, because a price of a Windows server, of reserved hours or of nothing looks like any other number.

use std::collections::BTreeMap;

use aws_sdk_pricing::operation::get_products::GetProductsOutput;
use aws_sdk_pricing::types::{Filter, FilterType};
use serde::Deserialize;

use super::error::{FetchError, Problem};
use super::refresh::Progress;
use super::session::Session;
use crate::domain::money::UsdPerHour;

pub(super) const CALL: &str = "GetProducts";
/// The most that the Price List puts on a page.
const PAGE: i32 = 100;
const SERVICE: &str = "AmazonEC2";

/// Which prices are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Linux instances on hardware shared with others.
    Shared,
    /// Linux on whole machines, which the list has under dedicated tenancy.
    BareMetal,
    /// EBS volumes, per GiB and month.
    Volumes,
}

/// An answer that was checked.
#[derive(Debug, Default)]
pub(super) struct Prices {
    /// By instance type or volume type.
    pub(super) by_name: BTreeMap<String, UsdPerHour>,
    /// How many products were left out, by reason.
    pub(super) left_out: BTreeMap<&'static str, usize>,
}

/// Asks for prices in `region` at the Price List of the region `endpoint`.
pub(super) async fn fetch(
    session: &Session,
    region: &str,
    (endpoint, currency): (&str, &str),
    wanted: Wanted,
    progress: &Progress<'_>,
) -> Result<Prices, FetchError> {
    let filter = |(field, value)| Filter::builder().r#type(FilterType::TermMatch).field(field).value(value).build();
    let filters: Result<Vec<Filter>, _> = wanted.filters(region).into_iter().map(filter).collect();
    let filters = filters.map_err(|problem| FetchError::new(region, CALL, Problem::Other, problem))?;
    let request = session.price_list(endpoint).get_products().service_code(SERVICE).set_filters(Some(filters));
    let mut prices = Prices::default();
    let take = |page: GetProductsOutput| {
        progress.page(CALL, page.price_list().len());
        for product in page.price_list() {
            prices.take(product, wanted, region, currency);
        }
    };
    let pages = request.into_paginator().page_size(PAGE).send();
    session.each_page(region, CALL, pages, take).await.map_err(|error| error.asked_in(endpoint))?;
    progress.done(CALL);
    if prices.by_name.is_empty() {
        let detail = format!("no price of {}{}", wanted.what(), prices.left_out_text());
        return Err(FetchError::new(region, CALL, Problem::Empty, detail).asked_in(endpoint));
    }
    Ok(prices)
}

impl Wanted {
    const fn what(self) -> &'static str {
        match self {
            Self::Shared => "instances",
            Self::BareMetal => "bare metal instances",
            Self::Volumes => "EBS volumes",
        }
    }

    /// What a product must say of itself, where it says anything: attribute and value.
    fn attributes(self, region: &str) -> Vec<(&'static str, &str)> {
        let tenancy = match self {
            Self::Shared => "Shared",
            Self::BareMetal => "Dedicated",
            Self::Volumes => return vec![("regionCode", region)],
        };
        vec![
            ("regionCode", region),
            ("tenancy", tenancy),
            ("operatingSystem", "Linux"),
            ("preInstalledSw", "NA"),
            ("capacitystatus", "Used"),
            ("marketoption", "OnDemand"),
        ]
    }

    /// What the Price List is asked to filter by.
    fn filters(self, region: &str) -> Vec<(&'static str, &str)> {
        let family = match self {
            Self::Shared => "Compute Instance",
            Self::BareMetal => "Compute Instance (bare metal)",
            Self::Volumes => "Storage",
        };
        std::iter::once(("productFamily", family)).chain(self.attributes(region)).collect()
    }

    /// The attribute that names what is priced.
    const fn name_attribute(self) -> &'static str {
        match self {
            Self::Shared | Self::BareMetal => "instanceType",
            Self::Volumes => "volumeApiName",
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Shared | Self::BareMetal => "Hrs",
            Self::Volumes => "GB-Mo",
        }
    }
}

/// The parts of a product that matter; there are many more.
#[derive(Debug, Deserialize)]
struct Offer {
    product: Product,
    #[serde(default)]
    terms: Terms,
}

#[derive(Debug, Deserialize)]
struct Product {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

/// Only On-Demand terms are read: those of reservations are prices of something else.
#[derive(Debug, Default, Deserialize)]
struct Terms {
    #[serde(rename = "OnDemand", default)]
    on_demand: BTreeMap<String, Term>,
}

#[derive(Debug, Deserialize)]
struct Term {
    #[serde(rename = "priceDimensions", default)]
    dimensions: BTreeMap<String, Dimension>,
}

#[derive(Debug, Deserialize)]
struct Dimension {
    #[serde(default)]
    unit: String,
    #[serde(rename = "pricePerUnit", default)]
    per_unit: BTreeMap<String, String>,
}

impl Prices {
    /// Takes the price of one product; of several prices for one name the dearest.
    fn take(&mut self, product: &str, wanted: Wanted, region: &str, currency: &str) {
        match price_of(product, wanted, region, currency) {
            Ok((name, price)) => {
                let known = self.by_name.entry(name).or_insert(price);
                *known = (*known).max(price);
            }
            Err(reason) => *self.left_out.entry(reason).or_default() += 1,
        }
    }

    /// Adds the prices and reasons of another answer; where both have a price, the other one's counts.
    pub(super) fn extend(&mut self, other: Self) {
        self.by_name.extend(other.by_name);
        for (reason, products) in other.left_out {
            *self.left_out.entry(reason).or_default() += products;
        }
    }

    /// `; left out: 2 without an On-Demand term, 1 with a price of zero`, or nothing.
    pub(super) fn left_out_text(&self) -> String {
        let reasons: Vec<String> = self.left_out.iter().map(|(reason, products)| format!("{products} {reason}")).collect();
        if reasons.is_empty() { String::new() } else { format!("; left out: {}", reasons.join(", ")) }
    }
}

/// What the product prices and for how much, or why it is left out.
fn price_of(text: &str, wanted: Wanted, region: &str, currency: &str) -> Result<(String, UsdPerHour), &'static str> {
    let offer: Offer = serde_json::from_str(text).map_err(|_| "that cannot be read")?;
    let attributes = &offer.product.attributes;
    let other = |(name, value): &(&str, &str)| attributes.get(*name).is_some_and(|found| found != value);
    if wanted.attributes(region).iter().any(other) {
        return Err("of another kind");
    }
    let name = attributes.get(wanted.name_attribute()).ok_or("without a name")?;
    if offer.terms.on_demand.is_empty() {
        return Err("without an On-Demand term");
    }
    let dimensions = offer.terms.on_demand.values().flat_map(|term| term.dimensions.values());
    let per_unit = dimensions.filter(|dimension| dimension.unit == wanted.unit());
    let amounts: Vec<&String> = per_unit.filter_map(|dimension| dimension.per_unit.get(currency)).collect();
    if amounts.is_empty() {
        return Err("without a price in the unit and currency of the others");
    }
    let prices: Option<Vec<UsdPerHour>> = amounts.into_iter().map(|amount| UsdPerHour::parse_rounded(amount)).collect();
    let dearest = prices.and_then(|prices| prices.into_iter().max()).ok_or("with a price that is no number")?;
    if dearest == UsdPerHour::ZERO {
        return Err("with a price of zero");
    }
    Ok((name.clone(), dearest))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A product as the Price List writes it, shortened.
    fn product(attributes: &Value, unit: &str, per_unit: &Value) -> String {
        json!({
            "product": {"productFamily": "Compute Instance", "attributes": attributes, "sku": "ABC"},
            "serviceCode": "AmazonEC2",
            "terms": {"OnDemand": {"ABC.JRT": {"priceDimensions": {"ABC.JRT.6YS": {"unit": unit, "pricePerUnit": per_unit}}, "sku": "ABC"}}},
            "version": "20261120",
        })
        .to_string()
    }

    fn shared(changes: &Value) -> Value {
        let mut attributes = json!({
            "instanceType": "m7i.large", "regionCode": "eu-west-1", "tenancy": "Shared", "operatingSystem": "Linux",
            "preInstalledSw": "NA", "capacitystatus": "Used", "marketoption": "OnDemand",
        });
        for (name, value) in changes.as_object().into_iter().flatten() {
            attributes[name] = value.clone();
        }
        attributes
    }

    fn price(text: &str) -> Result<(String, i64), &'static str> {
        price_of(text, Wanted::Shared, "eu-west-1", "USD").map(|(name, price)| (name, price.micros()))
    }

    #[test]
    fn a_plain_product_has_a_price() {
        let text = product(&shared(&json!({})), "Hrs", &json!({"USD": "0.1008000000"}));
        assert_eq!(price(&text), Ok(("m7i.large".to_owned(), 100_800)));
    }

    #[test]
    fn what_prices_something_else_is_left_out_with_the_reason() {
        let usd = json!({"USD": "0.1"});
        let reserved =
            json!({"product": {"attributes": shared(&json!({}))}, "terms": {"Reserved": {"x": {"priceDimensions": {}}}}});
        let cases = [
            (product(&shared(&json!({"operatingSystem": "Windows"})), "Hrs", &usd), "of another kind"),
            (product(&shared(&json!({"tenancy": "Dedicated"})), "Hrs", &usd), "of another kind"),
            (product(&shared(&json!({"regionCode": "us-east-1"})), "Hrs", &usd), "of another kind"),
            (product(&json!({"regionCode": "eu-west-1"}), "Hrs", &usd), "without a name"),
            (reserved.to_string(), "without an On-Demand term"),
            (product(&shared(&json!({})), "Hrs", &json!({})), "without a price in the unit and currency of the others"),
            (product(&shared(&json!({})), "Hrs", &json!({"CNY": "1"})), "without a price in the unit and currency of the others"),
            (product(&shared(&json!({})), "Quantity", &usd), "without a price in the unit and currency of the others"),
            (product(&shared(&json!({})), "Hrs", &json!({"USD": "0.0000000000"})), "with a price of zero"),
            (product(&shared(&json!({})), "Hrs", &json!({"USD": "n/a"})), "with a price that is no number"),
            ("{\"product\":".to_owned(), "that cannot be read"),
        ];
        for (text, expected) in cases {
            assert_eq!(price(&text), Err(expected), "{text}");
        }
    }

    #[test]
    fn volumes_are_priced_by_gib_and_month() {
        let text = product(&json!({"volumeApiName": "gp3", "regionCode": "eu-west-1"}), "GB-Mo", &json!({"USD": "0.0880000000"}));
        let read = price_of(&text, Wanted::Volumes, "eu-west-1", "USD").map(|(name, price)| (name, price.micros()));
        assert_eq!(read, Ok(("gp3".to_owned(), 88_000)));
    }

    #[test]
    fn of_several_prices_the_dearest_counts_and_what_is_left_out_is_told() {
        let mut prices = Prices::default();
        for amount in ["0.2", "0.3", "0.1", "0"] {
            prices.take(&product(&shared(&json!({})), "Hrs", &json!({"USD": amount})), Wanted::Shared, "eu-west-1", "USD");
        }
        assert_eq!(prices.by_name["m7i.large"].micros(), 300_000);
        assert_eq!(prices.left_out_text(), "; left out: 1 with a price of zero");
    }
}
