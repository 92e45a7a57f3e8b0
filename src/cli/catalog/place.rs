//! Where catalogs are: the one that is built in, folders that the user names, and the user's cache, where refreshes put them.

use std::path::{Path, PathBuf};

use super::args::Which;
use crate::adapters::files::catalog;
use crate::cli::{Failure, xdg};
use crate::domain::catalog::Catalog;

/// The region of the catalog that is built in.
const EMBEDDED_REGION: &str = "us-east-1";

/// Reads the catalog that the arguments name.
pub(in crate::cli) fn read(which: &Which) -> Result<Catalog, Failure> {
    folder(which)?.map_or_else(catalog::embedded, |path| catalog::read(&path)).map_err(Failure::input)
}

/// The folder of the catalog that the arguments name; `None` for the one that is built in.
pub(in crate::cli) fn folder(which: &Which) -> Result<Option<PathBuf>, Failure> {
    match (&which.catalog, &which.region) {
        (None, None) => Ok(None),
        (Some(path), None) if catalog::is_catalog(path) => Ok(Some(path.clone())),
        (Some(path), None) => match &regions_in(path)[..] {
            [] => Ok(Some(path.clone())),
            [only] => Ok(Some(path.join(only))),
            several => Err(Failure::Input(format!(
                "`{}` has the catalogs of several regions\n  hint: choose with --region: {}",
                path.display(),
                several.join(", ")
            ))),
        },
        (Some(path), Some(region)) if catalog::is_catalog(path) => {
            let found = catalog::read(path).map_err(Failure::input)?.region;
            if found == *region {
                return Ok(Some(path.clone()));
            }
            Err(Failure::Input(format!(
                "`{}` is the catalog of {found}, not of {region}\n  hint: leave out --region",
                path.display()
            )))
        }
        (given, Some(region)) => {
            let path = root(given.as_deref())?.join(region);
            if catalog::is_catalog(&path) {
                return Ok(Some(path));
            }
            if given.is_none() && region == EMBEDDED_REGION {
                return Ok(None);
            }
            let refresh = format!("run `supercargo catalog refresh --region {region}`");
            Err(Failure::Input(format!("no catalog of {region} at `{}`\n  hint: {refresh}", path.display())))
        }
    }
}

/// The folder that has a catalog for each region: the one that is given, or the user's cache.
pub(super) fn root(given: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let missing = || {
        Failure::Input("there is no home folder for the user's cache\n  hint: set XDG_CACHE_HOME, or use --catalog".to_owned())
    };
    Ok(xdg::folder("XDG_CACHE_HOME", ".cache").ok_or_else(missing)?.join("catalog"))
}

/// Names of the regions that have a catalog in the folder, sorted.
fn regions_in(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    let visible = entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| !name.starts_with('.'));
    let mut regions: Vec<String> = visible.filter(|name| catalog::is_catalog(&path.join(name))).collect();
    regions.sort();
    regions
}
