//! Column generation on the linear relaxation, and its lower bound.
//!
//! ```text
//! min  sum_p cost_p x_p + sum_c penalty_c y_c + sum_v cost_v v
//! s.t. sum_p a_cp x_p + y_c + exchange_c - sum_v demand_cv v >= demand_c      dual pi_c >= 0
//!      sum_p usage_rp x_p                                    <= limit_r       dual mu_r <= 0
//!      the choice rows and the bounds of the choices v
//! ```
//! *Exchange columns* are dual-optimal inequalities (Ben Amor, Desrosiers, Valério de Carvalho 2006): where k pods of class j fit
//! into the place of one pod of class i, wherever that is, `k pi_j <= pi_i` cuts off no optimal dual, and the column that takes one
//! slot of i and gives k slots of j may join the master.
//!
//! The bound is in `dual_bound`.
//!
//! *Smoothing* (Wentges 1997): patterns are generated at a point between the best dual so far and that of the master.

use rustc_hash::FxHashSet;

use crate::solver::aggregation::Rows;
use crate::solver::choices;
use crate::solver::control::Control;
use crate::solver::dual_bound::{DualBound, DualPoint, LEAST_ALLOWANCE, raw_allowance};
use crate::solver::engine::round_up;
use crate::solver::lp_backend::{Lp, LpColumn, LpStatus};
use crate::solver::pattern_generation::{Effort, Generated, Generator, Pattern};
use crate::solver::presolve::Reduced;
use crate::solver::solution::Stage;

/// How many exchange columns each class gets at most; more gained nothing (study, second round).
const EXCHANGES_PER_CLASS: usize = 6;
/// Shapes that a settling pass looks at.
const SETTLED_SHAPES: usize = 12;
/// Settling passes after a full pass.
const SETTLING_ROUNDS: usize = 6;
/// A light pass is followed by another one when it lowers the master's objective by this share.
const WORTHWHILE: f64 = 1e-4;
/// Beam widths of the deviation search and work of the core tables, one after the other as the bound stalls.
const EFFORTS: [(usize, u64); 6] =
    [(0, 10_000_000), (0, 60_000_000), (30, 100_000_000), (150, 300_000_000), (800, 1_000_000_000), (4_000, 2_000_000_000)];
/// How many of [`EFFORTS`] a branch of more than [`CLASSES_OF_A_NARROW_BRANCH`] classes uses: there are many branches, and each
/// needs a bound only.
const EFFORTS_OF_A_BRANCH: usize = 4;
/// From so many classes on core tables are used.
const CLASSES_OF_CORES: usize = 80;
/// Work of a core table in a branch at most.
const CORE_OF_A_BRANCH: u64 = 3_000_000;
/// See [`EFFORTS_OF_A_BRANCH`].
const CLASSES_OF_A_NARROW_BRANCH: usize = 20;

/// The restricted master problem.
pub(super) struct Master<'a> {
    reduced: &'a Reduced,
    rows: Rows,
    lp: Lp,
    /// Pattern columns, in LP order after the fixed ones.
    pub(super) patterns: Vec<Pattern>,
    /// Whether a pattern column is held at zero.
    forbidden: Vec<bool>,
    known: FxHashSet<Pattern>,
    exchanges: Vec<Exchange>,
    /// Where the columns of the choices begin: after the artificial ones.
    first_choice: usize,
    /// Artificial, choice and exchange columns.
    fixed: usize,
    /// What the choices ask for while they are held at values.
    held: Option<Vec<i64>>,
    dual_bound: DualBound,
    /// Whether the last solve found that no values satisfy the rows.
    infeasible: bool,
    /// Micro-dollars per unit of LP cost.
    pub(super) unit: f64,
}

/// One slot of `from` serves `copies` pods of `to`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) copies: u32,
}

/// What a solve of the master gives.
pub(super) struct MasterSolution {
    /// LP cost units.
    pub(super) objective: f64,
    /// One value per pattern column.
    pub(super) values: Vec<f64>,
    pub(super) duals: Vec<f64>,
    pub(super) side_duals: Vec<f64>,
    /// Values of the choices.
    pub(super) choices: Vec<f64>,
}

impl<'a> Master<'a> {
    pub(super) fn new(reduced: &'a Reduced, scarcity: &[f64]) -> Self {
        let exchanges = exchanges(reduced, scarcity);
        Self::with_rows(reduced, Rows::each(reduced.classes()), exchanges)
    }

