//! Two solvers, case by case: who wins, who loses, and by how much.

use std::cmp::Ordering;

use crate::benchmark::telling::results::{Case, Field, Quality, Scored};
use crate::benchmark::telling::statistics::geometric_mean;

/// One case that both took up.
#[derive(Clone, Debug)]
pub struct Bout<'a> {
    /// Instance and seed.
    pub case: Case,
    /// What ours did.
    pub ours: Scored<'a>,
    /// What the other did.
    pub theirs: Scored<'a>,
}

impl Bout<'_> {
    /// Whether ours is better (`Less`), as for [`Quality`]; any verified plan is better than none. `None` where neither has one.
    fn outcome(&self) -> Option<Ordering> {
        match (self.ours.verdict.plan(), self.theirs.verdict.plan()) {
            (Some(ours), Some(theirs)) => Some(Quality::of(ours).cmp(&Quality::of(theirs))),
            (Some(_), None) => Some(Ordering::Less),
            (None, Some(_)) => Some(Ordering::Greater),
            (None, None) => None,
        }
    }

    /// Our cost over theirs; where both leave equally many pods.
    #[must_use]
    pub fn cost_ratio(&self) -> Option<f64> {
        let (ours, theirs) = (self.ours.verdict.plan()?, self.theirs.verdict.plan()?);
        Quality::of(ours).ratio(Quality::of(theirs))
    }

    /// Our seconds over theirs; where there is a cost ratio, both ran on one machine, and both took any time.
    #[must_use]
    pub fn time_ratio(&self) -> Option<f64> {
        self.cost_ratio()?;
        let (ours, theirs) = (self.ours.verdict.plan()?, self.theirs.verdict.plan()?);
        let comparable = self.ours.record().machine == self.theirs.record().machine && ours.seconds > 0.0 && theirs.seconds > 0.0;
        comparable.then(|| ours.seconds / theirs.seconds)
    }
}

/// All cases of a field that two solvers took up.
#[derive(Clone, Debug, Default)]
pub struct Duel<'a> {
    /// Where ours is better, by case.
    pub wins: Vec<Bout<'a>>,
    /// Where they are equal to the micro-dollar, by case.
    pub ties: Vec<Bout<'a>>,
    /// Where the other is better, by case.
    pub losses: Vec<Bout<'a>>,
    /// Cases on which neither has a plan.
    pub neither: usize,
    /// Cases that one of them was not run on, cannot state, or was not there for.
    pub apart: usize,
    /// Geometric mean of our cost over theirs, with the number of cases; where both leave equally many pods.
    pub cost_ratio: Option<(f64, usize)>,
    /// Geometric mean of our seconds over theirs, with the number of cases; where both leave equally many pods, on one machine.
    pub time_ratio: Option<(f64, usize)>,
}

impl<'a> Duel<'a> {
    /// Of `ours` with `theirs` in `field`.
    #[must_use]
    pub fn new(field: &Field<'a>, ours: &str, theirs: &str) -> Self {
        let mut duel = Self::default();
        let (mut costs, mut times) = (Vec::new(), Vec::new());
        for (case, all) in &field.cases {
            let both = all.get(ours).zip(all.get(theirs));
            let Some((ours, theirs)) = both.filter(|(a, b)| a.verdict.is_attempt() && b.verdict.is_attempt()) else {
                duel.apart += 1;
                continue;
            };
            let bout = Bout { case: case.clone(), ours: *ours, theirs: *theirs };
            costs.extend(bout.cost_ratio());
            times.extend(bout.time_ratio());
            match bout.outcome() {
                Some(Ordering::Less) => duel.wins.push(bout),
                Some(Ordering::Equal) => duel.ties.push(bout),
                Some(Ordering::Greater) => duel.losses.push(bout),
                None => duel.neither += 1,
            }
        }
        duel.cost_ratio = geometric_mean(&costs).map(|mean| (mean, costs.len()));
        duel.time_ratio = geometric_mean(&times).map(|mean| (mean, times.len()));
        duel
    }

