//! Operators that sum or average over axes.

use super::{Operator, cotangent_shape, operand, whole_batch};
use crate::gradient::error::GradientError;
use crate::gradient::geometry::Reach;
use crate::gradient::graph::Graph;
use crate::gradient::node::Node;
use crate::gradient::tensor::{Tensor, strides};

/// The mean over every axis after batch and channels, which stay with size 1.
pub(super) struct GlobalAveragePool;
pub(super) struct ReduceMean;
pub(super) struct ReduceSum;

/// The axes an operator reduces, and whether they stay with size 1.
struct Reduction {
    axes: Vec<usize>,
    keep: bool,
}

impl Reduction {
    fn pool(graph: &Graph, node: &Node) -> Result<Self, GradientError> {
        Ok(Self { axes: (2..graph.operand_shape(node, 0)?.len()).collect(), keep: true })
    }

    fn of(graph: &Graph, node: &Node) -> Result<Self, GradientError> {
        let rank = graph.operand_shape(node, 0)?.len();
        let keep = node.int("keepdims", 1)? != 0;
        let axes = match graph.axes(node)?.filter(|axes| !axes.is_empty()) {
            Some(axes) => axes.iter().map(|&axis| node.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?,
            None if node.int("noop_with_empty_axes", 0)? != 0 => Vec::new(),
            None => (0..rank).collect(),
        };
        Ok(Self { axes, keep })
    }

    fn shape(&self, before: &[usize]) -> Vec<usize> {
        let sizes = before.iter().enumerate();
        let kept = sizes.filter_map(|(axis, &size)| match self.axes.contains(&axis) {
            true => self.keep.then_some(1),
            false => Some(size),
        });
        kept.collect()
    }

    /// How many elements become one.
    fn count(&self, before: &[usize]) -> usize {
        self.axes.iter().map(|&axis| before[axis]).product()
    }

    fn sum(&self, value: &Tensor) -> Tensor {
        let kept = Self { axes: self.axes.clone(), keep: true }.shape(value.shape());
        let (from, to) = (strides(value.shape()), strides(&kept));
        let mut sum = Tensor::zeros(kept.clone());
        for (place, element) in value.data().iter().enumerate() {
            let axes = (0..kept.len()).filter(|&axis| kept[axis] > 1);
            let target: usize = axes.map(|axis| place / from[axis] % kept[axis] * to[axis]).sum();
            sum.data_mut()[target] += element;
        }
        sum.reshaped(self.shape(value.shape()))
    }

    /// Spreads the cotangent over the reduced axes, each element `scale` times.
    fn backward(&self, graph: &mut Graph, node: &Node, cotangent: &str, scale: f64) -> Result<String, GradientError> {
        whole_batch(graph, node, !self.axes.contains(&0))?;
        let own = cotangent_shape(graph, node, 0, cotangent)?;
        let mut kept = own.clone();
        self.axes.iter().for_each(|&axis| kept[axis] = 1);
        let column = graph.emit_reshape(cotangent, &kept)?;
        let mut spread = vec![1; own.len()];
        self.axes.iter().for_each(|&axis| spread[axis] = own[axis]);
        let count = spread.iter().product();
        let weights = graph.emit_constant(Tensor::new(spread, vec![scale; count]))?;
        graph.emit("Mul", &[&column, &weights], Vec::new())
    }

    fn reach(&self, operands: &[Option<Reach>]) -> Option<Reach> {
        let reach = operands.first().copied().flatten()?;
        let before = self.axes.iter().filter(|&&axis| axis < reach.axis).count();
        let axis = if self.keep { reach.axis } else { reach.axis - before };
        (!self.axes.contains(&reach.axis)).then_some(reach.moved(axis))
    }
}

/// The three differ in their axes and in whether the sum is divided by the number of its terms.
macro_rules! reduces {
    ($($operator:ty => $reduction:path, $mean:literal);* $(;)?) => {$(
        impl Operator for $operator {
            fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
                Ok($reduction(graph, node)?.shape(graph.operand_shape(node, 0)?))
            }

            fn evaluate(
                &self,
                graph: &Graph,
                node: &Node,
                operands: &[Option<&Tensor>],
            ) -> Result<Tensor, GradientError> {
                let reduction = $reduction(graph, node)?;
                let value = operand(node, operands, 0)?;
                let count = reduction.count(value.shape()) as f64;
                let mut sum = reduction.sum(value);
                if $mean {
                    sum.data_mut().iter_mut().for_each(|element| *element /= count);
                }
                Ok(sum)
            }

            fn backward(
                &self,
                graph: &mut Graph,
                node: &Node,
                _index: usize,
                cotangent: &str,
            ) -> Result<String, GradientError> {
                let reduction = $reduction(graph, node)?;
                let count = reduction.count(graph.operand_shape(node, 0)?) as f64;
                reduction.backward(graph, node, cotangent, if $mean { 1.0 / count } else { 1.0 })
            }

            fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
                $reduction(graph, node).ok()?.reach(operands)
            }

            fn cost(&self, graph: &Graph, node: &Node, _output: &[usize]) -> u64 {
                graph.operand_shape(node, 0).map_or(u64::MAX, |shape| shape.iter().product::<usize>() as u64)
            }
        }
    )*};
}

reduces! {
    GlobalAveragePool => Reduction::pool, true;
    ReduceMean => Reduction::of, true;
    ReduceSum => Reduction::of, false;
}