    /// A master whose rows stand for several classes each; `exchanges` are between rows.
    pub(super) fn with_rows(reduced: &'a Reduced, rows: Rows, exchanges: Vec<Exchange>) -> Self {
        let unit = reduced.shapes.first().map_or(1.0, |shape| shape.cost as f64);
        let mut lp = Lp::new(&bounds(reduced, &rows));
        lp.use_primal_simplex();
        let columns = fixed_columns(reduced, &rows, &exchanges, unit);
        lp.add_columns(&columns);
        for (at, choice) in reduced.choices.iter().enumerate() {
            lp.set_column(reduced.classes() + at, choice.lower as f64, choice.upper as f64);
        }
        Self {
            reduced,
            rows,
            lp,
            patterns: Vec::new(),
            forbidden: Vec::new(),
            known: FxHashSet::default(),
            exchanges,
            first_choice: reduced.classes(),
            fixed: columns.len(),
            held: None,
            dual_bound: DualBound::new(reduced, unit),
            infeasible: false,
            unit,
        }
    }

    /// Adds the patterns that are not there yet; how many were new.
    pub(super) fn add(&mut self, patterns: impl IntoIterator<Item = Pattern>) -> usize {
        let mut columns = Vec::new();
        for pattern in patterns {
            if self.known.insert(pattern.clone()) {
                columns.push(pattern_column(self.reduced, &self.rows, &pattern, self.unit));
                self.patterns.push(pattern);
                self.forbidden.push(false);
            }
        }
        if !columns.is_empty() {
            self.lp.add_columns(&columns);
        }
        columns.len()
    }

    /// Adds the patterns and solves again: the solution and whether that is worth another pass, `None` when nothing was new.
    pub(super) fn take_in(
        &mut self,
        patterns: impl IntoIterator<Item = Pattern>,
        before: f64,
        control: &mut Control<'_>,
    ) -> Option<(Option<MasterSolution>, bool)> {
        control.statistics.iterations += 1;
        let added = self.add(patterns);
        control.statistics.columns += added as u64;
        if added == 0 {
            return None;
        }
        let solution = self.solve(control);
        let gained = solution.as_ref().is_some_and(|solution| before - solution.objective >= WORTHWHILE * before);
        Some((solution, gained))
    }

    /// Holds the choices at values, or lets them go; the class rows then ask for what is demanded again.
    pub(super) fn fix_choices(&mut self, values: Option<&[i64]>) {
        let reduced = self.reduced;
        for (at, choice) in reduced.choices.iter().enumerate() {
            let (lower, upper) = values.map_or((choice.lower, choice.upper), |values| (values[at], values[at]));
            self.lp.set_column(self.first_choice + at, lower as f64, upper as f64);
        }
        self.held = values.map(|values| reduced.demand_at(values).iter().map(|&n| i64::from(n)).collect());
        let asked = self.held.clone().unwrap_or_else(|| reduced.demand.iter().map(|&n| i64::from(n)).collect());
        self.set_demand(&asked);
    }

    /// Sets what the class rows ask for (slots; may be negative), choices that are held included.
    pub(super) fn set_demand(&mut self, demand: &[i64]) {
        for (row, &slots) in demand.iter().enumerate() {
            // The columns of held choices take their part off in the row itself.
            let by_choices = self.held.as_ref().map_or(0, |held| held[row] - i64::from(self.reduced.demand[row]));
            self.lp.set_row(row, (slots - by_choices) as f64, f64::INFINITY);
        }
    }

    /// Forbids the patterns of shapes that cost more than `dearest`; whether that changed anything.
    pub(super) fn cap(&mut self, dearest: i64) -> bool {
        let mut changed = false;
        for (at, pattern) in self.patterns.iter().enumerate() {
            let forbidden = self.reduced.shapes[pattern.shape].cost > dearest;
            if forbidden != self.forbidden[at] {
                self.forbidden[at] = forbidden;
                changed = true;
                self.lp.set_column(self.fixed + at, 0.0, if forbidden { 0.0 } else { f64::INFINITY });
            }
        }
        changed
    }

    /// Sets what is left of the side rows.
    pub(super) fn set_limits(&mut self, limits: &[i64]) {
        let first = self.rows.len();
        for (row, &limit) in limits.iter().enumerate() {
            self.lp.set_row(first + row, f64::NEG_INFINITY, limit as f64);
        }
    }

    /// Solves after a change of row bounds, which leaves the last basis dual feasible.
    pub(super) fn solve_changed(&mut self, control: &mut Control<'_>) -> Option<MasterSolution> {
        self.lp.use_dual_simplex();
        let solution = self.solve(control);
        self.lp.use_primal_simplex();
        solution
    }

