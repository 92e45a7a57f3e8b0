//! Plans in every format, explanations, and plans that are read back.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use serde_json::Value;

use crate::run::{data, run, run_in};

#[test]
fn a_plan_as_a_table() {
    assert_snapshot!(run(&["plan", "-f", "shop"]).text());
}

#[test]
fn a_plan_as_markdown() {
    assert_snapshot!(run(&["plan", "-f", "shop", "-o", "markdown"]).text());
}

#[test]
fn a_plan_as_node_claims() {
    assert_snapshot!(run(&["plan", "-f", "shop", "-o", "yaml"]).text());
}

#[test]
fn a_plan_as_json() {
    assert_snapshot!(run(&["plan", "-f", "shop", "-o", "json"]).text());
}

#[test]
fn a_pod_without_a_place_is_listed_with_reasons_and_makes_exit_code_1() {
    let said = run(&["plan", "-f", "shop", "-f", "stuck.yaml"]);
    assert_eq!(said.code, 1);
    assert_snapshot!(said.text());
}

#[test]
fn manifests_come_from_stdin_too() {
    let pools = std::fs::read_to_string(data().join("shop/pools.yaml")).expect("the data is there");
    let workloads = std::fs::read_to_string(data().join("shop/workloads.yaml")).expect("the data is there");
    let piped = run_in(&data(), &["plan", "-f", "-"], &format!("{pools}---\n{workloads}"));
    assert_eq!(piped.text(), run(&["plan", "-f", "shop"]).text());
}

#[test]
fn fee_and_root_volume_are_part_of_the_cost_as_asked() {
    let cost = |arguments: &[&str]| -> f64 {
        let said = run(&[&["plan", "-f", "shop", "-o", "json"], arguments].concat());
        let document: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
        (document["cost"].as_f64().expect("a number") * 1e6).round()
    };
    let plain = cost(&[]);
    // Two nodes: the 20 GiB of gp3 cost $0.002192 an hour each.
    assert!((plain - cost(&["--no-root-volume"]) - 4_384.0).abs() < 0.5);
    assert!((cost(&["--fee-per-node", "0.01"]) - plain - 20_000.0).abs() < 0.5);
}

/// The arguments of a plan that minds interruptions: c6g, on Spot, is in the worst band, and so is what the file does not have.
fn with_interruptions<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &["--interruption-cost", "10", "--interruption-bands", "spot-advisor.data"]].concat()
}

#[test]
fn interruptions_are_told_apart_from_what_is_paid() {
    let table = run(&with_interruptions(&["plan", "-f", "shop"]));
    let markdown = run(&with_interruptions(&["plan", "-f", "shop", "-o", "markdown"]));
    let node = run(&with_interruptions(&["explain", "node", "0", "-f", "shop"]));
    assert_snapshot!([table.text(), markdown.stdout, node.stdout].join("\n"));

    let said = run(&with_interruptions(&["plan", "-f", "shop", "-o", "json"]));
    let document: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
    let of_nodes: f64 =
        document["nodes"].as_array().expect("nodes").iter().filter_map(|node| node["interruptions"].as_f64()).sum();
    assert!((of_nodes - 0.003_404).abs() < 1e-9 && document["interruptions"] == of_nodes, "{said:?}", said = said.text());
    assert_eq!(document["costModel"]["interruptionCost"], 10.0);
    let paid = run(&["plan", "-f", "shop", "-o", "json"]);
    let paid: Value = serde_json::from_str(&paid.stdout).expect("it is JSON");
    assert_eq!(document["cost"], paid["cost"]);
}

