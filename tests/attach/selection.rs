//! Names as people have them: a layer by its value, its node or its weight, the output that is explained without a word, and the
//! errors of files that need one.

use std::collections::{BTreeMap, BTreeSet};

use onnx_gradient::external::{self, side_files};
use onnx_gradient::onnx::{ModelProto, StringStringEntryProto, TensorProto};
use onnx_gradient::{
    GradientError, Graph, MapOf, Seed, Target, attach, attach_map, auto_layer, earlier_layer, explained, find_layer,
    fix_shape, proto,
};

use crate::engine::{ACTIVATION, GRADIENT, Running, attached, fixed};
use crate::files::{File, file, files};

fn all() -> impl Iterator<Item = File> {
    ["torch", "keras", "matlab"].into_iter().flat_map(files)
}

#[test]
fn value_node_and_weight_name_the_same_layer() {
    for file in all() {
        let graph = Graph::new(&fixed(&file)).expect("a valid graph");
        for target in &file.targets {
            for name in target.also.iter().chain([&target.value]) {
                let found = find_layer(&graph, name).unwrap_or_else(|error| panic!("{}: {error}", file.name));
                assert_eq!(found, target.value, "{}: '{name}' is the output of {}", file.name, target.module);
            }
        }
    }
}

#[test]
fn the_logit_is_explained_where_the_output_is_a_probability() {
    // The softmax of this one was asked for by name when it was differentiated.
    for file in all().filter(|file| file.name != "keras-dense-15") {
        let graph = Graph::new(&fixed(&file)).expect("a valid graph");
        let found = explained(&graph, None).expect("an output");
        assert_eq!((found.value, found.output), (file.explained, file.output), "{}", file.name);
    }
}

#[test]
fn auto_is_the_last_activation_and_an_earlier_one_is_proposed_where_the_gradient_is_the_same_everywhere() {
    // File, the module that is chosen, the module that is proposed instead.
    let cases = [
        ("resnet-dynamo-18", "stages.1.1.relu2", true),
        ("resnet-torchscript-13-unfolded", "stages.1.1.relu2", true),
        ("resnet-flat-torchscript-11", "stages.1.1.relu2", false),
        ("keras-resnet-13", "b_relu2", true),
        ("matlab-classifier", "relu_3", true),
        ("image-dynamo-18", "relu3", false),
        ("keras-flat-11", "conv2", false),
    ];
    for (name, module, proposes) in cases {
        let file = file(name);
        let graph = Graph::new(&fixed(&file)).expect("a valid graph");
        let target = file.targets.iter().find(|target| target.module == module).expect("a target of the file");
        let layer = auto_layer(&graph, &file.explained).expect("a layer");
        assert_eq!(layer.value, target.value, "{name}");
        assert_eq!(target.position_independent, proposes, "{name}: a proposal is needed");
        if proposes {
            let earlier = earlier_layer(&graph, &file.explained, &layer.value).expect("an output").expect("a layer");
            let target = Target { tensor: &earlier, activation: ACTIVATION, gradient: GRADIENT };
            let attached = attach(&fixed(&file), &file.explained, Seed::ArgMax, &[target]).expect("attached");
            let mut running = Running::new(&attached.model, &file.input);
            let maps: Vec<Vec<f64>> =
                file.rows().iter().map(|row| running.run(&row.x, None)[GRADIENT].clone()).collect();
            assert_ne!(maps[0], maps[1], "{name}: at '{earlier}' the gradient follows the input");
        }
    }
}

#[test]
fn open_sizes_are_named() {
    let file = file("resnet-torchscript-13-dynamic");
    let error = Graph::new(&file.model()).expect_err("the length is open").to_string();
    assert!(error.contains("spectrum") && error.contains("length"), "{error}");
    let mut model = file.model();
    fix_shape(&mut model, Some("spectrum"), &[1, 1, 256]).expect("any length will do");
    assert_eq!(Graph::new(&model).expect("now it is known").shape("y"), Ok(&[1, 3][..]));
    let error = fix_shape(&mut file.model(), None, &[1, 2, 128]).expect_err("there is one channel").to_string();
    assert!(error.contains('2') && error.contains("spectrum"), "{error}");
}

