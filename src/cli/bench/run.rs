//! `supercargo bench run`: solvers on instances, one after another, into a folder of records and plans.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::benchmark::instance::manifest::{Entry, Manifest, Track};
use crate::benchmark::machine;
use crate::benchmark::peers::Peer;
use crate::benchmark::process::Program;
use crate::benchmark::record::{Machine, Outcome, Record};
use crate::benchmark::run::{CUSTOM, Contestant, Finished, Setting, Subject, budgets};
use crate::benchmark::shards::{PLANS, RECORDS, Shard};
use crate::benchmark::solvers::BuiltIn;
use crate::benchmark::summary;
use crate::cli::{Answer, Failure, output};
use crate::domain::interruption::RestartCost;
use crate::domain::money::UsdPerHour;
use crate::report::Report;
use crate::report::json::PlanDocument;

/// The longest budget, in seconds: a day.
const LONGEST: f64 = 86_400.0;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Folder of the suite: MANIFEST.json and the instances.
    #[arg(long, value_name = "FOLDER", default_value = "models", env = "SUPERCARGO_SUITE")]
    suite: PathBuf,
    /// Which instances, with which limits: controller (1 s and 5 s), exact (60 s), large (30 s; 10,000 pods and more).
    #[arg(long, default_value = "controller", value_parser = track, env = "SUPERCARGO_BENCH_TRACK")]
    track: Track,
    /// Solvers, by name: supercargo, first-fit, compact-mip, mean-pod, price-guided, or a peer; may be repeated. Without it: all
    /// that are built in.
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "SUPERCARGO_BENCH_SOLVERS")]
    solver: Vec<String>,
    /// Run every peer that is found too; one that is not installed is recorded as such.
    #[arg(long, env = "SUPERCARGO_BENCH_WITH_PEERS")]
    with_peers: bool,
    /// Folder with a folder for each peer.
    #[arg(long, value_name = "FOLDER", default_value = "peers", env = "SUPERCARGO_BENCH_PEERS")]
    peers: PathBuf,
    /// Instances, by name, whatever their tracks; may be repeated. Without it: all of the track.
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "SUPERCARGO_BENCH_INSTANCES")]
    instance: Vec<String>,
    /// Families of the track's instances; may be repeated. Without it: all.
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "SUPERCARGO_BENCH_FAMILIES", conflicts_with = "instance")]
    family: Vec<String>,
    /// Seconds that every solver has, in place of the track's; may be repeated.
    #[arg(long, value_name = "SECONDS", value_delimiter = ',', value_parser = budget, env = "SUPERCARGO_BENCH_BUDGETS")]
    budget: Vec<f64>,
    /// Seed of the solvers.
    #[arg(long, value_name = "N", default_value = "1", env = "SUPERCARGO_BENCH_SEED")]
    seed: u64,
    /// Folder for runs.jsonl and plans/; it must not have records yet.
    #[arg(long, value_name = "FOLDER", default_value = "benchmark-run", env = "SUPERCARGO_BENCH_OUT")]
    out: PathBuf,
    /// Every N-th instance alone, from the I-th on, counted from 0: `0/4`.
    #[arg(long, value_name = "I/N", value_parser = shard, env = "SUPERCARGO_BENCH_SHARD")]
    shard: Option<Shard>,
    /// Commit of this program, for records. Without it: that of the checkout in the folder that the command runs in.
    #[arg(long, value_name = "TEXT", env = "SUPERCARGO_BENCH_COMMIT")]
    commit: Option<String>,
}

fn track(text: &str) -> Result<Track, String> {
    Track::ALL.into_iter().find(|track| track.as_str() == text).ok_or_else(|| {
        let all: Vec<&str> = Track::ALL.iter().map(|track| track.as_str()).collect();
        format!("the tracks are {}", all.join(", "))
    })
}

fn budget(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= LONGEST => Ok(seconds),
        _ => Err(format!("a budget is a number of seconds above 0, at most {LONGEST}")),
    }
}

fn shard(text: &str) -> Result<Shard, String> {
    Shard::parse(text).ok_or_else(|| "a shard is I/N with I from 0 to N - 1, such as 0/4".to_owned())
}

