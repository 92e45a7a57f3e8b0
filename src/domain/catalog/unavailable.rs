//! Offerings that EC2 could not deliver lately: how long a failure counts, what it says about other offerings, and the catalog without
//! them.
//!
//! EC2 does not say what it has; a launch that fails is the only observation. How long the lack lasts is not known, not even its order of
//! magnitude, so its length has the prior that favours no scale (Jeffreys: the probability of a length `t` is in proportion to `1 / t`).
//! Under that prior, a lack that was seen over an *age* `a` still holds `x` later with the belief
//!
//! ```text
//! a / (a + x)        half at x = a, a quarter at x = 3 a
//! ```
//!
//! and three rules follow:
//!
//! - An offering is left alone while the belief is above a half: for as long again as the lack was seen to last. Failures that repeat
//!   therefore double the time, like an exponential back-off, and a burst of them within a second counts as one.
//! - A single failure has no age. It counts as [`FIRST_BLOCK`], the time that the AWS provider of Karpenter v1.15.1 leaves an offering
//!   alone after every failure (`pkg/cache/cache.go`).
//! - Below a quarter another lack is three times likelier than the same one: the next failure starts a new age.
//!
//! The age ends at [`LONGEST_BLOCK`]: what a cheap offering would save is worth a try that often. Moments are durations since one that
//! the caller chooses and keeps, such as the start of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::catalog::{CapacityType, Catalog};
use crate::domain::node_class::NodeClass;

/// For how long a single failure blocks.
pub const FIRST_BLOCK: Duration = Duration::from_mins(3);

/// For how long failures block at most, however many there were.
pub const LONGEST_BLOCK: Duration = Duration::from_mins(30);

/// An outage is forgotten when the belief in it is below a quarter: after this many times its age.
const MEMORY: u32 = 3;

/// What a failure was about. Each scope is believed in by itself: one that fails says nothing of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// A type in a zone, On-Demand or Spot: EC2 has none left, or takes them back.
    Offering {
        /// On-Demand or Spot.
        capacity_type: CapacityType,
        /// `m7i.large`.
        instance_type: String,
        /// Zone name.
        zone: String,
    },
    /// A capacity reservation, by its id. It is of one type in one zone, and the type stays to be had there On-Demand.
    Reservation(String),
    /// Everything that is paid for so: Spot, where the account may not create the role that Spot needs.
    CapacityType(CapacityType),
    /// A subnet without free addresses, by its id.
    Subnet(String),
}

/// A lack as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outage {
    first: Duration,
    last: Duration,
}

impl Outage {
    fn age(self) -> Duration {
        (self.last - self.first).clamp(FIRST_BLOCK, LONGEST_BLOCK)
    }

    /// Since the last failure.
    fn elapsed(self, now: Duration) -> Duration {
        now.saturating_sub(self.last)
    }

    fn belief(self, now: Duration) -> f64 {
        let age = self.age().as_secs_f64();
        age / (age + self.elapsed(now).as_secs_f64())
    }

    fn blocks(self, now: Duration) -> bool {
        self.elapsed(now) < self.age()
    }

    fn is_remembered(self, now: Duration) -> bool {
        self.elapsed(now) <= self.age() * MEMORY
    }
}

/// What failed lately, and how far it is still believed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnavailableOfferings {
    outages: BTreeMap<Scope, Outage>,
    /// As [`Self::view`] found it last.
    blocked: BTreeSet<Scope>,
    sequence: u64,
}

impl UnavailableOfferings {
    /// Nothing has failed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A launch failed at that moment for lack of what `scope` names, or EC2 took such an instance back. The same report twice is one; a
    /// report that comes late, after a newer one, changes nothing.
    pub fn failed(&mut self, scope: Scope, at: Duration) {
        let fresh = Outage { first: at, last: at };
        let outage = self.outages.entry(scope).or_insert(fresh);
        if outage.is_remembered(at) {
            outage.last = outage.last.max(at);
        } else {
            *outage = fresh;
        }
    }

