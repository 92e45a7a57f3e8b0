//! The nodes of one plan wait for each other where pods with rules between them are on their way.
//!
//! A plan keeps such rules in its last state, not at every moment before it. If the free room of the nodes that are ready first were open,
//! kube-scheduler, which sees only the pods that are placed by then, could put a pod there that was planned for a later node; the others, bound
//! where they were planned, would then break the rule. So the holds of such a plan are lifted when its last node has its pods.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use kube::ResourceExt as _;

use super::{is_settled, placement};
use crate::adapters::kube::crd::NodeClaim;
use crate::controllers::operations::options::Placement;
use crate::controllers::world::World;
use crate::domain::annotations;

/// UIDs of the claims whose planned pods have come to their node, or will not come. Known to this process only: another one finds out by
/// binding them again.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(Mutex<BTreeSet<String>>);

impl Arrivals {
    /// The pods of the claim have come, as far as they will.
    pub(super) fn note(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned());
    }

    /// Forgets claims that are gone.
    pub(crate) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|uid| is_there(uid));
    }

    fn have(&self, uid: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(uid)
    }
}

/// Whether pods with rules between them are still on their way to another node of the plan that `claim` is of.
pub(super) fn are_on_their_way(world: &World, claim: &NodeClaim) -> bool {
    if world.settings.placement != Placement::Bind {
        return false;
    }
    let Some(plan) = claim.annotations().get(annotations::PLAN) else { return false };
    let is_mate = |other: &NodeClaim| {
        other.annotations().get(annotations::PLAN) == Some(plan)
            && other.metadata.uid != claim.metadata.uid
            && other.metadata.deletion_timestamp.is_none()
    };
    world.mirror.node_claims().iter().filter(|other| is_mate(other)).any(|mate| {
        !world.arrivals.have(mate.metadata.uid.as_deref().unwrap_or_default())
            && !is_settled(world, mate)
            && placement::brings_rules_between_pods(world, mate)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_kept_as_long_as_their_claims() {
        let arrivals = Arrivals::default();
        arrivals.note("a");
        arrivals.note("b");
        arrivals.retain(|uid| uid == "b");
        assert!(!arrivals.have("a"));
        assert!(arrivals.have("b"));
    }
}
