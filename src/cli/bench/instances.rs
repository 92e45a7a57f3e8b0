//! `supercargo bench instances`: the instances of a suite.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::adapters::files::manifests;
use crate::benchmark::instance::manifest::{Entry, Manifest, Track};
use crate::benchmark::instance::vbp::Packing;
use crate::benchmark::instance::{COSTS, CatalogSource, InstanceDocument, InstanceError, Origin, learning, snapshot, suite};
use crate::cli::input::sources;
use crate::cli::output::{print, say};
use crate::cli::{Answer, Failure, export};
use crate::planning::plan;
use crate::report::summary::count;
use crate::solver::SolveConfig;

/// Work of the plan that says how many nodes an exported model needs: some seconds on a machine of today.
const WORK: u64 = 40_000_000;
/// The gap that is good enough for that.
const GAP: f64 = 0.001;

#[derive(Debug, Args)]
pub(super) struct InstancesArgs {
    /// Folder of the suite, with MANIFEST.json, instances, catalogs and certificates.
    #[arg(long, value_name = "FOLDER", default_value = "models", global = true, env = "SUPERCARGO_SUITE")]
    suite: PathBuf,
    #[command(subcommand)]
    command: InstancesCommand,
}

#[derive(Debug, Subcommand)]
enum InstancesCommand {
    /// List the instances with what is known of them. Exit code 1 when there is none.
    List(Selected),
    /// Write the instances of the generators and the MANIFEST. What is known of an instance stays as long as its digest does.
    Make,
    /// Check digests, generators, certificates and bounds. Exit code 1 when something is wrong.
    Check(Selected),
    /// Write an instance that stands by itself, or its compact model.
    Export(ExportArgs),
    /// Add an instance of another form to the suite.
    Import(ImportArgs),
    /// Take cheaper plans and larger bounds out of runs. Exit code 1 when a run is not believed.
    Learn {
        /// The file of `supercargo bench run`; certificates lie beside it.
        #[arg(value_name = "RUNS.jsonl")]
        runs: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Selected {
    /// Only this family.
    #[arg(long, value_name = "FAMILY", env = "SUPERCARGO_FAMILY")]
    family: Option<String>,
    /// Only this track.
    #[arg(long, value_enum, value_name = "TRACK", env = "SUPERCARGO_TRACK")]
    track: Option<TrackName>,
}

/// See [`Track`].
#[derive(Clone, Copy, Debug, ValueEnum)]
enum TrackName {
    /// One second and five: what a controller has.
    Controller,
    /// A minute, for proofs.
    Exact,
    /// Ten thousand pods and more.
    Large,
}

impl TrackName {
    fn track(self) -> Track {
        match self {
            Self::Controller => Track::Controller,
            Self::Exact => Track::Exact,
            Self::Large => Track::Large,
        }
    }
}

impl Selected {
    fn of<'a>(&self, manifest: &'a Manifest) -> impl Iterator<Item = &'a Entry> {
        manifest.select(self.family.as_deref(), self.track.map(TrackName::track)).collect::<Vec<_>>().into_iter()
    }
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// Name of the instance.
    #[arg(value_name = "NAME")]
    name: String,
    /// What to write.
    #[arg(long, value_enum, default_value = "json", env = "SUPERCARGO_FORMAT")]
    format: ExportFormat,
    /// File to write to; standard output if not given, which only `json` has.
    #[arg(short, long, value_name = "FILE", env = "SUPERCARGO_OUTPUT_FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// The instance with its catalog in it.
    Json,
    /// The compact model as MPS, a file for each weight of NodePools.
    Mps,
    /// The compact model as LP, a file for each weight of NodePools.
    Lp,
}

#[derive(Debug, Args)]
struct ImportArgs {
    #[command(subcommand)]
    form: ImportForm,
}

