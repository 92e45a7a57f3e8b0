//! The family `rules`: thirty services of one cluster, with one kind of constraint at a time, so that what a kind costs can be seen; and all
//! kinds at once.

use serde_json::{Value, json};

use crate::benchmark::instance::InstanceDocument;
use crate::benchmark::instance::generator::objects::{NAMESPACE, NODE_CLASS, Pool, Service, app, node_class};
use crate::benchmark::instance::generator::{ANY, Draft, SEED, services, surroundings};
use crate::domain::annotations;
use crate::domain::labels;

/// Services of the cluster.
const SERVICES: usize = 30;
/// The zones that volumes and reservations are in.
const ZONES: [&str; 3] = ["us-east-1a", "us-east-1b", "us-east-1c"];

/// Every instance of the family.
pub(super) fn instances() -> Vec<InstanceDocument> {
    let ruled = [
        ("zone-spread", "Every service is in balance over the zones.", zone_spread as fn(usize, Service) -> Service),
        ("host-spread", "Every service is in balance over the nodes.", host_spread),
        ("anti-affinity", "No two pods of a service share a node.", anti_affinity),
        ("affinity", "Each service in three has its pods in one zone, and the next one in the same.", affinity),
        ("capacity-spread", "Every service is in balance over Spot and On-Demand.", capacity_spread),
        ("host-ports", "Ten host ports for thirty services: pods with one port never share a node.", host_ports),
        ("preferences", "Nothing is required: services prefer zones in balance, nodes in balance, Arm or one zone.", preferences),
        ("on-demand-floor", "Half of every service's pods are not to be on Spot.", on_demand_floor),
        ("spot-pool-share", "No more than a third of a service's pods may be in one Spot pool.", spot_pool_share),
        (
            "atomic-groups",
            "Services are placed in groups of three or not at all, and a limit leaves room for some groups only.",
            atomic,
        ),
        ("priorities", "Three priorities, and a limit that leaves room for about half of the pods.", priority),
        ("all", "One kind of constraint after the other, over the services of one cluster.", one_of_each),
    ];
    let mut made: Vec<InstanceDocument> =
        ruled.into_iter().map(|(name, description, rule)| of(name, description, rule)).collect();
    made.push(InstanceDocument {
        max_spot_pool_share: Some("10%".to_owned()),
        ..of("cluster-spot-share", "No Spot pool may have more than a tenth of all CPU that is asked for.", |_, service| service)
    });
    made.push(volumes());
    made.push(reservations());
    made
}

fn draft<'a>(name: &str, description: &'a str) -> Draft<'a> {
    Draft::new("rules", format!("rules-{name}"), format!("rules kind={name} services={SERVICES}"), description)
}

/// The services with `rule`.
fn of(name: &str, description: &str, rule: fn(usize, Service) -> Service) -> InstanceDocument {
    let services: Vec<Service> = base().into_iter().enumerate().map(|(number, service)| rule(number, service)).collect();
    let pool = Pool::new("default", ANY);
    let scarce = ["atomic-groups", "priorities"].contains(&name);
    let pool = if scarce { pool.limit("cpu", "160") } else { pool };
    let mut objects = surroundings([pool]);
    objects.extend(services.iter().map(Service::deployment));
    if name == "priorities" || name == "all" {
        objects.extend([("high", 1_000), ("middle", 100)].map(|(name, value)| {
            json!({ "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": { "name": name }, "value": value })
        }));
    }
    draft(name, description).of(objects)
}

/// The services without rules: at least three pods each, or no rule would bind.
fn base() -> Vec<Service> {
    let made = services::micro(SERVICES, SEED).into_iter();
    made.map(|service| Service { replicas: service.replicas.clamp(3, 20), ..service }).collect()
}

fn zone_spread(_: usize, service: Service) -> Service {
    service.spread(labels::ZONE, 1)
}

fn host_spread(_: usize, service: Service) -> Service {
    service.spread(labels::HOSTNAME, 1)
}

fn capacity_spread(_: usize, service: Service) -> Service {
    service.spread(labels::CAPACITY_TYPE, 1)
}

fn anti_affinity(_: usize, service: Service) -> Service {
    let own = app(&service.name);
    service.company("podAntiAffinity", labels::HOSTNAME, &own)
}

fn affinity(number: usize, service: Service) -> Service {
    match number % 3 {
        0 => {
            let own = app(&service.name);
            service.company("podAffinity", labels::ZONE, &own)
        }
        1 => service.company("podAffinity", labels::ZONE, &app(&format!("w{}", number - 1))),
        _ => service,
    }
}

fn host_ports(number: usize, service: Service) -> Service {
    Service { host_ports: vec![9_000 + (number % 10) as u16], ..service }
}

