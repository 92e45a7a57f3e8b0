//! The program: what is started in which order, and what ends it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use k8s_openapi::api::core::v1::{Node, Service};
use kube::api::ListParams;
use kube::client::ClientBuilder;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::limit::RateLimitLayer;

use crate::adapters::aws::cloud::discovery::{ControlPlane, RefreshIntervals};
use crate::adapters::aws::cloud::{Cloud, ClusterFacts, default_region};
use crate::adapters::aws::{Access, CatalogSource, Periods, Settings as SourceSettings, Snapshot};
use crate::adapters::files::catalog;
use crate::adapters::kube::crd::{EC2NodeClass, NodeClaim, NodePool};
use crate::adapters::kube::mirror::{Change, Mirror};
use crate::controllers::events::Events;
use crate::controllers::lifecycle::{Arrivals, Launches};
use crate::controllers::node_class::NodeClassContext;
use crate::controllers::node_pool::{NodePoolContext, Usage};
use crate::controllers::offers::LastMarkets;
use crate::controllers::operations::leader::{Leadership, lead};
use crate::controllers::operations::logs;
use crate::controllers::operations::metrics::{Build, Metrics};
use crate::controllers::operations::options::{Acting, RateLimit, Settings};
use crate::controllers::operations::server::{Prerequisite, Readiness, Server};
use crate::controllers::prices::{Origin, Prices};
use crate::controllers::provisioner::Losses;
use crate::controllers::world::World;
use crate::controllers::{
    garbage_collection, lifecycle, node_class, node_overlay, node_pool, pools, provisioner, queues, random, termination,
};
use crate::domain::instance_settings::InstanceSettings;
use crate::domain::labels;

/// How long one attempt at one call to AWS may take, CreateFleet apart.
const AWS_TIMEOUT: Duration = Duration::from_secs(30);
/// Between questions for what the cluster is (`providers.version` of Karpenter's AWS provider v1.15.1).
const FACTS_PERIOD: Duration = Duration::from_mins(5);
/// The same while EKS has not said which addresses the cluster's Services have.
const FACTS_MISSING_PERIOD: Duration = Duration::from_mins(1);
/// Between looks for launch templates that nobody uses any more.
const TEMPLATES_PERIOD: Duration = Duration::from_secs(20);
/// Between questions whether the API server serves our kinds.
const CRDS_PERIOD: Duration = Duration::from_secs(1);
/// Between sweeps of instance profiles (`instanceprofile.garbagecollection`).
const PROFILES_PERIOD: Duration = Duration::from_mins(30);

/// Why the controller cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something that it needs to begin.
    #[error("{0}")]
    Start(String),
    /// Another replica leads.
    #[error(transparent)]
    Lost(#[from] crate::controllers::operations::leader::Lost),
    /// A part of it came to an end.
    #[error("{0} ended; this is a defect of supercargo")]
    Ended(&'static str),
}

impl Failure {
    fn start(what: &str) -> impl Fn(&dyn std::fmt::Display) -> Self {
        let what = what.to_owned();
        move |problem| Self::Start(format!("{what}: {problem}"))
    }
}

/// Runs the controller until it is asked to end. `commit` is what the program was built from; empty where nobody knows.
///
/// # Errors
/// What keeps it from beginning, or from going on.
pub async fn run(settings: Settings, commit: &'static str) -> Result<(), Failure> {
    let build = Build { version: env!("CARGO_PKG_VERSION"), commit };
    logs::init(settings.log_level, &build).map_err(|error| Failure::start("logging")(&error))?;
    for notice in &settings.notices {
        tracing::info!("{notice}");
    }
    let metrics = Metrics::new(&build);
    let readiness = Readiness::default();
    let server = Server::open(&settings.listen).await.map_err(|error| Failure::start("metrics and probes")(&error))?;
    let (ending, stop) = (CancellationToken::new(), CancellationToken::new());
    let serving = tokio::spawn(server.serve(Arc::clone(&metrics), readiness.clone(), stop.clone()));
    let told = ending.clone();
    let listening = tokio::spawn(async move {
        asked_to_end().await;
        tracing::info!("asked to end");
        told.cancel();
    });
    let outcome = act(settings, &metrics, &readiness, &ending).await;
    listening.abort();
    stop.cancel();
    if let Ok(Err(error)) = serving.await {
        tracing::error!(%error, "serving ended");
    }
    outcome
}

/// SIGTERM, or ctrl-C.
async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be heard");
            // Nothing to wait for: the system ends the program.
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

/// Begins, acts while this replica leads, and ends in order once it is asked to.
async fn act(
    settings: Settings,
    metrics: &Arc<Metrics>,
    readiness: &Readiness,
    ending: &CancellationToken,
) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    let Some(begun) = ending.run_until_cancelled(begin(settings, metrics, readiness, &mut tasks)).await else { return Ok(()) };
    let mut leadership = begun?;
    let ended = tokio::select! {
        lost = leadership.lost() => Err(Failure::Lost(lost)),
        ended = tasks.join_next() => Err(Failure::Ended(ended.and_then(Result::ok).unwrap_or("a part of the program"))),
        () = ending.cancelled() => Ok(()),
    };
    finish(tasks, leadership, ended.is_ok()).await;
    ended
}

