//! Security groups by id, name or tags.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::Filter;
use k8s_openapi::jiff::Timestamp;

use super::{DiscoveryError, each_page, filter, key, tag_filters};
use crate::adapters::aws::cloud::Cloud;
use crate::adapters::kube::crd::SecurityGroupSelectorTerm;

const ACTION: &str = "ec2:DescribeSecurityGroups";
/// As many groups per page as the AWS provider of Karpenter asks for.
const PAGE: i32 = 500;

/// A security group of the network interfaces of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityGroup {
    /// `sg-...`.
    pub id: String,
    /// Name.
    pub name: Option<String>,
}

impl Cloud {
    /// The security groups that any of `terms` selects, by id.
    ///
    /// # Errors
    /// When EC2 cannot be asked.
    pub async fn security_groups(
        &self,
        terms: &[SecurityGroupSelectorTerm],
        now: Timestamp,
    ) -> Result<Vec<SecurityGroup>, DiscoveryError> {
        let question = key(terms);
        if let Some(known) = self.memory.security_groups.get(&question, now) {
            return Ok(known);
        }
        let mut found = BTreeMap::new();
        for filters in queries(terms) {
            let request = self.ec2.describe_security_groups().set_filters(Some(filters)).max_results(PAGE);
            each_page(&self.region, ACTION, request.into_paginator().send(), |page| {
                found.extend(page.security_groups().iter().filter_map(|group| {
                    let id = group.group_id()?.to_owned();
                    Some((id.clone(), SecurityGroup { id, name: group.group_name().map(str::to_owned) }))
                }));
            })
            .await?;
        }
        let found: Vec<SecurityGroup> = found.into_values().collect();
        self.memory.security_groups.put(&question, found.clone(), self.memory.intervals.security_groups, now);
        Ok(found)
    }
}

/// The filters of each query: one for all ids together, one for all names, one for each term of tags.
fn queries(terms: &[SecurityGroupSelectorTerm]) -> Vec<Vec<Filter>> {
    let ids: Vec<String> = terms.iter().filter_map(|term| term.id.clone()).collect();
    let names: Vec<String> = terms.iter().filter_map(|term| term.name.clone()).collect();
    let together = [("group-id", ids), ("group-name", names)];
    let by_name = together.into_iter().filter(|(_, values)| !values.is_empty()).map(|(name, values)| vec![filter(name, values)]);
    let of_tags = terms.iter().filter(|term| term.id.is_none() && term.name.is_none());
    let by_tags = of_tags.map(|term| tag_filters(term.tags.as_ref())).filter(|filters| !filters.is_empty());
    by_name.chain(by_tags).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_are_asked_for_together() {
        let mut terms = vec![SecurityGroupSelectorTerm::default(); 4];
        terms[0].name = Some("nodes".to_owned());
        terms[1].id = Some("sg-1".to_owned());
        terms[2].tags = Some([("a".to_owned(), "b".to_owned())].into());
        let names: Vec<String> =
            queries(&terms).iter().flatten().map(|filter| format!("{:?}", (filter.name(), filter.values()))).collect();
        assert_eq!(names, [r#"(Some("group-id"), ["sg-1"])"#, r#"(Some("group-name"), ["nodes"])"#, r#"(Some("tag:a"), ["b"])"#]);
    }
}
