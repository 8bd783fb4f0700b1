//! What is verified: a graph with the gradient of an output by one or more layers, from a bundle or from a file.

use std::collections::HashMap;

use onnx_gradient::geometry::reaches;
use onnx_gradient::onnx::ModelProto;
use onnx_gradient::{
    ACTIVATION, CLASS_INDEX, COTANGENT, GRADIENT, GradientError, Graph, MAP, Positions, Tensor,
    has_global_receptive_field,
};

use crate::bundle::Bundle;
use crate::manifest::FORMED;

/// What one of the graph's outputs holds of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holds {
    /// ∂y/∂A, of the layer's shape, a row for each differentiated output.
    Gradient(String),
    /// M, [rows, cells], a row for each explained output.
    Map(String),
}

impl Holds {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Gradient(name) | Self::Map(name) => name,
        }
    }
}

/// Where the cells of a layer look, in points of the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    pub(super) first_cell: f64,
    pub(super) stride: f64,
    pub(super) receptive_field: usize,
}

/// A layer that is held fixed while the others are differentiated.
#[derive(Debug, Clone)]
pub(super) struct VerifiedLayer {
    /// In words.
    pub(super) name: String,
    /// The layer's value.
    pub(super) tensor: String,
    /// The same in the layout that the gradient has.
    pub(super) activation: String,
    /// Which element of `tensor` each one of `activation` is.
    pub(super) places: Vec<usize>,
    pub(super) holds: Holds,
    /// The axes of `activation`.
    pub(super) positions: Positions,
    /// `None` where position is lost.
    pub(super) look: Option<Look>,
    /// Whether the gradient is the mean along the line from zero.
    pub(super) integrated: bool,
    /// Whether a cell also depends on points its receptive field does not hold.
    pub(super) whole_axis: bool,
}

/// Which outputs the gradient's rows belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    All,
    ArgMax,
    ClassIndex,
    Cotangent,
}

/// A graph to verify.
#[derive(Debug, Clone)]
pub(super) struct VerifiedGraph {
    pub(super) model: ModelProto,
    pub(super) graph: Graph,
    /// The spectrum.
    pub(super) input: String,
    /// The axis of the input that counts points.
    pub(super) point_axis: usize,
    /// y.
    pub(super) output: String,
    pub(super) cuts: Vec<VerifiedLayer>,
    rows: Rows,
}

impl VerifiedGraph {
    /// Of a bundle that was opened.
    pub(super) fn of_bundle(bundle: &Bundle) -> Result<Self, GradientError> {
        let graph = Graph::new(&bundle.network)?;
        let record = &bundle.manifest.network;
        let mut cuts = Vec::new();
        for target in &record.targets {
            let tensor = origin(&bundle.network, &target.activation);
            cuts.push(VerifiedLayer {
                name: target.name.clone(),
                places: places(&graph, &tensor, &target.activation)?,
                tensor,
                activation: target.activation.clone(),
                holds: Holds::Gradient(target.gradient.clone()),
                positions: Positions { map_axis: 1, cell_axis: 2 },
                look: Some(Look {
                    first_cell: target.first_cell,
                    stride: target.stride,
                    receptive_field: target.receptive_field,
                }),
                integrated: target.integrated,
                whole_axis: target.whole_axis,
            });
        }
        Ok(Self {
            model: bundle.network.clone(),
            input: record.input.clone(),
            point_axis: 2,
            output: record.output.clone(),
            cuts,
            rows: Rows::All,
            graph,
        })
    }

    /// Of a file as `ramand model attach` writes it, where `output` was differentiated by `layer`; the layer is only asked
    /// for where the file holds a map alone. `None` where the file holds neither gradient nor map.
    pub(super) fn of_file(model: ModelProto, output: &str, layer: &str) -> Result<Option<Self>, GradientError> {
        let graph = Graph::new(&model)?;
        let holds = |name: &str| graph.outputs().iter().any(|output| output == name);
        let (tensor, holds) = match (holds(ACTIVATION) && holds(GRADIENT), holds(MAP)) {
            (true, _) => (graph.source(ACTIVATION).to_owned(), Holds::Gradient(GRADIENT.into())),
            (false, true) => (layer.to_owned(), Holds::Map(MAP.into())),
            (false, false) => return Ok(None),
        };
        let asks = |name: &str| graph.inputs().iter().any(|input| input == name);
        let outputs: usize = graph.shape(output)?.iter().product();
        let rows = match (&holds, asks(CLASS_INDEX), asks(COTANGENT)) {
            (Holds::Gradient(_), true, _) => Rows::ClassIndex,
            (Holds::Gradient(_), _, true) => Rows::Cotangent,
            _ if outputs > 1 && graph.shape(holds.name())?.first() == Some(&1) => Rows::ArgMax,
            _ => Rows::All,
        };
        let spectrum = graph.inputs().iter().find(|name| ![CLASS_INDEX, COTANGENT].contains(&name.as_str()));
        let input = spectrum.cloned().unwrap_or_default();
        let rank = graph.shape(&input)?.len();
        let shape = graph.shape(&tensor)?.to_vec();
        let elements: usize = shape.iter().product();
        let positions = Positions::of(&graph, &tensor)?;
        let explained = if rows == Rows::All { outputs } else { 1 };
        let expected = explained
            * match holds {
                Holds::Map(_) => shape[positions.cell_axis],
                Holds::Gradient(_) => elements,
            };
        // A file may hold anything under these names.
        let misfit = |name: &str, expected| -> Result<Self, GradientError> {
            Err(GradientError::Shape { name: name.to_owned(), found: graph.shape(name)?.to_vec(), expected })
        };
        if graph.shape(holds.name())?.iter().product::<usize>() != expected {
            return misfit(holds.name(), "a number for each of the layer's, in each differentiated output").map(Some);
        }
        if rank == 0 {
            return misfit(&input, "a spectrum").map(Some);
        }
        let point_axis = Positions::of(&graph, &input).map_or(rank.saturating_sub(1), |found| found.cell_axis);
        let looks = reaches(&graph, &input, point_axis)?;
        let reach = looks.get(&tensor).filter(|reach| reach.axis == positions.cell_axis);
        let cut = VerifiedLayer {
            name: tensor.clone(),
            activation: tensor.clone(),
            places: places(&graph, &tensor, &tensor)?,
            holds,
            positions,
            look: reach.map(|reach| Look {
                first_cell: reach.first_cell(),
                stride: reach.stride() as f64,
                receptive_field: reach.receptive_field(),
            }),
            integrated: false,
            whole_axis: has_global_receptive_field(&graph, &input, &tensor, &looks),
            tensor,
        };
        Ok(Some(Self { model, input, point_axis, output: output.to_owned(), cuts: vec![cut], rows, graph }))
    }

