//! Taints of nodes and tolerations of pods, matched as kube-scheduler does.

use std::fmt;

/// Nodes of ours join with this taint; registration takes it off.
pub const UNREGISTERED: &str = "karpenter.sh/unregistered";
/// Keeps pods that were not planned for a node away from it until those are on it that were.
pub const HOLD: &str = "supercargo.io/hold";
/// Keeps new pods away from a node that goes.
pub const DISRUPTED: &str = "karpenter.sh/disrupted";

/// What a taint does to a pod that does not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// The pod is not placed on the node.
    NoSchedule,
    /// The scheduler would rather place the pod elsewhere.
    PreferNoSchedule,
    /// The pod is not placed, and is evicted if it runs there.
    NoExecute,
}

impl Effect {
    /// The effect of that Kubernetes name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "NoSchedule" => Some(Self::NoSchedule),
            "PreferNoSchedule" => Some(Self::PreferNoSchedule),
            "NoExecute" => Some(Self::NoExecute),
            _ => None,
        }
    }

    /// The name that Kubernetes uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

/// A taint of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Taint {
    /// Qualified name.
    pub key: String,
    /// May be empty.
    pub value: String,
    /// What it does.
    pub effect: Effect,
}

impl fmt::Display for Taint {
    /// As `kubectl taint` writes it: `key=value:Effect`, `key:Effect`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_empty() {
            write!(f, "{}:{}", self.key, self.effect.as_str())
        } else {
            write!(f, "{}={}:{}", self.key, self.value, self.effect.as_str())
        }
    }
}

/// A toleration of a pod: which taints it accepts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Toleration {
    /// Key of the taint; `None` (an empty key with `Exists`) matches every key.
    pub key: Option<String>,
    /// `None` matches every value (operator `Exists`), otherwise the value must be equal.
    pub value: Option<String>,
    /// `None` matches every effect.
    pub effect: Option<Effect>,
}

impl Toleration {
    /// Whether this accepts `taint` (`k8s.io/component-helpers` `TolerationsTolerateTaint`).
    #[must_use]
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.effect.is_none_or(|effect| effect == taint.effect)
            && self.key.as_ref().is_none_or(|key| *key == taint.key)
            && self.value.as_ref().is_none_or(|value| *value == taint.value)
    }
}

/// The first of `taints` with a hard effect (`NoSchedule`, `NoExecute`) that no toleration accepts.
#[must_use]
pub fn first_untolerated<'a>(taints: &'a [Taint], tolerations: &[Toleration]) -> Option<&'a Taint> {
    taints
        .iter()
        .filter(|taint| taint.effect != Effect::PreferNoSchedule)
        .find(|taint| !tolerations.iter().any(|toleration| toleration.tolerates(taint)))
}
