//! Scenarios and a catalog in the compact JSON form of the comparison study with Karpenter's scheduler.
//!
//! The catalog says less than EC2 does: what no scenario asks for (clock, bandwidth, EFA, GPU memory) has a neutral value here,
//! and Inferentia and Trainium types have one device, as in the study.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use supercargo::domain::catalog::{CapacityType, Catalog, Offering, PriceKind, Provenance, Source};
use supercargo::domain::instance_type::{Architecture, Device, InstanceType, Network};
use supercargo::domain::money::UsdPerHour;
use supercargo::domain::quantity::Quantity;
use supercargo::domain::requirement::{Operator, Requirement, Requirements};
use supercargo::domain::selector::Labels;
use supercargo::domain::taint::{Effect, Taint};
use supercargo::domain::topology::PodAffinityTerm;

use crate::workloads;
use crate::workloads::{Group, Pool, Rules, Scenario, requests};

/// What can go wrong is for a developer to read.
type Fallible<T> = Result<T, Box<dyn Error>>;

#[derive(Deserialize)]
struct ScenarioFile {
    name: String,
    groups: Vec<GroupEntry>,
    nodepools: Vec<PoolEntry>,
    #[serde(default)]
    daemons: Vec<DaemonEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupEntry {
    name: String,
    count: usize,
    #[serde(rename = "cpu_m")]
    cpu: i64,
    #[serde(rename = "mem_mib")]
    memory: i64,
    #[serde(default)]
    gpu: i64,
    #[serde(default)]
    node_selector: BTreeMap<String, String>,
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    spread: Vec<SpreadEntry>,
    #[serde(default)]
    affinity: Vec<AffinityEntry>,
    #[serde(default)]
    anti_affinity: Vec<AffinityEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpreadEntry {
    key: String,
    max_skew: u32,
    #[serde(rename = "match")]
    selected: Labels,
}

#[derive(Deserialize)]
struct AffinityEntry {
    key: String,
    #[serde(rename = "match")]
    selected: Labels,
}

#[derive(Deserialize)]
struct DaemonEntry {
    #[serde(rename = "cpu_m")]
    cpu: i64,
    #[serde(rename = "mem_mib")]
    memory: i64,
}

#[derive(Deserialize)]
struct PoolEntry {
    name: String,
    #[serde(default)]
    weight: i32,
    requirements: Vec<RequirementEntry>,
    #[serde(default)]
    taints: Vec<TaintEntry>,
    #[serde(default)]
    limits: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RequirementEntry {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Deserialize)]
struct TaintEntry {
    key: String,
    #[serde(default)]
    value: String,
    effect: String,
}

#[derive(Deserialize)]
struct CatalogFile {
    region: String,
    types: Vec<TypeEntry>,
}

#[derive(Deserialize)]
struct TypeEntry {
    name: String,
    arch: Vec<String>,
    cpu: i64,
    /// MiB.
    mem: i64,
    /// Interfaces of the default card.
    eni: i64,
    /// IPv4 addresses of one interface.
    ips: i64,
    gpu: i64,
    gpuname: Option<String>,
    gpuman: Option<String>,
    /// GB; 0 for none.
    nvme: i64,
    bare: bool,
    hyp: Option<String>,
    burst: bool,
    #[serde(rename = "gen")]
    current: bool,
    /// On-Demand, dollars per hour.
    od: f64,
    zones: Vec<String>,
    spot: BTreeMap<String, f64>,
}

/// Every scenario in the folder `scenarios` of `data`, by name.
pub(crate) fn scenarios(data: &Path) -> Fallible<Vec<Scenario>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(data.join("scenarios"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            found.push(scenario(parse(&path)?)?);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The catalog of `data`.
pub(crate) fn catalog(data: &Path) -> Fallible<Catalog> {
    let file: CatalogFile = parse(&data.join("catalog.json"))?;
    let mut instance_types = file.types.iter().map(instance_type).collect::<Fallible<Vec<_>>>()?;
    instance_types.sort_by(|a, b| a.name.cmp(&b.name));
    let source = || Source { origin: "catalog.json of the comparison study".to_owned(), as_of: "2026-07-20".to_owned() };
    Ok(Catalog {
        region: file.region,
        instance_types,
        // The study counts no volumes.
        ebs_prices: BTreeMap::from([("gp3".to_owned(), 80_000)]),
        provenance: Provenance { instance_types: source(), zones: source(), on_demand: source(), spot: source(), ebs: source() },
        prices_as_of: "2026-07-20".to_owned(),
    })
}

fn parse<T: DeserializeOwned>(path: &Path) -> Fallible<T> {
    let text = fs::read_to_string(path).map_err(|problem| format!("{}: {problem}", path.display()))?;
    Ok(serde_json::from_str(&text).map_err(|problem| format!("{}: {problem}", path.display()))?)
}

fn scenario(file: ScenarioFile) -> Fallible<Scenario> {
    let near =
        |entry: AffinityEntry| PodAffinityTerm { topology_key: entry.key, selector: workloads::selecting(&entry.selected) };
    let groups = file.groups.into_iter().map(|group| Group {
        name: group.name,
        count: group.count,
        requests: requests(group.cpu, group.memory, group.gpu),
        node_selector: group.node_selector,
        labels: Arc::new(group.labels),
        rules: Rules {
            spreads: group
                .spread
                .into_iter()
                .map(|entry| workloads::spread(entry.key, entry.max_skew, &entry.selected))
                .collect(),
            near: group.affinity.into_iter().map(near).collect(),
            apart: group.anti_affinity.into_iter().map(near).collect(),
        },
    });
    Ok(Scenario {
        name: file.name,
        groups: groups.collect(),
        pools: file.nodepools.into_iter().map(pool).collect::<Fallible<_>>()?,
        daemons: file.daemons.iter().map(|daemon| requests(daemon.cpu, daemon.memory, 0)).collect(),
    })
}

fn pool(entry: PoolEntry) -> Fallible<Pool> {
    let mut requirements = Requirements::new();
    for wanted in &entry.requirements {
        let operator = Operator::parse(&wanted.operator).ok_or_else(|| format!("unknown operator {}", wanted.operator))?;
        requirements.add(&wanted.key, Requirement::new(operator, &wanted.values)?);
    }
    let taint = |entry: TaintEntry| -> Fallible<Taint> {
        let effect = Effect::parse(&entry.effect).ok_or_else(|| format!("unknown effect {}", entry.effect))?;
        Ok(Taint { key: entry.key, value: entry.value, effect })
    };
    let mut limits = BTreeMap::new();
    for (resource, limit) in entry.limits {
        let amount = Quantity::parse(&limit)?.amount_floor(&resource);
        limits.insert(resource, amount);
    }
    let taints = entry.taints.into_iter().map(taint).collect::<Fallible<_>>()?;
    Ok(Pool { name: entry.name, weight: entry.weight, requirements, taints, limits })
}

fn instance_type(entry: &TypeEntry) -> Fallible<InstanceType> {
    let architecture = entry.arch.iter().find_map(|name| match name.as_str() {
        "x86_64" => Some(Architecture::Amd64),
        // A type may list i386 too, which Kubernetes does not know.
        other => Architecture::parse(other),
    });
    let hypervisor = entry.hyp.clone().unwrap_or_default();
    let device = |name: &str, manufacturer: &str, count, cores| Device {
        name: name.to_owned(),
        manufacturer: manufacturer.to_owned(),
        count,
        memory_mib: 0,
        cores,
    };
    let gpus = match (&entry.gpuname, &entry.gpuman) {
        (Some(name), Some(manufacturer)) if entry.gpu > 0 => vec![device(name, manufacturer, entry.gpu, 0)],
        _ => Vec::new(),
    };
    let neuron = entry.name.starts_with("inf") || entry.name.starts_with("trn");
    let mut offerings = Vec::new();
    for zone in &entry.zones {
        let offering = |capacity_type, price: f64, price_kind| Offering {
            zone: zone.clone(),
            capacity_type,
            price: UsdPerHour::from_micros((price * 1e6).round() as i64),
            price_kind,
            available: true,
        };
        offerings.push(offering(CapacityType::OnDemand, entry.od, PriceKind::Listed));
        if let Some(&price) = entry.spot.get(zone).filter(|price| **price > 0.0) {
            offerings.push(offering(CapacityType::Spot, price, PriceKind::Estimated));
        }
    }
    offerings.sort_by(|a, b| (&a.zone, a.capacity_type).cmp(&(&b.zone, b.capacity_type)));
    Ok(InstanceType {
        name: entry.name.clone(),
        architecture: architecture.ok_or_else(|| format!("{}: unknown architecture {:?}", entry.name, entry.arch))?,
        vcpus: entry.cpu,
        memory_mib: entry.mem,
        cpu_manufacturer: String::new(),
        clock_mhz: 0,
        ebs_attachments: None,
        ebs_attachments_shared: true,
        instance_store_nvme: entry.nvme > 0 && (entry.bare || hypervisor == "nitro"),
        hypervisor,
        bare_metal: entry.bare,
        burstable: entry.burst,
        current_generation: entry.current,
        on_demand: true,
        spot: !entry.spot.is_empty(),
        nested_virtualization: false,
        enclaves: false,
        network: Network {
            interfaces_per_card: vec![entry.eni],
            default_card: 0,
            ipv4_per_interface: entry.ips,
            ena: true,
            efa_interfaces: 0,
            branch_interfaces: 0,
            encryption_in_transit: false,
            bandwidth_mbps: None,
        },
        ebs_bandwidth_mbps: None,
        instance_store_gb: (entry.nvme > 0).then_some(entry.nvme),
        gpus,
        accelerators: Vec::new(),
        neuron_devices: if neuron { vec![device("neuron", "AWS", 1, 1)] } else { Vec::new() },
        zones: entry.zones.iter().cloned().collect(),
        offerings,
    })
}
