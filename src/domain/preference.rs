//! What a pod would rather have: the rules that a plan may break, in one order, with their weights.
//!
//! A rule over single nodes is unmet by every pod whose node is not what it asks for. A rule between pods is unmet by as many pods of
//! a kind as would have to leave a domain for it to hold there: what is left over counts, not everybody who shares the domain.

use std::fmt;

use crate::domain::pod::PodSpec;
use crate::domain::requirement::Requirements;
use crate::domain::topology::{PodAffinityTerm, TopologySpread, Wish};

/// The weight of rules that Kubernetes gives none, on the scale of preferred terms: the most.
pub const FULL_WEIGHT: i32 = 100;

/// A rule that a plan may break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SoftRule<'a> {
    /// `whenUnsatisfiable: ScheduleAnyway`.
    Spread(&'a TopologySpread),
    /// Preferred pod affinity.
    Near(&'a PodAffinityTerm),
    /// Preferred pod anti-affinity.
    Apart(&'a PodAffinityTerm),
    /// Preferred node affinity.
    Node(&'a Requirements),
    /// No taint with the effect `PreferNoSchedule` that the pod does not tolerate.
    Untainted,
}

impl PodSpec {
    /// Its soft rules with their weights (1 to 100): spread constraints, preferred terms, and the taints to keep away from last. Their
    /// places in this list are what a plan names them by.
    #[must_use]
    pub fn soft_rules(&self) -> Vec<(i32, SoftRule<'_>)> {
        let spreads = self.spreads.iter().filter(|spread| !spread.required).map(|spread| (FULL_WEIGHT, SoftRule::Spread(spread)));
        let wishes = self.preferences.iter().map(|preference| {
            let rule = match &preference.wish {
                Wish::Node(requirements) => SoftRule::Node(requirements),
                Wish::Near(term) => SoftRule::Near(term),
                Wish::Apart(term) => SoftRule::Apart(term),
            };
            (preference.weight, rule)
        });
        spreads.chain(wishes).chain([(FULL_WEIGHT, SoftRule::Untainted)]).collect()
    }
}

impl SoftRule<'_> {
    /// Label whose values are the domains; `None` for a rule about the node alone.
    #[must_use]
    pub fn topology_key(&self) -> Option<&str> {
        match self {
            Self::Spread(spread) => Some(&spread.topology_key),
            Self::Near(term) | Self::Apart(term) => Some(&term.topology_key),
            Self::Node(_) | Self::Untainted => None,
        }
    }
}

/// The pods of a term.
fn pods(term: &PodAffinityTerm) -> String {
    term.selector.labels.as_ref().map_or_else(|| "no pods".to_owned(), |labels| format!("pods with {labels}"))
}

impl fmt::Display for SoftRule<'_> {
    /// `spread over topology.kubernetes.io/zone with maxSkew 1`, `near pods with app=cache under kubernetes.io/hostname`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spread(spread) => write!(f, "spread over {} with maxSkew {}", spread.topology_key, spread.max_skew),
            Self::Near(term) => write!(f, "near {} under {}", pods(term), term.topology_key),
            Self::Apart(term) => write!(f, "apart from {} under {}", pods(term), term.topology_key),
            Self::Node(requirements) => {
                f.write_str("on a node with ")?;
                for (at, (key, requirement)) in requirements.iter().enumerate() {
                    write!(f, "{}{key} {requirement}", if at > 0 { ", " } else { "" })?;
                }
                Ok(())
            }
            Self::Untainted => f.write_str("on a node without PreferNoSchedule taints"),
        }
    }
}
