//! The controller of EC2NodeClasses: what their selectors find, whether they can be meant, and their end.
//!
//! A class gets the finalizer and the annotations of its hash first, so that nothing is made for it in the cloud that would be left
//! over. Its status then says what was found, and `ValidationSucceeded` whether a launch with that would be allowed. A class that is
//! being deleted stays until no NodeClaim names it; what was made for it goes before it does.

mod kubelet;
mod status;
#[cfg(test)]
mod tests;
mod validation;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::adapters::aws::cloud::cache::Cache;
use crate::adapters::aws::cloud::discovery::{DiscoveryError, LaunchProbe, ManagedProfile, ProfileError, ProfileOwner, Refusal};
use crate::adapters::aws::cloud::{CallError, Cloud, ClusterFacts};
use crate::adapters::kube::conditions::ConditionStatus;
use crate::adapters::kube::convert::node_class;
use crate::adapters::kube::crd::{AmiStatus, EC2NodeClass, EC2NodeClassSpec, EC2NodeClassStatus, NodeClaim};
use crate::controllers::drift_hash::{self, NODE_CLASS};
use crate::controllers::patches::{self, PatchError, Written};
use crate::domain::labels;
use crate::domain::stable_hash::fnv1a;

use status::{Findings, Progress, VALIDATION_SUCCEEDED};
use validation::Objection;

/// Keeps a class until what was made for it is gone; the finalizer of Karpenter.
pub const FINALIZER: &str = "karpenter.k8s.aws/termination";
/// On a NodeClaim: the instance profile that it was launched with.
pub const INSTANCE_PROFILE_ANNOTATION: &str = "karpenter.k8s.aws/instance-profile-name";

/// A class that changed under the hands of the controller is looked at again after this time.
const AFTER_CONFLICT: Duration = Duration::from_secs(1);
/// A class that NodeClaims still name is looked at again after this time.
const WHILE_IN_USE: Duration = Duration::from_mins(1);
/// How long what the dry runs said is believed, give or take the jitter.
const AUTHORIZATION_KEEP: Duration = Duration::from_mins(30);
const AUTHORIZATION_JITTER: Duration = Duration::from_mins(5);
/// How long a profile is safe after it was made.
const PROTECTED: Duration = Duration::from_hours(1);
/// How many NodeClaims an event names.
const MOST_NAMES: usize = 10;

/// What the controller works with.
pub struct NodeClassContext {
    kube: kube::Client,
    cloud: Cloud,
    facts: watch::Receiver<ClusterFacts>,
    dry_runs: bool,
    events: Recorder,
    authorizations: Cache<Result<(), Refusal>>,
}

impl NodeClassContext {
    /// `facts` follows the cluster while the program runs. Without `dry_runs` nobody asks whether launches would be allowed
    /// (`DISABLE_DRY_RUN`).
    #[must_use]
    pub fn new(kube: kube::Client, cloud: Cloud, facts: watch::Receiver<ClusterFacts>, dry_runs: bool, events: Recorder) -> Self {
        Self { kube, cloud, facts, dry_runs, events, authorizations: Cache::default() }
    }
}

/// What came in the way of one class.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server did not take a change.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// AWS could not be asked.
    #[error("EC2NodeClass {name}: {source}")]
    Cloud {
        /// The class.
        name: String,
        /// What was asked.
        source: DiscoveryError,
    },
    /// Its launch templates cannot be deleted.
    #[error("EC2NodeClass {name}: its launch templates cannot be deleted: {source}")]
    LaunchTemplates {
        /// The class.
        name: String,
        /// What was asked.
        source: CallError,
    },
    /// The event could not be written.
    #[error("EC2NodeClass {name}: cannot write an event: {source}")]
    Event {
        /// The class.
        name: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
}

