//! From a NodeClaim to an instance, bought once whatever happens.
//!
//! The claim exists before anything is bought; the request carries a token made of its UID and of the number of the attempt, and the
//! instance carries the UID as a tag. So an attempt whose outcome nobody knows (an answer that was lost, a program that was killed) is
//! repeated with the same token, or its instance is found by the tag. Only an attempt that is known to have bought nothing is followed by
//! one with another token.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::{Error, SOON, Step, give_up, pool_of, waits, write_status, written};
use crate::adapters::aws::cloud::{FailedOffering, Instance, LaunchFailure, LaunchOffer, LaunchRequest, Launched};
use crate::adapters::kube::conditions::{ConditionStatus, Conditioned as _};
use crate::adapters::kube::crd::{EC2NodeClass, NodeClaim};
use crate::controllers::offers::{Markets, Offer, PoolMarket, quantities};
use crate::controllers::operations::metrics::{CloudCall, CloudError, DisruptionReason, LaunchFailure as FailedLaunch};
use crate::controllers::patches;
use crate::controllers::world::World;
use crate::domain::annotations;
use crate::domain::catalog::CapacityType;
use crate::domain::catalog::unavailable::Scope;
use crate::domain::labels;
use crate::planning::MarketType;

/// The condition of this step.
pub(super) const LAUNCHED: &str = "Launched";
/// Types in one request at most (AWS provider of Karpenter v1.15.1).
const MOST_TYPES: usize = 60;
/// Resources of types that are bought only for pods that ask for them.
const EXOTIC: [&str; 5] =
    ["nvidia.com/gpu", "amd.com/gpu", "aws.amazon.com/neuron", "aws.amazon.com/neuroncore", "habana.ai/gaudi"];
/// How long an instance may stay invisible after it was launched: EC2 is eventually consistent.
const INVISIBLE: Duration = Duration::from_secs(60);
/// Between attempts, doubled each time (Karpenter: 1 s to 1 min).
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const CONTROLLER: &str = "nodeclaim.lifecycle";

/// On a NodeClaim: which attempt to launch it is the last one, from 0.
const ATTEMPT: &str = "supercargo.io/launch-attempt";

/// What this process knows of its attempts, by the UIDs of the claims. Not needed to be right, only to ask EC2 less often.
#[derive(Debug, Default)]
pub(crate) struct Launches(Mutex<BTreeMap<String, Attempt>>);

#[derive(Clone, Debug, Default)]
struct Attempt {
    number: u32,
    failures: u32,
    /// Since when an instance may exist that nobody has seen; `None`: there is none.
    uncertain: Option<Instant>,
    /// Not before this moment is EC2 asked again.
    not_before: Option<Instant>,
    /// What was bought: caches may not know yet that it was written.
    done: Option<Launched>,
}

impl Launches {
    /// A claim that this process has just created: nothing was bought for it.
    pub(crate) fn created(&self, uid: &str) {
        self.change(uid, |_| {});
    }

    /// Forgets claims that are gone.
    pub(crate) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| is_there(uid));
    }

    /// The attempt of a claim. One that another process created may have been launched by it.
    fn get(&self, uid: &str) -> Attempt {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(uid).cloned().unwrap_or_else(|| Attempt { uncertain: Some(Instant::now()), ..Attempt::default() })
    }

    fn change(&self, uid: &str, change: impl FnOnce(&mut Attempt)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(uid.to_owned()).or_default());
    }
}

pub(super) async fn launch(world: &World, claim: NodeClaim) -> Result<Step, Error> {
    if claim.is_true(LAUNCHED) {
        return Ok(Step::Next(Box::new(claim)));
    }
    let uid = claim.uid().unwrap_or_default();
    let attempt = world.launches.get(&uid);
    let Some(class) = world.mirror.node_class(&claim.spec.node_class_ref.name) else {
        let note = format!("Failed resolving NodeClass: there is no EC2NodeClass `{}`", claim.spec.node_class_ref.name);
        world.events.warning(&claim, "NodeClassNotFound", &note);
        give_up(world, &claim, DisruptionReason::InsufficientCapacity).await?;
        return Ok(Step::Wait(SOON));
    };
    let Some(catalog) = world.prices.catalog() else {
        let why = "there is no catalog of the region yet";
        return waits(world, &claim, (LAUNCHED, "InstanceTypeResolutionFailed", why), SOON).await;
    };
    let Some(market) = Markets::of(world, &catalog).of_claim(&claim) else {
        give_up_unready(world, &claim, "the EC2NodeClass has a field that cannot be used; its conditions say which").await?;
        return Ok(Step::Wait(SOON));
    };
    let launched = match attempt.done {
        Some(launched) => launched,
        None => match find_or_buy(world, &claim, &class, &market, &attempt).await? {
            Bought::Instance(launched) => launched,
            Bought::Nothing(step) => return Ok(step),
        },
    };
    record(world, claim, &class, &market, &launched).await
}

