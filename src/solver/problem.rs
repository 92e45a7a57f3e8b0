//! The mixed-integer program as data.
//!
//! ```text
//! minimise   sum_p cost_p x_p + sum_c penalty_c y_c + sum_v cost_v v
//! subject to sum_p a_cp x_p + y_c  = demand_c + sum_v demand_cv v   for each class c    (dual: the marginal price of one pod)
//!            sum_p usage_rp x_p   <= limit_r                        for each side row r (dual: the price of the row)
//!            least_q <= sum_v amount_qv v <= most_q                 for each choice row q
//!            x_p integer >= 0, y_c integer >= 0, lower_v <= v <= upper_v integer
//! ```
//! A pattern p is a shape s with a count `a_cp` of each class eligible on s such that `sum_c a_cp request_c <= capacity_s` in
//! every dimension, `a_cp` is at most what the class allows on one node, and every node rule holds. `cost_p` and `usage_rp` are those
//! of the shape.
//!
//! A shape may be a *variant* of another one, its *base*: the same node, cheaper, that draws on a side row for it (a commitment that is
//! paid for already and runs out). A node may be a variant in part: only the number of nodes of a base and its variants together is
//! whole, so cost and usage lie between those of the two.
//!
//! A *choice* v says how many pods of a group go one way: how many stand in a zone, whether a group is placed there at all, how many
//! are placed against a preference. Whatever is linear in such numbers is a choice row; the classes see the outcome as demand.

use fixedbitset::FixedBitSet;

/// Pods that the program cannot tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// How many pods, whatever the choices; with them at least 1.
    pub demand: u32,
    /// What one pod takes, one amount per dimension, each at least 0.
    pub request: Vec<i64>,
    /// Micro-dollars per hour that one unplaced pod costs; above the cost of any node, so that a pod stays unplaced only where
    /// a side row leaves no room. Larger for a higher priority.
    pub penalty: i64,
    /// The most pods of the class on one node; at least 1.
    pub most_per_node: u32,
    /// Any number; classes of one family are the same pods in different places. The engine may look at a family as one class first,
    /// which is easier and never dearer.
    pub family: usize,
}

/// A rule about what stands together on one node: where there is a pod of a guard, there are `least` to `most` pods of the members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRule {
    /// Classes, ascending.
    pub guards: Vec<usize>,
    /// Classes, ascending.
    pub members: Vec<usize>,
    /// Fewest pods of the members in all; 0 or 1.
    pub least: u32,
    /// Most pods of the members in all.
    pub most: u32,
}

impl NodeRule {
    /// How many pods of `class` may join `counts` (pairs of class and count), as far as this rule goes.
    #[must_use]
    pub fn admits(&self, class: usize, counts: &[(usize, u32)]) -> u32 {
        let is_guard = self.guards.binary_search(&class).is_ok();
        let is_member = self.members.binary_search(&class).is_ok();
        let guarded = is_guard || counts.iter().any(|&(other, n)| n > 0 && self.guards.binary_search(&other).is_ok());
        if !guarded {
            return u32::MAX;
        }
        let present = self.count(counts);
        if !is_member {
            return if (self.least..=self.most).contains(&present) || !is_guard { u32::MAX } else { 0 };
        }
        let room = self.most.saturating_sub(present);
        if present.saturating_add(room) < self.least { 0 } else { room }
    }

    /// How many pods of the members there are in `counts`.
    #[must_use]
    pub fn count(&self, counts: &[(usize, u32)]) -> u32 {
        counts
            .iter()
            .filter(|(class, _)| self.members.binary_search(class).is_ok())
            .fold(0, |sum, entry| sum.saturating_add(entry.1))
    }

    /// Whether a node with `counts` keeps it.
    #[must_use]
    pub fn holds(&self, counts: &[(usize, u32)]) -> bool {
        let guarded = counts.iter().any(|&(class, n)| n > 0 && self.guards.binary_search(&class).is_ok());
        !guarded || (self.least..=self.most).contains(&self.count(counts))
    }
}

/// A quantity that is decided along with the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Smallest value, at least 0.
    pub lower: i64,
    /// Largest value.
    pub upper: i64,
    /// A value that together with those of the other choices keeps every choice row.
    pub start: i64,
    /// Micro-dollars per hour of one unit, at least 0.
    pub cost: i64,
    /// What one unit adds to the demand of classes: `(class, pods)`, classes ascending, pods at least 1.
    pub demand: Vec<(usize, u32)>,
}

/// A linear constraint over choices: `least <= sum amount * choice <= most`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChoiceRow {
    /// `(choice, amount)`, choices ascending, amounts not 0.
    pub terms: Vec<(usize, i64)>,
    /// `-LARGEST_AMOUNT` where there is none.
    pub least: i64,
    /// `LARGEST_AMOUNT` where there is none.
    pub most: i64,
}

impl ChoiceRow {
    /// Whether `choices` keep it.
    #[must_use]
    pub fn holds(&self, choices: &[i64]) -> bool {
        let sum: i64 = self.terms.iter().map(|&(choice, amount)| amount * choices[choice]).sum();
        (self.least..=self.most).contains(&sum)
    }
}

