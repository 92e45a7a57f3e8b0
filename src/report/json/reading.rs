//! Reads a plan document back, strictly: whatever does not add up is named, nothing is guessed.

use std::collections::BTreeMap;

use super::{CandidateDocument, PlanDocument, VERSION, parse_price_kind};
use crate::domain::catalog::CapacityType;
use crate::domain::cluster::ClusterView;
use crate::domain::commitment::Cover;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::{
    Candidate, ExistingUse, FirstFitOutcome, MeetingCost, Plan, PlannedNode, StopReason, UnmetPreference, UnplacedPod, WhyLeft,
};
use crate::domain::quantity::Quantity;
use crate::domain::resources::Resources;

/// Why a text is no plan for a cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is not JSON, or not of the schema.
    #[error("not a plan: {0}")]
    Schema(#[from] serde_json::Error),
    /// Another version of the schema.
    #[error("version: this is a plan of version {found}, this program reads version {VERSION}")]
    Version {
        /// The version of the document.
        found: u32,
    },
    /// A field has a value that cannot be.
    #[error("{field}: {problem}")]
    Field {
        /// Path of the field, `nodes[3].price`.
        field: String,
        /// What is wrong.
        problem: String,
    },
}

fn fail<T>(field: impl Into<String>, problem: impl Into<String>) -> Result<T, ReadError> {
    Err(ReadError::Field { field: field.into(), problem: problem.into() })
}

impl PlanDocument {
    /// Parses a document.
    ///
    /// # Errors
    /// When the text is not JSON, misses a field, has one that the schema does not know, or is of another version.
    pub fn parse(text: &[u8]) -> Result<Self, ReadError> {
        // The version first: a document of another version fails for that reason and not for its fields.
        let value: serde_json::Value = serde_json::from_slice(text)?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(found) if found != u64::from(VERSION) => {
                Err(ReadError::Version { found: u32::try_from(found).unwrap_or(u32::MAX) })
            }
            _ => Ok(serde_json::from_value(value)?),
        }
    }

    /// The plan, with its pods found in `cluster` by name.
    ///
    /// # Errors
    /// The first field whose value cannot be: a pod that the cluster does not have, a malformed quantity, a negative price, ...
    /// Whether the plan is any good is for the verifier to say.
    pub fn to_plan(&self, cluster: &ClusterView) -> Result<Plan, ReadError> {
        let pods: BTreeMap<(&str, &str), usize> =
            cluster.pods.iter().enumerate().map(|(index, pod)| ((pod.namespace.as_str(), pod.name.as_str()), index)).collect();
        let find = |field: &dyn Fn() -> String, name: &str| {
            let found = name.split_once('/').and_then(|(namespace, name)| pods.get(&(namespace, name)));
            found.copied().map_or_else(|| fail(field(), format!("the manifests have no pod `{name}`")), Ok)
        };
        let mut nodes = Vec::new();
        for (place, node) in self.nodes.iter().enumerate() {
            let at = format!("nodes[{place}]");
            if node.index != place {
                return fail(format!("{at}.index"), format!("is {}, the position is {place}", node.index));
            }
            let offering = candidate(
                &at,
                &CandidateDocument {
                    instance_type: node.instance_type.clone(),
                    zone: node.zone.clone(),
                    capacity_type: node.capacity_type.clone(),
                    reservation: node.reservation.clone(),
                    price: node.price,
                    price_kind: node.price_kind.clone(),
                    interruptions: node.interruptions,
                },
            )?;
            let mut placed = Vec::new();
            for (position, name) in node.pods.iter().enumerate() {
                placed.push(find(&|| format!("{at}.pods[{position}]"), name)?);
            }
            let mut candidates = Vec::new();
            for (position, one) in node.candidates.iter().enumerate() {
                candidates.push(candidate(&format!("{at}.candidates[{position}]"), one)?);
            }
            let mut covers = Vec::new();
            for (position, cover) in node.covers.iter().enumerate() {
                let at = format!("{at}.covers[{position}]");
                let known = cluster.commitments.pools.iter().position(|pool| pool.name() == cover.commitment);
                let Some(pool) = known else {
                    let problem = format!("there is no commitment `{}`; give the same --commitments", cover.commitment);
                    return fail(format!("{at}.commitment"), problem);
                };
                covers.push(Cover { pool, drawn: cover.drawn, saved: amount(&format!("{at}.saved"), cover.saved)? });
            }
            let made = PlannedNode {
                node_pool: node.nodepool.clone(),
                offering,
                overhead: amount(&format!("{at}.overhead"), node.overhead)?,
                covers,
                labels: node.labels.clone(),
                pods: placed,
                requests: resources(&format!("{at}.requests"), &node.requests)?,
                daemons: resources(&format!("{at}.daemons"), &node.daemons)?,
                allocatable: resources(&format!("{at}.allocatable"), &node.allocatable)?,
                candidates,
            };
            if amount(&format!("{at}.cost"), node.cost)? != made.cost() {
                return fail(format!("{at}.cost"), "is not price + overhead less what commitments pay");
            }
            nodes.push(made);
        }
        let mut existing = Vec::new();
        for (place, used) in self.existing.iter().enumerate() {
            let at = format!("existing[{place}]");
            let Some(node) = cluster.nodes.iter().position(|node| node.name == used.node) else {
                return fail(format!("{at}.node"), format!("the manifests have no node `{}`", used.node));
            };
            let mut pods = Vec::new();
            for (position, name) in used.pods.iter().enumerate() {
                pods.push(find(&|| format!("{at}.pods[{position}]"), name)?);
            }
            existing.push(ExistingUse { node, pods });
        }
        let mut unplaced = Vec::new();
        for (place, left) in self.unplaced.iter().enumerate() {
            let pod = find(&|| format!("unplaced[{place}].pod"), &left.pod)?;
            let Some(why) = WhyLeft::parse(&left.why) else {
                return fail(format!("unplaced[{place}].why"), format!("`{}` is no way to be left", left.why));
            };
            unplaced.push(UnplacedPod { pod, why, reasons: left.reasons.clone(), remedies: left.remedies.clone() });
        }
        let mut unmet = Vec::new();
        for (place, one) in self.unmet.iter().enumerate() {
            let at = format!("unmet[{place}]");
            let pod = find(&|| format!("{at}.pod"), &one.pod)?;
            let worth = amount(&format!("{at}.worth"), one.worth)?;
            let meeting = match one.meeting_cost {
                Some(cost) => Some(MeetingCost::AtMost(amount(&format!("{at}.meetingCost"), cost)?)),
                None => one.meeting_leaves_pods.then_some(MeetingCost::LeavesPods),
            };
            unmet.push(UnmetPreference { pod, rule: one.rule, pods: one.pods, worth, meeting });
        }
        let stops = [StopReason::Optimal, StopReason::GapReached, StopReason::WorkLimit, StopReason::Deadline];
        let Some(stopped_by) = stops.into_iter().find(|stop| stop.as_str() == self.stopped_by) else {
            return fail("stoppedBy", format!("`{}` is no reason to stop", self.stopped_by));
        };
        let first_fit = FirstFitOutcome {
            cost: amount("firstFit.cost", self.first_fit.cost)?,
            nodes: self.first_fit.nodes,
            unplaced: self.first_fit.unplaced,
        };
        let (cost, bound) = (amount("cost", self.cost)?, amount("bound", self.bound)?);
        Ok(Plan {
            nodes,
            existing,
            unplaced,
            unmet,
            cost,
            interruptions: amount("interruptions", self.interruptions)?,
            forgone: amount("forgone", self.forgone)?,
            bound,
            first_fit,
            stopped_by,
        })
    }
}

