//! Files: manifests and catalogs.
