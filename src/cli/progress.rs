//! Progress while a plan is made: one line on a terminal, nothing anywhere else.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::domain::money::UsdPerHour;
use crate::solver::{Progress, Stage};

/// The line moves this often even when nothing new is known, so that a person sees that work goes on.
const TICK: Duration = Duration::from_millis(100);

/// One line that is rewritten.
pub(super) struct Meter {
    line: Option<ProgressBar>,
}

impl Meter {
    /// A line on stderr when that is a terminal.
    pub(super) fn new() -> Self {
        let line = std::io::stderr().is_terminal().then(|| {
            let line = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>3}  {msg}") {
                line.set_style(style);
            }
            line.enable_steady_tick(TICK);
            line
        });
        Self { line }
    }

    /// Shows what is being read or prepared.
    pub(super) fn stage(&self, what: &str) {
        if let Some(line) = &self.line {
            line.set_message(what.to_owned());
        }
    }

    /// Shows how far the solver is.
    pub(super) fn solving(&self, progress: &Progress) {
        if let Some(line) = &self.line {
            line.set_message(describe(progress));
        }
    }

    /// Takes the line away.
    pub(super) fn finish(&self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }
}

fn describe(progress: &Progress) -> String {
    let stage = match progress.stage {
        Stage::FirstFit => "first-fit",
        Stage::ColumnGeneration => "column generation",
        Stage::Diving => "diving",
        Stage::LocalSearch => "local search",
        Stage::Branching => "branching",
    };
    let dollars = |micros| UsdPerHour::from_micros(micros);
    if progress.bound <= 0 || progress.incumbent <= 0 {
        return format!("{stage}: ${}/h", dollars(progress.incumbent));
    }
    let gap = (progress.incumbent - progress.bound).max(0) as f64 / progress.incumbent as f64;
    format!("{stage}: ${}/h, at least ${}/h, gap {:.2} %", dollars(progress.incumbent), dollars(progress.bound), gap * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_stage_incumbent_bound_and_gap() {
        let progress = |bound| Progress { stage: Stage::Diving, incumbent: 2_000_000, bound, elapsed: Duration::ZERO };
        assert_eq!(describe(&progress(1_990_000)), "diving: $2.0000/h, at least $1.9900/h, gap 0.50 %");
        assert_eq!(describe(&progress(0)), "diving: $2.0000/h");
    }
}
