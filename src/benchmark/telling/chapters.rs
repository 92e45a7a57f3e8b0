//! The report: what is said, in which order.

use std::collections::{BTreeMap, BTreeSet};

use crate::benchmark::record::{Machine, Record};
use crate::benchmark::telling::curves;
use crate::benchmark::telling::document::{Block, Document};
use crate::benchmark::telling::duel::{Bout, Duel};
use crate::benchmark::telling::known::Known;
use crate::benchmark::telling::reading::{Runs, RunsError};
use crate::benchmark::telling::results::{BEST_KNOWN, Field, OURS, Quality, Reference, Results, Scored, Verdict, amount};
use crate::benchmark::telling::standing::{NEAR, Standing};
use crate::benchmark::telling::wording::{Seeds, case, mebibytes, of, ratio, seconds, times};
use crate::report::html::packing::Packing;
use crate::report::html::page::anchor;
use crate::report::html::table::{Cell, Column, Mark, Table};
use crate::report::summary::{count, percent};

/// The report on `runs`. `known` has what the suite knows of instances, by name.
///
/// # Errors
/// When the certificate of a plan that is drawn cannot be read.
pub fn report(runs: &Runs, known: &BTreeMap<String, Known>) -> Result<Document, RunsError> {
    let results = Results::new(runs, known);
    let teller = Teller { runs, known, results: &results, seeds: Seeds::among(runs.records().map(|record| record.seed)) };
    let mut blocks = teller.opening();
    for field in &results.fields {
        blocks.extend(teller.field(field));
    }
    blocks.extend(teller.doubts());
    blocks.extend(teller.instances()?);
    Ok(Document { title: "Solver benchmark".to_owned(), blocks })
}

/// What every chapter needs.
struct Teller<'a> {
    runs: &'a Runs,
    known: &'a BTreeMap<String, Known>,
    results: &'a Results<'a>,
    seeds: Seeds,
}

