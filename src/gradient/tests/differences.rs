//! The attached gradient against central finite differences in f64, with controls that must fail.

use std::collections::HashMap;

use tract_onnx::pb::ModelProto;

use super::networks::{Convolution, Head, Network, Residual, residual};
use crate::gradient::proto::{self, float, int, ints};
use crate::gradient::{Attached, GradientError, Graph, Seed, Target, Tensor, attach};

/// Largest difference from the finite difference, relative to the largest gradient: 1e-4 would barely notice a weight
/// that is wrong by 0.1 %.
const RELATIVE_ERROR_MAX: f64 = 1e-5;
/// tract computes in f32.
const F32_RELATIVE_ERROR_MAX: f64 = 1e-5;
/// Step of the central difference. The networks are piecewise linear or of low degree: rounding decides.
const STEP: f64 = 1e-5;

fn input(model: &ModelProto, seed: u64) -> HashMap<String, Tensor> {
    let graph = Graph::new(model).expect("a valid graph");
    let shape = graph.shape("x").expect("an input").to_vec();
    let numbers = Network::new(seed).numbers(shape.iter().product());
    HashMap::from([("x".into(), Tensor::new(shape, numbers.into_iter().map(f64::from).collect()))])
}

fn attached(model: &ModelProto, tensors: &[&str]) -> Result<Attached, GradientError> {
    let names: Vec<(String, String)> =
        (0..tensors.len()).map(|target| (format!("A{target}"), format!("dYdA{target}"))).collect();
    let targets = tensors.iter().zip(&names);
    let targets: Vec<Target<'_>> =
        targets.map(|(&tensor, (activation, gradient))| Target { tensor, activation, gradient }).collect();
    attach(model, "y", Seed::All, &targets)
}

/// The largest difference between `dYdA0` of the attached graph and central differences of the original one, relative to
/// the largest gradient.
fn relative_error(original: &ModelProto, attached: &ModelProto, tensor: &str) -> f64 {
    let given = input(original, 99);
    let forward = Graph::new(original).expect("a valid graph");
    let backward = Graph::new(attached).expect("a valid attached graph");
    let gradient = backward.evaluate(&given, &["dYdA0"]).expect("evaluates").remove("dYdA0").expect("the gradient");
    let activation = forward.evaluate(&given, &[tensor]).expect("evaluates").remove(tensor).expect("the activation");
    let outputs = gradient.shape()[0];
    let cells = activation.data().len();
    let y_at = |index: usize, step: f64| {
        let mut moved = activation.clone();
        moved.data_mut()[index] += step;
        // Everything else the output depends on comes from the input.
        let mut given = given.clone();
        given.insert(tensor.into(), moved);
        forward.evaluate(&given, &["y"]).expect("evaluates").remove("y").expect("the output")
    };
    let mut worst = 0.0_f64;
    let largest = gradient.data().iter().fold(1e-12_f64, |largest, value| largest.max(value.abs()));
    for index in 0..cells {
        let (above, below) = (y_at(index, STEP), y_at(index, -STEP));
        for output in 0..outputs {
            let difference = (above.data()[output] - below.data()[output]) / (2.0 * STEP);
            worst = worst.max((gradient.data()[output * cells + index] - difference).abs());
        }
    }
    worst / largest
}

fn check(name: &str, model: &ModelProto, tensor: &str) -> Attached {
    let attached = attached(model, &[tensor]).unwrap_or_else(|error| panic!("{name}: {error}"));
    let error = relative_error(model, &attached.model, tensor);
    assert!(error <= RELATIVE_ERROR_MAX, "{name}, target {tensor}: relative error {error:e}");
    attached
}

const SMALL: Residual = Residual { channels: 2, points: 30, outputs: 3, head: Head::FlattenAndSkip };

#[test]
fn every_layer_of_the_network_family() {
    for head in [Head::FlattenAndSkip, Head::Average, Head::TwoLayers] {
        for points in [29, 30, 31, 32] {
            let model = residual(Residual { points, head, ..SMALL }, 1);
            for tensor in ["stage", "sum", "second", "first", "stem", "stem_linear", "scaled"] {
                // Without the skip, "scaled" reaches y through the whole trunk; with it, along both ways.
                check(&format!("{points} points"), &model, tensor);
            }
        }
    }
}

