//! Operators that take elements by their place or by a condition, or repeat them.

use std::cmp::Ordering;

use super::elementwise::{broadcast, common_shape, gather, join};
use super::fold::sizes_of;
use super::operator::{Operator, cotangent_shape, operand, whole_batch};
use crate::error::GradientError;
use crate::fact::Element;
use crate::graph::Graph;
use crate::node::Node;
use crate::reach::Reach;
use crate::tensor::{Tensor, elements, strides};

/// Entries of an axis, by their places.
pub(super) struct Gather;
/// One operand where the condition holds, the other elsewhere.
pub(super) struct Where;
/// Repetition along axes of size 1.
pub(super) struct Expand;

impl Gather {
    fn axis(graph: &Graph, node: &Node) -> Result<usize, GradientError> {
        node.axis(node.int("axis", 0)?, graph.operand_shape(node, 0)?.len())
    }
}

impl Operator for Gather {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let axis = Self::axis(graph, node)?;
        let (shape, places) = (graph.operand_shape(node, 0)?, graph.operand_shape(node, 1)?);
        Ok([&shape[..axis], places, &shape[axis + 1..]].concat())
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let (value, places) = (operand(node, operands, 0)?, operand(node, operands, 1)?);
        let axis = Self::axis(graph, node)?;
        let (size, inner) = (value.shape()[axis], strides(value.shape())[axis]);
        let places = places.to_i64().into_iter().map(|place| node.axis(place, size)).collect::<Result<Vec<_>, _>>()?;
        let outer: usize = value.shape()[..axis].iter().product();
        let mut data = Vec::new();
        for block in 0..outer {
            for place in &places {
                data.extend_from_slice(&value.data()[(block * size + place) * inner..][..inner]);
            }
        }
        Ok(Tensor::new(self.shape(graph, node)?, data))
    }

    /// Each place receives what was read from it.
    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let axis = Self::axis(graph, node)?;
        whole_batch(graph, node, axis != 0)?;
        let own = cotangent_shape(graph, node, index, cotangent)?;
        let size = own[axis];
        let constant = node.input(1).and_then(|name| graph.constant(name));
        let places = constant.ok_or_else(|| node.fault("the places are not constant"))?.to_i64();
        let places = places.into_iter().map(|place| node.axis(place, size)).collect::<Result<Vec<_>, _>>()?;
        if let [place] = places[..] {
            let mut kept = own;
            kept[axis] = 1;
            let kept = graph.emit_reshape(cotangent, &kept)?;
            return graph.emit_padded(&kept, axis, place, size - place - 1);
        }
        // [before, places, behind], multiplied by a matrix of ones where a place was read.
        let (before, behind) = (own[..axis].iter().product(), own[axis + 1..].iter().product());
        elements(&[size, places.len()])?;
        let mut read = Tensor::zeros(vec![size, places.len()]);
        places.iter().enumerate().for_each(|(column, place)| read.data_mut()[place * places.len() + column] = 1.0);
        let read = graph.emit_constant(read)?;
        let rows = graph.emit_reshape(cotangent, &[before, places.len(), behind])?;
        let sums = graph.emit_pair("MatMul", &read, &rows)?;
        graph.emit_reshape(&sums, &own)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        let reach = operands.first().copied().flatten()?;
        let axis = Self::axis(graph, node).ok()?;
        let rank = graph.operand_shape(node, 1).ok()?.len();
        match reach.axis.cmp(&axis) {
            Ordering::Less => Some(reach),
            Ordering::Equal => None,
            Ordering::Greater => Some(reach.moved(reach.axis + rank - 1)),
        }
    }
}

impl Operator for Where {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let shapes = [0, 1, 2].map(|index| graph.operand_shape(node, index));
        let [condition, left, right] = shapes;
        let (condition, left, right) = (condition?, left?, right?);
        let both = common_shape(left, right);
        let all = both.and_then(|both| common_shape(condition, &both));
        all.ok_or_else(|| node.fault(format!("operands of shapes {condition:?}, {left:?} and {right:?}")))
    }

    fn element(&self, graph: &Graph, node: &Node) -> Result<Element, GradientError> {
        graph.operand_element(node, 1)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let [condition, left, right] = [0, 1, 2].map(|index| operand(node, operands, index));
        let (condition, left, right) = (condition?, left?, right?);
        // The number that is not chosen does not matter, not even when it is infinite.
        let chosen =
            broadcast(node, &[Some(condition), Some(left)], |holds, left| if holds != 0.0 { left } else { 0.0 })?;
        let other =
            broadcast(node, &[Some(condition), Some(right)], |holds, right| if holds != 0.0 { 0.0 } else { right })?;
        broadcast(node, &[Some(&chosen), Some(&other)], |chosen, other| chosen + other)
    }

    /// Either operand receives what was taken from it.
    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let condition = node.input(0).filter(|_| index > 0).ok_or_else(|| node.no_rule())?;
        let zero = graph.emit_number(0.0)?;
        let branches = if index == 1 { [cotangent, &zero] } else { [&zero, cotangent] };
        let taken = graph.emit("Where", &[condition, branches[0], branches[1]], Vec::new())?;
        gather(graph, node, index, &taken)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        join(graph, node, operands)
    }
}

impl Operator for Expand {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let shape = graph.operand_shape(node, 0)?;
        let asked = graph.integers(node, 1)?.ok_or_else(|| node.fault("the shape is missing"))?;
        let asked = sizes_of(node, &asked)?;
        let common = common_shape(shape, &asked);
        common.ok_or_else(|| node.fault(format!("a value of shape {shape:?} for the shape {asked:?}")))
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let shape = self.shape(graph, node)?;
        elements(&shape)?;
        broadcast(node, &[Some(operand(node, operands, 0)?), Some(&Tensor::zeros(shape))], |value, zero| value + zero)
    }

    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let spread = graph.operand_shape(node, 0)?.first() == graph.shape(node.output())?.first();
        whole_batch(graph, node, spread && graph.operand_shape(node, 0)?.len() == graph.shape(node.output())?.len())?;
        gather(graph, node, index, cotangent)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        let reach = operands.first().copied().flatten()?;
        let (before, after) = (graph.operand_shape(node, 0).ok()?, graph.shape(node.output()).ok()?);
        let axis = reach.axis + after.len().checked_sub(before.len())?;
        (before.get(reach.axis) == after.get(axis)).then_some(reach.moved(axis))
    }
}
