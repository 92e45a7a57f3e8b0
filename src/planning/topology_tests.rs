//! Rules between pods: plans that can be worked out by hand, and random clusters against brute force, the verifier and the replay of
//! kube-scheduler.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::domain::cluster::ClusterView;
use crate::domain::collective::{Portion, WorkloadRules};
use crate::domain::interruption::InterruptionCosts;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::node::{BoundPod, Node, NodeState};
use crate::domain::pod::PodSpec;
use crate::domain::requirement::Operator::In;
use crate::domain::resources::ResourceName;
use crate::domain::selector::{LabelSelector, Labels, PodSelector};
use crate::domain::topology::{HostPort, PodAffinityTerm, Preference, TopologySpread, Wish};
use crate::domain::volume::{EBS_DRIVER, PodVolume, SharedClaim};
use crate::planning::commitment_tests::{bought, with_bought};
use crate::planning::fixtures::{catalog, cluster, daemon_set, node_class, planned_within, pool, required, spec, with_terms};
use crate::planning::oracle::{cheapest, orders};
use crate::planning::plan::Planned;
use crate::planning::replay::replay;
use crate::planning::supply_tests::{dollars, reservations, with_reservations};
use crate::planning::verifier::{Violation, verify};

/// How many orders of binding are tried besides forwards and backwards.
const RANDOM_ORDERS: usize = 6;

/// Pods of workload `number` of the cluster.
pub(super) fn selecting(number: usize) -> PodSelector {
    let app = Labels::from([("app".to_owned(), format!("w{number}"))]);
    PodSelector { namespaces: Some(BTreeSet::from(["default".to_owned()])), labels: Some(LabelSelector::of_labels(&app)) }
}

pub(super) fn spread(key: &str, max_skew: u32, number: usize) -> TopologySpread {
    TopologySpread {
        topology_key: key.to_owned(),
        max_skew,
        min_domains: 1,
        selector: selecting(number),
        honors_affinity: true,
        honors_taints: false,
        required: true,
    }
}

pub(super) fn term(key: &str, number: usize) -> PodAffinityTerm {
    PodAffinityTerm { topology_key: key.to_owned(), selector: selecting(number) }
}

pub(super) fn small_pool() -> crate::domain::node_pool::NodePool {
    pool("default", &[(labels::INSTANCE_TYPE, In, &["m5.large", "m5.xlarge", "m5.2xlarge"])])
}

fn solved(pods: &[(usize, PodSpec)]) -> (ClusterView, Planned) {
    let cluster = cluster(vec![small_pool()], pods);
    let planned = planned_within(&cluster, 100_000);
    check(&cluster, &planned).expect("a sound plan");
    (cluster, planned)
}

/// The plan keeps every rule, and its pods can be bound in the orders forwards and backwards, and in some at random.
pub(super) fn check(cluster: &ClusterView, planned: &Planned) -> Result<(), TestCaseError> {
    let violations = verify(cluster, &catalog(), &planned.plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE).violations;
    prop_assert!(violations.is_empty(), "{violations:?}");
    let forwards: Vec<usize> = (0..cluster.pods.len()).collect();
    let backwards: Vec<usize> = forwards.iter().rev().copied().collect();
    let mut rng = ChaCha8Rng::seed_from_u64(cluster.pods.len() as u64);
    let mut shuffled = || {
        let mut order = forwards.clone();
        (1..order.len()).rev().for_each(|at| order.swap(at, rng.random_range(0..=at)));
        order
    };
    let random: Vec<Vec<usize>> = (0..RANDOM_ORDERS).map(|_| shuffled()).collect();
    for order in random.into_iter().chain([forwards, backwards]) {
        let stuck = replay(cluster, &catalog(), &planned.plan, &order);
        prop_assert!(stuck.is_empty(), "never bound: {stuck:?}");
    }
    Ok(())
}

/// How many pods of workload `number` there are in each zone.
fn by_zone(cluster: &ClusterView, planned: &Planned, number: usize) -> BTreeMap<String, usize> {
    let mut made = BTreeMap::new();
    for node in &planned.plan.nodes {
        let pods = node.pods.iter().filter(|&&pod| cluster.pods[pod].workload.name == format!("w{number}")).count();
        *made.entry(node.offering.zone.clone()).or_default() += pods;
    }
    made
}

fn micros(planned: &Planned) -> i64 {
    planned.plan.cost.micros()
}

#[test]
fn zones_are_in_balance() {
    let web = PodSpec { spreads: vec![spread(labels::ZONE, 1, 0)], ..spec(2) };
    let (cluster, planned) = solved(&[(5, web)]);
    let zones = by_zone(&cluster, &planned, 0);
    assert_eq!(zones.values().copied().collect::<BTreeSet<usize>>(), BTreeSet::from([2, 3]));
    // Zone a has Spot at half the price: three pods there at 50,000 each, two in zone b at 100,000.
    assert_eq!(micros(&planned), 350_000);
    assert_eq!(planned.plan.bound, planned.plan.cost);
}

