//! Refreshes that go well: what is asked, and what becomes of the answers.

use std::collections::BTreeSet;
use std::path::Path;

use supercargo::adapters::files::catalog;
use supercargo::domain::catalog::{CapacityType, Catalog, InstanceType, PriceKind};

use crate::fake::Account;
use crate::run::{finished, refresh_command, refreshed};

fn embedded() -> Catalog {
    catalog::embedded().expect("the embedded catalog is valid")
}

/// The type with prices that count as observed.
fn observed(mut instance_type: InstanceType) -> InstanceType {
    for offering in &mut instance_type.offerings {
        offering.price_kind = PriceKind::Listed;
    }
    instance_type
}

fn price(catalog: &Catalog, name: &str, wanted: CapacityType) -> Option<i64> {
    let offerings = &catalog.get(name)?.offerings;
    offerings.iter().find(|offering| offering.capacity_type == wanted).map(|offering| offering.price.micros())
}

#[test]
fn a_refresh_finds_the_embedded_facts_type_by_type() {
    let (account, root) = (Account::new("facts"), tempfile::tempdir().expect("a folder for the test"));
    let said = refreshed(&account, root.path(), &["--region", "us-east-1"]);
    let path = root.path().join("us-east-1");
    assert_eq!(said.stdout, format!("{}\n", path.display()));

    let (made, embedded) = (catalog::read(&path).expect("it can be read"), embedded());
    let names = |catalog: &Catalog| catalog.instance_types.iter().map(|t| t.name.clone()).collect::<BTreeSet<_>>();
    assert_eq!(names(&made), names(&embedded));
    for (ours, theirs) in made.instance_types.iter().zip(&embedded.instance_types) {
        assert_eq!(*ours, observed(theirs.clone()));
    }
    assert_eq!(made.ebs_prices, embedded.ebs_prices);
    assert!(!made.has_estimates(CapacityType::Spot) && !made.has_estimates(CapacityType::OnDemand));
    assert!(!made.summary().contains("ESTIMATE"), "{}", made.summary());

    // Every answer came in pages: 1,377 types by 100, 6,436 zones of types by 1,000, six zones of some 1,200 Spot prices.
    assert_eq!(account.count("DescribeInstanceTypes"), 14);
    assert_eq!(account.count("DescribeInstanceTypeOfferings"), 7);
    assert!(account.count("DescribeSpotPriceHistory") > 6);
    assert!(account.count("GetProducts") > 13);
    // What could not be taken is told.
    assert!(said.stderr.contains("7 of another kind, 1 with a price of zero"), "{}", said.stderr);
    assert!(said.stderr.contains("nothing says what they cost: r9g."), "{}", said.stderr);
}

#[test]
fn two_regions_are_refreshed_at_once_with_prices_of_their_own() {
    let (account, root) = (Account::new("regions"), tempfile::tempdir().expect("a folder for the test"));
    let said = refreshed(&account, root.path(), &["--region", "us-east-1", "--region", "eu-west-1", "--region", "eu-west-1"]);
    let folders: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(folders.len(), 2);
    let european = catalog::read(Path::new(folders[0])).expect("it can be read");
    assert_eq!(european.region, "eu-west-1");
    assert_eq!(european.zones(), BTreeSet::from(["eu-west-1a", "eu-west-1b", "eu-west-1c"]));

    // The facts are those of the type everywhere; On-Demand prices are 1.1 times those of us-east-1, Spot prices 0.4 times that.
    let home = embedded();
    for made in &european.instance_types {
        let theirs = home.get(&made.name).expect("only types of the snapshot have a price");
        let elsewhere = |of: &InstanceType| InstanceType { offerings: Vec::new(), zones: BTreeSet::new(), ..of.clone() };
        assert_eq!(elsewhere(made), elsewhere(theirs));
        let there = price(&home, &made.name, CapacityType::OnDemand).expect("every type of the snapshot has one");
        for offering in &made.offerings {
            let micros = offering.price.micros();
            match offering.capacity_type {
                CapacityType::OnDemand => assert_eq!(micros, (there * 11 + 5) / 10, "{}", made.name),
                _ => assert!((micros * 100 - there * 44).abs() <= 50, "{}: {micros} for {there}", made.name),
            }
        }
    }
    assert!(european.instance_types.len() > 1_000);
    assert_eq!(european.ebs_prices["gp3"], 88_000);

    // The Price List is asked in the nearest of its regions, EC2 in the region itself.
    let calls: BTreeSet<(String, String)> = account.calls().into_iter().collect();
    let asked =
        |call: &str| -> Vec<&str> { calls.iter().filter(|(name, _)| name == call).map(|(_, region)| region.as_str()).collect() };
    assert_eq!(asked("GetProducts"), ["eu-central-1", "us-east-1"]);
    assert_eq!(asked("DescribeInstanceTypes"), ["eu-west-1", "us-east-1"]);
}

