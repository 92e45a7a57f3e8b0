//! Commitments against the examples of AWS's documentation, and against every order of covering.

use proptest::prelude::*;

use super::*;
use crate::domain::catalog::tests::catalog;
use crate::domain::instance_type::Architecture;
use crate::domain::instance_type::tests::sold;
use crate::domain::node::NodeState;
use crate::domain::resources::Resources;
use crate::domain::selector::Labels;

fn usd(dollars: &str) -> UsdPerHour {
    UsdPerHour::parse(dollars).expect("the amounts of tests are decimals")
}

fn usage<'a>(instance_type: &'a str, price: &str) -> Usage<'a> {
    Usage { instance_type, zone: "us-east-1a", price: usd(price) }
}

fn rates(listed: &[(&str, &str)], off_per_mille: Option<u32>) -> Rates {
    Rates { by_type: listed.iter().map(|(name, rate)| ((*name).to_owned(), usd(rate))).collect(), off_per_mille }
}

fn savings(id: &str, covers: Covers, dollars: &str) -> Commitment {
    Commitment { id: id.to_owned(), covers, amount: usd(dollars).micros(), instance_type: None }
}

fn reserved(id: &str, instance_type: &str, zone: Option<&str>, amount: i64) -> Commitment {
    let covers = Covers::reserved_instances(instance_type, zone);
    Commitment { id: id.to_owned(), covers, amount, instance_type: Some(instance_type.to_owned()) }
}

fn of(commitments: &[Commitment]) -> Commitments {
    let types = [("m5.large", 2), ("m5.metal", 96), ("m5.24xlarge", 96)];
    let mut types: Vec<_> = types.iter().map(|(name, vcpus)| sold(name, Architecture::Amd64, *vcpus, 100_000)).collect();
    types.sort_by(|a, b| a.name.cmp(&b.name));
    Commitments::new(commitments, &catalog(types))
}

