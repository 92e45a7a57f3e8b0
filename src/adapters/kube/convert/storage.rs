//! Claims, volumes and what makes them: PersistentVolumeClaim, PersistentVolume, StorageClass and CSINode, and the volumes of a pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodSpec as ApiPodSpec, TopologySelectorTerm,
};
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::adapters::kube::convert::FieldError;
use crate::adapters::kube::convert::node_affinity::{alternative, join};
use crate::domain::labels;
use crate::domain::requirement::{Requirement, Requirements};
use crate::domain::volume::EBS_DRIVER;

/// The provisioner of classes whose volumes are made by hand.
const BY_HAND: &str = "kubernetes.io/no-provisioner";
/// What names the class of old claims.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// A claimed volume of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its name in the pod.
    pub volume: String,
    /// What it mounts.
    pub source: MountSource,
}

/// What a pod mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// A claim by name.
    Claim(String),
    /// A claim of its own, named after pod and volume, which is made with the pod (a generic ephemeral volume).
    Made(ClaimSpec),
}

/// What a claim asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimSpec {
    /// The StorageClass; the cluster's default where none is given, and no class where the name is empty.
    pub class: Option<String>,
    /// The volume that it is, or is to be, bound to.
    pub volume: Option<String>,
    /// Whether one pod alone may use it (`ReadWriteOncePod`).
    pub one_pod: bool,
}

/// A `PersistentVolumeClaim`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimFacts {
    /// What it asks for.
    pub spec: ClaimSpec,
    /// Phase `Lost`.
    pub lost: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// A `PersistentVolume`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeFacts {
    /// CSI driver, if one attaches it.
    pub driver: Option<String>,
    /// Where it can be attached; empty is anywhere.
    pub places: Vec<Requirements>,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// A `StorageClass`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassFacts {
    /// CSI driver; `None` where volumes are made by hand.
    pub driver: Option<String>,
    /// Whether claims are bound before pods are placed.
    pub immediate: bool,
    /// Where volumes may be made; empty is anywhere.
    pub places: Vec<Requirements>,
    /// Whether claims without a class get this one.
    pub is_default: bool,
    /// When it was made, as text that sorts; the newest default counts.
    pub created: String,
}

/// Volumes that a node can have, by driver (`CSINode`).
pub type AttachLimits = BTreeMap<String, i64>;

/// The claimed volumes of a pod.
///
/// # Errors
/// A volume that names no claim.
pub fn mounts(spec: &ApiPodSpec) -> Result<Vec<Mount>, FieldError> {
    let mut made = Vec::new();
    for (index, volume) in spec.volumes.iter().flatten().enumerate() {
        let source = if let Some(claim) = &volume.persistent_volume_claim {
            if claim.claim_name.is_empty() {
                let field = format!("volumes[{index}].persistentVolumeClaim.claimName");
                return Err(FieldError::new(field, "the claim has no name", "name a PersistentVolumeClaim of the namespace"));
            }
            MountSource::Claim(claim.claim_name.clone())
        } else if let Some(ephemeral) = &volume.ephemeral {
            let Some(template) = &ephemeral.volume_claim_template else {
                let field = format!("volumes[{index}].ephemeral.volumeClaimTemplate");
                return Err(FieldError::new(field, "there is no template", "say which claim is to be made"));
            };
            MountSource::Made(claim_spec(template.metadata.as_ref(), Some(&template.spec)))
        } else {
            continue;
        };
        made.push(Mount { volume: volume.name.clone(), source });
    }
    Ok(made)
}

/// What a claim, or a template of claims, asks for.
#[must_use]
pub fn claim_spec(metadata: Option<&ObjectMeta>, spec: Option<&PersistentVolumeClaimSpec>) -> ClaimSpec {
    let annotation = metadata.and_then(|of| of.annotations.as_ref()?.get(CLASS_ANNOTATION).cloned());
    let modes = spec.and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
    ClaimSpec {
        class: annotation.or_else(|| spec.and_then(|spec| spec.storage_class_name.clone())),
        volume: spec.and_then(|spec| spec.volume_name.clone()).filter(|name| !name.is_empty()),
        one_pod: modes.iter().any(|mode| mode == "ReadWriteOncePod"),
    }
}

/// The facts of `claim`.
#[must_use]
pub fn claim_facts(claim: &PersistentVolumeClaim) -> ClaimFacts {
    ClaimFacts {
        spec: claim_spec(Some(&claim.metadata), claim.spec.as_ref()),
        lost: claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost"),
        deleting: claim.metadata.deletion_timestamp.is_some(),
    }
}

