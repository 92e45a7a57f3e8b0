//! Catalogs from files: the snapshot that is built in, and folders of the same form, read and written.
//!
//! The schema is in `pricing-cache/README.md`. Reading is strict: a plan on a catalog that was cut off, or in which a price is
//! zero or in another unit, would be wrong without anyone noticing. So every type needs a line in every table, every zone must
//! be known, and whatever is not as it should be is one error with its place and its mend. [`inspect`] alone reads on past a price
//! that cannot be, to name them all.

mod excerpt;
mod faults;
mod instance_types;
mod list_prices;
mod offerings;
mod properties;
mod publishing;
mod table;
mod writing;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use crate::adapters::files::catalog::faults::Faults;
use crate::adapters::files::catalog::offerings::SpotPrices;
use crate::adapters::files::catalog::properties::Properties;
use crate::adapters::files::catalog::table::Table;
use crate::domain::catalog::{Catalog, Provenance};

pub use crate::adapters::files::catalog::excerpt::only_types;
pub use crate::adapters::files::catalog::list_prices::{ListPrices, list_prices};
pub use crate::adapters::files::catalog::publishing::{PublishError, publish};

const PROPERTIES: &str = "catalog.properties";
const EBS: &str = "ebs.csv";
const INSTANCE_TYPES: &str = "instance-types.csv";
const OFFERINGS: &str = "offerings.csv";
const SPOT: &str = "spot.csv";

/// The files of a catalog.
pub const FILES: [&str; 5] = [PROPERTIES, EBS, INSTANCE_TYPES, OFFERINGS, SPOT];

/// A file of a catalog has a few hundred KiB; one above this is something else, and is not read.
const LARGEST_FILE: u64 = 32 << 20;

/// The volume types that a NodeClass may ask for: each has a line in [`EBS`], or the file was cut off.
const VOLUME_TYPES: [&str; 7] = ["gp2", "gp3", "io1", "io2", "sc1", "st1", "standard"];
/// The volume type that every region sells, and that a NodeClass has when it names none.
const DEFAULT_VOLUME_TYPE: &str = "gp3";

/// Why a catalog cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The operating system refused.
    #[error("cannot read `{}`: {source}; name a folder with the files {}", path.display(), FILES.join(", "))]
    Unreadable {
        /// File or folder.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// A file as a whole is wrong.
    #[error("{file}: {problem}; {mend}")]
    File {
        /// Name of the file.
        file: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        mend: String,
    },
    /// A line is wrong.
    #[error("{file}:{line}: {problem}; {mend}")]
    Line {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        problem: String,
        /// What to do.
        mend: String,
    },
    /// A cell is wrong.
    #[error("{file}:{line}: column `{column}`: {problem}; {mend}")]
    Cell {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Name of the column.
        column: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        mend: String,
    },
}

impl CatalogError {
    fn file(file: &str, problem: &str, mend: &str) -> Self {
        Self::File { file: file.to_owned(), problem: problem.to_owned(), mend: mend.to_owned() }
    }

    fn line(file: &str, line: u64, problem: &str, mend: &str) -> Self {
        Self::Line { file: file.to_owned(), line, problem: problem.to_owned(), mend: mend.to_owned() }
    }

    fn cell(file: &str, line: u64, column: &str, problem: &str, mend: &str) -> Self {
        let (file, column) = (file.to_owned(), column.to_owned());
        Self::Cell { file, line, column, problem: problem.to_owned(), mend: mend.to_owned() }
    }
}

/// The catalog of us-east-1 that is part of the program.
///
/// # Errors
/// None for a build that passed its tests: they read it.
pub fn embedded() -> Result<Catalog, CatalogError> {
    let texts = [
        (PROPERTIES, include_str!("../../../pricing-cache/us-east-1/catalog.properties")),
        (EBS, include_str!("../../../pricing-cache/us-east-1/ebs.csv")),
        (INSTANCE_TYPES, include_str!("../../../pricing-cache/us-east-1/instance-types.csv")),
        (OFFERINGS, include_str!("../../../pricing-cache/us-east-1/offerings.csv")),
        (SPOT, include_str!("../../../pricing-cache/us-east-1/spot.csv")),
    ];
    parse(&texts, &mut Faults::Refused)
}

/// Whether the folder `path` has the file that says of which region a catalog is.
#[must_use]
pub fn is_catalog(path: &Path) -> bool {
    path.join(PROPERTIES).is_file()
}

/// The catalog in the folder `path`.
///
/// # Errors
/// A file that cannot be read, is above 32 MiB, or breaks the schema; the first one found.
pub fn read(path: &Path) -> Result<Catalog, CatalogError> {
    read_with(path, &mut Faults::Refused)
}

/// The catalog in the folder `path` without the prices that cannot be, and an error for each of those.
///
/// # Errors
/// As [`read`], except that prices are no reason to stop.
pub fn inspect(path: &Path) -> Result<(Catalog, Vec<CatalogError>), CatalogError> {
    let mut faults = Faults::Collected(Vec::new());
    let catalog = read_with(path, &mut faults)?;
    Ok((catalog, faults.into_collected()))
}

