//! What pods would pay for their preferences, and which of them a plan leaves unmet.
//!
//! Under [`PreferencePolicy::Priced`] a soft rule of weight `w` is worth `w/100` of a premium on the pod's own price: the least share of
//! an offering that the pod takes, by its largest request relative to what pods may use there. So a preference is met where that
//! makes the pod dearer by no more than the premium, whatever its size, and all preferences together cannot cost more than that.
//!
//! Rules about the node alone (preferred node affinity, `PreferNoSchedule`) divide the offers of a pod by what is forgone there. Rules
//! between pods become terms with a worth, see [`crate::planning::terms`]. Without a price are: rules that no offer meets, or all do;
//! rules under `kubernetes.io/hostname` beyond the [`MOST_PER_NODE`] heaviest of a pod, or near pods like itself; every rule of a pod with a
//! required affinity under `kubernetes.io/hostname`.

use fixedbitset::FixedBitSet;

use crate::domain::labels;
use crate::domain::preference::{FULL_WEIGHT, SoftRule};
use crate::domain::requirement::Requirements;
use crate::domain::resources::Resources;
use crate::domain::taint::{Effect, Toleration};
use crate::planning::demand::{Reach, Scope};
use crate::planning::supply::{Supply, Template};
use crate::planning::terms::{Kind, Soft};

/// How many rules about what shares a node have a price: each doubles the ways in which pods may be placed.
const MOST_PER_NODE: usize = 2;

/// What becomes of preferences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreferencePolicy {
    /// They have a price.
    Priced {
        /// What a pod pays for a preference of full weight, in thousandths of its own price.
        premium_per_mille: u32,
    },
    /// They are required as long as the pod can be placed, and given up one by one in Karpenter's order where it cannot.
    Respect,
    /// They count for nothing.
    Ignore,
}

impl PreferencePolicy {
    /// A pod pays a tenth more for a preference of full weight.
    pub const PRICED: Self = Self::Priced { premium_per_mille: 100 };
}

/// Rules about the node alone that have a price.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeWishes<'a> {
    /// Worth (micro-dollars per hour and pod) and what the node should be.
    nodes: Vec<(i64, &'a Requirements)>,
    /// Worth of a node without soft taints but those that the pod tolerates.
    untainted: Option<(i64, &'a [Toleration])>,
}

impl<'a> NodeWishes<'a> {
    /// Whether all offers are alike to the pod.
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.untainted.is_none()
    }

    /// What a pod forgoes on each offer of each template.
    pub(super) fn forgone(&self, supply: &Supply, reach: &mut Reach<'a>) -> Vec<Vec<i64>> {
        let of = |template: &Template| {
            let mut forgone = vec![0; template.offers.len()];
            for &(worth, wanted) in &self.nodes {
                let met = met(template, wanted, reach);
                (0..forgone.len()).filter(|&offer| !met.contains(offer)).for_each(|offer| forgone[offer] += worth);
            }
            if let Some((worth, tolerations)) = self.untainted
                && !is_untainted(template, tolerations)
            {
                forgone.iter_mut().for_each(|forgone| *forgone += worth);
            }
            forgone
        };
        supply.templates.iter().map(of).collect()
    }
}

/// The offers of `template` that meet a preferred node affinity.
fn met<'a>(template: &Template, wanted: &'a Requirements, reach: &mut Reach<'a>) -> FixedBitSet {
    let none = || FixedBitSet::with_capacity(template.offers.len());
    reach.offers(template, std::slice::from_ref(wanted)).unwrap_or_else(none)
}

fn is_untainted(template: &Template, tolerations: &[Toleration]) -> bool {
    let soft = template.taints.iter().filter(|taint| taint.effect == Effect::PreferNoSchedule);
    soft.into_iter().all(|taint| tolerations.iter().any(|toleration| toleration.tolerates(taint)))
}

/// One way in which pods of a kind may be placed: soft rules between pods, and what those that it gives up are worth.
#[derive(Clone, Debug)]
pub(super) struct Variant<'a> {
    pub(super) soft: Vec<Soft<'a>>,
    /// Micro-dollars per hour and pod.
    pub(super) forgone: i64,
}

/// The preferences of a kind of pods that have a price.
#[derive(Clone, Debug)]
pub(super) struct Priced<'a> {
    /// At least one; the first gives up nothing, the last everything that can be given up.
    pub(super) variants: Vec<Variant<'a>>,
    pub(super) wishes: NodeWishes<'a>,
    /// Worth of each soft rule of the pod; zero where it has no price.
    pub(super) worth: Vec<i64>,
}

