//! Rules about the pods of a workload as a whole, and about the whole cluster, that Kubernetes has no field for: how many may run on
//! Spot, and how many in one Spot pool.
//!
//! A *Spot pool* is an instance type in a zone: what EC2 takes back, it takes back by pool.

use std::fmt;

/// A number of pods, or a part of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Portion {
    /// So many.
    Pods(u32),
    /// So many thousandths of all, at most 1,000.
    PerMille(u32),
}

impl Portion {
    /// How many of `total` pods that is, rounded up; never more than `total`.
    #[must_use]
    pub fn of(self, total: u32) -> u32 {
        match self {
            Self::Pods(pods) => pods.min(total),
            Self::PerMille(share) => {
                let pods = (u64::from(total) * u64::from(share.min(1_000))).div_ceil(1_000);
                u32::try_from(pods).unwrap_or(total)
            }
        }
    }

    /// `3`, `30%` or `12.5%`; `None` for anything else and for more than `100%`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let Some(percent) = text.strip_suffix('%') else { return text.parse().ok().map(Self::Pods) };
        let (whole, tenths) = percent.split_once('.').unwrap_or((percent, "0"));
        let digits = |text: &str| (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok());
        let (whole, tenths): (u32, u32) = (digits(whole)??, digits(tenths).filter(|_| tenths.len() == 1)??);
        let share = whole.checked_mul(10)?.checked_add(tenths)?;
        (share <= 1_000).then_some(Self::PerMille(share))
    }

    /// The thousandths; `None` for a number of pods.
    #[must_use]
    pub fn per_mille(self) -> Option<u32> {
        match self {
            Self::Pods(_) => None,
            Self::PerMille(share) => Some(share),
        }
    }
}

impl fmt::Display for Portion {
    /// As [`Portion::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pods(pods) => write!(f, "{pods}"),
            Self::PerMille(share) if share % 10 == 0 => write!(f, "{}%", share / 10),
            Self::PerMille(share) => write!(f, "{}.{}%", share / 10, share % 10),
        }
    }
}

/// What a workload asks of all its pods together. Pods count together where they are equal in this.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadRules {
    /// `Deployment shop/cart`.
    pub workload: String,
    /// How many of its pods are not to depend on Spot.
    pub on_demand_floor: Option<Portion>,
    /// How many of its pods may be in one Spot pool.
    pub max_spot_pool_share: Option<Portion>,
}

impl WorkloadRules {
    /// How many of its `pods`, those that run and those that wait, may be on Spot: none where none may be in any pool.
    #[must_use]
    pub fn most_on_spot(&self, pods: u32) -> Option<u32> {
        let none = self.max_spot_pool_share.filter(|share| share.of(pods) == 0).map(|_| 0);
        let above_floor = self.on_demand_floor.map(|floor| pods - floor.of(pods));
        none.or(above_floor)
    }

    /// How many of its `pods`, those that run and those that wait, may be in one Spot pool.
    #[must_use]
    pub fn most_in_spot_pool(&self, pods: u32) -> Option<u32> {
        self.max_spot_pool_share.map(|share| share.of(pods))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_are_read_as_they_are_written() {
        for (text, portion) in [
            ("0", Portion::Pods(0)),
            ("3", Portion::Pods(3)),
            ("30%", Portion::PerMille(300)),
            ("12.5%", Portion::PerMille(125)),
            ("100%", Portion::PerMille(1_000)),
        ] {
            assert_eq!(Portion::parse(text), Some(portion));
            assert_eq!(portion.to_string(), text);
        }
        for text in ["", "%", "-1", "101%", "1.25%", "1.%", ".5%", "a", "0.3", "+5%", "99999999999%"] {
            assert_eq!(Portion::parse(text), None, "{text}");
        }
    }

    #[test]
    fn portions_round_up() {
        let rules = |floor, share| WorkloadRules {
            workload: "Deployment shop/cart".to_owned(),
            on_demand_floor: Some(floor),
            max_spot_pool_share: Some(share),
        };
        let both = rules(Portion::PerMille(300), Portion::PerMille(250));
        assert_eq!([0, 1, 5, 10].map(|pods| both.most_on_spot(pods)), [Some(0), Some(0), Some(3), Some(7)]);
        assert_eq!([0, 1, 5, 10].map(|pods| both.most_in_spot_pool(pods)), [Some(0), Some(1), Some(2), Some(3)]);
        let counts = rules(Portion::Pods(4), Portion::Pods(4));
        assert_eq!([3, 9].map(|pods| counts.most_on_spot(pods)), [Some(0), Some(5)]);
        assert_eq!([3, 9].map(|pods| counts.most_in_spot_pool(pods)), [Some(3), Some(4)]);
    }
}
