//! A node as it would stand in the cluster: labels, capacity, and the DaemonSet pods that land on it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{Violation, volumes};
use crate::domain::allocatable;
use crate::domain::catalog::{CapacityType, Catalog, InstanceType, Offering, PriceKind};
use crate::domain::cluster::ClusterView;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::node_class::{CapacityReservation, NodeClass};
use crate::domain::node_overlay::evaluation::{Overlays, TypeOverlays};
use crate::domain::node_pool::NodePool;
use crate::domain::plan::Candidate;
use crate::domain::pod::PodSpec;
use crate::domain::requirement::{Requirement, Requirements};
use crate::domain::resources::{ResourceName, Resources};
use crate::domain::taint;
use crate::domain::taint::Toleration;
use crate::domain::topology::HostPort;

/// A node that does not exist yet has a name that no manifest can know.
const HOSTNAME_OF_A_NEW_NODE: &str = "(not yet known)";

/// One offering under one NodePool, with the labels that a plan fixed.
#[derive(Debug)]
pub(super) struct Concrete {
    /// Labels: one value where it is known, the allowed set where the plan leaves it open; a key that is absent is not there.
    pub(super) labels: Requirements,
    /// Capacity of the instance.
    pub(super) capacity: Resources,
    /// What the kubelet offers to pods.
    pub(super) allocatable: Resources,
    /// What the DaemonSet pods that run on it ask for.
    pub(super) daemons: Resources,
    /// Ports that they take.
    pub(super) daemon_ports: Vec<HostPort>,
    instance_type: String,
    zone: String,
    capacity_type: CapacityType,
    /// Whether a reserved instance is one of a reservation that the NodeClass may use.
    has_reservation: bool,
    runs_node_class: bool,
    has_subnet: bool,
}

impl Concrete {
    /// How NodePool and NodeClass exclude it.
    pub(super) fn faults(&self, node: usize, pool: &NodePool) -> Vec<Violation> {
        let mut found = Vec::new();
        if !self.runs_node_class {
            found.push(Violation::NodeClassIncompatible { node, instance_type: self.instance_type.clone() });
        }
        let mut zone_allowed = self.has_subnet;
        for (key, wanted) in pool.requirements.iter().map(|(key, wanted)| (key, wanted.clone())).chain(
            // A NodePool's labels are requirements too: `kubernetes.io/arch: arm64` excludes every amd64 type.
            pool.labels.iter().map(|(key, value)| (labels::normalize(key), Requirement::one_of([value.as_str()]))),
        ) {
            let allowed = match self.labels.get(key) {
                Some(label) => is_within(label, &wanted),
                None => wanted.accepts_absence(),
            };
            match key {
                _ if allowed => {}
                labels::ZONE | labels::ZONE_ID => zone_allowed = false,
                labels::CAPACITY_TYPE | labels::RESERVATION_ID => {
                    let capacity_type = self.capacity_type.as_str().to_owned();
                    found.push(Violation::CapacityTypeNotAllowed { node, capacity_type });
                }
                _ => {
                    let (instance_type, key) = (self.instance_type.clone(), key.to_owned());
                    found.push(Violation::TypeNotAllowed { node, instance_type, key });
                }
            }
        }
        if !self.has_reservation {
            found.push(Violation::UnknownReservation { node });
        }
        if !zone_allowed {
            found.push(Violation::ZoneNotAllowed { node, zone: self.zone.clone() });
        }
        found
    }
}

impl Concrete {
    /// Whether a node of `pool` could be this one: nothing excludes it, its DaemonSets fit, and the limits admit one.
    fn could_run(&self, pool: &NodePool) -> bool {
        let within_limits = pool.limits.iter().all(|(resource, &limit)| {
            let taken = if resource == ResourceName::NODES { 1 } else { self.capacity.get(resource) };
            taken <= limit
        });
        self.faults(0, pool).is_empty() && volumes::excess(&self.daemons, &self.allocatable).is_empty() && within_limits
    }
}

