//! A run in a table: one line for each solver and budget. `bench report` tells more.

use std::collections::BTreeMap;

use crate::benchmark::instance::manifest::Manifest;
use crate::benchmark::record::{Outcome, Record, Solved};
use crate::benchmark::telling::statistics::{geometric_mean, shifted_geometric_mean};

/// Seconds that are added to each time before the mean is taken, and taken off again: tiny times do not decide.
const SHIFT: f64 = 1.0;
/// A gap of less than this, a millionth, is a proof: figures have no more digits.
const PROVEN: f64 = 1e-6;
/// How near to the best plan, in percent.
const WITHIN: [f64; 4] = [0.1, 0.5, 1.0, 2.0];

/// A plan to compare with: pods left, dollars per hour.
pub type Best = (usize, f64);

/// The best plans of `records` and those that `manifest` knows, by instance.
#[must_use]
pub fn best<'a>(records: &'a [Record], manifest: &'a Manifest) -> BTreeMap<&'a str, Best> {
    let known = manifest.instances.iter().filter_map(|entry| {
        let best = entry.best_known.as_ref()?;
        Some((entry.name.as_str(), (best.unplaced, best.cost)))
    });
    let found = records.iter().filter_map(|record| {
        let solved = verified(record)?;
        Some((record.instance.as_str(), (solved.unplaced, solved.cost)))
    });
    let mut best: BTreeMap<&str, Best> = BTreeMap::new();
    for (instance, plan) in known.chain(found) {
        let least = best.entry(instance).or_insert(plan);
        if plan.0.cmp(&least.0).then(plan.1.total_cmp(&least.1)).is_lt() {
            *least = plan;
        }
    }
    best
}

/// The table, in Markdown.
#[must_use]
pub fn table(records: &[Record], best: &BTreeMap<&str, Best>) -> String {
    let mut text = String::from(
        "| solver | budget s | runs | plans | verified | proven | cost to best | within 0.1 % | 0.5 % | 1 % | 2 % | mean s | cannot state | \
         not installed | nothing found | failed |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let mut groups: Vec<(&str, f64, Vec<&Record>)> = Vec::new();
    for record in records {
        let same = |group: &&mut (&str, f64, Vec<&Record>)| {
            group.0 == record.solver && group.1.total_cmp(&record.budget_seconds).is_eq()
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.2.push(record),
            None => groups.push((&record.solver, record.budget_seconds, vec![record])),
        }
    }
    for (solver, budget, records) in groups {
        text.push_str(&row(solver, budget, &records, best));
    }
    text
}

fn row(solver: &str, budget: f64, records: &[&Record], best: &BTreeMap<&str, Best>) -> String {
    let count = |holds: &dyn Fn(&Outcome) -> bool| records.iter().filter(|record| holds(&record.outcome)).count();
    let plans: Vec<&Solved> = records.iter().filter_map(|record| verified(record)).collect();
    let ratios: Vec<f64> = records
        .iter()
        .filter_map(|record| {
            let (solved, &(unplaced, cost)) = (verified(record)?, best.get(record.instance.as_str())?);
            // Of plans that leave more pods the cost says nothing.
            (solved.unplaced == unplaced).then(|| if cost > 0.0 { solved.cost / cost } else { 1.0 })
        })
        .collect();
    let within = WITHIN.map(|percent| ratios.iter().filter(|ratio| **ratio <= 1.0 + percent / 100.0 + 1e-9).count());
    let times: Vec<f64> = plans.iter().map(|solved| solved.seconds).collect();
    let mean = |value: Option<f64>, digits: usize| value.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.digits$}"));
    let cells = [
        solver.to_owned(),
        budget.to_string(),
        records.len().to_string(),
        count(&|outcome| matches!(outcome, Outcome::Solved(_))).to_string(),
        plans.len().to_string(),
        plans.iter().filter(|solved| solved.gap.is_some_and(|gap| gap <= PROVEN)).count().to_string(),
        mean(geometric_mean(&ratios), 4),
        within[0].to_string(),
        within[1].to_string(),
        within[2].to_string(),
        within[3].to_string(),
        mean(shifted_geometric_mean(&times, SHIFT), 2),
        count(&|outcome| matches!(outcome, Outcome::CannotState { .. })).to_string(),
        count(&|outcome| matches!(outcome, Outcome::NotInstalled { .. })).to_string(),
        count(&|outcome| matches!(outcome, Outcome::NothingFound { .. })).to_string(),
        count(&|outcome| matches!(outcome, Outcome::Failed { .. })).to_string(),
    ];
    format!("| {} |\n", cells.join(" | "))
}

/// The plan of a record, if the verifier accepted it.
fn verified(record: &Record) -> Option<&Solved> {
    match &record.outcome {
        Outcome::Solved(solved) if solved.verified => Some(solved),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::instance::manifest;
    use crate::benchmark::record::Machine;

    fn record(instance: &str, solver: &str, outcome: Outcome) -> Record {
        Record {
            format: crate::benchmark::record::FORMAT.to_owned(),
            instance: instance.to_owned(),
            instance_sha256: String::new(),
            family: "tests".to_owned(),
            pods: 3,
            track: "controller".to_owned(),
            budget_seconds: 5.0,
            solver: solver.to_owned(),
            solver_version: String::new(),
            seed: 1,
            commit: String::new(),
            date: String::new(),
            machine: Machine::here(),
            outcome,
        }
    }

    fn solved(cost: f64, unplaced: usize, verified: bool) -> Outcome {
        Outcome::Solved(Box::new(Solved {
            cost,
            bound: (unplaced == 0).then_some(10.0),
            gap: (unplaced == 0).then_some((cost - 10.0) / cost),
            nodes: 1,
            unplaced,
            stopped_by: "ended".to_owned(),
            seconds: 3.0,
            process_seconds: None,
            first_plan_seconds: None,
            trajectory: Vec::new(),
            primal_integral: None,
            peak_bytes: None,
            verified,
            violations: Vec::new(),
            certificate: None,
        }))
    }

    #[test]
    fn plans_are_compared_where_they_leave_as_many_pods() {
        let records = [
            record("a", "one", solved(10.0, 0, true)),
            record("a", "two", solved(10.1, 0, true)),
            record("b", "one", solved(9.0, 1, true)),
            record("b", "two", solved(12.0, 0, true)),
            record("c", "two", solved(1.0, 0, false)),
            record("c", "one", Outcome::CannotState { reason: String::new() }),
        ];
        let manifest = Manifest { format: manifest::FORMAT.to_owned(), catalogs: BTreeMap::new(), instances: Vec::new() };
        let best = best(&records, &manifest);
        assert_eq!(best, BTreeMap::from([("a", (0, 10.0)), ("b", (0, 12.0))]));
        let table = table(&records, &best);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| one | 5 | 3 | 2 | 2 | 1 | 1.0000 | 1 | 1 | 1 | 1 | 3.00 | 1 | 0 | 0 | 0 |",
                "| two | 5 | 3 | 3 | 2 | 0 | 1.0050 | 1 | 1 | 2 | 2 | 3.00 | 0 | 0 | 0 | 0 |",
            ]
        );
    }
}
