//! The drawing of a plan: each node a box with its CPU and its memory, filled with DaemonSets and pods.
//!
//! Nodes that are alike (the same offering, filled the same way) share a box. Large plans have more kinds of nodes than anybody looks at: the
//! drawing has those that most money goes to, and says what it leaves out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use maud::{Markup, html};

use super::chart::css_colour;
use crate::domain::cluster::ClusterView;
use crate::domain::money::UsdPerHour;
use crate::domain::quantity::Quantity;
use crate::domain::resources::{ResourceName, Resources, quantity_text};
use crate::report::json::{NodeDocument, PlanDocument};
use crate::report::summary::{count, dollars, utilisation};

/// Boxes in a drawing.
const MOST_BOXES: usize = 24;
/// Pods of a workload on a node that are drawn one by one.
const MOST_PODS: usize = 60;
/// Width of a box's bars in the drawing.
const WIDTH: f64 = 240.0;
/// Height of a bar.
const BAR: f64 = 18.0;
/// Two lines of text and two bars.
const HEIGHT: f64 = 76.0;
/// What is drawn of a node.
const DIMENSIONS: [(&str, &str); 2] = [(ResourceName::CPU, "CPU"), (ResourceName::MEMORY, "Memory")];

/// The drawing of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Packing {
    /// Nodes that are alike, those first that cost most together.
    pub kinds: Vec<Kind>,
}

/// Nodes that are alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// How many.
    pub nodes: usize,
    /// `m7g.2xlarge`.
    pub instance_type: String,
    /// NodePool, zone and capacity type.
    pub place: String,
    /// What each adds to the bill.
    pub cost: UsdPerHour,
    /// What the DaemonSets of one take.
    pub daemons: Resources,
    /// What one offers.
    pub allocatable: Resources,
    /// What is on one.
    pub loads: Vec<Load>,
}

/// Pods of one workload on a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Load {
    /// `shop/web`; nothing where nobody knows whose the pods are.
    pub workload: Option<String>,
    /// How many.
    pub pods: usize,
    /// What all of them take.
    pub requests: Resources,
}

impl Packing {
    /// Of a plan. `cluster` tells whose the pods are and what each takes; without it, the pods of a node are drawn as one.
    #[must_use]
    pub fn new(plan: &PlanDocument, cluster: Option<&ClusterView>) -> Self {
        let pods: BTreeMap<(&str, &str), usize> = cluster
            .iter()
            .flat_map(|cluster| &cluster.pods)
            .enumerate()
            .map(|(at, pod)| ((pod.namespace.as_str(), pod.name.as_str()), at))
            .collect();
        let owners = |node: &NodeDocument| -> Option<Vec<Load>> {
            let mut loads: BTreeMap<(String, Resources), usize> = BTreeMap::new();
            for name in &node.pods {
                let pod = &cluster?.pods[*pods.get(&name.split_once('/')?)?];
                let workload = format!("{}/{}", pod.namespace, pod.workload.name);
                *loads.entry((workload, pod.spec.requests.clone())).or_default() += 1;
            }
            let load = |((workload, each), pods): ((String, Resources), usize)| {
                let mut requests = Resources::new();
                requests.add_times(&each, i64::try_from(pods).unwrap_or(i64::MAX));
                Load { workload: Some(workload), pods, requests }
            };
            Some(loads.into_iter().map(load).collect())
        };
        let mut alike: BTreeMap<Kind, usize> = BTreeMap::new();
        for node in &plan.nodes {
            let together = || vec![Load { workload: None, pods: node.pods.len(), requests: resources(&node.requests) }];
            let one = Kind {
                nodes: 1,
                instance_type: node.instance_type.clone(),
                place: format!("{}, {}, {}", node.nodepool, node.zone, node.capacity_type),
                cost: UsdPerHour::from_dollars(node.cost).unwrap_or_default(),
                daemons: resources(&node.daemons),
                allocatable: resources(&node.allocatable),
                loads: owners(node).unwrap_or_else(together),
            };
            *alike.entry(one).or_default() += 1;
        }
        let mut kinds: Vec<Kind> = alike.into_iter().map(|(one, nodes)| Kind { nodes, ..one }).collect();
        // The sort is stable: kinds of one price keep their order.
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.total()));
        Self { kinds }
    }

    /// The drawing.
    #[must_use]
    pub fn to_html(&self) -> Markup {
        let drawn = &self.kinds[..self.kinds.len().min(MOST_BOXES)];
        let left = &self.kinds[drawn.len()..];
        let mut styles: BTreeMap<&str, usize> = BTreeMap::new();
        for load in drawn.iter().flat_map(|kind| &kind.loads) {
            let next = styles.len();
            styles.entry(load.workload.as_deref().unwrap_or("")).or_insert(next);
        }
        html! {
            figure {
                figcaption {
                    "Each box is a node: how much of its CPU and memory DaemonSets (grey) and pods (a colour for each workload; colours come "
                    "again) ask for. What is empty is free."
                    @if !left.is_empty() {
                        " The " (drawn.len()) " kinds of nodes that most money goes to are drawn; "
                        (count(left.iter().map(|kind| kind.nodes).sum(), "node")) " of " (count(left.len(), "other kind"))
                        " for $" (dollars(left.iter().map(Kind::total).sum())) "/h are not."
                    }
                }
                ul class="nodes" { @for kind in drawn { (kind.to_html(&styles)) } }
            }
        }
    }
}

