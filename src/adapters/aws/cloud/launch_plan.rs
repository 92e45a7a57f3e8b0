//! From a NodeClaim and the offerings that will do to launch templates, each with the offerings that it serves.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::adapters::aws::cloud::cluster_facts::ClusterFacts;
use crate::adapters::aws::cloud::launch_failure::LaunchFailure;
use crate::adapters::aws::cloud::tags;
use crate::adapters::aws::cloud::template::{
    Addresses, Interface, PlacementGroup, Reservation, Template, default_metadata, default_volumes,
};
use crate::adapters::aws::cloud::user_data::{Bootstrap, UserDataError, labels_of_node, user_data};
use crate::adapters::kube::conditions::{Conditioned as _, READY};
use crate::adapters::kube::convert::node_class;
use crate::adapters::kube::crd::{AmiStatus, EC2NodeClass, EC2NodeClassStatus, NodeClaim};
use crate::domain::allocatable::capacity;
use crate::domain::catalog::CapacityType;
use crate::domain::instance_settings::InstanceSettings;
use crate::domain::instance_type::InstanceType;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::node_class::{AmiFamily, NodeClass};
use crate::domain::requirement::{Operator, Requirement, Requirements};
use crate::domain::resources::ResourceName;
use crate::domain::taint::{Effect, Taint};

/// The resource of Elastic Fabric Adapters.
const EFA: &str = "vpc.amazonaws.com/efa";
/// The label of the partition of a placement group.
const PARTITION: &str = "karpenter.k8s.aws/placement-group-partition";
/// From this version on Bottlerocket knows by itself what goes on local disks.
const BINDS_BY_ITSELF: (u32, u32, u32) = (1, 46, 0);

/// A node that is to be launched.
#[derive(Clone, Debug)]
pub struct LaunchRequest<'a> {
    /// What is asked for; has a name and a UID.
    pub claim: &'a NodeClaim,
    /// How it is set up. Its status says which subnets, security groups, images and profile there are.
    pub class: &'a EC2NodeClass,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// What will do, all of that capacity type.
    pub offers: Vec<LaunchOffer>,
    /// Whether the hardware is not shared with other accounts.
    pub dedicated: bool,
    /// For [`CapacityType::Reserved`]: the capacity reservation, by its id.
    pub reservation: Option<String>,
    /// Counts the attempts for this claim, from 0. The same attempt never buys twice, whoever makes it.
    pub attempt: u32,
}

/// A type in a zone that will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchOffer {
    /// `m7i.large`.
    pub instance_type: String,
    /// Zone name.
    pub zone: String,
    /// What it costs.
    pub price: UsdPerHour,
    /// The labels of nodes of the type: they tell which images run on it.
    pub requirements: Requirements,
    /// Pods at most.
    pub max_pods: i64,
    /// Elastic Fabric Adapters that the type can have.
    pub efa_interfaces: i64,
}

impl LaunchOffer {
    /// The offer of `instance_type` in `zone` at that price, for nodes of `class` in `region`.
    #[must_use]
    pub fn new(
        instance_type: &InstanceType,
        zone: &str,
        price: UsdPerHour,
        (class, region): (&NodeClass, &str),
        settings: &InstanceSettings,
    ) -> Self {
        Self {
            instance_type: instance_type.name.clone(),
            zone: zone.to_owned(),
            price,
            requirements: instance_type.requirements(class, region),
            max_pods: capacity(instance_type, class, settings).get(ResourceName::PODS),
            efa_interfaces: instance_type.network.efa_interfaces,
        }
    }
}

/// A launch template, and the offers that are launched from it.
#[derive(Clone, Debug)]
pub(super) struct Group<'a> {
    pub(super) template: Template,
    pub(super) offers: Vec<&'a LaunchOffer>,
}

