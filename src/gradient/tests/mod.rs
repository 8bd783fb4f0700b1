//! Gradients against finite differences, against mutated weights, and against what is known analytically.

mod alignment;
mod differences;
mod hostile;
mod identities;
pub(crate) mod judge;
pub(crate) mod networks;
pub(crate) mod operators;
mod random;
mod seeds;
mod unsupported;
