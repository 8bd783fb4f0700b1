//! Operators that multiply by weights.

use super::{Operator, cotangent_shape, operand};
use crate::gradient::error::GradientError;
use crate::gradient::geometry::Reach;
use crate::gradient::graph::Graph;
use crate::gradient::node::Node;
use crate::gradient::proto;
use crate::gradient::tensor::{Tensor, elements, strides};

/// Cross-correlation along one axis: y[o, i] = b[o] + Σ_c Σ_t W[o, c, t] · x[c, s·i + d·t − p].
pub(super) struct Conv;
/// α · A · B + β · C, with B possibly transposed.
pub(super) struct Gemm;
/// Matrix product over the last two axes.
pub(super) struct MatMul;

/// The settings of a one-dimensional convolution.
struct Settings {
    kernel: usize,
    stride: usize,
    dilation: usize,
    pads: (usize, usize),
    groups: usize,
}

impl Settings {
    fn of(graph: &Graph, node: &Node) -> Result<Self, GradientError> {
        let weights = graph.operand_shape(node, 1)?;
        let &[outputs, _, kernel] = weights else {
            return Err(node.fault(format!("weights of shape {weights:?}; only one-dimensional Conv is supported")));
        };
        let positive = |name: &str| -> Result<usize, GradientError> {
            let value = match node.ints(name)? {
                None => 1,
                Some(&[value]) => value,
                Some(values) => return Err(node.fault(format!("'{name}' is {values:?}, one number expected"))),
            };
            let small = usize::try_from(value).ok().filter(|value| (1..=PADDING_MAX).contains(value));
            small.ok_or_else(|| node.fault(format!("'{name}' is {value}")))
        };
        if let Some(policy) = node.text("auto_pad")?.filter(|&policy| policy != b"NOTSET" && policy != b"VALID") {
            let policy = String::from_utf8_lossy(policy);
            return Err(node.fault(format!("'auto_pad' is {policy}: export with explicit 'pads'")));
        }
        let pad = |value: i64| {
            let small = usize::try_from(value).ok().filter(|&value| value <= PADDING_MAX);
            small.ok_or_else(|| node.fault(format!("a padding of {value}")))
        };
        let pads = match node.ints("pads")? {
            None => (0, 0),
            Some(&[before, after]) => (pad(before)?, pad(after)?),
            Some(values) => return Err(node.fault(format!("'pads' is {values:?}, two numbers expected"))),
        };
        let groups = usize::try_from(node.int("group", 1)?).ok().filter(|&groups| groups > 0);
        let groups = groups.filter(|groups| outputs % groups == 0);
        let groups = groups.ok_or_else(|| node.fault(format!("'group' does not divide {outputs} outputs")))?;
        if kernel == 0 {
            return Err(node.fault("an empty kernel"));
        }
        Ok(Self { kernel, stride: positive("strides")?, dilation: positive("dilations")?, pads, groups })
    }

    /// Points from the kernel's first tap to its last.
    fn extent(&self) -> usize {
        self.dilation * (self.kernel - 1)
    }
}

/// Strides, dilations and paddings stay far below any axis's length.
const PADDING_MAX: usize = 1 << 16;

