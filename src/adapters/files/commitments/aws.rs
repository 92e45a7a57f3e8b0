//! What AWS says about commitments: the answers of three commands as JSON, and the inventory of Savings Plans as CSV.
//!
//! Fields that do not matter are not looked at. What counts for nothing in a plan is left out with a notice: what is not active, of
//! another region, of another platform than Linux, of dedicated tenancy, or no commitment on instances.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{At, Collected, CommitmentError, PlanParts, PlanType, plan_type};

/// Where the JSON comes from, as errors say it.
const COMMANDS: &str = "give the output of `aws ec2 describe-reserved-instances` or `describe-capacity-reservations`, `aws savingsplans describe-savings-plans` or \
                        `aws savingsplans describe-savings-plan-rates`, as JSON";

/// One of `ReservedInstances` (EC2, DescribeReservedInstances).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reserved {
    reserved_instances_id: String,
    instance_type: String,
    instance_count: i64,
    #[serde(default)]
    availability_zone: Option<String>,
    #[serde(default)]
    product_description: Option<String>,
    #[serde(default)]
    instance_tenancy: Option<String>,
    state: String,
}

/// One of `CapacityReservations` (EC2, DescribeCapacityReservations).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CapacityReservation {
    capacity_reservation_id: String,
    available_instance_count: u32,
    state: String,
}

/// One of `savingsPlans` (Savings Plans, DescribeSavingsPlans).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    savings_plan_id: String,
    savings_plan_type: String,
    commitment: String,
    #[serde(default)]
    currency: Option<String>,
    #[serde(default)]
    ec2_instance_family: Option<String>,
    #[serde(default)]
    region: Option<String>,
    state: String,
}

/// One of `searchResults` (Savings Plans, DescribeSavingsPlanRates).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rate {
    rate: String,
    #[serde(default)]
    product_type: Option<String>,
    #[serde(default)]
    properties: Vec<Property>,
}

#[derive(Deserialize)]
struct Property {
    name: String,
    value: String,
}

impl Rate {
    fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|property| property.name == name).map(|property| property.value.as_str())
    }
}

/// Reads the answer of one of the commands.
pub(super) fn read_json(at: At<'_>, text: &str, collected: &mut Collected<'_>) -> Result<(), CommitmentError> {
    let document: Value = match serde_json::from_str(text) {
        Ok(document) => document,
        Err(problem) => return at.fail(format!("not valid JSON: {problem}"), COMMANDS),
    };
    if let Some(list) = document.get("ReservedInstances") {
        return items::<Reserved>(at, "ReservedInstances", list)?.iter().try_for_each(|of| add_reserved(at, of, collected));
    }
    if let Some(list) = document.get("CapacityReservations") {
        return items::<CapacityReservation>(at, "CapacityReservations", list)?
            .iter()
            .try_for_each(|of| count(at, of, collected));
    }
    if let Some(list) = document.get("savingsPlans") {
        return items::<Plan>(at, "savingsPlans", list)?.iter().try_for_each(|of| add_plan(at, of, collected));
    }
    if let (Some(list), Some(id)) = (document.get("searchResults"), document.get("savingsPlanId").and_then(Value::as_str)) {
        return items::<Rate>(at, "searchResults", list)?.iter().try_for_each(|of| add_rate(at, id, of, collected));
    }
    at.fail(
        "has neither `ReservedInstances` nor `CapacityReservations` nor `savingsPlans` nor `savingsPlanId` with `searchResults`",
        COMMANDS,
    )
}

/// The objects of a list, each named by its position where it is not what it should be.
fn items<T: DeserializeOwned>(at: At<'_>, name: &str, list: &Value) -> Result<Vec<T>, CommitmentError> {
    let Some(list) = list.as_array() else { return at.fail(format!("{name} is no list"), COMMANDS) };
    let read = |(position, item): (usize, &Value)| {
        let place = format!("{name}[{position}]");
        serde_path_to_error::deserialize(item).or_else(|problem| {
            let field = problem.path().to_string();
            At { place: &place, ..at }.fail(format!("{field}: {}", problem.inner()), COMMANDS)
        })
    };
    list.iter().enumerate().map(read).collect()
}

fn add_reserved(at: At<'_>, of: &Reserved, collected: &mut Collected<'_>) -> Result<(), CommitmentError> {
    let place = format!("Reserved Instances {}", of.reserved_instances_id);
    let at = At { place: &place, ..at };
    let platform = of.product_description.as_deref().unwrap_or("Linux/UNIX");
    let zone = of.availability_zone.as_deref().filter(|zone| !zone.is_empty());
    let why = if of.state != "active" {
        format!("it is {}", of.state)
    } else if !platform.starts_with("Linux/UNIX") {
        format!("it is for {platform}")
    } else if of.instance_tenancy.as_deref().is_some_and(|tenancy| tenancy != "default") {
        "its tenancy is not shared".to_owned()
    } else if zone.is_some_and(|zone| !zone.starts_with(collected.region)) {
        "it is for a zone of another region".to_owned()
    } else {
        return collected.reserve(at, &of.reserved_instances_id, &of.instance_type, of.instance_count, zone);
    };
    collected.leave_out(at, &why);
    Ok(())
}

/// What is not active has nothing free.
fn count(at: At<'_>, of: &CapacityReservation, collected: &mut Collected<'_>) -> Result<(), CommitmentError> {
    let place = format!("capacity reservation {}", of.capacity_reservation_id);
    let free = if of.state == "active" { of.available_instance_count } else { 0 };
    collected.count(At { place: &place, ..at }, &of.capacity_reservation_id, free)
}

