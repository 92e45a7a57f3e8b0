//! Which nodes could be bought: NodePools x offerings, with the room that each leaves to pods.
//!
//! A *template* is a NodePool with its effective requirements: its own, its labels, the labels that say which NodePool and
//! NodeClass a node belongs to, and the two labels of a node that is up (so that DaemonSets selecting them are counted). A
//! NodePool with open labels gives one template per variant (see `variants`).
//!
//! Room for pods = allocatable - the DaemonSets that run on such a node. A DaemonSet counts where it tolerates the template's
//! taints (start-up taints and `PreferNoSchedule` do not keep it away) and one of its alternatives is compatible with the
//! template and meets the type in a cell that the template allows (Karpenter core v1.15.0,
//! `pkg/controllers/provisioning/scheduling/scheduler.go`, daemon overhead groups).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fixedbitset::FixedBitSet;
use rustc_hash::FxHashMap;

use crate::domain::catalog::{CapacityType, Catalog, PriceKind};
use crate::domain::cluster::ClusterView;
use crate::domain::commitment::{Commitments, Usage};
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::node_overlay::evaluation::Overlays;
use crate::domain::node_pool::NodePool;
use crate::domain::plan::Candidate;
use crate::domain::pod::PodSpec;
use crate::domain::requirement::{Requirement, Requirements};
use crate::domain::resources::{ResourceName, Resources};
use crate::domain::selector::Labels;
use crate::domain::taint::{Taint, Toleration, first_untolerated};
use crate::domain::topology::HostPort;
use crate::planning::attachments;
use crate::planning::cost::CostModel;
use crate::planning::limits::Row;
use crate::planning::market::{Cell, Market, is_offering_label};
use crate::planning::plan::PlanError;
use crate::planning::spot::{self, Named};
use crate::planning::{standing, variants};

/// What DaemonSets take and leave on an instance type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Requests of the DaemonSets that run there; includes `pods`.
    pub daemons: Arc<Resources>,
    /// Allocatable minus `daemons`; negative where the DaemonSets alone do not fit.
    pub for_pods: Resources,
    /// Ports that the DaemonSets take.
    pub ports: Vec<HostPort>,
}

/// An instance type under a template.
#[derive(Clone, Debug)]
pub struct TemplateType {
    /// Index into [`Market::types`].
    pub in_market: usize,
    /// Room for pods.
    pub room: Arc<Room>,
    /// Whether the limits of the NodePool admit one such node.
    pub within_limits: bool,
}

impl Room {
    /// Those of `ports` that DaemonSets take here.
    pub fn taken<'a>(&'a self, ports: &'a [HostPort]) -> impl Iterator<Item = &'a HostPort> {
        ports.iter().filter(|port| self.ports.iter().any(|other| other.conflicts(port)))
    }
}

impl TemplateType {
    /// Whether a node of the type could run at all: within the limits, and the DaemonSets fit.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.within_limits && self.room.for_pods.iter().all(|(_, amount)| amount >= 0)
    }
}

/// An offering under a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateOffer {
    /// Index into [`Template::types`].
    pub of_type: usize,
    /// Index into [`Market::cells`].
    pub cell: usize,
    /// Price of the instance alone.
    pub price: UsdPerHour,
    /// Where the price comes from.
    pub price_kind: PriceKind,
    /// What interruptions are expected to cost beyond the price.
    pub interruptions: UsdPerHour,
}

impl TemplateOffer {
    /// What offers of one template are compared by: price and interruptions.
    #[must_use]
    pub fn expected(&self) -> UsdPerHour {
        self.price + self.interruptions
    }
}