/// Brings one class up to date; `claims` are the NodeClaims that name it. Says after which time it is worth another look.
///
/// # Errors
/// When the API server does not take a change, or the cloud cannot delete what was made for the class. What stands in the way of finding
/// something is no error here but a condition.
pub async fn reconcile(
    context: &NodeClassContext,
    class: Arc<EC2NodeClass>,
    claims: &[Arc<NodeClaim>],
) -> Result<Duration, Error> {
    let api: Api<EC2NodeClass> = Api::all(context.kube.clone());
    if class.metadata.deletion_timestamp.is_some() {
        return finalize(context, &api, &class, claims).await;
    }
    let facts = context.facts.borrow().clone();
    let claims_api: Api<NodeClaim> = Api::all(context.kube.clone());
    let hash = hash(&class, &facts.ca_bundle);
    if hash_version_differs(&class) {
        // The claims first: after an interruption the version of the class tells that there is more to do.
        for (claim, added) in claims.iter().filter_map(|claim| Some((claim, NODE_CLASS.of_claim(claim, &hash)?))) {
            patches::annotate(&claims_api, claim, &added).await?;
        }
    }
    let mut class = (*class).clone();
    if !class.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        let all: Vec<&str> = class.finalizers().iter().map(String::as_str).chain([FINALIZER]).collect();
        match patches::metadata(&api, &class, "finalizers", json!(all)).await? {
            Written::Done(now) => class = now,
            other => return Ok(after(&other)),
        }
    }
    if let Some(added) = NODE_CLASS.of_owner(&class.metadata, &hash) {
        match patches::annotate(&api, &class, &added).await? {
            Written::Done(now) => class = now,
            other => return Ok(after(&other)),
        }
    }
    let now = Timestamp::now();
    let findings = discover(context, &facts, &class, now).await;
    let mut progress = status::resolve(&class, &findings, &facts.kubernetes_version, now);
    validate(context, &facts, &class, &mut progress, now).await;
    let look_again = progress.look_again;
    match patches::status(&api, &class, class.status.as_ref(), &progress.finished()).await? {
        Written::Done(_) => Ok(look_again),
        other => Ok(after(&other)),
    }
}

fn after<K>(written: &Written<K>) -> Duration {
    match written {
        Written::Done(_) | Written::Outdated => AFTER_CONFLICT,
        // There is nothing left to look at; the queue forgets it when the object goes.
        Written::Gone => WHILE_IN_USE,
    }
}

/// The hash of what a node of the class is made from. What selectors find, and how much of it, is compared otherwise.
#[must_use]
pub fn hash(class: &EC2NodeClass, ca_bundle: &str) -> String {
    let mut spec = serde_json::to_value(&class.spec).unwrap_or_default();
    if let Some(fields) = spec.as_object_mut() {
        for dynamic in [
            "subnetSelectorTerms",
            "securityGroupSelectorTerms",
            "capacityReservationSelectorTerms",
            "amiSelectorTerms",
            "amiFamily",
            "ipPrefixCount",
        ] {
            fields.remove(dynamic);
        }
    }
    // Of nothing but what says the family, so that a fault elsewhere does not make nodes look old.
    let images = EC2NodeClassSpec {
        ami_family: class.spec.ami_family.clone(),
        ami_selector_terms: class.spec.ami_selector_terms.clone(),
        ..EC2NodeClassSpec::default()
    };
    let family =
        node_class::from_api("", &EC2NodeClass::new("", images)).ok().map(|converted| format!("{:?}", converted.ami_family));
    drift_hash::hash(&json!({"spec": spec, "amiFamily": family, "caBundle": ca_bundle}))
}

fn hash_version_differs(class: &EC2NodeClass) -> bool {
    class.annotations().get(NODE_CLASS.version).is_none_or(|version| version != drift_hash::VERSION)
}

async fn discover(context: &NodeClassContext, facts: &ClusterFacts, class: &EC2NodeClass, now: Timestamp) -> Findings {
    let (cloud, spec) = (&context.cloud, &class.spec);
    let reservations = spec.capacity_reservation_selector_terms.as_deref().unwrap_or_default();
    let placement_group = async {
        match &spec.placement_group_selector {
            None => Ok(None),
            Some(selector) => cloud.placement_group(selector, now).await,
        }
    };
    let instance_profile = async {
        match (&spec.instance_profile, &spec.role) {
            (Some(profile), _) => Ok(profile.clone()),
            (None, None) => Err(ProfileError::Unnamed),
            (None, Some(role)) => {
                let uid = class.uid().unwrap_or_default();
                let owner = ProfileOwner { cluster: &facts.name, uid: &uid };
                let tags = profile_tags(class, &facts.name, cloud.region());
                let current = class.status.as_ref().and_then(|status| status.instance_profile.as_deref());
                cloud.instance_profile(owner, role, &tags, current, now).await
            }
        }
    };
    let (images, capacity_reservations, placement_group, subnets, security_groups, instance_profile) = tokio::join!(
        cloud.images(&spec.ami_selector_terms, &facts.kubernetes_version, now),
        cloud.capacity_reservations(reservations, now),
        placement_group,
        cloud.subnets(&spec.subnet_selector_terms, now),
        cloud.security_groups(&spec.security_group_selector_terms, now),
        instance_profile,
    );
    Findings { images, capacity_reservations, placement_group, subnets, security_groups, instance_profile }
}

