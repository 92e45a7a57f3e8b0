//! From everything that was read to the cluster: priorities resolved, workloads turned into pods, references filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::adapters::kube::cluster_view::Loaded;
use crate::adapters::kube::cluster_view::error::InputError;
use crate::adapters::kube::cluster_view::objects::{LeftOut, NAME_OF_NAMESPACE, Objects, PodObject, Standing};
use crate::adapters::kube::cluster_view::storage::Usage;
use crate::adapters::kube::cluster_view::workload::{MAX_PODS, Ownership, WorkloadKind, WorkloadObject};
use crate::adapters::kube::convert::FieldError;
use crate::adapters::kube::convert::node::{self, Nodes};
use crate::adapters::kube::convert::pod_spec::{PodTemplate, PrioritySource};
use crate::adapters::kube::convert::storage::ClaimSpec;
use crate::adapters::kube::convert::topology::Namespaces;
use crate::domain::cluster::ClusterView;
use crate::domain::collective::WorkloadRules;
use crate::domain::labels;
use crate::domain::node::BoundPod;
use crate::domain::node_class::NodeClass;
use crate::domain::node_pool::{NodeClassRef, NodePool};
use crate::domain::pod::{DaemonSet, Pod, PodSpec, Workload};
use crate::domain::requirement::{Operator, Requirement, Requirements};
use crate::domain::selector::Labels;

/// The classes that every cluster has (`k8s.io/kubernetes/pkg/apis/scheduling`).
const SYSTEM_PRIORITY_CLASSES: [(&str, i32); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

/// Puts the cluster together.
///
/// # Errors
/// When there are more pods than [`MAX_PODS`].
pub(in crate::adapters) fn assemble(objects: Objects) -> Result<Loaded, InputError> {
    let namespaces = namespaces(&objects);
    let Nodes { staying: mut nodes, leaving, notices: of_nodes } = node::join(&objects.nodes, &objects.node_claims);
    let memory_readings = node::memory_readings(&objects.nodes, &objects.node_claims, &objects.node_classes);
    let (mut notices, mut left_out) = (objects.notices, objects.left_out);
    notices.extend(of_nodes);
    let mut ownership = Ownership::new(&objects.workloads);
    let mut specs = Specs::new(&objects.priority_classes, &namespaces);

    let templates = claim_templates(&objects.workloads);
    let mut usage = Usage::default();
    let mut taken = BTreeSet::new();
    let mut workloads = BTreeMap::new();
    let mut pods = Vec::with_capacity(objects.pods.len());
    let mut moving = 0;
    for pod in objects.pods {
        let owner = pod.owner.as_ref().filter(|owner| owner.kind == "StatefulSet").map(|owner| owner.name.as_str());
        let of_set = owner.and_then(|set| templates.get(&(pod.namespace.as_str(), set))).copied().unwrap_or_default();
        usage.note(&pod.namespace, &pod.name, &pod.mounts, of_set, false);
        if let Some((node, standing)) = &pod.node {
            if let Ok(at) = nodes.binary_search_by(|of| of.name.as_str().cmp(node)) {
                let workload = (*standing == Standing::Regular).then(|| ownership.claim(&pod));
                taken.insert((pod.namespace.clone(), pod.name.clone()));
                nodes[at].pods.push(bound(pod, workload.as_ref(), &mut specs));
                continue;
            }
            let leaves = leaving.contains(node);
            match standing {
                Standing::OfDaemonSet => continue,
                Standing::Mirror => {
                    left_out.mirror += usize::from(!leaves);
                    continue;
                }
                Standing::Terminating => {
                    left_out.terminating += 1;
                    continue;
                }
                Standing::Regular if leaves => moving += 1,
                Standing::Regular => left_out.bound += 1,
            }
        }
        let workload = ownership.claim(&pod);
        // Pods of one workload share its name.
        let workload = Arc::clone(workloads.entry(workload.clone()).or_insert_with(|| Arc::new(workload)));
        taken.insert((pod.namespace.clone(), pod.name.clone()));
        let spec = specs.of_workload(&pod.template, &pod.namespace, &workload);
        let labels = specs.labels(&pod.template);
        pods.push(Pod { namespace: pod.namespace, name: pod.name, workload, labels, spec });
    }

    // The names of a StatefulSet's pods are given, those of other workloads only have to be free: so it goes first.
    let is_stateful = |workload: &&WorkloadObject| matches!(workload.kind, WorkloadKind::StatefulSet { .. });
    let ordered = objects.workloads.iter().filter(is_stateful).chain(objects.workloads.iter().filter(|one| !is_stateful(one)));
    let ordered: Vec<(&WorkloadObject, usize)> = ordered.map(|workload| (workload, ownership.missing(workload))).collect();
    refuse_too_many(pods.len(), &ordered)?;
    for (workload, missing) in ordered {
        if missing > 0 {
            expand(workload, missing, &mut specs, &mut taken, &mut pods, &mut usage);
        }
    }

    let mut daemon_sets: Vec<DaemonSet> = Vec::new();
    for set in objects.daemon_sets {
        let mut made = DaemonSet { spec: specs.resolve(&set.template), namespace: set.namespace, name: set.name };
        objects.storage.apply_to_daemon(&mut made, &set.mounts);
        daemon_sets.push(made);
    }
    daemon_sets.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));

    for node in &mut nodes {
        node.pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    }
    notices.extend(objects.storage.apply(&usage, &mut pods, &mut nodes, &mut |spec| specs.intern(spec)));
    if moving > 0 {
        let (are, nodes) = (if moving == 1 { "pod has to leave" } else { "pods have to leave" }, leaving.len());
        let on =
            if nodes == 1 { "a node that is being deleted".to_owned() } else { format!("{nodes} nodes that are being deleted") };
        notices.push(format!("{moving} {are} {on}: planned anew"));
    }
    notices.extend(specs.notices());
    notices.extend(notices_of(&left_out, &daemon_sets));
    let mut node_pools: Vec<NodePool> = objects.node_pools.into_values().collect();
    if !objects.saw_node_pool {
        notices.push(
            "there is no NodePool in the input: planning with a built-in one named `default` (linux, amd64, on-demand, \
             instance categories c, m and r, generation above 2, no limits)"
                .to_owned(),
        );
        node_pools.push(default_node_pool());
    }
    let mut node_classes = objects.node_classes;
    for pool in &node_pools {
        let class = &pool.node_class_ref.name;
        if !node_classes.contains_key(class) {
            // Said already where the pool itself is assumed.
            if objects.saw_node_pool {
                notices.push(format!(
                    "EC2NodeClass `{class}` of NodePool `{}` is not in the input: Amazon Linux 2023 with its default volume is assumed",
                    pool.name
                ));
            }
            node_classes.insert(class.clone(), NodeClass::al2023(class));
        }
    }
    let node_overlays = objects.node_overlays.into_values().collect();
    let cluster = ClusterView { pods, daemon_sets, node_pools, nodes, node_classes, node_overlays, ..ClusterView::default() };
    Ok(Loaded { cluster, ignored: objects.ignored, notices, memory_readings })
}

