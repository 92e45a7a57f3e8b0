//! One knapsack with a few dimensions: the best pattern of a shape at given duals, and an upper bound on its value.
//!
//! ```text
//! max sum_c pi_c a_c   s.t.  sum_c r_cd a_c <= b_d  for each dimension d,   0 <= a_c <= u_c integer
//! ```
//! Three means, from cheap to exact:
//! * the value of the Lagrangian `y b + sum_c u_c max(0, pi_c - y r_c)`, an upper bound for every `y >= 0`;
//! * the linear relaxation, by a dual simplex method with bound flipping (its `y` makes that bound as small as it gets);
//! * a dynamic program over deviations from the linear optimum: a unit of class c away from its bound costs
//!   `|pi_c - y r_c|`, unused room costs `y` per unit, so only states whose loss is below the gap between the bound and the best
//!   pattern matter. With at most `width` states a layer it is a beam search that still gives a bound.

use rustc_hash::FxHashMap;

/// Dimensions that the deviation search handles; problems with more keep the linear bound.
pub(super) const MAX_DIMENSIONS: usize = 8;

/// Items of a knapsack in structure-of-arrays form.
#[derive(Clone, Debug, Default)]
pub(super) struct Items {
    /// Class of each item.
    pub(super) class: Vec<usize>,
    /// Value of one unit, above 0.
    pub(super) value: Vec<f64>,
    /// Largest count, at least 1.
    pub(super) most: Vec<u32>,
    /// `weight[d][i]`.
    pub(super) weight: Vec<Vec<f64>>,
    /// Per item the clique, of which a pattern has one unit at most, all in all; empty where there are none.
    pub(super) clique: Vec<Option<usize>>,
}

impl Items {
    pub(super) fn len(&self) -> usize {
        self.class.len()
    }
}

/// `y b + sum_i u_i max(0, value_i - y w_i)`.
pub(super) fn lagrangian(items: &Items, room: &[f64], y: &[f64]) -> f64 {
    let mut bound: f64 = y.iter().zip(room).map(|(price, left)| price * left).sum();
    for i in 0..items.len() {
        let cost: f64 = items.weight.iter().zip(y).map(|(weight, price)| weight[i] * price).sum();
        let gain = items.value[i] - cost;
        if gain > 0.0 {
            bound += gain * f64::from(items.most[i]);
        }
    }
    bound
}

/// The linear relaxation's optimum.
#[derive(Clone, Debug)]
pub(super) struct LinearOptimum {
    /// Upper bound on the value.
    pub(super) bound: f64,
    /// Price of each dimension, at least 0.
    pub(super) y: Vec<f64>,
    /// Count of each item.
    pub(super) counts: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Lower,
    Upper,
    Basic(usize),
}

