//! Attaching: what is asked of a graph, and what is known of the answer before it runs.

use std::collections::{HashMap, HashSet};

use super::error::GradientError;
use super::geometry::{Reach, reaches};
use super::graph::Graph;
use super::positions::{Positions, input_axis};
use super::proto;
use super::seed::{Seed, winner};
use super::select::avoiding;
use super::shapes::pin_all;
use super::tensor::{Tensor, elements, strides};
use super::walk::{TRIED_MAX, constant_gradient, depends, first_nonlinear, walk};
use crate::onnx::ModelProto;

/// The name that `ramand model attach` gives to the output that holds the explained layer.
pub const ACTIVATION: &str = "grad/activation";
/// To the output that holds the gradient.
pub const GRADIENT: &str = "grad/gradient";
/// To the output that holds the map itself, where all behind the layer is linear.
pub const MAP: &str = "grad/map";

/// A tensor to differentiate with respect to, and the names of the outputs that will hold it and the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// A value of the graph: [1, maps, cells], [1, cells, maps], or an image of height 1.
    pub tensor: &'a str,
    /// New output: the value itself. May be the same name.
    pub activation: &'a str,
    /// New output: ∂output/∂tensor, of the tensor's shape with [`Seed::rows`] on the first axis.
    pub gradient: &'a str,
}

/// A graph with its gradient.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The model, with two more outputs for each target, after its own.
    pub model: ModelProto,
    /// In the order they were asked for.
    pub targets: Vec<AttachedTarget>,
    /// Whether the output also depends on the graph's input along a path on which no target lies: then the maps cannot
    /// add up to the output.
    pub bypassed: bool,
}

/// What is known about a target before the model runs.
#[derive(Debug, Clone)]
pub struct AttachedTarget {
    /// Outputs of the network.
    pub outputs: usize,
    /// Channels of the target.
    pub maps: usize,
    /// Positions of the target.
    pub cells: usize,
    /// The target's own shape.
    pub shape: Vec<usize>,
    /// Which of its axes count maps and cells.
    pub positions: Positions,
    /// ∂output/∂tensor of every output, [outputs, …] with the target's other axes, where it is the same for every input:
    /// behind the target all is linear.
    pub constant: Option<Vec<f32>>,
    /// Where the cells look on the input axis (the points of the first input); `None` where position is lost.
    pub reach: Option<Reach>,
}

impl AttachedTarget {
    /// Whether the gradient is the same at every cell, so that 1D Grad-CAM equals CAM: a global average with a linear
    /// head. An earlier layer tells more.
    pub fn position_independent(&self) -> bool {
        self.constant.as_ref().is_some_and(|gradient| self.positions.uniform(&self.shape, gradient))
    }
}

/// Attaches ∂`output`/∂target for every target, every target held fixed while differentiating by another, so that targets
/// may lie behind one another (a skip from the input, and the trunk).
///
/// `output` has a batch of size 1; its other elements are the outputs. Of the new inputs, outputs and nodes, all but the
/// names in `targets` and the seed's own input begin with `grad/`. What the file leaves open of its inputs' batch is 1
/// from then on.
///
/// # Errors
/// When the graph is not valid, a name unknown, a shape another one, an operator on the way without a rule, or when the
/// output does not depend on a target.
pub fn attach(model: &ModelProto, output: &str, seed: Seed, targets: &[Target<'_>]) -> Result<Attached, GradientError> {
    let mut graph = Graph::new(model)?;
    let outputs = outputs(&graph, output)?;
    let tensors: Vec<&str> = targets.iter().map(|target| target.tensor).collect();
    let mut found = describe(&graph, output, outputs, &tensors, seed).map_err(|error| advise(&graph, output, error))?;
    let bypassed = graph.inputs().iter().any(|input| depends(&graph, input, output, &tensors));
    let file = File::of(model, &graph);
    let start = seed.plant(&mut graph, output, outputs)?;
    let gradients = walk(&mut graph, output, start, &tensors).map_err(|error| advise(&graph, output, error))?;
    for ((target, gradient), facts) in targets.iter().zip(&gradients).zip(&mut found) {
        if seed == Seed::All {
            facts.constant = graph.constant(gradient).map(Tensor::to_f32);
        }
        if target.activation != target.tensor {
            graph.emit_as(target.activation, target.tensor)?;
        }
        graph.emit_as(target.gradient, gradient)?;
    }
    let added: Vec<&str> = targets.iter().flat_map(|target| [target.activation, target.gradient]).collect();
    Ok(Attached { model: file.with(graph, &added)?, targets: found, bypassed })
}

/// Of which outputs a map is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapOf {
    /// The greatest output of each run; the first of equals.
    Winner,
    /// Every output.
    All,
}

