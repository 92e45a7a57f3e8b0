//! The mixed-integer program as data.
//!
//! ```text
//! minimise   sum_p cost_p x_p + sum_c penalty_c y_c
//! subject to sum_p a_cp x_p + y_c  = demand_c     for each class c        (dual: the marginal price of one pod)
//!            sum_p usage_rp x_p   <= limit_r      for each side row r     (dual: the price of the row)
//!            x_p integer >= 0, y_c integer >= 0
//! ```
//! A pattern p is a shape s with a count `a_cp` of each class eligible on s such that `sum_c a_cp request_c <= capacity_s` in
//! every dimension. `cost_p` and `usage_rp` are those of the shape.

use fixedbitset::FixedBitSet;

/// Pods that the program cannot tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// How many pods; at least 1.
    pub demand: u32,
    /// What one pod takes, one amount per dimension, each at least 0.
    pub request: Vec<i64>,
    /// Micro-dollars per hour that one unplaced pod costs; above the cost of any node, so that a pod stays unplaced only where
    /// a side row leaves no room. Larger for a higher priority.
    pub penalty: i64,
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
        for (class, c) in self.classes.iter().enumerate() {
            let fail = |problem| Err(ProblemError::Class { class, problem });
            if c.demand == 0 {
                return fail("the demand is 0");
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
        }
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
        }
        match self.side_rows.iter().position(|row| row.limit < 0) {
            Some(row) => Err(ProblemError::SideRow { row }),
            None => Ok(()),
        }
    }

    /// Whether one pod of `class` fits alone on `shape`.
    #[must_use]
    pub fn fits_alone(&self, class: usize, shape: usize) -> bool {
        let s = &self.shapes[shape];
        self.eligibility[s.eligible].contains(class)
            && self.classes[class].request.iter().zip(&s.capacity).all(|(request, capacity)| request <= capacity)
    }
}
