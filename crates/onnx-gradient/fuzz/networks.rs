//! Small ONNX networks out of arbitrary bytes: nodes that fit one another as often as not, with attributes that may be absurd.

use onnx_gradient::onnx::attribute_proto::AttributeType;
use onnx_gradient::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};
use onnx_gradient::{Graph, proto};

/// Nodes that are proposed. More only make a run slower.
const NODES_MAX: usize = 12;
/// Sizes of the input's axes stay below: absurd sizes come from attributes.
const SIZE_MAX: usize = 9;
/// Operator sets from one that is too old to one that is too new.
const OPERATOR_SETS: std::ops::Range<usize> = 10..26;

/// What an operand is made of.
#[derive(Clone, Copy)]
enum Operand {
    /// A value there is already.
    Value,
    /// A kernel for the first operand: [maps, channels, taps...].
    Kernel,
    /// A matrix for the last axis of the first operand.
    Matrix,
    /// A number for each channel of the first operand.
    Channels,
    /// One number.
    Number,
    /// A short list of small integers: axes, a shape, paddings.
    Integers,
}

use Operand::{Channels, Integers, Kernel, Matrix, Number, Value};

const SLIDE: &[&str] = &["kernel_shape", "strides", "pads", "dilations", "group", "auto_pad", "ceil_mode"];
const REDUCE: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];

/// Operators with their operands, of which the last ones may be left out, and their attributes.
const OPERATORS: &[(&str, &[Operand], &[&str])] = &[
    ("Conv", &[Value, Kernel, Channels], SLIDE),
    ("Conv", &[Value, Kernel], &["pads", "strides"]),
    ("ConvTranspose", &[Value, Kernel], &["strides", "pads", "dilations", "group", "output_padding"]),
    ("Relu", &[Value], &[]),
    ("LeakyRelu", &[Value], &["alpha"]),
    ("Elu", &[Value], &["alpha"]),
    ("Celu", &[Value], &["alpha"]),
    ("Sigmoid", &[Value], &[]),
    ("HardSwish", &[Value], &[]),
    ("Tanh", &[Value], &[]),
    ("Softplus", &[Value], &[]),
    ("Erf", &[Value], &[]),
    ("Exp", &[Value], &[]),
    ("Sqrt", &[Value], &[]),
    ("Reciprocal", &[Value], &[]),
    ("Clip", &[Value, Number, Number], &[]),
    ("PRelu", &[Value, Channels], &[]),
    ("Softmax", &[Value], &["axis"]),
    ("LogSoftmax", &[Value], &["axis"]),
    ("Add", &[Value, Value], &[]),
    ("Add", &[Value, Channels], &[]),
    ("Sub", &[Value, Value], &[]),
    ("Mul", &[Value, Value], &[]),
    ("Mul", &[Value, Number], &[]),
    ("Div", &[Value, Value], &[]),
    ("Pow", &[Value, Number], &[]),
    ("Max", &[Value, Value], &[]),
    ("Min", &[Value, Number], &[]),
    ("Sum", &[Value, Value, Value], &[]),
    ("Mean", &[Value, Value], &[]),
    ("Greater", &[Value, Number], &[]),
    ("Where", &[Value, Value, Value], &[]),
    ("Gemm", &[Value, Matrix, Number], &["alpha", "beta", "transA", "transB"]),
    ("MatMul", &[Value, Matrix], &[]),
    ("MatMul", &[Value, Value], &[]),
    ("BatchNormalization", &[Value, Channels, Channels, Channels, Channels], &["epsilon"]),
    ("InstanceNormalization", &[Value, Channels, Channels], &["epsilon"]),
    ("LayerNormalization", &[Value, Number], &["axis", "epsilon"]),
    ("GroupNormalization", &[Value, Channels, Channels], &["num_groups", "epsilon"]),
    ("MaxPool", &[Value], SLIDE),
    ("AveragePool", &[Value], &["kernel_shape", "strides", "pads", "ceil_mode", "count_include_pad"]),
    ("GlobalAveragePool", &[Value], &[]),
    ("GlobalMaxPool", &[Value], &[]),
    ("ReduceMean", &[Value, Integers], REDUCE),
    ("ReduceSum", &[Value, Integers], REDUCE),
    ("ReduceMax", &[Value, Integers], REDUCE),
    ("ReduceL2", &[Value, Integers], REDUCE),
    ("ReduceLogSumExp", &[Value, Integers], REDUCE),
    ("Reshape", &[Value, Integers], &["allowzero"]),
    ("Flatten", &[Value], &["axis"]),
    ("Squeeze", &[Value, Integers], &["axes"]),
    ("Unsqueeze", &[Value, Integers], &["axes"]),
    ("Transpose", &[Value], &["perm"]),
    ("Concat", &[Value, Value], &["axis"]),
    ("Split", &[Value, Integers], &["axis", "num_outputs"]),
    ("Slice", &[Value, Integers, Integers, Integers, Integers], &[]),
    ("Pad", &[Value, Integers, Number], &["mode"]),
    ("Expand", &[Value, Integers], &[]),
    ("Tile", &[Value, Integers], &[]),
    ("Resize", &[Value, Integers, Number], &["mode"]),
    ("Gather", &[Value, Integers], &["axis"]),
    ("GatherND", &[Value, Integers], &[]),
    ("Shape", &[Value], &[]),
    ("ConstantOfShape", &[Integers], &[]),
    ("Range", &[Integers, Integers, Integers], &[]),
    ("ArgMax", &[Value], &["axis", "keepdims"]),
    ("Identity", &[Value], &[]),
    ("Nonsense", &[Value], &["axis"]),
];

