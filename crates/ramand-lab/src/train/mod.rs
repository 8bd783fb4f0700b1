//! Training: PLS and a small residual network from labelled spectra to a bundle, deterministically.
//!
//! ```text
//! recording ─ pipeline ─> dataset ─┬─ cross-validation by sample ─> out-of-fold predictions ─> figures, temperature
//!                                  ├─ gate: principal components, limits from held-out samples
//!                                  └─ one fit to everything ─> ONNX with gradients ─> reference maps
//!                                                                            all together ─> bundle
//! ```
//! The model is PLS, kernel ridge, the mean of both, a network, or PLS + s · network, where the network learns what PLS leaves over:
//! what loses least on held-out training samples, the simplest of equals.

mod adopt;
mod alone;
mod augment;
pub(crate) mod bootstrap;
mod bundle;
mod candidate;
mod choose;
mod classes;
mod components;
mod conformal;
mod contents;
mod coverage;
mod crossvalidate;
mod dataset;
mod described;
mod error;
mod estimator;
pub(crate) mod figures;
mod fit;
mod gate;
mod kernel;
mod kernel_graph;
mod layers;
mod limits;
mod loss;
mod matrix;
mod merit;
mod network;
mod onnx;
mod optimise;
mod out_of_fold;
mod outliers;
mod parallel;
mod partition;
mod pls;
mod precision;
mod principal;
mod progress;
mod reference;
mod replicates;
mod request;
mod tables;
#[cfg(test)]
pub(crate) mod tests;

pub use adopt::{AdoptError, Adoption, Calibrating, adopt, calibrate};
pub(crate) use alone::{Fitted, fit};
pub use bundle::{Trained, train};
pub use candidate::{Family, Preprocessing};
pub use error::{LikelyReplicates, TrainError};
pub(crate) use fit::Head;
pub(crate) use parallel::in_parallel;
pub use progress::{Interrupted, Progress};
pub use reference::Reference;
pub use request::{CONFIDENCE, Provenance, Rows, STEPS, Split, TrainingRequest};
