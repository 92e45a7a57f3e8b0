//! Instance types: the facts of EC2's DescribeInstanceTypes that decide which pods a node takes, and the labels they become.
//!
//! Labels follow the AWS provider v1.15.1 (`pkg/providers/instancetype/types.go`, `computeRequirements`): a label that a type
//! cannot have is `DoesNotExist`, so that a pod that asks for it is refused. Zone, zone id and capacity type are not here: they
//! belong to the offering. How much of the hardware pods may use is in [`crate::domain::allocatable`].

use std::collections::BTreeSet;
use std::fmt;

use crate::domain::catalog::Offering;
use crate::domain::labels;
use crate::domain::node_class::{AmiFamily, NodeClass};
use crate::domain::requirement::{Requirement, Requirements};

/// Instruction sets that a node can have; types of other architectures (Mac) are in no catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// 64-bit x86.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

impl Architecture {
    /// The value of the label `kubernetes.io/arch`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The architecture of that label value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Amd64, Self::Arm64].into_iter().find(|architecture| architecture.as_str() == text)
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One kind of device on a type: GPUs, inference accelerators or Neuron devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// As EC2 writes it: `A100`, `Inferentia2`.
    pub name: String,
    /// As EC2 writes it: `NVIDIA`, `AWS`.
    pub manufacturer: String,
    /// How many whole devices. 0 for a type that has a fraction of one (`g6f`).
    pub count: i64,
    /// Memory of one device, in MiB.
    pub memory_mib: i64,
    /// Neuron cores of one device; 0 for every other kind.
    pub cores: i64,
}

/// What an instance type can attach to the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Interfaces that each network card holds, by card index. Never empty.
    pub interfaces_per_card: Vec<i64>,
    /// The card that pods get their addresses from; an index into `interfaces_per_card`.
    pub default_card: usize,
    /// IPv4 addresses of one interface, its own included.
    pub ipv4_per_interface: i64,
    /// Whether the Elastic Network Adapter works.
    pub ena: bool,
    /// Elastic Fabric Adapters at most; 0 when the type has none.
    pub efa_interfaces: i64,
    /// Branch interfaces for pods with security groups of their own; 0 when the type cannot trunk.
    pub branch_interfaces: i64,
    /// Whether traffic between instances is encrypted by the hardware.
    pub encryption_in_transit: bool,
    /// Baseline bandwidth in Mbit/s; `None` where AWS only says `Moderate` or the like.
    pub bandwidth_mbps: Option<i64>,
}

impl Network {
    /// Interfaces of the default card: the only ones that the VPC CNI gives to pods.
    #[must_use]
    pub fn default_card_interfaces(&self) -> i64 {
        self.interfaces_per_card.get(self.default_card).copied().unwrap_or(0)
    }
}

/// What DescribeInstanceTypes says about a type, and its offerings.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceType {
    /// `m7i.large`.
    pub name: String,
    /// First supported architecture that Kubernetes knows.
    pub architecture: Architecture,
    /// Default number of vCPUs.
    pub vcpus: i64,
    /// Memory in MiB, before anything is taken off.
    pub memory_mib: i64,
    /// As EC2 writes it: `Intel`, `AMD`, `AWS`.
    pub cpu_manufacturer: String,
    /// Sustained clock speed in MHz; 0 when EC2 gives none.
    pub clock_mhz: i64,
    /// `nitro`, `xen`, or empty for bare metal.
    pub hypervisor: String,
    /// Whether the instance is a whole machine.
    pub bare_metal: bool,
    /// Whether CPU is sold in credits (`t3`, ...).
    pub burstable: bool,
    /// Whether AWS counts it to the current generation.
    pub current_generation: bool,
    /// Whether it can be bought On-Demand.
    pub on_demand: bool,
    /// Whether it can be bought on the Spot market.
    pub spot: bool,
    /// Whether `nested-virtualization` is among the processor's features.
    pub nested_virtualization: bool,
    /// Whether Nitro Enclaves are supported.
    pub enclaves: bool,
    /// Network.
    pub network: Network,
    /// Maximum EBS bandwidth in Mbit/s, when the type is EBS-optimised by default.
    pub ebs_bandwidth_mbps: Option<i64>,
    /// EBS volumes that can be attached, the root volume included; `None` where the catalog does not say.
    pub ebs_attachments: Option<i64>,
    /// Whether network interfaces beyond the first take from [`Self::ebs_attachments`].
    pub ebs_attachments_shared: bool,
    /// Size of all local disks together, in GB (10^9 bytes).
    pub instance_store_gb: Option<i64>,
    /// Whether the local disks are NVMe.
    pub instance_store_nvme: bool,
    /// GPUs, one entry per kind.
    pub gpus: Vec<Device>,
    /// Inference accelerators, one entry per kind; Inferentia is in `neuron_devices` too.
    pub accelerators: Vec<Device>,
    /// AWS Neuron devices (Inferentia, Trainium), one entry per kind.
    pub neuron_devices: Vec<Device>,
    /// Zones that have it, whether its price there is known or not.
    pub zones: BTreeSet<String>,
    /// Where and how it is sold at a known price, sorted by zone and capacity type.
    pub offerings: Vec<Offering>,
}

