//! How old a catalog is, today.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use crate::domain::catalog::{Catalog, Source};

/// Spot prices of more days are said to be old with every plan; a refresh takes seconds.
const OLD_DAYS: i64 = 7;

/// Days from the day of `source` to today, in UTC. 0 for what is no day, which no catalog that was read has, and for the future.
pub(super) fn days_old(source: &Source) -> i64 {
    days_between(&source.as_of, Offset::UTC.to_datetime(Timestamp::now()).date())
}

/// What to say of observed prices that are old; `None` when they are not, or when they are estimates anyway.
pub(in crate::cli) fn old_prices(catalog: &Catalog) -> Option<String> {
    let (on_demand, spot) = (days_old(&catalog.provenance.on_demand), days_old(&catalog.provenance.spot));
    (on_demand.max(spot) > OLD_DAYS).then(|| {
        let region = &catalog.region;
        format!(
            "the On-Demand prices of {region} are {on_demand} days old, the Spot prices {spot}; `supercargo catalog refresh --region \
             {region}` gets those of today"
        )
    })
}

fn days_between(as_of: &str, today: Date) -> i64 {
    let day = as_of.get(..10).and_then(|day| day.parse::<Date>().ok());
    day.and_then(|day| day.until(today).ok()).map_or(0, |span| i64::from(span.get_days()).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_counted_in_whole_days() {
        let today = jiff::civil::date(2026, 11, 25);
        let cases = [
            ("2026-11-25", 0),
            ("2026-11-24T23:59Z", 1),
            ("2026-07-20", 128),
            ("2025-11-25", 365),
            ("2026-12-01", 0),
            ("yesterday", 0),
        ];
        for (as_of, expected) in cases {
            assert_eq!(days_between(as_of, today), expected, "{as_of}");
        }
    }
}
