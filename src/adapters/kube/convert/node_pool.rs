//! From a NodePool to the domain, with the checks that Karpenter makes at admission and at run time (core v1.15.0): a pool that
//! these refuse would buy nothing, so it is an error here rather than a plan without it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Taint as ApiTaint;

use crate::adapters::kube::convert::label_syntax::{is_label_value, is_qualified_name, restriction};
use crate::adapters::kube::convert::node_affinity::values_mend;
use crate::adapters::kube::convert::pod_spec::unknown_effect;
use crate::adapters::kube::convert::{FieldError, amount, annotations, entry};
use crate::adapters::kube::crd;
use crate::domain::labels;
use crate::domain::node_pool::{NodeClassRef, NodePool};
use crate::domain::requirement::{Operator, Requirement, Requirements};
use crate::domain::resources::ResourceName;
use crate::domain::taint::{Effect, Taint};

/// The most entries of `requirements` and of labels.
pub(super) const MAX_ENTRIES: usize = 100;

/// Converts the pool called `name`.
///
/// # Errors
/// When a field breaks a rule of Karpenter's; the field is relative to the object.
pub fn from_api(name: &str, pool: &crd::NodePool) -> Result<NodePool, FieldError> {
    let spec = &pool.spec;
    let template = &spec.template.spec;
    let metadata = spec.template.metadata.clone().unwrap_or_default();
    let labels = metadata.labels.unwrap_or_default();
    check_labels(&labels).map_err(|error| error.inside("spec.template.metadata"))?;
    let taints = taints(template.taints.as_deref(), "taints").map_err(|error| error.inside("spec.template.spec"))?;
    let startup_taints =
        self::taints(template.startup_taints.as_deref(), "startupTaints").map_err(|error| error.inside("spec.template.spec"))?;
    check_duplicate_taints(&taints, &startup_taints)?;
    Ok(NodePool {
        name: name.to_owned(),
        weight: weight(spec)?,
        requirements: requirements(&template.requirements, &labels).map_err(|error| error.inside("spec.template.spec"))?,
        labels,
        annotations: metadata.annotations.unwrap_or_default(),
        taints,
        startup_taints,
        node_class_ref: node_class_ref(&template.node_class_ref)?,
        expire_after: template.expire_after.clone(),
        termination_grace_period: template.termination_grace_period.clone(),
        limits: limits(pool)?,
    })
}

/// Why nothing may be bought for `pool` although it is valid, as Karpenter decides it; `None` when it may be used.
#[must_use]
pub fn exclusion(pool: &crd::NodePool) -> Option<&'static str> {
    let conditions = pool.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    if pool.metadata.deletion_timestamp.is_some() {
        Some("it is being deleted")
    } else if pool.spec.replicas.is_some() {
        Some("it is static (`spec.replicas`), so no pod makes it grow")
    } else if conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "False") {
        Some("its status says that it is not ready")
    } else {
        None
    }
}

fn weight(spec: &crd::NodePoolSpec) -> Result<i32, FieldError> {
    match spec.weight {
        None => Ok(0),
        Some(weight) if (1..=100).contains(&weight) => Ok(weight),
        Some(weight) => Err(FieldError::new(
            "spec.weight",
            format!("{weight} is not between 1 and 100"),
            "leave the weight out for the lowest",
        )),
    }
}

fn limits(pool: &crd::NodePool) -> Result<BTreeMap<String, i64>, FieldError> {
    let mut limits = BTreeMap::new();
    if let Some(dollars) = annotations::max_usd_per_hour(&pool.metadata.annotations)? {
        limits.insert(ResourceName::COST.to_owned(), dollars.micros());
    }
    for (name, quantity) in pool.spec.limits.iter().flatten() {
        let limit = amount(quantity, || entry("spec.limits", name))?;
        limits.insert(name.clone(), limit.amount_floor(name));
    }
    Ok(limits)
}

fn node_class_ref(reference: &crd::NodeClassReference) -> Result<NodeClassRef, FieldError> {
    let field = |name: &str| format!("spec.template.spec.nodeClassRef.{name}");
    for (name, value, expected) in [("group", &reference.group, labels::AWS_DOMAIN), ("kind", &reference.kind, "EC2NodeClass")] {
        if value != expected {
            return Err(FieldError::new(field(name), format!("`{value}` is not supported"), format!("use `{expected}`")));
        }
    }
    if reference.name.is_empty() {
        return Err(FieldError::new(field("name"), "the name is empty", "name an EC2NodeClass"));
    }
    Ok(NodeClassRef { group: reference.group.clone(), kind: reference.kind.clone(), name: reference.name.clone() })
}

fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), FieldError> {
    if labels.len() > MAX_ENTRIES {
        return Err(FieldError::new("labels", format!("{} labels", labels.len()), format!("use at most {MAX_ENTRIES}")));
    }
    for (key, value) in labels {
        check_key(key, restriction).map_err(|error| FieldError { field: entry("labels", key), ..error })?;
        check_value(value).map_err(|error| FieldError { field: entry("labels", key), ..error })?;
    }
    Ok(())
}

/// Says why a label may not be used; `None` when it may.
type Restriction = fn(&str) -> Option<&'static str>;

fn check_key(key: &str, restriction: Restriction) -> Result<(), FieldError> {
    if !is_qualified_name(key) {
        let mend = "write `name` or `domain/name`, with letters, digits, `-`, `_` and `.`";
        return Err(FieldError::new("key", format!("`{key}` is not a label key"), mend));
    }
    match restriction(labels::normalize(key)) {
        Some(reason) => Err(FieldError::new(
            "key",
            format!("`{key}` may not be used here: {reason}"),
            "remove it, or use a label of your own",
        )),
        None => Ok(()),
    }
}

fn check_value(value: &str) -> Result<(), FieldError> {
    if is_label_value(value) {
        return Ok(());
    }
    let mend = "use at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";
    Err(FieldError::new("", format!("`{value}` is not a label value"), mend))
}

pub(super) fn taints(taints: Option<&[ApiTaint]>, list: &str) -> Result<Vec<Taint>, FieldError> {
    let mut converted = Vec::new();
    for (index, taint) in taints.unwrap_or_default().iter().enumerate() {
        converted.push(self::taint(taint).map_err(|error| error.inside(&format!("{list}[{index}]")))?);
    }
    Ok(converted)
}

fn taint(taint: &ApiTaint) -> Result<Taint, FieldError> {
    if !is_qualified_name(&taint.key) {
        return Err(FieldError::new("key", format!("`{}` is not a taint key", taint.key), "write `name` or `domain/name`"));
    }
    let value = taint.value.clone().unwrap_or_default();
    if !value.is_empty() && !is_qualified_name(&value) {
        return Err(FieldError::new("value", format!("`{value}` is not a taint value"), "use letters, digits, `-`, `_` and `.`"));
    }
    let effect = Effect::parse(&taint.effect).ok_or_else(|| unknown_effect(&taint.effect))?;
    Ok(Taint { key: taint.key.clone(), value, effect })
}

fn check_duplicate_taints(taints: &[Taint], startup_taints: &[Taint]) -> Result<(), FieldError> {
    let mut seen = BTreeSet::new();
    for (list, index, taint) in (taints.iter().enumerate().map(|(index, taint)| ("taints", index, taint)))
        .chain(startup_taints.iter().enumerate().map(|(index, taint)| ("startupTaints", index, taint)))
    {
        if !seen.insert((&taint.key, taint.effect)) {
            let problem = format!("key `{}` with effect {} is there twice", taint.key, taint.effect.as_str());
            let mend = "keep one: a node has at most one taint of a key and an effect, startup taints included";
            return Err(FieldError::new(format!("spec.template.spec.{list}[{index}]"), problem, mend));
        }
    }
    Ok(())
}

/// The requirements of the list; `template_labels` are requirements of the nodes, too, and may not contradict them.
fn requirements(list: &[crd::NodeRequirement], template_labels: &BTreeMap<String, String>) -> Result<Requirements, FieldError> {
    if list.len() > MAX_ENTRIES {
        return Err(FieldError::new("requirements", format!("{} entries", list.len()), format!("use at most {MAX_ENTRIES}")));
    }
    let fixed = Requirements::from_labels(template_labels);
    let mut joined = Requirements::new();
    for (index, wanted) in list.iter().enumerate() {
        let requirement = requirement(wanted, restriction).map_err(|error| error.inside(&format!("requirements[{index}]")))?;
        let absence_will_do = requirement.accepts_absence() && joined.get(&wanted.key).is_none_or(Requirement::accepts_absence);
        joined.add(&wanted.key, requirement);
        let left = joined.get(&wanted.key);
        let field = || format!("requirements[{index}]");
        if !absence_will_do && left.is_some_and(Requirement::is_none) {
            let problem = format!("no value of `{}` meets this requirement together with the others on that key", wanted.key);
            return Err(FieldError::new(field(), problem, "widen one of them: they are all required at once"));
        }
        if let (Some(left), Some(label)) = (left, fixed.get(&wanted.key))
            && !left.intersects(label)
        {
            let problem = format!("the pool's own label `{}` ({label}) contradicts this requirement ({left})", wanted.key);
            return Err(FieldError::new(field(), problem, "change the label or the requirement: nodes carry both"));
        }
    }
    Ok(joined)
}

