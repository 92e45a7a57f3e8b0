//! What must not change when the input says the same in another way, and what must not get dearer when more is allowed.
//!
//! A plan that is proven optimal costs the same before and after; of others the bound of one is below the value of the other.

use proptest::prelude::*;
use std::time::Duration;

use crate::domain::catalog::Catalog;
use crate::domain::cluster::ClusterView;
use crate::domain::instance_type::Architecture;
use crate::domain::instance_type::tests::sold;
use crate::domain::interruption::InterruptionCosts;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::pod::PodSpec;
use crate::domain::requirement::{Requirement, Requirements};
use crate::domain::topology::Wish;
use crate::planning::PreferencePolicy;
use crate::planning::cost::CostModel;
use crate::planning::fixtures::{catalog, cluster};
use crate::planning::plan::{Planned, plan};
use crate::planning::topology_tests::{repeatable, small_pool, standing, with_standing, workloads};
use crate::solver::SolveConfig;

/// The zone that is renamed, and its other name, which sorts before all others.
const ZONE: (&str, &str) = ("us-east-1b", "eu-west-9a");

fn planned_on(cluster: &ClusterView, catalog: &Catalog) -> Planned {
    let config = SolveConfig { gap: 0.0, work_limit: Some(20_000), deadline: None, seed: 1 };
    let preferences = PreferencePolicy::Priced { premium_per_mille: 500 };
    let costs = CostModel { volumes: false, fee_per_node: UsdPerHour::ZERO, interruptions: InterruptionCosts::NONE, preferences };
    plan(cluster, catalog, &costs, &config, &|| Duration::ZERO, &mut |_| {}).expect("the clusters of tests are sound")
}

/// Cost and what is forgone.
fn value(planned: &Planned) -> UsdPerHour {
    planned.plan.cost + planned.plan.forgone
}

fn complete(planned: &Planned) -> bool {
    planned.tiers.iter().all(|tier| tier.complete)
}

/// Whether `after`, which may do whatever `before` may, is no worse as far as it is proven.
fn no_worse(before: &Planned, after: &Planned) -> Result<(), TestCaseError> {
    let (left, now_left) = (before.plan.unplaced.len(), after.plan.unplaced.len());
    if complete(after) {
        prop_assert!(now_left <= left, "{now_left} pods are left, {left} before");
    }
    if left == 0 && now_left == 0 {
        prop_assert!(after.plan.bound <= value(before), "bound {} above {}", after.plan.bound, value(before));
        if after.plan.bound == value(after) {
            prop_assert!(value(after) <= value(before));
        }
    }
    Ok(())
}

fn renamed(terms: &mut Requirements) {
    let wanted = Requirement::one_of([ZONE.0]);
    if terms.get(labels::ZONE) == Some(&wanted) {
        terms.remove(labels::ZONE);
        terms.add(labels::ZONE, Requirement::one_of([ZONE.1]));
    }
}

fn with_other_zone(mut spec: PodSpec) -> PodSpec {
    spec.node_alternatives.iter_mut().for_each(renamed);
    spec.volumes.iter_mut().flat_map(|volume| &mut volume.places).for_each(renamed);
    for preference in &mut spec.preferences {
        if let Wish::Node(terms) = &mut preference.wish {
            renamed(terms);
        }
    }
    spec
}

proptest! {
    #![proptest_config(repeatable(60))]

    #[test]
    fn the_order_of_pods_does_not_matter(pods in workloads(4, 1..5), nodes in standing(4), turn in 1_usize..20) {
        let mut one = cluster(vec![small_pool()], &pods);
        with_standing(&mut one, &nodes);
        let mut other = one.clone();
        let by = turn % other.pods.len();
        other.pods.rotate_left(by);
        if turn % 2 == 0 {
            other.pods.reverse();
        }
        let (one, other) = (planned_on(&one, &catalog()), planned_on(&other, &catalog()));
        no_worse(&one, &other)?;
        no_worse(&other, &one)?;
    }

    #[test]
    fn the_names_of_zones_do_not_matter(pods in workloads(4, 1..5), nodes in standing(4)) {
        let mut here = cluster(vec![small_pool()], &pods);
        with_standing(&mut here, &nodes);
        let pods: Vec<(usize, PodSpec)> = pods.into_iter().map(|(count, spec)| (count, with_other_zone(spec))).collect();
        let mut there = cluster(vec![small_pool()], &pods);
        with_standing(&mut there, &nodes);
        for node in &mut there.nodes {
            if node.labels.get(labels::ZONE).is_some_and(|zone| zone == ZONE.0) {
                node.labels.insert(labels::ZONE.to_owned(), ZONE.1.to_owned());
            }
        }
        let mut renamed = catalog();
        for offering in renamed.instance_types.iter_mut().flat_map(|sold| &mut sold.offerings) {
            if offering.zone == ZONE.0 {
                offering.zone = ZONE.1.to_owned();
            }
        }
        for sold in &mut renamed.instance_types {
            sold.offerings.sort_by(|a, b| (&a.zone, a.capacity_type).cmp(&(&b.zone, b.capacity_type)));
        }
        let (here, there) = (planned_on(&here, &catalog()), planned_on(&there, &renamed));
        no_worse(&here, &there)?;
        no_worse(&there, &here)?;
    }

    /// A type that costs far too much is never bought, and one that is there may only help.
    #[test]
    fn another_type_makes_no_plan_dearer(pods in workloads(4, 1..5), nodes in standing(4), price in prop_oneof![Just(20_000_i64), Just(9_000_000)]) {
        let wide = || crate::planning::fixtures::pool("default", &[(labels::ARCH, crate::domain::requirement::Operator::In, &["amd64"])]);
        let mut made = cluster(vec![wide()], &pods);
        with_standing(&mut made, &nodes);
        let mut larger = catalog();
        larger.instance_types.push(sold("m5.odd", Architecture::Amd64, 6, price));
        larger.instance_types.sort_by(|a, b| a.name.cmp(&b.name));
        // Preferences are worth a share of what a pod costs by itself, so another price changes what is to be saved.
        for pod in &mut made.pods {
            let spec = PodSpec { preferences: Vec::new(), ..(*pod.spec).clone() };
            let spreads = spec.spreads.iter().filter(|spread| spread.required).cloned().collect();
            pod.spec = std::sync::Arc::new(PodSpec { spreads, ..spec });
        }
        let (before, after) = (planned_on(&made, &catalog()), planned_on(&made, &larger));
        no_worse(&before, &after)?;
    }
}
