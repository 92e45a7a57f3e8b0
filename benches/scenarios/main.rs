//! Whole plans, from a cluster in memory to a verified plan: cost, bound, gap, seconds and memory.
//!
//! `cargo bench --bench scenarios` plans scenarios that it makes itself on the embedded catalog;
//! `cargo bench --bench scenarios -- --data FOLDER` those of `FOLDER/scenarios` on `FOLDER/catalog.json`. Every plan goes
//! through the verifier; a broken rule fails the run. Without `--bench` (that is how `cargo test --all-targets` starts it) it
//! plans its smallest scenario, to show that it works.

mod families;
mod files;
mod measure;
mod output;
mod workloads;

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use supercargo::adapters::files::catalog;
use supercargo::solver::SolveConfig;

use crate::output::Subject;

/// Seconds of a run that only has to show that the benchmark works.
const SMOKE_BUDGET: f64 = 1.0;

/// Plans scenarios and measures what comes of it.
#[derive(Parser)]
struct Args {
    /// Folder with `catalog.json` and `scenarios/*.json`; without it, generated scenarios on the embedded catalog.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Scenarios to plan, by name; all when none is given.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Seconds that the solver has; several give one row each.
    #[arg(long, value_name = "SECONDS", default_values_t = [5.0])]
    budget: Vec<f64>,
    /// Deterministic limit on work besides.
    #[arg(long)]
    work: Option<u64>,
    /// Seed of the solver.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many times the pods of each scenario.
    #[arg(long, default_value_t = 1)]
    scale: usize,
    /// Leave out the topology rules of the pods.
    #[arg(long)]
    without_topology: bool,
    /// File to which one line of JSON a row is added.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let mut args = Args::parse();
    if !args.bench {
        args.only = vec!["gen-micro-20".to_owned()];
        args.budget = vec![SMOKE_BUDGET];
    }
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            // Nothing is left to do if even that cannot be told.
            let _told = writeln!(io::stderr(), "error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let (catalog, mut scenarios) = match &args.data {
        Some(data) => (files::catalog(data)?, files::scenarios(data)?),
        None => (catalog::embedded()?, families::all()),
    };
    if let Some(unknown) = args.only.iter().find(|name| scenarios.iter().all(|scenario| scenario.name != **name)) {
        return Err(format!("there is no scenario {unknown}").into());
    }
    scenarios.retain(|scenario| args.only.is_empty() || args.only.contains(&scenario.name));
    let mut json = match &args.json {
        Some(path) => Some(OpenOptions::new().create(true).append(true).open(path)?),
        None => None,
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{}\n\n{}", catalog.summary(), output::HEAD)?;
    let mut broken = Vec::new();
    for scenario in &scenarios {
        let cluster = scenario.cluster(args.scale, !args.without_topology);
        for &budget in &args.budget {
            let deadline = Duration::try_from_secs_f64(budget)?;
            let config = SolveConfig { gap: 0.0, work_limit: args.work, deadline: Some(deadline), seed: args.seed };
            let made = measure::measure(&cluster, &catalog, &config)?;
            let topology = !args.without_topology;
            let subject = Subject { name: &scenario.name, scale: args.scale, budget, topology };
            writeln!(out, "{}", output::row(&subject, &made))?;
            out.flush()?;
            if let Some(file) = &mut json {
                writeln!(file, "{}", output::line(&subject, &made))?;
            }
            broken.extend(made.violations.iter().map(|violation| format!("{}: {violation}", scenario.name)));
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(format!("broken rules:\n{}", broken.join("\n")).into()) }
}
