//! What is asked of pods together, in plans that can be worked out by hand.

use std::collections::BTreeMap;

use crate::domain::catalog::CapacityType;
use crate::domain::cluster::ClusterView;
use crate::domain::collective::Portion;
use crate::domain::interruption::InterruptionCosts;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::node_pool::NodePool;
use crate::domain::plan::{StopReason, WhyLeft};
use crate::domain::pod::PodSpec;
use crate::domain::requirement::Operator::In;
use crate::domain::requirement::Requirement;
use crate::planning::fixtures::{catalog, cluster, planned_within, pool, spec};
use crate::planning::plan::Planned;
use crate::planning::topology_tests::{Rule, Standing, check, small_pool, with_rules, with_standing};
use crate::planning::verifier::{Violation, verify};

fn solved(cluster: &ClusterView) -> Planned {
    let planned = planned_within(cluster, 2_000_000);
    check(cluster, &planned).expect("a sound plan");
    planned
}

fn limited(name: &str, types: &[&str], nodes: i64) -> NodePool {
    let mut made = pool(name, &[(labels::INSTANCE_TYPE, In, types)]);
    made.limits.insert("nodes".to_owned(), nodes);
    made
}

fn in_group(spec: PodSpec) -> PodSpec {
    with_rules(spec, &[Rule::Group(0)])
}

fn floor(cores: i64, floor: Portion) -> PodSpec {
    with_rules(spec(cores), &[Rule::Floor(0, floor)])
}

fn share(cores: i64, share: Portion) -> PodSpec {
    with_rules(spec(cores), &[Rule::Share(0, share)])
}

/// Pods on Spot, by pool.
fn on_spot(planned: &Planned) -> BTreeMap<(String, String), usize> {
    let mut made = BTreeMap::new();
    for node in planned.plan.nodes.iter().filter(|node| node.offering.capacity_type == CapacityType::Spot) {
        *made.entry((node.offering.instance_type.clone(), node.offering.zone.clone())).or_default() += node.pods.len();
    }
    made
}

fn violations(cluster: &ClusterView, planned: &Planned) -> Vec<Violation> {
    verify(cluster, &catalog(), &planned.plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE).violations
}

#[test]
fn a_group_is_placed_whole_or_not_at_all() {
    // One node of eight cores: the group of three does not fit, though two of it would.
    let one = limited("default", &["m5.2xlarge"], 1);
    let cluster = cluster(vec![one.clone()], &[(3, in_group(spec(3))), (1, spec(2))]);
    let planned = solved(&cluster);
    let left: Vec<usize> = planned.plan.unplaced.iter().map(|left| left.pod).collect();
    assert_eq!(left, [0, 1, 2]);
    assert!(planned.tiers[0].complete);
    let [first, ..] = planned.plan.unplaced.as_slice() else { panic!("three pods are left") };
    assert_eq!(first.why, WhyLeft::CrowdedOut);
    assert_eq!(
        first.reasons,
        ["is placed only with all 3 pods of its atomic group default/g0, and there is no room for all of them together"]
    );
    // The bound is that of the pod that has a place: nothing has to be planned twice for a group.
    assert_eq!(planned.plan.bound, planned.plan.cost);
    // What places two of them is seen.
    let mut broken = planned.clone();
    broken.plan.unplaced.retain(|left| left.pod == 2);
    broken.plan.nodes[0].pods.extend([0, 1]);
    let split = Violation::GroupSplit { group: "default/g0".to_owned(), placed: 2, pods: 3 };
    assert!(violations(&cluster, &broken).contains(&split));
}

