//! The settings as values, checked.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::text::{NO, Setting};
use super::{ControllerArgs, FeatureGates};
use crate::domain::instance_settings::MemoryShare;
use crate::planning::PreferencePolicy;

pub(super) const VM_MEMORY_OVERHEAD_PERCENT: &str = "0.075";
pub(super) const RESERVED_ENIS: &str = "0";
pub(super) const REFRESH_INTERVAL: &str = "1m";
pub(super) const BATCH_MAX_DURATION: &str = "10s";
pub(super) const BATCH_IDLE_DURATION: &str = "1s";
pub(super) const SOLVE_BUDGET: &str = "5s";
pub(super) const PREFERENCE_POLICY: &str = "Priced";
pub(super) const PLAN_PLACEMENT: &str = "bind";
pub(super) const KUBE_CLIENT_QPS: &str = "200";
pub(super) const KUBE_CLIENT_BURST: &str = "300";
pub(super) const LEADER_ELECTION_NAME: &str = "karpenter-leader-election";
pub(super) const METRICS_PORT: &str = "8080";
pub(super) const HEALTH_PROBE_PORT: &str = "8081";
pub(super) const LOG_LEVEL: &str = "info";

/// The least of Karpenter's refresh intervals.
const LEAST_REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// A solve needs this for its first-fit plan, whatever is asked of it.
const LEAST_SOLVE_BUDGET: Duration = Duration::from_millis(10);

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} (--{}) cannot be `{value}`: {mend}", .variable.to_lowercase().replace('_', "-"))]
pub struct SettingError {
    /// The environment variable; the flag is the same in lower case with dashes.
    pub variable: &'static str,
    /// What was given.
    pub value: String,
    /// What it can be.
    pub mend: String,
}

/// What new nodes and the cloud are told of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// The name in tags and in EKS.
    pub name: String,
    /// Address of the API server; `None`: EKS is asked.
    pub endpoint: Option<String>,
    /// Certificate of the authority in base64; `None`: that of the own connection.
    pub ca_bundle: Option<String>,
    /// Whether EKS runs the control plane.
    pub on_eks: bool,
}

/// How long what was found in EC2 stays good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshIntervals {
    /// Of images.
    pub images: Duration,
    /// Of subnets.
    pub subnets: Duration,
    /// Of security groups.
    pub security_groups: Duration,
}

/// How long pods gather before they are planned together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchWindow {
    /// Without a new pod.
    pub idle: Duration,
    /// In any case.
    pub longest: Duration,
}

/// Requests to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// In the long run.
    pub per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}

/// The Lease that the acting replica holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    /// Name of the Lease.
    pub lease: String,
    /// Its namespace; `None`: the own one.
    pub namespace: Option<String>,
}

/// Where metrics and probes are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// `None`: at every address.
    pub address: Option<IpAddr>,
    /// Port of `/metrics`.
    pub metrics_port: u16,
    /// Port of `/healthz` and `/readyz`.
    pub probe_port: u16,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything of our own.
    Debug,
    /// What was done, and what is amiss.
    Info,
    /// What went wrong.
    Error,
}

/// How planned pods get onto their nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// We bind them.
    Bind,
    /// kube-scheduler is told which node we mean.
    Nominate,
    /// kube-scheduler decides alone.
    Off,
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acting {
    /// They are.
    CarryOut,
    /// They are told, and neither the cloud nor NodeClaims change.
    Recommend,
}