/// What the node of `claim` must be. An entry that is none (which the API server lets nobody write) is met by nothing.
#[must_use]
pub fn requirements_of_claim(claim: &crd::NodeClaim) -> Requirements {
    let mut made = Requirements::new();
    for wanted in &claim.spec.requirements {
        made.add(&wanted.key, requirement(wanted, |_| None).unwrap_or_else(|_| Requirement::none()));
    }
    made
}

/// The requirement, whose key `restriction` must allow.
pub(super) fn requirement(wanted: &crd::NodeRequirement, restriction: Restriction) -> Result<Requirement, FieldError> {
    check_key(&wanted.key, restriction)?;
    let Some(operator) = Operator::parse(&wanted.operator) else {
        let mend = "use In, NotIn, Exists, DoesNotExist, Gt, Lt, Gte or Lte";
        return Err(FieldError::new("operator", format!("unknown operator `{}`", wanted.operator), mend));
    };
    let values = wanted.values.as_deref().unwrap_or_default();
    for (index, value) in values.iter().enumerate() {
        check_value(value).map_err(|error| FieldError { field: format!("values[{index}]"), ..error })?;
    }
    let mut requirement = Requirement::new(operator, values).map_err(|problem| {
        FieldError::new("values", format!("`{} {}`: {problem}", wanted.key, wanted.operator), values_mend(operator))
    })?;
    if operator == Operator::In {
        check_known_values(wanted, values)?;
    }
    if let Some(minimum) = wanted.min_values {
        requirement.min_values = Some(min_values(minimum, wanted, operator, values)?);
    }
    Ok(requirement)
}

fn min_values(minimum: i64, wanted: &crd::NodeRequirement, operator: Operator, values: &[String]) -> Result<u32, FieldError> {
    let field = "minValues";
    let Some(minimum) = u32::try_from(minimum).ok().filter(|minimum| (1..=50).contains(minimum)) else {
        return Err(FieldError::new(field, format!("{minimum} is not between 1 and 50"), "use a number from 1 to 50"));
    };
    let known = known_values(&wanted.key);
    let countable: BTreeSet<&String> =
        values.iter().filter(|value| known.is_none_or(|known| known.contains(&value.as_str()))).collect();
    if operator == Operator::In && (minimum as usize) > countable.len() {
        let problem = format!("{minimum} distinct values are required but only {} are allowed", countable.len());
        return Err(FieldError::new(field, problem, "list more values or lower minValues"));
    }
    Ok(minimum)
}

/// The only values that labels with a closed set can have.
fn known_values(key: &str) -> Option<&'static [&'static str]> {
    match key {
        labels::CAPACITY_TYPE => Some(&["on-demand", "reserved", "spot"]),
        labels::TENANCY => Some(&["dedicated", "default"]),
        _ => None,
    }
}

