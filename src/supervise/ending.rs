//! How a part ends, and what is left when all have.

use std::any::Any;
use std::sync::Arc;

use ramand_core::failure::{Failure, Kind, chain};

/// Why a part cannot be supervised.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// Two parts of one name.
    #[error("there is already a part called {name}")]
    NameTaken { name: &'static str },
    /// No thread.
    #[error("failed to start the thread {name}")]
    Thread {
        name: &'static str,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// No signal handler.
    #[error("failed to install the handlers of SIGTERM and SIGINT")]
    Signals {
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// NOTIFY_SOCKET is set and does not work.
    #[error("failed to notify systemd over NOTIFY_SOCKET")]
    Notify {
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
}

impl Failure for SuperviseError {
    fn kind(&self) -> Kind {
        match self {
            Self::NameTaken { .. } | Self::Signals { .. } => Kind::Bug,
            Self::Thread { .. } => Kind::Transient,
            Self::Notify { .. } => Kind::Operator,
        }
    }
}

/// How a part ended.
#[derive(Debug)]
pub enum Ending {
    /// It returned.
    Finished,
    /// It returned an error.
    Failed(Box<dyn Failure + Send + Sync>),
    /// It panicked, with this message.
    Panicked(String),
    /// It was aborted because it outlived the deadline of the shutdown.
    Aborted,
}

impl Ending {
    pub(super) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self::Panicked(text.unwrap_or_else(|| "without a message".to_owned()))
    }
}

/// What the body of a part may return.
pub trait IntoEnding {
    /// As an ending.
    fn into_ending(self) -> Ending;
}

impl IntoEnding for () {
    fn into_ending(self) -> Ending {
        Ending::Finished
    }
}

impl<E: Failure + Send + Sync + 'static> IntoEnding for Result<(), E> {
    fn into_ending(self) -> Ending {
        match self {
            Ok(()) => Ending::Finished,
            Err(error) => Ending::Failed(Box::new(error)),
        }
    }
}

/// The end of a part.
#[derive(Debug)]
pub struct End {
    pub part: &'static str,
    pub ending: Ending,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = self.part;
        match &self.ending {
            Ending::Finished => write!(f, "{part} finished"),
            Ending::Aborted => write!(f, "{part} was aborted"),
            Ending::Panicked(message) => write!(f, "{part} panicked: {message}"),
            Ending::Failed(error) => write!(f, "{part} failed: {}", chain(error.as_ref())),
        }
    }
}

/// What became of the parts.
#[derive(Debug)]
pub struct Shutdown {
    /// Why it came to it: the first reason given.
    pub reason: Arc<str>,
    /// Every end, in the order of time.
    pub ends: Vec<End>,
    /// The parts that did not end within the deadline.
    pub stragglers: Vec<&'static str>,
}

impl Shutdown {
    /// What the earliest failure asks for; a part that had to be left behind is a broken promise of ours. `None` after
    /// an orderly end.
    pub fn failure(&self) -> Option<Kind> {
        let failures = self.ends.iter().filter_map(|end| match &end.ending {
            Ending::Failed(error) => Some(error.kind()),
            Ending::Panicked(_) => Some(Kind::Bug),
            Ending::Finished | Ending::Aborted => None,
        });
        failures.chain(self.stragglers.iter().map(|_| Kind::Bug)).next()
    }
}

impl std::fmt::Display for Shutdown {
    /// The parts that did not end in order, or the reason when all did.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let failed = |end: &&End| matches!(end.ending, Ending::Failed(_) | Ending::Panicked(_));
        let mut sentences: Vec<String> = self.ends.iter().filter(failed).map(End::to_string).collect();
        sentences.extend(self.stragglers.iter().map(|part| format!("{part} did not end in time")));
        if sentences.is_empty() { f.write_str(&self.reason) } else { f.write_str(&sentences.join("; ")) }
    }
}
