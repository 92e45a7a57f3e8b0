//! The content of a launch template: everything of an instance that its type, zone and price do not decide.
//!
//! Fields as in the AWS provider of Karpenter v1.15.1 (`pkg/providers/launchtemplate`). Templates of equal content have the same name, so
//! that one serves every launch that needs it.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{
    CapacityReservationPreference, CapacityReservationTarget, ConnectionTrackingSpecificationRequest,
    LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateCapacityReservationSpecificationRequest,
    LaunchTemplateCpuOptionsRequest, LaunchTemplateEbsBlockDeviceRequest, LaunchTemplateEnclaveOptionsRequest,
    LaunchTemplateIamInstanceProfileSpecificationRequest, LaunchTemplateInstanceMarketOptionsRequest,
    LaunchTemplateInstanceMetadataOptionsRequest, LaunchTemplateInstanceMetadataTagsState,
    LaunchTemplateInstanceNetworkInterfaceSpecificationRequest, LaunchTemplatePlacementRequest,
    LaunchTemplateTagSpecificationRequest, LaunchTemplatesMonitoringRequest, MarketType, RequestLaunchTemplateData, ResourceType,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::adapters::aws::cloud::tags;
use crate::adapters::kube::crd::{BlockDeviceMapping, ConnectionTracking, EbsBlockDevice, MetadataOptions};
use crate::domain::node_class::AmiFamily;
use crate::domain::quantity::Quantity;

/// Regions whose EC2 does not know whether the metadata service has an IPv6 address.
const WITHOUT_METADATA_IPV6: &[&str] =
    &["us-iso-east-1", "us-iso-west-1", "us-isob-east-1", "us-isob-west-1", "us-isof-east-1", "us-isof-south-1"];
const GIB: i64 = 1 << 30;

/// The content of a launch template.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Template {
    pub(super) cluster: String,
    pub(super) image: String,
    pub(super) instance_profile: String,
    pub(super) detailed_monitoring: bool,
    /// In base64.
    pub(super) user_data: Option<String>,
    pub(super) volumes: Vec<BlockDeviceMapping>,
    pub(super) metadata: MetadataOptions,
    pub(super) interfaces: Vec<Interface>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) spot: bool,
    pub(super) tenancy: String,
    pub(super) placement_group: Option<PlacementGroup>,
    pub(super) partition: Option<i32>,
    pub(super) enclaves: bool,
    pub(super) nested_virtualization: Option<String>,
    pub(super) reservation: Option<Reservation>,
}

/// The placement group of the instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) enum PlacementGroup {
    Id(String),
    Name(String),
}

/// The capacity reservation that the instance is taken from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Reservation {
    pub(super) id: String,
    pub(super) capacity_block: bool,
    pub(super) interruptible: bool,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Interface {
    /// The network card; not said of the only interface.
    pub(super) card: Option<i32>,
    pub(super) device: i32,
    /// `interface`, `efa` or `efa-only`.
    pub(super) kind: Option<String>,
    pub(super) security_groups: Vec<String>,
    /// What only interfaces with IP addresses have.
    pub(super) addresses: Option<Addresses>,
}

/// IP addresses of an interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Addresses {
    pub(super) public: Option<bool>,
    pub(super) prefixes: Option<i32>,
    /// Of an EFA none: its primary address is decided by the subnet.
    pub(super) ipv6: bool,
    pub(super) primary_ipv6: bool,
    pub(super) tracking: Option<ConnectionTracking>,
}

