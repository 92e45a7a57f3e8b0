//! What the types of Rust cannot say of a field: enumerations, patterns, CEL rules, and the schemas of Kubernetes' own types as
//! Karpenter narrows them.
//!
//! Each function here is named by `#[schemars(transform = ...)]` at the field or type that it is about. Patterns and CEL
//! expressions are those of Karpenter core v1.15.0 and of its AWS provider v1.15.1, letter by letter, so that both accept the same
//! objects and server-side apply finds its rules again; the messages are ours.

use schemars::Schema;
use serde_json::{Value, json};

use crate::domain::labels::{AWS_DOMAIN, AWS_LABELS};

/// A duration without days and fractions, `1h30m`.
pub(super) const DURATION: &str = "^([0-9]+(s|m|h))+$";
/// The same, or `Never`.
pub(super) const DURATION_OR_NEVER: &str = "^(([0-9]+(s|m|h))+|Never)$";
/// A label key, or a taint's key or value: a name with an optional domain.
pub(super) const QUALIFIED_NAME: &str =
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*(\/))?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$";
/// The operators of a requirement.
pub(super) const OPERATORS: &[&str] = &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Gte", "Lte"];

/// A label value; may be empty.
const LABEL_VALUE: &str = "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$";
/// A quantity of Kubernetes, such as `100m` or `1.5Gi`.
const QUANTITY: &str =
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";
/// The type of a condition.
const CONDITION_TYPE: &str =
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$";

/// The key of the CEL rules.
const RULES: &str = "x-kubernetes-validations";

/// A CEL expression that must be true, and what the user is told when it is not.
pub(super) type Rule = (&'static str, &'static str);

/// What every requirement of a NodePool or NodeClaim keeps. (The messages say "at least 0" where the expressions do.)
pub(super) const REQUIREMENT_RULES: &[Rule] = &[
    ("self.all(x, x.operator == 'In' ? x.values.size() != 0 : true)", "operator `In` needs at least one value"),
    (NUMBER_RULE, NUMBER_MESSAGE),
    (
        "self.all(x, (x.operator == 'In' && has(x.minValues)) ? x.values.size() >= x.minValues : true)",
        "operator `In` needs at least `minValues` values",
    ),
];

/// What every requirement of a NodeOverlay keeps.
pub(super) const OVERLAY_REQUIREMENT_RULES: &[Rule] = &[
    ("self.all(x, x.operator == 'NotIn' ? x.values.size() != 0 : true)", "operator `NotIn` needs at least one value"),
    ("self.all(x, x.operator == 'In' ? x.values.size() != 0 : true)", "operator `In` needs at least one value"),
    (NUMBER_RULE, NUMBER_MESSAGE),
];

const NUMBER_RULE: &str = "self.all(x, (x.operator == 'Gt' || x.operator == 'Lt' || x.operator == 'Gte' || x.operator == 'Lte') ? (x.values.size() == 1 && int(x.values[0]) >= 0) : true)";
const NUMBER_MESSAGE: &str = "operators `Gt`, `Lt`, `Gte` and `Lte` need exactly one value, a whole number of at least 0";

/// Adds CEL rules.
pub(super) fn rules(rules: &'static [Rule]) -> impl FnMut(&mut Schema) {
    move |schema| {
        for (rule, message) in rules {
            add_rule(schema, rule, message);
        }
    }
}

fn add_rule(schema: &mut Schema, rule: &str, message: &str) {
    let added = json!({ "rule": rule, "message": message });
    let listed = schema.ensure_object().entry(RULES).or_insert_with(|| json!([]));
    if let Value::Array(listed) = listed {
        listed.push(added);
    }
}

/// The reasons of a budget.
pub(super) fn budget_reasons(schema: &mut Schema) {
    let reason = json!({ "type": "string", "enum": ["Underutilized", "Empty", "Drifted", "Unhealthy"] });
    schema.insert("items".to_owned(), reason);
}

/// Allows these strings alone.
pub(super) fn one_of(values: &'static [&'static str]) -> impl FnMut(&mut Schema) {
    move |schema| {
        schema.insert("enum".to_owned(), json!(values));
    }
}

/// Leaves out the width of an integer.
pub(super) fn without_format(schema: &mut Schema) {
    schema.remove("format");
}

