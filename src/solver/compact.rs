//! The compact exact model: every node by itself, every pod count an integer. An oracle for small programs, and what is exported.
//!
//! ```text
//! minimise   sum_{s,k} cost_s open_sk  +  sum_c penalty_c unplaced_c  +  sum_v cost_v choice_v
//! subject to sum_{s,k} count_csk + unplaced_c - sum_v demand_cv choice_v = demand_c   place_c
//!            sum_c request_cd count_csk - capacity_sd open_sk   <= 0              room_skd
//!            count_csk - most_cs open_sk                        <= 0              only_csk
//!            sum_{s,k} usage_rs open_sk                         <= limit_r        side_r
//!            open_s(k+1) - open_sk                              <= 0              order_sk
//!            count_csk - most_cs guarded_nsk                    <= 0              guard_nskc, for each guard c of node rule n
//!            least_n guarded_nsk <= sum_{members} count_csk                       fewest_nsk
//!            sum_{members} count_csk + (all - most_n) guarded_nsk <= all          most_nsk
//!            sum_{w of s} varied_w - sum_k open_sk              <= 0              varied_s, for each base s and its variants w
//!            least_q <= sum_v amount_qv choice_v <= most_q                        least_q, most_q
//!            open_sk, guarded_nsk in {0, 1},  count_csk, unplaced_c and choice_v integer within their bounds
//! ```
//! A variant w of s has no slots: the continuous `varied_w >= 0` says how many nodes of s are w, at the cost `cost_w - cost_s`, and takes
//! of side rows what w takes beyond s. Slot k of shape s is a node that may be bought. A shape has as many slots as it has eligible pods that fit, cut to `most_nodes`
//! and to what side rows admit; the order rows break the symmetry between them. `most_cs` is the largest count of class c alone.
//! With `most_nodes` at or above the number of pods the model is exact. It describes `capacity`, not `bound_capacity`.
//!
//! One description feeds two uses: good_lp, which hands it to HiGHS, and the text of a file that any solver reads. It grows with
//! pods x shapes; the engine's master (see `column_generation`) does not, which is why this is no way to plan a cluster.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use good_lp::solvers::highs::{HighsPresolveType, highs};
use good_lp::{Expression, ProblemVariables, Solution as _, SolutionStatus, SolverModel as _, Variable, variable};

use crate::solver::problem::{LARGEST_AMOUNT, Problem};
use crate::solver::solution::PatternUse;

/// How a model is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelFormat {
    /// Free MPS.
    Mps,
    /// The LP format of CPLEX.
    Lp,
}

/// What the compact model gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactSolution {
    /// Micro-dollars per hour of nodes, choices and unplaced pods, recomputed in integers.
    pub objective: i64,
    /// Nodes bought, sorted by shape and counts, each as the base that it is.
    pub patterns: Vec<PatternUse>,
    /// Values of the choices.
    pub choices: Vec<i64>,
    /// Whether HiGHS proved it optimal (to its relative tolerance of 1e-9).
    pub proven: bool,
}

/// A column, integer but for those of variants.
struct Column {
    name: String,
    integer: bool,
    cost: i64,
    lower: i64,
    upper: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sense {
    Equal,
    AtMost,
}

/// `sum amount * column (= or <=) right`.
struct Row {
    name: String,
    entries: Vec<(usize, i64)>,
    sense: Sense,
    right: i64,
}

/// A node that may be bought: its columns.
struct Slot {
    shape: usize,
    open: usize,
    /// `(class, column)`.
    counts: Vec<(usize, usize)>,
}

struct Model {
    columns: Vec<Column>,
    rows: Vec<Row>,
    slots: Vec<Slot>,
    /// Columns of the choices.
    choices: Vec<usize>,
}

impl Model {
    fn new(problem: &Problem, most_nodes: usize) -> Self {
        let mut model = Self { columns: Vec::new(), rows: Vec::new(), slots: Vec::new(), choices: Vec::new() };
        let mut place: Vec<Row> = Vec::new();
        let largest = largest_demand(problem);
        for (c, class) in problem.classes.iter().enumerate() {
            let unplaced = model.column(format!("unplaced_{c}"), class.penalty, largest[c]);
            let name = format!("place_{c}");
            place.push(Row { name, entries: vec![(unplaced, 1)], sense: Sense::Equal, right: i64::from(class.demand) });
        }
        let mut side: Vec<Row> = (0..problem.side_rows.len())
            .map(|r| Row {
                name: format!("side_{r}"),
                entries: Vec::new(),
                sense: Sense::AtMost,
                right: problem.side_rows[r].limit,
            })
            .collect();
        for s in (0..problem.shapes.len()).filter(|&s| problem.shapes[s].base.is_none()) {
            model.add_shape(problem, s, most_nodes, &mut place, &mut side);
        }
        model.add_variants(problem, &mut side);
        let choices = model.add_choices(problem, &mut place);
        model.rows.splice(0..0, place);
        model.rows.extend(side);
        model.choices = choices;
        model
    }

