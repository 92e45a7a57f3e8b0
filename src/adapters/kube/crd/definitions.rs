//! The CustomResourceDefinitions, made of the types beside this file.
//!
//! Equal to those of Karpenter core v1.15.0 and of its AWS provider v1.15.1 in what they accept, default and print;
//! `docs/crds.md` says how that is known and how a running Karpenter is taken over.

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
        for version in &mut definition.spec.versions {
            if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
                drop_titles_and_nulls(schema);
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

/// Takes away what the derivation says of `Option` and of Rust's names.
///
/// A field that is optional in Karpenter must not be `null`: the API server then drops the `null` and fills in the default, where a
/// nullable field would keep it.
fn drop_titles_and_nulls(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.title = None;
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        drop_titles_and_nulls(property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => drop_titles_and_nulls(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(drop_titles_and_nulls),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut schema.additional_properties {
        drop_titles_and_nulls(value);
    }
}
