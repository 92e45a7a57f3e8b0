//! What interruptions are expected to cost, worked out again for every offering that the plan names, and added up.

use super::concrete::Site;
use super::violation::{Violation, describe};
use crate::domain::interruption::InterruptionCosts;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::Plan;

/// Checks each node, its candidates and the total; returns the total. A node whose NodePool or NodeClass nobody knows counts as it is
/// stated.
pub(super) fn check(site: &Site<'_>, plan: &Plan, costs: &InterruptionCosts, found: &mut Vec<Violation>) -> UsdPerHour {
    let mut sum = UsdPerHour::ZERO;
    for (index, node) in plan.nodes.iter().enumerate() {
        let pool = site.pool(&node.node_pool);
        let class = pool.and_then(|pool| site.cluster.node_classes.get(&pool.node_class_ref.name));
        let Some(class) = class else {
            sum += node.offering.interruptions;
            continue;
        };
        let others = node.candidates.iter().filter(|candidate| **candidate != node.offering);
        for offering in std::iter::once(&node.offering).chain(others) {
            let expected = costs.of(class.ami_family, &offering.instance_type, offering.capacity_type);
            if offering.interruptions != expected {
                let (offering, stated) = (describe(offering), offering.interruptions);
                found.push(Violation::InterruptionsMisstated { node: index, offering, stated, expected });
            }
        }
        sum += costs.of(class.ami_family, &node.offering.instance_type, node.offering.capacity_type);
    }
    if plan.interruptions != sum {
        found.push(Violation::InterruptionSumMisstated { stated: plan.interruptions, sum });
    }
    sum
}