impl InstanceType {
    /// The part of the name before the dot: `m7i-flex`.
    #[must_use]
    pub fn family(&self) -> Option<&str> {
        self.family_and_size().map(|(family, _)| family)
    }

    /// The part of the name after the dot: `large`, `metal-48xl`.
    #[must_use]
    pub fn size(&self) -> Option<&str> {
        self.family_and_size().map(|(_, size)| size)
    }

    fn family_and_size(&self) -> Option<(&str, &str)> {
        self.name.split_once('.').filter(|(_, size)| !size.contains('.'))
    }

    /// Category and generation as the name tells them: `m5dn.large` is `m` and `5`, `u-6tb1.metal` is `u` and `1`.
    ///
    /// The name is letters, perhaps `-<digits>tb`, digits, anything, a dot; other names have neither.
    #[must_use]
    pub fn category_and_generation(&self) -> Option<(&str, &str)> {
        let (category, rest) = split_while(&self.name, |b| b.is_ascii_lowercase());
        let rest = rest.strip_prefix('-').map_or(Some(rest), |after| {
            let (digits, after) = split_while(after, |b| b.is_ascii_digit());
            after.strip_prefix("tb").filter(|_| !digits.is_empty())
        })?;
        let (generation, rest) = split_while(rest, |b| b.is_ascii_digit());
        (!category.is_empty() && !generation.is_empty() && rest.contains('.')).then_some((category, generation))
    }

