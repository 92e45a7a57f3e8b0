//! Kubernetes objects as instances have them: only what planning reads, and valid for `kubectl apply`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The namespace of every pod to place.
pub(in crate::benchmark::instance) const NAMESPACE: &str = "default";
/// The NodeClass of every NodePool.
pub(in crate::benchmark::instance) const NODE_CLASS: &str = "default";
/// The hash in the names of ReplicaSets; any will do.
const HASH: &str = "5d89f7c6b4";
/// When objects were deleted that are; any time will do.
const DELETED: &str = "2026-11-01T00:00:00Z";

/// Pods that are alike.
#[derive(Clone, Debug)]
pub(in crate::benchmark::instance) struct Service {
    /// Name of the Deployment, and value of the label `app`.
    pub name: String,
    /// How many pods it has, running and waiting.
    pub replicas: usize,
    /// Milli-cores of a pod.
    pub cpu_m: i64,
    /// MiB of a pod.
    pub mem_mib: i64,
    /// Other resources of a pod.
    pub others: BTreeMap<String, i64>,
    /// Labels besides `app`.
    pub labels: BTreeMap<String, String>,
    /// Annotations of its pods.
    pub annotations: BTreeMap<String, String>,
    /// `nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    /// Other fields of the pod's spec.
    pub spec: Map<String, Value>,
    /// Host ports of its container.
    pub host_ports: Vec<u16>,
}

impl Service {
    /// A service without rules.
    pub(in crate::benchmark::instance) fn new(name: impl Into<String>, replicas: usize, cpu_m: i64, mem_mib: i64) -> Self {
        Self {
            name: name.into(),
            replicas,
            cpu_m,
            mem_mib,
            others: BTreeMap::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            node_selector: BTreeMap::new(),
            spec: Map::new(),
            host_ports: Vec::new(),
        }
    }

    /// With so many GPUs of NVIDIA.
    pub(in crate::benchmark::instance) fn gpus(mut self, count: i64) -> Self {
        if count > 0 {
            self.others.insert("nvidia.com/gpu".to_owned(), count);
        }
        self
    }

    /// With a field of the pod's spec.
    pub(in crate::benchmark::instance) fn with(mut self, field: &str, value: Value) -> Self {
        self.spec.insert(field.to_owned(), value);
        self
    }

    /// With an annotation of its pods.
    pub(in crate::benchmark::instance) fn annotated(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With a term of its node selector.
    pub(in crate::benchmark::instance) fn on(mut self, key: &str, value: &str) -> Self {
        self.node_selector.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Adds a hard spread of its pods over `key`.
    pub(in crate::benchmark::instance) fn spread(self, key: &str, max_skew: i64) -> Self {
        let selector = app(&self.name);
        self.constrain(key, max_skew, "DoNotSchedule", &selector)
    }

    /// Adds a spread constraint over the pods that `selector` selects.
    pub(in crate::benchmark::instance) fn constrain(
        mut self,
        key: &str,
        max_skew: i64,
        unsatisfiable: &str,
        selector: &Value,
    ) -> Self {
        let constraint = json!({
            "topologyKey": key, "maxSkew": max_skew, "whenUnsatisfiable": unsatisfiable, "labelSelector": selector,
        });
        push(self.spec.entry("topologySpreadConstraints").or_insert_with(|| json!([])), constraint);
        self
    }

    /// Adds a term of required affinity (`podAffinity`) or anti-affinity (`podAntiAffinity`) to the pods that `selector` selects.
    pub(in crate::benchmark::instance) fn company(mut self, kind: &str, key: &str, selector: &Value) -> Self {
        let affinity = self.spec.entry("affinity").or_insert_with(|| json!({}));
        let terms = &mut affinity[kind]["requiredDuringSchedulingIgnoredDuringExecution"];
        push(terms, json!({ "topologyKey": key, "labelSelector": selector }));
        self
    }

    /// The Deployment.
    pub(in crate::benchmark::instance) fn deployment(&self) -> Value {
        let mut metadata = json!({ "labels": self.pod_labels() });
        if !self.annotations.is_empty() {
            metadata["annotations"] = json!(self.annotations);
        }
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": self.name, "namespace": NAMESPACE },
            "spec": {
                "replicas": self.replicas,
                "selector": app(&self.name),
                "template": { "metadata": metadata, "spec": self.pod_spec() },
            },
        })
    }