/// The volumes of images of a family that a NodeClass says nothing of; nothing for the user's own images.
pub(super) fn default_volumes(family: AmiFamily) -> Vec<BlockDeviceMapping> {
    let devices: &[&str] = match family {
        AmiFamily::Al2 | AmiFamily::Al2023 => &["/dev/xvda"],
        AmiFamily::Bottlerocket => &["/dev/xvda", "/dev/xvdb"],
        AmiFamily::Windows2019 | AmiFamily::Windows2022 | AmiFamily::Windows2025 => &["/dev/sda1"],
        AmiFamily::Custom => &[],
    };
    let make = |(device, size): (&&str, &i64)| BlockDeviceMapping {
        device_name: Some((*device).to_owned()),
        root_volume: None,
        ebs: Some(EbsBlockDevice {
            encrypted: Some(true),
            volume_type: Some("gp3".to_owned()),
            volume_size: Some(k8s_openapi::apimachinery::pkg::api::resource::Quantity(size.to_string())),
            ..EbsBlockDevice::default()
        }),
    };
    devices.iter().zip(family.default_volumes()).map(make).collect()
}

/// The metadata service where the NodeClass says nothing of it: off, as Karpenter has it. The CRD fills the field in, so that is rare.
pub(super) fn default_metadata(ipv6: bool) -> MetadataOptions {
    MetadataOptions {
        http_endpoint: Some("disabled".to_owned()),
        http_protocol_ipv6: Some(if ipv6 { "enabled" } else { "disabled" }.to_owned()),
        http_put_response_hop_limit: Some(2),
        http_tokens: Some("required".to_owned()),
    }
}

impl Template {
    /// `karpenter.k8s.aws/<number>`, the number being the beginning of the SHA-256 of the content.
    pub(super) fn name(&self) -> String {
        let content = serde_json::to_string(self).expect("a structure of texts and numbers with texts for keys is JSON");
        let digest = Sha256::digest(content.as_bytes());
        let number = digest.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        format!("karpenter.k8s.aws/{number}")
    }

    /// The content as EC2 takes it in `region`.
    pub(super) fn for_ec2(&self, region: &str) -> RequestLaunchTemplateData {
        let mut tagged = vec![ResourceType::NetworkInterface];
        if self.spot {
            tagged.push(ResourceType::SpotInstancesRequest);
        }
        let tagged = tagged.into_iter().map(|kind| {
            LaunchTemplateTagSpecificationRequest::builder().resource_type(kind).set_tags(Some(tags::for_ec2(&self.tags))).build()
        });
        let volumes: Vec<LaunchTemplateBlockDeviceMappingRequest> = self.volumes.iter().map(volume).collect();
        RequestLaunchTemplateData::builder()
            .image_id(&self.image)
            .iam_instance_profile(
                LaunchTemplateIamInstanceProfileSpecificationRequest::builder().name(&self.instance_profile).build(),
            )
            .monitoring(LaunchTemplatesMonitoringRequest::builder().enabled(self.detailed_monitoring).build())
            .set_user_data(self.user_data.clone())
            .set_block_device_mappings((!volumes.is_empty()).then_some(volumes))
            .metadata_options(self.metadata_for_ec2(region))
            .set_network_interfaces(Some(self.interfaces.iter().map(Interface::for_ec2).collect()))
            .set_tag_specifications(Some(tagged.collect()))
            .placement(self.placement())
            .enclave_options(LaunchTemplateEnclaveOptionsRequest::builder().enabled(self.enclaves).build())
            .set_cpu_options(
                self.nested_virtualization.as_ref().map(|wanted| {
                    LaunchTemplateCpuOptionsRequest::builder().nested_virtualization(wanted.as_str().into()).build()
                }),
            )
            .capacity_reservation_specification(self.reservation_for_ec2())
            .set_instance_market_options(self.market())
            .build()
    }

    fn metadata_for_ec2(&self, region: &str) -> LaunchTemplateInstanceMetadataOptionsRequest {
        let given = &self.metadata;
        let knows_ipv6 = !WITHOUT_METADATA_IPV6.contains(&region);
        let ipv6 = given.http_protocol_ipv6.as_deref().filter(|_| knows_ipv6);
        LaunchTemplateInstanceMetadataOptionsRequest::builder()
            .set_http_endpoint(given.http_endpoint.as_deref().map(Into::into))
            .set_http_protocol_ipv6(ipv6.map(Into::into))
            .set_http_put_response_hop_limit(given.http_put_response_hop_limit.and_then(|limit| limit.try_into().ok()))
            .set_http_tokens(given.http_tokens.as_deref().map(Into::into))
            .instance_metadata_tags(LaunchTemplateInstanceMetadataTagsState::Disabled)
            .build()
    }

