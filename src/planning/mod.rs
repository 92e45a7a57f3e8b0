//! The bridge between Kubernetes terms and numbers: pods → classes, NodePools x offerings → shapes, Solution → Plan.

pub mod verifier;