    /// A StatefulSet of the same pods, each with a claim of `class`.
    pub(in crate::benchmark::instance) fn stateful_set(&self, class: &str) -> Value {
        let mut set = self.deployment();
        set["kind"] = json!("StatefulSet");
        set["spec"]["serviceName"] = json!(self.name);
        set["spec"]["volumeClaimTemplates"] = json!([{
            "metadata": { "name": "data" },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": class,
                "resources": { "requests": { "storage": "20Gi" } },
            },
        }]);
        set
    }

    /// A pod of the Deployment that runs on `node`.
    pub(in crate::benchmark::instance) fn running(&self, number: usize, node: &str) -> Value {
        let mut labels = self.pod_labels();
        labels.insert("pod-template-hash".to_owned(), HASH.to_owned());
        let mut spec = self.pod_spec();
        spec["nodeName"] = json!(node);
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": format!("{}-{HASH}-{number}", self.name),
                "namespace": NAMESPACE,
                "labels": labels,
                "annotations": self.annotations,
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{}-{HASH}", self.name), "controller": true,
                    "uid": format!("{}-{HASH}", self.name),
                }],
            },
            "spec": spec,
            "status": { "phase": "Running" },
        })
    }

    fn pod_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        labels.insert("app".to_owned(), self.name.clone());
        labels
    }

    fn pod_spec(&self) -> Value {
        let mut requests = Map::new();
        let amounts = [("cpu", self.cpu_m, "m"), ("memory", self.mem_mib, "Mi")];
        for (resource, amount, unit) in amounts.into_iter().filter(|(_, amount, _)| *amount > 0) {
            requests.insert(resource.to_owned(), json!(format!("{amount}{unit}")));
        }
        for (resource, amount) in &self.others {
            requests.insert(resource.clone(), json!(amount.to_string()));
        }
        // Extended resources have no requests without equal limits.
        let limits: Map<String, Value> = self
            .others
            .keys()
            .filter_map(|resource| requests.get_key_value(resource))
            .map(|(key, of)| (key.clone(), of.clone()))
            .collect();
        let mut container =
            json!({ "name": "main", "image": "registry.k8s.io/pause:3.10", "resources": { "requests": requests } });
        if !limits.is_empty() {
            container["resources"]["limits"] = json!(limits);
        }
        if !self.host_ports.is_empty() {
            let port = |port: &u16| json!({ "containerPort": port, "hostPort": port });
            container["ports"] = self.host_ports.iter().map(port).collect();
        }
        let mut spec = self.spec.clone();
        if !self.node_selector.is_empty() {
            spec.insert("nodeSelector".to_owned(), json!(self.node_selector));
        }
        spec.insert("containers".to_owned(), json!([container]));
        Value::Object(spec)
    }
}

/// Appends to a list, which there need not be yet.
fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        other => *other = json!([item]),
    }
}

/// Selects the pods of the service `name`.
pub(in crate::benchmark::instance) fn app(name: &str) -> Value {
    json!({ "matchLabels": { "app": name } })
}

/// A DaemonSet that runs on every node.
pub(in crate::benchmark::instance) fn daemon_set(name: &str, cpu_m: i64, mem_mib: i64) -> Value {
    let requests = json!({ "cpu": format!("{cpu_m}m"), "memory": format!("{mem_mib}Mi") });
    let container = json!({ "name": "main", "image": "registry.k8s.io/pause:3.10", "resources": { "requests": requests } });
    let labels = json!({ "app": name });
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": { "name": name, "namespace": "kube-system" },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [container], "tolerations": [{ "operator": "Exists" }] },
            },
        },
    })
}

/// An EC2NodeClass of Amazon Linux 2023.
pub(in crate::benchmark::instance) fn node_class(name: &str) -> Value {
    let tags = json!([{ "tags": { "karpenter.sh/discovery": "benchmark" } }]);
    json!({
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": { "name": name },
        "spec": {
            "role": "benchmark",
            "amiSelectorTerms": [{ "alias": "al2023@latest" }],
            "subnetSelectorTerms": tags,
            "securityGroupSelectorTerms": tags,
        },
    })
}

/// A NodePool.
#[derive(Clone, Debug)]
pub(in crate::benchmark::instance) struct Pool {
    name: String,
    requirements: Vec<Value>,
    spec: Map<String, Value>,
    annotations: BTreeMap<String, String>,
}

impl Pool {
    /// One of Linux nodes of these capacity types.
    pub(in crate::benchmark::instance) fn new(name: &str, capacity_types: &[&str]) -> Self {
        let made = Self { name: name.to_owned(), requirements: Vec::new(), spec: Map::new(), annotations: BTreeMap::new() };
        made.require("karpenter.sh/capacity-type", "In", capacity_types).require("kubernetes.io/os", "In", &["linux"])
    }

    /// With a requirement.
    pub(in crate::benchmark::instance) fn require(mut self, key: &str, operator: &str, values: &[&str]) -> Self {
        self.requirements.push(json!({ "key": key, "operator": operator, "values": values }));
        self
    }

