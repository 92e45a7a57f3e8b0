//! `supercargo plan`: the cheapest nodes for the pods of the manifests.

use std::time::Instant;

use super::args::{Format, PlanArgs, SolveArgs};
use super::export;
use super::input::Input;
use super::output::{self, say};
use super::progress::Meter;
use super::{Answer, Failure};
use crate::adapters::kube::node_claims;
use crate::domain::money::UsdPerHour;
use crate::domain::node_pool::NodePool;
use crate::planning::verifier;
use crate::planning::{CostModel, Planned, plan, price_unmet};
use crate::report::json::PlanDocument;
use crate::report::{Report, markdown, summary, table};

/// Plans, prints the plan, and says whether every pod has a place.
pub(super) fn run(args: &PlanArgs) -> Result<Answer, Failure> {
    let meter = Meter::new();
    meter.stage("reading the manifests");
    let start = Instant::now();
    let mut input = Input::read(&args.input).inspect_err(|_| meter.finish())?;
    let model = args.costs.model(&mut input).inspect_err(|_| meter.finish())?;
    let mut planned = solve(&input, &args.solve, &model, &meter)?;
    let elapsed = start.elapsed();
    let clock = || start.elapsed();
    price_unmet(&input.cluster, &input.catalog, &model, &args.solve.config(), &clock, &mut planned).map_err(Failure::input)?;
    input.tell();
    if let Some(path) = &args.export {
        export::write(path, export::format_of(path)?, &planned)?;
    }
    let report = Report {
        cluster: &input.cluster,
        catalog: &input.catalog,
        plan: &planned.plan,
        elapsed,
        notices: &input.notices,
        root_volumes: !args.costs.no_root_volume,
        fee_per_node: args.costs.fee_per_node,
        restart_cost: args.costs.interruption_cost,
    };
    if args.output != Format::Table {
        summary::warnings(&report).iter().for_each(|warning| say(&format!("warning: {warning}")));
    }
    let text = match args.output {
        Format::Table => table::render(&report, output::style()),
        Format::Markdown => markdown::render(&report),
        Format::Json => {
            PlanDocument::new(&report).to_text().map_err(|problem| Failure::Internal(format!("plan as JSON: {problem}")))?
        }
        Format::Yaml => node_claims::to_yaml(&input.cluster, &planned.plan)
            .map_err(|problem| Failure::Internal(format!("plan as NodeClaims: {problem}")))?,
    };
    output::print(&text)?;
    Ok(if planned.plan.unplaced.is_empty() { Answer::Yes } else { Answer::No })
}

/// Makes a plan; a debug build refuses one that the verifier refuses.
pub(super) fn solve(input: &Input, solve: &SolveArgs, model: &CostModel, meter: &Meter) -> Result<Planned, Failure> {
    let start = Instant::now();
    let clock = || start.elapsed();
    let planned = plan(&input.cluster, &input.catalog, model, &solve.config(), &clock, &mut |progress| meter.solving(&progress));
    meter.finish();
    let planned = planned.map_err(Failure::input)?;
    if cfg!(debug_assertions) {
        let overhead = |pool: &NodePool| overhead(input, model, pool);
        let verdict = verifier::verify(&input.cluster, &input.catalog, &planned.plan, &overhead, &model.interruptions);
        if let Some(first) = verdict.violations.first() {
            let more = verdict.violations.len() - 1;
            return Err(Failure::Internal(format!("the plan breaks a rule: {first} (and {more} more)")));
        }
    }
    Ok(planned)
}

/// What a node of `pool` costs besides its instance.
pub(super) fn overhead(input: &Input, model: &CostModel, pool: &NodePool) -> UsdPerHour {
    let class = input.cluster.node_classes.get(&pool.node_class_ref.name);
    class.map_or(model.fee_per_node, |class| model.overhead(class, &input.catalog))
}
