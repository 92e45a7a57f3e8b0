//! What an instance is, as JSON: Kubernetes objects, a catalog, and where they come from.
//!
//! | module | what lives there |
//! |---|---|
//! | `reading` | documents from files and back, and their digest |
//! | `loading` | the cluster and the catalog that a document describes; documents that stand by themselves |
//! | [`manifest`] | what is known of the instances of a suite |
//! | [`generator`] | the suite's own instances, from a seed |
//! | [`vbp`], [`snapshot`] | instances of other forms |
//! | [`suite`] | a suite made anew, and checked |
//! | [`certificate`], [`learning`] | plans that the verifier accepts, and what runs teach about a suite |
//!
//! A *suite* is a folder like `models/`: `MANIFEST.json`, `instances/`, `catalogs/`, `certificates/`.

pub mod certificate;
mod error;
#[cfg(test)]
pub(in crate::benchmark) mod fixtures;
pub mod generator;
pub mod learning;
mod loading;
pub mod manifest;
mod reading;
pub mod snapshot;
pub mod suite;
#[cfg(test)]
mod tests;
pub mod vbp;

pub use error::InstanceError;
pub use loading::{COSTS, Loaded};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of this form, in every instance.
pub const FORMAT: &str = "supercargo-instance/1";

/// An instance. Its cluster is what `supercargo plan -f` makes of `objects` on `catalog`; only the price of instances counts, no volumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InstanceDocument {
    /// [`FORMAT`].
    pub format: String,
    /// Unique in a suite: lowercase letters, digits and `-`.
    pub name: String,
    /// The family that it belongs to.
    pub family: String,
    /// What it is and what makes it hard, in a sentence or two.
    pub description: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Kubernetes objects as `kubectl apply` takes them: workloads, Pods, Nodes, NodeClaims, NodePools, EC2NodeClasses, claims, ...
    pub objects: Vec<serde_json::Value>,
    /// What can be bought.
    pub catalog: CatalogSource,
    /// Reserved Instances and Savings Plans, in the form of docs/commitments.md.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitments: Option<serde_json::Value>,
    /// As `--max-spot-pool-share`: `25%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_spot_pool_share: Option<String>,
}

/// Where an instance comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Origin {
    /// Whose idea, data or case it is: a paper, a thread, a trace; or `supercargo`.
    pub source: String,
    /// The generator that made it, with what it was given: `micro services=100 on-demand`; none for one that was imported or written by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<String>,
    /// The generator's seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// What can be bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum CatalogSource {
    /// A catalog that instances of the suite share: the folder of that name in `models/catalogs/`.
    Shared(String),
    /// The files of a catalog (docs/catalog.md), by name: `catalog.properties`, `instance-types.csv`, `offerings.csv`, `spot.csv`, `ebs.csv`. An
    /// instance with these stands by itself.
    Inline(BTreeMap<String, String>),
}
