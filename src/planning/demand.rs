//! Which pods the program can tell apart.
//!
//! Pods of one *class* ask for the same resources, may use the same offers of every template, and have the same priority. Pods
//! are grouped by the identity of their spec first and by its value second, so that the time follows the number of distinct
//! specs. Where a spec may run depends on its alternatives and tolerations alone; specs that agree in both are answered once,
//! and those with equal answers share a *scope*.

use std::collections::BTreeMap;
use std::sync::Arc;

use fixedbitset::FixedBitSet;
use rustc_hash::FxHashMap;

use crate::domain::pod::{Pod, PodSpec};
use crate::domain::requirement::Requirements;
use crate::domain::resources::{ResourceName, Resources};
use crate::domain::taint::Toleration;
use crate::planning::supply::{Supply, Template};

/// Pods that the program cannot tell apart.
#[derive(Clone, Debug)]
pub struct PodClass {
    /// What one pod asks for.
    pub requests: Resources,
    /// The same, by [`Demand::dimensions`].
    pub request: Vec<i64>,
    /// Index into [`Demand::scopes`].
    pub scope: usize,
    /// Priority.
    pub priority: i32,
    /// Indices into `ClusterView::pods`, ascending.
    pub pods: Vec<usize>,
}

/// Where pods may run, whatever their size.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// Per template of the supply, which of its offers; `None` where none is.
    pub offers: Vec<Option<FixedBitSet>>,
}

/// The pods to place, as the program sees them.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    /// Resources that some pod asks for, by name.
    pub dimensions: Vec<ResourceName>,
    /// Classes in an order that does not depend on that of the pods.
    pub classes: Vec<PodClass>,
    /// Scopes; no two are equal.
    pub scopes: Vec<Scope>,
    /// Class of each pod, by its index.
    pub class_of: Vec<usize>,
}

/// What decides where a pod may run.
type Signature<'a> = (&'a [Requirements], &'a [Toleration]);

impl Demand {
    /// The classes of `pods` with respect to `supply`.
    #[must_use]
    pub fn new(pods: &[Pod], supply: &Supply) -> Self {
        let specs = distinct_specs(pods);
        let mut by_signature: BTreeMap<Signature<'_>, usize> = specs.by_value.iter().map(|spec| (signature(spec), 0)).collect();
        let mut known: FxHashMap<Scope, usize> = FxHashMap::default();
        let mut scopes = Vec::new();
        let mut reach = Reach::default();
        for (&(alternatives, tolerations), scope) in &mut by_signature {
            let found = reach.scope(supply, alternatives, tolerations);
            *scope = *known.entry(found).or_insert_with_key(|found| {
                scopes.push(found.clone());
                scopes.len() - 1
            });
        }

        let mut grouped: BTreeMap<(usize, &Resources, i32), Vec<usize>> = BTreeMap::new();
        for (spec, found) in specs.by_value.iter().zip(specs.pods) {
            grouped.entry((by_signature[&signature(spec)], &spec.requests, spec.priority)).or_default().extend(found);
        }
        let names: std::collections::BTreeSet<&ResourceName> =
            specs.by_value.iter().flat_map(|spec| spec.requests.iter().map(|(name, _)| name)).collect();
        let dimensions: Vec<ResourceName> = names.into_iter().cloned().collect();
        let mut class_of = vec![0; pods.len()];
        let mut classes = Vec::with_capacity(grouped.len());
        for ((scope, requests, priority), mut members) in grouped {
            members.sort_unstable();
            for &pod in &members {
                class_of[pod] = classes.len();
            }
            let request = amounts(requests, &dimensions);
            classes.push(PodClass { requests: requests.clone(), request, scope, priority, pods: members });
        }
        Self { dimensions, classes, scopes, class_of }
    }
}

/// `resources` as one amount per dimension.
pub(super) fn amounts(resources: &Resources, dimensions: &[ResourceName]) -> Vec<i64> {
    dimensions.iter().map(|name| resources.get(name.as_str())).collect()
}

fn signature(spec: &PodSpec) -> Signature<'_> {
    (&spec.node_alternatives, &spec.tolerations)
}

/// Specs that differ in what the program sees, and the pods of each.
struct DistinctSpecs<'a> {
    by_value: Vec<&'a PodSpec>,
    pods: Vec<Vec<usize>>,
}

fn distinct_specs(pods: &[Pod]) -> DistinctSpecs<'_> {
    let mut by_pointer: FxHashMap<*const PodSpec, usize> = FxHashMap::default();
    let mut known: BTreeMap<(Signature<'_>, &Resources, i32), usize> = BTreeMap::new();
    let mut found = DistinctSpecs { by_value: Vec::new(), pods: Vec::new() };
    for (number, pod) in pods.iter().enumerate() {
        let spec = *by_pointer.entry(Arc::as_ptr(&pod.spec)).or_insert_with(|| {
            let key = (signature(&pod.spec), &pod.spec.requests, pod.spec.priority);
            *known.entry(key).or_insert_with(|| {
                found.by_value.push(&pod.spec);
                found.pods.push(Vec::new());
                found.by_value.len() - 1
            })
        });
        found.pods[spec].push(number);
    }
    found
}

/// Answers where alternatives lead to, each once per market.
#[derive(Default)]
struct Reach<'a> {
    known: BTreeMap<(usize, &'a Requirements), (FixedBitSet, FixedBitSet)>,
}

impl<'a> Reach<'a> {
    fn scope(&mut self, supply: &Supply, alternatives: &'a [Requirements], tolerations: &[Toleration]) -> Scope {
        let offers = supply.templates.iter().map(|template| self.offers(template, alternatives, tolerations)).collect();
        Scope { offers }
    }

    fn offers(
        &mut self,
        template: &Template,
        alternatives: &'a [Requirements],
        tolerations: &[Toleration],
    ) -> Option<FixedBitSet> {
        if !template.tolerated_by(tolerations) {
            return None;
        }
        let mut found = FixedBitSet::with_capacity(template.offers.len());
        for alternative in alternatives.iter().filter(|wanted| template.requirements.compatible(wanted)) {
            let market = Arc::as_ptr(&template.market) as usize;
            let (types, cells) =
                self.known.entry((market, alternative)).or_insert_with(|| template.market.satisfying(alternative));
            let meets = |of_type: usize| types.contains(template.types[of_type].in_market);
            let offers = template.offers.iter().enumerate();
            found.extend(offers.filter(|(_, o)| meets(o.of_type) && cells.contains(o.cell)).map(|(number, _)| number));
        }
        (!found.is_clear()).then_some(found)
    }
}
