//! A plan from bare choices: whoever says which nodes to buy and which pods go where gets the plan that says so, with everything that
//! follows from the choices worked out (prices, room, DaemonSets, candidates, what commitments pay, what preferences are forgone).
//!
//! Nothing is mended: pods that do not fit are put where they were asked for, and the verifier says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::domain::catalog::{CapacityType, Catalog};
use crate::domain::cluster::ClusterView;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::{ExistingUse, FirstFitOutcome, Plan, PlannedNode, StopReason};
use crate::planning::assembly::{self, DealtNode};
use crate::planning::candidates::Holders;
use crate::planning::cost::CostModel;
use crate::planning::demand::Demand;
use crate::planning::plan::{NodeOrigin, PlanError, Planned, tied_keys};
use crate::planning::supply::{Supply, Template};
use crate::planning::{reasons, unmet};

/// A node to buy, as somebody names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedNode {
    /// NodePool.
    pub node_pool: String,
    /// Instance type.
    pub instance_type: String,
    /// Zone.
    pub zone: String,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// Labels that the NodePool leaves open and the node fixes, and of a reserved one the id of its reservation.
    pub labels: BTreeMap<String, String>,
    /// Indices into `ClusterView::pods`.
    pub pods: Vec<usize>,
}

/// Pods on a node that exists, as somebody names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedUse {
    /// Name of the node.
    pub node: String,
    /// Indices into `ClusterView::pods`.
    pub pods: Vec<usize>,
}

/// Who bought what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatedPlan {
    /// Nodes to buy.
    pub nodes: Vec<StatedNode>,
    /// Nodes that exist and take pods.
    pub existing: Vec<StatedUse>,
    /// No plan that places the same pods is worth less, as far as is known; zero says nothing.
    pub bound: UsdPerHour,
}

/// Why choices make no plan.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StatedError {
    /// Nothing of that kind can be bought.
    #[error(
        "node {node}: NodePool {node_pool} cannot buy {instance_type} in {zone} as {capacity_type} with these labels; \
         give an offering of the catalog that the NodePool allows"
    )]
    NotSold {
        /// Its position.
        node: usize,
        /// NodePool.
        node_pool: String,
        /// Instance type.
        instance_type: String,
        /// Zone.
        zone: String,
        /// Capacity type.
        capacity_type: &'static str,
    },
    /// A node that is said to exist does not.
    #[error("there is no node {node}; give the name of one of the instance's nodes")]
    UnknownNode {
        /// The name.
        node: String,
    },
    /// A pod that does not exist.
    #[error("there is no pod number {pod}")]
    UnknownPod {
        /// Its index.
        pod: usize,
    },
    /// There is no plan for this cluster at all.
    #[error(transparent)]
    Cluster(#[from] PlanError),
}

/// The plan that `stated` means. Pods that it does not name are left, with reasons; pods that it names twice are in the plan twice. Its yardstick
/// of first-fit is empty, because nobody has packed that way.
///
/// # Errors
/// A node, a pod or an offering that does not exist, or a cluster that has no plan at all.
pub fn plan_of(stated: &StatedPlan, cluster: &ClusterView, catalog: &Catalog, costs: &CostModel) -> Result<Planned, StatedError> {
    let supply = Supply::new(cluster, catalog, costs)?;
    let demand = Arc::new(Demand::new(cluster, &supply, costs.preferences));
    let mut placed = vec![false; cluster.pods.len()];
    let existing = existing(stated, cluster, &mut placed)?;
    let mut holders = Holders::new(&supply, &demand);
    let mut free: BTreeMap<&str, u32> = supply.reservations.iter().map(|(id, free)| (id.as_str(), *free)).collect();
    let mut dealt = Vec::with_capacity(stated.nodes.len());
    for (number, node) in stated.nodes.iter().enumerate() {
        let (template, offer) = offer_of(&supply, node, &mut free).ok_or_else(|| not_sold(number, node))?;
        let mut pods = node.pods.clone();
        pods.sort_unstable();
        let mut counts: BTreeMap<usize, u32> = BTreeMap::new();
        for &pod in &pods {
            *placed.get_mut(pod).ok_or(StatedError::UnknownPod { pod })? = true;
            *counts.entry(demand.class_of[pod]).or_default() += 1;
        }
        let load = holders.load(template, offer, counts.into_iter());
        dealt.push(DealtNode::given(NodeOrigin { tier: 0, template, offer }, load, pods));
    }
    let mut made = assembly::finish(cluster, &mut holders, dealt, &tied_keys(cluster));
    let mut after = supply.clone();
    assembly::cover(&mut after, &cluster.commitments, &mut made);
    let (nodes, origins) = assembly::sorted(made);
    let unmet = unmet::preferences(cluster, &supply, &demand, (&nodes, &origins), &existing);
    let mut plan = Plan {
        cost: nodes.iter().map(PlannedNode::cost).sum(),
        interruptions: nodes.iter().map(|node| node.offering.interruptions).sum(),
        forgone: unmet.iter().map(|of| of.worth * i64::from(of.pods)).sum(),
        nodes,
        existing,
        unplaced: Vec::new(),
        unmet,
        bound: UsdPerHour::ZERO,
        first_fit: FirstFitOutcome { cost: UsdPerHour::ZERO, nodes: 0, unplaced: 0 },
        stopped_by: StopReason::WorkLimit,
    };
    plan.bound = stated.bound.min(plan.value());
    if plan.bound == plan.value() {
        plan.stopped_by = StopReason::Optimal;
    }
    let mut planned = Planned { plan, tiers: Vec::new(), supply, demand, origins };
    let left = (0..cluster.pods.len()).filter(|&pod| !placed[pod]).collect();
    planned.plan.unplaced = reasons::unplaced(cluster, &planned, left);
    Ok(planned)
}

