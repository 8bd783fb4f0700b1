//! Convolutions along one, two or three axes.

use super::operator::{Operator, operand};
use super::phases;
use super::window::{self, SPATIAL, Slide, slides};
use crate::error::GradientError;
use crate::graph::Graph;
use crate::node::Node;
use crate::reach::Reach;
use crate::tensor::Tensor;

/// Cross-correlation: y[o, i] = b[o] + Σ_c Σ_t W[o, c, t] · x[c, s·i + d·t − p], with i and t along every spatial axis.
pub(super) struct Conv;

impl Conv {
    /// The slides, and the number of groups.
    fn settings(graph: &Graph, node: &Node) -> Result<(Vec<Slide>, usize), GradientError> {
        let weights = graph.operand_shape(node, 1)?;
        let &[outputs, _, ref kernel @ ..] = weights else {
            return Err(node.fault(format!("weights of shape {weights:?}")));
        };
        let groups = usize::try_from(node.int("group", 1)?).ok().filter(|&groups| groups > 0);
        let groups = groups.filter(|groups| outputs > 0 && outputs % groups == 0);
        let groups = groups.ok_or_else(|| node.fault(format!("'group' does not divide {outputs} outputs")))?;
        Ok((slides(graph, node, kernel)?, groups))
    }
}

impl Operator for Conv {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let (slides, groups) = Self::settings(graph, node)?;
        let (input, weights) = (graph.operand_shape(node, 0)?, graph.operand_shape(node, 1)?);
        let (batch, channels) = (input[0], input[1]);
        if weights[1].checked_mul(groups) != Some(channels) {
            return Err(node.fault(format!("weights of shape {weights:?} for {channels} channels")));
        }
        Ok([batch, weights[0]].into_iter().chain(slides.iter().map(|slide| slide.cells)).collect())
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let (slides, groups) = Self::settings(graph, node)?;
        let (input, weights) = (operand(node, operands, 0)?, operand(node, operands, 1)?);
        let bias = operands.get(2).copied().flatten();
        let (batch, channels) = (input.shape()[0], input.shape()[1]);
        let points: usize = input.shape()[SPATIAL..].iter().product();
        let (outputs, cells, taps) = (weights.shape()[0], window::cells(&slides), window::taps(&slides));
        let (group_in, group_out) = (channels / groups, outputs / groups);
        let shape = [batch, outputs].into_iter().chain(slides.iter().map(|slide| slide.cells));
        let mut result = Tensor::zeros(shape.collect());
        for (row, cells_of) in result.data_mut().chunks_exact_mut(cells).enumerate() {
            cells_of.fill(bias.and_then(|bias| bias.data().get(row % outputs)).copied().unwrap_or(0.0));
        }
        for tap in 0..taps {
            let under: Vec<Option<usize>> = window::under(&slides, tap).collect();
            for (row, cells_of) in result.data_mut().chunks_exact_mut(cells).enumerate() {
                let (batch, output) = (row / outputs, row % outputs);
                for c in 0..group_in {
                    let channel = output / group_out * group_in + c;
                    let line = &input.data()[(batch * channels + channel) * points..][..points];
                    let weight = weights.data()[(output * group_in + c) * taps + tap];
                    for (cell, place) in cells_of.iter_mut().zip(&under) {
                        *cell += place.map_or(0.0, |place| weight * line[place]);
                    }
                }
            }
        }
        Ok(result)
    }

    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        if index != 0 {
            return Err(node.fault("weights that depend on the target"));
        }
        let (slides, groups) = Self::settings(graph, node)?;
        let weights = graph.constant_operand(node, 1)?.clone();
        phases::transposed(graph, cotangent, &slides, &weights, groups)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        let (slides, _) = Self::settings(graph, node).ok()?;
        window::reach(&slides, operands.first().copied().flatten())
    }

    fn cost(&self, graph: &Graph, node: &Node, output: &[usize]) -> u64 {
        let weights = graph.operand_shape(node, 1).unwrap_or(&[]);
        weights.iter().skip(1).chain(output).fold(1, |product: u64, &size| product.saturating_mul(size as u64))
    }
}

