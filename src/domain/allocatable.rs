//! What a node of an instance type offers to pods: capacity minus what the system keeps.
//!
//! ```text
//! allocatable = capacity - kubeReserved - systemReserved - evictionHard     per resource, at least 0
//! ```
//! The formulas are those of the AWS provider v1.15.1 (`pkg/providers/instancetype/types.go`), its options being
//! [`InstanceSettings`]; `docs/allocatable.md` compares the results with its documentation. Expressions in kubelet settings (gate
//! `NodeClassCEL`) are off there by default and unknown here. What NodeOverlays add is in [`crate::domain::node_overlay`].

use crate::domain::catalog::Catalog;
use crate::domain::instance_settings::InstanceSettings;
use crate::domain::instance_type::{Architecture, Device, InstanceType};
use crate::domain::labels;
use crate::domain::money::{HOURS_PER_MONTH, UsdPerHour};
use crate::domain::node::Node;
use crate::domain::node_class::{AmiFamily, BlockDevice, EvictionThreshold, NodeClass};
use crate::domain::resources::{ResourceName, Resources};
use crate::domain::volume::EBS_DRIVER;

/// Bytes of a MiB.
const MIB: i64 = 1 << 20;
/// Bytes of a GiB.
const GIB: i64 = 1 << 30;

/// Memory that Arm instances reserve for contiguous allocation before the node sees it, in MiB.
const ARM_RESERVED_MIB: i64 = 64;
/// Pods on a node of a family without a limit by network interfaces.
const DEFAULT_MAX_PODS: i64 = 110;
/// Default of `evictionHard` for `memory.available`, in MiB.
const MEMORY_EVICTION_MIB: i64 = 100;
/// Size of a volume whose mapping gives none, and of the one that an image of the user's own brings along.
const DEFAULT_VOLUME: i64 = 20 * GIB;
/// EBS volumes of a type for which the catalog gives no number: 28 slots, one of which the first network interface takes (most Nitro types).
const DEFAULT_EBS_ATTACHMENTS: i64 = 27;
/// Volume type of the families' default mappings.
const DEFAULT_VOLUME_TYPE: &str = "gp3";

/// Resources of a node of `instance_type` before anything is reserved.
#[must_use]
pub fn capacity(instance_type: &InstanceType, node_class: &NodeClass, settings: &InstanceSettings) -> Resources {
    let network = &instance_type.network;
    let gpus_of = |manufacturer: &str| -> i64 {
        instance_type.gpus.iter().filter(|gpu| gpu.manufacturer == manufacturer).map(|gpu| gpu.count).sum()
    };
    let efa_only = node_class.network_interfaces.iter().filter(|interface| interface.efa_only).count();
    // Explicit interfaces override what the type could have.
    let efas = if node_class.network_interfaces.is_empty() { network.efa_interfaces } else { as_amount(efa_only) };
    let private_ipv4 = match instance_type.operating_system(node_class.ami_family) {
        Some("windows") => network.ipv4_per_interface - 1,
        _ => 0,
    };
    Resources::new()
        .with(ResourceName::CPU, instance_type.vcpus * 1000)
        .with(ResourceName::MEMORY, memory(instance_type, node_class, settings))
        .with(ResourceName::EPHEMERAL_STORAGE, ephemeral_storage(instance_type, node_class))
        .with(ResourceName::PODS, pods(instance_type, node_class, settings))
        .with("vpc.amazonaws.com/pod-eni", network.branch_interfaces)
        .with("vpc.amazonaws.com/efa", efas)
        .with("vpc.amazonaws.com/PrivateIPv4Address", private_ipv4)
        .with("nvidia.com/gpu", gpus_of("NVIDIA"))
        .with("amd.com/gpu", gpus_of("AMD"))
        .with("habana.ai/gaudi", gpus_of("Habana"))
        .with("aws.amazon.com/neuron", instance_type.neuron_devices.iter().map(|device| device.count).sum())
        .with("aws.amazon.com/neuroncore", instance_type.neuron_devices.first().map_or(0, Device::all_cores))
}