fn add_plan(at: At<'_>, of: &Plan, collected: &mut Collected<'_>) -> Result<(), CommitmentError> {
    let place = format!("Savings Plan {}", of.savings_plan_id);
    let at = At { place: &place, ..at };
    if let Some(currency) = of.currency.as_deref().filter(|currency| *currency != "USD") {
        return at.fail(format!("its currency is {currency}"), "give commitments in United States dollars");
    }
    let (family, region) = (of.ec2_instance_family.as_deref(), of.region.as_deref());
    listed_plan(at, &of.savings_plan_id, &of.savings_plan_type, &of.state, &of.commitment, family, region, collected)
}

/// A Savings Plan as DescribeSavingsPlans and the inventory list it.
fn listed_plan(
    at: At<'_>,
    id: &str,
    kind: &str,
    state: &str,
    commitment: &str,
    family: Option<&str>,
    region: Option<&str>,
    collected: &mut Collected<'_>,
) -> Result<(), CommitmentError> {
    let Some(of_type) = plan_type(kind) else {
        collected.leave_out(at, &format!("a Savings Plan of type {kind} is not about instances"));
        return Ok(());
    };
    if !state.eq_ignore_ascii_case("active") {
        collected.leave_out(at, &format!("it is {state}"));
        return Ok(());
    }
    let elsewhere = region.filter(|region| of_type == PlanType::Ec2Instance && *region != collected.region);
    if let Some(region) = elsewhere {
        collected.leave_out(at, &format!("it is for {region}"));
        return Ok(());
    }
    let amount = at.dollars("commitment", commitment)?;
    let parts = collected.plan(id, at);
    PlanParts::set(at, "type", &mut parts.plan_type, of_type)?;
    PlanParts::set(at, "commitment", &mut parts.commitment, amount)?;
    match family {
        Some(family) if of_type == PlanType::Ec2Instance => {
            PlanParts::set(at, "instanceFamily", &mut parts.family, family.to_owned())
        }
        _ => Ok(()),
    }
}

/// A rate counts where it is for instances of Linux with shared tenancy in the region.
fn add_rate(at: At<'_>, id: &str, of: &Rate, collected: &mut Collected<'_>) -> Result<(), CommitmentError> {
    let place = format!("rates of Savings Plan {id}");
    let at = At { place: &place, ..at };
    let is = |name: &str, wanted: &str| of.property(name).is_none_or(|value| value.eq_ignore_ascii_case(wanted));
    let counts = of.product_type.as_deref().is_none_or(|product| product == "EC2")
        && is("productDescription", "Linux/UNIX")
        && is("tenancy", "shared")
        && is("region", collected.region);
    match of.property("instanceType") {
        Some(instance_type) if counts => {
            let rate = at.dollars(&format!("rate of {instance_type}"), &of.rate)?;
            collected.plan(id, at).add_rate(at, instance_type, rate)
        }
        _ => Ok(()),
    }
}

/// Reads the inventory. Its columns are found by their titles, whatever else there is (AWS, "Using the inventory": Savings Plan ID,
/// Status, Type, Instance family, Region, Commitment).
pub(super) fn read_inventory(at: At<'_>, text: &str, collected: &mut Collected<'_>) -> Result<(), CommitmentError> {
    let mend = "export the inventory of Savings Plans from AWS Cost Management, with its titles in the first line";
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let titles: Vec<String> = match reader.headers() {
        Ok(titles) => titles.iter().map(plain).collect(),
        Err(problem) => return at.fail(format!("no table: {problem}"), mend),
    };
    let column = |names: &[&str]| titles.iter().position(|title| names.contains(&title.as_str()));
    let find = |names: &[&str]| match column(names) {
        Some(at) => Ok(at),
        None => at.fail(format!("has no column `{}`", names.first().copied().unwrap_or_default()), mend),
    };
    let (id, state) = (find(&["savingsplanid", "savingsplansid", "id"])?, find(&["status", "state"])?);
    let (kind, commitment) =
        (find(&["type", "savingsplantype", "savingsplanstype"])?, find(&["commitment", "hourlycommitment"])?);
    let (family, region) = (column(&["instancefamily", "ec2instancefamily"]), column(&["region"]));
    for (line, record) in reader.records().enumerate() {
        let place = format!("line {}", line + 2);
        let at = At { place: &place, ..at };
        let record = match record {
            Ok(record) => record,
            Err(problem) => return at.fail(format!("cannot be read: {problem}"), mend),
        };
        let cell = |column: usize| record.get(column).unwrap_or_default();
        let given = |column: Option<usize>| column.map(cell).filter(|text| !matches!(*text, "" | "-" | "N/A" | "Any" | "All"));
        if cell(id).is_empty() {
            return at.fail("has no Savings Plan ID", mend);
        }
        let place = format!("Savings Plan {}", cell(id));
        let amount = cell(commitment).trim_start_matches('$').trim_end_matches("/hour").trim_end_matches("/hr").trim();
        let at = At { place: &place, ..at };
        listed_plan(at, cell(id), cell(kind), cell(state), amount, given(family), given(region), collected)?;
    }
    Ok(())
}

/// A title without case, blanks and punctuation.
fn plain(title: &str) -> String {
    title.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