/// Whether every value that `label` may take is one that `wanted` allows.
fn is_within(label: &Requirement, wanted: &Requirement) -> bool {
    match label.finite() {
        Some(values) if values.is_empty() => wanted.accepts_absence(),
        Some(values) => values.iter().all(|value| wanted.has(value)),
        None => {
            let mut both = label.intersection(wanted);
            both.min_values = label.min_values;
            both == *label
        }
    }
}

/// Whether a node with these labels meets every requirement of one node-affinity alternative, as kube-scheduler evaluates it.
pub(super) fn satisfies(node: &Requirements, wanted: &Requirements) -> bool {
    wanted.iter().all(|(key, requirement)| match node.get(key) {
        Some(label) => is_within(label, requirement),
        None => requirement.accepts_absence(),
    })
}

/// Whether a plan may fix the label `key` to `value` on nodes of `pool`: the label is the pool's own, or the tenancy, and the
/// pool allows the value. Every other label follows from the offering.
pub(super) fn may_fix(pool: &NodePool, key: &str, value: &str) -> bool {
    let required = pool.requirements.get(key).map(|wanted| wanted.has(value));
    let labelled = pool.labels.get(key).map(|label| label == value);
    let own = !labels::is_well_known(key) && (required.is_some() || labelled.is_some());
    let tenancy = key == labels::TENANCY && matches!(value, "default" | "dedicated");
    (own || tenancy) && required != Some(false) && labelled != Some(false)
}

type Key = (String, String, String, CapacityType, Option<String>, BTreeMap<String, String>);

/// Cluster and catalog with look-ups; each concrete node is worked out once.
pub(super) struct Site<'a> {
    pub(super) cluster: &'a ClusterView,
    pub(super) catalog: &'a Catalog,
    types: BTreeMap<&'a str, &'a InstanceType>,
    pools: BTreeMap<&'a str, &'a NodePool>,
    overlays: Overlays<'a>,
    made: RefCell<BTreeMap<Key, Rc<Concrete>>>,
    domains: RefCell<BTreeMap<Filter, BTreeSet<String>>>,
}

/// Which nodes count as domains: the label, and the alternatives and tolerations of the pod where they matter.
type Filter = (String, Option<Vec<Requirements>>, Option<Vec<Toleration>>);

fn candidate(kind: &InstanceType, sold: &Offering) -> Candidate {
    Candidate {
        instance_type: kind.name.clone(),
        zone: sold.zone.clone(),
        capacity_type: sold.capacity_type,
        price: sold.price,
        price_kind: sold.price_kind,
        interruptions: UsdPerHour::ZERO,
        reservation: None,
    }
}

/// An instance of a reservation at a price.
fn reserved(reservation: &CapacityReservation, (price, price_kind): (UsdPerHour, PriceKind)) -> Candidate {
    Candidate {
        instance_type: reservation.instance_type.clone(),
        zone: reservation.zone.clone(),
        capacity_type: CapacityType::Reserved,
        price,
        price_kind,
        interruptions: UsdPerHour::ZERO,
        reservation: Some(reservation.id.clone()),
    }
}

impl<'a> Site<'a> {
    pub(super) fn new(cluster: &'a ClusterView, catalog: &'a Catalog) -> Self {
        Self {
            cluster,
            catalog,
            types: catalog.instance_types.iter().map(|kind| (kind.name.as_str(), kind)).collect(),
            pools: cluster.node_pools.iter().map(|pool| (pool.name.as_str(), pool)).collect(),
            overlays: Overlays::new(cluster, catalog),
            made: RefCell::default(),
            domains: RefCell::default(),
        }
    }

