//! What is said about an obstacle: what it rules out, with how near the nearest place comes, and what it would take to remove it.

use std::collections::BTreeSet;

use crate::domain::cluster::ClusterView;
use crate::domain::pod::PodSpec;
use crate::domain::requirement::Requirement;
use crate::domain::resources::{ResourceName, Resources};
use crate::domain::volume::VolumeFault;
use crate::planning::company::{Company, Stage, Tally};
use crate::planning::limits::{LimitsLeft, Row};
use crate::planning::market::is_offering_label;
use crate::planning::min_values::Cover;
use crate::planning::obstacles::{Obstacle, Place, Ruling};
use crate::planning::supply::{Supply, Template};
use crate::planning::terms::{Counts, TermKind};
use crate::planning::wording::{amount, domains_of, exact_amount, listed, pods_of};

/// Everything that sentences about one pod draw on.
pub(super) struct Sentences<'a> {
    pub(super) cluster: &'a ClusterView,
    pub(super) supply: &'a Supply,
    pub(super) company: &'a Company<'a>,
    /// What the plan leaves of the limits.
    pub(super) slack: &'a LimitsLeft,
    pub(super) ruling: &'a Ruling<'a>,
    pub(super) stage: Stage,
    /// Index of the pod.
    pub(super) pod: usize,
    /// What all the pods that have to share its node ask for.
    pub(super) together: Option<Resources>,
}

