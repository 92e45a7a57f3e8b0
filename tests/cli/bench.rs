//! `supercargo bench` as a user runs it: a small suite, every solver that is built in, each in a process of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use supercargo::benchmark::instance::manifest::{self, Entry, Manifest, Track};
use supercargo::benchmark::instance::{self, CatalogSource, InstanceDocument, Origin};
use supercargo::benchmark::record::{Outcome, Record};
use supercargo::benchmark::shards;

use crate::run::{Said, run_in};

/// A suite of two instances: three pods of 3 cores, and seven of 1 core that want to be even over zones.
fn suite() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let instances = [("even", 7, "1", true), ("three", 3, "3", false)].map(|(name, replicas, cpu, even)| {
        let origin = Origin { source: "a test".to_owned(), generator: None, seed: None };
        let document = InstanceDocument {
            format: instance::FORMAT.to_owned(),
            name: name.to_owned(),
            family: "tests".to_owned(),
            description: "For a test.".to_owned(),
            origin: origin.clone(),
            objects: objects(replicas, cpu, even),
            catalog: CatalogSource::Shared("us-east-1-2026-11".to_owned()),
            commitments: None,
            max_spot_pool_share: None,
        };
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let document = document.self_contained(&models).expect("its catalog is in the repository");
        let file = format!("{name}.json");
        fs::write(folder.path().join(&file), document.to_bytes()).expect("a file");
        Entry {
            name: name.to_owned(),
            family: "tests".to_owned(),
            file,
            sha256: document.sha256(),
            pods: replicas,
            workloads: 1,
            origin,
            tracks: vec![Track::Controller],
            best_known: None,
            bound: None,
            certificate: None,
        }
    });
    let manifest = Manifest { format: manifest::FORMAT.to_owned(), catalogs: BTreeMap::new(), instances: instances.to_vec() };
    manifest.write(folder.path()).expect("a file");
    folder
}

fn objects(replicas: usize, cpu: &str, even: bool) -> Vec<serde_json::Value> {
    let spread = json!([{
        "topologyKey": "topology.kubernetes.io/zone",
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": { "matchLabels": { "app": "a" } },
    }]);
    let requests = json!({ "requests": { "cpu": cpu, "memory": "2Gi" } });
    let mut pod = json!({ "containers": [{ "name": "main", "image": "a", "resources": requests }] });
    if even {
        pod["topologySpreadConstraints"] = spread;
    }
    let template = json!({ "metadata": { "labels": { "app": "a" } }, "spec": pod });
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "a", "namespace": "default" },
        "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": "a" } }, "template": template },
    });
    let pool = json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": { "name": "default" },
        "spec": { "template": { "spec": {
            "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default" },
            "requirements": [
                { "key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"] },
                { "key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": ["m5", "c5"] },
            ],
        } } },
    });
    vec![deployment, pool]
}

fn bench(suite: &Path, arguments: &[&str]) -> Said {
    let with_suite: Vec<&str> = ["bench"].into_iter().chain(arguments.iter().copied()).collect();
    run_in(suite, &with_suite, "")
}

fn run(suite: &Path, out: &str, arguments: &[&str]) -> Said {
    let common = ["run", "--suite", ".", "--out", out];
    bench(suite, &common.into_iter().chain(arguments.iter().copied()).collect::<Vec<_>>())
}

fn records(folder: &Path) -> Vec<Record> {
    shards::read(folder).expect("they are records")
}

#[test]
fn every_solver_runs_in_a_process_of_its_own() {
    let suite = suite();
    let said = run(suite.path(), "out", &["--budget", "2"]);
    assert_eq!(said.code, 0, "{}", said.text());
    let out = suite.path().join("out");
    let records = records(&out);
    assert_eq!(records.len(), 10);
    for record in &records {
        let Outcome::Solved(solved) = &record.outcome else { panic!("{record:?}") };
        assert!(solved.verified && solved.unplaced == 0, "{record:?}");
        assert!(solved.seconds < 10.0 && solved.process_seconds.is_none(), "{record:?}");
        if cfg!(target_os = "linux") {
            assert!(solved.peak_bytes.is_some_and(|bytes| bytes > 1 << 20), "{record:?}");
        }
        assert_eq!((record.track.as_str(), record.budget_seconds, record.seed), ("custom", 2.0, 1));
        let certificate = solved.certificate.as_ref().expect("the plan was kept");
        let plan: serde_json::Value =
            serde_json::from_slice(&fs::read(out.join(certificate)).expect("the plan is there")).expect("JSON");
        assert_eq!(plan["nodes"].as_array().map(Vec::len), Some(solved.nodes));
    }
    let rows = ["supercargo", "first-fit", "compact-mip", "mean-pod", "price-guided"];
    assert!(rows.iter().all(|solver| said.stdout.contains(&format!("| {solver} | 2 | 2 | 2 | 2 |"))), "{}", said.stdout);
    let again = run(suite.path(), "out", &["--budget", "2"]);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("no records yet"), "{}", again.stderr);
}

