//! What a test does to the cluster and sees of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Event, Node, Pod};
use kube::api::{DeleteParams, DynamicObject, EvictParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::Trouble;
use crate::control_plane::SYSTEM_NAMESPACE;

/// Where the pods of the tests live.
pub(crate) const NAMESPACE: &str = "default";
/// The field manager of what the tests apply.
const MANAGER: &str = "supercargo-e2e";
/// Kinds without a namespace that tests apply.
const CLUSTER_WIDE: [&str; 13] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "CSINode",
    "CustomResourceDefinition",
    "EC2NodeClass",
    "Namespace",
    "Node",
    "NodeClaim",
    "NodeOverlay",
    "NodePool",
    "PersistentVolume",
    "PriorityClass",
    "StorageClass",
];
/// What a test may leave behind, as (group and version, kind): owners before what they own.
const LEFT_BEHIND: [(&str, &str); 16] = [
    // A controller that was killed still holds it.
    ("coordination.k8s.io/v1", "Lease"),
    ("karpenter.sh/v1", "NodePool"),
    ("karpenter.sh/v1", "NodeClaim"),
    ("karpenter.sh/v1alpha1", "NodeOverlay"),
    ("karpenter.k8s.aws/v1", "EC2NodeClass"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"),
    ("batch/v1", "Job"),
    ("policy/v1", "PodDisruptionBudget"),
    ("v1", "Pod"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "PersistentVolume"),
    ("v1", "Node"),
    ("v1", "Event"),
];
/// How often a condition is looked at.
const PERIOD: Duration = Duration::from_millis(100);

/// The cluster through the eyes of its administrator.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
}

/// A Deployment of pods that are all alike.
pub(crate) struct Workload<'a> {
    /// Name; also the value of the pods' label `app`.
    pub(crate) name: &'a str,
    /// How many pods.
    pub(crate) replicas: i32,
    /// What each requests, such as `500m`.
    pub(crate) cpu: &'a str,
    /// What each requests, such as `1Gi`.
    pub(crate) memory: &'a str,
    /// More of the pod's `spec`, such as a node selector; `Value::Null` for none.
    pub(crate) more: Value,
}

impl Cluster {
    /// A cluster that `client` administers.
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client, for what has no helper here.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Applies objects from YAML, one or several documents, as `kubectl apply --server-side` would.
    pub(crate) async fn apply(&self, yaml: &str) -> Result<(), Trouble> {
        for document in documents(yaml)? {
            self.apply_object(&document).await?;
        }
        Ok(())
    }

    /// Applies one object.
    pub(crate) async fn apply_object(&self, object: &Value) -> Result<(), Trouble> {
        self.apply_as(object, &PatchParams::apply(MANAGER).force()).await
    }

    /// Whether the cluster would take an object, every field of it; nothing is stored.
    pub(crate) async fn would_take(&self, object: &Value) -> Result<(), Trouble> {
        self.apply_as(object, &PatchParams::apply(MANAGER).dry_run().validation_strict()).await
    }

