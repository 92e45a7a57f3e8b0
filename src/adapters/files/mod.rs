//! Files: catalogs, manifests, commitments, and what nodes reported.

pub mod catalog;
pub mod commitments;
pub mod discovered_memory;
mod durable;
pub mod manifests;
