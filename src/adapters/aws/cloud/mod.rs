//! The cloud that the controllers act on: EC2, SSM, IAM and EKS in one region.

mod batcher;
pub mod cache;
mod call_error;
mod cluster_facts;
pub mod discovery;
mod fleet;
mod instances;
mod launch_failure;
mod launch_plan;
mod launch_templates;
mod rate_limit;
mod subnet_ledger;
mod tags;
mod template;
mod user_data;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::Region;
use aws_config::default_provider::region::DefaultRegionChain;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;

use super::error::FetchError;
use super::session::{Access, Session};
use discovery::{Memory, RefreshIntervals};
use launch_templates::LaunchTemplates;
use rate_limit::RateLimits;
use subnet_ledger::SubnetLedger;

pub use call_error::CallError;
pub use cluster_facts::ClusterFacts;
pub use fleet::Launched;
pub use instances::Instance;
pub use launch_failure::{FailedOffering, LaunchFailure};
pub use launch_plan::{LaunchOffer, LaunchRequest};

/// How long EC2 may take to answer CreateFleet: it answers when the instances are there (Karpenter's HTTP client waits as long).
const PATIENCE_OF_BUYING: Duration = Duration::from_mins(4);

/// Clients for one region, and what is remembered between calls. Clones share it.
#[derive(Clone, Debug)]
pub struct Cloud {
    region: String,
    ec2: aws_sdk_ec2::Client,
    /// For CreateFleet: every failure is seen by the launch, which knows whether to try again.
    buying: aws_sdk_ec2::Client,
    ssm: aws_sdk_ssm::Client,
    iam: aws_sdk_iam::Client,
    eks: aws_sdk_eks::Client,
    memory: Arc<Memory>,
    shared: Arc<Shared>,
}

/// What clones have in common.
#[derive(Debug)]
struct Shared {
    limits: Arc<RateLimits>,
    templates: LaunchTemplates,
    subnets: Mutex<SubnetLedger>,
    describing: instances::Describing,
    terminating: instances::Terminating,
}

/// The region that the AWS configuration names, or the instance that this program runs on.
pub async fn default_region() -> Option<String> {
    DefaultRegionChain::builder().build().region().await.map(|region| region.to_string())
}

impl Cloud {
    /// Loads configuration and credentials; makes no call. Has to run on the runtime that the calls will.
    ///
    /// # Errors
    /// When there are no credentials, or the environment says what the SDK cannot take.
    pub async fn open(access: &Access, region: &str) -> Result<Self, FetchError> {
        let session = Session::open(access, region).await?;
        let config = session.config().to_builder().region(Region::new(region.to_owned())).build();
        let ec2 = aws_sdk_ec2::Client::new(&config);
        let patience = TimeoutConfig::builder().operation_attempt_timeout(PATIENCE_OF_BUYING);
        let buying = aws_sdk_ec2::config::Builder::from(&config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(patience.build())
            .build();
        let limits = Arc::new(RateLimits::new());
        let shared = Shared {
            templates: LaunchTemplates::default(),
            subnets: Mutex::default(),
            describing: instances::describing(&ec2),
            terminating: instances::terminating(&ec2, &limits),
            limits,
        };
        Ok(Self {
            region: region.to_owned(),
            buying: aws_sdk_ec2::Client::from_conf(buying),
            ec2,
            ssm: aws_sdk_ssm::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            eks: aws_sdk_eks::Client::new(&config),
            memory: Arc::new(Memory::new(RefreshIntervals::default())),
            shared: Arc::new(shared),
        })
    }

    /// The same with other times for which what selectors found is kept; what is remembered so far is forgotten.
    #[must_use]
    pub fn with_refresh_intervals(self, intervals: RefreshIntervals) -> Self {
        Self { memory: Arc::new(Memory::new(intervals)), ..self }
    }

    /// The region that every call goes to.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// EC2 says how many addresses are free in these subnets now, by their ids. Launches go where most are left.
    pub fn free_addresses(&self, free: &BTreeMap<String, i64>) {
        self.shared.subnets.lock().unwrap_or_else(PoisonError::into_inner).refresh(free);
    }
}
