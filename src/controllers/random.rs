//! Numbers that differ from call to call and from process to process, for names and jitter; nothing secret.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// The next number.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
