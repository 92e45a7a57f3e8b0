//! Manifests under attack: whatever the bytes, an answer or an error that names its place, and never a panic.

use proptest::prelude::*;
use supercargo::adapters::files::manifests::{Source, load};

use crate::config;

/// Valid manifests to damage: every kind that is read, in both notations.
const VALID: [&str; 3] = [
    include_str!("../manifests/data/mixed/a.yaml"),
    include_str!("../manifests/data/mixed/b.json"),
    include_str!("../manifests/data/mixed/sub/c.yml"),
];
const POOL: &str = include_str!("../manifests/data/pool.yaml");

/// Words that change the meaning of a manifest where they land.
const WORDS: [&str; 16] = [
    "---\n",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "null",
    "-1",
    "9999999999999999999999",
    "NaN",
    "\"",
    "items:\n",
    "\u{feff}",
];

fn load_bytes(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    match load(&[Source::Bytes { name: "input".to_owned(), bytes }]) {
        Ok(loaded) => {
            for pod in &loaded.cluster.pods {
                prop_assert!(!pod.name.is_empty() && pod.spec.requests.get("pods") == 1);
                prop_assert!(pod.spec.requests.iter().all(|(_, amount)| amount >= 0));
                prop_assert!(!pod.spec.node_alternatives.is_empty());
            }
            for pool in &loaded.cluster.node_pools {
                prop_assert!(loaded.cluster.node_classes.contains_key(&pool.node_class_ref.name));
            }
        }
        Err(errors) => {
            prop_assert!(!errors.as_slice().is_empty());
            for error in errors.as_slice() {
                prop_assert!(!error.file.is_empty() && !error.problem.is_empty() && !error.mend.is_empty(), "{:?}", error);
                prop_assert!(error.object.as_ref().is_none_or(|object| !object.is_empty()));
                prop_assert!(error.field.as_ref().is_none_or(|field| !field.is_empty()));
            }
        }
    }
    Ok(())
}

#[test]
fn the_manifests_to_damage_are_valid() {
    for text in VALID.into_iter().chain([POOL]) {
        let loaded = load(&[Source::Bytes { name: "input".to_owned(), bytes: text.into() }]);
        assert!(loaded.is_ok(), "{}", loaded.expect_err("checked"));
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        load_bytes(bytes)?;
    }

    #[test]
    fn text_that_looks_like_a_manifest_is_answered(
        text in "(apiVersion: v1\n|kind: (Pod|List|NodePool)\n|metadata: \\{name: [a-z]?\\}\n|spec:|items:| - |[a-z]+: |\\{|\\}|\\[|\\]|\n|---\n|  ){0,40}"
    ) {
        load_bytes(text.into_bytes())?;
    }

    /// Pieces cut out, doubled, swapped for odd words, single bytes flipped.
    #[test]
    fn damaged_manifests_are_answered(
        which in 0..4_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, 0..WORDS.len(), 1..30_usize, any::<u8>()), 1..5),
    ) {
        let mut bytes = VALID.get(which).copied().unwrap_or(POOL).as_bytes().to_vec();
        for (index, action, word, length, byte) in damage {
            let at = index.index(bytes.len().max(1)).min(bytes.len());
            let end = (at + length).min(bytes.len());
            match action {
                0 => drop(bytes.drain(at..end)),
                1 => drop(bytes.splice(at..end, WORDS[word].bytes())),
                2 => {
                    let piece = bytes[at..end].to_vec();
                    drop(bytes.splice(at..at, piece));
                }
                _ if at < bytes.len() => bytes[at] = byte,
                _ => {}
            }
        }
        load_bytes(bytes)?;
    }
}
