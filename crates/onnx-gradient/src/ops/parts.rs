//! Operators that cut a value into parts or leave some of it out.

use super::operator::{Operator, cotangent_shape, operand, whole_batch};
use crate::error::GradientError;
use crate::fact::{Element, Fact};
use crate::graph::{Graph, Rule};
use crate::node::Node;
use crate::proto;
use crate::reach::Reach;
use crate::tensor::{Tensor, elements, strides};

/// A range of places of some axes, in steps that may lead backwards.
pub(super) struct Slice;
/// Neighbouring ranges of one axis, each an output of its own.
pub(super) struct Split;

/// What is kept of an axis: `start`, `start + step`, …
#[derive(Debug, Clone, Copy)]
struct Kept {
    start: usize,
    step: i64,
    count: usize,
}

impl Kept {
    fn place(self, index: usize) -> usize {
        self.start.saturating_add_signed(self.step as isize * index as isize)
    }
}

/// The part of each axis that a Slice keeps.
fn kept(graph: &Graph, node: &Node) -> Result<Vec<Kept>, GradientError> {
    let shape = graph.operand_shape(node, 0)?;
    let missing = || node.fault("starts and ends are missing");
    let starts = graph.integers(node, 1)?.ok_or_else(missing)?;
    let ends = graph.integers(node, 2)?.ok_or_else(missing)?;
    let axes = graph.integers(node, 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = graph.integers(node, 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(node.fault("starts, ends, axes and steps differ in number"));
    }
    let mut kept: Vec<Kept> = shape.iter().map(|&count| Kept { start: 0, step: 1, count }).collect();
    for (index, (&start, &end)) in starts.iter().zip(&ends).enumerate() {
        let axis = node.axis(axes[index], shape.len())?;
        let (size, step) = (shape[axis] as i64, steps[index]);
        // A step beyond the axis leads nowhere, however long it is.
        let step = step.clamp(-size - 1, size + 1);
        if step == 0 {
            return Err(node.fault("a step of 0"));
        }
        let (least, most) = if step > 0 { (0, size) } else { (-1, size - 1) };
        let resolved = |place: i64| if place < 0 { place.saturating_add(size) } else { place }.clamp(least, most);
        let (from, to) = (resolved(start), resolved(end));
        let count = if step > 0 { (to - from + step - 1) / step } else { (from - to - step - 1) / -step };
        // Shape arithmetic does cut lists of sizes down to nothing.
        let empty = graph.operand_element(node, 0)? == Element::Integer && count <= 0;
        kept[axis] = match (usize::try_from(from), usize::try_from(count)) {
            (Ok(start), Ok(count @ 1..)) => Kept { start, step, count },
            _ if empty => Kept { start: 0, step: 1, count: 0 },
            _ => return Err(node.fault(format!("{start}..{end} in steps of {step} of {size} is empty"))),
        };
    }
    Ok(kept)
}

impl Operator for Slice {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        Ok(kept(graph, node)?.into_iter().map(|kept| kept.count).collect())
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let value = operand(node, operands, 0)?;
        let kept = kept(graph, node)?;
        let shape: Vec<usize> = kept.iter().map(|kept| kept.count).collect();
        let (from, to) = (strides(value.shape()), strides(&shape));
        let source = |place: usize| -> usize {
            let axes = kept.iter().enumerate();
            axes.map(|(axis, kept)| kept.place(place / to[axis] % shape[axis]) * from[axis]).sum()
        };
        let data = (0..elements(&shape)?).map(|place| value.data()[source(place)]).collect();
        Ok(Tensor::new(shape, data).with_element(value.element()))
    }

    /// Zeros where nothing was kept.
    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let kept = kept(graph, node)?;
        let own = cotangent_shape(graph, node, index, cotangent)?;
        let mut value = cotangent.to_owned();
        for (axis, kept) in kept.into_iter().enumerate() {
            // With several rows, they lie on the batch axis, of which there was one place to keep.
            if axis == 0 && graph.rows() > 1 {
                continue;
            }
            let step = kept.step.unsigned_abs() as usize;
            if kept.step < 0 && kept.count > 1 {
                value = graph.emit_reversed(&value, axis)?;
            }
            let first = kept.start.min(kept.place(kept.count - 1));
            let mut covered = kept.count;
            if step > 1 && kept.count > 1 {
                // [.., count, 1] padded to [.., count, step], and the last gap cut off.
                let shape = graph.shape(&value)?.to_vec();
                let mut column = shape.clone();
                column.insert(axis + 1, 1);
                let column = graph.emit_reshape(&value, &column)?;
                let column = graph.emit_padded(&column, axis + 1, 0, step - 1)?;
                let mut spread = shape;
                spread[axis] *= step;
                covered = (kept.count - 1) * step + 1;
                let spread = graph.emit_reshape(&column, &spread)?;
                value = graph.emit_slice(&spread, axis, 0, covered)?;
            }
            value = graph.emit_padded(&value, axis, first, own[axis] - first - covered)?;
        }
        Ok(value)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        let reach = operands.first().copied().flatten()?;
        let kept = *kept(graph, node).ok()?.get(reach.axis)?;
        let step = usize::try_from(kept.step).ok()?;
        reach.shifted(kept.start as i64).convolved(0, step, 0)
    }
}

