//! Tags: by them owners find what belongs to a cluster, and a restart finds every instance.

use std::collections::BTreeMap;

use crate::adapters::kube::crd::EC2NodeClass;
use crate::domain::labels;

/// The cluster.
pub(super) const CLUSTER: &str = "eks:eks-cluster-name";
/// The name of the NodeClaim.
pub(super) const CLAIM: &str = "karpenter.sh/nodeclaim";
/// The UID of the NodeClaim: names are used again, UIDs are not.
pub(super) const CLAIM_UID: &str = "supercargo.io/nodeclaim-uid";

/// The tags of everything that is made for a node of `class` and `node_pool`: the user's, and ours, which win.
///
/// # Errors
/// When `spec.tags` has a key that is ours; the error is a sentence.
pub(super) fn shared(class: &EC2NodeClass, node_pool: &str, cluster: &str) -> Result<BTreeMap<String, String>, String> {
    let mut made = class.spec.tags.clone().unwrap_or_default();
    let of_cluster = format!("kubernetes.io/cluster/{cluster}");
    let restricted = [CLUSTER, CLAIM, CLAIM_UID, labels::NODE_POOL, labels::NODE_CLASS];
    let is_ours = |key: &str| key.starts_with("kubernetes.io/cluster/") || restricted.contains(&key);
    if let Some(key) = made.keys().find(|key| is_ours(key)) {
        return Err(format!("spec.tags: `{key}` is set by the controller; remove it"));
    }
    let class = class.metadata.name.clone().unwrap_or_default();
    for (key, value) in [
        (of_cluster, "owned".to_owned()),
        (CLUSTER.to_owned(), cluster.to_owned()),
        (labels::NODE_POOL.to_owned(), node_pool.to_owned()),
        (labels::NODE_CLASS.to_owned(), class),
    ] {
        made.insert(key, value);
    }
    Ok(made)
}

/// Tags as EC2 takes them.
pub(super) fn for_ec2(tags: &BTreeMap<String, String>) -> Vec<aws_sdk_ec2::types::Tag> {
    tags.iter().map(|(key, value)| aws_sdk_ec2::types::Tag::builder().key(key).value(value).build()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::kube::crd::EC2NodeClassSpec;

    #[test]
    fn our_tags_are_there_and_nobody_else_sets_them() {
        let class = |key: &str| {
            let tags = Some([(key.to_owned(), "x".to_owned())].into());
            EC2NodeClass::new("default", EC2NodeClassSpec { tags, ..EC2NodeClassSpec::default() })
        };
        let made = shared(&class("team"), "general", "demo").expect("a tag of the user's own");
        let listed: Vec<String> = made.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            listed,
            [
                "eks:eks-cluster-name=demo",
                "karpenter.k8s.aws/ec2nodeclass=default",
                "karpenter.sh/nodepool=general",
                "kubernetes.io/cluster/demo=owned",
                "team=x",
            ]
        );
        for key in ["karpenter.sh/nodepool", "kubernetes.io/cluster/other", "supercargo.io/nodeclaim-uid"] {
            assert!(shared(&class(key), "general", "demo").expect_err("ours").contains(key));
        }
    }
}