    /// Ties at a plan that one of the two, or a bound from elsewhere, proves optimal: nobody can win these.
    #[must_use]
    pub fn ties_at_the_optimum(&self) -> usize {
        let optimal = |scored: &Scored<'_>| scored.full && scored.distance.is_some_and(|distance| distance <= 0.0);
        self.ties.iter().filter(|bout| optimal(&bout.ours) || optimal(&bout.theirs)).count()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::benchmark::record::{Outcome, Record, Solved};
    use crate::benchmark::telling::fixtures::{bounded, failed, kept, machine, record, solved, two_instances_and_four_solvers};
    use crate::benchmark::telling::reading::Runs;
    use crate::benchmark::telling::results::{OURS, Results};

    fn told(records: Vec<Record>, check: impl Fn(&Duel<'_>, Vec<&str>, Vec<&str>)) {
        let runs = Runs::new(kept(records)).expect("one instance a name");
        let results = Results::new(&runs, &BTreeMap::new());
        let duel = Duel::new(&results.fields[0], OURS, "other");
        let names = |bouts: &'_ [Bout<'_>]| bouts.iter().map(|bout| bout.case.0.clone()).collect::<Vec<String>>();
        let (wins, losses) = (names(&duel.wins), names(&duel.losses));
        check(&duel, wins.iter().map(String::as_str).collect(), losses.iter().map(String::as_str).collect());
    }

    #[test]
    fn pods_then_cost_then_nothing_decides() {
        let cheap = Solved { unplaced: 1, ..solved(1.0) };
        let refused = Solved { verified: false, ..solved(1.0) };
        let cannot = Outcome::CannotState { reason: "x".to_owned() };
        let all = vec![
            record("a-dearer", OURS, Solved { seconds: 3.0, ..solved(12.0) }),
            record("a-dearer", "other", solved(10.0)),
            record("b-fewer-pods", OURS, solved(9.0)),
            record("b-fewer-pods", "other", cheap),
            record("c-refused", OURS, solved(9.0)),
            record("c-refused", "other", refused),
            record("d-no-plan", OURS, failed("x")),
            record("d-no-plan", "other", solved(9.0)),
            record("e-neither", OURS, failed("x")),
            record("e-neither", "other", failed("y")),
            record("f-optimal", OURS, bounded(7.0, 7.0)),
            record("f-optimal", "other", Solved { seconds: 2.0, ..solved(7.0) }),
            record("g-equal", OURS, solved(7.0)),
            record("g-equal", "other", solved(7.0)),
            record("h-alone", OURS, solved(7.0)),
            record("i-cannot", OURS, solved(7.0)),
            record("i-cannot", "other", cannot),
        ];
        told(all, |duel, wins, losses| {
            assert_eq!(wins, ["b-fewer-pods", "c-refused"]);
            assert_eq!(losses, ["a-dearer", "d-no-plan"]);
            assert_eq!((duel.ties.len(), duel.ties_at_the_optimum(), duel.neither, duel.apart), (2, 1, 1, 2));
            let (cost, cases) = duel.cost_ratio.expect("three cases");
            assert!((cost - 1.2_f64.cbrt()).abs() < 1e-12 && cases == 3, "{cost} {cases}");
            let (time, cases) = duel.time_ratio.expect("three cases");
            assert!((time - 1.5_f64.cbrt()).abs() < 1e-12 && cases == 3, "{time} {cases}");
        });
    }

    #[test]
    fn times_of_two_machines_are_not_divided() {
        let there = Record { machine: machine("another"), ..record("a", "other", solved(7.0)) };
        told(vec![record("a", OURS, solved(7.0)), there], |duel, _, _| {
            assert_eq!(duel.cost_ratio, Some((1.0, 1)));
            assert_eq!(duel.time_ratio, None);
        });
    }

    #[test]
    fn a_solver_that_never_took_part_has_no_bouts() {
        told(two_instances_and_four_solvers(), |duel, wins, losses| {
            assert!(wins.is_empty() && losses.is_empty());
            assert_eq!((duel.apart, duel.cost_ratio), (2, None));
        });
    }
}
