//! Plans under NodeOverlays: what they buy, what they may cost, and that the verifier holds them to the overlays.

use std::collections::BTreeMap;

use crate::domain::catalog::PriceKind;
use crate::domain::cluster::ClusterView;
use crate::domain::interruption::InterruptionCosts;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::node_class::tests::reservation;
use crate::domain::node_overlay::{NodeOverlay, PriceChange};
use crate::domain::plan::{Plan, StopReason};
use crate::domain::pod::PodSpec;
use crate::domain::requirement::Operator;
use crate::domain::resources::ResourceName;
use crate::planning::fixtures::{catalog, cluster, planned, pool, required, spec};
use crate::planning::verifier::{Violation, verify};

const ON_DEMAND: (&str, Operator, &[&str]) = (labels::CAPACITY_TYPE, Operator::In, &["on-demand"]);
const AMD64: (&str, Operator, &[&str]) = (labels::ARCH, Operator::In, &["amd64"]);

fn overlay(name: &str, requirements: &[(&str, Operator, &[&str])], price: Option<PriceChange>) -> NodeOverlay {
    let (name, requirements) = (name.to_owned(), required(requirements));
    NodeOverlay { name, weight: 0, requirements, price, capacity: BTreeMap::new() }
}

fn to(micros: i64) -> Option<PriceChange> {
    Some(PriceChange::To(UsdPerHour::from_micros(micros)))
}

fn violations(cluster: &ClusterView, plan: &Plan) -> Vec<Violation> {
    verify(cluster, &catalog(), plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE).violations
}

/// The sound plan of `cluster`.
fn sound(cluster: &ClusterView) -> Plan {
    let plan = planned(cluster).plan;
    assert_eq!(violations(cluster, &plan), []);
    plan
}

fn types(plan: &Plan) -> Vec<&str> {
    plan.nodes.iter().map(|node| node.offering.instance_type.as_str()).collect()
}

#[test]
fn a_plan_buys_at_the_prices_of_overlays_and_says_so() {
    let mut cluster = cluster(vec![pool("a", &[ON_DEMAND])], &[(1, spec(2))]);
    assert_eq!(types(&sound(&cluster)), ["m7g.large"]);
    cluster.node_overlays = vec![overlay("amd", &[AMD64], Some(PriceChange::ByShare(-20_000_000)))];
    let plan = sound(&cluster);
    assert_eq!(types(&plan), ["m5.large"]);
    assert_eq!(plan.cost, UsdPerHour::from_micros(80_000));
    assert_eq!(plan.nodes[0].offering.price_kind, PriceKind::Overlaid);

    let mut at_the_catalogs_price = plan.clone();
    at_the_catalogs_price.nodes[0].offering.price = UsdPerHour::from_micros(100_000);
    let found = violations(&cluster, &at_the_catalogs_price);
    assert!(found.iter().any(|one| matches!(one, Violation::PriceMisstated { .. })), "{found:?}");
    cluster.node_overlays.clear();
    let found = violations(&cluster, &plan);
    assert!(found.iter().any(|one| matches!(one, Violation::PriceMisstated { .. })), "{found:?}");
}

#[test]
fn node_pools_of_one_class_may_see_different_prices() {
    let only_a = (labels::NODE_POOL, Operator::In, &["a"][..]);
    let mut pools = vec![pool("a", &[ON_DEMAND]), pool("b", &[ON_DEMAND])];
    pools[0].limits.insert(ResourceName::NODES.to_owned(), 1);
    let mut cluster = cluster(pools, &[(2, spec(16))]);
    cluster.node_overlays = vec![overlay("a", &[only_a], Some(PriceChange::ByShare(-50_000_000)))];
    let plan = sound(&cluster);
    let bought: Vec<(&str, i64)> =
        plan.nodes.iter().map(|node| (node.node_pool.as_str(), node.offering.price.micros())).collect();
    assert_eq!(bought, [("a", 360_000), ("b", 720_000)]);
}

