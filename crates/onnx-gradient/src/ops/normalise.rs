//! Operators that divide by a spread or a sum: normalisations and softmax.

use super::elementwise::common_shape;
use super::operator::{Operator, operand};
use crate::error::GradientError;
use crate::graph::Graph;
use crate::node::Node;
use crate::reach::Reach;
use crate::tensor::{Tensor, strides};

/// eˣ divided by its sum over some axes, or the logarithm of that.
pub(super) struct Softmax {
    logarithm: bool,
}
/// Scale and offset of each channel, from statistics of the training.
pub(super) struct BatchNormalization;
/// (x − mean) / √(variance + ε) · scale + offset over some axes of the operand itself.
pub(super) struct Standardisation {
    axes: fn(&Graph, &Node) -> Result<Groups, GradientError>,
}

pub(super) static SOFTMAX: Softmax = Softmax { logarithm: false };
pub(super) static LOG_SOFTMAX: Softmax = Softmax { logarithm: true };
pub(super) static LAYER_NORMALIZATION: Standardisation = Standardisation { axes: Groups::layer };
pub(super) static INSTANCE_NORMALIZATION: Standardisation = Standardisation { axes: Groups::instance };
pub(super) static GROUP_NORMALIZATION: Standardisation = Standardisation { axes: Groups::group };

impl Softmax {
    /// The axes summed over: before operator set 13 every axis from the given one on, since then that one alone.
    fn axes(graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let rank = graph.operand_shape(node, 0)?.len();
        if graph.operator_set() >= 13 {
            return Ok(vec![node.axis(node.int("axis", -1)?, rank)?]);
        }
        Ok((node.axis(node.int("axis", 1)?, rank)?..rank).collect())
    }
}

impl Operator for Softmax {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        graph.operand_shape(node, 0).map(<[usize]>::to_vec)
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let axes = Self::axes(graph, node)?;
        let mut value = operand(node, operands, 0)?.clone();
        let places = grouping(value.shape(), &axes);
        let groups = places.iter().max().map_or(0, |last| last + 1);
        let mut greatest = vec![f64::NEG_INFINITY; groups];
        value.data().iter().zip(&places).for_each(|(element, &group)| greatest[group] = greatest[group].max(*element));
        let mut sums = vec![0.0; groups];
        for (element, &group) in value.data().iter().zip(&places) {
            sums[group] += (element - greatest[group]).exp();
        }
        for (element, &group) in value.data_mut().iter_mut().zip(&places) {
            let logarithm = *element - greatest[group] - sums[group].ln();
            *element = if self.logarithm { logarithm } else { logarithm.exp() };
        }
        Ok(value)
    }

    /// y (c − Σ c y), or c − eʸ Σ c.
    fn backward(
        &self,
        graph: &mut Graph,
        node: &Node,
        _index: usize,
        cotangent: &str,
    ) -> Result<String, GradientError> {
        let axes = Self::axes(graph, node)?;
        if self.logarithm {
            let sum = graph.emit_sum(cotangent, &axes)?;
            let probability = graph.emit_of("Exp", node.output())?;
            let shared = graph.emit_pair("Mul", &probability, &sum)?;
            return graph.emit_pair("Sub", cotangent, &shared);
        }
        let weighted = graph.emit_pair("Mul", cotangent, node.output())?;
        let sum = graph.emit_sum(&weighted, &axes)?;
        let shared = graph.emit_pair("Mul", node.output(), &sum)?;
        graph.emit_pair("Sub", &weighted, &shared)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        apart(operands, &Self::axes(graph, node).ok()?)
    }
}

/// Each cell stays where it is, and is put in context where the operator takes a sum over the cells.
fn apart(operands: &[Option<Reach>], mixed: &[usize]) -> Option<Reach> {
    let reach = operands.first().copied().flatten()?;
    Some(if mixed.contains(&reach.axis) { reach.in_context() } else { reach })
}

/// For each element, the number of the group it is normalised in: elements that differ along `axes` alone are together.
fn grouping(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    let kept: Vec<usize> =
        shape.iter().enumerate().map(|(axis, &size)| if axes.contains(&axis) { 1 } else { size }).collect();
    let (from, to) = (strides(shape), strides(&kept));
    let group = |place: usize| {
        (0..shape.len()).filter(|&axis| kept[axis] > 1).map(|axis| place / from[axis] % shape[axis] * to[axis]).sum()
    };
    (0..shape.iter().product()).map(group).collect()
}