/// A NodePool with every label fixed that instance type and offering do not decide.
#[derive(Clone, Debug)]
pub struct Template {
    /// Index into `ClusterView::node_pools`; one past the last for nodes that no NodePool manages.
    pub node_pool: usize,
    /// Name of the NodePool.
    pub name: String,
    /// Weight of the NodePool; 0 for nodes that exist, which are offered whatever the weight.
    pub weight: i32,
    /// Effective requirements.
    pub requirements: Requirements,
    /// Labels that this variant fixes and that are not among the NodePool's labels.
    pub labels: BTreeMap<String, String>,
    /// Taints of the node once it is up.
    pub taints: Vec<Taint>,
    /// What a node costs besides its instance.
    pub overhead: UsdPerHour,
    /// What the nodes that exist leave of the NodePool's limits, in its units.
    pub limits: BTreeMap<String, i64>,
    /// `minValues` by label: how many distinct values the candidates of a node must cover.
    pub min_values: Vec<(String, u32)>,
    /// Where it buys.
    pub market: Arc<Market>,
    /// Types that it allows, by name.
    pub types: Vec<TemplateType>,
    /// Offerings that it allows, by type, zone and capacity type.
    pub offers: Vec<TemplateOffer>,
    /// The nodes that it stands for, if they exist already; it has one type and one offer then.
    pub standing: Option<Standing>,
    /// Per offer the capped Spot pool that it counts in; empty where none is capped.
    pub capped: Vec<Option<String>>,
    /// Per offer the pools of commitments that cover it, with what a whole node draws; empty where there are none.
    pub draws: Vec<Vec<(usize, i64)>>,
}

/// Nodes that exist and that no pod can tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Indices into `ClusterView::nodes`, ascending.
    pub nodes: Vec<usize>,
    /// Labels of the first.
    pub labels: Labels,
}

impl Template {
    /// Name of the type `of_type`.
    #[must_use]
    pub fn type_name(&self, of_type: usize) -> &str {
        &self.market.types[self.types[of_type].in_market].name
    }

    /// The value of label `key` on a node of each offer; `None` where such a node has no such label.
    #[must_use]
    pub fn labels_of_offers(&self, key: &str) -> Vec<Option<String>> {
        if self.standing.is_some() || is_offering_label(key) || key == labels::SPOT_POOL {
            return (0..self.offers.len()).map(|offer| self.label_of_offer(key, offer)).collect();
        }
        let types: Vec<Option<String>> = (0..self.types.len()).map(|of_type| self.label_of_type(key, of_type)).collect();
        self.offers.iter().map(|offer| types[offer.of_type].clone()).collect()
    }

    /// The value of label `key` on a node of `offer`.
    #[must_use]
    pub fn label_of_offer(&self, key: &str, offer: usize) -> Option<String> {
        match &self.standing {
            Some(standing) => spot::label_on(&standing.labels, key),
            None if key == labels::SPOT_POOL => {
                let (of_type, cell) = (self.offers[offer].of_type, self.cell(offer));
                spot::pool(self.type_name(of_type), &cell.zone, cell.capacity_type)
            }
            None if is_offering_label(key) => self.cell(offer).value(key).map(str::to_owned),
            None => self.label_of_type(key, self.offers[offer].of_type),
        }
    }

    /// The value of label `key`, one that does not depend on zone and capacity type, on a node of `of_type` that is to be bought.
    #[must_use]
    pub fn label_of_type(&self, key: &str, of_type: usize) -> Option<String> {
        let single = |wanted: Option<&Requirement>| {
            let values = wanted?.finite()?;
            values.first().filter(|_| values.len() == 1).cloned()
        };
        let of_type = || single(self.market.types[self.types[of_type].in_market].requirements.get(key));
        single(self.requirements.get(key)).or_else(of_type)
    }

    /// What EC2 says a node of `of_type` has.
    #[must_use]
    pub fn capacity(&self, of_type: usize) -> &Resources {
        &self.market.types[self.types[of_type].in_market].capacity
    }

    /// What the kubelet of a node of `of_type` offers to pods and DaemonSets.
    #[must_use]
    pub fn allocatable(&self, of_type: usize) -> &Resources {
        &self.market.types[self.types[of_type].in_market].allocatable
    }

    /// Zone and capacity type of `offer`.
    #[must_use]
    pub fn cell(&self, offer: usize) -> &Cell {
        &self.market.cells[self.offers[offer].cell]
    }

    /// What a node of `offer` costs the plan: what is paid for it, and what its interruptions are expected to cost.
    #[must_use]
    pub fn cost(&self, offer: usize) -> UsdPerHour {
        self.offers[offer].expected() + self.overhead
    }

    /// What is paid for a node of `offer`: what a limit on dollars counts.
    #[must_use]
    pub fn paid(&self, offer: usize) -> UsdPerHour {
        self.offers[offer].price + self.overhead
    }

