//! What a plan amounts to: like nodes together, utilisation, totals, and the sentences that every output repeats.

use std::collections::{BTreeMap, BTreeSet};

use super::Report;
use crate::domain::catalog::{CapacityType, Catalog, PriceKind};
use crate::domain::cluster::ClusterView;
use crate::domain::commitment::{Covers, Pool};
use crate::domain::interruption::RestartCost;
use crate::domain::money::{HOURS_PER_MONTH, UsdPerHour};
use crate::domain::node_overlay::NodeOverlay;
use crate::domain::node_overlay::evaluation::Overlays;
use crate::domain::plan::{MeetingCost, PlannedNode, StopReason, UnmetPreference, WhyLeft};
use crate::domain::resources::{ResourceName, Resources};

/// Nodes of one NodePool, type, zone, capacity type and cost, which stand next to each other in a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Group<'a> {
    /// Index of the first node in the plan; the others follow it.
    pub first: usize,
    /// How many.
    pub nodes: usize,
    /// The first of them: what the others share with it is its NodePool, offering and cost.
    pub sample: &'a PlannedNode,
    /// Pods on all of them.
    pub pods: usize,
    /// Requests of pods and DaemonSets on all of them.
    pub used: Resources,
    /// What all of them offer.
    pub allocatable: Resources,
}

impl Group<'_> {
    /// `4`, or `4-7`: the indices that `explain node` takes.
    #[must_use]
    pub fn indices(&self) -> String {
        match self.nodes {
            1 => self.first.to_string(),
            count => format!("{}-{}", self.first, self.first + count - 1),
        }
    }

    /// What all of them cost.
    #[must_use]
    pub fn cost(&self) -> UsdPerHour {
        // A plan has far fewer than 2^63 nodes.
        self.sample.cost() * i64::try_from(self.nodes).unwrap_or(i64::MAX)
    }

    /// What interruptions of all of them are expected to cost.
    #[must_use]
    pub fn interruptions(&self) -> UsdPerHour {
        self.sample.offering.interruptions * i64::try_from(self.nodes).unwrap_or(i64::MAX)
    }

    /// What is put before the price.
    #[must_use]
    pub fn mark(&self) -> &'static str {
        mark(self.sample.offering.price_kind)
    }
}

/// What is put before a price that AWS does not list: `~` where it is an estimate, `*` where a NodeOverlay is part of it.
#[must_use]
pub fn mark(kind: PriceKind) -> &'static str {
    match kind {
        PriceKind::Listed => "",
        PriceKind::Estimated => "~",
        PriceKind::Overlaid => "*",
        PriceKind::OverlaidEstimate => "~*",
    }
}

/// The nodes of a plan, like ones together, in the plan's order.
#[must_use]
pub fn groups<'a>(nodes: &'a [PlannedNode]) -> Vec<Group<'a>> {
    let mut made: Vec<Group<'a>> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let alike = |sample: &PlannedNode| {
            sample.node_pool == node.node_pool && sample.offering == node.offering && sample.cost() == node.cost()
        };
        if !made.last().is_some_and(|group| alike(group.sample)) {
            made.push(Group {
                first: index,
                nodes: 0,
                sample: node,
                pods: 0,
                used: Resources::new(),
                allocatable: Resources::new(),
            });
        }
        if let Some(group) = made.last_mut() {
            group.nodes += 1;
            group.pods += node.pods.len();
            group.used.add(&node.requests);
            group.used.add(&node.daemons);
            group.allocatable.add(&node.allocatable);
        }
    }
    made
}

/// `87 %`: how much of a resource is asked for; `-` where nothing is offered.
#[must_use]
pub fn utilisation(used: &Resources, allocatable: &Resources, resource: &str) -> String {
    match allocatable.get(resource) {
        offered if offered > 0 => format!("{:.0} %", used.get(resource) as f64 * 100.0 / offered as f64),
        _ => "-".to_owned(),
    }
}

