//! The parts of a plan one by one, so that a slow plan can be traced to its part.
//!
//! The clusters are instances of the benchmark suite. First-fit is the solver with a work limit of one
//! unit: presolve, first-fit, and what little it does before it looks at the limit. The parts that the solver does again and again cannot
//! be called from outside; it times them itself ([`supercargo::solver::Statistics`]) while it solves with a fixed work limit, which is the
//! same work every time. They are shown as the time of one such solve that goes into the part, and by how often it was done: one pass of
//! pattern generation, one iteration of the master, one rounding. How good the answers are is the matter of the other benchmark.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use serde_json::json;
use supercargo::adapters::files::catalog;
use supercargo::adapters::files::manifests;
use supercargo::adapters::files::manifests::Source;
use supercargo::benchmark::instance::{COSTS, InstanceDocument, Loaded, generator};
use supercargo::domain::interruption::InterruptionCosts;
use supercargo::domain::money::UsdPerHour;
use supercargo::domain::quantity::Quantity;
use supercargo::planning::{Demand, Leftover, Supply, TierProgram, plan, verifier};
use supercargo::solver::{Effort, Problem, SolveConfig, Statistics, solve};

/// Instances of about 1,000 and 10,000 pods; and work units of a solve whose parts are timed, some seconds: enough for a rounding of the
/// larger one.
const MEASURED: (&[&str], u64) = (&["micro-100", "micro-1000"], 30_000_000);
/// The same where the benchmark only has to show that it works. A smaller instance is proven before anything is rounded.
const TRIED: (&[&str], u64) = (&["micro-100"], 2_000_000);

/// A part that the solver times itself: its name and where its figures are.
type TimedPart = (&'static str, fn(&Statistics) -> Effort);

const TIMED_PARTS: [TimedPart; 3] = [
    ("pattern-generation", |statistics| statistics.pricings),
    ("master", |statistics| statistics.masters),
    ("rounding", |statistics| statistics.roundings),
];

fn reading(criterion: &mut Criterion) {
    criterion.bench_function("quantity", |bencher| bencher.iter(|| Quantity::parse(black_box("1.5Gi"))));
    criterion.bench_function("catalog", |bencher| bencher.iter(catalog::embedded));
}

fn planning(criterion: &mut Criterion) {
    // `cargo bench` says so; `cargo test --all-targets` does not.
    let measures = std::env::args().any(|argument| argument == "--bench");
    let (instances, work) = if measures { MEASURED } else { TRIED };
    for document in generator::all().iter().filter(|document| instances.contains(&document.name.as_str())) {
        phases(criterion, document, work);
    }
}

fn phases(criterion: &mut Criterion, document: &InstanceDocument, work: u64) {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let Loaded { cluster, catalog } = document.load(&suite).expect("the tests load the suite's instances");
    let mut group = criterion.benchmark_group(&document.name);
    group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": document.objects});
    let manifests = [Source::Bytes { name: document.name.clone(), bytes: objects.to_string().into_bytes() }];
    group.bench_function("manifests", |bencher| bencher.iter(|| manifests::load(&manifests)));
    group.bench_function("supply", |bencher| bencher.iter(|| Supply::new(&cluster, &catalog, &COSTS)));
    let supply = Supply::new(&cluster, &catalog, &COSTS).expect("generated NodePools name their NodeClass");
    group.bench_function("demand", |bencher| bencher.iter(|| Demand::new(&cluster, &supply, COSTS.preferences)));
    let demand = Demand::new(&cluster, &supply, COSTS.preferences);
    let left = Leftover::new(&supply, &demand);
    group.bench_function("program", |bencher| bencher.iter(|| TierProgram::new(&supply, &demand, &left, 0)));
    let program = TierProgram::new(&supply, &demand, &left, 0).expect("generated pods fit on some type");
    let config = SolveConfig { gap: 0.0, work_limit: Some(1), deadline: None, seed: 1 };
    group.bench_function("first-fit", |bencher| {
        bencher.iter(|| solve(&program.problem, &config, &|| Duration::ZERO, &mut |_| {}));
    });
    for part in TIMED_PARTS {
        timed(&mut group, &program.problem, part, work);
    }
    let planned = plan(&cluster, &catalog, &COSTS, &config, &|| Duration::ZERO, &mut |_| {}).expect("its parts fit together");
    group.throughput(Throughput::Elements(cluster.pods.len() as u64));
    group.bench_function("verifier", |bencher| {
        bencher.iter(|| verifier::verify(&cluster, &catalog, &planned.plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE));
    });
    group.finish();
}

/// The time that a solve of so many work units spends in a part.
fn timed(group: &mut BenchmarkGroup<'_, WallTime>, problem: &Problem, (name, of): TimedPart, work: u64) {
    let times = of(&statistics(problem, work)).times;
    assert!(times > 0, "{name}: {work} work units are too few to get there");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(times));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|solves| (0..solves).map(|_| of(&statistics(problem, work)).took).sum());
    });
}

fn statistics(problem: &Problem, work: u64) -> Statistics {
    let config = SolveConfig { gap: 0.0, work_limit: Some(work), deadline: None, seed: 1 };
    let start = Instant::now();
    solve(problem, &config, &|| start.elapsed(), &mut |_| {}).expect("its parts fit together").statistics
}

criterion_group!(parts, reading, planning);
criterion_main!(parts);
