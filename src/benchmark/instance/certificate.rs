//! Certificates: plans that the verifier accepts, as `plan -o json` writes them, plain or packed.

use std::path::Path;

use crate::benchmark::instance::reading::unpacked;
use crate::benchmark::instance::{COSTS, InstanceError, Loaded};
use crate::domain::money::UsdPerHour;
use crate::planning::verifier;
use crate::report::json::PlanDocument;

/// Costs are whole micro-dollars: what differs by less is equal.
const RESOLUTION: f64 = 5e-7;

/// What a plan comes to that the verifier accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Certified {
    /// [`Plan::value`](crate::domain::plan::Plan::value), in dollars per hour.
    pub cost: f64,
    /// Pods that it leaves.
    pub unplaced: usize,
}

impl Certified {
    /// Whether it is better than a plan of `cost` that leaves `unplaced` pods: fewer pods left, or equally many and cheaper.
    #[must_use]
    pub fn is_better_than(&self, cost: f64, unplaced: usize) -> bool {
        self.unplaced < unplaced || (self.unplaced == unplaced && self.cost < cost && !equal(self.cost, cost))
    }
}

/// Whether two costs are the same number of micro-dollars.
#[must_use]
pub fn equal(a: f64, b: f64) -> bool {
    (a - b).abs() < RESOLUTION
}

/// The plan in the file `path`, if the verifier accepts it for the instance.
///
/// # Errors
/// When the file cannot be read, is no plan, counts more than the price of instances, or breaks a rule.
pub fn read(instance: &Loaded, path: &Path) -> Result<Certified, InstanceError> {
    let bytes = std::fs::read(path).map_err(|problem| InstanceError::io(path, "read", &problem))?;
    check(instance, &path.display().to_string(), &bytes)
}

/// As [`read`], of the file's bytes; errors call it `name`.
///
/// # Errors
/// As [`read`].
pub fn check(instance: &Loaded, name: &str, bytes: &[u8]) -> Result<Certified, InstanceError> {
    let fail = |problem: String, mend: &str| Err(InstanceError::file(name, problem, mend));
    let text = unpacked(name, bytes)?;
    let plan = PlanDocument::parse(&text).and_then(|document| {
        let others = document.cost_model.root_volumes || document.cost_model.fee_per_node > 0.0;
        Ok((document.to_plan(&instance.cluster)?, others))
    });
    let (plan, others) = match plan {
        Ok(read) => read,
        Err(problem) => return fail(problem.to_string(), "give the plan of this instance as `plan -o json` writes it"),
    };
    if others {
        return fail("costModel: counts volumes or a fee".to_owned(), "only the price of instances counts in a suite");
    }
    let overhead = |_: &_| UsdPerHour::ZERO;
    let verdict = verifier::verify(&instance.cluster, &instance.catalog, &plan, &overhead, &COSTS.interruptions);
    match verdict.violations.first() {
        Some(first) => {
            fail(format!("the plan breaks a rule: {first} (and {} more)", verdict.violations.len() - 1), "it is no certificate")
        }
        None => Ok(Certified { cost: plan.value().dollars(), unplaced: plan.unplaced.len() }),
    }
}
