//! Status conditions as Karpenter keeps them: conditions that `Ready` depends on, conditions that only inform, and `Ready` itself.
//!
//! The rules are those of `github.com/awslabs/operatorpkg/status` as Karpenter core v1.15.0 uses it: a condition that `Ready` depends on
//! is there from the beginning, as `Unknown`; `Ready` is recomputed whenever one is set; what was said about an older generation of the
//! object does not count as said.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use crate::adapters::kube::crd::{EC2NodeClass, NodeClaim, NodeOverlay, NodePool};

/// The condition that sums the others up.
pub const READY: &str = "Ready";
/// Reason of a condition that nobody has looked at yet.
const AWAITING: &str = "AwaitingReconciliation";

/// What a condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// Nobody knows yet.
    Unknown,
}

impl ConditionStatus {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A kind whose status has conditions.
pub trait Conditioned {
    /// The conditions that `Ready` depends on.
    const DEPENDENTS: &'static [&'static str];

    /// The conditions of the object as it is stored.
    fn stored_conditions(&self) -> &[Condition];

    /// When the object was created, and its generation.
    fn origin(&self) -> (Option<&Time>, i64);

    /// The conditions of the object, complete: those that `Ready` depends on are all there.
    fn conditions(&self, now: Timestamp) -> Conditions {
        let (created, generation) = self.origin();
        let stored = self.stored_conditions().to_vec();
        let mut made = Conditions { list: stored, dependents: Self::DEPENDENTS, generation };
        let since = created.map_or(now, |time| time.0);
        for name in Self::DEPENDENTS.iter().copied().chain([READY]) {
            if made.get(name).is_none() {
                made.list.push(Condition {
                    type_: name.to_owned(),
                    status: ConditionStatus::Unknown.as_str().to_owned(),
                    reason: AWAITING.to_owned(),
                    message: "object is awaiting reconciliation".to_owned(),
                    observed_generation: Some(generation),
                    last_transition_time: Time(since),
                });
            }
        }
        made
    }

    /// Whether a stored condition is `True`.
    fn is_true(&self, name: &str) -> bool {
        self.stored_conditions().iter().any(|condition| condition.type_ == name && condition.status == "True")
    }
}

macro_rules! conditioned {
    ($kind:ty, $dependents:expr) => {
        impl Conditioned for $kind {
            const DEPENDENTS: &'static [&'static str] = $dependents;

            fn stored_conditions(&self) -> &[Condition] {
                self.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default()
            }

            fn origin(&self) -> (Option<&Time>, i64) {
                (self.metadata.creation_timestamp.as_ref(), self.metadata.generation.unwrap_or(0))
            }
        }
    };
}

conditioned!(NodeClaim, &["Launched", "Registered", "Initialized"]);
conditioned!(NodePool, &["ValidationSucceeded", "NodeClassReady"]);
conditioned!(NodeOverlay, &["ValidationSucceeded"]);
conditioned!(
    EC2NodeClass,
    &[
        "AMIsReady",
        "CapacityReservationsReady",
        "InstanceProfileReady",
        "PlacementGroupReady",
        "SecurityGroupsReady",
        "SubnetsReady",
        "ValidationSucceeded",
    ]
);

/// The conditions of one object, being changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions {
    list: Vec<Condition>,
    dependents: &'static [&'static str],
    generation: i64,
}