#[test]
fn shards_merged_equal_one_run() {
    let suite = suite();
    let solvers = ["--solver", "first-fit,mean-pod", "--commit", "c0ffee"];
    assert_eq!(run(suite.path(), "whole", &solvers).code, 0);
    for part in ["0", "1"] {
        let shard = format!("{part}/2");
        let said = run(suite.path(), part, &[&solvers[..], &["--shard", &shard]].concat());
        assert_eq!(said.code, 0, "{}", said.text());
    }
    let merged = bench(suite.path(), &["merge", "merged", "0", "1"]);
    assert_eq!((merged.code, merged.stdout.as_str()), (0, "merged: 4 records of 2 shards\n"), "{}", merged.text());
    let figures = |folder: &str| {
        let of = |record: &Record| match &record.outcome {
            Outcome::Solved(solved) => {
                assert!(suite.path().join(folder).join(solved.certificate.clone().expect("it was kept")).is_file());
                (
                    record.instance.clone(),
                    record.solver.clone(),
                    (solved.cost * 1e6).round() as i64,
                    solved.nodes,
                    solved.verified,
                )
            }
            other => panic!("{other:?}"),
        };
        let mut all: Vec<_> = records(&suite.path().join(folder)).iter().map(of).collect();
        all.sort();
        all
    };
    assert_eq!(figures("merged"), figures("whole"));
    let twice = bench(suite.path(), &["merge", "twice", "0", "0"]);
    assert_eq!(twice.code, 2);
    assert!(twice.stderr.contains("give every shard once"), "{}", twice.stderr);
}

#[test]
fn a_peer_that_is_not_installed_is_recorded() {
    let suite = suite();
    let folder: PathBuf = suite.path().join("peers/ghost");
    fs::create_dir_all(&folder).expect("a folder");
    let peer = json!({ "name": "ghost", "title": "Nobody", "command": ["./run"], "setup": "./setup" });
    fs::write(folder.join("peer.json"), peer.to_string()).expect("a file");
    let said = run(suite.path(), "out", &["--solver", "ghost", "--instance", "three"]);
    assert_eq!(said.code, 0, "{}", said.text());
    let records = records(&suite.path().join("out"));
    let [Record { outcome: Outcome::NotInstalled { reason }, .. }] = records.as_slice() else { panic!("{records:?}") };
    assert!(reason.contains("`./setup` installs it"), "{reason}");
}

#[test]
fn what_cannot_be_run_is_one_clear_error() {
    let suite = suite();
    let cases: [(&[&str], &str); 5] = [
        (&["--solver", "magic"], "--solver magic: there is no such solver"),
        (&["--instance", "four"], "there is no instance `four`"),
        (&["--family", "huge"], "--family huge: there is no such family"),
        (&["--shard", "2/2"], "a shard is I/N"),
        (&["--budget", "0"], "a budget is a number of seconds above 0"),
    ];
    for (arguments, expected) in cases {
        let said = run(suite.path(), "out", arguments);
        assert_eq!(said.code, 2, "{}", said.text());
        assert!(said.stderr.contains(expected) && said.stdout.is_empty(), "{}", said.text());
        assert!(!suite.path().join("out").exists(), "{expected}: nothing is left behind");
    }
    let solve = run_in(suite.path(), &["bench", "solve", "first-fit"], "{\"format\": 1}");
    assert_eq!(solve.code, 2);
    assert!(solve.stderr.contains("standard input: format:"), "{}", solve.stderr);
}