fn preferences(number: usize, service: Service) -> Service {
    let own = app(&service.name);
    match number % 4 {
        0 => service.constrain(labels::ZONE, 1, "ScheduleAnyway", &own),
        1 => service.constrain(labels::HOSTNAME, 1, "ScheduleAnyway", &own),
        kind => {
            let (key, value) = if kind == 2 { (labels::ARCH, "arm64") } else { (labels::ZONE, ZONES[number % ZONES.len()]) };
            let expressions = json!([{ "key": key, "operator": "In", "values": [value] }]);
            let term = json!({ "weight": 50, "preference": { "matchExpressions": expressions } });
            service.with("affinity", json!({ "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [term] } }))
        }
    }
}

fn on_demand_floor(_: usize, service: Service) -> Service {
    service.annotated(annotations::ON_DEMAND_FLOOR, "50%")
}

fn spot_pool_share(_: usize, service: Service) -> Service {
    service.annotated(annotations::MAX_SPOT_POOL_SHARE, "34%")
}

fn atomic(number: usize, service: Service) -> Service {
    service.annotated(annotations::ATOMIC_GROUP, &format!("group-{}", number / 3))
}

fn priority(number: usize, service: Service) -> Service {
    match number % 3 {
        0 => service.with("priorityClassName", json!("high")),
        1 => service.with("priorityClassName", json!("middle")),
        _ => service,
    }
}

fn one_of_each(number: usize, service: Service) -> Service {
    let rules: [fn(usize, Service) -> Service; 10] = [
        zone_spread,
        host_spread,
        anti_affinity,
        affinity,
        capacity_spread,
        host_ports,
        preferences,
        on_demand_floor,
        spot_pool_share,
        priority,
    ];
    rules[number % rules.len()](number, service)
}

/// StatefulSets of which some pods have volumes in a zone already, and others get theirs where they land.
fn volumes() -> InstanceDocument {
    let mut objects = surroundings([Pool::new("default", ANY)]);
    objects.push(json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": { "name": "gp3" },
        "provisioner": "ebs.csi.aws.com",
        "volumeBindingMode": "WaitForFirstConsumer",
    }));
    for (number, service) in base().iter().enumerate() {
        match number % 3 {
            2 => objects.push(service.deployment()),
            kind => {
                objects.push(service.stateful_set("gp3"));
                let made = if kind == 0 { service.replicas } else { service.replicas / 2 };
                objects.extend((0..made).flat_map(|pod| volume(&service.name, pod, ZONES[(number + pod) % ZONES.len()])));
            }
        }
    }
    draft("volumes", "Two services in three have a volume for each pod, most of them in a zone already.").of(objects)
}

/// The volume of a StatefulSet's pod, and its claim.
fn volume(set: &str, pod: usize, zone: &str) -> [Value; 2] {
    let name = format!("pv-{set}-{pod}");
    let expression = json!([{ "key": labels::ZONE, "operator": "In", "values": [zone] }]);
    [
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": { "name": name },
            "spec": {
                "capacity": { "storage": "20Gi" },
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "gp3",
                "csi": { "driver": "ebs.csi.aws.com", "volumeHandle": format!("vol-{set}-{pod}") },
                "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": expression }] } },
            },
        }),
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": { "name": format!("data-{set}-{pod}"), "namespace": NAMESPACE },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "gp3",
                "volumeName": name,
                "resources": { "requests": { "storage": "20Gi" } },
            },
            "status": { "phase": "Bound" },
        }),
    ]
}

/// Capacity reservations, which are paid for whether they are used or not.
fn reservations() -> InstanceDocument {
    let held = [("cr-1", "m5.4xlarge", ZONES[0], 3), ("cr-2", "c5.2xlarge", ZONES[1], 6), ("cr-3", "r5.xlarge", ZONES[2], 4)];
    let mut class = node_class(NODE_CLASS);
    let free: Vec<String> = held.iter().map(|(id, _, _, free)| format!("{id}={free}")).collect();
    class["metadata"]["annotations"] = json!({ annotations::RESERVED_INSTANCES: free.join(", ") });
    class["spec"]["capacityReservationSelectorTerms"] = json!([{ "tags": { "karpenter.sh/discovery": "benchmark" } }]);
    let listed = held.map(|(id, instance_type, zone, _)| {
        json!({
            "id": id, "instanceType": instance_type, "availabilityZone": zone, "ownerID": "111122223333",
            "instanceMatchCriteria": "targeted", "reservationType": "default", "state": "active",
        })
    });
    class["status"] = json!({ "capacityReservations": listed });
    let mut objects = surroundings([Pool::new("default", &["spot", "on-demand", "reserved"])]);
    objects[0] = class;
    objects.extend(base().iter().map(Service::deployment));
    draft("reservations", "Instances of three capacity reservations cost nothing more; what fits into them best decides.")
        .of(objects)
}