/// Sets `ValidationSucceeded`.
async fn validate(
    context: &NodeClassContext,
    facts: &ClusterFacts,
    class: &EC2NodeClass,
    progress: &mut Progress,
    now: Timestamp,
) {
    let mut found = validation::objection(class, facts.service_cidr.as_deref(), &progress.conditions);
    if found.is_none() && context.dry_runs {
        found = authorize(context, facts, class, &progress.status, now).await.err();
    }
    match found {
        None => progress.conditions.set_true(VALIDATION_SUCCEEDED, now),
        Some(Objection { status, reason, message }) => {
            progress.conditions.set(VALIDATION_SUCCEEDED, status, reason, &message, now);
        }
    }
}

/// Asks whether a launch would be allowed, or remembers that it was asked.
async fn authorize(
    context: &NodeClassContext,
    facts: &ClusterFacts,
    class: &EC2NodeClass,
    status: &EC2NodeClassStatus,
    now: Timestamp,
) -> Result<(), Objection> {
    let Some(probe) = probe(class, status, &facts.name) else { return Ok(()) };
    let question = format!("{probe:?}");
    let answer = match context.authorizations.get(&question, now) {
        Some(known) => known,
        None => {
            let unknown = |error: DiscoveryError| Objection {
                status: ConditionStatus::Unknown,
                reason: "AuthorizationUnknown",
                message: error.to_string(),
            };
            let answer = context.cloud.authorize(&probe).await.map_err(unknown)?;
            // Classes that were made together are not asked about together for ever.
            let jitter =
                AUTHORIZATION_JITTER.mul_f64(f64::from(u16::try_from(fnv1a(question.bytes()) % 1000).unwrap_or(0)) / 500.0);
            let keep = AUTHORIZATION_KEEP - AUTHORIZATION_JITTER + jitter;
            context.authorizations.put(&question, answer.clone(), keep, now);
            answer
        }
    };
    answer.map_err(|refusal| Objection::new(refusal.reason.as_str(), refusal.message))
}

/// The launch that is asked about: the image that most nodes get, on a small type of its processors.
fn probe(class: &EC2NodeClass, status: &EC2NodeClassStatus, cluster: &str) -> Option<LaunchProbe> {
    let is_standard = |image: &&AmiStatus| !image.requirements.iter().any(|requirement| requirement.operator == "Exists");
    let images = status.amis.as_deref().unwrap_or_default();
    let image = images.iter().find(is_standard).or_else(|| images.first())?;
    let is_arm =
        image.requirements.iter().any(|one| one.key == labels::ARCH && one.values.iter().flatten().any(|arch| arch == "arm64"));
    let ids = |found: &mut dyn Iterator<Item = &String>| found.cloned().collect::<Vec<String>>();
    let mut tags = owned_tags(class, cluster);
    // A policy may ask for the tag; its value is the pool's at a launch.
    tags.insert(labels::NODE_POOL.to_owned(), "dry-run".to_owned());
    Some(LaunchProbe {
        instance_type: if is_arm { "m6g.large" } else { "m5.large" }.to_owned(),
        image_id: image.id.clone(),
        subnet_ids: ids(&mut status.subnets.iter().flatten().map(|subnet| &subnet.id)),
        security_group_ids: ids(&mut status.security_groups.iter().flatten().map(|group| &group.id)),
        instance_profile: status.instance_profile.clone()?,
        tags,
    })
}

/// The user's tags, and those that say for whom something was made.
fn owned_tags(class: &EC2NodeClass, cluster: &str) -> BTreeMap<String, String> {
    let mut tags = class.spec.tags.clone().unwrap_or_default();
    tags.insert(format!("kubernetes.io/cluster/{cluster}"), "owned".to_owned());
    tags.insert("eks:eks-cluster-name".to_owned(), cluster.to_owned());
    tags.insert(labels::NODE_CLASS.to_owned(), class.name_any());
    tags
}

fn profile_tags(class: &EC2NodeClass, cluster: &str, region: &str) -> BTreeMap<String, String> {
    let mut tags = owned_tags(class, cluster);
    tags.insert(labels::REGION.to_owned(), region.to_owned());
    tags
}

