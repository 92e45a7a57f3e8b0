//! Records for tests, with figures that can be added up in the head.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::adapters::files::catalog;
use crate::adapters::files::manifests;
use crate::benchmark::instance::COSTS;
use crate::benchmark::protocol::Point;
use crate::benchmark::record::{FORMAT, Machine, Outcome, Record, Solved};
use crate::benchmark::shards::{PLANS, RECORDS};
use crate::benchmark::telling::reading::Kept;
use crate::domain::cluster::ClusterView;
use crate::domain::interruption::RestartCost;
use crate::domain::money::UsdPerHour;
use crate::planning::plan;
use crate::report::Report;
use crate::report::json::PlanDocument;
use crate::solver::SolveConfig;

/// A plan of `cost` without a bound, verified, after a second.
pub(crate) fn solved(cost: f64) -> Solved {
    Solved {
        cost,
        bound: None,
        gap: None,
        nodes: 2,
        unplaced: 0,
        stopped_by: "ended".to_owned(),
        seconds: 1.0,
        process_seconds: None,
        first_plan_seconds: Some(0.5),
        trajectory: vec![on(0.5, cost * 1.25), on(1.0, cost)],
        primal_integral: Some(0.6),
        peak_bytes: Some(3 << 20),
        verified: true,
        violations: Vec::new(),
        certificate: None,
    }
}

/// A plan of `cost` with a bound.
pub(crate) fn bounded(cost: f64, bound: f64) -> Solved {
    let stopped_by = if bound >= cost { "optimal" } else { "workLimit" }.to_owned();
    Solved { bound: Some(bound), gap: Some((cost - bound) / cost), stopped_by, ..solved(cost) }
}

/// A plan of `cost` after `seconds`.
pub(crate) fn on(seconds: f64, cost: f64) -> Point {
    Point { seconds, cost: Some(cost), bound: None }
}

/// An outcome without a plan.
pub(crate) fn failed(reason: &str) -> Outcome {
    Outcome::Failed { reason: reason.to_owned() }
}

impl From<Solved> for Outcome {
    fn from(solved: Solved) -> Self {
        Self::Solved(Box::new(solved))
    }
}

/// A run of the exact track.
pub(crate) fn record(instance: &str, solver: &str, outcome: impl Into<Outcome>) -> Record {
    Record {
        format: FORMAT.to_owned(),
        instance: instance.to_owned(),
        instance_sha256: "a".repeat(64),
        family: "micro".to_owned(),
        pods: 100,
        track: "exact".to_owned(),
        budget_seconds: 60.0,
        solver: solver.to_owned(),
        solver_version: "1.2.3".to_owned(),
        seed: 1,
        commit: "0123456789abcdef".to_owned(),
        date: "2026-11-01T12:00:00Z".to_owned(),
        machine: machine("Test 9000"),
        outcome: outcome.into(),
    }
}

pub(crate) fn machine(processor: &str) -> Machine {
    Machine { processor: processor.to_owned(), cores: 2, memory_bytes: 8 << 30, system: "linux x86_64".to_owned() }
}

/// The records as if they had been read from one folder.
pub(crate) fn kept(records: Vec<Record>) -> Vec<Kept> {
    records.into_iter().map(|record| Kept { record, folder: PathBuf::from("runs") }).collect()
}

/// Ours wins on `easy` and loses on `hard`; one solver is refused, one is not there, one cannot state `hard`.
pub(crate) fn two_instances_and_four_solvers() -> Vec<Record> {
    let refused = Solved { verified: false, violations: vec!["node 0: <cpu> is overfull".to_owned()], ..solved(1.0) };
    vec![
        record("easy", "supercargo", bounded(10.0, 10.0)),
        record("easy", "first-fit", solved(12.5)),
        record("easy", "vpsolver", bounded(10.0, 10.0)),
        record("easy", "karpenter", Outcome::NotInstalled { reason: "peers/karpenter/build".to_owned() }),
        record("hard", "supercargo", Solved { seconds: 4.0, ..bounded(20.0, 18.0) }),
        record("hard", "first-fit", Solved { seconds: 1.0, ..solved(19.0) }),
        record("hard", "vpsolver", Outcome::CannotState { reason: "spread | over zones".to_owned() }),
        record("hard", "mean-pod", refused),
    ]
}

/// Writes `runs.jsonl`.
pub(crate) fn write(folder: &Path, records: &[Record]) {
    let lines: Vec<String> =
        records.iter().map(|record| serde_json::to_string(record).expect("a record has finite numbers")).collect();
    std::fs::write(folder.join(RECORDS), lines.join("\n") + "\n").expect("the folder can be written");
}

/// Plans the example `shop` and writes the plan as a certificate: the cluster, the document, and a record of it.
pub(crate) fn planned_shop(folder: &Path) -> (ClusterView, PlanDocument, Record) {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/shop/services.yaml");
    let cluster = manifests::load(&[manifests::Source::Path(manifests)]).expect("the example is valid").cluster;
    let catalog = catalog::embedded().expect("the embedded catalog is valid");
    let config = SolveConfig { gap: 0.01, work_limit: Some(200_000), deadline: None, seed: 1 };
    let planned =
        plan(&cluster, &catalog, &COSTS, &config, &|| Duration::ZERO, &mut |_| ()).expect("the example has a plan").plan;
    let document = PlanDocument::new(&Report {
        cluster: &cluster,
        catalog: &catalog,
        plan: &planned,
        elapsed: Duration::ZERO,
        notices: &[],
        root_volumes: false,
        fee_per_node: UsdPerHour::ZERO,
        restart_cost: RestartCost::ZERO,
    });
    let name = "shop.json".to_owned();
    std::fs::create_dir_all(folder.join(PLANS)).expect("the folder can be written");
    let text = document.to_text().expect("a plan has finite numbers");
    std::fs::write(folder.join(PLANS).join(&name), text).expect("the folder can be written");
    let outcome = Solved {
        nodes: planned.nodes.len(),
        unplaced: planned.unplaced.len(),
        certificate: Some(name),
        ..bounded(planned.value().dollars(), planned.bound.dollars())
    };
    (cluster, document, record("shop", "supercargo", outcome))
}
