//! Subnets by id or tags.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::Filter;
use k8s_openapi::jiff::Timestamp;

use super::{DiscoveryError, each_page, filter, key, tag_filters};
use crate::adapters::aws::cloud::Cloud;
use crate::adapters::kube::crd::SubnetSelectorTerm;

const ACTION: &str = "ec2:DescribeSubnets";

/// A subnet in which nodes may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// `subnet-...`.
    pub id: String,
    /// Zone name.
    pub zone: String,
    /// Zone id, the same in every account.
    pub zone_id: Option<String>,
    /// Addresses that were free when EC2 was asked.
    pub free_addresses: i64,
    /// Whether the subnet gives instances public addresses when nothing else is said.
    pub public_addresses: bool,
}

impl Cloud {
    /// The subnets that any of `terms` selects: those with most free addresses first, then by id. Launches know from then on how many
    /// addresses are free.
    ///
    /// # Errors
    /// When EC2 cannot be asked.
    pub async fn subnets(&self, terms: &[SubnetSelectorTerm], now: Timestamp) -> Result<Vec<Subnet>, DiscoveryError> {
        let question = key(terms);
        if let Some(known) = self.memory.subnets.get(&question, now) {
            return Ok(known);
        }
        let mut found = BTreeMap::new();
        for filters in queries(terms) {
            let pages = self.ec2.describe_subnets().set_filters(Some(filters)).into_paginator().send();
            each_page(&self.region, ACTION, pages, |page| {
                found.extend(page.subnets().iter().filter_map(read).map(|subnet| (subnet.id.clone(), subnet)));
            })
            .await?;
        }
        let mut found: Vec<Subnet> = found.into_values().collect();
        found.sort_by(|a, b| b.free_addresses.cmp(&a.free_addresses).then_with(|| a.id.cmp(&b.id)));
        self.free_addresses(&found.iter().map(|subnet| (subnet.id.clone(), subnet.free_addresses)).collect());
        self.memory.subnets.put(&question, found.clone(), self.memory.intervals.subnets, now);
        Ok(found)
    }
}

/// The filters of each query: one for all ids together, one for each term of tags.
fn queries(terms: &[SubnetSelectorTerm]) -> Vec<Vec<Filter>> {
    let ids: Vec<String> = terms.iter().filter_map(|term| term.id.clone()).collect();
    let by_id = (!ids.is_empty()).then(|| vec![filter("subnet-id", ids)]);
    let by_tags = terms.iter().filter(|term| term.id.is_none()).map(|term| tag_filters(term.tags.as_ref()));
    // A term without anything would select every subnet of the account.
    by_id.into_iter().chain(by_tags).filter(|filters| !filters.is_empty()).collect()
}

fn read(subnet: &aws_sdk_ec2::types::Subnet) -> Option<Subnet> {
    Some(Subnet {
        id: subnet.subnet_id()?.to_owned(),
        zone: subnet.availability_zone()?.to_owned(),
        zone_id: subnet.availability_zone_id().map(str::to_owned),
        free_addresses: subnet.available_ip_address_count().unwrap_or(0).into(),
        public_addresses: subnet.map_public_ip_on_launch() == Some(true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_asked_for_together_and_a_term_of_nothing_not_at_all() {
        let id = |id: &str| SubnetSelectorTerm { id: Some(id.to_owned()), tags: None };
        let tags = |key: &str| SubnetSelectorTerm { id: None, tags: Some([(key.to_owned(), "*".to_owned())].into()) };
        let asked = queries(&[id("subnet-1"), tags("a"), id("subnet-2"), tags("b"), SubnetSelectorTerm::default()]);
        assert_eq!(asked.len(), 3);
        assert_eq!(asked[0][0].values(), ["subnet-1", "subnet-2"]);
        assert_eq!(asked[2][0].values(), ["b"]);
    }
}
