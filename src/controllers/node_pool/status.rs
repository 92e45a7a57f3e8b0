//! From a NodePool, its class and its nodes to its status.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::jiff::Timestamp;

use crate::adapters::kube::conditions::{ConditionStatus, Conditioned as _, Conditions, READY};
use crate::adapters::kube::convert::node_pool;
use crate::adapters::kube::crd::{EC2NodeClass, NodePool, NodePoolStatus};
use crate::domain::resources::{ResourceName, Resources, quantity_text};

use super::health::{NODE_REGISTRATION_HEALTHY, RegistrationHealth};

const NODE_CLASS_READY: &str = "NodeClassReady";
const VALIDATION_SUCCEEDED: &str = "ValidationSucceeded";
/// What a pool without nodes shows, too.
const ALWAYS_SHOWN: [&str; 4] = [ResourceName::CPU, ResourceName::EPHEMERAL_STORAGE, ResourceName::MEMORY, ResourceName::PODS];

/// What the nodes of a pool amount to, those on their way out left aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many.
    pub nodes: u32,
    /// The sum of their capacities.
    pub capacity: Resources,
}

impl Usage {
    /// The usage of nodes with these capacities.
    pub fn of<'a>(capacities: impl IntoIterator<Item = &'a Resources>) -> Self {
        let mut usage = Self::default();
        for capacity in capacities {
            usage.nodes += 1;
            usage.capacity.add(capacity);
        }
        usage
    }
}

/// The new status of `pool`, whose class is `class`. Without `usage`, which is not known before the cluster has been read, the counts
/// stay as they are.
pub(super) fn resolve(
    pool: &NodePool,
    class: Option<&EC2NodeClass>,
    usage: Option<&Usage>,
    health: &RegistrationHealth,
    now: Timestamp,
) -> NodePoolStatus {
    let mut status = pool.status.clone().unwrap_or_default();
    let mut conditions = pool.conditions(now);
    validation(pool, &mut conditions, now);
    readiness(pool, class, &mut conditions, now);
    if starts_anew(pool, class) {
        let message = "no node of this NodePool and EC2NodeClass has come up yet";
        conditions.set(NODE_REGISTRATION_HEALTHY, ConditionStatus::Unknown, "AwaitingReconciliation", message, now);
    } else {
        health.write(&mut conditions, now);
    }
    if let Some(generation) = class.and_then(|class| class.metadata.generation) {
        status.node_class_observed_generation = Some(generation);
    }
    if let Some(usage) = usage {
        status.resources = Some(resources(status.resources.as_ref(), usage));
        status.nodes = Some(i64::from(usage.nodes));
    }
    status.conditions = Some(conditions.into_list());
    status
}

/// Whether what is known of registrations was known of another pool or class: a change of either may have mended or broken them.
pub(super) fn starts_anew(pool: &NodePool, class: Option<&EC2NodeClass>) -> bool {
    let known = pool.stored_conditions().iter().find(|condition| condition.type_ == NODE_REGISTRATION_HEALTHY);
    let seen = pool.status.as_ref().and_then(|status| status.node_class_observed_generation);
    let of_pool = known.is_some_and(|known| known.observed_generation == Some(pool.metadata.generation.unwrap_or(0)));
    let of_class = class.is_none_or(|class| class.metadata.generation == seen);
    !of_pool || !of_class
}

fn validation(pool: &NodePool, conditions: &mut Conditions, now: Timestamp) {
    match node_pool::from_api(pool.metadata.name.as_deref().unwrap_or_default(), pool) {
        Ok(_) => conditions.set_true(VALIDATION_SUCCEEDED, now),
        Err(error) => {
            let message = format!("{}: {}; {}", error.field, error.problem, error.mend);
            conditions.set(VALIDATION_SUCCEEDED, ConditionStatus::False, "NodePoolValidationFailed", &message, now);
        }
    }
}

fn readiness(pool: &NodePool, class: Option<&EC2NodeClass>, conditions: &mut Conditions, now: Timestamp) {
    let name = &pool.spec.template.spec.node_class_ref.name;
    let mut unready =
        |reason: &str, message: &str| conditions.set(NODE_CLASS_READY, ConditionStatus::False, reason, message, now);
    let Some(class) = class else {
        let message = format!("there is no EC2NodeClass `{name}`; create it, or name another in spec.template.spec.nodeClassRef");
        return unready("NodeClassNotFound", &message);
    };
    if class.metadata.deletion_timestamp.is_some() {
        let message = format!("EC2NodeClass `{name}` is being deleted; name another in spec.template.spec.nodeClassRef");
        return unready("NodeClassTerminating", &message);
    }
    let ready = class.stored_conditions().iter().find(|condition| condition.type_ == READY);
    match ready.filter(|ready| ready.observed_generation == class.metadata.generation) {
        Some(ready) if ready.status == "True" => conditions.set_true(NODE_CLASS_READY, now),
        Some(ready) if ready.status == "False" => {
            unready(&ready.reason, &format!("EC2NodeClass `{name}` is not ready: {}", ready.message));
        }
        _ => {
            let message = format!("EC2NodeClass `{name}` has not been looked at since it changed; see its conditions");
            unready("NodeClassReadinessUnknown", &message);
        }
    }
}

/// The sums as they are stored; what was there before stays, as zero.
fn resources(old: Option<&BTreeMap<String, ApiQuantity>>, usage: &Usage) -> BTreeMap<String, ApiQuantity> {
    let before = old.into_iter().flatten().map(|(name, _)| name.as_str());
    // Volumes that can be attached are counted among the resources of nodes by us alone.
    let now = usage.capacity.iter().map(|(name, _)| name).filter(|name| !name.is_attachment()).map(ResourceName::as_str);
    let amount = |name: &str| ApiQuantity(quantity_text(name, usage.capacity.get(name)));
    let mut all: BTreeMap<String, ApiQuantity> =
        ALWAYS_SHOWN.into_iter().chain(before).chain(now).map(|name| (name.to_owned(), amount(name))).collect();
    all.insert(ResourceName::NODES.to_owned(), ApiQuantity(usage.nodes.to_string()));
    all
}
