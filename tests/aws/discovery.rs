//! What an EC2NodeClass selects in the fake AWS: subnets, security groups, images, reservations, placement groups and instance profiles.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use supercargo::adapters::aws::cloud::Cloud;
use supercargo::adapters::aws::cloud::discovery::{LaunchProbe, ProfileError, ProfileOwner, RefusalReason};
use supercargo::adapters::kube::crd::{
    AmiSelectorTerm, CapacityReservationSelectorTerm, PlacementGroupSelector, SecurityGroupSelectorTerm, SubnetSelectorTerm,
};

use crate::alone::access;
use crate::fake::Account;

const REGION: &str = "us-east-1";

/// The cloud of a test, and clients that prepare what it finds.
struct Stage {
    account: Account,
    cloud: Cloud,
    ec2: aws_sdk_ec2::Client,
    iam: aws_sdk_iam::Client,
}

/// Runs `body` in the process of the test `name` of this module.
fn alone<F: Future<Output = ()>>(name: &str, body: impl FnOnce(Stage) -> F) {
    crate::alone::alone("discovery", name, |account, _| async {
        let cloud = Cloud::open(&access(&account), REGION).await.expect("there are credentials");
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).region(REGION).endpoint_url(account.endpoint());
        let config = config.load().await;
        let (ec2, iam) = (aws_sdk_ec2::Client::new(&config), aws_sdk_iam::Client::new(&config));
        body(Stage { account, cloud, ec2, iam }).await;
    });
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a second of our time")
}

fn term<T: serde::de::DeserializeOwned>(term: &Value) -> Vec<T> {
    vec![serde_json::from_value(term.clone()).expect("a term")]
}

fn tagged(of: ResourceType, key: &str, value: &str) -> TagSpecification {
    TagSpecification::builder().resource_type(of).tags(Tag::builder().key(key).value(value).build()).build()
}

impl Stage {
    /// The default VPC, and makes a subnet in it.
    async fn subnet(&self, cidr: &str, zone: &str, tag: &str) -> (String, String) {
        let vpcs = self.ec2.describe_vpcs().send().await.expect("moto has a VPC");
        let vpc = vpcs.vpcs()[0].vpc_id().expect("it has an id").to_owned();
        let request = self.ec2.create_subnet().vpc_id(&vpc).cidr_block(cidr).availability_zone(zone);
        let made = request.tag_specifications(tagged(ResourceType::Subnet, "discovery", tag)).send().await;
        let made = made.expect("a subnet is made");
        (vpc, made.subnet().and_then(|subnet| subnet.subnet_id()).expect("it has an id").to_owned())
    }
}

#[test]
fn subnets_with_most_free_addresses_come_first_and_are_kept_for_a_minute() {
    alone("subnets_with_most_free_addresses_come_first_and_are_kept_for_a_minute", |stage| async move {
        let (_, small) = stage.subnet("172.31.128.0/24", "us-east-1a", "mine").await;
        let (_, large) = stage.subnet("172.31.144.0/20", "us-east-1b", "mine").await;
        let (_, other) = stage.subnet("172.31.130.0/24", "us-east-1c", "other").await;
        let find = async |terms: &Value, now: i64| {
            let terms: Vec<SubnetSelectorTerm> = serde_json::from_value(terms.clone()).expect("terms");
            let found = stage.cloud.subnets(&terms, at(now)).await.expect("EC2 answers");
            found.into_iter().map(|subnet| (subnet.id, subnet.zone)).collect::<Vec<_>>()
        };
        let mine = json!([{"tags": {"discovery": "mine"}}]);
        let expected = vec![(large.clone(), "us-east-1b".to_owned()), (small.clone(), "us-east-1a".to_owned())];
        assert_eq!(find(&mine, 0).await, expected);
        assert_eq!(find(&json!([{"tags": {"discovery": "*"}}]), 0).await.len(), 3);
        assert_eq!(find(&json!([{"id": other}, {"tags": {"discovery": "mine"}}]), 0).await.len(), 3);
        assert_eq!(find(&json!([{"tags": {"discovery": "nobody"}}]), 0).await, []);

        let asked = stage.account.count("DescribeSubnets");
        assert_eq!(find(&mine, 59).await, expected);
        assert_eq!(stage.account.count("DescribeSubnets"), asked);
        assert_eq!(find(&mine, 60).await, expected);
        assert_eq!(stage.account.count("DescribeSubnets"), asked + 1);
    });
}

