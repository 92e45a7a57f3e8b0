//! Budget, bound and incumbent of one solve: who may go on, and what has been reached.

use std::time::Duration;

use crate::solver::Clock;
use crate::solver::config::SolveConfig;
use crate::solver::pattern_generation::Generated;
use crate::solver::solution::{Progress, Stage, Statistics, Stop};

/// The state that every stage shares.
pub(super) struct Control<'a> {
    config: &'a SolveConfig,
    clock: Clock<'a>,
    observer: &'a mut dyn FnMut(Progress),
    /// Objective of the incumbent, micro-dollars.
    incumbent: i64,
    /// Lower bound, micro-dollars.
    bound: i64,
    pub(super) statistics: Statistics,
}

impl<'a> Control<'a> {
    pub(super) fn new(config: &'a SolveConfig, clock: Clock<'a>, observer: &'a mut dyn FnMut(Progress)) -> Self {
        Self { config, clock, observer, incumbent: i64::MAX, bound: 0, statistics: Statistics::default() }
    }

    pub(super) fn seed(&self) -> u64 {
        self.config.seed
    }

    pub(super) fn clock(&self) -> Clock<'a> {
        self.clock
    }

    /// The limits of one of `parts` that are solved side by side, in `rounds` one after the other, before `until` of the budget is used.
    pub(super) fn budget(&self, until: f64, parts: usize, rounds: usize) -> SolveConfig {
        let share = (until - self.used()).max(0.0);
        SolveConfig {
            gap: 0.0,
            work_limit: self.config.work_limit.map(|limit| (limit as f64 * share / parts.max(1) as f64) as u64),
            deadline: self.config.deadline.map(|limit| limit.mul_f64(share / rounds.max(1) as f64)),
            seed: self.config.seed,
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        (self.clock)()
    }

    /// Counts deterministic work, in units of about a tenth of a microsecond of one core.
    pub(super) fn spend(&mut self, work: u64) {
        self.statistics.work += work;
    }

    /// Does a pass of pattern generation, and counts its work and its time.
    pub(super) fn pricing(&mut self, pass: impl FnOnce() -> Generated) -> Generated {
        let start = self.elapsed();
        let generated = pass();
        self.statistics.pricings.add(self.elapsed().saturating_sub(start));
        self.spend(generated.work);
        generated
    }

    /// Share of the budget that is used, 0 to 1 and beyond; 0 when there is none.
    ///
    /// With a work limit the clock has no say, so that the stages take turns in the same way on every run.
    pub(super) fn used(&self) -> f64 {
        if let Some(limit) = self.config.work_limit {
            return self.statistics.work as f64 / limit.max(1) as f64;
        }
        self.config.deadline.map_or(0.0, |limit| self.elapsed().as_secs_f64() / limit.as_secs_f64().max(1e-9))
    }

    /// Seconds that a stage may take to use `share` of the budget, no more than are left; `None` without a deadline.
    pub(super) fn seconds(&self, share: f64) -> Option<f64> {
        self.config.deadline.map(|limit| {
            let left = limit.saturating_sub(self.elapsed()).as_secs_f64();
            (limit.as_secs_f64() * share).min(left)
        })
    }

    /// Why to stop now, if there is a reason.
    pub(super) fn stop(&self) -> Option<Stop> {
        if self.incumbent < i64::MAX && self.incumbent - self.bound <= self.incumbent / 1_000_000 {
            return Some(Stop::Optimal);
        }
        if self.gap() <= self.config.gap {
            return Some(Stop::GapReached);
        }
        if self.config.work_limit.is_some_and(|limit| self.statistics.work >= limit) {
            return Some(Stop::WorkLimit);
        }
        if self.config.deadline.is_some_and(|limit| self.elapsed() >= limit) {
            return Some(Stop::Deadline);
        }
        None
    }

    /// `(incumbent - bound) / incumbent`.
    pub(super) fn gap(&self) -> f64 {
        if self.incumbent == i64::MAX || self.incumbent <= 0 {
            return if self.incumbent == 0 { 0.0 } else { 1.0 };
        }
        (self.incumbent - self.bound) as f64 / self.incumbent as f64
    }

    /// The gap that was asked for.
    pub(super) fn target_gap(&self) -> f64 {
        self.config.gap
    }

    /// Objective of the incumbent, micro-dollars.
    pub(super) fn incumbent(&self) -> i64 {
        self.incumbent
    }

    pub(super) fn bound(&self) -> i64 {
        self.bound
    }

    /// Records a bound (micro-dollars, valid); it never passes the incumbent.
    pub(super) fn raise_bound(&mut self, bound: i64, stage: Stage) {
        let bound = bound.min(self.incumbent);
        if bound > self.bound {
            self.bound = bound;
            let at = self.elapsed();
            self.statistics.bounds.push((at, bound));
            self.report(stage, at);
        }
    }

    /// Records an incumbent's objective.
    pub(super) fn lower_incumbent(&mut self, objective: i64, stage: Stage) {
        if objective < self.incumbent {
            self.incumbent = objective;
            let at = self.elapsed();
            self.statistics.incumbents.push((at, objective));
            self.report(stage, at);
        }
    }

    fn report(&mut self, stage: Stage, elapsed: Duration) {
        (self.observer)(Progress { stage, incumbent: self.incumbent, bound: self.bound, elapsed });
    }
}
