//! What is kept of one run: one line of JSON for each instance, solver and budget.
//!
//! A record says who ran what on which machine, and what came of it. Money is in dollars per hour.

use serde::{Deserialize, Serialize};

use crate::benchmark::protocol::Point;

/// The version of this form, in every record.
pub const FORMAT: &str = "supercargo-run/1";

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// [`FORMAT`].
    pub format: String,
    /// Name of the instance.
    pub instance: String,
    /// SHA-256 of the instance, as the MANIFEST has it.
    pub instance_sha256: String,
    /// Its family.
    pub family: String,
    /// Pods to place.
    pub pods: usize,
    /// `exact`, `controller`, `large`, or `custom`.
    pub track: String,
    /// Seconds that the solver had.
    pub budget_seconds: f64,
    /// Who solved: `supercargo`, `first-fit`, `compact-mip`, `mean-pod`, `price-guided`, or the name of a peer.
    pub solver: String,
    /// Its version.
    pub solver_version: String,
    /// Its seed.
    pub seed: u64,
    /// Commit of the program that ran it; `-dirty` behind it where files differed.
    pub commit: String,
    /// When it ran, in UTC, RFC 3339.
    pub date: String,
    /// On what.
    pub machine: Machine,
    /// What came of it.
    pub outcome: Outcome,
}

/// What a run ran on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Machine {
    /// Model of the processor.
    pub processor: String,
    /// Cores that the process may use.
    pub cores: usize,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Operating system and architecture: `linux x86_64`.
    pub system: String,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Outcome {
    /// There is a plan.
    Solved(Box<Solved>),
    /// The solver cannot state the instance.
    CannotState {
        /// What it cannot state.
        reason: String,
    },
    /// The peer is not on this machine.
    NotInstalled {
        /// What would install it.
        reason: String,
    },
    /// No plan within the budget.
    NothingFound {
        /// What the solver said.
        reason: String,
    },
    /// Something went wrong.
    Failed {
        /// What.
        reason: String,
    },
}

/// A plan, in figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Solved {
    /// What the plan costs: [`Plan::value`](crate::domain::plan::Plan::value), as the verifier's figures have it.
    pub cost: f64,
    /// No plan for the same pods costs less; where the solver has such a figure.
    pub bound: Option<f64>,
    /// `(cost - bound) / cost`; where there is a bound.
    pub gap: Option<f64>,
    /// Nodes to buy.
    pub nodes: usize,
    /// Pods that the plan leaves. Costs compare only between plans that leave equally many.
    pub unplaced: usize,
    /// Why the solver stopped: `optimal`, `gapReached`, `workLimit`, `deadline`; a peer's plans say `ended`.
    pub stopped_by: String,
    /// From the cluster in memory to the plan; for a peer, what it says itself.
    pub seconds: f64,
    /// Of the whole process, reading and writing included; peers only.
    pub process_seconds: Option<f64>,
    /// When there was a first plan.
    pub first_plan_seconds: Option<f64>,
    /// Plans and bounds as they got better, by time.
    pub trajectory: Vec<Point>,
    /// Area under the primal gap to the best known cost over the budget, in seconds (Berthold 2013); 1 is lost a second before there is a
    /// plan.
    pub primal_integral: Option<f64>,
    /// Most memory that the process held meanwhile; where the system tells.
    pub peak_bytes: Option<u64>,
    /// Whether the verifier accepts the plan.
    pub verified: bool,
    /// Rules that the plan breaks, the first few.
    pub violations: Vec<String>,
    /// Path of the plan (`plan -o json`), from the folder of the records; only where it was kept.
    pub certificate: Option<String>,
}

impl Record {
    /// The record as a line of JSON with its line feed.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("a record has string keys and finite numbers alone") + "\n"
    }
}
