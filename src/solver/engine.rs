//! The order of the stages: presolve, first-fit, resource prices, greedy, column generation, diving, local search.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::solver::branching::{Setting, Tree, branch};
use crate::solver::choices::{ChoiceBound, rounded};
use crate::solver::column_generation::{Ended, Master, Place, column_generation};
use crate::solver::control::Control;
use crate::solver::diving::{Guide, dive, finish};
use crate::solver::dual_bound::DualPoint;
use crate::solver::first_fit::first_fit;
use crate::solver::local_search::local_search;
use crate::solver::lp_backend::{Lp, LpColumn, LpStatus};
use crate::solver::mean_pod;
use crate::solver::packing::{Order, Packing};
use crate::solver::pattern_generation::{Effort, Generator, Pattern};
use crate::solver::presolve::Reduced;
use crate::solver::restricted_mip::restricted_mip;
use crate::solver::solution::{FirstFit, Stage};
use crate::solver::variants;
use crate::solver::warm_start::warm_start;

/// The restricted program is tried up to so many classes; beyond, it gains nothing in the time that there is.
const MIP_CLASSES: usize = 120;
/// Moves without gain after which the local search gives up.
const IDLE_MOVES: u64 = 40_000;
/// Share of the budget for the first columns of the whole program, and until when at least they are sought.
const FIRST_SHARE: f64 = 0.2;
/// See [`FIRST_SHARE`].
const FIRST_UNTIL: f64 = 0.4;
/// Share of the budget for a search with the duals of the warm start.
const WARM_SEARCH_SHARE: f64 = 0.05;
/// Share of the budget for the first columns where the program was solved by place before.
const SHARE_AFTER_PLACES: f64 = 0.1;
/// With so many classes that have hardly more pods, covering by the mean pod is a better start than the greedy rules.
const SCATTERED_CLASSES: usize = 1_500;
/// Share of the budget for one covering program of that start.
const MEAN_POD_SHARE: f64 = 0.05;
/// A shape is a candidate of the greedy rules when its cost is at most this many times the worth of its best pattern.
const CANDIDATE_RATIO: f64 = 1.2;

/// The best packing so far.
pub(super) struct Incumbent {
    pub(super) packing: Packing,
    pub(super) objective: i64,
}

impl Incumbent {
    pub(super) fn offer(&mut self, reduced: &Reduced, packing: &Packing, stage: Stage, control: &mut Control<'_>) {
        let objective = packing.objective(reduced);
        if objective < self.objective {
            self.packing = packing.clone();
            self.objective = objective;
            control.lower_incumbent(objective, stage);
        }
    }
}

/// What the engine found for a reduced program.
pub(super) struct Outcome {
    pub(super) packing: Packing,
    pub(super) first_fit: FirstFit,
    /// Duals at the best bound, micro-dollars.
    pub(super) duals: Vec<f64>,
}

/// Runs the stages on a program with at least one class.
pub(super) fn run(reduced: &Reduced, control: &mut Control<'_>) -> Outcome {
    control.statistics.classes = reduced.classes();
    control.statistics.shapes = reduced.shapes.len();
    let start = first_fit(reduced, &reduced.start());
    control.statistics.first_fit_at = control.elapsed();
    let yardstick = yardstick(reduced, &start);
    let mut incumbent = Incumbent { objective: i64::MAX, packing: Packing::default() };
    incumbent.offer(reduced, &start, Stage::FirstFit, control);
    let scarcity = scarcity_of(reduced);
    let unit = reduced.shapes.first().map_or(1.0, |shape| shape.cost as f64);
    let values: Vec<f64> = (0..reduced.classes())
        .map(|class| {
            let value: f64 = reduced.request_of(class).iter().zip(&scarcity).map(|(&r, s)| r as f64 * s).sum();
            value.min(reduced.penalty[class] as f64)
        })
        .collect();
    let by_demand: f64 = values.iter().zip(&reduced.demand).map(|(value, &n)| value * f64::from(n)).sum();
    let by_choices = ChoiceBound::new(reduced, 1.0).least(reduced, &values, control);
    let side_duals = variants::side_duals(reduced, &scarcity);
    let by_rows: f64 = side_duals.iter().zip(&reduced.limits).map(|(mu, &limit)| mu * limit as f64).sum();
    control.raise_bound(round_up((by_demand + by_choices + by_rows).max(0.0)), Stage::ColumnGeneration);
    let guide = guide(reduced, values.clone(), scarcity.clone(), (0..reduced.shapes.len()).collect(), reduced.start());
    let mut greedy = Packing::empty(reduced, reduced.start());
    finish(reduced, &mut greedy, &guide);
    incumbent.offer(reduced, &greedy, Stage::FirstFit, control);
    let mut starts = vec![start, greedy];
    if is_scattered(reduced) {
        let mean = mean_pod::packing(reduced, MEAN_POD_SHARE, control);
        incumbent.offer(reduced, &mean, Stage::FirstFit, control);
        starts.push(mean);
    }
    let first = DualPoint {
        duals: values.iter().map(|value| value / unit).collect(),
        side_duals: side_duals.iter().map(|mu| mu / unit).collect(),
        bound: control.bound() as f64 / unit,
    };
    let duals = improve(reduced, control, &mut incumbent, &scarcity, first, unit, &starts);
    Outcome { packing: incumbent.packing, first_fit: yardstick, duals }
}