#[test]
fn every_convolution() {
    let settings = [1, 2, 3].into_iter().flat_map(|stride| {
        let pads = [[0, 0], [1, 1], [2, 0], [0, 3], [4, 5]];
        pads.into_iter().flat_map(move |pads| [1, 2].map(|dilation| (stride, pads, dilation)))
    });
    for (stride, pads, dilation) in settings {
        for (kernel, groups) in [(1, 1), (2, 1), (3, 2), (5, 1)] {
            let mut network = Network::new(2);
            let settings = Convolution { stride, pads, dilation, groups };
            let padded = 17 + pads[0] + pads[1] - dilation * (kernel as i64 - 1) - 1;
            let cells = (padded / stride + 1) as usize;
            network.op("Identity", &["x"], "a", vec![]).conv("a", "c", [6, 4 / groups as usize, kernel], settings);
            network.op("Mul", &["c", "c"], "squared", vec![]).op("Flatten", &["squared"], "f", vec![]);
            let model = network.dense("f", "y", 6 * cells, 2).build(&[1, 4, 17], 2);
            check(&format!("k{kernel} s{stride} p{pads:?} d{dilation} g{groups}"), &model, "a");
        }
    }
}

#[test]
fn every_other_operator() {
    type Build = fn(&mut Network) -> &mut Network;
    // From the target `a`, [1, 4, 5], to `z`, whose square goes through a linear head.
    let cases: [(&str, usize, Build); 19] = [
        ("Relu", 20, |n| n.op("Relu", &["a"], "z", vec![])),
        ("Add with itself", 20, |n| n.op("Add", &["a", "a"], "z", vec![])),
        ("Add a channel's constant", 20, |n| n.weights("c", &[4, 1]).op("Add", &["a", "c"], "z", vec![])),
        ("Add, broadcast", 20, |n| n.op("GlobalAveragePool", &["a"], "p", vec![]).op("Add", &["p", "a"], "z", vec![])),
        ("Sub, on the right", 20, |n| n.weights("c", &[5]).op("Sub", &["c", "a"], "z", vec![])),
        ("Mul, both ways", 20, |n| n.op("Relu", &["a"], "r", vec![]).op("Mul", &["r", "a"], "z", vec![])),
        ("Mul, broadcast from a shorter one", 20, |n| {
            n.op("ReduceMean", &["a"], "p", vec![ints("axes", &[1]), int("keepdims", 0)]).op(
                "Mul",
                &["a", "p"],
                "z",
                vec![],
            )
        }),
        ("MatMul", 8, |n| n.weights("w", &[5, 2]).op("MatMul", &["a", "w"], "z", vec![])),
        ("MatMul, on the right", 15, |n| n.weights("w", &[3, 4]).op("MatMul", &["w", "a"], "z", vec![])),
        ("Gemm with factors", 3, |n| {
            n.op("Flatten", &["a"], "f", vec![]).weights("w", &[20, 3]).weights("b", &[3]).op(
                "Gemm",
                &["f", "w", "b"],
                "z",
                vec![float("alpha", 0.3), float("beta", -2.0)],
            )
        }),
        ("Transpose", 20, |n| n.op("Transpose", &["a"], "z", vec![ints("perm", &[0, 2, 1])])),
        ("Reshape", 20, |n| n.integers("s", &[0, 2, -1]).op("Reshape", &["a", "s"], "z", vec![])),
        ("Squeeze and Unsqueeze", 20, |n| {
            n.integers("up", &[1]).integers("down", &[-4]).op("Unsqueeze", &["a", "up"], "u", vec![]).op(
                "Squeeze",
                &["u", "down"],
                "z",
                vec![],
            )
        }),
        ("ReduceMean, kept", 5, |n| n.op("ReduceMean", &["a"], "z", vec![ints("axes", &[-2])])),
        ("ReduceSum, dropped", 4, |n| {
            n.integers("i", &[2]).op("ReduceSum", &["a", "i"], "z", vec![int("keepdims", 0)])
        }),
        ("GlobalAveragePool", 4, |n| n.op("GlobalAveragePool", &["a"], "z", vec![])),
        ("Concat of channels", 40, |n| {
            n.op("Relu", &["a"], "r", vec![]).op("Concat", &["r", "a"], "z", vec![int("axis", 1)])
        }),
        ("Concat of cells", 40, |n| {
            n.op("Relu", &["a"], "r", vec![]).op("Concat", &["a", "r"], "z", vec![int("axis", -1)])
        }),
        ("Slice", 6, |n| {
            n.integers("from", &[1, -4]).integers("to", &[i64::MAX, -2]).integers("axes", &[1, 2]).op(
                "Slice",
                &["a", "from", "to", "axes"],
                "z",
                vec![],
            )
        }),
    ];
    for (name, elements, build) in cases {
        for seed in 3..6 {
            let mut network = Network::new(seed);
            build(network.op("Identity", &["x"], "a", vec![]));
            network.op("Mul", &["z", "z"], "squared", vec![]).op("Flatten", &["squared"], "features", vec![]);
            let model = network.dense("features", "y", elements, 2).build(&[1, 4, 5], 2);
            check(name, &model, "a");
        }
    }
}

