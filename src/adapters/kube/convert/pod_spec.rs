//! From a pod's spec to what it asks of a node.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PodSpec as ApiPodSpec, Toleration as ApiToleration};

use crate::adapters::kube::convert::FieldError;
use crate::adapters::kube::convert::annotations::PodAnnotations;
use crate::adapters::kube::convert::host_ports::host_ports;
use crate::adapters::kube::convert::node_affinity::{node_alternatives, preferences};
use crate::adapters::kube::convert::requests::effective_requests;
use crate::adapters::kube::convert::topology;
use crate::adapters::kube::convert::topology::{Namespaces, Purpose, TermTemplate};
use crate::domain::pod::{PodSpec, UnmodelledRule};
use crate::domain::selector::Labels;
use crate::domain::taint::{Effect, Toleration};

/// Where the priority of a pod comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PrioritySource {
    /// `spec.priority`, which admission has set.
    Value(i32),
    /// `spec.priorityClassName`.
    Class(String),
    /// The PriorityClass that is the cluster's default, or 0.
    Default,
}

/// What a pod asks for, before the input is known whole: PriorityClasses and Namespaces may come later in it than pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodTemplate {
    /// Everything but the priority, which is 0 here, the terms between pods, and what the workload asks of them together.
    pub spec: PodSpec,
    /// Labels of the pod.
    pub labels: Arc<Labels>,
    /// Where to find the priority.
    pub priority: PrioritySource,
    /// Pod affinities and anti-affinities, required and preferred.
    pub terms: Vec<TermTemplate>,
    /// What annotations add.
    pub annotations: PodAnnotations,
}

impl PodTemplate {
    /// The spec of a pod with this priority, in a cluster with these namespaces.
    #[must_use]
    pub fn resolve(&self, priority: i32, namespaces: &Namespaces) -> PodSpec {
        let of = |purpose: Purpose| self.terms.iter().filter(move |term| term.purpose == purpose);
        let mut spec = self.spec.clone();
        spec.priority = priority;
        spec.near = of(Purpose::Near).map(|term| term.resolve(namespaces)).collect();
        spec.apart = of(Purpose::Apart).map(|term| term.resolve(namespaces)).collect();
        spec.preferences.extend(self.terms.iter().filter_map(|term| term.preference(namespaces)));
        spec
    }
}

/// Converts `spec` of a pod in `namespace` with these labels and annotations.
///
/// # Errors
/// When a quantity, an operator, a toleration or a rule between pods is malformed; the field is relative to the spec.
pub fn from_api(
    spec: &ApiPodSpec,
    namespace: &str,
    labels: Labels,
    annotations: PodAnnotations,
) -> Result<PodTemplate, FieldError> {
    let priority = match (spec.priority, &spec.priority_class_name) {
        (Some(value), _) => PrioritySource::Value(value),
        (None, Some(class)) if !class.is_empty() => PrioritySource::Class(class.clone()),
        _ => PrioritySource::Default,
    };
    let mut tolerations = Vec::new();
    for (index, toleration) in spec.tolerations.iter().flatten().enumerate() {
        tolerations.push(self::toleration(toleration).map_err(|error| error.inside(&format!("tolerations[{index}]")))?);
    }
    // Their order means nothing, and pods that differ in nothing else are one class.
    tolerations.sort();
    tolerations.dedup();
    let terms = topology::terms(spec, namespace, &labels)?;
    let spec = PodSpec {
        requests: effective_requests(spec)?,
        node_alternatives: node_alternatives(spec)?,
        tolerations,
        priority: 0,
        spreads: topology::spreads(spec, namespace, &labels)?,
        near: Vec::new(),
        apart: Vec::new(),
        preferences: preferences(spec)?,
        host_ports: host_ports(spec)?,
        volumes: Vec::new(),
        unmodelled: unmodelled(spec),
        workload_rules: None,
        atomic_group: annotations.atomic_group.as_ref().map(|group| format!("{namespace}/{group}")),
    };
    Ok(PodTemplate { spec, labels: Arc::new(labels), priority, terms, annotations })
}