/// The resources that pods ask for besides CPU, memory, storage and pod slots, by name: GPUs and the like.
#[must_use]
pub fn extended_resources(groups: &[Group<'_>]) -> Vec<String> {
    let plain = [ResourceName::CPU, ResourceName::MEMORY, ResourceName::EPHEMERAL_STORAGE, ResourceName::PODS];
    let mut names = BTreeSet::new();
    for group in groups {
        names.extend(group.used.iter().map(|(name, _)| name.as_str()).filter(|name| !plain.contains(name)).map(str::to_owned));
    }
    names.into_iter().collect()
}

/// Dollars with four decimals, rounded: enough for a person, and columns of one shape. The JSON output has every digit.
#[must_use]
pub fn dollars(amount: UsdPerHour) -> String {
    format!("{:.4}", amount.dollars())
}

/// `$3,010 a month`, in whole dollars above 100 and cents below.
#[must_use]
pub fn per_month(amount: UsdPerHour) -> String {
    let month = (amount * HOURS_PER_MONTH).dollars();
    if month.abs() < 100.0 {
        format!("${month:.2} a month")
    } else {
        format!("${} a month", with_thousands(month.round() as i64))
    }
}

fn with_thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// `1 pod`, `2 pods`.
#[must_use]
pub fn count(number: usize, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {word}{plural}", with_thousands(i64::try_from(number).unwrap_or(i64::MAX)))
}

/// Share in per cent, with as many decimals as it takes to tell it from zero (three at most).
#[must_use]
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    if value >= 10.0 {
        format!("{value:.1} %")
    } else if value >= 0.095 {
        format!("{value:.2} %")
    } else {
        format!("{value:.3} %")
    }
}

/// How near the plan is to the optimum.
#[must_use]
pub fn proof(report: &Report<'_>) -> String {
    let plan = report.plan;
    if plan.stopped_by == StopReason::Optimal {
        return "proven optimal: no plan under the same rules costs less".to_owned();
    }
    let included = if report.restart_cost > RestartCost::ZERO { ", interruptions included" } else { "" };
    format!(
        "no plan costs less than ${}/h{included}, so at most {} could still be saved",
        dollars(plan.bound),
        percent(plan.gap()).trim_start_matches('-')
    )
}

/// What first-fit would have bought.
#[must_use]
pub fn first_fit(report: &Report<'_>) -> String {
    let yardstick = report.plan.first_fit;
    let saved = yardstick.cost - (report.plan.cost + report.plan.interruptions);
    let left = if yardstick.unplaced > report.plan.unplaced.len() {
        format!(" and leave {}", count(yardstick.unplaced, "pod"))
    } else {
        String::new()
    };
    let included = if report.restart_cost > RestartCost::ZERO { " with interruptions" } else { "" };
    let bought = format!("would buy {} for ${}/h{included}{left}", count(yardstick.nodes, "node"), dollars(yardstick.cost));
    if saved > UsdPerHour::ZERO {
        let share = percent(saved.dollars() / yardstick.cost.dollars());
        format!("{bought}; this plan saves ${}/h ({share}, {})", dollars(saved), per_month(saved))
    } else {
        bought
    }
}

/// What interruptions are expected to cost; `None` where they count as nothing.
#[must_use]
pub fn interruptions(report: &Report<'_>) -> Option<String> {
    let is_spot = |node: &&PlannedNode| node.offering.capacity_type == CapacityType::Spot;
    let nodes = count(report.plan.nodes.iter().filter(is_spot).count(), "Spot node");
    let (sum, each) = (dollars(report.plan.interruptions), report.restart_cost.dollars());
    (report.restart_cost > RestartCost::ZERO)
        .then(|| format!("expected to cost ${sum}/h more, which nobody charges: {nodes}, ${each} for each interruption"))
}

/// Why and when the solver stopped.
#[must_use]
pub fn stopped(report: &Report<'_>) -> String {
    let why = match report.plan.stopped_by {
        StopReason::Optimal => "at the optimum",
        StopReason::GapReached => "at the gap that was asked for",
        StopReason::WorkLimit => "at the work limit",
        StopReason::Deadline => "at the deadline: another run may find another plan",
    };
    format!("{why}, after {:.2} s", report.elapsed.as_secs_f64())
}

