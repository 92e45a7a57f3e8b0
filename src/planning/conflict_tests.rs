//! Reasons for pods that are left: every kind by hand, and random clusters against brute force.
//!
//! Brute force knows nothing of obstacles: it drops constraints from the manifests, puts the pod on every node there is or could be,
//! and asks the verifier and the replay of kube-scheduler.

use std::collections::BTreeMap;
use std::sync::Arc;

use fixedbitset::FixedBitSet;
use proptest::prelude::*;

use crate::domain::allocatable;
use crate::domain::cluster::ClusterView;
use crate::domain::instance_settings::InstanceSettings;
use crate::domain::interruption::InterruptionCosts;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::node_pool::NodePool;
use crate::domain::plan::{ExistingUse, Plan, PlannedNode, UnplacedPod, WhyLeft};
use crate::domain::pod::PodSpec;
use crate::domain::requirement::Operator::In;
use crate::domain::requirement::Requirement;
use crate::domain::resources::{ResourceName, Resources};
use crate::domain::selector::PodSelector;
use crate::domain::taint::{Taint, Toleration};
use crate::domain::volume::PodVolume;
use crate::planning::company::Stage;
use crate::planning::fixtures::{catalog, cluster, node_class, planned_within, pool, required, taint};
use crate::planning::obstacles::Obstacle;
use crate::planning::oracle::{cheapest, for_sale};
use crate::planning::plan::Planned;
use crate::planning::reasons::{Explainer, core, corrections};
use crate::planning::replay::replay;
use crate::planning::supply_tests::{reservations, with_reservations};
use crate::planning::terms::{Counts, Term, TermKind};
use crate::planning::topology_tests::{repeatable, small_pool, standing, with_standing, workloads};
use crate::planning::verifier::{Violation, verify};

/// Whether a pod has a place beside a plan, by trying every node.
struct Beside<'a> {
    cluster: &'a ClusterView,
    planned: &'a Planned,
    pod: usize,
    terms: Vec<Term>,
}