    fn placement(&self) -> LaunchTemplatePlacementRequest {
        let made =
            LaunchTemplatePlacementRequest::builder().tenancy(self.tenancy.as_str().into()).set_partition_number(self.partition);
        match &self.placement_group {
            None => made.build(),
            Some(PlacementGroup::Id(id)) => made.group_id(id).build(),
            Some(PlacementGroup::Name(name)) => made.group_name(name).build(),
        }
    }

    /// Instances that are not from a reservation leave open ones alone: they are for those who ask for them.
    fn reservation_for_ec2(&self) -> LaunchTemplateCapacityReservationSpecificationRequest {
        let made = LaunchTemplateCapacityReservationSpecificationRequest::builder();
        match &self.reservation {
            None => made.capacity_reservation_preference(CapacityReservationPreference::None).build(),
            Some(reservation) => made
                .capacity_reservation_preference(CapacityReservationPreference::CapacityReservationsOnly)
                .capacity_reservation_target(
                    CapacityReservationTarget::builder().capacity_reservation_id(&reservation.id).build(),
                )
                .build(),
        }
    }

    fn market(&self) -> Option<LaunchTemplateInstanceMarketOptionsRequest> {
        let kind = match self.reservation.as_ref()? {
            Reservation { capacity_block: true, .. } => MarketType::CapacityBlock,
            Reservation { interruptible: true, .. } => MarketType::InterruptibleCapacityReservation,
            Reservation { .. } => return None,
        };
        Some(LaunchTemplateInstanceMarketOptionsRequest::builder().market_type(kind).build())
    }
}

impl Interface {
    fn for_ec2(&self) -> LaunchTemplateInstanceNetworkInterfaceSpecificationRequest {
        let made = LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
            .device_index(self.device)
            .set_network_card_index(self.card)
            .set_interface_type(self.kind.clone())
            .set_groups(Some(self.security_groups.clone()));
        let Some(addresses) = &self.addresses else { return made.build() };
        let made = if addresses.ipv6 {
            made.set_ipv6_prefix_count(addresses.prefixes)
        } else {
            made.set_ipv4_prefix_count(addresses.prefixes)
        };
        let made = if addresses.primary_ipv6 { made.primary_ipv6(true).ipv6_address_count(1) } else { made };
        made.set_associate_public_ip_address(addresses.public)
            .set_connection_tracking_specification(addresses.tracking.as_ref().map(|tracking| {
                ConnectionTrackingSpecificationRequest::builder()
                    .set_tcp_established_timeout(tracking.tcp_established_timeout)
                    .set_udp_stream_timeout(tracking.udp_stream_timeout)
                    .set_udp_timeout(tracking.udp_timeout)
                    .build()
            }))
            .build()
    }
}

