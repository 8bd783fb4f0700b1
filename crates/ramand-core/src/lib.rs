//! What ramand measures and concludes, as plain data with units, and the pure functions between: no IO, no clock, no threads.
//!
//! A spectrum goes from [`spectrum::RawSpectrum`] by [`preprocess`] to [`spectrum::PreprocessedSpectrum`]; a network's answer to it is explained by
//! [`cam`] and judged by [`decide`]; the result is an [`outcome::Inspection`], kept and delivered as a [`record::Entry`].

pub mod archive;
pub mod axis_check;
pub mod cam;
pub mod decide;
pub mod failure;
pub mod forwarder;
pub mod hex;
pub mod median;
pub mod npy;
pub mod outcome;
pub mod preprocess;
pub mod record;
pub mod signature;
pub mod spectrum;

#[cfg(test)]
#[path = "../../../tests/support/columns.rs"]
mod columns;
#[cfg(test)]
#[path = "../../../tests/support/root.rs"]
mod root;
