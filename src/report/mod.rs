//! Plans and catalogs for people and programs: a table for the terminal, Markdown for a pull request, HTML to be read and
//! printed, JSON for everything else.
//!
//! All that is about a plan says the same things, worked out once in [`summary`]: what is bought and for how much, how near that is to the
//! optimum, what first-fit would have cost, where the prices come from, and which pods are left and why.

pub mod catalog;
pub mod columns;
pub mod html;
pub mod json;
pub mod markdown;
pub mod summary;
pub mod table;

use std::time::Duration;

use crate::domain::catalog::Catalog;
use crate::domain::cluster::ClusterView;
use crate::domain::interruption::RestartCost;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::Plan;

/// A plan and everything that is said along with it.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What was planned for.
    pub cluster: &'a ClusterView,
    /// What could be bought.
    pub catalog: &'a Catalog,
    /// The plan.
    pub plan: &'a Plan,
    /// How long planning took.
    pub elapsed: Duration,
    /// What a reader should know about the input: ignored kinds, rules that the plan does not contain, ...
    pub notices: &'a [String],
    /// Whether root volumes are part of the cost.
    pub root_volumes: bool,
    /// The fixed fee that is part of every node's cost.
    pub fee_per_node: UsdPerHour,
    /// What one interruption costs.
    pub restart_cost: RestartCost,
}
