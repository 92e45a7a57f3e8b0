//! Overlays on two small types: who is about what, who comes first, who conflicts.

use super::*;
use crate::domain::catalog::tests::catalog;
use crate::domain::instance_type::Architecture;
use crate::domain::instance_type::tests::sold;
use crate::domain::node_class::tests::reservation;
use crate::domain::node_pool::NodeClassRef;
use crate::domain::requirement::{Operator, Requirement};

const MI: i64 = 1 << 20;

/// m5.large at $0.10 and m7g.large at $0.08, On-Demand in zones a and b, and on Spot at an estimated half of it in zone a.
fn two_types() -> Catalog {
    catalog(vec![sold("m5.large", Architecture::Amd64, 2, 100_000), sold("m7g.large", Architecture::Arm64, 2, 80_000)])
}

fn pool(name: &str, labels: &[(&str, &str)]) -> NodePool {
    NodePool {
        name: name.to_owned(),
        weight: 0,
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        annotations: BTreeMap::new(),
        taints: Vec::new(),
        startup_taints: Vec::new(),
        requirements: Requirements::new(),
        node_class_ref: NodeClassRef { group: String::new(), kind: String::new(), name: "default".to_owned() },
        expire_after: None,
        termination_grace_period: None,
        limits: BTreeMap::new(),
    }
}

fn overlay(name: &str, weight: i32, requirements: &[(&str, Operator, &[&str])], price: &str) -> NodeOverlay {
    let mut required = Requirements::new();
    for (key, operator, values) in requirements {
        required.add(key, Requirement::new(*operator, values).expect("the requirements of tests are valid"));
    }
    let price = PriceChange::parse_price(price).or_else(|| PriceChange::parse_adjustment(price));
    NodeOverlay { name: name.to_owned(), weight, requirements: required, price, capacity: BTreeMap::new() }
}

fn with_capacity(overlay: NodeOverlay, capacity: &[(&str, i64)]) -> NodeOverlay {
    NodeOverlay { capacity: capacity.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect(), ..overlay }
}

fn cluster(pools: Vec<NodePool>, overlays: Vec<NodeOverlay>) -> ClusterView {
    let node_classes = BTreeMap::from([("default".to_owned(), NodeClass::al2023("default"))]);
    ClusterView { node_pools: pools, node_classes, node_overlays: overlays, ..ClusterView::default() }
}

/// `od` and `spot` in zone a and `od` in zone b, in micro-dollars with the kind of price, of `instance_type` in the first NodePool.
fn prices(cluster: &ClusterView, catalog: &Catalog, instance_type: &str) -> Vec<(i64, PriceKind)> {
    let overlays = Overlays::new(cluster, catalog);
    let of_pool = overlays.of_pool(&cluster.node_pools[0]).expect("the class is there");
    let of_type = of_pool.of_type(catalog.get(instance_type).expect("the type is sold"));
    of_type.offerings().iter().map(|sold| (sold.price.micros(), sold.price_kind)).collect()
}

fn idle<'a>(cluster: &'a ClusterView, catalog: &'a Catalog) -> Vec<(&'a str, Idle)> {
    Overlays::new(cluster, catalog).idle.into_iter().map(|(overlay, why)| (overlay.name.as_str(), why)).collect()
}

const OD: (&str, Operator, &[&str]) = (labels::CAPACITY_TYPE, Operator::In, &["on-demand"]);
const M5: (&str, Operator, &[&str]) = (labels::INSTANCE_TYPE, Operator::In, &["m5.large"]);

use PriceKind::{Estimated, Listed, Overlaid, OverlaidEstimate};

#[test]
fn without_overlays_the_catalog_counts() {
    let (cluster, catalog) = (cluster(vec![pool("a", &[])], Vec::new()), two_types());
    assert_eq!(prices(&cluster, &catalog, "m5.large"), [(100_000, Listed), (50_000, Estimated), (100_000, Listed)]);
}

