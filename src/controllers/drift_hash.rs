//! The hash by which a NodePool or an EC2NodeClass and its NodeClaims are compared: a claim whose hash differs was made from a spec that
//! has changed since.
//!
//! The annotations are Karpenter's; the hash is not (its own follows the memory layout of Go structures), and so neither is the version
//! beside it. Two hashes of different versions are never compared: at a change of version the claims get the hash of what is in force,
//! as Karpenter does, so that moving from one to the other replaces no node.

use std::collections::BTreeMap;

use kube::core::ObjectMeta;
use serde_json::Value;

use crate::adapters::kube::conditions::Conditioned as _;
use crate::adapters::kube::crd::NodeClaim;
use crate::domain::stable_hash::fnv1a;

/// Says how hashes are made; every change of that needs another.
pub const VERSION: &str = "supercargo-v1";

/// The annotations of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashAnnotations {
    /// Holds the hash, in decimal.
    pub hash: &'static str,
    /// Holds the version.
    pub version: &'static str,
}

/// Those of NodePools.
pub const NODE_POOL: HashAnnotations =
    HashAnnotations { hash: "karpenter.sh/nodepool-hash", version: "karpenter.sh/nodepool-hash-version" };
/// Those of EC2NodeClasses.
pub const NODE_CLASS: HashAnnotations =
    HashAnnotations { hash: "karpenter.k8s.aws/ec2nodeclass-hash", version: "karpenter.k8s.aws/ec2nodeclass-hash-version" };

impl HashAnnotations {
    /// What the annotations of an object with this hash must become; `None` where they are that already.
    #[must_use]
    pub fn of_owner(self, metadata: &ObjectMeta, hash: &str) -> Option<BTreeMap<String, String>> {
        let current = |key: &str| metadata.annotations.as_ref().and_then(|all| all.get(key)).map(String::as_str);
        let same = current(self.hash) == Some(hash) && current(self.version) == Some(VERSION);
        (!same).then(|| self.written(Some(hash)))
    }

    /// What the annotations of a claim must become because their version is another; `None` where it is not. A claim that has drifted
    /// keeps its hash, lest a change of version makes it look new.
    #[must_use]
    pub fn of_claim(self, claim: &NodeClaim, hash: &str) -> Option<BTreeMap<String, String>> {
        let version = claim.metadata.annotations.as_ref().and_then(|all| all.get(self.version));
        let outdated = version.is_none_or(|version| version != VERSION);
        outdated.then(|| self.written((!claim.is_true("Drifted")).then_some(hash)))
    }

    fn written(self, hash: Option<&str>) -> BTreeMap<String, String> {
        let version = (self.version.to_owned(), VERSION.to_owned());
        [version].into_iter().chain(hash.map(|hash| (self.hash.to_owned(), hash.to_owned()))).collect()
    }
}

/// The hash of a document: the order of keys and of lists does not matter, nor does what is null or empty.
#[must_use]
pub fn hash(document: &Value) -> String {
    fnv1a(canonical(document).unwrap_or_default().bytes()).to_string()
}

/// The document in the one way in which it can be written; `None` for nothing.
fn canonical(document: &Value) -> Option<String> {
    match document {
        Value::Null => None,
        Value::Object(map) => {
            let sorted: BTreeMap<&String, String> =
                map.iter().filter_map(|(key, value)| Some((key, canonical(value)?))).collect();
            let entries: Vec<String> = sorted.iter().map(|(key, text)| format!("{}:{text}", Value::from(key.as_str()))).collect();
            (!entries.is_empty()).then(|| format!("{{{}}}", entries.join(",")))
        }
        Value::Array(list) => {
            let mut entries: Vec<String> = list.iter().filter_map(canonical).collect();
            entries.sort_unstable();
            (!entries.is_empty()).then(|| format!("[{}]", entries.join(",")))
        }
        Value::String(text) if text.is_empty() => None,
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(document.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_and_emptiness_do_not_matter_and_all_else_does() {
        let one = json!({"a": [1, {"x": "y", "z": true}], "b": null, "c": {}, "d": [], "e": ""});
        let two = json!({"a": [{"z": true, "x": "y"}, 1]});
        assert_eq!(hash(&one), hash(&two));
        assert_ne!(hash(&json!({"a": false})), hash(&json!({})));
        assert_ne!(hash(&json!({"a": "1"})), hash(&json!({"a": 1})));
        assert_ne!(hash(&json!({"a": "b"})), hash(&json!({"a": {"b": "c"}})));
        // Written to clusters: it may change together with the version alone.
        assert_eq!(hash(&json!({"a": 1})), hash_of_text(r#"{"a":1}"#));
    }

    fn hash_of_text(text: &str) -> String {
        fnv1a(text.bytes()).to_string()
    }

    fn claim(annotations: &Value, drifted: bool) -> NodeClaim {
        let condition = json!([{"type": "Drifted", "status": "True", "reason": "x", "message": "",
            "lastTransitionTime": "2025-01-31T12:00:00Z"}]);
        serde_json::from_value(json!({
            "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": {"name": "a", "annotations": annotations},
            "spec": {"requirements": [], "nodeClassRef": {"group": "g", "kind": "k", "name": "n"}},
            "status": {"conditions": if drifted { condition } else { json!([]) }}
        }))
        .expect("a NodeClaim")
    }

    #[test]
    fn claims_of_another_version_get_the_hash_in_force_unless_they_have_drifted() {
        let old = json!({"karpenter.sh/nodepool-hash": "1", "karpenter.sh/nodepool-hash-version": "v3"});
        let text = |map: BTreeMap<String, String>| map.into_values().collect::<Vec<_>>().join(" ");
        assert_eq!(NODE_POOL.of_claim(&claim(&old, false), "7").map(text).as_deref(), Some("7 supercargo-v1"));
        assert_eq!(NODE_POOL.of_claim(&claim(&old, true), "7").map(text).as_deref(), Some("supercargo-v1"));
        let new = json!({"karpenter.sh/nodepool-hash": "1", "karpenter.sh/nodepool-hash-version": VERSION});
        assert_eq!(NODE_POOL.of_claim(&claim(&new, false), "7"), None);
        assert_eq!(NODE_POOL.of_owner(&claim(&new, false).metadata, "1"), None);
        assert!(NODE_POOL.of_owner(&claim(&new, false).metadata, "2").is_some());
    }
}
