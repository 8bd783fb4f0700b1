//! The bodies of the fuzz targets over their corpus, its mutations and random bytes: no nightly compiler needed.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;

#[path = "../fuzz/bodies.rs"]
mod bodies;

/// Inputs drawn for each entry of the corpus, and as many random ones: a second of work in the dev profile.
const ROUNDS: u32 = 2_000;
/// Changed bytes of an entry.
const CHANGES_MAX: usize = 3;
/// Longer than any short frame, so that random bytes hold several starts of one.
const RANDOM_LEN_MAX: usize = 400;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries: Vec<Vec<u8>> = std::fs::read_dir(&folder)
        .expect("the corpus is part of the repository")
        .map(|entry| std::fs::read(entry.expect("listed").path()).expect("readable"))
        .collect();
    assert!(!entries.is_empty(), "{} is empty", folder.display());
    entries
}

/// An entry with some bytes changed and its end cut off.
fn mutated(entries: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = proptest::collection::vec((any::<Index>(), any::<u8>()), 1..=CHANGES_MAX);
    (select(entries), changes, any::<Index>()).prop_map(|(mut bytes, changes, end)| {
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(end.index(bytes.len() + 1));
        bytes
    })
}

fn check(target: &str, body: fn(&[u8])) {
    let entries = corpus(target);
    entries.iter().for_each(|entry| body(entry));
    let cases = ROUNDS * u32::try_from(entries.len() + 1).expect("a small corpus");
    let random = proptest::collection::vec(any::<u8>(), 0..RANDOM_LEN_MAX);
    let inputs = prop_oneof![9 => mutated(entries), 1 => random];
    // Its failures are shown, not written into the repository.
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&inputs, |bytes| {
        body(&bytes);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{target}: {error}"));
}

#[test]
fn frame() {
    check("frame", bodies::frame);
}

#[test]
fn framer() {
    check("framer", bodies::framer);
}
