//! The suite's own instances: made anew from a seed, byte for byte, by whoever has the program.
//!
//! | module | families |
//! |---|---|
//! | `services` | `micro`, `mixed` |
//! | `sizes` | `gpu`, `plain`, `diverse`, `awkward` |
//! | `rules` | `rules`: each kind of constraint alone, and all of them at once |
//! | `clusters` | `standing`, `limits`, `committed`, `consolidation` |
//! | `threads` | `threads`: cases that users of Karpenter reported |
//! | `bins` | `packing`: vectors into bins of one kind |
//!
//! What an instance is never changes, so neither may what is drawn for it. A change of a generator is a new instance with a name of its own.

mod bins;
mod clusters;
pub(in crate::benchmark::instance) mod objects;
mod rules;
mod services;
mod sizes;
mod threads;

use serde_json::Value;

use crate::benchmark::instance::generator::objects::{NODE_CLASS, Pool, Service, daemon_set, node_class};
use crate::benchmark::instance::{CatalogSource, FORMAT, InstanceDocument, Origin};

/// The seed of every instance.
pub const SEED: u64 = 20_261_101;
/// The catalog that they share.
const CATALOG: &str = "us-east-1-2026-11";

/// Both capacity types that are for sale.
const ANY: &[&str] = &["spot", "on-demand"];
/// What nobody takes away.
const ON_DEMAND: &[&str] = &["on-demand"];

/// Every instance, by family, small to large.
#[must_use]
pub fn all() -> Vec<InstanceDocument> {
    let families =
        [of_services(), of_sizes(), rules::instances(), clusters::instances(), threads::instances(), bins::instances()];
    families.into_iter().flatten().collect()
}

/// What a generator says of an instance.
struct Draft<'a> {
    name: String,
    family: &'a str,
    description: &'a str,
    source: &'a str,
    /// The generator with what it was given.
    generator: String,
}

impl<'a> Draft<'a> {
    fn new(family: &'a str, name: impl Into<String>, generator: impl Into<String>, description: &'a str) -> Self {
        Self { name: name.into(), family, description, source: "supercargo", generator: generator.into() }
    }

    /// The instance with these objects on the shared catalog.
    fn of(self, objects: Vec<Value>) -> InstanceDocument {
        InstanceDocument {
            format: FORMAT.to_owned(),
            name: self.name,
            family: self.family.to_owned(),
            description: self.description.to_owned(),
            origin: Origin { source: self.source.to_owned(), generator: Some(self.generator), seed: Some(SEED) },
            objects,
            catalog: CatalogSource::Shared(CATALOG.to_owned()),
            commitments: None,
            max_spot_pool_share: None,
        }
    }

    /// The instance with these services, two DaemonSets as most clusters have them, and these NodePools.
    fn with(self, services: &[Service], pools: impl IntoIterator<Item = Pool>) -> InstanceDocument {
        let mut objects = surroundings(pools);
        objects.extend(services.iter().map(Service::deployment));
        self.of(objects)
    }
}

/// NodeClass, NodePools and DaemonSets.
fn surroundings(pools: impl IntoIterator<Item = Pool>) -> Vec<Value> {
    let mut objects = vec![node_class(NODE_CLASS)];
    objects.extend(pools.into_iter().map(Pool::object));
    objects.extend([daemon_set("network", 50, 64), daemon_set("logs", 100, 128)]);
    objects
}

/// The name of an instance that has a twin on the other capacity types, and how the generator tells them apart.
fn twin(family: &str, size: usize, capacity_types: &[&str]) -> (String, &'static str) {
    if capacity_types == ON_DEMAND { (format!("{family}-od-{size}"), "on-demand") } else { (format!("{family}-{size}"), "any") }
}

