//! Decay and scopes: by hand for the numbers that are promised, and for random reports.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::domain::catalog::tests::catalog;
use crate::domain::instance_type::Architecture;
use crate::domain::instance_type::tests::sold;
use crate::domain::node_class::CapacityReservation;

fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

fn offering(instance_type: &str, zone: &str, capacity_type: CapacityType) -> Scope {
    Scope::Offering { capacity_type, instance_type: instance_type.to_owned(), zone: zone.to_owned() }
}

fn spot() -> Scope {
    offering("m5.large", "us-east-1a", CapacityType::Spot)
}

/// For how long `scope` is blocked from `now` on.
fn block(known: &UnavailableOfferings, scope: &Scope, now: Duration) -> Duration {
    known.outages.get(scope).map_or(Duration::ZERO, |outage| (outage.last + outage.age()).saturating_sub(now))
}

fn blocked(known: &mut UnavailableOfferings, now: Duration) -> Vec<Scope> {
    known.view(now).scopes().cloned().collect()
}

/// What could be bought of the two types of the test catalog, as `type zone capacity`.
fn for_sale(view: &Unavailable) -> Vec<String> {
    let types = ["m5.large", "m5.xlarge"].map(|name| sold(name, Architecture::Amd64, 2, 100_000)).to_vec();
    let view = view.applied_to(&catalog(types));
    let available = view.offerings().filter(|(_, offering)| offering.available);
    available.map(|(t, o)| format!("{} {} {}", t.name, &o.zone[9..], o.capacity_type.as_str())).collect()
}

#[test]
fn one_failure_blocks_for_three_minutes_and_is_forgotten_after_nine_more() {
    let mut known = UnavailableOfferings::new();
    known.failed(spot(), minutes(10));
    assert_eq!(known.next_release(minutes(10)), Some(minutes(13)));
    assert_eq!(blocked(&mut known, minutes(13) - Duration::from_nanos(1)), [spot()]);
    assert_eq!(blocked(&mut known, minutes(13)), []);
    assert_eq!(known.next_release(minutes(13)), None);
    assert!((known.belief(&spot(), minutes(10)) - 1.0).abs() < 1e-12);
    assert!((known.belief(&spot(), minutes(13)) - 0.5).abs() < 1e-12);
    assert!((known.belief(&spot(), minutes(19)) - 0.25).abs() < 1e-12);
    assert!(known.belief(&spot(), minutes(19) + Duration::from_secs(1)) <= 0.0);
}

#[test]
fn failures_that_repeat_block_for_as_long_again_as_they_have_lasted_up_to_half_an_hour() {
    let mut known = UnavailableOfferings::new();
    let (mut now, mut blocks) = (Duration::ZERO, Vec::new());
    for _ in 0..6 {
        known.failed(spot(), now);
        blocks.push(block(&known, &spot(), now).as_secs() / 60);
        now += block(&known, &spot(), now);
    }
    assert_eq!(blocks, [3, 3, 6, 12, 24, 30]);
    // What fails again after it was forgotten starts anew.
    let later = now + LONGEST_BLOCK * MEMORY + minutes(1);
    known.failed(spot(), later);
    assert_eq!(block(&known, &spot(), later), FIRST_BLOCK);
}

#[test]
fn a_success_clears_and_a_failure_after_it_counts() {
    let mut known = UnavailableOfferings::new();
    let all_spot = Scope::CapacityType(CapacityType::Spot);
    known.failed(spot(), minutes(1));
    known.failed(all_spot.clone(), minutes(1));
    known.succeeded(&spot(), minutes(2));
    assert_eq!(blocked(&mut known, minutes(2)), []);

    known.failed(spot(), minutes(3));
    known.succeeded(&spot(), minutes(2));
    assert_eq!(blocked(&mut known, minutes(3)), [spot()]);
    // One type that is delivered says nothing of another.
    known.succeeded(&offering("m5.xlarge", "us-east-1a", CapacityType::Spot), minutes(4));
    assert_eq!(blocked(&mut known, minutes(4)), [spot()]);
}

