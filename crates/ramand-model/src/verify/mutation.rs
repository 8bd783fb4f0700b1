//! The check of the check: copies of the graph with a fault each, which the comparison with differences must notice.

use onnx_gradient::onnx::{GraphProto, NodeProto, TensorProto};
use onnx_gradient::{GradientError, Graph, proto};

use super::check::{Check, GRADIENT_ERROR_MAX, failed};
use super::differences::Differences;
use super::subject::{VerifiedGraph, VerifiedLayer};
use crate::manifest::FORMED;

/// Weights that are changed, one after the other, until one has an influence: a weight behind a closed rectifier has none.
const TRIED_MAX: usize = 24;
/// How wrong a weight is made: by 0.1 %, which a tolerance of 1e-4 would hardly notice.
const FACTOR: f32 = 1.001;

/// A weight that the gradient is computed with.
struct Weight {
    /// Place of the node that reads it, and which operand it is.
    node: usize,
    operand: usize,
    op: String,
    /// Whether the node convolves the phases of a stride, which are interleaved behind it.
    phased: bool,
    dims: Vec<usize>,
    data: Vec<f32>,
}

/// Every control of one layer: a fault that does not apply to the graph is told as well.
pub(super) fn controls(subject: &VerifiedGraph, cut: &VerifiedLayer, differences: &Differences) -> Vec<Check> {
    let shape = subject.graph.shape(&cut.activation).map(<[usize]>::to_vec).unwrap_or_default();
    let said = match differences.said_by(&subject.graph, cut) {
        Ok(said) => said,
        Err(error) => return vec![failed("self-test", &error)],
    };
    let weights = subject
        .model
        .graph
        .as_option()
        .map(|graph| weights(graph, &subject.graph, cut.holds.name()))
        .unwrap_or_default();
    let convolves = |weight: &&Weight| ["Conv", "ConvTranspose"].contains(&weight.op.as_str());
    let mut checks = Vec::new();
    let mut add = |fault: &str, outcome: Result<String, String>| {
        checks.push(Check { name: format!("self-test, {}: {fault} must be noticed", cut.name), outcome });
    };

    add(
        "the wrong class",
        match differences.rows.first().map_or(0, Vec::len) {
            0 | 1 => Ok("does not apply, there is one output".into()),
            _ => noticed(differences.error(cut, &shape, &said, 1), "the classes in another order"),
        },
    );

    let mutate = |candidates: Vec<(&Weight, Vec<f32>, String)>, none: &str| -> Result<String, String> {
        let mut worst = 0.0_f64;
        let mut told = String::new();
        let mut influence = false;
        for (weight, data, what) in candidates.into_iter().take(TRIED_MAX) {
            let mutated = mutated(subject, weight, &data).and_then(|graph| differences.said_by(&graph, cut));
            let mutated = mutated.map_err(|error| error.to_string())?;
            if !differences.tells_apart(cut, &shape, &said, &mutated) {
                continue;
            }
            influence = true;
            let error = differences.error(cut, &shape, &mutated, 0);
            if error >= worst {
                (worst, told) = (error, what);
            }
            if worst > GRADIENT_ERROR_MAX {
                break;
            }
        }
        if influence { noticed(worst, &told) } else { Ok(format!("does not apply, {none}")) }
    };

    let mut scaled = Vec::new();
    // A single number is no weight: the 1 in 1 - y², say.
    for weight in weights.iter().filter(|weight| weight.data.len() > 1) {
        for place in largest(&weight.data) {
            let mut data = weight.data.clone();
            data[place] *= FACTOR;
            let what = format!("weight {place} of {:?}, {}", weight.dims, weight.op);
            scaled.push((weight.data[place].abs(), (weight, data, what)));
        }
    }
    scaled.sort_by(|(left, _), (right, _)| right.total_cmp(left));
    let scaled = scaled.into_iter().map(|(_, candidate)| candidate).collect();
    add("one weight times 1.001", mutate(scaled, "no weight that the gradient is made of matters here"));

    let flipped = weights.iter().filter(convolves).filter(|weight| taps(weight) > 1).map(|weight| {
        let mut data = weight.data.clone();
        data.chunks_mut(taps(weight)).for_each(<[f32]>::reverse);
        (weight, data, format!("the kernel {:?} of {}", weight.dims, weight.op))
    });
    add("a kernel left unflipped", mutate(flipped.collect(), "no kernel is walked through"));

    let swapped = weights.iter().filter(|weight| weight.phased).map(|weight| {
        // The phases of a map lie side by side among the kernel's rows; of a transposed convolution, among its taps.
        let step = if weight.op == "Conv" { weight.dims.iter().skip(1).product() } else { 1 };
        let mut data = weight.data.clone();
        data.chunks_exact_mut(2 * step).for_each(|pair| pair.rotate_left(step));
        (weight, data, format!("the kernel {:?} of {}", weight.dims, weight.op))
    });
    add("one phase swapped", mutate(swapped.collect(), "no convolution with a stride is walked through"));
    checks
}

