//! Reads the folders that runs leave: `runs.jsonl` with a record a line, and the plans beside it.
//!
//! [`Record::from_line`] checks their figures, so everything behind can take them for what they say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::benchmark::record::{Outcome, Record};
use crate::benchmark::shards::{self, MergeError, RECORDS};
use crate::report::json::{PlanDocument, ReadError};

/// Why runs cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunsError {
    /// Records cannot be read.
    #[error("{0}")]
    Records(#[from] MergeError),
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
    /// A certificate cannot be read.
    #[error("{}: cannot be read: {source}\n  hint: give the folder as `supercargo bench run` has written it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
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
    /// Records that cannot be read, a name that two instances have, no record at all.
    pub fn read(folders: &[PathBuf]) -> Result<Self, RunsError> {
        let mut all = Vec::new();
        for folder in folders {
            let records = shards::read(folder)?;
            all.extend(records.into_iter().map(|record| Kept { record, folder: folder.clone() }));
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
        let path = self.folder.join(name);
        let bytes = std::fs::read(&path).map_err(|source| RunsError::Unreadable { path: path.clone(), source })?;
        PlanDocument::parse(&bytes).map(Some).map_err(|source| RunsError::Certificate { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::telling::fixtures::{kept, record, solved, two_instances_and_four_solvers, write};

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
    fn nothing_to_tell_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = Runs::read(&[folder.path().to_owned()]).expect_err("there is no file");
        assert!(matches!(missing, RunsError::Records(_)));
        std::fs::write(folder.path().join(RECORDS), "\n").expect("a file");
        let empty = Runs::read(&[folder.path().to_owned()]).expect_err("there is no record");
        assert!(matches!(empty, RunsError::Empty { .. }));
    }
}
