//! Measurements, for `docs/controller.md`; run by hand with `--ignored`, each prints its figures.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::Outcome;
use crate::Trouble;
use crate::bed::Bed;
use crate::cluster::{Workload, until};
use crate::joiner::Habits;
use crate::scale_up::{begin, claims, node_pool, places, planned};

/// Runs of each setting.
const RUNS: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(120);

/// What became of one run.
struct Run {
    as_planned: usize,
    pods: usize,
    beyond: usize,
    seconds: f64,
}

/// Workloads that fit their nodes tightly: large, hungry for memory, and small ones that fill up.
fn tight() -> [Workload<'static>; 3] {
    let of = |name, replicas, cpu, memory| Workload { name, replicas, cpu, memory, more: Value::Null };
    [of("large", 25, "1500m", "1Gi"), of("hungry", 10, "300m", "7Gi"), of("small", 20, "150m", "256Mi")]
}

/// Two types that the tight workloads fill without rest.
fn tight_pool() -> Value {
    let mut pool = node_pool(&Value::Null);
    pool["spec"]["template"]["spec"]["requirements"][2] =
        json!({"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["c5.2xlarge", "r5.large", "m5.xlarge"]});
    pool
}

async fn run(bed: &Bed, placement: &'static str, seed: u64) -> Result<Run, Trouble> {
    let cloud = bed.cloud(&format!("study-{placement}-{seed}")).await?;
    // Nodes come one by one, in any order.
    let boot = Duration::from_millis(200)..Duration::from_secs(6);
    let joiner = bed.joiner(&cloud, Habits { boot, seed, ..Habits::default() })?;
    let settings = [("PLAN_PLACEMENT", placement), ("DISABLE_LEADER_ELECTION", "true"), ("SOLVE_BUDGET", "2s")];
    let workloads = tight();
    for workload in &workloads {
        bed.cluster.apply_object(&workload.deployment()).await?;
    }
    for workload in &workloads {
        bed.cluster.until_unschedulable(workload, PATIENCE).await?;
    }
    let start = Instant::now();
    let mut controller = begin(bed, &cloud, &tight_pool(), &settings).await?;
    let mut pods = Vec::new();
    for workload in &workloads {
        pods.extend(bed.cluster.until_running(workload, PATIENCE).await?);
    }
    let seconds = start.elapsed().as_secs_f64();
    let claims = claims(bed).await?;
    let meant = planned(&claims);
    let places = places(&pods);
    let mut plans: BTreeMap<String, usize> = BTreeMap::new();
    for claim in &claims {
        *plans.entry(claim.annotations().get("supercargo.io/plan-id").cloned().unwrap_or_default()).or_default() += 1;
    }
    let first = plans.values().max().copied().unwrap_or_default();
    let as_planned = places.iter().filter(|(pod, node)| meant.get(*pod) == Some(*node)).count();
    controller.stop().await?;
    drop(joiner);
    bed.reset().await?;
    Ok(Run { as_planned, pods: places.len(), beyond: claims.len() - first, seconds })
}

pub(crate) async fn placement(bed: &Bed) -> Outcome {
    for placement in ["bind", "nominate", "off"] {
        let mut runs = Vec::new();
        for seed in 0..RUNS {
            runs.push(run(bed, placement, seed).await?);
        }
        let share = |run: &Run| 100.0 * run.as_planned as f64 / run.pods as f64;
        let least = runs.iter().map(share).fold(100.0, f64::min);
        let mean = runs.iter().map(share).sum::<f64>() / runs.len() as f64;
        let beyond = runs.iter().filter(|run| run.beyond > 0).count();
        let launches: usize = runs.iter().map(|run| run.beyond).sum();
        let seconds = runs.iter().map(|run| run.seconds).sum::<f64>() / runs.len() as f64;
        crate::tell(&format!(
            "{placement}: {beyond} of {RUNS} runs launched beyond the plan ({launches} nodes); pods where the plan put them: {mean:.0} % \
             on average, {least:.0} % at least; {seconds:.1} s from start to all running"
        ));
    }
    Ok(())
}

async fn scale(bed: &Bed, pods: i32) -> Outcome {
    let cloud = bed.cloud(&format!("scale-{pods}")).await?;
    let _joiner = bed.joiner(&cloud, Habits::default())?;
    let controller = begin(bed, &cloud, &node_pool(&Value::Null), &[]).await?;
    until("the controller leads", PATIENCE, async || Ok(controller.output().contains("acquired lease").then_some(()))).await?;
    let shapes = [("web", 40, "500m", "512Mi"), ("api", 30, "250m", "1Gi"), ("cache", 20, "1", "4Gi"), ("batch", 10, "2", "2Gi")];
    let workloads = shapes.map(|(name, share, cpu, memory)| {
        let replicas = pods * share / 100;
        Workload { name, replicas, cpu, memory, more: Workload::spread_over_zones(name) }
    });
    let start = Instant::now();
    for workload in &workloads {
        bed.cluster.apply_object(&workload.deployment()).await?;
    }
    for workload in &workloads {
        bed.cluster.until_running(workload, Duration::from_secs(400)).await?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let (memory, cpu) = controller.use_of_resources()?;
    let solves: Vec<String> =
        controller.output().lines().filter(|line| line.contains("computed new nodeclaim")).map(str::to_owned).collect();
    crate::tell(&format!(
        "{pods} pods on {} nodes: all running after {seconds:.1} s; controller: {memory} MB at most, {cpu:.1} CPU s",
        claims(bed).await?.len()
    ));
    solves.iter().for_each(|line| crate::tell(line));
    Ok(())
}

pub(crate) async fn a_thousand_pods(bed: &Bed) -> Outcome {
    scale(bed, 1_000).await
}

pub(crate) async fn two_thousand_pods(bed: &Bed) -> Outcome {
    scale(bed, 2_000).await
}
