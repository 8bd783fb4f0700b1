//! Matrix products.

use super::elementwise::{common_shape, gather};
use super::operator::{Operator, cotangent_shape, operand, single_row, whole_batch};
use crate::error::GradientError;
use crate::graph::Graph;
use crate::node::Node;
use crate::proto;
use crate::reach::Reach;
use crate::tensor::{Tensor, elements, strides};

/// α · A · B + β · C, with A and B possibly transposed.
pub(super) struct Gemm;
/// Matrix product over the last two axes; the axes before them broadcast, and a vector is a row or a column.
pub(super) struct MatMul;

/// How Gemm reads an operand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    AsStored,
    Transposed,
}

impl Reading {
    fn of(node: &Node, attribute: &str) -> Result<Self, GradientError> {
        Ok(if node.int(attribute, 0)? == 0 { Self::AsStored } else { Self::Transposed })
    }

    fn other(self) -> Self {
        match self {
            Self::AsStored => Self::Transposed,
            Self::Transposed => Self::AsStored,
        }
    }

    /// Rows and columns as they are read, of those that are stored.
    fn sizes(self, [rows, columns]: [usize; 2]) -> [usize; 2] {
        match self {
            Self::AsStored => [rows, columns],
            Self::Transposed => [columns, rows],
        }
    }
}

impl Gemm {
    /// How A is read, and how B is.
    fn readings(node: &Node) -> Result<[Reading; 2], GradientError> {
        Ok([Reading::of(node, "transA")?, Reading::of(node, "transB")?])
    }

    /// α times the product of two matrices, each read in its way.
    fn product(
        graph: &mut Graph,
        node: &Node,
        [left, right]: [&str; 2],
        readings: [Reading; 2],
    ) -> Result<String, GradientError> {
        let alpha = node.float("alpha", 1.0)? as f32;
        if alpha == 1.0 && readings == [Reading::AsStored; 2] {
            return graph.emit_product(left, right);
        }
        let [left_transposed, right_transposed] = readings.map(|reading| i64::from(reading == Reading::Transposed));
        let attributes = vec![
            proto::float("alpha", alpha),
            proto::int("transA", left_transposed),
            proto::int("transB", right_transposed),
        ];
        graph.emit("Gemm", &[left, right], attributes)
    }
}

