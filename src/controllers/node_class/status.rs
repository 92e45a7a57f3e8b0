//! From what the selectors of a NodeClass found to its status.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::adapters::aws::cloud::discovery::{
    CapacityReservation, DiscoveryError, Image, PlacementGroup, ProfileError, SecurityGroup, Subnet, unsupported_alias,
};
use crate::adapters::kube::conditions::{ConditionStatus, Conditioned as _, Conditions};
use crate::adapters::kube::crd::{
    AmiStatus, CapacityReservationStatus, EC2NodeClass, EC2NodeClassStatus, SecurityGroupStatus, SubnetStatus,
};

pub(super) const AMIS_READY: &str = "AMIsReady";
pub(super) const RESERVATIONS_READY: &str = "CapacityReservationsReady";
pub(super) const PROFILE_READY: &str = "InstanceProfileReady";
pub(super) const PLACEMENT_GROUP_READY: &str = "PlacementGroupReady";
pub(super) const SECURITY_GROUPS_READY: &str = "SecurityGroupsReady";
pub(super) const SUBNETS_READY: &str = "SubnetsReady";
pub(super) const VALIDATION_SUCCEEDED: &str = "ValidationSucceeded";

/// Reason of a condition about which nobody could be asked.
const UNANSWERED: &str = "DiscoveryFailed";
/// When nobody could be asked, it is tried again after this time.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// When something is missing or changes often: what the AWS provider of Karpenter v1.15.1 waits.
const SOON: Duration = Duration::from_mins(1);
/// Where what was found seldom changes.
const LATER: Duration = Duration::from_mins(5);
/// A capacity block takes no new instances this long before it ends.
const BLOCK_CLOSES: Duration = Duration::from_mins(40);

/// What the selectors found, each with what came in the way.
#[derive(Clone, Debug)]
pub(super) struct Findings {
    pub(super) images: Result<Vec<Image>, DiscoveryError>,
    pub(super) capacity_reservations: Result<Vec<CapacityReservation>, DiscoveryError>,
    /// `None` where the selector found nothing, or there is none.
    pub(super) placement_group: Result<Option<PlacementGroup>, DiscoveryError>,
    pub(super) subnets: Result<Vec<Subnet>, DiscoveryError>,
    pub(super) security_groups: Result<Vec<SecurityGroup>, DiscoveryError>,
    /// The profile of new instances.
    pub(super) instance_profile: Result<String, ProfileError>,
}

/// A status in the making.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Progress {
    /// All but the conditions.
    pub(super) status: EC2NodeClassStatus,
    pub(super) conditions: Conditions,
    /// After this time the class is worth another look.
    pub(super) look_again: Duration,
}

impl Progress {
    /// The status as it is stored.
    pub(super) fn finished(self) -> EC2NodeClassStatus {
        EC2NodeClassStatus { conditions: Some(self.conditions.into_list()), ..self.status }
    }

    fn within(&mut self, time: Duration) {
        self.look_again = self.look_again.min(time);
    }

    /// Nobody could be asked. What is known of this generation of the object goes on counting: nothing has shown that it is wrong.
    fn unanswered(&mut self, condition: &str, error: &dyn std::error::Error, generation: Option<i64>, now: Timestamp) {
        self.within(AFTER_FAILURE);
        let known = self.conditions.get(condition);
        if !known.is_some_and(|known| known.status == "True" && known.observed_generation == generation) {
            self.conditions.set(condition, ConditionStatus::Unknown, UNANSWERED, &error.to_string(), now);
        }
    }

    fn missing(&mut self, condition: &str, reason: &str, message: &str, now: Timestamp) {
        self.within(SOON);
        self.conditions.set(condition, ConditionStatus::False, reason, message, now);
    }
}

/// The status of `class` after these findings, all but `ValidationSucceeded`.
pub(super) fn resolve(class: &EC2NodeClass, findings: &Findings, kubernetes_version: &str, now: Timestamp) -> Progress {
    let mut progress =
        Progress { status: class.status.clone().unwrap_or_default(), conditions: class.conditions(now), look_again: LATER };
    images(&mut progress, class, &findings.images, kubernetes_version, now);
    capacity_reservations(&mut progress, class, &findings.capacity_reservations, now);
    placement_group(&mut progress, class, &findings.placement_group, now);
    subnets(&mut progress, class, &findings.subnets, now);
    security_groups(&mut progress, class, &findings.security_groups, now);
    instance_profile(&mut progress, class, &findings.instance_profile, now);
    progress
}

fn images(
    progress: &mut Progress,
    class: &EC2NodeClass,
    found: &Result<Vec<Image>, DiscoveryError>,
    kubernetes_version: &str,
    now: Timestamp,
) {
    let mut aliases = class.spec.ami_selector_terms.iter().filter_map(|term| term.alias.as_deref());
    if let Some(message) = aliases.find_map(|alias| unsupported_alias(alias, kubernetes_version)) {
        progress.status.amis = None;
        return progress.missing(AMIS_READY, "UnsupportedAlias", &message, now);
    }
    match found {
        Err(error) => progress.unanswered(AMIS_READY, error, class.metadata.generation, now),
        Ok(found) if found.is_empty() => {
            progress.status.amis = None;
            let message = format!(
                "no image for Kubernetes {kubernetes_version} matches spec.amiSelectorTerms; check version, ids, names, tags and owners, \
                 and that parameters exist in the region"
            );
            progress.missing(AMIS_READY, "AMINotFound", &message, now);
        }
        Ok(found) => {
            let one = |image: &Image| AmiStatus {
                id: image.id.clone(),
                name: image.name.clone(),
                deprecated: image.deprecated.then_some(true),
                requirements: image.requirements.clone(),
            };
            progress.status.amis = Some(found.iter().map(one).collect());
            progress.conditions.set_true(AMIS_READY, now);
        }
    }
}

