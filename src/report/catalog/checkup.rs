//! What is doubtful about a catalog.

use std::fmt::Write as _;

use serde::Serialize;

use super::to_text;
use crate::domain::catalog::Catalog;
use crate::report::summary::count;

/// One line for each finding, after what the catalog is. Ends with a line feed.
#[must_use]
pub fn checkup_text(catalog: &Catalog, findings: &[String]) -> String {
    let mut text = format!("{}\n", catalog.summary());
    // Writing to a String cannot fail; the results of `writeln!` are dropped for that reason.
    if findings.is_empty() {
        let _ = writeln!(text, "nothing doubtful found");
    } else {
        let _ = writeln!(text, "{}:", count(findings.len(), "finding"));
        for finding in findings {
            let _ = writeln!(text, "  - {finding}");
        }
    }
    text
}

#[derive(Serialize)]
struct Document<'a> {
    region: &'a str,
    findings: &'a [String],
}

/// The same as a document.
///
/// # Errors
/// None: the document has only text.
pub fn checkup_json(catalog: &Catalog, findings: &[String]) -> Result<String, serde_json::Error> {
    to_text(&Document { region: &catalog.region, findings })
}