fn noticed(error: f64, what: &str) -> Result<String, String> {
    match error > GRADIENT_ERROR_MAX {
        true => Ok(format!("{what}: relative error {error:.1e}")),
        false => Err(format!("{what} went unnoticed: relative error {error:.1e}")),
    }
}

/// Taps of a kernel.
fn taps(weight: &Weight) -> usize {
    weight.dims.iter().skip(2).product()
}

/// The places of the largest numbers.
fn largest(data: &[f32]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..data.len()).filter(|&place| data[place] != 0.0).collect();
    places.sort_by(|&left, &right| data[right].abs().total_cmp(&data[left].abs()));
    places.truncate(TRIED_MAX);
    places
}

/// The weights that the nodes of the gradient `name` read: those nodes have names of the gradient's own.
fn weights(proto: &GraphProto, graph: &Graph, name: &str) -> Vec<Weight> {
    let mut needed = vec![name];
    let mut found = Vec::new();
    for (place, node) in proto.node.iter().enumerate().rev() {
        if !node.output.iter().any(|output| needed.contains(&output.as_str())) {
            continue;
        }
        let own = node.name.starts_with("grad/") || node.name.starts_with(FORMED);
        if !(own || ["Identity", "Reshape", "Transpose"].contains(&node.op_type.as_str())) {
            continue;
        }
        needed.extend(node.input.iter().map(String::as_str));
        for (operand, input) in node.input.iter().enumerate() {
            let tensor = proto.initializer.iter().find(|tensor| tensor.name == *input);
            let Some(data) = tensor.and_then(floats).filter(|data| !data.is_empty()) else { continue };
            let dims = tensor.iter().flat_map(|tensor| &tensor.dims).map(|&size| size as usize).collect();
            let phased = phased(proto, graph, node);
            found.push(Weight { node: place, operand, op: node.op_type.clone(), phased, dims, data });
        }
    }
    found
}

/// Whether a node convolves several phases at once: the rows of its kernel are split into maps and phases behind it. A
/// transposed convolution with a stride has its phases among the taps.
fn phased(proto: &GraphProto, graph: &Graph, node: &NodeProto) -> bool {
    let strides = node.attribute.iter().find(|attribute| attribute.name == "strides");
    let rows = |name: &str| graph.shape(name).ok().and_then(|shape| shape.get(1).copied()).unwrap_or(0);
    let split = |output: &String| {
        let mut readers = proto.node.iter().filter(|other| other.input.first() == Some(output));
        readers.any(|other| other.op_type == "Reshape" && other.output.iter().any(|name| rows(name) < rows(output)))
    };
    match node.op_type.as_str() {
        "Conv" => node.output.iter().any(split),
        "ConvTranspose" => strides.is_some_and(|strides| strides.ints.iter().any(|&stride| stride > 1)),
        _ => false,
    }
}

fn floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    let float = onnx_gradient::onnx::tensor_proto::DataType::Float as i32;
    (tensor.data_type == float).then(|| match tensor.raw_data.is_empty() {
        true => tensor.float_data.clone(),
        false => tensor.raw_data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
    })
}

/// The graph with other numbers for a weight, where the gradient reads it and nowhere else.
fn mutated(subject: &VerifiedGraph, weight: &Weight, data: &[f32]) -> Result<Graph, GradientError> {
    let mut model = subject.model.clone();
    let graph = model.graph.as_option_mut().ok_or(GradientError::NoGraph)?;
    let name = "self-test";
    graph.initializer.push(proto::floats(name, &weight.dims, data));
    if let Some(input) = graph.node.get_mut(weight.node).and_then(|node| node.input.get_mut(weight.operand)) {
        name.clone_into(input);
    }
    Graph::new(&model)
}
