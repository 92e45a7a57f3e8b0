//! What is in the making and can be switched on or off, as `A=true,B=false`.

/// Karpenter's gates that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureGates {
    /// Capacity reservations count as capacity of the type `reserved`.
    pub reserved_capacity: bool,
    /// NodeOverlays change prices and resources of instance types.
    pub node_overlay: bool,
}

impl FeatureGates {
    /// As Karpenter 1.15 has them.
    pub const DEFAULT: Self = Self { reserved_capacity: true, node_overlay: false };

    /// Reads the gates, and what is to be said of those that mean nothing here. Karpenter's chart writes every gate that it knows, so one
    /// that is off goes without a word.
    ///
    /// # Errors
    /// The part that is not `NAME=true` or `NAME=false`.
    pub(super) fn parse(text: &str) -> Result<(Self, Vec<String>), String> {
        let (mut gates, mut notices) = (Self::DEFAULT, Vec::new());
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, on) = match part.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
                Some((name, "true")) => (name, true),
                Some((name, "false")) => (name, false),
                _ => return Err(format!("`{part}` is not of the form NAME=true or NAME=false")),
            };
            match name {
                "ReservedCapacity" => gates.reserved_capacity = on,
                "NodeOverlay" => gates.node_overlay = on,
                _ if on => notices.push(format!("FEATURE_GATES: `{name}` has no meaning in this release and is left out")),
                _ => {}
            }
        }
        Ok((gates, notices))
    }
}