/// Weights in a second file: what is asked for, and what is refused.
#[test]
fn weights_in_a_second_file_are_found_beside_the_first_and_nowhere_else() {
    let alone = file("resnet-dynamo-20-external").alone();
    let named = "resnet-dynamo-20-external.onnx.data";
    assert_eq!(side_files(&alone), Ok(BTreeSet::from([named.to_owned()])));
    let error = Graph::new(&alone).expect_err("no weights").to_string();
    assert!(error.contains("stages.0.0.conv1.weight") && error.contains(named), "{error}");
    let changed = |key: &str, value: &str| {
        let mut model = alone.clone();
        let initializers = &mut model.graph.as_option_mut().expect("a graph").initializer;
        let tensor = initializers.iter_mut().find(|tensor| !tensor.external_data.is_empty()).expect("one is outside");
        tensor.external_data.retain(|entry| entry.key != key);
        let entry = StringStringEntryProto { key: key.into(), value: value.into(), ..Default::default() };
        tensor.external_data.push(entry);
        model
    };
    for elsewhere in ["../weights", "/etc/passwd", "a/b", "weights/", ".", "..", "", "C:\\weights", "a\\b", "a\0b"] {
        let error = side_files(&changed("location", elsewhere)).expect_err(elsewhere).to_string();
        assert!(error.contains("no file of the ONNX file's own folder"), "{elsewhere}: {error}");
    }
    let file = BTreeMap::from([(named.to_owned(), vec![0; 3600])]);
    let beyond = ["3599", "18446744073709551615", "-1", "one"];
    for (key, value) in beyond.map(|value| ("offset", value)).into_iter().chain([("length", "9999999999")]) {
        let error = external::load(&mut changed(key, value), &file).expect_err(value).to_string();
        assert!(error.contains("stages.0.0.conv1.weight") && error.contains(value), "{error}");
    }
    // A stretch of the file may be named as often as one likes; what is held is limited.
    let mut many = alone.clone();
    let initializers = &mut many.graph.as_option_mut().expect("a graph").initializer;
    let tensor = initializers.iter().find(|tensor| !tensor.external_data.is_empty()).expect("one is outside").clone();
    initializers.extend((0..5000).map(|index| TensorProto { name: format!("more{index}"), ..tensor.clone() }));
    initializers.iter_mut().for_each(|tensor| tensor.external_data.retain(|entry| entry.key == "location"));
    let large = BTreeMap::from([(named.to_owned(), vec![0; 1 << 20])]);
    assert!(matches!(external::load(&mut many, &large), Err(GradientError::TooMany { .. })));
}

