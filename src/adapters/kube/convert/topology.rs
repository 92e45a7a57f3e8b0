//! Rules between pods: topology spread constraints, pod affinity and anti-affinity, required and preferred.
//!
//! What the API server's admission does is done here, since manifests have not been there yet: values of `matchLabelKeys` become
//! expressions of the selector, defaults are filled in. A `namespaceSelector` is kept as it is until all Namespaces are known.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    PodAffinityTerm as ApiTerm, PodSpec as ApiPodSpec, TopologySpreadConstraint, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector as ApiSelector;

use crate::adapters::kube::convert::FieldError;
use crate::domain::labels;
use crate::domain::selector::{LabelSelector, Labels, Match, PodSelector};
use crate::domain::topology::{PodAffinityTerm, Preference, TopologySpread, Wish};

/// The namespaces of the input with their labels.
pub type Namespaces = BTreeMap<String, Labels>;

/// What a term of pod affinity or anti-affinity is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Required affinity.
    Near,
    /// Required anti-affinity.
    Apart,
    /// Preferred affinity of that weight.
    PreferNear(i32),
    /// Preferred anti-affinity of that weight.
    PreferApart(i32),
}

/// A term whose namespaces are not resolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TermTemplate {
    /// What it is for.
    pub purpose: Purpose,
    topology_key: String,
    labels: Option<LabelSelector>,
    /// Listed namespaces; the pod's own where neither a list nor a selector is given.
    namespaces: BTreeSet<String>,
    namespace_selector: Option<LabelSelector>,
}

impl TermTemplate {
    /// The term with the namespaces that it stands for; a namespace that is not in the input has only its name for a label.
    #[must_use]
    pub fn resolve(&self, known: &Namespaces) -> PodAffinityTerm {
        let everywhere = self.namespace_selector.as_ref().is_some_and(|selector| *selector == LabelSelector::everything());
        let namespaces = (!everywhere).then(|| {
            let selected = self
                .namespace_selector
                .iter()
                .flat_map(|selector| known.iter().filter(|(_, labels)| selector.selects(labels)).map(|(name, _)| name.clone()));
            self.namespaces.iter().cloned().chain(selected).collect()
        });
        let selector = PodSelector { namespaces, labels: self.labels.clone() };
        PodAffinityTerm { topology_key: self.topology_key.clone(), selector }
    }

    /// The preference that it is, if it is one.
    #[must_use]
    pub fn preference(&self, known: &Namespaces) -> Option<Preference> {
        match self.purpose {
            Purpose::PreferNear(weight) => Some(Preference { weight, wish: Wish::Near(self.resolve(known)) }),
            Purpose::PreferApart(weight) => Some(Preference { weight, wish: Wish::Apart(self.resolve(known)) }),
            Purpose::Near | Purpose::Apart => None,
        }
    }
}

/// The spread constraints of a pod in `namespace` with labels `own`.
pub(super) fn spreads(spec: &ApiPodSpec, namespace: &str, own: &Labels) -> Result<Vec<TopologySpread>, FieldError> {
    let mut made = Vec::new();
    for (index, constraint) in spec.topology_spread_constraints.iter().flatten().enumerate() {
        let spread = spread(constraint, namespace, own);
        made.push(spread.map_err(|error| error.inside(&format!("topologySpreadConstraints[{index}]")))?);
    }
    Ok(made)
}

