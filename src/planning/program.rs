//! The program of one tier: shapes, classes, side rows and penalties, as numbers.
//!
//! NodePools of equal weight form a *tier* and compete on price. The heaviest tier is solved first; a class is offered only the
//! shapes of that tier if one of them can hold it, and what the tier's limits leave over falls to the next. The sum of the
//! tiers' lower bounds is a lower bound for plans that follow this rule; it says nothing about plans that disregard weights.
//!
//! Units: one dimension per resource that a pod asks for, in the units of [`crate::domain::resources`]; costs in micro-dollars
//! per hour. Shapes that the program cannot tell apart are merged: the first by template, type name, zone and capacity type
//! stands for all. Pods that differ only in what does not matter in the tier (a toleration of another tier's taint; the priority
//! where nothing is limited) are one class.

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;
use rustc_hash::FxHashMap;

use crate::domain::money::UsdPerHour;
use crate::planning::arrangement::{Arrangement, Cap, Role};
use crate::planning::blocks::Choices;
use crate::planning::demand::{Bundle, Demand, amounts};
use crate::planning::limits::Row;
use crate::planning::min_values;
use crate::planning::plan::NodeOrigin;
use crate::planning::priority::{self, Aim, Penalties};
use crate::planning::supply::{Supply, Template};
use crate::solver::problem::LARGEST_AMOUNT;
use crate::solver::{Class, FirstFit, NodeRule, Problem, Shape, SideRow, Solution};

/// What a shape stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapeOrigin {
    /// Index into [`Supply::templates`].
    pub template: usize,
    /// Index into [`Template::offers`].
    pub offer: usize,
    /// The pool of commitments that pays for the instance, of a shape that is a variant.
    pub pool: Option<usize>,
}

/// What the heavier tiers left over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Pods, by class of the demand.
    pub pods: Vec<u32>,
    /// Nodes that exist and that no tier has used, by template of the supply.
    pub nodes: Vec<u32>,
    /// Free instances of capacity reservations that no tier has used, by id.
    pub reserved: BTreeMap<String, u32>,
    /// Whether no tier follows. Only the last one takes pods that it can hold on nodes that exist alone.
    pub last: bool,
}

impl Leftover {
    /// Everything, for a tier that is the only one.
    #[must_use]
    pub fn new(supply: &Supply, demand: &Demand) -> Self {
        let pods = (0..demand.classes.len()).map(|class| u32::try_from(demand.pods_of(class).len()).unwrap_or(u32::MAX));
        let (nodes, reserved) = (supply.standing_nodes(), supply.reservations.clone());
        Self { pods: pods.collect(), nodes, reserved, last: true }
    }
}

/// The program of one tier, and what its numbers stand for.
#[derive(Clone, Debug)]
pub struct TierProgram {
    /// Weight of the tier's NodePools.
    pub weight: i32,
    /// The program.
    pub problem: Problem,
    /// Per class of the program: the units of the arrangement that it joins, highest priority first.
    pub members: Vec<Vec<usize>>,
    /// Units and what ties them.
    pub arrangement: Arrangement,
    /// The choices of the arrangement's blocks.
    pub(super) choices: Choices,
    /// Per shape.
    pub origins: Vec<ShapeOrigin>,
    /// Per side row.
    pub rows: Vec<Row>,
    /// How many pods of each priority it is about.
    pub(super) pods: BTreeMap<i32, i64>,
    /// Per side row, the least that a node which costs nothing takes of it; the engine counts a micro-dollar then.
    tokens: Vec<Option<i64>>,
    /// Whether nodes that count in no such row may cost nothing too: an overlay can make any price zero.
    free: bool,
}

/// A shape before its eligibility is known in classes.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Draft {
    capacity: Vec<i64>,
    bound_capacity: Vec<i64>,
    cost: i64,
    /// Index of a set of scopes.
    set: usize,
    usage: Vec<(usize, i64)>,
    /// Of a variant: what its base costs, and what the variant takes of the row of a commitment.
    varies: Option<(i64, (usize, i64))>,
}

impl Draft {
    /// The draft of its base, if it is a variant.
    fn base(&self) -> Option<Self> {
        let (cost, drawn) = self.varies?;
        let usage = self.usage.iter().copied().filter(|used| *used != drawn).collect();
        Some(Self { cost, usage, varies: None, ..self.clone() })
    }
}

