//! Variables of Karpenter that have no meaning in this release.

/// When a variable without meaning is worth a word.
enum Worth {
    /// Never: what it says has no bearing on us.
    Nothing,
    /// When it is not this, which asks for nothing that we lack.
    Unless(&'static str),
    /// When one of the gates in it is on.
    WithGateOn,
}

const UNUSED: [(&str, Worth); 16] = [
    ("AWS_FEATURE_GATES", Worth::WithGateOn),
    ("CPU_REQUESTS", Worth::Nothing),
    ("DISABLE_CLUSTER_STATE_OBSERVABILITY", Worth::Unless("false")),
    ("DISABLE_CONTROLLER_WARMUP", Worth::Unless("true")),
    ("ENABLE_PROFILING", Worth::Unless("false")),
    ("ENABLE_ZONAL_SHIFT", Worth::Unless("false")),
    ("IGNORE_DRA_REQUESTS", Worth::Unless("true")),
    ("INTERRUPTION_QUEUE", Worth::Unless("")),
    ("KARPENTER_SERVICE", Worth::Nothing),
    ("KUBERNETES_MIN_VERSION", Worth::Nothing),
    ("LEGACY_NODE_REPAIR", Worth::Unless("false")),
    ("LOG_ERROR_OUTPUT_PATHS", Worth::Unless("stderr")),
    ("LOG_OUTPUT_PATHS", Worth::Unless("stdout")),
    ("MEMORY_LIMIT", Worth::Nothing),
    ("MIN_VALUES_POLICY", Worth::Unless("Strict")),
    ("SCHEDULER_CONFIG", Worth::Unless("")),
];

/// The variables that ask for something which this release does not do, by name; `value_of` looks a variable up. They are to be
/// named when the controller starts.
pub fn unused_variables(value_of: impl Fn(&str) -> Option<String>) -> Vec<&'static str> {
    let asks = |(name, worth): &(&str, Worth)| {
        let Some(value) = value_of(name) else { return false };
        let value = value.trim();
        match worth {
            Worth::Nothing => false,
            Worth::Unless(harmless) => !value.is_empty() && value != *harmless,
            Worth::WithGateOn => value.split(',').any(|gate| gate.trim().ends_with("=true")),
        }
    };
    UNUSED.iter().filter(|row| asks(row)).map(|(name, _)| *name).collect()
}
