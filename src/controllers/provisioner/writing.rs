//! A plan, written into the cluster: NodeClaims with their planned pods, and events that say what was decided.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::json;
use tokio::time::timeout;

use crate::adapters::kube::crd::{NodeClaim, NodePool};
use crate::adapters::kube::node_claims::node_claims;
use crate::controllers::lifecycle::TERMINATION;
use crate::controllers::planned_pods;
use crate::controllers::provisioner::losses;
use crate::controllers::provisioner::view::{View, key};
use crate::controllers::random::random;
use crate::controllers::world::World;
use crate::domain::annotations;
use crate::domain::money::UsdPerHour;
use crate::domain::plan::{Plan, PlannedNode};

/// Writes under way at the same time.
const AT_ONCE: usize = 32;
/// How long the API server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Seconds between two attempts at one write, at most. Each is under the same name, so that one whose answer was lost is not made twice.
const LONGEST_PAUSE: u64 = 10;
/// Annotations of a NodePool that its NodeClaims carry too.
const HASHES: [&str; 2] = ["karpenter.sh/nodepool-hash", "karpenter.sh/nodepool-hash-version"];

/// Writes the NodeClaims of the plan, and gives pods that share a node that is on its way to its claim.
///
/// `bought_for` are the pods that an earlier plan had a node for which is still on its way; those of this plan join them.
pub(super) async fn carry_out(world: &Arc<World>, view: &View, plan: &Plan, bought_for: &mut BTreeSet<String>) {
    let id = plan_id();
    let told = losses_of(world, view, plan);
    for node in &plan.nodes {
        let uids: Vec<String> = node.pods.iter().filter_map(|&pod| view.pods.get(pod)?.uid()).collect();
        if uids.iter().any(|uid| bought_for.contains(uid)) {
            world.metrics.plans.launched_beyond_plan();
        }
        bought_for.extend(uids);
    }
    let claims = node_claims(&view.cluster, plan);
    let mut writes = Vec::with_capacity(claims.len());
    for ((claim, node), loss) in claims.into_iter().zip(&plan.nodes).zip(&told) {
        writes.push(write(world, view, &id, claim, node, loss.as_deref()));
    }
    futures_util::stream::iter(writes).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    for used in &plan.existing {
        let name = &view.cluster.nodes[used.node].name;
        let pods: Vec<&Arc<Pod>> = used.pods.iter().filter_map(|&pod| view.pods.get(pod)).collect();
        for pod in &pods {
            world.events.decided(&***pod, "Nominated", &format!("Pod should schedule on: node/{name}"));
        }
        if let Some(claim) = view.in_flight.get(name) {
            share(world, claim, &pods).await;
        }
    }
}

/// For each node of the plan what there is to say of NodeClaims that its pods were planned on before and that came to nothing.
fn losses_of(world: &World, view: &View, plan: &Plan) -> Vec<Option<String>> {
    let uids = |node: &PlannedNode| -> BTreeSet<&str> {
        node.pods.iter().filter_map(|&pod| view.pods.get(pod)?.metadata.uid.as_deref()).collect()
    };
    let nodes: Vec<(UsdPerHour, BTreeSet<&str>)> = plan.nodes.iter().map(|node| (node.cost(), uids(node))).collect();
    let losses = world.losses.take(&nodes.iter().flat_map(|(_, pods)| pods.iter().copied()).collect());
    nodes.iter().map(|(_, pods)| losses::note(&losses, pods, &nodes)).collect()
}

/// Says what would be done, and does nothing.
pub(super) fn recommend(world: &World, view: &View, plan: &Plan) {
    for node in &plan.nodes {
        let offering = &node.offering;
        tracing::info!(
            node_pool = node.node_pool,
            instance_type = offering.instance_type,
            zone = offering.zone,
            capacity_type = offering.capacity_type.as_str(),
            usd_per_hour = node.cost().dollars(),
            pods = node.pods.len(),
            "recommended node"
        );
        for pod in node.pods.iter().filter_map(|&pod| view.pods.get(pod)) {
            world.events.decided(&**pod, "Recommended", &format!("Pod would get a node: {}", words(node)));
        }
    }
}

