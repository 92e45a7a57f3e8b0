//! What changed between two folders of runs: for whoever changes a solver, and for CI.
//!
//! Costs and pods are compared exactly, gaps up to a tolerance. Seconds are told as a ratio, of runs on one machine only, and decide nothing:
//! they differ between any two runs.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::benchmark::record::{Record, Solved};
use crate::benchmark::telling::reading::{Key, Runs};
use crate::benchmark::telling::results::{Quality, Verdict};
use crate::benchmark::telling::statistics::geometric_mean;
use crate::benchmark::telling::wording::{Seeds, case, times};
use crate::report::html::table::{Cell, Column, Table};
use crate::report::summary::{count, percent};

/// What changed for one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which run.
    pub key: Key,
    /// What, as a sentence without a full stop.
    pub what: String,
    /// Seconds after over seconds before; of plans made on one machine.
    pub time_ratio: Option<f64>,
}

/// What changed between two sets of runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// What got worse: a dearer plan, more pods left, a larger gap, a plan that is not there any more.
    pub worse: Vec<Change>,
    /// What got better.
    pub better: Vec<Change>,
    /// Runs that are in the second set only.
    pub new: Vec<Key>,
    /// Runs that are in the first set only.
    pub gone: Vec<Key>,
    /// Runs whose instance is another one now, so that they cannot be compared.
    pub other_instance: Vec<Key>,
    /// Runs that came to the same.
    pub same: usize,
    /// For each track, budget and solver, the ratios of seconds of all plans made on one machine.
    pub times: BTreeMap<(String, u64, String), Vec<f64>>,
}

impl Comparison {
    /// Compares `after` with `before`. A gap may grow by `gap_tolerance` before it is worse.
    #[must_use]
    pub fn new(before: &Runs, after: &Runs, gap_tolerance: f64) -> Self {
        let mut found = Self::default();
        for (key, old) in &before.kept {
            match after.kept.get(key) {
                None => found.gone.push(key.clone()),
                Some(new) => found.one(key, &old.record, &new.record, gap_tolerance),
            }
        }
        found.new.extend(after.kept.keys().filter(|key| !before.kept.contains_key(*key)).cloned());
        found.new.sort();
        found.gone.sort();
        found
    }

    /// How many runs are in both sets and could be compared.
    #[must_use]
    pub fn compared(&self) -> usize {
        let mut keys: Vec<&Key> = self.worse.iter().chain(&self.better).map(|change| &change.key).collect();
        keys.sort();
        keys.dedup();
        self.same + keys.len()
    }

    fn one(&mut self, key: &Key, old: &Record, new: &Record, gap_tolerance: f64) {
        let (was, is) = (Verdict::of(old), Verdict::of(new));
        match (was, is) {
            _ if old.instance_sha256 != new.instance_sha256 => return self.other_instance.push(key.clone()),
            // Whether a peer is installed says nothing of any solver.
            (Verdict::NotInstalled(_), Verdict::NotInstalled(_)) => {}
            (Verdict::NotInstalled(_), _) => return self.new.push(key.clone()),
            (_, Verdict::NotInstalled(_)) => return self.gone.push(key.clone()),
            _ => {}
        }
        let time_ratio = was.plan().zip(is.plan()).and_then(|(a, b)| {
            let comparable = old.machine == new.machine && a.seconds > 0.0 && b.seconds > 0.0;
            comparable.then(|| b.seconds / a.seconds)
        });
        if let Some(ratio) = time_ratio {
            self.times.entry((key.track.clone(), key.budget, key.solver.clone())).or_default().push(ratio);
        }
        let changes = match (was.plan(), is.plan()) {
            (Some(a), Some(b)) => of_plans(a, b, gap_tolerance),
            _ => of_verdicts(was, is).into_iter().collect(),
        };
        if changes.is_empty() {
            self.same += 1;
        }
        for (order, what) in changes {
            let change = Change { key: key.clone(), what, time_ratio };
            if order == Ordering::Greater { self.worse.push(change) } else { self.better.push(change) }
        }
    }
}

/// What changed between two plans: `Greater` for what got worse.
fn of_plans(a: &Solved, b: &Solved, gap_tolerance: f64) -> Vec<(Ordering, String)> {
    let (old, new) = (Quality::of(a), Quality::of(b));
    let mut changes = Vec::new();
    if old.unplaced != new.unplaced {
        let what = format!("leaves {} instead of {}", count(new.unplaced, "pod"), old.unplaced);
        return vec![(new.unplaced.cmp(&old.unplaced), what)];
    }
    if old.cost != new.cost {
        let by = (new.cost.dollars() / old.cost.dollars() - 1.0) * 100.0;
        let by = if by.is_finite() { format!(" ({by:+.3} %)") } else { String::new() };
        changes.push((new.cost.cmp(&old.cost), format!("costs ${}/h instead of ${}/h{by}", new.cost, old.cost)));
    }
    match (a.gap, b.gap) {
        (Some(old), Some(new)) if (new - old).abs() > gap_tolerance => {
            changes.push((new.total_cmp(&old), format!("gap is {} instead of {}", percent(new), percent(old))));
        }
        (Some(old), None) => changes.push((Ordering::Greater, format!("has no bound any more; its gap was {}", percent(old)))),
        (None, Some(new)) => changes.push((Ordering::Less, format!("has a bound now; its gap is {}", percent(new)))),
        _ => {}
    }
    changes
}

