//! What counts: which of two plans is better, which was the best, and what each run is worth beside it.
//!
//! - A plan that the verifier refuses is no plan.
//! - Fewer pods left is better, whatever it costs; among plans that leave equally many, the cheaper one is better. Costs of plans that leave
//!   different numbers of pods are never divided by one another.
//! - A bound is a claim that nobody checks. One above the cost of a verified plan for the same pods is refuted: it proves nothing, and the
//!   report lists it.

use std::collections::{BTreeMap, BTreeSet};

use crate::benchmark::record::{Outcome, Record, Solved};
use crate::benchmark::telling::known::Known;
use crate::benchmark::telling::reading::{Kept, Key, Runs};
use crate::domain::money::UsdPerHour;

/// The name of the solver that the others are compared with.
pub const OURS: &str = "supercargo";
/// What is written for a plan that no run of the report has made.
pub const BEST_KNOWN: &str = "best known";

/// Above this share of a cost, a bound beyond it is no error of rounding.
const ROUNDING: f64 = 1e-6;
/// Below this distance to the bound a plan is optimal: finer than a micro-dollar in a thousand dollars.
const OPTIMAL: f64 = 1e-9;
/// The tracks of the suite, in the order in which they are told.
const TRACKS: [&str; 3] = ["exact", "controller", "large"];

/// How good a plan is; the smaller the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quality {
    /// Pods that it leaves.
    pub unplaced: usize,
    /// What it costs.
    pub cost: UsdPerHour,
}

impl Quality {
    /// Of a plan whose record was read by [`Runs`].
    #[must_use]
    pub fn of(solved: &Solved) -> Self {
        Self { unplaced: solved.unplaced, cost: amount(solved.cost) }
    }

    /// How many times `best` this costs; `None` where they leave different numbers of pods, or one is free and the
    /// other is not: a mean of ratios would be nothing, or without end.
    #[must_use]
    pub fn ratio(self, best: Self) -> Option<f64> {
        match (self.cost, best.cost) {
            _ if self.unplaced != best.unplaced => None,
            (cost, best) if cost == best => Some(1.0),
            (_, UsdPerHour::ZERO) | (UsdPerHour::ZERO, _) => None,
            (cost, best) => Some(cost.dollars() / best.dollars()),
        }
    }
}

/// An amount of a record, which [`Runs::read`] has checked.
#[must_use]
pub fn amount(dollars: f64) -> UsdPerHour {
    UsdPerHour::from_dollars(dollars).unwrap_or_default()
}

/// What a run counts as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict<'a> {
    /// A plan that the verifier accepts.
    Plan(&'a Solved),
    /// A plan that it refuses.
    Refused(&'a Solved),
    /// The solver cannot state the instance.
    CannotState(&'a str),
    /// The solver is not on the machine.
    NotInstalled(&'a str),
    /// It found no plan in time.
    NothingFound(&'a str),
    /// Something went wrong.
    Failed(&'a str),
}

impl<'a> Verdict<'a> {
    /// Of a record.
    #[must_use]
    pub fn of(record: &'a Record) -> Self {
        match &record.outcome {
            Outcome::Solved(solved) if solved.verified => Self::Plan(solved),
            Outcome::Solved(solved) => Self::Refused(solved),
            Outcome::CannotState { reason } => Self::CannotState(reason),
            Outcome::NotInstalled { reason } => Self::NotInstalled(reason),
            Outcome::NothingFound { reason } => Self::NothingFound(reason),
            Outcome::Failed { reason } => Self::Failed(reason),
        }
    }

    /// The verified plan.
    #[must_use]
    pub fn plan(self) -> Option<&'a Solved> {
        if let Self::Plan(solved) = self { Some(solved) } else { None }
    }

    /// Whether the solver took the instance up: only then may it be blamed for what it does not solve.
    #[must_use]
    pub fn is_attempt(self) -> bool {
        !matches!(self, Self::CannotState(_) | Self::NotInstalled(_))
    }

    /// In a word or two.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Plan(_) => "plan",
            Self::Refused(_) => "refused by the verifier",
            Self::CannotState(_) => "cannot state it",
            Self::NotInstalled(_) => "not installed",
            Self::NothingFound(_) => "nothing found",
            Self::Failed(_) => "failed",
        }
    }

    /// Why there is no plan; empty where there is one.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::Plan(_) => String::new(),
            Self::Refused(solved) if solved.violations.is_empty() => "the record names no rule".to_owned(),
            Self::Refused(solved) => solved.violations.join("; "),
            Self::CannotState(reason) | Self::NotInstalled(reason) | Self::NothingFound(reason) | Self::Failed(reason) => {
                reason.to_owned()
            }
        }
    }
}

