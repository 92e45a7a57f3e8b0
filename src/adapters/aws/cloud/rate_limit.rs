//! How often EC2 is asked to change something, so that it need not refuse.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Requests that may come at once, for each call that changes something, and how many more every second: what EC2 grants an account in a
/// region for mutating actions (Amazon EC2 Developer Guide, "Request throttling for the Amazon EC2 API", request token limits).
const MUTATING: (f64, f64) = (50.0, 5.0);

/// One bucket for each call, as EC2 has them.
#[derive(Debug)]
pub(super) struct RateLimits {
    pub(super) create_fleet: TokenBucket,
    pub(super) create_launch_template: TokenBucket,
    pub(super) delete_launch_template: TokenBucket,
    pub(super) terminate_instances: TokenBucket,
    pub(super) create_tags: TokenBucket,
}

impl RateLimits {
    /// Full buckets.
    pub(super) fn new() -> Self {
        let bucket = || TokenBucket::new(MUTATING.0, MUTATING.1);
        Self {
            create_fleet: bucket(),
            create_launch_template: bucket(),
            delete_launch_template: bucket(),
            terminate_instances: bucket(),
            create_tags: bucket(),
        }
    }
}

/// Tokens that are taken one by one and come back at a steady rate.
#[derive(Debug)]
pub(super) struct TokenBucket {
    most: f64,
    per_second: f64,
    /// Tokens at a moment; below 0 where requests wait for theirs.
    left: Mutex<(f64, Instant)>,
}

impl TokenBucket {
    /// A full bucket.
    pub(super) fn new(most: f64, per_second: f64) -> Self {
        Self { most, per_second, left: Mutex::new((most, Instant::now())) }
    }

    /// Takes a token, and waits until it is there. Who asks first goes first.
    pub(super) async fn take(&self) {
        let wait = self.reserve(Instant::now());
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// Takes a token in advance; how long it is until it is there.
    fn reserve(&self, now: Instant) -> Duration {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let refilled = left.0 + now.saturating_duration_since(left.1).as_secs_f64() * self.per_second;
        let after = refilled.min(self.most) - 1.0;
        *left = (after, now);
        Duration::from_secs_f64((-after / self.per_second).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let bucket = TokenBucket::new(3.0, 2.0);
        let now = Instant::now();
        let waits: Vec<u128> = (0..5).map(|_| bucket.reserve(now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 500, 1000]);
        // Two seconds give four back, two of which were owed.
        let later = now + Duration::from_secs(2);
        let waits: Vec<u128> = (0..3).map(|_| bucket.reserve(later).as_millis()).collect();
        assert_eq!(waits, [0, 0, 500]);
    }
}