/// Attaches M\[o, i\] = Σ_k ∂y_o/∂A\[k, i\] · A\[k, i\] itself, as the output `map`, [1, cells] or [outputs, cells]: where all behind
/// the target is linear, the gradient is a constant and there is nothing to walk through.
///
/// # Errors
/// As [`attach`], and when the gradient depends on the input: the first node that makes it so is named.
pub fn attach_map(
    model: &ModelProto,
    output: &str,
    of: MapOf,
    tensor: &str,
    map: &str,
) -> Result<Attached, GradientError> {
    let mut graph = Graph::new(model)?;
    let outputs = outputs(&graph, output)?;
    let described = describe(&graph, output, outputs, &[tensor], Seed::ArgMax);
    let target = described.map_err(|error| advise(&graph, output, error))?.remove(0);
    let bypassed = graph.inputs().iter().any(|input| depends(&graph, input, output, &[tensor]));
    let Some(constant) = &target.constant else {
        let nonlinear = first_nonlinear(&graph, output, tensor)?;
        let (output, tensor) = (output.to_owned(), tensor.to_owned());
        return Err(match nonlinear {
            Some(node) => {
                GradientError::NotLinear { node: node.name.clone(), op: node.op.clone(), output, target: tensor }
            }
            None => GradientError::TooMany {
                what: "elements of a constant gradient",
                found: (outputs as u64).saturating_mul((target.maps * target.cells) as u64),
                limit: TRIED_MAX as u64,
            },
        });
    };
    let file = File::of(model, &graph);
    let Positions { map_axis, cell_axis } = target.positions;
    let (maps, cells) = (target.maps, target.cells);
    let gradient = constant.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    let winner = match of {
        MapOf::Winner if outputs > 1 => Some(winner(&mut graph, output, outputs)?),
        _ => None,
    };
    let rows = if winner.is_some() { 1 } else { outputs };
    // The rows of a constant that the map is made with.
    let chosen = |graph: &mut Graph, weights: Tensor| {
        let all = graph.emit_constant(weights)?;
        match &winner {
            Some(winner) => graph.emit("Gather", &[&all, winner], Vec::new()),
            None => Ok(all),
        }
    };
    let summed = if target.position_independent() {
        // One weight a map: a product of two small matrices.
        let step = strides(&target.shape);
        let of = |output: usize, map: usize| gradient[output * maps * cells + map * step[map_axis]];
        let weights = (0..outputs * maps).map(|place| of(place / maps, place % maps)).collect();
        let weights = chosen(&mut graph, Tensor::new(vec![outputs, maps], weights))?;
        let maps_first = match map_axis < cell_axis {
            true => graph.emit_reshape(tensor, &[maps, cells])?,
            false => {
                let flat = graph.emit_reshape(tensor, &[cells, maps])?;
                graph.emit("Transpose", &[&flat], vec![proto::ints("perm", &[1, 0])])?
            }
        };
        graph.emit("MatMul", &[&weights, &maps_first], Vec::new())?
    } else {
        let mut shape = target.shape.clone();
        shape[0] = outputs;
        let weights = chosen(&mut graph, Tensor::new(shape, gradient))?;
        let products = graph.emit("Mul", &[&weights, tensor], Vec::new())?;
        // tract 0.23.9 sums over leading axes in one pass through the memory, and over a single inner one in strides: axes
        // of size 1 before the maps are summed over as well.
        let before: usize = rows * target.shape[1..map_axis].iter().product::<usize>();
        let axes: Vec<usize> = if before == 1 { (0..=map_axis).collect() } else { vec![map_axis] };
        let sum = graph.emit_sum(&products, &axes)?;
        graph.emit_reshape(&sum, &[rows, cells])?
    };
    graph.emit_as(map, &summed)?;
    Ok(Attached { model: file.with(graph, &[map])?, targets: vec![target], bypassed })
}

