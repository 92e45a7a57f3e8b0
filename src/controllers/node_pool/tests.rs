//! Statuses of NodePools from their class, their nodes and what became of launches.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::status::{Usage, resolve, starts_anew};
use super::{NODE_REGISTRATION_HEALTHY, RegistrationHealth, RegistrationHealths, RegistrationOutcome, hash};
use crate::adapters::kube::conditions::Conditioned as _;
use crate::adapters::kube::crd::{EC2NodeClass, NodePool, NodePoolStatus};
use crate::domain::resources::Resources;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a second of our time")
}

fn pool(requirements: &Value) -> NodePool {
    serde_json::from_value(json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodePool",
        "metadata": {"name": "general", "generation": 2, "creationTimestamp": "2025-01-31T12:00:00Z"},
        "spec": {"template": {"spec": {
            "requirements": requirements,
            "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}
        }}}
    }))
    .expect("a NodePool")
}

fn class(ready: &Value, observed: i64, deleted: bool) -> EC2NodeClass {
    let mut class = json!({
        "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": "default", "generation": 3},
        "spec": {"subnetSelectorTerms": [], "securityGroupSelectorTerms": [], "amiSelectorTerms": []},
        "status": {"conditions": [{"type": "Ready", "lastTransitionTime": "2025-01-31T12:00:00Z", "observedGeneration": observed,
            "status": ready["status"], "reason": ready["reason"], "message": ready["message"]}]}
    });
    if deleted {
        class["metadata"]["deletionTimestamp"] = json!("2025-01-31T12:00:00Z");
    }
    serde_json::from_value(class).expect("an EC2NodeClass")
}

fn ready() -> Value {
    json!({"status": "True", "reason": "Ready", "message": ""})
}

