//! Gradients against finite differences, against mutated weights, and against what is known analytically.

mod alignment;
mod differences;
mod hostile;
mod identities;
mod judge;
#[path = "../../../../tests/support/missing.rs"]
mod missing;
mod networks;
mod onnxruntime;
mod operators;
mod random;
mod seeds;
mod unknown_fields;
mod unsupported;