#[test]
fn a_call_that_is_forbidden_names_what_to_allow() {
    alone("a_call_that_is_forbidden_names_what_to_allow", |stage| async move {
        let refusal = json!({"action": "DescribeSubnets", "error": ["UnauthorizedOperation", 403, "You are not authorized."]});
        stage.account.faults(&json!([refusal]));
        let terms: Vec<SubnetSelectorTerm> = term(&json!({"tags": {"discovery": "mine"}}));
        let error = stage.cloud.subnets(&terms, at(0)).await.expect_err("it is forbidden").to_string();
        assert_eq!(
            error,
            "us-east-1: ec2:DescribeSubnets failed: UnauthorizedOperation (You are not authorized.); allow ec2:DescribeSubnets to the \
             IAM role of the controller"
        );
        // A failure is not remembered.
        assert_eq!(stage.cloud.subnets(&terms, at(1)).await.map(|found| found.len()), Ok(0));
    });
}

#[test]
fn security_groups_are_found_by_name_id_and_tag() {
    alone("security_groups_are_found_by_name_id_and_tag", |stage| async move {
        let (vpc, _) = stage.subnet("172.31.128.0/24", "us-east-1a", "mine").await;
        let make = async |name: &str| {
            let request = stage.ec2.create_security_group().vpc_id(&vpc).group_name(name).description("of a test");
            let made = request.tag_specifications(tagged(ResourceType::SecurityGroup, "discovery", name)).send().await;
            made.expect("a group is made").group_id().expect("it has an id").to_owned()
        };
        let mut ids = vec![make("one").await, make("two").await];
        let find = async |terms: Value| {
            let terms: Vec<SecurityGroupSelectorTerm> = serde_json::from_value(terms).expect("terms");
            let found = stage.cloud.security_groups(&terms, at(0)).await.expect("EC2 answers");
            found.into_iter().map(|group| group.id).collect::<Vec<_>>()
        };
        assert_eq!(find(json!([{"name": "one"}])).await, ids[..1]);
        assert_eq!(find(json!([{"id": ids[1]}])).await, ids[1..]);
        let both = find(json!([{"tags": {"discovery": "*"}}, {"id": ids[1]}])).await;
        ids.sort_unstable();
        assert_eq!(both, ids);
    });
}

/// Ids of images of moto with these processors.
async fn images(stage: &Stage, architecture: &str) -> Vec<String> {
    let filter = Filter::builder().name("architecture").values(architecture).build();
    let found = stage.ec2.describe_images().filters(filter).send().await.expect("moto has images");
    found.images().iter().filter_map(|image| image.image_id().map(str::to_owned)).collect()
}

#[test]
fn images_are_found_by_alias_parameter_id_and_name() {
    alone("images_are_found_by_alias_parameter_id_and_name", |stage| async move {
        let known = images(&stage, "x86_64").await;
        let eks = "/aws/service/eks/optimized-ami/1.33/amazon-linux-2023/x86_64";
        stage.account.parameters(&json!({
            format!("{eks}/standard/recommended/image_id"): known[0],
            format!("{eks}/nvidia/recommended/image_id"): known[1],
            "/mine": known[2],
        }));
        let find = async |terms: Value| {
            let terms: Vec<AmiSelectorTerm> = serde_json::from_value(terms).expect("terms");
            stage.cloud.images(&terms, "1.33", at(0)).await.expect("EC2 and SSM answer")
        };
        let of_alias = find(json!([{"alias": "al2023@latest"}])).await;
        let operators = |id: &str| {
            let image = of_alias.iter().find(|image| image.id == id).expect("it is found");
            image.requirements.iter().map(|one| format!("{} {}", one.key, one.operator)).collect::<Vec<_>>()
        };
        assert_eq!(of_alias.len(), 2);
        assert_eq!(operators(&known[1]), ["kubernetes.io/arch In", "karpenter.k8s.aws/instance-gpu-count Exists"]);
        assert_eq!(operators(&known[0]).len(), 3);
        // Of the five parameters three are not there; none is asked for again.
        assert_eq!(stage.account.count("GetParameter"), 5);
        let of_parameter = find(json!([{"ssmParameter": "/mine"}, {"ssmParameter": "/nobody's"}])).await;
        assert_eq!(of_parameter.iter().map(|image| image.id.as_str()).collect::<Vec<_>>(), [known[2].as_str()]);
        assert_eq!(of_parameter[0].requirements.len(), 1);
        let of_id = find(json!([{"id": known[3]}])).await;
        assert_eq!(of_id[0].id, known[3]);
        let name = of_id[0].name.clone().expect("moto's images have names");
        assert_eq!(find(json!([{"name": name, "owner": "nobody"}])).await, []);
        assert_eq!(find(json!([{"alias": "bottlerocket@latest"}])).await, []);
    });
}

