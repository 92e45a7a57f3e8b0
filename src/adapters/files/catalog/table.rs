//! Cells of a CSV table, each read with its place in the file at hand, so that whatever is wrong is said where it is.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use csv::{ReaderBuilder, StringRecord};

use crate::adapters::files::catalog::CatalogError;
use crate::domain::money::UsdPerHour;

/// No instance costs more in an hour; what does is a price in another unit.
const DEAREST: UsdPerHour = UsdPerHour::from_micros(1_000 * 1_000_000);

/// A CSV file with a header.
pub(super) struct Table<'a> {
    file: &'a str,
    header: Vec<String>,
    records: Vec<StringRecord>,
}

/// One line of a table.
pub(super) struct Row<'t> {
    table: &'t Table<'t>,
    columns: &'t BTreeMap<&'t str, usize>,
    record: &'t StringRecord,
}

impl<'a> Table<'a> {
    /// Parses `text`; `file` is how errors name it.
    pub(super) fn parse(file: &'a str, text: &str) -> Result<Self, CatalogError> {
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let malformed = |error: csv::Error| {
            CatalogError::file(file, &format!("not a CSV table: {error}"), "restore the file from its source")
        };
        let header: Vec<String> = reader.headers().map_err(malformed)?.iter().map(str::to_owned).collect();
        let mut seen = BTreeMap::new();
        for name in &header {
            if seen.insert(name, ()).is_some() {
                return Err(CatalogError::cell(file, 1, name, "the column is there twice", "remove one of them"));
            }
        }
        let records = reader.into_records().collect::<Result<Vec<_>, _>>().map_err(malformed)?;
        let table = Self { file, header, records };
        let longer = |record: &&StringRecord| record.len() != table.header.len();
        if let Some(record) = table.records.iter().find(longer) {
            let problem = format!("{} cells, but the header has {}", record.len(), table.header.len());
            let line = record.position().map_or(0, csv::Position::line);
            return Err(CatalogError::line(file, line, &problem, "complete the line, or restore the file if it was cut off"));
        }
        ends_with_line_break(file, text)?;
        Ok(table)
    }

    /// The header's names from the second on: the first column names the line.
    pub(super) fn names_after_the_first(&self) -> &[String] {
        self.header.get(1..).unwrap_or_default()
    }

    /// Where each of `required` and every other column is.
    pub(super) fn columns(&self, required: &[&str]) -> Result<BTreeMap<&str, usize>, CatalogError> {
        let found: BTreeMap<&str, usize> = self.header.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        match required.iter().find(|name| !found.contains_key(**name)) {
            Some(name) => {
                Err(CatalogError::cell(self.file, 1, name, "the column is missing", "add it to the header and to every line"))
            }
            None => Ok(found),
        }
    }

    /// The lines after the header.
    pub(super) fn rows<'t>(&'t self, columns: &'t BTreeMap<&'t str, usize>) -> impl Iterator<Item = Row<'t>> {
        self.records.iter().map(move |record| Row { table: self, columns, record })
    }
}

impl<'t> Row<'t> {
    /// An error about the cell in `column`.
    pub(super) fn wrong(&self, column: &str, problem: &str, mend: &str) -> CatalogError {
        let line = self.record.position().map_or(0, csv::Position::line);
        CatalogError::cell(self.table.file, line, column, problem, mend)
    }

    /// The cell as it stands; empty when the table has no such column.
    pub(super) fn cell(&self, column: &str) -> &'t str {
        self.columns.get(column).and_then(|at| self.record.get(*at)).unwrap_or_default()
    }

    /// The cell, which must not be empty.
    pub(super) fn text(&self, column: &str) -> Result<&'t str, CatalogError> {
        match self.cell(column) {
            "" => Err(self.wrong(column, "the cell is empty", "fill it in")),
            text => Ok(text),
        }
    }

    /// An integer within `range`.
    pub(super) fn number(&self, column: &str, range: RangeInclusive<i64>) -> Result<i64, CatalogError> {
        let text = self.cell(column);
        parse_number(text, &range).ok_or_else(|| {
            let mend = format!("write an integer from {} to {}", range.start(), range.end());
            self.wrong(column, &format!("`{text}` is not a number that can be here"), &mend)
        })
    }

    /// As [`Self::number`]; `None` when the cell is empty.
    pub(super) fn number_if_given(&self, column: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, CatalogError> {
        if self.cell(column).is_empty() { Ok(None) } else { self.number(column, range).map(Some) }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, column: &str) -> Result<bool, CatalogError> {
        match self.cell(column) {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(self.wrong(column, &format!("`{other}` is neither true nor false"), "write one of the two")),
        }
    }

    /// A price in dollars above 0 and at most [`DEAREST`].
    pub(super) fn price(&self, column: &str) -> Result<UsdPerHour, CatalogError> {
        let text = self.cell(column);
        match UsdPerHour::parse(text) {
            Some(price) if price > UsdPerHour::ZERO && price <= DEAREST => Ok(price),
            _ => {
                let mend = format!("write dollars above 0 and up to {DEAREST} with at most six decimals, such as 0.0416");
                Err(self.wrong(column, &format!("`{text}` is not a price"), &mend))
            }
        }
    }

    /// As [`Self::price`]; `None` when the cell is empty.
    pub(super) fn price_if_given(&self, column: &str) -> Result<Option<UsdPerHour>, CatalogError> {
        if self.cell(column).is_empty() { Ok(None) } else { self.price(column).map(Some) }
    }
}

/// A file that ends within a line was cut off, and its last cell may be wrong without looking so.
pub(super) fn ends_with_line_break(file: &str, text: &str) -> Result<(), CatalogError> {
    if text.ends_with('\n') {
        return Ok(());
    }
    let line = text.lines().count() as u64;
    Err(CatalogError::line(file, line, "the file ends within this line", "restore the file, it was cut off"))
}

/// Digits alone, within `range`.
pub(super) fn parse_number(text: &str, range: &RangeInclusive<i64>) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|number| range.contains(number))
}
