//! What can be bought now: the catalog, less what EC2 could not deliver lately.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::adapters::aws::{CatalogSource, Snapshot};
use crate::domain::catalog::Catalog;
use crate::domain::catalog::unavailable::{Scope, Unavailable, UnavailableOfferings};
use crate::domain::instance_settings::InstanceSettings;

/// Where the catalog comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// Files: it never changes.
    Fixed(Arc<Snapshot>),
    /// AWS.
    Live(CatalogSource),
}

/// The catalog as the controllers see it.
#[derive(Debug)]
pub(crate) struct Prices {
    origin: Origin,
    /// What is known of instances besides.
    pub(crate) settings: InstanceSettings,
    began: Instant,
    unavailable: Mutex<UnavailableOfferings>,
    view: Mutex<Option<View>>,
}

/// The last view, and what it was made of.
#[derive(Debug)]
struct View {
    whole: Arc<Snapshot>,
    missing: Unavailable,
    made: Arc<Catalog>,
}

impl Prices {
    pub(crate) fn new(origin: Origin, settings: InstanceSettings) -> Self {
        Self { origin, settings, began: Instant::now(), unavailable: Mutex::default(), view: Mutex::default() }
    }

    /// The catalog in which what cannot be had is marked so; `None` while nothing is known of the region.
    pub(crate) fn catalog(&self) -> Option<Arc<Catalog>> {
        let whole = match &self.origin {
            Origin::Fixed(snapshot) => Arc::clone(snapshot),
            Origin::Live(source) => source.current()?,
        };
        let missing = self.unavailable();
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = view.as_ref()
            && known.missing == missing
            // A snapshot is replaced as a whole, and this one is held, so its address tells it from every other.
            && Arc::ptr_eq(&known.whole, &whole)
        {
            return Some(Arc::clone(&known.made));
        }
        let made = Arc::new(missing.applied_to(&whole.catalog));
        *view = Some(View { whole, missing, made: Arc::clone(&made) });
        Some(made)
    }

    /// What cannot be had now.
    pub(crate) fn unavailable(&self) -> Unavailable {
        self.unavailable.lock().unwrap_or_else(PoisonError::into_inner).view(self.began.elapsed())
    }

    /// What EC2 could not deliver.
    pub(crate) fn failed(&self, scopes: impl IntoIterator<Item = Scope>) {
        let now = self.began.elapsed();
        let mut unavailable = self.unavailable.lock().unwrap_or_else(PoisonError::into_inner);
        scopes.into_iter().for_each(|scope| unavailable.failed(scope, now));
    }

    /// What EC2 delivered.
    pub(crate) fn succeeded(&self, scope: &Scope) {
        let now = self.began.elapsed();
        self.unavailable.lock().unwrap_or_else(PoisonError::into_inner).succeeded(scope, now);
    }
}
