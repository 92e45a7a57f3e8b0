//! Amazon Linux 2: a shell script that runs the image's own, after the parts of the user.

use std::net::IpAddr;

use crate::adapters::aws::cloud::user_data::kubelet_flags;
use crate::adapters::aws::cloud::user_data::mime::{self, Part, SHELL_SCRIPT};
use crate::adapters::aws::cloud::user_data::{Bootstrap, UserDataError};

pub(super) fn user_data(bootstrap: &Bootstrap<'_>) -> Result<String, UserDataError> {
    let mut parts = match bootstrap.custom {
        Some(custom) if mime::is_multipart(custom) => mime::split(custom).map_err(UserDataError::Unreadable)?,
        Some(custom) if !custom.trim().is_empty() => vec![Part::new(SHELL_SCRIPT, custom)],
        _ => Vec::new(),
    };
    parts.push(Part::new(SHELL_SCRIPT, &script(bootstrap)));
    Ok(mime::join(&parts))
}

fn script(bootstrap: &Bootstrap<'_>) -> String {
    let facts = bootstrap.facts;
    let first = format!(
        "/etc/eks/bootstrap.sh '{}' --apiserver-endpoint '{}' --b64-cluster-ca '{}'",
        facts.name, facts.endpoint, facts.ca_bundle
    );
    let mut lines = vec![first];
    if let Some(dns) = bootstrap.dns() {
        if dns.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) {
            lines.push("--ip-family ipv6".to_owned());
        }
        lines.push(format!("--dns-cluster-ip '{dns}'"));
    }
    lines.push("--use-max-pods false".to_owned());
    lines.push(format!("--kubelet-extra-args '{}'", kubelet_flags::arguments(bootstrap)));
    if bootstrap.raid0 {
        lines.push("--local-disks raid0".to_owned());
    }
    let logged = "exec > >(tee /var/log/user-data.log|logger -t user-data -s 2>/dev/console) 2>&1";
    format!("#!/bin/bash -xe\n{logged}\n{}", lines.join(" \\\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::adapters::aws::cloud::user_data::tests::{bootstrap, facts};
    use crate::domain::node_class::AmiFamily;

    #[test]
    fn the_script_follows_the_users() {
        let facts = facts();
        let mut given = bootstrap(AmiFamily::Al2, &facts, Some("#!/bin/sh\necho mine"));
        given.raid0 = true;
        let kubelet = json!({"podsPerCore": 4, "systemReserved": {"memory": "1Gi", "cpu": "100m"},
            "evictionHard": {"memory.available": "5%"}, "imageGCHighThresholdPercent": 80, "cpuCFSQuota": false});
        given.kubelet = kubelet.as_object().expect("a map").clone();
        let text = user_data(&given).expect("it can be made");
        let (mine, ours) = text.split_once("echo mine\n--//\n").expect("the user's part is first");
        assert!(mine.contains("#!/bin/sh"));
        let expected = concat!(
            "/etc/eks/bootstrap.sh 'demo' --apiserver-endpoint 'https://ABC.gr7.eu-west-1.eks.amazonaws.com' ",
            "--b64-cluster-ca 'Y2VydGlmaWNhdGU=' \\\n--dns-cluster-ip '172.20.0.10' \\\n--use-max-pods false \\\n",
            "--kubelet-extra-args '--node-labels=\"a=b,karpenter.sh/capacity-type=spot,karpenter.sh/do-not-sync-taints=true,",
            "karpenter.sh/nodepool=general\" --register-with-taints=\"team=web:NoSchedule,karpenter.sh/unregistered:NoExecute\" ",
            "--max-pods=29 --pods-per-core=4 --system-reserved=\"cpu=100m,memory=1Gi\" --eviction-hard=\"memory.available<5%\" ",
            "--image-gc-high-threshold=80 --cpu-cfs-quota=false' \\\n--local-disks raid0\n--//--\n",
        );
        assert!(ours.ends_with(expected), "{ours}");
    }

    #[test]
    fn a_cluster_of_ipv6_is_told_from_its_dns() {
        let mut facts = facts();
        facts.dns_ip = Some("fd00::a".parse().expect("an address"));
        let text = user_data(&bootstrap(AmiFamily::Al2, &facts, None)).expect("it can be made");
        assert!(text.contains("--ip-family ipv6 \\\n--dns-cluster-ip 'fd00::a' \\\n"), "{text}");
    }
}
