//! Why a pod is not placed, and what it would take: the smallest set of constraints that together leave no place for it, and the
//! smallest changes with which there is one.
//!
//! Two statements are kept apart ([`WhyLeft`]). *Impossible*: the constraints rule out every node that exists or could be bought in any
//! plan; only running pods and the NodePools' full limits count. *Crowded out*: there is no such set, but beside this plan, in which no
//! pod moves and no limit is given back, one leaves no place. What it would take is always said beside this plan, so that it suffices.

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;

use crate::domain::annotations::ATOMIC_GROUP;
use crate::domain::cluster::ClusterView;
use crate::domain::plan::{UnplacedPod, WhyLeft};
use crate::domain::pod::PodSpec;
use crate::domain::resources::Resources;
use crate::planning::company::{Company, Rule, Stage};
use crate::planning::conflict::smallest;
use crate::planning::limits::{LimitsLeft, limits_left};
use crate::planning::obstacles::{Asked, LimitLeft, Obstacle, Ruling, ruling};
use crate::planning::plan::Planned;
use crate::planning::sentences::Sentences;

/// Ways out that are listed at most.
const MOST_REMEDIES: usize = 3;

/// The pods of `left` (indices into the cluster's pods) with their reasons.
pub(super) fn unplaced(cluster: &ClusterView, planned: &Planned, left: Vec<usize>) -> Vec<UnplacedPod> {
    if left.is_empty() {
        return Vec::new();
    }
    let explainer = Explainer::new(cluster, planned);
    let mut known: BTreeMap<(usize, &PodSpec), UnplacedPod> = BTreeMap::new();
    let mut alone: Vec<UnplacedPod> = left
        .into_iter()
        .map(|pod| {
            let (spec, class): (&PodSpec, usize) = (&cluster.pods[pod].spec, planned.demand.class_of[pod]);
            let found = known.entry((class, spec)).or_insert_with(|| explainer.explain(pod));
            UnplacedPod { pod, ..found.clone() }
        })
        .collect();
    explain_groups(cluster, &mut alone);
    alone
}

/// Gives pods that have a place by themselves the reason of the pod of their group that has none.
fn explain_groups(cluster: &ClusterView, left: &mut [UnplacedPod]) {
    let mut groups: BTreeMap<&String, Vec<usize>> = BTreeMap::new();
    for (at, of) in left.iter().enumerate() {
        if let Some(group) = &cluster.pods[of.pod].spec.atomic_group {
            groups.entry(group).or_default().push(at);
        }
    }
    for (group, members) in groups {
        let (free, stuck): (Vec<usize>, Vec<usize>) = members.iter().partition(|&&at| left[at].why == WhyLeft::NotFound);
        let says = format!("is placed only with all {} pods of its atomic group {group}", members.len());
        let part = format!("place pods of the atomic group {group} by themselves: take {ATOMIC_GROUP} off them");
        let hardest = stuck.into_iter().min_by_key(|&at| (left[at].why, left[at].reasons.len(), at));
        let (why, reasons, mut remedies) = match hardest.map(|at| left[at].clone()) {
            Some(hardest) => {
                let other = format!("{says}, and {} is one that", cluster.pods[hardest.pod].full_name());
                let reasons = hardest.reasons.iter().map(|reason| format!("{other} {reason}")).collect();
                (hardest.why, reasons, hardest.remedies)
            }
            None => (WhyLeft::CrowdedOut, vec![format!("{says}, and there is no room for all of them together")], Vec::new()),
        };
        remedies.push(part);
        for at in free {
            left[at] = UnplacedPod { pod: left[at].pod, why, reasons: Vec::clone(&reasons), remedies: remedies.clone() };
        }
    }
}

/// What explanations draw on.
pub(super) struct Explainer<'a> {
    cluster: &'a ClusterView,
    planned: &'a Planned,
    company: Company<'a>,
    /// The limits, and what the plan leaves of them.
    whole: LimitsLeft,
    slack: LimitsLeft,
}

