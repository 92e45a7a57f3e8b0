//! A program that falls apart by place, and packings of its parts.
//!
//! Once the choices have values, a class that has to stand in a zone meets the shapes of that zone alone. Only classes that may stand
//! anywhere tie the zones together, and the linear relaxation says how many of theirs each zone takes. With those numbers the zones
//! are programs of their own, each with a fraction of the rows, and they are packed side by side. The parts say nothing about the
//! bound: they are a way to a packing.

use std::collections::BTreeMap;
use std::time::Duration;

use fixedbitset::FixedBitSet;
use rayon::prelude::*;

use crate::solver::column_generation::{Master, MasterSolution, Place, column_generation};
use crate::solver::control::Control;
use crate::solver::diving::{Guide, deal, dive};
use crate::solver::dual_bound::DualPoint;
use crate::solver::engine::{guide, worth_buying};
use crate::solver::local_search::local_search;
use crate::solver::packing::Packing;
use crate::solver::pattern_generation::{Generator, Pattern};
use crate::solver::presolve::{Reduced, rules_among, rules_by_class, undominated};
use crate::solver::solution::Stage;

/// Bound and master of a part agree well enough at this gap.
const TOLERANCE: f64 = 0.004;
/// Shares of a part's budget until which columns are generated, and until which the dive goes on; the rest is local search.
const GENERATE_UNTIL: f64 = 0.4;
/// See [`GENERATE_UNTIL`].
const DIVE_UNTIL: f64 = 0.75;

/// Which eligibility sets belong together.
pub(super) struct Places {
    of_set: Vec<usize>,
    count: usize,
}

/// One part: its program, and what its classes and shapes are in the whole.
struct Part {
    reduced: Reduced,
    classes: Vec<usize>,
    /// Whether there is no other.
    alone: bool,
}

impl Places {
    /// The places of a program; `None` where it does not fall apart.
    ///
    /// Classes of a family with several members are those that have to stand somewhere: the sets that one of them is in belong to
    /// one place. Side rows tie all places together.
    pub(super) fn new(reduced: &Reduced) -> Option<Self> {
        if !reduced.limits.is_empty() {
            return None;
        }
        let mut members: BTreeMap<usize, usize> = BTreeMap::new();
        for &family in &reduced.family {
            *members.entry(family).or_default() += 1;
        }
        let mut root: Vec<usize> = (0..reduced.eligible.len()).collect();
        fn find(root: &[usize], mut set: usize) -> usize {
            while root[set] != set {
                set = root[set];
            }
            set
        }
        for class in (0..reduced.classes()).filter(|&class| members[&reduced.family[class]] > 1) {
            let mut of = (0..reduced.eligible.len()).filter(|&set| reduced.eligible_bits[set].contains(class));
            let Some(first) = of.next() else { continue };
            for other in of {
                let (a, b) = (find(&root, first), find(&root, other));
                root[a.max(b)] = a.min(b);
            }
        }
        let mut known: BTreeMap<usize, usize> = BTreeMap::new();
        let of_set: Vec<usize> = (0..root.len())
            .map(|set| {
                let next = known.len();
                *known.entry(find(&root, set)).or_insert(next)
            })
            .collect();
        (known.len() > 1).then_some(Self { of_set, count: known.len() })
    }

    /// One place for everything: what is left of the program once the choices have values.
    pub(super) fn one(reduced: &Reduced) -> Self {
        Self { of_set: vec![0; reduced.eligible.len()], count: 1 }
    }

