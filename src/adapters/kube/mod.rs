//! Kubernetes types and their conversion into the domain.
//!
//! [`crd`] are the custom resources as the API server stores them; [`convert`] turns them, and pod templates, into plain values.

pub mod cluster_view;
pub mod conditions;
pub mod convert;
pub mod crd;
#[cfg(feature = "controller")]
pub mod mirror;
pub mod node_claims;
