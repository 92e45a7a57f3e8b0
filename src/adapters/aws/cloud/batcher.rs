//! Many small questions asked as few large ones: whoever asks within a short while of the others shares their call.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// When a batch is closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    /// Since the last question.
    pub(super) idle: Duration,
    /// Since the first.
    pub(super) longest: Duration,
    /// Questions.
    pub(super) most: usize,
}

/// What is asked, and where its answer goes.
type Asked<Q, A> = (Q, oneshot::Sender<A>);

/// Gathers questions of the type `Q`, each of which gets an answer `A`.
#[derive(Debug)]
pub(super) struct Batcher<Q, A> {
    questions: mpsc::UnboundedSender<Asked<Q, A>>,
}

impl<Q: Send + 'static, A: Send + 'static> Batcher<Q, A> {
    /// Starts to gather on the current runtime, until this is dropped. `ask_all` gives an answer to each question, in their order; batches
    /// are asked side by side.
    pub(super) fn start<F, Answers>(windows: Windows, ask_all: F) -> Self
    where
        F: Fn(Vec<Q>) -> Answers + Send + 'static,
        Answers: Future<Output = Vec<A>> + Send + 'static,
    {
        let (questions, mut asked) = mpsc::unbounded_channel::<Asked<Q, A>>();
        tokio::spawn(async move {
            while let Some(first) = asked.recv().await {
                let (batch, waiting): (Vec<Q>, Vec<oneshot::Sender<A>>) =
                    gather(first, &mut asked, windows).await.into_iter().unzip();
                let answers = ask_all(batch);
                tokio::spawn(async move {
                    for (answer, whoever) in answers.await.into_iter().zip(waiting) {
                        // Who no longer waits needs no answer.
                        let _ = whoever.send(answer);
                    }
                });
            }
        });
        Self { questions }
    }

    /// The answer to one question; `None` where the program ends before it came.
    pub(super) async fn ask(&self, question: Q) -> Option<A> {
        let (sender, answer) = oneshot::channel();
        self.questions.send((question, sender)).ok()?;
        answer.await.ok()
    }
}

async fn gather<T>(first: T, more: &mut mpsc::UnboundedReceiver<T>, windows: Windows) -> Vec<T> {
    let end = Instant::now() + windows.longest;
    let mut batch = vec![first];
    while batch.len() < windows.most {
        let until = end.min(Instant::now() + windows.idle);
        match timeout_at(until, more.recv()).await {
            Ok(Some(next)) => batch.push(next),
            Ok(None) | Err(_) => break,
        }
    }
    batch
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn those_who_ask_together_share_a_call() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let sizes = Arc::new(Mutex::new(Vec::new()));
            let windows = Windows { idle: Duration::from_millis(20), longest: Duration::from_secs(1), most: 3 };
            let seen = Arc::clone(&sizes);
            let batcher = Batcher::start(windows, move |batch: Vec<u32>| {
                seen.lock().expect("no test panics there").push(batch.len());
                async move { batch.into_iter().map(|number| number * 2).collect() }
            });
            let asked = (0..4).map(|number| batcher.ask(number));
            let answers = futures_util::future::join_all(asked).await;
            assert_eq!(answers, [Some(0), Some(2), Some(4), Some(6)]);
            assert_eq!(*sizes.lock().expect("no test panics there"), [3, 1]);
        });
    }
}