/// `micro` and `mixed`.
fn of_services() -> Vec<InstanceDocument> {
    let mut made = Vec::new();
    for (types, sizes) in [(ANY, &[20, 100, 400, 1_000, 1_500][..]), (ON_DEMAND, &[20, 100, 400, 1_000])] {
        for &size in sizes {
            let (name, capacity) = twin("micro", size, types);
            let description = "Many small services with few replicas and no rules; the number of classes makes it hard.";
            let draft = Draft::new("micro", name, format!("micro services={size} capacity={capacity}"), description);
            made.push(draft.with(&services::micro(size, SEED), [Pool::new("default", types)]));
        }
    }
    for (types, sizes) in [(ANY, &[50, 150, 500, 1_500][..]), (ON_DEMAND, &[50, 150, 500])] {
        for &size in sizes {
            let (name, capacity) = twin("mixed", size, types);
            let description = "Services of which two in three have rules about zones, nodes and one another; the rules tie their counts \
                               together, so that no node can be planned alone.";
            let draft = Draft::new("mixed", name, format!("mixed services={size} capacity={capacity}"), description);
            made.push(draft.with(&services::mixed(size, SEED), [Pool::new("default", types)]));
        }
    }
    made
}

/// `gpu`, `plain`, `diverse` and `awkward`.
fn of_sizes() -> Vec<InstanceDocument> {
    let mut made = Vec::new();
    for (types, jobs) in [(ANY, 10), (ANY, 60), (ANY, 200), (ON_DEMAND, 60)] {
        let (name, capacity) = twin("gpu", jobs, types);
        let description = "Training and inference: one scarce and dear resource decides, and pods without GPUs may fill the nodes of the others.";
        let draft = Draft::new("gpu", name, format!("gpu jobs={jobs} capacity={capacity}"), description);
        made.push(draft.with(&sizes::gpu(jobs, SEED), [Pool::new("default", types)]));
    }
    for (types, pods) in [(ANY, 10_000), (ANY, 30_000), (ANY, 100_000), (ON_DEMAND, 10_000)] {
        let (name, capacity) = twin("plain", pods, types);
        let description =
            "Six kinds of pods in great numbers; easy to solve nearly, while reading, dealing and checking the pods take time.";
        let draft = Draft::new("plain", name, format!("plain pods={pods} capacity={capacity}"), description);
        made.push(draft.with(&sizes::plain(pods), [Pool::new("default", types)]));
    }
    for pods in [100, 500, 1_000, 2_000] {
        let description = "Every pod has a size of its own, so pods cannot be counted by class and patterns do not repeat.";
        let draft = Draft::new("diverse", format!("diverse-{pods}"), format!("diverse pods={pods}"), description);
        made.push(draft.with(&sizes::diverse(pods, SEED), [Pool::new("default", ANY)]));
    }
    for pods in [100, 500, 1_000] {
        let description = "Thirty sizes, seven labels, and rules over all pods of a label: the balance of a label is shared by hundreds of \
                           Deployments.";
        let draft = Draft::new("diverse", format!("diverse-ruled-{pods}"), format!("diverse-ruled pods={pods}"), description);
        made.push(draft.with(&sizes::diverse_ruled(pods, SEED), [Pool::new("default", ANY)]));
    }
    let awkward = |name: &str, generator: &str, description, services: &[Service]| {
        let pool = Pool::new("default", ON_DEMAND).require("kubernetes.io/arch", "In", &["amd64"]).general();
        Draft::new("awkward", name, generator, description).with(services, [pool])
    };
    made.extend([
        awkward("awkward-10", "handful", "Ten pods that a person can plan by hand.", &sizes::handful()),
        awkward(
            "awkward-200",
            "clashing scale=1",
            "Pods a little over half a node, pods heavy in memory and small ones to fill the gaps: what is packed first decides.",
            &sizes::clashing(1),
        ),
        awkward("awkward-2000", "clashing scale=10", "The same ten times over.", &sizes::clashing(10)),
        awkward(
            "awkward-fractions",
            "fractions kinds=40",
            "Pods a little above a half, a third and a fifth of common nodes: each alone wastes most of a node's end.",
            &sizes::fractions(40, SEED),
        ),
        awkward(
            "awkward-lonely",
            "lonely kinds=25",
            "Every service wants its pods on nodes in balance and away from its neighbour's: few pods share a node whatever its size.",
            &sizes::lonely(25, SEED),
        ),
    ]);
    made
}
