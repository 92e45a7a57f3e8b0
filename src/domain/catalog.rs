//! The catalog: what EC2 sells in a region, where, for how much, and how we know.

pub mod checkup;
pub mod difference;
pub mod selection;
pub mod unavailable;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::domain::money::UsdPerHour;

pub use crate::domain::instance_type::InstanceType;

/// How capacity is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CapacityType {
    /// Pay per hour at the list price.
    OnDemand,
    /// Spare capacity at the Spot price, which can be taken back.
    Spot,
    /// An instance of a capacity reservation, which is paid for whether it is used or not.
    Reserved,
}

impl CapacityType {
    /// The capacity type of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::OnDemand, Self::Spot, Self::Reserved].into_iter().find(|kind| kind.as_str() == text)
    }

    /// The value of the label `karpenter.sh/capacity-type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
            Self::Reserved => "reserved",
        }
    }
}

/// Where a price comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PriceKind {
    /// Published by AWS.
    Listed,
    /// Computed by a rule; not an observation.
    Estimated,
    /// What a NodeOverlay says, or makes of a listed price. In plans only: catalogs know no overlays.
    Overlaid,
    /// What a NodeOverlay makes of an estimated price.
    OverlaidEstimate,
}

impl PriceKind {
    /// Whether an estimate is part of it.
    #[must_use]
    pub const fn is_estimate(self) -> bool {
        matches!(self, Self::Estimated | Self::OverlaidEstimate)
    }

    /// Whether a NodeOverlay is part of it.
    #[must_use]
    pub const fn is_overlaid(self) -> bool {
        matches!(self, Self::Overlaid | Self::OverlaidEstimate)
    }
}

/// A type in a zone under a capacity type, with its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offering {
    /// Zone name, `us-east-1a`.
    pub zone: String,
    /// On-Demand or Spot.
    pub capacity_type: CapacityType,
    /// Price of the instance alone.
    pub price: UsdPerHour,
    /// Whether the price is listed or estimated.
    pub price_kind: PriceKind,
    /// Whether plans may buy it; not where EC2 could not deliver it a moment ago ([`unavailable`]).
    pub available: bool,
}

/// Where one part of a catalog comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Who says so, with the version: `EC2 DescribeInstanceTypes as shipped in moto 5.2.5`.
    pub origin: String,
    /// The day that it describes, `2026-07-20`, or the minute in UTC, `2026-07-20T13:05Z`.
    pub as_of: String,
}

/// Where the parts of a catalog come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Facts of instance types.
    pub instance_types: Source,
    /// Which type is sold in which zone.
    pub zones: Source,
    /// On-Demand prices.
    pub on_demand: Source,
    /// Spot prices.
    pub spot: Source,
    /// EBS prices.
    pub ebs: Source,
}

/// Everything that EC2 sells in one region, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalog {
    /// `us-east-1`.
    pub region: String,
    /// Sorted by name; no two have the same.
    pub instance_types: Vec<InstanceType>,
    /// Micro-dollars per GiB and month by EBS volume type (`gp3`), capacity alone. Has `gp3` at least.
    pub ebs_prices: BTreeMap<String, i64>,
    /// Where all this comes from.
    pub provenance: Provenance,
    /// The day or minute of the On-Demand prices, as in [`Source::as_of`]: the age of the catalog as users should see it.
    pub prices_as_of: String,
}

impl Catalog {
    /// The type of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&InstanceType> {
        let at = self.instance_types.binary_search_by(|instance_type| instance_type.name.as_str().cmp(name)).ok()?;
        self.instance_types.get(at)
    }

    /// Zones that have anything.
    #[must_use]
    pub fn zones(&self) -> BTreeSet<&str> {
        let sold = self.offerings().map(|(_, offering)| &offering.zone);
        sold.chain(self.instance_types.iter().flat_map(|instance_type| &instance_type.zones)).map(String::as_str).collect()
    }

    /// Every offering with its type, by type, zone and capacity type.
    pub fn offerings(&self) -> impl Iterator<Item = (&InstanceType, &Offering)> {
        self.instance_types.iter().flat_map(|instance_type| instance_type.offerings.iter().map(move |o| (instance_type, o)))
    }

    /// Whether any price of that capacity type is an estimate: every output that uses one has to say so.
    #[must_use]
    pub fn has_estimates(&self, capacity_type: CapacityType) -> bool {
        self.offerings().any(|(_, offering)| offering.capacity_type == capacity_type && offering.price_kind.is_estimate())
    }

    /// One line: what is in it, how old it is, and which prices are an estimate.
    #[must_use]
    pub fn summary(&self) -> String {
        let (on_demand, spot) = (&self.provenance.on_demand, &self.provenance.spot);
        let on_demand = if self.has_estimates(CapacityType::OnDemand) {
            format!("On-Demand prices are an ESTIMATE ({})", on_demand.origin)
        } else {
            format!("On-Demand prices as of {} ({})", self.prices_as_of, on_demand.origin)
        };
        let spot = if self.has_estimates(CapacityType::Spot) {
            format!("Spot prices are an ESTIMATE ({})", spot.origin)
        } else {
            format!("Spot prices as of {} ({})", spot.as_of, spot.origin)
        };
        let (types, zones) = (self.instance_types.len(), self.zones().len());
        format!("{}: {types} instance types in {zones} zones, {on_demand}, {spot}", self.region)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A catalog of us-east-1 with these types, sorted by name, everything as of 2026-01-01.
    pub(crate) fn catalog(instance_types: Vec<InstanceType>) -> Catalog {
        let source = || Source { origin: "a test".to_owned(), as_of: "2026-01-01".to_owned() };
        Catalog {
            region: "us-east-1".to_owned(),
            instance_types,
            ebs_prices: BTreeMap::from([("gp3".to_owned(), 80_000)]),
            provenance: Provenance {
                instance_types: source(),
                zones: source(),
                on_demand: source(),
                spot: source(),
                ebs: source(),
            },
            prices_as_of: "2026-01-01".to_owned(),
        }
    }
}