/// The bytes that decide; zeros follow the last one.
struct Choices<'b>(std::slice::Iter<'b, u8>);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    /// Between −2 and 2, in steps that f32 holds exactly.
    fn number(&mut self) -> f32 {
        (f32::from(self.byte()) - 128.0) / 64.0
    }

    /// Mostly small, sometimes absurd.
    fn integer(&mut self) -> i64 {
        match self.byte() {
            250 => i64::MAX,
            251 => i64::MIN,
            252 => 1 << 33,
            253 => -(1 << 33),
            254 => 65_536,
            byte => i64::from(byte % 8) - i64::from(byte / 200),
        }
    }

    fn integers(&mut self, count_max: usize) -> Vec<i64> {
        (0..self.below(count_max + 1)).map(|_| self.integer()).collect()
    }
}

/// The network that the bytes describe.
pub(crate) fn network(bytes: &[u8]) -> ModelProto {
    let mut choices = Choices(bytes.iter());
    let sizes: Vec<usize> = (0..choices.below(3) + 1).map(|_| choices.below(SIZE_MAX) + 1).collect();
    let shape = [&[1], sizes.as_slice()].concat();
    let mut model = proto::model(GraphProto {
        input: vec![proto::value("x", &shape)],
        output: vec![proto::value("y", &[1, 1])],
        ..GraphProto::default()
    });
    model.opset_import[0].version = match choices.byte() {
        // Most of the time the one that everything is known of.
        byte if byte < 200 => proto::OPERATOR_SET,
        byte => (OPERATOR_SETS.start + usize::from(byte) % OPERATOR_SETS.len()) as i64,
    };
    let mut values = vec!["x".to_owned()];
    for index in 0..choices.below(NODES_MAX) + 1 {
        let (node, initializers) = proposed(&mut choices, &model, &values, index);
        let mut grown = model.clone();
        let graph = grown.graph.as_option_mut().expect("it was given one");
        let outputs = node.output.clone();
        graph.node.push(node);
        graph.initializer.extend(initializers);
        graph.output[0].name.clone_from(outputs.first().expect("a node has an output"));
        // A node that does not fit is taken all the same now and then.
        if Graph::new(&grown).is_ok() || choices.below(16) == 15 {
            model = grown;
            values.extend(outputs);
        }
    }
    let last = values.last().expect("the input at least").clone();
    let graph = model.graph.as_option_mut().expect("it was given one");
    graph.node.push(proto::node("Flatten", &[&last], "features", Vec::new()));
    graph.output[0].name = "features".into();
    let Some(features) = shape_of(&model, "features").and_then(|shape| shape.last().copied()) else { return model };
    let outputs = choices.below(3) + 1;
    let weights: Vec<f32> = (0..outputs * features).map(|_| choices.number()).collect();
    let graph = model.graph.as_option_mut().expect("it was given one");
    graph.initializer.push(proto::floats("head", &[features, outputs], &weights));
    graph.node.push(proto::node("MatMul", &["features", "head"], "y", Vec::new()));
    graph.output[0] = proto::value("y", &[1, outputs]);
    model
}

