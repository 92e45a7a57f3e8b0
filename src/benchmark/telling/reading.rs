//! Reads the folders that runs leave: `runs.jsonl` with a record a line, and the plans beside it.
//!
//! Records are checked where they come in, so that everything behind can take their figures for what they say: amounts that are amounts,
//! times that are times, file names that stay in their folder.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::benchmark::protocol::Point;
use crate::benchmark::record::{FORMAT, Outcome, Record, Solved};
use crate::domain::money::UsdPerHour;
use crate::report::json::{PlanDocument, ReadError};

/// The file of the records in a folder.
pub const RECORDS: &str = "runs.jsonl";
/// The folder of the plans, in the folder of the records.
pub const PLANS: &str = "plans";

/// Why runs cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunsError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}\n  hint: give a folder that `supercargo bench run` has written", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is no record.
    #[error("{}:{line}: {problem}\n  hint: run it again, or remove the line", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Field and fault.
        problem: String,
    },
    /// Two records mean different instances by one name.
    #[error("{}: `{instance}` is another instance than in {}: their digests differ\n  hint: report on runs of one suite at a time", path.display(), other.display())]
    TwoInstances {
        /// The name that both have.
        instance: String,
        /// Folder of the one.
        path: PathBuf,
        /// Folder of the other.
        other: PathBuf,
    },
    /// A certificate is no plan.
    #[error("{}: {source}\n  hint: run the instance again, or remove `certificate` from its record", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// There is nothing to tell.
    #[error("{}: there is no record in it\n  hint: give a folder that `supercargo bench run` has written", path.display())]
    Empty {
        /// The first folder.
        path: PathBuf,
    },
}

/// What tells runs apart: the same key twice is the same run, made again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Which kind of limit.
    pub track: String,
    /// Micro-seconds that the solver had; whole numbers have an order.
    pub budget: u64,
    /// Name of the instance.
    pub instance: String,
    /// Seed of the solver.
    pub seed: u64,
    /// Who solved.
    pub solver: String,
}

impl Key {
    /// The key of a record.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        Self {
            track: record.track.clone(),
            budget: (record.budget_seconds * 1e6).round() as u64,
            instance: record.instance.clone(),
            seed: record.seed,
            solver: record.solver.clone(),
        }
    }
}

/// A record, and the folder that its certificate is in.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// What came of the run.
    pub record: Record,
    /// Where it was read.
    pub folder: PathBuf,
}

/// The records of some folders.
#[derive(Clone, Debug, PartialEq)]
pub struct Runs {
    /// One a run.
    pub kept: BTreeMap<Key, Kept>,
    /// How many records were left out because the same run was made again later.
    pub replaced: usize,
}

impl Runs {
    /// Reads `folders`. Of a run that was made several times the latest counts.
    ///
    /// # Errors
    /// A file that cannot be read, a line that is no record, a name that two instances have, no record at all.
    pub fn read(folders: &[PathBuf]) -> Result<Self, RunsError> {
        let mut all = Vec::new();
        for folder in folders {
            let path = folder.join(RECORDS);
            let text = std::fs::read_to_string(&path).map_err(|source| RunsError::Unreadable { path: path.clone(), source })?;
            for (row, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let record = parse(line).map_err(|problem| RunsError::Line { path: path.clone(), line: row + 1, problem })?;
                all.push(Kept { record, folder: folder.clone() });
            }
        }
        match folders.first() {
            Some(first) if all.is_empty() => Err(RunsError::Empty { path: first.join(RECORDS) }),
            _ => Self::new(all),
        }
    }

    /// Puts records in order. Of a run that was made several times the latest counts, by date and then by place.
    ///
    /// # Errors
    /// When two records mean different instances by one name.
    pub fn new(all: Vec<Kept>) -> Result<Self, RunsError> {
        let mut digests: BTreeMap<String, (String, PathBuf)> = BTreeMap::new();
        let mut kept: BTreeMap<Key, Kept> = BTreeMap::new();
        let total = all.len();
        for one in all {
            let record = &one.record;
            let known = digests.entry(record.instance.clone());
            let (digest, other) = known.or_insert_with(|| (record.instance_sha256.clone(), one.folder.clone()));
            if *digest != record.instance_sha256 {
                let (instance, other) = (record.instance.clone(), other.clone());
                return Err(RunsError::TwoInstances { instance, path: one.folder, other });
            }
            let key = Key::of(record);
            if kept.get(&key).is_none_or(|before| before.record.date <= record.date) {
                kept.insert(key, one);
            }
        }
        Ok(Self { replaced: total - kept.len(), kept })
    }