/// The settings of the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The cluster.
    pub cluster: ClusterSettings,
    /// The region; `None`: that of the AWS configuration or of the instance.
    pub region: Option<String>,
    /// Whether there is no way out of the VPC.
    pub isolated_vpc: bool,
    /// Share of memory that hypervisor and firmware keep.
    pub vm_memory_overhead: MemoryShare,
    /// Network interfaces that give no addresses to pods.
    pub reserved_enis: u16,
    /// Whether EC2 is asked if an EC2NodeClass may be launched before one is (`DISABLE_DRY_RUN=false`).
    pub check_permissions: bool,
    /// How long what was found stays good.
    pub refresh: RefreshIntervals,
    /// A fixed catalog in place of a live one.
    pub catalog: Option<PathBuf>,
    /// How long pods gather.
    pub batch: BatchWindow,
    /// How long a solve may take.
    pub solve_budget: Duration,
    /// What becomes of preferences.
    pub preferences: PreferencePolicy,
    /// How planned pods get onto their nodes.
    pub placement: Placement,
    /// Whether decisions are carried out.
    pub acting: Acting,
    /// What is in the making.
    pub features: FeatureGates,
    /// Limit on requests to the API server.
    pub kube_client: RateLimit,
    /// The election; `None`: this replica acts unasked.
    pub election: Option<Election>,
    /// Where metrics and probes are served.
    pub listen: Listen,
    /// What is logged.
    pub log_level: LogLevel,
    /// What is to be said when the controller starts.
    pub notices: Vec<String>,
}

impl Settings {
    /// Reads and checks the texts that were given.
    ///
    /// # Errors
    /// The first setting that cannot be used, with what it can be.
    pub fn check(args: &ControllerArgs) -> Result<Self, SettingError> {
        let switch = |variable, text| Setting::new(variable, text, NO).switch();
        let refresh = |variable, text| Setting::new(variable, text, REFRESH_INTERVAL).duration(LEAST_REFRESH_INTERVAL);
        let gates = Setting::new("FEATURE_GATES", &args.feature_gates, "");
        let (features, notices) = FeatureGates::parse(&args.feature_gates).map_err(|problem| gates.error(problem))?;
        Ok(Self {
            cluster: cluster(args)?,
            region: optional(&args.aws_region),
            isolated_vpc: switch("ISOLATED_VPC", &args.isolated_vpc)?,
            vm_memory_overhead: vm_memory_overhead(args)?,
            reserved_enis: Setting::new("RESERVED_ENIS", &args.reserved_enis, RESERVED_ENIS).number(0)?,
            check_permissions: !switch("DISABLE_DRY_RUN", &args.disable_dry_run)?,
            refresh: RefreshIntervals {
                images: refresh("AMI_REFRESH_INTERVAL", &args.ami_refresh_interval)?,
                subnets: refresh("SUBNET_REFRESH_INTERVAL", &args.subnet_refresh_interval)?,
                security_groups: refresh("SECURITY_GROUP_REFRESH_INTERVAL", &args.security_group_refresh_interval)?,
            },
            catalog: optional(&args.catalog).map(PathBuf::from),
            batch: batch(args)?,
            solve_budget: Setting::new("SOLVE_BUDGET", &args.solve_budget, SOLVE_BUDGET).duration(LEAST_SOLVE_BUDGET)?,
            preferences: Setting::new("PREFERENCE_POLICY", &args.preference_policy, PREFERENCE_POLICY).one_of(&[
                ("Priced", PreferencePolicy::PRICED),
                ("Respect", PreferencePolicy::Respect),
                ("Ignore", PreferencePolicy::Ignore),
            ])?,
            placement: Setting::new("PLAN_PLACEMENT", &args.plan_placement, PLAN_PLACEMENT).one_of(&[
                ("bind", Placement::Bind),
                ("nominate", Placement::Nominate),
                ("off", Placement::Off),
            ])?,
            acting: if switch("DRY_RUN", &args.dry_run)? { Acting::Recommend } else { Acting::CarryOut },
            features,
            kube_client: RateLimit {
                per_second: Setting::new("KUBE_CLIENT_QPS", &args.kube_client_qps, KUBE_CLIENT_QPS).number(1)?,
                burst: Setting::new("KUBE_CLIENT_BURST", &args.kube_client_burst, KUBE_CLIENT_BURST).number(1)?,
            },
            election: if switch("DISABLE_LEADER_ELECTION", &args.disable_leader_election)? {
                None
            } else {
                Some(election(args)?)
            },
            listen: listen(args)?,
            log_level: Setting::new("LOG_LEVEL", &args.log_level, LOG_LEVEL).one_of(&[
                ("debug", LogLevel::Debug),
                ("info", LogLevel::Info),
                ("error", LogLevel::Error),
            ])?,
            notices,
        })
    }
}

