//! The benchmark suite: instances of the node-provisioning problem, solvers built in and beside, runs, and what is told of them.
//!
//! | module | what lives there |
//! |---|---|
//! | [`instance`] | what an instance is, as JSON; the suite's own instances, their generator and their MANIFEST |
//! | [`protocol`] | how a solver that is another program is asked, and how it answers |
//! | [`record`] | what is kept of one run: a line of JSON |
//! | [`telling`] | what is told of runs: statistics, reports, comparisons |
//!
//! Everything that is compared was checked by the verifier first, whoever made it.

pub mod instance;
pub mod protocol;
pub mod record;
pub mod telling;
