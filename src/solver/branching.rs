//! Branch and price on node counts: a better bound where a few dear nodes carry the cost.
//!
//! In the linear relaxation the number of nodes of a set S of shapes may be fractional; in a plan it is whole. A branch adds the side
//! row `sum_{s in S} x_s <= floor` or `>= ceil` (the latter with amounts of -1), and pattern generation is unchanged: the row's dual
//! only shifts what a pattern of those shapes may cost. Sets are "all shapes from a cost upwards" first, then single shapes; a base and
//! its variants are in a set together, since only their sum is whole. A branch
//! whose counts are all whole names a combination of nodes: its best packing is found, or it is excluded, or (too large to decide) it
//! stays open, and the bound never passes it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::solver::column_generation::{Ended, Master, Place, Relaxed, column_generation};
use crate::solver::control::Control;
use crate::solver::diving::{Guide, dive};
use crate::solver::dual_bound::DualPoint;
use crate::solver::engine::round_up;
use crate::solver::packing::Packing;
use crate::solver::pattern_generation::{Generator, Pattern};
use crate::solver::presolve::{Reduced, kin};
use crate::solver::solution::Stage;
use crate::solver::whole_counts::{Verdict, packs};

/// A count is fractional when it is this far from a whole number.
const FRACTIONAL: f64 = 1e-4;
/// One branch in so many is dived from.
const DIVE_EVERY: u64 = 4;

/// One side of a branch: `sign * (number of nodes of the shapes) <= sign * limit`.
#[derive(Clone, Debug)]
struct Cut {
    shapes: Vec<usize>,
    at_most: bool,
    count: i64,
}

#[derive(Debug)]
struct Branch {
    cuts: Vec<Cut>,
    bound: i64,
}

/// The open branches; survives between calls.
pub(super) struct Tree {
    /// Bound, number, branch: the least bound first, the newest among equals.
    open: BinaryHeap<Reverse<(i64, Reverse<u64>)>>,
    branches: Vec<Option<Branch>>,
    /// Least bound among the branches that cannot be divided.
    closed_at: i64,
}

impl Tree {
    /// A tree of the root alone, whose bound is `bound` micro-dollars.
    pub(super) fn new(bound: i64) -> Self {
        let mut tree = Self { open: BinaryHeap::new(), branches: Vec::new(), closed_at: i64::MAX };
        tree.push(Branch { cuts: Vec::new(), bound });
        tree
    }

    fn push(&mut self, branch: Branch) {
        let number = self.branches.len() as u64;
        self.open.push(Reverse((branch.bound, Reverse(number))));
        self.branches.push(Some(branch));
    }

    /// Divides a branch so that every combination of nodes but this one stays: the first shape whose count differs has fewer or
    /// more nodes, the shapes before it as many.
    fn exclude(&mut self, branch: &Branch, bound: i64, nodes: &[usize], families: &Families) {
        let mut used: Vec<(usize, i64)> = Vec::new();
        for &shape in nodes {
            let family = families.of[shape];
            match used.iter_mut().find(|(known, _)| *known == family) {
                Some((_, count)) => *count += 1,
                None => used.push((family, 1)),
            }
        }
        let mut groups: Vec<(Vec<usize>, i64)> =
            used.iter().map(|&(family, count)| (families.members[family].clone(), count)).collect();
        let others = (0..families.of.len()).filter(|&shape| used.iter().all(|entry| entry.0 != families.of[shape]));
        groups.push((others.collect(), 0));
        let mut fixed = branch.cuts.clone();
        for (shapes, count) in groups {
            if shapes.is_empty() {
                continue;
            }
            let with = |at_most: bool, count: i64| {
                let mut cuts = fixed.clone();
                cuts.push(Cut { shapes: shapes.clone(), at_most, count });
                Branch { cuts, bound }
            };
            let (fewer, more) = ((count > 0).then(|| with(true, count - 1)), with(false, count + 1));
            fixed.push(Cut { shapes: shapes.clone(), at_most: true, count });
            fixed.push(Cut { shapes: shapes.clone(), at_most: false, count });
            self.push(more);
            if let Some(fewer) = fewer {
                self.push(fewer);
            }
        }
    }

