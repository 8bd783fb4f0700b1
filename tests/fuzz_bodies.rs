//! The bodies of the fuzz targets over their corpus, its mutations and random bytes: no nightly compiler needed.

#[path = "support/root.rs"]
mod root;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};
use root::root;

#[path = "../fuzz/bodies.rs"]
mod bodies;

/// Mutations of every corpus entry, and random inputs: a second of work in the dev profile.
const ROUNDS: usize = 2_000;
/// A conversation is a few hundred frames.
const CONVERSATION_ROUNDS: usize = 1_000;
/// Several lines, headers or blocks of what is parsed.
const RANDOM_LEN_MAX: usize = 400;

fn check(target: &str, rounds: usize, body: fn(&[u8])) {
    let corpus = root().join("fuzz/corpus").join(target);
    let entries: Vec<Vec<u8>> = std::fs::read_dir(&corpus)
        .expect("the corpus is part of the repository")
        .map(|entry| std::fs::read(entry.expect("listed").path()).expect("readable"))
        .collect();
    assert!(!entries.is_empty(), "{} is empty", corpus.display());
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for entry in &entries {
        body(entry);
        for _ in 0..rounds {
            let mut mutated = entry.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..mutated.len());
                mutated[at] = random.random();
            }
            mutated.truncate(random.random_range(0..=mutated.len()));
            body(&mutated);
        }
    }
    for _ in 0..rounds {
        let mut bytes = vec![0; random.random_range(0..RANDOM_LEN_MAX)];
        random.fill_bytes(&mut bytes);
        body(&bytes);
    }
}

#[test]
fn jcamp() {
    check("jcamp", ROUNDS, bodies::jcamp);
}

#[test]
fn spc() {
    check("spc", ROUNDS, bodies::spc);
}

#[test]
fn conversation() {
    check("conversation", CONVERSATION_ROUNDS, bodies::conversation);
}

#[test]
fn archive() {
    check("archive", ROUNDS, bodies::archive);
}
