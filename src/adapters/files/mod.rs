//! Files: manifests and catalogs.

pub mod catalog;
