//! The arithmetic of NodeOverlays in exact integers, against rational numbers worked out another way.

use proptest::prelude::*;
use supercargo::domain::money::UsdPerHour;
use supercargo::domain::node_overlay::PriceChange;

use crate::config;

/// A micro-dollar price of an hour, up to $1,000.
fn price() -> impl Strategy<Value = i64> {
    0_i64..=1_000_000_000
}

fn changed(text: &str, micros: i64) -> i64 {
    let change = PriceChange::parse_adjustment(text).unwrap_or_else(|| panic!("{text} is a change"));
    change.applied_to(UsdPerHour::from_micros(micros)).micros()
}

/// Percentages with up to six decimals, as text and in millionths of a per cent.
fn percentage() -> impl Strategy<Value = (String, i64)> {
    (any::<bool>(), 0_i64..100, 0_i64..1_000_000).prop_map(|(less, whole, millionths)| {
        let size = whole * 1_000_000 + millionths;
        (format!("{}{whole}.{millionths:06}%", if less { '-' } else { '+' }), if less { -size } else { size })
    })
}

proptest! {
    #![proptest_config(config(512))]

    /// The result is within half a micro-dollar of the exact one, and above it where it is half a micro-dollar away.
    #[test]
    fn a_share_is_rounded_half_up((text, millionths) in percentage(), micros in price()) {
        let made = i128::from(changed(&text, micros));
        // Twice the difference to the exact result, times 10^8.
        let twice = 2 * (made * 100_000_000 - i128::from(micros) * (100_000_000 + i128::from(millionths)));
        prop_assert!(-100_000_000 < twice && twice <= 100_000_000, "{text} of {micros} is {made}");
    }

    /// Dollars are added as they are, and nothing is below zero.
    #[test]
    fn dollars_are_added_exactly(dollars in 0_i64..1_000, fraction in 0_i64..1_000_000, less: bool, micros in price()) {
        let text = format!("{}{dollars}.{fraction:06}", if less { '-' } else { '+' });
        let size = dollars * 1_000_000 + fraction;
        let expected = if less { micros - size } else { micros + size };
        prop_assert_eq!(changed(&text, micros), expected.max(0));
    }

    /// A dearer instance stays the dearer one, whatever one overlay does to both.
    #[test]
    fn no_change_turns_the_order_of_prices_around((text, _) in percentage(), a in price(), b in price()) {
        prop_assert!(changed(&text, a.min(b)) <= changed(&text, a.max(b)));
    }

    /// Whatever the text: it is a change or it is none, and no change makes a price negative.
    #[test]
    fn any_text_is_answered(text in "[-+]?[0-9.%e]{0,14}", micros in price()) {
        for change in [PriceChange::parse_price(&text), PriceChange::parse_adjustment(&text)].into_iter().flatten() {
            prop_assert!(change.applied_to(UsdPerHour::from_micros(micros)) >= UsdPerHour::ZERO);
        }
        prop_assert_eq!(PriceChange::parse_price(&text).is_some() && PriceChange::parse_adjustment(&text).is_some(), false);
    }
}
