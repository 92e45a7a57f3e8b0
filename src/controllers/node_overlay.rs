//! The status of NodeOverlays: whether each can be meant, and whether it counts beside the others.
//!
//! Conditions and reasons are those of Karpenter core v1.15.0 (`pkg/controllers/nodeoverlay`). All overlays are judged together, since they
//! conflict with one another, and again when one of them, a NodePool, an EC2NodeClass or the catalog has changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt as _};

use crate::adapters::kube::cluster_view::LiveObjects;
use crate::adapters::kube::conditions::{ConditionStatus, Conditioned as _};
use crate::adapters::kube::convert::node_overlay::from_api;
use crate::adapters::kube::crd::{NodeOverlay, NodeOverlayStatus};
use crate::controllers::offers::{Versions, versions};
use crate::controllers::patches;
use crate::controllers::world::World;
use crate::domain::catalog::Catalog;
use crate::domain::node_overlay::evaluation::{Idle, Overlays};

/// The condition that `Ready` follows.
const VALIDATED: &str = "ValidationSucceeded";
/// How often it is looked whether anything has changed.
const PERIOD: Duration = Duration::from_secs(2);

/// What is wrong with an overlay: a reason for programs and a sentence for people.
type Fault = (&'static str, String);

/// Keeps the status of all overlays until the program ends.
pub(crate) async fn run(world: Arc<World>) {
    let mut judged: Option<(Versions, Arc<Catalog>)> = None;
    loop {
        tokio::time::sleep(PERIOD).await;
        let Some(catalog) = world.prices.catalog().filter(|_| world.may_act()) else { continue };
        let objects = LiveObjects {
            node_pools: world.mirror.node_pools.state(),
            node_classes: world.mirror.node_classes.state(),
            node_overlays: world.mirror.node_overlays.state(),
            ..LiveObjects::default()
        };
        let now = versions(&objects);
        if judged.as_ref().is_some_and(|(known, prices)| *known == now && Arc::ptr_eq(prices, &catalog)) {
            continue;
        }
        let faults = faults(&objects, &catalog);
        let mut all_written = true;
        for overlay in &objects.node_overlays {
            all_written &= write(&world, overlay, faults.get(&overlay.name_any())).await;
        }
        judged = all_written.then_some((now, catalog));
    }
}

/// What is wrong with each overlay that something is wrong with, by name.
fn faults(objects: &LiveObjects, catalog: &Catalog) -> BTreeMap<String, Fault> {
    let mut made: BTreeMap<String, Fault> = BTreeMap::new();
    for overlay in &objects.node_overlays {
        let name = overlay.name_any();
        if let Err(error) = from_api(&name, overlay) {
            made.insert(name, ("RuntimeValidation", format!("{}: {}; {}", error.field, error.problem, error.mend)));
        }
    }
    // Without pods nothing can be too many; what is wrong with an overlay is known already.
    let cluster = objects.load().map(|(loaded, _)| loaded.cluster).unwrap_or_default();
    for (overlay, why) in &Overlays::new(&cluster, catalog).idle {
        // One that nothing matches, or that says nothing, is sound all the same.
        if matches!(why, Idle::Conflict { .. }) {
            made.insert(overlay.name.clone(), ("Conflict", why.to_string()));
        }
    }
    made
}

/// Writes the conditions of one overlay; `false` where that is worth another try.
async fn write(world: &World, overlay: &NodeOverlay, fault: Option<&Fault>) -> bool {
    let now = Timestamp::now();
    let mut conditions = overlay.conditions(now);
    match fault {
        None => conditions.set_true(VALIDATED, now),
        Some((reason, message)) => conditions.set(VALIDATED, ConditionStatus::False, reason, message, now),
    }
    let status = NodeOverlayStatus { conditions: Some(conditions.into_list()) };
    match patches::status(&Api::all(world.kube.clone()), overlay, overlay.status.as_ref(), &status).await {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(%error, overlay = overlay.name_any(), "cannot write the status of a NodeOverlay");
            false
        }
    }
}
