//! `minValues`: the offerings that a node could be bought as must cover so many distinct values of a label.
//!
//! The rule is not linear: how much room a node has depends on which other types are to hold its pods as well. Here each type is
//! given a *support*: a set of offerings, its own among them, that covers the values and costs as little room as possible (larger
//! types cost none). A pattern for the type may use the component-wise minimum of the support's rooms; the lower bound assumes
//! the type's own room, which no choice of support exceeds.
//!
//! A support must also be open to every pod on the node. Pods of different scopes may share a node only if the offerings open to
//! all of them cover the values; the maximal sets of such scopes are enumerated.
//!
//! Values are counted as Karpenter counts them (core v1.15.0, `pkg/cloudprovider/types.go`, `SatisfiesMinValues`, policy
//! `Strict`): those that the NodePool's requirement allows, over the offerings that are left. A label that no type has covers
//! nothing.

use std::collections::BTreeSet;

use fixedbitset::FixedBitSet;

use crate::planning::candidates::MOST_CANDIDATES;
use crate::planning::market::is_offering_label;
use crate::planning::supply::Template;

/// Sets of scopes that are looked at per set of scopes on one offer. Beyond it, pods that could share a node may not; it takes
/// a dozen kinds of pods that pin different types under one `minValues` to get there.
const MOST_SETS: usize = 512;

/// The values that are still missing while offerings are chosen.
#[derive(Clone)]
pub(super) struct Cover<'a> {
    template: &'a Template,
    found: Vec<BTreeSet<&'a str>>,
}

impl<'a> Cover<'a> {
    pub(super) fn new(template: &'a Template) -> Self {
        Self { template, found: vec![BTreeSet::new(); template.min_values.len()] }
    }

    /// Adds `offer`; whether it brought a value that was missing.
    pub(super) fn add(&mut self, offer: usize) -> bool {
        let mut helped = false;
        for ((key, wanted), found) in self.template.min_values.iter().zip(&mut self.found) {
            let complete = found.len() >= *wanted as usize;
            for value in values(self.template, offer, key) {
                helped |= found.insert(value) && !complete;
            }
        }
        helped
    }

    /// Whether enough values are covered.
    pub(super) fn is_complete(&self) -> bool {
        self.template.min_values.iter().zip(&self.found).all(|((_, wanted), found)| found.len() >= *wanted as usize)
    }

    /// Adds what `other`, of the same template, covers.
    pub(super) fn absorb(&mut self, other: &Self) {
        for (found, more) in self.found.iter_mut().zip(&other.found) {
            found.extend(more);
        }
    }

    /// How many values are covered, by position in the template's `min_values`.
    pub(super) fn counts(&self) -> impl Iterator<Item = usize> {
        self.found.iter().map(BTreeSet::len)
    }
}

/// The values of `key` that `offer` stands for, as far as the template allows them.
fn values<'a>(template: &'a Template, offer: usize, key: &'a str) -> Vec<&'a str> {
    let found: Vec<&str> = if is_offering_label(key) {
        template.cell(offer).value(key).into_iter().collect()
    } else {
        let of_type = &template.market.types[template.types[template.offers[offer].of_type].in_market];
        let finite = of_type.requirements.get(key).and_then(|requirement| requirement.finite());
        finite.into_iter().flatten().map(String::as_str).collect()
    };
    let allowed = |value: &&str| template.requirements.get(key).is_none_or(|requirement| requirement.has(value));
    found.into_iter().filter(allowed).collect()
}

/// The maximal subsets of `scopes` whose pods could be on one node; `open` says which offers a scope may use.
pub(super) fn shareable<'a>(
    template: &'a Template,
    scopes: &FixedBitSet,
    open: &dyn Fn(usize) -> Option<&'a FixedBitSet>,
) -> Vec<FixedBitSet> {
    let mut seen: BTreeSet<Vec<usize>> = BTreeSet::new();
    let mut waiting = vec![scopes.clone()];
    let mut made: Vec<FixedBitSet> = Vec::new();
    while let Some(set) = waiting.pop() {
        let members: Vec<usize> = set.ones().collect();
        if members.is_empty() || seen.len() >= MOST_SETS || !seen.insert(members.clone()) {
            continue;
        }
        if made.iter().any(|larger| set.is_subset(larger)) {
            continue;
        }
        let mut cover = Cover::new(template);
        for offer in usable(template, &common(template, &set, open)) {
            cover.add(offer);
        }
        if cover.is_complete() {
            made.retain(|smaller| !smaller.is_subset(&set));
            made.push(set);
        } else {
            waiting.extend(members.iter().rev().map(|&scope| {
                let mut smaller = set.clone();
                smaller.set(scope, false);
                smaller
            }));
        }
    }
    made
}

