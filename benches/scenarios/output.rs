//! What was measured, as a Markdown table and as lines of JSON.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use supercargo::solver::Progress;

use crate::measure::Measurement;

/// Dollars per hour of the best run of Karpenter's own scheduler (core v1.15.0, AWS provider v1.15.1, July 2026) on the
/// scenarios of the comparison study, topology constraints included: a yardstick, not a bound. It leaves 45 pods of
/// `micro-400*` and 4 of `micro-1500*` pending.
const KARPENTER: [(&str, f64); 25] = [
    ("awkward", 29.425),
    ("big-40", 11.487),
    ("big-40-cmr", 11.487),
    ("diverse-100", 1.023),
    ("diverse-100-cmr", 1.167),
    ("diverse-1000", 12.670),
    ("diverse-500", 5.394),
    ("diverse-500-cmr", 6.513),
    ("issue-2457", 1.836),
    ("micro-100", 11.039),
    ("micro-100-cmr", 9.850),
    ("micro-1500", 170.851),
    ("micro-1500-cmr", 181.594),
    ("micro-20", 1.817),
    ("micro-20-cmr", 1.802),
    ("micro-400", 171.240),
    ("micro-400-cmr", 82.869),
    ("micro-od-100", 20.974),
    ("micro-od-20", 4.164),
    ("micro-od-400", 117.426),
    ("openb-2000", 1_102.294),
    ("openb-2000-cmr", 849.924),
    ("openb-cpu-od", 1_049.720),
    ("plain-10000", 938.642),
    ("plain-10000-cmr", 238.153),
];

/// The head of the table.
pub(crate) const HEAD: &str = "\
| scenario | budget s | pods | classes | shapes | Karpenter $/h | first-fit $/h | cost $/h | bound $/h | gap % | nodes | unplaced | \
stopped by | s | first plan ms | within 2 % ms | supply ms | demand ms | program ms | peak MiB |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|";

/// What was planned, besides what came of it.
pub(crate) struct Subject<'a> {
    /// Name of the scenario.
    pub(crate) name: &'a str,
    /// How many times its pods.
    pub(crate) scale: usize,
    /// Seconds that the solver had.
    pub(crate) budget: f64,
    /// Whether the pods had their topology rules.
    pub(crate) topology: bool,
}

/// One row of the table.
pub(crate) fn row(subject: &Subject<'_>, made: &Measurement) -> String {
    let karpenter = karpenter(subject).map_or_else(|| "-".to_owned(), |price| format!("{price:.3}"));
    let millis = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
    let name = if subject.scale == 1 { subject.name.to_owned() } else { format!("{} x{}", subject.name, subject.scale) };
    let cells = [
        name,
        format!("{}", subject.budget),
        made.pods.to_string(),
        made.classes.to_string(),
        made.shapes.to_string(),
        karpenter,
        format!("{:.4}", made.plan.first_fit.cost.dollars()),
        format!("{:.4}", made.plan.cost.dollars()),
        format!("{:.4}", made.plan.bound.dollars()),
        format!("{:.3}", made.plan.gap() * 100.0),
        made.plan.nodes.len().to_string(),
        made.plan.unplaced.len().to_string(),
        made.plan.stopped_by.as_str().to_owned(),
        format!("{:.2}", made.elapsed.as_secs_f64()),
        made.first_fit_at.map_or_else(|| "-".to_owned(), millis),
        made.near_final_at.map_or_else(|| "-".to_owned(), millis),
        millis(made.phases.supply),
        millis(made.phases.demand),
        millis(made.phases.program),
        made.peak_bytes.map_or_else(|| "-".to_owned(), |bytes| (bytes >> 20).to_string()),
    ];
    format!("| {} |", cells.join(" | "))
}

/// One line of JSON: the row and the machine.
pub(crate) fn line(subject: &Subject<'_>, made: &Measurement) -> Value {
    let seconds = |time: Duration| time.as_secs_f64();
    json!({
        "scenario": subject.name,
        "scale": subject.scale,
        "budgetSeconds": subject.budget,
        "pods": made.pods,
        "classes": made.classes,
        "shapes": made.shapes,
        "topology": subject.topology,
        "karpenterUsdPerHour": karpenter(subject),
        "firstFitUsdPerHour": made.plan.first_fit.cost.dollars(),
        "costUsdPerHour": made.plan.cost.dollars(),
        "boundUsdPerHour": made.plan.bound.dollars(),
        "gap": made.plan.gap(),
        "nodes": made.plan.nodes.len(),
        "unplaced": made.plan.unplaced.len(),
        "stoppedBy": made.plan.stopped_by.as_str(),
        "work": made.work,
        "seconds": seconds(made.elapsed),
        "firstPlanSeconds": made.first_fit_at.map(seconds),
        "nearFinalSeconds": made.near_final_at.map(seconds),
        "supplySeconds": seconds(made.phases.supply),
        "demandSeconds": seconds(made.phases.demand),
        "programSeconds": seconds(made.phases.program),
        "peakBytes": made.peak_bytes,
        "violations": made.violations.len(),
        "trajectory": made.trajectory.iter().map(step).collect::<Vec<Value>>(),
        "cpu": cpu(),
        "cores": std::thread::available_parallelism().ok().map(std::num::NonZero::get),
    })
}

/// Seconds, stage, incumbent and bound in micro-dollars per hour.
fn step(progress: &Progress) -> Value {
    json!([progress.elapsed.as_secs_f64(), format!("{:?}", progress.stage), progress.incumbent, progress.bound])
}

fn karpenter(subject: &Subject<'_>) -> Option<f64> {
    let known = KARPENTER.iter().find(|(name, _)| *name == subject.name)?;
    (subject.scale == 1).then_some(known.1)
}

/// Model of the processor, where the system tells.
fn cpu() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let model = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(model.trim_start_matches([' ', '\t', ':']).to_owned())
}