/// The claims that pods of StatefulSets get, by namespace and name of the set.
fn claim_templates(workloads: &[WorkloadObject]) -> BTreeMap<(&str, &str), &[(String, ClaimSpec)]> {
    let of = |set: &WorkloadObject| matches!(set.kind, WorkloadKind::StatefulSet { .. });
    let sets = workloads.iter().filter(|set| of(set));
    sets.map(|set| ((set.namespace.as_str(), set.name.as_str()), set.claims.as_slice())).collect()
}

/// A pod on a node that stays. One that is being deleted takes room and is nobody's neighbour any more.
fn bound(pod: PodObject, workload: Option<&Workload>, specs: &mut Specs<'_>) -> BoundPod {
    let spec = match workload {
        Some(workload) => specs.of_workload(&pod.template, &pod.namespace, workload),
        None => specs.resolve(&pod.template),
    };
    let labels = specs.labels(&pod.template);
    let standing = pod.node.map(|(_, standing)| standing);
    let (spec, labels) = if standing == Some(Standing::Terminating) {
        let room = PodSpec { requests: spec.requests.clone(), host_ports: spec.host_ports.clone(), ..PodSpec::default() };
        (specs.intern(room), Arc::default())
    } else {
        (spec, labels)
    };
    let of_daemon_set = standing == Some(Standing::OfDaemonSet);
    BoundPod { namespace: pod.namespace, name: pod.name, labels, spec, of_daemon_set }
}