impl TierProgram {
    /// The program of the NodePools of `weight` for what is `left`; `None` when they can hold no pod of it.
    #[must_use]
    pub fn new(supply: &Supply, demand: &Demand, left: &Leftover, weight: i32) -> Option<Self> {
        Self::aiming(supply, demand, left, weight, Aim::Cost)
    }

    /// The same with an aim of its own.
    pub(super) fn aiming(supply: &Supply, demand: &Demand, left: &Leftover, weight: i32, aim: Aim) -> Option<Self> {
        let Leftover { pods: left, nodes, reserved, last } = left;
        let mut live = FixedBitSet::with_capacity(demand.scopes.len());
        live.extend(demand.classes.iter().zip(left).filter(|(_, left)| **left > 0).flat_map(|(class, _)| class.scopes()));
        let in_reach = |bundle: &&Bundle| bundle.classes.iter().any(|&class| left[class] > 0);
        live.extend(demand.bundles.iter().filter(in_reach).map(|bundle| bundle.scope));
        let mut rows = side_rows(supply, nodes, reserved, weight);
        let limits: Vec<i64> = rows.iter().map(|(_, row)| limit_of(row, supply, nodes, reserved)).collect();
        let mut sets = Sets::default();
        let mut drafts: Vec<(Draft, ShapeOrigin)> = Vec::new();
        let mut known: FxHashMap<Draft, ()> = FxHashMap::default();
        let there = |number: usize| supply.templates[number].standing.is_none() || nodes[number] > 0;
        let of_tier = supply.templates.iter().enumerate().filter(|(_, template)| template.is_of_tier(weight));
        for (number, template) in of_tier.filter(|(number, _)| there(*number)) {
            draft_shapes(number, template, demand, &live, &rows, &mut sets, &mut |draft, origin| {
                // What exceeds a limit by itself is no shape.
                let within = draft.usage.iter().all(|&(row, amount)| amount <= limits[row] || !is_whole(&rows[row].1));
                if within && known.insert(draft.clone(), ()).is_none() {
                    drafts.push((draft, origin));
                }
            });
        }
        let bought = |draft: &&(Draft, ShapeOrigin)| supply.templates[draft.1.template].standing.is_none();
        let mut largest = LargestRooms { drafts: drafts.iter().filter(bought).collect(), sets: &sets, known: BTreeMap::new() };
        let in_tier: Vec<u32> = demand
            .classes
            .iter()
            .zip(left)
            .map(|(class, &pods)| {
                let held = *last || class.scopes().any(|scope| largest.of(scope).iter().any(|room| fits(&class.request, room)));
                if held { pods } else { 0 }
            })
            .collect();
        let left = in_tier.as_slice();
        let mut largest = LargestRooms { drafts: drafts.iter().collect(), sets: &sets, known: BTreeMap::new() };
        let scarce = matches!(aim, Aim::Pods { .. });
        let arrangement = Arrangement::new(demand, left, scarce, &mut |pods, scope| {
            let request = total_request(demand, pods);
            request.iter().all(|&amount| amount < LARGEST_AMOUNT) && largest.of(scope).iter().any(|room| fits(&request, room))
        });
        if arrangement.units.is_empty() {
            return None;
        }
        let limits = whole_steps(limits, &drafts, &rows);
        rows.retain(|(row, _)| drafts.iter().any(|(draft, _)| draft.usage.iter().any(|&(used, _)| used == *row)));

        let dearest = dearest(supply, demand, &live, weight);
        let pods = pods_by_priority(demand, &arrangement, left);
        let tied = !demand.terms.is_empty() || !demand.ports.is_empty();
        let penalties = match aim {
            Aim::Cost => Penalties::of_cost(&pods, dearest, rows.iter().any(|(_, row)| is_whole(row)), tied),
            Aim::Pods { priority } => Penalties::of_pods(&pods, priority),
        };
        let (classes, members) = join_units(demand, &arrangement, &penalties, &sets);
        let (eligibility, eligible_of_set) = eligibility(&arrangement, &members, &sets);
        let mut class_of = vec![0; arrangement.units.len()];
        for (class, units) in members.iter().enumerate() {
            units.iter().for_each(|&unit| class_of[unit] = class);
        }
        let choices = Choices::new(&arrangement, &class_of, &|class| penalties.of(demand.classes[class].priority));
        let renumbered: BTreeMap<usize, usize> = rows.iter().map(|(row, _)| *row).zip(0..).collect();
        let mut problem = Problem {
            dimensions: demand.dimensions.len(),
            classes,
            eligibility,
            node_rules: node_rules(&arrangement, &members),
            choices: choices.choices.clone(),
            choice_rows: choices.rows.clone(),
            ..Problem::default()
        };
        let mut origins = Vec::new();
        let mut alike: FxHashMap<Draft, usize> = FxHashMap::default();
        for (draft, origin) in drafts {
            let eligible = eligible_of_set[draft.set];
            let useful = problem.eligibility[eligible].ones().any(|class| fits(&problem.classes[class].request, &draft.capacity));
            let draft = Draft { set: eligible, ..draft };
            if useful && !alike.contains_key(&draft) {
                alike.insert(draft.clone(), problem.shapes.len());
                let base = draft.base().and_then(|base| alike.get(&base)).copied();
                let Draft { capacity, bound_capacity, cost, usage, .. } = draft;
                let usage = usage.iter().map(|(row, amount)| (renumbered[row], *amount)).collect();
                problem.shapes.push(Shape { capacity, bound_capacity, cost, eligible, usage, base });
                origins.push(origin);
            }
        }
        if scarce {
            priority::aim_at_pods(&mut problem, &choices, dearest);
        }
        problem.side_rows = rows.iter().map(|&(row, _)| SideRow { limit: limits[row] }).collect();
        let (mut tokens, mut free) = (vec![None; rows.len()], false);
        for (shape, origin) in problem.shapes.iter().zip(&origins) {
            if cost_of(supply, origin) <= UsdPerHour::ZERO {
                let mut of_nodes = shape.usage.iter().filter(|(row, _)| !matches!(rows[*row].1, Row::Limit(_))).peekable();
                free |= of_nodes.peek().is_none();
                of_nodes.for_each(|&(row, amount)| {
                    tokens[row] = Some(tokens[row].map_or(amount, |least: i64| least.min(amount)));
                });
            }
        }
        let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
        Some(Self { weight, problem, members, arrangement, choices, origins, rows, pods, tokens, free })
    }

