//! What there is only so much of, and what a plan leaves of it: limits of NodePools, capacity reservations, capped Spot pools, nodes
//! that exist.

use std::collections::BTreeMap;

use crate::planning::plan::NodeOrigin;
use crate::planning::supply::Supply;

/// What a side row is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// A limit of a NodePool.
    Limit(LimitRow),
    /// The free instances of a capacity reservation, by its id.
    Reservation(String),
    /// The CPU of nodes in a Spot pool.
    SpotPool(String),
    /// How many nodes of a template exist; index into [`Supply::templates`].
    Standing(usize),
    /// What there is of a pool of commitments; index into [`Commitments::pools`](crate::domain::commitment::Commitments::pools).
    Commitment(usize),
}

/// What a side row limits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LimitRow {
    /// Index into `ClusterView::node_pools`.
    pub node_pool: usize,
    /// The resource, `nodes`, or the dollars that they cost.
    pub resource: String,
}

impl Row {
    /// Whether it may leave pods unplaced. Beyond a commitment the full price applies, and nodes that exist are more than none.
    pub(super) fn is_limit(&self) -> bool {
        !matches!(self, Self::Standing(_) | Self::Commitment(_))
    }

    /// The limit of a NodePool on a resource.
    pub(super) fn limit(node_pool: usize, resource: &str) -> Self {
        Self::Limit(LimitRow { node_pool, resource: resource.to_owned() })
    }
}

/// What is left of limits and reservations; negative where more is used than allowed.
pub(super) type LimitsLeft = BTreeMap<Row, i64>;

/// What nodes of these origins leave of the limits and reservations in `supply`.
pub(super) fn limits_left(supply: &Supply, nodes: impl Iterator<Item = NodeOrigin>) -> LimitsLeft {
    let mut left: LimitsLeft =
        supply.reservations.iter().map(|(id, free)| (Row::Reservation(id.clone()), i64::from(*free))).collect();
    left.extend(supply.spot_left.iter().map(|(pool, cores)| (Row::SpotPool(pool.clone()), *cores)));
    for template in &supply.templates {
        left.extend(template.limits.iter().map(|(resource, limit)| (Row::limit(template.node_pool, resource), *limit)));
    }
    for origin in nodes {
        let template = &supply.templates[origin.template];
        for row in template.rows_of(origin.offer) {
            if let Some(left) = left.get_mut(&row) {
                *left = left.saturating_sub(template.taken(&row, origin.offer));
            }
        }
    }
    left
}
