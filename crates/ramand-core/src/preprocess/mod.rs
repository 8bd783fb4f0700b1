//! From raw to prepared spectra: one ordered pipeline, the same for training and for the line.
//!
//! ```text
//! RawSpectrum -> [shared steps up to the first normalisation] -> one row on the model's axis
//!                                                                 |  (training augments here)
//!                                   [the rest of the shared steps]
//!                                     |          |
//!                              [channel 0]  [channel 1] ...   -> PreparedSpectrum
//! ```
//! A [`Pipeline`] is validated once, when its bundle is read. [`Pipeline::prepare`] is what the line runs;
//! [`Pipeline::before_normalise`] and [`Pipeline::finish`] are its two halves.

mod baseline;
#[cfg(test)]
mod cosmic_rays;
mod despike;
mod error;
#[cfg(test)]
mod golden;
mod normalise;
mod orthogonal;
mod pipeline;
#[cfg(test)]
mod properties;
mod resample;
mod smooth;
mod step;
mod whittaker;

pub use error::{PipelineError, PrepareError};
pub use pipeline::{CHANNELS_MAX, POINTS_MAX, Pipeline, STEPS_MAX, Workspace};
pub use step::{
    Baseline, Despike, ITERATIONS_MAX, LAMBDA_RANGE, Normalise, POLYNOMIAL_ORDER_MAX, SMOOTH_ORDER_MAX, Smooth, Step,
    WINDOW_MAX, Whittaker,
};
