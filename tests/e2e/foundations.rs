//! Whether the test bed can be trusted: its parts do what a cluster and a cloud do, without any controller.

use std::path::Path;
use std::time::Duration;

use aws_sdk_ec2::operation::create_fleet::CreateFleetOutput;
use aws_sdk_ec2::types::{
    DefaultTargetCapacityType, FleetLaunchTemplateConfigRequest, FleetLaunchTemplateOverridesRequest,
    FleetLaunchTemplateSpecificationRequest, FleetType, InstanceType, RequestLaunchTemplateData, ResourceType, Tag,
    TagSpecification, TargetCapacitySpecificationRequest,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{Node, Secret};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::Outcome;
use crate::Trouble;
use crate::aws::{CLUSTER, Cloud, REGION};
use crate::bed::Bed;
use crate::cluster::{Workload, by_node, documents, is_ready, until};
use crate::control_plane::SERVICE_RANGE;
use crate::joiner::{Fault, Habits};
use crate::scale_up::{node_class, node_pool};

const SOON: Duration = Duration::from_secs(30);
const UNREGISTERED: &str = "karpenter.sh/unregistered";

/// What the API server says of an object that it refuses.
async fn refusal(bed: &Bed, object: &Value) -> Result<String, Trouble> {
    let error = bed.cluster.apply_object(object).await.err().ok_or_else(|| format!("it was taken: {object}"))?;
    Ok(error.to_string())
}

pub(crate) async fn the_job_of_the_benchmark_would_be_taken(bed: &Bed) -> Outcome {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/benchmark/job.yaml");
    let objects = documents(&std::fs::read_to_string(path)?)?;
    assert!(objects.iter().any(|object| object["kind"] == "Job"), "no Job among them");
    for object in &objects {
        bed.cluster.would_take(object).await?;
        let mut mistaken = object.clone();
        mistaken["spec"]["completionsMode"] = json!("Indexed");
        let refused = bed.cluster.would_take(&mistaken).await.err().ok_or("a field that does not exist was taken")?;
        assert!(refused.to_string().contains("completionsMode"), "{refused}");
    }
    Ok(())
}

pub(crate) async fn mistakes_in_custom_resources_are_refused(bed: &Bed) -> Outcome {
    bed.cluster.apply_object(&node_class()).await?;
    bed.cluster.apply_object(&node_pool(&Value::Null)).await?;

    let mut pool = node_pool(&Value::Null);
    pool["spec"]["template"]["spec"]["requirements"][0]["key"] = json!("karpenter.sh/nodepool");
    let said = refusal(bed, &pool).await?;
    assert!(said.contains("422") && said.contains("requirements[0].key"), "{said}");

    let mut pool = node_pool(&Value::Null);
    pool["spec"]["template"]["spec"]["requirements"][0]["operator"] = json!("Among");
    let said = refusal(bed, &pool).await?;
    assert!(said.contains("operator"), "{said}");

    let mut class = node_class();
    class["spec"]["instanceProfile"] = json!("both");
    let said = refusal(bed, &class).await?;
    assert!(said.contains("instanceProfile"), "{said}");
    Ok(())
}

pub(crate) async fn pods_without_a_node_are_unschedulable(bed: &Bed) -> Outcome {
    let workload = Workload { name: "web", replicas: 5, cpu: "1", memory: "1Gi", more: Workload::spread_over_zones("web") };
    bed.cluster.apply_object(&workload.deployment()).await?;
    bed.cluster.until_unschedulable(&workload, SOON).await?;
    let pod = bed.cluster.pods_of("web").await?.pop().ok_or("there are pods")?.name_any();
    until("an event says so", SOON, async || {
        let events = bed.cluster.events("Pod", &pod).await?;
        Ok(events
            .iter()
            .any(|(reason, message)| reason == "FailedScheduling" && message.contains("no nodes available"))
            .then_some(()))
    })
    .await
}

pub(crate) async fn the_controller_may_do_what_its_roles_say(bed: &Bed) -> Outcome {
    let client = bed.plane.client("supercargo").await?;
    Api::<Node>::all(client.clone()).list(&ListParams::default()).await?;
    let secrets = Api::<Secret>::all(client.clone()).list(&ListParams::default()).await.map(drop);
    let bindings = Api::<ClusterRoleBinding>::all(client).list(&ListParams::default()).await.map(drop);
    for forbidden in [secrets, bindings] {
        assert!(matches!(&forbidden, Err(kube::Error::Api(status)) if status.code == 403), "{forbidden:?}");
    }
    Ok(())
}

pub(crate) async fn a_budget_blocks_an_eviction(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("budget").await?;
    let _joiner = bed.joiner(&cloud, Habits::default())?;
    let workload = Workload { name: "web", replicas: 2, cpu: "100m", memory: "100Mi", more: Value::Null };
    bed.cluster.apply_object(&workload.deployment()).await?;
    launch(bed, &cloud, "m5.large", 1, &[]).await?;
    let pods = bed.cluster.until_running(&workload, SOON).await?;

    let budget = |least: u32| {
        format!(
            "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: web}}\n\
            spec: {{minAvailable: {least}, selector: {{matchLabels: {{app: web}}}}}}\n"
        )
    };
    bed.cluster.apply(&budget(2)).await?;
    let name = pods[0].name_any();
    let refused = bed.cluster.evict(&name).await;
    assert!(matches!(&refused, Err(kube::Error::Api(status)) if status.code == 429), "{refused:?}");
    bed.cluster.apply(&budget(1)).await?;
    until("the budget lets the pod go", SOON, async || Ok(bed.cluster.evict(&name).await.is_ok().then_some(()))).await?;
    until("the pod is gone", SOON, async || {
        Ok(bed.cluster.pods_of("web").await?.iter().all(|pod| pod.name_any() != name).then_some(()))
    })
    .await
}

pub(crate) async fn an_instance_becomes_a_node_that_runs_pods(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("node").await?;
    let _joiner = bed.joiner(&cloud, Habits::default())?;
    let workload = Workload { name: "web", replicas: 3, cpu: "500m", memory: "1Gi", more: Value::Null };
    bed.cluster.apply_object(&workload.deployment()).await?;
    bed.cluster.until_unschedulable(&workload, SOON).await?;

    let started = launch(bed, &cloud, "m5.large", 1, &[UNREGISTERED]).await?;
    let instance = instances_of(&started).pop().ok_or("the fleet started an instance")?;
    let node = until("the node is ready", SOON, async || Ok(bed.cluster.nodes().await?.into_iter().find(is_ready))).await?;
    let provider_id = node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref());
    assert_eq!(provider_id, Some(format!("aws:///us-east-1a/{instance}").as_str()));
    let label = |key: &str| node.labels().get(key).map(String::as_str);
    assert_eq!(label("team"), Some("web"), "the label is in the user data");
    assert_eq!(label("node.kubernetes.io/instance-type"), Some("m5.large"));
    assert_eq!(label("topology.kubernetes.io/zone"), Some("us-east-1a"));
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref()).ok_or("the node says what it has")?;
    assert_eq!((allocatable["cpu"].0.as_str(), allocatable["pods"].0.as_str()), ("1930m", "29"));

    bed.cluster.until_unschedulable(&workload, SOON).await?;
    bed.cluster.untaint(&node.name_any(), UNREGISTERED).await?;
    let pods = bed.cluster.until_running(&workload, SOON).await?;
    assert_eq!(by_node(&pods).into_iter().collect::<Vec<_>>(), [(node.name_any().as_str(), 3)]);

    cloud.ec2.terminate_instances().instance_ids(instance).send().await.map_err(aws_sdk_ec2::Error::from)?;
    cloud.until_instances(0, SOON).await?;
    until("the node is gone", SOON, async || Ok(bed.cluster.nodes().await?.is_empty().then_some(()))).await
}