impl Sentences<'_> {
    /// Why the obstacle of this number, one of the smallest set `core`, rules places out. No full stop.
    pub(super) fn reason(&self, number: usize, core: &[usize]) -> String {
        let places = self.ruled_out_by(number, core);
        match &self.ruling.obstacles[number] {
            Obstacle::Label { key, requirement } => self.label(key, requirement, &places),
            Obstacle::Volume { name } => self.volume(name, &places),
            Obstacle::Resource { name } => self.resource(name, core, &places),
            Obstacle::Taint(taint) => format!("does not tolerate the taint {taint} of {}", self.owners(&places)),
            Obstacle::Between { term, own } => self.between(*term, *own, &places),
            Obstacle::Port(port) => {
                let mut taken: BTreeSet<String> =
                    places.iter().filter_map(|place| place.node).map(|node| self.company.nodes[node].name.clone()).collect();
                if taken.is_empty() {
                    taken.insert(format!("every node of {} that could hold it, by a DaemonSet", self.owners(&places)));
                }
                format!("takes port {port} of its node, which is taken on {}", listed(&taken))
            }
            Obstacle::Limit { node_pool, resource } => self.limit(*node_pool, resource, &places),
            Obstacle::Reserved { id } => {
                let free = self.supply.reservations.get(id).copied().unwrap_or(0);
                let instances = if free == 1 { "instance" } else { "instances" };
                format!("capacity reservation {id} has {free} free {instances}, and the plan uses them all")
            }
            Obstacle::SpotPool => {
                let cap = amount(ResourceName::CPU, self.supply.spot_cap.unwrap_or(0));
                let named = self
                    .offers(&places)
                    .filter_map(|(template, offer)| template.label_of_offer(crate::domain::labels::SPOT_POOL, offer));
                let pools = listed(&named.collect());
                format!(
                    "no Spot pool may have more than {cap} (max-spot-pool-share), and one more node would be too many in {pools}"
                )
            }
            Obstacle::MinValues { node_pool, key } => {
                let (name, wanted, found) = self.min_values(*node_pool, key, &places);
                format!(
                    "NodePool {name} wants {wanted} different values of {key} (minValues), and the offerings that would hold the pod have {found}"
                )
            }
            Obstacle::NothingSold { node_pool } => {
                format!("the requirements of NodePool {} leave no instance type of the catalog", self.pool_name(*node_pool))
            }
        }
    }

    /// What it takes to remove the obstacles `way`, which leaves a place; `None` for a way that leads nowhere.
    pub(super) fn remedy(&self, way: &[usize]) -> Option<String> {
        let open = self.ruling.places.iter().filter(|(set, _)| set.iter().all(|number| way.contains(number)));
        let places: Vec<Place> = open.flat_map(|(_, places)| places.iter().copied()).collect();
        let best = places.iter().copied().min_by_key(|place| (self.effort(way, place), *place))?;
        let steps: Vec<String> = way.iter().map(|&number| self.step(number, way, &best, &places)).collect();
        let template = &self.supply.templates[best.template];
        let place = match (best.node, best.offer) {
            (Some(node), _) => format!(", for room on {}", self.company.nodes[node].name),
            (None, Some(offer)) => {
                let cell = template.cell(offer);
                let of_type = template.type_name(template.offers[offer].of_type);
                format!(", for {of_type} ({}, {}) of NodePool {}", cell.zone, cell.capacity_type.as_str(), template.name)
            }
            (None, None) => String::new(),
        };
        Some(format!("{}{place}", steps.join(" and ")))
    }

    /// How much a place asks of the obstacles in `way`: by how many thousandths limits, skews and rooms are to be exceeded, then its
    /// cost.
    fn effort(&self, way: &[usize], place: &Place) -> (i128, i64) {
        let template = &self.supply.templates[place.template];
        let of = |number: &usize| match &self.ruling.obstacles[*number] {
            Obstacle::Limit { node_pool, resource } => {
                let (_, limit, needed) = self.raised(*node_pool, resource, place);
                i128::from(needed.saturating_sub(limit)) * 1_000 / i128::from(limit.max(1))
            }
            Obstacle::Resource { name } => {
                let asked = i128::from(self.asked(!self.in_bundle(way)).get(name));
                (asked - i128::from(self.room(place, name))) * 1_000 / asked.max(1)
            }
            Obstacle::Between { term, .. } => i128::from(self.skew(*term, place).unwrap_or(0)) * 1_000,
            _ => 0,
        };
        let cost = place.offer.filter(|_| place.node.is_none()).map_or(0, |offer| template.cost(offer).micros());
        (way.iter().map(of).sum(), cost)
    }

    /// What is to be done about one obstacle for the pod to get `best`; `places` are all that open up.
    fn step(&self, number: usize, way: &[usize], best: &Place, places: &[Place]) -> String {
        match &self.ruling.obstacles[number] {
            Obstacle::Label { key, requirement } => format!("drop the requirement {key} {requirement}"),
            Obstacle::Volume { name } => match (self.fault(name), self.domain(crate::domain::labels::ZONE, best)) {
                (Some(fault), _) => fault.mend(),
                (None, Some(zone)) => format!("move the volume of its claim {name} to {zone}"),
                (None, None) => format!("let the volume of its claim {name} be attached anywhere"),
            },
            Obstacle::Resource { name } => {
                let together = if self.together.is_some() && !self.in_bundle(way) { " for all that share its node" } else { "" };
                format!("ask for at most {}{together}", amount(name, self.room(best, name).max(0)))
            }
            Obstacle::Taint(taint) => format!("tolerate the taint {taint}"),
            Obstacle::Between { term, own } => self.loosened(*term, *own, best),
            Obstacle::Port(port) => format!("take another port than {port}"),
            Obstacle::Limit { node_pool, resource } => {
                let (name, limit, needed) = self.raised(*node_pool, resource, best);
                let (limit, needed) = (exact_amount(resource, limit), exact_amount(resource, needed));
                format!("raise the limit of NodePool {name} from {limit} to {needed}")
            }
            Obstacle::Reserved { id } => format!("have one more free instance in capacity reservation {id}"),
            Obstacle::SpotPool => "raise --max-spot-pool-share".to_owned(),
            Obstacle::MinValues { node_pool, key } => {
                let (name, wanted, found) = self.min_values(*node_pool, key, places);
                format!("lower minValues of {key} in NodePool {name} from {wanted} to {found}")
            }
            Obstacle::NothingSold { node_pool } => {
                format!("let the requirements of NodePool {} leave an instance type that holds it", self.pool_name(*node_pool))
            }
        }
    }

    /// The places that this obstacle alone of `core` rules out: without it the pod could have had one of them, as far as the others
    /// go. All that it rules out where several offerings have to come together.
    fn ruled_out_by(&self, number: usize, core: &[usize]) -> Vec<Place> {
        let value = matches!(self.ruling.obstacles[number], Obstacle::MinValues { .. });
        let alone = |set: &[usize]| {
            let met: Vec<usize> = set.iter().filter(|member| core.contains(member)).copied().collect();
            if value { met.iter().all(|&met| met == number) } else { met == [number] }
        };
        let of = |sets: &dyn Fn(&[usize]) -> bool| -> Vec<Place> {
            let found = self.ruling.places.iter().filter(|(set, _)| sets(set));
            found.flat_map(|(_, places)| places.iter().copied()).collect()
        };
        let places = of(&alone);
        if places.is_empty() { of(&|set| set.contains(&number)) } else { places }
    }

    fn label(&self, key: &str, requirement: &Requirement, places: &[Place]) -> String {
        let mut offered: BTreeSet<String> = BTreeSet::new();
        for (template, offer) in self.offers(places) {
            offered.extend(label_values(template, offer, key));
        }
        let wanted = format!("requires {key} {requirement}");
        if offered.is_empty() {
            format!("{wanted}, a label that nodes of {} do not have", self.owners(places))
        } else {
            format!("{wanted}, but {} could only have {}", self.owners(places), listed(&offered))
        }
    }

    /// Where a volume can be attached, or why it cannot.
    fn volume(&self, name: &str, places: &[Place]) -> String {
        if let Some(fault) = self.fault(name) {
            return format!("the volume of its claim {name} cannot be attached: {fault}");
        }
        let of_volume = self.spec().volumes.iter().filter(|volume| volume.name == name).flat_map(|volume| &volume.places);
        let wanted: BTreeSet<String> = of_volume
            .map(|terms| terms.iter().map(|(key, wanted)| format!("{key} {wanted}")).collect::<Vec<_>>().join(" and "))
            .collect();
        let zones: BTreeSet<String> = places.iter().filter_map(|place| self.domain(crate::domain::labels::ZONE, place)).collect();
        let could = if zones.is_empty() { String::new() } else { format!(" ({})", listed(&zones)) };
        let wanted = wanted.into_iter().collect::<Vec<_>>().join(" or ");
        format!("the volume of its claim {name} can be attached only where {wanted}, which {}{could} is not", self.owners(places))
    }

    fn fault(&self, name: &str) -> Option<&VolumeFault> {
        self.spec().volumes.iter().find(|volume| volume.name == name).and_then(|volume| volume.fault.as_ref())
    }

    fn resource(&self, name: &str, core: &[usize], places: &[Place]) -> String {
        let largest = places.iter().map(|place| self.room(place, name)).max().unwrap_or(0);
        let needed = amount(name, self.asked(self.in_bundle(core)).get(name));
        let takes =
            |(template, offer): (&Template, usize)| template.types[template.offers[offer].of_type].room.daemons.get(name) > 0;
        let after = if self.offers(places).any(takes) { " after its DaemonSets" } else { "" };
        let owners = self.owners(places);
        let together = if self.in_bundle(core) { " together with those that have to share its node" } else { "" };
        match largest {
            0 => format!("needs {needed}{together}; no node that {owners} allows has any to offer{after}"),
            ..0 => format!("the DaemonSets of {owners} take more {name} than any node there has"),
            _ => {
                let most = amount(name, largest);
                format!("needs {needed}{together}; the largest node that {owners} allows offers {most}{after}")
            }
        }
    }

    fn limit(&self, node_pool: usize, resource: &str, places: &[Place]) -> String {
        let usage = |(template, offer): (&Template, usize)| {
            let of_type = template.type_name(template.offers[offer].of_type).to_owned();
            (template.limit_usage(offer, resource), of_type)
        };
        let name = self.pool_name(node_pool);
        let limit = self.limit_of(node_pool, resource);
        let left = if self.stage == Stage::Ever { limit } else { self.left(node_pool, resource).max(0) };
        let (needed, of_type) = self.offers(places).map(usage).min().unwrap_or_default();
        let (total, needed) = (amount(resource, limit), amount(resource, needed));
        let smallest = if resource == ResourceName::NODES {
            "the pod needs one more".to_owned()
        } else {
            let which = if resource == ResourceName::COST { "cheapest" } else { "smallest" };
            format!("the {which} node that could hold the pod, {of_type}, takes {needed}")
        };
        let standing = |template: &Template| template.standing.is_some() && template.node_pool == node_pool;
        let limit_left = if self.supply.templates.iter().any(standing) {
            format!("what the nodes that exist leave of the limit of NodePool {name}, {total},")
        } else {
            format!("the limit of {total} of NodePool {name}")
        };
        if left == limit {
            format!("{limit_left} is too low: {smallest}")
        } else {
            format!("{limit_left} leaves {}, and {smallest}", amount(resource, left))
        }
    }

    /// A rule between pods, and where those who stand under it are.
    fn between(&self, number: usize, own: bool, places: &[Place]) -> String {
        let tally = &self.company.tallies[number];
        let (term, key) = (&tally.term, tally.term.key.as_str());
        let pods = pods_of(term);
        let closed: BTreeSet<String> = places.iter().filter_map(|place| self.domain(key, place)).collect();
        let lacking = places.iter().all(|place| self.domain(key, place).is_none());
        match (&term.kind, own) {
            _ if own && lacking && term.kind.needs_label() => {
                format!(
                    "has a rule about {pods} over {}, and {} has nodes without that label",
                    domains_of(key),
                    self.owners(places)
                )
            }
            (TermKind::Spread { max_skew, .. }, _) => {
                let says = format!("{pods} over {} by at most {max_skew} (maxSkew)", domains_of(key));
                let counts = self.counts(tally, &closed);
                let least = self.least(number);
                if own {
                    format!("spreads {says}: {counts}, and {least}")
                } else {
                    format!("others spread {says}: {counts} with some of them, and {least}")
                }
            }
            (TermKind::Near, true) if self.company.bundling(self.pod) == Some(number) => {
                format!("has to share one node with all {pods}: its affinity under {key} is satisfied by nobody else")
            }
            (TermKind::Near, true) => self.near(number, tally),
            (TermKind::Near, false) => {
                let owners = self.names(key, &tally.owners(self.stage));
                format!("others need {pods} near to them and stand in {owners}, so one more may stand nowhere else ({key})")
            }
            (TermKind::Most { .. }, _) => self.most(tally, &closed),
            (TermKind::Apart, true) => {
                format!("must be apart from {pods} over {}, and they are in {}", domains_of(key), self.names(key, &closed))
            }
            (TermKind::Apart, false) => {
                let closed = self.names(key, &closed);
                format!("others must be apart from {pods} over {}, and they are in {closed}", domains_of(key))
            }
        }
    }

    /// What a workload asks of all its pods together.
    fn most(&self, tally: &Tally, closed: &BTreeSet<String>) -> String {
        let (TermKind::Most { most, named }, Counts::OfWorkload(rules)) = (&tally.term.kind, &tally.term.counts) else {
            return String::new();
        };
        let pods = pods_of(&tally.term);
        match named {
            Some(named) => {
                let Some(floor) = rules.on_demand_floor else {
                    return format!("none of the {pods} may be on Spot (max-spot-pool-share)");
                };
                let here: u32 = named.names.iter().map(|domain| tally.count(domain, self.stage)).sum();
                format!("{floor} of the {pods} must not be on Spot (on-demand-floor), so at most {most} may, and {here} are")
            }
            None => {
                let share = rules.max_spot_pool_share.map(|share| share.to_string()).unwrap_or_default();
                format!(
                    "at most {share} of the {pods} may be in one Spot pool (max-spot-pool-share): {}",
                    self.counts(tally, closed)
                )
            }
        }
    }

    fn near(&self, number: usize, tally: &Tally) -> String {
        let (term, key) = (&tally.term, tally.term.key.as_str());
        let wants = format!("must be near {} over {}", pods_of(term), domains_of(key));
        let filled = tally.filled(self.stage);
        if !filled.is_empty() {
            format!("{wants}, and they are in {}, where no place is left for it", self.names(key, &filled))
        } else if self.company.others_counted(self.pod, number) == 0 {
            format!("{wants}, and there is none")
        } else if self.stage == Stage::Ever {
            format!("{wants}, and none of them can be bound before it where it could go")
        } else {
            format!("{wants}, and none of them is placed")
        }
    }

    /// How the least filled domain of a spread stands.
    fn least(&self, number: usize) -> String {
        let tally = &self.company.tallies[number];
        let least = self.company.least(number, self.stage);
        match &tally.term.kind {
            TermKind::Spread { grounded: true, .. } if tally.term.is_per_node() => "a node may be empty".to_owned(),
            TermKind::Spread { grounded: true, .. } => {
                "with fewer domains than minDomains the least filled one counts as empty".to_owned()
            }
            _ => {
                let domains = self.names(&tally.term.key, &self.company.least_filled(number, self.stage));
                let can = if self.stage == Stage::Ever { "can have at most" } else { "has" };
                format!("the least filled, {domains}, {can} {least}")
            }
        }
    }

    /// `us-east-1a has 3, us-east-1b has 2`.
    fn counts(&self, tally: &Tally, domains: &BTreeSet<String>) -> String {
        let count = |domain: &String| {
            let name = self.company.name_of(&tally.term.key, domain);
            format!("{name} has {}", tally.count(domain, self.stage))
        };
        listed(&domains.iter().map(count).collect())
    }

    fn names(&self, key: &str, domains: &BTreeSet<String>) -> String {
        listed(&domains.iter().map(|domain| self.company.name_of(key, domain)).collect())
    }

    /// What it takes of a rule between pods for the pod to get `place`.
    fn loosened(&self, number: usize, own: bool, place: &Place) -> String {
        let term = &self.company.tallies[number].term;
        let (pods, over) = (pods_of(term), domains_of(&term.key));
        let whose = if own { "its" } else { "the others'" };
        match (&term.kind, self.skew(number, place)) {
            (TermKind::Spread { max_skew, .. }, Some(skew)) => {
                format!("raise maxSkew of {whose} spread of {pods} over {over} from {max_skew} to {skew}")
            }
            (TermKind::Spread { .. }, None) => format!("drop {whose} spread of {pods} over {over}"),
            (TermKind::Near, _) if matches!(term.counts, Counts::OfClaim(_)) => {
                format!("give it a claim of its own, not that of {pods}")
            }
            (TermKind::Near, _) => format!("drop {whose} affinity to {pods} over {over}"),
            (TermKind::Apart, _) => format!("drop {whose} anti-affinity to {pods} over {over}"),
            (TermKind::Most { most: 1.., named: Some(_) }, _) => format!("lower the on-demand-floor of the {pods}"),
            (TermKind::Most { named: Some(_), .. }, _) => format!("let the {pods} be on Spot"),
            (TermKind::Most { named: None, .. }, _) => format!("raise the max-spot-pool-share of the {pods}"),
        }
    }

    /// The `maxSkew` under which a spread constraint admits the pod at `place`; `None` where there is no such domain, or no spread.
    fn skew(&self, number: usize, place: &Place) -> Option<u32> {
        let tally = &self.company.tallies[number];
        let TermKind::Spread { .. } = tally.term.kind else { return None };
        let domain = self.domain(&tally.term.key, place)?;
        let here = tally.count(&domain, self.stage) + u32::from(self.company.is_counted(self.pod, number));
        Some(here.saturating_sub(self.company.least(number, self.stage)))
    }

    /// NodePool, how many values it wants of `key`, and how many the offers of `places` have.
    fn min_values(&self, node_pool: usize, key: &str, places: &[Place]) -> (&str, u32, usize) {
        let mut best = (0, 0);
        for (number, template) in self.supply.templates.iter().enumerate() {
            let Some(at) = template.min_values.iter().position(|(other, _)| other == key) else { continue };
            if template.node_pool != node_pool || template.standing.is_some() {
                continue;
            }
            let mut cover = Cover::new(template);
            for offer in places.iter().filter(|place| place.template == number).filter_map(|place| place.offer) {
                cover.add(offer);
            }
            let wanted = template.min_values[at].1;
            best = best.max((cover.counts().nth(at).unwrap_or(0), wanted));
        }
        (self.pool_name(node_pool), best.1, best.0)
    }

    /// NodePool, its limit, and the limit with which the plan may buy a node for `place` as well.
    fn raised(&self, node_pool: usize, resource: &str, place: &Place) -> (&str, i64, i64) {
        let limit = self.cluster.node_pools.get(node_pool).and_then(|pool| pool.limits.get(resource)).copied().unwrap_or(0);
        let template = &self.supply.templates[place.template];
        let usage = place.offer.map_or(0, |offer| template.limit_usage(offer, resource));
        let more = usage.saturating_sub(self.left(node_pool, resource)).max(0);
        (self.pool_name(node_pool), limit, limit.saturating_add(more))
    }

    /// What the plan leaves of a limit.
    fn left(&self, node_pool: usize, resource: &str) -> i64 {
        self.slack.get(&Row::limit(node_pool, resource)).copied().unwrap_or(i64::MAX)
    }

    /// What the nodes that exist leave of a limit.
    fn limit_of(&self, node_pool: usize, resource: &str) -> i64 {
        let bought = self.supply.templates.iter().filter(|template| template.standing.is_none());
        let template = bought.into_iter().find(|template| template.node_pool == node_pool);
        template.and_then(|template| template.limits.get(resource)).copied().unwrap_or(0)
    }

    fn spec(&self) -> &PodSpec {
        &self.cluster.pods[self.pod].spec
    }

    /// Whether `set` has the affinity that makes pods share a node.
    fn in_bundle(&self, set: &[usize]) -> bool {
        let Some(bundling) = self.company.bundling(self.pod) else { return false };
        set.iter().any(|&number| self.ruling.obstacles[number] == Obstacle::Between { term: bundling, own: true })
    }

    /// What has to fit: what the pod asks for, or `together` with those that have to share its node.
    fn asked(&self, together: bool) -> &Resources {
        self.together.as_ref().filter(|_| together).unwrap_or(&self.spec().requests)
    }

    fn room(&self, place: &Place, name: &str) -> i64 {
        let template = &self.supply.templates[place.template];
        let of = |offer: usize| template.types[template.offers[offer].of_type].room.for_pods.get(name);
        match place.node {
            Some(node) => self.company.nodes[node].room(self.stage).get(name),
            None => place.offer.map_or(0, of),
        }
    }

    fn domain(&self, key: &str, place: &Place) -> Option<String> {
        match place.node {
            Some(node) => self.company.domain(key, &self.company.nodes[node]),
            None if key == crate::domain::labels::HOSTNAME => None,
            None => self.supply.templates[place.template].label_of_offer(key, place.offer?),
        }
    }

    fn offers<'s>(&'s self, places: &'s [Place]) -> impl Iterator<Item = (&'s Template, usize)> {
        places.iter().filter_map(|place| Some((&self.supply.templates[place.template], place.offer?)))
    }

    fn pool_name(&self, node_pool: usize) -> &str {
        self.cluster.node_pools.get(node_pool).map_or("", |pool| &pool.name)
    }

    /// `NodePool a`, `NodePools a and b`, `the nodes that exist`.
    fn owners(&self, places: &[Place]) -> String {
        let (mut pools, mut exist) = (BTreeSet::new(), false);
        for place in places {
            let template = &self.supply.templates[place.template];
            if template.standing.is_some() {
                exist = true;
            } else {
                pools.insert(template.name.clone());
            }
        }
        let noun = if pools.len() == 1 { "NodePool" } else { "NodePools" };
        match (pools.is_empty(), exist) {
            (false, false) => format!("{noun} {}", listed(&pools)),
            (false, true) => format!("{noun} {} and the nodes that exist", listed(&pools)),
            (true, _) => "the nodes that exist".to_owned(),
        }
    }
}

/// The values that `key` could have on a node of `offer`.
fn label_values(template: &Template, offer: usize, key: &str) -> Vec<String> {
    if let Some(standing) = &template.standing {
        return standing.labels.get(key).into_iter().cloned().collect();
    }
    if is_offering_label(key) {
        return template.cell(offer).value(key).map(str::to_owned).into_iter().collect();
    }
    let in_market = template.types[template.offers[offer].of_type].in_market;
    let of_type = template.market.types[in_market].requirements.get(key);
    let finite = |requirement: Option<&Requirement>| requirement.and_then(Requirement::finite).cloned();
    // What the variant fixes is narrower than what the type could have.
    finite(template.requirements.get(key)).filter(|_| of_type.is_none()).or(finite(of_type)).into_iter().flatten().collect()
}
