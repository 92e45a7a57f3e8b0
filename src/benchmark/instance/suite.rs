//! A suite as a whole: made from the generators, and checked against them, its MANIFEST and its certificates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::adapters::files::catalog;
use crate::benchmark::instance::certificate;
use crate::benchmark::instance::generator;
use crate::benchmark::instance::loading::CATALOGS;
use crate::benchmark::instance::manifest;
use crate::benchmark::instance::manifest::{Entry, FORMAT, Manifest, Track};
use crate::benchmark::instance::reading::{canonical, digest, packed, unpacked};
use crate::benchmark::instance::{CatalogSource, InstanceDocument, InstanceError, Loaded};

/// More pods than this are no task for a proof.
const MOST_FOR_PROOF: usize = 2_500;
/// From so many pods on an instance is large.
const LARGE: usize = 10_000;
/// More pods than this do not arrive at a controller at once.
const MOST_AT_ONCE: usize = 15_000;

/// What making a suite did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Instances that there were not.
    pub added: Vec<String>,
    /// Instances that were different, so that nothing is known of them now.
    pub changed: Vec<String>,
    /// Instances that no generator makes any more.
    pub gone: Vec<String>,
    /// Instances that are as they were.
    pub kept: usize,
}

/// Writes the instances of the generators and the MANIFEST into the folder `suite`. What is known of an instance stays as long as its digest
/// does; instances that were imported stay as they are.
///
/// # Errors
/// A file that cannot be read or written, an instance that cannot be loaded.
pub fn make(suite: &Path) -> Result<Made, InstanceError> {
    make_of(suite, generator::all())
}

/// [`make`] with these instances in place of the generators'.
fn make_of(suite: &Path, generated: Vec<InstanceDocument>) -> Result<Made, InstanceError> {
    let Manifest { mut catalogs, instances: before, .. } = read_or_new(suite)?;
    for document in &generated {
        note_catalog(suite, document, &mut catalogs)?;
    }
    let mut known: BTreeMap<String, Entry> = before.iter().map(|entry| (entry.name.clone(), entry.clone())).collect();
    let mut made = Made::default();
    let mut instances = Vec::new();
    for document in generated {
        let entry = match known.remove(&document.name) {
            Some(entry) if entry.sha256 == document.sha256() => {
                made.kept += 1;
                Entry {
                    best_known: entry.best_known,
                    bound: entry.bound,
                    certificate: entry.certificate,
                    ..describe(&document, suite)?
                }
            }
            found => {
                let list = if found.is_some() { &mut made.changed } else { &mut made.added };
                list.push(document.name.clone());
                describe(&document, suite)?
            }
        };
        store(&document, &suite.join(&entry.file))?;
        instances.push(entry);
    }
    for entry in before.into_iter().filter(|entry| known.contains_key(&entry.name)) {
        if entry.origin.generator.is_none() {
            made.kept += 1;
            instances.push(entry);
        } else {
            let path = suite.join(&entry.file);
            if path.is_file() {
                std::fs::remove_file(&path).map_err(|problem| InstanceError::io(&path, "removed", &problem))?;
            }
            made.gone.push(entry.name);
        }
    }
    Manifest { format: FORMAT.to_owned(), catalogs, instances }.write(suite)?;
    Ok(made)
}

/// The MANIFEST in the folder `suite`, or the one of a suite that begins there.
fn read_or_new(suite: &Path) -> Result<Manifest, InstanceError> {
    if suite.join(manifest::FILE).is_file() {
        return Manifest::read(suite);
    }
    Ok(Manifest { format: FORMAT.to_owned(), catalogs: BTreeMap::new(), instances: Vec::new() })
}

/// Adds an instance that no generator makes; the suite may begin with it.
///
/// # Errors
/// When the name is taken, the instance cannot be loaded, or a file cannot be written.
pub fn add(suite: &Path, document: &InstanceDocument) -> Result<(), InstanceError> {
    let mut manifest = read_or_new(suite)?;
    if manifest.find(&document.name).is_ok() {
        let problem = format!("there is an instance `{}` already", document.name);
        return Err(InstanceError::file(manifest::FILE, problem, "instances never change: give it another --name"));
    }
    let entry = describe(document, suite)?;
    store(document, &suite.join(&entry.file))?;
    note_catalog(suite, document, &mut manifest.catalogs)?;
    manifest.instances.push(entry);
    manifest.write(suite)
}

/// Notes the digest of the catalog that `document` shares.
///
/// # Errors
/// When it was another one before.
fn note_catalog(suite: &Path, document: &InstanceDocument, known: &mut BTreeMap<String, String>) -> Result<(), InstanceError> {
    let CatalogSource::Shared(name) = &document.catalog else { return Ok(()) };
    if !known.contains_key(name) {
        known.insert(name.clone(), catalog_digest(suite, name)?);
    }
    check_catalog(suite, name, &known[name])
}

/// What a catalog is known by.
fn catalog_digest(suite: &Path, name: &str) -> Result<String, InstanceError> {
    let texts = catalog::texts(&suite.join(CATALOGS).join(name)).map_err(|source| InstanceError::catalog(name, source))?;
    Ok(digest(&canonical(&texts)))
}

fn check_catalog(suite: &Path, name: &str, sha256: &str) -> Result<(), InstanceError> {
    let found = catalog_digest(suite, name)?;
    if found == sha256 {
        return Ok(());
    }
    let problem = format!("SHA-256 is {found}, the MANIFEST has {sha256}: catalogs of a suite never change");
    Err(InstanceError::file(format!("{CATALOGS}/{name}"), problem, "restore the folder; other prices are another catalog"))
}

