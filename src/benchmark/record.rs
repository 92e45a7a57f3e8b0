//! What is kept of one run: one line of JSON for each instance, solver and budget.
//!
//! A record says who ran what on which machine, and what came of it. Money is in dollars per hour.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::benchmark::protocol::Point;
use crate::domain::money::UsdPerHour;

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

    /// The record in a line, with figures that can be what they say: amounts that are amounts, times that are times and in order, a file name
    /// that stays in its folder.
    ///
    /// # Errors
    /// What is wrong, beginning with the field.
    pub fn from_line(line: &str) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_str(line).map_err(|problem| format!("not JSON: {problem}"))?;
        match value.get("format").and_then(serde_json::Value::as_str) {
            Some(FORMAT) => {}
            found => return Err(format!("format: is `{}`, this program reads `{FORMAT}`", found.unwrap_or("missing"))),
        }
        let record: Record =
            serde_path_to_error::deserialize(value).map_err(|problem| format!("{}: {}", problem.path(), problem.inner()))?;
        check(&record)?;
        Ok(record)
    }
}

fn check(record: &Record) -> Result<(), String> {
    let fail = |field: &str, problem: &str| Err(format!("{field}: {problem}"));
    for (field, text) in [("instance", &record.instance), ("solver", &record.solver), ("track", &record.track)] {
        if text.is_empty() {
            return fail(field, "is empty");
        }
    }
    if !time(record.budget_seconds) || record.budget_seconds <= 0.0 {
        return fail("budgetSeconds", "is no number of seconds above 0");
    }
    let Outcome::Solved(solved) = &record.outcome else { return Ok(()) };
    let Solved { cost, bound, gap, unplaced, seconds, process_seconds, first_plan_seconds, primal_integral, .. } = &**solved;
    if UsdPerHour::from_dollars(*cost).is_none() {
        return fail("outcome.cost", "is no amount of dollars per hour");
    }
    // A bound may be below nothing: it is weak then, and not wrong.
    if bound.is_some_and(|bound| !bound.is_finite()) {
        return fail("outcome.bound", "is no number");
    }
    if gap.is_some_and(|gap| !gap.is_finite()) {
        return fail("outcome.gap", "is no number");
    }
    if *unplaced > record.pods {
        return fail("outcome.unplaced", "is more than there are pods");
    }
    let times = [
        ("outcome.seconds", Some(*seconds)),
        ("outcome.processSeconds", *process_seconds),
        ("outcome.firstPlanSeconds", *first_plan_seconds),
        ("outcome.primalIntegral", *primal_integral),
    ];
    for (field, seconds) in times {
        if seconds.is_some_and(|seconds| !time(seconds)) {
            return fail(field, "is no number of seconds");
        }
    }
    for (at, point) in solved.trajectory.iter().enumerate() {
        let Point { seconds, cost, bound } = *point;
        let amounts = cost.is_none_or(|cost| UsdPerHour::from_dollars(cost).is_some()) && bound.is_none_or(f64::is_finite);
        let late = at > 0 && solved.trajectory[at - 1].seconds > seconds;
        if !time(seconds) || late || !amounts {
            return fail(&format!("outcome.trajectory[{at}]"), "needs seconds in ascending order, and dollars per hour");
        }
    }
    let stays = |name: &String| !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if solved.certificate.as_ref().is_some_and(|name| !stays(name)) {
        return fail("outcome.certificate", "is no file name in the folder of the records");
    }
    Ok(())
}

fn time(seconds: f64) -> bool {
    seconds.is_finite() && seconds >= 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::shards::{self, RECORDS};
    use crate::benchmark::telling::fixtures::{on, record, solved};

    #[test]
    fn a_line_that_is_no_record_is_named_with_its_field() {
        let good = |change: fn(&mut Solved)| {
            let mut outcome = solved(1.0);
            change(&mut outcome);
            serde_json::to_string(&record("a", "supercargo", outcome)).expect("a record")
        };
        let cases = [
            (good(|of| of.cost = -1.0), "outcome.cost"),
            (good(|of| of.bound = Some(-1.0)).replace("-1.0", "1e999"), "not JSON"),
            (good(|of| of.seconds = -1.0), "outcome.seconds"),
            (good(|of| of.unplaced = 1_000_000), "outcome.unplaced"),
            (good(|of| of.certificate = Some("../secret.json".to_owned())), "outcome.certificate"),
            (good(|of| of.certificate = Some("/secret.json".to_owned())), "outcome.certificate"),
            (good(|of| of.trajectory = vec![on(2.0, 3.0), on(1.0, 2.0)]), "outcome.trajectory[1]"),
            (good(|_| {}).replace("supercargo-run/1", "supercargo-run/2"), "format"),
            (good(|_| {}).replace("\"pods\":", "\"pots\":"), "pots"),
            ("{".to_owned(), "not JSON"),
        ];
        for (line, expected) in cases {
            let problem = Record::from_line(&line).expect_err(expected);
            assert!(problem.contains(expected), "{problem}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(RECORDS), format!("{}\n\n{{\n", good(|_| {}))).expect("a file");
        let problem = shards::read(folder.path()).expect_err("the third line is broken").to_string();
        assert!(problem.contains("runs.jsonl:3: not JSON"), "{problem}");
    }
}
