//! Rules about where pods stand to one another, and what pods share on a node: topology spread, pod affinity and anti-affinity,
//! host ports.
//!
//! A *domain* of a topology key is the set of nodes with one value of that label; under `kubernetes.io/hostname` every node is a
//! domain of its own.

use std::fmt;

use crate::domain::requirement::Requirements;
use crate::domain::selector::PodSelector;

/// `topologySpreadConstraints`: how evenly the selected pods stand over the domains.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopologySpread {
    /// Label whose values are the domains.
    pub topology_key: String,
    /// By how many pods a domain may exceed the least filled one; at least 1.
    pub max_skew: u32,
    /// With fewer domains than this the least filled one counts as empty; at least 1.
    pub min_domains: u32,
    /// The pods that count, in the pod's own namespace; values of `matchLabelKeys` are in it.
    pub selector: PodSelector,
    /// `nodeAffinityPolicy: Honor`: only nodes that the pod's nodeSelector and node affinity admit are domains.
    pub honors_affinity: bool,
    /// `nodeTaintsPolicy: Honor`: only nodes whose taints the pod tolerates are domains.
    pub honors_taints: bool,
    /// `DoNotSchedule`; otherwise a preference (`ScheduleAnyway`).
    pub required: bool,
}

/// A term of pod affinity or anti-affinity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodAffinityTerm {
    /// Label whose values are the domains.
    pub topology_key: String,
    /// The pods to be near to, or apart from; values of `matchLabelKeys` and `mismatchLabelKeys` are in it.
    pub selector: PodSelector,
}

/// What a preference is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wish {
    /// A node that meets these requirements.
    Node(Requirements),
    /// A domain with a selected pod.
    Near(PodAffinityTerm),
    /// A domain without a selected pod.
    Apart(PodAffinityTerm),
}

/// A preferred term with its weight.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Preference {
    /// 1 to 100.
    pub weight: i32,
    /// What is preferred.
    pub wish: Wish,
}

/// A port of the node that a pod takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// Address; `0.0.0.0` and `::` are every address.
    pub ip: String,
    /// Number.
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

impl HostPort {
    /// Whether both cannot be taken on one node: port and protocol are equal, and the addresses are equal or one is every address.
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        let any = |ip: &str| matches!(ip, "0.0.0.0" | "::");
        self.port == other.port && self.protocol == other.protocol && (self.ip == other.ip || any(&self.ip) || any(&other.ip))
    }
}

impl fmt::Display for HostPort {
    /// `8080/TCP`, `127.0.0.1:8080/TCP`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ip == "0.0.0.0" {
            write!(f, "{}/{}", self.port, self.protocol)
        } else {
            write!(f, "{}:{}/{}", self.ip, self.port, self.protocol)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_conflict_as_the_scheduler_says() {
        let port = |ip: &str, port, protocol: &str| HostPort { ip: ip.to_owned(), port, protocol: protocol.to_owned() };
        let all = port("0.0.0.0", 80, "TCP");
        assert!(all.conflicts(&port("10.0.0.1", 80, "TCP")));
        assert!(port("10.0.0.1", 80, "TCP").conflicts(&port("::", 80, "TCP")));
        assert!(!port("10.0.0.1", 80, "TCP").conflicts(&port("10.0.0.2", 80, "TCP")));
        assert!(!all.conflicts(&port("0.0.0.0", 81, "TCP")));
        assert!(!all.conflicts(&port("0.0.0.0", 80, "UDP")));
    }
}
