//! Label keys with a meaning of their own (Karpenter core v1.15.0, AWS provider v1.15.1).

/// `karpenter.sh/nodepool`.
pub const NODE_POOL: &str = "karpenter.sh/nodepool";
/// `karpenter.sh/capacity-type`: `on-demand`, `spot` or `reserved`.
pub const CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";
/// `karpenter.k8s.aws/ec2nodeclass`.
pub const NODE_CLASS: &str = "karpenter.k8s.aws/ec2nodeclass";
/// `topology.kubernetes.io/zone`.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// `topology.k8s.aws/zone-id`.
pub const ZONE_ID: &str = "topology.k8s.aws/zone-id";
/// `topology.kubernetes.io/region`.
pub const REGION: &str = "topology.kubernetes.io/region";
/// `node.kubernetes.io/instance-type`.
pub const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";
/// `kubernetes.io/arch`: `amd64` or `arm64`.
pub const ARCH: &str = "kubernetes.io/arch";
/// `kubernetes.io/os`.
pub const OS: &str = "kubernetes.io/os";
/// `kubernetes.io/hostname`: unique to a node, so no requirement may name it.
pub const HOSTNAME: &str = "kubernetes.io/hostname";
/// `node.kubernetes.io/windows-build`.
pub const WINDOWS_BUILD: &str = "node.kubernetes.io/windows-build";
/// `karpenter.sh/registered`, present on every node that runs pods.
pub const REGISTERED: &str = "karpenter.sh/registered";
/// `karpenter.sh/initialized`, present on every node that runs pods.
pub const INITIALIZED: &str = "karpenter.sh/initialized";
/// `karpenter.k8s.aws/instance-tenancy`: `default` or `dedicated`, chosen at launch.
pub const TENANCY: &str = "karpenter.k8s.aws/instance-tenancy";

/// `karpenter.k8s.aws/capacity-reservation-id`; on nodes of capacity type `reserved` only, as the two that follow.
pub const RESERVATION_ID: &str = "karpenter.k8s.aws/capacity-reservation-id";
/// `karpenter.k8s.aws/capacity-reservation-type`: `default` or `capacity-block`.
pub const RESERVATION_TYPE: &str = "karpenter.k8s.aws/capacity-reservation-type";
/// `karpenter.k8s.aws/capacity-reservation-interruptible`: `true` or `false`.
pub const RESERVATION_INTERRUPTIBLE: &str = "karpenter.k8s.aws/capacity-reservation-interruptible";

/// Stands for the field `metadata.name` of a node where a node-affinity term names it (`matchFields`). The colon makes it no label
/// key, so no node that is still to be bought ever has it.
pub const NODE_NAME_FIELD: &str = "field:metadata.name";
/// Stands for the Spot pool of a node, instance type and zone (`m5.large us-east-1a`); nodes that are not on Spot have none. No label
/// of a node, as the colon says.
pub const SPOT_POOL: &str = "derived:spot-pool";
/// Required by an alternative that no node can meet (an empty node-affinity term, a contradiction). The blank makes it no label
/// key, so nothing ever defines it.
pub const NO_NODE: &str = "no node";

/// The domain of the AWS provider's own labels.
pub const AWS_DOMAIN: &str = "karpenter.k8s.aws";
/// The domain of Karpenter core's labels.
pub const KARPENTER_DOMAIN: &str = "karpenter.sh";

/// Labels of `karpenter.k8s.aws` that requirements may name, without the domain, in the order of the CRD's allow-list.
pub(crate) const AWS_LABELS: &[&str] = &[
    "instance-tenancy",
    "capacity-reservation-type",
    "capacity-reservation-id",
    "capacity-reservation-interruptible",
    "ec2nodeclass",
    "instance-encryption-in-transit-supported",
    "instance-category",
    "instance-hypervisor",
    "instance-family",
    "instance-generation",
    "instance-local-nvme",
    "instance-size",
    "instance-cpu",
    "instance-cpu-manufacturer",
    "instance-cpu-sustained-clock-speed-mhz",
    "instance-memory",
    "instance-ebs-bandwidth",
    "instance-network-bandwidth",
    "instance-gpu-name",
    "instance-gpu-manufacturer",
    "instance-gpu-count",
    "instance-gpu-memory",
    "instance-accelerator-name",
    "instance-accelerator-manufacturer",
    "instance-accelerator-count",
    "instance-capability-flex",
    "placement-group-id",
    "placement-group-partition",
];

/// Whether a requirement may use `key` although no NodePool defines it.
#[must_use]
pub fn is_well_known(key: &str) -> bool {
    matches!(key, NODE_POOL | CAPACITY_TYPE | ZONE | ZONE_ID | REGION | INSTANCE_TYPE | ARCH | OS | WINDOWS_BUILD)
        || is_aws_label(key)
}

/// Whether `key` is one of the labels of `karpenter.k8s.aws` that exist.
#[must_use]
pub fn is_aws_label(key: &str) -> bool {
    key.strip_prefix(AWS_DOMAIN).and_then(|rest| rest.strip_prefix('/')).is_some_and(|name| AWS_LABELS.contains(&name))
}

/// The stable key that stands for `key`: old names of zone, region, architecture, system and type are rewritten.
#[must_use]
pub fn normalize(key: &str) -> &str {
    match key {
        "failure-domain.beta.kubernetes.io/zone" | "topology.ebs.csi.aws.com/zone" => ZONE,
        "failure-domain.beta.kubernetes.io/region" => REGION,
        "beta.kubernetes.io/arch" => ARCH,
        "beta.kubernetes.io/os" => OS,
        "beta.kubernetes.io/instance-type" => INSTANCE_TYPE,
        other => other,
    }
}
