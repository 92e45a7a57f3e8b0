//! Files: catalogs, manifests, commitments, and interruption bands.

pub mod catalog;
pub mod commitments;
pub mod interruption_bands;
pub mod manifests;