impl Beside<'_> {
    /// Whether there is a place without the constraints of `dropped`.
    fn possible(&self, dropped: &[&Obstacle]) -> bool {
        let mut relaxed = self.cluster.clone();
        dropped.iter().for_each(|obstacle| self.relax(&mut relaxed, obstacle));
        self.plans(&relaxed).iter().any(|plan| sound(&relaxed, plan))
    }

    fn relax(&self, cluster: &mut ClusterView, obstacle: &Obstacle) {
        let mut spec: PodSpec = (*cluster.pods[self.pod].spec).clone();
        match obstacle {
            Obstacle::Label { key, requirement } => {
                for terms in spec.node_alternatives.iter_mut().filter(|terms| terms.get(key) == Some(requirement)) {
                    terms.remove(key);
                }
            }
            Obstacle::Volume { name } => spec.volumes.retain(|volume| volume.name != *name),
            Obstacle::Resource { name } => {
                spec.requests.set(name, 0);
                spec.volumes.iter_mut().filter_map(|volume| volume.shared.as_mut()).for_each(|shared| shared.attachment = None);
            }
            Obstacle::Taint(Taint { key, value, effect }) => {
                let toleration = Toleration { key: Some(key.clone()), value: Some(value.clone()), effect: Some(*effect) };
                spec.tolerations.push(toleration);
            }
            Obstacle::Port(port) => spec.host_ports.retain(|other| other != port),
            Obstacle::Between { term, .. } => {
                let term = &self.terms[*term];
                without(&mut spec, term);
                let pods = cluster.pods.iter_mut().map(|pod| &mut pod.spec);
                for other in pods.chain(cluster.nodes.iter_mut().flat_map(|node| &mut node.pods).map(|pod| &mut pod.spec)) {
                    let mut changed = (**other).clone();
                    without(&mut changed, term);
                    *other = Arc::new(changed);
                }
            }
            Obstacle::Limit { node_pool, resource } => {
                cluster.node_pools[*node_pool].limits.remove(resource);
            }
            Obstacle::Reserved { id } => {
                let reservations = cluster.node_classes.values_mut().flat_map(|class| &mut class.capacity_reservations);
                reservations.filter(|reservation| reservation.id == *id).for_each(|reservation| reservation.free += 1);
            }
            Obstacle::SpotPool => cluster.max_spot_pool_share = None,
            Obstacle::MinValues { .. } | Obstacle::NothingSold { .. } => {}
        }
        cluster.pods[self.pod].spec = Arc::new(spec);
    }

    /// The plan with the pod on each node that is bought, exists, or could be bought. Room that others have taken stays theirs.
    fn plans(&self, relaxed: &ClusterView) -> Vec<Plan> {
        let mut before = self.planned.plan.clone();
        before.unplaced.retain(|left| left.pod != self.pod);
        for node in &mut before.nodes {
            node.candidates.truncate(1);
        }
        let asks = &self.cluster.pods[self.pod].spec.requests;
        let fits = |free: &Resources, limited: bool| {
            let counts = |name: &ResourceName| limited || !name.is_attachment();
            asks.iter().all(|(name, amount)| !counts(name) || amount <= free.get(name.as_str()))
        };
        let requests = &relaxed.pods[self.pod].spec.requests;
        let mut plans = Vec::new();
        for (number, node) in before.nodes.iter().enumerate() {
            if fits(&node.allocatable.minus(&node.daemons).minus(&node.requests), true) {
                let mut plan = before.clone();
                plan.nodes[number].pods.push(self.pod);
                plan.nodes[number].requests.add(requests);
                plans.push(plan);
            }
        }
        for (number, node) in self.cluster.nodes.iter().enumerate() {
            let mut free = node.allocatable.clone();
            node.pods.iter().for_each(|pod| free = free.minus(&pod.spec.requests));
            let used = before.existing.iter().filter(|used| used.node == number).flat_map(|used| &used.pods);
            used.for_each(|&pod| free = free.minus(&self.cluster.pods[pod].spec.requests));
            // Nodes that exist list no limit on attachments here.
            if fits(&free, false) {
                let mut plan = before.clone();
                match plan.existing.iter_mut().find(|used| used.node == number) {
                    Some(used) => used.pods.push(self.pod),
                    None => plan.existing.push(ExistingUse { node: number, pods: vec![self.pod] }),
                }
                plans.push(plan);
            }
        }
        for pool in &relaxed.node_pools {
            for candidate in for_sale(relaxed, &catalog()) {
                let mut plan = before.clone();
                let of_type = catalog();
                let of_type = of_type.get(&candidate.instance_type).expect("what is for sale is in the catalog");
                plan.nodes.push(PlannedNode {
                    node_pool: pool.name.clone(),
                    offering: candidate.clone(),
                    overhead: UsdPerHour::ZERO,
                    covers: Vec::new(),
                    labels: BTreeMap::new(),
                    pods: vec![self.pod],
                    requests: requests.clone(),
                    daemons: Resources::new(),
                    allocatable: allocatable::allocatable(of_type, &node_class(), &InstanceSettings::default()),
                    candidates: vec![candidate],
                });
                plan.cost = plan.nodes.iter().map(PlannedNode::cost).sum();
                plans.push(plan);
            }
        }
        plans
    }
}

/// The spec without its atomic group, of which more than one pod is to be placed.
fn alone(spec: PodSpec) -> PodSpec {
    PodSpec { atomic_group: None, ..spec }
}

/// Takes a rule between pods out of a spec.
fn without(spec: &mut PodSpec, term: &Term) {
    let counted = match &term.counts {
        Counts::OfClaim(claim) => {
            let shared = spec.volumes.iter_mut().filter_map(|volume| volume.shared.as_mut());
            return shared.filter(|shared| shared.claim == *claim).for_each(|shared| shared.settled_by = None);
        }
        Counts::OfWorkload(of) => {
            let rules = spec.workload_rules.as_mut().filter(|rules| rules.workload == of.workload);
            return rules.into_iter().for_each(|rules| match term.key.as_str() {
                labels::CAPACITY_TYPE => {
                    rules.on_demand_floor = None;
                    rules.max_spot_pool_share = rules.max_spot_pool_share.filter(|share| share.of(9) > 0);
                }
                _ => rules.max_spot_pool_share = None,
            });
        }
        Counts::Selected(selector) => selector,
    };
    let same = |key: &String, selector: &PodSelector| *key == term.key && selector == counted;
    match &term.kind {
        TermKind::Spread { max_skew, .. } => {
            spec.spreads.retain(|spread| !(same(&spread.topology_key, &spread.selector) && spread.max_skew == *max_skew));
        }
        TermKind::Near => spec.near.retain(|near| !same(&near.topology_key, &near.selector)),
        TermKind::Apart => spec.apart.retain(|apart| !same(&apart.topology_key, &apart.selector)),
        TermKind::Most { .. } => {}
    }
}

