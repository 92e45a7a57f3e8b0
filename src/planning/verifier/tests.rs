//! One hand-made plan that is sound, and one per kind of violation that is not.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::domain::allocatable;
use crate::domain::catalog::{CapacityType, PriceKind, Provenance, Source};
use crate::domain::instance_type::Architecture;
use crate::domain::instance_type::tests::sold;
use crate::domain::labels;
use crate::domain::node::{Node, NodeState};
use crate::domain::node_class::{CapacityReservation, NodeClass};
use crate::domain::node_pool::NodeClassRef;
use crate::domain::plan::{FirstFitOutcome, StopReason, UnmetPreference, UnplacedPod, WhyLeft};
use crate::domain::pod::{DaemonSet, Pod, Workload};
use crate::domain::requirement::{Operator, Requirement, Requirements};
use crate::domain::taint::{Effect, Taint, Toleration};

const OVERHEAD: UsdPerHour = UsdPerHour::from_micros(2_192);
const GIB: i64 = 1 << 30;

/// A plan with what it was made for; the methods break one thing each.
struct Case {
    cluster: ClusterView,
    catalog: Catalog,
    plan: Plan,
}

fn catalog() -> Catalog {
    let source = || Source { origin: "a test".to_owned(), as_of: "2026-07-20".to_owned() };
    Catalog {
        region: "us-east-1".to_owned(),
        instance_types: vec![
            sold("c7g.xlarge", Architecture::Arm64, 4, 145_000),
            sold("m7i.2xlarge", Architecture::Amd64, 8, 403_200),
            sold("m7i.xlarge", Architecture::Amd64, 4, 201_600),
        ],
        ebs_prices: BTreeMap::from([("gp3".to_owned(), 80_000)]),
        provenance: Provenance { instance_types: source(), zones: source(), on_demand: source(), spot: source(), ebs: source() },
        prices_as_of: "2026-07-20".to_owned(),
    }
}

fn pool(name: &str, requirements: &[(&str, Requirement)]) -> NodePool {
    let mut wanted = Requirements::new();
    for (key, requirement) in requirements {
        wanted.add(key, requirement.clone());
    }
    NodePool {
        name: name.to_owned(),
        weight: 0,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        taints: Vec::new(),
        startup_taints: Vec::new(),
        requirements: wanted,
        node_class_ref: NodeClassRef {
            group: "karpenter.k8s.aws".to_owned(),
            kind: "EC2NodeClass".to_owned(),
            name: "default".to_owned(),
        },
        expire_after: None,
        termination_grace_period: None,
        limits: BTreeMap::new(),
    }
}

fn spec(milli_cpu: i64) -> PodSpec {
    PodSpec {
        requests: Resources::new().with("cpu", milli_cpu).with("memory", GIB).with("pods", 1),
        node_alternatives: vec![Requirements::new()],
        ..PodSpec::default()
    }
}

fn pod(name: &str, spec: PodSpec) -> Pod {
    let workload = Arc::new(Workload { kind: "Pod".to_owned(), name: name.to_owned() });
    Pod { namespace: "shop".to_owned(), name: name.to_owned(), workload, labels: Arc::default(), spec: Arc::new(spec) }
}

fn offering(name: &str, zone: &str, capacity_type: CapacityType, micros: i64) -> Candidate {
    Candidate {
        instance_type: name.to_owned(),
        zone: zone.to_owned(),
        capacity_type,
        price: UsdPerHour::from_micros(micros),
        price_kind: if capacity_type == CapacityType::Spot { PriceKind::Estimated } else { PriceKind::Listed },
        interruptions: UsdPerHour::ZERO,
        reservation: None,
    }
}

fn xlarge() -> Candidate {
    offering("m7i.xlarge", "us-east-1a", CapacityType::OnDemand, 201_600)
}

