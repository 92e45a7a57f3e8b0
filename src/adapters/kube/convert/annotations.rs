//! What the annotations of `supercargo.io` say, or where they cannot be meant.

use std::collections::BTreeMap;

use crate::adapters::kube::convert::{FieldError, entry};
use crate::domain::annotations;
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
