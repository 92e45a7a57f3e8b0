//! Files: catalogs, manifests, and what nodes reported.

pub mod catalog;
pub mod discovered_memory;
mod durable;
pub mod manifests;