/// A node that could be bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Room for pods, one amount per dimension.
    pub capacity: Vec<i64>,
    /// Room that the lower bound assumes, at least `capacity` in every dimension. It differs from `capacity` where a rule that is
    /// not linear makes the room of a pattern a choice (`minValues`), so that the bound stays valid whatever is chosen.
    pub bound_capacity: Vec<i64>,
    /// Micro-dollars per hour that one such node costs, all included; at least 1.
    pub cost: i64,
    /// Index into [`Problem::eligibility`]: the classes that may be placed on it.
    pub eligible: usize,
    /// What one node takes of side rows: `(row, amount)`, rows ascending, amounts above 0.
    pub usage: Vec<(usize, i64)>,
    /// Index of the shape that this one is a variant of, which is no variant itself: equal in capacities and eligibility, no cheaper,
    /// and it takes as much of the side rows that it takes.
    pub base: Option<usize>,
}

impl Shape {
    /// What it takes of side rows that `base` does not take.
    pub(super) fn beyond<'a>(&'a self, base: &'a Self) -> impl Iterator<Item = &'a (usize, i64)> {
        self.usage.iter().filter(|used| !base.usage.contains(used))
    }

    /// Whether it may be a variant of `base`.
    fn may_vary(&self, base: &Self) -> bool {
        let alike =
            self.capacity == base.capacity && self.bound_capacity == base.bound_capacity && self.eligible == base.eligible;
        alike && base.base.is_none() && self.cost <= base.cost && self.beyond(base).count() + base.usage.len() == self.usage.len()
    }
}

/// A linear constraint over nodes: the sum of the nodes' usage is at most `limit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideRow {
    /// At least 0.
    pub limit: i64,
}

/// The program. Indices of classes, shapes and side rows are positions in these lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// Number of resource dimensions.
    pub dimensions: usize,
    /// Pod classes.
    pub classes: Vec<Class>,
    /// Shapes.
    pub shapes: Vec<Shape>,
    /// Sets of classes, each of length `classes.len()`; many shapes share one.
    pub eligibility: Vec<FixedBitSet>,
    /// Side rows.
    pub side_rows: Vec<SideRow>,
    /// Rules about single nodes.
    pub node_rules: Vec<NodeRule>,
    /// Choices.
    pub choices: Vec<Choice>,
    /// Constraints over choices.
    pub choice_rows: Vec<ChoiceRow>,
}

