//! What interruptions are expected to cost decides between offerings, and is kept apart from what is paid.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::catalog::{CapacityType, Catalog};
use crate::domain::cluster::ClusterView;
use crate::domain::interruption::{Band, InterruptionBands, InterruptionCosts, RestartCost};
use crate::domain::money::UsdPerHour;
use crate::domain::node_class::AmiFamily;
use crate::domain::plan::Plan;
use crate::domain::requirement::Operator;
use crate::domain::resources::ResourceName;
use crate::planning::PreferencePolicy;
use crate::planning::cost::CostModel;
use crate::planning::fixtures::{catalog, cluster, pool, spec};
use crate::planning::plan::plan;
use crate::planning::verifier::{Violation, verify};
use crate::solver::SolveConfig;

/// m5 is calm and m7g, which is cheaper, is not; a restart costs that many dollars.
fn costs(dollars: i64) -> InterruptionCosts {
    let band = |label: &str, above, up_to| Band { label: label.to_owned(), above, up_to };
    let sizes = ["large", "xlarge", "2xlarge", "4xlarge"];
    let rated = |family: &'static str, band: usize| sizes.map(|size| (format!("{family}.{size}"), band));
    let bands = InterruptionBands {
        bands: vec![band("<5%", 0, 5), band(">20%", 22, 100)],
        linux: rated("m5", 0).into_iter().chain(rated("m7g", 1)).collect(),
        windows: BTreeMap::new(),
    };
    InterruptionCosts::new(&bands, RestartCost::from_micros(dollars * 1_000_000).expect("the amounts of tests are small"))
}

fn planned(cluster: &ClusterView, catalog: &Catalog, interruptions: InterruptionCosts) -> Plan {
    let config = SolveConfig { gap: 0.0, work_limit: Some(200_000), deadline: None, seed: 1 };
    let model =
        CostModel { volumes: false, fee_per_node: UsdPerHour::ZERO, interruptions, preferences: PreferencePolicy::Ignore };
    plan(cluster, catalog, &model, &config, &|| Duration::ZERO, &mut |_| {}).expect("the clusters of tests are sound").plan
}

fn violations(cluster: &ClusterView, plan: &Plan, costs: &InterruptionCosts) -> Vec<Violation> {
    verify(cluster, &catalog(), plan, &|_| UsdPerHour::ZERO, costs).violations
}

/// One pod of two cores, which fills the smallest type.
fn one_pod() -> ClusterView {
    cluster(vec![pool("default", &[])], &[(1, spec(2))])
}

#[test]
fn the_dearer_interruptions_are_the_calmer_is_what_is_bought() {
    // Per dollar of a restart: 34.68 micro-dollars an hour for m5, 340.36 for m7g.
    let expected = [
        (0, "m7g.large spot 45000 0"),
        (10, "m7g.large spot 45000 3404"),
        (20, "m5.large spot 50000 694"),
        (1_000, "m5.large spot 50000 34682"),
        (2_000, "m7g.large on-demand 90000 0"),
    ];
    for (dollars, expected) in expected {
        let (cluster, costs) = (one_pod(), costs(dollars));
        let made = planned(&cluster, &catalog(), costs.clone());
        let chosen = &made.nodes[0].offering;
        let words = (&chosen.instance_type, chosen.capacity_type.as_str(), made.cost.micros(), made.interruptions.micros());
        assert_eq!(format!("{} {} {} {}", words.0, words.1, words.2, words.3), expected, "{dollars} dollars");
        assert_eq!(made.bound, made.value());
        assert!(made.nodes[0].candidates.windows(2).all(|pair| pair[0].expected() <= pair[1].expected()), "{dollars} dollars");
        assert_eq!(violations(&cluster, &made, &costs), []);
    }
}

/// A plan that minds interruptions is worth what a plan costs where Spot prices are higher by as much.
#[test]
fn interruptions_weigh_like_a_higher_price() {
    let cluster = cluster(vec![pool("default", &[])], &[(5, spec(1)), (3, spec(3)), (2, spec(7))]);
    let costs = costs(20);
    let mut dearer = catalog();
    for instance_type in &mut dearer.instance_types {
        let name = instance_type.name.clone();
        for offering in &mut instance_type.offerings {
            offering.price += costs.of(AmiFamily::Al2023, &name, offering.capacity_type);
        }
    }
    let (made, other) = (planned(&cluster, &catalog(), costs.clone()), planned(&cluster, &dearer, InterruptionCosts::NONE));
    assert!(made.interruptions > UsdPerHour::ZERO);
    assert_eq!((made.value(), made.bound, made.first_fit), (other.value(), other.bound, other.first_fit));
    assert_eq!(violations(&cluster, &made, &costs), []);
}

#[test]
fn a_limit_on_dollars_counts_what_is_paid() {
    let mut pool = pool("default", &[("karpenter.sh/capacity-type", Operator::In, &["spot"])]);
    pool.limits.insert(ResourceName::COST.to_owned(), 50_000);
    let (cluster, costs) = (cluster(vec![pool], &[(1, spec(2))]), costs(20));
    let made = planned(&cluster, &catalog(), costs.clone());
    assert_eq!((made.cost.micros(), made.interruptions.micros(), made.unplaced.len()), (50_000, 694, 0));
    assert_eq!(violations(&cluster, &made, &costs), []);
}

#[test]
fn an_offering_that_ec2_could_not_deliver_is_not_bought() {
    let mut short = catalog();
    for offering in short.instance_types.iter_mut().flat_map(|t| &mut t.offerings) {
        offering.available = offering.capacity_type != CapacityType::Spot;
    }
    let cluster = one_pod();
    let made = planned(&cluster, &short, InterruptionCosts::NONE);
    assert_eq!(made.cost.micros(), 90_000);
    assert!(made.nodes[0].candidates.iter().all(|candidate| candidate.capacity_type == CapacityType::OnDemand));
    let spot = planned(&cluster, &catalog(), InterruptionCosts::NONE);
    let found = verify(&cluster, &short, &spot, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE).violations;
    assert!(found.contains(&Violation::Unavailable { node: 0, offering: "m7g.large us-east-1a spot".to_owned() }), "{found:?}");
}

#[test]
fn the_verifier_works_interruptions_out_again() {
    let (cluster, costs) = (one_pod(), costs(20));
    let good = planned(&cluster, &catalog(), costs.clone());
    let real = UsdPerHour::from_micros(694);

    let mut broken = good.clone();
    for node in &mut broken.nodes {
        node.offering.interruptions = UsdPerHour::ZERO;
        node.candidates[0].interruptions = UsdPerHour::ZERO;
    }
    let offering = "m5.large us-east-1a spot".to_owned();
    let stated = Violation::InterruptionsMisstated { node: 0, offering, stated: UsdPerHour::ZERO, expected: real };
    assert_eq!(violations(&cluster, &broken, &costs), [stated]);

    let mut broken = good.clone();
    broken.interruptions = UsdPerHour::ZERO;
    let stated = Violation::InterruptionSumMisstated { stated: UsdPerHour::ZERO, sum: real };
    assert_eq!(violations(&cluster, &broken, &costs), [stated]);
    assert_ne!(violations(&cluster, &good, &InterruptionCosts::NONE), []);
}
