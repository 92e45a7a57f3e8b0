//! The cloud of a test: an account of the fake AWS with what an EKS cluster's account has before the controller comes.

use std::time::Duration;

use aws_sdk_ec2::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_ec2::types::{Filter, Reservation, Tag};
use aws_sdk_eks::types::{KubernetesNetworkConfigRequest, VpcConfigRequest};
use serde_json::json;

use crate::Trouble;
use crate::control_plane::SERVICE_RANGE;
use crate::fake::Account;

/// Name of the cluster that the control plane is.
pub(crate) const CLUSTER: &str = "e2e";
/// The region; the project's embedded catalog is of this one too.
pub(crate) const REGION: &str = "us-east-1";
/// The zones whose subnets are for nodes.
pub(crate) const ZONES: [&str; 3] = ["us-east-1a", "us-east-1b", "us-east-1c"];
/// The role of the nodes.
pub(crate) const NODE_ROLE: &str = "supercargo-node";
/// What the fake takes for a secret.
const SECRET: &str = "secret";

/// One account: its instances, faults and pools are no other test's.
pub(crate) struct Cloud {
    /// For faults, pools and the calls that were made. The joiner's own calls, of DescribeInstances and DescribeInstanceAttribute, are
    /// among these.
    pub(crate) account: Account,
    /// A client of the account.
    pub(crate) ec2: aws_sdk_ec2::Client,
}

impl Cloud {
    /// A new account with tagged subnets and a tagged security group, the role of the nodes, the cluster as EKS has it, and the images that
    /// SSM recommends. `name` is unlike that of every other test.
    pub(crate) async fn new(name: &str) -> Result<Self, Trouble> {
        let account = Account::new(&name.replace(|letter: char| !letter.is_ascii_alphanumeric(), ""));
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(account.endpoint())
            .credentials_provider(Credentials::new(&account.key, SECRET, None, None, "test bed"))
            .load()
            .await;
        let cloud = Self { account, ec2: aws_sdk_ec2::Client::new(&config) };
        cloud.seed_network().await?;
        let images = [cloud.image("x86_64").await?, cloud.image("arm64").await?];
        cloud.recommend(&images);
        seed_role(&aws_sdk_iam::Client::new(&config)).await?;
        seed_cluster(&aws_sdk_eks::Client::new(&config)).await?;
        Ok(cloud)
    }

    /// The variables that a client of the account needs.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.account.endpoint()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", self.account.key.clone()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// Ids of the instances that are pending or running.
    pub(crate) async fn instances(&self) -> Result<Vec<String>, Trouble> {
        let alive = Filter::builder().name("instance-state-name").values("pending").values("running").build();
        let answer = self.ec2.describe_instances().filters(alive).send().await.map_err(aws_sdk_ec2::Error::from)?;
        let instances = answer.reservations().iter().flat_map(Reservation::instances);
        Ok(instances.filter_map(|instance| instance.instance_id().map(str::to_owned)).collect())
    }

    /// Waits until so many instances are pending or running.
    pub(crate) async fn until_instances(&self, count: usize, patience: Duration) -> Result<Vec<String>, Trouble> {
        crate::cluster::until(&format!("there are {count} instances"), patience, async || {
            let found = self.instances().await?;
            Ok((found.len() == count).then_some(found))
        })
        .await
    }

    /// The subnet for nodes in a zone.
    pub(crate) async fn subnet(&self, zone: &str) -> Result<String, Trouble> {
        let filters = [("availability-zone", zone), ("default-for-az", "true")];
        let filters = filters.map(|(name, value)| Filter::builder().name(name).values(value).build());
        let answer =
            self.ec2.describe_subnets().set_filters(Some(filters.into())).send().await.map_err(aws_sdk_ec2::Error::from)?;
        let subnet = answer.subnets().first().and_then(|subnet| subnet.subnet_id());
        Ok(subnet.ok_or_else(|| format!("the fake has no subnet in {zone}"))?.to_owned())
    }

    /// An image of an architecture: one of moto's own, since images that are registered there have no architecture. The name makes the answer
    /// short; what is on the image matters to nobody.
    pub(crate) async fn image(&self, architecture: &str) -> Result<String, Trouble> {
        let filters = [("architecture", architecture), ("name", "amzn2-ami-hvm-*")];
        let filters = filters.map(|(name, value)| Filter::builder().name(name).values(value).build());
        let answer =
            self.ec2.describe_images().set_filters(Some(filters.into())).send().await.map_err(aws_sdk_ec2::Error::from)?;
        let image = answer.images().iter().filter_map(|image| image.image_id()).min();
        Ok(image.ok_or_else(|| format!("the fake has no image for {architecture}"))?.to_owned())
    }

    async fn seed_network(&self) -> Result<(), Trouble> {
        let mut request = self.ec2.create_tags().tags(Tag::builder().key("karpenter.sh/discovery").value(CLUSTER).build());
        for zone in ZONES {
            request = request.resources(self.subnet(zone).await?);
        }
        let default = Filter::builder().name("group-name").values("default").build();
        let groups = self.ec2.describe_security_groups().filters(default).send().await.map_err(aws_sdk_ec2::Error::from)?;
        for group in groups.security_groups() {
            request = request.resources(group.group_id().ok_or("a security group has an id")?);
        }
        request.send().await.map_err(aws_sdk_ec2::Error::from)?;
        Ok(())
    }

    /// Writes the parameters that AWS publishes for the version of the control plane.
    fn recommend(&self, [amd64, arm64]: &[String; 2]) {
        let mut parameters = serde_json::Map::new();
        for version in ["1.36", "1.37"] {
            for release in ["recommended", "amazon-eks-node-al2023"] {
                let of = |architecture: &str, kind: &str| {
                    format!("/aws/service/eks/optimized-ami/{version}/amazon-linux-2023/{architecture}/{kind}/{release}/image_id")
                };
                parameters.insert(of("x86_64", "standard"), json!(amd64));
                parameters.insert(of("arm64", "standard"), json!(arm64));
                parameters.insert(of("x86_64", "nvidia"), json!(amd64));
                parameters.insert(of("arm64", "nvidia"), json!(arm64));
                parameters.insert(of("x86_64", "neuron"), json!(amd64));
            }
        }
        self.account.parameters(&parameters.into());
    }
}

async fn seed_role(iam: &aws_sdk_iam::Client) -> Result<(), Trouble> {
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    });
    let request = iam.create_role().role_name(NODE_ROLE).assume_role_policy_document(trust.to_string());
    request.send().await.map_err(aws_sdk_iam::Error::from)?;
    Ok(())
}

/// The cluster as EKS describes it. Its endpoint there is the fake's invention: the controller is told the real one.
async fn seed_cluster(eks: &aws_sdk_eks::Client) -> Result<(), Trouble> {
    let network = KubernetesNetworkConfigRequest::builder().service_ipv4_cidr(SERVICE_RANGE).build();
    let request = eks.create_cluster().name(CLUSTER).version("1.36").role_arn("arn:aws:iam::000000000000:role/e2e");
    let request = request.resources_vpc_config(VpcConfigRequest::builder().build()).kubernetes_network_config(network);
    request.send().await.map_err(aws_sdk_eks::Error::from)?;
    Ok(())
}
