//! Files: catalogs and manifests.

pub mod catalog;
pub mod manifests;
