//! Reserved Instances and Savings Plans, in plans that can be worked out by hand; and random ones for the tests against brute force.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::domain::catalog::CapacityType;
use crate::domain::cluster::ClusterView;
use crate::domain::commitment::{Commitment, Commitments, Covers, Rates};
use crate::domain::interruption::InterruptionCosts;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::StopReason;
use crate::domain::requirement::Operator::In;
use crate::planning::fixtures::{catalog, cluster, planned_within, pool, spec};
use crate::planning::plan::Planned;
use crate::planning::topology_tests::{small_pool, spread};
use crate::planning::verifier::{Violation, verify};

/// What is bought: what it covers, and how much.
pub(super) type Bought = (Covers, i64, Option<String>);

fn rates(off_per_mille: u32) -> Rates {
    Rates { by_type: BTreeMap::new(), off_per_mille: Some(off_per_mille) }
}

fn savings_plan(off_per_mille: u32, micros: i64) -> Bought {
    (Covers::Usage(rates(off_per_mille)), micros, None)
}

fn reserved(instance_type: &str, zone: Option<&str>, count: i64) -> Bought {
    (Covers::reserved_instances(instance_type, zone), count, Some(instance_type.to_owned()))
}

/// Mostly nothing; else Savings Plans and Reserved Instances for m5, in amounts that cover nodes and parts of them.
pub(super) fn bought() -> impl Strategy<Value = Vec<Bought>> {
    let off = || prop_oneof![Just(300_u32), Just(500), Just(720)];
    let micros = || (0_i64..20).prop_map(|cents| cents * 10_000);
    let one = prop_oneof![
        2 => (off(), micros()).prop_map(|(off, micros)| savings_plan(off, micros)),
        1 => (off(), micros()).prop_map(|(off, micros)| {
            let by_type = BTreeMap::from([("m5.large".to_owned(), UsdPerHour::from_micros(35_000))]);
            let rates = Rates { by_type, off_per_mille: Some(off) };
            (Covers::FamilyUsage { family: "m5".to_owned(), rates }, micros, None)
        }),
        2 => (prop_oneof![Just("m5.large"), Just("m5.xlarge")], 1_i64..3).prop_map(|(of, count)| reserved(of, None, count)),
        1 => (prop_oneof![Just("m5.large"), Just("m5.xlarge")], 1_i64..3).prop_map(|(of, count)| reserved(of, Some("us-east-1a"), count)),
    ];
    prop_oneof![3 => Just(Vec::new()), 1 => proptest::collection::vec(one, 1..3)]
}

/// The cluster with these commitments, `c-0`, `c-1` and so on.
pub(super) fn with_bought(cluster: &mut ClusterView, bought: &[Bought]) {
    let one = |(number, (covers, amount, instance_type)): (usize, &Bought)| Commitment {
        id: format!("c-{number}"),
        covers: covers.clone(),
        amount: *amount,
        instance_type: instance_type.clone(),
    };
    let made: Vec<Commitment> = bought.iter().enumerate().map(one).collect();
    cluster.commitments = Commitments::new(&made, &catalog());
}

fn solved(cluster: &ClusterView) -> Planned {
    let planned = planned_within(cluster, 2_000_000);
    assert_eq!(verify(cluster, &catalog(), &planned.plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE).violations, []);
    planned
}

/// Nodes on demand and on Spot, and what they cost.
fn bill(planned: &Planned) -> (usize, usize, i64) {
    let of = |kind| planned.plan.nodes.iter().filter(|node| node.offering.capacity_type == kind).count();
    (of(CapacityType::OnDemand), of(CapacityType::Spot), planned.plan.cost.micros())
}

/// One node of a large each, On-Demand at $0.10, Spot at what the fixtures say.
fn one_per_node(pods: usize) -> ClusterView {
    let large = pool("default", &[(labels::INSTANCE_TYPE, In, &["m5.large"])]);
    cluster(vec![large], &[(pods, spec(2))])
}

fn spot_price() -> i64 {
    let plain = solved(&one_per_node(1));
    assert_eq!(bill(&plain).1, 1, "Spot is cheaper than On-Demand");
    plain.plan.cost.micros()
}