impl<'a> Explainer<'a> {
    pub(super) fn new(cluster: &'a ClusterView, planned: &'a Planned) -> Self {
        let slack = limits_left(&planned.supply, planned.origins.iter().copied());
        let whole = limits_left(&planned.supply, std::iter::empty());
        Self { cluster, planned, company: Company::new(cluster, planned), whole, slack }
    }

    /// What rules out each place for a pod at `stage`.
    pub(super) fn ruling(&self, pod: usize, stage: Stage) -> Ruling<'a> {
        let slack = if stage == Stage::Ever { &self.whole } else { &self.slack };
        let left: LimitLeft<'_> = &|row| slack.get(row).copied().unwrap_or(i64::MAX);
        let spec: &PodSpec = &self.cluster.pods[pod].spec;
        let rules = self.company.rules(pod, stage);
        let alone = |rules| Asked { spec, requests: &spec.requests, rules, within: None };
        let Some(term) = self.company.bundling(pod) else {
            return ruling(&self.planned.supply, &self.company, &[alone(&rules)], stage, left);
        };
        // Either it need not share its node with the others of its bundle, or all of them fit.
        let bundling = Obstacle::Between { term, own: true };
        let mut apart = rules.clone();
        apart.push(Rule::everywhere(bundling.clone()));
        let total = self.together(pod);
        let scope = self.scope_together(pod).map(|scope| (&self.planned.demand.scopes[scope], bundling));
        let together = Asked { requests: &total, within: scope, ..alone(&rules) };
        ruling(&self.planned.supply, &self.company, &[alone(&apart), together], stage, left)
    }

    /// The rules between pods, by the numbers that obstacles have for them.
    #[cfg(test)]
    pub(super) fn terms(&self) -> Vec<crate::planning::terms::Term> {
        self.company.tallies.iter().map(|tally| tally.term.clone()).collect()
    }

    /// Whether `pod` has to share its node with others.
    #[cfg(test)]
    pub(super) fn is_bundled(&self, pod: usize) -> bool {
        self.company.bundling(pod).is_some()
    }

    /// What the pods ask for that have to share a node with `pod`.
    fn together(&self, pod: usize) -> Resources {
        let (demand, class) = (&self.planned.demand, self.planned.demand.class_of[pod]);
        let mut total = Resources::new();
        for bundle in demand.bundles.iter().filter(|bundle| bundle.classes.contains(&class)) {
            for &class in &bundle.classes {
                let pods = i64::try_from(demand.pods_of(class).len()).unwrap_or(i64::MAX);
                total.add_times(&demand.classes[class].requests, pods);
            }
        }
        total
    }

    fn scope_together(&self, pod: usize) -> Option<usize> {
        let (demand, class) = (&self.planned.demand, self.planned.demand.class_of[pod]);
        let bundle = demand.bundles.iter().find(|bundle| bundle.classes.contains(&class));
        bundle.filter(|bundle| bundle.classes.len() > 1).map(|bundle| bundle.scope)
    }

    fn explain(&self, pod: usize) -> UnplacedPod {
        let ever = self.ruling(pod, Stage::Ever);
        let (why, ruling, core) = match core(&ever) {
            Some(core) => (WhyLeft::Impossible, ever, core),
            None => {
                let now = self.ruling(pod, Stage::Now);
                match core(&now) {
                    Some(core) => (WhyLeft::CrowdedOut, now, core),
                    None => {
                        return UnplacedPod {
                            pod,
                            why: WhyLeft::NotFound,
                            reasons: vec![self.not_found(pod)],
                            remedies: Vec::new(),
                        };
                    }
                }
            }
        };
        let stage = if why == WhyLeft::Impossible { Stage::Ever } else { Stage::Now };
        let mut reasons: Vec<String> = Vec::new();
        if self.planned.supply.templates.iter().all(|template| template.standing.is_some()) {
            reasons.push("there is no NodePool".to_owned());
        }
        let sentences = self.sentences(pod, &ruling, stage);
        reasons.extend(core.iter().map(|&number| sentences.reason(number, &core)));
        if reasons.is_empty() {
            reasons.push("no node that exists has room for it".to_owned());
        }
        UnplacedPod { pod, why, reasons, remedies: self.remedies(pod) }
    }

    fn sentences<'s>(&'s self, pod: usize, ruling: &'s Ruling<'a>, stage: Stage) -> Sentences<'s> {
        let together = self.company.bundling(pod).map(|_| self.together(pod));
        let (supply, company, slack) = (&self.planned.supply, &self.company, &self.slack);
        Sentences { cluster: self.cluster, supply, company, slack, ruling, stage, pod, together }
    }

    /// The smallest changes with which the plan could take the pod as well, the least intrusive first.
    fn remedies(&self, pod: usize) -> Vec<String> {
        let now = self.ruling(pod, Stage::Now);
        let sentences = self.sentences(pod, &now, Stage::Now);
        let mut ways: Vec<Vec<usize>> = corrections(&now);
        ways.sort_by_key(|way| (way.iter().map(|&number| intrusion(&now.obstacles[number])).max(), way.clone()));
        let mut said: Vec<String> = Vec::new();
        for sentence in ways.iter().filter_map(|way| sentences.remedy(way)) {
            if said.len() < MOST_REMEDIES && !said.contains(&sentence) {
                said.push(sentence);
            }
        }
        said
    }

    /// What is to be said where there is a place after all.
    fn not_found(&self, pod: usize) -> String {
        let (tiers, demand) = (&self.planned.tiers, &self.planned.demand);
        let class = demand.class_of[pod];
        let bundled = demand.bundles.iter().any(|bundle| bundle.classes.contains(&class));
        if bundled && tiers.iter().any(|tier| tier.program.arrangement.partial) {
            "has to share a node with pods that further rules tie, which is not in the program".to_owned()
        } else if tiers.is_empty() {
            "is left, although there is a place for it".to_owned()
        } else if tiers.iter().all(|tier| tier.complete) {
            "has a place, but not one that can be promised in whatever order the pods are bound".to_owned()
        } else {
            "the solver stopped before it found room, although there is a place for it".to_owned()
        }
    }
}

