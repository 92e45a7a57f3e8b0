//! Files: catalogs, manifests, commitments, interruption bands, and what nodes reported.

pub mod catalog;
pub mod commitments;
pub mod discovered_memory;
mod durable;
pub mod interruption_bands;
pub mod manifests;