    /// Whether a NodePool's limit or a reservation may leave pods unplaced.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.rows.iter().any(Row::is_limit)
    }

    /// What the engine counts for nodes that cost nothing, at most: a micro-dollar for each, since a shape costs something. There are no
    /// more nodes than pods.
    #[must_use]
    pub fn token_cost(&self) -> i64 {
        // Several commitments may pay for a node, a part each.
        let spare = |row: &Row, least: i64| if is_whole(row) { 0 } else { least - 1 };
        let limits = self.problem.side_rows.iter().zip(&self.tokens).zip(&self.rows);
        let of_rows = limits.filter_map(|((side, least), row)| Some((side.limit + spare(row, (*least)?)) / (*least)?));
        of_rows.chain(self.pods.values().copied().filter(|_| self.free)).fold(0, i64::saturating_add)
    }

    /// How many nodes of `first_fit` cost nothing.
    pub(super) fn tokens(&self, first_fit: &FirstFit) -> i64 {
        let may_be_free = self.free || self.tokens.iter().any(Option::is_some);
        if may_be_free { i64::try_from(first_fit.nodes_at_least_cost).unwrap_or(i64::MAX) } else { 0 }
    }

    /// How many of each unit `solution` places.
    ///
    /// Pods that it leaves are taken from the units of their class, the last first, and then from domains that would be fuller than
    /// their terms allow without them.
    #[must_use]
    pub fn quantities(&self, solution: &Solution) -> Vec<u32> {
        let mut quantities = self.choices.quantities(&self.arrangement, &solution.choices);
        for (units, &unplaced) in self.members.iter().zip(&solution.unplaced) {
            let mut over = unplaced;
            for &unit in units.iter().rev() {
                let gone = over.min(quantities[unit]);
                quantities[unit] -= gone;
                over -= gone;
            }
        }
        if solution.unplaced.iter().any(|&pods| pods > 0) {
            self.arrangement.mend(&mut quantities);
        }
        quantities
    }

    /// The class of the program that pods of `class` of the demand belong to on a node of that origin.
    #[must_use]
    pub fn class_of(&self, class: usize, origin: &NodeOrigin, demand: &Demand) -> Option<usize> {
        let scope = demand.scope_at(class, origin.template, origin.offer);
        let here = |unit: &usize| {
            let unit = &self.arrangement.units[*unit];
            unit.pods.iter().any(|entry| entry.0 == class) && (unit.scope == scope || unit.pods.len() > 1)
        };
        self.members.iter().position(|units| units.iter().any(here))
    }
}

