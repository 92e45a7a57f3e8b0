//! `supercargo bench merge`: the shards of a run as one.

use std::path::PathBuf;

use clap::Args;

use crate::benchmark::shards;
use crate::cli::{Answer, Failure, output};
use crate::report::summary::count;

#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// Folder to write to; it must not have records yet.
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Folders that `bench run --shard` has written.
    #[arg(value_name = "IN", required = true)]
    parts: Vec<PathBuf>,
}

/// Joins the parts and says what became of them.
pub(super) fn run(args: &MergeArgs) -> Result<Answer, Failure> {
    let records = shards::merge(&args.out, &args.parts).map_err(Failure::input)?;
    let joined = shards::read(&args.out).map_err(Failure::input)?;
    let machines = shards::machines(&joined);
    if machines.len() > 1 {
        let named: Vec<String> = machines.into_iter().collect();
        output::say(&format!("note: times of different machines do not compare: {}", named.join("; ")));
    }
    output::print(&format!("{}: {} of {}\n", args.out.display(), count(records, "record"), count(args.parts.len(), "shard")))?;
    Ok(Answer::Yes)
}