impl Case {
    /// Two pods of one core each on one m7i.xlarge, where the m7i.2xlarge could stand in; a DaemonSet of 100 m.
    fn sound() -> Self {
        let catalog = catalog();
        let class = NodeClass::al2023("default");
        let daemon = DaemonSet { namespace: "kube-system".to_owned(), name: "cni".to_owned(), spec: Arc::new(spec(100)) };
        let cluster = ClusterView {
            pods: vec![pod("web-0", spec(1_000)), pod("web-1", spec(1_000))],
            daemon_sets: vec![daemon],
            node_pools: vec![pool("default", &[(labels::ARCH, Requirement::one_of(["amd64"]))])],
            node_classes: BTreeMap::from([("default".to_owned(), class.clone())]),
            ..ClusterView::default()
        };
        let chosen = catalog.get("m7i.xlarge").expect("the catalog above sells it");
        let node = PlannedNode {
            node_pool: "default".to_owned(),
            offering: xlarge(),
            overhead: OVERHEAD,
            covers: Vec::new(),
            labels: BTreeMap::new(),
            pods: vec![0, 1],
            requests: Resources::new().with("cpu", 2_000).with("memory", 2 * GIB).with("pods", 2),
            daemons: spec(100).requests,
            allocatable: allocatable::allocatable(chosen, &class, &cluster.instance_settings),
            candidates: vec![xlarge(), offering("m7i.2xlarge", "us-east-1a", CapacityType::OnDemand, 403_200)],
        };
        let cost = node.cost();
        let plan = Plan {
            nodes: vec![node],
            existing: Vec::new(),
            unplaced: Vec::new(),
            unmet: Vec::new(),
            cost,
            interruptions: UsdPerHour::ZERO,
            forgone: UsdPerHour::ZERO,
            bound: cost,
            first_fit: FirstFitOutcome { cost, nodes: 1, unplaced: 0 },
            stopped_by: StopReason::Optimal,
        };
        Self { cluster, catalog, plan }
    }

    fn pool(&mut self) -> &mut NodePool {
        &mut self.cluster.node_pools[0]
    }

    fn node(&mut self) -> &mut PlannedNode {
        &mut self.plan.nodes[0]
    }

    fn change_pod(&mut self, change: impl FnOnce(&mut PodSpec)) {
        change(Arc::make_mut(&mut self.cluster.pods[0].spec));
    }

    /// Buys another offering, stated correctly in everything that follows from it, without other candidates.
    fn buy(&mut self, offering: Candidate) {
        let class = &self.cluster.node_classes["default"];
        if let Some(kind) = self.catalog.get(&offering.instance_type) {
            self.plan.nodes[0].allocatable = allocatable::allocatable(kind, class, &self.cluster.instance_settings);
        }
        self.plan.nodes[0].candidates = vec![offering.clone()];
        self.plan.nodes[0].offering = offering;
        self.settle();
    }

    /// States the cost of the nodes as it is.
    fn settle(&mut self) {
        self.plan.cost = self.plan.nodes.iter().map(PlannedNode::cost).sum();
        self.plan.bound = self.plan.cost;
    }

    fn violations(&self) -> Vec<Violation> {
        verify(&self.cluster, &self.catalog, &self.plan, &|_| OVERHEAD, &InterruptionCosts::NONE).violations
    }
}

/// The violations of the sound plan after `change`.
fn after(change: impl FnOnce(&mut Case)) -> Vec<Violation> {
    let mut case = Case::sound();
    change(&mut case);
    case.violations()
}

fn need(key: &str, requirement: Requirement) -> Vec<Requirements> {
    let mut wanted = Requirements::new();
    wanted.add(key, requirement);
    vec![wanted]
}

fn name(index: usize) -> String {
    format!("shop/web-{index}")
}

#[test]
fn a_sound_plan_is_accepted_at_its_cost() {
    let case = Case::sound();
    let verdict = verify(&case.cluster, &case.catalog, &case.plan, &|_| OVERHEAD, &InterruptionCosts::NONE);
    assert_eq!(verdict, Verdict { violations: Vec::new(), cost: UsdPerHour::from_micros(203_792) });
    assert!(verdict.is_sound());
}