    pub(super) fn pool(&self, name: &str) -> Option<&'a NodePool> {
        self.pools.get(name).copied()
    }

    /// The price of a candidate under `pool`: that of the NodeOverlays, or else the catalog's for its type, zone and capacity type;
    /// nothing for an instance of a reservation that some NodeClass may use, of a type that the zone has.
    pub(super) fn price(&self, pool: &NodePool, wanted: &Candidate) -> Option<(UsdPerHour, PriceKind)> {
        let kind = self.types.get(wanted.instance_type.as_str())?;
        let overlays = self.overlays.of_pool(pool).map(|of_pool| of_pool.of_type(kind));
        let sold = overlays.as_ref().map_or(Cow::Borrowed(kind.offerings.as_slice()), TypeOverlays::offerings);
        if wanted.capacity_type == CapacityType::Reserved {
            let known = self.cluster.node_classes.values().flat_map(|class| &class.capacity_reservations);
            let own = |of: &&CapacityReservation| {
                (Some(&of.id), &of.zone, &of.instance_type) == (wanted.reservation.as_ref(), &wanted.zone, &wanted.instance_type)
            };
            let found = known.into_iter().find(own).filter(|_| sold.iter().any(|offering| offering.zone == wanted.zone));
            return Some(overlays?.reserved(found?));
        }
        let found = sold.iter().find(|sold| sold.zone == wanted.zone && sold.capacity_type == wanted.capacity_type);
        found.filter(|_| wanted.reservation.is_none()).map(|sold| (sold.price, sold.price_kind))
    }

    /// Whether the catalog does not say that EC2 could not deliver it.
    pub(super) fn is_available(&self, wanted: &Candidate) -> bool {
        let kind = self.types.get(wanted.instance_type.as_str());
        let alike = |sold: &&Offering| sold.zone == wanted.zone && sold.capacity_type == wanted.capacity_type;
        kind.and_then(|kind| kind.offerings.iter().find(alike)).is_none_or(|sold| sold.available)
    }

    /// Everything of `kind` that nodes of `pool` could be.
    fn for_sale(&self, pool: &NodePool, kind: &InstanceType) -> Vec<Candidate> {
        let Some(of_pool) = self.overlays.of_pool(pool) else { return Vec::new() };
        let overlays = of_pool.of_type(kind);
        let sold = overlays.offerings();
        let class = self.cluster.node_classes.get(&pool.node_class_ref.name);
        let reservations = class.into_iter().flat_map(|class| &class.capacity_reservations);
        let in_zone = |zone: &String| sold.iter().any(|sold| sold.zone == *zone);
        let own = reservations.filter(|of| of.instance_type == kind.name && of.free > 0 && in_zone(&of.zone));
        let own = own.map(|reservation| reserved(reservation, overlays.reserved(reservation)));
        let available = sold.iter().filter(|sold| sold.available);
        available.map(|sold| candidate(kind, sold)).chain(own).collect()
    }

    /// The values of label `key` on the nodes that could be bought, as far as `alternatives` and `tolerations` admit them.
    pub(super) fn domains(
        &self,
        key: &str,
        alternatives: Option<&Vec<Requirements>>,
        tolerations: Option<&Vec<Toleration>>,
    ) -> BTreeSet<String> {
        let filter = (key.to_owned(), alternatives.cloned(), tolerations.cloned());
        if let Some(known) = self.domains.borrow().get(&filter) {
            return known.clone();
        }
        let mut found = BTreeSet::new();
        for pool in &self.cluster.node_pools {
            if tolerations.is_some_and(|tolerations| taint::first_untolerated(&pool.taints, tolerations).is_some()) {
                continue;
            }
            for kind in &self.catalog.instance_types {
                for offering in self.for_sale(pool, kind) {
                    let Some(node) = self.concrete(pool, &offering, &BTreeMap::new()) else { continue };
                    let values = node.labels.get(key).and_then(|label| label.finite());
                    let admitted =
                        |alternatives: &Vec<Requirements>| alternatives.iter().any(|terms| could_satisfy(&node.labels, terms));
                    if values.is_some() && alternatives.is_none_or(admitted) && node.could_run(pool) {
                        found.extend(values.into_iter().flatten().cloned());
                    }
                }
            }
        }
        self.domains.borrow_mut().insert(filter, found.clone());
        found
    }

    /// The node that the offering would become; `None` when the catalog does not know the type or the NodeClass is missing.
    pub(super) fn concrete(
        &self,
        pool: &NodePool,
        offering: &Candidate,
        fixed: &BTreeMap<String, String>,
    ) -> Option<Rc<Concrete>> {
        let Candidate { instance_type, zone, capacity_type, reservation, .. } = offering.clone();
        let key = (pool.name.clone(), instance_type, zone, capacity_type, reservation, fixed.clone());
        if let Some(made) = self.made.borrow().get(&key) {
            return Some(Rc::clone(made));
        }
        let kind = self.types.get(offering.instance_type.as_str())?;
        let class = self.cluster.node_classes.get(&pool.node_class_ref.name)?;
        let overlays = self.overlays.of_pool(pool)?.of_type(kind);
        let made = Rc::new(self.make(pool, class, &overlays, kind, offering, fixed));
        self.made.borrow_mut().insert(key, Rc::clone(&made));
        Some(made)
    }

    fn make(
        &self,
        pool: &NodePool,
        class: &NodeClass,
        overlays: &TypeOverlays<'_, '_>,
        kind: &InstanceType,
        offering: &Candidate,
        fixed: &BTreeMap<String, String>,
    ) -> Concrete {
        let settings = &self.cluster.instance_settings;
        let labels = self.labels(pool, class, kind, offering, fixed);
        let zone = offering.zone.as_str();
        let of_class = |id: &String| class.capacity_reservations.iter().any(|reservation| reservation.id == *id);
        let is_reserved = offering.capacity_type == CapacityType::Reserved;
        let mut daemons = Resources::new();
        let mut daemon_ports = Vec::new();
        for daemon in &self.cluster.daemon_sets {
            // Where a label is open, the DaemonSet is counted if any value of it would let it in.
            if taint::first_untolerated(&pool.taints, &daemon.spec.tolerations).is_none()
                && daemon.spec.node_alternatives.iter().any(|wanted| could_satisfy(&labels, wanted))
            {
                daemons.add(&daemon.spec.requests);
                daemon_ports.extend(daemon.spec.host_ports.iter().cloned());
            }
        }
        Concrete {
            labels,
            capacity: overlays.capacity(allocatable::capacity(kind, class, settings)),
            allocatable: overlays.allocatable(allocatable::allocatable(kind, class, settings)),
            daemons,
            daemon_ports,
            instance_type: kind.name.clone(),
            zone: zone.to_owned(),
            capacity_type: offering.capacity_type,
            has_reservation: offering.reservation.as_ref().map_or(!is_reserved, |id| is_reserved && of_class(id)),
            runs_node_class: allocatable::is_compatible(kind, class),
            has_subnet: class.zones.as_ref().is_none_or(|zones| zones.contains_key(zone)),
        }
    }

    /// The labels of the node: what the type, the offering, the NodePool and the plan say, in this order of precedence.
    fn labels(
        &self,
        pool: &NodePool,
        class: &NodeClass,
        kind: &InstanceType,
        offering: &Candidate,
        fixed: &BTreeMap<String, String>,
    ) -> Requirements {
        let zone = offering.zone.as_str();
        let mut known: BTreeMap<String, Requirement> = BTreeMap::new();
        let mut put = |key: &str, value: Requirement| {
            known.entry(labels::normalize(key).to_owned()).or_insert(value);
        };
        let one = |value: &str| Requirement::one_of([value]);
        put(labels::ZONE, one(zone));
        put(labels::CAPACITY_TYPE, one(offering.capacity_type.as_str()));
        let reservation = class.capacity_reservations.iter().find(|known| offering.reservation.as_ref() == Some(&known.id));
        let of_reservation = |value: &dyn Fn(&CapacityReservation) -> String| {
            reservation.map_or_else(Requirement::none, |reservation| one(&value(reservation)))
        };
        put(labels::RESERVATION_ID, of_reservation(&|known| known.id.clone()));
        put(labels::RESERVATION_TYPE, of_reservation(&|known| known.reservation_type.clone()));
        put(labels::RESERVATION_INTERRUPTIBLE, of_reservation(&|known| known.interruptible.to_string()));
        put(labels::NODE_POOL, one(&pool.name));
        put(labels::NODE_CLASS, one(&class.name));
        put(labels::REGISTERED, one("true"));
        put(labels::INITIALIZED, one("true"));
        put(labels::HOSTNAME, one(HOSTNAME_OF_A_NEW_NODE));
        match class.zones.as_ref().and_then(|zones| zones.get(zone)) {
            Some(Some(id)) => put(labels::ZONE_ID, one(id)),
            _ => put(labels::ZONE_ID, Requirement::none()),
        }
        for (key, value) in fixed {
            put(key, one(value));
        }
        for (key, value) in kind.requirements(class, &self.catalog.region).iter() {
            // Several values (tenancy) are narrowed by the NodePool; what remains open must suit the pods in every value.
            let narrowed = pool.requirements.get(key).map_or_else(|| value.clone(), |wanted| value.intersection(wanted));
            put(key, if value.finite().is_some_and(|values| values.len() > 1) { narrowed } else { value.clone() });
        }
        for (key, value) in &pool.labels {
            put(key, one(value));
        }
        for (key, value) in pool.requirements.iter().filter(|(key, _)| !labels::is_well_known(key)) {
            put(key, value.clone());
        }
        let mut made = Requirements::new();
        for (key, value) in known {
            if !value.is_none() {
                made.add(&key, value);
            }
        }
        made
    }

    /// Whether an empty node of `pool` could hold one pod of this kind, in any of its offerings.
    ///
    /// Open labels are taken at their most favourable here: a single pod may choose the value that suits it.
    pub(super) fn could_hold(&self, pool: &NodePool, spec: &PodSpec) -> bool {
        if taint::first_untolerated(&pool.taints, &spec.tolerations).is_some() {
            return false;
        }
        let Some(class) = self.cluster.node_classes.get(&pool.node_class_ref.name) else { return false };
        let Some(of_pool) = self.overlays.of_pool(pool) else { return false };
        let large_enough = |kind: &&InstanceType| {
            let room = allocatable::allocatable(kind, class, &self.cluster.instance_settings);
            volumes::excess(&spec.requests, &of_pool.of_type(kind).allocatable(room)).is_empty()
        };
        self.catalog.instance_types.iter().filter(large_enough).any(|kind| {
            // What is reserved runs out, so it is no reason to blame the plan.
            of_pool.of_type(kind).offerings().iter().any(|sold| {
                self.concrete(pool, &candidate(kind, sold), &BTreeMap::new()).is_some_and(|node| {
                    let mut wanted = spec.requests.clone();
                    wanted.add(&node.daemons);
                    let free = |port: &HostPort| !node.daemon_ports.iter().any(|other| other.conflicts(port));
                    volumes::excess(&wanted, &node.allocatable).is_empty()
                        && volumes::could_attach(spec, &node.labels)
                        && spec.host_ports.iter().all(free)
                        && node.faults(0, pool).is_empty()
                        && spec.node_alternatives.iter().any(|terms| could_satisfy(&node.labels, terms))
                })
            })
        })
    }
}

/// As [`satisfies`], but an open label may take whichever allowed value suits.
pub(super) fn could_satisfy(node: &Requirements, wanted: &Requirements) -> bool {
    wanted.iter().all(|(key, requirement)| match node.get(key) {
        Some(label) => label.intersects(requirement),
        None => requirement.accepts_absence(),
    })
}