fn sound(cluster: &ClusterView, plan: &Plan) -> bool {
    let verdict = verify(cluster, &catalog(), plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE);
    // What was sent with the plan's nodes before is not at issue, nor are sums and what the plan says of preferences.
    let at_issue = |violation: &&Violation| {
        !matches!(
            violation,
            Violation::RequestsMisstated { .. }
                | Violation::CostMisstated { .. }
                | Violation::PreferenceMisstated { .. }
                | Violation::ForgoneMisstated { .. }
        )
    };
    let orders = [(0..cluster.pods.len()).collect::<Vec<_>>(), (0..cluster.pods.len()).rev().collect()];
    verdict.violations.iter().find(at_issue).is_none()
        && orders.iter().all(|order| replay(cluster, &catalog(), plan, order).is_empty())
}

/// Checks the reasons of the pod against brute force over every set of its obstacles.
pub(super) fn check_against_brute_force(
    cluster: &ClusterView,
    planned: &Planned,
    left: &UnplacedPod,
) -> Result<(), TestCaseError> {
    let explainer = Explainer::new(cluster, planned);
    let ruling = explainer.ruling(left.pod, Stage::Now);
    let terms = explainer.terms();
    let beside = Beside { cluster, planned, pod: left.pod, terms };
    let items = ruling.obstacles.len();
    let bits = |set: &[usize]| set.iter().map(|item| 1_usize << item).sum::<usize>();
    let all = (1_usize << items) - 1;
    let mut possible: BTreeMap<usize, bool> = BTreeMap::new();
    for dropped in 0..=all {
        let chosen: Vec<usize> = (0..items).filter(|item| dropped >> item & 1 == 1).collect();
        let obstacles: Vec<&Obstacle> = chosen.iter().map(|&item| &ruling.obstacles[item]).collect();
        let found = beside.possible(&obstacles);
        let mut set = FixedBitSet::with_capacity(items);
        set.extend(chosen);
        prop_assert_eq!(ruling.possible(&set), found, "without {:?} of {:?}", obstacles, &ruling.obstacles);
        possible.insert(dropped, found);
    }
    let core = core(&ruling);
    prop_assert_eq!(core.is_none(), possible[&0]);
    let Some(core) = core else { return Ok(()) };
    // The reasons leave no place though all else is dropped, and there is one without any of them.
    let kept = bits(&core);
    prop_assert!(!possible[&(all & !kept)], "{core:?} of {:?}", ruling.obstacles);
    for item in &core {
        prop_assert!(possible[&(all & !kept | 1 << item)], "{item} of {core:?} of {:?}", ruling.obstacles);
    }
    // No smaller set does.
    let fewest = (0..=all).filter(|kept| !possible[&(all & !kept)]).map(usize::count_ones).min();
    prop_assert_eq!(Some(core.len()), fewest.map(|size| size as usize));
    // What it would take suffices, and nothing smaller does.
    let fewest = (0..=all).filter(|dropped| possible[dropped]).map(usize::count_ones).min();
    let ways = corrections(&ruling);
    prop_assert_eq!(ways.is_empty(), fewest.is_none());
    for way in &ways {
        prop_assert!(possible[&bits(way)]);
        prop_assert_eq!(Some(way.len()), fewest.map(|size| size as usize));
    }
    Ok(())
}

/// What a limit is to be raised to, as a remedy says it: `... of NodePool default from 4 cores to 6 cores, for m5.large ...`.
fn asked_for(remedy: &str) -> Option<(&str, i64)> {
    let (pool, rest) = remedy.strip_prefix("raise the limit of NodePool ")?.split_once(" from ")?;
    let (number, unit) = rest.split_once(" to ")?.1.split_once(',')?.0.split_once(' ')?;
    let per_thousand = match unit.split(' ').next()? {
        "core" | "cores" => 1_000,
        "GiB" => 1 << 30,
        "MiB" => 1 << 20,
        _ => 1,
    };
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let thousandths = format!("{decimals:0<3}").parse::<i64>().ok()?;
    Some((pool, whole.parse::<i64>().ok()? * per_thousand + thousandths * per_thousand / 1_000))
}

