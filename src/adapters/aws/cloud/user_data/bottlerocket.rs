//! Bottlerocket: settings in TOML. What the cluster needs takes the place of what the user says about the same; all else of the user's
//! stays.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use toml::Table;

use crate::adapters::aws::cloud::user_data::{Bootstrap, UserDataError, entries, text};
use crate::domain::taint::Taint;

/// The command that prepares local disks; the name sorts before the user's.
const MOUNT_LOCAL_DISKS: &str = "000-mount-instance-storage";
/// What goes on the local disks, where the image has to be told.
const DIRECTORIES: [&str; 3] = ["/var/lib/containerd", "/var/lib/kubelet", "/var/log/pods"];

pub(super) fn user_data(bootstrap: &Bootstrap<'_>) -> Result<String, UserDataError> {
    let unreadable = |what: &str| UserDataError::Unreadable(format!("`{what}` is not a table of TOML"));
    let mut all: Table = bootstrap
        .custom
        .unwrap_or_default()
        .parse()
        .map_err(|error: toml::de::Error| UserDataError::Unreadable(error.message().to_owned()))?;
    let settings = table(&mut all, "settings").ok_or_else(|| unreadable("settings"))?;
    let kubernetes = table(settings, "kubernetes").ok_or_else(|| unreadable("settings.kubernetes"))?;
    let labels = table(kubernetes, "node-labels").ok_or_else(|| unreadable("settings.kubernetes.node-labels"))?;
    for (key, value) in bootstrap.node_labels() {
        labels.insert(key, value.into());
    }
    kubernetes.insert("node-taints".to_owned(), taints(&bootstrap.node_taints()).into());
    kubernetes.extend(cluster(bootstrap));
    kubernetes.extend(kubelet(&bootstrap.kubelet_settings()));
    if bootstrap.raid0 {
        let commands = table(settings, "bootstrap-commands").ok_or_else(|| unreadable("settings.bootstrap-commands"))?;
        commands.insert(MOUNT_LOCAL_DISKS.to_owned(), mount_local_disks(bootstrap.names_directories).into());
    }
    toml::to_string(&all).map_err(|error| UserDataError::Unreadable(error.to_string()))
}

/// The table called `name` inside `of`, made where it is missing; `None` where something else has the name.
fn table<'a>(of: &'a mut Table, name: &str) -> Option<&'a mut Table> {
    of.entry(name).or_insert_with(|| Table::new().into()).as_table_mut()
}

fn cluster(bootstrap: &Bootstrap<'_>) -> Table {
    let facts = bootstrap.facts;
    let mut made = Table::new();
    made.insert("api-server".to_owned(), facts.endpoint.clone().into());
    made.insert("cluster-certificate".to_owned(), facts.ca_bundle.clone().into());
    made.insert("cluster-name".to_owned(), facts.name.clone().into());
    if let Some(dns) = bootstrap.dns() {
        made.insert("cluster-dns-ip".to_owned(), dns.into());
    }
    made
}

/// What of the kubelet's settings Bottlerocket knows, under its names and as it writes them.
fn kubelet(settings: &Map<String, Value>) -> Table {
    let mut made = Table::new();
    for (name, field) in [("max-pods", "maxPods"), ("eviction-max-pod-grace-period", "evictionMaxPodGracePeriod")] {
        if let Some(number) = settings.get(field).and_then(Value::as_i64) {
            made.insert(name.to_owned(), number.into());
        }
    }
    for (name, field) in [
        ("eviction-hard", "evictionHard"),
        ("eviction-soft", "evictionSoft"),
        ("eviction-soft-grace-period", "evictionSoftGracePeriod"),
        ("kube-reserved", "kubeReserved"),
        ("system-reserved", "systemReserved"),
    ] {
        let entries: Table = entries(settings, field).into_iter().map(|(key, value)| (key, value.into())).collect();
        if !entries.is_empty() {
            made.insert(name.to_owned(), entries.into());
        }
    }
    for (name, field) in [
        ("image-gc-high-threshold-percent", "imageGCHighThresholdPercent"),
        ("image-gc-low-threshold-percent", "imageGCLowThresholdPercent"),
    ] {
        if let Some(percent) = settings.get(field).and_then(text) {
            made.insert(name.to_owned(), percent.into());
        }
    }
    if let Some(enforced) = settings.get("cpuCFSQuota").and_then(Value::as_bool) {
        made.insert("cpu-cfs-quota-enforced".to_owned(), enforced.into());
    }
    made
}

