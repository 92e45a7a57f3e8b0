//! What the suite knows of an instance besides its runs.

use crate::benchmark::telling::results::Quality;
use crate::domain::cluster::ClusterView;
use crate::domain::money::UsdPerHour;

/// What is known of an instance; whatever is not known is left out of the report.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What it is and what makes it hard.
    pub description: Option<String>,
    /// The best plan that anybody has found.
    pub best: Option<Quality>,
    /// No plan that places every pod costs less.
    pub bound: Option<UsdPerHour>,
    /// Its pods, to draw them.
    pub cluster: Option<ClusterView>,
}
