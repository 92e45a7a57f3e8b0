//! What `deploy/benchmark/` gives to run a track on a cluster: manifests that Kubernetes takes, with a command that the binary takes.
#![cfg(feature = "cli")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The document of that kind. Fields that the type does not know would be lost, so what was read must be what was written.
fn object<K: DeserializeOwned + Serialize>(kind: &str) -> K {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/benchmark/job.yaml");
    let text = fs::read_to_string(&path).expect("the manifest is there");
    let documents = text.split("\n---\n").map(|document| -> Value { serde_saphyr::from_str(document).expect("it is YAML") });
    let document = documents.into_iter().find(|document| document["kind"] == kind).expect("the kind is there");
    let read: K = serde_json::from_value(document.clone()).expect("it is of that type");
    assert_eq!(serde_json::to_value(&read).expect("it came from JSON"), document, "fields that Kubernetes does not know");
    read
}

#[test]
fn each_shard_has_a_command_that_the_binary_takes() {
    let job: Job = object("Job");
    let spec = job.spec.expect("it has a spec");
    assert_eq!(spec.completion_mode.as_deref(), Some("Indexed"));
    let completions = spec.completions.expect("it says how many");
    let pod = spec.template.spec.expect("its pods have a spec");
    let container = &pod.containers[0];
    let args = container.args.clone().expect("it has arguments");
    let shard = args.iter().find_map(|arg| arg.strip_prefix("--shard=")).expect("each pod has a shard");
    assert_eq!(shard, format!("$(JOB_COMPLETION_INDEX)/{completions}"));
    let out = args.iter().find_map(|arg| arg.strip_prefix("--out=")).expect("each pod has a folder");
    let mount = &container.volume_mounts.as_ref().expect("it has a volume")[0];
    assert_eq!(out, format!("{}/$(JOB_COMPLETION_INDEX)", mount.mount_path));
    for index in [0, completions - 1] {
        let mut command = Command::cargo_bin("supercargo").expect("the binary is built with the tests");
        command.args(args.iter().map(|arg| arg.replace("$(JOB_COMPLETION_INDEX)", &index.to_string())));
        // Arguments are read in their order, and help is asked for behind all of them.
        command.arg("--help").assert().success();
    }
    let mut beyond = Command::cargo_bin("supercargo").expect("the binary is built with the tests");
    beyond.args(args.iter().map(|arg| arg.replace("$(JOB_COMPLETION_INDEX)", &completions.to_string())));
    beyond.arg("--help").assert().failure();
    let claim: PersistentVolumeClaim = object("PersistentVolumeClaim");
    let volume = pod.volumes.as_ref().expect("it has a volume")[0].persistent_volume_claim.clone();
    assert_eq!(claim.metadata.name, volume.map(|volume| volume.claim_name));
}