    /// `offer` as plans name it.
    #[must_use]
    pub fn candidate(&self, offer: usize) -> Candidate {
        let (sold, cell) = (&self.offers[offer], self.cell(offer));
        Candidate {
            instance_type: self.type_name(sold.of_type).to_owned(),
            zone: cell.zone.clone(),
            capacity_type: cell.capacity_type,
            price: sold.price,
            price_kind: sold.price_kind,
            interruptions: sold.interruptions,
            reservation: cell.reservation.as_ref().map(|reservation| reservation.id.clone()),
        }
    }

    /// `offer` as usage that commitments may cover.
    #[must_use]
    pub fn usage(&self, offer: usize) -> Usage<'_> {
        let sold = &self.offers[offer];
        Usage { instance_type: self.type_name(sold.of_type), zone: &self.cell(offer).zone, price: sold.price }
    }

    /// The pools that cover `offer`, with what a whole node draws.
    #[must_use]
    pub fn draws_of(&self, offer: usize) -> &[(usize, i64)] {
        self.draws.get(offer).map_or(&[], Vec::as_slice)
    }

    fn find_draws(&mut self, commitments: &Commitments) {
        if commitments.is_empty() {
            return;
        }
        let of = |offer: usize| {
            let usage = self.usage(offer);
            let is_covered = self.cell(offer).capacity_type == CapacityType::OnDemand;
            if is_covered { commitments.draws(&usage).collect() } else { Vec::new() }
        };
        self.draws = (0..self.offers.len()).map(of).collect();
    }

    /// What a node of `offer` takes of the limit on `resource`.
    #[must_use]
    pub fn limit_usage(&self, offer: usize, resource: &str) -> i64 {
        limit_usage(self.capacity(self.offers[offer].of_type), self.paid(offer), resource)
    }

    /// What a node of `offer`, to be bought, takes of a limit, a reservation or a Spot pool.
    #[must_use]
    pub fn taken(&self, row: &Row, offer: usize) -> i64 {
        match row {
            _ if self.standing.is_some() => 0,
            Row::Limit(limit) if limit.node_pool == self.node_pool => self.limit_usage(offer, &limit.resource),
            Row::Reservation(id) => i64::from(self.reservation(offer) == Some(id)),
            Row::SpotPool(pool) if self.capped.get(offer).is_some_and(|capped| capped.as_ref() == Some(pool)) => {
                self.capacity(self.offers[offer].of_type).get(ResourceName::CPU)
            }
            Row::Limit(_) | Row::SpotPool(_) | Row::Standing(_) | Row::Commitment(_) => 0,
        }
    }

    /// The limits, the reservation and the capped Spot pool that nodes of `offer` count against.
    pub(super) fn rows_of(&self, offer: usize) -> impl Iterator<Item = Row> {
        let limits = self.limits.keys().map(|resource| Row::limit(self.node_pool, resource));
        let capped = self.capped.get(offer).cloned().flatten().map(Row::SpotPool);
        limits.chain(self.reservation(offer).map(|id| Row::Reservation(id.to_owned()))).chain(capped)
    }

    /// Id of the capacity reservation that nodes of `offer` are instances of.
    #[must_use]
    pub fn reservation(&self, offer: usize) -> Option<&str> {
        self.cell(offer).reservation.as_ref().map(|reservation| reservation.id.as_str())
    }

    /// Whether a node of weight `weight` may be bought, or exists.
    #[must_use]
    pub fn is_of_tier(&self, weight: i32) -> bool {
        self.standing.is_some() || self.weight == weight
    }

    /// Whether `tolerations` accept every hard taint.
    #[must_use]
    pub fn tolerated_by(&self, tolerations: &[Toleration]) -> bool {
        first_untolerated(&self.taints, tolerations).is_none()
    }
}

/// What one node of `capacity`, for which `paid` is paid, takes of a NodePool's limit on `resource`.
pub(super) fn limit_usage(capacity: &Resources, paid: UsdPerHour, resource: &str) -> i64 {
    match resource {
        ResourceName::NODES => 1,
        ResourceName::COST => paid.micros(),
        _ => capacity.get(resource),
    }
}

