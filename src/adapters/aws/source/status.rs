//! What a program can show of its catalog: where it comes from, how old its parts are, and what went wrong.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::adapters::aws::error::FetchError;
use crate::adapters::files::catalog;
use crate::domain::catalog::{Catalog, Provenance, Source};

/// Where the facts and On-Demand prices of the current catalog come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// They are built in.
    Embedded,
    /// An earlier program published them.
    Published,
    /// This program asked AWS.
    Refreshed,
}

/// How refreshes of one part went since the last that went well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// How many failed; 0 when the last one went well, or there was none.
    pub failures: u32,
    /// The last failure of them.
    pub last: Option<Failed>,
}

/// A refresh that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// When.
    pub at: Timestamp,
    /// Why, and what to do about it.
    pub error: FetchError,
}

/// The state of a [`CatalogSource`](super::CatalogSource).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `None` while nothing is known of the region.
    pub origin: Option<Origin>,
    /// Who says what, and as of when; [`age`] turns that into a time span. `None` as above.
    pub parts: Option<Provenance>,
    /// Refreshes of everything.
    pub whole: Attempts,
    /// Refreshes of Spot prices alone.
    pub spot: Attempts,
    /// Why the published catalog of the start could not be read.
    pub unread: Option<String>,
    /// Why the current catalog could not be published.
    pub unpublished: Option<String>,
    /// What the last whole refresh left out or took from elsewhere, and why.
    pub notices: Vec<String>,
}

/// The minute as catalogs write it: `2026-07-20T13:05Z`.
#[must_use]
pub fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%MZ").to_string()
}

/// How old a part is; that of a day counts from its start in UTC. Zero for the future, `None` for what is no time.
#[must_use]
pub fn age(source: &Source, now: Timestamp) -> Option<Duration> {
    let whole = if source.as_of.contains('T') { source.as_of.clone() } else { format!("{}T00:00Z", source.as_of) };
    let at: Timestamp = whole.parse().ok()?;
    Some(now.duration_since(at).try_into().unwrap_or(Duration::ZERO))
}

/// The catalog that a source begins with, and what there is to say about it.
pub(super) fn start(root: &Path, region: &str, built_in: &Catalog) -> (Option<Catalog>, Status) {
    let folder = root.join(region);
    let mut status = Status::default();
    let mut found = None;
    if folder.symlink_metadata().is_ok() {
        match catalog::read(&folder) {
            Ok(catalog) if catalog.region == region => found = Some((catalog, Origin::Published)),
            Ok(catalog) => status.unread = Some(format!("`{}` is the catalog of {}", folder.display(), catalog.region)),
            Err(error) => status.unread = Some(error.to_string()),
        }
    }
    let built_in = (built_in.region == region).then(|| (built_in.clone(), Origin::Embedded));
    let Some((catalog, origin)) = found.or(built_in) else { return (None, status) };
    (status.origin, status.parts) = (Some(origin), Some(catalog.provenance.clone()));
    (Some(catalog), status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_count_from_the_minute_or_the_day() {
        let now: Timestamp = "2026-11-25T12:00:30Z".parse().expect("a time");
        assert_eq!(minute(now), "2026-11-25T12:00Z");
        let of = |as_of: &str| age(&Source { origin: "a test".to_owned(), as_of: as_of.to_owned() }, now);
        assert_eq!(of("2026-11-25T11:59Z"), Some(Duration::from_secs(90)));
        assert_eq!(of("2026-11-24"), Some(Duration::from_hours(36) + Duration::from_secs(30)));
        assert_eq!(of("2026-11-26"), Some(Duration::ZERO));
        assert_eq!(of("yesterday"), None);
    }
}