fn read_with(path: &Path, faults: &mut Faults) -> Result<Catalog, CatalogError> {
    let files = load_all(path)?;
    parse(&files.each_ref().map(|(label, text)| (label.as_str(), text.as_str())), faults)
}

/// The texts of the files in the folder `path`, by their names in [`FILES`].
///
/// # Errors
/// A file that cannot be read or is above 32 MiB.
pub fn texts(path: &Path) -> Result<BTreeMap<String, String>, CatalogError> {
    let texts = load_all(path)?.into_iter().map(|(_, text)| text);
    Ok(FILES.into_iter().map(str::to_owned).zip(texts).collect())
}

/// The catalog whose files have these names and texts; errors call them by their names.
///
/// # Errors
/// A file of [`FILES`] that is missing or breaks the schema, or a file too many; the first one found.
pub fn from_texts(texts: &BTreeMap<String, String>) -> Result<Catalog, CatalogError> {
    if let Some(unknown) = texts.keys().find(|name| !FILES.contains(&name.as_str())) {
        let mend = format!("leave it out; a catalog has {}", FILES.join(", "));
        return Err(CatalogError::file(unknown, "is no file of a catalog", &mend));
    }
    let text = |name: &'static str| match texts.get(name) {
        Some(text) => Ok((name, text.as_str())),
        None => Err(CatalogError::file(name, "is missing", &format!("a catalog has {}", FILES.join(", ")))),
    };
    let files = [text(PROPERTIES)?, text(EBS)?, text(INSTANCE_TYPES)?, text(OFFERINGS)?, text(SPOT)?];
    parse(&files, &mut Faults::Refused)
}

/// How errors name the files in the folder `path`, and their texts, in the order of [`FILES`].
fn load_all(path: &Path) -> Result<[(String, String); 5], CatalogError> {
    // Publishing swaps a link. Followed once, it leads to five files of one catalog, whatever is published meanwhile.
    let followed = if path.is_symlink() { path.canonicalize() } else { Ok(path.to_owned()) };
    let folder = followed.map_err(|source| CatalogError::Unreadable { path: path.to_owned(), source })?;
    let load = |name| load(&folder.join(name));
    Ok([load(PROPERTIES)?, load(EBS)?, load(INSTANCE_TYPES)?, load(OFFERINGS)?, load(SPOT)?])
}

/// How errors name the file, and its text.
fn load(path: &Path) -> Result<(String, String), CatalogError> {
    let unreadable = |source| CatalogError::Unreadable { path: path.to_owned(), source };
    let label = path.display().to_string();
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_string(&mut text));
    if text.len() as u64 > LARGEST_FILE {
        return Err(CatalogError::file(&label, "larger than 32 MiB, so it is no catalog", "name another folder"));
    }
    read.map_err(unreadable)?;
    Ok((label, text))
}

/// A catalog from names and texts of its files, in the order of [`FILES`].
fn parse(files: &[(&str, &str); 5], faults: &mut Faults) -> Result<Catalog, CatalogError> {
    let [properties, ebs, instance_types, offerings, spot] = *files;
    let properties = Properties::parse(properties.0, properties.1)?;
    let region = properties.get("region")?.to_owned();
    let provenance = Provenance {
        instance_types: properties.source("instance_types")?,
        zones: properties.source("zones")?,
        on_demand: properties.source("on_demand")?,
        spot: properties.source("spot")?,
        ebs: properties.source("ebs")?,
    };
    let kinds = properties.price_kinds()?;
    let ebs_prices = ebs_prices(ebs, faults)?;
    let mut types = instance_types::parse(instance_types)?;
    let spot = SpotPrices::parse(spot, &region, faults)?;
    offerings::add(offerings, &spot, kinds, &mut types, faults)?;
    let prices_as_of = provenance.on_demand.as_of.clone();
    Ok(Catalog { region, instance_types: types.into_values().collect(), ebs_prices, provenance, prices_as_of })
}

fn ebs_prices((file, text): (&str, &str), faults: &mut Faults) -> Result<BTreeMap<String, i64>, CatalogError> {
    let table = Table::parse(file, text)?;
    let columns = table.columns(&["volume_type", "usd_per_gib_month"])?;
    let (mut listed, mut prices) = (BTreeSet::new(), BTreeMap::new());
    for row in table.rows(&columns) {
        let volume_type = row.text("volume_type")?;
        if !listed.insert(volume_type) {
            return Err(row.wrong("volume_type", &format!("`{volume_type}` is there twice"), "remove one of the lines"));
        }
        if let Some(price) = faults.or_without(row.price_if_given("usd_per_gib_month"))? {
            prices.insert(volume_type.to_owned(), price.micros());
        }
    }
    if let Some(missing) = VOLUME_TYPES.iter().find(|volume_type| !listed.contains(**volume_type)) {
        return Err(CatalogError::file(
            file,
            &format!("no line for `{missing}`"),
            "add it, with an empty cell if it is not sold",
        ));
    }
    if !prices.contains_key(DEFAULT_VOLUME_TYPE) {
        return Err(CatalogError::file(file, &format!("no price for `{DEFAULT_VOLUME_TYPE}`"), "fill it in"));
    }
    Ok(prices)
}

#[cfg(test)]
mod tests;
