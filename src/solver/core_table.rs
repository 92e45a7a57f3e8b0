//! The core of a knapsack, solved exactly in two dimensions.
//!
//! At the linear optimum with prices `y` a unit of class c away from its favoured count loses `|pi_c - y r_c|`. A pattern of value above
//! `floor` loses less than `linear bound - floor` in all, so most classes keep their favoured count, and what is open (Balas and Zemel
//! 1980 call it the core) is small even for a large node. Two dimensions are kept as they are, the others are paid for at their
//! prices, so the best of the table is an upper bound, exact where the other dimensions do not bind.

use std::collections::BTreeMap;

use crate::solver::dense::{Item, Table, largest};
use crate::solver::knapsack::{Items, LinearOptimum};

/// What is open, and the room that is left for it.
pub(super) struct Core {
    room: (usize, usize),
    /// Position among the knapsack's items, and the item of the table.
    open: Vec<(usize, Item)>,
    /// Of items that are open and in a clique: the clique, and the item. A pattern has one of each at most.
    cliques: Vec<(usize, Vec<(usize, Item)>)>,
    /// Counts that every pattern above the floor has at least.
    fixed: Vec<u32>,
    /// Value of those, and of the room of the other dimensions.
    constant: f64,
    /// Whether the fixed counts leave no room: there is no pattern above the floor.
    overfull: bool,
    floor: f64,
}

/// The best patterns of a core.
pub(super) struct SolvedCore {
    /// No pattern is worth more, and no less than the floor.
    pub(super) bound: f64,
    /// Counts by item of the best pattern and then of the best ones through single items, as far as they are worth more than asked.
    /// The dimensions outside the table may be exceeded, and beyond the first the most of an item by one.
    pub(super) patterns: Vec<Vec<u32>>,
}

/// Patterns of one core at most.
const MOST_PATTERNS: usize = 24;

impl Core {
    /// The core for values above `floor`; `None` where its table takes more than `most_work` cells times pieces.
    pub(super) fn new(
        items: &Items,
        room: &[f64],
        linear: &LinearOptimum,
        floor: f64,
        (first, second): (usize, usize),
        most_work: u64,
    ) -> Option<Self> {
        let budget = linear.bound - floor;
        let (mut left0, mut left1) = (room[first], room[second]);
        let mut constant: f64 = (0..room.len()).filter(|&d| d != first && d != second).map(|d| linear.y[d] * room[d]).sum();
        let mut fixed = vec![0_u32; items.len()];
        let mut open = Vec::new();
        let mut cliques: BTreeMap<usize, Vec<(usize, Item)>> = BTreeMap::new();
        let mut settled: BTreeMap<usize, u32> = BTreeMap::new();
        let clique_of = |i: usize| items.clique.get(i).copied().flatten();
        for i in 0..items.len() {
            let paid: f64 =
                (0..room.len()).filter(|&d| d != first && d != second).map(|d| items.weight[d][i] * linear.y[d]).sum();
            let value = items.value[i] - paid;
            let (w0, w1) = (items.weight[first][i], items.weight[second][i]);
            let gain = value - w0 * linear.y[first] - w1 * linear.y[second];
            let most = items.most[i];
            // A hair more than the budget allows, so that no rounding takes a unit away.
            let moving = budget * (1.0 + 1e-9) + 1e-12;
            let units = if gain.abs() * f64::from(most) <= moving { most } else { (moving / gain.abs()).floor() as u32 };
            if gain > 0.0 {
                fixed[i] = most - units;
                let kept = f64::from(fixed[i]);
                constant += kept * value;
                left0 -= kept * w0;
                left1 -= kept * w1;
                if let Some(clique) = clique_of(i).filter(|_| fixed[i] > 0) {
                    *settled.entry(clique).or_default() += fixed[i];
                }
            }
            if units == 0 || value <= 0.0 {
                continue;
            }
            if w0 == 0.0 && w1 == 0.0 {
                fixed[i] += units;
                constant += f64::from(units) * value;
                continue;
            }
            let item = Item { size: (w0 as usize, w1 as usize), value, most: units };
            match clique_of(i) {
                Some(clique) => cliques.entry(clique).or_default().push((i, item)),
                None => open.push((i, item)),
            }
        }
        // Where one of a clique is in every pattern, none of the others is in any; two in every pattern are in none.
        cliques.retain(|clique, _| !settled.contains_key(clique));
        let overfull = left0 < 0.0 || left1 < 0.0 || settled.values().any(|&units| units > 1);
        let room = (left0.max(0.0) as usize, left1.max(0.0) as usize);
        let core = Self { room, open, cliques: cliques.into_iter().collect(), fixed, constant, overfull, floor };
        (overfull || core.work() <= most_work).then_some(core)
    }

    /// Cells of the table times pieces of the items.
    pub(super) fn work(&self) -> u64 {
        let pieces: u64 = self.items().map(|(_, item)| u64::from(u32::BITS - item.most.leading_zeros())).sum();
        (self.room.0 as u64 + 1) * (self.room.1 as u64 + 1) * pieces
    }

    /// What is open.
    fn items(&self) -> impl Iterator<Item = &(usize, Item)> {
        self.open.iter().chain(self.cliques.iter().flat_map(|(_, items)| items))
    }

    /// Fills the table; patterns worth at most `worthless` are not of interest.
    pub(super) fn solve(&self, worthless: f64) -> SolvedCore {
        if self.overfull {
            return SolvedCore { bound: self.floor, patterns: Vec::new() };
        }
        let mut table = Table::empty(self.room, largest(self.items().map(|(_, item)| item), self.room));
        for (i, item) in &self.open {
            table.offer(*i, item);
        }
        for (_, items) in &self.cliques {
            table.offer_one_of(items.iter().map(|(i, item)| (*i, item)));
        }
        let best = self.constant + table.best(self.room);
        let mut ends: Vec<(f64, Option<usize>, (usize, usize))> = vec![(best, None, self.room)];
        for (i, item) in self.items() {
            if item.size.0 <= self.room.0 && item.size.1 <= self.room.1 {
                let rest = (self.room.0 - item.size.0, self.room.1 - item.size.1);
                ends.push((self.constant + item.value + table.best(rest), Some(*i), rest));
            }
        }
        ends.retain(|end| end.0 > worthless);
        // The best as it is comes first: one through an item may hold that item once too often.
        ends.sort_by(|a, b| a.1.is_some().cmp(&b.1.is_some()).then(b.0.total_cmp(&a.0)).then(a.1.cmp(&b.1)));
        ends.truncate(MOST_PATTERNS);
        let pattern = |&(_, through, rest): &(f64, Option<usize>, (usize, usize))| {
            let mut counts = self.fixed.clone();
            table.pattern(rest).into_iter().for_each(|(i, units)| counts[i] += units);
            through.into_iter().for_each(|i| counts[i] += 1);
            counts
        };
        SolvedCore { bound: best.max(self.floor), patterns: ends.iter().map(pattern).collect() }
    }
}
