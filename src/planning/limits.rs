//! What a plan leaves of the limits of its NodePools.

use std::collections::BTreeMap;

use crate::planning::plan::NodeOrigin;
use crate::planning::supply::Supply;

/// What is left, by NodePool (index into `ClusterView::node_pools`) and resource; negative where more is used than allowed.
pub(super) type LimitsLeft = BTreeMap<(usize, String), i64>;

/// What nodes of these origins leave of the limits in `supply`.
pub(super) fn limits_left(supply: &Supply, nodes: impl Iterator<Item = NodeOrigin>) -> LimitsLeft {
    let mut left = LimitsLeft::new();
    for template in &supply.templates {
        for (resource, limit) in &template.limits {
            left.insert((template.node_pool, resource.clone()), *limit);
        }
    }
    for origin in nodes {
        let template = &supply.templates[origin.template];
        let of_type = template.offers[origin.offer].of_type;
        for resource in template.limits.keys() {
            if let Some(left) = left.get_mut(&(template.node_pool, resource.clone())) {
                *left = left.saturating_sub(template.limit_usage(of_type, resource));
            }
        }
    }
    left
}
