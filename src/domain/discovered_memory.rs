//! How much memory nodes of an instance type really have, as they reported it once they were up.
//!
//! EC2 names the memory of a type; hypervisor, firmware and kernel keep an unknown part of it, which [`InstanceSettings`] can only
//! guess. The first node that comes up ends the guessing for every node after it that has the same type and the same image. As in the
//! AWS provider v1.15.1 (`pkg/controllers/providers/instancetype/capacity`): the smallest report counts, because a plan must hold on
//! every node, and a report is forgotten after [`MOST_DAYS`] days unless an equal one comes in. Karpenter keeps the table until it is
//! restarted; here it is kept in a file, with the day of each report.
//!
//! Days are handed in: nothing here knows what day it is.
//!
//! [`InstanceSettings`]: crate::domain::instance_settings::InstanceSettings

use std::collections::BTreeMap;

/// A report that is older counts no more: kernels and firmware change what they keep.
pub const MOST_DAYS: i64 = 60;

/// A day, as days since 1970-01-01 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i64);

/// What a node reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryReport {
    /// `status.capacity.memory`, in bytes; above 0.
    pub bytes: i64,
    /// When that was read last.
    pub day: Day,
}

impl MemoryReport {
    fn counts_on(self, today: Day) -> bool {
        today.0.saturating_sub(self.day.0) <= MOST_DAYS
    }
}

/// Reports by instance type and identity of the NodeClass's images ([`crate::domain::node_class::Images`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscoveredMemory(BTreeMap<String, BTreeMap<String, MemoryReport>>);

impl DiscoveredMemory {
    /// Memory in bytes of nodes of `instance_type` with these images, where one reported it.
    #[must_use]
    pub fn get(&self, instance_type: &str, images: &str) -> Option<i64> {
        Some(self.0.get(instance_type)?.get(images)?.bytes)
    }

    /// Takes in a report: it counts where none is known that still counts on its day, and where it is no larger. Whether it does.
    pub fn learn(&mut self, instance_type: &str, images: &str, report: MemoryReport) -> bool {
        let of_type = self.0.entry(instance_type.to_owned()).or_default();
        let known = of_type.get(images).copied().filter(|known| known.counts_on(report.day));
        let counts = known.is_none_or(|known| report.bytes <= known.bytes);
        if counts {
            of_type.insert(images.to_owned(), report);
        }
        counts
    }

    /// Forgets what does not count any more.
    pub fn forget_before(&mut self, today: Day) {
        self.0.values_mut().for_each(|of_type| of_type.retain(|_, report| report.counts_on(today)));
        self.0.retain(|_, of_type| !of_type.is_empty());
    }

    /// Instance types, images and reports, in this order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, MemoryReport)> {
        self.0.iter().flat_map(|(instance_type, of_type)| {
            of_type.iter().map(|(images, report)| (instance_type.as_str(), images.as_str(), *report))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(bytes: i64, day: i64) -> MemoryReport {
        MemoryReport { bytes, day: Day(day) }
    }

    #[test]
    fn the_smallest_report_of_a_type_and_its_images_counts() {
        let mut known = DiscoveredMemory::default();
        assert!(known.learn("m5.large", "a", report(7_900, 0)));
        assert!(!known.learn("m5.large", "a", report(8_000, 1)));
        assert_eq!(known.get("m5.large", "a"), Some(7_900));
        assert!(known.learn("m5.large", "a", report(7_800, 2)));
        assert_eq!(known.get("m5.large", "a"), Some(7_800));
        assert_eq!(known.get("m5.large", "b"), None);
        assert_eq!(known.get("m5.xlarge", "a"), None);
    }

    #[test]
    fn an_equal_report_makes_it_last_and_a_larger_one_does_not() {
        let mut known = DiscoveredMemory::default();
        known.learn("m5.large", "a", report(7_900, 0));
        known.learn("m5.large", "a", report(8_000, 50));
        known.forget_before(Day(MOST_DAYS));
        assert_eq!(known.get("m5.large", "a"), Some(7_900), "the last day");
        known.learn("m5.large", "a", report(7_900, MOST_DAYS));
        known.forget_before(Day(2 * MOST_DAYS));
        assert_eq!(known.get("m5.large", "a"), Some(7_900), "seen again on the last day");
        known.forget_before(Day(2 * MOST_DAYS + 1));
        assert_eq!(known, DiscoveredMemory::default());
    }

    #[test]
    fn what_does_not_count_any_more_stands_in_nobodys_way() {
        let mut known = DiscoveredMemory::default();
        known.learn("m5.large", "a", report(7_900, 0));
        assert!(known.learn("m5.large", "a", report(8_000, MOST_DAYS + 1)));
        assert_eq!(known.get("m5.large", "a"), Some(8_000));
    }
}
