//! Files: catalogs, manifests and commitments.

pub mod catalog;
pub mod commitments;
pub mod manifests;