impl Split {
    /// The axis, and the size of each part.
    fn sizes(graph: &Graph, node: &Node) -> Result<(usize, Vec<usize>), GradientError> {
        let shape = graph.operand_shape(node, 0)?;
        let axis = node.axis(node.int("axis", 0)?, shape.len())?;
        let (size, parts) = (shape[axis], node.outputs.len());
        let given = graph.integers(node, 1)?.or(node.ints("split")?.map(<[i64]>::to_vec));
        let sizes = match given {
            Some(given) => given.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect(),
            None => {
                // Equal parts, of which the last may be smaller.
                let each = size.div_ceil(parts.max(1));
                let sizes = (0..parts).map(|part| size.saturating_sub(part * each).min(each));
                sizes.collect::<Vec<_>>()
            }
        };
        let total = sizes.iter().try_fold(0_usize, |total, &size| total.checked_add(size));
        if sizes.len() != parts || sizes.contains(&0) || total != Some(size) {
            return Err(node.fault(format!("{size} places in {parts} parts of {sizes:?}")));
        }
        Ok((axis, sizes))
    }
}

impl Rule for Split {
    fn facts(&self, graph: &Graph, node: &Node) -> Result<Vec<Fact>, GradientError> {
        let (axis, sizes) = Self::sizes(graph, node)?;
        let (shape, element) = (graph.operand_shape(node, 0)?, graph.operand_element(node, 0)?);
        let part = |size: usize| {
            let mut shape = shape.to_vec();
            shape[axis] = size;
            Fact { shape, element }
        };
        Ok(sizes.into_iter().map(part).collect())
    }

    fn values(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Vec<Tensor>, GradientError> {
        let (axis, sizes) = Self::sizes(graph, node)?;
        let value = operand(node, operands, 0)?;
        let inner = strides(value.shape())[axis];
        let block = value.shape()[axis] * inner;
        let mut start = 0;
        let part = |size: usize| {
            let rows = value.data().chunks_exact(block.max(1));
            let data = rows.flat_map(|row| &row[start * inner..(start + size) * inner]).copied().collect();
            start += size;
            let mut shape = value.shape().to_vec();
            shape[axis] = size;
            Tensor::new(shape, data).with_element(value.element())
        };
        Ok(sizes.into_iter().map(part).collect())
    }

    /// The parts' cotangents side by side, with zeros for those that lead nowhere.
    fn cotangent(
        &self,
        graph: &mut Graph,
        node: &Node,
        index: usize,
        cotangents: &[Option<String>],
    ) -> Result<Option<String>, GradientError> {
        let (axis, sizes) = Self::sizes(graph, node)?;
        whole_batch(graph, node, axis != 0)?;
        let own = cotangent_shape(graph, node, index, "")?;
        let mut parts = Vec::new();
        for (part, &size) in sizes.iter().enumerate() {
            parts.push(match cotangents.get(part).cloned().flatten() {
                Some(cotangent) => cotangent,
                None => {
                    let mut shape = own.clone();
                    shape[axis] = size;
                    graph.emit_constant(Tensor::zeros(shape))?
                }
            });
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        graph.emit("Concat", &parts, vec![proto::int("axis", axis as i64)]).map(Some)
    }

    fn reaches(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Vec<Option<Reach>> {
        let Ok((axis, sizes)) = Self::sizes(graph, node) else { return Vec::new() };
        let reach = operands.first().copied().flatten();
        let mut start = 0;
        let part = |size: usize| {
            let shifted = reach.map(|reach| if reach.axis == axis { reach.shifted(start) } else { reach });
            start += size as i64;
            shifted
        };
        sizes.into_iter().map(part).collect()
    }

    fn work(&self, _graph: &Graph, _node: &Node, outputs: &[Fact]) -> u64 {
        outputs.iter().map(|output| elements(&output.shape).map_or(u64::MAX, |count| count as u64)).sum()
    }
}
