//! What keeps a pod from a node that could be bought: the constraints, and which of them rule out which offering.
//!
//! Labels are tested like in `demand`, against whole sets of types; that both agree is checked by tests: a pod is kept out by no
//! constraint exactly where its scope lets it in and its requests fit.

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;

use crate::domain::labels;
use crate::domain::pod::PodSpec;
use crate::domain::requirement::{Requirement, Requirements};
use crate::domain::taint::{Effect, Taint};
use crate::planning::market::is_offering_label;
use crate::planning::min_values::Cover;
use crate::planning::supply::{Supply, Template};

/// One thing that keeps a pod away. The order is the preference between equally short answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Obstacle {
    /// A nodeSelector entry or an affinity expression.
    Label { key: String, requirement: Requirement },
    /// A request that is larger than the room.
    Resource { name: String },
    /// A hard taint.
    Taint(Taint),
    /// A limit of a NodePool (index into the supply's NodePools) that such a node would break.
    Limit { node_pool: usize, resource: String },
    /// Too few distinct values among the offerings that would hold the pod.
    MinValues { node_pool: usize, key: String },
    /// The NodePool's own requirements leave nothing to buy.
    NothingSold { node_pool: usize },
}

/// Where in the supply: `(template, offer)`; no offer for a template without any.
pub(super) type Place = (usize, Option<usize>);

/// What of a NodePool's limits counts: `left(node_pool, resource, limit)` is what one more node may take.
pub(super) type LimitLeft<'a> = &'a dyn Fn(usize, &str, i64) -> i64;

/// Everything that could have held a pod, by what rules it out.
pub(super) struct Ruling {
    /// Obstacles, sorted.
    pub(super) obstacles: Vec<Obstacle>,
    /// Sets of obstacles (ascending) and the places that exactly they rule out.
    pub(super) places: BTreeMap<Vec<usize>, Vec<Place>>,
}

/// What rules out an offer: labels of its type, labels of its cell, and what is too small.
type Kind<'a> = (Vec<usize>, Vec<usize>, &'a [Obstacle]);

/// What rules out each place for a pod of `spec`. A place counts once per alternative of the pod.
pub(super) fn ruling(supply: &Supply, spec: &PodSpec, left: LimitLeft<'_>) -> Ruling {
    let mut found: BTreeMap<BTreeSet<Obstacle>, Vec<Place>> = BTreeMap::new();
    let bought = supply.templates.iter().enumerate().filter(|(_, template)| template.standing.is_none());
    for (number, template) in bought {
        let common: BTreeSet<Obstacle> = untolerated(template, spec).map(|taint| Obstacle::Taint(taint.clone())).collect();
        if template.offers.is_empty() {
            let mut obstacles = common;
            obstacles.insert(Obstacle::NothingSold { node_pool: template.node_pool });
            found.entry(obstacles).or_default().push((number, None));
            continue;
        }
        let by_size: Vec<Vec<Obstacle>> =
            (0..template.types.len()).map(|of_type| size_obstacles(template, of_type, spec, left)).collect();
        let mut free = Vec::new();
        for alternative in &spec.node_alternatives {
            let labels = LabelObstacles::new(template, alternative);
            // Few combinations occur among the thousands of offers.
            let mut known: BTreeMap<Kind<'_>, Vec<usize>> = BTreeMap::new();
            for (offer, sold) in template.offers.iter().enumerate() {
                let by_type = labels.of_type(template.types[sold.of_type].in_market);
                let key = (by_type, labels.of_cell(sold.cell), by_size[sold.of_type].as_slice());
                known.entry(key).or_default().push(offer);
            }
            for ((by_type, by_cell, by_size), offers) in known {
                let mut obstacles = common.clone();
                obstacles.extend(by_type.iter().chain(&by_cell).map(|&label| labels.obstacle(label)));
                obstacles.extend(by_size.iter().cloned());
                if obstacles.is_empty() {
                    free.extend(offers);
                } else {
                    found.entry(obstacles).or_default().extend(offers.into_iter().map(|offer| (number, Some(offer))));
                }
            }
        }
        let lacking = too_few_values(template, &free);
        let obstacles = lacking.map(|key| Obstacle::MinValues { node_pool: template.node_pool, key: key.to_owned() });
        if !free.is_empty() {
            let places = found.entry(obstacles.into_iter().collect()).or_default();
            places.extend(free.into_iter().map(|offer| (number, Some(offer))));
        }
    }
    number_obstacles(found)
}

