//! NodeOverlays (`karpenter.sh/v1alpha1`): what an operator knows better than the catalog about prices and resources of instances.
//!
//! An overlay names offerings by requirements and gives them a price of their own, moves their price, or adds resources that nothing
//! in EC2 tells of. This file has the object and the arithmetic of its price; which overlay counts where is in [`evaluation`].

pub mod evaluation;

use std::collections::BTreeMap;

use crate::domain::money::UsdPerHour;
use crate::domain::requirement::Requirements;

/// The largest weight.
pub const LARGEST_WEIGHT: i32 = 10_000;

/// Hundred-millionths in one: a millionth of a per cent is one of them.
const ONE: i64 = 100_000_000;

/// A NodeOverlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeOverlay {
    /// Name.
    pub name: String,
    /// 0 (none given) to [`LARGEST_WEIGHT`]: the heaviest counts.
    pub weight: i32,
    /// Which offerings of which NodePools it is about.
    pub requirements: Requirements,
    /// What it does to their price.
    pub price: Option<PriceChange>,
    /// What it says of resources of their instance types, in the units of [`crate::domain::resources::Resources`]; zero takes away
    /// what the catalog says there is. Never CPU, memory, ephemeral storage or pods.
    pub capacity: BTreeMap<String, i64>,
}

/// What becomes of a price. Nothing makes it negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PriceChange {
    /// It is this, whatever the catalog says (`price`).
    To(UsdPerHour),
    /// It is so much higher, or lower where this is negative (`priceAdjustment: "+0.05"`).
    By(UsdPerHour),
    /// It is higher or lower by so many hundred-millionths of itself (`priceAdjustment: "-10%"` is -10,000,000).
    ByShare(i64),
}

impl PriceChange {
    /// The change that `price` asks for: digits, with a decimal point between digits where there is one. Rounded half up to the
    /// micro-dollar.
    ///
    /// `None` for anything else, and for 10^9 dollars or more.
    #[must_use]
    pub fn parse_price(text: &str) -> Option<Self> {
        let starts_and_ends_with_digits = text.starts_with(is_digit) && text.ends_with(is_digit);
        UsdPerHour::parse_rounded(text).filter(|_| starts_and_ends_with_digits).map(Self::To)
    }

    /// The change that `priceAdjustment` asks for: a sign, a number, perhaps `%`; at most 100 % less. Dollars are rounded half up to the
    /// micro-dollar before the sign is put to them, percentages to their sixth decimal.
    ///
    /// `None` for anything else, and for numbers of 10^9 or more.
    #[must_use]
    pub fn parse_adjustment(text: &str) -> Option<Self> {
        let less = text.starts_with('-');
        let number = text.strip_prefix(['+', '-'])?;
        let (number, percent) = number.strip_suffix('%').map_or((number, false), |number| (number, true));
        // A parsed dollar is 10^6 micro-dollars as a per cent is 10^6 hundred-millionths.
        let millionths = UsdPerHour::parse_rounded(number).filter(|_| number.ends_with(is_digit))?.micros();
        let below_one = number.split('.').next().is_some_and(|whole| (1..=2).contains(&whole.len()));
        let signed = if less { -millionths } else { millionths };
        match (percent, less) {
            (false, _) => Some(Self::By(UsdPerHour::from_micros(signed))),
            (true, true) if !below_one && number != "100" => None,
            // `99.9999999` rounds to all of it.
            (true, _) => Some(Self::ByShare(signed)),
        }
    }

    /// What becomes of `price`, at least 0. A share is rounded half up to the micro-dollar.
    #[must_use]
    pub fn applied_to(self, price: UsdPerHour) -> UsdPerHour {
        let micros = i128::from(price.micros());
        let changed = match self {
            Self::To(price) => i128::from(price.micros()),
            Self::By(amount) => micros + i128::from(amount.micros()),
            Self::ByShare(parts) => {
                let one = i128::from(ONE);
                (micros * (one + i128::from(parts)) + one / 2).div_euclid(one)
            }
        };
        UsdPerHour::from_micros(i64::try_from(changed.max(0)).unwrap_or(i64::MAX))
    }
}

fn is_digit(character: char) -> bool {
    character.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_and_adjustments_are_written_as_the_schema_says() {
        let to = |micros| Some(PriceChange::To(UsdPerHour::from_micros(micros)));
        for (text, expected) in [("0.5", to(500_000)), ("0", to(0)), ("12", to(12_000_000)), ("0.0000005", to(1))] {
            assert_eq!(PriceChange::parse_price(text), expected, "{text}");
        }
        for text in ["", ".5", "5.", "-1", "+1", "1e3", "1.2.3", "1000000000", "$1", "5%", "NaN"] {
            assert_eq!(PriceChange::parse_price(text), None, "{text}");
        }
        let by = |micros| Some(PriceChange::By(UsdPerHour::from_micros(micros)));
        let share = |parts| Some(PriceChange::ByShare(parts));
        let cases = [
            ("+0.05", by(50_000)),
            ("-0.05", by(-50_000)),
            ("+.5", by(500_000)),
            ("+0.0000005", by(1)),
            ("+10%", share(10_000_000)),
            ("-10%", share(-10_000_000)),
            ("-33.333333%", share(-33_333_333)),
            ("+150%", share(150_000_000)),
            ("+.5%", share(500_000)),
            ("-99.9999999%", share(-100_000_000)),
            ("-100%", share(-100_000_000)),
            ("+0%", share(0)),
        ];
        for (text, expected) in cases {
            assert_eq!(PriceChange::parse_adjustment(text), expected, "{text}");
        }
        for text in ["", "+", "5", "5%", "-101%", "-100.0%", "-.5%", "+5.", "+-5", "+1e2", "10%-", "+10 %", "+1000000000"] {
            assert_eq!(PriceChange::parse_adjustment(text), None, "{text}");
        }
    }

    #[test]
    fn a_price_changes_exactly_and_never_below_zero() {
        let after = |change: &str, micros| {
            let change = PriceChange::parse_adjustment(change).expect("the changes of this test are valid");
            change.applied_to(UsdPerHour::from_micros(micros)).micros()
        };
        assert_eq!(after("-10%", 96_000), 86_400);
        assert_eq!(after("+10%", 96_000), 105_600);
        assert_eq!(after("-100%", 96_000), 0);
        assert_eq!(after("-0.2", 96_000), 0);
        assert_eq!(after("-0.05", 96_000), 46_000);
        // 3 x 0.5 = 1.5 and 1 x 0.5 = 0.5 round up.
        assert_eq!((after("-50%", 3), after("-50%", 1)), (2, 1));
        assert_eq!(after("-33.333333%", 96_000), 64_000);
        assert_eq!(after("+999999999%", i64::MAX), i64::MAX);
        assert_eq!(PriceChange::To(UsdPerHour::ZERO).applied_to(UsdPerHour::from_micros(7)), UsdPerHour::ZERO);
    }
}