/// Everything up to the moment at which this replica leads and its controllers are started.
async fn begin(
    settings: Settings,
    metrics: &Arc<Metrics>,
    readiness: &Readiness,
    tasks: &mut JoinSet<&'static str>,
) -> Result<Leadership, Failure> {
    let mut config = kube::Config::infer().await.map_err(|error| Failure::start("connection to the cluster")(&error))?;
    // Whoever asks decides what to do about an answer: an eviction that a budget does not allow is one.
    config.default_retry = false;
    let ca_bundle = settings.cluster.ca_bundle.clone().or_else(|| certificates(&config)).unwrap_or_default();
    let kube = client(config.clone(), Some(settings.kube_client))?;
    let region = match &settings.region {
        Some(region) => region.clone(),
        None => default_region().await.ok_or_else(|| Failure::Start("AWS_REGION: name the region of the cluster".to_owned()))?,
    };
    let access = Access { profile: None, endpoint_url: None, timeout: AWS_TIMEOUT };
    let cloud = Cloud::open(&access, &region).await.map_err(|error| Failure::start("AWS")(&error))?;
    let refresh = settings.refresh;
    let cloud = cloud.with_refresh_intervals(RefreshIntervals {
        images: refresh.images,
        subnets: refresh.subnets,
        security_groups: refresh.security_groups,
    });
    let origin = origin(&settings, &access, &region, tasks)?;
    let instance_settings = InstanceSettings {
        vm_memory_overhead: settings.vm_memory_overhead,
        reserved_enis: i64::from(settings.reserved_enis),
        ..InstanceSettings::default()
    };
    let facts = facts(&kube, &cloud, &settings, &ca_bundle, None).await?;
    let (facts_sender, facts) = watch::channel(facts);

    while Api::<NodePool>::all(kube.clone()).list(&ListParams::default().limit(1)).await.is_err() {
        tokio::time::sleep(CRDS_PERIOD).await;
    }
    readiness.set(Prerequisite::CrdsServed, true);
    let (mirror, watches) = Mirror::new(&kube);
    for watch in watches {
        tasks.spawn(async move {
            watch.await;
            "a watch"
        });
    }
    mirror.synced().await;
    readiness.set(Prerequisite::MirrorSynced, true);
    tracing::info!(nodes = mirror.nodes.len(), "the mirror of the cluster is complete");

    // A renewal must not wait in line behind other requests.
    let mut leadership = lead(client(config, None)?, settings.election.as_ref(), Arc::clone(metrics));
    leadership.won().await?;
    // Whoever led before may have written NodeClaims that the watch has not brought yet.
    let written = Api::<NodeClaim>::all(kube.clone()).list(&ListParams::default()).await;
    let written = written.map_err(|error| Failure::start("reading the NodeClaims")(&error))?;
    written.items.into_iter().for_each(|claim| mirror.remember(claim));
    let (wake, asked) = mpsc::unbounded_channel();
    let world = Arc::new(World {
        events: Events::new(kube.clone()),
        kube,
        mirror,
        cloud,
        prices: Prices::new(origin, instance_settings),
        facts,
        settings,
        metrics: Arc::clone(metrics),
        fence: leadership.fence(),
        launches: Launches::default(),
        arrivals: Arrivals::default(),
        losses: Losses::default(),
        markets: LastMarkets::default(),
        health: Arc::default(),
        wake,
    });
    start(&world, asked, facts_sender, ca_bundle, tasks).await;
    Ok(leadership)
}