/// Resources of a node of `instance_type` that pods, DaemonSets included, may ask for.
#[must_use]
pub fn allocatable(instance_type: &InstanceType, node_class: &NodeClass, settings: &InstanceSettings) -> Resources {
    let capacity = capacity(instance_type, node_class, settings);
    let mut reserved = kube_reserved(instance_type, node_class, settings);
    for (name, amount) in &node_class.kubelet.system_reserved {
        reserved.set(name, reserved.get(name).saturating_add(*amount));
    }
    reserved.add(&eviction_threshold(&capacity, node_class));
    let mut left = Resources::new();
    for (name, amount) in capacity.iter() {
        left.set(name.as_str(), amount.saturating_sub(reserved.get(name.as_str())).max(0));
    }
    left.with(ResourceName::attachments_of(EBS_DRIVER).as_str(), attachable_volumes(instance_type, node_class))
}

/// EBS volumes that pods of a node of `instance_type` can have attached.
///
/// What EC2 states for the type (`MaximumEbsAttachments`, which counts neither the first network interface nor local disks), less the
/// volumes that the node brings along, less the other network interfaces where those share the limit
/// (`AttachmentLimitType: shared`; AWS, "Amazon EBS volume limits for Amazon EC2 instances"), and at least 1, like the EBS CSI driver. The
/// driver counts the interfaces that are attached when it starts; the VPC CNI attaches more as pods come, so all that pods can get addresses
/// from are counted here. On Xen interfaces take nothing. Where the catalog does not say,
/// `DEFAULT_EBS_ATTACHMENTS` shared ones.
#[must_use]
pub fn attachable_volumes(instance_type: &InstanceType, node_class: &NodeClass) -> i64 {
    let most = instance_type.ebs_attachments.unwrap_or(DEFAULT_EBS_ATTACHMENTS);
    let shared = instance_type.ebs_attachments_shared && instance_type.hypervisor != "xen";
    let interfaces = if shared { (instance_type.network.default_card_interfaces() - 1).max(0) } else { 0 };
    (most - interfaces - as_amount(root_volumes(node_class).len())).max(1)
}

/// What `node`, which exists, offers; where it does not say how many EBS volumes it can have, what its instance type can.
///
/// A node that is on its way says nothing yet, and neither does one whose CSINode is not in the input.
#[must_use]
pub fn offered_by(node: &Node, catalog: &Catalog, node_class: Option<&NodeClass>) -> Resources {
    let attachments = ResourceName::attachments_of(EBS_DRIVER);
    let listed = node.allocatable.get(attachments.as_str()) > 0;
    let of_type = node.labels.get(labels::INSTANCE_TYPE).and_then(|name| catalog.get(name)).filter(|_| !listed);
    match of_type {
        Some(of_type) => {
            let assumed = NodeClass::al2023("");
            let most = attachable_volumes(of_type, node_class.unwrap_or(&assumed));
            node.allocatable.clone().with(attachments.as_str(), most)
        }
        None => node.allocatable.clone(),
    }
}

/// Whether an instance of the type can be launched with the settings of `node_class`
/// (`pkg/providers/instancetype/compatibility`). Whether an image exists for its architecture is another question.
#[must_use]
pub fn is_compatible(instance_type: &InstanceType, node_class: &NodeClass) -> bool {
    // Amazon Linux 2023 needs Armv8.2; the first Graviton is Armv8.0.
    let image_runs = node_class.ami_family != AmiFamily::Al2023 || !instance_type.name.starts_with("a1.");
    image_runs
        && has_interfaces(instance_type, node_class)
        && (!node_class.nested_virtualization || instance_type.nested_virtualization)
        && (!node_class.enclaves || instance_type.enclaves)
        && (!node_class.connection_tracking || instance_type.hypervisor == "nitro")
}

fn has_interfaces(instance_type: &InstanceType, node_class: &NodeClass) -> bool {
    let (network, wanted) = (&instance_type.network, &node_class.network_interfaces);
    let fits = |card: i64, device: i64| {
        let interfaces = usize::try_from(card).ok().and_then(|card| network.interfaces_per_card.get(card));
        interfaces.is_some_and(|interfaces| device < *interfaces)
    };
    let efa_only = as_amount(wanted.iter().filter(|interface| interface.efa_only).count());
    wanted.is_empty()
        || (network.ena
            && wanted.iter().all(|interface| fits(interface.card, interface.device))
            && efa_only <= network.efa_interfaces)
}

/// Bytes of memory that the node sees: what nodes like it reported, or else the type's less the overhead, which is rounded up to a MiB.
fn memory(instance_type: &InstanceType, node_class: &NodeClass, settings: &InstanceSettings) -> i64 {
    let estimate = || {
        let for_architecture = match instance_type.architecture {
            Architecture::Amd64 => instance_type.memory_mib,
            Architecture::Arm64 => instance_type.memory_mib - ARM_RESERVED_MIB,
        };
        let overhead = div_ceil(for_architecture * settings.vm_memory_overhead.per_million(), 1_000_000);
        (for_architecture - overhead).max(0) * MIB
    };
    settings.discovered_memory.get(&instance_type.name, &node_class.images.identity).unwrap_or_else(estimate)
}

