//! Choosing: which output is explained, and at which layer.

use std::collections::HashSet;

use crate::error::GradientError;
use crate::fact::Element;
use crate::graph::Graph;
use crate::node::Node;
use crate::positions::Positions;
use crate::walk::{constant_gradient, dependents, depends, outputs, sources};

/// Names that an error proposes.
const CANDIDATES_MAX: usize = 5;
/// Layers that are looked at for one that everything passes through.
const TRIED_LAYERS_MAX: usize = 64;
/// Layers whose gradient is looked at for an earlier one.
const EARLIER_MAX: usize = 8;
/// Characters of a name that are compared.
const COMPARED_MAX: usize = 200;
/// Nodes between a value and the activation that belongs to it: a folded or unfolded normalisation, a bias, a squeeze.
const ACTIVATION_STEPS_MAX: usize = 6;

/// Functions of one operand that networks use as activations.
const ACTIVATIONS: &[&str] = &[
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Elu",
    "Selu",
    "Celu",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "Tanh",
    "Softplus",
    "Softsign",
    "Gelu",
    "Mish",
    "Clip",
    "ThresholdedRelu",
    "Swish",
];
/// What may lie between a convolution or an addition and its activation.
const BETWEEN: &[&str] = &[
    "BatchNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "GroupNormalization",
    "Identity",
    "Dropout",
    "Cast",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Reshape",
];

/// A value that a map can be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The name of the value in the graph, as a [`Target`](crate::Target) takes it.
    pub value: String,
    /// What it is in the network, and so why it is offered.
    pub role: Role,
}

/// What a layer is in its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The activation after the sum of a residual stage.
    Stage,
    /// The activation after a convolution.
    Activation,
    /// A convolution nothing is applied to.
    Convolution,
    /// Several branches' maps side by side, after their activation where they have one.
    Joined,
}

impl Role {
    /// As a reason for a choice.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Stage => "being the activation after the last residual sum",
            Self::Activation => "being the activation after the last convolution",
            Self::Convolution => "being the last convolution",
            Self::Joined => "being where the last branches are joined",
        }
    }
}

/// The output that is explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The value that is differentiated.
    pub value: String,
    /// The output of the file that it belongs to.
    pub output: String,
    /// The operator between the two, where `value` is the logit before a probability.
    pub before: Option<String>,
}

/// The output `wanted` by its name or index. Without one it is the first, and where that is a probability, the logit it is
/// made from: a softmax saturates and couples the classes.
///
/// # Errors
/// [`GradientError::Unknown`] when there is no such output, [`GradientError::NoOutput`] when there is none at all.
pub fn explained(graph: &Graph, wanted: Option<&str>) -> Result<Explained, GradientError> {
    let outputs = graph.outputs();
    if let Some(wanted) = wanted {
        let named = outputs.iter().find(|output| *output == wanted);
        let output = named.or_else(|| wanted.parse().ok().and_then(|index: usize| outputs.get(index)));
        let output = output.ok_or_else(|| unknown("output", wanted, outputs.iter().map(String::as_str)))?;
        return Ok(Explained { value: output.clone(), output: output.clone(), before: None });
    }
    outputs.first().map(|output| score_of(graph, output)).ok_or(GradientError::NoOutput)
}

/// What an output is made from: the logit, where the output is a probability, else the output itself.
pub fn score_of(graph: &Graph, output: &str) -> Explained {
    let mut value = output;
    while let Some(node) = graph.producer(value) {
        let Some(input) = node.input(0) else { break };
        match node.op.as_str() {
            "Softmax" | "LogSoftmax" | "Sigmoid" => {
                let (value, before) = (input.to_owned(), Some(node.op.clone()));
                return Explained { value, output: output.to_owned(), before };
            }
            "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" | "Cast" | "Dropout" => value = input,
            _ => break,
        }
    }
    Explained { value: output.to_owned(), output: output.to_owned(), before: None }
}

/// The value that `name` means: a value, a node (its output), or a weight (the output of the node that uses it). A prefix
/// `value:`, `node:` or `weight:` says which.
///
/// # Errors
/// [`GradientError::Unknown`] when nothing has that name, [`GradientError::Ambiguous`] when more than one thing has it.
pub fn find_layer(graph: &Graph, name: &str) -> Result<String, GradientError> {
    let (kind, bare) = match name.split_once(':') {
        Some((kind @ ("value" | "node" | "weight"), bare)) if graph.producer(name).is_none() => (kind, bare),
        _ => ("", name),
    };
    let asked = |of: &str| kind.is_empty() || kind == of;
    let mut found: Vec<&str> = Vec::new();
    if asked("value") && graph.producer(bare).is_some() {
        found.push(bare);
    }
    for node in graph.nodes() {
        let named = asked("node") && node.name == bare;
        // `stages.0.conv1` stands for `stages.0.conv1.weight`.
        let weighted = |input: &str| input == bare || input.strip_suffix(".weight") == Some(bare);
        let uses = asked("weight")
            && node.inputs.iter().skip(1).any(|input| weighted(input) && graph.constant(input).is_some());
        if (named || uses) && !found.contains(&node.output()) {
            found.push(node.output());
        }
    }
    match found[..] {
        [value] => Ok(value.to_owned()),
        [] => {
            let nodes = graph.nodes().iter();
            let names = nodes.flat_map(|node| {
                let weights = node.inputs.iter().skip(1).filter(|input| graph.constant(input).is_some());
                [node.output(), node.name.as_str()].into_iter().chain(weights.map(String::as_str))
            });
            Err(unknown("layer", name, names))
        }
        ref several => {
            let candidates = several.iter().take(CANDIDATES_MAX).map(|value| format!("value:{value}")).collect();
            Err(GradientError::Ambiguous { name: name.to_owned(), candidates })
        }
    }
}

