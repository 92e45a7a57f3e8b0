//! The family `threads`: cases that users of Karpenter reported. The numbers of pods and sizes are those that a thread names; where it names
//! none they are ours.

use crate::benchmark::instance::InstanceDocument;
use crate::benchmark::instance::generator::objects::{Pool, Service};
use crate::benchmark::instance::generator::{ANY, Draft, ON_DEMAND};
use crate::domain::labels;

/// Every instance of the family.
pub(super) fn instances() -> Vec<InstanceDocument> {
    vec![split_in_two(), processors_beside_gpus(), spot_lost_in_packing(), one_giant()]
}

fn thread<'a>(name: &str, source: &'a str, description: &'a str) -> Draft<'a> {
    Draft { source, ..Draft::new("threads", name, format!("threads case={name}"), description) }
}

fn split_in_two() -> InstanceDocument {
    thread(
        "issue-2457",
        "github.com/kubernetes-sigs/karpenter/issues/2457",
        "A pod of 3 cores and one of 1 core: a node of 4 cores and one of 2 cost less than the node of 8 that holds both.",
    )
    .with(
        &[Service::new("large", 1, 3_000, 4_096), Service::new("small", 1, 1_000, 1_024)],
        [Pool::new("default", ON_DEMAND).require("kubernetes.io/arch", "In", &["amd64"]).general()],
    )
}

fn processors_beside_gpus() -> InstanceDocument {
    let pool = Pool::new("default", ON_DEMAND).require("karpenter.k8s.aws/instance-category", "In", &["c", "m", "r", "g"]);
    thread(
        "issue-1149",
        "github.com/kubernetes-sigs/karpenter/issues/1149",
        "One NodePool for pods with and without GPUs: what is packed onto a GPU node beside its GPU pod may cost far more than a node of its own.",
    )
    .with(
        &[
            Service::new("inference", 6, 3_000, 12_288).gpus(1),
            Service::new("web", 40, 1_000, 2_048),
            Service::new("cache", 12, 2_000, 15_360),
        ],
        [pool],
    )
}

fn spot_lost_in_packing() -> InstanceDocument {
    let family = "karpenter.k8s.aws/instance-family";
    thread(
        "issue-2117",
        "github.com/kubernetes-sigs/karpenter/issues/2117",
        "Spot is sold in smaller sizes than On-Demand: a packing that fills the largest node leaves On-Demand alone to hold it.",
    )
    .with(
        &[Service::new("worker", 60, 1_800, 3_500), Service::new("helper", 30, 400, 900)],
        [
            Pool::new("spot", &["spot"]).require(family, "In", &["c5", "m5"]).require(
                "karpenter.k8s.aws/instance-cpu",
                "Lt",
                &["9"],
            ),
            Pool::new("on-demand", ON_DEMAND).require(family, "In", &["c5", "m5"]),
        ],
    )
}

fn one_giant() -> InstanceDocument {
    let worker = Service::new("worker", 160, 1_000, 12_288).spread(labels::ZONE, 10);
    thread(
        "issue-3063",
        "github.com/aws/karpenter-provider-aws/issues/3063",
        "160 pods at once, and no restriction on types: one giant node holds them all at a multiple of what some dozens of small ones cost.",
    )
    .with(&[worker], [Pool::new("default", ANY)])
}