#[test]
fn a_plan_with_interruptions_is_verified_with_the_bands() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let plan = folder.path().join("plan.json").display().to_string();
    std::fs::write(&plan, run(&with_interruptions(&["plan", "-f", "shop", "-o", "json"])).stdout).expect("it can be written");
    let bands = ["--interruption-bands", "spot-advisor.data"];
    let sound = run(&[&["verify", &plan, "-f", "shop"], bands.as_slice()].concat());
    assert_eq!(sound.code, 0, "{}", sound.text());
    let without = run(&["verify", &plan, "-f", "shop"]);
    assert_eq!(without.code, 2);
    assert!(without.stderr.contains("hint: give the Spot advisor's file"), "{}", without.stderr);

    let text = std::fs::read_to_string(&plan)
        .expect("it was written")
        .replace("\"interruptionCost\": 10.0", "\"interruptionCost\": 5.0");
    std::fs::write(&plan, text).expect("it can be written");
    let broken = run(&[&["verify", &plan, "-f", "shop"], bands.as_slice()].concat());
    assert_eq!(broken.code, 1);
    assert!(
        broken.stdout.contains("interruptions of c6g.2xlarge us-east-1b spot are stated as $0.003404/h"),
        "{}",
        broken.stdout
    );
}

#[test]
fn a_plan_of_one_node_is_proven_optimal() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let said = run_in(root, &["plan", "-f", "examples/shop", "--gap", "0", "--work", "10000000", "-o", "json"], "");
    let document: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
    assert_eq!(document["stoppedBy"], "optimal");
}

#[test]
fn every_pod_of_the_examples_has_a_place() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for example in ["examples/company", "examples/shop"] {
        // A wide gap: this asks for a plan that the verifier accepts, not for the best one.
        let said = run_in(root, &["plan", "-f", example, "-o", "json", "--gap", "0.25"], "");
        assert_eq!(said.code, 0, "{example}: {}", said.stderr);
        let plan: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
        assert!(plan["nodes"].as_array().is_some_and(|nodes| !nodes.is_empty()), "{example} needs no nodes");
    }
}

#[test]
fn two_runs_give_the_same_bytes() {
    let once = || run(&["plan", "-f", "shop", "-o", "json"]).stdout;
    assert_eq!(once(), once());
}

#[test]
fn why_a_pod_is_where_it_is() {
    assert_snapshot!(run(&["explain", "pod", "shop/cart-0", "-f", "shop"]).text());
}

#[test]
fn why_a_pod_is_nowhere() {
    let said = run(&["explain", "pod", "shop/giant", "-f", "shop", "-f", "stuck.yaml"]);
    assert_eq!(said.code, 1);
    assert_snapshot!(said.text());
}

#[test]
fn why_a_node_is_what_it_is() {
    assert_snapshot!(run(&["explain", "node", "1", "-f", "shop"]).text());
}

/// The plan of the shop, changed and given to `verify`.
fn verify_changed(change: impl FnOnce(&mut Value)) -> crate::run::Said {
    let mut document: Value = serde_json::from_str(&run(&["plan", "-f", "shop", "-o", "json"]).stdout).expect("it is JSON");
    change(&mut document);
    let folder = tempfile::tempdir().expect("a folder for a while");
    let text = serde_json::to_string(&document).expect("it is JSON");
    std::fs::write(folder.path().join("plan.json"), text).expect("the folder can be written");
    let manifests = data().join("shop");
    run_in(folder.path(), &["verify".as_ref(), "plan.json".as_ref(), "-f".as_ref(), manifests.as_os_str()], "")
}

#[test]
fn a_plan_of_ours_is_sound() {
    let said = verify_changed(|_| ());
    assert_eq!((said.code, said.stdout.lines().next()), (0, Some("sound: 5 pods on 2 nodes keep every rule, at $0.293884/h")));
}

#[test]
fn a_plan_that_breaks_rules_is_refused_with_all_of_them() {
    let said = verify_changed(|plan| {
        let moved = plan["nodes"][1]["pods"][0].take();
        plan["nodes"][0]["pods"][0] = moved;
        plan["nodes"][1]["pods"].as_array_mut().expect("a list").remove(0);
    });
    assert_eq!(said.code, 1);
    assert_snapshot!(said.text());
}