impl Operator for Gemm {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let [left_reading, right_reading] = Self::readings(node)?;
        let (left, right) = (graph.operand_shape(node, 0)?, graph.operand_shape(node, 1)?);
        let fault = || node.fault(format!("operands of shapes {left:?} and {right:?}"));
        let (&[a, b], &[c, d]) = (left, right) else { return Err(fault()) };
        let [rows, inner] = left_reading.sizes([a, b]);
        let [other, columns] = right_reading.sizes([c, d]);
        if inner != other {
            return Err(fault());
        }
        let shape = vec![rows, columns];
        if node.input(2).is_some() {
            let offset = graph.operand_shape(node, 2)?;
            if common_shape(offset, &shape).as_ref() != Some(&shape) {
                return Err(node.fault(format!("a third operand of shape {offset:?} for a product of shape {shape:?}")));
            }
        }
        Ok(shape)
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let (left, right) = (operand(node, operands, 0)?, operand(node, operands, 1)?);
        let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
        let [left_reading, right_reading] = Self::readings(node)?;
        let shape = self.shape(graph, node)?;
        let columns = shape[1];
        let [_, inner] = left_reading.sizes([left.shape()[0], left.shape()[1]]);
        // Steps of an operand from one row to the next and from one column to the next, as it is read.
        let steps = |operand: &Tensor, reading: Reading| reading.sizes([operand.shape()[1], 1]);
        let [row_step, left_step] = steps(left, left_reading);
        let [right_step, column_step] = steps(right, right_reading);
        let mut result = Tensor::zeros(shape);
        let offset = operands.get(2).copied().flatten();
        for (place, value) in result.data_mut().iter_mut().enumerate() {
            let (row, column) = (place / columns, place % columns);
            let products = (0..inner).map(|k| {
                left.data()[row * row_step + k * left_step] * right.data()[column * column_step + k * right_step]
            });
            *value = alpha * products.sum::<f64>();
            if let Some(offset) = offset {
                // It broadcasts: a row, a column, a number, or as large as the result.
                let sizes = [0, 1].map(|axis| offset.shape().iter().rev().nth(1 - axis).copied().unwrap_or(1));
                let at = [row, column].iter().zip(sizes).fold(0, |at, (place, size)| at * size + place % size);
                *value += beta * offset.data()[at];
            }
        }
        Ok(result)
    }

    /// Through Gemm again, which reads the weights as they are in the file: no transposed copy of them is stored.
    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        use Reading::{AsStored, Transposed};
        let [left_reading, right_reading] = Self::readings(node)?;
        let operands = node.input(0).zip(node.input(1)).ok_or_else(|| node.fault("an operand is missing"))?;
        let (left, right) = operands;
        match (index, left_reading, right_reading) {
            (0, AsStored, _) => Self::product(graph, node, [cotangent, right], [AsStored, right_reading.other()]),
            (0, Transposed, _) => {
                single_row(graph, node)?;
                Self::product(graph, node, [right, cotangent], [right_reading, Transposed])
            }
            (1, _, Transposed) => {
                single_row(graph, node)?;
                Self::product(graph, node, [cotangent, left], [Transposed, left_reading])
            }
            (1, _, AsStored) => {
                single_row(graph, node)?;
                Self::product(graph, node, [left, cotangent], [left_reading.other(), AsStored])
            }
            _ => {
                let own = gather(graph, node, index, cotangent)?;
                graph.emit_scaled(&own, node.float("beta", 1.0)?)
            }
        }
    }

    fn reach(&self, _graph: &Graph, _node: &Node, _operands: &[Option<Reach>]) -> Option<Reach> {
        None
    }

    fn cost(&self, graph: &Graph, node: &Node, output: &[usize]) -> u64 {
        let left = graph.operand_shape(node, 0).map_or(1, |shape| shape.iter().product::<usize>());
        (left as u64).saturating_mul(output.last().copied().unwrap_or(1) as u64)
    }
}

/// The shapes of a product: a vector on the left is a row, one on the right is a column.
struct Product {
    left: Vec<usize>,
    right: Vec<usize>,
    /// Of the result, with the axis of size 1 that stands for a vector.
    result: Vec<usize>,
    /// Of the result, without it.
    shape: Vec<usize>,
}

impl Product {
    fn of(node: &Node, left: &[usize], right: &[usize]) -> Result<Self, GradientError> {
        let fault = || node.fault(format!("operands of shapes {left:?} and {right:?}"));
        let row = if let [size] = left { vec![1, *size] } else { left.to_vec() };
        let column = if let [size] = right { vec![*size, 1] } else { right.to_vec() };
        let ([left_batch @ .., rows, inner], [right_batch @ .., other, columns]) = (row.as_slice(), column.as_slice())
        else {
            return Err(fault());
        };
        let batch = common_shape(left_batch, right_batch).filter(|_| inner == other && *inner > 0).ok_or_else(fault)?;
        let vectors = [(left.len() > 1).then_some(*rows), (right.len() > 1).then_some(*columns)];
        let shape = batch.iter().copied().chain(vectors.into_iter().flatten()).collect();
        let result = batch.iter().copied().chain([*rows, *columns]).collect();
        Ok(Self { left: row, right: column, result, shape })
    }
}

