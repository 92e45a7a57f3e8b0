//! Why a pod is not placed: the smallest set of its constraints that rules out every node there could be, each said in a
//! sentence with how near the nearest node comes.
//!
//! A pod that no node holds whatever is bought is judged against the NodePools' full limits; one that is left because others took
//! the room, against what the plan leaves of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::cluster::ClusterView;
use crate::domain::plan::UnplacedPod;
use crate::domain::pod::PodSpec;
use crate::domain::requirement::Requirement;
use crate::domain::resources::ResourceName;
use crate::planning::demand::Demand;
use crate::planning::hitting_set::smallest_hitting_set;
use crate::planning::limits::{LimitsLeft, limits_left};
use crate::planning::market::is_offering_label;
use crate::planning::obstacles::{LimitLeft, Obstacle, Place, Ruling, ruling};
use crate::planning::plan::Planned;
use crate::planning::supply::{Supply, Template};
use crate::planning::terms::{Term, TermKind};

/// Values and names that a sentence lists before it says how many more there are.
const MOST_LISTED: usize = 4;

/// The pods of `left` (indices into the cluster's pods) with their reasons.
pub(super) fn unplaced(cluster: &ClusterView, planned: &Planned, left: Vec<usize>) -> Vec<UnplacedPod> {
    let slack = limits_left(&planned.supply, planned.origins.iter().copied());
    let mut known: BTreeMap<(usize, &PodSpec), Vec<String>> = BTreeMap::new();
    left.into_iter()
        .map(|pod| {
            let (spec, class): (&PodSpec, usize) = (&cluster.pods[pod].spec, planned.demand.class_of[pod]);
            let found = || reasons(&planned.supply, &planned.demand, class, spec, &slack);
            let reasons = known.entry((class, spec)).or_insert_with(found).clone();
            UnplacedPod { pod, reasons }
        })
        .collect()
}

/// The smallest set of reasons why a pod of `spec` is not placed, as sentences. Never empty.
fn reasons(supply: &Supply, demand: &Demand, class: usize, spec: &PodSpec, slack: &LimitsLeft) -> Vec<String> {
    if supply.templates.iter().all(|template| template.standing.is_some()) {
        return vec!["there is no NodePool".to_owned()];
    }
    let whole = |_: usize, _: &str, limit: i64| limit;
    let intrinsic = smallest(&ruling(supply, spec, &whole), supply, spec, &whole);
    if !intrinsic.is_empty() {
        return intrinsic;
    }
    let rest =
        |node_pool: usize, resource: &str, limit: i64| slack.get(&(node_pool, resource.to_owned())).copied().unwrap_or(limit);
    let left_over = smallest(&ruling(supply, spec, &rest), supply, spec, &rest);
    let ties = ties(demand, class);
    if left_over.is_empty() && !ties.is_empty() {
        ties
    } else if left_over.is_empty() {
        vec!["the solver stopped before it found room, although a node for it could still be bought".to_owned()]
    } else {
        left_over
    }
}

/// The rules between pods that bear on a class, each as a sentence: together with the pods that are placed they leave no domain.
fn ties(demand: &Demand, class: usize) -> Vec<String> {
    let of = &demand.classes[class];
    let selected = |term: &Term| match &term.selector.labels {
        Some(labels) => format!("pods with {labels}"),
        None => "no pod".to_owned(),
    };
    let mut made = Vec::new();
    for &number in &of.ties.owns {
        let term = &demand.terms[number];
        let (key, pods) = (&term.key, selected(term));
        made.push(match &term.kind {
            TermKind::Near if demand.ranks[class].is_none() => {
                format!("must be near {pods} ({key}), and none of them can be bound before it")
            }
            TermKind::Near => format!("must be near {pods} ({key}), and no domain of theirs takes it"),
            TermKind::Apart => format!("must be apart from {pods} ({key}), and they are in every domain that could take it"),
            TermKind::Spread { max_skew, universe, .. } => {
                let domains = if universe.is_empty() { String::new() } else { format!(" over {}", listed(universe)) };
                format!("spreads {pods}{domains} ({key}) by at most {max_skew}, and one more would exceed that")
            }
        });
    }
    let guarding = of.ties.counted_by.iter().filter(|term| !of.ties.owns.contains(term)).map(|&number| &demand.terms[number]);
    for term in guarding.filter(|term| term.kind != TermKind::Near) {
        made.push(format!("other pods have a rule about {} ({}), and their domains do not take it", selected(term), term.key));
    }
    let ports = of.ties.ports.iter().map(|&port| format!("takes port {}, which is free on no node", demand.ports[port]));
    made.extend(ports.filter(|_| demand.classes.iter().filter(|other| !other.ties.ports.is_empty()).count() > 1));
    made
}

