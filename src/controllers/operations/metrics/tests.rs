//! The text that Prometheus reads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::domain::catalog::CapacityType;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::{FirstFitOutcome, Plan, StopReason};
use crate::solver::Stage;

/// A plan of $3.00 in place of first-fit's $4.00, of which at most $0.75 could still be saved.
fn plan() -> Plan {
    let usd = |dollars: f64| UsdPerHour::from_micros((dollars * 1e6) as i64);
    Plan {
        nodes: Vec::new(),
        existing: Vec::new(),
        unplaced: Vec::new(),
        unmet: Vec::new(),
        cost: usd(2.75),
        interruptions: usd(0.25),
        forgone: UsdPerHour::ZERO,
        bound: usd(2.25),
        first_fit: FirstFitOutcome { cost: usd(4.0), nodes: 2, unplaced: 0 },
        stopped_by: StopReason::Deadline,
    }
}

/// One of everything.
fn used() -> Arc<Metrics> {
    let metrics = Metrics::new(&Build { version: "0.1.0", commit: "abc" });
    metrics.claims.provisioned("general");
    let spot = Some(CapacityType::Spot);
    metrics.claims.terminated(&PlaceOfClaim { node_pool: "general", capacity_type: spot, zone: Some("eu-west-1a") });
    metrics.claims.disrupted(&Disruption {
        reason: DisruptionReason::InsufficientCapacity,
        node_pool: "general",
        capacity_type: None,
        mode: TerminationMode::Graceful,
    });
    metrics.claims.node_registered("general", "eu-west-1a");
    metrics.claims.node_terminated("general", "eu-west-1a");
    metrics.cloud.called("nodeclaim.lifecycle", CloudCall::Create, Duration::from_millis(1_200));
    metrics.cloud.failed("nodeclaim.lifecycle", CloudCall::Create, CloudError::InsufficientCapacity, "general");
    metrics.cloud.launch_failed(&LaunchFailure {
        zone: "eu-west-1a",
        zone_id: "euw1-az1",
        capacity_type: CapacityType::Spot,
        reason: "InsufficientInstanceCapacity",
    });
    let offering = OfferingLabels { instance_type: "m5.large", capacity_type: CapacityType::OnDemand, zone: "eu-west-1a" };
    metrics.cloud.offered([(offering, UsdPerHour::from_micros(107_000), true)]);
    metrics.cluster.mirrored(3, true);
    metrics.cluster.pool_resource("general", "cpu", Some(100.0), 12.5);
    metrics.cluster.pool_cost("general", UsdPerHour::from_micros(2_500_000));
    metrics.cluster.leads("karpenter-leader-election", true);
    metrics.scheduling.planning_began("round-1", 5, 1);
    metrics.scheduling.planning_ended("round-0", Duration::from_millis(30), 2);
    metrics.scheduling.pod_bound(Duration::from_secs(40));
    metrics.scheduling.pod_started(Duration::from_secs(45));
    metrics.plans.planned(&plan());
    metrics.plans.solved(Stage::Diving, Duration::from_millis(20));
    metrics.plans.placed(Placed::AsPlanned);
    metrics.plans.launched_beyond_plan();
    metrics.plans.held(Duration::from_secs(2));
    metrics
}

/// The families of the text with their types.
fn families(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
}

/// What Karpenter 1.15 exports under these names: `C` counter, `G` gauge, `H` histogram (or a summary there), with the labels in order.
const KARPENTER: [(&str, &str, &[&str]); 27] = [
    ("karpenter_build_info", "gauge", &["version", "goversion", "goarch", "commit"]),
    ("karpenter_nodeclaims_created_total", "counter", &["reason", "nodepool", "min_values_relaxed"]),
    ("karpenter_nodeclaims_terminated_total", "counter", &["nodepool", "capacity_type", "zone"]),
    (
        "karpenter_nodeclaims_disrupted_total",
        "counter",
        &["reason", "nodepool", "capacity_type", "consolidation_policy", "termination_mode"],
    ),
    ("karpenter_nodes_created_total", "counter", &["nodepool", "zone"]),
    ("karpenter_nodes_terminated_total", "counter", &["nodepool", "zone"]),
    ("karpenter_scheduler_scheduling_duration_seconds", "histogram", &["controller"]),
    ("karpenter_scheduler_queue_depth", "gauge", &["controller", "scheduling_id"]),
    ("karpenter_scheduler_ignored_pods_count", "gauge", &[]),
    ("karpenter_scheduler_unschedulable_pods_count", "gauge", &["controller"]),
    ("karpenter_pods_startup_duration_seconds", "histogram", &[]),
    ("karpenter_pods_bound_duration_seconds", "histogram", &["dynamic_resources"]),
    ("karpenter_cluster_state_node_count", "gauge", &[]),
    ("karpenter_cluster_state_synced", "gauge", &[]),
    ("karpenter_nodepools_limit", "gauge", &["resource_type", "nodepool"]),
    ("karpenter_nodepools_usage", "gauge", &["resource_type", "nodepool"]),
    ("karpenter_nodepools_cost_total", "gauge", &["nodepool"]),
    ("karpenter_cloudprovider_duration_seconds", "histogram", &["controller", "method", "provider"]),
    ("karpenter_cloudprovider_errors_total", "counter", &["controller", "method", "provider", "error", "nodepool"]),
    ("karpenter_cloudprovider_instance_launch_failures_total", "counter", &["zone", "zone_id", "capacity_type", "reason"]),
    ("karpenter_cloudprovider_instance_type_offering_available", "gauge", &["instance_type", "capacity_type", "zone"]),
    ("karpenter_cloudprovider_instance_type_offering_price_estimate", "gauge", &["instance_type", "capacity_type", "zone"]),
    ("leader_election_master_status", "gauge", &["name"]),
    // Ours.
    ("supercargo_planned_pods_total", "counter", &["placed"]),
    ("supercargo_launches_beyond_plan_total", "counter", &[]),
    ("supercargo_node_hold_duration_seconds", "histogram", &[]),
    ("supercargo_solve_duration_seconds", "histogram", &["stage"]),
];