pub(crate) async fn faults_of_instances_show(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("faults").await?;
    let slow = Fault::NotReadyFor(Duration::from_secs(2));
    let lacks = Fault::Lacks("nvidia.com/gpu".to_owned());
    let habits = Habits {
        boot: Duration::ZERO..Duration::from_millis(500),
        faults: [Fault::NeverJoins, Fault::JoinsTwice, slow, lacks, Fault::None].into(),
        seed: 7,
    };
    let _joiner = bed.joiner(&cloud, habits)?;
    launch(bed, &cloud, "g4dn.xlarge", 5, &[]).await?;
    let nodes = until("five nodes are there, one of them not ready", SOON, async || {
        let nodes = bed.cluster.nodes().await?;
        Ok((nodes.len() == 5 && nodes.iter().filter(|node| is_ready(node)).count() == 4).then_some(nodes))
    })
    .await?;
    let gpus = |node: &&Node| {
        node.status.iter().any(|status| status.allocatable.iter().flatten().any(|(name, _)| name == "nvidia.com/gpu"))
    };
    assert_eq!(nodes.iter().filter(gpus).count(), 4);
    until("all nodes are ready", SOON, async || Ok(bed.cluster.nodes().await?.iter().all(is_ready).then_some(()))).await
}

pub(crate) async fn pools_of_the_cloud_run_dry(bed: &Bed) -> Outcome {
    let cloud = bed.cloud("pools").await?;
    cloud.account.pools(&json!({"m5.large/us-east-1a/on-demand": 1}));
    let started = launch(bed, &cloud, "m5.large", 2, &[]).await?;
    assert_eq!(instances_of(&started).len(), 1);
    assert_eq!(started.errors()[0].error_code(), Some("InsufficientInstanceCapacity"));

    cloud.account.faults(&json!([{"action": "CreateFleet", "error": ["UnauthorizedOperation", 403, "no"]}]));
    let error = launch(bed, &cloud, "m5.large", 1, &[]).await.err().ok_or("the fleet was refused")?;
    assert!(error.to_string().contains("UnauthorizedOperation"), "{error}");
    cloud.until_instances(1, SOON).await.map(drop)
}

