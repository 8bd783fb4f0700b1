//! What is run as one node gives what tract's own nodes give.

use super::networks::{Convolution, Head, Network, Residual, residual};
use onnx_gradient::onnx::ModelProto;
use onnx_gradient::proto::{self, int, ints};
use onnx_gradient::{MapOf, Seed, Target, attach, attach_map};
use tract_onnx::prelude::{
    Datum, Framework, InferenceFact, InferenceModel, InferenceModelExt, IntoRunnable, Tensor, TractResult, TypedModel,
    tvec,
};

use ramand_model::optimised;

/// Largest difference over the largest value: sums are formed in another order.
const RELATIVE_MAX: f32 = 2e-6;
const CHANNELS: usize = 2;
/// Of the stage: odd, because two are added at once.
const MAPS: usize = 5;

/// A rectified stem, a rectified stage, flatten and one linear layer.
struct Case {
    points: usize,
    kernel: usize,
    stride: i64,
    outputs: usize,
    /// Whether the layer's product has the weights on the right as they are stored, or transposed.
    transposed: bool,
}

const COMMON: Case = Case { points: 41, kernel: 3, stride: 2, outputs: 5, transposed: true };

impl Case {
    fn forward(&self, seed: u64) -> ModelProto {
        let Self { points, kernel, stride, outputs, transposed } = *self;
        let mut network = Network::new(seed);
        network.conv("x", "c0", [4, CHANNELS, 3], Convolution::new(1, [1, 1])).op("Relu", &["c0"], "stem", Vec::new());
        let half = kernel / 2;
        let pads = [half as i64; 2];
        network.conv("stem", "c1", [MAPS, 4, kernel], Convolution::new(stride, pads));
        network.op("Relu", &["c1"], "stage", Vec::new()).op("Flatten", &["stage"], "flat", vec![int("axis", 1)]);
        let cells = (points + 2 * half - kernel) / stride as usize + 1;
        if transposed {
            network.dense("flat", "y", MAPS * cells, outputs);
        } else {
            network.weights("w", &[MAPS * cells, outputs]).op("MatMul", &["flat", "w"], "y", Vec::new());
        }
        network.build(&[1, CHANNELS, points], outputs)
    }

    fn inference(&self, model: &ModelProto) -> InferenceModel {
        let fact = InferenceFact::dt_shape(f32::datum_type(), [1, CHANNELS, self.points]);
        let onnx = tract_onnx::onnx().with_ignore_value_info(true);
        onnx.model_for_read(&mut proto::encode(model).as_slice())
            .and_then(|model| model.with_input_fact(0, fact))
            .expect("a graph")
    }

    fn run(&self, model: TractResult<TypedModel>, input: &Tensor) -> Vec<(Vec<usize>, Vec<f32>)> {
        let outputs =
            model.and_then(IntoRunnable::into_runnable).and_then(|plan| plan.run(tvec!(input.clone().into())));
        let outputs = outputs.expect("it runs").into_iter().map(|output| {
            let values = output.try_as_plain_ram().and_then(|plain| Ok(plain.as_slice::<f32>()?.to_vec()));
            (output.shape().to_vec(), values.expect("floats"))
        });
        outputs.collect()
    }

    /// How often each of `operators` is in the graph that runs.
    fn check<const N: usize>(&self, model: &ModelProto, operators: [&str; N], name: &str) -> [usize; N] {
        let fused = optimised(self.inference(model)).expect("tract optimises it");
        let counts = operators.map(|op| fused.nodes().iter().filter(|node| node.op().name() == op).count());
        for spectrum in 0..3 {
            let values = Network::new(100 + spectrum).numbers(CHANNELS * self.points);
            let input = Tensor::from_shape(&[1, CHANNELS, self.points], &values).expect("an input");
            let expected = self.run(self.inference(model).into_optimized(), &input);
            let found = self.run(Ok(fused.clone()), &input);
            for (output, ((shape, found), (expected_shape, expected))) in found.iter().zip(&expected).enumerate() {
                assert_eq!(shape, expected_shape, "{name}: output {output}");
                let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
                for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
                    let close = (found - expected).abs() <= RELATIVE_MAX * largest;
                    assert!(close, "{name}: {found} at {place} of output {output}, not {expected}");
                }
            }
        }
        counts
    }
}

