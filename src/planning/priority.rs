//! Which pods are placed when not all of them can be: as many of the highest priority as there is room for, then of the next.
//!
//! The order is lexicographic, which no single price per pod says within the arithmetic of a linear program. So one price per pod
//! makes a first plan, and where that leaves pods, *rounds* follow, one for each priority `k` of which it leaves any, the highest
//! first. A round minimises, with `N` pods in the tier and costs of nodes scaled to 1 to [`SCALE`]:
//!
//! ```text
//! H u_above  +  P u_k  +  L u_below  +  cost of nodes          L = SCALE + 1,  R = (2 SCALE + 1) N,  P = 20 R,  H = P (N_k + 1)
//! ```
//!
//! `R` is more than everything but the first two terms can be worth in a plan that is not wasteful (a node has at least one pod).
//! What is placed above `k` is known to be the most, so every plan that is lexicographically better has a value of at most
//! `H u_above + P (u_k - 1) + R`: a bound above that proves `u_k`. `H` and the sums stay within exact arithmetic; where that cuts `H`
//! short, a round may return fewer pods above `k`, and its plan is not taken.
//!
//! Where rules tie pods together, a pod that is left is left by a choice that keeps the rules, not by a shortfall of its class.

use std::collections::BTreeMap;

use crate::planning::blocks::Choices;
use crate::solver::problem::{LARGEST_AMOUNT, Problem};

/// What the dearest node costs in a round.
const SCALE: i64 = 100;

/// How many times everything of less weight a pod of the round's priority weighs. More lets a fraction of a pod in the bound count
/// for less; it is the reciprocal of the fraction that is lost.
const WEIGHT: i64 = 20;

/// The most by which the penalty grows from one priority to the next in the first plan: a pod outweighs so many pods of the priority
/// below. More would drown the price of nodes in the LP's rounding.
const PENALTY_GROWTH: i64 = 1_000;

/// How many times the dearest node an unplaced pod costs where rules tie pods to one another: a pod may then drive others to dearer
/// places, and that is no reason to leave it.
const TIED_PENALTY: i64 = 100;

/// How many dearest nodes all penalties of the first plan may sum to and still be exact: the engine is accurate to a millionth of
/// the objective, here to a hundredth of the dearest node.
const MOST_DEAREST: i64 = 10_000;

/// What a program is to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// The cheapest nodes; pods that are left have a price that grows with their priority.
    Cost,
    /// How many pods of this priority can be placed, given the pods above it.
    Pods { priority: i32 },
}

/// What an unplaced pod costs.
pub(super) struct Penalties {
    by_priority: BTreeMap<i32, i64>,
    /// How many times as much where a choice could leave the pod.
    chosen: i64,
}

impl Penalties {
    /// Above the dearest node, so that a pod is left only where a limit leaves no room. Where limits exist and the pods are few, each
    /// outweighs all pods of lower priorities and all nodes together, so that the first plan is already the cheapest of those that place
    /// the most ([`MOST_DEAREST`]). Otherwise the penalty grows with the
    /// priority by the same factor at each step, by [`PENALTY_GROWTH`] if the sum over all `pods` stays below half of
    /// [`LARGEST_AMOUNT`] and by the largest smaller factor that keeps it there otherwise.
    pub(super) fn of_cost(pods: &BTreeMap<i32, i64>, dearest: i64, limited: bool, tied: bool) -> Self {
        if limited {
            let all = pods.values().sum::<i64>().max(1);
            let unit = dearest.saturating_add(1).saturating_mul(if tied { TIED_PENALTY } else { 1 });
            // No plan has more nodes than pods.
            let (by_priority, sum) = exact(pods, unit.max(dearest.saturating_mul(all).saturating_add(1)));
            if sum <= dearest.saturating_mul(MOST_DEAREST) {
                return Self { by_priority, chosen: 1 };
            }
        }
        let ceiling = (LARGEST_AMOUNT / 2 / pods.values().sum::<i64>().max(1)).max(1);
        let base = dearest.saturating_add(1).saturating_mul(if tied { TIED_PENALTY } else { 1 }).min(ceiling);
        let at = |growth: i64| {
            let mut penalty = base;
            let mut sum = 0_i64;
            let mut made = BTreeMap::new();
            for (&priority, &count) in pods {
                made.insert(priority, penalty.min(LARGEST_AMOUNT - 1));
                sum = sum.saturating_add(penalty.saturating_mul(count));
                penalty = penalty.saturating_mul(growth);
            }
            (made, sum)
        };
        let mut growth = if limited { PENALTY_GROWTH } else { 1 };
        while growth > 1 && at(growth).1 >= LARGEST_AMOUNT / 2 {
            growth -= 1;
        }
        Self { by_priority: at(growth).0, chosen: 1 }
    }