fn shape_of(model: &ModelProto, value: &str) -> Option<Vec<usize>> {
    Graph::new(model).ok()?.shape(value).ok().map(<[usize]>::to_vec)
}

fn proposed(
    choices: &mut Choices<'_>,
    model: &ModelProto,
    values: &[String],
    index: usize,
) -> (NodeProto, Vec<TensorProto>) {
    let (op, operands, attributes) = OPERATORS[choices.below(OPERATORS.len())];
    let wanted = operands.len() - if choices.below(8) == 7 { 1 } else { 0 };
    let mut initializers = Vec::new();
    let mut inputs: Vec<String> = Vec::new();
    let mut shape = Vec::new();
    for (place, operand) in operands.iter().take(wanted).enumerate() {
        if let Value = operand {
            // Mostly the newest.
            let back = choices.below(values.len() + 4).saturating_sub(4);
            let value = values[values.len() - 1 - back].clone();
            if shape.is_empty() {
                shape = shape_of(model, &value).unwrap_or_default();
            }
            inputs.push(value);
            continue;
        }
        let name = format!("w{index}.{place}");
        let size = |axis: usize| shape.get(axis).copied().unwrap_or(1);
        let sizes = match operand {
            Kernel => {
                let mut sizes = vec![choices.below(4) + 1, size(1)];
                sizes.extend((2..shape.len()).map(|_| choices.below(4) + 1));
                sizes
            }
            Matrix => vec![size(shape.len().saturating_sub(1)), choices.below(4) + 1],
            Channels => vec![size(1)],
            Number => Vec::new(),
            Integers | Value => {
                let listed = choices.integers(6);
                initializers.push(proto::integers(&name, &listed));
                inputs.push(name);
                continue;
            }
        };
        let count: usize = sizes.iter().product();
        let numbers: Vec<f32> = (0..count.min(4096)).map(|_| choices.number()).collect();
        initializers.push(proto::floats(&name, &sizes, &numbers));
        inputs.push(name);
    }
    let mut given = Vec::new();
    for name in attributes {
        if choices.below(2) == 1 {
            given.push(attribute(choices, name));
        }
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let mut node = proto::node(op, &inputs, &format!("v{index}"), given);
    if op == "Split" {
        node.output = (0..choices.below(3) + 1).map(|part| format!("v{index}.{part}")).collect();
    }
    (node, initializers)
}

fn attribute(choices: &mut Choices<'_>, name: &str) -> AttributeProto {
    match name {
        "alpha" | "beta" | "epsilon" => proto::float(name, choices.number()),
        "auto_pad" => text(name, ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET", "?"][choices.below(5)]),
        "mode" => text(name, ["constant", "reflect", "edge", "wrap", "nearest", "linear"][choices.below(6)]),
        "axes" | "kernel_shape" | "strides" | "pads" | "dilations" | "perm" | "output_padding" => {
            proto::ints(name, &choices.integers(4))
        }
        _ => proto::int(name, choices.integer()),
    }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: value.as_bytes().to_vec(), r#type: AttributeType::String.into(), ..proto::int(name, 0) }
}
