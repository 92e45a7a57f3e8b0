//! Files: catalogs, manifests, and interruption bands.

pub mod catalog;
pub mod interruption_bands;
pub mod manifests;