/// Ends all work, then gives the Lease back, so that nobody else begins before this process has stopped.
async fn finish(mut tasks: JoinSet<&'static str>, leadership: Leadership, in_order: bool) {
    tasks.shutdown().await;
    if in_order {
        leadership.resign().await;
        tracing::info!("ended");
    }
}

/// Starts every controller.
async fn start(
    world: &Arc<World>,
    asked: mpsc::UnboundedReceiver<String>,
    facts: watch::Sender<ClusterFacts>,
    ca_bundle: String,
    tasks: &mut JoinSet<&'static str>,
) {
    let of = |world: &Arc<World>| Arc::clone(world);
    let own = of(world);
    tasks.spawn(async move {
        provisioner::run(own, asked).await;
        "the provisioner"
    });
    let own = of(world);
    tasks.spawn(async move {
        provisioner::watch_pods(own).await;
        "the watch of pods"
    });
    let own = of(world);
    tasks.spawn(async move {
        pools::observe(own).await;
        "the observation of NodePools"
    });
    let own = of(world);
    tasks.spawn(async move {
        keep_facts(&own, facts, &ca_bundle).await;
        "the watch of the control plane"
    });
    if world.settings.acting == Acting::Recommend {
        return;
    }
    if let Err(error) = world.cloud.take_up_launch_templates(&world.settings.cluster.name).await {
        tracing::warn!(%error, "launch templates of an earlier run are not known");
    }
    let own = of(world);
    tasks.spawn(async move {
        claims(own).await;
        "nodeclaim.lifecycle"
    });
    let own = of(world);
    tasks.spawn(async move {
        let store = own.mirror.nodes.clone();
        let which = |_: &Mirror, change: &Change| match change {
            Change::Node(node) => vec![node.clone()],
            _ => Vec::new(),
        };
        let world = of(&own);
        queues::run("node.termination", &own.mirror, store, which, 100, move |node: Arc<Node>| {
            let world = Arc::clone(&world);
            async move { termination::reconcile(&world, node).await }
        })
        .await;
        "node.termination"
    });
    let own = of(world);
    tasks.spawn(async move {
        classes(own).await;
        "nodeclass"
    });
    let own = of(world);
    tasks.spawn(async move {
        node_pools(own).await;
        "nodepool"
    });
    if world.settings.features.node_overlay {
        let own = of(world);
        tasks.spawn(async move {
            node_overlay::run(own).await;
            "the status of NodeOverlays"
        });
    }
    let own = of(world);
    tasks.spawn(async move {
        garbage_collection::run(own).await;
        "garbage collection"
    });
    let own = of(world);
    tasks.spawn(async move {
        loop {
            tokio::time::sleep(TEMPLATES_PERIOD).await;
            if own.may_act()
                && let Err(error) = own.cloud.sweep_launch_templates(tokio::time::Instant::now()).await
            {
                tracing::warn!(%error, "cannot delete launch templates that nobody uses");
            }
        }
    });
}

/// `nodeclaim.lifecycle`.
async fn claims(world: Arc<World>) {
    let which = |mirror: &Mirror, change: &Change| match change {
        Change::NodeClaim(claim) => vec![claim.clone()],
        Change::Node(node) => {
            let id = mirror.nodes.get(node).and_then(|node| node.spec.as_ref().and_then(|spec| spec.provider_id.clone()));
            let is_it = |claim: &NodeClaim| {
                let own = claim.status.as_ref().and_then(|status| status.provider_id.as_ref());
                own.is_some_and(|own| Some(own) == id.as_ref())
                    || claim.status.as_ref().and_then(|status| status.node_name.as_ref()) == Some(&node.name)
            };
            mirror.node_claims().iter().filter(|claim| is_it(claim)).map(|claim| ObjectRef::from_obj(&**claim)).collect()
        }
        _ => Vec::new(),
    };
    let store = world.mirror.node_claim_store();
    let own = Arc::clone(&world);
    queues::run("nodeclaim.lifecycle", &world.mirror, store, which, 2_000, move |claim: Arc<NodeClaim>| {
        let world = Arc::clone(&own);
        async move { lifecycle::reconcile(&world, claim).await }
    })
    .await;
}

