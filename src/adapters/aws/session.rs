//! Clients for each region, and the limit on how much is asked at once.

use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::ProvideCredentials as _;
use aws_sdk_ec2::config::retry::RetryMode;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_async::future::pagination_stream::PaginationStream;
use tokio::sync::Semaphore;

use super::error::{FetchError, Problem, innermost};

/// Requests under way at any moment, of all regions and calls together: well below the rate at which EC2 refuses an account.
const MOST_REQUESTS: usize = 12;

/// How AWS is reached. Everything that is not here is taken from the environment and the files that all AWS tools read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The profile of the shared configuration, whose credentials then count and no others; the environment's if not given.
    pub profile: Option<String>,
    /// One address for every call, in place of AWS's own.
    pub endpoint_url: Option<String>,
    /// How long one attempt at one call may take.
    pub timeout: Duration,
}

/// What all regions have in common.
pub(super) struct Session {
    config: SdkConfig,
    requests: Semaphore,
}

impl Session {
    /// Loads configuration and credentials. `region` is where credentials that need a call are asked for.
    ///
    /// # Errors
    /// When there are no credentials, or the environment says what the SDK cannot take.
    pub(super) async fn open(access: &Access, region: &str) -> Result<Self, FetchError> {
        check_retries(region)?;
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(access.timeout).build();
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).region(Region::new(region.to_owned())).timeout_config(timeouts);
        if let Some(profile) = &access.profile {
            let in_region = ProviderConfig::without_region().with_region(Some(Region::new(region.to_owned())));
            let credentials = ProfileFileCredentialsProvider::builder().configure(&in_region).profile_name(profile).build();
            loader = loader.profile_name(profile).credentials_provider(credentials);
        }
        if let Some(url) = &access.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let config = loader.load().await;
        let whose = access.profile.as_ref().map(|profile| format!("profile `{profile}`: ")).unwrap_or_default();
        let missing =
            |detail: &str| FetchError::new(region, "loading credentials", Problem::NoCredentials, format!("{whose}{detail}"));
        let provider = config.credentials_provider().ok_or_else(|| missing("none are configured"))?;
        provider.provide_credentials().await.map_err(|error| missing(&innermost(&error)))?;
        Ok(Self { config, requests: Semaphore::new(MOST_REQUESTS) })
    }

    /// EC2 in `region`.
    pub(super) fn ec2(&self, region: &str) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.config_in(region))
    }

    /// The Price List in `region`, which is one of few.
    pub(super) fn price_list(&self, region: &str) -> aws_sdk_pricing::Client {
        aws_sdk_pricing::Client::new(&self.config_in(region))
    }

    /// The configuration that every client starts from.
    #[cfg(feature = "controller")]
    pub(super) fn config(&self) -> &SdkConfig {
        &self.config
    }

    fn config_in(&self, region: &str) -> SdkConfig {
        self.config.to_builder().region(Region::new(region.to_owned())).build()
    }

    /// Hands every page of an answer to `take`, each asked for when there is room among the requests under way.
    ///
    /// # Errors
    /// The first page that cannot be had.
    pub(super) async fn each_page<P, E>(
        &self,
        region: &str,
        call: &'static str,
        mut pages: PaginationStream<Result<P, SdkError<E>>>,
        mut take: impl FnMut(P),
    ) -> Result<(), FetchError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        loop {
            let page = {
                // The semaphore is never closed, so there is always a permit in the end.
                let _permit = self.requests.acquire().await;
                pages.next().await
            };
            match page {
                None => return Ok(()),
                Some(Ok(page)) => take(page),
                Some(Err(error)) => return Err(FetchError::from_sdk(region, call, &error)),
            }
        }
    }
}

/// The SDK ends the whole program where these variables make no sense to it.
fn check_retries(region: &str) -> Result<(), FetchError> {
    check_variable(region, "AWS_MAX_ATTEMPTS", |text| text.parse::<u32>().is_ok_and(|attempts| attempts > 0))?;
    check_variable(region, "AWS_RETRY_MODE", |text| text.parse::<RetryMode>().is_ok())
}

fn check_variable(region: &str, name: &str, is_sound: impl Fn(&str) -> bool) -> Result<(), FetchError> {
    match std::env::var_os(name) {
        Some(given) if !given.to_str().is_some_and(is_sound) => {
            let detail = format!("{name} cannot be `{}`", given.display());
            Err(FetchError::new(region, "reading the environment", Problem::Misconfigured, detail))
        }
        _ => Ok(()),
    }
}
