//! The bridge between Kubernetes terms and numbers: pods → classes, NodePools x offerings → shapes, Solution → Plan.
//!
//! [`plan`] is the way in: a `ClusterView` and a `Catalog` go in, a [`Planned`] comes out. [`explain`] says why it is as it is.

mod arrangement;
mod assembly;
mod attachments;
mod blocks;
mod candidates;
mod company;
mod conflict;
mod cost;
mod dealing;
mod demand;
pub mod explain;
mod groups;
mod hitting_set;
mod interim;
mod limits;
mod market;
mod meeting;
mod min_values;
mod obstacles;
mod plan;
mod preferences;
mod priority;
mod program;
mod reasons;
mod respect;
mod rounds;
mod sentences;
mod spot;
mod standing;
mod stated;
mod supply;
mod terms;
mod tier;
mod unmet;
mod variants;
pub mod verifier;
mod wording;

pub use candidates::{MOST_CANDIDATES, PRICE_TOLERANCE_PERCENT};
pub use cost::CostModel;
pub use demand::{Demand, PodClass, Scope};
pub use limits::{LimitRow, Row};
pub use market::{Cell, Market, MarketOffer, MarketType};
pub use meeting::price_unmet;
pub use plan::{Engine, NodeOrigin, PlanError, Planned, plan, plan_by};
pub use preferences::PreferencePolicy;
pub use program::{Leftover, ShapeOrigin, TierProgram};
pub use stated::{StatedError, StatedNode, StatedPlan, StatedUse, plan_of};
pub use supply::{Room, Supply, Template, TemplateOffer, TemplateType};
pub use tier::SolvedTier;

#[cfg(test)]
mod collective_tests;
#[cfg(test)]
mod commitment_tests;
#[cfg(test)]
mod conflict_kinds_tests;
#[cfg(test)]
mod conflict_tests;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod interruption_tests;
#[cfg(test)]
mod metamorphic_tests;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod overlay_tests;
#[cfg(test)]
mod priority_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod supply_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod topology_tests;
