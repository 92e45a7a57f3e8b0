//! The kubelet's settings as command-line arguments, for the families whose start scripts take them so.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::adapters::aws::cloud::user_data::{Bootstrap, entries, text};

/// All arguments, in Karpenter's order.
pub(super) fn arguments(bootstrap: &Bootstrap<'_>) -> String {
    let settings = bootstrap.kubelet_settings();
    let labels: BTreeMap<String, String> = bootstrap.node_labels();
    let taints: Vec<String> = bootstrap.node_taints().iter().map(ToString::to_string).collect();
    let mut made = vec![
        list("--node-labels", &labels, "="),
        Some(format!("--register-with-taints=\"{}\"", taints.join(","))),
        one("--max-pods", settings.get("maxPods")),
        one("--pods-per-core", settings.get("podsPerCore")),
    ];
    for (flag, field, sign) in [
        ("--system-reserved", "systemReserved", "="),
        ("--kube-reserved", "kubeReserved", "="),
        ("--eviction-hard", "evictionHard", "<"),
        ("--eviction-soft", "evictionSoft", "<"),
        ("--eviction-soft-grace-period", "evictionSoftGracePeriod", "="),
    ] {
        made.push(list(flag, &entries(&settings, field), sign));
    }
    for (flag, field) in [
        ("--eviction-max-pod-grace-period", "evictionMaxPodGracePeriod"),
        ("--image-gc-high-threshold", "imageGCHighThresholdPercent"),
        ("--image-gc-low-threshold", "imageGCLowThresholdPercent"),
        ("--cpu-cfs-quota", "cpuCFSQuota"),
    ] {
        made.push(one(flag, settings.get(field)));
    }
    made.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn list(flag: &str, entries: &BTreeMap<String, String>, sign: &str) -> Option<String> {
    let made: Vec<String> = entries.iter().map(|(key, value)| format!("{key}{sign}{value}")).collect();
    (!made.is_empty()).then(|| format!("{flag}=\"{}\"", made.join(",")))
}

fn one(flag: &str, value: Option<&Value>) -> Option<String> {
    Some(format!("{flag}={}", text(value?)?))
}
