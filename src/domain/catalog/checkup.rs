//! What is doubtful about a catalog: prices that are old, missing, estimated, or not of this world.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::domain::catalog::{CapacityType, Catalog, InstanceType, Source};
use crate::domain::money::UsdPerHour;

/// Days after which facts, zones and On-Demand prices are old: AWS brings out types every few weeks and seldom changes a price.
const OLD_LISTED_DAYS: i64 = 30;
/// Days after which Spot prices are old: they move within hours.
const OLD_SPOT_DAYS: i64 = 1;
/// A Spot price above this multiple of the On-Demand price is no bargain that anybody would offer.
const DEAREST_SPOT: i64 = 2;
/// A Spot price below one part in this many of the On-Demand price has never been seen; AWS speaks of up to 90 % off.
const CHEAPEST_SPOT: i64 = 50;
/// An On-Demand price this many times off its family's median, per vCPU and per GiB alike, is an error. In us-east-1 in July 2026
/// the farthest was at 2.8.
const OFF_FAMILY: f64 = 5.0;
/// Families of fewer types have no median to speak of.
const LEAST_FAMILY: usize = 3;

/// One thing that is doubtful.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// A part describes a day long past.
    Old {
        /// `On-Demand prices`.
        part: &'static str,
        /// The day or minute.
        as_of: String,
        /// How many days ago that is.
        days: i64,
    },
    /// Prices of a capacity type were not observed.
    Estimated {
        /// The capacity type.
        capacity_type: CapacityType,
        /// Who says so.
        origin: String,
    },
    /// Types that are sold that way have no price anywhere.
    Unpriced {
        /// The capacity type.
        capacity_type: CapacityType,
        /// The types.
        instance_types: Vec<String>,
    },
    /// Types have no Spot price in a zone where they are sold, but have one elsewhere.
    NoSpotPriceIn {
        /// The zone.
        zone: String,
        /// The types.
        instance_types: Vec<String>,
    },
    /// A Spot price is far from the type's On-Demand price.
    AbsurdSpot {
        /// The type.
        instance_type: String,
        /// The zone.
        zone: String,
        /// The Spot price.
        spot: UsdPerHour,
        /// The On-Demand price.
        on_demand: UsdPerHour,
    },
    /// An On-Demand price is far from those of the type's family.
    OffFamily {
        /// The type.
        instance_type: String,
        /// The price.
        price: UsdPerHour,
        /// How many times above the family's median per vCPU, or below it when under 1.
        times: f64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |names: &[String]| format!("{} of them: {}", names.len(), names.join(", "));
        match self {
            Self::Old { part, as_of, days } => write!(f, "{part} are {days} days old (as of {as_of})"),
            Self::Estimated { capacity_type, origin } => {
                write!(f, "{} prices are estimates ({origin})", capacity_type.as_str())
            }
            Self::Unpriced { capacity_type, instance_types } => {
                write!(f, "types without any {} price, {}", capacity_type.as_str(), listed(instance_types))
            }
            Self::NoSpotPriceIn { zone, instance_types } => {
                write!(f, "types without a spot price in {zone}, where they are sold, {}", listed(instance_types))
            }
            Self::AbsurdSpot { instance_type, zone, spot, on_demand } => {
                write!(f, "{instance_type} in {zone}: a spot price of ${spot}/h, while on-demand is ${on_demand}/h")
            }
            Self::OffFamily { instance_type, price, times } => {
                write!(f, "{instance_type}: an on-demand price of ${price}/h, {times:.2} times its family's median per vCPU")
            }
        }
    }
}

/// Everything that is doubtful about `catalog`. `days_old` says how many days ago a source's [`Source::as_of`] is.
#[must_use]
pub fn examine(catalog: &Catalog, days_old: &dyn Fn(&Source) -> i64) -> Vec<Finding> {
    let mut findings = old_parts(catalog, days_old);
    for (capacity_type, source) in
        [(CapacityType::OnDemand, &catalog.provenance.on_demand), (CapacityType::Spot, &catalog.provenance.spot)]
    {
        if catalog.has_estimates(capacity_type) {
            findings.push(Finding::Estimated { capacity_type, origin: source.origin.clone() });
        }
    }
    findings.extend(holes(catalog));
    findings.extend(absurd_spot_prices(catalog));
    findings.extend(off_family(catalog));
    findings
}

