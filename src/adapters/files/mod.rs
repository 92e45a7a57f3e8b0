//! Files: manifests and catalogs.

pub mod manifests;