    /// How many outputs y has.
    pub(super) fn outputs(&self) -> Result<usize, GradientError> {
        Ok(self.graph.shape(&self.output)?.iter().product())
    }

    /// A spectrum of numbers between −2 and 2 and whatever else the graph asks for, the same for the same seed.
    pub(super) fn random(&self, seed: u64) -> Result<HashMap<String, Tensor>, GradientError> {
        let outputs = self.outputs()?;
        let mut given = HashMap::new();
        for input in self.graph.inputs() {
            let shape = self.graph.shape(input)?.to_vec();
            let count: usize = shape.iter().product();
            let values = match input.as_str() {
                // Not the first, which a fault would choose as well.
                CLASS_INDEX => vec![1.min(outputs.saturating_sub(1)) as f64],
                _ => random(seed, count),
            };
            given.insert(input.clone(), Tensor::new(shape, values));
        }
        Ok(given)
    }

    /// How much each output counts in each row of the gradient, [rows][outputs], for what is given.
    pub(super) fn rows(&self, given: &HashMap<String, Tensor>) -> Result<Vec<Vec<f64>>, GradientError> {
        let outputs = self.outputs()?;
        let only = |chosen: usize| (0..outputs).map(|output| f64::from(u8::from(output == chosen))).collect::<Vec<_>>();
        Ok(match self.rows {
            Rows::All => (0..outputs).map(only).collect(),
            Rows::ClassIndex => vec![only(given.get(CLASS_INDEX).map_or(0, |index| index.data()[0] as usize))],
            Rows::Cotangent => vec![given.get(COTANGENT).map(|vector| vector.data().to_vec()).unwrap_or_default()],
            Rows::ArgMax => {
                let y = self.value(given, &self.output)?;
                let greatest = y.data().iter().copied().fold(f64::NEG_INFINITY, f64::max);
                vec![only(y.data().iter().position(|&value| value == greatest).unwrap_or(0))]
            }
        })
    }

    /// One value of the graph in f64.
    pub(super) fn value(&self, given: &HashMap<String, Tensor>, name: &str) -> Result<Tensor, GradientError> {
        let found = self.graph.evaluate(given, &[name])?.remove(name);
        found.ok_or_else(|| GradientError::NoValue { name: name.to_owned() })
    }
}

/// The layer that `name` shows in another layout: a bundle of a network that was trained elsewhere renames the layer's axes
/// behind the layer itself.
fn origin(model: &ModelProto, name: &str) -> String {
    let nodes = model.graph.node.iter().rev();
    let mut origin = name.to_owned();
    // Nodes are sorted, so one pass from the end meets every step.
    for node in nodes.filter(|node| node.op_type == "Identity" || node.name.starts_with(FORMED)) {
        let moves = ["Identity", "Reshape", "Transpose"].contains(&node.op_type.as_str());
        if let (true, true, Some(input)) = (moves, node.output.first() == Some(&origin), node.input.first()) {
            origin.clone_from(input);
        }
    }
    origin
}

/// Which element of `tensor` each one of `activation` is: found by counting through the first.
fn places(graph: &Graph, tensor: &str, activation: &str) -> Result<Vec<usize>, GradientError> {
    let shape = graph.shape(tensor)?.to_vec();
    let counted = Tensor::new(shape.clone(), (0..shape.iter().product::<usize>()).map(|place| place as f64).collect());
    let found = graph.evaluate(&HashMap::from([(tensor.to_owned(), counted)]), &[activation])?.remove(activation);
    let found = found.ok_or_else(|| GradientError::NoValue { name: activation.to_owned() })?;
    Ok(found.data().iter().map(|&place| place as usize).collect())
}

/// Numbers between −2 and 2: as rough as a normalised spectrum can be.
pub(super) fn random(seed: u64, count: usize) -> Vec<f64> {
    // Knuth's linear congruential generator: its high bits are random enough to find a wrong weight. They are f32, so
    // that tract can be given the same.
    let mut state = seed.wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(((state >> 40) as f32 / (1 << 24) as f32) * 4.0 - 2.0)
    };
    (0..count).map(|_| next()).collect()
}