#[test]
fn the_larger_group_wins_where_one_has_room() {
    let one = limited("default", &["m5.2xlarge"], 1);
    let other = with_rules(spec(4), &[Rule::Group(1)]);
    let cluster = cluster(vec![one], &[(2, other), (4, in_group(spec(2)))]);
    let planned = solved(&cluster);
    assert_eq!(planned.plan.unplaced.iter().map(|left| left.pod).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn one_pod_without_a_place_keeps_its_group_out() {
    let cluster = cluster(vec![small_pool()], &[(2, in_group(spec(1))), (1, in_group(spec(9))), (1, spec(1))]);
    let planned = solved(&cluster);
    assert_eq!(planned.plan.unplaced.len(), 3);
    let first = &planned.plan.unplaced[0];
    assert_eq!(first.why, WhyLeft::Impossible);
    let reason = "is placed only with all 3 pods of its atomic group default/g0, and default/w1-0 is one that needs 9 cores; \
                  the largest node that NodePool default allows offers 8 cores";
    assert_eq!(first.reasons, [reason]);
}

#[test]
fn a_group_is_whole_across_tiers() {
    let group = [(1, in_group(spec(1))), (2, in_group(spec(4))), (1, spec(1))];
    for (nodes, left) in [(1, vec![0, 1, 2]), (2, vec![])] {
        let mut heavy = limited("heavy", &["m5.large"], 9);
        heavy.weight = 10;
        let cluster = cluster(vec![heavy, limited("light", &["m5.xlarge"], nodes)], &group);
        let planned = solved(&cluster);
        assert_eq!(planned.plan.unplaced.iter().map(|left| left.pod).collect::<Vec<_>>(), left);
        assert!(planned.plan.bound > UsdPerHour::ZERO, "{nodes} nodes");
    }
}

#[test]
fn a_floor_keeps_pods_off_spot() {
    // A pod of two cores costs 0.05 on Spot in zone a, 0.10 on demand: four of ten are not to be on Spot.
    let cluster = cluster(vec![small_pool()], &[(10, floor(2, Portion::PerMille(350)))]);
    let mut planned = solved(&cluster);
    assert_eq!(on_spot(&planned).values().sum::<usize>(), 6);
    assert_eq!(planned.plan.cost.micros(), 6 * 50_000 + 4 * 100_000);
    assert_eq!(planned.plan.bound, planned.plan.cost);
    // One more on Spot is seen, and a candidate on Spot for one that is not.
    let mut broken = planned.clone();
    let node = broken.plan.nodes.iter_mut().find(|node| node.offering.capacity_type != CapacityType::Spot).expect("four are");
    node.offering.capacity_type = CapacityType::Spot;
    let floor = |of: &Violation| matches!(of, Violation::OnDemandFloor { on_spot: 7.., most: 6, .. });
    assert!(violations(&cluster, &broken).iter().any(floor));
    let spot = planned.plan.nodes.iter().find(|node| node.offering.capacity_type == CapacityType::Spot).expect("six are");
    let spot = spot.offering.clone();
    let node = planned.plan.nodes.iter_mut().find(|node| node.offering.capacity_type != CapacityType::Spot).expect("four are");
    node.candidates.push(spot);
    let other = |of: &Violation| matches!(of, Violation::CandidateInOtherDomain { key, .. } if key == labels::CAPACITY_TYPE);
    assert!(violations(&cluster, &planned).iter().any(other));
}

#[test]
fn a_floor_without_capacity_on_demand_leaves_pods() {
    let mut spot = small_pool();
    spot.requirements.add(labels::CAPACITY_TYPE, Requirement::one_of(["spot"]));
    let cluster = cluster(vec![spot], &[(5, floor(2, Portion::Pods(2)))]);
    let planned = solved(&cluster);
    assert_eq!(planned.plan.unplaced.len(), 2);
    let left = &planned.plan.unplaced[0];
    let reason = "2 of the pods of Deployment default/w0 must not be on Spot (on-demand-floor), so at most 3 may, and 3 are";
    assert!(left.reasons.contains(&reason.to_owned()), "{left:?}");
}

#[test]
fn pods_that_run_on_spot_count_for_the_floor() {
    let mut cluster = cluster(vec![small_pool()], &[(2, floor(2, Portion::PerMille(500)))]);
    let runs = vec![(0, vec![Rule::Floor(0, Portion::PerMille(500))]); 2];
    with_standing(&mut cluster, &[Standing { zone: "us-east-1a", cores: 0, pods: runs }]);
    cluster.nodes[0].labels.insert(labels::CAPACITY_TYPE.to_owned(), "spot".to_owned());
    // Two of four run on Spot, so the two that wait do not.
    assert_eq!(on_spot(&solved(&cluster)), BTreeMap::new());
    // On demand they leave the others free.
    cluster.nodes[0].labels.insert(labels::CAPACITY_TYPE.to_owned(), "on-demand".to_owned());
    assert_eq!(on_spot(&solved(&cluster)).values().sum::<usize>(), 2);
}

#[test]
fn a_share_spreads_pods_over_spot_pools() {
    let cluster = cluster(vec![small_pool()], &[(8, share(2, Portion::PerMille(250)))]);
    let mut planned = solved(&cluster);
    let pools = on_spot(&planned);
    assert!(pools.values().all(|&pods| pods <= 2), "{pools:?}");
    // Zone a has Spot at half the price: two pods on large nodes, two on one of four cores; on one of eight they would be alone.
    assert_eq!(planned.plan.cost.micros(), 4 * 50_000 + 4 * 100_000);
    assert_eq!(planned.plan.bound, planned.plan.cost);
    assert!(
        planned.plan.nodes.iter().all(|node| node.candidates.len() == 1 || node.offering.capacity_type != CapacityType::Spot)
    );
    let broken = planned.plan.nodes.iter_mut().filter(|node| node.offering.capacity_type == CapacityType::Spot);
    broken.for_each(|node| (node.offering.instance_type, node.offering.zone) = ("m5.large".to_owned(), "us-east-1a".to_owned()));
    let pool = |of: &Violation| matches!(of, Violation::SpotPoolShare { pods: 3.., most: 2, .. });
    assert!(violations(&cluster, &planned).iter().any(pool));
}

#[test]
fn a_cap_spreads_the_plan_over_spot_pools() {
    let mut cluster = cluster(vec![small_pool()], &[(12, spec(2))]);
    cluster.max_spot_pool_share = Some(250);
    let mut planned = solved(&cluster);
    // Six of 24 cores in each of three pools of zone a: three large, one xlarge, none of eight cores.
    let cores = |name: &str| catalog().get(name).map_or(0, |sold| sold.vcpus);
    let mut pools: BTreeMap<(String, String), i64> = BTreeMap::new();
    for node in planned.plan.nodes.iter().filter(|node| node.offering.capacity_type == CapacityType::Spot) {
        let pool = (node.offering.instance_type.clone(), node.offering.zone.clone());
        *pools.entry(pool).or_default() += cores(&node.offering.instance_type);
    }
    assert!(pools.values().all(|&cores| cores <= 6), "{pools:?}");
    assert_eq!(planned.plan.cost.micros(), 10 * 25_000 + 14 * 50_000);
    assert_eq!(planned.plan.stopped_by, StopReason::Optimal);
    cluster.max_spot_pool_share = Some(100);
    let cap = |of: &Violation| matches!(of, Violation::SpotPoolCap { cores: 6_000, most: 2_400, .. });
    assert!(violations(&cluster, &planned).iter().any(cap));
    planned = solved(&cluster);
    assert_eq!(planned.plan.cost.micros(), 2 * 25_000 + 22 * 50_000);
}

#[test]
fn a_cap_without_capacity_on_demand_leaves_pods() {
    let mut spot = small_pool();
    spot.requirements.add(labels::CAPACITY_TYPE, Requirement::one_of(["spot"]));
    let mut cluster = cluster(vec![spot], &[(4, spec(2))]);
    cluster.max_spot_pool_share = Some(250);
    let planned = solved(&cluster);
    assert_eq!(planned.plan.unplaced.len(), 3, "one large in the zone that has Spot");
    let left = &planned.plan.unplaced[0];
    assert!(left.reasons.iter().any(|reason| reason.starts_with("no Spot pool may have more than 2 cores")), "{left:?}");
    assert!(left.remedies.iter().any(|way| way.starts_with("raise --max-spot-pool-share")), "{left:?}");
}
