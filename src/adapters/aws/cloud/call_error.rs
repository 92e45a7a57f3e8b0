//! A call that AWS refused or did not answer, with what the controllers need to know of it.

use std::error::Error;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};

use crate::adapters::aws::error::innermost;

/// Codes with which AWS says that what a call names is not there (AWS provider of Karpenter v1.15.1, `pkg/errors`).
const NOT_FOUND: &[&str] = &[
    "InvalidCapacityReservationId.NotFound",
    "InvalidInstanceID.NotFound",
    "InvalidLaunchTemplateId.NotFound",
    "InvalidLaunchTemplateName.NotFoundException",
    "NoSuchEntity",
    "ParameterNotFound",
    "QueueDoesNotExist",
];

/// A call that failed for good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call} failed: {code}{}{message}", if code.is_empty() || message.is_empty() { "" } else { ": " })]
pub struct CallError {
    /// `CreateFleet`.
    pub call: &'static str,
    /// The code of AWS; empty where there was no answer, or one without a code.
    pub code: String,
    /// What AWS or the network said.
    pub message: String,
    /// Whether what was asked for may have been done all the same: there was no answer, or the server failed on the way.
    pub maybe_done: bool,
}

impl CallError {
    /// What the SDK gave up with.
    pub(super) fn new<E>(call: &'static str, error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let without_answer = |maybe_done| Self { call, code: String::new(), message: innermost(error), maybe_done };
        match error {
            SdkError::ConstructionFailure(_) => without_answer(false),
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                let throttled = answer.err().code() == Some("RequestLimitExceeded");
                Self {
                    call,
                    code: answer.err().code().unwrap_or_default().to_owned(),
                    message: answer.err().message().map_or_else(|| format!("HTTP status {status}"), str::to_owned),
                    maybe_done: status >= 500 && !throttled,
                }
            }
            _ => without_answer(true),
        }
    }

    /// The program ended before there was an answer.
    pub(super) fn interrupted(call: &'static str) -> Self {
        Self { call, code: String::new(), message: "the program ends".to_owned(), maybe_done: true }
    }

    /// Whether what the call names is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        is_not_found(&self.code)
    }
}

/// Whether AWS says with `code` that something is not there.
pub(super) fn is_not_found(code: &str) -> bool {
    NOT_FOUND.contains(&code)
}