/// What changed where at most one of the two is a plan.
fn of_verdicts(was: Verdict<'_>, is: Verdict<'_>) -> Option<(Ordering, String)> {
    // A plan is best; a solver that says that it has none is better than one that breaks or cheats.
    let rank = |verdict| match verdict {
        Verdict::Plan(_) => 0,
        Verdict::CannotState(_) | Verdict::NotInstalled(_) | Verdict::NothingFound(_) => 1,
        Verdict::Failed(_) | Verdict::Refused(_) => 2,
    };
    let order = rank(is).cmp(&rank(was));
    let reason = if is.reason().is_empty() { String::new() } else { format!(" ({})", is.reason()) };
    (order != Ordering::Equal).then(|| (order, format!("{}{reason} instead of {}", is.word(), was.word())))
}

impl Comparison {
    /// The comparison as Markdown, for a comment on a pull request. Ends with a line feed.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let changed = self.worse.iter().chain(&self.better).map(|change| &change.key);
        let listed = self.new.iter().chain(&self.gone).chain(&self.other_instance);
        let seeds = Seeds::among(changed.chain(listed).map(|key| key.seed));
        let mut parts =
            vec![format!("### {}: {} worse, {} better\n", count(self.compared(), "run"), self.worse.len(), self.better.len())];
        for (title, changes) in [("Worse", &self.worse), ("Better", &self.better)] {
            if !changes.is_empty() {
                parts.push(table(title, changes, seeds).to_markdown());
            }
        }
        parts.extend(self.times_table().map(|table| table.to_markdown()));
        let lists = [
            ("New: only in the second folder", &self.new),
            ("Gone: only in the first folder", &self.gone),
            ("Not compared: the instance is another one now", &self.other_instance),
        ];
        for (title, keys) in lists {
            if !keys.is_empty() {
                let lines: String = keys.iter().map(|key| format!("- {}\n", words(key, seeds))).collect();
                parts.push(format!("<details><summary>{title} ({})</summary>\n\n{lines}\n</details>\n", keys.len()));
            }
        }
        parts.join("\n")
    }

    /// Ratios of seconds by solver.
    fn times_table(&self) -> Option<Table> {
        let row = |((track, budget, solver), ratios): (&(String, u64, String), &Vec<f64>)| {
            vec![
                Cell::words(solver.clone()),
                Cell::words(limit(track, *budget)),
                Cell::count(ratios.len()),
                Cell::optional(geometric_mean(ratios), times),
            ]
        };
        (!self.times.is_empty()).then(|| Table {
            caption: "Seconds after over seconds before: geometric means over plans that were made on one machine.".to_owned(),
            columns: vec![Column::words("Solver"), Column::words("Track"), Column::numbers("Runs"), Column::numbers("Ratio")],
            rows: self.times.iter().map(row).collect(),
        })
    }
}

fn table(title: &str, changes: &[Change], seeds: Seeds) -> Table {
    let row = |change: &Change| {
        vec![
            Cell::words(case(&(change.key.instance.clone(), change.key.seed), seeds)),
            Cell::words(change.key.solver.clone()),
            Cell::words(limit(&change.key.track, change.key.budget)),
            Cell::words(change.what.clone()),
            Cell::optional(change.time_ratio, times),
        ]
    };
    let columns =
        ["Instance", "Solver", "Track", "What"].map(Column::words).into_iter().chain([Column::numbers("Seconds ratio")]);
    Table { caption: format!("{title}:"), columns: columns.collect(), rows: changes.iter().map(row).collect() }
}

fn words(key: &Key, seeds: Seeds) -> String {
    let named = case(&(key.instance.clone(), key.seed), seeds);
    format!("{named}, {}, {}", key.solver, limit(&key.track, key.budget))
}

