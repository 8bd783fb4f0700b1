//! Elements by their coordinates, as exporters write adaptive pooling.

use super::operator::{Operator, cotangent_shape, operand, single_row};
use crate::error::GradientError;
use crate::graph::Graph;
use crate::node::Node;
use crate::reach::Reach;
use crate::tensor::{Tensor, elements, strides};

/// Blocks of the first axes, by their coordinates.
pub(super) struct GatherNd;

impl GatherNd {
    /// How many axes the coordinates are of.
    fn axes(graph: &Graph, node: &Node) -> Result<usize, GradientError> {
        let rank = graph.operand_shape(node, 0)?.len();
        match graph.operand_shape(node, 1)?.last() {
            Some(&axes) if (1..=rank).contains(&axes) && node.int("batch_dims", 0)? == 0 => Ok(axes),
            _ => Err(node.fault("coordinates of no axis, of too many, or of a batch")),
        }
    }

    /// Which block, counted row-major over the first axes, stands at each place.
    fn blocks(node: &Node, shape: &[usize], coordinates: &Tensor) -> Result<Vec<usize>, GradientError> {
        let steps = strides(shape);
        let places = coordinates.to_i64();
        let places = places.chunks(shape.len()).map(|place| {
            let axes = place.iter().zip(shape).zip(&steps);
            axes.map(|((&at, &size), step)| Ok(node.axis(at, size)? * step)).sum()
        });
        places.collect()
    }
}

impl Operator for GatherNd {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let axes = Self::axes(graph, node)?;
        let (shape, places) = (graph.operand_shape(node, 0)?, graph.operand_shape(node, 1)?);
        Ok([&places[..places.len() - 1], &shape[axes..]].concat())
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let (value, coordinates) = (operand(node, operands, 0)?, operand(node, operands, 1)?);
        let (first, inner) = value.shape().split_at(Self::axes(graph, node)?);
        let size: usize = inner.iter().product();
        let blocks = Self::blocks(node, first, coordinates)?;
        let data = blocks.iter().flat_map(|block| &value.data()[block * size..(block + 1) * size]);
        Ok(Tensor::new(self.shape(graph, node)?, data.copied().collect()))
    }

    /// Each block receives what was read from it: a product with a matrix of ones where a block was read.
    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        single_row(graph, node)?;
        let axes = Self::axes(graph, node)?;
        let own = cotangent_shape(graph, node, index, cotangent)?;
        let constant = node.input(1).and_then(|name| graph.constant(name));
        let coordinates = constant.ok_or_else(|| node.fault("the coordinates are not constant"))?;
        let (first, inner) = own.split_at(axes);
        let blocks = Self::blocks(node, first, coordinates)?;
        let count: usize = first.iter().product();
        elements(&[count, blocks.len()])?;
        let mut read = Tensor::zeros(vec![count, blocks.len()]);
        blocks.iter().enumerate().for_each(|(place, block)| read.data_mut()[block * blocks.len() + place] = 1.0);
        let read = graph.emit_constant(read)?;
        let rows = graph.emit_reshape(cotangent, &[blocks.len(), inner.iter().product()])?;
        let sums = graph.emit_pair("MatMul", &read, &rows)?;
        graph.emit_reshape(&sums, &own)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        let reach = operands.first().copied().flatten()?;
        let axes = Self::axes(graph, node).ok()?;
        let places = graph.operand_shape(node, 1).ok()?.len() - 1;
        (reach.axis >= axes).then(|| reach.moved(reach.axis - axes + places))
    }
}
