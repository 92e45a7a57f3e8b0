//! What the annotations of `supercargo.io` say, or where they cannot be meant.

use std::collections::BTreeMap;

use crate::adapters::kube::convert::{FieldError, entry};
use crate::domain::annotations;
use crate::domain::collective::{Portion, WorkloadRules};
use crate::domain::money::UsdPerHour;

type Annotations = Option<BTreeMap<String, String>>;

/// The value of an annotation without blanks around it.
fn value<'a>(annotations: &'a Annotations, key: &str) -> Option<&'a str> {
    annotations.as_ref()?.get(key).map(|text| text.trim())
}

fn error(key: &str, problem: String, mend: &str) -> FieldError {
    FieldError::new(entry("metadata.annotations", key), problem, mend)
}

/// What the nodes of a NodePool may cost together.
pub(super) fn max_usd_per_hour(annotations: &Annotations) -> Result<Option<UsdPerHour>, FieldError> {
    let key = annotations::MAX_USD_PER_HOUR;
    let Some(text) = value(annotations, key) else { return Ok(None) };
    let mend = "write dollars per hour with at most six decimals, in quotes: \"12.50\"";
    UsdPerHour::parse(text).map(Some).ok_or_else(|| error(key, format!("`{text}` is no amount of dollars per hour"), mend))
}

/// What the annotations of a pod say that its spec cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodAnnotations {
    on_demand_floor: Option<Portion>,
    max_spot_pool_share: Option<Portion>,
    /// The group, as it is named within the namespace.
    pub atomic_group: Option<String>,
}

impl PodAnnotations {
    /// Reads them; the field of an error is relative to the pod.
    ///
    /// # Errors
    /// When an annotation is no portion, or names no group.
    pub fn from_api(annotations: &Option<BTreeMap<String, String>>) -> Result<Self, FieldError> {
        let portion = |key: &str| {
            let Some(text) = value(annotations, key) else { return Ok(None) };
            let mend = "write a number of pods or a percentage with at most one decimal, in quotes: \"2\" or \"30%\"";
            Portion::parse(text)
                .map(Some)
                .ok_or_else(|| error(key, format!("`{text}` is no number of pods and no percentage"), mend))
        };
        let group = value(annotations, annotations::ATOMIC_GROUP);
        if group == Some("") {
            let mend = "name the group, or remove the annotation";
            return Err(error(annotations::ATOMIC_GROUP, "the name of the group is empty".to_owned(), mend));
        }
        Ok(Self {
            on_demand_floor: portion(annotations::ON_DEMAND_FLOOR)?,
            max_spot_pool_share: portion(annotations::MAX_SPOT_POOL_SHARE)?,
            atomic_group: group.map(str::to_owned),
        })
    }

    /// What they ask of all pods of `workload` together.
    #[must_use]
    pub fn rules_of(&self, workload: impl FnOnce() -> String) -> Option<WorkloadRules> {
        let (on_demand_floor, max_spot_pool_share) = (self.on_demand_floor, self.max_spot_pool_share);
        (on_demand_floor.is_some() || max_spot_pool_share.is_some()).then(|| WorkloadRules {
            workload: workload(),
            on_demand_floor,
            max_spot_pool_share,
        })
    }
}

/// How many instances of each capacity reservation are free, by id.
pub(super) fn reserved_instances(annotations: &Annotations) -> Result<BTreeMap<String, u32>, FieldError> {
    let key = annotations::RESERVED_INSTANCES;
    let mut free = BTreeMap::new();
    let text = value(annotations, key).unwrap_or_default();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let parsed = part.split_once('=').and_then(|(id, count)| Some((id.trim(), count.trim().parse().ok()?)));
        let mend = "write the id and the number of free instances of each: \"cr-0a1b=3, cr-2c3d=10\"";
        let Some((id, count)) = parsed.filter(|(id, _)| !id.is_empty()) else {
            return Err(error(key, format!("`{part}` is not a capacity reservation with a number"), mend));
        };
        if free.insert(id.to_owned(), count).is_some() {
            return Err(error(key, format!("capacity reservation `{id}` is there twice"), "keep one"));
        }
    }
    Ok(free)
}

/// The error for a reservation that the status of the object does not have.
pub(super) fn unknown_reservation(id: &str) -> FieldError {
    let mend = "give the EC2NodeClass with its status, which has the type and the zone of each reservation, or remove the entry";
    error(annotations::RESERVED_INSTANCES, format!("`status.capacityReservations` has no `{id}`"), mend)
}