impl Teller<'_> {
    /// What ran where, and how the rest is read.
    fn opening(&self) -> Vec<Block> {
        let records = || self.runs.records();
        let distinct = |value: fn(&Record) -> String| -> Vec<String> {
            records().map(value).collect::<BTreeSet<String>>().into_iter().collect()
        };
        let dates = distinct(|record| record.date.clone());
        let span = match (dates.first(), dates.last()) {
            (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
            (first, _) => first.cloned().unwrap_or_default(),
        };
        let mut facts = vec![
            format!("{} on {}", count(records().count(), "run"), count(self.results.references.len(), "instance")),
            format!("When: {span}"),
            format!("Commits: {}", distinct(|record| record.commit.clone()).join(", ")),
        ];
        facts.extend(distinct(|record| machine(&record.machine)).into_iter().map(|machine| format!("Machine: {machine}")));
        facts.extend(self.results.solvers.iter().map(|solver| self.versions(solver)));
        if self.runs.replaced > 0 {
            facts.push(format!("{} left out: the same run was made again later", count(self.runs.replaced, "record")));
        }
        let mut chapters: Vec<(String, String)> =
            self.results.fields.iter().map(|field| (field_id(field), format!("Track {}", field.title()))).collect();
        chapters.push(("instances".to_owned(), "Instances".to_owned()));
        vec![
            Block::List(facts),
            Block::Paragraph(
                "Only plans that the verifier accepts count. Of two plans, the one that leaves fewer pods is better; if they leave equally \
                 many, the cheaper one; a tie is equal to the micro-dollar. The best plan of an instance is the best of all runs here, \
                 whatever their limit, or the best that the suite knows. Bounds are claims of the solvers: one that a verified plan \
                 contradicts is listed and counts for nothing."
                    .to_owned(),
            ),
            Block::Contents(chapters),
        ]
    }

    fn versions(&self, solver: &str) -> String {
        let of_solver = self.runs.records().filter(|record| record.solver == solver && !record.solver_version.is_empty());
        let versions: BTreeSet<&str> = of_solver.map(|record| record.solver_version.as_str()).collect();
        let versions: Vec<&str> = versions.into_iter().collect();
        let named = if versions.is_empty() { "version unknown".to_owned() } else { versions.join(", ") };
        format!("Solver {solver}: {named}")
    }

    /// One track with one limit.
    fn field(&self, field: &Field<'_>) -> Vec<Block> {
        let mut blocks = vec![Block::Chapter { id: field_id(field), text: format!("Track {}", field.title()) }];
        let machines = machines(field);
        if machines > 1 {
            blocks.push(Block::Paragraph(format!(
                "These runs were made on {machines} different machines. Costs compare; seconds of one solver and another compare only where \
                 the text says that they are of one machine."
            )));
        }
        let all: Vec<(&str, Standing)> =
            field.solvers.iter().map(|solver| (solver.as_str(), Standing::new(field, solver))).collect();
        blocks.push(Block::Table(outcomes(field, &all)));
        blocks.push(Block::Table(quality(&all)));
        blocks.push(Block::Table(speed(field, &all)));
        blocks.extend(curves::cost_profile(self.results, field).map(|chart| Block::Chart(Box::new(chart))));
        if machines == 1 {
            blocks.extend(curves::time_profile(self.results, field).map(|chart| Block::Chart(Box::new(chart))));
        }
        blocks.extend(curves::gap_over_time(self.results, field).map(|chart| Block::Chart(Box::new(chart))));
        blocks.extend(self.duels(field));
        blocks.extend(self.without_plan(field));
        blocks
    }

    /// Ours with each of the others.
    fn duels(&self, field: &Field<'_>) -> Vec<Block> {
        if !field.solvers.iter().any(|solver| solver == OURS) {
            return Vec::new();
        }
        let others = field.solvers.iter().filter(|solver| *solver != OURS);
        let duels: Vec<(&str, Duel<'_>)> = others.map(|other| (other.as_str(), Duel::new(field, OURS, other))).collect();
        if duels.is_empty() {
            return Vec::new();
        }
        let columns = [
            Column::words("Against"),
            Column::numbers("Wins"),
            Column::numbers("Ties"),
            Column::numbers("of them at the optimum"),
            Column::numbers("Losses"),
            Column::numbers("Neither"),
            Column::numbers("Not compared"),
            Column::numbers("Cost, ours over theirs"),
            Column::numbers("Seconds, ours over theirs"),
        ];
        let mean = |found: Option<(f64, usize)>, write: fn(f64) -> String| match found {
            Some((mean, cases)) => Cell::number(format!("{} ({})", write(mean), count(cases, "case")), mean),
            None => Cell::words("–"),
        };
        let row = |(other, duel): &(&str, Duel<'_>)| {
            vec![
                Cell::words(*other),
                Cell::count(duel.wins.len()),
                Cell::count(duel.ties.len()),
                Cell::count(duel.ties_at_the_optimum()),
                Cell::count(duel.losses.len()).marked(Mark::Bad, !duel.losses.is_empty()),
                Cell::count(duel.neither),
                Cell::count(duel.apart),
                mean(duel.cost_ratio, ratio),
                mean(duel.time_ratio, times),
            ]
        };
        let table = Table {
            caption: format!(
                "{OURS} case by case. Geometric means of ratios, over the cases where both leave equally many pods, for seconds on one machine \
                 as well: below 1 is cheaper or faster. Neither: no plan by either. Not compared: one of them was not run, is not \
                 installed, or cannot state the instance."
            ),
            columns: columns.to_vec(),
            rows: duels.iter().map(row).collect(),
        };
        let mut blocks = vec![Block::Section(format!("{OURS} against each other solver")), Block::Table(table)];
        for (other, duel) in &duels {
            blocks.push(self.losses(other, duel));
        }
        blocks
    }

    fn losses(&self, other: &str, duel: &Duel<'_>) -> Block {
        if duel.losses.is_empty() {
            let compared = duel.wins.len() + duel.ties.len() + duel.neither;
            return Block::Paragraph(format!("No losses to {other} in {}.", count(compared, "compared case")));
        }
        let columns = [
            Column::words("Instance"),
            Column::numbers(format!("{OURS}, $/h")),
            Column::numbers(format!("{other}, $/h")),
            Column::numbers("Cost ratio"),
            Column::numbers(format!("{OURS}, pods left")),
            Column::numbers(format!("{other}, pods left")),
            Column::numbers("Seconds ratio"),
        ];
        let row = |bout: &Bout<'_>| {
            vec![
                Cell::words(case(&bout.case, self.seeds)).to(instance_id(&bout.case.0)),
                cost(&bout.ours),
                cost(&bout.theirs),
                Cell::optional(bout.cost_ratio(), ratio),
                left(&bout.ours),
                left(&bout.theirs),
                Cell::optional(bout.time_ratio(), times),
            ]
        };
        let caption = format!("Lost to {other}: {}.", count(duel.losses.len(), "case"));
        Block::Table(Table { caption, columns: columns.to_vec(), rows: duel.losses.iter().map(row).collect() })
    }

    /// Every run that ended without a plan that counts, with the reason.
    fn without_plan(&self, field: &Field<'_>) -> Vec<Block> {
        let mut rows = Vec::new();
        for solver in &field.solvers {
            // Runs of one solver that end for the same reason share a row.
            let mut alike: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
            for (of, scored) in field.of(solver).filter(|(_, scored)| scored.verdict.plan().is_none()) {
                alike.entry((scored.verdict.word(), scored.verdict.reason())).or_default().push(case(of, self.seeds));
            }
            for ((word, reason), cases) in alike {
                let named = if cases.len() == field.cases.len() { "all".to_owned() } else { cases.join(", ") };
                rows.push(vec![
                    Cell::words(solver.clone()),
                    Cell::words(word),
                    Cell::words(reason),
                    Cell::count(cases.len()),
                    Cell::words(named),
                ]);
            }
        }
        if rows.is_empty() {
            return vec![Block::Paragraph("Every run has a plan that the verifier accepts.".to_owned())];
        }
        let columns = ["Solver", "What came of it", "Why"]
            .map(Column::words)
            .into_iter()
            .chain([Column::numbers("Cases"), Column::words("Which")]);
        vec![
            Block::Section("Runs without a plan that counts".to_owned()),
            Block::Table(Table { caption: "By solver and reason.".to_owned(), columns: columns.collect(), rows }),
        ]
    }

    /// Bounds that cannot hold.
    fn doubts(&self) -> Vec<Block> {
        let mut rows = Vec::new();
        for (instance, reference) in &self.results.references {
            for (solver, bound) in &reference.refuted {
                let best = reference.best.map(|best| best.cost).unwrap_or_default();
                rows.push(vec![
                    Cell::words(instance.clone()).to(instance_id(instance)),
                    Cell::words(solver.clone()),
                    Cell::number(bound.to_string(), bound.dollars()),
                    Cell::number(best.to_string(), best.dollars()),
                ]);
            }
        }
        if rows.is_empty() {
            return Vec::new();
        }
        let columns = vec![
            Column::words("Instance"),
            Column::words("Solver"),
            Column::numbers("Its bound, $/h"),
            Column::numbers("Best plan, $/h"),
        ];
        let caption = "Bounds above the cost of a verified plan for the same pods: these cannot hold.".to_owned();
        let id = "refuted-bounds".to_owned();
        vec![Block::Chapter { id, text: "Refuted bounds".to_owned() }, Block::Table(Table { caption, columns, rows })]
    }

    /// A part for each instance.
    fn instances(&self) -> Result<Vec<Block>, RunsError> {
        let mut blocks = vec![Block::Chapter { id: "instances".to_owned(), text: "Instances".to_owned() }];
        for (name, reference) in &self.results.references {
            let known = self.known.get(name);
            let records: Vec<&Record> = self.runs.records().filter(|record| record.instance == *name).collect();
            let Some(first) = records.first() else { continue };
            let mut inner = Vec::new();
            inner.extend(known.and_then(|known| known.description.clone()).map(Block::Paragraph));
            inner.push(Block::Paragraph(best_words(reference)));
            inner.push(Block::Paragraph(format!("SHA-256 {}", first.instance_sha256)));
            inner.push(Block::Table(self.figures(name)));
            for field in &self.results.fields {
                inner.extend(curves::instance_curve(self.results, field, name).map(|chart| Block::Chart(Box::new(chart))));
            }
            inner.extend(self.drawing(name, reference, known)?);
            let best = reference.best.map_or_else(|| "no plan".to_owned(), |best| format!("${}/h", best.cost));
            let summary = format!("{name} ({}, {}): {best}", first.family, count(first.pods, "pod"));
            blocks.push(Block::Details { id: instance_id(name), summary, blocks: inner });
        }
        Ok(blocks)
    }

    /// All runs on an instance.
    fn figures(&self, instance: &str) -> Table {
        let mut columns = vec![Column::words("Solver"), Column::words("Track")];
        if self.seeds == Seeds::Several {
            columns.push(Column::numbers("Seed"));
        }
        columns.push(Column::words("Outcome"));
        let numbers = [
            "$/h",
            "Ratio to best",
            "Bound, $/h",
            "Gap",
            "Pods left",
            "Nodes",
            "Seconds",
            "First plan",
            "Primal integral",
            "Memory",
        ];
        columns.extend(numbers.map(Column::numbers));
        let mut rows = Vec::new();
        for field in &self.results.fields {
            for solver in &field.solvers {
                for ((_, seed), scored) in field.of(solver).filter(|((name, _), _)| name == instance) {
                    let mut row = vec![Cell::words(solver.clone()), Cell::words(field.title())];
                    if self.seeds == Seeds::Several {
                        row.push(Cell::number(seed.to_string(), *seed as f64));
                    }
                    row.extend(cells(&scored));
                    rows.push(row);
                }
            }
        }
        Table { caption: format!("Runs on {instance}."), columns, rows }
    }

    /// The best plan, drawn; or why it is not.
    fn drawing(&self, instance: &str, reference: &Reference, known: Option<&Known>) -> Result<Vec<Block>, RunsError> {
        let Some(best) = reference.best else { return Ok(Vec::new()) };
        let of_instance = self.runs.kept.values().filter(|kept| kept.record.instance == instance);
        let plans = of_instance.filter_map(|kept| Some((kept, Verdict::of(&kept.record).plan()?)));
        let Some((kept, solved)) =
            plans.filter(|(_, solved)| solved.certificate.is_some()).min_by_key(|(_, solved)| Quality::of(solved))
        else {
            return Ok(vec![Block::Paragraph("No plan was kept to be drawn.".to_owned())]);
        };
        let Some(plan) = kept.plan()? else { return Ok(Vec::new()) };
        let which = if Quality::of(solved) == best { "The best plan" } else { "The best plan that was kept" };
        let existing: usize = plan.existing.iter().map(|used| used.pods.len()).sum();
        let beside =
            if existing > 0 { format!(" {} on nodes that exist are not drawn.", count(existing, "pod")) } else { String::new() };
        let nodes = count(plan.nodes.len(), "node");
        Ok(vec![
            Block::Section(format!("{which}, by {}", kept.record.solver)),
            Block::Paragraph(format!("{nodes} to buy.{beside}")),
            Block::Packing(Packing::new(&plan, known.and_then(|known| known.cluster.as_ref()))),
        ])
    }
}

