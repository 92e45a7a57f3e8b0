//! The refresher with answers of the tests, and periods of milliseconds. `schedule` has the periods, `tests/aws` the server.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::task::JoinHandle;

use super::*;
use crate::adapters::aws::Problem;
use crate::domain::catalog::{CapacityType, PriceKind};
use crate::domain::instance_type::Architecture;
use crate::domain::instance_type::tests::sold;
use crate::domain::money::UsdPerHour;

/// Both again and again.
const OFTEN: Periods = Periods { whole: Duration::from_millis(5), spot: Duration::from_millis(5) };
/// Everything once, then Spot prices.
const SPOT: Periods = Periods { whole: Duration::from_hours(1), spot: Duration::from_millis(5) };

fn noon() -> Timestamp {
    Timestamp::from_second(1_800_014_400).expect("it is a time")
}

/// Two types in two zones of the region, every On-Demand price and every Spot price the same.
fn priced(region: &str, on_demand: i64, spot: i64) -> Catalog {
    let types = ["m5.large", "m7g.large"].map(|name| sold(name, Architecture::Amd64, 2, on_demand));
    let mut catalog = crate::domain::catalog::tests::catalog(types.to_vec());
    catalog.region = region.to_owned();
    for offering in catalog.instance_types.iter_mut().flat_map(|t| &mut t.offerings) {
        offering.zone = offering.zone.replace("us-east-1", region);
        if offering.capacity_type == CapacityType::Spot {
            (offering.price, offering.price_kind) = (UsdPerHour::from_micros(spot), PriceKind::Listed);
        }
    }
    catalog
}

fn fetched(catalog: Catalog) -> Result<Fetched, FetchError> {
    Ok(Fetched { catalog, notices: vec!["a notice".to_owned()] })
}

fn failed() -> Result<Fetched, FetchError> {
    Err(FetchError::new("us-east-1", "GetProducts", Problem::Server, "HTTP status 500"))
}

/// The prices in a catalog of one kind, which are to be one.
fn price(catalog: &Catalog, wanted: CapacityType) -> i64 {
    let offerings = catalog.offerings().filter(|(_, offering)| offering.capacity_type == wanted);
    let mut prices: Vec<i64> = offerings.map(|(_, offering)| offering.price.micros()).collect();
    prices.dedup();
    assert_eq!(prices.len(), 1, "{wanted:?} prices of several refreshes: {prices:?}");
    prices[0]
}

/// A source that runs, and what it asked for.
struct Running {
    source: CatalogSource,
    asked: Arc<Mutex<Vec<Part>>>,
    task: JoinHandle<()>,
}

fn settings(root: &Path, region: &str, periods: Periods) -> Settings {
    let access = Access { profile: None, endpoint_url: None, timeout: Duration::from_secs(1) };
    Settings { region: region.to_owned(), access, isolated_vpc: false, root: root.to_owned(), periods, seed: 3 }
}

impl Running {
    /// `answer` gets the number of the question, from 0, and the question.
    fn start(
        settings: Settings,
        answer: impl Fn(usize, &Question) -> Result<Fetched, FetchError> + Send + Sync + 'static,
    ) -> Self {
        let (source, mut refresher) = CatalogSource::open(settings).expect("the embedded catalog is valid");
        refresher.clock = noon;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        let task = tokio::spawn(refresher.run_with(move |question| {
            let mut heard = heard.lock().expect("nobody panicked");
            let answer = answer(heard.len(), &question);
            heard.push(question.part);
            async move { answer }
        }));
        Self { source, asked, task }
    }

    fn asked(&self) -> Vec<Part> {
        self.asked.lock().expect("nobody panicked").clone()
    }

    /// Waits for a status of that kind.
    async fn until(&mut self, wanted: impl Fn(&Status) -> bool) -> Status {
        loop {
            let status = self.source.next_status().await.expect("it runs");
            if wanted(&status) {
                return status;
            }
        }
    }
}

