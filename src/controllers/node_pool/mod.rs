//! The controller of NodePools: whether they can be meant, whether their class is ready, whether their nodes come up, and what they
//! amount to.

mod health;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::adapters::kube::conditions::Conditioned as _;
use crate::adapters::kube::crd::{EC2NodeClass, NodeClaim, NodePool};
use crate::controllers::drift_hash::{self, NODE_POOL};
use crate::controllers::patches::{self, PatchError, Written};

pub use health::{NODE_REGISTRATION_HEALTHY, RegistrationHealth, RegistrationHealths, RegistrationOutcome};
pub use status::Usage;

/// How often nodes are counted (Karpenter core v1.15.0, `pkg/controllers/nodepool/counter`).
const COUNTED: Duration = Duration::from_secs(5);
/// A pool that changed under the hands of the controller is looked at again after this time.
const AFTER_CONFLICT: Duration = Duration::from_secs(1);
/// Nothing is counted any more where the pool is gone.
const GONE: Duration = Duration::from_mins(1);

/// What the controller works with.
pub struct NodePoolContext {
    kube: kube::Client,
    health: Arc<RegistrationHealths>,
}

impl NodePoolContext {
    /// `health` is where registrations are recorded.
    #[must_use]
    pub fn new(kube: kube::Client, health: Arc<RegistrationHealths>) -> Self {
        Self { kube, health }
    }
}

/// Brings one pool up to date: `class` is the one that it names, if there is such; `claims` are its NodeClaims; `usage` what its nodes
/// amount to, `None` before the cluster has been read. Says after which time it is worth another look.
///
/// # Errors
/// When the API server does not take a change.
pub async fn reconcile(
    context: &NodePoolContext,
    pool: Arc<NodePool>,
    class: Option<Arc<EC2NodeClass>>,
    claims: &[Arc<NodeClaim>],
    usage: Option<&Usage>,
) -> Result<Duration, PatchError> {
    let api: Api<NodePool> = Api::all(context.kube.clone());
    let mut pool = (*pool).clone();
    let uid = pool.uid().unwrap_or_default();
    if pool.metadata.deletion_timestamp.is_some() {
        context.health.forget(&uid);
        return Ok(GONE);
    }
    let hash = hash(&pool);
    if pool.annotations().get(NODE_POOL.version).is_none_or(|version| version != drift_hash::VERSION) {
        let claims_api: Api<NodeClaim> = Api::all(context.kube.clone());
        // The claims first: after an interruption the version of the pool tells that there is more to do.
        for (claim, added) in claims.iter().filter_map(|claim| Some((claim, NODE_POOL.of_claim(claim, &hash)?))) {
            patches::annotate(&claims_api, claim, &added).await?;
        }
    }
    if let Some(added) = NODE_POOL.of_owner(&pool.metadata, &hash) {
        match patches::annotate(&api, &pool, &added).await? {
            Written::Done(now) => pool = now,
            other => return Ok(after(&other)),
        }
    }
    let now = Timestamp::now();
    if status::starts_anew(&pool, class.as_deref()) {
        context.health.reset(&uid);
    }
    let health = context.health.of(&uid, &pool.conditions(now));
    let status = status::resolve(&pool, class.as_deref(), usage, &health, now);
    match patches::status(&api, &pool, pool.status.as_ref(), &status).await? {
        Written::Done(_) => Ok(COUNTED),
        other => Ok(after(&other)),
    }
}

fn after<K>(written: &Written<K>) -> Duration {
    match written {
        Written::Done(_) | Written::Outdated => AFTER_CONFLICT,
        Written::Gone => GONE,
    }
}

/// The hash of what a node of the pool is made from: its template without the requirements, which are compared with the node itself.
#[must_use]
pub fn hash(pool: &NodePool) -> String {
    let mut template = json!(pool.spec.template);
    if let Some(spec) = template.get_mut("spec").and_then(serde_json::Value::as_object_mut) {
        spec.remove("requirements");
    }
    drift_hash::hash(&template)
}
