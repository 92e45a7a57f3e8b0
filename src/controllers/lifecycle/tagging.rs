//! An instance that became a node gets the names that people look for in EC2's console (`nodeclaim.tagging`, AWS provider v1.15.1).

use std::collections::BTreeMap;

use kube::{Api, ResourceExt as _};

use super::Error;
use super::launch::{instance_id, provider_id};
use crate::adapters::kube::crd::NodeClaim;
use crate::controllers::patches;
use crate::controllers::world::World;

/// On a NodeClaim: its instance has its tags.
const TAGGED: &str = "karpenter.k8s.aws/tagged";
/// On a NodeClaim: its instance has the name of the cluster among them.
const CLUSTER_TAGGED: &str = "compatibility.karpenter.k8s.aws/cluster-name-tagged";
const CLUSTER: &str = "eks:eks-cluster-name";

/// Tags the claim's instance, once its node is known.
pub(super) async fn tag(world: &World, claim: &NodeClaim) -> Result<(), Error> {
    let done = [TAGGED, CLUSTER_TAGGED].iter().all(|key| claim.annotations().get(*key).is_some_and(|value| value == "true"));
    let node = claim.status.as_ref().and_then(|status| status.node_name.clone()).filter(|name| !name.is_empty());
    let (Some(id), Some(node), false) = (provider_id(claim).and_then(instance_id), node, done) else { return Ok(()) };
    let Some(instance) = world.cloud.get(id).await? else { return Ok(()) };
    let wanted = [("Name", node), ("karpenter.sh/nodeclaim", claim.name_any()), (CLUSTER, world.settings.cluster.name.clone())];
    let missing: BTreeMap<String, String> = wanted
        .into_iter()
        .filter(|(key, _)| !instance.tags.contains_key(*key))
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    if !missing.is_empty() {
        world.cloud.tag(id, &missing).await?;
    }
    let added = [TAGGED, CLUSTER_TAGGED].map(|key| (key.to_owned(), "true".to_owned())).into();
    patches::annotate(&Api::all(world.kube.clone()), claim, &added).await?;
    Ok(())
}
