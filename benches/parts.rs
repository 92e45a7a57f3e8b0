//! The phases of a plan one by one, so that a slow plan can be traced to its phase.
//!
//! The clusters are instances of the benchmark suite. The solver is measured with a work
//! limit of one unit: presolve, first-fit, and what little it does before it looks at the limit; how good its answers are is
//! the matter of the other benchmark.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use supercargo::adapters::files::catalog;
use supercargo::benchmark::instance::{COSTS, InstanceDocument, Loaded, generator};
use supercargo::domain::interruption::InterruptionCosts;
use supercargo::domain::money::UsdPerHour;
use supercargo::domain::quantity::Quantity;
use supercargo::planning::{Demand, Leftover, Supply, TierProgram, plan, verifier};
use supercargo::solver::{SolveConfig, solve};

/// Instances of about 1,000 and 10,000 pods.
const INSTANCES: [&str; 2] = ["micro-100", "micro-1000"];

fn reading(criterion: &mut Criterion) {
    criterion.bench_function("quantity", |bencher| bencher.iter(|| Quantity::parse(black_box("1.5Gi"))));
    criterion.bench_function("catalog", |bencher| bencher.iter(catalog::embedded));
}

fn planning(criterion: &mut Criterion) {
    for document in generator::all().iter().filter(|document| INSTANCES.contains(&document.name.as_str())) {
        phases(criterion, document);
    }
}

fn phases(criterion: &mut Criterion, document: &InstanceDocument) {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let Loaded { cluster, catalog } = document.load(&suite).expect("the tests load the suite's instances");
    let mut group = criterion.benchmark_group(&document.name);
    group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
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
    let planned = plan(&cluster, &catalog, &COSTS, &config, &|| Duration::ZERO, &mut |_| {}).expect("its parts fit together");
    group.bench_function("verifier", |bencher| {
        bencher.iter(|| verifier::verify(&cluster, &catalog, &planned.plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE));
    });
    group.finish();
}

criterion_group!(parts, reading, planning);
criterion_main!(parts);
