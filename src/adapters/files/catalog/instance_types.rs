//! `instance-types.csv`: the facts of each type, one line a type.

use std::collections::{BTreeMap, BTreeSet};

use crate::adapters::files::catalog::CatalogError;
use crate::adapters::files::catalog::table::{Row, Table, parse_number};
use crate::domain::instance_type::{Architecture, Device, InstanceType, Network};

/// Upper limit of every count, bandwidth and size in the tables: far above what EC2 sells, far below an overflow.
const LARGEST_NUMBER: i64 = 1_000_000_000;

/// Every column, in the order of writing; reading finds them by name.
pub(super) const ALL_COLUMNS: [&str; 30] = [
    "instance_type",
    "architecture",
    "vcpus",
    "memory_mib",
    "cpu_manufacturer",
    "clock_mhz",
    "hypervisor",
    "bare_metal",
    "burstable",
    "current_generation",
    "on_demand",
    "spot",
    "nested_virtualization",
    "enclaves",
    "interfaces_per_card",
    "default_card",
    "ipv4_per_interface",
    "ena",
    "efa_interfaces",
    "branch_interfaces",
    "encryption_in_transit",
    "bandwidth_mbps",
    "ebs_bandwidth_mbps",
    "instance_store_gb",
    "instance_store_nvme",
    "gpus",
    "accelerators",
    "neuron_devices",
    "ebs_attachments",
    "ebs_attachments_shared",
];

/// The columns that a table cannot go without: the first ones of [`ALL_COLUMNS`].
const REQUIRED_COLUMNS: usize = 28;

/// Types by name, without offerings.
pub(super) fn parse((file, text): (&str, &str)) -> Result<BTreeMap<String, InstanceType>, CatalogError> {
    let table = Table::parse(file, text)?;
    let columns = table.columns(&ALL_COLUMNS[..REQUIRED_COLUMNS])?;
    let mut types = BTreeMap::new();
    for row in table.rows(&columns) {
        let instance_type = instance_type(&row)?;
        let name = instance_type.name.clone();
        if types.insert(name.clone(), instance_type).is_some() {
            return Err(row.wrong("instance_type", &format!("`{name}` is there twice"), "remove one of the lines"));
        }
    }
    if types.is_empty() {
        return Err(CatalogError::file(file, "no instance type", "restore the file from its source"));
    }
    Ok(types)
}

fn instance_type(row: &Row<'_>) -> Result<InstanceType, CatalogError> {
    let name = row.text("instance_type")?;
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')) {
        let mend = "write it as EC2 does: lower-case letters, digits, `.` and `-`";
        return Err(row.wrong("instance_type", &format!("`{name}` is no name of an instance type"), mend));
    }
    let architecture = Architecture::parse(row.cell("architecture")).ok_or_else(|| {
        let problem = format!("`{}` is no architecture of a node", row.cell("architecture"));
        row.wrong("architecture", &problem, "write `amd64` or `arm64`")
    })?;
    Ok(InstanceType {
        name: name.to_owned(),
        architecture,
        vcpus: row.number("vcpus", 1..=1_000_000)?,
        memory_mib: row.number("memory_mib", 1..=LARGEST_NUMBER)?,
        cpu_manufacturer: row.text("cpu_manufacturer")?.to_owned(),
        clock_mhz: row.number("clock_mhz", 0..=1_000_000)?,
        hypervisor: row.cell("hypervisor").to_owned(),
        bare_metal: row.flag("bare_metal")?,
        burstable: row.flag("burstable")?,
        current_generation: row.flag("current_generation")?,
        on_demand: row.flag("on_demand")?,
        spot: row.flag("spot")?,
        nested_virtualization: row.flag("nested_virtualization")?,
        enclaves: row.flag("enclaves")?,
        network: network(row)?,
        ebs_bandwidth_mbps: row.number_if_given("ebs_bandwidth_mbps", 1..=LARGEST_NUMBER)?,
        ebs_attachments: row.number_if_given("ebs_attachments", 1..=10_000)?,
        ebs_attachments_shared: row.cell("ebs_attachments_shared").is_empty() || row.flag("ebs_attachments_shared")?,
        instance_store_gb: row.number_if_given("instance_store_gb", 1..=LARGEST_NUMBER)?,
        instance_store_nvme: row.flag("instance_store_nvme")?,
        gpus: devices(row, "gpus")?,
        accelerators: devices(row, "accelerators")?,
        neuron_devices: devices(row, "neuron_devices")?,
        zones: BTreeSet::new(),
        offerings: Vec::new(),
    })
}