    /// Of the instance categories c, m and r from generation 3 on.
    pub(in crate::benchmark::instance) fn general(self) -> Self {
        self.require("karpenter.k8s.aws/instance-category", "In", &["c", "m", "r"]).require(
            "karpenter.k8s.aws/instance-generation",
            "Gt",
            &["2"],
        )
    }

    /// With a weight: the heavier one is asked first.
    pub(in crate::benchmark::instance) fn weight(mut self, weight: i64) -> Self {
        self.spec.insert("weight".to_owned(), json!(weight));
        self
    }

    /// With a limit on a resource of all its nodes.
    pub(in crate::benchmark::instance) fn limit(mut self, resource: &str, most: &str) -> Self {
        self.spec.entry("limits").or_insert_with(|| json!({}))[resource] = json!(most);
        self
    }

    /// With an annotation.
    pub(in crate::benchmark::instance) fn annotated(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The object.
    pub(in crate::benchmark::instance) fn object(self) -> Value {
        let class = json!({ "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": NODE_CLASS });
        let template = json!({ "spec": { "nodeClassRef": class, "requirements": self.requirements } });
        let mut spec = self.spec;
        spec.insert("template".to_owned(), template);
        let mut metadata = json!({ "name": self.name });
        if !self.annotations.is_empty() {
            metadata["annotations"] = json!(self.annotations);
        }
        json!({ "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": metadata, "spec": spec })
    }
}

/// A node that exists, of the NodePool `default`.
#[derive(Clone, Debug)]
pub(in crate::benchmark::instance) struct Machine {
    /// Its name.
    pub name: String,
    /// Instance type.
    pub instance_type: &'static str,
    /// Zone.
    pub zone: String,
    /// Capacity type.
    pub capacity_type: &'static str,
    /// vCPUs.
    pub cores: i64,
    /// MiB that the type has.
    pub mem_mib: i64,
    /// Pods that it takes.
    pub pods: i64,
}

impl Machine {
    /// Milli-cores that the kubelet offers to pods: what is reserved of each core gets less with the number of cores.
    pub(in crate::benchmark::instance) fn cpu_m(&self) -> i64 {
        let reserved = 60 + 10 * (self.cores.min(2) - 1) + 5 * (self.cores.min(4) - 2).max(0) + (self.cores - 4).max(0) * 5 / 2;
        self.cores * 1000 - reserved
    }

    /// MiB that the kubelet offers to pods, less than a fresh node of the type would.
    pub(in crate::benchmark::instance) fn room_mib(&self) -> i64 {
        self.mem_mib * 925 / 1000 - 11 * self.pods - 255 - 100
    }

    fn labels(&self) -> Value {
        json!({
            "karpenter.sh/nodepool": "default",
            "karpenter.sh/capacity-type": self.capacity_type,
            "node.kubernetes.io/instance-type": self.instance_type,
            "topology.kubernetes.io/zone": self.zone,
            "topology.kubernetes.io/region": "us-east-1",
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "karpenter.k8s.aws/ec2nodeclass": NODE_CLASS,
        })
    }

    fn status(&self) -> Value {
        json!({
            "capacity": {
                "cpu": self.cores.to_string(), "memory": format!("{}Mi", self.mem_mib * 925 / 1000), "pods": self.pods.to_string(),
            },
            "allocatable": {
                "cpu": format!("{}m", self.cpu_m()), "memory": format!("{}Mi", self.room_mib()), "pods": self.pods.to_string(),
            },
        })
    }

    /// The Node of one that is up.
    pub(in crate::benchmark::instance) fn node(&self) -> Value {
        let mut labels = self.labels();
        labels["kubernetes.io/hostname"] = json!(self.name);
        labels["karpenter.sh/registered"] = json!("true");
        labels["karpenter.sh/initialized"] = json!("true");
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": { "name": self.name, "labels": labels },
            "spec": { "providerID": format!("aws:///{}/{}", self.zone, self.name) },
            "status": self.status(),
        })
    }

    /// The Node of one that is being deleted: its pods need another place.
    pub(in crate::benchmark::instance) fn leaving(&self) -> Value {
        let mut node = self.node();
        node["metadata"]["deletionTimestamp"] = json!(DELETED);
        node["spec"]["taints"] = json!([{ "key": "karpenter.sh/disrupted", "effect": "NoSchedule" }]);
        node
    }

    /// The NodeClaim of one that is bought and not up yet.
    pub(in crate::benchmark::instance) fn claim(&self) -> Value {
        let mut status = self.status();
        status["providerID"] = json!(format!("aws:///{}/{}", self.zone, self.name));
        json!({
            "apiVersion": "karpenter.sh/v1",
            "kind": "NodeClaim",
            "metadata": { "name": self.name, "labels": self.labels() },
            "spec": {
                "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": NODE_CLASS },
                "requirements": [],
            },
            "status": status,
        })
    }
}
