//! Kubernetes quantities: `500m`, `1.5Gi`, `2e3`.
//!
//! The grammar and the rounding are those of Go's `resource.Quantity` (`k8s.io/apimachinery`), oddities included: a missing
//! number is zero (`m`, `.` and `+` all parse as 0), anything finer than a billionth rounds away from zero, and `1E` is exa
//! while `1E0` is an exponent. One difference, on purpose: Go caps only binary quantities at 2^63 - 1 and lets decimal ones
//! overflow when they are read; here every quantity is capped. `tests/oracles/quantity` makes the table that the tests compare.
//!
//! Everything is exact: nano-units in an `i128`, no floating point.

use std::fmt;

use crate::domain::resources::ResourceName;

/// Nano-units in one unit.
const NANOS_PER_UNIT: i128 = 1_000_000_000;
/// Decimal digits below the unit.
const NANO_DIGITS: i64 = 9;
/// The largest magnitude, 2^63 - 1 units, in nano-units.
const MAX_NANOS: i128 = i64::MAX as i128 * NANOS_PER_UNIT;

/// How a quantity was written, which decides how it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Format {
    /// `n`, `u`, `m`, none, `k`, `M`, ... `E`.
    DecimalSi,
    /// `Ki`, `Mi`, ... `Ei`.
    BinarySi,
    /// `e3`.
    DecimalExponent,
}

/// An exact quantity: a whole number of nano-units, at most 2^63 - 1 units in magnitude.
///
/// Equality is of the value and of the way it was written: `1Ki` and `1024` are two quantities with one [`Self::value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// Why a text is not a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantityError {
    /// There is no text.
    #[error("a quantity is empty")]
    Empty,
    /// What follows the number is no suffix, or there is no number at all.
    #[error(
        "not a quantity: a number may be followed by one of n u m k M G T P E Ki Mi Gi Ti Pi Ei or by an exponent such as e3"
    )]
    Malformed,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nanos: 0, format: Format::DecimalSi };

    /// Parses `text` as Go's `resource.ParseQuantity` does.
    ///
    /// # Errors
    /// When Go refuses the text: blanks, unknown suffixes, several signs, hexadecimal, underscores, `NaN`, ...
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Empty);
        }
        let (negative, unsigned) = match text.as_bytes()[0] {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, rest) = split_digits(unsigned);
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(after) => split_digits(after),
            None => ("", rest),
        };
        let (scale, mut format) = interpret_suffix(suffix).ok_or(QuantityError::Malformed)?;
        let magnitude = match scale {
            Scale::PowerOfTen(exponent) => decimal_nanos(whole, fraction, exponent),
            Scale::PowerOfTwo(exponent) => binary_nanos(whole, fraction, exponent),
        };
        if format == Format::BinarySi && magnitude > 0 && magnitude < NANOS_PER_UNIT {
            format = Format::DecimalSi;
        }
        Ok(Self { nanos: if negative { -magnitude } else { magnitude }, format })
    }

    /// In whole units, rounded away from zero.
    #[must_use]
    pub fn value(self) -> i64 {
        self.scaled(NANOS_PER_UNIT)
    }

    /// In thousandths, rounded away from zero; saturates at 2^63 - 1 in magnitude.
    #[must_use]
    pub fn milli_value(self) -> i64 {
        self.scaled(NANOS_PER_UNIT / 1000)
    }

    /// In the units of [`crate::domain::resources::Resources`], rounded away from zero: milli-cores for `cpu`, whole units for
    /// everything else.
    #[must_use]
    pub fn amount(self, resource: &str) -> i64 {
        if resource == ResourceName::CPU { self.milli_value() } else { self.value() }
    }

    /// As [`Self::amount`], but rounded down: for ceilings, which must not grow by their rounding.
    #[must_use]
    pub fn amount_floor(self, resource: &str) -> i64 {
        let unit = if resource == ResourceName::CPU { NANOS_PER_UNIT / 1000 } else { NANOS_PER_UNIT };
        saturate(self.nanos.div_euclid(unit))
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// The exact sum, capped as every quantity is; written like `self` unless that is zero.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let format = if self.nanos == 0 { other.format } else { self.format };
        Self { nanos: (self.nanos + other.nanos).clamp(-MAX_NANOS, MAX_NANOS), format }
    }

    /// The larger of the two; `self` when they are equal.
    #[must_use]
    pub fn larger(self, other: Self) -> Self {
        if other.nanos > self.nanos { other } else { self }
    }

    fn scaled(self, nanos_per_step: i128) -> i64 {
        let towards_zero = self.nanos / nanos_per_step;
        let rounded = if self.nanos % nanos_per_step == 0 { towards_zero } else { towards_zero + self.nanos.signum() };
        saturate(rounded)
    }
}