/// One launch template for each image, number of pods and number of fabric adapters. What the kubelet reserves is the same for all types:
/// it is what the NodeClass says.
///
/// # Errors
/// When the NodeClass is not ready, when its user data cannot be made, or when it has no image for any of the types.
pub(super) fn plan<'a>(request: &'a LaunchRequest<'_>, facts: &ClusterFacts) -> Result<Vec<Group<'a>>, LaunchFailure> {
    let class = request.class;
    let not_ready = |message: &str| LaunchFailure::NodeClassNotReady(message.to_owned());
    check_ready(class)?;
    let status = class.status.as_ref().ok_or_else(|| not_ready("the EC2NodeClass has no status yet"))?;
    let converted = node_class::from_api(&class.metadata.name.clone().unwrap_or_default(), class)
        .map_err(|error| LaunchFailure::NodeClassNotReady(format!("{}: {}; {}", error.field, error.problem, error.mend)))?;
    let images = images(status);
    let efas_wanted = asks_for_efa(request.claim);

    let mut groups: BTreeMap<(&str, i64, i64), Vec<&LaunchOffer>> = BTreeMap::new();
    for offer in &request.offers {
        let Some((image, _)) = images.iter().find(|(_, wanted)| offer.requirements.compatible(wanted)) else { continue };
        let efas = if efas_wanted { offer.efa_interfaces } else { 0 };
        groups.entry((image.id.as_str(), efas, offer.max_pods)).or_default().push(offer);
    }
    if groups.is_empty() && !request.offers.is_empty() {
        let message = "no image of the EC2NodeClass runs on any of the instance types";
        return Err(LaunchFailure::retry("LaunchFailed", message));
    }
    let claimed = Claimed::new(request, status, &converted, facts)?;
    let mut made = Vec::new();
    for ((image, efas, max_pods), mut offers) in groups {
        offers.sort_by_key(|offer| (offer.price, &offer.instance_type, &offer.zone));
        made.push(Group { template: claimed.template(image, efas, max_pods)?, offers });
    }
    Ok(made)
}

/// What all templates of a claim have in common.
struct Claimed<'a> {
    request: &'a LaunchRequest<'a>,
    status: &'a EC2NodeClassStatus,
    class: &'a NodeClass,
    facts: &'a ClusterFacts,
    profile: &'a str,
    tags: BTreeMap<String, String>,
    reservation: Option<Reservation>,
}

impl<'a> Claimed<'a> {
    fn new(
        request: &'a LaunchRequest<'_>,
        status: &'a EC2NodeClassStatus,
        class: &'a NodeClass,
        facts: &'a ClusterFacts,
    ) -> Result<Self, LaunchFailure> {
        let not_ready = |message: &str| LaunchFailure::NodeClassNotReady(message.to_owned());
        let profile =
            status.instance_profile.as_deref().ok_or_else(|| not_ready("the EC2NodeClass has no instance profile yet"))?;
        if status.security_groups.as_ref().is_none_or(Vec::is_empty) {
            return Err(not_ready("the EC2NodeClass has no security groups"));
        }
        let pool = request.claim.metadata.labels.as_ref().and_then(|given| given.get(labels::NODE_POOL));
        let tags = tags::shared(request.class, pool.map_or("", String::as_str), &facts.name)
            .map_err(LaunchFailure::NodeClassNotReady)?;
        let reservation = request.reservation.as_ref().map(|id| {
            let known = status.capacity_reservations.iter().flatten().find(|of| of.id == *id);
            Reservation {
                id: id.clone(),
                capacity_block: known.is_some_and(|of| of.reservation_type.as_deref() == Some("capacity-block")),
                interruptible: known.is_some_and(|of| of.interruptible == Some(true)),
            }
        });
        Ok(Self { request, status, class, facts, profile, tags, reservation })
    }

    fn template(&self, image: &str, efas: i64, max_pods: i64) -> Result<Template, LaunchFailure> {
        let spec = &self.request.class.spec;
        let placement_group = spec.placement_group_selector.as_ref().and_then(|selector| {
            let id = selector.id.clone().map(PlacementGroup::Id);
            id.or_else(|| selector.name.clone().map(PlacementGroup::Name))
        });
        Ok(Template {
            cluster: self.facts.name.clone(),
            image: image.to_owned(),
            instance_profile: self.profile.to_owned(),
            detailed_monitoring: spec.detailed_monitoring == Some(true),
            user_data: self.user_data(image, max_pods)?.map(|text| STANDARD.encode(text)),
            volumes: match &spec.block_device_mappings {
                Some(given) => given.clone(),
                None => default_volumes(self.class.ami_family),
            },
            metadata: spec.metadata_options.clone().unwrap_or_else(|| default_metadata(self.facts.is_ipv6())),
            interfaces: self.interfaces(efas),
            tags: self.tags.clone(),
            spot: self.request.capacity_type == CapacityType::Spot,
            tenancy: if self.request.dedicated { "dedicated" } else { "default" }.to_owned(),
            partition: placement_group.as_ref().and_then(|_| partition(self.request.claim)),
            placement_group,
            enclaves: self.class.enclaves,
            nested_virtualization: spec.cpu_options.as_ref().and_then(|options| options.nested_virtualization.clone()),
            reservation: self.reservation.clone(),
        })
    }

