//! Adopting: a deployable bundle of a network that was trained elsewhere.
//!
//! The network gets its gradient and a bundle's form; reference spectra, preprocessed by the bundle's pipeline, give the
//! reference maps and the gate. How well the network predicts is not evaluated here, and the bundle says so.

mod adoption;
mod calibrate;
mod error;
mod form;
mod make;
mod network;
mod response;
#[cfg(test)]
mod tests;

pub use adoption::Adoption;
pub use calibrate::{Calibrating, calibrate};
pub use error::AdoptError;
pub use make::adopt;
