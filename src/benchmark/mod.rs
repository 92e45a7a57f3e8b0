//! The benchmark suite: instances of the node-provisioning problem, solvers built in and beside, runs, and what is told of them.
//!
//! | module | what lives there |
//! |---|---|
//! | [`instance`] | what an instance is, as JSON; the suite's own instances, their generator and their MANIFEST |
//! | [`solvers`] | the solvers that are built in |
//! | [`peers`] | the solvers that are programs of others, and where they are found |
//! | [`protocol`] | how a solver that is another program is asked, and how it answers |
//! | [`process`] | a question to a process, with an end in time |
//! | [`run`] | instances x solvers x budgets, one after another, into records |
//! | [`summary`] | a run in a table |
//! | [`shards`] | runs in parts, and parts put together |
//! | [`machine`] | where and with which program it ran |
//! | [`record`] | what is kept of one run: a line of JSON |
//! | [`telling`] | what is told of runs: statistics, reports, comparisons |
//!
//! Everything that is compared was checked by the verifier first, whoever made it.

pub mod instance;
pub mod machine;
pub mod peers;
pub mod process;
pub mod protocol;
pub mod record;
pub mod run;
pub mod shards;
pub mod solvers;
pub mod summary;
pub mod telling;