#[test]
fn a_resource_that_an_overlay_tells_of_gives_its_pods_a_place() {
    let wanted = PodSpec { requests: spec(1).requests.with("example.com/fpga", 2), ..spec(1) };
    let mut cluster = cluster(vec![pool("a", &[ON_DEMAND])], &[(2, wanted)]);
    assert_eq!(planned(&cluster).plan.unplaced.len(), 2);
    let mut fpga = overlay("fpga", &[(labels::INSTANCE_TYPE, Operator::In, &["m5.xlarge"])], None);
    fpga.capacity.insert("example.com/fpga".to_owned(), 2);
    cluster.node_overlays = vec![fpga];
    let plan = sound(&cluster);
    assert_eq!(types(&plan), ["m5.xlarge", "m5.xlarge"]);
    assert_eq!(plan.nodes[0].allocatable.get("example.com/fpga"), 2);
    let mut on_one = plan.clone();
    let moved = on_one.nodes.pop().expect("two nodes").pods;
    on_one.nodes[0].pods.extend(moved);
    let found = violations(&cluster, &on_one);
    assert!(found.iter().any(|one| matches!(one, Violation::Overcommitted { resource, .. } if resource == "example.com/fpga")));
    cluster.node_overlays.clear();
    let found = violations(&cluster, &plan);
    assert!(found.iter().any(|one| matches!(one, Violation::AllocatableMisstated { .. })), "{found:?}");
}

/// The engine counts a micro-dollar for every node; bound and first-fit must not.
#[test]
fn nodes_may_cost_nothing() {
    let mut cluster = cluster(vec![pool("a", &[ON_DEMAND])], &[(40, spec(3))]);
    cluster.node_overlays = vec![overlay("free", &[AMD64], to(0))];
    let plan = sound(&cluster);
    assert!(!plan.nodes.is_empty());
    let found = [plan.cost, plan.bound, plan.first_fit.cost];
    assert_eq!((found, plan.stopped_by), ([UsdPerHour::ZERO; 3], StopReason::Optimal));
}

#[test]
fn free_nodes_beside_paid_ones_leave_the_bound_below_the_cost() {
    let arm = crate::planning::fixtures::with_terms(spec(2), &[&[(labels::ARCH, Operator::In, &["arm64"])]]);
    let mut cluster = cluster(vec![pool("a", &[ON_DEMAND])], &[(3, spec(16)), (1, arm)]);
    cluster.node_overlays = vec![overlay("free", &[AMD64], to(0))];
    let plan = sound(&cluster);
    assert_eq!(plan.cost, UsdPerHour::from_micros(90_000));
    assert!((89_000..=90_000).contains(&plan.bound.micros()), "{:?}", plan.bound);
    assert!(plan.first_fit.cost.micros() % 90_000 == 0, "{:?}", plan.first_fit);
}

/// A limit on dollars is one on the dollars that are paid.
#[test]
fn a_dollar_limit_counts_overlaid_prices() {
    let mut pools = vec![pool("a", &[ON_DEMAND, AMD64])];
    pools[0].limits.insert(ResourceName::COST.to_owned(), 100_000);
    let mut cluster = cluster(pools, &[(2, spec(2))]);
    assert_eq!(planned(&cluster).plan.unplaced.len(), 1);
    cluster.node_overlays = vec![overlay("half", &[], Some(PriceChange::ByShare(-50_000_000)))];
    assert_eq!(sound(&cluster).unplaced, []);
}

#[test]
fn an_overlay_may_put_a_price_on_reserved_instances() {
    let reserved = (labels::CAPACITY_TYPE, Operator::In, &["reserved"][..]);
    let mut cluster = cluster(vec![pool("a", &[AMD64])], &[(1, spec(2))]);
    let class = cluster.node_classes.get_mut("default").expect("the cluster has it");
    class.capacity_reservations.push(reservation());
    assert_eq!(sound(&cluster).cost, UsdPerHour::ZERO);
    cluster.node_overlays = vec![overlay("dear", &[reserved], to(60_000))];
    let plan = sound(&cluster);
    assert_eq!(
        (plan.cost, plan.nodes[0].offering.reservation.as_deref()),
        (UsdPerHour::from_micros(50_000), None),
        "Spot is cheaper"
    );
    cluster.node_overlays = vec![overlay("cheap", &[reserved], to(40_000))];
    let plan = sound(&cluster);
    assert_eq!((plan.cost, plan.nodes[0].offering.reservation.as_deref()), (UsdPerHour::from_micros(40_000), Some("cr-1")));
}
