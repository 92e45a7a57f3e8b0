//! What is asked of pods together: groups that are placed whole or not at all, and how many pods of a workload may be on Spot, all in
//! all and in one pool; and how much of the whole plan may be in one.

use std::collections::BTreeMap;

use super::Violation;
use super::concrete::Site;
use super::violation::describe;
use crate::domain::catalog::CapacityType;
use crate::domain::cluster::ClusterView;
use crate::domain::collective::WorkloadRules;
use crate::domain::labels;
use crate::domain::node::Node;
use crate::domain::plan::{Candidate, Plan};
use crate::domain::resources::ResourceName;

/// Instance type and zone.
type Pool<'a> = (&'a str, &'a str);

/// The pods of a workload, and those on Spot by pool: how many in all, and whether the plan has put some of them there.
#[derive(Default)]
struct Stand<'a> {
    pods: u32,
    pools: BTreeMap<Pool<'a>, (u32, bool)>,
}

/// Checks all of it.
pub(super) fn check(site: &Site<'_>, plan: &Plan, found: &mut Vec<Violation>) {
    let cluster = site.cluster;
    check_groups(cluster, plan, found);
    check_cap(site, plan, found);
    let mut workloads: BTreeMap<&WorkloadRules, Stand<'_>> = BTreeMap::new();
    for rules in cluster.pods.iter().filter_map(|pod| pod.spec.workload_rules.as_ref()) {
        workloads.entry(rules).or_default().pods += 1;
    }
    for node in &cluster.nodes {
        for rules in node.pods.iter().filter_map(|pod| pod.spec.workload_rules.as_ref()) {
            let stand = workloads.entry(rules).or_default();
            stand.pods += 1;
            if let Some(pool) = pool_of(node) {
                stand.pools.entry(pool).or_default().0 += 1;
            }
        }
    }
    let bought = plan.nodes.iter().filter_map(|node| Some((bought_in(&node.offering)?, &node.pods)));
    let used = plan.existing.iter().filter_map(|used| Some((pool_of(cluster.nodes.get(used.node)?)?, &used.pods)));
    for (pool, pods) in bought.chain(used) {
        for rules in rules_of(cluster, pods) {
            let here = workloads.entry(rules).or_default().pools.entry(pool).or_default();
            *here = (here.0 + 1, true);
        }
    }
    for (rules, stand) in &workloads {
        check_workload(rules, stand, found);
    }
    check_candidates(cluster, plan, &workloads, found);
}

fn check_workload(rules: &WorkloadRules, stand: &Stand<'_>, found: &mut Vec<Violation>) {
    let on_spot: u32 = stand.pools.values().map(|(pods, _)| pods).sum();
    let planned = stand.pools.values().any(|(_, planned)| *planned);
    if let Some(most) = rules.most_on_spot(stand.pods).filter(|most| planned && on_spot > *most) {
        found.push(Violation::OnDemandFloor { workload: rules.workload.clone(), on_spot, most });
    }
    for (&(instance_type, zone), &(pods, planned)) in &stand.pools {
        if let Some(most) = rules.most_in_spot_pool(stand.pods).filter(|most| planned && pods > *most) {
            let pool = format!("{instance_type} {zone}");
            found.push(Violation::SpotPoolShare { workload: rules.workload.clone(), pool, pods, most });
        }
    }
}

/// Whatever the launch request ends with, the rules hold: a node with such pods stays off Spot, or in its pool.
fn check_candidates(
    cluster: &ClusterView,
    plan: &Plan,
    workloads: &BTreeMap<&WorkloadRules, Stand<'_>>,
    found: &mut Vec<Violation>,
) {
    let binds = |most: Option<u32>, rules: &WorkloadRules| most.is_some_and(|most| most < workloads[rules].pods);
    for (index, node) in plan.nodes.iter().enumerate() {
        let pods = |rules: &WorkloadRules| workloads[rules].pods;
        let floor = rules_of(cluster, &node.pods).any(|rules| binds(rules.most_on_spot(pods(rules)), rules));
        let share = rules_of(cluster, &node.pods).any(|rules| binds(rules.most_in_spot_pool(pods(rules)), rules));
        let chosen = bought_in(&node.offering);
        for candidate in node.candidates.iter().filter(|candidate| bought_in(candidate).is_some()) {
            let key = if floor && chosen.is_none() {
                labels::CAPACITY_TYPE
            } else if share && bought_in(candidate) != chosen {
                labels::SPOT_POOL
            } else {
                continue;
            };
            let (offering, key) = (describe(candidate), key.to_owned());
            found.push(Violation::CandidateInOtherDomain { node: index, offering, key });
        }
    }
}

/// No pool in which the plan buys has more CPU than the cap of the whole plan.
fn check_cap(site: &Site<'_>, plan: &Plan, found: &mut Vec<Violation>) {
    let Some(most) = site.cluster.most_in_spot_pool() else { return };
    let mut pools: BTreeMap<Pool<'_>, i64> = BTreeMap::new();
    for (pool, node) in plan.nodes.iter().filter_map(|node| Some((bought_in(&node.offering)?, node))) {
        let vcpus = site.catalog.get(&node.offering.instance_type).map_or(0, |sold| sold.vcpus);
        *pools.entry(pool).or_default() += vcpus * 1_000;
    }
    for (pool, node) in site.cluster.nodes.iter().filter_map(|node| Some((pool_of(node)?, node))) {
        if let Some(cores) = pools.get_mut(&pool) {
            *cores += node.capacity.get(ResourceName::CPU);
        }
    }
    for ((instance_type, zone), cores) in pools.into_iter().filter(|(_, cores)| *cores > most) {
        found.push(Violation::SpotPoolCap { pool: format!("{instance_type} {zone}"), cores, most });
    }
}

/// No group is placed in part.
fn check_groups(cluster: &ClusterView, plan: &Plan, found: &mut Vec<Violation>) {
    let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for group in cluster.pods.iter().filter_map(|pod| pod.spec.atomic_group.as_deref()) {
        groups.entry(group).or_default().1 += 1;
    }
    let placed = plan.nodes.iter().flat_map(|node| &node.pods).chain(plan.existing.iter().flat_map(|used| &used.pods));
    for pod in placed.filter_map(|&pod| cluster.pods.get(pod)) {
        if let Some(group) = pod.spec.atomic_group.as_deref() {
            groups.entry(group).or_default().0 += 1;
        }
    }
    for (group, (placed, pods)) in groups {
        if placed != 0 && placed != pods {
            found.push(Violation::GroupSplit { group: group.to_owned(), placed, pods });
        }
    }
}

fn rules_of<'a>(cluster: &'a ClusterView, pods: &'a [usize]) -> impl Iterator<Item = &'a WorkloadRules> {
    pods.iter().filter_map(|&pod| cluster.pods.get(pod)?.spec.workload_rules.as_ref())
}

fn bought_in(offering: &Candidate) -> Option<Pool<'_>> {
    (offering.capacity_type == CapacityType::Spot).then_some((&offering.instance_type, &offering.zone))
}

/// The pool of a node that exists.
fn pool_of(node: &Node) -> Option<Pool<'_>> {
    let label = |key: &str| node.labels.get(key).map(String::as_str);
    let on_spot = label(labels::CAPACITY_TYPE) == Some(CapacityType::Spot.as_str());
    on_spot.then(|| (label(labels::INSTANCE_TYPE).unwrap_or_default(), label(labels::ZONE).unwrap_or_default()))
}
