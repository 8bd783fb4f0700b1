//! Operators that make one element of many along some axes: sums, means, norms, extremes.

use std::collections::BTreeSet;

use super::operator::{Operator, cotangent_shape, operand, whole_batch};
use crate::error::GradientError;
use crate::graph::Graph;
use crate::node::Node;
use crate::proto;
use crate::reach::Reach;
use crate::tensor::{Tensor, elements, strides};

/// What becomes of the elements, and how each of them counts.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Sum,
    Mean,
    /// The sum of the magnitudes.
    L1,
    /// The root of the sum of the squares.
    L2,
    SumSquare,
    LogSum,
    LogSumExp,
    Max,
    Min,
    /// Of sizes, in shape arithmetic: it has no cotangent.
    Product,
}

/// The axes over which elements become one.
#[derive(Clone, Copy)]
enum Over {
    /// Those its node names.
    Named,
    /// All the spatial ones.
    Pool,
}

pub(super) struct Reduce {
    kind: Kind,
    over: Over,
}

pub(super) static SUM: Reduce = Reduce { kind: Kind::Sum, over: Over::Named };
pub(super) static MEAN: Reduce = Reduce { kind: Kind::Mean, over: Over::Named };
pub(super) static L1: Reduce = Reduce { kind: Kind::L1, over: Over::Named };
pub(super) static L2: Reduce = Reduce { kind: Kind::L2, over: Over::Named };
pub(super) static SUM_SQUARE: Reduce = Reduce { kind: Kind::SumSquare, over: Over::Named };
pub(super) static LOG_SUM: Reduce = Reduce { kind: Kind::LogSum, over: Over::Named };
pub(super) static LOG_SUM_EXP: Reduce = Reduce { kind: Kind::LogSumExp, over: Over::Named };
pub(super) static MAX: Reduce = Reduce { kind: Kind::Max, over: Over::Named };
pub(super) static MIN: Reduce = Reduce { kind: Kind::Min, over: Over::Named };
pub(super) static PRODUCT: Reduce = Reduce { kind: Kind::Product, over: Over::Named };
pub(super) static GLOBAL_AVERAGE_POOL: Reduce = Reduce { kind: Kind::Mean, over: Over::Pool };
pub(super) static GLOBAL_MAX_POOL: Reduce = Reduce { kind: Kind::Max, over: Over::Pool };

/// Below every norm that matters, so that the slope of a norm of zeros is 0 and not 0 / 0.
const NORM_MIN: f64 = 1e-30;

/// The axes an operator reduces, and whether they stay with size 1.
struct Axes {
    reduced: Vec<usize>,
    keep: bool,
}

impl Axes {
    fn of(graph: &Graph, node: &Node, over: Over) -> Result<Self, GradientError> {
        let rank = graph.operand_shape(node, 0)?.len();
        if let Over::Pool = over {
            return Ok(Self { reduced: (2..rank).collect(), keep: true });
        }
        let keep = node.int("keepdims", 1)? != 0;
        let reduced = match graph.axes(node)?.filter(|axes| !axes.is_empty()) {
            Some(axes) => axes.iter().map(|&axis| node.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?,
            None if node.int("noop_with_empty_axes", 0)? != 0 => Vec::new(),
            None => (0..rank).collect(),
        };
        let reduced = BTreeSet::from_iter(reduced).into_iter().collect();
        Ok(Self { reduced, keep })
    }

    /// The shape with the reduced axes of size 1.
    fn kept(&self, before: &[usize]) -> Vec<usize> {
        let sizes = before.iter().enumerate();
        sizes.map(|(axis, &size)| if self.reduced.contains(&axis) { 1 } else { size }).collect()
    }

    fn after(&self, before: &[usize]) -> Vec<usize> {
        let axes = (0..before.len()).filter(|axis| self.keep || !self.reduced.contains(axis));
        let kept = self.kept(before);
        axes.map(|axis| kept[axis]).collect()
    }

    /// How many elements become one.
    fn count(&self, before: &[usize]) -> usize {
        let reduced = (0..before.len()).filter(|axis| self.reduced.contains(axis));
        reduced.map(|axis| before[axis]).product()
    }
}

impl Reduce {
    /// What each element adds to the sum.
    fn part(&self, element: f64) -> f64 {
        match self.kind {
            Kind::L1 => element.abs(),
            Kind::L2 | Kind::SumSquare => element * element,
            Kind::LogSumExp => element.exp(),
            Kind::Sum | Kind::Mean | Kind::LogSum | Kind::Max | Kind::Min | Kind::Product => element,
        }
    }

    /// What becomes of the sum of `count` elements.
    fn finish(&self, sum: f64, count: f64) -> f64 {
        match self.kind {
            Kind::Mean => sum / count,
            Kind::L2 => sum.sqrt(),
            Kind::LogSum | Kind::LogSumExp => sum.ln(),
            Kind::Sum | Kind::L1 | Kind::SumSquare | Kind::Max | Kind::Min | Kind::Product => sum,
        }
    }

