//! The source tree that tests read fixtures, bundles and documents from.

use std::path::PathBuf;

/// Where it lies now, as cargo and nextest say it: a board runs an archive of tests that were built elsewhere.
pub(crate) fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}
