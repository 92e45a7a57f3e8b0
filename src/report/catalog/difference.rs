//! What changed between two catalogs.

use std::fmt::Write as _;

use serde::Serialize;

use super::{GAP, to_text};
use crate::domain::catalog::difference::{Difference, Move, PriceKey};
use crate::report::columns::{Style, aligned};
use crate::report::summary::count;

const TITLES: [&str; 6] = ["INSTANCE TYPE", "CAPACITY", "ZONE", "BEFORE $/H", "AFTER $/H", "CHANGE"];
const WORDS: [&str; 3] = ["INSTANCE TYPE", "CAPACITY", "ZONE"];

/// New and gone types and offerings, then prices that moved by `least` (a share) or more. Ends with a line feed.
#[must_use]
pub fn difference_text(difference: &Difference, least: f64, style: Style) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail; the results of `writeln!` are dropped for that reason.
    let mut list = |title: &str, names: &[String]| {
        if !names.is_empty() {
            let _ = writeln!(text, "{title} {}: {}", names.len(), names.join(", "));
        }
    };
    list("New types", &difference.new_types);
    list("Gone types", &difference.gone_types);
    list("New offerings", &difference.new_offerings.iter().map(key_text).collect::<Vec<_>>());
    list("Gone offerings", &difference.gone_offerings.iter().map(key_text).collect::<Vec<_>>());
    let shown: Vec<&Move> = difference.moves.iter().filter(|one| one.share().abs() >= least).collect();
    let hidden = difference.moves.len() - shown.len();
    let below = if hidden == 0 { String::new() } else { format!(", {hidden} of them by less than {:.1} %", least * 100.0) };
    let unmoved = count(difference.unmoved, "price");
    let _ = writeln!(text, "{} moved{below}; {unmoved} did not", count(difference.moves.len(), "price"));
    if !shown.is_empty() {
        let rows = shown.into_iter().map(row).collect();
        let _ = writeln!(text, "\n{}", aligned(&TITLES, rows, &WORDS, GAP, style).trim_fmt());
    }
    text
}

fn key_text(key: &PriceKey) -> String {
    let zone = key.zone.as_ref().map(|zone| format!(" {zone}")).unwrap_or_default();
    format!("{} {}{zone}", key.instance_type, key.capacity_type.as_str())
}

fn row(one: &Move) -> Vec<String> {
    vec![
        one.key.instance_type.clone(),
        one.key.capacity_type.as_str().to_owned(),
        one.key.zone.clone().unwrap_or_else(|| "all".to_owned()),
        one.before.to_string(),
        one.after.to_string(),
        format!("{:+.1} %", one.share() * 100.0),
    ]
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    new_types: &'a [String],
    gone_types: &'a [String],
    new_offerings: Vec<Key<'a>>,
    gone_offerings: Vec<Key<'a>>,
    moves: Vec<MoveDocument<'a>>,
    unmoved: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Key<'a> {
    instance_type: &'a str,
    capacity_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a str>,
}

#[derive(Serialize)]
struct MoveDocument<'a> {
    #[serde(flatten)]
    key: Key<'a>,
    before: f64,
    after: f64,
}

impl<'a> Key<'a> {
    fn new(key: &'a PriceKey) -> Self {
        Self { instance_type: &key.instance_type, capacity_type: key.capacity_type.as_str(), zone: key.zone.as_deref() }
    }
}

impl<'a> MoveDocument<'a> {
    fn new(one: &'a Move) -> Self {
        Self { key: Key::new(&one.key), before: one.before.dollars(), after: one.after.dollars() }
    }
}

/// Everything that changed, with every price that moved.
///
/// # Errors
/// None: the document has only text and finite numbers.
pub fn difference_json(difference: &Difference) -> Result<String, serde_json::Error> {
    to_text(&Document {
        new_types: &difference.new_types,
        gone_types: &difference.gone_types,
        new_offerings: difference.new_offerings.iter().map(Key::new).collect(),
        gone_offerings: difference.gone_offerings.iter().map(Key::new).collect(),
        moves: difference.moves.iter().map(MoveDocument::new).collect(),
        unmoved: difference.unmoved,
    })
}