/// What is known of an instance from all runs on it and from the suite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reference {
    /// The best plan.
    pub best: Option<Quality>,
    /// Who has found it.
    pub by: BTreeSet<String>,
    /// The best bound that is not refuted, for plans that place every pod: only these place the same pods for certain.
    pub bound: Option<UsdPerHour>,
    /// Bounds that a verified plan contradicts, with who claims them.
    pub refuted: BTreeSet<(String, UsdPerHour)>,
}

impl Reference {
    fn new(records: &[&Record], known: Option<&Known>) -> Self {
        let plans: Vec<(&str, &Solved)> =
            records.iter().filter_map(|record| Some((record.solver.as_str(), Verdict::of(record).plan()?))).collect();
        let suite = known.and_then(|known| known.best);
        let best = plans.iter().map(|(_, solved)| Quality::of(solved)).chain(suite).min();
        let reached = plans.iter().filter(|(_, solved)| Some(Quality::of(solved)) == best).map(|(solver, _)| *solver);
        let mut by: BTreeSet<String> = reached.map(str::to_owned).collect();
        if by.is_empty() && best.is_some() {
            by.insert(BEST_KNOWN.to_owned());
        }
        let mut reference = Self { best, by, ..Self::default() };
        let complete = |solved: &Solved| (solved.unplaced == 0).then_some(solved.bound).flatten().map(amount);
        let claims = plans.iter().filter_map(|(solver, solved)| Some((*solver, complete(solved)?)));
        let suite = known.and_then(|known| known.bound).filter(|_| best.is_some_and(|best| best.unplaced == 0));
        for (solver, bound) in claims.chain(suite.map(|bound| (BEST_KNOWN, bound))) {
            if reference.refutes(0, bound) {
                reference.refuted.insert((solver.to_owned(), bound));
            } else {
                // What exceeds the cost by no more than rounding is no better than the cost.
                let held = best.map_or(bound, |best| bound.min(best.cost));
                reference.bound = reference.bound.max(Some(held));
            }
        }
        reference
    }

    /// Whether the best plan contradicts a bound for plans that leave `unplaced` pods.
    fn refutes(&self, unplaced: usize, bound: UsdPerHour) -> bool {
        let best = self.best.filter(|best| best.unplaced == unplaced && unplaced == 0);
        best.is_some_and(|best| bound.dollars() > best.cost.dollars() * (1.0 + ROUNDING))
    }
}

/// One run beside what is known of its instance.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    /// The record and where it came from.
    pub kept: &'a Kept,
    /// What it counts as.
    pub verdict: Verdict<'a>,
    /// Whether it is a verified plan that leaves as many pods as the best one.
    pub full: bool,
    /// Whether it is as good as the best plan.
    pub at_best: bool,
    /// How many times the best plan's cost; only where `full`, and never where the best plan is free and this one is not.
    pub ratio: Option<f64>,
    /// The share of the cost that could still be saved, by the better of its own bound and the best one; verified plans only.
    pub distance: Option<f64>,
    /// Whether the solver has proven its plan optimal, by a bound that is not refuted.
    pub proven: bool,
}

impl<'a> Scored<'a> {
    fn new(kept: &'a Kept, reference: &Reference) -> Self {
        let verdict = Verdict::of(&kept.record);
        let none = Self { kept, verdict, full: false, at_best: false, ratio: None, distance: None, proven: false };
        let Some((solved, best)) = verdict.plan().zip(reference.best) else { return none };
        let quality = Quality::of(solved);
        let own = solved.bound.map(amount).filter(|bound| !reference.refutes(quality.unplaced, *bound));
        let common = reference.bound.filter(|_| quality.unplaced == 0);
        let proven = own.is_some_and(|own| solved.stopped_by == "optimal" || share_above(quality.cost, own) <= OPTIMAL);
        let distance = if proven { Some(0.0) } else { own.max(common).map(|bound| share_above(quality.cost, bound)) };
        let full = quality.unplaced == best.unplaced;
        Self { kept, verdict, full, at_best: quality == best, ratio: quality.ratio(best), distance, proven }
    }

    /// The record.
    #[must_use]
    pub fn record(&self) -> &'a Record {
        &self.kept.record
    }
}

/// `(cost - bound) / cost`, at least 0; 0 for a plan that costs nothing.
fn share_above(cost: UsdPerHour, bound: UsdPerHour) -> f64 {
    if cost == UsdPerHour::ZERO { 0.0 } else { ((cost - bound).dollars() / cost.dollars()).max(0.0) }
}