impl<'a> Priced<'a> {
    /// Those of pods of `kind`, which may use `scope`.
    pub(super) fn new(kind: &Kind<'a>, policy: PreferencePolicy, supply: &Supply, scope: &Scope, reach: &mut Reach<'a>) -> Self {
        let Kind { spec, namespace, labels: own, .. } = *kind;
        let rules = spec.soft_rules();
        let mut made = Self { variants: Vec::new(), wishes: NodeWishes::default(), worth: vec![0; rules.len()] };
        let mut anywhere: Vec<Soft<'a>> = Vec::new();
        let mut per_node: Vec<(usize, Soft<'a>)> = Vec::new();
        let soft_taints =
            supply.templates.iter().flat_map(|template| &template.taints).any(|taint| taint.effect == Effect::PreferNoSchedule);
        let PreferencePolicy::Priced { premium_per_mille } = policy else { return made.without_price() };
        if rules.len() == 1 && !soft_taints {
            return made.without_price();
        }
        let full = price(supply, scope, &spec.requests).saturating_mul(i64::from(premium_per_mille)) / 1_000;
        let bundled = spec.near.iter().any(|term| term.topology_key == labels::HOSTNAME);
        for (number, (weight, rule)) in rules.into_iter().enumerate().filter(|_| !bundled) {
            let worth = full.saturating_mul(i64::from(weight)) / i64::from(FULL_WEIGHT);
            if worth <= 0 {
                continue;
            }
            let soft = Soft { rule, worth, kept: true };
            match rule {
                SoftRule::Node(wanted) => {
                    if divides(supply, scope, &mut |template| met(template, wanted, reach)) {
                        made.wishes.nodes.push((worth, wanted));
                        made.worth[number] = worth;
                    }
                }
                SoftRule::Untainted => {
                    let mut all = |template: &Template| {
                        let mut offers = FixedBitSet::with_capacity(template.offers.len());
                        offers.set_range(.., is_untainted(template, &spec.tolerations));
                        offers
                    };
                    if divides(supply, scope, &mut all) {
                        made.wishes.untainted = Some((worth, &spec.tolerations));
                        made.worth[number] = worth;
                    }
                }
                SoftRule::Near(term) if term.topology_key == labels::HOSTNAME && term.selector.selects(namespace, own) => {}
                _ if rule.topology_key() == Some(labels::HOSTNAME) => per_node.push((number, soft)),
                _ => {
                    made.worth[number] = worth;
                    anywhere.push(soft);
                }
            }
        }
        per_node.sort_by_key(|(number, soft)| (std::cmp::Reverse(soft.worth), *number));
        per_node.truncate(MOST_PER_NODE);
        per_node.iter().for_each(|(number, soft)| made.worth[*number] = soft.worth);
        for given_up in 0..1_usize << per_node.len() {
            let own = per_node.iter().enumerate().map(|(at, (_, soft))| Soft { kept: given_up >> at & 1 == 0, ..*soft });
            let soft: Vec<Soft<'a>> = own.chain(anywhere.iter().copied()).collect();
            let forgone = soft.iter().filter(|soft| !soft.kept).map(|soft| soft.worth).sum();
            made.variants.push(Variant { soft, forgone });
        }
        made
    }

    /// With one variant that gives up nothing.
    fn without_price(mut self) -> Self {
        self.variants.push(Variant { soft: Vec::new(), forgone: 0 });
        self
    }
}

/// Whether some offers of a scope are among `met` and some are not.
fn divides(supply: &Supply, scope: &Scope, met: &mut dyn FnMut(&Template) -> FixedBitSet) -> bool {
    let (mut some, mut all) = (false, true);
    for (template, offers) in supply.templates.iter().zip(&scope.offers) {
        let Some(offers) = offers else { continue };
        let met = met(template);
        some |= !offers.is_disjoint(&met);
        all &= offers.is_subset(&met);
    }
    some && !all
}

/// What a pod of `request` (by dimension) costs by itself: the least share of an offering in `scope` that it takes, in micro-dollars per
/// hour; 0 where no offering to buy holds it.
pub(super) fn price(supply: &Supply, scope: &Scope, requests: &Resources) -> i64 {
    let mut least: Option<i64> = None;
    for (template, offers) in supply.templates.iter().zip(&scope.offers).filter(|(template, _)| template.standing.is_none()) {
        // Millionths of a node of each type.
        let shares: Vec<Option<i64>> = template
            .types
            .iter()
            .map(|of| {
                let counted = requests.iter().filter(|(name, wanted)| *wanted > 0 && !name.is_attachment());
                let room = counted.map(|(name, wanted)| (i128::from(wanted), i128::from(of.room.for_pods.get(name.as_str()))));
                let share = |(wanted, room)| if wanted <= room { i64::try_from(wanted * 1_000_000 / room).ok() } else { None };
                room.map(share).try_fold(0, |most: i64, share| Some(most.max(share?)))
            })
            .collect();
        // What is paid for anyway says nothing about what a pod is worth.
        let paid = |offer: &usize| template.reservation(*offer).is_none();
        for offer in offers.iter().flat_map(FixedBitSet::ones).filter(paid) {
            if let Some(share) = shares[template.offers[offer].of_type] {
                let price = i128::from(template.cost(offer).micros()) * i128::from(share) / 1_000_000;
                let price = i64::try_from(price).unwrap_or(i64::MAX);
                least = Some(least.map_or(price, |least| least.min(price)));
            }
        }
    }
    least.unwrap_or(0)
}
