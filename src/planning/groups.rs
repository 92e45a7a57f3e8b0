//! Which atomic groups are planned for where there may not be room for all.
//!
//! A program with a choice "all pods of the group or none" is right and its relaxation is weak: a tenth of each of ten groups costs the
//! same as one group and wastes nothing. What its roundings leave in part is taken out whole, group after group. Where NodePools have
//! limits, the groups are therefore chosen here first, the easiest ones as long as all their pods are placed; the program with the
//! choices goes on from there, and the better plan counts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::domain::cluster::ClusterView;
use crate::domain::plan::Plan;
use crate::domain::resources::{ResourceName, Resources};

/// The numbers of groups, of all that there are, that are worth a trial: all of them, then by halves between the most that are known
/// to have room and the fewest that are known not to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bisection {
    groups: usize,
    fits: usize,
    fails: usize,
}

impl Bisection {
    pub(super) fn new(groups: usize) -> Self {
        Self { groups, fits: 0, fails: groups + 1 }
    }

    /// The number to try next.
    pub(super) fn next(&self) -> Option<usize> {
        let untried = self.fails > self.groups;
        let next = if untried { self.groups } else { usize::midpoint(self.fits, self.fails) };
        (next > self.fits).then_some(next)
    }

    pub(super) fn learn(&mut self, number: usize, fits: bool) {
        *(if fits { &mut self.fits } else { &mut self.fails }) = number;
    }
}

/// The atomic groups with pods to place, the easiest first: by their highest priority, then by the share of everything that is asked for
/// that their pods take on average, then by name.
pub(super) fn by_ease(cluster: &ClusterView) -> Vec<String> {
    let mut all = Resources::new();
    cluster.pods.iter().for_each(|pod| all.add(&pod.spec.requests));
    let mut groups: BTreeMap<&String, (i32, f64, f64)> = BTreeMap::new();
    for pod in &cluster.pods {
        let Some(group) = &pod.spec.atomic_group else { continue };
        let share = |(name, amount): (&_, i64)| amount as f64 / all.get(ResourceName::as_str(name)).max(1) as f64;
        let (priority, shares, pods) = groups.entry(group).or_insert((i32::MIN, 0.0, 0.0));
        *priority = pod.spec.priority.max(*priority);
        *shares += pod.spec.requests.iter().map(share).sum::<f64>();
        *pods += 1.0;
    }
    let mut groups: Vec<(&String, (i32, f64, f64))> = groups.into_iter().collect();
    let ease = |(priority, shares, pods): (i32, f64, f64)| (Reverse(priority), shares / pods);
    groups.sort_by(|(_, one), (_, other)| {
        let ((high, share), (other_high, other_share)) = (ease(*one), ease(*other));
        high.cmp(&other_high).then(share.total_cmp(&other_share))
    });
    groups.into_iter().map(|(group, _)| group.clone()).collect()
}

/// The atomic groups of which `plan` leaves pods, with the number of their pods and how many of them it leaves.
fn left(cluster: &ClusterView, plan: &Plan) -> BTreeMap<String, (usize, usize)> {
    let mut groups: BTreeMap<&String, (usize, usize)> = BTreeMap::new();
    for group in cluster.pods.iter().filter_map(|pod| pod.spec.atomic_group.as_ref()) {
        groups.entry(group).or_default().0 += 1;
    }
    for left in &plan.unplaced {
        if let Some(group) = &cluster.pods[left.pod].spec.atomic_group {
            groups.entry(group).or_default().1 += 1;
        }
    }
    groups.into_iter().filter(|(_, (_, left))| *left != 0).map(|(group, of)| (group.clone(), of)).collect()
}

/// The atomic groups of which `plan` places some pods and not all.
pub(super) fn split(cluster: &ClusterView, plan: &Plan) -> BTreeSet<String> {
    left(cluster, plan).into_iter().filter(|(_, (pods, left))| left != pods).map(|(group, _)| group).collect()
}

/// Whether `plan` leaves pods of none of these groups.
pub(super) fn places(cluster: &ClusterView, plan: &Plan, groups: &[String]) -> bool {
    let left = left(cluster, plan);
    groups.iter().all(|group| !left.contains_key(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that are tried where `room` groups have room, and the most that was found.
    fn tried(groups: usize, room: usize) -> (Vec<usize>, usize) {
        let mut search = Bisection::new(groups);
        let mut tried = Vec::new();
        while let Some(number) = search.next() {
            tried.push(number);
            search.learn(number, number <= room);
        }
        (tried, search.fits)
    }

    #[test]
    fn all_are_tried_first_and_the_most_that_fit_are_found() {
        assert_eq!(tried(10, 10), (vec![10], 10));
        assert_eq!(tried(10, 6), (vec![10, 5, 7, 6], 6));
        assert_eq!(tried(1, 0), (vec![1], 0));
        for groups in 0..20 {
            for room in 0..=groups {
                assert_eq!(tried(groups, room).1, room, "{groups} groups");
            }
        }
    }
}
