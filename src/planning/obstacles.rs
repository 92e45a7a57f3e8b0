//! What keeps a pod from a node that could be bought or that stands already: the constraints, and which of them rule out which place.
//!
//! A *place* is a node of some offering, or a node that exists or is planned and has room; the room that others have taken there is not
//! up for discussion, so a node without it is no place. Each place has the set of obstacles that rule it out: drop all of them and the
//! pod may go there. Dropping a constraint means that it is ignored when the pod is put on a node; what it says elsewhere, such as
//! which zones a spread constraint looks at, is not read anew.
//!
//! Labels are tested like in `demand`, against whole sets of types; that both agree is checked by tests: a pod is kept out by no
//! constraint exactly where its scope lets it in and its requests fit.
//!
//! A new kind of constraint is a variant of [`Obstacle`], the places that it rules out (here, or as a [`Rule`] of `company`), and its
//! two sentences in `sentences`: what it rules out, and what it would take.

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;

use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::pod::PodSpec;
use crate::domain::requirement::{Requirement, Requirements};
use crate::domain::resources::{ResourceName, Resources};
use crate::domain::taint::{Effect, Taint};
use crate::domain::topology::HostPort;
use crate::domain::volume::PodVolume;
use crate::planning::company::{Company, NEW_NODE, Rule, Stage, Stand};
use crate::planning::demand::Scope;
use crate::planning::limits::Row;
use crate::planning::market::{Cell, is_offering_label};
use crate::planning::min_values::Cover;
use crate::planning::standing;
use crate::planning::supply::{Supply, Template, limit_usage};

/// One thing that keeps a pod away. The order is the preference between equally short answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Obstacle {
    /// A nodeSelector entry or an affinity expression.
    Label { key: String, requirement: Requirement },
    /// Where one of its volumes can be attached.
    Volume { name: String },
    /// A request that is larger than the room.
    Resource { name: String },
    /// A hard taint.
    Taint(Taint),
    /// A rule between pods, by its number in `company`: one of the pod's own, whoever has it as well, or one that only others have.
    Between { term: usize, own: bool },
    /// A port of the node that somebody takes.
    Port(HostPort),
    /// A limit of a NodePool (index into the supply's NodePools) that such a node would break.
    Limit { node_pool: usize, resource: String },
    /// A capacity reservation, by id, all of whose instances are taken.
    Reserved { id: String },
    /// The cap of the whole plan on the CPU in a Spot pool.
    SpotPool,
    /// Too few distinct values among the offerings that would hold the pod.
    MinValues { node_pool: usize, key: String },
    /// The NodePool's own requirements leave nothing to buy.
    NothingSold { node_pool: usize },
}

/// Where in the supply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Index into the supply's templates.
    pub(super) template: usize,
    /// Index into its offers; none for a template without any.
    pub(super) offer: Option<usize>,
    /// Index into the company's nodes, for one that stands already.
    pub(super) node: Option<usize>,
}

/// What of limits and reservations counts: what one more node may take.
pub(super) type LimitLeft<'a> = &'a dyn Fn(&Row) -> i64;

/// What a pod asks of a place.
pub(super) struct Asked<'a> {
    /// The pod.
    pub(super) spec: &'a PodSpec,
    /// What has to fit: its requests, or those of all the pods that have to share its node.
    pub(super) requests: &'a Resources,
    /// What pods who stand somewhere ask of it, and it of them.
    pub(super) rules: &'a [Rule],
    /// Offers that all the pods that have to share its node may use, and what rules out the others.
    pub(super) within: Option<(&'a Scope, Obstacle)>,
}

/// Everything that could have held a pod, by what rules it out.
#[derive(Default)]
pub(super) struct Ruling<'a> {
    /// Obstacles, sorted.
    pub(super) obstacles: Vec<Obstacle>,
    /// Sets of obstacles (ascending) and the places that exactly they rule out. Under a template with `minValues` it takes several
    /// open offers to make a place; see [`Self::possible`].
    pub(super) places: BTreeMap<Vec<usize>, Vec<Place>>,
    /// The sets whose places stand for themselves.
    pub(super) sufficient: BTreeSet<Vec<usize>>,
    covers: Vec<Covers<'a>>,
}

