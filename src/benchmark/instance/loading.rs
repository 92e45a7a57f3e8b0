//! The cluster and the catalog that a document describes, and documents that stand by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;

use crate::adapters::files::catalog;
use crate::adapters::files::commitments;
use crate::adapters::files::manifests;
use crate::benchmark::instance::{CatalogSource, InstanceDocument, InstanceError};
use crate::domain::catalog::Catalog;
use crate::domain::cluster::ClusterView;
use crate::domain::collective::Portion;
use crate::domain::interruption::InterruptionCosts;
use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::planning::{CostModel, PreferencePolicy, Supply};

/// Folder of the catalogs that instances of a suite share.
pub(super) const CATALOGS: &str = "catalogs";

/// What counts in the suite: the price of instances alone, and preferences at their default price.
pub const COSTS: CostModel = CostModel {
    volumes: false,
    fee_per_node: UsdPerHour::ZERO,
    interruptions: InterruptionCosts::NONE,
    preferences: PreferencePolicy::PRICED,
};

/// An instance as planning takes it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is to be planned for.
    pub cluster: ClusterView,
    /// What can be bought.
    pub catalog: Catalog,
}

impl InstanceDocument {
    /// The cluster and the catalog. Shared catalogs are in the folder `suite`.
    ///
    /// # Errors
    /// What is wrong with the objects, the catalog, the commitments or the share, in this order; the first of them.
    pub fn load(&self, suite: &Path) -> Result<Loaded, InstanceError> {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": self.objects });
        let source = manifests::Source::Bytes { name: self.label(), bytes: list.to_string().into_bytes() };
        let mut cluster = manifests::load(&[source])?.cluster;
        let catalog = self.read_catalog(suite)?;
        if let Some(bought) = &self.commitments {
            let name = format!("{}: commitments", self.label());
            commitments::parse(&name, &bought.to_string(), &catalog.region)?.count_in(&mut cluster, &catalog);
        }
        if let Some(share) = &self.max_spot_pool_share {
            let per_mille = Portion::parse(share).and_then(Portion::per_mille).ok_or_else(|| {
                let mend = "write a percentage with at most one decimal, such as 25%";
                InstanceError::file(self.label(), format!("maxSpotPoolShare: is `{share}`"), mend)
            })?;
            cluster.max_spot_pool_share = Some(per_mille);
        }
        Ok(Loaded { cluster, catalog })
    }

    /// The same instance with its catalog in it, so that it needs no suite. Types that none of its NodePools could buy are left out, unless it
    /// has commitments: these may cover instances of any type.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn self_contained(&self, suite: &Path) -> Result<Self, InstanceError> {
        let texts = match &self.catalog {
            CatalogSource::Inline(_) => return Ok(self.clone()),
            CatalogSource::Shared(name) => self.texts(suite, name)?,
        };
        let texts = if self.commitments.is_some() { texts } else { self.cut(suite, &texts)? };
        Ok(Self { catalog: CatalogSource::Inline(texts), ..self.clone() })
    }

    /// How errors name it.
    fn label(&self) -> String {
        format!("instance {}", self.name)
    }

    fn read_catalog(&self, suite: &Path) -> Result<Catalog, InstanceError> {
        let texts = match &self.catalog {
            CatalogSource::Inline(texts) => texts,
            CatalogSource::Shared(name) => &self.texts(suite, name)?,
        };
        catalog::from_texts(texts).map_err(|source| InstanceError::catalog(&self.name, source))
    }

    /// The files of the shared catalog `name`.
    fn texts(&self, suite: &Path, name: &str) -> Result<BTreeMap<String, String>, InstanceError> {
        // A document must not lead out of the folder of its suite.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            let mend = "name a folder in the suite's `catalogs`: letters, digits, `-` and `_`";
            return Err(InstanceError::file(self.label(), format!("catalog.shared: `{name}` is no name"), mend));
        }
        let folder = suite.join(CATALOGS).join(name);
        catalog::texts(&folder).map_err(|source| InstanceError::catalog(&self.name, source))
    }

    /// `texts` with the types that a NodePool could buy, and those of nodes that exist.
    fn cut(&self, suite: &Path, texts: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, InstanceError> {
        let Loaded { cluster, catalog } = self.load(suite)?;
        let supply = Supply::new(&cluster, &catalog, &COSTS)
            .map_err(|problem| InstanceError::file(self.label(), problem.to_string(), "correct the NodePool"))?;
        let offered = supply
            .templates
            .iter()
            .flat_map(|template| template.types.iter().map(|of| template.market.types[of.in_market].name.as_str()));
        let running = cluster.nodes.iter().filter_map(|node| node.labels.get(labels::INSTANCE_TYPE).map(String::as_str));
        let kept: BTreeSet<&str> = offered.chain(running).collect();
        catalog::only_types(texts, &kept).map_err(|source| InstanceError::catalog(&self.name, source))
    }
}
