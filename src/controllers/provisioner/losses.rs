//! What a stock-out costs: NodeClaims that EC2 had nothing for, until their pods are planned again.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use kube::ResourceExt as _;

use crate::adapters::kube::crd::NodeClaim;
use crate::controllers::planned_pods;
use crate::domain::annotations;
use crate::domain::money::UsdPerHour;

/// Losses that are remembered at most; of more than that at once nobody reads one by one.
const MOST: usize = 1_000;

/// A NodeClaim that was given up because nothing could be had for it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Loss {
    claim: String,
    planned: UsdPerHour,
    /// UIDs of its pods.
    pods: BTreeSet<String>,
}

/// Losses whose pods have not been planned again.
#[derive(Debug, Default)]
pub(crate) struct Losses(Mutex<Vec<Loss>>);

impl Losses {
    /// EC2 had nothing for the claim. One that no plan of ours wrote has no price to compare with.
    pub(crate) fn note(&self, claim: &NodeClaim) {
        let price = claim.annotations().get(annotations::PLANNED_PRICE).and_then(|text| UsdPerHour::parse(text));
        let Some(planned) = price else { return };
        let pods = planned_pods::of(claim).into_iter().map(|pod| pod.uid).collect();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < MOST {
            all.push(Loss { claim: claim.name_any(), planned, pods });
        }
    }

    /// Takes out the losses with a pod among `planned`.
    pub(super) fn take(&self, planned: &BTreeSet<&str>) -> Vec<Loss> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (met, rest) =
            std::mem::take(&mut *all).into_iter().partition(|loss| loss.pods.iter().any(|pod| planned.contains(pod.as_str())));
        *all = rest;
        met
    }
}

/// What is told of a node that holds pods of `losses`; `nodes` are the costs and pods of all nodes of the plan. `None` for a node that holds
/// none.
pub(super) fn note(losses: &[Loss], pods: &BTreeSet<&str>, nodes: &[(UsdPerHour, BTreeSet<&str>)]) -> Option<String> {
    let concerned: Vec<&Loss> = losses.iter().filter(|loss| loss.pods.iter().any(|pod| pods.contains(pod.as_str()))).collect();
    let first = concerned.first()?;
    let lost: UsdPerHour = concerned.iter().map(|loss| loss.planned).sum();
    let holds = |of: &BTreeSet<&str>| concerned.iter().any(|loss| loss.pods.iter().any(|pod| of.contains(pod.as_str())));
    let now: UsdPerHour = nodes.iter().filter(|(_, of)| holds(of)).map(|(cost, _)| *cost).sum();
    let others = match concerned.len() {
        1 => String::new(),
        number => format!(" and {} more", number - 1),
    };
    Some(format!(
        "Takes pods of NodeClaim {}{others}, which EC2 could not deliver: planned there at ${:.4}/h, the nodes that hold them now cost ${:.4}/h",
        first.claim,
        lost.dollars(),
        now.dollars()
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claim(name: &str, price: &str, pods: &str) -> NodeClaim {
        serde_json::from_value(json!({
            "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
            "metadata": {"name": name, "annotations": {annotations::PLANNED_PRICE: price, annotations::PLANNED_PODS: pods}},
            "spec": {"requirements": [], "nodeClassRef": {"group": "g", "kind": "k", "name": "n"}},
        }))
        .expect("a NodeClaim")
    }

    #[test]
    fn the_note_compares_what_was_planned_with_what_it_costs_now() {
        let losses = Losses::default();
        losses.note(&claim("a", "0.100000", "shop/one=1,shop/two=2"));
        losses.note(&claim("b", "0.300000", "shop/three=3"));
        losses.note(&claim("foreign", "", "shop/four=4"));
        let planned = BTreeSet::from(["1", "2", "9"]);
        let taken = losses.take(&planned);
        assert_eq!(taken.iter().map(|loss| loss.claim.as_str()).collect::<Vec<_>>(), ["a"]);
        assert!(losses.take(&planned).is_empty(), "each is told once");
        let usd = UsdPerHour::from_micros;
        let nodes =
            [(usd(150_000), BTreeSet::from(["1"])), (usd(50_000), BTreeSet::from(["2", "9"])), (usd(7), BTreeSet::from(["8"]))];
        let told = note(&taken, &nodes[0].1, &nodes).expect("it holds a pod of the loss");
        assert!(told.contains("NodeClaim a,") && told.contains("$0.1000/h") && told.contains("$0.2000/h"), "{told}");
        assert_eq!(note(&taken, &nodes[2].1, &nodes), None);
    }
}
