//! `supercargo bench`: the benchmark suite. docs/benchmark.md tells how it is used.

mod compare;
mod instances;
mod merge;
mod report;
mod run;
mod solve;

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
    /// Run solvers on instances, one after another. Exit code 1 when a plan broke a rule or a solver failed.
    Run(Box<run::RunArgs>),
    /// Put the shards of a run together.
    Merge(merge::MergeArgs),
    /// Tell what came of runs, as Markdown and as a page; docs/benchmark-report.md.
    Report(report::ReportArgs),
    /// Tell what changed between two folders of runs. Exit code 1 when something got worse.
    Compare(compare::CompareArgs),
    /// Answer one question of the peer protocol from standard input with a built-in solver.
    #[command(hide = true)]
    Solve(solve::SolveArgs),
}

/// Does what the arguments ask for.
pub(super) fn run(args: &BenchArgs) -> Result<Answer, Failure> {
    match &args.command {
        BenchCommand::Instances(args) => instances::run(args),
        BenchCommand::Run(args) => run::run(args),
        BenchCommand::Merge(args) => merge::run(args),
        BenchCommand::Solve(args) => solve::run(args),
        BenchCommand::Report(args) => report::run(args),
        BenchCommand::Compare(args) => compare::run(args),
    }
}
