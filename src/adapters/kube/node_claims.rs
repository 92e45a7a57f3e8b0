//! Plans as NodeClaims: what Karpenter, or Supercargo's own controller, would be asked to launch.
//!
//! A NodeClaim carries the requirements of its NodePool, narrowed to the node's candidates, so that one launch may fall back to
//! another offering that holds the same pods. Its lists are independent of each other: a type, a zone and a capacity type that
//! are each among the candidates may be combined by the launch even where the plan does not list the combination.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Taint as KubeTaint;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::core::ObjectMeta;

use crate::adapters::kube::crd::{NodeClaim, NodeClaimResources, NodeClaimSpec};
use crate::adapters::kube::crd::{NodeClassReference, NodeRequirement};
use crate::domain::cluster::ClusterView;
use crate::domain::labels;
use crate::domain::node_pool::NodePool;
use crate::domain::plan::{Candidate, Plan, PlannedNode};
use crate::domain::requirement::{Requirement, Requirements};
use crate::domain::resources::quantity_text;
use crate::domain::taint::Taint;

/// Tells the launch that prices are not EC2's, so that it takes the offerings in the order of the prices that it is given.
const PRICE_OVERLAY_APPLIED: &str = "karpenter.sh/price-overlay-applied";

/// The NodeClaims of a plan as YAML documents, in the plan's order.
///
/// # Errors
/// When the writer refuses; it accepts everything that a plan can hold.
pub fn to_yaml(cluster: &ClusterView, plan: &Plan) -> Result<String, serde_saphyr::ser::Error> {
    let mut text = String::new();
    for claim in node_claims(cluster, plan) {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(&claim)?);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

/// One NodeClaim per node whose NodePool the cluster has.
#[must_use]
pub fn node_claims(cluster: &ClusterView, plan: &Plan) -> Vec<NodeClaim> {
    let pools: BTreeMap<&str, &NodePool> = cluster.node_pools.iter().map(|pool| (pool.name.as_str(), pool)).collect();
    plan.nodes.iter().filter_map(|node| Some(node_claim(pools.get(node.node_pool.as_str())?, node))).collect()
}

fn node_claim(pool: &NodePool, node: &PlannedNode) -> NodeClaim {
    let mut given = pool.labels.clone();
    given.extend(node.labels.clone());
    given.insert(labels::NODE_POOL.to_owned(), pool.name.clone());
    given.insert(labels::NODE_CLASS.to_owned(), pool.node_class_ref.name.clone());
    let mut requests = node.requests.clone();
    requests.add(&node.daemons);
    let mut wanted: Vec<NodeRequirement> =
        requirements(pool, node, &given).iter().flat_map(|(key, wanted)| written(key, wanted)).collect();
    for requirement in &mut wanted {
        in_order_of_candidates(requirement, &node.candidates);
    }
    let spec = NodeClaimSpec {
        taints: taints(&pool.taints),
        startup_taints: taints(&pool.startup_taints),
        requirements: wanted,
        resources: Some(NodeClaimResources {
            requests: Some(
                requests
                    .iter()
                    // No node reports attachments among its resources.
                    .filter(|(name, _)| !name.is_attachment())
                    .map(|(name, amount)| (name.to_string(), Quantity(quantity_text(name.as_str(), amount))))
                    .collect(),
            ),
        }),
        node_class_ref: NodeClassReference {
            group: pool.node_class_ref.group.clone(),
            kind: pool.node_class_ref.kind.clone(),
            name: pool.node_class_ref.name.clone(),
        },
        termination_grace_period: pool.termination_grace_period.clone(),
        expire_after: pool.expire_after.clone(),
    };
    let mut annotations = pool.annotations.clone();
    if node.candidates.iter().any(|candidate| candidate.price_kind.is_overlaid()) {
        annotations.insert(PRICE_OVERLAY_APPLIED.to_owned(), "true".to_owned());
    }
    let metadata = ObjectMeta {
        generate_name: Some(format!("{}-", pool.name)),
        labels: Some(given),
        annotations: (!annotations.is_empty()).then_some(annotations),
        ..ObjectMeta::default()
    };
    NodeClaim { metadata, spec, status: None }
}

/// The NodePool's requirements, narrowed to the labels that are given and to the candidates.
fn requirements(pool: &NodePool, node: &PlannedNode, given: &BTreeMap<String, String>) -> Requirements {
    let mut made = pool.requirements.clone();
    made.add_all(&Requirements::from_labels(given));
    let among = |value: fn(&Candidate) -> &str| Requirement::one_of(node.candidates.iter().map(value).collect::<BTreeSet<_>>());
    made.add(labels::INSTANCE_TYPE, among(|candidate| &candidate.instance_type));
    made.add(labels::ZONE, among(|candidate| &candidate.zone));
    made.add(labels::CAPACITY_TYPE, among(|candidate| candidate.capacity_type.as_str()));
    if let Some(id) = &node.offering.reservation {
        made.add(labels::RESERVATION_ID, Requirement::one_of([id.as_str()]));
    }
    made
}

/// Puts instance types, zones and capacity types into the order of the first candidates that have them: cheapest first.
fn in_order_of_candidates(requirement: &mut NodeRequirement, candidates: &[Candidate]) {
    let value: fn(&Candidate) -> &str = match requirement.key.as_str() {
        labels::INSTANCE_TYPE => |candidate| &candidate.instance_type,
        labels::ZONE => |candidate| &candidate.zone,
        labels::CAPACITY_TYPE => |candidate| candidate.capacity_type.as_str(),
        _ => return,
    };
    if let Some(values) = &mut requirement.values {
        values.sort_by_key(|name| candidates.iter().position(|candidate| value(candidate) == name));
    }
}

/// A requirement as the API writes it: one entry per operator that it takes, `minValues` on the first.
fn written(key: &str, requirement: &Requirement) -> Vec<NodeRequirement> {
    let entry = |operator: &str, values: Vec<String>| NodeRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: (!values.is_empty()).then_some(values),
        min_values: None,
    };
    let named: Vec<String> = requirement.named().iter().cloned().collect();
    let mut made = match (requirement.finite().is_some(), named.is_empty()) {
        (true, true) => vec![entry("DoesNotExist", named)],
        (true, false) => vec![entry("In", named)],
        (false, true) => Vec::new(),
        (false, false) => vec![entry("NotIn", named)],
    };
    let (least, most) = requirement.bounds();
    made.extend(least.map(|least| entry("Gte", vec![least.to_string()])));
    made.extend(most.map(|most| entry("Lte", vec![most.to_string()])));
    if made.is_empty() {
        made.push(entry("Exists", Vec::new()));
    }
    if let (Some(first), Some(wanted)) = (made.first_mut(), requirement.min_values) {
        first.min_values = Some(i64::from(wanted));
    }
    made
}

