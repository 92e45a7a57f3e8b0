//! What runs in a cluster: pending pods become NodeClaims, these become instances, instances become nodes, and pods run on them.
//!
//! One module per controller. Each reads the [`mirror`](crate::adapters::kube) of the cluster and writes to the API server and to the
//! cloud, nothing else: what they know is in the objects, so that one that dies and comes back goes on where the objects are.

pub mod drift_hash;
mod events;
mod garbage_collection;
mod lifecycle;
pub mod node_class;
mod node_overlay;
pub mod node_pool;
mod offers;
pub mod operations;
pub mod patches;
mod planned_pods;
mod pools;
mod prices;
mod provisioner;
mod queues;
mod random;
mod run;
mod termination;
mod world;

pub use run::{Failure, run};
