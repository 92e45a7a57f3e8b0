//! Which subnet of a zone the next instance goes to: the one with the most free addresses, those counted that launches on their way take.
//!
//! Rules of the AWS provider of Karpenter v1.15.1 (`pkg/providers/subnet`). What EC2 says of free addresses is old at once, so launches
//! take theirs off here until EC2 is asked again; that never blocks a launch.

use std::collections::BTreeMap;

use crate::adapters::kube::crd::SubnetStatus;

/// Free addresses of a subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    /// As EC2 said.
    said: i64,
    /// Less those of launches since; may fall below 0.
    left: i64,
}

/// Free addresses of the subnets by their ids.
#[derive(Clone, Debug, Default)]
pub(super) struct SubnetLedger {
    counts: BTreeMap<String, Count>,
}

/// A subnet that was chosen, and what was taken off it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// `subnet-...`.
    pub(super) id: String,
    /// Zone id, where the status of the NodeClass has it.
    pub(super) zone_id: Option<String>,
    taken: i64,
    /// What EC2 had said.
    said: i64,
}

impl SubnetLedger {
    /// EC2 says how many addresses are free now.
    pub(super) fn refresh(&mut self, free: &BTreeMap<String, i64>) {
        for (id, &said) in free {
            self.counts.insert(id.clone(), Count { said, left: said });
        }
    }

    /// For each zone of `pods` the subnet with the most free addresses, of two alike the earlier one. Takes off it as many as pods need
    /// there at least, which is what `pods` says.
    pub(super) fn choose(&mut self, subnets: &[SubnetStatus], pods: &BTreeMap<String, i64>) -> BTreeMap<String, Chosen> {
        let mut chosen = BTreeMap::new();
        for (zone, &taken) in pods {
            let mut best: Option<(i64, &SubnetStatus)> = None;
            for subnet in subnets.iter().filter(|subnet| subnet.zone == *zone) {
                let left = self.counts.get(&subnet.id).map_or(0, |count| count.left);
                if best.is_none_or(|(most, _)| left > most) {
                    best = Some((left, subnet));
                }
            }
            let Some((_, subnet)) = best else { continue };
            let count = self.counts.entry(subnet.id.clone()).or_insert(Count { said: 0, left: 0 });
            count.left -= taken;
            let made = Chosen { id: subnet.id.clone(), zone_id: subnet.zone_id.clone(), taken, said: count.said };
            chosen.insert(zone.clone(), made);
        }
        chosen
    }

    /// The launch took no address there after all. Nothing to give back where EC2 was asked meanwhile and said something else.
    pub(super) fn give_back(&mut self, chosen: &Chosen) {
        if let Some(count) = self.counts.get_mut(&chosen.id).filter(|count| count.said == chosen.said) {
            count.left = (count.left + chosen.taken).min(count.said);
        }
    }

    /// EC2 has no address left there.
    pub(super) fn is_full(&mut self, id: &str) {
        self.counts.insert(id.to_owned(), Count { said: 0, left: 0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnets(given: &[(&str, &str)]) -> Vec<SubnetStatus> {
        let make = |&(id, zone): &(&str, &str)| SubnetStatus { id: id.to_owned(), zone: zone.to_owned(), zone_id: None };
        given.iter().map(make).collect()
    }

    fn counts(given: &[(&str, i64)]) -> BTreeMap<String, i64> {
        given.iter().map(|&(id, count)| (id.to_owned(), count)).collect()
    }

    #[test]
    fn launches_go_where_most_addresses_are_left() {
        let mut ledger = SubnetLedger::default();
        let all = subnets(&[("s1", "a"), ("s2", "a"), ("s3", "b")]);
        ledger.refresh(&counts(&[("s1", 50), ("s2", 40), ("s3", 8)]));
        let pods = counts(&[("a", 29), ("b", 29), ("c", 29)]);
        let mut next = || {
            let chosen = ledger.choose(&all, &pods);
            chosen.iter().map(|(zone, of)| format!("{zone}={}", of.id)).collect::<Vec<_>>()
        };
        // s1 has 21 left, then s2 has 11, then s1 again; s3 is the only one in its zone, whatever is left there.
        assert_eq!(next(), ["a=s1", "b=s3"]);
        assert_eq!(next(), ["a=s2", "b=s3"]);
        assert_eq!(next(), ["a=s1", "b=s3"]);
    }

    #[test]
    fn addresses_come_back_unless_ec2_was_asked_meanwhile() {
        let mut ledger = SubnetLedger::default();
        let all = subnets(&[("s1", "a"), ("s2", "a")]);
        ledger.refresh(&counts(&[("s1", 50), ("s2", 40)]));
        let pods = counts(&[("a", 29)]);
        let chosen = ledger.choose(&all, &pods)["a"].clone();
        ledger.give_back(&chosen);
        assert_eq!(ledger.choose(&all, &pods)["a"].id, "s1");
        ledger.refresh(&counts(&[("s1", 45)]));
        ledger.give_back(&chosen);
        assert_eq!(ledger.counts["s1"], Count { said: 45, left: 45 });
        ledger.is_full("s1");
        assert_eq!(ledger.choose(&all, &pods)["a"].id, "s2");
    }

    #[test]
    fn of_subnets_that_nobody_counted_the_first_is_taken() {
        let mut ledger = SubnetLedger::default();
        let chosen = ledger.choose(&subnets(&[("s2", "a"), ("s1", "a")]), &counts(&[("a", 10)]));
        assert_eq!(chosen["a"].id, "s2");
    }
}