/// Status, reason and message of a condition.
fn said(status: &NodePoolStatus, name: &str) -> (String, String, String) {
    let all = status.conditions.as_deref().unwrap_or_default();
    let found = all.iter().find(|condition| condition.type_ == name).expect("the condition is there");
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

fn status(pool: &NodePool, class: Option<&EC2NodeClass>) -> NodePoolStatus {
    resolve(pool, class, None, &RegistrationHealth::default(), at(100))
}

#[test]
fn a_pool_is_ready_when_its_class_is() {
    let made = status(&pool(&json!([])), Some(&class(&ready(), 3, false)));
    assert_eq!(said(&made, "Ready").0, "True");
    assert_eq!(made.node_class_observed_generation, Some(3));
    assert_eq!((made.nodes, made.resources), (None, None));
}

#[test]
fn a_class_that_is_not_ready_has_its_reason() {
    let false_ready = json!({"status": "False", "reason": "UnhealthyDependents", "message": "AMIsReady=False"});
    let unknown = json!({"status": "Unknown", "reason": "ReconcilingDependents", "message": ""});
    for (class, reason) in [
        (None, "NodeClassNotFound"),
        (Some(class(&ready(), 3, true)), "NodeClassTerminating"),
        (Some(class(&ready(), 2, false)), "NodeClassReadinessUnknown"),
        (Some(class(&unknown, 3, false)), "NodeClassReadinessUnknown"),
        (Some(class(&false_ready, 3, false)), "UnhealthyDependents"),
    ] {
        let made = status(&pool(&json!([])), class.as_ref());
        let (word, found, message) = said(&made, "NodeClassReady");
        assert_eq!((word.as_str(), found.as_str()), ("False", reason));
        assert!(message.contains("`default`"), "{message}");
        assert_eq!(said(&made, "Ready").0, "False");
    }
}

#[test]
fn what_cannot_be_meant_is_said_with_its_field() {
    let wrong = pool(&json!([{"key": "kubernetes.io/hostname", "operator": "Exists"}]));
    let (word, reason, message) = said(&status(&wrong, Some(&class(&ready(), 3, false))), "ValidationSucceeded");
    assert_eq!((word.as_str(), reason.as_str()), ("False", "NodePoolValidationFailed"));
    assert!(message.starts_with("spec.template.spec.requirements[0].key: "), "{message}");
}

#[test]
fn nodes_are_summed_up_and_what_was_there_stays_as_zero() {
    let mut pool = pool(&json!([]));
    let nodes = [
        Resources::new().with("cpu", 1930).with("memory", 3 << 30).with("nvidia.com/gpu", 1),
        Resources::new().with("cpu", 4000).with("memory", 5 << 20).with("pods", 58),
    ];
    let text = |status: &NodePoolStatus| json!(status.resources);
    let class = class(&ready(), 3, false);
    let some = resolve(&pool, Some(&class), Some(&Usage::of(&nodes)), &RegistrationHealth::default(), at(100));
    assert_eq!(
        text(&some),
        json!({"cpu": "5930m", "memory": "3077Mi", "nvidia.com/gpu": "1", "pods": "58", "ephemeral-storage": "0", "nodes": "2"})
    );
    assert_eq!(some.nodes, Some(2));
    pool.status = Some(some);
    let none = resolve(&pool, Some(&class), Some(&Usage::default()), &RegistrationHealth::default(), at(100));
    assert_eq!(
        text(&none),
        json!({"cpu": "0", "memory": "0", "nvidia.com/gpu": "0", "pods": "0", "ephemeral-storage": "0", "nodes": "0"})
    );
    // Nothing else happened, so that nothing is written.
    pool.status = Some(none.clone());
    assert_eq!(resolve(&pool, Some(&class), Some(&Usage::default()), &RegistrationHealth::default(), at(200)), none);
}

fn failed(reason: &str) -> RegistrationOutcome {
    RegistrationOutcome::Failed { reason: reason.to_owned(), message: "no node".to_owned() }
}

/// What the condition says after these outcomes.
fn health_after(outcomes: &[RegistrationOutcome]) -> (String, String) {
    let pool = pool(&json!([]));
    let mut health = RegistrationHealth::default();
    outcomes.iter().cloned().for_each(|outcome| health.record(outcome));
    let mut conditions = pool.conditions(at(100));
    health.write(&mut conditions, at(100));
    conditions
        .get(NODE_REGISTRATION_HEALTHY)
        .map_or_else(Default::default, |condition| (condition.status.clone(), condition.reason.clone()))
}

#[test]
fn two_failures_of_the_last_four_are_too_many() {
    let good = || RegistrationOutcome::Registered;
    let words = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
    assert_eq!(health_after(&[]), words("", ""));
    assert_eq!(health_after(&[failed("a")]), words("", ""));
    assert_eq!(health_after(&[good(), failed("a")]), words("True", NODE_REGISTRATION_HEALTHY));
    assert_eq!(health_after(&[failed("a"), failed("b")]), words("False", "b"));
    assert_eq!(health_after(&[failed("a"), failed("b"), good(), good()]), words("False", "b"));
    assert_eq!(health_after(&[failed("a"), failed("b"), good(), good(), good()]), words("True", NODE_REGISTRATION_HEALTHY));
}

#[test]
fn a_change_of_pool_or_class_begins_anew_and_a_restart_does_not() {
    let class = class(&ready(), 3, false);
    let mut pool = pool(&json!([]));
    assert!(starts_anew(&pool, Some(&class)));
    pool.status = Some(status(&pool, Some(&class)));
    assert_eq!(said(pool.status.as_ref().expect("it was set"), NODE_REGISTRATION_HEALTHY).0, "Unknown");
    assert!(!starts_anew(&pool, Some(&class)));

    let healths = RegistrationHealths::default();
    healths.record("uid", RegistrationOutcome::Registered);
    let health = healths.of("uid", &pool.conditions(at(100)));
    pool.status = Some(resolve(&pool, Some(&class), None, &health, at(100)));
    assert_eq!(said(pool.status.as_ref().expect("it was set"), NODE_REGISTRATION_HEALTHY).0, "True");
    // Another program knows it from the condition.
    assert_eq!(RegistrationHealths::default().of("uid", &pool.conditions(at(200))), health);

    let mut other = class;
    other.metadata.generation = Some(4);
    assert!(starts_anew(&pool, Some(&other)));
    healths.reset("uid");
    assert_eq!(healths.of("uid", &pool.conditions(at(200))), RegistrationHealth::default());
    pool.metadata.generation = Some(3);
    assert!(starts_anew(&pool, None));
}

#[test]
fn the_hash_is_of_the_template_without_its_requirements() {
    let one = pool(&json!([]));
    let other = pool(&json!([{"key": "kubernetes.io/arch", "operator": "Exists"}]));
    assert_eq!(hash(&one), hash(&other));
    let mut changed = one.clone();
    changed.spec.weight = Some(5);
    assert_eq!(hash(&one), hash(&changed));
    changed.spec.template.spec.expire_after = Some("24h".to_owned());
    assert_ne!(hash(&one), hash(&changed));
}