#[test]
fn on_demand_until_the_commitment_is_used_up() {
    let spot = spot_price();
    let mut cluster = one_per_node(4);
    // Half of the price, so two and a fifth of a node: the rest of a third one costs more than Spot.
    with_bought(&mut cluster, &[savings_plan(500, 110_000)]);
    let planned = solved(&cluster);
    assert_eq!(bill(&planned), (2, 2, 2 * spot));
    assert_eq!(planned.plan.stopped_by, StopReason::Optimal);
    // Nine tenths of a third one: the rest of it costs less than Spot.
    with_bought(&mut cluster, &[savings_plan(500, 145_000)]);
    let planned = solved(&cluster);
    assert_eq!(bill(&planned), (3, 1, 10_000 + spot));
    assert_eq!(planned.plan.stopped_by, StopReason::Optimal);
    // Stand-ins of a node that is paid for are paid for as well.
    let paid = planned.plan.nodes.iter().filter(|node| !node.covers.is_empty());
    assert!(paid.flat_map(|node| &node.candidates).all(|of| of.capacity_type == CapacityType::OnDemand));
}

#[test]
fn reserved_instances_decide_sizes() {
    let any = pool(
        "default",
        &[(labels::CAPACITY_TYPE, In, &["on-demand"]), (labels::INSTANCE_TYPE, In, &["m5.large", "m5.xlarge", "m7g.large"])],
    );
    let mut cluster = cluster(vec![any], &[(2, spec(2))]);
    // Without them two m7g.large are cheapest; one m5.xlarge in a zone is free then.
    assert_eq!(bill(&solved(&cluster)).2, 180_000);
    with_bought(&mut cluster, &[reserved("m5.xlarge", Some("us-east-1b"), 1)]);
    let planned = solved(&cluster);
    assert_eq!((bill(&planned), planned.plan.nodes[0].offering.zone.as_str()), ((1, 0, 0), "us-east-1b"));
    // One of the region pays for either size; a half of it is left to the other pod's node.
    with_bought(&mut cluster, &[reserved("m5.large", None, 1)]);
    assert_eq!(bill(&solved(&cluster)).2, 90_000);
}

#[test]
fn tiers_use_what_the_heavier_ones_leave() {
    let mut heavy = pool("heavy", &[(labels::INSTANCE_TYPE, In, &["m5.large"]), (labels::CAPACITY_TYPE, In, &["on-demand"])]);
    heavy.weight = 10;
    heavy.limits.insert("nodes".to_owned(), 1);
    let light = pool("light", &[(labels::INSTANCE_TYPE, In, &["m5.large"]), (labels::CAPACITY_TYPE, In, &["on-demand"])]);
    let mut cluster = cluster(vec![heavy, light], &[(3, spec(2))]);
    with_bought(&mut cluster, &[reserved("m5.large", None, 2)]);
    assert_eq!(bill(&solved(&cluster)), (3, 0, 100_000));
}

#[test]
fn rules_hold_with_commitments() {
    let mut spreading = spec(2);
    spreading.spreads.push(spread(labels::CAPACITY_TYPE, 1, 0));
    let mut cluster = cluster(vec![small_pool()], &[(4, spreading)]);
    with_bought(&mut cluster, &[savings_plan(500, 1_000_000)]);
    let planned = solved(&cluster);
    let on_spot = planned.plan.nodes.iter().filter(|node| node.offering.capacity_type == CapacityType::Spot);
    assert_eq!(on_spot.map(|node| node.pods.len()).sum::<usize>(), 2);
}

#[test]
fn the_verifier_sees_what_is_not_paid() {
    let mut cluster = one_per_node(2);
    with_bought(&mut cluster, &[savings_plan(500, 60_000)]);
    let planned = solved(&cluster);
    let at = planned.plan.nodes.iter().position(|node| !node.covers.is_empty()).expect("the plan uses the commitment");
    let broken = |change: &dyn Fn(&mut crate::domain::plan::Plan)| {
        let mut plan = planned.plan.clone();
        change(&mut plan);
        plan.cost = plan.nodes.iter().map(crate::domain::plan::PlannedNode::cost).sum();
        plan.bound = UsdPerHour::ZERO;
        verify(&cluster, &catalog(), &plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE).violations
    };
    let name = || "c-0".to_owned();
    let misstated = Violation::CoverMisstated { node: at, commitment: name() };
    assert_eq!(broken(&|plan| plan.nodes[at].covers[0].saved = UsdPerHour::from_micros(100_010)), vec![misstated.clone()]);
    assert_eq!(broken(&|plan| plan.nodes[at].covers[0].drawn = 40_000), vec![misstated.clone()]);
    let too_much = Violation::CommitmentExceeded { commitment: name(), drawn: 70_000, left: 60_000 };
    assert_eq!(broken(&|plan| plan.nodes[at].covers[0].drawn = 70_000), [misstated.clone(), too_much]);
    // Spot is never covered.
    let other = (0..2).find(|node| *node != at).expect("two nodes");
    let found = broken(&|plan| {
        plan.nodes[other].covers = plan.nodes[at].covers.clone();
        plan.nodes[at].covers.clear();
    });
    assert_eq!(found, [Violation::CoverMisstated { node: other, commitment: name() }]);
}