/// Solves the linear relaxation; `room` is at least 0 everywhere.
#[expect(clippy::too_many_lines, reason = "one simplex loop reads better whole")]
pub(super) fn linear_optimum(items: &Items, room: &[f64]) -> LinearOptimum {
    const TOLERANCE: f64 = 1e-9;
    let (n, m) = (items.len(), room.len());
    let scale: Vec<f64> = room.iter().map(|&b| if b > 0.0 { 1.0 / b } else { 1.0 }).collect();
    let entry = |d: usize, j: usize| {
        if j < n { items.weight[d][j] * scale[d] } else { f64::from(u8::from(j - n == d)) }
    };
    let mut place = vec![Place::Upper; n];
    place.extend((0..m).map(Place::Basic));
    let mut basis: Vec<usize> = (n..n + m).collect();
    let mut inverse = vec![0.0; m * m];
    let mut y = vec![0.0; m];
    let mut left: Vec<f64> = (0..m).map(|d| room[d] * scale[d]).collect();
    for d in 0..m {
        inverse[d * m + d] = 1.0;
        left[d] -= (0..n).map(|j| items.weight[d][j] * scale[d] * f64::from(items.most[j])).sum::<f64>();
    }
    let range = |j: usize| if j < n { f64::from(items.most[j]) } else { f64::INFINITY };
    let mut breakpoints: Vec<(f64, usize, f64)> = Vec::new();
    for _ in 0..(20 * (n + m)) {
        let basic: Vec<f64> = (0..m).map(|i| (0..m).map(|d| inverse[i * m + d] * left[d]).sum()).collect();
        let mut worst = (TOLERANCE, usize::MAX, 1.0);
        for (i, &value) in basic.iter().enumerate() {
            let above = value - range(basis[i]);
            if -value > worst.0 {
                worst = (-value, i, 1.0);
            }
            if above > worst.0 {
                worst = (above, i, -1.0);
            }
        }
        let (mut slope, row, sign) = worst;
        if row == usize::MAX {
            break;
        }
        let rho = &inverse[row * m..(row + 1) * m];
        breakpoints.clear();
        for (j, &at) in place.iter().enumerate() {
            if let Place::Basic(_) = at {
                continue;
            }
            let alpha: f64 = if j < n { (0..m).map(|d| rho[d] * entry(d, j)).sum() } else { rho[j - n] };
            let directed = sign * alpha;
            if (at == Place::Lower && directed < -TOLERANCE) || (at == Place::Upper && directed > TOLERANCE) {
                let cost: f64 = if j < n { (0..m).map(|d| y[d] * entry(d, j)).sum() } else { y[j - n] };
                let reduced = if j < n { items.value[j] - cost } else { -cost };
                breakpoints.push(((reduced / directed).max(0.0), j, alpha));
            }
        }
        breakpoints.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut entering = None;
        for &(step, j, alpha) in &breakpoints {
            slope -= alpha.abs() * range(j);
            if slope <= 0.0 {
                entering = Some((step, j));
                break;
            }
            // Passing the breakpoint: the item flips to its other bound.
            let (to, delta) = if place[j] == Place::Lower { (Place::Upper, -1.0) } else { (Place::Lower, 1.0) };
            place[j] = to;
            for (d, l) in left.iter_mut().enumerate() {
                *l += delta * entry(d, j) * range(j);
            }
        }
        let Some((step, j)) = entering else { break };
        for d in 0..m {
            y[d] += sign * step * inverse[row * m + d];
        }
        let column: Vec<f64> = (0..m).map(|i| (0..m).map(|d| inverse[i * m + d] * entry(d, j)).sum()).collect();
        if place[j] == Place::Upper {
            for (d, l) in left.iter_mut().enumerate() {
                *l += entry(d, j) * range(j);
            }
        }
        let leaving = basis[row];
        place[leaving] = if sign > 0.0 { Place::Lower } else { Place::Upper };
        if sign < 0.0 {
            for (d, l) in left.iter_mut().enumerate() {
                *l -= entry(d, leaving) * range(leaving);
            }
        }
        basis[row] = j;
        place[j] = Place::Basic(row);
        for d in 0..m {
            inverse[row * m + d] /= column[row];
        }
        for i in 0..m {
            if i != row && column[i] != 0.0 {
                for d in 0..m {
                    inverse[i * m + d] -= column[i] * inverse[row * m + d];
                }
            }
        }
    }
    let mut counts = vec![0.0; n];
    for (j, at) in place.iter().take(n).enumerate() {
        counts[j] = match at {
            Place::Lower => 0.0,
            Place::Upper => f64::from(items.most[j]),
            Place::Basic(i) => (0..m).map(|d| inverse[i * m + d] * left[d]).sum::<f64>().clamp(0.0, f64::from(items.most[j])),
        };
    }
    let y: Vec<f64> = y.iter().zip(&scale).map(|(price, s)| price.max(0.0) * s).collect();
    LinearOptimum { bound: lagrangian(items, room, &y), y, counts }
}

/// The pattern that rounds the linear optimum down and fills what is left by value per price of room.
pub(super) fn rounded(items: &Items, room: &[f64], linear: &LinearOptimum) -> (f64, Vec<u32>) {
    let mut counts: Vec<u32> = linear.counts.iter().map(|&count| (count + 1e-9).floor() as u32).collect();
    let mut left = room.to_vec();
    for (d, l) in left.iter_mut().enumerate() {
        *l -= counts.iter().zip(&items.weight[d]).map(|(&count, weight)| f64::from(count) * weight).sum::<f64>();
    }
    if left.iter().any(|&l| l < 0.0) {
        // The simplex method gave up on numbers too close; the filling alone still makes a pattern.
        counts.fill(0);
        left = room.to_vec();
    }
    let mut order: Vec<(f64, usize)> = (0..items.len())
        .filter(|&i| counts[i] < items.most[i])
        .map(|i| {
            let cost: f64 = items.weight.iter().zip(&linear.y).map(|(weight, price)| weight[i] * price).sum();
            (items.value[i] / cost.max(1e-12), i)
        })
        .collect();
    order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, i) in order {
        let mut more = f64::from(items.most[i] - counts[i]);
        for (d, l) in left.iter().enumerate() {
            if items.weight[d][i] > 0.0 {
                more = more.min((l / items.weight[d][i]).floor());
            }
        }
        if more >= 1.0 {
            counts[i] += more as u32;
            for (d, l) in left.iter_mut().enumerate() {
                *l -= more * items.weight[d][i];
            }
        }
    }
    let value = counts.iter().zip(&items.value).map(|(&count, value)| f64::from(count) * value).sum();
    (value, counts)
}

type Room = [i64; MAX_DIMENSIONS];

