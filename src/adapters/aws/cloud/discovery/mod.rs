//! What an EC2NodeClass stands for: the subnets, security groups, images, instance profile, reservations and placement group that its
//! selectors find, the control plane that nodes join, and whether the controller may launch with them.
//!
//! Every answer is kept for a while (the times are those of the AWS provider of Karpenter v1.15.1), by the selectors that asked: two
//! NodeClasses with the same terms ask once.

mod authorization;
mod capacity_reservations;
mod control_plane;
mod error;
mod images;
mod instance_profiles;
mod placement_groups;
mod security_groups;
mod subnets;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::Filter;
use aws_smithy_async::future::pagination_stream::PaginationStream;
use serde::Serialize;

pub use authorization::{LaunchProbe, Refusal, RefusalReason};
pub use capacity_reservations::CapacityReservation;
pub use control_plane::ControlPlane;
pub use error::DiscoveryError;
pub use images::{Image, unsupported_alias};
pub use instance_profiles::{ManagedProfile, ProfileError, ProfileOwner};
pub use placement_groups::PlacementGroup;
pub use security_groups::SecurityGroup;
pub use subnets::Subnet;

use crate::adapters::aws::cloud::cache::Cache;

/// How long answers that only say what is there are kept.
const DEFAULT_KEEP: Duration = Duration::from_mins(1);

/// How long what the selectors found is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshIntervals {
    /// Images, `AMI_REFRESH_INTERVAL`.
    pub images: Duration,
    /// Subnets, `SUBNET_REFRESH_INTERVAL`.
    pub subnets: Duration,
    /// Security groups, `SECURITY_GROUP_REFRESH_INTERVAL`.
    pub security_groups: Duration,
}

impl Default for RefreshIntervals {
    fn default() -> Self {
        Self { images: DEFAULT_KEEP, subnets: DEFAULT_KEEP, security_groups: DEFAULT_KEEP }
    }
}

/// What is remembered between calls.
#[derive(Debug, Default)]
pub(super) struct Memory {
    intervals: RefreshIntervals,
    subnets: Cache<Vec<Subnet>>,
    security_groups: Cache<Vec<SecurityGroup>>,
    images: Cache<Vec<Image>>,
    parameters: Cache<Option<String>>,
    capacity_reservations: Cache<Vec<CapacityReservation>>,
    placement_groups: Cache<Option<PlacementGroup>>,
    /// The roles of instance profiles.
    profile_roles: Cache<Vec<String>>,
    missing_roles: Cache<()>,
}

impl Memory {
    pub(super) fn new(intervals: RefreshIntervals) -> Self {
        Self { intervals, ..Self::default() }
    }
}

/// The text by which an answer to `question` is remembered.
fn key<T: Serialize + ?Sized>(question: &T) -> String {
    serde_json::to_string(question).expect("selector terms are maps with text keys, which JSON can hold")
}

fn filter(name: &str, values: impl IntoIterator<Item = String>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().collect())).build()
}

/// One filter per tag; `*` asks for the key alone.
fn tag_filters(tags: Option<&BTreeMap<String, String>>) -> Vec<Filter> {
    let one = |(key, value): (&String, &String)| match value.as_str() {
        "*" => filter("tag-key", [key.clone()]),
        _ => filter(&format!("tag:{key}"), [value.clone()]),
    };
    tags.into_iter().flatten().map(one).collect()
}

/// Hands every page of an answer to `take`.
async fn each_page<P, E>(
    region: &str,
    action: &'static str,
    mut pages: PaginationStream<Result<P, SdkError<E>>>,
    mut take: impl FnMut(P),
) -> Result<(), DiscoveryError>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    while let Some(page) = pages.next().await {
        take(page.map_err(|error| DiscoveryError::from_sdk(region, action, &error))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_asks_for_the_key_of_a_tag_alone() {
        let tags = BTreeMap::from([("a".to_owned(), "*".to_owned()), ("b".to_owned(), "c".to_owned())]);
        let filters = tag_filters(Some(&tags));
        let shown: Vec<(Option<&str>, &[String])> = filters.iter().map(|one| (one.name(), one.values())).collect();
        assert_eq!(shown, [(Some("tag-key"), &["a".to_owned()][..]), (Some("tag:b"), &["c".to_owned()][..])]);
        assert!(tag_filters(None).is_empty());
    }
}
