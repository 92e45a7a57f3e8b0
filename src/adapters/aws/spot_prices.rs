//! DescribeSpotPriceHistory: the Spot price of each type in each zone, as it is now.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_sdk_ec2::operation::describe_spot_price_history::DescribeSpotPriceHistoryOutput;
use aws_sdk_ec2::primitives::DateTime;

use super::error::FetchError;
use super::refresh::Progress;
use super::session::Session;
use crate::domain::money::UsdPerHour;

pub(super) const CALL: &str = "DescribeSpotPriceHistory";
/// The most that EC2 puts on a page.
const PAGE: i32 = 1000;
/// Linux, under the names that EC2 has for it: the second one in accounts that still know EC2-Classic.
const PRODUCTS: [&str; 2] = ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"];

/// Asks for the prices of every type in one zone.
pub(super) async fn fetch(
    session: &Session,
    region: &str,
    zone: &str,
    progress: &Progress<'_>,
) -> Result<BTreeMap<String, UsdPerHour>, FetchError> {
    // From now on: what EC2 answers then is the price in force.
    let now = DateTime::from(SystemTime::now());
    let mut request = session.ec2(region).describe_spot_price_history().availability_zone(zone).start_time(now);
    for product in PRODUCTS {
        request = request.product_descriptions(product);
    }
    let pages = request.into_paginator().page_size(PAGE).send();
    let mut latest = Latest::default();
    let take = |page: DescribeSpotPriceHistoryOutput| {
        progress.page(CALL, page.spot_price_history().len());
        for record in page.spot_price_history() {
            let price = record.spot_price().and_then(UsdPerHour::parse_rounded).filter(|price| *price > UsdPerHour::ZERO);
            if let (Some(name), Some(price), Some(since)) = (record.instance_type(), price, record.timestamp()) {
                latest.take(name.as_str(), price, (since.secs(), since.subsec_nanos()));
            }
        }
    };
    session.each_page(region, CALL, pages, take).await?;
    progress.done(CALL);
    Ok(latest.prices())
}

/// The price of each type that has been in force for the shortest time.
#[derive(Default)]
struct Latest {
    by_type: BTreeMap<String, (Since, UsdPerHour)>,
}

/// Seconds since 1970, and nanoseconds.
type Since = (i64, u32);

impl Latest {
    /// Of two prices since the same moment the dearer counts: better to be surprised by a bargain.
    fn take(&mut self, name: &str, price: UsdPerHour, since: Since) {
        let newer = (since, price);
        match self.by_type.get_mut(name) {
            Some(known) => *known = (*known).max(newer),
            None => {
                self.by_type.insert(name.to_owned(), newer);
            }
        }
    }

    fn prices(self) -> BTreeMap<String, UsdPerHour> {
        self.by_type.into_iter().map(|(name, (_, price))| (name, price)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_price_counts_and_of_two_at_once_the_dearer() {
        let mut latest = Latest::default();
        for (name, price, since) in
            [("a", 30, (7, 0)), ("a", 10, (9, 0)), ("a", 20, (8, 0)), ("b", 10, (9, 0)), ("b", 20, (9, 0)), ("b", 30, (8, 9))]
        {
            latest.take(name, UsdPerHour::from_micros(price), since);
        }
        let expected = [("a", 10), ("b", 20)].map(|(name, price)| (name.to_owned(), UsdPerHour::from_micros(price)));
        assert_eq!(latest.prices(), BTreeMap::from(expected));
    }
}
