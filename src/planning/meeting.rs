//! What it would cost to meet the preferences that a plan leaves unmet: the plan once more with one of them required.

use std::sync::Arc;

use crate::domain::catalog::Catalog;
use crate::domain::cluster::ClusterView;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::{MeetingCost, UnmetPreference};
use crate::domain::pod::{Pod, PodSpec};
use crate::domain::preference::SoftRule;
use crate::planning::PreferencePolicy;
use crate::planning::cost::CostModel;
use crate::planning::plan::{PlanError, Planned, plan};
use crate::solver::{Clock, SolveConfig};

/// How many preferences are worked out, those that are worth most first: each takes a solve.
const MOST_PRICED: usize = 5;

/// Thousandths of the plan's own work that each solve may take.
const WORK_PER_MILLE: u64 = 100;
/// Below this much work a solve is no trouble.
const LEAST_WORK: u64 = 200_000;

/// Works out [`UnmetPreference::meeting`] for the priced preferences of `planned` that are worth most, within the deadline of `config`.
///
/// # Errors
/// As for [`plan`].
pub fn price_unmet(
    cluster: &ClusterView,
    catalog: &Catalog,
    costs: &CostModel,
    config: &SolveConfig,
    clock: Clock<'_>,
    planned: &mut Planned,
) -> Result<(), PlanError> {
    if !matches!(costs.preferences, PreferencePolicy::Priced { .. }) {
        return Ok(());
    }
    let worth = |of: &UnmetPreference| of.worth * i64::from(of.pods);
    let mut dearest: Vec<usize> =
        (0..planned.plan.unmet.len()).filter(|&at| planned.plan.unmet[at].worth > UsdPerHour::ZERO).collect();
    dearest.sort_by_key(|&at| (std::cmp::Reverse(worth(&planned.plan.unmet[at])), at));
    let work: u64 = planned.tiers.iter().map(|tier| tier.work).sum();
    let config = SolveConfig { work_limit: Some((work * WORK_PER_MILLE / 1_000).max(LEAST_WORK)), ..config.clone() };
    let value = planned.plan.value();
    for at in dearest.into_iter().take(MOST_PRICED) {
        if config.deadline.is_some_and(|deadline| clock() >= deadline) {
            break;
        }
        let of = &planned.plan.unmet[at];
        let Some(cluster) = requiring(cluster, of) else { continue };
        let with = plan(&cluster, catalog, costs, &config, clock, &mut |_| {})?;
        let meeting = if with.plan.unplaced.len() > planned.plan.unplaced.len() {
            MeetingCost::LeavesPods
        } else {
            // What the plan forgoes with this preference is no cost of meeting it.
            let now = value - worth(of);
            MeetingCost::AtMost((with.plan.value() - now).max(UsdPerHour::ZERO))
        };
        planned.plan.unmet[at].meeting = Some(meeting);
    }
    Ok(())
}

/// `cluster` with the preference required of all pods of its kind; `None` for one that no required rule says.
fn requiring(cluster: &ClusterView, of: &UnmetPreference) -> Option<ClusterView> {
    let mut made = cluster.clone();
    let like = &cluster.pods[of.pod];
    let spec = Arc::new(required(&like.spec, of.rule)?);
    let is_like = |pod: &&mut Pod| (&pod.spec, &pod.namespace, &pod.labels) == (&like.spec, &like.namespace, &like.labels);
    made.pods.iter_mut().filter(is_like).for_each(|pod| pod.spec = Arc::clone(&spec));
    Some(made)
}

/// `spec` with its soft rule number `rule` required; `None` where a taint is to be kept away from.
fn required(spec: &PodSpec, rule: usize) -> Option<PodSpec> {
    let mut made = spec.clone();
    match spec.soft_rules().get(rule)?.1 {
        SoftRule::Spread(spread) => {
            let soft = made.spreads.iter_mut().find(|own| !own.required && *own == spread)?;
            soft.required = true;
        }
        SoftRule::Near(term) => made.near.push(term.clone()),
        SoftRule::Apart(term) => made.apart.push(term.clone()),
        SoftRule::Node(wanted) => made.node_alternatives.iter_mut().for_each(|alternative| alternative.add_all(wanted)),
        SoftRule::Untainted => return None,
    }
    Some(made)
}
