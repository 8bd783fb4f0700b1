//! The operators: what shape they give, what value, and what their vector-Jacobian product is.

mod elementwise;
mod layout;
mod linear;
mod reduce;

use super::error::GradientError;
use super::geometry::Reach;
use super::graph::Graph;
use super::node::Node;
use super::tensor::{Tensor, elements};

/// One ONNX operator.
///
/// Values carry the batch, of size 1, as their first axis. A cotangent of a value has the value's shape, except that its
/// first axis counts the outputs that are differentiated.
pub(super) trait Operator: Sync {
    /// The shape of the output.
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError>;

    /// The output in f64. An operand is `None` where it is left out or a list of integers.
    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError>;

    /// Appends the nodes that turn the cotangent of the output into the one of operand `index`, whose name they return.
    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError>;

    /// Where the output's cells look on the input axis, from where the operands' do; `None` where position is lost.
    fn reach(&self, _graph: &Graph, _node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        operands.first().copied().flatten()
    }

    /// About how many multiplications [`Operator::evaluate`] takes.
    fn cost(&self, _graph: &Graph, _node: &Node, output: &[usize]) -> u64 {
        elements(output).map_or(u64::MAX, |count| count as u64)
    }
}

/// The operator of that name.
pub(super) fn operator(op: &str) -> Option<&'static dyn Operator> {
    Some(match op {
        "Add" => &elementwise::Add,
        "Sub" => &elementwise::Sub,
        "Mul" => &elementwise::Mul,
        "Relu" => &elementwise::Relu,
        "Sign" => &elementwise::Sign,
        "Identity" | "Dropout" => &elementwise::Identity,
        "Conv" => &linear::Conv,
        "Gemm" => &linear::Gemm,
        "MatMul" => &linear::MatMul,
        "Flatten" => &layout::Flatten,
        "Reshape" => &layout::Reshape,
        "Squeeze" => &layout::Squeeze,
        "Unsqueeze" => &layout::Unsqueeze,
        "Transpose" => &layout::Transpose,
        "Concat" => &layout::Concat,
        "Slice" => &layout::Slice,
        "GlobalAveragePool" => &reduce::GlobalAveragePool,
        "ReduceMean" => &reduce::ReduceMean,
        "ReduceSum" => &reduce::ReduceSum,
        _ => return None,
    })
}

/// The operand of that index.
fn operand<'t>(node: &Node, operands: &[Option<&'t Tensor>], index: usize) -> Result<&'t Tensor, GradientError> {
    operands.get(index).copied().flatten().ok_or_else(|| node.fault(format!("operand {index} has no value")))
}

/// The shape of an operand's cotangent: the operand's, with the cotangent's own first axis.
fn cotangent_shape(graph: &Graph, node: &Node, index: usize, cotangent: &str) -> Result<Vec<usize>, GradientError> {
    let mut shape = graph.operand_shape(node, index)?.to_vec();
    match (shape.first_mut(), graph.shape(cotangent)?.first()) {
        (Some(first), Some(&batch)) if *first == 1 => *first = batch,
        _ => return Err(node.fault(format!("operand {index} has no first axis of size 1, the batch"))),
    }
    Ok(shape)
}
