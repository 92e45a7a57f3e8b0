//! From claims to what pods ask of nodes: where their volumes can be attached, and how many attachments they take.
//!
//! A claim is followed as kube-scheduler v1.33 and Karpenter core v1.15.0 do: a bound one to its PersistentVolume, one that waits for its
//! first consumer to its StorageClass. Every other claim keeps its pods from being placed, with a fault that says why. Without any
//! StorageClass in the input, claims that are not bound are taken for EBS volumes that are made where their pods go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::adapters::kube::convert::storage::{AttachLimits, ClaimFacts, ClaimSpec, ClassFacts, Mount, MountSource, VolumeFacts};
use crate::domain::labels;
use crate::domain::node::Node;
use crate::domain::pod::{DaemonSet, Pod, PodSpec, UnmodelledRule};
use crate::domain::requirement::Requirements;
use crate::domain::resources::ResourceName;
use crate::domain::volume::{EBS_DRIVER, FaultKind, PodVolume, SharedClaim, VolumeFault};

/// Namespace and name.
type Name = (String, String);

/// Claims and what stands behind them.
#[derive(Default)]
pub(in crate::adapters) struct Storage {
    /// By namespace and name.
    pub claims: BTreeMap<Name, ClaimFacts>,
    pub volumes: BTreeMap<String, VolumeFacts>,
    pub classes: BTreeMap<String, ClassFacts>,
    /// By node.
    pub limits: BTreeMap<String, AttachLimits>,
}

/// A claim that a pod uses.
pub(in crate::adapters) struct Used {
    /// Name of the volume in the pod.
    volume: String,
    /// Name of the claim, without the pod's.
    short: String,
    claim: Name,
    /// What the claim will be, where it is made with the pod.
    made: Option<ClaimSpec>,
}

/// The claims of pods, by namespace and name of the pod.
#[derive(Default)]
pub(in crate::adapters) struct Usage(BTreeMap<Name, Vec<Used>>);

impl Usage {
    /// Notes the claims of a pod; `templates` are those of its StatefulSet.
    pub(in crate::adapters) fn note(
        &mut self,
        namespace: &str,
        pod: &str,
        mounts: &[Mount],
        templates: &[(String, ClaimSpec)],
        expand: bool,
    ) {
        let claim = |name: String| (namespace.to_owned(), name);
        let of_template = |volume: &String| templates.iter().find(|(name, _)| name == volume);
        let mut used = Vec::new();
        for mount in mounts {
            let volume = mount.volume.clone();
            match &mount.source {
                MountSource::Made(spec) => {
                    let made = Some(spec.clone());
                    used.push(Used { claim: claim(format!("{pod}-{volume}")), made, short: volume.clone(), volume });
                }
                MountSource::Claim(name) => {
                    let template = of_template(&volume).filter(|(template, _)| *name == format!("{template}-{pod}"));
                    let made = template.map(|(_, spec)| spec.clone());
                    let short = name.strip_suffix(&format!("-{pod}")).unwrap_or(name).to_owned();
                    used.push(Used { claim: claim(name.clone()), made, short, volume });
                }
            }
        }
        if expand {
            used.retain(|used| of_template(&used.volume).is_none());
            used.extend(templates.iter().map(|(volume, spec)| Used {
                volume: volume.clone(),
                short: volume.clone(),
                claim: claim(format!("{volume}-{pod}")),
                made: Some(spec.clone()),
            }));
        }
        used.sort_by(|a, b| a.short.cmp(&b.short));
        if !used.is_empty() {
            self.0.insert((namespace.to_owned(), pod.to_owned()), used);
        }
    }
}

/// A claim that can be followed.
struct Followed<'a> {
    driver: Option<&'a str>,
    places: &'a [Requirements],
    /// Whether the volume is made for the first pod.
    unbound: bool,
    by_hand: bool,
}

/// Who uses a claim.
#[derive(Default)]
struct Users {
    pods: usize,
    running: Option<String>,
    /// Priority and index of the pod that is placed first.
    first: Option<(std::cmp::Reverse<i32>, usize)>,
}