#[test]
fn behind_the_target_all_is_linear_so_nothing_is_left_to_compute() {
    let model = residual(SMALL, 5);
    let nodes = |model: &ModelProto| model.graph.as_ref().expect("a graph").node.len();
    let attached = attached(&model, &["stage", "scaled"]).expect("differentiable");
    assert!(!attached.bypassed);
    assert_eq!(nodes(&attached.model), nodes(&model) + 4, "two activations and two constants are named, no more");
    for (target, expected) in attached.targets.iter().zip([(24, 8), (2, 30)]) {
        assert_eq!((target.maps, target.cells), expected);
        assert_eq!(target.constant.as_ref().map(Vec::len), Some(3 * expected.0 * expected.1));
        assert!(!target.position_independent());
    }
    let averaged = residual(Residual { head: Head::Average, ..SMALL }, 5);
    let averaged = super::differences::attached(&averaged, &["stage"]).expect("differentiable");
    assert!(averaged.targets[0].position_independent(), "a global average weighs every cell alike");
    let deeper = residual(Residual { head: Head::TwoLayers, ..SMALL }, 5);
    let deeper = super::differences::attached(&deeper, &["stage"]).expect("differentiable");
    assert_eq!(deeper.targets[0].constant, None);
}

#[test]
fn the_maps_of_all_targets_add_up_to_the_output_less_its_offset() {
    let model = residual(SMALL, 6);
    let attached = attached(&model, &["stage", "scaled"]).expect("differentiable");
    let graph = Graph::new(&attached.model).expect("valid");
    let bias = |name: &str| graph.evaluate(&HashMap::new(), &[name]).expect("a constant")[name].data().to_vec();
    let (head, skip) = (bias("head.bias"), bias("skip.bias"));
    for seed in 0..5 {
        let names = ["y", "A0", "dYdA0", "A1", "dYdA1"];
        let values = graph.evaluate(&input(&model, seed), &names).expect("evaluates");
        for output in 0..3 {
            let part = |activation: &str, gradient: &str| -> f64 {
                let activation = values[activation].data();
                let row = &values[gradient].data()[output * activation.len()..][..activation.len()];
                row.iter().zip(activation).map(|(weight, value)| weight * value).sum()
            };
            let sum = part("A0", "dYdA0") + part("A1", "dYdA1") + head[output] + skip[output];
            let y = values["y"].data()[output];
            // Fact 1 of the method asks for 1e-6; in f64 there is no excuse for more than rounding.
            assert!((sum - y).abs() <= 1e-6 * y.abs().max(1.0), "{sum} instead of {y}");
        }
    }
    // With the trunk alone, part of y comes along another way, and the result says so.
    assert!(super::differences::attached(&model, &["stage"]).expect("differentiable").bypassed);
}

