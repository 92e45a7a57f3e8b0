//! Capacity reservations: a plan uses no more instances of one than are free, and says before the launch which one a node is of.

use std::collections::BTreeMap;

use super::Violation;
use super::violation::describe;
use crate::domain::cluster::ClusterView;
use crate::domain::plan::Plan;

/// Checks the number of nodes in every reservation, and that no launch could draw on another one.
pub(super) fn check(cluster: &ClusterView, plan: &Plan, found: &mut Vec<Violation>) {
    let mut used: BTreeMap<&str, u32> = BTreeMap::new();
    for (index, node) in plan.nodes.iter().enumerate() {
        if let Some(id) = &node.offering.reservation {
            *used.entry(id).or_default() += 1;
        }
        let other = node.candidates.iter().find(|candidate| candidate.reservation != node.offering.reservation);
        if let Some(other) = other {
            found.push(Violation::CandidateInOtherReservation { node: index, offering: describe(other) });
        }
    }
    for (id, nodes) in used {
        let known = cluster.node_classes.values().flat_map(|class| &class.capacity_reservations);
        let free = known.filter(|reservation| reservation.id == id).map(|reservation| reservation.free).min().unwrap_or(0);
        if nodes > free {
            found.push(Violation::ReservationExceeded { reservation: id.to_owned(), nodes, free });
        }
    }
}
