//! What becomes of a price that cannot be: the end of reading, or a line in a list.

use crate::adapters::files::catalog::CatalogError;
use crate::domain::money::UsdPerHour;

/// How prices that cannot be are dealt with.
pub(super) enum Faults {
    /// The first one is an error.
    Refused,
    /// Each one is left out and kept here.
    Collected(Vec<CatalogError>),
}

impl Faults {
    /// `price`; or, where faults are collected, `None` for one that cannot be.
    pub(super) fn or_without(
        &mut self,
        price: Result<Option<UsdPerHour>, CatalogError>,
    ) -> Result<Option<UsdPerHour>, CatalogError> {
        match (price, self) {
            (Err(error), Self::Collected(collected)) => {
                collected.push(error);
                Ok(None)
            }
            (price, _) => price,
        }
    }

    /// What was collected, in the order of reading.
    pub(super) fn into_collected(self) -> Vec<CatalogError> {
        match self {
            Self::Refused => Vec::new(),
            Self::Collected(collected) => collected,
        }
    }
}
