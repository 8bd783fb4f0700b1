//! The walk: cotangents from the output back to the targets.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::ModelProto;

use super::error::GradientError;
use super::geometry::{Reach, reaches};
use super::graph::{Graph, operator};
use super::proto;
use super::tensor::Tensor;

/// A tensor to differentiate with respect to, and the names of the outputs that will hold it and the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// A value of the graph, of shape [1, maps, cells].
    pub tensor: &'a str,
    /// New output: the value itself. May be the same name.
    pub activation: &'a str,
    /// New output: ∂output/∂tensor, [outputs, maps, cells].
    pub gradient: &'a str,
}

/// A graph with its gradient.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The model, with two more outputs for each target.
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
    /// Outputs that are differentiated.
    pub outputs: usize,
    /// Channels of the target.
    pub maps: usize,
    /// Positions of the target.
    pub cells: usize,
    /// ∂output/∂tensor, [outputs, maps, cells], where it is the same for every input: behind the target all is linear.
    pub constant: Option<Vec<f32>>,
    /// Where the cells look on the input axis (the last axis of the first input); `None` where position is lost.
    pub reach: Option<Reach>,
}

impl AttachedTarget {
    /// Whether the gradient is the same at every cell, so that 1D Grad-CAM equals CAM: a global average with a linear
    /// head. An earlier layer tells more.
    pub fn position_independent(&self) -> bool {
        let rows = self.constant.as_ref().map(|gradient| gradient.chunks(self.cells.max(1)));
        rows.is_some_and(|mut rows| rows.all(|row| row.iter().all(|value| *value == row[0])))
    }
}

/// Attaches ∂`output`/∂target for every target: all outputs as rows, every target held fixed while differentiating by
/// another, so that targets may lie behind one another (a skip from the input, and the trunk).
///
/// `output` has shape [1, outputs].
///
/// # Errors
/// When the graph is not valid, a name unknown, a shape another one, an operator on the way without a rule, or when the
/// output does not depend on a target.
pub fn attach(model: &ModelProto, output: &str, targets: &[Target<'_>]) -> Result<Attached, GradientError> {
    let mut graph = Graph::new(model)?;
    let outputs = match *graph.shape(output)? {
        [1, outputs] => outputs,
        ref found => {
            let (name, found) = (output.to_owned(), found.to_vec());
            return Err(GradientError::Shape { name, found, expected: "[1, outputs]" });
        }
    };
    let mut shapes = Vec::new();
    for target in targets {
        shapes.push(match *graph.shape(target.tensor)? {
            [1, maps, cells] => (maps, cells),
            ref found => {
                let (name, found) = (target.tensor.to_owned(), found.to_vec());
                return Err(GradientError::Shape { name, found, expected: "[1, maps, cells]" });
            }
        });
    }
    let tensors: Vec<&str> = targets.iter().map(|target| target.tensor).collect();
    let bypassed = graph.inputs().iter().any(|input| depends(&graph, input, output, &tensors));
    let found = match graph.inputs().first() {
        Some(input) => reaches(&graph, input, graph.shape(input)?.len().saturating_sub(1))?,
        None => HashMap::new(),
    };
    let file: HashSet<String> = graph_names(model);
    let gradients = walk(&mut graph, output, outputs, &tensors)?;

    let mut attached = Vec::new();
    for ((target, gradient), (maps, cells)) in targets.iter().zip(&gradients).zip(shapes) {
        let constant = graph.constant(gradient).map(Tensor::to_f32);
        attached.push(AttachedTarget { outputs, maps, cells, constant, reach: found.get(target.tensor).copied() });
        if target.activation != target.tensor {
            graph.emit_as(target.activation, target.tensor)?;
        }
        graph.emit_as(target.gradient, gradient)?;
    }
    let mut model = model.clone();
    let proto = model.graph.as_mut().ok_or(GradientError::NoGraph)?;
    for (target, shape) in targets.iter().zip(&attached) {
        let AttachedTarget { outputs, maps, cells, .. } = *shape;
        if !proto.output.iter().any(|output| output.name == target.activation) {
            proto.output.push(proto::value(target.activation, &[1, maps, cells]));
        }
        proto.output.push(proto::value(target.gradient, &[outputs, maps, cells]));
    }
    let (nodes, initializers) = graph.into_emitted(&file);
    proto.node.extend(nodes);
    proto.initializer.extend(initializers);
    Ok(Attached { model, targets: attached, bypassed })
}

/// The names the file itself provides.
fn graph_names(model: &ModelProto) -> HashSet<String> {
    let graph = model.graph.iter();
    let names = graph.flat_map(|graph| {
        let nodes = graph.node.iter().flat_map(|node| node.output.iter().cloned());
        nodes.chain(graph.initializer.iter().map(|initializer| initializer.name.clone()))
    });
    names.collect()
}

/// Whether `output` depends on `source` along a path that leaves every one of `cuts` out.
fn depends(graph: &Graph, source: &str, output: &str, cuts: &[&str]) -> bool {
    !cuts.contains(&source) && (source == output || dependents(graph, &[source], cuts).contains(output))
}

/// Every value that depends on one of `sources`, where `cuts` depend on nothing.
fn dependents(graph: &Graph, sources: &[&str], cuts: &[&str]) -> HashSet<String> {
    let mut dependents: HashSet<String> = sources.iter().map(ToString::to_string).collect();
    for node in graph.nodes() {
        if node.inputs.iter().any(|input| dependents.contains(input)) {
            let free = node.outputs.iter().filter(|output| !cuts.contains(&output.as_str()));
            dependents.extend(free.cloned());
        }
    }
    dependents
}

/// Reverse mode: the name of ∂output/∂target for every target.
fn walk(graph: &mut Graph, output: &str, outputs: usize, targets: &[&str]) -> Result<Vec<String>, GradientError> {
    let dependents = dependents(graph, targets, targets);
    let nodes = graph.nodes().to_vec();
    let seed = graph.emit_constant(Tensor::identity(outputs))?;
    let mut cotangents: HashMap<String, String> = HashMap::from([(output.to_owned(), seed)]);
    for node in nodes.iter().rev() {
        // A target's own producer lies before the cut.
        if targets.contains(&node.output()) {
            continue;
        }
        let Some(cotangent) = cotangents.get(node.output()).cloned() else { continue };
        for (index, input) in node.inputs.iter().enumerate() {
            if !dependents.contains(input) {
                continue;
            }
            let part = operator(node)?.backward(graph, node, index, &cotangent)?;
            let sum = match cotangents.get(input) {
                Some(other) => graph.emit("Add", &[&other.clone(), &part], Vec::new())?,
                None => part,
            };
            cotangents.insert(input.clone(), sum);
        }
    }
    let found = targets.iter().map(|&target| {
        let independent = || GradientError::Independent { output: output.to_owned(), target: target.to_owned() };
        cotangents.get(target).cloned().ok_or_else(independent)
    });
    found.collect()
}