async fn write(world: &World, view: &View, plan: &str, mut claim: NodeClaim, node: &PlannedNode, loss: Option<&str>) {
    let Some(pool) = world.mirror.node_pool(&node.node_pool) else {
        tracing::warn!(node_pool = node.node_pool, "the NodePool is gone, so its NodeClaim is not written");
        return;
    };
    let pods: Vec<&Arc<Pod>> = node.pods.iter().filter_map(|&pod| view.pods.get(pod)).collect();
    complete(&mut claim, &pool, plan, node, &pods);
    let api: Api<NodeClaim> = Api::all(world.kube.clone());
    let name = claim.name_any();
    // Once it may have been written it is written: given up, it would launch a node for pods that are planned again.
    for attempt in 1_u64.. {
        if !world.fence.leads() {
            return;
        }
        let made = match timeout(PATIENCE, api.create(&PostParams::default(), &claim)).await {
            Ok(Ok(made)) => made,
            Ok(Err(error)) if is_final(&error) => {
                tracing::error!(%error, claim = name, "cannot write a NodeClaim; its pods are planned again");
                return;
            }
            // Our own, of an attempt whose answer was lost: the name is random.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => match api.get(&name).await {
                Ok(made) => made,
                Err(_) => continue,
            },
            outcome => {
                let problem = outcome.map_or_else(|_| "no answer".to_owned(), |answer| format!("{:?}", answer.err()));
                tracing::warn!(claim = name, problem, "writing a NodeClaim failed, trying again");
                tokio::time::sleep(Duration::from_secs(attempt.min(LONGEST_PAUSE))).await;
                continue;
            }
        };
        world.launches.created(made.uid().as_deref().unwrap_or_default());
        world.mirror.remember(made.clone());
        world.metrics.claims.provisioned(&node.node_pool);
        let requests = made.spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        tracing::info!(
            claim = name,
            node_pool = node.node_pool,
            pods = pods.len(),
            offering = words(node),
            requests = ?requests,
            "created nodeclaim"
        );
        if let Some(note) = loss {
            world.events.warning(&made, "PlannedAgain", note);
        }
        for pod in &pods {
            let note = format!("Pod should schedule on: nodeclaim/{name}; {}", words(node));
            world.events.decided(&***pod, "Nominated", &note);
        }
        return;
    }
}

/// The chosen offering, and what the next best would cost more.
fn words(node: &PlannedNode) -> String {
    let of = |offering: &crate::domain::plan::Candidate| {
        format!("{} {} in {}", offering.capacity_type.as_str(), offering.instance_type, offering.zone)
    };
    let first = &node.offering;
    let chosen = format!("{} at ${:.4}/h", of(first), first.price.dollars());
    node.candidates.get(1).map_or(chosen.clone(), |next| {
        format!("{chosen}, next best {} (+${:.4}/h)", of(next), (next.price - first.price).dollars())
    })
}

fn complete(claim: &mut NodeClaim, pool: &NodePool, plan: &str, node: &PlannedNode, pods: &[&Arc<Pod>]) {
    let metadata = &mut claim.metadata;
    metadata.name = Some(format!("{}-{}", pool.name_any(), suffix()));
    metadata.generate_name = Some(format!("{}-", pool.name_any()));
    metadata.finalizers = Some(vec![TERMINATION.to_owned()]);
    metadata.owner_references = Some(vec![OwnerReference {
        api_version: NodePool::api_version(&()).into_owned(),
        kind: NodePool::kind(&()).into_owned(),
        name: pool.name_any(),
        uid: pool.uid().unwrap_or_default(),
        block_owner_deletion: Some(true),
        controller: None,
    }]);
    let all = metadata.annotations.get_or_insert_with(BTreeMap::new);
    for hash in HASHES {
        if let Some(value) = pool.annotations().get(hash) {
            all.insert(hash.to_owned(), value.clone());
        }
    }
    all.insert("karpenter.sh/nodeclaim-min-values-relaxed".to_owned(), "false".to_owned());
    all.insert(annotations::PLAN.to_owned(), plan.to_owned());
    all.insert(annotations::PLANNED_PRICE.to_owned(), format!("{:.6}", node.cost().dollars()));
    let keys: Vec<_> = pods.iter().map(|pod| key(pod)).collect();
    planned_pods::note(all, keys.iter());
}

/// Adds pods to those that the node of `claim` is meant for.
async fn share(world: &World, claim: &NodeClaim, pods: &[&Arc<Pod>]) {
    let mut meant = planned_pods::of(claim);
    meant.extend(pods.iter().map(|pod| key(pod)));
    meant.sort();
    meant.dedup();
    let patch = json!({"metadata": {
        "resourceVersion": claim.resource_version(),
        "annotations": {annotations::PLANNED_PODS: planned_pods::text(meant.iter())},
    }});
    let api: Api<NodeClaim> = Api::all(world.kube.clone());
    if let Err(error) = api.patch(&claim.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await {
        // The claim changed meanwhile; the pods are planned again in the next round.
        tracing::debug!(%error, claim = claim.name_any(), "cannot add pods to a NodeClaim");
    }
}

/// Whether trying again is of no use.
fn is_final(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 409 && status.code != 429)
}

/// Names a plan in annotations and logs.
fn plan_id() -> String {
    format!("{:016x}", random())
}

/// Five characters like those that the API server appends to a generated name.
fn suffix() -> String {
    // Without vowels and what looks alike, as in k8s.io/apimachinery/pkg/util/rand.
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut number = random();
    let mut next = || {
        let letter = LETTERS[usize::try_from(number % LETTERS.len() as u64).unwrap_or_default()];
        number /= LETTERS.len() as u64;
        char::from(letter)
    };
    (0..5).map(|_| next()).collect()
}