/// Pods that the VPC CNI can give an address where `reserved` interfaces give none: every usable interface of the default card has one
/// address of its own, and two pods of the host network come on top. Prefixes in place of addresses are told by `maxPods` alone.
fn interface_limited_pods(instance_type: &InstanceType, node_class: &NodeClass, reserved: i64) -> i64 {
    let network = &instance_type.network;
    let efa_only = node_class.network_interfaces.iter().filter(|interface| interface.card == 0 && interface.efa_only).count();
    let usable = (network.default_card_interfaces() - reserved.saturating_add(as_amount(efa_only))).max(0);
    if usable == 0 { 0 } else { usable * (network.ipv4_per_interface - 1) + 2 }
}

/// Pod slots.
fn pods(instance_type: &InstanceType, node_class: &NodeClass, settings: &InstanceSettings) -> i64 {
    let family = node_class.ami_family;
    let count = match node_class.kubelet.max_pods {
        Some(max_pods) => max_pods,
        None if family.windows_build().is_none() => interface_limited_pods(instance_type, node_class, settings.reserved_enis),
        None => DEFAULT_MAX_PODS,
    };
    match node_class.kubelet.pods_per_core {
        Some(per_core) if per_core > 0 && family != AmiFamily::Bottlerocket => {
            count.min(per_core.saturating_mul(instance_type.vcpus))
        }
        _ => count,
    }
}

/// What the kubelet keeps for itself and the container runtime.
fn kube_reserved(instance_type: &InstanceType, node_class: &NodeClass, settings: &InstanceSettings) -> Resources {
    // Most images compute the memory from all interfaces, whatever `maxPods` and the reserved ones say; the others from the pods.
    let counted = match node_class.ami_family {
        AmiFamily::Al2 | AmiFamily::Al2023 | AmiFamily::Custom => interface_limited_pods(instance_type, node_class, 0),
        AmiFamily::Bottlerocket | AmiFamily::Windows2019 | AmiFamily::Windows2022 | AmiFamily::Windows2025 => {
            pods(instance_type, node_class, settings)
        }
    };
    let mut reserved = Resources::new()
        .with(ResourceName::CPU, kube_reserved_cpu(instance_type.vcpus))
        .with(ResourceName::MEMORY, counted.saturating_mul(11).saturating_add(255).saturating_mul(MIB))
        .with(ResourceName::EPHEMERAL_STORAGE, GIB);
    for (name, amount) in &node_class.kubelet.kube_reserved {
        reserved.set(name, *amount);
    }
    reserved
}

/// Milli-cores: 6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 % of the others, each part rounded down.
fn kube_reserved_cpu(vcpus: i64) -> i64 {
    const PARTS: [(i64, i64, i64); 4] = [(0, 1, 600), (1, 2, 100), (2, 4, 50), (4, i64::MAX, 25)];
    PARTS.iter().map(|&(from, to, per_10_000)| (vcpus.min(to) - from).max(0) * 1000 * per_10_000 / 10_000).sum()
}

/// What has to stay free: below it the kubelet evicts. Only hard thresholds count.
fn eviction_threshold(capacity: &Resources, node_class: &NodeClass) -> Resources {
    let of = |resource: &str, signal: &str, default: EvictionThreshold| {
        let total = capacity.get(resource);
        match node_class.kubelet.eviction_hard.get(signal).copied().unwrap_or(default) {
            EvictionThreshold::Bytes(bytes) => bytes,
            // 100 % switches the threshold off.
            EvictionThreshold::PartsPerMillion(1_000_000) => 0,
            EvictionThreshold::PartsPerMillion(parts) => share_of(total, parts),
        }
    };
    let memory = of(ResourceName::MEMORY, "memory.available", EvictionThreshold::Bytes(MEMORY_EVICTION_MIB * MIB));
    let storage = of(ResourceName::EPHEMERAL_STORAGE, "nodefs.available", EvictionThreshold::PartsPerMillion(100_000));
    Resources::new().with(ResourceName::MEMORY, memory).with(ResourceName::EPHEMERAL_STORAGE, storage)
}