impl Kind {
    /// What all of them add to the bill.
    fn total(&self) -> UsdPerHour {
        self.cost * i64::try_from(self.nodes).unwrap_or(i64::MAX)
    }

    fn to_html(&self, styles: &BTreeMap<&str, usize>) -> Markup {
        let pods: usize = self.loads.iter().map(|load| load.pods).sum();
        html! {
            li class="node" {
                strong { (self.nodes) " × " (self.instance_type) }
                span { (self.place) }
                span { "$" (self.cost) "/h each, " (count(pods, "pod")) " each" }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(self.in_words()) {
                    @for (row, (resource, title)) in DIMENSIONS.into_iter().enumerate() {
                        (self.bar(row as f64 * HEIGHT / 2.0, resource, title, styles))
                    }
                }
            }
        }
    }

    /// What is asked for on one.
    fn used(&self) -> Resources {
        let mut used = self.daemons.clone();
        self.loads.iter().for_each(|load| used.add(&load.requests));
        used
    }

    /// What the bars show.
    fn in_words(&self) -> String {
        let share = |resource| utilisation(&self.used(), &self.allocatable, resource);
        let all: Vec<String> = DIMENSIONS.into_iter().map(|(resource, title)| format!("{title} {}", share(resource))).collect();
        format!("{} asked for", all.join(", "))
    }

    fn bar(&self, top: f64, resource: &str, title: &str, styles: &BTreeMap<&str, usize>) -> Markup {
        let offered = self.allocatable.get(resource);
        let daemons = self.daemons.get(resource);
        let used = self.used();
        // A plan that the verifier refuses may ask for more than there is; it is drawn to its own scale.
        let scale = WIDTH / offered.max(used.get(resource)).max(1) as f64;
        let y = top + 14.0;
        let mut from = daemons;
        let parts: Vec<(i64, &Load)> = self
            .loads
            .iter()
            .map(|load| {
                let start = from;
                from += load.requests.get(resource);
                (start, load)
            })
            .collect();
        let amount = |amount| quantity_text(resource, amount);
        html! {
            text x="0" y=(top + 10.0) { (title) " " (utilisation(&used, &self.allocatable, resource)) " of " (amount(offered)) }
            rect class="room" x="0" y=(y) width=(length(offered as f64 * scale)) height=(BAR) {}
            @if daemons > 0 {
                rect class="daemons" x="0" y=(y) width=(length(daemons as f64 * scale)) height=(BAR) {
                    title { "DaemonSets: " (amount(daemons)) }
                }
            }
            @for (start, load) in parts {
                @if load.requests.get(resource) > 0 {
                    path class="pods" fill=(css_colour(*styles.get(load.workload.as_deref().unwrap_or("")).unwrap_or(&0)))
                        d=(pieces(start as f64 * scale, y, load.requests.get(resource) as f64 * scale, load)) {
                        title { (load.name()) ": " (amount(load.requests.get(resource))) }
                    }
                }
            }
        }
    }
}

