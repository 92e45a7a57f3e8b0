//! Which pods are placed where limits cannot hold all of them: by hand, and random clusters against brute force.

use proptest::prelude::*;

use crate::domain::cluster::ClusterView;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::pod::PodSpec;
use crate::domain::requirement::Operator::In;
use crate::domain::resources::ResourceName;
use crate::planning::fixtures::{catalog, cluster, node_class, planned_within, pool, spec};
use crate::planning::oracle::{most_by_priority, placed_by_priority};
use crate::planning::plan::Planned;
use crate::planning::topology_tests::{Standing, check, repeatable, small_pool, spread, standing, with_standing, workloads};

fn placed(cluster: &ClusterView, planned: &Planned) -> Vec<usize> {
    let left: Vec<usize> = planned.plan.unplaced.iter().map(|left| left.pod).collect();
    let pods: Vec<usize> = (0..cluster.pods.len()).filter(|pod| !left.contains(pod)).collect();
    placed_by_priority(cluster, &pods)
}

fn of(priority: i32, cores: i64) -> PodSpec {
    PodSpec { priority, ..spec(cores) }
}

fn limited(resource: &str, amount: i64) -> crate::domain::node_pool::NodePool {
    let mut made = small_pool();
    made.limits.insert(resource.to_owned(), amount);
    made
}

#[test]
fn one_pod_of_high_priority_outweighs_any_number_below() {
    // The limit admits one pod of eight cores, or eight thousand of a milli-core and many more besides.
    let mut tiny = of(0, 0);
    tiny.requests.set(ResourceName::CPU, 1);
    tiny.requests.set(ResourceName::MEMORY, 1);
    let cluster = cluster(vec![limited("nodes", 1)], &[(2_000, tiny), (1, of(1, 8))]);
    let planned = planned_within(&cluster, 2_000_000);
    assert_eq!(placed(&cluster, &planned)[0], 1, "{:?}", planned.plan.nodes);
    assert!(planned.tiers[0].complete);
}

#[test]
fn every_level_is_lexicographic() {
    // Twelve levels: each pod outweighs all of the levels below together.
    let pods: Vec<(usize, PodSpec)> =
        (0..12).map(|level| (if level == 11 { 1 } else { 3 }, of(level, if level % 2 == 0 { 1 } else { 4 }))).collect();
    let cluster = cluster(vec![limited("cpu", 14_000)], &pods);
    let planned = planned_within(&cluster, 20_000_000);
    // 4 + 3 + 4 cores, three of one core in what is left of 14, and nothing more.
    assert_eq!(placed(&cluster, &planned)[..4], [1, 3, 1, 3][..], "{:?}", placed(&cluster, &planned));
}

#[test]
fn what_is_left_out_of_a_spread_keeps_the_spread() {
    let web = PodSpec { spreads: vec![spread(labels::ZONE, 1, 0)], ..spec(8) };
    let cluster = cluster(vec![limited("nodes", 3)], &[(5, web)]);
    let planned = planned_within(&cluster, 1_000_000);
    check(&cluster, &planned).expect("a sound plan");
    assert_eq!(placed(&cluster, &planned), [3]);
    assert!(planned.tiers[0].complete);
    assert!(planned.plan.bound <= planned.plan.cost);
}

#[test]
fn a_node_that_a_heavier_tier_used_has_room_for_the_next() {
    let mut heavy = limited("nodes", 0);
    heavy.weight = 10;
    heavy.name = "heavy".to_owned();
    // The heavy tier may use the node for the pods that it could hold, and may buy nothing.
    let heavy_only = PodSpec {
        node_alternatives: vec![crate::planning::fixtures::required(&[(labels::CAPACITY_TYPE, In, &["on-demand"])])],
        ..spec(1)
    };
    let mut cluster = cluster(vec![heavy, small_pool()], &[(1, heavy_only), (2, spec(1))]);
    with_standing(&mut cluster, &[Standing { zone: "us-east-1a", cores: 3, pods: Vec::new() }]);
    let planned = planned_within(&cluster, 100_000);
    check(&cluster, &planned).expect("a sound plan");
    assert_eq!((planned.plan.nodes.len(), planned.plan.existing[0].pods.len()), (0, 3));
}

