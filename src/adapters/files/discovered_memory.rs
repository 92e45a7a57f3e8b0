//! The table of what nodes reported about their memory, as a file of its own.
//!
//! ```text
//! instance_type,images,memory_bytes,observed
//! m5.large,amis:8af41b9a25e61b82,8118931456,2026-11-26
//! ```
//! One line per instance type and images, in this order. Reading is strict, as for catalogs: a table that was cut off or that somebody
//! mistyped would make nodes look larger than they are.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use crate::adapters::files::durable;
use crate::domain::discovered_memory::{Day, DiscoveredMemory, MemoryReport};

const HEADER: [&str; 4] = ["instance_type", "images", "memory_bytes", "observed"];

/// No instance has more bytes of memory: 64 TiB, twice the largest there is.
const MOST_BYTES: i64 = 64 << 40;

/// The day from which days are counted.
const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// Why the table cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The operating system refused to hand it out.
    #[error("cannot read `{}`: {source}; name another file with --discovered-memory", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The operating system refused to take it.
    #[error("cannot write `{}`: {source}; make room or change its permissions, or name another file with --discovered-memory", path.display())]
    Unwritable {
        /// File or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Somebody else is writing it.
    #[error("`{}` is being written by another process; wait for it to end", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// A line is wrong.
    #[error("{}:{line}: {problem}; mend the line, or remove the file: `supercargo catalog learn` makes it anew", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        problem: String,
    },
    /// It is no table, or cannot be told as one.
    #[error("the table of discovered memory is no CSV: {0}; remove the file: `supercargo catalog learn` makes it anew")]
    Csv(#[from] csv::Error),
}

/// The table in the file `path`, old reports included; empty where there is no file.
///
/// # Errors
/// A file that cannot be read, or whose lines are not as they should be; the first such line.
pub fn read(path: &Path) -> Result<DiscoveredMemory, TableError> {
    match fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(DiscoveredMemory::default()),
        Err(source) => Err(TableError::Unreadable { path: path.to_owned(), source }),
    }
}

