//! The CEL rules of `karpenter.k8s.aws/v1 EC2NodeClass`.
//!
//! The expressions are those of Karpenter's AWS provider v1.15.1. Some are looser than their intent and are kept so, because objects
//! that exist may rely on it: the rules about `id` and `name` of subnets, security groups and reservations refuse a list only if every
//! term breaks them.

use crate::adapters::kube::crd::schema::Rule;

/// Sizes of volumes: 1 to 59,000 `Gi`, 64,000 `G`, 58 `Ti` or 64 `T`.
pub(super) const VOLUME_SIZE: &str = "^((?:[1-9][0-9]{0,3}|[1-4][0-9]{4}|[5][0-8][0-9]{3}|59000)Gi|(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|[6][0-3][0-9]{3}|64000)G|([1-9]||[1-5][0-7]|58)Ti|([1-9]||[1-5][0-9]|6[0-3]|64)T)$";

pub(super) const SPEC_RULES: &[Rule] = &[
    (
        "(has(self.role) && !has(self.instanceProfile)) || (!has(self.role) && has(self.instanceProfile))",
        "give either `role` or `instanceProfile`",
    ),
    (
        "!has(self.amiFamily) || (self.amiSelectorTerms.exists(x, has(x.alias) && x.alias.find('^[^@]+') == 'al2') ? (self.amiFamily == 'Custom' || self.amiFamily == 'AL2') : true)",
        "with an alias of the family al2, `amiFamily` must be `AL2` or `Custom` if it is given",
    ),
    (
        "!has(self.amiFamily) || (self.amiSelectorTerms.exists(x, has(x.alias) && x.alias.find('^[^@]+') == 'al2023') ? (self.amiFamily == 'Custom' || self.amiFamily == 'AL2023') : true)",
        "with an alias of the family al2023, `amiFamily` must be `AL2023` or `Custom` if it is given",
    ),
    (
        "!has(self.amiFamily) || (self.amiSelectorTerms.exists(x, has(x.alias) && x.alias.find('^[^@]+') == 'bottlerocket') ? (self.amiFamily == 'Custom' || self.amiFamily == 'Bottlerocket') : true)",
        "with an alias of the family bottlerocket, `amiFamily` must be `Bottlerocket` or `Custom` if it is given",
    ),
    (
        "!has(self.amiFamily) || (self.amiSelectorTerms.exists(x, has(x.alias) && x.alias.find('^[^@]+') == 'windows2019') ? (self.amiFamily == 'Custom' || self.amiFamily == 'Windows2019') : true)",
        "with an alias of the family windows2019, `amiFamily` must be `Windows2019` or `Custom` if it is given",
    ),
    (
        "!has(self.amiFamily) || (self.amiSelectorTerms.exists(x, has(x.alias) && x.alias.find('^[^@]+') == 'windows2022') ? (self.amiFamily == 'Custom' || self.amiFamily == 'Windows2022') : true)",
        "with an alias of the family windows2022, `amiFamily` must be `Windows2022` or `Custom` if it is given",
    ),
    (
        "!has(self.amiFamily) || (self.amiSelectorTerms.exists(x, has(x.alias) && x.alias.find('^[^@]+') == 'windows2025') ? (self.amiFamily == 'Custom' || self.amiFamily == 'Windows2025') : true)",
        "with an alias of the family windows2025, `amiFamily` must be `Windows2025` or `Custom` if it is given",
    ),
    (
        "self.amiSelectorTerms.exists(x, has(x.alias)) ? true : has(self.amiFamily)",
        "without an alias in `amiSelectorTerms`, `amiFamily` must be given",
    ),
];

pub(super) const SUBNET_RULES: &[Rule] = &[
    ("self.size() != 0", "`subnetSelectorTerms` needs at least one term"),
    ("self.all(x, has(x.tags) || has(x.id))", "a term needs `tags` or `id`"),
    ("!self.all(x, has(x.id) && has(x.tags))", "`id` must be the only field of a term"),
];

pub(super) const SECURITY_GROUP_RULES: &[Rule] = &[
    ("self.size() != 0", "`securityGroupSelectorTerms` needs at least one term"),
    ("self.all(x, has(x.tags) || has(x.id) || has(x.name))", "a term needs `tags`, `id` or `name`"),
    ("!self.all(x, has(x.id) && (has(x.tags) || has(x.name)))", "`id` must be the only field of a term"),
    ("!self.all(x, has(x.name) && (has(x.tags) || has(x.id)))", "`name` must be the only field of a term"),
];

