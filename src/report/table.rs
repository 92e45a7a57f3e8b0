//! The plan as text for a terminal.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Row, Table, presets};

use super::Report;
use super::summary::{self, Group};
use crate::domain::resources::{ResourceName, Resources};

/// How wide the output may be, and whether it may have colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal; `None` for as wide as it takes.
    pub width: Option<u16>,
    /// Bold and colours.
    pub colour: bool,
}

/// Wider columns wrap first; below this many columns nothing is squeezed any further.
const NARROWEST: u16 = 60;
/// Unplaced pods are listed by workload; more than this many workloads are counted only.
const MOST_UNPLACED: usize = 20;

/// The plan as a table, followed by what is to be said about it. Ends with a line feed.
#[must_use]
pub fn render(report: &Report<'_>, style: Style) -> String {
    let plan = report.plan;
    let groups = summary::groups(&plan.nodes);
    let mut text = String::new();
    let placed: usize = groups.iter().map(|group| group.pods).sum();
    // Writing to a String cannot fail; the results of `writeln!` are dropped for that reason throughout.
    let _ = writeln!(
        text,
        "{} on {}: ${}/h, {} ({})\n",
        summary::count(placed, "pod"),
        summary::count(plan.nodes.len(), "node"),
        plan.cost,
        summary::per_month(plan.cost),
        summary::cost_terms(report),
    );
    if !groups.is_empty() {
        let _ = writeln!(text, "{}\n", table(&groups, report, style));
    }
    let mut say = |title: &str, sentence: &str| {
        let _ = writeln!(text, "{} {sentence}", paint(style, "1", &format!("{title:<10}")));
    };
    say("Proof", &summary::proof(report));
    say("First-fit", &summary::first_fit(report));
    say("Stopped", &summary::stopped(report));
    say("Prices", &report.catalog.summary());
    if let Some(warning) = summary::estimate_warning(report) {
        let _ = writeln!(text, "{}", paint(style, "1;33", &format!("~          {warning}")));
    }
    unplaced(report, style, &mut text);
    text
}

fn table(groups: &[Group<'_>], report: &Report<'_>, style: Style) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(width) = style.width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(NARROWEST));
    }
    if style.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let extended = summary::extended_resources(groups);
    let mut header = vec!["NODEPOOL", "NODE", "INSTANCE TYPE", "ZONE", "CAPACITY", "NODES", "PODS", "CPU", "MEMORY"];
    let names: Vec<String> = extended.iter().map(|name| short_name(name)).collect();
    header.extend(names.iter().map(String::as_str));
    header.extend(["$/H EACH", "$/H"]);
    let columns = header.len();
    table.set_header(header.into_iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    let (mut used, mut allocatable) = (Resources::new(), Resources::new());
    let mut pool = "";
    for group in groups {
        used.add(&group.used);
        allocatable.add(&group.allocatable);
        let node = group.sample;
        let mark = if group.is_estimated() { "~" } else { "" };
        let mut row = vec![
            if node.node_pool == pool { String::new() } else { node.node_pool.clone() },
            group.indices(),
            node.offering.instance_type.clone(),
            node.offering.zone.clone(),
            node.offering.capacity_type.as_str().to_owned(),
            group.nodes.to_string(),
            group.pods.to_string(),
        ];
        row.extend(shares(&group.used, &group.allocatable, &extended));
        row.extend([format!("{mark}{}", node.cost()), format!("{mark}{}", group.cost())]);
        table.add_row(Row::from(row));
        pool = &node.node_pool;
    }
    let mark = if summary::estimated_nodes(report) > 0 { "~" } else { "" };
    let mut total = vec!["total".to_owned()];
    total.extend(std::iter::repeat_n(String::new(), 4));
    total.extend([report.plan.nodes.len().to_string(), groups.iter().map(|group| group.pods).sum::<usize>().to_string()]);
    total.extend(shares(&used, &allocatable, &extended));
    total.extend([String::new(), format!("{mark}{}", report.plan.cost)]);
    table.add_row(Row::from(total));
    for column in (1..2).chain(5..columns) {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn shares(used: &Resources, allocatable: &Resources, extended: &[String]) -> Vec<String> {
    [ResourceName::CPU, ResourceName::MEMORY]
        .into_iter()
        .chain(extended.iter().map(String::as_str))
        .map(|name| summary::utilisation(used, allocatable, name))
        .collect()
}

/// `nvidia.com/gpu` → `GPU`: the header of an extended resource.
fn short_name(resource: &str) -> String {
    resource.rsplit('/').next().unwrap_or(resource).to_uppercase()
}

fn unplaced(report: &Report<'_>, style: Style, text: &mut String) {
    let left = summary::unplaced(report);
    if left.is_empty() {
        return;
    }
    let title = format!("{} cannot be placed:", summary::count(report.plan.unplaced.len(), "pod"));
    let _ = writeln!(text, "\n{}", paint(style, "1;31", &title));
    for group in left.iter().take(MOST_UNPLACED) {
        let others = if group.pods > 1 { format!(" and {} more of its workload", group.pods - 1) } else { String::new() };
        let _ = writeln!(text, "  {}{others}", group.example);
        for reason in group.reasons {
            let _ = writeln!(text, "    - {reason}");
        }
    }
    if left.len() > MOST_UNPLACED {
        let rest: usize = left.iter().skip(MOST_UNPLACED).map(|group| group.pods).sum();
        let _ = writeln!(text, "  ... and {} more; `-o json` lists them all", summary::count(rest, "pod"));
    }
}

/// `text` in an SGR style when colours are wanted.
fn paint(style: Style, code: &str, text: &str) -> String {
    if style.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}