/// What goes to nodes that exist: `12 pods go to 3 nodes that exist, where room costs nothing: a, b and 1 more`.
#[must_use]
pub fn existing(report: &Report<'_>) -> Option<String> {
    const NAMED: usize = 3;
    let used = &report.plan.existing;
    let pods: usize = used.iter().map(|used| used.pods.len()).sum();
    let mut names: Vec<String> = used.iter().take(NAMED).map(|used| report.cluster.nodes[used.node].name.clone()).collect();
    if used.len() > NAMED {
        names.push(format!("{} more", used.len() - NAMED));
    }
    let go = if pods == 1 { "goes" } else { "go" };
    let (pods, nodes) = (count(pods, "pod"), count(used.len(), "node"));
    let exist = if used.len() == 1 { "exists" } else { "exist" };
    (!used.is_empty()).then(|| format!("{pods} {go} to {nodes} that {exist}, where room costs nothing: {}", names.join(", ")))
}

/// What is used of each capacity reservation: `2 nodes are instances of cr-0a1b, which has 3 free`.
#[must_use]
pub fn reserved(report: &Report<'_>) -> Vec<String> {
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    report
        .plan
        .nodes
        .iter()
        .filter_map(|node| node.offering.reservation.as_ref())
        .for_each(|id| *used.entry(id).or_default() += 1);
    let sentence = |(id, nodes): (&str, usize)| {
        let known = report.cluster.node_classes.values().flat_map(|class| &class.capacity_reservations);
        let free = known.filter(|reservation| reservation.id == id).map(|reservation| reservation.free).min().unwrap_or(0);
        let are = if nodes == 1 { "is an instance" } else { "are instances" };
        format!("{} {are} of capacity reservation {id}, which has {free} free and is paid for anyway", count(nodes, "node"))
    };
    used.into_iter().map(sentence).collect()
}

/// What is used of each commitment and what is not; nothing where there are none.
#[must_use]
pub fn commitments(report: &Report<'_>) -> Vec<String> {
    let sentence = |of: CommitmentUse<'_>| {
        let covers = &of.pool.covers;
        let amount = |amount: i64| match covers {
            Covers::FamilyUsage { .. } | Covers::Usage(_) => format!("${}/h", dollars(UsdPerHour::from_micros(amount))),
            Covers::Family(_) => (amount as f64 / QUARTERS).to_string(),
            Covers::TypeInZone { .. } | Covers::Type(_) => amount.to_string(),
        };
        let of_what = match covers {
            Covers::FamilyUsage { .. } | Covers::Usage(_) => String::new(),
            Covers::Family(family) => format!(" normalised units of {family}"),
            Covers::TypeInZone { instance_type, zone } => format!(" {instance_type} in {zone}"),
            Covers::Type(instance_type) => format!(" {instance_type}"),
        };
        let running = if of.by_existing > 0 { format!(", nodes that exist {}", amount(of.by_existing)) } else { String::new() };
        format!(
            "{} {}, {}{of_what}: this plan uses {}{running}, {} unused",
            covers.kind(),
            of.pool.name(),
            amount(of.pool.amount),
            amount(of.by_plan),
            amount(of.pool.amount - of.by_existing - of.by_plan)
        )
    };
    commitment_uses(report).into_iter().map(sentence).collect()
}

/// What amounts of Reserved Instances of a family are counted in, per normalised unit.
const QUARTERS: f64 = 4.0;

/// What is used of a pool of commitments, in its unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitmentUse<'a> {
    /// The pool.
    pub pool: &'a Pool,
    /// By nodes that exist.
    pub by_existing: i64,
    /// By nodes of the plan.
    pub by_plan: i64,
}

/// What is used of each pool of commitments, in their order.
#[must_use]
pub fn commitment_uses<'a>(report: &Report<'a>) -> Vec<CommitmentUse<'a>> {
    let commitments = &report.cluster.commitments;
    let left = commitments.left_by(&report.cluster.nodes, report.catalog);
    let covers = || report.plan.nodes.iter().flat_map(|node| &node.covers);
    let of = |(number, (pool, left)): (usize, (&'a Pool, i64))| CommitmentUse {
        pool,
        by_existing: pool.amount - left,
        by_plan: covers().filter(|cover| cover.pool == number).map(|cover| cover.drawn).sum(),
    };
    commitments.pools.iter().zip(left).enumerate().map(of).collect()
}

/// The soft rule of an unmet preference in words.
#[must_use]
pub fn preference(report: &Report<'_>, of: &UnmetPreference) -> String {
    let rules = report.cluster.pods.get(of.pod).map(|pod| pod.spec.soft_rules());
    let rule = rules.as_ref().and_then(|rules| rules.get(of.rule));
    rule.map_or_else(|| format!("soft rule {}", of.rule), |(_, rule)| rule.to_string())
}

