//! Calls to the cloud, what failed, and what the cloud sells.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

use super::{Durations, durations_by};
use crate::domain::catalog::CapacityType;
use crate::domain::money::UsdPerHour;

/// Karpenter's name of the cloud.
const PROVIDER: &str = "aws";

/// One call to the cloud. The words are the names of Karpenter's methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudCall {
    /// An instance is launched.
    Create,
    /// An instance is ended.
    Delete,
    /// One instance is looked up.
    Get,
    /// All instances of the cluster are listed.
    List,
    /// The catalog is brought up to date.
    GetInstanceTypes,
}

impl CloudCall {
    fn as_str(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Delete => "Delete",
            Self::Get => "Get",
            Self::List => "List",
            Self::GetInstanceTypes => "GetInstanceTypes",
        }
    }
}

/// What a failed call says. The words are the names of Karpenter's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudError {
    /// There is no such instance.
    NotFound,
    /// The EC2NodeClass is not ready.
    NodeClassNotReady,
    /// None of the offerings is to be had.
    InsufficientCapacity,
    /// Anything else.
    Other,
}

impl CloudError {
    fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "NodeClaimNotFoundError",
            Self::NodeClassNotReady => "NodeClassNotReadyError",
            Self::InsufficientCapacity => "InsufficientCapacityError",
            Self::Other => "",
        }
    }
}

/// An offering that could not be launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchFailure<'a> {
    /// Zone by name.
    pub zone: &'a str,
    /// Zone by id, which is the same in every account.
    pub zone_id: &'a str,
    /// How it would have been paid for.
    pub capacity_type: CapacityType,
    /// The code of EC2's error.
    pub reason: &'a str,
}

/// An offering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferingLabels<'a> {
    /// Instance type.
    pub instance_type: &'a str,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// Zone.
    pub zone: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    controller: &'static str,
    method: &'static str,
    provider: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    controller: &'static str,
    method: &'static str,
    provider: &'static str,
    error: &'static str,
    nodepool: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    zone: String,
    zone_id: String,
    capacity_type: &'static str,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOffering {
    instance_type: String,
    capacity_type: &'static str,
    zone: String,
}

/// Calls to the cloud.
#[derive(Debug)]
pub struct CloudMetrics {
    durations: Durations<CallLabels>,
    errors: Family<ErrorLabels, Counter>,
    launch_failures: Family<FailureLabels, Counter>,
    available: Family<ByOffering, Gauge>,
    prices: Family<ByOffering, Gauge<f64, AtomicU64>>,
}

impl CloudMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let made = Self {
            durations: durations_by(),
            errors: Family::default(),
            launch_failures: Family::default(),
            available: Family::default(),
            prices: Family::default(),
        };
        registry.register("cloudprovider_duration_seconds", "Seconds that calls to the cloud took", made.durations.clone());
        registry.register("cloudprovider_errors", "Calls to the cloud that failed", made.errors.clone());
        registry.register(
            "cloudprovider_instance_launch_failures",
            "Offerings that could not be launched, by the code of EC2's error",
            made.launch_failures.clone(),
        );
        registry.register(
            "cloudprovider_instance_type_offering_available",
            "Whether an offering is believed to be had: 1 or 0",
            made.available.clone(),
        );
        registry.register(
            "cloudprovider_instance_type_offering_price_estimate",
            "Price of an offering that plans count with, in dollars per hour",
            made.prices.clone(),
        );
        made
    }

    /// `controller` made a call.
    pub fn called(&self, controller: &'static str, call: CloudCall, took: Duration) {
        let labels = CallLabels { controller, method: call.as_str(), provider: PROVIDER };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A call of `controller` failed; `node_pool` is empty where none is concerned.
    pub fn failed(&self, controller: &'static str, call: CloudCall, error: CloudError, node_pool: &str) {
        let labels = ErrorLabels {
            controller,
            method: call.as_str(),
            provider: PROVIDER,
            error: error.as_str(),
            nodepool: node_pool.to_owned(),
        };
        self.errors.get_or_create(&labels).inc();
    }

    /// An offering could not be launched.
    pub fn launch_failed(&self, failure: &LaunchFailure<'_>) {
        let labels = FailureLabels {
            zone: failure.zone.to_owned(),
            zone_id: failure.zone_id.to_owned(),
            capacity_type: failure.capacity_type.as_str(),
            reason: failure.reason.to_owned(),
        };
        self.launch_failures.get_or_create(&labels).inc();
    }

    /// What is sold now, for how much, and whether it is believed to be had; what was sold before is forgotten.
    pub fn offered<'a>(&self, offerings: impl IntoIterator<Item = (OfferingLabels<'a>, UsdPerHour, bool)>) {
        self.available.clear();
        self.prices.clear();
        for (offering, price, available) in offerings {
            let labels = ByOffering {
                instance_type: offering.instance_type.to_owned(),
                capacity_type: offering.capacity_type.as_str(),
                zone: offering.zone.to_owned(),
            };
            self.available.get_or_create(&labels).set(i64::from(available));
            self.prices.get_or_create(&labels).set(price.dollars());
        }
    }
}
