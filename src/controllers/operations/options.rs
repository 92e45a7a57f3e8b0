//! The settings of the controller as flags and environment variables: Karpenter's names and defaults, and a few of our own.
//!
//! A flag wins over its variable, and a variable that is empty counts as not set. [`ControllerArgs`] holds the texts as they were given;
//! [`Settings::check`] is the only way to values.

mod feature_gates;
mod settings;
mod text;
mod unused;

use clap::Args;

pub use feature_gates::FeatureGates;
pub use settings::{
    Acting, BatchWindow, ClusterSettings, Election, Listen, LogLevel, Placement, RateLimit, RefreshIntervals, SettingError,
    Settings,
};
pub use unused::unused_variables;

/// The settings as they were given. Flags are the variables in lower case with dashes.
#[derive(Clone, Debug, Args)]
pub struct ControllerArgs {
    /// Name of the cluster: what it owns in EC2 carries the tag kubernetes.io/cluster/NAME. Required.
    #[arg(
        long,
        value_name = "NAME",
        env = "CLUSTER_NAME",
        default_value = "",
        hide_default_value = true,
        help_heading = "Cluster"
    )]
    cluster_name: String,
    /// Address of the API server for new nodes; asked of EKS if not given.
    #[arg(
        long,
        value_name = "URL",
        env = "CLUSTER_ENDPOINT",
        default_value = "",
        hide_default_value = true,
        help_heading = "Cluster"
    )]
    cluster_endpoint: String,
    /// Certificate of the cluster's authority for new nodes, in base64; that of the own connection if not given.
    #[arg(
        long,
        value_name = "BASE64",
        env = "CLUSTER_CA_BUNDLE",
        default_value = "",
        hide_default_value = true,
        help_heading = "Cluster"
    )]
    cluster_ca_bundle: String,
    /// Whether EKS runs the control plane: then the version of Kubernetes is EKS's.
    #[arg(long, value_name = "BOOL", env = "EKS_CONTROL_PLANE", default_value = text::NO, default_missing_value = text::YES, num_args = 0..=1, require_equals = true, help_heading = "Cluster")]
    eks_control_plane: String,

    /// The region of the cluster; that of the AWS configuration or of the instance if not given.
    #[arg(long, value_name = "REGION", env = "AWS_REGION", default_value = "", hide_default_value = true, help_heading = "AWS")]
    aws_region: String,
    /// Whether there is no way out of the VPC: no Price List is asked, and instance profiles are not swept.
    #[arg(long, value_name = "BOOL", env = "ISOLATED_VPC", default_value = text::NO, default_missing_value = text::YES, num_args = 0..=1, require_equals = true, help_heading = "AWS")]
    isolated_vpc: String,
    /// Share of an instance's memory that hypervisor and firmware keep, from 0 to below 1.
    #[arg(long, value_name = "SHARE", env = "VM_MEMORY_OVERHEAD_PERCENT", default_value = settings::VM_MEMORY_OVERHEAD_PERCENT, help_heading = "AWS")]
    vm_memory_overhead_percent: String,
    /// Network interfaces of every node that give no addresses to pods.
    #[arg(long, value_name = "N", env = "RESERVED_ENIS", default_value = settings::RESERVED_ENIS, help_heading = "AWS")]
    reserved_enis: String,
    /// Whether to leave out the calls that ask EC2 whether an EC2NodeClass may be launched.
    #[arg(long, value_name = "BOOL", env = "DISABLE_DRY_RUN", default_value = text::NO, default_missing_value = text::YES, num_args = 0..=1, require_equals = true, help_heading = "AWS")]
    disable_dry_run: String,
    /// How long images that were found stay good; at least 1m.
    #[arg(long, value_name = "DURATION", env = "AMI_REFRESH_INTERVAL", default_value = settings::REFRESH_INTERVAL, help_heading = "AWS")]
    ami_refresh_interval: String,
    /// How long subnets that were found stay good; at least 1m.
    #[arg(long, value_name = "DURATION", env = "SUBNET_REFRESH_INTERVAL", default_value = settings::REFRESH_INTERVAL, help_heading = "AWS")]
    subnet_refresh_interval: String,
    /// How long security groups that were found stay good; at least 1m.
    #[arg(long, value_name = "DURATION", env = "SECURITY_GROUP_REFRESH_INTERVAL", default_value = settings::REFRESH_INTERVAL, help_heading = "AWS")]
    security_group_refresh_interval: String,
    /// Folder with a catalog whose types and prices count, in place of those that EC2 and the Price List have now.
    #[arg(
        long,
        value_name = "PATH",
        env = "SUPERCARGO_CATALOG",
        default_value = "",
        hide_default_value = true,
        help_heading = "AWS"
    )]
    catalog: String,

    /// How long pods gather at most before they are planned together.
    #[arg(long, value_name = "DURATION", env = "BATCH_MAX_DURATION", default_value = settings::BATCH_MAX_DURATION, help_heading = "Planning")]
    batch_max_duration: String,
    /// How long no new pod must appear before those that gathered are planned.
    #[arg(long, value_name = "DURATION", env = "BATCH_IDLE_DURATION", default_value = settings::BATCH_IDLE_DURATION, help_heading = "Planning")]
    batch_idle_duration: String,
    /// How long one plan may take; the best that was found by then counts.
    #[arg(long, value_name = "DURATION", env = "SOLVE_BUDGET", default_value = settings::SOLVE_BUDGET, help_heading = "Planning")]
    solve_budget: String,
    /// What becomes of preferred affinities, ScheduleAnyway and PreferNoSchedule: Priced, Respect or Ignore.
    #[arg(long, value_name = "POLICY", env = "PREFERENCE_POLICY", default_value = settings::PREFERENCE_POLICY, help_heading = "Planning")]
    preference_policy: String,
    /// How planned pods get onto their nodes: bind (we bind them), nominate (kube-scheduler is told), or off.
    #[arg(long, value_name = "HOW", env = "PLAN_PLACEMENT", default_value = settings::PLAN_PLACEMENT, help_heading = "Planning")]
    plan_placement: String,
    /// Whether to decide and explain only: no NodeClaim is written and nothing is bought or ended.
    #[arg(long, value_name = "BOOL", env = "DRY_RUN", default_value = text::NO, default_missing_value = text::YES, num_args = 0..=1, require_equals = true, help_heading = "Planning")]
    dry_run: String,
    /// What is in the making, as NAME=true,NAME=false: ReservedCapacity (true), NodeOverlay (false).
    #[arg(
        long,
        value_name = "GATES",
        env = "FEATURE_GATES",
        default_value = "",
        hide_default_value = true,
        help_heading = "Planning"
    )]
    feature_gates: String,

    /// Requests to the API server per second, in the long run.
    #[arg(long, value_name = "N", env = "KUBE_CLIENT_QPS", default_value = settings::KUBE_CLIENT_QPS, help_heading = "Operations")]
    kube_client_qps: String,
    /// Requests to the API server at once, after a pause.
    #[arg(long, value_name = "N", env = "KUBE_CLIENT_BURST", default_value = settings::KUBE_CLIENT_BURST, help_heading = "Operations")]
    kube_client_burst: String,
    /// Whether this is the only replica, and acts without asking for the Lease.
    #[arg(long, value_name = "BOOL", env = "DISABLE_LEADER_ELECTION", default_value = text::NO, default_missing_value = text::YES, num_args = 0..=1, require_equals = true, help_heading = "Operations")]
    disable_leader_election: String,
    /// The Lease that the acting replica holds: Karpenter's, so that it and we never act at once.
    #[arg(long, value_name = "NAME", env = "LEADER_ELECTION_NAME", default_value = settings::LEADER_ELECTION_NAME, help_heading = "Operations")]
    leader_election_name: String,
    /// Namespace of that Lease; our own if not given.
    #[arg(
        long,
        value_name = "NAMESPACE",
        env = "LEADER_ELECTION_NAMESPACE",
        default_value = "",
        hide_default_value = true,
        help_heading = "Operations"
    )]
    leader_election_namespace: String,
    /// Our own namespace; that of the service account if not given.
    #[arg(
        long,
        value_name = "NAMESPACE",
        env = "SYSTEM_NAMESPACE",
        default_value = "",
        hide_default_value = true,
        help_heading = "Operations"
    )]
    system_namespace: String,
    /// Address that metrics and probes are served at; every one of the pod if not given.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "LISTEN_ADDRESS",
        default_value = "",
        hide_default_value = true,
        help_heading = "Operations"
    )]
    listen_address: String,
    /// Port of /metrics.
    #[arg(long, value_name = "PORT", env = "METRICS_PORT", default_value = settings::METRICS_PORT, help_heading = "Operations")]
    metrics_port: String,
    /// Port of /healthz and /readyz.
    #[arg(long, value_name = "PORT", env = "HEALTH_PROBE_PORT", default_value = settings::HEALTH_PROBE_PORT, help_heading = "Operations")]
    health_probe_port: String,
    /// What is logged: debug, info or error.
    #[arg(long, value_name = "LEVEL", env = "LOG_LEVEL", default_value = settings::LOG_LEVEL, help_heading = "Operations")]
    log_level: String,
}

#[cfg(test)]
mod tests;