    async fn apply_as(&self, object: &Value, how: &PatchParams) -> Result<(), Trouble> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let (Some(version), Some(kind), Some(name)) = (text("/apiVersion"), text("/kind"), text("/metadata/name")) else {
            return Err(format!("not an object: {object}").into());
        };
        let namespace = text("/metadata/namespace").unwrap_or(NAMESPACE);
        let api = self.api(version, kind, namespace);
        api.patch(name, how, &Patch::Apply(object)).await?;
        Ok(())
    }

    /// Whether the cluster serves a kind.
    pub(crate) async fn serves(&self, version: &str, kind: &str) -> bool {
        self.api(version, kind, NAMESPACE).list(&ListParams::default().limit(1)).await.is_ok()
    }

    /// All nodes, by name.
    pub(crate) async fn nodes(&self) -> Result<Vec<Node>, Trouble> {
        Ok(Api::all(self.client.clone()).list(&ListParams::default()).await?.items)
    }

    /// The pods of the tests that have the label `app`.
    pub(crate) async fn pods_of(&self, app: &str) -> Result<Vec<Pod>, Trouble> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        Ok(pods.list(&ListParams::default().labels(&format!("app={app}"))).await?.items)
    }

    /// Waits until all pods of a workload run.
    pub(crate) async fn until_running(&self, workload: &Workload<'_>, patience: Duration) -> Result<Vec<Pod>, Trouble> {
        let wanted = usize::try_from(workload.replicas)?;
        until(&format!("{wanted} pods of {} run", workload.name), patience, async || {
            let pods = self.pods_of(workload.name).await?;
            Ok((pods.len() == wanted && pods.iter().all(|pod| phase(pod) == "Running")).then_some(pods))
        })
        .await
    }

    /// Waits until the scheduler has found no node for any pod of a workload.
    pub(crate) async fn until_unschedulable(&self, workload: &Workload<'_>, patience: Duration) -> Result<(), Trouble> {
        let wanted = usize::try_from(workload.replicas)?;
        until(&format!("{wanted} pods of {} are unschedulable", workload.name), patience, async || {
            let pods = self.pods_of(workload.name).await?;
            Ok((pods.len() == wanted && pods.iter().all(is_unschedulable)).then_some(()))
        })
        .await
    }

    /// Takes every taint of a key from a node, whatever its effect.
    pub(crate) async fn untaint(&self, node: &str, key: &str) -> Result<(), Trouble> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let mut changed = nodes.get(node).await?;
        if let Some(taints) = changed.spec.as_mut().and_then(|spec| spec.taints.as_mut()) {
            taints.retain(|taint| taint.key != key);
        }
        // The resource version makes a conflict of what somebody else changed meanwhile.
        nodes.replace(node, &PostParams::default(), &changed).await?;
        Ok(())
    }

    /// Evicts a pod as a drain does.
    ///
    /// # Errors
    /// The API server's, such as a status 429 when a PodDisruptionBudget does not let it go.
    pub(crate) async fn evict(&self, pod: &str) -> Result<(), kube::Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        pods.evict(pod, &EvictParams::default()).await.map(drop)
    }

    /// Takes away all that a test left, finalizers notwithstanding.
    pub(crate) async fn reset(&self) -> Result<(), Trouble> {
        for (version, kind) in LEFT_BEHIND {
            let api = self.api(version, kind, namespace_of(kind));
            match api.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()).await {
                Ok(_) => (),
                // The cluster does not serve the kind.
                Err(kube::Error::Api(status)) if status.code == 404 => continue,
                Err(error) => return Err(error.into()),
            }
            if kind == "Event" {
                continue;
            }
            until(&format!("no {kind} is left"), Duration::from_secs(30), async || {
                let left = api.list_metadata(&ListParams::default()).await?.items;
                for object in &left {
                    if !object.finalizers().is_empty() {
                        let none = json!({"metadata": {"finalizers": null}});
                        // It may have gone by itself.
                        let _ = api.patch_metadata(&object.name_any(), &PatchParams::default(), &Patch::Merge(none)).await;
                    }
                }
                Ok(left.is_empty().then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// What there is, a line each: for somebody who has to find out why a test failed.
    pub(crate) async fn dump(&self) -> String {
        let mut said = String::new();
        for (version, kind) in LEFT_BEHIND {
            let Ok(objects) = self.api(version, kind, namespace_of(kind)).list(&ListParams::default()).await else { continue };
            for object in objects {
                match kind {
                    "Event" => {
                        let field =
                            |pointer: &str| object.data.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
                        let on = format!("{}/{}", field("/involvedObject/kind"), field("/involvedObject/name"));
                        let _ = writeln!(said, "Event {on}: {}: {}", field("/reason"), field("/message"));
                    }
                    _ => {
                        let _ = writeln!(said, "{kind} {}: {}", object.name_any(), summary(&object));
                    }
                }
            }
        }
        said
    }

    /// Events about an object, as (reason, message).
    pub(crate) async fn events(&self, kind: &str, name: &str) -> Result<Vec<(String, String)>, Trouble> {
        let events: Api<Event> = Api::all(self.client.clone());
        let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let found = events.list(&ListParams::default().fields(&fields)).await?;
        Ok(found.into_iter().map(|event| (event.reason.unwrap_or_default(), event.message.unwrap_or_default())).collect())
    }

    /// Access to a kind by its name.
    pub(crate) fn api(&self, version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        if CLUSTER_WIDE.contains(&kind) {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        }
    }
}

impl Workload<'_> {
    /// The Deployment.
    pub(crate) fn deployment(&self) -> Value {
        let labels = json!({"app": self.name});
        let container = json!({
            "name": "app",
            "image": "registry.k8s.io/pause:3.10",
            "resources": {"requests": {"cpu": self.cpu, "memory": self.memory}},
        });
        let mut spec = json!({"containers": [container], "terminationGracePeriodSeconds": 0});
        if let (Some(spec), Some(more)) = (spec.as_object_mut(), self.more.as_object()) {
            spec.extend(more.clone());
        }
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        })
    }

    /// For [`Workload::more`]: no zone has more than one pod more than another.
    pub(crate) fn spread_over_zones(name: &str) -> Value {
        let constraint = json!({
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": name}},
        });
        json!({"topologySpreadConstraints": [constraint]})
    }
}