/// The smallest set of obstacles that leaves no place although all the others are dropped; `None` where some place has none.
pub(super) fn core(ruling: &Ruling<'_>) -> Option<Vec<usize>> {
    let items = ruling.obstacles.len();
    let mut holds = |kept: &FixedBitSet| {
        let mut dropped = kept.clone();
        dropped.toggle_range(..);
        !ruling.possible(&dropped)
    };
    if !holds(&crate::planning::market::all(items)) {
        return None;
    }
    smallest(items, ruling.sufficient.clone(), &mut holds)
}

/// The smallest sets of obstacles without which there is a place although all the others stand: one, and those of equal size that are
/// known. Empty where nothing helps.
pub(super) fn corrections(ruling: &Ruling<'_>) -> Vec<Vec<usize>> {
    let items = ruling.obstacles.len();
    let Some(first) = smallest(items, BTreeSet::new(), &mut |dropped| ruling.possible(dropped)) else { return Vec::new() };
    let others = ruling.sufficient.iter().filter(|set| set.len() == first.len() && **set != first).cloned();
    std::iter::once(first.clone()).chain(others).collect()
}

/// How deep a change goes: what an administrator sets first, what a workload is made of last.
fn intrusion(obstacle: &Obstacle) -> u32 {
    match obstacle {
        Obstacle::Limit { .. } | Obstacle::SpotPool => 0,
        Obstacle::MinValues { .. } | Obstacle::Reserved { .. } => 1,
        Obstacle::Taint(_) => 2,
        Obstacle::Between { .. } => 3,
        Obstacle::Port(_) => 4,
        Obstacle::Label { .. } => 5,
        Obstacle::Volume { .. } => 6,
        Obstacle::Resource { .. } => 7,
        Obstacle::NothingSold { .. } => 8,
    }
}
