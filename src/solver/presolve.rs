//! Presolve: the same program with smaller numbers and fewer shapes.
//!
//! 1. Classes that no shape holds leave the program (their pods stay unplaced).
//! 2. Every dimension is divided by the greatest common divisor of its requests (capacity rounds down).
//! 3. Capacities are cut to what eligible pods can use: their total demand, and what the other dimensions leave room for.
//! 4. A shape goes when a cheaper one holds at least as much for at least the same classes and takes no more of any side row.
//!
//! Each step keeps the set of optimal solutions (up to exchanging a shape for one that dominates it). `bound_capacity` takes the
//! place of `capacity` wherever a cut must be valid for the bound.

use std::cmp::Reverse;

use fixedbitset::FixedBitSet;

use crate::solver::problem::Problem;

/// A shape of the reduced program.
#[derive(Clone, Debug)]
pub(super) struct ReducedShape {
    /// Room for patterns.
    pub(super) capacity: Vec<i64>,
    /// Room for the bound.
    pub(super) bound_capacity: Vec<i64>,
    /// Micro-dollars per hour.
    pub(super) cost: i64,
    /// Index into `Reduced::eligible`.
    pub(super) eligible: usize,
    /// As in the problem.
    pub(super) usage: Vec<(usize, i64)>,
    /// Index of the shape in the problem.
    pub(super) origin: usize,
}

/// The reduced program. Class `c` here is class `class_origin[c]` of the problem.
#[derive(Clone, Debug)]
pub(super) struct Reduced {
    pub(super) dimensions: usize,
    pub(super) demand: Vec<u32>,
    /// `request[c * dimensions + d]`.
    pub(super) request: Vec<i64>,
    pub(super) penalty: Vec<i64>,
    /// Sorted by cost, then origin.
    pub(super) shapes: Vec<ReducedShape>,
    /// Eligibility sets as ascending lists of classes.
    pub(super) eligible: Vec<Vec<usize>>,
    /// The same as bit sets.
    pub(super) eligible_bits: Vec<FixedBitSet>,
    /// Limits of the side rows.
    pub(super) limits: Vec<i64>,
    pub(super) class_origin: Vec<usize>,
}

impl Reduced {
    pub(super) fn classes(&self) -> usize {
        self.demand.len()
    }

    pub(super) fn request_of(&self, class: usize) -> &[i64] {
        &self.request[class * self.dimensions..(class + 1) * self.dimensions]
    }

    /// Whether one pod of `class` fits into `room`.
    pub(super) fn fits(&self, class: usize, room: &[i64]) -> bool {
        self.request_of(class).iter().zip(room).all(|(request, left)| request <= left)
    }

    /// How many pods of `class` fit into `room`.
    pub(super) fn copies(&self, class: usize, room: &[i64]) -> u32 {
        let mut most = i64::from(u32::MAX);
        for (&request, &left) in self.request_of(class).iter().zip(room) {
            if left < 0 {
                return 0;
            }
            if request > 0 {
                most = most.min(left / request);
            }
        }
        most as u32
    }