#[tokio::test]
async fn failures_keep_the_last_good_catalog_and_say_why_until_one_goes_well() {
    let root = tempfile::tempdir().expect("a folder for the test");
    catalog::publish(root.path(), &priced("us-east-1", 70_000, 30_000)).expect("it can be written");
    let is_well = Arc::new(AtomicBool::new(false));
    let server = Arc::clone(&is_well);
    let mut running = Running::start(settings(root.path(), "us-east-1", OFTEN), move |_, _| {
        if server.load(Ordering::Relaxed) { fetched(priced("us-east-1", 80_000, 40_000)) } else { failed() }
    });
    let status = running.source.status();
    assert_eq!((status.origin, status.whole.failures), (Some(Origin::Published), 0));
    let status = running.until(|status| status.whole.failures >= 3 && status.spot.failures >= 3).await;
    let current = running.source.current().expect("there was one");
    assert_eq!((current.number, price(&current.catalog, CapacityType::Spot)), (0, 30_000));
    let last = status.whole.last.expect("it failed");
    assert_eq!((last.at, last.error.problem), (noon(), Problem::Server));
    assert_eq!(status.parts.map(|parts| parts.spot.as_of).as_deref(), Some("2026-01-01"));

    is_well.store(true, Ordering::Relaxed);
    let current = running.source.changed().await.expect("it runs");
    assert_eq!((price(&current.catalog, CapacityType::OnDemand), price(&current.catalog, CapacityType::Spot)), (80_000, 40_000));
    assert_eq!(catalog::read(&root.path().join("us-east-1")).expect("it is published"), current.catalog);
    let status = running.until(|status| status.origin == Some(Origin::Refreshed)).await;
    assert_eq!((status.whole, status.spot), (Attempts::default(), Attempts::default()));
    assert_eq!(status.notices, ["a notice"]);
}

#[tokio::test]
async fn spot_prices_go_into_the_last_whole_refresh() {
    let root = tempfile::tempdir().expect("a folder for the test");
    let mut running = Running::start(settings(root.path(), "us-east-1", SPOT), |number, question| {
        let step = i64::try_from(number).expect("a few questions");
        match (question.part, &question.known) {
            (Part::Whole, _) => fetched(priced("us-east-1", 100_000, 50_000)),
            // Every one of them is put into what the whole had, not into what the one before had.
            (Part::Spot, Some(known)) if price(&known.catalog, CapacityType::Spot) == 50_000 => {
                fetched(priced("us-east-1", 100_000, 60_000 + step))
            }
            (Part::Spot, _) => failed(),
        }
    });
    let mut seen = Vec::new();
    for _ in 0..4 {
        let snapshot = running.source.changed().await.expect("it runs");
        assert_eq!(running.source.status().spot, Attempts::default());
        seen.push((snapshot.number, price(&snapshot.catalog, CapacityType::Spot)));
    }
    assert_eq!(seen[0], (1, 50_000));
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1] && pair[1].1 > 60_000), "{seen:?}");
}

#[tokio::test]
async fn equal_prices_are_newer_but_wake_nobody() {
    let root = tempfile::tempdir().expect("a folder for the test");
    let mut running = Running::start(settings(root.path(), "us-east-1", SPOT), |number, question| {
        let mut catalog = priced("us-east-1", 100_000, if number < 4 { 50_000 } else { 60_000 });
        catalog.provenance.spot.as_of.clone_from(&question.now);
        catalog.provenance.spot.origin = format!("answer {number}");
        fetched(catalog)
    });
    let mut before = running.source.clone();
    let first = before.changed().await.expect("it runs");
    assert_eq!((first.number, first.catalog.provenance.spot.as_of.as_str()), (1, minute(noon()).as_str()));
    running.until(|status| status.parts.as_ref().is_some_and(|parts| parts.spot.origin != "answer 0")).await;
    let second = before.changed().await.expect("it runs");
    assert_eq!((second.number, price(&second.catalog, CapacityType::Spot)), (2, 60_000));
    assert!(running.asked().len() >= 5);
}

