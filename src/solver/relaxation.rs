//! A smaller program that is easier and no dearer: classes that are the same pods in different places become one.
//!
//! Where a rule says how many pods of a group stand in which zone, the program has a class per zone. Without that distinction its
//! pods may stand in any zone, most shapes are dominated by those of the cheapest zone, and the master has a fraction of the rows.
//! Whatever its bound is bounds the whole program, its duals are a feasible point there, and its patterns, moved to the shapes of
//! every zone, are good first columns (study, second round, 2.6).

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;

use crate::solver::pattern_generation::Pattern;
use crate::solver::presolve::{Reduced, undominated};
use crate::solver::problem::Choice;

/// The smaller program, and what its classes stand for.
pub(super) struct Relaxation {
    pub(super) reduced: Reduced,
    /// Class of the smaller program by class of the whole one.
    pub(super) class_of: Vec<usize>,
    /// Per eligibility set of the whole program, by class of the smaller one: the classes that it stands for there, those that are in
    /// the fewest sets first.
    members: Vec<BTreeMap<usize, Vec<usize>>>,
}

/// Merges the classes of `whole`; `None` where no two are of one family.
pub(super) fn relax(whole: &Reduced) -> Option<Relaxation> {
    let class_of = merged(whole);
    let classes = class_of.iter().max().map_or(0, |last| last + 1);
    if classes == whole.classes() {
        return None;
    }
    let mut first = vec![usize::MAX; classes];
    for (class, &to) in class_of.iter().enumerate().rev() {
        first[to] = class;
    }
    let sum = |amounts: &[u32]| {
        let mut sums = vec![0_u32; classes];
        for (&amount, &to) in amounts.iter().zip(&class_of) {
            sums[to] = sums[to].saturating_add(amount);
        }
        sums
    };
    let mut sets: Vec<FixedBitSet> = Vec::new();
    let mut known: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    let set_of: Vec<usize> = whole
        .eligible
        .iter()
        .map(|list| {
            let members: BTreeSet<usize> = list.iter().map(|&class| class_of[class]).collect();
            *known.entry(members.iter().copied().collect()).or_insert_with(|| {
                let mut bits = FixedBitSet::with_capacity(classes);
                bits.extend(members.iter().copied());
                sets.push(bits);
                sets.len() - 1
            })
        })
        .collect();
    let shapes = whole.shapes.iter().enumerate().map(|(at, shape)| {
        let mut shape = shape.clone();
        shape.eligible = set_of[shape.eligible];
        shape.origin = at;
        shape
    });
    let shapes = undominated(shapes.collect(), &sets);
    let choices = whole.choices.iter().map(|choice| {
        let mut demand: BTreeMap<usize, u32> = BTreeMap::new();
        for &(class, pods) in &choice.demand {
            *demand.entry(class_of[class]).or_default() += pods;
        }
        Choice { demand: demand.into_iter().collect(), ..choice.clone() }
    });
    let reduced = Reduced {
        dimensions: whole.dimensions,
        demand: sum(&whole.demand),
        most_demand: sum(&whole.most_demand),
        // Pods of merged classes that shared a node had their limits each.
        most_per_node: sum(&whole.most_per_node),
        family: (0..classes).collect(),
        request: first.iter().flat_map(|&class| whole.request_of(class).iter().copied()).collect(),
        penalty: first.iter().map(|&class| whole.penalty[class]).collect(),
        shapes,
        eligible: sets.iter().map(|set| set.ones().collect()).collect(),
        eligible_bits: sets,
        limits: whole.limits.clone(),
        has_needs: false,
        node_rules: Vec::new(),
        rules_of: vec![Vec::new(); classes],
        choices: choices.collect(),
        choice_rows: whole.choice_rows.clone(),
        class_origin: first,
        // A linear program needs not know which shapes are kin.
        variants: BTreeMap::new(),
    };
    let sets_of = |class: usize| whole.eligible_bits.iter().filter(|set| set.contains(class)).count();
    let widths: Vec<usize> = (0..whole.classes()).map(sets_of).collect();
    let members = whole.eligible.iter().map(|list| {
        let mut of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        list.iter().for_each(|&class| of.entry(class_of[class]).or_default().push(class));
        of.values_mut().for_each(|classes| classes.sort_by_key(|&class| (widths[class], class)));
        of
    });
    let members = members.collect();
    Some(Relaxation { reduced, class_of, members })
}

/// What classes have in common that may be merged once their families are known: request, penalty, whether nodes limit their pods,
/// and the eligibility sets that their family reaches.
type Likeness<'a> = (&'a [i64], i64, bool, &'a BTreeSet<usize>);

/// Per class the number of its merged class: classes of one family with equal request, penalty and limit, and then those with equal
/// requests that are eligible together.
fn merged(whole: &Reduced) -> Vec<usize> {
    let mut families: BTreeMap<(usize, &[i64], i64, u32), usize> = BTreeMap::new();
    let family: Vec<usize> = (0..whole.classes())
        .map(|class| {
            let key = (whole.family[class], whole.request_of(class), whole.penalty[class], whole.most_per_node[class]);
            let next = families.len();
            *families.entry(key).or_insert(next)
        })
        .collect();
    let mut reach: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); families.len()];
    for (set, list) in whole.eligible.iter().enumerate() {
        list.iter().for_each(|&class| {
            reach[family[class]].insert(set);
        });
    }
    let mut alike: BTreeMap<Likeness<'_>, usize> = BTreeMap::new();
    (0..whole.classes())
        .map(|class| {
            let capped = whole.most_per_node[class] < u32::MAX;
            let key = (whole.request_of(class), whole.penalty[class], capped, &reach[family[class]]);
            let next = alike.len();
            *alike.entry(key).or_insert(next)
        })
        .collect()
}

impl Relaxation {
    /// Values of the merged classes as values of the classes.
    pub(super) fn spread(&self, values: &[f64]) -> Vec<f64> {
        self.class_of.iter().map(|&to| values[to]).collect()
    }

    /// The pattern on the shapes of the whole program: per eligibility set the cheapest shape that holds it, with the pods that have a
    /// class there.
    pub(super) fn moved(&self, whole: &Reduced, pattern: &Pattern) -> Vec<Pattern> {
        let mut made = Vec::new();
        let load = crate::solver::packing::load(&self.reduced, &pattern.counts);
        for (set, members) in self.members.iter().enumerate() {
            // Those that have to stand here come first: a slot of theirs is worth no less.
            let mut counts: Vec<(usize, u32)> = Vec::new();
            for &(merged, count) in &pattern.counts {
                let mut left = count;
                for &class in members.get(&merged).into_iter().flatten() {
                    let here = left.min(whole.most_demand[class]).min(whole.most_per_node[class]);
                    if here > 0 {
                        counts.push((class, here));
                        left -= here;
                    }
                }
            }
            if counts.is_empty() {
                continue;
            }
            let fits = |shape: &usize| {
                let shape = &whole.shapes[*shape];
                shape.eligible == set && load.iter().zip(&shape.capacity).all(|(load, room)| load <= room)
            };
            let Some(shape) = (0..whole.shapes.len()).find(fits) else { continue };
            counts.sort_unstable();
            whole.make_legal(&mut counts, &vec![1.0; whole.classes()]);
            if !counts.is_empty() {
                made.push(Pattern { shape, counts });
            }
        }
        made
    }
}
