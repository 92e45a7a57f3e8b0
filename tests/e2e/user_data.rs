//! What an instance does with its user data when it boots: who it takes itself for, and which labels and taints its kubelet registers.
//!
//! Written from the documentation of the images (nodeadm's NodeConfig, Bottlerocket's settings, the script of Amazon Linux 2), not from what
//! the controller writes: user data that a real instance could not use is an error here, and the instance never joins.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Taint;
use serde_json::{Map, Value, json};
use supercargo::adapters::kube::convert;
use supercargo::adapters::kube::crd::EC2NodeClass;
use supercargo::domain::node_class::NodeClass;

use crate::Trouble;

/// What a kubelet knows from its user data.
#[derive(Debug)]
pub(crate) struct Registration {
    /// Labels of its Node.
    pub(crate) labels: BTreeMap<String, String>,
    /// Taints of its Node.
    pub(crate) taints: Vec<Taint>,
    /// The cluster that it means to join: name and address of the API server.
    pub(crate) cluster: (String, String),
    /// Family and kubelet settings, on which its allocatable resources depend.
    pub(crate) node_class: NodeClass,
}

impl Registration {
    /// Reads user data as the image does that it is written for.
    ///
    /// # Errors
    /// When no image of any family could use it.
    pub(crate) fn read(user_data: &str) -> Result<Self, Trouble> {
        if user_data.starts_with("MIME-Version:") || user_data.starts_with("Content-Type:") {
            return multipart(user_data);
        }
        if let Ok(settings) = user_data.parse::<toml::Table>()
            && settings.contains_key("settings")
        {
            return bottlerocket(&serde_json::to_value(settings)?);
        }
        node_config(&serde_saphyr::from_str(user_data)?)
    }
}

/// Parts between boundaries: NodeConfigs, of which later ones win, or a script.
fn multipart(text: &str) -> Result<Registration, Trouble> {
    let (head, _) = text.split_once("\n\n").ok_or("the MIME document has no body")?;
    let boundary =
        head.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next()).ok_or("the MIME document has no boundary")?;
    let separator = format!("\n--{boundary}");
    let mut parts: Vec<&str> = text.split(&separator).skip(1).collect();
    if parts.pop().is_none_or(|last| last.trim() != "--") {
        return Err("the MIME document does not end with its boundary".into());
    }
    let (mut merged, mut script) = (Value::Null, None);
    for part in parts {
        let (head, body) = part.trim_start_matches('\n').split_once("\n\n").ok_or("a part of the MIME document has no body")?;
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        let content_type = fields.find(|(name, _)| name.eq_ignore_ascii_case("Content-Type")).map(|(_, value)| value.trim());
        match content_type.map(|value| value.split(';').next().unwrap_or(value)) {
            Some("application/node.eks.aws") => merge(&mut merged, serde_saphyr::from_str(body)?),
            Some("text/x-shellscript") if body.contains("/etc/eks/bootstrap.sh") => script = Some(body),
            _ => (),
        }
    }
    match script {
        Some(script) => amazon_linux_2(script),
        None => node_config(&merged),
    }
}

