//! Sets of labels that several families share. A value that is not known is the empty text, as in Karpenter.

use prometheus_client::encoding::EncodeLabelSet;

/// The controller that measures.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByController {
    pub(super) controller: &'static str,
}

/// A NodePool.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByNodePool {
    pub(super) nodepool: String,
}

/// A resource of a NodePool.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByResource {
    pub(super) resource_type: String,
    pub(super) nodepool: String,
}