fn old_parts(catalog: &Catalog, days_old: &dyn Fn(&Source) -> i64) -> Vec<Finding> {
    let from = &catalog.provenance;
    let parts = [
        ("facts of instance types", &from.instance_types, OLD_LISTED_DAYS),
        ("zones", &from.zones, OLD_LISTED_DAYS),
        ("On-Demand prices", &from.on_demand, OLD_LISTED_DAYS),
        ("Spot prices", &from.spot, OLD_SPOT_DAYS),
    ];
    let old = parts.into_iter().map(|(part, source, most)| (part, source, most, days_old(source)));
    old.filter(|(.., most, days)| days > most)
        .map(|(part, source, _, days)| Finding::Old { part, as_of: source.as_of.clone(), days })
        .collect()
}

fn holes(catalog: &Catalog) -> Vec<Finding> {
    let mut unpriced: BTreeMap<CapacityType, Vec<String>> = BTreeMap::new();
    let mut missing: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for instance_type in &catalog.instance_types {
        let zones_of = |wanted: Option<CapacityType>| -> BTreeSet<&str> {
            let offerings = instance_type.offerings.iter().filter(|o| wanted.is_none_or(|wanted| o.capacity_type == wanted));
            offerings.map(|offering| offering.zone.as_str()).collect()
        };
        let spot = zones_of(Some(CapacityType::Spot));
        for (sold, capacity_type) in [(instance_type.on_demand, CapacityType::OnDemand), (instance_type.spot, CapacityType::Spot)]
        {
            if sold && zones_of(Some(capacity_type)).is_empty() {
                unpriced.entry(capacity_type).or_default().push(instance_type.name.clone());
            }
        }
        if !spot.is_empty() {
            for zone in zones_of(None).difference(&spot) {
                missing.entry(zone).or_default().push(instance_type.name.clone());
            }
        }
    }
    let unpriced =
        unpriced.into_iter().map(|(capacity_type, instance_types)| Finding::Unpriced { capacity_type, instance_types });
    let missing =
        missing.into_iter().map(|(zone, instance_types)| Finding::NoSpotPriceIn { zone: zone.to_owned(), instance_types });
    unpriced.chain(missing).collect()
}

/// The On-Demand price of a type; it is the same in every zone.
fn on_demand_price(instance_type: &InstanceType) -> Option<UsdPerHour> {
    instance_type
        .offerings
        .iter()
        .find(|offering| offering.capacity_type == CapacityType::OnDemand)
        .map(|offering| offering.price)
}

fn absurd_spot_prices(catalog: &Catalog) -> Vec<Finding> {
    let spot = catalog.offerings().filter(|(_, offering)| offering.capacity_type == CapacityType::Spot);
    spot.filter_map(|(instance_type, offering)| {
        let on_demand = on_demand_price(instance_type)?;
        let absurd = offering.price > on_demand * DEAREST_SPOT || offering.price * CHEAPEST_SPOT < on_demand;
        absurd.then(|| Finding::AbsurdSpot {
            instance_type: instance_type.name.clone(),
            zone: offering.zone.clone(),
            spot: offering.price,
            on_demand,
        })
    })
    .collect()
}