pub(super) const RESERVATION_RULES: &[Rule] = &[
    (
        "self.all(x, has(x.tags) || has(x.id) || has(x.instanceMatchCriteria))",
        "a term needs `tags`, `id` or `instanceMatchCriteria`",
    ),
    (
        "!self.all(x, has(x.id) && (has(x.tags) || has(x.ownerID) || has(x.instanceMatchCriteria)))",
        "`id` must be the only field of a term",
    ),
];

pub(super) const AMI_RULES: &[Rule] = &[
    (
        "self.all(x, has(x.tags) || has(x.id) || has(x.name) || has(x.alias) || has(x.ssmParameter))",
        "a term needs `alias`, `tags`, `id`, `name` or `ssmParameter`",
    ),
    (
        "!self.exists(x, has(x.id) && (has(x.alias) || has(x.tags) || has(x.name) || has(x.owner)))",
        "`id` must be the only field of its term",
    ),
    (
        "!self.exists(x, has(x.alias) && (has(x.id) || has(x.tags) || has(x.name) || has(x.owner)))",
        "`alias` must be the only field of its term",
    ),
    ("!(self.exists(x, has(x.alias)) && self.size() != 1)", "a term with `alias` must be the only term"),
];

pub(super) const ALIAS_RULES: &[Rule] = &[
    ("self.matches('^[a-zA-Z0-9]+@.+$')", "an alias is written `family@version`"),
    (
        "self.split('@')[0] in ['al2','al2023','bottlerocket','windows2019','windows2022','windows2025']",
        "the family of an alias is al2, al2023, bottlerocket, windows2019, windows2022 or windows2025",
    ),
    (
        "self.split('@')[0] in ['windows2019','windows2022','windows2025'] ? self.split('@')[1] == 'latest' : true",
        "the version of a Windows family can only be `latest`",
    ),
];

pub(super) const PLACEMENT_GROUP_RULES: &[Rule] = &[
    ("has(self.name) || has(self.id)", "give `name` or `id`"),
    ("!(has(self.name) && has(self.id))", "`name` and `id` exclude each other"),
];

pub(super) const TAG_RULES: &[Rule] = &[
    ("self.all(k, k != '')", "keys of tags must not be empty"),
    ("self.all(k, k !='eks:eks-cluster-name')", "the tag `eks:eks-cluster-name` is set by the controller"),
    (
        "self.all(k, !k.startsWith('kubernetes.io/cluster') )",
        "tags that begin with `kubernetes.io/cluster` are set by the controller",
    ),
    ("self.all(k, k != 'karpenter.sh/nodepool')", "the tag `karpenter.sh/nodepool` is set by the controller"),
    ("self.all(k, k !='karpenter.sh/nodeclaim')", "the tag `karpenter.sh/nodeclaim` is set by the controller"),
    ("self.all(k, k !='karpenter.k8s.aws/ec2nodeclass')", "the tag `karpenter.k8s.aws/ec2nodeclass` is set by the controller"),
];

pub(super) const VOLUME_RULES: &[Rule] =
    &[("self.filter(x, has(x.rootVolume)?x.rootVolume==true:false).size() <= 1", "only one mapping can have `rootVolume`")];

pub(super) const EBS_RULES: &[Rule] = &[
    ("has(self.snapshotID) || has(self.volumeSize)", "give `snapshotID` or `volumeSize`"),
    (
        "!has(self.volumeInitializationRate) || (has(self.snapshotID) && self.snapshotID != '')",
        "`volumeInitializationRate` needs a `snapshotID`",
    ),
];

pub(super) const INTERFACE_RULES: &[Rule] = &[
    (
        "self.size() == 0 || self.exists(x, x.deviceIndex == 0 && x.networkCardIndex == 0 && x.interfaceType == 'interface')",
        "device 0 of network card 0 must be there, and of the type `interface`",
    ),
    (
        "self.all(x, self.filter(y, x.networkCardIndex == y.networkCardIndex && x.deviceIndex == y.deviceIndex).size() == 1 && (x.interfaceType != 'efa-only' || self.filter(y, x.networkCardIndex == y.networkCardIndex && y.interfaceType == 'efa-only').size() == 1))",
        "a network card has each device once, and at most one interface of the type `efa-only`",
    ),
];

pub(super) const TRACKING_RULES: &[Rule] = &[(
    "has(self.tcpEstablishedTimeout) || has(self.udpStreamTimeout) || has(self.udpTimeout)",
    "give at least one of `tcpEstablishedTimeout`, `udpStreamTimeout` and `udpTimeout`",
)];