#[test]
fn mutations_do_not_pass() {
    // In this network the largest weight's channel passes its ReLU, so that the weight matters.
    let model = residual(SMALL, 10);
    let attached = attached(&model, &["stem"]).expect("differentiable").model;
    assert!(relative_error(&model, &attached, "stem") <= RELATIVE_ERROR_MAX);
    type Mutation = fn(&[usize], &mut [f32]);
    let mutations: [(&str, Mutation); 3] = [
        ("a weight times 1.001", |_, data| {
            let largest = data.iter_mut().max_by(|a, b| a.abs().total_cmp(&b.abs())).expect("weights");
            *largest *= 1.001;
        }),
        ("an unflipped kernel", |shape, data| data.chunks_exact_mut(shape[2]).for_each(<[f32]>::reverse)),
        ("swapped phases", |shape, data| {
            let phase = shape[1] * shape[2];
            data.chunks_exact_mut(2 * phase).for_each(|pair| {
                let (even, odd) = pair.split_at_mut(phase);
                even.swap_with_slice(odd);
            });
        }),
    ];
    for (name, mutate) in mutations {
        let mut mutated = attached.clone();
        let graph = mutated.graph.as_mut().expect("a graph");
        // Of the gradient's kernels, the one of the convolution k3 s2 24 -> 16 in two phases.
        let kernel = |dims: &[i64]| matches!(dims, [32, 24, 2]);
        let tensor =
            graph.initializer.iter_mut().find(|tensor| tensor.name.starts_with("grad/") && kernel(&tensor.dims));
        let tensor = tensor.expect("a kernel of the gradient");
        let mut data: Vec<f32> = tensor.raw_data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        mutate(&[32, 24, 2], &mut data);
        tensor.raw_data = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        let error = relative_error(&model, &mutated, "stem");
        assert!(error > RELATIVE_ERROR_MAX, "{name} went unnoticed: {error:e}");
    }
    // The wrong class: the output's rows in another order.
    let mut swapped = model.clone();
    for tensor in &mut swapped.graph.as_mut().expect("a graph").initializer {
        if tensor.name.starts_with("head.") {
            let row = tensor.raw_data.len() / 3;
            tensor.raw_data.rotate_left(row);
        }
    }
    let error = relative_error(&swapped, &attached, "stem");
    assert!(error > RELATIVE_ERROR_MAX, "the wrong class went unnoticed: {error:e}");
}

#[test]
fn tract_computes_the_same() {
    use tract_onnx::prelude::{Framework, InferenceModelExt, IntoRunnable, IntoTensor, tract_ndarray, tvec};
    for head in [Head::FlattenAndSkip, Head::TwoLayers] {
        let model = residual(Residual { points: 31, head, ..SMALL }, 8);
        for tensor in ["stage", "first", "stem"] {
            let attached = attached(&model, &[tensor]).expect("differentiable");
            let bytes = proto::encode(&attached.model);
            let given = input(&model, 3);
            let graph = Graph::new(&attached.model).expect("valid");
            let expected = graph.evaluate(&given, &["y", "A0", "dYdA0"]).expect("evaluates");
            let plan = tract_onnx::onnx()
                .model_for_read(&mut bytes.as_slice())
                .and_then(|model| model.into_optimized())
                .and_then(|model| model.into_runnable())
                .expect("tract takes it");
            let x = given["x"].to_f32();
            let x = tract_ndarray::Array3::from_shape_vec((1, 2, 31), x).expect("the input's shape");
            let found = plan.run(tvec!(x.into_tensor().into())).expect("runs");
            for (name, value) in ["y", "A0", "dYdA0"].into_iter().zip(found) {
                let value = value.to_plain_array_view::<f32>().expect("f32").iter().copied().collect::<Vec<_>>();
                let expected = expected[name].data();
                let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
                let worst = value.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
                assert!(worst <= F32_RELATIVE_ERROR_MAX * largest, "{tensor}, {name}: {worst:e} of {largest:e}");
            }
        }
    }
}
