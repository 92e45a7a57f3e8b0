//! Whether `spec.kubelet` can be meant: its fields are the kubelet's own, and the API server does not check them.
//!
//! The fields are those of `kubelet.config.k8s.io/v1beta1` in Kubernetes 1.35; the rules are those of the AWS provider of Karpenter
//! v1.15.1 (`pkg/controllers/nodeclass/validation.go`). Expressions over the instance type, which it has behind a feature gate, are not
//! supported.

use serde_json::{Map, Value};

use super::validation::Objection;
use crate::adapters::kube::convert::FieldError;
use crate::domain::node_class::AmiFamily;
use crate::domain::quantity::Quantity;

const INVALID: &str = "InvalidKubeletConfiguration";
const EXPRESSIONS: &str = "KubeletExpressionsDisabled";
const UNSUPPORTED: &str = "UnsupportedKubeletConfiguration";

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Flag,
    Whole,
    Number,
    Text,
    Duration,
    Texts,
    TextMap,
    /// A map whose values are checked by the kubelet alone.
    Map,
    Maps,
}

/// The fields by what they hold.
const FIELDS: &[(Shape, &[&str])] = &[
    (
        Shape::Flag,
        &[
            "cgroupsPerQOS",
            "cpuCFSQuota",
            "enableContentionProfiling",
            "enableDebugFlagsHandler",
            "enableDebuggingHandlers",
            "enableProfilingHandler",
            "enableServer",
            "enableSystemLogHandler",
            "enableSystemLogQuery",
            "failCgroupV1",
            "failSwapOn",
            "localStorageCapacityIsolation",
            "makeIPTablesUtilChains",
            "mergeDefaultEvictionSettings",
            "protectKernelDefaults",
            "registerNode",
            "rotateCertificates",
            "seccompDefault",
            "serializeImagePulls",
            "serverTLSBootstrap",
            "singleProcessOOMKill",
        ],
    ),
    (
        Shape::Whole,
        &[
            "containerLogMaxFiles",
            "containerLogMaxWorkers",
            "eventBurst",
            "eventRecordQPS",
            "evictionMaxPodGracePeriod",
            "healthzPort",
            "imageGCHighThresholdPercent",
            "imageGCLowThresholdPercent",
            "iptablesDropBit",
            "iptablesMasqueradeBit",
            "kubeAPIBurst",
            "kubeAPIQPS",
            "maxOpenFiles",
            "maxParallelImagePulls",
            "maxPods",
            "nodeLeaseDurationSeconds",
            "nodeStatusMaxImages",
            "oomScoreAdj",
            "podPidsLimit",
            "podsPerCore",
            "port",
            "readOnlyPort",
            "registryBurst",
            "registryPullQPS",
        ],
    ),
    (Shape::Number, &["memoryThrottlingFactor"]),
    (
        Shape::Text,
        &[
            "address",
            "apiVersion",
            "cgroupDriver",
            "cgroupRoot",
            "clusterDomain",
            "configMapAndSecretChangeDetectionStrategy",
            "containerLogMaxSize",
            "containerRuntimeEndpoint",
            "contentType",
            "cpuManagerPolicy",
            "hairpinMode",
            "healthzBindAddress",
            "imagePullCredentialsVerificationPolicy",
            "imageServiceEndpoint",
            "kind",
            "kubeReservedCgroup",
            "kubeletCgroups",
            "memoryManagerPolicy",
            "podCIDR",
            "podLogsDir",
            "providerID",
            "reservedSystemCPUs",
            "resolvConf",
            "showHiddenMetricsForVersion",
            "staticPodPath",
            "staticPodURL",
            "systemCgroups",
            "systemReservedCgroup",
            "tlsCertFile",
            "tlsMinVersion",
            "tlsPrivateKeyFile",
            "topologyManagerPolicy",
            "topologyManagerScope",
            "volumePluginDir",
        ],
    ),
    (
        Shape::Duration,
        &[
            "containerLogMonitorInterval",
            "cpuCFSQuotaPeriod",
            "cpuManagerReconcilePeriod",
            "evictionPressureTransitionPeriod",
            "fileCheckFrequency",
            "httpCheckFrequency",
            "imageMaximumGCAge",
            "imageMinimumGCAge",
            "nodeStatusReportFrequency",
            "nodeStatusUpdateFrequency",
            "runtimeRequestTimeout",
            "shutdownGracePeriod",
            "shutdownGracePeriodCriticalPods",
            "streamingConnectionIdleTimeout",
            "syncFrequency",
            "volumeStatsAggPeriod",
        ],
    ),
    (
        Shape::Texts,
        &[
            "allowedUnsafeSysctls",
            "clusterDNS",
            "enforceNodeAllocatable",
            "preloadedImagesVerificationAllowlist",
            "tlsCipherSuites",
        ],
    ),
    (
        Shape::TextMap,
        &[
            "cpuManagerPolicyOptions",
            "evictionHard",
            "evictionMinimumReclaim",
            "evictionSoft",
            "evictionSoftGracePeriod",
            "kubeReserved",
            "qosReserved",
            "systemReserved",
            "topologyManagerPolicyOptions",
        ],
    ),
    (
        Shape::Map,
        &[
            "authentication",
            "authorization",
            "crashLoopBackOff",
            "featureGates",
            "logging",
            "memorySwap",
            "staticPodURLHeader",
            "tracing",
            "userNamespaces",
        ],
    ),
    (Shape::Maps, &["registerWithTaints", "reservedMemory", "shutdownGracePeriodByPodPriority"]),
];