/// The smallest set of obstacles as sentences; empty when some place has none.
fn smallest(ruling: &Ruling, supply: &Supply, spec: &PodSpec, left: LimitLeft<'_>) -> Vec<String> {
    let family: BTreeSet<Vec<usize>> = ruling.places.keys().cloned().collect();
    let Some(chosen) = smallest_hitting_set(&family) else { return Vec::new() };
    let say = |&number: &usize| {
        // The places that this obstacle alone of the chosen ones rules out: without it the pod could have had one of them, as
        // far as the other reasons go.
        let alone = ruling.places.iter().filter(|(set, _)| {
            let mut met = set.iter().filter(|member| chosen.contains(member));
            met.next() == Some(&number) && met.next().is_none()
        });
        let places: Vec<Place> = alone.flat_map(|(_, places)| places.iter().copied()).collect();
        Sentence { supply, spec, places, left }.say(&ruling.obstacles[number])
    };
    chosen.iter().map(say).collect()
}

/// What a sentence about an obstacle draws on.
struct Sentence<'a> {
    supply: &'a Supply,
    spec: &'a PodSpec,
    /// The places that the obstacle rules out.
    places: Vec<Place>,
    left: LimitLeft<'a>,
}

impl Sentence<'_> {
    fn say(&self, obstacle: &Obstacle) -> String {
        match obstacle {
            Obstacle::Label { key, requirement } => self.label(key, requirement),
            Obstacle::Resource { name } => self.resource(name),
            Obstacle::Taint(taint) => format!("does not tolerate the taint {taint} of {}", self.pools()),
            Obstacle::Limit { node_pool, resource } => self.limit(*node_pool, resource),
            Obstacle::MinValues { node_pool, key } => self.min_values(*node_pool, key),
            Obstacle::NothingSold { node_pool } => {
                format!("the requirements of NodePool {} leave no instance type of the catalog", self.pool_name(*node_pool))
            }
        }
    }

    fn label(&self, key: &str, requirement: &Requirement) -> String {
        let mut offered: BTreeSet<String> = BTreeSet::new();
        for (template, offer) in self.offers() {
            offered.extend(label_values(template, offer, key));
        }
        let wanted = format!("requires {key} {requirement}");
        if offered.is_empty() {
            format!("{wanted}, a label that nodes of {} do not have", self.pools())
        } else {
            format!("{wanted}, but {} could only have {}", self.pools(), listed(&offered))
        }
    }

    fn resource(&self, name: &str) -> String {
        let room = |(template, offer): &(&Template, usize)| {
            let of_type = template.offers[*offer].of_type;
            template.types[of_type].room.for_pods.get(name)
        };
        let largest = self.offers().map(|place| room(&place)).max().unwrap_or(0);
        let needed = amount(name, self.spec.requests.get(name));
        let daemons =
            self.offers().any(|(template, offer)| template.types[template.offers[offer].of_type].room.daemons.get(name) > 0);
        let after = if daemons { " after its DaemonSets" } else { "" };
        match largest {
            0 => format!("needs {needed}; no node that {} allows has any to offer{after}", self.pools()),
            ..0 => format!("the DaemonSets of {} take more {name} than any node there has", self.pools()),
            _ => format!("needs {needed}; the largest node that {} allows offers {}{after}", self.pools(), amount(name, largest)),
        }
    }

    fn limit(&self, node_pool: usize, resource: &str) -> String {
        let usage = |(template, offer): (&Template, usize)| {
            let of_type = template.offers[offer].of_type;
            (template.limit_usage(of_type, resource), template.type_name(of_type).to_owned())
        };
        let name = self.pool_name(node_pool);
        let limit = self.supply.templates.iter().find(|template| template.node_pool == node_pool);
        let limit = limit.and_then(|template| template.limits.get(resource)).copied().unwrap_or(0);
        let left = (self.left)(node_pool, resource, limit).max(0);
        let (needed, of_type) = self.offers().map(usage).min().unwrap_or_default();
        let (total, needed) = (amount(resource, limit), amount(resource, needed));
        let smallest = format!("the smallest node that could hold the pod, {of_type}, takes {needed}");
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

    fn min_values(&self, node_pool: usize, key: &str) -> String {
        let mut covered: BTreeSet<String> = BTreeSet::new();
        for (template, offer) in self.offers() {
            covered.extend(label_values(template, offer, key));
        }
        let template = self.supply.templates.iter().find(|template| template.node_pool == node_pool);
        let wanted = template.and_then(|template| template.min_values.iter().find(|(other, _)| other == key));
        let wanted = wanted.map_or(0, |(_, wanted)| *wanted);
        let name = self.pool_name(node_pool);
        let found = covered.len();
        format!(
            "NodePool {name} wants {wanted} different values of {key} (minValues), and the offerings that would hold the pod have {found}"
        )
    }

    fn offers(&self) -> impl Iterator<Item = (&Template, usize)> {
        self.places.iter().filter_map(|&(template, offer)| Some((&self.supply.templates[template], offer?)))
    }

    fn pool_name(&self, node_pool: usize) -> &str {
        let template = self.supply.templates.iter().find(|template| template.node_pool == node_pool);
        template.map_or("", |template| &template.name)
    }

    /// `NodePool a`, `NodePools a and b`.
    fn pools(&self) -> String {
        let names: BTreeSet<String> =
            self.places.iter().map(|&(template, _)| self.supply.templates[template].name.clone()).collect();
        let noun = if names.len() == 1 { "NodePool" } else { "NodePools" };
        format!("{noun} {}", listed(&names))
    }
}

