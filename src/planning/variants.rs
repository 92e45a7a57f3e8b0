//! Labels that a NodePool leaves open and that one node must fix.
//!
//! A NodePool may allow several values of a label of its own (`team In [a, b]`, `team Exists`) or of the tenancy. The instance
//! type does not decide them, so the program would let a pod that needs `team=a` and one that needs `team=b` share a node. The
//! NodePool is therefore split into variants, each with one value per open label. Values that every pod and DaemonSet treats
//! alike are one: the number of variants follows what the manifests tell apart.
//!
//! Karpenter generates a random value for a label that nothing narrowed (core v1.15.0, `Requirement.Any`); here it is the first
//! of its kind, so that a plan is the same on every run.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::labels;
use crate::domain::requirement::{Requirement, Requirements};

/// More variants than this make no plan: the labels are then a naming scheme, not a choice.
const LARGEST_NUMBER: usize = 1_024;

/// What pods and DaemonSets say about labels.
#[derive(Default)]
pub(super) struct Mentions<'a> {
    /// Requirements on each label, each once.
    requirements: BTreeMap<&'a str, BTreeSet<&'a Requirement>>,
    /// Labels whose every value is a domain of its own.
    domains: BTreeSet<&'a str>,
}

/// Collects what the alternatives of pods say about labels; `domains` are topology labels.
pub(super) fn mentions<'a>(alternatives: impl Iterator<Item = &'a Requirements>, domains: BTreeSet<&'a str>) -> Mentions<'a> {
    let mut found = Mentions { domains, ..Mentions::default() };
    for alternative in alternatives {
        for (key, requirement) in alternative.iter() {
            found.requirements.entry(key).or_default().insert(requirement);
        }
    }
    found
}

/// The variants of a NodePool with `requirements` (template labels included): the open labels with a value each.
///
/// One variant without labels when nothing is open.
///
/// # Errors
/// The number of variants, when it is above a thousand.
pub(super) fn variants(requirements: &Requirements, mentioned: &Mentions<'_>) -> Result<Vec<BTreeMap<String, String>>, usize> {
    let nothing = BTreeSet::new();
    let mut made = vec![BTreeMap::new()];
    let mut open: BTreeMap<&str, Requirement> = requirements
        .iter()
        .filter(|(key, requirement)| !labels::is_well_known(key) && !is_status(key) && !requirement.is_none())
        .map(|(key, requirement)| (key, requirement.clone()))
        .collect();
    if requirements.get(labels::TENANCY).is_some() || mentioned.requirements.contains_key(labels::TENANCY) {
        let sold = Requirement::one_of(["dedicated", "default"]);
        let allowed = requirements.get(labels::TENANCY).map_or_else(|| sold.clone(), |wanted| wanted.intersection(&sold));
        open.insert(labels::TENANCY, allowed);
    }
    for (key, allowed) in open {
        let requirements = mentioned.requirements.get(key).unwrap_or(&nothing);
        let values = match allowed.finite() {
            Some(values) if mentioned.domains.contains(key) => values.iter().cloned().collect(),
            _ => representatives(key, &allowed, requirements),
        };
        let number = made.len().saturating_mul(values.len());
        if number > LARGEST_NUMBER {
            return Err(number);
        }
        made = made
            .iter()
            .flat_map(|variant: &BTreeMap<String, String>| {
                values.iter().map(|value| {
                    let mut variant = variant.clone();
                    variant.insert(key.to_owned(), value.clone());
                    variant
                })
            })
            .collect();
    }
    Ok(made)
}

/// Labels that every node gets, whatever it is.
fn is_status(key: &str) -> bool {
    matches!(key, labels::REGISTERED | labels::INITIALIZED)
}

/// One value per set of values that all of `mentioned` treat alike, sorted.
fn representatives(key: &str, allowed: &Requirement, mentioned: &BTreeSet<&Requirement>) -> Vec<String> {
    let mut candidates: BTreeSet<String> = match allowed.finite() {
        Some(values) => values.clone(),
        None => named_values(allowed, mentioned),
    };
    candidates.retain(|value| allowed.has(value));
    // Default tenancy costs nothing extra, so it stands for its kind.
    let rank = |value: &String| (key == labels::TENANCY && value != "default", value.clone());
    let mut kinds: BTreeMap<Vec<bool>, String> = BTreeMap::new();
    for value in candidates {
        let kind = mentioned.iter().map(|requirement| requirement.has(&value)).collect();
        let kept = kinds.entry(kind).or_insert_with(|| value.clone());
        if rank(&value) < rank(kept) {
            *kept = value;
        }
    }
    let mut values: Vec<String> = kinds.into_values().collect();
    values.sort();
    values
}

