//! Which output is differentiated, at which layer, and what the graph asks for to know it.

use std::collections::HashMap;

use super::networks::{Convolution, Head, Network, Residual, residual};
use onnx_gradient::onnx::ModelProto;
use onnx_gradient::proto::{int, ints};
use onnx_gradient::{
    Attached, CLASS_INDEX, COTANGENT, GradientError, Graph, MapOf, Positions, Role, Seed, Target, Tensor, attach,
    attach_map, auto_layer, earlier_layer, explained, find_layer, fix_shape, layers,
};

/// Everything is calculated in f64; the gradient's constants are rounded to f32 where they are written.
const RELATIVE_ERROR_MAX: f64 = 1e-6;

const SMALL: Residual = Residual { channels: 2, points: 30, outputs: 3, head: Head::TwoLayers };

fn target(tensor: &str) -> Target<'_> {
    Target { tensor, activation: "A", gradient: "dYdA" }
}

fn given(model: &ModelProto, seed: u64) -> HashMap<String, Tensor> {
    let graph = Graph::new(model).expect("valid");
    let shape = graph.shape("x").expect("an input").to_vec();
    let numbers = Network::new(seed).numbers(shape.iter().product()).into_iter().map(f64::from).collect();
    HashMap::from([("x".to_owned(), Tensor::new(shape, numbers))])
}

fn evaluated(model: &ModelProto, given: &HashMap<String, Tensor>, name: &str) -> Tensor {
    let graph = Graph::new(model).expect("what was attached is valid");
    graph.evaluate(given, &[name]).expect("evaluates").remove(name).expect("the value")
}

fn close(found: &[f64], expected: &[f64]) -> bool {
    let largest = expected.iter().fold(1e-12_f64, |largest, value| largest.max(value.abs()));
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= RELATIVE_ERROR_MAX * largest)
}

#[test]
fn one_row_is_a_row_of_all() {
    for tensor in ["stage", "first", "stem"] {
        let model = residual(SMALL, 1);
        let of = |seed| attach(&model, "y", seed, &[target(tensor)]).expect("differentiable");
        let all = of(Seed::All);
        for spectrum in 0..4 {
            let given = given(&model, spectrum);
            let every = evaluated(&all.model, &given, "dYdA");
            let y = evaluated(&all.model, &given, "y");
            let row = |index: usize| &every.data()[index * every.data().len() / 3..][..every.data().len() / 3];
            let winner = (0..3).max_by(|&a, &b| y.data()[a].total_cmp(&y.data()[b])).expect("three outputs");
            let found = evaluated(&of(Seed::ArgMax).model, &given, "dYdA");
            assert!(close(found.data(), row(winner)), "{tensor}: the winner {winner}");
            assert_eq!(found.shape()[0], 1);
            for class in 0..3 {
                let mut given = given.clone();
                given.insert(CLASS_INDEX.into(), Tensor::new(vec![], vec![class as f64]));
                let found = evaluated(&of(Seed::ClassIndex).model, &given, "dYdA");
                assert!(close(found.data(), row(class)), "{tensor}: class {class}");
            }
            let mut given = given.clone();
            given.insert(COTANGENT.into(), Tensor::new(vec![1, 3], vec![1.0, 0.0, -1.0]));
            let found = evaluated(&of(Seed::Cotangent).model, &given, "dYdA");
            let contrast: Vec<f64> = row(0).iter().zip(row(2)).map(|(own, other)| own - other).collect();
            assert!(close(found.data(), &contrast), "{tensor}: the contrast of two classes");
        }
    }
}

#[test]
fn the_file_s_own_outputs_stay_first() {
    let model = residual(SMALL, 1);
    let attached = attach(&model, "y", Seed::ClassIndex, &[target("stem")]).expect("differentiable").model;
    let graph = attached.graph.as_option().expect("a graph");
    let names = |values: &[onnx_gradient::onnx::ValueInfoProto]| -> Vec<String> {
        values.iter().map(|value| value.name.clone()).collect()
    };
    assert_eq!(names(&graph.output), ["y", "A", "dYdA"]);
    assert_eq!(names(&graph.input), ["x", CLASS_INDEX]);
    let twice = attach(&attached, "y", Seed::ArgMax, &[target("first")]).expect_err("attached already");
    assert_eq!(twice, GradientError::Attached { name: "A".into() });
}

