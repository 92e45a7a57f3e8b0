//! Catalogs for people and programs: a listing, what changed between two, what is doubtful about one.
//!
//! Money in JSON is in dollars, as numbers; `docs/catalog.md` describes the documents.

mod checkup;
mod difference;
mod listing;

pub use checkup::{checkup_json, checkup_text};
pub use difference::{difference_json, difference_text};
pub use listing::{listing_json, listing_table};

use serde::Serialize;

/// Spaces between columns.
const GAP: u16 = 2;

/// Indented JSON that ends with a line feed.
fn to_text<T: Serialize>(document: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(document).map(|text| text + "\n")
}
