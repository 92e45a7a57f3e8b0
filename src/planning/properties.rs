//! Random clusters: whatever the rules, the independent verifier accepts the plan, it repeats exactly, and its bound holds.

use proptest::prelude::*;

use crate::domain::cluster::ClusterView;
use crate::domain::interruption::InterruptionCosts;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::node_pool::NodePool;
use crate::domain::pod::PodSpec;
use crate::domain::requirement::Operator::{DoesNotExist, Exists, Gt, In, NotIn};
use crate::domain::requirement::{Operator, Requirement, Requirements};
use crate::domain::resources::ResourceName;
use crate::planning::fixtures::{catalog, cluster, daemon_set, planned_within, pool, spec, taint, toleration, with_terms};
use crate::planning::plan::Planned;
use crate::planning::verifier::{Violation, verify};

type Term = (&'static str, Operator, &'static [&'static str]);

/// What pods and NodePools may say about labels.
const TERMS: [Term; 14] = [
    (labels::ARCH, In, &["amd64"]),
    (labels::ARCH, In, &["arm64"]),
    (labels::ZONE, In, &["us-east-1a"]),
    (labels::ZONE, NotIn, &["us-east-1a"]),
    (labels::CAPACITY_TYPE, In, &["on-demand"]),
    (labels::CAPACITY_TYPE, In, &["spot"]),
    ("karpenter.k8s.aws/instance-cpu", Gt, &["2"]),
    (labels::INSTANCE_TYPE, In, &["m5.large", "m7g.xlarge", "m5.4xlarge"]),
    ("karpenter.k8s.aws/instance-gpu-name", Exists, &[]),
    ("karpenter.k8s.aws/instance-gpu-name", DoesNotExist, &[]),
    ("team", In, &["a", "b"]),
    ("team", NotIn, &["b"]),
    ("team", Exists, &[]),
    ("team", In, &["c"]),
];

fn terms(most: usize) -> impl Strategy<Value = Vec<Term>> {
    proptest::sample::subsequence(TERMS.to_vec(), 0..=most)
}

fn a_pod() -> impl Strategy<Value = PodSpec> {
    (1_i64..8, proptest::collection::vec(terms(2), 1..3), any::<bool>(), 0_i32..2).prop_map(
        |(cores, alternatives, tolerant, priority)| {
            let alternatives: Vec<&[Term]> = alternatives.iter().map(Vec::as_slice).collect();
            let tolerations = if tolerant { vec![toleration("farm")] } else { Vec::new() };
            PodSpec { tolerations, priority, ..with_terms(spec(cores), &alternatives) }
        },
    )
}

fn a_pool(name: &'static str) -> impl Strategy<Value = NodePool> {
    let limit = proptest::option::weighted(0.3, 2_000_i64..40_000);
    let min_values = proptest::option::weighted(0.3, 2_u32..4);
    (terms(3), any::<bool>(), 0..2, limit, min_values).prop_map(move |(terms, tainted, weight, limit, min_values)| {
        let mut made = pool(name, &terms);
        made.taints = if tainted { vec![taint("farm")] } else { Vec::new() };
        made.weight = weight;
        made.limits = limit.into_iter().map(|limit| (ResourceName::CPU.to_owned(), limit)).collect();
        if min_values.is_some() {
            let mut wanted = Requirement::any();
            wanted.min_values = min_values;
            made.requirements.add(labels::INSTANCE_TYPE, wanted);
        }
        made
    })
}

fn a_cluster() -> impl Strategy<Value = ClusterView> {
    let pods = proptest::collection::vec((1_usize..6, a_pod()), 1..6);
    let daemon = proptest::option::of(terms(1));
    (pods, a_pool("one"), a_pool("two"), daemon).prop_map(|(pods, one, two, daemon)| {
        let mut made = cluster(vec![one, two], &pods);
        let daemon = daemon.map(|terms| with_terms(spec(1), &[&terms]));
        made.daemon_sets = daemon.into_iter().map(|spec| daemon_set("agent", spec)).collect();
        made
    })
}

/// Rules are the subject here, not how near the optimum a plan comes.
fn quickly(cluster: &ClusterView) -> Planned {
    planned_within(cluster, 200)
}

fn violations(cluster: &ClusterView, plan: &crate::domain::plan::Plan) -> Vec<Violation> {
    verify(cluster, &catalog(), plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE).violations
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plans_verify_and_repeat(cluster in a_cluster()) {
        let made = quickly(&cluster);
        prop_assert_eq!(violations(&cluster, &made.plan), Vec::<Violation>::new());
        prop_assert!(made.plan.bound <= made.plan.cost);
        prop_assert!(made.plan.unplaced.iter().all(|pod| !pod.reasons.is_empty()));
        prop_assert_eq!(&quickly(&cluster).plan, &made.plan);
    }

    /// The bound is below the cost of any plan for the same pods, also of one made under harder rules. DaemonSets are left out: one for Spot
    /// takes room on every node of a NodePool that allows Spot, and on none of one that does not.
    #[test]
    fn the_bound_holds_for_plans_under_harder_rules(mut cluster in a_cluster()) {
        for pool in &mut cluster.node_pools {
            pool.weight = 0;
            pool.limits.clear();
        }
        cluster.daemon_sets.clear();
        let mut harder = cluster.clone();
        for pool in &mut harder.node_pools {
            let mut on_demand = Requirements::new();
            on_demand.add(labels::CAPACITY_TYPE, Requirement::one_of(["on-demand"]));
            pool.requirements.add_all(&on_demand);
        }
        let (easy, hard) = (quickly(&cluster), quickly(&harder));
        if hard.plan.unplaced.is_empty() {
            prop_assert!(easy.plan.unplaced.is_empty());
            prop_assert!(easy.plan.bound <= hard.plan.cost);
        }
    }
}
