//! Capacity reservations by id, tags, owner or matching.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Filter, InstanceMatchCriteria};
use k8s_openapi::jiff::Timestamp;

use super::{DEFAULT_KEEP, DiscoveryError, each_page, filter, key, tag_filters};
use crate::adapters::aws::cloud::Cloud;
use crate::adapters::kube::crd::CapacityReservationSelectorTerm;

const ACTION: &str = "ec2:DescribeCapacityReservations";

/// Capacity that is paid for already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapacityReservation {
    /// `cr-...`.
    pub id: String,
    /// Zone name.
    pub zone: String,
    /// Instance type.
    pub instance_type: String,
    /// Account.
    pub owner: String,
    /// `open` or `targeted`.
    pub match_criteria: String,
    /// `default` or `capacity-block`.
    pub reservation_type: String,
    /// Whether it may be taken back.
    pub interruptible: bool,
    /// When it ends, if it does.
    pub end: Option<Timestamp>,
    /// Instances that could start in it when EC2 was asked.
    pub free: u32,
}

impl Cloud {
    /// The active reservations that any of `terms` selects and that have not ended by `now`, by id.
    ///
    /// # Errors
    /// When EC2 cannot be asked.
    pub async fn capacity_reservations(
        &self,
        terms: &[CapacityReservationSelectorTerm],
        now: Timestamp,
    ) -> Result<Vec<CapacityReservation>, DiscoveryError> {
        let question = key(terms);
        let mut found = match self.memory.capacity_reservations.get(&question, now) {
            Some(known) => known,
            None => {
                let mut found = BTreeMap::new();
                for filters in queries(terms) {
                    let request = self.ec2.describe_capacity_reservations().set_filters(Some(filters));
                    each_page(&self.region, ACTION, request.into_paginator().send(), |page| {
                        let reservations = page.capacity_reservations().iter().filter_map(read);
                        found.extend(reservations.map(|reservation| (reservation.id.clone(), reservation)));
                    })
                    .await?;
                }
                let found: Vec<CapacityReservation> = found.into_values().collect();
                self.memory.capacity_reservations.put(&question, found.clone(), DEFAULT_KEEP, now);
                found
            }
        };
        found.retain(|reservation| reservation.end.is_none_or(|end| end > now));
        Ok(found)
    }
}

/// The filters of each query: one for all ids together, one for each other term.
fn queries(terms: &[CapacityReservationSelectorTerm]) -> Vec<Vec<Filter>> {
    let ids: Vec<String> = terms.iter().filter_map(|term| term.id.clone()).collect();
    let by_id = (!ids.is_empty()).then(|| vec![filter("capacity-reservation-id", ids)]);
    let others = terms.iter().filter(|term| term.id.is_none()).map(|term| {
        let mut filters = tag_filters(term.tags.as_ref());
        filters.extend(term.owner_id.clone().map(|owner| filter("owner-id", [owner])));
        filters.extend(term.instance_match_criteria.clone().map(|criteria| filter("instance-match-criteria", [criteria])));
        filters
    });
    let active = || filter("state", ["active".to_owned()]);
    let with_state = |mut filters: Vec<Filter>| {
        filters.push(active());
        filters
    };
    by_id.into_iter().chain(others).filter(|filters| !filters.is_empty()).map(with_state).collect()
}

fn read(reservation: &aws_sdk_ec2::types::CapacityReservation) -> Option<CapacityReservation> {
    let criteria = reservation.instance_match_criteria().unwrap_or(&InstanceMatchCriteria::Open);
    let kind = reservation.reservation_type().map_or("default", |kind| kind.as_str());
    Some(CapacityReservation {
        id: reservation.capacity_reservation_id()?.to_owned(),
        zone: reservation.availability_zone()?.to_owned(),
        instance_type: reservation.instance_type()?.to_owned(),
        owner: reservation.owner_id().unwrap_or_default().to_owned(),
        match_criteria: criteria.as_str().to_owned(),
        reservation_type: kind.to_owned(),
        interruptible: reservation.interruptible() == Some(true),
        end: reservation.end_date().and_then(|end| Timestamp::from_second(end.secs()).ok()),
        free: reservation.available_instance_count().and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_active_reservations_are_asked_for() {
        let by_id = CapacityReservationSelectorTerm { id: Some("cr-1".to_owned()), ..Default::default() };
        let open = CapacityReservationSelectorTerm { instance_match_criteria: Some("open".to_owned()), ..Default::default() };
        let asked = queries(&[open, by_id, CapacityReservationSelectorTerm::default()]);
        let names: Vec<Vec<Option<&str>>> = asked.iter().map(|one| one.iter().map(Filter::name).collect()).collect();
        assert_eq!(names, [[Some("capacity-reservation-id"), Some("state")], [Some("instance-match-criteria"), Some("state")]]);
    }
}