/// What the offers of a template with `minValues` cover, by what rules them out.
struct Covers<'a> {
    /// Per label the number that is wanted and the obstacle of having fewer.
    wanted: Vec<(usize, usize)>,
    sets: BTreeMap<Vec<usize>, Cover<'a>>,
}

impl Ruling<'_> {
    /// Whether some place would take the pod if the obstacles in `dropped` were none.
    pub(super) fn possible(&self, dropped: &FixedBitSet) -> bool {
        let open = |set: &[usize]| set.iter().all(|&obstacle| dropped.contains(obstacle));
        let covered = |covers: &Covers<'_>| {
            let mut all: Option<Cover<'_>> = None;
            for (_, cover) in covers.sets.iter().filter(|(set, _)| open(set)) {
                all.get_or_insert_with(|| cover.clone()).absorb(cover);
            }
            let enough = |(found, &(wanted, obstacle)): (usize, &(usize, usize))| found >= wanted || dropped.contains(obstacle);
            all.is_some_and(|cover| cover.counts().zip(&covers.wanted).all(enough))
        };
        self.sufficient.iter().any(|set| open(set)) || self.covers.iter().any(covered)
    }
}

/// A ruling in the making: obstacles are numbered as they come and sorted in the end.
struct Draft<'a> {
    supply: &'a Supply,
    numbers: BTreeMap<Obstacle, usize>,
    found: BTreeMap<Vec<usize>, Vec<Place>>,
    sufficient: BTreeSet<Vec<usize>>,
    /// Per template with `minValues`.
    covers: BTreeMap<usize, Covers<'a>>,
}

/// What rules out each place at `stage`, whichever of `asked` is met: alternatives to one another.
pub(super) fn ruling<'a>(
    supply: &'a Supply,
    company: &Company<'_>,
    asked: &[Asked<'_>],
    stage: Stage,
    left: LimitLeft<'_>,
) -> Ruling<'a> {
    let (numbers, found) = (BTreeMap::new(), BTreeMap::new());
    let mut draft = Draft { supply, numbers, found, sufficient: BTreeSet::new(), covers: BTreeMap::new() };
    let mut nodes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (number, node) in company.nodes.iter().enumerate().filter(|(_, node)| node.exists || stage == Stage::Now) {
        nodes.entry(node.template).or_default().push(number);
    }
    for asked in asked {
        let fits = |node: &Stand| asked.requests.iter().all(|(name, amount)| amount <= node.room(stage).get(name.as_str()));
        for (number, template) in supply.templates.iter().enumerate() {
            let here = nodes.get(&number).map_or(&[][..], Vec::as_slice);
            // What a launch request with `minValues` was made for stays as it is.
            let open = template.standing.is_some() || template.min_values.is_empty();
            let here: Vec<usize> = here.iter().copied().filter(|&node| open && fits(&company.nodes[node])).collect();
            draft.template(number, asked, company, &here, left);
        }
    }
    draft.finish()
}

impl<'a> Draft<'a> {
    fn number(&mut self, obstacle: Obstacle) -> usize {
        let next = self.numbers.len();
        *self.numbers.entry(obstacle).or_insert(next)
    }

    fn add(&mut self, parts: &[&[usize]], places: impl Iterator<Item = Place>) {
        let set: BTreeSet<usize> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let set: Vec<usize> = set.into_iter().collect();
        let mut places: Vec<Place> = places.collect();
        let template = places.first().map(|place| place.template);
        match template.and_then(|template| self.covers.get_mut(&template)) {
            Some(covers) => {
                let cover = covers.sets.entry(set.clone());
                let cover = cover.or_insert_with(|| Cover::new(&self.supply.templates[places[0].template]));
                for offer in places.iter().filter_map(|place| place.offer) {
                    cover.add(offer);
                }
            }
            None => {
                self.sufficient.insert(set.clone());
            }
        }
        self.found.entry(set).or_default().append(&mut places);
    }