/// The values that `key` could have on a node of `offer`.
fn label_values(template: &Template, offer: usize, key: &str) -> Vec<String> {
    if is_offering_label(key) {
        return template.cell(offer).value(key).map(str::to_owned).into_iter().collect();
    }
    let in_market = template.types[template.offers[offer].of_type].in_market;
    let of_type = template.market.types[in_market].requirements.get(key);
    let finite = |requirement: Option<&Requirement>| requirement.and_then(Requirement::finite).cloned();
    // What the variant fixes is narrower than what the type could have.
    finite(template.requirements.get(key)).filter(|_| of_type.is_none()).or(finite(of_type)).into_iter().flatten().collect()
}

/// `a`, `a and b`, `a, b, c and 7 more`.
fn listed(names: &BTreeSet<String>) -> String {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    let more = names.len().saturating_sub(MOST_LISTED);
    let rest = format!("{more} more");
    if more > 0 {
        names.truncate(MOST_LISTED);
        names.push(&rest);
    }
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// An amount as a person says it: `191.69 cores`, `3.5 GiB`, `2 nvidia.com/gpu`, `1 node`.
pub(super) fn amount(resource: &str, amount: i64) -> String {
    let plural = |noun: &str| if amount == 1 { noun.to_owned() } else { format!("{noun}s") };
    match resource {
        ResourceName::CPU => {
            format!("{} {}", decimal(i128::from(amount)), if amount == 1_000 { "core" } else { "cores" })
        }
        ResourceName::MEMORY | ResourceName::EPHEMERAL_STORAGE => {
            let unit = if resource == ResourceName::MEMORY { "memory" } else { "ephemeral storage" };
            match (i128::from(amount) * 1_000) >> 30 {
                0 => format!("{amount} bytes of {unit}"),
                thousandths => format!("{} GiB of {unit}", decimal(thousandths)),
            }
        }
        ResourceName::PODS => format!("{amount} {}", plural("pod slot")),
        ResourceName::NODES => format!("{amount} {}", plural("node")),
        other => format!("{amount} {other}"),
    }
}

/// Thousandths as a decimal without trailing zeros.
fn decimal(thousandths: i128) -> String {
    let text =
        format!("{}{}.{:03}", if thousandths < 0 { "-" } else { "" }, thousandths.abs() / 1_000, thousandths.abs() % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_well() {
        let cases = [
            (ResourceName::CPU, 191_690, "191.69 cores"),
            (ResourceName::CPU, 1_000, "1 core"),
            (ResourceName::MEMORY, 3_758_096_384, "3.5 GiB of memory"),
            (ResourceName::MEMORY, 5, "5 bytes of memory"),
            (ResourceName::NODES, 1, "1 node"),
            (ResourceName::PODS, 29, "29 pod slots"),
            ("nvidia.com/gpu", 8, "8 nvidia.com/gpu"),
        ];
        for (resource, number, expected) in cases {
            assert_eq!(amount(resource, number), expected);
        }
    }

    #[test]
    fn lists_stay_short() {
        let names = |count: u8| (0..count).map(|n| char::from(b'a' + n).to_string()).collect::<BTreeSet<_>>();
        assert_eq!(listed(&names(1)), "a");
        assert_eq!(listed(&names(2)), "a and b");
        assert_eq!(listed(&names(6)), "a, b, c, d and 2 more");
    }
}