    /// Solves after columns were added, which leaves the last basis primal feasible.
    pub(super) fn solve(&mut self, control: &mut Control<'_>) -> Option<MasterSolution> {
        // A large program must not run past the deadline.
        if let Some(seconds) = control.seconds(1.0) {
            self.lp.set_time_limit(seconds);
        }
        let start = control.elapsed();
        let status = self.lp.solve();
        control.statistics.masters.add(control.elapsed().saturating_sub(start));
        control.spend(self.lp.iterations() * (2 * self.rows.len() as u64 + 50) + 100);
        self.infeasible = status == LpStatus::Infeasible;
        if status != LpStatus::Optimal {
            return None;
        }
        let (values, mut duals) = self.lp.solution();
        let of_rows = duals.split_off(self.rows.len());
        let side_duals: Vec<f64> = of_rows.iter().take(self.reduced.limits.len()).map(|mu| mu.min(0.0)).collect();
        duals.iter_mut().for_each(|pi| *pi = pi.max(0.0));
        let duals = self.rows.to_classes(&duals);
        let mut objective = 0.0;
        for (class, &value) in values.iter().take(duals.len()).enumerate() {
            objective += value * self.reduced.penalty[class] as f64 / self.unit;
        }
        let choices = values[self.first_choice..self.first_choice + self.reduced.choices.len()].to_vec();
        if self.held.is_none() {
            let costs = choices.iter().zip(&self.reduced.choices).map(|(value, choice)| value * choice.cost as f64);
            objective += costs.sum::<f64>() / self.unit;
        }
        let values = values[self.fixed..].to_vec();
        for (pattern, value) in self.patterns.iter().zip(&values) {
            objective += value * self.reduced.shapes[pattern.shape].cost as f64 / self.unit;
        }
        Some(MasterSolution { objective, values, duals, side_duals, choices })
    }

    /// Whether the last solve found that no values satisfy the rows. Classes can stay unplaced, so only side rows can be the cause.
    pub(super) fn is_infeasible(&self) -> bool {
        self.infeasible
    }

    /// What a pattern of each shape may cost at these side duals.
    pub(super) fn allowances(&self, side_duals: &[f64]) -> Vec<f64> {
        self.reduced
            .shapes
            .iter()
            .map(|shape| {
                // A branch's lower limit can push this below zero; a tiny allowance still shows every pattern as improving.
                raw_allowance(shape, side_duals, self.unit).max(LEAST_ALLOWANCE)
            })
            .collect()
    }

    /// `allowance - value` of a pattern, in LP cost units.
    pub(super) fn reduced_cost(&self, pattern: &Pattern, allowance: &[f64], duals: &[f64]) -> f64 {
        let value: f64 = pattern.counts.iter().map(|&(class, count)| duals[class] * f64::from(count)).sum();
        allowance[pattern.shape] - value
    }

    /// The program over `patterns` with integer columns (artificial, choices, exchange, patterns) and a start of `values` nodes per
    /// pattern; the columns of the choices follow those of the classes.
    pub(super) fn integer_program(&self, patterns: &[Pattern], values: &[f64], unplaced: &[u32], choices: &[i64]) -> Lp {
        let mut lp = Lp::new(&bounds(self.reduced, &self.rows));
        let mut columns = fixed_columns(self.reduced, &self.rows, &self.exchanges, self.unit);
        columns.extend(patterns.iter().map(|pattern| pattern_column(self.reduced, &self.rows, pattern, self.unit)));
        lp.add_columns(&columns);
        for (at, choice) in self.reduced.choices.iter().enumerate() {
            lp.set_column(self.first_choice + at, choice.lower as f64, choice.upper as f64);
        }
        lp.make_integer(columns.len());
        let mut start: Vec<f64> = unplaced.iter().map(|&n| f64::from(n)).collect();
        start.extend(choices.iter().map(|&value| value as f64));
        start.resize(columns.len() - patterns.len(), 0.0);
        start.extend(values);
        lp.set_start(&start);
        lp
    }

