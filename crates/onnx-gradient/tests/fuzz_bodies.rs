//! The bodies of the fuzz targets over their corpus, its mutations and random bytes: no nightly compiler needed.

use std::path::PathBuf;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};

#[path = "../fuzz/bodies.rs"]
mod bodies;

/// Mutations of every corpus entry, and random inputs: a second of work in the dev profile.
const ROUNDS: usize = 500;
/// Longer than what describes a network of the most nodes.
const RANDOM_LEN_MAX: usize = 400;

fn check(target: &str, body: fn(&[u8])) {
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let corpus = package.join("fuzz/corpus").join(target);
    let entries: Vec<Vec<u8>> = std::fs::read_dir(&corpus)
        .expect("the corpus is part of the repository")
        .map(|entry| std::fs::read(entry.expect("listed").path()).expect("readable"))
        .collect();
    assert!(!entries.is_empty(), "{} is empty", corpus.display());
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for entry in &entries {
        body(entry);
        for _ in 0..ROUNDS {
            let mut mutated = entry.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..mutated.len());
                mutated[at] = random.random();
            }
            mutated.truncate(random.random_range(0..=mutated.len()));
            body(&mutated);
        }
    }
    for _ in 0..ROUNDS {
        let mut bytes = vec![0; random.random_range(0..RANDOM_LEN_MAX)];
        random.fill_bytes(&mut bytes);
        body(&bytes);
    }
}

#[test]
fn attach() {
    check("attach", bodies::attach);
}

#[test]
fn decode() {
    check("decode", bodies::decode);
}
