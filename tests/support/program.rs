//! The program that tests start.

use std::path::PathBuf;

/// Where the archive of tests was unpacked, as nextest says it, or where it was built.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("NEXTEST_BIN_EXE_ramand").map_or_else(|| env!("CARGO_BIN_EXE_ramand").into(), PathBuf::from)
}