/// Runs, records, and shows a table.
pub(super) fn run(args: &RunArgs) -> Result<Answer, Failure> {
    let manifest = Manifest::read(&args.suite).map_err(Failure::input)?;
    let entries = entries(args, &manifest)?;
    let contestants = contestants(args)?;
    let (track, all) = match args.budget.as_slice() {
        [] => (args.track.as_str(), budgets(args.track).to_vec()),
        own => {
            let mut own = own.to_vec();
            own.sort_by(f64::total_cmp);
            own.dedup();
            (CUSTOM, own)
        }
    };
    let setting = Setting {
        suite: &args.suite,
        ask_built_in: this_program()?,
        track,
        seed: args.seed,
        commit: args.commit.clone().unwrap_or_else(machine::commit),
        machine: Machine::here(),
    };
    let mut book = Book::open(&args.out)?;
    for (number, entry) in entries.iter().enumerate() {
        let subject = Subject::read(entry, &setting).map_err(Failure::input)?;
        for contestant in &contestants {
            let budgets = if args.budget.is_empty() { contestant.budgets(&all) } else { &all };
            for &budget in budgets {
                let finished = subject.run(contestant, budget, &setting);
                let place = format!("[{}/{}]", number + 1, entries.len());
                output::say(&format!("{place} {}", told(&finished.record)));
                book.keep(finished, &subject)?;
            }
        }
    }
    let best = summary::best(&book.records, &manifest);
    output::print(&summary::table(&book.records, &best))?;
    let is_well = |record: &Record| match &record.outcome {
        Outcome::Solved(solved) => solved.verified,
        Outcome::Failed { .. } => false,
        Outcome::CannotState { .. } | Outcome::NotInstalled { .. } | Outcome::NothingFound { .. } => true,
    };
    Ok(if book.records.iter().all(is_well) { Answer::Yes } else { Answer::No })
}

/// The instances that are asked for, of this shard.
fn entries<'a>(args: &RunArgs, manifest: &'a Manifest) -> Result<Vec<&'a Entry>, Failure> {
    let mut chosen: Vec<&Entry> = Vec::new();
    if args.instance.is_empty() {
        let of_track = manifest.instances.iter().filter(|entry| entry.tracks.contains(&args.track));
        chosen.extend(of_track.filter(|entry| args.family.is_empty() || args.family.contains(&entry.family)));
    } else {
        for name in &args.instance {
            let entry = manifest.find(name).map_err(Failure::input)?;
            if !chosen.iter().any(|other| other.name == entry.name) {
                chosen.push(entry);
            }
        }
    }
    if let Some(family) = args.family.iter().find(|family| manifest.instances.iter().all(|entry| entry.family != **family)) {
        return Err(Failure::Input(format!("--family {family}: there is no such family in {}", args.suite.display())));
    }
    let chosen: Vec<&Entry> = args.shard.unwrap_or(Shard::WHOLE).of(chosen).collect();
    if chosen.is_empty() {
        return Err(Failure::Input(format!(
            "{}: no instance of track {} is asked for\n  hint: ask for other families, for fewer shards, or for instances by name",
            args.suite.display(),
            args.track.as_str()
        )));
    }
    Ok(chosen)
}

/// The solvers that are asked for, each once.
fn contestants(args: &RunArgs) -> Result<Vec<Contestant>, Failure> {
    let peers = Peer::find(&args.peers).map_err(Failure::input)?;
    let peer = |name: &str| peers.iter().find(|peer| peer.document.name == name).cloned();
    let mut chosen: Vec<Contestant> = Vec::new();
    let mut names = args.solver.clone();
    if names.is_empty() {
        names.extend(BuiltIn::ALL.map(|solver| solver.name().to_owned()));
    }
    if args.with_peers {
        names.extend(peers.iter().map(|peer| peer.document.name.clone()));
    }
    for name in names {
        let contestant = match (BuiltIn::parse(&name), peer(&name)) {
            (Some(solver), _) => Contestant::BuiltIn(solver),
            (None, Some(peer)) => Contestant::Peer(Box::new(peer)),
            (None, None) => {
                let all = BuiltIn::ALL.map(BuiltIn::name).into_iter().chain(peers.iter().map(|peer| peer.document.name.as_str()));
                let all: Vec<&str> = all.collect();
                let place = args.peers.display();
                return Err(Failure::Input(format!(
                    "--solver {name}: there is no such solver, and no such peer in {place}\n  hint: there are {}",
                    all.join(", ")
                )));
            }
        };
        if !chosen.contains(&contestant) {
            chosen.push(contestant);
        }
    }
    Ok(chosen)
}