#[test]
fn a_document_that_is_no_plan_of_these_manifests_is_bad_input() {
    let problem = |change: &dyn Fn(&mut Value)| {
        let said = verify_changed(change);
        assert_eq!(said.code, 2, "{}", said.text());
        said.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default().to_owned()
    };
    let found = [
        problem(&|plan| plan["version"] = 2.into()),
        problem(&|plan| plan["nodes"][0]["pods"][0] = "shop/gone-0".into()),
        problem(&|plan| plan["nodes"][0]["price"] = (-1).into()),
        problem(&|plan| plan["nodes"][0]["requests"]["cpu"] = "1 core".into()),
        problem(&|plan| plan["nodes"][0]["capacityType"] = "borrowed".into()),
        problem(&|plan| plan["nodes"][1]["index"] = 7.into()),
        problem(&|plan| plan["stoppedBy"] = "boredom".into()),
        problem(&|plan| plan["extra"] = 1.into()),
        problem(&|plan| *plan = Value::Array(Vec::new())),
    ];
    assert_snapshot!(found.join("\n"));
}

/// Rules between pods hold in the plan that is written, as the verifier reads it back.
#[test]
fn rules_between_pods_are_part_of_the_plan() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let said = run_in(root, &["plan", "-f", "examples/bank", "--work", "3000000", "-o", "json"], "");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let document: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
    let mut zones_of_ledgers: Vec<&str> = Vec::new();
    for node in document["nodes"].as_array().expect("a list") {
        let pods: Vec<&str> = node["pods"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        let of = |name: &str| pods.iter().filter(|pod| pod.starts_with(&format!("bank/{name}-"))).count();
        assert!(of("web") <= 2 && of("gateway") <= 1, "{pods:?}");
        assert!(of("gateway") == 0 || of("ledger") == 0, "{pods:?}");
        zones_of_ledgers.extend(std::iter::repeat_n(node["zone"].as_str().expect("a zone"), of("ledger")));
    }
    zones_of_ledgers.sort_unstable();
    assert_eq!(zones_of_ledgers, ["us-east-1a", "us-east-1b", "us-east-1c"]);

    let file = tempfile::Builder::new().suffix(".json").tempfile().expect("a temporary file");
    std::fs::write(file.path(), &said.stdout).expect("room for a small file");
    let path = file.path().to_str().expect("a plain path");
    let verified = run_in(root, &["verify", path, "-f", "examples/bank"], "");
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

#[test]
fn what_runs_already_is_part_of_the_plan() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let said = run_in(root, &["plan", "-f", "examples/running", "--work", "300000", "-o", "json"], "");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("1 pod has to leave a node that is being deleted"), "{}", said.stderr);
    let document: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
    // One of six runs and stays, five are to be placed; the NodeClaim on its way takes one and the node that stays takes another.
    let used: Vec<&str> =
        document["existing"].as_array().expect("a list").iter().filter_map(|used| used["node"].as_str()).collect();
    assert_eq!(used, ["default-x7k2p", "ip-10-0-1-10"]);
    let nodes = document["nodes"].as_array().expect("a list");
    let zones: std::collections::BTreeSet<&str> = nodes.iter().filter_map(|node| node["zone"].as_str()).collect();
    // Two are in zone a then, so every other zone has one.
    assert_eq!((nodes.len(), zones.len()), (3, 3), "{zones:?}");
    assert!(!zones.contains("us-east-1a") && !zones.contains("us-east-1b"), "{zones:?}");

    let file = tempfile::Builder::new().suffix(".json").tempfile().expect("a temporary file");
    std::fs::write(file.path(), &said.stdout).expect("room for a small file");
    let path = file.path().to_str().expect("a plain path");
    let verified = run_in(root, &["verify", path, "-f", "examples/running"], "");
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    let explained = run_in(root, &["explain", "pod", "shop/web-6b7c-bbbbb", "-f", "examples/running"], "");
    assert_eq!(explained.code, 0, "{}", explained.stderr);
}

