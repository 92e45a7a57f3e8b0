//! What counts besides the price of instances: the volumes that a NodeClass maps, a fixed fee per node, and what pods would pay for
//! their preferences.
//!
//! The objective is everything that a node costs, because the fixed part decides between few large and many small nodes.

use crate::domain::allocatable;
use crate::domain::catalog::Catalog;
use crate::domain::money::UsdPerHour;
use crate::domain::node_class::NodeClass;
use crate::planning::PreferencePolicy;

/// Which costs besides the instance's price count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostModel {
    /// Whether the EBS volumes of the NodeClass count, at the catalog's price per GiB-month.
    pub volumes: bool,
    /// Licence or management fee of one node, at least 0.
    pub fee_per_node: UsdPerHour,
    /// What becomes of the pods' preferences.
    pub preferences: PreferencePolicy,
}

impl CostModel {
    /// The default of the command line: volumes count, no fee, preferences have a price.
    #[must_use]
    pub const fn volumes_only() -> Self {
        Self { volumes: true, fee_per_node: UsdPerHour::ZERO, preferences: PreferencePolicy::PRICED }
    }

    /// What a node of `node_class` costs besides its instance.
    #[must_use]
    pub fn overhead(&self, node_class: &NodeClass, catalog: &Catalog) -> UsdPerHour {
        let volumes = if self.volumes { allocatable::root_volume_cost(node_class, catalog) } else { UsdPerHour::ZERO };
        volumes + self.fee_per_node
    }
}
