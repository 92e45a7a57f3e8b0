//! Instances that exist: found, described and ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ec2::types::{CapacityReservationPreference, Filter};
use k8s_openapi::jiff::Timestamp;

use crate::adapters::aws::cloud::Cloud;
use crate::adapters::aws::cloud::batcher::{Batcher, Windows};
use crate::adapters::aws::cloud::call_error::CallError;
use crate::adapters::aws::cloud::rate_limit::RateLimits;
use crate::adapters::aws::cloud::tags;
use crate::domain::catalog::CapacityType;
use crate::domain::labels;

/// States of instances that still cost something or can come back; what is `terminated` is gone.
const LIVE: [&str; 5] = ["pending", "running", "shutting-down", "stopped", "stopping"];
/// Instances on a page, at most.
const PAGE: i32 = 1000;
/// Questions for single instances: Karpenter's windows, and as many ids as a filter takes (EC2 API Reference, DescribeInstances).
const DESCRIBING: Windows = Windows { idle: Duration::from_millis(100), longest: Duration::from_secs(1), most: 200 };
/// Karpenter's.
const TERMINATING: Windows = Windows { idle: Duration::from_millis(100), longest: Duration::from_secs(1), most: 500 };

/// Asks for instances by their ids.
pub(super) type Describing = Batcher<String, Result<Option<Instance>, CallError>>;
/// Ends instances by their ids; `false` is that there is none.
pub(super) type Terminating = Batcher<String, Result<bool, CallError>>;

/// An instance of EC2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// `i-...`.
    pub id: String,
    /// `aws:///<zone>/<id>`, by which Kubernetes knows it.
    pub provider_id: String,
    /// `m7i.large`.
    pub instance_type: String,
    /// Zone name.
    pub zone: String,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// `pending`, `running`, `shutting-down`, `stopped`, `stopping` or `terminated`.
    pub state: String,
    /// When it was launched.
    pub launched: Timestamp,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// `ami-...`.
    pub image_id: String,
    /// `ip-10-0-0-1.ec2.internal`; empty at first.
    pub private_dns_name: String,
    /// `subnet-...`.
    pub subnet_id: String,
    /// `sg-...`, sorted.
    pub security_groups: Vec<String>,
    /// The capacity reservation that it is taken from.
    pub reservation: Option<String>,
}

impl Instance {
    /// The UID of the NodeClaim that it was bought for.
    #[must_use]
    pub fn claim_uid(&self) -> Option<&str> {
        self.tags.get(tags::CLAIM_UID).map(String::as_str)
    }

    /// The name of that NodeClaim.
    #[must_use]
    pub fn claim_name(&self) -> Option<&str> {
        self.tags.get(tags::CLAIM).map(String::as_str)
    }

    fn from_ec2(instance: &aws_sdk_ec2::types::Instance) -> Option<Self> {
        let id = instance.instance_id()?.to_owned();
        let zone = instance.placement().and_then(|placement| placement.availability_zone()).unwrap_or_default().to_owned();
        let launched = instance.launch_time().and_then(|time| Timestamp::new(time.secs(), 0).ok()).unwrap_or_default();
        let tags = instance.tags().iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned())));
        let mut security_groups: Vec<String> =
            instance.security_groups().iter().filter_map(|group| group.group_id().map(str::to_owned)).collect();
        security_groups.sort();
        Some(Self {
            provider_id: format!("aws:///{zone}/{id}"),
            id,
            zone,
            instance_type: instance.instance_type().map(|name| name.as_str().to_owned()).unwrap_or_default(),
            capacity_type: capacity_type(instance),
            state: instance.state().and_then(|state| state.name()).map(|name| name.as_str().to_owned()).unwrap_or_default(),
            launched,
            tags: tags.collect(),
            image_id: instance.image_id().unwrap_or_default().to_owned(),
            private_dns_name: instance.private_dns_name().unwrap_or_default().to_owned(),
            subnet_id: instance.subnet_id().unwrap_or_default().to_owned(),
            security_groups,
            reservation: instance.capacity_reservation_id().map(str::to_owned),
        })
    }
}

/// As Karpenter tells it: by the Spot request, or by the wish for a reservation and no other.
fn capacity_type(instance: &aws_sdk_ec2::types::Instance) -> CapacityType {
    let only_reserved = instance
        .capacity_reservation_specification()
        .and_then(|of| of.capacity_reservation_preference())
        .is_some_and(|preference| *preference == CapacityReservationPreference::CapacityReservationsOnly);
    if instance.spot_instance_request_id().is_some() {
        CapacityType::Spot
    } else if instance.capacity_reservation_id().is_some() && only_reserved {
        CapacityType::Reserved
    } else {
        CapacityType::OnDemand
    }
}

/// Asks for many instances at once.
pub(super) fn describing(client: &aws_sdk_ec2::Client) -> Describing {
    let client = client.clone();
    Batcher::start(DESCRIBING, move |ids: Vec<String>| {
        let client = client.clone();
        async move {
            // A filter, because one unknown id would fail the call for all others.
            let found = list(&client, vec![filter("instance-id", &ids), filter("instance-state-name", &LIVE)]).await;
            let by_id = found.map(|list| list.into_iter().map(|one| (one.id.clone(), one)).collect::<BTreeMap<_, _>>());
            ids.iter().map(|id| by_id.as_ref().map(|by_id| by_id.get(id).cloned()).map_err(Clone::clone)).collect()
        }
    })
}