/// `nodeclass`.
async fn classes(world: Arc<World>) {
    let reporter = Reporter { controller: "karpenter".to_owned(), instance: None };
    let events = Recorder::new(world.kube.clone(), reporter);
    let checks = world.settings.check_permissions;
    let context = Arc::new(NodeClassContext::new(world.kube.clone(), world.cloud.clone(), world.facts.clone(), checks, events));
    let which = |mirror: &Mirror, change: &Change| match change {
        Change::NodeClass(class) => vec![class.clone()],
        // A class that is being deleted waits for its claims.
        Change::NodeClaim(_) => {
            let going = mirror.node_classes.state_filter(|class| class.metadata.deletion_timestamp.is_some());
            going.iter().map(|class| ObjectRef::from_obj(&**class)).collect()
        }
        _ => Vec::new(),
    };
    let collected = Arc::clone(&context);
    let own = Arc::clone(&world);
    let collecting = async move {
        loop {
            tokio::time::sleep(PROFILES_PERIOD).await;
            if own.may_act() && !own.settings.isolated_vpc {
                let (classes, claims) = (own.mirror.node_classes.state(), own.mirror.node_claims());
                if let Err(error) = node_class::collect_instance_profiles(&collected, &classes, &claims).await {
                    tracing::warn!(%error, "cannot delete instance profiles that nobody uses");
                }
            }
        }
    };
    let own = Arc::clone(&world);
    let queue =
        queues::run("nodeclass", &world.mirror, world.mirror.node_classes.clone(), which, 10, move |class: Arc<EC2NodeClass>| {
            let (context, world) = (Arc::clone(&context), Arc::clone(&own));
            async move {
                let named = class.name_any();
                let mut claims = world.mirror.node_claims();
                claims.retain(|claim| claim.spec.node_class_ref.name == named);
                node_class::reconcile(&context, class, &claims).await
            }
        });
    tokio::select! {
        () = queue => {}
        () = collecting => {}
    }
}

/// `nodepool.*`.
async fn node_pools(world: Arc<World>) {
    let context = Arc::new(NodePoolContext::new(world.kube.clone(), Arc::clone(&world.health)));
    let which = |mirror: &Mirror, change: &Change| match change {
        Change::NodePool(pool) => vec![pool.clone()],
        Change::NodeClass(class) => {
            let named = mirror.node_pools.state_filter(|pool| pool.spec.template.spec.node_class_ref.name == class.name);
            named.iter().map(|pool| ObjectRef::from_obj(&**pool)).collect()
        }
        _ => Vec::new(),
    };
    let own = Arc::clone(&world);
    queues::run("nodepool", &world.mirror, world.mirror.node_pools.clone(), which, 10, move |pool: Arc<NodePool>| {
        let (context, world) = (Arc::clone(&context), Arc::clone(&own));
        async move {
            let class = world.mirror.node_class(&pool.spec.template.spec.node_class_ref.name);
            let mut claims = world.mirror.node_claims();
            let name = pool.name_any();
            claims.retain(|claim| claim.labels().get(labels::NODE_POOL) == Some(&name));
            let capacities = pools::capacities(&world, &claims);
            node_pool::reconcile(&context, pool, class, &claims, Some(&Usage::of(&capacities))).await
        }
    })
    .await;
}

/// A client of the API server, with a limit on its requests or without.
fn client(config: kube::Config, limit: Option<RateLimit>) -> Result<Client, Failure> {
    let builder = ClientBuilder::try_from(config).map_err(|error| Failure::start("client of the API server")(&error))?;
    Ok(match limit {
        None => builder.build(),
        Some(limit) => {
            // As many requests at once as the burst has, and on average as many in a second as is asked for.
            let period = Duration::from_secs_f64(f64::from(limit.burst) / f64::from(limit.per_second.max(1)));
            builder.with_layer(&RateLimitLayer::new(u64::from(limit.burst.max(1)), period)).build()
        }
    })
}

/// The authority of the own connection as PEM in Base64.
fn certificates(config: &kube::Config) -> Option<String> {
    let certificates = config.root_cert.as_ref().filter(|all| !all.is_empty())?;
    let pem: String = certificates.iter().map(|certificate| pem(certificate)).collect();
    Some(BASE64.encode(pem))
}

fn pem(certificate: &[u8]) -> String {
    let text = BASE64.encode(certificate);
    let mut made = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        made.push_str(&String::from_utf8_lossy(line));
        made.push('\n');
    }
    made.push_str("-----END CERTIFICATE-----\n");
    made
}

