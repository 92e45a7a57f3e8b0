//! `supercargo bench compare`: what changed between two folders of runs.

use std::path::PathBuf;

use clap::Args;

use crate::benchmark::telling::comparison::Comparison;
use crate::benchmark::telling::reading::Runs;
use crate::cli::args::share;
use crate::cli::{Answer, Failure, output};

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// Folder with the runs to compare with.
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// Folder with the runs to judge.
    #[arg(value_name = "AFTER")]
    after: PathBuf,
    /// How much a gap may grow, as a share of the cost, before it counts as worse.
    #[arg(long, value_name = "SHARE", default_value = "0.001", value_parser = share, env = "SUPERCARGO_GAP_TOLERANCE")]
    gap_tolerance: f64,
}

/// Prints the comparison; the answer is "no" when something got worse.
pub(super) fn run(args: &CompareArgs) -> Result<Answer, Failure> {
    let comparison = compare(args)?;
    output::print(&comparison.to_markdown())?;
    Ok(if comparison.worse.is_empty() { Answer::Yes } else { Answer::No })
}

fn compare(args: &CompareArgs) -> Result<Comparison, Failure> {
    let read = |folder: &PathBuf| Runs::read(std::slice::from_ref(folder)).map_err(Failure::input);
    let comparison = Comparison::new(&read(&args.before)?, &read(&args.after)?, args.gap_tolerance);
    if comparison.compared() == 0 {
        // A job that compares nothing must not look as if nothing got worse.
        let (before, after) = (args.before.display(), args.after.display());
        return Err(Failure::Input(format!(
            "{before}, {after}: no run is in both\n  hint: give runs of the same instances, tracks, budgets, solvers and seeds"
        )));
    }
    Ok(comparison)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::record::Record;
    use crate::benchmark::telling::fixtures::{bounded, record, solved, write};

    fn answer(before: &Record, after: &Record, gap_tolerance: f64) -> Result<Answer, Failure> {
        let folders = [before, after].map(|record| {
            let folder = tempfile::tempdir().expect("a folder");
            write(folder.path(), std::slice::from_ref(record));
            folder
        });
        let [before, after] = folders.each_ref().map(|folder| folder.path().to_owned());
        run(&CompareArgs { before, after, gap_tolerance })
    }

    #[test]
    fn ci_sees_what_got_worse_and_whether_anything_was_compared() {
        let good = record("a", "supercargo", bounded(10.0, 9.99));
        let worse = record("a", "supercargo", bounded(10.0, 9.5));
        assert_eq!(answer(&good, &good, 0.001).ok(), Some(Answer::Yes));
        assert_eq!(answer(&good, &worse, 0.001).ok(), Some(Answer::No));
        assert_eq!(answer(&good, &worse, 0.1).ok(), Some(Answer::Yes));
        assert_eq!(answer(&worse, &good, 0.001).ok(), Some(Answer::Yes));
        let failure = answer(&good, &record("b", "supercargo", solved(1.0)), 0.001).expect_err("nothing is in both");
        assert!(failure.to_string().contains("no run is in both") && failure.code() == 2);
    }
}
