//! The laboratory: training and evaluation of model bundles on labelled spectra. A station does without it.

pub mod evaluate;
pub mod train;

/// What a bundle says it was made by: the program, of which this crate is a part with the same version.
const MADE_BY: &str = concat!("ramand ", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
#[path = "../../../tests/support/columns.rs"]
mod columns;
#[cfg(test)]
#[path = "../../../tests/support/missing.rs"]
mod missing;
#[cfg(test)]
#[path = "../../onnx-gradient/tests/gradients/networks.rs"]
#[expect(dead_code, reason = "the tests of gradients need more")]
mod networks;
#[cfg(test)]
#[path = "../../../tests/support/root.rs"]
mod root;
