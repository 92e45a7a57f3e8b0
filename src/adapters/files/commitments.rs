//! Commitments as files: one of our own, and what AWS tools print.
//!
//! | ending | what it is |
//! |---|---|
//! | `.yaml`, `.yml` | our own, described in `docs/commitments.md` |
//! | `.json` | `aws ec2 describe-reserved-instances` or `describe-capacity-reservations`, `aws savingsplans describe-savings-plans` or `describe-savings-plan-rates` |
//! | `.csv` | the inventory of Savings Plans, as the console of AWS Cost Management lists it |
//!
//! A Savings Plan may be put together from several files: the inventory knows what was committed, another file the rates. What is said
//! twice about one plan has to agree.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::domain::catalog::Catalog;
use crate::domain::cluster::ClusterView;
use crate::domain::commitment::{Commitment, Commitments, Covers, Rates};
use crate::domain::money::UsdPerHour;

mod aws;
mod own;

/// What is wrong with a file of commitments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitmentError {
    /// The file.
    pub file: PathBuf,
    /// The commitment, and the field where there is one.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// How to put it right.
    pub mend: String,
}

impl fmt::Display for CommitmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        write!(f, "{}\n  hint: {}", self.problem, self.mend)
    }
}

impl std::error::Error for CommitmentError {}

/// Commitments, and what a reader should know about the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// By name.
    pub commitments: Vec<Commitment>,
    /// Free instances of capacity reservations, by id.
    pub free: BTreeMap<String, u32>,
    /// What was left out and why, sentences without a full stop.
    pub notices: Vec<String>,
}

impl Loaded {
    /// Makes them part of `cluster`, which buys from `catalog`.
    pub fn count_in(&self, cluster: &mut ClusterView, catalog: &Catalog) {
        cluster.node_classes.values_mut().for_each(|class| class.count_reservations(&self.free));
        cluster.commitments = Commitments::new(&self.commitments, catalog);
    }
}

/// Which kind of Savings Plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlanType {
    Compute,
    Ec2Instance,
}

/// What files say about a Savings Plan so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct PlanParts {
    plan_type: Option<PlanType>,
    commitment: Option<UsdPerHour>,
    family: Option<String>,
    rates: Rates,
    /// The file that named it first.
    file: PathBuf,
}

/// What is collected from all files.
struct Collected<'a> {
    region: &'a str,
    plans: BTreeMap<String, PlanParts>,
    reserved: BTreeMap<String, Commitment>,
    free: BTreeMap<String, u32>,
    notices: Vec<String>,
}

/// A place in a file, for errors.
#[derive(Clone, Copy)]
struct At<'a> {
    file: &'a Path,
    place: &'a str,
}

impl At<'_> {
    fn fail<T>(self, problem: impl Into<String>, mend: impl Into<String>) -> Result<T, CommitmentError> {
        let (file, place) = (self.file.to_owned(), self.place.to_owned());
        Err(CommitmentError { file, place, problem: problem.into(), mend: mend.into() })
    }

    /// Dollars per hour, above 0.
    fn dollars(self, field: &str, text: &str) -> Result<UsdPerHour, CommitmentError> {
        match UsdPerHour::parse_rounded(text).filter(|amount| *amount > UsdPerHour::ZERO) {
            Some(amount) => Ok(amount),
            None => self.fail(format!("{field} is `{text}`"), "write dollars per hour above 0, such as \"10.00\""),
        }
    }
}

/// The commitments of `files` that count in `region`.
///
/// # Errors
/// The first file that cannot be read or says something that cannot be; a Savings Plan of which no file knows the commitment or the rates.
pub fn load(files: &[PathBuf], region: &str) -> Result<Loaded, CommitmentError> {
    let mut collected = Collected::new(region);
    for file in files {
        let at = At { file, place: "" };
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(problem) => return at.fail(format!("cannot be read: {problem}"), "check the path given to --commitments"),
        };
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("yaml" | "yml") => own::read(at, &text, &mut collected)?,
            Some("json") => aws::read_json(at, &text, &mut collected)?,
            Some("csv") => aws::read_inventory(at, &text, &mut collected)?,
            _ => return at.fail("is of no kind that is known", "give a file that ends in .yaml, .json or .csv"),
        }
    }
    collected.whole()
}

/// The commitments that `text` names, in the project's own form; errors call it `name`.
///
/// # Errors
/// As [`load`].
pub fn parse(name: &str, text: &str, region: &str) -> Result<Loaded, CommitmentError> {
    let mut collected = Collected::new(region);
    own::read(At { file: Path::new(name), place: "" }, text, &mut collected)?;
    collected.whole()
}

impl<'a> Collected<'a> {
    fn new(region: &'a str) -> Self {
        Self { region, plans: BTreeMap::new(), reserved: BTreeMap::new(), free: BTreeMap::new(), notices: Vec::new() }
    }