/// Every node that could be bought.
#[derive(Clone, Debug, Default)]
pub struct Supply {
    /// Heaviest NodePool first, then by name and variant; nodes that exist come last.
    pub templates: Vec<Template>,
    /// Free instances of the capacity reservations, by id; where NodeClasses disagree, the fewest.
    pub reservations: BTreeMap<String, u32>,
    /// How much CPU nodes in one Spot pool may have together, in milli-cores.
    pub spot_cap: Option<i64>,
    /// What nodes that exist leave of it, by the pools that are told apart.
    pub spot_left: BTreeMap<String, i64>,
    /// What nodes that exist leave of each pool of commitments.
    pub committed: Vec<i64>,
}

impl Supply {
    /// The nodes that the NodePools of `cluster` may buy out of `catalog`.
    ///
    /// # Errors
    /// A NodePool whose NodeClass is missing, or that leaves more labels open than a plan can tell apart.
    pub fn new(cluster: &ClusterView, catalog: &Catalog, costs: &CostModel) -> Result<Self, PlanError> {
        let mut specs: Vec<&Arc<PodSpec>> = cluster.pods.iter().map(|pod| &pod.spec).collect();
        specs.extend(cluster.daemon_sets.iter().map(|daemon_set| &daemon_set.spec));
        specs.sort_by_key(|spec| Arc::as_ptr(spec));
        specs.dedup_by_key(|spec| Arc::as_ptr(spec));
        let alternatives = specs.iter().flat_map(|spec| spec.node_alternatives.iter().chain(spec.volume_places()));
        let domains: BTreeSet<&str> = specs.iter().flat_map(|spec| topology_keys(spec)).collect();
        let mentioned = variants::mentions(alternatives, domains);

        let overlays = Overlays::new(cluster, catalog);
        let mut markets: Markets<'_> = BTreeMap::new();
        let mut templates = Vec::new();
        let mut order: Vec<(usize, &NodePool)> = cluster.node_pools.iter().enumerate().collect();
        order.sort_by(|(_, a), (_, b)| b.weight.cmp(&a.weight).then_with(|| a.name.cmp(&b.name)));
        for (number, pool) in order {
            let class_name = pool.node_class_ref.name.as_str();
            let missing = || PlanError::MissingNodeClass { node_pool: pool.name.clone(), node_class: class_name.to_owned() };
            let node_class = cluster.node_classes.get(class_name).ok_or_else(missing)?;
            let of_pool = overlays.of_pool(pool).ok_or_else(missing)?;
            let (market, rooms) = markets.entry((class_name, of_pool.names())).or_insert_with(|| {
                let market = Arc::new(Market::new(node_class, catalog, &cluster.instance_settings, &of_pool));
                let rooms = Rooms::new(cluster, &market);
                (market, rooms)
            });
            let pool = &standing::without_standing(pool, cluster, catalog, costs, &of_pool);
            let requirements = effective_requirements(pool);
            let open = variants::variants(&requirements, &mentioned)
                .map_err(|variants| PlanError::TooManyVariants { node_pool: pool.name.clone(), variants })?;
            for labels in open {
                let mut requirements = requirements.clone();
                for (key, value) in &labels {
                    requirements.add(key, Requirement::one_of([value.as_str()]));
                }
                let labels = labels.into_iter().filter(|(key, _)| !pool.labels.contains_key(key)).collect();
                let mut template = Template {
                    node_pool: number,
                    name: pool.name.clone(),
                    weight: pool.weight,
                    min_values: min_values(&requirements),
                    requirements,
                    labels,
                    taints: pool.taints.clone(),
                    overhead: costs.overhead(node_class, catalog),
                    limits: pool.limits.clone(),
                    market: Arc::clone(market),
                    types: Vec::new(),
                    offers: Vec::new(),
                    standing: None,
                    capped: Vec::new(),
                    draws: Vec::new(),
                };
                let interruptions = |name: &str, cell: &Cell| costs.interruptions(node_class, name, cell.capacity_type);
                fill(&mut template, pool, rooms, &interruptions);
                if node_class.ami_family.windows_build().is_none() {
                    template.find_draws(&cluster.commitments);
                }
                templates.push(template);
            }
        }
        templates.extend(standing::templates(cluster, catalog));
        let mut reservations: BTreeMap<String, u32> = BTreeMap::new();
        for reservation in cluster.node_classes.values().flat_map(|class| &class.capacity_reservations) {
            let free = reservations.entry(reservation.id.clone()).or_insert(reservation.free);
            *free = reservation.free.min(*free);
        }
        let committed = cluster.commitments.left_by(&cluster.nodes, catalog);
        Ok(Self { templates, reservations, spot_cap: cluster.most_in_spot_pool(), spot_left: BTreeMap::new(), committed })
    }

