//! When which part of the catalog is refreshed next. Pure: moments are passed in.
//!
//! - Everything goes before Spot prices alone, which it has in it; after either these are due a period later.
//! - After a success: after the period, a tenth of it more or less, at random. Programs that started together drift apart.
//! - After a failure: after 10 s, doubled with every further failure up to the period or a quarter of an hour, whichever is shorter, of
//!   which a random share between a half and the whole is waited. (Exponential back-off with equal jitter: M. Brooker, "Exponential
//!   Backoff And Jitter", AWS Architecture Blog, 2015.) The SDK has repeated each call by itself before that.

use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::Periods;

/// After the first failure.
const FIRST_RETRY: Duration = Duration::from_secs(10);
/// After however many failures.
const LONGEST_RETRY: Duration = Duration::from_mins(15);

/// What is refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Spot,
}

/// The times of both parts; the same seed gives the same ones.
#[derive(Debug)]
pub(super) struct Agenda {
    whole: Schedule,
    spot: Schedule,
}

impl Agenda {
    /// Both are due now.
    pub(super) fn new(now: Instant, Periods { whole, spot }: Periods, seed: u64) -> Self {
        // Spot prices have another row of random numbers than the whole.
        Self { whole: Schedule::new(now, whole, seed), spot: Schedule::new(now, spot, !seed) }
    }

    /// What is due next, and when. Spot prices alone need a catalog that they can be put into.
    pub(super) fn next(&self, has_catalog: bool) -> (Part, Instant) {
        let (whole, spot) = (self.whole.due, self.spot.due);
        if has_catalog && spot < whole { (Part::Spot, spot) } else { (Part::Whole, whole) }
    }

    pub(super) fn succeeded(&mut self, part: Part, now: Instant) {
        if part == Part::Whole {
            self.whole.succeeded(now);
        }
        self.spot.succeeded(now);
    }

    pub(super) fn failed(&mut self, part: Part, now: Instant) {
        match part {
            Part::Whole => self.whole.failed(now),
            Part::Spot => self.spot.failed(now),
        }
    }
}

/// The times of one part.
#[derive(Debug)]
struct Schedule {
    period: Duration,
    due: Instant,
    failures: u32,
    random: ChaCha8Rng,
}

impl Schedule {
    /// The first time is now.
    fn new(now: Instant, period: Duration, seed: u64) -> Self {
        Self { period, due: now, failures: 0, random: ChaCha8Rng::seed_from_u64(seed) }
    }

    fn succeeded(&mut self, now: Instant) {
        self.failures = 0;
        self.due = now + self.period.mul_f64(self.random.random_range(0.9..1.1));
    }

    fn failed(&mut self, now: Instant) {
        let doubled = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        let wait = doubled.min(LONGEST_RETRY).min(self.period);
        self.due = now + wait.mul_f64(self.random.random_range(0.5..1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits after each of the outcomes, in seconds.
    fn waits(period: Duration, seed: u64, outcomes: &[bool]) -> Vec<f64> {
        let mut now = Instant::now();
        let mut schedule = Schedule::new(now, period, seed);
        let mut wait = |is_success: &bool| {
            if *is_success {
                schedule.succeeded(now);
            } else {
                schedule.failed(now);
            }
            let wait = schedule.due - now;
            now = schedule.due;
            wait.as_secs_f64()
        };
        outcomes.iter().map(&mut wait).collect()
    }

    #[test]
    fn periods_vary_by_a_tenth_and_as_the_seed_says() {
        let of_seed = |seed| waits(Duration::from_secs(300), seed, &[true; 50]);
        let made = of_seed(1);
        assert!(made.iter().all(|wait| (270.0..330.0).contains(wait)), "{made:?}");
        assert!(made.iter().any(|wait| *wait < 290.0) && made.iter().any(|wait| *wait > 310.0), "{made:?}");
        assert_eq!(made, of_seed(1));
        assert_ne!(made, of_seed(2));
    }

    #[test]
    fn retries_double_up_to_the_period_and_a_success_ends_them() {
        let made = waits(Duration::from_secs(300), 7, &[false, false, false, false, false, false, false, true, false]);
        let most = [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 330.0, 10.0];
        for (wait, most) in made.iter().zip(most) {
            assert!((most / 2.0..=most).contains(wait), "{wait} of {most}");
        }
        let long = waits(Duration::from_hours(12), 7, &[false; 60]);
        assert!(long[10..].iter().all(|wait| (450.0..=900.0).contains(wait)), "{long:?}");
    }

    /// What is asked for within that time, in seconds after the start, where every refresh takes 5 s and has the outcome of `is_well`.
    fn asked(for_long: Duration, is_well: impl Fn(Part) -> bool) -> Vec<(Part, u64)> {
        let start = Instant::now();
        let mut agenda = Agenda::new(start, Periods::USUAL, 3);
        let mut asked = Vec::new();
        loop {
            let (part, due) = agenda.next(true);
            if due > start + for_long {
                return asked;
            }
            asked.push((part, (due - start).as_secs()));
            let done = due + Duration::from_secs(5);
            if is_well(part) {
                agenda.succeeded(part, done);
            } else {
                agenda.failed(part, done);
            }
        }
    }

    fn gaps(times: &[u64]) -> Vec<u64> {
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[test]
    fn everything_is_asked_for_twice_a_day_and_spot_prices_every_five_minutes() {
        let asked = asked(Duration::from_hours(72), |_| true);
        let whole: Vec<u64> = asked.iter().filter(|(part, _)| *part == Part::Whole).map(|(_, at)| *at).collect();
        assert_eq!(asked[0], (Part::Whole, 0));
        assert!((6..=7).contains(&whole.len()), "{whole:?}");
        assert!(gaps(&whole).iter().all(|gap| (38_880..=47_525).contains(gap)), "{whole:?}");
        let all: Vec<u64> = asked.iter().map(|(_, at)| *at).collect();
        assert!(gaps(&all).iter().all(|gap| *gap <= 335), "{all:?}");
        let after_spot = asked.windows(2).filter(|pair| pair[1].0 == Part::Spot);
        assert!(after_spot.into_iter().all(|pair| pair[1].1 - pair[0].1 >= 274), "{asked:?}");
    }

    #[test]
    fn spot_prices_are_asked_for_although_everything_fails() {
        let asked = asked(Duration::from_hours(1), |part| part == Part::Spot);
        assert_eq!(asked[..2], [(Part::Whole, 0), (Part::Spot, 0)]);
        let spot: Vec<u64> = asked.iter().filter(|(part, _)| *part == Part::Spot).map(|(_, at)| *at).collect();
        assert!(spot.len() >= 11 && gaps(&spot).iter().all(|gap| (274..=335).contains(gap)), "{spot:?}");
        assert!(asked.len() - spot.len() >= 8, "{asked:?}");
    }

    #[test]
    fn without_a_catalog_there_is_nothing_to_put_spot_prices_into() {
        let start = Instant::now();
        let mut agenda = Agenda::new(start, Periods::USUAL, 3);
        for _ in 0..9 {
            let (part, due) = agenda.next(false);
            assert_eq!(part, Part::Whole);
            agenda.failed(part, due);
        }
        assert_eq!(agenda.next(true), (Part::Spot, start));
    }
}