    /// Drops columns whose reduced cost is far above zero when there are too many for quick solves.
    fn clean(&mut self, solution: &MasterSolution) {
        let limit = 12 * self.reduced.classes() + 3000;
        if self.patterns.len() <= limit {
            return;
        }
        let allowance = self.allowances(&solution.side_duals);
        let mut costs: Vec<(f64, usize)> = self
            .patterns
            .iter()
            .enumerate()
            .map(|(at, pattern)| (self.reduced_cost(pattern, &allowance, &solution.duals) / allowance[pattern.shape], at))
            .collect();
        costs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut gone = vec![false; self.patterns.len()];
        for &(_, at) in &costs[limit / 2..] {
            gone[at] = solution.values[at] < 1e-9;
        }
        let mut mask = vec![false; self.fixed];
        mask.extend(&gone);
        self.lp.delete_columns(&mask);
        let mut at = 0;
        let known = &mut self.known;
        self.patterns.retain(|pattern| {
            at += 1;
            if gone[at - 1] {
                known.remove(pattern);
            }
            !gone[at - 1]
        });
        self.forbidden.clear();
        self.forbidden.resize(self.patterns.len(), false);
    }
}

/// Bounds of the rows of classes, the side rows and the choice rows.
fn bounds(reduced: &Reduced, rows: &Rows) -> Vec<(f64, f64)> {
    let demand: Vec<f64> = reduced.demand.iter().map(|&demand| f64::from(demand)).collect();
    let classes = rows.of_amounts(&demand).into_iter().map(|demand| (demand, f64::INFINITY));
    let side = reduced.limits.iter().map(|&limit| (f64::NEG_INFINITY, limit as f64));
    classes.chain(side).chain(choices::rows(reduced)).collect()
}

/// One artificial column per class, then the choices, then the exchange columns.
fn fixed_columns(reduced: &Reduced, rows: &Rows, exchanges: &[Exchange], unit: f64) -> Vec<LpColumn> {
    let artificial = reduced.penalty.iter().enumerate().map(|(class, &penalty)| LpColumn {
        cost: penalty as f64 / unit,
        upper: f64::INFINITY,
        entries: rows.entries([(class, 1.0)]),
    });
    let exchange = exchanges.iter().map(|exchange| LpColumn {
        cost: 0.0,
        upper: f64::INFINITY,
        entries: vec![(exchange.from, -1.0), (exchange.to, f64::from(exchange.copies))],
    });
    let entries = choices::entries(reduced, rows.len() + reduced.limits.len());
    let chosen = reduced.choices.iter().zip(entries).map(|(choice, mut entries)| {
        entries.extend(rows.entries(choice.demand.iter().map(|&(class, pods)| (class, -f64::from(pods)))));
        LpColumn { cost: choice.cost as f64 / unit, upper: choice.upper as f64, entries }
    });
    artificial.chain(chosen).chain(exchange).collect()
}

fn pattern_column(reduced: &Reduced, rows: &Rows, pattern: &Pattern, unit: f64) -> LpColumn {
    let shape = &reduced.shapes[pattern.shape];
    let mut entries = rows.entries(pattern.counts.iter().map(|&(class, n)| (class, f64::from(n))));
    entries.extend(shape.usage.iter().map(|&(row, amount)| (rows.len() + row, amount as f64)));
    LpColumn { cost: shape.cost as f64 / unit, upper: f64::INFINITY, entries }
}

/// Whether rules about single nodes never keep pods of `to` from the place of one of `from`.
fn may_stand_in(reduced: &Reduced, from: usize, to: usize) -> bool {
    let needed = |rule: &usize| {
        let rule = &reduced.node_rules[*rule];
        rule.least > 0 && rule.members.binary_search(&from).is_ok()
    };
    reduced.most_per_node[to] == u32::MAX && reduced.rules_of[to].is_empty() && !reduced.rules_of[from].iter().any(needed)
}

pub(super) fn exchanges(reduced: &Reduced, scarcity: &[f64]) -> Vec<Exchange> {
    let n = reduced.classes();
    let size = |class: usize| -> f64 { reduced.request_of(class).iter().zip(scarcity).map(|(&r, s)| r as f64 * s).sum() };
    let sizes: Vec<f64> = (0..n).map(size).collect();
    let mut made = Vec::new();
    for to in 0..n {
        let mut near: Vec<(f64, usize, u32)> = Vec::new();
        for from in 0..n {
            if from == to || !reduced.fits(to, reduced.request_of(from)) || !may_stand_in(reduced, from, to) {
                continue;
            }
            // Equal requests exchange one way only, or the two columns would form a cycle of cost zero.
            if reduced.request_of(from) == reduced.request_of(to) && from < to {
                continue;
            }
            let goes_anywhere = reduced.eligible_bits.iter().all(|set| !set.contains(from) || set.contains(to));
            if !goes_anywhere {
                continue;
            }
            let copies = reduced.copies(to, reduced.request_of(from)).clamp(1, 4);
            let waste = sizes[from] - f64::from(copies) * sizes[to];
            near.push((waste / sizes[from].max(1e-12), from, copies));
        }
        near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        made.extend(near.into_iter().take(EXCHANGES_PER_CLASS).map(|(_, from, copies)| Exchange { from, to, copies }));
    }
    made
}

