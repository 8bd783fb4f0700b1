//! What a model says, against an evaluation in f64 and against ONNX Runtime.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};

use super::networks::{Head, Network as Random};
use onnx_gradient::{Graph, Tensor, proto};
use ramand_core::outcome::{Explained, Prediction};
use ramand_core::preprocess::Workspace;

use super::bundles::{POINTS, draft, network, spectrum};
use super::missing::missing;
use ramand_model::{Model, Network};

/// Fact 1 of the method asks for 1e-6 of the map's own arithmetic; f32 sums of thousands of terms round further.
const COMPLETENESS_ERROR_MAX: f32 = 1e-5;
/// f32 against f64, relative to the largest value.
const RELATIVE_ERROR_MAX: f64 = 1e-5;

#[test]
fn maps_add_up_and_agree_with_f64() {
    for outputs in [1, 2, 5] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("random");
        let identity = draft(outputs).write(&path);
        let model = Model::open(&path).expect("a bundle");
        assert_eq!(**model.identity(), identity);
        let graph = Graph::new(&network(outputs, Head::FlattenAndSkip).model).expect("valid");
        let mut session = model.session().expect("buffers");
        for band in [860.0, 900.0, 970.0, 1020.0] {
            let preprocessed = model.pipeline().preprocess(&spectrum(700.0, 1100.0, band), &mut Workspace::default());
            let preprocessed = preprocessed.expect("it covers the axis");
            let found = model.judge(&mut session, &preprocessed).expect("an answer");
            let x = preprocessed.values().iter().map(|&value| f64::from(value)).collect();
            let given = HashMap::from([("x".to_owned(), Tensor::new(vec![1, 1, POINTS], x))]);
            let expected = graph.evaluate(&given, &["y", "A0", "dYdA0", "A1", "dYdA1"]).expect("evaluates");
            let y = expected["y"].data();
            let (class, against) = match found.attribution.explained {
                Explained::Value => (0, None),
                Explained::Contrast { class, against } => (class, Some(against)),
            };
            assert_eq!(against.is_some(), outputs > 1);
            let pick = |values: &[f64]| values[class] - against.map_or(0.0, |against| values[against]);
            let close = |found: f32, expected: f64, scale: f64| {
                (f64::from(found) - expected).abs() <= RELATIVE_ERROR_MAX * scale.max(1.0)
            };
            assert!(close(found.attribution.output, pick(y), pick(y).abs()));
            assert!(found.attribution.completeness_error <= COMPLETENESS_ERROR_MAX);
            let difference: f32 = found.attribution.difference.iter().sum();
            let expected_sum = found.attribution.output - found.attribution.reference_output;
            assert!(close(difference, f64::from(expected_sum), 10.0), "{difference} instead of {expected_sum}");
            // The linear part's cells are points: M is the trunk's spread cells plus gradient times input.
            let linear = |point: usize| {
                let rows: Vec<f64> = (0..outputs).map(|o| expected["dYdA1"].data()[o * POINTS + point]).collect();
                pick(&rows) * expected["A1"].data()[point]
            };
            let trunk: f64 = (0..expected["A0"].data().len())
                .map(|i| {
                    let size = expected["A0"].data().len();
                    let rows: Vec<f64> = (0..outputs).map(|o| expected["dYdA0"].data()[o * size + i]).collect();
                    pick(&rows) * expected["A0"].data()[i]
                })
                .sum();
            let all: f64 = found.attribution.map.iter().map(|&value| f64::from(value)).sum();
            let skip: f64 = (0..POINTS).map(linear).sum();
            assert!(close(all as f32, trunk + skip, 10.0), "{all} instead of {trunk} + {skip}");
            match &found.prediction {
                Prediction::Value { value, .. } => assert_eq!(*value, found.attribution.output),
                Prediction::Class { scores, probabilities, best, runner_up, .. } => {
                    assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
                    assert!(scores.iter().all(|&score| score <= scores[*best]));
                    assert!(scores.iter().enumerate().all(|(o, &s)| o == *best || s <= scores[*runner_up]));
                    let ratio = f64::from(probabilities[*best] / probabilities[*runner_up]);
                    let expected = (f64::from(scores[*best] - scores[*runner_up]) / 2.0).exp();
                    assert!((ratio / expected - 1.0).abs() < 1e-4, "softmax at temperature 2");
                }
            }
        }
    }
}