#[test]
fn the_number_goes_up_when_other_scopes_are_blocked_and_only_then() {
    let mut known = UnavailableOfferings::new();
    let numbers: Vec<u64> = [0, 1, 2, 4, 5, 6]
        .map(|minute| {
            if minute == 1 || minute == 2 {
                known.failed(spot(), minutes(minute));
            }
            known.view(minutes(minute)).sequence()
        })
        .to_vec();
    assert_eq!(numbers, [0, 1, 1, 1, 2, 2]);
}

#[test]
fn each_scope_blocks_what_it_names_and_no_more() {
    let everything = for_sale(&UnavailableOfferings::new().view(Duration::ZERO));
    assert_eq!(everything.len(), 6);
    let without = |scope: Scope| {
        let mut known = UnavailableOfferings::new();
        known.failed(scope, Duration::ZERO);
        let left = for_sale(&known.view(Duration::ZERO));
        everything.iter().filter(|one| !left.contains(one)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(without(spot()), ["m5.large a spot"]);
    let on_demand = offering("m5.large", "us-east-1b", CapacityType::OnDemand);
    assert_eq!(without(on_demand), ["m5.large b on-demand"]);
    assert_eq!(without(Scope::CapacityType(CapacityType::Spot)), ["m5.large a spot", "m5.xlarge a spot"]);
    assert!(without(Scope::Reservation("cr-1".to_owned())).is_empty());
    assert!(without(Scope::Subnet("subnet-1".to_owned())).is_empty());
}

#[test]
fn a_node_class_loses_blocked_reservations_and_zones_without_a_free_subnet() {
    let reservation = |id: &str| CapacityReservation {
        id: id.to_owned(),
        instance_type: "m5.large".to_owned(),
        zone: "us-east-1a".to_owned(),
        reservation_type: "default".to_owned(),
        interruptible: false,
        free: 1,
    };
    let zones = ["a", "b", "c"].map(|zone| (format!("us-east-1{zone}"), None));
    let class = NodeClass {
        zones: Some(BTreeMap::from(zones)),
        capacity_reservations: vec![reservation("cr-1"), reservation("cr-2")],
        ..NodeClass::al2023("default")
    };
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
    let subnets = Subnets::from([
        ("us-east-1a".to_owned(), ids(&["subnet-1", "subnet-2"])),
        ("us-east-1b".to_owned(), ids(&["subnet-3"])),
        ("us-east-1c".to_owned(), BTreeSet::new()),
    ]);
    let mut known = UnavailableOfferings::new();
    let seen = |known: &mut UnavailableOfferings| {
        let view = known.view(Duration::ZERO).narrowed(&class, &subnets);
        let zones: Vec<String> = view.zones.unwrap_or_default().into_keys().map(|zone| zone[9..].to_owned()).collect();
        let reservations: Vec<String> = view.capacity_reservations.into_iter().map(|one| one.id).collect();
        (zones.concat(), reservations.join(" "))
    };
    let mut fail = |scope: Scope| {
        known.failed(scope, Duration::ZERO);
        seen(&mut known)
    };
    let expect = |zones: &str, reservations: &str| (zones.to_owned(), reservations.to_owned());
    assert_eq!(fail(offering("m5.large", "us-east-1a", CapacityType::OnDemand)), expect("abc", "cr-1 cr-2"));
    assert_eq!(fail(Scope::Subnet("subnet-1".to_owned())), expect("abc", "cr-1 cr-2"));
    assert_eq!(fail(Scope::Subnet("subnet-3".to_owned())), expect("ac", "cr-1 cr-2"));
    assert_eq!(fail(Scope::Subnet("subnet-2".to_owned())), expect("c", "cr-1 cr-2"));
    assert_eq!(fail(Scope::Reservation("cr-1".to_owned())), expect("c", "cr-2"));
}

/// Seconds and one of three scopes: a failure, or a success where the flag says so.
type Report = (u64, usize, bool);

fn reports() -> impl Strategy<Value = Vec<Report>> {
    let one = (0..7_200_u64, 0..3_usize, proptest::bool::weighted(0.2));
    vec(one, 0..20).prop_map(|mut reports| {
        reports.sort_unstable();
        reports
    })
}

fn scope(number: usize) -> Scope {
    let names = ["m5.large", "m5.xlarge"].map(|name| offering(name, "us-east-1a", CapacityType::Spot));
    names.get(number).cloned().unwrap_or(Scope::Reservation("cr-1".to_owned()))
}

/// After all reports in their order; and the moment of the last.
fn after(reports: &[Report]) -> (UnavailableOfferings, Duration) {
    let mut known = UnavailableOfferings::new();
    for &(second, number, is_success) in reports {
        let at = Duration::from_secs(second);
        if is_success {
            known.succeeded(&scope(number), at);
        } else {
            known.failed(scope(number), at);
        }
    }
    (known, Duration::from_secs(reports.last().map_or(0, |report| report.0)))
}

proptest! {
    /// Without news the belief only sinks, what comes free stays free, and in the end nothing is remembered.
    #[test]
    fn belief_only_sinks(reports in reports(), steps in vec(0..900_u64, 1..30)) {
        let (mut known, mut now) = after(&reports);
        let look = |known: &UnavailableOfferings, now| (0..3).map(|number| known.belief(&scope(number), now)).collect::<Vec<_>>();
        let (mut before, mut number) = (look(&known, now), known.view(now));
        for step in steps {
            now += Duration::from_secs(step);
            let (beliefs, view) = (look(&known, now), known.view(now));
            prop_assert!(beliefs.iter().zip(&before).all(|(later, earlier)| later <= earlier));
            prop_assert!(view.scopes.is_subset(&number.scopes));
            prop_assert_eq!(view.sequence == number.sequence, view.scopes == number.scopes);
            for scope in (0..3).map(scope) {
                prop_assert_eq!(view.scopes.contains(&scope), known.belief(&scope, now) > 0.5);
            }
            (before, number) = (beliefs, view);
        }
        known.view(now + LONGEST_BLOCK * (MEMORY + 1));
        prop_assert!(known.outages.is_empty());
    }

    /// A report that is repeated says no more than the first time, and one that comes late no more than the newest.
    #[test]
    fn reports_are_idempotent(reports in reports()) {
        let (known, _) = after(&reports);
        let twice: Vec<Report> = reports.iter().flat_map(|report| [*report, *report]).collect();
        prop_assert_eq!(&after(&twice).0, &known);
        let mut late = known.clone();
        for (scope, outage) in &known.outages {
            late.failed(scope.clone(), outage.first);
        }
        prop_assert_eq!(late, known);
    }

    /// No report on one scope changes the belief in another, and every block is between the shortest and the longest.
    #[test]
    fn scopes_are_apart(reports in reports(), only in 0..3_usize) {
        let own: Vec<Report> = reports.iter().copied().filter(|report| report.1 == only).collect();
        let ((known, _), (alone, _)) = (after(&reports), after(&own));
        prop_assert_eq!(known.outages.get(&scope(only)), alone.outages.get(&scope(only)));
        let ages = known.outages.values().map(|outage| outage.age());
        prop_assert!(ages.into_iter().all(|age| (FIRST_BLOCK..=LONGEST_BLOCK).contains(&age)));
    }

    /// Another failure never lets an offering come free sooner, and blocks it for the shortest time at least.
    #[test]
    fn another_failure_never_shortens_a_block(reports in reports(), later in 0..3_600_u64) {
        let (mut known, now) = after(&reports);
        let at = now + Duration::from_secs(later);
        let free_at = |known: &UnavailableOfferings| block(known, &spot(), Duration::ZERO);
        let before = free_at(&known);
        known.failed(spot(), at);
        prop_assert!(free_at(&known) >= before.max(at + FIRST_BLOCK));
    }
}