/// The second pod, left for these reasons.
fn left(reasons: Vec<String>) -> UnplacedPod {
    UnplacedPod { pod: 1, why: WhyLeft::Impossible, reasons, remedies: Vec::new() }
}

#[test]
fn every_pod_is_listed_once_and_exists() {
    let drop_second = |case: &mut Case| {
        case.node().pods = vec![0];
        case.node().requests = spec(1_000).requests;
    };
    assert_eq!(after(drop_second), [Violation::PodMissing { pod: name(1) }]);
    let list_twice = |case: &mut Case| case.plan.unplaced.push(left(vec!["none".to_owned()]));
    assert_eq!(after(list_twice), [Violation::PodRepeated { pod: name(1), times: 2 }]);
    assert_eq!(after(|case| case.node().pods.push(7)), [Violation::UnknownPod { index: 7 }]);
    let without_reason = |case: &mut Case| {
        drop_second(case);
        case.plan.unplaced.push(left(Vec::new()));
    };
    assert_eq!(after(without_reason), [Violation::ReasonMissing { pod: name(1) }]);
}

#[test]
fn a_node_without_pods_is_a_waste() {
    let found = after(|case| {
        let mut empty = case.plan.nodes[0].clone();
        (empty.pods, empty.requests) = (Vec::new(), Resources::new());
        case.plan.nodes.push(empty);
        case.settle();
    });
    assert_eq!(found, [Violation::EmptyNode { node: 1 }]);
}

#[test]
fn nodepool_and_offering_exist_at_the_stated_price() {
    let found = after(|case| case.node().node_pool = "gone".to_owned());
    assert_eq!(found, [Violation::UnknownNodePool { node: 0, node_pool: "gone".to_owned() }]);

    let found = after(|case| case.buy(offering("m7i.xlarge", "us-east-1b", CapacityType::Spot, 100_800)));
    assert_eq!(found, [Violation::UnknownOffering { node: 0, offering: "m7i.xlarge us-east-1b spot".to_owned() }]);

    let found = after(|case| {
        case.buy(offering("m7i.xlarge", "us-east-1a", CapacityType::OnDemand, 201_500));
        case.plan.cost = UsdPerHour::from_micros(203_792);
    });
    let (stated, listed) = (UsdPerHour::from_micros(201_500), UsdPerHour::from_micros(201_600));
    let offering = "m7i.xlarge us-east-1a on-demand".to_owned();
    assert_eq!(found, [Violation::PriceMisstated { node: 0, offering, stated, listed }]);

    let found = after(|case| case.node().overhead = UsdPerHour::ZERO);
    assert_eq!(found, [Violation::OverheadMisstated { node: 0, stated: UsdPerHour::ZERO, expected: OVERHEAD }]);
}

#[test]
fn the_nodepool_allows_the_offering() {
    let found = after(|case| case.buy(offering("c7g.xlarge", "us-east-1a", CapacityType::OnDemand, 145_000)));
    let key = labels::ARCH.to_owned();
    assert_eq!(found, [Violation::TypeNotAllowed { node: 0, instance_type: "c7g.xlarge".to_owned(), key }]);

    let found = after(|case| {
        let gpu = "karpenter.k8s.aws/instance-gpu-name";
        case.pool().requirements.add(gpu, Requirement::any());
        case.node().candidates.truncate(1);
    });
    let key = "karpenter.k8s.aws/instance-gpu-name".to_owned();
    assert_eq!(found, [Violation::TypeNotAllowed { node: 0, instance_type: "m7i.xlarge".to_owned(), key }]);

    let found = after(|case| {
        case.pool().requirements.add(labels::ZONE, Requirement::one_of(["us-east-1b"]));
        case.node().candidates.truncate(1);
    });
    assert_eq!(found, [Violation::ZoneNotAllowed { node: 0, zone: "us-east-1a".to_owned() }]);

    let found = after(|case| {
        case.pool().requirements.add(labels::CAPACITY_TYPE, Requirement::one_of(["spot"]));
        case.node().candidates.truncate(1);
    });
    assert_eq!(found, [Violation::CapacityTypeNotAllowed { node: 0, capacity_type: "on-demand".to_owned() }]);
}

