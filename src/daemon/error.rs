//! Why the daemon does not start, or ended.

use std::path::PathBuf;

use ramand_core::failure::{Failure, Kind};
use ramand_model::inspect::InspectError;

use crate::acquire::AcquireError;
use crate::journal::JournalError;
#[cfg(feature = "broker")]
use crate::publish::broker::BrokerError;
use crate::publish::{PublishError, TopicError};
use crate::supervise::SuperviseError;
use crate::update::UpdateError;
use crate::web::WebError;

/// One variant per part; the part's own error says the rest.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Settings of the instrument.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// A bundle that does not run, or may not.
    #[error("failed to open the model {}", path.display())]
    Update {
        /// Its path in the configuration.
        path: PathBuf,
        #[source]
        source: Box<UpdateError>,
    },
    /// No such instrument.
    #[error("spectrometer.profile: there is no profile '{profile}'; there are qepro and sts")]
    Profile {
        /// As configured.
        profile: String,
    },
    /// Models and limits do not fit each other.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The store.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The MQTT client.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The place is no topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[cfg(feature = "broker")]
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The live page.
    #[error(transparent)]
    Web(#[from] WebError),
    /// Threads, signals, systemd.
    #[error(transparent)]
    Supervise(#[from] SuperviseError),
    /// tokio.
    #[error("failed to start the network runtime")]
    Runtime(#[source] std::io::Error),
    /// A part ended by itself, or did not end when asked.
    #[error("{why}")]
    Ended {
        /// Which, and how.
        why: String,
        /// What its failure asks for.
        kind: Kind,
    },
}

impl Failure for DaemonError {
    fn kind(&self) -> Kind {
        match self {
            Self::Acquire(error) => error.kind(),
            Self::Update { source, .. } => source.kind(),
            Self::Profile { .. } => Kind::Operator,
            Self::Inspect(error) => error.kind(),
            Self::Journal(error) => error.kind(),
            Self::Publish(error) => error.kind(),
            Self::Topic(error) => error.kind(),
            #[cfg(feature = "broker")]
            Self::Broker(error) => error.kind(),
            Self::Web(error) => error.kind(),
            Self::Supervise(error) => error.kind(),
            Self::Runtime(_) => Kind::Transient,
            Self::Ended { kind, .. } => *kind,
        }
    }
}
