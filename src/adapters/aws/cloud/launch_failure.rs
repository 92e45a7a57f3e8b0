//! Why a launch came to nothing, sorted by what the controller does about it.
//!
//! Codes and reasons are those of the AWS provider of Karpenter v1.15.1 (`pkg/errors`, `pkg/providers/instance`).

use crate::adapters::aws::cloud::call_error::CallError;
use crate::domain::catalog::CapacityType;
use crate::domain::catalog::unavailable::Scope;

/// Codes that say that EC2 has no such instance for us now.
const CAPACITY: &[&str] = &[
    "InsufficientFreeAddressesInSubnet",
    "InsufficientInstanceCapacity",
    "InvalidCapacityReservationState.Unavailable",
    "MaxFleetCountExceeded",
    "MaxSpotInstanceCountExceeded",
    "ReservationCapacityExceeded",
    "SpotMaxPriceTooLow",
    "UnfulfillableCapacity",
    "Unsupported",
    "VcpuLimitExceeded",
];
/// The account has no role for Spot and may not create it.
const NO_SPOT_ROLE: &str = "AuthFailure.ServiceLinkedRoleCreationNotPermitted";
/// A subnet without a free address.
pub(super) const NO_ADDRESS: &str = "InsufficientFreeAddressesInSubnet";

/// An offering that EC2 did not deliver, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailedOffering {
    /// `m7i.large`.
    pub instance_type: String,
    /// Zone name.
    pub zone: String,
    /// How it was to be paid for.
    pub capacity_type: CapacityType,
    /// The code of EC2.
    pub code: String,
    /// The subnet that was tried.
    pub subnet: Option<String>,
    /// The capacity reservation that was tried.
    pub reservation: Option<String>,
}

impl FailedOffering {
    /// What is to be left alone for a while; `None` where the failure says nothing of what EC2 has.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        match (self.code.as_str(), &self.subnet, &self.reservation) {
            (NO_SPOT_ROLE, ..) => Some(Scope::CapacityType(CapacityType::Spot)),
            // The type can still be had in another subnet of the zone.
            (NO_ADDRESS, Some(subnet), _) => Some(Scope::Subnet(subnet.clone())),
            (code, ..) if !is_capacity(code) => None,
            (_, _, Some(reservation)) => Some(Scope::Reservation(reservation.clone())),
            _ => Some(Scope::Offering {
                capacity_type: self.capacity_type,
                instance_type: self.instance_type.clone(),
                zone: self.zone.clone(),
            }),
        }
    }
}

/// Why there is no instance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchFailure {
    /// EC2 has none of the offerings: the claim is given up, and its pods are planned again without them.
    #[error("{message}")]
    InsufficientCapacity {
        /// What was tried.
        failed: Vec<FailedOffering>,
        /// A sentence for people.
        message: String,
    },
    /// The EC2NodeClass is not fit to launch from.
    #[error("{0}")]
    NodeClassNotReady(String),
    /// Something that may pass or be mended; the claim stays.
    #[error("{message}")]
    Retry {
        /// A word for programs, as Karpenter's condition `Launched` has it.
        reason: &'static str,
        /// A sentence for people.
        message: String,
        /// Whether an instance may exist all the same. Look for it by the claim's UID before the next attempt.
        maybe_launched: bool,
        /// Offerings that failed for lack of capacity besides.
        failed: Vec<FailedOffering>,
    },
}

impl LaunchFailure {
    /// A failure in which nothing can have been launched.
    pub(super) fn retry(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Retry { reason, message: message.into(), maybe_launched: false, failed: Vec::new() }
    }

    /// A call that failed as a whole.
    pub(super) fn from_call(error: &CallError) -> Self {
        // The token was used before: by this claim, so what it bought is this claim's.
        let maybe_launched = error.call == "CreateFleet" && (error.maybe_done || error.code == "IdempotentParameterMismatch");
        let (reason, message) = (reason(&error.code, &error.message), error.to_string());
        Self::Retry { reason, message, maybe_launched, failed: Vec::new() }
    }
}

/// Whether a code says that there is no such instance now, or no way to pay for it so.
pub(super) fn is_lack(code: &str) -> bool {
    is_capacity(code) || code == NO_SPOT_ROLE
}

fn is_capacity(code: &str) -> bool {
    CAPACITY.contains(&code)
}

