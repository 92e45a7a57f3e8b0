//! Manifests in: files, folders and standard input to a [`ClusterView`](crate::domain::cluster::ClusterView).
//!
//! What `kubectl apply -f` takes and what `kubectl get -o yaml` prints is read alike: YAML or JSON, several documents, lists.
//! Workloads stand for their pods: a Deployment counts for as many pods as it has replicas, less those that the input holds
//! already. Kinds that say nothing about nodes are counted, not refused. Errors are collected and name file, object, field and
//! mend; there is no input that panics.
//!
//! `source` finds the files, `document` reads objects out of them, `untyped` types them; what they make together is the business of
//! [`cluster_view`](crate::adapters::kube::cluster_view).

mod document;
mod source;
mod untyped;

pub use crate::adapters::kube::cluster_view::{InputError, InputErrors, Loaded};
pub use source::Source;

use crate::adapters::kube::cluster_view::assemble::assemble;
use crate::adapters::kube::cluster_view::error::MAX_ERRORS;
use crate::adapters::kube::cluster_view::objects::Objects;

/// Reads everything in `sources`, in order.
///
/// # Errors
/// Everything that is wrong, up to 20 errors; never an empty list.
pub fn load(sources: &[Source]) -> Result<Loaded, InputErrors> {
    Ok(assemble(read(sources, Objects::default())?)?)
}

/// The objects in `sources` that nodes depend on, as they are, in order. Lists are taken apart; kinds that are not used are left out.
///
/// # Errors
/// As [`load`].
pub fn objects(sources: &[Source]) -> Result<Vec<serde_json::Value>, InputErrors> {
    let mut keeping = Objects::default();
    keeping.kept = Some(Vec::new());
    Ok(read(sources, keeping)?.kept.unwrap_or_default())
}

/// Reads everything in `sources` into `objects`.
fn read(sources: &[Source], mut objects: Objects) -> Result<Objects, InputErrors> {
    for source in sources {
        if objects.errors.len() >= MAX_ERRORS {
            break;
        }
        source::read(source, &mut objects);
    }
    objects.refuse_duplicates();
    if !objects.errors.is_empty() {
        objects.errors.truncate(MAX_ERRORS);
        return Err(InputErrors(objects.errors));
    }
    Ok(objects)
}
