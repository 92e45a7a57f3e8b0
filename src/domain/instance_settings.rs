//! What is known of instances beyond their types and NodeClasses: two settings of the operator, and what real nodes reported.
//!
//! The settings are options of Karpenter's AWS provider (v1.15.1, `pkg/operator/options`) under the same names and with the same
//! defaults, so that a plan made beside a Karpenter that has them set reckons with the same room.

use crate::domain::discovered_memory::DiscoveredMemory;

/// A share of memory in millionths: 75,000 is 7.5 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoryShare(i64);

impl MemoryShare {
    /// The share in millionths.
    #[must_use]
    pub const fn per_million(self) -> i64 {
        self.0
    }

    /// Parses a share such as `0.075`: at least 0 and below 1, no sign, no exponent, at most six decimals that are not zero.
    ///
    /// `None` for anything else. Karpenter takes larger shares too; nothing would be left of any instance.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let (kept, finer) = fraction.split_at_checked(6).unwrap_or((fraction, ""));
        let below_one = !(whole.is_empty() && fraction.is_empty()) && whole.bytes().all(|byte| byte == b'0');
        let exact = digits(fraction) && finer.bytes().all(|byte| byte == b'0');
        (below_one && exact).then(|| format!("{kept:0<6}").parse().ok().map(Self)).flatten()
    }
}

/// Settings of the operator, and the memory that nodes reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceSettings {
    /// Share of an instance's memory that hypervisor and firmware keep, so that it never reaches the node
    /// (`VM_MEMORY_OVERHEAD_PERCENT`). Smaller, and pods planned on a node may not fit when it comes up; larger, and memory that is
    /// paid for stays empty.
    pub vm_memory_overhead: MemoryShare,
    /// Network interfaces of every node that give no addresses to pods (`RESERVED_ENIS`), at least 0.
    pub reserved_enis: i64,
    /// Memory that nodes reported; takes the place of type and overhead.
    pub discovered_memory: DiscoveredMemory,
}

impl Default for InstanceSettings {
    /// Karpenter's defaults: 7.5 %, no interface reserved, nothing discovered.
    fn default() -> Self {
        Self { vm_memory_overhead: MemoryShare(75_000), reserved_enis: 0, discovered_memory: DiscoveredMemory::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_exact_and_below_one() {
        let cases = [
            ("0.075", Some(75_000)),
            ("0", Some(0)),
            (".05", Some(50_000)),
            ("0.", Some(0)),
            ("0.999999", Some(999_999)),
            ("0.0750000000", Some(75_000)),
            ("0.0000001", None),
            ("1", None),
            ("1.0", None),
            ("7.5", None),
            ("-0.1", None),
            ("7.5%", None),
            ("1e-2", None),
            ("NaN", None),
            ("0.0750é", None),
            (".", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(MemoryShare::parse(text).map(MemoryShare::per_million), expected, "{text:?}");
        }
    }
}