/// How many machines the runs of a field were made on.
fn machines(field: &Field<'_>) -> usize {
    let all = field.cases.values().flat_map(|all| all.values()).filter(|scored| scored.verdict.is_attempt());
    all.map(|scored| machine(&scored.record().machine)).collect::<BTreeSet<String>>().len()
}

fn machine(of: &Machine) -> String {
    let memory = of.memory_bytes as f64 / f64::from(1 << 30);
    format!("{}, {}, {memory:.1} GiB, {}", of.processor, count(of.cores, "core"), of.system)
}

fn field_id(field: &Field<'_>) -> String {
    format!("track-{}", anchor(&field.title()))
}

fn instance_id(name: &str) -> String {
    format!("instance-{}", anchor(name))
}

fn best_words(reference: &Reference) -> String {
    let Some(best) = reference.best else { return "Nobody has a plan that the verifier accepts.".to_owned() };
    let by: Vec<&str> = reference.by.iter().map(String::as_str).collect();
    let by = if by == [BEST_KNOWN] { "the suite's best known plan, which no run here reaches".to_owned() } else { by.join(", ") };
    let pods = if best.unplaced > 0 { format!(" and leaves {}", count(best.unplaced, "pod")) } else { String::new() };
    let bound = match reference.bound {
        Some(bound) if bound == best.cost => " It is optimal.".to_owned(),
        Some(bound) => format!(" No plan costs less than ${bound}/h."),
        None => String::new(),
    };
    format!("The best plan costs ${}/h{pods} (by {by}).{bound}", best.cost)
}

