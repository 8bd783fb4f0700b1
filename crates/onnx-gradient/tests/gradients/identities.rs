//! What is known of the maps without differentiating: facts 1 to 4 of the method.

use std::collections::HashMap;

use super::judge::{apart, input, with_gradient};
use super::networks::{Head, Residual, residual};
use onnx_gradient::onnx::ModelProto;
use onnx_gradient::{Graph, Seed, Tensor};

const SMALL: Residual = Residual { channels: 2, points: 30, outputs: 3, head: Head::FlattenAndSkip };
/// Maps that differ by more, relative to the largest element, are two maps.
const DIFFERENT: f64 = 0.1;
/// A ReLU network is positively homogeneous but for its offsets: A(c x) → c A(x). The offsets of these networks reach 2 and every input
/// shares them, so inputs within ±1 leave the greater part of a map alone. Behind inputs this large it is the input's own.
const AMPLITUDE: f64 = 50.0;
/// Of sums of a few hundred products in f64.
const ROUNDING: f64 = 1e-12;

/// M[output, cell] = Σ_map ∂y/∂A · A of the last stage, and A.
fn maps(model: &ModelProto, given: &HashMap<String, Tensor>) -> (Vec<f64>, Tensor) {
    let attached = with_gradient(model, Seed::All, &["stage"]).expect("differentiable");
    let graph = Graph::new(&attached.model).expect("valid");
    let mut values = graph.evaluate(given, &["A0", "dYdA0"]).expect("evaluates");
    let (activation, gradient) = (values.remove("A0").expect("given"), values.remove("dYdA0").expect("given"));
    let cells = activation.shape()[2];
    let mut maps = vec![0.0; gradient.shape()[0] * cells];
    for (place, weight) in gradient.data().iter().enumerate() {
        let within = place % activation.data().len();
        maps[place / activation.data().len() * cells + within % cells] += weight * activation.data()[within];
    }
    (maps, activation)
}

/// The numbers of an initialiser after a change.
fn changed(model: &ModelProto, name: &str, change: impl Fn(&mut [f32])) -> ModelProto {
    let mut model = model.clone();
    let initializers = &mut model.graph.as_option_mut().expect("a graph").initializer;
    let tensor = initializers.iter_mut().find(|tensor| tensor.name == name).expect("the initialiser");
    let mut data: Vec<f32> = tensor.raw_data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    change(&mut data);
    tensor.raw_data = data.iter().flat_map(|value| value.to_le_bytes()).collect();
    model
}

#[test]
fn behind_a_global_average_the_map_is_the_class_activation_map() {
    let model = residual(Residual { head: Head::Average, ..SMALL }, 12);
    let given = input(&model, 4);
    let (maps, activation) = maps(&model, &given);
    let cells = activation.shape()[2];
    let weights = Graph::new(&model).expect("valid").evaluate(&HashMap::new(), &["y.weight"]).expect("a constant");
    let weights = weights["y.weight"].data();
    let channels = activation.shape()[1];
    let cam = (0..3 * cells).map(|place| {
        let (output, cell) = (place / cells, place % cells);
        let products =
            (0..channels).map(|map| weights[output * channels + map] * activation.data()[map * cells + cell]);
        products.sum::<f64>() / cells as f64
    });
    // The share of a cell is a constant of the graph, in f32.
    let error = apart(maps, &cam.collect::<Vec<_>>());
    assert!(error <= f64::from(f32::EPSILON), "CAM / L differs by {error:e}");
}

#[test]
fn a_shifted_bias_leaves_the_map_and_a_permuted_head_destroys_it() {
    let model = residual(SMALL, 13);
    let given = input(&model, 5);
    let (own, _) = maps(&model, &given);
    let shifted = changed(&model, "head.bias", |bias| bias.iter_mut().for_each(|value| *value += 3.0));
    assert!(apart(maps(&shifted, &given).0, &own) <= ROUNDING, "the bias is in no map");
    let permuted = changed(&model, "head.weight", |weights| weights.rotate_left(weights.len() / 3 + 5));
    let other = maps(&permuted, &given).0;
    let product = |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(l, r)| l * r).sum::<f64>();
    let alike = product(&own, &other) / (product(&own, &own) * product(&other, &other)).sqrt();
    assert!(alike.abs() < 0.3, "the map of another head is alike to {alike}");
}

#[test]
fn two_inputs_have_two_maps_and_a_head_that_is_not_linear_two_gradients() {
    let gradient = |head: Head, seed: u64| {
        let model = residual(Residual { head, ..SMALL }, 14);
        let attached = with_gradient(&model, Seed::All, &["stage"]).expect("differentiable");
        let graph = Graph::new(&attached.model).expect("valid");
        let mut given = input(&model, seed);
        given.values_mut().flat_map(Tensor::data_mut).for_each(|value| *value *= AMPLITUDE);
        let values = graph.evaluate(&given, &["dYdA0"]).expect("evaluates");
        (values["dYdA0"].data().to_vec(), maps(&model, &given).0)
    };
    for (head, constant) in [(Head::FlattenAndSkip, true), (Head::Average, true), (Head::TwoLayers, false)] {
        let (first, second) = (gradient(head, 1), gradient(head, 2));
        let apart = apart(first.1, &second.1);
        assert!(apart > DIFFERENT, "the maps of two inputs differ by {apart}");
        assert_eq!(first.0 == second.0, constant, "the gradient of a linear head is the same for every input");
    }
}

#[test]
fn behind_the_target_all_is_linear_so_nothing_is_left_to_compute() {
    let model = residual(SMALL, 5);
    let nodes = |model: &ModelProto| model.graph.as_option().expect("a graph").node.len();
    let attached = with_gradient(&model, Seed::All, &["stage", "scaled"]).expect("differentiable");
    assert!(!attached.bypassed);
    assert_eq!(nodes(&attached.model), nodes(&model) + 4, "two activations and two constants are named, no more");
    for (target, expected) in attached.targets.iter().zip([(24, 8), (2, 30)]) {
        assert_eq!((target.maps, target.cells), expected);
        assert_eq!(target.constant.as_ref().map(Vec::len), Some(3 * expected.0 * expected.1));
        assert!(!target.position_independent());
    }
    let averaged = residual(Residual { head: Head::Average, ..SMALL }, 5);
    let averaged = with_gradient(&averaged, Seed::All, &["stage"]).expect("differentiable");
    assert!(averaged.targets[0].position_independent(), "a global average weighs every cell alike");
    let deeper = residual(Residual { head: Head::TwoLayers, ..SMALL }, 5);
    let deeper = with_gradient(&deeper, Seed::All, &["stage"]).expect("differentiable");
    assert_eq!(deeper.targets[0].constant, None);
}

#[test]
fn the_maps_of_all_targets_add_up_to_the_output_less_its_offset() {
    let model = residual(SMALL, 6);
    let attached = with_gradient(&model, Seed::All, &["stage", "scaled"]).expect("differentiable");
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
    assert!(with_gradient(&model, Seed::All, &["stage"]).expect("differentiable").bypassed);
}
