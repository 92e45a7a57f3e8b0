//! What counts besides the price of instances: the volumes that a NodeClass maps, a fixed fee per node, what interruptions of Spot
//! instances are expected to cost, and what pods would pay for their preferences.
//!
//! The objective is everything that a node costs, because the fixed part decides between few large and many small nodes.

use crate::domain::allocatable;
use crate::domain::catalog::{CapacityType, Catalog};
use crate::domain::interruption::InterruptionCosts;
use crate::domain::money::UsdPerHour;
use crate::domain::node_class::NodeClass;
use crate::planning::PreferencePolicy;

/// Which costs besides the instance's price count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostModel {
    /// Whether the EBS volumes of the NodeClass count, at the catalog's price per GiB-month.
    pub volumes: bool,
    /// Licence or management fee of one node, at least 0.
    pub fee_per_node: UsdPerHour,
    /// What interruptions are expected to cost, by offering.
    pub interruptions: InterruptionCosts,
    /// What becomes of the pods' preferences.
    pub preferences: PreferencePolicy,
}

impl CostModel {
    /// The default of the command line: volumes count, no fee, interruptions cost nothing, preferences have a
    /// price.
    #[must_use]
    pub const fn volumes_only() -> Self {
        Self {
            volumes: true,
            fee_per_node: UsdPerHour::ZERO,
            interruptions: InterruptionCosts::NONE,
            preferences: PreferencePolicy::PRICED,
        }
    }

    /// What a node of `node_class` costs besides its instance.
    #[must_use]
    pub fn overhead(&self, node_class: &NodeClass, catalog: &Catalog) -> UsdPerHour {
        let volumes = if self.volumes { allocatable::root_volume_cost(node_class, catalog) } else { UsdPerHour::ZERO };
        volumes + self.fee_per_node
    }

    /// What interruptions of a node of `node_class` are expected to cost; nobody charges that.
    #[must_use]
    pub fn interruptions(&self, node_class: &NodeClass, instance_type: &str, capacity_type: CapacityType) -> UsdPerHour {
        self.interruptions.of(node_class.ami_family, instance_type, capacity_type)
    }
}