    /// The places of one template: its offers, and those of its nodes that are `here`.
    fn template(&mut self, number: usize, asked: &Asked<'_>, company: &Company<'_>, here: &[usize], left: LimitLeft<'_>) {
        let supply = self.supply;
        let template = &supply.templates[number];
        let taints = untolerated(template, asked.spec).map(|taint| self.number(Obstacle::Taint(taint.clone())));
        let common: Vec<usize> = taints.collect();
        if template.standing.is_some() {
            return self.standing(number, template, asked, company, here, &common);
        }
        let place = |offer| Place { template: number, offer, node: None };
        if template.offers.is_empty() {
            let nothing = self.number(Obstacle::NothingSold { node_pool: template.node_pool });
            return self.add(&[&common, &[nothing]], [place(None)].into_iter());
        }
        self.begin_cover(number, template);
        let sizes: Vec<Vec<usize>> =
            (0..template.types.len()).map(|of_type| self.sizes(template, of_type, asked, left)).collect();
        let rules = Rules::new(self, template, asked.rules);
        let taken: Vec<Vec<usize>> = template.market.cells.iter().map(|cell| self.reserved(cell, left)).collect();
        let dear = self.too_dear(template, left);
        for wanted in Wanted::all(template, asked.spec) {
            let labels: Vec<usize> = wanted.labels.obstacles().map(|obstacle| self.number(obstacle)).collect();
            let volumes: Vec<usize> = wanted.volume_obstacles().map(|obstacle| self.number(obstacle)).collect();
            let by_type = |of_type: usize| wanted.of_type(template.types[of_type].in_market, &labels, &volumes);
            let by_cell = |cell: usize| wanted.of_cell(cell, &labels, &volumes);
            // Few combinations occur among the thousands of offers.
            let mut types = Distinct::default();
            let of_type: Vec<usize> = (0..template.types.len())
                .map(|of_type| types.number([by_type(of_type), sizes[of_type].clone(), rules.by_type[of_type].clone()].concat()))
                .collect();
            let mut cells = Distinct::default();
            let of_cell: Vec<usize> = (0..template.market.cells.len())
                .map(|cell| cells.number([by_cell(cell), rules.by_cell[cell].clone(), taken[cell].clone()].concat()))
                .collect();
            let capped = self.capped(template, left);
            let mut closed = Distinct::default();
            let mut known: BTreeMap<(usize, usize, usize, bool, bool), Vec<usize>> = BTreeMap::new();
            for (offer, sold) in template.offers.iter().enumerate() {
                let inside = asked.within.as_ref().is_none_or(|(scope, _)| reaches(scope, number, offer));
                let too_dear = dear.as_ref().is_some_and(|(_, offers)| offers.contains(offer));
                let mut of_offer = rules.by_offer.get(offer).cloned().unwrap_or_default();
                of_offer.extend(capped.iter().filter(|(_, offers)| offers.contains(offer)).map(|(number, _)| *number));
                let of_offer = closed.number(of_offer);
                let key = (of_type[sold.of_type], of_cell[sold.cell], of_offer, inside, too_dear);
                known.entry(key).or_default().push(offer);
            }
            let outside = asked.within.as_ref().map(|(_, obstacle)| self.number(obstacle.clone()));
            for ((of_type, of_cell, of_offer, inside, too_dear), offers) in known {
                let outside: Vec<usize> = outside.filter(|_| !inside).into_iter().collect();
                let dear: Vec<usize> = dear.iter().filter(|_| too_dear).map(|(number, _)| *number).collect();
                let of_offer = &closed.list[of_offer];
                let parts = [&common[..], &types.list[of_type], &cells.list[of_cell], of_offer, &rules.on_new, &outside, &dear];
                self.add(&parts, offers.into_iter().map(|offer| place(Some(offer))));
            }
            for &node in here {
                let offer = company.nodes[node].offer;
                let sold = &template.offers[offer];
                let rules = self.closed(asked.rules, company, node);
                let outside = outside.filter(|_| asked.within.as_ref().is_some_and(|(scope, _)| !reaches(scope, number, offer)));
                let outside: Vec<usize> = outside.into_iter().collect();
                let parts = [&common[..], &by_type(sold.of_type), &by_cell(sold.cell), &rules, &outside];
                self.add(&parts, [Place { template: number, offer: Some(offer), node: Some(node) }].into_iter());
            }
        }
    }