fn spread(constraint: &TopologySpreadConstraint, namespace: &str, own: &Labels) -> Result<TopologySpread, FieldError> {
    let at_least_one = |field: &str, number: i32| {
        u32::try_from(number)
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| FieldError::new(field, format!("{number} is not above 0"), "write a whole number of at least 1"))
    };
    let required = match constraint.when_unsatisfiable.as_str() {
        "DoNotSchedule" => true,
        "ScheduleAnyway" => false,
        other => {
            let problem = format!("unknown value `{other}`");
            return Err(FieldError::new("whenUnsatisfiable", problem, "use DoNotSchedule or ScheduleAnyway"));
        }
    };
    let honors = |field: &str, policy: Option<&str>, default: bool| match policy {
        None => Ok(default),
        Some("Honor") => Ok(true),
        Some("Ignore") => Ok(false),
        Some(other) => Err(FieldError::new(field, format!("unknown policy `{other}`"), "use Honor or Ignore")),
    };
    if constraint.min_domains.is_some() && !required {
        let mend = "remove it, or use `whenUnsatisfiable: DoNotSchedule`";
        return Err(FieldError::new("minDomains", "it has a meaning only with DoNotSchedule", mend));
    }
    let mut selector = optional_selector(constraint.label_selector.as_ref(), "labelSelector")?;
    add_own_values(&mut selector, constraint.match_label_keys.as_deref(), own, false);
    Ok(TopologySpread {
        topology_key: key(&constraint.topology_key)?,
        max_skew: at_least_one("maxSkew", constraint.max_skew)?,
        min_domains: constraint.min_domains.map_or(Ok(1), |number| at_least_one("minDomains", number))?,
        selector: PodSelector { namespaces: Some(BTreeSet::from([namespace.to_owned()])), labels: selector },
        honors_affinity: honors("nodeAffinityPolicy", constraint.node_affinity_policy.as_deref(), true)?,
        honors_taints: honors("nodeTaintsPolicy", constraint.node_taints_policy.as_deref(), false)?,
        required,
    })
}

/// The terms of pod affinity and anti-affinity of a pod in `namespace` with labels `own`.
pub(super) fn terms(spec: &ApiPodSpec, namespace: &str, own: &Labels) -> Result<Vec<TermTemplate>, FieldError> {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let Some(affinity) = &spec.affinity else { return Ok(Vec::new()) };
    let near = affinity.pod_affinity.as_ref().map(|of| {
        let required = of.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = of.preferred_during_scheduling_ignored_during_execution.as_deref();
        ("affinity.podAffinity", required, preferred, true)
    });
    let apart = affinity.pod_anti_affinity.as_ref().map(|of| {
        let required = of.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = of.preferred_during_scheduling_ignored_during_execution.as_deref();
        ("affinity.podAntiAffinity", required, preferred, false)
    });
    let mut made = Vec::new();
    for (path, required, preferred, is_near) in near.into_iter().chain(apart) {
        for (index, of) in required.unwrap_or_default().iter().enumerate() {
            let purpose = if is_near { Purpose::Near } else { Purpose::Apart };
            let term = term(of, purpose, namespace, own);
            made.push(term.map_err(|error| error.inside(&format!("{path}.{REQUIRED}[{index}]")))?);
        }
        for (index, of) in preferred.unwrap_or_default().iter().enumerate() {
            let preferred = preferred_term(of, is_near, namespace, own);
            made.push(preferred.map_err(|error| error.inside(&format!("{path}.{PREFERRED}[{index}]")))?);
        }
    }
    Ok(made)
}

fn preferred_term(of: &WeightedPodAffinityTerm, near: bool, namespace: &str, own: &Labels) -> Result<TermTemplate, FieldError> {
    let weight = weight(of.weight)?;
    let purpose = if near { Purpose::PreferNear(weight) } else { Purpose::PreferApart(weight) };
    term(&of.pod_affinity_term, purpose, namespace, own).map_err(|error| error.inside("podAffinityTerm"))
}

/// A weight of a preference.
pub(super) fn weight(weight: i32) -> Result<i32, FieldError> {
    if (1..=100).contains(&weight) {
        return Ok(weight);
    }
    Err(FieldError::new("weight", format!("{weight} is not between 1 and 100"), "write a weight from 1 to 100"))
}

