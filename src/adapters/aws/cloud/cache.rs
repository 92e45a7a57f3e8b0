//! Answers that are kept for a while. Time is handed in, so that what is remembered depends on nothing else.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// Values by key, each until its time is over.
#[derive(Debug)]
pub struct Cache<V> {
    entries: Mutex<BTreeMap<String, Entry<V>>>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    since: Timestamp,
    until: Timestamp,
}

impl<V> Entry<V> {
    /// A clock that was set back makes an entry count as old rather than as eternal.
    fn holds(&self, now: Timestamp) -> bool {
        self.since <= now && now < self.until
    }
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        Self { entries: Mutex::default() }
    }
}

impl<V: Clone> Cache<V> {
    /// What is remembered under `key`, if it still counts.
    pub fn get(&self, key: &str, now: Timestamp) -> Option<V> {
        self.lock().get(key).filter(|entry| entry.holds(now)).map(|entry| entry.value.clone())
    }

    /// Remembers `value` under `key` for as long as `keep`; what has become old under other keys goes.
    pub fn put(&self, key: &str, value: V, keep: Duration, now: Timestamp) {
        let mut entries = self.lock();
        entries.retain(|_, entry| entry.holds(now));
        entries.insert(key.to_owned(), Entry { value, since: now, until: now + keep });
    }

    /// Forgets what is remembered under `key`.
    pub fn forget(&self, key: &str) {
        self.lock().remove(key);
    }

    /// Forgets what is remembered under `key`, if it has been for at least as long as `age`.
    pub fn forget_older(&self, key: &str, age: Duration, now: Timestamp) {
        let mut entries = self.lock();
        if entries.get(key).is_some_and(|entry| now >= entry.since + age) {
            entries.remove(key);
        }
    }

    /// A panic elsewhere leaves whole entries: each change is one call.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry<V>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a second of our time")
    }

    #[test]
    fn a_value_counts_until_its_time_is_over() {
        let cache = Cache::default();
        cache.put("a", 1, Duration::from_secs(60), at(100));
        assert_eq!((cache.get("a", at(99)), cache.get("a", at(159)), cache.get("a", at(160))), (None, Some(1), None));
        cache.put("b", 2, Duration::from_secs(60), at(200));
        assert_eq!((cache.get("a", at(120)), cache.get("b", at(200))), (None, Some(2)));
        cache.forget_older("b", Duration::from_secs(30), at(229));
        assert_eq!(cache.get("b", at(229)), Some(2));
        cache.forget_older("b", Duration::from_secs(30), at(230));
        assert_eq!(cache.get("b", at(230)), None);
    }
}
