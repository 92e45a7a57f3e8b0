//! Images by alias, id, name, tags, owner or parameter.

mod alias;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ec2::types::{ArchitectureValues, Filter};
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use k8s_openapi::api::core::v1::NodeSelectorRequirement;
use k8s_openapi::jiff::Timestamp;

pub use alias::unsupported_alias;

use alias::{Parameter, Variant};

use super::{DiscoveryError, each_page, filter, key, tag_filters};
use crate::adapters::aws::cloud::Cloud;
use crate::adapters::kube::crd::AmiSelectorTerm;
use crate::domain::labels;

const DESCRIBE: &str = "ec2:DescribeImages";
const PARAMETER: &str = "ssm:GetParameter";
const PAGE: i32 = 1000;
/// How long the parameters of aliases are kept.
const ALIAS_KEEP: Duration = Duration::from_hours(24);
/// How long a parameter that a user names is kept, and one that is not there.
const PARAMETER_KEEP: Duration = Duration::from_mins(5);
/// How long a parameter that moves is believed when its image is deprecated.
const DEPRECATED_KEEP: Duration = Duration::from_mins(30);

/// An image that nodes can start from.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// `ami-...`.
    pub id: String,
    /// Name.
    pub name: Option<String>,
    /// When it was made, as EC2 writes it: `2025-01-31T12:00:00.000Z`.
    pub created: String,
    /// Whether its owner deprecated it before it was asked for.
    pub deprecated: bool,
    /// Nodes that it is for; by length of the key, then by key.
    pub requirements: Vec<NodeSelectorRequirement>,
}

/// One question to EC2.
#[derive(Clone, Debug, PartialEq)]
struct Query {
    filters: Vec<Filter>,
    owners: Vec<String>,
}

impl Cloud {
    /// The images that any of `terms` selects, newest first. Of those for the same nodes only one is kept: the newest that is not
    /// deprecated, or else the newest. An instance type runs the first image whose requirements it meets.
    ///
    /// A parameter that is not there selects nothing.
    ///
    /// # Errors
    /// When EC2 or SSM cannot be asked.
    pub async fn images(
        &self,
        terms: &[AmiSelectorTerm],
        kubernetes_version: &str,
        now: Timestamp,
    ) -> Result<Vec<Image>, DiscoveryError> {
        let question = key(&(terms, kubernetes_version));
        if let Some(known) = self.memory.images.get(&question, now) {
            return Ok(known);
        }
        let mut variants: BTreeMap<String, Vec<Variant>> = BTreeMap::new();
        let mut moving: Vec<(String, String)> = Vec::new();
        for parameter in
            terms.iter().filter_map(|term| term.alias.as_deref()).flat_map(|of| alias::parameters(of, kubernetes_version))
        {
            let Parameter { name, variants: of, mutable } = parameter;
            if let Some(id) = self.parameter(&name, ALIAS_KEEP, now).await? {
                variants.entry(id.clone()).or_default().extend(of);
                if mutable {
                    moving.push((id, name));
                }
            }
        }
        let mut ids: Vec<String> = variants.keys().cloned().chain(terms.iter().filter_map(|term| term.id.clone())).collect();
        for name in terms.iter().filter_map(|term| term.ssm_parameter.as_deref()) {
            ids.extend(self.parameter(name, PARAMETER_KEEP, now).await?);
        }
        ids.sort_unstable();
        ids.dedup();

        let mut found = Vec::new();
        for query in queries(terms, ids) {
            let request = self.ec2.describe_images().set_filters(Some(query.filters)).include_deprecated(true).max_results(PAGE);
            let request = request.set_owners((!query.owners.is_empty()).then_some(query.owners));
            each_page(&self.region, DESCRIBE, request.into_paginator().send(), |page| {
                found.extend(page.images().iter().flat_map(|image| read(image, &variants, now)));
            })
            .await?;
        }
        for (id, name) in moving {
            if found.iter().any(|image| image.id == id && image.deprecated) {
                self.memory.parameters.forget_older(&name, DEPRECATED_KEEP, now);
            }
        }
        let found = choose(found);
        self.memory.images.put(&question, found.clone(), self.memory.intervals.images, now);
        Ok(found)
    }

