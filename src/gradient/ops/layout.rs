//! Operators that move elements without changing them.

use super::{Operator, cotangent_shape, operand, whole_batch};
use crate::gradient::error::GradientError;
use crate::gradient::geometry::Reach;
use crate::gradient::graph::Graph;
use crate::gradient::node::Node;
use crate::gradient::proto;
use crate::gradient::tensor::{Tensor, elements, strides};

pub(super) struct Flatten;
pub(super) struct Reshape;
pub(super) struct Squeeze;
pub(super) struct Unsqueeze;
pub(super) struct Transpose;
pub(super) struct Concat;
pub(super) struct Slice;

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
    for (axis, &size) in asked.iter().enumerate() {
        shape.push(match size {
            -1 => 1,
            0 if !literal_zero => *before.get(axis).ok_or_else(|| node.fault("a 0 where there is no axis to copy"))?,
            size => usize::try_from(size).map_err(|_| node.fault(format!("a size of {size}")))?,
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

/// The part of each axis that a Slice keeps.
fn kept(graph: &Graph, node: &Node) -> Result<Vec<std::ops::Range<usize>>, GradientError> {
    let shape = graph.operand_shape(node, 0)?;
    let missing = || node.fault("starts and ends are missing");
    let starts = graph.integers(node, 1)?.ok_or_else(missing)?;
    let ends = graph.integers(node, 2)?.ok_or_else(missing)?;
    let axes = graph.integers(node, 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    if graph.integers(node, 4)?.is_some_and(|steps| steps.iter().any(|&step| step != 1)) {
        return Err(node.fault("steps other than 1"));
    }
    if starts.len() != ends.len() || starts.len() != axes.len() {
        return Err(node.fault("starts, ends and axes differ in number"));
    }
    let mut kept: Vec<_> = shape.iter().map(|&size| 0..size).collect();
    for ((&start, &end), &axis) in starts.iter().zip(&ends).zip(&axes) {
        let axis = node.axis(axis, shape.len())?;
        let size = shape[axis] as i64;
        let resolved = |place: i64| if place < 0 { place.saturating_add(size) } else { place }.clamp(0, size) as usize;
        if resolved(start) >= resolved(end) {
            return Err(node.fault(format!("{start}..{end} of {size} is empty")));
        }
        kept[axis] = resolved(start)..resolved(end);
    }
    Ok(kept)
}

impl Operator for Slice {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        Ok(kept(graph, node)?.into_iter().map(|range| range.len()).collect())
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let value = operand(node, operands, 0)?;
        let kept = kept(graph, node)?;
        let shape: Vec<usize> = kept.iter().map(|range| range.len()).collect();
        let (from, to) = (strides(value.shape()), strides(&shape));
        let source = |place: usize| -> usize {
            let places = kept.iter().enumerate();
            places.map(|(axis, range)| (range.start + place / to[axis] % shape[axis]) * from[axis]).sum()
        };
        let data = (0..elements(&shape)?).map(|place| value.data()[source(place)]).collect();
        Ok(Tensor::new(shape, data))
    }

    /// Zeros on both sides of what was kept.
    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let kept = kept(graph, node)?;
        whole_batch(graph, node, kept.first().is_some_and(|batch| *batch == (0..1)))?;
        let own = cotangent_shape(graph, node, index, cotangent)?;
        let mut padded = cotangent.to_owned();
        // Several rows were not cut: they lie on the batch axis, which is kept whole.
        for (axis, range) in kept.iter().enumerate().skip(usize::from(graph.rows() > 1)) {
            for (before, zeros) in [(true, range.start), (false, own[axis] - range.end)] {
                if zeros == 0 {
                    continue;
                }
                let mut shape = graph.shape(&padded)?.to_vec();
                shape[axis] = zeros;
                let zeros = graph.emit_constant(Tensor::zeros(shape))?;
                let parts = if before { [&zeros, &padded] } else { [&padded, &zeros] };
                let parts = parts.map(String::as_str);
                padded = graph.emit("Concat", &parts, vec![proto::int("axis", axis as i64)])?;
            }
        }
        Ok(padded)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        let reach = operands.first().copied().flatten()?;
        let kept = kept(graph, node).ok()?;
        Some(reach.shifted(kept.get(reach.axis)?.start))
    }
}
