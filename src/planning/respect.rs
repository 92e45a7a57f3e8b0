//! Preferences as Karpenter respects them: required as long as a pod can be placed, and given up one by one where it cannot.
//!
//! The order of giving up is that of Karpenter core v1.15.0 (`pkg/controllers/provisioning/scheduling/preferences.go`): preferred pod
//! affinities, preferred pod anti-affinities and preferred node affinities, the heaviest of each first, then `ScheduleAnyway`
//! constraints (the first, then from the last on). Of several preferred node affinities only the heaviest that is left is required. Two
//! steps of Karpenter are missing: all alternatives of a required node affinity count from the start, and `PreferNoSchedule` taints
//! keep nobody away.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::cluster::ClusterView;
use crate::domain::pod::PodSpec;
use crate::domain::topology::Wish;

/// The pods of a cluster with their preferences as rules.
pub(super) struct Respected {
    /// The cluster as it is to be planned for.
    pub(super) cluster: ClusterView,
    /// Per pod: its spec, and how many preferences it has given up.
    given_up: Vec<(Arc<PodSpec>, usize)>,
    /// By original spec and number of preferences given up.
    made: BTreeMap<(*const PodSpec, usize), Arc<PodSpec>>,
}

impl Respected {
    /// Every preference required.
    pub(super) fn new(cluster: &ClusterView) -> Self {
        let given_up = cluster.pods.iter().map(|pod| (Arc::clone(&pod.spec), 0)).collect();
        let mut made = Self { cluster: cluster.clone(), given_up, made: BTreeMap::new() };
        (0..cluster.pods.len()).for_each(|pod| made.set(pod));
        made
    }

    /// Gives up the next preference of each of `pods`; whether one of them had any left.
    pub(super) fn relax(&mut self, pods: impl Iterator<Item = usize>) -> bool {
        let mut relaxed = false;
        for pod in pods {
            let (spec, given_up) = &mut self.given_up[pod];
            if *given_up < order(spec).len() {
                *given_up += 1;
                relaxed = true;
                self.set(pod);
            }
        }
        relaxed
    }

    fn set(&mut self, pod: usize) {
        let (spec, given_up) = &self.given_up[pod];
        let key = (Arc::as_ptr(spec), *given_up);
        let made = self.made.entry(key).or_insert_with(|| Arc::new(required(spec, *given_up)));
        self.cluster.pods[pod].spec = Arc::clone(made);
    }
}

/// A preference of a pod, by its place in the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Preference(usize),
    Spread(usize),
}

/// The preferences in the order in which they are given up.
fn order(spec: &PodSpec) -> Vec<Place> {
    let of = |rank: usize| {
        let is_of = move |wish: &Wish| match wish {
            Wish::Near(_) => rank == 0,
            Wish::Apart(_) => rank == 1,
            Wish::Node(_) => rank == 2,
        };
        let mut places: Vec<usize> = (0..spec.preferences.len()).filter(|&at| is_of(&spec.preferences[at].wish)).collect();
        places.sort_by_key(|&at| (std::cmp::Reverse(spec.preferences[at].weight), at));
        places.into_iter().map(Place::Preference)
    };
    let mut made: Vec<Place> = (0..3).flat_map(of).collect();
    let mut spreads: Vec<usize> = (0..spec.spreads.len()).filter(|&at| !spec.spreads[at].required).collect();
    while !spreads.is_empty() {
        // The last takes the place of the one that goes.
        made.push(Place::Spread(spreads.swap_remove(0)));
    }
    made
}

/// `spec` with its preferences required but for the first `given_up`.
fn required(spec: &PodSpec, given_up: usize) -> PodSpec {
    let mut made = PodSpec { preferences: Vec::new(), ..spec.clone() };
    let mut wants_node = true;
    let kept: Vec<Place> = order(spec).split_off(given_up);
    for place in &kept {
        let Place::Preference(at) = *place else { continue };
        match &spec.preferences[at].wish {
            Wish::Near(term) => made.near.push(term.clone()),
            Wish::Apart(term) => made.apart.push(term.clone()),
            Wish::Node(wanted) if wants_node => {
                made.node_alternatives.iter_mut().for_each(|alternative| alternative.add_all(wanted));
                wants_node = false;
            }
            Wish::Node(_) => {}
        }
    }
    let mut at = 0;
    made.spreads.retain_mut(|spread| {
        spread.required |= kept.contains(&Place::Spread(at));
        at += 1;
        spread.required
    });
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::labels;
    use crate::domain::requirement::Operator::In;
    use crate::domain::selector::PodSelector;
    use crate::domain::topology::{PodAffinityTerm, Preference, TopologySpread};
    use crate::planning::fixtures::required as requirements;

    #[test]
    fn preferences_are_given_up_in_karpenters_order() {
        let selector = PodSelector { namespaces: None, labels: None };
        let term = || PodAffinityTerm { topology_key: labels::ZONE.to_owned(), selector: selector.clone() };
        let node = |zone| Wish::Node(requirements(&[(labels::ZONE, In, &[zone])]));
        let spread = |max_skew, required| TopologySpread {
            topology_key: labels::ZONE.to_owned(),
            max_skew,
            min_domains: 1,
            selector: selector.clone(),
            honors_affinity: true,
            honors_taints: false,
            required,
        };
        let wish = |weight, wish| Preference { weight, wish };
        let spec = PodSpec {
            node_alternatives: vec![requirements(&[])],
            preferences: vec![wish(1, node("a")), wish(5, node("b")), wish(50, Wish::Apart(term())), wish(2, Wish::Near(term()))],
            spreads: vec![spread(1, false), spread(2, true), spread(3, false), spread(4, false)],
            ..PodSpec::default()
        };
        let skews = |spec: &PodSpec| spec.spreads.iter().map(|spread| spread.max_skew).collect::<Vec<_>>();
        let zone = |spec: &PodSpec| spec.node_alternatives[0].get(labels::ZONE).and_then(|zone| zone.finite()?.first().cloned());
        let steps: Vec<PodSpec> = (0..=7).map(|given_up| required(&spec, given_up)).collect();
        let shape = |spec: &PodSpec| (spec.near.len(), spec.apart.len(), zone(spec), skews(spec));
        let zones = |name: &str| Some(name.to_owned());
        assert_eq!(shape(&steps[0]), (1, 1, zones("b"), vec![1, 2, 3, 4]));
        assert_eq!(shape(&steps[1]), (0, 1, zones("b"), vec![1, 2, 3, 4]));
        assert_eq!(shape(&steps[2]), (0, 0, zones("b"), vec![1, 2, 3, 4]));
        assert_eq!(shape(&steps[3]), (0, 0, zones("a"), vec![1, 2, 3, 4]));
        assert_eq!(shape(&steps[4]), (0, 0, None, vec![1, 2, 3, 4]));
        assert_eq!(shape(&steps[5]), (0, 0, None, vec![2, 3, 4]));
        assert_eq!(shape(&steps[6]), (0, 0, None, vec![2, 3]));
        assert_eq!(shape(&steps[7]), (0, 0, None, vec![2]));
        assert!(steps.iter().all(|spec| spec.spreads.iter().all(|spread| spread.required)));
    }
}