fn network(row: &Row<'_>) -> Result<Network, CatalogError> {
    let cards: Option<Vec<i64>> =
        row.text("interfaces_per_card")?.split(' ').map(|card| parse_number(card, &(0..=10_000))).collect();
    let interfaces_per_card = cards.ok_or_else(|| {
        let problem = format!("`{}` is no list of counts", row.cell("interfaces_per_card"));
        row.wrong("interfaces_per_card", &problem, "write the interfaces of each card with one space between, such as `8 7`")
    })?;
    let last_card = i64::try_from(interfaces_per_card.len()).unwrap_or(i64::MAX) - 1;
    Ok(Network {
        default_card: usize::try_from(row.number("default_card", 0..=last_card)?).unwrap_or_default(),
        interfaces_per_card,
        ipv4_per_interface: row.number("ipv4_per_interface", 1..=100_000)?,
        ena: row.flag("ena")?,
        efa_interfaces: row.number("efa_interfaces", 0..=10_000)?,
        branch_interfaces: row.number("branch_interfaces", 0..=100_000)?,
        encryption_in_transit: row.flag("encryption_in_transit")?,
        bandwidth_mbps: row.number_if_given("bandwidth_mbps", 1..=LARGEST_NUMBER)?,
    })
}

/// Devices `name:manufacturer:count:memory MiB:cores`, separated by `;`.
fn devices(row: &Row<'_>, column: &str) -> Result<Vec<Device>, CatalogError> {
    let device = |text: &str| -> Option<Device> {
        let fields: Vec<&str> = text.split(':').collect();
        match fields[..] {
            [name, manufacturer, count, memory_mib, cores] if !name.is_empty() && !manufacturer.is_empty() => Some(Device {
                name: name.to_owned(),
                manufacturer: manufacturer.to_owned(),
                count: parse_number(count, &(0..=10_000))?,
                memory_mib: parse_number(memory_mib, &(0..=LARGEST_NUMBER))?,
                cores: parse_number(cores, &(0..=10_000))?,
            }),
            _ => None,
        }
    };
    let text = row.cell(column);
    text.split(';').filter(|_| !text.is_empty()).map(device).collect::<Option<Vec<_>>>().ok_or_else(|| {
        let mend = "write `name:manufacturer:count:memory in MiB:cores`, several with `;` between";
        row.wrong(column, &format!("`{text}` is no list of devices"), mend)
    })
}

/// The line of a type: a cell for each of [`ALL_COLUMNS`].
pub(super) fn cells(of: &InstanceType) -> Vec<String> {
    let optional = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let cards: Vec<String> = of.network.interfaces_per_card.iter().map(ToString::to_string).collect();
    vec![
        of.name.clone(),
        of.architecture.as_str().to_owned(),
        of.vcpus.to_string(),
        of.memory_mib.to_string(),
        of.cpu_manufacturer.clone(),
        of.clock_mhz.to_string(),
        of.hypervisor.clone(),
        of.bare_metal.to_string(),
        of.burstable.to_string(),
        of.current_generation.to_string(),
        of.on_demand.to_string(),
        of.spot.to_string(),
        of.nested_virtualization.to_string(),
        of.enclaves.to_string(),
        cards.join(" "),
        of.network.default_card.to_string(),
        of.network.ipv4_per_interface.to_string(),
        of.network.ena.to_string(),
        of.network.efa_interfaces.to_string(),
        of.network.branch_interfaces.to_string(),
        of.network.encryption_in_transit.to_string(),
        optional(of.network.bandwidth_mbps),
        optional(of.ebs_bandwidth_mbps),
        optional(of.instance_store_gb),
        of.instance_store_nvme.to_string(),
        device_cell(&of.gpus),
        device_cell(&of.accelerators),
        device_cell(&of.neuron_devices),
        optional(of.ebs_attachments),
        of.ebs_attachments_shared.to_string(),
    ]
}

fn device_cell(devices: &[Device]) -> String {
    let text = |of: &Device| format!("{}:{}:{}:{}:{}", of.name, of.manufacturer, of.count, of.memory_mib, of.cores);
    devices.iter().map(text).collect::<Vec<_>>().join(";")
}
