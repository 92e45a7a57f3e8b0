//! The placement group of a NodeClass.

use aws_sdk_ec2::types::PlacementStrategy;
use k8s_openapi::jiff::Timestamp;

use super::{DEFAULT_KEEP, DiscoveryError, filter, key};
use crate::adapters::aws::cloud::Cloud;
use crate::adapters::kube::crd::PlacementGroupSelector;

const ACTION: &str = "ec2:DescribePlacementGroups";

/// A placement group that nodes may be in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementGroup {
    /// `pg-...`.
    pub id: String,
    /// Name.
    pub name: String,
    /// `cluster`, `partition` or `spread`.
    pub strategy: String,
    /// How many partitions; `None` for the other strategies.
    pub partitions: Option<i32>,
}

impl Cloud {
    /// The placement group that the selector names; `None` where there is none, or it is not available.
    ///
    /// # Errors
    /// When EC2 cannot be asked.
    pub async fn placement_group(
        &self,
        selector: &PlacementGroupSelector,
        now: Timestamp,
    ) -> Result<Option<PlacementGroup>, DiscoveryError> {
        let question = key(selector);
        if let Some(known) = self.memory.placement_groups.get(&question, now) {
            return Ok(known);
        }
        let request = self.ec2.describe_placement_groups().filters(filter("state", ["available".to_owned()]));
        let request = request.set_group_names(selector.name.clone().map(|name| vec![name]));
        let found = match request.set_group_ids(selector.id.clone().map(|id| vec![id])).send().await {
            Ok(answer) => answer.placement_groups().iter().find_map(read),
            Err(error) => {
                let error = DiscoveryError::from_sdk(&self.region, ACTION, &error);
                if !error.is("InvalidPlacementGroup.Unknown") && !error.is("InvalidPlacementGroupId.NotFound") {
                    return Err(error);
                }
                None
            }
        };
        self.memory.placement_groups.put(&question, found.clone(), DEFAULT_KEEP, now);
        Ok(found)
    }
}

fn read(group: &aws_sdk_ec2::types::PlacementGroup) -> Option<PlacementGroup> {
    let strategy = group.strategy()?;
    Some(PlacementGroup {
        id: group.group_id()?.to_owned(),
        name: group.group_name()?.to_owned(),
        strategy: strategy.as_str().to_owned(),
        partitions: group.partition_count().filter(|_| *strategy == PlacementStrategy::Partition),
    })
}
