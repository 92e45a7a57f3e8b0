//! The catalog: what EC2 sells in a region, where, and for how much.

use crate::domain::money::UsdPerHour;

/// How capacity is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CapacityType {
    /// Pay per hour at the list price.
    OnDemand,
    /// Spare capacity at the Spot price, which can be taken back.
    Spot,
}

impl CapacityType {
    /// The value of the label `karpenter.sh/capacity-type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
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
}

/// What DescribeInstanceTypes says about a type, and its offerings.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceType {
    /// `m7i.large`.
    pub name: String,
    /// Where and how it is sold, sorted by zone and capacity type.
    pub offerings: Vec<Offering>,
}

/// Everything that EC2 sells in one region, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalog {
    /// `us-east-1`.
    pub region: String,
    /// Sorted by name; no two have the same.
    pub instance_types: Vec<InstanceType>,
}