    /// Every label that a node of this type has under `node_class` in `region`, save zone, zone id and capacity type.
    #[must_use]
    pub fn requirements(&self, node_class: &NodeClass, region: &str) -> Requirements {
        let mut made = Requirements::new();
        made.add(labels::INSTANCE_TYPE, Requirement::one_of([self.name.as_str()]));
        made.add(labels::ARCH, Requirement::one_of([self.architecture.as_str()]));
        made.add(labels::REGION, Requirement::one_of([region]));
        made.add(labels::OS, Requirement::one_of(self.operating_system(node_class.ami_family)));
        made.add(labels::WINDOWS_BUILD, Requirement::one_of(node_class.ami_family.windows_build()));
        made.add(labels::TENANCY, Requirement::one_of(["default", "dedicated"]));

        // Nothing here is bought from a capacity reservation.
        for name in ["capacity-reservation-id", "capacity-reservation-interruptible", "capacity-reservation-type"] {
            made.add(&aws(name), Requirement::none());
        }

        let name_parts = self.category_and_generation();
        let gpu = only(&self.gpus);
        let accelerator = only(&self.neuron_devices)
            .map(|device| (device, "aws".to_owned()))
            .or_else(|| self.only_other_accelerator().map(|device| (device, kebab(&device.manufacturer))));
        let nvme_gb = self.instance_store_gb.filter(|_| self.instance_store_nvme);
        let flexible = self.name.split('.').next().is_some_and(|family| family.contains("-flex"));
        let one_valued: [(&str, Option<String>); 20] = [
            ("instance-accelerator-count", accelerator.as_ref().map(|(device, _)| device.count.to_string())),
            ("instance-accelerator-manufacturer", accelerator.as_ref().map(|(_, manufacturer)| manufacturer.clone())),
            ("instance-accelerator-name", accelerator.as_ref().map(|(device, _)| kebab(&device.name))),
            ("instance-capability-flex", Some(flexible.to_string())),
            ("instance-category", name_parts.map(|(category, _)| category.to_owned())),
            ("instance-cpu", Some(self.vcpus.to_string())),
            ("instance-cpu-manufacturer", Some(kebab(&self.cpu_manufacturer))),
            ("instance-cpu-sustained-clock-speed-mhz", Some(self.clock_mhz.to_string())),
            ("instance-ebs-bandwidth", self.ebs_bandwidth_mbps.map(|mbps| mbps.to_string())),
            ("instance-encryption-in-transit-supported", Some(self.network.encryption_in_transit.to_string())),
            ("instance-family", self.family().map(str::to_owned)),
            ("instance-generation", name_parts.map(|(_, generation)| generation.to_owned())),
            ("instance-gpu-count", gpu.map(|device| device.count.to_string())),
            ("instance-gpu-manufacturer", gpu.map(|device| kebab(&device.manufacturer))),
            ("instance-gpu-memory", gpu.map(|device| device.memory_mib.to_string())),
            ("instance-gpu-name", gpu.map(|device| kebab(&device.name))),
            ("instance-hypervisor", Some(self.hypervisor.clone())),
            ("instance-local-nvme", nvme_gb.map(|gb| gb.to_string())),
            ("instance-memory", Some(self.memory_mib.to_string())),
            ("instance-network-bandwidth", self.network.bandwidth_mbps.map(|mbps| mbps.to_string())),
        ];
        for (name, value) in one_valued {
            made.add(&aws(name), Requirement::one_of(value));
        }
        made.add(&aws("instance-size"), Requirement::one_of(self.size()));
        made
    }

    /// The label values of `kubernetes.io/os`; none when the family has no image for the architecture.
    pub(crate) fn operating_system(&self, family: AmiFamily) -> Option<&'static str> {
        match (family.windows_build(), self.architecture) {
            (None, _) => Some("linux"),
            (Some(_), Architecture::Amd64) => Some("windows"),
            (Some(_), Architecture::Arm64) => None,
        }
    }

    /// The inference accelerator of a type without Neuron devices.
    fn only_other_accelerator(&self) -> Option<&Device> {
        only(&self.accelerators).filter(|_| self.neuron_devices.is_empty())
    }
}

/// The only entry: with several kinds of device, one label could not name them.
fn only(devices: &[Device]) -> Option<&Device> {
    match devices {
        [one] => Some(one),
        _ => None,
    }
}

fn aws(name: &str) -> String {
    format!("{}/{name}", labels::AWS_DOMAIN)
}

/// Names of devices as label values: `RTX PRO 4500` is `rtx-pro-4500`.
fn kebab(text: &str) -> String {
    text.replace(' ', "-").to_lowercase()
}

