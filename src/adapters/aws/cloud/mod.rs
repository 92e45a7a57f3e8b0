//! The cloud that the controllers act on: EC2, SSM, IAM and EKS in one region.

pub mod cache;
pub mod discovery;

use std::sync::Arc;

use aws_config::Region;

use super::error::FetchError;
use super::session::{Access, Session};
use discovery::{Memory, RefreshIntervals};

/// Clients for one region, and what is remembered between calls.
#[derive(Clone, Debug)]
pub struct Cloud {
    region: String,
    ec2: aws_sdk_ec2::Client,
    ssm: aws_sdk_ssm::Client,
    iam: aws_sdk_iam::Client,
    eks: aws_sdk_eks::Client,
    memory: Arc<Memory>,
}

impl Cloud {
    /// Loads configuration and credentials; makes no call.
    ///
    /// # Errors
    /// When there are no credentials, or the environment says what the SDK cannot take.
    pub async fn open(access: &Access, region: &str) -> Result<Self, FetchError> {
        let session = Session::open(access, region).await?;
        let config = session.config().to_builder().region(Region::new(region.to_owned())).build();
        Ok(Self {
            region: region.to_owned(),
            ec2: aws_sdk_ec2::Client::new(&config),
            ssm: aws_sdk_ssm::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            eks: aws_sdk_eks::Client::new(&config),
            memory: Arc::new(Memory::new(RefreshIntervals::default())),
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
}