/// What the pods of a unit ask for together.
fn total_request(demand: &Demand, pods: &[(usize, u32)]) -> Vec<i64> {
    let mut total = vec![0_i64; demand.dimensions.len()];
    for &(class, count) in pods {
        for (sum, &amount) in total.iter_mut().zip(&demand.classes[class].request) {
            *sum = sum.saturating_add(amount.saturating_mul(i64::from(count)));
        }
    }
    total
}

/// The rooms in a scope that no other room there exceeds in every dimension.
struct LargestRooms<'a> {
    drafts: Vec<&'a (Draft, ShapeOrigin)>,
    sets: &'a Sets,
    known: BTreeMap<usize, Vec<&'a [i64]>>,
}

impl<'a> LargestRooms<'a> {
    fn of(&mut self, scope: usize) -> &[&'a [i64]] {
        let (drafts, sets) = (&self.drafts, self.sets);
        self.known.entry(scope).or_insert_with(|| {
            let mut rooms: Vec<&'a [i64]> = Vec::new();
            for (draft, _) in drafts.iter().filter(|(draft, _)| sets.list[draft.set].contains(scope)) {
                if !rooms.iter().any(|room| fits(&draft.capacity, room)) {
                    rooms.retain(|room| !fits(room, &draft.capacity));
                    rooms.push(&draft.capacity);
                }
            }
            rooms
        })
    }
}

/// Whether `request` is at most `capacity` in every dimension.
pub(super) fn fits(request: &[i64], capacity: &[i64]) -> bool {
    request.iter().zip(capacity).all(|(request, capacity)| request <= capacity)
}

/// Sets of scopes, each once.
#[derive(Default)]
struct Sets {
    list: Vec<FixedBitSet>,
    known: FxHashMap<FixedBitSet, usize>,
}

impl Sets {
    fn number(&mut self, set: &FixedBitSet) -> usize {
        if let Some(&number) = self.known.get(set) {
            return number;
        }
        self.list.push(set.clone());
        self.known.insert(set.clone(), self.list.len() - 1);
        self.list.len() - 1
    }
}

/// The limits of the tier's NodePools, the reservations, the capped Spot pools and the nodes that exist, numbered.
fn side_rows(supply: &Supply, nodes: &[u32], reserved: &BTreeMap<String, u32>, weight: i32) -> Vec<(usize, Row)> {
    let of_tier = supply.templates.iter().enumerate().filter(|(_, template)| template.is_of_tier(weight));
    let mut rows: Vec<Row> = of_tier
        .flat_map(|(number, template)| {
            let standing = (nodes[number] > 0).then_some(Row::Standing(number));
            let limits = template.limits.keys().map(|resource| Row::limit(template.node_pool, resource));
            limits.chain(standing).collect::<Vec<_>>()
        })
        .chain(reserved.keys().map(|id| Row::Reservation(id.clone())))
        .chain(supply.spot_left.keys().map(|pool| Row::SpotPool(pool.clone())))
        .chain((0..supply.committed.len()).filter(|&pool| supply.committed[pool] > 0).map(Row::Commitment))
        .collect();
    rows.sort();
    rows.dedup();
    (0..).zip(rows).collect()
}

/// Whether whole nodes count in a row. A commitment may pay for a part of one.
fn is_whole(row: &Row) -> bool {
    !matches!(row, Row::Commitment(_))
}

