//! NodeClaims that were created here and that the watch has not brought yet.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::runtime::watcher::Event;

use crate::adapters::kube::crd::NodeClaim;

/// How many claims that are gone are remembered: more than can be deleted between a create call and its answer.
const MOST_GONE: usize = 4_096;

/// NodeClaims by name, until the watch has them.
#[derive(Default)]
pub(super) struct FreshClaims {
    claims: BTreeMap<String, Fresh>,
    /// UIDs of claims that the watch saw go, oldest first: the answer to their creation may come later still.
    gone: VecDeque<String>,
    /// How many lists the watch has begun, and how many it has finished.
    lists: (u64, u64),
}

struct Fresh {
    claim: Arc<NodeClaim>,
    /// How many lists had begun when it was created: the next one has it, if it is still there.
    lists: u64,
}

impl FreshClaims {
    pub(super) fn remember(&mut self, claim: NodeClaim, known: bool) {
        let gone = claim.metadata.uid.as_ref().is_some_and(|uid| self.gone.contains(uid));
        if !known && !gone {
            self.claims.insert(claim.name_any(), Fresh { claim: Arc::new(claim), lists: self.lists.0 });
        }
    }

    pub(super) fn saw(&mut self, event: &Event<NodeClaim>) {
        match event {
            Event::Apply(claim) => drop(self.claims.remove(&claim.name_any())),
            // The store has what a list brings only when the list is complete.
            Event::InitApply(_) => {}
            Event::Delete(claim) => {
                self.claims.remove(&claim.name_any());
                self.gone.extend(claim.metadata.uid.clone());
                if self.gone.len() > MOST_GONE {
                    self.gone.pop_front();
                }
            }
            Event::Init => self.lists.0 += 1,
            Event::InitDone => {
                self.lists.1 = self.lists.0;
                let finished = self.lists.1;
                // A claim that was there before the list began and is not in it is gone.
                self.claims.retain(|_, fresh| fresh.lists >= finished);
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<NodeClaim>> {
        self.claims.get(name).map(|fresh| Arc::clone(&fresh.claim))
    }

    pub(super) fn all(&self) -> Vec<Arc<NodeClaim>> {
        self.claims.values().map(|fresh| Arc::clone(&fresh.claim)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::kube::crd::NodeClaimSpec;

    fn claim(name: &str) -> NodeClaim {
        let spec = serde_json::json!({"requirements": [], "nodeClassRef": {"group": "g", "kind": "k", "name": "n"}});
        let spec: NodeClaimSpec = serde_json::from_value(spec).expect("a NodeClaim");
        let mut claim = NodeClaim::new(name, spec);
        claim.metadata.uid = Some(format!("uid-{name}"));
        claim
    }

    fn names(fresh: &FreshClaims) -> Vec<String> {
        fresh.all().iter().map(|claim| claim.name_any()).collect()
    }

    #[test]
    fn a_claim_counts_until_the_watch_has_it() {
        let mut fresh = FreshClaims::default();
        fresh.remember(claim("a"), false);
        fresh.remember(claim("b"), true);
        assert_eq!(names(&fresh), ["a"]);
        fresh.saw(&Event::Apply(claim("a")));
        assert!(names(&fresh).is_empty());
    }

    #[test]
    fn a_claim_that_went_before_its_creation_was_answered_does_not_come_back() {
        let mut fresh = FreshClaims::default();
        fresh.saw(&Event::Apply(claim("a")));
        fresh.saw(&Event::Delete(claim("a")));
        fresh.remember(claim("a"), false);
        assert!(names(&fresh).is_empty());
    }

    #[test]
    fn a_list_that_began_later_and_lacks_the_claim_ends_it() {
        let mut fresh = FreshClaims::default();
        fresh.saw(&Event::Init);
        fresh.remember(claim("a"), false);
        // This list may have been made before the claim.
        fresh.saw(&Event::InitDone);
        assert_eq!(names(&fresh), ["a"]);
        fresh.saw(&Event::Init);
        fresh.saw(&Event::InitDone);
        assert!(names(&fresh).is_empty());
    }
}
