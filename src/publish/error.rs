//! Why nothing is published.

use std::path::PathBuf;

use ramand_core::failure::{Failure, Kind};

/// Why publishing cannot start.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A certificate, key or password cannot be read.
    #[error("failed to read {}", path.display())]
    Secret {
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// Such a file is no such file.
    #[error("{} has {bytes} bytes: that is no certificate, key or password", path.display())]
    SecretTooLarge {
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// No connection, or one that was refused.
    #[error("{why}")]
    Unreachable {
        /// In the operator's words.
        why: String,
    },
}

impl Failure for PublishError {
    fn kind(&self) -> Kind {
        match self {
            Self::Secret { .. } | Self::SecretTooLarge { .. } => Kind::Operator,
            Self::Unreachable { .. } => Kind::Transient,
        }
    }
}
