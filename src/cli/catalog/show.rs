//! `supercargo catalog show`: the types that are wanted, cheapest first.

use super::args::{Format, ShowArgs};
use super::place;
use crate::cli::output::{self, say};
use crate::cli::{Answer, Failure};
use crate::report::catalog::{listing_json, listing_table};

/// Lists what is wanted.
pub(super) fn run(args: &ShowArgs) -> Result<Answer, Failure> {
    let catalog = place::read(&args.which)?;
    let selected = args.selection().of(&catalog);
    say(&catalog.summary());
    let text = match args.output {
        Format::Table => listing_table(&selected, output::style()),
        Format::Json => listing_json(&catalog, &selected).map_err(|problem| Failure::Internal(format!("listing: {problem}")))?,
    };
    output::print(&text)?;
    if selected.is_empty() {
        say("note: no instance type is like that");
        return Ok(Answer::No);
    }
    Ok(Answer::Yes)
}