/// The layer to explain where none is named: the activation after the last residual stage's sum, else the one after the
/// last convolution.
///
/// # Errors
/// [`GradientError::NoLayer`] when no convolution or residual sum between input and output keeps its positions.
pub fn auto_layer(graph: &Graph, output: &str) -> Result<Layer, GradientError> {
    let layers = layers(graph, output);
    let stage = layers.iter().rfind(|layer| layer.role == Role::Stage);
    // A branch shows part of what happens, so the whole comes first.
    let whole = || layers.iter().rev().take(TRIED_LAYERS_MAX).find(|layer| !bypassed(graph, output, &layer.value));
    let chosen = stage.or_else(whole).or(layers.last());
    chosen.cloned().ok_or_else(|| GradientError::NoLayer { output: output.to_owned() })
}

/// Whether part of the output comes from an input along a path on which the value does not lie.
fn bypassed(graph: &Graph, output: &str, value: &str) -> bool {
    graph.inputs().iter().any(|input| depends(graph, input, output, &[value]))
}

/// The last layer before `value` whose gradient is not the same at every cell: the one to explain where the gradient at
/// `value` is. A layer that everything passes through comes first, a branch only where there is no such layer.
///
/// # Errors
/// [`GradientError::NoValue`] when there is no value `output`, [`GradientError::Shape`] when its batch is not 1.
pub fn earlier_layer(graph: &Graph, output: &str, value: &str) -> Result<Option<String>, GradientError> {
    let outputs = outputs(graph, output)?;
    let before = layers(graph, output).into_iter().rev().filter(|layer| graph.place(&layer.value) < graph.place(value));
    let before: Vec<Layer> = before.take(TRIED_LAYERS_MAX).collect();
    let (branches, whole): (Vec<&Layer>, Vec<&Layer>) =
        before.iter().partition(|layer| bypassed(graph, output, &layer.value));
    for layer in whole.into_iter().chain(branches).take(EARLIER_MAX) {
        let Ok(constants) = constant_gradient(graph, output, outputs, &[&layer.value]) else { continue };
        let positions = Positions::of(graph, &layer.value)?;
        let shape = graph.shape(&layer.value)?;
        if !constants.iter().flatten().any(|gradient| positions.uniform(shape, gradient)) {
            return Ok(Some(layer.value.clone()));
        }
    }
    Ok(None)
}

/// The layers that a map can be made of, in the order they are computed.
pub fn layers(graph: &Graph, output: &str) -> Vec<Layer> {
    let inputs: Vec<&str> = graph.inputs().iter().map(String::as_str).collect();
    let (above, below) = (dependents(graph, &inputs, &[]), sources(graph, output));
    let eligible = |value: &str| {
        let cells = Positions::of(graph, value)
            .and_then(|positions| Ok(graph.shape(value)?.get(positions.cell_axis).copied().unwrap_or(0)));
        above.contains(value) && below.contains(value) && cells.is_ok_and(|cells| cells > 1)
    };
    let mut layers: Vec<Layer> = Vec::new();
    let mut found = HashSet::new();
    for node in graph.nodes() {
        let residual = node.op == "Add"
            && [0, 1].iter().all(|&index| node.input(index).is_some_and(|name| above.contains(name)))
            && graph.operand_shape(node, 0).ok() == graph.operand_shape(node, 1).ok();
        let joined = node.op == "Concat";
        if !(residual || joined || node.op == "Conv") || !eligible(node.output()) {
            continue;
        }
        let layer = match activated(graph, node.output(), ACTIVATION_STEPS_MAX) {
            Some(value) if residual => Layer { value, role: Role::Stage },
            Some(value) if joined => Layer { value, role: Role::Joined },
            Some(value) => Layer { value, role: Role::Activation },
            None if residual => continue,
            None if joined => Layer { value: node.output().to_owned(), role: Role::Joined },
            None => Layer { value: node.output().to_owned(), role: Role::Convolution },
        };
        if eligible(&layer.value) && found.insert(layer.value.clone()) {
            layers.push(layer);
        }
    }
    let place = |layer: &Layer| graph.place(&layer.value);
    layers.sort_by_key(place);
    layers
}

