//! Events on objects, for people: what was decided about them, and why.
//!
//! The same event about the same object is published once in two minutes, as in Karpenter core v1.15.0 (`pkg/events/recorder.go`); a
//! failure to publish is logged and nothing more, since nothing depends on events. What is told of every single pod of a plan is told of
//! five pods in a second at most: it is for whoever looks at one, and the API server has other things to do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client, Resource};

/// Who events are by: tools that know Karpenter look for this name.
const REPORTER: &str = "karpenter";
/// How long the same event is not repeated.
const QUIET: Duration = Duration::from_secs(120);
/// Events that are remembered before any is forgotten.
const FIRST_SWEEP: usize = 1_024;
/// Events about single pods of a plan: so many in a second, and so many at once after a pause.
const PER_SECOND: f64 = 5.0;
const AT_ONCE: f64 = 10.0;
/// The most bytes that the API takes.
const LONGEST_NOTE: usize = 1_024;

/// Publishes events.
#[derive(Clone)]
pub(crate) struct Events {
    client: Client,
    published: Arc<Mutex<Published>>,
    allowance: Arc<Mutex<Allowance>>,
}

/// What was published, by object and words, until when it is not repeated.
#[derive(Debug, Default)]
struct Published {
    until: BTreeMap<(String, String), Instant>,
    /// How many there are when those that are over are next taken out.
    swept_at: usize,
}

impl Published {
    fn len(&self) -> usize {
        self.until.len()
    }
}

/// Events about single pods that may be published now.
#[derive(Debug)]
struct Allowance {
    left: f64,
    at: Instant,
}

impl Allowance {
    /// Whether one more may be published.
    fn take(&mut self, now: Instant) -> bool {
        self.left = (self.left + now.duration_since(self.at).as_secs_f64() * PER_SECOND).min(AT_ONCE);
        self.at = now;
        let may = self.left >= 1.0;
        self.left -= if may { 1.0 } else { 0.0 };
        may
    }
}

impl Events {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            published: Arc::default(),
            allowance: Arc::new(Mutex::new(Allowance { left: AT_ONCE, at: Instant::now() })),
        }
    }

    /// Something went as it should.
    pub(crate) fn normal<K: Resource<DynamicType = ()>>(&self, object: &K, reason: &str, note: &str) {
        self.publish("Normal", object.object_ref(&()), reason, note, QUIET);
    }

    /// What was decided about one of many pods.
    pub(crate) fn decided<K: Resource<DynamicType = ()>>(&self, object: &K, reason: &str, note: &str) {
        if self.allowance.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now()) {
            self.normal(object, reason, note);
        }
    }

    /// Something needs attention.
    pub(crate) fn warning<K: Resource<DynamicType = ()>>(&self, object: &K, reason: &str, note: &str) {
        self.publish("Warning", object.object_ref(&()), reason, note, QUIET);
    }

    /// A warning that is not repeated within `quiet`.
    pub(crate) fn rare_warning<K: Resource<DynamicType = ()>>(&self, object: &K, reason: &str, note: &str, quiet: Duration) {
        self.publish("Warning", object.object_ref(&()), reason, note, quiet);
    }

    fn publish(&self, type_: &str, object: ObjectReference, reason: &str, note: &str, quiet: Duration) {
        let about = object.uid.clone().or_else(|| object.name.clone()).unwrap_or_default();
        let now = Instant::now();
        {
            let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
            if published.len() >= published.swept_at {
                published.until.retain(|_, until| *until > now);
                published.swept_at = (published.len() * 2).max(FIRST_SWEEP);
            }
            let key = (about, format!("{reason}: {note}"));
            if published.until.get(&key).is_some_and(|until| *until > now) {
                return;
            }
            published.until.insert(key, now + quiet);
        }
        let note = shortened(note);
        // Events of objects without a namespace live in this one.
        let namespace = object.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let now = Timestamp::now();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{:x}", object.name.clone().unwrap_or_default(), now.as_nanosecond())),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            type_: Some(type_.to_owned()),
            reason: Some(reason.to_owned()),
            action: Some(reason.to_owned()),
            note: Some(note),
            regarding: Some(object),
            reporting_controller: Some(REPORTER.to_owned()),
            reporting_instance: Some(REPORTER.to_owned()),
            ..Event::default()
        };
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        tokio::spawn(async move {
            if let Err(error) = events.create(&PostParams::default(), &event).await {
                tracing::debug!(%error, reason = event.reason, "cannot publish an event");
            }
        });
    }
}

/// The note as the API takes it, which counts bytes.
fn shortened(note: &str) -> String {
    let mut end = note.len().min(LONGEST_NOTE);
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    note[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        let long = format!("{}\u{e9}x", "a".repeat(LONGEST_NOTE - 1));
        assert_eq!(shortened(&long), "a".repeat(LONGEST_NOTE - 1));
    }

    #[test]
    fn after_a_burst_five_events_in_a_second_may_be_published() {
        let start = Instant::now();
        let mut allowance = Allowance { left: AT_ONCE, at: start };
        let at = |milliseconds: u64| start + Duration::from_millis(milliseconds);
        assert_eq!((0..20).filter(|_| allowance.take(at(0))).count(), 10);
        assert_eq!((0..20).filter(|_| allowance.take(at(1_000))).count(), 5);
        assert_eq!((0..20).filter(|_| allowance.take(at(60_000))).count(), 10);
    }
}
