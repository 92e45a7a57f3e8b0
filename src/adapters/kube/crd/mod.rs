//! The custom resources: Karpenter's own API groups and field names, so that objects move between the two unchanged.
//!
//! Fields after Karpenter core v1.15.0 and its AWS provider v1.15.1. The types hold what a user may write and what the
//! controllers report, with the schema's defaults and rules as attributes; [`definitions`] are the CustomResourceDefinitions made of them.

pub mod definitions;
mod ec2_node_class;
mod node_claim;
mod node_class_rules;
mod node_overlay;
mod node_pool;
mod schema;

pub use ec2_node_class::{
    AmiSelectorTerm, AmiStatus, BlockDeviceMapping, CapacityReservationSelectorTerm, CapacityReservationStatus,
    ConnectionTracking, CpuOptions, EC2NodeClass, EC2NodeClassSpec, EC2NodeClassStatus, EbsBlockDevice, EnclaveOptions,
    MetadataOptions, NetworkInterfaceSpec, PlacementGroupSelector, SecurityGroupSelectorTerm, SecurityGroupStatus,
    SubnetSelectorTerm, SubnetStatus,
};
pub use node_claim::{NodeClaim, NodeClaimResources, NodeClaimSpec, NodeClaimStatus};
pub use node_overlay::{NodeOverlay, NodeOverlayRequirement, NodeOverlaySpec, NodeOverlayStatus};
pub use node_pool::{
    DisruptionBudget, DisruptionSpec, NodeClassReference, NodePool, NodePoolSpec, NodePoolStatus, NodeRequirement, NodeTemplate,
    NodeTemplateMetadata, NodeTemplateSpec,
};
