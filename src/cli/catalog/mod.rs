//! `supercargo catalog`: what EC2 sells, refreshed from AWS, listed, compared, and looked over.

mod age;
pub(super) mod args;
mod diff;
mod doctor;
mod learn;
#[cfg(feature = "aws")]
mod meter;
pub(super) mod place;
#[cfg(feature = "aws")]
mod refresh;
mod show;

pub(super) use age::old_prices;

use super::{Answer, Failure};
use args::{CatalogArgs, CatalogCommand};

/// Runs the subcommand.
pub(super) fn run(args: &CatalogArgs) -> Result<Answer, Failure> {
    match &args.command {
        #[cfg(feature = "aws")]
        CatalogCommand::Refresh(args) => refresh::run(args),
        CatalogCommand::Show(args) => show::run(args),
        CatalogCommand::Diff(args) => diff::run(args),
        CatalogCommand::Learn(args) => learn::run(args),
        CatalogCommand::Doctor(args) => doctor::run(args),
    }
}
