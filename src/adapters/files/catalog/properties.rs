//! `catalog.properties`: region, sources and days, and which prices are estimates.

use std::collections::BTreeMap;

use crate::adapters::files::catalog::CatalogError;
use crate::adapters::files::catalog::table::{ends_with_line_break, parse_number};
use crate::domain::catalog::{PriceKind, Source};

/// Whether the prices of each capacity type are those of AWS.
#[derive(Clone, Copy, Debug)]
pub(super) struct PriceKinds {
    pub(super) on_demand: PriceKind,
    pub(super) spot: PriceKind,
}

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
        self.source_with(&format!("{part}."))
    }

    /// The source whose keys begin with `prefix`.
    pub(super) fn source_with(&self, prefix: &str) -> Result<Source, CatalogError> {
        let (origin, day) = (format!("{prefix}origin"), format!("{prefix}as_of"));
        let as_of = self.get(&day)?;
        if !is_day_or_minute(as_of) {
            return Err(self.wrong(&day, "write a day as 2026-07-20, or a minute in UTC as 2026-07-20T13:05Z"));
        }
        Ok(Source { origin: self.get(&origin)?.to_owned(), as_of: as_of.to_owned() })
    }

    /// On-Demand prices are taken for those of AWS where nothing is said; Spot prices must say what they are.
    pub(super) fn price_kinds(&self) -> Result<PriceKinds, CatalogError> {
        let given = self.values.contains_key("on_demand.kind");
        let on_demand = if given { self.price_kind("on_demand.kind")? } else { PriceKind::Listed };
        Ok(PriceKinds { on_demand, spot: self.price_kind("spot.kind")? })
    }

    fn price_kind(&self, key: &str) -> Result<PriceKind, CatalogError> {
        match self.get(key)? {
            "listed" => Ok(PriceKind::Listed),
            "estimate" => Ok(PriceKind::Estimated),
            _ => Err(self.wrong(key, "write `listed` for observed prices and `estimate` for all others")),
        }
    }
}

/// Whether `text` has the form `2026-07-20` or `2026-07-20T13:05Z`.
fn is_day_or_minute(text: &str) -> bool {
    let Some((day, time)) = text.split_once('T') else { return is_day(text) };
    let minute = time.strip_suffix('Z').and_then(|time| time.split_once(':'));
    let two_digits = |text: &str, most| text.len() == 2 && parse_number(text, &(0..=most)).is_some();
    is_day(day) && minute.is_some_and(|(hours, minutes)| two_digits(hours, 23) && two_digits(minutes, 59))
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