#[tokio::test]
async fn a_region_that_nobody_knows_has_no_catalog_until_one_is_fetched() {
    let root = tempfile::tempdir().expect("a folder for the test");
    let mut running = Running::start(settings(root.path(), "eu-west-1", OFTEN), |number, _| {
        if number < 3 { failed() } else { fetched(priced("eu-west-1", 100_000, 50_000)) }
    });
    assert_eq!((running.source.current(), running.source.status().origin), (None, None));
    let first = running.source.ready().await.expect("it runs");
    assert_eq!((first.number, first.catalog.region.as_str()), (0, "eu-west-1"));
    assert_eq!(running.asked()[..4], [Part::Whole; 4]);
}

#[tokio::test]
async fn the_refresher_ends_with_the_last_handle() {
    let root = tempfile::tempdir().expect("a folder for the test");
    let Running { source, task, .. } = Running::start(settings(root.path(), "us-east-1", OFTEN), |_, _| failed());
    let mut other = source.clone();
    drop(source);
    for _ in 0..3 {
        assert!(other.next_status().await.is_some());
    }
    drop(other);
    task.await.expect("it ends by itself");
}

#[tokio::test]
async fn a_catalog_that_cannot_be_read_or_written_is_said() {
    let root = tempfile::tempdir().expect("a folder for the test");
    let folder = root.path().join("us-east-1");
    std::fs::create_dir(&folder).expect("a folder of the user");
    let mut running =
        Running::start(settings(root.path(), "us-east-1", SPOT), |_, _| fetched(priced("us-east-1", 100_000, 50_000)));
    let status = running.source.status();
    assert_eq!(status.origin, Some(Origin::Embedded));
    assert!(status.unread.is_some_and(|why| why.contains("catalog.properties")));
    // It is current all the same.
    let snapshot = running.source.changed().await.expect("it runs");
    assert_eq!(price(&snapshot.catalog, CapacityType::Spot), 50_000);
    let why = running.source.status().unpublished.expect("it is not a link of a refresh");
    assert!(why.contains("was not made by a refresh"), "{why}");
}

/// Threads that read as fast as they can find one catalog or the next, and never go back.
#[tokio::test]
async fn whoever_reads_finds_one_whole_catalog() {
    const REFRESHES: u64 = 40;
    let root = tempfile::tempdir().expect("a folder for the test");
    let periods = Periods { whole: Duration::from_millis(4), spot: Duration::from_millis(1) };
    let count = AtomicU64::new(0);
    let mut running = Running::start(settings(root.path(), "us-east-1", periods), move |_, question| {
        let step = i64::try_from(count.fetch_add(1, Ordering::Relaxed)).expect("a few questions");
        let on_demand = match &question.known {
            Some(known) if question.part == Part::Spot => price(&known.catalog, CapacityType::OnDemand),
            _ => 1_000_000 + step,
        };
        fetched(priced("us-east-1", on_demand, 1_000 + step))
    });
    running.source.changed().await.expect("it runs");
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (source, stop) = (running.source.clone(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut last = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    let snapshot = source.current().expect("there is one");
                    let now = (snapshot.number, price(&snapshot.catalog, CapacityType::Spot));
                    price(&snapshot.catalog, CapacityType::OnDemand);
                    assert!(now >= last, "{now:?} after {last:?}");
                    last = now;
                }
                last
            })
        })
        .collect();
    let last = loop {
        let snapshot = running.source.changed().await.expect("it runs");
        if snapshot.number >= REFRESHES {
            break snapshot.number;
        }
    };
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        let (number, _) = reader.join().expect("no reader saw a mixture");
        assert!((1..=last + 1).contains(&number), "{number}");
    }
}

/// The controller gives it to a runtime of several threads.
#[test]
fn the_refresher_can_move_between_threads() {
    fn moves<T: Send>(_: T) {}
    let root = tempfile::tempdir().expect("a folder for the test");
    let opened = CatalogSource::open(settings(root.path(), "us-east-1", Periods::USUAL));
    let (source, refresher) = opened.expect("the embedded catalog is valid");
    moves(refresher.run());
    moves(source);
}
