//! What a node has to know of the cluster that it joins.

use std::net::IpAddr;

/// The cluster as its nodes see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFacts {
    /// Its name in EKS.
    pub name: String,
    /// Where its API server is, `https://...`.
    pub endpoint: String,
    /// The certificate of its authority, PEM in base64.
    pub ca_bundle: String,
    /// Addresses of its services, `172.20.0.0/16`; `None` where nobody could say.
    pub service_cidr: Option<String>,
    /// The address of its DNS service; an IPv6 address makes it a cluster of IPv6.
    pub dns_ip: Option<IpAddr>,
    /// Version of its control plane, `1.36`.
    pub kubernetes_version: String,
}

impl ClusterFacts {
    /// Whether pods and services have IPv6 addresses.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        self.dns_ip.is_some_and(|address| address.is_ipv6())
    }
}