/// The nodes that exist, each once, with their pods.
fn existing(stated: &StatedPlan, cluster: &ClusterView, placed: &mut [bool]) -> Result<Vec<ExistingUse>, StatedError> {
    let numbers: FxHashMap<&str, usize> = cluster.nodes.iter().enumerate().map(|(at, node)| (node.name.as_str(), at)).collect();
    let mut used = Vec::new();
    for of in stated.existing.iter().filter(|of| !of.pods.is_empty()) {
        let unknown = || StatedError::UnknownNode { node: of.node.clone() };
        let node = *numbers.get(of.node.as_str()).ok_or_else(unknown)?;
        for &pod in &of.pods {
            *placed.get_mut(pod).ok_or(StatedError::UnknownPod { pod })? = true;
        }
        used.push(ExistingUse { node, pods: of.pods.clone() });
    }
    Ok(assembly::joined(used))
}

/// The template and the offer that `node` names; of several reservations one with free instances.
fn offer_of(supply: &Supply, node: &StatedNode, free: &mut BTreeMap<&str, u32>) -> Option<(usize, usize)> {
    let templates = supply.templates.iter().enumerate();
    let of_pool = templates.filter(|(_, template)| template.standing.is_none() && template.name == node.node_pool);
    let mut taken = None;
    for (number, template) in of_pool {
        let offers = (0..template.offers.len()).filter(|&offer| is_meant(template, offer, node));
        for offer in offers {
            match template.reservation(offer) {
                None => return Some((number, offer)),
                Some(id) => match free.get_mut(id) {
                    Some(left) if *left > 0 => {
                        *left -= 1;
                        return Some((number, offer));
                    }
                    // All are taken: the plan says so, and the verifier counts.
                    _ => taken = taken.or(Some((number, offer))),
                },
            }
        }
    }
    taken
}

fn is_meant(template: &Template, offer: usize, node: &StatedNode) -> bool {
    let cell = template.cell(offer);
    let fixes = || template.labels.iter().all(|(key, value)| node.labels.get(key).is_none_or(|wanted| wanted == value));
    let says = |(key, value): (&String, &String)| template.label_of_offer(key, offer).is_none_or(|own| own == *value);
    cell.capacity_type == node.capacity_type
        && cell.zone == node.zone
        && template.type_name(template.offers[offer].of_type) == node.instance_type
        && fixes()
        && node.labels.iter().all(says)
}

