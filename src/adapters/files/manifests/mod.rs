//! Manifests in: files, folders and standard input to a [`ClusterView`].
//!
//! What `kubectl apply -f` takes and what `kubectl get -o yaml` prints is read alike: YAML or JSON, several documents, lists.
//! Workloads stand for their pods: a Deployment counts for as many pods as it has replicas, less those that the input holds
//! already. Kinds that say nothing about nodes are counted, not refused. Errors are collected and name file, object, field and
//! mend; there is no input that panics.
//!
//! `source` finds the files, `document` reads objects out of them, `object` types them, `workload` turns them into pods,
//! `assemble` puts the cluster together.

mod assemble;
mod document;
mod error;
mod object;
mod source;
mod storage;
mod workload;

use std::collections::BTreeMap;

pub use error::{InputError, InputErrors};
pub use source::Source;

use crate::adapters::kube::convert::node::MemoryReading;
use crate::domain::cluster::ClusterView;

/// What the input says.
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

/// Reads everything in `sources`, in order.
///
/// # Errors
/// Everything that is wrong, up to 20 errors; never an empty list.
pub fn load(sources: &[Source]) -> Result<Loaded, InputErrors> {
    let mut objects = object::Objects::default();
    for source in sources {
        if objects.errors.len() >= error::MAX_ERRORS {
            break;
        }
        source::read(source, &mut objects);
    }
    objects.refuse_duplicates();
    if !objects.errors.is_empty() {
        objects.errors.truncate(error::MAX_ERRORS);
        return Err(InputErrors(objects.errors));
    }
    Ok(assemble::assemble(objects)?)
}
