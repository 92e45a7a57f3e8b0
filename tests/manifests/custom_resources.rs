//! Objects of a running Karpenter pass through the types unchanged: every field that its CRDs know is there, texts stay as written.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use supercargo::adapters::kube::crd::{EC2NodeClass, NodeClaim, NodeOverlay, NodePool};

/// Asserts that an object of the data is the same after it was read into `T` and written again.
fn assert_round_trip<T: DeserializeOwned + Serialize>(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests/data/custom-resources").join(file);
    let text = std::fs::read_to_string(path).expect("the data is there");
    let given: Value = serde_json::from_str(&text).expect("the data is JSON");
    let object: T = serde_json::from_str(&text).unwrap_or_else(|problem| panic!("{file}: {problem}"));
    let written = serde_json::to_value(&object).expect("an object is JSON");
    assert_eq!(written, given, "{file}");
}

#[test]
fn a_node_pool_stays_as_it_is() {
    assert_round_trip::<NodePool>("node-pool.json");
    assert_round_trip::<NodePool>("static-node-pool.json");
}

#[test]
fn a_node_claim_stays_as_it_is() {
    assert_round_trip::<NodeClaim>("node-claim.json");
}

#[test]
fn an_ec2_node_class_stays_as_it_is() {
    assert_round_trip::<EC2NodeClass>("ec2-node-class.json");
}

#[test]
fn a_node_overlay_stays_as_it_is() {
    assert_round_trip::<NodeOverlay>("node-overlay.json");
}

/// The schema of a NodeClaim asks for neither.
#[test]
fn a_condition_of_a_node_claim_may_lack_reason_and_message() {
    let claim: NodeClaim = serde_json::from_value(serde_json::json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": { "name": "bare" },
        "spec": { "requirements": [], "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default" } },
        "status": { "conditions": [{ "type": "Launched", "status": "True", "lastTransitionTime": "2026-03-04T11:00:03Z" }] },
    }))
    .expect("a NodeClaim");
    let conditions = claim.status.and_then(|status| status.conditions).expect("conditions");
    assert_eq!((conditions[0].reason.as_str(), conditions[0].message.as_str()), ("", ""));
}
