//! What is known of the instances of a suite: `MANIFEST.json`.
//!
//! An instance never changes: its digest stands here, and whoever reads it through the MANIFEST has it checked. What is known of it may get
//! better: a cheaper plan, which must be there as a certificate, and a larger bound. Money is in dollars per hour.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::benchmark::instance::reading;
use crate::benchmark::instance::{InstanceDocument, InstanceError, Origin};

/// The version of this form.
pub const FORMAT: &str = "supercargo-suite/1";
/// Name of the file in the folder of a suite.
pub const FILE: &str = "MANIFEST.json";

/// The instances of a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// SHA-256 of the catalogs that instances share, by name: of a JSON object with the texts of the files, written as instances are.
    pub catalogs: BTreeMap<String, String>,
    /// By family in the order of their making, small to large.
    pub instances: Vec<Entry>,
}

/// What is known of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its family.
    pub family: String,
    /// Its file, from the folder of the suite.
    pub file: String,
    /// SHA-256 of its canonical text.
    pub sha256: String,
    /// Pods to place.
    pub pods: usize,
    /// Workloads that they belong to.
    pub workloads: usize,
    /// Where it comes from.
    pub origin: Origin,
    /// The tracks that it runs on.
    pub tracks: Vec<Track>,
    /// The best plan that anybody found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_known: Option<BestKnown>,
    /// The largest proven bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<LowerBound>,
    /// File of the best known plan, from the folder of the suite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// What a solver may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Track {
    /// A second, and five: what a controller has.
    Controller,
    /// A minute, for proofs.
    Exact,
    /// Ten thousand pods and more.
    Large,
}

impl Track {
    /// Every track.
    pub const ALL: [Self; 3] = [Self::Controller, Self::Exact, Self::Large];

    /// `controller`, `exact` or `large`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Exact => "exact",
            Self::Large => "large",
        }
    }
}

/// A plan, who found it and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BestKnown {
    /// What it costs: [`Plan::value`](crate::domain::plan::Plan::value).
    pub cost: f64,
    /// Pods that it leaves. Fewer are better whatever the cost.
    pub unplaced: usize,
    /// Whose plan it is.
    pub solver: String,
    /// The solver's version.
    pub version: String,
    /// The day, `2026-11-27`.
    pub date: String,
}

/// A proven bound for plans that leave as many pods as the best known one, who proved it and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LowerBound {
    /// No such plan costs less.
    pub value: f64,
    /// Whose proof it is.
    pub solver: String,
    /// The solver's version.
    pub version: String,
    /// The day, `2026-11-27`.
    pub date: String,
}

impl Manifest {
    /// The MANIFEST in the folder `suite`.
    ///
    /// # Errors
    /// When it cannot be read, is no MANIFEST, or has a name twice.
    pub fn read(suite: &Path) -> Result<Self, InstanceError> {
        let path = suite.join(FILE);
        let bytes = std::fs::read(&path).map_err(|problem| InstanceError::io(&path, "read", &problem))?;
        let name = path.display().to_string();
        let manifest: Self = reading::parse(&name, &bytes, FORMAT, "the MANIFEST of a suite")?;
        for (at, entry) in manifest.instances.iter().enumerate() {
            if manifest.instances[..at].iter().any(|before| before.name == entry.name) {
                let problem = format!("instances[{at}].name: `{}` is there twice", entry.name);
                return Err(InstanceError::file(name, problem, "remove one of them"));
            }
        }
        Ok(manifest)
    }

    /// The text of the file: indented, so that a change of one figure is one line.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("a MANIFEST has string keys and finite numbers alone") + "\n"
    }

    /// Writes the MANIFEST into the folder `suite`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, suite: &Path) -> Result<(), InstanceError> {
        let path = suite.join(FILE);
        std::fs::write(&path, self.to_text()).map_err(|problem| InstanceError::io(&path, "written", &problem))
    }

    /// The instance of that name.
    ///
    /// # Errors
    /// When there is none; the hint has the names that come near.
    pub fn find(&self, name: &str) -> Result<&Entry, InstanceError> {
        self.instances.iter().find(|entry| entry.name == name).ok_or_else(|| {
            let family = name.split('-').next().unwrap_or_default();
            let near: Vec<&str> =
                self.instances.iter().map(|entry| entry.name.as_str()).filter(|other| other.starts_with(family)).collect();
            let near = if near.is_empty() { String::new() } else { format!("there are {}; ", near.join(", ")) };
            let mend = format!("{near}`supercargo bench instances list` has all names");
            InstanceError::file(FILE, format!("there is no instance `{name}`"), mend)
        })
    }

    /// The instances of a family and of a track; `None` stands for all.
    pub fn select(&self, family: Option<&str>, track: Option<Track>) -> impl Iterator<Item = &Entry> {
        self.instances
            .iter()
            .filter(move |entry| family.is_none_or(|family| entry.family == family))
            .filter(move |entry| track.is_none_or(|track| entry.tracks.contains(&track)))
    }
}