fn check_known_values(wanted: &crd::NodeRequirement, values: &[String]) -> Result<(), FieldError> {
    let Some(known) = known_values(&wanted.key) else { return Ok(()) };
    if values.iter().any(|value| known.contains(&value.as_str())) {
        return Ok(());
    }
    let problem = format!("`{}` is never any of [{}]", wanted.key, values.join(", "));
    Err(FieldError::new("values", problem, format!("use {}", known.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(change: &serde_json::Value) -> Result<NodePool, FieldError> {
        let mut pool = serde_json::json!({"template": {"spec": {"requirements": [],
            "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}}}});
        for (pointer, value) in change.as_object().expect("a map of pointers") {
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
            pool.pointer_mut(parent).expect("the parent is there")[key] = value.clone();
        }
        let spec = serde_json::from_value(pool).expect("the pool of this test is one");
        from_api("test", &crd::NodePool::new("test", spec))
    }

    fn error(pointer: &str, value: &serde_json::Value) -> FieldError {
        convert(&serde_json::json!({pointer: value})).expect_err("the value breaks a rule")
    }

    #[test]
    fn every_rule_names_its_field() {
        let requirement = |key: &str, operator: &str, values: &[&str]| serde_json::json!([{"key": key, "operator": operator, "values": values}]);
        let requirements = "/template/spec/requirements";
        for (pointer, value, field) in [
            ("/weight", serde_json::json!(0), "spec.weight"),
            ("/weight", serde_json::json!(101), "spec.weight"),
            ("/limits", serde_json::json!({"cpu": "many"}), "spec.limits.cpu"),
            ("/limits", serde_json::json!({"cpu": "-1"}), "spec.limits.cpu"),
            (
                "/template/metadata",
                serde_json::json!({"labels": {"karpenter.sh/nodepool": "x"}}),
                "spec.template.metadata.labels[\"karpenter.sh/nodepool\"]",
            ),
            ("/template/metadata", serde_json::json!({"labels": {"team": "a b"}}), "spec.template.metadata.labels.team"),
            (
                "/template/spec/taints",
                serde_json::json!([{"key": "a", "effect": "Never"}]),
                "spec.template.spec.taints[0].effect",
            ),
            (
                "/template/spec/nodeClassRef",
                serde_json::json!({"group": "karpenter.k8s.aws", "kind": "X", "name": "y"}),
                "spec.template.spec.nodeClassRef.kind",
            ),
            (requirements, requirement("a", "Is", &[]), "spec.template.spec.requirements[0].operator"),
            (requirements, requirement("a", "In", &[]), "spec.template.spec.requirements[0].values"),
            (requirements, requirement("a", "Gt", &["x"]), "spec.template.spec.requirements[0].values"),
            (requirements, requirement("a", "In", &["b c"]), "spec.template.spec.requirements[0].values[0]"),
            (requirements, requirement("kubernetes.io/hostname", "Exists", &[]), "spec.template.spec.requirements[0].key"),
            (
                requirements,
                requirement("karpenter.sh/capacity-type", "In", &["cheap"]),
                "spec.template.spec.requirements[0].values",
            ),
        ] {
            assert_eq!(error(pointer, &value).field, field);
        }
    }

    #[test]
    fn requirements_that_leave_nothing_are_refused() {
        let two =
            |a: serde_json::Value, b: serde_json::Value| error("/template/spec/requirements", &serde_json::json!([a, b])).field;
        let one = |operator: &str, value: &str| serde_json::json!({"key": "cores", "operator": operator, "values": [value]});
        assert_eq!(two(one("In", "1"), one("In", "2")), "spec.template.spec.requirements[1]");
        assert_eq!(two(one("Gt", "5"), one("Lt", "6")), "spec.template.spec.requirements[1]");
        assert_eq!(two(one("In", "4"), one("Gt", "8")), "spec.template.spec.requirements[1]");
        let label = serde_json::json!({"/template/metadata": {"labels": {"team": "a"}},
            "/template/spec/requirements": [{"key": "team", "operator": "NotIn", "values": ["a"]}]});
        assert!(convert(&label).expect_err("contradiction").problem.contains("contradicts"));
    }

    #[test]
    fn min_values_must_be_reachable() {
        let list = |minimum: i64| serde_json::json!([{"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["a", "b"], "minValues": minimum}]);
        for minimum in [0, 3, 51] {
            assert_eq!(
                error("/template/spec/requirements", &list(minimum)).field,
                "spec.template.spec.requirements[0].minValues"
            );
        }
        let pool = convert(&serde_json::json!({"/template/spec/requirements": list(2)})).expect("two of two");
        assert_eq!(pool.requirements.get(labels::INSTANCE_TYPE).and_then(|found| found.min_values), Some(2));
    }

    #[test]
    fn a_taint_may_not_be_there_twice() {
        let taint = serde_json::json!([{"key": "a", "effect": "NoSchedule"}]);
        let found = convert(&serde_json::json!({"/template/spec/taints": taint, "/template/spec/startupTaints": taint}));
        assert_eq!(found.expect_err("twice").field, "spec.template.spec.startupTaints[0]");
    }

    #[test]
    fn limits_round_down() {
        let pool = convert(&serde_json::json!({"/limits": {"cpu": "1.5", "memory": "1.5", "nodes": 3}})).expect("valid");
        assert_eq!(
            pool.limits,
            [("cpu", 1500), ("memory", 1), ("nodes", 3)].map(|(name, limit)| (name.to_owned(), limit)).into()
        );
    }
}
