//! Plain values that every room speaks of: no I/O, no clock, no serialisation.
//!
//! Units: CPU in milli-cores, memory and storage in bytes, every other resource in whole units, money in micro-dollars per
//! hour. Demand is rounded up and capacity down wherever a unit is coarser than its source.

pub mod allocatable;
pub mod annotations;
pub mod catalog;
pub mod cluster;
pub mod collective;
pub mod commitment;
pub mod discovered_memory;
pub mod instance_settings;
pub mod instance_type;
pub mod interruption;
pub mod labels;
pub mod money;
pub mod node;
pub mod node_class;
pub mod node_overlay;
pub mod node_pool;
pub mod plan;
pub mod pod;
pub mod preference;
pub mod quantity;
pub mod requirement;
pub mod resources;
pub mod selector;
pub mod stable_hash;
pub mod taint;
pub mod topology;
pub mod volume;
