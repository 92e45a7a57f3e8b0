//! The cluster as a lighter tier finds it: what the heavier tiers placed stands where they put it.
//!
//! A tier is planned by itself, but rules between pods and the room on nodes that exist know no tiers. So the nodes that a tier bought
//! become nodes that exist, with their pods bound and no room left, and nodes that it used keep the room that it left. Pods that are
//! placed but not bound yet still ask for their own rules (`Settled`): a spread constraint has to hold in the final state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::catalog::Catalog;
use crate::domain::cluster::ClusterView;
use crate::domain::labels;
use crate::domain::node::{BoundPod, Node, NodeState};
use crate::domain::plan::{ExistingUse, PlannedNode};
use crate::domain::pod::Pod;
use crate::domain::resources::Resources;
use crate::domain::selector::Labels;
use crate::planning::PreferencePolicy;
use crate::planning::demand::Demand;
use crate::planning::limits::Row;
use crate::planning::plan::NodeOrigin;
use crate::planning::spot::Pools;
use crate::planning::standing;
use crate::planning::supply::{Supply, Template};

/// What a tier sees.
pub(super) struct Interim {
    /// The pods that wait, and the nodes that stand.
    cluster: ClusterView,
    /// The Spot pools that are told apart.
    pools: Pools,
    /// Per node: from which of its pods on they are placed, not bound.
    placed_from: Vec<usize>,
    /// What can be bought, with the same numbers as at the start, and what stands.
    pub(super) supply: Supply,
    /// What waits.
    pub(super) demand: Arc<Demand>,
    /// Index of each waiting pod in the whole cluster, ascending.
    pub(super) pods: Arc<Vec<usize>>,
}

impl Interim {
    /// Before the first tier.
    pub(super) fn new(cluster: &ClusterView, supply: &Supply, demand: &Arc<Demand>, pools: &Pools) -> Self {
        Self {
            pools: pools.clone(),
            placed_from: cluster.nodes.iter().map(|node| node.pods.len()).collect(),
            cluster: cluster.clone(),
            supply: supply.clone(),
            demand: Arc::clone(demand),
            pods: Arc::new((0..cluster.pods.len()).collect()),
        }
    }

    /// After a tier that made this of the pods, the `last` of which hands nothing on but what is left; numbers of pods are those of the whole `cluster`.
    pub(super) fn after(
        self,
        cluster: &ClusterView,
        catalog: &Catalog,
        (nodes, origins): (&[PlannedNode], &[NodeOrigin]),
        existing: &[ExistingUse],
        policy: PreferencePolicy,
        last: bool,
    ) -> Self {
        let Self { cluster: mut now, mut placed_from, mut supply, demand, pods, pools: spot_pools } = self;
        let placed: BTreeSet<usize> =
            nodes.iter().flat_map(|node| &node.pods).chain(existing.iter().flat_map(|used| &used.pods)).copied().collect();
        let pods: Arc<Vec<usize>> = Arc::new(pods.iter().copied().filter(|pod| !placed.contains(pod)).collect());
        if last {
            return Self { cluster: now, placed_from, supply, demand, pods, pools: spot_pools };
        }
        let of = |pods: &[usize]| -> Vec<BoundPod> { pods.iter().map(|&pod| bound(&cluster.pods[pod])).collect() };
        for used in existing {
            now.nodes[used.node].pods.extend(of(&used.pods));
        }
        for origin in origins {
            let id = supply.templates[origin.template].reservation(origin.offer).map(str::to_owned);
            if let Some(free) = id.and_then(|id| supply.reservations.get_mut(&id)) {
                *free = free.saturating_sub(1);
            }
            for (pool, left) in &mut supply.spot_left {
                let row = Row::SpotPool(pool.clone());
                *left = left.saturating_sub(supply.templates[origin.template].taken(&row, origin.offer)).max(0);
            }
        }
        for (node, origin) in nodes.iter().zip(origins) {
            let template = &supply.templates[origin.template];
            // What is asked for is all that there is.
            let (allocatable, capacity) = (node.requests.clone(), Resources::new());
            now.nodes.push(Node {
                name: format!("planned node {}", now.nodes.len()),
                node_pool: Some(node.node_pool.clone()),
                labels: labels_of(template, origin.offer, now.nodes.len()),
                taints: template.taints.clone(),
                capacity,
                allocatable,
                state: NodeState::InFlight,
                pods: of(&node.pods),
            });
            placed_from.push(0);
        }
        now.pods = pods.iter().map(|&pod| cluster.pods[pod].clone()).collect();
        supply.templates.retain(|template| template.standing.is_none());
        supply.templates.extend(standing::templates(&now, catalog));
        let demand = Arc::new(Demand::beside(&now, &supply, policy, &spot_pools, &placed_from));
        Self { cluster: now, placed_from, supply, demand, pods, pools: spot_pools }
    }
}

fn bound(pod: &Pod) -> BoundPod {
    let Pod { namespace, name, labels, spec, .. } = pod.clone();
    BoundPod { namespace, name, labels, spec, of_daemon_set: false }
}

/// The labels of a node of `offer`, the `number`th.
fn labels_of(template: &Template, offer: usize, number: usize) -> Labels {
    let of_type = template.types[template.offers[offer].of_type].in_market;
    let offering = [
        labels::ZONE,
        labels::ZONE_ID,
        labels::CAPACITY_TYPE,
        labels::RESERVATION_ID,
        labels::RESERVATION_TYPE,
        labels::RESERVATION_INTERRUPTIBLE,
    ];
    let own = template.requirements.iter().map(|(key, _)| key);
    let keys = own.chain(template.market.types[of_type].requirements.iter().map(|(key, _)| key));
    let keys: BTreeSet<&str> = keys.chain(offering).collect();
    let mut made: BTreeMap<String, String> =
        keys.into_iter().filter_map(|key| Some((key.to_owned(), template.label_of_offer(key, offer)?))).collect();
    made.insert(labels::HOSTNAME.to_owned(), format!("planned node {number}"));
    made
}
