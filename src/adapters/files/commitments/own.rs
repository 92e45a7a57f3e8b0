//! The project's own file of commitments: strict, because a mistyped field would be money.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{At, Collected, CommitmentError, PlanParts, plan_type};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    #[serde(default)]
    savings_plans: Vec<SavingsPlan>,
    #[serde(default)]
    reserved_instances: Vec<ReservedInstances>,
    #[serde(default)]
    capacity_reservations: Vec<CapacityReservation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CapacityReservation {
    id: String,
    free: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavingsPlan {
    id: String,
    r#type: Option<String>,
    commitment: Option<Amount>,
    instance_family: Option<String>,
    discount_percent: Option<f64>,
    #[serde(default)]
    rates: BTreeMap<String, Amount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReservedInstances {
    id: String,
    instance_type: String,
    count: i64,
    zone: Option<String>,
}

/// An amount with quotes or without.
#[derive(Deserialize)]
#[serde(untagged)]
enum Amount {
    Text(String),
    Number(f64),
}

impl Amount {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// Reads a file of the project's own.
pub(super) fn read(at: At<'_>, text: &str, collected: &mut Collected<'_>) -> Result<(), CommitmentError> {
    let document: Document = match serde_saphyr::from_str(text) {
        Ok(document) => document,
        Err(problem) => {
            // The parser goes on to show the text.
            let problem = problem.to_string();
            let first = problem.lines().next().unwrap_or_default().trim_start_matches("error: ");
            return at.fail(format!("is no file of commitments: {first}"), "docs/commitments.md has the fields and an example");
        }
    };
    for plan in document.savings_plans {
        let place = format!("Savings Plan {}", plan.id);
        add_plan(At { place: &place, ..at }, &plan, collected)?;
    }
    for reservation in document.capacity_reservations {
        let place = format!("capacity reservation {}", reservation.id);
        collected.count(At { place: &place, ..at }, &reservation.id, reservation.free)?;
    }
    for reserved in document.reserved_instances {
        let place = format!("Reserved Instances {}", reserved.id);
        let zone = reserved.zone.as_deref();
        collected.reserve(At { place: &place, ..at }, &reserved.id, &reserved.instance_type, reserved.count, zone)?;
    }
    Ok(())
}

fn add_plan(at: At<'_>, plan: &SavingsPlan, collected: &mut Collected<'_>) -> Result<(), CommitmentError> {
    let parts = collected.plan(&plan.id, at);
    if let Some(text) = &plan.r#type {
        let Some(of) = plan_type(text) else {
            return at.fail(format!("type is `{text}`"), "write Compute or EC2Instance; others are not about instances");
        };
        PlanParts::set(at, "type", &mut parts.plan_type, of)?;
    }
    if let Some(amount) = &plan.commitment {
        PlanParts::set(at, "commitment", &mut parts.commitment, at.dollars("commitment", &amount.text())?)?;
    }
    if let Some(family) = &plan.instance_family {
        PlanParts::set(at, "instanceFamily", &mut parts.family, family.clone())?;
    }
    if let Some(percent) = plan.discount_percent {
        let per_mille = percent * 10.0;
        if !(per_mille > 0.0 && per_mille < 1000.0 && (per_mille - per_mille.round()).abs() < 1e-9) {
            return at.fail(
                format!("discountPercent is {percent}"),
                "write percents above 0 and below 100 with at most one decimal, such as 27.5",
            );
        }
        PlanParts::set(at, "discountPercent", &mut parts.rates.off_per_mille, per_mille.round() as u32)?;
    }
    for (instance_type, rate) in &plan.rates {
        let rate = at.dollars(&format!("rates.{instance_type}"), &rate.text())?;
        parts.add_rate(at, instance_type, rate)?;
    }
    Ok(())
}