/// The facts of `volume`.
///
/// As Karpenter core v1.15.0 does (`pkg/controllers/provisioning/scheduling/volumetopology.go`), the names of nodes are left out of
/// the affinity of local volumes; labels of zone and region count besides the affinity (kube-scheduler's `volumezone`).
///
/// # Errors
/// A node affinity that is malformed.
pub fn volume_facts(volume: &PersistentVolume) -> Result<VolumeFacts, FieldError> {
    const TERMS: &str = "spec.nodeAffinity.required.nodeSelectorTerms";
    let spec = volume.spec.clone().unwrap_or_default();
    let is_local = spec.local.is_some() || spec.host_path.is_some();
    let required = spec.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref());
    let mut places = Vec::new();
    for (index, term) in required.iter().flat_map(|required| &required.node_selector_terms).enumerate() {
        let found = alternative(&Requirements::new(), term).map_err(|error| error.inside(&format!("{TERMS}[{index}]")))?;
        places.extend(found.map(|mut terms| {
            if is_local {
                terms.remove(labels::HOSTNAME);
            }
            terms
        }));
    }
    if required.is_some() && places.is_empty() {
        let mut nowhere = Requirements::new();
        nowhere.add(labels::NO_NODE, Requirement::any());
        places.push(nowhere);
    }
    let mut labelled = Requirements::new();
    for (key, value) in volume.metadata.labels.iter().flatten() {
        if matches!(labels::normalize(key), labels::ZONE | labels::REGION) {
            join(&mut labelled, key, Requirement::one_of(value.split("__")));
        }
    }
    if !labelled.is_empty() {
        if places.is_empty() {
            places.push(Requirements::new());
        }
        for terms in &mut places {
            labelled.iter().for_each(|(key, wanted)| join(terms, key, wanted.clone()));
        }
    }
    let of_aws = spec.aws_elastic_block_store.is_some().then(|| EBS_DRIVER.to_owned());
    Ok(VolumeFacts {
        driver: spec.csi.map(|csi| csi.driver).or(of_aws),
        places: joined(places),
        deleting: volume.metadata.deletion_timestamp.is_some(),
    })
}

/// The facts of `class`.
///
/// # Errors
/// A binding mode or a topology that is malformed.
pub fn class_facts(class: &StorageClass) -> Result<ClassFacts, FieldError> {
    let immediate = match class.volume_binding_mode.as_deref() {
        None | Some("" | "Immediate") => true,
        Some("WaitForFirstConsumer") => false,
        Some(other) => {
            let problem = format!("unknown mode `{other}`");
            return Err(FieldError::new("volumeBindingMode", problem, "use Immediate or WaitForFirstConsumer"));
        }
    };
    let mut places = Vec::new();
    for (index, term) in class.allowed_topologies.iter().flatten().enumerate() {
        places.push(topology(term).map_err(|error| error.inside(&format!("allowedTopologies[{index}]")))?);
    }
    let is_default =
        |key: &str| class.metadata.annotations.as_ref().and_then(|of| of.get(key)).is_some_and(|value| value == "true");
    let created = class.metadata.creation_timestamp.as_ref().map(|time| time.0.to_string());
    let driver = match class.provisioner.as_str() {
        BY_HAND => None,
        "kubernetes.io/aws-ebs" => Some(EBS_DRIVER.to_owned()),
        other => Some(other.to_owned()),
    };
    Ok(ClassFacts {
        driver,
        immediate,
        places: joined(places),
        is_default: is_default("storageclass.kubernetes.io/is-default-class")
            || is_default("storageclass.beta.kubernetes.io/is-default-class"),
        created: created.unwrap_or_default(),
    })
}

fn topology(term: &TopologySelectorTerm) -> Result<Requirements, FieldError> {
    let mut made = Requirements::new();
    for (index, expression) in term.match_label_expressions.iter().flatten().enumerate() {
        if expression.values.is_empty() {
            let field = format!("matchLabelExpressions[{index}].values");
            return Err(FieldError::new(field, "there are no values", "list the values that the label may have"));
        }
        join(&mut made, &expression.key, Requirement::one_of(expression.values.iter().cloned()));
    }
    Ok(made)
}

/// The volumes that a node can have.
///
/// # Errors
/// A negative number.
pub fn attach_limits(node: &CSINode) -> Result<AttachLimits, FieldError> {
    let mut made = AttachLimits::new();
    for (index, driver) in node.spec.drivers.iter().enumerate() {
        let Some(count) = driver.allocatable.as_ref().and_then(|of| of.count) else { continue };
        if count < 0 {
            let field = format!("spec.drivers[{index}].allocatable.count");
            return Err(FieldError::new(field, format!("{count} is negative"), "write how many volumes the node can have"));
        }
        made.insert(driver.name.clone(), i64::from(count));
    }
    Ok(made)
}

/// Alternatives without those that say no more than others: none where one asks for nothing, and one where all name values of one label.
fn joined(mut places: Vec<Requirements>) -> Vec<Requirements> {
    if places.iter().any(Requirements::is_empty) {
        return Vec::new();
    }
    places.sort();
    places.dedup();
    let single = |terms: &Requirements| {
        let (key, wanted) = terms.iter().next().filter(|_| terms.len() == 1)?;
        Some((key.to_owned(), wanted.finite().filter(|values| !values.is_empty())?.clone()))
    };
    let singles: Option<Vec<_>> = places.iter().map(single).collect();
    match singles.as_deref() {
        Some([(key, _), rest @ ..]) if rest.iter().all(|(other, _)| other == key) => {
            let values = singles.iter().flatten().flat_map(|(_, values)| values.iter().cloned());
            let mut one = Requirements::new();
            one.add(key, Requirement::one_of(values));
            vec![one]
        }
        _ => places,
    }
}