/// Limits of two NodePools stop a pod; either, raised to what is said, admits it beside the plan, and one unit less does not.
#[test]
fn a_limit_raised_to_what_is_said_is_enough_and_one_unit_less_is_not() {
    let gib = crate::planning::fixtures::GIB;
    let cases = [("cpu", 9_000, 3_000), ("memory", 33 * gib + 5, 30 * gib), ("nodes", 1, 0)];
    for (resource, limit, of_arm) in cases {
        let mut plain = small_pool();
        plain.limits.insert(resource.to_owned(), limit);
        let mut arm = pool("arm", &[(labels::INSTANCE_TYPE, In, &["m7g.xlarge"])]);
        arm.limits.insert(resource.to_owned(), of_arm);
        let cluster = cluster(vec![arm, plain], &[(9, crate::planning::fixtures::spec(3))]);
        let planned = planned_within(&cluster, 1_000_000);
        let left = planned.plan.unplaced.first().unwrap_or_else(|| panic!("the limits on {resource} hold all"));
        let raised: Vec<(&str, i64)> = left.remedies.iter().filter_map(|remedy| asked_for(remedy)).collect();
        assert_eq!(raised.len(), 2, "{:?}", left.remedies);
        for (name, needed) in raised {
            let admits = |amount: i64| {
                let mut cluster = cluster.clone();
                let pool = cluster.node_pools.iter_mut().find(|pool| pool.name == name).expect("the NodePool is named");
                pool.limits.insert(resource.to_owned(), amount);
                Beside { cluster: &cluster, planned: &planned, pod: left.pod, terms: Vec::new() }.possible(&[])
            };
            assert!(admits(needed), "{needed} {resource} of {name}: {:?}", left.remedies);
            assert!(!admits(needed - 1), "{needed} {resource} of {name} less one: {:?}", left.remedies);
        }
    }
}

/// NodePools with limits, a taint and labels.
fn pools() -> impl Strategy<Value = Vec<NodePool>> {
    let limit = || prop_oneof![2 => Just(None), 1 => (0_i64..9).prop_map(|cores| Some(("cpu", cores * 1_000))), 2 => (0_i64..3).prop_map(|nodes| Some(("nodes", nodes))), 1 => (0_i64..8).prop_map(|halves| Some((ResourceName::COST, halves * 50_000)))];
    let zone = prop_oneof![Just(None), Just(Some("us-east-1a"))];
    (limit(), proptest::option::of(limit()), zone).prop_map(|(limit, arm, zone)| {
        let mut plain = small_pool();
        plain.limits.extend(limit.map(|(name, amount)| (name.to_owned(), amount)));
        if let Some(zone) = zone {
            plain.requirements.add(labels::ZONE, Requirement::one_of([zone]));
        }
        let tainted = arm.map(|limit| {
            let mut made = pool("tainted", &[(labels::INSTANCE_TYPE, In, &["m7g.xlarge"])]);
            made.taints = vec![taint("farm")];
            made.limits.extend(limit.map(|(name, amount)| (name.to_owned(), amount)));
            made
        });
        [Some(plain), tainted].into_iter().flatten().collect()
    })
}

/// What else a workload may ask for: an architecture, volumes in a zone, more cores than most nodes have.
fn extras() -> impl Strategy<Value = (bool, Option<&'static str>, i64)> {
    let zone = prop_oneof![2 => Just(None), 1 => Just(Some("us-east-1a")), 1 => Just(Some("us-east-1b"))];
    (proptest::bool::weighted(0.2), zone, prop_oneof![4 => Just(0_i64), 1 => Just(9_i64)])
}

fn with_extras(mut spec: PodSpec, (arm, volume, cores): (bool, Option<&str>, i64)) -> PodSpec {
    if arm {
        spec = with_added(spec, labels::ARCH, "arm64");
    }
    if let Some(zone) = volume {
        let places = vec![required(&[(labels::ZONE, In, &[zone])])];
        spec.volumes.push(PodVolume { name: "data".to_owned(), places, shared: None, fault: None });
    }
    if cores > 0 {
        spec.requests.set(ResourceName::CPU, cores * 1_000);
    }
    plain(spec)
}