#[test]
fn a_wider_skew_is_used_where_it_pays() {
    let web = PodSpec { spreads: vec![spread(labels::ZONE, 3, 0)], ..spec(2) };
    let (cluster, planned) = solved(&[(5, web)]);
    assert_eq!(by_zone(&cluster, &planned, 0).get("us-east-1a"), Some(&4));
    assert_eq!(micros(&planned), 300_000);
}

#[test]
fn too_few_domains_count_as_empty() {
    let grounded = TopologySpread { min_domains: 3, ..spread(labels::ZONE, 1, 0) };
    let web = PodSpec { spreads: vec![grounded], ..spec(2) };
    let (_, planned) = solved(&[(5, web)]);
    assert_eq!(planned.plan.unplaced.len(), 3);
}

#[test]
fn a_zone_that_cannot_take_the_pods_is_still_a_domain() {
    // Taints keep the pods out of the pool that reaches zone b; with the default policy its zone counts all the same.
    let mut tainted = small_pool();
    tainted.name = "tainted".to_owned();
    tainted.taints = vec![crate::planning::fixtures::taint("farm")];
    let mut only_a = small_pool();
    only_a.requirements.add(labels::ZONE, crate::domain::requirement::Requirement::one_of(["us-east-1a"]));
    let web = PodSpec { spreads: vec![spread(labels::ZONE, 2, 0)], ..spec(2) };
    let cluster_of = |spec: PodSpec| cluster(vec![only_a.clone(), tainted.clone()], &[(5, spec)]);
    let planned = planned_within(&cluster_of(web.clone()), 100_000);
    assert_eq!(planned.plan.unplaced.len(), 3);
    let honoring = TopologySpread { honors_taints: true, ..spread(labels::ZONE, 2, 0) };
    let planned = planned_within(&cluster_of(PodSpec { spreads: vec![honoring], ..web }), 100_000);
    assert_eq!(planned.plan.unplaced.len(), 0);
}

#[test]
fn pods_apart_have_nodes_of_their_own() {
    let web = PodSpec { apart: vec![term(labels::HOSTNAME, 0)], ..spec(1) };
    let (_, planned) = solved(&[(4, web)]);
    assert_eq!(planned.plan.nodes.len(), 4);
    assert_eq!(micros(&planned), 200_000);
}

#[test]
fn services_of_equal_number_share_nodes_under_one_limit() {
    let apart = |number| PodSpec { apart: vec![term(labels::HOSTNAME, number)], ..spec(1) };
    let (_, planned) = solved(&[(3, apart(0)), (3, apart(1))]);
    // Three nodes with a pod of each.
    assert_eq!((planned.plan.nodes.len(), micros(&planned)), (3, 150_000));
    assert_eq!(planned.tiers[0].program.problem.classes.len(), 1);
}

#[test]
fn one_service_stays_away_from_another() {
    let quiet = PodSpec { apart: vec![term(labels::HOSTNAME, 1)], ..spec(1) };
    let (_, planned) = solved(&[(2, quiet), (2, spec(1))]);
    assert_eq!((planned.plan.nodes.len(), micros(&planned)), (2, 100_000));
}

#[test]
fn a_pinned_pod_drives_the_others_out_of_its_zone() {
    let pinned = with_terms(PodSpec { apart: vec![term(labels::ZONE, 0)], ..spec(1) }, &[&[(labels::ZONE, In, &["us-east-1a"])]]);
    // Leaving the pinned pod would save as much as it costs to move one of the others to the dearer zone.
    let small = pool("default", &[(labels::INSTANCE_TYPE, In, &["m5.large", "m5.xlarge"])]);
    let cluster = cluster(vec![small], &[(2, spec(3)), (1, pinned)]);
    let planned = planned_within(&cluster, 1_000_000);
    assert!(planned.plan.unplaced.is_empty());
    assert_eq!(by_zone(&cluster, &planned, 0).get("us-east-1b"), Some(&2));
}

#[test]
fn friends_share_a_zone() {
    let near = PodSpec { near: vec![term(labels::ZONE, 0)], ..spec(2) };
    let (cluster, planned) = solved(&[(4, near)]);
    assert_eq!(by_zone(&cluster, &planned, 0).len(), 1);
    assert_eq!(micros(&planned), 200_000);
}