impl Load {
    fn name(&self) -> String {
        let pods = count(self.pods, "pod");
        self.workload.as_ref().map_or_else(|| pods.clone(), |workload| format!("{workload}, {pods}"))
    }
}

/// A rectangle for each pod of a load, all of one width; one for all of them where they are too many, or differ.
fn pieces(x: f64, y: f64, width: f64, load: &Load) -> String {
    let number = if load.workload.is_some() && load.pods <= MOST_PODS { load.pods.max(1) } else { 1 };
    let each = width / number as f64;
    let mut path = String::new();
    for piece in 0..number {
        // Writing to a String cannot fail.
        let _ = write!(path, "M{} {}h{}v{BAR}h-{}z", length(x + piece as f64 * each), length(y), length(each), length(each));
    }
    path
}

/// A length with at most two decimals.
fn length(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Amounts of a document; what is no quantity counts as nothing: it can be drawn all the same, and reading it is the verifier's business.
fn resources(named: &BTreeMap<String, String>) -> Resources {
    let mut made = Resources::new();
    for (name, text) in named {
        if let Ok(quantity) = Quantity::parse(text) {
            made.set(name, quantity.amount(name));
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(workload: Option<&str>, pods: usize, millis: i64) -> Load {
        let requests = Resources::new().with(ResourceName::CPU, millis).with(ResourceName::MEMORY, millis << 20);
        Load { workload: workload.map(str::to_owned), pods, requests }
    }

    fn kind(nodes: usize, micros: i64, loads: Vec<Load>) -> Kind {
        Kind {
            nodes,
            instance_type: "m7g.large".to_owned(),
            place: "default, us-east-1a, spot".to_owned(),
            cost: UsdPerHour::from_micros(micros),
            daemons: Resources::new().with(ResourceName::CPU, 200),
            allocatable: Resources::new().with(ResourceName::CPU, 2_000).with(ResourceName::MEMORY, 4_000 << 20),
            loads,
        }
    }

    #[test]
    fn a_box_has_a_rectangle_for_each_pod_and_says_what_it_shows() {
        let packing = Packing { kinds: vec![kind(12, 50_000, vec![load(Some("shop/web"), 3, 900)])] };
        let text = packing.to_html().into_string();
        for part in [
            "12 × m7g.large",
            "$0.0500/h each, 3 pods each",
            r#"aria-label="CPU 55 %, Memory 22 % asked for""#,
            "CPU 55 % of 2",
            // 200 of 2000 milli-cores on 240 points, then three pods of 300.
            r#"class="daemons" x="0" y="14" width="24""#,
            r#"d="M24 14h36v18h-36zM60 14h36v18h-36zM96 14h36v18h-36z""#,
            "<title>shop/web, 3 pods: 900m</title>",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("are not"), "{text}");
    }

    #[test]
    fn pods_that_nobody_knows_and_crowds_are_one_rectangle() {
        for (workload, pods) in [(None, 3), (Some("a/b"), MOST_PODS + 1)] {
            assert_eq!(pieces(0.0, 0.0, 100.0, &load(workload, pods, 900)), "M0 0h100v18h-100z");
        }
    }

    #[test]
    fn a_large_plan_is_cut_where_the_least_money_goes_and_says_so() {
        let kinds: Vec<Kind> = (0..MOST_BOXES + 2).map(|_| kind(2, 1_000_000, Vec::new())).collect();
        let text = Packing { kinds }.to_html().into_string();
        assert_eq!(text.matches("<li").count(), MOST_BOXES);
        assert!(text.contains("4 nodes of 2 other kinds for $4.0000/h are not."), "{text}");
    }

    #[test]
    fn too_much_on_a_node_stays_in_the_box() {
        let text = kind(1, 1, vec![load(Some("a/b"), 1, 3_800)]).to_html(&BTreeMap::new()).into_string();
        // 4000 of 2000: half of the box is what there is.
        assert!(text.contains("CPU 200 % of 2") && text.contains(r#"class="room" x="0" y="14" width="120""#), "{text}");
    }
}