#[test]
fn a_gradient_that_depends_on_the_spectrum_comes_with_every_run() {
    let model = network(3, Head::TwoLayers).model;
    let running = Network::load(&model, (1, POINTS), "y", &[("A0", "dYdA0")]).expect("it runs");
    let graph = Graph::new(&model).expect("valid");
    let mut session = running.session().expect("buffers");
    // Opposite spectra open other units of the hidden layer.
    let gradients = [30.0, -30.0].map(|scale| {
        let x: Vec<f32> = Random::new(1).numbers(POINTS).iter().map(|value| value * scale).collect();
        let values = running.run(&mut session, &x).expect("it runs");
        let layers = values.layers().expect("layers");
        let x = Tensor::new(vec![1, 1, POINTS], x.iter().map(|&value| f64::from(value)).collect());
        let expected = graph.evaluate(&HashMap::from([("x".to_owned(), x)]), &["dYdA0"]).expect("evaluates");
        for (found, expected) in layers[0].gradient.iter().zip(expected["dYdA0"].data()) {
            assert!((f64::from(*found) - expected).abs() <= RELATIVE_ERROR_MAX, "{found} instead of {expected}");
        }
        layers[0].gradient.to_vec()
    });
    assert!(gradients[0] != gradients[1], "another spectrum, another gradient");
    let short = running.run(&mut session, &[0.0; 3]).expect_err("too short").to_string();
    assert_eq!(short, "3 values for a network of 1 by 62");
}

#[test]
fn onnx_runtime_takes_the_graph_and_computes_the_same() {
    let Ok(python) = std::env::var("RAMAND_TEST_PYTHON") else {
        missing("program", "RAMAND_TEST_PYTHON names no Python with onnx and onnxruntime: `./dev setup` makes one");
        return;
    };
    let script = "
import sys, json, onnx, onnxruntime, numpy
case = json.load(sys.stdin)
model = onnx.load(case['path'])
onnx.checker.check_model(model, full_check=True)
session = onnxruntime.InferenceSession(case['path'], providers=['CPUExecutionProvider'])
x = numpy.array(case['x'], numpy.float32).reshape(1, 1, -1)
names = [output.name for output in session.get_outputs()]
values = session.run(names, {'x': x})
json.dump({name: value.ravel().tolist() for name, value in zip(names, values)}, sys.stdout)
";
    let folder = tempfile::tempdir().expect("a folder");
    for head in [Head::FlattenAndSkip, Head::Average, Head::TwoLayers] {
        let model = network(4, head).model;
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, proto::encode(&model)).expect("written");
        let x = Random::new(5).numbers(POINTS);
        let case = serde_json::json!({ "path": path, "x": x }).to_string();
        let mut child = Command::new(&python)
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("RAMAND_TEST_PYTHON starts");
        child.stdin.take().expect("piped").write_all(case.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "the checker or ONNX Runtime refuses the graph");
        let found: HashMap<String, Vec<f64>> = serde_json::from_slice(&output.stdout).expect("JSON");
        let x = Tensor::new(vec![1, 1, POINTS], x.into_iter().map(f64::from).collect());
        let graph = Graph::new(&model).expect("valid");
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        let expected = graph.evaluate(&HashMap::from([("x".to_owned(), x)]), &names).expect("evaluates");
        assert!(found.len() >= 3, "{names:?}");
        for (name, values) in &found {
            let expected = expected[name].data();
            let scale = expected.iter().fold(1e-12_f64, |scale, value| scale.max(value.abs()));
            assert_eq!(values.len(), expected.len(), "{name}");
            for (value, expected) in values.iter().zip(expected) {
                assert!((value - expected).abs() <= RELATIVE_ERROR_MAX * scale, "{name}: {value} for {expected}");
            }
        }
    }
}
