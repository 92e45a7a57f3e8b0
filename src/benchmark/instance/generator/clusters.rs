//! The families about what is there already: *standing* nodes, *limits* of NodePools, *committed* money, and *consolidation* of a fleet.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::benchmark::instance::InstanceDocument;
use crate::benchmark::instance::generator::objects::{Machine, Pool, Service};
use crate::benchmark::instance::generator::{ANY, Draft, ON_DEMAND, SEED, services, surroundings};
use crate::domain::annotations;
use crate::domain::labels;

/// Types of nodes that run: name, cores, MiB, pods.
const TYPES: [(&str, i64, i64, i64); 4] =
    [("m5.xlarge", 4, 16_384, 58), ("m5.2xlarge", 8, 32_768, 58), ("c5.4xlarge", 16, 32_768, 234), ("r5.2xlarge", 8, 65_536, 58)];

/// The zones that nodes run in.
const ZONES: [&str; 3] = ["us-east-1a", "us-east-1b", "us-east-1c"];

/// Every instance of the four families.
pub(super) fn instances() -> Vec<InstanceDocument> {
    let mut made = standing();
    made.extend(limits());
    made.extend(committed());
    made.extend(consolidation());
    made
}

/// A node of one of the types, in the zones by turns.
fn machine(number: usize, rng: &mut ChaCha8Rng, capacity_type: &'static str) -> Machine {
    let (instance_type, cores, mem_mib, pods) = TYPES[rng.random_range(0..TYPES.len())];
    let zone = ZONES[number % ZONES.len()].to_owned();
    Machine { name: format!("node-{number}"), instance_type, zone, capacity_type, cores, mem_mib, pods }
}

/// Nodes that run, and how many pods of each service run on them.
struct Fleet {
    machines: Vec<Machine>,
    /// Running pods.
    pods: Vec<Value>,
}

/// Puts pods of `services` on nodes until each has used `fill` percent of its cores or memory, or nothing is left; each service keeps the
/// share of its pods that `waiting` (percent) says for later.
fn fleet(services: &[Service], nodes: usize, fill: i64, waiting: usize, capacity_type: &'static str) -> Fleet {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED ^ 2);
    let mut next: Vec<(usize, usize)> = services.iter().map(|of| (0, of.replicas - of.replicas * waiting / 100)).collect();
    let (mut machines, mut pods) = (Vec::new(), Vec::new());
    for number in 0..nodes {
        let machine = machine(number, &mut rng, capacity_type);
        let (mut cpu_m, mut mem_mib) = (machine.cpu_m() * fill / 100, machine.room_mib() * fill / 100);
        // Running pods are spread thinly, as they are in a cluster that has shrunk: one of each service before the second.
        for _ in 0..3 {
            for (at, service) in services.iter().enumerate() {
                let (done, all) = &mut next[at];
                let other_architecture = service.node_selector.get(labels::ARCH).is_some_and(|arch| arch != "amd64");
                if *done < *all && service.cpu_m <= cpu_m && service.mem_mib <= mem_mib && !other_architecture {
                    cpu_m -= service.cpu_m;
                    mem_mib -= service.mem_mib;
                    pods.push(service.running(*done, &machine.name));
                    *done += 1;
                }
            }
        }
        machines.push(machine);
    }
    Fleet { machines, pods }
}

/// The objects of services and NodePools, with those of the fleet.
fn beside(services: &[Service], pool: Pool, nodes: Vec<Value>, fleet: Vec<Value>) -> Vec<Value> {
    let mut objects = surroundings([pool]);
    objects.extend(services.iter().map(Service::deployment));
    objects.extend(nodes);
    objects.extend(fleet);
    objects
}

fn standing() -> Vec<InstanceDocument> {
    let make = |name: &str, services: usize, nodes: usize, description, objects: fn(&Machine, usize) -> Value| {
        let wanted = services::micro(services, SEED);
        let Fleet { machines, pods } = fleet(&wanted, nodes, 70, 60, "on-demand");
        let standing: Vec<Value> = machines.iter().enumerate().map(|(number, of)| objects(of, number)).collect();
        // A node that is not up has no pods: those wait, and are among the replicas.
        let up = |pod: &&Value| {
            standing.iter().any(|node| node["kind"] == "Node" && node["metadata"]["name"] == pod["spec"]["nodeName"])
        };
        let running = pods.iter().filter(up).cloned().collect();
        let generator = format!("standing kind={name} services={services} nodes={nodes}");
        Draft::new("standing", format!("standing-{name}"), generator, description).of(beside(
            &wanted,
            Pool::new("default", ANY),
            standing,
            running,
        ))
    };
    vec![
        make(
            "free",
            40,
            12,
            "Nodes that run have room, which costs nothing; what fits there best is not what first-fit puts there.",
            |of, _| of.node(),
        ),
        make(
            "in-flight",
            40,
            12,
            "Every third node is bought and not up yet: its room counts, and no pod runs there.",
            |of, number| {
                if number % 3 == 0 { of.claim() } else { of.node() }
            },
        ),
        make(
            "leaving",
            40,
            12,
            "Every fourth node is being deleted: its pods are demand, and its room is gone.",
            |of, number| {
                if number % 4 == 0 { of.leaving() } else { of.node() }
            },
        ),
        make(
            "fleet",
            300,
            150,
            "A hundred and fifty nodes with room of every shape beside many small services.",
            |of, number| match number % 10 {
                0 => of.claim(),
                1 => of.leaving(),
                _ => of.node(),
            },
        ),
    ]
}

