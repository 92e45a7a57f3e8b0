//! Large-neighbourhood search on a packing: take a few nodes out, pack their pods anew within what the nodes cost, keep the better.

use rand::SeedableRng;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

use crate::solver::control::Control;
use crate::solver::diving::Guide;
use crate::solver::packing::{Order, Packing};
use crate::solver::pattern_generation::Pattern;
use crate::solver::presolve::Reduced;

/// Starting temperature of the annealing, as a share of a node's average cost; it falls to zero with the budget.
const HEAT: f64 = 0.01;
/// Looks at the clock once in so many moves.
const MOVES_PER_LOOK: u32 = 16;

/// Improves `packing` until `until` of the budget is used or `moves` moves brought nothing; reports each improvement.
pub(super) fn local_search(
    reduced: &Reduced,
    packing: &mut Packing,
    guide: &Guide,
    until: f64,
    moves: u64,
    control: &mut Control<'_>,
    improved: &mut dyn FnMut(&Packing, &mut Control<'_>),
) {
    let mut rng = ChaCha8Rng::seed_from_u64(control.seed() ^ 0x4c4e_5300);
    let mut idle = 0;
    let mut current = packing.objective_of_whole(reduced);
    let mut best = packing.clone();
    let mut least = current;
    let begun = control.used();
    let average = current as f64 / packing.nodes.len().max(1) as f64;
    let mut temperature = HEAT * average;
    let mut move_number: u32 = 0;
    while packing.nodes.len() >= 2 && idle < moves {
        move_number = move_number.wrapping_add(1);
        if move_number.is_multiple_of(MOVES_PER_LOOK) {
            let used = control.used();
            if used >= until || control.stop().is_some() {
                break;
            }
            let left = 1.0 - (used - begun) / (until - begun);
            temperature = HEAT * average * left * left;
        }
        let size = rng.random_range(2..=5_usize.min(packing.nodes.len()));
        let mut removed: Vec<Pattern> = Vec::with_capacity(size);
        for _ in 0..size {
            let at = pick(reduced, packing, guide, &mut rng);
            removed.push(packing.remove(reduced, at));
        }
        let before: i64 = removed.iter().map(|node| reduced.shapes[node.shape].cost).sum();
        let pods: Vec<u32> = packing.unplaced.clone();
        let kept = packing.nodes.len();
        let values = noisy(&guide.values, &pods, &mut rng);
        let order = noisy_order(guide, &pods, &mut rng);
        let slack = (-temperature * rng.random_range(1e-9_f64..1.0).ln()) as i64;
        packing.complete(reduced, &values, &[order], &guide.candidates, &guide.costs, before + slack + 1);
        for at in kept..packing.nodes.len() {
            packing.right_size_at(reduced, at);
        }
        let after: i64 = packing.nodes[kept..].iter().map(|node| reduced.shapes[node.shape].cost).sum::<i64>();
        let was_unplaced: u64 = removed.iter().flat_map(|n| &n.counts).map(|c| u64::from(c.1)).sum();
        let present = was_unplaced.min(reduced.classes() as u64);
        control.spend(present * guide.candidates.len() as u64 / 2 + reduced.classes() as u64 / 8 + 50);
        let more_unplaced = {
            let now: i64 = packing.unplaced.iter().zip(&reduced.penalty).map(|(&n, p)| i64::from(n) * p).sum();
            let then: i64 = pods.iter().zip(&reduced.penalty).map(|(&n, p)| i64::from(n) * p).sum::<i64>()
                - removed.iter().flat_map(|n| &n.counts).map(|&(c, n)| i64::from(n) * reduced.penalty[c]).sum::<i64>();
            now - then
        };
        let change = after + more_unplaced - before;
        idle += 1;
        if change <= slack {
            current += change;
            debug_assert_eq!(current, packing.objective_of_whole(reduced), "the running objective is exact");
            if current < least {
                least = current;
                idle = 0;
                best.clone_from(packing);
                improved(packing, control);
            }
        } else {
            while packing.nodes.len() > kept {
                let last = packing.nodes.len() - 1;
                packing.remove(reduced, last);
            }
            for node in removed {
                packing.push(reduced, node);
            }
        }
    }
    *packing = best;
}

/// A node to take out: mostly one that costs more than its pods are worth, sometimes any.
fn pick(reduced: &Reduced, packing: &Packing, guide: &Guide, rng: &mut impl Rng) -> usize {
    let any = rng.random_range(0..packing.nodes.len());
    if rng.random_range(0..3) == 0 {
        return any;
    }
    let waste = |at: usize| -> f64 {
        let node = &packing.nodes[at];
        let value: f64 = node.counts.iter().map(|&(class, n)| guide.values[class] * f64::from(n)).sum();
        reduced.shapes[node.shape].cost as f64 - value
    };
    (0..3).map(|_| rng.random_range(0..packing.nodes.len())).fold(any, |best, at| if waste(at) > waste(best) { at } else { best })
}

fn noisy(values: &[f64], pods: &[u32], rng: &mut impl Rng) -> Vec<f64> {
    let noise = rng.random_range(0.0..0.3);
    let mut noisy = values.to_vec();
    for (value, &n) in noisy.iter_mut().zip(pods) {
        if n > 0 {
            *value *= 1.0 + noise * (rng.random_range(0.0..2.0) - 1.0);
        }
    }
    noisy
}

fn noisy_order(guide: &Guide, pods: &[u32], rng: &mut impl Rng) -> Order {
    let base = &guide.orders[rng.random_range(0..guide.orders.len())].0;
    let present: Vec<usize> = base.iter().copied().filter(|&class| pods[class] > 0).collect();
    let noise = rng.random_range(0.0..0.5) * present.len() as f64;
    let mut keyed: Vec<(f64, usize)> =
        present.into_iter().enumerate().map(|(rank, class)| (rank as f64 + noise * rng.random_range(0.0..1.0), class)).collect();
    keyed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    Order(keyed.into_iter().map(|(_, class)| class).collect())
}
