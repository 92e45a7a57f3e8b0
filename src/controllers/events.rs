//! Events on objects, for people: what was decided about them, and why.
//!
//! The same event about the same object is published once in two minutes, as in Karpenter core v1.15.0 (`pkg/events/recorder.go`); a
//! failure to publish is logged and nothing more, since nothing depends on events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};

/// How long the same event is not repeated.
const QUIET: Duration = Duration::from_secs(120);
/// The most characters that the API takes.
const LONGEST_NOTE: usize = 1_024;

/// Publishes events.
#[derive(Clone)]
pub(crate) struct Events {
    recorder: Recorder,
    published: Arc<Mutex<BTreeMap<(String, String), Instant>>>,
}

impl Events {
    pub(crate) fn new(client: Client) -> Self {
        let reporter = Reporter { controller: "karpenter".to_owned(), instance: None };
        Self { recorder: Recorder::new(client, reporter), published: Arc::default() }
    }

    /// Something went as it should.
    pub(crate) fn normal<K: Resource<DynamicType = ()>>(&self, object: &K, reason: &str, note: &str) {
        self.publish(EventType::Normal, object.object_ref(&()), reason, note, QUIET);
    }

    /// Something needs attention.
    pub(crate) fn warning<K: Resource<DynamicType = ()>>(&self, object: &K, reason: &str, note: &str) {
        self.publish(EventType::Warning, object.object_ref(&()), reason, note, QUIET);
    }

    /// A warning that is not repeated within `quiet`.
    pub(crate) fn rare_warning<K: Resource<DynamicType = ()>>(&self, object: &K, reason: &str, note: &str, quiet: Duration) {
        self.publish(EventType::Warning, object.object_ref(&()), reason, note, quiet);
    }

    fn publish(&self, type_: EventType, object: ObjectReference, reason: &str, note: &str, quiet: Duration) {
        let about = object.uid.clone().or_else(|| object.name.clone()).unwrap_or_default();
        let now = Instant::now();
        {
            let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
            published.retain(|_, until| *until > now);
            if published.insert((about, format!("{reason}: {note}")), now + quiet).is_some() {
                return;
            }
        }
        let note: String = note.chars().take(LONGEST_NOTE).collect();
        let event = Event { type_, reason: reason.to_owned(), note: Some(note), action: reason.to_owned(), secondary: None };
        let recorder = self.recorder.clone();
        tokio::spawn(async move {
            if let Err(error) = recorder.publish(&event, &object).await {
                tracing::debug!(%error, reason = event.reason, "cannot publish an event");
            }
        });
    }
}
