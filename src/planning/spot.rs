//! Spot pools as domains: the value of [`labels::SPOT_POOL`], which no node carries as a label.

use crate::domain::catalog::CapacityType;
use crate::domain::labels;
use crate::domain::selector::Labels;

/// The Spot pool of such an instance; `None` where it is not on Spot.
pub(super) fn pool(instance_type: &str, zone: &str, capacity_type: CapacityType) -> Option<String> {
    (capacity_type == CapacityType::Spot).then(|| format!("{instance_type} {zone}"))
}

/// The value of `key` on a node that exists, from its labels.
pub(super) fn label_on(of_node: &Labels, key: &str) -> Option<String> {
    if key != labels::SPOT_POOL {
        return of_node.get(key).cloned();
    }
    let capacity_type = CapacityType::parse(of_node.get(labels::CAPACITY_TYPE)?)?;
    pool(of_node.get(labels::INSTANCE_TYPE)?, of_node.get(labels::ZONE)?, capacity_type)
}
