//! What runs teach about a suite: cheaper plans, which come as certificates, and larger bounds.
//!
//! Nothing is believed of a plan but what the verifier says of the file. A bound cannot be checked from outside; one that is above a
//! certified cost is refused, and it counts only for plans that leave as many pods as the best known one: for one of which pods are left,
//! the bound of a run is about the pods which that run places, so it is taken along with the run's own plan and never alone.

use std::path::Path;

use crate::benchmark::instance::InstanceError;
use crate::benchmark::instance::certificate::{self, Certified};
use crate::benchmark::instance::manifest::{BestKnown, Entry, LowerBound, Manifest};
use crate::benchmark::instance::reading::unpacked;
use crate::benchmark::instance::suite::write_packed;
use crate::benchmark::record::{FORMAT, Outcome, Record, Solved};

/// What was learned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// Instances with a better plan, by the order of the runs.
    pub plans: Vec<String>,
    /// Instances with a larger bound.
    pub bounds: Vec<String>,
    /// What was not believed and why, one sentence each.
    pub refused: Vec<String>,
}

/// Takes what is better in the records of the file `runs` into the suite. Certificates lie beside that file.
///
/// # Errors
/// A file that cannot be read or written; a line that is no record, or about another instance than the MANIFEST has.
pub fn learn(suite: &Path, runs: &Path) -> Result<Learned, InstanceError> {
    let mut manifest = Manifest::read(suite)?;
    let mut learned = Learned::default();
    let text = std::fs::read_to_string(runs).map_err(|problem| InstanceError::io(runs, "read", &problem))?;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{}:{}", runs.display(), number + 1);
        let record = record(&place, line)?;
        let Outcome::Solved(solved) = &record.outcome else { continue };
        manifest
            .find(&record.instance)
            .map_err(|problem| InstanceError::file(&place, format!("instance: {problem}"), "run the suite's own instances"))?;
        for entry in manifest.instances.iter_mut().filter(|entry| entry.name == record.instance) {
            if entry.sha256 != record.instance_sha256 {
                let problem = format!("instanceSha256: the run was on another `{}` than the MANIFEST has", entry.name);
                return Err(InstanceError::file(place, problem, "run it again"));
            }
            let of_run = OfRun { record: &record, solved, place: &place, folder: runs.parent().unwrap_or(Path::new("")) };
            of_run.teach(suite, entry, &mut learned)?;
        }
    }
    manifest.write(suite)?;
    Ok(learned)
}

fn record(place: &str, line: &str) -> Result<Record, InstanceError> {
    let wrong = |problem: String| InstanceError::file(place, problem, "give what `supercargo bench run` writes");
    let record: Record = serde_json::from_str(line).map_err(|problem| wrong(format!("no record of a run: {problem}")))?;
    if record.format != FORMAT {
        return Err(wrong(format!("format: is `{}`, this program reads {FORMAT}", record.format)));
    }
    Ok(record)
}

/// A run that found a plan.
struct OfRun<'a> {
    record: &'a Record,
    solved: &'a Solved,
    /// Its line.
    place: &'a str,
    /// Where its certificate is.
    folder: &'a Path,
}

impl OfRun<'_> {
    fn teach(&self, suite: &Path, entry: &mut Entry, learned: &mut Learned) -> Result<(), InstanceError> {
        let better = self.certified(suite, entry, learned)?;
        if let Some((certified, plan)) = better {
            let file = format!("certificates/{}.json.zst", entry.name);
            write_packed(&suite.join(&file), &plan)?;
            if let Some(bound) =
                entry.bound.take_if(|bound| bound.value > certified.cost && !certificate::equal(bound.value, certified.cost))
            {
                let (solver, cost) = (&bound.solver, certified.cost);
                learned
                    .refused
                    .push(format!("{}: {solver} had claimed a bound of {}, and this plan costs {cost}", self.place, bound.value));
            }
            let moved = entry.best_known.as_ref().is_some_and(|before| before.unplaced != certified.unplaced);
            if moved || certified.unplaced > 0 {
                entry.bound = None;
            }
            let (solver, version, date) = self.signature();
            entry.best_known = Some(BestKnown { cost: certified.cost, unplaced: certified.unplaced, solver, version, date });
            entry.certificate = Some(file);
            learned.plans.push(entry.name.clone());
            self.teach_bound(entry, learned);
        } else if self.solved.unplaced == 0 {
            self.teach_bound(entry, learned);
        }
        Ok(())
    }

    /// The plan of the run, if it is better than what is known and the verifier accepts it.
    fn certified(
        &self,
        suite: &Path,
        entry: &Entry,
        learned: &mut Learned,
    ) -> Result<Option<(Certified, Vec<u8>)>, InstanceError> {
        let improves =
            |of: &Certified| entry.best_known.as_ref().is_none_or(|known| of.is_better_than(known.cost, known.unplaced));
        let (Some(file), true) = (&self.solved.certificate, self.solved.verified) else { return Ok(None) };
        if !improves(&Certified { cost: self.solved.cost, unplaced: self.solved.unplaced }) {
            return Ok(None);
        }
        let path = self.folder.join(file);
        let bytes = std::fs::read(&path).map_err(|problem| InstanceError::io(&path, "read", &problem))?;
        let loaded = entry.read(suite)?.load(suite)?;
        match certificate::check(&loaded, &path.display().to_string(), &bytes) {
            Ok(certified) if improves(&certified) => Ok(Some((certified, unpacked(self.place, &bytes)?))),
            Ok(certified) => {
                let stated = self.solved.cost;
                learned.refused.push(format!("{}: the plan costs {} and not {stated}", self.place, certified.cost));
                Ok(None)
            }
            Err(problem) => {
                learned.refused.push(format!("{}: {problem}", self.place));
                Ok(None)
            }
        }
    }

    fn teach_bound(&self, entry: &mut Entry, learned: &mut Learned) {
        let (Some(value), Some(known)) = (self.solved.bound, &entry.best_known) else { return };
        if known.unplaced != self.solved.unplaced {
            return;
        }
        if value > known.cost && !certificate::equal(value, known.cost) {
            let solver = &self.record.solver;
            learned
                .refused
                .push(format!("{}: {solver} claims a bound of {value}, and a plan for {} is known", self.place, known.cost));
            return;
        }
        if entry.bound.as_ref().is_none_or(|before| value > before.value && !certificate::equal(value, before.value)) {
            let (solver, version, date) = self.signature();
            entry.bound = Some(LowerBound { value, solver, version, date });
            learned.bounds.push(entry.name.clone());
        }
    }

    /// Who and when.
    fn signature(&self) -> (String, String, String) {
        let day = self.record.date.get(..10).unwrap_or(&self.record.date);
        (self.record.solver.clone(), self.record.solver_version.clone(), day.to_owned())
    }
}

#[cfg(test)]
mod tests;