fn capacity_reservations(
    progress: &mut Progress,
    class: &EC2NodeClass,
    found: &Result<Vec<CapacityReservation>, DiscoveryError>,
    now: Timestamp,
) {
    let found = match found {
        Err(error) => return progress.unanswered(RESERVATIONS_READY, error, class.metadata.generation, now),
        Ok(found) => found,
    };
    let mut listed = Vec::new();
    for reservation in found {
        let is_block = reservation.reservation_type == "capacity-block";
        // What changes next: a block closes before it ends.
        let closes = reservation.end.map(|end| if is_block { end - BLOCK_CLOSES } else { end });
        let expiring = is_block && closes.is_some_and(|closes| closes <= now);
        for event in [closes, reservation.end].into_iter().flatten().filter(|event| *event > now) {
            progress.within(now.duration_until(event).unsigned_abs());
        }
        listed.push(CapacityReservationStatus {
            availability_zone: reservation.zone.clone(),
            end_time: reservation.end.map(Time),
            id: reservation.id.clone(),
            instance_match_criteria: reservation.match_criteria.clone(),
            instance_type: reservation.instance_type.clone(),
            owner_id: reservation.owner.clone(),
            reservation_type: Some(reservation.reservation_type.clone()),
            interruptible: reservation.interruptible.then_some(true),
            state: Some(if expiring { "expiring" } else { "active" }.to_owned()),
        });
    }
    if class.spec.capacity_reservation_selector_terms.as_ref().is_some_and(|terms| !terms.is_empty()) {
        progress.within(SOON);
    }
    progress.status.capacity_reservations = (!listed.is_empty()).then_some(listed);
    // None is no fault: instances are bought otherwise.
    progress.conditions.set_true(RESERVATIONS_READY, now);
}

fn placement_group(
    progress: &mut Progress,
    class: &EC2NodeClass,
    found: &Result<Option<PlacementGroup>, DiscoveryError>,
    now: Timestamp,
) {
    let Some(selector) = &class.spec.placement_group_selector else {
        return progress.conditions.set_true(PLACEMENT_GROUP_READY, now);
    };
    match found {
        Err(error) => {
            progress.within(AFTER_FAILURE);
            let reason = "PlacementGroupResolutionFailed";
            progress.conditions.set(PLACEMENT_GROUP_READY, ConditionStatus::False, reason, &error.to_string(), now);
        }
        Ok(Some(_)) => progress.conditions.set_true(PLACEMENT_GROUP_READY, now),
        Ok(None) => {
            let named = selector.name.as_ref().or(selector.id.as_ref()).map_or("", String::as_str);
            let message = format!(
                "there is no available placement group `{named}`; create it in the region, or change spec.placementGroupSelector"
            );
            progress.missing(PLACEMENT_GROUP_READY, "PlacementGroupNotFound", &message, now);
        }
    }
}

fn subnets(progress: &mut Progress, class: &EC2NodeClass, found: &Result<Vec<Subnet>, DiscoveryError>, now: Timestamp) {
    // Their free addresses change with every node.
    progress.within(SOON);
    match found {
        Err(error) => progress.unanswered(SUBNETS_READY, error, class.metadata.generation, now),
        Ok(found) if found.is_empty() => {
            progress.status.subnets = None;
            let message = "no subnet matches spec.subnetSelectorTerms; tag the subnets of the cluster, or change the terms";
            progress.missing(SUBNETS_READY, "SubnetsNotFound", message, now);
        }
        Ok(found) => {
            let one = |subnet: &Subnet| SubnetStatus {
                id: subnet.id.clone(),
                zone: subnet.zone.clone(),
                zone_id: subnet.zone_id.clone(),
            };
            progress.status.subnets = Some(found.iter().map(one).collect());
            progress.conditions.set_true(SUBNETS_READY, now);
        }
    }
}

fn security_groups(
    progress: &mut Progress,
    class: &EC2NodeClass,
    found: &Result<Vec<SecurityGroup>, DiscoveryError>,
    now: Timestamp,
) {
    match found {
        Err(error) => progress.unanswered(SECURITY_GROUPS_READY, error, class.metadata.generation, now),
        Ok(found) if found.is_empty() => {
            progress.status.security_groups = None;
            let message =
                "no security group matches spec.securityGroupSelectorTerms; tag the groups of the cluster, or change the terms";
            progress.missing(SECURITY_GROUPS_READY, "SecurityGroupsNotFound", message, now);
        }
        Ok(found) => {
            let one = |group: &SecurityGroup| SecurityGroupStatus { id: group.id.clone(), name: group.name.clone() };
            progress.status.security_groups = Some(found.iter().map(one).collect());
            progress.conditions.set_true(SECURITY_GROUPS_READY, now);
        }
    }
}

fn instance_profile(progress: &mut Progress, class: &EC2NodeClass, found: &Result<String, ProfileError>, now: Timestamp) {
    match found {
        Ok(name) => {
            progress.status.instance_profile = Some(name.clone());
            progress.conditions.set_true(PROFILE_READY, now);
        }
        Err(error @ ProfileError::RoleNotFound(_)) => progress.missing(PROFILE_READY, "RoleNotFound", &error.to_string(), now),
        Err(error @ ProfileError::Unnamed) => progress.missing(PROFILE_READY, "InstanceProfileNotFound", &error.to_string(), now),
        Err(ProfileError::Call(error)) => progress.unanswered(PROFILE_READY, error, class.metadata.generation, now),
    }
}