#[derive(Debug, Subcommand)]
enum ImportForm {
    /// A vector-packing instance in VPSolver's text: a bin is a node of a dollar an hour.
    Vbp {
        /// The `.vbp` file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        about: About,
    },
    /// A snapshot of a cluster: what `kubectl get -o yaml` prints. What says nothing about nodes is left out, and so are environment,
    /// commands and Secrets.
    Snapshot {
        /// Manifests: files, folders, or `-` for stdin.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        about: About,
        /// Family of the instance.
        #[arg(long, value_name = "FAMILY", default_value = "snapshots", env = "SUPERCARGO_FAMILY")]
        family: String,
        /// Catalog of the suite that it buys from.
        #[arg(long, value_name = "NAME", default_value = "us-east-1-2026-11", env = "SUPERCARGO_SUITE_CATALOG")]
        suite_catalog: String,
    },
}

#[derive(Debug, Args)]
struct About {
    /// Name of the instance: lowercase letters, digits and `-`.
    #[arg(long, value_name = "NAME", env = "SUPERCARGO_INSTANCE_NAME")]
    name: String,
    /// Whose data it is: a paper, an address, a company.
    #[arg(long, value_name = "TEXT", env = "SUPERCARGO_INSTANCE_SOURCE")]
    source: String,
    /// What it is and what makes it hard, in a sentence or two.
    #[arg(long, value_name = "TEXT", env = "SUPERCARGO_INSTANCE_DESCRIPTION")]
    description: String,
}

impl About {
    fn origin(&self) -> Origin {
        Origin { source: self.source.clone(), generator: None, seed: None }
    }
}

/// Does what the arguments ask for.
pub(super) fn run(args: &InstancesArgs) -> Result<Answer, Failure> {
    let suite = args.suite.as_path();
    match &args.command {
        InstancesCommand::List(selected) => list(suite, selected),
        InstancesCommand::Make => make(suite),
        InstancesCommand::Check(selected) => check(suite, selected),
        InstancesCommand::Export(args) => export(suite, args),
        InstancesCommand::Import(args) => import(suite, &args.form),
        InstancesCommand::Learn { runs } => learn(suite, runs),
    }
}

fn list(suite: &Path, selected: &Selected) -> Result<Answer, Failure> {
    let manifest = Manifest::read(suite).map_err(Failure::input)?;
    let mut text = format!(
        "{:<26} {:<14} {:>7} {:>9}  {:<17} {:>14} {:>14} {:>8}  {}\n",
        "NAME", "FAMILY", "PODS", "WORKLOADS", "TRACKS", "BEST $/h", "BOUND $/h", "GAP", "LEFT"
    );
    let mut any = false;
    for entry in selected.of(&manifest) {
        any = true;
        let tracks: Vec<&str> = entry.tracks.iter().map(|track| track.as_str()).collect();
        let dash = || "-".to_owned();
        let cost = entry.best_known.as_ref().map(|known| known.cost);
        let bound = entry.bound.as_ref().map(|bound| bound.value);
        let gap = cost.zip(bound).map(|(cost, bound)| if cost > 0.0 { (cost - bound) / cost } else { 0.0 });
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<26} {:<14} {:>7} {:>9}  {:<17} {:>14} {:>14} {:>8}  {}",
            entry.name,
            entry.family,
            entry.pods,
            entry.workloads,
            tracks.join(","),
            cost.map_or_else(dash, |cost| format!("{cost:.6}")),
            bound.map_or_else(dash, |bound| format!("{bound:.6}")),
            gap.map_or_else(dash, |gap| format!("{:.3}%", gap * 100.0)),
            entry.best_known.as_ref().map_or_else(dash, |known| known.unplaced.to_string()),
        );
    }
    print(&text)?;
    Ok(if any { Answer::Yes } else { Answer::No })
}

fn make(suite: &Path) -> Result<Answer, Failure> {
    let made = suite::make(suite).map_err(Failure::input)?;
    let mut text = format!("{} as before\n", count(made.kept, "instance"));
    for (names, what) in [(&made.added, "new"), (&made.changed, "changed, nothing is known of it now"), (&made.gone, "gone")] {
        for name in names {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}: {what}");
        }
    }
    print(&text)?;
    Ok(Answer::Yes)
}

