//! Every kind of constraint, alone and in company: the smallest set that conflicts, worked out by hand and proven by trying all sets.

use crate::domain::cluster::ClusterView;
use crate::domain::collective::Portion;
use crate::domain::labels;
use crate::domain::node_pool::NodePool;
use crate::domain::pod::PodSpec;
use crate::domain::requirement::Operator::{Exists, In};
use crate::domain::requirement::Requirement;
use crate::domain::topology::HostPort;
use crate::domain::volume::PodVolume;
use crate::planning::company::Stage;
use crate::planning::conflict_tests::check_against_brute_force;
use crate::planning::fixtures::{cluster, planned_within, pool, required, spec, taint, with_terms};
use crate::planning::obstacles::Obstacle;
use crate::planning::reasons::{Explainer, core};
use crate::planning::terms::TermKind;
use crate::planning::topology_tests::{Rule, Standing, small_pool, spread, term, with_rules, with_standing};

const ZONE_A: &str = "us-east-1a";
const ZONE_B: &str = "us-east-1b";

/// Whether brute force can drop the constraint from the manifests and look again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    BruteForce,
    /// Over the sets of obstacles alone.
    EverySet,
}

/// The smallest conflicting set of the last pod of `cluster`, which has no place; proven to be one, and none smaller.
fn smallest(cluster: &ClusterView, proof: Proof) -> Vec<String> {
    let planned = planned_within(cluster, 200_000);
    let last = cluster.pods.len() - 1;
    let left = planned.plan.unplaced.iter().find(|left| left.pod == last).expect("the pod has no place");
    assert!(!left.reasons.is_empty());
    if proof == Proof::BruteForce {
        check_against_brute_force(cluster, &planned, left).expect("brute force agrees");
    }
    let explainer = Explainer::new(cluster, &planned);
    let ruling = explainer.ruling(last, Stage::Now);
    let items = ruling.obstacles.len();
    let found = core(&ruling).expect("constraints leave no place");
    let leaves_none = |kept: usize| {
        let mut dropped = fixedbitset::FixedBitSet::with_capacity(items);
        dropped.extend((0..items).filter(|item| kept >> item & 1 == 0));
        !ruling.possible(&dropped)
    };
    let fewest = (0_usize..1 << items).filter(|&kept| leaves_none(kept)).map(|kept| kept.count_ones() as usize).min();
    assert_eq!(Some(found.len()), fewest);
    assert!(leaves_none(found.iter().map(|item| 1 << item).sum()));
    let terms = explainer.terms();
    let name = |obstacle: &Obstacle| match obstacle {
        Obstacle::Label { key, .. } => format!("label {key}"),
        Obstacle::Volume { name } => format!("volume {name}"),
        Obstacle::Resource { name } => format!("resource {name}"),
        Obstacle::Taint(taint) => format!("taint {}", taint.key),
        Obstacle::Between { term, own } => {
            let kind = match terms[*term].kind {
                TermKind::Spread { .. } => "spread",
                TermKind::Near => "affinity",
                TermKind::Apart => "anti-affinity",
                TermKind::Most { named: Some(_), .. } => "on-demand floor",
                TermKind::Most { named: None, .. } => "Spot pool share",
            };
            format!("{} {kind}", if *own { "own" } else { "others'" })
        }
        Obstacle::Port(port) => format!("port {}", port.port),
        Obstacle::Limit { resource, .. } => format!("limit {resource}"),
        Obstacle::MinValues { key, .. } => format!("minValues {key}"),
        Obstacle::Reserved { id } => format!("reservation {id}"),
        Obstacle::SpotPool => "Spot pool cap".to_owned(),
        Obstacle::NothingSold { .. } => "nothing sold".to_owned(),
    };
    found.iter().map(|&item| name(&ruling.obstacles[item])).collect()
}

fn only_in(zone: &str) -> NodePool {
    let mut made = small_pool();
    made.requirements.add(labels::ZONE, Requirement::one_of([zone]));
    made
}

fn in_zone(spec: PodSpec, zone: &str) -> PodSpec {
    with_terms(spec, &[&[(labels::ZONE, In, &[zone])]])
}