impl BatchNormalization {
    /// What the operand is multiplied by: scale / √(variance + ε), and the constants by their index.
    fn factors(graph: &Graph, node: &Node) -> Result<Vec<f64>, GradientError> {
        if node.int("training_mode", 0)? != 0 {
            return Err(node.fault("it is in training mode: export the model in evaluation mode"));
        }
        let shape = graph.operand_shape(node, 0)?;
        let &[_, channels, ..] = shape else {
            return Err(node.fault(format!("an operand of shape {shape:?} without channels")));
        };
        let epsilon = node.float("epsilon", 1e-5)?;
        let constant = |index: usize| -> Result<&[f64], GradientError> {
            let values = graph.constant_operand(node, index)?.data();
            let fault = || node.fault(format!("operand {index} has {} numbers for {channels} channels", values.len()));
            if values.len() == channels { Ok(values) } else { Err(fault()) }
        };
        let (scale, _, _, variance) = (constant(1)?, constant(2)?, constant(3)?, constant(4)?);
        Ok(scale.iter().zip(variance).map(|(scale, variance)| scale / (variance + epsilon).sqrt()).collect())
    }
}

impl Operator for BatchNormalization {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        graph.operand_shape(node, 0).map(<[usize]>::to_vec)
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let factors = Self::factors(graph, node)?;
        let (offset, mean) = (graph.constant_operand(node, 2)?.data(), graph.constant_operand(node, 3)?.data());
        let mut value = operand(node, operands, 0)?.clone();
        let points: usize = value.shape().iter().skip(2).product();
        for (row, line) in value.data_mut().chunks_exact_mut(points.max(1)).enumerate() {
            let channel = row % factors.len();
            line.iter_mut().for_each(|x| *x = (*x - mean[channel]) * factors[channel] + offset[channel]);
        }
        Ok(value)
    }

    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        if index != 0 {
            return Err(node.fault(format!("operand {index} depends on the target")));
        }
        let factors = Self::factors(graph, node)?;
        let mut shape = vec![1; graph.operand_shape(node, 0)?.len()];
        shape[1] = factors.len();
        let factors = graph.emit_constant(Tensor::new(shape, factors))?;
        graph.emit_pair("Mul", cotangent, &factors)
    }
}

/// How the operand of a normalisation is divided into groups, each with a mean and a spread of its own.
struct Groups {
    /// The operand's shape, with the channels of a GroupNormalization divided over two axes.
    shape: Vec<usize>,
    /// The axes within a group.
    axes: Vec<usize>,
    /// The shape of scale and offset, as they broadcast over `shape`.
    affine: Vec<usize>,
}

impl Groups {
    /// From an axis on.
    fn layer(graph: &Graph, node: &Node) -> Result<Self, GradientError> {
        let shape = graph.operand_shape(node, 0)?.to_vec();
        let axis = node.axis(node.int("axis", -1)?, shape.len())?;
        let affine = graph.operand_shape(node, 1)?.to_vec();
        if common_shape(&affine, &shape).as_ref() != Some(&shape) {
            return Err(node.fault(format!("a scale of shape {affine:?} for an operand of shape {shape:?}")));
        }
        Ok(Self { axes: (axis..shape.len()).collect(), affine, shape })
    }

    /// Each channel apart.
    fn instance(graph: &Graph, node: &Node) -> Result<Self, GradientError> {
        let shape = graph.operand_shape(node, 0)?.to_vec();
        let mut affine = vec![1; shape.len()];
        let channels = affine.get_mut(1).ok_or_else(|| node.fault(format!("an operand of shape {shape:?}")))?;
        *channels = shape[1];
        Ok(Self { axes: (2..shape.len()).collect(), affine, shape })
    }

    /// Some channels together; scale and offset are the group's before operator set 21, and the channel's since.
    fn group(graph: &Graph, node: &Node) -> Result<Self, GradientError> {
        let given = graph.operand_shape(node, 0)?;
        let groups = usize::try_from(node.int("num_groups", 0)?).unwrap_or(0);
        let &[batch, channels, ref spatial @ ..] = given else {
            return Err(node.fault(format!("an operand of shape {given:?}")));
        };
        if groups == 0 || channels % groups != 0 {
            return Err(node.fault(format!("'num_groups' is {groups} for {channels} channels")));
        }
        let own = if graph.operator_set() < 21 { 1 } else { channels / groups };
        let shape: Vec<usize> = [batch, groups, channels / groups].iter().chain(spatial).copied().collect();
        let affine = [1, groups, own].into_iter().chain(spatial.iter().map(|_| 1)).collect();
        Ok(Self { axes: (2..shape.len()).collect(), affine, shape })
    }

    /// How many elements a group has.
    fn size(&self) -> usize {
        self.axes.iter().map(|&axis| self.shape[axis]).product()
    }
}

