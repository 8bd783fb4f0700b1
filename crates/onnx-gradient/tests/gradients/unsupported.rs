//! What cannot be differentiated, or not in one go: named, with what to do instead.

use std::collections::HashMap;

use super::networks::{Convolution, Head, Network, Residual, residual};
use onnx_gradient::onnx::attribute_proto::AttributeType;
use onnx_gradient::onnx::tensor_proto::DataType;
use onnx_gradient::onnx::{AttributeProto, GraphProto, ModelProto, TensorProto};
use onnx_gradient::proto::{self, int, ints, value};
use onnx_gradient::{CLASS_INDEX, GradientError, Graph, Seed, Target, Tensor, attach};

const TARGET: Target<'_> = Target { tensor: "c", activation: "A", gradient: "dYdA" };

/// The attached file holds its constants, all below 1, in f32.
const ROUNDING_MAX: f64 = 1e-7;

/// As Keras writes a dense layer over every cell: the cells become the batch and come back.
fn cells_as_batch() -> ModelProto {
    let mut network = Network::new(3);
    network
        .conv("x", "c", [3, 2, 3], Convolution::new(1, [1, 1]))
        .op("Transpose", &["c"], "turned", vec![ints("perm", &[0, 2, 1])])
        .integers("rows", &[-1, 3])
        .op("Reshape", &["turned", "rows"], "flat", vec![])
        .weights("w", &[3, 2])
        .op("MatMul", &["flat", "w"], "scores", vec![])
        .integers("back", &[1, 6, 2])
        .op("Reshape", &["scores", "back"], "cells", vec![])
        .op("ReduceMean", &["cells"], "y", vec![ints("axes", &[1]), int("keepdims", 0)]);
    network.build(&[1, 2, 6], 2)
}

#[test]
fn one_row_goes_where_several_cannot() {
    let model = cells_as_batch();
    let error = attach(&model, "y", Seed::All, &[TARGET]).expect_err("the rows have no axis of their own");
    assert!(matches!(&error, GradientError::Rows { node, op } if node == "cells" && op == "Reshape"), "{error}");
    assert!(error.to_string().contains("use argmax, class-index or cotangent"), "{error}");

    let attached = attach(&model, "y", Seed::ClassIndex, &[TARGET]).expect("one row");
    let graph = Graph::new(&attached.model).expect("valid");
    // All is linear, so that the gradient is known beforehand: W / 6 at every cell.
    let constant = attached.targets[0].constant.as_ref().expect("linear");
    assert!(attached.targets[0].position_independent());
    let weights = graph.evaluate(&HashMap::new(), &["w"]).expect("a constant")["w"].clone();
    for class in 0..2 {
        let x = Tensor::new(vec![1, 2, 6], vec![0.5; 12]);
        let index = Tensor::new(vec![], vec![class as f64]);
        let given = HashMap::from([("x".to_owned(), x), (CLASS_INDEX.to_owned(), index)]);
        let found = graph.evaluate(&given, &["dYdA"]).expect("evaluates")["dYdA"].clone();
        for (place, (found, constant)) in found.data().iter().zip(&constant[class * 18..]).enumerate() {
            let expected = weights.data()[place / 6 * 2 + class] / 6.0;
            assert!(
                (found - expected).abs() <= ROUNDING_MAX && (f64::from(*constant) - expected).abs() <= ROUNDING_MAX
            );
        }
    }
}

#[test]
fn a_subgraph_is_named_with_what_it_reads() {
    let mut model = residual(Residual { channels: 1, points: 12, outputs: 1, head: Head::TwoLayers }, 1);
    let graph = model.graph.as_option_mut().expect("a graph");
    let branch = |name: &str| AttributeProto {
        name: name.into(),
        r#type: AttributeType::Graph.into(),
        g: GraphProto {
            node: vec![proto::node("Identity", &["hidden"], "chosen", vec![])],
            output: vec![value("chosen", &[1, 10])],
            ..GraphProto::default()
        }
        .into(),
        ..AttributeProto::default()
    };
    graph.initializer.push(TensorProto {
        name: "condition".into(),
        data_type: DataType::Bool as i32,
        raw_data: vec![1],
        ..TensorProto::default()
    });
    let place = graph.node.iter().position(|node| node.name == "y").expect("the last layer");
    graph.node[place].input[0] = "either".into();
    let branches = vec![branch("then_branch"), branch("else_branch")];
    graph.node.insert(place, proto::node("If", &["condition"], "either", branches));
    graph.value_info.push(value("either", &[1, 10]));
    let target = Target { tensor: "stage", ..TARGET };
    let error = attach(&model, "y", Seed::ArgMax, &[target]).expect_err("no rule for a subgraph");
    let text = error.to_string();
    assert!(text.contains("node 'either'") && text.contains("operator If, which holds a subgraph"), "{text}");
}

#[test]
fn an_operator_without_a_rule_comes_with_the_nearest_layer_behind_it() {
    let mut network = Network::new(1);
    network
        .conv("x", "c", [2, 1, 3], Convolution::new(1, [1, 1]))
        .op("NonMaxSuppression", &["c"], "odd", vec![])
        .conv("odd", "d", [2, 2, 3], Convolution::new(1, [1, 1]))
        .op("Relu", &["d"], "later", vec![])
        .op("Flatten", &["later"], "f", vec![]);
    let mut model = network.dense("f", "y", 16, 1).build(&[1, 1, 8], 1);
    model.graph.as_option_mut().expect("a graph").value_info.push(value("odd", &[1, 2, 8]));
    let error = attach(&model, "y", Seed::ArgMax, &[TARGET]).expect_err("no rule");
    let GradientError::NoRule { node, instead: Some(instead), .. } = &error else { panic!("{error}") };
    assert_eq!((node.as_str(), instead.as_str()), ("odd", "later"));
    let target = Target { tensor: instead, ..TARGET };
    attach(&model, "y", Seed::ArgMax, &[target]).expect("what is proposed can be done");
}

#[test]
fn shapes_are_calculated_as_exporters_write_them() {
    let mut network = Network::new(1);
    network
        .conv("x", "c", [2, 1, 3], Convolution::new(1, [1, 1]))
        .op("Shape", &["c"], "shape", vec![])
        .integers("first", &[0])
        .op("Gather", &["shape", "first"], "batch", vec![int("axis", 0)])
        .integers("rest", &[-1])
        .integers("behind", &[3])
        .integers("end", &[i64::MAX])
        .op("Slice", &["shape", "behind", "end"], "none", vec![])
        .op("Concat", &["batch", "none", "rest"], "wanted", vec![int("axis", 0)])
        .op("Cast", &["wanted"], "wide", vec![int("to", 7)])
        .op("Reshape", &["c", "wide"], "f", vec![]);
    let model = network.dense("f", "y", 16, 2).build(&[1, 1, 8], 2);
    let graph = Graph::new(&model).expect("valid");
    assert_eq!(graph.shape("f"), Ok(&[1, 16][..]));
    let attached = attach(&model, "y", Seed::All, &[TARGET]).expect("differentiable");
    assert!(attached.targets[0].constant.is_some(), "a flatten and a dense layer");
}