impl Operator for Conv {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let settings = Settings::of(graph, node)?;
        let input = graph.operand_shape(node, 0)?;
        let &[batch, channels, length] = input else {
            return Err(node.fault(format!("an operand of shape {input:?}; only one-dimensional Conv is supported")));
        };
        let weights = graph.operand_shape(node, 1)?;
        if weights[1].checked_mul(settings.groups) != Some(channels) {
            return Err(node.fault(format!("weights of shape {weights:?} for {channels} channels")));
        }
        let padded = length + settings.pads.0 + settings.pads.1;
        let room = padded.checked_sub(settings.extent() + 1);
        let room = room.ok_or_else(|| node.fault(format!("a kernel longer than the {padded} padded points")))?;
        Ok(vec![batch, weights[0], room / settings.stride + 1])
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let Settings { kernel, stride, dilation, pads, groups } = Settings::of(graph, node)?;
        let (input, weights) = (operand(node, operands, 0)?, operand(node, operands, 1)?);
        let bias = operands.get(2).copied().flatten();
        let mut shape = self.shape(graph, node)?;
        shape[0] = input.shape()[0];
        let (channels, length) = (input.shape()[1], input.shape()[2]);
        let (outputs, cells) = (shape[1], shape[2]);
        let (group_in, group_out) = (channels / groups, outputs / groups);
        let mut result = Tensor::zeros(shape);
        for (row, cells_of) in result.data_mut().chunks_exact_mut(cells).enumerate() {
            let (batch, output) = (row / outputs, row % outputs);
            let base = bias.and_then(|bias| bias.data().get(output)).copied().unwrap_or(0.0);
            cells_of.fill(base);
            for c in 0..group_in {
                let channel = output / group_out * group_in + c;
                let line = &input.data()[(batch * channels + channel) * length..][..length];
                for t in 0..kernel {
                    let weight = weights.data()[(output * group_in + c) * kernel + t];
                    for (i, cell) in cells_of.iter_mut().enumerate() {
                        let position = (stride * i + dilation * t).checked_sub(pads.0);
                        *cell += weight * position.and_then(|position| line.get(position)).copied().unwrap_or(0.0);
                    }
                }
            }
        }
        Ok(result)
    }

    /// The transposed convolution, one phase of the stride at a time.
    ///
    /// Point x[s·j + r] receives W[t] · dy[j + (r + p − d·t) / s] for every tap t for which the division is exact. That is
    /// a convolution of dy with stride 1 and a kernel of its own for each phase r; the s results are interleaved. With
    /// s = 1 there is one phase, and its kernel is W flipped.
    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        if index != 0 {
            return Err(node.fault("weights that depend on the target"));
        }
        let Settings { kernel, stride, dilation, pads, groups } = Settings::of(graph, node)?;
        let own = cotangent_shape(graph, node, 0, cotangent)?;
        let (batch, channels, length) = (own[0], own[1], own[2]);
        let cells = graph.shape(cotangent)?[2];
        let weights = graph.constant_operand(node, 1)?;
        let outputs = weights.shape()[0];
        let (group_in, group_out) = (channels / groups, outputs / groups);

        let signed = |value: usize| value as isize;
        let taps: Vec<(usize, usize, isize)> = (0..stride)
            .flat_map(|phase| (0..kernel).map(move |tap| (phase, tap)))
            .filter_map(|(phase, tap)| {
                let distance = signed(phase + pads.0) - signed(dilation * tap);
                (distance % signed(stride) == 0).then(|| (phase, tap, distance / signed(stride)))
            })
            .collect();
        let nearest = taps.iter().map(|&(.., offset)| offset).min().unwrap_or(0);
        let farthest = taps.iter().map(|&(.., offset)| offset).max().unwrap_or(0);
        let extent = (farthest - nearest) as usize + 1;
        elements(&[channels, stride, group_out, extent])?;
        let mut phased = Tensor::zeros(vec![channels * stride, group_out, extent]);
        for &(phase, tap, offset) in &taps {
            let place = (offset - nearest) as usize;
            for channel in 0..channels {
                let (group, c) = (channel / group_in, channel % group_in);
                for o in 0..group_out {
                    let weight = weights.data()[((group * group_out + o) * group_in + c) * kernel + tap];
                    phased.data_mut()[((channel * stride + phase) * group_out + o) * extent + place] = weight;
                }
            }
        }

        // Where the gradient looks beyond the cells there are, it sees zeros; where it never looks, cells are cut off.
        let steps = length.div_ceil(stride);
        let (before, after) = (-nearest, signed(steps) - signed(cells) + farthest);
        let cut = |side: isize| side.min(0).unsigned_abs();
        if cut(before) + cut(after) >= cells {
            let zeros = Tensor::zeros(own);
            return graph.emit_constant(zeros);
        }
        let seen = graph.emit_slice(cotangent, 2, cut(before), cells - cut(after))?;
        let kernels = graph.emit_constant(phased)?;
        let attributes = vec![
            proto::ints("kernel_shape", &[extent as i64]),
            proto::ints("pads", &[before.max(0) as i64, after.max(0) as i64]),
            proto::ints("strides", &[1]),
            proto::int("group", groups as i64),
        ];
        let mut phases = graph.emit("Conv", &[&seen, &kernels], attributes)?;
        if stride > 1 {
            phases = graph.emit_reshape(&phases, &[batch, channels, stride, steps])?;
            phases = graph.emit("Transpose", &[&phases], vec![proto::ints("perm", &[0, 1, 3, 2])])?;
            phases = graph.emit_reshape(&phases, &[batch, channels, steps * stride])?;
        }
        graph.emit_slice(&phases, 2, 0, length)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        let settings = Settings::of(graph, node).ok()?;
        let reach = operands.first().copied().flatten()?;
        reach.along(2)?.convolved(settings.extent(), settings.stride, settings.pads.0)
    }

    fn cost(&self, graph: &Graph, node: &Node, output: &[usize]) -> u64 {
        let weights = graph.operand_shape(node, 1).unwrap_or(&[]);
        weights.iter().skip(1).chain(output).fold(1, |product: u64, &size| product.saturating_mul(size as u64))
    }
}

