//! The cloud fails in every way that it has: what was begun is finished, with few calls, and nothing is bought twice.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Outcome;
use crate::Trouble;
use crate::bed::Bed;
use crate::cluster::Workload;
use crate::front::Front;
use crate::joiner::{Fault, Habits};
use crate::scale_up::{begin, claims, node_pool, planned};

const PATIENCE: Duration = Duration::from_secs(90);

/// Lets calls fail, and waits until pods run all the same. Gives how often CreateFleet was called.
async fn run_with(bed: &Bed, name: &str, faults: &Value) -> Result<usize, Trouble> {
    let cloud = bed.cloud(name).await?;
    let _joiner = bed.joiner(&cloud, Habits::default())?;
    cloud.account.faults(faults);
    let mut controller = begin(bed, &cloud, &node_pool(&Value::Null), &[]).await?;
    let workload = Workload { name: "web", replicas: 3, cpu: "1", memory: "2Gi", more: Value::Null };
    bed.cluster.apply_object(&workload.deployment()).await?;
    bed.cluster.until_running(&workload, PATIENCE).await?;
    assert_eq!(cloud.instances().await?.len(), claims(bed).await?.len(), "{name}: one instance for each claim");
    controller.check()?;
    Ok(cloud.account.count("CreateFleet"))
}

pub(crate) async fn a_throttled_launch_is_tried_again(bed: &Bed) -> Outcome {
    let throttled = json!(["RequestLimitExceeded", 503, "Request limit exceeded."]);
    let calls = run_with(bed, "throttled", &json!([{"action": "CreateFleet", "error": throttled, "times": 3}])).await?;
    assert!(calls <= 8, "{calls} calls");
    Ok(())
}

pub(crate) async fn an_answer_that_was_lost_buys_nothing_twice(bed: &Bed) -> Outcome {
    let faults =
        json!([{"action": "CreateFleet", "truncate": true, "times": 1}, {"action": "CreateFleet", "html": 500, "times": 1}]);
    run_with(bed, "lost-answer", &faults).await?;
    Ok(())
}

pub(crate) async fn a_call_that_is_not_allowed_is_tried_again(bed: &Bed) -> Outcome {
    let refused = json!(["UnauthorizedOperation", 403, "You are not authorized to perform this operation."]);
    // The dry run of the NodeClass meets the first, the launch the second.
    run_with(bed, "unauthorized", &json!([{"action": "CreateFleet", "skip": 1, "error": refused, "times": 1}])).await?;
    Ok(())
}

pub(crate) async fn a_launch_template_that_somebody_deleted_is_made_again(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("template-gone").await?;
    let _joiner = bed.joiner(&cloud, Habits::default())?;
    let mut controller = begin(bed, &cloud, &node_pool(&Value::Null), &[]).await?;
    let one = Workload { name: "one", replicas: 2, cpu: "1", memory: "2Gi", more: Value::Null };
    bed.cluster.apply_object(&one.deployment()).await?;
    bed.cluster.until_running(&one, PATIENCE).await?;
    let templates = cloud.ec2.describe_launch_templates().send().await.map_err(aws_sdk_ec2::Error::from)?;
    for template in templates.launch_templates() {
        let id = template.launch_template_id().unwrap_or_default();
        cloud.ec2.delete_launch_template().launch_template_id(id).send().await.map_err(aws_sdk_ec2::Error::from)?;
    }
    let two = Workload { name: "two", replicas: 6, cpu: "1", memory: "2Gi", more: Value::Null };
    bed.cluster.apply_object(&two.deployment()).await?;
    bed.cluster.until_running(&two, PATIENCE).await?;
    controller.check()?;
    Ok(())
}