/// Reserved instances are used before anything is bought, and the cap on dollars leaves the job that nothing else holds.
#[test]
fn scarce_supply_is_used_first_and_never_exceeded() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let said = run_in(root, &["plan", "-f", "examples/scarce", "--work", "300000", "-o", "json"], "");
    assert_eq!(said.code, 1, "{}", said.stderr);
    let document: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
    let nodes = document["nodes"].as_array().expect("a list");
    let used = |id: &str| nodes.iter().filter(|node| node["reservation"] == id).count();
    assert_eq!((used("cr-0a1b"), used("cr-2c3d")), (3, 1));
    let reserved = nodes.iter().filter(|node| node["capacityType"] == "reserved");
    assert!(
        reserved.into_iter().all(|node| node["price"] == 0.0 && node["candidates"].as_array().is_some_and(|of| of.len() == 1))
    );
    assert!(document["cost"].as_f64().expect("a number") <= 0.40);
    let [left] = document["unplaced"].as_array().expect("a list").as_slice() else { panic!("the job is left: {document}") };
    assert_eq!(left["pod"], "shop/report-0");
    assert!(left["reasons"].to_string().contains("the limit of $0.4000/h of NodePool default"), "{left}");

    let file = tempfile::Builder::new().suffix(".json").tempfile().expect("a temporary file");
    std::fs::write(file.path(), &said.stdout).expect("room for a small file");
    let path = file.path().to_str().expect("a plain path");
    let verified = run_in(root, &["verify", path, "-f", "examples/scarce"], "");
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    let claims = run_in(root, &["plan", "-f", "examples/scarce", "--work", "300000", "-o", "yaml"], "");
    assert!(claims.stdout.contains("karpenter.k8s.aws/capacity-reservation-id"), "{}", claims.stdout);
}

/// What is paid for anyway is used up before Spot is bought.
#[test]
fn commitments_are_used_before_anything_is_bought() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let input = ["-f", "examples/committed/cluster.yaml", "--commitments", "examples/committed/bought.yaml"];
    let said = run_in(root, &[&["plan", "--work", "3000000", "-o", "json"], input.as_slice()].concat(), "");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let document: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
    let commitments = document["commitments"].as_array().expect("a list");
    assert_eq!(commitments.iter().map(|of| of["unused"].as_i64()).collect::<Vec<_>>(), [Some(0), Some(0)], "{commitments:?}");
    let nodes = document["nodes"].as_array().expect("a list");
    let paid = |node: &&Value| node["covers"].as_array().is_some_and(|covers| !covers.is_empty());
    assert!(nodes.iter().filter(paid).all(|node| node["capacityType"] == "on-demand"));
    assert!(nodes.iter().filter(|node| !paid(node)).all(|node| node["capacityType"] == "spot"));
    assert!(document["cost"].as_f64().expect("a number") < 0.22);

    let file = tempfile::Builder::new().suffix(".json").tempfile().expect("a temporary file");
    std::fs::write(file.path(), &said.stdout).expect("room for a small file");
    let path = file.path().to_str().expect("a plain path");
    let verified = run_in(root, &[&["verify", path], input.as_slice()].concat(), "");
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

#[test]
fn pods_follow_their_volumes() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let said = run_in(root, &["plan", "-f", "examples/volumes", "--work", "300000", "-o", "json"], "");
    assert_eq!(said.code, 1, "{}", said.stderr);
    let document: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
    let zone_of = |pod: &str| {
        let nodes = document["nodes"].as_array().expect("a list").iter();
        let mut here = nodes.filter(|node| node["pods"].as_array().is_some_and(|pods| pods.iter().any(|of| of == pod)));
        here.next().and_then(|node| node["zone"].as_str()).unwrap_or_else(|| panic!("{pod} is placed"))
    };
    assert_eq!((zone_of("shop/db-0"), zone_of("shop/db-1")), ("us-east-1b", "us-east-1c"));
    assert_eq!(zone_of("shop/reports-0"), zone_of("shop/reports-1"));
    let reasons = document["unplaced"].to_string();
    assert!(reasons.contains("the PersistentVolumeClaim shop/uploads is not there"), "{reasons}");
    let conflict = "the volume of its claim archive can be attached only where topology.kubernetes.io/zone In [us-east-1b]";
    assert!(reasons.contains(conflict) && reasons.contains("us-east-1a"), "{reasons}");

    let file = tempfile::Builder::new().suffix(".json").tempfile().expect("a temporary file");
    std::fs::write(file.path(), &said.stdout).expect("room for a small file");
    let path = file.path().to_str().expect("a plain path");
    let verified = run_in(root, &["verify", path, "-f", "examples/volumes"], "");
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