enum Bought {
    Instance(Launched),
    Nothing(Step),
}

async fn find_or_buy(
    world: &World,
    claim: &NodeClaim,
    class: &EC2NodeClass,
    market: &PoolMarket,
    attempt: &Attempt,
) -> Result<Bought, Error> {
    let uid = claim.uid().unwrap_or_default();
    if let Some(left) =
        attempt.not_before.map(|moment| moment.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    {
        return Ok(Bought::Nothing(Step::Wait(left)));
    }
    if let Some(since) = attempt.uncertain {
        let alive = |instance: &Instance| !matches!(instance.state.as_str(), "terminated" | "shutting-down");
        let found = world.cloud.find_by_claim(&uid).await?;
        if let Some(instance) = found.into_iter().filter(alive).min_by_key(|instance| (instance.launched, instance.id.clone())) {
            tracing::info!(claim = claim.name_any(), instance = instance.id, "found the instance of an earlier launch");
            let launched = adopted(&instance, class);
            world.launches.change(&uid, |attempt| attempt.done = Some(launched.clone()));
            return Ok(Bought::Instance(launched));
        }
        if attempt.failures > 0 && since.elapsed() > INVISIBLE {
            world.launches.change(&uid, |attempt| {
                attempt.number += 1;
                attempt.uncertain = None;
            });
        }
    }
    let attempt = world.launches.get(&uid);
    let number = attempt.number.max(noted_attempt(claim));
    if number > noted_attempt(claim) {
        // Whoever goes on after this process begins where it was.
        let noted = [(ATTEMPT.to_owned(), number.to_string())].into();
        patches::annotate(&Api::all(world.kube.clone()), claim, &noted).await?;
    }
    world.launches.change(&uid, |attempt| attempt.number = number);
    let Some(request) = request(claim, class, market, world, number) else {
        let failure = LaunchFailure::InsufficientCapacity {
            failed: Vec::new(),
            message: "all requested instance types were unavailable during launch".to_owned(),
        };
        return failed(world, claim, failure).await.map(Bought::Nothing);
    };
    if !world.may_act() {
        return Ok(Bought::Nothing(Step::Wait(SOON)));
    }
    let facts = world.facts.borrow().clone();
    let start = Instant::now();
    let answer = world.cloud.launch(&request, &facts).await;
    world.metrics.cloud.called(CONTROLLER, CloudCall::Create, start.elapsed());
    match answer {
        Ok(launched) => {
            remember_failures(world, &launched.failed);
            world.prices.succeeded(&Scope::Offering {
                capacity_type: launched.capacity_type,
                instance_type: launched.instance_type.clone(),
                zone: launched.zone.clone(),
            });
            world.launches.change(&uid, |attempt| attempt.done = Some(launched.clone()));
            tell_fallback(world, claim, &request, &launched);
            Ok(Bought::Instance(launched))
        }
        Err(failure) => failed(world, claim, failure).await.map(Bought::Nothing),
    }
}

/// The last attempt that was begun, whoever began it.
fn noted_attempt(claim: &NodeClaim) -> u32 {
    claim.annotations().get(ATTEMPT).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// What an instance is that was bought before.
fn adopted(instance: &Instance, class: &EC2NodeClass) -> Launched {
    let subnets = class.status.as_ref().and_then(|status| status.subnets.as_deref()).unwrap_or_default();
    Launched {
        instance_id: instance.id.clone(),
        instance_type: instance.instance_type.clone(),
        zone: instance.zone.clone(),
        zone_id: subnets.iter().find(|subnet| subnet.zone == instance.zone).and_then(|subnet| subnet.zone_id.clone()),
        image_id: instance.image_id.clone(),
        capacity_type: instance.capacity_type,
        instance_profile: class.status.as_ref().and_then(|status| status.instance_profile.clone()).unwrap_or_default(),
        failed: Vec::new(),
    }
}

/// What is asked of EC2; `None` where nothing that would do can be had.
fn request<'a>(
    claim: &'a NodeClaim,
    class: &'a EC2NodeClass,
    market: &PoolMarket,
    world: &World,
    attempt: u32,
) -> Option<LaunchRequest<'a>> {
    let offers = without_exotic(claim, market.offers(claim));
    let capacity_type = capacity_type(claim, &offers)?;
    let mut offers: Vec<&Offer<'_>> = offers.iter().filter(|offer| offer.capacity_type == capacity_type).collect();
    if capacity_type == CapacityType::Reserved {
        // One reservation, the first of the cheapest.
        let id = offers.first()?.reservation;
        offers.retain(|offer| offer.reservation == id);
    }
    let reservation = offers.first()?.reservation.map(str::to_owned);
    let mut types: Vec<&str> = Vec::new();
    for offer in &offers {
        if !types.contains(&offer.instance_type.name.as_str()) {
            types.push(&offer.instance_type.name);
        }
    }
    types.truncate(MOST_TYPES);
    let catalog = world.prices.catalog()?;
    let offers = offers
        .iter()
        .filter(|offer| types.contains(&offer.instance_type.name.as_str()))
        .filter_map(|offer| {
            let instance_type = catalog.get(&offer.instance_type.name)?;
            let class = (&market.class, world.cloud.region());
            Some(LaunchOffer::new(instance_type, offer.zone, offer.price, class, &world.prices.settings))
        })
        .collect();
    Some(LaunchRequest { claim, class, capacity_type, offers, dedicated: is_dedicated(claim), reservation, attempt })
}