#[test]
fn the_nodeclass_runs_on_the_type_and_has_a_subnet_in_the_zone() {
    let class = |case: &mut Case, change: &dyn Fn(&mut NodeClass)| {
        change(case.cluster.node_classes.get_mut("default").expect("the case has it"));
        case.node().candidates.truncate(1);
    };
    let found = after(|case| class(case, &|class| class.enclaves = true));
    assert_eq!(found, [Violation::NodeClassIncompatible { node: 0, instance_type: "m7i.xlarge".to_owned() }]);
    let only_b = BTreeMap::from([("us-east-1b".to_owned(), None)]);
    let found = after(|case| class(case, &|class| class.zones = Some(only_b.clone())));
    assert_eq!(found, [Violation::ZoneNotAllowed { node: 0, zone: "us-east-1a".to_owned() }]);
}

#[test]
fn fixed_labels_are_the_nodepools_to_give() {
    let fix = |key: &'static str, value: &'static str| {
        move |case: &mut Case| {
            case.pool().requirements.add("team", Requirement::one_of(["a", "b"]));
            case.node().labels.insert("team".to_owned(), "a".to_owned());
            case.node().labels.insert(key.to_owned(), value.to_owned());
        }
    };
    assert_eq!(after(fix("team", "b")), []);
    assert_eq!(after(fix(labels::TENANCY, "dedicated")), []);
    for (key, value) in [("other", "x"), (labels::ZONE, "us-east-1b")] {
        let found = after(fix(key, value));
        assert_eq!(found, [Violation::LabelNotAllowed { node: 0, key: key.to_owned(), value: value.to_owned() }]);
    }
}

#[test]
fn node_affinity_is_met_by_the_labels_of_the_node() {
    let asks = |key: &'static str, requirement: Requirement| {
        after(move |case| {
            case.pool().requirements.add("team", Requirement::one_of(["a", "b"]));
            case.pool().labels.insert("tier".to_owned(), "gold".to_owned());
            case.node().candidates.truncate(1);
            case.change_pod(|pod| pod.node_alternatives = need(key, requirement));
        })
    };
    let refused = [Violation::NodeAffinity { node: 0, pod: name(0) }];
    let not_in = |value: &str| Requirement::new(Operator::NotIn, &[value]).expect("one value");
    assert_eq!(asks(labels::ZONE, Requirement::one_of(["us-east-1a"])), []);
    assert_eq!(asks(labels::ZONE, Requirement::one_of(["us-east-1b"])), refused);
    assert_eq!(asks("karpenter.k8s.aws/instance-cpu", Requirement::new(Operator::Gt, &["3"]).expect("a number")), []);
    assert_eq!(asks("karpenter.k8s.aws/instance-cpu", Requirement::new(Operator::Gt, &["4"]).expect("a number")), refused);
    assert_eq!(asks("tier", Requirement::one_of(["gold"])), []);
    assert_eq!(asks("tier", not_in("gold")), refused);
    assert_eq!(asks("missing", Requirement::any()), refused);
    assert_eq!(asks("missing", not_in("x")), []);
    // An open label counts only where every value it may take suits.
    assert_eq!(asks("team", Requirement::one_of(["a"])), refused);
    assert_eq!(asks("team", Requirement::one_of(["a", "b", "c"])), []);
    assert_eq!(asks(labels::HOSTNAME, Requirement::one_of(["ip-10-0-0-1"])), refused);
}

#[test]
fn one_alternative_is_enough() {
    let found = after(|case| {
        case.node().candidates.truncate(1);
        case.change_pod(|pod| {
            pod.node_alternatives = need(labels::ZONE, Requirement::one_of(["us-east-1b"]));
            pod.node_alternatives.extend(need(labels::CAPACITY_TYPE, Requirement::one_of(["on-demand"])));
        });
    });
    assert_eq!(found, []);
}