fn volume(mapping: &BlockDeviceMapping) -> LaunchTemplateBlockDeviceMappingRequest {
    let ebs = mapping.ebs.as_ref().map(|ebs| {
        // A whole number of GiB, at least as many as are wanted. Sizes that are none were refused with the NodeClass.
        let bytes = ebs.volume_size.as_ref().and_then(|size| Quantity::parse(&size.0).ok()).map(Quantity::value);
        let size = bytes.and_then(|bytes| i32::try_from((bytes + GIB - 1) / GIB).ok());
        let above_zero = |value: Option<i64>| value.and_then(|value| i32::try_from(value).ok()).filter(|value| *value > 0);
        LaunchTemplateEbsBlockDeviceRequest::builder()
            .set_delete_on_termination(ebs.delete_on_termination)
            .set_encrypted(ebs.encrypted)
            .set_iops(above_zero(ebs.iops))
            .set_throughput(above_zero(ebs.throughput))
            .set_kms_key_id(ebs.kms_key_id.clone())
            .set_snapshot_id(ebs.snapshot_id.clone())
            .set_volume_size(size)
            .set_volume_type(ebs.volume_type.as_deref().map(Into::into))
            .set_volume_initialization_rate(ebs.volume_initialization_rate)
            .build()
    });
    LaunchTemplateBlockDeviceMappingRequest::builder().set_device_name(mapping.device_name.clone()).set_ebs(ebs).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        let addresses = Addresses { public: Some(true), prefixes: Some(2), ipv6: false, primary_ipv6: false, tracking: None };
        Template {
            cluster: "demo".to_owned(),
            image: "ami-1".to_owned(),
            instance_profile: "profile".to_owned(),
            detailed_monitoring: false,
            user_data: Some("aGk=".to_owned()),
            volumes: default_volumes(AmiFamily::Bottlerocket),
            metadata: default_metadata(false),
            interfaces: vec![Interface {
                card: None,
                device: 0,
                kind: None,
                security_groups: vec!["sg-1".to_owned()],
                addresses: Some(addresses),
            }],
            tags: [("a".to_owned(), "b".to_owned())].into(),
            spot: true,
            tenancy: "default".to_owned(),
            placement_group: None,
            partition: None,
            enclaves: false,
            nested_virtualization: None,
            reservation: None,
        }
    }

    #[test]
    fn the_name_follows_from_the_content() {
        let name = template().name();
        assert!(name.strip_prefix("karpenter.k8s.aws/").is_some_and(|number| number.parse::<u64>().is_ok()), "{name}");
        assert_eq!(name, template().name());
        for other in [
            Template { image: "ami-2".to_owned(), ..template() },
            Template { cluster: "other".to_owned(), ..template() },
            Template { spot: false, ..template() },
            Template { volumes: Vec::new(), ..template() },
        ] {
            assert_ne!(name, other.name());
        }
    }

    #[test]
    fn ec2_gets_what_the_class_says() {
        let made = template().for_ec2("us-east-1");
        let sizes: Vec<(Option<&str>, Option<i32>)> = made
            .block_device_mappings()
            .iter()
            .map(|mapping| (mapping.device_name(), mapping.ebs().and_then(LaunchTemplateEbsBlockDeviceRequest::volume_size)))
            .collect();
        assert_eq!(sizes, [(Some("/dev/xvda"), Some(6)), (Some("/dev/xvdb"), Some(20))]);
        let interface = &made.network_interfaces()[0];
        assert_eq!(interface.groups(), ["sg-1"]);
        assert_eq!((interface.ipv4_prefix_count(), interface.ipv6_prefix_count()), (Some(2), None));
        let kinds: Vec<&str> = made.tag_specifications().iter().filter_map(|tags| Some(tags.resource_type()?.as_str())).collect();
        assert_eq!(kinds, ["network-interface", "spot-instances-request"]);
        assert!(made.metadata_options().is_some_and(|options| options.http_protocol_ipv6().is_some()));
        let isolated = template().for_ec2("us-iso-east-1");
        assert!(isolated.metadata_options().is_some_and(|options| options.http_protocol_ipv6().is_none()));
    }

    #[test]
    fn a_reservation_is_the_only_place_to_go() {
        let reservation = |capacity_block, interruptible| Template {
            spot: false,
            reservation: Some(Reservation { id: "cr-1".to_owned(), capacity_block, interruptible }),
            ..template()
        };
        let market = |template: &Template| template.market().and_then(|market| market.market_type().cloned());
        assert_eq!(market(&reservation(false, false)), None);
        assert_eq!(market(&reservation(true, false)), Some(MarketType::CapacityBlock));
        assert_eq!(market(&reservation(false, true)), Some(MarketType::InterruptibleCapacityReservation));
        let preference = |template: &Template| template.reservation_for_ec2().capacity_reservation_preference().cloned();
        assert_eq!(preference(&reservation(false, false)), Some(CapacityReservationPreference::CapacityReservationsOnly));
        assert_eq!(preference(&template()), Some(CapacityReservationPreference::None));
    }
}