struct State {
    left: Room,
    loss: f64,
    parent: u32,
    count: u32,
}

/// What the deviation search found.
pub(super) struct Searched {
    /// Upper bound on the value of every pattern.
    pub(super) bound: f64,
    /// Best patterns above `floor`, best first.
    pub(super) patterns: Vec<(f64, Vec<u32>)>,
}

/// Searches patterns of value above `floor` around the linear optimum, keeping at most `width` states a layer.
///
/// When no layer is cut the result is exact: the bound is the larger of `floor` and the best value.
pub(super) fn search(items: &Items, room: &[f64], linear: &LinearOptimum, floor: f64, width: usize, keep: usize) -> Searched {
    let dims = room.len();
    let budget = linear.bound - floor;
    if dims > MAX_DIMENSIONS || budget <= 0.0 || width == 0 {
        return Searched { bound: linear.bound, patterns: Vec::new() };
    }
    let weight = |d: usize, i: usize| items.weight[d][i] as i64;
    // Loss per unit away from the favoured bound; the favoured bound is `most` when the gain is positive.
    let mut moving: Vec<(f64, usize, bool, u32)> = Vec::new();
    let mut start: Room = [0; MAX_DIMENSIONS];
    for (d, b) in room.iter().enumerate() {
        start[d] = *b as i64;
    }
    let mut fixed = vec![0_u32; items.len()];
    for i in 0..items.len() {
        let cost: f64 = (0..dims).map(|d| items.weight[d][i] * linear.y[d]).sum();
        let gain = items.value[i] - cost;
        let full = gain > 0.0;
        if full {
            fixed[i] = items.most[i];
            for (d, s) in start.iter_mut().enumerate().take(dims) {
                *s -= weight(d, i) * i64::from(items.most[i]);
            }
        }
        let units = if gain.abs() < 1e-12 { items.most[i] } else { ((budget / gain.abs()).floor() as u32).min(items.most[i]) };
        if units > 0 {
            moving.push((gain.abs(), i, full, units));
        }
    }
    moving.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    // What the items from a layer on can still free or use, per dimension.
    let mut free_after = vec![[0_i64; MAX_DIMENSIONS]; moving.len() + 1];
    let mut use_after = vec![[0_i64; MAX_DIMENSIONS]; moving.len() + 1];
    for (layer, &(_, i, full, units)) in moving.iter().enumerate().rev() {
        free_after[layer] = free_after[layer + 1];
        use_after[layer] = use_after[layer + 1];
        for d in 0..dims {
            let amount = weight(d, i) * i64::from(units);
            let sum = if full { &mut free_after[layer][d] } else { &mut use_after[layer][d] };
            *sum = sum.saturating_add(amount);
        }
    }
    let mut layers: Vec<Vec<State>> = vec![vec![State { left: start, loss: 0.0, parent: 0, count: 0 }]];
    let mut cheapest_dropped = f64::INFINITY;
    let mut index: FxHashMap<Room, u32> = FxHashMap::default();
    for (layer, &(loss_each, i, full, units)) in moving.iter().enumerate() {
        index.clear();
        let mut next: Vec<State> = Vec::new();
        let (free, usable) = (&free_after[layer + 1], &use_after[layer + 1]);
        let current = &layers[layer];
        for (parent, state) in current.iter().enumerate() {
            for count in 0..=units {
                let mut loss = state.loss + f64::from(count) * loss_each;
                if loss >= budget {
                    break;
                }
                let mut left = state.left;
                let mut dead = false;
                for d in 0..dims {
                    let amount = weight(d, i) * i64::from(count);
                    left[d] += if full { amount } else { -amount };
                    dead |= left[d] + free[d] < 0;
                    // Room that nothing can use any more is lost; charge it now so that equal states meet.
                    if left[d] > usable[d] {
                        loss += (left[d] - usable[d]) as f64 * linear.y[d];
                        left[d] = usable[d];
                    }
                }
                if dead {
                    if full {
                        continue;
                    }
                    break;
                }
                if loss >= budget {
                    continue;
                }
                let made = State { left, loss, parent: parent as u32, count };
                match index.entry(left) {
                    std::collections::hash_map::Entry::Occupied(seen) => {
                        let at = *seen.get() as usize;
                        if loss < next[at].loss {
                            next[at] = made;
                        }
                    }
                    std::collections::hash_map::Entry::Vacant(new) => {
                        new.insert(next.len() as u32);
                        next.push(made);
                    }
                }
            }
        }
        if next.len() > width {
            next.sort_unstable_by(|a, b| a.loss.total_cmp(&b.loss).then_with(|| a.left.cmp(&b.left)));
            cheapest_dropped = cheapest_dropped.min(next[width].loss);
            next.truncate(width);
        }
        layers.push(next);
    }
    // Charged room that was clipped is already in the loss, so the final loss of a state is that plus what is left.
    let last = moving.len();
    let mut ends: Vec<(f64, usize)> = layers[last]
        .iter()
        .enumerate()
        .filter(|(_, state)| state.left.iter().all(|&left| left >= 0))
        .map(|(at, state)| {
            let unused: f64 = (0..dims).map(|d| state.left[d] as f64 * linear.y[d]).sum();
            (state.loss + unused, at)
        })
        .filter(|end| end.0 < budget)
        .collect();
    ends.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let best = ends.first().map_or(budget, |end| end.0);
    let bound = linear.bound - best.min(cheapest_dropped);
    let patterns = ends
        .iter()
        .take(keep)
        .map(|&(_, end)| {
            let mut counts = fixed.clone();
            let mut at = end;
            for layer in (0..last).rev() {
                let state = &layers[layer + 1][at];
                let (_, i, full, _) = moving[layer];
                counts[i] = if full { counts[i] - state.count } else { counts[i] + state.count };
                at = state.parent as usize;
            }
            let value = counts.iter().zip(&items.value).map(|(&count, value)| f64::from(count) * value).sum();
            (value, counts)
        })
        .collect();
    Searched { bound, patterns }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn brute(items: &Items, room: &[f64]) -> f64 {
        fn go(items: &Items, i: usize, left: &mut Vec<f64>) -> f64 {
            if i == items.len() {
                return 0.0;
            }
            let mut best = f64::NEG_INFINITY;
            for count in 0..=items.most[i] {
                let fits = (0..left.len()).all(|d| left[d] >= items.weight[d][i] * f64::from(count));
                if !fits {
                    break;
                }
                for d in 0..left.len() {
                    left[d] -= items.weight[d][i] * f64::from(count);
                }
                best = best.max(items.value[i] * f64::from(count) + go(items, i + 1, left));
                for d in 0..left.len() {
                    left[d] += items.weight[d][i] * f64::from(count);
                }
            }
            best
        }
        go(items, 0, &mut room.to_vec())
    }

    prop_compose! {
        fn knapsack()(
            rows in prop::collection::vec((1_u32..40, 1_u32..4, 0_u32..9, 0_u32..9, 0_u32..3), 1..7),
            room in (0_u32..30, 0_u32..30, 0_u32..8),
        ) -> (Items, Vec<f64>) {
            let items = Items {
                class: (0..rows.len()).collect(),
                value: rows.iter().map(|r| f64::from(r.0)).collect(),
                most: rows.iter().map(|r| r.1).collect(),
                weight: vec![
                    rows.iter().map(|r| f64::from(r.2)).collect(),
                    rows.iter().map(|r| f64::from(r.3)).collect(),
                    rows.iter().map(|r| f64::from(r.4)).collect(),
                ],
                clique: Vec::new(),
            };
            (items, vec![f64::from(room.0), f64::from(room.1), f64::from(room.2)])
        }
    }

    /// 5,000 equal pods once gave a node with three times its CPU: the simplex method had given up, and its counts were rounded.
    #[test]
    fn an_infeasible_linear_optimum_is_not_rounded() {
        let items = Items {
            class: vec![0, 1],
            value: vec![1.0, 2.0],
            most: vec![9, 9],
            weight: vec![vec![3.0, 4.0]],
            clique: Vec::new(),
        };
        let unfinished = LinearOptimum { bound: 27.0, y: vec![0.1], counts: vec![9.0, 9.0] };
        let (value, counts) = rounded(&items, &[10.0], &unfinished);
        assert_eq!((value, counts), (4.0, vec![0, 2]));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Linear bound >= exact optimum >= rounding, and the search finds the optimum when nothing is cut.
        #[test]
        fn bounds_hold_and_the_search_is_exact((items, room) in knapsack()) {
            let exact = brute(&items, &room);
            let linear = linear_optimum(&items, &room);
            let (value, counts) = rounded(&items, &room, &linear);
            prop_assert!(linear.bound >= exact - 1e-6, "{} < {exact}", linear.bound);
            prop_assert!(value <= exact + 1e-9);
            for d in 0..3 {
                let used: f64 = counts.iter().zip(&items.weight[d]).map(|(&c, w)| f64::from(c) * w).sum();
                prop_assert!(used <= room[d] + 1e-9);
            }
            let full = search(&items, &room, &linear, -1.0, 1_000_000, 2);
            prop_assert!((full.bound - exact).abs() < 1e-6, "bound {} exact {exact}", full.bound);
            prop_assert!((full.patterns[0].0 - exact).abs() < 1e-6);
            let narrow = search(&items, &room, &linear, value - 0.5, 3, 2);
            prop_assert!(narrow.bound >= exact - 1e-6);
        }
    }
}