fn toleration(toleration: &ApiToleration) -> Result<Toleration, FieldError> {
    let key = toleration.key.clone().filter(|key| !key.is_empty());
    let value = toleration.value.clone().unwrap_or_default();
    let value = match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" if key.is_none() => {
            let mend = "name the taint's key, or write `operator: Exists` to tolerate every taint";
            return Err(FieldError::new("key", "a toleration without a key must have the operator `Exists`", mend));
        }
        "" | "Equal" => Some(value),
        "Exists" if !value.is_empty() => {
            let mend = "remove the value, or use the operator `Equal`";
            return Err(FieldError::new("value", format!("the operator `Exists` takes no value, not `{value}`"), mend));
        }
        "Exists" => None,
        other => return Err(FieldError::new("operator", format!("unknown operator `{other}`"), "use Equal or Exists")),
    };
    let effect = match toleration.effect.as_deref().unwrap_or_default() {
        "" => None,
        text => Some(Effect::parse(text).ok_or_else(|| unknown_effect(text))?),
    };
    Ok(Toleration { key, value, effect })
}

/// The error for an effect that is none.
pub(super) fn unknown_effect(text: &str) -> FieldError {
    FieldError::new("effect", format!("unknown effect `{text}`"), "use NoSchedule, PreferNoSchedule or NoExecute")
}

/// The rules of `spec` that the program does not contain.
fn unmodelled(spec: &ApiPodSpec) -> Vec<UnmodelledRule> {
    let mut rules = Vec::new();
    let mut note = |rule, present: bool| {
        if present {
            rules.push(rule);
        }
    };
    let some = |count: Option<usize>| count.is_some_and(|count| count > 0);
    let names_disk =
        spec.volumes.iter().flatten().any(|of| of.aws_elastic_block_store.is_some() || of.gce_persistent_disk.is_some());
    note(UnmodelledRule::Volume, names_disk);
    note(UnmodelledRule::ResourceClaim, some(spec.resource_claims.as_ref().map(Vec::len)));
    rules.sort();
    rules.dedup();
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::taint::Taint;

    fn convert(spec: serde_json::Value) -> Result<PodTemplate, FieldError> {
        from_api(
            &serde_json::from_value(spec).expect("the pod of this test is one"),
            "shop",
            Labels::new(),
            PodAnnotations::default(),
        )
    }

    #[test]
    fn tolerations_mean_what_kubernetes_means() {
        let tolerates = |toleration: serde_json::Value, key: &str, value: &str, effect: Effect| {
            let spec = convert(serde_json::json!({"containers": [], "tolerations": [toleration]})).expect("valid").spec;
            spec.tolerations[0].tolerates(&Taint { key: key.to_owned(), value: value.to_owned(), effect })
        };
        let equal = serde_json::json!({"key": "gpu", "value": "yes"});
        assert!(tolerates(equal.clone(), "gpu", "yes", Effect::NoExecute));
        assert!(!tolerates(equal, "gpu", "", Effect::NoExecute));
        let any = serde_json::json!({"operator": "Exists", "effect": "NoSchedule"});
        assert!(tolerates(any.clone(), "whatever", "x", Effect::NoSchedule));
        assert!(!tolerates(any, "whatever", "x", Effect::NoExecute));
    }

    #[test]
    fn malformed_tolerations_are_errors() {
        for (toleration, field) in [
            (serde_json::json!({"value": "x"}), "tolerations[0].key"),
            (serde_json::json!({"key": "a", "operator": "Exists", "value": "x"}), "tolerations[0].value"),
            (serde_json::json!({"key": "a", "operator": "exists"}), "tolerations[0].operator"),
            (serde_json::json!({"key": "a", "effect": "Never"}), "tolerations[0].effect"),
        ] {
            let error = convert(serde_json::json!({"containers": [], "tolerations": [toleration]})).expect_err("malformed");
            assert_eq!(error.field, field);
        }
    }

    #[test]
    fn rules_outside_the_program_are_noted_once() {
        let term = serde_json::json!({"topologyKey": "kubernetes.io/hostname"});
        let spec = serde_json::json!({
            "containers": [{"name": "c"}],
            "volumes": [{"name": "a", "awsElasticBlockStore": {"volumeID": "vol-1"}}, {"name": "b", "emptyDir": {}}],
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway"}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term],
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]}},
        });
        let found = convert(spec).expect("valid").spec.unmodelled;
        assert_eq!(found, [UnmodelledRule::Volume]);
    }

    #[test]
    fn a_priority_that_is_set_wins_over_its_class() {
        let source = |spec| convert(spec).expect("valid").priority;
        assert_eq!(
            source(serde_json::json!({"containers": [], "priority": 7, "priorityClassName": "x"})),
            PrioritySource::Value(7)
        );
        assert_eq!(
            source(serde_json::json!({"containers": [], "priorityClassName": "x"})),
            PrioritySource::Class("x".to_owned())
        );
        assert_eq!(source(serde_json::json!({"containers": []})), PrioritySource::Default);
    }
}
