//! A cluster of Karpenter's goes over: its objects are taken as they are, in the API server and in the cloud.

use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::Outcome;
use crate::bed::Bed;
use crate::cluster::{Workload, until};
use crate::controller::Controller;
use crate::joiner::Habits;
use crate::scale_up::{begin, claims, node_pool};

const PATIENCE: Duration = Duration::from_secs(90);
/// What only Supercargo writes.
const OURS: [&str; 3] = ["supercargo.io/plan-id", "supercargo.io/planned-pods", "supercargo.io/planned-usd-per-hour"];

pub(crate) async fn objects_of_a_running_karpenter_are_taken_as_they_are(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("adoption").await?;
    let _joiner = bed.joiner(&cloud, Habits::default())?;
    // A node as Karpenter would have made it: everything that only we write is taken away again.
    let mut controller = begin(bed, &cloud, &node_pool(&Value::Null), &[]).await?;
    let workload = Workload { name: "web", replicas: 2, cpu: "500m", memory: "512Mi", more: Value::Null };
    bed.cluster.apply_object(&workload.deployment()).await?;
    bed.cluster.until_running(&workload, PATIENCE).await?;
    controller.stop().await?;
    let api = bed.cluster.api("karpenter.sh/v1", "NodeClaim", "");
    let nodes = bed.cluster.api("v1", "Node", "");
    let gone: serde_json::Map<String, Value> = OURS.iter().map(|key| ((*key).to_owned(), Value::Null)).collect();
    let theirs = json!({"karpenter.sh/nodepool-hash": "7211021021309814342", "karpenter.sh/nodepool-hash-version": "v3"});
    for claim in claims(bed).await? {
        let patch = json!({"metadata": {"annotations": gone}});
        api.patch(&claim.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await?;
        api.patch(&claim.name_any(), &PatchParams::default(), &Patch::Merge(json!({"metadata": {"annotations": theirs}})))
            .await?;
    }
    let pools = bed.cluster.api("karpenter.sh/v1", "NodePool", "");
    pools.patch("general", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"annotations": theirs}}))).await?;
    for node in bed.cluster.nodes().await? {
        let patch = json!({"metadata": {"annotations": gone}});
        nodes.patch(&node.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await?;
    }
    let before = claims(bed).await?;
    let nodes_before = bed.cluster.nodes().await?;
    let instances = cloud.instances().await?;
    let fleets = cloud.account.count("CreateFleet");

    let mut controller = Controller::start(&bed.processes, &bed.plane, &cloud, &[])?;
    until("the pool is counted", PATIENCE, async || {
        let pool = pools.get("general").await?;
        Ok((pool.data.pointer("/status/nodes").and_then(Value::as_i64) == Some(i64::try_from(before.len())?)
            && pool.annotations().get("karpenter.sh/nodepool-hash-version").is_some_and(|version| version != "v3"))
        .then_some(()))
    })
    .await?;
    // One more pod: it has room where the others are.
    let more = Workload { name: "more", replicas: 1, cpu: "50m", memory: "64Mi", more: Value::Null };
    bed.cluster.apply_object(&more.deployment()).await?;
    bed.cluster.until_running(&more, PATIENCE).await?;
    let after = claims(bed).await?;
    assert_eq!(after.len(), before.len());
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(old.data["spec"], new.data["spec"], "the claim's spec");
        assert_eq!(old.data["status"]["providerID"], new.data["status"]["providerID"], "the claim's instance");
        assert_eq!(old.labels(), new.labels(), "the claim's labels");
        assert_eq!(old.finalizers(), new.finalizers(), "the claim's finalizers");
    }
    let nodes_after = bed.cluster.nodes().await?;
    for (old, new) in nodes_before.iter().zip(&nodes_after) {
        assert_eq!(old.spec, new.spec, "the node's spec");
        assert_eq!(old.labels(), new.labels(), "the node's labels");
    }
    assert_eq!(cloud.instances().await?, instances, "the cloud");
    // The dry run of the NodeClass is one; it buys nothing.
    assert!(cloud.account.count("CreateFleet") <= fleets + 1, "nothing is bought");
    controller.check()?;
    // A claim that somebody writes by hand is launched, too.
    let mut own = before[0].clone();
    own.metadata = kube::core::ObjectMeta { name: Some("by-hand".to_owned()), ..kube::core::ObjectMeta::default() };
    own.data["status"] = Value::Null;
    api.create(&PostParams::default(), &own).await?;
    until("the claim by hand is ready", PATIENCE, async || {
        let claim = api.get("by-hand").await?;
        let conditions = claim.data.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(conditions.iter().any(|of| of["type"] == "Ready" && of["status"] == "True").then_some(()))
    })
    .await?;
    Ok(())
}
