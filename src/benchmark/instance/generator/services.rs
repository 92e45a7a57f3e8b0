//! The families of services: *micro* has many small ones with few replicas, so that the number of classes counts; *mixed* has larger ones
//! with rules about zones and nodes.
//!
//! The distributions are round figures chosen for their shape, not fitted to any cluster.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::benchmark::instance::generator::objects::{Service, app};
use crate::domain::labels;

/// Services of 50 m to 8 cores, 1 to 8 GiB a core, mostly with few replicas; one in eight asks for an architecture.
pub(super) fn micro(services: usize, seed: u64) -> Vec<Service> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..services).map(|number| service(number, &mut rng)).collect()
}

fn service(number: usize, rng: &mut ChaCha8Rng) -> Service {
    let doublings: u32 = rng.random_range(0..=7);
    let cpu_m = (50_i64 << doublings) + 50 * rng.random_range(0..=i64::from(doublings));
    let mem_mib = rounded(cpu_m * (1 << rng.random_range(0..=3_u32)) * 1024 / 1000);
    let replicas = match rng.random_range(0..10_u32) {
        0..=4 => rng.random_range(1..=3_u32),
        5..=8 => rng.random_range(2..=15),
        _ => rng.random_range(10..=50),
    };
    let made = Service::new(format!("w{number}"), replicas as usize, cpu_m, mem_mib);
    if rng.random_range(0..8_u32) > 0 {
        return made;
    }
    let architecture = if rng.random_range(0..2_u32) == 0 { "amd64" } else { "arm64" };
    made.on(labels::ARCH, architecture)
}

/// The services of [`micro`] with 20 pods each on average and rules of every kind on two in three: zones in balance (one in three), at
/// most one or two on a node, apart from another service, all in one zone, balanced over zones and nodes at once.
pub(super) fn mixed(services: usize, seed: u64) -> Vec<Service> {
    // Rules have a stream of their own, so that the sizes are those of `micro`.
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 1);
    let ruled = |(number, service): (usize, Service)| {
        let replicas = match rng.random_range(0..10_u32) {
            0..=2 => rng.random_range(1..=4_u32),
            3..=7 => rng.random_range(6..=24),
            _ => rng.random_range(20..=80),
        };
        let service = Service { replicas: replicas as usize, ..service };
        let own = app(&service.name);
        let of = |number: usize| app(&format!("w{number}"));
        match rng.random_range(0..30_u32) {
            0..=7 => service.spread(labels::ZONE, 1),
            8..=9 => service.spread(labels::ZONE, rng.random_range(2..=3)),
            10..=12 => service.company("podAntiAffinity", labels::HOSTNAME, &own),
            13..=14 => service.spread(labels::HOSTNAME, 2),
            15 => service.company("podAffinity", labels::ZONE, &own),
            16 => service.company("podAntiAffinity", labels::HOSTNAME, &of((number + 1) % services)),
            17 => service.spread(labels::ZONE, 1).spread(labels::HOSTNAME, 1),
            18 if number > 0 => service.company("podAffinity", labels::ZONE, &of(number - 1)),
            _ => service,
        }
    };
    micro(services, seed).into_iter().enumerate().map(ruled).collect()
}

/// The next multiple of 64, since people write round figures.
fn rounded(mib: i64) -> i64 {
    (mib + 63) / 64 * 64
}
