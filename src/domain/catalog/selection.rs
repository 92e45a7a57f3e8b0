//! Which part of a catalog somebody wants to see: ranges of size and price, kinds, places.

use crate::domain::catalog::{CapacityType, Catalog, InstanceType, Offering};
use crate::domain::instance_type::Architecture;
use crate::domain::money::UsdPerHour;

const MIB_PER_GIB: i64 = 1024;

/// A range of numbers, both ends included; an end that is `None` is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The least number in it.
    pub least: Option<i64>,
    /// The largest number in it.
    pub most: Option<i64>,
}

impl Span {
    /// Whether `number` is in it.
    #[must_use]
    pub fn holds(self, number: i64) -> bool {
        self.least.is_none_or(|least| number >= least) && self.most.is_none_or(|most| number <= most)
    }

    fn is_open(self) -> bool {
        self == Self::default()
    }
}

/// What is wanted. An open range and an empty list ask for nothing in particular.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// vCPUs.
    pub vcpus: Span,
    /// Memory in MiB.
    pub memory_mib: Span,
    /// GPUs, of all kinds together.
    pub gpus: Span,
    /// Generation as the name tells it; a name that tells none is in no range but the open one.
    pub generation: Span,
    /// Architectures.
    pub architectures: Vec<Architecture>,
    /// Categories: `m`, `c`, `trn`.
    pub categories: Vec<String>,
    /// Families: `m7i`, `m7i-flex`.
    pub families: Vec<String>,
    /// Zones.
    pub zones: Vec<String>,
    /// Capacity types.
    pub capacity_types: Vec<CapacityType>,
    /// The dearest price of an offering.
    pub max_price: Option<UsdPerHour>,
}

/// A type under one capacity type, with the offerings that are wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected<'a> {
    /// The type.
    pub instance_type: &'a InstanceType,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// Sorted by price, then zone. Never empty.
    pub offerings: Vec<&'a Offering>,
}

impl Selected<'_> {
    /// The lowest of the prices.
    #[must_use]
    pub fn price(&self) -> UsdPerHour {
        self.offerings.first().map_or(UsdPerHour::ZERO, |offering| offering.price)
    }

    /// The lowest price per vCPU, rounded to the micro-dollar.
    #[must_use]
    pub fn price_per_vcpu(&self) -> UsdPerHour {
        divided(self.price(), 1, self.instance_type.vcpus)
    }

    /// The lowest price per GiB of memory, rounded to the micro-dollar.
    #[must_use]
    pub fn price_per_gib(&self) -> UsdPerHour {
        divided(self.price(), MIB_PER_GIB, self.instance_type.memory_mib)
    }
}

/// `price` x `factor` / `divisor`, rounded half up.
fn divided(price: UsdPerHour, factor: i64, divisor: i64) -> UsdPerHour {
    let divisor = i128::from(divisor.max(1));
    let scaled = i128::from(price.micros()) * i128::from(factor);
    UsdPerHour::from_micros(i64::try_from((scaled + divisor / 2) / divisor).unwrap_or(i64::MAX))
}

