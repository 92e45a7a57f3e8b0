//! What a command starts from: manifests and catalog, with everything that a reader should know about them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Failure;
use super::args::InputArgs;
use super::catalog::{old_prices, place};
use super::instances;
use super::output::say;
use crate::adapters::files::{commitments, manifests};
use crate::domain::annotations;
use crate::domain::catalog::Catalog;
use crate::domain::cluster::ClusterView;
use crate::domain::pod::UnmodelledRule;
use crate::report::summary::{count, idle_overlays};

/// Manifests and catalog.
pub(super) struct Input {
    pub(super) cluster: ClusterView,
    pub(super) catalog: Catalog,
    /// Sentences without a full stop.
    pub(super) notices: Vec<String>,
    /// How old the prices are, when that is worth a word.
    age: Option<String>,
}

impl Input {
    /// Reads what the arguments name.
    pub(super) fn read(args: &InputArgs) -> Result<Self, Failure> {
        let mut loaded = manifests::load(&sources(&args.filenames)?).map_err(Failure::input)?;
        let catalog = place::read(&args.catalog)?;
        let mut notices = std::mem::take(&mut loaded.notices);
        notices.extend(ignored(&loaded.ignored));
        notices.extend(unmodelled(&loaded.cluster));
        let age = place::folder(&args.catalog)?.and_then(|_| old_prices(&catalog));
        let bought = commitments::load(&args.commitments, &catalog.region).map_err(Failure::input)?;
        bought.count_in(&mut loaded.cluster, &catalog);
        notices.extend(bought.notices);
        notices.extend(uncounted(&loaded.cluster));
        let cluster = ClusterView {
            max_spot_pool_share: args.max_spot_pool_share,
            instance_settings: args.instances.settings()?,
            ..loaded.cluster
        };
        notices.extend(instances::notice(&cluster));
        Ok(Self { cluster, catalog, notices, age })
    }

    /// Tells the notices on stderr, and how old prices are that can be refreshed. Age is no part of the notices: a plan does not
    /// depend on the day on which it is made.
    pub(super) fn tell(&self) {
        if let Some(notice) = self.age.as_ref() {
            say(&format!("note: {notice}"));
        }
        for notice in &self.notices {
            say(&format!("note: {notice}"));
        }
    }

    /// Says on stderr what a plan says along with its prices, for commands that show no whole plan.
    pub(super) fn warn(&self) {
        idle_overlays(&self.cluster, &self.catalog).iter().for_each(|warning| say(&format!("warning: {warning}")));
    }
}

/// The sources that the arguments name.
pub(super) fn sources(filenames: &[PathBuf]) -> Result<Vec<manifests::Source>, Failure> {
    filenames.iter().map(|path| source(path)).collect()
}

/// `-` is stdin, everything else a path.
fn source(path: &Path) -> Result<manifests::Source, Failure> {
    if path == Path::new("-") {
        manifests::Source::from_reader("standard input", std::io::stdin().lock()).map_err(Failure::input)
    } else {
        Ok(manifests::Source::Path(path.to_path_buf()))
    }
}

/// Capacity reservations that no plan uses because nobody says how many of their instances are free.
fn uncounted(cluster: &ClusterView) -> impl Iterator<Item = String> {
    let all =
        cluster.node_classes.values().flat_map(|class| class.uncounted_reservations.iter().map(move |of| (&class.name, &of.id)));
    all.map(|(class, id)| {
        let annotation = annotations::RESERVED_INSTANCES;
        format!(
            "capacity reservation `{id}` of EC2NodeClass `{class}` is not used: neither its annotation {annotation} nor --commitments says \
             how many of its instances are free"
        )
    })
}

/// Kinds that are not read, with their numbers.
fn ignored(kinds: &BTreeMap<String, usize>) -> Option<String> {
    let named: Vec<String> = kinds.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
    (!named.is_empty()).then(|| format!("not read, because no node depends on them: {}", named.join(", ")))
}

/// Rules of pods that the plan does not contain, with the number of pods that carry each.
fn unmodelled(cluster: &ClusterView) -> Option<String> {
    let mut carriers: BTreeMap<UnmodelledRule, usize> = BTreeMap::new();
    for rule in cluster.pods.iter().flat_map(|pod| &pod.spec.unmodelled) {
        *carriers.entry(*rule).or_default() += 1;
    }
    let named: Vec<String> =
        carriers.iter().map(|(rule, pods)| format!("{} of {}", rule.as_str(), count(*pods, "pod"))).collect();
    (!named.is_empty()).then(|| format!("the plan does not contain: {}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::pod::{Pod, PodSpec, Workload};

    #[test]
    fn notices_count_what_is_left_out() {
        let kinds = BTreeMap::from([("CronJob".to_owned(), 2), ("Service".to_owned(), 7)]);
        assert_eq!(ignored(&kinds).as_deref(), Some("not read, because no node depends on them: 2 CronJob, 7 Service"));
        assert_eq!(ignored(&BTreeMap::new()), None);

        let pod = |unmodelled: Vec<UnmodelledRule>| Pod {
            namespace: "a".to_owned(),
            name: "b".to_owned(),
            workload: Arc::new(Workload { kind: "Pod".to_owned(), name: "b".to_owned() }),
            labels: Arc::default(),
            spec: Arc::new(PodSpec { unmodelled, ..PodSpec::default() }),
        };
        let claims = pod(vec![UnmodelledRule::ResourceClaim]);
        let cluster = ClusterView {
            pods: vec![pod(Vec::new()), claims.clone(), pod(vec![UnmodelledRule::Volume, UnmodelledRule::ResourceClaim])],
            ..ClusterView::default()
        };
        let expected = "the plan does not contain: volumes made by hand of 1 pod, resource claims of 2 pods";
        assert_eq!(unmodelled(&cluster).as_deref(), Some(expected));
    }
}
