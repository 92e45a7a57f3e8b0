//! How long and how far to solve.

use std::time::Duration;

/// Limits and targets of one solve.
#[derive(Clone, Debug, PartialEq)]
pub struct SolveConfig {
    /// Stop when `(objective - bound) / objective` is at most this; 0 asks for a proof of optimality.
    pub gap: f64,
    /// Work units that may be used: deterministic, the same on every machine. `None` leaves the deadline alone in charge.
    pub work_limit: Option<u64>,
    /// Wall-clock limit, by the clock that is handed to [`crate::solver::solve`]; `None` for no limit.
    pub deadline: Option<Duration>,
    /// Seed of every random choice.
    pub seed: u64,
}

/// Why a problem was not solved at all.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SolveError {
    /// The parts of the problem do not fit together.
    #[error(transparent)]
    Problem(#[from] crate::solver::problem::ProblemError),
    /// The compact model is too large to be solved; [`Rival::Compact`](crate::solver::Rival::Compact) only.
    #[error("the compact model would have {columns} columns, more than {most}")]
    TooLarge {
        /// Columns with as many nodes of each shape as first-fit buys in all.
        columns: usize,
        /// How many it may have.
        most: usize,
    },
    /// The solver of the compact model had no packing when its time was over; [`Rival::Compact`](crate::solver::Rival::Compact) only.
    #[error("no packing of the compact model was found in time")]
    NothingFound,
}
