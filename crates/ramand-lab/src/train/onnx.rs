//! A fitted model as an ONNX graph: standardisation, network and skip in one, predicting in the target's units.

use onnx_gradient::onnx::{GraphProto, ModelProto, NodeProto, TensorProto};
use onnx_gradient::proto;

use super::candidate::Skip;
use super::fit::{Fit, Standard};
use super::layers::{Affine, Convolution, Linear};
use super::network::{Parameters, ResidualNetwork};

/// Name of the input, f32 [1, channels, points].
pub(super) const INPUT: &str = "spectrum";
/// Name of the output, f32 [1, outputs].
pub(super) const OUTPUT: &str = "y";
/// The residual networks' last activations, after their rectifiers: f32 [1, networks · maps, cells].
pub(super) const NETWORK_ACTIVATION: &str = "A0";
/// The centred, scaled input that the skip multiplies: f32 [1, channels, points].
pub(super) const SKIP_ACTIVATION: &str = "A1";
/// The weights behind the residual networks: f32 [outputs, networks · maps · cells].
pub(super) const HEAD_WEIGHT: &str = "head.weight";
/// The weights of the skip: f32 [outputs, channels · points].
pub(super) const SKIP_WEIGHT: &str = "skip.weight";

/// The forward graph.
///
/// The standardisation of the targets is folded into the linear layers, so that `y` is in their units; the target's mean is
/// the bias of the last one. Several networks lie beside each other, their last maps joined, and one head holds the mean of
/// theirs: still one run, and one activation behind which all is linear.
pub(super) fn forward_graph(fit: &Fit) -> ModelProto {
    let network = &fit.network;
    let (channels, points) = (network.stem.maps_in, network.stem.positions_in);
    let mut graph = Writer::default();
    graph.constant("mean", &[1, channels, points], &fit.standard.mean);
    graph.constant("scale", &[1], &[fit.standard.inverse_scale]);
    graph.then("Sub", &[INPUT, "mean"], "centred");
    graph.then("Mul", &["centred", "scale"], SKIP_ACTIVATION);

    if let [trunk] = &fit.trunks[..] {
        graph.trunk(network, trunk, "", NETWORK_ACTIVATION);
    } else {
        let ends: Vec<String> = (0..fit.trunks.len()).map(|index| format!("network{index}.block")).collect();
        for (index, (trunk, end)) in fit.trunks.iter().zip(&ends).enumerate() {
            graph.trunk(network, trunk, &format!("network{index}."), end);
        }
        let ends: Vec<&str> = ends.iter().map(String::as_str).collect();
        graph.nodes.push(proto::node("Concat", &ends, NETWORK_ACTIVATION, vec![proto::int("axis", 1)]));
    }

    let Standard { target_mean, target_scale, .. } = &fit.standard;
    let in_units = |values: &[f32]| values.iter().map(|value| value * target_scale).collect::<Vec<_>>();
    let head = fit.head();
    let mut head = Affine { weights: in_units(&head.weights), bias: in_units(&head.bias) };
    let outputs = network.head.outputs;
    let all = Linear { features: network.head.features * fit.trunks.len(), outputs };
    match fit.skip {
        Skip::Pls => {
            graph.multiply(&head, all, NETWORK_ACTIVATION, "head", "head");
            let skip = Affine { weights: in_units(&fit.linear.weights), bias: target_mean.clone() };
            graph.multiply(&skip, network.skip, SKIP_ACTIVATION, "skip", "skip");
            graph.then("Add", &["head", "skip"], OUTPUT);
        }
        Skip::None => {
            head.bias.iter_mut().zip(target_mean).for_each(|(bias, mean)| *bias += mean);
            graph.multiply(&head, all, NETWORK_ACTIVATION, "head", OUTPUT);
        }
    }

    let name = match fit.skip {
        Skip::Pls => "residual network beside PLS",
        Skip::None => "residual network",
    };
    let model = proto::model(GraphProto {
        name: name.into(),
        node: graph.nodes,
        initializer: graph.constants,
        input: vec![proto::value(INPUT, &[1, channels, points])],
        output: vec![proto::value(OUTPUT, &[1, outputs])],
        ..GraphProto::default()
    });
    ModelProto { producer_name: "ramand".into(), producer_version: env!("CARGO_PKG_VERSION").into(), ..model }
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

    /// One network up to its last rectifier, which is called `end`; its layers are called `prefix` and their own name.
    fn trunk(&mut self, network: &ResidualNetwork, parameters: &Parameters<f32>, prefix: &str, end: &str) {
        let name = |layer: &str| format!("{prefix}{layer}");
        let (stem, first, second, shortcut) =
            (name("stem"), name("block.first"), name("block.second"), name("block.shortcut"));
        let (stem_relu, first_relu, sum) = (name("stem.relu"), name("block.first.relu"), name("block.sum"));
        self.convolve(&network.stem, &parameters.stem, SKIP_ACTIVATION, &stem);
        self.then("Relu", &[&stem], &stem_relu);
        self.convolve(&network.first, &parameters.first, &stem_relu, &first);
        self.then("Relu", &[&first], &first_relu);
        self.convolve(&network.second, &parameters.second, &first_relu, &second);
        self.convolve(&network.shortcut, &parameters.shortcut, &stem_relu, &shortcut);
        self.then("Add", &[&second, &shortcut], &sum);
        self.then("Relu", &[&sum], end);
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
    fn multiply(&mut self, parameters: &Affine<f32>, layer: Linear, input: &str, name: &str, output: &str) {
        let flat = format!("{name}.flat");
        self.nodes.push(proto::node("Flatten", &[input], &flat, vec![proto::int("axis", 1)]));
        let [weight, bias] = self.parameters(parameters, &[layer.outputs, layer.features], name);
        let attributes = vec![proto::int("transB", 1)];
        self.nodes.push(proto::node("Gemm", &[&flat, &weight, &bias], output, attributes));
    }
}
