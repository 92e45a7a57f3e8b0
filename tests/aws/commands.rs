//! What other commands make of a catalog that a refresh wrote.

use std::path::Path;

use crate::fake::Account;
use crate::run::{Said, command, finished, refreshed};

fn example() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/data/shop").display().to_string()
}

/// A root folder with catalogs of two regions, and a way to run the binary on it.
fn with_two_regions(name: &str, arguments: &[&[&str]]) -> Vec<Said> {
    let (account, cache) = (Account::new(name), tempfile::tempdir().expect("a folder for the test"));
    let root = cache.path().join("supercargo/catalog");
    refreshed(&account, &root, &["--region", "us-east-1", "--region", "eu-west-1"]);
    let run = |arguments: &[&str]| {
        let mut command = command(&account);
        command.env("XDG_CACHE_HOME", cache.path()).current_dir(&root).args(arguments);
        finished(&mut command)
    };
    arguments.iter().map(|arguments| run(arguments)).collect()
}

#[test]
fn plans_name_the_source_and_have_no_estimates() {
    let example = example();
    let runs: [&[&str]; 4] = [
        &["plan", "-f", &example, "--work", "100000", "--region", "us-east-1"],
        &["plan", "-f", &example, "--work", "100000", "--catalog", "us-east-1"],
        &["plan", "-f", &example, "--work", "100000", "--catalog", "."],
        &["plan", "-f", &example, "--work", "100000", "--region", "eu-north-1"],
    ];
    let said = with_two_regions("plans", &runs);
    for said in &said[..2] {
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert!(said.stdout.contains("(AWS Price List), Spot prices as of 20"), "{}", said.stdout);
        assert!(!said.stdout.contains('~') && !said.stdout.contains("ESTIMATE"), "{}", said.stdout);
    }
    assert_eq!(said[2].code, 2);
    assert!(said[2].stderr.contains("choose with --region: eu-west-1, us-east-1"), "{}", said[2].stderr);
    assert_eq!(said[3].code, 2);
    assert!(said[3].stderr.contains("hint: run `supercargo catalog refresh --region eu-north-1`"), "{}", said[3].stderr);
}

#[test]
fn a_fresh_catalog_is_listed_compared_and_found_in_order() {
    let runs: [&[&str]; 3] = [
        &["catalog", "show", "--region", "eu-west-1", "--family", "m5", "--vcpus", "2", "--capacity-type", "on-demand"],
        &["catalog", "diff", "embedded", "eu-west-1"],
        &["catalog", "doctor", "--region", "us-east-1"],
    ];
    let said = with_two_regions("listed", &runs);
    // 1.1 times the price of us-east-1, by 2 vCPUs and 8 GiB.
    let row: Vec<&str> = said[0].stdout.lines().nth(1).expect("one type").split_whitespace().collect();
    assert_eq!(row, ["m5.large", "amd64", "2", "8", "-", "on-demand", "3", "eu-west-1a", "0.1056", "0.0528", "0.0132"]);
    assert!(said[1].stdout.contains("+10.0 %"), "{}", said[1].stdout);
    assert!(said[1].stderr.contains("Spot prices are not compared"), "{}", said[1].stderr);
    assert_eq!(said[2].code, 0, "{}", said[2].stdout);
}
