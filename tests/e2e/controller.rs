//! The controller under test: the `supercargo` binary of this build, in a process of its own.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use crate::Trouble;
use crate::aws::{CLUSTER, Cloud};
use crate::control_plane::{ControlPlane, SYSTEM_NAMESPACE};
use crate::processes::{Process, Processes, free_ports};

/// How long a controller that is asked to end may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A controller, and how to start it again.
pub(crate) struct Controller {
    processes: Arc<Processes>,
    environment: Vec<(&'static str, String)>,
    process: Process,
}

impl Controller {
    /// Starts it for the control plane and an account, with `settings` on top: variables and their values.
    pub(crate) fn start(
        processes: &Arc<Processes>,
        plane: &ControlPlane,
        cloud: &Cloud,
        settings: &[(&'static str, &str)],
    ) -> Result<Self, Trouble> {
        let [metrics, health] = free_ports()?;
        let kubeconfig: PathBuf = plane.kubeconfig("supercargo");
        let mut environment = cloud.environment();
        environment.extend([
            ("KUBECONFIG", kubeconfig.display().to_string()),
            ("CLUSTER_NAME", CLUSTER.to_owned()),
            ("CLUSTER_ENDPOINT", plane.server.clone()),
            ("SYSTEM_NAMESPACE", SYSTEM_NAMESPACE.to_owned()),
            ("METRICS_PORT", metrics.to_string()),
            ("HEALTH_PROBE_PORT", health.to_string()),
            ("BATCH_IDLE_DURATION", "200ms".to_owned()),
            ("LOG_LEVEL", "debug".to_owned()),
        ]);
        environment.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let process = launch(processes, &environment)?;
        Ok(Self { processes: Arc::clone(processes), environment, process })
    }

    /// An error with the end of its log if it has ended.
    pub(crate) fn check(&mut self) -> Result<(), Trouble> {
        self.process.check()
    }

    /// Everything that it printed, the runs before a restart included.
    pub(crate) fn output(&self) -> String {
        self.process.output()
    }

    /// The most memory that it ever had, in MiB, and the processor time that it used, in seconds, since its last start.
    pub(crate) fn use_of_resources(&self) -> Result<(u64, f64), Trouble> {
        self.process.use_of_resources()
    }

    /// Ends it without a warning.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to end, as Kubernetes does, and waits until it has.
    pub(crate) async fn stop(&mut self) -> Result<ExitStatus, Trouble> {
        self.process.stop(PATIENCE).await
    }

    /// Starts it again after it has ended.
    pub(crate) fn restart(&mut self) -> Result<(), Trouble> {
        self.process = launch(&self.processes, &self.environment)?;
        Ok(())
    }
}

fn launch(processes: &Arc<Processes>, environment: &[(&'static str, String)]) -> Result<Process, Trouble> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_supercargo"));
    // What the caller's environment says of AWS or of a cluster must not get in.
    let inherited = ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE"].map(|name| std::env::var_os(name).map(|value| (name, value)));
    command.arg("controller").env_clear().envs(inherited.into_iter().flatten());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    processes.start("supercargo", &mut command)
}
