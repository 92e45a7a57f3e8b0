//! A run in parts on several machines, and the parts put together.
//!
//! Shard I of N has every N-th instance, from the I-th on. Instances are listed small to large, so each shard gets some of every size, and all
//! solvers of one instance run on one machine: their times compare.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::benchmark::record::{Outcome, Record};

/// The file of the records in the folder of a run.
pub const RECORDS: &str = "runs.jsonl";
/// The folder of the plans in the folder of a run.
pub const PLANS: &str = "plans";

/// A part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: usize,
    /// How many there are; more than `index`.
    pub of: usize,
}

impl Shard {
    /// The whole.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// `0/4`: the first of four.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (index, of) = text.split_once('/')?;
        let shard = Self { index: index.parse().ok()?, of: of.parse().ok()? };
        (shard.index < shard.of).then_some(shard)
    }

    /// Its part of `all`.
    pub fn of<T>(self, all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        all.into_iter().skip(self.index).step_by(self.of)
    }
}

/// Why parts do not make a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}\n  hint: give folders that `supercargo bench run` has written, and a new one to write to", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is no record.
    #[error("{}:{line}: {problem}\n  hint: a run that was cut off may leave half a line; remove it", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// Field and fault.
        problem: String,
    },
    /// The same run twice.
    #[error("{} and {}: both have {solver} on {instance} with {budget} s and seed {seed}\n  hint: give every shard once", first.display(), second.display())]
    Twice {
        /// The one file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// Who solved.
        solver: String,
        /// What.
        instance: String,
        /// Within so many seconds.
        budget: f64,
        /// With this seed.
        seed: u64,
    },
    /// Parts of different wholes.
    #[error("{} and {}: {what} differ: `{one}` and `{other}`\n  hint: merge shards of one run alone", first.display(), second.display())]
    Different {
        /// The one file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// What differs.
        what: &'static str,
        /// Here.
        one: String,
        /// There.
        other: String,
    },
}

/// The records of the folder of a run, in their order.
///
/// # Errors
/// A file that cannot be read, or a line that is no record.
pub fn read(folder: &Path) -> Result<Vec<Record>, MergeError> {
    let path = folder.join(RECORDS);
    let text = fs::read_to_string(&path).map_err(|source| MergeError::Io { path: path.clone(), source })?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let record = |(at, line): (usize, &str)| {
        let fail = |problem| MergeError::Line { path: path.clone(), line: at + 1, problem };
        Record::from_line(line).map_err(fail)
    };
    lines.map(record).collect()
}

/// Joins the runs in the folders `parts` to one in `out`: their records by instance, solver, budget and seed, and their plans. Returns how many
/// records there are.
///
/// # Errors
/// What cannot be read or written, a run that is there twice, and parts of different commits, tracks or instances.
pub fn merge(out: &Path, parts: &[PathBuf]) -> Result<usize, MergeError> {
    let mut all: Vec<(Record, &PathBuf)> = Vec::new();
    for part in parts {
        all.extend(read(part)?.into_iter().map(|record| (record, part)));
    }
    check(&all)?;
    all.sort_by(|(a, _), (b, _)| {
        let by_budget = || a.budget_seconds.total_cmp(&b.budget_seconds);
        (&a.instance, &a.solver).cmp(&(&b.instance, &b.solver)).then_with(by_budget).then(a.seed.cmp(&b.seed))
    });
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| MergeError::Io { path, source }
    };
    let plans = out.join(PLANS);
    fs::create_dir_all(&plans).map_err(io(&plans))?;
    // First of all, so that nothing of another run is written over.
    let path = out.join(RECORDS);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&path).map_err(io(&path))?;
    let mut lines = String::new();
    for (record, part) in &all {
        if let Some(name) = certificate(record) {
            let from = part.join(name);
            fs::copy(&from, out.join(name)).map_err(io(&from))?;
        }
        lines.push_str(&record.to_line());
    }
    std::io::Write::write_all(&mut file, lines.as_bytes()).map_err(io(&path))?;
    Ok(all.len())
}

/// The path of the plan of a record, from the folder of the run.
fn certificate(record: &Record) -> Option<&str> {
    match &record.outcome {
        Outcome::Solved(solved) => solved.certificate.as_deref(),
        _ => None,
    }
}

/// What makes two records the same run: instance, solver, budget in bits (an order is all that is asked of it) and seed.
type Key<'a> = (&'a str, &'a str, u64, u64);