    fn user_data(&self, image: &str, max_pods: i64) -> Result<Option<String>, LaunchFailure> {
        let claim = self.request.claim;
        let given = claim.spec.taints.iter().flatten().chain(claim.spec.startup_taints.iter().flatten());
        let taints = given.filter_map(|taint| {
            let value = taint.value.clone().unwrap_or_default();
            Some(Taint { key: taint.key.clone(), value, effect: Effect::parse(&taint.effect)? })
        });
        let bootstrap = Bootstrap {
            family: self.class.ami_family,
            facts: self.facts,
            labels: labels_of_node(claim.metadata.labels.as_ref(), self.request.capacity_type.as_str()),
            taints: taints.collect(),
            kubelet: self.request.class.spec.kubelet.clone().unwrap_or_default(),
            max_pods,
            raid0: self.class.instance_store_raid0,
            names_directories: self.class.ami_family == AmiFamily::Bottlerocket
                && !binds_by_itself(self.request.class, image, self.status),
            custom: self.request.class.spec.user_data.as_deref(),
        };
        user_data(&bootstrap).map_err(|error| match error {
            UserDataError::TooLong(_) => LaunchFailure::retry("UserDataSizeLimitExceeded", error.to_string()),
            UserDataError::Unreadable(_) | UserDataError::NoServiceCidr => LaunchFailure::NodeClassNotReady(error.to_string()),
        })
    }

    fn interfaces(&self, efas: i64) -> Vec<Interface> {
        let spec = &self.request.class.spec;
        let groups = self.status.security_groups.iter().flatten();
        let mut groups: Vec<String> = groups.map(|group| group.id.clone()).collect();
        groups.sort();
        let ipv6 = self.facts.is_ipv6();
        let addresses = |primary_ipv6, tracking| Addresses {
            public: spec.associate_public_ip_address,
            prefixes: spec.ip_prefix_count,
            ipv6,
            primary_ipv6: ipv6 && primary_ipv6,
            tracking,
        };
        let tracking = spec.connection_tracking.clone();
        let small = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
        match &spec.network_interfaces {
            Some(given) if !given.is_empty() => given
                .iter()
                .map(|interface| Interface {
                    card: Some(interface.network_card_index),
                    device: interface.device_index,
                    kind: Some(interface.interface_type.clone()),
                    security_groups: groups.clone(),
                    addresses: (interface.interface_type != "efa-only").then(|| addresses(true, tracking.clone())),
                })
                .collect(),
            _ if efas > 0 => (0..efas)
                .map(|card| Interface {
                    card: Some(small(card)),
                    device: i32::from(card > 0),
                    kind: Some("efa".to_owned()),
                    security_groups: groups.clone(),
                    addresses: Some(addresses(false, tracking.clone())),
                })
                .collect(),
            _ => vec![Interface {
                card: None,
                device: 0,
                kind: None,
                security_groups: groups,
                addresses: Some(addresses(true, tracking)),
            }],
        }
    }
}

/// Nothing is launched from a class that is not ready, or whose status speaks of an older spec.
fn check_ready(class: &EC2NodeClass) -> Result<(), LaunchFailure> {
    let ready = class.stored_conditions().iter().find(|condition| condition.type_ == READY);
    let current = |seen: Option<i64>| seen == class.metadata.generation;
    match ready {
        Some(condition) if condition.status == "False" => Err(LaunchFailure::NodeClassNotReady(condition.message.clone())),
        Some(condition) if condition.status == "True" && current(condition.observed_generation) => Ok(()),
        Some(condition) if condition.status == "True" => Err(LaunchFailure::NodeClassNotReady(
            "the status of the EC2NodeClass has not been reconciled against its latest spec".to_owned(),
        )),
        _ => Err(LaunchFailure::retry("NodeClassReadinessUnknown", "whether the EC2NodeClass is ready is not known yet")),
    }
}

/// The images with the labels that they ask for; one that asks for what cannot be read runs on nothing.
fn images(status: &EC2NodeClassStatus) -> Vec<(&AmiStatus, Requirements)> {
    let read = |image: &AmiStatus| {
        let mut wanted = Requirements::new();
        for expression in &image.requirements {
            let values = expression.values.as_deref().unwrap_or_default();
            let operator = Operator::parse(&expression.operator)?;
            wanted.add(&expression.key, Requirement::new(operator, values).ok()?);
        }
        Some(wanted)
    };
    status.amis.iter().flatten().filter_map(|image| Some((image, read(image)?))).collect()
}

