//! DescribeInstanceTypes: the facts of each type.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::operation::describe_instance_types::DescribeInstanceTypesOutput;
use aws_sdk_ec2::types as ec2;

use super::error::{FetchError, Problem};
use super::refresh::Progress;
use super::session::Session;
use crate::domain::catalog::Catalog;
use crate::domain::instance_type::{Architecture, Device, InstanceType, Network};

const CALL: &str = "DescribeInstanceTypes";
/// The most that EC2 puts on a page.
const PAGE: i32 = 100;

/// What EC2 said about its types.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// By name, without offerings.
    pub(super) types: BTreeMap<String, InstanceType>,
    /// Types of which EC2 leaves out a fact that a plan needs, with that fact.
    pub(super) incomplete: Vec<(String, &'static str)>,
    /// Types that this version's tables do not have.
    pub(super) not_in_tables: Vec<String>,
}

/// Asks for the facts of every type that Kubernetes could run on. `tables` has what EC2 does not tell: branch interfaces, and the
/// bandwidth that its documentation states.
pub(super) async fn fetch(
    session: &Session,
    region: &str,
    tables: &Catalog,
    progress: &Progress<'_>,
) -> Result<Facts, FetchError> {
    let filter = |name: &str, values: &[&str]| {
        ec2::Filter::builder().name(name).set_values(Some(values.iter().map(|value| (*value).to_owned()).collect())).build()
    };
    let pages = session
        .ec2(region)
        .describe_instance_types()
        .filters(filter("supported-virtualization-type", &["hvm"]))
        .filters(filter("processor-info.supported-architecture", &["x86_64", "arm64"]))
        .into_paginator()
        .page_size(PAGE)
        .send();
    let mut facts = Facts::default();
    let take = |page: DescribeInstanceTypesOutput| {
        progress.page(CALL, page.instance_types().len());
        for info in page.instance_types() {
            facts.take(info, tables);
        }
    };
    session.each_page(region, CALL, pages, take).await?;
    progress.done(CALL);
    if facts.types.is_empty() {
        return Err(FetchError::new(region, CALL, Problem::Empty, "no instance type"));
    }
    Ok(facts)
}

impl Facts {
    fn take(&mut self, info: &ec2::InstanceTypeInfo, tables: &Catalog) {
        let Some(name) = info.instance_type().map(|name| name.as_str().to_owned()) else { return };
        let known = tables.get(&name);
        match convert(&name, info, known) {
            Ok(made) => {
                if known.is_none() {
                    self.not_in_tables.push(name.clone());
                }
                self.types.insert(name, made);
            }
            Err(missing) => self.incomplete.push((name, missing)),
        }
    }
}

/// The type as planning knows it, or the fact that is missing. `known` is the same type in the tables of this version.
fn convert(name: &str, info: &ec2::InstanceTypeInfo, known: Option<&InstanceType>) -> Result<InstanceType, &'static str> {
    let processor = info.processor_info().ok_or("processor")?;
    let usage = info.supported_usage_classes();
    let storage = info.instance_storage_info();
    let ebs = info.ebs_info();
    let optimized = ebs.filter(|ebs| ebs.ebs_optimized_support() == Some(&ec2::EbsOptimizedSupport::Default));
    let kinds = |devices: Vec<Device>| {
        let mut devices = devices;
        devices.sort_by(|a, b| a.name.cmp(&b.name));
        devices
    };
    Ok(InstanceType {
        name: name.to_owned(),
        architecture: processor.supported_architectures().iter().find_map(architecture).ok_or("architecture")?,
        vcpus: info.v_cpu_info().and_then(ec2::VCpuInfo::default_v_cpus).map(i64::from).ok_or("vCPUs")?,
        memory_mib: info.memory_info().and_then(ec2::MemoryInfo::size_in_mib).ok_or("memory")?,
        cpu_manufacturer: processor.manufacturer().ok_or("manufacturer of the processor")?.to_owned(),
        clock_mhz: thousandths(processor.sustained_clock_speed_in_ghz().unwrap_or(0.0)),
        hypervisor: info.hypervisor().map(|hypervisor| hypervisor.as_str().to_owned()).unwrap_or_default(),
        bare_metal: info.bare_metal().unwrap_or(false),
        burstable: info.burstable_performance_supported().unwrap_or(false),
        current_generation: info.current_generation().unwrap_or(false),
        on_demand: usage.contains(&ec2::UsageClassType::OnDemand),
        spot: usage.contains(&ec2::UsageClassType::Spot),
        nested_virtualization: processor.supported_features().iter().any(|feature| feature.as_str() == "nested-virtualization"),
        enclaves: info.nitro_enclaves_support() == Some(&ec2::NitroEnclavesSupport::Supported),
        network: network(info.network_info().ok_or("network")?, known)?,
        ebs_bandwidth_mbps: optimized
            .and_then(ec2::EbsInfo::ebs_optimized_info)
            .and_then(ec2::EbsOptimizedInfo::maximum_bandwidth_in_mbps)
            .map(i64::from),
        ebs_attachments: ebs.and_then(ec2::EbsInfo::maximum_ebs_attachments).map(i64::from),
        ebs_attachments_shared: ebs.and_then(ec2::EbsInfo::attachment_limit_type).is_none_or(|kind| kind.as_str() != "dedicated"),
        instance_store_gb: storage.and_then(ec2::InstanceStorageInfo::total_size_in_gb),
        instance_store_nvme: storage
            .and_then(ec2::InstanceStorageInfo::nvme_support)
            .is_some_and(|nvme| *nvme != ec2::EphemeralNvmeSupport::Unsupported),
        gpus: kinds(info.gpu_info().map(|info| info.gpus().iter().filter_map(gpu).collect()).unwrap_or_default()),
        accelerators: kinds(
            info.inference_accelerator_info()
                .map(|info| info.accelerators().iter().filter_map(accelerator).collect())
                .unwrap_or_default(),
        ),
        neuron_devices: kinds(
            info.neuron_info().map(|info| info.neuron_devices().iter().filter_map(neuron_device).collect()).unwrap_or_default(),
        ),
        zones: BTreeSet::new(),
        offerings: Vec::new(),
    })
}