#[test]
fn an_overlay_is_about_the_offerings_that_meet_its_requirements() {
    let catalog = two_types();
    let made = |requirements: &[(&str, Operator, &[&str])], price: &str| {
        prices(&cluster(vec![pool("a", &[("team", "x")])], vec![overlay("o", 0, requirements, price)]), &catalog, "m5.large")
    };
    assert_eq!(made(&[], "-10%"), [(90_000, Overlaid), (45_000, OverlaidEstimate), (90_000, Overlaid)]);
    assert_eq!(made(&[], "0.3"), [(300_000, Overlaid), (300_000, Overlaid), (300_000, Overlaid)]);
    assert_eq!(made(&[OD], "+0.01"), [(110_000, Overlaid), (50_000, Estimated), (110_000, Overlaid)]);
    let in_zone_b = (labels::ZONE, Operator::In, &["us-east-1b"][..]);
    let spared = (100_000, Listed);
    assert_eq!(made(&[in_zone_b], "0"), [spared, (50_000, Estimated), (0, Overlaid)]);
    let untouched = [spared, (50_000, Estimated), spared];
    assert_eq!(made(&[(labels::ARCH, Operator::In, &["arm64"])], "0"), untouched);
    assert_eq!(made(&[("karpenter.k8s.aws/instance-cpu", Operator::Gt, &["2"])], "0"), untouched);
    assert_eq!(made(&[("karpenter.k8s.aws/instance-cpu", Operator::Gt, &["1"]), OD], "0")[0], (0, Overlaid));
    // Nobody says which zone has which id.
    assert_eq!(made(&[(labels::ZONE_ID, Operator::In, &["use1-az1"])], "0"), untouched);
    // Labels of the user's own are those of the NodePool.
    assert_eq!(made(&[("team", Operator::In, &["x"]), OD], "0")[0], (0, Overlaid));
    assert_eq!(made(&[("team", Operator::In, &["y"])], "0"), untouched);
    assert_eq!(made(&[("tier", Operator::In, &["x"])], "0"), untouched);
    assert_eq!(made(&[("tier", Operator::NotIn, &["x"]), OD], "0")[0], (0, Overlaid));
    assert_eq!(made(&[(labels::NODE_POOL, Operator::In, &["a"]), OD], "0")[0], (0, Overlaid));
    assert_eq!(made(&[(labels::NODE_POOL, Operator::In, &["b"])], "0"), untouched);
}

#[test]
fn the_heaviest_overlay_decides_alone() {
    let catalog = two_types();
    let overlays = vec![overlay("light", 0, &[], "-50%"), overlay("heavy", 10, &[OD], "-10%")];
    let cluster = cluster(vec![pool("a", &[])], overlays);
    assert_eq!(prices(&cluster, &catalog, "m5.large"), [(90_000, Overlaid), (25_000, OverlaidEstimate), (90_000, Overlaid)]);
    assert_eq!(idle(&cluster, &catalog), []);
}

#[test]
fn of_equal_weights_the_last_of_the_alphabet_counts_and_the_other_is_ignored_everywhere() {
    let catalog = two_types();
    // They meet on m5.large in NodePool b alone, and `a` is ignored in NodePool a too.
    let overlays = vec![
        overlay("a", 5, &[], "0.01"),
        overlay("z", 5, &[M5, (labels::NODE_POOL, Operator::In, &["b"])], "0.02"),
        overlay("lighter", 4, &[M5], "0.03"),
    ];
    let cluster = cluster(vec![pool("a", &[]), pool("b", &[])], overlays);
    let conflict =
        Idle::Conflict { with: "z".to_owned(), node_pool: "b".to_owned(), instance_type: "m5.large".to_owned(), resource: None };
    assert_eq!(idle(&cluster, &catalog), [("a", conflict)]);
    assert_eq!(prices(&cluster, &catalog, "m5.large")[0], (30_000, Overlaid));
    assert_eq!(prices(&cluster, &catalog, "m7g.large")[0], (80_000, Listed));
}

/// That a heavier overlay decides the price does not reconcile two lighter ones of one weight.
#[test]
fn overlays_conflict_even_where_neither_would_count() {
    let catalog = two_types();
    let overlays = vec![overlay("top", 9, &[], "0.01"), overlay("a", 1, &[M5], "0.02"), overlay("b", 1, &[OD], "0.03")];
    assert!(matches!(&idle(&cluster(vec![pool("a", &[])], overlays), &catalog)[..], [("a", Idle::Conflict { .. })]));
}

#[test]
fn one_weight_is_no_conflict_where_nothing_is_shared() {
    let catalog = two_types();
    let spot = (labels::CAPACITY_TYPE, Operator::In, &["spot"][..]);
    let gpu = with_capacity(overlay("gpu", 1, &[M5], ""), &[("example.com/gpu", 1)]);
    let nic = with_capacity(overlay("nic", 1, &[M5], ""), &[("example.com/nic", 2)]);
    let cluster = cluster(vec![pool("a", &[])], vec![overlay("a", 1, &[OD], "0.02"), overlay("b", 1, &[spot], "0.03"), gpu, nic]);
    assert_eq!(idle(&cluster, &catalog), []);
    assert_eq!(prices(&cluster, &catalog, "m5.large"), [(20_000, Overlaid), (30_000, Overlaid), (20_000, Overlaid)]);
}

#[test]
fn a_conflict_about_a_resource_takes_the_price_along() {
    let catalog = two_types();
    let first = with_capacity(overlay("z", 1, &[M5], ""), &[("example.com/gpu", 1)]);
    let second = with_capacity(overlay("a", 1, &[], "0.01"), &[("example.com/gpu", 2), ("example.com/nic", 1)]);
    let cluster = cluster(vec![pool("a", &[])], vec![first, second]);
    let conflict = Idle::Conflict {
        with: "z".to_owned(),
        node_pool: "a".to_owned(),
        instance_type: "m5.large".to_owned(),
        resource: Some("example.com/gpu".to_owned()),
    };
    let expected = "NodeOverlay `z` of the same weight sets example.com/gpu of m5.large in NodePool `a` as well; give one of them a \
                    higher weight";
    assert_eq!(conflict.to_string(), expected);
    assert_eq!(idle(&cluster, &catalog), [("a", conflict)]);
    assert_eq!(prices(&cluster, &catalog, "m7g.large")[0], (80_000, Listed));
}

