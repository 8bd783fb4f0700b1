//! Why there is no report.

use ramand_core::failure::{Failure, Kind};
use ramand_model::ModelError;
use ramand_recording::RecordingError;

use crate::train::Interrupted;

/// What keeps a bundle from being tested on a recording.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The file of spectra is at fault.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The bundle did not answer.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Ctrl-C or a stop request.
    #[error("interrupted")]
    Interrupted,
}

impl From<Interrupted> for EvaluateError {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

impl Failure for EvaluateError {
    fn kind(&self) -> Kind {
        match self {
            Self::Recording(error) => error.kind(),
            Self::Model(error) => error.kind(),
            Self::Interrupted => Kind::Operator,
        }
    }
}
