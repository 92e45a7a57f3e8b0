//! The CustomResourceDefinitions, made of the types beside this file.
//!
//! Equal to those of Karpenter core v1.15.0 and of its AWS provider v1.15.1 in what they accept, default and print;
//! `docs/crds.md` says how that is known and how a running Karpenter is taken over.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;

use crate::adapters::kube::crd::{EC2NodeClass, NodeClaim, NodeOverlay, NodePool};

/// The four definitions, by name.
#[must_use]
pub fn all() -> Vec<CustomResourceDefinition> {
    let mut definitions = vec![EC2NodeClass::crd(), NodeClaim::crd(), NodeOverlay::crd(), NodePool::crd()];
    for definition in &mut definitions {
        let names = &mut definition.spec.names;
        names.list_kind = Some(format!("{}List", names.kind));
        for version in &mut definition.spec.versions {
            if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
                straighten(schema);
                describe_envelope(schema);
            }
        }
    }
    definitions
}

/// The definitions as YAML documents, as `kubectl apply -f -` takes them.
///
/// # Errors
/// When the writer fails, which text in memory gives no cause for.
pub fn to_yaml() -> Result<String, serde_saphyr::ser::Error> {
    let mut text = String::new();
    for definition in all() {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(&definition)?);
    }
    Ok(text)
}

/// Mends what the derivation says of `Option`, of Rust's names and of quantities.
///
/// A field that is optional in Karpenter must not be `null`: the API server then drops the `null` and fills in the default, where a
/// nullable field would keep it. Of a value that may be an integer or a string, kube keeps the mark but empties the alternatives,
/// which readers that do not know the mark need.
fn straighten(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.title = None;
    if schema.x_kubernetes_int_or_string == Some(true) {
        schema.any_of = Some(vec![of_type("integer"), of_type("string")]);
    }
    for property in schema.properties.iter_mut().flat_map(BTreeMap::values_mut) {
        straighten(property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => straighten(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(straighten),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut schema.additional_properties {
        straighten(value);
    }
}

/// Adds the fields that every object has: checkers of manifests that read CRDs refuse fields that are not named.
fn describe_envelope(schema: &mut JSONSchemaProps) {
    let described = |description: &str, type_| JSONSchemaProps { description: Some(description.to_owned()), ..of_type(type_) };
    let properties = schema.properties.get_or_insert_default();
    properties.insert("apiVersion".to_owned(), described("Group and version of the object's form.", "string"));
    properties.insert("kind".to_owned(), described("What the object is.", "string"));
    properties.insert("metadata".to_owned(), of_type("object"));
}

fn of_type(name: &str) -> JSONSchemaProps {
    JSONSchemaProps { type_: Some(name.to_owned()), ..JSONSchemaProps::default() }
}