/// An instance with a seed of the solvers: what is averaged over.
pub type Case = (String, u64);

/// All runs with one limit: of these, figures may be compared.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    /// `exact`, `controller`, `large`, or `custom`.
    pub track: String,
    /// Seconds that a solver had.
    pub budget: f64,
    /// Who took part, ours first.
    pub solvers: Vec<String>,
    /// Case, then solver.
    pub cases: BTreeMap<Case, BTreeMap<String, Scored<'a>>>,
}

impl<'a> Field<'a> {
    /// What `solver` did on each case on which it was run.
    pub fn of<'b>(&'b self, solver: &'b str) -> impl Iterator<Item = (&'b Case, Scored<'a>)> {
        self.cases.iter().filter_map(move |(case, all)| Some((case, *all.get(solver)?)))
    }

    /// `exact, 60 s`.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{}, {} s", self.track, self.budget)
    }

    /// The shift of mean times, in seconds: a tenth where solvers have a few seconds, ten where they have a minute.
    #[must_use]
    pub fn shift(&self) -> f64 {
        let quick = self.track == "controller" || (!TRACKS.contains(&self.track.as_str()) && self.budget <= 5.0);
        if quick { 0.1 } else { 10.0 }
    }
}

/// All that is told of some runs.
#[derive(Clone, Debug)]
pub struct Results<'a> {
    /// By instance.
    pub references: BTreeMap<String, Reference>,
    /// By track and budget.
    pub fields: Vec<Field<'a>>,
    /// Who took part, ours first.
    pub solvers: Vec<String>,
}

impl<'a> Results<'a> {
    /// Weighs every run against the best of its instance: of all runs that are there, and of what the suite knows.
    #[must_use]
    pub fn new(runs: &'a Runs, known: &BTreeMap<String, Known>) -> Self {
        let mut by_instance: BTreeMap<String, Vec<&Record>> = BTreeMap::new();
        for record in runs.records() {
            by_instance.entry(record.instance.clone()).or_default().push(record);
        }
        let reference = |(name, records): (&String, &Vec<&Record>)| (name.clone(), Reference::new(records, known.get(name)));
        let references: BTreeMap<String, Reference> = by_instance.iter().map(reference).collect();
        let mut fields: BTreeMap<(usize, String, u64), Field<'a>> = BTreeMap::new();
        for (key, kept) in &runs.kept {
            let Key { track, budget, instance, seed, solver } = key.clone();
            let place = TRACKS.iter().position(|known| *known == track).unwrap_or(TRACKS.len());
            let field = fields.entry((place, track.clone(), budget)).or_insert_with(|| Field {
                track,
                budget: kept.record.budget_seconds,
                solvers: Vec::new(),
                cases: BTreeMap::new(),
            });
            let scored = Scored::new(kept, &references[&instance]);
            field.cases.entry((instance, seed)).or_default().insert(solver, scored);
        }
        let mut fields: Vec<Field<'a>> = fields.into_values().collect();
        for field in &mut fields {
            field.solvers = in_order(field.cases.values().flat_map(|all| all.keys()));
        }
        let solvers = in_order(fields.iter().flat_map(|field| &field.solvers));
        Self { references, fields, solvers }
    }
}

