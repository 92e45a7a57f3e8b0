//! Vector packing as instances: the text form `.vbp` of VPSolver, and bins as nodes.
//!
//! A `.vbp` file is whitespace-separated whole numbers: the number of dimensions, the capacity of a bin in each, the number of kinds of items,
//! and per kind its weights and how many there are.
//!
//! The one instance type of such an instance costs a dollar an hour and has the dimensions as extended resources, which a NodeOverlay gives
//! it. So a plan costs as many dollars as it has bins. Pods ask for nothing else, no DaemonSet runs, and a node takes as many pods as there are.

use std::collections::BTreeMap;

use serde_json::json;

use crate::benchmark::instance::generator::objects::{NODE_CLASS, Pool, Service, node_class};
use crate::benchmark::instance::{CatalogSource, FORMAT, InstanceDocument, InstanceError, Origin};

/// Larger numbers are refused: sums of them stay far within 64 bits.
const LARGEST: i64 = 1_000_000_000_000;
/// More items than this are no instance for a cluster.
const MOST_ITEMS: i64 = 1_000_000;
/// More dimensions than this have no resource each.
const MOST_DIMENSIONS: i64 = 100;
/// Kind of node that every bin is.
const BIN: &str = "bin.large";

/// Items to be packed into as few bins as possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Of a bin, by dimension.
    pub capacity: Vec<i64>,
    /// Kinds of items.
    pub items: Vec<Item>,
}

/// Items that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// By dimension.
    pub weights: Vec<i64>,
    /// How many there are.
    pub demand: usize,
}

/// The numbers of a text, with their lines.
struct Numbers<'a> {
    name: &'a str,
    words: Box<dyn Iterator<Item = (usize, &'a str)> + 'a>,
    line: usize,
}

impl<'a> Numbers<'a> {
    fn new(name: &'a str, text: &'a str) -> Self {
        let lines = text.lines().enumerate();
        Self {
            name,
            words: Box::new(lines.flat_map(|(at, line)| line.split_whitespace().map(move |word| (at + 1, word)))),
            line: 1,
        }
    }

    fn fail(&self, problem: impl Into<String>, mend: &str) -> InstanceError {
        InstanceError::file(format!("{}:{}", self.name, self.line), problem, mend)
    }

    /// The next number, which is `what`.
    fn next(&mut self, what: &str, least: i64, most: i64) -> Result<i64, InstanceError> {
        let Some((line, word)) = self.words.next() else {
            return Err(self.fail(format!("the text ends where {what} should be"), "was it cut off while it was written?"));
        };
        self.line = line;
        match word.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(self.fail(format!("{what} is `{word}`"), &format!("write a whole number from {least} to {most}"))),
        }
    }
}

impl Packing {
    /// Reads a `.vbp` text; errors call it `name`.
    ///
    /// # Errors
    /// What is wrong, with its line: no number, an item that fits into no bin, a text that is too short or too long.
    pub fn parse(name: &str, text: &str) -> Result<Self, InstanceError> {
        let mut numbers = Numbers::new(name, text);
        let dimensions = numbers.next("the number of dimensions", 1, MOST_DIMENSIONS)?;
        let capacity =
            (0..dimensions).map(|_| numbers.next("a capacity", 0, LARGEST)).collect::<Result<Vec<i64>, InstanceError>>()?;
        let kinds = numbers.next("the number of kinds of items", 1, MOST_ITEMS)?;
        let (mut items, mut count) = (Vec::new(), 0);
        for kind in 1..=kinds {
            let mut weights = Vec::new();
            for room in &capacity {
                let weight = numbers.next("a weight", 0, LARGEST)?;
                if weight > *room {
                    let problem = format!("item {kind} has a weight of {weight}, a bin has room for {room}");
                    return Err(numbers.fail(problem, "take it out: no plan could place it"));
                }
                weights.push(weight);
            }
            let demand = numbers.next("a demand", 1, MOST_ITEMS - count)?;
            count += demand;
            items.push(Item { weights, demand: usize::try_from(demand).unwrap_or_default() });
        }
        if let Some((line, word)) = numbers.words.next() {
            numbers.line = line;
            return Err(numbers.fail(format!("`{word}` follows after the last item"), "check the number of items"));
        }
        Ok(Self { capacity, items })
    }

    /// The instance of the family `packing` whose cost is the number of bins.
    #[must_use]
    pub fn instance(&self, name: &str, description: &str, origin: Origin) -> InstanceDocument {
        let resource = |dimension: usize| format!("supercargo.io/dimension-{}", dimension + 1);
        let mut class = node_class(NODE_CLASS);
        class["spec"]["kubelet"] = json!({ "maxPods": self.items.iter().map(|item| item.demand).sum::<usize>() });
        let capacity: BTreeMap<String, String> =
            self.capacity.iter().enumerate().map(|(at, room)| (resource(at), room.to_string())).collect();
        let overlay = json!({
            "apiVersion": "karpenter.sh/v1alpha1",
            "kind": "NodeOverlay",
            "metadata": { "name": "dimensions" },
            "spec": { "requirements": [], "capacity": capacity },
        });
        let mut objects = vec![class, Pool::new("default", &["on-demand"]).object(), overlay];
        for (number, item) in self.items.iter().enumerate() {
            let mut service = Service::new(format!("item-{}", number + 1), item.demand, 0, 0);
            let wanted = item.weights.iter().enumerate().filter(|(_, weight)| **weight > 0);
            service.others = wanted.map(|(at, weight)| (resource(at), *weight)).collect();
            objects.push(service.deployment());
        }
        InstanceDocument {
            format: FORMAT.to_owned(),
            name: name.to_owned(),
            family: "packing".to_owned(),
            description: description.to_owned(),
            origin,
            objects,
            catalog: CatalogSource::Inline(catalog()),
            commitments: None,
            max_spot_pool_share: None,
        }
    }
}

