//! Powers, and sums of any number of operands.

use super::choice::{common_shape_of_all, fold};
use super::elementwise::{broadcast, broadcast_shape, gather, join};
use super::operator::Operator;
use crate::error::GradientError;
use crate::graph::Graph;
use crate::node::Node;
use crate::reach::Reach;
use crate::tensor::Tensor;

/// The base to the power of the exponent.
pub(super) struct Pow;
/// The sum of any number of operands, or their mean.
pub(super) struct Total {
    mean: bool,
}

pub(super) static SUM: Total = Total { mean: false };
pub(super) static MEAN: Total = Total { mean: true };

impl Operator for Pow {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        broadcast_shape(graph, node)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        broadcast(node, operands, f64::powf)
    }

    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let operands = node.input(0).zip(node.input(1)).ok_or_else(|| node.fault("an operand is missing"))?;
        let (base, exponent) = operands;
        let slope = match (index, graph.constant(exponent).map(Tensor::data)) {
            (0, Some(&[exponent])) => constant_power(graph, base, node.output(), exponent)?,
            (0, known) => {
                // The file's exponent may be a list of integers; here it is multiplied by floating-point numbers.
                let shape = graph.shape(exponent)?.to_vec();
                let exponent = match known.map(<[f64]>::to_vec) {
                    Some(values) => graph.emit_constant(Tensor::new(shape, values))?,
                    None => exponent.to_owned(),
                };
                let less = graph.emit_with("Sub", &exponent, 1.0)?;
                let power = graph.emit_pair("Pow", base, &less)?;
                graph.emit_pair("Mul", &power, &exponent)?
            }
            _ => {
                let logarithm = graph.emit_of("Log", base)?;
                graph.emit_pair("Mul", node.output(), &logarithm)?
            }
        };
        let scaled = graph.emit_pair("Mul", cotangent, &slope)?;
        gather(graph, node, index, &scaled)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        join(graph, node, operands)
    }
}

/// The slope of y = xᵖ: p xᵖ⁻¹, without a power where products do.
fn constant_power(graph: &mut Graph, x: &str, y: &str, exponent: f64) -> Result<String, GradientError> {
    let power = match exponent {
        0.0 | 1.0 => return graph.emit_number(exponent),
        2.0 => x.to_owned(),
        3.0 => graph.emit_pair("Mul", x, x)?,
        0.5 => graph.emit_of("Reciprocal", y)?,
        exponent => graph.emit_with("Pow", x, exponent - 1.0)?,
    };
    graph.emit_scaled(&power, exponent)
}

impl Operator for Total {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        common_shape_of_all(graph, node)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let mut sum = fold(node, operands, |left, right| left + right)?;
        let share = self.share(node);
        sum.data_mut().iter_mut().for_each(|element| *element *= share);
        Ok(sum)
    }

    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let own = gather(graph, node, index, cotangent)?;
        graph.emit_scaled(&own, self.share(node))
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        join(graph, node, operands)
    }
}

impl Total {
    /// What each operand counts.
    fn share(&self, node: &Node) -> f64 {
        if self.mean { 1.0 / node.inputs.len() as f64 } else { 1.0 }
    }
}
