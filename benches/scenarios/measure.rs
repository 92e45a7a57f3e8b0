//! One scenario planned, verified and measured.
//!
//! Times count from the moment at which the cluster is in memory: supply and demand are part of what a user waits for.

use std::fs;
use std::time::{Duration, Instant};

use supercargo::domain::catalog::Catalog;
use supercargo::domain::cluster::ClusterView;
use supercargo::domain::interruption::InterruptionCosts;
use supercargo::domain::money::UsdPerHour;
use supercargo::domain::plan::Plan;
use supercargo::planning::verifier::{self, Violation};
use supercargo::planning::{CostModel, Demand, Leftover, PlanError, Planned, PreferencePolicy, Supply, TierProgram, plan};
use supercargo::solver::{Progress, SolveConfig};

/// A plan counts as good from the moment at which it is within this of the final one.
const NEAR_FINAL: f64 = 1.02;
/// What the study counts: instances alone.
const COSTS: CostModel = CostModel {
    volumes: false,
    fee_per_node: UsdPerHour::ZERO,
    interruptions: InterruptionCosts::NONE,
    preferences: PreferencePolicy::PRICED,
};

/// What was measured.
pub(crate) struct Measurement {
    /// The plan.
    pub(crate) plan: Plan,
    /// Pods to place.
    pub(crate) pods: usize,
    /// Classes of the program, all tiers.
    pub(crate) classes: usize,
    /// Shapes of the program, all tiers.
    pub(crate) shapes: usize,
    /// Work units used.
    pub(crate) work: u64,
    /// From the cluster to the plan.
    pub(crate) elapsed: Duration,
    /// When the first plan was there.
    pub(crate) first_fit_at: Option<Duration>,
    /// When a plan within 2 % of the final one was there.
    pub(crate) near_final_at: Option<Duration>,
    /// What the steps before the solver took, measured apart.
    pub(crate) phases: Phases,
    /// Every improvement that was reported.
    pub(crate) trajectory: Vec<Progress>,
    /// Most memory that the process held meanwhile, where the system tells.
    pub(crate) peak_bytes: Option<u64>,
    /// Broken rules; a sound plan has none.
    pub(crate) violations: Vec<Violation>,
}

/// The steps before the solver.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Phases {
    /// What could be bought.
    pub(crate) supply: Duration,
    /// Pods to classes.
    pub(crate) demand: Duration,
    /// The program of every tier, as if each held all pods.
    pub(crate) program: Duration,
}

/// Plans for `cluster` with the limits of `config`.
pub(crate) fn measure(cluster: &ClusterView, catalog: &Catalog, config: &SolveConfig) -> Result<Measurement, PlanError> {
    let phases = phases(cluster, catalog)?;
    reset_peak();
    let mut heard: Vec<Progress> = Vec::new();
    let start = Instant::now();
    let planned: Planned = plan(cluster, catalog, &COSTS, config, &|| start.elapsed(), &mut |progress| heard.push(progress))?;
    let elapsed = start.elapsed();
    let peak_bytes = peak();
    let violations =
        verifier::verify(cluster, catalog, &planned.plan, &|_| UsdPerHour::ZERO, &InterruptionCosts::NONE).violations;
    let last = heard.last().map_or(0, |progress| progress.incumbent);
    let near = heard.iter().find(|progress| progress.incumbent as f64 <= last as f64 * NEAR_FINAL);
    Ok(Measurement {
        pods: cluster.pods.len(),
        classes: planned.tiers.iter().map(|tier| tier.program.problem.classes.len()).sum(),
        shapes: planned.tiers.iter().map(|tier| tier.program.problem.shapes.len()).sum(),
        work: planned.tiers.iter().map(|tier| tier.work).sum(),
        elapsed,
        first_fit_at: heard.first().map(|progress| progress.elapsed),
        near_final_at: near.map(|progress| progress.elapsed),
        phases,
        peak_bytes,
        violations,
        trajectory: heard,
        plan: planned.plan,
    })
}

fn phases(cluster: &ClusterView, catalog: &Catalog) -> Result<Phases, PlanError> {
    let start = Instant::now();
    let supply = Supply::new(cluster, catalog, &COSTS)?;
    let supplied = start.elapsed();
    let demand = Demand::new(cluster, &supply, COSTS.preferences);
    let demanded = start.elapsed();
    let left = Leftover::new(&supply, &demand);
    for weight in supply.weights() {
        std::hint::black_box(TierProgram::new(&supply, &demand, &left, weight));
    }
    Ok(Phases { supply: supplied, demand: demanded - supplied, program: start.elapsed() - demanded })
}

/// Lets the system forget the peak so far; where it does not, the peak is that of the whole run, which is no less.
fn reset_peak() {
    let _not_everywhere = fs::write("/proc/self/clear_refs", "5");
}

/// `VmHWM` of the process.
fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib: u64 = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
