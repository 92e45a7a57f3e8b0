//! How figures are written.

use crate::benchmark::telling::results::Case;

/// Seconds with three digits or so: `0.012 s`, `4.21 s`, `59.9 s`, `312 s`.
pub(super) fn seconds(value: f64) -> String {
    let decimals = match value {
        value if value < 1.0 => 3,
        value if value < 10.0 => 2,
        value if value < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} s")
}

/// A ratio with four decimals: a hundredth of a per cent is still seen.
pub(super) fn ratio(value: f64) -> String {
    format!("{value:.4}")
}

/// A ratio of times with two decimals: the next run differs by more than the third.
pub(super) fn times(value: f64) -> String {
    format!("{value:.2}")
}

/// Bytes in MiB.
pub(super) fn mebibytes(bytes: f64) -> String {
    format!("{:.0} MiB", bytes / f64::from(1 << 20))
}

/// `3 of 4 (75 %)`.
pub(super) fn of(number: usize, all: usize) -> String {
    match all {
        0 => "–".to_owned(),
        _ => format!("{number} of {all} ({:.0} %)", number as f64 * 100.0 / all as f64),
    }
}

/// The name of a case: the instance, with the seed where there are several.
pub(super) fn case((instance, seed): &Case, several_seeds: Seeds) -> String {
    match several_seeds {
        Seeds::One => instance.clone(),
        Seeds::Several => format!("{instance} (seed {seed})"),
    }
}

/// Whether runs differ by their seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seeds {
    /// All have the same one.
    One,
    /// They do.
    Several,
}

impl Seeds {
    /// Of all seeds that there are.
    pub(super) fn among(seeds: impl Iterator<Item = u64>) -> Self {
        let mut first = None;
        for seed in seeds {
            if *first.get_or_insert(seed) != seed {
                return Self::Several;
            }
        }
        Self::One
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_they_deserve() {
        let written: Vec<String> = [0.012_34, 4.214, 59.94, 312.4].into_iter().map(seconds).collect();
        assert_eq!(written, ["0.012 s", "4.21 s", "59.9 s", "312 s"]);
        assert_eq!((ratio(1.000_06), times(0.333_3), mebibytes(3_145_728.0)), ("1.0001".into(), "0.33".into(), "3 MiB".into()));
        assert_eq!((of(3, 4), of(0, 0)), ("3 of 4 (75 %)".into(), "–".into()));
    }

    #[test]
    fn seeds_are_named_where_they_differ() {
        assert_eq!(case(&("a".to_owned(), 7), Seeds::among([7, 7].into_iter())), "a");
        assert_eq!(case(&("a".to_owned(), 7), Seeds::among([7, 8].into_iter())), "a (seed 7)");
    }
}