pub(crate) async fn a_launch_that_hangs_keeps_nobody_from_planning(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("hanging").await?;
    let _joiner = bed.joiner(&cloud, Habits::default())?;
    let mut controller = begin(bed, &cloud, &node_pool(&Value::Null), &[]).await?;
    let first = Workload { name: "first", replicas: 1, cpu: "1", memory: "2Gi", more: Value::Null };
    bed.cluster.apply_object(&first.deployment()).await?;
    bed.cluster.until_running(&first, PATIENCE).await?;
    cloud.account.faults(&json!([{"action": "CreateFleet", "hold": true, "times": 1}]));
    let held = Workload { name: "held", replicas: 3, cpu: "3", memory: "6Gi", more: Value::Null };
    bed.cluster.apply_object(&held.deployment()).await?;
    crate::cluster::until("a launch hangs", PATIENCE, async || Ok((cloud.account.count("CreateFleet") >= 3).then_some(())))
        .await?;
    let later = Workload { name: "later", replicas: 3, cpu: "3", memory: "6Gi", more: Value::Null };
    bed.cluster.apply_object(&later.deployment()).await?;
    bed.cluster.until_running(&later, PATIENCE).await?;
    cloud.account.release();
    bed.cluster.until_running(&held, PATIENCE).await?;
    controller.check()?;
    Ok(())
}

pub(crate) async fn nodes_that_come_up_badly_cost_no_pod(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("bad-nodes").await?;
    let faults = [Fault::NotReadyFor(Duration::from_secs(5)), Fault::None].into();
    let _joiner = bed.joiner(&cloud, Habits { faults, ..Habits::default() })?;
    let mut controller = begin(bed, &cloud, &node_pool(&Value::Null), &[]).await?;
    let workload = Workload { name: "web", replicas: 3, cpu: "1", memory: "2Gi", more: Value::Null };
    bed.cluster.apply_object(&workload.deployment()).await?;
    bed.cluster.until_running(&workload, PATIENCE).await?;
    controller.check()?;
    Ok(())
}

pub(crate) async fn an_api_server_that_restarts_loses_nothing(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("restart").await?;
    let _joiner = bed.joiner(&cloud, Habits { boot: Duration::from_secs(1)..Duration::from_secs(3), ..Habits::default() })?;
    let mut controller = begin(bed, &cloud, &node_pool(&Value::Null), &[]).await?;
    let before = Workload { name: "before", replicas: 12, cpu: "1", memory: "2Gi", more: Value::Null };
    bed.cluster.apply_object(&before.deployment()).await?;
    crate::cluster::until("NodeClaims are written", PATIENCE, async || Ok((!claims(bed).await?.is_empty()).then_some(())))
        .await?;
    bed.plane.restart_api_server().await?;
    let after = Workload { name: "after", replicas: 12, cpu: "1", memory: "2Gi", more: Value::Null };
    bed.cluster.apply_object(&after.deployment()).await?;
    for workload in [&before, &after] {
        bed.cluster.until_running(workload, PATIENCE).await?;
    }
    assert_eq!(cloud.instances().await?.len(), claims(bed).await?.len(), "one instance for each claim");
    controller.check()?;
    Ok(())
}

pub(crate) async fn watches_that_lag_by_seconds_lose_nothing(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("lagging").await?;
    let _joiner = bed.joiner(&cloud, Habits { boot: Duration::ZERO..Duration::from_secs(3), ..Habits::default() })?;
    let front = Front::start(bed, Duration::from_secs(3)).await?;
    let kubeconfig = front.kubeconfig.display().to_string();
    let settings = [("KUBECONFIG", kubeconfig.as_str())];
    let mut controller = begin(bed, &cloud, &node_pool(&Value::Null), &settings).await?;
    let names = ["first", "second", "third"];
    let workloads =
        names.map(|name| Workload { name, replicas: 12, cpu: "1", memory: "2Gi", more: Workload::spread_over_zones(name) });
    for workload in &workloads {
        bed.cluster.apply_object(&workload.deployment()).await?;
        // The next ones come while what was done for these is not seen yet.
        crate::cluster::until("NodeClaims are written for the workload", PATIENCE, async || {
            let planned = planned(&claims(bed).await?);
            Ok(planned.keys().any(|pod| pod.starts_with(workload.name)).then_some(()))
        })
        .await?;
    }
    for workload in &workloads {
        bed.cluster.until_running(workload, PATIENCE).await?;
    }
    let claims = claims(bed).await?;
    let planned: usize = claims.iter().map(|claim| planned(std::slice::from_ref(claim)).len()).sum();
    assert_eq!(planned, 36, "a node was bought twice for a pod");
    assert_eq!(cloud.instances().await?.len(), claims.len(), "one instance for each claim");
    controller.check()?;
    Ok(())
}
