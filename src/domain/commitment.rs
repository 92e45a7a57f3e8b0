//! Commitments: On-Demand capacity that is paid for by the hour, used or not, so that using it costs nothing more.
//!
//! Reserved Instances and Savings Plans are discounts on On-Demand usage and no capacity: they never decide whether an instance can be
//! launched, only what it adds to the bill. Commitments that cover the same usage at the same rate are one *pool*, because the bill does
//! not tell them apart ("all applicable plans are applied together", AWS, "Understanding how Savings Plans apply to your usage").
//!
//! How much of a pool an instance draws in an hour:
//!
//! | pool | unit | draw of an instance |
//! |---|---|---|
//! | Reserved Instances of a zone | instances | 1, for that type in that zone |
//! | Reserved Instances of a region, by family | quarters of a normalised unit | the factor of its size, within the family |
//! | Reserved Instances of a region, by type | instances | 1, for that type |
//! | EC2 Instance Savings Plans | micro-dollars per hour | the plan's rate, within the family |
//! | Compute Savings Plans | micro-dollars per hour | the plan's rate |
//!
//! A pool that does not reach for a whole instance covers a part of it, and the rest is paid as before. [`Commitments::apply`] does it
//! in the order of the bill.
//!
//! Only On-Demand instances of Linux with shared tenancy are covered; Spot never is (AWS, "Savings Plans types").

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::{CapacityType, Catalog};
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::node::Node;

/// What Savings Plans ask for an instance, instead of its On-Demand price.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rates {
    /// By instance type.
    pub by_type: BTreeMap<String, UsdPerHour>,
    /// For the other types: so many thousandths off the On-Demand price.
    pub off_per_mille: Option<u32>,
}

impl Rates {
    /// The rate of a type with that On-Demand price, rounded up to a micro-dollar; `None` where it is not known, or no discount.
    #[must_use]
    pub fn of(&self, instance_type: &str, on_demand: UsdPerHour) -> Option<UsdPerHour> {
        let listed = self.by_type.get(instance_type).copied();
        let rate = listed.or_else(|| {
            let kept = i128::from(1_000 - self.off_per_mille?.min(1_000));
            let micros = (i128::from(on_demand.micros()) * kept + 999) / 1_000;
            Some(UsdPerHour::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)))
        })?;
        (UsdPerHour::ZERO < rate && rate < on_demand).then_some(rate)
    }
}

/// What a commitment covers. In the order in which the bill applies them (AWS, "How Reserved Instance discounts are applied" and
/// "Understanding how Savings Plans apply to your usage").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Covers {
    /// Instances of a type in a zone.
    TypeInZone {
        /// Instance type.
        instance_type: String,
        /// Zone name.
        zone: String,
    },
    /// Instances of a family in any zone, by the size of each.
    Family(String),
    /// Instances of a type in any zone: of a family whose Reserved Instances have no size flexibility.
    Type(String),
    /// Usage of a family, in dollars.
    FamilyUsage {
        /// Instance family, `m5`.
        family: String,
        /// Its rates.
        rates: Rates,
    },
    /// Any usage, in dollars.
    Usage(Rates),
}

impl Covers {
    /// What Reserved Instances of `instance_type` cover, those of a `zone` or of the region.
    #[must_use]
    pub fn reserved_instances(instance_type: &str, zone: Option<&str>) -> Self {
        let instance_type = instance_type.to_owned();
        match zone {
            Some(zone) => Self::TypeInZone { instance_type, zone: zone.to_owned() },
            None if is_size_flexible(family(&instance_type)) => Self::Family(family(&instance_type).to_owned()),
            None => Self::Type(instance_type),
        }
    }

    /// `Reserved Instances`, `EC2 Instance Savings Plan` or `Compute Savings Plan`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::TypeInZone { .. } | Self::Family(_) | Self::Type(_) => "Reserved Instances",
            Self::FamilyUsage { .. } => "EC2 Instance Savings Plan",
            Self::Usage(_) => "Compute Savings Plan",
        }
    }

    /// What its amounts count.
    #[must_use]
    pub const fn unit(&self) -> &'static str {
        match self {
            Self::TypeInZone { .. } | Self::Type(_) => "instances",
            Self::Family(_) => "quarters of a normalised unit",
            Self::FamilyUsage { .. } | Self::Usage(_) => "micro-dollars per hour",
        }
    }

    /// Whether amounts of it are micro-dollars per hour.
    #[must_use]
    pub const fn is_in_dollars(&self) -> bool {
        matches!(self, Self::FamilyUsage { .. } | Self::Usage(_))
    }
}

/// A commitment as somebody bought it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// Its name; unique.
    pub id: String,
    /// What it covers.
    pub covers: Covers,
    /// How much: instances of Reserved Instances (of the type that they were bought for), micro-dollars per hour of a Savings Plan.
    pub amount: i64,
    /// The type that Reserved Instances were bought for.
    pub instance_type: Option<String>,
}

/// Commitments that cover the same usage at the same rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// What they cover.
    pub covers: Covers,
    /// Their names, sorted.
    pub ids: Vec<String>,
    /// How much they are together, in the unit of the pool.
    pub amount: i64,
}

