//! What an instance is told at its start: how to join the cluster, with what the user has it do besides.
//!
//! Formats of the AWS provider of Karpenter v1.15.1 (`pkg/providers/amifamily/bootstrap`), one file for each family of images.

mod al2;
mod al2023;
mod bottlerocket;
mod kubelet_flags;
mod mime;
mod windows;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::adapters::aws::cloud::cluster_facts::ClusterFacts;
use crate::domain::labels;
use crate::domain::node_class::AmiFamily;
use crate::domain::taint::UNREGISTERED;
use crate::domain::taint::{Effect, Taint};

/// Bytes that EC2 takes at most, before they are encoded (EC2 User Guide, "Run commands when you launch an EC2 instance").
pub(super) const LONGEST: usize = 16_384;

/// Tells the controller that the kubelet sets the taints itself.
const DO_NOT_SYNC_TAINTS: &str = "karpenter.sh/do-not-sync-taints";
/// Domains whose labels a kubelet may not give itself (Kubernetes, admission controller NodeRestriction), and those below them.
const RESTRICTED_DOMAINS: &[&str] = &["kubernetes.io", "k8s.io", "node-restriction.kubernetes.io"];

/// What user data is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bootstrap<'a> {
    pub(super) family: AmiFamily,
    pub(super) facts: &'a ClusterFacts,
    /// Labels of the node, those that a kubelet may not set included: they are left out here.
    pub(super) labels: BTreeMap<String, String>,
    /// Taints and startup taints of the node.
    pub(super) taints: Vec<Taint>,
    /// `spec.kubelet` of the NodeClass.
    pub(super) kubelet: Map<String, Value>,
    /// Pods at most.
    pub(super) max_pods: i64,
    /// Whether local disks hold the storage of pods.
    pub(super) raid0: bool,
    /// Of Bottlerocket: whether the image has to be told which directories go on the local disks.
    pub(super) names_directories: bool,
    /// `spec.userData` of the NodeClass.
    pub(super) custom: Option<&'a str>,
}

/// Why there can be no user data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UserDataError {
    /// The user's part cannot be read.
    #[error("spec.userData cannot be read: {0}")]
    Unreadable(String),
    /// Nodes of the family need to know the addresses of services.
    #[error("the addresses of the cluster's services are not known; allow eks:DescribeCluster")]
    NoServiceCidr,
    /// EC2 takes no more.
    #[error("user data is {0} bytes, EC2 takes {LONGEST}; shorten spec.userData")]
    TooLong(usize),
}

/// The user data as text; nothing where the user's own image gets none.
///
/// # Errors
/// When the user's part does not have the format of the family, when it is too long, or when a fact is missing.
pub(super) fn user_data(bootstrap: &Bootstrap<'_>) -> Result<Option<String>, UserDataError> {
    let made = match bootstrap.family {
        AmiFamily::Al2023 => Some(al2023::user_data(bootstrap)?),
        AmiFamily::Al2 => Some(al2::user_data(bootstrap)?),
        AmiFamily::Bottlerocket => Some(bottlerocket::user_data(bootstrap)?),
        AmiFamily::Windows2019 | AmiFamily::Windows2022 | AmiFamily::Windows2025 => Some(windows::user_data(bootstrap)),
        // The user's own image knows what to do, or is told by the user.
        AmiFamily::Custom => bootstrap.custom.map(str::to_owned),
    };
    match made {
        Some(text) if text.len() > LONGEST => Err(UserDataError::TooLong(text.len())),
        other => Ok(other),
    }
}