#[test]
fn hard_taints_are_tolerated() {
    let taint = |effect| Taint { key: "dedicated".to_owned(), value: "farm".to_owned(), effect };
    let found = after(|case| {
        case.pool().taints.push(taint(Effect::NoSchedule));
        let tolerance = Toleration { key: Some("dedicated".to_owned()), value: None, effect: None };
        case.change_pod(|pod| pod.tolerations.push(tolerance));
    });
    let taint_text = "dedicated=farm:NoSchedule".to_owned();
    assert_eq!(found, [Violation::TaintNotTolerated { node: 0, pod: name(1), taint: taint_text }]);
    let found = after(|case| case.pool().taints.push(taint(Effect::PreferNoSchedule)));
    assert_eq!(found, [Violation::PreferenceMisstated { pod: name(0), rule: 0, stated: 0, real: 2 }]);
    let found = after(|case| {
        case.pool().taints.push(taint(Effect::PreferNoSchedule));
        let worth = UsdPerHour::from_micros(7);
        case.plan.unmet = vec![UnmetPreference { pod: 0, rule: 0, pods: 2, worth, meeting: None }];
    });
    let (stated, sum) = (UsdPerHour::ZERO, UsdPerHour::from_micros(14));
    assert_eq!(found, [Violation::ForgoneMisstated { stated, sum }]);
}

#[test]
fn pods_and_daemons_fit() {
    // 4 vCPUs leave 3,920 m; 2 x 1,910 m of pods and 100 m of DaemonSets are exactly that.
    let ask = |milli_cpu: i64| {
        after(move |case| {
            for pod in &mut case.cluster.pods {
                Arc::make_mut(&mut pod.spec).requests.set("cpu", milli_cpu);
            }
            case.node().requests.set("cpu", 2 * milli_cpu);
        })
    };
    assert_eq!(ask(1_910), []);
    let resource = "cpu".to_owned();
    assert_eq!(ask(1_911), [Violation::Overcommitted { node: 0, resource, wanted: 3_922, allocatable: 3_920 }]);
    // A DaemonSet that the node's labels exclude takes nothing.
    let found = after(|case| {
        let arm = need(labels::ARCH, Requirement::one_of(["arm64"]));
        let daemon = PodSpec { node_alternatives: arm, ..spec(3_000) };
        case.cluster.daemon_sets.push(DaemonSet {
            namespace: "kube-system".to_owned(),
            name: "arm-only".to_owned(),
            spec: Arc::new(daemon),
        });
    });
    assert_eq!(found, []);
}

#[test]
fn stated_amounts_are_the_real_ones() {
    assert_eq!(after(|case| case.node().requests.set("cpu", 1)), [Violation::RequestsMisstated { node: 0 }]);
    assert_eq!(after(|case| case.node().allocatable.set("cpu", 1)), [Violation::AllocatableMisstated { node: 0 }]);
}

#[test]
fn nodepool_limits_count_capacity_and_nodes() {
    let limit = |resource: &'static str, amount: i64| {
        after(move |case| {
            case.pool().limits.insert(resource.to_owned(), amount);
        })
    };
    let exceeded = |resource: &str, used: i64| Violation::LimitExceeded {
        node_pool: "default".to_owned(),
        resource: resource.to_owned(),
        used,
        limit: used - 1,
    };
    assert_eq!(limit("cpu", 4_000), []);
    assert_eq!(limit("cpu", 3_999), [exceeded("cpu", 4_000)]);
    assert_eq!(limit("nodes", 1), []);
    assert_eq!(limit("nodes", 0), [exceeded("nodes", 1)]);
}