fn optional(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn cluster(args: &ControllerArgs) -> Result<ClusterSettings, SettingError> {
    let name = Setting::new("CLUSTER_NAME", &args.cluster_name, "");
    let endpoint = Setting::new("CLUSTER_ENDPOINT", &args.cluster_endpoint, "");
    let bundle = Setting::new("CLUSTER_CA_BUNDLE", &args.cluster_ca_bundle, "");
    if let Some(url) = endpoint.optional() {
        let host = url.strip_prefix("https://").unwrap_or_default();
        if host.is_empty() || host.starts_with('/') || host.contains(char::is_whitespace) {
            return Err(endpoint.error("it is an address such as https://api.example.com"));
        }
    }
    if let Some(text) = bundle.optional()
        && STANDARD.decode(text.trim()).is_err()
    {
        return Err(bundle.error("it is a certificate in base64, on one line"));
    }
    Ok(ClusterSettings {
        name: name
            .optional()
            .ok_or_else(|| name.error("it is required: the name of the cluster, as EKS has it"))?
            .trim()
            .to_owned(),
        endpoint: optional(&args.cluster_endpoint),
        ca_bundle: optional(&args.cluster_ca_bundle),
        on_eks: Setting::new("EKS_CONTROL_PLANE", &args.eks_control_plane, NO).switch()?,
    })
}

fn vm_memory_overhead(args: &ControllerArgs) -> Result<MemoryShare, SettingError> {
    let given = &args.vm_memory_overhead_percent;
    let text = if given.trim().is_empty() { VM_MEMORY_OVERHEAD_PERCENT } else { given };
    let setting = Setting::new("VM_MEMORY_OVERHEAD_PERCENT", text, VM_MEMORY_OVERHEAD_PERCENT);
    MemoryShare::parse(text).ok_or_else(|| setting.error("it is a share from 0 to below 1, such as 0.075 for 7.5 %"))
}

fn batch(args: &ControllerArgs) -> Result<BatchWindow, SettingError> {
    let longest = Setting::new("BATCH_MAX_DURATION", &args.batch_max_duration, BATCH_MAX_DURATION);
    let idle = Setting::new("BATCH_IDLE_DURATION", &args.batch_idle_duration, BATCH_IDLE_DURATION);
    Ok(BatchWindow { idle: idle.duration(Duration::ZERO)?, longest: longest.duration(Duration::ZERO)? })
}

fn election(args: &ControllerArgs) -> Result<Election, SettingError> {
    let lease = Setting::new("LEADER_ELECTION_NAME", &args.leader_election_name, LEADER_ELECTION_NAME);
    let name = lease.optional().unwrap_or(LEADER_ELECTION_NAME);
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    if !name.bytes().all(sound) {
        return Err(lease.error("it is the name of an object: lower-case letters, digits, dashes and dots"));
    }
    let namespace = optional(&args.leader_election_namespace).or_else(|| optional(&args.system_namespace));
    Ok(Election { lease: name.to_owned(), namespace })
}

fn listen(args: &ControllerArgs) -> Result<Listen, SettingError> {
    let address = Setting::new("LISTEN_ADDRESS", &args.listen_address, "");
    let parsed = address.optional().map(|text| text.trim().parse::<IpAddr>()).transpose();
    let probe = Setting::new("HEALTH_PROBE_PORT", &args.health_probe_port, HEALTH_PROBE_PORT);
    let listen = Listen {
        address: parsed.map_err(|_| address.error("it is an IP address such as 127.0.0.1"))?,
        metrics_port: Setting::new("METRICS_PORT", &args.metrics_port, METRICS_PORT).number(0)?,
        probe_port: probe.number(0)?,
    };
    // Port 0 is one that the system picks.
    if listen.metrics_port == listen.probe_port && listen.probe_port != 0 {
        return Err(probe.error("METRICS_PORT is the same; they are two ports"));
    }
    Ok(listen)
}