    /// No plan costs less than this.
    fn bound(&self) -> i64 {
        self.open.peek().map_or(i64::MAX, |Reverse((bound, _))| *bound).min(self.closed_at)
    }

    /// Whether the branch of least bound can be divided further.
    pub(super) fn can_go_on(&self) -> bool {
        self.open.peek().is_some_and(|Reverse((bound, _))| *bound < self.closed_at)
    }
}

/// Bases with their variants: what is whole together.
struct Families {
    /// The shapes of each, the base last; in order of the bases.
    members: Vec<Vec<usize>>,
    /// Per shape, its family.
    of: Vec<usize>,
}

impl Families {
    fn new(reduced: &Reduced) -> Self {
        let members = kin(&reduced.shapes);
        let mut of = vec![0; reduced.shapes.len()];
        for (family, shapes) in members.iter().enumerate() {
            shapes.iter().for_each(|&shape| of[shape] = family);
        }
        Self { members, of }
    }

    /// The base of a family; what is left of it where presolve dropped that.
    fn base(&self, family: usize) -> Option<usize> {
        self.members[family].last().copied()
    }

    /// How many nodes of each family there are in a relaxation.
    fn nodes(&self, master: &Master<'_>, relaxed: &Relaxed) -> Vec<f64> {
        let mut nodes = vec![0.0; self.members.len()];
        for (pattern, value) in master.patterns.iter().zip(&relaxed.solution.values) {
            nodes[self.of[pattern.shape]] += value;
        }
        nodes
    }
}

/// What branching works with.
pub(super) struct Setting<'a> {
    pub(super) reduced: &'a Reduced,
    pub(super) scarcity: &'a [f64],
    /// Weights that choose the dimensions of the dense tables.
    pub(super) weights: &'a [f64],
    pub(super) guide: &'a Guide,
    pub(super) tolerance: f64,
}

