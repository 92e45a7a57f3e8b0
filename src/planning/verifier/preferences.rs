//! Which soft rules the placed pods do not have their way in, and whether the plan says so.

use std::collections::BTreeMap;

use super::Violation;
use super::concrete::{Site, satisfies};
use super::topology::State;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::Plan;
use crate::domain::pod::{Pod, PodSpec};
use crate::domain::preference::SoftRule;
use crate::domain::selector::Labels;
use crate::domain::taint::Effect;

/// `(first pod of its kind, rule)` to the number of pods of the kind that the rule does not have its way with.
pub(super) fn unmet(site: &Site<'_>, state: &State<'_>) -> BTreeMap<(usize, usize), u32> {
    let mut alike: BTreeMap<(&str, &Labels, &PodSpec), Vec<usize>> = BTreeMap::new();
    for (number, kind) in state.kinds.iter().enumerate() {
        alike.entry((kind.namespace, kind.labels, kind.spec)).or_default().push(number);
    }
    let mut first: BTreeMap<(&str, &Labels, &PodSpec), usize> = BTreeMap::new();
    for (number, pod) in site.cluster.pods.iter().enumerate() {
        first.entry((&pod.namespace, &pod.labels, &pod.spec)).or_insert(number);
    }
    let mut found = BTreeMap::new();
    for (key, kinds) in alike {
        let Some(&pod) = first.get(&key) else { continue };
        for (rule, (_, soft)) in key.2.soft_rules().into_iter().enumerate() {
            let pods = too_many(site, state, &kinds, key.2, soft);
            if pods > 0 {
                found.insert((pod, rule), pods);
            }
        }
    }
    found
}

/// How many placed pods of `kinds`, all of `spec`, would have to go elsewhere.
fn too_many(site: &Site<'_>, state: &State<'_>, kinds: &[usize], spec: &PodSpec, rule: SoftRule<'_>) -> u32 {
    let standing = || kinds.iter().flat_map(|&kind| &state.kinds[kind].standing);
    let displeased = |place: usize| match rule {
        SoftRule::Node(wanted) => !satisfies(&state.places[place].labels, wanted),
        _ => state.places[place].taints.iter().any(|taint| {
            taint.effect == Effect::PreferNoSchedule && !spec.tolerations.iter().any(|accepted| accepted.tolerates(taint))
        }),
    };
    let (key, selector) = match rule {
        SoftRule::Node(_) | SoftRule::Untainted => {
            return standing().filter(|standing| displeased(standing.0)).map(|standing| standing.1).sum();
        }
        SoftRule::Spread(spread) => (spread.topology_key.as_str(), &spread.selector),
        SoftRule::Near(term) | SoftRule::Apart(term) => (term.topology_key.as_str(), &term.selector),
    };
    // Domain to placed pods of the kind; those without the label stand apart.
    let mut own: BTreeMap<Option<String>, u32> = BTreeMap::new();
    for &(place, placed, _) in standing().filter(|standing| standing.1 > 0) {
        *own.entry(state.places[place].domain(key)).or_default() += placed;
    }
    let passes = match rule {
        SoftRule::Spread(spread) => state.passing(spec, spread),
        _ => vec![true; state.places.len()],
    };
    let counts = state.by_domain(key, selector, &|place| passes[place]);
    let all = |domain: &str| counts.get(domain).map_or(0, |count| count.all);
    let example = &state.kinds[kinds[0]];
    let selects_itself = selector.selects(example.namespace, example.labels);
    let level = match rule {
        SoftRule::Spread(spread) if key != labels::HOSTNAME => {
            let (affinity, taints) = (&spec.node_alternatives, &spec.tolerations);
            let mut domains =
                site.domains(key, spread.honors_affinity.then_some(affinity), spread.honors_taints.then_some(taints));
            let there = state.places.iter().zip(&passes).filter(|(_, passes)| **passes);
            domains.extend(there.filter_map(|(place, _)| place.domain(key)));
            let least = domains.iter().map(|domain| all(domain)).min().unwrap_or(0);
            if domains.len() < spread.min_domains as usize { 0 } else { least }
        }
        _ => 0,
    };
    own.iter()
        .map(|(domain, &placed)| {
            let Some(domain) = domain else { return if matches!(rule, SoftRule::Near(_)) { placed } else { 0 } };
            let here = all(domain);
            match rule {
                SoftRule::Spread(spread) => placed.min(here.saturating_sub(level + spread.max_skew)),
                SoftRule::Near(_) if here > u32::from(selects_itself) => 0,
                SoftRule::Near(_) => placed,
                _ if !selects_itself => {
                    if here > 0 {
                        placed
                    } else {
                        0
                    }
                }
                // Whoever else is there, all placed pods are too many; among themselves all but one.
                _ => {
                    if here > placed {
                        placed
                    } else {
                        placed - 1
                    }
                }
            }
        })
        .sum()
}

/// Compares what the plan says with `unmet`, and its sum.
pub(super) fn check(site: &Site<'_>, plan: &Plan, unmet: &BTreeMap<(usize, usize), u32>, found: &mut Vec<Violation>) {
    let stated: BTreeMap<(usize, usize), u32> = plan.unmet.iter().map(|of| ((of.pod, of.rule), of.pods)).collect();
    let keys: std::collections::BTreeSet<&(usize, usize)> = stated.keys().chain(unmet.keys()).collect();
    for key in keys {
        let (stated, real) = (stated.get(key).copied().unwrap_or(0), unmet.get(key).copied().unwrap_or(0));
        if stated != real {
            let pod = site.cluster.pods.get(key.0).map_or_else(|| format!("number {}", key.0), Pod::full_name);
            found.push(Violation::PreferenceMisstated { pod, rule: key.1, stated, real });
        }
    }
    let sum: UsdPerHour = plan.unmet.iter().map(|of| of.worth * i64::from(of.pods)).sum();
    if plan.forgone != sum {
        found.push(Violation::ForgoneMisstated { stated: plan.forgone, sum });
    }
}