#[test]
fn reservations_and_placement_groups_are_found() {
    alone("reservations_and_placement_groups_are_found", |stage| async move {
        stage.account.answers(&json!({
            "DescribePlacementGroups": "<placementGroupSet><item><groupId>pg-1</groupId><groupName>rack</groupName>\
                <strategy>partition</strategy><partitionCount>3</partitionCount><state>available</state></item></placementGroupSet>",
            "DescribeCapacityReservations": "<capacityReservationSet>\
                <item><capacityReservationId>cr-1</capacityReservationId><availabilityZone>us-east-1a</availabilityZone>\
                <instanceType>m5.large</instanceType><ownerId>123456789012</ownerId><state>active</state>\
                <instanceMatchCriteria>targeted</instanceMatchCriteria><availableInstanceCount>3</availableInstanceCount>\
                <endDate>2026-01-01T00:00:00.000Z</endDate></item></capacityReservationSet>"
        }));
        let selector = PlacementGroupSelector { name: Some("rack".to_owned()), id: None };
        let found = stage.cloud.placement_group(&selector, at(0)).await.expect("EC2 answers").expect("it is there");
        assert_eq!((found.id.as_str(), found.strategy.as_str(), found.partitions), ("pg-1", "partition", Some(3)));
        let refusal =
            json!({"action": "DescribePlacementGroups", "error": ["InvalidPlacementGroup.Unknown", 400, "no such group"]});
        stage.account.faults(&json!([refusal]));
        let other = PlacementGroupSelector { name: Some("nobody's".to_owned()), id: None };
        assert_eq!(stage.cloud.placement_group(&other, at(0)).await, Ok(None));

        let terms: Vec<CapacityReservationSelectorTerm> = term(&json!({"id": "cr-1"}));
        let end = "2026-01-01T00:00:00Z".parse().expect("a time");
        let found = stage.cloud.capacity_reservations(&terms, at(0)).await.expect("EC2 answers");
        let shown = (found[0].zone.as_str(), found[0].match_criteria.as_str(), found[0].free, found[0].end);
        assert_eq!(shown, ("us-east-1a", "targeted", 3, Some(end)));
        // What is remembered for a minute does not outlive its end.
        assert_eq!(stage.cloud.capacity_reservations(&terms, end).await, Ok(Vec::new()));
    });
}

/// A document that lets EC2 take a role.
const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": []}"#;

