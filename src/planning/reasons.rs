//! Why a pod is not placed.

use crate::domain::cluster::ClusterView;
use crate::domain::plan::UnplacedPod;
use crate::planning::plan::Planned;

pub(super) fn unplaced(_cluster: &ClusterView, _planned: &Planned, left: Vec<usize>) -> Vec<UnplacedPod> {
    left.into_iter().map(|pod| UnplacedPod { pod, reasons: vec!["no NodePool can hold it".to_owned()] }).collect()
}
