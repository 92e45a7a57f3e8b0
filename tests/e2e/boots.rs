//! Whether user data is read as real instances read it: the joiner must refuse what they could not use, and only that.

use std::collections::BTreeMap;

use crate::Outcome;
use crate::user_data::Registration;

const NODE_CONFIG: &str = "\
apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  cluster: {name: e2e, apiServerEndpoint: https://127.0.0.1:1, certificateAuthority: Y2E=, cidr: 10.0.0.0/16}
  kubelet:
    config:
      maxPods: 17
      systemReserved: {memory: 1Gi}
      registerWithTaints:
        - {key: karpenter.sh/unregistered, effect: NoExecute}
        - {key: team, value: web, effect: NoSchedule}
    flags: ['--node-labels=\"karpenter.sh/nodepool=general,a.b/c=d\"']
";

fn multipart(parts: &[(&str, &str)]) -> String {
    let parts: String = parts.iter().map(|(kind, body)| format!("--//\nContent-Type: {kind}\n\n{body}\n")).collect();
    format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"//\"\n\n{parts}--//--\n")
}

fn taints(registration: &Registration) -> Vec<String> {
    let text = |value: &Option<String>| value.as_deref().map(|value| format!("={value}")).unwrap_or_default();
    registration.taints.iter().map(|taint| format!("{}{}:{}", taint.key, text(&taint.value), taint.effect)).collect()
}

fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn later_node_configs_win() -> Outcome {
    let mine = NODE_CONFIG.replace("maxPods: 17", "maxPods: 5").replace("a.b/c=d", "a.b/c=mine");
    let text = multipart(&[
        ("application/node.eks.aws", &mine),
        ("text/x-shellscript; charset=\"us-ascii\"", "#!/bin/sh\necho mine"),
        ("application/node.eks.aws", NODE_CONFIG),
    ]);
    for text in [text.as_str(), NODE_CONFIG] {
        let registration = Registration::read(text)?;
        assert_eq!(registration.cluster, ("e2e".to_owned(), "https://127.0.0.1:1".to_owned()));
        assert_eq!(registration.labels, labels(&[("karpenter.sh/nodepool", "general"), ("a.b/c", "d")]));
        assert_eq!(taints(&registration), ["karpenter.sh/unregistered:NoExecute", "team=web:NoSchedule"]);
        assert_eq!(registration.node_class.kubelet.max_pods, Some(17));
        assert_eq!(registration.node_class.kubelet.system_reserved["memory"], 1 << 30);
    }
    Ok(())
}

pub(crate) fn a_script_of_amazon_linux_2_is_read() -> Outcome {
    let script = "#!/bin/bash -xe\n/etc/eks/bootstrap.sh 'e2e' --apiserver-endpoint 'https://127.0.0.1:1' --b64-cluster-ca 'Y2E=' \\\n\
        --use-max-pods false \\\n--kubelet-extra-args '--node-labels=\"a=b,c=d\" \
        --register-with-taints=\"team=web:NoSchedule,karpenter.sh/unregistered:NoExecute\" --max-pods=29 \
        --eviction-hard=\"memory.available<5%\"'\n";
    let registration = Registration::read(&multipart(&[("text/x-shellscript; charset=\"us-ascii\"", script)]))?;
    assert_eq!(registration.cluster, ("e2e".to_owned(), "https://127.0.0.1:1".to_owned()));
    assert_eq!(registration.labels, labels(&[("a", "b"), ("c", "d")]));
    assert_eq!(taints(&registration), ["team=web:NoSchedule", "karpenter.sh/unregistered:NoExecute"]);
    assert_eq!(registration.node_class.kubelet.max_pods, Some(29));
    assert!(registration.node_class.kubelet.eviction_hard.contains_key("memory.available"));
    Ok(())
}

pub(crate) fn settings_of_bottlerocket_are_read() -> Outcome {
    let settings = "[settings.kubernetes]\napi-server = 'https://127.0.0.1:1'\ncluster-certificate = 'Y2E='\ncluster-name = 'e2e'\n\
        max-pods = 29\n[settings.kubernetes.node-labels]\na = 'b'\n[settings.kubernetes.node-taints]\n\
        'karpenter.sh/unregistered' = [':NoExecute']\nteam = ['web:NoSchedule']\n";
    let registration = Registration::read(settings)?;
    assert_eq!(registration.labels, labels(&[("a", "b")]));
    assert_eq!(taints(&registration), ["karpenter.sh/unregistered:NoExecute", "team=web:NoSchedule"]);
    assert_eq!(registration.node_class.kubelet.max_pods, Some(29));
    Ok(())
}

pub(crate) fn what_no_image_could_use_is_an_error() -> Outcome {
    let whole = multipart(&[("application/node.eks.aws", NODE_CONFIG)]);
    let cases = [
        (NODE_CONFIG.replace("cidr: 10.0.0.0/16", "cidr: ''"), "spec.cluster.cidr of the NodeConfig is missing"),
        (NODE_CONFIG.replace("v1alpha1", "v9"), "no NodeConfig"),
        (whole.replace("--//--\n", ""), "does not end with its boundary"),
        (whole.replace("application/node.eks.aws", "text/cloud-config"), "no NodeConfig"),
        ("#!/bin/sh\necho hello".to_owned(), ""),
        ("[settings.kubernetes]\ncluster-name = 'e2e'\n".to_owned(), "cluster-certificate is missing"),
    ];
    for (text, expected) in cases {
        let error = Registration::read(&text).err().ok_or_else(|| format!("it was read:\n{text}"))?;
        assert!(error.to_string().contains(expected), "{error}");
    }
    Ok(())
}
