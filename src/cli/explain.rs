//! `supercargo explain`: why a pod is where it is, or why nowhere; why a node is what it is.

use std::fmt::Write as _;

use super::args::{ExplainArgs, ExplainContext, Subject};
use super::input::Input;
use super::plan::solve;
use super::progress::Meter;
use super::{Answer, Failure, output};
use crate::domain::money::UsdPerHour;
use crate::domain::plan::{Candidate, PlannedNode};
use crate::domain::pod::Pod;
use crate::domain::resources::{ResourceName, quantity_text};
use crate::planning::Planned;
use crate::planning::explain::{Difference, NodeExplanation, PodExplanation, explain_node, explain_pod};
use crate::report::summary::{count, mark, meaning, per_month};

/// More candidates than this are only counted.
const MOST_CANDIDATES: usize = 8;
/// More pods than this are only counted.
const MOST_PODS: usize = 12;

/// Plans as `plan` does and explains one part of the outcome. Exit code 1 for a pod that has no place.
pub(super) fn run(args: &ExplainArgs) -> Result<Answer, Failure> {
    match &args.subject {
        Subject::Pod { name, context } => pod(name, context),
        Subject::Node { number, context } => node(*number, context),
    }
}

fn planned(context: &ExplainContext) -> Result<(Input, Planned), Failure> {
    let meter = Meter::new();
    meter.stage("reading the manifests");
    let mut input = Input::read(&context.input).inspect_err(|_| meter.finish())?;
    let model = context.costs.model(&mut input).inspect_err(|_| meter.finish())?;
    let planned = solve(&input, &context.solve, &model, &meter)?;
    input.tell();
    input.warn();
    Ok((input, planned))
}

fn pod(name: &str, context: &ExplainContext) -> Result<Answer, Failure> {
    let Some((namespace, short)) = name.split_once('/') else {
        let mend = "give it as NAMESPACE/NAME, such as default/web-0";
        return Err(Failure::Input(format!("`{name}` is not the name of a pod\n  hint: {mend}")));
    };
    let (input, planned) = planned(context)?;
    let index = input.cluster.pods.iter().position(|pod| pod.namespace == namespace && pod.name == short);
    let explained = index.and_then(|index| explain_pod(&input.cluster, &planned, index));
    let mut text = String::new();
    // Writing to a String cannot fail; the results of `writeln!` are dropped for that reason throughout.
    let answer = match explained {
        None => {
            let near = input.cluster.pods.iter().find(|pod| pod.namespace == namespace && pod.workload.name == short);
            let mend = near.map_or_else(
                || "`supercargo plan -o json` lists the pods".to_owned(),
                |pod| format!("pods of a workload are numbered, the first is {}", pod.full_name()),
            );
            return Err(Failure::Input(format!("the manifests have no pod {name}\n  hint: {mend}")));
        }
        Some(PodExplanation::Unplaced(left)) => {
            let _ = writeln!(text, "Pod {name} is not placed: {}:", meaning(left.why));
            for reason in &left.reasons {
                let _ = writeln!(text, "  - {reason}");
            }
            if !left.remedies.is_empty() {
                let _ = writeln!(text, "What it would take, each by itself:");
            }
            for remedy in &left.remedies {
                let _ = writeln!(text, "  > {remedy}");
            }
            Answer::No
        }
        Some(PodExplanation::OnExisting { node }) => {
            let name_of_node = &input.cluster.nodes[node].name;
            let _ = writeln!(text, "Pod {name} goes to {name_of_node}, a node that exists: its room costs nothing.");
            Answer::Yes
        }
        Some(PodExplanation::Placed { node, marginal_price }) => {
            let _ = writeln!(text, "Pod {name} is on node {}.", node.node);
            if let Some(spec) = index.and_then(|index| input.cluster.pods.get(index)).map(|pod| &pod.spec) {
                let asked: Vec<String> = spec
                    .requests
                    .iter()
                    .filter(|(resource, _)| resource.as_str() != ResourceName::PODS)
                    .map(|(resource, amount)| format!("{resource} {}", quantity_text(resource.as_str(), amount)))
                    .collect();
                let _ =
                    writeln!(text, "  asks for    {}", if asked.is_empty() { "nothing".to_owned() } else { asked.join(", ") });
            }
            if let Some(price) = marginal_price {
                let _ = writeln!(text, "  worth       ${price:.4}/h: what one more pod like it would cost");
            }
            let _ = writeln!(text);
            describe(&mut text, &input, &planned, &node);
            Answer::Yes
        }
    };
    output::print(&text)?;
    Ok(answer)
}