impl Bootstrap<'_> {
    /// The labels that the kubelet gives its node.
    fn node_labels(&self) -> BTreeMap<String, String> {
        let mut made: BTreeMap<String, String> =
            self.labels.iter().filter(|(key, _)| !is_restricted(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
        made.insert(DO_NOT_SYNC_TAINTS.to_owned(), "true".to_owned());
        made
    }

    /// The taints that the kubelet gives its node: nothing runs there before the controller knows it.
    fn node_taints(&self) -> Vec<Taint> {
        let unregistered = Taint { key: UNREGISTERED.to_owned(), value: String::new(), effect: Effect::NoExecute };
        let mut made = self.taints.clone();
        if !made.iter().any(|taint| taint.key == UNREGISTERED && taint.effect == Effect::NoExecute) {
            made.push(unregistered);
        }
        made
    }

    /// The kubelet's settings with the number of pods and the cluster's DNS.
    fn kubelet_settings(&self) -> Map<String, Value> {
        let mut made = self.kubelet.clone();
        made.insert("maxPods".to_owned(), json!(self.max_pods));
        if let Some(address) = self.facts.dns_ip
            && made.get("clusterDNS").is_none_or(Value::is_null)
        {
            made.insert("clusterDNS".to_owned(), json!([address.to_string()]));
        }
        made
    }

    /// The first address of the cluster's DNS that the kubelet is told.
    fn dns(&self) -> Option<String> {
        let settings = self.kubelet_settings();
        settings.get("clusterDNS").and_then(|given| given.get(0)).and_then(Value::as_str).map(str::to_owned)
    }
}

fn is_restricted(label: &str) -> bool {
    let domain = label.split_once('/').map_or("", |(domain, _)| domain);
    let is_below = |of: &str| domain.strip_suffix(of).is_some_and(|before| before.is_empty() || before.ends_with('.'));
    RESTRICTED_DOMAINS.iter().any(|of| is_below(of))
}

/// The labels of a node of a claim with that capacity type.
pub(super) fn labels_of_node(claimed: Option<&BTreeMap<String, String>>, capacity_type: &str) -> BTreeMap<String, String> {
    let mut made = claimed.cloned().unwrap_or_default();
    made.insert(labels::CAPACITY_TYPE.to_owned(), capacity_type.to_owned());
    made
}

/// A value of the kubelet's settings as text: numbers and texts alike.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The entries of a map of the kubelet's settings, by key.
fn entries(settings: &Map<String, Value>, field: &str) -> BTreeMap<String, String> {
    let map = settings.get(field).and_then(Value::as_object);
    map.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn facts() -> ClusterFacts {
        ClusterFacts {
            name: "demo".to_owned(),
            endpoint: "https://ABC.gr7.eu-west-1.eks.amazonaws.com".to_owned(),
            ca_bundle: "Y2VydGlmaWNhdGU=".to_owned(),
            service_cidr: Some("172.20.0.0/16".to_owned()),
            dns_ip: Some("172.20.0.10".parse().expect("an address")),
            kubernetes_version: "1.36".to_owned(),
        }
    }

    pub(super) fn bootstrap<'a>(family: AmiFamily, facts: &'a ClusterFacts, custom: Option<&'a str>) -> Bootstrap<'a> {
        let labels = [("a", "b"), ("karpenter.sh/nodepool", "general"), ("topology.kubernetes.io/zone", "eu-west-1a")];
        let claimed = labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Bootstrap {
            family,
            facts,
            labels: labels_of_node(Some(&claimed), "spot"),
            taints: vec![Taint { key: "team".to_owned(), value: "web".to_owned(), effect: Effect::NoSchedule }],
            kubelet: Map::new(),
            max_pods: 29,
            raid0: false,
            names_directories: false,
            custom,
        }
    }

    #[test]
    fn a_kubelet_gets_no_label_that_it_may_not_set() {
        let restricted =
            ["kubernetes.io/arch", "topology.kubernetes.io/zone", "a.node-restriction.kubernetes.io/b", "x.k8s.io/y"];
        assert!(restricted.iter().all(|label| is_restricted(label)));
        for free in
            ["karpenter.sh/nodepool", "karpenter.k8s.aws/ec2nodeclass", "team", "notkubernetes.io/x", "topology.k8s.aws/zone-id"]
        {
            assert!(!is_restricted(free), "{free}");
        }
    }

    #[test]
    fn an_image_of_the_users_own_gets_what_the_user_wrote() {
        let facts = facts();
        assert_eq!(user_data(&bootstrap(AmiFamily::Custom, &facts, Some("as it is\r\n"))), Ok(Some("as it is\r\n".to_owned())));
        assert_eq!(user_data(&bootstrap(AmiFamily::Custom, &facts, None)), Ok(None));
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(user_data(&bootstrap(AmiFamily::Custom, &facts, Some(&long))), Err(UserDataError::TooLong(LONGEST + 1)));
    }
}
