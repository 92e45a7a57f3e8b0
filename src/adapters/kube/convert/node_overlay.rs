//! From a NodeOverlay to the domain, with the checks that Karpenter makes at admission and at run time (core v1.15.0): an overlay that
//! these refuse would leave prices as they are, so it is an error here rather than a plan at other prices than were meant.

use std::collections::BTreeMap;

use crate::adapters::kube::convert::label_syntax::restriction;
use crate::adapters::kube::convert::node_pool::{self, MAX_ENTRIES};
use crate::adapters::kube::convert::{FieldError, amount, entry};
use crate::adapters::kube::crd;
use crate::domain::labels;
use crate::domain::node_overlay::{LARGEST_WEIGHT, NodeOverlay, PriceChange};
use crate::domain::requirement::Requirements;
use crate::domain::resources::ResourceName;

/// Resources that overlays may not set: what is known of them decides where pods fit today.
const FIXED: [&str; 4] = [ResourceName::CPU, ResourceName::MEMORY, ResourceName::EPHEMERAL_STORAGE, ResourceName::PODS];

/// Converts the overlay called `name`.
///
/// # Errors
/// When a field breaks a rule of Karpenter's; the field is relative to the object.
pub fn from_api(name: &str, overlay: &crd::NodeOverlay) -> Result<NodeOverlay, FieldError> {
    let spec = &overlay.spec;
    let convert = || {
        Ok(NodeOverlay {
            name: name.to_owned(),
            weight: weight(spec)?,
            requirements: requirements(&spec.requirements)?,
            price: price(spec)?,
            capacity: capacity(spec)?,
        })
    };
    convert().map_err(|error: FieldError| error.inside("spec"))
}

fn weight(spec: &crd::NodeOverlaySpec) -> Result<i32, FieldError> {
    let weight = spec.weight.unwrap_or(0);
    if spec.weight.is_none() || (1..=LARGEST_WEIGHT).contains(&weight) {
        return Ok(weight);
    }
    let problem = format!("{weight} is not between 1 and {LARGEST_WEIGHT}");
    Err(FieldError::new("weight", problem, "leave the weight out for the lowest"))
}

fn price(spec: &crd::NodeOverlaySpec) -> Result<Option<PriceChange>, FieldError> {
    match (&spec.price, &spec.price_adjustment) {
        (Some(_), Some(_)) => Err(FieldError::new(
            "priceAdjustment",
            "there is a `price`, too",
            "remove one: a price of its own needs no adjustment",
        )),
        (Some(text), None) => PriceChange::parse_price(text).map(Some).ok_or_else(|| {
            let mend = "write dollars per hour as digits, such as \"0.25\"; for a change write priceAdjustment";
            FieldError::new("price", format!("`{text}` is not a price"), mend)
        }),
        (None, Some(text)) => PriceChange::parse_adjustment(text).map(Some).ok_or_else(|| {
            let mend =
                "write a sign and dollars, such as \"-0.05\", or a sign and a percentage, such as \"+10%\", of at least -100%";
            FieldError::new("priceAdjustment", format!("`{text}` is not a change of a price"), mend)
        }),
        (None, None) => Ok(None),
    }
}

fn capacity(spec: &crd::NodeOverlaySpec) -> Result<BTreeMap<String, i64>, FieldError> {
    let mut capacity = BTreeMap::new();
    for (name, quantity) in spec.capacity.iter().flatten() {
        if FIXED.contains(&name.as_str()) {
            let problem = format!("`{name}` cannot be overlaid");
            let mend = "name other resources only; a NodeClass has settings for what the kubelet keeps";
            return Err(FieldError::new(entry("capacity", name), problem, mend));
        }
        let amount = amount(quantity, || entry("capacity", name))?;
        // What a node has must not grow by its rounding.
        capacity.insert(name.clone(), amount.amount_floor(name));
    }
    Ok(capacity)
}

fn requirements(list: &[crd::NodeOverlayRequirement]) -> Result<Requirements, FieldError> {
    if list.len() > MAX_ENTRIES {
        return Err(FieldError::new("requirements", format!("{} entries", list.len()), format!("use at most {MAX_ENTRIES}")));
    }
    let mut joined = Requirements::new();
    for (index, wanted) in list.iter().enumerate() {
        let crd::NodeOverlayRequirement { key, operator, values } = wanted.clone();
        let wanted = crd::NodeRequirement { key, operator, values, min_values: None };
        let requirement = node_pool::requirement(&wanted, overlay_restriction);
        joined.add(&wanted.key, requirement.map_err(|error| error.inside(&format!("requirements[{index}]")))?);
    }
    Ok(joined)
}

/// Why an overlay may not require the label `key`; `None` when it may. What is chosen at the launch alone is nothing that a price can
/// depend on.
fn overlay_restriction(key: &str) -> Option<&'static str> {
    match key {
        labels::NODE_POOL => None,
        labels::TENANCY => Some("the tenancy is chosen at the launch"),
        labels::RESERVATION_ID | labels::RESERVATION_TYPE | labels::RESERVATION_INTERRUPTIBLE => {
            Some("capacity reservations are told apart by `karpenter.sh/capacity-type` alone")
        }
        "karpenter.k8s.aws/placement-group-id" | "karpenter.k8s.aws/placement-group-partition" => {
            Some("the placement group is that of the NodeClass")
        }
        other => restriction(other),
    }
}