/// Whether nearly every pod is a class of its own, so that patterns of classes say little and take long to find.
fn is_scattered(reduced: &Reduced) -> bool {
    let pods: u64 = reduced.demand.iter().map(|&n| u64::from(n)).sum();
    reduced.classes() >= SCATTERED_CLASSES && pods < 2 * reduced.classes() as u64
}

/// What first-fit's packing comes to.
pub(super) fn yardstick(reduced: &Reduced, packing: &Packing) -> FirstFit {
    let mut usage: BTreeMap<usize, i64> = BTreeMap::new();
    for &(row, amount) in packing.nodes.iter().flat_map(|node| &reduced.shapes[node.shape].usage) {
        *usage.entry(row).or_default() += amount;
    }
    FirstFit {
        usage: usage.into_iter().collect(),
        cost: packing.nodes.iter().map(|node| reduced.shapes[node.shape].cost).sum(),
        nodes: packing.nodes.len() as u64,
        nodes_at_least_cost: packing.nodes.iter().filter(|node| reduced.shapes[node.shape].cost == 1).count() as u64,
        unplaced: packing.unplaced.iter().map(|&n| u64::from(n)).sum(),
    }
}

/// The smallest whole objective that a bound allows.
pub(super) fn round_up(bound: f64) -> i64 {
    (bound - 1e-3 - bound.abs() * 1e-9).ceil() as i64
}

