//! `supercargo controller`: the autoscaler in a cluster.

use super::{Answer, Failure};
use crate::controllers::operations::options::{ControllerArgs, Settings};
use crate::controllers::{self, Failure as Ended};

/// Runs until it is asked to end.
pub(super) fn run(args: &ControllerArgs) -> Result<Answer, Failure> {
    let settings = Settings::check(args).map_err(Failure::input)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Internal(format!("cannot start threads: {error}")))?;
    let commit = option_env!("SUPERCARGO_COMMIT").unwrap_or_default();
    match runtime.block_on(controllers::run(settings, commit)) {
        Ok(()) => Ok(Answer::Yes),
        Err(failure @ Ended::Ended(_)) => Err(Failure::Internal(failure.to_string())),
        Err(failure) => Err(Failure::input(failure)),
    }
}