/// What a node of that origin costs.
pub(super) fn cost_of(supply: &Supply, origin: &ShapeOrigin) -> UsdPerHour {
    let template = &supply.templates[origin.template];
    if origin.pool.is_some() { template.overhead } else { template.cost(origin.offer) }
}

/// Limits as far down as no sum of nodes tells the difference: to a multiple of what all amounts have in common, where nodes count as a
/// whole.
fn whole_steps(limits: Vec<i64>, drafts: &[(Draft, ShapeOrigin)], rows: &[(usize, Row)]) -> Vec<i64> {
    let mut steps = vec![0_i64; limits.len()];
    for &(row, amount) in drafts.iter().flat_map(|(draft, _)| &draft.usage) {
        let (mut a, mut b) = (steps[row], amount);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        steps[row] = a;
    }
    let whole = rows.iter().map(|(_, row)| is_whole(row));
    let steps = steps.into_iter().zip(whole).map(|(step, whole)| if whole { step.max(1) } else { 1 });
    limits.into_iter().zip(steps).map(|(limit, step)| limit - limit % step).collect()
}

/// How much there is of what a side row is about.
fn limit_of(row: &Row, supply: &Supply, nodes: &[u32], reserved: &BTreeMap<String, u32>) -> i64 {
    let limit = match row {
        Row::Limit(row) => {
            let template = supply.templates.iter().find(|template| template.node_pool == row.node_pool);
            template.and_then(|template| template.limits.get(&row.resource)).copied().unwrap_or(0)
        }
        Row::Reservation(id) => reserved.get(id).copied().map_or(0, i64::from),
        Row::SpotPool(pool) => supply.spot_left.get(pool).copied().unwrap_or(0),
        Row::Standing(template) => i64::from(nodes[*template]),
        Row::Commitment(pool) => supply.committed[*pool],
    };
    limit.clamp(0, LARGEST_AMOUNT - 1)
}

/// Scopes that may share a node under `minValues`, and the room that each type then has.
type Shared = (FixedBitSet, Vec<Option<Vec<i64>>>);

/// Hands the shapes of `template` to `push`, in the order of its offers.
fn draft_shapes(
    number: usize,
    template: &Template,
    demand: &Demand,
    live: &FixedBitSet,
    rows: &[(usize, Row)],
    sets: &mut Sets,
    push: &mut dyn FnMut(Draft, ShapeOrigin),
) {
    let mut scopes_of = vec![FixedBitSet::with_capacity(demand.scopes.len()); template.offers.len()];
    let open = |scope: usize| demand.scopes[scope].offers[number].as_ref();
    for scope in live.ones() {
        for offer in open(scope).into_iter().flat_map(FixedBitSet::ones) {
            scopes_of[offer].insert(scope);
        }
    }
    let rooms: Vec<Vec<i64>> = template
        .types
        .iter()
        .map(|t| amounts(&t.room.for_pods, &demand.dimensions).iter().map(|&a| a.min(LARGEST_AMOUNT - 1)).collect())
        .collect();
    let bound_room = |room: &Vec<i64>| {
        let mut room = room.clone();
        demand.overcounted.ones().for_each(|dimension| room[dimension] = LARGEST_AMOUNT - 1);
        room
    };
    let bound_rooms: Vec<Vec<i64>> = rooms.iter().map(bound_room).collect();
    let usage = |offer: usize| -> Vec<(usize, i64)> {
        let used = rows.iter().map(|(at, row)| {
            let amount = if *row == Row::Standing(number) { 1 } else { template.taken(row, offer) };
            (*at, amount.min(LARGEST_AMOUNT - 1))
        });
        used.filter(|(_, amount)| *amount > 0).collect()
    };
    // Per set of scopes that meet on an offer: the sets that may share a node, each with the rooms of the types.
    let mut supported: FxHashMap<FixedBitSet, Vec<Shared>> = FxHashMap::default();
    for (offer, scopes) in scopes_of.iter().enumerate() {
        let of_type = template.offers[offer].of_type;
        if scopes.is_clear() || !template.types[of_type].is_usable() {
            continue;
        }
        let micros = |cost: UsdPerHour| cost.micros().clamp(1, LARGEST_AMOUNT - 1);
        let cost = micros(template.cost(offer));
        let usage = usage(offer);
        let mut push_one = |set: &FixedBitSet, capacity: &[i64]| {
            let draft = Draft {
                capacity: capacity.to_vec(),
                bound_capacity: bound_rooms[of_type].clone(),
                cost,
                set: sets.number(set),
                usage: usage.clone(),
                varies: None,
            };
            push(draft.clone(), ShapeOrigin { template: number, offer, pool: None });
            for &(pool, amount) in template.draws_of(offer) {
                let Some(&(row, _)) = rows.iter().find(|(_, row)| *row == Row::Commitment(pool)) else { continue };
                let (origin, drawn) = (ShapeOrigin { template: number, offer, pool: Some(pool) }, (row, amount));
                let mut usage = usage.clone();
                usage.insert(usage.partition_point(|used| used.0 < row), drawn);
                push(Draft { cost: micros(template.overhead), usage, varies: Some((cost, drawn)), ..draft.clone() }, origin);
            }
        };
        if template.min_values.is_empty() {
            push_one(scopes, &rooms[of_type]);
            continue;
        }
        let shared = supported.entry(scopes.clone()).or_insert_with(|| {
            let sharing = min_values::shareable(template, scopes, &open);
            let with_rooms = sharing.into_iter().map(|set| {
                let offers = min_values::common(template, &set, &open);
                let rooms = min_values::supported_rooms(template, &offers, &rooms);
                (set, rooms)
            });
            with_rooms.collect()
        });
        for (set, rooms) in shared {
            if let Some(room) = &rooms[of_type] {
                push_one(set, room);
            }
        }
    }
}

