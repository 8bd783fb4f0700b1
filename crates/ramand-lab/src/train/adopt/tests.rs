//! Networks from elsewhere, in every form they come in: each becomes a bundle that passes its own checks.

use std::sync::Arc;

use crate::networks::{Head, Network, Residual, residual};
use onnx_gradient::onnx::{GraphProto, ModelProto};
use onnx_gradient::proto::{self, integers, ints, node, value};
use onnx_gradient::{ACTIVATION, GRADIENT, GradientError, Seed, Target, attach};
use ramand_core::outcome::{Completeness, Prediction};
use ramand_core::preprocess::{Normalise, Pipeline, PipelineStep, Workspace};
use ramand_core::spectrum::{RamanShift, ShiftAxis};
use ramand_model::Model;
use ramand_model::manifest::{CompletenessRecord, ReferenceMap, Task};
use ramand_model::verify::verify;
use ramand_recording::Recording;

use super::{AdoptError, Adoption, adopt};
use crate::train::{Provenance, Reference, TrainError};

const POINTS: usize = 48;
/// f32 rounding in a network of a few thousand weights.
const COMPLETENESS_ERROR_MAX: f32 = 1e-4;

/// Spectra with two bands that change against each other, from 790 to 1810 cm⁻¹.
fn recording(count: usize) -> Recording {
    let mut text = "id,oil".to_owned();
    let shifts: Vec<f64> = (0..103).map(|place| 790.0 + 10.0 * f64::from(place)).collect();
    shifts.iter().for_each(|shift| text.push_str(&format!(",{shift}")));
    let mut noise = Network::new(7);
    for row in 0..count {
        let share = row as f64 / count as f64;
        text.push_str(&format!("\ns{row},{}", if row % 4 == 0 { "olive" } else { "palm" }));
        for (shift, noise) in shifts.iter().zip(noise.numbers(shifts.len())) {
            let band = |centre: f64| 50.0 * (-((shift - centre) / 25.0).powi(2)).exp();
            text.push_str(&format!(
                ",{}",
                20.0 + share * band(1656.0) + (1.0 - share) * band(1267.0) + f64::from(noise)
            ));
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spectra.csv");
    std::fs::write(&path, text).expect("written");
    Recording::read(&path).expect("spectra")
}

fn adoption(labels: &[&str], points: usize, channels: usize) -> Adoption {
    let axis = ShiftAxis::even(RamanShift::from_per_cm(800.0), RamanShift::from_per_cm(1800.0), points);
    let each = if channels == 1 { Vec::new() } else { vec![vec![PipelineStep::Normalise(Normalise::Max)]; channels] };
    let common = if channels == 1 {
        vec![PipelineStep::Resample, PipelineStep::Normalise(Normalise::Snv)]
    } else {
        vec![PipelineStep::Resample]
    };
    Adoption {
        name: "adopted".into(),
        version: "1.0.0".into(),
        file: "network.onnx".into(),
        shape: None,
        output: None,
        layer: None,
        task: if labels.is_empty() { Task::Regression } else { Task::Classification },
        unit: "%".into(),
        labels: labels.iter().map(ToString::to_string).collect(),
        pipeline: Pipeline::new(Arc::new(axis.expect("even")), common, each).expect("a pipeline"),
        bands: Vec::new(),
        reference: Reference::All,
        reference_map: ReferenceMap::MeanSpectrum,
        group: None,
        provenance: Provenance {
            claim: "a test".into(),
            card: None,
            licence: "MIT".into(),
            laser_nm: 785.0,
            data: "spectra.csv".into(),
            data_sha256: "0".repeat(64),
            measured: false,
            left_out: Vec::new(),
        },
    }
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_option_mut().expect("a graph")
}

fn network(head: Head, channels: usize, outputs: usize) -> ModelProto {
    residual(Residual { channels, points: POINTS, outputs, head }, 3)
}

/// Puts an input of another form before `x`.
fn fed(
    mut model: ModelProto,
    shape: &[usize],
    nodes: Vec<onnx_gradient::onnx::NodeProto>,
    channels: usize,
) -> ModelProto {
    let own = graph(&mut model);
    own.input[0] = value("given", shape);
    own.initializer.push(integers("form", &[1, channels as i64, POINTS as i64]));
    own.node.splice(0..0, nodes);
    model
}

/// Continues after `y` with an operator that gives the output `probabilities`.
fn ending_in(mut model: ModelProto, op: &str, outputs: usize) -> ModelProto {
    let own = graph(&mut model);
    own.node.push(node(op, &["y"], "probabilities", Vec::new()));
    own.output = vec![value("probabilities", &[1, outputs])];
    model
}

fn bytes(model: &ModelProto) -> Vec<u8> {
    proto::encode(model)
}

/// Adopts, writes, verifies, and asks the model.
fn check(name: &str, model: &ModelProto, adoption: &Adoption, targets: usize, expected: CompletenessRecord) -> Model {
    let recording = recording(24);
    let adopted = adopt(&bytes(model), &recording, adoption).unwrap_or_else(|error| panic!("{name}: {error}"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("adopted");
    adopted.write(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let failed: Vec<_> = verify(&path).into_iter().filter(|check| check.outcome.is_err()).collect();
    assert!(failed.is_empty(), "{name}: {failed:?}");
    let model = Model::open(&path).expect("a bundle");
    let network = &model.manifest().network;
    assert_eq!((network.targets.len(), network.completeness), (targets, expected), "{name}");
    assert_eq!(
        model.manifest().adopted.as_ref().map(|adopted| adopted.evaluation.as_str()),
        Some("not evaluated here")
    );
    assert!(model.gate().is_some(), "{name}: 24 spectra make a gate");
    let mut session = model.session().expect("buffers");
    for raw in recording.raw_spectra().take(3) {
        let preprocessed = model.pipeline().preprocess(&raw, &mut Workspace::default()).expect("it covers the axis");
        let attribution = model.judge(&mut session, &preprocessed).expect("an answer").attribution;
        assert_eq!(attribution.map.len(), POINTS, "{name}");
        match expected {
            CompletenessRecord::Exact => {
                let error = attribution.completeness_error;
                assert!(error <= COMPLETENESS_ERROR_MAX, "{name}: {error}");
            }
            CompletenessRecord::Reported => assert_eq!(attribution.completeness, Completeness::Reported, "{name}"),
        }
    }
    model
}

#[test]
fn every_head_becomes_a_bundle() {
    use CompletenessRecord::{Exact, Reported};
    for (head, targets, expected) in
        [(Head::Average, 1, Exact), (Head::FlattenAndSkip, 2, Exact), (Head::TwoLayers, 1, Reported)]
    {
        check("regression", &network(head, 1, 1), &adoption(&[], POINTS, 1), targets, expected);
        let kinds = adoption(&["a", "b", "c"], POINTS, 1);
        check("classification", &network(head, 1, 3), &kinds, targets, expected);
    }
    let early = Adoption { layer: Some("first".into()), ..adoption(&[], POINTS, 1) };
    check("an earlier layer", &network(Head::Average, 1, 1), &early, 1, Reported);
}

#[test]
fn every_form_of_input_is_taken() {
    let to_x = |from: &str| node("Reshape", &[from, "form"], "x", Vec::new());
    let turned = || node("Transpose", &["given"], "x", vec![ints("perm", &[0, 2, 1])]);
    let flat = network(Head::TwoLayers, 1, 1);
    let two = network(Head::TwoLayers, 2, 1);
    let cases = [
        ("[1, points]", fed(flat.clone(), &[1, POINTS], vec![to_x("given")], 1), 1),
        ("[1, points, 1]", fed(flat.clone(), &[1, POINTS, 1], vec![turned()], 1), 1),
        ("[1, 1, 1, points]", fed(flat.clone(), &[1, 1, 1, POINTS], vec![to_x("given")], 1), 1),
        ("[1, 1, points, 1]", fed(flat, &[1, 1, POINTS, 1], vec![to_x("given")], 1), 1),
        ("[1, 2, points]", two.clone(), 2),
        ("[1, points, 2]", fed(two.clone(), &[1, POINTS, 2], vec![turned()], 2), 2),
        ("[1, 2, 1, points]", fed(two, &[1, 2, 1, POINTS], vec![to_x("given")], 2), 2),
    ];
    let answer = |name: &str, model: &ModelProto, channels: usize| {
        let adoption = adoption(&[], POINTS, channels);
        let model = check(name, model, &adoption, 1, CompletenessRecord::Reported);
        let raw = recording(24).raw_spectra().next().expect("a spectrum");
        let preprocessed = model.pipeline().preprocess(&raw, &mut Workspace::default()).expect("preprocessed");
        match model.judge(&mut model.session().expect("buffers"), &preprocessed).expect("an answer").prediction {
            Prediction::Value { value, .. } => value,
            Prediction::Class { .. } => panic!("a regression gives a value"),
        }
    };
    // The same weights give the same answer, however the spectrum has to be laid out for them.
    let mut expected: [Option<f32>; 3] = [None; 3];
    for (name, model, channels) in cases {
        let found = answer(name, &model, channels);
        let expected = *expected[channels].get_or_insert(found);
        assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{name}: {found} instead of {expected}");
    }
}

#[test]
fn a_layer_with_its_channels_last_is_turned() {
    // The stage is turned before its activation, so that the explained layer is [1, cells, maps].
    let mut model = network(Head::TwoLayers, 1, 1);
    let own = graph(&mut model);
    let place = own.node.iter().position(|node| node.output[0] == "stage").expect("there");
    own.node[place] = node("Relu", &["turned"], "stage-last", Vec::new());
    own.node.insert(place, node("Transpose", &["sum"], "turned", vec![ints("perm", &[0, 2, 1])]));
    own.node.insert(place + 2, node("Transpose", &["stage-last"], "stage", vec![ints("perm", &[0, 2, 1])]));
    let adoption = Adoption { layer: Some("stage-last".into()), ..adoption(&[], POINTS, 1) };
    let turned = check("channels last", &model, &adoption, 1, CompletenessRecord::Reported);
    let adoption = Adoption { layer: Some("stage".into()), ..adoption };
    let plain = check("channels first", &network(Head::TwoLayers, 1, 1), &adoption, 1, CompletenessRecord::Reported);
    let map = |model: &Model| {
        let raw = recording(24).raw_spectra().nth(5).expect("a spectrum");
        let preprocessed = model.pipeline().preprocess(&raw, &mut Workspace::default()).expect("preprocessed");
        model.judge(&mut model.session().expect("buffers"), &preprocessed).expect("an answer").attribution.map
    };
    for (turned, plain) in map(&turned).iter().zip(map(&plain)) {
        assert!((turned - plain).abs() <= 1e-5, "{turned} instead of {plain}");
    }
}

#[test]
fn outputs_that_cannot_share_a_walk_have_one_each() {
    // Behind the stage the batch axis is moved away and back, so that no row of a gradient could lie on it.
    let plain = network(Head::TwoLayers, 1, 3);
    let mut mixing = plain.clone();
    let own = graph(&mut mixing);
    let place = own.node.iter().position(|node| node.output[0] == "features").expect("there");
    own.node[place].input[0] = "back".into();
    own.node.insert(place, node("Transpose", &["moved"], "back", vec![ints("perm", &[1, 0, 2])]));
    own.node.insert(place, node("Transpose", &["stage"], "moved", vec![ints("perm", &[1, 0, 2])]));
    let target = Target { tensor: "stage", activation: ACTIVATION, gradient: GRADIENT };
    let refused = attach(&mixing, "y", Seed::All, &[target]).expect_err("the rows have no axis");
    assert!(matches!(refused, GradientError::Rows { .. }), "{refused}");
    let kinds = Adoption { layer: Some("stage".into()), ..adoption(&["a", "b", "c"], POINTS, 1) };
    let maps = [plain, mixing].map(|model| {
        let model = check("one by one", &model, &kinds, 1, CompletenessRecord::Reported);
        let raw = recording(24).raw_spectra().nth(7).expect("a spectrum");
        let preprocessed = model.pipeline().preprocess(&raw, &mut Workspace::default()).expect("preprocessed");
        model.judge(&mut model.session().expect("buffers"), &preprocessed).expect("an answer").attribution.map
    });
    for (shared, own) in maps[0].iter().zip(&maps[1]) {
        assert!((shared - own).abs() <= 1e-5, "{own} instead of {shared}");
    }
}

#[test]
fn behind_a_normalisation_over_the_axis_every_cell_depends_on_all_points() {
    let mut model = network(Head::TwoLayers, 1, 1);
    let own = graph(&mut model);
    let place = own.node.iter().position(|node| node.output[0] == "first").expect("there");
    own.node[place].input[0] = "normal".into();
    own.initializer.push(proto::floats("scale-of", &[24], &[1.0; 24]));
    own.initializer.push(proto::floats("bias-of", &[24], &[0.1; 24]));
    let normalise = node("InstanceNormalization", &["first_linear", "scale-of", "bias-of"], "normal", Vec::new());
    own.node.insert(place, normalise);
    let normalised = check("normalised", &model, &adoption(&[], POINTS, 1), 1, CompletenessRecord::Reported);
    assert!(normalised.manifest().network.targets[0].whole_axis);
    let local = network(Head::TwoLayers, 1, 1);
    let local = check("local", &local, &adoption(&[], POINTS, 1), 1, CompletenessRecord::Reported);
    assert!(!local.manifest().network.targets[0].whole_axis);
}

#[test]
fn of_a_probability_the_score_before_it_is_explained() {
    let kinds = adoption(&["a", "b", "c"], POINTS, 1);
    let model = ending_in(network(Head::Average, 1, 3), "Softmax", 3);
    let found = check("softmax", &model, &kinds, 1, CompletenessRecord::Exact);
    let adopted = found.manifest().adopted.clone().expect("adopted");
    assert_eq!(adopted.explained, "y, before the Softmax of probabilities");
    let yes_or_no = adoption(&["pure", "blended"], POINTS, 1);
    let model = ending_in(network(Head::Average, 1, 1), "Sigmoid", 1);
    let found = check("sigmoid", &model, &yes_or_no, 1, CompletenessRecord::Exact);
    let raw = recording(24).raw_spectra().next().expect("a spectrum");
    let preprocessed = found.pipeline().preprocess(&raw, &mut Workspace::default()).expect("preprocessed");
    let judgement = found.judge(&mut found.session().expect("buffers"), &preprocessed).expect("an answer");
    let Prediction::Class { scores, probabilities, .. } = judgement.prediction else { panic!("a class") };
    assert_eq!(scores[0], 0.0);
    assert!((probabilities[1] - 1.0 / (1.0 + (-scores[1]).exp())).abs() < 1e-6, "softmax of [0, z] is sigmoid of z");
}

#[test]
fn a_gradient_that_is_there_is_used_as_it_is() {
    let target = Target { tensor: "stage", activation: ACTIVATION, gradient: GRADIENT };
    let kinds = adoption(&["a", "b", "c"], POINTS, 1);
    let model = network(Head::TwoLayers, 1, 3);
    let all = attach(&model, "y", Seed::All, &[target]).expect("differentiable").model;
    check("attached", &all, &kinds, 1, CompletenessRecord::Reported);
    let one = attach(&model, "y", Seed::ArgMax, &[target]).expect("differentiable").model;
    let error = adopt(&bytes(&one), &recording(24), &kinds).expect_err("one class is not enough");
    assert!(matches!(error, AdoptError::Seeded { outputs: 3 }), "{error}");
    let named = Adoption { layer: Some("first".into()), ..kinds };
    let error = adopt(&bytes(&all), &recording(24), &named).expect_err("it has a layer");
    assert!(matches!(error, AdoptError::LayerGiven), "{error}");
}

#[test]
fn too_few_spectra_make_no_gate_and_the_manifest_says_so() {
    let network = network(Head::Average, 1, 1);
    let adopted = adopt(&bytes(&network), &recording(19), &adoption(&[], POINTS, 1)).expect("a bundle");
    assert_eq!(adopted.manifest.gate, None);
    let words = adopted.manifest.adopted.expect("adopted").gate;
    assert_eq!(words, "none: 19 independent reference samples, at least 20 are needed");
    // Replicates do not count.
    let replicates = Adoption { group: Some("oil".into()), ..adoption(&[], POINTS, 1) };
    let adopted = adopt(&bytes(&network), &recording(24), &replicates).expect("a bundle");
    assert_eq!((adopted.manifest.gate, adopted.manifest.training.samples), (None, 2));
}

#[test]
fn what_cannot_be_deployed_says_what_to_do() {
    let one = || network(Head::Average, 1, 1);
    let three = || network(Head::Average, 1, 3);
    let quantity = || adoption(&[], POINTS, 1);
    let mut two_inputs = one();
    graph(&mut two_inputs).input.push(value("temperature", &[1, 1]));
    let mut image = one();
    let own = graph(&mut image);
    own.input[0] = value("given", &[1, 1, 8, POINTS / 8]);
    own.initializer.push(integers("form", &[1, 1, POINTS as i64]));
    own.node.insert(0, node("Reshape", &["given", "form"], "x", Vec::new()));
    type Case = (ModelProto, Adoption, &'static str);
    let cases: Vec<Case> = vec![
        (
            one(),
            adoption(&[], 50, 1),
            "input 'x' has shape [1, 1, 48], but --axis and the pipeline give 1 channel(s) of 50 points",
        ),
        (one(), adoption(&[], POINTS, 2), "give 2 channel(s) of 48 points"),
        (three(), adoption(&["a", "b"], POINTS, 1), "2 labels for the 3 outputs of 'y'"),
        (three(), quantity(), "'y' has 3 outputs and a regression one"),
        (ending_in(three(), "Softmax", 3), quantity(), "'probabilities' ends in Softmax, so it is no quantity"),
        (ending_in(three(), "Sigmoid", 3), adoption(&["a", "b", "c"], POINTS, 1), "answers 3 yes-or-no questions"),
        (two_inputs, quantity(), "the network has 2 inputs (x, temperature)"),
        (image, quantity(), "input 'given' of shape [1, 1, 8, 6] is not laid out along one axis"),
        (
            one(),
            Adoption { layer: Some("stag".into()), ..quantity() },
            "there is no layer 'stag'; the nearest names are",
        ),
        (one(), Adoption { output: Some("z".into()), ..quantity() }, "there is no output 'z'"),
        (
            one(),
            Adoption { reference: Reference::Labelled { column: "oil".into(), value: "corn".into() }, ..quantity() },
            "no row has 'corn' in column 'oil'",
        ),
    ];
    for (model, adoption, expected) in cases {
        let error = adopt(&bytes(&model), &recording(24), &adoption).expect_err(expected).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let axis = ShiftAxis::even(RamanShift::from_per_cm(100.0), RamanShift::from_per_cm(1800.0), POINTS).expect("even");
    let pipeline = Pipeline::new(Arc::new(axis), vec![PipelineStep::Resample], Vec::new()).expect("a pipeline");
    let error = adopt(&bytes(&one()), &recording(24), &Adoption { pipeline, ..quantity() }).expect_err("not covered");
    assert!(matches!(error, AdoptError::Reference(TrainError::Preprocess { line: 2, .. })), "{error}");
    assert!(ramand_core::failure::chain(&error).contains("790"), "{}", ramand_core::failure::chain(&error));
}
