//! Recorded spectra with their labels: wide CSV files, folders of JCAMP-DX and SPC files, NumPy arrays.
//!
//! Training, replay and `explain` all read their spectra here, so that a fault in a file is reported in one way: file, row,
//! column. Shifts increase in whatever was read; files whose axes run downwards are turned.

mod array;
mod asdf;
mod curve;
mod error;
mod folder;
pub mod jcamp;
mod labels;
mod recording;
mod source;
pub mod spc;
#[cfg(test)]
mod tests;
mod wide;

pub use asdf::AsdfError;
pub use curve::{Abscissa, AbscissaUnit, Curve};
pub use error::{CELLS_MAX, RecordingError};
pub use recording::{RecordedSpectrum, Recording};
pub use source::Source;

#[cfg(test)]
#[path = "../../../tests/support/root.rs"]
mod root;
