//! Scenarios: a folder of manifests each in `tests/golden/`, with the plan that is expected of it.
//!
//! A new case is a new folder; `CONTRIBUTING.md` says how. Every plan is verified as well.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run::run_in;

fn scenarios() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found: Vec<PathBuf> = std::fs::read_dir(root.join("tests/golden"))
        .expect("the scenarios are there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

/// One line per node with its pods, one per unplaced pod and reason, then the sums.
fn digest(plan: &Value) -> String {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut made = String::new();
    for node in list(&plan["nodes"]) {
        let words = ["nodepool", "instanceType", "zone", "capacityType"].map(|field| text(&node[field]));
        let pods: Vec<String> = list(&node["pods"]).iter().map(text).collect();
        let labels = if node["labels"] == serde_json::json!({}) { String::new() } else { format!(" {}", node["labels"]) };
        let _ = writeln!(made, "{} {}{labels}: {}", words.join(" "), node["cost"], pods.join(", "));
    }
    for left in list(&plan["unplaced"]) {
        let reasons: Vec<String> = list(&left["reasons"]).iter().map(text).collect();
        let _ = writeln!(made, "unplaced {}: {}", text(&left["pod"]), reasons.join("; "));
    }
    if plan["interruptions"].as_f64() > Some(0.0) {
        let _ = writeln!(made, "interruptions {}", plan["interruptions"]);
    }
    let _ = writeln!(made, "cost {} bound {} {}", plan["cost"], plan["bound"], text(&plan["stoppedBy"]));
    made
}

#[test]
fn every_scenario_has_the_plan_that_is_expected() {
    let found = scenarios();
    assert!(!found.is_empty());
    for folder in found {
        let name = folder.file_name().expect("a folder has a name").to_string_lossy().into_owned();
        let extra = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let (of_plan, of_both) = (extra("arguments-of-plan"), extra("arguments"));
        let mut arguments = vec!["plan", "-f", ".", "-o", "json", "--gap", "0"];
        arguments.extend(of_plan.lines().chain(of_both.lines()));
        let said = run_in(&folder, &arguments, "");
        assert!(said.code <= 1, "{name}: {}", said.text());
        let plan: Value = serde_json::from_str(&said.stdout).expect("it is JSON");

        let outside = tempfile::tempdir().expect("a folder for a while");
        let file = outside.path().join("plan.json");
        std::fs::write(&file, &said.stdout).expect("the folder can be written");
        let file = file.to_string_lossy();
        let mut arguments = vec!["verify", file.as_ref(), "-f", "."];
        arguments.extend(of_both.lines());
        let verdict = run_in(&folder, &arguments, "");
        assert_eq!(verdict.code, 0, "{name}: {}", verdict.text());

        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("plan", digest(&plan)));
    }
}
