//! What cannot be done says so, on the object that it is about, in words that name the mend.

use std::time::Duration;

use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::Outcome;
use crate::Trouble;
use crate::bed::Bed;
use crate::cluster::{Workload, until};
use crate::joiner::Habits;
use crate::scale_up::{begin, claims, node_class, node_pool};

const PATIENCE: Duration = Duration::from_secs(60);

/// What the controller says of a pod that it cannot place.
async fn failure_of(bed: &Bed, app: &str, words: &[&str]) -> Result<String, Trouble> {
    until(&format!("an event on a pod of {app} with {words:?}"), PATIENCE, async || {
        for pod in bed.cluster.pods_of(app).await? {
            let events = bed.cluster.events("Pod", &pod.name_any()).await?;
            let ours = |(reason, message): &&(String, String)| {
                reason == "FailedScheduling"
                    && message.starts_with("Failed to schedule pod")
                    && words.iter().all(|word| message.contains(word))
            };
            if let Some((_, message)) = events.iter().find(ours) {
                return Ok(Some(message.clone()));
            }
        }
        Ok(None)
    })
    .await
}

pub(crate) async fn a_pool_at_its_limit_is_named_on_the_pod(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("limit").await?;
    let _joiner = bed.joiner(&cloud, Habits::default())?;
    let mut controller = begin(bed, &cloud, &node_pool(&json!({"limits": {"cpu": "4"}})), &[]).await?;
    let workload = Workload { name: "web", replicas: 6, cpu: "1", memory: "1Gi", more: Value::Null };
    bed.cluster.apply_object(&workload.deployment()).await?;
    let said = failure_of(bed, "web", &["general", "limit"]).await?;
    crate::tell(&format!("at the limit: {said}"));
    // What fits runs.
    until("pods run as far as the limit goes", PATIENCE, async || {
        let pods = bed.cluster.pods_of("web").await?;
        let running = pods.iter().filter(|pod| pod.status.as_ref().and_then(|of| of.phase.as_deref()) == Some("Running")).count();
        Ok((running >= 2).then_some(()))
    })
    .await?;
    controller.check()?;
    Ok(())
}

pub(crate) async fn an_impossible_pod_says_what_it_would_take(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("impossible").await?;
    let mut controller = begin(bed, &cloud, &node_pool(&Value::Null), &[]).await?;
    let huge = Workload { name: "huge", replicas: 1, cpu: "4000", memory: "1Gi", more: Value::Null };
    let arm = Workload {
        name: "arm",
        replicas: 1,
        cpu: "1",
        memory: "1Gi",
        more: json!({"nodeSelector": {"kubernetes.io/arch": "arm64"}}),
    };
    bed.cluster.apply_object(&huge.deployment()).await?;
    bed.cluster.apply_object(&arm.deployment()).await?;
    let said = failure_of(bed, "huge", &["4000 cores", "largest node"]).await?;
    crate::tell(&format!("too large: {said}"));
    let said = failure_of(bed, "arm", &["kubernetes.io/arch"]).await?;
    crate::tell(&format!("wrong architecture: {said}"));
    assert!(claims(bed).await?.is_empty(), "nothing is bought for pods that it would not help");
    controller.check()?;
    Ok(())
}

pub(crate) async fn a_class_without_a_subnet_says_so_and_its_pool_too(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("no-subnet").await?;
    let mut class = node_class();
    class["spec"]["subnetSelectorTerms"] = json!([{"tags": {"karpenter.sh/discovery": "nowhere"}}]);
    let mut controller = begin(bed, &cloud, &node_pool(&Value::Null), &[]).await?;
    bed.cluster.apply_object(&class).await?;
    let condition = |object: &kube::api::DynamicObject, name: &str| -> Option<(String, String)> {
        let all = object.data.pointer("/status/conditions")?.as_array()?.clone();
        let found = all.into_iter().find(|of| of["type"] == name && of["status"] == "False")?;
        Some((found["reason"].as_str()?.to_owned(), found["message"].as_str()?.to_owned()))
    };
    let classes = bed.cluster.api("karpenter.k8s.aws/v1", "EC2NodeClass", "");
    let (reason, message) = until("the class says that it has no subnet", PATIENCE, async || {
        Ok(condition(&classes.get("default").await?, "SubnetsReady"))
    })
    .await?;
    assert_eq!(reason, "SubnetsNotFound");
    assert!(message.contains("subnetSelectorTerms"), "{message}");
    let pools = bed.cluster.api("karpenter.sh/v1", "NodePool", "");
    until("the pool says that its class is not ready", PATIENCE, async || {
        Ok(condition(&pools.get("general").await?, "NodeClassReady"))
    })
    .await?;
    controller.check()?;
    Ok(())
}