#[test]
fn what_is_about_nothing_or_says_nothing_is_told() {
    let catalog = two_types();
    let elsewhere = overlay("elsewhere", 0, &[(labels::ZONE, Operator::In, &["us-west-2a"])], "0.01");
    let cluster = cluster(vec![pool("a", &[])], vec![elsewhere, overlay("empty", 0, &[], "")]);
    assert_eq!(idle(&cluster, &catalog), [("empty", Idle::Empty), ("elsewhere", Idle::Matchless)]);
}

#[test]
fn each_resource_is_that_of_the_heaviest_overlay_that_names_it() {
    let catalog = two_types();
    let spot = (labels::CAPACITY_TYPE, Operator::In, &["spot"][..]);
    let heavy = with_capacity(overlay("heavy", 2, &[spot], ""), &[("example.com/gpu", 4)]);
    let light = with_capacity(
        overlay("light", 1, &[], ""),
        &[("example.com/gpu", 1), ("example.com/nic", 3), ("hugepages-2Mi", 512 * MI)],
    );
    let none = with_capacity(overlay("none", 3, &[M5], ""), &[("vpc.amazonaws.com/efa", 0)]);
    let cluster = cluster(vec![pool("a", &[])], vec![light, heavy, none]);
    let overlays = Overlays::new(&cluster, &catalog);
    let of_pool = overlays.of_pool(&cluster.node_pools[0]).expect("the class is there");
    let of_type = of_pool.of_type(&catalog.instance_types[0]);
    let known = Resources::new().with("memory", 8_192 * MI).with("vpc.amazonaws.com/efa", 1);
    let capacity = of_type.capacity(known.clone());
    // One offering of the type is enough, and zero takes away what there was.
    let expected = Resources::new().with("example.com/gpu", 4).with("example.com/nic", 3).with("hugepages-2Mi", 512 * MI);
    assert_eq!(capacity, expected.clone().with("memory", 8_192 * MI));
    // Huge pages are memory that is no memory any more.
    assert_eq!(of_type.allocatable(known), expected.with("memory", (8_192 - 512) * MI));
    assert_eq!(of_type.allocatable(Resources::new().with("memory", MI)).get("memory"), 0);
}

#[test]
fn a_price_for_named_types_makes_up_for_one_that_is_missing() {
    let mut catalog = two_types();
    catalog.instance_types[0].offerings.retain(|sold| sold.capacity_type == CapacityType::Spot);
    let made = |overlays: Vec<NodeOverlay>| prices(&cluster(vec![pool("a", &[])], overlays), &catalog, "m5.large");
    let spot = (50_000, Estimated);
    assert_eq!(made(Vec::new()), [spot]);
    let given = (200_000, Overlaid);
    assert_eq!(made(vec![overlay("o", 0, &[M5], "0.2")]), [given; 4], "both zones, On-Demand and Spot");
    assert_eq!(made(vec![overlay("o", 0, &[M5, OD], "0.2")]), [spot], "it requires something else as well");
    assert_eq!(
        made(vec![overlay("o", 0, &[(labels::INSTANCE_TYPE, Operator::NotIn, &["x"])], "0.2")]),
        [given],
        "NotIn names no type"
    );
    assert_eq!(made(vec![overlay("o", 0, &[M5], "-10%")]), [(45_000, OverlaidEstimate)], "a change of nothing is nothing");
    let both = vec![overlay("heavy", 1, &[OD], "-10%"), overlay("o", 0, &[M5], "0.2")];
    assert_eq!(made(both), [(180_000, Overlaid), given, (180_000, Overlaid), given]);
}

#[test]
fn instances_of_reservations_are_offerings_at_a_price_of_zero() {
    let catalog = two_types();
    let reservation = reservation();
    let price = |requirements: &[(&str, Operator, &[&str])], price: &str| {
        let mut cluster = cluster(vec![pool("a", &[])], vec![overlay("o", 0, requirements, price)]);
        cluster.node_classes.get_mut("default").expect("it is there").capacity_reservations.push(reservation.clone());
        let overlays = Overlays::new(&cluster, &catalog);
        let of_pool = overlays.of_pool(&cluster.node_pools[0]).expect("the class is there");
        of_pool.of_type(&catalog.instance_types[0]).reserved(&reservation)
    };
    assert_eq!(price(&[OD], "0.02"), (UsdPerHour::ZERO, Listed));
    assert_eq!(
        price(&[(labels::CAPACITY_TYPE, Operator::In, &["reserved"])], "0.02"),
        (UsdPerHour::from_micros(20_000), Overlaid)
    );
    assert_eq!(price(&[], "-10%"), (UsdPerHour::ZERO, Overlaid));
}