/// The namespaces of the input: those that are objects, and those that objects are in.
fn namespaces(objects: &Objects) -> Namespaces {
    let mut known = objects.namespaces.clone();
    let used = objects.pods.iter().map(|pod| &pod.namespace).chain(objects.workloads.iter().map(|of| &of.namespace));
    for name in used {
        if !known.contains_key(name) {
            known.insert(name.clone(), Labels::from([(NAME_OF_NAMESPACE.to_owned(), name.clone())]));
        }
    }
    known
}

/// Counts before any pod is made, so that a huge number of replicas costs nothing.
fn refuse_too_many(present: usize, workloads: &[(&WorkloadObject, usize)]) -> Result<(), InputError> {
    let mut total = present;
    for (workload, missing) in workloads {
        total = total.saturating_add(*missing);
        if total > MAX_PODS {
            let label = format!("{} {}/{}", workload.kind.as_str(), workload.namespace, workload.name);
            let problem = format!("with its {missing} pods the input has more than {MAX_PODS}");
            let mend = "plan for fewer replicas: a plan is for one cluster";
            return Err(InputError::of_object(&workload.file, &label, FieldError::new("", problem, mend)));
        }
    }
    Ok(())
}

/// Adds `missing` pods of `workload`, under names that are free.
fn expand(
    workload: &WorkloadObject,
    missing: usize,
    specs: &mut Specs<'_>,
    taken: &mut BTreeSet<(String, String)>,
    pods: &mut Vec<Pod>,
    usage: &mut Usage,
) {
    let made_by = Arc::new(Workload { kind: workload.kind.as_str().to_owned(), name: workload.name.clone() });
    let spec = specs.of_workload(&workload.template, &workload.namespace, &made_by);
    let labels = specs.labels(&workload.template);
    let mut number: i64 = 0;
    if let WorkloadKind::StatefulSet { first_ordinal } = workload.kind {
        number = i64::from(first_ordinal);
    }
    for _ in 0..missing {
        let name = loop {
            let key = (workload.namespace.clone(), format!("{}-{number}", workload.name));
            number += 1;
            if !taken.contains(&key) {
                let name = key.1.clone();
                taken.insert(key);
                break name;
            }
        };
        usage.note(&workload.namespace, &name, &workload.mounts, &workload.claims, true);
        let (workload, spec, namespace) = (Arc::clone(&made_by), Arc::clone(&spec), workload.namespace.clone());
        pods.push(Pod { namespace, name, workload, labels: Arc::clone(&labels), spec });
    }
}

/// Specs with their priorities, each kept once.
struct Specs<'a> {
    classes: &'a BTreeMap<String, (i32, bool)>,
    namespaces: &'a Namespaces,
    /// The value of the default class, 0 without one.
    default: i32,
    resolved: BTreeMap<Arc<PodTemplate>, Arc<PodSpec>>,
    /// Specs with what their workloads ask of all their pods.
    ruled: BTreeMap<WorkloadRules, BTreeMap<Arc<PodSpec>, Arc<PodSpec>>>,
    interned: BTreeSet<Arc<PodSpec>>,
    /// Equal labels are kept once, so that pods are grouped by identity.
    labels: BTreeSet<Arc<Labels>>,
    unknown_classes: BTreeSet<String>,
}

impl<'a> Specs<'a> {
    fn new(classes: &'a BTreeMap<String, (i32, bool)>, namespaces: &'a Namespaces) -> Self {
        // Should there be several defaults, Kubernetes takes the smallest.
        let default = classes.values().filter(|(_, is_default)| *is_default).map(|(value, _)| *value).min().unwrap_or(0);
        let (resolved, ruled, interned, labels, unknown_classes) = Default::default();
        Self { classes, namespaces, default, resolved, ruled, interned, labels, unknown_classes }
    }

    fn resolve(&mut self, template: &Arc<PodTemplate>) -> Arc<PodSpec> {
        if let Some(spec) = self.resolved.get(template) {
            return Arc::clone(spec);
        }
        let priority = match &template.priority {
            PrioritySource::Value(value) => *value,
            PrioritySource::Default => self.default,
            PrioritySource::Class(name) => self.value_of(name),
        };
        let spec = self.intern(template.resolve(priority, self.namespaces));
        self.resolved.insert(Arc::clone(template), Arc::clone(&spec));
        spec
    }

