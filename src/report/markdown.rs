//! The plan as Markdown, for a comment on a pull request.

use std::fmt::Write as _;

use super::Report;
use super::summary;
use crate::domain::interruption::RestartCost;
use crate::domain::resources::ResourceName;

/// The plan as Markdown. Ends with a line feed.
#[must_use]
pub fn render(report: &Report<'_>) -> String {
    let plan = report.plan;
    let groups = summary::groups(&plan.nodes);
    let placed: usize = groups.iter().map(|group| group.pods).sum();
    let mut text = String::new();
    // Writing to a String cannot fail; the results of `writeln!` are dropped for that reason throughout.
    let _ = writeln!(
        text,
        "### {} on {}: ${}/h, {}\n",
        summary::count(placed, "pod"),
        summary::count(plan.nodes.len(), "node"),
        summary::dollars(plan.cost),
        summary::per_month(plan.cost)
    );
    let with_interruptions = report.restart_cost > RestartCost::ZERO;
    if !groups.is_empty() {
        let (title, line) = if with_interruptions { (" Interruptions $/h |", "--:|") } else { ("", "") };
        let _ = writeln!(
            text,
            "| NodePool | Instance type | Zone | Capacity | Nodes | Pods | CPU | Memory | $/h each | $/h |{title}"
        );
        let _ = writeln!(text, "|---|---|---|---|--:|--:|--:|--:|--:|--:|{line}");
    }
    for group in &groups {
        let node = group.sample;
        // A star would make the cell italic.
        let mark = group.mark().replace('*', "\\*");
        let interruptions =
            if with_interruptions { format!(" {} |", summary::dollars(group.interruptions())) } else { String::new() };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {mark}{} | {mark}{} |{interruptions}",
            node.node_pool,
            node.offering.instance_type,
            node.offering.zone,
            node.offering.capacity_type.as_str(),
            group.nodes,
            group.pods,
            summary::utilisation(&group.used, &group.allocatable, ResourceName::CPU),
            summary::utilisation(&group.used, &group.allocatable, ResourceName::MEMORY),
            summary::dollars(node.cost()),
            summary::dollars(group.cost()),
        );
    }
    let _ = writeln!(text, "\n- **Cost**: {}", summary::cost_terms(report));
    if let Some(sentence) = summary::existing(report) {
        let _ = writeln!(text, "- **Free room**: {sentence}");
    }
    for (at, sentence) in summary::reserved(report).iter().enumerate() {
        let _ = writeln!(text, "{}{sentence}", if at == 0 { "- **Reserved**: " } else { "  - " });
    }
    for (at, sentence) in summary::commitments(report).iter().enumerate() {
        let _ = writeln!(text, "{}{sentence}", if at == 0 { "- **Commitments**: " } else { "  - " });
    }
    for (at, sentence) in summary::unmet(report).iter().enumerate() {
        let _ = writeln!(text, "{}{sentence}", if at == 0 { "- **Wishes**: " } else { "  - " });
    }
    if let Some(sentence) = summary::interruptions(report) {
        let _ = writeln!(text, "- **Interruptions** {sentence}");
    }
    let _ = writeln!(text, "- **Proof**: {}", summary::proof(report));
    let _ = writeln!(text, "- **First-fit** {}", summary::first_fit(report));
    let _ = writeln!(text, "- **Stopped** {}", summary::stopped(report));
    let _ = writeln!(text, "- **Prices**: {}", report.catalog.summary());
    for sentence in summary::overlaid(report) {
        let _ = writeln!(text, "- \\* {sentence}");
    }
    if let Some(warning) = summary::estimate_warning(report) {
        let _ = writeln!(text, "- **~ {warning}**");
    }
    for warning in summary::idle_overlays(report.cluster, report.catalog) {
        let _ = writeln!(text, "- **{warning}**");
    }
    let left = summary::unplaced(report);
    if !left.is_empty() {
        let _ = writeln!(text, "\n**{} cannot be placed**\n", summary::count(plan.unplaced.len(), "pod"));
        for group in &left {
            let others = if group.pods > 1 { format!(" and {} more", group.pods - 1) } else { String::new() };
            let takes = if group.remedies.is_empty() { "" } else { "; it would take: " };
            let remedies = group.remedies.join(", or ");
            let _ = writeln!(text, "- `{}`{others}: {}{takes}{remedies}", group.example, group.reasons.join("; "));
        }
    }
    if !report.notices.is_empty() {
        let _ = writeln!(text, "\n<details><summary>{}</summary>\n", summary::count(report.notices.len(), "notice"));
        for notice in report.notices {
            let _ = writeln!(text, "- {notice}");
        }
        let _ = writeln!(text, "\n</details>");
    }
    text
}
