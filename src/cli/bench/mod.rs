//! `supercargo bench`: the benchmark suite.

mod compare;
mod report;

use clap::{Args, Subcommand};

use crate::cli::{Answer, Failure};

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Tell what came of runs, as Markdown and as a page; docs/benchmark-report.md.
    Report(report::ReportArgs),
    /// Tell what changed between two folders of runs. Exit code 1 when something got worse.
    Compare(compare::CompareArgs),
}

/// Does what the arguments ask for.
pub(super) fn run(args: &BenchArgs) -> Result<Answer, Failure> {
    match &args.command {
        BenchCommand::Report(args) => report::run(args),
        BenchCommand::Compare(args) => compare::run(args),
    }
}
