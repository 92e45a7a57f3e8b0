//! DescribeInstanceTypeOfferings: which type is sold in which zone.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::LocationType;

use super::error::{FetchError, Problem};
use super::refresh::Progress;
use super::session::Session;

const CALL: &str = "DescribeInstanceTypeOfferings";
/// The most that EC2 puts on a page.
const PAGE: i32 = 1000;

/// Zones by type.
pub(super) type Zones = BTreeMap<String, BTreeSet<String>>;

/// Asks for the zones of every type.
pub(super) async fn fetch(session: &Session, region: &str, progress: &Progress<'_>) -> Result<Zones, FetchError> {
    let pages = session
        .ec2(region)
        .describe_instance_type_offerings()
        .location_type(LocationType::AvailabilityZone)
        .into_paginator()
        .page_size(PAGE)
        .send();
    let mut zones = Zones::new();
    let take = |page: aws_sdk_ec2::operation::describe_instance_type_offerings::DescribeInstanceTypeOfferingsOutput| {
        progress.page(CALL, page.instance_type_offerings().len());
        for offering in page.instance_type_offerings.into_iter().flatten() {
            if let (Some(name), Some(zone)) = (offering.instance_type, offering.location) {
                zones.entry(name.as_str().to_owned()).or_default().insert(zone);
            }
        }
    };
    session.each_page(region, CALL, pages, take).await?;
    progress.done(CALL);
    if zones.is_empty() {
        return Err(FetchError::new(region, CALL, Problem::Empty, "no type is sold in any zone"));
    }
    Ok(zones)
}
