//! Work queues: each object that changed is looked at once, never twice at the same time, and again later where it asks for that or where
//! looking at it failed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Debug;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt as _};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::adapters::kube::mirror::{Change, Mirror};

/// After a failure; doubled with every further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How often looking at each object failed in a row, by name.
#[derive(Default)]
struct Failures(Mutex<BTreeMap<String, u32>>);

impl Failures {
    /// How long to wait after another failure with the object `name`. Those that are not `there` any more are forgotten.
    fn pause(&self, name: &str, there: impl Fn(&str) -> bool) -> Duration {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known, _| known == name || there(known));
        let count = all.entry(name.to_owned()).or_default();
        *count += 1;
        FIRST_PAUSE.saturating_mul(1 << (*count - 1).min(6)).min(LONGEST_PAUSE)
    }

    fn forget(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// Looks at every object of `store` that `which` names for a change, and at all of them at first. `look` says after which time the object
/// is worth another look.
pub(crate) async fn run<K, Look, E>(
    controller: &'static str,
    mirror: &Mirror,
    store: Store<K>,
    which: impl Fn(&Mirror, &Change) -> Vec<ObjectRef<K>> + Send + 'static,
    at_once: u16,
    look: impl Fn(Arc<K>) -> Look + Send + 'static,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    K::DynamicType: Eq + Hash,
    Look: Future<Output = Result<Duration, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let changes = mirror.changes();
    let all: Vec<ObjectRef<K>> = store.state().iter().map(|object| ObjectRef::from_obj(&**object)).collect();
    let named = named(changes, mirror.clone(), which);
    let queue = stream::iter(all).chain(named).map(Ok::<_, Infallible>);
    let failures = Arc::new(Failures::default());
    let forget = Arc::clone(&failures);
    let reconcile = move |object: Arc<K>, _: Arc<()>| -> Pin<Box<dyn Future<Output = Result<Action, E>> + Send>> {
        let name = object.name_any();
        let (looking, forget) = (look(object), Arc::clone(&forget));
        Box::pin(async move {
            let time = looking.await?;
            forget.forget(&name);
            Ok(Action::requeue(time))
        })
    };
    let objects = store.clone();
    let again = move |object: Arc<K>, error: &E, _: Arc<()>| {
        let name = object.name_any();
        tracing::warn!(controller, object = name, %error, "reconciliation failed");
        // Controllers look at objects without a namespace.
        Action::requeue(failures.pause(&name, |other| objects.get(&ObjectRef::new(other)).is_some()))
    };
    let config = Config::default().concurrency(at_once);
    applier(reconcile, again, Arc::new(()), store, Box::pin(queue), config).for_each(|_| std::future::ready(())).await;
}

fn named<K>(
    changes: UnboundedReceiver<Change>,
    mirror: Mirror,
    which: impl Fn(&Mirror, &Change) -> Vec<ObjectRef<K>> + Send + 'static,
) -> impl Stream<Item = ObjectRef<K>> + Send + 'static
where
    K: Resource<DynamicType = ()> + 'static,
{
    stream::unfold(changes, |mut changes| async move { changes.recv().await.map(|change| (change, changes)) })
        .flat_map(move |change| stream::iter(which(&mirror, &change)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_a_minute_and_start_anew_after_success() {
        let failures = Failures::default();
        let pauses: Vec<u64> = (0..8).map(|_| failures.pause("a", |_| true).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(failures.pause("b", |_| true).as_secs(), 1);
        failures.forget("a");
        assert_eq!(failures.pause("a", |_| true).as_secs(), 1);
        // One that is gone for a while begins anew.
        assert_eq!(failures.pause("b", |name| name != "a").as_secs(), 2);
        assert_eq!(failures.pause("a", |_| true).as_secs(), 1);
    }
}
