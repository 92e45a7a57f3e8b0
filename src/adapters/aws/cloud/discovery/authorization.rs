//! Whether the controller may launch what a NodeClass asks for, found out by calls that change nothing.
//!
//! EC2 answers a dry run with `DryRunOperation` when the call would be allowed, and with `UnauthorizedOperation` when not. Any other
//! answer says nothing about permissions: what it complains of shows at the launch itself. No launch template is made for the check, so
//! that a policy that allows fleets with some templates alone is not tested to its end.

use std::collections::BTreeMap;
use std::error::Error;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::{
    FleetLaunchTemplateConfigRequest, FleetLaunchTemplateOverridesRequest, FleetLaunchTemplateSpecificationRequest, FleetType,
    IamInstanceProfileSpecification, InstanceNetworkInterfaceSpecification, InstanceType, LaunchTemplateTagSpecificationRequest,
    RequestLaunchTemplateData, ResourceType, Tag, TagSpecification, TargetCapacitySpecificationRequest,
};

use super::DiscoveryError;
use crate::adapters::aws::cloud::Cloud;
use crate::adapters::aws::error::Problem;
use crate::domain::stable_hash::fnv1a_of_parts;

/// What a launch would ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchProbe {
    /// An instance type that runs the image.
    pub instance_type: String,
    /// The image.
    pub image_id: String,
    /// The subnets in which nodes may start.
    pub subnet_ids: Vec<String>,
    /// The security groups of the nodes.
    pub security_group_ids: Vec<String>,
    /// The instance profile of the nodes.
    pub instance_profile: String,
    /// Tags of everything that is made.
    pub tags: BTreeMap<String, String>,
}

/// A launch that would not be allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// In which step.
    pub reason: RefusalReason,
    /// What AWS said, and how to mend it.
    pub message: String,
}

/// The step that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// `ec2:CreateLaunchTemplate`.
    CreateLaunchTemplate,
    /// `ec2:CreateFleet`.
    CreateFleet,
    /// `ec2:RunInstances`, in every subnet.
    RunInstances,
    /// EC2 does not know the instance profile.
    InstanceProfileNotFound,
}

impl RefusalReason {
    /// The reason of the condition, Karpenter's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateLaunchTemplate => "CreateLaunchTemplateAuthCheckFailed",
            Self::CreateFleet => "CreateFleetAuthCheckFailed",
            Self::RunInstances => "RunInstancesAuthCheckFailed",
            Self::InstanceProfileNotFound => "InstanceProfileNotFound",
        }
    }
}

/// What a dry run says.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Forbidden(DiscoveryError),
    NoSuchProfile(DiscoveryError),
}

impl Cloud {
    /// Asks, without launching, whether a launch would be allowed: the launch template, the fleet, and the instances in one of the
    /// subnets.
    ///
    /// # Errors
    /// When EC2 cannot be asked. Not when it forbids the launch: that is the answer.
    pub async fn authorize(&self, probe: &LaunchProbe) -> Result<Result<(), Refusal>, DiscoveryError> {
        let name =
            format!("supercargo/{:016x}", fnv1a_of_parts(&[&probe.instance_type, &probe.image_id, &probe.instance_profile]));
        let template = self.ec2.create_launch_template().dry_run(true).launch_template_name(&name);
        let template = template.launch_template_data(template_data(probe));
        let template = template.tag_specifications(tag_specification(ResourceType::LaunchTemplate, probe));
        if let Some(refusal) = self.refusal("ec2:CreateLaunchTemplate", template.send().await.err().as_ref())? {
            return Ok(Err(refusal));
        }
        let fleet = self.fleet_request(&name, probe).send().await.err();
        if let Some(refusal) = self.refusal("ec2:CreateFleet", fleet.as_ref())? {
            return Ok(Err(refusal));
        }
        let mut refused = None;
        for subnet in &probe.subnet_ids {
            let answer = self.instance_request(subnet, probe).send().await.err();
            match self.refusal("ec2:RunInstances", answer.as_ref())? {
                None => return Ok(Ok(())),
                Some(refusal) => refused = Some(refusal),
            }
        }
        Ok(refused.map_or(Ok(()), Err))
    }

    fn refusal<E>(&self, action: &'static str, error: Option<&SdkError<E>>) -> Result<Option<Refusal>, DiscoveryError>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let Some(error) = error else { return Ok(None) };
        let made = |reason: RefusalReason, error: &DiscoveryError| Refusal { reason, message: error.to_string() };
        Ok(match verdict(DiscoveryError::from_sdk(&self.region, action, error))? {
            Verdict::Allowed => None,
            Verdict::NoSuchProfile(error) => Some(made(RefusalReason::InstanceProfileNotFound, &error)),
            Verdict::Forbidden(error) => Some(made(
                match action {
                    "ec2:CreateLaunchTemplate" => RefusalReason::CreateLaunchTemplate,
                    "ec2:CreateFleet" => RefusalReason::CreateFleet,
                    _ => RefusalReason::RunInstances,
                },
                &error,
            )),
        })
    }

