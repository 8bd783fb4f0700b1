//! Model bundles and their execution: prediction and 1D Grad-CAM in one run of the network.
//!
//! [`Bundle`] is the folder, checked to the last hash; [`Model`] is what can be asked, shared between threads; a
//! [`Session`] holds one thread's buffers.

pub mod applicability;
mod bundle;
pub mod cam;
mod evidence;
mod kernels;
pub mod manifest;
mod model;
mod network;
pub mod npy;
mod optimise;
mod runner;
mod steps;
mod targets;
#[cfg(test)]
pub(crate) mod tests;
mod validate;
pub mod verify;

pub use bundle::{Bundle, BundleError, ONNX_BYTES_MAX};
pub use kernels::{Kernels, kernels};
pub use model::{Judgement, Model, ModelError};
pub use network::{Network, NetworkError, Session, Values};
pub use optimise::optimised;
pub use runner::Runner;
pub use steps::records;
