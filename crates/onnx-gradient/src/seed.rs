//! What the walk starts from: which output, or which mixture of outputs, is differentiated.

use crate::error::GradientError;
use crate::fact::{Element, Fact};
use crate::graph::Graph;
use crate::proto;
use crate::tensor::Tensor;
use crate::walk::with_rows;

/// Name of the input that [`Seed::ClassIndex`] adds: i64, a scalar. An index that no output has gives a gradient of zero.
pub const CLASS_INDEX: &str = "class_index";
/// Name of the input that [`Seed::Cotangent`] adds: f32 [1, outputs].
pub const COTANGENT: &str = "cotangent";

/// Which outputs are differentiated, as decided when the graph is made or when it runs: the cotangent ȳ, [rows, outputs], of
/// ȳᵀ ∂y/∂A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seed {
    /// The greatest output of this very run; the first of equals.
    ArgMax,
    /// The output whose index is given in the input [`CLASS_INDEX`].
    ClassIndex,
    /// The sum of the outputs weighted by the input [`COTANGENT`]: 1 and −1 for the contrast of two classes.
    Cotangent,
    /// Every output, as one row of the gradient each.
    All,
}

impl Seed {
    /// The size of the gradient's first axis, for a network of that many outputs.
    pub fn rows(self, outputs: usize) -> usize {
        if self == Self::All { outputs } else { 1 }
    }

    /// Tells the graph how many rows there will be, and gives the cotangent of `output`, which has `outputs` elements.
    pub(super) fn plant(self, graph: &mut Graph, output: &str, outputs: usize) -> Result<String, GradientError> {
        graph.set_rows(self.rows(outputs));
        let chosen = match self {
            // Where there is one output, there is nothing to choose.
            Self::ArgMax if outputs == 1 => graph.emit_constant(Tensor::identity(1))?,
            Self::All => graph.emit_constant(Tensor::identity(outputs))?,
            Self::Cotangent => {
                graph.add_input(COTANGENT, Fact { shape: vec![1, outputs], element: Element::Float })?;
                COTANGENT.to_owned()
            }
            Self::ArgMax => {
                let winner = winner(graph, output, outputs)?;
                let chosen = one_hot(graph, &winner, outputs)?;
                graph.set_winner(&chosen, &winner);
                chosen
            }
            Self::ClassIndex => {
                graph.add_input(CLASS_INDEX, Fact { shape: Vec::new(), element: Element::Integer })?;
                one_hot(graph, CLASS_INDEX, outputs)?
            }
        };
        let shape = with_rows(graph, output)?;
        graph.emit_reshape(&chosen, &shape)
    }
}

/// The index of the greatest output, \[1\].
pub(super) fn winner(graph: &mut Graph, output: &str, outputs: usize) -> Result<String, GradientError> {
    let flat = graph.emit_reshape(output, &[1, outputs])?;
    graph.emit("ArgMax", &[&flat], vec![proto::int("axis", 1), proto::int("keepdims", 0)])
}

/// 1 at the index that is in `chosen`, 0 elsewhere: [1, outputs].
fn one_hot(graph: &mut Graph, chosen: &str, outputs: usize) -> Result<String, GradientError> {
    let indices: Vec<f64> = (0..outputs).map(|index| index as f64).collect();
    let indices = Tensor::new(vec![1, outputs], indices).with_element(Element::Integer);
    let indices = graph.emit_constant(indices)?;
    let equal = graph.emit("Equal", &[&indices, chosen], Vec::new())?;
    graph.emit("Cast", &[&equal], vec![proto::int("to", proto::FLOAT)])
}
