//! What the settings are read as.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args as _, Command, FromArgMatches as _};

use super::*;
use crate::planning::PreferencePolicy;

fn command() -> Command {
    // Variables of whoever runs the tests do not count.
    ControllerArgs::augment_args(Command::new("controller").no_binary_name(true).args_override_self(true))
        .mut_args(|arg| arg.env(None::<&str>))
}

fn checked(flags: &[&str]) -> Result<Settings, SettingError> {
    let named = ["--cluster-name=shop"];
    let matches = command().try_get_matches_from(named.iter().chain(flags)).expect("clap takes the flags");
    Settings::check(&ControllerArgs::from_arg_matches(&matches).expect("they are the arguments"))
}

fn refused(flag: &str) -> String {
    checked(&[flag]).expect_err(flag).to_string()
}

#[test]
fn the_defaults_are_those_of_karpenter() {
    let settings = checked(&[]).expect("the defaults are sound");
    assert_eq!(settings.cluster.name, "shop");
    assert_eq!((settings.cluster.endpoint, settings.cluster.ca_bundle, settings.cluster.on_eks), (None, None, false));
    assert_eq!(settings.batch, BatchWindow { idle: Duration::from_secs(1), longest: Duration::from_secs(10) });
    assert_eq!(settings.kube_client, RateLimit { per_second: 200, burst: 300 });
    assert_eq!(settings.listen, Listen { address: None, metrics_port: 8080, probe_port: 8081 });
    assert_eq!(settings.election, Some(Election { lease: "karpenter-leader-election".to_owned(), namespace: None }));
    assert_eq!(settings.refresh.images, Duration::from_secs(60));
    assert_eq!(settings.vm_memory_overhead.per_million(), 75_000);
    assert_eq!(settings.features, FeatureGates { reserved_capacity: true, node_overlay: false });
    assert_eq!((settings.reserved_enis, settings.isolated_vpc, settings.check_permissions), (0, false, true));
    assert_eq!(settings.log_level, LogLevel::Info);
    // Ours.
    assert_eq!(settings.preferences, PreferencePolicy::PRICED);
    assert_eq!((settings.placement, settings.acting), (Placement::Bind, Acting::CarryOut));
    assert_eq!((settings.solve_budget, settings.catalog), (Duration::from_secs(5), None));
    assert_eq!(settings.notices, Vec::<String>::new());
}

#[test]
fn every_setting_is_a_flag_and_a_variable_of_the_same_name() {
    for arg in ControllerArgs::augment_args(Command::new("controller")).get_arguments() {
        let flag = arg.get_long().expect("every argument has a flag");
        let variable = arg.get_env().and_then(|name| name.to_str()).expect("every argument has a variable");
        let expected = if flag == "catalog" { "SUPERCARGO_CATALOG".to_owned() } else { flag.to_uppercase().replace('-', "_") };
        assert_eq!(variable, expected);
    }
}

#[test]
fn what_is_blank_counts_as_not_given() {
    let blank: Vec<String> = command()
        .get_arguments()
        .filter_map(|arg| arg.get_long())
        .filter(|flag| *flag != "cluster-name")
        .map(|flag| format!("--{flag}="))
        .collect();
    let blank: Vec<&str> = blank.iter().map(String::as_str).collect();
    assert_eq!(checked(&blank), checked(&[]));
}

#[test]
fn durations_are_written_as_go_writes_them() {
    let settings = checked(&["--batch-idle-duration=100ms", "--batch-max-duration=1m30s", "--solve-budget=2.5s"]).expect("sound");
    assert_eq!(settings.batch, BatchWindow { idle: Duration::from_millis(100), longest: Duration::from_secs(90) });
    assert_eq!(settings.solve_budget, Duration::from_millis(2_500));
    for text in ["1", "-1s", "1s-5s", "inf", "1e9s", "1d", "s", "99999999999999999999999h"] {
        assert!(checked(&[&format!("--batch-idle-duration={text}")]).is_err(), "{text}");
    }
}

#[test]
fn switches_are_true_or_false_and_nothing_else() {
    assert!(checked(&["--isolated-vpc"]).expect("sound").isolated_vpc);
    assert!(checked(&["--isolated-vpc=true"]).expect("sound").isolated_vpc);
    assert!(!checked(&["--isolated-vpc=false"]).expect("sound").isolated_vpc);
    assert_eq!(refused("--isolated-vpc=1"), "ISOLATED_VPC (--isolated-vpc) cannot be `1`: it is true or false");
}

