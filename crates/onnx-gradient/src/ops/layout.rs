//! Operators that move elements without changing them.

use super::operator::{Operator, cotangent_shape, operand, whole_batch};
use crate::error::GradientError;
use crate::graph::Graph;
use crate::node::Node;
use crate::proto;
use crate::reach::Reach;
use crate::tensor::{Tensor, elements, size, strides};

pub(super) struct Flatten;
pub(super) struct Reshape;
pub(super) struct Squeeze;
pub(super) struct Unsqueeze;
pub(super) struct Transpose;
pub(super) struct Concat;

/// What the operators that only rename the axes have in common: the elements stay in their order.
macro_rules! reshapes {
    ($($operator:ty => $shape:path),* $(,)?) => {$(
        impl Operator for $operator {
            fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
                let shape = $shape(graph, node)?;
                let (before, after) = (elements(graph.operand_shape(node, 0)?)?, elements(&shape)?);
                if before != after {
                    return Err(node.fault(format!("{before} elements do not fit the shape {shape:?}")));
                }
                Ok(shape)
            }

            fn evaluate(
                &self,
                graph: &Graph,
                node: &Node,
                operands: &[Option<&Tensor>],
            ) -> Result<Tensor, GradientError> {
                Ok(operand(node, operands, 0)?.reshaped(self.shape(graph, node)?))
            }

            fn backward(
                &self,
                graph: &mut Graph,
                node: &Node,
                index: usize,
                cotangent: &str,
            ) -> Result<String, GradientError> {
                let shape = cotangent_shape(graph, node, index, cotangent)?;
                graph.emit_reshape(cotangent, &shape)
            }

            fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
                let (before, after) = (graph.operand_shape(node, 0).ok()?, graph.shape(node.output()).ok()?);
                operands.first().copied().flatten()?.reshaped(before, after)
            }
        }
    )*};
}

reshapes! {
    Flatten => flattened,
    Reshape => reshaped,
    Squeeze => squeezed,
    Unsqueeze => unsqueezed,
}

fn flattened(graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
    let shape = graph.operand_shape(node, 0)?;
    let axis = node.int("axis", 1)?;
    let axis = if axis == shape.len() as i64 { shape.len() } else { node.axis(axis, shape.len())? };
    let (rows, columns) = shape.split_at(axis);
    Ok(vec![rows.iter().product(), columns.iter().product()])
}

fn reshaped(graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
    let before = graph.operand_shape(node, 0)?;
    let asked = graph.integers(node, 1)?.ok_or_else(|| node.fault("the shape is missing"))?;
    let literal_zero = node.int("allowzero", 0)? != 0;
    let mut shape = Vec::new();
    for (axis, &stated) in asked.iter().enumerate() {
        shape.push(match stated {
            -1 => 1,
            0 if !literal_zero => *before.get(axis).ok_or_else(|| node.fault("a 0 where there is no axis to copy"))?,
            stated => size(stated).ok_or_else(|| node.fault(format!("a size of {stated}")))?,
        });
    }
    let open: Vec<usize> = asked.iter().enumerate().filter(|&(_, &size)| size == -1).map(|(axis, _)| axis).collect();
    match open[..] {
        [] => Ok(shape),
        [axis] => {
            shape[axis] = elements(before)?.checked_div(elements(&shape)?).unwrap_or(0);
            Ok(shape)
        }
        _ => Err(node.fault("more than one -1 in the shape")),
    }
}

fn squeezed(graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
    let shape = graph.operand_shape(node, 0)?;
    let axes = graph.axes(node)?.map(|axes| axes.iter().map(|&axis| node.axis(axis, shape.len())).collect());
    let axes: Option<Vec<usize>> = axes.transpose()?;
    let dropped = |axis: usize| axes.as_ref().map_or(shape[axis] == 1, |axes| axes.contains(&axis));
    Ok((0..shape.len()).filter(|&axis| !dropped(axis)).map(|axis| shape[axis]).collect())
}

fn unsqueezed(graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
    let shape = graph.operand_shape(node, 0)?;
    let axes = graph.axes(node)?.ok_or_else(|| node.fault("the axes are missing"))?;
    let rank = shape.len() + axes.len();
    elements(&vec![1; rank])?;
    let axes = axes.iter().map(|&axis| node.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut sizes = shape.iter().copied();
    (0..rank)
        .map(|axis| if axes.contains(&axis) { Some(1) } else { sizes.next() })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| node.fault("an axis is given twice"))
}

