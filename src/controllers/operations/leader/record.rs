//! What a Lease says of who holds it, and what it is to say next. Pure: times are arguments.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

/// A Lease as it was read, and since when it is so.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    lease: Lease,
    /// When it was first seen with this content, by our own clock.
    since: Instant,
}

impl Record {
    /// A Lease that was read `now`; `before` is what was known of it.
    pub(super) fn seen(lease: Lease, before: Option<Self>, now: Instant) -> Self {
        let since = before.filter(|before| before.lease.spec == lease.spec).map_or(now, |before| before.since);
        Self { lease, since }
    }

    /// Who holds it; client-go writes the empty text for nobody.
    pub(super) fn holder(&self) -> Option<&str> {
        self.lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
    }

    /// Whether `identity` may have it: it is its own or nobody's, or its holder did not renew it for as long as it says (`lease` where it
    /// says nothing).
    pub(super) fn is_free_for(&self, identity: &str, lease: Duration, now: Instant) -> bool {
        let Some(holder) = self.holder() else { return true };
        let seconds = self.lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let length = seconds.and_then(|seconds| u64::try_from(seconds).ok()).map_or(lease, Duration::from_secs);
        holder == identity || now.saturating_duration_since(self.since) >= length
    }

    /// The Lease held by `identity` from now on: renewed where it holds it already, else taken.
    pub(super) fn held_by(&self, identity: &str, lease: Duration, now: Timestamp) -> Lease {
        let before = self.lease.spec.clone().unwrap_or_default();
        let renewed = self.holder() == Some(identity);
        let spec = LeaseSpec {
            acquire_time: if renewed { before.acquire_time.clone() } else { Some(MicroTime(now)) },
            lease_transitions: Some(before.lease_transitions.unwrap_or(0).saturating_add(i32::from(!renewed))),
            ..held(identity, lease, now)
        };
        // The version that the write depends on is in the metadata.
        Lease { metadata: self.lease.metadata.clone(), spec: Some(LeaseSpec { strategy: before.strategy, ..spec }) }
    }

    /// The Lease held by nobody: client-go's record of a holder that resigned, which runs out after a second.
    pub(super) fn released(&self, now: Timestamp) -> Lease {
        let before = self.lease.spec.clone().unwrap_or_default();
        let spec = LeaseSpec {
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            holder_identity: None,
            lease_duration_seconds: Some(1),
            ..before
        };
        Lease { metadata: self.lease.metadata.clone(), spec: Some(spec) }
    }
}

/// The Lease where there is none yet.
pub(super) fn first(name: &str, identity: &str, lease: Duration, now: Timestamp) -> Lease {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let spec = LeaseSpec { acquire_time: Some(MicroTime(now)), lease_transitions: Some(0), ..held(identity, lease, now) };
    Lease { metadata, spec: Some(spec) }
}

fn held(identity: &str, lease: Duration, now: Timestamp) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(lease.as_secs()).ok(),
        renew_time: Some(MicroTime(now)),
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("in range")
    }

    fn record(lease: Lease, now: Instant) -> Record {
        Record::seen(lease, None, now)
    }

    #[tokio::test]
    async fn a_holder_that_is_not_seen_to_renew_loses_its_lease() {
        let start = Instant::now();
        // Its clock is an hour behind, which does not matter.
        let known = record(first("l", "karpenter-1", LEASE, at(-3_600)), start);
        assert!(!known.is_free_for("me", LEASE, start + Duration::from_secs(14)));
        assert!(known.is_free_for("me", LEASE, start + LEASE));
        assert!(known.is_free_for("karpenter-1", LEASE, start));

        let renewed = record(known.held_by("karpenter-1", LEASE, at(-3_598)), start);
        let seen_again = Record::seen(renewed.lease.clone(), Some(known), start + Duration::from_secs(10));
        assert!(!seen_again.is_free_for("me", LEASE, start + Duration::from_secs(24)), "the record changed at 10 s");
        let unchanged = Record::seen(renewed.lease, Some(seen_again), start + Duration::from_secs(20));
        assert!(unchanged.is_free_for("me", LEASE, start + Duration::from_secs(25)), "seeing it again is no renewal");
    }

    #[tokio::test]
    async fn the_fields_are_those_of_client_go() {
        let now = Instant::now();
        let mut lease = first("l", "a", LEASE, at(0));
        lease.metadata.resource_version = Some("7".to_owned());
        let spec = |lease: &Lease| serde_json::to_value(lease.spec.as_ref().expect("it has one")).expect("it is JSON");
        assert_eq!(
            spec(&lease),
            serde_json::json!({
                "acquireTime": "2027-01-15T08:00:00.000000Z", "renewTime": "2027-01-15T08:00:00.000000Z", "holderIdentity": "a",
                "leaseDurationSeconds": 15, "leaseTransitions": 0,
            })
        );
        let renewed = record(lease, now).held_by("a", LEASE, at(2));
        assert_eq!(renewed.metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(spec(&renewed)["acquireTime"], "2027-01-15T08:00:00.000000Z");
        assert_eq!(
            (&spec(&renewed)["renewTime"], &spec(&renewed)["leaseTransitions"]),
            (&"2027-01-15T08:00:02.000000Z".into(), &0.into())
        );
        let taken = record(renewed, now).held_by("b", LEASE, at(20));
        assert_eq!(
            (&spec(&taken)["acquireTime"], &spec(&taken)["leaseTransitions"]),
            (&"2027-01-15T08:00:20.000000Z".into(), &1.into())
        );
        let released = record(taken, now).released(at(30));
        assert_eq!(
            spec(&released),
            serde_json::json!({
                "acquireTime": "2027-01-15T08:00:30.000000Z", "renewTime": "2027-01-15T08:00:30.000000Z",
                "leaseDurationSeconds": 1, "leaseTransitions": 1,
            })
        );
        assert!(record(released, now).is_free_for("c", LEASE, now));
    }

    #[tokio::test]
    async fn a_lease_that_client_go_released_is_free() {
        let now = Instant::now();
        let mut lease = first("l", "", LEASE, at(0));
        assert!(record(lease.clone(), now).is_free_for("me", LEASE, now), "the empty text is nobody");
        lease.spec = None;
        assert!(record(lease, now).is_free_for("me", LEASE, now), "one without content is nobody's");
    }
}
