//! Whether a NodeClass can be meant, as far as that shows without asking anybody: the condition `ValidationSucceeded` before the dry
//! runs. The order of the checks and their reasons are those of the AWS provider of Karpenter v1.15.1.

use crate::adapters::kube::conditions::{ConditionStatus, Conditioned, Conditions};
use crate::adapters::kube::convert::{FieldError, node_class};
use crate::adapters::kube::crd::EC2NodeClass;
use crate::domain::labels;
use crate::domain::node_class::AmiFamily;

use super::kubelet;
use super::status::VALIDATION_SUCCEEDED;

/// The most bytes of user data that EC2 takes, before Base64.
const MOST_USER_DATA: usize = 16_384;

/// Tags that say what the controller made, and for whom.
const OWN_TAGS: &[&str] = &["eks:eks-cluster-name", labels::NODE_POOL, "karpenter.sh/nodeclaim", labels::NODE_CLASS];
const CLUSTER_TAGS: &str = "kubernetes.io/cluster";

/// Why a NodeClass is not valid, or not yet known to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Objection {
    pub(super) status: ConditionStatus,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Objection {
    pub(super) fn new(reason: &'static str, message: String) -> Self {
        Self { status: ConditionStatus::False, reason, message }
    }

    pub(super) fn field(reason: &'static str, error: &FieldError) -> Self {
        Self::new(reason, format!("{}: {}; {}", error.field, error.problem, error.mend))
    }
}

/// The first objection; `conditions` already say what the selectors found.
pub(super) fn objection(class: &EC2NodeClass, service_cidr: Option<&str>, conditions: &Conditions) -> Option<Objection> {
    let name = class.metadata.name.as_deref().unwrap_or_default();
    // The kubelet's own settings are checked below, where the reasons are told apart.
    let mut without_kubelet = class.clone();
    without_kubelet.spec.kubelet = None;
    let converted = match node_class::from_api(name, &without_kubelet) {
        Ok(converted) => converted,
        Err(error) => return Some(Objection::field("InvalidSpec", &error)),
    };
    if converted.ami_family == AmiFamily::Al2023 && service_cidr.is_none() {
        let message = "the addresses of the cluster's Services are not known, and AL2023 needs them to join; allow eks:DescribeCluster to \
                       the IAM role of the controller, and check the name of the cluster";
        return Some(Objection::new("ClusterCIDRResolutionFailed", message.to_owned()));
    }
    class
        .spec
        .kubelet
        .as_ref()
        .and_then(|settings| kubelet::objection(settings, converted.ami_family))
        .or_else(|| node_class::from_api(name, class).err().map(|error| Objection::field("InvalidKubeletConfiguration", &error)))
        .or_else(|| dependencies(conditions))
        .or_else(|| tags(class))
        .or_else(|| user_data(class))
}

/// What the dry runs would be made with must have been found.
fn dependencies(conditions: &Conditions) -> Option<Objection> {
    let others = || EC2NodeClass::DEPENDENTS.iter().copied().filter(|name| *name != VALIDATION_SUCCEEDED);
    let those = |status| others().filter(|name| conditions.is(name, status)).collect::<Vec<_>>().join(", ");
    [(ConditionStatus::False, "not ready"), (ConditionStatus::Unknown, "not yet known")].into_iter().find_map(|(status, word)| {
        let names = those(status);
        let message = format!("{word}: {names}; see what these conditions say");
        (!names.is_empty()).then_some(Objection { status, reason: "DependenciesNotReady", message })
    })
}

fn tags(class: &EC2NodeClass) -> Option<Objection> {
    let is_own = |key: &str| OWN_TAGS.contains(&key) || key.starts_with(CLUSTER_TAGS);
    let key = class.spec.tags.iter().flatten().map(|(key, _)| key).find(|key| is_own(key))?;
    let error = FieldError::new(format!("spec.tags[\"{key}\"]"), "the controller sets this tag itself", "remove it");
    Some(Objection::field("TagValidationFailed", &error))
}

fn user_data(class: &EC2NodeClass) -> Option<Objection> {
    let size = class.spec.user_data.as_ref().map(String::len).filter(|size| *size > MOST_USER_DATA)?;
    let error = FieldError::new(
        "spec.userData",
        format!("{size} bytes are more than the {MOST_USER_DATA} that EC2 takes"),
        "shorten it, or let it fetch the rest",
    );
    Some(Objection::field("UserDataSizeLimitExceeded", &error))
}
