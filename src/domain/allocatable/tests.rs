//! Capacity and allocatable against figures that the AWS provider v1.15.1 gives, worked by hand.

use std::collections::BTreeMap;

use super::*;
use crate::domain::catalog::{Provenance, Source};
use crate::domain::discovered_memory::{Day, MemoryReport};
use crate::domain::instance_settings::MemoryShare;
use crate::domain::instance_type::tests::{device, plain};
use crate::domain::node_class::NetworkInterface;

/// As [`super::capacity`] under Karpenter's default settings.
fn capacity(instance_type: &InstanceType, node_class: &NodeClass) -> Resources {
    super::capacity(instance_type, node_class, &InstanceSettings::default())
}

/// As [`super::allocatable`] under Karpenter's default settings.
fn allocatable(instance_type: &InstanceType, node_class: &NodeClass) -> Resources {
    super::allocatable(instance_type, node_class, &InstanceSettings::default())
}

fn class() -> NodeClass {
    NodeClass::al2023("default")
}

fn of_family(ami_family: AmiFamily) -> NodeClass {
    NodeClass { ami_family, ..class() }
}

fn m5_large() -> InstanceType {
    plain("m5.large", 2, 8, 3, 10)
}

#[test]
fn worked_figures() {
    let cases = [
        // name, vCPU, GiB, interfaces, addresses: pods, reserved memory in MiB, reserved CPU in milli-cores
        ("t3.medium", 2, 4, 3, 6, 17, 442, 70),
        ("m5.large", 2, 8, 3, 10, 29, 574, 70),
        ("m5.xlarge", 4, 16, 4, 15, 58, 893, 80),
        ("c5.2xlarge", 8, 16, 4, 15, 58, 893, 90),
        ("m5.4xlarge", 16, 64, 8, 30, 234, 2829, 110),
        ("m5.24xlarge", 96, 384, 15, 50, 737, 8362, 310),
    ];
    for (name, vcpus, gib, interfaces, addresses, pods, reserved_mib, reserved_millis) in cases {
        let made = plain(name, vcpus, gib, interfaces, addresses);
        let (capacity, room) = (capacity(&made, &class()), allocatable(&made, &class()));
        assert_eq!(room.get(ResourceName::PODS), pods, "{name}");
        assert_eq!(capacity.get(ResourceName::CPU) - room.get(ResourceName::CPU), reserved_millis, "{name}");
        let kept = capacity.get(ResourceName::MEMORY) - room.get(ResourceName::MEMORY);
        assert_eq!(kept, (reserved_mib + 100) * MIB, "{name}");
    }
}

#[test]
fn memory_loses_the_overhead_rounded_up_to_a_mebibyte() {
    assert_eq!(capacity(&m5_large(), &class()).get(ResourceName::MEMORY), 7577 * MIB);
    assert_eq!(allocatable(&m5_large(), &class()).get(ResourceName::MEMORY), 6903 * MIB);
    // 8192 - 64 = 8128; 8128 x 0.075 = 609.6.
    let arm = InstanceType { architecture: Architecture::Arm64, ..m5_large() };
    assert_eq!(capacity(&arm, &class()).get(ResourceName::MEMORY), (8128 - 610) * MIB);
    // No rounding where the share is whole: 40 GiB x 0.075 = 3072 MiB.
    assert_eq!(capacity(&plain("x", 2, 40, 3, 10), &class()).get(ResourceName::MEMORY), (40_960 - 3072) * MIB);
}

#[test]
fn the_memory_overhead_is_a_setting() {
    let with = |share: &str| InstanceSettings {
        vm_memory_overhead: MemoryShare::parse(share).expect("the shares of this test are valid"),
        ..InstanceSettings::default()
    };
    let memory = |share: &str| super::capacity(&m5_large(), &class(), &with(share)).get(ResourceName::MEMORY);
    assert_eq!(memory("0"), 8192 * MIB);
    assert_eq!(memory("0.05"), (8192 - 410) * MIB, "409.6, rounded up");
    assert_eq!(memory("0.0001"), (8192 - 1) * MIB, "0.8192, rounded up");
    assert_eq!(memory("0.999999"), 0);
}