/// Ends many instances at once.
pub(super) fn terminating(client: &aws_sdk_ec2::Client, limits: &Arc<RateLimits>) -> Terminating {
    let (client, limits) = (client.clone(), Arc::clone(limits));
    Batcher::start(TERMINATING, move |ids: Vec<String>| {
        let (client, limits) = (client.clone(), Arc::clone(&limits));
        async move {
            let ended = terminate(&client, &limits, &ids).await.unwrap_or_default();
            // Whatever did not work for all is tried for each: one unknown id fails the call for all others.
            let each = ids.iter().map(|id| async {
                if ended.contains(id) {
                    return Ok(true);
                }
                match terminate(&client, &limits, std::slice::from_ref(id)).await {
                    Ok(ended) => Ok(ended.contains(id)),
                    Err(error) if error.is_not_found() => Ok(false),
                    Err(error) => Err(error),
                }
            });
            futures_util::future::join_all(each).await
        }
    })
}

/// Those of `ids` that are on their way down.
async fn terminate(client: &aws_sdk_ec2::Client, limits: &RateLimits, ids: &[String]) -> Result<Vec<String>, CallError> {
    limits.terminate_instances.take().await;
    let answer = client.terminate_instances().set_instance_ids(Some(ids.to_vec())).send().await;
    let answer = answer.map_err(|error| CallError::new("TerminateInstances", &error))?;
    let going = answer.terminating_instances().iter().filter(|change| {
        let state = change.current_state().and_then(|state| state.name()).map_or("", |name| name.as_str());
        matches!(state, "shutting-down" | "terminated")
    });
    Ok(going.filter_map(|change| change.instance_id().map(str::to_owned)).collect())
}

fn filter<S: AsRef<str>>(name: &str, values: &[S]) -> Filter {
    let values = values.iter().map(|value| value.as_ref().to_owned()).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// All instances that match, by id.
async fn list(client: &aws_sdk_ec2::Client, filters: Vec<Filter>) -> Result<Vec<Instance>, CallError> {
    let mut pages = client.describe_instances().set_filters(Some(filters)).into_paginator().page_size(PAGE).items().send();
    let mut found = Vec::new();
    while let Some(reservation) = pages.next().await {
        let reservation = reservation.map_err(|error| CallError::new("DescribeInstances", &error))?;
        found.extend(reservation.instances().iter().filter_map(Instance::from_ec2));
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

impl Cloud {
    /// Every instance that was bought for a node of `cluster` and is not gone, by id.
    ///
    /// # Errors
    /// When EC2 cannot be asked.
    pub async fn list_owned(&self, cluster: &str) -> Result<Vec<Instance>, CallError> {
        let owned = vec![
            filter("tag-key", &[labels::NODE_POOL]),
            filter("tag-key", &[labels::NODE_CLASS]),
            filter(&format!("tag:{}", tags::CLUSTER), &[cluster]),
            filter("instance-state-name", &LIVE),
        ];
        list(&self.ec2, owned).await
    }

    /// The instances that were bought for the NodeClaim with that UID and are not gone; more than one only where something went wrong.
    ///
    /// # Errors
    /// When EC2 cannot be asked.
    pub async fn find_by_claim(&self, uid: &str) -> Result<Vec<Instance>, CallError> {
        list(&self.ec2, vec![filter(&format!("tag:{}", tags::CLAIM_UID), &[uid]), filter("instance-state-name", &LIVE)]).await
    }

    /// The instance with that id; `None` where it is gone. Whoever asks at about the same time shares a call.
    ///
    /// # Errors
    /// When EC2 cannot be asked.
    pub async fn get(&self, id: &str) -> Result<Option<Instance>, CallError> {
        let answer = self.shared.describing.ask(id.to_owned()).await;
        answer.unwrap_or_else(|| Err(CallError::interrupted("DescribeInstances")))
    }

    /// Ends the instance with that id: `true` once it is on its way down, `false` where there is none, or where EC2 did not begin to end
    /// it. Whoever asks at about the same time shares a call.
    ///
    /// # Errors
    /// When EC2 refuses.
    pub async fn terminate(&self, id: &str) -> Result<bool, CallError> {
        let answer = self.shared.terminating.ask(id.to_owned()).await;
        answer.unwrap_or_else(|| Err(CallError::interrupted("TerminateInstances")))
    }

    /// Gives the instance more tags.
    ///
    /// # Errors
    /// When EC2 refuses.
    pub async fn tag(&self, id: &str, tags: &BTreeMap<String, String>) -> Result<(), CallError> {
        self.shared.limits.create_tags.take().await;
        let call = self.ec2.create_tags().resources(id).set_tags(Some(tags::for_ec2(tags)));
        call.send().await.map(|_| ()).map_err(|error| CallError::new("CreateTags", &error))
    }
}
