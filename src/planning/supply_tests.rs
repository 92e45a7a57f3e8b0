//! What there is only so much of, in plans that can be worked out by hand; and random scarcity for the tests against brute force.

use proptest::prelude::*;

use crate::domain::catalog::CapacityType;
use crate::domain::cluster::ClusterView;
use crate::domain::interruption::InterruptionCosts;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::node_class::CapacityReservation;
use crate::domain::node_pool::NodePool;
use crate::domain::requirement::Operator::In;
use crate::domain::requirement::Requirement;
use crate::domain::resources::ResourceName;
use crate::planning::fixtures::{catalog, cluster, planned_within, pool, spec, with_terms};
use crate::planning::plan::Planned;
use crate::planning::topology_tests::{Standing, small_pool, spread, with_standing};
use crate::planning::verifier::verify;

/// Type, zone and free instances.
pub(super) type Reserved = (&'static str, &'static str, u32);

pub(super) fn reservations() -> impl Strategy<Value = Vec<Reserved>> {
    let zone = prop_oneof![Just("us-east-1a"), Just("us-east-1b")];
    let one = (prop_oneof![Just("m5.large"), Just("m5.xlarge")], zone, 0_u32..3);
    prop_oneof![4 => Just(Vec::new()), 1 => proptest::collection::vec(one, 1..3)]
}

/// What the nodes of a NodePool may cost: mostly anything.
pub(super) fn dollars() -> impl Strategy<Value = Option<(String, i64)>> {
    let limit = (0_i64..8).prop_map(|halves| Some((ResourceName::COST.to_owned(), halves * 50_000)));
    prop_oneof![3 => Just(None), 1 => limit]
}

/// The cluster with these reservations, `cr-0`, `cr-1` and so on.
pub(super) fn with_reservations(cluster: &mut ClusterView, reserved: &[Reserved]) {
    let made = (0..).zip(reserved).map(|(number, &(instance_type, zone, free)): (usize, _)| CapacityReservation {
        id: format!("cr-{number}"),
        instance_type: instance_type.to_owned(),
        zone: zone.to_owned(),
        reservation_type: "default".to_owned(),
        interruptible: false,
        free,
    });
    let made: Vec<CapacityReservation> = made.collect();
    cluster.node_classes.values_mut().for_each(|class| class.capacity_reservations.clone_from(&made));
}

fn solved(cluster: &ClusterView) -> Planned {
    let planned = planned_within(cluster, 100_000);
    let violations = verify(cluster, &catalog(), &planned.plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE).violations;
    assert_eq!(violations, []);
    planned
}

/// Id of the reservation of each node.
fn reservations_of(planned: &Planned) -> Vec<Option<&str>> {
    planned.plan.nodes.iter().map(|node| node.offering.reservation.as_deref()).collect()
}

#[test]
fn what_is_reserved_is_used_before_anything_is_bought() {
    let mut cluster = cluster(vec![small_pool()], &[(3, spec(2))]);
    with_reservations(&mut cluster, &[("m5.large", "us-east-1b", 2)]);
    let planned = solved(&cluster);
    assert_eq!(reservations_of(&planned).iter().flatten().collect::<Vec<_>>(), [&"cr-0", &"cr-0"]);
    // Two are there already; the third is a Spot instance.
    assert_eq!((planned.plan.cost.micros(), planned.plan.bound), (50_000, planned.plan.cost));
    // No other offering stands in for an instance that is there.
    let reserved = planned.plan.nodes.iter().filter(|node| node.offering.reservation.is_some());
    assert!(reserved.into_iter().all(|node| node.candidates.len() == 1));
}

#[test]
fn node_pools_share_a_reservation() {
    let plain = pool("default", &[(labels::INSTANCE_TYPE, In, &["m5.large"])]);
    let mut other = NodePool { name: "other".to_owned(), weight: 10, ..plain.clone() };
    other.limits.insert("nodes".to_owned(), 1);
    let mut cluster = cluster(vec![plain, other], &[(3, spec(2))]);
    with_reservations(&mut cluster, &[("m5.large", "us-east-1a", 2)]);
    let planned = solved(&cluster);
    assert_eq!(planned.plan.nodes.len(), 3);
    assert_eq!(reservations_of(&planned).iter().flatten().count(), 2);
}

