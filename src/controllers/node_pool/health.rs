//! Whether nodes of a NodePool come up: the condition `NodeRegistrationHealthy`, which only informs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;

use crate::adapters::kube::conditions::{ConditionStatus, Conditions};

/// The condition.
pub const NODE_REGISTRATION_HEALTHY: &str = "NodeRegistrationHealthy";
/// How many outcomes count (Karpenter core v1.15.0, `pkg/state/nodepoolhealth`).
const REMEMBERED: usize = 4;
/// This many failures among them are too many.
const TOO_MANY: usize = 2;

/// How a launch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationOutcome {
    /// The node registered.
    Registered,
    /// It did not.
    Failed {
        /// `RegistrationFailed`, or the reason why there was no launch.
        reason: String,
        /// What happened.
        message: String,
    },
}

/// The last outcomes of one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrationHealth {
    outcomes: VecDeque<RegistrationOutcome>,
}

impl RegistrationHealth {
    /// What the condition stored by an earlier program stands for.
    #[must_use]
    pub fn from_condition(conditions: &Conditions) -> Self {
        let Some(stored) = conditions.get(NODE_REGISTRATION_HEALTHY) else { return Self::default() };
        let failed = || RegistrationOutcome::Failed { reason: stored.reason.clone(), message: stored.message.clone() };
        let outcomes = match stored.status.as_str() {
            "True" => VecDeque::from([RegistrationOutcome::Registered]),
            "False" => (0..TOO_MANY).map(|_| failed()).collect(),
            _ => VecDeque::new(),
        };
        Self { outcomes }
    }

    /// Remembers one more outcome, and forgets the oldest where there are too many.
    pub fn record(&mut self, outcome: RegistrationOutcome) {
        self.outcomes.push_back(outcome);
        if self.outcomes.len() > REMEMBERED {
            self.outcomes.pop_front();
        }
    }

    /// Says so in the conditions. Nothing changes while too little is known.
    pub fn write(&self, conditions: &mut Conditions, now: Timestamp) {
        let mut failures = self.outcomes.iter().filter_map(|outcome| match outcome {
            RegistrationOutcome::Failed { reason, message } => Some((reason, message)),
            RegistrationOutcome::Registered => None,
        });
        let count = failures.clone().count();
        match failures.next_back() {
            Some((reason, message)) if count >= TOO_MANY => {
                conditions.set(NODE_REGISTRATION_HEALTHY, ConditionStatus::False, reason, message, now);
            }
            _ if self.outcomes.len() > count => conditions.set_true(NODE_REGISTRATION_HEALTHY, now),
            _ => {}
        }
    }
}

/// The outcomes of all pools, by their UIDs.
#[derive(Debug, Default)]
pub struct RegistrationHealths {
    pools: Mutex<BTreeMap<String, RegistrationHealth>>,
}

impl RegistrationHealths {
    /// Remembers how a launch for the pool ended.
    pub fn record(&self, pool_uid: &str, outcome: RegistrationOutcome) {
        self.lock().entry(pool_uid.to_owned()).or_default().record(outcome);
    }

    /// Forgets a pool that is gone.
    pub(super) fn forget(&self, pool_uid: &str) {
        self.lock().remove(pool_uid);
    }

    /// Begins anew, because the pool or its class has changed.
    pub(super) fn reset(&self, pool_uid: &str) {
        self.lock().insert(pool_uid.to_owned(), RegistrationHealth::default());
    }

    /// The health of the pool; what its conditions say where nothing is known.
    pub(super) fn of(&self, pool_uid: &str, conditions: &Conditions) -> RegistrationHealth {
        self.lock().entry(pool_uid.to_owned()).or_insert_with(|| RegistrationHealth::from_condition(conditions)).clone()
    }

    /// Each change is one call, so that a panic elsewhere leaves whole entries.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, RegistrationHealth>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
