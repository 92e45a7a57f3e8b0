//! Columns of text for a terminal.

use comfy_table::{Attribute, Cell, CellAlignment, Table, presets};

/// How wide the output may be, and whether it may have colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal; `None` for as wide as it takes.
    pub width: Option<u16>,
    /// Bold and colours.
    pub colour: bool,
}

/// A table without lines, `gap` spaces between columns. The columns that `words` names are set left, all others are numbers.
pub(super) fn aligned(titles: &[impl AsRef<str>], rows: Vec<Vec<String>>, words: &[&str], gap: u16, style: Style) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if style.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(titles.iter().map(|title| Cell::new(title.as_ref()).add_attribute(Attribute::Bold)));
    table.add_rows(rows);
    for (index, title) in titles.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, gap));
            if !words.contains(&title.as_ref()) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table
}

/// `text` in an SGR style when colours are wanted.
pub(super) fn paint(style: Style, code: &str, text: &str) -> String {
    if style.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}