#[test]
fn preferences_are_met_as_the_policy_says() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let planned = |policy: &str| -> Value {
        let said =
            run_in(root, &["plan", "-f", "examples/wishes", "--preferences", policy, "--work", "20000000", "-o", "json"], "");
        assert_eq!(said.code, 0, "{}", said.stderr);
        let file = tempfile::Builder::new().suffix(".json").tempfile().expect("a temporary file");
        std::fs::write(file.path(), &said.stdout).expect("room for a small file");
        let path = file.path().to_str().expect("a plain path");
        let verified = run_in(root, &["verify", path, "-f", "examples/wishes"], "");
        assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
        serde_json::from_str(&said.stdout).expect("it is JSON")
    };
    let number = |document: &Value, field: &str| document[field].as_f64().expect("a number");
    let unmet = |document: &Value| document["unmet"].as_array().expect("a list").clone();
    let nodes = |document: &Value| document["nodes"].as_array().expect("a list").len();
    let (priced, respected, ignored) = (planned("priced"), planned("respect"), planned("ignore"));
    assert!(number(&ignored, "cost") <= number(&priced, "cost") && number(&priced, "cost") < number(&respected, "cost"));
    assert_eq!(nodes(&respected), 6);
    assert!(unmet(&respected).is_empty());
    assert_eq!(ignored["forgone"], 0.0);
    // Two zones cost less than what the pods pay for a second zone, three do not.
    assert_eq!(nodes(&priced), 2);
    assert!(number(&priced, "bound") <= number(&priced, "cost") + number(&priced, "forgone"));
    for one in unmet(&priced) {
        let pods = number(&one, "pods");
        assert!(number(&one, "meetingCost") >= pods * number(&one, "worth"), "met is cheaper than unmet: {one}");
    }
    let generous =
        run_in(root, &["plan", "-f", "examples/wishes", "--preference-premium", "1000", "--work", "300000", "-o", "json"], "");
    let generous: Value = serde_json::from_str(&generous.stdout).expect("it is JSON");
    assert!(unmet(&generous).is_empty(), "{}", generous["unmet"]);
}

#[test]
fn what_pods_ask_for_together_is_kept() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for cap in [None, Some("20%")] {
        let mut arguments = vec!["plan", "-f", "examples/steady", "--work", "3000000", "-o", "json"];
        arguments.extend(cap.iter().flat_map(|share| ["--max-spot-pool-share", share]));
        let said = run_in(root, &arguments, "");
        assert_eq!(said.code, 1, "{}", said.stderr);
        let document: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
        let nodes = document["nodes"].as_array().expect("a list");
        let mut web_in: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for node in nodes.iter().filter(|node| node["capacityType"] == "spot") {
            let text = |field: &str| node[field].as_str().expect("a word");
            let web = node["pods"].as_array().expect("a list").iter().filter(|pod| pod.to_string().contains("shop/web-")).count();
            *web_in.entry((text("instanceType"), text("zone"))).or_default() += web;
        }
        assert!(web_in.values().sum::<usize>() <= 14 && web_in.values().all(|&web| web <= 5), "{web_in:?}");
        let left: Vec<&str> =
            document["unplaced"].as_array().expect("a list").iter().filter_map(|of| of["pod"].as_str()).collect();
        assert_eq!(left, ["lab/sweep-0", "lab/sweep-1", "lab/sweep-2"]);
        let reasons = document["unplaced"].to_string();
        assert!(reasons.contains("the limit of 2 nodes of NodePool train"), "{reasons}");

        let file = tempfile::Builder::new().suffix(".json").tempfile().expect("a temporary file");
        std::fs::write(file.path(), &said.stdout).expect("room for a small file");
        let path = file.path().to_str().expect("a plain path");
        let mut arguments = vec!["verify", path, "-f", "examples/steady"];
        arguments.extend(cap.iter().flat_map(|share| ["--max-spot-pool-share", share]));
        let verified = run_in(root, &arguments, "");
        assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
        // A cap that the plan was not made for is seen.
        arguments.truncate(4);
        let verified = run_in(root, &[&arguments[..], &["--max-spot-pool-share", "1%"]].concat(), "");
        assert_eq!(verified.code, 1, "{}{}", verified.stdout, verified.stderr);
        assert!(verified.stdout.contains("max-spot-pool-share allows"), "{}", verified.stdout);
    }
}
