//! The control plane: etcd, kube-apiserver, kube-controller-manager and kube-scheduler as released, and kwok in place of kubelets.
//!
//! All are one binary (`control-plane/main.go`) that `control-plane/build` builds once.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Request;
use kube::{Api, Client, Config};
use serde_json::json;

use crate::Trouble;
use crate::keys::Keys;
use crate::processes::{Process, Processes, free_ports};

/// Services of the cluster get addresses from here.
pub(crate) const SERVICE_RANGE: &str = "10.0.0.0/16";
/// Where the shipped manifests put the controller.
pub(crate) const SYSTEM_NAMESPACE: &str = "karpenter";
/// The annotation of the nodes that kwok plays the kubelet of.
pub(crate) const KWOK_ANNOTATION: (&str, &str) = ("kwok.x-k8s.io/node", "fake");
/// The annotation of a node that says how long its kubelet takes to be ready, as Go writes durations; `kwok.yaml` reads it.
pub(crate) const READY_AFTER: &str = "e2e.supercargo.dev/ready-after";
/// How long the parts may take to come up. They take seconds; machines can be busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// Who may talk to the API server: name of the kubeconfig, user, groups.
///
/// Supercargo is the ServiceAccount that `deploy/` names, so that it may do what the roles there let it and nothing else.
const USERS: [(&str, &str, &str); 5] = [
    ("admin", "admin", "system:masters"),
    ("supercargo", "system:serviceaccount:karpenter:supercargo", "system:serviceaccounts,system:serviceaccounts:karpenter"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("kwok", "kwok", "system:masters"),
];

/// A running control plane.
pub(crate) struct ControlPlane {
    /// Address of the API server.
    pub(crate) server: String,
    /// Certificate of the authority that signed the API server's.
    pub(crate) authority: PathBuf,
    folder: PathBuf,
    parts: Vec<Process>,
    api_server: Mutex<Process>,
    /// How the API server is started.
    start_api_server: Box<dyn Fn() -> Result<Process, Trouble> + Send + Sync>,
}

impl ControlPlane {
    /// Starts all parts and waits until they work.
    pub(crate) async fn start(processes: &Arc<Processes>) -> Result<Self, Trouble> {
        let binary = binary()?;
        let folder = processes.folder();
        let keys = Keys::make(folder)?;
        let [etcd, peer, port, kwok] = free_ports()?;
        let server = format!("https://127.0.0.1:{port}");
        write_users(folder, &server, &keys)?;
        let start = {
            let (processes, folder) = (Arc::clone(processes), folder.to_owned());
            move |name: &str, part: &str, flags: &[String]| {
                let mut command = Command::new(&binary);
                command.arg(part).args(flags).current_dir(&folder);
                processes.start(name, &mut command)
            }
        };
        let data = processes.fleeting_folder()?;
        let parts = vec![start("etcd", "etcd", &etcd_flags(&data, etcd, peer))?];
        let flags = apiserver_flags(etcd, port, &keys);
        let start_api_server = {
            let start = start.clone();
            Box::new(move || start("apiserver", "kube-apiserver", &flags))
        };
        let api_server = Mutex::new(start_api_server()?);
        let authority = keys.authority.clone();
        let mut plane = Self { server, authority, folder: folder.to_owned(), parts, api_server, start_api_server };
        let admin = plane.client("admin").await?;
        plane.until_served().await?;
        std::fs::write(folder.join("scheduler.json"), scheduler_configuration(&plane.kubeconfig("scheduler")).to_string())?;
        let stages = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/kwok.yaml");
        plane.parts.push(start("controller-manager", "kube-controller-manager", &controller_manager_flags(&plane, &keys))?);
        plane.parts.push(start(
            "scheduler",
            "kube-scheduler",
            &["--config=scheduler.json".to_owned(), "--secure-port=0".to_owned()],
        )?);
        plane.parts.push(start("kwok", "kwok", &kwok_flags(&plane, kwok, &stages))?);
        let accounts: Api<ServiceAccount> = Api::namespaced(admin, "default");
        // Without it no pod can be made.
        plane.until("the default ServiceAccount exists", async || Ok(accounts.get_opt("default").await?.is_some())).await?;
        Ok(plane)
    }

    /// Ends the API server without a warning and starts it again; waits until it answers.
    pub(crate) async fn restart_api_server(&self) -> Result<(), Trouble> {
        {
            let mut running = self.api_server.lock().unwrap_or_else(PoisonError::into_inner);
            running.kill();
            *running = (self.start_api_server)()?;
        }
        self.until_served().await
    }

    async fn until_served(&self) -> Result<(), Trouble> {
        let admin = self.client("admin").await?;
        self.until("the API server is ready", async || {
            let request = Request::new("/readyz").list(&ListParams::default())?;
            Ok(admin.request_text(request).await.is_ok())
        })
        .await
    }

    /// The kubeconfig of one of [`USERS`].
    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        kubeconfig(&self.folder, user)
    }

    /// A client for one of [`USERS`].
    pub(crate) async fn client(&self, user: &str) -> Result<Client, Trouble> {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig(user))?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        // A test sees every answer: with retries an eviction that a budget blocks would be asked for again for minutes.
        config.default_retry = false;
        Ok(Client::try_from(config)?)
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> Result<bool, Trouble>) -> Result<(), Trouble> {
        let deadline = Instant::now() + PATIENCE;
        while !holds().await? {
            if Instant::now() > deadline {
                let api_server = self.api_server.lock().unwrap_or_else(PoisonError::into_inner).tail();
                let tails: Vec<String> = self.parts.iter().map(Process::tail).chain([api_server]).collect();
                return Err(format!("waited {PATIENCE:?} until {what}; the logs end:\n{}", tails.join("\n\n")).into());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Ok(())
    }
}

/// The binary that holds all parts; built where it is missing.
fn binary() -> Result<PathBuf, Trouble> {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/control-plane/build");
    let output = Command::new(&build).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{} failed, see above; the end-to-end tests need a control plane", build.display()).into());
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
}

fn kubeconfig(folder: &Path, user: &str) -> PathBuf {
    folder.join(format!("{user}.kubeconfig"))
}

/// Writes the tokens for the API server, and a kubeconfig for each user.
fn write_users(folder: &Path, server: &str, keys: &Keys) -> Result<(), Trouble> {
    let mut tokens = String::new();
    for (name, user, groups) in USERS {
        tokens.push_str(&format!("{name}-token,{user},{name},\"{groups}\"\n"));
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test-bed", "cluster": {"server": server, "certificate-authority": keys.authority}}],
            "users": [{"name": name, "user": {"token": format!("{name}-token")}}],
            "contexts": [{"name": "test-bed", "context": {"cluster": "test-bed", "user": name}}],
            "current-context": "test-bed",
        });
        std::fs::write(kubeconfig(folder, name), config.to_string())?;
    }
    std::fs::write(folder.join("tokens.csv"), tokens)?;
    Ok(())
}

