//! `karpenter.k8s.aws/v1 EC2NodeClass`: how instances are set up.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::NodeSelectorRequirement;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::adapters::kube::crd::node_class_rules::{
    ALIAS_RULES, AMI_RULES, EBS_RULES, INTERFACE_RULES, PLACEMENT_GROUP_RULES, RESERVATION_RULES, SECURITY_GROUP_RULES,
    SPEC_RULES, SUBNET_RULES, TAG_RULES, TRACKING_RULES, VOLUME_RULES, VOLUME_SIZE,
};
use crate::adapters::kube::crd::schema::{any_fields, conditions, image_requirements, one_of, quantity_of, rules, selector_tags};

/// The id of a capacity reservation.
const RESERVATION: &str = "^cr-[0-9a-z]+$";
/// The number of an AWS account.
const ACCOUNT: &str = "^[0-9]{12}$";

/// How instances are set up.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "karpenter.k8s.aws", version = "v1", kind = "EC2NodeClass", plural = "ec2nodeclasses", category = "karpenter")]
#[kube(shortname = "ec2nc", shortname = "ec2ncs", status = "EC2NodeClassStatus", derive = "PartialEq")]
#[kube(doc = "How instances are set up.")]
#[kube(printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#)]
#[kube(printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#)]
#[kube(printcolumn = r#"{"name": "Role", "type": "string", "jsonPath": ".spec.role", "priority": 1}"#)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules(SPEC_RULES))]
pub struct EC2NodeClassSpec {
    /// Subnets: any of the terms.
    #[schemars(length(max = 30), transform = rules(SUBNET_RULES))]
    pub subnet_selector_terms: Vec<SubnetSelectorTerm>,
    /// Security groups: any of the terms.
    #[schemars(length(max = 30), transform = rules(SECURITY_GROUP_RULES))]
    pub security_group_selector_terms: Vec<SecurityGroupSelectorTerm>,
    /// Capacity reservations that may be used: any of the terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 30), transform = rules(RESERVATION_RULES))]
    pub capacity_reservation_selector_terms: Option<Vec<CapacityReservationSelectorTerm>>,
    /// The one placement group of the instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement_group_selector: Option<PlacementGroupSelector>,
    /// Whether the primary interface has a public address.
    #[serde(rename = "associatePublicIPAddress", skip_serializing_if = "Option::is_none")]
    pub associate_public_ip_address: Option<bool>,
    /// IPv4 prefixes of the primary interface at launch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ip_prefix_count: Option<i32>,
    /// Images: any of the terms.
    #[schemars(length(min = 1, max = 30), transform = rules(AMI_RULES))]
    pub ami_selector_terms: Vec<AmiSelectorTerm>,
    /// `AL2`, `AL2023`, `Bottlerocket`, `Custom`, `Windows2019`, `Windows2022` or `Windows2025`; an alias implies it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = one_of(&["AL2", "AL2023", "Bottlerocket", "Custom", "Windows2019", "Windows2022", "Windows2025"]))]
    pub ami_family: Option<String>,
    /// Merged into the bootstrap data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
    /// IAM role; excludes `instanceProfile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = rules(&[("self != ''", "`role` must not be empty")]))]
    pub role: Option<String>,
    /// Instance profile; excludes `role`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = rules(&[("self != ''", "`instanceProfile` must not be empty")]))]
    pub instance_profile: Option<String>,
    /// Tags of everything that is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = rules(TAG_RULES))]
    pub tags: Option<BTreeMap<String, String>>,
    /// Kubelet configuration; any field.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = any_fields)]
    pub kubelet: Option<Map<String, Value>>,
    /// Volumes; the family's own when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50), transform = rules(VOLUME_RULES))]
    pub block_device_mappings: Option<Vec<BlockDeviceMapping>>,
    /// `RAID0`: local disks hold the storage of pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = one_of(&["RAID0"]))]
    pub instance_store_policy: Option<String>,
    /// Explicit network interfaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 150), transform = rules(INTERFACE_RULES))]
    pub network_interfaces: Option<Vec<NetworkInterfaceSpec>>,
    /// Metrics every minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detailed_monitoring: Option<bool>,
    /// The instance metadata service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = { "httpEndpoint": "enabled", "httpProtocolIPv6": "disabled", "httpPutResponseHopLimit": 1, "httpTokens": "required" }))]
    pub metadata_options: Option<MetadataOptions>,
    /// Nitro Enclaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enclave_options: Option<EnclaveOptions>,
    /// Time-outs of tracked connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_tracking: Option<ConnectionTracking>,
    /// Context of the fleet request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Processor features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_options: Option<CpuOptions>,
}

/// Selects subnets: all of its fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubnetSelectorTerm {
    /// Tags; `*` is any value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = selector_tags)]
    pub tags: Option<BTreeMap<String, String>>,
    /// `subnet-...`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "subnet-[0-9a-z]+"))]
    pub id: Option<String>,
}

/// Selects security groups: all of its fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroupSelectorTerm {
    /// Tags; `*` is any value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = selector_tags)]
    pub tags: Option<BTreeMap<String, String>>,
    /// `sg-...`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "sg-[0-9a-z]+"))]
    pub id: Option<String>,
    /// Name of the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Selects capacity reservations: all of its fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CapacityReservationSelectorTerm {
    /// Tags; `*` is any value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = selector_tags)]
    pub tags: Option<BTreeMap<String, String>>,
    /// `cr-...`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = RESERVATION))]
    pub id: Option<String>,
    /// Account, 12 digits.
    #[serde(rename = "ownerID", skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = ACCOUNT))]
    pub owner_id: Option<String>,
    /// `open` or `targeted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = one_of(&["open", "targeted"]))]
    pub instance_match_criteria: Option<String>,
}

