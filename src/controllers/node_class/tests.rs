//! Statuses of EC2NodeClasses from what their selectors found, and what becomes of their profiles.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::status::{Findings, Progress, resolve};
use super::validation::objection;
use super::{hash, owned_tags, probe, stale_profiles, waiting};
use crate::adapters::aws::Problem;
use crate::adapters::aws::cloud::discovery::{
    CapacityReservation, DiscoveryError, Image, ManagedProfile, ProfileError, SecurityGroup, Subnet,
};
use crate::adapters::kube::conditions::Conditioned as _;
use crate::adapters::kube::crd::{EC2NodeClass, NodeClaim};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a second of our time")
}

/// A class whose spec has these fields, too.
fn class(spec: &Value) -> EC2NodeClass {
    let mut class = json!({
        "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass",
        "metadata": {"name": "default", "uid": "1f0c", "generation": 1, "creationTimestamp": "2025-01-31T12:00:00Z"},
        "spec": {
            "subnetSelectorTerms": [{"tags": {"a": "b"}}], "securityGroupSelectorTerms": [{"tags": {"a": "b"}}],
            "amiSelectorTerms": [{"alias": "al2023@latest"}], "role": "nodes"
        }
    });
    for (field, value) in spec.as_object().expect("a map") {
        class["spec"][field] = value.clone();
    }
    serde_json::from_value(class).expect("an EC2NodeClass")
}

fn image(id: &str, arch: &str, exists: Option<&str>) -> Image {
    let mut requirements = json!([{"key": "kubernetes.io/arch", "operator": "In", "values": [arch]}]);
    if let Some(key) = exists {
        requirements.as_array_mut().expect("a list").push(json!({"key": key, "operator": "Exists"}));
    }
    Image {
        id: id.to_owned(),
        name: Some("an image".to_owned()),
        created: "2025-01-31T12:00:00.000Z".to_owned(),
        deprecated: false,
        requirements: serde_json::from_value(requirements).expect("requirements"),
    }
}

fn found() -> Findings {
    let subnet = |id: &str| Subnet {
        id: id.to_owned(),
        zone: "eu-west-1a".to_owned(),
        zone_id: Some("euw1-az1".to_owned()),
        free_addresses: 10,
        public_addresses: false,
    };
    Findings {
        images: Ok(vec![image("ami-gpu", "amd64", Some("karpenter.k8s.aws/instance-gpu-count")), image("ami-1", "arm64", None)]),
        capacity_reservations: Ok(Vec::new()),
        placement_group: Ok(None),
        subnets: Ok(vec![subnet("subnet-2"), subnet("subnet-1")]),
        security_groups: Ok(vec![SecurityGroup { id: "sg-1".to_owned(), name: None }]),
        instance_profile: Ok("prod_1".to_owned()),
    }
}

fn failure(problem: Problem) -> DiscoveryError {
    DiscoveryError { region: "eu-west-1".to_owned(), action: "ec2:DescribeSubnets", problem, code: None, detail: "no".to_owned() }
}

