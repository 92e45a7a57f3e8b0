//! Volumes of pods: where they can be attached, who else claims them, and what keeps them from being attached at all.
//!
//! A volume that exists says where it can be attached (the node affinity of its PersistentVolume). One that is still to be made is made
//! where its pod goes, within what its StorageClass allows (`WaitForFirstConsumer`). How many volumes of a CSI driver a node can have is
//! a resource, [`ResourceName::attachments_of`].

use std::fmt;

use crate::domain::labels;
use crate::domain::requirement::{Requirement, Requirements};
use crate::domain::resources::ResourceName;

/// The CSI driver of EBS.
pub const EBS_DRIVER: &str = "ebs.csi.aws.com";

/// A volume of a pod that matters to where the pod may go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodVolume {
    /// The name of its claim, without the pod's where that is part of it: so pods of one StatefulSet are alike.
    pub name: String,
    /// Alternatives: the pod's node must meet at least one of them. Empty where it can be attached anywhere.
    pub places: Vec<Requirements>,
    /// The claim, where other pods use it as well.
    pub shared: Option<SharedClaim>,
    /// What is wrong with it. No node meets the places of such a volume.
    pub fault: Option<VolumeFault>,
}

impl PodVolume {
    /// A volume that can be attached nowhere.
    #[must_use]
    pub fn faulty(name: &str, fault: VolumeFault) -> Self {
        let mut nowhere = Requirements::new();
        nowhere.add(labels::NO_NODE, Requirement::any());
        Self { name: name.to_owned(), places: vec![nowhere], shared: None, fault: Some(fault) }
    }
}

/// A claim that several pods use.
///
/// As in kube-scheduler v1.33, they may be on several nodes whatever the access mode, save `ReadWriteOncePod`
/// ([`FaultKind::InUse`]).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedClaim {
    /// `namespace/name`.
    pub claim: String,
    /// The resource that it takes one of, however many pods of a node use it; `None` where nothing is limited. The requests of each of
    /// its pods have it.
    pub attachment: Option<ResourceName>,
    /// The label whose value on the node of the first pod decides where the volume is made, and with it where the other pods go. `None`
    /// for a volume that exists, or that can be attached anywhere.
    pub settled_by: Option<String>,
}

/// Why a volume cannot be attached, whatever the node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeFault {
    /// The claim, `namespace/name`.
    pub claim: String,
    /// What is wrong with it.
    pub kind: FaultKind,
}

/// What is wrong with a claim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// There is no such claim.
    Missing,
    /// It is being deleted.
    Deleting,
    /// It has lost its volume (phase `Lost`).
    Lost,
    /// The PersistentVolume that it is bound to is not there.
    VolumeMissing(String),
    /// That PersistentVolume is being deleted.
    VolumeDeleting(String),
    /// It is not bound, and names no StorageClass that could make a volume.
    Classless,
    /// It is not bound, and its StorageClass is not there.
    ClassMissing(String),
    /// It is not bound, and its StorageClass binds claims before their pods are placed (`volumeBindingMode: Immediate`).
    Waiting(String),
    /// Only one pod may use it (`ReadWriteOncePod`), and this one does.
    InUse(String),
}

impl fmt::Display for VolumeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claim = &self.claim;
        match &self.kind {
            FaultKind::Missing => write!(f, "the PersistentVolumeClaim {claim} is not there"),
            FaultKind::Deleting => write!(f, "the PersistentVolumeClaim {claim} is being deleted"),
            FaultKind::Lost => write!(f, "the PersistentVolumeClaim {claim} has lost its volume"),
            FaultKind::VolumeMissing(volume) => {
                write!(f, "the PersistentVolumeClaim {claim} is bound to the PersistentVolume {volume}, which is not there")
            }
            FaultKind::VolumeDeleting(volume) => {
                write!(f, "the PersistentVolumeClaim {claim} is bound to the PersistentVolume {volume}, which is being deleted")
            }
            FaultKind::Classless => {
                write!(f, "the PersistentVolumeClaim {claim} is not bound and has no StorageClass to make a volume")
            }
            FaultKind::ClassMissing(class) => {
                write!(f, "the PersistentVolumeClaim {claim} is not bound, and its StorageClass {class} is not there")
            }
            FaultKind::Waiting(class) => write!(
                f,
                "the PersistentVolumeClaim {claim} is not bound, and its StorageClass {class} binds before pods are placed \
                 (volumeBindingMode Immediate)"
            ),
            FaultKind::InUse(pod) => {
                write!(f, "the PersistentVolumeClaim {claim} is for one pod alone (ReadWriteOncePod), and {pod} uses it")
            }
        }
    }
}

impl VolumeFault {
    /// How to put it right, in the imperative.
    #[must_use]
    pub fn mend(&self) -> String {
        let claim = &self.claim;
        match &self.kind {
            FaultKind::Missing => format!("create the PersistentVolumeClaim {claim}, or add it to the input"),
            FaultKind::Deleting | FaultKind::Lost => format!("recreate the PersistentVolumeClaim {claim}"),
            FaultKind::VolumeMissing(volume) => format!("restore the PersistentVolume {volume}, or add it to the input"),
            FaultKind::VolumeDeleting(_) => format!("recreate the PersistentVolumeClaim {claim} with another volume"),
            FaultKind::Classless => format!("give the PersistentVolumeClaim {claim} a storageClassName"),
            FaultKind::ClassMissing(class) => format!("create the StorageClass {class}, or add it to the input"),
            FaultKind::Waiting(class) => {
                format!("bind the PersistentVolumeClaim {claim}, or let the StorageClass {class} wait for the first consumer")
            }
            FaultKind::InUse(_) => format!("give the pod a claim of its own in place of {claim}"),
        }
    }
}