fn taints(given: &[Taint]) -> Option<Vec<KubeTaint>> {
    let made: Vec<KubeTaint> = given
        .iter()
        .map(|taint| KubeTaint {
            key: taint.key.clone(),
            value: (!taint.value.is_empty()).then(|| taint.value.clone()),
            effect: taint.effect.as_str().to_owned(),
            time_added: None,
        })
        .collect();
    (!made.is_empty()).then_some(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::requirement::Operator;

    #[test]
    fn requirements_are_written_with_the_operators_that_they_take() {
        let text = |requirement: &Requirement| {
            let entries = written("k", requirement);
            let one = |entry: &NodeRequirement| {
                format!("{} {} {:?}", entry.operator, entry.values.clone().unwrap_or_default().join(","), entry.min_values)
            };
            entries.iter().map(one).collect::<Vec<_>>()
        };
        let make = |operator, values: &[&str]| Requirement::new(operator, values).expect("the values of this test are valid");
        assert_eq!(text(&make(Operator::In, &["b", "a"])), ["In a,b None"]);
        assert_eq!(text(&make(Operator::NotIn, &["a"])), ["NotIn a None"]);
        assert_eq!(text(&Requirement::none()), ["DoesNotExist  None"]);
        let between = make(Operator::Gt, &["2"]).intersection(&make(Operator::Lt, &["9"]));
        assert_eq!(text(&between), ["Gte 3 None", "Lte 8 None"]);
        let mut several = Requirement::any();
        several.min_values = Some(3);
        assert_eq!(text(&several), ["Exists  Some(3)"]);
    }
}
