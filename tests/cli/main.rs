//! Runs the binary as a user does: what is on stdout and stderr, and with which exit code it ends.

mod bench;
mod bench_instances;
mod catalog;
mod commitments;
mod crds;
mod errors;
mod golden;
mod instances;
mod plans;
mod run;
