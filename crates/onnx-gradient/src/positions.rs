//! Which axis of a value counts feature maps, and which one positions on the spectrum.
//!
//! A Conv has its maps on axis 1, always. A value between Convs is followed, through operators that keep or only rename
//! its axes, to the nearest operator that says where the maps are: so channel-last networks, with their Transposes, are
//! understood as well.

use std::collections::{HashSet, VecDeque};

use crate::error::GradientError;
use crate::graph::Graph;
use crate::node::Node;
use crate::tensor::strides;

/// Values looked at on the way to an operator that knows.
const VISITED_MAX: usize = 200;

/// The axes of a value of shape [1, maps, cells], [1, cells, maps], or an image whose height or width is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions {
    /// The axis of the feature maps, from 0; the batch is axis 0.
    pub map_axis: usize,
    /// The axis of the positions, from 0.
    pub cell_axis: usize,
}

impl Positions {
    /// Of a value of the graph.
    ///
    /// # Errors
    /// [`GradientError::NoValue`] and [`GradientError::NoShape`] when there is no such value or its shape is not known,
    /// [`GradientError::Shape`] when its batch is not of size 1, or when it is laid out in more than one dimension.
    pub fn of(graph: &Graph, value: &str) -> Result<Self, GradientError> {
        let shape = graph.shape(value)?;
        let failed = || GradientError::Shape { name: value.to_owned(), found: shape.to_vec(), expected: EXPECTED };
        if shape.first() != Some(&1) || !(3..=4).contains(&shape.len()) {
            return Err(failed());
        }
        let map_axis = map_axis(graph, value, shape.len()).unwrap_or(1);
        let mut spatial = (1..shape.len()).filter(|&axis| axis != map_axis);
        let wide: Vec<usize> = spatial.clone().filter(|&axis| shape[axis] > 1).collect();
        match wide[..] {
            [cell_axis] => Ok(Self { map_axis, cell_axis }),
            // All is one cell: the last axis is as good as any.
            [] => Ok(Self { map_axis, cell_axis: spatial.next_back().ok_or_else(failed)? }),
            _ => Err(failed()),
        }
    }
}

impl Positions {
    /// Whether a gradient of rows of the value's `shape` is the same at every cell.
    pub(super) fn uniform(self, shape: &[usize], gradient: &[f32]) -> bool {
        let (Some(&step), Some(&cells)) = (strides(shape).get(self.cell_axis), shape.get(self.cell_axis)) else {
            return false;
        };
        // A block runs through every cell; its first `step` numbers are those of the first cell.
        let alike = |block: &[f32]| block.iter().enumerate().all(|(place, value)| *value == block[place % step]);
        gradient.chunks((step * cells).max(1)).all(alike)
    }
}

const EXPECTED: &str = "[1, maps, cells], [1, cells, maps] or an image of height 1";

/// The axis that counts the points of an input: its only axis, the one that is not its channels', or the last.
pub(super) fn input_axis(graph: &Graph, input: &str) -> Result<usize, GradientError> {
    let rank = graph.shape(input)?.len();
    Ok(Positions::of(graph, input).map_or(rank.saturating_sub(1), |positions| positions.cell_axis))
}

/// Along the graph, from a value to a neighbouring one.
enum Way {
    Forward,
    Backward,
}

/// Where the axes of the value that is asked for have got to in the value that is looked at.
type Axes = Vec<Option<usize>>;

/// The axis of the maps: from the nearest convolution, else from the nearest operator of the [`POOLED`], which exporters
/// also use for means over other axes; `None` where there is neither.
fn map_axis(graph: &Graph, value: &str, rank: usize) -> Option<usize> {
    [CONVOLVED, POOLED].into_iter().find_map(|operators| nearest(graph, value, rank, operators))
}

/// The axis that is the second of the first operand of the nearest of `operators`.
fn nearest(graph: &Graph, value: &str, rank: usize, operators: &[&str]) -> Option<usize> {
    let mut visited = HashSet::from([value.to_owned()]);
    let mut waiting: VecDeque<(String, Axes)> = VecDeque::from([(value.to_owned(), (0..rank).map(Some).collect())]);
    while let Some((value, axes)) = waiting.pop_front() {
        let producer = graph.producer(&value).map(|node| (node.as_ref(), Way::Backward));
        let consumers = graph.consumers(&value).filter(|node| node.input(0) == Some(&value));
        let consumers = consumers.map(|node| (node, Way::Forward));
        for (node, way) in producer.into_iter().chain(consumers) {
            if operators.contains(&node.op.as_str()) {
                if let Some(axis) = axes.get(1).copied().flatten() {
                    return Some(axis);
                }
                continue;
            }
            let (Some(input), Ok(before), Ok(after)) =
                (node.input(0), graph.operand_shape(node, 0), graph.shape(node.output()))
            else {
                continue;
            };
            let Some(renamed) = renamed(node, before, after) else { continue };
            let place = |axis: usize| axes.get(axis).copied().flatten();
            let (next, moved) = match way {
                Way::Forward => (node.output(), renamed.iter().map(|old| old.and_then(place)).collect()),
                Way::Backward => {
                    let new = |old: usize| renamed.iter().position(|&from| from == Some(old));
                    (input, (0..before.len()).map(|old| new(old).and_then(place)).collect())
                }
            };
            if visited.len() < VISITED_MAX && visited.insert(next.to_owned()) {
                waiting.push_back((next.to_owned(), moved));
            }
        }
    }
    None
}

/// Operators whose maps are the second axis.
const CONVOLVED: &[&str] = &["Conv", "ConvTranspose"];
/// Operators whose maps are the second axis of what is laid out as images are.
const POOLED: &[&str] = &[
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "BatchNormalization",
    "InstanceNormalization",
    "LRN",
];

/// For each axis of the node's output, the axis of its first operand that it is; `None` where axes are mixed.
fn renamed(node: &Node, before: &[usize], after: &[usize]) -> Option<Axes> {
    match node.op.as_str() {
        "Transpose" => {
            let rank = before.len();
            let reversed: Vec<i64> = (0..rank as i64).rev().collect();
            let permutation = node.ints("perm").ok()?.unwrap_or(&reversed);
            Some(permutation.iter().map(|&axis| usize::try_from(axis).ok()).collect())
        }
        "Squeeze" | "Unsqueeze" | "Reshape" => {
            // What is left without the axes of size 1 must be the same, in the same order.
            let long = |shape: &[usize]| -> Vec<usize> { (0..shape.len()).filter(|&axis| shape[axis] > 1).collect() };
            let (old, new) = (long(before), long(after));
            let alike = old.len() == new.len() && old.iter().zip(&new).all(|(&old, &new)| before[old] == after[new]);
            let mut axes: Axes = vec![None; after.len()];
            if let Some(batch) = axes.first_mut() {
                *batch = Some(0);
            }
            new.iter().zip(&old).for_each(|(&new, &old)| axes[new] = Some(old));
            // A single map is an axis of size 1 that only its place tells from the others: the free axes are paired in
            // order where both shapes have as many.
            let free = |shape: &[usize]| -> Vec<usize> { (1..shape.len()).filter(|&axis| shape[axis] == 1).collect() };
            let (old, new) = (free(before), free(after));
            if old.len() == 1 && !new.is_empty() {
                new.iter().for_each(|&new| axes[new] = Some(old[0]));
            } else if old.len() == new.len() {
                new.iter().zip(&old).for_each(|(&new, &old)| axes[new] = Some(old));
            }
            alike.then_some(axes)
        }
        _ if before == after => Some((0..before.len()).map(Some).collect()),
        _ => None,
    }
}
