//! Only what the verifier accepts is learned, and only what is better.

use std::path::Path;
use std::time::Duration;

use super::learn;
use crate::benchmark::instance::fixtures::{small, suite};
use crate::benchmark::instance::manifest::Manifest;
use crate::benchmark::instance::suite::{add, check};
use crate::benchmark::instance::{COSTS, CatalogSource, InstanceDocument, Loaded};
use crate::benchmark::record::{FORMAT, Machine, Outcome, Record, Solved};
use crate::domain::interruption::RestartCost;
use crate::domain::money::UsdPerHour;
use crate::planning::plan;
use crate::report::Report;
use crate::report::json::PlanDocument;
use crate::solver::SolveConfig;

/// A suite with the fixture, which stands by itself.
fn fixture() -> (tempfile::TempDir, InstanceDocument) {
    let folder = tempfile::tempdir().expect("a folder");
    let document = small().self_contained(suite()).expect("sound");
    assert!(matches!(document.catalog, CatalogSource::Inline(_)));
    add(folder.path(), &document).expect("a new instance");
    (folder, document)
}

/// The optimal plan as a file, and its cost.
fn certificate(document: &InstanceDocument, to: &Path) -> f64 {
    let Loaded { cluster, catalog } = document.load(suite()).expect("sound");
    let config = SolveConfig { gap: 0.0, work_limit: Some(1_000_000), deadline: None, seed: 1 };
    let made = plan(&cluster, &catalog, &COSTS, &config, &|| Duration::ZERO, &mut |_| {}).expect("a plan").plan;
    let report = Report {
        cluster: &cluster,
        catalog: &catalog,
        plan: &made,
        elapsed: Duration::ZERO,
        notices: &[],
        root_volumes: false,
        fee_per_node: UsdPerHour::ZERO,
        restart_cost: RestartCost::default(),
    };
    std::fs::write(to, PlanDocument::new(&report).to_text().expect("JSON")).expect("it can be written");
    made.value().dollars()
}

fn record(document: &InstanceDocument, cost: f64, bound: f64, certificate: Option<&str>) -> Record {
    let solved = Solved {
        cost,
        bound: Some(bound),
        gap: None,
        nodes: 1,
        unplaced: 0,
        stopped_by: "optimal".to_owned(),
        seconds: 1.0,
        process_seconds: None,
        first_plan_seconds: None,
        trajectory: Vec::new(),
        primal_integral: None,
        peak_bytes: None,
        verified: true,
        violations: Vec::new(),
        certificate: certificate.map(str::to_owned),
    };
    Record {
        format: FORMAT.to_owned(),
        instance: document.name.clone(),
        instance_sha256: document.sha256(),
        family: document.family.clone(),
        pods: 3,
        track: "exact".to_owned(),
        budget_seconds: 1.0,
        solver: "supercargo".to_owned(),
        solver_version: "1".to_owned(),
        seed: 1,
        commit: String::new(),
        date: "2026-11-27T10:00:00Z".to_owned(),
        machine: Machine { processor: String::new(), cores: 1, memory_bytes: 1, system: String::new() },
        outcome: Outcome::Solved(Box::new(solved)),
    }
}

#[test]
fn a_plan_is_learned_once_and_false_claims_never() {
    let (folder, document) = fixture();
    let runs = tempfile::tempdir().expect("a folder");
    let cost = certificate(&document, &runs.path().join("plan.json"));
    let file = runs.path().join("runs.jsonl");
    let learned = |records: &[Record]| {
        let lines: String = records.iter().map(|of| serde_json::to_string(of).expect("JSON") + "\n").collect();
        std::fs::write(&file, lines).expect("it can be written");
        learn(folder.path(), &file).expect("sound records")
    };
    // A cost without a plan is hearsay, and so is a plan that costs more than is said.
    assert_eq!(learned(&[record(&document, cost, cost, None)]).plans, Vec::<String>::new());
    let best = [record(&document, cost, cost - 0.1, Some("plan.json")), record(&document, cost, cost, None)];
    let first = learned(&best);
    assert_eq!((first.plans.as_slice(), first.bounds.len(), first.refused.len()), (["small".to_owned()].as_slice(), 2, 0));
    let entry = Manifest::read(folder.path()).expect("a MANIFEST").instances.remove(0);
    let known = entry.best_known.expect("it was learned");
    assert_eq!((known.date.as_str(), known.unplaced), ("2026-11-27", 0));
    assert!((known.cost - cost).abs() < 1e-9);
    let wrong = check(folder.path(), &|_| true).expect("a MANIFEST");
    assert!(wrong.is_empty(), "{wrong:?}");

    let lies = [record(&document, cost / 2.0, 0.0, Some("plan.json")), record(&document, cost, cost * 2.0, None)];
    let second = learned(&lies);
    assert_eq!((second.plans.len(), second.bounds.len(), second.refused.len()), (0, 0, 2), "{:?}", second.refused);
    assert!(second.refused[0].contains("the plan costs") && second.refused[1].contains("claims a bound"), "{:?}", second.refused);
    assert_eq!(learned(&best).plans, Vec::<String>::new(), "nothing is better than before");
}

#[test]
fn records_of_another_instance_and_broken_lines_are_refused() {
    let (folder, document) = fixture();
    let file = folder.path().join("runs.jsonl");
    let refused = |text: &str| {
        std::fs::write(&file, text).expect("it can be written");
        learn(folder.path(), &file).expect_err("it is wrong").to_string()
    };
    let line = |record: &Record| serde_json::to_string(record).expect("JSON");
    let sound = record(&document, 1.0, 1.0, None);
    assert!(refused("\n{}\n").contains("runs.jsonl:2: no record of a run"));
    assert!(refused(&line(&Record { instance: "other".to_owned(), ..sound.clone() })).contains("there is no instance `other`"));
    assert!(refused(&line(&Record { instance_sha256: "0".to_owned(), ..sound.clone() })).contains("instanceSha256: "));
    assert!(refused(&line(&Record { format: "x/9".to_owned(), ..sound.clone() })).contains("format: is `x/9`"));
    assert!(refused(&line(&record(&document, 0.1, 0.1, Some("nowhere.json")))).contains("nowhere.json: cannot be read"));
}
