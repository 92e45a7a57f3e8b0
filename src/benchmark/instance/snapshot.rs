//! Snapshots of clusters as instances: the objects that nodes depend on, without what is nobody else's business.

use serde_json::Value;

use crate::benchmark::instance::{CatalogSource, FORMAT, InstanceDocument, Origin};

/// Metadata that says nothing about nodes.
const METADATA: [&str; 4] = ["managedFields", "resourceVersion", "generation", "selfLink"];
/// An annotation that repeats the whole object, with everything that is left out here.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Fields of containers that may hold secrets and say nothing about nodes.
const CONTAINER: [&str; 8] =
    ["env", "envFrom", "command", "args", "lifecycle", "livenessProbe", "readinessProbe", "startupProbe"];
/// Fields that hold containers.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// The instance with these objects.
#[must_use]
pub fn instance(
    mut objects: Vec<Value>,
    name: &str,
    family: &str,
    description: &str,
    origin: Origin,
    catalog: CatalogSource,
) -> InstanceDocument {
    objects.iter_mut().for_each(strip);
    InstanceDocument {
        format: FORMAT.to_owned(),
        name: name.to_owned(),
        family: family.to_owned(),
        description: description.to_owned(),
        origin,
        objects,
        catalog,
        commitments: None,
        max_spot_pool_share: None,
    }
}

/// Takes out what says nothing about nodes, wherever a pod's spec may be.
fn strip(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Object(map) => {
            if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
                METADATA.iter().for_each(|field| drop(metadata.remove(*field)));
                if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
                    annotations.remove(LAST_APPLIED);
                }
            }
            for field in CONTAINERS {
                let containers = map.get_mut(field).and_then(Value::as_array_mut);
                for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
                    CONTAINER.iter().for_each(|field| drop(container.remove(*field)));
                }
            }
            map.values_mut().for_each(strip);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_of_containers_are_left_out_and_requests_stay() {
        let container = json!({
            "name": "a", "image": "a", "env": [{ "name": "PASSWORD", "value": "x" }], "args": ["--token=x"],
            "resources": { "requests": { "cpu": "1" } },
        });
        let annotations = json!({ LAST_APPLIED: "x", "kept": "y" });
        let mut deployment = json!({
            "kind": "Deployment",
            "metadata": { "name": "a", "managedFields": [], "annotations": annotations },
            "spec": { "template": { "metadata": { "managedFields": [] }, "spec": { "initContainers": [container], "containers": [container] } } },
        });
        strip(&mut deployment);
        let kept = json!({ "name": "a", "image": "a", "resources": { "requests": { "cpu": "1" } } });
        let expected = json!({
            "kind": "Deployment",
            "metadata": { "name": "a", "annotations": { "kept": "y" } },
            "spec": { "template": { "metadata": {}, "spec": { "initContainers": [kept], "containers": [kept] } } },
        });
        assert_eq!(deployment, expected);
    }
}