fn improve(
    reduced: &Reduced,
    control: &mut Control<'_>,
    incumbent: &mut Incumbent,
    scarcity: &[f64],
    start: DualPoint,
    unit: f64,
    starts: &[Packing],
) -> Vec<f64> {
    let weights = weights(reduced, scarcity);
    let mut generator = Generator::new(reduced, &weights);
    let mut master = Master::new(reduced, scarcity);
    for packing in starts {
        master.add(packing.nodes.iter().cloned());
    }
    let values: Vec<f64> = start.duals.iter().map(|pi| pi * unit).collect();
    let fine = (control.target_gap() * 0.2).clamp(2e-7, 2e-4);
    let coarse = fine.max(0.003);
    let mut pool: BTreeSet<Pattern> = BTreeSet::new();
    let mut until = (control.used() + FIRST_SHARE).max(FIRST_UNTIL);
    let start = match warm_start(reduced, &mut master, scarcity, &weights, &start, incumbent, control) {
        None => start,
        Some(warm) => {
            until = control.used() + if warm.by_place { SHARE_AFTER_PLACES } else { FIRST_SHARE };
            // Its duals are good enough to judge by, long before those of the whole program are.
            let choices = incumbent.packing.choices.clone();
            let (duals, side_duals) = (&warm.point.duals, &warm.point.side_duals);
            let guide = worth_buying(reduced, &master, &mut generator, duals, side_duals, scarcity, choices);
            search(reduced, incumbent.packing.clone(), incumbent, &guide, WARM_SEARCH_SHARE, &mut pool, control);
            master.add(incumbent.packing.nodes.iter().cloned());
            warm.point
        }
    };
    let Some(mut relaxed) = column_generation(&mut master, &mut generator, start, coarse, until, control, Place::Root) else {
        return values;
    };
    let mut exhausted = false;
    let mut tree: Option<Tree> = None;
    loop {
        if control.stop().is_some() {
            break;
        }
        let choices = rounded(reduced, &relaxed.solution.choices, control).unwrap_or_else(|| incumbent.packing.choices.clone());
        let (duals, side_duals) = (&relaxed.solution.duals, &relaxed.solution.side_duals);
        let guide = worth_buying(reduced, &master, &mut generator, duals, side_duals, scarcity, choices);
        let used = control.used();
        // A master that is far from its bound has nothing to say about single nodes yet.
        let far = relaxed.is_far();
        let start = control.elapsed();
        let rounded = if far { None } else { dive(reduced, &mut master, &mut generator, &guide, used + 0.3, control) };
        if let Some(packing) = rounded {
            control.statistics.roundings.add(control.elapsed().saturating_sub(start));
            pool.extend(packing.nodes.iter().cloned());
            incumbent.offer(reduced, &packing, Stage::Diving, control);
            search(reduced, packing, incumbent, &guide, 0.06, &mut pool, control);
        }
        let share = if far { 0.3 } else { 0.1 };
        search(reduced, incumbent.packing.clone(), incumbent, &guide, share, &mut pool, control);
        if reduced.classes() <= MIP_CLASSES && control.stop().is_none() {
            let allowance = master.allowances(&relaxed.solution.side_duals);
            let mut extra: Vec<Pattern> = pool.iter().cloned().collect();
            extra.extend(generator.near_improving(&relaxed.solution.duals, &allowance, control.gap().min(0.03)));
            let best = &relaxed.best;
            let found = restricted_mip(reduced, &master, best, &incumbent.packing, &extra, &guide, 0.15, control);
            if let Some(packing) = found {
                incumbent.offer(reduced, &packing, Stage::Branching, control);
            }
        }
        let gap = incumbent.objective as f64 / unit - relaxed.best.bound;
        let of_the_bound = relaxed.solution.objective - relaxed.best.bound;
        if !exhausted && of_the_bound > 0.2 * gap {
            let until = control.used() + 0.2;
            let point = relaxed.best.clone();
            match column_generation(&mut master, &mut generator, point, fine, until, control, Place::Root) {
                Some(better) => {
                    exhausted = better.ended != Ended::Budget;
                    relaxed = better;
                }
                None => exhausted = true,
            }
        } else {
            let tree = tree.get_or_insert_with(|| Tree::new(control.bound()));
            let setting = Setting { reduced, scarcity, weights: &weights, guide: &guide, tolerance: fine };
            let mut patterns = master.patterns.clone();
            let until = control.used() + 0.25;
            branch(&setting, tree, &mut patterns, &relaxed.best, until, control, &mut |packing, control| {
                incumbent.offer(reduced, &packing, Stage::Branching, control);
                search(reduced, packing, incumbent, &guide, 0.01, &mut pool, control);
            });
            master.add(patterns);
        }
    }
    relaxed.best.duals.iter().map(|pi| pi * unit).collect()
}

/// The guide of the greedy rules at the master's duals: only shapes whose best pattern is nearly worth its cost.
pub(super) fn worth_buying(
    reduced: &Reduced,
    master: &Master<'_>,
    generator: &mut Generator<'_>,
    duals: &[f64],
    side_duals: &[f64],
    scarcity: &[f64],
    choices: Vec<i64>,
) -> Guide {
    let allowance = master.allowances(side_duals);
    let effort = Effort { width: 0, core: 0, threshold: 0.0, keep: 1, through_classes: false };
    let ratios = generator.generate(duals, &allowance, effort).ratios;
    let candidates: Vec<usize> = (0..reduced.shapes.len()).filter(|&shape| ratios[shape] <= CANDIDATE_RATIO).collect();
    let values: Vec<f64> = duals.iter().map(|pi| pi * master.unit).collect();
    let costs = allowance.iter().map(|allowed| allowed * master.unit).collect();
    Guide { costs, ..guide(reduced, values, scarcity.to_vec(), candidates, choices) }
}

/// Local search for a share of the budget; improvements are offered and their nodes kept for the restricted program.
fn search(
    reduced: &Reduced,
    mut packing: Packing,
    incumbent: &mut Incumbent,
    guide: &Guide,
    share: f64,
    pool: &mut BTreeSet<Pattern>,
    control: &mut Control<'_>,
) {
    let until = control.used() + share;
    local_search(reduced, &mut packing, guide, until, IDLE_MOVES, control, &mut |packing, control| {
        incumbent.offer(reduced, packing, Stage::LocalSearch, control);
    });
    pool.extend(packing.nodes);
}