    fn fleet_request(
        &self,
        template: &str,
        probe: &LaunchProbe,
    ) -> aws_sdk_ec2::operation::create_fleet::builders::CreateFleetFluentBuilder {
        let named = FleetLaunchTemplateSpecificationRequest::builder().launch_template_name(template).version("$Latest").build();
        let overrides = probe.subnet_ids.iter().map(|subnet| {
            let made = FleetLaunchTemplateOverridesRequest::builder().subnet_id(subnet);
            made.instance_type(InstanceType::from(probe.instance_type.as_str())).build()
        });
        let config = FleetLaunchTemplateConfigRequest::builder()
            .launch_template_specification(named)
            .set_overrides(Some(overrides.collect()))
            .build();
        let one = TargetCapacitySpecificationRequest::builder().total_target_capacity(1).build();
        let types = [ResourceType::Instance, ResourceType::Volume, ResourceType::Fleet];
        self.ec2
            .create_fleet()
            .dry_run(true)
            .r#type(FleetType::Instant)
            .launch_template_configs(config)
            .target_capacity_specification(one)
            .set_tag_specifications(Some(types.into_iter().map(|of| tag_specification(of, probe)).collect()))
    }

    fn instance_request(
        &self,
        subnet: &str,
        probe: &LaunchProbe,
    ) -> aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder {
        let interface = InstanceNetworkInterfaceSpecification::builder().device_index(0).subnet_id(subnet);
        let interface = interface.set_groups(Some(probe.security_group_ids.clone())).build();
        let types = [ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface];
        self.ec2
            .run_instances()
            .dry_run(true)
            .min_count(1)
            .max_count(1)
            .instance_type(InstanceType::from(probe.instance_type.as_str()))
            .image_id(&probe.image_id)
            .network_interfaces(interface)
            .iam_instance_profile(IamInstanceProfileSpecification::builder().name(&probe.instance_profile).build())
            .set_tag_specifications(Some(types.into_iter().map(|of| tag_specification(of, probe)).collect()))
    }
}

/// What an answer says about permissions.
fn verdict(error: DiscoveryError) -> Result<Verdict, DiscoveryError> {
    match error.problem {
        Problem::Forbidden => Ok(Verdict::Forbidden(error)),
        // EC2 has no code of its own for a profile that it does not know.
        Problem::Other if error.detail.contains("Invalid IAM Instance Profile") => Ok(Verdict::NoSuchProfile(error)),
        Problem::Other if error.code.is_some() => Ok(Verdict::Allowed),
        _ => Err(error),
    }
}

fn tag_list(probe: &LaunchProbe) -> Vec<Tag> {
    probe.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

fn tag_specification(of: ResourceType, probe: &LaunchProbe) -> TagSpecification {
    TagSpecification::builder().resource_type(of).set_tags(Some(tag_list(probe))).build()
}

fn template_data(probe: &LaunchProbe) -> RequestLaunchTemplateData {
    let tags = LaunchTemplateTagSpecificationRequest::builder().resource_type(ResourceType::NetworkInterface);
    RequestLaunchTemplateData::builder()
        .image_id(&probe.image_id)
        .tag_specifications(tags.set_tags(Some(tag_list(probe))).build())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(problem: Problem, code: Option<&str>, detail: &str) -> DiscoveryError {
        DiscoveryError {
            region: "eu-west-1".to_owned(),
            action: "ec2:RunInstances",
            problem,
            code: code.map(str::to_owned),
            detail: detail.to_owned(),
        }
    }

    #[test]
    fn only_a_refusal_is_a_refusal() {
        let dry_run = answer(Problem::Other, Some("DryRunOperation"), "Request would have succeeded");
        assert_eq!(verdict(dry_run), Ok(Verdict::Allowed));
        let full = answer(Problem::Other, Some("InsufficientInstanceCapacity"), "no room");
        assert_eq!(verdict(full), Ok(Verdict::Allowed));
        let refused = answer(Problem::Forbidden, Some("UnauthorizedOperation"), "no");
        assert_eq!(verdict(refused.clone()), Ok(Verdict::Forbidden(refused)));
        let detail = "InvalidParameterValue (Value (x) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name)";
        let unknown = answer(Problem::Other, Some("InvalidParameterValue"), detail);
        assert_eq!(verdict(unknown.clone()), Ok(Verdict::NoSuchProfile(unknown)));
        assert!(verdict(answer(Problem::Throttled, Some("RequestLimitExceeded"), "slowly")).is_err());
        assert!(verdict(answer(Problem::TimedOut, None, "no answer in time")).is_err());
    }
}
