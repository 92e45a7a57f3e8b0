//! The catalog of a region, kept up to date while a program runs.
//!
//! [`CatalogSource::open`] gives a handle and a [`Refresher`]. The handle answers at once, from any task and as often as asked, with the
//! current [`Snapshot`]: one whole catalog, replaced as a whole, never changed. The refresher is a future for the program to run; it asks
//! AWS, publishes what it gets where `catalog refresh` does, and replaces the snapshot:
//!
//! - everything every 12 hours, the period at which the AWS provider of Karpenter v1.15.1 asks for types and prices;
//! - Spot prices alone every 5 minutes, because they are what changes; all else stays as the last whole refresh had it. Karpenter takes
//!   12 hours for these too.
//!
//! One refresh runs at a time, so a slow one is never mixed with the next. What fails is tried again after a time that doubles (see
//! `schedule`), and meanwhile the last good catalog stays: at the start that is the one that was published last, or, in us-east-1, the
//! one that is built in. [`CatalogSource::status`] says how old each part is and what went wrong.
//!
//! Refreshes that come to the same offerings at the same prices replace the snapshot, whose prices are then newer, but wake nobody.
//!
//! Not here: which offerings EC2 cannot deliver at the moment ([`crate::domain::catalog::unavailable`]); the program applies that to a
//! snapshot when it plans.

mod schedule;
mod status;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{OnceCell, watch};

use super::assembly::Fetched;
use super::error::FetchError;
use super::refresh::{Job, Progress};
use super::session::{Access, Session};
use crate::adapters::files::catalog::{self, CatalogError};
use crate::domain::catalog::Catalog;
use schedule::{Agenda, Part};
pub use status::{Attempts, Failed, Origin, Status, age, minute};

/// How often AWS is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// Between refreshes of everything.
    pub whole: Duration,
    /// Between refreshes of Spot prices.
    pub spot: Duration,
}

impl Periods {
    /// 12 hours and 5 minutes.
    pub const USUAL: Self = Self { whole: Duration::from_hours(12), spot: Duration::from_mins(5) };
}

/// What a source is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The region.
    pub region: String,
    /// How AWS is reached.
    pub access: Access,
    /// Whether there is no way to the Price List.
    pub isolated_vpc: bool,
    /// The folder with a catalog for each region, as `catalog refresh` writes it: where the source starts from, and what it updates.
    pub root: PathBuf,
    /// How often AWS is asked.
    pub periods: Periods,
    /// Of the random part of the times between refreshes, so that several programs do not ask at the same moments.
    pub seed: u64,
}

/// A catalog, and which in the row it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Goes up with every refresh that changed a fact, an offering or a price.
    pub number: u64,
    /// One consistent catalog.
    pub catalog: Catalog,
}

/// A handle on the current catalog. Clones are independent: each waits for changes that it has not seen itself.
#[derive(Clone, Debug)]
pub struct CatalogSource {
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    status: watch::Receiver<Status>,
}

/// A question to AWS.
struct Question {
    part: Part,
    /// The minute of asking, as catalogs write it.
    now: String,
    /// For the whole the last good catalog, for Spot prices what they are put into.
    known: Option<Arc<Snapshot>>,
}

/// Keeps the catalog up to date.
pub struct Refresher {
    settings: Settings,
    /// The built-in catalog: what EC2 does not tell, and where us-east-1 starts.
    tables: Catalog,
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    status: watch::Sender<Status>,
    /// What the last whole refresh had, or the start: Spot prices are put into this, so that a type that has none for a while is not lost.
    base: Option<Arc<Snapshot>>,
    agenda: Agenda,
    clock: fn() -> Timestamp,
}

impl CatalogSource {
    /// A source that starts from the catalog that was published last for the region, or the built-in one.
    ///
    /// A published catalog that cannot be read is no error: the status says so.
    ///
    /// # Errors
    /// When the built-in catalog cannot be read, which no build that passed its tests has.
    pub fn open(settings: Settings) -> Result<(Self, Refresher), CatalogError> {
        let tables = catalog::embedded()?;
        let (start, status) = status::start(&settings.root, &settings.region, &tables);
        let base = start.map(|catalog| Arc::new(Snapshot { number: 0, catalog }));
        let (snapshots, seen) = watch::channel(base.clone());
        let (status, told) = watch::channel(status);
        let refresher = Refresher {
            agenda: Agenda::new(Instant::now(), settings.periods, settings.seed),
            settings,
            tables,
            snapshots,
            status,
            base,
            clock: Timestamp::now,
        };
        Ok((Self { snapshots: seen, status: told }, refresher))
    }

