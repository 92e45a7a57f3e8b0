//! What `deploy/` gives the controller: manifests that Kubernetes takes, and the rights that it uses, no more and no less.
#![cfg(feature = "controller")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What the controllers ask of the API server in every namespace: group, resource and verbs, and who asks.
const CLUSTER_CALLS: &[(&str, &str, &[&str])] = &[
    // The mirror of the cluster, and the readers of single objects.
    ("karpenter.sh", "nodepools", &["get", "list", "watch"]),
    ("karpenter.sh", "nodeclaims", &["get", "list", "watch"]),
    ("karpenter.sh", "nodeoverlays", &["get", "list", "watch"]),
    ("karpenter.k8s.aws", "ec2nodeclasses", &["get", "list", "watch"]),
    ("", "pods", &["get", "list", "watch"]),
    ("", "nodes", &["get", "list", "watch"]),
    ("", "namespaces", &["get", "list", "watch"]),
    ("", "persistentvolumes", &["get", "list", "watch"]),
    ("", "persistentvolumeclaims", &["get", "list", "watch"]),
    ("apps", "daemonsets", &["get", "list", "watch"]),
    ("storage.k8s.io", "storageclasses", &["get", "list", "watch"]),
    ("storage.k8s.io", "csinodes", &["get", "list", "watch"]),
    // The address family of new nodes.
    ("", "services/kube-dns", &["get"]),
    // Provisioner: intent first. Launcher, registrar, garbage collection: finalizers, annotations, labels, conditions, the end.
    ("karpenter.sh", "nodeclaims", &["create", "delete", "patch"]),
    ("karpenter.sh", "nodeclaims/status", &["patch"]),
    // Status of NodePools and EC2NodeClasses, their hashes and finalizers.
    ("karpenter.sh", "nodepools", &["patch"]),
    ("karpenter.sh", "nodepools/status", &["patch"]),
    ("karpenter.sh", "nodeoverlays/status", &["patch"]),
    ("karpenter.k8s.aws", "ec2nodeclasses", &["patch"]),
    ("karpenter.k8s.aws", "ec2nodeclasses/status", &["patch"]),
    // Registrar: taints, labels, owner. Garbage collection: the node of an instance that is gone.
    ("", "nodes", &["patch", "delete"]),
    // Placement of planned pods.
    ("", "pods/binding", &["create"]),
    ("", "pods/status", &["patch"]),
    // Nodes that go are drained.
    ("", "pods/eviction", &["create"]),
    // Every decision explains itself.
    ("events.k8s.io", "events", &["create", "patch"]),
];

/// What they ask in their own namespace: the election.
const OWN_NAMESPACE_CALLS: &[(&str, &str, &[&str])] = &[
    ("coordination.k8s.io", "leases", &["create"]),
    ("coordination.k8s.io", "leases/karpenter-leader-election", &["get", "update"]),
];

/// What the controllers ask of AWS.
const CLOUD_CALLS: &[&str] = &[
    // Launches, and their dry runs; the tags of what they make.
    "ec2:CreateFleet",
    "ec2:CreateLaunchTemplate",
    "ec2:CreateTags",
    "ec2:RunInstances",
    "iam:PassRole",
    // The end.
    "ec2:DeleteLaunchTemplate",
    "ec2:TerminateInstances",
    // The catalog.
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeSpotPriceHistory",
    "pricing:GetProducts",
    // What EC2NodeClasses name, and what is there.
    "ec2:DescribeCapacityReservations",
    "ec2:DescribeImages",
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribePlacementGroups",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "eks:DescribeCluster",
    "ssm:GetParameter",
    // Instance profiles of roles.
    "iam:AddRoleToInstanceProfile",
    "iam:CreateInstanceProfile",
    "iam:DeleteInstanceProfile",
    "iam:GetInstanceProfile",
    "iam:ListInstanceProfiles",
    "iam:RemoveRoleFromInstanceProfile",
    "iam:TagInstanceProfile",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

/// The documents of a manifest, by kind and name.
fn documents(file: &str) -> BTreeMap<(String, String), Value> {
    let path = folder().join("kubernetes").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let documents = text.split("\n---\n").map(|document| -> Value {
        serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    });
    let name = |document: &Value, pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    documents.map(|document| ((name(&document, "/kind"), name(&document, "/metadata/name")), document)).collect()
}

/// One document as the type of its kind. Fields that the type does not know would be lost, so what was read must be what was written.
fn object<K: DeserializeOwned + serde::Serialize>(file: &str, kind: &str, name: &str) -> K {
    let document = documents(file).remove(&(kind.to_owned(), name.to_owned()));
    let mut document = document.unwrap_or_else(|| panic!("{file} has no {kind} {name}"));
    let read: K = serde_json::from_value(document.clone()).unwrap_or_else(|error| panic!("{file}: {kind} {name}: {error}"));
    // Types of k8s-openapi write kind and version themselves.
    let written = serde_json::to_value(&read).expect("it came from JSON");
    drop_nulls(&mut document);
    assert_eq!(written, document, "{file}: {kind} {name} has fields that Kubernetes does not know");
    read
}

fn drop_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, field| !field.is_null());
        fields.values_mut().for_each(drop_nulls);
    }
}