/// Capped at 2^63 - 1 in magnitude, on both sides.
fn saturate(number: i128) -> i64 {
    let limit = i128::from(i64::MAX);
    i64::try_from(number.clamp(-limit, limit)).unwrap_or(i64::MAX)
}

/// The factor that a suffix stands for.
enum Scale {
    PowerOfTen(i64),
    PowerOfTwo(u32),
}

/// The longest prefix of ASCII digits, and the rest.
fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn interpret_suffix(suffix: &str) -> Option<(Scale, Format)> {
    let decimal = |exponent| Some((Scale::PowerOfTen(exponent), Format::DecimalSi));
    let binary = |exponent| Some((Scale::PowerOfTwo(exponent), Format::BinarySi));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            Some((Scale::PowerOfTen(exponent.parse().ok()?), Format::DecimalExponent))
        }
    }
}

/// `whole.fraction` x 10^`exponent` in nano-units, rounded up, capped.
fn decimal_nanos(whole: &str, fraction: &str, exponent: i64) -> i128 {
    let mut digits = whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0').peekable();
    if digits.peek().is_none() {
        return 0;
    }
    // How many of the digits, or of zeros after them, are in front of the decimal point of the nano-units.
    let leading_zeros = whole.bytes().chain(fraction.bytes()).take_while(|digit| *digit == b'0').count();
    let places =
        exponent.saturating_add(NANO_DIGITS).saturating_add(length(whole)).saturating_sub(saturating_length(leading_zeros));
    if places > 30 {
        return MAX_NANOS; // at least 10^30 nano-units: beyond the cap
    }
    let mut nanos: i128 = 0;
    for _ in 0..places {
        nanos = nanos * 10 + digits.next().map_or(0, |digit| i128::from(digit - b'0'));
    }
    let rest = digits.any(|digit| digit != b'0');
    (nanos + i128::from(rest)).min(MAX_NANOS)
}

fn length(text: &str) -> i64 {
    saturating_length(text.len())
}

fn saturating_length(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// `whole.fraction` x 2^`exponent` in nano-units, rounded up, capped. `exponent` is at most 60.
fn binary_nanos(whole: &str, fraction: &str, exponent: u32) -> i128 {
    let factor = NANOS_PER_UNIT << exponent;
    let significant = whole.trim_start_matches('0');
    // 2^63 has 19 digits: a longer number is beyond the cap whatever the suffix.
    if significant.len() > 19 {
        return MAX_NANOS;
    }
    let units = significant.bytes().fold(0_i128, |units, digit| units * 10 + i128::from(digit - b'0'));
    // Horner's rule from the last digit; flooring at every step floors the whole, and what is lost is remembered.
    let mut lost = false;
    let mut part: i128 = 0;
    for digit in fraction.bytes().rev() {
        let shifted = i128::from(digit - b'0') * factor + part;
        lost |= shifted % 10 != 0;
        part = shifted / 10;
    }
    units.saturating_mul(factor).saturating_add(part).saturating_add(i128::from(lost)).min(MAX_NANOS)
}

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, the largest suffix that keeps the value exact.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.pad("0");
        }
        // A binary suffix is used for whole units of at least 1024 only, so that nothing is rounded.
        let units = self.nanos / NANOS_PER_UNIT;
        if self.format == Format::BinarySi && self.nanos % NANOS_PER_UNIT == 0 && units.abs() >= 1024 {
            const SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
            let (mut number, mut step) = (units, 0);
            while number % 1024 == 0 && step + 1 < SUFFIXES.len() {
                (number, step) = (number / 1024, step + 1);
            }
            return f.pad(&format!("{number}{}", SUFFIXES[step]));
        }
        const SUFFIXES: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
        let (mut number, mut step) = (self.nanos, 0);
        while number % 1000 == 0 && step + 1 < SUFFIXES.len() {
            (number, step) = (number / 1000, step + 1);
        }
        if self.format != Format::DecimalExponent || step == 3 {
            return f.pad(&format!("{number}{}", SUFFIXES[step]));
        }
        let exponent = 3 * i32::try_from(step).unwrap_or(0) - 9;
        f.pad(&format!("{number}e{exponent}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_and_capped() {
        let parse = |text| Quantity::parse(text).expect("the quantities of this test are valid");
        assert_eq!(parse("100n").plus(parse("900n")).to_string(), "1u");
        assert_eq!(parse("0").plus(parse("1Ki")).to_string(), "1Ki");
        assert_eq!(parse("8Ei").plus(parse("8Ei")).value(), i64::MAX);
        assert_eq!(parse("8Ei").milli_value(), i64::MAX);
    }

    #[test]
    fn ceilings_round_down_and_demand_rounds_up() {
        let half = Quantity::parse("1500.5m").expect("valid");
        assert_eq!((half.amount("cpu"), half.amount_floor("cpu")), (1501, 1500));
        assert_eq!((half.amount("memory"), half.amount_floor("memory")), (2, 1));
    }
}