#[test]
fn an_error_names_variable_value_and_mend() {
    let expected: BTreeMap<&str, &str> = BTreeMap::from([
        (
            "--batch-idle-duration=1x",
            "BATCH_IDLE_DURATION (--batch-idle-duration) cannot be `1x`: it is a duration such as 100ms, 10s or 1m30s, at least 0s",
        ),
        (
            "--ami-refresh-interval=59s",
            "AMI_REFRESH_INTERVAL (--ami-refresh-interval) cannot be `59s`: it is a duration such as 100ms, 10s or 1m30s, at least 60s",
        ),
        (
            "--preference-policy=priced",
            "PREFERENCE_POLICY (--preference-policy) cannot be `priced`: it is Priced, Respect or Ignore",
        ),
        (
            "--kube-client-qps=0",
            "KUBE_CLIENT_QPS (--kube-client-qps) cannot be `0`: it is a whole number, at least 1 and not too large",
        ),
        (
            "--metrics-port=65536",
            "METRICS_PORT (--metrics-port) cannot be `65536`: it is a whole number, at least 0 and not too large",
        ),
        (
            "--metrics-port=8081",
            "HEALTH_PROBE_PORT (--health-probe-port) cannot be `8081`: METRICS_PORT is the same; they are two ports",
        ),
        (
            "--cluster-endpoint=http://api",
            "CLUSTER_ENDPOINT (--cluster-endpoint) cannot be `http://api`: it is an address such as https://api.example.com",
        ),
        (
            "--cluster-ca-bundle=%",
            "CLUSTER_CA_BUNDLE (--cluster-ca-bundle) cannot be `%`: it is a certificate in base64, on one line",
        ),
        (
            "--vm-memory-overhead-percent=7.5",
            "VM_MEMORY_OVERHEAD_PERCENT (--vm-memory-overhead-percent) cannot be `7.5`: it is a share from 0 to below 1, such as 0.075 for 7.5 %",
        ),
        (
            "--feature-gates=NodeOverlay",
            "FEATURE_GATES (--feature-gates) cannot be `NodeOverlay`: `NodeOverlay` is not of the form NAME=true or NAME=false",
        ),
        ("--listen-address=home", "LISTEN_ADDRESS (--listen-address) cannot be `home`: it is an IP address such as 127.0.0.1"),
    ]);
    for (flag, message) in expected {
        assert_eq!(refused(flag), message);
    }
    assert_eq!(
        checked(&["--cluster-name= "]).expect_err("it is required").to_string(),
        "CLUSTER_NAME (--cluster-name) cannot be ``: it is required: the name of the cluster, as EKS has it"
    );
}

#[test]
fn gates_that_mean_nothing_are_named_only_when_they_are_on() {
    let settings =
        checked(&["--feature-gates=NodeOverlay=true, ReservedCapacity=false,NodeRepair=true,StaticCapacity=false,X=true"])
            .expect("unknown gates are no error");
    assert_eq!(settings.features, FeatureGates { reserved_capacity: false, node_overlay: true });
    assert_eq!(
        settings.notices,
        [
            "FEATURE_GATES: `NodeRepair` has no meaning in this release and is left out",
            "FEATURE_GATES: `X` has no meaning in this release and is left out"
        ]
    );
}

#[test]
fn the_lease_is_in_the_own_namespace_unless_told() {
    let namespace = |flags: &[&str]| checked(flags).expect("sound").election.expect("there is one").namespace;
    assert_eq!(namespace(&["--system-namespace=karpenter"]).as_deref(), Some("karpenter"));
    assert_eq!(namespace(&["--system-namespace=karpenter", "--leader-election-namespace=a"]).as_deref(), Some("a"));
    assert_eq!(checked(&["--disable-leader-election"]).expect("sound").election, None);
}

#[test]
fn variables_without_meaning_are_named_when_they_ask_for_something() {
    // As Karpenter's chart writes them.
    let charted = BTreeMap::from([
        ("MEMORY_LIMIT", "1073741824"),
        ("CPU_REQUESTS", "1000"),
        ("MIN_VALUES_POLICY", "Strict"),
        ("IGNORE_DRA_REQUESTS", "true"),
        ("LOG_OUTPUT_PATHS", "stdout"),
        ("AWS_FEATURE_GATES", "NodeClassCEL=false"),
        ("INTERRUPTION_QUEUE", ""),
    ]);
    assert_eq!(unused_variables(|name| charted.get(name).map(|value| (*value).to_owned())), Vec::<&str>::new());
    let asking = BTreeMap::from([
        ("MIN_VALUES_POLICY", "BestEffort"),
        ("INTERRUPTION_QUEUE", "shop"),
        ("AWS_FEATURE_GATES", "NodeClassCEL=true"),
    ]);
    assert_eq!(
        unused_variables(|name| asking.get(name).map(|value| (*value).to_owned())),
        ["AWS_FEATURE_GATES", "INTERRUPTION_QUEUE", "MIN_VALUES_POLICY"]
    );
}

#[test]
fn the_guide_lists_every_setting_and_its_default() {
    let guide = include_str!("../../../../docs/controller.md");
    for arg in ControllerArgs::augment_args(Command::new("controller")).get_arguments() {
        let variable = arg.get_env().and_then(|name| name.to_str()).expect("every argument has a variable");
        let row = guide.lines().find(|line| line.starts_with(&format!("| `{variable}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/controller.md says nothing about {variable}"));
        for default in arg.get_default_values().iter().filter_map(|value| value.to_str()).filter(|value| !value.is_empty()) {
            assert!(row.contains(&format!("| `{default}` |")), "the default of {variable} is {default}: {row}");
        }
    }
}
