//! Networks as PyTorch, Keras and MATLAB export them, through `onnx_gradient`: against automatic differentiation, in tract and
//! in ONNX Runtime.

#[path = "../support/missing.rs"]
mod missing;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/root.rs"]
mod root;

mod autograd;
mod engine;
mod files;
mod mutations;
mod onnxruntime;
mod page;
mod selection;