    /// The columns of the choices, with their rows.
    fn add_choices(&mut self, problem: &Problem, place: &mut [Row]) -> Vec<usize> {
        let mut columns = Vec::with_capacity(problem.choices.len());
        for (v, choice) in problem.choices.iter().enumerate() {
            let column = self.column(format!("choice_{v}"), choice.cost, choice.upper);
            self.columns[column].lower = choice.lower;
            for &(class, pods) in &choice.demand {
                place[class].entries.push((column, -i64::from(pods)));
            }
            columns.push(column);
        }
        for (q, row) in problem.choice_rows.iter().enumerate() {
            let entries = |sign: i64| row.terms.iter().map(|&(choice, amount)| (columns[choice], sign * amount)).collect();
            if row.most < LARGEST_AMOUNT {
                self.at_most(format!("most_{q}"), entries(1), row.most);
            }
            if row.least > -LARGEST_AMOUNT {
                self.at_most(format!("least_{q}"), entries(-1), -row.least);
            }
        }
        columns
    }

    /// The columns of variants, and that there are no more of them than of their bases.
    fn add_variants(&mut self, problem: &Problem, side: &mut [Row]) {
        for (s, base) in problem.shapes.iter().enumerate() {
            let open: Vec<(usize, i64)> = self.slots.iter().filter(|slot| slot.shape == s).map(|slot| (slot.open, -1)).collect();
            let mut entries = open.clone();
            for (w, variant) in problem.shapes.iter().enumerate().filter(|(_, variant)| variant.base == Some(s)) {
                let most = i64::try_from(open.len()).unwrap_or(i64::MAX);
                let varied = self.column(format!("varied_{w}"), variant.cost - base.cost, most);
                self.columns[varied].integer = false;
                entries.push((varied, 1));
                variant.beyond(base).for_each(|&(row, amount)| side[row].entries.push((varied, amount)));
            }
            if entries.len() > open.len() {
                self.at_most(format!("varied_{s}"), entries, 0);
            }
        }
    }

    /// What node rules say about slot `k` of shape `s`.
    fn add_rules(&mut self, problem: &Problem, s: usize, k: usize, counts: &[(usize, usize)], fitting: &[(usize, i64)]) {
        for (n, rule) in problem.node_rules.iter().enumerate() {
            let at = |class: usize| counts.iter().position(|entry| entry.0 == class);
            let guards: Vec<usize> = rule.guards.iter().filter_map(|&class| at(class)).collect();
            if guards.is_empty() {
                continue;
            }
            let guarded = self.column(format!("guarded_{n}_{s}_{k}"), 0, 1);
            for at in guards {
                let ((class, count), (_, most)) = (counts[at], fitting[at]);
                self.at_most(format!("guard_{n}_{s}_{k}_{class}"), vec![(count, 1), (guarded, -most)], 0);
            }
            let members: Vec<usize> = rule.members.iter().filter_map(|&class| at(class)).collect();
            let all: i64 = members.iter().map(|&at| fitting[at].1).sum();
            if rule.least > 0 {
                let mut entries: Vec<(usize, i64)> = members.iter().map(|&at| (counts[at].1, -1)).collect();
                entries.push((guarded, i64::from(rule.least)));
                self.at_most(format!("fewest_{n}_{s}_{k}"), entries, 0);
            }
            if i64::from(rule.most) < all {
                let mut entries: Vec<(usize, i64)> = members.iter().map(|&at| (counts[at].1, 1)).collect();
                entries.push((guarded, all - i64::from(rule.most)));
                self.at_most(format!("most_{n}_{s}_{k}"), entries, all);
            }
        }
    }

    fn column(&mut self, name: String, cost: i64, upper: i64) -> usize {
        self.columns.push(Column { name, integer: true, cost, lower: 0, upper });
        self.columns.len() - 1
    }

