//! Plans of small clusters: every rule of a pod and of a NodePool, one at a time.

use std::collections::BTreeSet;

use crate::domain::cluster::ClusterView;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::PlannedNode;
use crate::domain::pod::PodSpec;
use crate::domain::requirement::Operator;
use crate::domain::requirement::Operator::{DoesNotExist, Exists, Gt, In, NotIn};
use crate::domain::resources::ResourceName;
use crate::planning::candidates::PRICE_TOLERANCE_PERCENT;
use crate::planning::explain::{PodExplanation, explain_node, explain_pod};
use crate::planning::fixtures::{cluster, daemon_set, planned, pool, spec, taint, toleration, with_terms};
use crate::planning::obstacles::kept_from;
use crate::planning::plan::{PlanError, Planned};

/// Key, operator, values.
type Term = (&'static str, Operator, &'static [&'static str]);

const ON_DEMAND: Term = (labels::CAPACITY_TYPE, In, &["on-demand"]);
const AMD64: Term = (labels::ARCH, In, &["amd64"]);

/// `type x pods` of every node.
fn bought(planned: &Planned) -> Vec<String> {
    planned.plan.nodes.iter().map(|node| format!("{} x {}", node.offering.instance_type, node.pods.len())).collect()
}

fn reasons(planned: &Planned) -> Vec<&str> {
    planned.plan.unplaced.first().map(|pod| pod.reasons.iter().map(String::as_str).collect()).unwrap_or_default()
}

/// Every pod is on one node or unplaced, no node is overfull, and the cost adds up.
fn check_sound(cluster: &ClusterView, planned: &Planned) {
    let plan = &planned.plan;
    let mut seen: Vec<usize> = plan.nodes.iter().flat_map(|node| node.pods.iter().copied()).collect();
    seen.extend(plan.unplaced.iter().map(|pod| pod.pod));
    seen.sort_unstable();
    assert_eq!(seen, (0..cluster.pods.len()).collect::<Vec<_>>());
    for node in &plan.nodes {
        let mut used = node.daemons.clone();
        used.add(&node.requests);
        assert!(used.fits_in(&node.allocatable), "{node:?}");
        assert_eq!(node.candidates.first(), Some(&node.offering));
    }
    assert_eq!(plan.cost, plan.nodes.iter().map(PlannedNode::cost).sum::<UsdPerHour>());
    assert!(plan.bound <= plan.cost);
    assert!(plan.unplaced.iter().all(|pod| !pod.reasons.is_empty()));
}

#[test]
fn the_cheapest_node_that_holds_the_pods_is_bought() {
    let cluster = cluster(vec![pool("default", &[ON_DEMAND, AMD64])], &[(2, spec(3))]);
    let planned = planned(&cluster);
    check_sound(&cluster, &planned);
    // Two m5.xlarge and one m5.2xlarge cost the same; nothing is cheaper.
    assert_eq!(planned.plan.cost, UsdPerHour::from_micros(400_000));
    assert_eq!(planned.plan.bound, planned.plan.cost);
}

#[test]
fn architectures_are_kept_apart() {
    let amd = with_terms(spec(2), &[&[AMD64]]);
    let arm = with_terms(spec(2), &[&[(labels::ARCH, In, &["arm64"])]]);
    let cluster = cluster(vec![pool("default", &[ON_DEMAND])], &[(1, amd), (1, arm)]);
    let planned = planned(&cluster);
    check_sound(&cluster, &planned);
    assert_eq!(bought(&planned), ["m5.large x 1", "m7g.large x 1"]);
}

#[test]
fn taints_send_pods_to_the_pool_they_tolerate() {
    let mut farm = pool("farm", &[ON_DEMAND, (labels::ARCH, In, &["arm64"])]);
    farm.taints = vec![taint("farm")];
    let farmhand = PodSpec { tolerations: vec![toleration("farm")], ..spec(2) };
    let cluster = cluster(vec![pool("default", &[ON_DEMAND, AMD64]), farm], &[(1, spec(2)), (1, farmhand)]);
    let planned = planned(&cluster);
    check_sound(&cluster, &planned);
    let pools: Vec<&str> = planned.plan.nodes.iter().map(|node| node.node_pool.as_str()).collect();
    assert_eq!(pools, ["default", "farm"]);
    assert_eq!(planned.plan.nodes[1].pods, [1]);
}

#[test]
fn an_affinity_term_must_hold_in_one_piece() {
    // Arm in zone a or x86 in zone b: never Arm in zone b, although each value is allowed somewhere.
    let either = with_terms(
        spec(2),
        &[&[(labels::ARCH, In, &["arm64"]), (labels::ZONE, In, &["us-east-1b"])], &[AMD64, (labels::ZONE, In, &["us-east-1a"])]],
    );
    let pools = |zones: &[&str]| vec![pool("default", &[ON_DEMAND, (labels::ZONE, In, zones)])];
    let both = cluster(pools(&["us-east-1a", "us-east-1b"]), &[(1, either.clone())]);
    let offering = planned(&both).plan.nodes[0].offering.clone();
    assert_eq!((offering.instance_type.as_str(), offering.zone.as_str()), ("m7g.large", "us-east-1b"));
    let one = cluster(pools(&["us-east-1a"]), &[(1, either)]);
    assert_eq!(planned(&one).plan.nodes[0].offering.instance_type, "m5.large");
}

#[test]
fn daemon_sets_take_room_only_where_they_run() {
    let mut tainted = pool("tainted", &[ON_DEMAND, AMD64]);
    tainted.taints = vec![taint("quiet")];
    let to_tainted = PodSpec { tolerations: vec![toleration("quiet")], ..spec(2) };
    let to_tainted = with_terms(to_tainted, &[&[(labels::NODE_POOL, In, &["tainted"])]]);
    let mut cluster = cluster(vec![pool("default", &[ON_DEMAND, AMD64]), tainted], &[(1, spec(2)), (1, to_tainted)]);
    let everywhere = spec(1);
    let on_arm = PodSpec { tolerations: vec![toleration("quiet")], ..with_terms(spec(1), &[&[(labels::ARCH, In, &["arm64"])]]) };
    cluster.daemon_sets = vec![daemon_set("agent", everywhere), daemon_set("arm-only", on_arm)];
    let planned = planned(&cluster);
    check_sound(&cluster, &planned);
    assert_eq!(bought(&planned), ["m5.xlarge x 1", "m5.large x 1"]);
    let daemons: Vec<i64> = planned.plan.nodes.iter().map(|node| node.daemons.get(ResourceName::CPU)).collect();
    assert_eq!(daemons, [1_000, 0]);
}

#[test]
fn heavier_pools_come_first_and_their_limits_pass_pods_on() {
    let mut heavy = pool("heavy", &[ON_DEMAND, AMD64]);
    heavy.weight = 10;
    heavy.limits.insert(ResourceName::CPU.to_owned(), 4_000);
    let light = pool("light", &[ON_DEMAND, (labels::ARCH, In, &["arm64"])]);
    let cluster = cluster(vec![light, heavy], &[(4, spec(2))]);
    let planned = planned(&cluster);
    check_sound(&cluster, &planned);
    let in_heavy: usize = planned.plan.nodes.iter().filter(|node| node.node_pool == "heavy").map(|node| node.pods.len()).sum();
    assert_eq!((in_heavy, planned.plan.unplaced.len(), planned.tiers.len()), (2, 0, 2));
    // Two pods at 0.05 $ a core, two at 0.045 $.
    assert_eq!(planned.plan.cost, UsdPerHour::from_micros(380_000));
    assert_eq!(planned.plan.bound, planned.plan.cost);
}

#[test]
fn what_a_limit_leaves_is_named_and_the_higher_priority_is_placed() {
    let mut only = pool("only", &[ON_DEMAND, AMD64]);
    only.limits.insert(ResourceName::CPU.to_owned(), 5_000);
    let urgent = PodSpec { priority: 100, ..spec(2) };
    let cluster = cluster(vec![only], &[(2, spec(2)), (2, urgent)]);
    let planned = planned(&cluster);
    check_sound(&cluster, &planned);
    assert_eq!(planned.plan.unplaced.iter().map(|pod| pod.pod).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(
        reasons(&planned),
        [
            "the limit of 5 cores of NodePool only leaves 1 core, and the smallest node that could hold the pod, m5.large, takes 2 cores"
        ]
    );
    // The bound is about the pods that are placed: penalties of the others are not in it.
    assert_eq!(planned.plan.cost, UsdPerHour::from_micros(200_000));
    assert!(planned.plan.bound > UsdPerHour::ZERO);
}

#[test]
fn a_limit_on_nodes_counts_nodes() {
    let mut only = pool("only", &[ON_DEMAND, AMD64]);
    only.limits.insert(ResourceName::NODES.to_owned(), 1);
    let cluster = cluster(vec![only], &[(3, spec(2))]);
    let planned = planned(&cluster);
    check_sound(&cluster, &planned);
    assert_eq!(bought(&planned), ["m5.2xlarge x 3"]);
}

#[test]
fn open_labels_are_fixed_per_node() {
    let pools = vec![pool("default", &[ON_DEMAND, AMD64, ("team", Exists, &[])])];
    let team = |name: &str| with_terms(spec(1), &[&[("team", In, &[name])]]);
    let cluster = cluster(pools, &[(1, team("a")), (1, team("b")), (1, with_terms(spec(1), &[&[("team", NotIn, &["a"])]]))]);
    let planned = planned(&cluster);
    check_sound(&cluster, &planned);
    assert_eq!(planned.plan.unplaced, []);
    let teams: Vec<(&str, &[usize])> =
        planned.plan.nodes.iter().map(|node| (node.labels["team"].as_str(), node.pods.as_slice())).collect();
    assert_eq!(teams, [("a", &[0][..]), ("b", &[1, 2][..])]);
}

#[test]
fn a_label_that_no_pool_defines_is_said() {
    let pods = [(1, with_terms(spec(1), &[&[("team", In, &["a"])]]))];
    let mut absent = pool("absent", &[("team", DoesNotExist, &[])]);
    absent.weight = 1;
    let planned = planned(&cluster(vec![pool("default", &[]), absent], &pods));
    assert_eq!(reasons(&planned), ["requires team In [a], a label that nodes of NodePools absent and default do not have"]);
}

#[test]
fn min_values_are_covered_by_the_candidates() {
    let mut diverse = pool("default", &[ON_DEMAND, (labels::INSTANCE_TYPE, Exists, &[])]);
    let mut wanted = diverse.requirements.remove(labels::INSTANCE_TYPE).expect("it was just given");
    wanted.min_values = Some(5);
    diverse.requirements.add(labels::INSTANCE_TYPE, wanted);
    let pinned = with_terms(spec(1), &[&[(labels::INSTANCE_TYPE, In, &["m5.large"])]]);
    let cluster = cluster(vec![diverse], &[(7, spec(2)), (1, pinned)]);
    let planned = planned(&cluster);
    check_sound(&cluster, &planned);
    for node in &planned.plan.nodes {
        let types: BTreeSet<&str> = node.candidates.iter().map(|candidate| candidate.instance_type.as_str()).collect();
        assert!(types.len() >= 5, "{types:?}");
    }
    assert_eq!(planned.plan.unplaced.iter().map(|pod| pod.pod).collect::<Vec<_>>(), [7]);
    let expected = [
        "requires node.kubernetes.io/instance-type In [m5.large], but NodePool default could only have g5.xlarge, m5.2xlarge, \
         m5.4xlarge, m5.xlarge and 4 more",
        "NodePool default wants 5 different values of node.kubernetes.io/instance-type (minValues), and the offerings that would \
         hold the pod have 1",
    ];
    assert_eq!(reasons(&planned), expected);
}

#[test]
fn min_values_take_room_where_no_larger_type_is_left() {
    // Both types are needed, so a node holds what the smaller one holds, whichever is bought.
    let types: &[&str] = &["m5.large", "m5.xlarge"];
    let mut diverse = pool("default", &[ON_DEMAND, (labels::INSTANCE_TYPE, In, types)]);
    let mut wanted = diverse.requirements.remove(labels::INSTANCE_TYPE).expect("it was just given");
    wanted.min_values = Some(2);
    diverse.requirements.add(labels::INSTANCE_TYPE, wanted);
    let cluster = cluster(vec![diverse], &[(4, spec(1))]);
    let planned = planned(&cluster);
    check_sound(&cluster, &planned);
    assert_eq!(bought(&planned), ["m5.large x 2", "m5.large x 2"]);
}

#[test]
fn pods_that_pin_different_types_share_no_node_under_min_values() {
    let mut diverse = pool("default", &[ON_DEMAND, AMD64, (labels::INSTANCE_TYPE, Exists, &[])]);
    let mut wanted = diverse.requirements.remove(labels::INSTANCE_TYPE).expect("it was just given");
    wanted.min_values = Some(2);
    diverse.requirements.add(labels::INSTANCE_TYPE, wanted);
    let among = |types: &[&str]| with_terms(spec(1), &[&[(labels::INSTANCE_TYPE, In, types)]]);
    let pods = [(1, among(&["m5.large", "m5.xlarge"])), (1, among(&["m5.large", "m5.2xlarge"]))];
    let cluster = cluster(vec![diverse], &pods);
    let planned = planned(&cluster);
    check_sound(&cluster, &planned);
    assert_eq!(bought(&planned), ["m5.large x 1", "m5.large x 1"]);
}

#[test]
fn candidates_are_cheapest_first_and_within_the_tolerance() {
    let cluster = cluster(vec![pool("default", &[])], &[(1, spec(2))]);
    let planned = planned(&cluster);
    let node = &planned.plan.nodes[0];
    assert_eq!(node.offering.instance_type, "m7g.large");
    assert!(node.candidates.len() > 1);
    assert!(node.candidates.is_sorted_by_key(|candidate| candidate.price));
    let dearest = node.candidates.iter().map(|candidate| candidate.price.micros()).max().unwrap_or(0);
    assert!(dearest * 100 <= node.offering.price.micros() * (100 + PRICE_TOLERANCE_PERCENT));
    let mut unique = node.candidates.clone();
    unique.sort_by(|a, b| (&a.instance_type, &a.zone, a.capacity_type).cmp(&(&b.instance_type, &b.zone, b.capacity_type)));
    unique.dedup();
    assert_eq!(unique.len(), node.candidates.len());
}

#[test]
fn plans_do_not_depend_on_the_order_of_pods() {
    let pods = [(3, spec(1)), (2, spec(3)), (4, spec(2))];
    let pools = || vec![pool("default", &[ON_DEMAND])];
    let mut forward = cluster(pools(), &pods);
    let one = planned(&forward);
    forward.pods.reverse();
    let other = planned(&forward);
    assert_eq!(bought(&one), bought(&other));
    assert_eq!((one.plan.cost, one.plan.bound), (other.plan.cost, other.plan.bound));
    assert_eq!(planned(&forward).plan, other.plan);
}

#[test]
fn scopes_and_obstacles_agree() {
    let mut farm = pool("farm", &[("team", In, &["a", "b"]), (labels::ARCH, In, &["arm64"])]);
    farm.taints = vec![taint("farm")];
    let pools = vec![pool("default", &[ON_DEMAND, ("tier", Gt, &["2"])]), farm, pool("plain", &[])];
    let terms: [&[&[Term]]; 8] = [
        &[&[]],
        &[&[AMD64]],
        &[&[("team", In, &["a"])], &[(labels::ZONE, In, &["us-east-1b"])]],
        &[&[("team", NotIn, &["a"])]],
        &[&[("tier", In, &["4"]), (labels::ZONE, NotIn, &["us-east-1a"])]],
        &[&[("karpenter.k8s.aws/instance-cpu", Gt, &["4"]), (labels::CAPACITY_TYPE, In, &["spot"])]],
        &[&[("team", DoesNotExist, &[])]],
        &[&[("nobody", Exists, &[])], &[(labels::ZONE_ID, In, &["use1-az1"])]],
    ];
    let mut pods: Vec<(usize, PodSpec)> = terms.iter().map(|term| (1, with_terms(spec(1), term))).collect();
    let tolerant = pods.iter().map(|(_, spec)| (1, PodSpec { tolerations: vec![toleration("farm")], ..spec.clone() }));
    pods.extend(tolerant.collect::<Vec<_>>());
    let cluster = cluster(pools, &pods);
    let planned = planned(&cluster);
    check_sound(&cluster, &planned);
    let mut open = 0;
    for (number, pod) in cluster.pods.iter().enumerate() {
        let scope = &planned.demand.scopes[planned.demand.classes[planned.demand.class_of[number]].scope];
        for (template, offers) in planned.supply.templates.iter().zip(&scope.offers) {
            for offer in 0..template.offers.len() {
                let let_in = offers.as_ref().is_some_and(|offers| offers.contains(offer));
                let obstacles = kept_from(template, offer, &pod.spec);
                assert_eq!(let_in, obstacles.is_empty(), "{:?} on {}: {obstacles:?}", pod.spec, template.name);
                open += usize::from(let_in);
            }
        }
    }
    assert!(open > 0);
}

/// A pod with three constraints of which two suffice to rule everything out.
#[test]
fn reasons_are_the_smallest_set() {
    let mut farm = pool("farm", &[(labels::ARCH, In, &["arm64"])]);
    farm.taints = vec![taint("farm")];
    let pools = || vec![pool("default", &[AMD64]), farm.clone()];
    let arm_in_a = [(labels::ARCH, In, &["arm64"][..]), (labels::ZONE, In, &["us-east-1a"][..])];
    let stuck = with_terms(spec(2), &[&arm_in_a]);
    let first = planned(&cluster(pools(), &[(1, stuck.clone())]));
    let expected = [
        "requires kubernetes.io/arch In [arm64], but NodePool default could only have amd64",
        "does not tolerate the taint farm:NoSchedule of NodePool farm",
    ];
    assert_eq!(reasons(&first), expected);
    // Without either of them there is a node.
    let tolerant = PodSpec { tolerations: vec![toleration("farm")], ..stuck.clone() };
    let anywhere = with_terms(stuck, &[&arm_in_a[1..]]);
    for mended in [tolerant, anywhere] {
        assert_eq!(planned(&cluster(pools(), &[(1, mended)])).plan.unplaced, []);
    }
}

#[test]
fn the_nearest_miss_of_a_resource_is_named() {
    let mut cluster = cluster(vec![pool("default", &[])], &[(1, spec(40))]);
    cluster.daemon_sets = vec![daemon_set("agent", spec(1))];
    let cases = "needs 40 cores; the largest node that NodePool default allows offers 15 cores after its DaemonSets";
    assert_eq!(reasons(&planned(&cluster)), [cases]);
    let mut gpus = spec(1);
    gpus.requests.set("amd.com/gpu", 1);
    let planned = planned(&crate::planning::fixtures::cluster(vec![pool("default", &[])], &[(1, gpus)]));
    assert_eq!(reasons(&planned), ["needs 1 amd.com/gpu; no node that NodePool default allows has any to offer"]);
}

#[test]
fn pools_that_sell_nothing_and_missing_pools_are_named() {
    let nothing = pool("nothing", &[(labels::ARCH, In, &["riscv64"])]);
    assert_eq!(
        reasons(&planned(&cluster(vec![nothing], &[(1, spec(1))]))),
        ["the requirements of NodePool nothing leave no instance type of the catalog"]
    );
    assert_eq!(reasons(&planned(&cluster(Vec::new(), &[(1, spec(1))]))), ["there is no NodePool"]);
}

#[test]
fn a_missing_node_class_is_an_error() {
    let mut cluster = cluster(vec![pool("default", &[])], &[(1, spec(1))]);
    cluster.node_classes.clear();
    let config = crate::solver::SolveConfig { gap: 0.0, work_limit: Some(1), deadline: None, seed: 1 };
    let costs = crate::planning::cost::CostModel::volumes_only();
    let made = crate::planning::plan::plan(
        &cluster,
        &crate::planning::fixtures::catalog(),
        &costs,
        &config,
        &|| std::time::Duration::ZERO,
        &mut |_| {},
    );
    let expected = PlanError::MissingNodeClass { node_pool: "default".to_owned(), node_class: "default".to_owned() };
    assert_eq!(made.err(), Some(expected));
}

#[test]
fn nodes_explain_themselves() {
    let amd = with_terms(spec(3), &[&[AMD64]]);
    let cluster = cluster(vec![pool("default", &[ON_DEMAND])], &[(1, amd)]);
    let planned = planned(&cluster);
    let node = explain_node(&cluster, &planned, 0).expect("there is one node");
    assert_eq!(node.utilisation[0].resource, ResourceName::CPU);
    let zone_b = node.next_best.expect("zone b sells it too");
    assert_eq!((zone_b.offering.zone.as_str(), zone_b.per_hour), ("us-east-1b", UsdPerHour::ZERO));
    let larger = node.next_best_type.expect("larger types hold it too");
    assert_eq!((larger.offering.instance_type.as_str(), larger.per_month().micros()), ("m5.2xlarge", 200_000 * 730));
    assert_eq!(
        node.binding,
        [
            "cpu is the fullest: 3 cores for pods and 0 cores for DaemonSets of 4 cores, 75.0 %",
            "the nearest cheaper offering, m5.large (on-demand, us-east-1a), saves $0.1000 per hour but lacks 1 core",
            "m7g.xlarge (on-demand, us-east-1a) of NodePool default would save $0.0200 per hour, but pod default/w0-0 requires \
             kubernetes.io/arch In [amd64]",
        ]
    );
    match explain_pod(&cluster, &planned, 0) {
        Some(PodExplanation::Placed { node, .. }) => assert_eq!(node.node, 0),
        other => panic!("the pod is placed: {other:?}"),
    }
    assert_eq!(explain_pod(&cluster, &planned, 1), None);
    assert_eq!(explain_node(&cluster, &planned, 1), None);
}