fn limits() -> Vec<InstanceDocument> {
    let make = |name: &str, services: usize, description, pools: Vec<Pool>| {
        let generator = format!("limits kind={name} services={services}");
        Draft::new("limits", format!("limits-{name}"), generator, description).with(&services::micro(services, SEED), pools)
    };
    vec![
        make(
            "cpu",
            60,
            "A limit on cores that most pods fit into: memory-heavy types are dearer and count less.",
            vec![Pool::new("default", ANY).limit("cpu", "600")],
        ),
        make(
            "nodes",
            60,
            "At most ten nodes: few large ones in place of many cheap ones.",
            vec![Pool::new("default", ANY).limit("nodes", "10")],
        ),
        make(
            "dollars",
            60,
            "A limit in dollars that leaves pods out: as many as possible for the money, and those as cheap as possible.",
            vec![Pool::new("default", ON_DEMAND).annotated(annotations::MAX_USD_PER_HOUR, "9.50")],
        ),
        make(
            "tiers",
            60,
            "Three weights: a reserved family first, then Spot up to a limit, then On-Demand for what is left.",
            vec![
                Pool::new("first", ON_DEMAND)
                    .require("karpenter.k8s.aws/instance-family", "In", &["m5"])
                    .weight(50)
                    .limit("cpu", "48"),
                Pool::new("second", &["spot"]).weight(10).limit("cpu", "300"),
                Pool::new("third", ON_DEMAND),
            ],
        ),
        make(
            "both",
            200,
            "Two NodePools of one weight, each limited in cores and memory: which pods go where is a knapsack of its own.",
            vec![
                Pool::new("one", ANY).general().limit("cpu", "900").limit("memory", "4000Gi"),
                Pool::new("other", ANY)
                    .require("kubernetes.io/arch", "In", &["arm64"])
                    .limit("cpu", "2000")
                    .limit("memory", "9000Gi"),
            ],
        ),
    ]
}

fn committed() -> Vec<InstanceDocument> {
    let reserved = json!([
        { "id": "ri-region", "instanceType": "m5.xlarge", "count": 12 },
        { "id": "ri-zone", "instanceType": "c5.2xlarge", "count": 4, "zone": "us-east-1a" },
        { "id": "ri-fixed", "instanceType": "g5.xlarge", "count": 2 },
    ]);
    let plans = json!([
        { "id": "sp-compute", "type": "Compute", "commitment": "6.00", "discountPercent": 27.5 },
        { "id": "sp-r6i", "type": "EC2Instance", "instanceFamily": "r6i", "commitment": "2.50", "discountPercent": 36 },
    ]);
    let make = |name: &str, description, bought: Value| {
        let generator = format!("committed kind={name} services=100");
        let draft = Draft::new("committed", format!("committed-{name}"), generator, description);
        InstanceDocument { commitments: Some(bought), ..draft.with(&services::micro(100, SEED), [Pool::new("default", ANY)]) }
    };
    vec![
        make(
            "reserved",
            "Reserved Instances of the region, of a zone and of a family of fixed size: the list price of a node depends on the others.",
            json!({ "reservedInstances": reserved }),
        ),
        make("plans", "Savings Plans make On-Demand cheaper than Spot until they are used up.", json!({ "savingsPlans": plans })),
        make(
            "all",
            "Reserved Instances and Savings Plans together.",
            json!({ "reservedInstances": reserved, "savingsPlans": plans }),
        ),
    ]
}

fn consolidation() -> Vec<InstanceDocument> {
    let make = |name: &str, services: usize, nodes: usize, kept: usize, description| {
        let wanted: Vec<Service> = services::micro(services, SEED);
        let Fleet { machines, pods } = fleet(&wanted, nodes, 45, 0, "on-demand");
        let nodes_of = |(number, of): (usize, &Machine)| if number < kept { of.node() } else { of.leaving() };
        let standing = machines.iter().enumerate().map(nodes_of).collect();
        // Only what runs is planned anew: the services have as many replicas as there are pods.
        let running = |service: &Service| pods.iter().filter(|pod| pod["metadata"]["labels"]["app"] == *service.name).count();
        let wanted: Vec<Service> = wanted.iter().map(|of| Service { replicas: running(of), ..of.clone() }).collect();
        let generator = format!("consolidation services={services} nodes={nodes} kept={kept}");
        Draft::new("consolidation", format!("consolidation-{name}"), generator, description).of(beside(
            &wanted,
            Pool::new("default", ANY).general(),
            standing,
            pods.clone(),
        ))
    };
    vec![
        make("few", 30, 8, 0, "Eight On-Demand nodes that are less than half full go at once; their pods are planned anew."),
        make("part", 60, 24, 12, "Half of the nodes go, and their pods may use the room of those that stay."),
        make(
            "fleet",
            400,
            150,
            30,
            "A hundred and twenty of a hundred and fifty nodes go: the whole fleet is planned anew beside thirty nodes.",
        ),
    ]
}