    /// The nodes of a template that exist; each is held to its labels.
    fn standing(
        &mut self,
        number: usize,
        template: &Template,
        asked: &Asked<'_>,
        company: &Company<'_>,
        here: &[usize],
        common: &[usize],
    ) {
        let Some(standing) = &template.standing else { return };
        let attached = |volume: &&PodVolume| {
            volume.places.is_empty() || volume.places.iter().any(|terms| standing::meets(&standing.labels, terms))
        };
        let detached = asked.spec.volumes.iter().filter(|volume| !attached(volume));
        let detached = detached.map(|volume| self.number(Obstacle::Volume { name: volume.name.clone() }));
        let mut kept: Vec<usize> = detached.collect();
        if let Some((_, obstacle)) = asked.within.as_ref().filter(|(scope, _)| !reaches(scope, number, 0)) {
            kept.push(self.number(obstacle.clone()));
        }
        for alternative in &asked.spec.node_alternatives {
            let missed = alternative.iter().filter(|(key, wanted)| match standing.labels.get(*key) {
                Some(value) => !wanted.has(value),
                None => !wanted.accepts_absence(),
            });
            let missed = missed.map(|(key, wanted)| Obstacle::Label { key: key.to_owned(), requirement: wanted.clone() });
            let missed: Vec<usize> = missed.map(|obstacle| self.number(obstacle)).collect();
            for &node in here {
                let rules = self.closed(asked.rules, company, node);
                let place = Place { template: number, offer: Some(0), node: Some(node) };
                self.add(&[common, &kept, &missed, &rules], [place].into_iter());
            }
        }
    }

    /// The rules that close a node that stands.
    fn closed(&mut self, rules: &[Rule], company: &Company<'_>, node: usize) -> Vec<usize> {
        let closes = |rule: &&Rule| rule.closes(company.domain(&rule.key, &company.nodes[node]).as_deref());
        rules.iter().filter(closes).map(|rule| self.number(rule.obstacle.clone())).collect()
    }

    fn begin_cover(&mut self, number: usize, template: &Template) {
        if template.min_values.is_empty() || self.covers.contains_key(&number) {
            return;
        }
        let node_pool = template.node_pool;
        let obstacle =
            |(key, wanted): &(String, u32)| (*wanted as usize, self.number(Obstacle::MinValues { node_pool, key: key.clone() }));
        let wanted = template.min_values.iter().map(obstacle).collect();
        self.covers.insert(number, Covers { wanted, sets: BTreeMap::new() });
    }

    /// Requests that do not fit on a new node of `of_type`, and limits that do not admit it.
    fn sizes(&mut self, template: &Template, of_type: usize, asked: &Asked<'_>, left: LimitLeft<'_>) -> Vec<usize> {
        let room = &template.types[of_type].room.for_pods;
        let too_large = asked.requests.iter().filter(|(name, amount)| *amount > room.get(name.as_str())).map(|(name, _)| name);
        let overfull = room.iter().filter(|(name, amount)| *amount < 0 && asked.requests.get(name.as_str()) == 0);
        let node_pool = template.node_pool;
        let usage = |resource: &str| limit_usage(template.capacity(of_type), UsdPerHour::ZERO, resource);
        let limits = template.limits.keys().filter(|resource| usage(resource) > left(&Row::limit(node_pool, resource)));
        let limits = limits.filter(|resource| resource.as_str() != ResourceName::COST);
        let limits = limits.map(|resource| Obstacle::Limit { node_pool, resource: resource.clone() });
        let resources = too_large.chain(overfull.map(|(name, _)| name));
        let resources = resources.map(|name| Obstacle::Resource { name: name.as_str().to_owned() });
        let ports = template.types[of_type].room.taken(&asked.spec.host_ports).cloned().map(Obstacle::Port);
        resources.chain(limits).chain(ports).map(|obstacle| self.number(obstacle)).collect()
    }

    /// The obstacle of a reservation without a free instance.
    fn reserved(&mut self, cell: &Cell, left: LimitLeft<'_>) -> Vec<usize> {
        let id = cell.reservation.as_ref().map(|reservation| reservation.id.clone());
        let taken = id.filter(|id| left(&Row::Reservation(id.clone())) < 1);
        taken.map(|id| self.number(Obstacle::Reserved { id })).into_iter().collect()
    }

    /// The limit on what the nodes of the NodePool cost, and the offers that would break it.
    fn too_dear(&mut self, template: &Template, left: LimitLeft<'_>) -> Option<(usize, FixedBitSet)> {
        let (node_pool, resource) = (template.node_pool, ResourceName::COST.to_owned());
        template.limits.get(&resource)?;
        let left = left(&Row::limit(node_pool, &resource));
        let mut dear = FixedBitSet::with_capacity(template.offers.len());
        dear.extend((0..template.offers.len()).filter(|&offer| template.paid(offer).micros() > left));
        (!dear.is_clear()).then(|| (self.number(Obstacle::Limit { node_pool, resource }), dear))
    }