#[test]
fn a_walk_starts_at_the_winner_s_row_and_puts_phases_side_by_side() {
    for (kernel, stride) in [(1, 2), (2, 2), (3, 2), (5, 2), (1, 3), (3, 3), (4, 3), (5, 4)] {
        for points in [12, 13, 14, 15, 41] {
            for transposed in [true, false] {
                let name = format!("kernel {kernel}, stride {stride}, {points} points, transposed {transposed}");
                let case = Case { points, kernel, stride, transposed, ..COMMON };
                let target = Target { tensor: "stem", activation: "A", gradient: "dYdA" };
                let attached = attach(&case.forward(kernel as u64), "y", Seed::ArgMax, &[target]).expect("attached");
                let counts = case.check(&attached.model, ["WinnersRow", "TimesSign", "Interleaved"], &name);
                assert_eq!(counts, [1, 1, 1], "{name}");
            }
        }
    }
}

#[test]
fn the_phases_of_a_residual_block_s_branches_are_added_before_they_are_put_side_by_side() {
    for points in [37, 38, 39, 40, 64] {
        for head in [Head::FlattenAndSkip, Head::Average, Head::TwoLayers] {
            let network = residual(Residual { channels: CHANNELS, points, outputs: 3, head }, 1);
            let target = Target { tensor: "stem", activation: "A", gradient: "dYdA" };
            let attached = attach(&network, "y", Seed::ArgMax, &[target]).expect("attached");
            let name = format!("{points} points");
            let counts = Case { points, ..COMMON }.check(&attached.model, ["WinnersRow", "Add", "Interleaved"], &name);
            assert_eq!(counts, [1, 0, 1], "{name}");
        }
    }
}

#[test]
fn the_map_of_a_linear_head_is_one_node() {
    for (outputs, of) in [(1, MapOf::Winner), (1, MapOf::All), (5, MapOf::Winner), (5, MapOf::All)] {
        for seed in 0..4 {
            let name = format!("{outputs} outputs, {of:?}, network {seed}");
            let case = Case { outputs, ..COMMON };
            let attached = attach_map(&case.forward(seed), "y", of, "stage", "M").expect("attached");
            let counts = case.check(&attached.model, ["MapOfLinearHead", "Gather", "Mul", "Reduce<Sum>"], &name);
            assert_eq!(counts, [1, 0, 0, 0], "{name}");
        }
    }
}

/// [1, 4, 12] times a constant of `weights`, summed over `axis`.
fn sum_of_products(network: &mut Network, weights: &[usize], axis: i64) {
    network.weights("w", weights).op("Mul", &["w", "c"], "product", Vec::new()).integers("axis", &[axis]);
    network.op("ReduceSum", &["product", "axis"], "z", Vec::new());
}

/// A row of a constant by the first or the last of the greatest, when there are two.
fn row_of_the_greatest(network: &mut Network, last: i64) {
    network.integers("flat", &[1, 48]).op("Reshape", &["c", "flat"], "row", Vec::new());
    network.op("Concat", &["row", "row"], "twice", vec![int("axis", 1)]).weights("rows", &[96, 12]);
    let attributes = vec![int("axis", 1), int("keepdims", 0), int("select_last_index", last)];
    network.op("ArgMax", &["twice"], "index", attributes).op("Gather", &["rows", "index"], "z", Vec::new());
}

/// The product of "c", the maps, with the sign of `signed`: of themselves or of their "sum", which is broadcast.
fn product_with_sign(network: &mut Network, signed: &str) {
    network.integers("axis", &[1]).op("ReduceSum", &["c", "axis"], "sum", Vec::new());
    network.op("Sign", &[signed], "sign", Vec::new());
    network.op("Mul", &["sign", "c"], "z", Vec::new());
}

