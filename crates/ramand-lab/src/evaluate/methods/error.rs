//! Why there is no table of methods.

use onnx_gradient::GradientError;
use ramand_core::failure::{Failure, Kind};
use ramand_core::preprocess::{PipelineError, PreprocessError};
use ramand_model::NetworkError;
use ramand_recording::RecordingError;
use ramand_sim::dataset::DatasetError;

use crate::train::{Interrupted, TrainError};

/// What keeps methods from being compared.
#[derive(Debug, thiserror::Error)]
pub enum MethodsError {
    /// The file of spectra is at fault.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The simulated set could not be made.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// There is no folder to write the simulated set to.
    #[error("failed to make a temporary folder")]
    Folder(#[source] std::io::Error),
    /// A network could not be trained.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Its graph could not be differentiated.
    #[error("the trained network cannot be differentiated")]
    Gradient(#[from] GradientError),
    /// It does not run.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The simulator's spectra do not fit the pipeline.
    #[error("the noise-free spectra cannot be preprocessed")]
    Truth(#[source] PreprocessError),
    /// Without the steps against noise, the pipeline is none.
    #[error("the noise-free spectra cannot be preprocessed")]
    TruthPipeline(#[source] PipelineError),
    /// Nothing to train on is left beside what is explained.
    #[error("{samples} independent samples are too few to explain {explained} of them and train on the others")]
    TooFewSamples {
        /// How many there are.
        samples: usize,
        /// How many are to be explained.
        explained: usize,
    },
}

impl From<Interrupted> for MethodsError {
    fn from(interrupted: Interrupted) -> Self {
        Self::Train(interrupted.into())
    }
}

impl Failure for MethodsError {
    fn kind(&self) -> Kind {
        match self {
            Self::Recording(error) => error.kind(),
            Self::Dataset(error) => error.kind(),
            Self::Train(error) => error.kind(),
            Self::Network(error) => error.kind(),
            Self::Gradient(_) | Self::Truth(_) | Self::TruthPipeline(_) => Kind::Bug,
            Self::TooFewSamples { .. } | Self::Folder(_) => Kind::Operator,
        }
    }
}