    /// The cap on Spot pools, and the offers that would break it.
    fn capped(&mut self, template: &Template, left: LimitLeft<'_>) -> Option<(usize, FixedBitSet)> {
        let mut full = FixedBitSet::with_capacity(template.offers.len());
        full.extend(template.capped.iter().enumerate().filter_map(|(offer, pool)| {
            let row = Row::SpotPool(pool.clone()?);
            (template.taken(&row, offer) > left(&row)).then_some(offer)
        }));
        (!full.is_clear()).then(|| (self.number(Obstacle::SpotPool), full))
    }

    fn finish(self) -> Ruling<'a> {
        // The map is in the order of the obstacles; each gets its position there in place of the number that it was met under.
        let mut renumbered = vec![0; self.numbers.len()];
        for (at, &number) in self.numbers.values().enumerate() {
            renumbered[number] = at;
        }
        let renumber = |set: &[usize]| {
            let mut set: Vec<usize> = set.iter().map(|&number| renumbered[number]).collect();
            set.sort_unstable();
            set
        };
        let places = self.found.into_iter().map(|(set, places)| (renumber(&set), places)).collect();
        let sufficient = self.sufficient.iter().map(|set| renumber(set)).collect();
        let covers = self.covers.into_values().map(|covers| Covers {
            wanted: covers.wanted.into_iter().map(|(wanted, obstacle)| (wanted, renumbered[obstacle])).collect(),
            sets: covers.sets.into_iter().map(|(set, cover)| (renumber(&set), cover)).collect(),
        });
        let covers = covers.collect();
        Ruling { obstacles: self.numbers.into_keys().collect(), places, sufficient, covers }
    }
}

/// Whether a scope has an offer.
fn reaches(scope: &Scope, template: usize, offer: usize) -> bool {
    scope.offers[template].as_ref().is_some_and(|offers| offers.contains(offer))
}

/// Lists of obstacles, each once.
#[derive(Default)]
struct Distinct {
    list: Vec<Vec<usize>>,
    known: BTreeMap<Vec<usize>, usize>,
}

impl Distinct {
    fn number(&mut self, obstacles: Vec<usize>) -> usize {
        *self.known.entry(obstacles).or_insert_with_key(|obstacles| {
            self.list.push(obstacles.clone());
            self.list.len() - 1
        })
    }
}

/// The rules that close new nodes of a template: whatever they are, by type, by cell, and by offer, where any do.
struct Rules {
    on_new: Vec<usize>,
    by_type: Vec<Vec<usize>>,
    by_cell: Vec<Vec<usize>>,
    by_offer: Vec<Vec<usize>>,
}

impl Rules {
    fn new(draft: &mut Draft<'_>, template: &Template, rules: &[Rule]) -> Self {
        let (types, cells) = (template.types.len(), template.market.cells.len());
        let (on_new, by_offer) = (Vec::new(), Vec::new());
        let mut made = Self { on_new, by_type: vec![Vec::new(); types], by_cell: vec![Vec::new(); cells], by_offer };
        for rule in rules {
            let number = draft.number(rule.obstacle.clone());
            if rule.key == labels::HOSTNAME {
                made.on_new.extend(rule.closes(Some(NEW_NODE)).then_some(number));
            } else if rule.key == labels::SPOT_POOL {
                made.by_offer.resize(template.offers.len(), Vec::new());
                for (offer, closed) in made.by_offer.iter_mut().enumerate() {
                    closed.extend(rule.closes(template.label_of_offer(&rule.key, offer).as_deref()).then_some(number));
                }
            } else if is_offering_label(&rule.key) {
                for (cell, closed) in template.market.cells.iter().zip(&mut made.by_cell) {
                    closed.extend(rule.closes(cell.value(&rule.key)).then_some(number));
                }
            } else {
                for (of_type, closed) in made.by_type.iter_mut().enumerate() {
                    closed.extend(rule.closes(template.label_of_type(&rule.key, of_type).as_deref()).then_some(number));
                }
            }
        }
        made
    }
}

