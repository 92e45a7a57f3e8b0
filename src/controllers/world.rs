//! What every controller has at hand.

use std::sync::{Arc, PoisonError, RwLock};

use kube::Client;
use tokio::sync::mpsc::UnboundedSender;

use crate::adapters::aws::cloud::{Cloud, ClusterFacts};
use crate::adapters::kube::mirror::Mirror;
use crate::controllers::events::Events;
use crate::controllers::operations::leader::Fence;
use crate::controllers::operations::metrics::Metrics;
use crate::controllers::operations::options::Settings;
use crate::controllers::prices::Prices;

/// Clients, mirrors and settings. Whatever must survive a restart is in the objects of the cluster, not here.
pub(crate) struct World {
    pub(crate) kube: Client,
    pub(crate) mirror: Mirror,
    pub(crate) cloud: Cloud,
    pub(crate) prices: Prices,
    facts: RwLock<Arc<ClusterFacts>>,
    pub(crate) settings: Settings,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) events: Events,
    pub(crate) fence: Fence,
    /// Asks the provisioner for another round; carries what it is about.
    pub(crate) wake: UnboundedSender<String>,
}

/// The parts of a world.
pub(crate) struct Parts {
    pub(crate) kube: Client,
    pub(crate) mirror: Mirror,
    pub(crate) cloud: Cloud,
    pub(crate) prices: Prices,
    pub(crate) facts: ClusterFacts,
    pub(crate) settings: Settings,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) fence: Fence,
    pub(crate) wake: UnboundedSender<String>,
}

impl World {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let events = Events::new(parts.kube.clone());
        let Parts { kube, mirror, cloud, prices, facts, settings, metrics, fence, wake } = parts;
        let facts = RwLock::new(Arc::new(facts));
        Arc::new(Self { kube, mirror, cloud, prices, facts, settings, metrics, events, fence, wake })
    }

    /// What new nodes are told of the cluster.
    pub(crate) fn facts(&self) -> Arc<ClusterFacts> {
        Arc::clone(&self.facts.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks for another round of planning.
    pub(crate) fn plan_again(&self, about: &str) {
        // The provisioner lives as long as the program.
        let _ = self.wake.send(about.to_owned());
    }
}
