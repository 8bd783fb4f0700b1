//! Gradients against finite differences, against mutated weights, and against what is known analytically.

mod alignment;
mod differences;
mod hostile;
mod identities;
mod judge;
mod networks;
mod onnxruntime;
mod operators;
mod random;
mod seeds;
mod unknown_fields;
mod unsupported;
