//! Pending pods become running pods: the whole path, from the scheduler's refusal to the last binding.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::Outcome;
use crate::Trouble;
use crate::aws::{CLUSTER, Cloud, NODE_ROLE};
use crate::bed::Bed;
use crate::cluster::{Workload, until};
use crate::control_plane::SYSTEM_NAMESPACE;
use crate::controller::Controller;
use crate::joiner::{Fault, Habits};
use crate::rules;

/// From the creation of pods until all of them run.
const PATIENCE: Duration = Duration::from_secs(120);

/// An EC2NodeClass that finds what the account has.
pub(crate) fn node_class() -> Value {
    json!({
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": "default"},
        "spec": {
            "role": NODE_ROLE,
            "amiSelectorTerms": [{"alias": "al2023@latest"}],
            "subnetSelectorTerms": [{"tags": {"karpenter.sh/discovery": CLUSTER}}],
            "securityGroupSelectorTerms": [{"tags": {"karpenter.sh/discovery": CLUSTER}}],
        },
    })
}

/// A NodePool of all types of current generations, with `more` in its `spec`.
pub(crate) fn node_pool(more: &Value) -> Value {
    let mut pool = json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": "general"},
        "spec": {"template": {"spec": {
            "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"},
            "requirements": [
                {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot", "on-demand"]},
                {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
                {"key": "karpenter.k8s.aws/instance-category", "operator": "In", "values": ["c", "m", "r"]},
            ],
        }}},
    });
    if let (Some(spec), Some(more)) = (pool["spec"].as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    pool
}

/// NodeClaims, by name.
pub(crate) async fn claims(bed: &Bed) -> Result<Vec<DynamicObject>, Trouble> {
    Ok(bed.cluster.api("karpenter.sh/v1", "NodeClaim", "").list(&ListParams::default()).await?.items)
}

/// The nodes that pods are on, by the names of the pods.
pub(crate) fn places(pods: &[Pod]) -> BTreeMap<String, String> {
    let node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    pods.iter().map(|pod| (pod.name_any(), node(pod))).collect()
}

/// The nodes that pods were planned for, by the names of the pods, once the claims know their nodes.
pub(crate) fn planned(claims: &[DynamicObject]) -> BTreeMap<String, String> {
    let mut made = BTreeMap::new();
    for claim in claims {
        let node = claim.data.pointer("/status/nodeName").and_then(Value::as_str).unwrap_or_default();
        let text = claim.annotations().get("supercargo.io/planned-pods").cloned().unwrap_or_default();
        for entry in text.split(',').filter(|entry| !entry.is_empty()) {
            let name = entry.split(['/', '=']).nth(1).unwrap_or_default();
            made.insert(name.to_owned(), node.to_owned());
        }
    }
    made
}

