//! Gradients against finite differences, against mutated weights, and against what is known analytically.

mod alignment;
mod differences;
mod hostile;
pub(crate) mod networks;
mod seeds;