    /// The current catalog; `None` while nothing is known of the region.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Snapshot>> {
        self.snapshots.borrow().clone()
    }

    /// Waits until there is a catalog. `None` when the refresher ended before.
    pub async fn ready(&mut self) -> Option<Arc<Snapshot>> {
        self.snapshots.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Waits for a catalog with other offerings or prices than the last one that this handle waited for. `None` when the refresher ended.
    pub async fn changed(&mut self) -> Option<Arc<Snapshot>> {
        self.snapshots.changed().await.ok()?;
        self.snapshots.borrow_and_update().clone()
    }

    /// Where the catalog comes from, and what went wrong lately.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Waits until a refresh has ended, well or not, that this handle has not waited for. `None` when the refresher ended.
    pub async fn next_status(&mut self) -> Option<Status> {
        self.status.changed().await.ok()?;
        Some(self.status.borrow_and_update().clone())
    }
}

impl Refresher {
    /// Refreshes until every handle is gone, the first time at once. Dropping the future at any moment leaves the published catalog whole.
    pub async fn run(self) {
        let Settings { region, access, isolated_vpc, .. } = self.settings.clone();
        let (session, tables) = (OnceCell::new(), self.tables.clone());
        let aws = Arc::new(Aws { region, access, isolated_vpc, session, tables });
        self.run_with(move |question| {
            let aws = Arc::clone(&aws);
            async move { aws.answer(question).await }
        })
        .await;
    }

    /// [`Self::run`] with the answers of `ask`.
    async fn run_with<Answer>(mut self, ask: impl Fn(Question) -> Answer)
    where
        Answer: Future<Output = Result<Fetched, FetchError>>,
    {
        loop {
            let (part, due) = self.agenda.next(self.base.is_some());
            tokio::select! {
                () = self.snapshots.closed() => return,
                () = tokio::time::sleep_until(due.into()) => {}
            }
            let known = if part == Part::Whole { self.snapshots.borrow().clone() } else { self.base.clone() };
            let question = Question { part, now: minute((self.clock)()), known };
            match ask(question).await {
                Ok(fetched) => self.take(part, fetched).await,
                Err(error) => self.give_up(part, error),
            }
        }
    }

    /// Publishes a catalog, then makes it the current one.
    async fn take(&mut self, part: Part, fetched: Fetched) {
        let published = self.publish(&fetched.catalog).await;
        let before = self.snapshots.borrow().clone();
        let differs = before.as_ref().is_none_or(|before| !is_same(&before.catalog, &fetched.catalog));
        let number = before.map_or(0, |before| before.number + u64::from(differs));
        let snapshot = Arc::new(Snapshot { number, catalog: fetched.catalog });
        self.agenda.succeeded(part, Instant::now());
        if part == Part::Whole {
            self.base = Some(Arc::clone(&snapshot));
        }
        self.status.send_modify(|status| {
            status.parts = Some(snapshot.catalog.provenance.clone());
            status.unpublished = published.err();
            status.spot = Attempts::default();
            if part == Part::Whole {
                status.origin = Some(Origin::Refreshed);
                status.whole = Attempts::default();
                status.notices = fetched.notices;
            }
        });
        self.snapshots.send_if_modified(|current| {
            *current = Some(snapshot);
            differs
        });
    }

    /// Writes the catalog where `catalog refresh` does.
    async fn publish(&self, catalog: &Catalog) -> Result<(), String> {
        let (root, catalog) = (self.settings.root.clone(), catalog.clone());
        // Writing waits for the disk.
        let written = tokio::task::spawn_blocking(move || catalog::publish(&root, &catalog)).await;
        written.map_err(|error| error.to_string())?.map(|_| ()).map_err(|error| error.to_string())
    }

    fn give_up(&mut self, part: Part, error: FetchError) {
        self.agenda.failed(part, Instant::now());
        let at = (self.clock)();
        self.status.send_modify(|status| {
            let attempts = if part == Part::Whole { &mut status.whole } else { &mut status.spot };
            *attempts = Attempts { failures: attempts.failures + 1, last: Some(Failed { at, error }) };
        });
    }
}

/// Whether two catalogs sell the same at the same prices, whenever that was.
fn is_same(a: &Catalog, b: &Catalog) -> bool {
    a.instance_types == b.instance_types && a.ebs_prices == b.ebs_prices
}

/// What answers questions.
struct Aws {
    region: String,
    access: Access,
    isolated_vpc: bool,
    /// Opened by the first question that finds credentials.
    session: OnceCell<Session>,
    tables: Catalog,
}

impl Aws {
    async fn answer(&self, Question { part, now, known }: Question) -> Result<Fetched, FetchError> {
        let session = self.session.get_or_try_init(|| Session::open(&self.access, &self.region)).await?;
        let job = Job::new(session, &self.tables, &self.region, &now, self.isolated_vpc);
        let progress = Progress::new(&self.region, &|_, _| {});
        match (part, known) {
            (Part::Spot, Some(known)) => job.spot_alone(&known.catalog, &progress).await,
            (_, known) => job.whole(known.as_ref().map(|known| &known.catalog), &progress).await,
        }
    }
}
