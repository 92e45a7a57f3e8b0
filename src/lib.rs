//! Supercargo: the provably cheapest EC2 nodes for a set of Kubernetes pods.
//!
//! The rooms, from the bottom upwards (an arrow of `use` points downwards only; `tests/architecture.rs` checks it):
//!
//! | room | what lives there |
//! |---|---|
//! | [`domain`] | quantities, requirements, taints, instance types, NodePools, pods, plans: plain values |
//! | [`solver`] | the engine: [`solver::Problem`] → [`solver::Solution`], numbers only |
//! | [`planning`] | the bridge: pods and NodePools → Problem, Solution → [`domain::plan::Plan`], and the verifier |
//! | [`report`] | plans for people and programs: table, Markdown, HTML, JSON |
//! | [`adapters`] | all input and output: manifests, catalog files, Kubernetes, AWS |
//! | [`benchmark`] | instances, solvers to compare with, runs and their records |
//! | [`controllers`] | what runs in a cluster: provisioner, launcher, registrar, ... |
//! | [`cli`] | arguments, output, exit codes |
//!
//! `default-features = false` leaves `domain`, `solver` and `planning`: the engine without I/O; the feature `report` adds `report`.

pub mod domain;
pub mod planning;
pub mod solver;

#[cfg(feature = "kube")]
pub mod adapters;
#[cfg(feature = "cli")]
pub mod benchmark;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "controller")]
pub mod controllers;
#[cfg(feature = "report")]
pub mod report;
