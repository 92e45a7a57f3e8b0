//! How many volumes a node can have attached.
//!
//! Attachments are a dimension like any other, with two things of their own. A node that lists no limit for a driver has none. And
//! pods of one node that use one claim attach it once: a plan counts it for each of them all the same, which keeps nodes from being
//! overfull but may leave room unused, so the lower bound does not count the attachments of such drivers at all.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::cluster::ClusterView;
use crate::domain::pod::PodSpec;
use crate::domain::resources::{ResourceName, Resources};

/// The room of a node for attachments that it does not limit: more than any number of pods can ask for.
pub(super) const UNLIMITED: i64 = 1 << 40;

/// The attachments that some pod or DaemonSet asks for.
pub(super) fn asked_for(cluster: &ClusterView) -> BTreeSet<ResourceName> {
    let specs = cluster.pods.iter().map(|pod| &pod.spec).chain(cluster.daemon_sets.iter().map(|daemon| &daemon.spec));
    let mut found = BTreeSet::new();
    let mut last: Option<&PodSpec> = None;
    for spec in specs {
        // Pods of one workload stand in a row and share their spec.
        if !last.replace(spec).is_some_and(|last| std::ptr::eq(last, &**spec)) {
            found.extend(spec.requests.iter().map(|(name, _)| name).filter(|name| name.is_attachment()).cloned());
        }
    }
    found
}

/// What a node has that `offers` so much: attachments of which it lists no limit are unlimited.
pub(super) fn opened(offers: &Resources, asked: &BTreeSet<ResourceName>) -> Resources {
    let mut made = offers.clone();
    for name in asked.iter().map(ResourceName::as_str).filter(|name| offers.get(name) == 0) {
        made.set(name, UNLIMITED);
    }
    made
}

/// The attachments that are counted more than once where pods of these specs share a node.
pub(super) fn repeated<'a>(specs: impl Iterator<Item = &'a PodSpec>) -> Resources {
    let mut users: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for claim in specs.flat_map(|spec| &spec.volumes).filter_map(|volume| volume.shared.as_ref()) {
        if let Some(attachment) = &claim.attachment {
            *users.entry((&claim.claim, attachment.as_str())).or_default() += 1;
        }
    }
    let mut made = Resources::new();
    for ((_, attachment), users) in users {
        made.set(attachment, made.get(attachment) + users - 1);
    }
    made
}

/// Whether pods of `spec` may be counted more than once for one attachment of `name`.
pub(super) fn may_repeat(spec: &PodSpec, name: &ResourceName) -> bool {
    spec.volumes.iter().filter_map(|volume| volume.shared.as_ref()).any(|claim| claim.attachment.as_ref() == Some(name))
}
