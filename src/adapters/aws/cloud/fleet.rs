//! Buying one instance: a fleet of the type `instant` over all offerings that will do, of which EC2 takes one.
//!
//! Requests as in the AWS provider of Karpenter v1.15.1 (`pkg/providers/instance`), with two additions that make a launch safe to repeat:
//! the client token is made of the claim's UID and the attempt, and the instance is tagged with the claim as it is made. Requests of
//! several claims are therefore never one, as they are there; [`super::rate_limit`] keeps their number at what EC2 takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use aws_sdk_ec2::operation::create_fleet::CreateFleetOutput;
use aws_sdk_ec2::types::{
    CreateFleetInstance, DefaultTargetCapacityType, FleetLaunchTemplateConfigRequest, FleetLaunchTemplateOverrides,
    FleetLaunchTemplateOverridesRequest, FleetLaunchTemplateSpecificationRequest, FleetOnDemandAllocationStrategy,
    FleetReservationType, FleetType, OnDemandOptionsRequest, ReservedCapacityOptionsRequest, ResourceType,
    SpotAllocationStrategy, SpotOptionsRequest, TagSpecification, TargetCapacitySpecificationRequest,
};

use crate::adapters::aws::cloud::Cloud;
use crate::adapters::aws::cloud::call_error::CallError;
use crate::adapters::aws::cloud::cluster_facts::ClusterFacts;
use crate::adapters::aws::cloud::launch_failure::{FailedOffering, LaunchFailure, NO_ADDRESS, is_lack, reason};
use crate::adapters::aws::cloud::launch_plan::{Group, LaunchRequest, plan};
use crate::adapters::aws::cloud::subnet_ledger::Chosen;
use crate::adapters::aws::cloud::tags;
use crate::adapters::aws::cloud::template::Reservation;
use crate::domain::catalog::CapacityType;

/// On a NodeClaim: its prices are not EC2's, so that the order of the offerings counts and not what EC2 thinks cheap.
const PRICE_OVERLAY_APPLIED: &str = "karpenter.sh/price-overlay-applied";
/// On a NodeClaim: fewer kinds of instances will do than its NodePool asks for.
const MIN_VALUES_RELAXED: &str = "karpenter.sh/nodeclaim-min-values-relaxed";
/// In the message of EC2 where a spread placement group has no place left in a zone.
const SPREAD_IS_FULL: &str = "limit of instances in this spread placement group";
/// The reason for which a launch is tried once more at once.
const TEMPLATE_GONE: &str = "LaunchTemplateNotFound";

/// An instance that was bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// `i-...`.
    pub instance_id: String,
    /// `m7i.large`.
    pub instance_type: String,
    /// Zone name.
    pub zone: String,
    /// Zone id, where the status of the NodeClass has it.
    pub zone_id: Option<String>,
    /// `ami-...`.
    pub image_id: String,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// The profile that it was given.
    pub instance_profile: String,
    /// What EC2 did not deliver on the way.
    pub failed: Vec<FailedOffering>,
}

/// A fleet request, ready to be sent.
struct Fleet<'a> {
    request: &'a LaunchRequest<'a>,
    groups: &'a [Group<'a>],
    /// Names of the templates of the groups.
    templates: &'a [String],
    subnets: &'a BTreeMap<String, Chosen>,
    tags: BTreeMap<String, String>,
    token: String,
}

impl Cloud {
    /// Buys one instance for `request.claim`. Repeating it with the same attempt, in this run of the program or another, never buys a second.
    ///
    /// # Errors
    /// When EC2 has none of the offerings, when the NodeClass is not fit, or when a call fails.
    pub async fn launch(&self, request: &LaunchRequest<'_>, facts: &ClusterFacts) -> Result<Launched, LaunchFailure> {
        let groups = plan(request, facts)?;
        let token = format!("{}-{}", request.claim.metadata.uid.as_deref().unwrap_or_default(), request.attempt);
        let outcome = self.launch_from(request, &groups, token).await;
        if let Err(LaunchFailure::Retry { reason: TEMPLATE_GONE, .. }) = &outcome {
            // The next attempt makes them again.
            let names: Vec<String> = groups.iter().map(|group| group.template.name()).collect();
            self.shared.templates.forget(names.iter().map(String::as_str));
        }
        outcome
    }