/// Unmet preferences that are listed; the others are counted only.
const MOST_UNMET: usize = 5;

/// The preferences that are not met: what they are worth together, then those that are worth most. Empty where every one is met.
#[must_use]
pub fn unmet(report: &Report<'_>) -> Vec<String> {
    let plan = report.plan;
    if plan.unmet.is_empty() {
        return Vec::new();
    }
    let mut dearest: Vec<&UnmetPreference> = plan.unmet.iter().collect();
    dearest.sort_by_key(|of| (std::cmp::Reverse(of.worth * i64::from(of.pods)), of.pod, of.rule));
    let priced = plan.forgone > UsdPerHour::ZERO;
    let worth = if priced { format!(", worth ${}/h to their pods", dollars(plan.forgone)) } else { String::new() };
    let of_one = |of: &&UnmetPreference| {
        let workload = report
            .cluster
            .pods
            .get(of.pod)
            .map_or_else(String::new, |pod| format!("{} {}: ", pod.workload.kind, pod.workload.name));
        let pods = count(of.pods as usize, "pod");
        let worth = if of.worth > UsdPerHour::ZERO { format!(", worth ${}/h each", dollars(of.worth)) } else { String::new() };
        let meeting = match of.meeting {
            Some(MeetingCost::AtMost(cost)) => format!("; met, the plan would cost ${}/h more", dollars(cost)),
            Some(MeetingCost::LeavesPods) => "; met, it would leave pods unplaced".to_owned(),
            None => String::new(),
        };
        format!("{workload}{pods} not {}{worth}{meeting}", preference(report, of))
    };
    let listed = dearest.iter().take(MOST_UNMET).map(of_one);
    let more = plan.unmet.len().saturating_sub(MOST_UNMET);
    let rest = (more > 0).then(|| format!("and {more} more"));
    std::iter::once(format!("{} unmet{worth}", count(plan.unmet.len(), "preference"))).chain(listed).chain(rest).collect()
}

/// How many nodes of the plan have an estimated price.
#[must_use]
pub fn estimated_nodes(report: &Report<'_>) -> usize {
    report.plan.nodes.iter().filter(|node| node.offering.price_kind.is_estimate()).count()
}

/// What is loudly said where prices are estimates; `None` when every price of the plan is a listed one.
#[must_use]
pub fn estimate_warning(report: &Report<'_>) -> Option<String> {
    let nodes = estimated_nodes(report);
    (nodes > 0).then(|| {
        let verb = if nodes == 1 { "has" } else { "have" };
        let estimated = report.plan.nodes.iter().filter(|node| node.offering.price_kind.is_estimate());
        let only_spot = estimated.map(|node| node.offering.capacity_type).all(|kind| kind == CapacityType::Spot);
        let what = if only_spot { "Spot price" } else { "price" };
        format!("{} {verb} an ESTIMATED {what}, not an observed one; give real prices with --catalog", count(nodes, "node"))
    })
}

/// The NodeOverlay that decides the price of `node`; `None` where the catalog does.
#[must_use]
pub fn overlay_of<'a>(overlays: &Overlays<'a>, report: &Report<'a>, node: &PlannedNode) -> Option<&'a NodeOverlay> {
    let pool = report.cluster.node_pools.iter().find(|pool| pool.name == node.node_pool)?;
    let (of_pool, offering) = (overlays.of_pool(pool)?, &node.offering);
    let of_type = of_pool.of_type(report.catalog.get(&offering.instance_type)?);
    of_type.price_of(&offering.zone, offering.capacity_type, offering.reservation.as_deref())
}

/// How many nodes have their price from each NodeOverlay, by its name.
#[must_use]
pub fn overlaid(report: &Report<'_>) -> Vec<String> {
    let overlays = Overlays::new(report.cluster, report.catalog);
    let mut nodes: BTreeMap<&str, usize> = BTreeMap::new();
    for overlay in report.plan.nodes.iter().filter_map(|node| overlay_of(&overlays, report, node)) {
        *nodes.entry(overlay.name.as_str()).or_default() += 1;
    }
    let sentence = |(name, nodes): (&str, usize)| {
        let have = if nodes == 1 { "has a price" } else { "have prices" };
        format!("{} {have} that NodeOverlay `{name}` decides", count(nodes, "node"))
    };
    nodes.into_iter().map(sentence).collect()
}