/// Status, reason and message of a condition.
fn said(progress: &Progress, name: &str) -> (String, String, String) {
    let found = progress.conditions.get(name).expect("the condition is there");
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

fn run(class: &EC2NodeClass, findings: &Findings) -> Progress {
    resolve(class, findings, "1.33", at(100))
}

#[test]
fn what_was_found_is_listed_and_the_class_waits_for_its_validation() {
    let progress = run(&class(&json!({})), &found());
    let status = &progress.status;
    let subnets: Vec<&str> = status.subnets.iter().flatten().map(|subnet| subnet.id.as_str()).collect();
    assert_eq!(subnets, ["subnet-2", "subnet-1"]);
    assert_eq!(status.amis.as_ref().map(Vec::len), Some(2));
    assert_eq!(status.instance_profile.as_deref(), Some("prod_1"));
    assert_eq!(said(&progress, "Ready").2, "ValidationSucceeded=Unknown");
    assert_eq!(progress.look_again, Duration::from_mins(1));
    let mut valid = progress.clone();
    valid.conditions.set_true("ValidationSucceeded", at(100));
    assert_eq!(said(&valid, "Ready").0, "True");
    // The same findings once more change nothing.
    let mut again = class(&json!({}));
    again.status = Some(valid.clone().finished());
    let mut second = resolve(&again, &found(), "1.33", at(200));
    second.conditions.set_true("ValidationSucceeded", at(200));
    assert_eq!(second.finished(), valid.finished());
}

#[test]
fn what_was_not_found_has_karpenters_reason() {
    let mut nothing = found();
    nothing.images = Ok(Vec::new());
    nothing.subnets = Ok(Vec::new());
    nothing.security_groups = Ok(Vec::new());
    nothing.instance_profile = Err(ProfileError::RoleNotFound("nodes".to_owned()));
    let mut before = class(&json!({"placementGroupSelector": {"name": "rack"}}));
    before.status = Some(run(&before, &found()).finished());
    let progress = run(&before, &nothing);
    for (name, reason) in [
        ("AMIsReady", "AMINotFound"),
        ("SubnetsReady", "SubnetsNotFound"),
        ("SecurityGroupsReady", "SecurityGroupsNotFound"),
        ("PlacementGroupReady", "PlacementGroupNotFound"),
        ("InstanceProfileReady", "RoleNotFound"),
    ] {
        let (status, found, _) = said(&progress, name);
        assert_eq!((status.as_str(), found.as_str()), ("False", reason), "{name}");
    }
    assert_eq!((&progress.status.amis, &progress.status.subnets), (&None, &None));
    assert_eq!(said(&progress, "Ready").1, "UnhealthyDependents");
    let old = run(&class(&json!({"amiSelectorTerms": [{"alias": "al2@latest"}]})), &found());
    assert_eq!(said(&old, "AMIsReady").1, "UnsupportedAlias");
}

#[test]
fn a_cloud_that_does_not_answer_takes_back_nothing_that_is_known() {
    let mut silent = found();
    silent.subnets = Err(failure(Problem::TimedOut));
    let fresh = run(&class(&json!({})), &silent);
    let (status, reason, message) = said(&fresh, "SubnetsReady");
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "DiscoveryFailed"));
    assert!(message.contains("ec2:DescribeSubnets"), "{message}");
    assert_eq!(fresh.look_again, Duration::from_secs(10));

    let mut known = class(&json!({}));
    known.status = Some(run(&known, &found()).finished());
    let later = run(&known, &silent);
    assert_eq!(said(&later, "SubnetsReady").0, "True");
    assert_eq!(later.status.subnets.as_ref().map(Vec::len), Some(2));
    // What was known of another spec does not count.
    known.metadata.generation = Some(2);
    assert_eq!(said(&run(&known, &silent), "SubnetsReady").0, "Unknown");
}

#[test]
fn a_capacity_block_closes_forty_minutes_before_it_ends() {
    let reservation = |kind: &str, end: i64| CapacityReservation {
        id: format!("cr-{end}"),
        zone: "eu-west-1a".to_owned(),
        instance_type: "p5.48xlarge".to_owned(),
        owner: "123456789012".to_owned(),
        match_criteria: "targeted".to_owned(),
        reservation_type: kind.to_owned(),
        interruptible: false,
        end: Some(at(end)),
        free: 1,
    };
    let mut findings = found();
    let block = "capacity-block";
    findings.capacity_reservations =
        Ok(vec![reservation(block, 100 + 2400), reservation(block, 100 + 2430), reservation("default", 100 + 60 * 60)]);
    let progress = run(&class(&json!({})), &findings);
    let states: Vec<Option<&str>> =
        progress.status.capacity_reservations.iter().flatten().map(|reservation| reservation.state.as_deref()).collect();
    assert_eq!(states, [Some("expiring"), Some("active"), Some("active")]);
    assert_eq!(progress.look_again, Duration::from_secs(30));
    assert_eq!(said(&progress, "CapacityReservationsReady").0, "True");
}

/// The reason of the first objection to a class of which everything was found.
fn refused(spec: &Value, service_cidr: Option<&str>) -> Option<(String, String)> {
    let class = class(spec);
    let found = objection(&class, service_cidr, &run(&class, &found()).conditions)?;
    Some((found.reason.to_owned(), found.message))
}