    /// The records, by key.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.kept.values().map(|kept| &kept.record)
    }
}

impl Kept {
    /// The plan, where it was kept.
    ///
    /// # Errors
    /// When it cannot be read, or is no plan.
    pub fn plan(&self) -> Result<Option<PlanDocument>, RunsError> {
        let Outcome::Solved(solved) = &self.record.outcome else { return Ok(None) };
        let Some(name) = &solved.certificate else { return Ok(None) };
        let path = self.folder.join(PLANS).join(name);
        let bytes = std::fs::read(&path).map_err(|source| RunsError::Unreadable { path: path.clone(), source })?;
        PlanDocument::parse(&bytes).map(Some).map_err(|source| RunsError::Certificate { path, source })
    }
}

/// The record in a line; otherwise what is wrong with it, beginning with the field.
fn parse(line: &str) -> Result<Record, String> {
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
    if bound.is_some_and(|bound| UsdPerHour::from_dollars(bound).is_none()) {
        return fail("outcome.bound", "is no amount of dollars per hour");
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
        let amounts = [cost, bound].into_iter().flatten().all(|amount| UsdPerHour::from_dollars(amount).is_some());
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
    use crate::benchmark::telling::fixtures::{kept, on, record, solved, two_instances_and_four_solvers, write};

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let records: Vec<Record> = two_instances_and_four_solvers();
        write(folder.path(), &records);
        let runs = Runs::read(&[folder.path().to_owned()]).expect("they are records");
        assert_eq!(runs.records().count(), records.len());
        assert!(records.iter().all(|record| runs.records().any(|read| read == record)));
        assert_eq!(runs.replaced, 0);
    }

    #[test]
    fn the_latest_of_the_same_run_counts() {
        let early = Record { date: "2026-01-01T00:00:00Z".to_owned(), ..record("a", "supercargo", solved(3.0)) };
        let late = Record { date: "2026-01-02T00:00:00Z".to_owned(), ..record("a", "supercargo", solved(4.0)) };
        for order in [vec![early.clone(), late.clone()], vec![late.clone(), early]] {
            let runs = Runs::new(kept(order)).expect("one instance");
            assert_eq!(runs.records().collect::<Vec<_>>(), [&late]);
            assert_eq!(runs.replaced, 1);
        }
    }

    #[test]
    fn one_name_means_one_instance() {
        let other = Record { instance_sha256: "b".repeat(64), ..record("a", "first-fit", solved(3.0)) };
        let refused = Runs::new(kept(vec![record("a", "supercargo", solved(3.0)), other]));
        assert!(refused.expect_err("two instances").to_string().contains("`a` is another instance"));
    }

    #[test]
    fn a_line_that_is_no_record_is_named_with_its_field() {
        let good = |change: fn(&mut Solved)| {
            let mut outcome = solved(1.0);
            change(&mut outcome);
            serde_json::to_string(&record("a", "supercargo", outcome)).expect("a record")
        };
        let cases = [
            (good(|of| of.cost = -1.0), "outcome.cost"),
            (good(|of| of.bound = Some(-1.0)), "outcome.bound"),
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
            let problem = parse(&line).expect_err(expected);
            assert!(problem.contains(expected), "{problem}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(RECORDS), format!("{}\n\n{{\n", good(|_| {}))).expect("a file");
        let problem = Runs::read(&[folder.path().to_owned()]).expect_err("the third line is broken").to_string();
        assert!(problem.contains("runs.jsonl:3: not JSON"), "{problem}");
    }

    #[test]
    fn nothing_to_tell_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = Runs::read(&[folder.path().to_owned()]).expect_err("there is no file");
        assert!(matches!(missing, RunsError::Unreadable { .. }));
        std::fs::write(folder.path().join(RECORDS), "\n").expect("a file");
        let empty = Runs::read(&[folder.path().to_owned()]).expect_err("there is no record");
        assert!(matches!(empty, RunsError::Empty { .. }));
    }
}
