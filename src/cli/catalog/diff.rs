//! `supercargo catalog diff`: what changed between two catalogs.

use std::path::Path;

use super::args::{DiffArgs, Format};
use crate::adapters::files::catalog;
use crate::cli::output::{self, say};
use crate::cli::{Answer, Failure};
use crate::domain::catalog::Catalog;
use crate::domain::catalog::difference::Difference;
use crate::report::catalog::{difference_json, difference_text};

/// What is written for the catalog that is built in.
const EMBEDDED: &str = "embedded";

/// Compares.
pub(super) fn run(args: &DiffArgs) -> Result<Answer, Failure> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    say(&format!("before: {}", before.summary()));
    say(&format!("after:  {}", after.summary()));
    if before.region != after.region {
        say("note: two regions have no zones in common, so Spot prices are not compared");
    }
    let difference = Difference::between(&before, &after);
    let text = match args.output {
        Format::Table => difference_text(&difference, args.min_change / 100.0, output::style()),
        Format::Json => difference_json(&difference).map_err(|problem| Failure::Internal(format!("difference: {problem}")))?,
    };
    output::print(&text)?;
    Ok(Answer::Yes)
}

fn read(path: &Path) -> Result<Catalog, Failure> {
    if path == Path::new(EMBEDDED) { catalog::embedded() } else { catalog::read(path) }.map_err(Failure::input)
}