/// Section 13 of the formulas' source: 20 pods in place of 29, and the same memory for the kubelet where the image counts interfaces.
#[test]
fn reserved_interfaces_take_pods_and_leave_the_memory_of_most_families() {
    let settings = InstanceSettings { reserved_enis: 1, ..InstanceSettings::default() };
    let room = |class: &NodeClass| super::allocatable(&m5_large(), class, &settings);
    for family in [AmiFamily::Al2, AmiFamily::Al2023, AmiFamily::Custom] {
        assert_eq!(room(&of_family(family)).get(ResourceName::PODS), 20, "{family:?}");
        assert_eq!(room(&of_family(family)).get(ResourceName::MEMORY), 6903 * MIB, "{family:?}");
    }
    let bottlerocket = room(&of_family(AmiFamily::Bottlerocket));
    assert_eq!(bottlerocket.get(ResourceName::PODS), 20);
    assert_eq!(bottlerocket.get(ResourceName::MEMORY), (7577 - (11 * 20 + 255) - 100) * MIB);
    assert_eq!(room(&of_family(AmiFamily::Windows2022)).get(ResourceName::PODS), 110);
    let mut prefixes = class();
    prefixes.kubelet.max_pods = Some(110);
    assert_eq!(room(&prefixes).get(ResourceName::PODS), 110, "maxPods counts as it stands");
    let all = InstanceSettings { reserved_enis: i64::MAX, ..InstanceSettings::default() };
    let none = super::allocatable(&m5_large(), &class(), &all);
    assert_eq!((none.get(ResourceName::PODS), none.get(ResourceName::MEMORY)), (0, 6903 * MIB));
}

#[test]
fn what_nodes_reported_takes_the_place_of_type_and_overhead() {
    let mut settings = InstanceSettings::default();
    settings.discovered_memory.learn("m5.large", "alias:al2023@latest", MemoryReport { bytes: 7_900 * MIB, day: Day(0) });
    let memory = |class: &NodeClass, of: &dyn Fn(&NodeClass) -> Resources| of(class).get(ResourceName::MEMORY);
    let capacity = |class: &NodeClass| super::capacity(&m5_large(), class, &settings);
    let allocatable = |class: &NodeClass| super::allocatable(&m5_large(), class, &settings);
    assert_eq!(memory(&class(), &capacity), 7_900 * MIB);
    assert_eq!(memory(&class(), &allocatable), (7_900 - 574 - 100) * MIB);
    let mut share = class();
    share.kubelet.eviction_hard.insert("memory.available".to_owned(), EvictionThreshold::PartsPerMillion(50_000));
    assert_eq!(memory(&share, &allocatable), (7_900 - 574 - 395) * MIB, "5 % of what was reported");
    let mut other = class();
    other.images.identity = "alias:al2023@v20260101".to_owned();
    assert_eq!(memory(&other, &capacity), 7_577 * MIB, "another image");
    assert_eq!(super::capacity(&plain("m5a.large", 2, 8, 3, 10), &class(), &settings).get(ResourceName::MEMORY), 7_577 * MIB);
}

#[test]
fn every_family_keeps_what_its_image_keeps() {
    // Pods, MiB of memory and GiB of ephemeral storage that an m5.xlarge has for pods: 16,384 - 1,229 = 15,155 MiB reach it.
    let cases = [
        (AmiFamily::Al2, 58, 15_155 - 893 - 100, 17),
        (AmiFamily::Al2023, 58, 15_155 - 893 - 100, 17),
        (AmiFamily::Custom, 58, 15_155 - 893 - 100, 17),
        (AmiFamily::Bottlerocket, 58, 15_155 - 893 - 100, 17),
        (AmiFamily::Windows2019, 110, 15_155 - 1_465 - 100, 44),
        (AmiFamily::Windows2022, 110, 15_155 - 1_465 - 100, 44),
        (AmiFamily::Windows2025, 110, 15_155 - 1_465 - 100, 44),
    ];
    for (family, pods, memory_mib, storage_gib) in cases {
        let room = allocatable(&plain("m5.xlarge", 4, 16, 4, 15), &of_family(family));
        let found = [
            room.get(ResourceName::CPU),
            room.get(ResourceName::PODS),
            room.get(ResourceName::MEMORY) / MIB,
            room.get(ResourceName::EPHEMERAL_STORAGE) / GIB,
        ];
        assert_eq!(found, [3_920, pods, memory_mib, storage_gib], "{family:?}");
    }
}