impl Operator for Standardisation {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let groups = (self.axes)(graph, node)?;
        for index in (1..3).filter(|&index| node.input(index).is_some()) {
            let found: usize = graph.operand_shape(node, index)?.iter().product();
            let affine: usize = groups.affine.iter().product();
            if found != affine {
                return Err(node.fault(format!("operand {index} has {found} numbers instead of {affine}")));
            }
        }
        graph.operand_shape(node, 0).map(<[usize]>::to_vec)
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let groups = (self.axes)(graph, node)?;
        let epsilon = node.float("epsilon", 1e-5)?;
        let given = operand(node, operands, 0)?;
        // A cotangent's rows come first, so the batch may be larger than the graph's.
        let mut value = given.clone();
        let mut shape = groups.shape.clone();
        shape[0] *= given.data().len() / shape.iter().product::<usize>().max(1);
        let places = grouping(&shape, &groups.axes);
        let count = groups.size() as f64;
        let mut means = vec![0.0; places.iter().max().map_or(0, |last| last + 1)];
        let mut variances = means.clone();
        value.data().iter().zip(&places).for_each(|(element, &group)| means[group] += element / count);
        for (element, &group) in value.data().iter().zip(&places) {
            variances[group] += (element - means[group]).powi(2) / count;
        }
        for (element, &group) in value.data_mut().iter_mut().zip(&places) {
            *element = (*element - means[group]) / (variances[group] + epsilon).sqrt();
        }
        let rank = shape.len();
        let affine = |index: usize| operands.get(index).copied().flatten().map(Tensor::data);
        let padded: Vec<usize> =
            std::iter::repeat_n(1, rank - groups.affine.len()).chain(groups.affine.iter().copied()).collect();
        let others: Vec<usize> = (0..rank).filter(|&axis| padded[axis] == 1).collect();
        let of_affine = grouping(&shape, &others);
        for (element, &place) in value.data_mut().iter_mut().zip(&of_affine) {
            let at = |index: usize| affine(index).and_then(|values| values.get(place)).copied();
            *element = *element * at(1).unwrap_or(1.0) + at(2).unwrap_or(0.0);
        }
        Ok(value)
    }

    /// With x̂ the normalised operand, g the cotangent times the scale, and means over a group:
    /// (g − mean g − x̂ · mean(g x̂)) / √(variance + ε).
    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let value = node.input(0).filter(|_| index == 0);
        let value = value.ok_or_else(|| node.fault(format!("operand {index} depends on the target")))?;
        let groups = (self.axes)(graph, node)?;
        let epsilon = node.float("epsilon", 1e-5)?;
        let own = graph.shape(cotangent)?.to_vec();
        let mut rows = groups.shape.clone();
        rows[0] = own[0];

        let value = graph.emit_reshape(value, &groups.shape)?;
        let mean = graph.emit_mean(&value, &groups.axes)?;
        let centred = graph.emit_pair("Sub", &value, &mean)?;
        let square = graph.emit_pair("Mul", &centred, &centred)?;
        let variance = graph.emit_mean(&square, &groups.axes)?;
        let offset = graph.emit_with("Add", &variance, epsilon)?;
        let spread = graph.emit_of("Sqrt", &offset)?;
        let inverse = graph.emit_of("Reciprocal", &spread)?;
        let standardised = graph.emit_pair("Mul", &centred, &inverse)?;

        let mut scaled = graph.emit_reshape(cotangent, &rows)?;
        if let Some(scale) = node.input(1) {
            let scale = graph.emit_reshape(scale, &groups.affine)?;
            scaled = graph.emit_pair("Mul", &scaled, &scale)?;
        }
        let mean = graph.emit_mean(&scaled, &groups.axes)?;
        let along = graph.emit_pair("Mul", &scaled, &standardised)?;
        let along = graph.emit_mean(&along, &groups.axes)?;
        let along = graph.emit_pair("Mul", &standardised, &along)?;
        let rest = graph.emit_pair("Sub", &scaled, &mean)?;
        let rest = graph.emit_pair("Sub", &rest, &along)?;
        let result = graph.emit_pair("Mul", &rest, &inverse)?;
        graph.emit_reshape(&result, &own)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        // The groups of a GroupNormalization and an InstanceNormalization hold every spatial axis.
        let groups = (self.axes)(graph, node).ok()?;
        let rank = graph.operand_shape(node, 0).ok()?.len();
        let added = groups.shape.len() - rank;
        let mixed: Vec<usize> = groups.axes.iter().map(|&axis| axis.saturating_sub(added)).collect();
        apart(operands, &mixed)
    }
}
