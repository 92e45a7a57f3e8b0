//! From Kubernetes objects to plain values of the domain, checked on the way.
//!
//! A conversion stops at the first thing that cannot be meant and says where it is, what is wrong and how to mend it. What the
//! API server would fill in (a limit copied to a missing request) is filled in here, since manifests have not been there yet.

pub mod annotations;
mod host_ports;
mod label_syntax;
pub mod node;
mod node_affinity;
pub mod node_class;
pub mod node_overlay;
pub mod node_pool;
pub mod pod_spec;
pub mod requests;
pub mod storage;
pub mod topology;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use crate::domain::quantity::Quantity;

/// A field that cannot be meant as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path within the object that was converted, `containers[0].resources.requests.cpu`.
    pub field: String,
    /// What is wrong, with the value.
    pub problem: String,
    /// How to put it right.
    pub mend: String,
}

impl FieldError {
    /// An error at `field`; the empty path is the whole object.
    pub fn new(field: impl Into<String>, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into(), mend: mend.into() }
    }

    /// This error as seen from the object that holds the converted one at `path`.
    #[must_use]
    pub fn inside(mut self, path: &str) -> Self {
        let dot = if self.field.is_empty() || self.field.starts_with('[') { "" } else { "." };
        self.field = format!("{path}{dot}{}", self.field);
        self
    }
}

/// A path step for a map entry: `.cpu`, but `["nvidia.com/gpu"]` where the key has dots of its own.
fn entry(map: &str, key: &str) -> String {
    if key.contains(['.', '/']) { format!("{map}[\"{key}\"]") } else { format!("{map}.{key}") }
}

/// The quantity at `field`, which must not be negative; `field` is only called for an error.
fn amount(quantity: &ApiQuantity, field: impl FnOnce() -> String) -> Result<Quantity, FieldError> {
    let text = quantity.0.as_str();
    match Quantity::parse(text) {
        Ok(parsed) if parsed.is_negative() => {
            Err(FieldError::new(field(), format!("`{text}` is negative"), "write an amount of at least 0"))
        }
        Ok(parsed) => Ok(parsed),
        Err(_) => Err(FieldError::new(field(), format!("`{text}` is not a quantity"), quantity_mend(text))),
    }
}

/// What may have been meant: `2gb` is likely `2Gi`.
fn quantity_mend(text: &str) -> String {
    const RULE: &str = "write a number with an optional suffix: 500m, 2, 1.5Gi (m, k, M, G, T or Ki, Mi, Gi, Ti)";
    let compact: String = text.chars().filter(|c| !c.is_whitespace() && *c != '_').collect();
    let end = compact.bytes().position(|byte| byte.is_ascii_alphabetic()).unwrap_or(compact.len());
    let (number, suffix) = compact.split_at(end);
    let meant = match suffix.to_ascii_lowercase().as_str() {
        "" => "",
        "kb" | "ki" | "kib" => "Ki",
        "mb" | "mi" | "mib" => "Mi",
        "g" | "gb" | "gi" | "gib" => "Gi",
        "t" | "tb" | "ti" | "tib" => "Ti",
        _ => return RULE.to_owned(),
    };
    let guess = format!("{number}{meant}");
    if number.is_empty() || Quantity::parse(&guess).is_err() {
        RULE.to_owned()
    } else {
        format!("did you mean `{guess}`? {RULE}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_quantity_is_named_and_a_guess_is_made() {
        let error = amount(&ApiQuantity("2gb".to_owned()), || entry("requests", "nvidia.com/gpu")).expect_err("2gb is none");
        assert_eq!(error.field, "requests[\"nvidia.com/gpu\"]");
        assert!(error.mend.starts_with("did you mean `2Gi`?"), "{}", error.mend);
        assert!(quantity_mend("lots").starts_with("write a number"));
    }

    #[test]
    fn paths_nest() {
        let error = FieldError::new("[0].cpu", "p", "m").inside("containers").inside("spec");
        assert_eq!(error.field, "spec.containers[0].cpu");
    }
}
