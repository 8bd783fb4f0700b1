//! What a command fails with.

use ramand_core::failure::{Failure, Kind};

/// A command's failure: its message, and the exit code it asks for.
#[derive(Debug)]
pub(super) struct CommandError {
    kind: Kind,
    source: anyhow::Error,
}

impl CommandError {
    /// A failure that somebody must mend: a wrong argument, a missing file.
    pub(super) fn operator(message: impl Into<String>) -> Self {
        Self { kind: Kind::Operator, source: anyhow::Error::msg(message.into()) }
    }

    /// A failure that has been told on stdout already, and only asks for an exit code.
    pub(super) fn told(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, source: anyhow::Error::msg(message.into()) }
    }

    /// What the failure asks for.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The same failure with a sentence before it.
    pub(super) fn context(self, context: impl Into<String>) -> Self {
        Self { kind: self.kind, source: self.source.context(context.into()) }
    }
}

impl std::fmt::Display for CommandError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.source)
    }
}

impl<E: Failure + Send + Sync + 'static> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self { kind: error.kind(), source: anyhow::Error::new(error) }
    }
}
