//! The parts of a plan one by one, so that a slow plan can be traced to its part.
//!
//! The clusters are generated (`benches/scenarios/families.rs`) on the embedded catalog. First-fit is the solver with a work limit of one
//! unit: presolve, first-fit, and what little it does before it looks at the limit. The parts that the solver does again and again cannot
//! be called from outside; it times them itself ([`supercargo::solver::Statistics`]) while it solves with a fixed work limit, which is the
//! same work every time. They are shown as the time of one such solve that goes into the part, and by how often it was done: one pass of
//! pattern generation, one iteration of the master, one rounding. How good the answers are is the matter of the other benchmark.

#[path = "scenarios/families.rs"]
mod families;
#[path = "scenarios/workloads.rs"]
#[allow(dead_code, reason = "the other benchmark counts what is left out")]
mod workloads;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use supercargo::adapters::files::catalog;
use supercargo::adapters::files::manifests;
use supercargo::adapters::files::manifests::Source;
use supercargo::domain::catalog::Catalog;
use supercargo::domain::interruption::InterruptionCosts;
use supercargo::domain::money::UsdPerHour;
use supercargo::domain::quantity::Quantity;
use supercargo::domain::resources::ResourceName;
use supercargo::planning::{CostModel, Demand, Leftover, PreferencePolicy, Supply, TierProgram, plan, verifier};
use supercargo::solver::{Effort, Problem, SolveConfig, Statistics, solve};

const COSTS: CostModel = CostModel {
    volumes: false,
    fee_per_node: UsdPerHour::ZERO,
    interruptions: InterruptionCosts::NONE,
    preferences: PreferencePolicy::PRICED,
};
/// Scenarios of about 1,000 and 10,000 pods.
const SCENARIOS: [&str; 2] = ["gen-micro-100", "gen-micro-1000"];
/// Work units of a solve whose parts are timed, some seconds: enough for a rounding of the larger scenario.
const WORK: u64 = 30_000_000;

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
    let catalog = catalog::embedded().expect("the tests read the embedded catalog");
    for scenario in families::all().iter().filter(|scenario| SCENARIOS.contains(&scenario.name.as_str())) {
        phases(criterion, &catalog, scenario);
    }
}

fn phases(criterion: &mut Criterion, catalog: &Catalog, scenario: &workloads::Scenario) {
    let cluster = scenario.cluster(1, true);
    let mut group = criterion.benchmark_group(&scenario.name);
    group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    let manifests = [Source::Bytes { name: scenario.name.clone(), bytes: deployments(scenario).to_string().into_bytes() }];
    group.bench_function("manifests", |bencher| bencher.iter(|| manifests::load(&manifests)));
    group.bench_function("supply", |bencher| bencher.iter(|| Supply::new(&cluster, catalog, &COSTS)));
    let supply = Supply::new(&cluster, catalog, &COSTS).expect("generated NodePools name their NodeClass");
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
        timed(&mut group, &program.problem, part);
    }
    let planned = plan(&cluster, catalog, &COSTS, &config, &|| Duration::ZERO, &mut |_| {}).expect("its parts fit together");
    group.throughput(Throughput::Elements(cluster.pods.len() as u64));
    group.bench_function("verifier", |bencher| {
        bencher.iter(|| verifier::verify(&cluster, catalog, &planned.plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE));
    });
    group.finish();
}

/// The time that a solve of [`WORK`] units spends in a part.
fn timed(group: &mut BenchmarkGroup<'_, WallTime>, problem: &Problem, (name, of): TimedPart) {
    let times = of(&statistics(problem)).times;
    assert!(times > 0, "{name}: {WORK} work units are too few to get there");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(times));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|solves| (0..solves).map(|_| of(&statistics(problem)).took).sum());
    });
}

fn statistics(problem: &Problem) -> Statistics {
    let config = SolveConfig { gap: 0.0, work_limit: Some(WORK), deadline: None, seed: 1 };
    let start = Instant::now();
    solve(problem, &config, &|| start.elapsed(), &mut |_| {}).expect("its parts fit together").statistics
}

/// The workloads of a scenario as `kubectl apply` takes them.
fn deployments(scenario: &workloads::Scenario) -> Value {
    let deployment = |group: &workloads::Group| {
        let amount = |resource| group.requests.get(resource).to_string();
        let requests = json!({"cpu": amount(ResourceName::CPU) + "m", "memory": amount(ResourceName::MEMORY)});
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": group.name, "namespace": "default"},
            "spec": {
                "replicas": group.count,
                "selector": {"matchLabels": *group.labels},
                "template": {
                    "metadata": {"labels": *group.labels},
                    "spec": {
                        "nodeSelector": group.node_selector,
                        "containers": [{"name": "main", "resources": {"requests": requests}}],
                    },
                },
            },
        })
    };
    json!({"apiVersion": "v1", "kind": "List", "items": scenario.groups.iter().map(deployment).collect::<Vec<_>>()})
}

criterion_group!(parts, reading, planning);
criterion_main!(parts);
