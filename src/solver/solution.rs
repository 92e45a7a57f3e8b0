//! What the engine answers.

use std::time::Duration;

/// Nodes of one pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatternUse {
    /// Index of the shape; of a variant also where nodes are that in part.
    pub shape: usize,
    /// `(class, count)`, classes ascending, counts at least 1.
    pub counts: Vec<(usize, u32)>,
    /// How many such nodes; at least 1.
    pub nodes: u32,
}

/// What made the engine stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Incumbent and bound agree to one millionth, the accuracy of the linear programs.
    Optimal,
    /// The gap that was asked for is reached.
    GapReached,
    /// The work limit is used up (the same on every machine).
    WorkLimit,
    /// The deadline passed (differs from run to run).
    Deadline,
}

/// What the engine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// First-fit.
    FirstFit,
    /// Column generation on the linear relaxation.
    ColumnGeneration,
    /// Rounding and diving.
    Diving,
    /// Large-neighbourhood search.
    LocalSearch,
    /// Branch and price.
    Branching,
}

/// A report on the way; `cost` counts penalties of unplaced pods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Objective of the incumbent in micro-dollars per hour.
    pub incumbent: i64,
    /// Lower bound in micro-dollars per hour.
    pub bound: i64,
    /// Time since the start.
    pub elapsed: Duration,
}

/// The first-fit plan, the yardstick.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FirstFit {
    /// Cost of its nodes, without penalties.
    pub cost: i64,
    /// How many nodes.
    pub nodes: u64,
    /// How many of them cost one micro-dollar, the least that a shape can cost.
    pub nodes_at_least_cost: u64,
    /// How many pods it leaves.
    pub unplaced: u64,
    /// What its nodes take of each side row; a row that is left out takes nothing.
    pub usage: Vec<(usize, i64)>,
}

/// How often something was done, and how long it took in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Effort {
    /// How often.
    pub times: u64,
    /// By the caller's clock; it decides nothing.
    pub took: Duration,
}

impl Effort {
    pub(super) fn add(&mut self, took: Duration) {
        self.times += 1;
        self.took += took;
    }
}

/// Counters of one solve.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Statistics {
    /// Classes and shapes left after presolve.
    pub classes: usize,
    /// See `classes`.
    pub shapes: usize,
    /// Iterations of column generation, all stages.
    pub iterations: u64,
    /// Columns made.
    pub columns: u64,
    /// Passes of pattern generation on the whole program or a branch, over all shapes or the worst.
    pub pricings: Effort,
    /// Solves of the master that goes with them.
    pub masters: Effort,
    /// Dives from the root, which solve masters and generate patterns in between.
    pub roundings: Effort,
    /// Work units used (deterministic).
    pub work: u64,
    /// When the first-fit plan was there.
    pub first_fit_at: Duration,
    /// Each improvement of the incumbent: when, and its objective.
    pub incumbents: Vec<(Duration, i64)>,
    /// Each improvement of the bound: when, and its value.
    pub bounds: Vec<(Duration, i64)>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// Nodes bought, sorted by shape and counts.
    pub patterns: Vec<PatternUse>,
    /// Pods of each class that are not placed.
    pub unplaced: Vec<u32>,
    /// Values of the choices.
    pub choices: Vec<i64>,
    /// Micro-dollars per hour of the nodes, without penalties. Where side rows do not reach for all nodes that are listed as variants,
    /// some of them are that in part and cost more.
    pub cost: i64,
    /// `cost` plus the penalties of the unplaced pods and the costs of the choices: what is minimised.
    pub objective: i64,
    /// No solution has an objective below this.
    pub bound: i64,
    /// Marginal price of one more pod of each class, micro-dollars per hour, at the best bound.
    pub duals: Vec<f64>,
    /// First-fit on the same problem.
    pub first_fit: FirstFit,
    /// Why it stopped.
    pub stop: Stop,
    /// Counters.
    pub statistics: Statistics,
}