#[test]
fn friends_of_a_pinned_service_follow_it() {
    let pinned = with_terms(spec(2), &[&[(labels::ZONE, In, &["us-east-1b"])]]);
    let near = PodSpec { near: vec![term(labels::ZONE, 0)], ..spec(2) };
    let (cluster, planned) = solved(&[(1, pinned), (3, near)]);
    assert_eq!(by_zone(&cluster, &planned, 1).get("us-east-1b"), Some(&3));
    assert_eq!(micros(&planned), 400_000);
}

#[test]
fn friends_share_a_node() {
    let near = PodSpec { near: vec![term(labels::HOSTNAME, 0)], ..spec(1) };
    let (_, planned) = solved(&[(4, near)]);
    assert_eq!((planned.plan.nodes.len(), micros(&planned)), (1, 100_000));
    let near = PodSpec { near: vec![term(labels::HOSTNAME, 0)], ..spec(4) };
    let (_, planned) = solved(&[(4, near)]);
    assert_eq!(planned.plan.unplaced.len(), 4, "no node holds all of them");
}

#[test]
fn a_pod_near_nobody_is_not_placed() {
    let near = PodSpec { near: vec![term(labels::ZONE, 7)], ..spec(1) };
    let (_, planned) = solved(&[(2, near), (1, spec(1))]);
    assert_eq!(planned.plan.unplaced.len(), 2);
}

#[test]
fn a_port_is_taken_once_per_node() {
    let port = |ip: &str| HostPort { ip: ip.to_owned(), port: 80, protocol: "TCP".to_owned() };
    let all = PodSpec { host_ports: vec![port("0.0.0.0")], ..spec(1) };
    let one = PodSpec { host_ports: vec![port("10.0.0.1")], ..spec(1) };
    let other = PodSpec { host_ports: vec![port("10.0.0.2")], ..spec(1) };
    let (_, planned) = solved(&[(2, all), (1, one), (1, other)]);
    // Two nodes for the pods on every address, and one that the other two share.
    assert_eq!(planned.plan.nodes.len(), 3);
}

#[test]
fn a_label_of_the_node_pool_is_a_domain_too() {
    let mut split = small_pool();
    split.requirements.add("rack", crate::domain::requirement::Requirement::one_of(["r1", "r2"]));
    let web = PodSpec { spreads: vec![spread("rack", 1, 0)], ..spec(2) };
    let cluster = cluster(vec![split], &[(4, web)]);
    let planned = planned_within(&cluster, 100_000);
    check(&cluster, &planned).expect("a sound plan");
    let mut racks: BTreeMap<&String, usize> = BTreeMap::new();
    for node in &planned.plan.nodes {
        *racks.entry(&node.labels["rack"]).or_default() += node.pods.len();
    }
    assert_eq!(racks.into_values().collect::<Vec<usize>>(), [2, 2]);
}

fn with_rule(cores: i64, rule: Rule) -> PodSpec {
    with_rules(spec(cores), &[rule])
}

#[test]
fn pods_go_where_their_volumes_are() {
    let pods = [(2, with_rule(2, Rule::Volume("us-east-1b", 0))), (1, spec(2))];
    let (cluster, mut planned) = solved(&pods);
    assert_eq!(by_zone(&cluster, &planned, 0), BTreeMap::from([("us-east-1a".to_owned(), 0), ("us-east-1b".to_owned(), 2)]));
    // The verifier sees a volume in another zone, and one that nobody can attach.
    let elsewhere = planned.plan.nodes.iter_mut().find(|node| node.offering.zone == "us-east-1b").expect("a node in b");
    elsewhere.offering.zone = "us-east-1a".to_owned();
    elsewhere.candidates = vec![elsewhere.offering.clone()];
    let found = verify(&cluster, &catalog(), &planned.plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE).violations;
    assert!(found.iter().any(|of| matches!(of, Violation::Volume { .. })), "{found:?}");
}

#[test]
fn a_node_has_no_more_volumes_than_it_can() {
    // 27 slots less three network interfaces and the root volume.
    let (cluster, mut planned) = solved(&[(3, with_rule(1, Rule::Volume("us-east-1b", 11)))]);
    assert_eq!(planned.plan.nodes.len(), 3, "12 volumes each, and 23 on a node");
    let taken = planned.plan.nodes[0].pods.remove(0);
    planned.plan.nodes[1].pods.push(taken);
    let found = verify(&cluster, &catalog(), &planned.plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE).violations;
    let attachments =
        |of: &Violation| matches!(of, Violation::Overcommitted { resource, .. } if resource.starts_with("attachable"));
    assert!(found.iter().any(attachments), "{found:?}");
}

