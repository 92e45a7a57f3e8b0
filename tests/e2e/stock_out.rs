//! EC2 has not what is asked for: pods run on the next best, within one more round, and the events say what it cost.

use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::Outcome;
use crate::bed::Bed;
use crate::cluster::{Workload, until};
use crate::joiner::Habits;
use crate::scale_up::{begin, claims, node_pool};

const PATIENCE: Duration = Duration::from_secs(90);

/// The offering of the only node of a workload.
async fn only_node(bed: &Bed) -> Result<(String, String, String), crate::Trouble> {
    let nodes = bed.cluster.nodes().await?;
    let [node] = nodes.as_slice() else { return Err(format!("{} nodes instead of one", nodes.len()).into()) };
    let label = |key: &str| node.labels().get(key).cloned().unwrap_or_default();
    Ok((label("node.kubernetes.io/instance-type"), label("topology.kubernetes.io/zone"), label("karpenter.sh/capacity-type")))
}

pub(crate) async fn pods_run_on_the_next_best_offering(bed: &Bed) -> Outcome {
    let workload = Workload { name: "web", replicas: 4, cpu: "1500m", memory: "3Gi", more: Value::Null };
    // First without a lack, to learn what is cheapest.
    let cloud = bed.cloud("in-stock").await?;
    let joiner = bed.joiner(&cloud, Habits::default())?;
    let mut controller = begin(bed, &cloud, &node_pool(&Value::Null), &[]).await?;
    bed.cluster.apply_object(&workload.deployment()).await?;
    bed.cluster.until_running(&workload, PATIENCE).await?;
    let cheapest = only_node(bed).await?;
    controller.stop().await?;
    drop(joiner);
    bed.reset().await?;

    // Then without it: every pool of the type is dry, Spot and On-Demand.
    let cloud = bed.cloud("out-of-stock").await?;
    let pools: serde_json::Map<String, Value> = crate::aws::ZONES
        .iter()
        .flat_map(|zone| ["spot", "on-demand"].map(|kind| (format!("{}/{zone}/{kind}", cheapest.0), json!(0))))
        .collect();
    cloud.account.pools(&Value::Object(pools));
    let _joiner = bed.joiner(&cloud, Habits::default())?;
    let mut controller = begin(bed, &cloud, &node_pool(&Value::Null), &[]).await?;
    bed.cluster.apply_object(&workload.deployment()).await?;
    bed.cluster.until_running(&workload, PATIENCE).await?;
    let next = only_node(bed).await?;
    assert_ne!(next.0, cheapest.0, "the type that is not to be had");
    let said = until("an event tells what was not to be had", Duration::from_secs(20), async || {
        let mut found = Vec::new();
        for claim in claims(bed).await? {
            found.extend(bed.cluster.events("NodeClaim", &claim.name_any()).await?);
        }
        let all: Vec<String> =
            found.into_iter().filter(|(reason, _)| reason == "OfferingUnavailable").map(|(_, message)| message).collect();
        Ok((!all.is_empty()).then_some(all))
    })
    .await?;
    assert!(said.iter().any(|message| message.contains(&cheapest.0) && message.contains("/h more")), "{said:?}");
    controller.check()?;
    Ok(())
}

pub(crate) async fn a_claim_that_nothing_can_be_had_for_is_planned_again(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("all-dry").await?;
    let _joiner = bed.joiner(&cloud, Habits::default())?;
    // Spot is dry everywhere, and one zone's On-Demand too.
    let mut pool = node_pool(&Value::Null);
    pool["spec"]["template"]["spec"]["requirements"][2] =
        json!({"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["m5.large", "m5.xlarge", "c5.xlarge"]});
    let mut pools = serde_json::Map::new();
    for kind in ["m5.large", "m5.xlarge", "c5.xlarge"] {
        for zone in crate::aws::ZONES {
            pools.insert(format!("{kind}/{zone}/spot"), json!(0));
        }
    }
    cloud.account.pools(&Value::Object(pools));
    let mut controller = begin(bed, &cloud, &pool, &[]).await?;
    let workload = Workload { name: "web", replicas: 3, cpu: "1", memory: "2Gi", more: Value::Null };
    bed.cluster.apply_object(&workload.deployment()).await?;
    bed.cluster.until_running(&workload, PATIENCE).await?;
    for node in bed.cluster.nodes().await? {
        assert_eq!(node.labels().get("karpenter.sh/capacity-type").map(String::as_str), Some("on-demand"));
    }
    // One fleet for each claim, and the dry run of the NodeClass: nothing is asked for again that was not to be had.
    let events = Api::<Event>::all(bed.cluster.client()).list(&ListParams::default()).await?;
    let lacks = |event: &Event| event.reason.as_deref() == Some("InsufficientCapacityError");
    let failed = events.items.iter().filter(|event| lacks(event)).count();
    let (fleets, bought) = (cloud.account.count("CreateFleet"), cloud.instances().await?.len());
    assert!(failed > 0, "Spot was dry");
    let told =
        events.items.iter().find(|event| event.reason.as_deref() == Some("PlannedAgain")).and_then(|event| event.message.clone());
    let told = told.ok_or("no event tells what the stock-out costs")?;
    assert!(told.matches("$").count() == 2 && told.contains("could not deliver"), "{told}");
    crate::tell(&told);
    assert!(fleets <= failed + bought + 1, "{fleets} fleets for {failed} claims without and {bought} with an instance");
    controller.check()?;
    Ok(())
}

pub(crate) async fn full_subnets_send_pods_to_other_zones(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("full-subnets").await?;
    let _joiner = bed.joiner(&cloud, Habits::default())?;
    let kinds = ["m5.large", "m5.xlarge"];
    let mut pool = node_pool(&Value::Null);
    pool["spec"]["template"]["spec"]["requirements"][2] =
        json!({"key": "node.kubernetes.io/instance-type", "operator": "In", "values": kinds});
    let (full, only) = (&crate::aws::ZONES[..2], crate::aws::ZONES[2]);
    let mut pools = serde_json::Map::new();
    for zone in full {
        for kind in kinds {
            for capacity in ["spot", "on-demand"] {
                pools.insert(format!("{kind}/{zone}/{capacity}"), json!("InsufficientFreeAddressesInSubnet"));
            }
        }
    }
    cloud.account.pools(&Value::Object(pools));
    let mut controller = begin(bed, &cloud, &pool, &[]).await?;
    let workload = Workload { name: "web", replicas: 4, cpu: "1", memory: "2Gi", more: Value::Null };
    bed.cluster.apply_object(&workload.deployment()).await?;
    bed.cluster.until_running(&workload, PATIENCE).await?;
    for node in bed.cluster.nodes().await? {
        assert_eq!(node.labels().get("topology.kubernetes.io/zone").map(String::as_str), Some(only));
    }
    // The next pods are not sent to full subnets first.
    let before = cloud.account.count("CreateFleet");
    let claims_before = claims(bed).await?.len();
    let later = Workload { name: "later", replicas: 4, cpu: "1", memory: "2Gi", more: Value::Null };
    bed.cluster.apply_object(&later.deployment()).await?;
    bed.cluster.until_running(&later, PATIENCE).await?;
    let (fleets, bought) = (cloud.account.count("CreateFleet") - before, claims(bed).await?.len() - claims_before);
    assert_eq!(fleets, bought, "one fleet for each new node");
    controller.check()?;
    Ok(())
}