fn number_obstacles(found: BTreeMap<BTreeSet<Obstacle>, Vec<Place>>) -> Ruling {
    let sorted: BTreeSet<Obstacle> = found.keys().flatten().cloned().collect();
    let obstacles: Vec<Obstacle> = sorted.into_iter().collect();
    let number = |obstacle: &Obstacle| obstacles.partition_point(|other| other < obstacle);
    let places = found.into_iter().map(|(set, places)| (set.iter().map(number).collect(), places)).collect();
    Ruling { obstacles, places }
}

/// The labels, taints and alternatives that keep `spec` from `offer`, whatever its size: those of the alternative that comes
/// nearest. Empty when the pod may go there.
pub(super) fn kept_from(template: &Template, offer: usize, spec: &PodSpec) -> Vec<Obstacle> {
    let sold = &template.offers[offer];
    let taints = untolerated(template, spec).map(|taint| Obstacle::Taint(taint.clone()));
    let of_alternative = |alternative| {
        let labels = LabelObstacles::new(template, alternative);
        let mut found = labels.of_type(template.types[sold.of_type].in_market);
        found.extend(labels.of_cell(sold.cell));
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|label| labels.obstacle(label)).collect::<Vec<Obstacle>>()
    };
    let nearest = spec.node_alternatives.iter().map(of_alternative).min_by_key(Vec::len).unwrap_or_default();
    taints.chain(nearest).collect()
}

fn untolerated<'a>(template: &'a Template, spec: &'a PodSpec) -> impl Iterator<Item = &'a Taint> {
    template.taints.iter().filter(|taint| {
        taint.effect != Effect::PreferNoSchedule && !spec.tolerations.iter().any(|toleration| toleration.tolerates(taint))
    })
}

/// Requests that do not fit on `of_type`, and limits that do not admit it.
fn size_obstacles(template: &Template, of_type: usize, spec: &PodSpec, left: LimitLeft<'_>) -> Vec<Obstacle> {
    let room = &template.types[of_type].room.for_pods;
    let mut found: Vec<Obstacle> = Vec::new();
    let asked = spec.requests.iter().filter(|(name, amount)| *amount > room.get(name.as_str()));
    found.extend(asked.map(|(name, _)| Obstacle::Resource { name: name.as_str().to_owned() }));
    let overfull = room.iter().filter(|(name, amount)| *amount < 0 && spec.requests.get(name.as_str()) == 0);
    found.extend(overfull.map(|(name, _)| Obstacle::Resource { name: name.as_str().to_owned() }));
    let limits = template
        .limits
        .iter()
        .filter(|(resource, limit)| template.limit_usage(of_type, resource) > left(template.node_pool, resource, **limit));
    found.extend(limits.map(|(resource, _)| Obstacle::Limit { node_pool: template.node_pool, resource: resource.clone() }));
    found
}

/// The label whose `minValues` the offers do not cover.
fn too_few_values<'a>(template: &'a Template, offers: &[usize]) -> Option<&'a str> {
    let mut cover = Cover::new(template);
    for &offer in offers {
        cover.add(offer);
    }
    cover.lacking().map(|(key, _, _)| key)
}

/// The requirements of one alternative against one template.
struct LabelObstacles<'a> {
    wanted: Vec<(&'a str, &'a Requirement)>,
    /// Per requirement that types decide: the types that meet it; `None` for one that cells decide.
    types: Vec<Option<FixedBitSet>>,
    template: &'a Template,
}

impl<'a> LabelObstacles<'a> {
    fn new(template: &'a Template, alternative: &'a Requirements) -> Self {
        let wanted: Vec<(&str, &Requirement)> = alternative.iter().collect();
        let types = wanted.iter().map(|&(key, requirement)| {
            if is_offering_label(key) {
                return None;
            }
            let mut types = template.market.types_with(key, requirement);
            let met = match template.requirements.get(key) {
                Some(here) => here.intersects(requirement),
                None => labels::is_well_known(key) || requirement.accepts_absence(),
            };
            if !met {
                types.clear();
            }
            Some(types)
        });
        Self { types: types.collect(), wanted, template }
    }

    fn of_type(&self, in_market: usize) -> Vec<usize> {
        let missed = |types: &Option<FixedBitSet>| types.as_ref().is_some_and(|types| !types.contains(in_market));
        (0..self.wanted.len()).filter(|&label| missed(&self.types[label])).collect()
    }

    fn of_cell(&self, cell: usize) -> Vec<usize> {
        let cell = &self.template.market.cells[cell];
        let missed = |&label: &usize| {
            let (key, requirement) = self.wanted[label];
            is_offering_label(key) && !cell.satisfies(key, requirement)
        };
        (0..self.wanted.len()).filter(missed).collect()
    }

    fn obstacle(&self, label: usize) -> Obstacle {
        let (key, requirement) = self.wanted[label];
        Obstacle::Label { key: key.to_owned(), requirement: requirement.clone() }
    }
}
