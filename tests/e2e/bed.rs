//! The test bed: everything that the tests share, and what each test gets of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::Trouble;
use crate::aws::Cloud;
use crate::cluster::{Cluster, documents, until};
use crate::control_plane::{ControlPlane, SYSTEM_NAMESPACE};
use crate::joiner::{Habits, Joiner};
use crate::processes::{Processes, tail};

/// Logs of the parts that belong to one test.
const LOGS_OF_A_TEST: [&str; 2] = ["supercargo.log", "joiner.log"];
/// What of the shipped manifests says who the controller is and what it may do.
const RIGHTS: [&str; 5] = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];

/// Control plane, custom resources and rights. The cloud is each test's own.
pub(crate) struct Bed {
    /// The cluster as its administrator sees it.
    pub(crate) cluster: Cluster,
    /// Where the API server is, and who may talk to it.
    pub(crate) plane: ControlPlane,
    /// For what a test starts itself.
    pub(crate) processes: Arc<Processes>,
}

impl Bed {
    /// Brings it up.
    pub(crate) async fn start() -> Result<Self, Trouble> {
        // The fake AWS takes seconds to come up, and needs nothing of the others.
        let fake = tokio::task::spawn_blocking(crate::fake::port);
        let processes = Processes::new()?;
        let plane = ControlPlane::start(&processes).await?;
        let cluster = Cluster::new(plane.client("admin").await?);
        let bed = Self { cluster, plane, processes };
        bed.install().await?;
        fake.await?;
        Ok(bed)
    }

    /// A new account in the cloud; `name` is unlike that of every other test.
    pub(crate) async fn cloud(&self, name: &str) -> Result<Cloud, Trouble> {
        Cloud::new(name).await
    }

    /// Somebody who makes nodes of the account's instances.
    pub(crate) fn joiner(&self, cloud: &Cloud, habits: Habits) -> Result<Joiner, Trouble> {
        Joiner::start(cloud, self.cluster.client(), &self.plane.server, habits, self.processes.folder())
    }

    /// Takes away what a test left.
    pub(crate) async fn reset(&self) -> Result<(), Trouble> {
        for log in LOGS_OF_A_TEST {
            // Most tests leave none.
            let _ = std::fs::remove_file(self.processes.folder().join(log));
        }
        self.cluster.reset().await
    }

    /// What somebody wants to know who has to find out why a test failed.
    pub(crate) async fn dump(&self) -> String {
        let folder = self.processes.folder();
        let logs = LOGS_OF_A_TEST.map(|log| (log, tail(&folder.join(log))));
        let logs: Vec<String> =
            logs.iter().filter(|(_, end)| !end.is_empty()).map(|(log, end)| format!("{log} ends:\n{end}")).collect();
        format!("{}\n{}\nall logs: {}", self.cluster.dump().await, logs.join("\n"), folder.display())
    }

    /// The custom resources as `supercargo crds` prints them, and the rights as they are shipped.
    async fn install(&self) -> Result<(), Trouble> {
        let output = Command::new(env!("CARGO_BIN_EXE_supercargo")).arg("crds").output()?;
        if !output.status.success() {
            return Err(format!("`supercargo crds` failed: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        self.cluster.apply(&String::from_utf8(output.stdout)?).await?;
        for (version, kind) in
            [("karpenter.sh/v1", "NodePool"), ("karpenter.sh/v1", "NodeClaim"), ("karpenter.k8s.aws/v1", "EC2NodeClass")]
        {
            until(&format!("the API server serves {kind}"), Duration::from_secs(30), async || {
                Ok(self.cluster.serves(version, kind).await.then_some(()))
            })
            .await?;
        }
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}});
        self.cluster.apply_object(&namespace).await?;
        for file in shipped_manifests()? {
            for mut object in documents(&std::fs::read_to_string(&file)?)? {
                let kind = object["kind"].as_str().unwrap_or_default().to_owned();
                if RIGHTS.contains(&kind.as_str()) {
                    if !kind.starts_with("Cluster") {
                        // As the kustomization does.
                        object["metadata"]["namespace"] = json!(SYSTEM_NAMESPACE);
                    }
                    self.cluster.apply_object(&object).await?;
                }
            }
        }
        Ok(())
    }
}

/// The YAML files in `deploy/kubernetes/`, by name.
fn shipped_manifests() -> Result<Vec<PathBuf>, Trouble> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
