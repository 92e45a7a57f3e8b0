//! The families that are about sizes: *gpu*, where a scarce resource decides; *plain*, few kinds of pods in great numbers; *diverse*, where
//! hardly two pods are alike; *awkward*, whose sizes leave every node with room that nothing fits into.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::benchmark::instance::generator::objects::{Service, app};
use crate::domain::labels;

/// Jobs of which most ask for one GPU, a few for eight and some for none.
pub(super) fn gpu(jobs: usize, seed: u64) -> Vec<Service> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let make = |number| {
        let gpus = match rng.random_range(0..24_u32) {
            0..=3 => 0,
            4 => 8,
            _ => 1,
        };
        let cores = rng.random_range(1..=16_i64) * if gpus == 8 { 5 } else { 1 };
        let replicas = if gpus == 8 { rng.random_range(1..=5_u32) } else { rng.random_range(1..=75) };
        let mem_mib = cores * 1024 * rng.random_range(1..=4_i64);
        Service::new(format!("job{number}"), replicas as usize, cores * 1000, mem_mib).gpus(gpus)
    };
    (0..jobs).map(make).collect()
}

/// Six sizes in fixed proportions, `pods` in all; a multiple of 100.
pub(super) fn plain(pods: usize) -> Vec<Service> {
    let shares =
        [(40, 200, 384), (25, 500, 1_536), (15, 1_100, 1_280), (10, 1_900, 7_680), (7, 1_600, 11_264), (3, 3_800, 28_672)];
    let make = |(number, (percent, cpu_m, mem_mib)): (usize, (usize, i64, i64))| {
        Service::new(format!("w{number}"), pods * percent / 100, cpu_m, mem_mib)
    };
    shares.into_iter().enumerate().map(make).collect()
}

/// Services of one pod each, of 50 m to 6 cores in steps of 10 m and 64 MiB to 24 GiB in steps of 32 MiB; small ones are as frequent as
/// large ones on a logarithmic scale.
pub(super) fn diverse(pods: usize, seed: u64) -> Vec<Service> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let make = |number| Service::new(format!("p{number}"), 1, doubled(5, 7, &mut rng) * 10, doubled(2, 8, &mut rng) * 32);
    (0..pods).map(make).collect()
}

/// A number from `least` to less than `least` doubled `times` times, each doubling as likely as the others.
fn doubled(least: i64, times: u32, rng: &mut ChaCha8Rng) -> i64 {
    let from = least << rng.random_range(0..times);
    rng.random_range(from..2 * from)
}

/// Pods of seven labels and thirty sizes, half of them without rules; the others balance all pods of their label over zones or nodes, or ask
/// for the company of a label.
pub(super) fn diverse_ruled(pods: usize, seed: u64) -> Vec<Service> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let cores = [100_i64, 250, 500, 1_000, 1_500];
    let memory = [100_i64, 256, 512, 1_024, 2_048, 4_096];
    let make = |number| {
        let mut label = || char::from(b'a' + rng.random_range(0..7_u8)).to_string();
        let (own, other) = (label(), label());
        let (cpu_m, mem_mib) = (cores[rng.random_range(0..cores.len())], memory[rng.random_range(0..memory.len())]);
        let mut made = Service::new(format!("p{number}"), 1, cpu_m, mem_mib);
        made.labels.insert("group".to_owned(), own.clone());
        let group = |name: &str| json!({ "matchLabels": { "group": name } });
        match rng.random_range(0..12_u32) {
            0..=1 => made.constrain(labels::ZONE, 1, "DoNotSchedule", &group(&own)),
            2..=3 => made.constrain(labels::HOSTNAME, 1, "DoNotSchedule", &group(&own)),
            4 => made.company("podAffinity", labels::ZONE, &group(&own)),
            5 => made.company("podAntiAffinity", labels::HOSTNAME, &group(&other)),
            _ => made,
        }
    };
    (0..pods).map(make).collect()
}

/// Ten pods that a person can plan: three sizes, none of which fills a node.
pub(super) fn handful() -> Vec<Service> {
    vec![Service::new("large", 2, 3_100, 6_000), Service::new("wide", 3, 1_200, 9_000), Service::new("small", 5, 700, 900)]
}

/// Three sizes that get into one another's way: one a little over half of a node, one heavy in memory, one to fill gaps with.
pub(super) fn clashing(scale: usize) -> Vec<Service> {
    vec![
        Service::new("half", 30 * scale, 9_000, 20_000),
        Service::new("memory", 50 * scale, 2_500, 30_000),
        Service::new("filler", 120 * scale, 300, 700),
    ]
}

/// Pods a little above a third and a little above a half of what nodes of 4, 8 and 16 cores offer, so that every node stays partly empty
/// unless large and small are paired.
pub(super) fn fractions(kinds: usize, seed: u64) -> Vec<Service> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let make = |number: usize| {
        let room = [3_900_i64, 7_900, 15_800][number % 3];
        let part = [2, 3, 5][rng.random_range(0..3_usize)];
        let cpu_m = room / part + rng.random_range(10..=120_i64);
        let mem_mib = cpu_m * rng.random_range(2..=7_i64) * 1024 / 1000 + rng.random_range(1..=200_i64);
        Service::new(format!("w{number}"), rng.random_range(3..=40_u32) as usize, cpu_m, mem_mib)
    };
    (0..kinds).map(make).collect()
}

/// Pods with two rules at once that ask for few pods a node: a spread over nodes and an anti-affinity between neighbours in the list.
pub(super) fn lonely(kinds: usize, seed: u64) -> Vec<Service> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let make = |number: usize| {
        let replicas = rng.random_range(4..=20_u32) as usize;
        let made =
            Service::new(format!("w{number}"), replicas, 100 * rng.random_range(1..=40_i64), 128 * rng.random_range(1..=60_i64));
        made.spread(labels::HOSTNAME, 1).company("podAntiAffinity", labels::HOSTNAME, &app(&format!("w{}", (number + 1) % kinds)))
    };
    (0..kinds).map(make).collect()
}
