//! `supercargo catalog` on the embedded catalog, and on copies of it that were spoilt.

use std::path::Path;

use insta::assert_snapshot;
use tempfile::TempDir;

use crate::run::{Said, run, run_in};

/// A copy of the embedded catalog with texts replaced: file, from, to.
fn spoilt(changes: &[(&str, &str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let embedded = Path::new(env!("CARGO_MANIFEST_DIR")).join("pricing-cache/us-east-1");
    for name in ["catalog.properties", "ebs.csv", "instance-types.csv", "offerings.csv", "spot.csv"] {
        let mut text = std::fs::read_to_string(embedded.join(name)).expect("the file is committed");
        for (_, from, to) in changes.iter().filter(|(file, ..)| *file == name) {
            assert!(text.contains(from), "{name} has no {from:?}");
            text = text.replacen(from, to, 1);
        }
        std::fs::write(folder.path().join(name), text).expect("the folder takes files");
    }
    folder
}

/// Runs `catalog` in the folder.
fn catalog_in(folder: &TempDir, arguments: &[&str]) -> Said {
    run_in(folder.path(), &[&["catalog"], arguments].concat(), "")
}

#[test]
fn types_are_listed_cheapest_first() {
    let said = run(&["catalog", "show", "--family", "m7i,m7g", "--vcpus", "2..4", "--memory", "..16", "--zone", "us-east-1a"]);
    assert_snapshot!(said.text());
}

#[test]
fn a_listing_as_json_has_the_price_in_every_zone() {
    let said =
        run(&["catalog", "show", "--gpus", "1", "--generation", "6..", "--max-price", "0.6", "--arch", "amd64", "-o", "json"]);
    assert_snapshot!(said.text());
}

#[test]
fn no_type_of_that_kind_is_the_answer_no() {
    let said = run(&["catalog", "show", "--category", "m", "--gpus", "1.."]);
    assert_eq!(said.code, 1, "{}", said.text());
    assert!(said.stderr.contains("note: no instance type is like that"), "{}", said.stderr);
}

#[test]
fn conditions_that_make_no_sense_are_refused() {
    for (option, value, mend) in [
        ("--vcpus", "16..4", "a range is a number"),
        ("--memory", "lots", "memory is GiB"),
        ("--arch", "x86_64", "an architecture is amd64 or arm64"),
        ("--capacity-type", "reserved", "a catalog sells on-demand and spot"),
        ("--max-price", "-1", "a price is dollars per hour"),
    ] {
        let said = run(&["catalog", "show", &format!("{option}={value}")]);
        assert_eq!(said.code, 2, "{option} {value}");
        assert!(said.stderr.contains(mend), "{}", said.stderr);
    }
}

#[test]
fn what_changed_is_listed_with_the_largest_move_first() {
    let folder = spoilt(&[
        ("offerings.csv", "a1.large,0.0510,", "a1.large,0.0561,"),
        ("offerings.csv", "c5.large,0.0850,", "c5.large,0.0680,"),
        ("offerings.csv", "m5.large,0.0960,", "m5.large,0.0961,"),
        ("spot.csv", "a1.2xlarge,0.0711,", "a1.2xlarge,,"),
        ("instance-types.csv", "a1.medium,", "a9.medium,"),
        ("offerings.csv", "a1.medium,", "a9.medium,"),
        ("spot.csv", "a1.medium,", "a9.medium,"),
    ]);
    assert_snapshot!(catalog_in(&folder, &["diff", "embedded", "."]).text());
    let document = catalog_in(&folder, &["diff", "embedded", ".", "-o", "json"]).stdout;
    let document: serde_json::Value = serde_json::from_str(&document).expect("it is JSON");
    assert_eq!(document["moves"].as_array().map(Vec::len), Some(3));
    assert_eq!(document["goneOfferings"][0]["zone"], "us-east-1a");
}

#[test]
fn the_doctor_names_everything_that_is_doubtful() {
    let folder = spoilt(&[
        ("offerings.csv", "m5.large,0.0960,", "m5.large,0.0000,"),
        ("offerings.csv", "c5.xlarge,0.1700,", "c5.xlarge,-1,"),
        ("offerings.csv", "r5.xlarge,0.2520,", "r5.xlarge,2.5200,"),
        ("spot.csv", "a1.large,0.0193,", "a1.large,0.1930,"),
        ("spot.csv", "a1.2xlarge,0.0711,", "a1.2xlarge,,"),
    ]);
    let said = catalog_in(&folder, &["doctor", "--catalog", "."]);
    assert_eq!(said.code, 1, "{}", said.text());
    let expected = [
        "offerings.csv:533: column `usd_per_hour`: `0.0000` is not a price",
        "`-1` is not a price",
        "On-Demand prices are ",
        " days old (as of 2026-07-20)",
        "spot prices are estimates",
        "types without any on-demand price, 2 of them: c5.xlarge, m5.large",
        "types without a spot price in us-east-1a, where they are sold, 1 of them: a1.2xlarge",
        "a1.large in us-east-1a: a spot price of $0.1930/h, while on-demand is $0.0510/h",
        "r5.xlarge: an on-demand price of $2.5200/h, 10.00 times its family's median per vCPU",
    ];
    for part in expected {
        assert!(said.stdout.contains(part), "{part:?} is not in\n{}", said.stdout);
    }
    let document = catalog_in(&folder, &["doctor", "--catalog", ".", "-o", "json"]);
    assert_eq!(document.code, 1);
    let document: serde_json::Value = serde_json::from_str(&document.stdout).expect("it is JSON");
    let findings = document["findings"].as_array().expect("a list").iter().map(ToString::to_string);
    // How much is old depends on the day.
    assert_eq!(findings.filter(|finding| !finding.contains("days old")).count(), 7, "{document}");
    // Every other command refuses such a catalog.
    let said = run_in(folder.path(), &["catalog", "show", "--catalog", "."], "");
    assert_eq!(said.code, 2, "{}", said.text());
}

#[test]
fn a_catalog_that_was_cut_off_is_bad_input_even_for_the_doctor() {
    let folder = spoilt(&[]);
    let spot = folder.path().join("spot.csv");
    let text = std::fs::read_to_string(&spot).expect("it was just written");
    std::fs::write(&spot, &text[..text.len() / 2]).expect("the folder takes files");
    let said = catalog_in(&folder, &["doctor", "--catalog", "."]);
    assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{}", said.text());
}

#[test]
fn old_prices_of_a_folder_are_told_and_change_no_plan() {
    let folder = spoilt(&[("catalog.properties", "spot.kind = estimate", "spot.kind = listed")]);
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: example.com/a}]}\n";
    let said = run_in(folder.path(), &["plan", "-f", "-", "--catalog", "."], pod);
    assert!(said.stderr.contains("note: the On-Demand prices of us-east-1 are "), "{}", said.text());
    assert!(said.stderr.contains("`supercargo catalog refresh --region us-east-1` gets those of today"), "{}", said.text());
    assert!(!said.stdout.contains("days old"), "{}", said.text());
}
