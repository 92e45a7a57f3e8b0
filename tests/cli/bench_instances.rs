//! `supercargo bench instances`: a suite that begins with an imported instance, and what is said of one that cannot be.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::run::{Said, run_in};

/// Items of two dimensions that need three bins.
const BINS: &str = "2\n100 50\n3\n25 5 4\n10 25 3\n60 0 1\n";

/// A pod with a secret, and its NodePool.
const SNAPSHOT: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: a, env: [{name: PASSWORD, value: hush}], resources: {requests: {cpu: 1}}}]}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
data: {password: aHVzaA==}
---
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: default}
spec: {template: {spec: {nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}, requirements: [
  {key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}]}}}
";

/// A folder for a suite of its own.
fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

fn instances(folder: &Path, arguments: &[&str]) -> Said {
    let all: Vec<&str> = ["bench", "instances", "--suite", "suite"].iter().chain(arguments).copied().collect();
    run_in(folder, &all, "")
}

fn import(folder: &Path, form: &str, file: &str, name: &str) -> Said {
    instances(folder, &["import", form, file, "--name", name, "--source", "a test", "--description", "Made by a test."])
}

#[test]
fn an_imported_packing_is_listed_checked_and_exported() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("bins.vbp"), BINS).expect("it can be written");
    let said = import(folder, "vbp", "bins.vbp", "bins");
    assert_eq!((said.code, said.stderr.as_str()), (0, "note: `bins` is in the suite now\n"), "{}", said.text());
    let said = instances(folder, &["list", "--family", "packing"]);
    assert!(said.code == 0 && said.stdout.contains("\nbins ") && said.stdout.contains("controller,exact"), "{}", said.text());
    assert_eq!(instances(folder, &["list", "--track", "large"]).code, 1);
    let said = instances(folder, &["check"]);
    assert_eq!((said.code, said.stdout.as_str()), (0, "sound: 1 instance and what is known of them\n"), "{}", said.text());

    let said = instances(folder, &["export", "bins"]);
    let document: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!((&document["name"], document["objects"].as_array().map(Vec::len)), (&"bins".into(), Some(6)));
    assert!(document["catalog"]["inline"]["offerings.csv"].is_string());
    let said = instances(folder, &["export", "bins", "--format", "lp", "-o", "bins.lp"]);
    let model = fs::read_to_string(folder.join("bins.lp")).expect("the model is there");
    assert!(
        said.code == 0 && model.contains("place_") && said.stderr.contains("at most 3 nodes of each shape"),
        "{}",
        said.text()
    );
    let said = instances(folder, &["export", "bins", "--format", "mps"]);
    assert!(said.code == 2 && said.stderr.starts_with("error: --output is missing"), "{}", said.text());

    let said = import(folder, "vbp", "bins.vbp", "bins");
    assert!(said.code == 2 && said.stderr.contains("there is an instance `bins` already"), "{}", said.text());
    let manifest = folder.join("suite/MANIFEST.json");
    let text = fs::read_to_string(&manifest).expect("it is there");
    fs::write(&manifest, text.replace("\"pods\": 8", "\"pods\": 9")).expect("it can be written");
    let said = instances(folder, &["check"]);
    assert!(said.code == 1 && said.stdout.starts_with("instance bins: the MANIFEST says otherwise"), "{}", said.text());
}

#[test]
fn a_snapshot_is_imported_without_its_secrets() {
    let folder = folder();
    let folder = folder.path();
    let name = "us-east-1-2026-11";
    let catalog = folder.join("suite/catalogs").join(name);
    fs::create_dir_all(&catalog).expect("a folder");
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/catalogs").join(name);
    for file in fs::read_dir(models).expect("the catalog is there") {
        let file = file.expect("an entry");
        fs::copy(file.path(), catalog.join(file.file_name())).expect("it can be copied");
    }
    fs::write(folder.join("snapshot.yaml"), SNAPSHOT).expect("it can be written");
    let said = import(folder, "snapshot", "snapshot.yaml", "ours");
    assert_eq!(said.code, 0, "{}", said.text());
    let said = instances(folder, &["export", "ours"]);
    assert!(said.stdout.contains("\"NodePool\"") && said.stdout.contains("\"cpu\""), "{}", said.text());
    assert!(!said.stdout.contains("hush") && !said.stdout.contains("aHVzaA"), "{}", said.text());
}

#[test]
fn bad_input_is_one_error_with_its_place() {
    let folder = folder();
    let folder = folder.path();
    let said = instances(folder, &["list"]);
    assert!(said.code == 2 && said.stderr.starts_with("error: suite/MANIFEST.json: cannot be read"), "{}", said.text());
    fs::write(folder.join("bins.vbp"), "2\n100 fifty\n").expect("it can be written");
    let said = import(folder, "vbp", "bins.vbp", "bins");
    assert!(said.code == 2 && said.stderr.starts_with("error: bins.vbp:2: a capacity is `fifty`"), "{}", said.text());
    fs::write(folder.join("bins.vbp"), BINS).expect("it can be written");
    let said = import(folder, "vbp", "bins.vbp", "../bins");
    assert!(said.code == 2 && said.stderr.contains("name: `../bins` is no name"), "{}", said.text());
    import(folder, "vbp", "bins.vbp", "bins");
    let said = instances(folder, &["export", "bin"]);
    assert!(
        said.code == 2 && said.stderr.contains("there is no instance `bin`") && said.stderr.contains("bins"),
        "{}",
        said.text()
    );
    fs::write(folder.join("runs.jsonl"), "{}\n").expect("it can be written");
    let said = instances(folder, &["learn", "runs.jsonl"]);
    assert!(said.code == 2 && said.stderr.starts_with("error: runs.jsonl:1: no record of a run"), "{}", said.text());
}
