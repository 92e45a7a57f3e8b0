//! What every controller has at hand.

use std::sync::Arc;

use kube::Client;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use crate::adapters::aws::cloud::{Cloud, ClusterFacts};
use crate::adapters::kube::mirror::Mirror;
use crate::controllers::events::Events;
use crate::controllers::lifecycle::Arrivals;
use crate::controllers::lifecycle::Launches;
use crate::controllers::node_pool::RegistrationHealths;
use crate::controllers::offers::LastMarkets;
use crate::controllers::operations::leader::Fence;
use crate::controllers::operations::metrics::Metrics;
use crate::controllers::operations::options::{Acting, Settings};
use crate::controllers::prices::Prices;
use crate::controllers::provisioner::Losses;

/// Clients, mirrors and settings. Whatever must survive a restart is in the objects of the cluster, not here.
pub(crate) struct World {
    pub(crate) kube: Client,
    pub(crate) mirror: Mirror,
    pub(crate) cloud: Cloud,
    pub(crate) prices: Prices,
    /// What new nodes are told of the cluster.
    pub(crate) facts: watch::Receiver<ClusterFacts>,
    pub(crate) settings: Settings,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) events: Events,
    pub(crate) fence: Fence,
    pub(crate) launches: Launches,
    pub(crate) losses: Losses,
    pub(crate) arrivals: Arrivals,
    pub(crate) markets: LastMarkets,
    pub(crate) health: Arc<RegistrationHealths>,
    /// Asks the provisioner for another round; carries what it is about.
    pub(crate) wake: UnboundedSender<String>,
}

impl World {
    /// Asks for another round of planning.
    pub(crate) fn plan_again(&self, about: &str) {
        // The provisioner lives as long as the program.
        let _ = self.wake.send(about.to_owned());
    }

    /// Whether this replica may change anything in the cloud now.
    pub(crate) fn may_act(&self) -> bool {
        self.fence.leads() && self.settings.acting == Acting::CarryOut
    }
}