/// Σ_k ∂y/∂A · A from the attached gradient of all outputs.
fn products(attached: &Attached, given: &HashMap<String, Tensor>) -> Vec<f64> {
    let (a, gradient) = (evaluated(&attached.model, given, "A"), evaluated(&attached.model, given, "dYdA"));
    let (maps, cells) = (a.shape()[1], a.shape()[2]);
    let rows = gradient.data().chunks(maps * cells);
    let map = |row: &[f64], cell: usize| (0..maps).map(|k| row[k * cells + cell] * a.data()[k * cells + cell]).sum();
    rows.flat_map(|row| (0..cells).map(move |cell| (row, cell))).map(|(row, cell)| map(row, cell)).collect()
}

/// The model whose output of that index is the greatest for every input.
fn lifted(model: &ModelProto, index: usize) -> ModelProto {
    let mut model = model.clone();
    let initializers = &mut model.graph.as_option_mut().expect("a graph").initializer;
    let bias = initializers.iter_mut().find(|tensor| ["head.bias", "y.bias"].contains(&tensor.name.as_str()));
    let bias = &mut bias.expect("the head's offsets").raw_data;
    bias[4 * index..][..4].copy_from_slice(&1e3_f32.to_le_bytes());
    model
}

#[test]
fn a_linear_head_gives_the_map_itself() {
    for head in [Head::FlattenAndSkip, Head::Average] {
        let model = residual(Residual { head, ..SMALL }, 4);
        let map = |of| attach_map(&model, "y", of, "stage", "M").expect("linear");
        let (every, winner) = (map(MapOf::All), map(MapOf::Winner));
        assert_eq!(every.targets[0].position_independent(), head == Head::Average);
        let all = attach(&model, "y", Seed::All, &[target("stage")]).expect("differentiable");
        for spectrum in 0..3 {
            let given = given(&model, spectrum);
            let expected = products(&all, &given);
            let found = evaluated(&every.model, &given, "M");
            assert_eq!(found.shape(), [3, 8]);
            assert!(close(found.data(), &expected));
            // An offset is in no map, and decides here which output wins.
            for best in 0..3 {
                let found = evaluated(&lifted(&winner.model, best), &given, "M");
                assert_eq!(found.shape(), [1, 8]);
                assert!(close(found.data(), &expected[best * 8..][..8]), "the map of output {best}");
            }
        }
    }
    let refused = |target| attach_map(&residual(SMALL, 4), "y", MapOf::Winner, target, "M").expect_err("not linear");
    let error = refused("stage");
    assert!(matches!(&error, GradientError::NotLinear { node, op, .. } if node == "hidden" && op == "Relu"), "{error}");
    let error = refused("first");
    assert!(matches!(&error, GradientError::NotLinear { node, .. } if node == "stage"), "{error}");
}

#[test]
fn the_map_changes_with_the_input_wherever_the_gradient_is_not_constant() {
    let model = residual(Residual { head: Head::Average, ..SMALL }, 6);
    let graph = Graph::new(&model).expect("valid");
    let last = auto_layer(&graph, "y").expect("a layer");
    assert_eq!((last.value.as_str(), last.role), ("stage", Role::Stage));
    let attached = attach(&model, "y", Seed::ArgMax, &[target("stage")]).expect("differentiable");
    assert!(attached.targets[0].position_independent(), "a global average with a linear head");
    let earlier = earlier_layer(&graph, "y", "stage").expect("walks").expect("an earlier layer");
    assert_eq!(earlier, "stem", "what is nearer lies on one of two branches");
    let maps: Vec<Vec<f64>> = (0..2)
        .map(|spectrum| {
            let attached = attach(&model, "y", Seed::All, &[target(&earlier)]).expect("differentiable");
            evaluated(&attached.model, &given(&model, spectrum), "dYdA").data().to_vec()
        })
        .collect();
    assert_ne!(maps[0], maps[1], "the gradient itself depends on the input");
}

#[test]
fn a_probability_is_explained_by_its_logit() {
    let mut network = Network::new(1);
    network.op("Flatten", &["x"], "f", vec![]);
    network.dense("f", "logits", 4, 2).op("Softmax", &["logits"], "p", vec![int("axis", 1)]);
    network.op("Identity", &["p"], "y", vec![]);
    let graph = Graph::new(&network.build(&[1, 1, 4], 2)).expect("valid");
    let found = explained(&graph, None).expect("an output");
    assert_eq!(
        (found.value.as_str(), found.before.as_deref(), found.output.as_str()),
        ("logits", Some("Softmax"), "y")
    );
    for wanted in ["y", "0"] {
        let found = explained(&graph, Some(wanted)).expect("an output");
        assert_eq!((found.value.as_str(), found.before), ("y", None));
    }
    assert!(matches!(explained(&graph, Some("7")), Err(GradientError::Unknown { kind: "output", .. })));
}

