//! Money: integer micro-dollars per hour.
//!
//! Every On-Demand and Spot price that AWS lists has at most six decimals of a dollar, so sums and comparisons are exact.
//! `f64` appears only inside the LP; what comes back from there is rounded where it enters this type (bounds down).

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};

/// Hours in a month, as AWS quotes monthly prices (365 days x 24 h / 12).
pub const HOURS_PER_MONTH: i64 = 730;

/// Dollars from here on are no price.
const MOST_DOLLARS: f64 = 1e9;

/// An amount of United States dollars per hour, in micro-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsdPerHour(i64);

impl UsdPerHour {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From micro-dollars per hour.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// In micro-dollars per hour.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// In dollars per hour; for output and ratios only.
    #[must_use]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// The micro-dollars nearest to an amount of dollars per hour, as documents carry it.
    ///
    /// `None` for what is no amount: below 0, 10^9 and above, not a number.
    #[must_use]
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        (0.0..MOST_DOLLARS).contains(&dollars).then(|| Self((dollars * 1e6).round() as i64))
    }

    /// Parses a decimal such as `0.0416`: no sign, no exponent, at most six decimals (more are accepted if they are zeros).
    ///
    /// `None` when the text is anything else (`NaN`, `-1`, `1e3`, ...) or above 10^9 dollars.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (micros, rest) = split_micros(text)?;
        rest.bytes().all(|b| b == b'0').then_some(Self(micros))
    }

    /// As [`Self::parse`], with as many decimals as there may be, rounded half up to the micro-dollar: for prices that others
    /// write, where a finer one is no mistake.
    #[must_use]
    pub fn parse_rounded(text: &str) -> Option<Self> {
        let (micros, rest) = split_micros(text)?;
        let up = rest.bytes().next().is_some_and(|b| b >= b'5');
        Some(Self(micros + i64::from(up)))
    }
}

/// Whole micro-dollars of a decimal, and the digits that are finer.
fn split_micros(text: &str) -> Option<(i64, &str)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || whole.len() > 9 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let (kept, rest) = fraction.split_at(fraction.len().min(6));
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let micros: i64 = format!("{kept:0<6}").parse().ok()?;
    Some((whole * 1_000_000 + micros, rest))
}

impl fmt::Display for UsdPerHour {
    /// Dollars with four decimals, six when the fifth or sixth is not zero: `1.8360`, `0.002192`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, micros) = (self.0.unsigned_abs() / 1_000_000, self.0.unsigned_abs() % 1_000_000);
        let text =
            if micros % 100 == 0 { format!("{sign}{whole}.{:04}", micros / 100) } else { format!("{sign}{whole}.{micros:06}") };
        f.pad(&text)
    }
}

impl Add for UsdPerHour {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for UsdPerHour {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for UsdPerHour {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul<i64> for UsdPerHour {
    type Output = Self;
    fn mul(self, factor: i64) -> Self {
        Self(self.0 * factor)
    }
}

impl Sum for UsdPerHour {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_exactly_what_a_price_list_prints() {
        let cases = [
            ("0.0416", Some(41_600)),
            ("11.4872", Some(11_487_200)),
            ("0.0416000000", Some(41_600)),
            (".5", Some(500_000)),
            ("3", Some(3_000_000)),
            ("0.0000001", None),
            ("NaN", None),
            ("inf", None),
            ("-1", None),
            ("1e3", None),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("99999999999", None),
        ];
        for (text, expected) in cases {
            assert_eq!(UsdPerHour::parse(text).map(UsdPerHour::micros), expected, "{text:?}");
        }
    }

    #[test]
    fn a_finer_price_of_others_is_rounded() {
        for (text, expected) in [("24.1534062000", 24_153_406), ("0.0000005", 1), ("0.00000049", 0), ("0.9999995", 1_000_000)] {
            assert_eq!(UsdPerHour::parse_rounded(text).map(UsdPerHour::micros), Some(expected), "{text}");
        }
        assert_eq!(UsdPerHour::parse_rounded("-1"), None);
    }

    #[test]
    fn dollars_of_documents_become_the_nearest_micro_dollar() {
        for (dollars, expected) in [(0.041_6, Some(41_600)), (0.1 + 0.2, Some(300_000)), (0.0, Some(0))] {
            assert_eq!(UsdPerHour::from_dollars(dollars).map(UsdPerHour::micros), expected, "{dollars}");
        }
        for dollars in [-1e-6, 1e9, f64::NAN, f64::INFINITY] {
            assert_eq!(UsdPerHour::from_dollars(dollars), None, "{dollars}");
        }
    }

    #[test]
    fn prints_four_decimals_unless_six_are_needed() {
        assert_eq!(UsdPerHour::from_micros(1_836_000).to_string(), "1.8360");
        assert_eq!(UsdPerHour::from_micros(2_192).to_string(), "0.002192");
        assert_eq!(UsdPerHour::from_micros(-500_000).to_string(), "-0.5000");
    }
}