#[test]
fn a_layer_before_an_operator_without_a_rule_is_refused_and_one_behind_it_works() {
    for (name, operator) in [("recurrent-dynamo-18", "GRU"), ("interpolated-dynamo-18", "Resize")] {
        let file = file(name);
        let model = file.model();
        let conv = Graph::new(&model)
            .expect("a valid graph")
            .values()
            .find(|(_, op, _)| *op == "Relu")
            .expect("a layer")
            .2
            .to_owned();
        let target = Target { tensor: &conv, activation: ACTIVATION, gradient: GRADIENT };
        let error = attach(&model, "y", Seed::ArgMax, &[target]).expect_err("there is no rule");
        let GradientError::NoRule { op, instead: Some(instead), .. } = error else { panic!("{name}: {error}") };
        assert_eq!(op, operator, "{name}");
        let target = Target { tensor: &instead, ..target };
        let attached = attach(&model, "y", Seed::ArgMax, &[target]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let values = Running::new(&attached.model, &file.input).run(&vec![0.5; file.input.iter().product()], None);
        assert!(values[GRADIENT].iter().any(|value| *value != 0.0), "{name}: '{instead}' has a gradient");
    }
}

/// PyTorch's older exporter declares no shapes between input and output.
#[test]
fn what_lies_behind_an_operator_that_is_not_understood_is_named() {
    let file = file("recurrent-torchscript-13");
    let model = file.model();
    let relu = Graph::new(&model)
        .expect("a valid graph")
        .values()
        .find(|(_, op, _)| *op == "Relu")
        .expect("a layer")
        .2
        .to_owned();
    let target = Target { tensor: &relu, activation: ACTIVATION, gradient: GRADIENT };
    let error = attach(&model, "y", Seed::ArgMax, &[target]).expect_err("shapes are unknown").to_string();
    assert!(error.contains("GRU") && error.contains("/gru/GRU"), "{error}");
}

/// Whatever the seed, the rows are the same.
#[test]
fn every_seed_gives_the_rows_of_the_one_jacobian() {
    for name in ["resnet-dynamo-18", "image-torchscript-11", "attention-dynamo-20", "keras-resnet-13"] {
        let file = file(name);
        let target = &file.targets[1];
        let row = &file.rows()[0];
        let by_class = attached(&file, target, Seed::ClassIndex);
        let mut by_class = Running::new(&by_class.model, &file.input);
        let rows: Vec<f64> =
            (0..row.y.len()).flat_map(|class| by_class.run(&row.x, Some(class))[GRADIENT].clone()).collect();
        let all = attached(&file, target, Seed::All);
        let all = Running::new(&all.model, &file.input).run(&row.x, None)[GRADIENT].clone();
        let distance = crate::engine::distance(&all, &rows);
        assert!(distance <= crate::autograd::F32_DISTANCE_MAX, "{name}: all rows at once differ by {distance:e}");
        let weights: Vec<f64> = (0..row.y.len()).map(|output| if output == 0 { 1.0 } else { -0.5 }).collect();
        let size = rows.len() / weights.len();
        let mixed =
            |at: usize| weights.iter().enumerate().map(|(output, weight)| weight * rows[output * size + at]).sum();
        let expected: Vec<f64> = (0..size).map(mixed).collect();
        let contrast = attached(&file, target, Seed::Cotangent);
        let values = Running::new(&contrast.model, &file.input).mixed(&row.x, &weights);
        let distance = crate::engine::distance(&values[GRADIENT], &expected);
        assert!(distance <= crate::autograd::F32_DISTANCE_MAX, "{name}: a contrast of classes differs by {distance:e}");
        let best = attached(&file, target, Seed::ArgMax);
        let values = Running::new(&best.model, &file.input).run(&row.x, None);
        let size = values[GRADIENT].len();
        let winner = (0..row.y.len()).max_by(|&a, &b| row.y[a].total_cmp(&row.y[b])).expect("an output");
        let distance = crate::engine::distance(&values[GRADIENT], &rows[winner * size..(winner + 1) * size]);
        assert!(distance <= crate::autograd::F32_DISTANCE_MAX, "{name}: the winner's row differs by {distance:e}");
    }
}

/// Where autograd says that the gradient is constant, the map itself can be attached; elsewhere it is refused.
#[test]
fn a_map_alone_is_autograds_product() {
    let mut maps = 0;
    for file in all().filter(|file| !file.targets.is_empty()) {
        let row = &file.rows()[0];
        let winner = (0..row.y.len()).max_by(|&a, &b| row.y[a].total_cmp(&row.y[b])).expect("an output");
        for (target, (activation, gradients)) in file.targets.iter().zip(&row.targets) {
            let found = [MapOf::Winner, MapOf::All]
                .map(|of| attach_map(&fixed(&file), &file.explained, of, &target.value, "grad/map"));
            let [Ok(best), Ok(every)] = found else {
                let refused = found.iter().all(|found| matches!(found, Err(GradientError::NotLinear { .. })));
                assert!(refused && !target.constant, "{}, {}: {found:?}", file.name, target.value);
                continue;
            };
            assert!(target.constant, "{}, {}: autograd's gradient depends on the input", file.name, target.value);
            let cells = every.targets[0].cells;
            let product = |of: &[f64]| -> Vec<f64> {
                let mut map = vec![0.0; cells];
                of.iter().zip(activation).enumerate().for_each(|(at, (gradient, a))| map[at % cells] += gradient * a);
                map
            };
            let expected: Vec<f64> = gradients.chunks(activation.len()).flat_map(product).collect();
            let rows = [(best, &expected[winner * cells..][..cells]), (every, expected.as_slice())];
            for (attached, expected) in rows {
                let found = &Running::new(&attached.model, &file.input).run(&row.x, None)["grad/map"];
                let distance = crate::engine::distance(found, expected);
                assert!(
                    distance <= crate::autograd::F32_DISTANCE_MAX,
                    "{}, {}: the map is off by {distance:e}",
                    file.name,
                    target.value
                );
                maps += 1;
            }
        }
    }
    assert!(maps >= 20, "{maps} maps");
}

/// PyTorch writes stack traces and scopes into fields that tract, for one, does not know.
#[test]
fn what_pytorch_writes_beside_the_graph_is_written_again() {
    let model = file("resnet-dynamo-18").model();
    let annotated = |model: &ModelProto| model.graph.node.iter().filter(|node| !node.metadata_props.is_empty()).count();
    assert!(annotated(&model) > 0, "the file has nodes with metadata_props");
    let layer = file("resnet-dynamo-18").targets[0].value.clone();
    let target = Target { tensor: &layer, activation: ACTIVATION, gradient: GRADIENT };
    let attached = attach(&model, "y", Seed::ArgMax, &[target]).expect("attached");
    let again = proto::decode(&proto::encode(&attached.model)).expect("what was written can be read");
    assert_eq!(annotated(&again), annotated(&model));
}