fn with_added(mut spec: PodSpec, key: &str, value: &str) -> PodSpec {
    spec.node_alternatives.iter_mut().for_each(|terms| terms.add(key, Requirement::one_of([value])));
    spec
}

/// Whether the limits of a NodePool may leave no node at all, so that there are more domains to spread over without them.
fn allows_nothing(pool: &NodePool) -> bool {
    pool.limits.get(ResourceName::NODES) == Some(&0) || pool.limits.get(ResourceName::CPU).is_some_and(|cores| *cores < 4_000)
}

/// Without what would be read anew when a constraint is dropped: domains that depend on node affinity, and affinities that only
/// together say whom they count.
fn plain(mut spec: PodSpec) -> PodSpec {
    spec.spreads.iter_mut().for_each(|spread| spread.honors_affinity = false);
    spec.near.truncate(1);
    spec
}

proptest! {
    #![proptest_config(repeatable(200))]

    #[test]
    fn brute_force_agrees_on_reasons(
        pods in workloads(3, 1..4),
        extra in proptest::collection::vec(extras(), 3),
        nodes in standing(3),
        pools in pools(),
        reserved in reservations(),
    ) {
        let mut pods: Vec<(usize, PodSpec)> =
            pods.into_iter().zip(extra).map(|((count, spec), extra)| (count, with_extras(alone(spec), extra))).collect();
        if pools.iter().any(allows_nothing) {
            pods.iter_mut().for_each(|(_, spec)| spec.spreads.clear());
        }
        let mut cluster = cluster(pools, &pods);
        with_reservations(&mut cluster, &reserved);
        with_standing(&mut cluster, &nodes);
        for pod in cluster.nodes.iter_mut().flat_map(|node| &mut node.pods) {
            pod.spec = Arc::new(plain(alone((*pod.spec).clone())));
        }
        let planned = planned_within(&cluster, 2_000);
        let mut seen = Vec::new();
        for left in &planned.plan.unplaced {
            let explainer = Explainer::new(&cluster, &planned);
            let class = planned.demand.class_of[left.pod];
            let few = explainer.ruling(left.pod, Stage::Now).obstacles.len() <= 6;
            // Bundles are placed whole, which is no rule of Kubernetes.
            if few && !explainer.is_bundled(left.pod) && !seen.contains(&class) {
                seen.push(class);
                check_against_brute_force(&cluster, &planned, left)?;
            }
        }
    }

    /// What is called impossible is on no node of any plan, whichever of the other pods it places.
    #[test]
    fn brute_force_agrees_on_what_is_impossible(
        pods in workloads(3, 1..2),
        extra in proptest::collection::vec(extras(), 3),
        nodes in standing(3),
        pools in pools(),
        reserved in reservations(),
    ) {
        let pods: Vec<(usize, PodSpec)> =
            pods.into_iter().zip(extra).map(|((count, spec), extra)| (count, with_extras(alone(spec), extra))).collect();
        let mut cluster = cluster(pools, &pods);
        with_reservations(&mut cluster, &reserved);
        with_standing(&mut cluster, &nodes[..nodes.len().min(1)]);
        let planned = planned_within(&cluster, 2_000);
        for left in &planned.plan.unplaced {
            // Bundles are placed whole, which is no rule of Kubernetes.
            if left.why != WhyLeft::Impossible || Explainer::new(&cluster, &planned).is_bundled(left.pod) {
                continue;
            }
            let others: Vec<usize> = (0..cluster.pods.len()).filter(|&pod| pod != left.pod).collect();
            let placed = (0..1_usize << others.len()).any(|chosen| {
                let mut some = cluster.clone();
                let stays = |pod: usize| others.iter().position(|&other| other == pod).is_none_or(|at| chosen >> at & 1 == 1);
                some.pods = (0..cluster.pods.len()).filter(|&pod| stays(pod)).map(|pod| cluster.pods[pod].clone()).collect();
                cheapest(&some, &catalog(), &node_class(), &|_, _| UsdPerHour::ZERO).is_some()
            });
            prop_assert!(!placed, "{left:?}");
        }
    }
}