#[test]
fn the_credentials_of_a_profile_count_before_those_of_the_environment() {
    let (account, other) = (Account::new("profile"), Account::new("environment"));
    let root = tempfile::tempdir().expect("a folder for the test");
    let file = root.path().join("credentials");
    let keys = format!("[team]\naws_access_key_id = {}\naws_secret_access_key = not-a-secret\n", account.key);
    std::fs::write(&file, keys).expect("the folder takes files");
    let mut command = refresh_command(&other, root.path(), &["--region", "eu-west-1", "--profile", "team"]);
    let said = finished(command.env("AWS_SHARED_CREDENTIALS_FILE", &file));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(account.count("DescribeInstanceTypes") > 0);
    assert_eq!(other.calls(), []);
}

#[test]
fn an_isolated_vpc_keeps_the_prices_that_it_had() {
    let (account, root) = (Account::new("isolated"), tempfile::tempdir().expect("a folder for the test"));
    // The first time there are none of the region, so those of the snapshot stand in, and are called estimates.
    let said = refreshed(&account, root.path(), &["--region", "eu-west-1", "--isolated-vpc"]);
    assert!(said.stderr.contains("no Price List for eu-west-1: On-Demand prices are ESTIMATES"), "{}", said.stderr);
    let read = || catalog::read(&root.path().join("eu-west-1")).expect("it can be read");
    let first = read();
    assert!(first.has_estimates(CapacityType::OnDemand) && !first.has_estimates(CapacityType::Spot));
    assert_eq!(price(&first, "m5.large", CapacityType::OnDemand), price(&embedded(), "m5.large", CapacityType::OnDemand));
    assert!(first.summary().contains("On-Demand prices are an ESTIMATE"), "{}", first.summary());
    assert_eq!(account.count("GetProducts"), 0);

    refreshed(&account, root.path(), &["--region", "eu-west-1"]);
    let listed = read();
    refreshed(&account, root.path(), &["--region", "eu-west-1", "--isolated-vpc"]);
    assert_eq!(read().provenance.on_demand, listed.provenance.on_demand);
    assert_eq!(read().instance_types, listed.instance_types);
}

#[test]
fn govcloud_has_its_list_prices_built_in() {
    let (account, root) = (Account::new("govcloud"), tempfile::tempdir().expect("a folder for the test"));
    let said = refreshed(&account, root.path(), &["--region", "us-gov-west-1"]);
    assert!(said.stderr.contains("no Price List for us-gov-west-1: On-Demand prices are those known before"), "{}", said.stderr);
    assert_eq!(account.count("GetProducts"), 0);
    let made = catalog::read(&root.path().join("us-gov-west-1")).expect("it can be read");
    let table = catalog::list_prices("us-gov-west-1").expect("it is valid").expect("it is a region of GovCloud");
    assert_eq!(made.provenance.on_demand, table.source);
    assert!(!made.has_estimates(CapacityType::OnDemand));
    for made in &made.instance_types {
        let found = made.offerings.iter().find(|offering| offering.capacity_type == CapacityType::OnDemand);
        assert_eq!(found.map(|offering| offering.price), table.on_demand.get(&made.name).copied(), "{}", made.name);
    }
}
