//! The source tree that tests read fixtures, bundles and documents from.

use std::path::PathBuf;

/// Where it lies now: above the package that cargo or nextest names. A board runs an archive of tests that were built elsewhere.
pub(crate) fn root() -> PathBuf {
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let above = package.ancestors().find(|folder| folder.join("ramand.toml").is_file());
    above.expect("the package lies in ramand's source tree").to_owned()
}
