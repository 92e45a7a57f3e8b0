//! The control plane that nodes join.

use super::DiscoveryError;
use crate::adapters::aws::cloud::Cloud;

const ACTION: &str = "eks:DescribeCluster";

/// What EKS says about a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlane {
    /// `1.33`.
    pub version: String,
    /// Where the API server is, `https://...`.
    pub endpoint: String,
    /// The certificate of the API server's authority, as Base64.
    pub certificate_authority: Option<String>,
    /// The addresses of Services, IPv6 where the cluster is.
    pub service_cidr: Option<String>,
}

impl Cloud {
    /// The control plane of the cluster called `cluster`.
    ///
    /// # Errors
    /// When EKS cannot be asked, knows no such cluster, or is still making it.
    pub async fn control_plane(&self, cluster: &str) -> Result<ControlPlane, DiscoveryError> {
        let answer = self.eks.describe_cluster().name(cluster).send().await;
        let answer = answer.map_err(|error| DiscoveryError::from_sdk(&self.region, ACTION, &error))?;
        let lacks = |what: &str| DiscoveryError::empty(&self.region, ACTION, what);
        let found = answer.cluster().ok_or_else(|| lacks("cluster"))?;
        let network = found.kubernetes_network_config();
        let cidr = network.and_then(|network| network.service_ipv6_cidr().or(network.service_ipv4_cidr()));
        Ok(ControlPlane {
            version: found.version().ok_or_else(|| lacks("version"))?.to_owned(),
            endpoint: found.endpoint().ok_or_else(|| lacks("endpoint, the cluster is still being made"))?.to_owned(),
            certificate_authority: found.certificate_authority().and_then(|authority| authority.data()).map(str::to_owned),
            service_cidr: cidr.map(str::to_owned),
        })
    }
}