/// Changes the table in the file `path` in one step that no other process sees half of or loses; makes file and folders where there are
/// none. Returns what `change` returns.
///
/// # Errors
/// As [`read`]; a file that cannot be written, or that another process is writing. The file stays as it was then.
pub fn update<T>(path: &Path, change: impl FnOnce(&mut DiscoveredMemory) -> T) -> Result<T, TableError> {
    let unwritable = |at: &Path| {
        let path = at.to_owned();
        move |source| TableError::Unwritable { path, source }
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(unwritable(folder))?;
    }
    let lock_path = beside(path, "lock");
    let lock = File::options().create(true).append(true).open(&lock_path).map_err(unwritable(&lock_path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(TableError::Busy { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => return Err(unwritable(&lock_path)(source)),
    }
    let mut table = read(path)?;
    let answer = change(&mut table);
    durable::replace(path, &beside(path, "draft"), &text_of(&table)?).map_err(unwritable(path))?;
    Ok(answer)
}

/// `PATH.ending`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

/// The day that `date` is.
#[must_use]
pub fn day_of(date: Date) -> Day {
    Day((date - EPOCH).get_days().into())
}

fn date_of(day: Day) -> Option<Date> {
    EPOCH.checked_add(jiff::Span::new().try_days(day.0).ok()?).ok()
}

fn parse(path: &Path, text: &str) -> Result<DiscoveredMemory, TableError> {
    let wrong = |line: u64, problem: String| TableError::Line { path: path.to_owned(), line, problem };
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(wrong(text.lines().count() as u64, "the file ends within this line".to_owned()));
    }
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers()?;
    if header != HEADER.as_slice() {
        return Err(wrong(1, format!("the header is not `{}`", HEADER.join(","))));
    }
    let mut table = DiscoveredMemory::default();
    for record in reader.records() {
        let record = record?;
        let line = record.position().map_or(0, csv::Position::line);
        let [instance_type, images, bytes, observed] = [0, 1, 2, 3].map(|at| record.get(at).unwrap_or_default());
        if instance_type.is_empty() || images.is_empty() {
            return Err(wrong(line, "a cell is empty".to_owned()));
        }
        let Some(bytes) = bytes.parse().ok().filter(|bytes| (1..=MOST_BYTES).contains(bytes)) else {
            return Err(wrong(line, format!("`{bytes}` is no number of bytes of memory")));
        };
        let Ok(date) = observed.parse::<Date>() else {
            return Err(wrong(line, format!("`{observed}` is no day such as 2026-11-26")));
        };
        if table.get(instance_type, images).is_some() {
            return Err(wrong(line, format!("`{instance_type}` with `{images}` is there twice")));
        }
        table.learn(instance_type, images, MemoryReport { bytes, day: day_of(date) });
    }
    Ok(table)
}

fn text_of(table: &DiscoveredMemory) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER)?;
    for (instance_type, images, report) in table.iter() {
        let observed = date_of(report.day).map(|date| date.to_string()).unwrap_or_default();
        writer.write_record([instance_type, images, &report.bytes.to_string(), &observed])?;
    }
    let bytes = writer.into_inner().map_err(|problem| csv::Error::from(problem.into_error()))?;
    // Only text was written.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(bytes: i64, date: &str) -> MemoryReport {
        MemoryReport { bytes, day: day_of(date.parse().expect("the days of this test are days")) }
    }

    #[test]
    fn days_are_counted_from_1970() {
        for (date, day) in [("1970-01-01", 0), ("1970-03-01", 59), ("2026-11-26", 20_783), ("1969-12-31", -1)] {
            let date: Date = date.parse().expect("a day");
            assert_eq!(day_of(date), Day(day));
            assert_eq!(date_of(Day(day)), Some(date));
        }
        assert_eq!(date_of(Day(i64::MAX)), None);
    }

    #[test]
    fn what_is_written_is_read_back_and_outlives_a_killed_writer() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("state/memory.csv");
        assert_eq!(read(&path).expect("nothing is there"), DiscoveredMemory::default());
        let learned = update(&path, |table| table.learn("m5.large", "amis:1", report(8_000_000_000, "2026-11-26")));
        assert!(learned.expect("it can be written"));
        fs::write(beside(&path, "draft"), "instance_ty").expect("half a draft");
        update(&path, |table| {
            table.learn("c5.large", "alias:al2023@latest", report(4_000_000_000, "2026-11-27"));
            table.learn("m5.large", "amis:0", report(7_900_000_000, "2026-11-27"));
        })
        .expect("it can be written again");
        let text = fs::read_to_string(&path).expect("it is there");
        let expected = "instance_type,images,memory_bytes,observed\nc5.large,alias:al2023@latest,4000000000,2026-11-27\n\
                        m5.large,amis:0,7900000000,2026-11-27\nm5.large,amis:1,8000000000,2026-11-26\n";
        assert_eq!(text, expected);
        assert_eq!(read(&path).expect("it can be read").get("m5.large", "amis:1"), Some(8_000_000_000));
    }

    #[test]
    fn a_line_that_cannot_be_is_one_error_with_its_place() {
        let header = "instance_type,images,memory_bytes,observed\n";
        let cases = [
            ("instance_type,memory\n".to_owned(), 1, "the header is not"),
            (format!("{header}m5.large,a,1,2026-11-26"), 2, "the file ends within this line"),
            (format!("{header}m5.large,,1,2026-11-26\n"), 2, "a cell is empty"),
            (format!("{header}m5.large,a,8Gi,2026-11-26\n"), 2, "`8Gi` is no number of bytes"),
            (format!("{header}m5.large,a,0,2026-11-26\n"), 2, "`0` is no number of bytes"),
            (format!("{header}m5.large,a,1,yesterday\n"), 2, "`yesterday` is no day"),
            (format!("{header}m5.large,a,1,2026-11-26\nm5.large,a,2,2026-11-26\n"), 3, "is there twice"),
        ];
        for (text, place, what) in cases {
            match parse(Path::new("memory.csv"), &text) {
                Err(TableError::Line { line, problem, .. }) => {
                    assert_eq!(line, place, "{text}");
                    assert!(problem.contains(what), "{problem}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(matches!(parse(Path::new("x"), &format!("{header}m5.large,a\n")), Err(TableError::Csv(_))));
    }

    #[test]
    fn one_process_writes_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("memory.csv");
        let inner = update(&path, |_| update(&path, |_| ())).expect("nobody else writes it");
        assert!(matches!(inner, Err(TableError::Busy { path: at }) if at == path));
    }
}
