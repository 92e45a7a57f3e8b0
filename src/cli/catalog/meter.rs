//! Progress of a refresh: a bar for each region on a terminal, nothing anywhere else.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::adapters::aws::Step;
use crate::cli::output;

/// The bars move this often even when nothing new is known, so that a person sees that work goes on.
const TICK: Duration = Duration::from_millis(100);

/// A bar for each region that was heard of.
pub(super) struct Meter {
    all: Option<MultiProgress>,
    regions: Mutex<BTreeMap<String, Bar>>,
}

struct Bar {
    line: ProgressBar,
    entries: BTreeMap<&'static str, usize>,
}

impl Meter {
    /// Bars on stderr when that is a terminal.
    pub(super) fn new() -> Self {
        Self { all: std::io::stderr().is_terminal().then(MultiProgress::new), regions: Mutex::default() }
    }

    /// Shows how far a region is.
    pub(super) fn tell(&self, region: &str, step: Step) {
        let Some(all) = &self.all else { return };
        let mut regions = self.bars();
        let bar = regions.entry(region.to_owned()).or_insert_with(|| Bar { line: line(all, region), entries: BTreeMap::new() });
        match step {
            Step::Planned(calls) => bar.line.inc_length(calls),
            Step::Page { call, entries } => *bar.entries.entry(call).or_default() += entries,
            Step::Done { .. } => bar.line.inc(1),
        }
        let what = |call: &'static str| call.trim_start_matches("Describe").trim_start_matches("Get");
        let entries: Vec<String> = bar.entries.iter().map(|(call, entries)| format!("{entries} {}", what(call))).collect();
        bar.line.set_message(entries.join(", "));
    }

    /// A bar is whole at any moment, whoever panicked while they were locked.
    fn bars(&self) -> MutexGuard<'_, BTreeMap<String, Bar>> {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something above the bars.
    pub(super) fn say(&self, line: &str) {
        match &self.all {
            Some(all) => all.suspend(|| output::say(line)),
            None => output::say(line),
        }
    }

    /// Takes the bar of a region away.
    pub(super) fn finish(&self, region: &str) {
        if let Some(bar) = self.bars().remove(region) {
            bar.line.finish_and_clear();
        }
    }
}

fn line(all: &MultiProgress, region: &str) -> ProgressBar {
    let line = all.add(ProgressBar::new(0));
    if let Ok(style) = ProgressStyle::with_template("{prefix:<14} {bar:12} {pos}/{len} {elapsed:>3}  {wide_msg}") {
        line.set_style(style);
    }
    line.set_prefix(region.to_owned());
    line.enable_steady_tick(TICK);
    line
}
