//! Random small graphs: whatever is put together, the gradient agrees with central differences.

use proptest::prelude::*;

use super::judge::{RELATIVE_ERROR_MAX, STEP, apart, differences, input, with_gradient};
use super::networks::{Convolution, Network};
use onnx_gradient::onnx::ModelProto;
use onnx_gradient::proto::{float, int, ints};
use onnx_gradient::{Graph, Seed};

/// Largest value of a network whose differences are exact enough to judge by.
const VALUE_MAX: f64 = 1e3;

/// What comes next along the trunk.
#[derive(Debug, Clone, Copy)]
enum Layer {
    Convolve {
        kernel: usize,
        stride: i64,
        dilation: i64,
        pads: [i64; 2],
        maps: usize,
        groups: bool,
    },
    /// Of the smooth and the piecewise linear functions, by number.
    Activate(usize),
    MaxPool {
        kernel: i64,
        stride: i64,
    },
    AveragePool {
        kernel: i64,
        stride: i64,
        pad: i64,
        ceil: bool,
    },
    Standardise {
        channels: bool,
    },
    /// x + f(x), with f a convolution and a function.
    Residual(usize),
    /// x and f(x) side by side.
    Concatenate(usize),
    /// x · sigmoid(W mean(x)).
    Excite,
    Attend,
    Scale,
    Cut {
        start: i64,
        step: i64,
    },
    Extend {
        before: i64,
        after: i64,
    },
}

const ACTIVATIONS: [&str; 8] = ["Relu", "LeakyRelu", "Elu", "Sigmoid", "Tanh", "Softplus", "Softsign", "HardSwish"];

fn layer() -> impl Strategy<Value = Layer> {
    prop_oneof![
        3 => (1..5_usize, 1..4_i64, 1..3_i64, [0..3_i64, 0..3], 1..3_usize, any::<bool>()).prop_map(
            |(kernel, stride, dilation, pads, maps, groups)| Layer::Convolve {
                kernel, stride, dilation, pads, maps: 2 * maps, groups
            }
        ),
        3 => (0..ACTIVATIONS.len()).prop_map(Layer::Activate),
        1 => (1..4_i64, 1..4_i64).prop_map(|(kernel, stride)| Layer::MaxPool { kernel, stride }),
        1 => (2..4_i64, 1..4_i64, 0..2_i64, any::<bool>())
            .prop_map(|(kernel, stride, pad, ceil)| Layer::AveragePool { kernel, stride, pad, ceil }),
        1 => any::<bool>().prop_map(|channels| Layer::Standardise { channels }),
        2 => (0..ACTIVATIONS.len()).prop_map(Layer::Residual),
        2 => (0..ACTIVATIONS.len()).prop_map(Layer::Concatenate),
        1 => Just(Layer::Excite),
        1 => Just(Layer::Attend),
        1 => Just(Layer::Scale),
        1 => (0..3_i64, 1..3_i64).prop_map(|(start, step)| Layer::Cut { start, step }),
        1 => (0..3_i64, 0..3_i64).prop_map(|(before, after)| Layer::Extend { before, after }),
    ]
}