impl Pool {
    /// The names of its commitments, as plans name the pool.
    #[must_use]
    pub fn name(&self) -> String {
        self.ids.join(", ")
    }
}

/// All commitments of an account in a region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commitments {
    /// In the order in which the bill applies them.
    pub pools: Vec<Pool>,
    /// The normalisation factors of sizes called `metal`, in quarters, by family.
    metal: BTreeMap<String, i64>,
}

/// An instance that runs On-Demand for an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage<'a> {
    /// Instance type.
    pub instance_type: &'a str,
    /// Zone name.
    pub zone: &'a str,
    /// On-Demand price of the instance alone.
    pub price: UsdPerHour,
}

/// What a pool does for an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    /// Index into [`Commitments::pools`].
    pub pool: usize,
    /// What it draws, in the unit of the pool; above 0.
    pub drawn: i64,
    /// What the bill is less by.
    pub saved: UsdPerHour,
}

/// Parts of an instance are counted in billionths.
const WHOLE: i64 = 1_000_000_000;

impl Commitments {
    /// The pools of `commitments`, which are about instances of `catalog`.
    #[must_use]
    pub fn new(commitments: &[Commitment], catalog: &Catalog) -> Self {
        let mut made = Self { pools: Vec::new(), metal: metal_units(catalog) };
        let mut pools: BTreeMap<&Covers, (BTreeSet<&str>, i64)> = BTreeMap::new();
        for commitment in commitments {
            let each = match (&commitment.covers, &commitment.instance_type) {
                (Covers::Family(_), Some(bought)) => made.units(bought),
                _ => 1,
            };
            let (ids, amount) = pools.entry(&commitment.covers).or_default();
            ids.insert(&commitment.id);
            *amount = amount.saturating_add(commitment.amount.saturating_mul(each));
        }
        let pool = |(covers, (ids, amount)): (&Covers, (BTreeSet<&str>, i64))| Pool {
            covers: covers.clone(),
            ids: ids.into_iter().map(str::to_owned).collect(),
            amount,
        };
        made.pools = pools.into_iter().map(pool).collect();
        made
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }

    /// What all pools have, in their units.
    #[must_use]
    pub fn amounts(&self) -> Vec<i64> {
        self.pools.iter().map(|pool| pool.amount).collect()
    }

    /// What a whole instance draws of pool `pool` in an hour; `None` where that does not cover it.
    #[must_use]
    pub fn draw(&self, pool: usize, usage: &Usage<'_>) -> Option<i64> {
        let of_family = |name: &str| family(usage.instance_type) == name;
        match &self.pools.get(pool)?.covers {
            Covers::TypeInZone { instance_type, zone } => {
                (instance_type == usage.instance_type && zone == usage.zone).then_some(1)
            }
            Covers::Family(name) => of_family(name).then(|| self.units(usage.instance_type)),
            Covers::Type(instance_type) => (instance_type == usage.instance_type).then_some(1),
            Covers::FamilyUsage { family: name, rates } if of_family(name) => {
                rates.of(usage.instance_type, usage.price).map(UsdPerHour::micros)
            }
            Covers::FamilyUsage { .. } => None,
            Covers::Usage(rates) => rates.of(usage.instance_type, usage.price).map(UsdPerHour::micros),
        }
    }