const SIGNALS: &[&str] =
    &["imagefs.available", "imagefs.inodesFree", "memory.available", "nodefs.available", "nodefs.inodesFree", "pid.available"];
const RESERVABLE: &[&str] = &["cpu", "ephemeral-storage", "memory", "pid"];

/// What the bootstrap of every family can pass on; AL2023's passes on everything.
const EVERYWHERE: &[&str] = &[
    "clusterDNS",
    "cpuCFSQuota",
    "evictionHard",
    "evictionMaxPodGracePeriod",
    "evictionSoft",
    "evictionSoftGracePeriod",
    "imageGCHighThresholdPercent",
    "imageGCLowThresholdPercent",
    "kubeReserved",
    "maxPods",
    "podsPerCore",
    "systemReserved",
];

/// The first reason why nodes of `family` cannot have these settings.
pub(super) fn objection(settings: &Map<String, Value>, family: AmiFamily) -> Option<Objection> {
    let refuse = |reason: &'static str| move |error: FieldError| Objection::field(reason, &error.inside("spec.kubelet"));
    check_shapes(settings)
        .and_then(|()| check_meaning(settings))
        .map_err(refuse(INVALID))
        .and_then(|()| check_expressions(settings).map_err(refuse(EXPRESSIONS)))
        .and_then(|()| check_family(settings, family).map_err(refuse(UNSUPPORTED)))
        .err()
}

fn check_shapes(settings: &Map<String, Value>) -> Result<(), FieldError> {
    for (name, value) in settings {
        let Some((shape, _)) = FIELDS.iter().find(|(_, names)| names.contains(&name.as_str())) else {
            let mend = "use the fields of kubelet.config.k8s.io/v1beta1, written as there";
            return Err(FieldError::new(name, "the kubelet has no such field", mend));
        };
        let expected = match shape {
            // An expression, which is refused for another reason.
            Shape::Whole if name == "maxPods" && value.is_string() => continue,
            _ if value.is_null() => continue,
            Shape::Flag if !value.is_boolean() => "write true or false",
            Shape::Whole if value.as_i64().is_none() => "write a whole number, without quotes",
            Shape::Number if !value.is_number() => "write a number, without quotes",
            Shape::Text if !value.is_string() => "write text, in quotes",
            Shape::Duration if !value.as_str().is_some_and(is_duration) => "write a duration such as 30s, 5m or 1h30m",
            Shape::Texts if !value.as_array().is_some_and(|list| list.iter().all(Value::is_string)) => "write a list of texts",
            Shape::TextMap if !value.as_object().is_some_and(|map| map.values().all(Value::is_string)) => {
                "write a map whose values are texts, in quotes"
            }
            Shape::Map if !value.is_object() => "write a map",
            Shape::Maps if !value.as_array().is_some_and(|list| list.iter().all(Value::is_object)) => "write a list of maps",
            _ => continue,
        };
        return Err(FieldError::new(name, format!("`{value}` is not what the kubelet takes here"), expected));
    }
    Ok(())
}