/// A catalog of one type, at a dollar an hour in one zone.
fn catalog() -> BTreeMap<String, String> {
    let about = ["instance_types", "zones", "on_demand", "spot", "ebs"];
    let sources: String =
        about.iter().map(|what| format!("{what}.origin = vector packing\n{what}.as_of = 2026-11-01\n")).collect();
    let volumes = ["gp2", "gp3", "io1", "io2", "sc1", "st1", "standard"].map(|volume| format!("{volume},0.0800\n")).concat();
    let columns = [
        ("instance_type", BIN),
        ("architecture", "amd64"),
        ("vcpus", "64"),
        ("memory_mib", "1048576"),
        ("cpu_manufacturer", "Intel"),
        ("clock_mhz", "3000"),
        ("hypervisor", "nitro"),
        ("bare_metal", "false"),
        ("burstable", "false"),
        ("current_generation", "true"),
        ("on_demand", "true"),
        ("spot", "false"),
        ("nested_virtualization", "false"),
        ("enclaves", "false"),
        ("interfaces_per_card", "15"),
        ("default_card", "0"),
        ("ipv4_per_interface", "50"),
        ("ena", "true"),
        ("efa_interfaces", "0"),
        ("branch_interfaces", "0"),
        ("encryption_in_transit", "false"),
        ("bandwidth_mbps", "10000"),
        ("ebs_bandwidth_mbps", "10000"),
        ("instance_store_gb", ""),
        ("instance_store_nvme", "false"),
        ("gpus", ""),
        ("accelerators", ""),
        ("neuron_devices", ""),
    ];
    let (names, values): (Vec<&str>, Vec<&str>) = columns.into_iter().unzip();
    let files = [
        ("catalog.properties", format!("region = us-east-1\nspot.kind = estimate\n{sources}")),
        ("ebs.csv", format!("volume_type,usd_per_gib_month\n{volumes}")),
        ("instance-types.csv", format!("{}\n{}\n", names.join(","), values.join(","))),
        ("offerings.csv", format!("instance_type,usd_per_hour,zones\n{BIN},1.0000,us-east-1a\n")),
        ("spot.csv", "instance_type,us-east-1a\n".to_owned()),
    ];
    files.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::benchmark::instance::{COSTS, Loaded};
    use crate::domain::money::UsdPerHour;
    use crate::planning::{plan, verifier};
    use crate::solver::SolveConfig;

    /// Two dimensions; four of the first kind fill a bin in the first, two of the second in the second: three bins.
    const TEXT: &str = "2\n100 50\n3\n25 5 4\n10 25 3\n60 0 1\n";

    #[test]
    fn a_plan_costs_as_many_dollars_as_there_are_bins() {
        let packing = Packing::parse("small.vbp", TEXT).expect("sound");
        assert_eq!((packing.capacity.as_slice(), packing.items.len(), packing.items[1].demand), ([100, 50].as_slice(), 3, 3));
        let origin = Origin { source: "by hand".to_owned(), generator: None, seed: None };
        let document = packing.instance("bins", "Eight items.", origin);
        let Loaded { cluster, catalog } = document.load(Path::new("")).expect("it stands by itself");
        assert_eq!((cluster.pods.len(), catalog.instance_types.len()), (8, 1));
        let config = SolveConfig { gap: 0.0, work_limit: Some(1_000_000), deadline: None, seed: 1 };
        let made = plan(&cluster, &catalog, &COSTS, &config, &|| Duration::ZERO, &mut |_| {}).expect("a plan").plan;
        // 100 + 30 + 60 in the first dimension and 20 + 75 in the second ask for two bins; the sizes of both together for three.
        assert_eq!((made.nodes.len(), made.value(), made.bound), (3, UsdPerHour::from_micros(3_000_000), made.value()));
        let verdict = verifier::verify(&cluster, &catalog, &made, &|_| UsdPerHour::ZERO, &COSTS.interruptions);
        assert_eq!(verdict.violations, []);
    }

    #[test]
    fn a_bad_text_is_one_error_with_its_line() {
        let cases = [
            ("", "x.vbp:1: the text ends where the number of dimensions should be"),
            ("2\n100 fifty\n", "x.vbp:2: a capacity is `fifty`"),
            ("1\n10\n1\n11 1\n", "x.vbp:4: item 1 has a weight of 11, a bin has room for 10"),
            ("1\n10\n1\n5 0\n", "x.vbp:4: a demand is `0`"),
            ("1\n10\n2\n5 1\n", "x.vbp:4: the text ends where a weight should be"),
            ("1\n10\n1\n5 1\n7\n", "x.vbp:5: `7` follows after the last item"),
            ("0\n", "x.vbp:1: the number of dimensions is `0`"),
            ("1\n10\n1\n5 99999999999\n", "x.vbp:4: a demand is `99999999999`"),
        ];
        for (text, expected) in cases {
            let said = Packing::parse("x.vbp", text).expect_err(text).to_string();
            assert!(said.starts_with(expected) && said.contains("\n  hint: "), "{said}\nhas no {expected}");
        }
    }
}