#[test]
fn layers_have_many_names() {
    let model = residual(SMALL, 1);
    let mut graph = Graph::new(&model).expect("valid");
    let names = ["first_linear", "first_linear.weight", "weight:first_linear.weight", "value:first_linear"];
    for name in names {
        assert_eq!(find_layer(&graph, name).expect(name), "first_linear");
    }
    let found: Vec<(String, Role)> = layers(&graph, "y").into_iter().map(|layer| (layer.value, layer.role)).collect();
    let named = |name: &str, role| (name.to_owned(), role);
    // Where a convolution's activation follows the sum, the stage is named once.
    assert_eq!(found[..2], [named("stem", Role::Activation), named("first", Role::Activation)]);
    assert_eq!(found.last(), Some(&named("stage", Role::Stage)));
    let Err(GradientError::Unknown { candidates, .. }) = find_layer(&graph, "frst") else { panic!("no such layer") };
    assert_eq!(candidates[0], "first");

    let mut twin = model.clone();
    twin.graph.as_option_mut().expect("a graph").node[3].name = "stem_linear".into();
    twin.graph.as_option_mut().expect("a graph").node[2].name = "stage".into();
    graph = Graph::new(&twin).expect("valid");
    assert!(matches!(find_layer(&graph, "stage"), Err(GradientError::Ambiguous { .. })));
    assert_eq!(find_layer(&graph, "value:stage").expect("clear"), "stage");
}

#[test]
fn the_axis_of_the_maps_is_found_through_transposes() {
    // Channel-last, as Keras exports it: [1, cells, maps] between the convolutions.
    let mut network = Network::new(1);
    let turned = |axes: &[i64]| vec![ints("perm", axes)];
    network
        .op("Transpose", &["x"], "x1", turned(&[0, 2, 1]))
        .conv("x1", "c1", [12, 1, 3], Convolution::new(2, [1, 1]))
        .op("Transpose", &["c1"], "c1_last", turned(&[0, 2, 1]))
        .op("Relu", &["c1_last"], "a1", vec![])
        .op("Transpose", &["a1"], "a1_first", turned(&[0, 2, 1]))
        .conv("a1_first", "c2", [5, 12, 3], Convolution::new(1, [1, 1]))
        .op("Relu", &["c2"], "a2", vec![])
        .op("Flatten", &["a2"], "f", vec![]);
    let model = network.dense("f", "y", 5 * 10, 2).build(&[1, 20, 1], 2);
    let graph = Graph::new(&model).expect("valid");
    for (value, map_axis, cell_axis) in [("x", 2, 1), ("x1", 1, 2), ("a1", 2, 1), ("c1_last", 2, 1), ("a1_first", 1, 2)]
    {
        assert_eq!(Positions::of(&graph, value), Ok(Positions { map_axis, cell_axis }), "{value}");
    }
    let attached = attach(&model, "y", Seed::All, &[target("a1")]).expect("differentiable");
    let own = &attached.targets[0];
    assert_eq!((own.maps, own.cells, own.shape.as_slice()), (12, 10, &[1, 10, 12][..]));
    let reach = own.reach.expect("its place is known");
    assert_eq!((reach.stride(), reach.receptive_field(), reach.first_cell()), (2, 3, 0.0));
}

#[test]
fn open_sizes_are_fixed_or_asked_for() {
    use onnx_gradient::onnx::tensor_shape_proto::dimension::Value;
    use onnx_gradient::onnx::type_proto;
    let mut model = residual(SMALL, 1);
    let input = &mut model.graph.as_option_mut().expect("a graph").input[0];
    let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_option_mut().and_then(|kind| kind.value.as_mut())
    else {
        panic!("a tensor");
    };
    let dimensions = &mut tensor.shape.as_option_mut().expect("a shape").dim;
    dimensions[0].value = Some(Value::DimParam("N".into()));
    dimensions[2].value = Some(Value::DimParam("length".into()));
    let message = Graph::new(&model).expect_err("no length").to_string();
    assert!(message.contains("[N, 2, length]") && message.contains("--shape 1,2,512"), "{message}");
    for wrong in [&[1, 3, 30][..], &[1, 2], &[1, 2, 0]] {
        assert!(matches!(fix_shape(&mut model.clone(), None, wrong), Err(GradientError::Input { .. })), "{wrong:?}");
    }
    assert!(matches!(fix_shape(&mut model, Some("z"), &[1]), Err(GradientError::NoValue { .. })));
    fix_shape(&mut model, Some("x"), &[1, 2, 30]).expect("it fits");
    let attached = attach(&model, "y", Seed::ArgMax, &[target("stem")]).expect("differentiable");
    assert_eq!(Graph::new(&attached.model).expect("valid").shape("x"), Ok(&[1, 2, 30][..]));
}