/// Waits until `look` finds something.
///
/// # Errors
/// When `look` has one, or when `patience` is over.
pub(crate) async fn until<T>(
    what: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Trouble>,
) -> Result<T, Trouble> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(format!("waited {patience:?} until {what}").into());
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// The documents of a YAML file.
pub(crate) fn documents(yaml: &str) -> Result<Vec<Value>, Trouble> {
    let mut found = Vec::new();
    for document in format!("\n{yaml}").split("\n---") {
        let value: Value = serde_saphyr::from_str(document)?;
        if !value.is_null() {
            found.push(value);
        }
    }
    Ok(found)
}

/// The phase of a pod's status.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

/// Whether a node says that it is ready.
pub(crate) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Pods by the name of the node that they are bound to.
pub(crate) fn by_node(pods: &[Pod]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for node in pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref()) {
        *counts.entry(node).or_default() += 1;
    }
    counts
}

/// Where tests leave objects of a kind.
fn namespace_of(kind: &str) -> &'static str {
    if kind == "Lease" { SYSTEM_NAMESPACE } else { NAMESPACE }
}

fn is_unschedulable(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|condition| condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("Unschedulable"))
}

/// What matters of an object when a test failed.
fn summary(object: &DynamicObject) -> String {
    let mut parts = Vec::new();
    for pointer in
        ["/spec/nodeName", "/spec/providerID", "/status/phase", "/status/providerID", "/status/nodeName", "/status/replicas"]
    {
        if let Some(value) = object.data.pointer(pointer) {
            parts.push(format!("{}={value}", pointer.rsplit('/').next().unwrap_or(pointer)));
        }
    }
    for taint in object.data.pointer("/spec/taints").and_then(Value::as_array).into_iter().flatten() {
        parts.push(format!("taint {}", taint["key"].as_str().unwrap_or("?")));
    }
    for condition in object.data.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten() {
        let field = |name: &str| condition[name].as_str().unwrap_or("");
        let message = if field("status") == "True" { "" } else { field("message") };
        parts.push(format!("{}={} {} {message}", field("type"), field("status"), field("reason")).trim_end().to_owned());
    }
    if object.metadata.deletion_timestamp.is_some() {
        parts.push("being deleted".to_owned());
    }
    if !object.finalizers().is_empty() {
        parts.push(format!("finalizers {}", object.finalizers().join(",")));
    }
    parts.join("; ")
}