/// Divides branches until `until` of the budget is used; `found` is offered every packing of a dive, `patterns` grows.
pub(super) fn branch(
    setting: &Setting<'_>,
    tree: &mut Tree,
    patterns: &mut Vec<Pattern>,
    root: &DualPoint,
    until: f64,
    control: &mut Control<'_>,
    found: &mut dyn FnMut(Packing, &mut Control<'_>),
) {
    let mut count = tree.branches.len() as u64;
    let families = Families::new(setting.reduced);
    while tree.can_go_on() && control.used() < until && control.stop().is_none() {
        let Some(Reverse((_, Reverse(number)))) = tree.open.pop() else { break };
        let Some(branch) = tree.branches[number as usize].take() else { continue };
        if branch.bound >= control.incumbent() {
            continue;
        }
        count += 1;
        let reduced = with_cuts(setting.reduced, &branch.cuts);
        let mut generator = Generator::new(&reduced, setting.weights);
        let mut master = Master::new(&reduced, setting.scarcity);
        master.add(patterns.iter().cloned());
        // With an empty pattern of every shape that a cut asks for, a master without a solution proves the cuts contradictory.
        let asked = branch.cuts.iter().filter(|cut| !cut.at_most).flat_map(|cut| &cut.shapes);
        master.add(asked.map(|&shape| Pattern { shape, counts: Vec::new() }));
        let mut side_duals = root.side_duals.clone();
        side_duals.resize(reduced.limits.len(), 0.0);
        let start = DualPoint { duals: root.duals.clone(), side_duals, bound: branch.bound as f64 / master.unit };
        let relaxed = column_generation(&mut master, &mut generator, start, setting.tolerance, until, control, Place::Branch);
        let Some(relaxed) = relaxed else {
            if !master.is_infeasible() {
                // The branch keeps the bound of its parent.
                tree.closed_at = tree.closed_at.min(branch.bound);
            }
            continue;
        };
        let bound = branch.bound.max(round_up(relaxed.best.bound * master.unit));
        if relaxed.ended == Ended::Budget && bound < control.incumbent() {
            tree.push(Branch { bound, ..branch });
            break;
        }
        patterns.clear();
        patterns.extend(master.patterns.iter().filter(|pattern| !pattern.counts.is_empty()).cloned());
        if bound < control.incumbent() {
            match fractional_set(&reduced, &families, &families.nodes(&master, &relaxed)) {
                Some((shapes, value)) => {
                    for (at_most, count) in [(true, value.floor()), (false, value.ceil())] {
                        let mut cuts = branch.cuts.clone();
                        cuts.push(Cut { shapes: shapes.clone(), at_most, count: count as i64 });
                        tree.push(Branch { cuts, bound });
                    }
                }
                None => {
                    let nodes = whole_nodes(&families, &families.nodes(&master, &relaxed));
                    match packs(setting.reduced, &nodes, control) {
                        Verdict::Best(packing) => {
                            found(packing, control);
                            tree.exclude(&branch, bound, &nodes, &families);
                        }
                        Verdict::Worse => tree.exclude(&branch, bound, &nodes, &families),
                        Verdict::Open => tree.closed_at = tree.closed_at.min(bound),
                    }
                }
            }
            if count.is_multiple_of(DIVE_EVERY)
                && let Some(mut packing) = dive(&reduced, &mut master, &mut generator, setting.guide, until, control)
            {
                packing.limits = setting.reduced.limits.clone();
                for &(row, amount) in packing.nodes.iter().flat_map(|node| &setting.reduced.shapes[node.shape].usage) {
                    packing.limits[row] -= amount;
                }
                found(packing, control);
            }
        }
        control.raise_bound(tree.bound(), Stage::Branching);
    }
    control.raise_bound(tree.bound(), Stage::Branching);
}

/// One base per node of a relaxation whose counts, by family, are whole.
fn whole_nodes(families: &Families, nodes: &[f64]) -> Vec<usize> {
    let bases = (0..nodes.len()).filter_map(|family| Some((families.base(family)?, nodes[family].round() as usize)));
    bases.flat_map(|(base, times)| std::iter::repeat_n(base, times)).collect()
}

/// The program with the cuts as further side rows.
fn with_cuts(reduced: &Reduced, cuts: &[Cut]) -> Reduced {
    let mut cut = reduced.clone();
    for Cut { shapes, at_most, count } in cuts {
        let row = cut.limits.len();
        let sign = if *at_most { 1 } else { -1 };
        cut.limits.push(sign * count);
        for &shape in shapes {
            cut.shapes[shape].usage.push((row, sign));
        }
    }
    cut
}

/// The set of shapes whose number of nodes, of each family so many, is fractional and costs most to make whole, with that number.
fn fractional_set(reduced: &Reduced, families: &Families, nodes: &[f64]) -> Option<(Vec<usize>, f64)> {
    let dearer = |family: usize| (family..nodes.len()).collect::<Vec<usize>>();
    let of_sets = (0..nodes.len()).filter(|&family| nodes[family] > FRACTIONAL).map(|family| (family, dearer(family)));
    let of_single = (0..nodes.len()).map(|family| (family, vec![family]));
    let worst = |sets: &mut dyn Iterator<Item = (usize, Vec<usize>)>| {
        let mut best: Option<(f64, Vec<usize>, f64)> = None;
        for (family, set) in sets {
            let value: f64 = set.iter().map(|&member| nodes[member]).sum();
            let off = (value - value.round()).abs();
            let cost = families.base(family).map_or(0, |base| reduced.shapes[base].cost);
            let score = off * cost as f64;
            if off > FRACTIONAL && best.as_ref().is_none_or(|(most, _, _)| score > *most) {
                best = Some((score, set, value));
            }
        }
        best.map(|(_, set, value)| (set.iter().flat_map(|&family| families.members[family].iter().copied()).collect(), value))
    };
    worst(&mut of_sets.into_iter()).or_else(|| worst(&mut of_single.into_iter()))
}