/// Without types that are dear because of what no pod here asks for, and bare metal, unless nothing is left then.
fn without_exotic<'a>(claim: &NodeClaim, mut offers: Vec<Offer<'a>>) -> Vec<Offer<'a>> {
    if claim.spec.requirements.iter().any(|requirement| requirement.min_values.is_some()) {
        return offers;
    }
    let is_exotic = |of: &MarketType| of.name.contains("metal") || EXOTIC.iter().any(|resource| of.capacity.get(resource) > 0);
    if offers.iter().any(|offer| !is_exotic(offer.instance_type)) {
        offers.retain(|offer| !is_exotic(offer.instance_type));
    }
    // Spot that costs more than the cheapest On-Demand is nobody's bargain.
    let cheapest = offers.iter().filter(|offer| offer.capacity_type == CapacityType::OnDemand).map(|offer| offer.price).min();
    if let Some(cheapest) = cheapest
        && offers.iter().any(|offer| offer.capacity_type == CapacityType::Spot && offer.price <= cheapest)
    {
        offers.retain(|offer| offer.capacity_type != CapacityType::Spot || offer.price <= cheapest);
    }
    offers
}

/// How the instance is paid for: as the plan has it, whose first choice the claim names first; for a claim that somebody else wrote,
/// reserved before Spot before On-Demand, as Karpenter does.
fn capacity_type(claim: &NodeClaim, offers: &[Offer<'_>]) -> Option<CapacityType> {
    let mut order = vec![CapacityType::Reserved, CapacityType::Spot, CapacityType::OnDemand];
    if claim.annotations().contains_key(annotations::PLAN) {
        let named = claim.spec.requirements.iter().find(|requirement| requirement.key == labels::CAPACITY_TYPE);
        let planned: Vec<CapacityType> = named
            .and_then(|named| named.values.as_ref())
            .into_iter()
            .flatten()
            .filter_map(|text| CapacityType::parse(text))
            .collect();
        order.sort_by_key(|kind| planned.iter().position(|of| of == kind).unwrap_or(planned.len()));
    }
    order.into_iter().find(|kind| offers.iter().any(|offer| offer.capacity_type == *kind))
}

/// Whether only hardware will do that is not shared.
fn is_dedicated(claim: &NodeClaim) -> bool {
    let wanted = claim.spec.requirements.iter().find(|requirement| requirement.key == labels::TENANCY);
    wanted.and_then(|wanted| wanted.values.as_deref()).is_some_and(|values| values == ["dedicated"])
}

/// Writes what was bought into the claim.
async fn record(
    world: &World,
    claim: NodeClaim,
    class: &EC2NodeClass,
    market: &PoolMarket,
    launched: &Launched,
) -> Result<Step, Error> {
    let bought = market.market.types.iter().find(|of| of.name == launched.instance_type);
    let mut given: BTreeMap<String, String> = BTreeMap::new();
    if let Some(bought) = bought {
        for (key, requirement) in bought.requirements.iter() {
            if let Some(only) = requirement.finite().filter(|values| values.len() == 1).and_then(|values| values.first()) {
                given.insert(key.to_owned(), only.clone());
            }
        }
    }
    given.insert(labels::INSTANCE_TYPE.to_owned(), launched.instance_type.clone());
    given.insert(labels::ZONE.to_owned(), launched.zone.clone());
    given.insert(labels::REGION.to_owned(), world.cloud.region().to_owned());
    given.insert(labels::CAPACITY_TYPE.to_owned(), launched.capacity_type.as_str().to_owned());
    if let Some(id) = &launched.zone_id {
        given.insert(labels::ZONE_ID.to_owned(), id.clone());
    }
    // What the claim says itself counts more.
    given.extend(claim.labels().clone());
    let mut noted: BTreeMap<&str, String> = BTreeMap::new();
    for hash in ["karpenter.k8s.aws/ec2nodeclass-hash", "karpenter.k8s.aws/ec2nodeclass-hash-version"] {
        if let Some(value) = class.annotations().get(hash) {
            noted.insert(hash, value.clone());
        }
    }
    noted.insert("karpenter.k8s.aws/instance-profile-name", launched.instance_profile.clone());
    let patch = json!({"metadata": {"labels": given, "annotations": noted}});
    let api: Api<NodeClaim> = Api::all(world.kube.clone());
    let claim = match api.patch(&claim.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await {
        Ok(now) => now,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Step::Wait(SOON)),
        Err(source) => return Err(Error::kube("labelling a NodeClaim")(source)),
    };
    let now = Timestamp::now();
    let mut conditions = claim.conditions(now);
    conditions.set_true(LAUNCHED, now);
    let outcome = write_status(world, &claim, conditions, |status| {
        status.provider_id = Some(format!("aws:///{}/{}", launched.zone, launched.instance_id));
        status.image_id = Some(launched.image_id.clone());
        if let Some(bought) = bought {
            status.capacity = Some(quantities(&bought.capacity));
            status.allocatable = Some(quantities(&bought.allocatable));
        }
    })
    .await?;
    tracing::info!(
        claim = claim.name_any(),
        instance = launched.instance_id,
        instance_type = launched.instance_type,
        zone = launched.zone,
        capacity_type = launched.capacity_type.as_str(),
        "launched nodeclaim"
    );
    Ok(written(outcome))
}

fn remember_failures(world: &World, failed: &[FailedOffering]) {
    world.prices.failed(failed.iter().filter_map(FailedOffering::scope));
    for one in failed {
        world.metrics.cloud.launch_failed(&FailedLaunch {
            zone: &one.zone,
            zone_id: "",
            capacity_type: one.capacity_type,
            reason: &one.code,
        });
    }
}

/// Says what a stock-out cost where EC2 gave another offering than the cheapest that was asked for.
fn tell_fallback(world: &World, claim: &NodeClaim, request: &LaunchRequest<'_>, launched: &Launched) {
    let price = |instance_type: &str, zone: &str| {
        let found = request.offers.iter().find(|offer| offer.instance_type == instance_type && offer.zone == zone);
        found.map(|offer| offer.price)
    };
    let Some(paid) = price(&launched.instance_type, &launched.zone) else { return };
    let missed =
        launched.failed.iter().filter_map(|one| Some((price(&one.instance_type, &one.zone)?, one))).min_by_key(|of| of.0);
    if let Some((cheapest, one)) = missed
        && cheapest < paid
    {
        let note = format!(
            "{} in {} was not to be had ({}); launched {} in {} instead, which costs ${:.4}/h more",
            one.instance_type,
            one.zone,
            one.code,
            launched.instance_type,
            launched.zone,
            (paid - cheapest).dollars()
        );
        world.events.warning(claim, "OfferingUnavailable", &note);
    }
}

async fn give_up_unready(world: &World, claim: &NodeClaim, message: &str) -> Result<(), Error> {
    world.events.warning(claim, "NodeClassNotReady", message);
    world.metrics.cloud.failed(CONTROLLER, CloudCall::Create, CloudError::NodeClassNotReady, pool_of(claim));
    give_up(world, claim, DisruptionReason::NodeClassNotReady).await
}

async fn failed(world: &World, claim: &NodeClaim, failure: LaunchFailure) -> Result<Step, Error> {
    let uid = claim.uid().unwrap_or_default();
    match failure {
        LaunchFailure::InsufficientCapacity { failed, message } => {
            remember_failures(world, &failed);
            world.metrics.cloud.failed(CONTROLLER, CloudCall::Create, CloudError::InsufficientCapacity, pool_of(claim));
            let mut tried: Vec<String> =
                failed.iter().map(|of| format!("{} in {} ({})", of.instance_type, of.zone, of.code)).collect();
            tried.sort();
            tried.dedup();
            let tried = if tried.is_empty() { String::new() } else { format!(": {}", tried.join(", ")) };
            let note = format!("{message}{tried}; its pods are planned again without these offerings");
            world.events.warning(claim, "InsufficientCapacityError", &note);
            world.losses.note(claim);
            give_up(world, claim, DisruptionReason::InsufficientCapacity).await?;
            // At once where the next plan has something to leave out; the same plan again would only fail again.
            if failed.iter().any(|of| of.scope().is_some()) {
                world.plan_again(&claim.name_any());
            }
            Ok(Step::Wait(SOON))
        }
        LaunchFailure::NodeClassNotReady(message) => {
            give_up_unready(world, claim, &message).await?;
            Ok(Step::Wait(SOON))
        }
        LaunchFailure::Retry { reason, message, maybe_launched, failed } => {
            remember_failures(world, &failed);
            world.metrics.cloud.failed(CONTROLLER, CloudCall::Create, CloudError::Other, pool_of(claim));
            let mut pause = FIRST_PAUSE;
            world.launches.change(&uid, |attempt| {
                pause = FIRST_PAUSE.saturating_mul(1 << attempt.failures.min(6)).min(LONGEST_PAUSE);
                attempt.failures += 1;
                attempt.not_before = Some(Instant::now() + pause);
                if maybe_launched {
                    attempt.uncertain = Some(Instant::now());
                } else {
                    // The answer says that nothing was bought; EC2 would repeat it to the same token.
                    attempt.number += 1;
                    attempt.uncertain = None;
                }
            });
            tracing::warn!(claim = claim.name_any(), reason, message, maybe_launched, "launch failed");
            let mut conditions = claim.conditions(Timestamp::now());
            let short: String = message.chars().take(1_024).collect();
            conditions.set(LAUNCHED, ConditionStatus::Unknown, reason, &short, Timestamp::now());
            write_status(world, claim, conditions, |_| {}).await?;
            Ok(Step::Wait(pause))
        }
    }
}

/// The provider's id of a claim that is launched.
pub(crate) fn provider_id(claim: &NodeClaim) -> Option<&str> {
    claim.status.as_ref().and_then(|status| status.provider_id.as_deref()).filter(|id| !id.is_empty())
}

/// The instance's id out of the provider's.
pub(crate) fn instance_id(provider_id: &str) -> Option<&str> {
    provider_id.rsplit('/').next().filter(|id| id.starts_with("i-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_of_another_process_may_have_been_launched() {
        let launches = Launches::default();
        assert!(launches.get("a").uncertain.is_some());
        launches.created("a");
        assert!(launches.get("a").uncertain.is_none());
        // Hearing of its creation once more takes nothing back.
        launches.change("a", |attempt| attempt.number = 2);
        launches.created("a");
        assert_eq!(launches.get("a").number, 2);
        launches.retain(|uid| uid != "a");
        assert!(launches.get("a").uncertain.is_some());
    }

    #[test]
    fn instances_are_named_by_the_end_of_the_providers_id() {
        assert_eq!(instance_id("aws:///us-east-1a/i-0abc"), Some("i-0abc"));
        assert_eq!(instance_id("kind://docker/node"), None);
    }
}
