//! Networks to test with: the family this project trains, and small ones for one operator each.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use onnx_gradient::onnx::attribute_proto::AttributeType;
use onnx_gradient::onnx::tensor_shape_proto::dimension;
use onnx_gradient::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto};
use onnx_gradient::proto::{self, floats, int, integers, ints, node, value};

/// States another size of a value's last axis, be it one that no value could have.
pub(crate) fn enlarge(info: &mut ValueInfoProto, size: i64) {
    let kind = info.r#type.as_option_mut().and_then(|kind| kind.value.as_mut());
    let Some(type_proto::Value::TensorType(tensor)) = kind else { return };
    if let Some(last) = tensor.shape.as_option_mut().and_then(|shape| shape.dim.last_mut()) {
        last.value = Some(dimension::Value::DimValue(size));
    }
}

/// A graph under construction, with random weights.
pub(crate) struct Network {
    rng: ChaCha8Rng,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), nodes: Vec::new(), initializers: Vec::new() }
    }

    /// Numbers between −1 and 1.
    pub(crate) fn numbers(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.rng.random_range(-1.0..1.0)).collect()
    }

    pub(crate) fn weights(&mut self, name: &str, shape: &[usize]) -> &mut Self {
        let fan_in = shape.iter().skip(1).product::<usize>().max(1) as f32;
        let data: Vec<f32> = self.numbers(shape.iter().product()).iter().map(|w| w * 2.0 / fan_in.sqrt()).collect();
        self.initializers.push(floats(name, shape, &data));
        self
    }

    pub(crate) fn constant(&mut self, name: &str, shape: &[usize], data: &[f32]) -> &mut Self {
        self.initializers.push(floats(name, shape, data));
        self
    }

    pub(crate) fn integers(&mut self, name: &str, data: &[i64]) -> &mut Self {
        self.initializers.push(integers(name, data));
        self
    }

    pub(crate) fn shaped_integers(&mut self, name: &str, shape: &[usize], data: &[i64]) -> &mut Self {
        let dims = shape.iter().map(|&size| size as i64).collect();
        self.initializers.push(TensorProto { dims, ..integers(name, data) });
        self
    }

    /// A node of several outputs.
    pub(crate) fn several(
        &mut self,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> &mut Self {
        let output = outputs.iter().map(ToString::to_string).collect();
        self.nodes.push(NodeProto { output, ..node(op, inputs, outputs[0], attributes) });
        self
    }

    pub(crate) fn op(&mut self, op: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) -> &mut Self {
        self.nodes.push(node(op, inputs, output, attributes));
        self
    }

    /// A convolution with bias; `weights` is [outputs, inputs / groups, kernel].
    pub(crate) fn conv(&mut self, input: &str, output: &str, weights: [usize; 3], settings: Convolution) -> &mut Self {
        let (w, b) = (format!("{output}.weight"), format!("{output}.bias"));
        self.weights(&w, &weights).weights(&b, &[weights[0]]);
        let Convolution { stride, pads, dilation, groups } = settings;
        let attributes = vec![
            ints("kernel_shape", &[weights[2] as i64]),
            ints("strides", &[stride]),
            ints("pads", &pads),
            ints("dilations", &[dilation]),
            int("group", groups),
        ];
        self.op("Conv", &[input, &w, &b], output, attributes)
    }

    /// A dense layer with bias, [features] to [outputs].
    pub(crate) fn dense(&mut self, input: &str, output: &str, features: usize, outputs: usize) -> &mut Self {
        let (w, b) = (format!("{output}.weight"), format!("{output}.bias"));
        self.weights(&w, &[outputs, features]).weights(&b, &[outputs]);
        self.op("Gemm", &[input, &w, &b], output, vec![int("transB", 1)])
    }

    /// The model so far, with the output `z` of a shape that is not declared.
    pub(crate) fn draft(&self, input: &[usize]) -> ModelProto {
        proto::model(GraphProto {
            node: self.nodes.clone(),
            initializer: self.initializers.clone(),
            input: vec![value("x", input)],
            output: vec![ValueInfoProto { name: "z".into(), ..ValueInfoProto::default() }],
            ..GraphProto::default()
        })
    }

    /// The model with one input `x` and the output `y`, [1, outputs].
    pub(crate) fn build(&mut self, input: &[usize], outputs: usize) -> ModelProto {
        proto::model(GraphProto {
            node: std::mem::take(&mut self.nodes),
            initializer: std::mem::take(&mut self.initializers),
            name: "network".into(),
            input: vec![value("x", input)],
            output: vec![value("y", &[1, outputs])],
            ..GraphProto::default()
        })
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Convolution {
    pub(crate) stride: i64,
    pub(crate) pads: [i64; 2],
    pub(crate) dilation: i64,
    pub(crate) groups: i64,
}

impl Convolution {
    pub(crate) fn new(stride: i64, pads: [i64; 2]) -> Self {
        Self { stride, pads, dilation: 1, groups: 1 }
    }
}

/// What the network family looks like.
#[derive(Clone, Copy)]
pub(crate) struct Residual {
    pub(crate) channels: usize,
    pub(crate) points: usize,
    pub(crate) outputs: usize,
    pub(crate) head: Head,
}

/// How the last stage becomes outputs.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Head {
    /// Flatten and one linear layer, beside a linear skip from the input.
    FlattenAndSkip,
    /// Global average and one linear layer.
    Average,
    /// Two linear layers with a ReLU between them.
    TwoLayers,
}

/// Input `x`, scaled to `scaled`; stem convolution k3 s2 with output `stem`; residual block k3 s2, k1 and a 1x1 shortcut
/// with output `stage`; head. Nothing is pooled before the head.
pub(crate) fn residual(shape: Residual, seed: u64) -> ModelProto {
    let Residual { channels, points, outputs, head } = shape;
    let mut network = Network::new(seed);
    let cells = points.div_ceil(2).div_ceil(2);
    let down = Convolution::new(2, [1, 1]);
    network
        .weights("mean", &[1, channels, points])
        .op("Sub", &["x", "mean"], "centred", vec![])
        .constant("scale", &[1], &[0.7])
        .op("Mul", &["centred", "scale"], "scaled", vec![])
        .conv("scaled", "stem_linear", [16, channels, 3], down)
        .op("Relu", &["stem_linear"], "stem", vec![])
        .conv("stem", "first_linear", [24, 16, 3], down)
        .op("Relu", &["first_linear"], "first", vec![])
        .conv("first", "second", [24, 24, 1], Convolution::new(1, [0, 0]))
        .conv("stem", "shortcut", [24, 16, 1], Convolution::new(2, [0, 0]))
        .op("Add", &["second", "shortcut"], "sum", vec![])
        .op("Relu", &["sum"], "stage", vec![]);
    match head {
        Head::FlattenAndSkip => network
            .op("Flatten", &["stage"], "features", vec![])
            .dense("features", "head", 24 * cells, outputs)
            .op("Flatten", &["scaled"], "pixels", vec![])
            .dense("pixels", "skip", channels * points, outputs)
            .op("Add", &["head", "skip"], "y", vec![]),
        Head::Average => network
            .op("GlobalAveragePool", &["stage"], "pooled", vec![])
            .op("Flatten", &["pooled"], "features", vec![])
            .dense("features", "y", 24, outputs),
        Head::TwoLayers => network
            .op("Flatten", &["stage"], "features", vec![])
            .dense("features", "hidden_linear", 24 * cells, 10)
            .op("Relu", &["hidden_linear"], "hidden", vec![])
            .dense("hidden", "y", 10, outputs),
    };
    network.build(&[1, channels, points], outputs)
}

/// A text attribute.
pub(crate) fn text(name: &str, text: &str) -> AttributeProto {
    let text = text.as_bytes().to_vec();
    AttributeProto { name: name.into(), r#type: AttributeType::String.into(), s: text, ..AttributeProto::default() }
}
