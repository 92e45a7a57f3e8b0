//! `catalog.properties`: region, sources and days, and whether Spot prices were observed.

use std::collections::BTreeMap;

use crate::adapters::files::catalog::CatalogError;
use crate::adapters::files::catalog::table::{ends_with_line_break, parse_number};
use crate::domain::catalog::{PriceKind, Source};

/// Lines `key = value` of `catalog.properties`.
pub(super) struct Properties<'a> {
    file: &'a str,
    values: BTreeMap<&'a str, (u64, &'a str)>,
}

impl<'a> Properties<'a> {
    pub(super) fn parse(file: &'a str, text: &'a str) -> Result<Self, CatalogError> {
        ends_with_line_break(file, text)?;
        let mut values = BTreeMap::new();
        for (line, content) in (1..).zip(text.lines()) {
            if content.trim().is_empty() || content.starts_with('#') {
                continue;
            }
            let Some((key, value)) = content.split_once('=') else {
                return Err(CatalogError::line(file, line, "no `key = value`", "complete the line or remove it"));
            };
            if values.insert(key.trim(), (line, value.trim())).is_some() {
                return Err(CatalogError::cell(file, line, key.trim(), "given twice", "remove one of the lines"));
            }
        }
        Ok(Self { file, values })
    }

    pub(super) fn get(&self, key: &str) -> Result<&'a str, CatalogError> {
        match self.values.get(key) {
            Some((_, value)) if !value.is_empty() => Ok(value),
            _ => Err(CatalogError::file(self.file, &format!("no value for `{key}`"), &format!("add a line `{key} = ...`"))),
        }
    }

    /// An error about the value of `key`.
    fn wrong(&self, key: &str, mend: &str) -> CatalogError {
        let (line, value) = self.values.get(key).copied().unwrap_or_default();
        CatalogError::cell(self.file, line, key, &format!("`{value}` cannot be here"), mend)
    }

    pub(super) fn source(&self, part: &str) -> Result<Source, CatalogError> {
        let (origin, day) = (format!("{part}.origin"), format!("{part}.as_of"));
        let as_of = self.get(&day)?;
        if !is_day(as_of) {
            return Err(self.wrong(&day, "write a day as 2026-07-20"));
        }
        Ok(Source { origin: self.get(&origin)?.to_owned(), as_of: as_of.to_owned() })
    }

    pub(super) fn spot_kind(&self) -> Result<PriceKind, CatalogError> {
        match self.get("spot.kind")? {
            "listed" => Ok(PriceKind::Listed),
            "estimate" => Ok(PriceKind::Estimated),
            _ => Err(self.wrong("spot.kind", "write `listed` for observed prices and `estimate` for all others")),
        }
    }
}

/// Whether `text` has the form `2026-07-20`, with a month and a day that exist in some year.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    match parts[..] {
        [year, month, day] => {
            (year.len(), month.len(), day.len()) == (4, 2, 2)
                && parse_number(year, &(2000..=9999)).is_some()
                && parse_number(month, &(1..=12)).is_some()
                && parse_number(day, &(1..=31)).is_some()
        }
        _ => false,
    }
}