    /// How many.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn of_shape(&self, reduced: &Reduced, shape: usize) -> usize {
        self.of_set[reduced.shapes[shape].eligible]
    }

    /// How many pods of each class each place takes, when the classes ask for `demand` and the patterns are used as the relaxation says.
    fn shares(&self, setting: &Setting<'_>, demand: &[u32]) -> Vec<Vec<u32>> {
        let Setting { reduced, merged, patterns, solution, .. } = *setting;
        let open: Vec<Vec<usize>> = (0..reduced.classes())
            .map(|class| {
                let mut places: Vec<usize> = reduced
                    .shapes
                    .iter()
                    .filter(|s| reduced.eligible_bits[s.eligible].contains(class) && reduced.fits(class, &s.capacity))
                    .map(|s| self.of_set[s.eligible])
                    .collect();
                places.sort_unstable();
                places.dedup();
                places
            })
            .collect();
        let sets = merged.iter().max().map_or(0, |last| last + 1);
        // What the places give to each merged class beyond what has to stand there.
        let mut given = vec![vec![0.0_f64; self.count]; sets];
        for (pattern, &value) in patterns.iter().zip(&solution.values).filter(|(_, value)| **value > 1e-9) {
            let place = self.of_shape(reduced, pattern.shape);
            pattern.counts.iter().for_each(|&(class, n)| given[merged[class]][place] += value * f64::from(n));
        }
        let mut shares = vec![vec![0_u32; reduced.classes()]; self.count];
        for class in 0..reduced.classes() {
            if let &[place] = open[class].as_slice() {
                shares[place][class] = demand[class];
                given[merged[class]][place] -= f64::from(demand[class]);
            }
        }
        for class in (0..reduced.classes()).filter(|&class| open[class].len() > 1) {
            let weights: Vec<f64> = open[class].iter().map(|&place| given[merged[class]][place].max(0.0)).collect();
            let total: f64 = weights.iter().sum();
            let wanted = f64::from(demand[class]);
            let exact: Vec<f64> = weights.iter().map(|weight| if total > 0.0 { weight / total * wanted } else { 0.0 }).collect();
            let mut left = demand[class];
            for (&place, share) in open[class].iter().zip(&exact) {
                let whole = (share.floor() as u32).min(left);
                shares[place][class] = whole;
                left -= whole;
            }
            let mut order: Vec<usize> = (0..exact.len()).collect();
            order.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()).then(a.cmp(&b)));
            for &at in order.iter().cycle().take(left as usize) {
                shares[open[class][at]][class] += 1;
            }
        }
        shares
    }

    /// The program of one place for `demand` pods.
    fn part(&self, whole: &Reduced, place: usize, demand: &[u32]) -> Part {
        let classes: Vec<usize> = (0..whole.classes()).filter(|&class| demand[class] > 0).collect();
        let position = |class: usize| classes.binary_search(&class).ok();
        let kept = |list: &[usize]| list.iter().filter_map(|&class| position(class)).collect::<Vec<usize>>();
        let eligible: Vec<Vec<usize>> = whole.eligible.iter().map(|list| kept(list)).collect();
        let eligible_bits: Vec<FixedBitSet> = eligible
            .iter()
            .map(|list| {
                let mut bits = FixedBitSet::with_capacity(classes.len());
                bits.extend(list.iter().copied());
                bits
            })
            .collect();
        let shapes = whole.shapes.iter().enumerate().filter(|(at, s)| {
            self.of_shape(whole, *at) == place
                && eligible[s.eligible].iter().any(|&class| whole.fits(classes[class], &s.capacity))
        });
        let shapes = shapes.map(|(at, s)| {
            let mut shape = s.clone();
            shape.origin = at;
            shape
        });
        let shapes = undominated(shapes.collect(), &eligible_bits);
        let node_rules = rules_among(&whole.node_rules, &kept);
        let rules_of = rules_by_class(&node_rules, classes.len());
        let demand: Vec<u32> = classes.iter().map(|&class| demand[class]).collect();
        let reduced = Reduced {
            dimensions: whole.dimensions,
            most_demand: demand.clone(),
            demand,
            most_per_node: classes.iter().map(|&class| whole.most_per_node[class]).collect(),
            family: (0..classes.len()).collect(),
            request: classes.iter().flat_map(|&class| whole.request_of(class).iter().copied()).collect(),
            penalty: classes.iter().map(|&class| whole.penalty[class]).collect(),
            shapes,
            eligible,
            eligible_bits,
            limits: Vec::new(),
            has_needs: node_rules.iter().any(|rule| rule.least > 0),
            node_rules,
            rules_of,
            choices: Vec::new(),
            choice_rows: Vec::new(),
            class_origin: classes.clone(),
            variants: BTreeMap::new(),
        };
        Part { reduced, classes, alone: self.count == 1 }
    }
}

/// What packing the parts starts from.
pub(super) struct Setting<'a> {
    pub(super) reduced: &'a Reduced,
    pub(super) scarcity: &'a [f64],
    /// Weights that choose the dimensions of the dense tables.
    pub(super) weights: &'a [f64],
    /// The classes that the rows of the master do not tell apart, by class.
    pub(super) merged: &'a [usize],
    /// The patterns of the master.
    pub(super) patterns: &'a [Pattern],
    /// Micro-dollars per unit of the master's costs.
    pub(super) unit: f64,
    pub(super) solution: &'a MasterSolution,
}

/// What the parts give to the whole.
pub(super) struct Packed {
    pub(super) packing: Packing,
    /// Patterns that the relaxations of the parts use.
    pub(super) used: Vec<Pattern>,
}