proptest! {
    #![proptest_config(repeatable(120))]

    /// Two weights: rules hold between the pods of both tiers, in whatever order they are bound, and no node is used beyond its room.
    #[test]
    fn tiers_keep_the_rules_of_one_another(
        pods in workloads(4, 1..5),
        nodes in standing(4),
        limit in prop_oneof![(2_i64..11).prop_map(|cores| ("cpu", cores * 1_000)), (0_i64..3).prop_map(|nodes| ("nodes", nodes))],
        zone in prop_oneof![Just(None), Just(Some("us-east-1a")), Just(Some("us-east-1b"))],
    ) {
        let mut heavy = limited(limit.0, limit.1);
        (heavy.weight, heavy.name) = (10, "heavy".to_owned());
        if let Some(zone) = zone {
            heavy.requirements.add(labels::ZONE, crate::domain::requirement::Requirement::one_of([zone]));
        }
        let mut cluster = cluster(vec![heavy, small_pool()], &pods);
        with_standing(&mut cluster, &nodes);
        let planned = planned_within(&cluster, 6_000);
        check(&cluster, &planned)?;
    }
}

proptest! {
    #![proptest_config(repeatable(60))]

    /// What is called complete is the most that brute force can place, level by level; nothing places more; the bound holds for
    /// whatever places the same pods.
    #[test]
    fn brute_force_agrees_on_who_is_placed(
        pods in workloads(3, 1..3),
        priorities in proptest::collection::vec(0_i32..4, 3),
        nodes in prop_oneof![3 => Just(Vec::new()), 1 => standing(3)],
        limit in prop_oneof![(2_i64..11).prop_map(|cores| ("cpu", cores * 1_000)), (0_i64..3).prop_map(|nodes| ("nodes", nodes))],
    ) {
        let mut left = if nodes.is_empty() { 4 } else { 3 };
        let mut pods = pods;
        for ((count, spec), priority) in pods.iter_mut().zip(priorities) {
            *count = (*count).min(left);
            left -= *count;
            spec.priority = priority;
            spec.preferences.clear();
            spec.spreads.retain(|spread| spread.required);
        }
        pods.retain(|(count, _)| *count > 0);
        let mut small = pool("default", &[(labels::INSTANCE_TYPE, In, &["m5.large", "m5.xlarge"])]);
        small.limits.insert(limit.0.to_owned(), limit.1);
        let mut cluster = cluster(vec![small], &pods);
        with_standing(&mut cluster, &nodes[..nodes.len().min(1)]);
        let planned = planned_within(&cluster, 1_000_000);
        check(&cluster, &planned)?;
        let (most, value) = most_by_priority(&cluster, &catalog(), &node_class(), &|_, _| UsdPerHour::ZERO);
        let found = placed(&cluster, &planned);
        prop_assert!(found != most || planned.plan.cost >= value, "{} is less than {value}", planned.plan.cost);
        prop_assert!(found <= most, "placed {found:?}, brute force {most:?}");
        // Bundles are placed whole, which is no rule of Kubernetes.
        if planned.tiers.iter().all(|tier| tier.complete) && planned.demand.bundles.is_empty() {
            prop_assert_eq!(found, most);
        }
        prop_assert!(planned.plan.bound <= planned.plan.cost);
    }

    /// Without rules between pods the best choice of so few pods is found, and the cheapest of those that place so many.
    #[test]
    fn limits_alone_are_decided(
        pods in proptest::collection::vec((1_usize..3, 1_i64..5, 0_i32..4), 1..4),
        limit in prop_oneof![(2_i64..13).prop_map(|cores| ("cpu", cores * 1_000)), (0_i64..3).prop_map(|nodes| ("nodes", nodes))],
    ) {
        let mut pods: Vec<(usize, PodSpec)> = pods.into_iter().map(|(count, cores, priority)| (count, of(priority, cores))).collect();
        let mut left = 4;
        for (count, _) in &mut pods {
            *count = (*count).min(left);
            left -= *count;
        }
        pods.retain(|(count, _)| *count > 0);
        let mut small = pool("default", &[(labels::INSTANCE_TYPE, In, &["m5.large", "m5.xlarge"])]);
        small.limits.insert(limit.0.to_owned(), limit.1);
        let cluster = cluster(vec![small], &pods);
        let planned = planned_within(&cluster, 1_000_000);
        check(&cluster, &planned)?;
        let (most, value) = most_by_priority(&cluster, &catalog(), &node_class(), &|_, _| UsdPerHour::ZERO);
        prop_assert_eq!(placed(&cluster, &planned), most);
        prop_assert_eq!(planned.plan.cost, value);
    }
}
