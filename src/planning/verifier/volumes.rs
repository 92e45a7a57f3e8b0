//! Volumes: where they can be attached, how many a node can have, and pods that use one claim.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::concrete::{Concrete, could_satisfy, satisfies};
use super::topology::State;
use crate::domain::pod::{Pod, PodSpec};
use crate::domain::requirement::Requirements;
use crate::domain::resources::Resources;
use crate::domain::topology::HostPort;
use crate::domain::volume::PodVolume;

/// The first volume of `spec` that cannot be attached to a node with these labels.
pub(super) fn first_detached<'a>(spec: &'a PodSpec, labels: &Requirements) -> Option<&'a PodVolume> {
    let attached = |volume: &&PodVolume| {
        volume.fault.is_none() && (volume.places.is_empty() || volume.places.iter().any(|terms| satisfies(labels, terms)))
    };
    spec.volumes.iter().find(|volume| !attached(volume))
}

/// Whether open labels could be such that every volume of `spec` can be attached.
pub(super) fn could_attach(spec: &PodSpec, labels: &Requirements) -> bool {
    spec.volumes.iter().all(|volume| {
        let anywhere = volume.places.is_empty();
        volume.fault.is_none() && (anywhere || volume.places.iter().any(|terms| could_satisfy(labels, terms)))
    })
}

/// `requests` of pods that share a node, with each claim attached once however many of them use it.
pub(super) fn attached_once<'a>(requests: &Resources, specs: impl Iterator<Item = &'a PodSpec>) -> Resources {
    let mut met = BTreeSet::new();
    let mut made = requests.clone();
    for shared in specs.flat_map(|spec| &spec.volumes).filter_map(|volume| volume.shared.as_ref()) {
        if let Some(attachment) = &shared.attachment
            && !met.insert((&shared.claim, attachment))
        {
            made.set(attachment.as_str(), made.get(attachment.as_str()) - 1);
        }
    }
    made
}

/// What of `wanted` a node does not have: `(resource, wanted, offered)`. A node that lists no limit on attachments has none.
pub(super) fn excess(wanted: &Resources, offered: &Resources) -> Vec<(String, i64, i64)> {
    let of = |name: &str| offered.get(name);
    wanted
        .iter()
        .filter(|(name, amount)| *amount > of(name.as_str()) && !(name.is_attachment() && of(name.as_str()) == 0))
        .map(|(name, amount)| (name.to_string(), amount, of(name.as_str())))
        .collect()
}

/// The first port of `pods` that DaemonSets take on such a node.
pub(super) fn taken_by_daemons<'a>(pods: impl Iterator<Item = &'a Pod>, node: &Concrete) -> Option<&'a HostPort> {
    let mut ports = pods.flat_map(|pod| &pod.spec.host_ports);
    ports.find(|port| node.daemon_ports.iter().any(|other| other.conflicts(port)))
}

/// Pods of a claim whose volume is still to be made are in one domain of the label that decides where.
pub(super) fn check(state: &State<'_>, found: &mut Vec<Violation>) {
    for ((claim, key), places) in settled_together(state) {
        let mut domains = BTreeSet::new();
        for place in places {
            match state.places[place].domain(key) {
                Some(domain) => drop(domains.insert(domain)),
                None => found.push(Violation::ClaimWithoutDomain { claim: claim.to_owned(), key: key.to_owned() }),
            }
        }
        if domains.len() > 1 {
            let domains = domains.into_iter().collect();
            found.push(Violation::ClaimInSeveralDomains { claim: claim.to_owned(), key: key.to_owned(), domains });
        }
    }
}

/// By claim and label the places of pods that the place of one of them binds.
pub(super) fn settled_together<'a>(state: &State<'a>) -> BTreeMap<(&'a str, &'a str), BTreeSet<usize>> {
    let mut made: BTreeMap<(&str, &str), BTreeSet<usize>> = BTreeMap::new();
    for kind in &state.kinds {
        for shared in kind.spec.volumes.iter().filter_map(|volume| volume.shared.as_ref()) {
            if let Some(key) = &shared.settled_by {
                let places = kind.standing.iter().map(|standing| standing.0);
                made.entry((shared.claim.as_str(), key.as_str())).or_default().extend(places);
            }
        }
    }
    made
}