/// Prices of the dimensions: the duals of covering the total demand by whole capacities, micro-dollars per unit.
///
/// `min cost z, capacity z >= total` bounds the program from below whatever the pods' shapes are. Variants are left out: what they are
/// worth depends on how much of them there is.
pub(super) fn scarcity_of(reduced: &Reduced) -> Vec<f64> {
    let total: Vec<f64> = (0..reduced.dimensions)
        .map(|d| (0..reduced.classes()).map(|c| reduced.request_of(c)[d] as f64 * f64::from(reduced.most_demand[c])).sum::<f64>())
        .collect();
    // Rows are scaled by the total demand; a dimension that nobody asks for has a free row.
    let rows: Vec<(f64, f64)> = total.iter().map(|&t| (if t > 0.0 { 1.0 } else { f64::NEG_INFINITY }, f64::INFINITY)).collect();
    let mut lp = Lp::new(&rows);
    let bases = || (0..reduced.shapes.len()).filter(|&shape| !reduced.is_variant(shape)).map(|shape| &reduced.shapes[shape]);
    let columns: Vec<LpColumn> = bases()
        .map(|shape| LpColumn {
            cost: shape.cost as f64,
            upper: f64::INFINITY,
            entries: (0..reduced.dimensions)
                .filter(|&d| total[d] > 0.0 && shape.bound_capacity[d] > 0)
                .map(|d| (d, shape.bound_capacity[d] as f64 / total[d]))
                .collect(),
        })
        .collect();
    lp.add_columns(&columns);
    if lp.solve() != LpStatus::Optimal {
        return vec![0.0; reduced.dimensions];
    }
    let (_, duals) = lp.solution();
    let mut prices: Vec<f64> = duals.iter().zip(&total).map(|(pi, &t)| if t > 0.0 { pi.max(0.0) / t } else { 0.0 }).collect();
    // HiGHS is exact to a tolerance only; a uniform scaling makes the prices feasible for sure.
    let worst = bases()
        .map(|shape| {
            let value: f64 = prices.iter().zip(&shape.bound_capacity).map(|(p, &b)| p * b as f64).sum();
            value / shape.cost as f64
        })
        .fold(1.0, f64::max);
    prices.iter_mut().for_each(|price| *price /= worst);
    prices
}

/// How much of the money each dimension carries, to choose those of the dense tables.
pub(super) fn weights(reduced: &Reduced, scarcity: &[f64]) -> Vec<f64> {
    (0..reduced.dimensions)
        .map(|d| {
            let asked = |c: usize| reduced.request_of(c)[d] as f64 * f64::from(reduced.most_demand[c]);
            let total: f64 = (0..reduced.classes()).map(asked).sum();
            total * scarcity[d]
        })
        .collect()
}

/// A guide where it is not known yet what side rows are worth: a variant counts as its base.
pub(super) fn guide(reduced: &Reduced, values: Vec<f64>, scarcity: Vec<f64>, candidates: Vec<usize>, choices: Vec<i64>) -> Guide {
    let n = reduced.classes();
    let sizes: Vec<f64> = (0..n).map(|c| reduced.request_of(c).iter().zip(&scarcity).map(|(&r, s)| r as f64 * s).sum()).collect();
    let by = |key: &dyn Fn(usize) -> f64| {
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| key(b).total_cmp(&key(a)).then(a.cmp(&b)));
        Order(order)
    };
    let mut orders = vec![by(&|c| values[c] / sizes[c].max(1e-12)), by(&|c| values[c]), by(&|c| sizes[c])];
    for d in 0..reduced.dimensions {
        orders.push(by(&|c| reduced.request_of(c)[d] as f64 * scarcity[d] / sizes[c].max(1e-12)));
    }
    let mut costs: Vec<f64> = reduced.shapes.iter().map(|shape| shape.cost as f64).collect();
    for shape in 0..costs.len() {
        for &variant in reduced.variants_of(shape) {
            costs[variant] = costs[shape];
        }
    }
    Guide { values, scarcity, sizes, orders, candidates, costs, choices }
}