fn term(of: &ApiTerm, purpose: Purpose, namespace: &str, own: &Labels) -> Result<TermTemplate, FieldError> {
    let mut labels = optional_selector(of.label_selector.as_ref(), "labelSelector")?;
    add_own_values(&mut labels, of.match_label_keys.as_deref(), own, false);
    add_own_values(&mut labels, of.mismatch_label_keys.as_deref(), own, true);
    let mut namespaces: BTreeSet<String> = of.namespaces.iter().flatten().cloned().collect();
    let namespace_selector = optional_selector(of.namespace_selector.as_ref(), "namespaceSelector")?;
    if namespaces.is_empty() && namespace_selector.is_none() {
        namespaces.insert(namespace.to_owned());
    }
    Ok(TermTemplate { purpose, topology_key: key(&of.topology_key)?, labels, namespaces, namespace_selector })
}

fn key(key: &str) -> Result<String, FieldError> {
    if key.is_empty() {
        let mend = "name a node label, such as topology.kubernetes.io/zone or kubernetes.io/hostname";
        return Err(FieldError::new("topologyKey", "the topology key is empty", mend));
    }
    Ok(labels::normalize(key).to_owned())
}

/// Adds `key In [value]` (`NotIn` for `mismatch`) for every key that the pod's own labels have.
fn add_own_values(selector: &mut Option<LabelSelector>, keys: Option<&[String]>, own: &Labels, mismatch: bool) {
    let Some(selector) = selector else { return };
    for (key, value) in keys.unwrap_or_default().iter().filter_map(|key| own.get_key_value(key)) {
        let values = BTreeSet::from([value.clone()]);
        selector.add(key, if mismatch { Match::NotIn(values) } else { Match::In(values) });
    }
}

fn optional_selector(selector: Option<&ApiSelector>, field: &str) -> Result<Option<LabelSelector>, FieldError> {
    selector.map(|selector| self::selector(selector).map_err(|error| error.inside(field))).transpose()
}