fn volumes_in(spec: PodSpec, zone: &str) -> PodSpec {
    let places = vec![required(&[(labels::ZONE, In, &[zone])])];
    PodSpec { volumes: vec![PodVolume { name: "data".to_owned(), places, shared: None, fault: None }], ..spec }
}

fn on_port(spec: PodSpec) -> PodSpec {
    PodSpec { host_ports: vec![HostPort { ip: "0.0.0.0".to_owned(), port: 80, protocol: "TCP".to_owned() }], ..spec }
}

/// A node of so many free cores where pods of workloads run.
fn node(zone: &'static str, cores: i64, pods: Vec<(usize, Vec<Rule>)>) -> Standing {
    Standing { zone, cores, pods }
}

fn with_nodes(pools: Vec<NodePool>, pod: PodSpec, nodes: &[Standing]) -> ClusterView {
    let mut made = cluster(pools, &[(1, pod)]);
    with_standing(&mut made, nodes);
    made
}

#[test]
fn what_one_pod_asks_of_nodes() {
    let alone = |pools: Vec<NodePool>, pod: PodSpec| smallest(&cluster(pools, &[(1, pod)]), Proof::BruteForce);
    let arm = with_terms(spec(1), &[&[(labels::ARCH, In, &["arm64"])]]);
    assert_eq!(alone(vec![small_pool()], arm), ["label kubernetes.io/arch"]);
    assert_eq!(alone(vec![small_pool()], volumes_in(spec(1), "us-east-1z")), ["volume data"]);
    assert_eq!(alone(vec![small_pool()], spec(9)), ["resource cpu"]);
    let mut tainted = only_in(ZONE_B);
    (tainted.name, tainted.taints) = ("tainted".to_owned(), vec![taint("farm")]);
    assert_eq!(alone(vec![tainted.clone()], spec(1)), ["taint farm"]);
    // Each of the two would do by itself.
    assert_eq!(
        alone(vec![small_pool()], volumes_in(in_zone(spec(1), ZONE_A), ZONE_B)),
        ["label topology.kubernetes.io/zone", "volume data"]
    );
    assert_eq!(
        alone(vec![only_in(ZONE_A), tainted], in_zone(spec(1), ZONE_B)),
        ["label topology.kubernetes.io/zone", "taint farm"]
    );
}

#[test]
fn what_pods_ask_of_one_another() {
    let runs = |rules: Vec<Rule>| vec![(0, rules)];
    let spreading = PodSpec { spreads: vec![spread(labels::ZONE, 1, 0)], ..spec(2) };
    // One runs in zone a, none in b, where no node has room.
    let full = with_nodes(vec![only_in(ZONE_A)], spreading, &[node(ZONE_A, 1, runs(vec![])), node(ZONE_B, 1, vec![])]);
    assert_eq!(smallest(&full, Proof::BruteForce), ["own spread"]);
    let lonely = PodSpec { near: vec![term(labels::ZONE, 7)], ..spec(1) };
    assert_eq!(smallest(&with_nodes(vec![small_pool()], lonely, &[]), Proof::BruteForce), ["own affinity"]);
    let shy = PodSpec { apart: vec![term(labels::ZONE, 5)], ..spec(2) };
    let rivals = with_nodes(vec![only_in(ZONE_A)], shy, &[node(ZONE_A, 1, vec![(5, vec![])])]);
    assert_eq!(smallest(&rivals, Proof::BruteForce), ["own anti-affinity"]);
    let disliked = with_nodes(vec![only_in(ZONE_A)], spec(2), &[node(ZONE_A, 1, vec![(5, vec![Rule::Apart(labels::ZONE, 0)])])]);
    assert_eq!(smallest(&disliked, Proof::BruteForce), ["others' anti-affinity"]);
    // A friend in zone a, a rival there too: either rule would do by itself.
    let torn = PodSpec { near: vec![term(labels::ZONE, 5)], apart: vec![term(labels::ZONE, 6)], ..spec(2) };
    let torn = with_nodes(vec![small_pool()], torn, &[node(ZONE_A, 1, vec![(5, vec![]), (6, vec![])])]);
    assert_eq!(smallest(&torn, Proof::BruteForce), ["own affinity", "own anti-affinity"]);
}