/// The labels, taints and alternatives that keep `spec` from `offer`, whatever its size: those of the alternative that comes
/// nearest. Empty when the pod may go there.
pub(super) fn kept_from(template: &Template, offer: usize, spec: &PodSpec) -> Vec<Obstacle> {
    let sold = &template.offers[offer];
    let taints = untolerated(template, spec).map(|taint| Obstacle::Taint(taint.clone()));
    let of_alternative = |wanted: Wanted<'_>| {
        let labels: Vec<usize> = (0..wanted.labels.wanted.len()).collect();
        let volumes: Vec<usize> = (labels.len()..).take(wanted.volumes.len()).collect();
        let mut found = wanted.of_type(template.types[sold.of_type].in_market, &labels, &volumes);
        found.extend(wanted.of_cell(sold.cell, &labels, &volumes));
        let found: BTreeSet<usize> = found.into_iter().collect();
        let all: Vec<Obstacle> = wanted.labels.obstacles().chain(wanted.volume_obstacles()).collect();
        found.into_iter().map(|number| all[number].clone()).collect::<Vec<Obstacle>>()
    };
    let nearest = Wanted::all(template, spec).map(of_alternative).min_by_key(Vec::len).unwrap_or_default();
    let ports = template.types[sold.of_type].room.taken(&spec.host_ports).cloned().map(Obstacle::Port);
    taints.chain(nearest).chain(ports).collect()
}

fn untolerated<'a>(template: &'a Template, spec: &'a PodSpec) -> impl Iterator<Item = &'a Taint> {
    template.taints.iter().filter(|taint| {
        taint.effect != Effect::PreferNoSchedule && !spec.tolerations.iter().any(|toleration| toleration.tolerates(taint))
    })
}

/// One alternative of the pod with one of each of its volumes, against one template.
struct Wanted<'a> {
    labels: LabelObstacles<'a>,
    /// By name.
    volumes: Vec<(&'a str, LabelObstacles<'a>)>,
}

impl<'a> Wanted<'a> {
    fn all(template: &'a Template, spec: &'a PodSpec) -> impl Iterator<Item = Self> {
        let mut attached: Vec<Vec<(&'a str, &'a Requirements)>> = vec![Vec::new()];
        for volume in spec.volumes.iter().filter(|volume| !volume.places.is_empty()) {
            let with = |made: &Vec<(&'a str, &'a Requirements)>| {
                let made = made.clone();
                volume.places.iter().map(move |terms| made.iter().copied().chain([(volume.name.as_str(), terms)]).collect())
            };
            attached = attached.iter().flat_map(with).collect();
        }
        spec.node_alternatives.iter().flat_map(move |alternative| {
            let with = |volumes: &Vec<(&'a str, &'a Requirements)>| Self {
                labels: LabelObstacles::new(template, alternative),
                volumes: volumes.iter().map(|&(name, terms)| (name, LabelObstacles::new(template, terms))).collect(),
            };
            attached.iter().map(with).collect::<Vec<Self>>()
        })
    }

    /// What keeps the pod from a type, by the numbers of its labels and of its volumes.
    fn of_type(&self, in_market: usize, labels: &[usize], volumes: &[usize]) -> Vec<usize> {
        let missed = self.labels.of_type(in_market).into_iter().map(|label| labels[label]);
        let detached = self.volumes.iter().zip(volumes).filter(|((_, terms), _)| !terms.of_type(in_market).is_empty());
        missed.chain(detached.map(|(_, &number)| number)).collect()
    }

    /// The same for a cell.
    fn of_cell(&self, cell: usize, labels: &[usize], volumes: &[usize]) -> Vec<usize> {
        let missed = self.labels.of_cell(cell).into_iter().map(|label| labels[label]);
        let detached = self.volumes.iter().zip(volumes).filter(|((_, terms), _)| !terms.of_cell(cell).is_empty());
        missed.chain(detached.map(|(_, &number)| number)).collect()
    }

    fn volume_obstacles(&self) -> impl Iterator<Item = Obstacle> {
        self.volumes.iter().map(|(name, _)| Obstacle::Volume { name: (*name).to_owned() })
    }
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

    fn obstacles(&self) -> impl Iterator<Item = Obstacle> {
        self.wanted.iter().map(|&(key, requirement)| Obstacle::Label { key: key.to_owned(), requirement: requirement.clone() })
    }
}