/// Applies NodeClass and NodePool, and starts a controller.
pub(crate) async fn begin(
    bed: &Bed,
    cloud: &Cloud,
    pool: &Value,
    settings: &[(&'static str, &str)],
) -> Result<Controller, Trouble> {
    bed.cluster.apply_object(&node_class()).await?;
    bed.cluster.apply_object(pool).await?;
    Controller::start(&bed.processes, &bed.plane, cloud, settings)
}

pub(crate) async fn two_hundred_mixed_pods_run_where_the_plan_put_them(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("scale-up").await?;
    let _joiner = bed.joiner(&cloud, Habits::default())?;
    let shapes = [("web", 80, "500m", "512Mi"), ("api", 60, "250m", "1Gi"), ("cache", 40, "1", "4Gi"), ("batch", 20, "2", "2Gi")];
    let workloads = shapes.map(|(name, replicas, cpu, memory)| Workload {
        name,
        replicas,
        cpu,
        memory,
        more: Workload::spread_over_zones(name),
    });
    for workload in &workloads {
        bed.cluster.apply_object(&workload.deployment()).await?;
    }
    // All in one batch, however slowly they are made.
    for workload in &workloads {
        bed.cluster.until_unschedulable(workload, PATIENCE).await?;
    }
    let mut controller = begin(bed, &cloud, &node_pool(&Value::Null), &[]).await?;
    let mut running = Vec::new();
    for workload in &workloads {
        let pods = bed.cluster.until_running(workload, PATIENCE).await?;
        rules::zones_are_in_balance(&bed.cluster.nodes().await?, &pods)?;
        running.extend(pods);
    }
    let where_they_run = places(&running);
    controller.check()?;
    let claims = claims(bed).await?;
    let meant = planned(&claims);
    let plans: BTreeSet<&String> = claims.iter().filter_map(|claim| claim.annotations().get("supercargo.io/plan-id")).collect();
    let nodes = bed.cluster.nodes().await?;
    assert_eq!(nodes.len(), claims.len(), "nodes bought are nodes planned");
    assert_eq!(cloud.instances().await?.len(), claims.len(), "and each has one instance");
    let as_planned = where_they_run.iter().filter(|(pod, node)| meant.get(*pod) == Some(*node)).count();
    crate::tell(&format!(
        "{} pods on {} nodes in {} plan(s); {as_planned} where the plan put them",
        where_they_run.len(),
        nodes.len(),
        plans.len()
    ));
    rules::nodes_hold_their_pods(&nodes, &running)?;
    // One that is elsewhere found spare room, and nothing was bought for it once more.
    assert_eq!(plans.len(), 1, "no second round of launches");
    let mut twice: BTreeMap<String, usize> = BTreeMap::new();
    for claim in &claims {
        let text = claim.annotations().get("supercargo.io/planned-pods").cloned().unwrap_or_default();
        for entry in text.split(',').filter(|entry| !entry.is_empty()) {
            *twice.entry(entry.to_owned()).or_default() += 1;
        }
    }
    twice.retain(|_, times| *times > 1);
    assert!(twice.is_empty(), "planned more than once: {twice:?}");
    until("every claim is ready", PATIENCE, async || {
        let claims = self::claims(bed).await?;
        let ready = |claim: &DynamicObject| {
            let conditions = claim.data.pointer("/status/conditions").and_then(Value::as_array);
            conditions.is_some_and(|all| all.iter().any(|of| of["type"] == "Ready" && of["status"] == "True"))
        };
        Ok(claims.iter().all(ready).then_some(()))
    })
    .await?;
    let status = controller.stop().await?;
    assert!(status.success(), "it ends in order when it is asked to: {status}");
    let lease = bed.cluster.api("coordination.k8s.io/v1", "Lease", SYSTEM_NAMESPACE).get("karpenter-leader-election").await?;
    assert_eq!(lease.data["spec"]["holderIdentity"].as_str().unwrap_or_default(), "", "it gives the Lease back");
    Ok(())
}

pub(crate) async fn a_deleted_claim_ends_its_node_and_its_instance(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("deletion").await?;
    let _joiner = bed.joiner(&cloud, Habits::default())?;
    let mut controller = begin(bed, &cloud, &node_pool(&Value::Null), &[]).await?;
    let workload = Workload { name: "web", replicas: 3, cpu: "1", memory: "1Gi", more: Value::Null };
    bed.cluster.apply_object(&workload.deployment()).await?;
    bed.cluster.until_running(&workload, PATIENCE).await?;
    let first: BTreeSet<String> = claims(bed).await?.iter().map(kube::ResourceExt::name_any).collect();
    let api: Api<DynamicObject> = bed.cluster.api("karpenter.sh/v1", "NodeClaim", "");
    for name in &first {
        api.delete(name, &kube::api::DeleteParams::default()).await?;
    }
    until("the deleted claims are gone", PATIENCE, async || {
        Ok(claims(bed).await?.iter().all(|claim| !first.contains(&claim.name_any())).then_some(()))
    })
    .await?;
    bed.cluster.until_running(&workload, PATIENCE).await?;
    let now = claims(bed).await?;
    cloud.until_instances(now.len(), PATIENCE).await?;
    controller.check()?;
    Ok(())
}

pub(crate) async fn later_pods_take_the_free_room_of_a_node_that_is_held(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("held").await?;
    let faults = [Fault::NotReadyFor(Duration::from_secs(8))].into();
    let _joiner = bed.joiner(&cloud, Habits { faults, ..Habits::default() })?;
    let mut pool = node_pool(&Value::Null);
    pool["spec"]["template"]["spec"]["requirements"][2] =
        json!({"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["m5.2xlarge"]});
    let mut controller = begin(bed, &cloud, &pool, &[]).await?;
    let first = Workload { name: "first", replicas: 2, cpu: "1", memory: "1Gi", more: Value::Null };
    bed.cluster.apply_object(&first.deployment()).await?;
    let held = |node: &k8s_openapi::api::core::v1::Node| {
        node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).any(|taint| taint.key == "supercargo.io/hold")
    };
    until("the node is held", PATIENCE, async || Ok(bed.cluster.nodes().await?.iter().any(held).then_some(()))).await?;
    let later = Workload { name: "later", replicas: 3, cpu: "1", memory: "1Gi", more: Value::Null };
    bed.cluster.apply_object(&later.deployment()).await?;
    until("the later pods are planned for the node", PATIENCE, async || {
        let planned = planned(&claims(bed).await?);
        Ok((planned.keys().filter(|pod| pod.starts_with("later")).count() == 3).then_some(()))
    })
    .await?;
    assert!(bed.cluster.nodes().await?.iter().any(held), "they were planned before the node was free for all");
    for workload in [&first, &later] {
        bed.cluster.until_running(workload, PATIENCE).await?;
    }
    assert_eq!(claims(bed).await?.len(), 1, "the node had room for all");
    controller.check()?;
    Ok(())
}