/// `exact, 60 s`.
fn limit(track: &str, micro_seconds: u64) -> String {
    format!("{track}, {} s", micro_seconds as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::record::Outcome;
    use crate::benchmark::telling::fixtures::{bounded, failed, kept, machine, record, solved};

    const TOLERANCE: f64 = 0.001;

    fn compare(before: Vec<Record>, after: Vec<Record>) -> Comparison {
        let [before, after] = [before, after].map(|records| Runs::new(kept(records)).expect("one instance a name"));
        Comparison::new(&before, &after, TOLERANCE)
    }

    /// Compares two outcomes on one instance; the sentences about what got worse and better.
    fn change(before: impl Into<Outcome>, after: impl Into<Outcome>) -> (Vec<String>, Vec<String>) {
        let found = compare(vec![record("a", "supercargo", before)], vec![record("a", "supercargo", after)]);
        let sentences = |changes: &[Change]| changes.iter().map(|change| change.what.clone()).collect();
        (sentences(&found.worse), sentences(&found.better))
    }

    #[test]
    fn each_kind_of_change_is_found_in_both_directions() {
        let nothing = || Outcome::NothingFound { reason: "no time".to_owned() };
        let refused = Solved { verified: false, violations: vec!["overfull".to_owned()], ..solved(1.0) };
        let cases: Vec<(Outcome, Outcome, &str, &str)> = vec![
            (
                solved(10.0).into(),
                solved(10.000_001).into(),
                "costs $10.000001/h instead of $10.0000/h (+0.000 %)",
                "costs $10.0000/h instead of $10.000001/h (-0.000 %)",
            ),
            (
                solved(10.0).into(),
                Solved { unplaced: 2, ..solved(5.0) }.into(),
                "leaves 2 pods instead of 0",
                "leaves 0 pods instead of 2",
            ),
            (
                bounded(10.0, 9.9).into(),
                bounded(10.0, 9.8).into(),
                "gap is 2.00 % instead of 1.00 %",
                "gap is 1.00 % instead of 2.00 %",
            ),
            (
                bounded(10.0, 9.9).into(),
                solved(10.0).into(),
                "has no bound any more; its gap was 1.00 %",
                "has a bound now; its gap is 1.00 %",
            ),
            (solved(10.0).into(), nothing(), "nothing found (no time) instead of plan", "plan instead of nothing found"),
            (
                nothing(),
                failed("it broke"),
                "failed (it broke) instead of nothing found",
                "nothing found (no time) instead of failed",
            ),
            (
                solved(10.0).into(),
                refused.into(),
                "refused by the verifier (overfull) instead of plan",
                "plan instead of refused by the verifier",
            ),
        ];
        for (good, bad, worse, better) in cases {
            assert_eq!(change(good.clone(), bad.clone()), (vec![worse.to_owned()], Vec::new()));
            assert_eq!(change(bad.clone(), good.clone()), (Vec::new(), vec![better.to_owned()]));
            for same in [good, bad] {
                assert_eq!(change(same.clone(), same), (Vec::new(), Vec::new()));
            }
        }
    }

    #[test]
    fn a_gap_within_the_tolerance_is_no_change() {
        assert_eq!(change(bounded(10.0, 9.5), bounded(10.0, 9.491)), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_cheaper_plan_with_a_larger_gap_is_told_on_both_sides() {
        let (worse, better) = change(bounded(10.0, 9.9), bounded(9.0, 8.0));
        assert_eq!(worse, ["gap is 11.1 % instead of 1.00 %"]);
        assert_eq!(better, ["costs $9.0000/h instead of $10.0000/h (-10.000 %)"]);
    }

    #[test]
    fn runs_that_cannot_be_compared_are_listed() {
        let absent = || Outcome::NotInstalled { reason: "x".to_owned() };
        let before = vec![
            record("a", "gone", solved(1.0)),
            record("b", "peer", absent()),
            record("c", "peer", solved(1.0)),
            record("d", "peer", absent()),
            record("e", "supercargo", solved(1.0)),
        ];
        let changed = Record { instance_sha256: "b".repeat(64), ..record("e", "supercargo", solved(2.0)) };
        let after = vec![
            record("a", "new", solved(1.0)),
            record("b", "peer", solved(1.0)),
            record("c", "peer", absent()),
            record("d", "peer", absent()),
            changed,
        ];
        let found = compare(before, after);
        let names = |keys: &[Key]| keys.iter().map(|key| format!("{} {}", key.instance, key.solver)).collect::<Vec<String>>();
        assert_eq!(names(&found.new), ["a new", "b peer"]);
        assert_eq!(names(&found.gone), ["a gone", "c peer"]);
        assert_eq!(names(&found.other_instance), ["e supercargo"]);
        assert_eq!((found.same, found.worse.len(), found.better.len(), found.compared()), (1, 0, 0, 1));
    }

    #[test]
    fn seconds_are_a_ratio_on_one_machine_and_decide_nothing() {
        let slow = || Solved { seconds: 8.0, ..solved(1.0) };
        let there = Record { machine: machine("another"), ..record("b", "supercargo", slow()) };
        let before = vec![record("a", "supercargo", solved(1.0)), record("b", "supercargo", solved(1.0))];
        let found = compare(before, vec![record("a", "supercargo", slow()), there]);
        assert_eq!(found.times.values().collect::<Vec<_>>(), [&vec![8.0]]);
        assert_eq!((found.same, found.worse.len()), (2, 0));
    }

    #[test]
    fn the_markdown_is_as_reviewed() {
        let before = vec![
            record("a", "supercargo", bounded(10.0, 10.0)),
            record("b", "supercargo", solved(3.0)),
            record("c", "first-fit", solved(3.0)),
        ];
        let after = vec![
            record("a", "supercargo", Solved { seconds: 2.0, ..bounded(10.5, 10.0) }),
            record("b", "supercargo", solved(2.5)),
            record("d", "first-fit", solved(3.0)),
        ];
        insta::assert_snapshot!(compare(before, after).to_markdown());
    }
}
