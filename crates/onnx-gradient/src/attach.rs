//! Attaching: what is asked of a graph, and what is known of the answer before it runs.

use std::collections::{HashMap, HashSet};

use crate::error::GradientError;
use crate::geometry::reaches;
use crate::graph::Graph;
use crate::onnx::{ModelProto, ValueInfoProto};
use crate::positions::{Positions, input_axis};
use crate::proto;
use crate::reach::Reach;
use crate::seed::{Seed, winner};
use crate::select::avoiding;
use crate::shapes::{pin, sizes};
use crate::tensor::{Tensor, strides};
use crate::walk::{TRIED_MAX, constant_gradient, depends, first_nonlinear, outputs, walk};

/// A name for the output that holds the target's own value, [`Target::activation`]. Any other will do as well.
pub const ACTIVATION: &str = "grad/activation";
/// A name for the output that holds the gradient, [`Target::gradient`].
pub const GRADIENT: &str = "grad/gradient";
/// A name for the output of [`attach_map`], the map itself.
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
#[non_exhaustive]
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
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct AttachedTarget {
    /// How many outputs the network has: the elements of the value that is differentiated.
    pub outputs: usize,
    /// How many feature maps the target has, its size along [`Positions::map_axis`].
    pub maps: usize,
    /// How many positions the target has, its size along [`Positions::cell_axis`].
    pub cells: usize,
    /// The target's own shape, [1, …].
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

/// Attaches ∂`output`/∂target for every target by reverse accumulation: each node on the way turns the cotangents of its
/// outputs into those of its operands, the vector-Jacobian product, and where a value is read more than once its cotangents are
/// added (Griewank and Walther, *Evaluating Derivatives*, 2008, chapter 3). Every target is held fixed while differentiating by
/// another, so that targets may lie behind one another (a skip from the input, and the trunk).
///
/// `output` has a batch of size 1; its other elements are the outputs. Of the new inputs, outputs and nodes, all but the
/// names in `targets` and the seed's own input begin with `grad/`. What the file leaves open of its inputs' batch is 1
/// from then on.
///
/// # Errors
/// Those of [`Graph::new`]; [`GradientError::NoValue`] and [`GradientError::Shape`] of the output or a target,
/// [`GradientError::NoRule`] of an operator on the way, [`GradientError::Rows`] where [`Seed::All`] meets an operator that mixes
/// the batch, [`GradientError::Attached`] when a name for a new output is taken, and [`GradientError::Independent`] when the
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

/// Of which outputs [`attach_map`] attaches a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapOf {
    /// The greatest output of each run; the first of equals.
    Winner,
    /// Every output, a row each.
    All,
}

/// Attaches M\[o, i\] = Σ_k ∂y_o/∂A\[k, i\] · A\[k, i\] itself, as the output `map`, [1, cells] or [outputs, cells]: where all behind
/// the target is linear, the gradient is a constant and there is nothing to walk through. This is the map of HiResCAM (Draelos and
/// Carin 2020), and CAM (Zhou et al. 2016) where the gradient is the same at every cell.
///
/// # Errors
/// As [`attach`], and [`GradientError::NotLinear`] when the gradient depends on the input: the first node that makes it so is named.
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
        let names = model.graph.as_option().into_iter().flat_map(|graph| {
            let nodes = graph.node.iter().flat_map(|node| node.output.iter().cloned());
            nodes.chain(graph.initializer.iter().map(|initializer| initializer.name.clone()))
        });
        Self { model, names: names.collect(), inputs: graph.inputs().len() }
    }

    /// The model with all that the graph has grown by, and `outputs` after its own.
    fn with(self, graph: Graph, outputs: &[&str]) -> Result<ModelProto, GradientError> {
        let mut model = self.model.clone();
        pin_all(&mut model, &graph);
        let proto = model.graph.as_option_mut().ok_or(GradientError::NoGraph)?;
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

/// Writes into inputs and outputs the sizes that the graph was analysed with, and drops what is declared with open ones:
/// the gradient holds for these sizes only.
fn pin_all(model: &mut ModelProto, graph: &Graph) {
    let Some(proto) = model.graph.as_option_mut() else { return };
    let open = |info: &ValueInfoProto| sizes(info).is_none_or(|sizes| sizes.contains(&None));
    for info in proto.input.iter_mut().chain(&mut proto.output).filter(|info| open(info)) {
        if let Ok(shape) = graph.shape(&info.name) {
            pin(info, shape);
        }
    }
    proto.value_info.retain(|info| !open(info));
}