/// Where column generation ended.
pub(super) struct Relaxed {
    pub(super) best: DualPoint,
    pub(super) solution: MasterSolution,
    pub(super) ended: Ended,
}

/// The linear relaxation is far from solved while its bound is below the master by this share.
const FAR: f64 = 0.1;

impl Relaxed {
    /// Whether the budget ended it long before bound and master met.
    pub(super) fn is_far(&self) -> bool {
        self.ended == Ended::Budget && self.solution.objective - self.best.bound > FAR * self.solution.objective
    }
}

/// Where in the tree column generation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On the whole program.
    Root,
    /// On a part of it, for a packing.
    Part,
    /// On a branch of it.
    Branch,
}

/// Why column generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Bound and master agree to the tolerance.
    Converged,
    /// No search finds another column, or a sharper bound.
    Stalled,
    /// The share of the budget is used.
    Budget,
}

/// Generates columns until bound and master agree to `tolerance`, nothing improves, the bound reaches the incumbent, or `until` of
/// the budget is used. At the root the bound is one of the whole program and is reported.
pub(super) fn column_generation(
    master: &mut Master<'_>,
    generator: &mut Generator<'_>,
    start: DualPoint,
    tolerance: f64,
    until: f64,
    control: &mut Control<'_>,
    place: Place,
) -> Option<Relaxed> {
    let mut best = start;
    let mut alpha: f64 = 0.7;
    // The first two efforts of a part would be the same.
    let mut effort = usize::from(place == Place::Part);
    let mut stalled = 0;
    let mut solution = master.solve(control)?;
    let unit = master.unit;
    let narrow = place == Place::Branch && master.reduced.classes() > CLASSES_OF_A_NARROW_BRANCH;
    let efforts = if narrow { EFFORTS_OF_A_BRANCH } else { EFFORTS.len() };
    let report = |best: &DualPoint, control: &mut Control<'_>| {
        if place == Place::Root {
            control.raise_bound(round_up(best.bound * unit), Stage::ColumnGeneration);
        }
    };
    let batch = (master.reduced.classes() / 2).max(40);
    loop {
        let gap = ((solution.objective - best.bound) / solution.objective.max(1e-12)).max(0.0);
        if gap <= tolerance {
            return Some(Relaxed { best, solution, ended: Ended::Converged });
        }
        let cut_off = round_up(best.bound * unit) >= control.incumbent();
        if cut_off {
            return Some(Relaxed { best, solution, ended: Ended::Converged });
        }
        if control.used() >= until || control.stop().is_some() {
            return Some(Relaxed { best, solution, ended: Ended::Budget });
        }
        let (beam, core) = EFFORTS[effort];
        // Where there are few classes the deviation search is exact sooner than a table is filled.
        let core = match place {
            _ if master.reduced.classes() < CLASSES_OF_CORES => 0,
            Place::Branch => core.min(CORE_OF_A_BRANCH),
            // It is the master's patterns that a packing is made of, not the bound.
            Place::Part => core.min(EFFORTS[0].1),
            Place::Root => core,
        };
        let threshold = (0.3 * gap).clamp(0.4 * tolerance, 0.02);
        let looking = Effort { width: beam, core, threshold, keep: 3, through_classes: true };
        let blend = |a: &[f64], b: &[f64], scale: f64| -> Vec<f64> {
            a.iter().zip(b).map(|(centre, outer)| alpha * scale * centre + (1.0 - alpha) * outer).collect()
        };
        // The bound does not change when the class duals are scaled, so only the direction of the best point counts: at the
        // master's level it shows many patterns, scaled down to feasibility it would show none.
        let level = if best.bound > 0.0 { (solution.objective / best.bound).clamp(1.0, 2.0) } else { 1.0 };
        let duals = blend(&best.duals, &solution.duals, level);
        let side_duals = blend(&best.side_duals, &solution.side_duals, 1.0);
        let allowance = master.allowances(&side_duals);
        let mut generated = control.pricing(|| generator.generate(&duals, &allowance, looking));
        control.statistics.iterations += 1;
        let point = master.dual_bound.at(master.reduced, (&duals, &side_duals), &generated, control);
        let before = best.bound;
        if point.bound > best.bound {
            best = point;
            alpha = (alpha + 0.05).min(0.9);
            report(&best, control);
        } else {
            alpha *= 0.9;
        }
        let outer = master.allowances(&solution.side_duals);
        let mut fresh = improving(master, &generated, &outer, &solution);
        if fresh.is_empty() {
            // The smoothed point sees nothing that the master would take: look at the master's own duals.
            generated = control.pricing(|| generator.generate(&solution.duals, &outer, looking));
            let point = master.dual_bound.at(master.reduced, (&solution.duals, &solution.side_duals), &generated, control);
            if point.bound > best.bound {
                best = point;
                report(&best, control);
            }
            alpha *= 0.5;
            fresh = improving(master, &generated, &outer, &solution);
            if fresh.is_empty() {
                if effort + 1 == efforts {
                    return Some(Relaxed { best, solution, ended: Ended::Stalled });
                }
                effort += 1;
                stalled = 0;
                continue;
            }
        }
        fresh.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        let added = master.add(fresh.into_iter().take(batch).map(|(_, pattern)| pattern));
        control.statistics.columns += added as u64;
        if added == 0 && effort + 1 == efforts {
            return Some(Relaxed { best, solution, ended: Ended::Stalled });
        }
        let previous = solution.objective;
        master.clean(&solution);
        solution = master.solve(control)?;
        let worst = worst_shapes(generator, &generated.ratios);
        solution = settle(master, generator, &best, &worst, solution, until, control)?;
        let moved = (previous - solution.objective).max(0.0) / previous + (best.bound - before).max(0.0) / previous;
        stalled = if moved < 2e-4 { stalled + 1 } else { 0 };
        if (stalled >= 4 || added == 0) && effort + 1 < efforts {
            effort += 1;
            stalled = 0;
        }
    }
}

