//! Annotations with which users say what Kubernetes and Karpenter have no field for.

/// On an EC2NodeClass: how many instances of its capacity reservations are free, `cr-0a1b=3, cr-2c3d=10`. EC2 knows, but the status
/// of the object does not say it.
pub const RESERVED_INSTANCES: &str = "supercargo.io/reserved-instances";
/// On a NodePool: what its nodes may cost together, in dollars per hour.
pub const MAX_USD_PER_HOUR: &str = "supercargo.io/max-usd-per-hour";
/// On a pod: the group of which all pods are placed, or none. Groups are told apart by namespace and name.
pub const ATOMIC_GROUP: &str = "supercargo.io/atomic-group";
/// On a pod: how many pods of its workload are not to be on Spot, as a number or a percentage.
pub const ON_DEMAND_FLOOR: &str = "supercargo.io/on-demand-floor";
/// On a pod: how many pods of its workload may be in one Spot pool, as a number or a percentage.
pub const MAX_SPOT_POOL_SHARE: &str = "supercargo.io/max-spot-pool-share";
/// On a NodeClaim: the plan that asked for it.
pub const PLAN: &str = "supercargo.io/plan-id";
/// On a NodeClaim: the pods that it was planned for, `namespace/name=uid`, with commas between them.
pub const PLANNED_PODS: &str = "supercargo.io/planned-pods";
/// On a NodeClaim: what its node costs in the plan, in dollars per hour.
pub const PLANNED_PRICE: &str = "supercargo.io/planned-usd-per-hour";
