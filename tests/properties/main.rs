//! Properties that must hold for any input: the bounded fuzz targets of continuous integration.
//!
//! A failing case is kept in `tests/properties/regressions.txt` and replayed first from then on.

mod manifests;
mod overlay;
mod quantity;
mod requirement;
mod solver;

use proptest::test_runner::{Config, FileFailurePersistence};

/// `cases` cases, with failures kept beside these tests.
fn config(cases: u32) -> Config {
    Config {
        cases,
        // Tests that assume a small program pass over most of those that are made.
        max_global_rejects: 20 * cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/properties/regressions.txt"))),
        ..Config::default()
    }
}
