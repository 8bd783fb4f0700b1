//! Operators that pass one of several values on, element by element: extremes, limits, and two slopes.
//!
//! A tie goes to the first operand.

use super::elementwise::{broadcast, broadcast_shape, common_shape, gather, join};
use super::operator::{Operator, operand};
use crate::error::GradientError;
use crate::graph::Graph;
use crate::node::Node;
use crate::reach::Reach;
use crate::tensor::Tensor;

/// The greatest or the least of any number of operands.
pub(super) struct Extreme {
    choose: fn(f64, f64) -> f64,
}
/// The operand between two limits, either of which may be left out.
pub(super) struct Clip;
/// x, or a x below 0, with a slope a of its own for each channel.
pub(super) struct PRelu;

pub(super) static MAX: Extreme = Extreme { choose: f64::max };
pub(super) static MIN: Extreme = Extreme { choose: f64::min };

impl Operator for Extreme {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        common_shape_of_all(graph, node)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        fold(node, operands, self.choose)
    }

    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let mut passed = cotangent.to_owned();
        let zero = graph.emit_number(0.0)?;
        for (earlier, operand) in node.inputs.iter().enumerate().take(index + 1) {
            // Where no operand before the last one was passed on, the last one was.
            if earlier + 1 == node.inputs.len() {
                continue;
            }
            let chosen = graph.emit_pair("Equal", operand, node.output())?;
            let branches = if earlier == index { [&passed, &zero] } else { [&zero, &passed] };
            passed = graph.emit("Where", &[&chosen, branches[0], branches[1]], Vec::new())?;
        }
        gather(graph, node, index, &passed)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        join(graph, node, operands)
    }
}

impl Operator for Clip {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        graph.operand_shape(node, 0).map(<[usize]>::to_vec)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let mut value = operand(node, operands, 0)?.clone();
        let limit =
            |index: usize| operands.get(index).copied().flatten().and_then(|limit| limit.data().first().copied());
        let (least, greatest) = (limit(1).unwrap_or(f64::NEG_INFINITY), limit(2).unwrap_or(f64::INFINITY));
        value.data_mut().iter_mut().for_each(|element| *element = element.max(least).min(greatest));
        Ok(value)
    }

    /// What was not changed passes; a value at a limit does, as in PyTorch's clamp.
    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let operand = node.input(0).filter(|_| index == 0);
        let operand = operand.ok_or_else(|| node.fault("a limit that depends on the target"))?;
        let unchanged = graph.emit_pair("Equal", operand, node.output())?;
        let zero = graph.emit_number(0.0)?;
        graph.emit("Where", &[&unchanged, cotangent, &zero], Vec::new())
    }
}

impl Operator for PRelu {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        broadcast_shape(graph, node)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        broadcast(node, operands, |value, slope| if value < 0.0 { slope * value } else { value })
    }

    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let operands = node.input(0).zip(node.input(1)).ok_or_else(|| node.fault("an operand is missing"))?;
        let (value, slope) = operands;
        let below = graph.emit_with("Less", value, 0.0)?;
        let (factor, otherwise) = match index {
            0 => (slope, cotangent.to_owned()),
            _ => (value, graph.emit_number(0.0)?),
        };
        let scaled = graph.emit_pair("Mul", cotangent, factor)?;
        let passed = graph.emit("Where", &[&below, &scaled, &otherwise], Vec::new())?;
        gather(graph, node, index, &passed)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        join(graph, node, operands)
    }
}

/// The shape of any number of operands together.
pub(super) fn common_shape_of_all(graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
    let mut shape = graph.operand_shape(node, 0)?.to_vec();
    for index in 1..node.inputs.len() {
        let other = graph.operand_shape(node, index)?;
        let fault = || node.fault(format!("operands of shapes {shape:?} and {other:?}"));
        shape = common_shape(&shape, other).ok_or_else(fault)?;
    }
    Ok(shape)
}

/// Any number of operands, two at a time.
pub(super) fn fold(
    node: &Node,
    operands: &[Option<&Tensor>],
    function: fn(f64, f64) -> f64,
) -> Result<Tensor, GradientError> {
    let mut result = operand(node, operands, 0)?.clone();
    for index in 1..operands.len() {
        result = broadcast(node, &[Some(&result), Some(operand(node, operands, index)?)], function)?;
    }
    Ok(result)
}