fn check_meaning(settings: &Map<String, Value>) -> Result<(), FieldError> {
    if settings.contains_key("registerWithTaints") {
        let mend = "use `taints` and `startupTaints` of the NodePool";
        return Err(FieldError::new("registerWithTaints", "the controller sets the taints of new nodes", mend));
    }
    for (field, is_sound, mend) in [
        ("evictionHard", is_threshold as fn(&str) -> bool, "write a percentage from 0% to 100%, or a quantity such as 200Mi"),
        ("evictionSoft", is_threshold, "write a percentage from 0% to 100%, or a quantity such as 200Mi"),
        ("evictionMinimumReclaim", is_threshold, "write a percentage from 0% to 100%, or a quantity such as 200Mi"),
        ("evictionSoftGracePeriod", is_grace, "write a duration such as 90s"),
    ] {
        for (signal, value) in texts(settings, field) {
            if !SIGNALS.contains(&signal) {
                let mend = format!("use one of {}", SIGNALS.join(", "));
                return Err(FieldError::new(entry(field, signal), format!("`{signal}` is no signal of the kubelet"), mend));
            }
            if !is_sound(value) {
                return Err(FieldError::new(entry(field, signal), format!("`{value}` cannot be meant"), mend));
            }
        }
    }
    for (field, other) in [("evictionSoft", "evictionSoftGracePeriod"), ("evictionSoftGracePeriod", "evictionSoft")] {
        if let Some((signal, _)) =
            texts(settings, field).find(|(signal, _)| !texts(settings, other).any(|(has, _)| has == *signal))
        {
            let problem = format!("`{signal}` has no entry in {other}");
            return Err(FieldError::new(entry(field, signal), problem, format!("add one to {other}, or remove this")));
        }
    }
    for field in ["kubeReserved", "systemReserved"] {
        for (resource, value) in texts(settings, field) {
            if !RESERVABLE.contains(&resource) {
                let mend = format!("use {}", RESERVABLE.join(", "));
                return Err(FieldError::new(entry(field, resource), format!("`{resource}` cannot be reserved"), mend));
            }
            if value.starts_with('-') {
                let mend = "write an amount of at least 0";
                return Err(FieldError::new(entry(field, resource), format!("`{value}` is negative"), mend));
            }
        }
    }
    for field in ["evictionMaxPodGracePeriod", "maxPods", "podsPerCore"] {
        if let Some(count) = settings.get(field).and_then(Value::as_i64).filter(|count| *count < 0) {
            return Err(FieldError::new(field, format!("`{count}` is negative"), "write a whole number of at least 0"));
        }
    }
    check_image_thresholds(settings)
}

fn check_image_thresholds(settings: &Map<String, Value>) -> Result<(), FieldError> {
    let [high, low] = ["imageGCHighThresholdPercent", "imageGCLowThresholdPercent"]
        .map(|field| settings.get(field).and_then(Value::as_i64).map(|percent| (field, percent)));
    for (field, percent) in [high, low].into_iter().flatten() {
        if !(0..=100).contains(&percent) {
            return Err(FieldError::new(field, format!("`{percent}` is no percentage"), "write a number from 0 to 100"));
        }
    }
    match (high, low) {
        (Some((field, high)), Some((other, low))) if high <= low => {
            let problem = format!("`{high}` is not above {other}, which is {low}");
            Err(FieldError::new(field, problem, "collecting starts at the higher and stops at the lower"))
        }
        _ => Ok(()),
    }
}