impl Gemm {
    /// Whether B is transposed, after refusing what is not supported.
    fn transposed(node: &Node) -> Result<bool, GradientError> {
        match node.int("transA", 0)? {
            0 => Ok(node.int("transB", 0)? != 0),
            _ => Err(node.fault("a transposed first operand would mix the batch with the features")),
        }
    }
}

impl Operator for Gemm {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let transposed = Self::transposed(node)?;
        match (graph.operand_shape(node, 0)?, graph.operand_shape(node, 1)?) {
            (&[rows, inner], &[other, columns]) if !transposed && inner == other => Ok(vec![rows, columns]),
            (&[rows, inner], &[columns, other]) if transposed && inner == other => Ok(vec![rows, columns]),
            (left, right) => Err(node.fault(format!("operands of shapes {left:?} and {right:?}"))),
        }
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let (left, right) = (operand(node, operands, 0)?, operand(node, operands, 1)?);
        let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
        let transposed = Self::transposed(node)?;
        let (rows, inner) = (left.shape()[0], left.shape()[1]);
        let columns = right.shape()[usize::from(!transposed)];
        let along = if transposed { (inner, 1) } else { (1, columns) };
        let mut result = Tensor::zeros(vec![rows, columns]);
        let bias = operands.get(2).copied().flatten();
        for (place, value) in result.data_mut().iter_mut().enumerate() {
            let (row, column) = (place / columns, place % columns);
            let products =
                (0..inner).map(|k| left.data()[row * inner + k] * right.data()[column * along.0 + k * along.1]);
            *value = alpha * products.sum::<f64>();
            if let Some(bias) = bias {
                // C has the shape of a row, of a scalar, or of the result.
                let term = match bias.data().len() {
                    1 => bias.data()[0],
                    count if count == columns => bias.data()[column],
                    count if count == rows * columns => bias.data()[place],
                    _ => return Err(node.fault(format!("a third operand of shape {:?}", bias.shape()))),
                };
                *value += beta * term;
            }
        }
        Ok(result)
    }

    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        if index != 0 {
            return Err(node.fault(format!("operand {index} depends on the target")));
        }
        let weights = node.input(1).ok_or_else(|| node.fault("operand 1 is missing"))?;
        // As y = x W, the cotangent goes through Wᵀ; a transposed operand is Wᵀ already.
        let back = match Self::transposed(node)? {
            true => weights.to_owned(),
            false => graph.emit("Transpose", &[weights], vec![proto::ints("perm", &[1, 0])])?,
        };
        let through = graph.emit("MatMul", &[cotangent, &back], Vec::new())?;
        let alpha = node.float("alpha", 1.0)?;
        if alpha == 1.0 {
            return Ok(through);
        }
        let alpha = graph.emit_constant(Tensor::new(vec![1], vec![alpha]))?;
        graph.emit("Mul", &[&through, &alpha], Vec::new())
    }

    fn reach(&self, _graph: &Graph, _node: &Node, _operands: &[Option<Reach>]) -> Option<Reach> {
        None
    }

    fn cost(&self, graph: &Graph, node: &Node, output: &[usize]) -> u64 {
        product_cost(graph, node, output)
    }
}