#[test]
fn a_single_core_rounds_every_bracket_down() {
    let reserved: Vec<i64> = [0, 1, 2, 3, 4, 5, 7, 192].into_iter().map(kube_reserved_cpu).collect();
    assert_eq!(reserved, [0, 60, 70, 75, 80, 82, 87, 550]);
}

#[test]
fn pods_follow_the_order_of_settings() {
    let made = m5_large();
    let with = |max_pods, pods_per_core, family| {
        let mut class = of_family(family);
        class.kubelet.max_pods = max_pods;
        class.kubelet.pods_per_core = pods_per_core;
        capacity(&made, &class).get(ResourceName::PODS)
    };
    assert_eq!(with(None, None, AmiFamily::Al2023), 29);
    assert_eq!(with(Some(110), None, AmiFamily::Al2023), 110);
    assert_eq!(with(Some(110), Some(8), AmiFamily::Al2023), 16);
    assert_eq!(with(None, Some(8), AmiFamily::Custom), 16);
    assert_eq!(with(None, Some(100), AmiFamily::Al2), 29);
    assert_eq!(with(None, Some(0), AmiFamily::Al2), 29);
    assert_eq!(with(None, Some(8), AmiFamily::Bottlerocket), 29);
    assert_eq!(with(None, None, AmiFamily::Windows2019), 110);
    assert_eq!(with(None, Some(8), AmiFamily::Windows2025), 16);
}

#[test]
fn reserved_memory_ignores_max_pods_on_most_families() {
    let kept = |family| {
        let mut class = of_family(family);
        class.kubelet.max_pods = Some(110);
        (capacity(&m5_large(), &class).get(ResourceName::MEMORY) - allocatable(&m5_large(), &class).get(ResourceName::MEMORY))
            / MIB
    };
    for family in [AmiFamily::Al2, AmiFamily::Al2023, AmiFamily::Custom] {
        assert_eq!(kept(family), 11 * 29 + 255 + 100, "{family:?}");
    }
    for family in [AmiFamily::Bottlerocket, AmiFamily::Windows2022] {
        assert_eq!(kept(family), 11 * 110 + 255 + 100, "{family:?}");
    }
}

#[test]
fn kubelet_settings_replace_the_defaults_they_name() {
    let mut class = class();
    class.kubelet.kube_reserved = BTreeMap::from([("cpu".to_owned(), 500), ("memory".to_owned(), 0)]);
    class.kubelet.system_reserved = BTreeMap::from([("cpu".to_owned(), 250), ("memory".to_owned(), 100 * MIB)]);
    class.kubelet.eviction_hard = BTreeMap::from([
        ("memory.available".to_owned(), EvictionThreshold::PartsPerMillion(50_000)),
        ("nodefs.available".to_owned(), EvictionThreshold::PartsPerMillion(1_000_000)),
    ]);
    let room = allocatable(&m5_large(), &class);
    assert_eq!(room.get(ResourceName::CPU), 2000 - 750);
    // 5 % of 7577 MiB, rounded up to a byte.
    assert_eq!(room.get(ResourceName::MEMORY), 7577 * MIB - 100 * MIB - (7577 * MIB + 19) / 20);
    // 100 % switches the threshold off; the default 1 GiB for the kubelet stays.
    assert_eq!(room.get(ResourceName::EPHEMERAL_STORAGE), 19 * GIB);

    class.kubelet.eviction_hard.insert("memory.available".to_owned(), EvictionThreshold::Bytes(500 * MIB));
    assert_eq!(allocatable(&m5_large(), &class).get(ResourceName::MEMORY), (7577 - 100 - 500) * MIB);

    // More reserved than there is leaves nothing, not less than nothing.
    class.kubelet.system_reserved.insert("memory".to_owned(), i64::MAX);
    assert_eq!(allocatable(&m5_large(), &class).get(ResourceName::MEMORY), 0);
}

fn volume(name: Option<&str>, root_volume: bool, gib: Option<i64>, volume_type: &str) -> BlockDevice {
    let (device_name, size) = (name.map(str::to_owned), gib.map(|gib| gib * GIB));
    BlockDevice { device_name, root_volume, size, volume_type: volume_type.to_owned() }
}