fn amount(field: &str, dollars: f64) -> Result<UsdPerHour, ReadError> {
    UsdPerHour::from_dollars(dollars).map_or_else(|| fail(field, format!("{dollars} is not an amount of dollars per hour")), Ok)
}

fn candidate(at: &str, one: &CandidateDocument) -> Result<Candidate, ReadError> {
    let Some(capacity_type) = CapacityType::parse(&one.capacity_type) else {
        return fail(format!("{at}.capacityType"), format!("`{}` is not `on-demand`, `spot` or `reserved`", one.capacity_type));
    };
    let Some(price_kind) = parse_price_kind(&one.price_kind) else {
        return fail(
            format!("{at}.priceKind"),
            format!("`{}` is not `listed`, `estimate`, `overlay` or `overlaidEstimate`", one.price_kind),
        );
    };
    Ok(Candidate {
        instance_type: one.instance_type.clone(),
        zone: one.zone.clone(),
        capacity_type,
        price: amount(&format!("{at}.price"), one.price)?,
        price_kind,
        interruptions: amount(&format!("{at}.interruptions"), one.interruptions)?,
        reservation: one.reservation.clone(),
    })
}

fn resources(at: &str, named: &BTreeMap<String, String>) -> Result<Resources, ReadError> {
    let mut made = Resources::new();
    for (name, text) in named {
        match Quantity::parse(text) {
            Ok(quantity) => made.set(name, quantity.amount(name)),
            Err(problem) => return fail(format!("{at}.{name}"), problem.to_string()),
        }
    }
    Ok(made)
}