/// Maps and cells of the value a layer gives; `None` where there are too few cells for it.
fn append(network: &mut Network, layer: Layer, from: &str, to: &str, [maps, cells]: [usize; 2]) -> Option<[usize; 2]> {
    let name = |part: &str| format!("{to}.{part}");
    match layer {
        Layer::Convolve { kernel, stride, dilation, pads, maps: outputs, groups } => {
            let room = (cells as i64 + pads[0] + pads[1] - dilation * (kernel as i64 - 1) - 1).max(-1);
            let groups = if groups { 2 } else { 1 };
            let settings = Convolution { stride, pads, dilation, groups };
            network.conv(from, to, [outputs, maps / groups as usize, kernel], settings);
            (room >= 0).then(|| [outputs, (room / stride) as usize + 1])
        }
        Layer::Activate(number) => {
            network.op(ACTIVATIONS[number], &[from], to, vec![]);
            Some([maps, cells])
        }
        Layer::MaxPool { kernel, stride } => {
            network.op("MaxPool", &[from], to, vec![ints("kernel_shape", &[kernel]), ints("strides", &[stride])]);
            let room = cells.checked_sub(kernel as usize)?;
            Some([maps, room / stride as usize + 1])
        }
        Layer::AveragePool { kernel, stride, pad, ceil } => {
            let settings = [ints("kernel_shape", &[kernel]), ints("strides", &[stride]), ints("pads", &[pad, 0])];
            let more = [int("ceil_mode", ceil.into()), int("count_include_pad", pad)];
            network.op("AveragePool", &[from], to, [settings.to_vec(), more.to_vec()].concat());
            let room = (cells + pad as usize).checked_sub(kernel as usize)?;
            let stride = stride as usize;
            let count = if ceil { room.div_ceil(stride) } else { room / stride } + 1;
            let beyond = ceil && (count - 1) * stride >= cells + pad as usize;
            Some([maps, count - usize::from(beyond)])
        }
        Layer::Standardise { channels } => {
            let (op, size) = if channels { ("InstanceNormalization", maps) } else { ("LayerNormalization", cells) };
            let (scale, offset) = (name("scale"), name("offset"));
            network.weights(&scale, &[size]).weights(&offset, &[size]);
            network.op(op, &[from, &scale, &offset], to, vec![float("epsilon", 0.1)]);
            Some([maps, cells])
        }
        Layer::Residual(number) | Layer::Concatenate(number) => {
            let (mixed, active) = (name("mixed"), name("active"));
            network.conv(from, &mixed, [maps, maps, 3], Convolution::new(1, [1, 1]));
            network.op(ACTIVATIONS[number], &[&mixed], &active, vec![]);
            if matches!(layer, Layer::Residual(_)) {
                network.op("Add", &[from, &active], to, vec![]);
                return Some([maps, cells]);
            }
            network.op("Concat", &[from, &active], to, vec![int("axis", 1)]);
            Some([2 * maps, cells])
        }
        Layer::Excite => {
            let (mean, mixed, gate) = (name("mean"), name("mixed"), name("gate"));
            network.op("GlobalAveragePool", &[from], &mean, vec![]);
            network.conv(&mean, &mixed, [maps, maps, 1], Convolution::new(1, [0, 0]));
            network.op("Sigmoid", &[&mixed], &gate, vec![]).op("Mul", &[from, &gate], to, vec![]);
            Some([maps, cells])
        }
        Layer::Attend => {
            let (tokens, scores, weights) = (name("tokens"), name("scores"), name("weights"));
            network.op("Transpose", &[from], &tokens, vec![ints("perm", &[0, 2, 1])]);
            network.op("MatMul", &[from, &tokens], &scores, vec![]);
            network.op("Softmax", &[&scores], &weights, vec![int("axis", -1)]);
            network.op("MatMul", &[&weights, from], to, vec![]);
            Some([maps, cells])
        }
        Layer::Scale => {
            let (scale, offset, scaled) = (name("scale"), name("offset"), name("scaled"));
            network.weights(&scale, &[maps, 1]).weights(&offset, &[1, 1, cells]);
            network.op("Mul", &[from, &scale], &scaled, vec![]).op("Sub", &[&offset, &scaled], to, vec![]);
            Some([maps, cells])
        }
        Layer::Cut { start, step } => {
            let [starts, ends, axes, steps] = ["starts", "ends", "axes", "steps"].map(name);
            network.integers(&starts, &[start]).integers(&ends, &[i64::MAX]).integers(&axes, &[2]);
            network.integers(&steps, &[step]).op("Slice", &[from, &starts, &ends, &axes, &steps], to, vec![]);
            let rest = cells.checked_sub(start as usize).filter(|&rest| rest > 0)?;
            Some([maps, rest.div_ceil(step as usize)])
        }
        Layer::Extend { before, after } => {
            let pads = name("pads");
            network.integers(&pads, &[0, 0, before, 0, 0, after]).op("Pad", &[from, &pads], to, vec![]);
            Some([maps, cells + (before + after) as usize])
        }
    }
}

/// The network of those layers that fit, before a linear head.
fn network(layers: &[Layer], cells: usize, seed: u64) -> ModelProto {
    let mut network = Network::new(seed);
    let (mut value, mut size) = ("target".to_owned(), [2, cells]);
    network.op("Identity", &["x"], &value, vec![]);
    for (index, &layer) in layers.iter().enumerate() {
        let output = format!("layer{index}");
        // Too few cells are found out on a network that is thrown away.
        if append(&mut Network::new(0), layer, &value, &output, size).is_some() {
            size = append(&mut network, layer, &value, &output, size).expect("it fitted");
            value = output;
        }
    }
    network.op("Flatten", &[&value], "features", vec![]);
    network.dense("features", "y", size[0] * size[1], 3).build(&[1, 2, cells], 3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_gradient_agrees_with_differences(
        layers in proptest::collection::vec(layer(), 1..7), cells in 4..13_usize, seed in 0..1_000_u64
    ) {
        let model = network(&layers, cells, seed);
        let given = input(&model, seed);
        let attached = with_gradient(&model, Seed::All, &["target"]).expect("every operator has a rule");
        let graph = Graph::new(&attached.model).expect("valid");
        let values = graph.evaluate(&given, &["y", "dYdA0"]).expect("evaluates");
        prop_assume!(values["y"].data().iter().all(|value| value.abs() < VALUE_MAX));
        let expected = differences(&model, "target", &given, STEP).concat();
        let error = apart(values["dYdA0"].data().iter().copied(), &expected);
        if error > RELATIVE_ERROR_MAX {
            // At a kink within the step differences of two steps differ, and judge nothing.
            let finer = differences(&model, "target", &given, STEP / 8.0).concat();
            prop_assume!(apart(finer, &expected) <= RELATIVE_ERROR_MAX);
        }
        prop_assert!(error <= RELATIVE_ERROR_MAX, "relative error {error:e}");
    }
}