#[test]
fn the_heaviest_pool_that_holds_a_pod_gets_it() {
    let heavier = |limits: BTreeMap<String, i64>, arch: &'static str| {
        after(move |case| {
            let mut heavy = pool("heavy", &[(labels::ARCH, Requirement::one_of([arch]))]);
            (heavy.weight, heavy.limits) = (10, limits);
            case.cluster.node_pools.push(heavy);
            case.change_pod(|pod| pod.node_alternatives = need(labels::ARCH, Requirement::one_of(["amd64"])));
        })
    };
    let misplaced = |index: usize| Violation::HeavierPoolHasRoom {
        pod: name(index),
        node_pool: "default".to_owned(),
        heavier: "heavy".to_owned(),
    };
    assert_eq!(heavier(BTreeMap::new(), "amd64"), [misplaced(0), misplaced(1)]);
    assert_eq!(heavier(BTreeMap::new(), "arm64"), [misplaced(1)]);
    assert_eq!(heavier(BTreeMap::from([("cpu".to_owned(), 1)]), "amd64"), []);
}

#[test]
fn candidates_cover_min_values() {
    let ask = |wanted: u32| {
        after(move |case| {
            let mut several = Requirement::any();
            several.min_values = Some(wanted);
            case.pool().requirements.add(labels::INSTANCE_TYPE, several);
        })
    };
    assert_eq!(ask(2), []);
    let key = labels::INSTANCE_TYPE.to_owned();
    assert_eq!(ask(3), [Violation::MinValues { node: 0, key, covered: 2, wanted: 3 }]);
}

#[test]
fn candidates_hold_the_pods_and_start_with_the_chosen_one() {
    assert_eq!(after(|case| case.node().candidates.reverse()), [Violation::ChosenNotFirst { node: 0 }]);
    let found = after(|case| {
        case.node().candidates[1] = offering("c7g.xlarge", "us-east-1a", CapacityType::OnDemand, 145_000);
    });
    let problem = Violation::TypeNotAllowed { node: 0, instance_type: "c7g.xlarge".to_owned(), key: labels::ARCH.to_owned() };
    let unfit =
        Violation::CandidateUnfit { node: 0, offering: "c7g.xlarge us-east-1a on-demand".to_owned(), problem: Box::new(problem) };
    assert_eq!(found, [unfit]);
}

#[test]
fn cost_is_the_sum_and_the_bound_is_below_it() {
    let sum = UsdPerHour::from_micros(203_792);
    let (less, more) = (UsdPerHour::from_micros(203_791), UsdPerHour::from_micros(203_793));
    let found = after(|case| (case.plan.cost, case.plan.bound) = (less, less));
    assert_eq!(found, [Violation::CostMisstated { stated: less, sum }]);
    assert_eq!(after(|case| case.plan.bound = more), [Violation::BoundAboveCost { bound: more, cost: sum }]);
}

#[test]
fn every_violation_says_what_is_wrong_in_one_line() {
    let found = after(|case| {
        case.node().node_pool = "gone".to_owned();
        case.node().pods.pop();
    });
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["pod shop/web-1 is neither placed nor listed as unplaced", "node 0: there is no NodePool gone"]);
}

/// A reservation of `free` instances of m7i.xlarge in us-east-1a.
fn reserve(case: &mut Case, free: u32) -> Candidate {
    let class = case.cluster.node_classes.get_mut("default").expect("the case has it");
    class.capacity_reservations = vec![CapacityReservation {
        id: "cr-0".to_owned(),
        instance_type: "m7i.xlarge".to_owned(),
        zone: "us-east-1a".to_owned(),
        reservation_type: "default".to_owned(),
        interruptible: false,
        free,
    }];
    let reserved = offering("m7i.xlarge", "us-east-1a", CapacityType::Reserved, 0);
    Candidate { reservation: Some("cr-0".to_owned()), price_kind: PriceKind::Listed, ..reserved }
}

