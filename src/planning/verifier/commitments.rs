//! Commitments: what a plan says that they pay is theirs to pay, and no more than there is.
//!
//! The order of the bill is not asked for here: whatever the order, an instance is paid once, a part of it draws at least as large a
//! part of what the whole would draw, and nobody draws what nodes that run have used up.

use super::Violation;
use super::concrete::Site;
use crate::domain::catalog::CapacityType;
use crate::domain::commitment::{Pool, Usage};
use crate::domain::money::UsdPerHour;
use crate::domain::plan::{Plan, PlannedNode};

/// Parts of an instance are rounded to a billionth, what they are worth to a micro-dollar.
const ROUNDING: f64 = 1e-8;

/// Checks what every node says, and the sums.
pub(super) fn check(site: &Site<'_>, plan: &Plan, found: &mut Vec<Violation>) {
    let commitments = &site.cluster.commitments;
    let mut drawn = vec![0_i64; commitments.pools.len()];
    for (index, node) in plan.nodes.iter().enumerate() {
        let mut part = 0.0;
        for cover in &node.covers {
            let name = commitments.pools.get(cover.pool).map_or_else(|| format!("#{}", cover.pool), Pool::name);
            let whole = covered(site, node).and_then(|usage| commitments.draw(cover.pool, &usage));
            let whole = whole.filter(|_| cover.drawn > 0);
            let own = whole.map_or(0.0, |whole| cover.drawn as f64 / whole as f64);
            // What is drawn for a part is rounded up to a whole unit.
            part += whole.map_or(0.0, |whole| (cover.drawn - i64::from(cover.drawn < whole)) as f64 / whole as f64);
            let worth = own * node.offering.price.micros() as f64;
            let overstated = cover.saved < UsdPerHour::ZERO || cover.saved.micros() as f64 > worth * (1.0 + ROUNDING) + 1.0;
            if overstated || part > 1.0 + ROUNDING {
                found.push(Violation::CoverMisstated { node: index, commitment: name });
            }
            if let Some(sum) = drawn.get_mut(cover.pool) {
                *sum = sum.saturating_add(cover.drawn);
            }
        }
    }
    let left = commitments.left_by(&site.cluster.nodes, site.catalog);
    for (pool, (drawn, left)) in commitments.pools.iter().zip(drawn.into_iter().zip(left)) {
        if drawn > left {
            found.push(Violation::CommitmentExceeded { commitment: pool.name(), drawn, left });
        }
    }
}

/// A node as usage that commitments may cover: On-Demand, and no Windows.
fn covered<'a>(site: &Site<'a>, node: &'a PlannedNode) -> Option<Usage<'a>> {
    let offering = &node.offering;
    let pool = site.pool(&node.node_pool)?;
    let class = site.cluster.node_classes.get(&pool.node_class_ref.name)?;
    let is_covered = offering.capacity_type == CapacityType::OnDemand && class.ami_family.windows_build().is_none();
    is_covered.then_some(Usage { instance_type: &offering.instance_type, zone: &offering.zone, price: offering.price })
}