fn instances_of(fleet: &CreateFleetOutput) -> Vec<String> {
    fleet.instances().iter().flat_map(|started| started.instance_ids().to_vec()).collect()
}

/// User data for nodes with the label `team=web` and taints without value.
fn user_data(bed: &Bed, taints: &[&str]) -> Result<String, Trouble> {
    let taints: Vec<Value> = taints.iter().map(|key| json!({"key": key, "effect": "NoExecute"})).collect();
    let config = json!({
        "apiVersion": "node.eks.aws/v1alpha1",
        "kind": "NodeConfig",
        "spec": {
            "cluster": {
                "name": CLUSTER,
                "apiServerEndpoint": bed.plane.server,
                "certificateAuthority": STANDARD.encode(std::fs::read(&bed.plane.authority)?),
                "cidr": SERVICE_RANGE,
            },
            "kubelet": {"config": {"registerWithTaints": taints}, "flags": ["--node-labels=\"team=web\""]},
        },
    });
    let boundary = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"//\"\n\n";
    Ok(format!("{boundary}--//\nContent-Type: application/node.eks.aws\n\n{config}\n--//--\n"))
}

/// Starts instances of a type in us-east-1a, as the cluster's own.
async fn launch(
    bed: &Bed,
    cloud: &Cloud,
    instance_type: &str,
    count: i32,
    taints: &[&str],
) -> Result<CreateFleetOutput, Trouble> {
    let name = format!("template-{}", cloud.account.count("CreateLaunchTemplate"));
    let data = RequestLaunchTemplateData::builder()
        .image_id(cloud.image("x86_64").await?)
        .user_data(STANDARD.encode(user_data(bed, taints)?))
        .build();
    let template = cloud.ec2.create_launch_template().launch_template_name(&name).launch_template_data(data);
    template.send().await.map_err(aws_sdk_ec2::Error::from)?;

    let specification = FleetLaunchTemplateSpecificationRequest::builder().launch_template_name(name).version("$Latest").build();
    let over = FleetLaunchTemplateOverridesRequest::builder()
        .instance_type(InstanceType::from(instance_type))
        .subnet_id(cloud.subnet(&format!("{REGION}a")).await?)
        .build();
    let config = FleetLaunchTemplateConfigRequest::builder().launch_template_specification(specification).overrides(over).build();
    let capacity = TargetCapacitySpecificationRequest::builder()
        .total_target_capacity(count)
        .default_target_capacity_type(DefaultTargetCapacityType::OnDemand)
        .build();
    let owned = Tag::builder().key(format!("kubernetes.io/cluster/{CLUSTER}")).value("owned").build();
    let tags = TagSpecification::builder().resource_type(ResourceType::Instance).tags(owned).build();
    let fleet = cloud.ec2.create_fleet().r#type(FleetType::Instant).launch_template_configs(config).tag_specifications(tags);
    Ok(fleet.target_capacity_specification(capacity).send().await.map_err(aws_sdk_ec2::Error::from)?)
}
