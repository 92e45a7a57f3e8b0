//! Which nodes a pod may run on: nodeSelector and required node affinity, as alternatives.
//!
//! The terms of the affinity are alternatives; the nodeSelector belongs to each. As in Kubernetes, a term without expressions
//! matches nothing, and so does a list without terms.

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

use crate::adapters::kube::convert::FieldError;
use crate::adapters::kube::convert::topology::weight;
use crate::domain::labels;
use crate::domain::requirement::{Operator, Requirement, Requirements};
use crate::domain::topology::{Preference, Wish};

const TERMS: &str = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";

/// The alternatives of `spec`; never empty.
pub(super) fn node_alternatives(spec: &PodSpec) -> Result<Vec<Requirements>, FieldError> {
    let mut selector = Requirements::new();
    for (key, value) in spec.node_selector.iter().flatten() {
        join(&mut selector, key, Requirement::one_of([value.as_str()]));
    }
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let Some(required) = affinity.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref()) else {
        return Ok(vec![selector]);
    };
    let mut alternatives = Vec::new();
    for (index, term) in required.node_selector_terms.iter().enumerate() {
        let alternative = alternative(&selector, term).map_err(|error| error.inside(&format!("{TERMS}[{index}]")))?;
        if let Some(alternative) = alternative
            && !alternatives.contains(&alternative)
        {
            alternatives.push(alternative);
        }
    }
    if alternatives.is_empty() {
        selector.add(labels::NO_NODE, Requirement::any());
        alternatives.push(selector);
    }
    Ok(alternatives)
}

/// The preferred terms of `spec`; an empty term prefers nothing.
pub(super) fn preferences(spec: &PodSpec) -> Result<Vec<Preference>, FieldError> {
    const PREFERRED: &str = "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution";
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let preferred = affinity.and_then(|node| node.preferred_during_scheduling_ignored_during_execution.as_deref());
    let mut made = Vec::new();
    for (index, term) in preferred.unwrap_or_default().iter().enumerate() {
        let inside = |error: FieldError| error.inside(&format!("{PREFERRED}[{index}]"));
        let weight = weight(term.weight).map_err(inside)?;
        let wish = alternative(&Requirements::new(), &term.preference).map_err(|error| inside(error.inside("preference")))?;
        made.extend(wish.map(|wish| Preference { weight, wish: Wish::Node(wish) }));
    }
    Ok(made)
}

/// `selector` joined to `term`; `None` for an empty term.
pub(super) fn alternative(selector: &Requirements, term: &NodeSelectorTerm) -> Result<Option<Requirements>, FieldError> {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return Ok(None);
    }
    let mut joined = selector.clone();
    for (index, expression) in expressions.iter().enumerate() {
        let requirement = requirement(expression).map_err(|error| error.inside(&format!("matchExpressions[{index}]")))?;
        join(&mut joined, &expression.key, requirement);
    }
    for (index, field) in fields.iter().enumerate() {
        let path = || format!("matchFields[{index}]");
        if field.key != "metadata.name" {
            return Err(FieldError::new(
                format!("{}.key", path()),
                format!("`{}` is not a field of nodes that can be matched", field.key),
                "only `metadata.name` can; match a label with matchExpressions instead",
            ));
        }
        join(&mut joined, labels::NODE_NAME_FIELD, requirement(field).map_err(|error| error.inside(&path()))?);
    }
    Ok(Some(joined))
}

/// Adds `requirement`. Where nothing is left that a node could have, the label would have to be absent and present at once;
/// the algebra calls that `DoesNotExist`, so it is marked as what no node can meet.
pub(super) fn join(into: &mut Requirements, key: &str, requirement: Requirement) {
    // Every node has a hostname of its own: that it has one asks for nothing.
    if key == labels::HOSTNAME && requirement == Requirement::any() {
        return;
    }
    let absence_will_do = requirement.accepts_absence() && into.get(key).is_none_or(Requirement::accepts_absence);
    into.add(key, requirement);
    if !absence_will_do && into.get(key).is_some_and(Requirement::is_none) {
        into.add(labels::NO_NODE, Requirement::any());
    }
}