    /// Everything, if every commitment is known as a whole.
    fn whole(self) -> Result<Loaded, CommitmentError> {
        let mut made: Vec<Commitment> = self.reserved.into_values().collect();
        for (id, parts) in self.plans {
            if made.iter().any(|reserved| reserved.id == id) {
                let place = format!("Savings Plan {id}");
                return At { file: &parts.file, place: &place }
                    .fail("Reserved Instances have the same id", "give one of them another id");
            }
            made.push(parts.whole(id)?);
        }
        made.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Loaded { commitments: made, free: self.free, notices: self.notices })
    }
}

impl Collected<'_> {
    /// The Savings Plan of that name, to be added to.
    fn plan(&mut self, id: &str, at: At<'_>) -> &mut PlanParts {
        self.plans.entry(id.to_owned()).or_insert_with(|| PlanParts { file: at.file.to_owned(), ..PlanParts::default() })
    }

    /// Adds Reserved Instances.
    fn reserve(
        &mut self,
        at: At<'_>,
        id: &str,
        instance_type: &str,
        count: i64,
        zone: Option<&str>,
    ) -> Result<(), CommitmentError> {
        if count < 1 {
            return at.fail(format!("the number of instances is {count}"), "write how many there are, at least 1");
        }
        let covers = Covers::reserved_instances(instance_type, zone);
        let made = Commitment { id: id.to_owned(), covers, amount: count, instance_type: Some(instance_type.to_owned()) };
        match self.reserved.insert(id.to_owned(), made.clone()) {
            Some(before) if before != made => at.fail("is listed twice, and differently", "keep one of them"),
            _ => Ok(()),
        }
    }

    /// Learns how many instances of a capacity reservation are free.
    fn count(&mut self, at: At<'_>, id: &str, free: u32) -> Result<(), CommitmentError> {
        match self.free.insert(id.to_owned(), free) {
            Some(before) if before != free => at.fail("has two numbers of free instances", "keep one of them"),
            _ => Ok(()),
        }
    }

    /// Notes what is left out.
    fn leave_out(&mut self, at: At<'_>, why: &str) {
        self.notices.push(format!("{}: {} is left out: {why}", at.file.display(), at.place));
    }
}

impl PlanParts {
    /// Sets a part, which must not be known otherwise.
    fn set<T: PartialEq>(at: At<'_>, field: &str, part: &mut Option<T>, value: T) -> Result<(), CommitmentError> {
        if part.as_ref().is_some_and(|known| *known != value) {
            return at.fail(format!("{field} is not what another place says"), "keep one of them");
        }
        *part = Some(value);
        Ok(())
    }

    /// Adds the rate of a type.
    fn add_rate(&mut self, at: At<'_>, instance_type: &str, rate: UsdPerHour) -> Result<(), CommitmentError> {
        match self.rates.by_type.insert(instance_type.to_owned(), rate) {
            Some(before) if before != rate => at.fail(format!("{instance_type} has two rates"), "keep one of them"),
            _ => Ok(()),
        }
    }

    /// The Savings Plan, if everything is known.
    fn whole(self, id: String) -> Result<Commitment, CommitmentError> {
        let place = format!("Savings Plan {id}");
        let at = At { file: &self.file, place: &place };
        let Some(plan_type) = self.plan_type else {
            return at.fail("its type is not known", "give the inventory too, or `type: Compute` or `type: EC2Instance`");
        };
        let Some(commitment) = self.commitment else {
            return at.fail("its commitment is not known", "give the inventory too, or `commitment` in dollars per hour");
        };
        if self.rates == Rates::default() {
            return at.fail(
                "its rates are not known",
                format!("give the output of `aws savingsplans describe-savings-plan-rates --savings-plan-id {id}` too, or `discountPercent`"),
            );
        }
        let covers = match (plan_type, self.family.clone()) {
            (PlanType::Compute, _) => Covers::Usage(self.rates.clone()),
            (PlanType::Ec2Instance, Some(family)) => Covers::FamilyUsage { family, rates: self.rates.clone() },
            (PlanType::Ec2Instance, None) => {
                return at.fail("its instance family is not known", "give `instanceFamily`, such as m5");
            }
        };
        Ok(Commitment { id, covers, amount: commitment.micros(), instance_type: None })
    }
}

/// The type of Savings Plan of that name; `None` for those that are not about instances.
fn plan_type(text: &str) -> Option<PlanType> {
    match text.to_ascii_lowercase().replace([' ', '_'], "").as_str() {
        "compute" | "computesavingsplan" | "computesavingsplans" => Some(PlanType::Compute),
        "ec2instance" | "ec2instancesavingsplan" | "ec2instancesavingsplans" => Some(PlanType::Ec2Instance),
        _ => None,
    }
}
