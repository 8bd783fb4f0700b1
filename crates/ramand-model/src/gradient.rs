//! What a graph without a gradient asks for.

use onnx_gradient::GradientError;
use ramand_core::failure::{Failure, Kind};

/// A graph that has no gradient where one was asked for. The crate of gradients knows nothing of stations: what has to be done is
/// said here.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct GradientFailure(#[from] GradientError);

impl Failure for GradientFailure {
    /// Another graph, or another layer of it.
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}