/// How this program is asked to solve.
fn this_program() -> Result<Program, Failure> {
    let here = |problem: std::io::Error| Failure::Input(format!("this program cannot find itself: {problem}"));
    let program = std::env::current_exe().map_err(here)?;
    let command = vec![program.display().to_string(), "bench".to_owned(), "solve".to_owned()];
    Ok(Program { command, folder: std::env::current_dir().map_err(here)? })
}

/// The records of a run, and the folder that they are kept in.
struct Book {
    folder: PathBuf,
    file: File,
    records: Vec<Record>,
}

impl Book {
    fn open(folder: &Path) -> Result<Self, Failure> {
        let fail = |path: &Path, problem: std::io::Error| {
            let hint = "give a folder that has no records yet and can be written";
            Failure::Input(format!("--out {}: {problem}\n  hint: {hint}", path.display()))
        };
        let plans = folder.join(PLANS);
        fs::create_dir_all(&plans).map_err(|problem| fail(&plans, problem))?;
        let path = folder.join(RECORDS);
        let file = OpenOptions::new().append(true).create_new(true).open(&path).map_err(|problem| fail(&path, problem))?;
        Ok(Self { folder: folder.to_owned(), file, records: Vec::new() })
    }

    /// Keeps a record and its plan at once: a run that is cut off has everything before.
    fn keep(&mut self, finished: Finished, subject: &Subject<'_>) -> Result<(), Failure> {
        let Finished { mut record, plan } = finished;
        let fail = |path: &Path, problem: &dyn std::fmt::Display| Failure::Input(format!("{}: {problem}", path.display()));
        if let (Outcome::Solved(solved), Some(plan)) = (&mut record.outcome, &plan) {
            let name = format!("{PLANS}/{}.{}.{}s.{}.json", record.instance, record.solver, record.budget_seconds, record.seed);
            let report = Report {
                cluster: &subject.loaded.cluster,
                catalog: &subject.loaded.catalog,
                plan,
                elapsed: Duration::try_from_secs_f64(solved.seconds).unwrap_or_default(),
                notices: &[],
                root_volumes: false,
                fee_per_node: UsdPerHour::ZERO,
                restart_cost: RestartCost::ZERO,
            };
            let path = self.folder.join(&name);
            let text = PlanDocument::new(&report).to_text().map_err(|problem| fail(&path, &problem))?;
            fs::write(&path, text).map_err(|problem| fail(&path, &problem))?;
            solved.certificate = Some(name);
        }
        let path = self.folder.join(RECORDS);
        let written = self.file.write_all(record.to_line().as_bytes()).and_then(|()| self.file.flush());
        written.map_err(|problem| fail(&path, &problem))?;
        self.records.push(record);
        Ok(())
    }
}

/// A record in a line.
fn told(record: &Record) -> String {
    let run = format!("{} {} {} s", record.instance, record.solver, record.budget_seconds);
    match &record.outcome {
        Outcome::Solved(solved) => {
            let gap = solved.gap.map_or_else(String::new, |gap| format!(", gap {:.2} %", gap * 100.0));
            let left = if solved.unplaced > 0 { format!(", {} pods left", solved.unplaced) } else { String::new() };
            let verdict = match solved.violations.first() {
                Some(first) => format!("BROKEN: {first}"),
                None => "verified".to_owned(),
            };
            format!("{run}: ${:.4}/h{gap}{left}, {:.2} s, {verdict}", solved.cost, solved.seconds)
        }
        Outcome::CannotState { reason } => format!("{run}: cannot state: {reason}"),
        Outcome::NotInstalled { reason } => format!("{run}: {reason}"),
        Outcome::NothingFound { reason } => format!("{run}: nothing found: {reason}"),
        Outcome::Failed { reason } => format!("{run}: FAILED: {reason}"),
    }
}
