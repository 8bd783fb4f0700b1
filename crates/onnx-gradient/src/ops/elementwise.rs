//! Operators that treat every element alike, with the shorter operand broadcast.

use super::emission::padded;
use super::operator::{Operator, cotangent_shape, operand};
use crate::error::GradientError;
use crate::fact::Element;
use crate::graph::Graph;
use crate::node::Node;
use crate::reach::Reach;
use crate::tensor::{Tensor, strides};

pub(super) struct Add;
pub(super) struct Sub;
pub(super) struct Mul;
/// The quotient; of integers, without its fraction.
pub(super) struct Div;
pub(super) struct Sign;
pub(super) struct Identity;

impl Operator for Add {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        broadcast_shape(graph, node)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        broadcast(node, operands, |left, right| left + right)
    }

    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        gather(graph, node, index, cotangent)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        join(graph, node, operands)
    }
}

impl Operator for Sub {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        broadcast_shape(graph, node)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        broadcast(node, operands, |left, right| left - right)
    }

    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let own = gather(graph, node, index, cotangent)?;
        if index == 0 {
            return Ok(own);
        }
        let minus = graph.emit_constant(Tensor::new(vec![1], vec![-1.0]))?;
        graph.emit("Mul", &[&own, &minus], Vec::new())
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        join(graph, node, operands)
    }
}

impl Operator for Mul {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        broadcast_shape(graph, node)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        broadcast(node, operands, |left, right| left * right)
    }

    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let other = node.input(1 - index.min(1)).ok_or_else(|| node.fault("an operand is missing"))?;
        let scaled = graph.emit("Mul", &[cotangent, other], Vec::new())?;
        gather(graph, node, index, &scaled)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        join(graph, node, operands)
    }
}

impl Operator for Div {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        broadcast_shape(graph, node)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let integers = operand(node, operands, 0)?.element() == Element::Integer;
        if integers && operand(node, operands, 1)?.data().contains(&0.0) {
            return Err(node.fault("a division by zero"));
        }
        broadcast(node, operands, |left, right| if integers { (left / right).trunc() } else { left / right })
    }

    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let right = node.input(1).ok_or_else(|| node.fault("an operand is missing"))?;
        let scaled = graph.emit_pair("Div", cotangent, right)?;
        if index == 0 {
            return gather(graph, node, index, &scaled);
        }
        // The quotient itself is at hand: −c y / b.
        let scaled = graph.emit_pair("Mul", &scaled, node.output())?;
        let own = gather(graph, node, index, &scaled)?;
        graph.emit_of("Neg", &own)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        join(graph, node, operands)
    }
}

impl Operator for Sign {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        graph.operand_shape(node, 0).map(<[usize]>::to_vec)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        map(node, operands, |value| if value == 0.0 { 0.0 } else { value.signum() })
    }

    /// Constant almost everywhere.
    fn backward(
        &self,
        graph: &mut Graph,
        _node: &Node,
        _index: usize,
        cotangent: &str,
    ) -> Result<String, GradientError> {
        let shape = graph.shape(cotangent)?.to_vec();
        graph.emit_constant(Tensor::zeros(shape))
    }
}

impl Operator for Identity {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        graph.operand_shape(node, 0).map(<[usize]>::to_vec)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        operand(node, operands, 0).cloned()
    }

    fn backward(
        &self,
        _graph: &mut Graph,
        _node: &Node,
        _index: usize,
        cotangent: &str,
    ) -> Result<String, GradientError> {
        Ok(cotangent.to_owned())
    }
}

/// NumPy's rule: sizes agree, or one of them is 1.
pub(super) fn common_shape(left: &[usize], right: &[usize]) -> Option<Vec<usize>> {
    let rank = left.len().max(right.len());
    let pairs = padded(left, rank).into_iter().zip(padded(right, rank));
    pairs
        .map(|pair| match pair {
            (left, right) if left == right => Some(left),
            (1, other) | (other, 1) => Some(other),
            _ => None,
        })
        .collect()
}

pub(super) fn broadcast_shape(graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
    let (left, right) = (graph.operand_shape(node, 0)?, graph.operand_shape(node, 1)?);
    common_shape(left, right).ok_or_else(|| node.fault(format!("operands of shapes {left:?} and {right:?}")))
}

fn map(node: &Node, operands: &[Option<&Tensor>], function: fn(f64) -> f64) -> Result<Tensor, GradientError> {
    let mut value = operand(node, operands, 0)?.clone();
    value.data_mut().iter_mut().for_each(|element| *element = function(*element));
    Ok(value)
}

pub(super) fn broadcast(
    node: &Node,
    operands: &[Option<&Tensor>],
    function: impl Fn(f64, f64) -> f64,
) -> Result<Tensor, GradientError> {
    let (left, right) = (operand(node, operands, 0)?, operand(node, operands, 1)?);
    let shape = common_shape(left.shape(), right.shape())
        .ok_or_else(|| node.fault(format!("operands of shapes {:?} and {:?}", left.shape(), right.shape())))?;
    let rank = shape.len();
    let steps = |tensor: &Tensor| -> Vec<usize> {
        let sizes = padded(tensor.shape(), rank);
        strides(&sizes).into_iter().zip(&sizes).map(|(stride, &size)| if size == 1 { 0 } else { stride }).collect()
    };
    let (left_steps, right_steps, places) = (steps(left), steps(right), strides(&shape));
    let at = |place: usize, steps: &[usize]| -> usize {
        (0..rank).map(|axis| place / places[axis] % shape[axis] * steps[axis]).sum()
    };
    let count = shape.iter().product();
    let value = |place| function(left.data()[at(place, &left_steps)], right.data()[at(place, &right_steps)]);
    Ok(Tensor::new(shape.clone(), (0..count).map(value).collect()))
}

/// Undoes the broadcasting of one operand: sums the cotangent over the axes along which the operand was repeated.
pub(super) fn gather(graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
    let own = cotangent_shape(graph, node, index, cotangent)?;
    graph.emit_unrepeated(cotangent, &own)
}

/// Values meet cell by cell: together they see what any of them sees. A constant sees nothing, and a value that is the same
/// for every cell, as a mean over all of them, puts the cells in context.
pub(super) fn join(graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
    let rank = graph.shape(node.output()).ok()?.len();
    // The shorter operand's axes are counted from the end.
    let missing = |index: usize| rank.checked_sub(graph.operand_shape(node, index).ok()?.len());
    let mut joined: Option<Reach> = None;
    for (index, operand) in operands.iter().enumerate() {
        if let Some(reach) = operand {
            let aligned = reach.moved(reach.axis + missing(index)?);
            joined = Some(joined.map_or(Some(aligned), |joined| joined.union(aligned))?);
        }
    }
    let mut joined = joined?;
    for index in (0..operands.len()).filter(|&index| operands[index].is_none()) {
        let Some(name) = node.input(index) else { continue };
        if graph.constant(name).is_some() {
            continue;
        }
        let sizes = graph.operand_shape(node, index).ok()?;
        let along = joined.axis.checked_sub(missing(index)?).map_or(1, |axis| sizes[axis]);
        if along != 1 {
            return None;
        }
        joined = joined.in_context();
    }
    Some(joined)
}
