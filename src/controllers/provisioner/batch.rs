//! When pods are planned together: after a second without a new one, and after ten seconds in any case.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use crate::controllers::operations::options::BatchWindow;

/// How often pods that are left are planned again although nothing new came.
const AGAIN: Duration = Duration::from_secs(10);

/// Waits until a batch is complete: something new came, and then nothing more for `window.idle`, or `window.longest` went by. What was in the
/// batch already does not lengthen it. Without anything new it ends after ten seconds. `None` when nobody can ask any more.
pub(super) async fn gather(asked: &mut UnboundedReceiver<String>, window: BatchWindow) -> Option<BTreeSet<String>> {
    let mut batch = BTreeSet::new();
    tokio::select! {
        first = asked.recv() => batch.insert(first?),
        () = tokio::time::sleep(AGAIN) => return Some(batch),
    };
    let end = Instant::now() + window.longest;
    let mut idle = Instant::now() + window.idle;
    loop {
        tokio::select! {
            more = asked.recv() => {
                if batch.insert(more?) {
                    idle = Instant::now() + window.idle;
                }
            }
            () = sleep_until(idle.min(end)) => return Some(batch),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    const WINDOW: BatchWindow = BatchWindow { idle: Duration::from_secs(1), longest: Duration::from_secs(10) };

    #[tokio::test(start_paused = true)]
    async fn a_batch_ends_when_nothing_new_comes() {
        let (sender, mut asked) = unbounded_channel();
        let began = Instant::now();
        tokio::spawn(async move {
            for name in ["a", "b", "b", "b"] {
                sender.send(name.to_owned()).expect("somebody listens");
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
            tokio::time::sleep(Duration::from_mins(1)).await;
        });
        let batch = gather(&mut asked, WINDOW).await.expect("the sender lives");
        assert_eq!(batch.len(), 2);
        assert_eq!(began.elapsed(), Duration::from_millis(1_700));
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_ends_after_ten_seconds_in_any_case() {
        let (sender, mut asked) = unbounded_channel();
        let began = Instant::now();
        tokio::spawn(async move {
            for number in 0.. {
                if sender.send(format!("{number}")).is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        gather(&mut asked, WINDOW).await.expect("the sender lives");
        assert_eq!(began.elapsed(), WINDOW.longest);
        drop(asked);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_planned_again() {
        let (_sender, mut asked) = unbounded_channel();
        assert_eq!(gather(&mut asked, WINDOW).await, Some(BTreeSet::new()));
    }
}
