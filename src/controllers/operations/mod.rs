//! What every controller stands on: settings, logs, metrics, probes and the election of the one replica that acts.
//!
//! Names and defaults are Karpenter's wherever it has them, so that its Deployment, dashboards and alerts go on working;
//! `docs/controller.md` lists them and says where we differ.

pub mod leader;
pub mod logs;
pub mod metrics;
pub mod options;
pub mod server;
