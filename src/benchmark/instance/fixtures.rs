//! A small instance for tests.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::benchmark::instance::{CatalogSource, FORMAT, InstanceDocument, Origin};

/// The suite of the repository.
pub(in crate::benchmark) fn suite() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/models"))
}

/// Three pods of 3 cores and one On-Demand NodePool on the frozen catalog.
pub(in crate::benchmark) fn small() -> InstanceDocument {
    let container = json!({ "name": "main", "image": "a", "resources": { "requests": { "cpu": "3", "memory": "2Gi" } } });
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "a", "namespace": "default" },
        "spec": {
            "replicas": 3,
            "selector": { "matchLabels": { "app": "a" } },
            "template": { "metadata": { "labels": { "app": "a" } }, "spec": { "containers": [container] } },
        },
    });
    let pool = json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": { "name": "default" },
        "spec": { "template": { "spec": {
            "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default" },
            "requirements": [
                { "key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"] },
                { "key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": ["m5", "c5"] },
            ],
        } } },
    });
    InstanceDocument {
        format: FORMAT.to_owned(),
        name: "small".to_owned(),
        family: "tests".to_owned(),
        description: "Three pods.".to_owned(),
        origin: Origin { source: "supercargo".to_owned(), generator: None, seed: None },
        objects: vec![deployment, pool],
        catalog: CatalogSource::Shared("us-east-1-2026-11".to_owned()),
        commitments: None,
        max_spot_pool_share: None,
    }
}

/// `small` with a catalog of these files.
pub(in crate::benchmark) fn with_catalog(texts: BTreeMap<String, String>) -> InstanceDocument {
    InstanceDocument { catalog: CatalogSource::Inline(texts), ..small() }
}