/// nodeadm's configuration (`node.eks.aws/v1alpha1`).
fn node_config(config: &Value) -> Result<Registration, Trouble> {
    if (config["apiVersion"].as_str(), config["kind"].as_str()) != (Some("node.eks.aws/v1alpha1"), Some("NodeConfig")) {
        return Err("the user data has no NodeConfig".into());
    }
    let cluster = |field: &str| -> Result<String, Trouble> {
        let value = config["spec"]["cluster"][field].as_str().filter(|value| !value.is_empty());
        Ok(value.ok_or_else(|| format!("spec.cluster.{field} of the NodeConfig is missing"))?.to_owned())
    };
    let (kubelet, mut settings) = (&config["spec"]["kubelet"], config["spec"]["kubelet"]["config"].clone());
    let taints = settings.as_object_mut().and_then(|settings| settings.remove("registerWithTaints")).unwrap_or(json!([]));
    let flags = kubelet["flags"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let labels =
        flags.filter_map(|flag| flag.strip_prefix("--node-labels=")).flat_map(|value| pairs(value.trim_matches('"'), '='));
    for field in ["certificateAuthority", "cidr"] {
        cluster(field)?;
    }
    Ok(Registration {
        labels: labels.collect(),
        taints: serde_json::from_value(taints)?,
        cluster: (cluster("name")?, cluster("apiServerEndpoint")?),
        node_class: node_class("AL2023", settings)?,
    })
}

/// The arguments of the script that Amazon Linux 2 boots with.
fn amazon_linux_2(script: &str) -> Result<Registration, Trouble> {
    let words = words(&script.replace("\\\n", " "));
    let at =
        words.iter().position(|word| word == "/etc/eks/bootstrap.sh").ok_or("the script does not run /etc/eks/bootstrap.sh")?;
    let argument = |name: &str| words.iter().skip_while(|word| *word != name).nth(1).cloned();
    let name = words.get(at + 1).cloned().ok_or("/etc/eks/bootstrap.sh has no cluster name")?;
    let endpoint = argument("--apiserver-endpoint").ok_or("/etc/eks/bootstrap.sh has no --apiserver-endpoint")?;
    let flags: BTreeMap<String, String> = self::words(&argument("--kubelet-extra-args").unwrap_or_default())
        .iter()
        .filter_map(|word| word.split_once('='))
        .map(|(flag, value)| (flag.to_owned(), value.to_owned()))
        .collect();
    let flag = |name: &str| flags.get(name).map_or("", String::as_str);
    let taints = pairs(flag("--register-with-taints"), ':').map(|(taint, effect)| {
        let (key, value) = taint.split_once('=').unwrap_or((&taint, ""));
        Taint { key: key.to_owned(), value: Some(value.to_owned()).filter(|value| !value.is_empty()), effect, time_added: None }
    });
    let mut settings = Map::new();
    for (flag, field) in [("--max-pods", "maxPods"), ("--pods-per-core", "podsPerCore")] {
        if let Some(value) = flags.get(flag) {
            settings.insert(field.to_owned(), json!(value.parse::<i32>()?));
        }
    }
    for (flag, field, between) in [
        ("--kube-reserved", "kubeReserved", '='),
        ("--system-reserved", "systemReserved", '='),
        ("--eviction-hard", "evictionHard", '<'),
    ] {
        if let Some(value) = flags.get(flag) {
            settings.insert(field.to_owned(), json!(pairs(value, between).collect::<BTreeMap<_, _>>()));
        }
    }
    Ok(Registration {
        labels: pairs(flag("--node-labels"), '=').collect(),
        taints: taints.collect(),
        cluster: (name, endpoint),
        node_class: node_class("AL2", settings.into())?,
    })
}

/// Bottlerocket's `settings.kubernetes`.
fn bottlerocket(document: &Value) -> Result<Registration, Trouble> {
    let kubernetes = &document["settings"]["kubernetes"];
    let text = |field: &str| -> Result<String, Trouble> {
        Ok(kubernetes[field].as_str().ok_or_else(|| format!("settings.kubernetes.{field} is missing"))?.to_owned())
    };
    text("cluster-certificate")?;
    let mut taints = Vec::new();
    for (key, values) in kubernetes["node-taints"].as_object().into_iter().flatten() {
        for taint in values.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let (value, effect) = taint.rsplit_once(':').ok_or_else(|| format!("{taint:?} is no taint of {key}"))?;
            let value = Some(value.to_owned()).filter(|value| !value.is_empty());
            taints.push(Taint { key: key.clone(), value, effect: effect.to_owned(), time_added: None });
        }
    }
    let mut settings = Map::new();
    for (field, name) in [
        ("max-pods", "maxPods"),
        ("kube-reserved", "kubeReserved"),
        ("system-reserved", "systemReserved"),
        ("eviction-hard", "evictionHard"),
    ] {
        if let Some(value) = kubernetes.get(field) {
            settings.insert(name.to_owned(), value.clone());
        }
    }
    let labels = kubernetes["node-labels"].as_object().into_iter().flatten();
    Ok(Registration {
        labels: labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect(),
        taints,
        cluster: (text("cluster-name")?, text("api-server")?),
        node_class: node_class("Bottlerocket", settings.into())?,
    })
}

/// A class of nodes that are configured so.
fn node_class(family: &str, kubelet: Value) -> Result<NodeClass, Trouble> {
    let kubelet = if kubelet.is_object() { kubelet } else { json!({}) };
    let class: EC2NodeClass = serde_json::from_value(json!({
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": "booted"},
        "spec": {
            "amiFamily": family,
            "amiSelectorTerms": [{"id": "ami-1"}],
            "subnetSelectorTerms": [{"id": "subnet-1"}],
            "securityGroupSelectorTerms": [{"id": "sg-1"}],
            "kubelet": kubelet,
        },
    }))?;
    Ok(convert::node_class::from_api("booted", &class).map_err(|error| format!("{error:?}"))?)
}

/// `a=1,b=2` as pairs; the last sign counts.
fn pairs(list: &str, between: char) -> impl Iterator<Item = (String, String)> {
    let split = move |pair: &str| pair.rsplit_once(between).map(|(key, value)| (key.to_owned(), value.to_owned()));
    list.split(',').filter_map(split).collect::<Vec<_>>().into_iter()
}

/// Splits a command as a shell does: quotes of either kind keep blanks together and go away.
fn words(command: &str) -> Vec<String> {
    let (mut found, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in command.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, _) if letter.is_whitespace() => found.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    found.extend(word);
    found
}

fn merge(into: &mut Value, later: Value) {
    match (into, later) {
        (Value::Object(into), Value::Object(later)) => {
            for (key, value) in later {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, later) => *into = later,
    }
}
