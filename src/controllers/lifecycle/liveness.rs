//! A claim that does not get on is given up: its pods must not wait for it for ever.
//!
//! The limits are those of Karpenter core v1.15.0 (`pkg/controllers/nodeclaim/lifecycle/liveness.go`), counted from the last change of the
//! condition, which for a claim that nothing happened to is its creation.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt as _};

use super::launch::LAUNCHED;
use super::registration::REGISTERED;
use super::{Error, SOON, give_up, pool_of};
use crate::adapters::kube::conditions::Conditioned as _;
use crate::adapters::kube::crd::NodeClaim;
use crate::controllers::node_pool::RegistrationOutcome;
use crate::controllers::operations::metrics::DisruptionReason;
use crate::controllers::world::World;

const LAUNCH_LIMIT: Duration = Duration::from_mins(5);
const REGISTRATION_LIMIT: Duration = Duration::from_mins(15);

/// Gives the claim up if its time is over; else the time that it has left, `None` for one that is registered.
pub(super) async fn check(world: &World, claim: &NodeClaim) -> Result<Option<Duration>, Error> {
    // The steps before this one may have changed it.
    let Some(claim) = world.mirror.node_claim(&claim.name_any()) else { return Ok(None) };
    let Some((left, _)) = left(&claim, Timestamp::now()) else { return Ok(None) };
    if left > Duration::ZERO {
        return Ok(Some(left));
    }
    // What is given up must be so by the API server's word, not by that of a watch that lags.
    let asked =
        Api::<NodeClaim>::all(world.kube.clone()).get_opt(&claim.name_any()).await.map_err(Error::kube("reading a NodeClaim"))?;
    let Some(claim) = asked else { return Ok(None) };
    let Some((Duration::ZERO, reason)) = self::left(&claim, Timestamp::now()) else { return Ok(Some(SOON)) };
    if let Some(pool) = world.mirror.node_pool(pool_of(&claim)) {
        let conditions = claim.conditions(Timestamp::now());
        let launched = conditions.get(LAUNCHED);
        let (word, message) = match reason {
            DisruptionReason::LaunchTimeout => launched.map(|of| (of.reason.clone(), of.message.clone())).unwrap_or_default(),
            _ => ("RegistrationFailed".to_owned(), format!("NodeClaim {} was launched but did not register", claim.name_any())),
        };
        world.health.record(&pool.uid().unwrap_or_default(), RegistrationOutcome::Failed { reason: word, message });
    }
    give_up(world, &claim, reason).await?;
    world.plan_again(&claim.name_any());
    Ok(Some(Duration::from_secs(1)))
}

/// The time that the claim has left, and what it is given up for then.
fn left(claim: &NodeClaim, now: Timestamp) -> Option<(Duration, DisruptionReason)> {
    let conditions = claim.conditions(now);
    let (condition, limit, reason) = if !claim.is_true(LAUNCHED) {
        (LAUNCHED, LAUNCH_LIMIT, DisruptionReason::LaunchTimeout)
    } else if !claim.is_true(REGISTERED) {
        (REGISTERED, REGISTRATION_LIMIT, DisruptionReason::RegistrationTimeout)
    } else {
        return None;
    };
    let since = conditions.get(condition)?.last_transition_time.0;
    let waited = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    Some((limit.saturating_sub(waited), reason))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::adapters::kube::crd::NodeClaimStatus;

    #[test]
    fn claims_have_five_minutes_to_launch_and_fifteen_to_register() {
        let at = |second: i64| Timestamp::from_second(second).expect("a second of our time");
        let mut claim: NodeClaim = serde_json::from_value(serde_json::json!({
            "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": {"name": "a"},
            "spec": {"requirements": [], "nodeClassRef": {"group": "g", "kind": "k", "name": "n"}},
        }))
        .expect("a NodeClaim");
        claim.metadata.creation_timestamp = Some(Time(at(1_000)));
        assert_eq!(left(&claim, at(1_100)), Some((Duration::from_secs(200), DisruptionReason::LaunchTimeout)));
        assert_eq!(left(&claim, at(9_000)).map(|left| left.0), Some(Duration::ZERO));
        let mut conditions = claim.conditions(at(1_100));
        conditions.set_true(LAUNCHED, at(1_100));
        claim.status = Some(NodeClaimStatus { conditions: Some(conditions.into_list()), ..NodeClaimStatus::default() });
        // Since the creation, not since the launch: registered has not changed since then.
        assert_eq!(left(&claim, at(1_600)), Some((Duration::from_secs(300), DisruptionReason::RegistrationTimeout)));
        let mut conditions = claim.conditions(at(1_600));
        conditions.set_true(REGISTERED, at(1_600));
        claim.status = Some(NodeClaimStatus { conditions: Some(conditions.into_list()), ..NodeClaimStatus::default() });
        assert_eq!(left(&claim, at(99_000)), None);
    }
}
