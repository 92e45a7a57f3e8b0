//! Ports of the node that a pod takes.
//!
//! As kube-scheduler counts them: those of containers and of init containers that keep running. On the host's network every
//! container port is a port of the host, as the API server fills in.

use k8s_openapi::api::core::v1::{Container, PodSpec as ApiPodSpec};

use crate::adapters::kube::convert::FieldError;
use crate::domain::topology::HostPort;

/// The ports of `spec`, sorted, each once.
pub(super) fn host_ports(spec: &ApiPodSpec) -> Result<Vec<HostPort>, FieldError> {
    let on_host = spec.host_network == Some(true);
    let mut made = Vec::new();
    let init = spec.init_containers.as_deref().unwrap_or_default();
    let keeps_running = |container: &Container| container.restart_policy.as_deref() == Some("Always");
    let containers = spec.containers.iter().enumerate().map(|(at, container)| ("containers", at, container));
    let sidecars = init.iter().enumerate().filter(|(_, container)| keeps_running(container));
    for (list, at, container) in containers.chain(sidecars.map(|(at, container)| ("initContainers", at, container))) {
        for (index, port) in container.ports.iter().flatten().enumerate() {
            let number = port.host_port.filter(|number| *number != 0).or_else(|| on_host.then_some(port.container_port));
            let Some(number) = number else { continue };
            let path = |field: &str| format!("{list}[{at}].ports[{index}].{field}");
            let valid = u16::try_from(number).ok().filter(|number| *number > 0);
            let port_number = valid.ok_or_else(|| {
                FieldError::new(path("hostPort"), format!("{number} is not a port"), "write a number from 1 to 65535")
            })?;
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
            if !matches!(protocol.as_str(), "TCP" | "UDP" | "SCTP") {
                let problem = format!("unknown protocol `{protocol}`");
                return Err(FieldError::new(path("protocol"), problem, "use TCP, UDP or SCTP"));
            }
            let ip = port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
            made.push(HostPort { ip, port: port_number, protocol });
        }
    }
    made.sort();
    made.dedup();
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(spec: serde_json::Value) -> Result<Vec<String>, FieldError> {
        let spec = serde_json::from_value(spec).expect("the pod of this test is one");
        host_ports(&spec).map(|ports| ports.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn ports_of_the_host_are_found() {
        let container = serde_json::json!({"name": "c", "ports": [
            {"containerPort": 80}, {"containerPort": 81, "hostPort": 8081, "protocol": "UDP", "hostIP": "10.0.0.1"}]});
        let sidecar =
            serde_json::json!({"name": "s", "restartPolicy": "Always", "ports": [{"containerPort": 90, "hostPort": 90}]});
        let init = serde_json::json!({"name": "i", "ports": [{"containerPort": 91, "hostPort": 91}]});
        let mut spec = serde_json::json!({"containers": [container], "initContainers": [sidecar, init]});
        assert_eq!(ports(spec.clone()).expect("valid"), ["90/TCP", "10.0.0.1:8081/UDP"]);
        spec["hostNetwork"] = true.into();
        assert_eq!(ports(spec).expect("valid"), ["80/TCP", "90/TCP", "10.0.0.1:8081/UDP"]);
    }

    #[test]
    fn a_number_out_of_range_is_an_error() {
        let container = serde_json::json!({"name": "c", "ports": [{"containerPort": 80, "hostPort": 70000}]});
        let error = ports(serde_json::json!({"containers": [container]})).expect_err("malformed");
        assert_eq!(error.field, "containers[0].ports[0].hostPort");
    }
}
