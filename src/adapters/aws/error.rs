//! What can go wrong with a call, sorted by what a user does about it.

use std::error::Error;
use std::fmt;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};

/// What kind of failure it was: each has a mend of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// AWS asked to be asked less often, and went on doing so.
    Throttled,
    /// There are no credentials, or they cannot be loaded.
    NoCredentials,
    /// The credentials were good once.
    Expired,
    /// AWS does not know the credentials, or not in this region.
    Refused,
    /// The credentials are good, but do not allow the call.
    Forbidden,
    /// The account has not enabled the region.
    NotEnabled,
    /// The call cannot even be made: an address, a profile or a setting is wrong.
    Misconfigured,
    /// Nobody answered at that address.
    Unreachable,
    /// The answer did not come in time.
    TimedOut,
    /// The answer was cut off, or is no answer to such a call.
    Unreadable,
    /// AWS failed.
    Server,
    /// The answer has nothing in it.
    Empty,
    /// AWS said something else.
    Other,
}

impl Problem {
    /// What to do about it.
    #[must_use]
    pub const fn mend(self) -> &'static str {
        match self {
            Self::Throttled => "wait a minute and refresh again, or raise AWS_MAX_ATTEMPTS",
            Self::NoCredentials => "set AWS_PROFILE or --profile, or run `aws configure`",
            Self::Expired => "renew the credentials (`aws sso login`, or a new session token) and refresh again",
            Self::Refused => "check that the credentials belong to the region's partition and that the region exists",
            Self::Forbidden => {
                "allow ec2:DescribeInstanceTypes, ec2:DescribeInstanceTypeOfferings, ec2:DescribeSpotPriceHistory and \
                 pricing:GetProducts"
            }
            Self::NotEnabled => "enable the region for the account, or choose another",
            Self::Unreachable => {
                "check that the region exists and that its endpoint can be reached; without a way to the Price List use \
                 --isolated-vpc"
            }
            Self::Misconfigured => "check the variables AWS_* of the environment and the files of the AWS configuration",
            Self::TimedOut => "check the network, or raise --timeout; without a way to the Price List use --isolated-vpc",
            Self::Unreadable | Self::Server | Self::Other => "refresh again later",
            Self::Empty => "check that the region exists and that the credentials belong to its partition",
        }
    }

    /// The kind that an error code of EC2 or the Price List stands for.
    fn of_code(code: &str, status: Option<u16>) -> Self {
        match code {
            "RequestLimitExceeded" | "Throttling" | "ThrottlingException" | "TooManyRequestsException" | "SlowDown" => {
                Self::Throttled
            }
            "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => Self::Expired,
            "AuthFailure"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "MissingAuthenticationToken"
            | "IncompleteSignature" => Self::Refused,
            "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" | "Blocked" => Self::Forbidden,
            "OptInRequired" => Self::NotEnabled,
            _ if status.is_some_and(|status| status >= 500) => Self::Server,
            _ => Self::Other,
        }
    }
}

/// One call that failed for good, after every retry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{region}: {call} failed{}: {detail}\n  hint: {}", asked_in.as_ref().map(|other| format!(" (asked in {other})")).unwrap_or_default(), problem.mend())]
pub struct FetchError {
    /// The region whose catalog was asked for.
    pub region: String,
    /// The region of the endpoint, where that is another one.
    pub asked_in: Option<String>,
    /// `DescribeInstanceTypes`.
    pub call: &'static str,
    /// What kind of failure it was.
    pub problem: Problem,
    /// What AWS or the network said.
    pub detail: String,
}

impl FetchError {
    /// A call that was answered, but not as it should be.
    pub(super) fn new(region: &str, call: &'static str, problem: Problem, detail: impl fmt::Display) -> Self {
        Self { region: region.to_owned(), asked_in: None, call, problem, detail: detail.to_string() }
    }

    /// What the SDK gave up with.
    pub(super) fn from_sdk<E>(region: &str, call: &'static str, error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let (problem, detail) = match error {
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                match (answer.err().code(), answer.err().message()) {
                    (Some(code), message) => {
                        let message = message.map(|message| format!(" ({message})")).unwrap_or_default();
                        (Problem::of_code(code, Some(status)), format!("{code}{message}"))
                    }
                    (None, _) => (Problem::of_code("", Some(status)), format!("HTTP status {status}")),
                }
            }
            SdkError::TimeoutError(_) => (Problem::TimedOut, "no answer in time".to_owned()),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => (Problem::TimedOut, innermost(error)),
            SdkError::DispatchFailure(failure) if failure.is_io() => (Problem::Unreachable, innermost(error)),
            SdkError::ResponseError(_) => (Problem::Unreadable, innermost(error)),
            // What is left never reached the network.
            _ => (Problem::Misconfigured, innermost(error)),
        };
        Self::new(region, call, problem, detail)
    }

    /// The same, asked in the region of another endpoint.
    pub(super) fn asked_in(mut self, endpoint_region: &str) -> Self {
        self.asked_in = (endpoint_region != self.region).then(|| endpoint_region.to_owned());
        self
    }
}

/// The last of the errors that caused `error`: the others only say that there is one.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