/// The offers that all of `scopes` may use.
pub(super) fn common<'a>(
    template: &'a Template,
    scopes: &FixedBitSet,
    open: &dyn Fn(usize) -> Option<&'a FixedBitSet>,
) -> FixedBitSet {
    let mut offers = crate::planning::market::all(template.offers.len());
    for scope in scopes.ones() {
        match open(scope) {
            Some(set) => offers.intersect_with(set),
            None => offers.clear(),
        }
    }
    offers
}

fn usable(template: &Template, offers: &FixedBitSet) -> impl Iterator<Item = usize> {
    offers.ones().filter(|&offer| template.types[template.offers[offer].of_type].is_usable())
}

/// Per type with an offer in `offers`: the room that is left when a support is kept. `rooms[type]` are the types' own.
///
/// `None` for a type that has no offer there or no support small enough for one launch request.
pub(super) fn supported_rooms(template: &Template, offers: &FixedBitSet, rooms: &[Vec<i64>]) -> Vec<Option<Vec<i64>>> {
    let mut cheapest: Vec<usize> = usable(template, offers).collect();
    cheapest.sort_by_key(|&offer| (template.offers[offer].expected(), offer));
    // Of the offers of one type that stand for the same values, the cheapest is enough.
    let mut known = BTreeSet::new();
    cheapest.retain(|&offer| {
        let stands_for: Vec<_> = template.min_values.iter().map(|(key, _)| values(template, offer, key)).collect();
        known.insert((template.offers[offer].of_type, stands_for))
    });
    let mut own = vec![None; template.types.len()];
    for &offer in &cheapest {
        own[template.offers[offer].of_type].get_or_insert(offer);
    }
    own.into_iter().enumerate().map(|(of_type, own)| supported_room(template, &cheapest, rooms, of_type, own?)).collect()
}

fn supported_room(template: &Template, cheapest: &[usize], rooms: &[Vec<i64>], of_type: usize, own: usize) -> Option<Vec<i64>> {
    let mut cover = Cover::new(template);
    cover.add(own);
    let mut room = rooms[of_type].clone();
    let mut size = 1;
    let larger = |offer: &usize| loss(&rooms[of_type], &rooms[template.offers[*offer].of_type]) == 0;
    for &offer in cheapest.iter().filter(|offer| larger(offer)) {
        if cover.is_complete() {
            break;
        }
        size += usize::from(cover.add(offer));
    }
    if !cover.is_complete() {
        let mut nearest: Vec<(i64, usize)> =
            cheapest.iter().map(|&offer| (loss(&rooms[of_type], &rooms[template.offers[offer].of_type]), offer)).collect();
        nearest.sort_by_key(|&(loss, _)| loss);
        for (_, offer) in nearest {
            if cover.is_complete() {
                break;
            }
            if cover.add(offer) {
                size += 1;
                for (left, other) in room.iter_mut().zip(&rooms[template.offers[offer].of_type]) {
                    *left = (*left).min(*other);
                }
            }
        }
    }
    // One more for the offering that is bought, when it is not the type's cheapest.
    (cover.is_complete() && size < MOST_CANDIDATES).then_some(room)
}

/// The largest share of a resource of `room` that `other` lacks, in millionths.
fn loss(room: &[i64], other: &[i64]) -> i64 {
    let share = |(have, others): (&i64, &i64)| {
        let lost = i128::from((have - others).max(0)) * 1_000_000 / i128::from((*have).max(1));
        i64::try_from(lost).unwrap_or(i64::MAX)
    };
    room.iter().zip(other).map(share).max().unwrap_or(0)
}