/// Every right of the rules, one a line; rights on named objects name them.
fn granted(rules: &[PolicyRule]) -> BTreeSet<String> {
    let mut rights = BTreeSet::new();
    for rule in rules {
        let none = Vec::new();
        for group in rule.api_groups.as_ref().unwrap_or(&none) {
            for resource in rule.resources.as_ref().unwrap_or(&none) {
                let named = match rule.resource_names.as_deref() {
                    None => vec![resource.clone()],
                    Some(names) => names.iter().map(|name| format!("{resource}/{name}")).collect(),
                };
                for (resource, verb) in named.iter().flat_map(|resource| rule.verbs.iter().map(move |verb| (resource, verb))) {
                    assert!(verb != "*" && resource != "*", "a right on everything");
                    assert!(rights.insert(format!("{verb} {group}/{resource}")), "{verb} {group}/{resource} is granted twice");
                }
            }
        }
    }
    rights
}

fn called(calls: &[(&str, &str, &[&str])]) -> BTreeSet<String> {
    calls.iter().flat_map(|(group, resource, verbs)| verbs.iter().map(move |verb| format!("{verb} {group}/{resource}"))).collect()
}

#[test]
fn every_call_to_the_api_server_is_granted_and_nothing_more() {
    let cluster: ClusterRole = object("rbac.yaml", "ClusterRole", "supercargo");
    assert_eq!(granted(&cluster.rules.expect("it has rules")), called(CLUSTER_CALLS));
    let own: Role = object("rbac.yaml", "Role", "supercargo");
    assert_eq!(granted(&own.rules.expect("it has rules")), called(OWN_NAMESPACE_CALLS));
}

#[test]
fn the_rights_are_bound_to_the_account_that_the_pods_run_as() {
    let account: ServiceAccount = object("serviceaccount.yaml", "ServiceAccount", "supercargo");
    let cluster: ClusterRoleBinding = object("rbac.yaml", "ClusterRoleBinding", "supercargo");
    let own: RoleBinding = object("rbac.yaml", "RoleBinding", "supercargo");
    for (role, subjects) in [(cluster.role_ref, cluster.subjects), (own.role_ref, own.subjects)] {
        assert_eq!(role.name, "supercargo");
        let subjects = subjects.expect("it has subjects");
        assert_eq!(subjects.iter().map(|subject| Some(&subject.name)).collect::<Vec<_>>(), [account.metadata.name.as_ref()]);
    }
    let deployment: Deployment = object("deployment.yaml", "Deployment", "supercargo");
    let pod = deployment.spec.template.spec.expect("its pods have a spec");
    assert_eq!(pod.service_account_name, account.metadata.name);
}

#[test]
fn admins_may_manage_our_kinds() {
    let admin: ClusterRole = object("rbac.yaml", "ClusterRole", "supercargo-admin");
    let rights = granted(&admin.rules.expect("it has rules"));
    assert!(rights.contains("create karpenter.sh/nodepools") && rights.contains("update karpenter.k8s.aws/ec2nodeclasses"));
    assert_eq!(rights.len(), 4 * 7);
}

