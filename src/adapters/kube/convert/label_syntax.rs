//! What may be a label key or value, and which keys a NodePool may not touch (Karpenter core v1.15.0,
//! `pkg/apis/v1/labels.go`; syntax from `k8s.io/apimachinery/pkg/util/validation`).

use crate::domain::labels;

/// Whether `key` is `name` or `prefix/name`: the name at most 63 letters, digits, `-`, `_` and `.` that begins and ends with a
/// letter or digit, the prefix a lower-case DNS subdomain of at most 253.
pub(super) fn is_qualified_name(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_name(name),
        None => is_name(key),
    }
}

/// Whether `value` is empty or has the syntax of a name.
pub(super) fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_name(value)
}

fn is_name(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_subdomain(text: &str) -> bool {
    let part = |part: &str| {
        let alphanumeric = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let bytes = part.as_bytes();
        alphanumeric(bytes.first())
            && alphanumeric(bytes.last())
            && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

/// Why a NodePool may not set or require the label `key`; `None` when it may.
pub(super) fn restriction(key: &str) -> Option<&'static str> {
    if key == labels::HOSTNAME {
        return Some("`kubernetes.io/hostname` is different on every node");
    }
    if key == labels::NODE_POOL {
        return Some("`karpenter.sh/nodepool` is set to the NodePool's own name");
    }
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let within = |parent: &str| domain == parent || domain.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'));
    // The rule of the CRD is `endsWith`, which also catches `foo-karpenter.sh`.
    if domain.ends_with(labels::KARPENTER_DOMAIN) && key != labels::CAPACITY_TYPE {
        return Some("labels of `karpenter.sh` are reserved, all but `karpenter.sh/capacity-type`");
    }
    if within(labels::AWS_DOMAIN) && !labels::is_aws_label(key) {
        return Some("`karpenter.k8s.aws` has no such label");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_syntax_of_kubernetes() {
        for good in ["a", "a/b", "example.com/team", "A-b_c.d", "x1/9"] {
            assert!(is_qualified_name(good), "{good}");
        }
        for bad in ["", "/", "a/", "/a", "a/b/c", "-a", "a-", "A.com/x", "a b", "ä", &"x".repeat(64)] {
            assert!(!is_qualified_name(bad), "{bad}");
        }
        assert!(is_label_value("") && is_label_value("us-east-1a") && !is_label_value("a/b"));
    }

    #[test]
    fn reserved_labels_are_refused() {
        for key in ["karpenter.sh/nodepool", "karpenter.sh/registered", "x.karpenter.sh/a", "karpenter.k8s.aws/instance-colour"] {
            assert!(restriction(key).is_some(), "{key}");
        }
        for key in ["karpenter.sh/capacity-type", "karpenter.k8s.aws/instance-family", "kubernetes.io/arch", "team", "a.io/b"] {
            assert_eq!(restriction(key), None, "{key}");
        }
    }
}