    /// Caps these Spot pools; nodes of `cluster` count.
    pub(super) fn cap(&mut self, cluster: &ClusterView, pools: &Named) {
        let Some(cap) = self.spot_cap else { return };
        for template in self.templates.iter_mut().filter(|template| template.standing.is_none()) {
            let values = template.labels_of_offers(labels::SPOT_POOL).into_iter();
            template.capped = values.map(|value| pools.domain_of(value?)).collect();
        }
        let bought = self.templates.iter().flat_map(|template| template.capped.iter().flatten());
        self.spot_left = bought.map(|pool| (pool.clone(), cap)).collect();
        for node in &cluster.nodes {
            let pool = spot::label_on(&node.labels, labels::SPOT_POOL).and_then(|value| pools.domain_of(value));
            if let Some(left) = pool.and_then(|pool| self.spot_left.get_mut(&pool)) {
                *left = left.saturating_sub(node.capacity.get(ResourceName::CPU)).max(0);
            }
        }
    }

    /// The weights of the NodePools, heaviest first; a single one where there are none.
    #[must_use]
    pub fn weights(&self) -> Vec<i32> {
        let mut weights: Vec<i32> =
            self.templates.iter().filter(|template| template.standing.is_none()).map(|template| template.weight).collect();
        weights.dedup();
        if weights.is_empty() && !self.templates.is_empty() {
            weights.push(0);
        }
        weights
    }

    /// How many nodes of each template exist; 0 for those that are bought.
    #[must_use]
    pub fn standing_nodes(&self) -> Vec<u32> {
        let count = |template: &Template| template.standing.as_ref().map_or(0, |standing| standing.nodes.len());
        self.templates.iter().map(|template| u32::try_from(count(template)).unwrap_or(u32::MAX)).collect()
    }
}

/// The labels whose values are domains of a rule of the pod.
pub(super) fn topology_keys(spec: &PodSpec) -> impl Iterator<Item = &str> {
    let spreads = spec.spreads.iter().map(|spread| spread.topology_key.as_str());
    spreads.chain(spec.near.iter().chain(&spec.apart).map(|term| term.topology_key.as_str()))
}

/// What `pool` requires of the labels of its nodes, and what every node that is up carries.
fn effective_requirements(pool: &NodePool) -> Requirements {
    let mut made = pool.label_requirements();
    made.add(labels::REGISTERED, Requirement::one_of(["true"]));
    made.add(labels::INITIALIZED, Requirement::one_of(["true"]));
    made
}

fn min_values(requirements: &Requirements) -> Vec<(String, u32)> {
    requirements.iter().filter_map(|(key, wanted)| Some((key.to_owned(), wanted.min_values?))).collect()
}

/// Finds the types and offerings of `template`; `interruptions` says what those of a type in a cell are expected to cost.
fn fill(template: &mut Template, pool: &NodePool, rooms: &mut Rooms<'_>, interruptions: &dyn Fn(&str, &Cell) -> UsdPerHour) {
    let market = Arc::clone(&template.market);
    let (types, mut cells) = market.satisfying(&template.requirements);
    if !template.min_values.is_empty() {
        // A node in a reservation is asked for as that one instance type in that one zone.
        market.cells.iter().enumerate().filter(|(_, cell)| cell.reservation.is_some()).for_each(|(at, _)| cells.set(at, false));
    }
    let sold_in = |number: usize| market.types[number].offers.iter().filter(|offer| cells.contains(offer.cell));
    for number in types.ones() {
        if sold_in(number).next().is_none() {
            continue;
        }
        let of_type = template.types.len();
        template.offers.extend(sold_in(number).map(|offer| TemplateOffer {
            of_type,
            cell: offer.cell,
            price: offer.price,
            price_kind: offer.price_kind,
            interruptions: interruptions(&market.types[number].name, &market.cells[offer.cell]),
        }));
        template.types.push(TemplateType {
            in_market: number,
            room: Arc::default(),
            within_limits: pool.admits(&market.types[number].capacity),
        });
    }
    rooms.fill(template, &cells);
}