/// Selects one placement group: by exactly one field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules(PLACEMENT_GROUP_RULES))]
pub struct PlacementGroupSelector {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub name: Option<String>,
    /// `pg-...`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^pg-[0-9a-z]+$"))]
    pub id: Option<String>,
}

/// Selects images: all of its fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AmiSelectorTerm {
    /// `family@version`, the only field and the only term then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 30), transform = rules(ALIAS_RULES))]
    pub alias: Option<String>,
    /// Tags; `*` is any value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = selector_tags)]
    pub tags: Option<BTreeMap<String, String>>,
    /// `ami-...`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "ami-[0-9a-z]+"))]
    pub id: Option<String>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Account or alias of the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Parameter that holds the image's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssm_parameter: Option<String>,
}

/// A volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockDeviceMapping {
    /// `/dev/xvda`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// Whether the kubelet's root is on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_volume: Option<bool>,
    /// Its EBS volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ebs: Option<EbsBlockDevice>,
}

/// An EBS volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules(EBS_RULES))]
pub struct EbsBlockDevice {
    /// Whether it goes with the instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_on_termination: Option<bool>,
    /// Whether it is encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,
    /// Operations per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iops: Option<i64>,
    /// Key: id, alias or ARN.
    #[serde(rename = "kmsKeyID", skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    /// Snapshot that it starts from.
    #[serde(rename = "snapshotID", skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
    /// MiB per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput: Option<i64>,
    /// MiB per second, 100 to 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 300))]
    pub volume_initialization_rate: Option<i32>,
    /// Size, in `Gi`, `G`, `Ti` or `T`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = quantity_of(VOLUME_SIZE))]
    pub volume_size: Option<Quantity>,
    /// `gp3`, `gp2`, `io1`, `io2`, `sc1`, `st1` or `standard`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = one_of(&["standard", "io1", "io2", "gp2", "sc1", "st1", "gp3"]))]
    pub volume_type: Option<String>,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkInterfaceSpec {
    /// Network card.
    #[schemars(range(min = 0))]
    pub network_card_index: i32,
    /// Device on the card.
    #[schemars(range(min = 0))]
    pub device_index: i32,
    /// `interface` or `efa-only`.
    #[schemars(transform = one_of(&["interface", "efa-only"]))]
    pub interface_type: String,
}

/// The instance metadata service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetadataOptions {
    /// `enabled` or `disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "enabled"), transform = one_of(&["enabled", "disabled"]))]
    pub http_endpoint: Option<String>,
    /// `enabled` or `disabled`.
    #[serde(rename = "httpProtocolIPv6", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "disabled"), transform = one_of(&["enabled", "disabled"]))]
    pub http_protocol_ipv6: Option<String>,
    /// 1 to 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64), extend("default" = 1))]
    pub http_put_response_hop_limit: Option<i64>,
    /// `required` or `optional`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "required"), transform = one_of(&["required", "optional"]))]
    pub http_tokens: Option<String>,
}

/// Nitro Enclaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnclaveOptions {
    /// Whether they can be used.
    pub enabled: bool,
}

/// Time-outs of tracked connections, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules(TRACKING_RULES))]
pub struct ConnectionTracking {
    /// 60 to 432,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 432_000))]
    pub tcp_established_timeout: Option<i32>,
    /// 60 to 180.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 180))]
    pub udp_stream_timeout: Option<i32>,
    /// 30 to 60.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 30, max = 60))]
    pub udp_timeout: Option<i32>,
}

/// Processor features.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CpuOptions {
    /// `enabled` or `disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = one_of(&["enabled", "disabled"]))]
    pub nested_virtualization: Option<String>,
}

/// What the selectors found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EC2NodeClassStatus {
    /// Subnets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnets: Option<Vec<SubnetStatus>>,
    /// Security groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<SecurityGroupStatus>>,
    /// Capacity reservations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_reservations: Option<Vec<CapacityReservationStatus>>,
    /// Images, newest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amis: Option<Vec<AmiStatus>>,
    /// The profile of new instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_profile: Option<String>,
    /// `AMIsReady`, `SubnetsReady`, `SecurityGroupsReady`, ..., `Ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = conditions)]
    pub conditions: Option<Vec<Condition>>,
}

/// A subnet that was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubnetStatus {
    /// `subnet-...`.
    pub id: String,
    /// Zone name.
    pub zone: String,
    /// Zone id, the same in every account.
    #[serde(rename = "zoneID", skip_serializing_if = "Option::is_none")]
    pub zone_id: Option<String>,
}

/// A security group that was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroupStatus {
    /// `sg-...`.
    pub id: String,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A capacity reservation that was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CapacityReservationStatus {
    /// Zone name.
    pub availability_zone: String,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Time>,
    /// `cr-...`.
    #[schemars(regex(pattern = RESERVATION))]
    pub id: String,
    /// `open` or `targeted`.
    #[schemars(transform = one_of(&["open", "targeted"]))]
    pub instance_match_criteria: String,
    /// Instance type.
    pub instance_type: String,
    /// Account.
    #[serde(rename = "ownerID")]
    #[schemars(regex(pattern = ACCOUNT))]
    pub owner_id: String,
    /// `default` or `capacity-block`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "default"), transform = one_of(&["default", "capacity-block"]))]
    pub reservation_type: Option<String>,
    /// Whether it may be taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interruptible: Option<bool>,
    /// `active` or `expiring`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "active"), transform = one_of(&["active", "expiring"]))]
    pub state: Option<String>,
}

/// An image that was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AmiStatus {
    /// `ami-...`.
    pub id: String,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether its owner deprecated it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<bool>,
    /// Instance types that it runs on.
    #[schemars(transform = image_requirements)]
    pub requirements: Vec<NodeSelectorRequirement>,
}