fn architecture(of: &ec2::ArchitectureType) -> Option<Architecture> {
    match of {
        ec2::ArchitectureType::X8664 => Some(Architecture::Amd64),
        ec2::ArchitectureType::Arm64 => Some(Architecture::Arm64),
        _ => None,
    }
}

fn network(info: &ec2::NetworkInfo, known: Option<&InstanceType>) -> Result<Network, &'static str> {
    let mut cards: Vec<&ec2::NetworkCardInfo> = info.network_cards().iter().collect();
    cards.sort_by_key(|card| card.network_card_index());
    let numbered = cards.iter().zip(0..).all(|(card, at)| card.network_card_index() == Some(at));
    if cards.is_empty() || !numbered {
        return Err("numbers of the network cards");
    }
    let interfaces: Option<Vec<i64>> = cards.iter().map(|card| card.maximum_network_interfaces().map(i64::from)).collect();
    let default_card = info.default_network_card_index().and_then(|at| usize::try_from(at).ok());
    Ok(Network {
        interfaces_per_card: interfaces.ok_or("interfaces of a network card")?,
        default_card: default_card.filter(|at| *at < cards.len()).ok_or("default network card")?,
        ipv4_per_interface: info.ipv4_addresses_per_interface().map(i64::from).ok_or("IPv4 addresses of an interface")?,
        ena: info.ena_support().is_some_and(|ena| *ena != ec2::EnaSupport::Unsupported),
        efa_interfaces: info.efa_info().and_then(ec2::EfaInfo::maximum_efa_interfaces).map_or(0, i64::from),
        branch_interfaces: known.map_or(0, |known| known.network.branch_interfaces),
        encryption_in_transit: info.encryption_in_transit_supported().unwrap_or(false),
        bandwidth_mbps: known.map_or_else(|| baseline_mbps(&cards), |known| known.network.bandwidth_mbps),
    })
}

/// What the cards carry together at any time, in Mbit/s. Of the types in the tables of 2026, 96 % have just this figure there.
fn baseline_mbps(cards: &[&ec2::NetworkCardInfo]) -> Option<i64> {
    let together: f64 = cards.iter().filter_map(|card| card.baseline_bandwidth_in_gbps()).sum();
    Some(thousandths(together)).filter(|mbps| *mbps > 0)
}

/// Gbit/s as Mbit/s, GHz as MHz.
fn thousandths(number: f64) -> i64 {
    // What EC2 states is far below the largest integer that f64 holds exactly.
    (number * 1000.0).round() as i64
}

fn gpu(of: &ec2::GpuDeviceInfo) -> Option<Device> {
    let memory = of.memory_info().and_then(ec2::GpuDeviceMemoryInfo::size_in_mib);
    device(of.name(), of.manufacturer(), of.count(), memory, None)
}

fn accelerator(of: &ec2::InferenceDeviceInfo) -> Option<Device> {
    let memory = of.memory_info().and_then(ec2::InferenceDeviceMemoryInfo::size_in_mib);
    device(of.name(), of.manufacturer(), of.count(), memory, None)
}

fn neuron_device(of: &ec2::NeuronDeviceInfo) -> Option<Device> {
    let memory = of.memory_info().and_then(ec2::NeuronDeviceMemoryInfo::size_in_mib);
    device(of.name(), Some("AWS"), of.count(), memory, of.core_info().and_then(ec2::NeuronDeviceCoreInfo::count))
}

fn device(
    name: Option<&str>,
    manufacturer: Option<&str>,
    count: Option<i32>,
    memory_mib: Option<i32>,
    cores: Option<i32>,
) -> Option<Device> {
    let number = |number: Option<i32>| number.map_or(0, i64::from);
    Some(Device {
        name: name?.to_owned(),
        manufacturer: manufacturer?.to_owned(),
        count: number(count),
        memory_mib: number(memory_mib),
        cores: number(cores),
    })
}
