//! On-Demand prices that are built in for regions whose Price List cannot be asked: those of AWS GovCloud.

use std::collections::BTreeMap;

use crate::adapters::files::catalog::CatalogError;
use crate::adapters::files::catalog::properties::Properties;
use crate::adapters::files::catalog::table::Table;
use crate::domain::catalog::Source;
use crate::domain::money::UsdPerHour;

const TABLE: (&str, &str) = ("us-gov/on-demand.csv", include_str!("../../../../pricing-cache/us-gov/on-demand.csv"));
const PROPERTIES: (&str, &str) =
    ("us-gov/on-demand.properties", include_str!("../../../../pricing-cache/us-gov/on-demand.properties"));

/// On-Demand prices of one region by type, and where they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPrices {
    /// By instance type.
    pub on_demand: BTreeMap<String, UsdPerHour>,
    /// Who says so.
    pub source: Source,
}

/// The built-in list prices of `region`; `None` for a region that has none.
///
/// # Errors
/// None for a build that passed its tests: they read them.
pub fn list_prices(region: &str) -> Result<Option<ListPrices>, CatalogError> {
    let table = Table::parse(TABLE.0, TABLE.1)?;
    let columns = table.columns(&["instance_type"])?;
    if !table.names_after_the_first().iter().any(|name| name == region) {
        return Ok(None);
    }
    let mut on_demand = BTreeMap::new();
    for row in table.rows(&columns) {
        if let Some(price) = row.price_if_given(region)? {
            on_demand.insert(row.text("instance_type")?.to_owned(), price);
        }
    }
    let properties = Properties::parse(PROPERTIES.0, PROPERTIES.1)?;
    Ok(Some(ListPrices { on_demand, source: properties.source_with("")? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn govcloud_has_prices_of_its_own() {
        let of = |region| list_prices(region).expect("the built-in prices are valid");
        let western = of("us-gov-west-1").expect("it is a region of GovCloud");
        assert_eq!(western.on_demand["c5.large"].micros(), 102_000);
        assert_eq!(western.source.as_of, "2026-08-24");
        assert!(!of("us-gov-east-1").expect("it is another").on_demand.contains_key("c1.medium"));
        assert_eq!(of("us-east-1"), None);
    }
}