#[test]
fn ephemeral_storage_is_that_of_the_volume_pods_write_to() {
    let storage = |family, devices: &[BlockDevice]| {
        let class = NodeClass { block_devices: devices.to_vec(), ..of_family(family) };
        capacity(&m5_large(), &class).get(ResourceName::EPHEMERAL_STORAGE) / GIB
    };
    let os = volume(Some("/dev/xvda"), false, Some(100), "gp3");
    let data = volume(Some("/dev/xvdb"), false, Some(200), "gp3");
    let both = [os.clone(), data.clone()];
    assert_eq!(storage(AmiFamily::Al2023, &[]), 20);
    assert_eq!(storage(AmiFamily::Al2023, &both), 100);
    assert_eq!(storage(AmiFamily::Bottlerocket, &[]), 20);
    assert_eq!(storage(AmiFamily::Bottlerocket, &both), 200);
    assert_eq!(storage(AmiFamily::Bottlerocket, std::slice::from_ref(&os)), 20);
    assert_eq!(storage(AmiFamily::Windows2022, &[]), 50);
    assert_eq!(storage(AmiFamily::Windows2022, &both), 50);
    assert_eq!(storage(AmiFamily::Custom, &[]), 20);
    assert_eq!(storage(AmiFamily::Custom, &both), 200);
    assert_eq!(storage(AmiFamily::Custom, &[os.clone(), volume(None, false, None, "gp3")]), 20);
    assert_eq!(storage(AmiFamily::Al2023, &[os.clone(), BlockDevice { root_volume: true, ..data }]), 200);
    // Of two volumes of one name the one with a size decides.
    let unsized_os = volume(Some("/dev/xvda"), false, None, "gp3");
    assert_eq!(storage(AmiFamily::Al2023, &[unsized_os, os.clone()]), 100);
    // A root volume without a size does not decide.
    assert_eq!(storage(AmiFamily::Al2023, &[os, volume(Some("/dev/xvdb"), true, None, "gp3")]), 100);
}

#[test]
fn raid0_takes_the_local_disks_when_there_are_any() {
    let class = NodeClass { instance_store_raid0: true, ..class() };
    assert_eq!(capacity(&m5_large(), &class).get(ResourceName::EPHEMERAL_STORAGE), 20 * GIB);
    let disks = InstanceType { instance_store_gb: Some(75), ..m5_large() };
    assert_eq!(capacity(&disks, &class).get(ResourceName::EPHEMERAL_STORAGE), 75_000_000_000);
    assert_eq!(allocatable(&disks, &class).get(ResourceName::EPHEMERAL_STORAGE), 75_000_000_000 - 7_500_000_000 - GIB);
}

#[test]
fn devices_become_extended_resources() {
    let mut made = m5_large();
    made.gpus = vec![device("T4", "NVIDIA", 4, 16_384, 0), device("V520", "AMD", 2, 8_192, 0), device("HL", "Habana", 8, 1, 0)];
    made.neuron_devices = vec![device("Trainium", "AWS", 16, 32_768, 2), device("Other", "AWS", 1, 32_768, 4)];
    made.network.efa_interfaces = 2;
    made.network.branch_interfaces = 9;
    let room = allocatable(&made, &class());
    let cases = [
        ("nvidia.com/gpu", 4),
        ("amd.com/gpu", 2),
        ("habana.ai/gaudi", 8),
        ("aws.amazon.com/neuron", 17),
        ("aws.amazon.com/neuroncore", 32),
        ("vpc.amazonaws.com/efa", 2),
        ("vpc.amazonaws.com/pod-eni", 9),
        ("vpc.amazonaws.com/PrivateIPv4Address", 0),
    ];
    for (name, expected) in cases {
        assert_eq!(room.get(name), expected, "{name}");
    }
    assert_eq!(allocatable(&made, &of_family(AmiFamily::Windows2019)).get("vpc.amazonaws.com/PrivateIPv4Address"), 9);
}