#[test]
fn pods_of_one_claim_are_in_one_zone() {
    // No two of them fit on one node.
    let pinned = with_terms(with_rule(5, Rule::Claim(0)), &[&[(labels::ZONE, In, &["us-east-1b"])]]);
    let (cluster, mut planned) = solved(&[(1, pinned), (3, with_rule(5, Rule::Claim(0)))]);
    assert_eq!(by_zone(&cluster, &planned, 1), BTreeMap::from([("us-east-1b".to_owned(), 3)]));
    let moved = &mut planned.plan.nodes[0];
    moved.offering.zone = "us-east-1a".to_owned();
    moved.candidates = vec![moved.offering.clone()];
    let found = verify(&cluster, &catalog(), &planned.plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE).violations;
    let split = |of: &Violation| matches!(of, Violation::ClaimInSeveralDomains { .. });
    assert!(found.iter().any(split), "{found:?}");
}

#[test]
fn volumes_of_running_pods_count() {
    let runs = vec![(1, vec![Rule::Volume("us-east-1a", 1)])];
    let mut cluster = cluster(vec![small_pool()], &[(3, with_rule(1, Rule::Volume("us-east-1a", 0)))]);
    with_standing(&mut cluster, &[Standing { zone: "us-east-1a", cores: 6, pods: runs }]);
    // Two of three are taken, so one pod has a place there, and the two others share a new node.
    cluster.nodes[0].allocatable.set(ResourceName::attachments_of(EBS_DRIVER).as_str(), 3);
    let planned = planned_within(&cluster, 100_000);
    check(&cluster, &planned).expect("a sound plan");
    assert_eq!((planned.plan.existing[0].pods.len(), planned.plan.nodes.len()), (1, 1));
    let mut broken = planned.plan.clone();
    broken.nodes.clear();
    broken.existing[0].pods = vec![0, 1, 2];
    let found = verify(&cluster, &catalog(), &broken, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE).violations;
    let overfull = |of: &Violation| matches!(of, Violation::ExistingNodeOvercommitted { resource, .. } if resource.starts_with("attachable"));
    assert!(found.iter().any(overfull), "{found:?}");
}

#[test]
fn a_node_full_of_volumes_takes_pods_without_any() {
    // A limit below what runs, and no limit at all.
    for limit in [1, 0] {
        let mut cluster = cluster(vec![small_pool()], &[(1, spec(3))]);
        let runs = vec![(1, vec![Rule::Volume("us-east-1a", 2)])];
        with_standing(&mut cluster, &[Standing { zone: "us-east-1a", cores: 3, pods: runs }]);
        limit_volumes(&mut cluster, &[limit]);
        let planned = planned_within(&cluster, 100_000);
        check(&cluster, &planned).expect("a sound plan");
        assert_eq!((planned.plan.existing.len(), planned.plan.nodes.len()), (1, 0), "limit {limit}");
    }
}

#[test]
fn a_claim_is_attached_once_to_a_node() {
    let cluster_of = |rule: &Rule| {
        let mut cluster = cluster(vec![small_pool()], &[(1, with_rule(1, rule.clone()))]);
        with_standing(&mut cluster, &[Standing { zone: "us-east-1b", cores: 4, pods: vec![(1, vec![Rule::Claim(0)]); 2] }]);
        cluster.nodes[0].allocatable.set(ResourceName::attachments_of(EBS_DRIVER).as_str(), 2);
        cluster
    };
    // Two running pods have one volume between them, which leaves room for one more.
    for rule in [Rule::Volume("us-east-1b", 0), Rule::Claim(0)] {
        let cluster = cluster_of(&rule);
        let planned = planned_within(&cluster, 100_000);
        check(&cluster, &planned).expect("a sound plan");
        assert_eq!((planned.plan.existing.len(), planned.plan.nodes.len()), (1, 0), "{rule:?}");
    }
}

#[test]
fn ports_of_daemon_sets_are_taken() {
    let port = |rules: &[Rule]| with_rules(spec(1), rules);
    let mut cluster = cluster(vec![small_pool()], &[(1, port(&[Rule::Port(80)])), (1, port(&[Rule::Port(81)]))]);
    cluster.daemon_sets = vec![daemon_set("web", with_rules(spec(0), &[Rule::Port(80)]))];
    with_standing(&mut cluster, &[Standing { zone: "us-east-1a", cores: 3, pods: Vec::new() }]);
    let planned = planned_within(&cluster, 100_000);
    check(&cluster, &planned).expect("a sound plan");
    let [left] = planned.plan.unplaced.as_slice() else { panic!("{:?}", planned.plan.unplaced) };
    assert_eq!((left.pod, left.why), (0, crate::domain::plan::WhyLeft::Impossible));
    assert!(left.reasons[0].starts_with("takes port 80/TCP of its node, which is taken"), "{left:?}");
    // The verifier sees it too.
    let mut broken = planned.plan.clone();
    broken.unplaced.clear();
    broken.existing[0].pods.push(0);
    broken.existing[0].pods.sort_unstable();
    let found = verify(&cluster, &catalog(), &broken, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE).violations;
    assert!(found.iter().any(|of| matches!(of, Violation::HostPort { .. })), "{found:?}");
}