fn check_expressions(settings: &Map<String, Value>) -> Result<(), FieldError> {
    let mend = "write the number: expressions over the instance type are not supported";
    if let Some(Value::String(text)) = settings.get("maxPods") {
        return Err(FieldError::new("maxPods", format!("`{text}` is an expression"), mend));
    }
    for field in ["kubeReserved", "systemReserved"] {
        if let Some((resource, value)) = texts(settings, field).find(|(_, value)| Quantity::parse(value).is_err()) {
            return Err(FieldError::new(entry(field, resource), format!("`{value}` is no quantity but an expression"), mend));
        }
    }
    Ok(())
}

fn check_family(settings: &Map<String, Value>, family: AmiFamily) -> Result<(), FieldError> {
    if family == AmiFamily::Al2023 {
        return Ok(());
    }
    if let Some(field) = settings.keys().find(|field| !EVERYWHERE.contains(&field.as_str())) {
        let mend = "use AL2023, or set it in spec.userData";
        return Err(FieldError::new(field, format!("the bootstrap of {family:?} cannot set it"), mend));
    }
    if settings.get("clusterDNS").and_then(Value::as_array).is_some_and(|addresses| addresses.len() > 1) {
        let problem = format!("the bootstrap of {family:?} takes one address");
        return Err(FieldError::new("clusterDNS", problem, "name one, or use AL2023"));
    }
    if family == AmiFamily::Bottlerocket && settings.contains_key("podsPerCore") {
        return Err(FieldError::new("podsPerCore", "Bottlerocket has no such setting", "use maxPods"));
    }
    Ok(())
}

/// The entries of a map of texts; shapes are checked before.
fn texts<'a>(settings: &'a Map<String, Value>, field: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let map = settings.get(field).and_then(Value::as_object);
    map.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

fn entry(field: &str, key: &str) -> String {
    format!("{field}[\"{key}\"]")
}

fn is_threshold(text: &str) -> bool {
    match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().is_ok_and(|percent| (0.0..=100.0).contains(&percent)),
        None => Quantity::parse(text).is_ok_and(|quantity| !quantity.is_negative()),
    }
}

fn is_grace(text: &str) -> bool {
    !text.starts_with('-') && is_duration(text)
}

