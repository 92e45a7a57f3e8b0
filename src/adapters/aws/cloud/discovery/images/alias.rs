//! Where AWS publishes the images of each family: parameters of SSM, and what instances each image is for.
//!
//! The names are those of the AWS provider of Karpenter v1.15.1; EKS documents them under "Retrieve recommended AMI IDs", Bottlerocket
//! in its own README.

use k8s_openapi::api::core::v1::NodeSelectorRequirement;

use crate::domain::labels;
use crate::domain::node_class::AmiFamily;

/// What devices an image has drivers for, or what else it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    /// No accelerator.
    Standard,
    /// NVIDIA GPUs.
    Nvidia,
    /// AWS Inferentia and Trainium.
    Neuron,
    /// Windows of one build.
    Windows(&'static str),
}

impl Variant {
    /// What a node of the image must be.
    pub(super) fn requirements(self) -> Vec<NodeSelectorRequirement> {
        let gpus = || format!("{}/instance-gpu-count", labels::AWS_DOMAIN);
        let accelerators = || format!("{}/instance-accelerator-count", labels::AWS_DOMAIN);
        match self {
            Self::Standard => {
                vec![requirement(&gpus(), "DoesNotExist", None), requirement(&accelerators(), "DoesNotExist", None)]
            }
            Self::Nvidia => vec![requirement(&gpus(), "Exists", None)],
            Self::Neuron => vec![requirement(&accelerators(), "Exists", None)],
            Self::Windows(build) => {
                vec![requirement(labels::OS, "In", Some("windows")), requirement(labels::WINDOWS_BUILD, "In", Some(build))]
            }
        }
    }
}

pub(super) fn requirement(key: &str, operator: &str, value: Option<&str>) -> NodeSelectorRequirement {
    NodeSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: value.map(|value| vec![value.to_owned()]),
    }
}

/// A parameter that holds the id of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: String,
    /// What its image is for; more than one where it serves several kinds of instance.
    pub(super) variants: Vec<Variant>,
    /// Whether AWS lets it point at newer images in time.
    pub(super) mutable: bool,
}

/// The parameters behind `alias` (`family@version`) for a control plane of version `kubernetes`; none for an alias that is not known.
pub(super) fn parameters(alias: &str, kubernetes: &str) -> Vec<Parameter> {
    let (family, version) = alias.split_once('@').unwrap_or((alias, "latest"));
    let mutable = version == "latest";
    let named = |name: String, variants: &[Variant]| Parameter { name, variants: variants.to_vec(), mutable };
    let eks = format!("/aws/service/eks/optimized-ami/{kubernetes}");
    match family {
        "al2023" => {
            let one = |(arch, name, variant): (&str, &str, Variant)| {
                let leaf = match mutable {
                    true => "recommended".to_owned(),
                    false => format!("amazon-eks-node-al2023-{arch}-{name}-{kubernetes}-{version}"),
                };
                named(format!("{eks}/amazon-linux-2023/{arch}/{name}/{leaf}/image_id"), &[variant])
            };
            let known = [
                ("x86_64", "standard", Variant::Standard),
                ("x86_64", "nvidia", Variant::Nvidia),
                ("x86_64", "neuron", Variant::Neuron),
                ("arm64", "standard", Variant::Standard),
                ("arm64", "nvidia", Variant::Nvidia),
            ];
            known.into_iter().map(one).collect()
        }
        "al2" => {
            let one = |(folder, infix, variants): (&str, &str, &[Variant])| {
                let leaf = match mutable {
                    true => "recommended".to_owned(),
                    false => format!("amazon-eks-{infix}node-{kubernetes}-{version}"),
                };
                named(format!("{eks}/amazon-linux-2{folder}/{leaf}/image_id"), variants)
            };
            let known: [(&str, &str, &[Variant]); 3] = [
                ("", "", &[Variant::Standard]),
                ("-arm64", "arm64-", &[Variant::Standard]),
                ("-gpu", "gpu-", &[Variant::Nvidia, Variant::Neuron]),
            ];
            known.into_iter().map(one).collect()
        }
        "bottlerocket" => {
            let version = version.strip_prefix('v').unwrap_or(version);
            let one = |(suffix, arch, variants): (&str, &str, &[Variant])| {
                named(format!("/aws/service/bottlerocket/aws-k8s-{kubernetes}{suffix}/{arch}/{version}/image_id"), variants)
            };
            let known: [(&str, &str, &[Variant]); 4] = [
                ("", "x86_64", &[Variant::Standard, Variant::Neuron]),
                ("-nvidia", "x86_64", &[Variant::Nvidia]),
                ("", "arm64", &[Variant::Standard]),
                ("-nvidia", "arm64", &[Variant::Nvidia]),
            ];
            known.into_iter().map(one).collect()
        }
        _ => windows(family).map_or_else(Vec::new, |(year, build)| {
            let path = "/aws/service/ami-windows-latest/Windows_Server";
            let name = format!("{path}-{year}-English-Core-EKS_Optimized-{kubernetes}/image_id");
            // Windows is only published as the newest.
            vec![Parameter { name, variants: vec![Variant::Windows(build)], mutable: true }]
        }),
    }
}

