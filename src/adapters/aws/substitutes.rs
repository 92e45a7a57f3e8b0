//! On-Demand and EBS prices where no Price List can be asked: the newest that are known of the region, or those of another one as
//! estimates.

use std::collections::BTreeMap;

use super::assembly::Listed;
use super::error::{FetchError, Problem};
use super::price_list;
use crate::adapters::files::catalog::{ListPrices, list_prices};
use crate::domain::catalog::{CapacityType, Catalog, PriceKind, Source};
use crate::domain::money::UsdPerHour;

/// Prices for `region`: `last_good` is the region's catalog before, `built_in` that of us-east-1.
///
/// # Errors
/// For a region of China that was never refreshed: prices in dollars beside Spot prices in yuan would be worse than none.
pub(super) fn listed(region: &str, last_good: Option<&Catalog>, built_in: &Catalog) -> Result<Listed, FetchError> {
    if last_good.is_none() && region.starts_with("cn-") {
        let detail = "no prices in yuan are known, and the Price List is not asked";
        return Err(FetchError::new(region, price_list::CALL, Problem::Unreachable, detail));
    }
    let known = as_known(last_good.unwrap_or(built_in), region);
    let tables = list_prices(region).map_err(|error| FetchError::new(region, price_list::CALL, Problem::Other, error))?;
    Ok(match tables.filter(|tables| !is_better(last_good, tables)) {
        Some(ListPrices { on_demand, source }) => {
            Listed { on_demand, kind: PriceKind::Listed, on_demand_source: source, ..known }
        }
        None => known,
    })
}

/// The prices of `known`; where that is the catalog of another region than `region`, as estimates.
pub(super) fn as_known(known: &Catalog, region: &str) -> Listed {
    Listed {
        on_demand: on_demand_prices(known),
        kind: kind(known, region),
        on_demand_source: of_region(&known.provenance.on_demand, known, region),
        ebs: known.ebs_prices.clone(),
        ebs_source: of_region(&known.provenance.ebs, known, region),
    }
}

impl Listed {
    /// What to say where no Price List was asked.
    pub(super) fn notice(&self, region: &str) -> String {
        let (what, source) =
            (if self.kind == PriceKind::Estimated { "ESTIMATES" } else { "those known before" }, &self.on_demand_source);
        format!(
            "no Price List for {region}: On-Demand prices are {what} ({}, as of {}), and so are those of EBS ({})",
            source.origin, source.as_of, self.ebs_source.origin
        )
    }
}

/// Whether the catalog has observed prices that are newer than those of the tables. Days compare as they are written.
fn is_better(last_good: Option<&Catalog>, tables: &ListPrices) -> bool {
    let observed = last_good.filter(|catalog| !catalog.has_estimates(CapacityType::OnDemand));
    observed.is_some_and(|catalog| catalog.provenance.on_demand.as_of > tables.source.as_of)
}

fn on_demand_prices(known: &Catalog) -> BTreeMap<String, UsdPerHour> {
    let offerings = known.offerings().filter(|(_, offering)| offering.capacity_type == CapacityType::OnDemand);
    offerings.map(|(instance_type, offering)| (instance_type.name.clone(), offering.price)).collect()
}

fn kind(known: &Catalog, region: &str) -> PriceKind {
    let estimated = known.region != region || known.has_estimates(CapacityType::OnDemand);
    if estimated { PriceKind::Estimated } else { PriceKind::Listed }
}

/// The source, which names the other region where it is one.
fn of_region(source: &Source, known: &Catalog, region: &str) -> Source {
    let origin = if known.region == region { source.origin.clone() } else { format!("{} of {}", source.origin, known.region) };
    Source { origin, as_of: source.as_of.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::files::catalog::embedded;

    fn built_in() -> Catalog {
        embedded().expect("the embedded catalog is valid")
    }

    /// The region's catalog after a refresh at that time.
    fn refreshed(region: &str, as_of: &str) -> Catalog {
        let mut catalog = Catalog { region: region.to_owned(), ..built_in() };
        catalog.provenance.on_demand = Source { origin: "AWS Price List".to_owned(), as_of: as_of.to_owned() };
        catalog
    }

    fn source(region: &str, last_good: Option<&Catalog>) -> (PriceKind, String) {
        let listed = listed(region, last_good, &built_in()).expect("dollars are known");
        (listed.kind, format!("{} {}", listed.on_demand_source.origin, listed.on_demand_source.as_of))
    }

    #[test]
    fn the_newest_prices_of_the_region_count() {
        let table = (PriceKind::Listed, "AWS Price List in karpenter-provider-aws v1.15.1 2026-08-24".to_owned());
        assert_eq!(source("us-gov-west-1", None), table);
        assert_eq!(source("us-gov-west-1", Some(&refreshed("us-gov-west-1", "2026-08-01"))), table);
        let newer = refreshed("us-gov-west-1", "2026-09-01T00:00Z");
        assert_eq!(source("us-gov-west-1", Some(&newer)), (PriceKind::Listed, "AWS Price List 2026-09-01T00:00Z".to_owned()));
        let before = refreshed("eu-west-1", "2026-01-01");
        assert_eq!(source("eu-west-1", Some(&before)), (PriceKind::Listed, "AWS Price List 2026-01-01".to_owned()));
    }

    #[test]
    fn those_of_another_region_are_estimates() {
        let expected = "AWS Price List in karpenter-provider-aws v1.15.1 of us-east-1 2026-07-20".to_owned();
        assert_eq!(source("eu-west-1", None), (PriceKind::Estimated, expected));
        assert_eq!(source("us-east-1", None).0, PriceKind::Listed);
    }

    #[test]
    fn dollars_are_not_set_beside_yuan() {
        assert!(listed("cn-north-1", None, &built_in()).is_err());
        assert!(listed("cn-north-1", Some(&refreshed("cn-north-1", "2026-01-01")), &built_in()).is_ok());
    }
}