    async fn launch_from(
        &self,
        request: &LaunchRequest<'_>,
        groups: &[Group<'_>],
        token: String,
    ) -> Result<Launched, LaunchFailure> {
        let subnets = self.choose_subnets(request, groups);
        if !groups.iter().any(|group| group.offers.iter().any(|offer| subnets.contains_key(&offer.zone))) {
            let message = "no capacity offerings are currently available given the constraints".to_owned();
            return Err(LaunchFailure::InsufficientCapacity { failed: Vec::new(), message });
        }
        let outcome = self.buy(request, groups, &subnets, token).await;
        let used = outcome.as_ref().ok().map(|launched| launched.zone.as_str());
        let failed = match &outcome {
            Ok(launched) => &launched.failed,
            Err(LaunchFailure::InsufficientCapacity { failed, .. } | LaunchFailure::Retry { failed, .. }) => failed,
            Err(LaunchFailure::NodeClassNotReady(_)) => &Vec::new(),
        };
        let mut ledger = self.shared.subnets.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, unused) in subnets.iter().filter(|(zone, _)| used != Some(zone.as_str())) {
            ledger.give_back(unused);
        }
        for subnet in failed.iter().filter(|of| of.code == NO_ADDRESS).filter_map(|of| of.subnet.as_ref()) {
            ledger.is_full(subnet);
        }
        drop(ledger);
        outcome
    }

    fn choose_subnets(&self, request: &LaunchRequest<'_>, groups: &[Group<'_>]) -> BTreeMap<String, Chosen> {
        let mut pods: BTreeMap<String, i64> = BTreeMap::new();
        for offer in groups.iter().flat_map(|group| &group.offers) {
            let least = pods.entry(offer.zone.clone()).or_insert(offer.max_pods);
            *least = offer.max_pods.min(*least);
        }
        let subnets = request.class.status.as_ref().and_then(|status| status.subnets.as_deref()).unwrap_or_default();
        self.shared.subnets.lock().unwrap_or_else(PoisonError::into_inner).choose(subnets, &pods)
    }

    async fn buy(
        &self,
        request: &LaunchRequest<'_>,
        groups: &[Group<'_>],
        subnets: &BTreeMap<String, Chosen>,
        token: String,
    ) -> Result<Launched, LaunchFailure> {
        // First, so that the templates are not idle while the launch waits.
        self.shared.limits.create_fleet.take().await;
        let ensured = groups.iter().map(|group| self.ensure_launch_template(&group.template));
        let templates = futures_util::future::try_join_all(ensured).await.map_err(|error| LaunchFailure::from_call(&error))?;
        let mut tags = groups.first().map(|group| group.template.tags.clone()).unwrap_or_default();
        let of_claim = [(tags::CLAIM, &request.claim.metadata.name), (tags::CLAIM_UID, &request.claim.metadata.uid)];
        tags.extend(of_claim.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?))));
        let fleet = Fleet { request, groups, templates: &templates, subnets, tags, token };
        let answer = fleet.send(&self.buying).await.map_err(|error| LaunchFailure::from_call(&error))?;
        fleet.outcome(&answer)
    }
}