    /// The weights of a round.
    pub(super) fn of_pods(pods: &BTreeMap<i32, i64>, priority: i32) -> Self {
        let by_priority = pods.keys().map(|&other| (other, Weights::of(pods, priority).of_priority(other))).collect();
        Self { by_priority, chosen: pods.values().sum::<i64>() + 1 }
    }

    /// For a pod of `priority`.
    pub(super) fn of(&self, priority: i32) -> i64 {
        self.by_priority.get(&priority).copied().unwrap_or(0)
    }

    /// For a pod of `priority` that a choice could have left.
    pub(super) fn of_chosen(&self, priority: i32) -> i64 {
        self.of(priority).saturating_mul(self.chosen).min(LARGEST_AMOUNT - 1)
    }
}

/// Penalties of which each outweighs all pods of lower priorities by `unit`, and their sum over all `pods`.
fn exact(pods: &BTreeMap<i32, i64>, unit: i64) -> (BTreeMap<i32, i64>, i64) {
    let mut sum = 0_i64;
    let mut made = BTreeMap::new();
    for (&priority, &count) in pods {
        let penalty = sum.saturating_add(unit).min(LARGEST_AMOUNT - 1);
        made.insert(priority, penalty);
        sum = sum.saturating_add(penalty.saturating_mul(count));
    }
    (made, sum)
}

/// The numbers of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weights {
    priority: i32,
    above: i64,
    here: i64,
    below: i64,
    rest: i64,
}

impl Weights {
    /// Those of `priority` among `pods`, by their priorities.
    pub(super) fn of(pods: &BTreeMap<i32, i64>, priority: i32) -> Self {
        let all = pods.values().sum::<i64>().max(1);
        let most = (LARGEST_AMOUNT / 2 / all).max(1);
        let rest = (2 * SCALE + 1).saturating_mul(all);
        let here = rest.saturating_mul(WEIGHT).min(most);
        let own = pods.get(&priority).copied().unwrap_or(0);
        Self { priority, above: here.saturating_mul(own + 1).min(most).max(here), here, below: SCALE + 1, rest }
    }

    fn of_priority(&self, priority: i32) -> i64 {
        match priority.cmp(&self.priority) {
            std::cmp::Ordering::Greater => self.above,
            std::cmp::Ordering::Equal => self.here,
            std::cmp::Ordering::Less => self.below,
        }
    }

    /// Whether `bound` proves that no plan that leaves as few pods above leaves fewer than `left` of these have of the priority.
    pub(super) fn prove(&self, left: &BTreeMap<i32, u64>, bound: i64) -> bool {
        let above: u64 = left.range(self.priority + 1..).map(|entry| entry.1).sum();
        let here = left.get(&self.priority).copied().unwrap_or(0);
        let value = i128::from(self.above) * i128::from(above) + i128::from(self.here) * (i128::from(here) - 1);
        here == 0 || i128::from(bound) > value + i128::from(self.rest)
    }

    /// The gap that is small enough for a proof where `left` pods are left.
    pub(super) fn gap(&self, left: &BTreeMap<i32, u64>) -> f64 {
        let weight = |(&priority, &pods): (&i32, &u64)| self.of_priority(priority) as f64 * pods as f64;
        let most = left.iter().map(weight).sum::<f64>() + self.rest as f64;
        0.9 * self.here as f64 / most
    }
}

/// Lets `problem` count pods: nodes cost 1 to [`SCALE`], and choices nothing but for the pods that they leave.
pub(super) fn aim_at_pods(problem: &mut Problem, choices: &Choices, dearest: i64) {
    let leaving = choices.leaving();
    for (choice, made) in problem.choices.iter_mut().enumerate() {
        if leaving.binary_search(&choice).is_err() {
            made.cost = 0;
        }
    }
    for shape in &mut problem.shapes {
        let scaled = i128::from(shape.cost - 1) * i128::from(SCALE - 1) / i128::from(dearest.max(1));
        shape.cost = 1 + i64::try_from(scaled).unwrap_or(SCALE - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_proves_a_count_by_its_bound() {
        let pods = BTreeMap::from([(0, 4), (5, 3), (9, 2)]);
        let weights = Weights::of(&pods, 5);
        let left = BTreeMap::from([(0, 4), (5, 2), (9, 1)]);
        let better = weights.above + weights.here + weights.rest;
        assert!(weights.prove(&left, better + 1));
        assert!(!weights.prove(&left, better));
        assert!(weights.prove(&BTreeMap::from([(5, 0)]), 0));
        // One pod above outweighs all of the priority, one of it all below and every node.
        assert!(weights.above > weights.here * 3);
        assert!(weights.here > 9 * SCALE + 4 * weights.below);
    }

    #[test]
    fn weights_of_many_pods_stay_exact() {
        let pods = BTreeMap::from([(0, 50_000), (1, 50_000)]);
        let weights = Weights::of(&pods, 0);
        assert!(weights.above * 100_000 < LARGEST_AMOUNT);
        assert!(weights.here > weights.rest && weights.above >= weights.here);
    }
}
