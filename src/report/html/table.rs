//! Tables: the same cells for a page and for Markdown.

use std::fmt::Write as _;

use maud::{Markup, html};

/// A table. The first column names its row.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// What it shows, in a sentence.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Rows with a cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What is over it.
    pub title: String,
    /// How it is set and sorted.
    pub kind: ColumnKind,
}

/// How a column is set and sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// To the left, by the alphabet.
    Words,
    /// To the right, by value.
    Numbers,
}

/// A cell of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// What is in it.
    pub text: String,
    /// What it is sorted by in a column of numbers; none sorts last.
    pub value: Option<f64>,
    /// The `id` on the same page that it leads to.
    pub link: Option<String>,
    /// Whether it stands out.
    pub mark: Mark,
}

/// Whether a cell stands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// It does not.
    #[default]
    Plain,
    /// The best of its kind.
    Good,
    /// Something to look at.
    Bad,
}

impl Column {
    /// A column of words.
    #[must_use]
    pub fn words(title: &str) -> Self {
        Self { title: title.to_owned(), kind: ColumnKind::Words }
    }

    /// A column of numbers.
    #[must_use]
    pub fn numbers(title: impl Into<String>) -> Self {
        Self { title: title.into(), kind: ColumnKind::Numbers }
    }
}

impl Cell {
    /// Words.
    #[must_use]
    pub fn words(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A number as it is written, with its value.
    #[must_use]
    pub fn number(text: impl Into<String>, value: f64) -> Self {
        Self { text: text.into(), value: Some(value), ..Self::default() }
    }

    /// A count.
    #[must_use]
    pub fn count(number: usize) -> Self {
        Self::number(number.to_string(), number as f64)
    }

    /// `write` of a value; `–` where there is none.
    #[must_use]
    pub fn optional(value: Option<f64>, write: impl Fn(f64) -> String) -> Self {
        value.map_or_else(|| Self::words("–"), |value| Self::number(write(value), value))
    }

    /// This, leading to an `id`.
    #[must_use]
    pub fn to(self, link: impl Into<String>) -> Self {
        Self { link: Some(link.into()), ..self }
    }

    /// This with `mark` where `when` holds.
    #[must_use]
    pub fn marked(self, mark: Mark, when: bool) -> Self {
        if when { Self { mark, ..self } } else { self }
    }
}

impl Table {
    /// The table for a page.
    #[must_use]
    pub fn to_html(&self) -> Markup {
        let number = |column: usize| (self.columns[column].kind == ColumnKind::Numbers).then_some("number");
        let sorted = self.rows.len() > 1;
        html! {
            div class="wide" tabindex="0" role="region" aria-label=(self.caption) {
                table class=[sorted.then_some("sortable")] {
                    caption { (self.caption) }
                    thead {
                        tr { @for (at, column) in self.columns.iter().enumerate() { th scope="col" class=[number(at)] { (column.title) } } }
                    }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (at, cell) in row.iter().enumerate() {
                                    @if at == 0 {
                                        th scope="row" class=[number(at)] data-value=(self.value(at, cell)) { (cell.content()) }
                                    } @else {
                                        td class=[cell.class(number(at))] data-value=(self.value(at, cell)) { (cell.content()) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// What a cell is sorted by; empty for what sorts last.
    fn value(&self, column: usize, cell: &Cell) -> String {
        match self.columns[column].kind {
            ColumnKind::Words => cell.text.clone(),
            ColumnKind::Numbers => cell.value.map(|value| value.to_string()).unwrap_or_default(),
        }
    }

    /// The table as Markdown, with the caption in front. Ends with a line feed.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = format!("{}\n\n|", escaped(&self.caption));
        // Writing to a String cannot fail.
        for column in &self.columns {
            let _ = write!(text, " {} |", escaped(&column.title));
        }
        text.push_str("\n|");
        for column in &self.columns {
            text.push_str(if column.kind == ColumnKind::Numbers { "--:|" } else { "---|" });
        }
        text.push('\n');
        for row in &self.rows {
            text.push('|');
            for cell in row {
                let words = escaped(&cell.text);
                let _ = if cell.mark == Mark::Good { write!(text, " **{words}** |") } else { write!(text, " {words} |") };
            }
            text.push('\n');
        }
        text
    }
}

impl Cell {
    fn content(&self) -> Markup {
        html! {
            @match &self.link {
                Some(link) => a href={ "#" (link) } { (self.text) },
                None => (self.text),
            }
        }
    }

    fn class(&self, number: Option<&'static str>) -> Option<String> {
        let mark = match self.mark {
            Mark::Plain => None,
            Mark::Good => Some("good"),
            Mark::Bad => Some("bad"),
        };
        let classes: Vec<&str> = number.into_iter().chain(mark).collect();
        (!classes.is_empty()).then(|| classes.join(" "))
    }
}

/// `text` on one line, with everything that Markdown would take for markup escaped.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut made = String::new();
    for c in text.chars() {
        match c {
            '\n' | '\r' => made.push(' '),
            '<' => made.push_str("&lt;"),
            '&' => made.push_str("&amp;"),
            '|' | '*' | '`' | '[' | ']' | '\\' | '_' | '~' => {
                made.push('\\');
                made.push(c);
            }
            c => made.push(c),
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            caption: "Costs & more.".to_owned(),
            columns: vec![Column::words("Solver"), Column::numbers("$/h")],
            rows: vec![
                vec![Cell::words("a|b").to("there"), Cell::number("1.50", 1.5).marked(Mark::Good, true)],
                vec![Cell::words("<c>"), Cell::optional(None, |value| value.to_string()).marked(Mark::Bad, true)],
            ],
        }
    }

    #[test]
    fn a_page_has_values_links_and_marks() {
        let text = table().to_html().into_string();
        for part in [
            "<caption>Costs &amp; more.</caption>",
            r##"<th scope="row" data-value="a|b"><a href="#there">a|b</a></th>"##,
            r#"<td class="number good" data-value="1.5">1.50</td>"#,
            r#"<td class="number bad" data-value="">–</td>"#,
            "&lt;c&gt;",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn markdown_cannot_be_broken_by_a_cell() {
        let expected = "Costs &amp; more.\n\n| Solver | $/h |\n|---|--:|\n| a\\|b | **1.50** |\n| &lt;c> | – |\n";
        assert_eq!(table().to_markdown(), expected);
        assert_eq!(escaped("a\nb_c"), "a b\\_c");
    }
}
