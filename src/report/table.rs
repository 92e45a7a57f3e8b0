//! The plan as text for a terminal.

use std::fmt::Write as _;

use comfy_table::Table;

use super::Report;
use super::columns::{Style, aligned, paint};
use super::summary::{self, Group};
use crate::domain::interruption::RestartCost;
use crate::domain::resources::{ATTACHMENTS, ResourceName, Resources};
use crate::domain::volume::EBS_DRIVER;

/// Spaces between columns, and where the terminal is narrow.
const GAPS: [u16; 2] = [2, 1];
/// Columns that a narrow terminal goes without, the first one first; extended resources go before them all.
const DISPENSABLE: [&str; 5] = [INTERRUPTIONS, EACH, MEMORY, CPU, NODE];

const NODE: &str = "NODE";
const CPU: &str = "CPU";
const MEMORY: &str = "MEMORY";
const EACH: &str = "$/H EACH";
/// What interruptions are expected to cost beyond that, in dollars per hour; there only where they cost anything.
const INTERRUPTIONS: &str = "INTERRUPTIONS";
/// Columns of words; all others are numbers.
const WORDS: [&str; 4] = ["NODEPOOL", "INSTANCE TYPE", "ZONE", "CAPACITY"];
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
        summary::dollars(plan.cost),
        summary::per_month(plan.cost),
        summary::cost_terms(report),
    );
    if !groups.is_empty() {
        let _ = writeln!(text, "{}\n", table(&groups, report, style).trim_fmt());
    }
    let mut say = |title: &str, sentence: &str| {
        let _ = writeln!(text, "{} {sentence}", paint(style, "1", &format!("{title:<10}")));
    };
    if let Some(sentence) = summary::existing(report) {
        say("Free room", &sentence);
    }
    for (at, sentence) in summary::reserved(report).iter().enumerate() {
        say(if at == 0 { "Reserved" } else { "" }, sentence);
    }
    for (at, sentence) in summary::commitments(report).iter().enumerate() {
        say(if at == 0 { "Committed" } else { "" }, sentence);
    }
    for (at, sentence) in summary::unmet(report).iter().enumerate() {
        say(if at == 0 { "Wishes" } else { "" }, sentence);
    }
    if let Some(sentence) = summary::interruptions(report) {
        say("Interrupts", &sentence);
    }
    say("Proof", &summary::proof(report));
    say("First-fit", &summary::first_fit(report));
    say("Stopped", &summary::stopped(report));
    say("Prices", &report.catalog.summary());
    for sentence in summary::overlaid(report) {
        say("*", &sentence);
    }
    if let Some(warning) = summary::estimate_warning(report) {
        let _ = writeln!(text, "{}", paint(style, "1;33", &format!("~          {warning}")));
    }
    for warning in summary::idle_overlays(report.cluster, report.catalog) {
        let _ = writeln!(text, "{}", paint(style, "1;33", &format!("!          {warning}")));
    }
    unplaced(report, style, &mut text);
    text
}