    /// Takes `count` pods of `class` out of `room` (gives back when negative).
    pub(super) fn take(&self, class: usize, count: i64, room: &mut [i64]) {
        for (&request, left) in self.request_of(class).iter().zip(room) {
            *left -= request * count;
        }
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Reduces `problem`, which has been checked.
pub(super) fn presolve(problem: &Problem) -> Reduced {
    let fits = |class: usize, shape: usize| problem.fits_alone(class, shape);
    let class_origin: Vec<usize> =
        (0..problem.classes.len()).filter(|&class| (0..problem.shapes.len()).any(|shape| fits(class, shape))).collect();
    let dimensions = problem.dimensions;
    let divisor: Vec<i64> =
        (0..dimensions).map(|d| class_origin.iter().map(|&c| problem.classes[c].request[d]).fold(0, gcd).max(1)).collect();
    let mut reduced = Reduced {
        dimensions,
        demand: class_origin.iter().map(|&c| problem.classes[c].demand).collect(),
        request: class_origin
            .iter()
            .flat_map(|&c| problem.classes[c].request.iter().zip(&divisor).map(|(request, by)| request / by))
            .collect(),
        penalty: class_origin.iter().map(|&c| problem.classes[c].penalty).collect(),
        shapes: Vec::new(),
        eligible: Vec::new(),
        eligible_bits: Vec::new(),
        limits: problem.side_rows.iter().map(|row| row.limit).collect(),
        class_origin,
    };
    for set in &problem.eligibility {
        let list: Vec<usize> = (0..reduced.classes()).filter(|&c| set.contains(reduced.class_origin[c])).collect();
        let mut bits = FixedBitSet::with_capacity(reduced.classes());
        bits.extend(list.iter().copied());
        reduced.eligible.push(list);
        reduced.eligible_bits.push(bits);
    }
    let ratios: Vec<Vec<Vec<f64>>> = reduced.eligible.iter().map(|list| largest_ratios(&reduced, list)).collect();
    let total: Vec<Vec<i64>> = reduced.eligible.iter().map(|list| total_demand(&reduced, list)).collect();
    let mut shapes: Vec<ReducedShape> = Vec::new();
    for (origin, shape) in problem.shapes.iter().enumerate() {
        if shape.capacity.iter().any(|&room| room < 0) || reduced.eligible[shape.eligible].is_empty() {
            continue;
        }
        let scale = |capacity: &[i64]| -> Vec<i64> {
            let mut scaled: Vec<i64> = capacity.iter().zip(&divisor).map(|(room, by)| room / by).collect();
            tighten(&mut scaled, &total[shape.eligible], &ratios[shape.eligible]);
            scaled
        };
        shapes.push(ReducedShape {
            capacity: scale(&shape.capacity),
            bound_capacity: scale(&shape.bound_capacity),
            cost: shape.cost,
            eligible: shape.eligible,
            usage: shape.usage.clone(),
            origin,
        });
    }
    shapes.sort_by_cached_key(|shape| (shape.cost, Reverse(shape.capacity.clone()), shape.origin));
    let supersets: Vec<Vec<bool>> = reduced
        .eligible_bits
        .iter()
        .map(|large| reduced.eligible_bits.iter().map(|small| small.is_subset(large)).collect())
        .collect();
    for shape in shapes {
        let useful = reduced.eligible[shape.eligible].iter().any(|&class| reduced.fits(class, &shape.capacity));
        let dominated = reduced.shapes.iter().any(|kept| {
            supersets[kept.eligible][shape.eligible]
                && at_least(&kept.capacity, &shape.capacity)
                && at_least(&kept.bound_capacity, &shape.bound_capacity)
                && takes_no_more(&kept.usage, &shape.usage)
        });
        if useful && !dominated {
            reduced.shapes.push(shape);
        }
    }
    reduced
}

fn at_least(large: &[i64], small: &[i64]) -> bool {
    large.iter().zip(small).all(|(l, s)| l >= s)
}

fn takes_no_more(kept: &[(usize, i64)], other: &[(usize, i64)]) -> bool {
    kept.iter().all(|&(row, amount)| other.iter().any(|&(r, a)| r == row && a >= amount))
}

fn total_demand(reduced: &Reduced, list: &[usize]) -> Vec<i64> {
    (0..reduced.dimensions).map(|d| list.iter().map(|&c| reduced.request_of(c)[d] * i64::from(reduced.demand[c])).sum()).collect()
}

/// `ratios[d][e]`: the most of dimension `d` that one unit of dimension `e` can bring; infinite if some pod takes none of `e`.
fn largest_ratios(reduced: &Reduced, list: &[usize]) -> Vec<Vec<f64>> {
    let dims = reduced.dimensions;
    let mut ratios = vec![vec![0.0_f64; dims]; dims];
    for &class in list {
        let request = reduced.request_of(class);
        for d in 0..dims {
            for e in 0..dims {
                if request[d] > 0 {
                    let ratio = if request[e] == 0 { f64::INFINITY } else { request[d] as f64 / request[e] as f64 };
                    ratios[d][e] = ratios[d][e].max(ratio);
                }
            }
        }
    }
    ratios
}

fn tighten(capacity: &mut [i64], total: &[i64], ratios: &[Vec<f64>]) {
    for (room, demand) in capacity.iter_mut().zip(total) {
        *room = (*room).min(*demand);
    }
    let before = capacity.to_vec();
    for (d, room) in capacity.iter_mut().enumerate() {
        for (e, &other) in before.iter().enumerate() {
            let most = ratios[d][e] * other as f64;
            if e != d && most.is_finite() {
                // The tolerance keeps an exact ratio from being cut by one unit through rounding.
                *room = (*room).min((most + 1e-6 + most * 1e-12).floor() as i64);
            }
        }
    }
}
