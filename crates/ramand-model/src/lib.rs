//! Model bundles and their execution: prediction and 1D Grad-CAM in one run of the network.
//!
//! [`Bundle`] is the folder, checked to the last hash; [`Model`] is what can be asked, shared between threads; a
//! [`Session`] holds one thread's buffers.

pub mod applicability;
mod bundle;
mod evidence;
mod gradient;
pub mod inspect;
mod kernels;
pub mod manifest;
mod model;
mod network;
mod optimise;
mod runner;
mod steps;
mod targets;
mod training;
mod validate;
pub mod verify;

pub use bundle::{Bundle, BundleError, ONNX_BYTES_MAX};
pub use gradient::GradientFailure;
pub use kernels::{Kernels, kernels};
pub use model::{Judgement, Model, ModelError};
pub use network::{Network, NetworkError, Session, Values};
pub use optimise::optimised;
pub use runner::Runner;
pub use steps::records;

// What `inspect` tests with: complete bundles, as the tests of whole bundles make them.
#[cfg(test)]
extern crate self as ramand_model;
#[cfg(test)]
#[path = "../tests/bundles/bundles.rs"]
#[expect(dead_code, reason = "the tests of whole bundles need more")]
mod bundles;
#[cfg(test)]
#[path = "../../onnx-gradient/tests/gradients/networks.rs"]
#[expect(dead_code, reason = "the tests of gradients need more")]
mod networks;
#[cfg(test)]
#[path = "../../../tests/support/root.rs"]
mod root;
