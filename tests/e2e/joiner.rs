//! The joiner: makes nodes of instances, as their kubelets and the cluster's cloud controller do.
//!
//! It looks at EC2 again and again. An instance of the cluster that runs has booted after a while; then it reads its user data
//! ([`Registration`]), and its Node appears with what a node of that type and family reports. When the instance is gone, so is the Node; its
//! pods are left to the controllers of Kubernetes, which takes them a minute.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{Filter, Instance, InstanceAttributeName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use supercargo::adapters::files::catalog;
use supercargo::domain::allocatable;
use supercargo::domain::catalog::Catalog;
use supercargo::domain::instance_settings::{InstanceSettings, MemoryShare};
use supercargo::domain::resources::{Resources, quantity_text};
use tokio::task::JoinHandle;

use crate::Trouble;
use crate::aws::{CLUSTER, Cloud, REGION};
use crate::control_plane::{KWOK_ANNOTATION, READY_AFTER};
use crate::user_data::Registration;

/// How long EC2 is left alone between two looks.
const PERIOD: Duration = Duration::from_millis(200);
/// Share of an instance's memory that its node does not report: a little less than what the controller reckons with before it has seen a
/// node of the type.
const MEMORY_OVERHEAD: &str = "0.065";

/// How instances come up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Habits {
    /// How long an instance takes from running to its Node. Each draws its own time, so that nodes come one by one and in any order.
    pub(crate) boot: Range<Duration>,
    /// What goes wrong with the first instances, in the order in which they are seen; nothing with those after.
    pub(crate) faults: VecDeque<Fault>,
    /// Seed of what is drawn.
    pub(crate) seed: u64,
}

/// What can go wrong with an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The kubelet never registers.
    NeverJoins,
    /// Two Nodes claim to be the instance.
    JoinsTwice,
    /// The Node is there, but not ready for a while.
    NotReadyFor(Duration),
    /// A device plugin does not come up: the Node lacks a resource such as `nvidia.com/gpu`.
    Lacks(String),
}

/// A joiner at work; it stops when this is dropped.
pub(crate) struct Joiner {
    task: JoinHandle<()>,
}

/// An instance that was seen.
struct Seen {
    boots_at: Instant,
    fault: Fault,
    nodes: Vec<String>,
    /// Whether it has joined, or never will.
    settled: bool,
}

/// What the task has.
struct Work {
    ec2: aws_sdk_ec2::Client,
    nodes: Api<Node>,
    server: String,
    catalog: Catalog,
    settings: InstanceSettings,
    habits: Habits,
    random: ChaCha8Rng,
    seen: BTreeMap<String, Seen>,
    log: File,
}

impl Joiner {
    /// Starts to look after the instances of `cloud`. `server` is the address of the API server that they must name; what happens is
    /// written to a file in `folder`.
    pub(crate) fn start(cloud: &Cloud, client: Client, server: &str, habits: Habits, folder: &Path) -> Result<Self, Trouble> {
        let share = MemoryShare::parse(MEMORY_OVERHEAD).ok_or("the overhead is a share")?;
        let mut work = Work {
            ec2: cloud.ec2.clone(),
            nodes: Api::all(client),
            server: server.to_owned(),
            catalog: catalog::embedded()?,
            settings: InstanceSettings { vm_memory_overhead: share, ..InstanceSettings::default() },
            random: ChaCha8Rng::seed_from_u64(habits.seed),
            habits,
            seen: BTreeMap::new(),
            log: File::options().append(true).create(true).open(folder.join("joiner.log"))?,
        };
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = work.look().await {
                    work.note(&format!("trouble: {error}"));
                }
                tokio::time::sleep(PERIOD).await;
            }
        });
        Ok(Self { task })
    }
}

impl Drop for Joiner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Work {
    async fn look(&mut self) -> Result<(), Trouble> {
        let running = self.running().await?;
        let gone: Vec<String> = self.seen.keys().filter(|id| !running.contains_key(*id)).cloned().collect();
        for id in gone {
            self.leave(&id).await?;
        }
        for (id, instance) in &running {
            if !self.seen.contains_key(id) {
                let boot = self.habits.boot.clone();
                let takes = if boot.is_empty() { boot.start } else { self.random.random_range(boot) };
                let fault = self.habits.faults.pop_front().unwrap_or(Fault::None);
                self.note(&format!("{id} boots for {takes:?}; fault: {fault:?}"));
                let seen = Seen { boots_at: Instant::now() + takes, fault, nodes: Vec::new(), settled: false };
                self.seen.insert(id.clone(), seen);
            }
            self.advance(id, instance).await;
        }
        Ok(())
    }

    /// The cluster's instances that run, by id.
    async fn running(&self) -> Result<BTreeMap<String, Instance>, Trouble> {
        let owned = Filter::builder().name(format!("tag:kubernetes.io/cluster/{CLUSTER}")).values("owned").build();
        let state = Filter::builder().name("instance-state-name").values("running").build();
        let mut pages = self.ec2.describe_instances().filters(owned).filters(state).max_results(1000).into_paginator().send();
        let mut found = BTreeMap::new();
        while let Some(page) = pages.next().await {
            for reservation in page.map_err(aws_sdk_ec2::Error::from)?.reservations.unwrap_or_default() {
                for instance in reservation.instances.unwrap_or_default() {
                    found.insert(instance.instance_id.clone().ok_or("an instance has an id")?, instance);
                }
            }
        }
        Ok(found)
    }

