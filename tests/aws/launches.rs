//! Launching, listing and ending instances in the fake EC2: what is bought, under which names, and that nothing is bought twice.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ec2::types::Filter;
use serde_json::json;
use supercargo::adapters::aws::cloud::{Cloud, ClusterFacts, FailedOffering, LaunchFailure, LaunchOffer, LaunchRequest};
use supercargo::adapters::kube::crd::{EC2NodeClass, NodeClaim};
use supercargo::domain::catalog::CapacityType;
use supercargo::domain::catalog::unavailable::Scope;
use supercargo::domain::money::UsdPerHour;
use supercargo::domain::requirement::Requirements;

use crate::alone::access;
use crate::fake::Account;

const REGION: &str = "us-east-1";

/// The cloud of a test, and what its nodes are made of.
struct Stage {
    account: Account,
    cloud: Cloud,
    /// Asks EC2 what the cloud does not.
    ec2: aws_sdk_ec2::Client,
    facts: ClusterFacts,
    class: EC2NodeClass,
}

/// Runs `body` in the process of the test `name` of this module.
fn alone<F: Future<Output = ()>>(name: &str, body: impl FnOnce(Stage) -> F) {
    crate::alone::alone("launches", name, |account, _| async { body(stage(account).await).await });
}

async fn stage(account: Account) -> Stage {
    let cloud = Cloud::open(&access(&account), REGION).await.expect("there are credentials");
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).region(REGION).endpoint_url(account.endpoint());
    let ec2 = aws_sdk_ec2::Client::new(&config.load().await);
    let subnets = ec2.describe_subnets().send().await.expect("moto has a default VPC");
    let subnets: Vec<_> = subnets
        .subnets()
        .iter()
        .map(|subnet| json!({"id": subnet.subnet_id(), "zone": subnet.availability_zone(), "zoneID": subnet.availability_zone_id()}))
        .collect();
    let groups = ec2.describe_security_groups().send().await.expect("moto has a default group");
    let group = groups.security_groups()[0].group_id().expect("it has an id").to_owned();
    let images = ec2.describe_images().filters(Filter::builder().name("architecture").values("x86_64").build()).send().await;
    let image = images.expect("moto has images").images()[0].image_id().expect("it has an id").to_owned();
    let class = json!({
        "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": "default", "generation": 1},
        "spec": {"subnetSelectorTerms": [], "securityGroupSelectorTerms": [], "amiSelectorTerms": [{"alias": "al2023@latest"}],
            "tags": {"team": "web"}},
        "status": {
            "instanceProfile": "profile", "securityGroups": [{"id": group}], "subnets": subnets,
            "amis": [{"id": image, "requirements": []}],
            "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1,
                "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    let facts = ClusterFacts {
        name: "demo".to_owned(),
        endpoint: "https://example.eks.amazonaws.com".to_owned(),
        ca_bundle: "Y2E=".to_owned(),
        service_cidr: Some("172.20.0.0/16".to_owned()),
        dns_ip: Some("172.20.0.10".parse().expect("an address")),
        kubernetes_version: "1.36".to_owned(),
    };
    let class = serde_json::from_value(class).expect("the class of this test is one");
    Stage { account, cloud, ec2, facts, class }
}