impl Operator for MatMul {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        Ok(Product::of(node, graph.operand_shape(node, 0)?, graph.operand_shape(node, 1)?)?.shape)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let (left, right) = (operand(node, operands, 0)?, operand(node, operands, 1)?);
        let product = Product::of(node, left.shape(), right.shape())?;
        let rank = product.result.len();
        let (rows, columns, inner) =
            (product.result[rank - 2], product.result[rank - 1], product.left[product.left.len() - 1]);
        let batch = &product.result[..rank - 2];
        // Steps from one matrix of an operand to the next, 0 where it is repeated.
        let matrix_steps = |shape: &[usize]| -> Vec<usize> {
            let own = &shape[..shape.len() - 2];
            let size: usize = shape[shape.len() - 2..].iter().product();
            let steps = strides(own).into_iter().zip(own).map(|(step, &own)| if own == 1 { 0 } else { step * size });
            std::iter::repeat_n(0, batch.len() - own.len()).chain(steps).collect()
        };
        let (left_steps, right_steps, places) =
            (matrix_steps(&product.left), matrix_steps(&product.right), strides(batch));
        let start = |matrix: usize, steps: &[usize]| -> usize {
            (0..batch.len()).map(|axis| matrix / places[axis] % batch[axis] * steps[axis]).sum()
        };
        let mut data = Vec::with_capacity(elements(&product.result)?);
        for matrix in 0..batch.iter().product() {
            let left = &left.data()[start(matrix, &left_steps)..][..rows * inner];
            let right = &right.data()[start(matrix, &right_steps)..][..inner * columns];
            for row in left.chunks_exact(inner) {
                let dot = |column: usize| -> f64 {
                    row.iter().zip(right[column..].iter().step_by(columns)).map(|(left, right)| left * right).sum()
                };
                data.extend((0..columns).map(dot));
            }
        }
        Ok(Tensor::new(product.shape, data))
    }

    /// With y = A B: the cotangent times Bᵀ, or Aᵀ times the cotangent, summed where an operand was repeated.
    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let product = Product::of(node, graph.operand_shape(node, 0)?, graph.operand_shape(node, 1)?)?;
        let own = cotangent_shape(graph, node, index, cotangent)?;
        let mut result = product.result.clone();
        // The rows of the cotangent lie on a batch axis, or are the rows of a matrix, which a product by Bᵀ keeps.
        let matrix = if index == 0 { &product.left } else { &product.right };
        let whole = product.shape.len() == result.len() && matrix.len() == result.len();
        let rows_kept = whole && (result.len() > 2 || index == 0);
        whole_batch(graph, node, rows_kept)?;
        if graph.rows() > 1 {
            result[0] = graph.rows();
        }
        let given = graph.emit_reshape(cotangent, &result)?;
        let other = node.input(1 - index.min(1)).ok_or_else(|| node.fault("an operand is missing"))?;
        let shape = if index == 0 { &product.right } else { &product.left };
        let other = graph.emit_reshape(other, shape)?;
        let mut permutation: Vec<i64> = (0..shape.len() as i64).collect();
        permutation.swap(shape.len() - 2, shape.len() - 1);
        let other = graph.emit("Transpose", &[&other], vec![proto::ints("perm", &permutation)])?;
        let through = match index {
            0 => graph.emit_product(&given, &other)?,
            _ => graph.emit_pair("MatMul", &other, &given)?,
        };
        let mut kept = matrix.clone();
        if graph.rows() > 1 {
            kept[0] = graph.rows();
        }
        let own_matrix = graph.emit_unrepeated(&through, &kept)?;
        graph.emit_reshape(&own_matrix, &own)
    }

    /// A constant matrix on the right mixes the last axis alone, one on the left the axis before it.
    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        let (left, right) = (operands.first().copied().flatten(), operands.get(1).copied().flatten());
        let constant = |index: usize| node.input(index).is_some_and(|name| graph.constant(name).is_some());
        let rank = |index: usize| graph.operand_shape(node, index).ok().map(<[usize]>::len);
        let (result, first, second) = (graph.shape(node.output()).ok()?.len(), rank(0)?, rank(1)?);
        if first < 2 || second < 2 {
            return None;
        }
        match (left, right) {
            (Some(reach), None) if constant(1) && reach.axis + 1 < first => {
                Some(reach.moved(reach.axis + result - first))
            }
            (None, Some(reach)) if constant(0) && reach.axis + 2 != second => {
                Some(reach.moved(reach.axis + result - second))
            }
            _ => None,
        }
    }

    fn cost(&self, graph: &Graph, node: &Node, output: &[usize]) -> u64 {
        let inner = graph.operand_shape(node, 0).ok().and_then(|shape| shape.last()).copied().unwrap_or(1);
        output.iter().fold(inner as u64, |product, &size| product.saturating_mul(size as u64))
    }
}