    /// The spec of a pod of `workload`.
    fn of_workload(&mut self, template: &Arc<PodTemplate>, namespace: &str, workload: &Workload) -> Arc<PodSpec> {
        let spec = self.resolve(template);
        let name = || format!("{} {namespace}/{}", workload.kind, workload.name);
        let Some(rules) = template.annotations.rules_of(name) else { return spec };
        if let Some(known) = self.ruled.get(&rules).and_then(|known| known.get(&spec)) {
            return Arc::clone(known);
        }
        let made = self.intern(PodSpec { workload_rules: Some(rules.clone()), ..(*spec).clone() });
        self.ruled.entry(rules).or_default().insert(spec, Arc::clone(&made));
        made
    }

    fn labels(&mut self, template: &PodTemplate) -> Arc<Labels> {
        if let Some(known) = self.labels.get(&template.labels) {
            return Arc::clone(known);
        }
        self.labels.insert(Arc::clone(&template.labels));
        Arc::clone(&template.labels)
    }

    fn value_of(&mut self, class: &str) -> i32 {
        let system = SYSTEM_PRIORITY_CLASSES.iter().find(|(name, _)| *name == class);
        match (self.classes.get(class), system) {
            (Some((value, _)), _) | (None, Some((_, value))) => *value,
            (None, None) => {
                self.unknown_classes.insert(class.to_owned());
                0
            }
        }
    }

    fn intern(&mut self, spec: PodSpec) -> Arc<PodSpec> {
        if let Some(known) = self.interned.get(&spec) {
            return Arc::clone(known);
        }
        let spec = Arc::new(spec);
        self.interned.insert(Arc::clone(&spec));
        spec
    }

    fn notices(&self) -> Vec<String> {
        let of = |class: &String| format!("PriorityClass `{class}` is not in the input: its pods count with priority 0");
        self.unknown_classes.iter().map(of).collect()
    }
}

fn notices_of(left_out: &LeftOut, daemon_sets: &[DaemonSet]) -> Vec<String> {
    let mut notices = Vec::new();
    let mut say = |count: usize, one: &str, many: &str| {
        if count > 0 {
            notices.push(if count == 1 { format!("1 pod {one}") } else { format!("{count} pods {many}") });
        }
    };
    say(left_out.finished, "has finished and is left out", "have finished and are left out");
    say(left_out.terminating, "is being deleted and is left out", "are being deleted and are left out");
    say(
        left_out.gated,
        "is held back by a scheduling gate and is left out",
        "are held back by scheduling gates and are left out",
    );
    say(left_out.mirror, "is a static pod of a node and is left out", "are static pods of nodes and are left out");
    let bound = "on a node that is not in the input: planned anew, as if it did not exist";
    say(left_out.bound, &format!("is {bound}"), &format!("are {bound}"));
    for ((namespace, name), count) in &left_out.of_daemon_sets {
        let is_known = daemon_sets.iter().any(|set| set.namespace == *namespace && set.name == *name);
        if !is_known {
            notices.push(format!(
                "DaemonSet `{namespace}/{name}` has {count} pods in the input but is not there itself: \
                 the room that it takes on every node is not counted"
            ));
        }
    }
    notices
}

/// The pool of Karpenter's getting-started guide.
fn default_node_pool() -> NodePool {
    let mut requirements = Requirements::new();
    requirements.add(labels::ARCH, Requirement::one_of(["amd64"]));
    requirements.add(labels::OS, Requirement::one_of(["linux"]));
    requirements.add(labels::CAPACITY_TYPE, Requirement::one_of(["on-demand"]));
    requirements.add("karpenter.k8s.aws/instance-category", Requirement::one_of(["c", "m", "r"]));
    if let Ok(newer) = Requirement::new(Operator::Gt, &["2"]) {
        requirements.add("karpenter.k8s.aws/instance-generation", newer);
    }
    NodePool {
        name: "default".to_owned(),
        weight: 0,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        taints: Vec::new(),
        startup_taints: Vec::new(),
        requirements,
        node_class_ref: NodeClassRef {
            group: labels::AWS_DOMAIN.to_owned(),
            kind: "EC2NodeClass".to_owned(),
            name: "default".to_owned(),
        },
        expire_after: Some("720h".to_owned()),
        termination_grace_period: None,
        limits: BTreeMap::new(),
    }
}
