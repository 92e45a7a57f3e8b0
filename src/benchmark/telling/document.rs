//! A report as a tree: written once, told as Markdown and as a page.

use maud::{Markup, html};

use crate::report::html::chart::LineChart;
use crate::report::html::packing::Packing;
use crate::report::html::page::page;
use crate::report::html::table::{Table, escaped};

/// A report.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its title.
    pub title: String,
    /// What is in it.
    pub blocks: Vec<Block>,
}

/// A part of a report.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Opens a chapter.
    Chapter {
        /// Unique in the report; links lead to it.
        id: String,
        /// What it says.
        text: String,
    },
    /// Opens a section of a chapter.
    Section(String),
    /// A paragraph.
    Paragraph(String),
    /// A list.
    List(Vec<String>),
    /// Links to chapters or details: `id` and text. A page has them, Markdown does not.
    Contents(Vec<(String, String)>),
    /// A table.
    Table(Table),
    /// A chart; Markdown leaves it out.
    Chart(Box<LineChart>),
    /// A plan; Markdown leaves it out.
    Packing(Packing),
    /// What a reader opens if they want to see it.
    Details {
        /// Unique in the report; links lead to it.
        id: String,
        /// What is seen of it while it is closed.
        summary: String,
        /// What is in it.
        blocks: Vec<Block>,
    },
}

impl Document {
    /// As Markdown. Ends with a line feed.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut parts = vec![format!("# {}\n", escaped(&self.title))];
        parts.extend(self.blocks.iter().filter_map(Block::to_markdown));
        parts.join("\n")
    }

    /// As a page that needs nothing else.
    #[must_use]
    pub fn to_html(&self) -> String {
        page(&self.title, &html! { h1 { (self.title) } @for block in &self.blocks { (block.to_html()) } })
    }
}

impl Block {
    fn to_markdown(&self) -> Option<String> {
        let text = match self {
            Self::Chapter { text, .. } => format!("## {}\n", escaped(text)),
            Self::Section(text) => format!("### {}\n", escaped(text)),
            Self::Paragraph(text) => format!("{}\n", escaped(text)),
            Self::List(entries) => entries.iter().map(|entry| format!("- {}\n", escaped(entry))).collect(),
            Self::Table(table) => table.to_markdown(),
            Self::Details { summary, blocks, .. } => {
                let inner: Vec<String> = blocks.iter().filter_map(Self::to_markdown).collect();
                format!("<details><summary>{}</summary>\n\n{}\n</details>\n", escaped(summary), inner.join("\n"))
            }
            Self::Contents(_) | Self::Chart(_) | Self::Packing(_) => return None,
        };
        Some(text)
    }

    fn to_html(&self) -> Markup {
        html! {
            @match self {
                Self::Chapter { id, text } => h2 id=(id) { (text) },
                Self::Section(text) => h3 { (text) },
                Self::Paragraph(text) => p { (text) },
                Self::List(entries) => ul { @for entry in entries { li { (entry) } } },
                Self::Contents(links) => nav aria-label="Contents" {
                    ul { @for (id, text) in links { li { a href={ "#" (id) } { (text) } } } }
                },
                Self::Table(table) => (table.to_html()),
                Self::Chart(chart) => (chart.to_html()),
                Self::Packing(packing) => (packing.to_html()),
                Self::Details { id, summary, blocks } => details id=(id) {
                    summary { (summary) }
                    @for block in blocks { (block.to_html()) }
                },
            }
        }
    }
}