/// The permutation of a Transpose; reversed where it names none.
fn permutation(graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
    let rank = graph.operand_shape(node, 0)?.len();
    let Some(asked) = node.ints("perm")? else { return Ok((0..rank).rev().collect()) };
    let permutation: Vec<usize> = asked.iter().filter_map(|&axis| usize::try_from(axis).ok()).collect();
    let mut sorted = permutation.clone();
    sorted.sort_unstable();
    if asked.len() == rank && sorted.into_iter().eq(0..rank) {
        Ok(permutation)
    } else {
        Err(node.fault(format!("'perm' is {asked:?} for a value of rank {rank}")))
    }
}

impl Operator for Transpose {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let shape = graph.operand_shape(node, 0)?;
        Ok(permutation(graph, node)?.into_iter().map(|axis| shape[axis]).collect())
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let value = operand(node, operands, 0)?;
        let permutation = permutation(graph, node)?;
        let shape: Vec<usize> = permutation.iter().map(|&axis| value.shape()[axis]).collect();
        let (from, to) = (strides(value.shape()), strides(&shape));
        let source = |place: usize| -> usize {
            permutation.iter().enumerate().map(|(axis, &old)| place / to[axis] % shape[axis] * from[old]).sum()
        };
        let data = (0..value.data().len()).map(|place| value.data()[source(place)]).collect();
        Ok(Tensor::new(shape, data))
    }

    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let permutation = permutation(graph, node)?;
        whole_batch(graph, node, permutation.first() == Some(&0))?;
        cotangent_shape(graph, node, index, cotangent)?;
        let mut inverse = vec![0; permutation.len()];
        permutation.iter().enumerate().for_each(|(axis, &old)| inverse[old] = axis as i64);
        graph.emit("Transpose", &[cotangent], vec![proto::ints("perm", &inverse)])
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        let reach = operands.first().copied().flatten()?;
        let axis = permutation(graph, node).ok()?.into_iter().position(|old| old == reach.axis)?;
        Some(reach.moved(axis))
    }
}

impl Concat {
    fn axis(graph: &Graph, node: &Node) -> Result<usize, GradientError> {
        let axis = node.attribute("axis").map(|attribute| attribute.i).ok_or_else(|| node.fault("no 'axis'"))?;
        node.axis(axis, graph.operand_shape(node, 0)?.len())
    }
}

impl Operator for Concat {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let axis = Self::axis(graph, node)?;
        let mut shape = graph.operand_shape(node, 0)?.to_vec();
        for index in 1..node.inputs.len() {
            let other = graph.operand_shape(node, index)?;
            let fits = other.len() == shape.len() && (0..shape.len()).all(|a| a == axis || other[a] == shape[a]);
            if !fits {
                return Err(node.fault(format!("operands of shapes {shape:?} and {other:?} along axis {axis}")));
            }
            shape[axis] = shape[axis].saturating_add(other[axis]);
        }
        Ok(shape)
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let axis = Self::axis(graph, node)?;
        let parts = (0..operands.len()).map(|index| operand(node, operands, index)).collect::<Result<Vec<_>, _>>()?;
        let mut shape = parts[0].shape().to_vec();
        shape[axis] = parts.iter().map(|part| part.shape()[axis]).sum();
        let block = |part: &Tensor| part.shape()[axis..].iter().product::<usize>();
        let blocks = shape[..axis].iter().product::<usize>();
        let mut data = Vec::new();
        for index in 0..blocks {
            parts.iter().for_each(|part| data.extend_from_slice(&part.data()[index * block(part)..][..block(part)]));
        }
        Ok(Tensor::new(shape, data))
    }

    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let axis = Self::axis(graph, node)?;
        whole_batch(graph, node, axis != 0)?;
        cotangent_shape(graph, node, index, cotangent)?;
        let sizes = (0..=index).map(|part| Ok(graph.operand_shape(node, part)?[axis]));
        let ends: usize = sizes.sum::<Result<usize, GradientError>>()?;
        let own = graph.operand_shape(node, index)?[axis];
        graph.emit_slice(cotangent, axis, ends - own, ends)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        let axis = Self::axis(graph, node).ok()?;
        let joined = operands.iter().copied().reduce(|left, right| left?.union(right?))??;
        (joined.axis != axis).then_some(joined)
    }
}