fn requirement(expression: &NodeSelectorRequirement) -> Result<Requirement, FieldError> {
    let known = "use In, NotIn, Exists, DoesNotExist, Gt or Lt";
    let operator = match Operator::parse(&expression.operator) {
        None => return Err(FieldError::new("operator", format!("unknown operator `{}`", expression.operator), known)),
        Some(Operator::Gte | Operator::Lte) => {
            let problem = format!("operator `{}` is for NodePools only; Kubernetes does not know it", expression.operator);
            return Err(FieldError::new("operator", problem, known));
        }
        Some(operator) => operator,
    };
    let values = expression.values.as_deref().unwrap_or_default();
    Requirement::new(operator, values).map_err(|problem| {
        let problem = format!("`{} {}`: {problem}", expression.key, expression.operator);
        FieldError::new("values", problem, values_mend(operator))
    })
}

/// How to write the values of `operator`.
pub(super) fn values_mend(operator: Operator) -> &'static str {
    match operator {
        Operator::In | Operator::NotIn => "list at least one value, or use Exists or DoesNotExist",
        Operator::Exists | Operator::DoesNotExist => "remove the values, or use In or NotIn",
        Operator::Gt | Operator::Lt | Operator::Gte | Operator::Lte => "give exactly one whole number in quotes, such as [\"4\"]",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alternatives(spec: serde_json::Value) -> Result<Vec<String>, FieldError> {
        let spec: PodSpec = serde_json::from_value(spec).expect("the pod of this test is one");
        let print = |(key, requirement): (&str, &Requirement)| format!("{key} {requirement}");
        let line = |one: &Requirements| one.iter().map(print).collect::<Vec<_>>().join("; ");
        Ok(node_alternatives(&spec)?.iter().map(line).collect())
    }

    fn with_terms(terms: &serde_json::Value) -> serde_json::Value {
        serde_json::json!({"containers": [], "nodeSelector": {"team": "a"}, "affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    }

    #[test]
    fn each_term_is_an_alternative_and_holds_the_selector() {
        let terms = serde_json::json!([
            {"matchExpressions": [{"key": "beta.kubernetes.io/arch", "operator": "In", "values": ["arm64"]}]},
            {"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["3"]}]},
            {},
        ]);
        let expected = ["kubernetes.io/arch In [arm64]; team In [a]", "cores Exists >= 4; team In [a]"];
        assert_eq!(alternatives(with_terms(&terms)).expect("valid"), expected);
        assert_eq!(alternatives(serde_json::json!({"containers": []})).expect("valid"), [""]);
    }

    #[test]
    fn what_matches_nothing_is_met_by_no_node() {
        for terms in [
            serde_json::json!([]),
            serde_json::json!([{}]),
            serde_json::json!([{"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]}]),
            serde_json::json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}]),
        ] {
            let spec: PodSpec = serde_json::from_value(with_terms(&terms)).expect("the pod of this test is one");
            let pool = Requirements::from_labels(&[("team".to_owned(), "a".to_owned())].into());
            let found = node_alternatives(&spec).expect("valid");
            assert_eq!(found.len(), 1);
            assert!(!pool.compatible(&found[0]) && !Requirements::new().compatible(&found[0]), "{terms}: {found:?}");
        }
    }

    #[test]
    fn impossible_expressions_are_errors() {
        let check = |operator: &str, values: &[&str], field: &str| {
            let terms = serde_json::json!([{"matchExpressions": [{"key": "k", "operator": operator, "values": values}]}]);
            let error = alternatives(with_terms(&terms)).expect_err("impossible");
            assert_eq!(error.field, format!("{TERMS}[0].matchExpressions[0].{field}"));
        };
        check("In", &[], "values");
        check("Gt", &["x"], "values");
        check("Exists", &["x"], "values");
        check("Gte", &["1"], "operator");
        check("in", &["a"], "operator");
    }
}