/// What can be said of an instance without solving it.
fn describe(document: &InstanceDocument, suite: &Path) -> Result<Entry, InstanceError> {
    document.check_names(&format!("instance {}", document.name))?;
    let Loaded { cluster, .. } = document.load(suite)?;
    let pods = cluster.pods.len();
    let workloads: BTreeSet<(&str, &str, &str)> =
        cluster.pods.iter().map(|pod| (pod.namespace.as_str(), pod.workload.kind.as_str(), pod.workload.name.as_str())).collect();
    Ok(Entry {
        name: document.name.clone(),
        family: document.family.clone(),
        file: format!("instances/{}.json.zst", document.name),
        sha256: document.sha256(),
        pods,
        workloads: workloads.len(),
        origin: document.origin.clone(),
        tracks: tracks(pods),
        best_known: None,
        bound: None,
        certificate: None,
    })
}

fn tracks(pods: usize) -> Vec<Track> {
    let runs_on = |track: &Track| match track {
        Track::Controller => pods <= MOST_AT_ONCE,
        Track::Exact => pods <= MOST_FOR_PROOF,
        Track::Large => pods >= LARGE,
    };
    Track::ALL.into_iter().filter(runs_on).collect()
}

/// Writes an instance, unless the file has it already: another version of zstd packs the same text to other bytes.
fn store(document: &InstanceDocument, path: &Path) -> Result<(), InstanceError> {
    let bytes = document.to_bytes();
    let name = path.display().to_string();
    let there = std::fs::read(path).ok().and_then(|there| unpacked(&name, &there).ok());
    if there.as_ref() == Some(&bytes) {
        return Ok(());
    }
    write_packed(path, &bytes)
}

/// Writes `bytes`, packed, into a folder that is made if need be.
pub(super) fn write_packed(path: &Path, bytes: &[u8]) -> Result<(), InstanceError> {
    let failed = |problem: std::io::Error| InstanceError::io(path, "written", &problem);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, packed(bytes).map_err(failed)?).map_err(failed)
}

/// Everything that is wrong with the suite, one sentence with its hint each; empty for a sound one. `select` says which instances are looked
/// at.
///
/// # Errors
/// A MANIFEST that cannot be read.
pub fn check(suite: &Path, select: &dyn Fn(&Entry) -> bool) -> Result<Vec<InstanceError>, InstanceError> {
    let manifest = Manifest::read(suite)?;
    let generated: BTreeMap<String, String> =
        generator::all().iter().map(|document| (document.name.clone(), document.sha256())).collect();
    let mut wrong = Vec::new();
    // A suite of imported instances alone is none of the generators' business.
    let has_generated = manifest.instances.iter().any(|entry| entry.origin.generator.is_some());
    for name in generated.keys().filter(|name| has_generated && manifest.find(name).is_err()) {
        let problem = format!("instances: `{name}` is missing");
        wrong.push(InstanceError::file(manifest::FILE, problem, "run `supercargo bench instances make`"));
    }
    wrong.extend(manifest.catalogs.iter().filter_map(|(name, sha256)| check_catalog(suite, name, sha256).err()));
    for entry in manifest.instances.iter().filter(|entry| select(entry)) {
        if let Err(problem) = check_one(suite, entry, &generated) {
            wrong.push(problem);
        }
    }
    Ok(wrong)
}

fn check_one(suite: &Path, entry: &Entry, generated: &BTreeMap<String, String>) -> Result<(), InstanceError> {
    let fail = |problem: String, mend: &str| Err(InstanceError::file(format!("instance {}", entry.name), problem, mend));
    let remake = "run `supercargo bench instances make`";
    let document = entry.read(suite)?;
    match (&entry.origin.generator, generated.get(&entry.name)) {
        (Some(_), Some(sha256)) if *sha256 != entry.sha256 => {
            return fail("its generator makes another one today".to_owned(), "restore the generator: instances never change");
        }
        (Some(_), None) => return fail("no generator makes it".to_owned(), remake),
        (Some(_), Some(_)) | (None, _) => {}
    }
    let said = Entry { best_known: None, bound: None, certificate: None, ..entry.clone() };
    if said != describe(&document, suite)? {
        return fail("the MANIFEST says otherwise of its family, pods, workloads, origin, tracks or file".to_owned(), remake);
    }
    let Some(known) = &entry.best_known else {
        return match (&entry.bound, &entry.certificate) {
            (None, None) => Ok(()),
            _ => fail("there is a bound or a certificate without a best known cost".to_owned(), "take it out of the MANIFEST"),
        };
    };
    let Some(file) = &entry.certificate else {
        return fail("its best known cost has no certificate".to_owned(), "take it out of the MANIFEST, or run `learn`");
    };
    let certified = certificate::read(&document.load(suite)?, &suite.join(file))?;
    if !certificate::equal(certified.cost, known.cost) || certified.unplaced != known.unplaced {
        let problem = format!(
            "the MANIFEST has a cost of {} and {} pods left, its certificate {} and {}",
            known.cost, known.unplaced, certified.cost, certified.unplaced
        );
        return fail(problem, "correct the MANIFEST");
    }
    match &entry.bound {
        Some(bound) if bound.value > known.cost && !certificate::equal(bound.value, known.cost) => {
            let problem = format!("its bound of {} is above its best known cost of {}", bound.value, known.cost);
            fail(problem, "one of them is wrong: see who proved the bound")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