/// What every usage costs after the commitments, and what is left of them.
fn bill(commitments: &Commitments, usages: &[Usage<'_>]) -> (Vec<UsdPerHour>, Vec<i64>) {
    let mut left = commitments.amounts();
    let covers = commitments.apply(usages, &mut left);
    let saved = |covers: &Vec<Cover>| covers.iter().map(|cover| cover.saved).sum::<UsdPerHour>();
    (usages.iter().zip(&covers).map(|(usage, covers)| usage.price - saved(covers)).collect(), left)
}

/// The example of AWS, "Understanding how Savings Plans apply to your usage", as far as it is about Linux instances: what saves the larger
/// share comes first, and EC2 Instance Savings Plans come before Compute Savings Plans.
#[test]
fn savings_plans_go_where_they_save_most() {
    let compute = Covers::Usage(rates(&[("c5.9xlarge", "2.00"), ("c5.24xlarge", "8.00")], None));
    let usages = [usage("c5.24xlarge", "10.00"), usage("c5.9xlarge", "4.00")];
    // All is covered.
    let (costs, left) = bill(&of(&[savings("sp-1", compute.clone(), "25.00")]), &usages);
    assert_eq!((costs, left), (vec![usd("0"), usd("0")], vec![usd("15").micros()]));
    // 50 % first, and of the other a quarter: its On-Demand price is paid for the rest.
    let (costs, left) = bill(&of(&[savings("sp-1", compute.clone(), "4.00")]), &usages);
    assert_eq!((costs, left), (vec![usd("7.50"), usd("0")], vec![0]));
    // The family's plan has the first one; the other plan goes to what is left.
    let family =
        Covers::FamilyUsage { family: "c5".to_owned(), rates: rates(&[("c5.9xlarge", "1.00"), ("c5.24xlarge", "6.00")], None) };
    let both = of(&[savings("sp-1", compute, "2.00"), savings("sp-2", family, "1.00")]);
    assert_eq!(both.pools.iter().map(Pool::name).collect::<Vec<_>>(), ["sp-2", "sp-1"]);
    let (costs, left) = bill(&both, &usages);
    assert_eq!((costs, left), (vec![usd("7.50"), usd("0")], vec![0, 0]));
}

/// AWS, "How Reserved Instance discounts are applied": sizes count by their factor, the smallest first, and a larger one is covered in
/// part; Reserved Instances of a zone are for that zone and size alone.
#[test]
fn reserved_instances_are_flexible_in_size() {
    let one = of(&[reserved("ri-1", "t2.medium", None, 1)]);
    let (costs, left) = bill(&one, &[usage("t2.large", "0.08"), usage("t2.small", "0.02"), usage("m5.large", "0.10")]);
    // Of two units one goes to the small instance, the other is a quarter of the large one.
    assert_eq!((costs, left), (vec![usd("0.06"), usd("0"), usd("0.10")], vec![0]));
    let zonal = of(&[reserved("ri-2", "m5.xlarge", Some("us-east-1a"), 2)]);
    let other_zone = Usage { zone: "us-east-1b", ..usage("m5.xlarge", "0.2") };
    let (costs, left) = bill(&zonal, &[other_zone, usage("m5.xlarge", "0.2"), usage("m5.large", "0.1")]);
    assert_eq!((costs, left), (vec![usd("0.2"), usd("0"), usd("0.1")], vec![1]));
    // A family without flexibility.
    let fixed = of(&[reserved("ri-3", "g5.xlarge", None, 1)]);
    assert_eq!(bill(&fixed, &[usage("g5.2xlarge", "1.2"), usage("g5.xlarge", "1.0")]).0, [usd("1.2"), usd("0")]);
    // Metal counts as the largest other size of its family.
    assert_eq!(bill(&of(&[reserved("ri-4", "m5.metal", None, 1)]), &[usage("m5.24xlarge", "4.6")]).1, [0]);
}

#[test]
fn equal_commitments_are_one_pool() {
    let all = of(&[
        reserved("ri-b", "m5.xlarge", None, 2),
        reserved("ri-a", "m5.large", None, 1),
        reserved("ri-c", "m5.large", Some("us-east-1a"), 1),
    ]);
    let pools: Vec<(String, i64)> = all.pools.iter().map(|pool| (pool.name(), pool.amount)).collect();
    assert_eq!(pools, [("ri-c".to_owned(), 1), ("ri-a, ri-b".to_owned(), 2 * 32 + 16)]);
}

#[test]
fn nodes_that_run_are_covered_first() {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let node = |capacity_type: &str| Node {
        name: capacity_type.to_owned(),
        node_pool: None,
        labels: Labels::from([
            label(labels::INSTANCE_TYPE, "m5.large"),
            label(labels::ZONE, "us-east-1a"),
            label(labels::CAPACITY_TYPE, capacity_type),
        ]),
        taints: Vec::new(),
        capacity: Resources::new(),
        allocatable: Resources::new(),
        state: NodeState::Ready,
        pods: Vec::new(),
    };
    let all = of(&[reserved("ri-1", "m5.large", None, 3)]);
    let known = catalog(vec![sold("m5.large", Architecture::Amd64, 2, 100_000)]);
    assert_eq!(all.left_by(&[node("on-demand"), node("spot"), node("reserved")], &known), [2 * 16]);
}

#[test]
fn a_rate_is_a_discount() {
    let listed = rates(&[("m5.large", "0.06")], Some(275));
    assert_eq!(listed.of("m5.large", usd("0.096")), Some(usd("0.06")));
    assert_eq!(listed.of("m5.xlarge", usd("0.192001")), Some(UsdPerHour::from_micros(139_201)));
    assert_eq!(rates(&[("m5.large", "0.1")], None).of("m5.large", usd("0.096")), None);
    assert_eq!(rates(&[], None).of("m5.large", usd("0.096")), None);
}

/// The most that one pool can save: the best over every order in which instances are covered.
fn most_saved(prices: &[(i64, i64)], available: i64) -> i64 {
    let mut most = 0;
    for first in 0..prices.len() {
        let (price, draw) = prices[first];
        let others: Vec<(i64, i64)> = prices.iter().enumerate().filter(|(at, _)| *at != first).map(|(_, one)| *one).collect();
        let saved = if draw <= available { price + most_saved(&others, available - draw) } else { price * available / draw };
        most = most.max(saved);
    }
    most
}

proptest! {
    /// Whatever is covered: nothing is paid twice, no more is drawn than there is, more of a commitment never costs more; and one Savings
    /// Plan saves the most that any order of covering could.
    #[test]
    fn the_piecewise_price_is_right(
        instances in proptest::collection::vec((0_usize..4, 1_i64..200), 1..6),
        cents in proptest::collection::vec(1_i64..99, 4),
        available in 0_i64..400,
        more in 0_i64..50,
        reserved_units in 0_i64..3,
    ) {
        let names = ["m5.large", "m5.xlarge", "c5.large", "c5.2xlarge"];
        let usages: Vec<Usage<'_>> = instances
            .iter()
            .map(|&(of, price)| Usage { instance_type: names[of], zone: "us-east-1a", price: UsdPerHour::from_micros(price * 10_000) })
            .collect();
        let listed: BTreeMap<String, UsdPerHour> =
            names.iter().zip(&cents).map(|(name, cents)| ((*name).to_owned(), UsdPerHour::from_micros(cents * 10_000))).collect();
        let plan = |amount: i64| Commitment {
            id: "sp".to_owned(),
            covers: Covers::Usage(Rates { by_type: listed.clone(), off_per_mille: None }),
            amount: amount * 10_000,
            instance_type: None,
        };
        let alone = of(&[plan(available)]);
        let covered: Vec<(i64, i64)> =
            usages.iter().filter_map(|usage| Some((usage.price.micros(), alone.draw(0, usage)?))).collect();
        let (costs, _) = bill(&alone, &usages);
        let saved = usages.iter().map(|usage| usage.price).sum::<UsdPerHour>() - costs.iter().copied().sum();
        let most = most_saved(&covered, available * 10_000);
        prop_assert!((saved.micros() - most).abs() <= 1, "{saved} saved, {most} is possible");

        let both = |amount: i64| of(&[plan(amount), reserved("ri", "m5.large", None, reserved_units)]);
        let now = both(available);
        let mut left = now.amounts();
        let covers = now.apply(&usages, &mut left);
        for (pool, left) in left.iter().enumerate() {
            let drawn: i64 = covers.iter().flatten().filter(|cover| cover.pool == pool).map(|cover| cover.drawn).sum();
            prop_assert!(*left >= 0 && drawn + left == now.pools[pool].amount);
        }
        let (costs, _) = bill(&now, &usages);
        prop_assert!(costs.iter().all(|cost| *cost >= UsdPerHour::ZERO));
        let (fewer, _) = bill(&both(available + more), &usages);
        let total = |costs: &[UsdPerHour]| costs.iter().copied().sum::<UsdPerHour>().micros();
        prop_assert!(total(&fewer) <= total(&costs) + i64::try_from(usages.len()).expect("few"));
    }
}
