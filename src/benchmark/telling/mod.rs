//! What is told of runs: who was how good, how fast and how sure, with losses as plain as wins.
//!
//! ```text
//! runs.jsonl ─► reading ─► results ─► standing, duel ─► chapters ─► document ─► Markdown
//!                             └─────► statistics, curves ──┘           └──────► HTML
//! runs A, runs B ─► comparison ─► Markdown, and whether anything got worse
//! ```
//!
//! | module | what lives there |
//! |---|---|
//! | [`reading`] | folders of runs, checked |
//! | [`known`] | what the suite knows of an instance |
//! | [`results`] | which plan is better, which was the best, what a bound is worth |
//! | [`statistics`] | means, profiles, gaps |
//! | [`standing`] | a solver under one limit |
//! | [`duel`] | two solvers, case by case |
//! | [`curves`] | charts |
//! | [`chapters`] | the report: what is said, in which order |
//! | [`document`] | headings, tables, charts and drawings, as Markdown and as HTML |
//! | [`comparison`] | what changed between two folders of runs |
//!
//! Nothing here reads a clock: the same runs give the same bytes.

pub mod chapters;
pub mod comparison;
pub mod curves;
pub mod document;
pub mod duel;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod known;
pub mod reading;
pub mod results;
pub mod standing;
pub mod statistics;
#[cfg(test)]
mod tests;
mod wording;