/// A selector of objects by label.
pub(super) fn selector(selector: &ApiSelector) -> Result<LabelSelector, FieldError> {
    let mut made = LabelSelector::everything();
    for (key, value) in selector.match_labels.iter().flatten() {
        made.add(key, Match::In(BTreeSet::from([value.clone()])));
    }
    for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let values: BTreeSet<String> = expression.values.iter().flatten().cloned().collect();
        let fail = |field: &str, problem: String, mend: &str| {
            Err(FieldError::new(field, problem, mend).inside(&format!("matchExpressions[{index}]")))
        };
        let operator = expression.operator.as_str();
        let matched = match operator {
            "In" | "NotIn" if values.is_empty() => {
                return fail("values", format!("`{} {operator}` needs at least one value", expression.key), "list the values");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let problem = format!("`{} {operator}` takes no values", expression.key);
                return fail("values", problem, "remove the values, or use In or NotIn");
            }
            "In" => Match::In(values),
            "NotIn" => Match::NotIn(values),
            "Exists" => Match::Exists,
            "DoesNotExist" => Match::DoesNotExist,
            other => return fail("operator", format!("unknown operator `{other}`"), "use In, NotIn, Exists or DoesNotExist"),
        };
        made.add(&expression.key, matched);
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn spec(spec: serde_json::Value) -> ApiPodSpec {
        serde_json::from_value(spec).expect("the pod of this test is one")
    }

    fn constraint(more: &serde_json::Value) -> ApiPodSpec {
        let mut constraint = serde_json::json!({
            "maxSkew": 1, "topologyKey": "failure-domain.beta.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}},
        });
        for (key, value) in more.as_object().expect("a map") {
            constraint[key] = value.clone();
        }
        spec(serde_json::json!({"containers": [], "topologySpreadConstraints": [constraint]}))
    }

    #[test]
    fn a_spread_constraint_has_the_defaults_of_kubernetes() {
        let made = spreads(&constraint(&serde_json::json!({})), "shop", &labels(&[])).expect("valid");
        let spread = &made[0];
        assert_eq!((spread.topology_key.as_str(), spread.max_skew, spread.min_domains), (labels::ZONE, 1, 1));
        assert!(spread.honors_affinity && !spread.honors_taints && spread.required);
        assert!(spread.selector.selects("shop", &labels(&[("app", "web")])));
        assert!(!spread.selector.selects("bank", &labels(&[("app", "web")])));
    }

    #[test]
    fn match_label_keys_take_the_pods_own_values() {
        let own = labels(&[("app", "web"), ("version", "2")]);
        let keys = serde_json::json!({"matchLabelKeys": ["version", "absent"]});
        let made = spreads(&constraint(&keys), "shop", &own).expect("valid");
        assert!(made[0].selector.selects("shop", &own));
        assert!(!made[0].selector.selects("shop", &labels(&[("app", "web"), ("version", "1")])));
    }

    #[test]
    fn a_malformed_constraint_names_its_field() {
        for (more, field) in [
            (serde_json::json!({"maxSkew": 0}), "maxSkew"),
            (serde_json::json!({"topologyKey": ""}), "topologyKey"),
            (serde_json::json!({"whenUnsatisfiable": "Never"}), "whenUnsatisfiable"),
            (serde_json::json!({"minDomains": 0}), "minDomains"),
            (serde_json::json!({"minDomains": 2, "whenUnsatisfiable": "ScheduleAnyway"}), "minDomains"),
            (serde_json::json!({"nodeTaintsPolicy": "honor"}), "nodeTaintsPolicy"),
            (
                serde_json::json!({"labelSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}),
                "labelSelector.matchExpressions[0].operator",
            ),
        ] {
            let error = spreads(&constraint(&more), "shop", &labels(&[])).expect_err("malformed");
            assert_eq!(error.field, format!("topologySpreadConstraints[0].{field}"));
        }
    }

    fn term_of(term: &serde_json::Value) -> TermTemplate {
        let affinity = serde_json::json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
        let spec = spec(serde_json::json!({"containers": [], "affinity": affinity}));
        terms(&spec, "shop", &labels(&[("app", "web")])).expect("valid").remove(0)
    }

    #[test]
    fn namespaces_are_resolved_late() {
        let namespaces: Namespaces =
            BTreeMap::from([("shop".to_owned(), labels(&[("team", "a")])), ("bank".to_owned(), labels(&[("team", "b")]))]);
        let term = |more: serde_json::Value| {
            let mut term = serde_json::json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {}});
            for (key, value) in more.as_object().expect("a map") {
                term[key] = value.clone();
            }
            let resolved = term_of(&term).resolve(&namespaces);
            ["shop", "bank", "other"].map(|namespace| resolved.selector.selects(namespace, &labels(&[])))
        };
        assert_eq!(term(serde_json::json!({})), [true, false, false]);
        assert_eq!(term(serde_json::json!({"namespaces": ["bank"]})), [false, true, false]);
        assert_eq!(term(serde_json::json!({"namespaceSelector": {}})), [true, true, true]);
        assert_eq!(term(serde_json::json!({"namespaceSelector": {"matchLabels": {"team": "b"}}})), [false, true, false]);
        let both = serde_json::json!({"namespaces": ["other"], "namespaceSelector": {"matchLabels": {"team": "a"}}});
        assert_eq!(term(both), [true, false, true]);
    }

    #[test]
    fn mismatched_keys_exclude_the_pods_own_value() {
        let term = serde_json::json!({"topologyKey": "z", "labelSelector": {}, "mismatchLabelKeys": ["app"]});
        let resolved = term_of(&term).resolve(&Namespaces::new());
        assert!(!resolved.selector.selects("shop", &labels(&[("app", "web")])));
        assert!(resolved.selector.selects("shop", &labels(&[("app", "db")])));
    }

    #[test]
    fn a_weight_out_of_range_is_an_error() {
        let term = serde_json::json!({"topologyKey": "z", "labelSelector": {}});
        let preferred = serde_json::json!([{"weight": 101, "podAffinityTerm": term}]);
        let affinity = serde_json::json!({"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}});
        let spec = spec(serde_json::json!({"containers": [], "affinity": affinity}));
        let error = terms(&spec, "shop", &labels(&[])).expect_err("malformed");
        assert_eq!(error.field, "affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight");
    }
}