/// Where the catalog comes from; a live one is refreshed by a task.
fn origin(settings: &Settings, access: &Access, region: &str, tasks: &mut JoinSet<&'static str>) -> Result<Origin, Failure> {
    if let Some(folder) = &settings.catalog {
        let catalog = catalog::read(folder).map_err(|error| Failure::start("catalog")(&error))?;
        if catalog.region != region {
            return Err(Failure::Start(format!(
                "the catalog in {} is of {}, but the cluster is in {region}: name the folder of that region",
                folder.display(),
                catalog.region
            )));
        }
        return Ok(Origin::Fixed(Arc::new(Snapshot { number: 0, catalog })));
    }
    let (source, refresher) = CatalogSource::open(SourceSettings {
        region: region.to_owned(),
        access: access.clone(),
        isolated_vpc: settings.isolated_vpc,
        root: std::env::temp_dir().join("supercargo-catalog"),
        periods: Periods::USUAL,
        seed: random::random(),
    })
    .map_err(|error| Failure::start("catalog")(&error))?;
    tasks.spawn(async move {
        refresher.run().await;
        "the refresh of the catalog"
    });
    Ok(Origin::Live(source))
}

/// What new nodes are told of the cluster. Where EKS or the API server says nothing, what was `known` holds.
async fn facts(
    kube: &Client,
    cloud: &Cloud,
    settings: &Settings,
    ca_bundle: &str,
    known: Option<&ClusterFacts>,
) -> Result<ClusterFacts, Failure> {
    let name = settings.cluster.name.clone();
    let control_plane = match cloud.control_plane(&name).await {
        Ok(found) => Some(found),
        Err(error) => {
            tracing::info!(%error, "EKS says nothing of the cluster");
            known.map(|known| ControlPlane {
                version: known.kubernetes_version.clone(),
                endpoint: known.endpoint.clone(),
                certificate_authority: Some(known.ca_bundle.clone()),
                service_cidr: known.service_cidr.clone(),
            })
        }
    };
    let given = settings.cluster.endpoint.clone();
    let endpoint = given.or_else(|| control_plane.as_ref().map(|found| found.endpoint.clone()));
    let endpoint = endpoint.ok_or_else(|| {
        Failure::Start(format!("CLUSTER_ENDPOINT: EKS knows no cluster {name}; name the address of its API server"))
    })?;
    let version = kube.apiserver_version().await.map_err(|error| Failure::start("version of the API server")(&error))?;
    let digits = |text: &str| -> String { text.chars().take_while(char::is_ascii_digit).collect() };
    let own = format!("{}.{}", digits(&version.major), digits(&version.minor));
    let on_eks = settings.cluster.on_eks;
    let kubernetes_version = control_plane.as_ref().filter(|_| on_eks).map_or(own, |found| found.version.clone());
    let ca_bundle = if ca_bundle.is_empty() {
        control_plane.as_ref().and_then(|found| found.certificate_authority.clone()).unwrap_or_default()
    } else {
        ca_bundle.to_owned()
    };
    let service_cidr = control_plane.and_then(|found| found.service_cidr);
    let dns_ip = dns_ip(kube).await.or(known.and_then(|known| known.dns_ip));
    Ok(ClusterFacts { name, endpoint, ca_bundle, service_cidr, dns_ip, kubernetes_version })
}

/// The address of the cluster's DNS.
async fn dns_ip(kube: &Client) -> Option<IpAddr> {
    let service = Api::<Service>::namespaced(kube.clone(), "kube-system").get_opt("kube-dns").await.ok()??;
    service.spec?.cluster_ip?.parse().ok()
}

/// Looks every few minutes whether the cluster is still what it was.
async fn keep_facts(world: &World, sender: watch::Sender<ClusterFacts>, ca_bundle: &str) {
    loop {
        let known = sender.borrow().clone();
        // Without the addresses of Services no AL2023 node can join, so the question is worth asking again soon.
        tokio::time::sleep(if known.service_cidr.is_some() { FACTS_PERIOD } else { FACTS_MISSING_PERIOD }).await;
        match facts(&world.kube, &world.cloud, &world.settings, ca_bundle, Some(&known)).await {
            Ok(now) => drop(sender.send_if_modified(|known| {
                let differs = *known != now;
                *known = now;
                differs
            })),
            Err(error) => tracing::warn!(%error, "cannot ask what the cluster is; what was known holds"),
        }
    }
}
