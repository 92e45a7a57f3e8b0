//! The algebra of requirements: what Karpenter's scheduler takes for granted about intersections.

use proptest::prelude::*;
use supercargo::domain::requirement::{Operator, Requirement};

use crate::config;

/// Few values, so that they meet often: numbers, words, and numbers that are written oddly.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        (0_i64..8).prop_map(|n| n.to_string()),
        "[a-c]",
        Just("07".to_owned()),
        Just("-1".to_owned()),
        Just(String::new())
    ]
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let sets = (prop_oneof![Just(Operator::In), Just(Operator::NotIn)], prop::collection::vec(value(), 1..4));
    let bounds = (
        prop_oneof![Just(Operator::Gt), Just(Operator::Lt), Just(Operator::Gte), Just(Operator::Lte)],
        (0_i64..8).prop_map(|n| vec![n.to_string()]),
    );
    let presence = (prop_oneof![Just(Operator::Exists), Just(Operator::DoesNotExist)], Just(Vec::new()));
    let one = prop_oneof![sets, bounds, presence]
        .prop_map(|(operator, values)| Requirement::new(operator, &values).expect("the strategy makes valid values"));
    // Intersections of two reach the mixed forms: a complement with bounds, ...
    (one.clone(), proptest::option::of(one), proptest::option::of(1_u32..5)).prop_map(|(a, b, min_values)| {
        let mut made = b.map_or(a.clone(), |b| a.intersection(&b));
        made.min_values = min_values;
        made
    })
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn intersection_is_commutative_and_idempotent(a in requirement(), b in requirement()) {
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.intersection(&a), a.clone());
        prop_assert_eq!(a.intersects(&b), b.intersects(&a));
    }

    #[test]
    fn intersection_is_associative_in_what_it_allows(a in requirement(), b in requirement(), c in requirement(), v in value()) {
        let left = a.intersection(&b).intersection(&c);
        let right = a.intersection(&b.intersection(&c));
        prop_assert_eq!(left.has(&v), right.has(&v));
        prop_assert_eq!(left.min_values, right.min_values);
        prop_assert_eq!(left.finite(), right.finite());
    }

    /// The set is what `has` says: a value is in the intersection exactly when it is in both.
    #[test]
    fn has_agrees_with_intersection(a in requirement(), b in requirement(), v in value()) {
        let both = a.intersection(&b);
        prop_assert_eq!(both.has(&v), a.has(&v) && b.has(&v));
        if both.has(&v) {
            prop_assert!(a.intersects(&b));
        }
        if let Some(values) = both.finite() {
            prop_assert!(values.iter().all(|value| a.has(value) && b.has(value)));
        }
    }
}