/// The NodeOverlays that change nothing, and why.
#[must_use]
pub fn idle_overlays(cluster: &ClusterView, catalog: &Catalog) -> Vec<String> {
    let idle = Overlays::new(cluster, catalog).idle;
    idle.into_iter().map(|(overlay, why)| format!("NodeOverlay `{}` is IGNORED: {why}", overlay.name)).collect()
}

/// Everything that is loudly said: estimated prices, and NodeOverlays that change nothing.
#[must_use]
pub fn warnings(report: &Report<'_>) -> Vec<String> {
    estimate_warning(report).into_iter().chain(idle_overlays(report.cluster, report.catalog)).collect()
}

/// What the cost is made of.
#[must_use]
pub fn cost_terms(report: &Report<'_>) -> String {
    let mut terms = vec!["instances".to_owned()];
    if report.root_volumes {
        terms.push("root volumes".to_owned());
    }
    if report.fee_per_node > UsdPerHour::ZERO {
        terms.push(format!("a fee of ${}/h per node", dollars(report.fee_per_node)));
    }
    let saved: UsdPerHour = report.plan.nodes.iter().map(PlannedNode::saved).sum();
    if saved > UsdPerHour::ZERO {
        terms.push(format!("less ${}/h that commitments pay", dollars(saved)));
    }
    match terms.as_slice() {
        [only] => only.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
        [] => String::new(),
    }
}

/// Unplaced pods that share workload and reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left<'a> {
    /// `namespace/name` of the first.
    pub example: String,
    /// How many.
    pub pods: usize,
    /// How the reasons are meant.
    pub why: WhyLeft,
    /// Why, each a sentence without a full stop.
    pub reasons: &'a [String],
    /// What it would take, each by itself.
    pub remedies: &'a [String],
}

/// How the reasons of a pod are meant, as the start of a sentence about it.
#[must_use]
pub fn meaning(why: WhyLeft) -> &'static str {
    match why {
        WhyLeft::Impossible => "no plan can place it; together this leaves no node",
        WhyLeft::CrowdedOut => "this plan has no place for it; together this leaves none",
        WhyLeft::NotFound => "not placed although it might be",
    }
}

/// The unplaced pods, those of one workload with the same reasons together, in the plan's order.
#[must_use]
pub fn unplaced<'a>(report: &Report<'a>) -> Vec<Left<'a>> {
    let mut made: Vec<Left<'a>> = Vec::new();
    let mut places = BTreeMap::new();
    for left in &report.plan.unplaced {
        let Some(pod) = report.cluster.pods.get(left.pod) else { continue };
        let key = (&pod.namespace, &pod.workload, left.why, &left.reasons, &left.remedies);
        let place = *places.entry(key).or_insert(made.len());
        match made.get_mut(place) {
            Some(group) => group.pods += 1,
            None => {
                let (why, reasons, remedies) = (left.why, &left.reasons, &left.remedies);
                made.push(Left { example: pod.full_name(), pods: 1, why, reasons, remedies });
            }
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_a_person_writes_them() {
        assert_eq!(per_month(UsdPerHour::from_micros(4_123_400)), "$3,010 a month");
        assert_eq!(per_month(UsdPerHour::from_micros(41_600)), "$30.37 a month");
        assert_eq!(with_thousands(1_234_567), "1,234,567");
        assert_eq!(with_thousands(-1_000), "-1,000");
        assert_eq!(with_thousands(999), "999");
        assert_eq!((count(1, "pod"), count(2_000, "pod")), ("1 pod".to_owned(), "2,000 pods".to_owned()));
        assert_eq!([percent(0.207), percent(0.0123), percent(0.000_04)], ["20.7 %", "1.23 %", "0.004 %"]);
    }

    #[test]
    fn a_resource_that_is_not_offered_has_no_utilisation() {
        let offered = Resources::new().with(ResourceName::CPU, 1_930);
        let used = Resources::new().with(ResourceName::CPU, 1_000).with(ResourceName::MEMORY, 1);
        assert_eq!(utilisation(&used, &offered, ResourceName::CPU), "52 %");
        assert_eq!(utilisation(&used, &offered, ResourceName::MEMORY), "-");
    }
}