impl Storage {
    /// Gives pods and nodes what follows from the claims.
    pub(in crate::adapters) fn apply(
        &self,
        usage: &Usage,
        pods: &mut [Pod],
        nodes: &mut [Node],
        intern: &mut dyn FnMut(PodSpec) -> Arc<PodSpec>,
    ) -> Vec<String> {
        let mut users: BTreeMap<&Name, Users> = BTreeMap::new();
        for (index, pod) in pods.iter().enumerate() {
            for used in usage.of(&pod.namespace, &pod.name) {
                let users = users.entry(&used.claim).or_default();
                let own = (std::cmp::Reverse(pod.spec.priority), index);
                users.pods += 1;
                users.first = Some(users.first.map_or(own, |first| first.min(own)));
            }
        }
        for pod in nodes.iter().flat_map(|node| &node.pods) {
            for used in usage.of(&pod.namespace, &pod.name) {
                let users = users.entry(&used.claim).or_default();
                users.pods += 1;
                users.running.get_or_insert(format!("{}/{}", pod.namespace, pod.name));
            }
        }
        let limited: BTreeSet<&str> =
            self.limits.values().flat_map(|of| of.keys().map(String::as_str)).chain([EBS_DRIVER]).collect();
        let names: Vec<String> = pods.iter().map(Pod::full_name).collect();
        let mut assumed = false;
        for (index, pod) in pods.iter_mut().enumerate() {
            let used = usage.of(&pod.namespace, &pod.name);
            if used.is_empty() {
                continue;
            }
            let mut spec = (*pod.spec).clone();
            for used in used {
                let users = &users[&used.claim];
                let holder =
                    users.running.clone().or_else(|| users.first.filter(|first| first.1 != index).map(|of| names[of.1].clone()));
                assumed |= self.add(&mut spec, used, users.pods, holder, &limited);
            }
            pod.spec = intern(spec);
        }
        for pod in nodes.iter_mut().flat_map(|node| &mut node.pods) {
            let used = usage.of(&pod.namespace, &pod.name);
            if used.is_empty() {
                continue;
            }
            let mut spec = (*pod.spec).clone();
            for used in used {
                self.add(&mut spec, used, users[&used.claim].pods, None, &limited);
            }
            // It stands where it stands.
            spec.volumes.retain(|volume| volume.shared.is_some());
            for volume in &mut spec.volumes {
                volume.places.clear();
                volume.shared.iter_mut().for_each(|shared| shared.settled_by = None);
            }
            pod.spec = intern(spec);
        }
        for node in nodes {
            for (driver, count) in self.limits.get(&node.name).into_iter().flatten() {
                node.allocatable.set(ResourceName::attachments_of(driver).as_str(), *count);
            }
        }
        let notice = "there is no StorageClass in the input: claims that are not bound are taken for EBS volumes that are made where \
                      their pods go";
        assumed.then(|| notice.to_owned()).into_iter().collect()
    }

    /// Adds the attachments of a DaemonSet's volumes to what its pods ask for.
    pub(in crate::adapters) fn apply_to_daemon(&self, daemon: &mut DaemonSet, mounts: &[Mount]) {
        let mut usage = Usage::default();
        usage.note(&daemon.namespace, &daemon.name, mounts, &[], false);
        let mut spec = (*daemon.spec).clone();
        for used in usage.of(&daemon.namespace, &daemon.name) {
            if let Ok(Followed { driver: Some(EBS_DRIVER), .. }) = self.follow(used, &mut false) {
                attach(&mut spec, EBS_DRIVER);
            }
        }
        if spec != *daemon.spec {
            daemon.spec = Arc::new(spec);
        }
    }

