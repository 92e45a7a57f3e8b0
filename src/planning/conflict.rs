//! Which constraints conflict, and which would have to go: two smallest sets, each proven by a question that is asked again.
//!
//! Constraints are numbers below `items`. A *question* is monotone: what holds for a set holds for every larger one. Two are asked
//! about a pod that is left:
//!
//! * a *core* is a set of constraints that leaves no place although all the others are dropped; without any one of a smallest core
//!   there is a place (an irreducible inconsistent subsystem: Chinneck and Dravnieks 1991, *ORSA Journal on Computing* 3);
//! * a *correction* is a set of constraints without which there is a place although all the others stand.
//!
//! Every core meets every correction and the reverse (Reiter 1987, *Artificial Intelligence* 32), so a set of least size that meets all
//! that is known of the other sort is at most as large as the answer. It is the answer if the question says yes; if not, growing it as
//! far as the question still says no leaves a new set that it has to meet. This is smallest-core extraction by implicit hitting sets
//! (Ignatiev, Previti, Liffiton and Marques-Silva 2015, CP). Where the search would take too long the answer is found by leaving out
//! one constraint after the other, which is irreducible but need not be the smallest (the deletion filter; QuickXplain of Junker 2004
//! answers the same with fewer questions where cores are small, but questions are cheap here).

use std::collections::BTreeSet;

use fixedbitset::FixedBitSet;

use crate::planning::hitting_set::smallest_hitting_set;

/// Rounds of question and answer before the search settles for an irreducible set; what is known at the start is nearly always
/// everything, so that one round does.
const MOST_ROUNDS: usize = 256;

/// The smallest set of items for which `holds` says yes, ascending; `None` when it says no even for all of them.
///
/// `holds` must be monotone. `known` are sets of which every set that holds has a member; more of them make it faster.
pub(super) fn smallest(
    items: usize,
    mut known: BTreeSet<Vec<usize>>,
    holds: &mut dyn FnMut(&FixedBitSet) -> bool,
) -> Option<Vec<usize>> {
    let everything = crate::planning::market::all(items);
    if !holds(&everything) {
        return None;
    }
    for _ in 0..MOST_ROUNDS {
        let chosen = smallest_hitting_set(&known)?;
        let mut set = FixedBitSet::with_capacity(items);
        set.extend(chosen.iter().copied());
        if holds(&set) {
            return Some(chosen);
        }
        for item in 0..items {
            if !set.contains(item) {
                set.insert(item);
                if holds(&set) {
                    set.set(item, false);
                }
            }
        }
        known.insert((0..items).filter(|&item| !set.contains(item)).collect());
    }
    Some(irreducible(everything, holds))
}

/// All items, less those that can be left out one after the other.
fn irreducible(mut set: FixedBitSet, holds: &mut dyn FnMut(&FixedBitSet) -> bool) -> Vec<usize> {
    for item in (0..set.len()).rev() {
        set.set(item, false);
        if !holds(&set) {
            set.insert(item);
        }
    }
    set.ones().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ITEMS: usize = 6;

    /// Places by the items that rule them out, as bits; a place takes the pod when all of them are dropped, and places of one group
    /// only when as many of them are open as the group wants.
    fn possible(places: &[(usize, usize)], wanted: &[usize], dropped: usize) -> bool {
        let open = |group: usize| places.iter().filter(|(of, bits)| *of == group && bits & !dropped == 0).count();
        wanted.iter().enumerate().any(|(group, &wanted)| open(group) >= wanted)
    }

    fn bits(set: &FixedBitSet) -> usize {
        set.ones().map(|item| 1 << item).sum()
    }

    fn least(holds: &dyn Fn(usize) -> bool) -> Option<usize> {
        (0_usize..1 << ITEMS).filter(|&set| holds(set)).map(|set| set.count_ones() as usize).min()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        /// Brute force over all sets of items agrees on the sizes, with and without a head start.
        #[test]
        fn brute_force_agrees(
            places in proptest::collection::vec((0_usize..3, 0_usize..1 << ITEMS), 0..9),
            wanted in proptest::collection::vec(1_usize..3, 3),
        ) {
            let all = (1 << ITEMS) - 1;
            let core = |kept: usize| !possible(&places, &wanted, all & !kept);
            let correction = |dropped: usize| possible(&places, &wanted, dropped);
            let seeds: BTreeSet<Vec<usize>> = places
                .iter()
                .filter(|(group, _)| wanted[*group] == 1)
                .map(|(_, set)| (0..ITEMS).filter(|item| set >> item & 1 == 1).collect())
                .collect();
            for known in [BTreeSet::new(), seeds] {
                let found = if known.contains(&Vec::new()) {
                    None
                } else {
                    smallest(ITEMS, known, &mut |set| core(bits(set)))
                };
                prop_assert_eq!(found.map(|found| found.len()), least(&core));
            }
            let found = smallest(ITEMS, BTreeSet::new(), &mut |set| correction(bits(set)));
            prop_assert_eq!(found.map(|found| found.len()), least(&correction));
        }

        #[test]
        fn the_deletion_filter_leaves_nothing_to_leave_out(places in proptest::collection::vec(1_usize..1 << ITEMS, 1..9)) {
            let places: Vec<(usize, usize)> = places.into_iter().map(|bits| (0, bits)).collect();
            let all = (1_usize << ITEMS) - 1;
            let core = |kept: usize| !possible(&places, &[1], all & !kept);
            let found = irreducible(crate::planning::market::all(ITEMS), &mut |set| core(bits(set)));
            let kept: usize = found.iter().map(|item| 1 << item).sum();
            prop_assert!(core(kept));
            for item in found {
                prop_assert!(!core(kept & !(1 << item)));
            }
        }
    }
}