    fn at_most(&mut self, name: String, entries: Vec<(usize, i64)>, right: i64) {
        self.rows.push(Row { name, entries, sense: Sense::AtMost, right });
    }

    /// The slots of shape `s` with their rows.
    fn add_shape(&mut self, problem: &Problem, s: usize, most_nodes: usize, place: &mut [Row], side: &mut [Row]) {
        let shape = &problem.shapes[s];
        let fitting = fitting(problem, s);
        let slots = slots(problem, s, &fitting, most_nodes);
        let mut before: Option<usize> = None;
        for k in 0..slots {
            let open = self.column(format!("open_{s}_{k}"), shape.cost, 1);
            if let Some(before) = before.replace(open) {
                self.at_most(format!("order_{s}_{k}"), vec![(open, 1), (before, -1)], 0);
            }
            let mut counts = Vec::with_capacity(fitting.len());
            for &(c, most) in &fitting {
                let count = self.column(format!("count_{c}_{s}_{k}"), 0, most);
                self.at_most(format!("only_{c}_{s}_{k}"), vec![(count, 1), (open, -most)], 0);
                place[c].entries.push((count, 1));
                counts.push((c, count));
            }
            for (d, &capacity) in shape.capacity.iter().enumerate() {
                let requests = counts.iter().map(|&(c, count)| (count, problem.classes[c].request[d]));
                let mut entries: Vec<(usize, i64)> = requests.filter(|entry| entry.1 > 0).collect();
                if !entries.is_empty() {
                    entries.push((open, -capacity));
                    self.at_most(format!("room_{s}_{k}_{d}"), entries, 0);
                }
            }
            self.add_rules(problem, s, k, &counts, &fitting);
            for &(row, amount) in &shape.usage {
                side[row].entries.push((open, amount));
            }
            self.slots.push(Slot { shape: s, open, counts });
        }
    }

    /// The model as text, numbers exact.
    fn text(&self, format: ModelFormat) -> String {
        match format {
            ModelFormat::Mps => self.mps(),
            ModelFormat::Lp => self.lp(),
        }
    }

    fn mps(&self) -> String {
        let mut entries: Vec<Vec<(&str, i64)>> = vec![Vec::new(); self.columns.len()];
        let mut text = String::from("NAME supercargo\nROWS\n N cost\n");
        for row in &self.rows {
            let sense = if row.sense == Sense::Equal { 'E' } else { 'L' };
            push(&mut text, format_args!(" {sense} {}\n", row.name));
            for &(column, amount) in &row.entries {
                entries[column].push((&row.name, amount));
            }
        }
        text.push_str("COLUMNS\n");
        for integer in [true, false] {
            push(
                &mut text,
                format_args!("{}", if integer { " MARKER 'MARKER' 'INTORG'\n" } else { " MARKER 'MARKER' 'INTEND'\n" }),
            );
            for (column, entries) in self.columns.iter().zip(&entries).filter(|(column, _)| column.integer == integer) {
                push(&mut text, format_args!(" {} cost {}\n", column.name, column.cost));
                for (row, amount) in entries {
                    push(&mut text, format_args!(" {} {row} {amount}\n", column.name));
                }
            }
        }
        text.push_str("RHS\n");
        for row in self.rows.iter().filter(|row| row.right != 0) {
            push(&mut text, format_args!(" RHS {} {}\n", row.name, row.right));
        }
        text.push_str("BOUNDS\n");
        for column in &self.columns {
            push(&mut text, format_args!(" LO BOUND {0} {1}\n UP BOUND {0} {2}\n", column.name, column.lower, column.upper));
        }
        text.push_str("ENDATA\n");
        text
    }

    /// One term a line: readers of the format have a limit on the length of lines.
    fn lp(&self) -> String {
        let term = |text: &mut String, (column, amount): (usize, i64)| {
            push(text, format_args!("\n  {amount:+} {}", self.columns[column].name));
        };
        let mut text = String::from("Minimize\n cost:");
        for (at, column) in self.columns.iter().enumerate().filter(|(_, column)| column.cost != 0) {
            term(&mut text, (at, column.cost));
        }
        text.push_str("\nSubject To\n");
        // A side row without entries says nothing, and the format has no way to say it.
        for row in self.rows.iter().filter(|row| !row.entries.is_empty()) {
            push(&mut text, format_args!(" {}:", row.name));
            row.entries.iter().for_each(|&entry| term(&mut text, entry));
            let sense = if row.sense == Sense::Equal { "=" } else { "<=" };
            push(&mut text, format_args!("\n  {sense} {}\n", row.right));
        }
        text.push_str("Bounds\n");
        for column in &self.columns {
            push(&mut text, format_args!(" {} <= {} <= {}\n", column.lower, column.name, column.upper));
        }
        text.push_str("General\n");
        for column in self.columns.iter().filter(|column| column.integer) {
            push(&mut text, format_args!(" {}\n", column.name));
        }
        text.push_str("End\n");
        text
    }

