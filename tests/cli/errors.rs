//! One snapshot per way in which a user's input can be wrong: each names file, object and field, says what is wrong and how to
//! mend it, and ends with exit code 2.

use insta::assert_snapshot;

use crate::run::{Said, data, run, run_in};

/// Plans manifests from stdin.
fn plan(manifests: &str) -> Said {
    run_in(&data(), &["plan", "-f", "-"], manifests)
}

fn refused(said: &Said) -> String {
    assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{}", said.text());
    said.stderr.clone()
}

fn pod(name: &str, cpu: &str, extra: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n{extra}  containers:\n  - name: main\n    \
         image: example.com/x\n    resources: {{requests: {{cpu: {cpu}}}}}\n"
    )
}

#[test]
fn nothing_to_read() {
    assert_snapshot!(refused(&run(&["plan"])));
}

#[test]
fn a_path_that_does_not_exist() {
    assert_snapshot!(refused(&run(&["plan", "-f", "missing.yaml"])));
}

#[test]
fn a_malformed_quantity() {
    assert_snapshot!(refused(&plan(&pod("a", "1 core", ""))));
}

#[test]
fn an_unknown_operator() {
    let affinity = "  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: \
                    [{matchExpressions: [{key: kubernetes.io/arch, operator: Near, values: [amd64]}]}]}}}\n";
    assert_snapshot!(refused(&plan(&pod("a", "1", affinity))));
}

#[test]
fn a_truncated_file() {
    assert_snapshot!(refused(&plan("{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\"")));
}

#[test]
fn one_name_twice() {
    assert_snapshot!(refused(&plan(&format!("{}---\n{}", pod("a", "1", ""), pod("a", "1", "")))));
}

#[test]
fn a_catalog_that_does_not_exist() {
    assert_snapshot!(refused(&run(&["plan", "-f", "shop", "--catalog", "missing"])));
}

#[test]
fn interruptions_without_usable_bands() {
    let refused = |bands: &str| {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let file = folder.path().join("bands.json");
        std::fs::write(&file, bands).expect("the folder takes files");
        let path = file.display().to_string();
        let said = run(&["plan", "-f", "shop", "--interruption-cost", "0.02", "--interruption-bands", &path]);
        refused(&said).replace(&path, "bands.json")
    };
    let ranges = r#"[{"index": 0, "label": "<5%", "max": 5}, {"index": 1, "label": ">5%", "max": 100}]"#;
    let advisor = |regions: &str| format!("{{\"ranges\": {ranges}, \"spot_advisor\": {regions}}}");
    let said = [
        self::refused(&run(&["plan", "-f", "shop", "--interruption-cost", "0.02"])),
        self::refused(&run(&["plan", "-f", "shop", "--interruption-bands", "missing.json"])),
        refused(&advisor("{\"eu-west-1\": {}}")),
        refused(&advisor("{\"us-east-1\": {\"Linux\": {\"m5.large\": {\"s\": 60, \"r\": 2}}}}")),
        refused(&advisor("{\"us-east-1\": {\"Linux\": {\"m5.large\": {\"s\": 60}}}}")),
        refused("m5.large,<5%\n"),
    ];
    assert_snapshot!(said.join("\n"));
}

#[test]
fn numbers_out_of_range() {
    let arguments = [
        ["--gap", "nan"],
        ["--timeout", "0"],
        ["--fee-per-node", "NaN"],
        ["--interruption-cost", "-1"],
        ["--work", "-1"],
        ["--seed", "x"],
    ];
    for arguments in arguments {
        let said = run(&[&["plan", "-f", "shop"], arguments.as_slice()].concat());
        assert!(refused(&said).starts_with("error: "), "{arguments:?}: {}", said.text());
    }
}

#[test]
fn a_pod_or_node_that_is_not_there() {
    let said = [
        run(&["explain", "pod", "cart", "-f", "shop"]),
        run(&["explain", "pod", "shop/cart", "-f", "shop"]),
        run(&["explain", "pod", "shop/gone-0", "-f", "shop"]),
        run(&["explain", "node", "9", "-f", "shop"]),
    ];
    assert_snapshot!(said.iter().map(refused).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_plan_file_that_cannot_be_read() {
    assert_snapshot!(refused(&run(&["verify", "missing.json", "-f", "shop"])));
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::process::{Command, Stdio};

    let mut child = Command::new(assert_cmd::cargo::cargo_bin("supercargo"))
        .args(["plan", "-f", "shop", "-o", "json"])
        .current_dir(data())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("error") && !said.contains("panicked"), "{said}");
}
