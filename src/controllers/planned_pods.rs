//! Which pods a NodeClaim was planned for, as an annotation of it: a restart finds there what it had planned.

use std::collections::BTreeMap;

use crate::adapters::kube::crd::NodeClaim;
use crate::domain::annotations;

/// A pod, by its names and the UID that tells it from a later one of the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodKey {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// The pods that `claim` was planned for; entries that somebody else made up are left out.
pub(crate) fn of(claim: &NodeClaim) -> Vec<PodKey> {
    let text = claim.metadata.annotations.as_ref().and_then(|all| all.get(annotations::PLANNED_PODS));
    text.map(|text| text.split(',').filter_map(parse).collect()).unwrap_or_default()
}

/// Writes the annotation.
pub(crate) fn note<'a>(annotations: &mut BTreeMap<String, String>, pods: impl Iterator<Item = &'a PodKey>) {
    annotations.insert(annotations::PLANNED_PODS.to_owned(), text(pods));
}

/// The value of the annotation.
pub(crate) fn text<'a>(pods: impl Iterator<Item = &'a PodKey>) -> String {
    let pods: Vec<String> = pods.map(|pod| format!("{}/{}={}", pod.namespace, pod.name, pod.uid)).collect();
    pods.join(",")
}

fn parse(entry: &str) -> Option<PodKey> {
    let (full_name, uid) = entry.split_once('=')?;
    let (namespace, name) = full_name.split_once('/')?;
    Some(PodKey { namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let pods = ["a", "b"].map(|name| PodKey { namespace: "shop".into(), name: name.into(), uid: format!("uid-{name}") });
        let written = text(pods.iter());
        assert_eq!(written, "shop/a=uid-a,shop/b=uid-b");
        assert_eq!(written.split(',').filter_map(parse).collect::<Vec<_>>(), pods);
        assert_eq!(parse("nonsense"), None);
    }
}
