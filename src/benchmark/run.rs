//! A run of the benchmark: instances x solvers x budgets, one after another, so that none disturbs another's time.
//!
//! What a solver answers becomes a whole plan ([`crate::planning::plan_of`]), and the verifier looks at that plan: what counts is its figure, never
//! the solver's own.

mod integral;
mod judging;

use std::path::Path;
use std::time::Duration;

use crate::benchmark::instance::manifest::{Entry, Track};
use crate::benchmark::instance::{InstanceError, Loaded};
use crate::benchmark::machine;
use crate::benchmark::peers::Peer;
use crate::benchmark::process::{self, End, Ended, Program};
use crate::benchmark::protocol::{Answer, FORMAT as PROTOCOL, Request};
use crate::benchmark::record::{FORMAT, Machine, Outcome, Record};
use crate::benchmark::solvers::BuiltIn;
use crate::domain::plan::Plan;

pub use integral::primal_integral;
pub use judging::{Judged, judged};

/// The track of a run whose budgets are its own.
pub const CUSTOM: &str = "custom";

/// Seconds that solvers have on a track.
#[must_use]
pub fn budgets(track: Track) -> &'static [f64] {
    match track {
        Track::Controller => &[1.0, 5.0],
        Track::Exact => &[60.0],
        Track::Large => &[30.0],
    }
}

/// Who solves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contestant {
    /// A solver of ours.
    BuiltIn(BuiltIn),
    /// A program of others.
    Peer(Box<Peer>),
}

impl Contestant {
    /// Its name in records.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::BuiltIn(solver) => solver.name(),
            Self::Peer(peer) => &peer.document.name,
        }
    }

    /// The budgets of a track that it is run with. Who stops by itself when it is through, or has little use for a second, runs once, with the
    /// largest.
    #[must_use]
    pub fn budgets<'a>(&self, all: &'a [f64]) -> &'a [f64] {
        match self {
            Self::BuiltIn(solver) if solver.is_anytime() => all,
            _ => &all[all.len().saturating_sub(1)..],
        }
    }

    fn version(&self) -> String {
        match self {
            Self::BuiltIn(_) => BuiltIn::version(),
            Self::Peer(peer) => match &peer.document.version {
                Some(version) => format!("{} {version}", peer.document.name),
                None => peer.document.name.clone(),
            },
        }
    }
}

/// What is the same for all runs.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// Folder of the suite.
    pub suite: &'a Path,
    /// The command that asks a built-in solver: this program, up to the solver's name.
    pub ask_built_in: Program,
    /// Name of the track, or [`CUSTOM`].
    pub track: &'a str,
    /// Seed of the solvers.
    pub seed: u64,
    /// Commit of this program.
    pub commit: String,
    /// This machine.
    pub machine: Machine,
}

/// A record, and the plan that it is about.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What is kept; the certificate's name is for the caller to fill in.
    pub record: Record,
    /// The plan, where there is one.
    pub plan: Option<Plan>,
}

/// An instance in memory, with everything that its runs share.
pub struct Subject<'a> {
    entry: &'a Entry,
    /// The cluster and the catalog, as the solvers have them.
    pub loaded: Loaded,
    request: Request,
}

impl<'a> Subject<'a> {
    /// Reads an instance.
    ///
    /// # Errors
    /// An instance that cannot be read, or is not what the MANIFEST says.
    pub fn read(entry: &'a Entry, setting: &Setting<'_>) -> Result<Self, InstanceError> {
        let document = entry.read(setting.suite)?.self_contained(setting.suite)?;
        // Solvers have the catalog that is in the request, so the plan is judged by it too.
        let loaded = document.load(setting.suite)?;
        let request = Request::new(document, &loaded.cluster, 0.0, setting.seed);
        Ok(Self { entry, loaded, request })
    }

    /// Lets `contestant` solve it within `budget` seconds.
    #[must_use]
    pub fn run(&self, contestant: &Contestant, budget: f64, setting: &Setting<'_>) -> Finished {
        let date = machine::now();
        let request = Request { budget_seconds: budget, ..self.request.clone() };
        let program = match contestant {
            Contestant::BuiltIn(solver) => {
                let mut program = setting.ask_built_in.clone();
                program.command.push(solver.name().to_owned());
                Some(program)
            }
            Contestant::Peer(peer) => peer.program(),
        };
        let ended = program.map(|program| process::ask(&program, question(&request), limit(budget)));
        let (answer, ended) = match answer_of(ended, contestant, budget) {
            Ok((answer, ended)) => (Ok(answer), Some(ended)),
            Err(outcome) => (Err(outcome), None),
        };
        let version = answer.as_ref().map_or_else(|_| contestant.version(), |answer| answer.version.clone());
        let Judged { mut outcome, plan } = match &answer {
            Ok(answer) => judged(&self.loaded, answer),
            Err(outcome) => Judged { outcome: outcome.clone(), plan: None },
        };
        if let Outcome::Solved(solved) = &mut outcome {
            if let Some(ended) = &ended {
                solved.peak_bytes = solved.peak_bytes.or(ended.peak_bytes);
                solved.process_seconds = matches!(contestant, Contestant::Peer(_)).then_some(ended.seconds);
            }
            let best = self.entry.best_known.as_ref();
            solved.primal_integral = best.and_then(|best| primal_integral(solved, best, budget));
        }
        let record = Record {
            format: FORMAT.to_owned(),
            instance: self.entry.name.clone(),
            instance_sha256: self.entry.sha256.clone(),
            family: self.entry.family.clone(),
            pods: self.loaded.cluster.pods.len(),
            track: setting.track.to_owned(),
            budget_seconds: budget,
            solver: contestant.name().to_owned(),
            solver_version: version,
            seed: setting.seed,
            commit: setting.commit.clone(),
            date,
            machine: setting.machine.clone(),
            outcome,
        };
        Finished { record, plan }
    }
}

/// When a process is ended: its budget counts from the moment at which it has read the question, and a bad stop is no failure.
fn limit(budget: f64) -> Duration {
    Duration::from_secs_f64(budget * 2.0 + 30.0)
}

fn question(request: &Request) -> Vec<u8> {
    serde_json::to_vec(request).expect("a request has string keys and finite numbers alone")
}

/// The answer of a process, or the outcome of a run without one.
fn answer_of(ended: Option<Ended>, contestant: &Contestant, budget: f64) -> Result<(Answer, Ended), Outcome> {
    let not_installed = || match contestant {
        Contestant::Peer(peer) => Outcome::NotInstalled { reason: peer.not_installed() },
        Contestant::BuiltIn(_) => Outcome::Failed { reason: "this program cannot start itself".to_owned() },
    };
    let Some(ended) = ended else { return Err(not_installed()) };
    let said = |what: String| {
        let reason = if ended.complaint.is_empty() { what } else { format!("{what}; it said: {}", ended.complaint) };
        Outcome::Failed { reason }
    };
    match &ended.end {
        End::Well => {}
        End::NotThere => return Err(not_installed()),
        End::Badly(how) => return Err(said(how.clone())),
        End::Late => return Err(said(format!("ended after {:.0} s without an answer", limit(budget).as_secs_f64()))),
    }
    let mut reader = serde_json::Deserializer::from_slice(&ended.output);
    let answer: Answer = serde_path_to_error::deserialize(&mut reader)
        .map_err(|problem| said(format!("no answer: {}: {}", problem.path(), problem.inner())))?;
    if answer.format != PROTOCOL {
        return Err(said(format!("no answer: format: is `{}`, not `{PROTOCOL}`", answer.format)));
    }
    Ok((answer, ended))
}

#[cfg(test)]
mod tests;