/// `--name=value` for each, values being paths or what prints.
macro_rules! flags {
    ($($name:literal: $value:expr),* $(,)?) => { vec![$(format!("--{}={}", $name, $value)),*] };
}

fn etcd_flags(data: &Path, port: u16, peer: u16) -> Vec<String> {
    let (client_url, peer_url) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
    flags! {
        "data-dir": data.display(),
        // What is written need not outlive the test bed.
        "unsafe-no-fsync": true,
        "log-level": "warn",
        "listen-client-urls": client_url,
        "advertise-client-urls": client_url,
        "listen-peer-urls": peer_url,
        "initial-advertise-peer-urls": peer_url,
        "initial-cluster": format!("default={peer_url}"),
    }
}

fn apiserver_flags(etcd: u16, port: u16, keys: &Keys) -> Vec<String> {
    flags! {
        "etcd-servers": format!("http://127.0.0.1:{etcd}"),
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": port,
        "tls-cert-file": keys.server.display(),
        "tls-private-key-file": keys.server_key.display(),
        "client-ca-file": keys.authority.display(),
        // Without these the other parts complain for ever; without names the API server refuses to share the authority.
        "requestheader-client-ca-file": keys.authority.display(),
        "requestheader-allowed-names": "front-proxy",
        "service-account-key-file": keys.accounts_public_key.display(),
        "service-account-signing-key-file": keys.accounts_key.display(),
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-cluster-ip-range": SERVICE_RANGE,
        "token-auth-file": "tokens.csv",
        "authorization-mode": "RBAC",
    }
}

fn controller_manager_flags(plane: &ControlPlane, keys: &Keys) -> Vec<String> {
    flags! {
        "kubeconfig": plane.kubeconfig("controller-manager").display(),
        "secure-port": 0,
        "leader-elect": false,
        "use-service-account-credentials": true,
        "service-account-private-key-file": keys.accounts_key.display(),
        "root-ca-file": keys.authority.display(),
        "kube-api-qps": 500,
        "kube-api-burst": 1000,
        "node-monitor-period": "2s",
        // These are the cloud's part, or have nothing to do here.
        "controllers": "*,-node-ipam-controller,-node-route-controller,-service-lb-controller",
    }
}

/// The scheduler as released, but for its patience: a pod that did not fit is tried again after a second, not after ten.
fn scheduler_configuration(kubeconfig: &Path) -> serde_json::Value {
    json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig, "qps": 1000, "burst": 2000},
        "leaderElection": {"leaderElect": false},
        "podInitialBackoffSeconds": 1,
        "podMaxBackoffSeconds": 1,
    })
}

fn kwok_flags(plane: &ControlPlane, port: u16, stages: &Path) -> Vec<String> {
    let (annotation, value) = KWOK_ANNOTATION;
    flags! {
        "kubeconfig": plane.kubeconfig("kwok").display(),
        "manage-nodes-with-annotation-selector": format!("{annotation}={value}"),
        "node-lease-duration-seconds": 40,
        "cidr": "10.244.0.0/16",
        "node-ip": "127.0.0.1",
        "server-address": format!("127.0.0.1:{port}"),
        "config": stages.display(),
    }
}