/// Patterns that the master would take, with their reduced cost relative to the allowance.
fn improving(master: &Master<'_>, generated: &Generated, allowance: &[f64], solution: &MasterSolution) -> Vec<(f64, Pattern)> {
    generated
        .patterns
        .iter()
        .map(|(_, pattern)| {
            (master.reduced_cost(pattern, allowance, &solution.duals) / allowance[pattern.shape], pattern.clone())
        })
        .filter(|(cost, _)| *cost < -1e-9)
        .collect()
}

/// The shapes that hold the bound down, worst first, without those of the dense tables.
fn worst_shapes(generator: &Generator<'_>, ratios: &[f64]) -> Vec<usize> {
    let mut worst: Vec<usize> =
        (0..ratios.len()).filter(|&shape| ratios[shape] < 1.0 - 1e-6 && !generator.is_dense(shape)).collect();
    worst.sort_by(|&a, &b| ratios[a].total_cmp(&ratios[b]).then(a.cmp(&b)));
    worst.truncate(SETTLED_SHAPES);
    worst
}

/// Generates patterns of a few shapes only, until they no longer improve the master.
///
/// A large shape takes whole classes, so one pattern changes many duals at once and the next pass finds the next excess: those
/// passes need not look at the other shapes.
fn settle(
    master: &mut Master<'_>,
    generator: &Generator<'_>,
    best: &DualPoint,
    shapes: &[usize],
    mut solution: MasterSolution,
    until: f64,
    control: &mut Control<'_>,
) -> Option<MasterSolution> {
    for _ in 0..SETTLING_ROUNDS {
        if shapes.is_empty() || control.used() >= until || control.stop().is_some() {
            break;
        }
        let level = if best.bound > 0.0 { (solution.objective / best.bound).clamp(1.0, 2.0) } else { 1.0 };
        let duals: Vec<f64> =
            best.duals.iter().zip(&solution.duals).map(|(centre, outer)| 0.5 * level * centre + 0.5 * outer).collect();
        let outer = master.allowances(&solution.side_duals);
        let generated = control.pricing(|| generator.generate_some(&duals, &outer, shapes));
        let mut fresh = improving(master, &generated, &outer, &solution);
        if fresh.is_empty() {
            let generated = control.pricing(|| generator.generate_some(&solution.duals, &outer, shapes));
            fresh = improving(master, &generated, &outer, &solution);
        }
        let fresh = fresh.into_iter().map(|(_, pattern)| pattern);
        let Some((better, gained)) = master.take_in(fresh, solution.objective, control) else { break };
        solution = better?;
        if !gained {
            break;
        }
    }
    Some(solution)
}