fn off_family(catalog: &Catalog) -> Vec<Finding> {
    let mut families: BTreeMap<&str, Vec<(&InstanceType, UsdPerHour)>> = BTreeMap::new();
    for instance_type in &catalog.instance_types {
        if let (Some(family), Some(price)) = (instance_type.family(), on_demand_price(instance_type)) {
            families.entry(family).or_default().push((instance_type, price));
        }
    }
    let mut findings = Vec::new();
    for members in families.values().filter(|members| members.len() >= LEAST_FAMILY) {
        let per_vcpu = |(one, price): &(&InstanceType, UsdPerHour)| price.dollars() / one.vcpus as f64;
        let per_mib = |(one, price): &(&InstanceType, UsdPerHour)| price.dollars() / one.memory_mib as f64;
        let (usual_per_vcpu, usual_per_mib) =
            (median(members.iter().map(per_vcpu).collect()), median(members.iter().map(per_mib).collect()));
        for member in members {
            let (times, times_memory) = (per_vcpu(member) / usual_per_vcpu, per_mib(member) / usual_per_mib);
            if times.max(1.0 / times).min(times_memory.max(1.0 / times_memory)) > OFF_FAMILY {
                findings.push(Finding::OffFamily { instance_type: member.0.name.clone(), price: member.1, times });
            }
        }
    }
    findings
}

/// The middle one of the numbers, the upper one of two.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::PriceKind;
    use crate::domain::catalog::tests::catalog;
    use crate::domain::instance_type::Architecture;
    use crate::domain::instance_type::tests::sold;

    /// A type whose Spot price is observed in both zones.
    fn sound(name: &str, vcpus: i64, price: i64) -> InstanceType {
        let mut made = sold(name, Architecture::Amd64, vcpus, price);
        let mut spot = made.offerings[1].clone();
        spot.price_kind = PriceKind::Listed;
        made.offerings[1] = spot.clone();
        spot.zone = "us-east-1b".to_owned();
        made.offerings.push(spot);
        made
    }

    fn found(instance_types: Vec<InstanceType>, days: i64) -> Vec<String> {
        examine(&catalog(instance_types), &|_| days).iter().map(ToString::to_string).collect()
    }

    fn family() -> Vec<InstanceType> {
        vec![sound("a1.large", 2, 100_000), sound("a1.xlarge", 4, 200_000), sound("a1.2xlarge", 8, 400_000)]
    }

    #[test]
    fn nothing_is_found_where_nothing_is_doubtful() {
        assert_eq!(found(family(), 1), Vec::<String>::new());
    }

    #[test]
    fn age_is_measured_by_what_is_priced() {
        assert_eq!(found(family(), 2), ["Spot prices are 2 days old (as of 2026-01-01)"]);
        assert_eq!(found(family(), 31).len(), 4);
    }

    #[test]
    fn holes_and_estimates_are_named() {
        let mut unpriced = sound("b1.large", 2, 100_000);
        unpriced.offerings.retain(|offering| offering.capacity_type == CapacityType::Spot);
        let mut partly = sound("c1.large", 2, 100_000);
        partly.offerings.truncate(3);
        let mut no_spot = sound("d1.large", 2, 100_000);
        no_spot.offerings.retain(|offering| offering.capacity_type == CapacityType::OnDemand);
        assert_eq!(
            found(vec![unpriced, partly, no_spot, sold("e1.large", Architecture::Amd64, 2, 100_000)], 0),
            [
                "spot prices are estimates (a test)",
                "types without any on-demand price, 1 of them: b1.large",
                "types without any spot price, 1 of them: d1.large",
                "types without a spot price in us-east-1b, where they are sold, 2 of them: c1.large, e1.large",
            ]
        );
    }

    #[test]
    fn prices_not_of_this_world_are_named() {
        let mut dear = sound("b1.large", 2, 100_000);
        dear.offerings[1].price = UsdPerHour::from_micros(200_001);
        let mut cheap = sound("c1.large", 2, 100_000);
        cheap.offerings[3].price = UsdPerHour::from_micros(1_999);
        let mut types = family();
        types.push(sound("a1.4xlarge", 16, 150_000));
        types.extend([dear, cheap]);
        assert_eq!(
            found(types, 0),
            [
                "b1.large in us-east-1a: a spot price of $0.200001/h, while on-demand is $0.1000/h",
                "c1.large in us-east-1b: a spot price of $0.001999/h, while on-demand is $0.1000/h",
                "a1.4xlarge: an on-demand price of $0.1500/h, 0.19 times its family's median per vCPU",
            ]
        );
    }
}