/// Header and rows, all of one length; the last row is the total.
fn cells(groups: &[Group<'_>], report: &Report<'_>) -> Vec<Vec<String>> {
    let extended = summary::extended_resources(groups);
    let mut header: Vec<String> = vec!["NODEPOOL", NODE, "INSTANCE TYPE", "ZONE", "CAPACITY", "NODES", "PODS", CPU, MEMORY]
        .into_iter()
        .map(str::to_owned)
        .collect();
    header.extend(extended.iter().map(|name| short_name(name)));
    header.extend([EACH, "$/H"].map(str::to_owned));
    let with_interruptions = report.restart_cost > RestartCost::ZERO;
    header.extend(with_interruptions.then(|| INTERRUPTIONS.to_owned()));
    let mut rows = vec![header];
    let (mut used, mut allocatable) = (Resources::new(), Resources::new());
    let mut pool = "";
    for group in groups {
        used.add(&group.used);
        allocatable.add(&group.allocatable);
        let node = group.sample;
        let mark = group.mark();
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
        row.extend([node.cost(), group.cost()].map(|cost| format!("{mark}{}", summary::dollars(cost))));
        row.extend(with_interruptions.then(|| summary::dollars(group.interruptions())));
        rows.push(row);
        pool = &node.node_pool;
    }
    let mark = if summary::estimated_nodes(report) > 0 { "~" } else { "" };
    let mut total = vec!["total".to_owned()];
    total.extend(std::iter::repeat_n(String::new(), 4));
    total.extend([report.plan.nodes.len().to_string(), groups.iter().map(|group| group.pods).sum::<usize>().to_string()]);
    total.extend(shares(&used, &allocatable, &extended));
    total.extend([String::new(), format!("{mark}{}", summary::dollars(report.plan.cost))]);
    total.extend(with_interruptions.then(|| summary::dollars(report.plan.interruptions)));
    rows.push(total);
    rows
}

fn table(groups: &[Group<'_>], report: &Report<'_>, style: Style) -> Table {
    let mut rows = cells(groups, report);
    let gap = squeeze(&mut rows, style.width);
    let titles = rows.remove(0);
    aligned(&titles, rows, &WORDS, gap, style)
}

/// Takes columns away until the rows fit `width`; returns the gap between columns. What is indispensable stays, however narrow
/// the terminal: a line that it wraps can be read, a word that is cut cannot.
fn squeeze(rows: &mut [Vec<String>], width: Option<u16>) -> u16 {
    let [wide, narrow] = GAPS;
    let Some(width) = width.map(usize::from).filter(|width| *width > 0) else { return wide };
    let needed = |rows: &[Vec<String>], gap: u16| {
        let gap = usize::from(gap);
        let columns = rows.first().map_or(0, Vec::len);
        let widest = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        (0..columns).map(|column| widest(column).unwrap_or(0) + gap).sum::<usize>().saturating_sub(gap)
    };
    if needed(rows, wide) <= width {
        return wide;
    }
    loop {
        let titles = rows.first().cloned().unwrap_or_default();
        let extended = titles.iter().position(|title| title == EACH).and_then(|each| each.checked_sub(1));
        let extended = extended.filter(|&column| titles.get(column).is_some_and(|title| title != MEMORY && title != CPU));
        let next = || DISPENSABLE.iter().find_map(|dispensable| titles.iter().position(|title| title == dispensable));
        match extended.or_else(next) {
            Some(column) if needed(rows, narrow) > width => rows.iter_mut().for_each(|row| drop(row.remove(column))),
            _ => return narrow,
        }
    }
}

fn shares(used: &Resources, allocatable: &Resources, extended: &[String]) -> Vec<String> {
    [ResourceName::CPU, ResourceName::MEMORY]
        .into_iter()
        .chain(extended.iter().map(String::as_str))
        .map(|name| summary::utilisation(used, allocatable, name))
        .collect()
}

/// `nvidia.com/gpu` → `GPU`, attachments of EBS volumes → `VOLUMES`, those of another driver with its name: the header of an extended
/// resource.
fn short_name(resource: &str) -> String {
    match resource.strip_prefix(ATTACHMENTS) {
        Some(EBS_DRIVER) => "VOLUMES".to_owned(),
        Some(driver) => format!("VOLUMES OF {driver}").to_uppercase(),
        None => resource.rsplit('/').next().unwrap_or(resource).to_uppercase(),
    }
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
        let _ = writeln!(text, "  {}{others}: {}", group.example, summary::meaning(group.why));
        for reason in group.reasons {
            let _ = writeln!(text, "    - {reason}");
        }
        for remedy in group.remedies {
            let _ = writeln!(text, "    > {remedy}");
        }
    }
    if left.len() > MOST_UNPLACED {
        let rest: usize = left.iter().skip(MOST_UNPLACED).map(|group| group.pods).sum();
        let _ = writeln!(text, "  ... and {} more; `-o json` lists them all", summary::count(rest, "pod"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let titles = ["NODEPOOL", NODE, "INSTANCE TYPE", "ZONE", CPU, MEMORY, "GPU", EACH, "$/H"];
        let row = ["default", "0-9", "m7i.large", "us-east-1a", "90 %", "80 %", "-", "0.1234", "1.2340"];
        [titles, row].map(|cells| cells.map(str::to_owned).to_vec()).to_vec()
    }

    fn titles(width: Option<u16>) -> (String, u16) {
        let mut rows = rows();
        let gap = squeeze(&mut rows, width);
        assert_eq!(rows[0].len(), rows[1].len());
        (rows[0].join("|"), gap)
    }

    #[test]
    fn extended_resources_have_short_names() {
        assert_eq!(short_name("nvidia.com/gpu"), "GPU");
        assert_eq!(short_name("attachable-volumes-csi-ebs.csi.aws.com"), "VOLUMES");
        assert_eq!(short_name("attachable-volumes-csi-efs.csi.aws.com"), "VOLUMES OF EFS.CSI.AWS.COM");
    }

    #[test]
    fn a_narrow_terminal_loses_what_matters_least() {
        let all = "NODEPOOL|NODE|INSTANCE TYPE|ZONE|CPU|MEMORY|GPU|$/H EACH|$/H";
        assert_eq!(titles(None), (all.to_owned(), 2));
        assert_eq!(titles(Some(0)), (all.to_owned(), 2));
        assert_eq!(titles(Some(120)), (all.to_owned(), 2));
        assert_eq!(titles(Some(72)), (all.to_owned(), 1));
        assert_eq!(titles(Some(68)), (all.replace("|GPU", ""), 1));
        assert_eq!(titles(Some(60)), (all.replace("|GPU|$/H EACH", ""), 1));
        assert_eq!(titles(Some(10)), ("NODEPOOL|INSTANCE TYPE|ZONE|$/H".to_owned(), 1));
    }
}
