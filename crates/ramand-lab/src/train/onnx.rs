//! A fitted model as an ONNX graph: standardisation, network and PLS in one, predicting in the target's units.

use onnx_gradient::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};
use onnx_gradient::proto;

use super::candidate::Family;
use super::fit::{Fit, Standard};
use super::layers::{Affine, Convolution, Linear};
use super::network::{Parameters, ResidualNetwork};

/// Name of the input, f32 [1, channels, points].
pub(super) const INPUT: &str = "spectrum";
/// Name of the output, f32 [1, outputs].
pub(super) const OUTPUT: &str = "y";
/// The residual networks' last activations, after their rectifiers: f32 [1, networks · maps, cells].
pub(super) const NETWORK_ACTIVATION: &str = "A0";
/// The centred, scaled input that PLS multiplies: f32 [1, channels, points].
pub(super) const SKIP_ACTIVATION: &str = "A1";
/// The weights behind the residual networks: f32 [outputs, networks · maps · cells].
pub(super) const HEAD_WEIGHT: &str = "head.weight";
/// The weights of PLS: f32 [outputs, channels · points].
pub(super) const SKIP_WEIGHT: &str = "skip.weight";

/// The forward graph of PLS, networks or both.
///
/// The standardisation of the targets is folded into the linear layers, so that `y` is in their units; the target's mean is
/// the bias of the last one. Several networks lie beside each other, their last maps joined, and one head holds the mean of
/// theirs: still one run, and one activation behind which all is linear.
pub(super) fn forward_graph(fit: &Fit) -> ModelProto {
    let mut graph = Writer::default();
    graph.scaled(fit);
    match (fit.family.has_network(), fit.family.has_pls()) {
        (false, _) => graph.linear(fit, 1.0, OUTPUT),
        (true, true) => {
            graph.networks(fit, vec![0.0; fit.network.head.outputs], "head");
            graph.linear(fit, 1.0, "skip");
            graph.then("Add", &["head", "skip"], OUTPUT);
        }
        (true, false) => graph.networks(fit, fit.standard.target_mean.clone(), OUTPUT),
    }
    let name = match fit.family {
        Family::PlsAndNetwork => "residual network beside PLS",
        family => family.in_words(),
    };
    graph.model(name, [1, fit.network.stem.maps_in, fit.network.stem.positions_in], fit.network.head.outputs)
}

/// Nodes and constants, in the order they are written.
#[derive(Default)]
pub(super) struct Writer {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl Writer {
    /// A graph from the spectrum, of this shape, to `outputs` numbers.
    pub(super) fn model(self, name: &str, spectrum: [usize; 3], outputs: usize) -> ModelProto {
        let model = proto::model(GraphProto {
            name: name.into(),
            node: self.nodes,
            initializer: self.constants,
            input: vec![proto::value(INPUT, &spectrum)],
            output: vec![proto::value(OUTPUT, &[1, outputs])],
            ..GraphProto::default()
        });
        ModelProto { producer_name: "ramand".into(), producer_version: env!("CARGO_PKG_VERSION").into(), ..model }
    }

    /// The centred, scaled spectrum.
    pub(super) fn scaled(&mut self, fit: &Fit) {
        let (channels, points) = (fit.network.stem.maps_in, fit.network.stem.positions_in);
        self.constant("mean", &[1, channels, points], &fit.standard.mean);
        self.constant("scale", &[1], &[fit.standard.inverse_scale]);
        self.then("Sub", &[INPUT, "mean"], "centred");
        self.then("Mul", &["centred", "scale"], SKIP_ACTIVATION);
    }

    /// `share` of what PLS says, in the targets' units.
    pub(super) fn linear(&mut self, fit: &Fit, share: f32, output: &str) {
        let Standard { target_mean, target_scale, .. } = &fit.standard;
        let skip = Affine {
            weights: fit.linear.weights.iter().map(|value| value * target_scale * share).collect(),
            bias: target_mean.iter().map(|value| value * share).collect(),
        };
        self.multiply(&skip, fit.network.skip, SKIP_ACTIVATION, "skip", output);
    }

    /// The mean of all networks in the targets' units, with `bias` added.
    fn networks(&mut self, fit: &Fit, bias: Vec<f32>, output: &str) {
        let network = &fit.network;
        if let [trunk] = &fit.trunks[..] {
            self.trunk(network, trunk, "", NETWORK_ACTIVATION);
        } else {
            let ends: Vec<String> = (0..fit.trunks.len()).map(|index| format!("network{index}.block")).collect();
            for (index, (trunk, end)) in fit.trunks.iter().zip(&ends).enumerate() {
                self.trunk(network, trunk, &format!("network{index}."), end);
            }
            let ends: Vec<&str> = ends.iter().map(String::as_str).collect();
            self.nodes.push(proto::node("Concat", &ends, NETWORK_ACTIVATION, vec![proto::int("axis", 1)]));
        }
        let in_units =
            |values: &[f32]| values.iter().map(|value| value * fit.standard.target_scale).collect::<Vec<_>>();
        let head = fit.head();
        let mut head = Affine { weights: in_units(&head.weights), bias: in_units(&head.bias) };
        head.bias.iter_mut().zip(bias).for_each(|(own, bias)| *own += bias);
        let all = Linear { features: network.head.features * fit.trunks.len(), outputs: network.head.outputs };
        self.multiply(&head, all, NETWORK_ACTIVATION, "head", output);
    }

    /// An f64 constant.
    pub(super) fn doubles(&mut self, name: &str, shape: &[usize], values: &[f64]) {
        self.constants.push(proto::doubles(name, shape, values));
    }

    /// A node with attributes.
    pub(super) fn node(&mut self, op: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) {
        self.nodes.push(proto::node(op, inputs, output, attributes));
    }

    pub(super) fn integers(&mut self, name: &str, values: &[i64]) {
        self.constants.push(proto::integers(name, values));
    }

    pub(super) fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.constants.push(proto::floats(name, shape, values));
    }

    pub(super) fn then(&mut self, op: &str, inputs: &[&str], output: &str) {
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
