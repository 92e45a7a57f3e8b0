//! Amazon Linux 2023: a NodeConfig for nodeadm, after the parts of the user, since later ones win there.

use serde_json::{Map, Value, json};

use crate::adapters::aws::cloud::user_data::mime::{self, Part, SHELL_SCRIPT};
use crate::adapters::aws::cloud::user_data::{Bootstrap, UserDataError};
use crate::domain::taint::Taint;

/// How a NodeConfig is marked.
const NODE_CONFIG: &str = "application/node.eks.aws";

pub(super) fn user_data(bootstrap: &Bootstrap<'_>) -> Result<String, UserDataError> {
    let mut parts = bootstrap.custom.map_or_else(|| Ok(Vec::new()), custom_parts)?;
    parts.push(Part::new(NODE_CONFIG, &node_config(bootstrap)?));
    Ok(mime::join(&parts))
}

/// Several parts, a NodeConfig, or else a script.
fn custom_parts(custom: &str) -> Result<Vec<Part>, UserDataError> {
    if mime::is_multipart(custom) {
        return mime::split(custom).map_err(UserDataError::Unreadable);
    }
    let is_map = serde_saphyr::from_str::<Map<String, Value>>(custom).is_ok();
    let content_type = if is_map { NODE_CONFIG } else { SHELL_SCRIPT };
    Ok(if custom.trim().is_empty() { Vec::new() } else { vec![Part::new(content_type, custom)] })
}

fn node_config(bootstrap: &Bootstrap<'_>) -> Result<String, UserDataError> {
    let facts = bootstrap.facts;
    let cidr = facts.service_cidr.as_ref().ok_or(UserDataError::NoServiceCidr)?;
    let mut kubelet = bootstrap.kubelet_settings();
    let taints: Vec<Value> = bootstrap.node_taints().iter().map(taint).collect();
    kubelet.insert("registerWithTaints".to_owned(), Value::Array(taints));
    let labels: Vec<String> = bootstrap.node_labels().iter().map(|(key, value)| format!("{key}={value}")).collect();
    let local_storage = if bootstrap.raid0 { json!({"strategy": "RAID0"}) } else { json!({}) };
    let config = json!({
        "apiVersion": "node.eks.aws/v1alpha1",
        "kind": "NodeConfig",
        "metadata": {},
        "spec": {
            "cluster": {
                "apiServerEndpoint": facts.endpoint,
                "certificateAuthority": facts.ca_bundle,
                "cidr": cidr,
                "name": facts.name,
            },
            "containerd": {},
            "instance": {"localStorage": local_storage},
            "kubelet": {"config": kubelet, "flags": [format!("--node-labels=\"{}\"", labels.join(","))]},
        },
    });
    let yaml = serde_saphyr::to_string(&config).map_err(|error| UserDataError::Unreadable(error.to_string()))?;
    Ok(format!("# Karpenter Generated NodeConfig\n{yaml}"))
}

fn taint(taint: &Taint) -> Value {
    let mut made = json!({"effect": taint.effect.as_str(), "key": taint.key});
    if !taint.value.is_empty() {
        made["value"] = json!(taint.value);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::aws::cloud::user_data::tests::{bootstrap, facts};
    use crate::domain::node_class::AmiFamily;

    /// The NodeConfig in the last part.
    fn last_config(text: &str) -> Value {
        let (_, after) = text.rsplit_once("Content-Type: application/node.eks.aws\n\n").expect("it has one");
        serde_saphyr::from_str(after.strip_suffix("\n--//--\n").expect("it is the last part")).expect("it is YAML")
    }

    #[test]
    fn a_node_config_says_how_to_join() {
        let facts = facts();
        let mut given = bootstrap(AmiFamily::Al2023, &facts, None);
        given.raid0 = true;
        given.kubelet = json!({"maxPods": 5, "kubeReserved": {"cpu": "100m"}}).as_object().expect("a map").clone();
        let config = last_config(&user_data(&given).expect("it can be made"));
        let cluster = json!({"apiServerEndpoint": facts.endpoint, "certificateAuthority": facts.ca_bundle,
            "cidr": "172.20.0.0/16", "name": "demo"});
        assert_eq!(config["spec"]["cluster"], cluster);
        assert_eq!(config["spec"]["instance"]["localStorage"]["strategy"], "RAID0");
        let kubelet = json!({"clusterDNS": ["172.20.0.10"], "kubeReserved": {"cpu": "100m"}, "maxPods": 29, "registerWithTaints": [
            {"effect": "NoSchedule", "key": "team", "value": "web"},
            {"effect": "NoExecute", "key": "karpenter.sh/unregistered"}]});
        assert_eq!(config["spec"]["kubelet"]["config"], kubelet);
        let flags = r#"--node-labels="a=b,karpenter.sh/capacity-type=spot,karpenter.sh/do-not-sync-taints=true,karpenter.sh/nodepool=general""#;
        assert_eq!(config["spec"]["kubelet"]["flags"], json!([flags]));
    }

    #[test]
    fn the_users_parts_come_first() {
        let facts = facts();
        let headers = |custom: &str| {
            let text = user_data(&bootstrap(AmiFamily::Al2023, &facts, Some(custom))).expect("it can be made");
            text.lines().filter(|line| line.starts_with("Content-Type: ")).skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        let (shell, config) = (format!("Content-Type: {SHELL_SCRIPT}"), format!("Content-Type: {NODE_CONFIG}"));
        assert_eq!(headers("#!/bin/bash\necho a\n"), [shell.clone(), config.clone()]);
        assert_eq!(headers("kind: NodeConfig\nspec: {}\n"), [config.clone(), config.clone()]);
        let several = mime::join(&[Part::new(NODE_CONFIG, "spec: {}"), Part::new(SHELL_SCRIPT, "echo a")]);
        assert_eq!(headers(&several), [config.clone(), shell, config.clone()]);
        assert_eq!(headers(" \n"), [config]);
    }

    #[test]
    fn what_cannot_be_made_is_said() {
        let mut facts = facts();
        facts.service_cidr = None;
        assert_eq!(user_data(&bootstrap(AmiFamily::Al2023, &facts, None)), Err(UserDataError::NoServiceCidr));
        let broken = bootstrap(AmiFamily::Al2023, &facts, Some("MIME-Version: 1.0\n\n"));
        assert!(matches!(user_data(&broken), Err(UserDataError::Unreadable(_))));
    }
}
