//! `plan --export FILE`: the program that was solved, as a model that other solvers read.
//!
//! A tier of NodePools is a program of its own: the first goes to the file that was named, the others beside it with the number of
//! the tier before the ending. The model allows as many nodes of each shape as the tier's plan has in all, so the plan is one of
//! its solutions; that may leave out plans of more, smaller nodes, and the note says so.

use std::path::{Path, PathBuf};

use super::Failure;
use super::output::say;
use crate::planning::Planned;
pub(super) use crate::solver::compact::ModelFormat;
use crate::solver::compact::{compact_columns, compact_model_text};

/// Larger models take gigabytes, and no solver of today gets anywhere with them.
const MOST_COLUMNS: usize = 2_000_000;

/// The form that the ending of a file's name stands for.
///
/// # Errors
/// When the ending is neither `.mps` nor `.lp`.
pub(super) fn format_of(path: &Path) -> Result<ModelFormat, Failure> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("mps") => Ok(ModelFormat::Mps),
        Some("lp") => Ok(ModelFormat::Lp),
        _ => Err(Failure::Input(format!("--export {}: the name must end in .mps or .lp", path.display()))),
    }
}

/// Writes the model of every tier.
///
/// # Errors
/// When a model is too large, or a file cannot be written.
pub(super) fn write(path: &Path, format: ModelFormat, planned: &Planned) -> Result<(), Failure> {
    let shown = path.display();
    for (at, tier) in planned.tiers.iter().enumerate() {
        let problem = &tier.program.problem;
        let nodes: usize = tier.solution.patterns.iter().map(|pattern| pattern.nodes as usize).sum();
        let columns = compact_columns(problem, nodes);
        if columns > MOST_COLUMNS {
            return Err(Failure::Input(format!(
                "{shown}: the model would have {columns} columns, more than {MOST_COLUMNS}; export fewer pods or allow fewer instance types"
            )));
        }
        let path = of_tier(path, at);
        let text = compact_model_text(problem, format, nodes);
        std::fs::write(&path, text)
            .map_err(|problem| Failure::Input(format!("{}: cannot be written: {problem}", path.display())))?;
        say(&format!("note: {} is the model with at most {nodes} nodes of each shape ({columns} columns)", path.display()));
    }
    Ok(())
}

/// The file of the tier at `at`.
fn of_tier(path: &Path, at: usize) -> PathBuf {
    if at == 0 {
        return path.to_path_buf();
    }
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    path.with_extension(format!("{}.{ending}", at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_have_files_of_their_own() {
        assert_eq!(of_tier(Path::new("a/model.mps"), 0), Path::new("a/model.mps"));
        assert_eq!(of_tier(Path::new("a/model.mps"), 1), Path::new("a/model.2.mps"));
    }
}