    /// The objective and the patterns that the values of the columns stand for.
    fn read(&self, values: &[f64]) -> (i64, Vec<PatternUse>) {
        let whole = self.columns.iter().zip(values).filter(|(column, _)| column.integer);
        let whole: i64 = whole.map(|(column, value)| column.cost * value.round() as i64).sum();
        let parts = self.columns.iter().zip(values).filter(|(column, _)| !column.integer);
        let parts: f64 = parts.map(|(column, value)| column.cost as f64 * value).sum();
        let objective = whole + (parts - 1e-6).ceil() as i64;
        let values: Vec<i64> = values.iter().map(|value| value.round() as i64).collect();
        let mut alike: BTreeMap<(usize, Vec<(usize, u32)>), u32> = BTreeMap::new();
        for slot in self.slots.iter().filter(|slot| values[slot.open] > 0) {
            let counts = slot.counts.iter().map(|&(class, column)| (class, u32::try_from(values[column]).unwrap_or(0)));
            *alike.entry((slot.shape, counts.filter(|entry| entry.1 > 0).collect())).or_default() += 1;
        }
        (objective, alike.into_iter().map(|((shape, counts), nodes)| PatternUse { shape, counts, nodes }).collect())
    }
}

/// The classes that fit on shape `s`, each with the most pods of it alone.
fn fitting(problem: &Problem, s: usize) -> Vec<(usize, i64)> {
    let largest = largest_demand(problem);
    (0..problem.classes.len()).map(|c| (c, most(problem, c, s, largest[c]))).filter(|&(_, most)| most > 0).collect()
}

/// How many nodes of shape `s` the model allows.
fn slots(problem: &Problem, s: usize, fitting: &[(usize, i64)], most_nodes: usize) -> usize {
    let largest = largest_demand(problem);
    let pods: i64 = fitting.iter().map(|&(c, _)| largest[c]).sum();
    let admitted = problem.shapes[s].usage.iter().map(|&(row, amount)| problem.side_rows[row].limit / amount).min();
    usize::try_from(pods.min(admitted.unwrap_or(pods))).unwrap_or(usize::MAX).min(most_nodes)
}

/// How many pods of class `c` alone a node of shape `s` holds, no more than `pods`.
fn most(problem: &Problem, c: usize, s: usize, pods: i64) -> i64 {
    if !problem.fits_alone(c, s) || problem.shapes[s].capacity.iter().any(|&room| room < 0) {
        return 0;
    }
    let class = &problem.classes[c];
    let pods = pods.min(i64::from(class.most_per_node));
    let fit = class.request.iter().zip(&problem.shapes[s].capacity).filter(|(request, _)| **request > 0);
    fit.map(|(request, capacity)| capacity / request).min().unwrap_or(i64::MAX).min(pods)
}

/// The most pods of each class that the choices can ask for; [`Problem::check`] has seen that they fit.
fn largest_demand(problem: &Problem) -> Vec<i64> {
    problem.largest_demand().into_iter().map(|pods| pods.map_or(i64::MAX, i64::from)).collect()
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(line);
}

/// The optimum of a small `problem` (which [`Problem::check`] accepts) with at most `most_nodes` nodes of each shape.
///
/// `None` when HiGHS has no answer within `seconds`, or failed.
#[must_use]
pub fn solve_compact(problem: &Problem, most_nodes: usize, seconds: Option<f64>) -> Option<CompactSolution> {
    let model = Model::new(problem, most_nodes);
    if model.columns.is_empty() {
        return Some(CompactSolution { objective: 0, patterns: Vec::new(), choices: Vec::new(), proven: true });
    }
    // HiGHS works to absolute tolerances, so costs are brought near 1.
    let unit = model.columns.iter().map(|column| column.cost).filter(|&cost| cost > 0).min().unwrap_or(1) as f64;
    let mut variables = ProblemVariables::new();
    let columns: Vec<Variable> = model
        .columns
        .iter()
        .map(|column| {
            let bounded = variable().min(column.lower as f64).max(column.upper as f64);
            variables.add(if column.integer { bounded.integer() } else { bounded })
        })
        .collect();
    let sum = |entries: &mut dyn Iterator<Item = (usize, f64)>| -> Expression {
        entries.map(|(column, amount)| amount * columns[column]).sum()
    };
    let objective = sum(&mut model.columns.iter().enumerate().map(|(at, column)| (at, column.cost as f64 / unit)));
    // Presolve is off for the reason that `lp_backend` gives.
    let mut program = variables
        .minimise(objective)
        .using(highs)
        .set_presolve(HighsPresolveType::Off)
        .set_threads(1)
        .set_option("mip_rel_gap", 1e-9)
        .set_option("mip_abs_gap", 1e-9);
    if let Some(seconds) = seconds {
        program = program.set_time_limit(seconds);
    }
    for row in model.rows.iter().filter(|row| !row.entries.is_empty()) {
        // A row is divided by its largest amount, for the same tolerances.
        let largest = row.entries.iter().map(|entry| entry.1.abs()).max().unwrap_or(1).max(1) as f64;
        let left = sum(&mut row.entries.iter().map(|&(column, amount)| (column, amount as f64 / largest)));
        let right = row.right as f64 / largest;
        program.add_constraint(if row.sense == Sense::Equal { left.eq(right) } else { left.leq(right) });
    }
    let solved = program.solve().ok()?;
    let values: Vec<f64> = columns.iter().map(|&column| solved.value(column)).collect();
    let (objective, patterns) = model.read(&values);
    Some(CompactSolution {
        objective,
        patterns,
        choices: model.choices.iter().map(|&column| values[column].round() as i64).collect(),
        proven: matches!(solved.status(), SolutionStatus::Optimal | SolutionStatus::GapLimit),
    })
}

/// How many columns the compact model has: what its text takes grows with this.
#[must_use]
pub fn compact_columns(problem: &Problem, most_nodes: usize) -> usize {
    let of_shape = |s: usize| {
        if problem.shapes[s].base.is_some() {
            return 1;
        }
        let fitting = fitting(problem, s);
        let fits = |class: &usize| fitting.iter().any(|entry| entry.0 == *class);
        let rules = problem.node_rules.iter().filter(|rule| rule.guards.iter().any(fits)).count();
        slots(problem, s, &fitting, most_nodes).saturating_mul(fitting.len() + 1 + rules)
    };
    (0..problem.shapes.len()).map(of_shape).fold(problem.classes.len() + problem.choices.len(), usize::saturating_add)
}

/// The compact model of `problem` (which [`Problem::check`] accepts) as text, with at most `most_nodes` nodes of each shape.
///
/// Columns and rows carry the names of the formulation, with the indices of the problem.
#[must_use]
pub fn compact_model_text(problem: &Problem, format: ModelFormat, most_nodes: usize) -> String {
    Model::new(problem, most_nodes).text(format)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use fixedbitset::FixedBitSet;

    use super::*;
    use crate::solver::lp_backend::optimum_of_file;
    use crate::solver::problem::{Class, Shape, SideRow};

    /// Two classes; the second may be on the dear shape alone, of which a side row admits `nodes`.
    fn problem(nodes: i64) -> Problem {
        let set = |classes: &[usize]| {
            let mut set = FixedBitSet::with_capacity(2);
            set.extend(classes.iter().copied());
            set
        };
        let shape = |capacity: [i64; 2], cost, eligible, usage| Shape {
            bound_capacity: capacity.to_vec(),
            capacity: capacity.to_vec(),
            cost,
            eligible,
            usage,
            base: None,
        };
        Problem {
            dimensions: 2,
            classes: vec![
                Class { demand: 5, request: vec![2, 1], penalty: 1_000_000, most_per_node: u32::MAX, family: 0 },
                Class { demand: 3, request: vec![3, 4], penalty: 2_000_000, most_per_node: u32::MAX, family: 1 },
            ],
            shapes: vec![shape([4, 9], 96_000, 0, Vec::new()), shape([10, 9], 200_001, 1, vec![(0, 1)])],
            eligibility: vec![set(&[0]), set(&[0, 1])],
            side_rows: vec![SideRow { limit: nodes }],
            ..Problem::default()
        }
    }

    #[test]
    fn the_optimum_is_found_with_its_patterns() {
        // Two dear nodes hold 2 + 1 of the second class and 1 + 3 of the first; the fifth of the first takes a cheap node.
        let found = solve_compact(&problem(9), 9, None).expect("a small program");
        assert_eq!((found.objective, found.proven), (496_002, true));
        assert_eq!(
            found.patterns.iter().map(|pattern| (pattern.shape, pattern.nodes)).collect::<Vec<_>>(),
            [(0, 1), (1, 1), (1, 1)]
        );
        // One dear node: a pod of the second class stays unplaced, and two cheap nodes hold the other four of the first.
        let limited = solve_compact(&problem(1), 9, None).expect("a small program");
        assert_eq!(limited.objective, 200_001 + 2_000_000 + 2 * 96_000);
        // No node at all.
        assert_eq!(solve_compact(&problem(9), 0, None).expect("a small program").objective, 5_000_000 + 6_000_000);
    }

    #[test]
    fn an_exported_model_has_the_same_optimum() {
        for (format, ending) in [(ModelFormat::Mps, ".mps"), (ModelFormat::Lp, ".lp")] {
            for nodes in [0, 1, 9] {
                let mut file = tempfile::Builder::new().suffix(ending).tempfile().expect("a temporary file");
                file.write_all(compact_model_text(&problem(nodes), format, 9).as_bytes()).expect("room for a small file");
                let read = optimum_of_file(file.path()).expect("HiGHS reads and solves the model");
                let solved = solve_compact(&problem(nodes), 9, None).expect("a small program");
                assert!((read - solved.objective as f64).abs() < 1e-3, "{ending}: {read} is not {}", solved.objective);
            }
        }
    }

    /// The cheap shape has a variant that takes 3 of a side row of 4: a whole node and a third of one more.
    fn with_variant() -> Problem {
        let mut made = problem(9);
        made.side_rows.push(SideRow { limit: 4 });
        made.shapes.push(Shape { cost: 6_000, usage: vec![(1, 3)], base: Some(0), ..made.shapes[0].clone() });
        made
    }

    #[test]
    fn a_variant_saves_a_part() {
        let solved = solve_compact(&with_variant(), 9, None).expect("a small program");
        let plain = solve_compact(&problem(9), 9, None).expect("a small program");
        // The one cheap node is a variant as a whole, and there is no second one for the rest.
        assert_eq!(plain.objective - solved.objective, 90_000);
        let mut first_alone = with_variant();
        first_alone.classes.truncate(1);
        let mut only = FixedBitSet::with_capacity(1);
        only.insert(0);
        first_alone.eligibility = vec![only; 2];
        let solved = solve_compact(&first_alone, 9, None).expect("a small program");
        // Five pods on three cheap nodes, one and a third of which are variants, instead of the dear one that holds them all.
        assert_eq!(solved.objective, 3 * 96_000 - 90_000 - 30_000);
        for (format, ending) in [(ModelFormat::Mps, ".mps"), (ModelFormat::Lp, ".lp")] {
            let mut file = tempfile::Builder::new().suffix(ending).tempfile().expect("a temporary file");
            file.write_all(compact_model_text(&with_variant(), format, 9).as_bytes()).expect("room for a small file");
            let read = optimum_of_file(file.path()).expect("HiGHS reads and solves the model");
            let solved = solve_compact(&with_variant(), 9, None).expect("a small program");
            assert!((read - solved.objective as f64).abs() < 1e-3, "{ending}: {read} is not {}", solved.objective);
        }
    }

    #[test]
    fn columns_are_counted_without_the_model() {
        for most_nodes in [0, 2, 9] {
            for problem in [problem(4), with_variant()] {
                assert_eq!(compact_columns(&problem, most_nodes), Model::new(&problem, most_nodes).columns.len());
            }
        }
    }

    #[test]
    fn names_follow_the_formulation() {
        let text = compact_model_text(&problem(1), ModelFormat::Lp, 2);
        for line in [" place_1:\n  +1 unplaced_1\n  +1 count_1_1_0\n  = 3\n", " side_0:\n  +1 open_1_0\n  <= 1\n", " order_0_1:"]
        {
            assert!(text.contains(line), "no {line:?} in\n{text}");
        }
    }
}