#[test]
fn validation_names_reason_and_field() {
    let cidr = Some("10.100.0.0/16");
    assert_eq!(refused(&json!({}), cidr), None);
    let size = "x".repeat(16_385);
    for (spec, service_cidr, reason, text) in [
        (json!({}), None, "ClusterCIDRResolutionFailed", "eks:DescribeCluster"),
        (json!({"amiFamily": "Ubuntu"}), cidr, "InvalidSpec", "spec.amiFamily"),
        (json!({"kubelet": {"maxpods": 1}}), cidr, "InvalidKubeletConfiguration", "spec.kubelet.maxpods"),
        (json!({"kubelet": {"maxPods": "cpu * 2"}}), cidr, "KubeletExpressionsDisabled", "spec.kubelet.maxPods"),
        (json!({"placementGroupSelector": {"name": "rack"}}), cidr, "DependenciesNotReady", "PlacementGroupReady"),
        (json!({"tags": {"karpenter.sh/nodepool": "x"}}), cidr, "TagValidationFailed", r#"spec.tags["karpenter.sh/nodepool"]"#),
        (json!({"tags": {"kubernetes.io/cluster/x": "owned"}}), cidr, "TagValidationFailed", "kubernetes.io/cluster/x"),
        (json!({"userData": size}), cidr, "UserDataSizeLimitExceeded", "spec.userData"),
    ] {
        let (found, message) = refused(&spec, service_cidr).expect("it is refused");
        assert_eq!(found, reason, "{message}");
        assert!(message.contains(text), "{message}");
    }
    // Only AL2023 needs the addresses of Services.
    assert_eq!(refused(&json!({"amiSelectorTerms": [{"alias": "bottlerocket@latest"}]}), None), None);
    let unknown = class(&json!({}));
    let conditions = unknown.conditions(at(100));
    let found = objection(&unknown, cidr, &conditions).expect("nothing was found yet");
    assert_eq!((found.reason, found.status.as_str()), ("DependenciesNotReady", "Unknown"));
}

#[test]
fn the_hash_is_of_what_nodes_are_made_from() {
    let base = class(&json!({}));
    let same = |spec: &Value| hash(&class(spec), "ca") == hash(&base, "ca");
    assert!(same(&json!({"subnetSelectorTerms": [], "ipPrefixCount": 1, "amiSelectorTerms": [{"alias": "al2023@v1"}]})));
    assert!(same(&json!({"amiFamily": "AL2023", "amiSelectorTerms": [{"id": "ami-1"}]})));
    for other in [
        json!({"amiFamily": "Custom"}),
        json!({"userData": "x"}),
        json!({"kubelet": {"maxPods": 1}}),
        json!({"associatePublicIPAddress": false}),
        json!({"tags": {"a": "b"}}),
        json!({"role": "others"}),
    ] {
        assert!(!same(&other), "{other}");
    }
    assert_ne!(hash(&base, "ca"), hash(&base, "other"));
    // A fault elsewhere leaves the family as it is.
    let kubelet = |eviction: &str| class(&json!({"kubelet": {"evictionHard": {"memory.available": eviction}}}));
    let family_of_broken = |class: &EC2NodeClass| {
        let mut bare = class.clone();
        bare.spec.kubelet = None;
        hash(&bare, "ca")
    };
    assert_eq!(family_of_broken(&kubelet("?")), hash(&base, "ca"));
}

#[test]
fn a_launch_of_the_image_for_most_nodes_is_asked_about() {
    let class = class(&json!({"tags": {"team": "a"}}));
    let probe = probe(&class, &run(&class, &found()).status, "prod").expect("everything was found");
    assert_eq!((probe.image_id.as_str(), probe.instance_type.as_str()), ("ami-1", "m6g.large"));
    assert_eq!(probe.subnet_ids, ["subnet-2", "subnet-1"]);
    let tags: Vec<&str> = probe.tags.keys().map(String::as_str).collect();
    assert_eq!(
        tags,
        ["eks:eks-cluster-name", "karpenter.k8s.aws/ec2nodeclass", "karpenter.sh/nodepool", "kubernetes.io/cluster/prod", "team"]
    );
    let stolen = super::tests::class(&json!({"tags": {"eks:eks-cluster-name": "other"}}));
    assert_eq!(owned_tags(&stolen, "prod").get("eks:eks-cluster-name").map(String::as_str), Some("prod"));
}

fn claim(name: &str, profile: Option<&str>) -> Arc<NodeClaim> {
    let annotations: BTreeMap<&str, &str> =
        profile.map(|profile| (super::INSTANCE_PROFILE_ANNOTATION, profile)).into_iter().collect();
    let claim = json!({"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": {"name": name, "annotations": annotations},
        "spec": {"requirements": [], "nodeClassRef": {"group": "g", "kind": "k", "name": "default"}}});
    Arc::new(serde_json::from_value(claim).expect("a NodeClaim"))
}

#[test]
fn profiles_go_when_nobody_uses_them() {
    let profile = |name: &str, created: i64| ManagedProfile {
        name: name.to_owned(),
        node_class_uid: "1f0c".to_owned(),
        created: Some(at(created)),
    };
    let profiles = [profile("prod_1", 0), profile("prod_2", 0), profile("prod_3", 0), profile("prod_4", 6000)];
    let mut with_status = class(&json!({}));
    with_status.status = Some(run(&with_status, &found()).finished());
    let classes = [Arc::new(with_status)];
    let stale = |claims: &[Arc<NodeClaim>]| stale_profiles(&profiles, &classes, claims, at(7200));
    assert_eq!(stale(&[claim("a", Some("prod_2"))]), ["prod_3"]);
    assert_eq!(stale(&[claim("a", Some("prod_2")), claim("b", None)]), [""; 0]);
}

#[test]
fn an_event_names_the_claims_that_keep_a_class() {
    let claims: Vec<Arc<NodeClaim>> = (0..12).rev().map(|number| claim(&format!("c-{number:02}"), None)).collect();
    assert_eq!(waiting(&claims[10..]), "NodeClaims still use it: c-00, c-01; it goes when they are gone");
    assert!(waiting(&claims).ends_with("c-09 and 2 more; it goes when they are gone"));
}