impl Conditions {
    /// The condition called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Condition> {
        self.list.iter().find(|condition| condition.type_ == name)
    }

    /// Whether the condition called `name` is `True`, or whatever `status` is.
    #[must_use]
    pub fn is(&self, name: &str, status: ConditionStatus) -> bool {
        self.get(name).is_some_and(|condition| condition.status == status.as_str())
    }

    /// Says that `name` is so.
    pub fn set_true(&mut self, name: &str, now: Timestamp) {
        self.set(name, ConditionStatus::True, name, "", now);
    }

    /// Says what `name` is and why; `reason` is a word for programs, `message` a sentence for people.
    pub fn set(&mut self, name: &str, status: ConditionStatus, reason: &str, message: &str, now: Timestamp) {
        self.put(name, status, reason, message, now);
        self.sum_up(now);
    }

    /// Takes back a condition that only informs.
    pub fn clear(&mut self, name: &str) {
        if !self.dependents.contains(&name) && name != READY {
            self.list.retain(|condition| condition.type_ != name);
        }
    }

    /// The conditions as they are stored: by the time of their last transition, `Ready` last.
    #[must_use]
    pub fn into_list(mut self) -> Vec<Condition> {
        self.list.sort_by_key(|condition| (condition.type_ == READY, condition.last_transition_time.0));
        self.list
    }

    fn put(&mut self, name: &str, status: ConditionStatus, reason: &str, message: &str, now: Timestamp) {
        let generation = Some(self.generation);
        match self.list.iter_mut().find(|condition| condition.type_ == name) {
            Some(known) => {
                if known.status != status.as_str() {
                    known.last_transition_time = Time(now);
                }
                status.as_str().clone_into(&mut known.status);
                reason.clone_into(&mut known.reason);
                message.clone_into(&mut known.message);
                known.observed_generation = generation;
            }
            None => self.list.push(Condition {
                type_: name.to_owned(),
                status: status.as_str().to_owned(),
                reason: reason.to_owned(),
                message: message.to_owned(),
                observed_generation: generation,
                last_transition_time: Time(now),
            }),
        }
    }

    /// `Ready` follows from the conditions that it depends on, as far as they speak of this generation of the object.
    fn sum_up(&mut self, now: Timestamp) {
        let generation = self.generation;
        let current = |condition: &Condition| condition.observed_generation == Some(generation);
        let mut lacking: Vec<&Condition> = self
            .list
            .iter()
            .filter(|condition| self.dependents.contains(&condition.type_.as_str()))
            .filter(|condition| condition.status != "True" || !current(condition))
            .collect();
        lacking.sort_by(|a, b| b.last_transition_time.0.cmp(&a.last_transition_time.0).then_with(|| a.type_.cmp(&b.type_)));
        let words: Vec<String> = lacking.iter().map(|condition| format!("{}={}", condition.type_, condition.status)).collect();
        let failed = lacking.iter().any(|condition| condition.status == "False" && current(condition));
        let message = words.join(", ");
        match (lacking.is_empty(), failed) {
            (true, _) => self.put(READY, ConditionStatus::True, READY, "", now),
            (false, true) => self.put(READY, ConditionStatus::False, "UnhealthyDependents", &message, now),
            (false, false) => self.put(READY, ConditionStatus::Unknown, "ReconcilingDependents", &message, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::kube::crd::NodePoolSpec;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a second of our time")
    }

    fn pool() -> NodePool {
        let template = serde_json::json!({
            "template": {"spec": {"requirements": [], "nodeClassRef": {"group": "g", "kind": "k", "name": "n"}}}
        });
        let spec: NodePoolSpec = serde_json::from_value(template).expect("a NodePool");
        let mut pool = NodePool::new("a", spec);
        pool.metadata.creation_timestamp = Some(Time(at(10)));
        pool.metadata.generation = Some(2);
        pool
    }

    #[test]
    fn conditions_start_unknown_at_the_creation() {
        let conditions = pool().conditions(at(50)).into_list();
        let words: Vec<(&str, &str, i64)> = conditions
            .iter()
            .map(|one| (one.type_.as_str(), one.status.as_str(), one.last_transition_time.0.as_second()))
            .collect();
        assert_eq!(words, [("ValidationSucceeded", "Unknown", 10), ("NodeClassReady", "Unknown", 10), ("Ready", "Unknown", 10)]);
    }

    #[test]
    fn ready_follows_from_what_it_depends_on() {
        let mut conditions = pool().conditions(at(50));
        conditions.set_true("ValidationSucceeded", at(51));
        assert_eq!(conditions.get(READY).map(|ready| ready.message.as_str()), Some("NodeClassReady=Unknown"));
        assert!(conditions.is(READY, ConditionStatus::Unknown));
        conditions.set("NodeClassReady", ConditionStatus::False, "NodeClassNotFound", "there is none", at(52));
        assert_eq!(conditions.get(READY).map(|ready| ready.reason.as_str()), Some("UnhealthyDependents"));
        conditions.set_true("NodeClassReady", at(53));
        assert!(conditions.is(READY, ConditionStatus::True));
        // One that only informs changes nothing, and can be taken back.
        conditions.set("NodeRegistrationHealthy", ConditionStatus::False, "RegistrationFailed", "", at(54));
        assert!(conditions.is(READY, ConditionStatus::True));
        conditions.clear("NodeRegistrationHealthy");
        conditions.clear("NodeClassReady");
        assert_eq!(conditions.into_list().len(), 3);
    }

    #[test]
    fn what_was_said_of_an_older_generation_does_not_count() {
        let mut old = pool().conditions(at(50));
        old.set_true("ValidationSucceeded", at(51));
        old.set_true("NodeClassReady", at(51));
        let mut changed = pool();
        changed.metadata.generation = Some(3);
        changed.status =
            Some(crate::adapters::kube::crd::NodePoolStatus { conditions: Some(old.into_list()), ..Default::default() });
        let mut conditions = changed.conditions(at(60));
        conditions.set_true("ValidationSucceeded", at(61));
        let ready = conditions.get(READY).expect("it is always there");
        assert_eq!((ready.status.as_str(), ready.message.as_str()), ("Unknown", "NodeClassReady=True"));
        // The status did not change, so neither did the time of the transition.
        assert_eq!(conditions.get("ValidationSucceeded").map(|one| one.last_transition_time.0), Some(at(51)));
    }
}
