//! The source of catalogs inside a running program: what it makes of prices that move and of a server that fails.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use supercargo::adapters::aws::{CatalogSource, Origin, Periods, Settings, Status};
use supercargo::adapters::files::catalog;
use supercargo::domain::catalog::{CapacityType, Catalog};

use crate::alone::access;
use crate::fake::Account;
use crate::run::refreshed;

/// Spot prices often, everything once.
const PERIODS: Periods = Periods { whole: Duration::from_hours(12), spot: Duration::from_millis(200) };

/// Runs `body` in the process of the test `name` of this module.
fn alone<F: Future<Output = ()>>(name: &str, body: impl FnOnce(Account, PathBuf) -> F) {
    crate::alone::alone("source", name, body);
}

fn settings(account: &Account, root: PathBuf, region: &str) -> Settings {
    Settings { region: region.to_owned(), access: access(account), isolated_vpc: false, root, periods: PERIODS, seed: 1 }
}

/// A source whose refresher runs beside the test.
fn start(settings: Settings) -> CatalogSource {
    let (source, refresher) = CatalogSource::open(settings).expect("the embedded catalog is valid");
    tokio::spawn(refresher.run());
    source
}

fn price(catalog: &Catalog, wanted: CapacityType) -> i64 {
    let offerings = &catalog.get("m5.large").expect("every region has it").offerings;
    offerings.iter().find(|offering| offering.capacity_type == wanted).expect("it is sold so").price.micros()
}

/// Waits for a status of that kind.
async fn until(source: &mut CatalogSource, wanted: impl Fn(&Status) -> bool) -> Status {
    loop {
        let status = source.next_status().await.expect("it runs");
        if wanted(&status) {
            return status;
        }
    }
}

#[test]
fn a_price_that_moves_is_seen_and_a_server_that_fails_is_waited_for() {
    alone("a_price_that_moves_is_seen_and_a_server_that_fails_is_waited_for", |account, root| async move {
        let mut source = start(settings(&account, root.clone(), "eu-west-1"));
        assert_eq!(source.current(), None);
        let first = source.ready().await.expect("it runs");
        let (on_demand, spot) = (price(&first.catalog, CapacityType::OnDemand), price(&first.catalog, CapacityType::Spot));
        assert_eq!(source.status().origin, Some(Origin::Refreshed));
        let mut waiting = source.clone();

        account.spot_prices_times(2);
        let second = waiting.changed().await.expect("it runs");
        assert_eq!(price(&second.catalog, CapacityType::Spot), 2 * spot);
        assert_eq!(price(&second.catalog, CapacityType::OnDemand), on_demand);
        let facts = |catalog: &Catalog| (catalog.provenance.instance_types.clone(), catalog.instance_types.len());
        assert_eq!(facts(&second.catalog), facts(&first.catalog));
        assert_eq!(
            catalog::read(&root.join("eu-west-1")).expect("it is published").instance_types,
            second.catalog.instance_types
        );

        account.faults(&json!([{"action": "DescribeSpotPriceHistory", "html": 500, "times": 9999}]));
        account.spot_prices_times(3);
        let status = until(&mut source, |status| status.spot.failures >= 2).await;
        let why = status.spot.last.expect("it failed").error.to_string();
        assert!(why.starts_with("eu-west-1: DescribeSpotPriceHistory failed: HTTP status 500"), "{why}");
        assert_eq!(source.current().map(|kept| kept.number), Some(second.number));

        account.faults(&json!([]));
        let third = waiting.changed().await.expect("it runs");
        assert_eq!((third.number, price(&third.catalog, CapacityType::Spot)), (second.number + 1, 3 * spot));
        assert_eq!(source.status().spot.failures, 0);
        // Types and list prices were asked for once, when it began: 12 pages of the former.
        assert_eq!(account.count("DescribeInstanceTypes"), 12);
    });
}

#[test]
fn spot_prices_are_those_of_now_although_the_price_list_fails() {
    alone("spot_prices_are_those_of_now_although_the_price_list_fails", |account, root| async move {
        refreshed(&account, &root, &["--region", "eu-west-1"]);
        let before = catalog::read(&root.join("eu-west-1")).expect("it can be read");
        account.faults(&json!([{"action": "GetProducts", "html": 500, "times": 9999}]));
        account.spot_prices_times(2);
        let mut source = start(settings(&account, root, "eu-west-1"));
        assert_eq!(source.current().map(|current| current.number), Some(0));
        let snapshot = source.changed().await.expect("it runs");
        assert_eq!(price(&snapshot.catalog, CapacityType::Spot), 2 * price(&before, CapacityType::Spot));
        assert_eq!(snapshot.catalog.provenance.on_demand, before.provenance.on_demand);
        let status = source.status();
        assert_eq!((status.origin, status.whole.failures, status.spot.failures), (Some(Origin::Published), 1, 0));
        let why = status.whole.last.expect("it failed").error.to_string();
        assert!(why.starts_with("eu-west-1: GetProducts failed (asked in eu-central-1): HTTP status 500"), "{why}");
    });
}

#[test]
fn the_price_list_is_not_asked_where_there_is_none() {
    alone("the_price_list_is_not_asked_where_there_is_none", |account, root| async move {
        for (region, isolated_vpc) in [("us-gov-west-1", false), ("eu-west-1", true)] {
            let mut source = start(Settings { isolated_vpc, ..settings(&account, root.clone(), region) });
            let first = source.ready().await.expect("it runs");
            assert_eq!(first.catalog.region, region);
            assert_eq!(first.catalog.has_estimates(CapacityType::OnDemand), isolated_vpc);
            let status = source.next_status().await.expect("it runs");
            assert!(status.notices.iter().any(|notice| notice.starts_with("no Price List for")), "{:?}", status.notices);
        }
        assert_eq!(account.count("GetProducts"), 0);
    });
}