#[test]
fn pods_services_and_budgets_mean_the_same_pods_and_ports() {
    let deployment: Deployment = object("deployment.yaml", "Deployment", "supercargo");
    let spec = deployment.spec;
    let labels = spec.template.metadata.expect("its pods have labels").labels.expect("its pods have labels");
    let pod = spec.template.spec.expect("its pods have a spec");
    let container = &pod.containers[0];
    let ports: BTreeMap<&str, i32> =
        container.ports.iter().flatten().filter_map(|port| Some((port.name.as_deref()?, port.container_port))).collect();
    // The defaults of METRICS_PORT and HEALTH_PROBE_PORT.
    assert_eq!(ports, BTreeMap::from([("http", 8081), ("http-metrics", 8080)]));
    assert_eq!(spec.selector.match_labels, Some(labels.clone()));

    let service: Service = object("service.yaml", "Service", "supercargo");
    assert_eq!(service.spec.expect("it has a spec").selector, Some(labels.clone()));
    let budget: PodDisruptionBudget = object("poddisruptionbudget.yaml", "PodDisruptionBudget", "supercargo");
    assert_eq!(budget.spec.expect("it has a spec").selector.expect("it selects").match_labels, Some(labels));

    let settings: ConfigMap = object("settings.yaml", "ConfigMap", "supercargo");
    assert!(settings.data.expect("it has settings").contains_key("CLUSTER_NAME"));
    let named = container.env_from.iter().flatten().filter_map(|from| from.config_map_ref.as_ref()).map(|map| map.name.as_str());
    assert_eq!(named.collect::<Vec<_>>(), ["supercargo"]);
}

#[test]
fn the_kustomization_has_every_manifest() {
    let text = fs::read_to_string(folder().join("kubernetes/kustomization.yaml")).expect("it is there");
    let kustomization: Value = serde_saphyr::from_str(&text).expect("it is YAML");
    let listed: BTreeSet<String> = kustomization["resources"]
        .as_array()
        .expect("it lists files")
        .iter()
        .filter_map(|file| file.as_str().map(str::to_owned))
        .collect();
    let there: BTreeSet<String> = fs::read_dir(folder().join("kubernetes"))
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|file| file != "kustomization.yaml")
        .collect();
    assert_eq!(listed, there);
}

fn policy() -> Vec<Value> {
    let text = fs::read_to_string(folder().join("iam/policy.json")).expect("it is there");
    let policy: Value = serde_json::from_str(&text).expect("it is JSON");
    policy["Statement"].as_array().expect("it has statements").clone()
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

#[test]
fn every_call_to_aws_is_allowed_and_nothing_more() {
    let policy = policy();
    let allowed: BTreeSet<&str> = policy.iter().flat_map(|statement| texts(&statement["Action"])).collect();
    assert_eq!(allowed, CLOUD_CALLS.iter().copied().collect());
    assert!(policy.iter().all(|statement| statement["Effect"] == "Allow"));
}

#[test]
fn only_what_is_the_clusters_can_be_made_changed_or_ended() {
    for statement in policy() {
        let (sid, condition) = (statement["Sid"].as_str().expect("it has a name"), statement["Condition"].to_string());
        let resources = texts(&statement["Resource"]);
        let changes = texts(&statement["Action"]).iter().any(|action| {
            let verb = action.split(':').nth(1).unwrap_or_default();
            !["Describe", "Get", "List", "PassRole"].iter().any(|reading| verb.starts_with(reading))
        });
        if !changes || sid == "LaunchWithWhatIsThere" {
            continue;
        }
        assert!(!resources.contains(&"*"), "{sid}");
        assert!(
            ["aws:RequestTag/", "aws:ResourceTag/"]
                .iter()
                .any(|of| condition.contains(&format!("{of}kubernetes.io/cluster/${{CLUSTER_NAME}}"))),
            "{sid} is not limited to the cluster"
        );
        // Tags at creation carry the NodeClaim's name and UID besides, so their keys are not limited; those given later are.
        assert_eq!(condition.contains("aws:TagKeys"), sid == "NameOwnInstances", "{sid}");
    }
}