#[test]
fn explicit_interfaces_decide_efas_and_take_addresses() {
    let interface = |card, device, efa_only| NetworkInterface { card, device, efa_only };
    let mut made = m5_large();
    made.network.interfaces_per_card = vec![3, 2];
    made.network.efa_interfaces = 2;
    let with = |interfaces: &[NetworkInterface]| NodeClass { network_interfaces: interfaces.to_vec(), ..class() };

    let one_each = with(&[interface(0, 0, false), interface(0, 1, true), interface(1, 0, true)]);
    assert!(is_compatible(&made, &one_each));
    assert_eq!(capacity(&made, &one_each).get("vpc.amazonaws.com/efa"), 2);
    assert_eq!(capacity(&made, &one_each).get(ResourceName::PODS), 2 * 9 + 2);
    let all = with(&[interface(0, 0, true), interface(0, 1, true), interface(0, 2, true)]);
    assert_eq!(capacity(&made, &all).get(ResourceName::PODS), 0);

    assert!(!is_compatible(&made, &all), "three EFAs on a type with two");
    assert!(!is_compatible(&made, &with(&[interface(2, 0, false)])), "no such card");
    assert!(!is_compatible(&made, &with(&[interface(1, 2, false)])), "no such interface on the card");
    assert!(!is_compatible(&made, &with(&[interface(-1, 0, false)])), "no such card");
    made.network.ena = false;
    assert!(!is_compatible(&made, &one_each), "no ENA");
    assert!(is_compatible(&made, &class()), "which only matters for explicit interfaces");
}

#[test]
fn settings_that_a_type_lacks_make_it_incompatible() {
    let (graviton, made) = (plain("a1.large", 2, 4, 3, 10), m5_large());
    assert!(!is_compatible(&graviton, &class()));
    assert!(is_compatible(&graviton, &of_family(AmiFamily::Al2)));

    let nested = NodeClass { nested_virtualization: true, ..class() };
    assert!(!is_compatible(&made, &nested));
    assert!(is_compatible(&InstanceType { nested_virtualization: true, ..made.clone() }, &nested));
    let enclaves = NodeClass { enclaves: true, ..class() };
    assert!(!is_compatible(&made, &enclaves));
    assert!(is_compatible(&InstanceType { enclaves: true, ..made.clone() }, &enclaves));
    let tracking = NodeClass { connection_tracking: true, ..class() };
    assert!(is_compatible(&made, &tracking));
    assert!(!is_compatible(&InstanceType { hypervisor: String::new(), ..made }, &tracking));
}

#[test]
fn root_volumes_cost_their_capacity_rounded_up() {
    let source = Source { origin: "a test".to_owned(), as_of: "2026-01-01".to_owned() };
    let catalog = Catalog {
        region: "us-east-1".to_owned(),
        instance_types: Vec::new(),
        ebs_prices: BTreeMap::from([("gp3".to_owned(), 80_000), ("io2".to_owned(), 125_000)]),
        provenance: Provenance {
            instance_types: source.clone(),
            zones: source.clone(),
            on_demand: source.clone(),
            spot: source.clone(),
            ebs: source,
        },
        prices_as_of: "2026-01-01".to_owned(),
    };
    let micros = |class: &NodeClass| root_volume_cost(class, &catalog).micros();
    // 20 x 0.08 / 730 = 0.0021917...; 26 x 0.08 / 730 = 0.0028493...; 50 x 0.08 / 730 = 0.0054794...
    assert_eq!(micros(&class()), 2_192);
    assert_eq!(micros(&of_family(AmiFamily::Bottlerocket)), 2_850);
    assert_eq!(micros(&of_family(AmiFamily::Windows2022)), 5_480);
    assert_eq!(micros(&of_family(AmiFamily::Custom)), 2_192);
    // All mapped volumes together, then rounded: (73 x 0.08 + 73 x 0.125) / 730 = 0.0205 exactly.
    let two = [volume(None, true, Some(73), "gp3"), volume(None, false, Some(73), "io2")];
    assert_eq!(micros(&NodeClass { block_devices: two.to_vec(), ..class() }), 20_500);
    // A type without a price is charged at the dearest: 73 x 0.125 / 730.
    assert_eq!(micros(&NodeClass { block_devices: vec![volume(None, true, Some(73), "new")], ..class() }), 12_500);
    assert_eq!(
        root_volumes(&NodeClass { block_devices: vec![volume(None, true, None, "io2")], ..class() }),
        [("io2".to_owned(), 20 * GIB)]
    );
}