/// What the dearest node costs that some live scope reaches, whether limits leave room for it or not: preferences have their worth
/// from such nodes, and none is to outweigh a pod.
fn dearest(supply: &Supply, demand: &Demand, live: &FixedBitSet, weight: i32) -> i64 {
    let of_tier = supply.templates.iter().enumerate().filter(|(_, template)| template.is_of_tier(weight));
    let costs = of_tier.flat_map(|(number, template)| {
        let mut reached = FixedBitSet::with_capacity(template.offers.len());
        let offers = live.ones().filter_map(|scope| demand.scopes[scope].offers[number].as_ref());
        offers.for_each(|offers| reached.union_with(offers));
        reached.ones().map(|offer| template.cost(offer).micros()).max()
    });
    costs.max().unwrap_or(1).clamp(1, LARGEST_AMOUNT - 1)
}

/// How many pods of each priority the tier's units and blocks have.
pub(super) fn pods_by_priority(demand: &Demand, arrangement: &Arrangement, left: &[u32]) -> BTreeMap<i32, i64> {
    let classes = arrangement.units.iter().flat_map(|unit| unit.pods.iter().map(|entry| entry.0));
    let classes = classes.chain(arrangement.free_classes().map(|class| class.class));
    let groups: BTreeMap<usize, usize> = classes.map(|class| (demand.classes[class].group, class)).collect();
    let mut pods: BTreeMap<i32, i64> = BTreeMap::new();
    for class in groups.into_values() {
        *pods.entry(demand.classes[class].priority).or_default() += i64::from(left[class]);
    }
    pods
}

/// What makes units alike to a tier: the request, the sets of scopes that they are in, the penalty, the limit per node and the parts in
/// node rules.
type Alike<'a> = (Vec<i64>, &'a [usize], i64, Option<Cap>, &'a [(usize, Role)]);