#[test]
fn what_only_looks_alike_stays_as_it_is() {
    type Make = fn(&mut Network);
    let table: [(&str, Make, &str, usize); 8] = [
        ("the map of a layer", |network| sum_of_products(network, &[1, 4, 12], 1), "MapOfLinearHead", 1),
        ("a sum over the cells", |network| sum_of_products(network, &[1, 4, 12], 2), "MapOfLinearHead", 0),
        ("a weight for each map", |network| sum_of_products(network, &[1, 4, 1], 1), "MapOfLinearHead", 0),
        ("the first of the greatest", |network| row_of_the_greatest(network, 0), "WinnersRow", 1),
        ("the last of the greatest", |network| row_of_the_greatest(network, 1), "WinnersRow", 0),
        ("a sign each", |network| product_with_sign(network, "c"), "TimesSign", 1),
        ("a sign for all maps", |network| product_with_sign(network, "sum"), "TimesSign", 0),
        (
            "a product that others read",
            |network| {
                network.weights("w", &[1, 4, 12]).op("Mul", &["w", "c"], "product", Vec::new()).integers("axis", &[1]);
                network.op("ReduceSum", &["product", "axis"], "map", Vec::new());
                network.op("Add", &["map", "product"], "z", Vec::new());
            },
            "MapOfLinearHead",
            0,
        ),
    ];
    for (name, make, operator, expected) in table {
        let mut network = Network::new(1);
        network.conv("x", "c", [4, CHANNELS, 3], Convolution::new(1, [1, 1]));
        make(&mut network);
        let counts = Case { points: 12, ..COMMON }.check(&network.draft(&[1, CHANNELS, 12]), [operator], name);
        assert_eq!(counts, [expected], "{name}");
    }
}

#[test]
fn phases_may_be_cut_anywhere_and_keep_the_sign_of_zero() {
    for kept in [1, 2, 3, 4, 5, 47, 48] {
        for live in [None, Some(0), Some(1), Some(3)] {
            let mut network = Network::new(1);
            network.conv("x", "c", [4, CHANNELS, 3], Convolution::new(1, [1, 1]));
            match live {
                None => network.op("Transpose", &["c"], "phases", vec![ints("perm", &[0, 2, 1])]),
                Some(live) => {
                    // tract gives −0 to the rectifier of what is negative.
                    network.op("Neg", &["c"], "minus", Vec::new()).op("Relu", &["minus"], "r", Vec::new());
                    network.op("Neg", &["r"], "n", Vec::new());
                    network.integers("cells", &[1, 48, 1]).op("Reshape", &["n", "cells"], "own", Vec::new());
                    network.constant("zeros", &[1, 48, 1], &[0.0; 48]);
                    let mut parts = ["zeros"; 4];
                    parts[live] = "own";
                    network.op("Concat", &parts, "phases", vec![int("axis", 2)])
                }
            };
            network.integers("flat", &[1, -1]).op("Reshape", &["phases", "flat"], "row", Vec::new());
            network.integers("from", &[0]).integers("to", &[kept]).integers("axis", &[1]);
            network.op("Slice", &["row", "from", "to", "axis"], "cut", Vec::new());
            // The sign of a zero shows in its reciprocal.
            network.op("Reciprocal", &["cut"], "large", Vec::new());
            network.constant("low", &[], &[-9.0]).constant("high", &[], &[9.0]);
            network.op("Clip", &["large", "low", "high"], "z", Vec::new());
            let name = format!("{kept} points of phases, {live:?} of them");
            let counts =
                Case { points: 12, ..COMMON }.check(&network.draft(&[1, CHANNELS, 12]), ["Interleaved"], &name);
            assert_eq!(counts, [1], "{name}");
        }
    }
}
