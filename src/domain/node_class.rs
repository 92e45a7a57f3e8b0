//! EC2NodeClasses: how instances are set up, as far as it changes what fits on them and what they cost.

use std::collections::{BTreeMap, BTreeSet};

/// The operating system family, which decides defaults and formulas (AWS provider v1.15.1, `pkg/providers/amifamily`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AmiFamily {
    /// Amazon Linux 2.
    Al2,
    /// Amazon Linux 2023.
    Al2023,
    /// Bottlerocket.
    Bottlerocket,
    /// Windows Server 2019.
    Windows2019,
    /// Windows Server 2022.
    Windows2022,
    /// Windows Server 2025.
    Windows2025,
    /// The user's own image.
    Custom,
}

impl AmiFamily {
    /// The value of the label `node.kubernetes.io/windows-build`; `None` for families of Linux.
    #[must_use]
    pub const fn windows_build(self) -> Option<&'static str> {
        match self {
            Self::Windows2019 => Some("10.0.17763"),
            Self::Windows2022 => Some("10.0.20348"),
            Self::Windows2025 => Some("10.0.26100"),
            Self::Al2 | Self::Al2023 | Self::Bottlerocket | Self::Custom => None,
        }
    }
}

/// A hard eviction threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EvictionThreshold {
    /// Bytes.
    Bytes(i64),
    /// Millionths of the capacity: 5 % is 50,000.
    PartsPerMillion(i64),
}

/// Kubelet settings that change what a node offers to pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeletSettings {
    /// `maxPods`.
    pub max_pods: Option<i64>,
    /// `podsPerCore`.
    pub pods_per_core: Option<i64>,
    /// `kubeReserved` by resource, in the units of [`crate::domain::resources::Resources`]. A zero overrides a default.
    pub kube_reserved: BTreeMap<String, i64>,
    /// `systemReserved`, likewise.
    pub system_reserved: BTreeMap<String, i64>,
    /// `evictionHard` by signal (`memory.available`, `nodefs.available`, ...).
    pub eviction_hard: BTreeMap<String, EvictionThreshold>,
}

/// One entry of `blockDeviceMappings`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockDevice {
    /// Device name, `/dev/xvda`.
    pub device_name: Option<String>,
    /// Whether the kubelet's root is on it.
    pub root_volume: bool,
    /// Size in bytes; `None` when the snapshot decides.
    pub size: Option<i64>,
    /// EBS volume type, `gp3` when not given.
    pub volume_type: String,
}

/// One entry of `networkInterfaces`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkInterface {
    /// Network card.
    pub card: i64,
    /// Device index on the card.
    pub device: i64,
    /// Whether it is `efa-only` (no IP address).
    pub efa_only: bool,
}

/// Instances of one type in one zone that are paid for whether they run or not, and that nodes of a NodeClass may be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CapacityReservation {
    /// `cr-...`.
    pub id: String,
    /// Instance type.
    pub instance_type: String,
    /// Zone name.
    pub zone: String,
    /// `default` or `capacity-block`.
    pub reservation_type: String,
    /// Whether its owner may take instances back.
    pub interruptible: bool,
    /// How many instances of it are free: nodes that exist are not among them.
    pub free: u32,
}

/// The images that nodes of a NodeClass can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Equal for NodeClasses that have the same images, as far as that is known: what nodes with these images report is kept under it.
    pub identity: String,
    /// Ids in the status, `ami-...`; empty while it names none.
    pub ids: BTreeSet<String>,
}

/// An EC2NodeClass (`karpenter.k8s.aws/v1`), as far as plans depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeClass {
    /// Name.
    pub name: String,
    /// Image family.
    pub ami_family: AmiFamily,
    /// Images of its nodes.
    pub images: Images,
    /// Kubelet settings.
    pub kubelet: KubeletSettings,
    /// Explicit volumes; empty means the family's default.
    pub block_devices: Vec<BlockDevice>,
    /// `instanceStorePolicy: RAID0`: local disks hold pods' storage.
    pub instance_store_raid0: bool,
    /// Zones (with their zone id where known) of the subnets in the status; `None` when the status names none, which means every
    /// zone of the catalog.
    pub zones: Option<BTreeMap<String, Option<String>>>,
    /// Explicit network interfaces; empty means EC2's default.
    pub network_interfaces: Vec<NetworkInterface>,
    /// `cpuOptions.nestedVirtualization: enabled`.
    pub nested_virtualization: bool,
    /// `enclaveOptions.enabled`.
    pub enclaves: bool,
    /// Whether `connectionTracking` is set.
    pub connection_tracking: bool,
    /// Capacity reservations of the status of which it is known how many instances are free, by id.
    pub capacity_reservations: Vec<CapacityReservation>,
    /// The others of the status, by id, with no free instances: no plan uses them.
    pub uncounted_reservations: Vec<CapacityReservation>,
}

impl NodeClass {
    /// The plainest class: AL2023, the family's volume, no kubelet settings, every zone.
    #[must_use]
    pub fn al2023(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ami_family: AmiFamily::Al2023,
            images: Images { identity: "alias:al2023@latest".to_owned(), ids: BTreeSet::new() },
            kubelet: KubeletSettings::default(),
            block_devices: Vec::new(),
            instance_store_raid0: false,
            zones: None,
            network_interfaces: Vec::new(),
            nested_virtualization: false,
            enclaves: false,
            connection_tracking: false,
            capacity_reservations: Vec::new(),
            uncounted_reservations: Vec::new(),
        }
    }

    /// Learns how many instances of capacity reservations are free, by id; of two numbers for one the smaller counts.
    pub fn count_reservations(&mut self, free: &BTreeMap<String, u32>) {
        for reservation in &mut self.capacity_reservations {
            reservation.free = free.get(&reservation.id).map_or(reservation.free, |free| reservation.free.min(*free));
        }
        let (counted, uncounted) =
            std::mem::take(&mut self.uncounted_reservations).into_iter().partition(|of| free.contains_key(&of.id));
        self.uncounted_reservations = uncounted;
        let counted: Vec<CapacityReservation> = counted;
        let known = counted.into_iter().filter_map(|of| Some(CapacityReservation { free: *free.get(&of.id)?, ..of }));
        self.capacity_reservations.extend(known);
        self.capacity_reservations.sort();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// `cr-1`: one free m5.large in us-east-1a.
    pub(crate) fn reservation() -> CapacityReservation {
        CapacityReservation {
            id: "cr-1".to_owned(),
            instance_type: "m5.large".to_owned(),
            zone: "us-east-1a".to_owned(),
            reservation_type: "default".to_owned(),
            interruptible: false,
            free: 1,
        }
    }
}