#[test]
fn a_pod_may_ask_for_what_is_reserved() {
    let reserved = |key, value| with_terms(spec(2), &[&[(key, In, &[value])]]);
    let wanted = [
        reserved(labels::CAPACITY_TYPE, "reserved"),
        reserved(labels::RESERVATION_ID, "cr-0"),
        reserved(labels::RESERVATION_TYPE, "default"),
    ];
    for spec in wanted {
        let mut cluster = cluster(vec![small_pool()], &[(2, spec)]);
        with_reservations(&mut cluster, &[("m5.large", "us-east-1a", 1)]);
        let planned = solved(&cluster);
        assert_eq!(reservations_of(&planned), [Some("cr-0")]);
        let [left] = planned.plan.unplaced.as_slice() else { panic!("one pod is left: {:?}", planned.plan.unplaced) };
        assert!(left.reasons.iter().any(|reason| reason.contains("capacity reservation cr-0 has 1 free instance")), "{left:?}");
    }
}

#[test]
fn pods_spread_over_capacity_types_count_the_reserved_one() {
    let web = crate::domain::pod::PodSpec { spreads: vec![spread(labels::CAPACITY_TYPE, 1, 0)], ..spec(2) };
    let mut cluster = cluster(vec![small_pool()], &[(6, web)]);
    with_reservations(&mut cluster, &[("m5.xlarge", "us-east-1a", 5)]);
    let planned = solved(&cluster);
    let reserved = planned.plan.nodes.iter().filter(|node| node.offering.capacity_type == CapacityType::Reserved);
    assert_eq!(reserved.map(|node| node.pods.len()).sum::<usize>(), 2);
}

#[test]
fn a_node_pool_that_wants_several_offerings_takes_no_reservation() {
    let mut several = small_pool();
    let mut wanted = Requirement::one_of(["m5.large", "m5.xlarge"]);
    wanted.min_values = Some(2);
    several.requirements.add(labels::INSTANCE_TYPE, wanted);
    let mut cluster = cluster(vec![several], &[(1, spec(2))]);
    with_reservations(&mut cluster, &[("m5.large", "us-east-1a", 1)]);
    assert_eq!(reservations_of(&solved(&cluster)), [None]);
}

#[test]
fn a_node_pool_spends_no_more_than_it_may() {
    let mut limited = small_pool();
    limited.limits.insert(ResourceName::COST.to_owned(), 120_000);
    let planned = solved(&cluster(vec![limited], &[(3, spec(2))]));
    assert_eq!((planned.plan.cost.micros(), planned.plan.unplaced.len()), (100_000, 1));
    let [left] = planned.plan.unplaced.as_slice() else { panic!("one pod is left") };
    assert!(left.reasons[0].contains("$0.1200/h"), "{left:?}");
    assert!(left.remedies.iter().any(|way| way.contains("from $0.1200/h to $0.1500/h")), "{left:?}");
}

#[test]
fn nodes_that_exist_count_with_their_price() {
    let mut limited = small_pool();
    limited.limits.insert(ResourceName::COST.to_owned(), 150_000);
    let mut cluster = cluster(vec![limited], &[(3, spec(2))]);
    with_standing(&mut cluster, &[Standing { zone: "us-east-1a", cores: 1, pods: Vec::new() }]);
    cluster.nodes[0].node_pool = Some("default".to_owned());
    // Nothing is known of it, so it counts as nothing.
    assert_eq!(solved(&cluster).plan.nodes.len(), 2);
    cluster.nodes[0].labels.insert(labels::INSTANCE_TYPE.to_owned(), "m5.large".to_owned());
    assert_eq!(solved(&cluster).plan.nodes.len(), 1);
}
