//! `supercargo verify`: does a plan that was made earlier, or elsewhere, keep every rule?

use std::fmt::Write as _;

use super::args::VerifyArgs;
use super::input::Input;
use super::plan::overhead;
use super::{Answer, Failure, interruptions, output};
use crate::domain::node_pool::NodePool;
use crate::planning::verifier;
use crate::planning::{CostModel, PreferencePolicy};
use crate::report::json::PlanDocument;
use crate::report::summary::count;

/// Checks the plan and lists what is wrong with it.
pub(super) fn run(args: &VerifyArgs) -> Result<Answer, Failure> {
    let file = args.plan.display();
    let text = std::fs::read(&args.plan).map_err(|problem| {
        Failure::Input(format!("{file}: cannot be read: {problem}\n  hint: give the output of `supercargo plan -o json`"))
    })?;
    let refuse = |problem: &dyn std::fmt::Display| {
        Failure::Input(format!("{file}: {problem}\n  hint: give the output of `supercargo plan -o json` for the same manifests"))
    };
    let document = PlanDocument::parse(&text).map_err(|problem| refuse(&problem))?;
    let restart = document
        .restart_cost()
        .ok_or_else(|| refuse(&"costModel.interruptionCost: is not an amount of dollars up to a million"))?;
    let mut input = Input::read(&args.input)?;
    let interruptions = interruptions::costs(restart, &args.bands, &mut input)?;
    input.tell();
    input.warn();
    let plan = document.to_plan(&input.cluster).map_err(|problem| refuse(&problem))?;
    let fee = document.fee_per_node().ok_or_else(|| refuse(&"costModel.feePerNode: is not an amount of dollars per hour"))?;
    let volumes = document.cost_model.root_volumes;
    let model = CostModel { volumes, fee_per_node: fee, interruptions, preferences: PreferencePolicy::Ignore };
    let overhead = |pool: &NodePool| overhead(&input, &model, pool);
    let verdict = verifier::verify(&input.cluster, &input.catalog, &plan, &overhead, &model.interruptions);
    if verdict.is_sound() {
        output::print(&format!(
            "sound: {} on {} keep every rule, at ${}/h\n",
            count(plan.nodes.iter().map(|node| node.pods.len()).sum(), "pod"),
            count(plan.nodes.len(), "node"),
            verdict.cost
        ))?;
        return Ok(Answer::Yes);
    }
    let mut listed = format!("{}:\n", count(verdict.violations.len(), "broken rule"));
    for violation in &verdict.violations {
        // Writing to a String cannot fail.
        let _ = writeln!(listed, "  {violation}");
    }
    output::print(&listed)?;
    Ok(Answer::No)
}