impl Selection {
    /// What of `catalog` is wanted, cheapest first; equal prices by name, then capacity type.
    #[must_use]
    pub fn of<'a>(&self, catalog: &'a Catalog) -> Vec<Selected<'a>> {
        let wanted = catalog.instance_types.iter().filter(|instance_type| self.wants(instance_type));
        let mut selected: Vec<Selected<'a>> = wanted
            .flat_map(|instance_type| {
                [CapacityType::OnDemand, CapacityType::Spot].map(|capacity_type| self.offerings_of(instance_type, capacity_type))
            })
            .filter(|one| !one.offerings.is_empty())
            .collect();
        selected.sort_by_key(|one| (one.price(), one.instance_type.name.as_str(), one.capacity_type));
        selected
    }

    fn wants(&self, instance_type: &InstanceType) -> bool {
        let name_parts = instance_type.category_and_generation();
        let generation: Option<i64> = name_parts.and_then(|(_, generation)| generation.parse().ok());
        let listed = |list: &[String], value: Option<&str>| {
            list.is_empty() || value.is_some_and(|value| list.iter().any(|wanted| wanted == value))
        };
        self.vcpus.holds(instance_type.vcpus)
            && self.memory_mib.holds(instance_type.memory_mib)
            && self.gpus.holds(instance_type.gpus.iter().map(|device| device.count).sum())
            && (self.generation.is_open() || generation.is_some_and(|generation| self.generation.holds(generation)))
            && (self.architectures.is_empty() || self.architectures.contains(&instance_type.architecture))
            && listed(&self.categories, name_parts.map(|(category, _)| category))
            && listed(&self.families, instance_type.family())
    }

    fn offerings_of<'a>(&self, instance_type: &'a InstanceType, capacity_type: CapacityType) -> Selected<'a> {
        let wanted = |offering: &&Offering| {
            offering.capacity_type == capacity_type
                && (self.capacity_types.is_empty() || self.capacity_types.contains(&capacity_type))
                && (self.zones.is_empty() || self.zones.contains(&offering.zone))
                && self.max_price.is_none_or(|most| offering.price <= most)
        };
        let mut offerings: Vec<&Offering> = instance_type.offerings.iter().filter(wanted).collect();
        offerings.sort_by_key(|offering| (offering.price, offering.zone.as_str()));
        Selected { instance_type, capacity_type, offerings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::tests::catalog;
    use crate::domain::instance_type::tests::{device, sold};

    fn names(selection: &Selection) -> Vec<String> {
        let mut large = sold("g5.xlarge", Architecture::Amd64, 8, 900_000);
        large.gpus = vec![device("A10G", "NVIDIA", 1, 24_576, 0)];
        let catalog = catalog(vec![
            large,
            sold("m7g.large", Architecture::Arm64, 2, 80_000),
            sold("m7i.large", Architecture::Amd64, 2, 100_000),
        ]);
        selection.of(&catalog).iter().map(|one| format!("{} {}", one.instance_type.name, one.capacity_type.as_str())).collect()
    }

    #[test]
    fn everything_is_listed_cheapest_first() {
        let expected = [
            "m7g.large spot",
            "m7i.large spot",
            "m7g.large on-demand",
            "m7i.large on-demand",
            "g5.xlarge spot",
            "g5.xlarge on-demand",
        ];
        assert_eq!(names(&Selection::default()), expected);
    }

    #[test]
    fn every_condition_takes_something_away() {
        let on_demand = Selection { capacity_types: vec![CapacityType::OnDemand], ..Selection::default() };
        let span = |least, most| Span { least, most };
        let cases: [(Selection, &[&str]); 9] = [
            (Selection { vcpus: span(Some(4), None), ..on_demand.clone() }, &["g5.xlarge on-demand"]),
            (
                Selection { memory_mib: span(None, Some(8 * 1024)), ..on_demand.clone() },
                &["m7g.large on-demand", "m7i.large on-demand"],
            ),
            (Selection { gpus: span(Some(1), Some(1)), ..on_demand.clone() }, &["g5.xlarge on-demand"]),
            (Selection { generation: span(Some(7), None), ..on_demand.clone() }, &["m7g.large on-demand", "m7i.large on-demand"]),
            (Selection { architectures: vec![Architecture::Arm64], ..on_demand.clone() }, &["m7g.large on-demand"]),
            (Selection { categories: vec!["g".to_owned()], ..on_demand.clone() }, &["g5.xlarge on-demand"]),
            (Selection { families: vec!["m7i".to_owned()], ..on_demand.clone() }, &["m7i.large on-demand"]),
            (Selection { max_price: Some(UsdPerHour::from_micros(40_000)), ..Selection::default() }, &["m7g.large spot"]),
            (
                Selection {
                    zones: vec!["us-east-1b".to_owned()],
                    capacity_types: vec![CapacityType::Spot],
                    ..Selection::default()
                },
                &[],
            ),
        ];
        for (selection, expected) in cases {
            assert_eq!(names(&selection), expected, "{selection:?}");
        }
    }

    #[test]
    fn prices_per_unit_are_rounded_to_the_micro_dollar() {
        let catalog = catalog(vec![sold("x.large", Architecture::Amd64, 3, 100_000)]);
        let selected = Selection { capacity_types: vec![CapacityType::OnDemand], ..Selection::default() }.of(&catalog);
        assert_eq!((selected[0].price_per_vcpu().micros(), selected[0].price_per_gib().micros()), (33_333, 8_333));
    }
}