fn asks_for_efa(claim: &NodeClaim) -> bool {
    let requests = claim.spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    requests.and_then(|requests| requests.get(EFA)).is_some_and(|amount| amount.0 != "0")
}

/// The lowest partition that the claim allows, by its text; `None` where it allows any.
fn partition(claim: &NodeClaim) -> Option<i32> {
    let wanted = claim.spec.requirements.iter().filter(|wanted| wanted.key == PARTITION && wanted.operator == "In");
    wanted.filter_map(|wanted| wanted.values.as_ref()?.iter().min()).find_map(|value| value.parse().ok())
}

/// Whether the Bottlerocket of `image` knows what goes on local disks: told from the alias, a name that the class selects by, the name of
/// the image, or that of any image of the class. `latest` does.
fn binds_by_itself(class: &EC2NodeClass, image: &str, status: &EC2NodeClassStatus) -> bool {
    let terms = &class.spec.ami_selector_terms;
    let amis = || status.amis.iter().flatten();
    let aliases = terms.iter().filter_map(|term| term.alias.as_deref()?.split_once('@').map(|(_, version)| version));
    let names = terms.iter().filter_map(|term| term.name.as_deref());
    let own = amis().filter(|ami| ami.id == image).filter_map(|ami| ami.name.as_deref());
    let others = amis().filter_map(|ami| ami.name.as_deref());
    let mut candidates = aliases.chain(names).chain(own).chain(others);
    candidates.find_map(|text| if text == "latest" { Some(true) } else { version(text).map(|found| found >= BINDS_BY_ITSELF) })
        == Some(true)
}