fn windows(family: &str) -> Option<(&'static str, &'static str)> {
    let (year, of) = match family {
        "windows2019" => ("2019", AmiFamily::Windows2019),
        "windows2022" => ("2022", AmiFamily::Windows2022),
        "windows2025" => ("2025", AmiFamily::Windows2025),
        _ => return None,
    };
    of.windows_build().map(|build| (year, build))
}

/// Why AWS publishes no image behind `alias` for a control plane of version `kubernetes`; `None` where it does, as far as is known.
#[must_use]
pub fn unsupported_alias(alias: &str, kubernetes: &str) -> Option<String> {
    let minor: u32 = kubernetes.split('.').nth(1)?.parse().ok()?;
    match alias.split('@').next()? {
        "al2" if minor >= 33 => {
            Some(format!("AWS publishes no AL2 images for Kubernetes {kubernetes}; use al2023 or bottlerocket in the alias"))
        }
        "windows2025" if minor < 35 => Some(format!(
            "AWS publishes Windows Server 2025 images for Kubernetes 1.35 and newer, not for {kubernetes}; use windows2022"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(alias: &str) -> Vec<String> {
        parameters(alias, "1.32").into_iter().map(|parameter| parameter.name).collect()
    }

    #[test]
    fn each_family_has_its_parameters() {
        assert_eq!(
            names("al2023@latest")[..2],
            [
                "/aws/service/eks/optimized-ami/1.32/amazon-linux-2023/x86_64/standard/recommended/image_id",
                "/aws/service/eks/optimized-ami/1.32/amazon-linux-2023/x86_64/nvidia/recommended/image_id"
            ]
        );
        assert_eq!(
            names("al2023@v20250101")[3],
            "/aws/service/eks/optimized-ami/1.32/amazon-linux-2023/arm64/standard/\
             amazon-eks-node-al2023-arm64-standard-1.32-v20250101/image_id"
        );
        assert_eq!(
            names("al2@v20250101")[2],
            "/aws/service/eks/optimized-ami/1.32/amazon-linux-2-gpu/amazon-eks-gpu-node-1.32-v20250101/image_id"
        );
        assert_eq!(names("bottlerocket@v1.46.0")[1], "/aws/service/bottlerocket/aws-k8s-1.32-nvidia/x86_64/1.46.0/image_id");
        assert_eq!(
            names("windows2022@latest"),
            ["/aws/service/ami-windows-latest/Windows_Server-2022-English-Core-EKS_Optimized-1.32/image_id"]
        );
        assert_eq!(names("ubuntu@latest"), [""; 0]);
    }

    #[test]
    fn the_x86_bottlerocket_serves_neuron_and_the_al2_for_gpus_both() {
        assert_eq!(parameters("bottlerocket@latest", "1.32")[0].variants, [Variant::Standard, Variant::Neuron]);
        assert_eq!(parameters("al2@latest", "1.32")[2].variants, [Variant::Nvidia, Variant::Neuron]);
    }

    #[test]
    fn families_end_and_begin_with_versions() {
        assert!(unsupported_alias("al2@latest", "1.33").is_some() && unsupported_alias("al2@latest", "1.32").is_none());
        assert!(unsupported_alias("windows2025@latest", "1.34").is_some());
        assert!(
            unsupported_alias("windows2025@latest", "1.35").is_none() && unsupported_alias("al2023@latest", "1.40").is_none()
        );
    }
}