/// Whether Go reads the text as a duration: `0`, or numbers with units.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    let mut parts = 0;
    while !rest.is_empty() {
        let number = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let digits = rest[..number].bytes().filter(u8::is_ascii_digit).count();
        let units = ["ns", "us", "µs", "ms", "s", "m", "h"];
        let unit = units.iter().filter(|unit| rest[number..].starts_with(**unit)).max_by_key(|unit| unit.len());
        let (true, true, Some(unit)) = (digits > 0, number - digits <= 1, unit) else { return false };
        rest = &rest[number + unit.len()..];
        parts += 1;
    }
    parts > 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reason(settings: &Value, family: AmiFamily) -> Option<(&'static str, String)> {
        let found = objection(settings.as_object().expect("a map"), family)?;
        Some((found.reason, found.message))
    }

    #[test]
    fn settings_that_the_kubelet_takes_are_taken() {
        let settings = json!({
            "maxPods": 58, "podsPerCore": 4, "clusterDNS": ["10.0.0.10", "10.0.0.11"], "cpuCFSQuota": false,
            "kubeReserved": {"cpu": "200m", "memory": "1Gi"}, "evictionHard": {"memory.available": "7.5%", "nodefs.available": "1Gi"},
            "evictionSoft": {"memory.available": "500Mi"}, "evictionSoftGracePeriod": {"memory.available": "1m30s"},
            "imageGCHighThresholdPercent": 80, "imageGCLowThresholdPercent": 50, "registryPullQPS": 10,
            "featureGates": {"A": true}, "shutdownGracePeriod": "45s", "memorySwap": {"swapBehavior": "NoSwap"}, "podPidsLimit": null
        });
        assert_eq!(reason(&settings, AmiFamily::Al2023), None);
    }

    #[test]
    fn each_rule_has_its_reason_and_names_the_field() {
        for (settings, family, why, field) in [
            (json!({"maxpods": 1}), AmiFamily::Al2023, INVALID, "spec.kubelet.maxpods"),
            (json!({"podsPerCore": "1"}), AmiFamily::Al2023, INVALID, "spec.kubelet.podsPerCore"),
            (json!({"maxPods": -1}), AmiFamily::Al2023, INVALID, "spec.kubelet.maxPods"),
            (json!({"kubeReserved": {"cpu": 1}}), AmiFamily::Al2023, INVALID, "spec.kubelet.kubeReserved"),
            (json!({"kubeReserved": {"gpu": "1"}}), AmiFamily::Al2023, INVALID, r#"spec.kubelet.kubeReserved["gpu"]"#),
            (json!({"systemReserved": {"cpu": "-1"}}), AmiFamily::Al2023, INVALID, r#"spec.kubelet.systemReserved["cpu"]"#),
            (json!({"evictionHard": {"memory": "5%"}}), AmiFamily::Al2023, INVALID, r#"spec.kubelet.evictionHard["memory"]"#),
            (
                json!({"evictionHard": {"pid.available": "101%"}}),
                AmiFamily::Al2023,
                INVALID,
                r#"spec.kubelet.evictionHard["pid.available"]"#,
            ),
            (
                json!({"evictionSoft": {"pid.available": "10%"}}),
                AmiFamily::Al2023,
                INVALID,
                r#"spec.kubelet.evictionSoft["pid.available"]"#,
            ),
            (
                json!({"evictionSoftGracePeriod": {"pid.available": "10"}}),
                AmiFamily::Al2023,
                INVALID,
                r#"spec.kubelet.evictionSoftGracePeriod["pid.available"]"#,
            ),
            (json!({"registerWithTaints": []}), AmiFamily::Al2023, INVALID, "spec.kubelet.registerWithTaints"),
            (
                json!({"imageGCHighThresholdPercent": 50, "imageGCLowThresholdPercent": 50}),
                AmiFamily::Al2023,
                INVALID,
                "spec.kubelet.imageGCHighThresholdPercent",
            ),
            (json!({"imageGCLowThresholdPercent": 101}), AmiFamily::Al2023, INVALID, "spec.kubelet.imageGCLowThresholdPercent"),
            (json!({"shutdownGracePeriod": "5 minutes"}), AmiFamily::Al2023, INVALID, "spec.kubelet.shutdownGracePeriod"),
            (json!({"maxPods": "cpu * 8"}), AmiFamily::Al2023, EXPRESSIONS, "spec.kubelet.maxPods"),
            (
                json!({"kubeReserved": {"cpu": "cpu * 0.1"}}),
                AmiFamily::Al2023,
                EXPRESSIONS,
                r#"spec.kubelet.kubeReserved["cpu"]"#,
            ),
            (json!({"registryPullQPS": 1}), AmiFamily::Al2, UNSUPPORTED, "spec.kubelet.registryPullQPS"),
            (json!({"clusterDNS": ["10.0.0.1", "10.0.0.2"]}), AmiFamily::Custom, UNSUPPORTED, "spec.kubelet.clusterDNS"),
            (json!({"podsPerCore": 1}), AmiFamily::Bottlerocket, UNSUPPORTED, "spec.kubelet.podsPerCore"),
        ] {
            let (found, message) = reason(&settings, family).expect("it is refused");
            assert_eq!(found, why, "{settings}");
            assert!(message.starts_with(&format!("{field}: ")), "{message}");
        }
    }

    #[test]
    fn durations_are_those_of_go() {
        assert!(["0", "1s", "1.5h", "1h30m", "100ms", "2m0s"].into_iter().all(is_duration));
        assert!(!["", "1", "s", "1d", "1 s", ".s", "1..5s"].into_iter().any(is_duration));
    }
}
