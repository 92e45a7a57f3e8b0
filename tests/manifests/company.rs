//! The examples: they load without errors and hold what their README promises.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use supercargo::adapters::files::manifests::{Loaded, Source, load};

fn load_example(name: &str) -> Loaded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    load(&[Source::Path(path)]).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_company_has_three_pools_and_a_few_hundred_pods() {
    let loaded = load_example("company");
    let pools: Vec<&str> = loaded.cluster.node_pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(pools, ["default", "farm", "wild"]);
    assert_eq!(loaded.cluster.daemon_sets.len(), 5);
    let workloads: BTreeSet<_> = loaded.cluster.pods.iter().map(|pod| (&pod.namespace, &pod.workload)).collect();
    assert_eq!((workloads.len(), loaded.cluster.pods.len()), (31, 179));
    assert_eq!(loaded.ignored, BTreeMap::from([("CronJob".to_owned(), 1)]));
    assert_eq!(loaded.notices, Vec::<String>::new());
}

#[test]
fn every_pod_of_the_company_has_a_pool_that_it_may_use() {
    let cluster = load_example("company").cluster;
    for pod in &cluster.pods {
        let usable = cluster.node_pools.iter().any(|pool| {
            let mut node = pool.requirements.clone();
            node.add_all(&supercargo::domain::requirement::Requirements::from_labels(&pool.labels));
            pod.spec.node_alternatives.iter().any(|wanted| node.compatible(wanted))
                && supercargo::domain::taint::first_untolerated(&pool.taints, &pod.spec.tolerations).is_none()
        });
        assert!(usable, "{}", pod.full_name());
    }
}

#[test]
fn sidecars_limits_and_init_containers_count() {
    let cluster = load_example("company").cluster;
    let requests = |name: &str| {
        let pod = cluster.pods.iter().find(|pod| pod.name == name).unwrap_or_else(|| panic!("there is no {name}"));
        (pod.spec.requests.get("cpu"), pod.spec.requests.get("memory") >> 20, pod.spec.requests.get("nvidia.com/gpu"))
    };
    assert_eq!(requests("storefront-0"), (450, 576, 0));
    assert_eq!(requests("airflow-scheduler-1"), (1000, 2048, 0));
    assert_eq!(requests("finetune-0"), (40_000, 153_600, 4));
}

#[test]
fn the_shop_plans_with_the_built_in_pool() {
    let loaded = load_example("shop");
    assert_eq!(loaded.cluster.pods.len(), 26);
    assert_eq!(loaded.cluster.node_pools.len(), 1);
    assert!(loaded.notices[0].contains("built-in"), "{:?}", loaded.notices);
}