impl Default for Room {
    fn default() -> Self {
        Self { daemons: Arc::new(Resources::new()), for_pods: Resources::new(), ports: Vec::new() }
    }
}

/// Markets with their rooms, by NodeClass and the names of the overlays that count there.
type Markets<'a> = BTreeMap<(&'a str, Vec<&'a str>), (Arc<Market>, Rooms<'a>)>;

/// The rooms of a NodeClass's types under each set of DaemonSets, each computed once.
struct Rooms<'a> {
    daemon_sets: Vec<DaemonReach<'a>>,
    attachments: BTreeSet<ResourceName>,
    sums: FxHashMap<FixedBitSet, Arc<Resources>>,
    known: FxHashMap<(usize, FixedBitSet), Arc<Room>>,
}

/// Where a DaemonSet's alternatives can run: `(alternative, types, cells)`.
struct DaemonReach<'a> {
    spec: &'a PodSpec,
    alternatives: Vec<(&'a Requirements, FixedBitSet, FixedBitSet)>,
}

impl<'a> Rooms<'a> {
    fn new(cluster: &'a ClusterView, market: &Market) -> Self {
        let daemon_sets = cluster
            .daemon_sets
            .iter()
            .map(|daemon_set| DaemonReach {
                spec: &daemon_set.spec,
                alternatives: daemon_set
                    .spec
                    .node_alternatives
                    .iter()
                    .map(|alternative| {
                        let (types, cells) = market.satisfying(alternative);
                        (alternative, types, cells)
                    })
                    .collect(),
            })
            .collect();
        let attachments = attachments::asked_for(cluster);
        Self { daemon_sets, attachments, sums: FxHashMap::default(), known: FxHashMap::default() }
    }

    /// Sets the rooms of the types of `template`, which buys in `cells`.
    fn fill(&mut self, template: &mut Template, cells: &FixedBitSet) {
        let market = Arc::clone(&template.market);
        let mut running = vec![FixedBitSet::with_capacity(self.daemon_sets.len()); template.types.len()];
        for (daemon, reach) in self.daemon_sets.iter().enumerate() {
            if !template.tolerated_by(&reach.spec.tolerations) {
                continue;
            }
            for (alternative, types, reached) in &reach.alternatives {
                if !template.requirements.compatible(alternative) {
                    continue;
                }
                for (of_type, t) in template.types.iter().enumerate() {
                    let sold = &market.types[t.in_market].offers;
                    let meets = types.contains(t.in_market)
                        && sold.iter().any(|offer| cells.contains(offer.cell) && reached.contains(offer.cell));
                    if meets {
                        running[of_type].insert(daemon);
                    }
                }
            }
        }
        for (t, running) in template.types.iter_mut().zip(running) {
            t.room = self.room(&market, t.in_market, running);
        }
    }

    fn room(&mut self, market: &Market, number: usize, running: FixedBitSet) -> Arc<Room> {
        if let Some(room) = self.known.get(&(number, running.clone())) {
            return Arc::clone(room);
        }
        let daemon_sets = &self.daemon_sets;
        let daemons = Arc::clone(self.sums.entry(running.clone()).or_insert_with(|| {
            let mut sum = Resources::new();
            for daemon in running.ones() {
                sum.add(&daemon_sets[daemon].spec.requests);
            }
            Arc::new(sum)
        }));
        let for_pods = attachments::opened(&market.types[number].allocatable, &self.attachments).minus(&daemons);
        let ports = running.ones().flat_map(|daemon| self.daemon_sets[daemon].spec.host_ports.iter().cloned()).collect();
        let room = Arc::new(Room { daemons, for_pods, ports });
        self.known.insert((number, running), Arc::clone(&room));
        room
    }
}