    /// Appends the nodes of ∂y/∂x, of the operand's shape or one that broadcasts to it; y still has all its axes.
    fn slope(&self, graph: &mut Graph, axes: &Axes, x: &str, y: &str) -> Result<String, GradientError> {
        let shape = graph.shape(x)?.to_vec();
        match self.kind {
            Kind::Sum | Kind::Product => graph.emit_number(1.0),
            Kind::Mean => graph.emit_number(1.0 / axes.count(&shape) as f64),
            Kind::L1 => graph.emit_of("Sign", x),
            Kind::L2 => {
                let norm = graph.emit_with("Max", y, NORM_MIN)?;
                graph.emit_pair("Div", x, &norm)
            }
            Kind::SumSquare => graph.emit_scaled(x, 2.0),
            Kind::LogSum => {
                // 1 / Σ x
                let negative = graph.emit_of("Neg", y)?;
                graph.emit_of("Exp", &negative)
            }
            Kind::LogSumExp => {
                let shifted = graph.emit_pair("Sub", x, y)?;
                graph.emit_of("Exp", &shifted)
            }
            Kind::Max => first_greatest(graph, axes, x),
            Kind::Min => {
                let negative = graph.emit_of("Neg", x)?;
                first_greatest(graph, axes, &negative)
            }
        }
    }
}

/// 1 at the first of the greatest elements along the axes, row-major, 0 elsewhere.
fn first_greatest(graph: &mut Graph, axes: &Axes, x: &str) -> Result<String, GradientError> {
    let shape = graph.shape(x)?.to_vec();
    let reduced: Vec<usize> = (0..shape.len()).filter(|axis| axes.reduced.contains(axis)).collect();
    let Some(&first) = reduced.first() else { return graph.emit_number(1.0) };
    let behind = first + reduced.len();
    if reduced.last().is_some_and(|&last| last + 1 == behind) {
        // Neighbouring axes are one axis of as many elements.
        let merged: Vec<usize> =
            shape[..first].iter().copied().chain([axes.count(&shape)]).chain(shape[behind..].iter().copied()).collect();
        let merged = graph.emit_reshape(x, &merged)?;
        let chosen = graph.emit_first_greatest(&merged, first)?;
        return graph.emit_reshape(&chosen, &shape);
    }
    let order: Vec<usize> =
        (0..shape.len()).filter(|axis| !reduced.contains(axis)).chain(reduced.iter().copied()).collect();
    let perm = |order: &[usize]| vec![proto::ints("perm", &order.iter().map(|&axis| axis as i64).collect::<Vec<_>>())];
    let moved = graph.emit("Transpose", &[x], perm(&order))?;
    let last = Axes { reduced: (shape.len() - reduced.len()..shape.len()).collect(), keep: true };
    let chosen = first_greatest(graph, &last, &moved)?;
    let mut inverse = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &axis)| inverse[axis] = place);
    graph.emit("Transpose", &[&chosen], perm(&inverse))
}

impl Operator for Reduce {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        Ok(Axes::of(graph, node, self.over)?.after(graph.operand_shape(node, 0)?))
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let axes = Axes::of(graph, node, self.over)?;
        let value = operand(node, operands, 0)?;
        let kept = axes.kept(value.shape());
        let (from, to) = (strides(value.shape()), strides(&kept));
        let (start, combine): (f64, fn(f64, f64) -> f64) = match self.kind {
            Kind::Max => (f64::NEG_INFINITY, f64::max),
            Kind::Min => (f64::INFINITY, f64::min),
            Kind::Product => (1.0, |product, part| product * part),
            _ => (0.0, |sum, part| sum + part),
        };
        let mut result = vec![start; elements(&kept)?];
        for (place, element) in value.data().iter().enumerate() {
            let open = (0..kept.len()).filter(|&axis| kept[axis] > 1);
            let target: usize = open.map(|axis| place / from[axis] % kept[axis] * to[axis]).sum();
            result[target] = combine(result[target], self.part(*element));
        }
        let count = axes.count(value.shape()) as f64;
        result.iter_mut().for_each(|element| *element = self.finish(*element, count));
        Ok(Tensor::new(axes.after(value.shape()), result).with_element(value.element()))
    }

    fn backward(
        &self,
        graph: &mut Graph,
        node: &Node,
        _index: usize,
        cotangent: &str,
    ) -> Result<String, GradientError> {
        if self.kind == Kind::Product {
            return Err(node.no_rule());
        }
        let axes = Axes::of(graph, node, self.over)?;
        whole_batch(graph, node, !axes.reduced.contains(&0))?;
        let operand = node.input(0).ok_or_else(|| node.fault("the operand is missing"))?;
        let before = graph.shape(operand)?.to_vec();
        let own = cotangent_shape(graph, node, 0, cotangent)?;
        let column = graph.emit_reshape(cotangent, &axes.kept(&own))?;
        // Sums and means do not read their output.
        let output = match self.kind {
            Kind::L2 | Kind::LogSum | Kind::LogSumExp => graph.emit_reshape(node.output(), &axes.kept(&before))?,
            _ => node.output().to_owned(),
        };
        let product = match self.kind {
            Kind::Sum => column,
            _ => {
                let slope = self.slope(graph, &axes, operand, &output)?;
                graph.emit_pair("Mul", &column, &slope)?
            }
        };
        graph.emit_expanded(&product, &own)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        let axes = Axes::of(graph, node, self.over).ok()?;
        let reach = operands.first().copied().flatten()?;
        let before = axes.reduced.iter().filter(|&&axis| axis < reach.axis).count();
        let axis = if axes.keep { reach.axis } else { reach.axis - before };
        (!axes.reduced.contains(&reach.axis)).then_some(reach.moved(axis))
    }

    fn cost(&self, graph: &Graph, node: &Node, _output: &[usize]) -> u64 {
        graph.operand_shape(node, 0).map_or(u64::MAX, |shape| shape.iter().product::<usize>() as u64)
    }
}