    /// The id of an image that a parameter holds.
    async fn parameter(&self, name: &str, keep: Duration, now: Timestamp) -> Result<Option<String>, DiscoveryError> {
        if let Some(known) = self.memory.parameters.get(name, now) {
            return Ok(known);
        }
        let (value, keep) = match self.ssm.get_parameter().name(name).send().await {
            Ok(answer) => (answer.parameter().and_then(|parameter| parameter.value()).map(str::to_owned), keep),
            Err(error) if error.as_service_error().is_some_and(GetParameterError::is_parameter_not_found) => {
                (None, PARAMETER_KEEP)
            }
            Err(error) => return Err(DiscoveryError::from_sdk(&self.region, PARAMETER, &error)),
        };
        let value = value.filter(|value| value.starts_with("ami-"));
        self.memory.parameters.put(name, value.clone(), keep, now);
        Ok(value)
    }
}

/// The questions that the terms ask, `ids` being those that they name or their parameters hold.
fn queries(terms: &[AmiSelectorTerm], ids: Vec<String>) -> Vec<Query> {
    let by_id = (!ids.is_empty()).then(|| Query { filters: vec![filter("image-id", ids)], owners: Vec::new() });
    let others = terms.iter().filter(|term| term.id.is_none() && term.alias.is_none() && term.ssm_parameter.is_none());
    let others = others.filter(|term| term.name.is_some() || term.tags.is_some()).map(|term| {
        let mut filters = tag_filters(term.tags.as_ref());
        filters.extend(term.name.clone().map(|name| filter("name", [name])));
        let owners = match &term.owner {
            Some(owner) => vec![owner.clone()],
            // Anybody can call an image what he likes; tags of others nobody sees.
            None if term.name.is_some() => vec!["self".to_owned(), "amazon".to_owned()],
            None => Vec::new(),
        };
        Query { filters, owners }
    });
    by_id.into_iter().chain(others).filter(|query| !query.filters.is_empty()).collect()
}

/// The image once for each kind of node that it is for; nothing where its processors are neither x86 nor ARM.
fn read(image: &aws_sdk_ec2::types::Image, variants: &BTreeMap<String, Vec<Variant>>, now: Timestamp) -> Vec<Image> {
    let arch = match image.architecture() {
        Some(ArchitectureValues::X8664) => "amd64",
        Some(ArchitectureValues::Arm64) => "arm64",
        _ => return Vec::new(),
    };
    let Some(id) = image.image_id() else { return Vec::new() };
    let deprecation = image.deprecation_time().and_then(|time| time.parse::<Timestamp>().ok());
    let made = |of: Vec<NodeSelectorRequirement>| {
        let mut requirements = of;
        requirements.push(alias::requirement(labels::ARCH, "In", Some(arch)));
        requirements.sort_by(|a, b| a.key.len().cmp(&b.key.len()).then_with(|| a.key.cmp(&b.key)));
        Image {
            id: id.to_owned(),
            name: image.name().map(str::to_owned),
            created: image.creation_date().unwrap_or_default().to_owned(),
            deprecated: deprecation.is_some_and(|time| time <= now),
            requirements,
        }
    };
    match variants.get(id) {
        None => vec![made(Vec::new())],
        Some(variants) => variants.iter().map(|variant| made(variant.requirements())).collect(),
    }
}

