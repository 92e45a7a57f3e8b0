//! Annotations with which users say what Kubernetes and Karpenter have no field for.

/// On an EC2NodeClass: how many instances of its capacity reservations are free, `cr-0a1b=3, cr-2c3d=10`. EC2 knows, but the status
/// of the object does not say it.
pub const RESERVED_INSTANCES: &str = "supercargo.io/reserved-instances";
/// On a NodePool: what its nodes may cost together, in dollars per hour.
pub const MAX_USD_PER_HOUR: &str = "supercargo.io/max-usd-per-hour";
