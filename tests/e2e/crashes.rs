//! The controller is killed at any moment: nothing is bought twice, nothing is left without an owner, and all pods run in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ec2::types::{Filter, Instance, Reservation};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::Outcome;
use crate::Trouble;
use crate::aws::Cloud;
use crate::bed::Bed;
use crate::cluster::{Workload, until};
use crate::controller::Controller;
use crate::joiner::Habits;
use crate::scale_up::{begin, claims, node_pool};

const PATIENCE: Duration = Duration::from_secs(120);
/// How often the controller is killed.
const KILLS: u32 = 50;
/// A kill comes so long after a start at the latest.
const LONGEST_LIFE: u64 = 2_500;
/// What a controller says just before it begins to act.
const AT_WORK: &str = "the mirror of the cluster is complete";
/// So many claims at least must have been launched by controllers that were killed later.
const FEWEST_BOUGHT: usize = 10;

/// Every instance that was ever bought, by the UID of the claim that it was bought for.
async fn bought(cloud: &Cloud) -> Result<BTreeMap<String, Vec<String>>, Trouble> {
    let mut made: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let tagged = Filter::builder().name("tag-key").values("supercargo.io/nodeclaim-uid").build();
    let answer = cloud.ec2.describe_instances().filters(tagged).send().await.map_err(aws_sdk_ec2::Error::from)?;
    for instance in answer.reservations().iter().flat_map(Reservation::instances) {
        let uid = tag(instance, "supercargo.io/nodeclaim-uid").unwrap_or_default();
        made.entry(uid).or_default().push(instance.instance_id().unwrap_or_default().to_owned());
    }
    Ok(made)
}

fn tag(instance: &Instance, key: &str) -> Option<String> {
    instance.tags().iter().find(|tag| tag.key() == Some(key)).and_then(|tag| tag.value()).map(str::to_owned)
}

pub(crate) async fn a_killed_controller_buys_nothing_twice(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("crashes").await?;
    let _joiner = bed.joiner(&cloud, Habits::default())?;
    // Without an election: a Lease would keep the next run waiting.
    let settings = [("DISABLE_LEADER_ELECTION", "true"), ("SOLVE_BUDGET", "500ms")];
    let mut controller: Controller = begin(bed, &cloud, &node_pool(&Value::Null), &settings).await?;
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut lives = 0;
    let mut workloads = Vec::new();
    let names: Vec<String> = (0..KILLS).map(|number| format!("wave-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let workload = Workload { name, replicas: 4, cpu: "700m", memory: "1Gi", more: Value::Null };
        bed.cluster.apply_object(&workload.deployment()).await?;
        workloads.push(workload);
        // A start takes longer than many a life, so every second life is counted from the moment at which there is something to interrupt.
        if number % 2 == 0 {
            let begun = format!("life {number} has begun to work");
            until(&begun, PATIENCE, async || Ok((controller.output().matches(AT_WORK).count() > lives).then_some(()))).await?;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..LONGEST_LIFE))).await;
        controller.kill();
        lives = controller.output().matches(AT_WORK).count();
        controller.restart()?;
    }
    let interrupted = bought(&cloud).await?.len();
    assert!(
        interrupted >= FEWEST_BOUGHT,
        "{interrupted} claims were launched between the kills, which interrupts hardly anything"
    );
    for workload in &workloads {
        bed.cluster.until_running(workload, PATIENCE).await?;
    }
    let twice: Vec<(String, Vec<String>)> = bought(&cloud).await?.into_iter().filter(|(_, all)| all.len() > 1).collect();
    assert!(twice.is_empty(), "bought more than once for one claim: {twice:?}");
    let ids = until("every instance has a claim, and every claim an instance", PATIENCE, async || {
        let known: Vec<String> = claims(bed)
            .await?
            .iter()
            .filter_map(|claim| claim.data.pointer("/status/providerID").and_then(Value::as_str))
            .filter_map(|id| id.rsplit('/').next().map(str::to_owned))
            .collect();
        let mut running = cloud.instances().await?;
        let mut owned = known.clone();
        running.sort();
        owned.sort();
        Ok((running == owned && claims(bed).await?.len() == known.len()).then_some(running))
    })
    .await?;
    crate::tell(&format!("{} instances after {KILLS} kills, {interrupted} of them bought between kills, each once", ids.len()));
    controller.check()?;
    Ok(())
}

pub(crate) async fn the_other_replica_takes_over(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("replicas").await?;
    let _joiner = bed.joiner(&cloud, Habits::default())?;
    let mut first = begin(bed, &cloud, &node_pool(&Value::Null), &[]).await?;
    until("the first replica leads", PATIENCE, async || Ok(first.output().contains("successfully acquired lease").then_some(())))
        .await?;
    let mut second = Controller::start(&bed.processes, &bed.plane, &cloud, &[])?;
    let one = Workload { name: "one", replicas: 3, cpu: "1", memory: "1Gi", more: Value::Null };
    bed.cluster.apply_object(&one.deployment()).await?;
    bed.cluster.until_running(&one, PATIENCE).await?;
    first.kill();
    let two = Workload { name: "two", replicas: 5, cpu: "1", memory: "1Gi", more: Value::Null };
    bed.cluster.apply_object(&two.deployment()).await?;
    bed.cluster.until_running(&two, PATIENCE).await?;
    second.check()?;
    let twice: Vec<(String, Vec<String>)> = bought(&cloud).await?.into_iter().filter(|(_, all)| all.len() > 1).collect();
    assert!(twice.is_empty(), "bought more than once for one claim: {twice:?}");
    assert_eq!(cloud.instances().await?.len(), claims(bed).await?.len(), "one instance for each claim");
    Ok(())
}
