//! A call that failed, what it was for, and how to mend it.

use std::error::Error;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};

use crate::adapters::aws::error::{FetchError, Problem};

/// One call that failed for good, after every retry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{region}: {action} failed: {detail}; {}", self.mend())]
pub struct DiscoveryError {
    /// The region that was asked.
    pub region: String,
    /// The call as a policy of IAM names it, `ec2:DescribeSubnets`.
    pub action: &'static str,
    /// What kind of failure it was.
    pub problem: Problem,
    /// AWS's own word for it, `UnauthorizedOperation`; `None` where AWS did not answer.
    pub code: Option<String>,
    /// What AWS or the network said.
    pub detail: String,
}

impl DiscoveryError {
    /// What the SDK gave up with.
    pub(crate) fn from_sdk<E>(region: &str, action: &'static str, error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let failure = FetchError::from_sdk(region, action, error);
        let code = match error {
            SdkError::ServiceError(answer) => answer.err().code().map(str::to_owned),
            _ => None,
        };
        Self { region: region.to_owned(), action, problem: failure.problem, code, detail: failure.detail }
    }

    /// An answer without what it should have.
    pub(crate) fn empty(region: &str, action: &'static str, lacks: &str) -> Self {
        let detail = format!("the answer has no {lacks}");
        Self { region: region.to_owned(), action, problem: Problem::Empty, code: None, detail }
    }

    /// Whether AWS answered with the error `code`.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// What to do about it.
    #[must_use]
    pub fn mend(&self) -> String {
        match self.problem {
            Problem::Forbidden => format!("allow {} to the IAM role of the controller", self.action),
            Problem::Throttled => "it is asked again later; raise the account's request quota if this goes on".to_owned(),
            Problem::NoCredentials | Problem::Expired | Problem::Refused => {
                "give the controller's service account an IAM role (EKS Pod Identity, or IAM roles for service accounts)"
                    .to_owned()
            }
            Problem::NotEnabled => "enable the region for the account".to_owned(),
            Problem::Unreachable | Problem::TimedOut => {
                "it is asked again later; check the network, in a VPC without a way out its VPC endpoints".to_owned()
            }
            Problem::Misconfigured => "check the variables AWS_* of the controller".to_owned(),
            Problem::Unreadable | Problem::Server | Problem::Empty | Problem::Other => "it is asked again later".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_not_allowed_names_the_permission() {
        let error = DiscoveryError {
            region: "eu-west-1".to_owned(),
            action: "ec2:DescribeSubnets",
            problem: Problem::Forbidden,
            code: Some("UnauthorizedOperation".to_owned()),
            detail: "UnauthorizedOperation (no)".to_owned(),
        };
        assert_eq!(
            error.to_string(),
            "eu-west-1: ec2:DescribeSubnets failed: UnauthorizedOperation (no); allow ec2:DescribeSubnets to the IAM role of the \
             controller"
        );
        assert!(error.is("UnauthorizedOperation") && !error.is("AuthFailure"));
    }
}