#[test]
fn what_limits_and_ports_leave() {
    let mut closed = small_pool();
    closed.limits.insert("nodes".to_owned(), 0);
    assert_eq!(smallest(&with_nodes(vec![closed.clone()], spec(1), &[]), Proof::BruteForce), ["limit nodes"]);
    // The node that exists has room but not for another on this port, and nothing may be bought.
    let taken = node(ZONE_A, 4, vec![(5, vec![Rule::Port(80)])]);
    assert_eq!(smallest(&with_nodes(vec![closed], on_port(spec(1)), &[taken]), Proof::BruteForce), ["port 80", "limit nodes"]);
    // A cpu limit that admits the small nodes only, and a pod that needs a large one.
    let mut tight = small_pool();
    tight.limits.insert("cpu".to_owned(), 4_000);
    let large = smallest(&with_nodes(vec![tight], spec(6), &[]), Proof::BruteForce);
    assert_eq!(large, ["resource cpu", "limit cpu"]);
}

#[test]
fn what_workloads_ask_of_all_their_pods() {
    let spot = || {
        let mut made = small_pool();
        made.requirements.add(labels::CAPACITY_TYPE, Requirement::one_of(["spot"]));
        made
    };
    let workload = |rule: Rule| with_rules(spec(1), &[rule]);
    let floor = cluster(vec![spot()], &[(1, workload(Rule::Floor(0, Portion::PerMille(1_000))))]);
    assert_eq!(smallest(&floor, Proof::BruteForce), ["own on-demand floor"]);
    // Every pool has its pod, and no other capacity may be bought.
    let mut one_pool = only_in(ZONE_A);
    one_pool.requirements.add(labels::CAPACITY_TYPE, Requirement::one_of(["spot"]));
    one_pool.requirements.add(labels::INSTANCE_TYPE, Requirement::one_of(["m5.large"]));
    let share = cluster(vec![one_pool.clone()], &[(2, workload(Rule::Share(0, Portion::Pods(1))))]);
    assert_eq!(smallest(&share, Proof::EverySet), ["own Spot pool share"]);
    let mut capped = cluster(vec![one_pool], &[(1, spec(1))]);
    capped.max_spot_pool_share = Some(900);
    assert_eq!(smallest(&capped, Proof::BruteForce), ["Spot pool cap"]);
    // The one that asks for the floor may use nothing but the pool that has nothing on demand.
    let mut tainted = small_pool();
    (tainted.name, tainted.taints) = ("tainted".to_owned(), vec![taint("farm")]);
    let both = cluster(vec![spot(), tainted], &[(1, workload(Rule::Floor(0, Portion::Pods(1))))]);
    assert_eq!(smallest(&both, Proof::BruteForce), ["taint farm", "own on-demand floor"]);
}

#[test]
fn what_node_pools_ask_of_offerings() {
    let mut diverse = pool("default", &[(labels::ARCH, In, &["amd64"]), (labels::INSTANCE_TYPE, Exists, &[])]);
    let mut wanted = diverse.requirements.remove(labels::INSTANCE_TYPE).expect("it was just given");
    wanted.min_values = Some(3);
    diverse.requirements.add(labels::INSTANCE_TYPE, wanted);
    let pinned = with_terms(spec(1), &[&[(labels::INSTANCE_TYPE, In, &["m5.large"])]]);
    let few = smallest(&with_nodes(vec![diverse], pinned, &[]), Proof::EverySet);
    assert_eq!(few, ["label node.kubernetes.io/instance-type", "minValues node.kubernetes.io/instance-type"]);
    let nothing = pool("default", &[(labels::INSTANCE_TYPE, In, &["m5.gone"])]);
    assert_eq!(smallest(&with_nodes(vec![nothing], spec(1), &[]), Proof::EverySet), ["nothing sold"]);
}
