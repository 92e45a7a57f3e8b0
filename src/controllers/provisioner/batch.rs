//! When pods are planned together: after a second without a new one, and after ten seconds in any case.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use crate::controllers::operations::options::BatchWindow;

/// How often pods that are left are planned again although nothing new came.
const AGAIN: Duration = Duration::from_secs(10);

/// What was asked for since the last round.
#[derive(Debug)]
struct Batch {
    window: BatchWindow,
    names: BTreeSet<String>,
    began: Instant,
    last_new: Instant,
}

impl Batch {
    fn new(first: String, window: BatchWindow, now: Instant) -> Self {
        Self { window, names: BTreeSet::from([first]), began: now, last_new: now }
    }

    /// What is in the batch already does not lengthen it.
    fn add(&mut self, name: String, now: Instant) {
        if self.names.insert(name) {
            self.last_new = now;
        }
    }

    /// When the batch is complete, unless something new comes before.
    fn ends(&self) -> Instant {
        (self.last_new + self.window.idle).min(self.began + self.window.longest)
    }
}

/// Waits until a batch is complete; gives how much is in it, which is nothing where pods are only to be planned again. `None` when nobody can
/// ask any more.
pub(super) async fn gather(asked: &mut UnboundedReceiver<String>, window: BatchWindow) -> Option<usize> {
    let mut batch = tokio::select! {
        first = asked.recv() => Batch::new(first?, window, Instant::now()),
        () = tokio::time::sleep(AGAIN) => return Some(0),
    };
    loop {
        tokio::select! {
            more = asked.recv() => batch.add(more?, Instant::now()),
            () = sleep_until(batch.ends()) => return Some(batch.names.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: BatchWindow = BatchWindow { idle: Duration::from_secs(1), longest: Duration::from_secs(10) };

    #[test]
    fn a_batch_ends_a_second_after_the_last_that_is_new() {
        let start = Instant::now();
        let at = |milliseconds: u64| start + Duration::from_millis(milliseconds);
        let mut batch = Batch::new("a".to_owned(), WINDOW, start);
        batch.add("b".to_owned(), at(700));
        batch.add("b".to_owned(), at(1_400));
        assert_eq!((batch.names.len(), batch.ends()), (2, at(1_700)));
    }

    #[test]
    fn a_batch_ends_after_ten_seconds_in_any_case() {
        let start = Instant::now();
        let mut batch = Batch::new("0".to_owned(), WINDOW, start);
        (1..40).for_each(|number| batch.add(number.to_string(), start + Duration::from_millis(number * 300)));
        assert_eq!(batch.ends(), start + WINDOW.longest);
    }
}