/// Every run once, and all of one commit, track and suite.
fn check(all: &[(Record, &PathBuf)]) -> Result<(), MergeError> {
    let mut seen: BTreeMap<Key<'_>, &PathBuf> = BTreeMap::new();
    let mut digests: BTreeMap<&str, (&str, &PathBuf)> = BTreeMap::new();
    let file = |folder: &Path| folder.join(RECORDS);
    for (record, part) in all {
        let key = (record.instance.as_str(), record.solver.as_str(), record.budget_seconds.to_bits(), record.seed);
        if let Some(other) = seen.insert(key, part) {
            let (first, second, budget) = (file(other), file(part), record.budget_seconds);
            let (solver, instance, seed) = (record.solver.clone(), record.instance.clone(), record.seed);
            return Err(MergeError::Twice { first, second, solver, instance, budget, seed });
        }
        let (one, first) = all.first().map_or((record, *part), |(one, first)| (one, *first));
        let (digest, of) = *digests.entry(&record.instance).or_insert((&record.instance_sha256, part));
        let pairs = [
            ("commits", &one.commit, &record.commit, first),
            ("tracks", &one.track, &record.track, first),
            ("digests of one instance", &digest.to_owned(), &record.instance_sha256, of),
        ];
        for (what, one, other, first) in pairs {
            if one != other {
                let (one, other) = (one.clone(), other.clone());
                return Err(MergeError::Different { first: file(first), second: file(part), what, one, other });
            }
        }
    }
    Ok(())
}

/// Machines of a merged run, each once.
#[must_use]
pub fn machines(records: &[Record]) -> BTreeSet<String> {
    records.iter().map(|record| format!("{}, {} cores", record.machine.processor, record.machine.cores)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::record::{FORMAT, Machine};

    fn record(instance: &str, solver: &str, outcome: Outcome) -> Record {
        Record {
            format: FORMAT.to_owned(),
            instance: instance.to_owned(),
            instance_sha256: "a".repeat(64),
            family: "tests".to_owned(),
            pods: 3,
            track: "controller".to_owned(),
            budget_seconds: 1.0,
            solver: solver.to_owned(),
            solver_version: "1".to_owned(),
            seed: 1,
            commit: "c0ffee".to_owned(),
            date: "2026-11-27T20:00:00Z".to_owned(),
            machine: Machine { processor: "a".to_owned(), cores: 2, memory_bytes: 1, system: "linux x86_64".to_owned() },
            outcome,
        }
    }

    fn left(instance: &str, solver: &str) -> Record {
        record(instance, solver, Outcome::CannotState { reason: "spread".to_owned() })
    }

    fn write(folder: &Path, records: &[Record]) {
        let lines: String = records.iter().map(Record::to_line).collect();
        fs::write(folder.join(RECORDS), lines).expect("a file");
    }

    fn folders(parts: &[Vec<Record>]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let root = tempfile::tempdir().expect("a folder");
        let paths = (0..parts.len()).map(|number| root.path().join(number.to_string())).collect::<Vec<_>>();
        for (path, part) in paths.iter().zip(parts) {
            fs::create_dir(path).expect("a folder");
            write(path, part);
        }
        (root, paths)
    }

    #[test]
    fn shards_divide_what_there_is() {
        let all: Vec<usize> = (0..11).collect();
        for of in 1..5 {
            let mut together: Vec<usize> =
                (0..of).flat_map(|index| Shard { index, of }.of(all.clone()).collect::<Vec<_>>()).collect();
            together.sort_unstable();
            assert_eq!(together, all, "{of}");
        }
        assert_eq!(Shard::parse("2/4"), Some(Shard { index: 2, of: 4 }));
        for text in ["4/4", "1", "-1/2", "0/0", "a/b", "1/2/3"] {
            assert_eq!(Shard::parse(text), None, "{text}");
        }
    }

    #[test]
    fn parts_make_the_whole() {
        let whole = vec![left("a", "first-fit"), left("a", "supercargo"), left("b", "first-fit"), left("b", "supercargo")];
        let parts = [vec![whole[3].clone(), whole[2].clone()], vec![whole[1].clone(), whole[0].clone()]];
        let (root, paths) = folders(&parts);
        let out = root.path().join("out");
        assert_eq!(merge(&out, &paths).expect("they are parts of one"), 4);
        assert_eq!(read(&out).expect("they are records"), whole);
        assert_eq!(machines(&whole).len(), 1);
        assert!(matches!(merge(&out, &paths), Err(MergeError::Io { .. })), "nothing is written over");
    }

    #[test]
    fn what_is_no_part_of_the_whole_is_refused() {
        let good = left("a", "first-fit");
        let cases = [
            (good.clone(), "both have first-fit on a"),
            (Record { commit: "other".to_owned(), ..left("b", "first-fit") }, "commits differ: `c0ffee` and `other`"),
            (Record { track: "large".to_owned(), ..left("b", "first-fit") }, "tracks differ"),
            (Record { instance_sha256: "b".repeat(64), ..left("a", "mean-pod") }, "digests of one instance differ"),
        ];
        for (other, expected) in cases {
            let (root, paths) = folders(&[vec![good.clone()], vec![other]]);
            let problem = merge(&root.path().join("out"), &paths).expect_err(expected).to_string();
            assert!(problem.contains(expected), "{problem}");
            assert!(!root.path().join("out").exists(), "{expected}: nothing is left behind");
        }
        let (root, paths) = folders(&[vec![good]]);
        fs::write(paths[0].join(RECORDS), "{\"format\"").expect("a file");
        assert!(matches!(merge(&root.path().join("out"), &paths), Err(MergeError::Line { line: 1, .. })));
    }
}