/// Each name once: ours first, then by the alphabet.
fn in_order<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let all: BTreeSet<(bool, &String)> = names.map(|name| (name != OURS, name)).collect();
    all.into_iter().map(|(_, name)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::telling::fixtures::{bounded, failed, kept, record, solved};

    fn usd(dollars: f64) -> UsdPerHour {
        amount(dollars)
    }

    fn quality(unplaced: usize, dollars: f64) -> Quality {
        Quality { unplaced, cost: usd(dollars) }
    }

    #[test]
    fn pods_count_before_money() {
        let mut all = [quality(1, 1.0), quality(0, 9.0), quality(0, 8.0), quality(2, 0.5)];
        all.sort();
        assert_eq!(all, [quality(0, 8.0), quality(0, 9.0), quality(1, 1.0), quality(2, 0.5)]);
        assert_eq!(quality(0, 9.0).ratio(quality(0, 8.0)), Some(1.125));
        assert_eq!(quality(1, 9.0).ratio(quality(0, 8.0)), None);
        assert_eq!(quality(0, 0.0).ratio(quality(0, 0.0)), Some(1.0));
        assert_eq!(quality(0, 1.0).ratio(quality(0, 0.0)), None);
        assert_eq!(quality(0, 0.0).ratio(quality(0, 1.0)), None);
    }

    #[test]
    fn an_unverified_plan_is_never_the_best() {
        let cheat = Solved { verified: false, ..solved(1.0) };
        let runs = Runs::new(kept(vec![record("a", "cheat", cheat), record("a", OURS, solved(5.0))])).expect("one instance");
        let results = Results::new(&runs, &BTreeMap::new());
        let reference = &results.references["a"];
        assert_eq!(reference.best, Some(quality(0, 5.0)));
        assert_eq!(reference.by, BTreeSet::from([OURS.to_owned()]));
        let (_, cheat) = results.fields[0].of("cheat").next().expect("it ran");
        assert_eq!((cheat.ratio, cheat.distance, cheat.proven), (None, None, false));
        assert_eq!(cheat.verdict.word(), "refused by the verifier");
    }

    #[test]
    fn the_suite_may_know_a_better_plan_and_a_better_bound() {
        let runs = Runs::new(kept(vec![record("a", OURS, bounded(10.0, 8.0))])).expect("one instance");
        let known = Known { best: Some(quality(0, 9.6)), bound: Some(usd(9.5)), ..Known::default() };
        let results = Results::new(&runs, &BTreeMap::from([("a".to_owned(), known)]));
        let reference = &results.references["a"];
        assert_eq!((reference.best, reference.bound), (Some(quality(0, 9.6)), Some(usd(9.5))));
        assert_eq!(reference.by, BTreeSet::from([BEST_KNOWN.to_owned()]));
        let (_, ours) = results.fields[0].of(OURS).next().expect("it ran");
        assert_eq!(ours.ratio, Some(10.0 / 9.6));
        assert!((ours.distance.expect("there is a bound") - 0.05).abs() < 1e-12);
    }

    #[test]
    fn a_bound_above_a_verified_plan_is_refuted_and_proves_nothing() {
        let liar = bounded(10.0, 10.0);
        let runs = Runs::new(kept(vec![record("a", "liar", liar), record("a", OURS, bounded(9.0, 8.1))])).expect("one");
        let results = Results::new(&runs, &BTreeMap::new());
        let reference = &results.references["a"];
        assert_eq!(reference.refuted, BTreeSet::from([("liar".to_owned(), usd(10.0))]));
        assert_eq!(reference.bound, Some(usd(8.1)));
        let (_, liar) = results.fields[0].of("liar").next().expect("it ran");
        assert!(!liar.proven);
        assert!((liar.distance.expect("by the other bound") - 0.19).abs() < 1e-12);
    }

    #[test]
    fn a_bound_for_fewer_pods_is_nobody_elses() {
        // It leaves a pod, so its bound is below what all pods cost; and its plan refutes nothing.
        let fewer = Solved { unplaced: 1, ..bounded(4.0, 4.0) };
        let all = vec![record("a", "fewer", fewer), record("a", OURS, bounded(9.0, 9.0))];
        let runs = Runs::new(kept(all)).expect("one instance");
        let results = Results::new(&runs, &BTreeMap::new());
        assert_eq!(results.references["a"].bound, Some(usd(9.0)));
        assert!(results.references["a"].refuted.is_empty());
        let (_, fewer) = results.fields[0].of("fewer").next().expect("it ran");
        assert_eq!((fewer.ratio, fewer.proven), (None, true));
    }

    #[test]
    fn fields_and_solvers_come_in_a_fixed_order() {
        let with = |track: &str, budget, solver: &str| Record {
            track: track.to_owned(),
            budget_seconds: budget,
            ..record("a", solver, failed("x"))
        };
        let all = vec![
            with("custom", 3.0, "b"),
            with("controller", 5.0, "b"),
            with("large", 9.0, "b"),
            with("controller", 1.0, "b"),
            with("exact", 60.0, "b"),
            with("exact", 60.0, OURS),
            with("exact", 60.0, "a"),
        ];
        let runs = Runs::new(kept(all)).expect("one instance");
        let results = Results::new(&runs, &BTreeMap::new());
        let titles: Vec<String> = results.fields.iter().map(Field::title).collect();
        assert_eq!(titles, ["exact, 60 s", "controller, 1 s", "controller, 5 s", "large, 9 s", "custom, 3 s"]);
        assert_eq!(results.fields[0].solvers, [OURS, "a", "b"]);
        let shifts: Vec<f64> = results.fields.iter().map(Field::shift).collect();
        assert_eq!(shifts, [10.0, 0.1, 0.1, 10.0, 0.1]);
        assert_eq!(results.references["a"], Reference::default());
    }
}