/// One image for each set of requirements, in the order in which they are tried.
fn choose(mut images: Vec<Image>) -> Vec<Image> {
    images.sort_by(|a, b| (a.deprecated, &b.created, &b.name, &a.id).cmp(&(b.deprecated, &a.created, &a.name, &b.id)));
    let mut kept: Vec<Image> = Vec::new();
    for image in images {
        if !kept.iter().any(|other| other.requirements == image.requirements) {
            kept.push(image);
        }
    }
    kept.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sdk_image(id: &str, architecture: ArchitectureValues) -> aws_sdk_ec2::types::Image {
        aws_sdk_ec2::types::Image::builder()
            .image_id(id)
            .name(format!("name of {id}"))
            .architecture(architecture)
            .creation_date("2025-01-31T12:00:00.000Z")
            .deprecation_time("2025-02-28T12:00:00.000Z")
            .build()
    }

    fn at(time: &str) -> Timestamp {
        time.parse().expect("a time")
    }

    #[test]
    fn an_image_is_for_its_processors_and_its_variants() {
        let variants = BTreeMap::from([("ami-1".to_owned(), vec![Variant::Standard, Variant::Neuron])]);
        let found = read(&sdk_image("ami-1", ArchitectureValues::X8664), &variants, at("2025-02-01T00:00:00Z"));
        let words = |image: &Image| -> Vec<String> {
            let word = |one: &NodeSelectorRequirement| format!("{} {} {:?}", one.key, one.operator, one.values);
            image.requirements.iter().map(word).collect()
        };
        assert_eq!(
            found.iter().map(words).collect::<Vec<_>>(),
            [
                vec![
                    r#"kubernetes.io/arch In Some(["amd64"])"#.to_owned(),
                    "karpenter.k8s.aws/instance-gpu-count DoesNotExist None".to_owned(),
                    "karpenter.k8s.aws/instance-accelerator-count DoesNotExist None".to_owned(),
                ],
                vec![
                    r#"kubernetes.io/arch In Some(["amd64"])"#.to_owned(),
                    "karpenter.k8s.aws/instance-accelerator-count Exists None".to_owned(),
                ],
            ]
        );
        assert!(!found[0].deprecated);
        let other = read(&sdk_image("ami-2", ArchitectureValues::Arm64), &variants, at("2025-03-01T00:00:00Z"));
        assert_eq!(words(&other[0]), [r#"kubernetes.io/arch In Some(["arm64"])"#]);
        assert!(other[0].deprecated);
        assert_eq!(read(&sdk_image("ami-3", ArchitectureValues::I386), &variants, at("2025-03-01T00:00:00Z")), []);
    }

    fn image(id: &str, created: &str, deprecated: bool, arch: &str) -> Image {
        Image {
            id: id.to_owned(),
            name: None,
            created: created.to_owned(),
            deprecated,
            requirements: vec![alias::requirement(labels::ARCH, "In", Some(arch))],
        }
    }

    #[test]
    fn of_images_for_the_same_nodes_the_newest_that_is_not_deprecated_is_kept() {
        let ids = |images: Vec<Image>| choose(images).into_iter().map(|image| image.id).collect::<Vec<_>>();
        let all = [
            image("ami-old", "2024", false, "amd64"),
            image("ami-newest", "2026", true, "amd64"),
            image("ami-new", "2025", false, "amd64"),
            image("ami-arm", "2026", true, "arm64"),
            image("ami-arm-old", "2025", true, "arm64"),
        ];
        assert_eq!(ids(all.to_vec()), ["ami-arm", "ami-new"]);
        assert_eq!(ids(all.iter().rev().cloned().collect()), ["ami-arm", "ami-new"]);
    }

    #[test]
    fn names_are_looked_for_among_images_of_the_account_and_of_amazon() {
        let name = AmiSelectorTerm { name: Some("mine*".to_owned()), ..Default::default() };
        let owned = AmiSelectorTerm { owner: Some("123456789012".to_owned()), ..name.clone() };
        let tags = AmiSelectorTerm { tags: Some([("a".to_owned(), "*".to_owned())].into()), ..Default::default() };
        let only_owner = AmiSelectorTerm { owner: Some("self".to_owned()), ..Default::default() };
        let asked = queries(&[name, owned, tags, only_owner], vec!["ami-1".to_owned()]);
        let owners: Vec<Vec<String>> = asked.into_iter().map(|query| query.owners).collect();
        assert_eq!(owners, [vec![], vec!["self".to_owned(), "amazon".to_owned()], vec!["123456789012".to_owned()], vec![]]);
    }
}