fn not_sold(number: usize, node: &StatedNode) -> StatedError {
    StatedError::NotSold {
        node: number,
        node_pool: node.node_pool.clone(),
        instance_type: node.instance_type.clone(),
        zone: node.zone.clone(),
        capacity_type: node.capacity_type.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::CapacityType::OnDemand;
    use crate::domain::interruption::InterruptionCosts;
    use crate::planning::PreferencePolicy;
    use crate::planning::fixtures::{catalog, cluster, planned, pool, spec};
    use crate::planning::verifier;

    const COSTS: CostModel = CostModel {
        volumes: false,
        fee_per_node: UsdPerHour::ZERO,
        interruptions: InterruptionCosts::NONE,
        preferences: PreferencePolicy::PRICED,
    };

    fn node(instance_type: &str, pods: &[usize]) -> StatedNode {
        let zone = catalog().get(instance_type).map(|sold| sold.offerings[0].zone.clone()).unwrap_or_default();
        StatedNode {
            node_pool: "any".to_owned(),
            instance_type: instance_type.to_owned(),
            zone,
            capacity_type: OnDemand,
            labels: BTreeMap::new(),
            pods: pods.to_vec(),
        }
    }

    fn verified(stated: &StatedPlan, cluster: &ClusterView) -> (Plan, Vec<verifier::Violation>) {
        let plan = plan_of(stated, cluster, &catalog(), &COSTS).expect("what is stated exists").plan;
        let verdict = verifier::verify(cluster, &catalog(), &plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE);
        (plan, verdict.violations)
    }

    #[test]
    fn choices_become_a_plan_that_the_verifier_accepts() {
        let cluster = cluster(vec![pool("any", &[])], &[(3, spec(2))]);
        let nodes = vec![node("m7g.xlarge", &[1, 0]), node("m7g.large", &[2])];
        let bound = UsdPerHour::from_micros(1_000);
        let (plan, violations) = verified(&StatedPlan { nodes, existing: Vec::new(), bound }, &cluster);
        assert_eq!(violations, []);
        assert_eq!((plan.cost, plan.bound), (UsdPerHour::from_micros(270_000), bound));
    }

    #[test]
    fn what_a_plan_says_states_the_same_plan_again() {
        let cluster = cluster(vec![pool("any", &[])], &[(7, spec(2)), (5, spec(1))]);
        let own = planned(&cluster).plan;
        let nodes = own.nodes.iter().map(|of| StatedNode {
            node_pool: of.node_pool.clone(),
            instance_type: of.offering.instance_type.clone(),
            zone: of.offering.zone.clone(),
            capacity_type: of.offering.capacity_type,
            labels: of.labels.clone(),
            pods: of.pods.clone(),
        });
        let (plan, violations) =
            verified(&StatedPlan { nodes: nodes.collect(), existing: Vec::new(), bound: own.bound }, &cluster);
        assert_eq!(violations, []);
        let nodes = |plan: &Plan| plan.nodes.iter().map(|node| (node.offering.clone(), node.pods.clone())).collect::<Vec<_>>();
        assert_eq!((nodes(&plan), plan.cost, plan.bound), (nodes(&own), own.cost, own.bound));
    }

    #[test]
    fn what_breaks_a_rule_stays_as_it_was_stated() {
        let cluster = cluster(vec![pool("any", &[])], &[(3, spec(2))]);
        let (plan, violations) =
            verified(&StatedPlan { nodes: vec![node("m7g.large", &[0, 1])], ..StatedPlan::default() }, &cluster);
        assert!(violations.iter().any(|of| matches!(of, verifier::Violation::Overcommitted { .. })), "{violations:?}");
        assert_eq!(plan.unplaced.iter().map(|left| left.pod).collect::<Vec<_>>(), [2]);
        assert!(plan.unplaced.iter().all(|left| !left.reasons.is_empty()));
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        let cluster = cluster(vec![pool("any", &[])], &[(1, spec(1))]);
        let refused = |stated: &StatedPlan| plan_of(stated, &cluster, &catalog(), &COSTS).expect_err("it does not exist");
        let sold = refused(&StatedPlan { nodes: vec![node("m9.large", &[0])], ..StatedPlan::default() });
        assert!(matches!(sold, StatedError::NotSold { node: 0, .. }), "{sold}");
        let pod = refused(&StatedPlan { nodes: vec![node("m5.large", &[4])], ..StatedPlan::default() });
        assert_eq!(pod, StatedError::UnknownPod { pod: 4 });
        let existing = vec![StatedUse { node: "gone".to_owned(), pods: vec![0] }];
        let unknown = refused(&StatedPlan { existing, ..StatedPlan::default() });
        assert_eq!(unknown, StatedError::UnknownNode { node: "gone".to_owned() });
    }
}
