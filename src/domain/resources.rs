//! Amounts of named resources in fixed integer units.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What the names of resources that count attached volumes begin with.
pub const ATTACHMENTS: &str = "attachable-volumes-csi-";

/// The name of a resource as Kubernetes writes it: `cpu`, `memory`, `pods`, `nvidia.com/gpu`, ...
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceName(Arc<str>);

impl ResourceName {
    /// CPU, in milli-cores.
    pub const CPU: &'static str = "cpu";
    /// Memory, in bytes.
    pub const MEMORY: &'static str = "memory";
    /// Ephemeral storage, in bytes.
    pub const EPHEMERAL_STORAGE: &'static str = "ephemeral-storage";
    /// Pod slots of a node.
    pub const PODS: &'static str = "pods";
    /// How many nodes; used in the limits of a NodePool only.
    pub const NODES: &'static str = "nodes";
    /// What nodes cost, all included, in micro-dollars per hour; used in the limits of a NodePool only. The blanks make it no name of
    /// a resource of Kubernetes.
    pub const COST: &'static str = "dollars per hour";

    /// Any name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Volumes of a CSI driver that a node has attached (kube-scheduler's name for it).
    #[must_use]
    pub fn attachments_of(driver: &str) -> Self {
        Self::new(&format!("{ATTACHMENTS}{driver}"))
    }

    /// Whether it counts volumes that a node can have attached; a node that does not list it has no limit.
    #[must_use]
    pub fn is_attachment(&self) -> bool {
        self.0.starts_with(ATTACHMENTS)
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl std::borrow::Borrow<str> for ResourceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Amounts by resource: CPU in milli-cores, memory and storage in bytes, all else in whole units.
///
/// A resource that is absent has the amount zero; zero amounts are not stored. Amounts may be negative (what is left of an
/// overcommitted node).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resources(BTreeMap<ResourceName, i64>);

impl Resources {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The amount of `name`, zero when absent.
    #[must_use]
    pub fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Sets the amount of `name`; zero removes it.
    pub fn set(&mut self, name: &str, amount: i64) {
        if amount == 0 {
            self.0.remove(name);
        } else {
            self.0.insert(ResourceName::new(name), amount);
        }
    }

    /// This with `name` set to `amount`; for building.
    #[must_use]
    pub fn with(mut self, name: &str, amount: i64) -> Self {
        self.set(name, amount);
        self
    }

    /// Adds `other` times `times`, saturating at the limits of `i64`.
    pub fn add_times(&mut self, other: &Self, times: i64) {
        for (name, amount) in &other.0 {
            let sum = self.get(name.as_str()).saturating_add(amount.saturating_mul(times));
            self.set(name.as_str(), sum);
        }
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.add_times(other, 1);
    }

    /// This minus `other`; amounts may become negative.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut left = self.clone();
        left.add_times(other, -1);
        left
    }

    /// Per resource the larger amount.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        let mut larger = self.clone();
        for (name, amount) in &other.0 {
            if *amount > larger.get(name.as_str()) {
                larger.set(name.as_str(), *amount);
            }
        }
        larger
    }

    /// Whether every amount is at most that of `capacity` (an absent resource there is zero).
    #[must_use]
    pub fn fits_in(&self, capacity: &Self) -> bool {
        self.0.iter().all(|(name, amount)| *amount <= capacity.get(name.as_str()))
    }

    /// Names and amounts that are not zero, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&ResourceName, i64)> {
        self.0.iter().map(|(name, amount)| (name, *amount))
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `amount` of the resource `name` as a Kubernetes quantity: `1500m` of CPU, `512Mi` of memory, `2` of anything else.
///
/// Exact: parsing it gives the amount back.
#[must_use]
pub fn quantity_text(name: &str, amount: i64) -> String {
    const BINARY: [(&str, i64); 2] = [("Gi", 1 << 30), ("Mi", 1 << 20)];
    match name {
        ResourceName::CPU if amount % 1_000 == 0 => (amount / 1_000).to_string(),
        ResourceName::CPU => format!("{amount}m"),
        ResourceName::MEMORY | ResourceName::EPHEMERAL_STORAGE if amount != 0 => {
            match BINARY.into_iter().find(|(_, unit)| amount % unit == 0) {
                Some((suffix, unit)) => format!("{}{suffix}", amount / unit),
                None => amount.to_string(),
            }
        }
        _ => amount.to_string(),
    }
}