/// By key `value:Effect` of each; the colon is there without a value too.
fn taints(taints: &[Taint]) -> Table {
    let mut by_key: BTreeMap<&str, Vec<toml::Value>> = BTreeMap::new();
    for taint in taints {
        by_key.entry(&taint.key).or_default().push(format!("{}:{}", taint.value, taint.effect.as_str()).into());
    }
    by_key.into_iter().map(|(key, values)| (key.to_owned(), values.into())).collect()
}

fn mount_local_disks(names_directories: bool) -> Table {
    let mut bind = vec!["apiclient", "ephemeral-storage", "bind"];
    if names_directories {
        bind.push("--dirs");
        bind.extend(DIRECTORIES);
    }
    let commands: Vec<toml::Value> = [vec!["apiclient", "ephemeral-storage", "init"], bind]
        .into_iter()
        .map(|words| words.into_iter().map(toml::Value::from).collect::<Vec<_>>().into())
        .collect();
    let mut made = Table::new();
    made.insert("commands".to_owned(), commands.into());
    made.insert("essential".to_owned(), true.into());
    made.insert("mode".to_owned(), "always".into());
    made
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::adapters::aws::cloud::user_data::tests::{bootstrap, facts};
    use crate::domain::node_class::AmiFamily;

    fn parsed(text: &str) -> Table {
        text.parse().expect("it is TOML")
    }

    #[test]
    fn the_cluster_wins_and_all_else_of_the_users_stays() {
        let facts = facts();
        let custom = concat!(
            "[settings.kernel]\nlockdown = 'integrity'\n[settings.kubernetes]\nmax-pods = 5\nunknown = true\n",
            "[settings.kubernetes.node-labels]\nmine = 'yes'\na = 'other'\n[settings.kubernetes.node-taints]\nmine = [':NoSchedule']\n",
        );
        let mut given = bootstrap(AmiFamily::Bottlerocket, &facts, Some(custom));
        let kubelet =
            json!({"evictionHard": {"memory.available": "5%"}, "imageGCHighThresholdPercent": 80, "cpuCFSQuota": false});
        given.kubelet = kubelet.as_object().expect("a map").clone();
        let expected = concat!(
            "[settings.kernel]\nlockdown = 'integrity'\n[settings.kubernetes]\napi-server = 'https://ABC.gr7.eu-west-1.eks.amazonaws.com'\n",
            "cluster-certificate = 'Y2VydGlmaWNhdGU='\ncluster-dns-ip = '172.20.0.10'\ncluster-name = 'demo'\nmax-pods = 29\nunknown = true\n",
            "image-gc-high-threshold-percent = '80'\ncpu-cfs-quota-enforced = false\n",
            "[settings.kubernetes.eviction-hard]\n'memory.available' = '5%'\n",
            "[settings.kubernetes.node-labels]\nmine = 'yes'\na = 'b'\n'karpenter.sh/capacity-type' = 'spot'\n",
            "'karpenter.sh/do-not-sync-taints' = 'true'\n'karpenter.sh/nodepool' = 'general'\n",
            "[settings.kubernetes.node-taints]\nteam = ['web:NoSchedule']\n'karpenter.sh/unregistered' = [':NoExecute']\n",
        );
        assert_eq!(parsed(&user_data(&given).expect("it can be made")), parsed(expected));
    }

    #[test]
    fn local_disks_are_prepared_first() {
        let facts = facts();
        let mut given = bootstrap(AmiFamily::Bottlerocket, &facts, None);
        given.raid0 = true;
        given.names_directories = true;
        let made = parsed(&user_data(&given).expect("it can be made"));
        let command = &made["settings"]["bootstrap-commands"][MOUNT_LOCAL_DISKS];
        let expected = concat!(
            "commands = [['apiclient', 'ephemeral-storage', 'init'], ['apiclient', 'ephemeral-storage', 'bind', '--dirs', ",
            "'/var/lib/containerd', '/var/lib/kubelet', '/var/log/pods']]\nessential = true\nmode = 'always'",
        );
        assert_eq!(command.as_table(), Some(&parsed(expected)));
    }

    #[test]
    fn what_is_no_toml_is_refused() {
        let facts = facts();
        for custom in ["#!/bin/bash\necho", "settings = 3", "[settings]\nkubernetes = 'x'"] {
            let made = user_data(&bootstrap(AmiFamily::Bottlerocket, &facts, Some(custom)));
            assert!(matches!(made, Err(UserDataError::Unreadable(_))), "{custom}");
        }
    }
}