fn claim(name: &str) -> NodeClaim {
    serde_json::from_value(json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
        "metadata": {"name": name, "uid": format!("uid-of-{name}"), "labels": {"karpenter.sh/nodepool": "general"}},
        "spec": {"requirements": [], "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}}}))
    .expect("the claim of this test is one")
}

/// The type in a zone; one whose name ends in `xlarge` holds more pods.
fn offer(instance_type: &str, zone: &str) -> LaunchOffer {
    LaunchOffer {
        instance_type: instance_type.to_owned(),
        zone: zone.to_owned(),
        price: UsdPerHour::from_micros(96_000),
        requirements: Requirements::new(),
        max_pods: if instance_type.ends_with("xlarge") { 58 } else { 29 },
        efa_interfaces: 0,
    }
}

fn request<'a>(stage: &'a Stage, claim: &'a NodeClaim, capacity_type: CapacityType) -> LaunchRequest<'a> {
    let offers = ["m5.large", "c5.large", "m5.xlarge"].map(|name| offer(name, "us-east-1a"));
    let class = &stage.class;
    LaunchRequest { claim, class, capacity_type, offers: offers.to_vec(), dedicated: false, reservation: None, attempt: 0 }
}

/// Names of the launch templates in EC2.
async fn templates(stage: &Stage) -> Vec<String> {
    let found = stage.ec2.describe_launch_templates().send().await.expect("it answers");
    found.launch_templates().iter().filter_map(|template| template.launch_template_name().map(str::to_owned)).collect()
}

#[test]
fn an_instance_is_bought_once_and_found_again() {
    alone("an_instance_is_bought_once_and_found_again", |stage| async move {
        let claim = claim("general-1");
        let request = request(&stage, &claim, CapacityType::Spot);
        let launched = stage.cloud.launch(&request, &stage.facts).await.expect("EC2 has everything");
        assert_eq!((launched.instance_type.as_str(), launched.zone.as_str()), ("c5.large", "us-east-1a"));
        assert_eq!(launched.zone_id.as_deref(), Some("use1-az6"));
        assert_eq!(launched.instance_profile, "profile");
        assert_eq!(launched.failed, []);

        // The same attempt in another run of the program buys nothing.
        let restarted = Cloud::open(&access(&stage.account), REGION).await.expect("there are credentials");
        assert_eq!(restarted.launch(&request, &stage.facts).await.as_ref(), Ok(&launched));
        let mut changed = request.clone();
        changed.offers.truncate(1);
        let failure = restarted.launch(&changed, &stage.facts).await.expect_err("the token was used for something else");
        assert!(matches!(failure, LaunchFailure::Retry { maybe_launched: true, .. }), "{failure:?}");

        let owned = restarted.list_owned("demo").await.expect("EC2 answers");
        assert_eq!(owned.len(), 1);
        let instance = &owned[0];
        assert_eq!((&instance.id, &instance.image_id), (&launched.instance_id, &launched.image_id));
        assert_eq!(instance.provider_id, format!("aws:///us-east-1a/{}", instance.id));
        assert_eq!((instance.capacity_type, instance.state.as_str()), (CapacityType::Spot, "running"));
        assert_eq!((instance.claim_name(), instance.claim_uid()), (Some("general-1"), Some("uid-of-general-1")));
        let tags = ["team", "karpenter.sh/nodepool", "karpenter.k8s.aws/ec2nodeclass", "kubernetes.io/cluster/demo"];
        let tags: Vec<Option<&str>> = tags.map(|key| instance.tags.get(key).map(String::as_str)).to_vec();
        assert_eq!(tags, [Some("web"), Some("general"), Some("default"), Some("owned")]);
        assert_eq!(restarted.find_by_claim("uid-of-general-1").await.as_deref(), Ok(&owned[..]));
        assert_eq!(restarted.find_by_claim("uid-of-general-2").await.as_deref(), Ok(&[][..]));
        assert_eq!(restarted.list_owned("other").await.as_deref(), Ok(&[][..]));
    });
}

#[test]
fn instances_are_described_tagged_and_ended_together() {
    alone("instances_are_described_tagged_and_ended_together", |stage| async move {
        let claims = ["a", "b", "c"].map(claim);
        let mut ids = Vec::new();
        for claim in &claims {
            let request = request(&stage, claim, CapacityType::OnDemand);
            ids.push(stage.cloud.launch(&request, &stage.facts).await.expect("EC2 has everything").instance_id);
        }
        let unknown = "i-00000000000000000";
        let tags = BTreeMap::from([("Name".to_owned(), "node-a".to_owned())]);
        stage.cloud.tag(&ids[0], &tags).await.expect("it exists");
        let before = stage.account.count("DescribeInstances");
        let (a, b, none) = tokio::join!(stage.cloud.get(&ids[0]), stage.cloud.get(&ids[1]), stage.cloud.get(unknown));
        assert_eq!(stage.account.count("DescribeInstances") - before, 1);
        let a = a.expect("EC2 answers").expect("it exists");
        assert_eq!((a.capacity_type, a.tags.get("Name").map(String::as_str)), (CapacityType::OnDemand, Some("node-a")));
        assert_eq!(b.expect("EC2 answers").expect("it exists").id, ids[1]);
        assert_eq!(none, Ok(None));

        // One call for both; where one is not there, one for each.
        let (a, b) = tokio::join!(stage.cloud.terminate(&ids[0]), stage.cloud.terminate(&ids[1]));
        assert_eq!((a, b, stage.account.count("TerminateInstances")), (Ok(true), Ok(true), 1));
        let (c, none) = tokio::join!(stage.cloud.terminate(&ids[2]), stage.cloud.terminate(unknown));
        assert_eq!((c, none), (Ok(true), Ok(false)));
        assert_eq!(stage.cloud.get(&ids[0]).await, Ok(None));
        assert_eq!(stage.cloud.list_owned("demo").await.as_deref(), Ok(&[][..]));
    });
}

#[test]
fn what_ec2_does_not_have_is_reported() {
    alone("what_ec2_does_not_have_is_reported", |stage| async move {
        stage.account.pools(&json!({"c5.large/us-east-1a/spot": 0}));
        let first = claim("general-1");
        let launched =
            stage.cloud.launch(&request(&stage, &first, CapacityType::Spot), &stage.facts).await.expect("others are there");
        assert_ne!(launched.instance_type, "c5.large");
        let scopes: Vec<Option<Scope>> = launched.failed.iter().map(FailedOffering::scope).collect();
        let lacking = Scope::Offering {
            capacity_type: CapacityType::Spot,
            instance_type: "c5.large".to_owned(),
            zone: "us-east-1a".to_owned(),
        };
        assert_eq!(scopes, [Some(lacking)]);

        stage.account.pools(&json!({"*": 0}));
        let second = claim("general-2");
        let failure =
            stage.cloud.launch(&request(&stage, &second, CapacityType::Spot), &stage.facts).await.expect_err("nothing is left");
        let LaunchFailure::InsufficientCapacity { failed, message } = failure else { panic!("{failure:?}") };
        assert_eq!(failed.len(), 3, "{message}");

        // Zones without a subnet are none.
        let mut elsewhere = request(&stage, &second, CapacityType::Spot);
        elsewhere.offers = vec![offer("m5.large", "eu-west-1a")];
        let failure = stage.cloud.launch(&elsewhere, &stage.facts).await.expect_err("there is no subnet");
        assert!(matches!(failure, LaunchFailure::InsufficientCapacity { .. }), "{failure:?}");
    });
}

#[test]
fn a_failure_says_whether_something_may_have_been_bought() {
    alone("a_failure_says_whether_something_may_have_been_bought", |stage| async move {
        let claim = claim("general-1");
        let mut request = request(&stage, &claim, CapacityType::Spot);
        let cases = [
            (json!({"error": ["RequestLimitExceeded", 503, "Request limit exceeded."]}), "RequestLimitExceeded", false),
            (json!({"error": ["UnauthorizedOperation", 403, "You are not authorized."]}), "Unauthorized", false),
            (json!({"error": ["InternalError", 500, "An internal error has occurred"]}), "InternalError", true),
            (json!({"html": 502}), "LaunchFailed", true),
            (json!({"truncate": true}), "LaunchFailed", true),
        ];
        for (number, (mut fault, expected, may)) in (0..).zip(cases) {
            fault["action"] = json!("CreateFleet");
            stage.account.faults(&json!([fault]));
            request.attempt = number;
            let before = stage.account.count("CreateFleet");
            let failure = stage.cloud.launch(&request, &stage.facts).await.expect_err("it fails");
            let LaunchFailure::Retry { reason, maybe_launched, .. } = failure else { panic!("{failure:?}") };
            assert_eq!((reason, maybe_launched, stage.account.count("CreateFleet") - before), (expected, may, 1), "{fault}");
        }
        // The last answer was lost on the way, but not the instance; the attempt repeated gives it again.
        let found = stage.cloud.find_by_claim("uid-of-general-1").await.expect("EC2 answers");
        assert_eq!(found.len(), 1);
        let launched = stage.cloud.launch(&request, &stage.facts).await.expect("nothing goes wrong now");
        assert_eq!(launched.instance_id, found[0].id);
    });
}

#[test]
fn launch_templates_come_and_go_as_they_are_needed() {
    alone("launch_templates_come_and_go_as_they_are_needed", |stage| async move {
        let claims = ["a", "b", "c"].map(claim);
        let launch = async |claim: &NodeClaim| {
            let request = request(&stage, claim, CapacityType::OnDemand);
            stage.cloud.launch(&request, &stage.facts).await.expect("EC2 has everything").instance_id
        };
        launch(&claims[0]).await;
        let made = templates(&stage).await;
        // One for 29 pods, one for 58; the second launch needs no others.
        assert_eq!(made.len(), 2, "{made:?}");
        launch(&claims[1]).await;
        assert_eq!((templates(&stage).await.len(), stage.account.count("CreateLaunchTemplate")), (2, 2));

        // Somebody deletes them behind our back.
        for name in &made {
            stage.ec2.delete_launch_template().launch_template_name(name).send().await.expect("it is there");
        }
        let mut third = request(&stage, &claims[2], CapacityType::OnDemand);
        let failure = stage.cloud.launch(&third, &stage.facts).await.expect_err("the templates are gone");
        let LaunchFailure::Retry { reason, maybe_launched, .. } = failure else { panic!("{failure:?}") };
        assert_eq!((reason, maybe_launched), ("LaunchTemplateNotFound", false));
        third.attempt += 1;
        stage.cloud.launch(&third, &stage.facts).await.expect("the next attempt makes them again");
        assert_eq!(stage.cloud.list_owned("demo").await.expect("EC2 answers").len(), 3);

        let now = tokio::time::Instant::now();
        assert_eq!(stage.cloud.sweep_launch_templates(now).await, Ok(0));
        // A restart finds those that were left.
        let restarted = Cloud::open(&access(&stage.account), REGION).await.expect("there are credentials");
        assert_eq!(restarted.take_up_launch_templates("demo").await, Ok(2));
        assert_eq!(restarted.sweep_launch_templates(now + Duration::from_secs(120)).await, Ok(2));
        assert_eq!(templates(&stage).await, Vec::<String>::new());

        let request = request(&stage, &claims[0], CapacityType::Spot);
        restarted.launch(&request, &stage.facts).await.expect_err("the token bought something else");
        assert_eq!(restarted.delete_launch_templates("demo", "other").await, Ok(0));
        assert_eq!(restarted.delete_launch_templates("demo", "default").await, Ok(2));
        assert_eq!(templates(&stage).await, Vec::<String>::new());
    });
}