impl Operator for MatMul {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let (left, right) = (graph.operand_shape(node, 0)?, graph.operand_shape(node, 1)?);
        let fault = || node.fault(format!("operands of shapes {left:?} and {right:?}; a vector is not supported"));
        let ([left_batch @ .., rows, inner], [right_batch @ .., other, columns]) = (left, right) else {
            return Err(fault());
        };
        let batch = match (left_batch, right_batch) {
            (batch, []) | ([], batch) => batch,
            (left, right) if left == right => left,
            _ => return Err(fault()),
        };
        if inner != other {
            return Err(fault());
        }
        Ok(batch.iter().copied().chain([*rows, *columns]).collect())
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let (left, right) = (operand(node, operands, 0)?, operand(node, operands, 1)?);
        let ([left_batch @ .., rows, inner], [right_batch @ .., _, columns]) = (left.shape(), right.shape()) else {
            return Err(node.fault("an operand is a vector"));
        };
        let (rows, inner, columns) = (*rows, *inner, *columns);
        let batch = if left_batch.is_empty() { right_batch } else { left_batch };
        let shape: Vec<usize> = batch.iter().copied().chain([rows, columns]).collect();
        let step = |own: &[usize], size: usize| if own.is_empty() { 0 } else { size };
        let (left_step, right_step) = (step(left_batch, rows * inner), step(right_batch, inner * columns));
        let mut result = Tensor::zeros(shape);
        for (place, value) in result.data_mut().iter_mut().enumerate() {
            let (matrix, row, column) = (place / (rows * columns), place / columns % rows, place % columns);
            let left = &left.data()[matrix * left_step + row * inner..][..inner];
            let right = &right.data()[matrix * right_step + column..];
            *value = left.iter().zip(right.iter().step_by(columns)).map(|(left, right)| left * right).sum();
        }
        Ok(result)
    }

    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let weights = node.input(1 - index.min(1)).ok_or_else(|| node.fault("an operand is missing"))?.to_owned();
        if graph.constant(&weights).is_none() || graph.shape(&weights)?.len() != 2 {
            return Err(node.fault("a product of two values that are not constant matrices"));
        }
        cotangent_shape(graph, node, index, cotangent)?;
        let transposed = graph.emit("Transpose", &[&weights], vec![proto::ints("perm", &[1, 0])])?;
        match index {
            0 => graph.emit("MatMul", &[cotangent, &transposed], Vec::new()),
            _ => graph.emit("MatMul", &[&transposed, cotangent], Vec::new()),
        }
    }

    fn reach(&self, _graph: &Graph, _node: &Node, _operands: &[Option<Reach>]) -> Option<Reach> {
        None
    }

    fn cost(&self, graph: &Graph, node: &Node, output: &[usize]) -> u64 {
        product_cost(graph, node, output)
    }
}

fn product_cost(graph: &Graph, node: &Node, output: &[usize]) -> u64 {
    let inner = graph.operand_shape(node, 0).ok().and_then(|shape| shape.last()).copied().unwrap_or(1);
    strides(output).first().zip(output.first()).map_or(1, |(stride, size)| (stride * size) as u64 * inner as u64)
}