#[test]
fn a_role_has_a_profile_of_its_own_that_goes_when_it_is_deleted() {
    alone("a_role_has_a_profile_of_its_own_that_goes_when_it_is_deleted", |stage| async move {
        for role in ["nodes", "others"] {
            let request = stage.iam.create_role().role_name(role).assume_role_policy_document(TRUST);
            request.send().await.expect("the role is made");
        }
        let owner = ProfileOwner { cluster: "prod", uid: "1f0c" };
        let tags = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
        let profile = async |role: &str, current: Option<&str>, now: i64| {
            stage.cloud.instance_profile(owner, role, &tags, current, at(now)).await
        };
        let first = profile("nodes", None, 0).await.expect("it is made");
        assert!(first.starts_with("prod_"), "{first}");
        let made = stage.iam.get_instance_profile().instance_profile_name(&first).send().await.expect("it is there");
        let made = made.instance_profile().expect("it is there");
        assert_eq!(made.path(), "/karpenter/us-east-1/prod/1f0c/");
        assert_eq!(made.roles()[0].role_name(), "nodes");
        assert_eq!(made.tags()[0].value(), "web");

        // It is believed for a quarter of an hour, then asked for and kept; a path before the role does not matter.
        let asked = stage.account.count("GetInstanceProfile");
        assert_eq!(profile("path/nodes", Some(&first), 899).await.as_deref(), Ok(first.as_str()));
        assert_eq!(stage.account.count("GetInstanceProfile"), asked);
        assert_eq!(profile("nodes", Some(&first), 900).await.as_deref(), Ok(first.as_str()));
        assert_eq!(stage.account.count("CreateInstanceProfile"), 1);

        let second = profile("others", Some(&first), 901).await.expect("another is made");
        assert_ne!(first, second);
        let listed = stage.cloud.managed_instance_profiles("prod", Some("1f0c")).await.expect("IAM answers");
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[0].node_class_uid, "1f0c");

        assert_eq!(profile("nobody", None, 1000).await, Err(ProfileError::RoleNotFound("nobody".to_owned())));
        let asked = stage.account.count("AddRoleToInstanceProfile");
        assert!(profile("nobody", None, 1059).await.is_err());
        assert_eq!(stage.account.count("AddRoleToInstanceProfile"), asked);

        for name in [&first, &second, &first] {
            stage.cloud.delete_instance_profile(name).await.expect("it is deleted, or was");
        }
        // Nor is there one of the role that is missing.
        assert_eq!(stage.cloud.managed_instance_profiles("prod", None).await, Ok(Vec::new()));
    });
}

#[test]
fn dry_runs_tell_what_is_forbidden() {
    alone("dry_runs_tell_what_is_forbidden", |stage| async move {
        let (_, subnet) = stage.subnet("172.31.128.0/24", "us-east-1a", "mine").await;
        stage.iam.create_instance_profile().instance_profile_name("profile").send().await.expect("it is made");
        let probe = LaunchProbe {
            instance_type: "m5.large".to_owned(),
            image_id: images(&stage, "x86_64").await.remove(0),
            subnet_ids: vec![subnet.clone(), subnet],
            security_group_ids: Vec::new(),
            instance_profile: "profile".to_owned(),
            tags: BTreeMap::from([("team".to_owned(), "web".to_owned())]),
        };
        let reason = async || stage.cloud.authorize(&probe).await.expect("EC2 answers").err().map(|refusal| refusal.reason);
        let refusal = |action: &str| json!({"action": action, "error": ["UnauthorizedOperation", 403, "no"], "times": 1});
        assert_eq!(reason().await, None);
        for (action, expected) in [
            ("CreateLaunchTemplate", Some(RefusalReason::CreateLaunchTemplate)),
            ("CreateFleet", Some(RefusalReason::CreateFleet)),
            // One subnet in which instances may start is enough.
            ("RunInstances", None),
        ] {
            stage.account.faults(&json!([refusal(action)]));
            assert_eq!(reason().await, expected, "{action}");
        }
        stage.account.faults(&json!([refusal("RunInstances"), refusal("RunInstances")]));
        assert_eq!(reason().await, Some(RefusalReason::RunInstances));
        let unknown = "Value (profile) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name";
        let fault = json!({"action": "RunInstances", "error": ["InvalidParameterValue", 400, unknown], "times": 9});
        stage.account.faults(&json!([fault]));
        assert_eq!(reason().await, Some(RefusalReason::InstanceProfileNotFound));
        // Nothing was made.
        let instances = stage.ec2.describe_instances().send().await.expect("EC2 answers");
        assert_eq!(instances.reservations().len(), 0);
        stage.account.faults(&json!([{"action": "CreateFleet", "html": 500, "times": 9999}]));
        let patience = tokio::time::timeout(Duration::from_secs(60), stage.cloud.authorize(&probe));
        assert!(patience.await.expect("it gives up").is_err());
    });
}