fn node(number: usize, context: &ExplainContext) -> Result<Answer, Failure> {
    let (input, planned) = planned(context)?;
    let Some(explained) = explain_node(&input.cluster, &planned, number) else {
        let mend = match planned.plan.nodes.len() {
            0 => "the plan has no nodes".to_owned(),
            nodes => format!("the nodes are numbered from 0 to {}", nodes - 1),
        };
        return Err(Failure::Input(format!("the plan has no node {number}\n  hint: {mend}")));
    };
    let mut text = String::new();
    describe(&mut text, &input, &planned, &explained);
    output::print(&text)?;
    Ok(Answer::Yes)
}

fn describe(text: &mut String, input: &Input, planned: &Planned, explained: &NodeExplanation) {
    let Some(made) = planned.plan.nodes.get(explained.node) else { return };
    let _ = writeln!(
        text,
        "Node {}: {} of NodePool {}, ${}/h with its root volume and fee",
        explained.node,
        offering(&made.offering),
        made.node_pool,
        made.cost()
    );
    for (key, value) in &made.labels {
        let _ = writeln!(text, "  label       {key}={value}");
    }
    for used in &explained.utilisation {
        let amount = |amount| quantity_text(&used.resource, amount);
        let _ = writeln!(
            text,
            "  {:<11} {:.0} % full: pods {}, DaemonSets {}, of {}",
            if used.resource == ResourceName::PODS { "pod slots" } else { &used.resource },
            used.share() * 100.0,
            amount(used.pods),
            amount(used.daemons),
            amount(used.allocatable)
        );
    }
    let _ = writeln!(text, "  runs        {}", pods(input, made));
    for binding in &explained.binding {
        let _ = writeln!(text, "  binds       {binding}");
    }
    match &explained.next_best {
        Some(next) => {
            let _ = writeln!(text, "  next best   {}", difference(next));
        }
        None => {
            let _ = writeln!(text, "  next best   none: no other offering holds these pods");
        }
    }
    if let Some(next) = explained.next_best_type.as_ref().filter(|next| Some(*next) != explained.next_best.as_ref()) {
        let _ = writeln!(text, "  other type  {}", difference(next));
    }
    let others: Vec<&Difference> = explained.candidates.iter().filter(|one| one.offering != made.offering).collect();
    let _ = writeln!(text, "  stand-ins   {} for a stock-out", count(others.len(), "other offering"));
    for one in others.iter().take(MOST_CANDIDATES) {
        let _ = writeln!(text, "    {}", difference(one));
    }
    if others.len() > MOST_CANDIDATES {
        let _ = writeln!(text, "    ... and {} more", others.len() - MOST_CANDIDATES);
    }
}

fn pods(input: &Input, node: &PlannedNode) -> String {
    let named: Vec<String> =
        node.pods.iter().take(MOST_PODS).filter_map(|&pod| input.cluster.pods.get(pod)).map(Pod::full_name).collect();
    let more = if node.pods.len() > MOST_PODS { format!(" and {} more", node.pods.len() - MOST_PODS) } else { String::new() };
    format!("{}: {}{more}", node.pods.len(), named.join(", "))
}

fn offering(one: &Candidate) -> String {
    let mark = mark(one.price_kind);
    let interruptions = if one.interruptions > UsdPerHour::ZERO {
        format!(" and interruptions of ${}/h", one.interruptions)
    } else {
        String::new()
    };
    format!("{} {} {} at {mark}${}/h{interruptions}", one.instance_type, one.zone, one.capacity_type.as_str(), one.price)
}

fn difference(other: &Difference) -> String {
    let by = other.per_hour;
    if by == UsdPerHour::ZERO {
        return format!("{}: the same cost", offering(&other.offering));
    }
    let (word, size) = if by < UsdPerHour::ZERO { ("less", UsdPerHour::ZERO - by) } else { ("more", by) };
    format!("{}: ${size}/h {word}, {}", offering(&other.offering), per_month(size))
}
