//! The embedded catalog: that its files are those that the rebuild tool wrote, and that it says what independent sources say.
//!
//! The independent sources are not part of the project; where they are absent, the comparison says that it is skipped.
#![cfg(feature = "kube")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use supercargo::adapters::files::catalog;
use supercargo::domain::allocatable::{allocatable, capacity, root_volume_cost};
use supercargo::domain::catalog::{CapacityType, Catalog, InstanceType, PriceKind};
use supercargo::domain::instance_settings::InstanceSettings;
use supercargo::domain::money::UsdPerHour;
use supercargo::domain::node_class::NodeClass;
use supercargo::domain::resources::ResourceName;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn embedded() -> Catalog {
    catalog::embedded().expect("the embedded catalog is valid")
}

/// A file of the independent sources, if it is there.
#[expect(clippy::print_stdout, reason = "a comparison that is skipped has to say so")]
fn independent(name: &str) -> Option<PathBuf> {
    let path = root().join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

#[test]
fn the_embedded_files_have_the_digests_that_the_rebuild_tool_recorded() {
    let cache = root().join("pricing-cache");
    let manifest = fs::read_to_string(cache.join("MANIFEST")).expect("the manifest is committed");
    let mut listed = BTreeSet::new();
    for line in manifest.lines() {
        let (digest, name) = line.split_once("  ").expect("a line has the form of sha256sum");
        let data = fs::read(cache.join(name)).expect("every listed file is committed");
        let actual: String = Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(actual, digest, "{name} was changed by hand; run pricing-cache/rebuild/run");
        listed.insert(cache.join(name));
    }
    let folders = ["us-east-1", "us-gov"].map(|folder| fs::read_dir(cache.join(folder)).expect("the folder is committed"));
    let present: BTreeSet<PathBuf> =
        folders.into_iter().flatten().map(|entry| entry.expect("the folder can be listed").path()).collect();
    assert_eq!(listed, present);
}

#[test]
fn the_folder_of_the_embedded_catalog_reads_as_the_same_catalog() {
    let read = catalog::read(&root().join("pricing-cache/us-east-1")).expect("the folder is a catalog");
    assert_eq!(read, embedded());
}

#[test]
fn the_embedded_catalog_holds_the_region() {
    let catalog = embedded();
    assert_eq!(catalog.region, "us-east-1");
    assert_eq!(catalog.instance_types.len(), 1340);
    let zones: Vec<&str> = catalog.zones().into_iter().collect();
    assert_eq!(zones, ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d", "us-east-1e", "us-east-1f"]);
    assert!(catalog.summary().contains("On-Demand prices as of 2026-07-20"), "{}", catalog.summary());
    assert!(catalog.summary().contains("ESTIMATE"), "{}", catalog.summary());
}

#[test]
fn every_spot_price_is_marked_as_an_estimate_and_below_on_demand() {
    let catalog = embedded();
    let mut spot_types = 0;
    for instance_type in &catalog.instance_types {
        let price = |wanted| instance_type.offerings.iter().find(|o| o.capacity_type == wanted).map(|o| o.price);
        let on_demand = price(CapacityType::OnDemand).expect("every type of the snapshot is sold On-Demand");
        spot_types += usize::from(price(CapacityType::Spot).is_some());
        for offering in &instance_type.offerings {
            match offering.capacity_type {
                CapacityType::OnDemand => assert_eq!(offering.price_kind, PriceKind::Listed),
                CapacityType::Spot => {
                    assert_eq!(offering.price_kind, PriceKind::Estimated);
                    let ratio = offering.price.dollars() / on_demand.dollars();
                    assert!((0.30..0.60).contains(&ratio), "{} {}: {ratio}", instance_type.name, offering.zone);
                }
                CapacityType::Reserved => panic!("{}: nobody sells what is reserved", instance_type.name),
            }
        }
    }
    assert_eq!(spot_types, 1327);
}

/// The rule of `pricing-cache/README.md` on one offering, by hand: 0.1008 x 0.430 x (0.88 + 0.24 x (fnv1a % 10001) / 10000).
#[test]
fn a_spot_estimate_follows_the_documented_rule() {
    let hash = "m7i.large/us-east-1a".bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let expected = 0.1008 * 0.430 * (0.88 + 0.24 * f64::from(hash % 10_001) / 10_000.0);
    let catalog = embedded();
    let offerings = &catalog.get("m7i.large").expect("m7i.large is sold").offerings;
    let spot = offerings.iter().find(|o| o.zone == "us-east-1a" && o.capacity_type == CapacityType::Spot);
    assert_eq!(spot.expect("m7i.large is sold as Spot").price.to_string(), format!("{expected:.4}"));
}

#[test]
fn the_default_root_volume_costs_what_aws_lists() {
    // 20 GiB x 0.08 $ / 730 h = 0.00219178...
    assert_eq!(root_volume_cost(&NodeClass::al2023("default"), &embedded()), UsdPerHour::from_micros(2_192));
}

/// An independent extraction of the same facts; its Spot prices are its own and are not compared.
#[test]
fn an_independent_extraction_has_the_same_facts() {
    let Some(path) = independent("catalog.json") else { return };
    let text = fs::read_to_string(path).expect("the file can be read");
    let other: serde_json::Value = serde_json::from_str(&text).expect("the file is JSON");
    let catalog = embedded();
    let types = other["types"].as_array().expect("types is a list");
    let names: Vec<&str> = types.iter().filter_map(|t| t["name"].as_str()).collect();
    assert_eq!(catalog.instance_types.iter().map(|t| t.name.as_str()).collect::<BTreeSet<_>>(), names.into_iter().collect());

    for theirs in types {
        let ours = catalog.get(theirs["name"].as_str().expect("a name is text")).expect("the names are equal");
        let class = NodeClass::al2023("default");
        let on_demand = ours.offerings.iter().filter(|o| o.capacity_type == CapacityType::OnDemand);
        let zones: Vec<&str> = on_demand.clone().map(|o| o.zone.as_str()).collect();
        let mut prices: Vec<f64> = on_demand.map(|o| o.price.dollars()).collect();
        prices.dedup();
        let gpu = ours.gpus.first();
        let made = serde_json::json!({
            "arch": [ours.architecture.as_str()],
            "cpu": ours.vcpus,
            "mem": ours.memory_mib,
            "eni": ours.network.default_card_interfaces(),
            "ips": ours.network.ipv4_per_interface,
            "pods": capacity(ours, &class, &InstanceSettings::default()).get(ResourceName::PODS),
            "gpu": gpu.map_or(0, |gpu| gpu.count),
            "gpuname": gpu.map(|gpu| &gpu.name),
            "gpuman": gpu.map(|gpu| &gpu.manufacturer),
            "nvme": ours.instance_store_gb.unwrap_or(0),
            "bare": ours.bare_metal,
            "hyp": ours.hypervisor,
            "burst": ours.burstable,
            "gen": ours.current_generation,
            "od": prices[0],
            "zones": zones,
        });
        assert_eq!(prices.len(), 1, "{} has one price in all zones", ours.name);
        for (key, value) in made.as_object().expect("it is an object") {
            let theirs = match (key.as_str(), &theirs[key]) {
                // It lists `i386` beside the architecture that Kubernetes runs on.
                ("arch", list) => serde_json::json!([list.as_array().and_then(|list| list.last())]),
                ("hyp", serde_json::Value::Null) => serde_json::json!(""),
                (_, value) => value.clone(),
            };
            assert_eq!(value, &theirs, "{} of {}", key, ours.name);
        }
    }
}

/// What Karpenter's documentation says of a type, by column.
type Documented = BTreeMap<String, String>;

fn documented() -> Option<Vec<Documented>> {
    let path = independent("allocatable-reference.csv")?;
    let mut reader = csv::Reader::from_path(path).expect("the file can be read");
    Some(reader.deserialize().map(|row| row.expect("every line has all columns")).collect())
}

/// The value of `label` on a node of the type, empty when it has none.
fn label(instance_type: &InstanceType, class: &NodeClass, name: &str) -> String {
    let requirements = instance_type.requirements(class, "us-east-1");
    let values = requirements.get(name).and_then(|requirement| requirement.finite().cloned()).unwrap_or_default();
    values.into_iter().collect::<Vec<_>>().join(" ")
}

/// The amount of a resource as the documentation prints it: CPU in milli-cores, memory in whole Mi and storage in whole Gi,
/// both rounded down, and nothing for none.
fn printed(name: &str, amount: i64) -> String {
    match (name, amount) {
        (_, 0) => String::new(),
        ("cpu", millis) => format!("{millis}m"),
        ("memory", bytes) => format!("{}Mi", bytes >> 20),
        ("ephemeral-storage", bytes) => format!("{}Gi", bytes >> 30),
        (_, count) => count.to_string(),
    }
}

/// Where today's facts differ from the documentation, which describes an older day: column, types, how many, and why.
type Deviation = (&'static str, fn(&str) -> bool, usize, &'static str);

const DEVIATIONS: [Deviation; 5] = [
    (
        "karpenter.k8s.aws/instance-cpu-sustained-clock-speed-mhz",
        |family| ["c9g", "c9gd", "i7i", "i7ie", "m9g", "m9gd"].contains(&family),
        66,
        "EC2 gives another clock speed since",
    ),
    ("karpenter.k8s.aws/instance-network-bandwidth", |family| family == "g7", 3, "provider v1.15.1 has other figures than v1.14"),
    ("pods", |family| ["i7ie", "i8ge"].contains(&family), 4, "EC2 splits the interfaces over two cards since"),
    ("memory", |family| ["i7ie", "i8ge"].contains(&family), 4, "fewer pods, so the kubelet keeps less"),
    (
        "vpc.amazonaws.com/pod-eni",
        |family| family.starts_with(['c', 'm', 'r', 'h']) || family == "i4i",
        56,
        "the VPC limits in provider v1.15.1 know more types that can trunk",
    ),
];

/// Whether a column of the documentation is a label; the others are resources.
fn is_label(column: &str) -> bool {
    ["karpenter.k8s.aws/", "kubernetes.io/", "node.kubernetes.io/"].iter().any(|domain| column.starts_with(domain))
}

/// Where a type differs from its documentation: column, ours, theirs.
fn differences(ours: &InstanceType, theirs: &Documented) -> Vec<(String, String, String)> {
    let class = NodeClass::al2023("default");
    let room = allocatable(ours, &class, &InstanceSettings::default());
    let made = |column: &str| if is_label(column) { label(ours, &class, column) } else { printed(column, room.get(column)) };
    let columns = theirs.iter().filter(|(column, _)| *column != "instance_type");
    columns
        .map(|(column, value)| (column.clone(), made(column), value.clone()))
        .filter(|(_, made, value)| made != value)
        .collect()
}

fn deviation(ours: &InstanceType, column: &str) -> Option<usize> {
    DEVIATIONS.iter().position(|(where_, types, ..)| *where_ == column && types(ours.family().unwrap_or_default()))
}

#[test]
fn labels_and_allocatable_equal_karpenters_documentation() {
    let Some(documented) = documented() else { return };
    let catalog = embedded();
    let (mut compared, mut known, mut unknown) = (0, [0; DEVIATIONS.len()], Vec::new());
    for theirs in documented {
        let Some(ours) = catalog.get(&theirs["instance_type"]) else { continue };
        compared += 1;
        for (column, made, value) in differences(ours, &theirs) {
            match deviation(ours, &column) {
                Some(at) => known[at] += 1,
                None => unknown.push(format!("{column} of {}: {made:?}, documented {value:?}", ours.name)),
            }
        }
    }
    assert_eq!(compared, 1340);
    assert_eq!(unknown, Vec::<String>::new());
    for ((column, _, expected, reason), found) in DEVIATIONS.iter().zip(known) {
        assert_eq!(found, *expected, "types that differ in {column} because {reason}");
    }
}

/// What stands around the tables in the page.
const TABLES: [&str; 2] = ["<!-- compared: begin -->\n", "<!-- compared: end -->\n"];

/// The families of the types and their rooms, then every difference in a resource, as Markdown.
fn comparison(catalog: &Catalog, documented: &[Documented]) -> String {
    let class = NodeClass::al2023("default");
    let room = |one: &InstanceType| allocatable(one, &class, &InstanceSettings::default());
    let mut families: BTreeMap<&str, Vec<(&InstanceType, usize)>> = BTreeMap::new();
    let (mut rows, mut exact) = (String::new(), 0);
    for theirs in documented {
        let Some(ours) = catalog.get(&theirs["instance_type"]) else { continue };
        let mut found = differences(ours, theirs);
        found.retain(|(column, ..)| !is_label(column));
        exact += usize::from(found.is_empty());
        families.entry(ours.family().unwrap_or_default()).or_default().push((ours, found.len()));
        for (column, made, value) in found {
            let why = deviation(ours, &column).map_or("unexplained", |at| DEVIATIONS[at].3);
            let stated = |text: String| if text.is_empty() { "none".to_owned() } else { text };
            let _ = writeln!(rows, "| {} | {column} | {} | {} | {why} |", ours.name, stated(made), stated(value));
        }
    }
    let types: usize = families.values().map(Vec::len).sum();
    let mut text = format!(
        "{types} instance types in {} families are compared; {exact} are equal in every resource, {} are not.\n\n",
        families.len(),
        types - exact
    );
    text.push_str("| family | types | CPU | memory | pods | equal |\n|---|--:|--:|--:|--:|--:|\n");
    for (family, types) in families {
        let span = |resource: &str| {
            let amounts: Vec<i64> = types.iter().map(|(one, _)| room(one).get(resource)).collect();
            let (least, most) = (amounts.iter().min().copied().unwrap_or(0), amounts.iter().max().copied().unwrap_or(0));
            let [least, most] = [least, most].map(|amount| printed(resource, amount));
            if least == most { least } else { format!("{least} to {most}") }
        };
        let [cpu, memory, pods] = [ResourceName::CPU, ResourceName::MEMORY, ResourceName::PODS].map(span);
        let equal = types.iter().filter(|(_, differences)| *differences == 0).count();
        let _ = writeln!(text, "| {family} | {} | {cpu} | {memory} | {pods} | {equal} |", types.len());
    }
    text.push_str("\nEvery difference:\n\n| instance type | resource | here | documented | why |\n|---|---|--:|--:|---|\n");
    text + &rows
}

/// The page has the tables of today; `INSTA_UPDATE=always` writes them.
#[test]
fn the_page_on_allocatable_has_the_comparison_of_today() {
    let Some(mut documented) = documented() else { return };
    documented.sort_by(|a, b| a["instance_type"].cmp(&b["instance_type"]));
    let tables = comparison(&embedded(), &documented);
    let path = root().join("docs/allocatable.md");
    let page = fs::read_to_string(&path).expect("the page is there");
    let parts = page.split_once(TABLES[0]).and_then(|(head, rest)| Some((head, rest.split_once(TABLES[1])?)));
    let (head, (shown, tail)) = parts.expect("the page has a place for the tables");
    if std::env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always") {
        fs::write(&path, [head, TABLES[0], &tables, TABLES[1], tail].concat()).expect("the page can be written");
    } else {
        assert!(shown == tables, "docs/allocatable.md has other tables than those of today:\n{tables}");
    }
}
