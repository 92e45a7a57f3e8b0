//! Scenarios that the repository makes itself, so that the benchmark runs on a bare clone.
//!
//! Four families: *micro* is many small services with few replicas (classes count), *gpu* is a training and inference cluster
//! (a scarce resource decides), *plain* is few kinds of pods in great numbers (pods count), *mixed* is micro with larger services and
//! rules about zones and nodes. Sizes are drawn with a fixed seed;
//! the distributions are round figures chosen for their shape, not fitted to any cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use supercargo::domain::labels;
use supercargo::domain::requirement::{Requirement, Requirements};
use supercargo::domain::resources::Resources;
use supercargo::domain::selector::Labels;
use supercargo::domain::topology::PodAffinityTerm;

use crate::workloads::{Group, Pool, Rules, Scenario, requests, selecting, spread};

/// The seed of every scenario.
const SEED: u64 = 20_261_101;

/// Every generated scenario, small to large.
pub(crate) fn all() -> Vec<Scenario> {
    let (any, on_demand) = (&["spot", "on-demand"][..], &["on-demand"][..]);
    vec![
        scenario("gen-micro-20", any, micro(20)),
        scenario("gen-micro-od-100", on_demand, micro(100)),
        scenario("gen-micro-100", any, micro(100)),
        scenario("gen-gpu-2000", any, gpu(60)),
        scenario("gen-plain-10000", any, plain()),
        scenario("gen-micro-1000", any, micro(1_000)),
        scenario("gen-mixed-50", any, mixed(50)),
        scenario("gen-mixed-500", any, mixed(500)),
        scenario("gen-mixed-od-500", on_demand, mixed(500)),
        scenario("gen-mixed-1500", any, mixed(1_500)),
    ]
}

fn scenario(name: &str, capacity_types: &[&str], groups: Vec<Group>) -> Scenario {
    let mut requirements = Requirements::new();
    requirements.add(labels::CAPACITY_TYPE, Requirement::one_of(capacity_types.iter().copied()));
    requirements.add(labels::OS, Requirement::one_of(["linux"]));
    let pool = Pool { name: "default".to_owned(), weight: 0, requirements, taints: Vec::new(), limits: BTreeMap::new() };
    let daemons = vec![requests(50, 64, 0), requests(100, 128, 0)];
    Scenario { name: name.to_owned(), groups, pools: vec![pool], daemons }
}

fn group(number: usize, count: usize, requests: Resources) -> Group {
    let name = format!("w{number}");
    let labels = Arc::new(app(number));
    Group { name, count, requests, node_selector: BTreeMap::new(), labels, rules: Rules::default() }
}

/// The label of a group's pods.
fn app(number: usize) -> Labels {
    Labels::from([("app".to_owned(), format!("w{number}"))])
}

/// The services of `micro` with 20 pods each on average and rules of every kind on two in three: zones in balance (one in three), at
/// most one or two on a node, apart from another service, all in one zone, balanced over zones and nodes at once.
fn mixed(services: usize) -> Vec<Group> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED ^ 1);
    let mut groups = micro(services);
    for (number, group) in groups.iter_mut().enumerate() {
        group.count = match rng.random_range(0..10_u32) {
            0..=2 => rng.random_range(1..=4),
            3..=7 => rng.random_range(6..=24),
            _ => rng.random_range(20..=80),
        };
        let zones = |skew| spread(labels::ZONE.to_owned(), skew, &app(number));
        let nodes = |skew| spread(labels::HOSTNAME.to_owned(), skew, &app(number));
        let term = |key: &str, of| PodAffinityTerm { topology_key: key.to_owned(), selector: selecting(&app(of)) };
        let rules = &mut group.rules;
        match rng.random_range(0..30_u32) {
            0..=7 => rules.spreads.push(zones(1)),
            8..=9 => rules.spreads.push(zones(rng.random_range(2..=3))),
            10..=12 => rules.apart.push(term(labels::HOSTNAME, number)),
            13..=14 => rules.spreads.push(nodes(2)),
            15 => rules.near.push(term(labels::ZONE, number)),
            16 => rules.apart.push(term(labels::HOSTNAME, (number + 1) % services)),
            17 => rules.spreads.extend([zones(1), nodes(1)]),
            18 if number > 0 => rules.near.push(term(labels::ZONE, number - 1)),
            _ => {}
        }
    }
    groups
}

/// Services of 50 m to 8 cores, 1 to 8 GiB a core, mostly with few replicas; one in eight asks for an architecture.
fn micro(services: usize) -> Vec<Group> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let make = |number| {
        let doublings: u32 = rng.random_range(0..=7);
        let cpu_m = (50_i64 << doublings) + 50 * rng.random_range(0..=i64::from(doublings));
        let mem_mib = rounded(cpu_m * (1 << rng.random_range(0..=3_u32)) * 1024 / 1000);
        let count = match rng.random_range(0..10_u32) {
            0..=4 => rng.random_range(1..=3),
            5..=8 => rng.random_range(2..=15),
            _ => rng.random_range(10..=50),
        };
        let mut made = group(number, count, requests(cpu_m, mem_mib, 0));
        if rng.random_range(0..8_u32) == 0 {
            let architecture = if rng.random_range(0..2_u32) == 0 { "amd64" } else { "arm64" };
            made.node_selector.insert(labels::ARCH.to_owned(), architecture.to_owned());
        }
        made
    };
    (0..services).map(make).collect()
}

/// Jobs of which five in six ask for one GPU and a few for eight.
fn gpu(jobs: usize) -> Vec<Group> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let make = |number| {
        let gpus = match rng.random_range(0..24_u32) {
            0..=3 => 0,
            4 => 8,
            _ => 1,
        };
        let cores = rng.random_range(1..=16_i64) * if gpus == 8 { 5 } else { 1 };
        let count = if gpus == 8 { rng.random_range(1..=5) } else { rng.random_range(1..=75) };
        group(number, count, requests(cores * 1000, cores * 1024 * rng.random_range(1..=4_i64), gpus))
    };
    (0..jobs).map(make).collect()
}

/// 10,000 pods of six sizes.
fn plain() -> Vec<Group> {
    let sizes = [
        (4_000, 200, 384),
        (2_500, 500, 1_536),
        (1_500, 1_100, 1_280),
        (1_000, 1_900, 7_680),
        (700, 1_600, 11_264),
        (300, 3_800, 28_672),
    ];
    sizes.into_iter().enumerate().map(|(number, (count, cpu_m, mib))| group(number, count, requests(cpu_m, mib, 0))).collect()
}

/// The next multiple of 64, since people write round figures.
fn rounded(mib: i64) -> i64 {
    (mib + 63) / 64 * 64
}
