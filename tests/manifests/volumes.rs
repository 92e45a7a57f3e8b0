//! Claims, volumes, classes and attach limits, from manifests to what pods ask for.

use std::collections::BTreeSet;

use supercargo::adapters::files::manifests::Loaded;
use supercargo::domain::pod::PodSpec;
use supercargo::domain::volume::FaultKind;

use crate::load_text;

const ATTACHMENTS: &str = "attachable-volumes-csi-ebs.csi.aws.com";

fn class(name: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {{name: {name}}}\nprovisioner: ebs.csi.aws.com\n{rest}\n"
    )
}

fn claim(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\nspec: {{accessModes: [ReadWriteOnce], {spec}}}\n"
    )
}

fn volume(name: &str, labels: &str, spec: &str) -> String {
    format!("---\napiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}, labels: {labels}}}\nspec: {{{spec}}}\n")
}

fn pod(name: &str, claim: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: c}}], volumes: [{{name: data, \
         persistentVolumeClaim: {{claimName: {claim}}}}}]}}\n"
    )
}

fn loaded(text: &str) -> Loaded {
    load_text(text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn spec_of(text: &str) -> PodSpec {
    (*loaded(text).cluster.pods[0].spec).clone()
}

fn places(spec: &PodSpec) -> Vec<String> {
    let print = |(key, wanted): (&str, &supercargo::domain::requirement::Requirement)| format!("{key} {wanted}");
    spec.volume_places().map(|terms| terms.iter().map(print).collect::<Vec<_>>().join("; ")).collect()
}

fn fault(text: &str) -> FaultKind {
    let spec = spec_of(text);
    let [volume] = spec.volumes.as_slice() else { panic!("one volume: {spec:?}") };
    volume.fault.clone().expect("something is wrong with the claim").kind
}

const LATE: &str = "volumeBindingMode: WaitForFirstConsumer";

#[test]
fn a_bound_claim_says_where_its_volume_is() {
    let affinity = |key: &str| {
        format!(
            "csi: {{driver: ebs.csi.aws.com, volumeHandle: v}}, nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: \
             [{{key: {key}, operator: In, values: [us-east-1b]}}]}}]}}}}"
        )
    };
    let bound = |labels: &str, spec: &str| spec_of(&(pod("a", "c") + &claim("c", "volumeName: v") + &volume("v", labels, spec)));
    let spec = bound("{}", &affinity("topology.ebs.csi.aws.com/zone"));
    assert_eq!(spec.volumes[0].name, "c");
    assert_eq!(places(&spec), ["topology.kubernetes.io/zone In [us-east-1b]"]);
    assert_eq!(spec.requests.get(ATTACHMENTS), 1);
    let legacy = bound("{failure-domain.beta.kubernetes.io/zone: us-east-1a__us-east-1b}", "awsElasticBlockStore: {volumeID: v}");
    assert_eq!(places(&legacy), ["topology.kubernetes.io/zone In [us-east-1a, us-east-1b]"]);
    assert_eq!(legacy.requests.get(ATTACHMENTS), 1);
    // The node of a local volume may be gone: its name is left out.
    let local =
        affinity("kubernetes.io/hostname").replace("csi: {driver: ebs.csi.aws.com, volumeHandle: v}", "local: {path: /x}");
    let local = bound("{}", &local);
    assert!(local.volumes.is_empty() && local.requests.get(ATTACHMENTS) == 0, "{local:?}");
}

#[test]
fn a_claim_that_waits_for_its_pod_goes_where_its_class_allows() {
    let allowed = format!(
        "{LATE}\nallowedTopologies: [{{matchLabelExpressions: [{{key: topology.ebs.csi.aws.com/zone, values: [us-east-1a, us-east-1b]}}]}}]"
    );
    let spec = spec_of(&(pod("a", "c") + &claim("c", "storageClassName: gp3") + &class("gp3", &allowed)));
    assert_eq!(places(&spec), ["topology.kubernetes.io/zone In [us-east-1a, us-east-1b]"]);
    let anywhere = spec_of(&(pod("a", "c") + &claim("c", "storageClassName: gp3") + &class("gp3", LATE)));
    assert!(anywhere.volumes.is_empty());
    assert_eq!(anywhere.requests.get(ATTACHMENTS), 1);
}

#[test]
fn what_is_wrong_with_a_claim_is_kept() {
    let gp3 = class("gp3", LATE);
    assert_eq!(fault(&(pod("a", "c") + &gp3)), FaultKind::Missing);
    assert_eq!(fault(&(pod("a", "c") + &claim("c", "volumeName: v"))), FaultKind::VolumeMissing("v".to_owned()));
    assert_eq!(fault(&(pod("a", "c") + &claim("c", "storageClassName: ''") + &gp3)), FaultKind::Classless);
    assert_eq!(fault(&(pod("a", "c") + &claim("c", "resources: {}") + &gp3)), FaultKind::Classless);
    assert_eq!(fault(&(pod("a", "c") + &claim("c", "storageClassName: io") + &gp3)), FaultKind::ClassMissing("io".to_owned()));
    let early = class("gp2", "");
    assert_eq!(fault(&(pod("a", "c") + &claim("c", "storageClassName: gp2") + &early)), FaultKind::Waiting("gp2".to_owned()));
    let lost = claim("c", "volumeName: v") + "status: {phase: Lost}\n";
    assert_eq!(fault(&(pod("a", "c") + &lost)), FaultKind::Lost);
    let leaving = claim("c", "volumeName: v").replace("{name: c}", "{name: c, deletionTimestamp: 2026-01-01T00:00:00Z}");
    assert_eq!(fault(&(pod("a", "c") + &leaving)), FaultKind::Deleting);
}

#[test]
fn pods_that_share_a_claim_know_it() {
    let both = pod("a", "c") + &pod("b", "c") + &claim("c", "storageClassName: gp3") + &class("gp3", LATE);
    let spec = spec_of(&both);
    let shared = spec.volumes[0].shared.clone().expect("two pods use it");
    assert_eq!((shared.claim.as_str(), shared.settled_by.as_deref()), ("default/c", Some("topology.kubernetes.io/zone")));
    let alone = both.replace("ReadWriteOnce", "ReadWriteOncePod");
    let cluster = loaded(&alone).cluster;
    assert!(cluster.pods[0].spec.volumes.is_empty());
    let fault = cluster.pods[1].spec.volumes[0].fault.clone().expect("the first pod uses it");
    assert_eq!(fault.kind, FaultKind::InUse("default/a".to_owned()));
}

#[test]
fn a_stateful_set_makes_the_claims_that_are_not_there() {
    let set = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec: {replicas: 2, serviceName: db, selector: {}, \
               volumeClaimTemplates: [{metadata: {name: data}, spec: {storageClassName: gp3}}], template: {spec: {containers: \
               [{name: c}]}}}\n";
    let zone = "csi: {driver: ebs.csi.aws.com, volumeHandle: v}";
    let text = set.to_owned()
        + &class("gp3", LATE)
        + &claim("data-db-1", "volumeName: v")
        + &volume("v", "{topology.kubernetes.io/zone: us-east-1b}", zone);
    let cluster = loaded(&text).cluster;
    assert!(cluster.pods[0].spec.volumes.is_empty());
    assert_eq!(places(&cluster.pods[1].spec), ["topology.kubernetes.io/zone In [us-east-1b]"]);
    // The pod's own name is no part of it, or every pod would be of its own kind.
    assert_eq!(cluster.pods[1].spec.volumes[0].name, "data");
    assert!(cluster.pods.iter().all(|pod| pod.spec.requests.get(ATTACHMENTS) == 1));
    // Without any class in the input one is assumed, and that is said.
    let assumed = loaded(set);
    assert!(assumed.cluster.pods.iter().all(|pod| pod.spec.volumes.is_empty()));
    assert!(assumed.notices.iter().any(|notice| notice.starts_with("there is no StorageClass")), "{:?}", assumed.notices);
}

#[test]
fn nodes_have_the_limits_of_their_csi_node() {
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: worker}\nstatus: {allocatable: {cpu: '4', pods: '9'}}\n---\napiVersion: \
                storage.k8s.io/v1\nkind: CSINode\nmetadata: {name: worker}\nspec: {drivers: [{name: ebs.csi.aws.com, nodeID: worker, allocatable: \
                {count: 25}}]}\n";
    assert_eq!(loaded(node).cluster.nodes[0].allocatable.get(ATTACHMENTS), 25);
    let wrong = node.replace("count: 25", "count: -1");
    let errors = load_text(wrong).expect_err("a negative limit");
    assert_eq!(errors.as_slice()[0].field.as_deref(), Some("spec.drivers[0].allocatable.count"));
    let names: BTreeSet<Option<&str>> = errors.as_slice().iter().map(|error| error.object.as_deref()).collect();
    assert_eq!(names, BTreeSet::from([Some("CSINode worker")]));
}
