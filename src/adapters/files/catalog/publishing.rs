//! Puts a catalog where readers look for it, whole or not at all, whatever ends the program meanwhile.
//!
//! ```text
//! ROOT/us-east-1                    a link to .us-east-1/8: what readers name
//! ROOT/.us-east-1/7, .us-east-1/8   the catalog before and this one, five files each
//! ROOT/.us-east-1/lock              held while one is written
//! ```
//!
//! A version is written beside the others, made durable, read back, and only then the link is replaced by a rename, which is one
//! step. The version before stays, for readers that followed the link just then. What a killed program left is taken away by the
//! next one that publishes.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::adapters::files::catalog::faults::Faults;
use crate::adapters::files::catalog::{CatalogError, parse, writing};
use crate::adapters::files::durable;
use crate::domain::catalog::Catalog;

/// Why a catalog was not published. What was there before is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The operating system refused.
    #[error("cannot write `{}`: {source}; make room or change its permissions, or choose another folder with --catalog", path.display())]
    Unwritable {
        /// File or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Somebody else is at it.
    #[error("`{}` is being refreshed by another process; wait for it to end", path.display())]
    Busy {
        /// The catalog.
        path: PathBuf,
    },
    /// Something that was made in another way is in the place of the link.
    #[error("`{}` was not made by a refresh; move it away, or choose another folder with --catalog", path.display())]
    Foreign {
        /// The file or folder.
        path: PathBuf,
    },
    /// The catalog would break the schema, so no reader would take it.
    #[error("what AWS said is no valid catalog: {0}")]
    Invalid(#[from] CatalogError),
    /// The catalog cannot be told in CSV.
    #[error("what AWS said cannot be written as CSV: {0}")]
    Unwritten(#[from] csv::Error),
}

/// Publishes `catalog` as `root/REGION` and says where that is.
///
/// # Errors
/// When it cannot be written, breaks the schema, or `root/REGION` is not a link that publishing made. In each case the catalog
/// that was there stays.
pub fn publish(root: &Path, catalog: &Catalog) -> Result<PathBuf, PublishError> {
    let texts = writing::texts(catalog)?;
    parse(&texts.each_ref().map(|(name, text)| (*name, text.as_str())), &mut Faults::Refused)?;

    let link = root.join(&catalog.region);
    let folder_name = format!(".{}", catalog.region);
    let versions = root.join(&folder_name);
    fs::create_dir_all(&versions).map_err(unwritable(&versions))?;
    let _lock = lock(&versions, &link)?;
    let current = current_version(&link, &folder_name)?;

    let number = numbers_in(&versions)?.into_iter().max().unwrap_or(0) + 1;
    let version = versions.join(number.to_string());
    fs::create_dir(&version).map_err(unwritable(&version))?;
    for (name, text) in &texts {
        let file = version.join(name);
        durable::write_new(&file, text).map_err(unwritable(&file))?;
    }
    durable::sync_folder(&version).map_err(unwritable(&version))?;
    durable::sync_folder(&versions).map_err(unwritable(&versions))?;

    let new_link = versions.join("link");
    if new_link.is_symlink() {
        fs::remove_file(&new_link).map_err(unwritable(&new_link))?;
    }
    symlink(Path::new(&folder_name).join(number.to_string()), &new_link).map_err(unwritable(&new_link))?;
    fs::rename(&new_link, &link).map_err(unwritable(&link))?;
    durable::sync_folder(root).map_err(unwritable(root))?;

    for old in numbers_in(&versions)?.into_iter().filter(|old| *old != number && Some(*old) != current) {
        let old = versions.join(old.to_string());
        fs::remove_dir_all(&old).map_err(unwritable(&old))?;
    }
    Ok(link)
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> PublishError {
    let path = path.to_owned();
    move |source| PublishError::Unwritable { path: path.clone(), source }
}

/// Keeps others from publishing until it is dropped, or the program ends in whatever way.
fn lock(versions: &Path, link: &Path) -> Result<File, PublishError> {
    let path = versions.join("lock");
    let file = File::options().create(true).append(true).open(&path).map_err(unwritable(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(PublishError::Busy { path: link.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unwritable(&path)(source)),
    }
}

/// The version that `link` leads to; `None` where there is no link yet.
fn current_version(link: &Path, folder_name: &str) -> Result<Option<u64>, PublishError> {
    let foreign = || PublishError::Foreign { path: link.to_owned() };
    match fs::symlink_metadata(link) {
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(problem) => return Err(unwritable(link)(problem)),
        Ok(found) if !found.is_symlink() => return Err(foreign()),
        Ok(_) => {}
    }
    let target = fs::read_link(link).map_err(unwritable(link))?;
    let version = target.strip_prefix(folder_name).ok().and_then(Path::to_str).and_then(|number| number.parse().ok());
    version.map(Some).ok_or_else(foreign)
}

/// The numbers of the versions that are there, whole or not.
fn numbers_in(versions: &Path) -> Result<Vec<u64>, PublishError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(versions).map_err(unwritable(versions))? {
        let name = entry.map_err(unwritable(versions))?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::files::catalog::{embedded, read};

    fn priced(micros: i64) -> Catalog {
        let mut catalog = embedded().expect("the embedded catalog is valid");
        catalog.ebs_prices.insert("gp3".to_owned(), micros);
        catalog
    }

    fn entries(folder: &Path) -> Vec<String> {
        let listed = fs::read_dir(folder).expect("the folder is there");
        let mut names: Vec<String> =
            listed.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn each_version_replaces_the_last_and_keeps_one_before() {
        let root = tempfile::tempdir().expect("a folder for the test");
        for micros in [70_000, 71_000, 72_000] {
            let path = publish(root.path(), &priced(micros)).expect("it can be written");
            assert_eq!(read(&path).expect("it can be read"), priced(micros));
        }
        assert_eq!(entries(&root.path().join(".us-east-1")), ["2", "3", "lock"]);
    }

    #[test]
    fn what_a_killed_program_left_is_taken_away() {
        let root = tempfile::tempdir().expect("a folder for the test");
        publish(root.path(), &priced(70_000)).expect("it can be written");
        let versions = root.path().join(".us-east-1");
        fs::create_dir(versions.join("2")).expect("half a version");
        fs::write(versions.join("2/ebs.csv"), "volume_ty").expect("half a file");
        symlink(".us-east-1/2", versions.join("link")).expect("a link that was never renamed");
        assert_eq!(read(&root.path().join("us-east-1")).expect("the last good one"), priced(70_000));
        publish(root.path(), &priced(71_000)).expect("it can be written");
        assert_eq!(entries(&versions), ["1", "3", "lock"]);
        assert_eq!(read(&root.path().join("us-east-1")).expect("it can be read"), priced(71_000));
    }

    #[test]
    fn what_others_made_or_hold_is_left_alone() {
        let root = tempfile::tempdir().expect("a folder for the test");
        let folder = root.path().join("us-east-1");
        fs::create_dir(&folder).expect("a folder of the user");
        assert!(matches!(publish(root.path(), &priced(70_000)), Err(PublishError::Foreign { path }) if path == folder));
        fs::remove_dir(&folder).expect("it is empty");
        let _held = lock(&root.path().join(".us-east-1"), &folder).expect("nobody holds it");
        assert!(matches!(publish(root.path(), &priced(70_000)), Err(PublishError::Busy { path }) if path == folder));
        assert!(!folder.exists());
    }
}
