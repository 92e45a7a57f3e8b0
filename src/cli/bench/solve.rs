//! `supercargo bench solve`: a built-in solver as a process of the peer protocol, so that its time and memory are its own.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use clap::Args;

use crate::benchmark::protocol::{FORMAT, Request};
use crate::benchmark::solvers::BuiltIn;
use crate::cli::{Answer, Failure, output};

#[derive(Debug, Args)]
pub(super) struct SolveArgs {
    /// Name of the solver.
    #[arg(value_name = "SOLVER", value_parser = solver)]
    solver: BuiltIn,
}

fn solver(name: &str) -> Result<BuiltIn, String> {
    BuiltIn::parse(name).ok_or_else(|| format!("there are {}", BuiltIn::ALL.map(BuiltIn::name).join(", ")))
}

/// Reads a request, solves, prints the answer.
pub(super) fn run(args: &SolveArgs) -> Result<Answer, Failure> {
    let refuse = |problem: &dyn std::fmt::Display| Failure::Input(format!("standard input: {problem}"));
    let mut text = Vec::new();
    std::io::stdin().lock().read_to_end(&mut text).map_err(|problem| refuse(&problem))?;
    let mut reader = serde_json::Deserializer::from_slice(&text);
    let request: Request = serde_path_to_error::deserialize(&mut reader)
        .map_err(|problem| refuse(&format!("{}: {}", problem.path(), problem.inner())))?;
    if request.format != FORMAT {
        return Err(refuse(&format!("format: is `{}`, not `{FORMAT}`", request.format)));
    }
    let budget = Duration::try_from_secs_f64(request.budget_seconds)
        .map_err(|problem| refuse(&format!("budgetSeconds: {problem}; give seconds above 0")))?;
    // A request has its catalog in it, so no suite is needed.
    let loaded = request.instance.load(Path::new("")).map_err(Failure::input)?;
    drop(text);
    let answer = args.solver.answer(&loaded, budget, request.seed);
    let line = serde_json::to_string(&answer).map_err(|problem| Failure::Internal(format!("answer as JSON: {problem}")))?;
    output::print(&(line + "\n"))?;
    Ok(Answer::Yes)
}
