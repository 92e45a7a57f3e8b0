//! The family `packing`: vectors into bins of one kind, as the literature has them. The cost is the number of bins.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::benchmark::instance::generator::SEED;
use crate::benchmark::instance::vbp::{Item, Packing};
use crate::benchmark::instance::{InstanceDocument, Origin};

/// Every instance of the family.
pub(super) fn instances() -> Vec<InstanceDocument> {
    let made = [
        ("triplets-20", "triplets bins=20".to_owned(), triplets(20), TRIPLETS),
        ("triplets-80", "triplets bins=80".to_owned(), triplets(80), TRIPLETS),
        ("pairs-60", "vectors items=60 dimensions=2".to_owned(), vectors(60, 2), VECTORS),
        ("vectors-200", "vectors items=200 dimensions=5".to_owned(), vectors(200, 5), VECTORS),
    ];
    let instance = |(name, generator, packing, description): (&str, String, Packing, &str)| {
        let origin =
            Origin { source: "supercargo".to_owned(), generator: Some(format!("packing {generator}")), seed: Some(SEED) };
        packing.instance(&format!("packing-{name}"), description, origin)
    };
    made.into_iter().map(instance).collect()
}

const TRIPLETS: &str = "Items above a quarter and below a half of a bin, of which three fill one exactly (triplets after Falkenauer 1996): the optimum is a \
                        third of their number, and a greedy choice wastes a little everywhere.";
const VECTORS: &str = "Vectors whose dimensions are drawn apart from one another: what is short differs from bin to bin.";

/// `bins` times three items that fill a bin of 1,000.
fn triplets(bins: usize) -> Packing {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut items = Vec::new();
    for _ in 0..bins {
        let first = rng.random_range(380..=490_i64);
        let second = rng.random_range(251..(1_000 - first) / 2);
        items.extend([first, second, 1_000 - first - second].map(|weight| Item { weights: vec![weight], demand: 1 }));
    }
    Packing { capacity: vec![1_000], items }
}

/// Items of 50 to 400 in each of `dimensions` of a bin of 1,000.
fn vectors(items: usize, dimensions: usize) -> Packing {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut item = |_| Item { weights: (0..dimensions).map(|_| rng.random_range(50..=400_i64)).collect(), demand: 1 };
    let items = (0..items).map(&mut item).collect();
    Packing { capacity: vec![1_000; dimensions], items }
}
