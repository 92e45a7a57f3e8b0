//! What the suite knows of an instance besides its runs.

use std::collections::BTreeMap;
use std::path::Path;

use crate::benchmark::instance::InstanceError;
use crate::benchmark::instance::manifest::{Entry, Manifest};
use crate::benchmark::telling::reading::Runs;
use crate::benchmark::telling::results::{Quality, amount};
use crate::domain::cluster::ClusterView;
use crate::domain::money::UsdPerHour;

/// What is known of an instance; whatever is not known is left out of the report.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What it is and what makes it hard.
    pub description: Option<String>,
    /// The best plan that anybody has found.
    pub best: Option<Quality>,
    /// No plan that places every pod costs less.
    pub bound: Option<UsdPerHour>,
    /// Its pods, to draw them.
    pub cluster: Option<ClusterView>,
}

impl Known {
    /// What the suite in the folder `suite` knows of the instances of `runs`, by name. Instances that it does not have, or has with another
    /// digest, are left out.
    ///
    /// # Errors
    /// When the suite, or one of these instances, cannot be read.
    pub fn read(suite: &Path, runs: &Runs) -> Result<BTreeMap<String, Self>, InstanceError> {
        let digests: BTreeMap<&str, &str> =
            runs.records().map(|record| (record.instance.as_str(), record.instance_sha256.as_str())).collect();
        let mut known = BTreeMap::new();
        for entry in &Manifest::read(suite)?.instances {
            if digests.get(entry.name.as_str()) == Some(&entry.sha256.as_str()) {
                known.insert(entry.name.clone(), Self::of(entry, suite)?);
            }
        }
        Ok(known)
    }

    fn of(entry: &Entry, suite: &Path) -> Result<Self, InstanceError> {
        let document = entry.read(suite)?;
        let best = entry.best_known.as_ref().map(|best| Quality { unplaced: best.unplaced, cost: amount(best.cost) });
        // The bound is for plans that leave as many pods as the best known one.
        let bound = entry.bound.as_ref().filter(|_| best.is_some_and(|best| best.unplaced == 0));
        Ok(Self {
            best,
            bound: bound.map(|bound| amount(bound.value)),
            cluster: Some(document.load(suite)?.cluster),
            description: Some(document.description),
        })
    }
}
