#![no_main]

#[path = "../bodies.rs"]
#[expect(dead_code, reason = "one target uses one of the bodies")]
mod bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::attach(bytes));
