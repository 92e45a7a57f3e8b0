//! Kubernetes objects, of files or of a live cluster, as one [`ClusterView`].
//!
//! `objects` keeps of each object what planning needs, `workload` says who owns whom, `storage` follows claims to volumes, and
//! `assemble` puts the cluster together.

pub(in crate::adapters) mod assemble;
pub(in crate::adapters) mod error;
#[cfg(feature = "controller")]
mod live;
pub(in crate::adapters) mod objects;
mod storage;
pub(in crate::adapters) mod workload;

use std::collections::BTreeMap;

pub use error::{InputError, InputErrors};
#[cfg(feature = "controller")]
pub use live::{LiveObjects, LivePod};

use crate::adapters::kube::convert::node::MemoryReading;
use crate::domain::cluster::ClusterView;

/// What the objects say.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The cluster to plan for.
    pub cluster: ClusterView,
    /// Objects of kinds that are not used, by kind.
    pub ignored: BTreeMap<String, usize>,
    /// What was assumed or left out, one sentence each, for the user to read.
    pub notices: Vec<String>,
    /// What the Nodes say about their memory.
    pub memory_readings: Vec<MemoryReading>,
}