/// Outcome and figures of a run.
fn cells(scored: &Scored<'_>) -> Vec<Cell> {
    let outcome = match scored.verdict {
        Verdict::Plan(_) if scored.proven => Cell::words("proven optimal"),
        Verdict::Plan(plan) => Cell::words(plan.stopped_by.clone()),
        verdict if verdict.reason().is_empty() => Cell::words(verdict.word()).marked(Mark::Bad, true),
        verdict => Cell::words(format!("{}: {}", verdict.word(), verdict.reason())).marked(Mark::Bad, true),
    };
    let plan = scored.verdict.plan();
    let bound = plan.and_then(|plan| plan.bound);
    let written = |dollars: f64| amount(dollars).to_string();
    let integral = |value: f64| format!("{value:.3} s");
    vec![
        outcome,
        cost(scored).marked(Mark::Good, scored.at_best),
        Cell::optional(scored.ratio, ratio),
        Cell::optional(bound, written),
        Cell::optional(plan.and_then(|plan| plan.gap), percent),
        left(scored),
        plan.map_or_else(|| Cell::words("–"), |plan| Cell::count(plan.nodes)),
        Cell::optional(plan.map(|plan| plan.seconds), seconds),
        Cell::optional(plan.and_then(|plan| plan.first_plan_seconds), seconds),
        Cell::optional(plan.and_then(|plan| plan.primal_integral), integral),
        Cell::optional(plan.and_then(|plan| plan.peak_bytes).map(|bytes| bytes as f64), mebibytes),
    ]
}

