//! What is understood and what is left out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use supercargo::adapters::files::manifests::{Loaded, Source, load};
use supercargo::domain::labels;

use crate::load_text;

fn load_folder(name: &str) -> Loaded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests/data").join(name);
    load(&[Source::Path(path)]).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn a_folder_of_yaml_and_json_becomes_a_cluster() {
    let loaded = load_folder("mixed");
    let pods: Vec<(String, String, i64, i32)> = loaded
        .cluster
        .pods
        .iter()
        .map(|pod| {
            let workload = format!("{} {}", pod.workload.kind, pod.workload.name);
            (pod.full_name(), workload, pod.spec.requests.get("cpu"), pod.spec.priority)
        })
        .collect();
    let expected = [
        ("shop/web-7d9f-abcde", "Deployment web", 500, 1000),
        ("default/bare", "Pod bare", 0, 10),
        // The StatefulSet has the names; the Deployment misses two pods of three and takes the next free ones.
        ("shop/web-0", "StatefulSet web", 1000, 10),
        ("shop/web-1", "StatefulSet web", 1000, 10),
        ("shop/web-2", "Deployment web", 500, 1000),
        ("shop/web-3", "Deployment web", 500, 1000),
        ("shop/import-0-0", "Job import-0", 100, 0),
        ("shop/import-0-1", "Job import-0", 100, 0),
    ];
    let expected: Vec<_> =
        expected.map(|(pod, workload, cpu, priority)| (pod.to_owned(), workload.to_owned(), cpu, priority)).into();
    assert_eq!(pods, expected);
    // The live pod and the template say the same in different words.
    assert!(Arc::ptr_eq(&loaded.cluster.pods[0].spec, &loaded.cluster.pods[4].spec));
    assert_eq!(loaded.cluster.pods[2].spec.requests.get("attachable-volumes-csi-ebs.csi.aws.com"), 1);
    let ignored = [("ConfigMap", 1), ("CronJob", 1)].map(|(kind, count)| (kind.to_owned(), count));
    assert_eq!(loaded.ignored, BTreeMap::from(ignored));
}

#[test]
fn what_is_assumed_is_said() {
    let loaded = load_folder("mixed");
    for fragment in [
        "PriorityClass `nobody-knows` is not in the input",
        "1 pod has finished",
        "1 pod is on a node that is not in the input",
        "DaemonSet `kube-system/agent` has 1 pods in the input but is not there itself",
        "there is no NodePool in the input",
        "there is no StorageClass in the input",
    ] {
        assert!(loaded.notices.iter().any(|notice| notice.contains(fragment)), "{fragment}: {:?}", loaded.notices);
    }
    assert_eq!(loaded.notices.len(), 6, "{:?}", loaded.notices);
    let pool = &loaded.cluster.node_pools[0];
    assert_eq!(pool.requirements.get(labels::ARCH).map(ToString::to_string).as_deref(), Some("In [amd64]"));
    assert!(loaded.cluster.node_classes.contains_key("default"));
}

/// A workload with `pods` of its pods beside it.
fn with_live_pods(owner: &str, set: &str, labels: &str, pods: usize) -> String {
    let mut text = owner.to_owned();
    for number in 0..pods {
        text.push_str(&format!(
            "\n---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: p{number}\n  labels: {labels}\n  ownerReferences:\n  \
             - {{apiVersion: apps/v1, kind: {set}, uid: u, controller: true}}\nspec: {{containers: [{{name: c}}]}}\n"
        ));
    }
    text
}

#[test]
fn pods_and_their_workloads_do_not_count_twice() {
    let workload = |kind: &str, name: &str, replicas: usize, owner: &str| {
        format!(
            "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}{owner}}}\nspec:\n  replicas: {replicas}\n  template: \
             {{spec: {{containers: [{{name: c}}]}}}}\n"
        )
    };
    let count = |text: String| load_text(text).unwrap_or_else(|errors| panic!("{errors}")).cluster.pods.len();
    let deployment = workload("Deployment", "web", 5, "");
    // By the name of a ReplicaSet that is not in the input.
    assert_eq!(count(with_live_pods(&deployment, "ReplicaSet, name: web-1", "{pod-template-hash: \"1\"}", 3)), 5);
    // Without the label the pods are someone else's.
    assert_eq!(count(with_live_pods(&deployment, "ReplicaSet, name: web-1", "{}", 3)), 8);
    // Through a ReplicaSet that is.
    let owner = ", ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: u, controller: true}]";
    let both = format!("{deployment}---\n{}", workload("ReplicaSet", "web-1", 5, owner));
    assert_eq!(count(with_live_pods(&both, "ReplicaSet, name: web-1", "{}", 3)), 5);
    // A ReplicaSet alone.
    let alone = workload("ReplicaSet", "web-1", 5, owner);
    assert_eq!(count(with_live_pods(&alone, "ReplicaSet, name: web-1", "{pod-template-hash: \"1\"}", 3)), 5);
    // More pods than replicas: they are there, and count.
    assert_eq!(count(with_live_pods(&workload("StatefulSet", "db", 2, ""), "StatefulSet, name: db", "{}", 3)), 3);
}

#[test]
fn pools_that_karpenter_would_skip_are_skipped_aloud() {
    let pool = |name: &str, extra: &str| {
        format!(
            "apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {{name: {name}}}\nspec:\n  template: {{spec: {{requirements: [], \
             nodeClassRef: {{group: karpenter.k8s.aws, kind: EC2NodeClass, name: plain}}}}}}\n{extra}---\n"
        )
    };
    let text = pool("b", "") + &pool("static", "  replicas: 3\n") + &pool("a", "  weight: 7\n  limits: {cpu: 10, nodes: 2}\n");
    let loaded = load_text(text).unwrap_or_else(|errors| panic!("{errors}"));
    let names: Vec<&str> = loaded.cluster.node_pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(loaded.cluster.node_pools[0].limits, BTreeMap::from([("cpu".to_owned(), 10_000), ("nodes".to_owned(), 2)]));
    assert!(loaded.notices.iter().any(|notice| notice.contains("`static` is not used")), "{:?}", loaded.notices);
    assert!(loaded.notices.iter().any(|notice| notice.contains("EC2NodeClass `plain`")), "{:?}", loaded.notices);
}

#[test]
fn kubectl_prints_items_before_the_kind() {
    let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"c"}]}}"#;
    let kindless = r#"{"metadata":{"name":"b"},"spec":{"containers":[{"name":"c"}]}}"#;
    let loaded = load_text(format!(r#"{{"apiVersion":"v1","items":[{pod},{kindless}],"kind":"PodList"}}"#));
    assert_eq!(loaded.unwrap_or_else(|errors| panic!("{errors}")).cluster.pods.len(), 2);
    let empty = load_text(r#"{"apiVersion":"v1","items":[],"kind":"List"}"#);
    assert!(empty.unwrap_or_else(|errors| panic!("{errors}")).cluster.pods.is_empty());
}