/// The version in `v1.46.0` or `bottlerocket-aws-k8s-1.36-x86_64-v1.46.0-0a1b2c3d`.
fn version(text: &str) -> Option<(u32, u32, u32)> {
    text.split('-').find_map(|part| {
        let mut numbers = part.strip_prefix('v')?.splitn(3, '.').map(|number| number.parse::<u32>().ok());
        Some((numbers.next()??, numbers.next()??, numbers.next()??))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::adapters::aws::cloud::user_data::tests::facts;
    use crate::domain::instance_type::tests::plain;

    fn class(spec: &Value, ready: &str) -> EC2NodeClass {
        let gpu = "karpenter.k8s.aws/instance-gpu-count";
        let mut made = json!({
            "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": "default", "generation": 2},
            "spec": {"subnetSelectorTerms": [], "securityGroupSelectorTerms": [], "amiSelectorTerms": [{"alias": "al2023@latest"}]},
            "status": {
                "instanceProfile": "profile", "securityGroups": [{"id": "sg-2"}, {"id": "sg-1"}],
                "subnets": [{"id": "subnet-1", "zone": "us-east-1a"}],
                "amis": [
                    {"id": "ami-gpu", "requirements": [{"key": gpu, "operator": "Exists"}]},
                    {"id": "ami-plain", "requirements": [{"key": gpu, "operator": "DoesNotExist"},
                        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}]},
                    {"id": "ami-older", "requirements": []}],
                "conditions": [{"type": "Ready", "status": ready, "reason": "Ready", "message": "subnets",
                    "observedGeneration": 2, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
        for (key, value) in spec.as_object().expect("a map") {
            made["spec"][key] = value.clone();
        }
        serde_json::from_value(made).expect("the class of this test is one")
    }

    fn claim(efas: &str) -> NodeClaim {
        serde_json::from_value(json!({
            "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
            "metadata": {"name": "general-1", "uid": "u-1", "labels": {"karpenter.sh/nodepool": "general"}},
            "spec": {"requirements": [{"key": PARTITION, "operator": "In", "values": ["3", "2"]}],
                "resources": {"requests": {EFA: efas}},
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}}}))
        .expect("the claim of this test is one")
    }

    fn offer(name: &str, interfaces: i64, price: i64) -> LaunchOffer {
        let mut instance_type = plain(name, 2, 8, interfaces, 10);
        instance_type.network.efa_interfaces = 2;
        let (class, settings) = (NodeClass::al2023("default"), InstanceSettings::default());
        LaunchOffer::new(&instance_type, "us-east-1a", UsdPerHour::from_micros(price), (&class, "us-east-1"), &settings)
    }

    fn request<'a>(claim: &'a NodeClaim, class: &'a EC2NodeClass) -> LaunchRequest<'a> {
        LaunchRequest {
            claim,
            class,
            capacity_type: CapacityType::Spot,
            offers: vec![offer("m5.large", 3, 90), offer("c5.large", 3, 80), offer("m5.xlarge", 4, 180)],
            dedicated: false,
            reservation: None,
            attempt: 0,
        }
    }

    #[test]
    fn types_with_as_many_pods_share_a_template() {
        let (claim, class) = (claim("0"), class(&json!({}), "True"));
        let request = request(&claim, &class);
        let groups = plan(&request, &facts()).expect("it can be planned");
        let shown: Vec<(&str, Vec<&str>)> = groups
            .iter()
            .map(|group| {
                let types = group.offers.iter().map(|offer| offer.instance_type.as_str()).collect();
                (group.template.image.as_str(), types)
            })
            .collect();
        assert_eq!(shown, [("ami-plain", vec!["c5.large", "m5.large"]), ("ami-plain", vec!["m5.xlarge"])]);
        assert_ne!(groups[0].template.name(), groups[1].template.name());
        assert_eq!(groups[0].template.interfaces[0].security_groups, ["sg-1", "sg-2"]);
        assert_eq!(groups[0].template.partition, None);
    }

    #[test]
    fn fabric_adapters_and_placement_groups_are_asked_for() {
        let (claim, class) = (claim("1"), class(&json!({"placementGroupSelector": {"name": "close"}}), "True"));
        let request = request(&claim, &class);
        let groups = plan(&request, &facts()).expect("it can be planned");
        let template = &groups[0].template;
        let cards: Vec<(Option<i32>, i32)> = template.interfaces.iter().map(|of| (of.card, of.device)).collect();
        assert_eq!(cards, [(Some(0), 0), (Some(1), 1)]);
        assert_eq!((&template.placement_group, template.partition), (&Some(PlacementGroup::Name("close".to_owned())), Some(2)));
    }

    #[test]
    fn a_class_that_is_not_ready_launches_nothing() {
        let claim = claim("0");
        let outcome = |class: &EC2NodeClass| plan(&request(&claim, class), &facts()).expect_err("it cannot be planned");
        assert_eq!(outcome(&class(&json!({}), "False")), LaunchFailure::NodeClassNotReady("subnets".to_owned()));
        let LaunchFailure::Retry { reason, .. } = outcome(&class(&json!({}), "Unknown")) else { panic!("it may become ready") };
        assert_eq!(reason, "NodeClassReadinessUnknown");
        let mut stale = class(&json!({}), "True");
        stale.metadata.generation = Some(3);
        assert!(matches!(outcome(&stale), LaunchFailure::NodeClassNotReady(_)));
        let taken = class(&json!({"tags": {"karpenter.sh/nodepool": "x"}}), "True");
        assert!(matches!(outcome(&taken), LaunchFailure::NodeClassNotReady(_)));
        let long = class(&json!({"userData": "x".repeat(20_000)}), "True");
        let LaunchFailure::Retry { reason, .. } = outcome(&long) else { panic!("it may be shortened") };
        assert_eq!(reason, "UserDataSizeLimitExceeded");
    }

    #[test]
    fn versions_of_bottlerocket_are_told_from_names() {
        assert_eq!(version("v1.46.0"), Some((1, 46, 0)));
        assert_eq!(version("bottlerocket-aws-k8s-1.36-x86_64-v1.45.1-0a1b2c3d"), Some((1, 45, 1)));
        assert_eq!(version("latest"), None);
        let binds = |terms: Value, name: &str| {
            let mut class = class(&json!({"amiFamily": "Bottlerocket", "amiSelectorTerms": terms}), "True");
            let mut status = class.status.take().expect("it has one");
            status.amis = Some(vec![AmiStatus { id: "ami-1".to_owned(), name: Some(name.to_owned()), ..AmiStatus::default() }]);
            binds_by_itself(&class, "ami-1", &status)
        };
        assert!(binds(json!([{"alias": "bottlerocket@latest"}]), "x"));
        assert!(binds(json!([{"alias": "bottlerocket@v1.50.0"}]), "x"));
        assert!(!binds(json!([{"alias": "bottlerocket@v1.9.0"}]), "x"));
        assert!(binds(json!([{"id": "ami-1"}]), "bottlerocket-aws-k8s-1.36-x86_64-v1.46.0-0a1b2c3d"));
        assert!(!binds(json!([{"id": "ami-1"}]), "mine"));
    }
}