    /// Every pool that covers an instance, with what a whole one draws.
    pub fn draws<'a>(&'a self, usage: &'a Usage<'a>) -> impl Iterator<Item = (usize, i64)> + 'a {
        (0..self.pools.len()).filter_map(|pool| Some((pool, self.draw(pool, usage)?)))
    }

    /// What the pools, of which so much is `left`, do for each of `usages`, in the order of the bill:
    ///
    /// 1. Reserved Instances of a zone, then those of a region, which go to the smallest instances first.
    /// 2. EC2 Instance Savings Plans, then Compute Savings Plans, which go where they save the largest share of the On-Demand price
    ///    first, and of equal shares to the lowest rate.
    ///
    /// Equal ones are covered in their order here. A part of an instance is rounded down to a billionth, what it saves to a
    /// micro-dollar.
    #[must_use]
    pub fn apply(&self, usages: &[Usage<'_>], left: &mut [i64]) -> Vec<Vec<Cover>> {
        let mut open = vec![WHOLE; usages.len()];
        let mut covers = vec![Vec::new(); usages.len()];
        for (pool, left) in left.iter_mut().enumerate() {
            for (at, draw) in self.in_order(pool, usages) {
                if *left <= 0 {
                    break;
                }
                let reach = i128::from(*left) * i128::from(WHOLE) / i128::from(draw);
                let part = open[at].min(i64::try_from(reach).unwrap_or(WHOLE));
                let of_part = |amount: i64, up: i128| {
                    i64::try_from((i128::from(amount) * i128::from(part) + up) / i128::from(WHOLE)).unwrap_or(i64::MAX)
                };
                let (drawn, saved) = (of_part(draw, i128::from(WHOLE - 1)).min(*left), of_part(usages[at].price.micros(), 0));
                if saved > 0 {
                    open[at] -= part;
                    *left -= drawn;
                    covers[at].push(Cover { pool, drawn, saved: UsdPerHour::from_micros(saved) });
                }
            }
        }
        covers
    }

    /// The usages that a pool covers, with what each draws as a whole, in the order in which they are covered.
    fn in_order(&self, pool: usize, usages: &[Usage<'_>]) -> Vec<(usize, i64)> {
        let covered = usages.iter().enumerate().filter_map(|(at, usage)| Some((at, self.draw(pool, usage)?)));
        let mut made: Vec<(usize, i64)> = covered.collect();
        let in_dollars = self.pools.get(pool).is_some_and(|pool| pool.covers.is_in_dollars());
        made.sort_by(|&(a, of_a), &(b, of_b)| {
            // The smaller rate / price saves more; compared crosswise.
            let kept = |rate: i64, other: usize| i128::from(rate) * i128::from(usages[other].price.micros());
            let by_share = if in_dollars { kept(of_a, b).cmp(&kept(of_b, a)) } else { std::cmp::Ordering::Equal };
            by_share.then(of_a.cmp(&of_b)).then(a.cmp(&b))
        });
        made
    }

    /// What the instances of `nodes` leave of the pools. A node whose type, zone or price is not known counts as one that nothing covers.
    #[must_use]
    pub fn left_by(&self, nodes: &[Node], catalog: &Catalog) -> Vec<i64> {
        let mut left = self.amounts();
        let usages: Vec<Usage<'_>> = nodes.iter().filter_map(|node| running(node, catalog)).collect();
        // What each of them saves is no part of a plan.
        let _ = self.apply(&usages, &mut left);
        left
    }

    /// The normalisation factor of a type's size, in quarters.
    fn units(&self, instance_type: &str) -> i64 {
        let of_metal = || self.metal.get(family(instance_type)).copied();
        size_units(size(instance_type)).or_else(of_metal).unwrap_or(SMALLEST_XLARGE)
    }
}

/// The On-Demand usage that `node` is.
#[must_use]
pub fn running<'a>(node: &'a Node, catalog: &'a Catalog) -> Option<Usage<'a>> {
    let label = |key: &str| node.labels.get(key).map(String::as_str);
    let (instance_type, zone) = (label(labels::INSTANCE_TYPE)?, label(labels::ZONE)?);
    let is_covered =
        label(labels::CAPACITY_TYPE) == Some(CapacityType::OnDemand.as_str()) && label(labels::OS) != Some("windows");
    let offerings = &catalog.get(instance_type)?.offerings;
    let own = offerings.iter().find(|of| of.zone == zone && of.capacity_type == CapacityType::OnDemand)?;
    is_covered.then_some(Usage { instance_type, zone, price: own.price })
}

/// `m5` of `m5.large`.
fn family(instance_type: &str) -> &str {
    instance_type.split_once('.').map_or(instance_type, |(family, _)| family)
}

/// `large` of `m5.large`.
fn size(instance_type: &str) -> &str {
    instance_type.split_once('.').map_or("", |(_, size)| size)
}

/// Quarters of a normalised unit of an `xlarge`.
const SMALLEST_XLARGE: i64 = 32;

/// The normalisation factor of a size in quarters (AWS, "Instance size flexibility"): nano 0.25, doubling up to xlarge 8, and 8 times N
/// for Nxlarge and metal-Nxl. `None` for `metal` alone, which counts as the largest other size of its family.
fn size_units(size: &str) -> Option<i64> {
    let small = ["nano", "micro", "small", "medium", "large", "xlarge"];
    let of_small = [1, 2, 4, 8, 16, SMALLEST_XLARGE];
    let numbered = size.strip_suffix("xlarge").or_else(|| size.strip_prefix("metal-")?.strip_suffix("xl"));
    match small.iter().position(|name| *name == size) {
        Some(at) => of_small.get(at).copied(),
        None => numbered?.parse::<i64>().ok().filter(|times| (1..=1_000).contains(times)).map(|times| times * SMALLEST_XLARGE),
    }
}

fn metal_units(catalog: &Catalog) -> BTreeMap<String, i64> {
    let mut largest: BTreeMap<String, i64> = BTreeMap::new();
    for sold in &catalog.instance_types {
        if let Some(units) = size_units(size(&sold.name)) {
            let most = largest.entry(family(&sold.name).to_owned()).or_default();
            *most = units.max(*most);
        }
    }
    largest
}

/// Families whose Reserved Instances are for one size (AWS, "Instance size flexibility": G4ad, G4dn, G5, G5g, G6, G6e, G6f, Gr6, Gr6f,
/// hpc7a, P5, Inf1, Inf2 and the U7i families, as of 2025).
fn is_size_flexible(family: &str) -> bool {
    let fixed = ["g4ad", "g4dn", "g5", "g5g", "g6", "g6e", "g6f", "gr6", "gr6f", "hpc7a", "p5", "inf1", "inf2"];
    !fixed.contains(&family) && !family.starts_with("u7i")
}

#[cfg(test)]
mod tests;