#[test]
fn names_types_and_labels_are_those_of_karpenter() {
    let text = used().encode();
    let families = families(&text);
    for (name, kind, labels) in KARPENTER {
        assert_eq!(families.get(name), Some(&kind), "{name}");
        let sample = if kind == "histogram" { format!("{name}_sum") } else { name.to_owned() };
        let line = text.lines().find(|line| line.starts_with(&format!("{sample}{{")) || line.starts_with(&format!("{sample} ")));
        let line = line.unwrap_or_else(|| panic!("{name} has no sample"));
        let found: Vec<&str> = line
            .split('{')
            .nth(1)
            .map_or(Vec::new(), |rest| rest.split("\",").filter_map(|label| label.split('=').next()).collect());
        assert_eq!(found, labels, "{name}");
    }
    assert!(!text.contains("_total_total"), "{text}");
}

#[test]
fn values_are_in_the_units_of_their_names() {
    let text = used().encode();
    for line in [
        "karpenter_nodepools_cost_total{nodepool=\"general\"} 2.5",
        "karpenter_cloudprovider_instance_type_offering_price_estimate{instance_type=\"m5.large\",capacity_type=\"on-demand\",zone=\"eu-west-1a\"} 0.107",
        "karpenter_nodeclaims_created_total{reason=\"provisioned\",nodepool=\"general\",min_values_relaxed=\"false\"} 1",
        "karpenter_cloudprovider_duration_seconds_sum{controller=\"nodeclaim.lifecycle\",method=\"Create\",provider=\"aws\"} 1.2",
        "karpenter_scheduler_unschedulable_pods_count{controller=\"provisioner\"} 2",
        "supercargo_plans_total{stopped_by=\"deadline\"} 1",
        "supercargo_plan_gap_ratio 0.25",
        "supercargo_plan_bound_dollars_per_hour 2.25",
        "supercargo_plan_cost_dollars_per_hour 2.75",
        "supercargo_plan_first_fit_saving_dollars_per_hour 1.0",
        "leader_election_master_status{name=\"karpenter-leader-election\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    }
}

#[test]
fn costs_of_plans_that_place_different_pods_are_not_compared() {
    let metrics = Metrics::new(&Build { version: "0.1.0", commit: "" });
    let left = FirstFitOutcome { unplaced: 1, ..plan().first_fit };
    metrics.plans.planned(&Plan { first_fit: left, ..plan() });
    assert!(metrics.encode().contains("supercargo_plan_first_fit_saving_dollars_per_hour NaN"), "{}", metrics.encode());
}

#[test]
fn a_round_leaves_no_series_behind() {
    let metrics = Metrics::new(&Build { version: "0.1.0", commit: "" });
    metrics.scheduling.planning_began("round-1", 5, 0);
    assert!(metrics.encode().contains("scheduling_id=\"round-1\""));
    metrics.scheduling.planning_ended("round-1", Duration::from_secs(1), 0);
    assert!(!metrics.encode().contains("scheduling_id"));
}

#[test]
fn the_guide_lists_every_metric_and_no_other() {
    let guide = include_str!("../../../../docs/controller.md");
    let text = used().encode();
    let exported: BTreeSet<&str> = families(&text).into_keys().collect();
    let told: BTreeSet<&str> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| ["karpenter_", "supercargo_", "leader_election_"].iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    assert_eq!(told, exported);
}
