//! Points added at the ends of axes, or cut off.

use super::operator::{Operator, cotangent_shape, operand, whole_batch};
use crate::error::GradientError;
use crate::graph::Graph;
use crate::node::Node;
use crate::reach::Reach;
use crate::tensor::{Tensor, elements, strides};

/// Adds points at both ends of each axis; a negative number cuts points off.
pub(super) struct Pad;

/// Where the added points come from.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// They are one number.
    Constant,
    /// They mirror the value, whose end point is not repeated.
    Reflect,
    /// They repeat the end point.
    Edge,
    /// They continue at the other end.
    Wrap,
}

impl Mode {
    fn of(node: &Node) -> Result<Self, GradientError> {
        match node.text("mode")? {
            None | Some(b"constant") => Ok(Self::Constant),
            Some(b"reflect") => Ok(Self::Reflect),
            Some(b"edge") => Ok(Self::Edge),
            Some(b"wrap") => Ok(Self::Wrap),
            Some(other) => Err(node.fault(format!("'mode' is {}", String::from_utf8_lossy(other)))),
        }
    }

    /// The point of an axis of `size` points that is seen at `place`, which may lie outside.
    fn source(self, place: i64, size: i64) -> Option<usize> {
        let inside = match self {
            _ if (0..size).contains(&place) => place,
            Self::Constant => return None,
            Self::Reflect if place < 0 => -place,
            Self::Reflect => 2 * (size - 1) - place,
            Self::Edge => place.clamp(0, size - 1),
            Self::Wrap => place.rem_euclid(size),
        };
        usize::try_from(inside).ok()
    }
}

/// Where on an axis points are added.
#[derive(Clone, Copy, PartialEq)]
enum End {
    First,
    Last,
}

/// Points added before and after each axis.
fn pads(graph: &Graph, node: &Node) -> Result<Vec<(i64, i64)>, GradientError> {
    let shape = graph.operand_shape(node, 0)?;
    let given = graph.integers(node, 1)?.ok_or_else(|| node.fault("'pads' is missing"))?;
    let axes = match graph.integers(node, 3)? {
        Some(axes) => axes.iter().map(|&axis| node.axis(axis, shape.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..shape.len()).collect(),
    };
    if given.len() != 2 * axes.len() {
        return Err(node.fault(format!("{} numbers in 'pads' for {} axes", given.len(), axes.len())));
    }
    let mode = Mode::of(node)?;
    let mut pads = vec![(0, 0); shape.len()];
    for (place, &axis) in axes.iter().enumerate() {
        let (before, after) = (given[place], given[axes.len() + place]);
        let size = shape[axis] as i64;
        let most = match mode {
            Mode::Constant | Mode::Edge => i64::from(u16::MAX),
            Mode::Reflect => size - 1,
            Mode::Wrap => size,
        };
        let allowed = -size..=most;
        let inside = size > 0 && allowed.contains(&before) && allowed.contains(&after);
        if !inside || before + size + after <= 0 {
            return Err(node.fault(format!("{before} points before and {after} after an axis of {size}")));
        }
        pads[axis] = (before, after);
    }
    Ok(pads)
}

impl Operator for Pad {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let pads = pads(graph, node)?;
        let sizes = graph.operand_shape(node, 0)?.iter().zip(pads);
        Ok(sizes.map(|(&size, (before, after))| (size as i64 + before + after) as usize).collect())
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let (mode, pads) = (Mode::of(node)?, pads(graph, node)?);
        let value = operand(node, operands, 0)?;
        let filling = operands.get(2).copied().flatten().and_then(|filling| filling.data().first().copied());
        let shape = self.shape(graph, node)?;
        let (from, to) = (strides(value.shape()), strides(&shape));
        let source = |place: usize| -> Option<usize> {
            let along = |axis: usize| {
                let at = (place / to[axis] % shape[axis]) as i64 - pads[axis].0;
                Some(mode.source(at, value.shape()[axis] as i64)? * from[axis])
            };
            (0..shape.len()).map(along).sum()
        };
        let element = |place: usize| source(place).map_or(filling.unwrap_or(0.0), |place| value.data()[place]);
        let data = (0..elements(&shape)?).map(element).collect();
        Ok(Tensor::new(shape, data).with_element(value.element()))
    }

    /// What was added from the value itself goes back to where it was taken from.
    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        if index != 0 {
            return Err(node.fault(format!("operand {index} depends on the target")));
        }
        let (mode, pads) = (Mode::of(node)?, pads(graph, node)?);
        let own = cotangent_shape(graph, node, 0, cotangent)?;
        whole_batch(graph, node, pads.first().is_none_or(|&pads| pads == (0, 0)))?;
        let mut value = cotangent.to_owned();
        for (axis, &(before, after)) in pads.iter().enumerate() {
            let (size, given) = (own[axis], graph.shape(&value)?[axis]);
            let added = |side: i64| side.max(0) as usize;
            let cut = |side: i64| side.min(0).unsigned_abs() as usize;
            let inner = graph.emit_slice(&value, axis, added(before), given - added(after))?;
            let mut sum = graph.emit_padded(&inner, axis, cut(before), cut(after))?;
            let ends = [(End::First, 0, added(before)), (End::Last, given - added(after), given)];
            for (side, start, end) in ends.into_iter().filter(|(_, start, end)| mode != Mode::Constant && start < end) {
                let part = graph.emit_slice(&value, axis, start, end)?;
                let count = end - start;
                let (part, place) = match (mode, side) {
                    (Mode::Constant, _) => continue,
                    (Mode::Reflect, End::First) => (graph.emit_reversed(&part, axis)?, 1),
                    (Mode::Reflect, End::Last) => (graph.emit_reversed(&part, axis)?, size - 1 - count),
                    (Mode::Edge, End::First) => (graph.emit_sum(&part, &[axis])?, 0),
                    (Mode::Edge, End::Last) => (graph.emit_sum(&part, &[axis])?, size - 1),
                    (Mode::Wrap, End::First) => (part, size - count),
                    (Mode::Wrap, End::Last) => (part, 0),
                };
                let taken = graph.shape(&part)?[axis];
                let part = graph.emit_padded(&part, axis, place, size - place - taken)?;
                sum = graph.emit_pair("Add", &sum, &part)?;
            }
            value = sum;
        }
        Ok(value)
    }

    /// Points that are added see nothing, or what is seen elsewhere already: the cells move.
    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        let reach = operands.first().copied().flatten()?;
        let &(before, _) = pads(graph, node).ok()?.get(reach.axis)?;
        Some(reach.shifted(-before))
    }
}