fn split_while(text: &str, wanted: impl Fn(u8) -> bool) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !wanted(byte)).unwrap_or(text.len()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::catalog::{CapacityType, Offering, PriceKind};
    use crate::domain::money::UsdPerHour;

    /// An Intel type with one network card and nothing else.
    pub(crate) fn plain(name: &str, vcpus: i64, memory_gib: i64, interfaces: i64, ipv4_per_interface: i64) -> InstanceType {
        InstanceType {
            name: name.to_owned(),
            architecture: Architecture::Amd64,
            vcpus,
            memory_mib: memory_gib * 1024,
            cpu_manufacturer: "Intel".to_owned(),
            clock_mhz: 3100,
            hypervisor: "nitro".to_owned(),
            bare_metal: false,
            burstable: false,
            current_generation: true,
            on_demand: true,
            spot: true,
            nested_virtualization: false,
            enclaves: false,
            network: Network {
                interfaces_per_card: vec![interfaces],
                default_card: 0,
                ipv4_per_interface,
                ena: true,
                efa_interfaces: 0,
                branch_interfaces: 0,
                encryption_in_transit: false,
                bandwidth_mbps: None,
            },
            ebs_bandwidth_mbps: None,
            ebs_attachments: Some(27),
            ebs_attachments_shared: true,
            instance_store_gb: None,
            instance_store_nvme: false,
            gpus: Vec::new(),
            accelerators: Vec::new(),
            neuron_devices: Vec::new(),
            zones: BTreeSet::new(),
            offerings: Vec::new(),
        }
    }

    /// A type with 4 GiB per vCPU at `price` micro-dollars On-Demand in zones a and b, and on Spot at half of it in zone a.
    pub(crate) fn sold(name: &str, architecture: Architecture, vcpus: i64, price: i64) -> InstanceType {
        let offering = |zone: &str, capacity_type, price| Offering {
            zone: zone.to_owned(),
            capacity_type,
            price: UsdPerHour::from_micros(price),
            price_kind: if capacity_type == CapacityType::Spot { PriceKind::Estimated } else { PriceKind::Listed },
            available: true,
        };
        let mut made = plain(name, vcpus, 4 * vcpus, 4, 15);
        made.architecture = architecture;
        made.zones = ["us-east-1a", "us-east-1b"].map(str::to_owned).into();
        made.offerings = vec![
            offering("us-east-1a", CapacityType::OnDemand, price),
            offering("us-east-1a", CapacityType::Spot, price / 2),
            offering("us-east-1b", CapacityType::OnDemand, price),
        ];
        made
    }

    pub(crate) fn device(name: &str, manufacturer: &str, count: i64, memory_mib: i64, cores: i64) -> Device {
        Device { name: name.to_owned(), manufacturer: manufacturer.to_owned(), count, memory_mib, cores }
    }

    fn shown(instance_type: &InstanceType, class: &NodeClass, label: &str) -> String {
        let requirements = instance_type.requirements(class, "us-east-1");
        requirements.get(label).map_or_else(|| "undefined".to_owned(), ToString::to_string)
    }

    #[test]
    fn category_and_generation_come_from_the_name() {
        let cases = [
            ("m5dn.large", Some(("m", "5"))),
            ("u-6tb1.metal", Some(("u", "1"))),
            ("u7in-16tb.224xlarge", Some(("u", "7"))),
            ("trn1n.32xlarge", Some(("trn", "1"))),
            ("m7i-flex.large", Some(("m", "7"))),
            ("hpc10a.large", Some(("hpc", "10"))),
            ("mac-m4.metal", None),
            ("u-tb1.metal", None),
            ("m5", None),
            ("5m.large", None),
            (".large", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(plain(name, 1, 1, 1, 2).category_and_generation(), expected, "{name}");
        }
    }

    #[test]
    fn labels_that_a_type_cannot_have_are_absent_rather_than_undefined() {
        let (made, class) = (plain("m5.large", 2, 8, 3, 10), NodeClass::al2023("default"));
        let cases = [
            ("karpenter.k8s.aws/instance-gpu-count", "DoesNotExist"),
            ("karpenter.k8s.aws/instance-accelerator-name", "DoesNotExist"),
            ("karpenter.k8s.aws/instance-local-nvme", "DoesNotExist"),
            ("karpenter.k8s.aws/instance-network-bandwidth", "DoesNotExist"),
            ("karpenter.k8s.aws/instance-ebs-bandwidth", "DoesNotExist"),
            ("karpenter.k8s.aws/capacity-reservation-id", "DoesNotExist"),
            ("node.kubernetes.io/windows-build", "DoesNotExist"),
            ("karpenter.k8s.aws/instance-family", "In [m5]"),
            ("karpenter.k8s.aws/instance-size", "In [large]"),
            ("karpenter.k8s.aws/instance-cpu", "In [2]"),
            ("karpenter.k8s.aws/instance-memory", "In [8192]"),
            ("karpenter.k8s.aws/instance-cpu-manufacturer", "In [intel]"),
            ("karpenter.k8s.aws/instance-capability-flex", "In [false]"),
            ("karpenter.k8s.aws/instance-tenancy", "In [dedicated, default]"),
            ("kubernetes.io/os", "In [linux]"),
            ("topology.kubernetes.io/region", "In [us-east-1]"),
            ("topology.kubernetes.io/zone", "undefined"),
            ("topology.k8s.aws/zone-id", "undefined"),
            ("karpenter.sh/capacity-type", "undefined"),
        ];
        for (label, expected) in cases {
            assert_eq!(shown(&made, &class, label), expected, "{label}");
        }
    }

    /// A label that requirements may name but no type defines would match everything (they are well known).
    #[test]
    fn every_label_made_is_one_that_requirements_may_name() {
        let requirements = plain("m5.large", 2, 8, 3, 10).requirements(&NodeClass::al2023("default"), "us-east-1");
        for (key, _) in requirements.iter() {
            assert!(labels::is_well_known(key), "{key}");
        }
        assert_eq!(requirements.len(), 30);
    }

    #[test]
    fn accelerators_are_named_by_kind() {
        let class = NodeClass::al2023("default");
        let mut made = plain("inf2.xlarge", 4, 16, 4, 15);
        made.accelerators = vec![device("Inferentia2", "AWS", 1, 32_768, 0)];
        made.neuron_devices = vec![device("Inferentia2", "whoever", 1, 32_768, 2)];
        assert_eq!(shown(&made, &class, "karpenter.k8s.aws/instance-accelerator-manufacturer"), "In [aws]");
        made.neuron_devices.clear();
        made.accelerators = vec![device("AI100", "Qualcomm", 8, 16_000, 0)];
        assert_eq!(shown(&made, &class, "karpenter.k8s.aws/instance-accelerator-manufacturer"), "In [qualcomm]");
        made.accelerators.push(device("Other", "Qualcomm", 1, 16_000, 0));
        assert_eq!(shown(&made, &class, "karpenter.k8s.aws/instance-accelerator-count"), "DoesNotExist");

        made.gpus = vec![device("RTX PRO 4500", "NVIDIA", 2, 32_768, 0)];
        assert_eq!(shown(&made, &class, "karpenter.k8s.aws/instance-gpu-name"), "In [rtx-pro-4500]");
        made.gpus.push(device("T4", "NVIDIA", 1, 16_384, 0));
        assert_eq!(shown(&made, &class, "karpenter.k8s.aws/instance-gpu-name"), "DoesNotExist");
    }

    #[test]
    fn local_disks_are_a_label_only_when_they_are_nvme() {
        let class = NodeClass::al2023("default");
        let mut made = plain("d2.xlarge", 4, 30, 4, 15);
        made.instance_store_gb = Some(6_000);
        assert_eq!(shown(&made, &class, "karpenter.k8s.aws/instance-local-nvme"), "DoesNotExist");
        made.instance_store_nvme = true;
        assert_eq!(shown(&made, &class, "karpenter.k8s.aws/instance-local-nvme"), "In [6000]");
    }

    #[test]
    fn windows_runs_on_amd64_alone() {
        let class = NodeClass { ami_family: AmiFamily::Windows2022, ..NodeClass::al2023("windows") };
        let mut made = plain("m5.large", 2, 8, 3, 10);
        assert_eq!(shown(&made, &class, "kubernetes.io/os"), "In [windows]");
        assert_eq!(shown(&made, &class, "node.kubernetes.io/windows-build"), "In [10.0.20348]");
        made.architecture = Architecture::Arm64;
        assert_eq!(shown(&made, &class, "kubernetes.io/os"), "DoesNotExist");
    }
}
