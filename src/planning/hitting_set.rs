//! The smallest set that meets every one of a family of sets.
//!
//! Every node that a pod could have had is ruled out by some of the pod's constraints; the smallest set of constraints with at
//! least one for every node is the shortest true answer to "why not". The problem is NP-hard in general, but here sets are few
//! and small: sizes are tried in turn, branching on the smallest set that is not met yet.

use std::collections::BTreeSet;

/// Branches before the search gives up on the optimum; a few milliseconds.
const MOST_BRANCHES: usize = 100_000;

/// A smallest set that meets every set of `family`, ascending. Of several, the one that the search meets first: lower numbers
/// are preferred. `None` when the family holds an empty set, which nothing meets.
///
/// Beyond a hundred thousand branches the answer is one from which nothing can be left out, which need not be the smallest.
pub(super) fn smallest_hitting_set(family: &BTreeSet<Vec<usize>>) -> Option<Vec<usize>> {
    let minimal: Vec<&Vec<usize>> = family
        .iter()
        .filter(|set| !family.iter().any(|other| other.len() < set.len() && other.iter().all(|member| set.contains(member))))
        .collect();
    if minimal.iter().any(|set| set.is_empty()) {
        return None;
    }
    let mut branches = 0;
    for size in 0..=minimal.len() {
        let mut chosen = Vec::new();
        if search(&minimal, size, &mut chosen, &mut branches) {
            chosen.sort_unstable();
            return Some(chosen);
        }
        if branches > MOST_BRANCHES {
            break;
        }
    }
    Some(irredundant(&minimal))
}

fn search(sets: &[&Vec<usize>], size: usize, chosen: &mut Vec<usize>, branches: &mut usize) -> bool {
    let unmet = sets.iter().filter(|set| !set.iter().any(|member| chosen.contains(member)));
    let Some(smallest) = unmet.min_by_key(|set| set.len()) else {
        return true;
    };
    if chosen.len() == size {
        return false;
    }
    for &member in *smallest {
        *branches += 1;
        if *branches > MOST_BRANCHES {
            return false;
        }
        chosen.push(member);
        if search(sets, size, chosen, branches) {
            return true;
        }
        chosen.pop();
    }
    false
}

/// All members, less those that can be left out one after the other.
fn irredundant(sets: &[&Vec<usize>]) -> Vec<usize> {
    let mut kept: BTreeSet<usize> = sets.iter().flat_map(|set| set.iter().copied()).collect();
    for member in kept.clone().into_iter().rev() {
        kept.remove(&member);
        if sets.iter().any(|set| !set.iter().any(|other| kept.contains(other))) {
            kept.insert(member);
        }
    }
    kept.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(family: &[&[usize]], expected: Option<&[usize]>) {
        let family: BTreeSet<Vec<usize>> = family.iter().map(|set| set.to_vec()).collect();
        assert_eq!(smallest_hitting_set(&family).as_deref(), expected, "{family:?}");
    }

    #[test]
    fn the_smallest_set_is_found() {
        check(&[], Some(&[]));
        check(&[&[]], None);
        check(&[&[1], &[2]], Some(&[1, 2]));
        check(&[&[1, 2], &[2, 3]], Some(&[2]));
        check(&[&[1], &[1, 2], &[2, 3]], Some(&[1, 2]));
        // Greedy would take 0, which meets most sets, and end with three.
        check(&[&[0, 1], &[0, 2], &[1, 3], &[2, 3], &[1, 2]], Some(&[1, 2]));
    }

    #[test]
    fn brute_force_agrees_on_the_size() {
        // All families of three sets out of the subsets of four members.
        for a in 1_usize..16 {
            for b in 1..16 {
                for c in 1..16 {
                    let set = |bits: usize| (0..4).filter(|member| bits >> member & 1 == 1).collect::<Vec<usize>>();
                    let family = BTreeSet::from([set(a), set(b), set(c)]);
                    let smallest =
                        (0_usize..16).filter(|bits| [a, b, c].iter().all(|other| other & bits != 0)).map(usize::count_ones);
                    let found = smallest_hitting_set(&family).map(|found| found.len());
                    assert_eq!(found, smallest.min().map(|size| size as usize), "{family:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_too_large_to_search_is_still_irredundant() {
        let sets: Vec<Vec<usize>> = (0..12).map(|n| vec![n, n + 1, n + 20]).collect();
        let found = irredundant(&sets.iter().collect::<Vec<_>>());
        for left_out in &found {
            let met = |set: &Vec<usize>| set.iter().any(|member| member != left_out && found.contains(member));
            assert!(!sets.iter().all(met), "{left_out} can be left out of {found:?}");
        }
    }
}
