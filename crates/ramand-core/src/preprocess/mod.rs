//! From raw to preprocessed spectra: one ordered pipeline, the same for training and for the line.
//!
//! ```text
//! RawSpectrum -> [shared steps up to the first normalisation] -> one row on the model's axis
//!                                                                 |  (training augments here)
//!                                   [the rest of the shared steps]
//!                                     |          |
//!                              [channel 0]  [channel 1] ...   -> PreprocessedSpectrum
//! ```
//! A [`Pipeline`] is validated once, when its bundle is read. [`Pipeline::preprocess`] is what the line runs;
//! [`Pipeline::before_normalise`] and [`Pipeline::finish`] are its two halves.

mod baseline;
mod despike;
mod error;
mod normalise;
mod orthogonal;
mod pipeline;
mod resample;
mod smooth;
mod step;
#[cfg(test)]
mod tests;
mod whittaker;

pub use error::{PipelineError, PreprocessError};
pub use pipeline::{CHANNELS_MAX, POINTS_MAX, Pipeline, STEPS_MAX, Workspace};
pub use step::{Baseline, Despike, LAMBDA_RANGE, Normalise, PipelineStep, Smooth, Whittaker};
