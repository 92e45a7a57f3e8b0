//! What changed between two catalogs: types that are new or gone, offerings that are new or gone, and prices that moved.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::{CapacityType, Catalog};
use crate::domain::money::UsdPerHour;

/// What is priced: type, capacity type, and a zone for Spot. On-Demand prices are those of the whole region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PriceKey {
    /// Name of the type.
    pub instance_type: String,
    /// On-Demand or Spot.
    pub capacity_type: CapacityType,
    /// The zone of a Spot price.
    pub zone: Option<String>,
}

/// A price that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// What is priced.
    pub key: PriceKey,
    /// The price before.
    pub before: UsdPerHour,
    /// The price now.
    pub after: UsdPerHour,
}

impl Move {
    /// By how much the price rose, as a share of the price before; negative when it fell.
    #[must_use]
    pub fn share(&self) -> f64 {
        (self.after - self.before).dollars() / self.before.dollars()
    }
}

/// From one catalog to another. Every list is sorted by name, capacity type and zone, save [`Self::moves`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Types that only the second has.
    pub new_types: Vec<String>,
    /// Types that only the first has.
    pub gone_types: Vec<String>,
    /// Prices of types that both have, where only the second has one.
    pub new_offerings: Vec<PriceKey>,
    /// Prices of types that both have, where only the first has one.
    pub gone_offerings: Vec<PriceKey>,
    /// Prices that moved, the largest share first, whichever way.
    pub moves: Vec<Move>,
    /// How many prices are the same.
    pub unmoved: usize,
}

impl Difference {
    /// What changed from `before` to `after`. Catalogs of two regions share no zones, so that only On-Demand prices are compared.
    #[must_use]
    pub fn between(before: &Catalog, after: &Catalog) -> Self {
        let (old_names, new_names) = (names(before), names(after));
        let with_spot = before.region == after.region;
        let (mut old, mut new) = (prices(before, with_spot), prices(after, with_spot));
        old.retain(|key, _| new_names.contains(key.instance_type.as_str()));
        new.retain(|key, _| old_names.contains(key.instance_type.as_str()));

        let mut made = Self {
            new_types: new_names.difference(&old_names).map(|name| (*name).to_owned()).collect(),
            gone_types: old_names.difference(&new_names).map(|name| (*name).to_owned()).collect(),
            new_offerings: new.keys().filter(|key| !old.contains_key(key)).cloned().collect(),
            ..Self::default()
        };
        for (key, before) in old {
            match new.get(&key) {
                None => made.gone_offerings.push(key),
                Some(after) if *after == before => made.unmoved += 1,
                Some(after) => made.moves.push(Move { key, before, after: *after }),
            }
        }
        made.moves.sort_by(|a, b| b.share().abs().total_cmp(&a.share().abs()).then_with(|| a.key.cmp(&b.key)));
        made
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
            && [&self.new_types, &self.gone_types].iter().all(|types| types.is_empty())
            && [&self.new_offerings, &self.gone_offerings].iter().all(|offerings| offerings.is_empty())
    }
}

fn names(catalog: &Catalog) -> BTreeSet<&str> {
    catalog.instance_types.iter().map(|instance_type| instance_type.name.as_str()).collect()
}

fn prices(catalog: &Catalog, with_spot: bool) -> BTreeMap<PriceKey, UsdPerHour> {
    let compared = catalog.offerings().filter(|(_, offering)| with_spot || offering.capacity_type != CapacityType::Spot);
    compared
        .map(|(instance_type, offering)| {
            let zone = (offering.capacity_type == CapacityType::Spot).then(|| offering.zone.clone());
            (PriceKey { instance_type: instance_type.name.clone(), capacity_type: offering.capacity_type, zone }, offering.price)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::tests::catalog;
    use crate::domain::instance_type::Architecture;
    use crate::domain::instance_type::tests::sold;

    fn of(name: &str, price: i64) -> crate::domain::instance_type::InstanceType {
        sold(name, Architecture::Amd64, 2, price)
    }

    #[test]
    fn a_catalog_does_not_differ_from_itself() {
        let one = catalog(vec![of("a1.large", 100), of("b1.large", 200)]);
        let difference = Difference::between(&one, &one);
        assert!(difference.is_empty());
        assert_eq!(difference.unmoved, 4);
    }

    #[test]
    fn types_offerings_and_prices_are_told_apart() {
        let before = catalog(vec![of("a1.large", 100), of("b1.large", 200), of("c1.large", 300)]);
        let mut without_spot = of("b1.large", 220);
        without_spot.offerings.retain(|offering| offering.capacity_type == CapacityType::OnDemand);
        let after = catalog(vec![without_spot, of("c1.large", 150), of("d1.large", 1)]);
        let difference = Difference::between(&before, &after);
        assert_eq!((difference.new_types, difference.gone_types), (vec!["d1.large".to_owned()], vec!["a1.large".to_owned()]));
        assert_eq!((difference.new_offerings.len(), difference.gone_offerings.len()), (0, 1));
        let moves: Vec<String> = difference
            .moves
            .iter()
            .map(|one| format!("{} {} {:+.0} %", one.key.instance_type, one.key.capacity_type.as_str(), one.share() * 100.0))
            .collect();
        assert_eq!(moves, ["c1.large on-demand -50 %", "c1.large spot -50 %", "b1.large on-demand +10 %"]);
    }

    #[test]
    fn two_regions_are_compared_by_on_demand_prices() {
        let before = catalog(vec![of("a1.large", 100)]);
        let after = Catalog { region: "eu-west-1".to_owned(), ..catalog(vec![of("a1.large", 100)]) };
        assert_eq!(Difference::between(&before, &after).unmoved, 1);
    }
}
