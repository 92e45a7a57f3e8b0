//! `supercargo bench`: the benchmark suite.

mod instances;

use clap::{Args, Subcommand};

use crate::cli::{Answer, Failure};

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// List, make, check, import and export the suite's instances; docs/benchmark-instances.md.
    Instances(instances::InstancesArgs),
}

/// Does what the arguments ask for.
pub(super) fn run(args: &BenchArgs) -> Result<Answer, Failure> {
    match &args.command {
        BenchCommand::Instances(args) => instances::run(args),
    }
}