    /// Lets an instance join whose time has come.
    async fn advance(&mut self, id: &str, instance: &Instance) {
        let Some(fault) =
            self.seen.get(id).filter(|seen| !seen.settled && seen.boots_at <= Instant::now()).map(|seen| seen.fault.clone())
        else {
            return;
        };
        let joined = if fault == Fault::NeverJoins { Ok(Vec::new()) } else { self.join(id, instance, &fault).await };
        let said = match &joined {
            Ok(nodes) => format!("{id} joined as {nodes:?}"),
            // As on a real instance: the kubelet does not come up, and nothing but a log tells why.
            Err(error) => format!("{id} cannot join: {error}"),
        };
        self.note(&said);
        if let Some(seen) = self.seen.get_mut(id) {
            seen.settled = true;
            seen.nodes = joined.unwrap_or_default();
        }
    }

    /// Makes the Node of an instance, or two; returns their names.
    async fn join(&self, id: &str, instance: &Instance, fault: &Fault) -> Result<Vec<String>, Trouble> {
        let asked = self.ec2.describe_instance_attribute().instance_id(id).attribute(InstanceAttributeName::UserData);
        let answer = asked.send().await.map_err(aws_sdk_ec2::Error::from)?;
        let encoded = answer.user_data().and_then(|data| data.value()).ok_or("the instance has no user data")?;
        let registration = Registration::read(&String::from_utf8(STANDARD.decode(encoded)?)?)?;
        if registration.cluster != (CLUSTER.to_owned(), self.server.clone()) {
            return Err(format!("the user data is for {:?}, not for {CLUSTER} at {}", registration.cluster, self.server).into());
        }
        let name = instance.private_dns_name().ok_or("the instance has no name")?;
        let names = match fault {
            Fault::JoinsTwice => vec![name.to_owned(), format!("again-{name}")],
            _ => vec![name.to_owned()],
        };
        for name in &names {
            let node = self.node(name, id, instance, &registration, fault)?;
            self.nodes.create(&PostParams::default(), &serde_json::from_value(node)?).await?;
        }
        Ok(names)
    }

    fn node(
        &self,
        name: &str,
        id: &str,
        instance: &Instance,
        registration: &Registration,
        fault: &Fault,
    ) -> Result<Value, Trouble> {
        let type_name = instance.instance_type().ok_or("the instance has a type")?.as_str();
        let of_type = self.catalog.get(type_name).ok_or_else(|| format!("the catalog has no {type_name}"))?;
        let placement = instance.placement().ok_or("the instance has a placement")?;
        let zone = placement.availability_zone().ok_or("the instance has a zone")?;
        let architecture = of_type.architecture.as_str();
        let lacks = match fault {
            Fault::Lacks(resource) => Some(resource.as_str()),
            _ => None,
        };
        let reported = |resources: &Resources| -> BTreeMap<String, String> {
            // Attachments are in the CSINode, not in the Node.
            let all = resources.iter().filter(|(resource, amount)| *amount > 0 && !resource.is_attachment());
            let all = all.filter(|(resource, _)| Some(resource.as_str()) != lacks);
            all.map(|(resource, amount)| (resource.as_str().to_owned(), quantity_text(resource.as_str(), amount))).collect()
        };
        let class = &registration.node_class;
        let mut labels = registration.labels.clone();
        for (key, value) in [
            ("kubernetes.io/hostname", name),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", architecture),
            ("node.kubernetes.io/instance-type", type_name),
            ("topology.kubernetes.io/zone", zone),
            ("topology.kubernetes.io/region", REGION),
            ("topology.k8s.aws/zone-id", placement.availability_zone_id().unwrap_or(zone)),
        ] {
            labels.insert(key.to_owned(), value.to_owned());
        }
        let (annotation, value) = KWOK_ANNOTATION;
        let mut annotations = json!({annotation: value});
        if let Fault::NotReadyFor(time) = fault {
            annotations[READY_AFTER] = json!(format!("{}ms", time.as_millis()));
        }
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels, "annotations": annotations},
            "spec": {"providerID": format!("aws:///{zone}/{id}"), "taints": registration.taints},
            "status": {
                "capacity": reported(&allocatable::capacity(of_type, class, &self.settings)),
                "allocatable": reported(&allocatable::allocatable(of_type, class, &self.settings)),
                "addresses": [
                    {"type": "InternalIP", "address": instance.private_ip_address().unwrap_or("127.0.0.1")},
                    {"type": "Hostname", "address": name},
                ],
                "conditions": [{"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "container runtime network not ready"}],
                "nodeInfo": {
                    "architecture": architecture,
                    "bootID": "",
                    "containerRuntimeVersion": "containerd://2.1.4",
                    "kernelVersion": "6.12.40",
                    "kubeProxyVersion": "",
                    "kubeletVersion": "v1.36.3",
                    "machineID": "",
                    "operatingSystem": "linux",
                    "osImage": "Amazon Linux 2023",
                    "systemUUID": "",
                },
            },
        }))
    }

    /// The instance is gone: the cloud controller takes its Nodes away.
    async fn leave(&mut self, id: &str) -> Result<(), Trouble> {
        let names: BTreeSet<String> = self.seen.get(id).into_iter().flat_map(|seen| seen.nodes.iter().cloned()).collect();
        for name in &names {
            match self.nodes.delete(name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code != 404 => return Err(kube::Error::Api(status).into()),
                Err(error @ kube::Error::Service(_)) => return Err(error.into()),
                _ => (),
            }
        }
        self.seen.remove(id);
        self.note(&format!("{id} is gone, and with it {names:?}"));
        Ok(())
    }

    fn note(&mut self, what: &str) {
        // A log that cannot be written is missed only when something else fails.
        let _ = writeln!(self.log, "{what}");
    }
}