/// A packing of the whole at these choices, made of packings of its parts; `until` is a share of the budget.
pub(super) fn pack(setting: &Setting<'_>, places: &Places, choices: &[i64], until: f64, control: &mut Control<'_>) -> Packed {
    let reduced = setting.reduced;
    let demand = reduced.demand_at(choices);
    let shares = places.shares(setting, &demand);
    let parts: Vec<Part> = shares.iter().enumerate().map(|(place, share)| places.part(reduced, place, share)).collect();
    let busy = parts.iter().filter(|part| part.reduced.classes() > 0).count();
    let rounds = busy.div_ceil(rayon::current_num_threads()).max(1);
    let budget = control.budget(until, busy, rounds);
    let clock = control.clock();
    let done: Vec<(Solved, u64)> = parts
        .par_iter()
        .map(|part| {
            let begun = clock();
            let since: &(dyn Fn() -> Duration + Sync) = &|| clock().saturating_sub(begun);
            let mut nobody = |_| {};
            let mut control = Control::new(&budget, since, &mut nobody);
            let solved = solve(setting, part, &mut control);
            (solved, control.statistics.work)
        })
        .collect();
    let mut packed = Packed { packing: Packing::empty(reduced, choices.to_vec()), used: Vec::new() };
    for (solved, work) in done {
        control.spend(work);
        solved.nodes.into_iter().for_each(|node| packed.packing.push(reduced, node));
        packed.used.extend(solved.used);
    }
    packed
}

/// What one part gives, in the terms of the whole.
#[derive(Default)]
struct Solved {
    nodes: Vec<Pattern>,
    used: Vec<Pattern>,
}

/// Nodes for one part, and the patterns that its master found.
fn solve(setting: &Setting<'_>, part: &Part, control: &mut Control<'_>) -> Solved {
    let reduced = &part.reduced;
    if reduced.classes() == 0 || reduced.shapes.is_empty() {
        return Solved::default();
    }
    let unit = reduced.shapes[0].cost as f64;
    let scale = setting.unit / unit;
    let of_part = |values: &[f64]| -> Vec<f64> { part.classes.iter().map(|&class| values[class] * scale).collect() };
    let duals = of_part(&setting.solution.duals);
    let bound = duals.iter().zip(&reduced.demand).map(|(pi, &n)| pi * f64::from(n)).sum::<f64>() * 0.5;
    let mut generator = Generator::new(reduced, setting.weights);
    let mut master = Master::new(reduced, setting.scarcity);
    let shape_of: BTreeMap<usize, usize> = reduced.shapes.iter().enumerate().map(|(at, shape)| (shape.origin, at)).collect();
    let inside = |pattern: &Pattern| -> Option<Pattern> {
        let shape = *shape_of.get(&pattern.shape)?;
        let counts = pattern.counts.iter().filter_map(|&(class, n)| {
            let at = part.classes.binary_search(&class).ok()?;
            Some((at, n.min(reduced.demand[at])))
        });
        let mut counts: Vec<(usize, u32)> = counts.collect();
        reduced.make_legal(&mut counts, &duals);
        (!counts.is_empty()).then_some(Pattern { shape, counts })
    };
    master.add(setting.patterns.iter().filter_map(inside));
    let outside = |pattern: &Pattern| Pattern {
        shape: reduced.shapes[pattern.shape].origin,
        counts: pattern.counts.iter().map(|&(class, n)| (part.classes[class], n)).collect(),
    };
    // A class that is worth nothing at the duals still has to be placed.
    let least =
        |class: usize| -> f64 { reduced.request_of(class).iter().zip(setting.scarcity).map(|(&r, s)| r as f64 * s).sum() };
    let values: Vec<f64> = duals.iter().enumerate().map(|(class, pi)| (pi * unit).max(0.5 * least(class))).collect();
    let all: Vec<usize> = (0..reduced.shapes.len()).collect();
    let mut rough: Guide = guide(reduced, values, setting.scarcity.to_vec(), all, Vec::new());
    let mut best = deal(reduced, Vec::new(), &rough);
    control.lower_incumbent(best.objective(reduced), Stage::FirstFit);
    master.add(best.nodes.iter().cloned());
    let start = DualPoint { duals, side_duals: Vec::new(), bound };
    let relaxed = column_generation(&mut master, &mut generator, start, TOLERANCE, GENERATE_UNTIL, control, Place::Part);
    let mut solved = Solved::default();
    if let Some(relaxed) = relaxed {
        for (pattern, &value) in master.patterns.iter().zip(&relaxed.solution.values) {
            if value > 1e-6 {
                solved.used.push(outside(pattern));
            }
        }
        let (duals, side_duals) = (&relaxed.solution.duals, &relaxed.solution.side_duals);
        rough = worth_buying(reduced, &master, &mut generator, duals, side_duals, setting.scarcity, Vec::new());
        // Where everything is one part there is no time for a dive from a master that is far from its end.
        if !(part.alone && relaxed.is_far())
            && let Some(packing) = dive(reduced, &mut master, &mut generator, &rough, DIVE_UNTIL, control)
            && packing.objective(reduced) < best.objective(reduced)
        {
            best = packing;
            control.lower_incumbent(best.objective(reduced), Stage::Diving);
        }
    }
    local_search(reduced, &mut best, &rough, 1.0, u64::MAX, control, &mut |_, _| {});
    solved.nodes = best.nodes.iter().map(outside).collect();
    solved
}