#[test]
fn a_reserved_node_is_a_free_instance_of_its_reservation() {
    let bought = |free: u32, change: &dyn Fn(&mut Candidate)| {
        after(|case| {
            let mut reserved = reserve(case, free);
            change(&mut reserved);
            case.buy(reserved);
        })
    };
    assert_eq!(bought(1, &|_| {}), []);
    assert_eq!(bought(0, &|_| {}), [Violation::ReservationExceeded { reservation: "cr-0".to_owned(), nodes: 1, free: 0 }]);
    let unknown = |what: &str| Violation::UnknownOffering { node: 0, offering: what.to_owned() };
    let found = bought(1, &|offer| offer.reservation = Some("cr-9".to_owned()));
    assert!(found.contains(&unknown("m7i.xlarge us-east-1a reserved cr-9")), "{found:?}");
    assert!(found.contains(&Violation::UnknownReservation { node: 0 }), "{found:?}");
    let found = bought(1, &|offer| offer.zone = "us-east-1b".to_owned());
    assert!(found.contains(&unknown("m7i.xlarge us-east-1b reserved cr-0")), "{found:?}");
    let found = bought(1, &|offer| offer.reservation = None);
    assert!(found.contains(&Violation::UnknownReservation { node: 0 }), "{found:?}");
    let found = bought(1, &|offer| offer.price = UsdPerHour::from_micros(1));
    assert!(matches!(found.first(), Some(Violation::PriceMisstated { .. })), "{found:?}");
    // What is reserved and what is not must not be mixed in one launch.
    let mixed = after(|case| {
        let reserved = reserve(case, 1);
        case.buy(reserved);
        case.node().candidates.push(xlarge());
    });
    let offering = "m7i.xlarge us-east-1a on-demand".to_owned();
    assert_eq!(mixed, [Violation::CandidateInOtherReservation { node: 0, offering }]);
}

#[test]
fn labels_of_the_reservation_are_on_its_nodes_only() {
    let asks = |key: &'static str, value: &'static str, reserved: bool| {
        after(|case| {
            let offer = reserve(case, 1);
            case.buy(if reserved { offer } else { xlarge() });
            case.change_pod(|pod| pod.node_alternatives = need(key, Requirement::one_of([value])));
        })
    };
    let refused = [Violation::NodeAffinity { node: 0, pod: name(0) }];
    for (key, value) in [
        (labels::CAPACITY_TYPE, "reserved"),
        (labels::RESERVATION_ID, "cr-0"),
        (labels::RESERVATION_TYPE, "default"),
        (labels::RESERVATION_INTERRUPTIBLE, "false"),
    ] {
        assert_eq!(asks(key, value, true), []);
        assert_eq!(asks(key, value, false), refused);
    }
    assert_eq!(asks(labels::RESERVATION_ID, "cr-1", true), refused);
}

#[test]
fn the_nodes_of_a_nodepool_cost_no_more_than_they_may() {
    let limited = |micros: i64, standing: bool| {
        after(|case| {
            case.pool().limits.insert(ResourceName::COST.to_owned(), micros);
            if standing {
                let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
                case.cluster.nodes.push(Node {
                    name: "old".to_owned(),
                    node_pool: Some("default".to_owned()),
                    labels: BTreeMap::from([
                        label(labels::INSTANCE_TYPE, "m7i.xlarge"),
                        label(labels::ZONE, "us-east-1a"),
                        label(labels::CAPACITY_TYPE, "spot"),
                    ]),
                    taints: Vec::new(),
                    capacity: Resources::new(),
                    allocatable: Resources::new(),
                    state: NodeState::Ready,
                    pods: Vec::new(),
                });
            }
        })
    };
    let exceeded = |used: i64, limit: i64| {
        let (node_pool, resource) = ("default".to_owned(), ResourceName::COST.to_owned());
        [Violation::LimitExceeded { node_pool, resource, used, limit }]
    };
    // 201,600 for the instance and 2,192 for its volume; half the price for the node that exists.
    assert_eq!(limited(203_792, false), []);
    assert_eq!(limited(203_791, false), exceeded(203_792, 203_791));
    assert_eq!(limited(203_792 + 102_992, true), []);
    assert_eq!(limited(203_792 + 102_991, true), exceeded(203_792 + 102_992, 203_792 + 102_991));
}