    /// Adds a volume to what a pod asks for; whether its class had to be assumed.
    fn add(&self, spec: &mut PodSpec, used: &Used, users: usize, holder: Option<String>, limited: &BTreeSet<&str>) -> bool {
        let mut assumed = false;
        let claim = format!("{}/{}", used.claim.0, used.claim.1);
        let found = match (self.follow(used, &mut assumed), holder) {
            (Ok(_), Some(holder)) if self.one_pod(used) => Err(FaultKind::InUse(holder)),
            (found, _) => found,
        };
        match found {
            Err(kind) => spec.volumes.push(PodVolume::faulty(&used.short, VolumeFault { claim, kind })),
            Ok(Followed { driver, places, unbound, by_hand }) => {
                let driver = driver.filter(|driver| limited.contains(driver));
                driver.iter().for_each(|driver| attach(spec, driver));
                if by_hand && !spec.unmodelled.contains(&UnmodelledRule::Volume) {
                    spec.unmodelled.push(UnmodelledRule::Volume);
                    spec.unmodelled.sort();
                }
                let zonal = driver == Some(EBS_DRIVER) || places.iter().any(|terms| terms.get(labels::ZONE).is_some());
                let shared = (users > 1 && !self.one_pod(used)).then(|| SharedClaim {
                    claim,
                    attachment: driver.map(ResourceName::attachments_of),
                    settled_by: (unbound && zonal).then(|| labels::ZONE.to_owned()),
                });
                if shared.is_some() || !places.is_empty() {
                    let (name, places) = (used.short.clone(), places.to_vec());
                    spec.volumes.push(PodVolume { name, places, shared, fault: None });
                }
            }
        }
        assumed
    }

    fn spec_of<'a>(&'a self, used: &'a Used) -> Option<&'a ClaimSpec> {
        self.claims.get(&used.claim).map(|claim| &claim.spec).or(used.made.as_ref())
    }

    fn one_pod(&self, used: &Used) -> bool {
        self.spec_of(used).is_some_and(|spec| spec.one_pod)
    }

    fn follow<'a>(&'a self, used: &'a Used, assumed: &mut bool) -> Result<Followed<'a>, FaultKind> {
        let claim = self.claims.get(&used.claim);
        if claim.is_some_and(|claim| claim.deleting) {
            return Err(FaultKind::Deleting);
        }
        if claim.is_some_and(|claim| claim.lost) {
            return Err(FaultKind::Lost);
        }
        let spec = self.spec_of(used).ok_or(FaultKind::Missing)?;
        if let Some(name) = &spec.volume {
            let volume = self.volumes.get(name).ok_or_else(|| FaultKind::VolumeMissing(name.clone()))?;
            if volume.deleting {
                return Err(FaultKind::VolumeDeleting(name.clone()));
            }
            return Ok(Followed { driver: volume.driver.as_deref(), places: &volume.places, unbound: false, by_hand: false });
        }
        if self.classes.is_empty() && spec.class.as_deref() != Some("") {
            *assumed = true;
            return Ok(Followed { driver: Some(EBS_DRIVER), places: &[], unbound: true, by_hand: false });
        }
        let name = match spec.class.as_deref() {
            Some("") => return Err(FaultKind::Classless),
            Some(name) => name,
            None => self.default_class().ok_or(FaultKind::Classless)?,
        };
        let class = self.classes.get(name).ok_or_else(|| FaultKind::ClassMissing(name.to_owned()))?;
        if class.immediate {
            return Err(FaultKind::Waiting(name.to_owned()));
        }
        Ok(Followed { driver: class.driver.as_deref(), places: &class.places, unbound: true, by_hand: class.driver.is_none() })
    }

    /// The newest of the default classes, of several that are as new the first by name.
    fn default_class(&self) -> Option<&str> {
        let defaults = self.classes.iter().filter(|(_, class)| class.is_default);
        defaults.rev().max_by(|(_, a), (_, b)| a.created.cmp(&b.created)).map(|(name, _)| name.as_str())
    }
}

impl Usage {
    fn of(&self, namespace: &str, pod: &str) -> &[Used] {
        self.0.get(&(namespace.to_owned(), pod.to_owned())).map_or(&[], Vec::as_slice)
    }
}

fn attach(spec: &mut PodSpec, driver: &str) {
    let name = ResourceName::attachments_of(driver);
    spec.requests.set(name.as_str(), spec.requests.get(name.as_str()) + 1);
}
