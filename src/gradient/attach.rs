//! Attaching: what is asked of a graph, and what is known of the answer before it runs.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::ModelProto;

use super::error::GradientError;
use super::geometry::{Reach, reaches};
use super::graph::Graph;
use super::positions::{Positions, input_axis};
use super::proto;
use super::seed::Seed;
use super::tensor::{Tensor, strides};
use super::walk::{constant_gradient, depends, walk};

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
        let Some(gradient) = &self.constant else { return false };
        let step = strides(&self.shape)[self.positions.cell_axis];
        let block = step * self.cells;
        // A block runs through every cell; its first `step` numbers are those of the first cell.
        gradient
            .chunks(block.max(1))
            .all(|block| block.iter().enumerate().all(|(at, value)| *value == block[at % step]))
    }
}

/// Attaches ∂`output`/∂target for every target, every target held fixed while differentiating by another, so that targets
/// may lie behind one another (a skip from the input, and the trunk).
///
/// `output` has shape [1, outputs]. Of the new inputs, outputs and nodes, all but the names in `targets` and the seed's own
/// input begin with `grad/`.
///
/// # Errors
/// When the graph is not valid, a name unknown, a shape another one, an operator on the way without a rule, or when the
/// output does not depend on a target.
pub fn attach(model: &ModelProto, output: &str, seed: Seed, targets: &[Target<'_>]) -> Result<Attached, GradientError> {
    let mut graph = Graph::new(model)?;
    let outputs = outputs(&graph, output)?;
    let tensors: Vec<&str> = targets.iter().map(|target| target.tensor).collect();
    let mut found = describe(&graph, output, outputs, &tensors, seed)?;
    let bypassed = graph.inputs().iter().any(|input| depends(&graph, input, output, &tensors));
    let file_names = names(model);
    let own_inputs = graph.inputs().len();
    let start = seed.plant(&mut graph, output, outputs)?;
    let gradients = walk(&mut graph, output, start, &tensors)?;
    for ((target, gradient), facts) in targets.iter().zip(&gradients).zip(&mut found) {
        if seed == Seed::All {
            facts.constant = graph.constant(gradient).map(Tensor::to_f32);
        }
        if target.activation != target.tensor {
            graph.emit_as(target.activation, target.tensor)?;
        }
        graph.emit_as(target.gradient, gradient)?;
    }
    let mut model = model.clone();
    let proto = model.graph.as_mut().ok_or(GradientError::NoGraph)?;
    for name in &graph.inputs()[own_inputs..] {
        proto.input.push(proto::typed_value(name, graph.fact(name)?));
    }
    for name in targets.iter().flat_map(|target| [target.activation, target.gradient]) {
        if !proto.output.iter().any(|output| output.name == name) {
            proto.output.push(proto::typed_value(name, graph.fact(name)?));
        }
    }
    let (nodes, initializers) = graph.into_emitted(&file_names);
    proto.node.extend(nodes);
    proto.initializer.extend(initializers);
    Ok(Attached { model, targets: found, bypassed })
}

/// How many outputs the network has.
fn outputs(graph: &Graph, output: &str) -> Result<usize, GradientError> {
    match *graph.shape(output)? {
        [1, outputs] => Ok(outputs),
        ref found => {
            let (name, found) = (output.to_owned(), found.to_vec());
            Err(GradientError::Shape { name, found, expected: "[1, outputs]" })
        }
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

/// The names the file itself provides.
fn names(model: &ModelProto) -> HashSet<String> {
    let graph = model.graph.iter();
    let names = graph.flat_map(|graph| {
        let nodes = graph.node.iter().flat_map(|node| node.output.iter().cloned());
        nodes.chain(graph.initializer.iter().map(|initializer| initializer.name.clone()))
    });
    names.collect()
}
