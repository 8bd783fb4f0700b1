//! Training: PLS and a small residual network from labelled spectra to a bundle, deterministically.
//!
//! ```text
//! recording ─ pipeline ─> dataset ─┬─ cross-validation by sample ─> out-of-fold predictions ─> figures, temperature
//!                                  ├─ gate: principal components, limits from held-out samples
//!                                  └─ one fit to everything ─> ONNX with gradients ─> reference maps
//!                                                                            all together ─> bundle
//! ```
//! The model is y = PLS(x) + network(x): the network starts at zero and learns what the linear part leaves over.

mod augment;
mod bundle;
mod crossvalidate;
mod dataset;
mod error;
mod figures;
mod fit;
mod gate;
mod layers;
mod matrix;
mod network;
mod onnx;
mod optimise;
mod pls;
mod request;
#[cfg(test)]
mod tests;

pub use bundle::{Trained, train};
pub use error::TrainError;
pub use fit::Progress;
pub use request::{Provenance, Reference, Request, STEPS, Split};

/// A class with fewer samples cannot be held out and shown at once.
const SAMPLES_PER_CLASS_MIN: usize = 2;