impl Fleet<'_> {
    async fn send(&self, client: &aws_sdk_ec2::Client) -> Result<CreateFleetOutput, CallError> {
        let claim = self.request.claim;
        let annotated =
            |key: &str| claim.metadata.annotations.as_ref().and_then(|given| given.get(key)).is_some_and(|value| value == "true");
        let overlaid = annotated(PRICE_OVERLAY_APPLIED);
        let reservation = self.reservation();
        let context = self.request.class.spec.context.clone().filter(|_| !annotated(MIN_VALUES_RELAXED));
        let target =
            TargetCapacitySpecificationRequest::builder().total_target_capacity(1).default_target_capacity_type(self.target());
        let tagged = [ResourceType::Instance, ResourceType::Volume, ResourceType::Fleet]
            .map(|kind| TagSpecification::builder().resource_type(kind).set_tags(Some(tags::for_ec2(&self.tags))).build());
        let mut call = client
            .create_fleet()
            .r#type(FleetType::Instant)
            .client_token(&self.token)
            .set_context(context)
            .target_capacity_specification(target.build())
            .set_launch_template_configs(Some(self.configs()))
            .set_tag_specifications(Some(tagged.to_vec()));
        if self.request.capacity_type == CapacityType::Spot {
            let strategy = if overlaid {
                SpotAllocationStrategy::CapacityOptimizedPrioritized
            } else {
                SpotAllocationStrategy::PriceCapacityOptimized
            };
            call = call.spot_options(SpotOptionsRequest::builder().allocation_strategy(strategy).build());
        } else if reservation.is_some_and(|of| of.interruptible && !of.capacity_block) {
            let options = ReservedCapacityOptionsRequest::builder();
            call = call.reserved_capacity_options(
                options.reservation_types(FleetReservationType::InterruptibleCapacityReservation).build(),
            );
        } else if reservation.is_none_or(|of| !of.capacity_block) {
            let strategy = if overlaid {
                FleetOnDemandAllocationStrategy::Prioritized
            } else {
                FleetOnDemandAllocationStrategy::LowestPrice
            };
            call = call.on_demand_options(OnDemandOptionsRequest::builder().allocation_strategy(strategy).build());
        }
        call.send().await.map_err(|error| CallError::new("CreateFleet", &error))
    }

    fn reservation(&self) -> Option<&Reservation> {
        self.groups.first().and_then(|group| group.template.reservation.as_ref())
    }

    fn target(&self) -> DefaultTargetCapacityType {
        match (self.request.capacity_type, self.reservation()) {
            (CapacityType::Spot, _) => DefaultTargetCapacityType::Spot,
            (_, Some(Reservation { capacity_block: true, .. })) => DefaultTargetCapacityType::CapacityBlock,
            (_, Some(Reservation { interruptible: true, .. })) => DefaultTargetCapacityType::ReservedCapacity,
            (CapacityType::OnDemand | CapacityType::Reserved, _) => DefaultTargetCapacityType::OnDemand,
        }
    }

    /// The templates with their offerings, zones without a subnet left out.
    fn configs(&self) -> Vec<FleetLaunchTemplateConfigRequest> {
        let mut made = Vec::new();
        for (group, name) in self.groups.iter().zip(self.templates) {
            let mut seen = BTreeSet::new();
            let overrides: Vec<FleetLaunchTemplateOverridesRequest> = group
                .offers
                .iter()
                .filter(|offer| seen.insert((&offer.instance_type, &offer.zone)))
                .filter_map(|offer| {
                    let subnet = self.subnets.get(&offer.zone)?;
                    let made = FleetLaunchTemplateOverridesRequest::builder()
                        .instance_type(offer.instance_type.as_str().into())
                        .subnet_id(&subnet.id)
                        .image_id(&group.template.image)
                        .availability_zone(&offer.zone)
                        .priority(offer.price.dollars());
                    Some(made.build())
                })
                .collect();
            if overrides.is_empty() {
                continue;
            }
            let template = FleetLaunchTemplateSpecificationRequest::builder().launch_template_name(name).version("$Latest");
            let config = FleetLaunchTemplateConfigRequest::builder().launch_template_specification(template.build());
            made.push(config.set_overrides(Some(overrides)).build());
        }
        made
    }

    fn outcome(&self, answer: &CreateFleetOutput) -> Result<Launched, LaunchFailure> {
        let mut failed = self.failed(answer);
        failed.sort();
        failed.dedup();
        let bought = answer.instances().iter().find_map(|instance| Some((instance, instance.instance_ids().first()?)));
        if let Some((instance, id)) = bought {
            return Ok(self.launched(instance, id, failed));
        }
        let mut errors = answer
            .errors()
            .iter()
            .map(|error| (error.error_code().unwrap_or_default(), error.error_message().unwrap_or_default()));
        match errors.clone().find(|(code, message)| !is_lack(code) && !message.contains(SPREAD_IS_FULL)) {
            Some((code, message)) => Err(LaunchFailure::Retry {
                reason: reason(code, message),
                message: format!("CreateFleet launched nothing: {code}: {message}"),
                maybe_launched: false,
                failed,
            }),
            None => Err(match errors.next() {
                // Nothing that another plan could leave out.
                None => LaunchFailure::retry("LaunchFailed", "CreateFleet launched nothing and did not say why"),
                Some((code, message)) => {
                    let message = format!("none of {} offerings could be launched; {code}: {message}", failed.len());
                    LaunchFailure::InsufficientCapacity { failed, message }
                }
            }),
        }
    }

    fn launched(&self, instance: &CreateFleetInstance, id: &str, failed: Vec<FailedOffering>) -> Launched {
        let overrides = instance.launch_template_and_overrides().and_then(|of| of.overrides());
        let subnet = overrides.and_then(FleetLaunchTemplateOverrides::subnet_id);
        let zone_of_subnet =
            || self.subnets.iter().find(|(_, chosen)| Some(chosen.id.as_str()) == subnet).map(|(zone, _)| zone.as_str());
        let zone =
            overrides.and_then(FleetLaunchTemplateOverrides::availability_zone).or_else(zone_of_subnet).unwrap_or_default();
        let first = self.groups.first().map(|group| &group.template);
        let image = overrides.and_then(FleetLaunchTemplateOverrides::image_id).or(first.map(|of| of.image.as_str()));
        let instance_type = instance.instance_type().or_else(|| overrides.and_then(|of| of.instance_type()));
        Launched {
            instance_id: id.to_owned(),
            instance_type: instance_type.map(|name| name.as_str().to_owned()).unwrap_or_default(),
            zone: zone.to_owned(),
            zone_id: self.subnets.get(zone).and_then(|chosen| chosen.zone_id.clone()),
            image_id: image.unwrap_or_default().to_owned(),
            capacity_type: self.request.capacity_type,
            instance_profile: first.map(|of| of.instance_profile.clone()).unwrap_or_default(),
            failed,
        }
    }

    fn failed(&self, answer: &CreateFleetOutput) -> Vec<FailedOffering> {
        let mut made = Vec::new();
        for error in answer.errors() {
            let Some(tried) = error.launch_template_and_overrides().and_then(|of| of.overrides()) else { continue };
            let zone = tried.availability_zone().unwrap_or_default();
            let code = error.error_code().unwrap_or_default();
            let fail = |instance_type: &str, code: &str| FailedOffering {
                instance_type: instance_type.to_owned(),
                zone: zone.to_owned(),
                capacity_type: self.request.capacity_type,
                code: code.to_owned(),
                subnet: tried.subnet_id().map(str::to_owned),
                reservation: self.reservation().map(|of| of.id.clone()),
            };
            if error.error_message().is_some_and(|message| message.contains(SPREAD_IS_FULL)) {
                // No other type would find a place in the zone either.
                let there = self.request.offers.iter().filter(|offer| offer.zone == zone);
                made.extend(there.map(|offer| fail(&offer.instance_type, "InsufficientInstanceCapacity")));
            } else {
                made.push(fail(tried.instance_type().map_or("", |name| name.as_str()), code));
            }
        }
        made
    }
}