/// Bytes of ephemeral storage.
fn ephemeral_storage(instance_type: &InstanceType, node_class: &NodeClass) -> i64 {
    if let Some(gb) = instance_type.instance_store_gb.filter(|_| node_class.instance_store_raid0) {
        return gb.saturating_mul(1_000_000_000);
    }
    let given = &node_class.block_devices;
    let explicit = match given.iter().find(|device| device.root_volume).and_then(|device| device.size) {
        Some(size) => Some(size),
        // An image of the user's own: its last volume is taken for the one that pods write to.
        None if node_class.ami_family == AmiFamily::Custom => given.last().and_then(|device| device.size),
        None => {
            let pods_write_to = node_class.ami_family.ephemeral_device();
            let mut mapped = given.iter().filter(|device| device.device_name.as_deref() == pods_write_to);
            mapped.find_map(|device| device.size)
        }
    };
    explicit.unwrap_or_else(|| node_class.ami_family.ephemeral_volume())
}

/// The EBS volumes that every node of the class brings along: volume type and size in bytes.
///
/// A size that the snapshot decides is taken for 20 GiB, as its ephemeral storage is; so is the volume of a `Custom` image.
#[must_use]
pub fn root_volumes(node_class: &NodeClass) -> Vec<(String, i64)> {
    if node_class.block_devices.is_empty() {
        let sizes = node_class.ami_family.default_volumes();
        return sizes.iter().map(|&size| (DEFAULT_VOLUME_TYPE.to_owned(), size)).collect();
    }
    let of = |device: &BlockDevice| (device.volume_type.clone(), device.size.unwrap_or(DEFAULT_VOLUME));
    node_class.block_devices.iter().map(of).collect()
}

/// What the volumes of a node cost, rounded up to a micro-dollar per hour.
///
/// Capacity alone: provisioned IOPS and throughput are not in it. A volume type that the catalog does not price is charged at
/// the dearest price there is, so that a plan never looks cheaper than it is.
#[must_use]
pub fn root_volume_cost(node_class: &NodeClass, catalog: &Catalog) -> UsdPerHour {
    let dearest = catalog.ebs_prices.values().copied().max().unwrap_or(0);
    let monthly: i128 = root_volumes(node_class)
        .iter()
        .map(|(volume_type, size)| {
            let price = catalog.ebs_prices.get(volume_type).copied().unwrap_or(dearest);
            i128::from(price) * i128::from(*size)
        })
        .sum();
    let hourly = div_ceil_wide(monthly, i128::from(GIB) * i128::from(HOURS_PER_MONTH));
    UsdPerHour::from_micros(i64::try_from(hourly).unwrap_or(i64::MAX))
}

impl Device {
    /// Neuron cores of all devices of this kind.
    fn all_cores(&self) -> i64 {
        self.count * self.cores
    }
}

impl AmiFamily {
    /// The device whose volume holds the pods' storage.
    fn ephemeral_device(self) -> Option<&'static str> {
        match self {
            Self::Al2 | Self::Al2023 => Some("/dev/xvda"),
            Self::Bottlerocket => Some("/dev/xvdb"),
            Self::Windows2019 | Self::Windows2022 | Self::Windows2025 => Some("/dev/sda1"),
            Self::Custom => None,
        }
    }

    /// Sizes in bytes of the volumes that the family maps by default; the last one holds the pods' storage.
    pub(crate) fn default_volumes(self) -> &'static [i64] {
        match self {
            Self::Al2 | Self::Al2023 | Self::Custom => &[DEFAULT_VOLUME],
            // The operating system's volume, then the one for data.
            Self::Bottlerocket => &[6 * GIB, DEFAULT_VOLUME],
            Self::Windows2019 | Self::Windows2022 | Self::Windows2025 => &[50 * GIB],
        }
    }

    fn ephemeral_volume(self) -> i64 {
        self.default_volumes().last().copied().unwrap_or(DEFAULT_VOLUME)
    }
}

/// `parts` millionths of `total`, rounded up.
fn share_of(total: i64, parts: i64) -> i64 {
    i64::try_from(div_ceil_wide(i128::from(total) * i128::from(parts), 1_000_000)).unwrap_or(i64::MAX)
}

fn div_ceil(number: i64, divisor: i64) -> i64 {
    (number + divisor - 1).div_euclid(divisor)
}

fn div_ceil_wide(number: i128, divisor: i128) -> i128 {
    (number + divisor - 1).div_euclid(divisor)
}

fn as_amount(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
