//! A fitted model as an ONNX graph: standardisation, network and skip in one, predicting in the target's units.

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

use crate::gradient::proto;

use super::fit::Fit;
use super::layers::{Affine, Convolution, Linear};

/// Name of the input, f32 [1, channels, points].
pub(super) const INPUT: &str = "spectrum";
/// Name of the output, f32 [1, outputs].
pub(super) const OUTPUT: &str = "y";
/// The residual network's last activation, after its rectifier: f32 [1, maps, cells].
pub(super) const NETWORK_ACTIVATION: &str = "A0";
/// The centred, scaled input that the skip multiplies: f32 [1, channels, points].
pub(super) const SKIP_ACTIVATION: &str = "A1";

/// The forward graph.
///
/// The standardisation of the targets is folded into the two linear layers, so that `y` is in their units; the target's
/// mean is the skip's bias.
pub(super) fn forward_graph(fit: &Fit) -> ModelProto {
    let network = &fit.network;
    let (channels, points) = (network.stem.maps_in, network.stem.positions_in);
    let mut graph = Writer::default();
    graph.constant("mean", &[1, channels, points], &fit.mean);
    graph.constant("scale", &[1], &[fit.inverse_scale]);
    graph.then("Sub", &[INPUT, "mean"], "centred");
    graph.then("Mul", &["centred", "scale"], SKIP_ACTIVATION);

    graph.convolve(&network.stem, &fit.parameters.stem, SKIP_ACTIVATION, "stem");
    graph.then("Relu", &["stem"], "stem.relu");
    graph.convolve(&network.first, &fit.parameters.first, "stem.relu", "block.first");
    graph.then("Relu", &["block.first"], "block.first.relu");
    graph.convolve(&network.second, &fit.parameters.second, "block.first.relu", "block.second");
    graph.convolve(&network.shortcut, &fit.parameters.shortcut, "stem.relu", "block.shortcut");
    graph.then("Add", &["block.second", "block.shortcut"], "block.sum");
    graph.then("Relu", &["block.sum"], NETWORK_ACTIVATION);

    let in_units = |values: &[f32]| values.iter().map(|value| value * fit.target_scale).collect();
    let head = &fit.parameters.head;
    let head = Affine { weights: in_units(&head.weights), bias: in_units(&head.bias) };
    graph.multiply(&head, network.head, NETWORK_ACTIVATION, "head");
    let skip = Affine { weights: in_units(&fit.skip.weights), bias: fit.target_mean.clone() };
    graph.multiply(&skip, network.skip, SKIP_ACTIVATION, "skip");
    graph.then("Add", &["head", "skip"], OUTPUT);

    proto::model(GraphProto {
        name: "residual network beside PLS".into(),
        node: graph.nodes,
        initializer: graph.constants,
        input: vec![proto::value(INPUT, &[1, channels, points])],
        output: vec![proto::value(OUTPUT, &[1, network.head.outputs])],
        ..GraphProto::default()
    })
}

/// Nodes and constants, in the order they are written.
#[derive(Default)]
struct Writer {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl Writer {
    fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.constants.push(proto::floats(name, shape, values));
    }

    fn then(&mut self, op: &str, inputs: &[&str], output: &str) {
        self.nodes.push(proto::node(op, inputs, output, Vec::new()));
    }

    /// Weight and bias of a layer as constants; their names.
    fn parameters(&mut self, parameters: &Affine<f32>, shape: &[usize], layer: &str) -> [String; 2] {
        let names = [format!("{layer}.weight"), format!("{layer}.bias")];
        self.constant(&names[0], shape, &parameters.weights);
        self.constant(&names[1], &[parameters.bias.len()], &parameters.bias);
        names
    }

    fn convolve(&mut self, layer: &Convolution, parameters: &Affine<f32>, input: &str, output: &str) {
        let shape = [layer.maps_out, layer.maps_in, layer.kernel];
        let [weight, bias] = self.parameters(parameters, &shape, output);
        let attributes = vec![
            proto::ints("kernel_shape", &[layer.kernel as i64]),
            proto::ints("strides", &[layer.stride as i64]),
            proto::ints("pads", &[layer.padding as i64; 2]),
        ];
        self.nodes.push(proto::node("Conv", &[input, &weight, &bias], output, attributes));
    }

    /// A fully connected layer over all of `input`.
    fn multiply(&mut self, parameters: &Affine<f32>, layer: Linear, input: &str, output: &str) {
        let flat = format!("{output}.flat");
        self.nodes.push(proto::node("Flatten", &[input], &flat, vec![proto::int("axis", 1)]));
        let [weight, bias] = self.parameters(parameters, &[layer.outputs, layer.features], output);
        let attributes = vec![proto::int("transB", 1)];
        self.nodes.push(proto::node("Gemm", &[&flat, &weight, &bias], output, attributes));
    }
}