#[test]
fn zones_and_nodes_at_once() {
    let web = PodSpec { spreads: vec![spread(labels::ZONE, 1, 0), spread(labels::HOSTNAME, 1, 0)], ..spec(1) };
    let (cluster, planned) = solved(&[(4, web), (4, spec(1))]);
    assert_eq!(by_zone(&cluster, &planned, 0).into_values().collect::<Vec<usize>>(), [2, 2]);
    assert!(planned.plan.nodes.iter().all(|node| node.pods.iter().filter(|&&pod| pod < 4).count() <= 1));
}

/// So many clusters, the same in every run of cargo (`.cargo/config.toml`); `PROPTEST_RNG_SEED` asks for others, `PROPTEST_CASES` for more.
pub(super) fn repeatable(cases: u32) -> ProptestConfig {
    /// Cases where nobody asks for a number.
    const USUAL: u32 = 256;
    let asked = ProptestConfig::default();
    let cases = if asked.cases == USUAL { cases } else { asked.cases };
    ProptestConfig { cases, failure_persistence: None, ..asked }
}

/// A rule of one workload about another (or itself).
#[derive(Clone, Debug)]
pub(super) enum Rule {
    Spread(&'static str, u32, usize),
    Near(&'static str, usize),
    Apart(&'static str, usize),
    Port(u16),
    Zone(&'static str),
    /// A volume that exists in a zone, with so many others that can be attached anywhere.
    Volume(&'static str, i64),
    /// A claim, of which there are two, that other pods may use as well and whose volume is still to be made.
    Claim(u16),
    /// A part of a workload that is not to be on Spot, or not in one Spot pool.
    Floor(usize, Portion),
    Share(usize, Portion),
    /// A group that is placed whole or not at all.
    Group(u16),
    /// A preference of some weight.
    Soft(i32, Box<Rule>),
}

fn a_portion() -> impl Strategy<Value = Portion> {
    prop_oneof![(0_u32..3).prop_map(Portion::Pods), prop_oneof![Just(300), Just(500), Just(1_000)].prop_map(Portion::PerMille)]
}

fn a_rule(workloads: usize) -> impl Strategy<Value = Rule> {
    let key = || prop_oneof![3 => Just(labels::ZONE), 3 => Just(labels::HOSTNAME), 1 => Just(labels::CAPACITY_TYPE)];
    let rule = prop_oneof![
        4 => (key(), 1_u32..3, 0..workloads).prop_map(|(key, skew, of)| Rule::Spread(key, skew, of)),
        2 => (key(), 0..workloads).prop_map(|(key, of)| Rule::Near(key, of)),
        3 => (key(), 0..workloads).prop_map(|(key, of)| Rule::Apart(key, of)),
        1 => (80_u16..82).prop_map(Rule::Port),
        1 => prop_oneof![Just("us-east-1a"), Just("us-east-1b")].prop_map(Rule::Zone),
        1 => (prop_oneof![Just("us-east-1a"), Just("us-east-1b")], 0_i64..16).prop_map(|(zone, others)| Rule::Volume(zone, others)),
        1 => (0_u16..2).prop_map(Rule::Claim),
        1 => (0..workloads, a_portion()).prop_map(|(of, floor)| Rule::Floor(of, floor)),
        1 => (0..workloads, a_portion()).prop_map(|(of, share)| Rule::Share(of, share)),
        1 => (0_u16..2).prop_map(Rule::Group),
    ];
    let weight = prop_oneof![2 => Just(None), 1 => (1_i32..=100).prop_map(Some)];
    (rule, weight).prop_map(|(rule, weight)| match weight {
        Some(weight) if matches!(rule, Rule::Spread(..) | Rule::Near(..) | Rule::Apart(..) | Rule::Zone(_)) => {
            Rule::Soft(weight, Box::new(rule))
        }
        _ => rule,
    })
}

pub(super) fn with_rules(mut spec: PodSpec, rules: &[Rule]) -> PodSpec {
    for rule in rules {
        match rule {
            Rule::Spread(key, skew, of) => spec.spreads.push(spread(key, *skew, *of)),
            Rule::Near(key, of) => spec.near.push(term(key, *of)),
            Rule::Apart(key, of) => spec.apart.push(term(key, *of)),
            Rule::Port(port) => {
                spec.host_ports = vec![HostPort { ip: "0.0.0.0".to_owned(), port: *port, protocol: "TCP".to_owned() }];
            }
            Rule::Soft(weight, rule) => {
                let wish = match rule.as_ref() {
                    Rule::Spread(key, skew, of) => {
                        spec.spreads.push(TopologySpread { required: false, ..spread(key, *skew, *of) });
                        continue;
                    }
                    Rule::Near(key, of) => Wish::Near(term(key, *of)),
                    Rule::Apart(key, of) => Wish::Apart(term(key, *of)),
                    Rule::Zone(zone) => Wish::Node(required(&[(labels::ZONE, In, &[zone])])),
                    _ => continue,
                };
                spec.preferences.push(Preference { weight: *weight, wish });
            }
            Rule::Floor(of, floor) => ask(&mut spec, *of).on_demand_floor = Some(*floor),
            Rule::Share(of, share) => ask(&mut spec, *of).max_spot_pool_share = Some(*share),
            Rule::Group(number) => spec.atomic_group = Some(format!("default/g{number}")),
            Rule::Volume(zone, others) => {
                let places = vec![required(&[(labels::ZONE, In, &[zone])])];
                attach(&mut spec, others + 1);
                spec.volumes.push(PodVolume { name: format!("data-{zone}"), places, shared: None, fault: None });
            }
            Rule::Claim(number) => {
                let name = format!("claim-{number}");
                if spec.volumes.iter().all(|volume| volume.name != name) {
                    attach(&mut spec, 1);
                    let shared = SharedClaim {
                        claim: format!("default/{name}"),
                        attachment: Some(ResourceName::attachments_of(EBS_DRIVER)),
                        settled_by: Some(labels::ZONE.to_owned()),
                    };
                    spec.volumes.push(PodVolume { name, places: Vec::new(), shared: Some(shared), fault: None });
                }
            }
            Rule::Zone(zone) => spec = PodSpec { ..with_terms(spec, &[&[(labels::ZONE, In, &[zone])]]) },
        }
    }
    spec
}

/// What the workload asks of all its pods, to be filled in.
fn ask(spec: &mut PodSpec, workload: usize) -> &mut WorkloadRules {
    let workload = format!("Deployment default/w{workload}");
    spec.workload_rules.get_or_insert(WorkloadRules { workload, on_demand_floor: None, max_spot_pool_share: None })
}

fn attach(spec: &mut PodSpec, volumes: i64) {
    let name = ResourceName::attachments_of(EBS_DRIVER);
    spec.requests.set(name.as_str(), spec.requests.get(name.as_str()) + volumes);
}

pub(super) fn workloads(count: usize, pods: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(usize, PodSpec)>> {
    let one = (pods, 1_i64..4, proptest::collection::vec(a_rule(count), 0..3));
    proptest::collection::vec(one, 1..=count)
        .prop_map(|all| all.into_iter().map(|(pods, cores, rules)| (pods, with_rules(spec(cores), &rules))).collect())
}

/// A node that exists, with pods of one core that run on it: `(workload, rules)`.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) zone: &'static str,
    pub(super) cores: i64,
    pub(super) pods: Vec<(usize, Vec<Rule>)>,
}

pub(super) fn standing(workloads: usize) -> impl Strategy<Value = Vec<Standing>> {
    let zone = prop_oneof![Just("us-east-1a"), Just("us-east-1b"), Just("us-east-1z")];
    let pod = (0..workloads, proptest::collection::vec(a_rule(workloads), 0..2));
    let node = (zone, 1_i64..8, proptest::collection::vec(pod, 0..3));
    let node = node.prop_map(|(zone, cores, pods)| Standing { zone, cores, pods });
    proptest::collection::vec(node, 0..3)
}

/// The volumes of a pod that runs are made.
fn running(mut spec: PodSpec) -> PodSpec {
    spec.volumes.iter_mut().filter_map(|volume| volume.shared.as_mut()).for_each(|shared| shared.settled_by = None);
    spec
}

/// The nodes join the cluster. The volume of a claim that a running pod uses is made, for the pods that wait as well.
pub(super) fn with_standing(cluster: &mut ClusterView, nodes: &[Standing]) {
    let rules = nodes.iter().flat_map(|node| &node.pods).flat_map(|(_, rules)| rules);
    let made: BTreeSet<String> = rules
        .flat_map(|rule| match rule {
            Rule::Claim(number) => Some(format!("default/claim-{number}")),
            _ => None,
        })
        .collect();
    for pod in &mut cluster.pods {
        let mut spec = (*pod.spec).clone();
        let shared = spec.volumes.iter_mut().filter_map(|volume| volume.shared.as_mut());
        shared.filter(|shared| made.contains(&shared.claim)).for_each(|shared| shared.settled_by = None);
        pod.spec = Arc::new(spec);
    }
    for (at, of) in nodes.iter().enumerate() {
        let pods = of.pods.iter().enumerate().map(|(number, (workload, rules))| BoundPod {
            namespace: "default".to_owned(),
            name: format!("running-{at}-{number}"),
            labels: Arc::new(Labels::from([("app".to_owned(), format!("w{workload}"))])),
            spec: Arc::new(running(with_rules(spec(1), rules))),
            of_daemon_set: false,
        });
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let room = spec(of.cores + i64::try_from(of.pods.len()).expect("a small number")).requests;
        let mut allocatable = room.clone();
        allocatable.set("pods", 20);
        cluster.nodes.push(Node {
            name: format!("old-{at}"),
            node_pool: None,
            labels: Labels::from([
                label(labels::HOSTNAME, &format!("old-{at}")),
                label(labels::ZONE, of.zone),
                label(labels::CAPACITY_TYPE, "on-demand"),
            ]),
            taints: Vec::new(),
            capacity: allocatable.clone(),
            allocatable,
            state: NodeState::Ready,
            pods: pods.collect(),
        });
    }
}

/// How many volumes each node that exists can have; 0 for a node that does not say.
fn attach_limits() -> impl Strategy<Value = Vec<i64>> {
    proptest::collection::vec(prop_oneof![Just(0_i64), 1_i64..24], 3)
}

fn limit_volumes(cluster: &mut ClusterView, limits: &[i64]) {
    for (node, &limit) in cluster.nodes.iter_mut().zip(limits).filter(|(_, limit)| **limit > 0) {
        node.allocatable.set(ResourceName::attachments_of(EBS_DRIVER).as_str(), limit);
    }
}

#[test]
fn free_room_is_used_first() {
    let mut cluster = cluster(vec![small_pool()], &[(5, spec(1))]);
    with_standing(&mut cluster, &[Standing { zone: "us-east-1a", cores: 3, pods: vec![(0, Vec::new())] }]);
    let planned = planned_within(&cluster, 100_000);
    check(&cluster, &planned).expect("a sound plan");
    assert_eq!(planned.plan.existing.len(), 1);
    assert_eq!(planned.plan.existing[0].pods.len(), 3);
    assert_eq!(micros(&planned), 50_000);
}

#[test]
fn limits_count_what_exists() {
    let mut limited = small_pool();
    limited.limits.insert("nodes".to_owned(), 1);
    let mut cluster = cluster(vec![limited], &[(2, spec(1))]);
    with_standing(&mut cluster, &[Standing { zone: "us-east-1a", cores: 1, pods: Vec::new() }]);
    cluster.nodes[0].node_pool = Some("default".to_owned());
    let planned = planned_within(&cluster, 100_000);
    check(&cluster, &planned).expect("a sound plan");
    assert_eq!((planned.plan.nodes.len(), planned.plan.existing.len()), (0, 1));
    let [left] = planned.plan.unplaced.as_slice() else { panic!("one pod has no place: {:?}", planned.plan.unplaced) };
    assert!(
        left.reasons[0].starts_with("what the nodes that exist leave of the limit of NodePool default, 0 nodes,"),
        "{left:?}"
    );
}

#[test]
fn running_pods_count() {
    let node = |zone, pods| Standing { zone, cores: 8, pods };
    let runs = |rules: Vec<Rule>| vec![(0, rules)];
    // Two run in zone a: the next two belong into b, although a has room for nothing.
    let web = PodSpec { spreads: vec![spread(labels::ZONE, 1, 0)], ..spec(2) };
    let mut spreading = cluster(vec![small_pool()], &[(2, web)]);
    with_standing(&mut spreading, &[node("us-east-1a", [runs(vec![]), runs(vec![])].concat())]);
    let planned = planned_within(&spreading, 100_000);
    check(&spreading, &planned).expect("a sound plan");
    assert_eq!(by_zone(&spreading, &planned, 0).get("us-east-1b"), Some(&2));

    // A running pod keeps its rivals off its node, and draws its friends there.
    let mut rivals =
        cluster(vec![small_pool()], &[(1, spec(1)), (1, PodSpec { near: vec![term(labels::HOSTNAME, 2)], ..spec(1) })]);
    with_standing(&mut rivals, &[node("us-east-1a", vec![(2, vec![Rule::Apart(labels::HOSTNAME, 0)])])]);
    let planned = planned_within(&rivals, 100_000);
    check(&rivals, &planned).expect("a sound plan");
    assert_eq!(planned.plan.existing, [crate::domain::plan::ExistingUse { node: 0, pods: vec![1] }]);
    assert_eq!(planned.plan.nodes.len(), 1);
}

proptest! {
    #![proptest_config(repeatable(150))]

    /// The bound is below the cheapest plan that brute force finds, the plan is no cheaper, and what is proven optimal leaves nothing
    /// that could be placed.
    #[test]
    fn brute_force_agrees(
        pods in workloads(3, 1..3),
        nodes in prop_oneof![Just(Vec::new()), standing(3)],
        reserved in reservations(),
        dollars in dollars(),
        limits in attach_limits(),
        share in proptest::option::weighted(0.15, 200_u32..1_500),
        bought in bought(),
    ) {
        let mut pods = pods;
        let mut left = if nodes.is_empty() { 4 } else { 3 };
        for (count, _) in &mut pods {
            *count = (*count).min(left);
            left -= *count;
        }
        pods.retain(|(count, _)| *count > 0);
        let mut small = pool("default", &[(labels::INSTANCE_TYPE, In, &["m5.large", "m5.xlarge"])]);
        small.limits.extend(dollars);
        let mut cluster = cluster(vec![small], &pods);
        with_reservations(&mut cluster, &reserved);
        with_standing(&mut cluster, &nodes);
        limit_volumes(&mut cluster, &limits);
        cluster.max_spot_pool_share = share;
        with_bought(&mut cluster, &bought);
        let planned = planned_within(&cluster, 30_000);
        check(&cluster, &planned)?;
        let kinds = &planned.demand.worth;
        let worth = |pod: usize, rule: usize| {
            let at = kinds.binary_search_by_key(&pod, |of| of.pod);
            UsdPerHour::from_micros(at.map_or(0, |at| kinds[at].worth[rule]))
        };
        let best = cheapest(&cluster, &catalog(), &node_class(), &worth);
        if planned.plan.unplaced.is_empty() {
            let best = best.expect("the plan places every pod and keeps every rule");
            prop_assert!(planned.plan.bound <= best, "bound {} above the optimum {best}", planned.plan.bound);
            let value = planned.plan.cost + planned.plan.forgone;
            prop_assert!(value >= best, "value {value} below the optimum {best}");
        } else if planned.tiers.iter().all(|tier| tier.complete) {
            prop_assert!(best.is_none(), "{} pods are left, and all could be placed for {best:?}", planned.plan.unplaced.len());
        }
    }

    /// Larger clusters: every rule holds, whatever the order in which the pods are bound.
    #[test]
    fn plans_hold_in_every_order(
        pods in workloads(5, 1..7),
        nodes in standing(5),
        reserved in reservations(),
        dollars in dollars(),
        limits in attach_limits(),
        daemon_port in proptest::option::of(80_u16..82),
        share in proptest::option::weighted(0.15, 100_u32..1_000),
        bought in bought(),
        work in prop_oneof![Just(30), Just(300), Just(3_000)],
        seed in 0_usize..1_000,
    ) {
        let mut limited = small_pool();
        limited.limits.extend(dollars);
        let mut cluster = cluster(vec![limited], &pods);
        with_reservations(&mut cluster, &reserved);
        with_standing(&mut cluster, &nodes);
        limit_volumes(&mut cluster, &limits);
        let daemon = daemon_port.map(|port| daemon_set("web", with_rules(spec(0), &[Rule::Port(port)])));
        cluster.daemon_sets.extend(daemon);
        cluster.max_spot_pool_share = share;
        with_bought(&mut cluster, &bought);
        let planned = planned_within(&cluster, work);
        check(&cluster, &planned)?;
        let mut order: Vec<usize> = (0..cluster.pods.len()).collect();
        for at in 0..order.len() {
            let other = (at * 7_919 + seed * 104_729) % order.len();
            order.swap(at, other);
        }
        let stuck = replay(&cluster, &catalog(), &planned.plan, &order);
        prop_assert!(stuck.is_empty(), "never bound: {stuck:?}");
    }

    /// A rule less never makes the plan dearer: its bound stays below the cost with the rule, and a plan that places fewer pods is not
    /// called complete.
    #[test]
    fn a_rule_less_is_no_dearer(pods in workloads(4, 1..6)) {
        // What preferences are worth depends on the rules that are required.
        let mut pods = pods;
        for (_, spec) in &mut pods {
            spec.preferences.clear();
            spec.spreads.retain(|spread| spread.required);
        }
        let with = planned_within(&cluster(vec![small_pool()], &pods), 10_000);
        prop_assume!(with.plan.unplaced.is_empty());
        let mut fewer = pods;
        for (_, spec) in &mut fewer {
            let between = spec.spreads.pop().is_some() || spec.apart.pop().is_some() || spec.near.pop().is_some();
            let dropped = between || spec.atomic_group.take().is_some();
            spec.host_ports.truncate(if dropped { 1 } else { 0 });
        }
        let without = planned_within(&cluster(vec![small_pool()], &fewer), 10_000);
        if !without.plan.unplaced.is_empty() {
            prop_assert!(without.tiers.iter().any(|tier| !tier.complete), "pods are left that have a place with one rule more");
            return Ok(());
        }
        prop_assert!(without.plan.bound <= with.plan.cost);
    }
}

#[test]
fn every_order_is_tried() {
    assert_eq!(orders(3).into_iter().collect::<BTreeSet<_>>().len(), 6);
}
