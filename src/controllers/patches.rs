//! Changes of objects in the API server, made only where something changes.

use std::collections::BTreeMap;
use std::fmt::Debug;

use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// A change that the API server did not take.
#[derive(Debug, thiserror::Error)]
#[error("{object}: cannot change its {part}: {source}")]
pub struct PatchError {
    /// Kind and name.
    pub object: String,
    /// `status`, `finalizers`, `annotations`.
    pub part: &'static str,
    /// What it said.
    pub source: kube::Error,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written<K> {
    /// The object as it is now.
    Done(K),
    /// Somebody else changed the object first: it is looked at again.
    Outdated,
    /// The object is gone.
    Gone,
}

/// Changes part of the metadata; the object must still be as it was read.
///
/// # Errors
/// When the API server refuses, for another reason than that the object has changed or is gone.
pub async fn metadata<K>(api: &Api<K>, object: &K, part: &'static str, change: Value) -> Result<Written<K>, PatchError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let mut metadata = json!({"resourceVersion": object.resource_version()});
    metadata[part] = change;
    let patch = json!({"metadata": metadata});
    outcome(object, part, api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await)
}

/// Adds annotations, whatever else happened to the object meanwhile.
///
/// # Errors
/// When the API server refuses, for another reason than that the object is gone.
pub async fn annotate<K>(api: &Api<K>, object: &K, added: &BTreeMap<String, String>) -> Result<Written<K>, PatchError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let patch = json!({"metadata": {"annotations": added}});
    outcome(object, "annotations", api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await)
}

/// Changes the status from `old` to `new`; asks nothing of the API server where they are the same.
///
/// # Errors
/// When the API server refuses, for another reason than that the object has changed or is gone.
pub async fn status<K, S>(api: &Api<K>, object: &K, old: Option<&S>, new: &S) -> Result<Written<K>, PatchError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    S: Serialize + PartialEq,
{
    if old == Some(new) {
        return Ok(Written::Done(object.clone()));
    }
    let change = status_change(old, new);
    let patch = json!({"metadata": {"resourceVersion": object.resource_version()}, "status": change});
    outcome(object, "status", api.patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await)
}

/// The new status as a merge patch: what it no longer has is taken out by `null`.
fn status_change<S: Serialize>(old: Option<&S>, new: &S) -> Map<String, Value> {
    let fields = |status: &S| match serde_json::to_value(status) {
        Ok(Value::Object(map)) => map,
        other => panic!("a status is a map with text keys, which JSON can hold: {other:?}"),
    };
    let mut change = fields(new);
    for (key, value) in old.map(fields).unwrap_or_default() {
        match (change.get_mut(&key), value) {
            (None, _) => {
                change.insert(key, Value::Null);
            }
            // One level deeper are maps of quantities, whose keys come and go.
            (Some(Value::Object(now)), Value::Object(before)) => {
                for gone in before.keys().filter(|gone| !now.contains_key(*gone)).cloned().collect::<Vec<_>>() {
                    now.insert(gone, Value::Null);
                }
            }
            _ => {}
        }
    }
    change
}

fn outcome<K>(object: &K, part: &'static str, answer: Result<K, kube::Error>) -> Result<Written<K>, PatchError>
where
    K: Resource<DynamicType = ()>,
{
    match answer {
        Ok(now) => Ok(Written::Done(now)),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Written::Outdated),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Written::Gone),
        Err(source) => Err(PatchError { object: format!("{} {}", K::kind(&()), object.name_any()), part, source }),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

    use super::*;
    use crate::adapters::kube::crd::NodePoolStatus;

    #[test]
    fn what_a_status_no_longer_has_is_taken_out() {
        let resources = |names: &[&str]| Some(names.iter().map(|name| ((*name).to_owned(), Quantity("1".to_owned()))).collect());
        let old = NodePoolStatus { nodes: Some(1), resources: resources(&["a", "b"]), ..NodePoolStatus::default() };
        let new = NodePoolStatus { resources: resources(&["b", "c"]), ..NodePoolStatus::default() };
        let change = Value::Object(status_change(Some(&old), &new));
        assert_eq!(change, json!({"nodes": null, "resources": {"a": null, "b": "1", "c": "1"}}));
        assert_eq!(Value::Object(status_change(None, &new)), json!({"resources": {"b": "1", "c": "1"}}));
    }
}