/// The reason that Karpenter gives for an error of EC2: the first whose words are in its code or message.
pub(super) fn reason(code: &str, message: &str) -> &'static str {
    let text = format!("{code}: {message}");
    let says = |words: &str| text.contains(words);
    let unauthorized = ["UnauthorizedOperation", "AccessDenied", "AuthFailure"].iter().any(|words| says(words));
    match () {
        () if says(NO_SPOT_ROLE) => "SpotSLRCreationFailed",
        () if unauthorized && says("Not authorized for images") => "AMIAuthorizationFailure",
        () if unauthorized => "Unauthorized",
        () if says("InvalidParameter") && says("belong to different networks") => "SecurityGroupSubnetVPCMismatch",
        () if says("iamInstanceProfile.name is invalid") => "InstanceProfileNameInvalid",
        () if says("InvalidLaunchTemplateId.NotFound") || says("InvalidLaunchTemplateName.NotFound") => "LaunchTemplateNotFound",
        () if says("User data is limited to") => "UserDataSizeLimitExceeded",
        () if says("InvalidAMIID.Malformed") => "InvalidAMIID",
        () if says("InvalidAMIID.NotFound") => "AMINotFound",
        () if says("RequestLimitExceeded") => "RequestLimitExceeded",
        () if says("InternalError") => "InternalError",
        () if says("not eligible for Free Tier") => "FreeTierIneligible",
        () if says("MaxFleetCountExceeded") => "FleetQuotaExceeded",
        () if says("PendingVerification") => "AccountPendingVerification",
        () if says("MaxSpotInstanceCountExceeded") => "SpotQuotaExceeded",
        () if says("VcpuLimitExceeded") => "VCPULimitExceeded",
        () if says(NO_ADDRESS) => NO_ADDRESS,
        () => "LaunchFailed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_karpenters_reasons() {
        for (code, message, expected) in [
            ("UnauthorizedOperation", "You are not authorized", "Unauthorized"),
            ("AuthFailure", "Not authorized for images: [ami-1]", "AMIAuthorizationFailure"),
            (NO_SPOT_ROLE, "", "SpotSLRCreationFailed"),
            ("InvalidParameter", "sg-1 and subnet-1 belong to different networks", "SecurityGroupSubnetVPCMismatch"),
            ("InvalidLaunchTemplateName.NotFoundException", "", "LaunchTemplateNotFound"),
            ("RequestLimitExceeded", "", "RequestLimitExceeded"),
            ("SomethingNew", "", "LaunchFailed"),
        ] {
            assert_eq!(reason(code, message), expected, "{code}");
        }
    }

    #[test]
    fn a_failure_says_what_to_leave_alone() {
        let failed = |code: &str, reservation: Option<&str>| FailedOffering {
            instance_type: "m5.large".to_owned(),
            zone: "us-east-1a".to_owned(),
            capacity_type: if reservation.is_some() { CapacityType::Reserved } else { CapacityType::Spot },
            code: code.to_owned(),
            subnet: Some("subnet-1".to_owned()),
            reservation: reservation.map(str::to_owned),
        };
        let offering = Scope::Offering {
            capacity_type: CapacityType::Spot,
            instance_type: "m5.large".to_owned(),
            zone: "us-east-1a".to_owned(),
        };
        assert_eq!(failed("InsufficientInstanceCapacity", None).scope(), Some(offering));
        assert_eq!(failed(NO_ADDRESS, None).scope(), Some(Scope::Subnet("subnet-1".to_owned())));
        assert_eq!(failed(NO_SPOT_ROLE, None).scope(), Some(Scope::CapacityType(CapacityType::Spot)));
        let reservation = failed("ReservationCapacityExceeded", Some("cr-1")).scope();
        assert_eq!(reservation, Some(Scope::Reservation("cr-1".to_owned())));
        assert_eq!(failed("UnauthorizedOperation", None).scope(), None);
    }

    #[test]
    fn only_a_fleet_without_a_clear_refusal_may_have_bought_something() {
        let call = |call, code: &str, maybe_done| CallError { call, code: code.to_owned(), message: String::new(), maybe_done };
        for (error, expected) in [
            (call("CreateFleet", "", true), true),
            (call("CreateFleet", "IdempotentParameterMismatch", false), true),
            (call("CreateFleet", "RequestLimitExceeded", false), false),
            (call("CreateLaunchTemplate", "", true), false),
        ] {
            let LaunchFailure::Retry { maybe_launched, .. } = LaunchFailure::from_call(&error) else { panic!("{error}") };
            assert_eq!(maybe_launched, expected, "{error}");
        }
    }
}