/// The model as it was, and what it provides itself.
struct File<'m> {
    model: &'m ModelProto,
    names: HashSet<String>,
    inputs: usize,
}

impl<'m> File<'m> {
    fn of(model: &'m ModelProto, graph: &Graph) -> Self {
        let protos = model.graph.iter();
        let names = protos.flat_map(|graph| {
            let nodes = graph.node.iter().flat_map(|node| node.output.iter().cloned());
            nodes.chain(graph.initializer.iter().map(|initializer| initializer.name.clone()))
        });
        Self { model, names: names.collect(), inputs: graph.inputs().len() }
    }

    /// The model with all that the graph has grown by, and `outputs` after its own.
    fn with(self, graph: Graph, outputs: &[&str]) -> Result<ModelProto, GradientError> {
        let mut model = self.model.clone();
        pin_all(&mut model, &graph);
        let proto = model.graph.as_mut().ok_or(GradientError::NoGraph)?;
        for name in graph.inputs().iter().skip(self.inputs) {
            proto.input.push(proto::typed_value(name, graph.fact(name)?));
        }
        for &name in outputs {
            if !proto.output.iter().any(|output| output.name == name) {
                proto.output.push(proto::typed_value(name, graph.fact(name)?));
            }
        }
        let (nodes, initializers) = graph.into_emitted(&self.names);
        proto.node.extend(nodes);
        proto.initializer.extend(initializers);
        Ok(model)
    }
}

/// How many outputs the network has.
pub(super) fn outputs(graph: &Graph, output: &str) -> Result<usize, GradientError> {
    let found = graph.shape(output)?;
    match found.first() {
        None | Some(1) => elements(found),
        Some(_) => {
            let (name, found) = (output.to_owned(), found.to_vec());
            Err(GradientError::Shape { name, found, expected: "[1, outputs]" })
        }
    }
}

/// Names a layer behind the operator that has no rule.
fn advise(graph: &Graph, output: &str, error: GradientError) -> GradientError {
    match error {
        GradientError::NoRule { node, op, .. } => {
            let instead = avoiding(graph, output, &node);
            GradientError::NoRule { node, op, instead }
        }
        other => other,
    }
}

fn describe(
    graph: &Graph,
    output: &str,
    outputs: usize,
    tensors: &[&str],
    seed: Seed,
) -> Result<Vec<AttachedTarget>, GradientError> {
    let looks = match graph.inputs().first() {
        Some(input) => reaches(graph, input, input_axis(graph, input)?)?,
        None => HashMap::new(),
    };
    let positions = tensors.iter().map(|tensor| Positions::of(graph, tensor)).collect::<Result<Vec<_>, _>>()?;
    // With the seed `all` the walk itself shows whether the gradient is constant.
    let constants = match seed {
        Seed::All => vec![None; tensors.len()],
        _ => constant_gradient(graph, output, outputs, tensors)?,
    };
    let mut found = Vec::new();
    for ((&tensor, positions), constant) in tensors.iter().zip(positions).zip(constants) {
        let shape = graph.shape(tensor)?.to_vec();
        let reach = looks.get(tensor).copied().filter(|reach| reach.axis == positions.cell_axis);
        let (maps, cells) = (shape[positions.map_axis], shape[positions.cell_axis]);
        found.push(AttachedTarget { outputs, maps, cells, shape, positions, constant, reach });
    }
    Ok(found)
}