/// A map of resources to quantities, which may be written as integers.
pub(super) fn quantities(schema: &mut Schema) {
    let quantity = json!({ "pattern": QUANTITY, "x-kubernetes-int-or-string": true });
    schema.insert("additionalProperties".to_owned(), quantity);
}

/// A quantity that is written as a string of this pattern.
pub(super) fn quantity_of(pattern: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        schema.remove("anyOf");
        schema.remove("x-kubernetes-int-or-string");
        schema.insert("type".to_owned(), json!("string"));
        schema.insert("pattern".to_owned(), json!(pattern));
    }
}

/// Any field of any type.
pub(super) fn any_fields(schema: &mut Schema) {
    let anything = json!({ "x-kubernetes-preserve-unknown-fields": true });
    schema.insert("additionalProperties".to_owned(), anything);
    schema.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
}

/// A list of taints.
pub(super) fn taints(schema: &mut Schema) {
    let taint = json!({
        "type": "object",
        "required": ["effect", "key"],
        "properties": {
            "effect": {
                "description": "What becomes of pods that do not tolerate the taint.",
                "type": "string",
                "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"],
            },
            "key": { "description": "Key of the taint.", "type": "string", "minLength": 1, "pattern": QUALIFIED_NAME },
            "timeAdded": { "description": "When the taint was added.", "type": "string", "format": "date-time" },
            "value": { "description": "Value of the taint.", "type": "string", "pattern": QUALIFIED_NAME },
        },
    });
    schema.insert("items".to_owned(), taint);
    schema.insert("x-kubernetes-list-type".to_owned(), json!("atomic"));
}