/// What a run's plan costs; what came of it where there is none.
fn cost(scored: &Scored<'_>) -> Cell {
    match scored.verdict.plan() {
        Some(plan) => {
            let quality = Quality::of(plan);
            Cell::number(quality.cost.to_string(), quality.cost.dollars())
        }
        None => Cell::words(scored.verdict.word()),
    }
}

fn left(scored: &Scored<'_>) -> Cell {
    scored.verdict.plan().map_or_else(|| Cell::words("–"), |plan| Cell::count(plan.unplaced).marked(Mark::Bad, !scored.full))
}

fn outcomes(field: &Field<'_>, all: &[(&str, Standing)]) -> Table {
    let titles = ["Verified plans", "Refused", "Nothing found", "Failed", "Cannot state", "Not installed", "Not run"];
    let columns = std::iter::once(Column::words("Solver")).chain(titles.map(Column::numbers));
    let row = |(solver, standing): &(&str, Standing)| {
        let bad = |number: usize| Cell::count(number).marked(Mark::Bad, number > 0);
        vec![
            Cell::words(*solver),
            Cell::count(standing.plans),
            bad(standing.refused),
            bad(standing.nothing_found),
            bad(standing.failed),
            Cell::count(standing.cannot_state),
            Cell::count(standing.not_installed),
            Cell::count(standing.not_run),
        ]
    };
    let caption = format!("What came of the runs on {}.", count(field.cases.len(), "case"));
    Table { caption, columns: columns.collect(), rows: all.iter().map(row).collect() }
}

fn quality(all: &[(&str, Standing)]) -> Table {
    let mut columns = vec![
        Column::words("Solver"),
        Column::numbers("Runs"),
        Column::numbers("As good as the best"),
        Column::numbers("Leave more pods"),
        Column::numbers("Cost over best, mean"),
        Column::numbers("Cost over best, worst"),
        Column::numbers("Proven optimal"),
    ];
    columns.extend(NEAR.map(|share| Column::numbers(format!("Within {} % of the bound", share * 100.0))));
    let least = all.iter().filter_map(|(_, standing)| standing.cost_ratio).min_by(f64::total_cmp);
    let row = |(solver, standing): &(&str, Standing)| {
        let share = |number: usize| match standing.attempts {
            0 => Cell::words("–"),
            attempts => Cell::number(of(number, attempts), number as f64 / attempts as f64),
        };
        let best = standing.cost_ratio.is_some_and(|mean| least.is_some_and(|least| mean <= least));
        let mut row = vec![
            Cell::words(*solver),
            Cell::count(standing.attempts),
            share(standing.at_best),
            share(standing.more_left).marked(Mark::Bad, standing.more_left > 0),
            Cell::optional(standing.cost_ratio, ratio).marked(Mark::Good, best),
            Cell::optional(standing.worst_ratio, ratio),
            share(standing.proven),
        ];
        row.extend(standing.near.map(share));
        row
    };
    Table {
        caption: "How good the plans are. Runs: those that the solver took up; shares are of these. The mean is geometric, over plans that \
                  leave as many pods as the best one, and so over different cases for different solvers. Proven: by the solver itself. Within \
                  the bound: by its own bound or the best of all solvers."
            .to_owned(),
        columns,
        rows: all.iter().map(row).collect(),
    }
}

fn speed(field: &Field<'_>, all: &[(&str, Standing)]) -> Table {
    let titles = ["Runs", "Seconds, mean", "First plan, median", "Primal integral, mean", "Memory, most"];
    let columns = std::iter::once(Column::words("Solver")).chain(titles.map(Column::numbers));
    let row = |(solver, standing): &(&str, Standing)| {
        vec![
            Cell::words(*solver),
            Cell::count(standing.attempts),
            Cell::optional(standing.seconds, seconds),
            Cell::optional(standing.first_plan, seconds),
            Cell::optional(standing.primal_integral, seconds),
            Cell::optional(standing.peak_bytes.map(|bytes| bytes as f64), mebibytes),
        ]
    };
    let caption = format!(
        "How fast. The mean of the seconds is a geometric one, shifted by {}; a run without a plan counts the whole budget, there and in the \
         primal integral (seconds lost against the best plan, less is better).",
        seconds(field.shift())
    );
    Table { caption, columns: columns.collect(), rows: all.iter().map(row).collect() }
}