/// A problem whose parts do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProblemError {
    /// A class breaks the rules of [`Class`].
    #[error("class {class}: {problem}")]
    Class {
        /// Its index.
        class: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A shape breaks the rules of [`Shape`].
    #[error("shape {shape}: {problem}")]
    Shape {
        /// Its index.
        shape: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A rule breaks the rules of [`NodeRule`].
    #[error("node rule {rule}: {problem}")]
    NodeRule {
        /// Its index.
        rule: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A choice breaks the rules of [`Choice`].
    #[error("choice {choice}: {problem}")]
    Choice {
        /// Its index.
        choice: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A choice row breaks the rules of [`ChoiceRow`], or the choices' starts break it.
    #[error("choice row {row}: {problem}")]
    ChoiceRow {
        /// Its index.
        row: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A side row has a negative limit.
    #[error("side row {row}: the limit is negative")]
    SideRow {
        /// Its index.
        row: usize,
    },
}

/// Amounts, costs and sums stay below this, so that integer products cannot overflow and `f64` holds them exactly.
pub const LARGEST_AMOUNT: i64 = 1 << 52;

impl Problem {
    /// Checks that the parts fit together.
    ///
    /// # Errors
    /// The first part that does not.
    pub fn check(&self) -> Result<(), ProblemError> {
        self.check_classes()?;
        self.check_shapes()?;
        self.check_choices()?;
        match self.side_rows.iter().position(|row| row.limit < 0) {
            Some(row) => Err(ProblemError::SideRow { row }),
            None => Ok(()),
        }
    }

    fn check_classes(&self) -> Result<(), ProblemError> {
        let largest = self.largest_demand();
        for (class, c) in self.classes.iter().enumerate() {
            let fail = |problem| Err(ProblemError::Class { class, problem });
            match largest.get(class) {
                Some(Some(1..)) => {}
                Some(Some(0)) => return fail("the demand is 0"),
                _ => return fail("the demand is too large"),
            }
            if c.request.len() != self.dimensions {
                return fail("the request has another number of dimensions");
            }
            if c.request.iter().any(|r| !(0..LARGEST_AMOUNT).contains(r)) {
                return fail("a request is negative or too large");
            }
            if !(1..LARGEST_AMOUNT).contains(&c.penalty) {
                return fail("the penalty is not positive or too large");
            }
            if c.most_per_node == 0 {
                return fail("no pod of it may be on a node");
            }
        }
        for (rule, r) in self.node_rules.iter().enumerate() {
            let ordered = |classes: &[usize]| {
                classes.is_sorted_by(|a, b| a < b) && classes.last().is_none_or(|&last| last < self.classes.len())
            };
            if !ordered(&r.guards) || !ordered(&r.members) {
                return Err(ProblemError::NodeRule { rule, problem: "a class does not exist, or they are not ascending" });
            }
            if r.least > 1 {
                return Err(ProblemError::NodeRule { rule, problem: "it asks for more than one pod" });
            }
        }
        Ok(())
    }

    fn check_shapes(&self) -> Result<(), ProblemError> {
        if self.eligibility.iter().any(|set| set.len() != self.classes.len()) {
            return Err(ProblemError::Shape { shape: 0, problem: "an eligibility set has another length" });
        }
        for (shape, s) in self.shapes.iter().enumerate() {
            let fail = |problem| Err(ProblemError::Shape { shape, problem });
            if s.capacity.len() != self.dimensions || s.bound_capacity.len() != self.dimensions {
                return fail("the capacity has another number of dimensions");
            }
            if s.bound_capacity.iter().any(|&b| b >= LARGEST_AMOUNT) {
                return fail("a capacity is too large");
            }
            if s.capacity.iter().zip(&s.bound_capacity).any(|(c, b)| c > b) {
                return fail("the bound's capacity is below the capacity");
            }
            if !(1..LARGEST_AMOUNT).contains(&s.cost) {
                return fail("the cost is not positive or too large");
            }
            if s.eligible >= self.eligibility.len() {
                return fail("the eligibility set does not exist");
            }
            if s.usage.iter().any(|&(row, amount)| row >= self.side_rows.len() || !(1..LARGEST_AMOUNT).contains(&amount)) {
                return fail("a side row does not exist, or its usage is not positive or too large");
            }
            if !s.usage.is_sorted_by(|a, b| a.0 < b.0) {
                return fail("side rows are not ascending");
            }
            if s.base.is_some_and(|base| self.shapes.get(base).is_none_or(|base| !s.may_vary(base))) {
                return fail("it is no variant of its base");
            }
        }
        Ok(())
    }

    fn check_choices(&self) -> Result<(), ProblemError> {
        for (choice, v) in self.choices.iter().enumerate() {
            let fail = |problem| Err(ProblemError::Choice { choice, problem });
            if !(0..=v.start).contains(&v.lower) || v.start > v.upper || v.upper > i64::from(u32::MAX) {
                return fail("not 0 <= lower <= start <= upper, or upper is too large");
            }
            if !(0..LARGEST_AMOUNT).contains(&v.cost) {
                return fail("the cost is negative or too large");
            }
            let ordered = v.demand.is_sorted_by(|a, b| a.0 < b.0);
            if !ordered || v.demand.iter().any(|&(class, pods)| class >= self.classes.len() || pods == 0) {
                return fail("a class does not exist or has no pods, or they are not ascending");
            }
        }
        let starts: Vec<i64> = self.choices.iter().map(|choice| choice.start).collect();
        for (row, r) in self.choice_rows.iter().enumerate() {
            let fail = |problem| Err(ProblemError::ChoiceRow { row, problem });
            let known = |&(choice, amount): &(usize, i64)| {
                choice < self.choices.len() && amount != 0 && amount.abs() <= i64::from(u32::MAX)
            };
            if !r.terms.iter().all(known) || !r.terms.is_sorted_by(|a, b| a.0 < b.0) {
                return fail("a choice does not exist or has an amount of 0, or they are not ascending");
            }
            if !r.holds(&starts) {
                return fail("the starts of the choices break it");
            }
        }
        Ok(())
    }

    /// The largest demand of each class over all choices; `None` where it does not fit into 32 bits.
    #[must_use]
    pub fn largest_demand(&self) -> Vec<Option<u32>> {
        let mut sums: Vec<u64> = self.classes.iter().map(|class| u64::from(class.demand)).collect();
        for choice in &self.choices {
            let upper = u64::try_from(choice.upper).unwrap_or(0);
            for &(class, pods) in &choice.demand {
                if let Some(sum) = sums.get_mut(class) {
                    *sum = sum.saturating_add(upper.saturating_mul(u64::from(pods)));
                }
            }
        }
        sums.into_iter().map(|sum| u32::try_from(sum).ok()).collect()
    }

    /// What each class asks for at these values of the choices.
    #[must_use]
    pub fn demand_at(&self, choices: &[i64]) -> Vec<i64> {
        let mut demand: Vec<i64> = self.classes.iter().map(|class| i64::from(class.demand)).collect();
        for (choice, value) in self.choices.iter().zip(choices) {
            for &(class, pods) in &choice.demand {
                demand[class] += value * i64::from(pods);
            }
        }
        demand
    }

    /// Whether one pod of `class` fits alone on `shape`.
    #[must_use]
    pub fn fits_alone(&self, class: usize, shape: usize) -> bool {
        let s = &self.shapes[shape];
        self.eligibility[s.eligible].contains(class)
            && self.classes[class].request.iter().zip(&s.capacity).all(|(request, capacity)| request <= capacity)
    }
}