/// Values of an infinite set that show every way in which `mentioned` can treat one: those named, those at and beside a bound,
/// and one that nothing names.
fn named_values(allowed: &Requirement, mentioned: &BTreeSet<&Requirement>) -> BTreeSet<String> {
    let all = || mentioned.iter().copied().chain([allowed]);
    let mut values: BTreeSet<String> = all().flat_map(|requirement| requirement.named().iter().cloned()).collect();
    let edges: Vec<i64> = all()
        .flat_map(|requirement| {
            let (least, most) = requirement.bounds();
            [least, most].into_iter().flatten()
        })
        .collect();
    let named_or_beside = values.clone();
    let beside = edges.iter().flat_map(|edge| [edge.saturating_sub(1), *edge, edge.saturating_add(1)]);
    values.extend(beside.filter(|number| *number >= 0).map(|number| number.to_string()));
    let unnamed = (0..).map(|n| if n == 0 { "other".to_owned() } else { format!("other-{n}") });
    values.extend(unnamed.into_iter().find(|value| !named_or_beside.contains(value)));
    // A number that is excluded by name leaves its neighbours: the first free one within the bounds stands for them.
    if let (least, most @ Some(_)) | (least @ Some(_), most) = allowed.bounds() {
        let least = least.unwrap_or(0);
        let most = most.unwrap_or(i64::MAX);
        let free = (least..=most).take(named_or_beside.len() + 1).map(|number| number.to_string());
        values.extend(free.into_iter().find(|value| !named_or_beside.contains(value)));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::requirement::Operator;

    fn requirement(operator: Operator, values: &[&str]) -> Requirement {
        Requirement::new(operator, values).expect("the values of this test are valid")
    }

    /// The values of `key` that a pool allowing `allowed` is split into when pods ask for `asked`.
    fn check(key: &str, allowed: Option<Requirement>, asked: &[Requirement], expected: &[&str]) {
        let mut pool = Requirements::new();
        if let Some(allowed) = allowed {
            pool.add(key, allowed);
        }
        let pods: Vec<Requirements> = asked
            .iter()
            .map(|requirement| {
                let mut pod = Requirements::new();
                pod.add(key, requirement.clone());
                pod
            })
            .collect();
        let found = variants(&pool, &mentions(pods.iter(), BTreeSet::new())).expect("few variants");
        let values: Vec<&str> = found.iter().filter_map(|variant| variant.get(key).map(String::as_str)).collect();
        assert_eq!(values, expected, "{key}: {asked:?}");
    }

    #[test]
    fn values_that_pods_tell_apart_are_variants() {
        use Operator::{Exists, Gt, In, Lt, NotIn};
        check("team", Some(requirement(In, &["a", "b", "c"])), &[], &["a"]);
        check("team", Some(requirement(In, &["a", "b", "c"])), &[requirement(In, &["b"])], &["a", "b"]);
        check("team", Some(requirement(Exists, &[])), &[requirement(In, &["a"]), requirement(In, &["b"])], &["a", "b", "other"]);
        check("team", Some(requirement(NotIn, &["b"])), &[requirement(In, &["a", "b"])], &["a", "other"]);
        check("team", None, &[requirement(In, &["a"])], &[]);
        check("tier", Some(requirement(In, &["1", "5", "9"])), &[requirement(Gt, &["3"])], &["1", "5"]);
        check("tier", Some(requirement(Gt, &["3"])), &[requirement(Lt, &["9"])], &["4", "9"]);
    }

    #[test]
    fn tenancy_is_the_default_unless_pods_tell_it_apart() {
        let dedicated = requirement(Operator::In, &["dedicated"]);
        check(labels::TENANCY, None, std::slice::from_ref(&dedicated), &["dedicated", "default"]);
        check(labels::TENANCY, Some(dedicated.clone()), &[], &["dedicated"]);
        check(labels::TENANCY, Some(requirement(Operator::Exists, &[])), &[], &["default"]);
    }

    #[test]
    fn too_many_variants_are_refused() {
        let mut pool = Requirements::new();
        let mut pods = Vec::new();
        for key in ["a", "b", "c"] {
            pool.add(key, Requirement::any());
            for value in 0..12 {
                let mut pod = Requirements::new();
                pod.add(key, Requirement::one_of([value.to_string()]));
                pods.push(pod);
            }
        }
        assert_eq!(variants(&pool, &mentions(pods.iter(), BTreeSet::new())), Err(13 * 13 * 13));
    }
}
