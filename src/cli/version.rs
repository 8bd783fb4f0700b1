//! What `ramand --version` prints: the version and the features that are built in.

/// For `--version`; `-V` prints the first line alone.
pub(super) const LONG: &str = match (cfg!(feature = "lab"), cfg!(feature = "broker")) {
    (true, true) => concat!(env!("CARGO_PKG_VERSION"), "\nfeatures: lab, broker"),
    (true, false) => concat!(env!("CARGO_PKG_VERSION"), "\nfeatures: lab"),
    (false, true) => concat!(env!("CARGO_PKG_VERSION"), "\nfeatures: broker"),
    (false, false) => concat!(env!("CARGO_PKG_VERSION"), "\nfeatures: none"),
};