impl Entry {
    /// The instance, if its file is what the MANIFEST says.
    ///
    /// # Errors
    /// When the file cannot be read, is no instance, or another one than was meant.
    pub fn read(&self, suite: &Path) -> Result<InstanceDocument, InstanceError> {
        let path = suite.join(&self.file);
        let document = InstanceDocument::read(&path)?;
        let file = path.display();
        if document.name != self.name {
            let problem = format!("name: is `{}`, the MANIFEST has `{}`", document.name, self.name);
            return Err(InstanceError::file(file.to_string(), problem, "restore the file"));
        }
        let found = document.sha256();
        if found != self.sha256 {
            let problem = format!("SHA-256 is {found}, the MANIFEST has {}: instances never change", self.sha256);
            return Err(InstanceError::file(
                file.to_string(),
                problem,
                "restore the file, or give the changed instance a name of its own",
            ));
        }
        Ok(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, family: &str, tracks: &[Track]) -> Entry {
        Entry {
            name: name.to_owned(),
            family: family.to_owned(),
            file: format!("instances/{name}.json.zst"),
            sha256: String::new(),
            pods: 10,
            workloads: 1,
            origin: Origin { source: "supercargo".to_owned(), generator: None, seed: None },
            tracks: tracks.to_vec(),
            best_known: None,
            bound: None,
            certificate: None,
        }
    }

    fn manifest() -> Manifest {
        let instances = vec![
            entry("micro-20", "micro", &[Track::Controller, Track::Exact]),
            entry("micro-400", "micro", &[Track::Controller]),
            entry("plain-10000", "plain", &[Track::Large]),
        ];
        Manifest { format: FORMAT.to_owned(), catalogs: BTreeMap::new(), instances }
    }

    #[test]
    fn instances_are_found_by_name_family_and_track() {
        let manifest = manifest();
        let names = |family, track| -> Vec<&str> { manifest.select(family, track).map(|entry| entry.name.as_str()).collect() };
        assert_eq!(manifest.find("micro-400").map(|entry| entry.pods).ok(), Some(10));
        assert_eq!(names(Some("micro"), None), ["micro-20", "micro-400"]);
        assert_eq!(names(None, Some(Track::Large)), ["plain-10000"]);
        assert_eq!(names(Some("micro"), Some(Track::Exact)), ["micro-20"]);
        let missing = manifest.find("micro-30").expect_err("there is none").to_string();
        assert!(missing.contains("no instance `micro-30`") && missing.contains("micro-20, micro-400"), "{missing}");
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_refused_with_two_of_a_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let written = manifest();
        written.write(folder.path()).expect("it can be written");
        assert_eq!(Manifest::read(folder.path()).expect("it can be read"), written);
        let mut twice = manifest();
        twice.instances[2].name = "micro-20".to_owned();
        twice.write(folder.path()).expect("it can be written");
        let refused = Manifest::read(folder.path()).expect_err("a name is there twice").to_string();
        assert!(refused.contains("instances[2].name: `micro-20` is there twice"), "{refused}");
    }

    #[test]
    fn a_file_that_is_not_the_one_that_was_meant_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut document = crate::benchmark::instance::fixtures::small();
        std::fs::create_dir(folder.path().join("instances")).expect("a folder");
        std::fs::write(folder.path().join("instances/small.json.zst"), document.to_bytes()).expect("it can be written");
        let mut known = Entry { sha256: document.sha256(), ..entry("small", "tests", &[]) };
        assert_eq!(known.read(folder.path()).expect("it is as it was"), document);
        document.description.push('!');
        known.sha256 = document.sha256();
        let refused = known.read(folder.path()).expect_err("another text").to_string();
        assert!(refused.contains("SHA-256 is") && refused.contains("instances never change"), "{refused}");
        known.name = "other".to_owned();
        known.file = "instances/small.json.zst".to_owned();
        let refused = known.read(folder.path()).expect_err("another name").to_string();
        assert!(refused.contains("name: is `small`, the MANIFEST has `other`"), "{refused}");
    }
}
