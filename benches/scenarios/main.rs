//! Whole plans, from a cluster in memory to a verified plan: cost, bound, gap, seconds and memory.
//!
//! `cargo bench --bench scenarios` plans instances of the benchmark suite (`supercargo bench run` measures more of them, and more);
//! `cargo bench --bench scenarios -- --data FOLDER` the scenarios of `FOLDER/scenarios` on `FOLDER/catalog.json`. Every plan goes
//! through the verifier; a broken rule fails the run. Without `--bench` (that is how `cargo test --all-targets` starts it) it
//! plans its smallest instance, to show that it works.

mod files;
mod measure;
mod output;
mod workloads;

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use supercargo::benchmark::instance::generator;
use supercargo::domain::catalog::Catalog;
use supercargo::domain::cluster::ClusterView;
use supercargo::solver::SolveConfig;

use crate::output::Subject;

/// Seconds of a run that only has to show that the benchmark works.
const SMOKE_BUDGET: f64 = 1.0;

/// The instances that are planned when none is named.
const INSTANCES: [&str; 10] = [
    "micro-20",
    "micro-od-100",
    "micro-100",
    "gpu-60",
    "plain-10000",
    "micro-1000",
    "mixed-50",
    "mixed-500",
    "mixed-od-500",
    "mixed-1500",
];

/// Plans scenarios and measures what comes of it.
#[derive(Parser)]
struct Args {
    /// Folder with `catalog.json` and `scenarios/*.json`; without it, instances of the suite.
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
    /// How many times the pods of each scenario; with --data.
    #[arg(long, default_value_t = 1, requires = "data")]
    scale: usize,
    /// Leave out the topology rules of the pods; with --data.
    #[arg(long, requires = "data")]
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
        args.only = vec!["micro-20".to_owned()];
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

/// What is planned for and where it buys.
struct Case {
    name: String,
    cluster: ClusterView,
    catalog: Catalog,
}

fn cases(args: &Args) -> Result<Vec<Case>, Box<dyn Error>> {
    let mut cases = Vec::new();
    if let Some(data) = &args.data {
        let catalog = files::catalog(data)?;
        for scenario in files::scenarios(data)? {
            let cluster = scenario.cluster(args.scale, !args.without_topology);
            cases.push(Case { name: scenario.name, cluster, catalog: catalog.clone() });
        }
    } else {
        let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let wanted =
            |name: &str| if args.only.is_empty() { INSTANCES.contains(&name) } else { args.only.iter().any(|only| only == name) };
        for document in generator::all().into_iter().filter(|document| wanted(&document.name)) {
            let loaded = document.load(&suite)?;
            cases.push(Case { name: document.name, cluster: loaded.cluster, catalog: loaded.catalog });
        }
    }
    if let Some(unknown) = args.only.iter().find(|name| cases.iter().all(|case| case.name != **name)) {
        return Err(format!("there is no scenario {unknown}").into());
    }
    cases.retain(|case| args.only.is_empty() || args.only.contains(&case.name));
    Ok(cases)
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let cases = cases(args)?;
    let mut json = match &args.json {
        Some(path) => Some(OpenOptions::new().create(true).append(true).open(path)?),
        None => None,
    };
    let mut out = io::stdout().lock();
    if let Some(case) = cases.first() {
        writeln!(out, "{}\n\n{}", case.catalog.summary(), output::HEAD)?;
    }
    let mut broken = Vec::new();
    for Case { name, cluster, catalog } in &cases {
        for &budget in &args.budget {
            let deadline = Duration::try_from_secs_f64(budget)?;
            let config = SolveConfig { gap: 0.0, work_limit: args.work, deadline: Some(deadline), seed: args.seed };
            let made = measure::measure(cluster, catalog, &config)?;
            let topology = !args.without_topology;
            let subject = Subject { name, scale: args.scale, budget, topology };
            writeln!(out, "{}", output::row(&subject, &made))?;
            out.flush()?;
            if let Some(file) = &mut json {
                writeln!(file, "{}", output::line(&subject, &made))?;
            }
            broken.extend(made.violations.iter().map(|violation| format!("{name}: {violation}")));
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(format!("broken rules:\n{}", broken.join("\n")).into()) }
}