/// The value after the activation that is applied to `value` alone.
fn activated(graph: &Graph, value: &str, steps: usize) -> Option<String> {
    let steps = steps.checked_sub(1)?;
    let consumers: Vec<&Node> = graph.consumers(value).collect();
    // x · σ(x) and its kin: a product with something that is made from the value alone.
    for node in consumers.iter().filter(|node| node.op == "Mul") {
        let other = node.inputs.iter().find(|input| *input != value)?;
        if graph.shape(other).ok() == graph.shape(value).ok()
            && made_from(graph, other, value, ACTIVATION_STEPS_MAX * 2)
        {
            let halved = graph.consumers(node.output()).find(|next| next.op == "Mul" && scales(graph, next));
            return Some(halved.map_or(node.output(), Node::output).to_owned());
        }
    }
    if let Some(node) = consumers.iter().find(|node| ACTIVATIONS.contains(&node.op.as_str())) {
        return Some(node.output().to_owned());
    }
    let [node] = consumers[..] else { return None };
    let affine = ["Add", "Sub", "Mul", "Div"].contains(&node.op.as_str())
        && node.inputs.iter().any(|input| graph.constant(input).is_some());
    let next = (affine || BETWEEN.contains(&node.op.as_str())).then(|| node.output())?;
    activated(graph, next, steps)
}

/// Whether a node multiplies by one constant number.
fn scales(graph: &Graph, node: &Node) -> bool {
    let constants = node.inputs.iter().filter_map(|input| graph.constant(input));
    constants.into_iter().any(|constant| constant.data().len() == 1)
}

/// Whether `derived` is a function of `value` and constants, element by element, in a few steps.
fn made_from(graph: &Graph, derived: &str, value: &str, steps: usize) -> bool {
    if derived == value || graph.constant(derived).is_some() {
        return true;
    }
    let (Some(steps), Some(node)) = (steps.checked_sub(1), graph.producer(derived)) else { return false };
    let elementwise = ACTIVATIONS.contains(&node.op.as_str())
        || ["Add", "Sub", "Mul", "Div", "Pow", "Erf", "Exp", "Neg", "Softplus", "Log", "Sqrt"]
            .contains(&node.op.as_str());
    elementwise
        && node.inputs.iter().filter(|input| !input.is_empty()).all(|input| made_from(graph, input, value, steps))
}

/// The nearest layer after the node `node` from which a walk to `output` meets no operator without a rule.
pub(super) fn avoiding(graph: &Graph, output: &str, node: &str) -> Option<String> {
    let below = sources(graph, output);
    let mut unsafe_values: HashSet<&str> = HashSet::new();
    for node in graph.nodes().iter().rev() {
        let leads = |output: &String| below.contains(output);
        if !node.outputs.iter().any(leads) {
            continue;
        }
        let ruled = graph.rule(node).is_ok() && node.captured.is_empty();
        if !ruled || node.outputs.iter().any(|output| unsafe_values.contains(output.as_str())) {
            unsafe_values.extend(node.reads());
        }
    }
    let failing = graph.nodes().iter().position(|other| other.name == node)?;
    let laid_out = |value: &str| graph.element(value) == Some(Element::Float) && Positions::of(graph, value).is_ok();
    let later = graph.nodes().iter().skip(failing).map(|node| node.output());
    let offered = layers(graph, output);
    let mut safe = later.filter(|value| below.contains(*value) && !unsafe_values.contains(value) && *value != output);
    let mut nearest = None;
    // A layer of the network is a better choice than whatever lies in between.
    let layer = safe.find(|value| {
        if nearest.is_none() && laid_out(value) {
            nearest = Some(*value);
        }
        offered.iter().any(|layer| layer.value == *value)
    });
    layer.or(nearest).map(str::to_owned)
}

fn unknown<'a>(kind: &'static str, name: &str, names: impl Iterator<Item = &'a str>) -> GradientError {
    let mut seen = HashSet::new();
    let mut ranked: Vec<(usize, &str)> = names
        .filter(|other| !other.is_empty() && seen.insert(*other))
        .map(|other| (distance(name, other), other))
        .collect();
    ranked.sort_by_key(|&(distance, _)| distance);
    let candidates = ranked.into_iter().take(CANDIDATES_MAX).map(|(_, name)| name.to_owned()).collect();
    GradientError::Unknown { kind, name: name.to_owned(), candidates }
}

/// Levenshtein's distance: characters to insert, delete or replace. A name that holds the other whole is near.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(COMPARED_MAX).collect();
    let left: Vec<char> = left.chars().take(COMPARED_MAX).collect();
    if left.len() > 2 && right.windows(left.len()).any(|part| part == left) {
        return 1;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
