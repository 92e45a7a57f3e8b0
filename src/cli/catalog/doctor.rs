//! `supercargo catalog doctor`: is there anything doubtful about a catalog?

use super::age::days_old;
use super::args::{DoctorArgs, Format};
use super::place;
use crate::adapters::files::catalog;
use crate::cli::output;
use crate::cli::{Answer, Failure};
use crate::domain::catalog::checkup::examine;
use crate::report::catalog::{checkup_json, checkup_text};

/// Examines, and names everything that is found.
pub(super) fn run(args: &DoctorArgs) -> Result<Answer, Failure> {
    let (catalog, faults) = match place::folder(&args.which)? {
        Some(path) => catalog::inspect(&path).map_err(Failure::input)?,
        None => (catalog::embedded().map_err(Failure::input)?, Vec::new()),
    };
    let mut findings: Vec<String> = faults.iter().map(ToString::to_string).collect();
    findings.extend(examine(&catalog, &days_old).iter().map(ToString::to_string));
    let text = match args.output {
        Format::Table => checkup_text(&catalog, &findings),
        Format::Json => checkup_json(&catalog, &findings).map_err(|problem| Failure::Internal(format!("findings: {problem}")))?,
    };
    output::print(&text)?;
    Ok(if findings.is_empty() { Answer::Yes } else { Answer::No })
}