/// The conditions of a NodePool, NodeOverlay or EC2NodeClass.
pub(super) fn conditions(schema: &mut Schema) {
    let reason = json!({ "maxLength": 1024, "minLength": 1, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$" });
    insert_conditions(schema, reason, &["lastTransitionTime", "message", "reason", "status", "type"]);
}

/// The conditions of a NodeClaim, which may be without message and reason.
pub(super) fn conditions_of_claims(schema: &mut Schema) {
    let reason = json!({ "maxLength": 1024, "pattern": "^([A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?|)$" });
    insert_conditions(schema, reason, &["lastTransitionTime", "status", "type"]);
}

fn insert_conditions(schema: &mut Schema, mut reason: Value, required: &[&str]) {
    reason["type"] = json!("string");
    reason["description"] = json!("Why the status is what it is, in one word.");
    let condition = json!({
        "type": "object",
        "required": required,
        "properties": {
            "lastTransitionTime": {
                "description": "When the status became what it is.", "type": "string", "format": "date-time",
            },
            "message": { "description": "Details for people; may be empty.", "type": "string", "maxLength": 32768 },
            "observedGeneration": {
                "description": "The `metadata.generation` that the condition is about.",
                "type": "integer", "format": "int64", "minimum": 0,
            },
            "reason": reason,
            "status": { "description": "Whether it holds.", "type": "string", "enum": ["True", "False", "Unknown"] },
            "type": { "description": "What it is about.", "type": "string", "maxLength": 316, "pattern": CONDITION_TYPE },
        },
    });
    schema.insert("items".to_owned(), condition);
}

/// A list in which no two objects have the same `type`, and whose objects server-side apply merges by it.
pub(super) fn merged_by_type(schema: &mut Schema) {
    schema.insert("x-kubernetes-list-type".to_owned(), json!("map"));
    schema.insert("x-kubernetes-list-map-keys".to_owned(), json!(["type"]));
}

/// Requirements of an image, as the controller writes them.
pub(super) fn image_requirements(schema: &mut Schema) {
    let requirement = json!({
        "type": "object",
        "required": ["key", "operator"],
        "properties": {
            "key": { "description": "Label key.", "type": "string" },
            "operator": { "description": "`In`, `Exists` or `DoesNotExist`.", "type": "string" },
            "values": {
                "description": "What the operator compares with.",
                "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "atomic",
            },
        },
    });
    schema.insert("items".to_owned(), requirement);
}

/// The values of a requirement.
///
/// Karpenter's generator put the length and the pattern of each value on the list, where they have no effect; the controllers
/// check the values themselves. They are here so that both say the same.
pub(super) fn requirement_values(schema: &mut Schema) {
    schema.insert("x-kubernetes-list-type".to_owned(), json!("atomic"));
    schema.insert("maxLength".to_owned(), json!(63));
    schema.insert("pattern".to_owned(), json!(LABEL_VALUE));
}

/// The key of a requirement of a NodePool or NodeClaim.
pub(super) fn requirement_key(schema: &mut Schema) {
    add_key_rules(schema, |_| true);
}

/// The key of a requirement of a NodeOverlay: nothing that is chosen only at launch.
pub(super) fn overlay_requirement_key(schema: &mut Schema) {
    let at_launch = ["instance-tenancy", "capacity-reservation-", "placement-group-"];
    add_key_rules(schema, |label| !at_launch.iter().any(|start| label.starts_with(start)));
}

fn add_key_rules(schema: &mut Schema, is_allowed: impl Fn(&str) -> bool) {
    schema.insert("maxLength".to_owned(), json!(316));
    schema.insert("pattern".to_owned(), json!(QUALIFIED_NAME));
    add_rule(schema, &restricted_domain("self", "karpenter.sh", CORE_LABELS), CORE_MESSAGE);
    add_rule(schema, r#"self != "kubernetes.io/hostname""#, HOSTNAME_MESSAGE);
    add_rule(schema, &restricted_domain("self", AWS_DOMAIN, &aws_labels(is_allowed)), AWS_MESSAGE);
}

/// Forbids `karpenter.sh/nodepool` as the key of the requirements of this list.
pub(super) fn without_node_pool(schema: &mut Schema) {
    if let Some(key) = schema.pointer_mut("/items/properties/key")
        && let Ok(key) = <&mut Schema>::try_from(key)
    {
        add_rule(key, r#"self != "karpenter.sh/nodepool""#, POOL_MESSAGE);
    }
}

/// The labels of a NodePool's template.
pub(super) fn template_labels(schema: &mut Schema) {
    schema.insert("additionalProperties".to_owned(), json!({ "type": "string", "maxLength": 63, "pattern": LABEL_VALUE }));
    schema.insert("maxProperties".to_owned(), json!(100));
    schema.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
    let each = |rule: &str| format!("self.all(x, {rule})");
    add_rule(schema, &each(&restricted_domain("x", "karpenter.sh", CORE_LABELS)), CORE_MESSAGE);
    add_rule(schema, &each(r#"x != "karpenter.sh/nodepool""#), POOL_MESSAGE);
    add_rule(schema, &each(r#"x != "kubernetes.io/hostname""#), HOSTNAME_MESSAGE);
    add_rule(schema, &each(&restricted_domain("x", AWS_DOMAIN, &aws_labels(|_| true))), AWS_MESSAGE);
}

/// The tags of a selector term.
pub(super) fn selector_tags(schema: &mut Schema) {
    schema.insert("maxProperties".to_owned(), json!(20));
    add_rule(schema, "self.all(k, k != '' && self[k] != '')", "keys and values of tags must not be empty");
}

const CORE_LABELS: &str = r#""karpenter.sh/capacity-type", "karpenter.sh/nodepool""#;
const CORE_MESSAGE: &str = "of the domain `karpenter.sh` only `capacity-type` and `nodepool` may be used";
const AWS_MESSAGE: &str = "of the domain `karpenter.k8s.aws` only labels that the controller knows may be used";
const POOL_MESSAGE: &str = "`karpenter.sh/nodepool` is set by the controller";
const HOSTNAME_MESSAGE: &str = "`kubernetes.io/hostname` is different on every node";

/// A rule that of `domain` and what ends like it only the labels `allowed` may be used.
fn restricted_domain(label: &str, domain: &str, allowed: &str) -> String {
    format!(r#"{label} in [{allowed}] || !{label}.find("^([^/]+)").endsWith("{domain}")"#)
}

/// The labels of the AWS provider as a list of CEL strings.
fn aws_labels(is_allowed: impl Fn(&str) -> bool) -> String {
    let quoted: Vec<String> =
        AWS_LABELS.iter().filter(|label| is_allowed(label)).map(|label| format!("\"{AWS_DOMAIN}/{label}\"")).collect();
    quoted.join(", ")
}