    /// A launch succeeded at that moment with what `scope` names. An offering that was delivered shows that its capacity type can be had
    /// too. Failures that were seen later count.
    pub fn succeeded(&mut self, scope: &Scope, at: Duration) {
        let mut clear = |scope: &Scope| {
            if self.outages.get(scope).is_some_and(|outage| outage.last <= at) {
                self.outages.remove(scope);
            }
        };
        clear(scope);
        if let Scope::Offering { capacity_type, .. } = scope {
            clear(&Scope::CapacityType(*capacity_type));
        }
    }

    /// How far it is believed that `scope` is still unavailable: from 1 at the moment of a failure down, 0 for what did not fail lately.
    #[must_use]
    pub fn belief(&self, scope: &Scope, now: Duration) -> f64 {
        self.outages.get(scope).filter(|outage| outage.is_remembered(now)).map_or(0.0, |outage| outage.belief(now))
    }

    /// What is to be left alone now. Forgets what is no longer believed in.
    pub fn view(&mut self, now: Duration) -> Unavailable {
        self.outages.retain(|_, outage| outage.is_remembered(now));
        let blocking = self.outages.iter().filter(|(_, outage)| outage.blocks(now));
        let blocked: BTreeSet<Scope> = blocking.map(|(scope, _)| scope.clone()).collect();
        if blocked != self.blocked {
            self.sequence += 1;
            self.blocked = blocked;
        }
        Unavailable { sequence: self.sequence, scopes: self.blocked.clone() }
    }

    /// The next moment after `now` at which something that is blocked comes free, if nothing is reported meanwhile.
    #[must_use]
    pub fn next_release(&self, now: Duration) -> Option<Duration> {
        let blocking = self.outages.values().filter(|outage| outage.blocks(now));
        blocking.map(|outage| outage.last + outage.age()).min()
    }
}

/// Zones with the ids of a NodeClass's subnets in each.
pub type Subnets = BTreeMap<String, BTreeSet<String>>;

/// What is to be left alone at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    sequence: u64,
    scopes: BTreeSet<Scope>,
}

impl Unavailable {
    /// Goes up whenever the blocked scopes are others than at the look before: two views of equal number block the same.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What is blocked, sorted.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.iter()
    }

    /// `catalog` with every blocked offering marked as unavailable, so that no plan buys it. It stays listed because nodes that exist
    /// still cost what it costs, and because a reservation of the type in the zone can still be used.
    #[must_use]
    pub fn applied_to(&self, catalog: &Catalog) -> Catalog {
        let mut view = catalog.clone();
        for instance_type in &mut view.instance_types {
            for offering in &mut instance_type.offerings {
                let capacity_type = offering.capacity_type;
                let scope =
                    Scope::Offering { capacity_type, instance_type: instance_type.name.clone(), zone: offering.zone.clone() };
                let is_blocked =
                    self.scopes.contains(&scope) || self.scopes.contains(&Scope::CapacityType(offering.capacity_type));
                offering.available = offering.available && !is_blocked;
            }
        }
        view
    }

    /// `class` without the reservations that are blocked, and without the zones in which each of its subnets is. A zone of which no
    /// subnet is known stays.
    #[must_use]
    pub fn narrowed(&self, class: &NodeClass, subnets: &Subnets) -> NodeClass {
        let mut view = class.clone();
        let is_blocked = |id: &String| self.scopes.contains(&Scope::Reservation(id.clone()));
        let reserved_is_blocked = self.scopes.contains(&Scope::CapacityType(CapacityType::Reserved));
        view.capacity_reservations.retain(|reservation| !reserved_is_blocked && !is_blocked(&reservation.id));
        let is_full = |zone: &String| {
            let known = subnets.get(zone).filter(|known| !known.is_empty());
            known.is_some_and(|known| known.iter().all(|subnet| self.scopes.contains(&Scope::Subnet(subnet.clone()))))
        };
        if let Some(zones) = &mut view.zones {
            zones.retain(|zone, _| !is_full(zone));
        }
        view
    }
}

#[cfg(test)]
mod tests;
