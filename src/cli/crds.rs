//! `supercargo crds`: what a cluster has to know before it can hold NodePools and their kin.

use super::{Answer, Failure, output};
use crate::adapters::kube::crd::definitions;

/// Prints the CustomResourceDefinitions.
pub(super) fn run() -> Result<Answer, Failure> {
    let text =
        definitions::to_yaml().map_err(|problem| Failure::Internal(format!("the definitions cannot be written: {problem}")))?;
    output::print(&text)?;
    Ok(Answer::Yes)
}
