//! Rows of the master that stand for several classes.
//!
//! A master with a row per class finds the best duals there are. With few rows it finds the best of a smaller space,
//! `pi_c = sum_k weight_ck theta_k` with `theta >= 0`: row k asks for `sum_c weight_ck demand_c`, which every plan gives. Whatever
//! comes out is a dual point of the whole program, so its bound holds; what is lost is the difference between the best bound of the
//! smaller space and the best of all.
//!
//! Where a rule divides a workload among zones, the program has a class per zone and the master six rows instead of one. The duals
//! of those six differ by what a zone's room costs, and that is much alike for all workloads: a row per workload for what its pods
//! are worth anywhere, and rows per zone for what room costs more there.

use std::collections::{BTreeMap, BTreeSet};

use crate::solver::presolve::Reduced;

/// What the rows of a master stand for.
pub(super) struct Rows {
    count: usize,
    /// Per class: rows and weights above 0, rows ascending.
    of_class: Vec<Vec<(usize, f64)>>,
}

impl Rows {
    /// A row for each class.
    pub(super) fn each(classes: usize) -> Self {
        Self { count: classes, of_class: (0..classes).map(|class| vec![(class, 1.0)]).collect() }
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The entries of a column that gives `amounts` to classes.
    pub(super) fn entries(&self, amounts: impl IntoIterator<Item = (usize, f64)>) -> Vec<(usize, f64)> {
        let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
        for (class, amount) in amounts {
            for &(row, weight) in &self.of_class[class] {
                *sums.entry(row).or_default() += weight * amount;
            }
        }
        sums.into_iter().collect()
    }

    /// What the rows get from one amount per class.
    pub(super) fn of_amounts(&self, amounts: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.count];
        for (of, amount) in self.of_class.iter().zip(amounts) {
            of.iter().for_each(|&(row, weight)| sums[row] += weight * amount);
        }
        sums
    }

    /// The duals of the classes, from those of the rows.
    pub(super) fn to_classes(&self, duals: &[f64]) -> Vec<f64> {
        self.of_class.iter().map(|of| of.iter().map(|&(row, weight)| weight * duals[row]).sum()).collect()
    }

    /// A row for each set of classes that are the same pods in different places (`merged`: the number of each class's set), and for
    /// each place and dimension one for the room that the pods take which have to stand there.
    pub(super) fn of_places(reduced: &Reduced, merged: &[usize]) -> Self {
        let sets = merged.iter().max().map_or(0, |last| last + 1);
        let mut members: BTreeMap<usize, usize> = BTreeMap::new();
        reduced.family.iter().for_each(|&family| *members.entry(family).or_default() += 1);
        let mut reach: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); reduced.classes()];
        for (set, list) in reduced.eligible.iter().enumerate() {
            list.iter().for_each(|&class| {
                reach[class].insert(set);
            });
        }
        let widest: Vec<f64> = (0..reduced.dimensions)
            .map(|d| (0..reduced.classes()).map(|class| reduced.request_of(class)[d]).max().unwrap_or(1).max(1) as f64)
            .collect();
        let mut known: BTreeMap<(&BTreeSet<usize>, usize), usize> = BTreeMap::new();
        let mut of_class = Vec::with_capacity(reduced.classes());
        for class in 0..reduced.classes() {
            let mut of = vec![(merged[class], 1.0)];
            if members[&reduced.family[class]] > 1 {
                for (d, &request) in reduced.request_of(class).iter().enumerate().filter(|(_, request)| **request > 0) {
                    let next = sets + known.len();
                    of.push((*known.entry((&reach[class], d)).or_insert(next), request as f64 / widest[d]));
                }
            }
            of.sort_unstable_by_key(|entry| entry.0);
            of_class.push(of);
        }
        let count = sets + known.len();
        Self { count, of_class }
    }
}