pub(crate) async fn a_dry_run_recommends_and_does_nothing(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("dry-run").await?;
    let mut controller = begin(bed, &cloud, &node_pool(&Value::Null), &[("DRY_RUN", "true")]).await?;
    let workload = Workload { name: "web", replicas: 3, cpu: "1", memory: "2Gi", more: Value::Null };
    bed.cluster.apply_object(&workload.deployment()).await?;
    let said = until("a pod hears which node it would get", PATIENCE, async || {
        for pod in bed.cluster.pods_of("web").await? {
            let events = bed.cluster.events("Pod", &pod.name_any()).await?;
            if let Some((_, message)) = events.into_iter().find(|(reason, _)| reason == "Recommended") {
                return Ok(Some(message));
            }
        }
        Ok(None)
    })
    .await?;
    assert!(said.contains("$"), "{said}");
    assert!(claims(bed).await?.is_empty(), "no NodeClaim is written");
    let changes = ["CreateFleet", "CreateLaunchTemplate", "RunInstances", "CreateInstanceProfile", "TerminateInstances"];
    let made: Vec<&str> = changes.into_iter().filter(|call| cloud.account.count(call) > 0).collect();
    assert!(made.is_empty(), "calls that change the cloud: {made:?}");
    controller.check()?;
    Ok(())
}

pub(crate) async fn overlays_say_whether_they_count(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("overlays").await?;
    let mut controller = begin(bed, &cloud, &node_pool(&Value::Null), &[("FEATURE_GATES", "NodeOverlay=true")]).await?;
    let overlay = |name: &str, spec: Value| json!({"apiVersion": "karpenter.sh/v1alpha1", "kind": "NodeOverlay", "metadata": {"name": name}, "spec": spec});
    let about = json!([{"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["m5.large"]}]);
    // Of two of one weight that are about one price the last of the alphabet counts.
    for name in ["first", "second"] {
        let spec = json!({"requirements": about, "priceAdjustment": "-10%", "weight": 10});
        bed.cluster.apply_object(&overlay(name, spec)).await?;
    }
    let api = bed.cluster.api("karpenter.sh/v1alpha1", "NodeOverlay", "");
    let said = |object: &kube::api::DynamicObject, name: &str| -> Option<(String, String)> {
        let all = object.data.pointer("/status/conditions")?.as_array()?.clone();
        let found = all.into_iter().find(|of| of["type"] == name)?;
        Some((found["status"].as_str()?.to_owned(), format!("{} {}", found["reason"].as_str()?, found["message"].as_str()?)))
    };
    let message = until("the overlay that comes too late says so", PATIENCE, async || {
        let (first, second) = (api.get("first").await?, api.get("second").await?);
        let counts = said(&second, "Ready").is_some_and(|(status, _)| status == "True");
        Ok(said(&first, "ValidationSucceeded").filter(|(status, _)| counts && status == "False").map(|(_, message)| message))
    })
    .await?;
    assert!(message.starts_with("Conflict ") && message.contains("second") && message.contains("weight"), "{message}");
    // Mended, it counts.
    let spec = json!({"requirements": about, "priceAdjustment": "-10%", "weight": 20});
    bed.cluster.apply_object(&overlay("first", spec)).await?;
    until("the overlay that was mended says so", PATIENCE, async || {
        Ok(said(&api.get("first").await?, "Ready").filter(|(status, _)| status == "True").map(|_| ()))
    })
    .await?;
    controller.check()?;
    Ok(())
}