fn check(suite: &Path, selected: &Selected) -> Result<Answer, Failure> {
    let manifest = Manifest::read(suite).map_err(Failure::input)?;
    let names: Vec<&str> = selected.of(&manifest).map(|entry| entry.name.as_str()).collect();
    let wrong = suite::check(suite, &|entry| names.contains(&entry.name.as_str())).map_err(Failure::input)?;
    if wrong.is_empty() {
        print(&format!("sound: {} and what is known of them\n", count(names.len(), "instance")))?;
        return Ok(Answer::Yes);
    }
    let lines: String = wrong.iter().map(|problem| format!("{problem}\n")).collect();
    print(&lines)?;
    Ok(Answer::No)
}

fn export(suite: &Path, args: &ExportArgs) -> Result<Answer, Failure> {
    let document = read(suite, &args.name).map_err(Failure::input)?;
    let path = match (args.format, &args.output) {
        (ExportFormat::Json, path) => {
            let bytes = document.self_contained(suite).map_err(Failure::input)?.to_bytes();
            match path {
                Some(path) => std::fs::write(path, bytes)
                    .map_err(|problem| Failure::Input(format!("{}: cannot be written: {problem}", path.display())))?,
                None => print(&String::from_utf8_lossy(&bytes))?,
            }
            return Ok(Answer::Yes);
        }
        (ExportFormat::Mps | ExportFormat::Lp, None) => {
            let problem =
                "--output is missing\n  hint: a model may be several files, one for each weight; name the first of them";
            return Err(Failure::Input(problem.to_owned()));
        }
        (ExportFormat::Mps | ExportFormat::Lp, Some(path)) => path,
    };
    let loaded = document.load(suite).map_err(Failure::input)?;
    let config = SolveConfig { gap: GAP, work_limit: Some(WORK), deadline: None, seed: 0 };
    // The work limit alone ends it, so that a model is the same everywhere.
    let clock = || Duration::ZERO;
    let planned = plan(&loaded.cluster, &loaded.catalog, &COSTS, &config, &clock, &mut |_| {}).map_err(Failure::input)?;
    let format = if args.format == ExportFormat::Mps { export::ModelFormat::Mps } else { export::ModelFormat::Lp };
    export::write(path, format, &planned)?;
    Ok(Answer::Yes)
}

fn read(suite: &Path, name: &str) -> Result<InstanceDocument, InstanceError> {
    Manifest::read(suite)?.find(name)?.read(suite)
}

fn import(suite: &Path, form: &ImportForm) -> Result<Answer, Failure> {
    let document = match form {
        ImportForm::Vbp { file, about } => {
            let name = file.display().to_string();
            let text =
                std::fs::read_to_string(file).map_err(|problem| Failure::Input(format!("{name}: cannot be read: {problem}")))?;
            Packing::parse(&name, &text).map_err(Failure::input)?.instance(&about.name, &about.description, about.origin())
        }
        ImportForm::Snapshot { files, about, family, suite_catalog } => {
            let objects = manifests::objects(&sources(files)?).map_err(Failure::input)?;
            let catalog = CatalogSource::Shared(suite_catalog.clone());
            snapshot::instance(objects, &about.name, family, &about.description, about.origin(), catalog)
        }
    };
    suite::add(suite, &document).map_err(Failure::input)?;
    say(&format!("note: `{}` is in the suite now", document.name));
    Ok(Answer::Yes)
}

fn learn(suite: &Path, runs: &Path) -> Result<Answer, Failure> {
    let learned = learning::learn(suite, runs).map_err(Failure::input)?;
    let mut text = String::new();
    for (names, what) in [(&learned.plans, "a better plan"), (&learned.bounds, "a larger bound")] {
        for name in names {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}: {what}");
        }
    }
    print(&text)?;
    for problem in &learned.refused {
        say(&format!("warning: {problem}"));
    }
    Ok(if learned.refused.is_empty() { Answer::Yes } else { Answer::No })
}