/// The transpose of a convolution: y[o, s·i + d·t − p] += W[c, o, t] · x[c, i].
pub(super) struct ConvTranspose;

impl ConvTranspose {
    /// The convolution that this is the transpose of, and the number of groups: its operand is this one's output.
    fn settings(graph: &Graph, node: &Node) -> Result<(Vec<Slide>, usize), GradientError> {
        let (input, weights) = (graph.operand_shape(node, 0)?, graph.operand_shape(node, 1)?);
        let (&[_, channels, ref cells @ ..], &[inputs, _, ref kernel @ ..]) = (input, weights) else {
            return Err(node.fault(format!("weights of shape {weights:?} for an operand of shape {input:?}")));
        };
        if node.ints("output_shape")?.is_some() || node.text("auto_pad")?.is_some_and(|policy| policy != b"NOTSET") {
            return Err(node.fault("'output_shape' or 'auto_pad': export with explicit 'pads'"));
        }
        let groups = usize::try_from(node.int("group", 1)?).ok().filter(|&groups| groups > 0);
        let groups = groups.filter(|groups| channels == inputs && channels % groups == 0);
        let groups =
            groups.ok_or_else(|| node.fault(format!("weights of shape {weights:?} for {channels} channels")))?;
        let slides = window::transposed_slides(node, kernel, cells)?;
        Ok((slides, groups))
    }
}

impl Operator for ConvTranspose {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let (slides, groups) = Self::settings(graph, node)?;
        let outputs = graph.operand_shape(node, 1)?[1].saturating_mul(groups);
        let batch = graph.operand_shape(node, 0)?[0];
        Ok([batch, outputs].into_iter().chain(slides.iter().map(|slide| slide.length)).collect())
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let (slides, groups) = Self::settings(graph, node)?;
        let (input, weights) = (operand(node, operands, 0)?, operand(node, operands, 1)?);
        let bias = operands.get(2).copied().flatten();
        let (batch, channels, group_out) = (input.shape()[0], input.shape()[1], weights.shape()[1]);
        let (outputs, cells, taps) = (group_out * groups, window::cells(&slides), window::taps(&slides));
        let mut result = Tensor::zeros(self.shape(graph, node)?);
        let points: usize = slides.iter().map(|slide| slide.length).product();
        for (row, line) in result.data_mut().chunks_exact_mut(points).enumerate() {
            line.fill(bias.and_then(|bias| bias.data().get(row % outputs)).copied().unwrap_or(0.0));
        }
        for tap in 0..taps {
            let under: Vec<Option<usize>> = window::under(&slides, tap).collect();
            for row in 0..batch * channels {
                let (batch, channel) = (row / channels, row % channels);
                let group = channel / (channels / groups);
                for o in 0..group_out {
                    let weight = weights.data()[(channel * group_out + o) * taps + tap];
                    let start = (batch * outputs + group * group_out + o) * points;
                    for (cell, place) in input.data()[row * cells..][..cells].iter().zip(&under) {
                        if let Some(place) = place {
                            result.data_mut()[start + place] += weight * cell;
                        }
                    }
                }
            }
        }
        Ok(result)
    }

    /// The convolution itself, with the same weights.
    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let weights = node.input(1).filter(|_| index == 0);
        let weights = weights.ok_or_else(|| node.fault("weights that depend on the target"))?;
        let (slides, groups) = Self::settings(graph, node)?;
        graph.emit("Conv", &[cotangent, weights], window::attributes(&slides, groups))
    }

    /// Between the cells of the operand there are new ones, which lie at fractions of its distance.
    fn reach(&self, _graph: &Graph, _node: &Node, _operands: &[Option<Reach>]) -> Option<Reach> {
        None
    }

    fn cost(&self, graph: &Graph, node: &Node, _output: &[usize]) -> u64 {
        let input = graph.operand_shape(node, 0).unwrap_or(&[]).iter();
        let weights = graph.operand_shape(node, 1).unwrap_or(&[]).iter().skip(1);
        input.chain(weights).fold(1, |product: u64, &size| product.saturating_mul(size as u64))
    }
}
