//! Which offerings hold a node's pods, and which of them go into its launch request.
//!
//! A node is worth the cheapest offering of its template that holds its pods and DaemonSets and is open to every pod on it; the
//! next ones, up to a price tolerance, keep one launch request alive through a stock-out.

use fixedbitset::FixedBitSet;
use rustc_hash::FxHashMap;

use crate::domain::money::UsdPerHour;
use crate::planning::demand::{Demand, amounts};
use crate::planning::min_values::Cover;
use crate::planning::program::fits;
use crate::planning::supply::{Supply, Template};

/// Offerings of one node at most: what the AWS provider sends in one CreateFleet call (v1.15.1, `MaxInstanceTypes`).
pub const MOST_CANDIDATES: usize = 60;

/// How much dearer than the chosen offering's instance a candidate may be, both with interruptions, in percent of it. More, and a
/// stock-out may cost what the plan saved; less, and there is nothing left to fall back on. `minValues` may force dearer ones.
pub const PRICE_TOLERANCE_PERCENT: i64 = 20;

/// What a node has to hold: the template, the scopes of its pods (ascending, each once) and their requests by dimension.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Load {
    pub(super) template: usize,
    pub(super) scopes: Vec<usize>,
    pub(super) total: Vec<i64>,
}

/// Answers which offers hold a load.
pub(super) struct Holders<'a> {
    supply: &'a Supply,
    demand: &'a Demand,
    by_cost: Vec<Vec<usize>>,
    rooms: Vec<Vec<Vec<i64>>>,
    open: FxHashMap<(usize, Vec<usize>), FixedBitSet>,
}

impl<'a> Holders<'a> {
    pub(super) fn new(supply: &'a Supply, demand: &'a Demand) -> Self {
        let by_cost = |template: &Template| {
            let mut offers: Vec<usize> = (0..template.offers.len()).collect();
            offers.sort_by_key(|&offer| (template.offers[offer].expected(), offer));
            offers
        };
        let rooms = |template: &Template| {
            template.types.iter().map(|t| amounts(&t.room.for_pods, &demand.dimensions)).collect::<Vec<_>>()
        };
        Self {
            supply,
            demand,
            by_cost: supply.templates.iter().map(by_cost).collect(),
            rooms: supply.templates.iter().map(rooms).collect(),
            open: FxHashMap::default(),
        }
    }

    /// What could be bought.
    pub(super) fn supply(&self) -> &'a Supply {
        self.supply
    }

    /// What is to be placed.
    pub(super) fn demand(&self) -> &'a Demand {
        self.demand
    }

    /// The load of `counts`, pairs of a class of the demand and how many pods of it, on a node like `offer`: pods that the offer's
    /// domains matter to stay in them.
    pub(super) fn load(&self, template: usize, offer: usize, counts: impl Iterator<Item = (usize, u32)>) -> Load {
        let mut scopes = Vec::new();
        let mut total = vec![0_i64; self.demand.dimensions.len()];
        for (class, count) in counts {
            scopes.push(self.demand.scope_at(class, template, offer));
            let class = &self.demand.classes[class];
            for (sum, amount) in total.iter_mut().zip(&class.request) {
                *sum = sum.saturating_add(amount.saturating_mul(i64::from(count)));
            }
        }
        scopes.sort_unstable();
        scopes.dedup();
        Load { template, scopes, total }
    }

    /// The offers of the load's template that hold it, cheapest first, then by type name, zone and capacity type.
    pub(super) fn of(&mut self, load: &Load) -> impl Iterator<Item = usize> + use<'_, 'a> {
        let (demand, template) = (self.demand, &self.supply.templates[load.template]);
        let open = self.open.entry((load.template, load.scopes.clone())).or_insert_with(|| {
            let mut open = crate::planning::market::all(template.offers.len());
            for &scope in &load.scopes {
                match &demand.scopes[scope].offers[load.template] {
                    Some(offers) => open.intersect_with(offers),
                    None => open.clear(),
                }
            }
            open
        });
        let holding: Vec<bool> = (template.types.iter().zip(&self.rooms[load.template]))
            .map(|(t, room)| t.is_usable() && fits(&load.total, room))
            .collect();
        let offers = self.by_cost[load.template].iter().copied();
        offers.filter(move |&offer| open.contains(offer) && holding[template.offers[offer].of_type])
    }

    /// The offer to buy for `load` in place of `chosen`: the cheapest that holds it and takes no more of any limit.
    pub(super) fn right_size(&mut self, load: &Load, chosen: usize) -> usize {
        let template = &self.supply.templates[load.template];
        let no_more =
            |offer: usize| template.rows_of(offer).all(|row| template.taken(&row, offer) <= template.taken(&row, chosen));
        self.of(load).find(|&offer| no_more(offer)).unwrap_or(chosen)
    }

    /// The offers of a launch request for `load`: `chosen`, then dearer ones, cheapest first. Those within the price tolerance,
    /// and as many more as `minValues` needs; `admits(offer)` says whether the limits leave room for one in place of the chosen. A
    /// node in a reservation is there already, so it has no stand-in.
    pub(super) fn candidates(&mut self, load: &Load, chosen: usize, admits: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let template = &self.supply.templates[load.template];
        if template.reservation(chosen).is_some() {
            return vec![chosen];
        }
        let price = template.offers[chosen].expected();
        let dearest = tolerated(price);
        let mut cover = Cover::new(template);
        cover.add(chosen);
        let mut needed = vec![chosen];
        let mut near = Vec::new();
        for offer in self.of(load) {
            let at = template.offers[offer].expected();
            if cover.is_complete() && (at > dearest || needed.len() + near.len() >= MOST_CANDIDATES) {
                break;
            }
            if offer == chosen || template.reservation(offer).is_some() {
                continue;
            }
            // What is cheaper than the chosen one breaks a limit: it is there only where `minValues` needs it.
            if !cover.is_complete() && cover.add(offer) {
                needed.push(offer);
            } else if at >= price && at <= dearest && admits(offer) {
                near.push(offer);
            }
        }
        near.truncate(MOST_CANDIDATES.saturating_sub(needed.len()));
        needed.extend(near);
        needed[1..].sort_by_key(|&offer| (template.offers[offer].expected(), offer));
        needed
    }
}

/// The dearest price that may stand in for `price`.
fn tolerated(price: UsdPerHour) -> UsdPerHour {
    let extra = i128::from(price.micros()) * i128::from(PRICE_TOLERANCE_PERCENT) / 100;
    UsdPerHour::from_micros(price.micros().saturating_add(i64::try_from(extra).unwrap_or(i64::MAX)))
}