/// Lets a class go once nothing needs it.
async fn finalize(
    context: &NodeClassContext,
    api: &Api<EC2NodeClass>,
    class: &EC2NodeClass,
    claims: &[Arc<NodeClaim>],
) -> Result<Duration, Error> {
    if !class.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        return Ok(WHILE_IN_USE);
    }
    let name = class.name_any();
    if !claims.is_empty() {
        let event = Event {
            type_: EventType::Normal,
            reason: "WaitingOnNodeClaimTermination".to_owned(),
            note: Some(waiting(claims)),
            action: "Deleting".to_owned(),
            secondary: None,
        };
        let written = context.events.publish(&event, &class.object_ref(&())).await;
        written.map_err(|source| Error::Event { name, source: Box::new(source) })?;
        return Ok(WHILE_IN_USE);
    }
    let cluster = context.facts.borrow().name.clone();
    delete_profiles(context, class, &cluster).await.map_err(|source| Error::Cloud { name: name.clone(), source })?;
    let deleted = context.cloud.delete_launch_templates(&cluster, &name).await;
    deleted.map_err(|source| Error::LaunchTemplates { name, source })?;
    let rest: Vec<Value> = class.finalizers().iter().filter(|one| *one != FINALIZER).map(|one| json!(one)).collect();
    Ok(after(&patches::metadata(api, class, "finalizers", json!(rest)).await?))
}

/// Names the NodeClaims that keep a class, by name.
fn waiting(claims: &[Arc<NodeClaim>]) -> String {
    let mut names: Vec<String> = claims.iter().map(|claim| claim.name_any()).collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(MOST_NAMES);
    names.truncate(MOST_NAMES);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("NodeClaims still use it: {}{rest}; it goes when they are gone", names.join(", "))
}

/// Deletes the profiles that were made for a class, by Karpenter or by us.
async fn delete_profiles(context: &NodeClassContext, class: &EC2NodeClass, cluster: &str) -> Result<(), DiscoveryError> {
    let uid = class.uid().unwrap_or_default();
    let made = context.cloud.managed_instance_profiles(cluster, Some(&uid)).await?;
    let mut names: BTreeSet<String> = made.into_iter().map(|profile| profile.name).collect();
    // Old versions of Karpenter gave profiles no path.
    let current = class.status.as_ref().and_then(|status| status.instance_profile.clone());
    let is_ours = |name: &String| class.spec.role.is_some() && name.starts_with(&format!("{cluster}_"));
    names.extend(current.filter(is_ours));
    for name in names {
        context.cloud.delete_instance_profile(&name).await?;
    }
    Ok(())
}

/// Deletes the profiles that no class and no NodeClaim of the cluster uses any more; a class that gets another role leaves one. Worth a
/// call every half hour, with all classes and claims.
///
/// # Errors
/// When IAM cannot be asked.
pub async fn collect_instance_profiles(
    context: &NodeClassContext,
    classes: &[Arc<EC2NodeClass>],
    claims: &[Arc<NodeClaim>],
) -> Result<usize, DiscoveryError> {
    let cluster = context.facts.borrow().name.clone();
    let profiles = context.cloud.managed_instance_profiles(&cluster, None).await?;
    let stale = stale_profiles(&profiles, classes, claims, Timestamp::now());
    for name in &stale {
        context.cloud.delete_instance_profile(name).await?;
    }
    Ok(stale.len())
}

/// The profiles that nobody uses. One that is young may be about to be used; a claim that does not say which profile it has may have any.
fn stale_profiles(
    profiles: &[ManagedProfile],
    classes: &[Arc<EC2NodeClass>],
    claims: &[Arc<NodeClaim>],
    now: Timestamp,
) -> Vec<String> {
    if claims.iter().any(|claim| !claim.annotations().contains_key(INSTANCE_PROFILE_ANNOTATION)) {
        return Vec::new();
    }
    let of_claims = claims.iter().filter_map(|claim| claim.annotations().get(INSTANCE_PROFILE_ANNOTATION));
    let of_classes = classes.iter().filter_map(|class| class.status.as_ref()?.instance_profile.as_ref());
    let used: BTreeSet<&String> = of_claims.chain(of_classes).collect();
    let is_stale = |profile: &&ManagedProfile| {
        !used.contains(&profile.name) && profile.created.is_some_and(|created| created + PROTECTED <= now)
    };
    profiles.iter().filter(is_stale).map(|profile| profile.name.clone()).collect()
}