/// Joins the units that the tier cannot tell apart.
fn join_units(demand: &Demand, arrangement: &Arrangement, penalties: &Penalties, sets: &Sets) -> (Vec<Class>, Vec<Vec<usize>>) {
    let mut sets_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for unit in &arrangement.units {
        let of = || (0..sets.list.len()).filter(|&set| sets.list[set].contains(unit.scope)).collect();
        sets_of.entry(unit.scope).or_insert_with(of);
    }
    let free: BTreeSet<usize> = arrangement.free_classes().flat_map(|class| class.units.iter().copied()).collect();
    // Of a group that is placed whole or not at all no pod is short of a node for less than the whole group is worth.
    let mut of_atomic: BTreeMap<usize, i64> = BTreeMap::new();
    for class in arrangement.free_classes() {
        if let Some(atomic) = class.atomic {
            let penalty = penalties.of_chosen(demand.classes[class.class].priority).saturating_mul(class.all_pods());
            let sum = of_atomic.entry(atomic).or_default();
            *sum = sum.saturating_add(penalty);
        }
    }
    let mut joined: BTreeMap<Alike<'_>, Vec<usize>> = BTreeMap::new();
    for (number, unit) in arrangement.units.iter().enumerate() {
        let penalty = |&(class, pods): &(usize, u32)| {
            let priority = demand.classes[class].priority;
            let each = if free.contains(&number) { penalties.of_chosen(priority) } else { penalties.of(priority) };
            let atomic = demand.classes[class].atomic.and_then(|atomic| of_atomic.get(&atomic));
            atomic.copied().unwrap_or_else(|| each.saturating_mul(i64::from(pods)))
        };
        let penalty = unit.pods.iter().map(penalty).fold(0, i64::saturating_add).min(LARGEST_AMOUNT - 1);
        let request = total_request(demand, &unit.pods);
        joined.entry((request, &sets_of[&unit.scope], penalty, unit.cap, &unit.roles)).or_default().push(number);
    }
    let mut classes = Vec::with_capacity(joined.len());
    let mut members = Vec::with_capacity(joined.len());
    for ((request, _, penalty, cap, _), mut of) in joined {
        let priority = |unit: usize| demand.classes[arrangement.units[unit].pods[0].0].priority;
        of.sort_by_key(|&unit| (std::cmp::Reverse(priority(unit)), unit));
        let pods = of.iter().fold(0_u32, |sum, &unit| sum.saturating_add(arrangement.units[unit].fixed));
        let together = u32::try_from(of.len()).unwrap_or(u32::MAX);
        let most_per_node = cap.map_or(u32::MAX, |cap| cap.most.saturating_mul(together));
        classes.push(Class { demand: pods, request, penalty, most_per_node, family: 0 });
        members.push(of);
    }
    for (class, family) in families(arrangement, &members).into_iter().enumerate() {
        classes[class].family = family;
    }
    (classes, members)
}

/// The family of each class of the program: classes with units of one class of the demand belong together.
fn families(arrangement: &Arrangement, members: &[Vec<usize>]) -> Vec<usize> {
    let mut family: Vec<usize> = (0..members.len()).collect();
    let mut first: BTreeMap<usize, usize> = BTreeMap::new();
    for (class, units) in members.iter().enumerate() {
        for &(pods, _) in units.iter().flat_map(|&unit| &arrangement.units[unit].pods) {
            let other = family[*first.entry(pods).or_insert(class)];
            let own = family[class];
            if own != other {
                family.iter_mut().filter(|family| **family == own.max(other)).for_each(|family| *family = own.min(other));
            }
        }
    }
    family
}

/// The node rules of the arrangement over the classes of the program.
fn node_rules(arrangement: &Arrangement, members: &[Vec<usize>]) -> Vec<NodeRule> {
    let mut made: Vec<NodeRule> = arrangement
        .rules
        .iter()
        .map(|rule| NodeRule { guards: Vec::new(), members: Vec::new(), least: rule.least, most: rule.most })
        .collect();
    for (class, units) in members.iter().enumerate() {
        for &(rule, role) in units.first().map_or(&[][..], |&unit| &arrangement.units[unit].roles) {
            if role != Role::Member {
                made[rule].guards.push(class);
            }
            if role != Role::Guard {
                made[rule].members.push(class);
            }
        }
    }
    made
}

/// The sets of scopes as sets of classes, each once, and which of them each set of scopes became.
fn eligibility(arrangement: &Arrangement, members: &[Vec<usize>], sets: &Sets) -> (Vec<FixedBitSet>, Vec<usize>) {
    let mut made = Sets::default();
    let of_set = sets
        .list
        .iter()
        .map(|set| {
            let mut classes = FixedBitSet::with_capacity(members.len());
            classes.extend((0..members.len()).filter(|&class| set.contains(arrangement.units[members[class][0]].scope)));
            made.number(&classes)
        })
        .collect();
    (made.list, of_set)
}
