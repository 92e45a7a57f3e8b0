//! What a pod takes of a node: effective requests, as kube-scheduler counts them
//! (`k8s.io/component-helpers/resource`, `PodRequests`).
//!
//! Containers run together, so their requests add up. Init containers run one after the other before them, so only the largest
//! counts; but a sidecar (an init container that restarts always) keeps running, so it adds to the containers and to every
//! init container after it. Requests at pod level replace the containers' for CPU, memory and huge pages; overhead comes on top.
//!
//! Sums are exact; they are rounded up once, at the end.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use crate::adapters::kube::convert::{FieldError, amount, entry};
use crate::domain::quantity::Quantity;
use crate::domain::resources::{ResourceName, Resources};

type Amounts = BTreeMap<String, Quantity>;

/// The effective requests of `spec`, with `pods: 1`.
///
/// # Errors
/// When a quantity is none.
pub fn effective_requests(spec: &PodSpec) -> Result<Resources, FieldError> {
    let mut total = container_requests(spec)?;
    if let Some(pod_level) = &spec.resources {
        let limits = parse_all(pod_level.limits.as_ref(), "resources.limits")?;
        let requests = parse_all(pod_level.requests.as_ref(), "resources.requests")?;
        // The API server's defaults: what neither the pod nor a container requests is the pod's limit.
        for (name, limit) in limits {
            if counts_at_pod_level(&name) {
                total.entry(name).or_insert(limit);
            }
        }
        total.extend(requests.into_iter().filter(|(name, _)| counts_at_pod_level(name)));
    }
    add(&mut total, &parse_all(spec.overhead.as_ref(), "overhead")?);

    let mut effective = Resources::new();
    for (name, quantity) in &total {
        effective.set(name, quantity.amount(name));
    }
    effective.set(ResourceName::PODS, 1);
    Ok(effective)
}

/// Whether Kubernetes takes `resource` from `spec.resources`; other resources there are ignored.
fn counts_at_pod_level(resource: &str) -> bool {
    matches!(resource, ResourceName::CPU | ResourceName::MEMORY) || resource.starts_with("hugepages-")
}

fn container_requests(spec: &PodSpec) -> Result<Amounts, FieldError> {
    let mut running = Amounts::new();
    for (index, container) in spec.containers.iter().enumerate() {
        add(&mut running, &requests_of(container, "containers", index)?);
    }
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for (index, container) in spec.init_containers.iter().flatten().enumerate() {
        let requests = requests_of(container, "initContainers", index)?;
        if container.restart_policy.as_deref() == Some("Always") {
            add(&mut running, &requests);
            add(&mut sidecars, &requests);
            raise(&mut peak, &sidecars);
        } else {
            let mut together = sidecars.clone();
            add(&mut together, &requests);
            raise(&mut peak, &together);
        }
    }
    raise(&mut running, &peak);
    Ok(running)
}

fn requests_of(container: &Container, list: &str, index: usize) -> Result<Amounts, FieldError> {
    let Some(resources) = &container.resources else { return Ok(Amounts::new()) };
    with_limits_as_defaults(resources).map_err(|error| error.inside(&format!("{list}[{index}].resources")))
}

/// Requests, and for each resource without one its limit, as the API server fills it in.
fn with_limits_as_defaults(resources: &ResourceRequirements) -> Result<Amounts, FieldError> {
    let mut requests = parse_all(resources.requests.as_ref(), "requests")?;
    for (name, limit) in parse_all(resources.limits.as_ref(), "limits")? {
        requests.entry(name).or_insert(limit);
    }
    Ok(requests)
}

fn parse_all(quantities: Option<&BTreeMap<String, ApiQuantity>>, field: &str) -> Result<Amounts, FieldError> {
    let mut amounts = Amounts::new();
    for (name, quantity) in quantities.into_iter().flatten() {
        amounts.insert(name.clone(), amount(quantity, || entry(field, name))?);
    }
    Ok(amounts)
}

fn add(total: &mut Amounts, more: &Amounts) {
    for (name, quantity) in more {
        let sum = total.get(name).map_or(*quantity, |present| present.plus(*quantity));
        total.insert(name.clone(), sum);
    }
}

fn raise(floor: &mut Amounts, to: &Amounts) {
    for (name, quantity) in to {
        let larger = floor.get(name).map_or(*quantity, |present| present.larger(*quantity));
        floor.insert(name.clone(), larger);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spec: serde_json::Value, expected: &[(&str, i64)]) {
        let spec: PodSpec = serde_json::from_value(spec).expect("the pod of this test is one");
        let mut wanted = Resources::new().with("pods", 1);
        for (name, amount) in expected {
            wanted.set(name, *amount);
        }
        assert_eq!(effective_requests(&spec).expect("the quantities of this test are valid"), wanted, "{spec:?}");
    }

    fn container(cpu: &str) -> serde_json::Value {
        serde_json::json!({"name": "c", "resources": {"requests": {"cpu": cpu}}})
    }

    fn sidecar(cpu: &str) -> serde_json::Value {
        serde_json::json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}})
    }

    #[test]
    fn containers_add_up_and_the_largest_init_container_counts() {
        check(serde_json::json!({"containers": [container("100m"), container("200m")]}), &[("cpu", 300)]);
        check(
            serde_json::json!({"containers": [container("100m")], "initContainers": [container("1"), container("2")]}),
            &[("cpu", 2000)],
        );
    }

    #[test]
    fn a_sidecar_counts_for_containers_and_for_init_containers_after_it() {
        // 2 (first, alone) against 500m + 1 (after the sidecar) against 100m + 500m (running)
        check(
            serde_json::json!({"containers": [container("100m")], "initContainers": [container("2"), sidecar("500m"), container("1")]}),
            &[("cpu", 2000)],
        );
        check(
            serde_json::json!({"containers": [container("100m")], "initContainers": [sidecar("500m"), container("2"), sidecar("1")]}),
            &[("cpu", 2500)],
        );
        check(
            serde_json::json!({"containers": [container("3")], "initContainers": [sidecar("500m"), container("2"), sidecar("1")]}),
            &[("cpu", 4500)],
        );
    }

    #[test]
    fn limits_stand_in_for_missing_requests() {
        check(
            serde_json::json!({"containers": [{"name": "c", "resources": {
                "requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi", "nvidia.com/gpu": 1}}}]}),
            &[("cpu", 1000), ("memory", 1 << 30), ("nvidia.com/gpu", 1)],
        );
    }

    #[test]
    fn pod_level_requests_replace_the_containers_and_overhead_comes_on_top() {
        check(
            serde_json::json!({"containers": [container("100m")], "overhead": {"cpu": "50m"},
                "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}}}),
            &[("cpu", 1050), ("memory", 1 << 30)],
        );
        // A pod-level limit does not override what a container requests.
        check(serde_json::json!({"containers": [container("100m")], "resources": {"limits": {"cpu": "2"}}}), &[("cpu", 100)]);
        check(
            serde_json::json!({"containers": [container("100m")], "resources": {"requests": {"nvidia.com/gpu": "1"}}}),
            &[("cpu", 100)],
        );
    }

    #[test]
    fn sums_are_rounded_once() {
        check(serde_json::json!({"containers": [container("0.5m"), container("0.5m")]}), &[("cpu", 1)]);
    }
}
